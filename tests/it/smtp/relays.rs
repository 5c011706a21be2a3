//! The true peer behind trusted relays, over real sockets. 127.0.0.1 is the relay, 127.0.0.2 a stranger.

use std::net::SocketAddr;
use std::time::Duration;

use mailsonde::mail::{Envelope, PeerSource};
use mailsonde::smtp::sink::{Network, Relays, SinkOptions};

use crate::support::client::Client;
use crate::support::sink::{TestSink, eventually};

const STRANGER: &str = "127.0.0.2";
const MAIL: &[u8] = b"Subject: x\r\n\r\nx\r\n";
const BY_RELAY: &[u8] = b"Received: from c.example (c.example [203.0.113.7])\r\n\tby Sender.example.org (Postfix) with ESMTPS id 1;\r\n\tWed, 25 Nov 2026 08:00:00 +0000\r\nReceived: from x (x [6.6.6.6]) by sender.example.org with SMTP;\r\nSubject: x\r\n\r\nx\r\n";

/// Makes 127.0.0.1 the only relay, and nobody free of limits.
fn behind(proxy_protocol: bool) -> impl Fn(&mut SinkOptions) {
    move |options| {
        options.trusted = Vec::new();
        options.relays = Relays { networks: vec![Network::parse("127.0.0.1").unwrap()], proxy_protocol };
    }
}

fn sink(proxy_protocol: bool) -> TestSink {
    TestSink::start_with(&behind(proxy_protocol))
}

/// What an envelope says of the peer: address, HELO name, source, relay.
fn told(envelope: &Envelope) -> String {
    format!(
        "{} {} {} {}",
        envelope.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string()),
        envelope.helo.as_deref().unwrap_or("-"),
        envelope.peer_source.map_or("-", PeerSource::as_str),
        envelope.relay.map_or_else(|| "-".to_owned(), |relay| relay.to_string()),
    )
}

fn last(sink: &TestSink) -> String {
    told(&sink.inbox.stored().last().unwrap().envelope)
}

#[track_caller]
fn deliver(client: &mut Client, message: &[u8]) {
    let reply = client.deliver("a@b.example", "dmarc@example.com", message);
    assert!(reply.starts_with("250"), "{reply}");
}

/// A version 2 header with a peer and with TLVs behind it.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, block].concat()
}

#[test]
fn xforward_is_for_relays_only_and_for_one_transaction() {
    let sink = sink(false);
    let mut stranger = Client::connect_from(STRANGER, sink.address());
    stranger.expect("220");
    assert!(!stranger.command("EHLO s.example", "250").contains("XFORWARD"));
    stranger.command("XFORWARD ADDR=203.0.113.7", "500");
    deliver(&mut stranger, BY_RELAY);
    let own = stranger.socket.local_addr().unwrap();
    assert_eq!(last(&sink), format!("{own} s.example connection -"));

    let mut relay = Client::connect(sink.address());
    relay.expect("220");
    relay.command("XFORWARD ADDR=203.0.113.7", "503");
    let hello = relay.command("EHLO sender.example.org", "250");
    assert!(hello.contains("250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"), "{hello}");
    relay.command("XFORWARD NAME=c.example ADDR=IPv6:2001:db8::7 PORT=4711", "250");
    relay.command("XFORWARD HELO=c+2Bd.example PROTO=ESMTP SOURCE=REMOTE", "250");
    relay.command("MAIL FROM:<a@b.example>", "250");
    relay.command("XFORWARD ADDR=203.0.113.9", "503");
    relay.command("RCPT TO:<dmarc@example.com>", "250");
    relay.command("DATA", "354");
    relay.send(b"Subject: x\r\n\r\nx\r\n.\r\n");
    relay.expect("250");
    assert_eq!(last(&sink), "[2001:db8::7]:4711 c+d.example xforward 127.0.0.1");
    assert!(sink.inbox.stored().last().unwrap().envelope.is_esmtp);
    // The next message is of somebody else, and nobody says of whom.
    deliver(&mut relay, MAIL);
    assert_eq!(last(&sink), "- - - 127.0.0.1");
    // RSET and EHLO forget; bad attributes change nothing.
    for between in ["RSET", "EHLO sender.example.org"] {
        relay.command("XFORWARD ADDR=203.0.113.7", "250");
        relay.command(between, "250");
        deliver(&mut relay, MAIL);
        assert_eq!(last(&sink), "- - - 127.0.0.1", "{between}");
    }
    relay.command("XFORWARD ADDR=203.0.113.7 HELO=a PORT=[UNAVAILABLE]", "250");
    relay.command("XFORWARD ADDR=203.0.113.9 HELO=a+0Db", "501");
    relay.command("XFORWARD", "501");
    deliver(&mut relay, MAIL);
    assert_eq!(last(&sink), "203.0.113.7:0 a xforward 127.0.0.1");
    // A submission on the relay itself has no client.
    relay.command("XFORWARD ADDR=[UNAVAILABLE] HELO=liar.example", "250");
    deliver(&mut relay, MAIL);
    assert_eq!(last(&sink), "- - - 127.0.0.1");
    // Within TLS nothing of before counts.
    relay.command("XFORWARD ADDR=203.0.113.7", "250");
    relay.command("STARTTLS", "220");
    relay.handshake().unwrap();
    relay.command("EHLO sender.example.org", "250");
    deliver(&mut relay, MAIL);
    assert_eq!(last(&sink), "- - - 127.0.0.1");
}

#[test]
fn the_line_of_the_relay_tells_the_peer_and_no_other_line() {
    let sink = TestSink::start_with(&|options| {
        behind(false)(options);
        options.limits.body_memory_bytes = 4_096;
    });
    let mut relay = Client::greeted(sink.address());
    deliver(&mut relay, BY_RELAY);
    let want = "203.0.113.7:0 c.example received 127.0.0.1";
    assert_eq!(last(&sink), want);
    // Also of a message that went to a file.
    deliver(&mut relay, &[BY_RELAY, &b"line\r\n".repeat(5_000)].concat());
    assert!(sink.inbox.stored().last().unwrap().was_spooled);
    assert_eq!(last(&sink), want);
    // XFORWARD is the better witness; where it names a relay, the line is.
    relay.command("XFORWARD ADDR=198.51.100.9", "250");
    deliver(&mut relay, BY_RELAY);
    assert_eq!(last(&sink), "198.51.100.9:0 - xforward 127.0.0.1");
    relay.command("XFORWARD ADDR=127.0.0.1 HELO=filter", "250");
    deliver(&mut relay, BY_RELAY);
    assert_eq!(last(&sink), want);
    for not_its_own in [
        &b"Received: from x (x [6.6.6.6]) by other.example with SMTP;\r\n\r\nx\r\n"[..],
        b"Received: from [6.6.6.6] by sender.example.org with SMTP;\r\n\r\nx\r\n",
        b"Received: from x (y [6.6.6.6]",
        b"Received:\r\n",
        b"\r\nReceived: from x (x [6.6.6.6]) by sender.example.org with SMTP;\r\n",
        b"",
    ] {
        deliver(&mut relay, not_its_own);
        assert_eq!(last(&sink), "- - - 127.0.0.1", "{}", not_its_own.escape_ascii());
    }
}

#[test]
fn the_proxy_header_names_the_peer() {
    let sink = sink(true);
    let inet = [&[203, 0, 113, 7, 127, 0, 0, 1][..], &[0x12, 0x67, 0, 25]].concat();
    // A TLV that would be read as a command, were it not passed over.
    let with_tlv = [&inet[..], &[4, 0, 6], b"QUIT\r\n"].concat();
    let mut inet6 = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    inet6.extend([0; 16]);
    inet6.extend([0x12, 0x67, 0, 25]);
    let none = "- - - 127.0.0.1";
    let cases: [(Vec<u8>, &str); 8] = [
        (b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 25\r\n".to_vec(), "203.0.113.7:4711 c proxy -"),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 25\r\n".to_vec(), "[2001:db8::7]:4711 c proxy -"),
        (v2(0x21, 0x11, &inet), "203.0.113.7:4711 c proxy -"),
        (v2(0x21, 0x11, &with_tlv), "203.0.113.7:4711 c proxy -"),
        (v2(0x21, 0x21, &inet6), "[2001:db8::7]:4711 c proxy -"),
        // The proxy itself, or somebody whom it does not know.
        (b"PROXY UNKNOWN\r\n".to_vec(), none),
        (v2(0x20, 0, &[]), none),
        (v2(0x21, 0, &[]), none),
    ];
    for (header, want) in cases {
        let name = header.escape_ascii().to_string();
        // At once with what follows, and byte by byte.
        let mut client = Client::connect(sink.address());
        client.send([&header[..], b"EHLO c\r\n"].concat());
        client.expect("220");
        client.expect("250");
        deliver(&mut client, MAIL);
        assert_eq!(last(&sink), want, "{name}");
        let mut client = Client::connect(sink.address());
        for byte in &header {
            client.send([*byte]);
        }
        client.expect("220");
        client.command("EHLO c", "250");
        deliver(&mut client, MAIL);
        assert_eq!(last(&sink), want, "{name} in pieces");
    }
    // A relay behind the proxy is a relay.
    let mut client = Client::connect(sink.address());
    client.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n");
    client.expect("220");
    client.command("EHLO sender.example.org", "250");
    deliver(&mut client, BY_RELAY);
    assert_eq!(last(&sink), "203.0.113.7:0 c.example received 127.0.0.1");
}

#[test]
fn without_its_header_a_connection_ends_unanswered() {
    let sink = sink(true);
    let faults = || sink.handle.counters().proxy_faults.value();
    let mut huge = v2(0x21, 0x11, &[]);
    huge[14..16].copy_from_slice(&[0xff, 0xff]);
    let cases: [&[u8]; 9] = [
        b"EHLO x\r\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 25\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 99999\r\n",
        b"PROXY TCP4 evil 127.0.0.1 4711 25\r\n",
        &[b'P'; 4_096],
        &[&b"PROXY TCP4 "[..], &[b'1'; 4_096]].concat(),
        &huge,
        &v2(0x21, 0x11, &[1; 5]),
        &v2(0x2f, 0x11, &[1; 12]),
    ];
    for (count, input) in cases.into_iter().enumerate() {
        let mut client = Client::connect(sink.address());
        client.send_ignoring_errors(input);
        client.expect_closed();
        assert_eq!(faults(), count as u64 + 1, "{}", input.escape_ascii());
    }
    // Cut in the middle, and nothing at all: nobody else waits for it.
    for input in [&b""[..], b"PROXY TCP4 203.0", b"\r\n\r\n\0\r\nQUIT\n\x21"] {
        let before = faults();
        let mut client = Client::connect(sink.address());
        client.send(input);
        client.socket.shutdown(std::net::Shutdown::Write).unwrap();
        client.expect_closed();
        assert_eq!(faults(), before + 1);
    }
    let waiting = Client::connect(sink.address());
    // Somebody else's header is not read.
    let mut stranger = Client::connect_from(STRANGER, sink.address());
    stranger.expect("421");
    let mut good = Client::connect(sink.address());
    good.send(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 25\r\n");
    good.expect("220");
    // Who waits for a header does not hold up a stop.
    sink.handle.stop(Duration::from_secs(600));
    good.expect("421");
    let mut sink = sink;
    sink.join();
    drop(waiting);
}

#[test]
fn limits_are_for_true_peers_and_not_for_relays() {
    let change = |proxy_protocol| {
        move |options: &mut SinkOptions| {
            behind(proxy_protocol)(options);
            options.limits.sessions_per_client = 1;
            options.limits.sessions_per_client_minute = 3;
            options.limits.messages_per_client_minute = 1;
        }
    };
    let sink = TestSink::start_with(&change(false));
    let mut relays: Vec<Client> = (0..6).map(|_| Client::greeted(sink.address())).collect();
    for relay in &mut relays {
        deliver(relay, MAIL);
        deliver(relay, MAIL);
    }
    let stranger = |code: &str| {
        let mut client = Client::connect_from(STRANGER, sink.address());
        client.expect(code);
        client
    };
    let first = stranger("220");
    stranger("421");
    drop(first);

    let sink = TestSink::start_with(&change(true));
    let through = |address: SocketAddr, code: &str| {
        let mut client = Client::connect(sink.address());
        client.send(format!("PROXY TCP4 {} 127.0.0.1 {} 25\r\n", address.ip(), address.port()));
        client.expect(code);
        client
    };
    let (one, other) = ("203.0.113.7:1".parse().unwrap(), "203.0.113.8:1".parse().unwrap());
    let mut client = through(one, "220");
    through(one, "421");
    let second = through(other, "220");
    client.command("EHLO c", "250");
    deliver(&mut client, MAIL);
    client.command("MAIL FROM:<a@b.example>", "450");
    drop((client, second));
    eventually("places are given back", || sink.handle.counters().open.value() == 0);
    drop(through(one, "220"));
}
