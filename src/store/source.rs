//! Source addresses as bytes that sort and match as addresses: see the head of schema.sql.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::mail::envelope::canonical_ip;
use crate::reports::aggregate::Source;

/// Before the four octets of an IPv4 address.
const V4: u8 = 0x04;
/// Before the sixteen octets of an IPv6 address.
const V6: u8 = 0x06;
/// Before text that is no address.
const TEXT: u8 = 0x7F;

/// Writes an address after clearing `out`.
pub(super) fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    out.clear();
    match canonical_ip(ip) {
        IpAddr::V4(ip) => {
            out.push(V4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(V6);
            out.extend_from_slice(&ip.octets());
        }
    }
}

/// Writes a source after clearing `out`; false if there is none.
pub(super) fn write(source: &Source, out: &mut Vec<u8>) -> bool {
    match source {
        Source::Ip(ip) => write_ip(*ip, out),
        Source::Text(text) => {
            out.clear();
            out.push(TEXT);
            out.extend_from_slice(text.as_bytes());
        }
        Source::Missing => return false,
    }
    true
}

/// The bytes of what a user typed: an address in any form, else text.
pub(super) fn of_text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match text.trim().parse::<IpAddr>() {
        Ok(ip) => write_ip(ip, &mut out),
        Err(_) => {
            out.push(TEXT);
            out.extend_from_slice(text.trim().as_bytes());
        }
    }
    out
}

/// Reads an address.
pub(super) fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.split_first() {
        Some((&V4, rest)) => <[u8; 4]>::try_from(rest).ok().map(|octets| Ipv4Addr::from(octets).into()),
        Some((&V6, rest)) => <[u8; 16]>::try_from(rest).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

/// Reads a source as text: the address, or what stood there.
pub(super) fn read_text(bytes: &[u8]) -> String {
    match (read_ip(bytes), bytes.split_first()) {
        (Some(ip), _) => ip.to_string(),
        (None, Some((&TEXT, rest))) => String::from_utf8_lossy(rest).into_owned(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_sorts_as_addresses() {
        let rising =
            ["9.255.0.1", "10.0.0.1", "192.0.2.1", "255.255.255.255", "::1", "2001:db8::1", "ff02::1"];
        let bytes: Vec<Vec<u8>> = rising.iter().map(|text| of_text(text)).collect();
        assert!(bytes.is_sorted());
        for (text, bytes) in rising.iter().zip(&bytes) {
            assert_eq!(read_text(bytes), *text);
        }
        assert_eq!(of_text("::ffff:192.0.2.1"), of_text("192.0.2.1"));
        assert_eq!(of_text("2001:DB8:0:0::1"), of_text("2001:db8::1"));
        assert_eq!(read_text(&of_text("unknown")), "unknown");
        let mut out = Vec::new();
        assert!(!write(&Source::Missing, &mut out));
    }
}
