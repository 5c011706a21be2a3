//! Watched addresses as they are judged and shown.

use rusqlite::Connection;

use super::super::{StoreError, watched};
use super::scope::{self, SortKey};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::MessageId;
use crate::probe::watched::{Judged, Span, Watched, WatchedMail, WatchedState, judge};
use crate::summary::{Answer, Query, WatchedRow, WatchedTotals};

const MAILS: &str = "SELECT w.message_id, w.received_at_ms, m.header_from, a.dmarc FROM watched_mail AS w
    JOIN message AS m ON m.message_id = w.message_id
    LEFT JOIN authentication AS a ON a.message_id = w.message_id
    WHERE w.name = $1 AND w.received_at_ms >= $2 ORDER BY w.received_at_ms DESC, w.message_id DESC LIMIT $3";
const EYES: &str = "SELECT from_ms, to_ms FROM eye WHERE name = 'sink' AND fault IS NULL AND to_ms >= $1
    ORDER BY from_ms";
const SUMS: &str = "SELECT w.received_at_ms, w.took_low_ms, w.took_high_ms, w.last_hop_high_ms, m.tls_version,
    m.size_bytes, m.header_from, a.spf, a.dkim, a.dmarc FROM watched_mail AS w
    JOIN message AS m ON m.message_id = w.message_id
    LEFT JOIN authentication AS a ON a.message_id = w.message_id
    WHERE w.name = $1 AND w.received_at_ms >= $2 AND w.received_at_ms < $3 ORDER BY w.received_at_ms, w.message_id";
const EVENTS: &str = "SELECT COUNT(*) FROM watched_event
    WHERE name = $1 AND opened_at_ms >= $2 AND opened_at_ms < $3";

/// A watched address with its verdict, and from when on it was judged.
pub(super) fn judged(
    connection: &Connection,
    watched: &Watched,
    now: Timestamp,
) -> Result<(Judged, Timestamp), StoreError> {
    let Some(since) = watched::since(connection, &watched.name)? else {
        let reason = "not watched yet: `serve` has not run with this name".to_owned();
        let judged = Judged {
            state: WatchedState::NotKnown,
            reason: Some(reason),
            next_expected: None,
            episodes: Vec::new(),
        };
        return Ok((judged, now));
    };
    let back_ms = i64::try_from(limits::WATCHED_BACK.as_millis()).unwrap_or(i64::MAX);
    let mut from = Timestamp::from_ms(now.ms().saturating_sub(back_ms));
    let limit = i64::try_from(limits::WATCHED_MAILS).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(MAILS)?;
    let rows = statement.query_map((&watched.name, from.ms(), limit), |row| {
        Ok(WatchedMail {
            message: MessageId(row.get(0)?),
            received_at: Timestamp::from_ms(row.get(1)?),
            from: row.get(2)?,
            dmarc: row.get(3)?,
        })
    })?;
    let mut mails: Vec<WatchedMail> = rows.collect::<Result<_, _>>()?;
    mails.reverse();
    if let (true, Some(first)) = (mails.len() >= limits::WATCHED_MAILS, mails.first()) {
        from = first.received_at;
    }
    let eyes = eyes(connection, from)?;
    Ok((judge(&watched.expect, since.max(from), &mails, &eyes, now), from))
}

/// When our receiver was open since then.
fn eyes(connection: &Connection, since: Timestamp) -> Result<Vec<Span>, StoreError> {
    let mut statement = connection.prepare_cached(EYES)?;
    let rows = statement.query_map([since.ms()], |row| {
        Ok(Span { from: Timestamp::from_ms(row.get(0)?), to: Timestamp::from_ms(row.get(1)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::watched_mail`].
pub(super) fn watched_mail(
    connection: &Connection,
    query: &Query,
    watched: &[Watched],
    now: Timestamp,
) -> Result<Answer<WatchedRow, WatchedTotals>, StoreError> {
    let mut answer = Answer {
        rows: Vec::new(),
        totals: WatchedTotals::default(),
        first: None,
        last: None,
        trust: None,
        cut: 0,
        notes: Vec::new(),
    };
    for one in watched {
        let (judged, _) = judged(connection, one, now)?;
        let word = judged.state.as_str();
        if query.result.as_deref().is_some_and(|wanted| wanted != word) {
            continue;
        }
        let row = sums(connection, query, one, judged)?;
        answer.totals.add(&row);
        answer.first = [answer.first, row.first].into_iter().flatten().min();
        answer.last = [answer.last, row.last].into_iter().flatten().max();
        answer.rows.push(row);
    }
    scope::sort(&mut answer.rows, query, key);
    answer.cut = scope::cut(&mut answer.rows, query);
    Ok(answer)
}

/// The mails of one address in the period, summed up.
fn sums(
    connection: &Connection,
    query: &Query,
    watched: &Watched,
    judged: Judged,
) -> Result<WatchedRow, StoreError> {
    let since = query.period.since_ms.unwrap_or(i64::MIN);
    let until = query.period.until_ms.unwrap_or(i64::MAX);
    let period = (&watched.name, since, until);
    let mut row = WatchedRow {
        name: watched.name.clone(),
        state: judged.state.as_str(),
        reason: judged.reason,
        expected: watched.expect.words(),
        next_expected: judged.next_expected,
        events: super::count(connection.prepare_cached(EVENTS)?.query_row(period, |row| row.get(0))?),
        ..WatchedRow::default()
    };
    let (mut low, mut high, mut last_hop) = (Vec::new(), Vec::new(), Vec::new());
    let mut statement = connection.prepare_cached(SUMS)?;
    let mut rows = statement.query(period)?;
    while let Some(found) = rows.next()? {
        let at = Timestamp::from_ms(found.get(0)?);
        row.messages += 1;
        row.first = row.first.or(Some(at));
        row.last = Some(at);
        low.extend(found.get::<_, Option<i64>>(1)?);
        high.extend(found.get::<_, Option<i64>>(2)?);
        last_hop.extend(found.get::<_, Option<i64>>(3)?);
        row.tls += u64::from(found.get_ref(4)?.as_str_or_null()?.is_some());
        row.bytes = row.bytes.saturating_add(super::count(found.get(5)?));
        row.last_from = found.get(6)?;
        let passes = |at: usize| -> rusqlite::Result<bool> {
            Ok(found.get_ref(at)?.as_str_or_null()? == Some("pass"))
        };
        row.spf_pass += u64::from(passes(7)?);
        row.dkim_pass += u64::from(passes(8)?);
        match found.get_ref(9)?.as_str_or_null()? {
            Some("pass") => row.dmarc_pass += 1,
            Some("fail" | "none" | "permerror") => row.dmarc_fail += 1,
            _ => row.dmarc_not_known += 1,
        }
    }
    row.timed = u64::try_from(high.len()).unwrap_or(u64::MAX);
    row.latency_p50_low_ms = percentile(&mut low, 50);
    row.latency_p50_ms = percentile(&mut high, 50);
    row.latency_p95_low_ms = percentile(&mut low, 95);
    row.latency_p95_ms = percentile(&mut high, 95);
    row.last_hop_p50_ms = percentile(&mut last_hop, 50);
    Ok(row)
}

/// The smallest value that so many percent of all do not exceed; `None` of nothing.
fn percentile(values: &mut [i64], percent: usize) -> Option<i64> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).checked_sub(1)?;
    values.get(rank).copied()
}

/// What a column is sorted by.
fn key(row: &WatchedRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "name" => SortKey::from(row.name.as_str()),
        "state" => SortKey::from(row.state),
        "reason" => SortKey::from(&row.reason),
        "expected" => SortKey::from(row.expected.as_str()),
        "messages" => row.messages.into(),
        "first" => row.first.into(),
        "last" => row.last.into(),
        "next_expected" => row.next_expected.into(),
        "events" => row.events.into(),
        "tls" | "tls_percent" => row.tls.into(),
        "bytes" => row.bytes.into(),
        "dmarc_pass" | "dmarc_pass_percent" => row.dmarc_pass.into(),
        "dmarc_fail" => row.dmarc_fail.into(),
        "dmarc_not_known" => row.dmarc_not_known.into(),
        "spf_pass" => row.spf_pass.into(),
        "dkim_pass" => row.dkim_pass.into(),
        "timed" => row.timed.into(),
        "latency_p50_low_ms" => number(row.latency_p50_low_ms),
        "latency_p50_ms" => number(row.latency_p50_ms),
        "latency_p95_low_ms" => number(row.latency_p95_low_ms),
        "latency_p95_ms" => number(row.latency_p95_ms),
        "last_hop_p50_ms" => number(row.last_hop_p50_ms),
        "last_from" => SortKey::from(&row.last_from),
        _ => return None,
    })
}

/// A number of milliseconds that is never negative.
fn number(ms: Option<i64>) -> SortKey {
    ms.map(super::count).into()
}
