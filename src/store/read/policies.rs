//! The policies as published, from the heads of reports: also of those whose rows are gone.

use rusqlite::Connection;

use super::super::StoreError;
use super::message::count;
use super::scope::{self, Range, ReportKind, Scope, SortKey, trust_of};
use crate::clock::Day;
use crate::summary::{Answer, PolicyRow, PolicyTotals, Query};

const ROWS: &str =
    "SELECT r.day, r.reporter_id, r.policy_p, r.policy_sp, r.policy_np, r.policy_adkim, r.policy_aspf,
    r.policy_pct, r.policy_fo, r.policy_testing, r.policy_discovery_method, r.begin_at, r.end_at, r.trust
    FROM report AS r
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.day <= $3 AND r.status IN ('counted', 'rolled-up')
    AND ($4 = 0 OR r.is_future = 0) ORDER BY r.day, r.report_id";

/// Days for which a policy may be missing from all reports until it counts as another run when it comes back.
const GAP_DAYS: i32 = 3;

/// See [`super::Reader::policies`].
pub(super) fn policies(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<PolicyRow, PolicyTotals>, StoreError> {
    let scope = Scope::of(connection, query)?;
    let mut rows: Vec<PolicyRow> = Vec::new();
    let mut totals = PolicyTotals::default();
    let mut range = Range::default();
    let mut trust = scope.shares(connection, "reports", &[ReportKind::Aggregate])?;
    for domain in &scope.domains {
        let mut runs: Vec<PolicyRow> = Vec::new();
        let mut statement = connection.prepare_cached(ROWS)?;
        let parameters = (domain.id, scope.first_day, scope.last_day, scope.without_future);
        let mut found = statement.query(parameters)?;
        while let Some(row) = found.next()? {
            if !scope.has_reporter(row.get(1)?) {
                continue;
            }
            if !trust.add(trust_of(row, 13)?, 1) {
                continue;
            }
            let day = Day(row.get(0)?);
            let mut tags: [Option<String>; 9] = Default::default();
            for (at, tag) in (2..).zip(&mut tags) {
                *tag = row.get(at)?;
            }
            range.add(row.get(11)?, row.get(12)?);
            totals.reports += 1;
            // Reporters see a change at different times: a policy goes on beside another one for a while.
            let is_recent = |run: &&mut PolicyRow| run.last.0 >= day.0.saturating_sub(GAP_DAYS);
            let is_added = runs.iter_mut().rev().filter(is_recent).any(|run| run.add(day, &tags, 1));
            // After a silence the last policy goes on if it is the same.
            let is_added = is_added || runs.last_mut().is_some_and(|run| run.add(day, &tags, 1));
            if !is_added {
                let domain = domain.name.clone();
                runs.push(PolicyRow { domain, first: day, last: day, tags, reports: 1, changes: Vec::new() });
            }
        }
        let mut before: Option<PolicyRow> = None;
        for run in &mut runs {
            if let Some(before) = &before {
                run.compare(before);
            }
            before = Some(run.clone());
        }
        totals.domains += u64::from(!runs.is_empty());
        totals.policies += count(i64::try_from(runs.len()).unwrap_or(i64::MAX));
        rows.extend(runs);
    }
    scope::sort(&mut rows, query, key_of);
    let cut = scope::cut(&mut rows, query);
    let notes = Vec::new();
    let trust = Some(trust);
    Ok(Answer { rows, totals, first: range.first(), last: range.last(), trust, cut, notes })
}

/// What a column is sorted by.
fn key_of(row: &PolicyRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "domain" => SortKey::from(row.domain.as_str()),
        "first" => SortKey::Number(row.first.0.into()),
        "last" => SortKey::Number(row.last.0.into()),
        "reports" => row.reports.into(),
        "changes" => SortKey::List(row.changes.clone()),
        _ => {
            let at = crate::summary::POLICY_TAGS.iter().position(|name| *name == column)?;
            SortKey::from(row.tags.get(at)?)
        }
    })
}
