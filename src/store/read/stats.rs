//! Rows and sizes.

use std::path::Path;

use rusqlite::Connection;

use super::super::{StoreError, database, raw};
use super::message::count;

const TABLES: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
    ORDER BY name";
const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM message) AND NOT EXISTS (SELECT 1 FROM probe)";
const OLDEST: &str = "SELECT MIN(received_at_ms), MAX(received_at_ms) FROM message";

/// The size of one table.
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
    /// When the oldest message came, UTC milliseconds.
    pub oldest_ms: Option<i64>,
    /// When the newest message came, UTC milliseconds.
    pub newest_ms: Option<i64>,
    /// The tables, by name.
    pub tables: Vec<TableStats>,
}

/// See [`super::Reader::is_empty`].
pub(super) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.query_row(IS_EMPTY, [], |row| row.get(0))?)
}

/// See [`super::Reader::stats`].
pub(super) fn stats(connection: &Connection, path: &Path) -> Result<StoreStats, StoreError> {
    let pragma = |name: &str| -> Result<i64, StoreError> {
        Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
    };
    let page_bytes = count(pragma("page_size")?);
    let mut statement = connection.prepare_cached(TABLES)?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        // Names from the schema itself: nothing from outside is in this statement.
        let sql = format!("SELECT COUNT(*) FROM \"{name}\"");
        let rows = count(connection.query_row(&sql, [], |row| row.get(0))?);
        tables.push(TableStats { name, rows });
    }
    let (oldest_ms, newest_ms) = connection.query_row(OLDEST, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(StoreStats {
        schema_version: pragma("user_version")?,
        database_bytes: count(pragma("page_count")?) * page_bytes,
        wal_bytes: std::fs::metadata(database::beside(path, "-wal")).map_or(0, |file| file.len()),
        spool_bytes: folder_bytes(&raw::spool_folder(path)),
        free_bytes: count(pragma("freelist_count")?) * page_bytes,
        oldest_ms,
        newest_ms,
        tables,
    })
}

/// Bytes of the files in a folder; none if there is no folder.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(Result::ok).filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}
