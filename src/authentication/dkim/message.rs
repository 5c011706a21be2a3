//! The message as its signatures see it: fields with every octet, and the body.
//!
//! Canonicalization itself is mail-auth's; here stands what its callers have to decide: where a field begins
//! and ends, which field an entry of `h=` means, and whether the line ends are those of mail.
//!
//! Standard: RFC 6376 §3.4, §3.7, §5.4.2.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use mail_auth::common::headers::{Writable as _, Writer};
use mail_auth::dkim::Canonicalization;
use ring::digest;

use crate::limits;

/// A message taken apart.
pub struct RawMessage<'a> {
    /// The message with the line ends of mail.
    octets: Cow<'a, [u8]>,
    /// Its fields, from the top.
    fields: Vec<RawField>,
    /// The places of the fields of a name, in lower case, from the top.
    by_name: HashMap<String, Vec<usize>>,
    /// Where the body begins.
    body: usize,
    /// True if the header was too large to be looked at whole.
    pub(in crate::authentication) is_header_cut: bool,
    /// True if a line ends with a lone CR or LF, or a form feed stands in the header: what that means to a
    /// signature depends on who computes it.
    pub(in crate::authentication) has_odd_blanks: bool,
    /// Hashes of the body that were computed.
    hashes: Mutex<HashMap<BodyKind, BodyHash>>,
}

/// Where one field stands.
struct RawField {
    /// Name with blanks before the colon.
    name: Range<usize>,
    /// All behind the colon, with its last line end.
    value: Range<usize>,
}

/// How a body is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::authentication) struct BodyKind {
    /// True for `relaxed`.
    pub(in crate::authentication) is_relaxed: bool,
    /// True for SHA-1.
    pub(in crate::authentication) is_sha1: bool,
    /// `l=`.
    pub(in crate::authentication) length: Option<u64>,
}

/// The hash of a body.
#[derive(Clone, Default)]
pub(in crate::authentication) struct BodyHash {
    /// The digest.
    pub(in crate::authentication) digest: Vec<u8>,
    /// Octets of the canonical body, hashed or not.
    pub(in crate::authentication) octets: u64,
}

/// `relaxed` or `simple` in the words of mail-auth.
pub(in crate::authentication) fn canonicalization(is_relaxed: bool) -> Canonicalization {
    if is_relaxed { Canonicalization::Relaxed } else { Canonicalization::Simple }
}

impl<'a> RawMessage<'a> {
    /// Takes a message apart. A message kept with the line ends of a file (a lone LF after its first line) is
    /// read as if it had those of mail.
    pub fn new(message: &'a [u8]) -> Self {
        let octets = with_mail_line_ends(message);
        let mut raw = Self {
            octets,
            fields: Vec::new(),
            by_name: HashMap::new(),
            body: 0,
            is_header_cut: false,
            has_odd_blanks: false,
            hashes: Mutex::new(HashMap::new()),
        };
        raw.split();
        let header = raw.octets.get(..raw.body).unwrap_or_default();
        raw.has_odd_blanks = header.contains(&0x0c) || has_lone_line_ends(&raw.octets);
        raw
    }

    /// Finds the fields and the body.
    fn split(&mut self) {
        let octets = &self.octets;
        let mut start = 0;
        loop {
            let rest = octets.get(start..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            if let Some(end) = [b"\r\n".as_slice(), b"\n"].iter().find(|end| rest.starts_with(end)) {
                start += end.len();
                break;
            }
            let mut end = start;
            // A field ends at a line end that no blank follows.
            loop {
                let tail = octets.get(end..).unwrap_or_default();
                end = memchr::memchr(b'\n', tail).map_or(octets.len(), |place| end + place + 1);
                if !matches!(octets.get(end), Some(b' ' | b'\t')) {
                    break;
                }
            }
            if start > limits::SIGNED_HEADER_BYTES || self.fields.len() >= limits::SIGNED_HEADER_FIELDS {
                self.is_header_cut = true;
            }
            let field = octets.get(start..end).unwrap_or_default();
            if !self.is_header_cut
                && let Some(colon) = memchr::memchr(b':', field)
                && let Some(name) = field_name(field.get(..colon).unwrap_or_default())
            {
                self.by_name.entry(name).or_default().push(self.fields.len());
                self.fields.push(RawField { name: start..start + colon, value: start + colon + 1..end });
            }
            start = end;
        }
        self.body = start;
    }

    /// The places of the fields of a name in lower case, from the top.
    pub(in crate::authentication) fn places(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The name of a field as written.
    pub(in crate::authentication) fn name(&self, place: usize) -> &[u8] {
        self.fields.get(place).and_then(|field| self.octets.get(field.name.clone())).unwrap_or_default()
    }

    /// The value of a field with its last line end.
    pub(in crate::authentication) fn value(&self, place: usize) -> &[u8] {
        self.fields.get(place).and_then(|field| self.octets.get(field.value.clone())).unwrap_or_default()
    }

    /// The body.
    pub(in crate::authentication) fn body(&self) -> &[u8] {
        self.octets.get(self.body..).unwrap_or_default()
    }

    /// The fields that a list of names means, in its order: of a name that is repeated, the next one from
    /// below; nothing for a name of which no field is left (RFC 6376 §5.4.2).
    pub(in crate::authentication) fn signed_fields(&self, names: &[String]) -> Vec<(&[u8], &[u8])> {
        let mut used: HashMap<String, usize> = HashMap::new();
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let name = name.to_ascii_lowercase();
            let places = self.places(&name);
            let count = used.entry(name).or_default();
            *count += 1;
            if let Some(place) = places.len().checked_sub(*count).and_then(|index| places.get(index)) {
                fields.push((self.name(*place), self.value(*place)));
            }
        }
        fields
    }

    /// Computes hashes of the body that will be asked for: one pass for all lengths of one canonicalization, so
    /// that many signatures with lengths of their own cost no more than one.
    pub(in crate::authentication) fn hash_body(&self, kinds: impl Iterator<Item = BodyKind>) {
        let mut known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: Vec<BodyKind> = kinds.filter(|kind| !known.contains_key(kind)).collect();
        for (is_relaxed, is_sha1) in [(true, false), (false, false), (true, true), (false, true)] {
            let same = |kind: &&BodyKind| (kind.is_relaxed, kind.is_sha1) == (is_relaxed, is_sha1);
            let mut lengths: Vec<Option<u64>> = wanted.iter().filter(same).map(|kind| kind.length).collect();
            if lengths.is_empty() {
                continue;
            }
            // The whole body last: it has no end of its own.
            lengths.sort_unstable_by_key(|length| length.unwrap_or(u64::MAX));
            lengths.dedup();
            let algorithm = if is_sha1 { &digest::SHA1_FOR_LEGACY_USE_ONLY } else { &digest::SHA256 };
            let mut hasher = BodyHasher {
                context: digest::Context::new(algorithm),
                ends: lengths.iter().copied().flatten().collect(),
                digests: Vec::new(),
                octets: 0,
            };
            // mail-auth cuts at `l` before it canonicalizes; RFC 6376 §3.4.5 wants it cut afterwards.
            canonicalization(is_relaxed).canonical_body(self.body(), 0).write(&mut hasher);
            let BodyHasher { context, digests, octets, .. } = hasher;
            let whole = context.finish().as_ref().to_vec();
            for (index, length) in lengths.into_iter().enumerate() {
                // A length beyond the body was not reached; whoever asks sees that.
                let digest = digests.get(index).unwrap_or(&whole).clone();
                known.insert(BodyKind { is_relaxed, is_sha1, length }, BodyHash { digest, octets });
            }
        }
    }

    /// The hash of the body; each kind is computed once.
    pub(in crate::authentication) fn body_hash(&self, kind: BodyKind) -> BodyHash {
        self.hash_body(std::iter::once(kind));
        let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&kind).cloned().unwrap_or_default()
    }
}

/// Hashes what it is given, keeps the digests at some lengths, and counts all.
struct BodyHasher {
    /// The hash so far.
    context: digest::Context,
    /// Lengths at which the digest is kept, in order.
    ends: Vec<u64>,
    /// The digests of the lengths that were reached.
    digests: Vec<Vec<u8>>,
    /// Octets so far.
    octets: u64,
}

impl Writer for BodyHasher {
    fn write(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while let Some(end) = self.ends.get(self.digests.len())
            && let Ok(ahead) = usize::try_from(end.saturating_sub(self.octets))
            && ahead <= rest.len()
        {
            let (before, after) = rest.split_at(ahead);
            self.context.update(before);
            self.octets += before.len() as u64;
            self.digests.push(self.context.clone().finish().as_ref().to_vec());
            rest = after;
        }
        self.context.update(rest);
        self.octets += rest.len() as u64;
    }
}

/// The name of a field in lower case; nothing if it is none.
fn field_name(octets: &[u8]) -> Option<String> {
    let name = octets.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

/// The message with CRLF, if its first line ends with a lone LF.
fn with_mail_line_ends(message: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'\n', message) {
        Some(end) if end == 0 || message.get(end - 1) != Some(&b'\r') => {}
        _ => return Cow::Borrowed(message),
    }
    let mut whole = Vec::with_capacity(message.len() + message.len() / 16);
    let mut rest = message;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = rest.get(..end).unwrap_or_default();
        whole.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        whole.extend_from_slice(b"\r\n");
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    whole.extend_from_slice(rest);
    Cow::Owned(whole)
}

/// True if a CR or LF stands alone.
fn has_lone_line_ends(octets: &[u8]) -> bool {
    let mut rest = octets;
    while let Some(place) = memchr::memchr2(b'\r', b'\n', rest) {
        if rest.get(place..place + 2) != Some(b"\r\n") {
            return true;
        }
        rest = rest.get(place + 2..).unwrap_or_default();
    }
    false
}

/// The value of a signing field without what `b=` holds and without the last line end (RFC 6376 §3.7).
pub(in crate::authentication) fn without_signature(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let mut bare = Vec::with_capacity(value.len());
    for (index, piece) in value.split(|octet| *octet == b';').enumerate() {
        if index > 0 {
            bare.push(b';');
        }
        match memchr::memchr(b'=', piece) {
            Some(equals) if piece.get(..equals).unwrap_or_default().trim_ascii() == b"b" => {
                bare.extend_from_slice(piece.get(..=equals).unwrap_or_default());
            }
            _ => bare.extend_from_slice(piece),
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_apart() {
        let raw = RawMessage::new(
            b"From x: no field\r\nTo : a\r\n\tb\r\nSubject:c\r\nto:d\r\nbroken\r\n\r\nbody\r\n",
        );
        assert_eq!(raw.places("to"), [0, 2]);
        assert_eq!((raw.name(0), raw.value(0)), (b"To ".as_slice(), b" a\r\n\tb\r\n".as_slice()));
        assert_eq!(raw.body(), b"body\r\n");
        assert!(!raw.has_odd_blanks && !raw.is_header_cut);
        let names = ["to", "TO", "to", "subject"].map(str::to_owned);
        let values: Vec<_> = raw.signed_fields(&names).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [b"d\r\n".as_slice(), b" a\r\n\tb\r\n", b"c\r\n"]);
    }

    #[test]
    fn line_ends_of_files_become_those_of_mail() {
        let raw = RawMessage::new(b"A: b\n c\n\nx\r\ny\nz");
        assert_eq!(raw.value(0), b" b\r\n c\r\n");
        assert_eq!(raw.body(), b"x\r\ny\r\nz");
        assert!(!raw.has_odd_blanks);
        for odd in [b"A: b\r\n\r\nx\ny\r\n".as_slice(), b"A: b\r\n\r\nx\ry\r\n", b"A: b\x0cc\r\n\r\nx\r\n"] {
            assert!(RawMessage::new(odd).has_odd_blanks, "{odd:?}");
        }
    }

    #[test]
    fn what_the_signature_leaves_out_of_itself() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b" v=1; b=abc\r\n", b" v=1; b="),
            (b" v=1; b = abc\r\n d; bh=x\r\n", b" v=1; b =; bh=x"),
            (b" b=x; h=b\r\n", b" b=; h=b"),
            (b" B=x\r\n", b" B=x"),
            (b" z=a=b; \r\n\tb=x;\r\n", b" z=a=b; \r\n\tb=;"),
            (b"", b""),
        ];
        for (value, want) in cases {
            assert_eq!(without_signature(value), want);
        }
    }

    #[test]
    fn bodies_are_cut_after_canonicalization() {
        let raw = RawMessage::new(b"A: b\r\n\r\na  b \r\n\r\n");
        let kind = BodyKind { is_relaxed: true, is_sha1: false, length: None };
        let all = raw.body_hash(kind);
        assert_eq!(all.octets, 5);
        assert_eq!(all.digest, digest::digest(&digest::SHA256, b"a b\r\n").as_ref());
        let part = raw.body_hash(BodyKind { length: Some(3), ..kind });
        assert_eq!(part.digest, digest::digest(&digest::SHA256, b"a b").as_ref());
        // All at once, and beyond the body.
        let many = RawMessage::new(b"A: b\r\n\r\na  b \r\n\r\n");
        many.hash_body(
            [Some(3), None, Some(0), Some(9), Some(5)].into_iter().map(|length| BodyKind { length, ..kind }),
        );
        let hash = |length| many.body_hash(BodyKind { length, ..kind }).digest;
        assert_eq!((hash(None), hash(Some(3))), (all.digest.clone(), part.digest.clone()));
        assert_eq!((hash(Some(5)), hash(Some(9))), (all.digest.clone(), all.digest.clone()));
        assert_eq!(hash(Some(0)), digest::digest(&digest::SHA256, b"").as_ref());
        let none = raw.body_hash(BodyKind { length: Some(0), is_sha1: true, ..kind });
        assert_eq!(none.digest, digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, b"").as_ref());
        let empty = RawMessage::new(b"A: b\r\n").body_hash(BodyKind { is_relaxed: false, ..kind });
        assert_eq!(empty.digest, digest::digest(&digest::SHA256, b"\r\n").as_ref());
    }

    #[test]
    fn large_headers_are_told() {
        let many = b"X-A: b\r\n".repeat(limits::SIGNED_HEADER_FIELDS + 1);
        assert!(RawMessage::new(&many).is_header_cut);
        assert!(!RawMessage::new(&b"X-A: b\r\n".repeat(100)).is_header_cut);
        for odd in [b"".as_slice(), b"\r\n", b"\n", b"x", b":", b" \r\n", b"\r", b"a:\r\n "] {
            let _ = RawMessage::new(odd);
        }
    }
}
