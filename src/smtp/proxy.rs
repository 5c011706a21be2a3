//! The header of the PROXY protocol, versions 1 and 2, read without I/O: bytes in, the true peer out.
//!
//! A proxy writes it before all else, so that a server behind it learns who connected. Only the connection's
//! source is taken; the destination and what follows the addresses in version 2 (TLVs) is passed over.
//! Specification: "The PROXY protocol", versions 1 and 2, of HAProxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits;
use crate::mail::envelope::canonical_ip;

/// The first bytes of version 1.
const V1: &[u8] = b"PROXY ";
/// The first bytes of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses: signature, version and command, family, length.
const V2_FIXED: usize = 16;

/// A header that was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Who connected to the proxy, its address in canonical form; `None` where the proxy speaks for itself
    /// (LOCAL) or does not know (UNKNOWN, UNSPEC, UNIX).
    pub peer: Option<SocketAddr>,
    /// Bytes of the header; what follows belongs to the client.
    pub bytes: usize,
}

/// Why the connection cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// Something else came first.
    #[error("no PROXY header")]
    Missing,
    /// It is longer than the caps allow.
    #[error("PROXY header too long")]
    TooLong,
    /// It breaks the rules of its version.
    #[error("PROXY header malformed: {0}")]
    Malformed(&'static str),
}

/// Reads the header from the beginning of what a connection sent.
///
/// Shape: `None` while more bytes are needed. Errors: the connection is to be closed without an answer.
pub fn read(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    if begins(input, V1) {
        return read_v1(input);
    }
    if begins(input, V2) {
        return read_v2(input);
    }
    Err(ProxyFault::Missing)
}

/// True if `input` begins with `signature`, or is its beginning.
fn begins(input: &[u8], signature: &[u8]) -> bool {
    input.iter().zip(signature).all(|(byte, want)| byte == want)
}

/// Reads version 1: one line of text.
fn read_v1(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    let window = input.get(..limits::PROXY_V1_BYTES).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < limits::PROXY_V1_BYTES { Ok(None) } else { Err(ProxyFault::TooLong) };
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or(ProxyFault::Malformed("no CRLF"))?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyFault::Malformed("not ASCII"))?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    let bytes = end + 1;
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored.
        return Ok(Some(ProxyHeader { peer: None, bytes }));
    }
    let mut address = || {
        let word = words.next().unwrap_or_default();
        let ip = match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => return Err(ProxyFault::Malformed("unknown family")),
        };
        ip.ok_or(ProxyFault::Malformed("bad address"))
    };
    let (source, _destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next().unwrap_or_default();
        let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        let has_zeros = word.len() > 1 && word.starts_with('0');
        let port = (is_number && !has_zeros).then(|| word.parse::<u16>().ok()).flatten();
        port.ok_or(ProxyFault::Malformed("bad port"))
    };
    let (source_port, _destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(ProxyFault::Malformed("words behind the ports"));
    }
    Ok(Some(ProxyHeader { peer: Some(SocketAddr::new(canonical_ip(source), source_port)), bytes }))
}

/// Reads version 2: binary.
fn read_v2(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    let Some((fixed, rest)) = input.split_at_checked(V2_FIXED) else { return Ok(None) };
    let [.., version_and_command, family, high, low] = fixed else { return Ok(None) };
    if version_and_command >> 4 != 2 {
        return Err(ProxyFault::Malformed("unknown version"));
    }
    let is_local = match version_and_command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(ProxyFault::Malformed("unknown command")),
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let bytes = V2_FIXED + length;
    if bytes > limits::PROXY_V2_BYTES {
        return Err(ProxyFault::TooLong);
    }
    let Some(block) = rest.get(..length) else { return Ok(None) };
    if is_local {
        // The proxy itself: a health check. The block is to be ignored.
        return Ok(Some(ProxyHeader { peer: None, bytes }));
    }
    let short = ProxyFault::Malformed("addresses cut");
    let peer = match family {
        // UNSPEC, and UNIX sockets over a stream or in datagrams.
        0x00 => None,
        0x31 | 0x32 if block.len() >= 216 => None,
        0x31 | 0x32 => return Err(short),
        0x11 => {
            let source: [u8; 4] = block.get(..4).and_then(|source| source.try_into().ok()).ok_or(short)?;
            let Some([high, low, _, _]) = block.get(8..12) else { return Err(short) };
            let ip = IpAddr::V4(Ipv4Addr::from(source));
            Some(SocketAddr::new(ip, u16::from_be_bytes([*high, *low])))
        }
        0x21 => {
            let source: [u8; 16] = block.get(..16).and_then(|source| source.try_into().ok()).ok_or(short)?;
            let Some([high, low, _, _]) = block.get(32..36) else { return Err(short) };
            let ip = canonical_ip(IpAddr::V6(Ipv6Addr::from(source)));
            Some(SocketAddr::new(ip, u16::from_be_bytes([*high, *low])))
        }
        // Datagrams carry no SMTP.
        _ => return Err(ProxyFault::Malformed("unknown family")),
    };
    Ok(Some(ProxyHeader { peer, bytes }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, block].concat()
    }

    fn inet(tlvs: &[u8]) -> Vec<u8> {
        let block = [&[203, 0, 113, 7, 192, 0, 2, 25][..], &[0x30, 0x39, 0, 25], tlvs].concat();
        v2(0x21, 0x11, &block)
    }

    fn inet6(source: &str) -> Vec<u8> {
        let (source, to): (Ipv6Addr, Ipv6Addr) = (source.parse().unwrap(), Ipv6Addr::LOCALHOST);
        v2(0x21, 0x21, &[&source.octets()[..], &to.octets(), &[0, 99, 0, 25]].concat())
    }

    #[test]
    fn headers_of_both_versions_at_every_cut() {
        let tlvs = [3, 0, 4, 1, 2, 3, 4, 0x20, 0, 2, 9, 9];
        let cases: Vec<(Vec<u8>, Option<&str>)> = vec![
            (b"PROXY TCP4 203.0.113.7 192.0.2.25 12345 25\r\n".to_vec(), Some("203.0.113.7:12345")),
            (b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n".to_vec(), Some("[2001:db8::7]:0")),
            (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 9 25\r\n".to_vec(), Some("203.0.113.7:9")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 x 65535 y\r\n".to_vec(), None),
            (inet(&[]), Some("203.0.113.7:12345")),
            (inet(&tlvs), Some("203.0.113.7:12345")),
            (inet6("2001:db8::7"), Some("[2001:db8::7]:99")),
            (inet6("::ffff:203.0.113.7"), Some("203.0.113.7:99")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &tlvs), None),
            (v2(0x21, 0x00, &tlvs), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ];
        for (header, peer) in cases {
            let want = ProxyHeader { peer: peer.map(|peer| peer.parse().unwrap()), bytes: header.len() };
            let name = header.escape_ascii().to_string();
            let followed = [&header[..], b"EHLO x\r\n"].concat();
            assert_eq!(read(&followed), Ok(Some(want)), "{name}");
            for cut in 0..header.len() {
                assert_eq!(read(&header[..cut]), Ok(None), "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_header() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        let mut huge = v2(0x21, 0x11, &[]);
        huge[14..16].copy_from_slice(&[0xff, 0xff]);
        let cases: Vec<(Vec<u8>, ProxyFault)> = vec![
            (b"EHLO x\r\n".to_vec(), ProxyFault::Missing),
            (b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n".to_vec(), ProxyFault::Missing),
            (b"P\0".to_vec(), ProxyFault::Missing),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), ProxyFault::Missing),
            (long, ProxyFault::TooLong),
            (huge, ProxyFault::TooLong),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n".to_vec(), ProxyFault::Malformed("no CRLF")),
            (b"PROXY TCP4 \xff 2.2.2.2 1 2\r\n".to_vec(), ProxyFault::Malformed("not ASCII")),
            (b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n".to_vec(), ProxyFault::Malformed("unknown family")),
            (b"PROXY \r\n".to_vec(), ProxyFault::Malformed("unknown family")),
            (b"PROXY TCP4 ::1 2.2.2.2 1 2\r\n".to_vec(), ProxyFault::Malformed("bad address")),
            (b"PROXY TCP6 1.1.1.1 ::1 1 2\r\n".to_vec(), ProxyFault::Malformed("bad address")),
            (b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n".to_vec(), ProxyFault::Malformed("bad address")),
            (b"PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n".to_vec(), ProxyFault::Malformed("bad address")),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n".to_vec(), ProxyFault::Malformed("bad port")),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n".to_vec(), ProxyFault::Malformed("bad port")),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n".to_vec(), ProxyFault::Malformed("bad port")),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n".to_vec(), ProxyFault::Malformed("bad port")),
            (
                b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n".to_vec(),
                ProxyFault::Malformed("words behind the ports"),
            ),
            (v2(0x11, 0x11, &[0; 12]), ProxyFault::Malformed("unknown version")),
            (v2(0x22, 0x11, &[0; 12]), ProxyFault::Malformed("unknown command")),
            (v2(0x21, 0x12, &[0; 12]), ProxyFault::Malformed("unknown family")),
            (v2(0x21, 0x41, &[0; 12]), ProxyFault::Malformed("unknown family")),
            (v2(0x21, 0x11, &[0; 11]), ProxyFault::Malformed("addresses cut")),
            (v2(0x21, 0x21, &[0; 35]), ProxyFault::Malformed("addresses cut")),
            (v2(0x21, 0x31, &[0; 215]), ProxyFault::Malformed("addresses cut")),
        ];
        for (input, fault) in cases {
            assert_eq!(read(&input), Err(fault), "{}", input.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_too_far(
            mut input in prop::collection::vec(any::<u8>(), 0..300),
            signature in prop::sample::select(vec![&b""[..], V1, V2]),
        ) {
            input.splice(0..0, signature.iter().copied());
            if let Ok(Some(header)) = read(&input) {
                prop_assert!(header.bytes <= input.len());
            }
        }
    }
}
