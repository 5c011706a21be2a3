//! PROXY headers, and XFORWARD in a session.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use mailsonde::clock;
use mailsonde::limits;
use mailsonde::mail::{Address, MessageId, PeerSource, Refusal};
use mailsonde::smtp::proxy::{ProxyHeader, read};
use mailsonde::smtp::session::{Desk, Event, Peer, Session, SessionLimits, SessionOptions};

use super::{hash, is_canonical};

/// However a header comes in, it is read as the same; what a proxy writes is read as written.
pub fn check(data: &[u8]) {
    let whole = read(data);
    for end in 0..data.len().min(limits::PROXY_V2_BYTES + 1) {
        let part = read(&data[..end]);
        assert!(part == Ok(None) || part == whole, "{part:?} of {end} bytes, {whole:?} of all");
    }
    match whole {
        Ok(Some(ProxyHeader { peer, bytes })) => {
            assert!(bytes <= data.len() && bytes <= limits::PROXY_V2_BYTES);
            assert!(peer.is_none_or(|peer| is_canonical(peer.ip())));
        }
        Ok(None) => assert!(data.len() < limits::PROXY_V2_BYTES, "it waits for ever"),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    written(data);
    forwarded(data);
}

/// Writes headers of both versions for a peer made of `data`, with `data` behind them.
fn written(data: &[u8]) {
    let seed = hash(data);
    let port = u16::try_from(seed & 0xffff).unwrap_or_default();
    let [a, b, c, d, ..] = seed.to_be_bytes();
    let four = Ipv4Addr::new(a, b, c, d);
    let six = Ipv6Addr::from(u128::from(seed) << 64 | u128::from(seed.rotate_left(7)));
    for ip in [IpAddr::V4(four), IpAddr::V6(six), IpAddr::V6(four.to_ipv6_mapped())] {
        let want = SocketAddr::new(ip.to_canonical(), port);
        let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
        let mut one = format!("PROXY {family} {ip} {ip} {port} 25\r\n").into_bytes();
        let bytes = one.len();
        one.extend_from_slice(data);
        assert_eq!(read(&one), Ok(Some(ProxyHeader { peer: Some(want), bytes })), "{family} {ip}");

        let (family, octets) = match ip {
            IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
            IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
        };
        // Up to 200 bytes of what follows the addresses belong to the header.
        let extra = &data[..data.len().min(200)];
        let mut block = [octets.as_slice(), &octets, &port.to_be_bytes(), &25_u16.to_be_bytes()].concat();
        block.extend_from_slice(extra);
        let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
        two.push(family);
        two.extend(u16::try_from(block.len()).expect("a short block").to_be_bytes());
        two.extend(block);
        let bytes = two.len();
        two.extend_from_slice(data);
        assert_eq!(read(&two), Ok(Some(ProxyHeader { peer: Some(want), bytes })), "{ip}");
        // LOCAL: whatever stands there says nothing.
        two[12] = 0x20;
        assert_eq!(read(&two), Ok(Some(ProxyHeader { peer: None, bytes })), "{ip}");
    }
}

struct TestDesk;

impl Desk for TestDesk {
    fn recipient(&self, _: &Address) -> Result<(), Refusal> {
        Ok(())
    }

    fn has_room(&self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Each line of `data` as the attributes of XFORWARD before one message: the envelope has what the last accepted
/// ones say, whatever was refused between, and nothing of the relay's own.
fn forwarded(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut input = b"EHLO relay.example\r\n".to_vec();
    for line in text.lines().take(8) {
        let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
        input.extend_from_slice(format!("XFORWARD {line}\r\n").as_bytes());
    }
    input.extend_from_slice(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\n");
    let now = clock::instant();
    let peer = Peer { is_relay: true, ..Peer::direct("192.0.2.1:2525".parse().expect("an address")) };
    let options = SessionOptions {
        host_name: "mx.example.com".into(),
        is_tls_offered: false,
        limits: SessionLimits::STANDARD,
    };
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(Arc::new(options), peer, now, &mut replies);
    let mut rest = input.as_slice();
    loop {
        let (read, event) = session.advance(rest, &TestDesk, &mut body, &mut replies, now);
        rest = &rest[read..];
        match event {
            Event::Message(envelope) => {
                assert_eq!(
                    envelope.relay,
                    Some([192, 0, 2, 1].into()),
                    "what a relay brings is kept as such"
                );
                assert!(envelope.helo.is_none() || envelope.peer.is_some());
                assert_eq!(envelope.peer.is_some(), envelope.peer_source == Some(PeerSource::Xforward));
                if let Some(peer) = envelope.peer {
                    assert!(is_canonical(peer.ip()));
                }
                if let Some(helo) = &envelope.helo {
                    assert!(helo.len() <= limits::XFORWARD_VALUE_BYTES && !helo.contains(char::is_control));
                }
                let _ = session.finish(&Ok(MessageId(1)), &mut replies, now);
                break;
            }
            Event::Flush => replies.clear(),
            Event::Read if rest.is_empty() => break,
            Event::Read => {}
            Event::Close(_) => break,
            Event::StartTls | Event::Discarded(_) => unreachable!("neither is possible here"),
        }
    }
}
