//! What a question covers, and the order of its answer.

use std::collections::HashSet;

use rusqlite::Connection;

use super::super::{StoreError, source};
use super::message::count;
use crate::clock::Timestamp;
use crate::mail::DomainName;
use crate::summary::{Query, Trust, TrustAsked, TrustShares};

const DOMAINS: &str = "SELECT domain_id, name FROM domain ORDER BY name";
const NAMES: &str = "SELECT name_id FROM name WHERE name = $1 OR name LIKE $2 ESCAPE '!'";
const REPORTERS: &str = "SELECT reporter_id, name_key, org_name FROM reporter";
const SPREAD: &str = "SELECT COUNT(*) FROM report WHERE domain_id = $1 AND last_day > day AND day <= $2
    AND last_day >= $3 AND status IN ('counted', 'rolled-up') AND ($4 = 0 OR is_future = 0)
    AND ($5 = 0 OR trust = 'verified')";
const UNTRUSTED: &str = "SELECT COUNT(*) FROM report
    WHERE domain_id = $1 AND day >= $2 AND day <= $3 AND status = 'untrusted'";
const UNTRUSTED_TLS: &str = "SELECT COUNT(*) FROM tls_report
    WHERE domain_id = $1 AND day >= $2 AND day <= $3 AND status = 'untrusted'";
const UNTRUSTED_FAILURES: &str = "SELECT COUNT(*) FROM failure_report
    WHERE domain_id = $1 AND day >= $2 AND day <= $3 AND status = 'untrusted'";
const CONFLICTING: &str = "SELECT COUNT(*) FROM report
    WHERE domain_id = $1 AND day >= $2 AND day <= $3 AND is_conflicting = 1";
const UNCLAIMED: &str = "SELECT COUNT(*), COUNT(DISTINCT domain) FROM unclaimed";
const WAITING: &str = "SELECT COUNT(*) FROM message WHERE status = 'pending'";
const UNREAD: &str = "SELECT COUNT(*) FROM message
    WHERE status = 'unread' AND ($1 IS NULL OR received_at_ms >= $1)";

/// A kind of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportKind {
    /// Aggregate reports.
    Aggregate,
    /// TLS reports.
    Tls,
    /// Failure reports and other feedback.
    Failure,
}

/// The trust in a column.
pub(super) fn trust_of(row: &rusqlite::Row<'_>, at: usize) -> Result<Trust, StoreError> {
    Ok(Trust::parse(row.get_ref(at)?.as_str()?).unwrap_or(Trust::Pending))
}

/// One policy domain of a scope.
#[derive(Debug)]
pub(super) struct ScopeDomain {
    pub(super) id: i64,
    pub(super) name: String,
    /// Only these author domains: the question is for a domain below this one. `None`: all.
    pub(super) authors: Option<HashSet<i64>>,
}

/// What a question covers.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) domains: Vec<ScopeDomain>,
    /// Days, inclusive.
    pub(super) first_day: i32,
    pub(super) last_day: i32,
    /// Reports that end in the future are left out.
    pub(super) without_future: bool,
    pub(super) reporters: Option<HashSet<i64>>,
    pub(super) source: Option<Vec<u8>>,
    /// Only what passes, or only what fails.
    pub(super) passes: Option<bool>,
    /// Which reports, by their trust.
    pub(super) trust: TrustAsked,
    since_ms: Option<i64>,
}

impl Scope {
    /// Reads the filters of a question about reports.
    pub(super) fn of(connection: &Connection, query: &Query) -> Result<Self, StoreError> {
        let passes = match query.result.as_deref() {
            None => None,
            Some("pass") => Some(true),
            Some("fail") => Some(false),
            Some(other) => {
                return Err(StoreError::Contradiction(format!("result {other:?}: `pass` or `fail`")));
            }
        };
        Ok(Self {
            domains: domains(connection, query.domain.as_ref())?,
            first_day: query.period.first_day().map_or(i32::MIN, |day| day.0),
            last_day: query.period.last_day().map_or(i32::MAX, |day| day.0),
            without_future: query.is_relative,
            reporters: query.reporter.as_deref().map(|text| reporters(connection, text)).transpose()?,
            source: query.source.as_deref().map(source::of_text),
            passes,
            trust: query.trust,
            since_ms: query.period.since_ms,
        })
    }

    /// True if roll-ups can answer for `domain`: they know no source, and count no reports by result.
    pub(super) fn is_rolled_up(&self, domain: &ScopeDomain) -> bool {
        self.source.is_none() && self.passes.is_none() && domain.authors.is_none()
    }

    /// True if this reporter is asked for.
    pub(super) fn has_reporter(&self, id: i64) -> bool {
        self.reporters.as_ref().is_none_or(|reporters| reporters.contains(&id))
    }

    /// True if only verified reports are asked for.
    pub(super) fn is_verified_only(&self) -> bool {
        self.trust == TrustAsked::Verified
    }

    /// Shares of nothing yet, with the reports of some kinds that do not count.
    pub(super) fn shares(
        &self,
        connection: &Connection,
        unit: &'static str,
        kinds: &[ReportKind],
    ) -> Result<TrustShares, StoreError> {
        let mut shares = TrustShares::of(self.trust, unit);
        for domain in self.domains.iter().filter(|domain| domain.authors.is_none()) {
            for kind in kinds {
                let sql = match kind {
                    ReportKind::Aggregate => UNTRUSTED,
                    ReportKind::Tls => UNTRUSTED_TLS,
                    ReportKind::Failure => UNTRUSTED_FAILURES,
                };
                let row = (domain.id, self.first_day, self.last_day);
                let reports: i64 = connection.prepare_cached(sql)?.query_row(row, |row| row.get(0))?;
                shares.untrusted_reports = shares.untrusted_reports.saturating_add(count(reports));
            }
        }
        Ok(shares)
    }

    /// Remarks on what the rows do not show. `reads_rows`: the answer is made of records, not of roll-ups.
    pub(super) fn notes(&self, connection: &Connection, reads_rows: bool) -> Result<Vec<String>, StoreError> {
        let (mut spread, mut conflicting) = (0u64, 0u64);
        for domain in &self.domains {
            let row =
                (domain.id, self.last_day, self.first_day, self.without_future, self.is_verified_only());
            spread += count(connection.prepare_cached(SPREAD)?.query_row(row, |row| row.get(0))?);
            let row = (domain.id, self.first_day, self.last_day);
            conflicting += count(connection.prepare_cached(CONFLICTING)?.query_row(row, |row| row.get(0))?);
        }
        let mut notes = Vec::new();
        if spread > 0 {
            let how = if reads_rows {
                "counted whole on the first day of each here"
            } else {
                "their messages are spread over these days"
            };
            notes.push(format!("{} of several days: {how}", plural(spread, "report")));
        }
        if conflicting > 0 {
            notes.push(format!(
                "{} with the id of another one and other values: one of each id counts",
                plural(conflicting, "report")
            ));
        }
        notes.extend(self.notes_on_mail(connection)?);
        Ok(notes)
    }

    /// Remarks on mail that is in no answer about reports.
    pub(super) fn notes_on_mail(&self, connection: &Connection) -> Result<Vec<String>, StoreError> {
        let mut notes = Vec::new();
        let (reports, domains): (i64, i64) =
            connection.prepare_cached(UNCLAIMED)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if reports > 0 {
            notes.push(format!(
                "{} for {} not watched, not counted (`domains list`)",
                plural(count(reports), "report"),
                plural(count(domains), "domain")
            ));
        }
        let unread = count(connection.prepare_cached(UNREAD)?.query_row([self.since_ms], |row| row.get(0))?);
        if unread > 0 {
            notes.push(format!(
                "{} could not be read (`report messages --result unread`)",
                plural(unread, "message")
            ));
        }
        let waiting = count(connection.prepare_cached(WAITING)?.query_row([], |row| row.get(0))?);
        if waiting > 0 {
            notes.push(format!("{} not read yet", plural(waiting, "message")));
        }
        Ok(notes)
    }
}

/// A count with its noun.
pub(super) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The policy domains of a question: at or below its domain whole, above it for author domains below.
fn domains(connection: &Connection, asked: Option<&DomainName>) -> Result<Vec<ScopeDomain>, StoreError> {
    let mut statement = connection.prepare_cached(DOMAINS)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut out = Vec::new();
    let mut authors_below: Option<HashSet<i64>> = None;
    for row in rows {
        let (id, name) = row?;
        let Some(asked) = asked else {
            out.push(ScopeDomain { id, name, authors: None });
            continue;
        };
        let Some(domain) = DomainName::parse(&name) else { continue };
        if domain.is_at_or_below(asked) {
            out.push(ScopeDomain { id, name, authors: None });
        } else if asked.is_at_or_below(&domain) {
            let authors = match &authors_below {
                Some(authors) => authors.clone(),
                None => names_below(connection, asked)?,
            };
            authors_below = Some(authors.clone());
            if !authors.is_empty() {
                out.push(ScopeDomain { id, name, authors: Some(authors) });
            }
        }
    }
    Ok(out)
}

/// Author domains at or below a name.
fn names_below(connection: &Connection, name: &DomainName) -> Result<HashSet<i64>, StoreError> {
    let mut statement = connection.prepare_cached(NAMES)?;
    let rows = statement.query_map((name.as_str(), below_pattern(name.as_str())), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reporters whose name holds `text`, in any case.
fn reporters(connection: &Connection, text: &str) -> Result<HashSet<i64>, StoreError> {
    let text = text.to_lowercase();
    let mut statement = connection.prepare_cached(REPORTERS)?;
    let mut rows = statement.query([])?;
    let mut out = HashSet::new();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(1)?.as_str()?;
        let org_name = row.get_ref(2)?.as_str_or_null()?;
        if key.contains(&text) || org_name.is_some_and(|name| name.to_lowercase().contains(&text)) {
            out.insert(row.get(0)?);
        }
    }
    Ok(out)
}

/// The pattern of all names below `name`, for `LIKE ... ESCAPE '!'`.
pub(in super::super) fn below_pattern(name: &str) -> String {
    format!("%.{}", literal(name))
}

/// The pattern of all lower-case names that hold `text` in any case, for `LIKE ... ESCAPE '!'`.
pub(super) fn holds_pattern(text: &str) -> String {
    format!("%{}%", literal(&text.to_lowercase()))
}

/// A text that `LIKE ... ESCAPE '!'` takes as it is.
pub(super) fn literal(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

// ---- Span of time ----

/// First and last instant of some reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Range {
    begin: Option<i64>,
    end: Option<i64>,
}

impl Range {
    /// Widens the range, UTC seconds.
    pub(super) fn add(&mut self, begin: i64, end: i64) {
        self.begin = Some(self.begin.map_or(begin, |known| known.min(begin)));
        self.end = Some(self.end.map_or(end, |known| known.max(end)));
    }

    /// Widens the range by another one.
    pub(super) fn extend(&mut self, other: Self) {
        if let (Some(begin), Some(end)) = (other.begin, other.end) {
            self.add(begin, end);
        }
    }

    /// The first instant.
    pub(super) fn first(self) -> Option<Timestamp> {
        self.begin.map(Timestamp::from_seconds)
    }

    /// The last instant.
    pub(super) fn last(self) -> Option<Timestamp> {
        self.end.map(Timestamp::from_seconds)
    }
}

// ---- Order ----

/// What a column is sorted by; nothing comes before everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortKey {
    /// Nothing there.
    Nothing,
    /// A count or a time.
    Number(i128),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<String>),
}

impl From<u64> for SortKey {
    fn from(value: u64) -> Self {
        Self::Number(value.into())
    }
}

impl From<Option<u64>> for SortKey {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::Nothing, Self::from)
    }
}

impl From<Timestamp> for SortKey {
    fn from(value: Timestamp) -> Self {
        Self::Number(value.ms().into())
    }
}

impl From<Option<Timestamp>> for SortKey {
    fn from(value: Option<Timestamp>) -> Self {
        value.map_or(Self::Nothing, Self::from)
    }
}

impl From<&str> for SortKey {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&Option<String>> for SortKey {
    fn from(value: &Option<String>) -> Self {
        value.as_deref().map_or(Self::Nothing, Self::from)
    }
}

/// What `column` of a row is sorted by; `None` for an unknown column.
pub(super) type KeyOf<R> = fn(&R, &str) -> Option<SortKey>;

/// Sorts rows that stand in their default order by the column that was asked for: rising, with `-` falling.
/// An unknown column, or one that all rows share, leaves them as they are.
pub(super) fn sort<R>(rows: &mut [R], query: &Query, key_of: KeyOf<R>) {
    let Some(sort) = query.sort.as_deref() else { return };
    let (column, falls) = match sort.strip_prefix('-') {
        Some(column) => (column, true),
        None => (sort.strip_prefix('+').unwrap_or(sort), false),
    };
    if falls {
        rows.sort_by_cached_key(|row| std::cmp::Reverse(key_of(row, column)));
    } else {
        rows.sort_by_cached_key(|row| key_of(row, column));
    }
}

/// Cuts rows to the limit; says how many were cut.
pub(super) fn cut<R>(rows: &mut Vec<R>, query: &Query) -> u64 {
    let limit = query.limit.unwrap_or(crate::limits::ANSWER_ROWS);
    let more = rows.len().saturating_sub(limit);
    rows.truncate(limit);
    u64::try_from(more).unwrap_or(u64::MAX)
}
