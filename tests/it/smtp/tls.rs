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

/// A ClientHello of TLS 1.1 without extensions: the answer is an alert and no ServerHello (RFC 8996).
#[test]
fn old_versions_are_refused() {
    let sink = TestSink::start();
    for version in [[3_u8, 1], [3, 2]] {
        let mut hello = vec![1, 0, 0, 0];
        hello.extend_from_slice(&version);
        hello.extend_from_slice(&[7; 32]);
        // No session id, one cipher suite (ECDHE-RSA with AES-128-CBC), no compression.
        hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x13, 1, 0]);
        hello[3] = u8::try_from(hello.len() - 4).unwrap();
        let mut record = vec![0x16, 3, 1, 0, u8::try_from(hello.len()).unwrap()];
        record.extend_from_slice(&hello);
        let mut client = Client::greeted(sink.address());
        client.command("STARTTLS", "220");
        client.send(record);
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut client.socket, &mut answer).unwrap();
        assert_eq!(answer.first(), Some(&0x15), "{version:?}: {answer:?}");
    }
    eventually("both are counted", || sink.handle.counters().tls_failed.value() == 2);
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
