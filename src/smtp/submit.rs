//! Hands one message for one recipient to a server, and tells exactly how far that came.
//!
//! The dialogue is a state machine without I/O (`submit/dialogue.rs`), driven over tokio and rustls
//! (`submit/driver.rs`). A [`HandOver`] is the whole record: addresses tried, phases with their
//! durations and replies, the TLS session, and one [`Outcome`]:
//!
//! * **accepted**: 2yz to the final dot;
//! * **refused**: 5yz, or the server cannot take such a message (too large, no SMTPUTF8);
//! * **deferred**: 4yz, or anything that went wrong before the final dot was sent;
//! * **in doubt**: the connection was lost, or nonsense came, after the final dot and before its
//!   reply. The server may have the message: it must not be sent again (RFC 5321 §4.5.3.2.6).
//!
//! [`submit`] hands over to one configured server, [`direct::deliver`] to the MX hosts of the recipient's domain.
//!
//! A server that speaks before its turn is not talked with any more: its replies cannot be told apart from then on.
//!
//! Known limits: one recipient a message; MAIL and RCPT are pipelined and DATA is not, so that a
//! refused recipient never leaves an empty message behind (RFC 2920 §3.1 allows both).
//!
//! Passwords are [`Secret`]: they are neither printed, nor kept in the record.
//!
//! Standards: RFC 5321, RFC 1870 (SIZE), RFC 2920 (PIPELINING), RFC 3207 (STARTTLS), RFC 3461 (DSN), RFC 4616
//! (PLAIN), RFC 4954 (AUTH), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 8314 (implicit TLS).

mod dialogue;
pub mod direct;
mod driver;
pub mod reply;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Address, ReversePath};
use crate::probe::lifecycle::{Reason, What};

pub use crate::tls_client::{TlsFacts, Verification, Verify};
pub use direct::MxTried;
pub use driver::submit;
pub use reply::Reply;

// ---- What is asked ----

/// When TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    None,
    /// STARTTLS where the server offers it; a certificate that does not verify is noted only.
    IfOffered,
    /// STARTTLS, or the message is not handed over.
    Required,
    /// From the first byte (RFC 8314 §3.3, port 465).
    Implicit,
}

impl TlsMode {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::IfOffered => "starttls-if-offered",
            Self::Required => "starttls-required",
            Self::Implicit => "implicit",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::IfOffered, Self::Required, Self::Implicit]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// A password or a token: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the wire only.
    fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How to prove who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// PLAIN where it is offered, else LOGIN.
    Password,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN, which has no standard.
    Login,
    /// XOAUTH2 with an access token as the secret.
    XOauth2,
}

/// Who we are to a submission server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password or access token.
    pub secret: Secret,
    /// How.
    pub mechanism: Mechanism,
    /// True if they may go over a connection without TLS, or with a certificate that does not verify.
    pub is_allowed_in_clear: bool,
}

/// Waits of one hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For one address to answer.
    pub connect: Duration,
    /// For the TLS handshake.
    pub tls: Duration,
    /// For one whole reply.
    pub reply: Duration,
    /// For one block of data to be taken.
    pub block: Duration,
    /// For the reply to the final dot.
    pub dot: Duration,
}

impl Timeouts {
    /// The waits of `limits`.
    pub const STANDARD: Self = Self {
        connect: limits::SUBMIT_CONNECT_TIMEOUT,
        tls: limits::TLS_HANDSHAKE_TIMEOUT,
        reply: limits::SUBMIT_TIMEOUT,
        block: limits::DATA_BLOCK_TIMEOUT,
        dot: limits::SUBMIT_DOT_TIMEOUT,
    };
}

/// To which server, and how.
#[derive(Debug, Clone)]
pub struct SubmitOptions {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Our name in EHLO.
    pub helo: String,
    /// When TLS is used.
    pub tls: TlsMode,
    /// Against what the server's certificate is verified.
    pub verify: Verify,
    /// The name in the certificate, where it is not `host`.
    pub server_name: Option<String>,
    /// Who we are, if the server wants to know.
    pub credentials: Option<Credentials>,
    /// Our address, to which the connection is bound; absent: the system chooses. Servers of the other family are
    /// not reached then.
    pub source_address: Option<IpAddr>,
    /// What we ask to be told of the delivery, where the server offers it; absent: nothing.
    pub dsn: Option<DsnRequest>,
    /// Waits.
    pub timeouts: Timeouts,
}

/// A request for notices of failure and delay, with the header of the message only (RFC 3461 §4: `NOTIFY=FAILURE,DELAY`,
/// `RET=HDRS`, `ORCPT`). A notice of success is never asked for: the arrival is seen by ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsnRequest {
    /// The identifier that notices repeat (RFC 3461 §4.4), as `Original-Envelope-Id`; at most
    /// [`limits::DSN_ENVID_BYTES`], or it is left out.
    pub envid: String,
}

/// What is handed over.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'m> {
    /// The reverse-path.
    pub mail_from: &'m ReversePath,
    /// The recipient.
    pub rcpt_to: &'m Address,
    /// The message, without dot-stuffing. Bare CR and LF are sent as CRLF (RFC 5321 §2.3.8).
    pub message: &'m [u8],
    /// True if its header or an address is not ASCII: the server must offer SMTPUTF8.
    pub needs_smtputf8: bool,
}

// ---- What came of it ----

/// Steps of the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Looking up the host's addresses, or the domain's MX hosts and theirs.
    Resolve,
    /// Looking up, and fetching, the domain's MTA-STS policy.
    Policy,
    /// Opening the connection.
    Connect,
    /// The greeting.
    Banner,
    /// EHLO, or HELO after it was refused.
    Ehlo,
    /// The STARTTLS command.
    StartTls,
    /// The TLS handshake.
    Tls,
    /// Proving who we are.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The message, without its final dot.
    Body,
    /// The final dot.
    Dot,
    /// QUIT.
    Quit,
}

impl Phase {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Policy => "policy",
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Body => "body",
            Self::Dot => "dot",
            Self::Quit => "quit",
        }
    }
}

/// What went wrong without a reply that says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The host has no address, or the look-up failed.
    #[error("no address of {host}: {cause}")]
    NoAddress {
        /// The host.
        host: String,
        /// Why.
        cause: String,
    },
    /// No address took the connection.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// Nothing came in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The server closed the connection.
    #[error("connection closed by the server")]
    Closed,
    /// The connection broke.
    #[error("connection broken: {0}")]
    Broken(String),
    /// What came is no SMTP reply.
    #[error("not an SMTP reply: {0:.100}")]
    Garbage(String),
    /// A reply with more lines than we read.
    #[error("a reply of more than {} lines", limits::REPLY_LINES)]
    ReplyTooLong,
    /// A reply that makes no sense here.
    #[error("unexpected reply: {0:.200}")]
    Unexpected(String),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// TLS is required and not offered.
    #[error("STARTTLS is required and not offered")]
    NoStartTls,
    /// Bytes in the clear after the reply to STARTTLS: somebody may have put them there.
    #[error("bytes in the clear after the reply to STARTTLS")]
    Injected,
    /// No mechanism that we know is offered.
    #[error("AUTH is wanted and not offered: {0}")]
    NoAuth(String),
    /// Credentials would go over an unsafe connection.
    #[error("credentials are kept back: {0}")]
    UnsafeAuth(&'static str),
    /// The message needs SMTPUTF8 (RFC 6531 §3.2).
    #[error("the message needs SMTPUTF8, which is not offered")]
    NoSmtpUtf8,
    /// The message needs 8BITMIME (RFC 6152 §3).
    #[error("the message needs 8BITMIME, which is not offered")]
    NoEightBit,
    /// The message is larger than the server's SIZE (RFC 1870 §6.1).
    #[error("the message has {size} bytes, the server takes {limit}")]
    TooLarge {
        /// Bytes of the message.
        size: u64,
        /// What the server takes.
        limit: u64,
    },
    /// An address or our name cannot stand in a command.
    #[error("cannot stand in a command: {0:?}")]
    Unwritable(String),
    /// The server said something that nobody had asked for.
    #[error("the server spoke before its turn: {0:.200}")]
    Early(String),
    /// The server's certificate is not one that must be there.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The domain says that it takes no mail (RFC 7505 §3).
    #[error("null MX: {0} takes no mail")]
    NullMx(String),
    /// There is no such domain.
    #[error("no such domain: {0}")]
    NoDomain(String),
    /// No host takes mail for the domain, for good.
    #[error("{0}")]
    NoRoute(String),
    /// The mail would come back to this host (RFC 5321 §5.1).
    #[error("{0}: this host is its most preferred MX, and does not take the mail itself")]
    Loop(String),
    /// DNS does not say who takes mail for the domain.
    #[error("not known who takes the mail: {0}")]
    NotResolved(String),
    /// Every host was left out, by what the domain's own records demand.
    #[error("no MX host may be used: {0}")]
    Barred(String),
}

impl Fault {
    /// The reply code that a server would give for the same, where a standard names one.
    const fn code(&self) -> Option<u16> {
        match self {
            // RFC 7505 §4.1.
            Self::NullMx(_) => Some(556),
            _ => None,
        }
    }

    /// The enhanced status code for it (RFC 3463 §3, RFC 7505 §4.1), where one says more than the text.
    const fn enhanced(&self) -> Option<&'static str> {
        match self {
            Self::NullMx(_) => Some("5.1.10"),
            Self::NoDomain(_) => Some("5.1.2"),
            Self::NoRoute(_) => Some("5.4.4"),
            Self::Loop(_) => Some("5.4.6"),
            Self::NotResolved(_) => Some("4.4.3"),
            Self::Certificate(_) | Self::Barred(_) => Some("4.7.5"),
            _ => None,
        }
    }
}

/// A reply, or the lack of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The server said so.
    Reply(Reply),
    /// It did not.
    Fault(Fault),
}

impl fmt::Display for Cause {
    /// The reply, or the fault in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => reply.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

/// How a hand-over ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server took the message.
    Accepted(Reply),
    /// It will not take it.
    Refused(Phase, Cause),
    /// It did not take it this time.
    Deferred(Phase, Cause),
    /// Nobody knows.
    InDoubt(Fault),
}

impl Outcome {
    /// The event in a probe's life.
    pub fn what(&self) -> What {
        let of = |phase: Phase, cause: &Cause| match cause {
            Cause::Reply(reply) => Reason {
                phase: Some(phase.as_str().to_owned()),
                code: Some(reply.code),
                enhanced: reply.enhanced.clone(),
                text: reply.text(),
            },
            Cause::Fault(fault) => Reason {
                phase: Some(phase.as_str().to_owned()),
                code: fault.code(),
                enhanced: fault.enhanced().map(ToOwned::to_owned),
                text: fault.to_string(),
            },
        };
        match self {
            Self::Accepted(reply) => What::Accepted(of(Phase::Dot, &Cause::Reply(reply.clone()))),
            Self::Refused(phase, cause) => What::Refused(of(*phase, cause)),
            Self::Deferred(phase, cause) => What::Deferred(of(*phase, cause)),
            Self::InDoubt(fault) => What::InDoubt(of(Phase::Dot, &Cause::Fault(fault.clone()))),
        }
    }
}

/// One step as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub phase: Phase,
    /// The command as sent, without secrets; of a connection the host and its address, of a
    /// handshake the TLS session.
    pub sent: Option<String>,
    /// The reply, without secrets.
    pub reply: Option<Reply>,
    /// From its beginning to its reply; for pipelined commands from the sending of the group.
    pub took: Duration,
}

/// One address that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub address: SocketAddr,
    /// How long it took.
    pub took: Duration,
    /// Why it failed; `None` for the one that was used.
    pub fault: Option<String>,
}

/// The record of one hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// When it began.
    pub started_at: Timestamp,
    /// When its outcome was known: `started_at` and the monotonic time since.
    pub ended_at: Timestamp,
    /// The MX hosts tried or passed over, in order; empty unless it went direct to them.
    pub mx: Vec<MxTried>,
    /// The addresses tried, in order.
    pub attempts: Vec<Attempt>,
    /// The address used.
    pub peer: Option<SocketAddr>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The keywords of the last EHLO reply.
    pub extensions: Vec<String>,
    /// The TLS session, if there was one.
    pub tls: Option<TlsFacts>,
    /// The queue id in the reply to the final dot, where its form is known.
    pub queue_id: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
}
