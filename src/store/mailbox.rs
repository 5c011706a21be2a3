//! How far mailboxes were read, and what is still to be done in them.

use rusqlite::{Connection, OptionalExtension};

use super::mailbox_arrival;
use super::message::{self, SameMail};
use super::read::count;
use super::writer::{Work, Writer};
use super::{FinishDone, Finished, MessageRef, MessageStatus, Reading, StoreError};
use crate::clock::Timestamp;
use crate::mailbox::{FolderKey, FolderState, Mark, Note, OpenMessage, Step};

const STATE: &str =
    "SELECT uid_validity, last_uid, good_at_ms FROM mailbox_folder WHERE account = $1 AND folder = $2";
const OPEN: &str = "SELECT uid, step, tries, size_bytes, reason FROM mailbox_message
    WHERE account = $1 AND folder = $2 ORDER BY LENGTH(uid), uid";
const BEGIN: &str =
    "INSERT INTO mailbox_folder (account, folder, uid_validity, last_uid) VALUES ($1, $2, $3, 0)
    ON CONFLICT (account, folder) DO UPDATE SET uid_validity = excluded.uid_validity, last_uid = 0";
const FORGET: &str = "DELETE FROM mailbox_message WHERE account = $1 AND folder = $2";
const ADVANCE: &str = "UPDATE mailbox_folder SET last_uid = $1 WHERE account = $2 AND folder = $3
    AND uid_validity = $4 AND last_uid = $5";
const ADVANCE_FROM: &str = "UPDATE mailbox_folder SET last_uid = $1 WHERE account = $2 AND folder = $3
    AND last_uid >= $4 AND last_uid < $1";
const PASS_OVER: &str = "UPDATE mailbox_folder SET last_uid = $1 WHERE account = $2 AND folder = $3
    AND last_uid = $4";
const CLEAR: &str = "DELETE FROM mailbox_message WHERE account = $1 AND folder = $2 AND uid = $3";
const SET_STEP: &str = "INSERT INTO mailbox_message (account, folder, uid, step, tries)
    SELECT account, folder, $1, $2, 0 FROM mailbox_folder
    WHERE account = $3 AND folder = $4 AND uid_validity = $5
    ON CONFLICT (account, folder, uid) DO UPDATE SET step = excluded.step, tries = 0, reason = NULL";
const ASIDE: &str = "INSERT INTO mailbox_message (account, folder, uid, step, tries, size_bytes, reason)
    VALUES ($1, $2, $3, $4, 1, $5, $6)
    ON CONFLICT (account, folder, uid) DO UPDATE SET step = excluded.step, tries = tries + 1,
        size_bytes = excluded.size_bytes, reason = excluded.reason
    WHERE step IN ('ask', 'given-up')";
const ASK_AGAIN: &str = "UPDATE mailbox_message SET step = 'ask', tries = 0
    WHERE account = $1 AND folder = $2 AND step = 'given-up'";
const LOOKED: &str =
    "INSERT INTO mailbox_folder (account, folder, uid_validity, last_uid, looked_at_ms, fault, good_at_ms)
    VALUES ($1, $2, 0, 0, $3, $4, CASE WHEN $4 IS NULL THEN $3 END)
    ON CONFLICT (account, folder) DO UPDATE SET looked_at_ms = excluded.looked_at_ms, fault = excluded.fault,
        good_at_ms = COALESCE(excluded.good_at_ms, good_at_ms)";
const PASSED: &str =
    "INSERT INTO mailbox_message (account, folder, uid, step, tries) VALUES ($1, $2, $3, 'passed', 0)
    ON CONFLICT (account, folder, uid) DO UPDATE SET step = excluded.step, tries = 0, reason = NULL";
const LIST: &str = "SELECT f.account, f.folder, f.uid_validity, f.last_uid, f.looked_at_ms, f.fault,
    (SELECT COUNT(*) FROM mailbox_message AS m WHERE m.account = f.account AND m.folder = f.folder
        AND m.step = 'ask'),
    (SELECT COUNT(*) FROM mailbox_message AS m WHERE m.account = f.account AND m.folder = f.folder
        AND m.step IN ('move-read', 'move-unread')),
    (SELECT COUNT(*) FROM mailbox_message AS m WHERE m.account = f.account AND m.folder = f.folder
        AND m.step = 'given-up'),
    (SELECT m.uid || ': ' || COALESCE(m.reason, '') FROM mailbox_message AS m WHERE m.account = f.account
        AND m.folder = f.folder AND m.step = 'given-up' ORDER BY LENGTH(m.uid), m.uid LIMIT 1)
    FROM mailbox_folder AS f ORDER BY f.account, f.folder";

/// A folder of a mailbox as `mailbox list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxFolder {
    /// Account and folder.
    pub key: FolderKey,
    /// UIDVALIDITY; 0 for POP3.
    pub uid_validity: u64,
    /// Read up to this UID.
    pub last_uid: u64,
    /// When it was looked through last.
    pub looked_at: Option<Timestamp>,
    /// Why the last look failed.
    pub fault: Option<String>,
    /// Messages that are asked for again.
    pub waiting: u64,
    /// Messages that wait to be moved.
    pub to_move: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// The first of these, with its reason.
    pub first_given_up: Option<String>,
}

/// See [`super::Reader::mailbox_state`].
pub(super) fn state(connection: &Connection, key: &FolderKey) -> Result<FolderState, StoreError> {
    let row = connection
        .prepare_cached(STATE)?
        .query_row((&key.account, &key.folder), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<i64>>(2)?))
        })
        .optional()?;
    let (uid_validity, last_uid, good_at_ms) = row.unwrap_or_default();
    let mut statement = connection.prepare_cached(OPEN)?;
    let rows = statement.query_map((&key.account, &key.folder), |row| {
        Ok(OpenMessage {
            uid: row.get(0)?,
            step: Step::parse(row.get_ref(1)?.as_str()?).unwrap_or(Step::Ask),
            tries: row.get(2)?,
            size_bytes: row.get::<_, Option<i64>>(3)?.map(count),
            reason: row.get(4)?,
        })
    })?;
    let good_at = good_at_ms.map(Timestamp::from_ms);
    Ok(FolderState { uid_validity, last_uid, open: rows.collect::<Result<_, _>>()?, good_at })
}

/// See [`super::Reader::mailbox_folders`].
pub(super) fn list(connection: &Connection) -> Result<Vec<MailboxFolder>, StoreError> {
    let mut statement = connection.prepare_cached(LIST)?;
    let rows = statement.query_map([], |row| {
        Ok(MailboxFolder {
            key: FolderKey { account: row.get(0)?, folder: row.get(1)? },
            uid_validity: count(row.get(2)?),
            last_uid: count(row.get(3)?),
            looked_at: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_ms),
            fault: row.get(5)?,
            waiting: count(row.get(6)?),
            to_move: count(row.get(7)?),
            given_up: count(row.get(8)?),
            first_given_up: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Store::note_mailbox`].
pub(super) fn note(writer: &Writer, key: &FolderKey, note: Note) -> Result<(), StoreError> {
    let FolderKey { account, folder } = key.clone();
    writer.run(move |work| {
        let connection = work.connection;
        match note {
            Note::Begin { uid_validity } => {
                connection.prepare_cached(BEGIN)?.execute((&account, &folder, uid_validity))?;
                connection.prepare_cached(FORGET)?.execute((&account, &folder))?;
                mailbox_arrival::leave_folder(work, &account, &folder)?;
            }
            Note::Aside { previous, uid, step, size_bytes, reason } => {
                let size = size_bytes.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
                connection.prepare_cached(ASIDE)?.execute((
                    &account,
                    &folder,
                    &uid,
                    step.as_str(),
                    size,
                    &reason,
                ))?;
                if let (Some(previous), Ok(uid)) = (previous, uid.parse::<u32>()) {
                    connection.prepare_cached(PASS_OVER)?.execute((uid, &account, &folder, previous))?;
                }
            }
            Note::Advance { from, to } => {
                connection.prepare_cached(ADVANCE_FROM)?.execute((to, &account, &folder, from))?;
            }
            Note::Clear(uids) => {
                let mut clear = connection.prepare_cached(CLEAR)?;
                for uid in uids {
                    clear.execute((&account, &folder, &uid))?;
                }
            }
            Note::AskAgain => {
                connection.prepare_cached(ASK_AGAIN)?.execute((&account, &folder))?;
            }
            Note::Passed(uids) => {
                connection.prepare_cached(ENSURE)?.execute((&account, &folder))?;
                let mut pass = connection.prepare_cached(PASSED)?;
                for uid in uids {
                    pass.execute((&account, &folder, &uid))?;
                }
            }
            Note::Looked { at, fault } => {
                connection.prepare_cached(LOOKED)?.execute((&account, &folder, at.ms(), &fault))?;
            }
        }
        Ok(())
    })
}

/// See [`super::Store::finish_marked`].
pub(super) fn queue_finish(
    writer: &Writer,
    message: MessageRef,
    reading: Reading,
    mark: Mark,
    done: FinishDone,
) -> Result<(), StoreError> {
    message::queue_finish_with(writer, message, reading, SameMail::IsTheSame, done, move |work, finished| {
        set_mark(work, &mark, finished)
    })
}

/// Writes the mark of a message that was finished in this transaction.
fn set_mark(work: &Work<'_>, mark: &Mark, finished: &Finished) -> Result<(), StoreError> {
    let connection = work.connection;
    match mark {
        Mark::Imap { key: FolderKey { account, folder }, uid_validity, previous, uid, is_moved } => {
            let text = uid.to_string();
            if *is_moved {
                let step =
                    if finished.status == MessageStatus::Unread { Step::MoveUnread } else { Step::MoveRead };
                let row = (&text, step.as_str(), account, folder, uid_validity);
                connection.prepare_cached(SET_STEP)?.execute(row)?;
            } else {
                connection.prepare_cached(CLEAR)?.execute((account, folder, &text))?;
            }
            if let Some(previous) = previous {
                let row = (uid, account, folder, uid_validity, previous);
                connection.prepare_cached(ADVANCE)?.execute(row)?;
            }
        }
        Mark::Pop3 { key: FolderKey { account, folder }, uidl } => {
            connection.prepare_cached(ENSURE)?.execute((account, folder))?;
            connection.prepare_cached(SET_STEP)?.execute((uidl, Step::Done.as_str(), account, folder, 0))?;
        }
        Mark::Arrival(arrival) => mailbox_arrival::insert(work, arrival, finished)?,
        Mark::Nothing => {}
    }
    Ok(())
}

const ENSURE: &str =
    "INSERT INTO mailbox_folder (account, folder, uid_validity, last_uid) VALUES ($1, $2, 0, 0)
    ON CONFLICT (account, folder) DO NOTHING";
