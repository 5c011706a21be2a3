//! Watched addresses: since when each is watched, the mails that came there, what was wrong and was told.

use rusqlite::{Connection, OptionalExtension as _};

use super::writer::{Work, Writer};
use super::{MessageId, StoreError};
use crate::clock::Timestamp;
use crate::limits;
use crate::probe::watched::{Episode, Took};

const NAMES: &str = "SELECT name FROM watched";
const ADD_NAME: &str = "INSERT INTO watched (name, since_ms) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const FORGET_NAME: &str = "DELETE FROM watched WHERE name = $1";
const CLOSE_ALL: &str =
    "UPDATE watched_event SET closed_at_ms = MAX(opened_at_ms, $1) WHERE name = $2 AND closed_at_ms IS NULL";
const IS_NAME: &str = "SELECT 1 FROM watched WHERE name = $1";
const INSERT: &str = "INSERT INTO watched_mail (message_id, name, received_at_ms, took_low_ms, took_high_ms,
    last_hop_low_ms, last_hop_high_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (message_id, name) DO NOTHING";
const REMOVE: &str = "DELETE FROM watched_mail WHERE message_id = $1";
const EVENTS: &str = "SELECT wrong, opened_at_ms, closed_at_ms FROM watched_event
    WHERE name = $1 AND (opened_at_ms >= $2 OR closed_at_ms IS NULL)";
const OPEN: &str =
    "INSERT INTO watched_event (name, wrong, opened_at_ms, closed_at_ms, noted_at_ms, message_id, text)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name, wrong, opened_at_ms) DO UPDATE SET
    closed_at_ms = excluded.closed_at_ms";
const CLOSE: &str = "UPDATE watched_event SET closed_at_ms = $1
    WHERE name = $2 AND wrong = $3 AND opened_at_ms = $4";
const FORGET_EVENTS: &str = "DELETE FROM watched_event WHERE closed_at_ms < $1";

/// What a received message is to watched addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadWatched {
    /// The names that its recipients carry; those that are not configured are not kept.
    pub names: Vec<String>,
    /// How long it was under way.
    pub took: Took,
}

/// What changed in the events of a watched address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchedChange {
    /// Something is wrong, and was not told before.
    Opened(Episode),
    /// It is no longer wrong.
    Closed(Episode),
}

/// See [`super::Store::set_watched_names`].
pub(super) fn set_names(writer: &Writer, names: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
    writer.run(move |work| {
        let known: Vec<String> = {
            let mut statement = work.connection.prepare_cached(NAMES)?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for gone in known.iter().filter(|name| !names.contains(name)) {
            work.connection.prepare_cached(FORGET_NAME)?.execute([gone])?;
            // Nobody looks after it any more.
            work.connection.prepare_cached(CLOSE_ALL)?.execute((now.ms(), gone))?;
        }
        for name in &names {
            work.connection.prepare_cached(ADD_NAME)?.execute((name, now.ms()))?;
        }
        Ok(())
    })
}

/// Keeps what a message is to the names that are configured, within the open transaction.
pub(super) fn store(
    work: &Work<'_>,
    id: MessageId,
    received_at_ms: i64,
    read: &ReadWatched,
) -> Result<(), StoreError> {
    let ReadWatched { names, took } = read;
    for name in names.iter().take(limits::WATCHED_NAMES_OF_MESSAGE) {
        if work.connection.prepare_cached(IS_NAME)?.exists([name])? {
            work.connection.prepare_cached(INSERT)?.execute((
                id.0,
                name,
                received_at_ms,
                took.whole.map(|between| between.low_ms),
                took.whole.map(|between| between.high_ms),
                took.last_hop.map(|between| between.low_ms),
                took.last_hop.map(|between| between.high_ms),
            ))?;
        }
    }
    Ok(())
}

/// Takes back what a message was, within the open transaction: it is being read again.
pub(super) fn remove(work: &Work<'_>, id: MessageId) -> Result<(), StoreError> {
    work.connection.prepare_cached(REMOVE)?.execute([id.0])?;
    Ok(())
}

/// See [`super::Store::note_watched`].
pub(super) fn note(
    writer: &Writer,
    name: &str,
    episodes: Vec<Episode>,
    judged_from: Timestamp,
    now: Timestamp,
) -> Result<Vec<WatchedChange>, StoreError> {
    let name = name.to_owned();
    writer.run(move |work| {
        let known = events(work.connection, &name, judged_from)?;
        let mut changes = Vec::new();
        for episode in &episodes {
            let (wrong, opened) = (episode.wrong.as_str(), episode.opened_at.ms());
            let before = known.iter().find(|event| event.wrong == wrong && event.opened_at_ms == opened);
            if before.is_some_and(|event| event.closed_at_ms == episode.closed_at.map(Timestamp::ms)) {
                continue;
            }
            work.connection.prepare_cached(OPEN)?.execute((
                &name,
                wrong,
                opened,
                episode.closed_at.map(Timestamp::ms),
                now.ms(),
                episode.message.map(|message| message.0),
                &episode.text,
            ))?;
            if before.is_none() {
                changes.push(WatchedChange::Opened(episode.clone()));
            }
            if episode.closed_at.is_some() {
                changes.push(WatchedChange::Closed(episode.clone()));
            }
        }
        // What later evidence takes back was told, and is not so any more.
        for event in known.iter().filter(|event| event.closed_at_ms.is_none()) {
            let is_still = episodes.iter().any(|episode| {
                episode.wrong.as_str() == event.wrong && episode.opened_at.ms() == event.opened_at_ms
            });
            if !is_still {
                let key = (now.ms().max(event.opened_at_ms), &name, &event.wrong, event.opened_at_ms);
                work.connection.prepare_cached(CLOSE)?.execute(key)?;
            }
        }
        Ok(changes)
    })
}

/// One event as it is kept.
struct Event {
    wrong: String,
    opened_at_ms: i64,
    closed_at_ms: Option<i64>,
}

/// The events of a name that are open or began since.
fn events(connection: &Connection, name: &str, since: Timestamp) -> Result<Vec<Event>, StoreError> {
    let mut statement = connection.prepare_cached(EVENTS)?;
    let rows = statement.query_map((name, since.ms()), |row| {
        Ok(Event { wrong: row.get(0)?, opened_at_ms: row.get(1)?, closed_at_ms: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes events that were over before, within the open transaction.
pub(super) fn forget_old(work: &Work<'_>, before_ms: i64) -> Result<(), StoreError> {
    work.connection.prepare_cached(FORGET_EVENTS)?.execute([before_ms])?;
    Ok(())
}

/// Since when a name is watched; `None` where no `serve` has run with it yet.
pub(super) fn since(connection: &Connection, name: &str) -> Result<Option<Timestamp>, StoreError> {
    const SINCE: &str = "SELECT since_ms FROM watched WHERE name = $1";
    let found = connection.prepare_cached(SINCE)?.query_row([name], |row| row.get(0).map(Timestamp::from_ms));
    Ok(found.optional()?)
}
