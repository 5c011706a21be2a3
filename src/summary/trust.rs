//! How far a report can be believed: a property of the mail that brought it.

use crate::mail::DomainName;

/// The trust in one report. It belongs to the sender domain that authenticated, never to `org_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// The mail was authenticated and failed.
    Failed,
    /// The mail's authentication is not known yet.
    Pending,
    /// The mail could not be authenticated: no signature, no policy.
    Unverified,
    /// Read from a file: no transport was seen.
    Imported,
    /// The mail passes DMARC (for TLS reports: a valid DKIM signature by the reporter).
    Verified,
}

impl Trust {
    /// All values, from the least to the most trusted.
    pub const ALL: [Self; 5] =
        [Self::Failed, Self::Pending, Self::Unverified, Self::Imported, Self::Verified];

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Unverified => "unverified",
            Self::Imported => "imported",
            Self::Verified => "verified",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trust| trust.as_str() == text)
    }

    /// True if an aggregate or failure report of this trust counts.
    pub const fn is_counted(self) -> bool {
        !matches!(self, Self::Failed)
    }

    /// True if a TLS report of this trust counts: without a valid DKIM signature it is to be ignored (RFC 8460 §3). One
    /// that waits for its verdict counts until then; a file has no mail that could be signed.
    pub const fn is_counted_for_tls(self) -> bool {
        matches!(self, Self::Verified | Self::Imported | Self::Pending)
    }

    /// True for what verification found, as opposed to what is assumed of mail before it.
    pub const fn is_verdict(self) -> bool {
        matches!(self, Self::Verified | Self::Unverified | Self::Failed)
    }
}

// ---- Whose report ----

/// The organizational domain of an address in a From field, by the public suffix list.
pub fn sender_domain(header_from: &str) -> Option<String> {
    let (_, host) = header_from.rsplit_once('@')?;
    organizational(host)
}

/// True if a report that came from the organizational domain `sender` names it as its reporter: by its name where
/// that is a domain, else by its address. Whoever authenticates as another domain is not that reporter.
pub fn names_sender(sender: Option<&str>, org_name: Option<&str>, contact: Option<&str>) -> bool {
    let Some(sender) = sender else { return false };
    let is_domain = |name: &&str| name.contains('.') && !name.contains(char::is_whitespace);
    if let Some(named) = org_name.map(str::trim).filter(is_domain).and_then(organizational) {
        return named == sender;
    }
    let Some(contact) = contact.map(str::trim) else { return false };
    // `name@host`, `mailto:name@host` or `https://host/path`.
    let host = match contact.rsplit_once('@') {
        Some((_, host)) => host,
        None => contact.split_once("://").map_or(contact, |(_, rest)| rest),
    };
    let end = host.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_')));
    let host = end.and_then(|end| host.get(..end)).unwrap_or(host);
    organizational(host).is_some_and(|named| named == sender)
}

/// The organizational domain of a name; a public suffix is its own.
fn organizational(host: &str) -> Option<String> {
    let name = DomainName::parse(host.trim())?;
    Some(psl::domain_str(name.as_str()).unwrap_or(name.as_str()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_named() {
        type Case = (&'static str, Option<&'static str>, Option<&'static str>, bool);
        let cases: [Case; 14] = [
            ("noreply@google.com", Some("google.com"), Some("noreply@google.com"), true),
            ("noreply@mail.google.com", Some("google.com"), None, true),
            ("noreply@GOOGLE.com", Some("Google.com"), None, true),
            // A name that is a domain outweighs the address: it is the key.
            ("x@evil.example", Some("google.com"), Some("x@evil.example"), false),
            ("x@evil.example", Some("google.com"), None, false),
            ("x@evil.example", Some("Google Inc."), Some("noreply@google.com"), false),
            ("tls@google.com", Some("Google Inc."), Some("tls@google.com"), true),
            ("tls@google.com", Some("Google Inc."), Some("mailto:tls@google.com"), true),
            ("tls@a.co.uk", None, Some("https://b.a.co.uk/tls?x=1"), true),
            ("tls@b.co.uk", None, Some("https://a.co.uk"), false),
            ("tls@a.example", Some("A"), None, false),
            ("tls@a.example", None, Some("@"), false),
            ("no address", Some("no"), Some("no"), false),
            ("a@b.example", Some(""), Some(""), false),
        ];
        for (from, org_name, contact, expected) in cases {
            let sender = sender_domain(from);
            assert_eq!(
                names_sender(sender.as_deref(), org_name, contact),
                expected,
                "{from} {org_name:?} {contact:?}"
            );
        }
    }
}
