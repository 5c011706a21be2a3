//! What the store needs to know of a whole report before it keeps the first row: key, hash, sums, roll-up.

use crate::clock::Day;
use crate::mail::DomainName;
use crate::reports::Deviations;
use crate::reports::aggregate::AggregateReport;

/// What makes two reports the same report.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReportKey {
    /// The policy domain.
    pub domain: DomainName,
    /// `org_name` in lower case, else the domain of `email`, else the fallback of the mail.
    pub reporter: String,
    /// `report_id` without `<`, `>` and blanks.
    pub report_id: String,
    /// UTC seconds.
    pub begin: i64,
    /// UTC seconds, as reported.
    pub end: i64,
}

/// One row of a report's roll-up: messages by everything but source and day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupRow {
    /// The author domain.
    pub header_from: DomainName,
    /// The disposition's word; `pass` and unknown words as they are, empty for none.
    pub disposition: String,
    /// DKIM aligned and passing.
    pub dkim: bool,
    /// SPF aligned and passing.
    pub spf: bool,
    /// Messages.
    pub messages: u64,
    /// Records.
    pub records: u64,
}

/// The days to which a report's messages belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaySpan {
    /// One day.
    One(Day),
    /// Days `first..=last` over which the roll-up is spread by largest remainder.
    Spread {
        /// The first day; the rows are kept here.
        first: Day,
        /// The last day, inclusive.
        last: Day,
    },
}

/// A report read whole: everything but its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportDigest {
    /// The head.
    pub report: AggregateReport,
    /// The key.
    pub key: ReportKey,
    /// SHA-256 of the values read, free of white space, markup and element order outside records.
    pub content_sha256: [u8; 32],
    /// Records.
    pub records: u64,
    /// Sum of all counts.
    pub messages: u64,
    /// Messages that pass DMARC as the reporter evaluated.
    pub dmarc_pass: u64,
    /// The roll-up, sorted.
    pub rollup: Vec<RollupRow>,
    /// The days.
    pub days: DaySpan,
    /// True if the period ends over a day after the time of reading.
    pub is_future: bool,
    /// All deviations of the head and the records.
    pub deviations: Deviations,
}
