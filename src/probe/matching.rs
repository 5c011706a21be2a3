//! From a received message to the probes whose tokens it carries.
//!
//! A token alone does not make an arrival: a bounce, a reply and a forwarded complaint carry it
//! too. What stands where decides ([`Standing`]):
//!
//! * an **arrival** has the token in a place that only the probe itself has: the Message-ID, our
//!   own field, the envelope's recipient, or both the `To` field and the subject's tail. A
//!   forwarder may change the envelope, the case and the subject; one of these is left;
//! * a token is **quoted** in a delivery report (RFC 3464 §2), in an automatic answer (RFC 3834 §5),
//!   in an answer by hand, or somewhere in a text;
//! * it is a **replay** where it stands in a place for which it was not made, in a message for
//!   another probe's recipient, or outside its time.
//!
//! Forged and foreign tokens ([`Reading`]) are told, and never match a probe.

mod mail;

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Address, ReversePath};
use crate::probe::compose::HEADER_NAME;
use crate::probe::token::{Age, KeyRing, Place, Reading, Token};

pub use mail::match_mail;

// ---- Recipient at RCPT ----

/// What a recipient's local part says, before any data was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalPart {
    /// A token of ours, made for an address.
    Valid {
        /// The token.
        token: Token,
        /// [`Place::Recipient`] of a probe, or [`Place::EnvelopeSender`] of what comes back.
        made_for: Place,
    },
    /// A token with our key id that does not verify, or one of ours made for another place.
    Forged,
    /// A token of another installation.
    Foreign,
    /// No token.
    NoToken,
}

/// Judges a local part: `probe+mf<32>`, `mf<32>`, `mfb<32>`, or any other with a token as a word.
///
/// The case does not matter. Forged and foreign ones may be accepted, at most
/// [`limits::FORGED_TOKENS_PER_CLIENT_HOUR`] an hour a client.
pub fn judge_local_part(ring: &KeyRing, local: &str) -> LocalPart {
    let local = local.get(..limits::HEADER_TEXT_BYTES).unwrap_or(local);
    let mut judged = LocalPart::NoToken;
    for reading in ring.words(local.as_bytes()) {
        judged = match reading {
            Reading::Valid { token, made_for: made_for @ (Place::Recipient | Place::EnvelopeSender) } => {
                return LocalPart::Valid { token, made_for };
            }
            Reading::Valid { .. } | Reading::Forged { .. } => LocalPart::Forged,
            Reading::Foreign { .. } if judged == LocalPart::NoToken => LocalPart::Foreign,
            Reading::Foreign { .. } => judged,
        };
    }
    judged
}

// ---- Message ----

/// What matching looks at in a received message.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'m> {
    /// When it came; `None` where nobody knows (an imported file): then no token is out of time.
    pub received_at: Option<Timestamp>,
    /// The reverse-path, where a transport was seen.
    pub mail_from: Option<&'m ReversePath>,
    /// The recipients of the envelope.
    pub recipients: &'m [Address],
    /// The message's own header fields (not those of messages within), name and unfolded, decoded
    /// value.
    pub fields: &'m [(&'m str, &'m str)],
    /// The decoded texts of its parts, one after the other.
    pub text: &'m [u8],
}

/// Where in a received message a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FoundIn {
    /// A recipient of the envelope.
    EnvelopeRecipient,
    /// The Message-ID field.
    MessageId,
    /// Our own field.
    OwnField,
    /// The subject.
    Subject,
    /// `To` and other fields that name recipients.
    AddressField,
    /// `In-Reply-To` and `References`.
    ReplyField,
    /// Another field.
    OtherField,
    /// The text.
    Text,
}

impl FoundIn {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EnvelopeRecipient => "envelope_recipient",
            Self::MessageId => "message_id",
            Self::OwnField => "own_field",
            Self::Subject => "subject",
            Self::AddressField => "address_field",
            Self::ReplyField => "reply_field",
            Self::OtherField => "other_field",
            Self::Text => "text",
        }
    }

    /// The kind of a header field.
    fn of_field(name: &str) -> Self {
        const ADDRESSES: [&str; 9] = [
            "To",
            "Cc",
            "Delivered-To",
            "X-Original-To",
            "Envelope-To",
            "X-Envelope-To",
            "X-Forwarded-To",
            "X-Forwarded-For",
            "Resent-To",
        ];
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("Message-ID") {
            Self::MessageId
        } else if is(HEADER_NAME) {
            Self::OwnField
        } else if is("Subject") {
            Self::Subject
        } else if is("In-Reply-To") || is("References") {
            Self::ReplyField
        } else if ADDRESSES.into_iter().any(is) {
            Self::AddressField
        } else {
            Self::OtherField
        }
    }

    /// The place for which a token found here must have been made; `None` where any may be quoted.
    const fn wants(self) -> Option<Place> {
        match self {
            Self::EnvelopeRecipient | Self::AddressField => Some(Place::Recipient),
            Self::MessageId => Some(Place::MessageId),
            Self::OwnField => Some(Place::Header),
            Self::Subject => Some(Place::Subject),
            Self::ReplyField | Self::OtherField | Self::Text => None,
        }
    }
}

/// One token in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands.
    pub found_in: FoundIn,
    /// What it is.
    pub reading: Reading,
}

/// What a message is to the probe whose token it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The probe itself.
    Arrival,
    /// A message that cannot be the probe, made with its token.
    Replay(ReplayReason),
    /// A message about the probe: a bounce, an answer, a quotation.
    Quoted,
}

/// Why a message is a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayReason {
    /// The token was made for another place of the message than where it stands.
    OtherPlace,
    /// The message is for another probe's recipient, or has another probe's fields.
    OtherProbe,
    /// The token is older than [`limits::TOKEN_KEEP`].
    Expired,
    /// The token was made after the message came.
    Future,
}

impl ReplayReason {
    /// The words for a user.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherPlace => "the token was made for another place of the message",
            Self::OtherProbe => "the envelope and the header carry different probes",
            Self::Expired => "the token has expired",
            Self::Future => "the token is from the future",
        }
    }
}

/// One probe that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeMatch {
    /// Its token.
    pub token: Token,
    /// What the message is to it.
    pub standing: Standing,
    /// Where its token stands, each place once, in rising order.
    pub found_in: Vec<FoundIn>,
}

/// All tokens of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matches {
    /// The probes with a valid token, in the order in which they were found.
    pub probes: Vec<ProbeMatch>,
    /// Tokens that name our key and do not verify.
    pub forged: Vec<Finding>,
    /// Tokens of other installations.
    pub foreign: Vec<Finding>,
    /// Of those that do not verify, how many are tokens of ours that were damaged on their way, as far as was looked.
    pub damaged: usize,
}

impl Matches {
    /// The probe that arrived with this message, if it is an arrival.
    pub fn arrival(&self) -> Option<&ProbeMatch> {
        self.probes.iter().find(|probe| probe.standing == Standing::Arrival)
    }

    /// True if nothing like a token was found.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty() && self.forged.is_empty() && self.foreign.is_empty()
    }
}

/// Finds the tokens of a message and says what it is to each probe.
///
/// Shape: at most [`limits::TOKENS_OF_MESSAGE`] findings; the time is linear in the message.
pub fn match_message(ring: &KeyRing, seen: &Seen<'_>) -> Matches {
    let (findings, damaged) = find(ring, seen);
    let mut tokens: Vec<Token> = Vec::new();
    let mut matches = Matches { damaged, ..Matches::default() };
    for finding in &findings {
        match finding.reading {
            Reading::Valid { token, .. } if !tokens.contains(&token) => tokens.push(token),
            Reading::Valid { .. } => {}
            Reading::Forged { .. } => matches.forged.push(*finding),
            Reading::Foreign { .. } => matches.foreign.push(*finding),
        }
    }
    matches.probes = tokens
        .into_iter()
        .map(|token| {
            let mut found_in: Vec<_> = findings
                .iter()
                .filter(|finding| matches!(finding.reading, Reading::Valid { token: other, .. } if other == token))
                .map(|finding| finding.found_in)
                .collect();
            found_in.sort_unstable();
            found_in.dedup();
            ProbeMatch { token, standing: standing(&token, &findings, seen), found_in }
        })
        .collect();
    matches
}

/// All findings, the envelope first, and how many were damaged.
fn find(ring: &KeyRing, seen: &Seen<'_>) -> (Vec<Finding>, usize) {
    let mut findings = Vec::new();
    let (mut looked, mut damaged) = (0, 0);
    let mut look = |text: &[u8], found_in| {
        if findings.len() < limits::TOKENS_OF_MESSAGE {
            for found in ring.find_all(text) {
                if !matches!(found.reading, Reading::Valid { .. }) && looked < limits::TOKENS_DAMAGED {
                    looked += 1;
                    let written = text.get(found.offset..found.offset + found.length);
                    let is_damaged =
                        |text: &[u8]| std::str::from_utf8(text).is_ok_and(|text| ring.is_damaged(text));
                    damaged += usize::from(written.is_some_and(is_damaged));
                }
                findings.push(Finding { found_in, reading: found.reading });
            }
        }
    };
    for recipient in seen.recipients {
        look(recipient.local.as_bytes(), FoundIn::EnvelopeRecipient);
    }
    for (name, value) in seen.fields {
        look(value.as_bytes(), FoundIn::of_field(name));
    }
    look(seen.text, FoundIn::Text);
    findings.truncate(limits::TOKENS_OF_MESSAGE);
    (findings, damaged)
}

/// What a message is to the probe of one valid token.
fn standing(token: &Token, findings: &[Finding], seen: &Seen<'_>) -> Standing {
    let evidence = Evidence::of(token, findings);
    let is_own = evidence.has(FoundIn::MessageId) || evidence.has(FoundIn::OwnField);
    let is_addressed = evidence.has(FoundIn::EnvelopeRecipient)
        || (evidence.has(FoundIn::AddressField) && evidence.has(FoundIn::Subject));
    // RFC 3464 §2: a report about a message is a multipart/report; no probe of ours is one.
    if is_report(seen.fields) {
        return Standing::Quoted;
    }
    // RFC 5321 §4.5.5: a null reverse-path marks a report. A forwarder may null the path of the
    // probe itself, but then the probe's own fields are there.
    let is_null = matches!(seen.mail_from, Some(ReversePath::Null));
    if !is_own && (is_null || is_answer(seen.fields) || evidence.is_replied_to) {
        return Standing::Quoted;
    }
    if !is_own && !is_addressed {
        return if evidence.is_misplaced {
            Standing::Replay(ReplayReason::OtherPlace)
        } else {
            Standing::Quoted
        };
    }
    let is_other = if is_own {
        // The header is this probe's: the envelope must not be another one's.
        evidence.is_envelope_of_other && !evidence.has(FoundIn::EnvelopeRecipient)
    } else {
        evidence.is_header_of_other
    };
    if is_other {
        return Standing::Replay(ReplayReason::OtherProbe);
    }
    match seen.received_at.map(|at| token.age(at, limits::TOKEN_KEEP)) {
        Some(Age::Expired) => Standing::Replay(ReplayReason::Expired),
        Some(Age::Future) => Standing::Replay(ReplayReason::Future),
        Some(Age::Current) | None => Standing::Arrival,
    }
}

/// What the findings say for and against one token.
#[derive(Debug, Default)]
struct Evidence {
    /// Places where it stands in the form made for them.
    right: Vec<FoundIn>,
    /// True if it stands in one of our places in a form made for another.
    is_misplaced: bool,
    /// True if the message answers the probe.
    is_replied_to: bool,
    /// True if the envelope has another probe's recipient.
    is_envelope_of_other: bool,
    /// True if our fields are another probe's.
    is_header_of_other: bool,
}

impl Evidence {
    /// Sorts the findings.
    fn of(token: &Token, findings: &[Finding]) -> Self {
        let mut evidence = Self::default();
        for Finding { found_in, reading } in findings {
            let Reading::Valid { token: found, made_for } = reading else { continue };
            let is_right = found_in.wants() == Some(*made_for);
            if found != token {
                evidence.is_envelope_of_other |= is_right && *found_in == FoundIn::EnvelopeRecipient;
                evidence.is_header_of_other |=
                    is_right && matches!(found_in, FoundIn::MessageId | FoundIn::OwnField);
            } else if is_right {
                evidence.right.push(*found_in);
            } else if *found_in == FoundIn::ReplyField {
                evidence.is_replied_to = true;
            } else if *found_in == FoundIn::EnvelopeRecipient && *made_for == Place::EnvelopeSender {
                // What comes back to the envelope sender is about the probe, and not a replay.
                evidence.is_replied_to = true;
            } else if matches!(found_in, FoundIn::EnvelopeRecipient | FoundIn::MessageId | FoundIn::OwnField)
            {
                evidence.is_misplaced = true;
            }
        }
        evidence
    }

    /// True if the token stands there in the form made for that place.
    fn has(&self, place: FoundIn) -> bool {
        self.right.contains(&place)
    }
}

/// The first value of a field.
fn field<'m>(fields: &[(&'m str, &'m str)], name: &str) -> Option<&'m str> {
    fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// True for a delivery report or another multipart/report (RFC 6522 §3).
fn is_report(fields: &[(&str, &str)]) -> bool {
    let content_type = field(fields, "Content-Type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("multipart/report")
}

/// True for an automatic answer (RFC 3834 §5). Our own probes are `auto-generated`.
fn is_answer(fields: &[(&str, &str)]) -> bool {
    let keyword = field(fields, "Auto-Submitted").unwrap_or_default();
    let keyword = keyword.split([';', ' ', '(']).next().unwrap_or_default();
    keyword.eq_ignore_ascii_case("auto-replied") || keyword.eq_ignore_ascii_case("auto-notified")
}

#[cfg(test)]
mod tests;
