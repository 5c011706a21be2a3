//! What can go wrong with the store, sorted by who can do something about it.

use std::path::Path;

/// Why the store could not do its job. Cloned to everybody whose work was in the same transaction.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk or the allowed size is full, or too little is free. Try again when space was freed: a
    /// receiver answers 452 4.3.1.
    #[error("no space left for the store: {0}")]
    Full(String),
    /// The queue is full, or another process holds the write lock longer than the time-out. Try again
    /// soon: a receiver answers 451.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// The file was written by a newer version of the program: use that version.
    #[error(
        "{file}: schema version {found}, this program knows {known}; use the newer program, or another file"
    )]
    TooNew {
        /// The database file.
        file: String,
        /// Its schema version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file was written by an older version and opened for reading only: open it for writing once.
    #[error(
        "{file}: schema version {found}, this program needs {known}; any command that writes upgrades it, for example `mailsonde serve`"
    )]
    TooOld {
        /// The database file.
        file: String,
        /// Its schema version.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// The file is not a database of this program: give another path.
    #[error("{file}: {reason}; give the path of a Mailsonde database or of a new file")]
    NotOurs {
        /// The file.
        file: String,
        /// What it is instead.
        reason: String,
    },
    /// The file is damaged: restore a backup, or import what can be read.
    #[error("the database is damaged: {0}; stop the program, keep the file, restore a backup")]
    Corrupt(String),
    /// The operating system refuses to read or write: permissions, a vanished disk.
    #[error("the store cannot be read or written: {0}")]
    Io(String),
    /// There is no such message or report (any more).
    #[error("not in the store: {0}")]
    NotFound(String),
    /// What was handed over contradicts itself or the store has moved on: read the message again.
    #[error("cannot be stored as it is: {0}")]
    Contradiction(String),
    /// The store was closed; nothing was written.
    #[error("the store is closed")]
    Closed,
    /// A fault of this program.
    #[error("fault in the store, please report it: {0}")]
    Internal(String),
}

impl StoreError {
    /// True if the same call may succeed later without anybody's change to it.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Busy(_) | Self::Io(_) | Self::Closed)
    }

    /// An error of the operating system, with the file and what was tried.
    pub(super) fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let text = format!("{what} {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => Self::Full(text),
            _ => Self::Io(text),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full(text),
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy(text),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Corrupt(text),
            Some(
                Code::SystemIoFailure
                | Code::CannotOpen
                | Code::PermissionDenied
                | Code::ReadOnly
                | Code::FileLockingProtocolFailed
                | Code::OutOfMemory,
            ) => Self::Io(text),
            _ => match error {
                rusqlite::Error::QueryReturnedNoRows => Self::NotFound("no such row".to_owned()),
                _ => Self::Internal(text),
            },
        }
    }
}

impl From<rusqlite::types::FromSqlError> for StoreError {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Corrupt(format!("a value of another type than the schema says: {error}"))
    }
}
