//! A copy of the whole store in one file, taken while it is in use.
//!
//! The copy is one state of the database: a read transaction is held while its pages are copied, a few at a time,
//! and meanwhile the log grows by what others write. It gets its name once it is whole, checked and on disk.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::super::writer::Writer;
use super::super::{MessageId, Reader, StoreError, raw};

/// Pages copied at once.
const PAGES: i32 = 256;
/// How often large mails that came meanwhile are moved into the database before the copy is taken all the same.
const ROUNDS: usize = 5;

const SPOOLED: &str = "SELECT m.message_id FROM raw AS r JOIN message AS m ON m.raw_id = r.raw_id
    WHERE r.encoding = 'spool' ORDER BY m.message_id";
const INTEGRITY: &str = "PRAGMA integrity_check(20)";

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// Bytes of the copy.
    pub bytes: u64,
    /// Large mails moved from their files into the database first.
    pub absorbed: u64,
    /// Large mails that came so late that they stand in the copy without their bytes.
    pub without_bytes: u64,
}

/// See [`super::super::Store::backup`].
pub(in super::super) fn backup(
    writer: &Writer,
    reader: &Reader,
    target: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<BackupReport, StoreError> {
    if target.exists() {
        return Err(StoreError::Io(format!("{} is there already: name a new file", target.display())));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let io = |what: &'static str| move |error: std::io::Error| StoreError::io(what, target, &error);
    let draft = tempfile::Builder::new()
        .prefix(".mailsonde-backup-")
        .tempfile_in(folder)
        .map_err(io("cannot make"))?
        .into_temp_path();
    let mut absorbed = 0;
    let mut round = 0;
    let without_bytes = loop {
        for id in spooled(reader.connection())? {
            raw::absorb_spool(writer, id)?;
            absorbed += 1;
        }
        round += 1;
        // One state from here on: reading makes the transaction begin.
        let tx = reader.connection().unchecked_transaction()?;
        let late = spooled(&tx)?;
        if !late.is_empty() && round < ROUNDS {
            drop(tx);
            continue;
        }
        copy(&tx, &draft, &mut progress)?;
        drop(tx);
        break late.len();
    };
    check(&draft)?;
    let file = std::fs::File::open(&draft).map_err(io("cannot read the copy for"))?;
    file.sync_all().map_err(io("cannot sync the copy for"))?;
    let bytes = file.metadata().map_err(io("cannot read the copy for"))?.len();
    draft.persist_noclobber(target).map_err(|error| StoreError::io("cannot name", target, &error.error))?;
    raw::sync_folder(folder)?;
    Ok(BackupReport { bytes, absorbed, without_bytes: u64::try_from(without_bytes).unwrap_or(u64::MAX) })
}

/// Messages whose bytes are in a file.
fn spooled(connection: &Connection) -> Result<Vec<MessageId>, StoreError> {
    let mut statement = connection.prepare_cached(SPOOLED)?;
    let rows = statement.query_map([], |row| row.get(0).map(MessageId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Copies every page.
fn copy(from: &Connection, to: &Path, progress: &mut impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let mut target = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    {
        let backup = Backup::new(from, &mut target)?;
        loop {
            let step = backup.step(PAGES)?;
            let pages = backup.progress();
            let total = u64::try_from(pages.pagecount).unwrap_or(0);
            progress(total.saturating_sub(u64::try_from(pages.remaining).unwrap_or(0)), total);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else knows the copy: a lock can only be that of the original, for a moment.
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
    // One file without a log beside it; opened for writing it goes back to the log.
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Checks the copy from its first page to its last.
fn check(path: &Path) -> Result<(), StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare(INTEGRITY)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    match lines.as_slice() {
        [line] if line == "ok" => Ok(()),
        lines => Err(StoreError::Corrupt(format!("the copy is not sound: {}", lines.join("; ")))),
    }
}
