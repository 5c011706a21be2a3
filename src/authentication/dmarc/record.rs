//! One DMARC Policy Record: what it says, what of it is discarded, and what is in force instead.

use crate::limits;
use crate::mail::Address;

/// What a domain owner asks to be done with mail that fails (RFC 9989 §4.7, tag `p`), from the mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// No preference.
    None,
    /// Such mail is suspicious.
    Quarantine,
    /// Such mail is not valid.
    Reject,
}

impl Policy {
    /// The word of the standard.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// Reads the word, in any case (RFC 9989 §4.8).
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Quarantine, Self::Reject]
            .into_iter()
            .find(|policy| policy.as_str().eq_ignore_ascii_case(text))
    }

    /// One level milder, as test mode wants it (RFC 9989 §4.7, tag `t`).
    #[must_use]
    pub const fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// A tag that holds a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Not in the record.
    Absent,
    /// A policy.
    Valid(Policy),
    /// A word that is none: it changes what the whole record does (RFC 9989 §4.10.1).
    Invalid(String),
}

impl Wish {
    /// The policy, if it is one.
    pub const fn policy(&self) -> Option<Policy> {
        match self {
            Self::Valid(policy) => Some(*policy),
            Self::Absent | Self::Invalid(_) => None,
        }
    }

    /// True for a word that is no policy.
    pub const fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

/// How near an authenticated domain must be to the author's (RFC 9989 §3.2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The same organizational domain.
    Relaxed,
    /// The same domain.
    Strict,
}

impl Mode {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relaxed => "relaxed",
            Self::Strict => "strict",
        }
    }
}

/// Whether the domain is a public suffix domain (RFC 9989 §4.7, tag `psd`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Psd {
    /// `y`: it is one; the organizational domain is one label below.
    Yes,
    /// `n`: it is none, and is an organizational domain.
    No,
    /// `u`, the default: the walk decides.
    Undefined,
}

impl Psd {
    /// The letter of the standard.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "y",
            Self::No => "n",
            Self::Undefined => "u",
        }
    }
}

/// An address to which reports are asked for (RFC 9989 §4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportUri {
    /// As published, without blanks around it and without the obsolete size.
    pub text: String,
    /// The scheme in lower case.
    pub scheme: String,
    /// The mailbox of a `mailto:` URI.
    pub mailbox: Option<Address>,
}

/// What the record does (RFC 9989 §4.10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Force {
    /// Its policies hold as they stand.
    AsPublished,
    /// As if only `p=none` stood there: `p` is missing or wrong, or `sp` or `np` is wrong, and reports are
    /// asked for.
    AsNone,
    /// None at all: the same without a valid address for reports.
    Nothing,
}

impl Force {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsPublished => "as-published",
            Self::AsNone => "as-none",
            Self::Nothing => "nothing",
        }
    }
}

/// Why something in a record is discarded, or worth a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// A tag outside the registry: ignored (RFC 9989 §4.7).
    UnknownTag,
    /// `pct`, `rf` or `ri`: ignored by RFC 9989, in force for readers of RFC 7489.
    RemovedTag,
    /// A tag that stood there before: the first one holds.
    RepeatedTag,
    /// A value that the tag does not allow.
    InvalidValue,
    /// Text between semicolons that is no `tag=value`.
    NotATag,
    /// A tag name in capitals: read as if it were in lower case.
    TagCase,
    /// An address for reports that is no URI.
    InvalidUri,
    /// A size after an address for reports: obsolete and ignored (RFC 9989 §4.8).
    ObsoleteSize,
    /// `fo` without `ruf`: ignored.
    FoWithoutRuf,
    /// `p` is missing.
    MissingPolicy,
    /// More flaws than are kept.
    More,
}

impl Flaw {
    /// The name in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownTag => "unknown-tag",
            Self::RemovedTag => "removed-tag",
            Self::RepeatedTag => "repeated-tag",
            Self::InvalidValue => "invalid-value",
            Self::NotATag => "not-a-tag",
            Self::TagCase => "tag-case",
            Self::InvalidUri => "invalid-uri",
            Self::ObsoleteSize => "obsolete-size",
            Self::FoWithoutRuf => "fo-without-ruf",
            Self::MissingPolicy => "missing-policy",
            Self::More => "more",
        }
    }
}

/// One flaw, with what stood there and what holds instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Which flaw.
    pub flaw: Flaw,
    /// The tag as written; empty for text that is none.
    pub tag: String,
    /// Its value as written.
    pub value: String,
    /// What is in force, in words.
    pub in_force: String,
}

/// A DMARC Policy Record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// As published, its strings joined; at most [`limits::DNS_TEXT_BYTES`] of it.
    pub text: String,
    /// The policy for the domain itself.
    pub p: Wish,
    /// The policy for subdomains that exist.
    pub sp: Wish,
    /// The policy for subdomains that do not exist.
    pub np: Wish,
    /// How DKIM must be aligned.
    pub adkim: Mode,
    /// How SPF must be aligned.
    pub aspf: Mode,
    /// Whether this is a public suffix domain.
    pub psd: Psd,
    /// True for test mode: the policy that is applied is one level milder.
    pub is_testing: bool,
    /// Where aggregate reports are wanted, at most [`limits::DMARC_URIS`].
    pub rua: Vec<ReportUri>,
    /// Where failure reports are wanted, at most [`limits::DMARC_URIS`].
    pub ruf: Vec<ReportUri>,
    /// When failure reports are wanted: `0`, `1`, `d`, `s`; what is in force.
    pub fo: String,
    /// What is discarded or odd, in order, at most [`limits::DMARC_REMARKS`].
    pub remarks: Vec<Remark>,
}

/// How a text fails to be a record although somebody may have meant one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NearMiss {
    /// The version in the wrong case, such as `v=dmarc1`: it is case-sensitive (RFC 9989 §4.7).
    VersionCase,
    /// The version is not the first tag.
    VersionNotFirst,
    /// Something stands before the version.
    LeadingText,
    /// `v=DMARC1` and something before the semicolon, such as `v=DMARC1x` or `v=DMARC1,`.
    VersionTail,
    /// Tags of a record without the version.
    NoVersion,
    /// An SPF record.
    Spf,
}

impl NearMiss {
    /// The name in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VersionCase => "version-case",
            Self::VersionNotFirst => "version-not-first",
            Self::LeadingText => "leading-text",
            Self::VersionTail => "version-tail",
            Self::NoVersion => "no-version",
            Self::Spf => "spf",
        }
    }

    /// Says how a text that [`Record::parse`] refuses looks like one.
    pub fn of(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text.get(..limits::DNS_TEXT_BYTES).unwrap_or(text));
        if version(text.as_bytes()).is_some() {
            return None;
        }
        let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let lower = squeezed.to_ascii_lowercase();
        if lower.starts_with("v=spf1") {
            return Some(Self::Spf);
        }
        if lower == "dmarc1" || lower.starts_with("dmarc1;") {
            return Some(Self::NoVersion);
        }
        match lower.find("v=dmarc1") {
            Some(0) if !squeezed.starts_with("v=DMARC1") && !squeezed.starts_with("V=DMARC1") => {
                Some(Self::VersionCase)
            }
            Some(0) if text.starts_with(char::is_whitespace) => Some(Self::LeadingText),
            Some(0) => Some(Self::VersionTail),
            Some(at) if lower.get(..at).is_some_and(|front| front.ends_with(';')) => {
                Some(Self::VersionNotFirst)
            }
            Some(_) => Some(Self::LeadingText),
            None => {
                let is_tag = |part: &str| {
                    part.split_once('=')
                        .is_some_and(|(name, _)| matches!(name, "p" | "sp" | "rua" | "ruf" | "pct"))
                };
                lower.split(';').any(is_tag).then_some(Self::NoVersion)
            }
        }
    }
}

/// What follows the version; nothing if the text does not begin with it (RFC 9989 §4.8, `dmarc-version`).
fn version(text: &[u8]) -> Option<&[u8]> {
    let rest = match text.split_first()? {
        (b'v' | b'V', rest) => trim_start(rest),
        _ => return None,
    };
    let rest = trim_start(rest.strip_prefix(b"=")?).strip_prefix(b"DMARC1")?;
    let rest = trim_start(rest);
    match rest.split_first() {
        None => Some(rest),
        Some((b';', rest)) => Some(rest),
        Some(_) => None,
    }
}

/// Without blanks and tabs at the start.
fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    text.get(blanks..).unwrap_or_default()
}

/// The tags of one record in order, each once, with flaws noted on the way.
#[derive(Default)]
struct Tags {
    known: Vec<(&'static str, String)>,
    remarks: Vec<Remark>,
}

/// Tags in the registry (RFC 9989 §9.4), without `v`.
const TAGS: [&str; 10] = ["adkim", "aspf", "fo", "np", "p", "psd", "rua", "ruf", "sp", "t"];
/// Tags that RFC 9989 removed.
const REMOVED: [&str; 3] = ["pct", "rf", "ri"];

impl Tags {
    /// Takes apart what follows the version.
    fn read(rest: &str) -> Self {
        let mut tags = Self::default();
        for part in rest.split(';') {
            let part = part.trim_matches([' ', '\t']);
            if part.is_empty() {
                continue;
            }
            let Some((tag, value)) = part.split_once('=') else {
                tags.note(Flaw::NotATag, "", part, "ignored");
                continue;
            };
            let (tag, value) = (tag.trim_matches([' ', '\t']), value.trim_matches([' ', '\t']));
            if tag.is_empty() || !tag.bytes().all(|octet| octet.is_ascii_alphabetic()) {
                tags.note(Flaw::NotATag, "", part, "ignored");
                continue;
            }
            let lower = tag.to_ascii_lowercase();
            let Some(known) = TAGS.into_iter().find(|known| *known == lower) else {
                let is_removed = REMOVED.contains(&lower.as_str());
                let flaw = if is_removed { Flaw::RemovedTag } else { Flaw::UnknownTag };
                tags.note(flaw, tag, value, "ignored");
                continue;
            };
            if tag != lower {
                tags.note(Flaw::TagCase, tag, value, "read as if the tag stood in lower case");
            }
            if let Some(first) = tags.get(known) {
                let in_force = format!("the first one: {known}={first}");
                tags.note(Flaw::RepeatedTag, tag, value, &in_force);
                continue;
            }
            tags.known.push((known, value.to_owned()));
        }
        tags
    }

    fn get(&self, tag: &str) -> Option<&str> {
        self.known.iter().find(|(known, _)| *known == tag).map(|(_, value)| value.as_str())
    }

    fn note(&mut self, flaw: Flaw, tag: &str, value: &str, in_force: &str) {
        match self.remarks.len() {
            count if count + 1 < limits::DMARC_REMARKS => self.remarks.push(Remark {
                flaw,
                tag: tag.to_owned(),
                value: cut(value, limits::HEADER_TEXT_BYTES).to_owned(),
                in_force: in_force.to_owned(),
            }),
            count if count < limits::DMARC_REMARKS => self.remarks.push(Remark {
                flaw: Flaw::More,
                tag: String::new(),
                value: String::new(),
                in_force: "further flaws are not listed".to_owned(),
            }),
            _ => {}
        }
    }

    /// A policy tag.
    fn wish(&mut self, tag: &str) -> Wish {
        let Some(value) = self.get(tag) else { return Wish::Absent };
        match Policy::parse(value) {
            Some(policy) => Wish::Valid(policy),
            None => Wish::Invalid(cut(value, limits::HEADER_TEXT_BYTES).to_owned()),
        }
    }

    /// A tag of one letter among several, the first of which is the default.
    fn letter<T: Copy>(&mut self, tag: &str, choices: &[(&str, T)], default: (&str, T)) -> T {
        let Some(value) = self.get(tag).map(str::to_owned) else { return default.1 };
        match choices.iter().find(|(letter, _)| letter.eq_ignore_ascii_case(&value)) {
            Some((_, choice)) => *choice,
            None => {
                let in_force = format!("the default: {tag}={}", default.0);
                self.note(Flaw::InvalidValue, tag, &value, &in_force);
                default.1
            }
        }
    }

    /// A list of addresses.
    fn uris(&mut self, tag: &str) -> Vec<ReportUri> {
        let Some(list) = self.get(tag).map(str::to_owned) else { return Vec::new() };
        let mut uris = Vec::new();
        for text in list.split(',').map(|text| text.trim_matches([' ', '\t'])) {
            let (uri, size) = text.split_once('!').map_or((text, None), |(uri, size)| (uri, Some(size)));
            match report_uri(uri) {
                Some(uri) if uris.len() < limits::DMARC_URIS => uris.push(uri),
                Some(_) => self.note(Flaw::InvalidUri, tag, text, "not used: more addresses than are read"),
                None => {
                    self.note(Flaw::InvalidUri, tag, text, "not used");
                    continue;
                }
            }
            if size.is_some() {
                self.note(Flaw::ObsoleteSize, tag, text, &format!("{uri} without a limit"));
            }
        }
        uris
    }

    /// When failure reports are wanted.
    fn fo(&mut self, has_ruf: bool) -> String {
        const DEFAULT: &str = "0";
        let Some(value) = self.get("fo").map(str::to_owned) else { return DEFAULT.to_owned() };
        if !has_ruf {
            self.note(Flaw::FoWithoutRuf, "fo", &value, "ignored: failure reports are not asked for");
            return DEFAULT.to_owned();
        }
        let lower = value.to_ascii_lowercase();
        let options: Vec<&str> = lower.split(':').map(|option| option.trim_matches([' ', '\t'])).collect();
        let count = |wanted: &str| options.iter().filter(|option| **option == wanted).count();
        let all_known = options.iter().all(|option| matches!(*option, "0" | "1" | "d" | "s"));
        if all_known && count("0") + count("1") <= 1 && count("d") <= 1 && count("s") <= 1 {
            return options.join(":");
        }
        self.note(Flaw::InvalidValue, "fo", &value, "the default: fo=0");
        DEFAULT.to_owned()
    }
}

impl Record {
    /// Reads a text record; nothing if it does not begin with the version, as it must (RFC 9989 §4.7).
    ///
    /// Syntax errors in the rest are discarded in favor of the defaults (RFC 9989 §4.8), each with a remark.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.get(..limits::DNS_TEXT_BYTES).unwrap_or(text);
        let rest = String::from_utf8_lossy(version(text)?).into_owned();
        let mut tags = Tags::read(&rest);
        let (p, sp, np) = (tags.wish("p"), tags.wish("sp"), tags.wish("np"));
        let modes = [("r", Mode::Relaxed), ("s", Mode::Strict)];
        let adkim = tags.letter("adkim", &modes, ("r", Mode::Relaxed));
        let aspf = tags.letter("aspf", &modes, ("r", Mode::Relaxed));
        let psds = [("y", Psd::Yes), ("n", Psd::No), ("u", Psd::Undefined)];
        let psd = tags.letter("psd", &psds, ("u", Psd::Undefined));
        let is_testing = tags.letter("t", &[("y", true), ("n", false)], ("n", false));
        let (rua, ruf) = (tags.uris("rua"), tags.uris("ruf"));
        let fo = tags.fo(!ruf.is_empty());
        let mut record = Self {
            text: String::from_utf8_lossy(text).into_owned(),
            p,
            sp,
            np,
            adkim,
            aspf,
            psd,
            is_testing,
            rua,
            ruf,
            fo,
            remarks: Vec::new(),
        };
        let in_force = match record.force() {
            Force::AsPublished => "as published",
            Force::AsNone => "the record acts as p=none",
            Force::Nothing => "the record has no effect: no valid policy and no address for reports",
        };
        for (tag, wish) in [("p", &record.p), ("sp", &record.sp), ("np", &record.np)] {
            match wish {
                Wish::Invalid(word) => tags.note(Flaw::InvalidValue, tag, word, in_force),
                Wish::Absent if tag == "p" => tags.note(Flaw::MissingPolicy, tag, "", in_force),
                Wish::Absent | Wish::Valid(_) => {}
            }
        }
        record.remarks = tags.remarks;
        Some(record)
    }

    /// What the record does (RFC 9989 §4.10.1).
    pub fn force(&self) -> Force {
        let is_valid = self.p.policy().is_some() && !self.sp.is_invalid() && !self.np.is_invalid();
        match (is_valid, self.rua.is_empty()) {
            (true, _) => Force::AsPublished,
            (false, false) => Force::AsNone,
            (false, true) => Force::Nothing,
        }
    }
}

/// Reads one URI; a `mailto:` one must hold an address (RFC 3986 §3, RFC 6068 §2).
fn report_uri(text: &str) -> Option<ReportUri> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet));
    let is_plain = rest.bytes().all(|octet| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&octet));
    if !is_scheme || !is_plain || rest.is_empty() {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    let mailbox = if scheme == "mailto" {
        let address = rest.split('?').next().unwrap_or_default();
        Some(Address::parse(&unescaped(address)?)?)
    } else {
        None
    };
    Some(ReportUri { text: text.to_owned(), scheme, mailbox })
}

/// Undoes percent-encoding; nothing if it is broken or no text.
fn unescaped(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            octets.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            octets.push(first);
            rest = after;
        }
    }
    String::from_utf8(octets).ok()
}

/// At most so many bytes of a text.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(text: &str) -> Vec<(&'static str, String)> {
        let record = Record::parse(text.as_bytes()).unwrap();
        record.remarks.iter().map(|remark| (remark.flaw.as_str(), remark.tag.clone())).collect()
    }

    #[test]
    fn what_is_a_record() {
        for text in ["v=DMARC1", "v=DMARC1;", "v = DMARC1 ; p=none", "V=DMARC1;p=none", "v\t=\tDMARC1\t;"] {
            assert!(Record::parse(text.as_bytes()).is_some(), "{text}");
            assert_eq!(NearMiss::of(text.as_bytes()), None, "{text}");
        }
        let cases = [
            ("v=dmarc1; p=none", Some(NearMiss::VersionCase)),
            ("p=none; v=DMARC1", Some(NearMiss::VersionNotFirst)),
            (" v=DMARC1; p=none", Some(NearMiss::LeadingText)),
            ("\"v=DMARC1; p=none", Some(NearMiss::LeadingText)),
            ("v=DMARC1, p=none", Some(NearMiss::VersionTail)),
            ("v=DMARC1x; p=none", Some(NearMiss::VersionTail)),
            ("v=DMARC1 p=none", Some(NearMiss::VersionTail)),
            ("DMARC1; p=none", Some(NearMiss::NoVersion)),
            ("rua=mailto:x@example.net;", Some(NearMiss::NoVersion)),
            ("v=spf1 -all", Some(NearMiss::Spf)),
            ("some other text", None),
            ("v=DMARC", None),
            ("", None),
            ("v", None),
        ];
        for (text, near_miss) in cases {
            assert_eq!(Record::parse(text.as_bytes()), None, "{text}");
            assert_eq!(NearMiss::of(text.as_bytes()), near_miss, "{text}");
        }
    }

    #[test]
    fn values_and_defaults() {
        let record = Record::parse(
            b"v=DMARC1; p = Reject; sp=none;np=quarantine; adkim=S; aspf=s; psd=n; t=Y; \
              rua=mailto:a%21b@example.com!10m , https://example.com/x;ruf=mailto:f@example.com; fo=1:D;",
        )
        .unwrap();
        assert_eq!((record.p, record.sp, record.np), {
            (Wish::Valid(Policy::Reject), Wish::Valid(Policy::None), Wish::Valid(Policy::Quarantine))
        });
        assert_eq!((record.adkim, record.aspf, record.psd), (Mode::Strict, Mode::Strict, Psd::No));
        assert!(record.is_testing);
        assert_eq!(record.fo, "1:d");
        assert_eq!(record.rua.len(), 2);
        assert_eq!(record.rua[0].text, "mailto:a%21b@example.com");
        assert_eq!(record.rua[0].mailbox.as_ref().unwrap().local, "a!b");
        assert_eq!(record.remarks.len(), 1, "{:?}", record.remarks);
        let bare = Record::parse(b"v=DMARC1; p=none").unwrap();
        assert_eq!((bare.adkim, bare.aspf, bare.psd, bare.is_testing), {
            (Mode::Relaxed, Mode::Relaxed, Psd::Undefined, false)
        });
        assert_eq!((bare.fo.as_str(), bare.remarks.len()), ("0", 0));
    }

    #[test]
    fn every_discarded_tag_is_told() {
        let cases = [
            ("v=DMARC1; p=none; pct=50; rf=afrf; ri=3600", vec!["removed-tag"; 3]),
            ("v=DMARC1; p=none; foo=bar", vec!["unknown-tag"]),
            ("v=DMARC1; p=none; p=reject", vec!["repeated-tag"]),
            ("v=DMARC1; p=none; adkim=x; aspf=; t=yes; psd=maybe", vec!["invalid-value"; 4]),
            ("v=DMARC1; p=none; hello; =x; a-b=c", vec!["not-a-tag"; 3]),
            ("v=DMARC1; P=none", vec!["tag-case"]),
            ("v=DMARC1; p=none; rua=a@example.com,mailto:a,mailto:b@c d", vec!["invalid-uri"; 3]),
            ("v=DMARC1; p=none; rua=mailto:a@example.com!1x", vec!["obsolete-size"]),
            ("v=DMARC1; p=none; fo=1", vec!["fo-without-ruf"]),
            ("v=DMARC1; p=none; ruf=mailto:a@example.com; fo=0:1", vec!["invalid-value"]),
            ("v=DMARC1; p=none; ruf=mailto:a@example.com; fo=9", vec!["invalid-value"]),
            ("v=DMARC1; rua=mailto:a@example.com", vec!["missing-policy"]),
            ("v=DMARC1; p=; sp=x; np=\u{e9}", vec!["invalid-value"; 3]),
        ];
        for (text, expected) in cases {
            let found: Vec<&str> = flaws(text).into_iter().map(|(flaw, _)| flaw).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_a_record_without_a_valid_policy_does() {
        let cases = [
            ("v=DMARC1; p=none", Force::AsPublished),
            ("v=DMARC1; rua=mailto:a@example.com", Force::AsNone),
            ("v=DMARC1; rua=a@example.com", Force::Nothing),
            ("v=DMARC1; p=rejct", Force::Nothing),
            ("v=DMARC1; p=reject; sp=foo", Force::Nothing),
            ("v=DMARC1; p=reject; np=foo; rua=mailto:a@example.com", Force::AsNone),
            ("v=DMARC1", Force::Nothing),
        ];
        for (text, force) in cases {
            assert_eq!(Record::parse(text.as_bytes()).unwrap().force(), force, "{text}");
        }
    }

    #[test]
    fn hostile_records_end() {
        let long = format!("v=DMARC1; p=none; rua={}", "mailto:a@example.com,".repeat(100_000));
        let record = Record::parse(long.as_bytes()).unwrap();
        assert!(record.rua.len() <= limits::DMARC_URIS && record.text.len() <= limits::DNS_TEXT_BYTES);
        let many = format!("v=DMARC1; p=none;{}", "x=y;".repeat(100_000));
        let record = Record::parse(many.as_bytes()).unwrap();
        assert_eq!(record.remarks.len(), limits::DMARC_REMARKS);
        assert_eq!(record.remarks.last().unwrap().flaw, Flaw::More);
        assert!(Record::parse(b"v=DMARC1; p=\xff\xfe; \xff=\xff").is_some());
    }
}
