//! What a message trace asks for: who, to whom, which Message-ID, what became of it, what belongs to it.

use crate::mail::DomainName;

/// The filters of a message trace; each that is there must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// The reverse-path or the author.
    pub from: Option<AddressPattern>,
    /// A recipient.
    pub to: Option<AddressPattern>,
    /// The Message-ID field, without `<>`.
    pub message_id: Option<String>,
    /// The kind of the message.
    pub kind: Option<String>,
    /// Its status.
    pub status: Option<String>,
    /// A message, a probe or a Message-ID: all that is about the same.
    pub related: Option<String>,
}

/// An address in which `*` stands for any text, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern {
    /// The local part; empty for the null reverse-path.
    pub local: String,
    /// The domain in A-labels, or an address literal; empty for the null reverse-path.
    pub domain: String,
}

impl AddressPattern {
    /// Reads `anna@example.com`, `*@example.com`, `news*@*.example.com` and `<>`.
    ///
    /// Errors: `None` without `@`, with an empty part, or a domain that can be none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "<>" {
            return Some(Self { local: String::new(), domain: String::new() });
        }
        let text = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
        let (local, domain) = text.rsplit_once('@')?;
        if local.is_empty() || text.contains(char::is_control) {
            return None;
        }
        let local = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(local);
        let is_literal = domain.starts_with('[') && domain.ends_with(']');
        let domain = if is_literal || domain == "*" {
            domain.to_lowercase()
        } else {
            // An asterisk is allowed in names.
            DomainName::parse(domain)?.as_str().to_owned()
        };
        Some(Self { local: local.to_lowercase(), domain })
    }

    /// True if it stands for one address only.
    pub fn is_exact(&self) -> bool {
        !self.local.contains('*') && !self.domain.contains('*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, want) in [
            ("anna@example.com", Some(("anna", "example.com"))),
            (" <Anna@Example.COM.> ", Some(("anna", "example.com"))),
            ("*@example.com", Some(("*", "example.com"))),
            ("news*@*.example.com", Some(("news*", "*.example.com"))),
            ("*@*", Some(("*", "*"))),
            ("\"an na\"@example.com", Some(("an na", "example.com"))),
            ("a@[192.0.2.1]", Some(("a", "[192.0.2.1]"))),
            ("a@bücher.example", Some(("a", "xn--bcher-kva.example"))),
            ("<>", Some(("", ""))),
            ("example.com", None),
            ("@example.com", None),
            ("a@", None),
            ("a@b c", None),
            ("a\u{9b}@example.com", None),
            ("", None),
        ] {
            let found = AddressPattern::parse(text);
            let found = found.as_ref().map(|found| (found.local.as_str(), found.domain.as_str()));
            assert_eq!(found, want, "{text:?}");
        }
    }
}
