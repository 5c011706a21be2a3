//! Limits, deadlines and clients that misbehave.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use mailsonde::mail::Refusal;
use mailsonde::smtp::sink::{Listener, Network, Relays, Sink, SinkError, SinkOptions};

use crate::support::client::Client;
use crate::support::sink::{MemoryInbox, TestSink, eventually};

#[test]
fn connections_in_total_and_for_one_client() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.limits.sessions = 3;
        options.limits.sessions_per_client = 2;
        options.trusted.clear();
    });
    let mut first = Client::greeted(sink.address());
    let _second = Client::greeted(sink.address());
    let mut third = Client::connect(sink.address());
    let reply = third.expect("421");
    assert!(reply.starts_with("421 4.7.0 mx.example.com "), "{reply}");
    third.expect_closed();
    assert_eq!(sink.handle.counters().refused_client.value(), 1);
    // A place that is given back is free again.
    first.command("QUIT", "221");
    eventually("a place is free", || sink.handle.counters().open.value() == 1);
    Client::greeted(sink.address());

    let sink = TestSink::start_with(&|options: &mut SinkOptions| options.limits.sessions = 3);
    let mut open: Vec<Client> = (0..3).map(|_| Client::greeted(sink.address())).collect();
    let reply = Client::connect(sink.address()).expect("421");
    assert!(reply.starts_with("421 4.3.2 "), "{reply}");
    assert_eq!(sink.handle.counters().refused_total.value(), 1);
    for client in &mut open {
        client.command("NOOP", "250");
    }
}

#[test]
fn rates_of_one_client() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.limits.sessions_per_client_minute = 3;
        options.limits.messages_per_client_minute = 2;
        options.trusted.clear();
    });
    let mut client = Client::greeted(sink.address());
    for _ in 0..2 {
        assert!(client.deliver("", "dmarc@example.com", b"x\r\n").starts_with("250"));
    }
    let reply = client.command("MAIL FROM:<>", "450");
    assert!(reply.starts_with("450 4.7.0"), "{reply}");
    client.command("NOOP", "250");
    Client::greeted(sink.address());
    Client::greeted(sink.address());
    Client::connect(sink.address()).expect("421");
    assert_eq!(sink.handle.counters().refused_rate.value(), 1);
}

#[test]
fn no_room_is_a_452_at_mail_and_passes() {
    let sink = TestSink::start();
    let mut client = Client::greeted(sink.address());
    *sink.inbox.no_room.lock().unwrap() =
        Some(Refusal::new(452, "4.3.1", "Insufficient system storage", "full"));
    let reply = client.command("MAIL FROM:<> SIZE=100", "452");
    assert_eq!(reply, "452 4.3.1 Insufficient system storage");
    *sink.inbox.no_room.lock().unwrap() = None;
    assert!(client.deliver("", "dmarc@example.com", b"x\r\n").starts_with("250"));
}

/// Over the size limit within the data: read to the end, answered there, nothing kept on disk.
#[test]
fn a_message_over_the_size_limit_is_refused_at_its_end() {
    let cap = 3 * 1024 * 1024;
    let sink = TestSink::start_with(&|options: &mut SinkOptions| options.limits.session.message_bytes = cap);
    let mut client = Client::greeted(sink.address());
    client.command(&format!("MAIL FROM:<> SIZE={}", cap + 1), "552");
    let exact = [vec![b'x'; usize::try_from(cap).unwrap() - 2], b"\r\n".to_vec()].concat();
    let over = [b"y".as_slice(), &exact].concat();
    let reply = client.deliver("", "dmarc@example.com", &over);
    assert_eq!(reply, "552 5.3.4 Message too big");
    let files = std::fs::read_dir(sink.directory.path()).unwrap().count();
    assert_eq!(files, 2, "only certificate and key are there");
    assert!(client.deliver("", "dmarc@example.com", &exact).starts_with("250"));
    assert_eq!(sink.inbox.stored().len(), 1);
    assert_eq!(sink.handle.counters().messages_refused.value(), 1);
}

/// All bodies together have a budget; above it they go to files and come whole all the same.
#[test]
fn bodies_over_the_common_budget_are_spooled() {
    let sink =
        TestSink::start_with(&|options: &mut SinkOptions| options.limits.bodies_memory_bytes = 200_000);
    let address = sink.address();
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            scope.spawn(move || {
                let body = [vec![b'a' + number; 900_000], b"\r\n".to_vec()].concat();
                let reply = Client::greeted(address).deliver("", "dmarc@example.com", &body);
                assert!(reply.starts_with("250"), "{reply}");
            });
        }
    });
    let stored = sink.inbox.stored();
    assert_eq!(stored.len(), 8);
    for message in &stored {
        assert!(message.was_spooled);
        assert_eq!(message.bytes.len(), 900_002);
        assert!(message.bytes[..900_000].iter().all(|byte| *byte == message.bytes[0]));
    }
}

#[test]
fn deadlines_close_with_a_421_and_touch_nobody_else() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        let session = &mut options.limits.session;
        // Long enough for a busy machine to keep up with the dialogues before the waiting begins.
        session.command_timeout = Duration::from_secs(3);
        session.command_timeout_under_stress = Duration::from_secs(3);
        session.data_block_timeout = Duration::from_secs(3);
        session.data_timeout = Duration::from_secs(5);
        session.session_timeout = Duration::from_secs(8);
        session.messages = usize::MAX;
        session.junk_commands = usize::MAX;
    });
    let address = sink.address();
    std::thread::scope(|scope| {
        // Silent after the greeting.
        scope.spawn(move || {
            let mut client = Client::greeted(address);
            let reply = client.expect("421");
            assert!(reply.starts_with("421 4.4.2 "), "{reply}");
            client.expect_closed();
        });
        // A byte now and then is no command.
        scope.spawn(move || {
            let mut client = Client::greeted(address);
            client.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            for _ in 0..600 {
                let mut socket = &client.socket;
                if socket.write_all(b"N").is_err() {
                    break;
                }
                let mut byte = [0];
                match client.socket.peek(&mut byte) {
                    Ok(_) => break,
                    Err(error) => assert!(matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionReset
                    )),
                }
            }
            client.socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            client.expect("421");
        });
        // Silent within the data.
        scope.spawn(move || {
            let mut client = Client::greeted(address);
            client.command("MAIL FROM:<>", "250");
            client.command("RCPT TO:<dmarc@example.com>", "250");
            client.command("DATA", "354");
            client.send("begun\r\n");
            let reply = client.expect("421");
            assert!(reply.starts_with("421 4.4.2 "), "{reply}");
        });
        // A byte now and then within the data ends with the whole message's time.
        scope.spawn(move || {
            let mut client = Client::greeted(address);
            client.command("MAIL FROM:<>", "250");
            client.command("RCPT TO:<dmarc@example.com>", "250");
            client.command("DATA", "354");
            client.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let mut socket = client.socket.try_clone().unwrap();
            let mut byte = [0];
            while socket.write_all(b"x").is_ok() && client.socket.peek(&mut byte).is_err() {}
            client.socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            client.expect("421");
        });
        // Busy, but open for too long.
        scope.spawn(move || {
            let mut client = Client::greeted(address);
            loop {
                client.send("RSET\r\nMAIL FROM:<>\r\nRCPT TO:<dmarc@example.com>\r\nDATA\r\n.\r\n");
                let mut reply = String::new();
                for _ in 0..5 {
                    reply = client.reply();
                    if reply.starts_with("421") {
                        assert!(reply.starts_with("421 4.3.2 "), "{reply}");
                        return;
                    }
                }
                assert!(reply.starts_with("250"), "{reply}");
                // Busy enough; the processor is wanted by other tests.
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    });
    assert_eq!(sink.handle.counters().timeouts.value(), 5);
    eventually("all are gone", || sink.handle.counters().open.value() == 0);
}

#[test]
fn under_stress_idle_clients_wait_shorter() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.limits.sessions = 8;
        options.limits.session.command_timeout_under_stress = Duration::from_secs(3);
    });
    // Six of eight are no stress yet; the seventh is.
    let mut calm: Vec<Client> = (0..6).map(|_| Client::greeted(sink.address())).collect();
    let mut last = Client::greeted(sink.address());
    last.expect("421");
    for client in &mut calm {
        let reply = client.reply();
        assert!(reply.is_empty() || reply.starts_with("421 4.4.2"), "{reply}");
        if reply.is_empty() {
            break;
        }
        if sink.handle.counters().open.value() <= 6 {
            break;
        }
    }
    Client::greeted(sink.address()).command("NOOP", "250");
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.limits.write_timeout = Duration::from_millis(500);
        options.limits.session.junk_commands = usize::MAX;
        options.limits.session.commands = usize::MAX;
    });
    let mut client = Client::greeted(sink.address());
    client.socket.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let commands = "NOOP\r\n".repeat(10_000);
    // Sending stops when the server stops reading, or when it has closed.
    let mut sent = 0_u64;
    let mut socket = client.socket.try_clone().unwrap();
    while let Ok(()) = socket.write_all(commands.as_bytes()) {
        sent += commands.len() as u64;
        assert!(sent < 500_000_000, "the server takes everything and is never answered");
    }
    eventually("it is let go", || sink.handle.counters().open.value() == 0);
    assert_eq!(sink.handle.counters().timeouts.value(), 1);
    client.send_ignoring_errors(b"");
    Client::greeted(sink.address()).command("NOOP", "250");
}

#[test]
fn idle_clients_never_stop_a_new_one() {
    let sink = TestSink::start();
    let idle: Vec<Client> = (0..400).map(|_| Client::connect(sink.address())).collect();
    let mut client = Client::greeted(sink.address());
    assert!(client.deliver("", "dmarc@example.com", b"x\r\n").starts_with("250"));
    drop(idle);
}

#[test]
fn overlong_lines_and_other_protocols() {
    let sink = TestSink::start();
    let mut client = Client::greeted(sink.address());
    client.send("NOOP ".to_owned() + &"x".repeat(100_000) + "\r\n");
    client.expect("500");
    client.command("NOOP", "250");
    for first in
        ["GET / HTTP/1.1\r\nHost: mx\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "CONNECT mx:25 HTTP/1.0\r\n\r\n"]
    {
        let mut client = Client::connect(sink.address());
        client.expect("220");
        client.send(first);
        client.expect("554");
        client.expect_closed();
    }
}

/// Options without TLS.
fn options(listeners: Vec<Listener>, spool: &std::path::Path) -> SinkOptions {
    SinkOptions {
        host_name: "mx.example.com".into(),
        listeners,
        tls: None,
        spool_directory: spool.to_owned(),
        trusted: vec![Network::parse("127.0.0.1").unwrap()],
        relays: Relays::NONE,
        limits: mailsonde::smtp::sink::SinkLimits::STANDARD,
    }
}

#[test]
fn one_address_that_cannot_be_bound_is_enough() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let inbox = || std::sync::Arc::new(MemoryInbox::default());
    let free = || Listener::Address("127.0.0.1:0".parse().unwrap());
    let both = options(vec![free(), Listener::Address(address)], directory.path());
    let error = Sink::bind(both, inbox()).unwrap_err();
    assert!(matches!(error, SinkError::Bind { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(matches!(Sink::bind(options(vec![], directory.path()), inbox()), Err(SinkError::NoListener)));
    let missing = directory.path().join("missing");
    assert!(matches!(Sink::bind(options(vec![free()], &missing), inbox()), Err(SinkError::Spool { .. })));
}

#[test]
fn several_listeners_of_both_families() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.listeners = ["127.0.0.1:0", "127.0.0.1:0"]
            .iter()
            .map(|address| Listener::Address(address.parse().unwrap()))
            .collect();
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            options.listeners.push(Listener::Address("[::1]:0".parse().unwrap()));
        }
    });
    for address in &sink.addresses {
        Client::greeted(*address).command("NOOP", "250");
    }
}

/// `0.0.0.0:25` and `[::]:25` side by side: each family has its own socket on one port.
#[test]
fn both_families_on_one_port() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: no IPv6 here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        // A port that is free now may be taken a moment later by another test.
        let port = std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let listeners = ["[::]", "0.0.0.0"]
            .iter()
            .map(|host| Listener::Address(format!("{host}:{port}").parse().unwrap()))
            .collect();
        let options = options(listeners, directory.path());
        let Ok(sink) = Sink::bind(options, std::sync::Arc::new(MemoryInbox::default())) else { continue };
        assert_eq!(sink.addresses().len(), 2);
        for host in ["127.0.0.1", "[::1]"] {
            std::net::TcpStream::connect(format!("{host}:{port}")).unwrap();
        }
        return;
    }
    panic!("twenty ports were taken");
}

/// Sockets that somebody else has bound, as systemd does.
#[test]
fn sockets_that_are_handed_over() {
    let given = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = given.local_addr().unwrap();
    let given = std::cell::RefCell::new(Some(given));
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.listeners = vec![Listener::Socket(given.take().unwrap())];
    });
    assert_eq!(sink.address(), address);
    Client::greeted(address).command("NOOP", "250");
}
