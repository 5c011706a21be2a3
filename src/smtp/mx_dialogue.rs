//! Asks an MX host what it offers: greeting, EHLO, STARTTLS, EHLO, QUIT. Never a sender, never a recipient.
//!
//! Standards: RFC 5321 §4.1.1.1 (EHLO), RFC 3207 (STARTTLS).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::clock;
use crate::dns::Name;
use crate::dns_health::addresses::Reach;
use crate::dns_health::facts::{Dialogue, DialogueFault, Spoken, StartTls, TlsSeen};
use crate::dns_health::gather::{MxDialogue, Talking};
use crate::limits;
use crate::smtp::submit::reply::{NoReply, Reply, ReplyReader};
use crate::tls_client::{self, Client, Verification, Verify};

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For the connection.
    pub connect: Duration,
    /// For one reply, whole.
    pub reply: Duration,
    /// For the TLS handshake.
    pub tls: Duration,
    /// For the dialogue as a whole.
    pub whole: Duration,
}

impl Waits {
    /// The usual ones.
    pub const STANDARD: Self = Self {
        connect: Duration::from_secs(limits::DIALOGUE_CONNECT_SECONDS),
        reply: Duration::from_secs(limits::DIALOGUE_REPLY_SECONDS),
        tls: Duration::from_secs(limits::DIALOGUE_TLS_SECONDS),
        whole: Duration::from_secs(limits::DIALOGUE_SECONDS),
    };
}

/// Talks with MX hosts over sockets.
#[derive(Debug, Clone)]
pub struct MxTalker {
    /// Our name in EHLO, which should resolve; absent: the literal of our address (RFC 5321 §4.1.3).
    pub helo: Option<String>,
    /// Against what certificates are verified.
    pub verify: Verify,
    /// Which addresses may be connected to.
    pub reach: Reach,
    /// The port: 25, or another in tests.
    pub port: u16,
    /// How long each step may take.
    pub waits: Waits,
}

impl MxTalker {
    /// Talks with port 25 of public addresses, and verifies with the system's authorities.
    pub fn public(helo: Option<String>) -> Self {
        let verify = Verify::System;
        Self { helo, verify, reach: Reach::Public, port: 25, waits: Waits::STANDARD }
    }

    /// The whole dialogue.
    async fn run(&self, host: &Name, address: IpAddr) -> Result<Spoken, DialogueFault> {
        if !self.reach.allows(address) {
            return Err(DialogueFault::NotPublic);
        }
        let stream = self.connect(address).await?;
        let helo = match &self.helo {
            Some(name) => name.clone(),
            None => literal(stream.local_addr().map_or(address, |own| own.ip())),
        };
        let mut line =
            Line { stream, pending: Vec::new(), reader: ReplyReader::default(), wait: self.waits.reply };
        let greeting = line.receive().await?;
        if !greeting.is_positive() {
            line.quit().await;
            return Err(DialogueFault::Refused(short(&greeting.to_string())));
        }
        let extensions = match line.ehlo(&helo).await? {
            Ok(extensions) => extensions,
            // It speaks the SMTP of 1982: no extension, and nothing that is wrong with us.
            Err(refusal) if matches!(refusal.code, 500 | 502 | 504) => Vec::new(),
            Err(refusal) => {
                line.quit().await;
                return Err(DialogueFault::Refused(short(&refusal.to_string())));
            }
        };
        let greeting = short(greeting.lines.first().map_or("", String::as_str));
        let spoken = |tls| Spoken { greeting, extensions: extensions.clone(), tls };
        let offers = |keyword: &String| {
            keyword.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("STARTTLS"))
        };
        if !extensions.iter().any(offers) {
            line.quit().await;
            return Ok(spoken(StartTls::NotOffered));
        }
        let reply = line.command("STARTTLS").await?;
        if reply.code != 220 {
            line.quit().await;
            return Ok(spoken(StartTls::Refused(short(&reply.to_string()))));
        }
        // RFC 3207 §4.2 and §5: what comes in the clear after the 220 was not said by the server.
        if !line.pending.is_empty() || !line.reader.is_empty() {
            let why =
                "text in the clear after the reply to STARTTLS: somebody may speak in the server's place";
            return Ok(spoken(StartTls::Failed(why.to_owned())));
        }
        Ok(spoken(self.start_tls(line.stream, host, address, &helo).await?))
    }

    /// Connects.
    async fn connect(&self, address: IpAddr) -> Result<TcpStream, DialogueFault> {
        let connecting = TcpStream::connect(SocketAddr::new(address, self.port));
        match timeout(self.waits.connect, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(match error.kind() {
                std::io::ErrorKind::ConnectionRefused => DialogueFault::ConnectionRefused,
                std::io::ErrorKind::TimedOut => DialogueFault::ConnectTimeout(self.waits.connect.as_secs()),
                _ => DialogueFault::Unreachable(error.to_string()),
            }),
            Err(_) => Err(DialogueFault::ConnectTimeout(self.waits.connect.as_secs())),
        }
    }

    /// Makes the handshake, notes the session, and asks once more what is offered.
    async fn start_tls(
        &self,
        stream: TcpStream,
        host: &Name,
        address: IpAddr,
        helo: &str,
    ) -> Result<StartTls, DialogueFault> {
        // Without authorities, or with a name that no certificate can have, the chain is looked at all the same.
        let client = Client::new(&self.verify, false, host.as_str())
            .or_else(|_| Client::new(&Verify::Off, false, host.as_str()))
            .or_else(|_| Client::new(&Verify::Off, false, &address.to_string()));
        let client = match client {
            Ok(client) => client,
            Err(error) => return Err(DialogueFault::Broken(error.to_string())),
        };
        let connector = TlsConnector::from(Arc::clone(&client.config));
        let stream = match timeout(self.waits.tls, connector.connect(client.name.clone(), stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Ok(StartTls::Failed(short(&error.to_string()))),
            // It need not be their fault: large packets get lost on the way.
            Err(_) => return Err(DialogueFault::ReplyTimeout(self.waits.tls.as_secs())),
        };
        let connection = stream.get_ref().1;
        let facts = client.facts(connection);
        let chain = connection.peer_certificates().unwrap_or_default().iter();
        let chain = chain
            .filter(|certificate| certificate.len() <= limits::DIALOGUE_CERTIFICATE_BYTES)
            .take(limits::DIALOGUE_CHAIN)
            .map(|certificate| certificate.to_vec())
            .collect();
        let mut line =
            Line { stream, pending: Vec::new(), reader: ReplyReader::default(), wait: self.waits.reply };
        // The session is known by now, whatever becomes of the rest.
        let extensions = match line.ehlo(helo).await {
            Ok(Ok(extensions)) => extensions,
            _ => Vec::new(),
        };
        line.quit().await;
        let (version, cipher, verification) = (facts.version, facts.cipher, facts.verification);
        Ok(StartTls::Done(TlsSeen { version, cipher, chain, verification, extensions }))
    }
}

impl MxDialogue for MxTalker {
    fn talk<'a>(&'a self, host: &'a Name, address: IpAddr) -> Talking<'a> {
        Box::pin(async move {
            let outcome = match timeout(self.waits.whole, self.run(host, address)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(DialogueFault::ReplyTimeout(self.waits.whole.as_secs())),
            };
            Dialogue { outcome }
        })
    }

    fn verify(&self, host: &Name, chain: &[Vec<u8>]) -> Verification {
        tls_client::verify_chain(&self.verify, host.as_str(), chain, clock::now())
    }
}

/// Our address as EHLO writes it (RFC 5321 §4.1.3).
fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// A text of a server, cut short.
fn short(text: &str) -> String {
    text.chars().take(limits::REPLY_TEXT_CHARS).collect()
}

// ---- Commands and replies ----

/// The connection, in the clear or not.
struct Line<S> {
    stream: S,
    /// Read and not used yet.
    pending: Vec<u8>,
    reader: ReplyReader,
    /// For one reply.
    wait: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Reads one whole reply within the wait, however slowly it comes.
    async fn receive(&mut self) -> Result<Reply, DialogueFault> {
        let wait = self.wait;
        match timeout(wait, self.receive_unbounded()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DialogueFault::ReplyTimeout(wait.as_secs())),
        }
    }

    /// Reads one whole reply.
    async fn receive_unbounded(&mut self) -> Result<Reply, DialogueFault> {
        let mut buffer = [0; 4096];
        loop {
            let (taken, reply) = self.reader.push(&self.pending).map_err(|error| match error {
                NoReply::Garbage(line) => {
                    DialogueFault::Broken(short(&format!("no reply of SMTP: {line:?}")))
                }
                NoReply::TooLong => DialogueFault::Broken("a reply without end".to_owned()),
            })?;
            self.pending.drain(..taken);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(DialogueFault::Broken("it closed the connection".to_owned())),
                Ok(read) => self.pending.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    /// Sends a command and reads the reply.
    async fn command(&mut self, text: &str) -> Result<Reply, DialogueFault> {
        let bytes = format!("{text}\r\n");
        let sent = timeout(self.wait, async {
            self.stream.write_all(bytes.as_bytes()).await?;
            self.stream.flush().await
        });
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(DialogueFault::ReplyTimeout(self.wait.as_secs())),
        }
        self.receive().await
    }

    /// Says EHLO: the keywords offered, or the reply that refuses.
    async fn ehlo(&mut self, helo: &str) -> Result<Result<Vec<String>, Reply>, DialogueFault> {
        let reply = self.command(&format!("EHLO {helo}")).await?;
        if !reply.is_positive() {
            return Ok(Err(reply));
        }
        // The first line is the greeting (RFC 5321 §4.1.1.1).
        let keywords = reply.lines.iter().skip(1).take(limits::DIALOGUE_KEYWORDS);
        Ok(Ok(keywords.map(|line| short(line)).collect()))
    }

    /// Says good-bye; nothing depends on the answer.
    async fn quit(&mut self) {
        self.wait = self.wait.min(Duration::from_secs(limits::DIALOGUE_QUIT_SECONDS));
        let _ = self.command("QUIT").await;
    }
}

/// A broken connection in words.
fn broken(error: &impl fmt::Display) -> DialogueFault {
    DialogueFault::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_address_is_written_as_the_standard_has_it() {
        assert_eq!(literal(IpAddr::from([192, 0, 2, 1])), "[192.0.2.1]");
        assert_eq!(literal("2001:db8::1".parse().unwrap()), "[IPv6:2001:db8::1]");
    }
}
