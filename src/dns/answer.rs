//! Questions and what came back.

use std::fmt;
use std::net::IpAddr;

use super::{Mx, Name, RecordData, RecordType};

/// What is asked: a name and a type, class IN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// Whose records.
    pub name: Name,
    /// Which records.
    pub record_type: RecordType,
}

impl Question {
    /// A question.
    pub fn new(name: Name, record_type: RecordType) -> Self {
        Self { name, record_type }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.record_type.as_str())
    }
}

/// The answer to one question, after aliases were followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Records, their absence, or not known.
    pub outcome: Outcome,
    /// The names that aliases led to, in order; the last one is where the outcome stands. Empty: no alias.
    pub aliases: Vec<Name>,
    /// Seconds for which the answer holds: the least TTL of its records, or how long absence may be
    /// remembered (RFC 2308 §5). Unknown where nothing said so.
    pub ttl: Option<u32>,
    /// What DNSSEC says about it.
    pub security: Security,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// At least one record of the type asked for. Their order means nothing.
    Records(Vec<RecordData>),
    /// The name does not exist: NXDOMAIN.
    NoName,
    /// The name exists and has no such record: NODATA.
    NoType,
    /// Neither: nobody could say.
    NotKnown(NotKnown),
}

/// Why an answer is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotKnown {
    /// The kind of trouble.
    pub cause: Cause,
    /// In words, with what the server said (RFC 8914) where it said anything; may be empty.
    pub detail: String,
}

/// The kinds of trouble with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nobody answered in time.
    Timeout,
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED.
    Refused,
    /// Another error code.
    ErrorCode,
    /// The server referred us upwards or elsewhere instead of answering.
    Lame,
    /// Aliases lead in a circle.
    AliasLoop,
    /// More aliases in a row than are followed.
    AliasChain,
    /// The answer cannot be read.
    Malformed,
    /// DNSSEC says that the answer is forged or broken (RFC 4035 §4.3).
    Bogus,
    /// The server could not be reached.
    Unreachable,
    /// Not asked: the queries or the time allowed for this work were used up.
    Budget,
    /// Not asked: the name cannot be asked for.
    BadName,
}

impl Cause {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::ServerFailure,
        Self::Refused,
        Self::ErrorCode,
        Self::Lame,
        Self::AliasLoop,
        Self::AliasChain,
        Self::Malformed,
        Self::Bogus,
        Self::Unreachable,
        Self::Budget,
        Self::BadName,
    ];

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }

    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ServerFailure => "servfail",
            Self::Refused => "refused",
            Self::ErrorCode => "error-code",
            Self::Lame => "lame",
            Self::AliasLoop => "alias-loop",
            Self::AliasChain => "alias-chain",
            Self::Malformed => "malformed",
            Self::Bogus => "bogus",
            Self::Unreachable => "unreachable",
            Self::Budget => "budget",
            Self::BadName => "bad-name",
        }
    }
}

/// What DNSSEC says about an answer (RFC 4035 §4.3), by our own validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// Proven by a chain of signatures from the trust anchor.
    Secure,
    /// Proven to be unsigned.
    Insecure,
    /// Signed, and the proof fails.
    Bogus,
    /// Not validated.
    NotKnown,
}

impl Security {
    /// What holds for a whole of which one part is `self` and another `other`: the weaker.
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Bogus, _) | (_, Self::Bogus) => Self::Bogus,
            (Self::NotKnown, _) | (_, Self::NotKnown) => Self::NotKnown,
            (Self::Insecure, _) | (_, Self::Insecure) => Self::Insecure,
            (Self::Secure, Self::Secure) => Self::Secure,
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Secure, Self::Insecure, Self::Bogus, Self::NotKnown];
        all.into_iter().find(|security| security.as_str() == text)
    }

    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::Bogus => "bogus",
            Self::NotKnown => "not-known",
        }
    }
}

impl Answer {
    /// An answer of records; absence if there are none.
    pub fn records(records: Vec<RecordData>) -> Self {
        let outcome = if records.is_empty() { Outcome::NoType } else { Outcome::Records(records) };
        Self { outcome, aliases: Vec::new(), ttl: None, security: Security::NotKnown }
    }

    /// The answer that the name does not exist.
    pub fn no_name() -> Self {
        Self { outcome: Outcome::NoName, aliases: Vec::new(), ttl: None, security: Security::NotKnown }
    }

    /// The answer that nobody could say.
    pub fn not_known(cause: Cause, detail: impl Into<String>) -> Self {
        let not_known = NotKnown { cause, detail: detail.into() };
        let security = if cause == Cause::Bogus { Security::Bogus } else { Security::NotKnown };
        Self { outcome: Outcome::NotKnown(not_known), aliases: Vec::new(), ttl: None, security }
    }

    /// The records; none where they are absent or not known.
    pub fn data(&self) -> &[RecordData] {
        match &self.outcome {
            Outcome::Records(records) => records,
            _ => &[],
        }
    }

    /// Why the answer is not known, if it is not.
    pub fn trouble(&self) -> Option<&NotKnown> {
        match &self.outcome {
            Outcome::NotKnown(not_known) => Some(not_known),
            _ => None,
        }
    }

    /// True if the name or its records are known to be absent (a void look-up, RFC 7208 §4.6.4).
    pub fn is_void(&self) -> bool {
        matches!(self.outcome, Outcome::NoName | Outcome::NoType)
    }

    /// The texts, each with its strings joined, as octets.
    pub fn texts(&self) -> impl Iterator<Item = Vec<u8>> {
        self.data().iter().filter_map(RecordData::text)
    }

    /// The addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.data().iter().filter_map(|data| match data {
            RecordData::A(address) => Some(IpAddr::V4(*address)),
            RecordData::Aaaa(address) => Some(IpAddr::V6(*address)),
            _ => None,
        })
    }

    /// The mail exchangers, most preferred first; equals by name.
    pub fn exchangers(&self) -> Vec<&Mx> {
        let mut exchangers: Vec<&Mx> = self
            .data()
            .iter()
            .filter_map(|data| match data {
                RecordData::Mx(mx) => Some(mx),
                _ => None,
            })
            .collect();
        exchangers.sort();
        exchangers
    }

    /// The names of PTR, NS or CNAME records.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.data().iter().filter_map(|data| match data {
            RecordData::Ptr(name) | RecordData::Ns(name) | RecordData::Cname(name) => Some(name),
            _ => None,
        })
    }
}
