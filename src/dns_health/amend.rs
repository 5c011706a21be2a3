//! Records with an address of ours added: everything else stays as its owner wrote it, in its order.
//!
//! Texts are handled as octets, a character each, so that what is no ASCII comes out as it went in.

use std::fmt::Write as _;

use crate::authentication::dmarc::{Record, Wish};
use crate::mail::Address;

/// The `mailto:` URI of a mailbox. Whatever could be read as something else in a record is percent-encoded: `,`
/// and `!` must be (RFC 9989 §4.6, RFC 8460 §3), the rest by RFC 6068 §2.
pub fn mailto(address: &Address) -> String {
    let mut uri = "mailto:".to_owned();
    for octet in address.to_string().bytes() {
        if octet.is_ascii_alphanumeric() || b"@.-_~+".contains(&octet) {
            uri.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{octet:02X}");
        }
    }
    uri
}

/// The mailbox of a `mailto:` URI as a record has it, without a size and what follows `?`.
pub fn mailbox(uri: &str) -> Option<Address> {
    let (scheme, rest) = uri.trim().split_once(':')?;
    if !scheme.eq_ignore_ascii_case("mailto") {
        return None;
    }
    let text = rest.split(['?', '!']).next().unwrap_or_default();
    let mut octets = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let Some((&first, after)) = left.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            octets.push(u8::from_str_radix(digits, 16).ok()?);
            left = after.get(2..)?;
        } else {
            octets.push(first);
            left = after;
        }
    }
    Address::parse(std::str::from_utf8(&octets).ok()?)
}

/// A DMARC record with addresses added: to `rua` those of `rua`, to `ruf` those of `ruf`. Tags, their order and
/// their own addresses stay. Where `p` is missing it becomes `p=none`, which is what such a record does (RFC 9989
/// §4.10.1) and what readers of RFC 7489 §6.3 need.
pub fn dmarc(octets: &[u8], rua: &[&Address], ruf: &[&Address]) -> Vec<u8> {
    let mut text = characters(octets);
    let has_no_policy = Record::parse(octets).is_some_and(|record| record.p == Wish::Absent);
    if has_no_policy {
        text = match text.split_once(';') {
            Some((version, rest)) if !rest.trim().is_empty() => format!("{version}; p=none;{rest}"),
            _ => format!("{}; p=none", text.trim_end().trim_end_matches(';')),
        };
    }
    for (tag, addresses) in [("rua", rua), ("ruf", ruf)] {
        for address in addresses {
            text = with_uri(&text, tag, &mailto(address));
        }
    }
    octets_of(&text)
}

/// A TLS-RPT record with an address added; other fields stay (RFC 8460 §3).
pub fn tls_rpt(octets: &[u8], address: &Address) -> Vec<u8> {
    octets_of(&with_uri(&characters(octets), "rua", &mailto(address)))
}

/// A record with a URI added to the list of one tag, such as `rua`.
pub fn add(octets: &[u8], tag: &str, uri: &str) -> Vec<u8> {
    octets_of(&with_uri(&characters(octets), tag, uri))
}

/// A text that was meant as a DMARC record, as one: the version first and written right, then its tags in their
/// order.
pub fn mended_dmarc(octets: &[u8]) -> Vec<u8> {
    let text = characters(octets);
    let mut parts = vec!["v=DMARC1".to_owned()];
    for part in text.split(';') {
        let part = part.trim();
        let squeezed: String = part.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
        if let Some(at) =
            squeezed.find("dmarc1").filter(|_| squeezed.contains("v=dmarc1") || squeezed == "dmarc1")
        {
            // What follows the version without a semicolon, such as `v=DMARC1 p=none` or `v=DMARC1,p=none`.
            let rest = squeezed.get(at + 6..).unwrap_or_default().trim_start_matches([',', ':', '.']);
            if rest.contains('=') {
                parts.push(rest.to_owned());
            }
        } else if part.contains('=') {
            parts.push(part.to_owned());
        }
    }
    octets_of(&parts.join("; "))
}

/// A text of tags with a URI added to the list of one: the first tag of that name is the one that holds.
fn with_uri(text: &str, tag: &str, uri: &str) -> String {
    let mut parts: Vec<String> = text.split(';').map(str::to_owned).collect();
    let is_tag = |part: &String| {
        part.split_once('=').is_some_and(|(name, _)| name.trim_matches([' ', '\t']).eq_ignore_ascii_case(tag))
    };
    if let Some(part) = parts.iter_mut().find(|part| is_tag(part)) {
        let list = part.trim_end_matches([' ', '\t', ',']).to_owned();
        let is_empty = list.split_once('=').is_none_or(|(_, list)| list.trim().is_empty());
        *part = format!("{list}{}{uri}", if is_empty { "" } else { "," });
        return parts.join(";");
    }
    let body = text.trim_end_matches([' ', '\t']);
    let (body, end) = match body.strip_suffix(';') {
        Some(body) => (body.trim_end_matches([' ', '\t', ';']), ";"),
        None => (body, ""),
    };
    let blank = if body.contains(';') && !body.contains("; ") { "" } else { " " };
    format!("{body};{blank}{tag}={uri}{end}")
}

/// Octets as characters of the same number.
fn characters(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

/// The octets of such characters.
fn octets_of(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(octets: &[u8]) -> String {
        String::from_utf8(octets.to_vec()).unwrap()
    }

    #[test]
    fn addresses_are_added_and_all_else_stays() {
        let ours = Address::parse("dmarc@m.example").unwrap();
        for (before, after) in [
            ("v=DMARC1; p=none", "v=DMARC1; p=none; rua=mailto:dmarc@m.example"),
            ("v=DMARC1; p=none;", "v=DMARC1; p=none; rua=mailto:dmarc@m.example;"),
            ("v=DMARC1;p=none ; ", "v=DMARC1;p=none;rua=mailto:dmarc@m.example;"),
            ("v=DMARC1;p=reject;aspf=s", "v=DMARC1;p=reject;aspf=s;rua=mailto:dmarc@m.example"),
            (
                "v=DMARC1; rua=mailto:a@b.example!10m , mailto:c@d.example ; p=reject; pct=50; x=1",
                "v=DMARC1; rua=mailto:a@b.example!10m , mailto:c@d.example,mailto:dmarc@m.example; p=reject; pct=50; x=1",
            ),
            (
                "v=DMARC1; p=none; RUA=https://a.example/",
                "v=DMARC1; p=none; RUA=https://a.example/,mailto:dmarc@m.example",
            ),
            ("v=DMARC1; p=none; rua=", "v=DMARC1; p=none; rua=mailto:dmarc@m.example"),
            (
                "v=DMARC1; p=none; rua=mailto:a@b.example,",
                "v=DMARC1; p=none; rua=mailto:a@b.example,mailto:dmarc@m.example",
            ),
            // The first of two tags is the one that holds.
            (
                "v=DMARC1; p=none; rua=mailto:a@b.example; rua=mailto:c@d.example",
                "v=DMARC1; p=none; rua=mailto:a@b.example,mailto:dmarc@m.example; rua=mailto:c@d.example",
            ),
            // Without a policy the record acts as p=none; a wrong one is left for its owner to mend.
            ("v=DMARC1", "v=DMARC1; p=none; rua=mailto:dmarc@m.example"),
            ("v=DMARC1;", "v=DMARC1; p=none; rua=mailto:dmarc@m.example"),
            ("v=DMARC1; sp=reject", "v=DMARC1; p=none; sp=reject; rua=mailto:dmarc@m.example"),
            ("v=DMARC1; p=nonee", "v=DMARC1; p=nonee; rua=mailto:dmarc@m.example"),
        ] {
            assert_eq!(text(&dmarc(before.as_bytes(), &[&ours], &[])), after, "{before}");
        }
        let both = dmarc(b"v=DMARC1; p=none", &[&ours], &[&ours]);
        assert_eq!(text(&both), "v=DMARC1; p=none; rua=mailto:dmarc@m.example; ruf=mailto:dmarc@m.example");
        // What is no ASCII stays as it is.
        let odd = dmarc(b"v=DMARC1; p=none; x=\xe9\xff", &[&ours], &[]);
        assert!(odd.starts_with(b"v=DMARC1; p=none; x=\xe9\xff; rua="), "{odd:?}");
        let tls = tls_rpt(b"v=TLSRPTv1; rua=https://a.example/x; later=1", &ours);
        assert_eq!(text(&tls), "v=TLSRPTv1; rua=https://a.example/x,mailto:dmarc@m.example; later=1");
    }

    #[test]
    fn mailboxes_go_into_uris_and_come_back() {
        for (address, uri) in [
            ("dmarc@m.example", "mailto:dmarc@m.example"),
            ("a+b@m.example", "mailto:a+b@m.example"),
            ("a!b@m.example", "mailto:a%21b@m.example"),
            ("\"a,b;c\"@m.example", "mailto:%22a%2Cb%3Bc%22@m.example"),
        ] {
            let address = Address::parse(address).unwrap();
            assert_eq!(mailto(&address), uri);
            assert_eq!(mailbox(uri), Some(address));
        }
        assert_eq!(mailbox("MAILTO:a@b.example!5m"), Address::parse("a@b.example"));
        assert_eq!(mailbox("https://a.example/"), None);
        assert_eq!(mailbox("mailto:%4"), None);
    }

    #[test]
    fn what_was_meant_becomes_a_record() {
        for (before, after) in [
            ("v=dmarc1; p=reject; rua=mailto:a@b.example", "v=DMARC1; p=reject; rua=mailto:a@b.example"),
            ("p=reject; v=DMARC1", "v=DMARC1; p=reject"),
            ("p=reject; aspf=s", "v=DMARC1; p=reject; aspf=s"),
            (" v=DMARC1; p=none", "v=DMARC1; p=none"),
            ("DMARC1; p=none", "v=DMARC1; p=none"),
            ("v=DMARC1 p=none; sp=none", "v=DMARC1; p=none; sp=none"),
            ("v=DMARC1, p=none", "v=DMARC1; p=none"),
            ("_dmarc IN TXT v=DMARC1; p=none", "v=DMARC1; p=none"),
        ] {
            let mended = mended_dmarc(before.as_bytes());
            assert_eq!(text(&mended), after, "{before}");
            assert!(Record::parse(&mended).is_some());
        }
    }
}
