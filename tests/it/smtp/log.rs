//! The log of the receiver.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Once};
use std::time::Duration;

use mailsonde::smtp::sink::{Listener, Network, Relays, Sink, SinkLimits, SinkOptions};

use crate::support::client::Client;
use crate::support::sink::MemoryInbox;

thread_local! {
    /// What is logged by this thread, while a test gathers it.
    static GATHERED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Hands what is logged to the test of the thread that logs it; drops the rest.
#[derive(Clone, Copy, Default)]
struct ByThread;

impl Write for ByThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        GATHERED.with_borrow_mut(|gathered| {
            if let Some(gathered) = gathered {
                gathered.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One subscriber for the whole process: those of single tests come and go, and tracing's memory of who
/// listens to what then loses lines of the others.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| ByThread).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// What is logged while `dialogue` runs against a receiver.
fn logged(dialogue: impl FnOnce(std::net::SocketAddr) + Send + 'static) -> String {
    listen();
    GATHERED.set(Some(Vec::new()));
    // One thread: what the sessions log is logged by the thread of this test.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let options = SinkOptions {
            host_name: "mx.example.com".into(),
            listeners: vec![Listener::Address("127.0.0.1:0".parse().unwrap())],
            tls: None,
            spool_directory: directory.path().into(),
            trusted: vec![Network::parse("127.0.0.1").unwrap()],
            relays: Relays::NONE,
            limits: SinkLimits::STANDARD,
        };
        let sink = Sink::bind(options, Arc::new(MemoryInbox::default())).unwrap();
        let (handle, address) = (sink.handle(), sink.addresses()[0]);
        let serving = tokio::spawn(sink.serve());
        tokio::task::spawn_blocking(move || dialogue(address)).await.unwrap();
        handle.stop(Duration::from_secs(10));
        serving.await.unwrap().unwrap();
    });
    String::from_utf8(GATHERED.take().unwrap()).unwrap()
}

#[test]
fn one_line_a_message_and_one_a_session() {
    let log = logged(|address| {
        let mut client = Client::greeted(address);
        client.deliver("a@b.example", "dmarc@example.com", b"Subject: secret text\r\n\r\nx\r\n");
        client.command("QUIT", "221");
    });
    let lines = |word: &str| log.lines().filter(|line| line.contains(word)).collect::<Vec<_>>();
    let messages = lines(" message session=");
    assert_eq!(messages.len(), 1, "{log}");
    for part in [
        "peer=127.0.0.1:",
        "helo=sender.example.org",
        "tls=none",
        "from=a@b.example",
        "rcpts=dmarc@example.com",
        "bytes=27",
        "reply=250 2.0.0 OK 1",
        "seconds=",
    ] {
        assert!(messages[0].contains(part), "{part} in {log}");
    }
    let sessions = lines(" session session=");
    assert_eq!(sessions.len(), 1, "{log}");
    assert!(sessions[0].contains("messages=1") && sessions[0].contains("reason=quit"), "{log}");
    assert!(!log.contains("secret text"), "no bodies: {log}");
}

#[test]
fn hostile_names_and_many_refusals_do_no_harm() {
    let log = logged(|address| {
        let mut client = Client::connect(address);
        client.expect("220");
        client.command("EHLO evil\u{202e}name\\\"", "250");
        client.command("MAIL FROM:<\"a\u{2028}b\"@b.example> SMTPUTF8", "250");
        for _ in 0..20 {
            client.command("RCPT TO:<nobody@example.com>", "550");
        }
        client.command("RCPT TO:<nobody@example.com>", "421");
    });
    assert!(log.contains("helo=evil\\u{202e}name\\\\\\\""), "{log}");
    assert!(log.contains("\\u{2028}"), "{log}");
    assert!(!log.contains('\u{202e}') && !log.contains('\u{2028}'), "{log}");
    assert_eq!(log.matches("recipient refused").count(), mailsonde::limits::LOG_RECIPIENTS, "{log}");
    assert!(log.contains("refused_rcpts=21") && log.contains("reason=too many errors"), "{log}");
}
