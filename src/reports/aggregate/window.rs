//! A sliding window of UTF-8 text over a stream of bytes in any encoding.
//!
//! Memory is one buffer of [`WINDOW_BYTES`], whatever the stream's length.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, Encoding};

use crate::reports::{Deviations, quirk};

/// Bytes of text that the window holds. Over twice the longest text and tag together, so that a
/// window always makes progress.
const WINDOW_BYTES: usize = 256 * 1024;
/// Bytes read at once where the text has to be decoded.
const RAW_BYTES: usize = 32 * 1024;
/// Bytes of the head in which an encoding is looked for.
const HEAD_BYTES: usize = 1024;

/// The window: `text()` is what is there, `consume` and `refill` move it on.
pub(super) struct Window<R> {
    input: R,
    /// Text at `start..valid`, bytes of an unfinished character at `valid..end`.
    buffer: Vec<u8>,
    start: usize,
    valid: usize,
    end: usize,
    is_end: bool,
    decoding: Option<Decoding>,
}

/// What is needed for a stream that is not UTF-8.
struct Decoding {
    decoder: Decoder,
    raw: Vec<u8>,
    raw_start: usize,
    raw_end: usize,
    is_input_end: bool,
}

impl<R: Read> Window<R> {
    /// Makes an empty window over `input`.
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, valid: 0, end: 0, is_end: false, decoding: None }
    }

    /// The text in the window.
    pub(super) fn text(&self) -> &str {
        // Checked when it came in; a second look is cheaper than a second copy.
        self.buffer
            .get(self.start..self.valid)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// True if nothing follows the text in the window.
    pub(super) const fn is_end(&self) -> bool {
        self.is_end
    }

    /// Drops `bytes` of text from the front.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.valid);
    }

    /// Reads the head of the stream and settles its encoding.
    pub(super) fn open(&mut self, deviations: &mut Deviations) -> io::Result<()> {
        // A small file fills a small buffer: most reports are a few kilobytes.
        self.buffer.resize(8 * 1024, 0);
        while self.end < HEAD_BYTES && !self.is_end {
            self.read_plain()?;
        }
        let head = self.buffer.get(..self.end).unwrap_or_default();
        // Never more than the head, however much the first read gave: its size must not decide.
        let first = head.get(..HEAD_BYTES).unwrap_or(head);
        let (encoding, mark) = match Encoding::for_bom(first) {
            Some((encoding, mark)) => (encoding, mark),
            None => (guess_encoding(first, deviations), 0),
        };
        if mark > 0 {
            deviations.note(quirk::BYTE_ORDER_MARK, "", encoding.name(), "");
        }
        if encoding == encoding_rs::UTF_8 {
            self.start = mark;
            self.valid = mark;
            self.validate(deviations);
            return Ok(());
        }
        deviations.note(quirk::ENCODING_OTHER, "", encoding.name(), "UTF-8");
        let mut raw = head.get(mark..).unwrap_or_default().to_vec();
        let raw_end = raw.len();
        raw.resize(RAW_BYTES.max(raw_end), 0);
        self.decoding = Some(Decoding {
            decoder: encoding.new_decoder_without_bom_handling(),
            raw,
            raw_start: 0,
            raw_end,
            is_input_end: self.is_end,
        });
        (self.start, self.valid, self.end, self.is_end) = (0, 0, 0, false);
        self.refill(deviations)
    }

    /// Moves the text to the front and fills the rest of the window.
    pub(super) fn refill(&mut self, deviations: &mut Deviations) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.valid -= self.start;
        self.start = 0;
        if self.decoding.is_some() {
            self.read_decoded(deviations)?;
            self.valid = self.end;
            return Ok(());
        }
        // The window grows with the document: most reports are small, and zeroing costs time.
        let want = (self.end * 4).clamp(32 * 1024, WINDOW_BYTES);
        if self.buffer.len() < want {
            self.buffer.resize(want, 0);
        }
        let before = self.end;
        // One good read is enough to go on; fill a little more so that tokens are seldom cut.
        while self.end < self.buffer.len() && !self.is_end && self.end - before < WINDOW_BYTES / 2 {
            self.read_plain()?;
        }
        self.validate(deviations);
        Ok(())
    }

    /// Appends what the stream gives in one read.
    fn read_plain(&mut self) -> io::Result<()> {
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        if room.is_empty() {
            return Ok(());
        }
        loop {
            match self.input.read(room) {
                Ok(0) => {
                    self.is_end = true;
                    return Ok(());
                }
                Ok(read) => {
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Decodes until the window is half full or the stream ends.
    fn read_decoded(&mut self, deviations: &mut Deviations) -> io::Result<()> {
        let Some(decoding) = &mut self.decoding else { return Ok(()) };
        self.buffer.resize(WINDOW_BYTES, 0);
        while self.end < WINDOW_BYTES / 2 && !self.is_end {
            if decoding.raw_start == decoding.raw_end && !decoding.is_input_end {
                decoding.raw_start = 0;
                decoding.raw_end = self.input.read(&mut decoding.raw)?;
                decoding.is_input_end = decoding.raw_end == 0;
            }
            let raw = decoding.raw.get(decoding.raw_start..decoding.raw_end).unwrap_or_default();
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            let (result, read, written, is_lossy) =
                decoding.decoder.decode_to_utf8(raw, room, decoding.is_input_end);
            if is_lossy {
                deviations.note(quirk::ENCODING_BROKEN, "", "", "U+FFFD");
            }
            decoding.raw_start += read;
            self.end += written;
            if result == CoderResult::OutputFull {
                return Ok(());
            }
            self.is_end = decoding.is_input_end;
        }
        Ok(())
    }

    /// Checks the new bytes; invalid ones are replaced.
    fn validate(&mut self, deviations: &mut Deviations) {
        let fresh = self.buffer.get(self.valid..self.end).unwrap_or_default();
        let Err(error) = std::str::from_utf8(fresh) else {
            self.valid = self.end;
            return;
        };
        self.valid += error.valid_up_to();
        if error.error_len().is_none() && !self.is_end {
            return;
        }
        // Stray bytes of an 8-bit charset are the usual fault, and nothing tells of which.
        deviations.note(quirk::ENCODING_BROKEN, "", "", "U+FFFD");
        let tail = self.buffer.get(self.valid..self.end).unwrap_or_default();
        // An unfinished character at the end of the window must wait for its rest.
        let unfinished = if self.is_end { 0 } else { unfinished_bytes(tail) };
        let (whole, rest) = tail.split_at(tail.len() - unfinished);
        let repaired = String::from_utf8_lossy(whole).into_owned();
        let rest = rest.to_vec();
        self.buffer.truncate(self.valid);
        self.buffer.extend_from_slice(repaired.as_bytes());
        self.valid = self.buffer.len();
        self.buffer.extend_from_slice(&rest);
        self.end = self.buffer.len();
    }
}

/// Bytes at the end of `bytes` that begin a character and do not finish it.
fn unfinished_bytes(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let Some(&byte) = bytes.get(bytes.len() - back) else { return 0 };
        let wants = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if back < wants { back } else { 0 };
    }
    0
}

/// The encoding by the pattern of the first bytes, then by the XML declaration (XML 1.0 appendix F).
fn guess_encoding(head: &[u8], deviations: &mut Deviations) -> &'static Encoding {
    match head {
        [b'<', 0, _, 0, ..] => return encoding_rs::UTF_16LE,
        [0, b'<', 0, _, ..] => return encoding_rs::UTF_16BE,
        _ => {}
    }
    let Some(label) = declared_encoding(head) else { return encoding_rs::UTF_8 };
    if label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii") {
        // Nobody means more than ASCII by it, and what is more is mostly UTF-8.
        return encoding_rs::UTF_8;
    }
    match Encoding::for_label(label) {
        // The bytes are no UTF-16: an editor changed the encoding and left the declaration.
        Some(encoding) if encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE => {
            encoding_rs::UTF_8
        }
        Some(encoding) if encoding == encoding_rs::REPLACEMENT => encoding_rs::UTF_8,
        Some(encoding) => encoding,
        None => {
            deviations.note(quirk::ENCODING_UNKNOWN, "", &String::from_utf8_lossy(label), "UTF-8");
            encoding_rs::UTF_8
        }
    }
}

/// The value of `encoding` in the XML declaration.
fn declared_encoding(head: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::find(head, b"<?xml")?;
    let declaration = head.get(start..)?;
    let declaration = declaration.get(..memchr::memchr(b'>', declaration)?)?;
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let rest = declaration.get(at + b"encoding".len()..)?.trim_ascii_start();
    let rest = rest.strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, rest) = rest.split_first()?;
    if quote != b'"' && quote != b'\'' {
        return None;
    }
    rest.get(..memchr::memchr(quote, rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads everything through a window, `step` bytes at a time.
    fn read_all(bytes: &[u8], step: usize) -> (String, Deviations) {
        struct Slow<'a>(&'a [u8], usize);
        impl Read for Slow<'_> {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                let take = self.0.len().min(room.len()).min(self.1);
                room[..take].copy_from_slice(&self.0[..take]);
                self.0 = &self.0[take..];
                Ok(take)
            }
        }
        let mut deviations = Deviations::default();
        let mut window = Window::new(Slow(bytes, step));
        window.open(&mut deviations).unwrap();
        let mut text = String::new();
        loop {
            text.push_str(window.text());
            let length = window.text().len();
            window.consume(length);
            if window.is_end() {
                return (text, deviations);
            }
            window.refill(&mut deviations).unwrap();
        }
    }

    #[test]
    fn the_size_of_a_read_does_not_decide_the_encoding() {
        let label = "<?xml version='1.0' encoding='windows-1252'?>".as_bytes();
        for blanks in [0, HEAD_BYTES - label.len(), HEAD_BYTES - label.len() + 1, HEAD_BYTES, 2 * HEAD_BYTES]
        {
            let bytes = [&b" ".repeat(blanks), label, b"<a>\xe9</a>"].concat();
            let whole = read_all(&bytes, usize::MAX).0;
            for step in [1, 7, 100, HEAD_BYTES + 1] {
                assert_eq!(read_all(&bytes, step).0, whole, "{blanks} blanks, {step} at once");
            }
            assert_eq!(whole.contains('é'), blanks + label.len() <= HEAD_BYTES, "{blanks}");
        }
    }

    #[test]
    fn encodings() {
        let utf16le = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let utf16be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        let cases: [(Vec<u8>, &str, &[&str]); 9] = [
            ("<a>é–</a>".into(), "<a>é–</a>", &[]),
            ("\u{feff}<a>é</a>".into(), "<a>é</a>", &[quirk::BYTE_ORDER_MARK]),
            (
                b"<?xml version='1.0' encoding = 'windows-1252'?><a>\xe9\x96</a>".to_vec(),
                "<?xml version='1.0' encoding = 'windows-1252'?><a>é–</a>",
                &[quirk::ENCODING_OTHER],
            ),
            (b"<a>x\x91y</a>".to_vec(), "<a>x\u{fffd}y</a>", &[quirk::ENCODING_BROKEN]),
            (utf16le("\u{feff}<a>é</a>"), "<a>é</a>", &[quirk::BYTE_ORDER_MARK, quirk::ENCODING_OTHER]),
            (utf16be("<a>é</a>"), "<a>é</a>", &[quirk::ENCODING_OTHER]),
            (
                b"<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>".to_vec(),
                "<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>",
                &[],
            ),
            (
                b"<?xml version=\"1.0\" encoding=\"klingon\"?><a/>".to_vec(),
                "<?xml version=\"1.0\" encoding=\"klingon\"?><a/>",
                &[quirk::ENCODING_UNKNOWN],
            ),
            (b"<a>end\xe2\x82".to_vec(), "<a>end\u{fffd}", &[quirk::ENCODING_BROKEN]),
        ];
        for (bytes, want, names) in &cases {
            for step in [1, 2, 3, 7, 100_000] {
                let (text, deviations) = read_all(bytes, step);
                assert_eq!(&text, want, "step {step}");
                assert_eq!(deviations.names().collect::<Vec<_>>(), *names, "{want} step {step}");
            }
        }
    }

    #[test]
    fn long_texts_in_many_steps() {
        let text = "<t>naïve – ".repeat(60_000);
        for step in [4_093, 65_537] {
            assert_eq!(read_all(text.as_bytes(), step).0, text);
        }
    }
}
