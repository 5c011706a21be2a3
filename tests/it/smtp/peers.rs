//! Another receiver beside ours: mailin-embedded, built from `benches/peers` as a process of its own.
//!
//! The first test shows why the product is not built over it. When it fails one day, the choice is to be
//! looked at again (ARCHITECTURE.md, decisions).

use std::net::SocketAddr;

use crate::support::client::Client;
use crate::support::peer::Peer;
use crate::support::sink::TestSink;

/// The codes of the replies to `lines`, each sent after the reply to the one before.
fn codes(address: SocketAddr, lines: &[&str]) -> Vec<String> {
    let mut client = Client::connect(address);
    let mut codes = vec![client.reply()];
    for line in lines {
        client.send(format!("{line}\r\n"));
        codes.push(client.reply());
    }
    codes.iter().map(|reply| reply.lines().last().unwrap_or_default()[..3].to_owned()).collect()
}

#[test]
fn mailin_embedded_refuses_bounces_and_declared_sizes() {
    let Some(peer) = Peer::start() else { return };
    let ours = TestSink::start();
    for (line, theirs) in [
        // RFC 5321 §4.5.5: without it no bounce ever arrives.
        ("MAIL FROM:<>", "500"),
        // RFC 1870 §6: most senders say it.
        ("MAIL FROM:<a@b.example> SIZE=1000", "500"),
    ] {
        let dialogue = ["EHLO sender.example.org", line];
        assert_eq!(codes(peer.address, &dialogue), ["220", "250", theirs], "{line}: theirs");
        assert_eq!(codes(ours.address(), &dialogue), ["220", "250", "250"], "{line}: ours");
    }
}

#[test]
fn plain_dialogues_agree() {
    let Some(peer) = Peer::start() else { return };
    let ours = TestSink::start();
    let dialogues: [&[&str]; 6] = [
        &[
            "HELO a.example",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<dmarc@example.com>",
            "DATA",
            "x\r\n.",
            "QUIT",
        ],
        &["EHLO a.example", "MAIL FROM:<a@b.example>", "RCPT TO:<dmarc@example.com>", "DATA", ".", "QUIT"],
        &["EHLO a.example", "MAIL FROM:<a@b.example> BODY=8BITMIME", "RSET", "NOOP", "VRFY a", "QUIT"],
        &["EHLO a.example", "RCPT TO:<dmarc@example.com>", "DATA", "MAIL FROM:<a@b.example>", "DATA", "QUIT"],
        &["MAIL FROM:<a@b.example>", "EHLO a.example", "MAIL FROM:<a@b.example>", "MAIL FROM:<c@b.example>"],
        &[
            "EHLO a.example",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<dmarc@example.com>",
            "RCPT TO:<tls@example.com>",
            "DATA",
            "..dot\r\n\r\n.",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<Postmaster>",
            "DATA",
            "y\r\n.",
            "QUIT",
        ],
    ];
    for dialogue in dialogues {
        let (theirs, ours) = (codes(peer.address, dialogue), codes(ours.address(), dialogue));
        // Where a command comes out of order, both refuse it; 503 and 554 are both right there.
        let class = |code: &String| if code.starts_with('5') { "5xx".to_owned() } else { code.clone() };
        let classes = |codes: &[String]| codes.iter().map(class).collect::<Vec<_>>();
        assert_eq!(classes(&ours), classes(&theirs), "{dialogue:?}: {ours:?} {theirs:?}");
    }
}
