//! Who reports, of every kind, and how each errs.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::super::StoreError;
use super::message::{count, strings};
use super::reports::{answer, by_messages, domain_sums};
use super::scope::{Range, ReportKind, Scope, ScopeDomain, SortKey};
use crate::summary::{Answer, MessageSums, Query, ReporterRow, TrustShares};

const REPORTER: &str = "SELECT name_key, org_name, email FROM reporter WHERE reporter_id = $1";
const DEVIATIONS: &str = "SELECT r.reporter_id, v.name, COUNT(*) FROM report AS r
    JOIN deviation AS v ON v.domain_id = r.domain_id AND v.day = r.day AND v.report_id = r.report_id
    WHERE r.domain_id = $1 AND r.day <= $2 AND r.last_day >= $3 AND r.status = 'counted'
    AND ($4 = 0 OR r.is_future = 0) AND ($5 = 0 OR r.trust = 'verified') AND v.count > 0
    GROUP BY r.reporter_id, v.name";
const TLS: &str = "SELECT reporter_id, deviations, COUNT(*), MIN(begin_at), MAX(end_at) FROM tls_report
    WHERE domain_id = $1 AND day <= $2 AND last_day >= $3 AND status = 'counted' AND ($4 = 0 OR is_future = 0)
    AND ($5 = 0 OR trust = 'verified') GROUP BY reporter_id, deviations";
const FAILURES: &str = "SELECT COALESCE(reporter, ''), deviations, COUNT(*),
    MIN(COALESCE(arrived_at, received_at_ms / 1000)), MAX(COALESCE(arrived_at, received_at_ms / 1000))
    FROM failure_report WHERE domain_id = $1 AND day >= $2 AND day <= $3 AND status = 'counted'
    AND ($4 = 0 OR trust = 'verified') GROUP BY COALESCE(reporter, ''), deviations";

/// What is known of one reporter.
#[derive(Default)]
struct Known {
    sums: MessageSums,
    range: Range,
    tls_reports: u64,
    failure_reports: u64,
    deviations: BTreeMap<String, u64>,
}

impl Known {
    /// Adds reports of another kind than aggregate with their deviations.
    fn add(&mut self, reports: u64, deviations: &str, (begin, end): (i64, i64)) {
        self.range.add(begin, end);
        for name in strings(deviations) {
            *self.deviations.entry(name).or_default() += reports;
        }
    }
}

/// Reporters by number, and those of whom only failure reports are known, by domain.
#[derive(Default)]
struct Reporters {
    by_id: HashMap<i64, Known>,
    by_domain: HashMap<String, Known>,
}

/// See [`super::Reader::reporters`].
pub(super) fn reporters(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<ReporterRow, MessageSums>, StoreError> {
    let scope = Scope::of(connection, query)?;
    // Sources and results are those of aggregate reports.
    let with_others = scope.source.is_none() && scope.passes.is_none();
    let mut found = Reporters::default();
    let kinds = [ReportKind::Aggregate, ReportKind::Tls, ReportKind::Failure];
    let mut trust = scope.shares(connection, "messages", if with_others { &kinds } else { &kinds[..1] })?;
    for domain in &scope.domains {
        aggregate(connection, &scope, domain, &mut trust, &mut found)?;
        if with_others {
            others(connection, &scope, domain, query, &mut found)?;
        }
    }
    let mut rows = Vec::with_capacity(found.by_id.len());
    let mut totals = (MessageSums::default(), Range::default());
    for (reporter_id, mut known) in found.by_id {
        let (key, org_name, email): (String, Option<String>, Option<String>) = connection
            .prepare_cached(REPORTER)?
            .query_row([reporter_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let of_address =
            email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, host)| host.to_lowercase());
        // Failure reports name their reporter by its domain alone: that of its name, or of its address.
        for domain in [Some(key.clone()), of_address].into_iter().flatten() {
            if let Some(same) = found.by_domain.remove(&domain) {
                known.failure_reports += same.failure_reports;
                known.range.extend(same.range);
                for (name, reports) in same.deviations {
                    *known.deviations.entry(name).or_default() += reports;
                }
            }
        }
        totals.0.add(&known.sums);
        totals.1.extend(known.range);
        // Without a name the reporter is known by the domain of its address.
        rows.push(row(org_name.or(Some(key)).filter(|name| !name.is_empty()), email, known));
    }
    for (domain, known) in found.by_domain {
        totals.1.extend(known.range);
        rows.push(row(Some(domain).filter(|domain| !domain.is_empty()), None, known));
    }
    rows.sort_by_cached_key(|row| {
        (by_messages(row.messages, row.org_name.as_deref().unwrap_or_default()), row.email.clone())
    });
    answer(connection, &scope, query, rows, totals, trust, |row, column| {
        Some(match column {
            "org_name" => SortKey::from(&row.org_name),
            "email" => SortKey::from(&row.email),
            "reports" => row.reports.into(),
            "messages" => row.messages.into(),
            "dmarc_pass" => row.dmarc_pass.into(),
            "dmarc_fail" => row.dmarc_fail.into(),
            "tls_reports" => row.tls_reports.into(),
            "failure_reports" => row.failure_reports.into(),
            "first" => row.first.into(),
            "last" => row.last.into(),
            "deviations" => row.deviations.iter().map(|(_, count)| count).sum::<u64>().into(),
            _ => return None,
        })
    })
}

/// The row of a reporter.
fn row(org_name: Option<String>, email: Option<String>, known: Known) -> ReporterRow {
    let Known { sums, range, tls_reports, failure_reports, deviations } = known;
    ReporterRow {
        org_name,
        email,
        reports: sums.reports,
        messages: sums.messages,
        dmarc_pass: sums.dmarc_pass,
        dmarc_fail: sums.dmarc_fail,
        tls_reports,
        failure_reports,
        deviations: deviations.into_iter().collect(),
        first: range.first(),
        last: range.last(),
    }
}

/// Adds the aggregate reports of one domain.
fn aggregate(
    connection: &Connection,
    scope: &Scope,
    domain: &ScopeDomain,
    trust: &mut TrustShares,
    found: &mut Reporters,
) -> Result<(), StoreError> {
    let of_domain = domain_sums(connection, scope, domain, false)?;
    trust.merge(&of_domain.shares);
    for ((_, reporter_id), sums) in &of_domain.parts {
        found.by_id.entry(*reporter_id).or_default().sums.add(sums);
    }
    for (reporter_id, (reports, range)) in &of_domain.reports {
        let known = found.by_id.entry(*reporter_id).or_default();
        known.sums.reports += reports;
        known.range.extend(*range);
    }
    let mut statement = connection.prepare_cached(DEVIATIONS)?;
    let verified = scope.is_verified_only();
    let mut rows =
        statement.query((domain.id, scope.last_day, scope.first_day, scope.without_future, verified))?;
    while let Some(row) = rows.next()? {
        // Of reporters that are not asked for nothing was added above.
        if let Some(known) = found.by_id.get_mut(&row.get(0)?) {
            *known.deviations.entry(row.get(1)?).or_default() += count(row.get(2)?);
        }
    }
    Ok(())
}

/// Adds the TLS reports and failure reports of one domain.
fn others(
    connection: &Connection,
    scope: &Scope,
    domain: &ScopeDomain,
    query: &Query,
    found: &mut Reporters,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(TLS)?;
    let verified = scope.is_verified_only();
    let mut rows =
        statement.query((domain.id, scope.last_day, scope.first_day, scope.without_future, verified))?;
    while let Some(row) = rows.next()? {
        let reporter_id: i64 = row.get(0)?;
        if scope.has_reporter(reporter_id) {
            let known = found.by_id.entry(reporter_id).or_default();
            let reports = count(row.get(2)?);
            known.tls_reports += reports;
            known.add(reports, row.get_ref(1)?.as_str()?, (row.get(3)?, row.get(4)?));
        }
    }
    let wanted = query.reporter.as_ref().map(|text| text.to_lowercase());
    let mut statement = connection.prepare_cached(FAILURES)?;
    let mut rows = statement.query((domain.id, scope.first_day, scope.last_day, verified))?;
    while let Some(row) = rows.next()? {
        let reporter = row.get_ref(0)?.as_str()?.to_lowercase();
        if wanted.as_ref().is_none_or(|wanted| reporter.contains(wanted.as_str())) {
            let known = found.by_domain.entry(reporter).or_default();
            let reports = count(row.get(2)?);
            known.failure_reports += reports;
            known.add(reports, row.get_ref(1)?.as_str()?, (row.get(3)?, row.get(4)?));
        }
    }
    Ok(())
}
