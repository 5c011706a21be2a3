//! The token of a probe: 20 bytes that say what was sent, and prove that we said so.
//!
//! One [`Token`] is the clear half: key id, kind, route, second and counter. Its text is made by a
//! [`KeyRing`] for one [`Place`] of a message, and the place is part of what is authenticated, so
//! that a text copied from a visible subject is no use in a forged bounce:
//!
//! ```text
//! 10 bytes clear: version 3 bit, key id 5, kind 4, route 16, seconds since 2020 32, counter 20
//! 10 bytes MAC  : first 80 bit of HMAC-SHA256(key, "mailsonde/1", place, the 10 bytes)
//! text          : `mf` (`mfb` in the envelope sender) and 32 characters a-z2-7
//! ```
//!
//! The form that a token has in the recipient is its name everywhere: in the store, in tables, on
//! the command line. Reading takes any case, finds tokens anywhere in a text in linear time, and
//! tells three faults apart: a **foreign** token names a key that we never had, a **forged** one
//! names ours and does not verify, a valid one may still be **expired** or from the **future**.
//!
//! Standards: RFC 2104 §2 and §5 (HMAC, cut to 80 bits), RFC 4648 §6 (base32).

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use ring::hmac;

use crate::clock::Timestamp;
use crate::limits;

/// Version of the layout, the first three bits.
const VERSION: u8 = 1;
/// What is authenticated before the place: no other use of the key makes such a MAC.
const CONTEXT: &[u8] = b"mailsonde/1";
/// 2020-01-01T00:00:00Z in seconds since 1970: the zero of a token's clock.
const EPOCH_SECONDS: i64 = 1_577_836_800;
/// Characters after the mark.
const TEXT_CHARS: usize = 32;
/// Bytes of a whole token.
const TOKEN_BYTES: usize = 20;
/// Bytes of its clear half, and of its MAC.
const HALF_BYTES: usize = 10;
/// Largest counter, 20 bits.
pub const COUNTER_MAX: u32 = (1 << 20) - 1;
/// Bytes of one key.
pub const KEY_BYTES: usize = 32;

// ---- Kind and place ----

/// What a token was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A scheduled or hand-sent probe.
    Probe,
    /// The answer of a reflector.
    Reply,
    /// A message to a seed mailbox.
    Seed,
    /// A probe whose arrival is the alarm.
    Negative,
    /// One message of a load.
    Load,
    /// One message of a drill.
    Drill,
    /// A probe that must bounce.
    BounceTest,
    /// A value that this version does not name (0, 8 to 15).
    Reserved(u8),
}

impl Kind {
    /// The four bits in the token.
    const fn bits(self) -> u8 {
        match self {
            Self::Probe => 1,
            Self::Reply => 2,
            Self::Seed => 3,
            Self::Negative => 4,
            Self::Load => 5,
            Self::Drill => 6,
            Self::BounceTest => 7,
            Self::Reserved(bits) => bits & 0xf,
        }
    }

    /// Reads the four bits.
    const fn of_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Probe,
            2 => Self::Reply,
            3 => Self::Seed,
            4 => Self::Negative,
            5 => Self::Load,
            6 => Self::Drill,
            7 => Self::BounceTest,
            other => Self::Reserved(other),
        }
    }

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Reply => "reply",
            Self::Seed => "seed",
            Self::Negative => "negative",
            Self::Load => "load",
            Self::Drill => "drill",
            Self::BounceTest => "bounce-test",
            Self::Reserved(_) => "reserved",
        }
    }
}

/// The place of a message for which a token's text is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Local part of the recipient: `probe+mf<32>@`.
    Recipient,
    /// Envelope sender: `mfb<32>@`.
    EnvelopeSender,
    /// Message-ID: `<mf<32>@…>`.
    MessageId,
    /// Our own field `X-Mailsonde-Probe`.
    Header,
    /// Tail of the subject: `[mf<32>]`.
    Subject,
    /// Marker line of the body and names of MIME parts.
    Body,
    /// ENVID of RFC 3461 §4.4.
    EnvelopeId,
}

impl Place {
    /// All places.
    pub const ALL: [Self; 7] = [
        Self::Recipient,
        Self::EnvelopeSender,
        Self::MessageId,
        Self::Header,
        Self::Subject,
        Self::Body,
        Self::EnvelopeId,
    ];

    /// The byte that is authenticated.
    const fn byte(self) -> u8 {
        match self {
            Self::Recipient => b'r',
            Self::EnvelopeSender => b'b',
            Self::MessageId => b'm',
            Self::Header => b'h',
            Self::Subject => b's',
            Self::Body => b't',
            Self::EnvelopeId => b'e',
        }
    }

    /// The mark before the 32 characters.
    const fn mark(self) -> &'static str {
        match self {
            Self::EnvelopeSender => "mfb",
            _ => "mf",
        }
    }

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::EnvelopeSender => "envelope_sender",
            Self::MessageId => "message_id",
            Self::Header => "header",
            Self::Subject => "subject",
            Self::Body => "body",
            Self::EnvelopeId => "envelope_id",
        }
    }
}

// ---- Token ----

/// The clear half of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// Which key authenticates it, 0 to 31.
    pub key_id: u8,
    /// What it was made for.
    pub kind: Kind,
    /// The route's number in the configuration.
    pub route: u16,
    /// Seconds since 2020-01-01T00:00:00Z at which it was made.
    pub seconds: u32,
    /// Tells tokens of one second and route apart, 0 to [`COUNTER_MAX`].
    pub counter: u32,
}

impl Token {
    /// The ten clear bytes, most significant bit first.
    pub fn clear_bytes(&self) -> [u8; HALF_BYTES] {
        let bits = (u128::from(VERSION) << 77)
            | (u128::from(self.key_id & 0x1f) << 72)
            | (u128::from(self.kind.bits()) << 68)
            | (u128::from(self.route) << 52)
            | (u128::from(self.seconds) << 20)
            | u128::from(self.counter & COUNTER_MAX);
        let mut clear = [0; HALF_BYTES];
        clear.copy_from_slice(&bits.to_be_bytes()[16 - HALF_BYTES..]);
        clear
    }

    /// Reads the ten clear bytes; `None` for another version.
    fn of_clear_bytes(clear: &[u8; HALF_BYTES]) -> Option<Self> {
        let mut wide = [0; 16];
        wide[16 - HALF_BYTES..].copy_from_slice(clear);
        let bits = u128::from_be_bytes(wide);
        if bits >> 77 != u128::from(VERSION) {
            return None;
        }
        let [_, byte, ..] = *clear;
        Some(Self {
            key_id: clear[0] & 0x1f,
            kind: Kind::of_bits(byte >> 4),
            route: u16::try_from((bits >> 52) & 0xffff).ok()?,
            seconds: u32::try_from((bits >> 20) & 0xffff_ffff).ok()?,
            counter: u32::try_from(bits & u128::from(COUNTER_MAX)).ok()?,
        })
    }

    /// When it was made, to the second.
    pub fn made_at(&self) -> Timestamp {
        Timestamp::from_seconds(EPOCH_SECONDS + i64::from(self.seconds))
    }

    /// Compares the time at which it was made with the time at which it was seen.
    ///
    /// `keep` is how long a token is believed; clocks of one installation may differ by
    /// [`limits::TOKEN_CLOCK_SLACK`].
    pub fn age(&self, seen_at: Timestamp, keep: std::time::Duration) -> Age {
        let made_at = self.made_at();
        if made_at > seen_at.after(limits::TOKEN_CLOCK_SLACK) {
            Age::Future
        } else if made_at.after(keep) < seen_at {
            Age::Expired
        } else {
            Age::Current
        }
    }
}

/// Whether a token's time fits the time at which it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It fits.
    Current,
    /// It was made longer ago than tokens are believed.
    Expired,
    /// It was made after it was seen.
    Future,
}

/// The texts of one token, one for each place, each with its mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTexts {
    /// The token's name and its form in the recipient's local part.
    pub recipient: String,
    /// `mfb…` of the envelope sender.
    pub envelope_sender: String,
    /// Local part of the Message-ID.
    pub message_id: String,
    /// In `X-Mailsonde-Probe`.
    pub header: String,
    /// In the subject, without its brackets.
    pub subject: String,
    /// In the body.
    pub body: String,
    /// As ENVID.
    pub envelope_id: String,
}

impl TokenTexts {
    /// The token's name: what the store, tables and the command line show.
    pub fn name(&self) -> &str {
        &self.recipient
    }
}

// ---- Keys ----

/// One key.
#[derive(Clone)]
struct Key {
    /// 0 to 31.
    id: u8,
    /// The HMAC key; `ring` never prints it.
    key: hmac::Key,
}

/// The keys that sign and verify. The first one signs, all verify.
#[derive(Clone)]
pub struct KeyRing {
    /// The key that signs.
    signer: Key,
    /// Older keys, which only verify.
    older: Vec<Key>,
}

/// Why a key file is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Operator: the file holds something else.
    #[error("a key file holds 32 bytes for each key, newest first: found {0} bytes")]
    Length(usize),
    /// Operator: key ids have five bits.
    #[error("a key id is 0 to 31: found {0}")]
    Id(u8),
}

impl fmt::Debug for KeyRing {
    /// Shows the ids, never a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u8> = self.keys().map(|key| key.id).collect();
        f.debug_struct("KeyRing").field("key_ids", &ids).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Reads a key file: 32 bytes a key; the first one signs, the others only verify.
    ///
    /// The ids are derived from the keys, so that the tokens of two installations seldom share one
    /// and a foreign token is not called forged.
    ///
    /// Errors: [`KeyError::Length`] if the length is not a multiple of 32, or 0, or over 32 keys.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let length = || KeyError::Length(bytes.len());
        let (keys, []) = bytes.as_chunks::<KEY_BYTES>() else {
            return Err(length());
        };
        if keys.len() > limits::TOKEN_KEYS {
            return Err(length());
        }
        let mut keys = keys.iter().map(|bytes| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
            let [id, ..] = first_half(hmac::sign(&key, b"mailsonde/key-id").as_ref());
            Key { id: id & 0x1f, key }
        });
        let signer = keys.next().ok_or_else(length)?;
        Ok(Self { signer, older: keys.collect() })
    }

    /// A ring with one key under a chosen id.
    ///
    /// Errors: [`KeyError::Id`].
    pub fn with_id(id: u8, key: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        Ok(Self { signer: Key::new(id, key)?, older: Vec::new() })
    }

    /// Adds a key that only verifies, under a chosen id.
    ///
    /// Errors: [`KeyError::Id`], and [`KeyError::Length`] for more than [`limits::TOKEN_KEYS`] keys.
    pub fn verify_only(mut self, id: u8, key: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        if self.older.len() + 1 >= limits::TOKEN_KEYS {
            return Err(KeyError::Length((self.older.len() + 2) * KEY_BYTES));
        }
        self.older.push(Key::new(id, key)?);
        Ok(self)
    }

    /// All keys, the signing one first.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signer).chain(&self.older)
    }

    /// Makes a token. `counter` wraps at [`COUNTER_MAX`]; a clock before 2020 counts as 2020.
    pub fn mint(&self, kind: Kind, route: u16, at: Timestamp, counter: u32) -> Token {
        let since = at.seconds().saturating_sub(EPOCH_SECONDS).max(0);
        Token {
            key_id: self.signer.id,
            kind,
            route,
            seconds: u32::try_from(since).unwrap_or(u32::MAX),
            counter: counter & COUNTER_MAX,
        }
    }

    /// The texts of a token; `None` if its key is not in the ring.
    pub fn texts(&self, token: &Token) -> Option<TokenTexts> {
        let key = self.keys().find(|key| key.id == token.key_id)?;
        let clear = token.clear_bytes();
        let text = |place: Place| {
            let mut bytes = [0; TOKEN_BYTES];
            let (head, tail) = bytes.split_at_mut(HALF_BYTES);
            head.copy_from_slice(&clear);
            tail.copy_from_slice(&mac(&key.key, place, &clear));
            let mut text = BASE32_NOPAD.encode(&bytes);
            text.make_ascii_lowercase();
            format!("{}{text}", place.mark())
        };
        Some(TokenTexts {
            recipient: text(Place::Recipient),
            envelope_sender: text(Place::EnvelopeSender),
            message_id: text(Place::MessageId),
            header: text(Place::Header),
            subject: text(Place::Subject),
            body: text(Place::Body),
            envelope_id: text(Place::EnvelopeId),
        })
    }

    /// Says what a candidate is.
    ///
    /// The MACs are compared in constant time, and every place is tried.
    pub fn read(&self, candidate: &Candidate) -> Reading {
        let Some(token) = Token::of_clear_bytes(&candidate.clear) else {
            let [first, ..] = candidate.clear;
            return Reading::Foreign { key_id: first & 0x1f };
        };
        let mut is_ours = false;
        for key in self.keys().filter(|key| key.id == token.key_id) {
            is_ours = true;
            for place in Place::ALL {
                let want = mac(&key.key, place, &candidate.clear);
                if place.mark() == candidate.mark && is_equal(&want, &candidate.mac) {
                    return Reading::Valid { token, made_for: place };
                }
            }
        }
        if is_ours { Reading::Forged { token } } else { Reading::Foreign { key_id: token.key_id } }
    }

    /// Reads a text that is one token, with its mark, in any case; `None` for anything else.
    pub fn read_text(&self, text: &str) -> Option<Reading> {
        let (at, candidate) = Candidates::new(text.as_bytes()).next()?;
        (at == 0 && candidate.len() == text.len()).then(|| self.read(&candidate))
    }

    /// Finds the tokens in a text. Valid ones are found wherever they stand; others only where they
    /// stand as a word of their own, since any long text holds `mf` by chance.
    ///
    /// Shape: at most [`limits::TOKENS_OF_TEXT`] readings, in the order of the text, of its first
    /// [`limits::TOKEN_SEARCH_BYTES`]; the time is linear in the text.
    pub fn find_all(&self, text: &[u8]) -> Vec<Found> {
        let text = text.get(..limits::TOKEN_SEARCH_BYTES).unwrap_or(text);
        let mut found = Vec::new();
        let mut tried = 0;
        for (offset, candidate) in Candidates::new(text) {
            // Cheap first: without our key id there is nothing to compute.
            let may_be_ours =
                Token::of_clear_bytes(&candidate.clear).is_some_and(|token| self.may_be_ours(&token));
            let is_word = is_word(text, offset, candidate.len());
            let is_notable = may_be_ours || (is_word && candidate.is_version());
            if !is_notable {
                continue;
            }
            tried += 1;
            let reading = self.read(&candidate);
            if matches!(reading, Reading::Valid { .. }) || is_word {
                found.push(Found { offset, length: candidate.len(), reading });
            }
            if found.len() >= limits::TOKENS_OF_TEXT || tried >= limits::TOKEN_CANDIDATES {
                break;
            }
        }
        found
    }

    /// Reads every word of a short text that has the shape of a token, of any version: where tokens
    /// are expected, as in a recipient, another version is foreign and not noise.
    pub fn words(&self, text: &[u8]) -> impl Iterator<Item = Reading> {
        Candidates::new(text)
            .filter(|(offset, candidate)| is_word(text, *offset, candidate.len()))
            .take(limits::TOKENS_OF_TEXT)
            .map(|(_, candidate)| self.read(&candidate))
    }

    /// True if one of our keys may have signed it.
    fn may_be_ours(&self, token: &Token) -> bool {
        !matches!(token.kind, Kind::Reserved(_)) && self.keys().any(|key| key.id == token.key_id)
    }
}

impl Key {
    /// A key under a chosen id.
    fn new(id: u8, key: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        if id > 31 {
            return Err(KeyError::Id(id));
        }
        Ok(Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, key) })
    }
}

/// The MAC of a token for one place: the first 80 bits (RFC 2104 §5 allows cutting to half).
fn mac(key: &hmac::Key, place: Place, clear: &[u8; HALF_BYTES]) -> [u8; HALF_BYTES] {
    let mut context = hmac::Context::with_key(key);
    context.update(CONTEXT);
    context.update(&[place.byte()]);
    context.update(clear);
    first_half(context.sign().as_ref())
}

/// The first ten bytes of a digest.
fn first_half(digest: &[u8]) -> [u8; HALF_BYTES] {
    let mut half = [0; HALF_BYTES];
    for (to, from) in half.iter_mut().zip(digest) {
        *to = *from;
    }
    half
}

/// Compares two MACs without a data-dependent branch. (`ring` compares whole tags only, ours is cut.)
fn is_equal(left: &[u8; HALF_BYTES], right: &[u8; HALF_BYTES]) -> bool {
    let difference = left.iter().zip(right).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    difference == 0
}

// ---- Finding ----

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
    mark: &'static str,
    /// The clear half.
    clear: [u8; HALF_BYTES],
    /// The MAC.
    mac: [u8; HALF_BYTES],
}

impl Candidate {
    /// Bytes with the mark.
    fn len(&self) -> usize {
        self.mark.len() + TEXT_CHARS
    }

    /// True if the version is ours.
    fn is_version(&self) -> bool {
        self.clear[0] >> 5 == VERSION
    }

    /// Reads the 32 characters at the start of `text`.
    fn decode(mark: &'static str, text: &[u8]) -> Option<Self> {
        let text = text.get(..TEXT_CHARS)?;
        let mut bytes = [0; TOKEN_BYTES];
        BASE32_NOPAD_NOCASE.decode_mut(text, &mut bytes).ok()?;
        let (clear, mac) = bytes.split_at(HALF_BYTES);
        Some(Self { mark, clear: first_half(clear), mac: first_half(mac) })
    }
}

/// Walks over everything in a text that has the shape of a token.
struct Candidates<'t> {
    /// The text.
    text: &'t [u8],
    /// Where to go on.
    at: usize,
    /// A second reading of the same place.
    other: Option<(usize, Candidate)>,
}

impl<'t> Candidates<'t> {
    /// Starts at the beginning.
    fn new(text: &'t [u8]) -> Self {
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
fn is_word(text: &[u8], offset: usize, length: usize) -> bool {
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

#[cfg(test)]
mod tests;
