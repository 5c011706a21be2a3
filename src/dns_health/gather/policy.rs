//! Fetches a policy of MTA-STS as senders do: HTTPS, a certificate for the host, no redirect (RFC 8461 §3.3).
//!
//! The client is ours because every address has to be the one that was checked: the connection is made to an
//! address of our resolver, with the host's name in the handshake and in the request.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dns::Name;
use crate::dns_health::addresses::Reach;
use crate::dns_health::facts::{FetchFault, PolicyResponse};
use crate::dns_health::mta_sts::POLICY_PATH;
use crate::limits;
use crate::tls_client::{Client, Verify};

/// A policy on its way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<PolicyResponse, FetchFault>> + Send + 'a>>;

/// Whoever fetches policies. Bounds its own time, and keeps to addresses that may be connected to.
pub trait PolicyFetch: Send + Sync {
    /// Fetches the policy of a host (`mta-sts.` and the domain) from one of its addresses.
    fn fetch<'a>(&'a self, host: &'a Name, addresses: &'a [IpAddr]) -> Fetching<'a>;
}

/// Policies by HTTPS.
pub struct HttpsPolicies {
    verify: Verify,
    reach: Reach,
    port: u16,
    whole: Duration,
    places: Semaphore,
}

impl HttpsPolicies {
    /// Policies from port 443 of public addresses, under certificates of the system's authorities.
    pub fn public() -> Self {
        Self::new(Verify::System, Reach::Public, 443, Duration::from_secs(limits::POLICY_SECONDS))
    }

    /// The same for tests: other authorities, addresses, port and whole time.
    pub fn new(verify: Verify, reach: Reach, port: u16, whole: Duration) -> Self {
        Self { verify, reach, port, whole, places: Semaphore::new(limits::POLICIES_AT_ONCE) }
    }

    /// Fetches from the first address that takes a connection.
    async fn try_all(&self, host: &Name, addresses: &[IpAddr]) -> Result<PolicyResponse, FetchFault> {
        let mut told = Vec::new();
        let mut private = None;
        let mut tried = 0;
        for address in addresses {
            if !self.reach.allows(*address) {
                private = private.or(Some(*address));
                continue;
            }
            if tried == limits::POLICY_ADDRESSES {
                break;
            }
            tried += 1;
            match self.connect(host, *address).await {
                Ok(stream) => return converse(stream, host).await,
                Err(FetchFault::NoConnection(why)) => told.push(format!("{address}: {why}")),
                Err(fault) => return Err(fault),
            }
        }
        match private {
            Some(address) if tried == 0 => Err(FetchFault::NotPublic(address)),
            _ if tried == 0 => Err(FetchFault::NoConnection("no address".to_owned())),
            _ => Err(FetchFault::NoConnection(told.join("; "))),
        }
    }

    /// Connects to an address, and verifies the certificate for the host.
    async fn connect(&self, host: &Name, address: IpAddr) -> Result<TlsStream<TcpStream>, FetchFault> {
        // Not enforced in the handshake: the reason is read afterwards, and nothing is sent without it.
        let client = Client::new(&self.verify, false, host.as_str())
            .map_err(|error| FetchFault::NoRoots(error.to_string()))?
            .with_protocol("http/1.1");
        let no_connection = |text: String| FetchFault::NoConnection(text);
        let wait = Duration::from_secs(limits::POLICY_CONNECT_SECONDS);
        let stream = match timeout(wait, TcpStream::connect(SocketAddr::new(address, self.port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(no_connection(error.to_string())),
            Err(_) => return Err(no_connection(format!("no connection within {} s", wait.as_secs()))),
        };
        let connector = TlsConnector::from(std::sync::Arc::clone(&client.config));
        let wait = Duration::from_secs(limits::DIALOGUE_TLS_SECONDS);
        let stream = match timeout(wait, connector.connect(client.name.clone(), stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if is_of_tls(&error) => return Err(FetchFault::Tls(error.to_string())),
            Ok(Err(error)) => return Err(no_connection(format!("in the TLS handshake: {error}"))),
            Err(_) => return Err(no_connection(format!("no TLS handshake within {} s", wait.as_secs()))),
        };
        match client.fault() {
            Some(fault) => Err(FetchFault::Certificate(fault)),
            None => Ok(stream),
        }
    }
}

impl PolicyFetch for HttpsPolicies {
    fn fetch<'a>(&'a self, host: &'a Name, addresses: &'a [IpAddr]) -> Fetching<'a> {
        Box::pin(async move {
            // Closed never: the value lives as long as we do.
            let _permit = self.places.acquire().await;
            match timeout(self.whole, self.try_all(host, addresses)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(FetchFault::Timeout(self.whole.as_secs())),
            }
        })
    }
}

/// True if a handshake failed by what was said in it, and not by the connection.
fn is_of_tls(error: &std::io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<rustls::Error>())
}

// ---- HTTP ----

/// Sends the request and reads the response.
async fn converse(mut stream: TlsStream<TcpStream>, host: &Name) -> Result<PolicyResponse, FetchFault> {
    let request = format!(
        "GET {POLICY_PATH} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: mailsonde/{}\r\nAccept: text/plain\r\n\
         Connection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    let lost = |error: std::io::Error| FetchFault::NoConnection(error.to_string());
    stream.write_all(request.as_bytes()).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut received = Vec::new();
    loop {
        if let Some(progress) = read_response(&received, false)? {
            return Ok(progress);
        }
        let mut buffer = [0; 8192];
        match stream.read(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => received.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            // Many servers close without the last word of TLS.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(lost(error)),
        }
    }
    let cut = || FetchFault::NotHttp("the connection ended before the response did".to_owned());
    read_response(&received, true)?.ok_or_else(cut)
}

/// Reads a response out of what came so far. Shape: `None` while more is wanted; `is_end`: nothing more comes.
///
/// Errors: what is no response, and what is longer than a policy may be.
pub fn read_response(received: &[u8], is_end: bool) -> Result<Option<PolicyResponse>, FetchFault> {
    let not_http = |error: httparse::Error| FetchFault::NotHttp(error.to_string());
    let mut rest = received;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; limits::POLICY_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let length = match head.parse(rest).map_err(not_http)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if received.len() > limits::POLICY_HEAD_BYTES => {
                return Err(FetchFault::NotHttp("its head does not end".to_owned()));
            }
            httparse::Status::Partial => return Ok(None),
        };
        let status = head.code.unwrap_or_default();
        if status < 100 {
            // RFC 9110 §15: the first digit is the class of the response, from 1.
            return Err(FetchFault::NotHttp(format!("status {status:03}")));
        }
        let body = rest.get(length..).unwrap_or_default();
        if (100..200).contains(&status) {
            // Interim responses come before the one that counts (RFC 9110 §15.2).
            rest = body;
            if received.len() - rest.len() > limits::POLICY_HEAD_BYTES {
                return Err(FetchFault::NotHttp("its head does not end".to_owned()));
            }
            continue;
        }
        let field = |name: &str| {
            let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| String::from_utf8_lossy(field.value).trim().to_owned())
        };
        let body = if status == 200 {
            let is_chunked = field("transfer-encoding")
                .is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"));
            let length = match field("content-length") {
                // `parse` takes a sign too (RFC 9110 §8.6: digits).
                Some(text) => Some(
                    text.parse::<u64>()
                        .ok()
                        .filter(|_| !text.starts_with('+'))
                        .ok_or_else(|| FetchFault::NotHttp("a length that is no number".to_owned()))?,
                ),
                None => None,
            };
            match read_body(body, is_chunked, length, is_end)? {
                Some(body) => body,
                None => return Ok(None),
            }
        } else {
            Vec::new()
        };
        let (content_type, location) = (field("content-type"), field("location"));
        return Ok(Some(PolicyResponse { status, content_type, location, body }));
    }
}

/// The body out of what came so far (RFC 9112 §6.3). Shape: `None` while more is wanted.
fn read_body(
    bytes: &[u8],
    is_chunked: bool,
    length: Option<u64>,
    is_end: bool,
) -> Result<Option<Vec<u8>>, FetchFault> {
    let too_large = || FetchFault::TooLarge(limits::POLICY_BYTES);
    if is_chunked {
        return read_chunks(bytes);
    }
    let Some(length) = length else {
        if bytes.len() > limits::POLICY_BYTES {
            return Err(too_large());
        }
        return Ok(is_end.then(|| bytes.to_vec()));
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= limits::POLICY_BYTES);
    Ok(bytes.get(..length.ok_or_else(too_large)?).map(<[u8]>::to_vec))
}

/// A body in chunks (RFC 9112 §7.1); what follows the last one is not looked at.
fn read_chunks(bytes: &[u8]) -> Result<Option<Vec<u8>>, FetchFault> {
    let wrong = || FetchFault::NotHttp("chunks that cannot be read".to_owned());
    let mut body = Vec::new();
    let mut rest = bytes;
    for _ in 0..limits::POLICY_CHUNKS {
        let (start, size) = match httparse::parse_chunk_size(rest).map_err(|_| wrong())? {
            httparse::Status::Complete(found) => found,
            // A size line is short; extensions without end are not waited for.
            httparse::Status::Partial if rest.len() > limits::POLICY_HEAD_BYTES => return Err(wrong()),
            httparse::Status::Partial => return Ok(None),
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if body.len().saturating_add(size) > limits::POLICY_BYTES {
            return Err(FetchFault::TooLarge(limits::POLICY_BYTES));
        }
        let Some(chunk) = rest.get(start..).and_then(|rest| rest.get(..size)) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = rest.get(start + size..).unwrap_or_default();
        rest = match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(wrong()),
        };
    }
    Err(wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a whole response gives.
    fn read(text: &[u8]) -> Result<Option<PolicyResponse>, FetchFault> {
        read_response(text, true)
    }

    #[test]
    fn responses_are_read_however_they_are_framed() {
        let policy = b"version: STSv1\n";
        for text in [
            &b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\nversion: STSv1\nmore"[..],
            b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nversion: STSv1\n",
            b"HTTP/1.1 200\r\nContent-Type:text/plain\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nversion:\r\n7;x=y\r\n STSv1\n\r\n0\r\nA: b\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\nversion: STSv1\n",
        ] {
            let response = read(text).unwrap().unwrap();
            assert_eq!((response.status, response.body.as_slice()), (200, &policy[..]));
            assert_eq!(response.content_type.as_deref(), Some("text/plain"));
            // However the bytes come, it is never read too early.
            for cut in 0..text.len() {
                if let Ok(Some(early)) = read_response(text.get(..cut).unwrap(), false) {
                    assert_eq!(early, response, "at {cut}");
                }
            }
        }
        let moved =
            read(b"HTTP/1.1 301 Moved\r\nLocation: https://x.example/\r\nContent-Length: 999999999\r\n\r\n");
        let moved = moved.unwrap().unwrap();
        assert_eq!((moved.status, moved.location.as_deref()), (301, Some("https://x.example/")));
    }

    #[test]
    fn what_is_no_response_or_too_long_is_refused() {
        let long = "a".repeat(limits::POLICY_BYTES + 1);
        let head = "HTTP/1.1 200 OK\r\n";
        for (text, want) in [
            ("220 mx.example ESMTP\r\n".to_owned(), "not-http"),
            (format!("{head}Content-Length: 65537\r\n\r\n"), "too-large"),
            (format!("{head}Content-Length: 99999999999999999999999\r\n\r\n"), "not-http"),
            (format!("{head}Content-Length: -1\r\n\r\n"), "not-http"),
            ("HTTP/1.1 020 OK\r\n\r\n".to_owned(), "not-http"),
            (format!("{head}Content-Length: +1\r\n\r\na"), "not-http"),
            (format!("{head}\r\n{long}"), "too-large"),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n10001\r\n"), "too-large"),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), "too-large"),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\nx\r\n"), "not-http"),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nabc"), "not-http"),
            (format!("{head}X: {}", "a".repeat(limits::POLICY_HEAD_BYTES)), "not-http"),
            (format!("{head}{}", "X: y\r\n".repeat(limits::POLICY_FIELDS + 1)), "not-http"),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", "1\r\na\r\n".repeat(2_000)), "not-http"),
            ("HTTP/1.1 100 Continue\r\n\r\n".repeat(2_000), "not-http"),
        ] {
            let short: String = text.chars().take(80).collect();
            assert_eq!(read(text.as_bytes()).map_err(|fault| fault.as_str()), Err(want), "{short}");
        }
        // Not yet whole, and whole at the limit.
        assert_eq!(read(format!("{head}Content-Length: 3\r\n\r\nab").as_bytes()), Ok(None));
        let at_limit = format!("{head}Content-Length: 65536\r\n\r\n{}", "a".repeat(65_536));
        assert_eq!(read(at_limit.as_bytes()).unwrap().unwrap().body.len(), 65_536);
    }
}
