//! The tags of one signature, checked as far as the message and the key are not needed.
//!
//! Standard: RFC 6376 §3.5, §6.1.1; for ARC-Message-Signature RFC 8617 §4.1.2.

use super::Reason;
use super::message::BodyKind;
use super::tags::{TagList, colon_list, decode_base64};
use crate::clock::Timestamp;
use crate::limits;

/// What a signature says of itself, right or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `d=`: who takes responsibility, in lower case.
    pub domain: Option<String>,
    /// `s=`, in lower case.
    pub selector: Option<String>,
    /// `i=`, as written.
    pub identity: Option<String>,
    /// `a=`, as written.
    pub algorithm: Option<String>,
    /// `c=`, as written.
    pub canonicalization: Option<String>,
    /// `h=`: names in lower case, in order, at most [`limits::SIGNED_NAMES`].
    pub signed: Vec<String>,
    /// `l=`: octets of the body that are signed.
    pub body_length: Option<u64>,
    /// `t=`: when it was made.
    pub signed_at: Option<Timestamp>,
    /// `x=`: when it ends.
    pub expires_at: Option<Timestamp>,
    /// The first characters of `b=`, by which Authentication-Results tells signatures of one domain apart
    /// (RFC 6008).
    pub signature_start: Option<String>,
}

/// A signature that can be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::authentication) struct Signature {
    /// The algorithm.
    pub(in crate::authentication) algorithm: Algorithm,
    /// True if the header is canonicalized `relaxed`.
    pub(in crate::authentication) is_header_relaxed: bool,
    /// How the body is hashed.
    pub(in crate::authentication) body: BodyKind,
    /// `d=`.
    pub(in crate::authentication) domain: String,
    /// `s=`.
    pub(in crate::authentication) selector: String,
    /// The domain of `i=`, in lower case.
    pub(in crate::authentication) identity_domain: String,
    /// `h=`.
    pub(in crate::authentication) signed: Vec<String>,
    /// `bh=`.
    pub(in crate::authentication) body_hash: Vec<u8>,
    /// `b=`.
    pub(in crate::authentication) octets: Vec<u8>,
}

/// The algorithm of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::authentication) enum Algorithm {
    /// Forbidden by RFC 8301 §3.1.
    RsaSha1,
    /// RFC 6376 §3.3.2.
    RsaSha256,
    /// RFC 8463 §3.
    Ed25519Sha256,
}

impl Algorithm {
    /// Reads `a=`.
    pub(in crate::authentication) fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "rsa-sha1" => Some(Self::RsaSha1),
            "rsa-sha256" => Some(Self::RsaSha256),
            "ed25519-sha256" => Some(Self::Ed25519Sha256),
            _ => None,
        }
    }
}

/// Which field carries the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::authentication) enum Carrier {
    /// DKIM-Signature.
    Dkim,
    /// ARC-Message-Signature: no `v=`, and `i=` is a number.
    Arc,
}

/// What a signature says, and the signature if it can be computed.
pub(in crate::authentication) fn read(
    list: &TagList,
    carrier: Carrier,
) -> (Facts, Result<Signature, Reason>) {
    let facts = facts(list, carrier);
    let signature = check(list, carrier, &facts);
    (facts, signature)
}

/// Collects what is said.
fn facts(list: &TagList, carrier: Carrier) -> Facts {
    let text = |name: &str| list.value(name).map(|value| short(value, limits::HEADER_TEXT_BYTES));
    let seconds =
        |name: &str| list.value(name).and_then(number).and_then(|seconds| i64::try_from(seconds).ok());
    let mut signed = list.value("h").map(colon_list).unwrap_or_default();
    signed.truncate(limits::SIGNED_NAMES);
    Facts {
        domain: text("d").map(|domain| domain.to_lowercase()),
        selector: text("s").map(|selector| selector.to_lowercase()),
        identity: text("i").filter(|_| carrier == Carrier::Dkim),
        algorithm: text("a"),
        canonicalization: text("c"),
        signed: signed.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
        body_length: list.value("l").and_then(number),
        signed_at: seconds("t").filter(|seconds| *seconds < MAX_SECONDS).map(Timestamp::from_seconds),
        expires_at: seconds("x").filter(|seconds| *seconds < MAX_SECONDS).map(Timestamp::from_seconds),
        signature_start: list
            .value("b")
            .map(|value| value.chars().filter(|character| !character.is_whitespace()).take(8).collect()),
    }
}

/// Times beyond the year 9999 are not times.
const MAX_SECONDS: i64 = 253_402_300_800;

/// The checks of RFC 6376 §6.1.1.
fn check(list: &TagList, carrier: Carrier, facts: &Facts) -> Result<Signature, Reason> {
    if let Some(fault) = list.faults.first() {
        return Err(Reason::Syntax(fault.clone()));
    }
    if carrier == Carrier::Dkim {
        let version = required(list, "v")?;
        if version != "1" {
            return Err(Reason::Version(short(version, 40)));
        }
    }
    let word = required(list, "a")?;
    let algorithm = Algorithm::parse(word).ok_or_else(|| Reason::UnknownAlgorithm(short(word, 40)))?;
    let octets_signed = octets(list, "b")?;
    let body_hash = octets(list, "bh")?;
    let domain = required(list, "d")?.to_lowercase();
    let selector = required(list, "s")?.to_lowercase();
    let names = match (carrier, list.value("h")) {
        (_, None) => return Err(Reason::MissingTag("h")),
        (Carrier::Dkim, Some("")) => return Err(Reason::BadTag("h")),
        (_, Some(value)) => colon_list(value),
    };
    if names.len() > limits::SIGNED_NAMES {
        return Err(Reason::TooManyNames(names.len()));
    }
    // A name left out between two colons means no field, and harms nothing.
    if !names.iter().flat_map(|name| name.bytes()).all(|octet| octet.is_ascii_graphic()) {
        return Err(Reason::BadTag("h"));
    }
    // RFC 6376 §5.4: From must be signed. RFC 8617 §4.1.2 says nothing else of ARC.
    if carrier == Carrier::Dkim && !facts.signed.iter().any(|name| name == "from") {
        return Err(Reason::FromNotSigned);
    }
    let (is_header_relaxed, is_relaxed) = canonicalization(list.value("c"))?;
    let length = list.value("l").map(|value| number(value).ok_or(Reason::BadTag("l"))).transpose()?;
    if let Some(methods) = list.value("q")
        && !colon_list(methods).iter().any(|method| method.eq_ignore_ascii_case("dns/txt"))
    {
        return Err(Reason::UnknownQuery(short(methods, 40)));
    }
    check_times(list)?;
    let identity_domain = match (carrier, list.value("i")) {
        (Carrier::Dkim, Some(identity)) => identity_domain(identity, &domain)?,
        _ => domain.clone(),
    };
    Ok(Signature {
        algorithm,
        is_header_relaxed,
        body: BodyKind { is_relaxed, is_sha1: algorithm == Algorithm::RsaSha1, length },
        domain,
        selector,
        identity_domain,
        signed: names,
        body_hash,
        octets: octets_signed,
    })
}

/// The value of a tag that must be there.
pub(in crate::authentication) fn required<'a>(
    list: &'a TagList,
    name: &'static str,
) -> Result<&'a str, Reason> {
    match list.value(name) {
        None => Err(Reason::MissingTag(name)),
        Some("") => Err(Reason::BadTag(name)),
        Some(value) => Ok(value),
    }
}

/// The octets of a tag that must be there and holds base64.
pub(in crate::authentication) fn octets(list: &TagList, name: &'static str) -> Result<Vec<u8>, Reason> {
    let octets = decode_base64(required(list, name)?).map_err(|_| Reason::BadTag(name))?;
    if octets.is_empty() { Err(Reason::BadTag(name)) } else { Ok(octets) }
}

/// `c=`: true for `relaxed`, of the header and of the body (RFC 6376 §3.5: `simple/simple` by default, and the
/// body `simple` where only the header is named).
fn canonicalization(value: Option<&str>) -> Result<(bool, bool), Reason> {
    let Some(value) = value else { return Ok((false, false)) };
    let unknown = || Reason::UnknownCanonicalization(short(value, 40));
    let is_relaxed = |word: &str| match word.trim().to_ascii_lowercase().as_str() {
        "relaxed" => Ok(true),
        "simple" => Ok(false),
        _ => Err(unknown()),
    };
    match value.split_once('/') {
        Some((header, body)) => Ok((is_relaxed(header)?, is_relaxed(body)?)),
        None => Ok((is_relaxed(value)?, false)),
    }
}

/// `t=` and `x=` are numbers, and `x=` is the later one (RFC 6376 §3.5).
fn check_times(list: &TagList) -> Result<(), Reason> {
    let read = |name: &'static str| {
        list.value(name).map(|value| number(value).ok_or(Reason::BadTag(name))).transpose()
    };
    match (read("t")?, read("x")?) {
        (Some(made), Some(ends)) if ends <= made => Err(Reason::TimesReversed),
        _ => Ok(()),
    }
}

/// The domain of `i=`, which must be that of `d=` or stand below it.
fn identity_domain(identity: &str, domain: &str) -> Result<String, Reason> {
    let identity = decode_quoted(identity).ok_or(Reason::BadTag("i"))?;
    let (_, own) = identity.rsplit_once('@').ok_or(Reason::BadTag("i"))?;
    let own = own.trim().to_lowercase();
    let above = own.strip_suffix(domain);
    match above {
        Some(above) if above.is_empty() || above.ends_with('.') => Ok(own),
        _ => Err(Reason::IdentityDomain),
    }
}

/// Decodes what stands as `=XX` (RFC 6376 §2.11); nothing if a `=` is not followed by two digits.
fn decode_quoted(text: &str) -> Option<String> {
    let mut pieces = text.split('=');
    let mut octets = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        octets.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        octets.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    Some(String::from_utf8_lossy(&octets).into_owned())
}

/// A number of digits alone; more than fits counts as the most that does (RFC 6376 §3.5: up to 76 digits).
fn number(value: &str) -> Option<u64> {
    let is_number =
        !value.is_empty() && value.len() <= 76 && value.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| value.parse().unwrap_or(u64::MAX))
}

/// The beginning of a text from outside, without controls.
pub(in crate::authentication) fn short(text: &str, characters: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(characters).collect()
}
