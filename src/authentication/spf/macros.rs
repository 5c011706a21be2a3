//! The macro language: reading it, and expanding it for one sender (RFC 7208 §7).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::fault::FaultKind;

/// One piece of a text with macros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Octets that stand for themselves; never empty.
    Literal(&'t [u8]),
    /// `%%`, `%_` or `%-`: what they stand for.
    Escape(&'static str),
    /// A macro.
    Macro(Macro<'t>),
}

/// A macro with its transformers (RFC 7208 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Macro<'t> {
    /// The letter in lower case.
    pub letter: u8,
    /// True for a letter in upper case: escaped as in URIs.
    pub is_escaped: bool,
    /// How many parts are kept, from the right; absent: all.
    pub kept: Option<usize>,
    /// True if the parts are reversed first.
    pub is_reversed: bool,
    /// Where the value is split; empty: at dots.
    pub delimiters: &'t [u8],
}

/// The pieces of a text, each with its place; the first fault ends them.
pub(super) struct Pieces<'t> {
    text: &'t [u8],
    at: usize,
}

/// Takes a text with macros apart.
pub(super) const fn pieces(text: &[u8]) -> Pieces<'_> {
    Pieces { text, at: 0 }
}

/// A piece and the octets that it takes, or a fault and where it stands.
type Found<'t> = Result<(Piece<'t>, usize, usize), (FaultKind, usize, usize)>;

impl<'t> Iterator for Pieces<'t> {
    type Item = Found<'t>;

    fn next(&mut self) -> Option<Found<'t>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        if rest.first() != Some(&b'%') {
            let length = memchr::memchr(b'%', rest).unwrap_or(rest.len());
            self.at += length;
            return Some(Ok((Piece::Literal(rest.get(..length).unwrap_or_default()), start, self.at)));
        }
        let found = match rest.get(1) {
            Some(b'%') => Ok((Piece::Escape("%"), 2)),
            Some(b'_') => Ok((Piece::Escape(" "), 2)),
            Some(b'-') => Ok((Piece::Escape("%20"), 2)),
            Some(b'{') => expression(rest.get(2..).unwrap_or_default())
                .map(|(expression, length)| (Piece::Macro(expression), length + 2)),
            _ => Err((FaultKind::BadMacro, rest.len().min(2))),
        };
        Some(match found {
            Ok((piece, length)) => {
                self.at += length;
                Ok((piece, start, self.at))
            }
            Err((kind, length)) => {
                self.at = self.text.len();
                Err((kind, start, (start + length).min(self.text.len())))
            }
        })
    }
}

/// Reads what follows `%{`, up to and with the `}`. A fault says how many octets from the `%` show it.
fn expression(text: &[u8]) -> Result<(Macro<'_>, usize), (FaultKind, usize)> {
    let end = memchr::memchr(b'}', text).ok_or((FaultKind::BadMacro, text.len() + 2))?;
    let shown = end + 3;
    let (&letter, rest) =
        text.get(..end).and_then(<[u8]>::split_first).ok_or((FaultKind::BadMacro, shown))?;
    if !b"slodiphcrtv".contains(&letter.to_ascii_lowercase()) {
        return Err((FaultKind::UnknownMacro, shown));
    }
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (number, rest) = rest.split_at_checked(digits).unwrap_or((rest, &[]));
    let kept = (digits > 0).then(|| {
        number.iter().fold(0_usize, |sum, octet| {
            sum.saturating_mul(10).saturating_add(usize::from(octet.wrapping_sub(b'0')))
        })
    });
    let (is_reversed, delimiters) = match rest.split_first() {
        Some((b'r' | b'R', after)) => (true, after),
        _ => (false, rest),
    };
    // RFC 7208 §7.1: a number of parts must not be zero.
    if kept == Some(0) || !delimiters.iter().all(|octet| b".-+,/_=".contains(octet)) {
        return Err((FaultKind::BadMacro, shown));
    }
    let is_escaped = letter.is_ascii_uppercase();
    let letter = letter.to_ascii_lowercase();
    Ok((Macro { letter, is_escaped, kept, is_reversed, delimiters }, end + 1))
}

impl Macro<'_> {
    /// True for the letters that are allowed in explanations only (RFC 7208 §7.2).
    pub(super) const fn is_of_explanations(&self) -> bool {
        matches!(self.letter, b'c' | b'r' | b't')
    }

    /// Appends a value, transformed (RFC 7208 §7.3).
    pub(super) fn write(&self, value: &str, out: &mut String) {
        if self.kept.is_none() && !self.is_reversed && self.delimiters.is_empty() {
            self.push(value, out);
            return;
        }
        let is_delimiter = |c: char| match self.delimiters {
            [] => c == '.',
            some => u8::try_from(c).is_ok_and(|octet| some.contains(&octet)),
        };
        let mut parts: Vec<&str> = value.split(is_delimiter).collect();
        if self.is_reversed {
            parts.reverse();
        }
        let skipped = self.kept.map_or(0, |kept| parts.len().saturating_sub(kept));
        for (at, part) in parts.iter().skip(skipped).enumerate() {
            if at > 0 {
                out.push('.');
            }
            self.push(part, out);
        }
    }

    /// Appends a text, escaped where the letter asks for it (RFC 3986 §2.3: all but unreserved characters).
    fn push(&self, text: &str, out: &mut String) {
        if !self.is_escaped {
            out.push_str(text);
            return;
        }
        for octet in text.bytes() {
            if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
                out.push(char::from(octet));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{octet:02X}");
            }
        }
    }
}

/// The address as `%{i}` writes it: IPv6 as nibbles between dots (RFC 7208 §7.3).
pub(super) fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let mut text = String::with_capacity(63);
            for (at, octet) in address.octets().iter().enumerate() {
                let dot = if at > 0 { "." } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(text, "{dot}{:X}.{:X}", octet >> 4, octet & 0xf);
            }
            text
        }
    }
}

/// A name that was built by macros, without labels from the left until it is no longer than a name may be
/// (RFC 7208 §7.3).
pub(super) fn truncated(name: &str) -> &str {
    const MOST: usize = 253;
    let mut name = name;
    while name.strip_suffix('.').unwrap_or(name).len() > MOST {
        match name.split_once('.') {
            Some((_, rest)) => name = rest,
            None => break,
        }
    }
    name
}
