//! IP addresses as reports write them.

use std::net::{IpAddr, Ipv4Addr};

/// Reads an address; the flag says whether it was in an unusual form.
///
/// IPv4-mapped IPv6 is IPv4 (RFC 4291 §2.5.5.2). Brackets, `IPv6:`, a zone, the length of a host prefix,
/// a port and leading zeros are taken off.
///
/// Errors: `None` for other text.
pub fn ip(text: &str) -> Option<(IpAddr, bool)> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        let canonical = ip.to_canonical();
        return Some((canonical, canonical != ip));
    }
    let inner = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => text,
    };
    let inner = match inner.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("ipv6:") => inner.get(5..)?,
        _ => inner,
    };
    let inner = inner.split('%').next()?.trim();
    let inner = match inner.split_once('/') {
        Some((address, "32" | "128")) => address,
        Some(_) => return None,
        None => inner,
    };
    if let Ok(ip) = inner.parse::<IpAddr>() {
        return Some((ip.to_canonical(), true));
    }
    // A port after an IPv4 address; one after IPv6 needs brackets and is gone already.
    let inner = match inner.split_once(':') {
        Some((address, port)) if port.bytes().all(|b| b.is_ascii_digit()) => address,
        Some(_) => return None,
        None => inner,
    };
    let mut octets = [0_u8; 4];
    let mut pieces = inner.split('.');
    for octet in &mut octets {
        let piece = pieces.next()?;
        if piece.is_empty() || piece.len() > 3 || !piece.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // Leading zeros are padding here, never octal.
        *octet = piece.parse().ok()?;
    }
    pieces.next().is_none().then_some((IpAddr::V4(Ipv4Addr::from(octets)), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_they_occur() {
        let cases = [
            ("192.0.2.1", Some(("192.0.2.1", false))),
            (" 2001:DB8::1 ", Some(("2001:db8::1", false))),
            ("::ffff:192.0.2.1", Some(("192.0.2.1", true))),
            ("[192.0.2.1]", Some(("192.0.2.1", true))),
            ("[IPv6:2001:db8::1]", Some(("2001:db8::1", true))),
            ("[2001:db8::1]:25", Some(("2001:db8::1", true))),
            ("fe80::1%eth0", Some(("fe80::1", true))),
            ("192.0.2.1:25", Some(("192.0.2.1", true))),
            ("192.000.002.010", Some(("192.0.2.10", true))),
            ("192.0.2.1/32", Some(("192.0.2.1", true))),
            ("192.0.2.0/24", None),
            ("192.0.2", None),
            ("192.0.2.1.5", None),
            ("192.0.2.256", None),
            ("mx.example.com", None),
            ("", None),
            ("[", None),
        ];
        for (text, want) in cases {
            let want = want.map(|(ip, odd)| (ip.parse().unwrap(), odd));
            assert_eq!(ip(text), want, "{text:?}");
        }
    }
}
