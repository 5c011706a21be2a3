//! The bytes of messages: as received, compressed, or in a spool file beside the database.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rusqlite::{Connection, OptionalExtension};

use super::writer::{Work, Writer};
use super::{StoreError, database};
use crate::mail::{Body, MessageId};

/// Bytes of one slice of a long message.
const CHUNK_BYTES: usize = 256 * 1024;

const INSERT: &str = "INSERT INTO raw (raw_id, encoding, bytes, spool_file) VALUES ($1, $2, $3, $4)";
const UPDATE: &str = "UPDATE raw SET encoding = $1, bytes = $2, spool_file = NULL WHERE raw_id = $3";
const INSERT_CHUNK: &str = "INSERT INTO raw_chunk (raw_id, seq, bytes) VALUES ($1, $2, $3)";
const DELETE_CHUNKS: &str = "DELETE FROM raw_chunk WHERE raw_id = $1";
const SELECT: &str = "SELECT r.raw_id, r.encoding, r.bytes, r.spool_file FROM message AS m
    JOIN raw AS r ON r.raw_id = m.raw_id WHERE m.message_id = $1";
const SELECT_CHUNK: &str = "SELECT bytes FROM raw_chunk WHERE raw_id = $1 AND seq = $2";
const SPOOL_FILES: &str = "SELECT spool_file FROM raw WHERE encoding = 'spool'";
const SPOOL_CHUNKS: &str =
    "DELETE FROM raw_chunk WHERE raw_id IN (SELECT raw_id FROM raw WHERE encoding = 'spool')";

/// The bytes of one message, compressed (zlib, RFC 1950).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Vec<u8>);

/// Compresses the bytes of a message for the store. Do it outside the writer's thread.
pub fn pack(bytes: &[u8]) -> Packed {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    // Writing into memory cannot fail; if it did, an empty stream would be told from a message by its end.
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(packed) => Packed(packed),
        Err(_) => Packed(Vec::new()),
    }
}

impl Packed {
    /// Bytes in memory.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for nothing at all, which no message packs to.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// ---- Writing ----

/// Keeps the bytes of a new message under `raw_id`. Returns the spool file if there is one.
pub(super) fn insert(
    work: &Work<'_>,
    raw_id: i64,
    body: Body,
    packed: Option<&Packed>,
) -> Result<Option<PathBuf>, StoreError> {
    match (body, packed) {
        (_, Some(packed)) if !packed.is_empty() => {
            insert_packed(work.connection, raw_id, packed)?;
            Ok(None)
        }
        (Body::Memory(bytes), _) => {
            let none: Option<&str> = None;
            work.connection.prepare_cached(INSERT)?.execute((raw_id, "plain", Some(&*bytes), none))?;
            Ok(None)
        }
        (Body::Spool(file), _) => {
            make_folder(work.spool)?;
            let name = MessageId(raw_id).to_string();
            let target = work.spool.join(&name);
            file.path
                .persist(&target)
                .map_err(|error| StoreError::io("cannot name the spool file", &target, &error.error))?;
            let none: Option<&[u8]> = None;
            work.connection.prepare_cached(INSERT)?.execute((raw_id, "spool", none, Some(&name)))?;
            Ok(Some(target))
        }
    }
}

/// Keeps compressed bytes, in slices if they are long.
fn insert_packed(connection: &Connection, raw_id: i64, packed: &Packed) -> Result<(), StoreError> {
    let none: Option<&str> = None;
    if packed.len() <= CHUNK_BYTES {
        connection.prepare_cached(INSERT)?.execute((raw_id, "zlib", Some(&packed.0), none))?;
        return Ok(());
    }
    let no_bytes: Option<&[u8]> = None;
    connection.prepare_cached(INSERT)?.execute((raw_id, "chunks", no_bytes, none))?;
    for (seq, chunk) in (0i64..).zip(packed.0.chunks(CHUNK_BYTES)) {
        connection.prepare_cached(INSERT_CHUNK)?.execute((raw_id, seq, chunk))?;
    }
    Ok(())
}

/// Replaces the plain bytes of `raw_id` by compressed ones. Spooled bytes stay: see [`absorb_spool`].
pub(super) fn replace(work: &Work<'_>, raw_id: i64, packed: &Packed) -> Result<(), StoreError> {
    const IS_PLAIN: &str = "SELECT 1 FROM raw WHERE raw_id = $1 AND encoding = 'plain'";
    let is_plain = work.connection.prepare_cached(IS_PLAIN)?.exists([raw_id])?;
    if !is_plain || packed.is_empty() {
        return Ok(());
    }
    if packed.len() <= CHUNK_BYTES {
        work.connection.prepare_cached(UPDATE)?.execute(("zlib", Some(&packed.0), raw_id))?;
        return Ok(());
    }
    let no_bytes: Option<&[u8]> = None;
    work.connection.prepare_cached(UPDATE)?.execute(("chunks", no_bytes, raw_id))?;
    for (seq, chunk) in (0i64..).zip(packed.0.chunks(CHUNK_BYTES)) {
        work.connection.prepare_cached(INSERT_CHUNK)?.execute((raw_id, seq, chunk))?;
    }
    Ok(())
}

/// Moves a spooled message into the database: see [`super::Store::absorb_spool`].
pub(super) fn absorb_spool(writer: &Writer, id: MessageId) -> Result<(), StoreError> {
    let found = writer.run(move |work| {
        let row = work
            .connection
            .prepare_cached(SELECT)?
            .query_row([id.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(3)?))
            })
            .optional()?;
        let Some((raw_id, encoding, Some(name))) = row else { return Ok(None) };
        if encoding != "spool" {
            return Ok(None);
        }
        // An attempt that was given up may have left slices.
        work.connection.prepare_cached(DELETE_CHUNKS)?.execute([raw_id])?;
        Ok(Some((raw_id, work.spool.join(name))))
    })?;
    let Some((raw_id, path)) = found else { return Ok(()) };
    let mut file = File::open(&path).map_err(|error| StoreError::io("cannot read", &path, &error))?;
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(2 * CHUNK_BYTES), Compression::fast());
    let mut buffer = vec![0u8; 64 * 1024];
    let mut seq = 0i64;
    loop {
        let read = file.read(&mut buffer).map_err(|error| StoreError::io("cannot read", &path, &error))?;
        let io = |error: std::io::Error| StoreError::io("cannot compress", &path, &error);
        let last = if read == 0 {
            true
        } else {
            encoder.write_all(buffer.get(..read).unwrap_or_default()).map_err(io)?;
            false
        };
        if last {
            encoder.try_finish().map_err(io)?;
        }
        while encoder.get_ref().len() >= CHUNK_BYTES || (last && !encoder.get_ref().is_empty()) {
            let rest = encoder.get_mut();
            let chunk: Vec<u8> = rest.drain(..rest.len().min(CHUNK_BYTES)).collect();
            let at = seq;
            writer.run(move |work| {
                work.connection.prepare_cached(INSERT_CHUNK)?.execute((raw_id, at, chunk))?;
                Ok(())
            })?;
            seq += 1;
        }
        if last {
            break;
        }
    }
    writer.run(move |work| {
        let no_bytes: Option<&[u8]> = None;
        work.connection.prepare_cached(UPDATE)?.execute(("chunks", no_bytes, raw_id))?;
        work.remove.push(path);
        Ok(())
    })
}

// ---- Removing ----

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// There was nothing.
    Nothing,
    /// All of it.
    Whole,
    /// The row: its slices are still to be removed, by [`remove_chunk`].
    WithoutChunks,
}

/// Removes the bytes `raw_id`; a spool file goes after the commit.
pub(super) fn remove(work: &mut Work<'_>, raw_id: i64) -> Result<Removal, StoreError> {
    const FIND: &str = "SELECT encoding, spool_file FROM raw WHERE raw_id = $1";
    const DELETE: &str = "DELETE FROM raw WHERE raw_id = $1";
    let found = work
        .connection
        .prepare_cached(FIND)?
        .query_row([raw_id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))
        .optional()?;
    let Some((encoding, spool_file)) = found else { return Ok(Removal::Nothing) };
    work.connection.prepare_cached(DELETE)?.execute([raw_id])?;
    if let Some(name) = spool_file {
        work.remove.push(work.spool.join(name));
    }
    Ok(if matches!(encoding.as_str(), "chunks" | "spool") { Removal::WithoutChunks } else { Removal::Whole })
}

/// Removes one slice of bytes whose row is gone; false if there is none.
pub(super) fn remove_chunk(work: &Work<'_>, raw_id: i64) -> Result<bool, StoreError> {
    const FIRST: &str = "SELECT MIN(seq) FROM raw_chunk WHERE raw_id = $1";
    const DELETE: &str = "DELETE FROM raw_chunk WHERE raw_id = $1 AND seq = $2";
    let first: Option<i64> = work.connection.prepare_cached(FIRST)?.query_row([raw_id], |row| row.get(0))?;
    let Some(first) = first else { return Ok(false) };
    work.connection.prepare_cached(DELETE)?.execute((raw_id, first))?;
    Ok(true)
}

// ---- Reading ----

/// The bytes of one message, decompressed while they are read.
pub struct Raw<'a>(Inner<'a>);

impl std::fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raw")
    }
}

/// Where they come from.
enum Inner<'a> {
    Plain(Cursor<Vec<u8>>),
    Zlib(ZlibDecoder<Cursor<Vec<u8>>>),
    Chunks(Box<ZlibDecoder<Chunks<'a>>>),
    File(File),
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(bytes) => bytes.read(buffer),
            Inner::Zlib(decoder) => decoder.read(buffer),
            Inner::Chunks(decoder) => decoder.read(buffer),
            Inner::File(file) => file.read(buffer),
        }
    }
}

/// The slices of one message, one in memory at a time.
struct Chunks<'a> {
    connection: &'a Connection,
    raw_id: i64,
    next: i64,
    current: Cursor<Vec<u8>>,
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let next: Option<Vec<u8>> = self
                .connection
                .prepare_cached(SELECT_CHUNK)
                .and_then(|mut statement| {
                    statement.query_row((self.raw_id, self.next), |row| row.get(0)).optional()
                })
                .map_err(std::io::Error::other)?;
            match next {
                Some(bytes) => self.current = Cursor::new(bytes),
                None => return Ok(0),
            }
            self.next += 1;
        }
    }
}

/// Opens the bytes of a message.
pub(super) fn open<'a>(
    connection: &'a Connection,
    database: &Path,
    id: MessageId,
) -> Result<Raw<'a>, StoreError> {
    let row = connection
        .prepare_cached(SELECT)?
        .query_row([id.0], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<Vec<u8>>>(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        })
        .optional()?;
    let gone = || StoreError::NotFound(format!("the bytes of message {id}"));
    let (raw_id, encoding, bytes, file) = row.ok_or_else(gone)?;
    Ok(Raw(match encoding.as_str() {
        "plain" => Inner::Plain(Cursor::new(bytes.ok_or_else(gone)?)),
        "zlib" => Inner::Zlib(ZlibDecoder::new(Cursor::new(bytes.ok_or_else(gone)?))),
        "chunks" => Inner::Chunks(Box::new(ZlibDecoder::new(Chunks {
            connection,
            raw_id,
            next: 0,
            current: Cursor::new(Vec::new()),
        }))),
        "spool" => {
            let path = spool_folder(database).join(file.ok_or_else(gone)?);
            Inner::File(File::open(&path).map_err(|error| StoreError::io("cannot read", &path, &error))?)
        }
        other => return Err(StoreError::Internal(format!("raw encoding {other}"))),
    }))
}

// ---- The spool folder ----

/// The folder of spool files of a database.
pub(super) fn spool_folder(database: &Path) -> PathBuf {
    database::beside(database, "-spool")
}

/// Makes the spool folder if there is none.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    match std::fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::io("cannot make", folder, &error)),
    }
}

/// Makes renames in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StoreError::io("cannot sync", folder, &error))
}

/// Removes spool files that no row refers to, and slices of messages that are still in a file. Only for a
/// process that is alone with the database.
pub(super) fn clean_spool(connection: &Connection, folder: &Path) -> Result<(), StoreError> {
    connection.execute(SPOOL_CHUNKS, [])?;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("cannot read", folder, &error)),
    };
    let mut statement = connection.prepare(SPOOL_FILES)?;
    let wanted = statement
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<std::collections::HashSet<_>, _>>()?;
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io("cannot read", folder, &error))?;
        let is_wanted = entry.file_name().to_str().is_some_and(|name| wanted.contains(name));
        if !is_wanted {
            std::fs::remove_file(entry.path())
                .map_err(|error| StoreError::io("cannot remove", &entry.path(), &error))?;
        }
    }
    Ok(())
}
