//! What the store needs to know of a whole report before it keeps the first row: key, hash, sums, roll-up.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::clock::{Day, Timestamp};
use crate::limits;
use crate::mail::DomainName;
use crate::reports::aggregate::{AggregateReport, Disposition, ReadReport, Record, Source};
use crate::reports::{Deviations, Unreadable, UnreadableKind, quirk};

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
    /// The roll-up, sorted; author domains beyond [`limits::DIGEST_AUTHOR_DOMAINS`] last, as `*.` and the policy
    /// domain.
    pub rollup: Vec<RollupRow>,
    /// The days.
    pub days: DaySpan,
    /// True if the period ends over a day after the time of reading.
    pub is_future: bool,
    /// All deviations of the head and the records.
    pub deviations: Deviations,
}

// ---- Making a digest ----

/// What is known of a report from outside of it.
#[derive(Debug, Clone, Copy)]
pub struct DigestContext<'a> {
    /// When the report came: the day of a report that states no period.
    pub now: Timestamp,
    /// The domain of the From field of the mail that carried it.
    pub from_domain: Option<&'a DomainName>,
    /// The name of the file or attachment: `submitter!domain!begin!end…` (RFC 9990 §3.5.2.2).
    pub file_name: &'a str,
    /// The Subject field of the mail that carried it: `Report Domain: … Submitter: …`.
    pub subject: &'a str,
    /// The fields `TLS-Report-Domain` and `TLS-Report-Submitter` of that mail (RFC 8460 §5.3).
    pub tls_report: (Option<&'a str>, Option<&'a str>),
}

/// Sums up a report while its records stream by. Memory grows with its author domains only.
pub struct DigestBuilder {
    hash: ring::digest::Context,
    bytes: Vec<u8>,
    authors: HashMap<Option<DomainName>, Vec<Share>>,
    /// Records of author domains beyond [`limits::DIGEST_AUTHOR_DOMAINS`].
    others: Vec<Share>,
    records: u64,
    messages: u64,
    dmarc_pass: u64,
}

/// Messages of one author domain with one outcome.
struct Share {
    disposition: Disposition,
    dkim: bool,
    spf: bool,
    messages: u64,
    records: u64,
}

impl Default for DigestBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DigestBuilder {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self {
            hash: ring::digest::Context::new(&ring::digest::SHA256),
            bytes: Vec::with_capacity(1_024),
            authors: HashMap::new(),
            others: Vec::new(),
            records: 0,
            messages: 0,
            dmarc_pass: 0,
        }
    }

    /// Adds one record.
    pub fn add(&mut self, record: &Record) {
        self.bytes.clear();
        write_record(&mut self.bytes, record);
        self.hash.update(&self.bytes);
        let messages = record.messages();
        self.records += 1;
        // A sum over the cap refuses the report in the end; it need not be exact, only not wrap round.
        let room = (limits::REPORT_MESSAGES + 1).saturating_sub(self.messages);
        let messages = messages.min(room);
        self.messages += messages;
        if record.passes_dmarc() {
            self.dmarc_pass += messages;
        }
        let has_room = self.authors.len() < limits::DIGEST_AUTHOR_DOMAINS;
        let shares = match self.authors.get_mut(&record.header_from) {
            Some(shares) => shares,
            None if has_room => self.authors.entry(record.header_from.clone()).or_default(),
            None => &mut self.others,
        };
        let (dkim, spf) = (record.dkim.is_pass(), record.spf.is_pass());
        // A handful: the reader bounds the words of dispositions.
        let at = shares.iter().position(|share| {
            share.dkim == dkim && share.spf == spf && share.disposition == record.disposition
        });
        match at.and_then(|at| shares.get_mut(at)) {
            Some(share) => {
                share.messages += messages;
                share.records += 1;
            }
            None => {
                let disposition = record.disposition.clone();
                shares.push(Share { disposition, dkim, spf, messages, records: 1 });
            }
        }
    }

    /// Ends with the head.
    ///
    /// Errors: `Incomplete` where neither the report nor its records, file name and subject name a domain,
    /// `Malformed` where the counts add up to more than [`limits::REPORT_MESSAGES`].
    pub fn finish(
        mut self,
        read: ReadReport,
        context: &DigestContext<'_>,
    ) -> Result<ReportDigest, Unreadable> {
        let ReadReport { mut report, begin, end, mut deviations, .. } = read;
        if self.messages > limits::REPORT_MESSAGES {
            let reason =
                format!("the counts add up to over {} messages, which cannot be", limits::REPORT_MESSAGES);
            return Err(Unreadable::new(UnreadableKind::Malformed, reason));
        }
        let named = Named::of(context);
        let (begin, end) = period(begin, end, &named, context.now, &mut deviations);
        (report.begin, report.end) = (begin, end);
        let domain = self.policy_domain(&report, &named, &mut deviations)?;
        let reporter = reporter(&report, context, &named);
        let is_future = end > context.now.seconds().saturating_add(limits::REPORT_FUTURE_SECONDS);
        if is_future {
            deviations.note(quirk::PERIOD_FUTURE, "date_range/end", &end.to_string(), "");
        }
        let days = days_of(begin, end);
        if end.saturating_sub(begin) > limits::REPORT_DAY_SECONDS {
            deviations.note(quirk::PERIOD_LONG, "date_range", &end.saturating_sub(begin).to_string(), "");
        }
        self.bytes.clear();
        write_head(&mut self.bytes, &report);
        self.hash.update(&self.bytes);
        let mut content_sha256 = [0; 32];
        content_sha256.copy_from_slice(self.hash.clone().finish().as_ref());
        let report_id =
            report.report_id.chars().filter(|c| !matches!(c, '<' | '>') && !c.is_whitespace()).collect();
        let rollup = self.rollup(&domain);
        Ok(ReportDigest {
            key: ReportKey { domain, reporter, report_id, begin, end },
            content_sha256,
            records: self.records,
            messages: self.messages,
            dmarc_pass: self.dmarc_pass,
            rollup,
            days,
            is_future,
            report,
            deviations,
        })
    }

    /// The policy domain as stated, else the author domain of most messages, else what the names say.
    fn policy_domain(
        &self,
        report: &AggregateReport,
        named: &Named,
        deviations: &mut Deviations,
    ) -> Result<DomainName, Unreadable> {
        if let Some(domain) = &report.policy.domain {
            return Ok(domain.clone());
        }
        let weight = |shares: &Vec<Share>| {
            let messages: u64 = shares.iter().map(|share| share.messages).sum();
            let records: u64 = shares.iter().map(|share| share.records).sum();
            (messages, records)
        };
        let authors = self.authors.iter().filter_map(|(name, shares)| Some((name.as_ref()?, weight(shares))));
        // Equal weights: the first in the alphabet, so that reading again gives the same.
        let author = authors.max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0))).map(|(name, _)| name);
        let domain = author.or(named.domain.as_ref()).cloned().ok_or_else(|| {
            Unreadable::new(
                UnreadableKind::Incomplete,
                "the report names no domain: neither policy nor records",
            )
        })?;
        deviations.note(quirk::POLICY_DOMAIN_MISSING, "policy_published/domain", "", domain.as_str());
        Ok(domain)
    }

    /// The roll-up, sorted by everything but the sums; what stands for many author domains comes last.
    fn rollup(&mut self, policy_domain: &DomainName) -> Vec<RollupRow> {
        let row = |header_from: &DomainName, share: Share| RollupRow {
            header_from: header_from.clone(),
            disposition: share.disposition.as_str().to_owned(),
            dkim: share.dkim,
            spf: share.spf,
            messages: share.messages,
            records: share.records,
        };
        let mut rows = Vec::new();
        for (name, shares) in self.authors.drain() {
            let header_from = name.as_ref().unwrap_or(policy_domain);
            rows.extend(shares.into_iter().map(|share| row(header_from, share)));
        }
        // Records without `header_from` count for the policy domain, which may have rows of its own.
        rows.sort_by(|a, b| a.place().cmp(&b.place()));
        rows.dedup_by(|next, kept| {
            let is_same = next.place() == kept.place();
            if is_same {
                kept.messages += next.messages;
                kept.records += next.records;
            }
            is_same
        });
        let others =
            DomainName::parse(&format!("*.{policy_domain}")).unwrap_or_else(|| policy_domain.clone());
        rows.extend(self.others.drain(..).map(|share| row(&others, share)));
        rows
    }
}

impl RollupRow {
    /// All but the sums.
    fn place(&self) -> (&DomainName, &str, bool, bool) {
        (&self.header_from, &self.disposition, self.dkim, self.spf)
    }
}

// ---- Period and days ----

/// Settles the period: swaps a reversed one, completes half of one, takes the arrival's day for none.
fn period(
    begin: Option<i64>,
    end: Option<i64>,
    named: &Named,
    now: Timestamp,
    deviations: &mut Deviations,
) -> (i64, i64) {
    let (begin, end) = match (begin, end) {
        (Some(begin), Some(end)) => (begin, end),
        (Some(only), None) | (None, Some(only)) => {
            deviations.note(quirk::PERIOD_INCOMPLETE, "date_range", "", &only.to_string());
            (only, only)
        }
        (None, None) => {
            let day = now.day().start_seconds();
            let (begin, end) = named.period.unwrap_or((day, day));
            deviations.note(quirk::PERIOD_MISSING, "date_range", "", &begin.to_string());
            (begin, end)
        }
    };
    if begin == end {
        deviations.note(quirk::PERIOD_EMPTY, "date_range", &begin.to_string(), "");
    }
    if end < begin {
        deviations.note(quirk::PERIOD_REVERSED, "date_range", &begin.to_string(), &end.to_string());
        return (end, begin);
    }
    (begin, end)
}

/// The days to which the messages of a period belong.
///
/// At most 26 hours: the UTC day of the middle, which is the reporter's own day in every zone. Longer:
/// all days that the period touches, at most [`limits::REPORT_SPREAD_DAYS`].
pub fn days_of(begin: i64, end: i64) -> DaySpan {
    let length = end.saturating_sub(begin);
    if length <= limits::REPORT_DAY_SECONDS {
        return DaySpan::One(Day::of_seconds(begin.saturating_add(length / 2)));
    }
    let first = Day::of_seconds(begin);
    // An end at midnight is the first second after the period: it touches no further day.
    let last = Day::of_seconds(end.saturating_sub(1));
    if last <= first || last.0.saturating_sub(first.0) >= limits::REPORT_SPREAD_DAYS {
        return DaySpan::One(first);
    }
    DaySpan::Spread { first, last }
}

/// The share of day number `index` of `days` days in `count`: whole numbers, exact sum.
///
/// Largest remainder over equal shares: the first `count % days` days get one more. An index beyond the
/// last day gets none.
const fn share_of_day(count: u64, days: u64, index: u64) -> u64 {
    if days == 0 || index >= days {
        return 0;
    }
    let more = if index < count % days { 1 } else { 0 };
    count / days + more
}

impl DaySpan {
    /// The first day: the rows are kept under it.
    pub const fn first(self) -> Day {
        match self {
            Self::One(day) => day,
            Self::Spread { first, .. } => first,
        }
    }

    /// The last day.
    pub const fn last(self) -> Day {
        match self {
            Self::One(day) => day,
            Self::Spread { last, .. } => last,
        }
    }

    /// Spreads a count evenly over the days: every day with its whole number, summing up to `count`.
    pub fn spread(self, count: u64) -> impl Iterator<Item = (Day, u64)> {
        let first = self.first().0;
        let days = u64::try_from(i64::from(self.last().0) - i64::from(first) + 1).unwrap_or(1);
        (0..days).map(move |index| {
            let day = Day(first.saturating_add(i32::try_from(index).unwrap_or(i32::MAX)));
            (day, share_of_day(count, days, index))
        })
    }
}

// ---- Names from outside ----

/// What the file name and the subject say of a report (RFC 9990 §3.5.2).
#[derive(Debug, Default)]
struct Named {
    submitter: Option<String>,
    domain: Option<DomainName>,
    period: Option<(i64, i64)>,
}

impl Named {
    fn of(context: &DigestContext<'_>) -> Self {
        let last = context.file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut named = Self::default();
        let pieces: Vec<&str> = last.split('!').collect();
        if let [submitter, domain, begin, end, ..] = pieces.as_slice() {
            let seconds = |text: &str| {
                let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
                digits.parse::<i64>().ok().filter(|seconds| (1..100_000_000_000).contains(seconds))
            };
            named.submitter = DomainName::parse(submitter).map(|name| name.as_str().to_owned());
            named.domain = DomainName::parse(domain);
            named.period = seconds(begin).zip(seconds(end));
        }
        let after = |label: &str| {
            let lower = context.subject.to_ascii_lowercase();
            let at = lower.find(label)? + label.len();
            let word = context.subject.get(at..)?.split_whitespace().next()?;
            DomainName::parse(word.trim_matches(['<', '>', ',', ';', '[', ']']))
        };
        named.submitter =
            named.submitter.or_else(|| after("submitter:").map(|name| name.as_str().to_owned()));
        named.domain = named.domain.or_else(|| after("report domain:"));
        named
    }
}

/// Who reports: `org_name`, else the domain of `email`, else the mail's sender, else the file's name.
fn reporter(report: &AggregateReport, context: &DigestContext<'_>, named: &Named) -> String {
    if let Some(name) = &report.org_name {
        return name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    }
    let email = report.email.as_deref().unwrap_or_default();
    let domain =
        email.rsplit_once('@').and_then(|(_, domain)| DomainName::parse(domain.trim_end_matches('>')));
    domain
        .or_else(|| context.from_domain.cloned())
        .map(|domain| domain.as_str().to_owned())
        .or_else(|| named.submitter.clone())
        .unwrap_or_default()
}

// ---- What is hashed ----

/// Appends a text with its length, so that no two lists of texts look the same.
fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends an optional text; absent is not the same as empty.
fn put_option(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put(out, text),
        None => out.extend_from_slice(&u32::MAX.to_le_bytes()),
    }
}

/// Appends the values of a record.
fn write_record(out: &mut Vec<u8>, record: &Record) {
    match &record.source {
        Source::Ip(IpAddr::V4(ip)) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        Source::Ip(IpAddr::V6(ip)) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
        Source::Text(text) => {
            out.push(1);
            put(out, text);
        }
        Source::Missing => out.push(0),
    }
    out.extend_from_slice(&record.count.unwrap_or(u64::MAX).to_le_bytes());
    put(out, record.disposition.as_str());
    put(out, record.dkim.as_str());
    put(out, record.spf.as_str());
    put_option(out, record.header_from.as_ref().map(DomainName::as_str));
    put_option(out, record.envelope_from.as_deref());
    put_option(out, record.envelope_to.as_deref());
    put_count(out, record.reasons.len());
    for reason in &record.reasons {
        put(out, &reason.kind);
        put_option(out, reason.comment.as_deref());
    }
    put_count(out, record.dkim_results.len());
    for result in &record.dkim_results {
        put_option(out, result.domain.as_deref());
        put_option(out, result.selector.as_deref());
        put(out, result.result.written.as_deref().unwrap_or(&result.result.word));
        put_option(out, result.human_result.as_deref());
    }
    put_count(out, record.spf_results.len());
    for result in &record.spf_results {
        put_option(out, result.domain.as_deref());
        put_option(out, result.scope.as_deref());
        put(out, result.result.written.as_deref().unwrap_or(&result.result.word));
        put_option(out, result.human_result.as_deref());
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// Appends the values of the head that are not in the key already.
fn write_head(out: &mut Vec<u8>, report: &AggregateReport) {
    let policy = &report.policy;
    let texts = [
        report.org_name.as_deref(),
        report.email.as_deref(),
        report.extra_contact_info.as_deref(),
        Some(report.report_id.as_str()),
        report.generator.as_deref(),
        policy.domain.as_ref().map(DomainName::as_str),
        policy.p.as_deref(),
        policy.sp.as_deref(),
        policy.np.as_deref(),
        policy.adkim.as_deref(),
        policy.aspf.as_deref(),
        policy.pct.as_deref(),
        policy.fo.as_deref(),
        policy.testing.as_deref(),
        policy.discovery_method.as_deref(),
    ];
    for text in texts {
        put_option(out, text);
    }
    out.extend_from_slice(&report.begin.to_le_bytes());
    out.extend_from_slice(&report.end.to_le_bytes());
    for error in &report.errors {
        put(out, error);
    }
}

#[cfg(test)]
#[path = "digest/tests.rs"]
mod tests;
