//! The connection to a mail server: lines, counted bytes, TLS; every wait and every line is bounded.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::Fault;
use super::options::{MailboxOptions, MailboxTls, Timeouts};
use crate::clock;
use crate::limits;
use crate::tls_client::{Client, TlsFacts, Verify};

/// The connection, in the clear or not.
enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Given up.
    Gone,
}

/// A connection with what was read and not used yet.
pub(super) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    used: usize,
    timeouts: Timeouts,
    /// When the command under way must have ended.
    deadline: Instant,
    /// The TLS session.
    pub(super) tls: Option<TlsFacts>,
}

/// Bytes read at once.
const BLOCK: usize = 16 * 1024;

impl Wire {
    /// Connects to the first address that takes a connection; with implicit TLS under it.
    pub(super) async fn connect(options: &MailboxOptions) -> Result<Self, Fault> {
        let wait = options.timeouts.connect;
        let host = options.host.trim_start_matches('[').trim_end_matches(']');
        let found = timeout(wait, tokio::net::lookup_host((host, options.port))).await;
        let addresses: Vec<SocketAddr> = match found {
            Err(_) => {
                return Err(Fault::Connect(format!("{host}: name not resolved in {} s", wait.as_secs())));
            }
            Ok(Err(error)) => return Err(Fault::Connect(format!("{host}: {error}"))),
            Ok(Ok(addresses)) => addresses.take(limits::SUBMIT_ADDRESSES).collect(),
        };
        let mut told = Vec::new();
        for address in addresses {
            match timeout(wait, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small commands wait for nothing; a system that refuses the option only is slower.
                    let _ = stream.set_nodelay(true);
                    let mut wire = Self {
                        stream: Stream::Plain(stream),
                        buffer: Vec::new(),
                        used: 0,
                        timeouts: options.timeouts,
                        deadline: now() + options.timeouts.command,
                        tls: None,
                    };
                    if options.tls == MailboxTls::Implicit {
                        wire.start_tls(options).await?;
                    }
                    return Ok(wire);
                }
                Ok(Err(error)) => told.push(format!("{address}: {error}")),
                Err(_) => told.push(format!("{address}: no answer in {} s", wait.as_secs())),
            }
        }
        if told.is_empty() {
            told.push(format!("{host}: no address"));
        }
        Err(Fault::Connect(told.join("; ")))
    }

    /// Makes the TLS handshake on the open connection.
    pub(super) async fn start_tls(&mut self, options: &MailboxOptions) -> Result<(), Fault> {
        // RFC 2595 §2.1 and RFC 3501 §6.2.1: what came in the clear was not said by the server.
        if self.used < self.buffer.len() {
            return Err(Fault::Injected);
        }
        let name = options.host.trim_start_matches('[').trim_end_matches(']');
        let is_enforced = options.verify != Verify::Off;
        let client =
            Client::new(&options.verify, is_enforced, name).map_err(|error| Fault::Tls(error.to_string()))?;
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Fault::Tls("the connection has TLS already".to_owned()));
        };
        let connector = TlsConnector::from(Arc::clone(&client.config));
        match timeout(options.timeouts.connect, connector.connect(client.name.clone(), stream)).await {
            Ok(Ok(stream)) => {
                self.tls = Some(client.facts(stream.get_ref().1));
                self.stream = Stream::Tls(Box::new(stream));
                Ok(())
            }
            Ok(Err(error)) => Err(Fault::Tls(error.to_string())),
            Err(_) => Err(Fault::Timeout(options.timeouts.connect)),
        }
    }

    /// A command begins: its time runs from now.
    pub(super) fn begin_command(&mut self) {
        self.deadline = now() + self.timeouts.command;
    }

    /// Waits until something can be read, at most until `deadline`; false when that passed.
    pub(super) async fn wait_until(&mut self, deadline: Instant) -> Result<bool, Fault> {
        self.deadline = deadline + self.timeouts.reply;
        if self.used < self.buffer.len() {
            return Ok(true);
        }
        // Reading is cancel-safe: what came is in the buffer or still with the system.
        match timeout_at(deadline, self.read_more()).await {
            Ok(read) => read.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Reads more bytes into the buffer.
    async fn read_more(&mut self) -> Result<(), Fault> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.reserve(BLOCK);
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.buffer).await,
            Stream::Tls(stream) => stream.read_buf(&mut self.buffer).await,
            Stream::Gone => Ok(0),
        };
        match read {
            Ok(0) => Err(Fault::closed()),
            Ok(_) => Ok(()),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Reads more bytes within the waits.
    async fn fill(&mut self) -> Result<(), Fault> {
        let wait = self.timeouts.reply;
        let until = self.deadline.min(now() + wait);
        let is_last = until == self.deadline;
        match timeout_at(until, self.read_more()).await {
            Ok(read) => read,
            Err(_) => Err(Fault::Timeout(if is_last { self.timeouts.command } else { wait })),
        }
    }

    /// The next line without its end; a bare LF ends one too.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut looked = 0;
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', rest.get(looked..).unwrap_or_default()) {
                let line = rest.get(..looked + at).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.used += looked + at + 1;
                return Ok(line);
            }
            looked = rest.len();
            if looked > limits::MAILBOX_LINE_BYTES {
                return Err(Fault::TooLong { what: "a line", cap: limits::MAILBOX_LINE_BYTES as u64 });
            }
            self.fill().await?;
        }
    }

    /// The next line with its end, or a piece of a long one without.
    pub(super) async fn piece(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
            if let Some(end) = end.or((rest.len() >= BLOCK).then_some(rest.len())) {
                let piece = rest.get(..end).unwrap_or_default().to_vec();
                self.used += end;
                return Ok(piece);
            }
            self.fill().await?;
        }
    }

    /// So many bytes. Memory is taken as they come, whatever was announced.
    pub(super) async fn exact(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let taken = rest.len().min(count - bytes.len());
            bytes.extend_from_slice(rest.get(..taken).unwrap_or_default());
            self.used += taken;
            if bytes.len() == count {
                return Ok(bytes);
            }
            self.fill().await?;
        }
    }

    /// Writes all bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let wait = self.timeouts.reply;
        let written = timeout(wait, async {
            match &mut self.stream {
                Stream::Plain(stream) => stream.write_all(bytes).await,
                Stream::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                Stream::Gone => Err(std::io::ErrorKind::NotConnected.into()),
            }
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(Fault::Timeout(wait)),
        }
    }
}

/// A broken connection in words; a reset is a server's way of closing, too.
fn broken(error: &std::io::Error) -> Fault {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => {
            Fault::closed()
        }
        _ => Fault::Connect(error.to_string()),
    }
}

/// The monotonic clock as the runtime's timers want it.
pub(super) fn now() -> Instant {
    Instant::from_std(clock::instant())
}
