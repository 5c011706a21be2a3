//! The counted rows of one domain and period, one after another.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::super::StoreError;
use super::message::count;
use super::reports::DomainSums;
use super::scope::{Range, Scope, ScopeDomain, trust_of};
use crate::summary::{MessageSums, TrustShares};

const ROWS: &str = "SELECT r.report_id, r.reporter_id, r.begin_at, r.end_at, c.seq, c.source, c.count,
    c.disposition, CASE WHEN c.dkim = 'pass' THEN 1 ELSE 0 END, CASE WHEN c.spf = 'pass' THEN 1 ELSE 0 END,
    c.header_from_id, c.auth_set_id, c.reason_set_id, r.trust FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.day <= $3 AND r.status = 'counted'
    AND ($4 = 0 OR r.is_future = 0) AND ($5 IS NULL OR c.source = $5)
    ORDER BY r.day, r.report_id, c.seq";

/// One counted record.
#[derive(Debug)]
pub(super) struct CountedRow<'a> {
    pub(super) report_id: i64,
    pub(super) reporter_id: i64,
    pub(super) begin_at: i64,
    pub(super) end_at: i64,
    pub(super) source: Option<&'a [u8]>,
    pub(super) messages: u64,
    pub(super) disposition: &'a str,
    pub(super) dkim: bool,
    pub(super) spf: bool,
    pub(super) header_from_id: i64,
    pub(super) auth_set_id: Option<i64>,
    pub(super) reason_set_id: Option<i64>,
}

/// Hands the counted rows of one domain to `each`, in the order of day, report and place in the report; adds all
/// that pass the other filters to `shares`, and leaves out those whose trust was not asked for.
pub(super) fn stream(
    connection: &Connection,
    scope: &Scope,
    domain: &ScopeDomain,
    shares: &mut TrustShares,
    mut each: impl FnMut(&CountedRow<'_>),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query((
        domain.id,
        scope.first_day,
        scope.last_day,
        scope.without_future,
        scope.source.as_deref(),
    ))?;
    while let Some(row) = rows.next()? {
        let reporter_id: i64 = row.get(1)?;
        let header_from_id: i64 = row.get(10)?;
        let (dkim, spf): (bool, bool) = (row.get(8)?, row.get(9)?);
        let is_asked = scope.has_reporter(reporter_id)
            && scope.passes.is_none_or(|passes| passes == (dkim || spf))
            && domain.authors.as_ref().is_none_or(|authors| authors.contains(&header_from_id));
        let messages = count(row.get::<_, Option<i64>>(6)?.unwrap_or(0));
        if is_asked && shares.add(trust_of(row, 13)?, messages) {
            each(&CountedRow {
                report_id: row.get(0)?,
                reporter_id,
                begin_at: row.get(2)?,
                end_at: row.get(3)?,
                source: row.get_ref(5)?.as_blob_or_null()?,
                messages,
                disposition: row.get_ref(7)?.as_str()?,
                dkim,
                spf,
                header_from_id,
                auth_set_id: row.get(11)?,
                reason_set_id: row.get(12)?,
            });
        }
    }
    Ok(())
}

/// Sums of rows by author domain and reporter.
#[derive(Debug, Default)]
pub(super) struct RowSums {
    parts: HashMap<(i64, i64), MessageSums>,
    reports: HashMap<i64, (u64, Range)>,
    sources: HashSet<Box<[u8]>>,
    last_report: Option<i64>,
}

impl RowSums {
    /// Adds a row. Rows of one report come together.
    pub(super) fn add(&mut self, row: &CountedRow<'_>) {
        let part = self.parts.entry((row.header_from_id, row.reporter_id)).or_default();
        part.add_evaluated(row.messages, row.dkim, row.spf, row.disposition);
        if self.last_report != Some(row.report_id) {
            self.last_report = Some(row.report_id);
            let (reports, range) = self.reports.entry(row.reporter_id).or_default();
            *reports += 1;
            range.add(row.begin_at, row.end_at);
        }
        if let Some(source) = row.source
            && !self.sources.contains(source)
        {
            self.sources.insert(source.into());
        }
    }

    /// The sums as roll-ups would give them.
    pub(super) fn into_domain_sums(self) -> DomainSums {
        let Self { parts, reports, sources, .. } = self;
        DomainSums { parts, reports, sources, shares: TrustShares::default() }
    }
}
