//! Bounces and other notices of mail systems: a row a recipient, of each mail once.

use rusqlite::OptionalExtension;

use super::message::json_array;
use super::writer::Work;
use super::{MessageId, Outcome, ReadBounce, StoreError};
use crate::limits;

const INSERT: &str = "INSERT INTO bounce (message_id, seq, received_at_ms, kind, outcome, recipient,
    recipient_domain, original_recipient, action, enhanced_status, reply_code, class, reason, phase, remote_mta,
    reporting_mta, diagnostic, will_retry_until_ms, token, evidence, parser_version, copy_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";
const DELETE: &str = "DELETE FROM bounce WHERE message_id = $1";
const SAME: &str = "SELECT m.message_id FROM message AS m
    WHERE m.sha256 = (SELECT sha256 FROM message WHERE message_id = $1) AND m.message_id <> $1
    AND m.status <> 'pending' AND EXISTS (SELECT 1 FROM bounce AS b WHERE b.message_id = m.message_id)
    ORDER BY m.message_id LIMIT 1";
// Times in rising order of the parameters' numbers.
const SAME_NOTICE: &str = "SELECT message_id FROM bounce WHERE copy_key = $1 AND message_id <> $2
    AND received_at_ms >= $3 AND received_at_ms <= $4 ORDER BY received_at_ms, message_id LIMIT 1";

/// Bytes that a waiting row takes in memory, roughly.
pub(super) fn memory_bytes(read: &ReadBounce) -> usize {
    1_024 + read.diagnostic.as_ref().map_or(0, String::len)
}

/// Stores the rows of one message, unless the same notice brought them before: the same bytes, or the same values by
/// way of another host. Nothing without rows.
pub(super) fn store(
    work: &Work<'_>,
    id: MessageId,
    received_at_ms: i64,
    parser_version: u32,
    rows: &[ReadBounce],
) -> Result<Option<Outcome>, StoreError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let mut same: Option<i64> =
        work.connection.prepare_cached(SAME)?.query_row([id.0], |row| row.get(0)).optional()?;
    if let (None, Some(key)) = (same, rows.first().and_then(|row| row.copy_key)) {
        let near = limits::BOUNCE_COPY_MS;
        let row = (key, id.0, received_at_ms.saturating_sub(near), received_at_ms.saturating_add(near));
        same = work.connection.prepare_cached(SAME_NOTICE)?.query_row(row, |row| row.get(0)).optional()?;
    }
    if let Some(of) = same {
        return Ok(Some(Outcome::Duplicate { of: MessageId(of) }));
    }
    let mut statement = work.connection.prepare_cached(INSERT)?;
    for (seq, row) in (0i64..).zip(rows) {
        statement.execute(rusqlite::params![
            id.0,
            seq,
            received_at_ms,
            row.kind,
            row.outcome,
            row.recipient,
            row.recipient_domain.as_ref().map(crate::mail::DomainName::as_str),
            row.original_recipient,
            row.action,
            row.enhanced_status,
            row.reply_code,
            row.class,
            row.reason,
            row.phase,
            row.remote_mta,
            row.reporting_mta,
            row.diagnostic,
            row.will_retry_until.map(crate::clock::Timestamp::ms),
            row.token,
            json_array(row.evidence.iter().cloned()),
            parser_version,
            row.copy_key,
        ])?;
    }
    Ok(Some(Outcome::Counted))
}

/// Removes the rows of a message.
pub(super) fn remove(work: &Work<'_>, id: MessageId) -> Result<(), StoreError> {
    work.connection.prepare_cached(DELETE)?.execute([id.0])?;
    Ok(())
}
