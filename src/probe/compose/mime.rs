//! Writes messages: fields, parts, transfer encodings.
//!
//! Standards: RFC 5322 §2.1.1 and §2.2.3 (lines and folding), RFC 2045 §6 (transfer encodings), RFC 2046 §5.1
//! (multiparts), RFC 2047 §2 (encoded words).

use data_encoding::{BASE64, HEXLOWER};

use super::{Attachment, PartFacts, length, sha256};
use crate::probe::token::Token;

/// Column at which fields are folded, RFC 5322 §2.1.1.
pub(super) const FOLD_COLUMN: usize = 78;
/// Bytes that make one line of 76 characters of base64, RFC 2045 §6.8.
const BASE64_LINE_BYTES: usize = 57;
/// Characters of a line of quoted-printable, without the mark of a soft line end (RFC 2045 §6.7).
const QUOTED_LINE_CHARS: usize = 75;
/// Bytes of text in one encoded word of UTF-8: 45 are 60 characters of base64, and 75 with the rest (RFC 2047 §2).
const WORD_BYTES: usize = 45;

// ---- Fields and lines ----

/// Writes lines with CRLF.
#[derive(Default)]
pub(super) struct Writer {
    /// What is written.
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    /// One line. Line breaks in `text` would start new ones: callers never have any.
    pub(super) fn line(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// One header field, folded at blanks so that lines have at most 78 characters where a blank
    /// allows it (RFC 5322 §2.2.3).
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let mut line = format!("{name}:");
        for word in value.split(' ') {
            // A line of blanks alone would be the obsolete form (RFC 5322 §4.2), so that empty words never begin one.
            let is_long = line.chars().count() + 1 + word.chars().count() > FOLD_COLUMN;
            if is_long && !word.is_empty() && line.trim_end().contains(' ') {
                self.line(&line);
                line.clear();
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(line.trim_end());
    }
}

/// A value as it goes into a field where UTF-8 is not allowed: as it is, or as encoded words (RFC 2047 §2).
pub(super) fn encode_words(value: &str) -> String {
    if value.is_ascii() {
        return value.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let mut end = rest.len().min(WORD_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, left) = rest.split_at(end);
        words.push(format!("=?utf-8?B?{}?=", BASE64.encode(word.as_bytes())));
        rest = left;
    }
    // Blanks between encoded words are no part of the text (RFC 2047 §6.2).
    words.join(" ")
}

// ---- Parts ----

/// How the bytes of a leaf go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    /// Lines of ASCII.
    SevenBit,
    /// Lines of anything.
    EightBit,
    /// Lines whose odd bytes are written as `=XX`.
    Quoted,
    /// Anything.
    Base64,
}

impl Transfer {
    /// The word of the field.
    const fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Quoted => "quoted-printable",
            Self::Base64 => "base64",
        }
    }
}

/// A part with its content.
pub(super) enum Entity {
    /// A part without parts.
    Leaf(Leaf),
    /// Parts together.
    Multi {
        /// `mixed`, `alternative` or `related`.
        subtype: &'static str,
        /// The parts.
        parts: Vec<Entity>,
    },
}

/// A part without parts.
pub(super) struct Leaf {
    /// `type/subtype`.
    pub(super) content_type: String,
    /// Parameters as they are written, `; charset=utf-8`; empty without.
    pub(super) parameters: String,
    /// The name of its file.
    pub(super) name: Option<String>,
    /// True for an attachment, false for what is shown in its place.
    pub(super) is_attachment: bool,
    /// Its Content-ID without brackets.
    pub(super) content_id: Option<String>,
    /// How it goes over the wire.
    pub(super) transfer: Transfer,
    /// Its bytes: of a text, lines with CRLF, the last one too.
    pub(super) content: Vec<u8>,
}

impl Leaf {
    /// A text.
    pub(super) fn text(subtype: &str, charset: &str, transfer: Transfer, content: Vec<u8>) -> Self {
        Self {
            content_type: format!("text/{subtype}"),
            parameters: format!("; charset={charset}"),
            name: None,
            is_attachment: false,
            content_id: None,
            transfer,
            content,
        }
    }

    /// A file.
    pub(super) fn file(content_type: &str, name: String, content: Vec<u8>) -> Self {
        Self {
            content_type: content_type.to_owned(),
            parameters: String::new(),
            name: Some(name),
            is_attachment: true,
            content_id: None,
            transfer: Transfer::Base64,
            content,
        }
    }
}

/// Writes a part: its fields, an empty line, its content. Adds what is known of each leaf to `facts`.
pub(super) fn write(out: &mut Writer, entity: Entity, token: &Token, depth: u8, facts: &mut Vec<PartFacts>) {
    match entity {
        Entity::Multi { subtype, parts } => {
            let boundary = boundary(token, depth);
            out.field("Content-Type", &format!("multipart/{subtype}; boundary=\"{boundary}\""));
            out.line("");
            for part in parts {
                out.line(&format!("--{boundary}"));
                let is_text = matches!(&part, Entity::Leaf(leaf) if leaf.transfer != Transfer::Base64);
                write(out, part, token, depth + 1, facts);
                // The line end before a delimiter is the delimiter's (RFC 2046 §5.1.1): texts keep their own.
                if is_text {
                    out.line("");
                }
            }
            out.line(&format!("--{boundary}--"));
        }
        Entity::Leaf(leaf) => {
            write_leaf_fields(out, &leaf);
            out.line("");
            match leaf.transfer {
                Transfer::SevenBit | Transfer::EightBit => out.bytes.extend_from_slice(&leaf.content),
                Transfer::Quoted => write_quoted(out, &leaf.content),
                Transfer::Base64 => {
                    for line in leaf.content.chunks(BASE64_LINE_BYTES) {
                        out.line(&BASE64.encode(line));
                    }
                }
            }
            facts.push(PartFacts {
                size_bytes: length(&leaf.content),
                sha256: sha256(&leaf.content),
                content_type: leaf.content_type,
                name: leaf.name,
                is_attachment: leaf.is_attachment,
            });
        }
    }
}

/// The MIME fields of a leaf.
fn write_leaf_fields(out: &mut Writer, leaf: &Leaf) {
    let name = leaf.name.as_deref();
    let type_name = name.map(|name| format!("; name=\"{name}\"")).unwrap_or_default();
    out.field("Content-Type", &format!("{}{}{type_name}", leaf.content_type, leaf.parameters));
    out.field("Content-Transfer-Encoding", leaf.transfer.as_str());
    if let Some(id) = &leaf.content_id {
        out.field("Content-ID", &format!("<{id}>"));
    }
    if let Some(name) = name {
        let disposition = if leaf.is_attachment { "attachment" } else { "inline" };
        out.field("Content-Disposition", &format!("{disposition}; filename=\"{name}\""));
    }
}

/// Writes lines as quoted-printable (RFC 2045 §6.7).
fn write_quoted(out: &mut Writer, content: &[u8]) {
    let content = content.strip_suffix(b"\r\n").unwrap_or(content);
    for line in content.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut written = String::new();
        for (at, byte) in line.iter().enumerate() {
            let is_last = at + 1 == line.len();
            let is_plain =
                matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !is_last);
            let piece = if is_plain { char::from(*byte).to_string() } else { format!("={byte:02X}") };
            if written.len() + piece.len() > QUOTED_LINE_CHARS {
                written.push('=');
                out.line(&written);
                written.clear();
            }
            written.push_str(&piece);
        }
        out.line(&written);
    }
}

/// A boundary that no line of our texts begins with.
fn boundary(token: &Token, depth: u8) -> String {
    let hash = sha256(&[b"mailsonde boundary".as_slice(), &[depth], &token.clear_bytes()].concat());
    format!("=_mailsonde_{:.20}", HEXLOWER.encode(&hash))
}

/// The first attachment among the leaves.
pub(super) fn attachment(facts: &[PartFacts]) -> Option<Attachment> {
    facts.iter().filter(|part| part.is_attachment).find_map(|part| {
        let name = part.name.clone()?;
        Some(Attachment { name, size_bytes: part.size_bytes, sha256: part.sha256 })
    })
}
