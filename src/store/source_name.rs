//! The forward-confirmed names of source addresses, as DNS gave them, with when and until when.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension as _};

use super::writer::Writer;
use super::{StoreError, source};
use crate::clock::{Day, Timestamp};
use crate::limits;

const DOMAINS: &str = "SELECT domain_id FROM domain ORDER BY domain_id";
// Text in place of an address sorts behind all addresses.
const WANTED: &str = "SELECT DISTINCT c.source FROM record AS c
    WHERE c.domain_id = $1 AND c.day >= $2 AND c.source < X'7F' AND NOT EXISTS
    (SELECT 1 FROM source_name AS n WHERE n.source = c.source AND n.until_ms > $3) LIMIT $4";
const NAME: &str = "SELECT name FROM source_name WHERE source = $1";
const SET: &str = "INSERT INTO source_name (source, state, name, looked_up_at_ms, until_ms)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source) DO UPDATE SET
    name = CASE excluded.state WHEN 'temperror' THEN source_name.name ELSE excluded.name END,
    state = excluded.state, looked_up_at_ms = excluded.looked_up_at_ms, until_ms = excluded.until_ms";
const FORGET: &str = "DELETE FROM source_name WHERE until_ms < $1";

/// What a look-up of one source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceName {
    /// The address.
    pub address: IpAddr,
    /// `pass`, `fail`, `permerror` (it has no name) or `temperror` (RFC 8601 §2.7.3).
    pub state: &'static str,
    /// The name that leads back to the address.
    pub name: Option<String>,
    /// Until when it need not be looked up again.
    pub until: Timestamp,
}

/// See [`super::Reader::sources_to_name`].
pub(super) fn wanted(
    connection: &Connection,
    since: Day,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<IpAddr>, StoreError> {
    let mut domains = connection.prepare_cached(DOMAINS)?;
    let mut domains = domains.query([])?;
    let mut wanted = BTreeSet::new();
    while let Some(domain) = domains.next()? {
        let domain: i64 = domain.get(0)?;
        let left = limit.saturating_sub(wanted.len());
        if left == 0 {
            break;
        }
        let mut statement = connection.prepare_cached(WANTED)?;
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        let mut rows = statement.query((domain, since.0, now.ms(), left))?;
        while let Some(row) = rows.next()? {
            wanted.extend(source::read_ip(row.get_ref(0)?.as_blob()?));
        }
    }
    Ok(wanted.into_iter().collect())
}

/// The name of a source, if it is known.
pub(super) fn name(connection: &Connection, source: &[u8]) -> Result<Option<String>, StoreError> {
    let found = connection.prepare_cached(NAME)?.query_row([source], |row| row.get(0)).optional()?;
    Ok(found.flatten())
}

/// See [`super::Store::note_source_names`].
pub(super) fn note(writer: &Writer, names: Vec<SourceName>, now: Timestamp) -> Result<(), StoreError> {
    writer.run(move |work| {
        let mut set = work.connection.prepare_cached(SET)?;
        let mut key = Vec::new();
        for found in &names {
            source::write_ip(found.address, &mut key);
            set.execute((&key, found.state, &found.name, now.ms(), found.until.ms()))?;
        }
        // Sources of which no report speaks any more are not looked up again and go in the end.
        let keep = i64::try_from(limits::SOURCE_NAME_KEEP.as_millis()).unwrap_or(i64::MAX);
        work.connection.prepare_cached(FORGET)?.execute([now.ms().saturating_sub(keep)])?;
        Ok(())
    })
}
