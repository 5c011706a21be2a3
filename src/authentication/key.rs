//! Key records: the public keys of DKIM as they are published, read with every fault told.
//!
//! The verifier uses them to decide, the health checks to advise. A record is never refused as a whole: what
//! can be read of it is there beside the faults, and [`KeyFault::is_fatal`] says which of them make it useless.
//!
//! Standard: RFC 6376 §3.6.1, RFC 8301 §3.2, RFC 8463 §4.

mod der;
mod weak;

use std::fmt::Write as _;

use super::dkim::tags::{Base64Fault, TagFault, TagList, colon_list, decode_base64};
use crate::dns::{Answers, Ask, Name, NotKnown, Outcome, RecordData, RecordType};
use crate::limits;

pub use weak::Weakness;

/// One key record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The whole text, strings joined.
    pub text: String,
    /// `k=`, or its default.
    pub kind: KeyKind,
    /// The key itself.
    pub material: Material,
    /// `h=`: the hashes allowed; all where it is absent.
    pub hashes: Option<Vec<String>>,
    /// `s=`: the services; all where it is absent.
    pub services: Option<Vec<String>>,
    /// `t=`: the flags.
    pub flags: Vec<String>,
    /// `n=`: a note for people.
    pub note: Option<String>,
    /// What is wrong, the worst not first but in the order of the record.
    pub faults: Vec<KeyFault>,
}

/// The type of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// Ed25519 (RFC 8463).
    Ed25519,
    /// Another word.
    Other(String),
}

impl KeyKind {
    /// The word in records.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
            Self::Other(word) => word,
        }
    }
}

/// What `p=` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// An RSA key: numbers in big-endian order without leading zeros.
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: Vec<u8>,
    },
    /// An Ed25519 key.
    Ed25519([u8; 32]),
    /// Empty: the key was revoked.
    Revoked,
    /// Absent or not to be read.
    None,
}

/// What is wrong with a key record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The form of the tag list is broken.
    #[error("{0}")]
    Syntax(TagFault),
    /// `\;` in the record: escaped for a zone file and pasted elsewhere.
    #[error("`\\;` stands in the record: the backslash belongs to a zone file, not into the record")]
    EscapedSemicolon,
    /// Quotes in the record.
    #[error("quotes stand in the record: they belong to a zone file, not into the record")]
    Quotes,
    /// `v=` with another word.
    #[error("the version is \"{0}\", not DKIM1")]
    Version(String),
    /// `v=` further behind.
    #[error("v= is not the first tag")]
    VersionNotFirst,
    /// A type of key that nobody knows.
    #[error("the key type \"{0}\" is not known")]
    UnknownKind(String),
    /// No `p=`.
    #[error("p= is missing")]
    NoKey,
    /// `p=` is empty.
    #[error("the key was revoked: p= is empty")]
    Revoked,
    /// The key is no base64.
    #[error("p= cannot be decoded: {0}")]
    Base64(Base64Fault),
    /// The record ends where one string of 255 octets ends.
    #[error("the record was cut at 255 octets: the rest belongs into a second string of the same record")]
    CutAt255,
    /// The key ends early.
    #[error("the key was cut: {have} of {want} octets are there")]
    Cut {
        /// Octets that are there.
        have: usize,
        /// Octets that its head announces.
        want: usize,
    },
    /// Octets after the key.
    #[error("{0} octets stand after the key")]
    Trailing(usize),
    /// It is no RSA key.
    #[error("p= holds no RSA key")]
    NotRsa,
    /// A whole certificate or private key.
    #[error("p= holds {0}, not a public key")]
    OtherObject(&'static str),
    /// Not 32 octets.
    #[error("an Ed25519 key has 32 octets, this one {0}")]
    Ed25519Length(usize),
    /// An Ed25519 key with the head of a SubjectPublicKeyInfo (RFC 8463 §4.2 wants the 32 octets alone).
    #[error("the Ed25519 key was pasted with its 12 octets of ASN.1 before it")]
    Ed25519Spki,
    /// An Ed25519 key in a record that says RSA.
    #[error("the key looks like Ed25519, and k=ed25519 is missing")]
    Ed25519Unnamed,
    /// Under 1,024 bits (RFC 8301 §3.2: no verifier may accept it).
    #[error("the RSA key has {0} bits; under 1024 no verifier may accept it")]
    TooShort(usize),
    /// Over 4,096 bits (RFC 8301 §3.2: verifiers need not know how to use it).
    #[error("the RSA key has {0} bits; verifiers need not handle more than 4096")]
    Long(usize),
    /// Over 8,192 bits: not handled here, nor by most.
    #[error("the RSA key has {0} bits; no more than 8192 are handled")]
    TooLong(usize),
    /// An exponent that makes the key worthless.
    #[error("the RSA exponent is {0}")]
    Exponent(&'static str),
    /// The key can be broken or is known to everybody.
    #[error("{0}")]
    Weak(Weakness),
    /// `h=` without sha256.
    #[error("h= allows {0} only; sha256 is the one hash in use")]
    Hashes(String),
    /// `s=` without `*` and `email`.
    #[error("the key is not for e-mail: s={0}")]
    Services(String),
    /// `g=` of the older standard.
    #[error("g= was removed by RFC 6376 and is ignored")]
    Granularity,
}

impl KeyFault {
    /// True if no signature can be verified with such a key.
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self,
            Self::Quotes
                | Self::EscapedSemicolon
                | Self::VersionNotFirst
                | Self::Trailing(_)
                | Self::Long(_)
                | Self::Weak(_)
                | Self::Granularity
                | Self::CutAt255
                | Self::Ed25519Unnamed
        )
    }

    /// The stable word for JSON and findings.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "syntax",
            Self::EscapedSemicolon => "escaped-semicolon",
            Self::Quotes => "quotes",
            Self::Version(_) => "version",
            Self::VersionNotFirst => "version-not-first",
            Self::UnknownKind(_) => "key-type",
            Self::NoKey => "no-key",
            Self::Revoked => "revoked",
            Self::Base64(_) => "base64",
            Self::CutAt255 => "cut-at-255",
            Self::Cut { .. } => "cut",
            Self::Trailing(_) => "trailing-octets",
            Self::NotRsa => "not-rsa",
            Self::OtherObject(_) => "other-object",
            Self::Ed25519Length(_) => "ed25519-length",
            Self::Ed25519Spki => "ed25519-spki",
            Self::Ed25519Unnamed => "ed25519-unnamed",
            Self::TooShort(_) => "too-short",
            Self::Long(_) => "long",
            Self::TooLong(_) => "too-long",
            Self::Exponent(_) => "exponent",
            Self::Weak(_) => "weak",
            Self::Hashes(_) => "hashes",
            Self::Services(_) => "services",
            Self::Granularity => "granularity",
        }
    }
}

impl KeyRecord {
    /// Reads one TXT record from its strings.
    pub fn parse(strings: &[Vec<u8>]) -> Self {
        let octets = strings.concat();
        let octets = octets.get(..limits::KEY_RECORD_BYTES).unwrap_or(&octets);
        let list = TagList::parse(octets);
        let mut record = Self {
            text: String::from_utf8_lossy(octets).into_owned(),
            kind: KeyKind::Rsa,
            material: Material::None,
            hashes: None,
            services: None,
            flags: list.value("t").map(flags).unwrap_or_default(),
            note: list.value("n").map(str::to_owned),
            faults: Vec::new(),
        };
        record.read_version(&list);
        record.faults.extend(list.faults.iter().cloned().map(KeyFault::Syntax));
        record.read_paste(strings);
        record.read_kind(&list);
        record.read_lists(&list);
        match list.value("p") {
            None => record.faults.push(KeyFault::NoKey),
            Some("") => {
                record.material = Material::Revoked;
                record.faults.push(KeyFault::Revoked);
            }
            Some(value) => match decode_base64(value) {
                Err(fault) => record.faults.push(KeyFault::Base64(fault)),
                Ok(data) => record.read_key(&data),
            },
        }
        record
    }

    /// True if a TXT record at a selector means to be a key: has `p=`, `k=` or a version that begins like ours.
    pub fn looks_like_key(octets: &[u8]) -> bool {
        let list = TagList::parse(octets.get(..limits::KEY_RECORD_BYTES).unwrap_or(octets));
        let version = list.value("v").unwrap_or_default().to_ascii_uppercase();
        list.value("p").is_some() || list.value("k").is_some() || version.starts_with("DKIM")
    }

    /// The bits of an RSA modulus, 256 for Ed25519.
    pub fn bits(&self) -> Option<usize> {
        match &self.material {
            Material::Rsa { modulus, .. } => Some(der::bits(modulus)),
            Material::Ed25519(_) => Some(256),
            Material::Revoked | Material::None => None,
        }
    }

    /// The first fault that makes it useless.
    pub fn fatal(&self) -> Option<&KeyFault> {
        self.faults.iter().find(|fault| fault.is_fatal())
    }

    /// `t=y`: the domain is testing DKIM.
    pub fn is_testing(&self) -> bool {
        self.flags.iter().any(|flag| flag == "y")
    }

    /// `t=s`: the domain of `i=` must be that of `d=`, not one below it.
    pub fn is_strict(&self) -> bool {
        self.flags.iter().any(|flag| flag == "s")
    }

    /// True if the key is for a service: `s=` names it or `*`, or is absent.
    pub fn is_for(&self, service: &str) -> bool {
        self.services
            .as_ref()
            .is_none_or(|services| services.iter().any(|known| known == "*" || known == service))
    }

    /// The record as it should be published, where the fault is one of pasting that can be undone.
    pub fn mended(&self) -> Option<String> {
        let is_pasted = self.faults.iter().any(|fault| {
            matches!(
                fault,
                KeyFault::EscapedSemicolon
                    | KeyFault::Quotes
                    | KeyFault::VersionNotFirst
                    | KeyFault::Ed25519Spki
                    | KeyFault::Ed25519Unnamed
                    | KeyFault::Granularity
            )
        });
        if !is_pasted {
            return None;
        }
        let text = self.text.replace("\\;", ";").replace(['"', '\\'], "");
        let list = TagList::parse(text.as_bytes());
        let mut key = decode_base64(list.value("p")?).ok()?;
        if let Some(bare) = der::ed25519_of_spki(&key) {
            key = bare.to_vec();
        }
        let kind = if key.len() == 32 { "ed25519" } else { list.value("k").unwrap_or("rsa") };
        let mut mended = format!("v=DKIM1; k={kind}");
        for tag in list.tags.iter().filter(|tag| !["v", "k", "p", "g"].contains(&tag.name.as_str())) {
            let _ = write!(mended, "; {}={}", tag.name, tag.value);
        }
        let _ = write!(mended, "; p={}", data_encoding::BASE64.encode(&key));
        let again = Self::parse(&[mended.clone().into_bytes()]);
        again.fatal().is_none().then_some(mended)
    }

    /// Reads `v=` (RFC 6376 §3.6.1: recommended, first if it is there, and DKIM1).
    fn read_version(&mut self, list: &TagList) {
        let Some(version) = list.value("v") else { return };
        if version != "DKIM1" {
            self.faults.push(KeyFault::Version(short(version)));
        } else if list.tags.first().is_none_or(|tag| tag.name != "v") {
            self.faults.push(KeyFault::VersionNotFirst);
        }
    }

    /// Tells what a bad paste left in the record.
    fn read_paste(&mut self, strings: &[Vec<u8>]) {
        if self.text.contains("\\;") {
            self.faults.push(KeyFault::EscapedSemicolon);
        }
        if self.text.contains('"') {
            self.faults.push(KeyFault::Quotes);
        }
        if let [only] = strings
            && only.len() == 255
        {
            self.faults.push(KeyFault::CutAt255);
        }
    }

    /// Reads `k=`.
    fn read_kind(&mut self, list: &TagList) {
        self.kind = match list.value("k") {
            None => KeyKind::Rsa,
            Some(word) if word.eq_ignore_ascii_case("rsa") => KeyKind::Rsa,
            Some(word) if word.eq_ignore_ascii_case("ed25519") => KeyKind::Ed25519,
            Some(word) => {
                self.faults.push(KeyFault::UnknownKind(short(word)));
                KeyKind::Other(short(word))
            }
        };
    }

    /// Reads `h=`, `s=` and `g=`.
    fn read_lists(&mut self, list: &TagList) {
        self.hashes = list.value("h").map(|value| lower(colon_list(value)));
        self.services = list.value("s").map(|value| lower(colon_list(value)));
        if let Some(hashes) = &self.hashes
            && !hashes.iter().any(|hash| hash == "sha256")
        {
            self.faults.push(KeyFault::Hashes(short(&hashes.join(":"))));
        }
        if !self.is_for("email") {
            let services = self.services.as_deref().unwrap_or_default().join(":");
            self.faults.push(KeyFault::Services(short(&services)));
        }
        if list.value("g").is_some() {
            self.faults.push(KeyFault::Granularity);
        }
    }

    /// Reads the octets of the key.
    fn read_key(&mut self, data: &[u8]) {
        match self.kind {
            KeyKind::Rsa if data.len() == 32 || der::ed25519_of_spki(data).is_some() => {
                self.faults.push(KeyFault::Ed25519Unnamed);
                self.faults.push(KeyFault::NotRsa);
            }
            KeyKind::Rsa => self.read_rsa(data),
            KeyKind::Ed25519 => match <[u8; 32]>::try_from(data) {
                Ok(key) => self.material = Material::Ed25519(key),
                Err(_) if der::ed25519_of_spki(data).is_some() => self.faults.push(KeyFault::Ed25519Spki),
                Err(_) => self.faults.push(KeyFault::Ed25519Length(data.len())),
            },
            KeyKind::Other(_) => {}
        }
        if let Some(weakness) = weak::weakness(&self.material) {
            self.faults.push(KeyFault::Weak(weakness));
        }
    }

    /// Reads an RSA key: a SubjectPublicKeyInfo (RFC 6376, erratum 3017), or the key alone (RFC 6376 §3.6.1).
    fn read_rsa(&mut self, data: &[u8]) {
        let key = match der::rsa(data) {
            Ok(key) => key,
            Err(fault) => return self.faults.push(fault),
        };
        if key.trailing > 0 {
            self.faults.push(KeyFault::Trailing(key.trailing));
        }
        let bits = der::bits(key.modulus);
        // RFC 8301 §3.2
        match bits {
            0..1_024 => self.faults.push(KeyFault::TooShort(bits)),
            8_193.. => self.faults.push(KeyFault::TooLong(bits)),
            4_097.. => self.faults.push(KeyFault::Long(bits)),
            _ => {}
        }
        match key.exponent {
            [] => self.faults.push(KeyFault::Exponent("0")),
            [1] => self.faults.push(KeyFault::Exponent("1")),
            [.., last] if last % 2 == 0 => self.faults.push(KeyFault::Exponent("even")),
            [_, _, _, _, _, _, ..] => self.faults.push(KeyFault::Exponent("longer than 40 bits")),
            _ => {}
        }
        self.material = Material::Rsa { modulus: key.modulus.to_vec(), exponent: key.exponent.to_vec() };
    }
}

/// What stands at a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtSelector {
    /// Key records, at most [`limits::SELECTOR_KEYS`]. More than one is undefined (RFC 6376 §3.6.2.2).
    Keys(Vec<KeyRecord>),
    /// TXT records, none of which means to be a key.
    OtherText,
    /// No such name, or no TXT record there.
    None,
    /// DNS did not say.
    NotKnown(NotKnown),
    /// Selector and domain make no domain name.
    BadName,
}

/// The name where the key of a selector is published.
pub fn key_name(selector: &str, domain: &str) -> Option<Name> {
    let ascii = |text: &str| Name::from_person(text).ok().filter(|name| !name.is_root());
    let selector = ascii(selector)?;
    ascii(domain)?.below("_domainkey").ok()?.below_labels_of(&selector).ok()
}

/// The keys at a name.
pub fn at(name: &Name, answers: &Answers) -> Result<AtSelector, Ask> {
    let answer = answers.get(name, RecordType::Txt)?;
    let records = match &answer.outcome {
        Outcome::Records(records) => records,
        Outcome::NoName | Outcome::NoType => return Ok(AtSelector::None),
        Outcome::NotKnown(not_known) => return Ok(AtSelector::NotKnown(not_known.clone())),
    };
    let mut texts: Vec<&[Vec<u8>]> = records
        .iter()
        .filter_map(|record| match record {
            RecordData::Txt(strings) => Some(strings.as_slice()),
            _ => None,
        })
        .collect();
    // The order of records means nothing; ours is always the same.
    texts.sort_unstable();
    let is_alone = texts.len() == 1;
    let keys: Vec<KeyRecord> = texts
        .iter()
        .filter(|strings| is_alone || KeyRecord::looks_like_key(&strings.concat()))
        .take(limits::SELECTOR_KEYS)
        .map(|strings| KeyRecord::parse(strings))
        .collect();
    Ok(match (keys.is_empty(), texts.is_empty()) {
        (false, _) => AtSelector::Keys(keys),
        (true, true) => AtSelector::None,
        (true, false) => AtSelector::OtherText,
    })
}

/// The flags of `t=`.
fn flags(value: &str) -> Vec<String> {
    colon_list(value).into_iter().filter(|flag| !flag.is_empty()).collect()
}

/// Words in lower case.
fn lower(words: Vec<String>) -> Vec<String> {
    words.into_iter().map(|word| word.to_ascii_lowercase()).collect()
}

/// The beginning of a text from outside.
fn short(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests;
