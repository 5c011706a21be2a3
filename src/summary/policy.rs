//! The policy as published, and how it changed: a row of `report policies`.

use crate::clock::Day;

/// One policy of one domain over the days on which reporters saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// The policy domain.
    pub domain: String,
    /// The first day on which a report shows it.
    pub first: Day,
    /// The last one.
    pub last: Day,
    /// `p`, `sp`, `np`, `adkim`, `aspf`, `pct`, `fo`, `testing`, `discovery_method`, as written; `None` where every
    /// reporter left it out.
    pub tags: [Option<String>; 9],
    /// Reports that show it.
    pub reports: u64,
    /// What differs from the one before: `p none to quarantine`; empty for the first.
    pub changes: Vec<String>,
}

/// The names of [`PolicyRow::tags`].
pub const POLICY_TAGS: [&str; 9] =
    ["p", "sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method"];

/// Totals of `report policies`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyTotals {
    /// Domains.
    pub domains: u64,
    /// Policies, one after another.
    pub policies: u64,
    /// Reports.
    pub reports: u64,
}

impl PolicyRow {
    /// Adds what reports of one day show. False if it is another policy: then nothing is changed.
    ///
    /// Reporters leave out what the record leaves out, or write the default: what is written agrees with what is
    /// left out, two words that differ are two policies.
    pub fn add(&mut self, day: Day, tags: &[Option<String>; 9], reports: u64) -> bool {
        let differs = |(one, other): (&Option<String>, &Option<String>)| matches!((one, other), (Some(one), Some(other)) if !one.eq_ignore_ascii_case(other));
        if self.tags.iter().zip(tags).any(differs) {
            return false;
        }
        for (known, tag) in self.tags.iter_mut().zip(tags) {
            if known.is_none() {
                known.clone_from(tag);
            }
        }
        self.first = self.first.min(day);
        self.last = self.last.max(day);
        self.reports = self.reports.saturating_add(reports);
        true
    }

    /// Says what differs from the policy before.
    pub fn compare(&mut self, before: &Self) {
        let word = |tag: &Option<String>| tag.clone().unwrap_or_else(|| "nothing".to_owned());
        let all = POLICY_TAGS.iter().zip(before.tags.iter().zip(&self.tags));
        let changed = all.filter(|(_, (old, new))| match (old, new) {
            (Some(old), Some(new)) => !old.eq_ignore_ascii_case(new),
            _ => false,
        });
        self.changes =
            changed.map(|(name, (old, new))| format!("{name} {} to {}", word(old), word(new))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tags with `p` and `sp`.
    fn tags(p: &str, sp: Option<&str>) -> [Option<String>; 9] {
        let mut tags: [Option<String>; 9] = Default::default();
        tags[0] = Some(p.to_owned());
        tags[1] = sp.map(str::to_owned);
        tags
    }

    /// A policy of one day.
    fn of(day: i32, tags: [Option<String>; 9]) -> PolicyRow {
        let (first, last) = (Day(day), Day(day));
        PolicyRow { domain: "example.com".to_owned(), first, last, tags, reports: 0, changes: Vec::new() }
    }

    #[test]
    fn left_out_agrees_and_other_words_do_not() {
        let mut row = of(5, tags("none", None));
        assert!(row.add(Day(6), &tags("NONE", Some("reject")), 2));
        assert!(row.add(Day(4), &tags("none", None), 1));
        assert!(!row.add(Day(7), &tags("none", Some("none")), 1));
        assert!(!row.add(Day(7), &tags("quarantine", None), 1));
        assert_eq!((row.first, row.last, row.reports), (Day(4), Day(6), 3));
        let mut next = of(9, tags("quarantine", Some("reject")));
        next.compare(&row);
        assert_eq!(next.changes, ["p none to quarantine"]);
    }
}
