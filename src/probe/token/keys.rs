//! The keys of tokens: making texts, verifying them, finding them.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use ring::hmac;

use super::find::{Candidate, Candidates, Found, Reading, damage, is_word};
use super::{COUNTER_MAX, EPOCH_SECONDS, HALF_BYTES, KEY_BYTES, Kind, Place, TOKEN_BYTES, Token, TokenTexts};
use crate::clock::Timestamp;
use crate::limits;

/// What is authenticated before a text that gets a pseudonym: another use of the same key.
const PSEUDONYM: &[u8] = b"mailsonde/pseudonym/1\0";

/// Bytes of the id of an installation: 24 characters without padding.
const INSTALLATION_BYTES: usize = 15;

/// What is authenticated before the place: no other use of the key makes such a MAC.
const CONTEXT: &[u8] = b"mailsonde/1";
/// Characters of base32 that hold the clear half.
const CLEAR_CHARS: usize = 16;

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

    /// A name in the place of a text: always the same for the same text, and without the key nobody can tell which.
    ///
    /// Shape: `~` and 16 characters of base32, 80 bits.
    pub fn pseudonym(&self, text: &str) -> String {
        pseudonym(&self.signer, text)
    }

    /// The pseudonyms of a text under every key, the signing one's first.
    pub fn pseudonyms(&self, text: &str) -> Vec<String> {
        self.keys().map(|key| pseudonym(key, text)).collect()
    }

    /// The id of the key that signs.
    pub fn key_id(&self) -> u8 {
        self.signer.id
    }

    /// The ids of all keys, the signing one first.
    pub fn key_ids(&self) -> impl Iterator<Item = u8> {
        self.keys().map(|key| key.id)
    }

    /// All keys, the signing one first.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signer).chain(&self.older)
    }

    /// A key for hiding persons in what is shown: derived from the oldest key, so that a person has the same
    /// hash after a new key was put first.
    pub fn redaction_key(&self) -> [u8; KEY_BYTES] {
        let oldest = self.older.last().unwrap_or(&self.signer);
        let mut out = [0; KEY_BYTES];
        for (to, from) in out.iter_mut().zip(hmac::sign(&oldest.key, b"mailsonde/redaction").as_ref()) {
            *to = *from;
        }
        out
    }

    /// The public id of this installation, by which a domain names it when it gives leave for negative probes.
    ///
    /// Shape: 24 characters a-z2-7, 120 bits of a MAC under the oldest key, so that it stays the same after a new key
    /// was put first; nothing about the key can be told from it.
    pub fn installation_id(&self) -> String {
        let oldest = self.older.last().unwrap_or(&self.signer);
        let mac = hmac::sign(&oldest.key, b"mailsonde/installation/1");
        let head: Vec<u8> = mac.as_ref().iter().copied().take(INSTALLATION_BYTES).collect();
        BASE32_NOPAD.encode(&head).to_ascii_lowercase()
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

    /// The name of the probe whose token a text holds, in whatever form and place: what a user pastes.
    pub fn name_in(&self, text: &str) -> Option<String> {
        self.find_all(text.as_bytes()).into_iter().find_map(|found| match found.reading {
            Reading::Valid { token, .. } => self.texts(&token).map(|texts| texts.recipient),
            Reading::Forged { .. } | Reading::Foreign { .. } => None,
        })
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

    /// True if a text that does not verify is a token of ours with a fault of its way in it: up to
    /// [`limits::TOKEN_DAMAGE_CHARS`] characters of the MAC are others, or one of what it says. What somebody made up is
    /// farther from every token (the MAC has 16 characters).
    ///
    /// It still matches no probe: this only says what to think of it. Time: some thousand MACs.
    pub fn is_damaged(&self, text: &str) -> bool {
        let Some((0, candidate)) = Candidates::new(text.as_bytes()).next() else { return false };
        if candidate.len() != text.len() {
            return false;
        }
        let texts = Token::of_clear_bytes(&candidate.clear).and_then(|token| self.texts(&token));
        let is_near =
            |known: &String| damage(text, known).is_some_and(|chars| chars <= limits::TOKEN_DAMAGE_CHARS);
        if texts.is_some_and(|texts| texts.all().into_iter().any(is_near)) {
            return true;
        }
        let head = candidate.mark.len();
        let mut bytes = text.as_bytes().to_vec();
        for at in head..head + CLEAR_CHARS {
            let Some(was) = bytes.get(at).copied() else { return false };
            for other in (b'a'..=b'z').chain(b'2'..=b'7') {
                if let Some(place) = bytes.get_mut(at) {
                    *place = other;
                }
                let changed = std::str::from_utf8(&bytes).ok().and_then(|text| self.read_text(text));
                if matches!(changed, Some(Reading::Valid { .. })) {
                    return true;
                }
            }
            if let Some(place) = bytes.get_mut(at) {
                *place = was;
            }
        }
        false
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

/// `~` and the first half of a MAC in base32.
fn pseudonym(key: &Key, text: &str) -> String {
    let mac = hmac::sign(&key.key, &[PSEUDONYM, text.as_bytes()].concat());
    format!("~{}", BASE32_NOPAD.encode(&first_half(mac.as_ref())).to_ascii_lowercase())
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
