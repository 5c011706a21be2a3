//! STARTTLS.

use std::io::Write;
use std::time::Duration;

use mailsonde::smtp::sink::SinkOptions;
use mailsonde::smtp::tls::ServerTls;

use crate::support::client::Client;
use crate::support::sink::{TestSink, eventually};

#[test]
fn the_envelope_names_version_cipher_and_server_name() {
    let sink = TestSink::start();
    let mut client = Client::within_tls(sink.address());
    let reply = client.command("EHLO again.example.org", "250");
    assert!(!reply.contains("STARTTLS"), "{reply}");
    client.command("STARTTLS", "503");
    let reply = client.deliver("a@b.example", "dmarc@example.com", b"within TLS\r\n");
    assert!(reply.starts_with("250"), "{reply}");
    client.command("QUIT", "221");
    let tls = sink.inbox.stored()[0].envelope.tls.clone().unwrap();
    assert_eq!(tls.version, "TLSv1.3");
    assert!(tls.cipher.starts_with("TLS_"), "{tls:?}");
    assert_eq!(tls.server_name.as_deref(), Some("mx.example.com"));
    assert_eq!(sink.handle.counters().tls.value(), 1);
}

#[test]
fn what_was_sent_in_the_clear_is_never_a_command_within_tls() {
    let sink = TestSink::start();
    let mut client = Client::greeted(sink.address());
    client.send("STARTTLS\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<dmarc@example.com>\r\n");
    client.expect("220");
    client.handshake().unwrap();
    assert!(client.is_quiet(Duration::from_millis(200)), "nothing injected was answered");
    client.command("MAIL FROM:<a@b.example>", "503");
    client.command("EHLO sender.example.org", "250");
    client.deliver("a@b.example", "dmarc@example.com", b"x\r\n");
    let stored = sink.inbox.stored();
    assert_eq!(stored[0].envelope.mail_from.as_ref().unwrap().to_string(), "a@b.example");
    assert_eq!(stored[0].envelope.rcpt_to.len(), 1);
}

#[test]
fn a_broken_handshake_costs_one_connection() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.limits.tls_handshake_timeout = Duration::from_secs(3);
    });
    for garbage in [&b"EHLO in the clear\r\n"[..], b"\x16\x03\x01\x00\x05xxxxx", &[0xff; 5_000]] {
        let mut client = Client::greeted(sink.address());
        client.command("STARTTLS", "220");
        // The server may have closed already.
        let _ = client.socket.write_all(garbage);
        eventually("the session ends", || sink.handle.counters().open.value() == 0);
    }
    // A client that stays silent is not waited for.
    let mut silent = Client::greeted(sink.address());
    silent.command("STARTTLS", "220");
    eventually("the silent one is dropped", || sink.handle.counters().tls_failed.value() == 4);
    Client::within_tls(sink.address()).command("NOOP", "250");
}

#[test]
fn without_a_certificate_it_is_not_offered() {
    let sink = TestSink::start_with(&|options: &mut SinkOptions| options.tls = None);
    let mut client = Client::connect(sink.address());
    client.expect("220");
    let reply = client.command("EHLO a", "250");
    assert!(!reply.contains("STARTTLS"), "{reply}");
    client.command("STARTTLS", "502");
}

#[test]
fn a_changed_certificate_is_used_without_a_restart() {
    let sink = TestSink::start();
    let before = Client::within_tls(sink.address()).certificate.unwrap();
    let other = tempfile::tempdir().unwrap();
    ServerTls::load_or_create(other.path(), "mx.example.com").unwrap();
    for name in ["smtp-key.pem", "smtp-certificate.pem"] {
        std::fs::copy(other.path().join(name), sink.directory.path().join(name)).unwrap();
    }
    // The files are looked at every few seconds, at a handshake.
    eventually("the new certificate is shown", || {
        Client::within_tls(sink.address()).certificate.unwrap() != before
    });
    assert!(!sink.tls.reload_if_changed().unwrap());
}
