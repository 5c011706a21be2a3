//! What in a message looks like a report and could not be read.

use rusqlite::Connection;

use super::super::StoreError;
use crate::mail::MessageId;

const OF_MESSAGE: &str = "SELECT kind, reason, place FROM unreadable WHERE message_id = $1 ORDER BY seq";

/// One thing that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadablePart {
    /// The class, as in schema.sql.
    pub kind: String,
    /// Why, in words.
    pub reason: String,
    /// Part and entry names.
    pub place: String,
}

/// See [`super::Reader::unreadable`].
pub(super) fn of_message(connection: &Connection, id: MessageId) -> Result<Vec<UnreadablePart>, StoreError> {
    let mut statement = connection.prepare_cached(OF_MESSAGE)?;
    let rows = statement.query_map([id.0], |row| {
        Ok(UnreadablePart { kind: row.get(0)?, reason: row.get(1)?, place: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
