//! Domain names.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// Octets of one label (RFC 1035 §2.3.4).
const LABEL_OCTETS: usize = 63;
/// Octets of a whole name with its dots, without the final one (RFC 1035 §2.3.4: 255 with length octets).
const NAME_OCTETS: usize = 253;

/// An absolute domain name, ASCII letters in lower case.
///
/// Kept as text without the final dot; the root is empty. Octets other than printable ASCII, and dots and
/// backslashes within a label, stand as in zone files: `\.`, `\\`, `\195` (RFC 1035 §5.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    text: Box<str>,
}

/// Why something is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot at the beginning.
    #[error("a label is empty")]
    EmptyLabel,
    /// More than 63 octets.
    #[error("a label is longer than 63 octets")]
    LongLabel,
    /// More than 253 octets.
    #[error("the name is longer than 253 octets")]
    LongName,
    /// No valid internationalized name (UTS 46).
    #[error("not a valid internationalized domain name")]
    Internationalized,
}

impl Name {
    /// The root of all names.
    pub fn root() -> Self {
        Self { text: Box::from("") }
    }

    /// Reads a name as records and mail write it: labels split at every dot, all other octets as they are,
    /// with or without the final dot.
    pub fn from_dotted(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::root());
        }
        // Nearly every name: nothing to escape.
        if text.bytes().all(|octet| matches!(octet, b'!'..=b'~') && octet != b'\\') {
            let longest = text.split('.').try_fold(0, |longest: usize, label| match label.len() {
                0 => Err(NameError::EmptyLabel),
                length => Ok(longest.max(length)),
            })?;
            return match (longest, text.len()) {
                (label, _) if label > LABEL_OCTETS => Err(NameError::LongLabel),
                (_, whole) if whole > NAME_OCTETS => Err(NameError::LongName),
                _ => Ok(Self { text: text.to_ascii_lowercase().into_boxed_str() }),
            };
        }
        Self::from_labels(text.split('.').map(str::as_bytes))
    }

    /// Reads a name that a person wrote: U-labels become A-labels (UTS 46, RFC 5891).
    pub fn from_person(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_ascii() {
            return Self::from_dotted(text);
        }
        Self::from_dotted(&idna::domain_to_ascii(text).map_err(|_| NameError::Internationalized)?)
    }

    /// Makes a name of its labels, left to right, each as octets.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NameError> {
        let mut text = String::new();
        let mut octets = 0_usize;
        for label in labels {
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > LABEL_OCTETS {
                return Err(NameError::LongLabel);
            }
            if octets > 0 {
                text.push('.');
                octets += 1;
            }
            octets += label.len();
            for &octet in label {
                match octet {
                    b'.' | b'\\' => text.extend(['\\', char::from(octet)]),
                    b'!'..=b'~' => text.push(char::from(octet.to_ascii_lowercase())),
                    _ => {
                        let _ = write!(text, "\\{octet:03}");
                    }
                }
            }
        }
        if octets > NAME_OCTETS {
            return Err(NameError::LongName);
        }
        Ok(Self { text: text.into_boxed_str() })
    }

    /// The name under which an address is looked up in reverse (RFC 1035 §3.5, RFC 3596 §2.5).
    pub fn reverse(address: IpAddr) -> Self {
        let text = match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let mut text = String::with_capacity(72);
                for octet in address.octets().iter().rev() {
                    let _ = write!(text, "{:x}.{:x}.", octet & 0xf, octet >> 4);
                }
                text.push_str("ip6.arpa");
                text
            }
        };
        Self { text: text.into_boxed_str() }
    }

    /// The text without the final dot, escaped as in zone files; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for the root.
    pub fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// The labels, left to right, escaped as in [`Self::as_str`].
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        let mut starts = vec![0];
        let mut ends = Vec::new();
        let mut is_escaped = false;
        for (place, octet) in self.text.bytes().enumerate() {
            match octet {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'.' => {
                    ends.push(place);
                    starts.push(place + 1);
                }
                _ => {}
            }
        }
        ends.push(self.text.len());
        starts
            .into_iter()
            .zip(ends)
            .filter_map(|(start, end)| self.text.get(start..end))
            .filter(|label| !label.is_empty())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// How many labels it has; 0 for the root.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The labels as octets, left to right, as they go over the wire.
    pub fn wire_labels(&self) -> Vec<Vec<u8>> {
        self.labels().map(unescaped).collect()
    }

    /// The name without its left-most label; nothing above the root.
    pub fn parent(&self) -> Option<Self> {
        let count = self.label_count();
        (count > 0).then(|| self.last_labels(count - 1))
    }

    /// The last `count` labels; the whole name if it has fewer.
    pub fn last_labels(&self, count: usize) -> Self {
        let all: Vec<&str> = self.labels().collect();
        let kept = all.get(all.len().saturating_sub(count)..).unwrap_or_default();
        Self { text: kept.join(".").into_boxed_str() }
    }

    /// This name with labels written before it, such as `_dmarc` or `s1._domainkey`.
    pub fn below(&self, labels: &str) -> Result<Self, NameError> {
        self.below_labels_of(&Self::from_dotted(labels)?)
    }

    /// This name with all labels of another written before it, octets as they are: the text of a name is escaped
    /// and must not be read as one.
    pub fn below_labels_of(&self, front: &Self) -> Result<Self, NameError> {
        let octets: Vec<Vec<u8>> = front.wire_labels().into_iter().chain(self.wire_labels()).collect();
        Self::from_labels(octets.iter().map(Vec::as_slice))
    }

    /// The name that this one becomes where all below `owner` stands below `target` (DNAME, RFC 6672 §2.2); nothing
    /// if it is not below `owner`. Errors: the new name is too long.
    pub fn moved(&self, owner: &Self, target: &Self) -> Result<Option<Self>, NameError> {
        if self == owner || !self.is_within(owner) {
            return Ok(None);
        }
        let mut labels = self.wire_labels();
        labels.truncate(labels.len().saturating_sub(owner.label_count()));
        labels.extend(target.wire_labels());
        Self::from_labels(labels.iter().map(Vec::as_slice)).map(Some)
    }

    /// True if this is `other` or stands below it.
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root() || self == other || self.last_labels(other.label_count()) == *other
    }
}

/// The octets of an escaped label.
fn unescaped(label: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let number = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok());
        match (first, number, after.split_first()) {
            (b'\\', Some(octet), _) => {
                octets.push(octet);
                rest = after.get(3..).unwrap_or_default();
            }
            (b'\\', None, Some((&octet, after))) => {
                octets.push(octet);
                rest = after;
            }
            _ => {
                octets.push(first);
                rest = after;
            }
        }
    }
    octets
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_root() { "." } else { &self.text })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_taken_apart() {
        let name = Name::from_dotted("_DMARC.Example.COM.").unwrap();
        assert_eq!(name.as_str(), "_dmarc.example.com");
        assert_eq!(name.labels().collect::<Vec<_>>(), ["_dmarc", "example", "com"]);
        assert_eq!(name.parent().unwrap().as_str(), "example.com");
        assert_eq!(name.last_labels(1).as_str(), "com");
        assert_eq!(name.last_labels(9), name);
        assert!(name.is_within(&Name::from_dotted("example.com").unwrap()));
        assert!(!name.is_within(&Name::from_dotted("ample.com").unwrap()));
        assert!(name.is_within(&Name::root()));
        assert_eq!(Name::root().parent(), None);
        assert_eq!(Name::root().to_string(), ".");
    }

    #[test]
    fn odd_octets_survive() {
        let name = Name::from_labels([b"a.b\\c d".as_slice(), "\u{e9}9".as_bytes(), b"x"]).unwrap();
        assert_eq!(name.as_str(), "a\\.b\\\\c\\032d.\\195\\1699.x");
        assert_eq!(name.wire_labels(), [b"a.b\\c d".to_vec(), "\u{e9}9".as_bytes().to_vec(), b"x".to_vec()]);
        assert_eq!(name.label_count(), 3);
        assert_eq!(name.parent().unwrap().label_count(), 2);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!(Name::from_dotted("a..b"), Err(NameError::EmptyLabel));
        assert_eq!(Name::from_dotted(".a"), Err(NameError::EmptyLabel));
        assert_eq!(Name::from_dotted(&"a".repeat(64)), Err(NameError::LongLabel));
        assert_eq!(Name::from_dotted(&["abcdefg"; 32].join(".")), Err(NameError::LongName));
        assert_eq!(Name::from_dotted("example.com").unwrap().below("a."), Name::from_dotted("a.example.com"));
    }

    #[test]
    fn names_move_with_the_tree_above_them() {
        let name = |text: &str| Name::from_dotted(text).unwrap();
        let moved = |text: &str, owner: &str, target: &str| name(text).moved(&name(owner), &name(target));
        assert_eq!(moved("a.b.old.test", "old.test", "new.example"), Ok(Some(name("a.b.new.example"))));
        assert_eq!(moved("a.old.test", "old.test", "."), Ok(Some(name("a"))));
        // The owner itself stays, and so do names that only end alike.
        assert_eq!(moved("old.test", "old.test", "new.example"), Ok(None));
        assert_eq!(moved("a.cold.test", "old.test", "new.example"), Ok(None));
        let long = ["abcdefg"; 30].join(".");
        assert_eq!(name(&long).below("a.b").map(|long| long.label_count()), Ok(32));
        assert_eq!(moved("abcdefghijklmn.old.test", "old.test", &long), Err(NameError::LongName));
    }

    #[test]
    fn names_of_people_become_a_labels() {
        assert_eq!(Name::from_person("b\u{fc}cher.example").unwrap().as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn addresses_have_reverse_names() {
        assert_eq!(Name::reverse("192.0.2.1".parse().unwrap()).as_str(), "1.2.0.192.in-addr.arpa");
        let six = Name::reverse("2001:db8::1".parse().unwrap());
        assert!(six.as_str().starts_with("1.0.0.0.") && six.as_str().ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"));
        assert_eq!(six.label_count(), 34);
    }
}
