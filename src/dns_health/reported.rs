//! What reports, arrivals and the own history say of a domain's mail: facts for checks, and sums over them.
//!
//! Only reports that can be believed count: those that authenticated, and those that the user imported.

use std::collections::BTreeMap;
use std::net::IpAddr;

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
    fn shares_in_words() {
        assert_eq!(share(12, 340), "12 of 340 messages (3.5 %)");
        assert_eq!(share(0, 0), "0 of 0 messages (0.0 %)");
        assert_eq!(share(u64::MAX, u64::MAX), format!("{0} of {0} messages (100.0 %)", u64::MAX));
        assert!(is_share(10, 1_000, 1) && !is_share(9, 90, 1) && !is_share(10, 1_001, 1));
    }
}
