//! The trust of what a message brought, once its verdict is known.

use rusqlite::OptionalExtension;

use super::writer::Work;
use super::{MessageId, StoreError, aggregate, failure, reprocess, tls};
use crate::summary::Trust;

const STORED: &str = "SELECT trust FROM message WHERE message_id = $1";
const SET_MESSAGE: &str = "UPDATE message SET trust = $1 WHERE message_id = $2";
const SET_REPORTS: [&str; 3] = [
    "UPDATE report SET own_trust = $1 WHERE message_id = $2",
    "UPDATE tls_report SET own_trust = $1 WHERE message_id = $2",
    "UPDATE failure_report SET trust = $1 WHERE message_id = $2",
];

/// Notes the verdict on a message within the open transaction: of the message, of all reports that it brought, and of
/// what counts under their keys. Sums move with it, to the message. False if the message is not there.
///
/// A message that waits to be read keeps its verdict for what the reading will bring. Reports whose rows went for
/// their age count as they did. Can be repeated, and in any order with other messages: the end is the same.
pub(super) fn settle(work: &mut Work<'_>, id: MessageId, trust: Trust) -> Result<bool, StoreError> {
    let word = trust.as_str();
    if work.connection.prepare_cached(SET_MESSAGE)?.execute((word, id.0))? == 0 {
        return Ok(false);
    }
    for sql in SET_REPORTS {
        work.connection.prepare_cached(sql)?.execute((word, id.0))?;
    }
    let mut orphans = Vec::new();
    for key in aggregate::keys_of_message(work, id)? {
        orphans.extend(aggregate::settle(work, &key, None)?.orphans);
    }
    for key in tls::keys_of_message(work, id)? {
        orphans.extend(tls::settle(work, &key)?.orphans);
    }
    for key in failure::keys_of_message(work, id)? {
        orphans.extend(failure::settle(work, &key)?.promoted);
    }
    for orphan in orphans {
        reprocess::mark_one(work, orphan)?;
    }
    Ok(true)
}

/// The verdict on a message, if there is one: reading it again does not undo it.
pub(super) fn verdict(work: &Work<'_>, id: MessageId) -> Result<Option<Trust>, StoreError> {
    let stored: Option<Option<String>> =
        work.connection.prepare_cached(STORED)?.query_row([id.0], |row| row.get(0)).optional()?;
    Ok(stored.flatten().as_deref().and_then(Trust::parse).filter(|trust| trust.is_verdict()))
}
