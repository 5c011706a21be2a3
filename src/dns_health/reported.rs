//! What reports, arrivals and the own history say of a domain's mail: facts for checks, and sums over them.
//!
//! Only reports that can be believed count: those that authenticated, and those that the user imported.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::authentication::evidence::Line;
use crate::clock::Timestamp;
use crate::dns::{Answer, Name};

/// What reports of the last days say of a domain's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Days that were looked at.
    pub days: u32,
    /// Of these: days of which at least one report tells.
    pub covered_days: u32,
    /// The policy domain under which the reports came: the domain itself, or one above it.
    pub policy_domain: Name,
    /// Kinds of mail, those with the most messages first.
    pub mail: Vec<ReportedMail>,
    /// Messages of kinds that are left out of `mail`.
    pub cut: u64,
    /// The policy that each reporter found last, the newest first.
    pub policies: Vec<SeenPolicy>,
    /// Who reports by mail, those of the most days first; imported files say nothing about that.
    pub reporters: Vec<SeenReporter>,
    /// When the last report came by mail, however far back; absent: none ever did.
    pub last_received: Option<Timestamp>,
}

/// Mail of one source, author domain and set of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedMail {
    /// Its source; absent where the reporter wrote something else.
    pub source: Option<IpAddr>,
    /// The author domain.
    pub author: Name,
    /// The domain of the reverse-path with the result of SPF in the standard's word.
    pub spf: Option<(Name, String)>,
    /// The same of the name in HELO, from reporters that tell of it.
    pub helo: Option<(Name, String)>,
    /// The domains of signatures, each with whether it verified.
    pub dkim: Vec<(Name, bool)>,
    /// DKIM aligned and passing, as the reporter found.
    pub dkim_aligned: bool,
    /// The same of SPF.
    pub spf_aligned: bool,
    /// Types of the reasons for which the reporter did something else than the policy says.
    pub overrides: Vec<String>,
    /// Messages.
    pub messages: u64,
}

impl ReportedMail {
    /// True if DMARC passed.
    pub const fn passes(&self) -> bool {
        self.dkim_aligned || self.spf_aligned
    }

    /// The result of SPF, if the reverse-path is of this very domain.
    pub fn spf_of(&self, domain: &Name) -> Option<&str> {
        self.spf.as_ref().filter(|(name, _)| name == domain).map(|(_, result)| result.as_str())
    }
}

/// The policy of one reporter's last report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPolicy {
    /// Who reports.
    pub reporter: String,
    /// The period of the report.
    pub begin: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// `p`, `sp`, `np`, `adkim`, `aspf` and `testing` as written; absent where left out.
    pub tags: [Option<String>; 6],
}

/// The names of [`SeenPolicy::tags`].
pub const POLICY_TAGS: [&str; 6] = ["p", "sp", "np", "adkim", "aspf", "testing"];

/// One reporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenReporter {
    /// Its name.
    pub name: String,
    /// Days of which it reported.
    pub days: u32,
    /// The end of the last period of which it reported.
    pub last: Timestamp,
}

/// A signature of mail that arrived and passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSignature {
    /// `s=`.
    pub selector: String,
    /// `d=`.
    pub domain: Name,
    /// The domain of `i=`, if it is written.
    pub identity: Option<Name>,
    /// `a=`.
    pub algorithm: String,
    /// True if it has `l=`.
    pub has_length: bool,
    /// True if no second From can be added (RFC 6376 §8.15).
    pub is_oversigned: bool,
    /// Usual fields that stood there and are not signed.
    pub unsigned: Vec<String>,
    /// Seconds from `t=` to `x=`, if both are written.
    pub lifetime: Option<i64>,
    /// Messages with such a signature.
    pub messages: u64,
}

impl SeenSignature {
    /// The signature of one line of evidence, of one message; nothing for other lines, and for signatures that fail.
    pub fn of(line: &Line) -> Option<Self> {
        if line.method != "dkim" || line.result != "pass" {
            return None;
        }
        let fact =
            |name: &str| line.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let codes: Vec<&str> = fact("note_codes").unwrap_or_default().split(' ').collect();
        let unsigned = fact("fields_unsigned").unwrap_or_default();
        Some(Self {
            selector: fact("selector")?.to_lowercase(),
            domain: Name::from_dotted(&line.subject).ok()?,
            identity: fact("identity_domain").and_then(|domain| Name::from_dotted(domain).ok()),
            algorithm: fact("algorithm").unwrap_or_default().to_owned(),
            has_length: codes.contains(&"body-unsigned") || codes.contains(&"length-in-use"),
            is_oversigned: !codes.contains(&"from-not-oversigned"),
            unsigned: unsigned
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            lifetime: fact("lifetime_seconds").and_then(|seconds| seconds.parse().ok()),
            messages: 1,
        })
    }

    /// True if both tell the same, of however many messages.
    pub fn is_alike(&self, other: &Self) -> bool {
        Self { messages: 0, ..self.clone() } == Self { messages: 0, ..other.clone() }
    }
}

/// Records that the own history knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRecords {
    /// Their name; of type TXT.
    pub name: Name,
    /// The records as zone files write them, sorted.
    pub records: Vec<String>,
    /// Since when they are as they are, or were first seen.
    pub since: Timestamp,
}

impl KnownRecords {
    /// True if an answer says the same.
    pub fn is_still(&self, answer: &Answer) -> bool {
        let mut now: Vec<String> = answer.data().iter().map(ToString::to_string).collect();
        now.sort();
        now.dedup();
        now == self.records
    }
}

/// For how many days the own history has known what an answer says; nothing where it does not know it.
pub fn days_known(known: &[KnownRecords], name: &Name, answer: &Answer, now: Timestamp) -> Option<i64> {
    let known = known.iter().find(|known| known.name == *name && known.is_still(answer))?;
    Some(now.ms().saturating_sub(known.since.ms()) / DAY_MS)
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

impl Reported {
    /// All messages, also those of kinds that are left out.
    pub fn messages(&self) -> u64 {
        self.sum(|_| true).saturating_add(self.cut)
    }

    /// Messages of the kinds for which `is_meant` holds.
    pub fn sum(&self, is_meant: impl Fn(&ReportedMail) -> bool) -> u64 {
        let meant = self.mail.iter().filter(|mail| is_meant(mail));
        meant.fold(0, |sum: u64, mail| sum.saturating_add(mail.messages))
    }

    /// Messages by what `key` says of them, the most first; kinds without a key do not count.
    pub fn sums_by<K: Ord>(&self, key: impl Fn(&ReportedMail) -> Option<K>) -> Vec<(K, u64)> {
        let mut sums: BTreeMap<K, u64> = BTreeMap::new();
        for mail in &self.mail {
            if let Some(key) = key(mail) {
                let sum = sums.entry(key).or_default();
                *sum = sum.saturating_add(mail.messages);
            }
        }
        let mut sums: Vec<(K, u64)> = sums.into_iter().collect();
        sums.sort_by_key(|(_, messages)| std::cmp::Reverse(*messages));
        sums
    }
}

/// A share in words: `12 of 340 messages (3.5 %)`.
pub fn share(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{part} of {whole} messages ({}.{} %)", tenths / 10, tenths % 10)
}

/// True if a part is at least so many percent of the whole, and at least [`FEW`] messages.
pub const fn is_share(part: u64, whole: u64, percent: u64) -> bool {
    part >= FEW && part.saturating_mul(100) >= whole.saturating_mul(percent)
}

/// Messages below which nothing is concluded: a handful may be anything.
pub const FEW: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_from_evidence() {
        let line = |method: &str, result: &str, codes: &str, unsigned: &str| Line {
            method: method.to_owned(),
            subject: "x.example".to_owned(),
            result: result.to_owned(),
            reason: String::new(),
            facts: [
                ("selector", "S1"),
                ("identity_domain", "sub.x.example"),
                ("note_codes", codes),
                ("fields_unsigned", unsigned),
                ("lifetime_seconds", "3600"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        };
        let plain = SeenSignature::of(&line("dkim", "pass", "", "")).unwrap();
        assert_eq!((plain.selector.as_str(), plain.domain.as_str()), ("s1", "x.example"));
        assert_eq!(plain.identity.as_ref().map(Name::as_str), Some("sub.x.example"));
        assert!(!plain.has_length && plain.is_oversigned && plain.unsigned.is_empty());
        assert_eq!(plain.lifetime, Some(3_600));
        let odd =
            SeenSignature::of(&line("dkim", "pass", "length-in-use from-not-oversigned", "subject, to"))
                .unwrap();
        assert!(odd.has_length && !odd.is_oversigned && odd.unsigned == ["subject", "to"], "{odd:?}");
        assert!(!odd.is_alike(&plain) && plain.is_alike(&SeenSignature { messages: 9, ..plain.clone() }));
        assert_eq!(SeenSignature::of(&line("dkim", "fail", "", "")), None);
        assert_eq!(SeenSignature::of(&line("spf", "pass", "", "")), None);
    }

    #[test]
    fn what_is_known_has_an_age() {
        use crate::dns::RecordData;
        let name = |text: &str| Name::from_dotted(text).unwrap();
        let answer = |text: &str| {
            Answer::records(vec![
                RecordData::Txt(vec![text.as_bytes().to_vec()]),
                RecordData::Txt(vec![Vec::new()]),
            ])
        };
        let known = [KnownRecords {
            name: name("a.example"),
            records: vec!["\"\"".to_owned(), "\"x\"".to_owned()],
            since: Timestamp::from_ms(0),
        }];
        let of = |at: &str, text: &str| {
            days_known(&known, &name(at), &answer(text), Timestamp::from_ms(10 * DAY_MS + 5))
        };
        assert_eq!(of("a.example", "x"), Some(10));
        assert_eq!(of("a.example", "y"), None);
        assert_eq!(of("b.example", "x"), None);
    }

    #[test]
    fn shares_in_words() {
        assert_eq!(share(12, 340), "12 of 340 messages (3.5 %)");
        assert_eq!(share(0, 0), "0 of 0 messages (0.0 %)");
        assert_eq!(share(u64::MAX, u64::MAX), format!("{0} of {0} messages (100.0 %)", u64::MAX));
        assert!(is_share(10, 1_000, 1) && !is_share(9, 90, 1) && !is_share(10, 1_001, 1));
    }
}
