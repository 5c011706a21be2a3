//! DMARC aggregate reports (RFC 9990 and the older RFC 7489 appendix C): the values of one report.
//!
//! [`reader`] makes them from XML. Words outside the standard are kept, never folded into known ones.

mod build;
mod element;
pub mod reader;
mod text;
mod values;
mod window;

pub use build::EachRecord;
pub use reader::{ReadReport, Reader};

use std::net::IpAddr;

use crate::mail::DomainName;

/// The head of one aggregate report: all but its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AggregateReport {
    /// `version`, as written.
    pub version: Option<String>,
    /// The XML namespace of the root, as written.
    pub namespace: Option<String>,
    /// `org_name`, trimmed.
    pub org_name: Option<String>,
    /// `email`, trimmed.
    pub email: Option<String>,
    /// `extra_contact_info`, trimmed.
    pub extra_contact_info: Option<String>,
    /// `report_id`, as written; empty if there was none.
    pub report_id: String,
    /// `date_range/begin`: UTC seconds, first second of the period.
    pub begin: i64,
    /// `date_range/end`: UTC seconds, as reported (usually the last second of the period).
    pub end: i64,
    /// `error` elements, at most [`crate::limits::REPORT_ERRORS`].
    pub errors: Vec<String>,
    /// `generator` (RFC 9990 §3.1.1.3).
    pub generator: Option<String>,
    /// `policy_published`.
    pub policy: PolicyPublished,
}

/// The policy that the reporter found in DNS, as written and trimmed; absent is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyPublished {
    /// `domain`: the policy domain.
    pub domain: Option<DomainName>,
    /// `p`.
    pub p: Option<String>,
    /// `sp`; absent inherits `p`.
    pub sp: Option<String>,
    /// `np` (RFC 9990).
    pub np: Option<String>,
    /// `adkim`; absent is relaxed.
    pub adkim: Option<String>,
    /// `aspf`; absent is relaxed.
    pub aspf: Option<String>,
    /// `pct` (RFC 7489).
    pub pct: Option<String>,
    /// `fo`.
    pub fo: Option<String>,
    /// `testing` (RFC 9990).
    pub testing: Option<String>,
    /// `discovery_method` (RFC 9990).
    pub discovery_method: Option<String>,
}

/// One record: what one source did with one set of identifiers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// `row/source_ip`.
    pub source: Source,
    /// `row/count`: messages; absent where it could not be read.
    pub count: Option<u64>,
    /// `policy_evaluated/disposition`.
    pub disposition: Disposition,
    /// `policy_evaluated/dkim`: DKIM aligned and passing.
    pub dkim: Evaluated,
    /// `policy_evaluated/spf`: SPF aligned and passing.
    pub spf: Evaluated,
    /// `policy_evaluated/reason`, at most [`crate::limits::RECORD_REASONS`].
    pub reasons: Vec<Reason>,
    /// `identifiers/header_from`: the author domain; absent means the policy domain.
    pub header_from: Option<DomainName>,
    /// `identifiers/envelope_from`, as written and trimmed. `Some("")`: stated as empty (null reverse-path).
    pub envelope_from: Option<String>,
    /// `identifiers/envelope_to`, as written and trimmed.
    pub envelope_to: Option<String>,
    /// `auth_results/dkim`, in order, at most [`crate::limits::RECORD_AUTH_RESULTS`].
    pub dkim_results: Vec<DkimResult>,
    /// `auth_results/spf`, in order, at most [`crate::limits::RECORD_AUTH_RESULTS`].
    pub spf_results: Vec<SpfResult>,
}

impl Record {
    /// True if DMARC passes as the reporter evaluated it: an aligned pass of SPF or DKIM.
    pub fn passes_dmarc(&self) -> bool {
        self.dkim.is_pass() || self.spf.is_pass()
    }

    /// Messages of this record; an unreadable count is none (and a deviation).
    pub fn messages(&self) -> u64 {
        self.count.unwrap_or(0)
    }

    /// Bytes that the record takes, about: its texts and the structs around them.
    pub fn memory_bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let result = |result: &AuthResult| result.word.len() + text(&result.written);
        let dkim = self.dkim_results.iter().map(|dkim| {
            let texts = text(&dkim.domain) + text(&dkim.selector) + text(&dkim.human_result);
            size_of::<DkimResult>() + texts + result(&dkim.result)
        });
        let spf = self.spf_results.iter().map(|spf| {
            let texts = text(&spf.domain) + text(&spf.scope) + text(&spf.human_result);
            size_of::<SpfResult>() + texts + result(&spf.result)
        });
        let reasons =
            self.reasons.iter().map(|reason| size_of::<Reason>() + reason.kind.len() + text(&reason.comment));
        let source = match &self.source {
            Source::Text(text) => text.len(),
            Source::Ip(_) | Source::Missing => 0,
        };
        let words = [self.disposition.as_str(), self.dkim.as_str(), self.spf.as_str()];
        size_of::<Self>()
            + source
            + words.iter().map(|word| word.len()).sum::<usize>()
            + text(&self.envelope_from)
            + text(&self.envelope_to)
            + dkim.chain(spf).chain(reasons).sum::<usize>()
    }

    /// Empties the record and keeps its memory.
    pub fn clear(&mut self) {
        self.source = Source::Missing;
        self.count = None;
        self.disposition = Disposition::Missing;
        self.dkim = Evaluated::Missing;
        self.spf = Evaluated::Missing;
        self.reasons.clear();
        self.header_from = None;
        self.envelope_from = None;
        self.envelope_to = None;
        self.dkim_results.clear();
        self.spf_results.clear();
    }
}

/// The source of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An address; IPv4-mapped IPv6 is IPv4.
    Ip(IpAddr),
    /// Text that is no address, as written and trimmed.
    Text(String),
    /// Nothing.
    #[default]
    Missing,
}

/// What the reporter did with the messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// `none`.
    None,
    /// `pass` (RFC 9990 §3.1.1.9; outside RFC 7489).
    Pass,
    /// `quarantine`.
    Quarantine,
    /// `reject`.
    Reject,
    /// Another word, as written.
    Other(String),
    /// Absent or empty.
    #[default]
    Missing,
}

impl Disposition {
    /// The word, as in the standard or as written; empty for none.
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Other(text) => text,
            Self::Missing => "",
        }
    }
}

/// A result in `policy_evaluated`: only a literal `pass` is a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evaluated {
    /// `pass`.
    Pass,
    /// `fail`.
    Fail,
    /// Another word, as written: not a pass.
    Other(String),
    /// Absent or empty: not a pass.
    #[default]
    Missing,
}

impl Evaluated {
    /// True for `pass` alone.
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }

    /// The word, as in the standard or as written; empty for none.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Other(text) => text,
            Self::Missing => "",
        }
    }
}

/// Why the disposition differs from the policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// `type`, as written in lower case (an open list: RFC 9990 §3.1.6).
    pub kind: String,
    /// `comment`, trimmed.
    pub comment: Option<String>,
}

/// A raw DKIM result.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct DkimResult {
    /// `domain` (d=), lower case; absent where the reporter left it out.
    pub domain: Option<String>,
    /// `selector` (s=), as written.
    pub selector: Option<String>,
    /// `result`.
    pub result: AuthResult,
    /// `human_result`.
    pub human_result: Option<String>,
}

/// A raw SPF result.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct SpfResult {
    /// `domain`, lower case.
    pub domain: Option<String>,
    /// `scope`, as written in lower case.
    pub scope: Option<String>,
    /// `result`.
    pub result: AuthResult,
    /// `human_result`.
    pub human_result: Option<String>,
}

/// A raw authentication result word (RFC 8601 §2.7), with what was written where it differs.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct AuthResult {
    /// The word of the standard: `none pass fail softfail neutral policy temperror permerror`;
    /// another word as written in lower case; empty for none.
    pub word: std::borrow::Cow<'static, str>,
    /// What was written, where it was another word (`hardfail`, `unknown`, `error`, `invalid`).
    pub written: Option<String>,
}
