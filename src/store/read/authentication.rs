//! The verification of received mail, summed up.

use rusqlite::Connection;

use super::super::StoreError;
use super::message::count;
use super::scope::{self, SortKey};
use crate::clock::{Day, Timestamp};
use crate::mail::DomainName;
use crate::summary::{Answer, AuthenticationRow, AuthenticationTotals, MethodCounts, Query};

const ROWS: &str = "SELECT a.day, a.header_from, COALESCE(a.dmarc, 'waiting'), COUNT(*),
    SUM(CASE WHEN a.spf = 'pass' THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.spf IN ('fail', 'softfail', 'permerror') THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.spf IN ('temperror', 'not-known') THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.dkim = 'pass' THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.dkim IN ('fail', 'permerror', 'policy') THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.dkim IN ('temperror', 'not-known') THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.arc = 'pass' THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.arc = 'fail' THEN 1 ELSE 0 END),
    SUM(CASE WHEN a.arc = 'temperror' THEN 1 ELSE 0 END),
    SUM(COALESCE(a.differs, 0)),
    MIN(m.received_at_ms), MAX(m.received_at_ms)
    FROM authentication AS a JOIN message AS m ON m.message_id = a.message_id
    WHERE m.received_at_ms >= $1 AND m.received_at_ms < $2
    AND ($3 IS NULL OR a.header_from = $3 OR a.header_from LIKE $4 ESCAPE '!')
    AND ($5 IS NULL OR COALESCE(a.dmarc, 'waiting') = $5)
    GROUP BY a.day, a.header_from, COALESCE(a.dmarc, 'waiting')
    ORDER BY a.day DESC, COUNT(*) DESC, a.header_from, COALESCE(a.dmarc, 'waiting')";

/// See [`super::Reader::authentication`].
pub(super) fn authentication(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<AuthenticationRow, AuthenticationTotals>, StoreError> {
    let domain = query.domain.as_ref().map(DomainName::as_str);
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut found = statement.query((
        query.period.since_ms.unwrap_or(i64::MIN),
        query.period.until_ms.unwrap_or(i64::MAX),
        domain,
        domain.map(scope::below_pattern),
        query.result.as_deref(),
    ))?;
    let mut totals = AuthenticationTotals::default();
    let (mut first, mut last): (Option<i64>, Option<i64>) = (None, None);
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let number =
            |at: usize| -> rusqlite::Result<u64> { Ok(count(row.get::<_, Option<i64>>(at)?.unwrap_or(0))) };
        let counts = |at: usize| -> rusqlite::Result<MethodCounts> {
            Ok(MethodCounts { pass: number(at)?, fail: number(at + 1)?, not_known: number(at + 2)? })
        };
        let messages = number(3)?;
        let dmarc: String = row.get(2)?;
        totals.messages += messages;
        *match dmarc.as_str() {
            "pass" => &mut totals.pass,
            "fail" => &mut totals.fail,
            "temperror" | "not-known" => &mut totals.not_known,
            "waiting" => &mut totals.waiting,
            _ => &mut totals.none,
        } += messages;
        let (begin, end): (i64, i64) = (row.get(14)?, row.get(15)?);
        first = Some(first.map_or(begin, |known| known.min(begin)));
        last = Some(last.map_or(end, |known| known.max(end)));
        rows.push(AuthenticationRow {
            day: Day(row.get(0)?).iso(),
            header_from: row.get(1)?,
            dmarc,
            messages,
            spf: counts(4)?,
            dkim: counts(7)?,
            arc: counts(10)?,
            differing: number(13)?,
        });
    }
    scope::sort(&mut rows, query, key_of);
    let cut = scope::cut(&mut rows, query);
    let (first, last) = (first.map(Timestamp::from_ms), last.map(Timestamp::from_ms));
    Ok(Answer { rows, totals, first, last, cut, notes: Vec::new(), trust: None })
}

/// What a column is sorted by.
fn key_of(row: &AuthenticationRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "day" => SortKey::from(row.day.as_str()),
        "header_from" => SortKey::from(&row.header_from),
        "dmarc" => SortKey::from(row.dmarc.as_str()),
        "messages" => row.messages.into(),
        "spf_pass" => row.spf.pass.into(),
        "spf_fail" => row.spf.fail.into(),
        "spf_not_known" => row.spf.not_known.into(),
        "dkim_pass" => row.dkim.pass.into(),
        "dkim_fail" => row.dkim.fail.into(),
        "dkim_not_known" => row.dkim.not_known.into(),
        "arc_pass" => row.arc.pass.into(),
        "arc_fail" => row.arc.fail.into(),
        "arc_not_known" => row.arc.not_known.into(),
        "differing" => row.differing.into(),
        _ => return None,
    })
}
