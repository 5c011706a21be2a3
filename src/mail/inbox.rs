//! The hand-over between the network and the core.

use std::fmt;
use std::future::Future;

use crate::mail::{Address, Body, Envelope};

/// The id of one received message: unique in a store, rising with time within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub i64);

impl fmt::Display for MessageId {
    /// Lower-case base 36: short enough for a reply, safe in any file name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; 16];
        let mut at = digits.len();
        let mut rest = self.0.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 || at == 0 {
                break;
            }
        }
        f.write_str(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }
}

impl MessageId {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let ok = !text.is_empty() && text.len() <= 13 && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !ok {
            return None;
        }
        i64::from_str_radix(text, 36).ok().filter(|id| *id >= 0).map(Self)
    }
}

/// What a recipient address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// DMARC aggregate reports (`rua=`).
    Reports,
    /// DMARC failure reports (`ruf=`).
    Failures,
    /// SMTP TLS reports.
    Tls,
    /// Probes.
    Probe,
    /// Bounces of our probes.
    Bounce,
    /// Replies and mail of watched mailboxes.
    Watch,
    /// Abuse feedback loops.
    Fbl,
    /// `postmaster@` (RFC 5321 §4.5.1).
    Postmaster,
    /// `abuse@` (RFC 2142 §2).
    Abuse,
}

impl Purpose {
    /// All purposes, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Reports,
        Self::Failures,
        Self::Tls,
        Self::Probe,
        Self::Bounce,
        Self::Watch,
        Self::Fbl,
        Self::Postmaster,
        Self::Abuse,
    ];

    /// The word in the configuration, the store and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reports => "reports",
            Self::Failures => "failures",
            Self::Tls => "tls",
            Self::Probe => "probe",
            Self::Bounce => "bounce",
            Self::Watch => "watch",
            Self::Fbl => "fbl",
            Self::Postmaster => "postmaster",
            Self::Abuse => "abuse",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// A refusal as the peer sees it, and its cause as the log sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Reply code, 4xx or 5xx (RFC 5321 §4.2.1).
    pub code: u16,
    /// Enhanced status code (RFC 3463 §2).
    pub enhanced: &'static str,
    /// Text for the peer, one line of ASCII without our internals.
    pub text: String,
    /// The cause for the log.
    pub cause: String,
}

impl Refusal {
    /// Makes a refusal; `cause` is only logged.
    pub fn new(code: u16, enhanced: &'static str, text: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { code, enhanced, text: text.into(), cause: cause.into() }
    }

    /// True if the peer may try again later.
    pub const fn is_temporary(&self) -> bool {
        self.code < 500
    }
}

/// Takes messages from the network. The receiver knows nothing more of what stands behind it.
pub trait Inbox: Send + Sync + 'static {
    /// Says what an address is for, or why it is refused at RCPT. Must not block.
    ///
    /// `client` is the peer, for the limits on forged tokens.
    fn recipient(&self, address: &Address, client: Option<std::net::IpAddr>) -> Result<Purpose, Refusal>;

    /// Says at MAIL whether there is room for a message of `size_bytes` (0 if not declared).
    fn has_room(&self, size_bytes: u64) -> Result<(), Refusal>;

    /// Keeps a message. Resolves when it is durable: only then may the peer get its 250
    /// (RFC 5321 §6.1).
    fn accept(
        &self,
        envelope: Envelope,
        body: Body,
    ) -> impl Future<Output = Result<MessageId, Refusal>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        for id in [0, 1, 35, 36, 1 << 40, i64::MAX] {
            assert_eq!(MessageId::parse(&MessageId(id).to_string()), Some(MessageId(id)));
        }
        assert_eq!(MessageId::parse(""), None);
        assert_eq!(MessageId::parse("-1"), None);
        assert_eq!(MessageId::parse("zzzzzzzzzzzzz"), None);
    }
}
