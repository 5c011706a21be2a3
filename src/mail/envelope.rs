//! What surrounds a message: who brought it, how, from whom and for whom, and its bytes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::{Address, ReversePath};

/// How a message came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Received by our own SMTP sink.
    Smtp,
    /// Read from a file by `import`.
    Import,
    /// Read from a mailbox.
    Mailbox,
}

impl Origin {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Import => "import",
            Self::Mailbox => "mailbox",
        }
    }
}

/// What proves who brought a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerSource {
    /// The connection itself.
    Connection,
    /// The PROXY header of a trusted proxy.
    Proxy,
    /// XFORWARD of a trusted relay.
    Xforward,
    /// The `Received` line of a trusted relay.
    Received,
}

impl PeerSource {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Proxy => "proxy",
            Self::Xforward => "xforward",
            Self::Received => "received",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Connection, Self::Proxy, Self::Xforward, Self::Received]
            .into_iter()
            .find(|source| source.as_str() == text)
    }
}

/// The TLS session over which a message came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite's standard name.
    pub cipher: String,
    /// The server name that the client asked for, as it stood in the handshake.
    pub server_name: Option<String>,
}

/// The envelope of one message, as known at its arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// How it came.
    pub origin: Origin,
    /// When its last byte was here.
    pub received_at: Timestamp,
    /// The true peer: who brought the message to us or to the trusted relay in front of us. Its address
    /// (IPv4-mapped IPv6 is IPv4) and port, 0 if not known. Absent where nothing proves one: mail from a
    /// file or a mailbox, and from a relay that does not tell.
    pub peer: Option<SocketAddr>,
    /// What proves the peer; absent with it.
    pub peer_source: Option<PeerSource>,
    /// The trusted relay that handed the message over; absent where the peer did that itself.
    pub relay: Option<IpAddr>,
    /// The peer's HELO or EHLO name, as sent; never that of the relay.
    pub helo: Option<String>,
    /// True if the peer said EHLO.
    pub is_esmtp: bool,
    /// The TLS session with us, if there was one: with the relay where there is one.
    pub tls: Option<TlsSession>,
    /// The reverse-path; absent where no transport was seen.
    pub mail_from: Option<ReversePath>,
    /// The accepted recipients in order; empty where no transport was seen.
    pub rcpt_to: Vec<Address>,
}

impl Envelope {
    /// The envelope of a message for which no transport was seen.
    pub fn without_transport(origin: Origin, received_at: Timestamp) -> Self {
        Self {
            origin,
            received_at,
            peer: None,
            peer_source: None,
            relay: None,
            helo: None,
            is_esmtp: false,
            tls: None,
            mail_from: None,
            rcpt_to: Vec::new(),
        }
    }
}

/// The peer's address in its canonical form: an IPv4-mapped IPv6 address is the IPv4 address.
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The bytes of a message as received, dots already removed, ended by CRLF.
#[derive(Debug)]
pub enum Body {
    /// At most [`crate::limits::BODY_MEMORY_BYTES`] in memory.
    Memory(Arc<[u8]>),
    /// A file that holds the whole message, already synced to disk. Whoever takes the body owns it.
    Spool(SpoolFile),
}

/// A message in a file beside the database; removed when dropped unless it was kept.
#[derive(Debug)]
pub struct SpoolFile {
    /// The file; dropping it removes it.
    pub path: tempfile::TempPath,
    /// Bytes of the message.
    pub size_bytes: u64,
    /// SHA-256 of the message.
    pub sha256: [u8; 32],
}

impl Body {
    /// Bytes of the message.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Spool(file) => file.size_bytes,
        }
    }
}
