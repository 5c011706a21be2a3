//! Which probes went out lately, for the caps over all of them.

use rusqlite::Connection;

use super::super::StoreError;
use crate::clock::Timestamp;

const SENT: &str = "SELECT token, route, rcpt_to, sent_at_ms FROM probe
    WHERE sent_at_ms >= $1 AND rcpt_to IS NOT NULL AND profile IS NOT NULL ORDER BY sent_at_ms";

/// One probe that went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentProbe {
    /// Its name.
    pub token: String,
    /// Its route.
    pub route: String,
    /// Its recipient.
    pub rcpt_to: String,
    /// When its first attempt began.
    pub sent_at: Timestamp,
}

/// The probes from an instant on, the oldest first. Those of which only the token is known were not sent by us now.
pub(super) fn sent_since(connection: &Connection, from: Timestamp) -> Result<Vec<SentProbe>, StoreError> {
    let mut statement = connection.prepare_cached(SENT)?;
    let rows = statement.query_map([from.ms()], |row| {
        Ok(SentProbe {
            token: row.get(0)?,
            route: row.get(1)?,
            rcpt_to: row.get(2)?,
            sent_at: Timestamp::from_ms(row.get(3)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
