//! What a check may find: codes, findings with their mend, and the other outcomes of a check.

use std::fmt::Display;

use crate::dns::{Name, NotKnown, RecordType};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A fact worth knowing; nothing to do.
    Info,
    /// Could be better.
    Note,
    /// Works, but is at risk.
    Warning,
    /// A standard is broken and receivers act on it.
    Error,
    /// Mail is lost, or anybody may forge it, now.
    Critical,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::Error, Self::Warning, Self::Note, Self::Info];

    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Info => "info",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

/// One thing that is checked. Codes are a contract: they are added, never renamed.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable code, such as `MX-CNAME`.
    pub code: &'static str,
    /// How bad it usually is; a finding may say otherwise.
    pub severity: Severity,
    /// The standards' sections; `-` where there is none.
    pub standard: &'static str,
    /// What is found, in words.
    pub about: &'static str,
    /// What to do, in general; `-` where there is nothing to do.
    pub mend: &'static str,
}

/// Declares the codes of one file of checks, and `CODES`, the list of them.
macro_rules! codes {
    ($($name:ident = $code:literal, $severity:ident, $standard:literal, $about:literal, $mend:literal;)+) => {
        $(
            #[doc = $about]
            pub static $name: $crate::dns_health::finding::Code = $crate::dns_health::finding::Code {
                code: $code,
                severity: $crate::dns_health::finding::Severity::$severity,
                standard: $standard,
                about: $about,
                mend: $mend,
            };
        )+
        /// The codes of this file, in the order of the catalogue.
        pub static CODES: &[&$crate::dns_health::finding::Code] = &[$(&$name),+];
    };
}
pub(crate) use codes;

/// A record that mends a finding, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordToPublish {
    /// Its name.
    pub name: Name,
    /// The zone in which it stands, where that is known.
    pub zone: Option<Name>,
    /// Its type.
    pub record_type: RecordType,
    /// Its data as a zone file writes it.
    pub value: String,
    /// The records that it replaces, as a zone file writes them.
    pub old: Vec<String>,
}

impl RecordToPublish {
    /// A record that replaces nothing; `value` as a zone file writes it.
    pub fn new(name: Name, record_type: RecordType, value: impl Into<String>) -> Self {
        Self { name, zone: None, record_type, value: value.into(), old: Vec::new() }
    }

    /// A text record: the text is quoted, and cut into strings of 255 octets (RFC 1035 §3.3).
    pub fn text(name: Name, text: &str) -> Self {
        let strings = text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect();
        Self::new(name, RecordType::Txt, crate::dns::RecordData::Txt(strings).to_string())
    }

    /// Names the records that it replaces.
    pub fn replaces(mut self, old: impl IntoIterator<Item = String>) -> Self {
        self.old.extend(old);
        self
    }

    /// The name as it is typed into the zone's panel: relative to the zone, `@` for its apex; the whole name
    /// where the zone is not known.
    pub fn relative_name(&self) -> String {
        let Some(zone) = self.zone.as_ref().filter(|zone| self.name.is_within(zone)) else {
            return self.name.as_str().to_owned();
        };
        if self.name == *zone {
            return "@".to_owned();
        }
        let front = self.name.as_str().strip_suffix(zone.as_str()).unwrap_or(self.name.as_str());
        front.trim_end_matches('.').to_owned()
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub code: &'static Code,
    /// How bad it is here.
    pub severity: Severity,
    /// The name, host or record that it is about.
    pub subject: String,
    /// What was seen.
    pub evidence: String,
    /// What to do; empty where there is nothing to do.
    pub mend: String,
    /// The record to publish, where there is one.
    pub publish: Option<RecordToPublish>,
}

impl Finding {
    /// A finding of the usual severity with the usual mend.
    pub fn new(code: &'static Code, subject: impl Display, evidence: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity,
            subject: subject.to_string(),
            evidence: evidence.into(),
            mend: if code.mend == "-" { String::new() } else { code.mend.to_owned() },
            publish: None,
        }
    }

    /// Says how bad it is here.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Says what to do here.
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = mend.into();
        self
    }

    /// Adds the record to publish.
    pub fn publish(mut self, record: RecordToPublish) -> Self {
        self.publish = Some(record);
        self
    }
}

/// How one check of one subject ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Looked at and in order.
    Pass,
    /// Something was found.
    Found(Box<Finding>),
    /// Nobody could say: never counts as missing, never lowers the grade.
    NotKnown {
        /// The kind of trouble: a word of [`crate::dns::Cause`], or of another way of asking.
        cause: String,
        /// In words.
        detail: String,
    },
    /// Makes no sense for this domain, and why.
    NotApplicable(String),
}

impl State {
    /// The word in views and JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Found(_) => "finding",
            Self::NotKnown { .. } => "not-known",
            Self::NotApplicable(_) => "not-applicable",
        }
    }
}

/// One check of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was checked.
    pub code: &'static Code,
    /// Of which name, host or record.
    pub subject: String,
    /// How it ended.
    pub state: State,
}

/// What a file of checks says of one domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// Each check.
    pub all: Vec<Checked>,
}

impl Checks {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a check found nothing.
    pub fn pass(&mut self, code: &'static Code, subject: impl Display) {
        self.all.push(Checked { code, subject: subject.to_string(), state: State::Pass });
    }

    /// Notes a finding.
    pub fn find(&mut self, finding: Finding) {
        let (code, subject) = (finding.code, finding.subject.clone());
        self.all.push(Checked { code, subject, state: State::Found(Box::new(finding)) });
    }

    /// Notes what DNS did not say.
    pub fn unknown(&mut self, code: &'static Code, subject: impl Display, trouble: &NotKnown) {
        self.unknown_for(code, subject, trouble.cause.as_str(), &trouble.detail);
    }

    /// Notes what nobody said, for another reason than DNS.
    pub fn unknown_for(&mut self, code: &'static Code, subject: impl Display, cause: &str, detail: &str) {
        let state = State::NotKnown { cause: cause.to_owned(), detail: detail.to_owned() };
        self.all.push(Checked { code, subject: subject.to_string(), state });
    }

    /// Notes that a check makes no sense here.
    pub fn skip(&mut self, code: &'static Code, subject: impl Display, reason: impl Into<String>) {
        let state = State::NotApplicable(reason.into());
        self.all.push(Checked { code, subject: subject.to_string(), state });
    }

    /// Notes what a list of evidence says: a finding of each, or one pass.
    pub fn judge(&mut self, code: &'static Code, subject: &Name, found: Vec<Finding>) {
        if found.is_empty() {
            self.pass(code, subject);
        }
        for finding in found {
            self.find(finding);
        }
    }

    /// The findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.all.iter().filter_map(|checked| match &checked.state {
            State::Found(finding) => Some(&**finding),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_ordered_and_named() {
        assert!(Severity::Critical > Severity::Error && Severity::Error > Severity::Warning);
        assert!(Severity::Warning > Severity::Note && Severity::Note > Severity::Info);
        for severity in Severity::ALL {
            assert_eq!(Severity::parse(severity.as_str()), Some(severity));
        }
        assert_eq!(Severity::parse("fatal"), None);
    }

    #[test]
    fn records_are_named_as_a_panel_wants_them() {
        let name = |text| Name::from_dotted(text).unwrap();
        for (record, zone, want) in [
            ("_dmarc.example.com", Some("example.com"), "_dmarc"),
            ("example.com", Some("example.com"), "@"),
            ("_dmarc.sub.example.com", Some("example.com"), "_dmarc.sub"),
            ("_dmarc.example.com", Some("example.net"), "_dmarc.example.com"),
            ("_dmarc.example.com", None, "_dmarc.example.com"),
        ] {
            let mut record = RecordToPublish::text(name(record), "v=DMARC1");
            record.zone = zone.map(name);
            assert_eq!(record.relative_name(), want);
        }
        let long = RecordToPublish::text(name("a.example"), &"x".repeat(300));
        assert_eq!(long.value, format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45)));
    }
}
