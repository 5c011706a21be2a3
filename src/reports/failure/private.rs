//! What identifies a person, and how it is made harmless.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use ring::hmac;

/// A value that identifies a person: it can be kept and compared, and shown only on purpose.
///
/// There is no `Display`, and `Debug` hides the value, so that it reaches no log and no message by
/// accident. [`Private::reveal`] is the one way out, easy to look for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for one who may see it.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// Takes the value out, for one who may see it.
    pub fn into_revealed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(…)")
    }
}

/// Bytes of a hash that are shown: 40 bit, enough to see that two texts are the same one.
const HASH_BYTES: usize = 5;
/// Characters of an address before and after its `@`, RFC 5321 §4.5.3.1, and some for quotes.
const ADDRESS_CHARS: usize = 320;

/// Hides persons in texts, always in the same way for the same key.
///
/// A local part becomes `~` and eight characters of its HMAC: with the key of the installation two
/// addresses can be compared, without it nobody can try likely names (RFC 2104 §2).
#[derive(Debug, Clone)]
pub struct Redactor {
    key: hmac::Key,
}

impl Redactor {
    /// A redactor with the key of the installation.
    pub fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The hash of a text: `~` and eight characters, the same for another case.
    pub fn hash(&self, text: &str) -> String {
        let tag = hmac::sign(&self.key, text.trim().to_lowercase().as_bytes());
        let bytes = tag.as_ref().get(..HASH_BYTES).unwrap_or_default();
        format!("~{}", BASE32_NOPAD.encode(bytes).to_lowercase())
    }

    /// An address with its local part hashed; other text is hashed whole; empty stays empty.
    pub fn address(&self, text: &str) -> String {
        let text = text.trim();
        if text.is_empty() {
            return String::new();
        }
        match text.rsplit_once('@') {
            Some(("", domain)) => format!("@{domain}"),
            Some((_, domain)) if domain.chars().all(is_domain_char) => {
                format!("{}@{domain}", self.hash(text))
            }
            _ => self.hash(text),
        }
    }

    /// A text with the local part of every address in it hashed.
    pub fn text(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let (before, after) = rest.split_at(at);
            let local = local_part(before);
            let domain = domain_part(after.get(1..).unwrap_or_default());
            shown.push_str(before.get(..before.len() - local.len()).unwrap_or_default());
            if local.is_empty() || domain.is_empty() {
                shown.push_str(local);
            } else {
                let whole = before.len() - local.len()..at + 1 + domain.len();
                shown.push_str(&self.hash(rest.get(whole).unwrap_or_default()));
            }
            shown.push('@');
            rest = after.get(1..).unwrap_or_default();
        }
        shown.push_str(rest);
        shown
    }

    /// A link without its path, since that may name the recipient; a `mailto:` with its local part hashed.
    pub fn uri(&self, text: &str) -> String {
        let text = text.trim();
        if let Some((scheme, address)) = text.split_once(':')
            && scheme.eq_ignore_ascii_case("mailto")
        {
            let address = address.split('?').next().unwrap_or_default();
            return format!("mailto:{}", self.address(address));
        }
        // RFC 3986 §3.1. What is no scheme may be anything, such as words with an address in them.
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        };
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return self.hash(text);
        };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let host = authority.rsplit('@').next().unwrap_or_default();
        let more = if path.len() > 1 { "/…" } else { path };
        format!("{scheme}://{host}{more}")
    }
}

/// The local part at the end of a text: a quoted one, or the letters that may stand in one.
fn local_part(before: &str) -> &str {
    if let Some(inner) = before.strip_suffix('"') {
        let tail = inner.get(inner.ceil_char_boundary(inner.len().saturating_sub(ADDRESS_CHARS))..);
        // Without an opening quote this is the rest of one that holds an `@`: all of it is hidden.
        let start = match tail.and_then(|tail| Some((tail, tail.rfind('"')?))) {
            Some((tail, open)) => inner.len() - tail.len() + open,
            None => 0,
        };
        return before.get(start..).unwrap_or_default();
    }
    let letters = before.chars().rev().take_while(|c| is_local_char(*c)).map(char::len_utf8).sum::<usize>();
    let run = before.get(before.len() - letters..).unwrap_or_default();
    // `smtp.mailfrom=user@…` is a name and an address; `list=user@…` is all address: lists write the
    // recipient into the local part.
    match run.split_once('=') {
        Some((name, local)) if is_property(name) => local,
        _ => run,
    }
}

/// True for the names that stand before an address and `=` in fields about authentication.
fn is_property(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["smtp.", "header.", "policy.", "body."].iter().any(|kind| lower.starts_with(kind))
        || ["envelope-from", "mailfrom", "x-sender", "i", "mail", "from", "rcpt", "to"]
            .contains(&lower.as_str())
}

/// The domain at the start of a text.
fn domain_part(after: &str) -> &str {
    let end = after.find(|c| !is_domain_char(c)).unwrap_or(after.len());
    after.get(..end).unwrap_or_default()
}

/// True for letters of a local part that needs no quotes.
fn is_local_char(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

/// True for letters of a domain or an address literal.
fn is_domain_char(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || ".-_[]:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_not_printed() {
        let secret = Private::new("user@example.com".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Private(…) Some(Private(…))");
        assert_eq!(secret.reveal(), "user@example.com");
    }

    #[test]
    fn texts_lose_their_persons() {
        let redactor = Redactor::new(b"key");
        let hash = redactor.hash("user@example.com");
        assert_eq!(hash.len(), 9);
        assert_ne!(hash, Redactor::new(b"other").hash("user@example.com"));
        assert_eq!(redactor.address("User@Example.com"), format!("{hash}@Example.com"));
        assert_eq!(redactor.address(""), "");
        assert_eq!(redactor.address("@example.com"), "@example.com");
        assert!(redactor.address("Undisclosed Recipients").starts_with('~'));
        let cases = [
            (
                "spf=pass smtp.mailfrom=user@example.com; x",
                format!("spf=pass smtp.mailfrom={hash}@example.com; x"),
            ),
            ("<user@example.com>,user@example.com", format!("<{hash}@example.com>,{hash}@example.com")),
            ("header.i=@example.com", "header.i=@example.com".to_owned()),
            ("a @ b", "a @ b".to_owned()),
            ("no address", "no address".to_owned()),
            ("@@@", "@@@".to_owned()),
        ];
        for (text, want) in cases {
            assert_eq!(redactor.text(text), want, "{text:?}");
        }
        let listed = redactor.text("smtp.mailfrom=bounce+7=user=163.example@list.example");
        assert!(listed.starts_with("smtp.mailfrom=~") && listed.ends_with("@list.example"), "{listed}");
        assert!(!listed.contains("user") && !listed.contains("bounce"), "{listed}");
        for text in [
            "\"a b@c b\"@example.com",
            "\"a b\"@example.com",
            "\u{fc}ser@example.com",
            "a=b@example.com",
            "a@b@example.com",
        ] {
            let shown = redactor.text(text);
            assert!(
                !shown.contains("a b") && !shown.contains("\u{fc}ser") && !shown.contains("b@"),
                "{shown}"
            );
        }
    }

    #[test]
    fn links_lose_their_paths() {
        let redactor = Redactor::new(b"key");
        let cases = [
            ("http://www.example.com/", "http://www.example.com/"),
            ("https://example.com/u?mail=user%40example.com", "https://example.com/…"),
            ("https://user:word@example.com", "https://example.com"),
        ];
        for (text, want) in cases {
            assert_eq!(redactor.uri(text), want);
        }
        assert!(redactor.uri("mailto:user@example.com?subject=x").ends_with("@example.com"));
        assert!(!redactor.uri("mailto:user@example.com").contains("user"));
        for text in
            ["example.com/user", "see user@example.com or http://a", "://user@example.com", "\u{fc}://a"]
        {
            assert!(redactor.uri(text).starts_with('~'), "{text}");
        }
    }

    #[test]
    fn long_texts_take_linear_time() {
        // Ten times as long must not be a hundred times as slow: 2 MB of each would show it.
        let redactor = Redactor::new(b"key");
        for text in
            ["@".repeat(200_000), "a@".repeat(100_000), "\"a\"@".repeat(50_000), "a".repeat(2_000_000)]
        {
            assert!(!redactor.text(&text).is_empty());
        }
    }
}
