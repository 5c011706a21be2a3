//! Probes of ours that watchers saw in mailboxes: which are known, where they stand, when they are looked for again.

use rusqlite::{Connection, OptionalExtension};

use super::probe;
use super::writer::{Work, Writer};
use super::{Finished, StoreError};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::MessageId;
use crate::mailbox::arrival::eye_of;
use crate::mailbox::{ArrivalKey, Checked, Due, FolderKey, Found, NewArrival, Stand};
use crate::probe::lifecycle::{Event, MailPlace, Seen, What};

const KNOWS: &str =
    "SELECT EXISTS (SELECT 1 FROM mailbox_arrival WHERE account = $1 AND token = $2 AND arrival = $3)";
const INSERT: &str =
    "INSERT INTO mailbox_arrival (account, token, arrival, watcher, message_id, place, folder,
    not_before_ms, seen_at_ms, internal_at_ms, told_place, told_folder, next_check_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $6, $7, $11)
    ON CONFLICT (account, token, arrival) DO NOTHING";
const STAND: &str =
    "INSERT INTO mailbox_stand (account, folder, uid, token, arrival) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (account, folder, uid) DO UPDATE SET token = excluded.token, arrival = excluded.arrival";
// What stands where it was not told to be is looked at at once.
const CHECK_SOON: &str = "UPDATE mailbox_arrival SET next_check_ms = $1 WHERE account = $2 AND token = $3
    AND arrival = $4 AND told_folder IS NOT $5 AND (next_check_ms IS NULL OR next_check_ms > $1)";
const LEAVE: &str = "DELETE FROM mailbox_stand WHERE account = $1 AND folder = $2 AND uid = $3
    AND token = $4 AND arrival = $5";
const LEAVE_FOLDER: &str = "DELETE FROM mailbox_stand WHERE account = $1 AND folder = $2";
const DUE: &str =
    "SELECT token, arrival, seen_at_ms, told_place, told_folder, missed_at_ms FROM mailbox_arrival
    WHERE account = $1 AND next_check_ms <= $2 ORDER BY next_check_ms LIMIT $3";
const STANDS: &str =
    "SELECT folder, uid FROM mailbox_stand WHERE account = $1 AND token = $2 AND arrival = $3
    ORDER BY folder, uid";
const CHECKED: &str = "UPDATE mailbox_arrival SET next_check_ms = $1, missed_at_ms = $2
    WHERE account = $3 AND token = $4 AND arrival = $5";
const TELL: &str = "UPDATE mailbox_arrival SET told_place = $1, told_folder = $2
    WHERE account = $3 AND token = $4 AND arrival = $5";
const SEEN: &str = "SELECT token, watcher, place, folder, not_before_ms, arrival FROM mailbox_arrival
    WHERE message_id = $1 LIMIT 1";

/// See [`super::Reader::watched_arrival`].
pub(super) fn seen(connection: &Connection, message: MessageId) -> Result<Option<Seen>, StoreError> {
    let row = connection.prepare_cached(SEEN)?.query_row([message.0], |row| {
        let watcher: String = row.get(1)?;
        Ok(Seen {
            watcher: Some(eye_of(&watcher)),
            place: place_of(row.get_ref(2)?.as_str()?),
            folder: row.get(3)?,
            not_before: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_ms),
            copy_of: row.get(5)?,
            ..Seen::default()
        })
    });
    Ok(row.optional()?)
}

/// A place as it is stored; what a later version may write is another place.
fn place_of(word: &str) -> MailPlace {
    MailPlace::ALL.into_iter().find(|place| place.as_str() == word).unwrap_or(MailPlace::Other)
}

/// Writes an arrival in the transaction that keeps its message.
pub(super) fn insert(work: &Work<'_>, arrival: &NewArrival, finished: &Finished) -> Result<(), StoreError> {
    let ArrivalKey { account, token, arrival: id } = &arrival.key;
    work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        account,
        token,
        id,
        arrival.watcher,
        finished.message_id.0,
        arrival.place.as_str(),
        arrival.folder,
        arrival.not_before.ms(),
        arrival.seen_at.ms(),
        arrival.internal_at.map(Timestamp::ms),
        arrival.next_check.map(Timestamp::ms),
    ])?;
    work.connection.prepare_cached(STAND)?.execute((account, &arrival.folder, &arrival.uid, token, id))?;
    Ok(())
}

/// Forgets what stood in a folder: its numbers are others now.
pub(super) fn leave_folder(work: &Work<'_>, account: &str, folder: &str) -> Result<(), StoreError> {
    work.connection.prepare_cached(LEAVE_FOLDER)?.execute((account, folder))?;
    Ok(())
}

/// See [`super::Reader::knows_arrival`].
pub(super) fn knows(connection: &Connection, key: &ArrivalKey) -> Result<bool, StoreError> {
    let row = (&key.account, &key.token, &key.arrival);
    Ok(connection.prepare_cached(KNOWS)?.query_row(row, |row| row.get(0))?)
}

/// See [`super::Reader::due_arrivals`].
pub(super) fn due(connection: &Connection, account: &str, now: Timestamp) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(DUE)?;
    let most = i64::try_from(limits::MAILBOX_CHECKS).unwrap_or(i64::MAX);
    let rows = statement.query_map((account, now.ms(), most), |row| {
        let place: Option<String> = row.get(3)?;
        let folder: Option<String> = row.get(4)?;
        Ok(Due {
            key: ArrivalKey { account: account.to_owned(), token: row.get(0)?, arrival: row.get(1)? },
            seen_at: Timestamp::from_ms(row.get(2)?),
            told: place.zip(folder).map(|(place, folder)| (place_of(&place), folder)),
            stands: Vec::new(),
            missed_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_ms),
        })
    })?;
    let mut all: Vec<Due> = rows.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(STANDS)?;
    for due in &mut all {
        let row = (&due.key.account, &due.key.token, &due.key.arrival);
        let stands = statement.query_map(row, |row| Ok(Stand { folder: row.get(0)?, uid: row.get(1)? }))?;
        due.stands = stands.collect::<Result<_, _>>()?;
    }
    Ok(all)
}

/// See [`super::Store::stands`].
pub(super) fn stands(
    writer: &Writer,
    key: &ArrivalKey,
    folder: &FolderKey,
    uid: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (key, folder, uid) = (key.clone(), folder.clone(), uid.to_owned());
    writer.run(move |work| {
        let ArrivalKey { account, token, arrival } = &key;
        let row = (&folder.account, &folder.folder, &uid, token, arrival);
        work.connection.prepare_cached(STAND)?.execute(row)?;
        let row = (at.ms(), account, token, arrival, &folder.folder);
        work.connection.prepare_cached(CHECK_SOON)?.execute(row)?;
        Ok(())
    })
}

/// See [`super::Store::checked`].
pub(super) fn checked(writer: &Writer, checked: Checked) -> Result<(), StoreError> {
    writer.run(move |work| {
        let Checked { key, watcher, at, found, is_news, left, next_check } = checked;
        let ArrivalKey { account, token, arrival } = &key;
        for Stand { folder, uid } in &left {
            work.connection.prepare_cached(LEAVE)?.execute((account, folder, uid, token, arrival))?;
        }
        let missed_at = (found == Found::Missed).then_some(at.ms());
        let row = (next_check.map(Timestamp::ms), missed_at, account, token, arrival);
        work.connection.prepare_cached(CHECKED)?.execute(row)?;
        if !is_news {
            return Ok(());
        }
        let watcher = eye_of(&watcher);
        let (what, told) = match found {
            Found::Here { place, folder } => {
                let told = Some((place.as_str(), folder.clone()));
                (What::Moved { watcher, place, folder }, told)
            }
            Found::Gone => (What::Vanished { watcher }, None),
            Found::Missed => return Ok(()),
        };
        let (place, folder) = told.unzip();
        work.connection.prepare_cached(TELL)?.execute((place, folder, account, token, arrival))?;
        match probe::happen_within(work, token, &Event { at, what }) {
            // Its probe was removed: nobody asks any more.
            Err(StoreError::NotFound(_)) => Ok(()),
            other => other,
        }
    })
}
