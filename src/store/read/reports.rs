//! Answers from the daily roll-ups: by policy domain and author domain; for `reporters`, the sums of a domain.
//!
//! Where a question needs what roll-ups do not hold (a source, a result, author domains below the policy
//! domain), the rows are read instead: the same sums, slower.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use super::super::{StoreError, rollup};
use super::message::count;
use super::rows::{self, RowSums};
use super::scope::{self, Range, ReportKind, Scope, ScopeDomain, SortKey, trust_of};
use crate::summary::{
    Answer, DomainRow, MessageSums, Query, SummaryRow, SummaryTotals, TrustShares,
    percent::percent_hundredths,
};

const SUMS: &str = "SELECT header_from_id, reporter_id, disposition, dkim, spf, CAST(SUM(messages) AS INTEGER),
    trust FROM rollup WHERE domain_id = $1 AND day >= $2 AND day <= $3
    AND ($4 = 0 OR span NOT IN ('future', 'future-spread'))
    GROUP BY header_from_id, reporter_id, disposition, dkim, spf, trust HAVING SUM(messages) > 0 OR SUM(records) > 0";
const REPORTS: &str = "SELECT reporter_id, CAST(SUM(reports) AS INTEGER), MIN(begin_at), MAX(end_at) FROM report_rollup
    WHERE domain_id = $1 AND day >= $2 AND day <= $3 AND span IN ('day', 'future') AND ($4 = 0 OR span = 'day')
    AND ($5 = 0 OR trust = 'verified') GROUP BY reporter_id";
const SPREAD_REPORTS: &str = "SELECT reporter_id, COUNT(*), MIN(begin_at), MAX(end_at) FROM report
    WHERE domain_id = $1 AND last_day > day AND day <= $2 AND last_day >= $3
    AND status IN ('counted', 'rolled-up')
    AND ($4 = 0 OR is_future = 0) AND ($5 = 0 OR trust = 'verified') GROUP BY reporter_id";
const SOURCES: &str = "SELECT c.source FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.day <= $3 AND r.status = 'counted'
    AND ($4 = 0 OR r.is_future = 0) AND ($5 = 0 OR r.trust = 'verified') AND c.source IS NOT NULL";
const NAMES: &str = "SELECT name FROM name WHERE name_id = $1";

/// What stands for author domains without a row of their own.
const OTHER_SUBDOMAINS: &str = "other subdomains";

/// The sums of one domain by author domain and reporter.
#[derive(Debug, Default)]
pub(super) struct DomainSums {
    /// Messages by (author domain, reporter).
    pub(super) parts: HashMap<(i64, i64), MessageSums>,
    /// Reports and their range by reporter.
    pub(super) reports: HashMap<i64, (u64, Range)>,
    /// Different sources.
    pub(super) sources: HashSet<Box<[u8]>>,
    /// Messages by trust, also of reports that were not asked for.
    pub(super) shares: TrustShares,
}

impl DomainSums {
    /// All messages and reports together.
    fn total(&self) -> (MessageSums, Range) {
        let mut sums = MessageSums::default();
        let mut range = Range::default();
        for part in self.parts.values() {
            sums.add(part);
        }
        for (reports, of) in self.reports.values() {
            sums.reports += reports;
            range.extend(*of);
        }
        (sums, range)
    }
}

/// Adds up one domain, from roll-ups if they can answer. `with_sources`: count its sources too.
pub(super) fn domain_sums(
    connection: &Connection,
    scope: &Scope,
    domain: &ScopeDomain,
    with_sources: bool,
) -> Result<DomainSums, StoreError> {
    let reads_rows = !scope.is_rolled_up(domain) || (with_sources && scope.reporters.is_some());
    if reads_rows {
        let mut sums = RowSums::default();
        let mut shares = TrustShares::of(scope.trust, "messages");
        rows::stream(connection, scope, domain, &mut shares, |row| sums.add(row))?;
        return Ok(DomainSums { shares, ..sums.into_domain_sums() });
    }
    let mut out = DomainSums { shares: TrustShares::of(scope.trust, "messages"), ..DomainSums::default() };
    let period = (domain.id, scope.first_day, scope.last_day, scope.without_future);
    let mut statement = connection.prepare_cached(SUMS)?;
    let mut rows = statement.query(period)?;
    while let Some(row) = rows.next()? {
        let reporter_id: i64 = row.get(1)?;
        if !scope.has_reporter(reporter_id) {
            continue;
        }
        let messages = count(row.get(5)?);
        if !out.shares.add(trust_of(row, 6)?, messages) {
            continue;
        }
        let part = out.parts.entry((row.get(0)?, reporter_id)).or_default();
        part.add_evaluated(messages, row.get(3)?, row.get(4)?, row.get_ref(2)?.as_str()?);
    }
    let mut add_reports = |rows: &mut rusqlite::Rows<'_>| -> Result<(), StoreError> {
        while let Some(row) = rows.next()? {
            let reporter_id: i64 = row.get(0)?;
            if scope.has_reporter(reporter_id) {
                let (reports, range) = out.reports.entry(reporter_id).or_default();
                *reports += count(row.get(1)?);
                range.add(row.get(2)?, row.get(3)?);
            }
        }
        Ok(())
    };
    let verified = scope.is_verified_only();
    let (first, last, without) = (scope.first_day, scope.last_day, scope.without_future);
    let period = (domain.id, first, last, without, verified);
    add_reports(&mut connection.prepare_cached(REPORTS)?.query(period)?)?;
    let spread_period = (domain.id, last, first, without, verified);
    add_reports(&mut connection.prepare_cached(SPREAD_REPORTS)?.query(spread_period)?)?;
    if with_sources {
        let mut statement = connection.prepare_cached(SOURCES)?;
        let mut rows = statement.query(period)?;
        while let Some(row) = rows.next()? {
            let source = row.get_ref(0)?.as_blob()?;
            if !out.sources.contains(source) {
                out.sources.insert(source.into());
            }
        }
    }
    Ok(out)
}

/// The answer's frame: totals, range and notes are filled in, rows sorted and cut.
pub(super) fn answer<R, T>(
    connection: &Connection,
    scope: &Scope,
    query: &Query,
    mut rows: Vec<R>,
    totals: (T, Range),
    trust: TrustShares,
    key_of: scope::KeyOf<R>,
) -> Result<Answer<R, T>, StoreError> {
    scope::sort(&mut rows, query, key_of);
    let cut = scope::cut(&mut rows, query);
    let reads_rows = scope.domains.iter().any(|domain| !scope.is_rolled_up(domain));
    Ok(Answer {
        rows,
        totals: totals.0,
        first: totals.1.first(),
        last: totals.1.last(),
        trust: Some(trust),
        cut,
        notes: scope.notes(connection, reads_rows)?,
    })
}

/// The default order: the most messages first, then by name.
pub(super) fn by_messages(messages: u64, name: &str) -> (std::cmp::Reverse<u64>, String) {
    (std::cmp::Reverse(messages), name.to_owned())
}

/// See [`super::Reader::summary`].
pub(super) fn summary(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<SummaryRow, SummaryTotals>, StoreError> {
    let scope = Scope::of(connection, query)?;
    let mut rows = Vec::new();
    let mut totals = (SummaryTotals::default(), Range::default());
    let mut sources: HashSet<Box<[u8]>> = HashSet::new();
    let mut trust = scope.shares(connection, "messages", &[ReportKind::Aggregate])?;
    for domain in &scope.domains {
        let of_domain = domain_sums(connection, &scope, domain, true)?;
        trust.merge(&of_domain.shares);
        let (sums, range) = of_domain.total();
        if sums == MessageSums::default() && of_domain.sources.is_empty() {
            continue;
        }
        totals.0.sums.add(&sums);
        totals.1.extend(range);
        rows.push(SummaryRow {
            domain: domain.name.clone(),
            sums,
            sources: u64::try_from(of_domain.sources.len()).unwrap_or(u64::MAX),
            first: range.first(),
            last: range.last(),
        });
        sources.extend(of_domain.sources);
    }
    totals.0.sources = u64::try_from(sources.len()).unwrap_or(u64::MAX);
    if let (true, Some(domain)) = (rows.is_empty(), &query.domain) {
        rows.push(SummaryRow {
            domain: domain.as_str().to_owned(),
            sums: MessageSums::default(),
            sources: 0,
            first: None,
            last: None,
        });
    }
    rows.sort_by_cached_key(|row| by_messages(row.sums.messages, &row.domain));
    answer(connection, &scope, query, rows, totals, trust, |row, column| match column {
        "domain" => Some(SortKey::from(row.domain.as_str())),
        "sources" => Some(row.sources.into()),
        "first" => Some(row.first.into()),
        "last" => Some(row.last.into()),
        _ => sums_key(&row.sums, column),
    })
}

/// What a column of sums is sorted by.
pub(super) fn sums_key(sums: &MessageSums, column: &str) -> Option<SortKey> {
    Some(match column {
        "reports" => sums.reports.into(),
        "messages" => sums.messages.into(),
        "dmarc_pass" => sums.dmarc_pass.into(),
        "dmarc_fail" => sums.dmarc_fail.into(),
        "spf_aligned" => sums.spf_aligned.into(),
        "dkim_aligned" => sums.dkim_aligned.into(),
        "disposition_none" => sums.disposition_none.into(),
        "disposition_quarantine" => sums.disposition_quarantine.into(),
        "disposition_reject" => sums.disposition_reject.into(),
        "pass_percent" => percent_hundredths(sums.dmarc_pass, sums.messages).map(u64::from).into(),
        _ => return None,
    })
}

/// See [`super::Reader::domains`].
pub(super) fn domains(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<DomainRow, MessageSums>, StoreError> {
    let scope = Scope::of(connection, query)?;
    let mut rows = Vec::new();
    let mut totals = (MessageSums::default(), Range::default());
    let mut has_other = false;
    let mut trust = scope.shares(connection, "messages", &[ReportKind::Aggregate])?;
    for domain in &scope.domains {
        let of_domain = domain_sums(connection, &scope, domain, false)?;
        trust.merge(&of_domain.shares);
        let (sums, range) = of_domain.total();
        totals.0.add(&sums);
        totals.1.extend(range);
        let mut by_author: BTreeMap<i64, MessageSums> = BTreeMap::new();
        for ((header_from_id, _), sums) in of_domain.parts {
            by_author.entry(header_from_id).or_default().add(&sums);
        }
        for (header_from_id, sums) in by_author {
            let header_from = if header_from_id == rollup::OTHER {
                has_other = true;
                OTHER_SUBDOMAINS.to_owned()
            } else {
                connection.prepare_cached(NAMES)?.query_row([header_from_id], |row| row.get(0))?
            };
            rows.push(DomainRow { domain: domain.name.clone(), header_from, sums });
        }
    }
    if let (true, Some(domain)) = (rows.is_empty(), &query.domain) {
        let name = domain.as_str().to_owned();
        rows.push(DomainRow { domain: name.clone(), header_from: name, sums: MessageSums::default() });
    }
    rows.sort_by_cached_key(|row| (by_messages(row.sums.messages, &row.domain), row.header_from.clone()));
    let mut answer = answer(connection, &scope, query, rows, totals, trust, |row, column| match column {
        "domain" => Some(SortKey::from(row.domain.as_str())),
        "header_from" => Some(SortKey::from(row.header_from.as_str())),
        _ => sums_key(&row.sums, column),
    })?;
    if has_other {
        answer.notes.push(format!(
            "author domains beyond {} of a day stand together as `{OTHER_SUBDOMAINS}`",
            crate::limits::ROLLUP_AUTHOR_DOMAINS
        ));
    }
    Ok(answer)
}
