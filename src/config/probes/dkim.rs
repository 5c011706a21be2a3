//! `[dkim.NAME]`: keys with which probes are signed.

use crate::config::file::Section;
use crate::config::probes::plain_domain;
use crate::config::secret::Secret;
use crate::config::sections::read_secret;
use crate::mail::DomainName;

/// One key, and the name under which it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimSettings {
    /// Its name in the configuration.
    pub name: String,
    /// `d=`, RFC 6376 §3.5.
    pub domain: DomainName,
    /// `s=`: the key is published at `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// The private key, PEM: RSA or Ed25519. Read whole ([`Secret::read_whole`]).
    pub key: Secret,
}

/// Reads all of them, each with its name; faults are noted on the way.
pub(super) fn read(root: &Section<'_, '_>) -> Vec<(String, Option<DkimSettings>)> {
    let mut keys = Vec::new();
    for (name, section) in root.named("dkim") {
        keys.push((name.to_owned(), read_one(name, &section)));
        section.finish();
    }
    keys
}

/// One of them; `None` if it is not usable.
fn read_one(name: &str, section: &Section<'_, '_>) -> Option<DkimSettings> {
    section.require("domain", "\"probe.example.com\"");
    section.require("selector", "\"s1\"");
    section.require("key", "{ file = \"/etc/mailsonde/dkim.pem\" }");
    let domain = section.parsed("domain", "a domain name", "probe.example.com", plain_domain);
    // RFC 6376 §3.1: one or more labels.
    let selector = section.parsed("selector", "a selector", "s1", |text| {
        let is_label = |label: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
        };
        (text.len() <= 190 && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
    });
    let key = section.section("key").and_then(read_secret);
    Some(DkimSettings { name: name.to_owned(), domain: domain?, selector: selector?, key: key? })
}
