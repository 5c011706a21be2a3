//! Mail of one kind, as reports tell of it: the streams that a changed record would treat alike.

use rusqlite::Connection;

use super::super::{StoreError, source};
use super::message::count;
use super::records::{FilterPlaces, Lists, passes_filters};
use super::scope::{Range, ReportKind, Scope, trust_of};
use crate::limits;
use crate::summary::{Answer, Query, StreamRow};

const ROWS: &str =
    "SELECT c.source, h.name, f.name, c.auth_set_id, c.dkim, c.spf, c.header_from_id, r.reporter_id,
    SUM(COALESCE(c.count, 0)), MIN(r.begin_at), MAX(r.end_at), r.trust
    FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    JOIN name AS h ON h.name_id = c.header_from_id
    LEFT JOIN name AS f ON f.name_id = c.envelope_from_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.day <= $3 AND r.status = 'counted'
    AND ($4 = 0 OR r.is_future = 0) AND ($5 IS NULL OR c.source = $5)
    GROUP BY c.source, h.name, f.name, c.auth_set_id, c.dkim, c.spf, c.header_from_id, r.reporter_id,
    r.trust ORDER BY 9 DESC, 1, 2";

/// See [`super::Reader::streams`].
///
/// Memory: [`limits::SIMULATED_STREAMS`] rows a policy domain, the ones with the most messages.
pub(super) fn streams(connection: &Connection, query: &Query) -> Result<Answer<StreamRow, u64>, StoreError> {
    let scope = Scope::of(connection, query)?;
    let mut lists = Lists::new(connection);
    let mut rows = Vec::new();
    let (mut totals, mut cut) = (0_u64, 0_u64);
    let mut range = Range::default();
    let mut trust = scope.shares(connection, "messages", &[ReportKind::Aggregate])?;
    for domain in &scope.domains {
        let mut statement = connection.prepare_cached(ROWS)?;
        let mut found = statement.query((
            domain.id,
            scope.first_day,
            scope.last_day,
            scope.without_future,
            scope.source.as_deref(),
        ))?;
        let mut kept = 0;
        while let Some(row) = found.next()? {
            let places = FilterPlaces { reporter: 7, author: 6, dkim: 4, spf: 5 };
            if !passes_filters(&scope, domain.authors.as_ref(), row, places)? {
                continue;
            }
            let messages = count(row.get(8)?);
            if !trust.add(trust_of(row, 11)?, messages) {
                continue;
            }
            totals = totals.saturating_add(messages);
            range.add(row.get(9)?, row.get(10)?);
            if kept >= limits::SIMULATED_STREAMS {
                cut = cut.saturating_add(messages);
                continue;
            }
            kept += 1;
            rows.push(StreamRow {
                source_ip: row.get_ref(0)?.as_blob_or_null()?.map(source::read_text),
                header_from: row.get(1)?,
                envelope_from: row.get(2)?,
                auth_results: lists.auth_results(row.get(3)?)?,
                dkim_aligned: row.get_ref(4)?.as_str()? == "pass",
                spf_aligned: row.get_ref(5)?.as_str()? == "pass",
                messages,
            });
        }
    }
    let notes = scope.notes(connection, true)?;
    let trust = Some(trust);
    Ok(Answer { rows, totals, first: range.first(), last: range.last(), trust, cut, notes })
}
