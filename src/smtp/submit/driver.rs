//! Drives a [`Dialogue`] over a socket: addresses, time-outs, TLS, the record.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dialogue::{Action, Dialogue, Plan, stuff_dots, wire_lines};
use super::reply::{NoReply, Reply, ReplyReader, queue_id};
use super::{
    Attempt, Cause, Fault, HandOver, Outcome, Phase, Step, Submission, SubmitOptions, Timeouts, TlsFacts,
    TlsMode, Verification, Verify,
};
use crate::clock::{self, Instant};
use crate::dns::Tlsa;
use crate::dns_health::dane;
use crate::limits;
use crate::tls_client::Client;

/// What the server's side must prove in the TLS handshake, beyond what the options ask.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guard<'g> {
    /// What the options say: they verify the certificate unless TLS is used only if offered.
    ByOptions,
    /// Nothing: the certificate is only noted.
    None,
    /// A certificate that verifies (RFC 8461 §4.2).
    Verified,
    /// A certificate that one of these usable TLSA records matches; usage 2 for one of these names
    /// (RFC 7672 §3).
    Dane(&'g [Tlsa], &'g [&'g str]),
}

/// One host that was found by other means than a look-up of the options' host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'g> {
    /// Its address.
    pub(super) address: SocketAddr,
    /// What it must prove.
    pub(super) guard: Guard<'g>,
}

/// Hands one message to one server; never fails, the record says how it went.
///
/// Every wait is bounded by the options' [`Timeouts`], so the whole is too. Dropping the future in
/// between closes the connection; after `Action::SendDot` the message is then in doubt.
pub async fn submit(options: &SubmitOptions, submission: Submission<'_>) -> HandOver {
    hand_over(options, None, submission).await
}

/// As [`submit`]; with an aim, to that address and no other.
pub(super) async fn hand_over(
    options: &SubmitOptions,
    aim: Option<Aim<'_>>,
    submission: Submission<'_>,
) -> HandOver {
    let started_at = clock::now();
    let started = clock::instant();
    let lines = wire_lines(submission.message);
    let plan = Plan {
        helo: &options.helo,
        tls: options.tls,
        credentials: options.credentials.as_ref(),
        dsn: options.dsn.as_ref(),
        submission,
        size: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        has_8bit: !lines.is_ascii(),
    };
    let mut dialogue = Dialogue::new(plan);
    let mut record = Record::default();
    if dialogue.outcome().is_none() {
        let connected = match aim {
            Some(aim) => connect(options, vec![aim.address], &mut record).await,
            None => match resolve(options, &mut record).await {
                Ok(addresses) => connect(options, addresses, &mut record).await,
                Err(error) => Err(error),
            },
        };
        let guard = aim.map_or(Guard::ByOptions, |aim| aim.guard);
        match connected {
            Ok(stream) => run(options, guard, &lines, stream, &mut dialogue, &mut record).await,
            Err((phase, fault)) => dialogue.on_fault(phase, fault),
        }
    }
    // The dialogue closes only with an outcome; should it not, nothing was handed over.
    let nothing = Outcome::Deferred(Phase::Connect, Cause::Fault(Fault::Closed));
    let outcome = dialogue.outcome().cloned().unwrap_or(nothing);
    HandOver {
        started_at,
        ended_at: started_at.after(record.decided.unwrap_or_else(clock::instant) - started),
        mx: Vec::new(),
        attempts: record.attempts,
        peer: record.peer,
        steps: record.steps,
        extensions: dialogue.extensions(),
        tls: record.tls,
        queue_id: match &outcome {
            Outcome::Accepted(reply) => queue_id(reply),
            _ => None,
        },
        outcome,
    }
}

/// The record under way.
#[derive(Default)]
struct Record {
    /// Addresses tried.
    attempts: Vec<Attempt>,
    /// The address used.
    peer: Option<SocketAddr>,
    /// Steps done.
    steps: Vec<Step>,
    /// Commands sent whose replies are due: phase, what is shown, when.
    due: Vec<(Phase, String, Instant)>,
    /// The TLS session.
    tls: Option<TlsFacts>,
    /// When the outcome was known.
    decided: Option<Instant>,
}

impl Record {
    /// Notes a step that ends now.
    fn step(&mut self, phase: Phase, reply: Option<Reply>, began: Instant) {
        let due = self.due.iter().position(|(other, ..)| *other == phase).map(|at| self.due.remove(at));
        let (sent, began) = match due {
            Some((_, sent, began)) => (Some(sent), began),
            None => (None, began),
        };
        self.steps.push(Step { phase, sent, reply, took: clock::instant() - began });
    }
}

// ---- Connection ----

/// Looks up the addresses of the options' host.
async fn resolve(options: &SubmitOptions, record: &mut Record) -> Result<Vec<SocketAddr>, (Phase, Fault)> {
    let began = clock::instant();
    let no_address = |cause: String| (Phase::Resolve, Fault::NoAddress { host: options.host.clone(), cause });
    // A literal in brackets is an address.
    let host = options.host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(options.timeouts.connect, tokio::net::lookup_host((host, options.port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Err(_) => return Err(no_address(Fault::Timeout(options.timeouts.connect).to_string())),
        Ok(Err(error)) => return Err(no_address(error.to_string())),
        Ok(Ok(addresses)) => addresses.take(limits::SUBMIT_ADDRESSES).collect(),
    };
    record.step(Phase::Resolve, None, began);
    if addresses.is_empty() { Err(no_address("no address".to_owned())) } else { Ok(addresses) }
}

/// Opens a connection to the first address that takes one.
async fn connect(
    options: &SubmitOptions,
    addresses: Vec<SocketAddr>,
    record: &mut Record,
) -> Result<Stream, (Phase, Fault)> {
    let began_all = clock::instant();
    for address in addresses {
        let began = clock::instant();
        let connecting = connect_from(options.source_address, address);
        let fault = match timeout(options.timeouts.connect, connecting).await {
            Ok(Ok(stream)) => {
                // Small commands wait for nothing; a system that refuses the option only is slower.
                let _ = stream.set_nodelay(true);
                record.attempts.push(Attempt { address, took: clock::instant() - began, fault: None });
                record.peer = Some(address);
                record.due.push((Phase::Connect, format!("{} {address}", options.host), began_all));
                record.step(Phase::Connect, None, began_all);
                return Ok(Stream::Plain(stream));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => Fault::Timeout(options.timeouts.connect).to_string(),
        };
        record.attempts.push(Attempt { address, took: clock::instant() - began, fault: Some(fault) });
    }
    let told: Vec<String> = record
        .attempts
        .iter()
        .map(|attempt| format!("{}: {}", attempt.address, attempt.fault.as_deref().unwrap_or_default()))
        .collect();
    Err((Phase::Connect, Fault::NoConnection(told.join("; "))))
}

/// Connects, from our own address if one is given.
async fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> std::io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    if source.is_ipv4() != address.is_ipv4() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::AddrNotAvailable,
            format!("not of the family of the source address {source}"),
        ));
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0)).map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot use the source address {source}: {error}"))
    })?;
    socket.connect(address).await
}

/// The connection, in the clear or not.
enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Lost in a handshake.
    Gone,
}

impl Stream {
    /// Reads some bytes; 0 is the end.
    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
            Self::Gone => Ok(0),
        }
    }

    /// Writes all bytes and flushes.
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Gone => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }
}

// ---- Session ----

/// One session: the stream, what was read and not used, the reader.
struct Session<'s> {
    /// The connection.
    stream: Stream,
    /// Read and not used yet.
    pending: Vec<u8>,
    /// Collects a reply.
    reader: ReplyReader,
    /// Waits.
    timeouts: &'s Timeouts,
    /// The secrets that the server was told: it may send them back at any time from then on.
    told: Vec<String>,
}

/// Does what the dialogue wants until it closes.
async fn run(
    options: &SubmitOptions,
    guard: Guard<'_>,
    lines: &[u8],
    stream: Stream,
    dialogue: &mut Dialogue<'_>,
    record: &mut Record,
) {
    let mut session = Session {
        stream,
        pending: Vec::new(),
        reader: ReplyReader::default(),
        timeouts: &options.timeouts,
        told: Vec::new(),
    };
    // Commands that are sent together leave in one write.
    let mut group: Vec<u8> = Vec::new();
    let mut began = clock::instant();
    loop {
        // A reply that came before the dot is no reply to it; afterwards nobody could tell.
        if dialogue.is_before_dot() && session.is_early(Phase::Body, dialogue, record, began).await {
            continue;
        }
        let action = dialogue.next();
        if !group.is_empty() && !matches!(action, Action::Send { .. }) {
            let bytes = std::mem::take(&mut group);
            let phase = record.due.first().map_or(Phase::Quit, |(phase, ..)| *phase);
            if session.is_early(phase, dialogue, record, began).await {
                began = clock::instant();
                continue;
            }
            if let Err(fault) = session.write(&bytes, session.timeouts.reply).await {
                session.last_word(dialogue, record, phase, fault, began).await;
                began = clock::instant();
                continue;
            }
        }
        // The time of the dot runs from its sending to its reply.
        let is_dot = action == Action::SendDot;
        match action {
            Action::Send { phase, bytes, shown } => {
                if phase == Phase::Auth && session.told.is_empty() {
                    session.told = dialogue.secrets();
                }
                group.extend_from_slice(&bytes);
                record.due.push((phase, shown, clock::instant()));
            }
            Action::Receive(phase) => {
                let wait = match phase {
                    Phase::Dot => session.timeouts.dot,
                    Phase::Quit => session.timeouts.reply.min(limits::SUBMIT_QUIT_TIMEOUT),
                    _ => session.timeouts.reply,
                };
                match session.receive(wait).await {
                    Ok(reply) => {
                        record.step(phase, Some(reply.clone()), began);
                        dialogue.on_reply(phase, reply);
                    }
                    Err(fault) => {
                        record.step(phase, None, began);
                        dialogue.on_fault(phase, fault);
                    }
                }
            }
            Action::StartTls => {
                let begun = session.start_tls(options, guard).await;
                if let Ok((facts, _)) = &begun {
                    record.due.push((Phase::Tls, facts.to_string(), began));
                }
                record.step(Phase::Tls, None, began);
                match begun {
                    Ok((facts, proven)) => {
                        let is_verified = facts.verification == Verification::Verified;
                        record.tls = Some(facts);
                        match proven {
                            Ok(()) => dialogue.on_tls(is_verified),
                            Err(why) => dialogue.on_fault(Phase::Tls, Fault::Certificate(why)),
                        }
                    }
                    Err(fault) => dialogue.on_fault(Phase::Tls, fault),
                }
            }
            Action::SendBody => {
                if session.is_early(Phase::Body, dialogue, record, began).await {
                    continue;
                }
                let sent = session.write_blocks(&stuff_dots(lines)).await;
                match sent {
                    Ok(()) => record.step(Phase::Body, None, began),
                    Err(fault) => session.last_word(dialogue, record, Phase::Body, fault, began).await,
                }
            }
            Action::SendDot => {
                let wait = session.timeouts.block;
                if let Err(fault) = session.write(b".\r\n", wait).await {
                    record.step(Phase::Dot, None, began);
                    dialogue.on_fault(Phase::Dot, fault);
                }
            }
            Action::Close => break,
        }
        if dialogue.outcome().is_some() && record.decided.is_none() {
            record.decided = Some(clock::instant());
        }
        if !is_dot {
            began = clock::instant();
        }
    }
}

impl Session<'_> {
    /// Reads one reply within `wait`; without any secret of ours that the server sends back.
    async fn receive(&mut self, wait: Duration) -> Result<Reply, Fault> {
        match timeout(wait, self.receive_unbounded()).await {
            Ok(Ok(mut reply)) => {
                for line in &mut reply.lines {
                    *line = redact(std::mem::take(line), &self.told);
                }
                Ok(reply)
            }
            Ok(Err(Fault::Garbage(line))) => Err(Fault::Garbage(redact(line, &self.told))),
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(Fault::Timeout(wait)),
        }
    }

    /// Reads one reply.
    async fn receive_unbounded(&mut self) -> Result<Reply, Fault> {
        let mut buffer = [0; 4096];
        loop {
            if !self.pending.is_empty() {
                let (taken, reply) = self.reader.push(&self.pending).map_err(|error| match error {
                    NoReply::Garbage(line) => Fault::Garbage(line),
                    NoReply::TooLong => Fault::ReplyTooLong,
                })?;
                self.pending.drain(..taken);
                if let Some(reply) = reply {
                    return Ok(reply);
                }
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(Fault::Closed),
                Ok(read) => self.pending.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    /// Writes within `wait`.
    async fn write(&mut self, bytes: &[u8], wait: Duration) -> Result<(), Fault> {
        match timeout(wait, self.stream.write(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(Fault::Timeout(wait)),
        }
    }

    /// Writes the message in blocks, each within its wait.
    async fn write_blocks(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for block in bytes.chunks(limits::SUBMIT_BLOCK_BYTES) {
            self.write(block, self.timeouts.block).await?;
        }
        Ok(())
    }

    /// After a write that failed, before the final dot: the server may have said why before it closed.
    async fn last_word(
        &mut self,
        dialogue: &mut Dialogue<'_>,
        record: &mut Record,
        phase: Phase,
        fault: Fault,
        began: Instant,
    ) {
        let reply = self.receive(self.timeouts.reply.min(limits::SUBMIT_QUIT_TIMEOUT)).await.ok();
        if let Some(reply) = &reply {
            dialogue.on_early_reply(reply);
        }
        record.step(phase, reply, began);
        dialogue.on_fault(phase, fault);
    }

    /// True if the server spoke before its turn, here before `phase`: told to the dialogue, which ends. Looks at what has
    /// come so far and waits for nothing; of what was said after the outcome was known nothing is made.
    async fn is_early(
        &mut self,
        phase: Phase,
        dialogue: &mut Dialogue<'_>,
        record: &mut Record,
        began: Instant,
    ) -> bool {
        if dialogue.outcome().is_some() {
            return false;
        }
        if self.pending.is_empty() {
            let mut buffer = [0; 1024];
            // No data, an end or a fault: the next write or read meets it.
            if let Ok(Ok(read)) = timeout(Duration::ZERO, self.stream.read(&mut buffer)).await {
                self.pending.extend_from_slice(buffer.get(..read).unwrap_or_default());
            }
        }
        if self.pending.is_empty() && self.reader.is_empty() {
            return false;
        }
        let raw =
            String::from_utf8_lossy(self.pending.get(..limits::REPLY_TEXT_CHARS).unwrap_or(&self.pending));
        let raw = redact(raw.escape_default().to_string(), &self.told);
        let reply = self.receive(Duration::ZERO).await.ok();
        // What was about to be sent stays unsent.
        record.due.clear();
        record.step(phase, reply.clone(), began);
        dialogue.on_early(phase, reply, raw);
        true
    }

    /// Makes the TLS handshake on the open connection; gives what the session is, and whether it proves what it must.
    async fn start_tls(
        &mut self,
        options: &SubmitOptions,
        guard: Guard<'_>,
    ) -> Result<(TlsFacts, Result<(), String>), Fault> {
        // RFC 3207 §4.2 and §5: what came in the clear after the 220 was not said by the server.
        if !self.pending.is_empty() || !self.reader.is_empty() {
            return Err(Fault::Injected);
        }
        let name = options.server_name.as_deref().unwrap_or(&options.host);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let is_enforced = matches!(guard, Guard::ByOptions)
            && options.tls != TlsMode::IfOffered
            && !matches!(options.verify, Verify::Off);
        let client =
            Client::new(&options.verify, is_enforced, name).map_err(|error| Fault::Tls(error.to_string()))?;
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Fault::Tls("the connection has TLS already".to_owned()));
        };
        let connector = TlsConnector::from(std::sync::Arc::clone(&client.config));
        match timeout(self.timeouts.tls, connector.connect(client.name.clone(), stream)).await {
            Ok(Ok(stream)) => {
                let connection = stream.get_ref().1;
                let facts = client.facts(connection);
                let chain = connection.peer_certificates().unwrap_or_default();
                let proven = prove(guard, &facts, chain);
                self.stream = Stream::Tls(Box::new(stream));
                Ok((facts, proven))
            }
            Ok(Err(error)) => Err(Fault::Tls(error.to_string())),
            Err(_) => Err(Fault::Timeout(self.timeouts.tls)),
        }
    }
}

/// Whether a TLS session proves what it must; else why not.
fn prove(guard: Guard<'_>, facts: &TlsFacts, chain: &[CertificateDer<'_>]) -> Result<(), String> {
    match guard {
        Guard::ByOptions | Guard::None => Ok(()),
        Guard::Verified => match &facts.verification {
            Verification::Verified => Ok(()),
            Verification::Failed(why) => Err(why.clone()),
            Verification::NotChecked => Err("nothing to verify it with".to_owned()),
        },
        Guard::Dane(records, names) => {
            let chain: Vec<Vec<u8>> =
                chain.iter().take(limits::DIALOGUE_CHAIN).map(|certificate| certificate.to_vec()).collect();
            dane::prove(records, names, &chain, clock::now())
        }
    }
}

/// A broken connection in words; a reset is the server's way of closing, too.
fn broken(error: &std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Fault::Closed,
        _ => Fault::Broken(error.to_string()),
    }
}

/// The text without any of the secrets.
fn redact(text: String, secrets: &[String]) -> String {
    secrets.iter().fold(text, |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), "…") } else { text }
    })
}
