//! Domain names, mailbox addresses and reverse-paths as they stand in an envelope or a report.

use std::fmt;

use crate::limits;

/// A domain name in lower case, as A-labels, without the final dot.
///
/// Underscores and single labels are allowed: reports and envelopes hold them. The empty name is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Box<str>);

impl DomainName {
    /// Reads a domain name: trims, drops the final dot, lowers the case, maps U-labels to A-labels.
    ///
    /// Errors: `None` for the empty name, a name over 255 octets, and a name with a blank, a control
    /// character or a character that no host name can hold (`@ / \ : < > " ( ) , ;` and brackets).
    /// Standard: RFC 5321 §2.3.5, RFC 5890 §2.3.2.1.
    pub fn parse(text: &str) -> Option<Self> {
        let whole = text.trim();
        let text = whole.strip_suffix('.').unwrap_or(whole);
        if text.is_empty() || text.len() > limits::DOMAIN_BYTES * 4 {
            return None;
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*');
        if text.bytes().all(plain) {
            let is_name = text.len() <= limits::DOMAIN_BYTES && !has_empty_label(text);
            return is_name.then(|| Self(text.to_ascii_lowercase().into_boxed_str()));
        }
        if text.is_ascii() {
            return None;
        }
        // Mapping takes letters away and makes dots of others, so that the result is held to the same rules.
        let ascii = idna::domain_to_ascii(whole).ok()?;
        let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
        if has_empty_label(ascii) || ascii.len() > limits::DOMAIN_BYTES || !ascii.bytes().all(plain) {
            return None;
        }
        Some(Self(ascii.into()))
    }

    /// The name: lower case, A-labels, no final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if this name is `parent` or stands below it.
    pub fn is_at_or_below(&self, parent: &Self) -> bool {
        match self.0.strip_suffix(&*parent.0) {
            Some("") => true,
            Some(rest) => rest.ends_with('.'),
            None => false,
        }
    }
}

/// True if a label is empty, at an end too: the final dot is gone already.
fn has_empty_label(text: &str) -> bool {
    text.split('.').any(str::is_empty)
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mailbox address: a local part, kept as written without its quotes, and a domain or literal.
///
/// `domain` is absent only for the bare `Postmaster` of RFC 5321 §4.5.1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The local part, unquoted, case as written.
    pub local: String,
    /// The domain in lower-case A-labels, or an address literal in brackets as written.
    pub domain: Option<String>,
}

impl Address {
    /// Makes an address of a local part and a domain name.
    pub fn new(local: impl Into<String>, domain: &DomainName) -> Self {
        Self { local: local.into(), domain: Some(domain.as_str().to_owned()) }
    }

    /// Reads `local@domain`, with a quoted local part or an address literal if need be.
    ///
    /// Errors: `None` where a part is missing, too long (RFC 5321 §4.5.3.1) or holds a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // Also those outside ASCII: U+009B begins a sequence on a terminal as ESC does.
        if text.contains(char::is_control) {
            return None;
        }
        let (local, rest) = if let Some(quoted) = text.strip_prefix('"') {
            let mut local = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next()? {
                    (_, '\\') => local.push(chars.next()?.1),
                    (at, '"') => break at,
                    (_, c) => local.push(c),
                }
            };
            (local, quoted.get(end + 1..)?.strip_prefix('@')?)
        } else {
            let (local, rest) = text.rsplit_once('@')?;
            if local.contains(['@', '<', '>', ' ', '"', '(', ')', ',', ';', ':', '\\']) {
                return None;
            }
            (local.to_owned(), rest)
        };
        if local.is_empty() || local.len() > limits::LOCAL_PART_BYTES {
            return None;
        }
        let domain = if rest.starts_with('[') {
            if !rest.ends_with(']') || rest.len() > limits::DOMAIN_BYTES || rest.contains(' ') {
                return None;
            }
            rest.to_owned()
        } else {
            DomainName::parse(rest)?.as_str().to_owned()
        };
        Some(Self { local, domain: Some(domain) })
    }

    /// The domain as a name; absent for literals and for the bare `Postmaster`.
    pub fn domain_name(&self) -> Option<DomainName> {
        self.domain.as_deref().and_then(DomainName::parse)
    }

    /// True if both are one mailbox to us: domains compare without case, and so do local parts,
    /// since we are the final host and choose to (RFC 5321 §2.4).
    pub fn matches(&self, other: &Self) -> bool {
        self.local.eq_ignore_ascii_case(&other.local) && self.domain == other.domain
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let atom = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let dots = self.local.starts_with('.') || self.local.ends_with('.') || self.local.contains("..");
        if !self.local.is_empty() && !dots && self.local.chars().all(atom) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        match &self.domain {
            Some(domain) => write!(f, "@{domain}"),
            None => Ok(()),
        }
    }
}

/// The reverse-path of a transaction: who hears of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a bounce or another message that must not be answered (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Address(Address),
}

impl ReversePath {
    /// The address, if there is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// `<>` or the bare address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names() {
        let cases = [
            ("Example.COM.", Some("example.com")),
            (" bücher.example ", Some("xn--bcher-kva.example")),
            ("_dmarc.example.com", Some("_dmarc.example.com")),
            ("localhost", Some("localhost")),
            ("", None),
            (".", None),
            ("a..b", None),
            ("a b", None),
            (".a\u{feff}b", None),
            ("a.\u{feff}.b", None),
            ("\u{fc}\u{3002}", Some("xn--tda")),
            ("\u{fc}.", Some("xn--tda")),
            // Two final dots are an empty label.
            ("a..", None),
            ("..", None),
            ("\u{fc}..", None),
            ("\u{fc}\u{3002}.", None),
            ("user@example.com", None),
        ];
        for (text, want) in cases {
            assert_eq!(DomainName::parse(text).as_ref().map(DomainName::as_str), want, "{text:?}");
        }
    }

    #[test]
    fn below() {
        let parent = DomainName::parse("example.com").unwrap();
        assert!(DomainName::parse("a.example.com").unwrap().is_at_or_below(&parent));
        assert!(parent.is_at_or_below(&parent));
        assert!(!DomainName::parse("badexample.com").unwrap().is_at_or_below(&parent));
    }

    #[test]
    fn addresses() {
        let cases = [
            ("a@Example.com", Some("a@example.com")),
            ("\"a b\"@example.com", Some("\"a b\"@example.com")),
            ("\"a\\\"b@c\"@example.com", Some("\"a\\\"b@c\"@example.com")),
            ("a@[192.0.2.1]", Some("a@[192.0.2.1]")),
            ("a@[IPv6:2001:db8::1]", Some("a@[IPv6:2001:db8::1]")),
            ("@example.com", None),
            ("a", None),
            ("a@", None),
            ("a b@example.com", None),
            ("a@b@example.com", None),
            ("a\u{9b}b@example.com", None),
            ("\"a\u{85}b\"@example.com", None),
        ];
        for (text, want) in cases {
            assert_eq!(Address::parse(text).map(|a| a.to_string()).as_deref(), want, "{text:?}");
        }
    }
}
