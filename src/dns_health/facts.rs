//! What is known of a domain beside the answers of DNS: who asks, what was fetched, what servers said.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::dns::{Answer, Name, Question};
use crate::dns_health::reported::{KnownRecords, Reported, SeenSignature};
use crate::mail::Address;
use crate::tls_client::{CertificateFault, Verification};

/// What a check of one domain starts from, and what was fetched on the way.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The domain.
    pub domain: Name,
    /// When it is checked.
    pub now: Timestamp,
    /// A label that nobody has published, new for each check: what resolves below it is a wildcard.
    pub nonce: String,
    /// True if mail from it was seen, false if it is known to send none; absent: not known.
    pub is_sender: Option<bool>,
    /// True if it takes the reports of others.
    pub is_report_target: bool,
    /// Selectors to look at, each with where it is known from.
    pub selectors: Vec<KnownSelector>,
    /// Addresses from which its mail comes.
    pub sources: Vec<IpAddr>,
    /// The mail exchangers that its operator wants; empty: no list is kept.
    pub approved_exchangers: Vec<Name>,
    /// Blocklists to ask; empty: none.
    pub blocklists: Vec<Name>,
    /// The mailboxes of ours that take reports, for records to publish.
    pub mailboxes: Mailboxes,
    /// The MTA-STS policy as fetched; absent: not fetched.
    pub policy: Option<Fetched>,
    /// What the MX hosts said, by host and address; empty: not asked.
    pub dialogues: BTreeMap<(Name, IpAddr), Dialogue>,
    /// Whether connections to port 25 leave this machine, as the whole run shows; absent: only this domain's
    /// dialogues show it.
    pub outlet: Option<Outlet>,
    /// What each name server said, by host and address; empty: not asked.
    pub authorities: Vec<Authority>,
    /// What reports say of its mail; absent: no report of it is stored.
    pub reported: Option<Reported>,
    /// Signatures of its mail that arrived here and passed; empty: none did.
    pub signatures: Vec<SeenSignature>,
    /// What the own history knows of its keys and policies.
    pub known: Vec<KnownRecords>,
    /// Why nothing is known of the name servers although they were to be asked.
    pub authorities_silence: Option<&'static str>,
}

impl Facts {
    /// Nothing but the domain and the time.
    pub fn new(domain: Name, now: Timestamp, nonce: impl Into<String>) -> Self {
        Self {
            domain,
            now,
            nonce: nonce.into(),
            is_sender: None,
            is_report_target: false,
            selectors: Vec::new(),
            sources: Vec::new(),
            approved_exchangers: Vec::new(),
            blocklists: Vec::new(),
            mailboxes: Mailboxes::default(),
            policy: None,
            dialogues: BTreeMap::new(),
            outlet: None,
            authorities: Vec::new(),
            reported: None,
            signatures: Vec::new(),
            known: Vec::new(),
            authorities_silence: None,
        }
    }
}

/// The mailboxes of ours that take reports, by what they take; the first of each is written into records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailboxes {
    /// Aggregate reports of DMARC.
    pub aggregate: Vec<Address>,
    /// Failure reports of DMARC.
    pub failure: Vec<Address>,
    /// TLS reports.
    pub tls: Vec<Address>,
    /// The host of this program, to which an MX must lead; absent: not known.
    pub host: Option<Name>,
    /// True if reports are also read elsewhere, such as from mailboxes: then other addresses may be right too.
    pub reads_elsewhere: bool,
}

/// A DKIM selector and where it is known from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSelector {
    /// The selector: one label or several.
    pub selector: String,
    /// Where it is known from.
    pub origin: SelectorOrigin,
}

/// Where a selector is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelectorOrigin {
    /// A signature of mail that arrived.
    Arrival,
    /// An aggregate or failure report.
    Report,
    /// The operator.
    Given,
    /// A list of common names: its absence says nothing.
    Guess,
}

impl SelectorOrigin {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Report => "report",
            Self::Given => "given",
            Self::Guess => "guess",
        }
    }
}

// ---- The policy of MTA-STS ----

/// An attempt to fetch the policy of MTA-STS (RFC 8461 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// From where.
    pub url: String,
    /// What came.
    pub outcome: Result<PolicyResponse, FetchFault>,
}

/// What a web server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyResponse {
    /// The status code.
    pub status: u16,
    /// The media type as written.
    pub content_type: Option<String>,
    /// Where a redirect leads, which is not followed.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFault {
    /// The host's address is private, loopback or otherwise not on the public network.
    #[error("{0} is no public address")]
    NotPublic(IpAddr),
    /// No address took the connection.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// The handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The certificate is not one that senders accept for the host.
    #[error("certificate: {0}")]
    Certificate(CertificateFault),
    /// This machine has no trusted authorities to verify a certificate with.
    #[error("nothing to verify a certificate with: {0}")]
    NoRoots(String),
    /// Not done in time.
    #[error("not done within {0} s")]
    Timeout(u64),
    /// More than a policy may have.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// No HTTP response.
    #[error("no HTTP response: {0}")]
    NotHttp(String),
}

impl FetchFault {
    /// The word in views and JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotPublic(_) => "not-public",
            Self::NoConnection(_) => "no-connection",
            Self::Tls(_) => "tls",
            Self::Certificate(fault) => fault.as_str(),
            Self::NoRoots(_) => "no-roots",
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "too-large",
            Self::NotHttp(_) => "not-http",
        }
    }
}

// ---- What an MX host said ----

/// A dialogue with one address of one MX host: EHLO, STARTTLS, EHLO, QUIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// How far it came.
    pub outcome: Result<Spoken, DialogueFault>,
}

/// What a mail server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// The greeting's text.
    pub greeting: String,
    /// The keywords of the first EHLO, with what follows them.
    pub extensions: Vec<String>,
    /// What became of STARTTLS.
    pub tls: StartTls,
}

/// What became of STARTTLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartTls {
    /// It is not offered.
    NotOffered,
    /// It is offered, and the command was refused with this reply.
    Refused(String),
    /// The handshake failed, and why.
    Failed(String),
    /// TLS is up.
    Done(TlsSeen),
}

/// A TLS session with a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSeen {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite's standard name.
    pub cipher: String,
    /// The chain as served, in DER, the server's own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// Whether the chain leads to a trusted root and has the name.
    pub verification: Verification,
    /// The keywords of the EHLO within TLS, with what follows them.
    pub extensions: Vec<String>,
}

/// Why a mail server said nothing that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialogueFault {
    /// It did not take the connection in time.
    #[error("no connection within {0} s")]
    ConnectTimeout(u64),
    /// The connection was refused.
    #[error("connection refused")]
    ConnectionRefused,
    /// No way to it.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// It took the connection and then said nothing in time.
    #[error("no reply within {0} s")]
    ReplyTimeout(u64),
    /// It refused to talk.
    #[error("refused: {0}")]
    Refused(String),
    /// The connection broke, or what came is no SMTP.
    #[error("{0}")]
    Broken(String),
    /// The address is private, loopback or otherwise not on the public network.
    #[error("no public address")]
    NotPublic,
    /// It was not tried, since no connection to port 25 leaves this machine.
    #[error("not tried: our own port 25 is blocked")]
    NotTried,
    /// It was not tried, since our own name does not resolve, by which it would turn us away.
    #[error("not tried: our own name has no address")]
    NoOwnName,
}

impl DialogueFault {
    /// The word in views and JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ConnectTimeout(_) => "connect-timeout",
            Self::ConnectionRefused => "connection-refused",
            Self::Unreachable(_) => "unreachable",
            Self::ReplyTimeout(_) => "reply-timeout",
            Self::Refused(_) => "refused",
            Self::Broken(_) => "broken",
            Self::NotPublic => "not-public",
            Self::NotTried => "port-25-blocked",
            Self::NoOwnName => "no-own-name",
        }
    }

    /// True if nobody was met: the host may be down, and as well our own port 25 may be blocked.
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::ConnectTimeout(_) | Self::Unreachable(_) | Self::NotTried)
    }
}

/// Whether connections to port 25 leave this machine, as a whole run shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlet {
    /// Some MX host took or refused a connection.
    Open,
    /// None did.
    Silent {
        /// Addresses tried.
        addresses: usize,
        /// Networks in which they are.
        networks: usize,
    },
}

// ---- What a name server said ----

/// What one address of one authoritative name server said, asked directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The server's name.
    pub server: Name,
    /// The address asked.
    pub address: IpAddr,
    /// Its answers, each with whether it spoke as an authority (flag AA).
    pub answers: Vec<(Question, Answer, bool)>,
}
