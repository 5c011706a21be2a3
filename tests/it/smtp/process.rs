//! The receiver as a process of its own, whose memory and file descriptors can be counted.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use mailsonde::smtp::sink::SinkOptions;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::client::Client;
use crate::support::sink::{TestSink, eventually};

/// Set in the child: how many files it may open, 0 for the usual number.
const CHILD: &str = "MAILSONDE_TEST_SINK";

/// A receiver in a process of its own; it ends with its standard input.
struct SinkProcess {
    child: Child,
    _stdin: ChildStdin,
    address: SocketAddr,
}

impl SinkProcess {
    /// Runs the test `name` once more as the child, or, within the child, serves and gives `None`.
    fn start(name: &str, files: u64) -> Option<Self> {
        if let Ok(files) = std::env::var(CHILD) {
            serve(files.parse().unwrap());
            return None;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(CHILD, files.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            if let Some((_, text)) = line.unwrap().split_once("listening on ") {
                address = Some(text.parse().unwrap());
                break;
            }
        }
        let stdin = child.stdin.take().unwrap();
        Some(Self { child, _stdin: stdin, address: address.expect("the child listens") })
    }

    /// The most memory that was ever resident, bytes.
    fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1_024
    }
}

impl Drop for SinkProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the standard input ends.
fn serve(files: u64) {
    if files > 0 {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
    }
    let sink = TestSink::start_with(&|options: &mut SinkOptions| {
        options.limits.session.message_bytes = 1 << 40;
        options.limits.session.overlong_line_bytes = usize::MAX;
        options.limits.write_timeout = Duration::from_secs(3);
        options.limits.session.junk_commands = usize::MAX;
        options.limits.session.commands = usize::MAX;
    });
    sink.inbox.counts_only.store(true, Ordering::SeqCst);
    println!("listening on {}", sink.address());
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).unwrap();
}

/// A line without end as a command and as data, a client that never reads, a message of any size: the
/// memory is bounded by a session's own caps.
#[test]
fn memory_stays_flat_whatever_a_client_sends() {
    let name = "smtp::process::memory_stays_flat_whatever_a_client_sends";
    let Some(sink) = SinkProcess::start(name, 0) else { return };
    let block = vec![b'x'; 1_000_000];
    Client::within_tls(sink.address).deliver("", "dmarc@example.com", &block);
    let before = sink.peak_bytes();

    let mut client = Client::greeted(sink.address);
    for _ in 0..200 {
        client.send(&block);
    }
    client.expect("500");
    client.command("\r\nNOOP", "250");

    let mut client = Client::greeted(sink.address);
    client.command("MAIL FROM:<>", "250");
    client.command("RCPT TO:<dmarc@example.com>", "250");
    client.command("DATA", "354");
    for _ in 0..200 {
        client.send(&block);
    }
    client.send("\r\n.\r\n");
    client.expect("250");

    let client = Client::greeted(sink.address);
    let commands = "NOOP\r\n".repeat(50_000);
    let mut socket = client.socket.try_clone().unwrap();
    while std::io::Write::write_all(&mut socket, commands.as_bytes()).is_ok() {}

    let grown = sink.peak_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "grew by {grown} bytes");
}

/// Without a free file descriptor new clients wait; as soon as there is one they are served.
#[test]
fn without_file_descriptors_it_goes_on() {
    let name = "smtp::process::without_file_descriptors_it_goes_on";
    let Some(sink) = SinkProcess::start(name, 60) else { return };
    let mut open: Vec<Client> = (0..100).map(|_| Client::connect(sink.address)).collect();
    let greeted = |client: &mut Client| !client.is_quiet(Duration::from_millis(1));
    eventually("the first ones are greeted", || open.iter_mut().any(greeted));
    let mut last = open.pop().unwrap();
    assert!(last.is_quiet(Duration::from_millis(300)), "a hundred sessions do not fit into 60 files");
    drop(open);
    last.expect("220");
    last.command("NOOP", "250");
    let mut client = Client::greeted(sink.address);
    assert!(client.deliver("", "dmarc@example.com", b"x\r\n").starts_with("250"));
}
