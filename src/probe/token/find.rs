//! Texts with the shape of a token, and what they turn out to be.

use data_encoding::BASE32_NOPAD_NOCASE;

use super::{HALF_BYTES, Place, TOKEN_BYTES, Token, VERSION};

/// Characters after the mark.
const TEXT_CHARS: usize = 32;

/// What a text that looks like a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Ours.
    Valid {
        /// What it says.
        token: Token,
        /// The place for which the text was made.
        made_for: Place,
    },
    /// It names our key and does not verify: forged, or damaged on its way ([`damage`]).
    Forged {
        /// What it claims.
        token: Token,
    },
    /// It names a key, or a version, that is not ours: another installation's.
    Foreign {
        /// The key that it names.
        key_id: u8,
    },
}

/// A token found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where its mark begins.
    pub offset: usize,
    /// Bytes with the mark.
    pub length: usize,
    /// What it is.
    pub reading: Reading,
}

/// A mark with 32 characters of base32, decoded, not yet believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// `mf` or `mfb`.
    pub(super) mark: &'static str,
    /// The clear half.
    pub(super) clear: [u8; HALF_BYTES],
    /// The MAC.
    pub(super) mac: [u8; HALF_BYTES],
}

impl Candidate {
    /// Bytes with the mark.
    pub(super) fn len(&self) -> usize {
        self.mark.len() + TEXT_CHARS
    }

    /// True if the version is ours.
    pub(super) fn is_version(&self) -> bool {
        self.clear[0] >> 5 == VERSION
    }

    /// Reads the 32 characters at the start of `text`.
    fn decode(mark: &'static str, text: &[u8]) -> Option<Self> {
        let text = text.get(..TEXT_CHARS)?;
        let mut bytes = [0; TOKEN_BYTES];
        BASE32_NOPAD_NOCASE.decode_mut(text, &mut bytes).ok()?;
        let ([clear, mac], []) = bytes.as_chunks::<HALF_BYTES>() else { return None };
        Some(Self { mark, clear: *clear, mac: *mac })
    }
}

/// Walks over everything in a text that has the shape of a token.
pub(super) struct Candidates<'t> {
    /// The text.
    text: &'t [u8],
    /// Where to go on.
    at: usize,
    /// A second reading of the same place.
    other: Option<(usize, Candidate)>,
}

impl<'t> Candidates<'t> {
    /// Starts at the beginning.
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, other: None }
    }
}

impl Iterator for Candidates<'_> {
    type Item = (usize, Candidate);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(other) = self.other.take() {
            return Some(other);
        }
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self.at + memchr::memchr2(b'm', b'M', rest)?;
            self.at = start + 1;
            let after = self.text.get(start + 1..)?;
            let [b'f' | b'F', after @ ..] = after else { continue };
            let plain = Candidate::decode("mf", after);
            let bounce = match after {
                [b'b' | b'B', after @ ..] => Candidate::decode("mfb", after),
                _ => None,
            };
            // 33 characters after `mf` may be read both ways; the longer form is tried first.
            match (bounce, plain) {
                (Some(bounce), plain) => {
                    self.other = plain.map(|plain| (start, plain));
                    return Some((start, bounce));
                }
                (None, Some(plain)) => return Some((start, plain)),
                (None, None) => {}
            }
        }
    }
}

/// True if what stands at `offset` is not a part of a longer word.
pub(super) fn is_word(text: &[u8], offset: usize, length: usize) -> bool {
    let before = offset.checked_sub(1).and_then(|at| text.get(at));
    let after = text.get(offset + length);
    let is_part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    !is_part(before) && !is_part(after)
}

/// Characters in which a text differs from a known token's text of the same length; `None` if the
/// lengths differ. A forged text that is close to a known one was probably damaged on its way.
pub fn damage(text: &str, known: &str) -> Option<usize> {
    (text.len() == known.len())
        .then(|| text.bytes().zip(known.bytes()).filter(|(a, b)| !a.eq_ignore_ascii_case(b)).count())
}
