//! Sessions of TLS reports, summed from their rows.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::super::StoreError;
use super::message::count;
use super::scope::{self, Range, ReportKind, Scope, SortKey, trust_of};
use crate::clock::Day;
use crate::reports::digest::DaySpan;
use crate::summary::{Answer, Query, TlsRow, TlsTotals, Trust, TrustShares};

const POLICIES: &str =
    "SELECT r.report_id, r.day, r.last_day, r.reporter_id, p.name_key, r.organization_name,
    r.begin_at, r.end_at, c.policy_type, COALESCE(c.successful_sessions, 0), c.failed_sessions,
    (SELECT COALESCE(SUM(f.failed_sessions), 0) FROM tls_failure AS f WHERE f.domain_id = c.domain_id
        AND f.day = c.day AND f.report_id = c.report_id AND f.policy_seq = c.seq), r.trust
    FROM tls_report AS r
    JOIN reporter AS p ON p.reporter_id = r.reporter_id
    LEFT JOIN tls_policy AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    WHERE r.domain_id = $1 AND r.day <= $2 AND r.last_day >= $3 AND r.status = 'counted'
    AND ($4 = 0 OR r.is_future = 0) ORDER BY r.day, r.report_id, c.seq";
const FAILURES: &str = "SELECT c.policy_type, f.result_type, f.failed_sessions FROM tls_failure AS f
    JOIN tls_policy AS c ON c.domain_id = f.domain_id AND c.day = f.day AND c.report_id = f.report_id
    AND c.seq = f.policy_seq
    WHERE f.domain_id = $1 AND f.day = $2 AND f.report_id = $3";
const CONFLICTING: &str = "SELECT COUNT(*) FROM tls_report
    WHERE domain_id = $1 AND day <= $2 AND last_day >= $3 AND is_conflicting = 1";

/// Policy type and result type.
type Cause = (String, String);
/// Day, domain, policy type and result type; the newest day first.
type Cell = (std::cmp::Reverse<i32>, String, String, String);

/// One counted report while its policies are read.
struct Report {
    id: i64,
    day: i32,
    days: DaySpan,
    trust: Trust,
    reporter: String,
    /// Successful and failed sessions by policy type and cause.
    sessions: BTreeMap<Cause, (u64, u64)>,
    /// Sessions that failed, as the summaries say.
    failed: u64,
}

/// What is summed over all domains.
#[derive(Default)]
struct Sums {
    cells: BTreeMap<Cell, (u64, u64, BTreeSet<String>)>,
    totals: TlsTotals,
    range: Range,
    spread: u64,
    shares: TrustShares,
}

/// See [`super::Reader::tls`]. The result of the question is a policy type or a cause.
pub(super) fn tls(connection: &Connection, query: &Query) -> Result<Answer<TlsRow, TlsTotals>, StoreError> {
    let scope = Scope::of(connection, &Query { result: None, ..query.clone() })?;
    let wanted = query.result.as_deref();
    let shares = scope.shares(connection, "sessions", &[ReportKind::Tls])?;
    let mut sums = Sums { shares, ..Sums::default() };
    let mut conflicting = 0u64;
    for domain in scope.domains.iter().filter(|domain| domain.authors.is_none()) {
        add_domain(connection, &scope, domain.id, &domain.name, wanted, &mut sums)?;
        let row = (domain.id, scope.last_day, scope.first_day);
        conflicting += count(connection.prepare_cached(CONFLICTING)?.query_row(row, |row| row.get(0))?);
    }
    let mut rows: Vec<TlsRow> = sums
        .cells
        .into_iter()
        .map(|((day, domain, policy_type, result_type), (successful, failed, reporters))| TlsRow {
            day: Day(day.0).iso(),
            domain: some(domain),
            policy_type: some(policy_type),
            result_type: some(result_type),
            successful_sessions: successful,
            failed_sessions: failed,
            reporters: reporters.into_iter().collect(),
        })
        .collect();
    scope::sort(&mut rows, query, key_of);
    let cut = scope::cut(&mut rows, query);
    let mut notes = Vec::new();
    if sums.spread > 0 {
        let reports = scope::plural(sums.spread, "report");
        notes.push(format!("{reports} of several days: their sessions are spread over these days"));
    }
    if conflicting > 0 {
        let reports = scope::plural(conflicting, "report");
        notes.push(format!("{reports} with the id of another one and other values: one of each id counts"));
    }
    notes.extend(scope.notes_on_mail(connection)?);
    let (first, last) = (sums.range.first(), sums.range.last());
    Ok(Answer { rows, totals: sums.totals, first, last, trust: Some(sums.shares), cut, notes })
}

/// A word, unless it is empty.
fn some(word: String) -> Option<String> {
    Some(word).filter(|word| !word.is_empty())
}

/// Adds the reports of one domain.
fn add_domain(
    connection: &Connection,
    scope: &Scope,
    domain_id: i64,
    domain: &str,
    wanted: Option<&str>,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(POLICIES)?;
    let mut rows = statement.query((domain_id, scope.last_day, scope.first_day, scope.without_future))?;
    let mut open: Option<Report> = None;
    while let Some(row) = rows.next()? {
        if !scope.has_reporter(row.get(3)?) {
            continue;
        }
        let id: i64 = row.get(0)?;
        if open.as_ref().is_none_or(|report| report.id != id) {
            let (first, last): (i32, i32) = (row.get(1)?, row.get(2)?);
            let name: Option<String> = row.get(5)?;
            let trust = trust_of(row, 12)?;
            if scope.trust.asks_for(trust) {
                sums.range.add(row.get(6)?, row.get(7)?);
            }
            let next = Report {
                id,
                day: first,
                days: if last > first {
                    DaySpan::Spread { first: Day(first), last: Day(last) }
                } else {
                    DaySpan::One(Day(first))
                },
                trust,
                reporter: match name {
                    Some(name) => name,
                    None => row.get(4)?,
                },
                sessions: BTreeMap::new(),
                failed: 0,
            };
            if let Some(done) = open.replace(next) {
                add_report(connection, scope, domain_id, domain, done, wanted, sums)?;
            }
        }
        // A report without policies has one row without them.
        let (Some(report), Some(policy_type)) = (&mut open, row.get::<_, Option<String>>(8)?) else {
            continue;
        };
        let detailed = count(row.get(11)?);
        let failed = row.get::<_, Option<i64>>(10)?.map_or(detailed, count);
        let cell = report.sessions.entry((policy_type, String::new())).or_default();
        cell.0 += count(row.get(9)?);
        // RFC 8460 §4.4: details are optional, so a summary may say more than they do.
        cell.1 += failed.saturating_sub(detailed);
        report.failed += failed;
    }
    if let Some(done) = open {
        add_report(connection, scope, domain_id, domain, done, wanted, sums)?;
    }
    Ok(())
}

/// Adds one report to the shares, and to the sums if its trust was asked for.
fn add_report(
    connection: &Connection,
    scope: &Scope,
    domain_id: i64,
    domain: &str,
    report: Report,
    wanted: Option<&str>,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    let trust = report.trust;
    let mut aside = Sums::default();
    let into = if scope.trust.asks_for(trust) { &mut *sums } else { &mut aside };
    let before = into.totals.sessions();
    add_sessions(connection, scope, domain_id, domain, report, wanted, into)?;
    let sessions = into.totals.sessions().saturating_sub(before);
    sums.shares.add(trust, sessions);
    Ok(())
}

/// Adds the sessions of one report, with their causes, to the days that were asked for.
fn add_sessions(
    connection: &Connection,
    scope: &Scope,
    domain_id: i64,
    domain: &str,
    mut report: Report,
    wanted: Option<&str>,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(FAILURES)?;
    let mut rows = statement.query((domain_id, report.day, report.id))?;
    while let Some(row) = rows.next()? {
        let failed = count(row.get::<_, Option<i64>>(2)?.unwrap_or(0));
        report.sessions.entry((row.get(0)?, row.get(1)?)).or_default().1 += failed;
    }
    let is_asked = |day: Day| day.0 >= scope.first_day && day.0 <= scope.last_day;
    let mut counts = wanted.is_none();
    for ((policy_type, result_type), (successful, failed)) in report.sessions {
        if wanted.is_some_and(|word| word != policy_type && word != result_type) {
            continue;
        }
        counts = true;
        let split = report.days.spread(successful).zip(report.days.spread(failed));
        for ((day, successful), (_, failed)) in split.filter(|((day, _), _)| is_asked(*day)) {
            if successful + failed == 0 {
                continue;
            }
            let key = (std::cmp::Reverse(day.0), domain.to_owned(), policy_type.clone(), result_type.clone());
            let cell = sums.cells.entry(key).or_default();
            cell.0 += successful;
            cell.1 += failed;
            cell.2.insert(report.reporter.clone());
            sums.totals.successful_sessions += successful;
            if wanted.is_some() {
                sums.totals.failed_sessions += failed;
            }
        }
    }
    if counts {
        sums.totals.reports += 1;
        sums.spread += u64::from(matches!(report.days, DaySpan::Spread { .. }));
    }
    if wanted.is_none() {
        let in_days = report.days.spread(report.failed).filter(|(day, _)| is_asked(*day));
        sums.totals.failed_sessions += in_days.map(|(_, failed)| failed).sum::<u64>();
    }
    Ok(())
}

/// What a column is sorted by.
fn key_of(row: &TlsRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "day" => SortKey::from(row.day.as_str()),
        "domain" => SortKey::from(&row.domain),
        "policy_type" => SortKey::from(&row.policy_type),
        "result_type" => SortKey::from(&row.result_type),
        "successful_sessions" => row.successful_sessions.into(),
        "failed_sessions" => row.failed_sessions.into(),
        "reporters" => SortKey::List(row.reporters.clone()),
        _ => return None,
    })
}
