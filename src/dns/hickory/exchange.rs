//! Questions to servers over UDP, TCP and TLS: which server is asked when, and what counts as its answer.
//!
//! The messages are hickory's; the sockets are ours, because hickory's pool of servers keeps back what we
//! tell about: the flag "authoritative", the reason beside an error code (RFC 8914), a lame referral.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::proto::op::{DnsResponse, Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::client::TlsStream;

use crate::clock;
use crate::dns::{Cause, NotKnown};
use crate::{limits, tls_client};

/// The option of an extended error (RFC 8914 §2).
const EXTENDED_ERROR: u16 = 15;

/// Servers that are asked one after the other, and how.
pub(super) struct Exchange {
    /// At least one.
    servers: Vec<SocketAddr>,
    /// DNS over TLS (RFC 7858) instead of UDP and TCP.
    tls: Option<Tls>,
    /// For one server and one try.
    timeout: Duration,
    /// Rounds through the servers.
    attempts: u32,
    /// The server that answered last.
    preferred: AtomicUsize,
}

/// What connections over TLS need.
pub(super) struct Tls {
    /// Roots and name.
    pub client: tls_client::Client,
    /// Open connections that nobody uses, by server, the newest last.
    pub idle: Mutex<Vec<(SocketAddr, TlsStream<TcpStream>)>>,
}

/// Why a server gave no answer that can be used.
struct Fault {
    /// As told to whoever asked.
    not_known: NotKnown,
    /// True if the same server would say the same again.
    is_final: bool,
}

impl Fault {
    /// Trouble on the way, worth a second try.
    fn passing(cause: Cause, detail: impl Into<String>) -> Self {
        Self { not_known: NotKnown { cause, detail: detail.into() }, is_final: false }
    }

    /// The server's word.
    fn word(cause: Cause, detail: impl Into<String>) -> Self {
        Self { not_known: NotKnown { cause, detail: detail.into() }, is_final: true }
    }

    /// How much it tells: of several troubles the most telling one is reported.
    fn weight(&self) -> u8 {
        match self.not_known.cause {
            Cause::Timeout => 0,
            Cause::Unreachable => 1,
            Cause::Malformed => 2,
            Cause::Refused => 3,
            _ => 4,
        }
    }
}

impl Exchange {
    /// `servers`: at least one; `attempts`: at least one.
    pub(super) fn new(servers: Vec<SocketAddr>, tls: Option<Tls>, timeout: Duration, attempts: u32) -> Self {
        Self { servers, tls, timeout, attempts: attempts.max(1), preferred: AtomicUsize::new(0) }
    }

    /// Sends a question until a server answers it: NOERROR or NXDOMAIN, whole.
    ///
    /// Errors: the most telling trouble of all servers asked.
    pub(super) async fn ask(&self, request: &Message) -> Result<DnsResponse, NotKnown> {
        let count = self.servers.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut is_done = vec![false; count];
        let mut worst: Option<Fault> = None;
        for _ in 0..self.attempts {
            for step in 0..count {
                let index = (first + step) % count.max(1);
                let (Some(server), Some(is_done)) = (self.servers.get(index), is_done.get_mut(index)) else {
                    continue;
                };
                if *is_done {
                    continue;
                }
                let tried = tokio::time::timeout(self.timeout, self.ask_server(*server, request)).await;
                let fault = match tried {
                    Ok(Ok(response)) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(response);
                    }
                    Ok(Err(fault)) => fault,
                    Err(_) => Fault::passing(Cause::Timeout, format!("{server} did not answer in time")),
                };
                *is_done = fault.is_final;
                if worst.as_ref().is_none_or(|worst| fault.weight() > worst.weight()) {
                    worst = Some(fault);
                }
            }
        }
        let none = || Fault::word(Cause::Unreachable, "no server is configured");
        Err(worst.unwrap_or_else(none).not_known)
    }

    /// Asks one server once; without EDNS again if it does not know that (RFC 6891 §7).
    async fn ask_server(&self, server: SocketAddr, request: &Message) -> Result<DnsResponse, Fault> {
        let mut request = request.clone();
        let response = self.send(server, &mut request).await?;
        let code = response.response_code;
        let no_edns = matches!(code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS);
        let response = if no_edns && request.edns.is_some() {
            request.edns = None;
            self.send(server, &mut request).await?
        } else {
            response
        };
        let code = response.response_code;
        let cause = match code {
            ResponseCode::NoError | ResponseCode::NXDomain => return Ok(response),
            ResponseCode::ServFail => Cause::ServerFailure,
            ResponseCode::Refused => Cause::Refused,
            _ => Cause::ErrorCode,
        };
        let mut detail = format!("{server} answered {}", code_name(code));
        for reason in extended_errors(&response) {
            detail.push_str("; ");
            detail.push_str(&reason);
        }
        Err(Fault::word(cause, detail))
    }

    /// Sends over whichever transport is right.
    async fn send(&self, server: SocketAddr, request: &mut Message) -> Result<DnsResponse, Fault> {
        request.metadata.id = random_id();
        let octets = request.to_vec().map_err(|error| {
            Fault::word(Cause::BadName, format!("the question cannot be written: {error}"))
        })?;
        if let Some(tls) = &self.tls {
            return over_tls(tls, server, request, &octets).await;
        }
        let response = over_udp(server, request, &octets).await?;
        if !response.truncation {
            return Ok(response);
        }
        let opened = async {
            let mut stream = TcpStream::connect(server).await?;
            over_stream(&mut stream, &octets).await
        };
        let answer = opened.await.map_err(|error| {
            let detail = format!("the answer of {server} does not fit into UDP, and over TCP: {error}");
            Fault::passing(Cause::Unreachable, detail)
        })?;
        whole(server, request, answer)
    }
}

/// A random message id.
fn random_id() -> u16 {
    let mut octets = [0_u8; 2];
    // The system's generator fails on no system that we run on; and the source port is random too.
    let _ = SystemRandom::new().fill(&mut octets);
    u16::from_be_bytes(octets)
}

/// One datagram there, one back, from a port of its own.
async fn over_udp(server: SocketAddr, request: &Message, octets: &[u8]) -> Result<DnsResponse, Fault> {
    let unreachable = |error: io::Error| Fault::passing(Cause::Unreachable, format!("{server}: {error}"));
    let local = match server.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(local, 0)).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    socket.send(octets).await.map_err(unreachable)?;
    let mut buffer = vec![0_u8; limits::DNS_DATAGRAM_BYTES];
    loop {
        let count = socket.recv(&mut buffer).await.map_err(unreachable)?;
        let datagram = buffer.get(..count).unwrap_or_default();
        // Whoever does not know the id did not see the question.
        if datagram.get(..2) != Some(request.metadata.id.to_be_bytes().as_slice()) {
            continue;
        }
        let response =
            DnsResponse::from_buffer(datagram.to_vec()).map_err(|error| malformed(server, &error))?;
        if is_answer_to(request, &response) {
            return Ok(response);
        }
    }
}

/// Over a connection that is kept for the next question.
async fn over_tls(
    tls: &Tls,
    server: SocketAddr,
    request: &Message,
    octets: &[u8],
) -> Result<DnsResponse, Fault> {
    let kept = || {
        let mut idle = tls.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().rposition(|(address, _)| *address == server)?;
        Some(idle.remove(at).1)
    };
    let mut found = None;
    while let Some(mut stream) = kept() {
        // The server may have closed it meanwhile, which is no fault: the next one, or a new one.
        if let Ok(answer) = over_stream(&mut stream, octets).await {
            found = Some((stream, answer));
            break;
        }
    }
    let (stream, answer) = match found {
        Some(found) => found,
        None => {
            let opened = async {
                let stream = TcpStream::connect(server).await?;
                let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&tls.client.config));
                let mut stream = connector.connect(tls.client.name.clone(), stream).await?;
                let answer = over_stream(&mut stream, octets).await?;
                Ok((stream, answer))
            };
            opened.await.map_err(|error: io::Error| {
                Fault::passing(Cause::Unreachable, format!("{server} over TLS: {error}"))
            })?
        }
    };
    let mut idle = tls.idle.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() >= limits::DNS_IDLE_CONNECTIONS {
        idle.remove(0);
    }
    idle.push((server, stream));
    drop(idle);
    whole(server, request, answer)
}

/// One message there, one back, each behind its length (RFC 1035 §4.2.2).
async fn over_stream<S>(stream: &mut S, octets: &[u8]) -> io::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length = u16::try_from(octets.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut message = Vec::with_capacity(octets.len() + 2);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(octets);
    stream.write_all(&message).await?;
    stream.flush().await?;
    let mut answer = vec![0_u8; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Reads a message that came over a connection: it must be complete and ours.
fn whole(server: SocketAddr, request: &Message, octets: Vec<u8>) -> Result<DnsResponse, Fault> {
    let response = DnsResponse::from_buffer(octets).map_err(|error| malformed(server, &error))?;
    if response.id != request.metadata.id || !is_answer_to(request, &response) {
        return Err(malformed(server, &"it answers another question"));
    }
    if response.truncation {
        return Err(malformed(server, &"it is truncated although it came over a connection"));
    }
    Ok(response)
}

/// The fault of an answer that cannot be read.
fn malformed(server: SocketAddr, error: &dyn std::fmt::Display) -> Fault {
    Fault::passing(Cause::Malformed, format!("the answer of {server} cannot be read: {error}"))
}

/// True if the message repeats the question; an error code may come without.
fn is_answer_to(request: &Message, response: &DnsResponse) -> bool {
    response.queries == request.queries
        || (response.queries.is_empty()
            && !matches!(response.response_code, ResponseCode::NoError | ResponseCode::NXDomain))
}

/// The mnemonic of a code.
fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        other => format!("code {} ({})", u16::from(other), other.to_str()),
    }
}

/// The reasons that a server gives beside a code (RFC 8914): the meaning of its number, and its text.
fn extended_errors(message: &Message) -> Vec<String> {
    let options = message.edns.as_ref().map(|edns| edns.options().as_ref()).unwrap_or_default();
    let mut reasons = Vec::new();
    for (code, option) in options.iter().take(limits::DNS_EXTENDED_ERRORS) {
        let (EdnsCode::Unknown(EXTENDED_ERROR), EdnsOption::Unknown(_, data)) = (code, option) else {
            continue;
        };
        let Some((number, text)) = data.split_first_chunk::<2>() else {
            continue;
        };
        let number = u16::from_be_bytes(*number);
        let mut reason = match EXTENDED_ERRORS.get(usize::from(number)) {
            Some(meaning) => format!("{meaning} (extended error {number})"),
            None => format!("extended error {number}"),
        };
        let text = String::from_utf8_lossy(text);
        let text: String =
            text.trim_end_matches('\0').chars().take(limits::DNS_EXTENDED_ERROR_CHARS).collect();
        if !text.is_empty() {
            reason.push_str(": ");
            reason.push_str(&text);
        }
        reasons.push(reason);
    }
    reasons
}

/// Meanings of the numbers of extended errors, from 0 (RFC 8914 §4).
const EXTENDED_ERRORS: [&str; 25] = [
    "other error",
    "unsupported DNSKEY algorithm",
    "unsupported DS digest",
    "stale answer",
    "forged answer",
    "DNSSEC indeterminate",
    "DNSSEC bogus",
    "signature expired",
    "signature not yet valid",
    "DNSKEY missing",
    "RRSIGs missing",
    "no zone key bit set",
    "NSEC missing",
    "cached error",
    "not ready",
    "blocked",
    "censored",
    "filtered",
    "prohibited",
    "stale NXDOMAIN answer",
    "not authoritative",
    "not supported",
    "no reachable authority",
    "network error",
    "invalid data",
];

/// When the whole time of one question ends.
pub(super) fn question_deadline() -> clock::Instant {
    clock::instant() + limits::DNS_QUESTION_TIMEOUT
}
