//! Which probes went out lately, for the caps over all of them.

use rusqlite::Connection;

use super::super::StoreError;
use crate::clock::Timestamp;
use crate::mail::Address;

const SENT: &str = "SELECT token, route, destination, rcpt_to, mx_host, sent_at_ms FROM probe
    WHERE sent_at_ms >= $1 AND rcpt_to IS NOT NULL AND state NOT IN ('planned', 'cancelled')
    ORDER BY sent_at_ms";

/// One probe that went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentProbe {
    /// Its name.
    pub token: String,
    /// Its route.
    pub route: String,
    /// The domain of its recipient.
    pub destination: String,
    /// The MX host for which it was made, where it was made for one.
    pub mx_host: Option<String>,
    /// When its first attempt began.
    pub sent_at: Timestamp,
}

/// The probes from an instant on, the oldest first. Those of which only the token is known were not sent by us now.
pub(super) fn sent_since(connection: &Connection, from: Timestamp) -> Result<Vec<SentProbe>, StoreError> {
    let mut statement = connection.prepare_cached(SENT)?;
    let rows = statement.query_map([from.ms()], |row| {
        let (destination, rcpt_to): (Option<String>, String) = (row.get(2)?, row.get(3)?);
        let of_recipient = || Address::parse(&rcpt_to).and_then(|address| address.domain);
        Ok(SentProbe {
            token: row.get(0)?,
            route: row.get(1)?,
            destination: destination.or_else(of_recipient).unwrap_or_default(),
            mx_host: row.get(4)?,
            sent_at: Timestamp::from_ms(row.get(5)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
