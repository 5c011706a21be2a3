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

mod find;
mod keys;

use crate::clock::Timestamp;
use crate::limits;

pub use find::{Candidate, Found, Reading, damage};
pub use keys::{KeyError, KeyRing};

/// Version of the layout, the first three bits.
const VERSION: u8 = 1;
/// 2020-01-01T00:00:00Z in seconds since 1970: the zero of a token's clock.
const EPOCH_SECONDS: i64 = 1_577_836_800;
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
    /// All of them.
    pub fn all(&self) -> [&String; 7] {
        let Self { recipient, envelope_sender, message_id, header, subject, body, envelope_id } = self;
        [recipient, envelope_sender, message_id, header, subject, body, envelope_id]
    }

    /// The token's name: what the store, tables and the command line show.
    pub fn name(&self) -> &str {
        &self.recipient
    }
}

#[cfg(test)]
mod tests;
