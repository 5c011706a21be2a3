//! Making, upgrading and opening the database file.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::StoreError;
use crate::clock::{self, Instant};

/// The version of schema.sql, in `PRAGMA user_version`.
pub const SCHEMA_VERSION: i64 = 1;
/// `PRAGMA application_id`: "MSND".
const APPLICATION_ID: i64 = 0x4D53_4E44;
/// The newest schema.
const SCHEMA: &str = include_str!("../../schema.sql");
/// What the planner is told of the size of tables.
const STATISTICS: &str = include_str!("statistics.sql");
/// Statements kept prepared on one connection: all that the store has.
const PREPARED: usize = 160;
/// Pages of 8 KiB in the log after which it is copied into the database.
const CHECKPOINT_PAGES: i64 = 2_000;

/// One step of an upgrade.
pub(super) struct Step {
    /// The version that it reaches.
    pub(super) version: i64,
    /// The statements, from `src/store/migrations/NNNN_name.sql`.
    pub(super) sql: &'static str,
}

/// All steps, in rising order; the first version needs none. A file is never changed after its release.
pub(super) const STEPS: &[Step] = &[];

/// Opens the database for writing; makes or upgrades it. `busy` is the wait for another writer.
pub(super) fn open_writer(
    path: &Path,
    busy: Duration,
    max_bytes: Option<u64>,
) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.busy_timeout(busy)?;
    prepare_file(&connection, path, SCHEMA, SCHEMA_VERSION, STEPS)?;
    // What is removed from a page that is written anyway is overwritten there, so that no old copy of a row stays in a
    // page that is in use: free pages are given back, and `db erase` leaves nothing.
    connection.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    // A reply to a client must survive a power failure: the log is synced at each commit.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864; PRAGMA mmap_size = 0;",
    )?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    if let Some(bytes) = max_bytes {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        connection.pragma_update(None, "max_page_count", pages.max(1))?;
    }
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

thread_local! {
    /// How long the writer of this thread waits for a lock, and since when.
    static PATIENCE: Cell<(Duration, Option<Instant>)> = const { Cell::new((Duration::ZERO, None)) };
}

/// Makes the writer of this thread ask for the lock every millisecond for `busy`.
///
/// SQLite's own time-out asks ever more rarely, up to ten times a second: beside an import that takes the lock
/// again at once, it would find it free by luck only.
pub(super) fn wait_eagerly(connection: &mut Connection, busy: Duration) -> Result<(), StoreError> {
    PATIENCE.set((busy, None));
    connection.busy_handler(Some(|calls| {
        let (busy, since) = PATIENCE.get();
        let now = clock::instant();
        let since = match since {
            Some(since) if calls > 0 => since,
            _ => now,
        };
        PATIENCE.set((busy, Some(since)));
        if now.duration_since(since) >= busy {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
        true
    }))?;
    Ok(())
}

/// Opens the database for reading only.
pub(super) fn open_reader(path: &Path, busy: Duration) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(busy)?;
    match state(&connection, path)? {
        State::Empty => Err(StoreError::NotOurs { file: show(path), reason: "an empty file".to_owned() }),
        State::Version(found) if found > SCHEMA_VERSION => {
            Err(StoreError::TooNew { file: show(path), found, known: SCHEMA_VERSION })
        }
        State::Version(found) if found < SCHEMA_VERSION => {
            Err(StoreError::TooOld { file: show(path), found, known: SCHEMA_VERSION })
        }
        State::Version(_) => {
            connection.execute_batch(
                "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;",
            )?;
            connection.set_prepared_statement_cache_capacity(PREPARED);
            Ok(connection)
        }
    }
}

/// Copies the log into the database file as far as readers allow; `whole`: waits for them, and empties the log.
pub(super) fn checkpoint(path: &Path, busy: Duration, whole: bool) -> Result<(), StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(if whole { busy } else { Duration::ZERO })?;
    let sql = if whole { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
    // Its answer says how far it came; who reads an older state makes it come less far.
    connection.query_row(sql, [], |_| Ok(()))?;
    Ok(())
}

/// Opens the file; says which file if that fails.
fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|error| {
        match StoreError::from(error) {
            StoreError::Io(text) => StoreError::Io(format!("{}: {text}", path.display())),
            other => other,
        }
    })
}

/// The path for a message.
fn show(path: &Path) -> String {
    path.display().to_string()
}

/// What a file is.
enum State {
    /// Nothing in it yet.
    Empty,
    /// Ours, of this version.
    Version(i64),
}

/// Looks at the head of a file.
fn state(connection: &Connection, path: &Path) -> Result<State, StoreError> {
    let not_ours = |reason: String| StoreError::NotOurs { file: show(path), reason };
    let application: i64 = match connection.pragma_query_value(None, "application_id", |row| row.get(0)) {
        Ok(value) => value,
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(not_ours("not an SQLite database".to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let objects: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version, objects) {
        (0, 0, 0) => Ok(State::Empty),
        (APPLICATION_ID, version, _) if version >= 1 => Ok(State::Version(version)),
        (APPLICATION_ID, version, _) => Err(not_ours(format!("of unknown schema version {version}"))),
        _ => Err(not_ours("an SQLite database of another program".to_owned())),
    }
}

/// Brings the file to `newest` by `schema` (if empty) or by `steps`, each in a transaction of its own.
fn prepare_file(
    connection: &Connection,
    path: &Path,
    schema: &str,
    newest: i64,
    steps: &[Step],
) -> Result<(), StoreError> {
    if matches!(state(connection, path)?, State::Empty) {
        connection.execute_batch("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;")?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        let tx = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        // Two processes may start at once: look again under the lock.
        if matches!(state(&tx, path)?, State::Empty) {
            tx.execute_batch(schema)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.execute_batch(STATISTICS)?;
            tx.pragma_update(None, "user_version", newest)?;
        }
        tx.commit()?;
        return Ok(());
    }
    for step in steps {
        let tx = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        match state(&tx, path)? {
            State::Version(found) if found == step.version - 1 => {
                tx.execute_batch(step.sql)?;
                tx.pragma_update(None, "user_version", step.version)?;
                tx.commit()?;
            }
            _ => tx.rollback()?,
        }
    }
    match state(connection, path)? {
        State::Version(found) if found == newest => {
            // Somebody may have switched it off to copy the file.
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            Ok(())
        }
        State::Version(found) => Err(StoreError::TooNew { file: show(path), found, known: newest }),
        State::Empty => Err(StoreError::Internal("a database became empty".to_owned())),
    }
}

// ---- Presence ----

/// A lock file beside the database, held shared by every process that has it open for writing: whoever gets
/// it alone may remove what a killed process left.
#[derive(Debug)]
pub(super) struct Presence {
    file: std::fs::File,
    path: PathBuf,
    is_alone: bool,
}

impl Presence {
    /// Announces this process; waits while another one cleans up.
    pub(super) fn announce(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, "-lock");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::io("cannot make", &path, &error))?;
        let is_alone = match file.try_lock() {
            Ok(()) => true,
            Err(std::fs::TryLockError::WouldBlock) => false,
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(StoreError::io("cannot lock", &path, &error));
            }
        };
        let presence = Self { file, path, is_alone };
        if !is_alone {
            presence.share()?;
        }
        Ok(presence)
    }

    /// True if no other process had the database open.
    pub(super) const fn was_alone(&self) -> bool {
        self.is_alone
    }

    /// Lets others in.
    pub(super) fn share(&self) -> Result<(), StoreError> {
        self.file.lock_shared().map_err(|error| StoreError::io("cannot lock", &self.path, &error))
    }
}

/// The database's path with something after its name.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
