//! What a check found, and how: every record with its terms in order, and what each did.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::SpfResult;
use super::record::{Record, Span};
use crate::dns::{Name, NotKnown, Question};

/// Which name was checked (RFC 7208 §2.3, §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// The domain of MAIL FROM, or HELO where the reverse-path is empty.
    MailFrom,
    /// The name in HELO or EHLO.
    Helo,
}

impl Identity {
    /// The word in Received-SPF, views and JSON (RFC 7208 §9.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MailFrom => "mailfrom",
            Self::Helo => "helo",
        }
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The result.
    pub result: SpfResult,
    /// Which name was checked.
    pub identity: Identity,
    /// The domain whose record was asked for, as an A-label, case as given.
    pub domain: String,
    /// The client's address; an IPv4-mapped one is the IPv4 address.
    pub ip: IpAddr,
    /// The explanation of the domain for a fail (RFC 7208 §6.2): words of a stranger.
    pub explanation: Option<String>,
    /// How it came about, beginning with the record of the domain.
    pub trace: Node,
}

/// One record that was evaluated, or the lack of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The name under which the record stands.
    pub domain: String,
    /// The record, if there is exactly one.
    pub record: Option<Arc<Record>>,
    /// The result of this record for the sender.
    pub result: SpfResult,
    /// Why there is no result of a mechanism.
    pub reason: Option<Reason>,
    /// What each term of the record did, in order; empty if none was evaluated.
    pub steps: Vec<Step>,
    /// The number of the term that decided, if one did.
    pub decided: Option<usize>,
    /// Terms that query DNS, evaluated here and below (RFC 7208 §4.6.4).
    pub lookups: u32,
    /// Such terms whose own answer was void, here and below.
    pub voids: u32,
}

/// What one term did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What came of it.
    pub outcome: StepOutcome,
    /// More about it, where there is more.
    pub detail: Option<Box<StepDetail>>,
}

/// More about a term that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepDetail {
    /// The target after its macros were expanded, where it had any.
    pub target: Option<String>,
    /// The record of `include` and `redirect`.
    pub child: Option<Node>,
    /// Terms that query DNS: this one and those below it.
    pub lookups: u32,
    /// Those with a void answer.
    pub voids: u32,
    /// Questions with a void answer, also those for the addresses of mail exchangers, which are not counted.
    pub void_questions: Vec<Question>,
    /// Questions that nobody answered, though that did not decide.
    pub unanswered: Vec<Question>,
    /// Names of the client's address that were left out, beyond the first ten.
    pub names_left_out: usize,
    /// Why it ended the check.
    pub reason: Option<Reason>,
}

/// What came of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepOutcome {
    /// It matched, and so decided.
    Match,
    /// It did not match.
    NoMatch,
    /// Not evaluated: the check had ended before.
    NotReached,
    /// A modifier without part in the result: `exp`, unknown ones, `redirect` where something matched.
    NoPart,
    /// `redirect` was followed.
    Followed,
    /// It ended the check with temperror or permerror.
    Error,
}

impl StepOutcome {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::NoMatch => "no-match",
            Self::NotReached => "not-reached",
            Self::NoPart => "no-part",
            Self::Followed => "followed",
            Self::Error => "error",
        }
    }
}

/// Why a check ended without a mechanism that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// None: the domain cannot be asked for (RFC 7208 §4.3).
    NoDomain,
    /// None: the name does not exist.
    NoName,
    /// None: the name has no SPF record.
    NoRecord,
    /// Permerror: more than one record (RFC 7208 §4.5).
    SeveralRecords(usize),
    /// Permerror: the record has so many faults (RFC 7208 §4.6).
    Faults(usize),
    /// Permerror: more terms that query DNS than allowed (RFC 7208 §4.6.4).
    Lookups(u32),
    /// Permerror: more void answers than allowed (RFC 7208 §4.6.4).
    Voids(u32),
    /// Permerror: so many mail exchangers, more than ten (RFC 7208 §4.6.4).
    Exchangers(usize),
    /// Permerror: `include` or `redirect` leads to a domain without a record (RFC 7208 §5.2, §6.1).
    Leads(Box<Self>),
    /// Temperror or permerror: the record that `include` or `redirect` leads to has it.
    Inner,
    /// Temperror: nobody answered this question.
    NotKnown(Box<(Question, NotKnown)>),
    /// Neutral: nothing matched, and there is no redirect (RFC 7208 §4.7).
    NothingMatched,
}

impl Reason {
    /// The word in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoDomain => "no-domain",
            Self::NoName => "no-name",
            Self::NoRecord => "no-record",
            Self::SeveralRecords(_) => "several-records",
            Self::Faults(_) => "faults",
            Self::Lookups(_) => "lookups",
            Self::Voids(_) => "voids",
            Self::Exchangers(_) => "exchangers",
            Self::Leads(_) => "leads-nowhere",
            Self::Inner => "inner",
            Self::NotKnown(_) => "not-known",
            Self::NothingMatched => "nothing-matched",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDomain => f.write_str("not a domain that can be asked for"),
            Self::NoName => f.write_str("the name does not exist"),
            Self::NoRecord => f.write_str("no SPF record"),
            Self::SeveralRecords(count) => write!(f, "{count} SPF records, where one is allowed"),
            Self::Faults(1) => f.write_str("the record has a fault"),
            Self::Faults(count) => write!(f, "the record has {count} faults"),
            Self::Lookups(most) => write!(f, "more than {most} terms that query DNS"),
            Self::Voids(most) => write!(f, "more than {most} terms with a void answer"),
            Self::Exchangers(count) => write!(f, "{count} mail exchangers, where ten are allowed"),
            Self::Leads(why) => write!(f, "leads to no record: {why}"),
            Self::Inner => f.write_str("the record that it leads to cannot be used"),
            Self::NotKnown(what) => {
                write!(f, "no answer for {}: {}", what.0, what.1.cause.as_str())?;
                if what.1.detail.is_empty() { Ok(()) } else { write!(f, ", {}", what.1.detail) }
            }
            Self::NothingMatched => f.write_str("nothing matched"),
        }
    }
}

impl Verdict {
    /// The question that nobody answered, if that decided (temperror).
    pub fn trouble(&self) -> Option<&(Question, NotKnown)> {
        self.path().into_iter().find_map(|(node, step)| {
            let reasons = [node.reason.as_ref(), step.and_then(|step| step.detail.as_ref()?.reason.as_ref())];
            reasons.into_iter().flatten().find_map(|reason| match reason {
                Reason::NotKnown(what) => Some(&**what),
                _ => None,
            })
        })
    }

    /// The reason of a result without a mechanism: where a record led on to it, that record's.
    pub fn reason(&self) -> Option<&Reason> {
        self.path().into_iter().find_map(|(node, step)| {
            let of_step = step.and_then(|step| step.detail.as_ref()?.reason.as_ref());
            let reasons = [of_step, node.reason.as_ref()];
            reasons.into_iter().flatten().find(|reason| !matches!(reason, Reason::Inner))
        })
    }

    /// The mechanism that decided, as written, with the domain of its record; through `redirect` and `include`
    /// to the innermost one. Absent where none matched.
    pub fn mechanism(&self) -> Option<(&str, String)> {
        let (node, _) = *self
            .path()
            .iter()
            .rev()
            .find(|(_, step)| step.is_some_and(|step| step.outcome == StepOutcome::Match))?;
        Some((node.domain.as_str(), node.decided_text()?))
    }

    /// The records from the first to the one that decided, each with the step that led on.
    pub fn path(&self) -> Vec<(&Node, Option<&Step>)> {
        let mut path = Vec::new();
        let mut next = Some(&self.trace);
        while let Some(node) = next {
            let step = node.decided.and_then(|at| node.steps.get(at));
            path.push((node, step));
            next = step.and_then(|step| step.detail.as_ref()?.child.as_ref());
        }
        path
    }

    /// Terms that query DNS, as far as it was evaluated (RFC 7208 §4.6.4).
    pub const fn lookups(&self) -> u32 {
        self.trace.lookups
    }

    /// Those with a void answer.
    pub const fn voids(&self) -> u32 {
        self.trace.voids
    }

    /// The checked domain as a name; absent where it is none.
    pub fn domain_name(&self) -> Option<Name> {
        Name::from_dotted(&self.domain).ok()
    }
}

impl Node {
    /// The term that decided, as written.
    pub fn decided_text(&self) -> Option<String> {
        let record = self.record.as_ref()?;
        let term = record.terms.get(self.decided?)?;
        Some(record.part(term.span).into_owned())
    }

    /// Where a term stands.
    pub fn span(&self, step: usize) -> Option<Span> {
        Some(self.record.as_ref()?.terms.get(step)?.span)
    }
}
