//! What can go wrong with a mailbox, in words.

use std::time::Duration;

use crate::limits;

/// Why a mailbox, or one folder of it, could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection: the server or the network. Try again.
    #[error("no connection: {0}")]
    Connect(String),
    /// No TLS: the certificate, or the operator's choice of TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// STARTTLS is configured and not offered: nothing was sent.
    #[error("the server offers no STARTTLS; nothing was sent to it")]
    NoStartTls,
    /// Text came in the clear behind the answer to STARTTLS: somebody stands in between.
    #[error("text in the clear behind the answer to STARTTLS: it may be somebody else's")]
    Injected,
    /// Nothing came. Try again.
    #[error("no answer in {} s", .0.as_secs())]
    Timeout(Duration),
    /// The server closed, perhaps with a word. Try again.
    #[error("the server closed the connection{0}")]
    Closed(Said),
    /// What came is none of the protocol.
    #[error("not understood: {0}")]
    Garbage(String),
    /// A line or an answer over our cap.
    #[error("{what} over the cap of {cap} bytes")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// The cap, bytes.
        cap: u64,
    },
    /// A message over our cap, whatever its size was said to be.
    #[error("a message of {bytes} bytes came, over the cap of {cap}")]
    TooLarge {
        /// Its size, bytes.
        bytes: u64,
        /// The cap, bytes.
        cap: u64,
    },
    /// User, password or token were refused: the operator.
    #[error("the server refuses the sign-in: {0}")]
    SignIn(String),
    /// There is no way to sign in that both know.
    #[error("no way to sign in: {0}")]
    NoMechanism(String),
    /// A password or token cannot be had; the text says how to mend it.
    #[error("{0}")]
    Credentials(String),
    /// The server refuses a command.
    #[error("{command}: {text}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What the server said.
        text: String,
    },
    /// The store cannot take messages now. Try again.
    #[error("{0}")]
    Keep(String),
}

/// What a server said when it closed; may be nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said(pub Option<String>);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl Fault {
    /// The server closed without a word.
    pub(super) const fn closed() -> Self {
        Self::Closed(Said(None))
    }

    /// True if the operator must do something before it can get better: waits are longer then.
    pub const fn is_sign_in(&self) -> bool {
        matches!(self, Self::SignIn(_) | Self::NoMechanism(_) | Self::Credentials(_))
    }

    /// True if the connection is of no more use.
    pub(super) const fn ends_connection(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// A server's text on one line without controls, cut to what a message of ours has room for.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace(char::is_control, " ");
    let text = text.trim();
    match text.char_indices().nth(limits::MAILBOX_TEXT_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_servers_are_one_line_without_controls() {
        assert_eq!(shown(b" +OK\x00\x1b[2J\r\n\xc2\x9bx \r\n"), "+OK  [2J   x");
        assert_eq!(shown("\u{e9}".repeat(1_000).as_bytes()).chars().count(), limits::MAILBOX_TEXT_CHARS + 1);
    }
}
