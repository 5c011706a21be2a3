//! Giving free pages back to the file system.

use std::path::Path;

use super::super::writer::Writer;
use super::super::{StoreError, database};
use super::slice_time;
use crate::clock;

/// Pages given back with one statement.
const PAGES: &str = "PRAGMA incremental_vacuum(32)";

/// Gives every free page back, in slices, and copies the log into the file, which then becomes smaller.
pub(super) fn give_back(writer: &Writer, is_stopped: &dyn Fn() -> bool) -> Result<(), StoreError> {
    loop {
        let is_done = writer.run(|work| {
            let (started, time) = (clock::instant(), slice_time(work));
            // What was left to be removed goes first: its pages come then.
            if *work.has_leftovers {
                *work.has_leftovers = super::super::loading::remove_slice(work.connection, time)?;
                return Ok(false);
            }
            loop {
                let free: i64 =
                    work.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
                if free == 0 {
                    return Ok(true);
                }
                let mut statement = work.connection.prepare_cached(PAGES)?;
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
                if started.elapsed() >= time {
                    return Ok(false);
                }
            }
        })?;
        if is_done || is_stopped() {
            break;
        }
    }
    checkpoint(writer, false)
}

/// Copies the log into the database file; `whole`: waits for readers and empties the log.
pub(super) fn checkpoint(writer: &Writer, whole: bool) -> Result<(), StoreError> {
    database::checkpoint(writer.path(), writer.options().busy_timeout, whole)
}

/// Bytes of the database file and its log.
pub(super) fn file_bytes(path: &Path) -> u64 {
    let len = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    len(path) + len(&database::beside(path, "-wal"))
}
