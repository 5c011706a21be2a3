//! Rows and sizes.

use std::path::Path;

use rusqlite::Connection;

use super::super::StoreError;

/// The size of one table with its indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStats {
    /// Its name.
    pub name: String,
    /// Rows.
    pub rows: u64,
}

/// The size of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// The version of the schema.
    pub schema_version: i64,
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of spool files.
    pub spool_bytes: u64,
    /// Bytes of the database file that are free for new rows.
    pub free_bytes: u64,
    /// The tables, by name.
    pub tables: Vec<TableStats>,
}

pub(super) fn stats(_connection: &Connection, _path: &Path) -> Result<StoreStats, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}
