//! What stands under one name: records of SPF, and texts that were meant to be such.

use crate::authentication::spf::record::{Record, is_spf, shown};
use crate::dns::{Answer, Name, NotKnown, RecordData};

/// The texts of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// The SPF records, sorted by text; more than one is a permerror (RFC 7208 §4.5).
    pub records: Vec<PublishedRecord>,
    /// Texts that were probably meant as SPF records and are none.
    pub almost: Vec<Almost>,
    /// Records of Sender ID, `spf2.0/…` (RFC 7208 §C.3).
    pub sender_id: Vec<String>,
    /// Texts of any kind.
    pub texts: usize,
    /// Octets of the whole answer to the question for TXT, with header and question (RFC 7208 §3.4).
    pub answer_octets: usize,
    /// Seconds for which the answer holds.
    pub ttl: Option<u32>,
    /// The names that aliases led through.
    pub aliases: Vec<Name>,
}

/// One SPF record as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRecord {
    /// The record, taken apart.
    pub record: Record,
    /// Octets of each string of it, in order; none has more than 255.
    pub strings: Vec<usize>,
    /// Where two strings meet and a space between them was probably forgotten: octets before the border.
    pub glued: Vec<usize>,
}

/// A text that is nearly an SPF record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Almost {
    /// What keeps it from being one.
    pub kind: AlmostKind,
    /// The text; other octets than ASCII as `\xNN`.
    pub text: String,
    /// The record that was probably meant.
    pub mend: Option<String>,
}

/// What keeps a text from being an SPF record (RFC 7208 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlmostKind {
    /// Something stands before the version: blanks, quotes.
    Before,
    /// No space follows the version.
    NoSpace,
    /// The version is written in another way.
    Version,
    /// Mechanisms without a version: the rest of a record that was divided among several.
    NoVersion,
}

impl AlmostKind {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::NoSpace => "no-space",
            Self::Version => "version",
            Self::NoVersion => "no-version",
        }
    }

    /// What is wrong, in words.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Before => "something stands before `v=spf1`",
            Self::NoSpace => "no space follows `v=spf1`",
            Self::Version => "the version is not written `v=spf1`",
            Self::NoVersion => "mechanisms without `v=spf1`: part of another record?",
        }
    }
}

/// What is known of one name's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The answer.
    Texts(Published),
    /// The name does not exist.
    NoName,
    /// The name has no texts.
    NoTexts,
    /// Nobody answered.
    NotKnown(NotKnown),
    /// Not asked: the tree is too large, or the target is no name.
    NotAsked,
}

impl Found {
    /// Reads the answer to the question for the TXT records of a name.
    pub(super) fn of(name: &Name, answer: &Answer) -> Self {
        if let Some(trouble) = answer.trouble() {
            return Self::NotKnown(trouble.clone());
        }
        if answer.is_void() {
            let is_absent = matches!(answer.outcome, crate::dns::Outcome::NoName);
            return if is_absent { Self::NoName } else { Self::NoTexts };
        }
        let mut published = Published {
            ttl: answer.ttl,
            aliases: answer.aliases.clone(),
            // A header, the question, and the OPT record of the query's answer (RFC 6891 §6.1.2).
            answer_octets: 12 + wire_octets(name) + 4 + 11,
            ..Published::default()
        };
        for data in answer.data() {
            let RecordData::Txt(strings) = data else { continue };
            published.texts += 1;
            // Name as a pointer, type, class, TTL, length; each string has its length before it.
            published.answer_octets += 12 + strings.iter().map(|string| string.len() + 1).sum::<usize>();
            let text = strings.concat();
            if is_spf(&text) {
                published.records.push(PublishedRecord::of(text, strings));
            } else if text.get(..6).is_some_and(|front| front.eq_ignore_ascii_case(b"spf2.0")) {
                published.sender_id.push(shown(&text).into_owned());
            } else {
                published.almost.extend(almost(&text));
            }
        }
        // The order of an answer means nothing.
        published.records.sort_by(|one, other| one.record.octets().cmp(other.record.octets()));
        published.almost.sort_by(|one, other| one.text.cmp(&other.text));
        published.sender_id.sort();
        Self::Texts(published)
    }

    /// The texts, if there are any.
    pub const fn published(&self) -> Option<&Published> {
        match self {
            Self::Texts(published) => Some(published),
            _ => None,
        }
    }
}

/// Octets of a name on the wire.
fn wire_octets(name: &Name) -> usize {
    1 + name.wire_labels().iter().map(|label| label.len() + 1).sum::<usize>()
}

impl PublishedRecord {
    /// Takes a record apart, with the borders of its strings.
    fn of(text: Vec<u8>, strings: &[Vec<u8>]) -> Self {
        let mut glued = Vec::new();
        let mut border = 0;
        let pairs = strings.iter().zip(strings.iter().skip(1));
        for (one, next) in pairs {
            border += one.len();
            let left = one.rsplit(|octet| *octet == b' ').next().unwrap_or_default();
            let right = next.split(|octet| *octet == b' ').next().unwrap_or_default();
            if is_whole(left) && is_whole(right) {
                glued.push(border);
            }
        }
        Self { record: Record::parse(text), strings: strings.iter().map(Vec::len).collect(), glued }
    }

    /// The record with a space at each border where one was probably forgotten.
    pub fn unglued(&self) -> String {
        let mut text = String::new();
        let mut from = 0;
        for &border in self.glued.iter().chain(&[self.record.octets().len()]) {
            let part = self.record.octets().get(from..border).unwrap_or_default();
            text.push_str(&shown(part));
            text.push(' ');
            from = border;
        }
        text.truncate(text.len().saturating_sub(1));
        text
    }
}

/// True if a text is one sound term, or the version.
fn is_whole(term: &[u8]) -> bool {
    if term.eq_ignore_ascii_case(b"v=spf1") {
        return true;
    }
    let record = Record::parse([b"v=spf1 ", term].concat());
    !term.is_empty() && record.faults.is_empty() && record.terms.len() == 1
}

/// What a text lacks to be an SPF record, if it was probably meant as one.
fn almost(text: &[u8]) -> Option<Almost> {
    let text = shown(text);
    let told = |kind, rest: &str| {
        let rest = rest.replace(['"', '\\'], "");
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let mend = ["v=spf1", &words.join(" ")].join(" ");
        let mend = mend.trim_end().to_owned();
        let is_sound = Record::parse(mend.clone().into_bytes()).faults.is_empty();
        Some(Almost { kind, text: text.clone().into_owned(), mend: is_sound.then_some(mend) })
    };
    let after = |text: &str, front: &str| {
        let head = text.get(..front.len())?;
        head.eq_ignore_ascii_case(front).then(|| text.get(front.len()..).unwrap_or_default().to_owned())
    };
    if let Some(rest) = after(&text, "v=spf1") {
        return told(AlmostKind::NoSpace, rest.trim_start_matches([';', ',', ':', '.', '|']));
    }
    let trimmed = text.trim_start_matches(['"', '\'', '\\', ' ', '(']);
    // A mark of the byte order, or a blank of a word processor.
    let trimmed = trimmed.trim_start_matches("xef\\xbb\\xbf").trim_start_matches("xc2\\xa0").trim_start();
    if let Some(rest) = after(trimmed, "v=spf1") {
        return told(AlmostKind::Before, &rest);
    }
    let versions =
        ["v = spf1", "v= spf1", "v =spf1", "v=spf 1", "v:spf1", "v=spf=1", "v=spf", "spf1", "v spf1"];
    for version in versions {
        if let Some(rest) = after(trimmed, version) {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ';' | '.' | ':'));
            return told(AlmostKind::Version, rest);
        }
    }
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let is_term = |word: &&str| is_whole(word.as_bytes()) && (word.contains(':') || word.ends_with("all"));
    let is_part = words.len() > 1 && words.iter().all(is_term);
    if is_part { told(AlmostKind::NoVersion, &text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::RecordType;

    /// The answer of texts, each of strings between `|`.
    fn found(texts: &[&str]) -> Published {
        let data = texts
            .iter()
            .map(|text| RecordData::Txt(text.split('|').map(|part| part.as_bytes().to_vec()).collect()));
        let name = Name::from_dotted("example.com").unwrap();
        match Found::of(&name, &Answer::records(data.collect())) {
            Found::Texts(published) => published,
            other => panic!("{} {other:?}", RecordType::Txt.as_str()),
        }
    }

    #[test]
    fn texts_that_are_nearly_records() {
        let cases = [
            (" v=spf1 -all", AlmostKind::Before, Some("v=spf1 -all")),
            ("\"v=spf1 mx -all\"", AlmostKind::Before, Some("v=spf1 mx -all")),
            ("\u{feff}v=spf1 mx", AlmostKind::Before, Some("v=spf1 mx")),
            ("v=spf1; mx ~all", AlmostKind::NoSpace, Some("v=spf1 mx ~all")),
            ("v=spf1include:a.example ~all", AlmostKind::NoSpace, Some("v=spf1 include:a.example ~all")),
            ("v= spf1 a", AlmostKind::Version, Some("v=spf1 a")),
            ("v=spf2 a -all", AlmostKind::Version, Some("v=spf1 a -all")),
            ("spf1 a -all", AlmostKind::Version, Some("v=spf1 a -all")),
            ("include:b.example -all", AlmostKind::NoVersion, Some("v=spf1 include:b.example -all")),
            ("v=spf1;nonsense", AlmostKind::NoSpace, None),
        ];
        for (text, kind, mend) in cases {
            let published = found(&[text, "v=spf1 -all"]);
            assert_eq!(published.records.len(), 1, "{text}");
            let almost: Vec<_> = published.almost.iter().map(|a| (a.kind, a.mend.as_deref())).collect();
            assert_eq!(almost, [(kind, mend)], "{text}");
        }
        let others = ["google-site-verification=abc", "all in all", "v=DKIM1; p=", "a b", "MS=ms1", ""];
        assert_eq!(found(&others).almost, []);
        assert_eq!(found(&["spf2.0/pra -all"]).sender_id, ["spf2.0/pra -all"]);
    }

    #[test]
    fn strings_that_were_glued() {
        let published = found(&["v=spf1 ip4:192.0.2.1|include:a.example|include:b.example -a|ll"]);
        let record = &published.records[0];
        assert_eq!(record.glued, [20, 37]);
        assert_eq!(record.unglued(), "v=spf1 ip4:192.0.2.1 include:a.example include:b.example -all");
        let published = found(&["v=spf1 ip4:192.0.|2.0/24 -a|ll"]);
        assert_eq!((published.records[0].glued.len(), published.records[0].strings.len()), (0, 3));
        let published = found(&["v=spf1|mx -all"]);
        assert_eq!((published.records.len(), published.almost[0].kind), (0, AlmostKind::NoSpace));
    }

    #[test]
    fn the_size_is_that_of_the_answer_on_the_wire() {
        // 12 header, 13 + 4 question, 11 OPT; 12 and the strings for each record.
        let long = "x".repeat(255);
        let text = format!("{long}|{long}");
        assert_eq!(found(&["v=spf1 -all", &text]).answer_octets, 12 + 17 + 11 + 12 + 12 + 12 + 512);
    }
}
