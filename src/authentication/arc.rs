//! ARC: the chain of those who handled a message on the way, and what each of them saw.
//!
//! Standard: RFC 8617 §5.2. Before a chain is computed, every field of it must be of the form that the standard
//! gives it, so that two readers never see two chains.

use std::collections::BTreeMap;

use super::dkim::signature::{self, Algorithm, Carrier, Facts, Signature, octets, required, short};
use super::dkim::tags::TagList;
use super::dkim::{self, RawMessage, Reason, Service, Verdict, cut, without_signature, words};
use super::key::{self, AtSelector, KeyKind};
use crate::clock::Timestamp;
use crate::dns::{Answers, Ask, Name, Question, RecordType};
use crate::limits;
use crate::mail::AuthResults;

/// What a chain is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The result.
    pub result: ArcResult,
    /// Why, in words.
    pub reason: String,
    /// The instances from the first on, as far as their fields can be read.
    pub instances: Vec<Instance>,
    /// The lowest instance from which on every message signature still holds; 0 if all do
    /// (RFC 8617 §5.2, step 5). Known for a chain that passes.
    pub oldest_pass: Option<u32>,
}

/// One instance: what one handler saw and sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its number, `i=`.
    pub number: u32,
    /// Who sealed it: `d=` of ARC-Seal.
    pub sealer: String,
    /// The selector of the seal.
    pub selector: String,
    /// The status of the chain that the sealer saw: `none`, `pass` or `fail`.
    pub seen: String,
    /// When it was sealed.
    pub sealed_at: Option<Timestamp>,
    /// What the sealer says about the message, as it reached it.
    pub results: AuthResults,
    /// Whether the message signature still holds; unknown where it was not computed.
    pub is_signature_intact: Option<bool>,
    /// Whether the seal holds; unknown where it was not computed.
    pub is_seal_intact: Option<bool>,
}

/// The result of a chain (RFC 8617 §4.3, RFC 8601 §2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArcResult {
    /// No chain.
    None,
    /// The chain holds.
    Pass,
    /// The chain is broken.
    Fail,
    /// DNS did not say: later it may.
    TempError,
}

impl ArcResult {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
        }
    }
}

/// The three fields of an instance, read.
struct Set {
    /// The place of ARC-Authentication-Results.
    results: usize,
    /// The place of ARC-Message-Signature.
    message: usize,
    /// The place of ARC-Seal.
    seal: usize,
    /// The message signature.
    signature: Signature,
    /// What it says of itself.
    facts: Facts,
    /// The algorithm of the seal.
    algorithm: Algorithm,
    /// `b=` of the seal.
    octets: Vec<u8>,
    /// Where the key of the seal is.
    key: Name,
}

/// Why a chain ends.
enum End {
    /// It is broken.
    Fail(String),
    /// DNS did not say.
    Temp(String),
}

/// Judges the chain of a message. `now` is when the message came.
///
/// Asks first for the keys of the seals and of the last message signature, then, for a chain that holds, for
/// those of the older message signatures.
pub fn verify(message: &RawMessage<'_>, now: Timestamp, answers: &Answers) -> Result<Chain, Ask> {
    let count: usize = FIELDS.iter().map(|name| message.places(name).len()).sum();
    let mut chain =
        Chain { result: ArcResult::None, reason: String::new(), instances: Vec::new(), oldest_pass: None };
    if count == 0 {
        "the message has no ARC fields".clone_into(&mut chain.reason);
        return Ok(chain);
    }
    let end = match read(message, &mut chain) {
        Ok(sets) => judge(message, &sets, now, answers, &mut chain)?,
        Err(reason) => Some(End::Fail(reason)),
    };
    (chain.result, chain.reason) = match end {
        Some(End::Fail(reason)) => (ArcResult::Fail, reason),
        Some(End::Temp(reason)) => (ArcResult::TempError, reason),
        None => (
            ArcResult::Pass,
            format!("all {} seals and the last message signature hold", chain.instances.len()),
        ),
    };
    Ok(chain)
}

/// The fields of a set, in the order in which a seal covers them.
const FIELDS: [&str; 3] = ["arc-authentication-results", "arc-message-signature", "arc-seal"];

/// Reads all sets, the first first, and checks their form (RFC 8617 §5.2, steps 1 to 3).
fn read(message: &RawMessage<'_>, chain: &mut Chain) -> Result<Vec<Set>, String> {
    if message.is_header_cut {
        return Err("not looked at: the header is larger than is looked at".to_owned());
    }
    let mut places: BTreeMap<u32, [Vec<usize>; 3]> = BTreeMap::new();
    for (index, name) in FIELDS.iter().enumerate() {
        let all = message.places(name);
        if all.len() > limits::ARC_INSTANCES as usize {
            return Err(format!("more than {} fields {name}", limits::ARC_INSTANCES));
        }
        for place in all {
            let value = cut(message.value(*place));
            let number = if index == 0 { results_instance(value) } else { tags_instance(value) };
            let number = number.ok_or_else(|| format!("a field {name} has no valid i="))?;
            if let Some(list) = places.entry(number).or_default().get_mut(index) {
                list.push(*place);
            }
        }
    }
    let mut sets = Vec::new();
    for (expected, (number, [results, signatures, seals])) in (1..).zip(&places) {
        if *number != expected {
            return Err(format!("instance {expected} is missing"));
        }
        let ([results], [signature], [seal]) = (results.as_slice(), signatures.as_slice(), seals.as_slice())
        else {
            return Err(format!("instance {number} has not one field of each of the three kinds"));
        };
        sets.push(read_set(message, *number, [*results, *signature, *seal], chain)?);
    }
    for instance in &chain.instances {
        let want = if instance.number == 1 { "none" } else { "pass" };
        if instance.seen != want {
            return Err(format!(
                "{} sealed instance {} with cv={}",
                instance.sealer, instance.number, instance.seen
            ));
        }
    }
    Ok(sets)
}

/// Reads one set and notes its instance.
fn read_set(
    message: &RawMessage<'_>,
    number: u32,
    [results, place, seal]: [usize; 3],
    chain: &mut Chain,
) -> Result<Set, String> {
    let list = TagList::parse(cut(message.value(seal)));
    let in_seal = |reason: Reason| format!("ARC-Seal of instance {number}: {reason}");
    if let Some(fault) = list.faults.first() {
        return Err(format!("ARC-Seal of instance {number}: {fault}"));
    }
    // RFC 8617 §4.1.3: a seal covers the ARC fields alone, always relaxed, and no body.
    if list.value("h").is_some() {
        return Err(format!("ARC-Seal of instance {number}: the tag h= does not belong there"));
    }
    let word = required(&list, "a").map_err(in_seal)?;
    let algorithm = algorithm(word).map_err(in_seal)?;
    let seal_octets = octets(&list, "b").map_err(in_seal)?;
    let seen = required(&list, "cv").map_err(in_seal)?.to_ascii_lowercase();
    if !["none", "pass", "fail"].contains(&seen.as_str()) {
        return Err(in_seal(Reason::BadTag("cv")));
    }
    let domain = required(&list, "d").map_err(in_seal)?.to_lowercase();
    let selector = required(&list, "s").map_err(in_seal)?.to_lowercase();
    let sealed_at = match list.value("t") {
        None => None,
        Some(value) => Some(seconds(value).ok_or_else(|| in_seal(Reason::BadTag("t")))?),
    };
    let key = key::key_name(&selector, &domain).ok_or_else(|| in_seal(Reason::BadKeyName))?;
    let signature_list = TagList::parse(cut(message.value(place)));
    let (facts, signature) = signature::read(&signature_list, Carrier::Arc);
    let in_signature = |reason: Reason| format!("ARC-Message-Signature of instance {number}: {reason}");
    let signature = signature.map_err(in_signature)?;
    if signature.algorithm == Algorithm::RsaSha1 {
        return Err(in_signature(Reason::Sha1));
    }
    // RFC 8617 §4.1.2: a message signature must not cover seals.
    if signature.signed.iter().any(|name| name.eq_ignore_ascii_case("arc-seal")) {
        return Err(in_signature(Reason::BadTag("h")));
    }
    chain.instances.push(Instance {
        number,
        sealer: short(&domain, limits::HEADER_TEXT_BYTES),
        selector: short(&selector, limits::HEADER_TEXT_BYTES),
        seen,
        sealed_at,
        results: authentication_results(message.value(results)),
        is_signature_intact: None,
        is_seal_intact: None,
    });
    Ok(Set { results, message: place, seal, signature, facts, algorithm, octets: seal_octets, key })
}

/// The algorithm of a seal; rsa-sha1 no longer counts (RFC 8301 §3.1).
fn algorithm(word: &str) -> Result<Algorithm, Reason> {
    match Algorithm::parse(word) {
        None => Err(Reason::UnknownAlgorithm(short(word, 40))),
        Some(Algorithm::RsaSha1) => Err(Reason::Sha1),
        Some(algorithm) => Ok(algorithm),
    }
}

/// Computes the chain (RFC 8617 §5.2, steps 4 to 6). Nothing: it holds.
fn judge(
    message: &RawMessage<'_>,
    sets: &[Set],
    now: Timestamp,
    answers: &Answers,
    chain: &mut Chain,
) -> Result<Option<End>, Ask> {
    let Some(last) = sets.last() else { return Ok(Some(End::Fail("no instance".to_owned()))) };
    let keys = sets.iter().map(|set| set.key.clone()).chain(signature_key(last));
    answers.need(keys.map(|name| Question::new(name, RecordType::Txt)))?;
    message.hash_body(sets.iter().map(|set| set.signature.body));
    let verdict = message_signature(message, last, now, answers)?;
    if let Some(instance) = chain.instances.last_mut() {
        instance.is_signature_intact = known(&verdict);
    }
    if verdict.reason != Reason::Verified {
        let words = format!("ARC-Message-Signature of instance {}: {}", sets.len(), verdict.reason);
        let is_open = matches!(verdict.reason, Reason::KeyNotKnown(..));
        return Ok(Some(if is_open { End::Temp(words) } else { End::Fail(words) }));
    }
    for (index, set) in sets.iter().enumerate().rev() {
        let before = sets.get(..index).unwrap_or_default();
        let end = check_seal(message, before, set, answers)?;
        if let Some(instance) = chain.instances.get_mut(index) {
            instance.is_seal_intact = match &end {
                None => Some(true),
                Some(End::Fail(_)) => Some(false),
                Some(End::Temp(_)) => None,
            };
        }
        match end {
            None => {}
            Some(End::Fail(words)) => {
                return Ok(Some(End::Fail(format!("ARC-Seal of instance {}: {words}", index + 1))));
            }
            Some(End::Temp(words)) => {
                return Ok(Some(End::Temp(format!("ARC-Seal of instance {}: {words}", index + 1))));
            }
        }
    }
    let older = sets.iter().filter_map(signature_key);
    answers.need(older.map(|name| Question::new(name, RecordType::Txt)))?;
    let mut oldest = 0;
    for (index, set) in sets.iter().enumerate().rev().skip(1) {
        let verdict = message_signature(message, set, now, answers)?;
        if let Some(instance) = chain.instances.get_mut(index) {
            instance.is_signature_intact = known(&verdict);
            if verdict.reason != Reason::Verified && oldest == 0 {
                oldest = instance.number + 1;
            }
        }
    }
    chain.oldest_pass = Some(oldest);
    Ok(None)
}

/// Where the key of a message signature is.
fn signature_key(set: &Set) -> Option<Name> {
    key::key_name(&set.signature.selector, &set.signature.domain)
}

/// Whether a message signature holds; unknown where the key is.
fn known(verdict: &Verdict) -> Option<bool> {
    match verdict.reason {
        Reason::KeyNotKnown(..) => None,
        _ => Some(verdict.reason == Reason::Verified),
    }
}

/// Computes a message signature.
fn message_signature(
    message: &RawMessage<'_>,
    set: &Set,
    now: Timestamp,
    answers: &Answers,
) -> Result<Verdict, Ask> {
    let mut verdict =
        dkim::check(message, set.message, &set.signature, set.facts.clone(), Service::Mail, answers)?;
    if verdict.reason == Reason::Verified {
        verdict.reason = dkim::acceptable(message, &set.signature, &set.facts, now);
    }
    Ok(verdict)
}

/// Computes a seal over all sets before it and its own (RFC 8617 §5.1.1). Nothing: it holds.
fn check_seal(
    message: &RawMessage<'_>,
    before: &[Set],
    set: &Set,
    answers: &Answers,
) -> Result<Option<End>, Ask> {
    let name = &set.key;
    let keys = match key::at(name, answers)? {
        AtSelector::Keys(keys) => keys,
        AtSelector::NotKnown(trouble) => {
            return Ok(Some(End::Temp(format!(
                "the key at {name} could not be fetched: {}",
                words(&trouble)
            ))));
        }
        AtSelector::None => return Ok(Some(End::Fail(format!("no key is published at {name}")))),
        AtSelector::OtherText | AtSelector::BadName => {
            return Ok(Some(End::Fail(format!("what is published at {name} is no key"))));
        }
    };
    let bare = without_signature(message.value(set.seal));
    let mut fields: Vec<(&[u8], &[u8])> = Vec::with_capacity(before.len() * 3 + 3);
    for older in before {
        for place in [older.results, older.message, older.seal] {
            fields.push((message.name(place), message.value(place)));
        }
    }
    for place in [set.results, set.message] {
        fields.push((message.name(place), message.value(place)));
    }
    fields.push((message.name(set.seal), &bare));
    let kind = if set.algorithm == Algorithm::Ed25519Sha256 { KeyKind::Ed25519 } else { KeyKind::Rsa };
    let mut why = "it does not match: an ARC field was changed, or another key was used".to_owned();
    for record in &keys {
        // A seal has no hash of a body; what the key allows must hold sha256 all the same.
        if let Some(fault) = record.fatal() {
            why = format!("the key at {name} cannot be used: {fault}");
        } else if record.kind != kind {
            why = format!("the key at {name} is of the type {}", record.kind.as_str());
        } else if dkim::crypto::is_signed(&record.material, set.algorithm, true, &fields, &set.octets) {
            return Ok(None);
        }
    }
    Ok(Some(End::Fail(why)))
}

/// `i=` of a tag list, 1 to 50 (RFC 8617 §4.2.1).
fn tags_instance(value: &[u8]) -> Option<u32> {
    instance(TagList::parse(value).value("i")?)
}

/// `i=` at the beginning of ARC-Authentication-Results.
fn results_instance(value: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(value);
    let first = text.split(';').next()?;
    let (name, number) = first.split_once('=')?;
    (name.trim() == "i").then(|| instance(number.trim()))?
}

/// A number of an instance.
fn instance(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.len() <= 2 && text.bytes().all(|octet| octet.is_ascii_digit());
    let number: u32 = is_number.then(|| text.parse().ok())??;
    (1..=limits::ARC_INSTANCES).contains(&number).then_some(number)
}

/// What stands behind `i=` in ARC-Authentication-Results.
fn authentication_results(value: &[u8]) -> AuthResults {
    let text = String::from_utf8_lossy(cut(value));
    AuthResults::parse(text.split_once(';').map_or("", |(_, results)| results))
}

/// A time of digits alone.
fn seconds(value: &str) -> Option<Timestamp> {
    let is_number =
        !value.is_empty() && value.len() <= 12 && value.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| value.parse().ok().map(Timestamp::from_seconds))?
}

#[cfg(test)]
mod tests;
