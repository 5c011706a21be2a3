//! A message's header fields and leaf parts, read within limits.
//!
//! mail-parser reads the values of fields. The parts are split here: mail-parser takes a delimiter in
//! the middle of a line for one, decodes text parts lossily, and recurses without a bound. One pass a
//! level over the bytes and at most [`limits::MIME_DEPTH`] levels keep the cost linear.
//! Standard: RFC 5322 §2.2, RFC 2045, RFC 2046 §5.1 and §5.2.1, RFC 6522.

use std::borrow::Cow;

use memchr::memmem::Finder;

use crate::limits;
pub use crate::mail::header::{Header, raw_fields};
use crate::mail::header::{cut, split};
use crate::mail::transfer::{Transfer, is_undeclared_base64};

/// A message in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its own header.
    pub header: Header,
    /// The headers of messages attached to it, in order.
    pub nested: Vec<Header>,
    /// The bytes of those messages, header and body, in the same order.
    pub nested_raw: Vec<&'a [u8]>,
    /// Its leaf parts in order, at most [`limits::MIME_PARTS`].
    pub parts: Vec<Part<'a>>,
    /// Deviations: name (listed in `reports::quirk`) and place.
    pub notes: Vec<(&'static str, String)>,
}

/// Where a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In the message itself.
    Top,
    /// In a message attached to it.
    Nested,
    /// Quoted as evidence in a bounce, failure report or receipt (RFC 6522 §3): no report of its own.
    Quoted,
}

/// A leaf part, still in its transfer encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The declared type in lower case; empty if there is none.
    pub content_type: String,
    /// The file name as declared; empty if there is none.
    pub file_name: String,
    /// True if it is declared an attachment.
    pub is_attachment: bool,
    /// Where it stands.
    pub standing: Standing,
    /// The attached message that holds it: a place in [`Message::nested`].
    pub nested: Option<usize>,
    /// Multiparts and messages around it.
    pub depth: usize,
    /// Its number and name for the operator, for example `part 2 (report.xml.gz)`.
    pub place: String,
    charset: Option<String>,
    transfer: Transfer,
    raw: &'a [u8],
}

impl<'a> Part<'a> {
    /// The bytes with the transfer encoding undone, and the names of deviations in it.
    pub fn decode(&self) -> (Cow<'a, [u8]>, Option<&'static str>) {
        if self.transfer == Transfer::Identity {
            if is_undeclared_base64(self.raw) {
                return (Transfer::Base64.decode(self.raw).0, Some(note::BASE64_UNDECLARED));
            }
            return (Cow::Borrowed(self.raw), None);
        }
        let (bytes, is_repaired) = self.transfer.decode(self.raw);
        (bytes, is_repaired.then_some(note::BASE64_REPAIRED))
    }

    /// The text in Unicode, at most about `limit` bytes of it.
    pub fn text(&self, limit: usize) -> String {
        // Base64 takes a third more and quoted-printable at most three times as much.
        let head = self.raw.get(..limit.saturating_mul(4)).unwrap_or(self.raw);
        let (bytes, _) = Self { raw: head, ..self.clone() }.decode();
        let bytes = bytes.get(..limit).unwrap_or(&bytes);
        let label = self.charset.as_deref().unwrap_or("utf-8");
        match encoding_rs::Encoding::for_label(label.as_bytes()) {
            Some(encoding) => encoding.decode(bytes).0.into_owned(),
            None => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// True for text that a person may have written: no attachment, no file name.
    pub fn is_body(&self) -> bool {
        let is_text = matches!(self.content_type.as_str(), "" | "text/plain" | "text/html" | "text/enriched");
        is_text && !self.is_attachment && self.file_name.is_empty()
    }

    /// Bytes in the transfer encoding.
    pub fn raw_bytes(&self) -> usize {
        self.raw.len()
    }
}

impl<'a> Message<'a> {
    /// True if a multipart ends without its closing delimiter: the mail may have been cut, in its last part.
    pub fn is_open(&self) -> bool {
        self.notes.iter().any(|(name, _)| *name == note::BOUNDARY_NOT_CLOSED)
    }

    /// Reads a message. Any bytes are a message: what cannot be told apart is a part as it stands.
    pub fn parse(raw: &'a [u8]) -> Self {
        // The line of an mbox before the header.
        let raw = match raw.strip_prefix(b"From ") {
            Some(rest) => {
                rest.get(memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1)..).unwrap_or_default()
            }
            None => raw,
        };
        let mut walk = Walk {
            parts: Vec::new(),
            nested: Vec::new(),
            nested_raw: Vec::new(),
            within: None,
            notes: Vec::new(),
        };
        let (block, body) = split(raw);
        let header = Header::parse(block);
        walk.entity(&header, body, Standing::Top, 0, "");
        Self {
            header,
            nested: walk.nested,
            nested_raw: walk.nested_raw,
            parts: walk.parts,
            notes: walk.notes,
        }
    }

    /// The header of the message that holds a part: an attached one's, else its own.
    pub fn header_of(&self, part: &Part<'_>) -> &Header {
        part.nested.and_then(|at| self.nested.get(at)).unwrap_or(&self.header)
    }

    /// True for a multipart/report of that `report-type`, by its header or by a part of that type.
    pub fn is_report_of(&self, report_type: &str, part_type: &str) -> bool {
        self.header.report_type.as_deref() == Some(report_type)
            || self.parts.iter().any(|part| part.standing == Standing::Top && part.content_type == part_type)
    }
}

/// The names of a message's own deviations. `reports::quirk` says what each means.
pub mod note {
    /// See `reports::quirk`.
    pub const CONTENT_TYPE_TYPO: &str = "content-type-typo";
    /// See `reports::quirk`.
    pub const CONTENT_TYPE_MISSING: &str = "content-type-missing";
    /// See `reports::quirk`.
    pub const BASE64_UNDECLARED: &str = "base64-undeclared";
    /// See `reports::quirk`.
    pub const BASE64_REPAIRED: &str = "base64-repaired";
    /// See `reports::quirk`.
    pub const RFC822_ENCODED: &str = "rfc822-encoded";
    /// See `reports::quirk`.
    pub const BOUNDARY_NOT_CLOSED: &str = "boundary-not-closed";
    /// See `reports::quirk`.
    pub const BOUNDARY_MISSING: &str = "boundary-missing";
    /// See `reports::quirk`.
    pub const MIME_TOO_MANY_PARTS: &str = "mime-too-many-parts";
    /// See `reports::quirk`.
    pub const MIME_TOO_DEEP: &str = "mime-too-deep";
    /// See `reports::quirk`.
    pub const HEADER_TOO_LONG: &str = "header-too-long";

    /// All of them.
    pub const ALL: [&str; 10] = [
        CONTENT_TYPE_TYPO,
        CONTENT_TYPE_MISSING,
        BASE64_UNDECLARED,
        BASE64_REPAIRED,
        RFC822_ENCODED,
        BOUNDARY_NOT_CLOSED,
        BOUNDARY_MISSING,
        MIME_TOO_MANY_PARTS,
        MIME_TOO_DEEP,
        HEADER_TOO_LONG,
    ];
}

/// Types of reports about other messages, which they quote.
const QUOTING: [&str; 3] = ["feedback-report", "delivery-status", "disposition-notification"];

/// The state of one walk over the parts.
struct Walk<'a> {
    parts: Vec<Part<'a>>,
    nested: Vec<Header>,
    nested_raw: Vec<&'a [u8]>,
    /// The attached message in which the walk is.
    within: Option<usize>,
    notes: Vec<(&'static str, String)>,
}

impl<'a> Walk<'a> {
    fn note(&mut self, name: &'static str, place: &str) {
        if !self.notes.iter().any(|(known, _)| *known == name) {
            self.notes.push((name, cut(place).to_owned()));
        }
    }

    /// Walks one entity: a leaf, a multipart or an attached message.
    fn entity(&mut self, header: &Header, body: &'a [u8], standing: Standing, depth: usize, default: &str) {
        if header.is_cut {
            self.note(note::HEADER_TOO_LONG, "");
        }
        if header.has_type_typo {
            self.note(note::CONTENT_TYPE_TYPO, "");
        }
        let kind = if header.content_type.is_empty() { default } else { header.content_type.as_str() };
        let transfer = header.transfer.unwrap_or(Transfer::Identity);
        if kind.starts_with("multipart/") {
            if depth >= limits::MIME_DEPTH {
                self.note(note::MIME_TOO_DEEP, "");
            } else if self.multipart(header, kind, body, standing, depth) {
                return;
            }
        }
        if is_message_type(kind) && standing != Standing::Quoted {
            if transfer != Transfer::Identity {
                // Decoded and looked into like any other attachment that holds a mail.
                self.note(note::RFC822_ENCODED, kind);
            } else if depth >= limits::MIME_DEPTH {
                self.note(note::MIME_TOO_DEEP, "");
            } else {
                let (block, inner) = split(body);
                let inner_header = Header::parse(block);
                let outer = self.within.replace(self.nested.len());
                self.nested.push(inner_header.clone());
                self.nested_raw.push(body);
                self.entity(&inner_header, inner, Standing::Nested, depth + 1, "");
                self.within = outer;
                return;
            }
        }
        self.leaf(header, kind, transfer, body, standing, depth);
    }

    fn leaf(
        &mut self,
        header: &Header,
        kind: &str,
        transfer: Transfer,
        raw: &'a [u8],
        standing: Standing,
        depth: usize,
    ) {
        if self.parts.len() >= limits::MIME_PARTS {
            return self.note(note::MIME_TOO_MANY_PARTS, "");
        }
        if header.content_type.is_empty() && !header.file_name.is_empty() && !header.has_type_typo {
            self.note(note::CONTENT_TYPE_MISSING, &header.file_name);
        }
        let number = self.parts.len() + 1;
        let place = match header.file_name.as_str() {
            "" => format!("part {number}"),
            name => format!("part {number} ({name})"),
        };
        self.parts.push(Part {
            content_type: kind.to_owned(),
            file_name: header.file_name.clone(),
            is_attachment: header.is_attachment,
            standing,
            nested: self.within,
            depth,
            place,
            charset: header.charset.clone(),
            transfer,
            raw,
        });
    }

    /// Walks the parts of a multipart. False if it has none: then it is a leaf.
    fn multipart(
        &mut self,
        header: &Header,
        kind: &str,
        body: &'a [u8],
        standing: Standing,
        depth: usize,
    ) -> bool {
        let guessed;
        let boundary = match header.boundary.as_deref().map(|b| b.trim_end().as_bytes()) {
            Some(boundary) if !boundary.is_empty() => boundary,
            _ => {
                self.note(note::BOUNDARY_MISSING, kind);
                guessed = guess_boundary(body);
                guessed
            }
        };
        if boundary.is_empty() {
            return false;
        }
        let default = if kind == "multipart/digest" { "message/rfc822" } else { "" };
        // By the header, or by the machine-readable part where the header does not say it.
        let mut is_quoting = header.report_type.as_deref().is_some_and(|kind| QUOTING.contains(&kind));
        let mut number = 0usize;
        let mut splitter = Splitter::new(body, boundary);
        while let Some(part) = splitter.next() {
            if self.parts.len() >= limits::MIME_PARTS {
                self.note(note::MIME_TOO_MANY_PARTS, "");
                break;
            }
            let (block, inner) = split(part);
            let part_header = Header::parse(block);
            let part_kind = part_header.content_type.as_str();
            // Seen from Netease, 2018: a feedback report in a multipart/mixed quotes as well.
            let quotes = part_kind.strip_prefix("message/").is_some_and(|name| QUOTING.contains(&name));
            is_quoting |= quotes && (kind == "multipart/report" || part_kind == "message/feedback-report");
            // RFC 6522 §3: text for people, the report, and third what it is about.
            let is_quoted = is_quoting && (number >= 2 || is_message_type(part_kind));
            let standing = if is_quoted { Standing::Quoted } else { standing };
            self.entity(&part_header, inner, standing, depth + 1, default);
            number += 1;
        }
        if number > 0 && !splitter.is_closed {
            self.note(note::BOUNDARY_NOT_CLOSED, "");
        }
        number > 0
    }
}

/// True for the types of an attached message, also those that are only seen.
fn is_message_type(kind: &str) -> bool {
    matches!(kind, "message/rfc822" | "message/global" | "message/rfc-822" | "message/news")
}

/// The delimiter that the body seems to have: its first line that begins with `--`.
fn guess_boundary(body: &[u8]) -> &[u8] {
    body.split(|b| *b == b'\n')
        .take(50)
        .find_map(|line| line.trim_ascii_end().strip_prefix(b"--"))
        .filter(|boundary| !boundary.is_empty() && boundary.len() <= 200)
        .unwrap_or_default()
}

/// Splits a multipart body at its delimiter lines (RFC 2046 §5.1.1).
struct Splitter<'a> {
    body: &'a [u8],
    /// Looks for `--` and the boundary.
    finder: Finder<'static>,
    needle_bytes: usize,
    /// Start of the next part; absent before the first delimiter.
    start: Option<usize>,
    at: usize,
    is_closed: bool,
    is_done: bool,
}

impl<'a> Splitter<'a> {
    fn new(body: &'a [u8], boundary: &[u8]) -> Self {
        let needle = [b"--", boundary].concat();
        let (finder, needle_bytes) = (Finder::new(&needle).into_owned(), needle.len());
        Self { body, finder, needle_bytes, start: None, at: 0, is_closed: false, is_done: false }
    }

    /// The next delimiter line from `self.at`: where it begins, where the line after it begins, and
    /// whether it is the closing one. The same text inside a line is no delimiter.
    fn delimiter(&mut self) -> Option<(usize, usize, bool)> {
        loop {
            let rest = self.body.get(self.at..)?;
            let dashes = self.at + self.finder.find(rest)?;
            if dashes > 0 && self.body.get(dashes - 1) != Some(&b'\n') {
                // Only a line can begin with one: on to the next.
                let tail = self.body.get(dashes..).unwrap_or_default();
                self.at = dashes + memchr::memchr(b'\n', tail)?;
                continue;
            }
            let after = dashes + self.needle_bytes;
            let tail = self.body.get(after..).unwrap_or_default();
            let line_end = memchr::memchr(b'\n', tail).map_or(tail.len(), |end| end + 1);
            self.at = after;
            let line = tail.get(..line_end).unwrap_or_default().trim_ascii_end();
            let is_closing = line.starts_with(b"--");
            let padding = if is_closing { line.get(2..).unwrap_or_default() } else { line };
            // Transport padding is blanks; anything else makes it a longer boundary of another multipart.
            if !padding.trim_ascii().is_empty() {
                continue;
            }
            self.at = after + line_end;
            return Some((dashes, after + line_end, is_closing));
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.is_done {
            return None;
        }
        if self.start.is_none() {
            let (_, next, is_closing) = self.delimiter()?;
            if is_closing {
                self.is_done = true;
                self.is_closed = true;
                return None;
            }
            self.start = Some(next);
        }
        let start = self.start?;
        match self.delimiter() {
            Some((line, next, is_closing)) => {
                self.is_done = is_closing;
                self.is_closed = is_closing;
                self.start = Some(next);
                let part = self.body.get(start..line.max(start)).unwrap_or_default();
                // The line end before a delimiter belongs to the delimiter.
                let part = part.strip_suffix(b"\n").unwrap_or(part);
                Some(part.strip_suffix(b"\r").unwrap_or(part))
            }
            None => {
                self.is_done = true;
                let part = self.body.get(start..).unwrap_or_default();
                (!part.trim_ascii().is_empty()).then_some(part)
            }
        }
    }
}

#[cfg(test)]
#[path = "message/tests.rs"]
mod tests;
