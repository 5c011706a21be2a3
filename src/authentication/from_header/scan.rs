//! Takes a From field apart: elements between commas, each with its name, address and comments. One pass.

use std::iter::Peekable;
use std::str::Chars;

use super::Trick;

/// What stands between two commas of an address list.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// The words outside the address, quotes and comments taken off.
    pub(super) display_name: String,
    /// True if the address stood in angle brackets.
    pub(super) has_brackets: bool,
    /// True if a part of the address was quoted.
    pub(super) has_quotes: bool,
    /// The comments.
    pub(super) comments: Vec<String>,
    /// The address.
    address: Vec<Piece>,
}

/// A character of an element, and whether it is only text: quoted or escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Plain(char),
    Quoted(char),
    /// A comment stood here.
    Comment,
}

impl Piece {
    const fn char(self) -> Option<char> {
        match self {
            Self::Plain(c) | Self::Quoted(c) => Some(c),
            Self::Comment => None,
        }
    }

    const fn is_blank(self) -> bool {
        matches!(self, Self::Plain(' '))
    }
}

/// The text of pieces.
fn text(pieces: &[Piece]) -> String {
    pieces.iter().filter_map(|piece| piece.char()).collect()
}

impl Element {
    /// The address as text; empty if there is none.
    pub(super) fn address(&self) -> String {
        text(&self.address)
    }

    /// True if nothing stands there.
    pub(super) fn is_empty(&self) -> bool {
        self.address.is_empty() && self.display_name.trim().is_empty()
    }

    /// True for `<>`.
    pub(super) fn is_null(&self) -> bool {
        self.has_brackets && self.address.is_empty()
    }

    /// How many `@` outside quotes.
    pub(super) fn ats(&self) -> usize {
        self.address.iter().filter(|piece| **piece == Piece::Plain('@')).count()
    }

    /// Local part and domain, split at the last `@` outside quotes; nothing without one.
    pub(super) fn local_and_domain(&self) -> Option<(String, String)> {
        let at = self.address.iter().rposition(|piece| *piece == Piece::Plain('@'))?;
        let (local, domain) = self.address.split_at(at);
        Some((text(local), text(domain.get(1..).unwrap_or_default())))
    }
}

/// Where the reader is in an element.
#[derive(Default)]
struct Open {
    outside: Vec<Piece>,
    inside: Vec<Piece>,
    after: Vec<Piece>,
    comments: Vec<String>,
    is_inside: bool,
    has_brackets: bool,
}

impl Open {
    /// Where the next character belongs.
    fn here(&mut self) -> &mut Vec<Piece> {
        if self.is_inside {
            &mut self.inside
        } else if self.has_brackets {
            &mut self.after
        } else {
            &mut self.outside
        }
    }

    /// Ends the element.
    fn close(mut self, tricks: &mut Vec<Trick>) -> Element {
        if self.is_inside {
            tricks.push(Trick::NotClosed);
        }
        let has_brackets = self.has_brackets;
        let (name, mut address) = if has_brackets {
            if self.after.iter().any(|piece| !piece.is_blank() && *piece != Piece::Comment) {
                tricks.push(Trick::TrailingText);
                self.outside.push(Piece::Plain(' '));
                self.outside.append(&mut self.after);
            }
            (self.outside, trimmed(&self.inside))
        } else if let Some(at) = self.outside.iter().position(|piece| *piece == Piece::Plain('@')) {
            let start = address_start(&self.outside, at);
            if start > 0 && !trimmed(self.outside.get(..start).unwrap_or_default()).is_empty() {
                tricks.push(Trick::Blanks);
            }
            let address = trimmed(self.outside.get(start..).unwrap_or_default());
            self.outside.truncate(start);
            (self.outside, address)
        } else {
            (self.outside, Vec::new())
        };
        // A comment at either end of a bare address is the old way of giving a name.
        if !has_brackets {
            while address.first() == Some(&Piece::Comment) {
                address.remove(0);
                address = trimmed(&address);
            }
            while address.last() == Some(&Piece::Comment) {
                address.pop();
                address = trimmed(&address);
            }
        }
        if address.contains(&Piece::Comment) {
            tricks.push(Trick::Comment);
            address.retain(|piece| *piece != Piece::Comment);
        }
        let joined = without_blanks(&address);
        if joined.len() < address.len() {
            tricks.push(Trick::Blanks);
        }
        let has_quotes = joined.iter().any(|piece| matches!(piece, Piece::Quoted(_)));
        let words = text(&name);
        Element {
            display_name: words.split_whitespace().collect::<Vec<_>>().join(" "),
            has_brackets,
            has_quotes,
            comments: self.comments,
            address: joined,
        }
    }
}

/// Without blanks at both ends.
fn trimmed(pieces: &[Piece]) -> Vec<Piece> {
    let start = pieces.iter().take_while(|piece| piece.is_blank()).count();
    let rest = pieces.get(start..).unwrap_or_default();
    let end = rest.iter().rev().take_while(|piece| piece.is_blank()).count();
    rest.get(..rest.len() - end).unwrap_or_default().to_vec()
}

/// Where a bare address begins: after the last blank before its `@` that does not stand beside a dot or the `@`
/// (RFC 5322 §4.4 allows blanks there).
fn address_start(pieces: &[Piece], at: usize) -> usize {
    let is_joint = |piece: Option<&Piece>| matches!(piece, Some(Piece::Plain('.' | '@') | Piece::Comment));
    let mut start = at;
    while start > 0 {
        let Some(piece) = pieces.get(start - 1) else { break };
        if !piece.is_blank() {
            start -= 1;
            continue;
        }
        let mut before = start - 1;
        while before > 0 && pieces.get(before - 1).is_some_and(|piece| piece.is_blank()) {
            before -= 1;
        }
        let left = before.checked_sub(1).and_then(|before| pieces.get(before));
        if left.is_none() || !(is_joint(left) || is_joint(pieces.get(start))) {
            break;
        }
        start = before;
    }
    start
}

/// Without the blanks beside a dot or an `@`; others stay and spoil what they stand in.
fn without_blanks(pieces: &[Piece]) -> Vec<Piece> {
    let is_joint = |piece: Option<&Piece>| matches!(piece, Some(Piece::Plain('.' | '@')));
    let mut kept: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut rest = pieces;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if !first.is_blank() {
            kept.push(*first);
            continue;
        }
        while let Some((next, after)) = rest.split_first()
            && next.is_blank()
        {
            rest = after;
        }
        if !is_joint(kept.last()) && !is_joint(rest.first()) {
            kept.push(*first);
        }
    }
    kept
}

/// Reads the value of a From field. What is odd is added to `tricks`.
pub(super) fn elements(value: &str, tricks: &mut Vec<Trick>) -> Vec<Element> {
    let mut found = Vec::new();
    let mut open = Open::default();
    let mut chars = value.chars().peekable();
    // Elements that were found when the group began.
    let mut group = None;
    while let Some(c) = chars.next() {
        match c {
            '(' => {
                let comment = comment(&mut chars, tricks);
                open.comments.push(comment);
                open.here().push(Piece::Comment);
            }
            '"' => quoted(&mut chars, open.here(), tricks),
            '\\' => open.here().extend(chars.next().map(Piece::Quoted)),
            '<' if open.is_inside => {
                tricks.push(Trick::NotClosed);
                open.inside.push(Piece::Plain('<'));
            }
            '<' if open.has_brackets => {
                tricks.push(Trick::MissingComma);
                found.push(std::mem::take(&mut open).close(tricks));
                (open.is_inside, open.has_brackets) = (true, true);
            }
            '<' => (open.is_inside, open.has_brackets) = (true, true),
            '>' if open.is_inside => open.is_inside = false,
            ':' if open.is_inside && open.inside.first() == Some(&Piece::Plain('@')) => {
                tricks.push(Trick::Route);
                open.inside.clear();
            }
            ':' if !open.is_inside
                && !open.has_brackets
                && !open.outside.contains(&Piece::Plain('@'))
                && !trimmed(&open.outside).is_empty() =>
            {
                tricks.push(Trick::Group);
                open.outside.clear();
                open.comments.clear();
                group = Some(found.len());
            }
            ',' | ';' if !open.is_inside => {
                let element = std::mem::take(&mut open).close(tricks);
                if !element.is_empty() || element.has_brackets {
                    found.push(element);
                }
                if c == ';' && group.take() == Some(found.len()) {
                    tricks.push(Trick::NullAddress);
                }
            }
            '[' => {
                open.here().push(Piece::Plain('['));
                while let Some(c) = chars.next_if(|c| *c != ']') {
                    open.here().push(Piece::Plain(c));
                }
            }
            '\t' | '\n' | '\r' | ' ' => open.here().push(Piece::Plain(' ')),
            c => open.here().push(Piece::Plain(c)),
        }
    }
    let last = open.close(tricks);
    if !last.is_empty() || last.has_brackets {
        found.push(last);
    }
    found
}

/// Reads a comment after its opening bracket; nested ones are part of it.
fn comment(chars: &mut Peekable<Chars<'_>>, tricks: &mut Vec<Trick>) -> String {
    let mut depth = 1_usize;
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            '(' => {
                depth += 1;
                text.push(c);
            }
            ')' if depth == 1 => return text,
            ')' => {
                depth -= 1;
                text.push(c);
            }
            c => text.push(c),
        }
    }
    tricks.push(Trick::NotClosed);
    text
}

/// Reads a quoted string after its opening quote.
fn quoted(chars: &mut Peekable<Chars<'_>>, here: &mut Vec<Piece>, tricks: &mut Vec<Trick>) {
    while let Some(c) = chars.next() {
        match c {
            '\\' => here.extend(chars.next().map(Piece::Quoted)),
            '"' => return,
            c => here.push(Piece::Quoted(c)),
        }
    }
    tricks.push(Trick::NotClosed);
}
