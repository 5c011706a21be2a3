//! Storage that refuses, sessions that panic, the stop.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mailsonde::mail::Refusal;
use mailsonde::smtp::sink::SinkOptions;

use crate::support::client::Client;
use crate::support::sink::{TestSink, eventually};

#[test]
fn a_refusal_of_the_store_is_answered_and_the_session_goes_on() {
    let sink = TestSink::start();
    let mut client = Client::greeted(sink.address());
    for refusal in [
        Refusal::new(452, "4.3.1", "Insufficient system storage", "disk full"),
        Refusal::new(451, "4.3.2", "Busy", "queue full"),
        Refusal::new(554, "5.7.1", "Forged", "token"),
    ] {
        let want = format!("{} {} {}", refusal.code, refusal.enhanced, refusal.text);
        sink.inbox.refusals.lock().unwrap().push_back(refusal);
        assert_eq!(client.deliver("", "dmarc@example.com", b"x\r\n"), want);
    }
    assert!(client.deliver("", "dmarc@example.com", b"x\r\n").starts_with("250"));
    let counters = sink.handle.counters();
    assert_eq!((counters.messages.value(), counters.messages_deferred.value()), (1, 2));
    assert_eq!(counters.messages_refused.value(), 1);
}

#[test]
fn a_store_that_does_not_answer_is_a_451() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.limits.keep_timeout = Duration::from_secs(2);
    });
    sink.inbox.holds.store(true, Ordering::SeqCst);
    let mut client = Client::greeted(sink.address());
    let reply = client.deliver("", "dmarc@example.com", b"x\r\n");
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    sink.inbox.holds.store(false, Ordering::SeqCst);
    assert!(client.deliver("", "dmarc@example.com", b"x\r\n").starts_with("250"));
}

#[test]
fn a_spool_folder_that_went_away_is_temporary() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        let spool = options.spool_directory.join("spool");
        std::fs::create_dir(&spool).unwrap();
        options.spool_directory = spool;
    });
    let spool = sink.directory.path().join("spool");
    let mut client = Client::greeted(sink.address());
    std::fs::remove_dir(&spool).unwrap();
    let large = b"0123456789\r\n".repeat(200_000);
    let reply = client.deliver("", "dmarc@example.com", &large);
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    std::fs::create_dir(&spool).unwrap();
    assert!(client.deliver("", "dmarc@example.com", &large).starts_with("250"));
    assert!(sink.inbox.stored()[0].was_spooled);
}

#[test]
fn a_mail_loop_is_refused() {
    let sink = TestSink::start();
    let mut client = Client::greeted(sink.address());
    let message = |count: usize| "Received: by a\r\n".repeat(count) + "\r\nReceived: in the text\r\n";
    let cap = mailsonde::limits::RECEIVED_FIELDS;
    assert!(client.deliver("", "dmarc@example.com", message(cap).as_bytes()).starts_with("250"));
    let reply = client.deliver("", "dmarc@example.com", message(cap + 1).as_bytes());
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
}

#[test]
fn a_panic_costs_one_session() {
    let sink = TestSink::start();
    let mut other = Client::greeted(sink.address());
    for is_tls in [false, true] {
        let start = if is_tls { Client::within_tls } else { Client::greeted };
        let mut client = start(sink.address());
        client.command("MAIL FROM:<>", "250");
        let reply = client.command("RCPT TO:<panic@example.com>", "421");
        assert!(reply.starts_with("421 4.3.0 mx.example.com"), "{reply}");
        client.expect_closed();
    }
    assert!(other.deliver("", "dmarc@example.com", b"x\r\n").starts_with("250"));
    assert_eq!(sink.handle.counters().faults.value(), 2);
    drop(other);
    eventually("no place is lost", || sink.handle.counters().open.value() == 0);
}

#[test]
fn a_graceful_stop_finishes_what_is_in_flight() {
    let mut sink = TestSink::start();
    let mut idle = Client::greeted(sink.address());
    let mut sending = Client::greeted(sink.address());
    sending.command("MAIL FROM:<>", "250");
    sending.command("RCPT TO:<dmarc@example.com>", "250");
    sending.command("DATA", "354");
    let mut kept = Client::greeted(sink.address());
    sink.inbox.holds.store(true, Ordering::SeqCst);
    kept.command("MAIL FROM:<>", "250");
    kept.command("RCPT TO:<dmarc@example.com>", "250");
    kept.command("DATA", "354");
    kept.send("kept\r\n.\r\n");
    eventually("it waits for its commit", || sink.inbox.waiting.load(Ordering::SeqCst) == 1);

    sink.handle.stop(Duration::from_secs(20));
    let reply = idle.expect("421");
    assert!(reply.starts_with("421 4.3.2 mx.example.com"), "{reply}");
    idle.expect_closed();
    drop(idle);
    sink.inbox.holds.store(false, Ordering::SeqCst);
    kept.expect("250");
    kept.expect("421");
    drop(kept);
    sending.send("whole\r\n.\r\n");
    sending.expect("250");
    sending.expect("421");
    drop(sending);
    sink.join();
    assert!(std::net::TcpStream::connect(sink.address()).is_err(), "nobody listens any more");
    assert_eq!(sink.inbox.stored().len(), 2);
}

#[test]
fn the_stop_does_not_wait_for_ever_and_the_second_call_cuts() {
    for calls in [1, 2] {
        let mut sink = TestSink::start();
        let mut client = Client::greeted(sink.address());
        client.command("MAIL FROM:<>", "250");
        client.command("RCPT TO:<dmarc@example.com>", "250");
        client.command("DATA", "354");
        let grace = if calls == 1 { Duration::from_millis(200) } else { Duration::from_secs(600) };
        for _ in 0..calls {
            sink.handle.stop(grace);
        }
        sink.join();
        client.expect_closed();
        assert!(sink.inbox.stored().is_empty());
    }
}
