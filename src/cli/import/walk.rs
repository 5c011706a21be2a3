//! Finds the items below a path: files, folders, Maildir, mailboxes, tar archives, standard input.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::cli::exit::Failure;
use crate::cli::import::mbox::{self, Splitter};
use crate::cli::import::tar::{self, Archive};
use crate::cli::import::{Content, Item};
use crate::limits;

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// An item to read.
    Item(Item),
    /// A file, folder or entry that cannot be read.
    Unreadable {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Takes what was found; an error ends the walk.
pub type Take<'t> = dyn FnMut(Found) -> Result<(), Failure> + 't;

/// Bytes of a file that decide what it is.
const HEAD_BYTES: usize = 4_096;

/// Finds every item at or below `path`, folders in sorted order, `-` as standard input.
///
/// Errors: those of `take`; what cannot be read is given to it with its reason.
pub fn each_item(path: &Path, take: &mut Take<'_>) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        return each_of_stream("-", io::stdin().lock(), take);
    }
    each_below(path, true, &mut HashSet::new(), take)
}

/// Finds the items of a file or a folder. `is_named` is true for what the user named himself.
fn each_below(
    path: &Path,
    is_named: bool,
    seen: &mut HashSet<(u64, u64)>,
    take: &mut Take<'_>,
) -> Result<(), Failure> {
    let name = path.display().to_string();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return take(Found::Unreadable { name, reason: error.to_string() }),
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        // A link to a folder above would never end.
        if !seen.insert((metadata.dev(), metadata.ino())) {
            return Ok(());
        }
        return each_of_folder(path, seen, take);
    }
    if kind.is_file() || (is_named && (kind.is_fifo() || kind.is_char_device())) {
        return match File::open(path) {
            Ok(file) => each_of_file(path, &name, file, kind.is_file(), take),
            Err(error) => take(Found::Unreadable { name, reason: error.to_string() }),
        };
    }
    take(Found::Unreadable { name, reason: "not a file: a socket, a pipe or a device".to_owned() })
}

/// Finds the items of a folder.
fn each_of_folder(path: &Path, seen: &mut HashSet<(u64, u64)>, take: &mut Take<'_>) -> Result<(), Failure> {
    let names = match folder_names(path) {
        Ok(names) => names,
        Err(error) => {
            return take(Found::Unreadable { name: path.display().to_string(), reason: error.to_string() });
        }
    };
    for below in names {
        each_below(&below, false, seen, take)?;
    }
    Ok(())
}

/// The files and folders of a folder that are looked into, sorted. Hidden names are passed over; of a Maildir only
/// its mail is taken.
pub fn folder_names(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    names.sort();
    let is_maildir = ["cur", "new", "tmp"].iter().all(|part| path.join(part).is_dir());
    names.retain(|below| {
        let name = below.file_name().unwrap_or_default();
        if is_maildir {
            // `tmp` holds mail that is still being written, and beside the folders stand files of the server.
            below.is_dir() && name != "tmp"
        } else {
            !name.as_encoded_bytes().starts_with(b".")
        }
    });
    Ok(names)
}

/// Finds the items of one file.
fn each_of_file(
    path: &Path,
    name: &str,
    file: File,
    is_regular: bool,
    take: &mut Take<'_>,
) -> Result<(), Failure> {
    if !is_regular {
        return each_of_stream(name, BufReader::new(file), take);
    }
    let mut input = BufReader::with_capacity(64 * 1024, file);
    let head = match read_head(&mut input) {
        Ok(head) => head,
        Err(error) => return take(Found::Unreadable { name: name.to_owned(), reason: error.to_string() }),
    };
    match Shape::of(&head) {
        Shape::One => {
            take(Found::Item(Item { name: name.to_owned(), content: Content::File(path.to_owned()) }))
        }
        shape => each_of_shape(shape, name, io::Cursor::new(head).chain(input), take),
    }
}

/// Finds the items of a stream that can be read once only.
fn each_of_stream(name: &str, mut input: impl BufRead, take: &mut Take<'_>) -> Result<(), Failure> {
    let unreadable =
        |error: &io::Error| Found::Unreadable { name: name.to_owned(), reason: error.to_string() };
    let head = match read_head(&mut input) {
        Ok(head) => head,
        Err(error) => return take(unreadable(&error)),
    };
    if head.is_empty() {
        return take(Found::Unreadable { name: name.to_owned(), reason: "empty".to_owned() });
    }
    let shape = Shape::of(&head);
    let whole = io::Cursor::new(head).chain(input);
    match shape {
        Shape::One => match hold(whole, limits::UNPACKED_BYTES) {
            Ok(content) => take(Found::Item(Item { name: name.to_owned(), content })),
            Err(error) => take(unreadable(&error)),
        },
        shape => each_of_shape(shape, name, whole, take),
    }
}

/// Finds the items of a mailbox or an archive.
fn each_of_shape(shape: Shape, name: &str, input: impl BufRead, take: &mut Take<'_>) -> Result<(), Failure> {
    match shape {
        Shape::Mailbox => each_of_mailbox(name, input, take),
        Shape::Tar => each_of_archive(name, input, take),
        Shape::TarGz => each_of_archive(name, Unpacked::new(input), take),
        Shape::One => Ok(()),
    }
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One mail or report file.
    One,
    /// A mailbox.
    Mailbox,
    /// A tar archive.
    Tar,
    /// A tar archive, packed with gzip.
    TarGz,
}

impl Shape {
    /// Looks at the first bytes.
    fn of(head: &[u8]) -> Self {
        if mbox::is_mailbox(head) {
            return Self::Mailbox;
        }
        if tar::is_tar(head) {
            return Self::Tar;
        }
        // RFC 1952 §2.3.1: the magic of gzip. The first block inside decides.
        if head.starts_with(&[0x1f, 0x8b]) {
            let mut block = Vec::new();
            // A head that is cut in the middle gives what it can.
            let _ = MultiGzDecoder::new(head).take(512).read_to_end(&mut block);
            if tar::is_tar(&block) {
                return Self::TarGz;
            }
        }
        Self::One
    }
}

/// Reads the first bytes, as many as there are.
fn read_head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Splits a mailbox.
fn each_of_mailbox(name: &str, input: impl BufRead, take: &mut Take<'_>) -> Result<(), Failure> {
    let mut splitter = Splitter::new(input);
    for number in 1_u64.. {
        let name = format!("{name}#{number}");
        match splitter.next_message() {
            Ok(Some(mbox::Message::Whole(bytes))) => {
                take(Found::Item(Item { name, content: Content::Bytes(bytes) }))?;
            }
            Ok(Some(mbox::Message::TooLarge { size_bytes })) => {
                let cap = limits::MESSAGE_BYTES;
                take(Found::Unreadable {
                    name,
                    reason: format!("{size_bytes} bytes: over the cap of {cap}"),
                })?;
            }
            Ok(None) => break,
            Err(error) => return take(Found::Unreadable { name, reason: error.to_string() }),
        }
    }
    Ok(())
}

/// Takes the regular files out of an archive. A mailbox inside is split too.
fn each_of_archive(name: &str, input: impl Read, take: &mut Take<'_>) -> Result<(), Failure> {
    let mut archive = Archive::new(input);
    loop {
        let entry = match archive.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(error) => {
                return take(Found::Unreadable { name: name.to_owned(), reason: error.to_string() });
            }
        };
        let name = format!("{name}/{}", entry.name);
        if entry.size_bytes > limits::UNPACKED_BYTES {
            let (size, cap) = (entry.size_bytes, limits::UNPACKED_BYTES);
            take(Found::Unreadable { name, reason: format!("{size} bytes: over the cap of {cap}") })?;
            continue;
        }
        match hold(archive.content(), limits::UNPACKED_BYTES) {
            Ok(Content::Bytes(bytes)) if mbox::is_mailbox(&bytes) => {
                each_of_mailbox(&name, bytes.as_slice(), take)?;
            }
            Ok(Content::Temporary(file)) => match is_mailbox_file(&file) {
                Some(file) => each_of_mailbox(&name, BufReader::new(file), take)?,
                None => take(Found::Item(Item { name, content: Content::Temporary(file) }))?,
            },
            Ok(content) => take(Found::Item(Item { name, content }))?,
            Err(error) => take(Found::Unreadable { name, reason: error.to_string() })?,
        }
    }
}

/// The temporary file opened again, if it holds a mailbox.
fn is_mailbox_file(file: &tempfile::NamedTempFile) -> Option<File> {
    let head = read_head(&mut file.reopen().ok()?).ok()?;
    if mbox::is_mailbox(&head) { file.reopen().ok() } else { None }
}

/// Holds the bytes of a reader: in memory up to [`limits::BODY_MEMORY_BYTES`], else in a temporary file.
///
/// Errors: those of the reader and the disk; `FileTooLarge` over `cap` bytes.
fn hold(mut input: impl Read, cap: u64) -> io::Result<Content> {
    let mut bytes = Vec::new();
    let memory = limits::BODY_MEMORY_BYTES as u64;
    input.by_ref().take(memory + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= memory {
        return Ok(Content::Bytes(bytes));
    }
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&bytes)?;
    let room = cap.saturating_sub(bytes.len() as u64);
    drop(bytes);
    let copied = io::copy(&mut input.take(room.saturating_add(1)), &mut file)?;
    if copied > room {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("over the cap of {cap} bytes")));
    }
    file.flush()?;
    Ok(Content::Temporary(file))
}

// ---- Packed archives ----

/// The unpacked bytes of a gzip stream; ends with an error where it grows like a bomb.
struct Unpacked<R> {
    /// The decoder over a reader that counts.
    decoder: MultiGzDecoder<Counted<R>>,
    /// Unpacked bytes so far.
    out: u64,
}

/// Counts what is read.
struct Counted<R> {
    /// The reader.
    input: R,
    /// Bytes so far.
    read: u64,
}

impl<R: BufRead> Unpacked<R> {
    /// Unpacks `input`.
    fn new(input: R) -> Self {
        Self { decoder: MultiGzDecoder::new(Counted { input, read: 0 }), out: 0 }
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount as u64;
        self.input.consume(amount);
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.out += read as u64;
        let packed = self.decoder.get_ref().read.max(1);
        let is_large = self.out > limits::UNPACKED_RATIO_FROM_BYTES;
        if is_large && self.out / packed > limits::UNPACKED_RATIO {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("unpacks to more than {} times its size", limits::UNPACKED_RATIO),
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
#[path = "walk/tests.rs"]
mod tests;
