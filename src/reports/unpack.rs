//! Archives and compressed streams to documents, within a budget.
//!
//! Content decides, never a name. Nothing is written anywhere: entry names are only shown.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::ops::ControlFlow;

use crate::limits;
pub use crate::reports::inflate::Budget;
use crate::reports::inflate::{Inflate, Wrapping, refuse};
use crate::reports::quirk;
use crate::reports::sniff::{Content, SNIFF_BYTES, sniff};

/// Why something that looks like a report could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnreadableKind {
    /// A compressed stream or archive ends early.
    Truncated,
    /// A checksum, length or structure is wrong.
    Corrupt,
    /// A cap was reached.
    TooLarge,
    /// A format that is not read, by name.
    Unsupported,
    /// Markup or values that no record can be trusted in.
    Malformed,
    /// A document type declaration with an internal subset.
    Forbidden,
    /// Nothing in it.
    Empty,
    /// A report that needs a value that is absent.
    Incomplete,
}

/// Something that looks like a report and could not be read: kept, listed, never counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// The class.
    pub kind: UnreadableKind,
    /// The reason in words for the operator, for example `gzip stream ends early (truncated)`.
    pub reason: String,
    /// Where: part and entry names, for example `report.zip/a.xml`.
    pub place: String,
}

impl Unreadable {
    /// Makes one without a place; [`Self::at`] adds it.
    ///
    /// The reason of a reached cap always begins with `too large`: people look for these words.
    pub fn new(kind: UnreadableKind, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if kind == UnreadableKind::TooLarge && !reason.contains("too large") {
            reason.insert_str(0, "too large: ");
        }
        Self { kind, reason, place: String::new() }
    }

    /// Says where it is, unless that is known already.
    pub fn at(mut self, place: &str) -> Self {
        if self.place.is_empty() {
            place.clone_into(&mut self.place);
        }
        self
    }

    /// Takes the refusal out of an error of a stream; another error is damage.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(unreadable) => unreadable,
            Err(error) => Self::new(UnreadableKind::Corrupt, format!("the stream cannot be read: {error}")),
        }
    }
}

/// One document found by [`walk`].
pub(super) struct Document<'a, 'b> {
    /// What it is.
    pub(super) content: Content,
    /// Where: names of the part and of the entries, joined by `/`.
    pub(super) place: &'b str,
    /// Its own name: the last entry's, else the part's.
    pub(super) name: &'b str,
    /// Entry numbers down to it.
    pub(super) path: &'b [usize],
    /// Its bytes. What is not read is skipped.
    pub(super) input: &'b mut (dyn Read + 'a),
}

/// Takes documents and refusals. `Break` ends the walk.
pub(super) type Visit<'v> = &'v mut dyn FnMut(Result<Document<'_, '_>, Unreadable>) -> ControlFlow<()>;

/// Walks all documents in `bytes`, packed or not.
///
/// The caller has added what it was packed in to the budget.
/// `only`: the path of the one document that is wanted; others are passed over unread where that is
/// possible. Refusals concern one stream or entry; the others are still visited.
pub(super) fn walk(bytes: &[u8], name: &str, budget: &Budget, only: Option<&[usize]>, visit: Visit<'_>) {
    let mut walker = Walker { budget, only, path: Vec::new() };
    let _ = walker.bytes(bytes, name, name, 0, visit);
}

/// A stream whose beginning was looked at.
struct Peeked<'a> {
    head: Cursor<Vec<u8>>,
    rest: Box<dyn Read + 'a>,
}

impl<'a> Peeked<'a> {
    fn new(mut rest: Box<dyn Read + 'a>) -> io::Result<Self> {
        let mut head = Vec::with_capacity(SNIFF_BYTES);
        rest.by_ref().take(u64::try_from(SNIFF_BYTES).unwrap_or_default()).read_to_end(&mut head)?;
        Ok(Self { head: Cursor::new(head), rest })
    }
}

impl Read for Peeked<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.head.read(room)? {
            0 => self.rest.read(room),
            read => Ok(read),
        }
    }
}

/// The state of one walk.
struct Walker<'w> {
    budget: &'w Budget,
    only: Option<&'w [usize]>,
    path: Vec<usize>,
}

impl Walker<'_> {
    /// Walks bytes in memory.
    fn bytes(
        &mut self,
        bytes: &[u8],
        place: &str,
        name: &str,
        layers: usize,
        visit: Visit<'_>,
    ) -> ControlFlow<()> {
        let head = bytes.get(..SNIFF_BYTES.min(bytes.len())).unwrap_or_default();
        match sniff(head) {
            Content::Gzip => self.inflated(bytes, Wrapping::Gzip, place, name, layers, visit),
            Content::Zlib => self.inflated(bytes, Wrapping::Zlib, place, name, layers, visit),
            Content::Zip => self.zip(bytes, place, layers, visit),
            Content::Tar => self.tar(bytes, place, layers, visit),
            content => {
                let mut input = bytes;
                visit(Ok(Document { content, place, name, path: &self.path, input: &mut input }))
            }
        }
    }

    /// Walks a stream that comes out of another layer.
    fn stream(
        &mut self,
        mut stream: Peeked<'_>,
        place: &str,
        name: &str,
        layers: usize,
        visit: Visit<'_>,
    ) -> ControlFlow<()> {
        let content = sniff(stream.head.get_ref());
        match content {
            Content::Gzip | Content::Zlib => {
                self.budget.note(quirk::NESTED_COMPRESSION);
                let wrapping = if content == Content::Gzip { Wrapping::Gzip } else { Wrapping::Zlib };
                self.inflated(BufReader::new(stream), wrapping, place, name, layers, visit)
            }
            Content::Zip => {
                self.budget.note(quirk::NESTED_COMPRESSION);
                match read_whole(&mut stream) {
                    Ok(bytes) => self.zip(&bytes, place, layers, visit),
                    Err(error) => visit(Err(Unreadable::from_io(error).at(place))),
                }
            }
            Content::Tar => self.tar(stream, place, layers, visit),
            content => visit(Ok(Document { content, place, name, path: &self.path, input: &mut stream })),
        }
    }

    /// Walks what a gzip or zlib stream holds.
    fn inflated<R: BufRead>(
        &mut self,
        input: R,
        wrapping: Wrapping,
        place: &str,
        name: &str,
        layers: usize,
        visit: Visit<'_>,
    ) -> ControlFlow<()> {
        if layers >= limits::ARCHIVE_LAYERS {
            return visit(Err(too_many_layers().at(place)));
        }
        match Peeked::new(Box::new(Inflate::new(input, wrapping, self.budget))) {
            Ok(stream) => self.stream(stream, place, name, layers + 1, visit),
            Err(error) => visit(Err(Unreadable::from_io(error).at(place))),
        }
    }

    /// Walks the entries of a zip archive by its central directory.
    fn zip(&mut self, bytes: &[u8], place: &str, layers: usize, visit: Visit<'_>) -> ControlFlow<()> {
        if layers >= limits::ARCHIVE_LAYERS {
            return visit(Err(too_many_layers().at(place)));
        }
        // The iterable form keeps entries of equal names apart and holds one entry at a time.
        let opened =
            zip::unstable::read::ZipIterable::try_new(Cursor::new(bytes), zip::read::Config::default());
        let mut archive = match opened {
            Ok(archive) => archive,
            Err(error) => return visit(Err(zip_refusal(&error, bytes).at(place))),
        };
        if archive.is_empty() {
            return visit(Err(
                Unreadable::new(UnreadableKind::Empty, "a zip archive without entries").at(place)
            ));
        }
        let mut files = match archive.files_with_cloned_reader(zip::ZipReadOptions::new()) {
            Ok(files) => files,
            Err(error) => return visit(Err(zip_refusal(&error, bytes).at(place))),
        };
        let depth = self.path.len();
        let wanted = self.only.and_then(|only| only.get(depth)).copied();
        let mut number = 0;
        while let Some(file) = files.next() {
            let this = number;
            number += 1;
            if wanted.is_some_and(|wanted| wanted != this) {
                continue;
            }
            if let Err(error) = self.budget.take_entry() {
                visit(Err(error.at(place)))?;
                return ControlFlow::Continue(());
            }
            let file = match file {
                Ok(file) => file,
                Err(error) => {
                    visit(Err(zip_refusal(&error, bytes).at(&format!("{place}/entry {}", this + 1))))?;
                    continue;
                }
            };
            let name = file.name().map_or_else(
                |_| format!("entry {}", this + 1),
                |name: std::borrow::Cow<'_, str>| shown(&name),
            );
            if file.is_dir() || is_junk(&name) {
                continue;
            }
            let inner = format!("{place}/{name}");
            let counted = Counted { input: file, budget: self.budget };
            match Peeked::new(Box::new(counted)) {
                Ok(stream) => {
                    self.path.push(this);
                    let flow = self.stream(stream, &inner, &name, layers + 1, visit);
                    self.path.truncate(depth);
                    flow?;
                }
                Err(error) => visit(Err(Unreadable::from_io(error).at(&inner)))?,
            }
        }
        ControlFlow::Continue(())
    }

    /// Walks the entries of a tar archive in their order.
    fn tar<R: Read>(
        &mut self,
        mut input: R,
        place: &str,
        layers: usize,
        visit: Visit<'_>,
    ) -> ControlFlow<()> {
        if layers >= limits::ARCHIVE_LAYERS {
            return visit(Err(too_many_layers().at(place)));
        }
        let depth = self.path.len();
        let mut number = 0;
        loop {
            let mut header = [0u8; 512];
            if let Err(error) = input.read_exact(&mut header) {
                // The two blocks of zeros at the end are often left out.
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    return ControlFlow::Continue(());
                }
                return visit(Err(Unreadable::from_io(error).at(place)));
            }
            if header.iter().all(|b| *b == 0) {
                return ControlFlow::Continue(());
            }
            let Some((name, size)) = tar_header(&header) else {
                let reason = "a tar header is corrupt";
                return visit(Err(Unreadable::new(UnreadableKind::Corrupt, reason).at(place)));
            };
            if let Err(error) = self.budget.take_entry() {
                return visit(Err(error.at(place)));
            }
            let mut entry = input.by_ref().take(size);
            let is_file = matches!(header.get(156), Some(b'0' | 0));
            if is_file && !is_junk(&name) && size > 0 {
                let inner = format!("{place}/{name}");
                match Peeked::new(Box::new(entry.by_ref())) {
                    Ok(stream) => {
                        self.path.push(number);
                        // A layer like any other: each one that is nested costs stack.
                        let flow = self.stream(stream, &inner, &name, layers + 1, visit);
                        self.path.truncate(depth);
                        flow?;
                    }
                    Err(error) => visit(Err(Unreadable::from_io(error).at(&inner)))?,
                }
            }
            number += 1;
            let rest = entry.limit() + (512 - size % 512) % 512;
            if let Err(error) = io::copy(&mut input.by_ref().take(rest), &mut io::sink()) {
                return visit(Err(Unreadable::from_io(error).at(place)));
            }
        }
    }
}

/// A zip entry whose bytes are taken from the budget and whose errors have a class.
struct Counted<'a, R> {
    input: R,
    budget: &'a Budget,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.input.read(room) {
            Ok(read) => {
                self.budget.take(read).map_err(io::Error::other)?;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(refuse(UnreadableKind::Truncated, "a zip entry ends early (truncated)"))
            }
            Err(error) if error.to_string().to_ascii_lowercase().contains("checksum") => Err(refuse(
                UnreadableKind::Corrupt,
                "a zip entry's checksum (CRC-32) is wrong: the data is corrupt",
            )),
            Err(error) => Err(refuse(UnreadableKind::Corrupt, format!("a zip entry is corrupt: {error}"))),
        }
    }
}

/// Reads an archive that has to be in memory.
fn read_whole(stream: &mut Peeked<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limits::NESTED_ARCHIVE_BYTES).unwrap_or(u64::MAX);
    stream.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limits::NESTED_ARCHIVE_BYTES {
        let reason = format!("too large: an archive within an archive over {most} bytes");
        return Err(refuse(UnreadableKind::TooLarge, reason));
    }
    Ok(bytes)
}

/// The name and size of a tar entry (POSIX.1-1988 ustar).
fn tar_header(header: &[u8; 512]) -> Option<(String, u64)> {
    let field = |from: usize, to: usize| {
        let bytes = header.get(from..to).unwrap_or_default();
        bytes.split(|b| *b == 0).next().unwrap_or_default()
    };
    let size = std::str::from_utf8(field(124, 136)).ok()?;
    let size = u64::from_str_radix(size.trim(), 8).ok()?;
    Some((shown(&String::from_utf8_lossy(field(0, 100))), size))
}

/// A name of an archive as it may be shown: no controls, not endless.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// True for what operating systems put into archives beside the files.
fn is_junk(name: &str) -> bool {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.starts_with("__MACOSX/")
        || last.starts_with("._")
        || matches!(last, ".DS_Store" | "Thumbs.db" | "desktop.ini")
}

fn too_many_layers() -> Unreadable {
    let reason = format!("too large: more than {} layers of archives", limits::ARCHIVE_LAYERS);
    Unreadable::new(UnreadableKind::TooLarge, reason)
}

/// The refusal of a zip archive or entry.
fn zip_refusal(error: &zip::result::ZipError, bytes: &[u8]) -> Unreadable {
    use zip::result::ZipError;
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            Unreadable::new(UnreadableKind::Unsupported, "an encrypted zip entry is not supported")
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            Unreadable::new(UnreadableKind::Unsupported, format!("zip: {error}"))
        }
        _ if memchr::memmem::rfind(bytes, b"PK\x05\x06").is_none() => Unreadable::new(
            UnreadableKind::Truncated,
            "the zip archive ends early (truncated): no central directory",
        ),
        _ => Unreadable::new(UnreadableKind::Corrupt, format!("the zip archive is corrupt: {error}")),
    }
}

#[cfg(test)]
#[path = "unpack/tests.rs"]
mod tests;
