//! What a mailbox reader needs to know.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits;
use crate::tls_client::Verify;

/// The protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxKind {
    /// IMAP4rev1 or rev2.
    Imap,
    /// POP3.
    Pop3,
    /// A folder of this machine in the form of Maildir++.
    Maildir,
}

impl MailboxKind {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Maildir => "maildir",
        }
    }
}

/// TLS on the way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxTls {
    /// From the first byte (RFC 8314 §3.2 and §3.3).
    Implicit,
    /// STARTTLS or STLS; without it nothing is sent.
    StartTls,
    /// None: for servers on this machine.
    None,
}

/// What becomes of messages that were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// They stay as they are; the folder is opened for reading only.
    Leave,
    /// They are moved, IMAP only.
    Move {
        /// The folder for what was read, also ordinary mail.
        read: String,
        /// The folder for what could not be read.
        unread: String,
    },
}

/// Waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, and for the TLS handshake.
    pub connect: Duration,
    /// For the next bytes.
    pub reply: Duration,
    /// For one command with all that it brings.
    pub command: Duration,
}

impl Timeouts {
    /// The waits of [`limits`].
    pub const STANDARD: Self = Self {
        connect: limits::MAILBOX_CONNECT_TIMEOUT,
        reply: limits::MAILBOX_REPLY_TIMEOUT,
        command: limits::MAILBOX_COMMAND_TIMEOUT,
    };
}

/// One mailbox.
#[derive(Debug, Clone)]
pub struct MailboxOptions {
    /// Its name in the configuration.
    pub name: String,
    /// The protocol.
    pub kind: MailboxKind,
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS.
    pub tls: MailboxTls,
    /// Against what the certificate is verified.
    pub verify: Verify,
    /// The user, who is part of the account's name.
    pub user: String,
    /// The folders to read; POP3 has one, `INBOX`.
    pub folders: Vec<String>,
    /// What becomes of messages that were kept.
    pub after: After,
    /// Wait between two looks.
    pub poll: Duration,
    /// True to be told of new mail where the server can (IDLE, RFC 2177); IMAP only.
    pub idle: bool,
    /// Largest message, bytes; larger ones are named and left.
    pub message_bytes: u64,
    /// Waits.
    pub timeouts: Timeouts,
}

impl MailboxOptions {
    /// The account as it is remembered, whatever its name in the configuration: `imap://user@host`.
    pub fn account(&self) -> String {
        format!("{}://{}@{}", self.kind.as_str(), self.user, self.host.to_ascii_lowercase())
    }
}

/// Which folder is the one for spam.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpamFolder {
    /// The one that the server marks (RFC 6154 §2), else one with a name that such folders have.
    Auto,
    /// This one.
    Named(String),
    /// There is none.
    Nowhere,
}

/// What a watcher of our own messages looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// Probes that arrived.
    Arrivals {
        /// The folder for spam.
        spam: SpamFolder,
        /// Further folders.
        other: Vec<String>,
        /// After how long an arrival is looked for again.
        recheck: Vec<Duration>,
    },
    /// Bounces, delay notices and answers about probes.
    Bounces,
}

/// Where a watcher looks.
#[derive(Debug, Clone)]
pub enum Source {
    /// An account: how to reach it. Its folders are not used.
    Account(Box<MailboxOptions>),
    /// A Maildir.
    Maildir(PathBuf),
}

/// A watcher of our own messages in a mailbox that is somebody else's or the sending account's.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Its name in the configuration.
    pub name: String,
    /// Where.
    pub source: Source,
    /// What for.
    pub aim: Aim,
    /// The folders in which it looks first: the inbox.
    pub inbox: Vec<String>,
    /// Longest wait between two looks.
    pub poll: Duration,
    /// Largest message of ours that is fetched, bytes.
    pub message_bytes: u64,
}

impl WatchOptions {
    /// The account as it is remembered: apart from the same one read for reports.
    pub fn account(&self) -> String {
        let aim = match self.aim {
            Aim::Arrivals { .. } => "watch",
            Aim::Bounces => "bounces",
        };
        match &self.source {
            Source::Account(options) => format!("{aim} {}", options.account()),
            Source::Maildir(path) => format!("{aim} maildir://{}", path.display()),
        }
    }

    /// What its looks are told under.
    pub fn eye(&self) -> String {
        super::arrival::eye_of(&self.name)
    }
}

/// How to sign in. Printing it never shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A password.
    Password(String),
    /// An OAuth 2.0 access token.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(hidden)",
            Self::Token(_) => "Token(hidden)",
        })
    }
}

impl Credentials {
    /// A text of the server without the secret, should it have sent it back.
    pub(super) fn redact(&self, text: &str) -> String {
        let (Self::Password(secret) | Self::Token(secret)) = self;
        if secret.is_empty() { text.to_owned() } else { text.replace(secret.as_str(), "…") }
    }
}
