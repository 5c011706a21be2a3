//! Header fields as bytes to fields as text: unfolded, in any charset, within caps.
//!
//! The same reader serves the machine-readable part (RFC 5965 §3: fields in the form of a header) and
//! the header of the quoted message (RFC 5322 §2.2).

use std::borrow::Cow;

use crate::limits;

/// The fields of one part.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Names as written and values unfolded and trimmed, in order.
    pub(super) list: Vec<(String, String)>,
    /// Where the body starts, bytes; absent where the part ends with its header.
    pub(super) body_at: Option<usize>,
    /// True if there were more fields or bytes than are looked at.
    pub(super) is_cut: bool,
    /// Lines that were neither a field nor folded.
    pub(super) broken_lines: u64,
    /// True if a soft line break of quoted-printable was undone.
    pub(super) has_soft_break: bool,
    /// True if the bytes are no UTF-8.
    pub(super) is_other_charset: bool,
    /// True if the last line is ended.
    pub(super) ends_with_line: bool,
}

/// Which of the two kinds of part is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// The machine-readable part: empty lines between fields do not end it.
    Machine,
    /// A header: an empty line ends it.
    Header,
}

impl Fields {
    /// Reads a part.
    pub(super) fn read(bytes: &[u8], block: Block) -> Self {
        let window = bytes.get(..limits::FAILURE_PART_BYTES).unwrap_or(bytes);
        let mut fields = Self {
            is_cut: window.len() < bytes.len(),
            ends_with_line: bytes.ends_with(b"\n"),
            ..Self::default()
        };
        let mut at = 0;
        let mut is_soft = false;
        for line in window.split_inclusive(|b| *b == b'\n') {
            at += line.len();
            let line = trim_end(line);
            if line.is_empty() {
                is_soft = false;
                if block == Block::Header && !fields.list.is_empty() {
                    fields.body_at = Some(at);
                    break;
                }
                continue;
            }
            // A mailbox file puts `From sender date` before the header.
            if fields.list.is_empty() && (line.starts_with(b"From ") || line.starts_with(b">From ")) {
                continue;
            }
            let was_soft = std::mem::replace(&mut is_soft, false);
            let text = fields.text(line);
            is_soft = text.ends_with('=');
            fields.line(&text, was_soft);
            if fields.list.len() > limits::FAILURE_FIELDS {
                fields.list.pop();
                fields.is_cut = true;
                break;
            }
        }
        for (_, value) in &mut fields.list {
            let trimmed = value.trim();
            if trimmed.len() < value.len() {
                *value = trimmed.to_owned();
            }
        }
        fields
    }

    /// Takes one line that is not empty.
    fn line(&mut self, text: &str, was_soft: bool) {
        let is_folded = text.starts_with([' ', '\t']);
        if !is_folded && let Some((name, value)) = as_field(text) {
            self.list.push((name.to_owned(), value.to_owned()));
            return;
        }
        let Some((_, last)) = self.list.last_mut() else {
            self.broken_lines += 1;
            return;
        };
        if !is_folded {
            if was_soft && last.ends_with('=') {
                // Quoted-printable that nobody declared: the value goes on without a blank.
                last.pop();
                self.has_soft_break = true;
                append(last, "", text, &mut self.is_cut);
                return;
            }
            self.broken_lines += 1;
        }
        append(last, " ", text.trim(), &mut self.is_cut);
    }

    /// The text of a line: UTF-8, else windows-1252.
    fn text<'a>(&mut self, line: &'a [u8]) -> Cow<'a, str> {
        match std::str::from_utf8(line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                self.is_other_charset = true;
                encoding_rs::WINDOWS_1252.decode_without_bom_handling(line).0
            }
        }
    }

    /// The first value of a field.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.list
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Appends text to a value, up to [`limits::FAILURE_TEXT_BYTES`].
fn append(value: &mut String, between: &str, text: &str, is_cut: &mut bool) {
    if value.len() + between.len() + text.len() > limits::FAILURE_TEXT_BYTES {
        *is_cut = true;
        return;
    }
    value.push_str(between);
    value.push_str(text);
}

/// Takes a line for `name: value`; blanks before the colon occur (RFC 5322 §4.5.8).
pub(super) fn as_field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end();
    let is_name = !name.is_empty() && name.len() <= 78 && name.bytes().all(|b| b.is_ascii_graphic());
    let value = value.trim();
    let value = value.get(..value.floor_char_boundary(limits::FAILURE_TEXT_BYTES)).unwrap_or(value);
    is_name.then_some((name, value))
}

/// Cuts the end of a line off, and blanks before it.
fn trim_end(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// The value of a field without `<` and `>`.
pub(super) fn without_angles(value: &str) -> &str {
    value.trim().trim_start_matches('<').trim_end_matches('>').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes, what they are, the fields in them, and where the body starts.
    type Case<'a> = (&'a [u8], Block, &'a [(&'a str, &'a str)], Option<usize>);

    #[test]
    fn fields_as_they_occur() {
        let cases: [Case<'_>; 10] = [
            (
                b"A: 1\r\nB: 2\r\n 3\r\n\t4\r\n\r\nbody",
                Block::Header,
                &[("A", "1"), ("B", "2 3 4")],
                Some(22),
            ),
            (b"\r\n\r\nA: 1\n\nB: 2", Block::Machine, &[("A", "1"), ("B", "2")], None),
            (b"From a@b Tue Apr 30\nA : 1\n\n", Block::Header, &[("A", "1")], Some(27)),
            (b"A: 1\nno field here\nB: 2", Block::Machine, &[("A", "1 no field here"), ("B", "2")], None),
            (
                b"A: long=\nrest\nB: pad=\nC: 3",
                Block::Machine,
                &[("A", "longrest"), ("B", "pad="), ("C", "3")],
                None,
            ),
            (b"A:\nB:1", Block::Machine, &[("A", ""), ("B", "1")], None),
            (b"A: \xe9t\xe9", Block::Machine, &[("A", "\u{e9}t\u{e9}")], None),
            (b"A: \xc3\xa9", Block::Machine, &[("A", "\u{e9}")], None),
            (b"just words\nmore", Block::Machine, &[], None),
            (b"", Block::Header, &[], None),
        ];
        for (bytes, block, want, body_at) in cases {
            let fields = Fields::read(bytes, block);
            let found: Vec<_> =
                fields.list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, want, "{:?}", String::from_utf8_lossy(bytes));
            assert_eq!(fields.body_at, body_at, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn fields_are_bounded() {
        let fields = Fields::read("A: 1\n".repeat(5_000).as_bytes(), Block::Machine);
        assert!(fields.is_cut);
        assert_eq!(fields.list.len(), limits::FAILURE_FIELDS);
        let long = format!("A: {}\n", " x\n".repeat(150_000));
        let fields = Fields::read(long.as_bytes(), Block::Machine);
        assert!(fields.is_cut);
        assert!(fields.list[0].1.len() <= limits::FAILURE_TEXT_BYTES);
    }
}
