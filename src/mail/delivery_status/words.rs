//! A text as lines, its own words told from the message that it returns, and addresses in it.
//!
//! The own words end where a mark line stands (`--- Below this line is a copy of the message.`) or,
//! without one, where a header block begins: at least three known fields after a blank line, one of
//! them a field that only a mail has. So it works in every language.

use std::cell::Cell;

use crate::limits;

/// Counts bytes looked at, so that a test can show that work grows with the text and not faster.
#[derive(Debug, Default)]
pub(super) struct Meter(Cell<u64>);

impl Meter {
    /// Notes that `bytes` were looked at.
    pub(super) fn add(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)));
    }

    /// All bytes looked at so far.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// One line: its number from 1 and its text without the line end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
}

/// The lines of one part.
#[derive(Debug)]
pub(super) struct Words<'a> {
    /// Index of the part in the input.
    pub(super) part: usize,
    lines: Vec<Line<'a>>,
    /// Index of the first line of the returned message, or of the mark before it.
    quote_at: usize,
}

impl<'a> Words<'a> {
    /// Splits a text at CRLF, LF or CR, within the limits.
    pub(super) fn new(part: usize, text: &'a str, meter: &Meter) -> Self {
        let lines = split_lines(text, meter);
        let quote_at = quote_start(&lines);
        Self { part, lines, quote_at }
    }

    /// The lines of the report itself.
    pub(super) fn own(&self) -> &[Line<'a>] {
        self.lines.get(..self.quote_at).unwrap_or_default()
    }

    /// The lines of the returned message, its mark line included.
    pub(super) fn quoted(&self) -> &[Line<'a>] {
        self.lines.get(self.quote_at..).unwrap_or_default()
    }

    /// All lines.
    pub(super) fn all(&self) -> &[Line<'a>] {
        &self.lines
    }
}

/// Splits a text into lines at CRLF, LF or CR, within the limits of bytes, lines and line length.
pub(super) fn split_lines<'a>(text: &'a str, meter: &Meter) -> Vec<Line<'a>> {
    let text = clip(text, limits::BOUNCE_TEXT_BYTES);
    meter.add(text.len());
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && lines.len() < limits::BOUNCE_LINES {
        let end = memchr::memchr2(b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        lines.push(Line { number: lines.len() + 1, text: clip(line, limits::BOUNCE_LINE_BYTES).trim_end() });
        let after = rest.get(end..).unwrap_or_default();
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\n', '\r'])).unwrap_or(after);
    }
    lines
}

/// The first `bytes` of a text, cut at a character.
pub(super) fn clip(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// The text without blanks, line ends and soft line breaks, and with `=3D` undone: a token that was cut by
/// wrapping is whole again.
pub(super) fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c.is_whitespace() || c == '\0' {
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        } else if c == '=' {
            let after = rest.get(1..).unwrap_or_default();
            if let Some(more) = after.strip_prefix("3D").or_else(|| after.strip_prefix("3d")) {
                out.push('=');
                rest = more;
            } else {
                if !after.starts_with(['\r', '\n']) {
                    out.push('=');
                }
                rest = after;
            }
        } else {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// The words of an HTML text: tags gone, blocks as lines, the common entities undone.
pub(super) fn strip_html(html: &str, meter: &Meter) -> String {
    let html = clip(html, limits::BOUNCE_TEXT_BYTES);
    meter.add(html.len());
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    let mut hidden: Option<&str> = None;
    while let Some(at) = memchr::memchr2(b'<', b'&', rest.as_bytes()) {
        if hidden.is_none() {
            out.push_str(rest.get(..at).unwrap_or_default());
        }
        let here = rest.get(at..).unwrap_or_default();
        if here.starts_with('&') {
            let (text, length) = entity(here);
            if hidden.is_none() {
                out.push_str(&text);
            }
            rest = here.get(length..).unwrap_or_default();
            continue;
        }
        // `<user@example.net>` and `< 5` are words, not tags.
        let after = here.get(1..).unwrap_or_default();
        let end = memchr::memchr2(b'>', b'<', after.as_bytes());
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let tag = end.and_then(|end| after.get(..end));
        match (is_tag, tag) {
            (true, Some(tag)) if !looks_like_address(tag) => {
                let name = tag.split([' ', '\t', '\r', '\n', '/', '>']).find(|word| !word.is_empty());
                let name = name.unwrap_or_default().to_ascii_lowercase();
                let closes = tag.starts_with('/');
                if let Some(open) = hidden {
                    if closes && open == name {
                        hidden = None;
                    }
                } else if !closes && (name == "style" || name == "script") {
                    hidden = Some(if name == "style" { "style" } else { "script" });
                }
                if matches!(
                    name.as_str(),
                    "br" | "p" | "div" | "tr" | "li" | "table" | "h1" | "h2" | "h3" | "pre"
                ) {
                    out.push('\n');
                }
                rest = after.get(tag.len()..).unwrap_or_default();
                rest = rest.strip_prefix('>').unwrap_or(rest);
            }
            _ => {
                if hidden.is_none() {
                    out.push('<');
                }
                rest = after;
            }
        }
    }
    if hidden.is_none() {
        out.push_str(rest);
    }
    out
}

/// True for the inside of `<user@example.net>`.
fn looks_like_address(tag: &str) -> bool {
    tag.contains('@') && !tag.contains([' ', '=', '"'])
}

/// The character of an entity at the start of a text and the entity's length.
fn entity(text: &str) -> (String, usize) {
    let known = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
        ("&quot;", "\""),
        ("&nbsp;", " "),
        ("&#39;", "'"),
        ("&apos;", "'"),
    ];
    for (name, value) in known {
        if text.starts_with(name) {
            return (value.to_owned(), name.len());
        }
    }
    let number = text.get(2..text.floor_char_boundary(10)).filter(|_| text.starts_with("&#"));
    if let Some((digits, _)) = number.and_then(|number| number.split_once(';')) {
        let value = match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        if let Some(c) = value.and_then(char::from_u32).filter(|c| *c != '\0') {
            return (c.to_string(), digits.len() + 3);
        }
    }
    ("&".to_owned(), 1)
}

// ---- The returned message ----

/// Whole lines, without the dashes around them, that stand before a returned message.
const MARK_LINES: [&str; 13] = [
    "original message",
    "original message follows",
    "original message headers",
    "original mail info",
    "original mail",
    "returned message",
    "returned message follows",
    "returned message headers",
    "message headers follow",
    "unsent message follows",
    "message header",
    "undelivered message",
    "urspr\u{fc}ngliche nachricht",
];

/// Beginnings of lines that stand before a returned message.
const MARK_BEGINNINGS: [&str; 10] = [
    "this is a copy of the message",
    "this is a copy of your message",
    "below this line is a copy of",
    "below this line is the original",
    "enclosed is a copy of the message",
    "below is a copy of the original message",
    "included is a copy of the message header",
    "a copy of the original message follows",
    "the header of the original message",
    "the headers of the original message",
];

/// The index of the line where a returned message begins; the number of lines if there is none.
fn quote_start(lines: &[Line<'_>]) -> usize {
    let mut after_gap = true;
    for (i, line) in lines.iter().enumerate() {
        if is_mark(line.text) || (after_gap && is_header_block(lines.get(i..).unwrap_or_default())) {
            return i;
        }
        after_gap = line.text.chars().all(|c| c.is_whitespace() || matches!(c, '-' | '=' | '_' | '*'));
    }
    lines.len()
}

/// True if a line announces the returned message.
fn is_mark(line: &str) -> bool {
    if line.len() > 160 {
        return false;
    }
    let bare = line.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    MARK_LINES.contains(&bare.as_str()) || MARK_BEGINNINGS.iter().any(|begin| bare.starts_with(begin))
}

/// The name of a header field at the start of a line, and its value.
pub(super) fn field_of(line: &str) -> Option<(&str, &str)> {
    let colon = memchr::memchr(b':', line.as_bytes())?;
    let name = line.get(..colon)?.trim_end();
    let fits = !name.is_empty() && name.len() <= 60;
    (fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')))
        .then(|| (name, line.get(colon + 1..).unwrap_or_default()))
}

/// True if lines begin with the header of a mail.
fn is_header_block(lines: &[Line<'_>]) -> bool {
    let mut known = 0;
    let mut strong = 0;
    let mut first_is_strong = false;
    for (i, line) in lines.iter().take(60).enumerate() {
        if line.text.starts_with([' ', '\t']) && i > 0 {
            continue;
        }
        let Some((name, _)) = field_of(line.text) else { break };
        let name = name.to_ascii_lowercase();
        let is_strong = matches!(
            name.as_str(),
            "received"
                | "return-path"
                | "message-id"
                | "dkim-signature"
                | "mime-version"
                | "x-received"
                | "arc-seal"
        );
        let is_known = is_strong
            || matches!(
                name.as_str(),
                "from"
                    | "to"
                    | "subject"
                    | "date"
                    | "content-type"
                    | "sender"
                    | "reply-to"
                    | "cc"
                    | "delivered-to"
                    | "authentication-results"
                    | "user-agent"
                    | "references"
                    | "in-reply-to"
                    | "x-mailer"
            );
        known += usize::from(is_known);
        strong += usize::from(is_strong);
        first_is_strong |= i == 0 && matches!(name.as_str(), "received" | "return-path");
        if (known >= 3 && strong >= 1) || (known >= 2 && first_is_strong) {
            return true;
        }
    }
    false
}

// ---- Addresses ----

/// An address in a text: its offsets and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressAt<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: &'a str,
}

/// Longest local part that is looked for, bytes; longer than the standard's 64, since VERP addresses are.
const LOCAL_BYTES: usize = 256;

/// True for a character that an unquoted local part may hold (RFC 5322 §3.2.3, RFC 6532 §3.2).
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte) || byte >= 0x80
}

/// All addresses in a text, in order. The domain has at least two labels or is a literal.
pub(super) fn addresses(text: &str) -> Vec<AddressAt<'_>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut from = 0;
    for at in memchr::memchr_iter(b'@', bytes) {
        if at < from {
            continue;
        }
        let before = bytes.get(from..at).unwrap_or_default();
        let local = if before.last() == Some(&b'"') {
            let inner = before.get(..before.len() - 1).unwrap_or_default();
            let window = inner.get(inner.len().saturating_sub(LOCAL_BYTES)..).unwrap_or_default();
            memchr::memrchr(b'"', window).map_or(0, |quote| window.len() - quote + 1)
        } else {
            before.iter().rev().take(LOCAL_BYTES).take_while(|b| is_atext(**b)).count()
        };
        let after = bytes.get(at + 1..).unwrap_or_default();
        let domain = if after.first() == Some(&b'[') {
            memchr::memchr(b']', after.get(..after.len().min(64)).unwrap_or_default())
                .map_or(0, |end| end + 1)
        } else {
            let taken = after
                .iter()
                .take(limits::DOMAIN_BYTES)
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_') || **b >= 0x80)
                .count();
            let name = after.get(..taken).unwrap_or_default();
            let trimmed = name.iter().rev().take_while(|b| matches!(b, b'.' | b'-' | b'_')).count();
            let name = name.get(..taken - trimmed).unwrap_or_default();
            if name.contains(&b'.') && !name.starts_with(b".") { name.len() } else { 0 }
        };
        // Shell quotes and the like around an address are not part of it.
        let mut start = at - local;
        while start < at && bytes.get(start).is_some_and(|b| matches!(b, b'\'' | b'`' | b'.' | b'*' | b'|')) {
            start += 1;
        }
        let mut end = at + 1 + domain;
        while end > at + 1 && !text.is_char_boundary(end) {
            end -= 1;
        }
        while start < at && !text.is_char_boundary(start) {
            start += 1;
        }
        // Punctuation outside ASCII, such as the fullwidth colon, ends a word too.
        let is_mark = |c: char| !c.is_ascii() && !c.is_alphanumeric();
        let local = text.get(start..at).unwrap_or_default();
        if let Some((mark, c)) = local.char_indices().rev().find(|(_, c)| is_mark(*c)) {
            start += mark + c.len_utf8();
        }
        let name = text.get(at + 1..end).unwrap_or_default();
        let name = name.split(is_mark).next().unwrap_or_default();
        let name = name.trim_end_matches(|c: char| !c.is_alphanumeric() && c != ']');
        if start == at || !(name.contains('.') || name.starts_with('[')) {
            continue;
        }
        let end = at + 1 + name.len();
        if let Some(address) = text.get(start..end) {
            found.push(AddressAt { start, end, text: address });
            from = end;
        }
    }
    found
}

/// The address in a field's value: that in angle brackets, else the first, else the bare value.
pub(super) fn address_of(value: &str) -> Option<String> {
    let value = value.trim();
    let bracketed = value
        .rfind('<')
        .and_then(|open| value.get(open + 1..))
        .and_then(|rest| rest.split_once('>'))
        .map(|(inner, _)| inner.trim())
        .filter(|inner| !inner.is_empty());
    if let Some(inner) = bracketed {
        return Some(clip(inner, limits::HEADER_TEXT_BYTES).to_owned());
    }
    if let Some(address) = addresses(value).first() {
        return Some(address.text.to_owned());
    }
    let bare = value.split([' ', '\t', '(', ';', ',']).next().unwrap_or_default();
    let bare = bare.trim_matches(['<', '>', '"', '\'']);
    (!bare.is_empty()).then(|| clip(bare, limits::HEADER_TEXT_BYTES).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_every_way() {
        let meter = Meter::default();
        let texts: Vec<&str> = split_lines("a\r\nb\nc\rd\n\ne", &meter).iter().map(|l| l.text).collect();
        assert_eq!(texts, ["a", "b", "c", "d", "", "e"]);
        assert_eq!(meter.bytes(), 11);
    }

    #[test]
    fn own_words_end_at_mark_or_header() {
        let cases = [
            ("sorry\n--- Below this line is a copy of the message.\n\nReceived: x", 1),
            ("sorry\n\nReturn-Path: <a@example.net>\nReceived: from x\nSubject: y", 2),
            ("The original message was received at noon\nfrom x\n\nfailed", 4),
            ("delete your own text from the attached returned message.\n\nx", 3),
            (
                "Reporting-MTA: dns; x\nArrival-Date: y\n\nFinal-Recipient: rfc822; a@example.net\nAction: failed",
                5,
            ),
            ("Your message\n  To: a@example.net\n  Subject: b\n", 3),
        ];
        for (text, want) in cases {
            assert_eq!(Words::new(0, text, &Meter::default()).own().len(), want, "{text:?}");
        }
    }

    #[test]
    fn addresses_in_words() {
        let cases: [(&str, &[&str]); 12] = [
            ("to <a.b@example.net>: no", &["a.b@example.net"]),
            ("'a@example.net', b@example.net.", &["a@example.net", "b@example.net"]),
            ("\"a b\"@example.net", &["\"a b\"@example.net"]),
            ("a@[192.0.2.1] x", &["a@[192.0.2.1]"]),
            ("a@b only one label", &[]),
            ("mailto:a@example.net> @ x", &["a@example.net"]),
            ("a@example.net@example.org", &["a@example.net"]),
            ("\u{5b9b}\u{5148} a@example.net\u{3002}", &["a@example.net"]),
            ("=?utf-8?B?eA==?=@example.org", &["=?utf-8?B?eA==?=@example.org"]),
            ("\u{5b9b}\u{5148}\u{ff1a}a@example.net\u{ff0c}\u{5b9b}", &["a@example.net"]),
            ("j\u{f6}rg@b\u{fc}cher.example", &["j\u{f6}rg@b\u{fc}cher.example"]),
            ("a@[", &[]),
        ];
        for (text, want) in cases {
            let got: Vec<&str> = addresses(text).iter().map(|a| a.text).collect();
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn html_becomes_words() {
        let html = "<style>p{a@b.c}</style><p>To <b>a@example.net</b>&nbsp;failed<br>x &lt;y&gt; &#65;<z@example.net>";
        assert_eq!(strip_html(html, &Meter::default()), "\nTo a@example.net failed\nx <y> A<z@example.net>");
    }

    #[test]
    fn squeezed() {
        assert_eq!(squeeze("to=\r\nken a=3Db\n c="), "tokena=bc=");
    }
}
