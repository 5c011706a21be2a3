//! Tar archives, as far as report files are packed in them: ustar, pax and GNU long names.
//!
//! Here an archive is a folder in one file: every entry becomes an item of its own, streamed, however many there
//! are. (An archive inside a mail is unpacked by `reports::unpack`, within the caps of one mail.)
//! Only regular files are read; nothing is ever written to a path of the archive. Standard: POSIX.1-2017 pax.

use std::io::{self, Read};

/// Bytes of one block.
const BLOCK: usize = 512;
/// Bytes of a long name or of a pax header that are read.
const NAME_BYTES: u64 = 64 * 1024;

/// A regular file of an archive; its bytes come next in the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as written.
    pub name: String,
    /// Its size, bytes.
    pub size_bytes: u64,
}

/// Reads an archive entry by entry.
pub struct Archive<R> {
    /// The archive.
    input: R,
    /// Bytes of the present entry that were not read yet, and of its padding.
    rest: u64,
    /// Padding behind the present entry.
    padding: u64,
}

/// True if `head` (the first 512 bytes) is the header of an archive: the magic and the checksum are right.
pub fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") && head.get(..BLOCK).is_some_and(has_checksum)
}

impl<R: Read> Archive<R> {
    /// Reads `input` from its first block.
    pub fn new(input: R) -> Self {
        Self { input, rest: 0, padding: 0 }
    }

    /// The next regular file; what was left of the one before is passed over.
    ///
    /// Errors: `UnexpectedEof` for an archive that is cut off, `InvalidData` for a damaged header, else those
    /// of the input.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut long_name: Option<String> = None;
        let mut long_size: Option<u64> = None;
        loop {
            let over = self.rest.saturating_add(self.padding);
            pass_over(&mut self.input, over)?;
            (self.rest, self.padding) = (0, 0);
            let mut header = [0u8; BLOCK];
            if !read_block(&mut self.input, &mut header)? || header.iter().all(|b| *b == 0) {
                return Ok(None);
            }
            if !has_checksum(&header) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "damaged header in the tar archive"));
            }
            let field = |from: usize, len: usize| header.get(from..from + len).unwrap_or_default();
            let size = number(field(124, 12)).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "damaged size in the tar archive")
            })?;
            let kind = field(156, 1).first().copied().unwrap_or_default();
            let size =
                if matches!(kind, b'x' | b'g' | b'L' | b'K') { size } else { long_size.unwrap_or(size) };
            self.rest = size;
            // A size near 2^64 has no whole blocks; no archive is so long, so its end is found missing.
            self.padding = size.checked_next_multiple_of(BLOCK as u64).map_or(0, |whole| whole - size);
            match kind {
                b'L' => long_name = Some(text(&self.read_meta()?)),
                b'x' => {
                    for (key, value) in pax_records(&self.read_meta()?) {
                        match key.as_str() {
                            "path" => long_name = Some(value),
                            "size" => long_size = value.parse().ok(),
                            _ => {}
                        }
                    }
                }
                // Regular files: ustar, the time before it, contiguous.
                b'0' | 0 | b'7' => {
                    let short = || {
                        let (prefix, name) = (text(field(345, 155)), text(field(0, 100)));
                        let is_ustar = field(257, 6) == b"ustar\0" && !prefix.is_empty();
                        if is_ustar { format!("{prefix}/{name}") } else { name }
                    };
                    let name = long_name.take().unwrap_or_else(short);
                    // Before ustar a folder was a file whose name ends in a slash.
                    if !name.ends_with('/') {
                        return Ok(Some(Entry { name, size_bytes: size }));
                    }
                    long_size = None;
                }
                // Global headers name no file; links, folders and devices hold nothing to read.
                b'g' | b'K' => {}
                _ => (long_name, long_size) = (None, None),
            }
        }
    }

    /// The bytes of the present entry.
    pub fn content(&mut self) -> impl Read + '_ {
        EntryReader { archive: self }
    }

    /// Reads a long name or a pax header.
    fn read_meta(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content().take(NAME_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads the bytes of one entry; a cut-off archive is an error, not the end.
struct EntryReader<'a, R> {
    /// The archive.
    archive: &'a mut Archive<R>,
}

impl<R: Read> Read for EntryReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.archive.rest).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..room).filter(|part| !part.is_empty()) else { return Ok(0) };
        let read = self.archive.input.read(part)?;
        if read == 0 {
            return Err(cut_off());
        }
        self.archive.rest = self.archive.rest.saturating_sub(read as u64);
        Ok(read)
    }
}

/// The archive ends in the middle of something.
fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the tar archive is cut off")
}

/// Reads one block; false if the archive ends here.
fn read_block(input: &mut impl Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(cut_off()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Reads and forgets.
fn pass_over(input: &mut impl Read, bytes: u64) -> io::Result<()> {
    let passed = io::copy(&mut input.take(bytes), &mut io::sink())?;
    if passed < bytes { Err(cut_off()) } else { Ok(()) }
}

/// True if the checksum of a header is right (sum of its bytes, its own field taken as blanks).
fn has_checksum(header: &[u8]) -> bool {
    let Some(field) = header.get(148..156) else { return false };
    let all: u64 = header.iter().map(|b| u64::from(*b)).sum();
    let own: u64 = field.iter().map(|b| u64::from(*b)).sum();
    number(field) == Some(all - own + 8 * u64::from(b' '))
}

/// A number: octal text, or base 256 where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let mut value = u64::from(first & 0x7f);
        for byte in rest {
            value = value.checked_mul(256)?.checked_add(u64::from(*byte))?;
        }
        return Some(value);
    }
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// A text field: up to its first NUL.
fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

/// The records `LENGTH KEY=VALUE\n` of a pax header; a damaged rest is left out.
fn pax_records(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some(blank) = bytes.iter().position(|b| *b == b' ') {
        let length =
            std::str::from_utf8(bytes.get(..blank).unwrap_or_default()).ok().and_then(|n| n.parse().ok());
        let Some(record) = length.and_then(|length: usize| bytes.get(blank + 1..length)) else { break };
        let line = String::from_utf8_lossy(record.strip_suffix(b"\n").unwrap_or(record)).into_owned();
        if let Some((key, value)) = line.split_once('=') {
            found.push((key.to_owned(), value.to_owned()));
        }
        bytes = length.and_then(|length| bytes.get(length..)).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One header block.
    fn header(name: &str, kind: u8, size: usize) -> Vec<u8> {
        let mut block = vec![0u8; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        block[148..156].copy_from_slice(b"        ");
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// A header with its bytes and padding.
    fn entry(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = header(name, kind, bytes.len());
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    fn read_all(bytes: &[u8]) -> io::Result<Vec<(String, String)>> {
        let mut archive = Archive::new(bytes);
        let mut found = Vec::new();
        while let Some(entry) = archive.next_entry()? {
            let mut text = String::new();
            archive.content().read_to_string(&mut text)?;
            found.push((entry.name, text));
        }
        Ok(found)
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        let mut bytes = entry("pax", b'x', b"29 size=18446744073709551615\n".as_slice());
        bytes.extend(entry("a.xml", b'0', b"first"));
        assert!(read_all(&bytes).is_err());
    }

    #[test]
    fn entries_of_every_kind() {
        let long = "d/".repeat(60) + "long.xml";
        let pax_line = |key: &str, value: &str| {
            let body = format!(" {key}={value}\n");
            let length = body.len() + (body.len() + 3).to_string().len();
            format!("{length}{body}")
        };
        let mut bytes = Vec::new();
        bytes.extend(entry("folder/", b'5', b""));
        bytes.extend(entry("a.xml", b'0', b"first"));
        bytes.extend(entry("link", b'2', b""));
        bytes.extend(entry("././@LongLink", b'L', format!("{long}\0").as_bytes()));
        bytes.extend(entry("cut", b'0', b"second"));
        bytes.extend(entry("pax", b'x', pax_line("path", "b/ü.xml").as_bytes()));
        bytes.extend(entry("b", b'0', &[b'x'; 513]));
        bytes.extend(entry("empty.xml", 0, b""));
        bytes.extend(vec![0u8; 2 * BLOCK]);
        let want = [
            ("a.xml".to_owned(), "first".to_owned()),
            (long, "second".to_owned()),
            ("b/ü.xml".to_owned(), "x".repeat(513)),
            ("empty.xml".to_owned(), String::new()),
        ];
        assert!(is_tar(&bytes));
        assert_eq!(read_all(&bytes).unwrap(), want);
        // Unread bytes of an entry are passed over.
        let mut archive = Archive::new(bytes.as_slice());
        let mut names = Vec::new();
        while let Some(entry) = archive.next_entry().unwrap() {
            names.push(entry.name);
        }
        assert_eq!(names.len(), want.len());
    }

    #[test]
    fn damage_is_an_error() {
        let good = entry("a.xml", b'0', b"first");
        for end in [1, 100, 511, 513, 600] {
            assert!(read_all(&good[..end]).is_err(), "{end}");
        }
        let mut flipped = good.clone();
        flipped[0] ^= 1;
        assert!(read_all(&flipped).is_err());
        assert!(!is_tar(&flipped));
        assert!(!is_tar(b"<feedback>"));
        assert_eq!(read_all(&[]).unwrap(), []);
    }
}
