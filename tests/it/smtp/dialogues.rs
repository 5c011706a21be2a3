//! Dialogues word for word.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailsonde::mail::ReversePath;
use mailsonde::smtp::sink::{Listener, SinkLimits, SinkOptions};
use serde_json::Value;

use crate::support::client::Client;
use crate::support::shared;
use crate::support::sink::{TestSink, eventually};

#[test]
fn a_message_with_everything_the_envelope_holds() {
    let sink = TestSink::start();
    let mut client = Client::greeted(sink.address());
    let reply = client.deliver("", "dmarc@example.com", b"Subject: t\r\n\r\n.dot\r\nbare\nlf \x00\xff\r\n");
    assert!(reply.starts_with("250 2.0.0 OK "), "{reply}");
    client.command("QUIT", "221");
    client.expect_closed();
    let stored = sink.inbox.stored();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].bytes, b"Subject: t\r\n\r\n.dot\r\nbare\nlf \x00\xff\r\n");
    let envelope = &stored[0].envelope;
    assert_eq!(envelope.mail_from, Some(ReversePath::Null));
    assert_eq!(envelope.helo.as_deref(), Some("sender.example.org"));
    assert_eq!(envelope.peer, Some(client.socket.local_addr().unwrap()));
    assert!(envelope.received_at.ms() > 1_700_000_000_000 && envelope.tls.is_none());
    assert_eq!(sink.handle.counters().messages.value(), 1);
    assert_eq!(sink.handle.counters().message_bytes.value(), stored[0].bytes.len() as u64);
}

#[test]
fn an_ipv4_peer_on_an_ipv6_listener_is_ipv4() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: no IPv6 here");
        return;
    }
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.listeners = vec![Listener::Address("[::]:0".parse().unwrap())];
    });
    let address = std::net::SocketAddr::new("127.0.0.1".parse().unwrap(), sink.address().port());
    let mut client = Client::greeted(address);
    client.deliver("a@b.example", "dmarc@example.com", b"x\r\n");
    let peer = sink.inbox.stored()[0].envelope.peer.unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.1");
}

#[test]
fn large_bodies_are_spooled_and_whole() {
    let sink = TestSink::start();
    let mut client = Client::greeted(sink.address());
    let line = b"0123456789abcdefghijklmnopqrstuvwxyz.0123456789abcdefghijklmnopqrstuvwxyz\r\n";
    let cap = mailsonde::limits::BODY_MEMORY_BYTES;
    let exact = |size: usize| {
        let mut body: Vec<u8> = line.iter().copied().cycle().take(size - 2).collect();
        body.extend_from_slice(b"\r\n");
        body
    };
    for (size, spooled) in [(cap, false), (cap + 1, true), (3 * cap + 17, true)] {
        let body = exact(size);
        let reply = client.deliver("a@b.example", "dmarc@example.com", &body);
        assert!(reply.starts_with("250"), "{reply}");
        let stored = sink.inbox.stored().pop().unwrap();
        assert!(stored.bytes == body, "{size} bytes came whole");
        assert_eq!(stored.was_spooled, spooled, "{size}");
    }
    let left = std::fs::read_dir(sink.directory.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| name.starts_with("smtp-")), "no spool file is left: {left:?}");
}

#[test]
fn an_unfinished_message_leaves_nothing() {
    let sink = TestSink::start();
    for is_large in [false, true] {
        let mut client = Client::greeted(sink.address());
        client.command("MAIL FROM:<a@b.example>", "250");
        client.command("RCPT TO:<dmarc@example.com>", "250");
        client.command("DATA", "354");
        client.send(vec![b'x'; if is_large { 3_000_000 } else { 100 }]);
        client.send("\r\n.\r");
        drop(client);
    }
    eventually("sessions end", || sink.handle.counters().open.value() == 0);
    assert!(sink.inbox.stored().is_empty());
    assert!(
        std::fs::read_dir(sink.directory.path()).unwrap().count() == 2,
        "only certificate and key are in the folder"
    );
}

// ---- Transcripts ----

/// Every `fixtures/smtp/NAME.in` is sent in one write and byte by byte, and the replies must be those of
/// `NAME.out`.
#[test]
fn shipped_transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/smtp");
    let mut count = 0;
    let names: BTreeSet<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in names.iter().filter(|path| path.extension().is_some_and(|ext| ext == "in")) {
        count += 1;
        let input = std::fs::read(path).unwrap();
        let want = std::fs::read_to_string(path.with_extension("out")).unwrap_or_default();
        for is_cut in [false, true] {
            let sink = TestSink::start();
            let mut client = Client::connect(sink.address());
            if is_cut {
                for byte in &input {
                    // The server may have closed before the last one.
                    client.send_ignoring_errors(&[*byte]);
                }
            } else {
                client.send(&input);
            }
            // Fails where the server has closed.
            let _ = client.socket.shutdown(std::net::Shutdown::Write);
            let mut got = String::new();
            loop {
                let reply = client.reply();
                if reply.is_empty() {
                    break;
                }
                got.push_str(&reply);
                got.push('\n');
            }
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(path.with_extension("out"), &got).unwrap();
            } else {
                assert_eq!(got, want, "{} (byte by byte: {is_cut})", path.display());
            }
        }
    }
    assert!(count >= 5, "{count} transcripts");
}

// ---- Session scripts of the cases ----

/// One script: connections, each a list of steps.
fn play(sink: &TestSink, folder: &Path) {
    let text = std::fs::read_to_string(folder.join("session.json")).unwrap();
    let script: Value = serde_json::from_str(&text).unwrap();
    for connection in script["connections"].as_array().unwrap() {
        let mut player = Player {
            client: Some(Client::connect(sink.address())),
            capabilities: String::new(),
            folder: folder.to_owned(),
        };
        player.client().expect("220");
        player.steps(connection.as_array().unwrap());
    }
}

/// Plays the steps of one connection.
struct Player {
    client: Option<Client>,
    capabilities: String,
    folder: PathBuf,
}

impl Player {
    fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("no step after the end")
    }

    fn steps(&mut self, steps: &[Value]) {
        for (number, step) in steps.iter().enumerate() {
            self.step(number, step);
        }
    }

    fn step(&mut self, number: usize, step: &Value) {
        let place = format!("{} step {number}", self.folder.display());
        let text = |name: &str| step.get(name).and_then(Value::as_str);
        if let Some(data) = text("send") {
            // Latin-1: a character is a byte.
            let bytes: Vec<u8> = data.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            let times = step.get("times").and_then(Value::as_u64).unwrap_or(1);
            for _ in 0..times {
                self.client().send(&bytes);
            }
        } else if let Some(data) = text("send_utf8") {
            self.client().send(data);
        } else if let Some(name) = text("send_file") {
            let file = std::fs::read(self.folder.join(name)).unwrap();
            if step.get("dot").is_none() {
                self.client().send(file);
                return;
            }
            let mut data = Vec::new();
            for line in file.split_inclusive(|b| *b == b'\n') {
                if line.starts_with(b".") {
                    data.push(b'.');
                }
                data.extend_from_slice(line);
            }
            if !data.ends_with(b"\r\n") {
                data.extend_from_slice(b"\r\n");
            }
            data.extend_from_slice(b".\r\n");
            self.client().send(data);
        } else if let Some(codes) = text("expect") {
            let reply = self.client().reply();
            let last = reply.lines().last().unwrap_or_default();
            let code = last.get(..3).unwrap_or_default();
            assert!(
                codes.split('|').any(|want| code_matches(want, code)),
                "{place}: wanted {codes}, got {reply:?}"
            );
            if step.get("caps").is_some() {
                self.capabilities = reply.to_ascii_uppercase();
            }
            if let Some(unwanted) = text("not_text") {
                assert!(
                    !reply.to_ascii_lowercase().contains(&unwanted.to_ascii_lowercase()),
                    "{place}: {reply}"
                );
            }
            if let Some(wanted) = text("text") {
                assert!(
                    reply.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase()),
                    "{place}: {reply}"
                );
            }
        } else if step.get("starttls").is_some() {
            self.client().handshake().unwrap();
        } else if let Some(seconds) = step.get("quiet").and_then(Value::as_f64) {
            assert!(self.client().is_quiet(Duration::from_secs_f64(seconds)), "{place}: something came");
        } else if step.get("close").is_some() {
            self.client = None;
        } else if step.get("reset").is_some() {
            let client = self.client.take().expect("a connection to reset");
            socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
        } else if step.get("wait_close").is_some() {
            self.client().expect_closed();
        } else if let Some(name) = text("if_cap") {
            let branch = if self.capabilities.contains(name) { "then" } else { "else" };
            if let Some(steps) = step.get(branch).and_then(Value::as_array) {
                self.steps(&steps.clone());
            }
        } else {
            panic!("{place}: unknown step {step}");
        }
    }
}

/// Compares a code with a pattern where `.` is any digit.
fn code_matches(want: &str, code: &str) -> bool {
    want.len() == code.len() && want.bytes().zip(code.bytes()).all(|(want, got)| want == b'.' || want == got)
}

/// The scripts of the cases, and what each must leave behind.
#[test]
fn scripts_of_the_third_party_cases() {
    let Some(cases) = shared("cases") else { return };
    let mut played = 0;
    for entry in std::fs::read_dir(cases).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("session.json").is_file() {
            continue;
        }
        played += 1;
        let sink = TestSink::start();
        play(&sink, &folder);
        eventually("sessions end", || sink.handle.counters().open.value() == 0);
        let stored = sink.inbox.stored();
        let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let place = folder.display();
        if let Some(count) = expected.get("stored").and_then(Value::as_u64) {
            assert_eq!(stored.len() as u64, count, "{place}");
        }
        let from = |message: &crate::support::sink::Stored| {
            message.envelope.mail_from.as_ref().map(ToString::to_string).unwrap_or_default()
        };
        if let Some(want) = expected.get("envelope_from").and_then(Value::as_str) {
            assert_eq!(from(&stored[0]), want, "{place}");
        }
        if let Some(want) = expected.get("helo").and_then(Value::as_str) {
            assert_eq!(stored[0].envelope.helo.as_deref(), Some(want), "{place}");
        }
        if expected.get("stored_with_envelope_evil").is_some() {
            assert!(stored.iter().all(|message| from(message) != "evil@example.com"), "{place}");
            assert_eq!(stored.len(), 5, "{place}: one message a connection");
        }
        if let Some(want) = expected.get("second_rcpt").and_then(Value::as_str) {
            assert_eq!(stored[1].envelope.rcpt_to[0].to_string(), want, "{place}");
        }
        if let Some(want) = expected.get("recipients").and_then(Value::as_array) {
            let got: Vec<String> = stored[0].envelope.rcpt_to.iter().map(ToString::to_string).collect();
            assert_eq!(Value::from(got), Value::from(want.clone()), "{place}");
        }
    }
    assert!(played >= 9, "{played} scripts played");
}

// ---- Load ----

/// Many deliveries at one moment: all answered, none lost or mixed.
#[test]
fn two_hundred_deliveries_at_one_moment() {
    let sink = TestSink::start();
    let address = sink.address();
    std::thread::scope(|scope| {
        for number in 0..200 {
            scope.spawn(move || {
                let mut client = Client::greeted(address);
                let message = format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(number * 50));
                let reply =
                    client.deliver(&format!("s{number}@b.example"), "dmarc@example.com", message.as_bytes());
                assert!(reply.starts_with("250"), "{reply}");
                client.command("QUIT", "221");
            });
        }
    });
    let stored = sink.inbox.stored();
    assert_eq!(stored.len(), 200);
    for message in stored {
        let from = message.envelope.mail_from.unwrap().to_string();
        let number: usize = from.trim_start_matches('s').split('@').next().unwrap().parse().unwrap();
        let want = format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(number * 50));
        assert!(message.bytes == want.as_bytes(), "message {number} is its own");
    }
}

/// All in one write to a half-closed socket: every reply arrives.
#[test]
fn half_closed_sockets_get_their_replies() {
    let sink = TestSink::start();
    let mut client = Client::connect(sink.address());
    client.send(
        "EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<dmarc@example.com>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n",
    );
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    for code in ["220", "250", "250", "250", "354", "250", "221"] {
        client.expect(code);
    }
    client.expect_closed();
    assert_eq!(sink.inbox.stored().len(), 1);
}

#[test]
fn early_talkers_are_noted_and_served() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| options.limits = SinkLimits::STANDARD);
    // Whether the first byte is there before the greeting is a race that the client cannot decide alone:
    // many tries make sure that the counter works.
    for _ in 0..200 {
        let mut socket = std::net::TcpStream::connect(sink.address()).unwrap();
        socket.write_all(b"EHLO a\r\nQUIT\r\n").unwrap();
        std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
        if sink.handle.counters().early_talkers.value() > 0 {
            return;
        }
    }
    panic!("no early talker was noted");
}
