//! What ends the program when it is read (no memory left, an abort in a library): not read again and again.
//!
//! Before a reader takes bytes in hand, their SHA-256 is noted in a file beside the database, and struck out when it is done.
//! A process that ends between the two leaves the note; the next one that reads counts it. Bytes on which two
//! processes ended are not read by the same version of the readers again, unless `db reprocess` asks for it.
//!
//! The note is one write of 40 bytes without a sync: it must outlive the process, not the machine. Each process has a file of its
//! own, which it holds locked; a file that is not locked belongs to nobody who lives. Bytes on which one process ended
//! are read while this process reads nothing else, so that a second end is theirs. Whoever ends the program from outside while
//! they are read is taken for them: that is why they are kept and can be asked for again.
//!
//! A folder in which no note can be written costs this safety and nothing else.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::OptionalExtension as _;

use super::writer::{Work, Writer};
use super::{MessageId, StoreError, database};
use crate::limits;

const COUNT: &str =
    "INSERT INTO fatal_content (sha256, parser_version, deaths, last_at_ms) VALUES ($1, $2, 1, $3)
    ON CONFLICT (sha256) DO UPDATE SET last_at_ms = excluded.last_at_ms,
        deaths = CASE WHEN parser_version = excluded.parser_version THEN deaths + 1 ELSE 1 END,
        parser_version = excluded.parser_version";
const ALL: &str = "SELECT sha256, parser_version, deaths FROM fatal_content";
const ONE: &str = "SELECT deaths FROM fatal_content WHERE sha256 = $1 AND parser_version = $2";
const FORGET: &str = "DELETE FROM fatal_content WHERE sha256 = $1";
const FORGET_MESSAGE: &str =
    "DELETE FROM fatal_content WHERE sha256 = (SELECT sha256 FROM message WHERE message_id = $1)";
const FORGET_OLD: &str = "DELETE FROM fatal_content WHERE last_at_ms < $1";

/// Bytes of one note: 1 if it holds, three for nothing, the version of the readers, the hash.
const NOTE_BYTES: usize = 40;
/// Readings of one process that are noted at the same time; one more is read without a note.
const NOTES: u32 = 64;
/// Processes that read the same store at the same time and have a file; one more reads without notes.
const FILES: u32 = 16;

/// What is to be done with bytes.
#[derive(Debug)]
pub enum Begun<'s> {
    /// They are read; the note holds until this value is dropped.
    Read(ReadingNote<'s>),
    /// So many processes ended on them: they are kept unread.
    Fatal {
        /// How many.
        deaths: u32,
    },
}

/// The notes of one process.
#[derive(Debug)]
pub(super) struct Fatal {
    opened: Mutex<Option<Arc<Opened>>>,
    /// Taken alone for bytes on which a process ended.
    turn: RwLock<()>,
}

/// The notes once something was read.
#[derive(Debug)]
struct Opened {
    /// `None` if there can be no file.
    file: Option<File>,
    /// A bit for each note that is in use.
    used: AtomicU64,
    /// Bytes on which a process ended, when this one began; the table knows better.
    suspects: HashMap<[u8; 32], u32>,
}

impl Fatal {
    /// Nothing is noted yet, and no file made.
    pub(super) const fn new() -> Self {
        Self { opened: Mutex::new(None), turn: RwLock::new(()) }
    }

    /// See [`super::Store::begin_reading`].
    pub(super) fn begin<'s>(
        &'s self,
        writer: &'s Writer,
        sha256: &[u8; 32],
        version: u32,
    ) -> Result<Begun<'s>, StoreError> {
        let opened = self.open(writer, version)?;
        let mut is_suspect = false;
        if opened.suspects.contains_key(sha256) {
            // It may be forgiven by now.
            let deaths = deaths_of(writer, *sha256, version)?;
            if deaths >= limits::FATAL_READINGS {
                return Ok(Begun::Fatal { deaths });
            }
            is_suspect = deaths > 0;
        }
        let turn = if is_suspect {
            tracing::warn!(sha256 = %hex(sha256), "a process ended while it read this; reading it once more, alone");
            Turn::Alone(self.turn.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Turn::Shared(self.turn.read().unwrap_or_else(PoisonError::into_inner))
        };
        let slot = opened.take_slot();
        if let Some(slot) = slot {
            opened.write(slot, sha256, version);
        }
        let suspect = is_suspect.then_some((writer, *sha256));
        Ok(Begun::Read(ReadingNote { opened, slot, suspect, _turn: turn }))
    }

    /// The notes; the first call counts what processes left that are gone.
    fn open(&self, writer: &Writer, version: u32) -> Result<Arc<Opened>, StoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(Arc::clone(opened));
        }
        let mut own = None;
        for number in 1..=FILES {
            let path = database::beside(writer.path(), &format!("-reading-{number}"));
            // One that is not there was never in use, and so no later one.
            let is_there = path.exists();
            if !is_there && own.is_some() {
                break;
            }
            let Some(file) = lock(&path) else { continue };
            let left = notes_in(&file);
            if !left.is_empty() {
                count(writer, left)?;
            }
            // Only what is counted may go.
            if let Err(error) = file.set_len(0) {
                tracing::warn!(file = %path.display(), %error, "cannot empty the notes of what is read");
            }
            if own.is_none() {
                own = Some(file);
            }
        }
        if own.is_none() {
            tracing::warn!(
                "no file beside the database can note what is read; a mail that ends the program is read again"
            );
        }
        let suspects = writer.run(move |work| all(work, version))?;
        let value = Arc::new(Opened { file: own, used: AtomicU64::new(0), suspects });
        *opened = Some(Arc::clone(&value));
        Ok(value)
    }
}

impl Opened {
    /// A free note.
    fn take_slot(&self) -> Option<u32> {
        self.file.as_ref()?;
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let slot = used.trailing_ones();
            if slot >= NOTES {
                return None;
            }
            let taken = used | (1 << slot);
            match self.used.compare_exchange_weak(used, taken, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(slot),
                Err(now) => used = now,
            }
        }
    }

    /// Notes that these bytes are in hand. A note that cannot be written is missing, no more.
    fn write(&self, slot: u32, sha256: &[u8; 32], version: u32) {
        let mut note = [0u8; NOTE_BYTES];
        let parts = [1u8, 0, 0, 0].into_iter().chain(version.to_le_bytes()).chain(*sha256);
        for (to, from) in note.iter_mut().zip(parts) {
            *to = from;
        }
        if let Some(file) = &self.file {
            drop(file.write_all_at(&note, place(slot)));
        }
    }

    /// Strikes a note out.
    fn clear(&self, slot: u32) {
        if let Some(file) = &self.file {
            drop(file.write_all_at(&[0], place(slot)));
        }
        self.used.fetch_and(!(1 << slot), Ordering::Relaxed);
    }
}

/// Where a note stands.
fn place(slot: u32) -> u64 {
    u64::from(slot) * 64
}

/// Whether other bytes may be read at the same time; held, not looked at.
#[derive(Debug)]
enum Turn<'s> {
    Shared(#[expect(dead_code, reason = "it is held")] RwLockReadGuard<'s, ()>),
    Alone(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'s, ()>),
}

/// Bytes that are in hand; dropped when they are read.
pub struct ReadingNote<'s> {
    opened: Arc<Opened>,
    slot: Option<u32>,
    /// Bytes on which a process ended before: it was not them.
    suspect: Option<(&'s Writer, [u8; 32])>,
    _turn: Turn<'s>,
}

impl std::fmt::Debug for ReadingNote<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadingNote").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Drop for ReadingNote<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.opened.clear(slot);
        }
        if let Some((writer, sha256)) = self.suspect.take() {
            let forget = move |work: &mut Work<'_>| {
                work.connection.prepare_cached(FORGET)?.execute([&sha256[..]])?;
                Ok(())
            };
            // A closed store forgets it the next time.
            drop(writer.queue(64, forget, Box::new(|_| {})));
        }
    }
}

/// Opens a file of notes, if nobody who lives holds it.
fn lock(path: &Path) -> Option<File> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// The notes that hold in a file: hash and version.
fn notes_in(file: &File) -> Vec<([u8; 32], u32)> {
    let mut found = Vec::new();
    for slot in 0..NOTES {
        let mut note = [0u8; NOTE_BYTES];
        if file.read_exact_at(&mut note, place(slot)).is_err() {
            continue;
        }
        let [1, _, _, _, a, b, c, d, sha256 @ ..] = note else { continue };
        found.push((sha256, u32::from_le_bytes([a, b, c, d])));
    }
    found
}

/// Counts notes that were left.
fn count(writer: &Writer, left: Vec<([u8; 32], u32)>) -> Result<(), StoreError> {
    for (sha256, _) in &left {
        tracing::error!(sha256 = %hex(sha256), "a process ended while it read this");
    }
    writer.run(move |work| {
        for (sha256, version) in &left {
            work.connection.prepare_cached(COUNT)?.execute((&sha256[..], version, work.now.ms()))?;
        }
        Ok(())
    })
}

/// All bytes on which a process with these readers ended.
fn all(work: &Work<'_>, version: u32) -> Result<HashMap<[u8; 32], u32>, StoreError> {
    let mut statement = work.connection.prepare_cached(ALL)?;
    let mut rows = statement.query([])?;
    let mut found = HashMap::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, u32>(1)? == version {
            found.insert(row.get(0)?, row.get(2)?);
        }
    }
    Ok(found)
}

/// On how many processes' ends these bytes stood.
fn deaths_of(writer: &Writer, sha256: [u8; 32], version: u32) -> Result<u32, StoreError> {
    writer.run(move |work| {
        let found = work
            .connection
            .prepare_cached(ONE)?
            .query_row((&sha256[..], version), |row| row.get(0))
            .optional()?;
        Ok(found.unwrap_or(0))
    })
}

/// Lets the bytes of a message be read again.
pub(super) fn forgive(work: &Work<'_>, id: MessageId) -> Result<(), StoreError> {
    work.connection.prepare_cached(FORGET_MESSAGE)?.execute([id.0])?;
    Ok(())
}

/// Forgets what happened before an instant, UTC milliseconds.
pub(super) fn forget_old(work: &Work<'_>, before_ms: i64) -> Result<(), StoreError> {
    work.connection.prepare_cached(FORGET_OLD)?.execute([before_ms])?;
    Ok(())
}

/// The first bytes of a hash for the log.
fn hex(sha256: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    sha256.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
