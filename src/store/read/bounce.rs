//! Bounces as they are shown: summed up, or a row a recipient.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use super::super::StoreError;
use super::message::{count, strings};
use super::scope::{self, SortKey};
use crate::clock::{Day, Timestamp};
use crate::mail::{DomainName, MessageId};
use crate::summary::{Answer, BounceGroupRow, BounceRow, BounceTotals, Query};

const ROWS: &str =
    "SELECT b.message_id, b.received_at_ms, b.kind, b.outcome, b.recipient, b.original_recipient,
    b.action, b.enhanced_status, b.reply_code, b.class, b.reason, b.phase, b.remote_mta, b.reporting_mta,
    b.diagnostic, b.will_retry_until_ms, b.token, b.evidence, b.recipient_domain FROM bounce AS b
    WHERE b.received_at_ms >= $1 AND b.received_at_ms < $2
    AND ($3 IS NULL OR b.recipient_domain = $3 OR b.recipient_domain LIKE $4 ESCAPE '!')
    AND ($5 IS NULL OR b.outcome = $5 OR b.reason = $5 OR b.class = $5 OR b.enhanced_status = $5)
    AND ($6 IS NULL OR b.reporting_mta LIKE $6 ESCAPE '!')
    ORDER BY b.received_at_ms DESC, b.message_id DESC, b.seq";

/// Hands every row that was asked for to `each`, the newest first.
fn stream(
    connection: &Connection,
    query: &Query,
    mut each: impl FnMut(BounceRow),
) -> Result<(BounceTotals, Option<Timestamp>, Option<Timestamp>), StoreError> {
    let domain = query.domain.as_ref().map(DomainName::as_str);
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query((
        query.period.since_ms.unwrap_or(i64::MIN),
        query.period.until_ms.unwrap_or(i64::MAX),
        domain,
        domain.map(scope::below_pattern),
        query.result.as_deref(),
        query.reporter.as_deref().map(scope::holds_pattern),
    ))?;
    let mut totals = BounceTotals::default();
    let (mut first, mut last) = (None, None);
    while let Some(row) = rows.next()? {
        let row = to_row(row)?;
        // The newest comes first.
        last = last.or(Some(row.received_at));
        first = Some(row.received_at);
        totals.recipients += 1;
        totals.probes += u64::from(row.token.is_some());
        *match row.outcome.as_str() {
            "failed" => &mut totals.bounces,
            "delayed" => &mut totals.delayed,
            "relayed" => &mut totals.relayed,
            "expanded" => &mut totals.expanded,
            "delivered" => &mut totals.delivered,
            _ => &mut totals.unknown,
        } += 1;
        each(row);
    }
    Ok((totals, first, last))
}

/// Reads a row of [`ROWS`].
fn to_row(row: &Row<'_>) -> Result<BounceRow, StoreError> {
    Ok(BounceRow {
        id: MessageId(row.get(0)?).to_string(),
        received_at: Timestamp::from_ms(row.get(1)?),
        kind: row.get(2)?,
        outcome: row.get(3)?,
        recipient: row.get(4)?,
        original_recipient: row.get(5)?,
        action: row.get(6)?,
        enhanced_status: row.get(7)?,
        reply_code: row.get::<_, Option<i64>>(8)?.map(count),
        class: row.get(9)?,
        reason: row.get(10)?,
        phase: row.get(11)?,
        remote_mta: row.get(12)?,
        reporting_mta: row.get(13)?,
        diagnostic: row.get(14)?,
        will_retry_until: row.get::<_, Option<i64>>(15)?.map(Timestamp::from_ms),
        token: row.get(16)?,
        evidence: strings(row.get_ref(17)?.as_str()?),
        recipient_domain: row.get(18)?,
    })
}

/// What recipients are grouped by; the newest day first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    day: std::cmp::Reverse<i32>,
    outcome: String,
    enhanced_status: Option<String>,
    class: Option<String>,
    host: Option<String>,
    reason: String,
    reporting_mta: Option<String>,
    recipient_domain: Option<String>,
}

/// What is counted of a group. The newest row comes first.
struct Counted {
    recipients: u64,
    probes: u64,
    first: Timestamp,
    last: Timestamp,
    token: Option<String>,
}

/// See [`super::Reader::bounces`].
pub(super) fn bounces(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<BounceGroupRow, BounceTotals>, StoreError> {
    let mut groups: BTreeMap<Group, Counted> = BTreeMap::new();
    let (totals, first, last) = stream(connection, query, |row| {
        let group = Group {
            day: std::cmp::Reverse(row.received_at.day().0),
            outcome: row.outcome,
            enhanced_status: row.enhanced_status,
            class: row.class,
            host: row.remote_mta,
            reason: row.reason,
            reporting_mta: row.reporting_mta,
            recipient_domain: row.recipient_domain,
        };
        let counted = groups.entry(group).or_insert_with(|| Counted {
            recipients: 0,
            probes: 0,
            first: row.received_at,
            last: row.received_at,
            token: None,
        });
        counted.recipients += 1;
        counted.probes += u64::from(row.token.is_some());
        counted.first = row.received_at;
        if counted.token.is_none() {
            counted.token = row.token;
        }
    })?;
    let mut rows: Vec<BounceGroupRow> = groups
        .into_iter()
        .map(|(group, counted)| BounceGroupRow {
            day: Day(group.day.0).iso(),
            outcome: group.outcome,
            enhanced_status: group.enhanced_status,
            class: group.class,
            host: group.host,
            reason: group.reason,
            reporting_mta: group.reporting_mta,
            recipient_domain: group.recipient_domain,
            recipients: counted.recipients,
            probes: counted.probes,
            first: counted.first,
            last: counted.last,
            token: counted.token,
        })
        .collect();
    // Within a day the most recipients first.
    rows.sort_by(|a, b| b.day.cmp(&a.day).then(b.recipients.cmp(&a.recipients)));
    scope::sort(&mut rows, query, group_key);
    let cut = scope::cut(&mut rows, query);
    Ok(Answer { rows, totals, first, last, trust: None, cut, notes: Vec::new() })
}

/// See [`super::Reader::bounce_list`].
pub(super) fn bounce_list(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<BounceRow, BounceTotals>, StoreError> {
    let limit = query.limit.unwrap_or(crate::limits::ANSWER_ROWS);
    let mut rows: Vec<BounceRow> = Vec::new();
    let (totals, first, last) = stream(connection, query, |row| {
        if query.sort.is_none() && rows.len() >= limit {
            return;
        }
        rows.push(row);
        if query.sort.is_some() && rows.len() >= limit.saturating_mul(2).max(1_000) {
            scope::sort(&mut rows, query, row_key);
            rows.truncate(limit);
        }
    })?;
    scope::sort(&mut rows, query, row_key);
    rows.truncate(limit);
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(Answer {
        rows,
        totals,
        first,
        last,
        trust: None,
        cut: totals.recipients.saturating_sub(shown),
        notes: Vec::new(),
    })
}

/// What a column of groups is sorted by.
fn group_key(row: &BounceGroupRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "day" => SortKey::from(row.day.as_str()),
        "outcome" => SortKey::from(row.outcome.as_str()),
        "enhanced_status" => SortKey::from(&row.enhanced_status),
        "class" => SortKey::from(&row.class),
        "host" => SortKey::from(&row.host),
        "reason" => SortKey::from(row.reason.as_str()),
        "reporting_mta" => SortKey::from(&row.reporting_mta),
        "recipient_domain" => SortKey::from(&row.recipient_domain),
        "recipients" => row.recipients.into(),
        "probes" => row.probes.into(),
        "first" => row.first.into(),
        "last" => row.last.into(),
        "token" => SortKey::from(&row.token),
        _ => return None,
    })
}

/// What a column of rows is sorted by.
fn row_key(row: &BounceRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "id" => SortKey::Number(MessageId::parse(&row.id).map_or(0, |id| id.0.into())),
        "received_at" => row.received_at.into(),
        "kind" => SortKey::from(row.kind.as_str()),
        "outcome" => SortKey::from(row.outcome.as_str()),
        "recipient" => SortKey::from(&row.recipient),
        "recipient_domain" => SortKey::from(&row.recipient_domain),
        "original_recipient" => SortKey::from(&row.original_recipient),
        "action" => SortKey::from(&row.action),
        "enhanced_status" => SortKey::from(&row.enhanced_status),
        "reply_code" => row.reply_code.into(),
        "class" => SortKey::from(&row.class),
        "reason" => SortKey::from(row.reason.as_str()),
        "phase" => SortKey::from(&row.phase),
        "remote_mta" => SortKey::from(&row.remote_mta),
        "reporting_mta" => SortKey::from(&row.reporting_mta),
        "diagnostic" => SortKey::from(&row.diagnostic),
        "will_retry_until" => row.will_retry_until.into(),
        "token" => SortKey::from(&row.token),
        "evidence" => SortKey::List(row.evidence.clone()),
        _ => return None,
    })
}
