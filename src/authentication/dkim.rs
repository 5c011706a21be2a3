//! DKIM: every signature of a message with its verdict, and signing.
//!
//! All signatures are listed in the order of the message, also those that nobody can verify, each with the
//! reason in words. Judging is pure: the keys come from [`Answers`], the time is an argument, so that a message
//! kept for months is judged as on the day on which it came.
//!
//! Standard: RFC 6376, RFC 8301 (what no longer counts), RFC 8463 (Ed25519), RFC 8601 §2.7.1 (result words).

pub(in crate::authentication) mod crypto;
mod message;
mod sign;
pub(in crate::authentication) mod signature;
pub(in crate::authentication) mod tags;

pub use message::RawMessage;
pub(in crate::authentication) use message::without_signature;
pub use sign::{SignError, SigningKey, sign, sign_also};
pub use signature::Facts;
pub use tags::TagFault;

use signature::{Algorithm, Carrier, Signature};
use tags::TagList;

use super::key::{self, AtSelector, KeyFault, KeyKind, KeyRecord};
use crate::clock::Timestamp;
use crate::dns::{Answers, Ask, Name, NotKnown, Question, RecordType};
use crate::limits;

/// The signatures of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signatures {
    /// Verdicts from the top of the message, at most [`limits::SIGNATURES_LISTED`].
    pub verdicts: Vec<Verdict>,
    /// Signatures further down that are not listed.
    pub unlisted: usize,
}

impl Signatures {
    /// The one word for the message: pass if any passes, else the first verdict's, `none` without signatures.
    pub fn result(&self) -> DkimResult {
        let results = || self.verdicts.iter().map(Verdict::result);
        match results().find(|result| *result == DkimResult::Pass) {
            Some(pass) => pass,
            None => results().next().unwrap_or(DkimResult::None),
        }
    }

    /// For a message that came long ago: a key that is missing or revoked now may have been there then, so that
    /// nothing is known of its signatures.
    pub fn excuse_missing_keys(&mut self) {
        for verdict in &mut self.verdicts {
            if let Reason::KeyMissing(name) | Reason::KeyUnusable(name, KeyFault::Revoked) = &verdict.reason {
                verdict.reason = Reason::KeyGone(name.clone());
            }
        }
    }

    /// True if some verdict waits for DNS, and asking again later may change the whole.
    pub fn is_open(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.result() == DkimResult::TempError)
    }
}

/// The verdict on one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why; the result follows from it.
    pub reason: Reason,
    /// What the signature says of itself.
    pub facts: Facts,
    /// The key that was used, or the one at its selector that cannot be.
    pub key: Option<KeyFacts>,
    /// True if the body is what was signed; unknown where it was not computed.
    pub is_body_intact: Option<bool>,
    /// True if the signed fields are what was signed; unknown where they could not be verified.
    pub is_header_intact: Option<bool>,
    /// What weakens it without changing the result.
    pub notes: Vec<Note>,
}

/// What matters of a key to whoever reads a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// Where it is published.
    pub name: Name,
    /// Its type.
    pub kind: KeyKind,
    /// Bits of an RSA modulus; 256 for Ed25519.
    pub bits: Option<usize>,
    /// `t=y`: the signer is testing; the message counts as unsigned (RFC 6376 §3.6.1).
    pub is_testing: bool,
    /// All faults of the record.
    pub faults: Vec<KeyFault>,
}

/// A result word of RFC 8601 §2.7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DkimResult {
    /// Not signed.
    None,
    /// Signed, and right.
    Pass,
    /// Signed, and changed since, or never right.
    Fail,
    /// Right as far as it can be computed, and not acceptable.
    Policy,
    /// Signed, and not to be processed.
    Neutral,
    /// Later it may be known.
    TempError,
    /// It will never be known.
    PermError,
    /// It cannot be known here any more, and says nothing against the signer. No word of RFC 8601.
    NotKnown,
}

impl DkimResult {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
            Self::NotKnown => "not-known",
        }
    }
}

/// Why a verdict is what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// All is right.
    #[error("body and signed fields are as they were signed")]
    Verified,
    /// The body was changed.
    #[error("the body was changed after signing: its hash differs from bh=")]
    BodyHash,
    /// The signed fields were changed, or it was another key.
    #[error("the signature does not match: a signed header field was changed, or another key was used")]
    Mismatch,
    /// Right, and too old.
    #[error("the signature has expired: x= is {}", .0.rfc3339())]
    Expired(Timestamp),
    /// Right, and worthless.
    #[error("rsa-sha1 must not be accepted (RFC 8301)")]
    Sha1,
    /// Right by a computation on which others may differ.
    #[error("the message has lone CR or LF, or form feeds in its header: verifiers differ on what they sign")]
    OddBlanks,
    /// No key at the selector.
    #[error("no key is published at {0}")]
    KeyMissing(Name),
    /// No key at the selector any more, so long after the message came that it may have been there.
    #[error("no key is published at {0} any more; it may have been when the message came")]
    KeyGone(Name),
    /// Other texts at the selector.
    #[error("what is published at {0} is no key")]
    KeyOtherText(Name),
    /// The key could not be fetched.
    #[error("the key at {0} could not be fetched: {1}")]
    KeyNotKnown(Name, String),
    /// The key cannot be used.
    #[error("the key at {0} cannot be used: {1}")]
    KeyUnusable(Name, KeyFault),
    /// The key is of another type than the signature.
    #[error("the key is of the type {0}, the signature of another")]
    KeyKind(String),
    /// The key does not allow the hash.
    #[error("the key does not allow the hash of the signature: h={0}")]
    KeyHash(String),
    /// `t=s` and `i=` below `d=`.
    #[error("the key forbids subdomains (t=s), and i= has one")]
    StrictIdentity,
    /// Selector and domain make no name.
    #[error("s= and d= make no domain name")]
    BadKeyName,
    /// The tag list is broken.
    #[error("the signature's tags are broken: {0}")]
    Syntax(TagFault),
    /// A tag is missing.
    #[error("the required tag {0}= is missing")]
    MissingTag(&'static str),
    /// A tag has no valid value.
    #[error("the tag {0}= has no valid value")]
    BadTag(&'static str),
    /// Not version 1.
    #[error("the version \"{0}\" is not known")]
    Version(String),
    /// An algorithm that nobody knows.
    #[error("the algorithm \"{0}\" is not known")]
    UnknownAlgorithm(String),
    /// A canonicalization that nobody knows.
    #[error("the canonicalization \"{0}\" is not known")]
    UnknownCanonicalization(String),
    /// No way to fetch the key that we know.
    #[error("the query method \"{0}\" is not known")]
    UnknownQuery(String),
    /// From is not signed.
    #[error("the field From is not signed")]
    FromNotSigned,
    /// More names in `h=` than are looked at.
    #[error("{0} names in h= are more than are looked at")]
    TooManyNames(usize),
    /// `i=` outside `d=`.
    #[error("the domain of i= is neither that of d= nor below it")]
    IdentityDomain,
    /// `x=` not after `t=`.
    #[error("x= is not later than t=")]
    TimesReversed,
    /// `l=` beyond the body.
    #[error("l= is {signed}, and the body has {octets} octets: it was cut")]
    LengthBeyondBody {
        /// `l=`.
        signed: u64,
        /// Octets of the canonical body.
        octets: u64,
    },
    /// One of too many signatures.
    #[error("not looked at: only the first {} signatures of a message are", limits::SIGNATURES)]
    NotLookedAt,
    /// The header is too large.
    #[error("not looked at: the header is larger than is looked at")]
    HeaderTooLarge,
}

impl Reason {
    /// The result that follows (RFC 8601 §2.7.1).
    pub const fn result(&self) -> DkimResult {
        match self {
            Self::Verified => DkimResult::Pass,
            Self::BodyHash | Self::Mismatch => DkimResult::Fail,
            Self::Expired(_)
            | Self::Sha1
            | Self::NotLookedAt
            | Self::HeaderTooLarge
            | Self::KeyUnusable(_, KeyFault::TooShort(_) | KeyFault::TooLong(_)) => DkimResult::Policy,
            Self::KeyNotKnown(..) => DkimResult::TempError,
            Self::KeyGone(_) => DkimResult::NotKnown,
            Self::KeyMissing(_)
            | Self::KeyOtherText(_)
            | Self::KeyUnusable(..)
            | Self::KeyKind(_)
            | Self::KeyHash(_)
            | Self::StrictIdentity
            | Self::BadKeyName
            | Self::MissingTag(_)
            | Self::FromNotSigned
            | Self::IdentityDomain
            | Self::TimesReversed
            | Self::LengthBeyondBody { .. } => DkimResult::PermError,
            Self::OddBlanks
            | Self::Syntax(_)
            | Self::BadTag(_)
            | Self::Version(_)
            | Self::UnknownAlgorithm(_)
            | Self::UnknownCanonicalization(_)
            | Self::UnknownQuery(_)
            | Self::TooManyNames(_) => DkimResult::Neutral,
        }
    }

    /// The stable word for JSON.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::BodyHash => "body-hash",
            Self::Mismatch => "signature",
            Self::Expired(_) => "expired",
            Self::Sha1 => "sha1",
            Self::OddBlanks => "odd-blanks",
            Self::KeyMissing(_) => "key-missing",
            Self::KeyGone(_) => "key-gone",
            Self::KeyOtherText(_) => "key-other-text",
            Self::KeyNotKnown(..) => "key-not-known",
            Self::KeyUnusable(_, fault) => match fault {
                KeyFault::Revoked => "key-revoked",
                KeyFault::TooShort(_) => "key-too-short",
                KeyFault::Services(_) => "key-not-for-mail",
                _ => "key-unusable",
            },
            Self::KeyKind(_) => "key-type",
            Self::KeyHash(_) => "key-hash",
            Self::StrictIdentity => "strict-identity",
            Self::BadKeyName => "key-name",
            Self::Syntax(_) => "syntax",
            Self::MissingTag(_) => "tag-missing",
            Self::BadTag(_) => "tag-value",
            Self::Version(_) => "version",
            Self::UnknownAlgorithm(_) => "algorithm",
            Self::UnknownCanonicalization(_) => "canonicalization",
            Self::UnknownQuery(_) => "query-method",
            Self::FromNotSigned => "from-not-signed",
            Self::TooManyNames(_) => "names",
            Self::IdentityDomain => "identity-domain",
            Self::TimesReversed => "times",
            Self::LengthBeyondBody { .. } => "length",
            Self::NotLookedAt => "not-looked-at",
            Self::HeaderTooLarge => "header-too-large",
        }
    }
}

/// What weakens a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// `l=` leaves room for anything after it (RFC 6376 §8.2).
    #[error("l= leaves {0} octets of the body unsigned; anything can be added")]
    Unsigned(u64),
    /// `l=` covers the body as it is, and anything can be added.
    #[error("l= is used: anything can be added to the body")]
    LengthInUse,
    /// A second From would go unnoticed (RFC 6376 §8.15).
    #[error("From is not signed once more than it occurs: another From can be added")]
    NotOversigned,
    /// Usual fields that are there and not signed (RFC 6376 §5.4.1).
    #[error("not signed: {0}")]
    FieldsUnsigned(String),
    /// Made later than now.
    #[error("t= lies in the future: {}", .0.rfc3339())]
    FromFuture(Timestamp),
    /// Several keys at one selector (RFC 6376 §3.6.2.2: undefined).
    #[error("{0} keys are published at the selector: what verifiers do is undefined")]
    SeveralKeys(usize),
    /// `t=y`.
    #[error("the signer is testing (t=y): the message counts as unsigned")]
    Testing,
}

impl Note {
    /// The stable word for JSON.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "body-unsigned",
            Self::LengthInUse => "length-in-use",
            Self::NotOversigned => "from-not-oversigned",
            Self::FieldsUnsigned(_) => "fields-unsigned",
            Self::FromFuture(_) => "from-future",
            Self::SeveralKeys(_) => "several-keys",
            Self::Testing => "testing",
        }
    }
}

impl Verdict {
    /// The result.
    pub const fn result(&self) -> DkimResult {
        self.reason.result()
    }

    /// A verdict before anything was computed.
    fn new(reason: Reason, facts: Facts) -> Self {
        Self { reason, facts, key: None, is_body_intact: None, is_header_intact: None, notes: Vec::new() }
    }
}

/// What a message is, for keys that are not for all (`s=` of a key, RFC 6376 §3.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Any mail.
    Mail,
    /// A TLS report, which may be signed with a key for such reports alone (RFC 8460 §3).
    TlsReport,
}

impl Service {
    /// True if a key may sign such a message.
    fn allows(self, key: &KeyRecord) -> bool {
        key.is_for("email") || (self == Self::TlsReport && key.is_for("tlsrpt"))
    }
}

/// Judges every signature of a message as [`verify_as`] does, with keys for e-mail.
pub fn verify(message: &RawMessage<'_>, now: Timestamp, answers: &Answers) -> Result<Signatures, Ask> {
    verify_as(message, Service::Mail, now, answers)
}

/// Judges every signature of a message.
///
/// `now` is when the message came. Asks for all keys at once; whatever the answers, it ends with a verdict on
/// each signature. Of many signatures the first [`limits::SIGNATURES`] are looked at.
pub fn verify_as(
    message: &RawMessage<'_>,
    service: Service,
    now: Timestamp,
    answers: &Answers,
) -> Result<Signatures, Ask> {
    let places = message.places("dkim-signature");
    let mut read: Vec<(usize, Facts, Result<Signature, Reason>)> = Vec::new();
    for (index, place) in places.iter().enumerate().take(limits::SIGNATURES_LISTED) {
        let list = TagList::parse(cut(message.value(*place)));
        let (facts, signature) = signature::read(&list, Carrier::Dkim);
        let signature = match signature {
            _ if message.is_header_cut => Err(Reason::HeaderTooLarge),
            Ok(_) if index >= limits::SIGNATURES => Err(Reason::NotLookedAt),
            other => other,
        };
        read.push((*place, facts, signature));
    }
    let names = read.iter().filter_map(|(_, _, signature)| signature.as_ref().ok()).filter_map(key_name);
    answers.need(names.map(|name| Question::new(name, RecordType::Txt)))?;
    message.hash_body(read.iter().filter_map(|(_, _, signature)| Some(signature.as_ref().ok()?.body)));
    let mut verdicts = Vec::with_capacity(read.len());
    for (place, facts, signature) in read {
        verdicts.push(match signature {
            Err(reason) => Verdict::new(reason, facts),
            Ok(signature) => judge(message, place, &signature, facts, (service, now), answers)?,
        });
    }
    Ok(Signatures { verdicts, unlisted: places.len().saturating_sub(limits::SIGNATURES_LISTED) })
}

/// Where the key of a signature is.
fn key_name(signature: &Signature) -> Option<Name> {
    key::key_name(&signature.selector, &signature.domain)
}

/// Judges one signature.
fn judge(
    message: &RawMessage<'_>,
    place: usize,
    signature: &Signature,
    facts: Facts,
    (service, now): (Service, Timestamp),
    answers: &Answers,
) -> Result<Verdict, Ask> {
    let mut verdict = check(message, place, signature, facts, service, answers)?;
    if verdict.reason == Reason::Verified {
        verdict.reason = acceptable(message, signature, &verdict.facts, now);
    }
    add_notes(&mut verdict, message, now);
    Ok(verdict)
}

/// Computes one signature: DKIM's and ARC's own.
pub(in crate::authentication) fn check(
    message: &RawMessage<'_>,
    place: usize,
    signature: &Signature,
    facts: Facts,
    service: Service,
    answers: &Answers,
) -> Result<Verdict, Ask> {
    let mut verdict = Verdict::new(Reason::BadKeyName, facts);
    let hash = message.body_hash(signature.body);
    verdict.is_body_intact = Some(hash.digest == signature.body_hash);
    if let Some(length) = signature.body.length {
        if length > hash.octets {
            verdict.is_body_intact = Some(false);
            verdict.reason = Reason::LengthBeyondBody { signed: length, octets: hash.octets };
            return Ok(verdict);
        }
        verdict.notes.push(match hash.octets - length {
            0 => Note::LengthInUse,
            left => Note::Unsigned(left),
        });
    }
    let Some(name) = key_name(signature) else { return Ok(verdict) };
    let keys = match key::at(&name, answers)? {
        AtSelector::Keys(keys) => keys,
        other => {
            verdict.reason = no_key(other, name);
            return Ok(verdict);
        }
    };
    let bare = without_signature(message.value(place));
    let mut fields = message.signed_fields(&signature.signed);
    fields.push((message.name(place), &bare));
    let mut best: Option<(Reason, &KeyRecord, Option<bool>)> = None;
    for key in &keys {
        let (reason, is_header_intact) =
            try_key((key, &name), service, signature, &fields, verdict.is_body_intact);
        let is_better = best.as_ref().is_none_or(|(known, _, known_intact)| {
            *known != Reason::Verified
                && (reason == Reason::Verified
                    || (*known_intact != Some(true) && is_header_intact == Some(true)))
        });
        if is_better {
            best = Some((reason, key, is_header_intact));
        }
    }
    if let Some((reason, key, is_header_intact)) = best {
        verdict.reason = reason;
        verdict.is_header_intact = is_header_intact;
        verdict.key = Some(KeyFacts {
            name,
            kind: key.kind.clone(),
            bits: key.bits(),
            is_testing: key.is_testing(),
            faults: key.faults.clone(),
        });
    }
    if keys.len() > 1 {
        verdict.notes.push(Note::SeveralKeys(keys.len()));
    }
    Ok(verdict)
}

/// The reason where no key is.
fn no_key(found: AtSelector, name: Name) -> Reason {
    match found {
        AtSelector::OtherText => Reason::KeyOtherText(name),
        AtSelector::NotKnown(not_known) => Reason::KeyNotKnown(name, words(&not_known)),
        AtSelector::BadName => Reason::BadKeyName,
        AtSelector::None | AtSelector::Keys(_) => Reason::KeyMissing(name),
    }
}

/// Trouble with DNS in words.
pub(in crate::authentication) fn words(not_known: &NotKnown) -> String {
    match not_known.detail.as_str() {
        "" => not_known.cause.as_str().to_owned(),
        detail => format!("{} ({detail})", not_known.cause.as_str()),
    }
}

/// Tries one key.
fn try_key(
    (key, name): (&KeyRecord, &Name),
    service: Service,
    signature: &Signature,
    fields: &[(&[u8], &[u8])],
    is_body_intact: Option<bool>,
) -> (Reason, Option<bool>) {
    // h= of the key is judged by the hash of the signature, and s= by what the message is.
    let fatal = key.faults.iter().find(|fault| match fault {
        KeyFault::Hashes(_) => false,
        KeyFault::Services(_) => !service.allows(key),
        fault => fault.is_fatal(),
    });
    if let Some(fault) = fatal {
        return (Reason::KeyUnusable(name.clone(), fault.clone()), None);
    }
    let (kind, hash) = match signature.algorithm {
        Algorithm::RsaSha1 => (KeyKind::Rsa, "sha1"),
        Algorithm::RsaSha256 => (KeyKind::Rsa, "sha256"),
        Algorithm::Ed25519Sha256 => (KeyKind::Ed25519, "sha256"),
    };
    if key.kind != kind {
        return (Reason::KeyKind(key.kind.as_str().to_owned()), None);
    }
    if let Some(hashes) = &key.hashes
        && !hashes.iter().any(|allowed| allowed == hash)
    {
        return (Reason::KeyHash(hashes.join(":").chars().take(60).collect()), None);
    }
    if key.is_strict() && signature.identity_domain != signature.domain {
        return (Reason::StrictIdentity, None);
    }
    let is_signed = crypto::is_signed(
        &key.material,
        signature.algorithm,
        signature.is_header_relaxed,
        fields,
        &signature.octets,
    );
    let reason = match (is_signed, is_body_intact) {
        (_, Some(false)) => Reason::BodyHash,
        (true, _) => Reason::Verified,
        (false, _) => Reason::Mismatch,
    };
    (reason, Some(is_signed))
}

/// What becomes of a signature that is right.
pub(in crate::authentication) fn acceptable(
    message: &RawMessage<'_>,
    signature: &Signature,
    facts: &Facts,
    now: Timestamp,
) -> Reason {
    // RFC 8301 §3.1
    if signature.algorithm == Algorithm::RsaSha1 {
        return Reason::Sha1;
    }
    if let Some(end) = facts.expires_at
        && end < now
    {
        return Reason::Expired(end);
    }
    if message.has_odd_blanks { Reason::OddBlanks } else { Reason::Verified }
}

/// Fields that should be signed where they are there (RFC 6376 §5.4.1).
const WORTH_SIGNING: [&str; 6] = ["subject", "date", "to", "message-id", "reply-to", "content-type"];

/// Adds what weakens a signature that could be read.
fn add_notes(verdict: &mut Verdict, message: &RawMessage<'_>, now: Timestamp) {
    let signed = &verdict.facts.signed;
    let times = |name: &str| signed.iter().filter(|known| *known == name).count();
    if times("from") <= message.places("from").len() {
        verdict.notes.push(Note::NotOversigned);
    }
    let unsigned: Vec<&str> = WORTH_SIGNING
        .into_iter()
        .filter(|name| !message.places(name).is_empty() && times(name) == 0)
        .collect();
    if !unsigned.is_empty() {
        verdict.notes.push(Note::FieldsUnsigned(unsigned.join(", ")));
    }
    if let Some(made) = verdict.facts.signed_at
        && made > now.after(limits::SIGNATURE_CLOCK_SLACK)
    {
        verdict.notes.push(Note::FromFuture(made));
    }
    if verdict.key.as_ref().is_some_and(|key| key.is_testing) {
        verdict.notes.push(Note::Testing);
    }
}

/// The part of a signing field that is read.
pub(in crate::authentication) fn cut(value: &[u8]) -> &[u8] {
    value.get(..limits::SIGNATURE_BYTES).unwrap_or(value)
}

#[cfg(test)]
pub(super) mod tests;
