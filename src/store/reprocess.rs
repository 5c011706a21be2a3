//! Reading messages again from their stored bytes.
//!
//! What an earlier reading gave stays in the answers until the new reading comes, and goes in its
//! transaction.

use super::writer::{Work, Writer};
use super::{MessageId, MessageStatus, StoreError, aggregate, bounce, failure, fatal, tls};
use crate::classify::MessageKind;

const BATCH: &str = "SELECT m.message_id FROM message AS m
    WHERE m.message_id > $1 AND m.status <> 'pending' AND ($2 IS NULL OR m.status = $2)
    AND ($3 IS NULL OR m.kind = $3) AND ($4 IS NULL OR m.parser_version < $4)
    AND ($5 IS NULL OR m.received_at_ms >= $5) AND ($6 IS NULL OR m.received_at_ms < $6)
    AND EXISTS (SELECT 1 FROM raw AS r WHERE r.raw_id = m.raw_id)
    ORDER BY m.message_id LIMIT 500";
const MARK: &str = "UPDATE message SET status = 'pending' WHERE message_id = $1 AND status <> 'pending'
    AND EXISTS (SELECT 1 FROM raw AS r WHERE r.raw_id = message.raw_id)";
const DELETE_UNCLAIMED: &str = "DELETE FROM unclaimed WHERE message_id = $1";

/// Which messages to read again; every given condition must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReprocessFilter {
    /// These messages only.
    pub ids: Option<Vec<MessageId>>,
    /// Only messages with this status.
    pub status: Option<MessageStatus>,
    /// Only messages of this kind.
    pub kind: Option<MessageKind>,
    /// Only messages read by a reader older than this version.
    pub older_than_parser: Option<u32>,
    /// Only messages that came at or after this instant, UTC milliseconds.
    pub since_ms: Option<i64>,
    /// Only messages that came before this instant, UTC milliseconds.
    pub until_ms: Option<i64>,
}

/// See [`super::Store::reprocess`].
pub(super) fn mark(writer: &Writer, filter: &ReprocessFilter) -> Result<u64, StoreError> {
    let mut marked = 0u64;
    let mut after = -1i64;
    // Many short transactions: deliveries pass between them.
    loop {
        let filter = filter.clone();
        let (last, count) = writer.run(move |work| mark_batch(work, &filter, after))?;
        marked += count;
        match last {
            Some(last) => after = last,
            None => return Ok(marked),
        }
    }
}

/// Marks the next messages; gives the last one looked at, none at the end.
fn mark_batch(
    work: &Work<'_>,
    filter: &ReprocessFilter,
    after: i64,
) -> Result<(Option<i64>, u64), StoreError> {
    let batch: Vec<i64> = {
        let mut statement = work.connection.prepare_cached(BATCH)?;
        let rows = statement.query_map(
            (
                after,
                filter.status.map(MessageStatus::as_str),
                filter.kind.map(MessageKind::as_str),
                filter.older_than_parser,
                filter.since_ms,
                filter.until_ms,
            ),
            |row| row.get(0),
        )?;
        rows.collect::<Result<_, _>>()?
    };
    let mut marked = 0;
    for id in &batch {
        if filter.ids.as_ref().is_none_or(|ids| ids.contains(&MessageId(*id))) {
            fatal::forgive(work, MessageId(*id))?;
            marked += mark_one(work, MessageId(*id))?;
        }
    }
    Ok((batch.last().copied(), marked))
}

/// Marks one message if its bytes are still there; says how many were marked.
pub(super) fn mark_one(work: &Work<'_>, id: MessageId) -> Result<u64, StoreError> {
    let marked = work.connection.prepare_cached(MARK)?.execute([id.0])?;
    Ok(u64::try_from(marked).unwrap_or(0))
}

/// The keys of reports that were removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    aggregate: Vec<aggregate::Key>,
    tls: Vec<tls::Key>,
    failures: Vec<failure::Key>,
}

/// Removes what an earlier reading of a message gave. The keys returned are to be given to
/// [`settle_removed`] once the new reading is written.
pub(super) fn remove_derived(work: &mut Work<'_>, id: MessageId) -> Result<Removed, StoreError> {
    let keys = aggregate::keys_of_message(work, id)?;
    for key in &keys {
        aggregate::remove(work, key, id)?;
    }
    if work.connection.prepare_cached(DELETE_UNCLAIMED)?.execute([id.0])? > 0 {
        work.cache.unclaimed = None;
    }
    bounce::remove(work, id)?;
    Ok(Removed { aggregate: keys, tls: tls::remove(work, id)?, failures: failure::remove(work, id)? })
}

/// Brings the keys of removed reports in order; copies that lost the report with their values are read again.
pub(super) fn settle_removed(
    work: &mut Work<'_>,
    removed: &Removed,
    id: MessageId,
) -> Result<(), StoreError> {
    let mut orphans = Vec::new();
    for key in &removed.aggregate {
        orphans.extend(aggregate::settle(work, key, None)?.orphans);
    }
    for key in &removed.tls {
        orphans.extend(tls::settle(work, key)?.orphans);
    }
    for key in &removed.failures {
        orphans.extend(failure::settle(work, key)?.promoted);
    }
    for orphan in orphans.into_iter().filter(|orphan| *orphan != id) {
        mark_one(work, orphan)?;
    }
    Ok(())
}
