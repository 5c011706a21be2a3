//! A receiver of the product on a loopback port, over an Inbox that remembers.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailsonde::mail::{Address, Body, Envelope, Inbox, MessageId, Purpose, Refusal};
use mailsonde::smtp::sink::{Listener, Network, Relays, Sink, SinkHandle, SinkLimits, SinkOptions};
use mailsonde::smtp::tls::ServerTls;

/// Domains whose mail [`MemoryInbox`] takes; others are refused as relaying.
const DOMAINS: [&str; 4] = ["example.com", "example.net", "example.org", "xn--bcher-kva.example"];

/// A message that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its envelope.
    pub(crate) envelope: Envelope,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// It came in a spool file.
    pub(crate) was_spooled: bool,
}

/// Keeps messages in memory. Local parts that begin with `nobody` are unknown.
#[derive(Debug, Default)]
pub(crate) struct MemoryInbox {
    stored: Mutex<Vec<Stored>>,
    next_id: AtomicI64,
    /// What the next messages are refused with, in order.
    pub(crate) refusals: Mutex<VecDeque<Refusal>>,
    /// What MAIL is refused with.
    pub(crate) no_room: Mutex<Option<Refusal>>,
    /// Messages are only counted.
    pub(crate) counts_only: AtomicBool,
    /// Messages counted.
    pub(crate) count: AtomicUsize,
    /// Messages are held back until this is false again.
    pub(crate) holds: AtomicBool,
    /// Sessions that wait in [`Inbox::accept`].
    pub(crate) waiting: AtomicUsize,
}

impl MemoryInbox {
    /// The messages taken so far.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        self.stored.lock().unwrap().clone()
    }
}

impl Inbox for MemoryInbox {
    fn recipient(&self, address: &Address, _client: Option<IpAddr>) -> Result<Purpose, Refusal> {
        // A fault of ours, on order.
        assert!(address.local != "panic", "a panic was asked for");
        match address.domain.as_deref() {
            None => Ok(Purpose::Postmaster),
            Some(domain) if DOMAINS.contains(&domain) => {
                if address.local.to_ascii_lowercase().starts_with("nobody") {
                    Err(Refusal::new(550, "5.1.1", "No such user", "unknown recipient"))
                } else {
                    Ok(Purpose::Reports)
                }
            }
            Some(_) => Err(Refusal::new(550, "5.7.1", "Relaying denied", "foreign domain")),
        }
    }

    fn has_room(&self, _size_bytes: u64) -> Result<(), Refusal> {
        match &*self.no_room.lock().unwrap() {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(()),
        }
    }

    async fn accept(&self, envelope: Envelope, body: Body) -> Result<MessageId, Refusal> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while self.holds.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return Err(refusal);
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        if !self.counts_only.load(Ordering::SeqCst) {
            let (bytes, was_spooled) = match body {
                Body::Memory(bytes) => (bytes.to_vec(), false),
                Body::Spool(file) => (std::fs::read(&file.path).unwrap(), true),
            };
            self.stored.lock().unwrap().push(Stored { envelope, bytes, was_spooled });
        }
        Ok(MessageId(self.next_id.fetch_add(1, Ordering::SeqCst) + 1))
    }
}

/// A running receiver; it is cut when dropped.
pub(crate) struct TestSink {
    /// What it took.
    pub(crate) inbox: Arc<MemoryInbox>,
    /// Its stop and its counters.
    pub(crate) handle: SinkHandle,
    /// Where it listens.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Its folder: certificate and spool.
    pub(crate) directory: tempfile::TempDir,
    /// Its certificate.
    pub(crate) tls: Arc<ServerTls>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What a test changes of [`sink_options`].
pub(crate) type Change<'a> = &'a dyn Fn(&mut SinkOptions);

impl TestSink {
    /// Starts a receiver with TLS on a port of 127.0.0.1, with loopback trusted.
    pub(crate) fn start() -> Self {
        Self::start_with(&|_| {})
    }

    /// The same with other options.
    pub(crate) fn start_with(change: Change<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tls = Arc::new(ServerTls::load_or_create(directory.path(), "mx.example.com").unwrap());
        let mut options = SinkOptions {
            host_name: "mx.example.com".into(),
            listeners: vec![Listener::Address("127.0.0.1:0".parse().unwrap())],
            tls: Some(Arc::clone(&tls)),
            spool_directory: directory.path().into(),
            trusted: vec![Network::parse("127.0.0.0/8").unwrap(), Network::parse("::1").unwrap()],
            relays: Relays::NONE,
            limits: SinkLimits::STANDARD,
        };
        change(&mut options);
        let inbox = Arc::new(MemoryInbox::default());
        let sink = Sink::bind(options, Arc::clone(&inbox)).unwrap();
        let (handle, addresses) = (sink.handle(), sink.addresses().to_vec());
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(sink.serve()).unwrap();
        });
        Self { inbox, handle, addresses, directory, tls, thread: Some(thread) }
    }

    /// The first address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Waits for the receiver's own end.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for TestSink {
    fn drop(&mut self) {
        self.inbox.holds.store(false, Ordering::SeqCst);
        self.handle.stop(Duration::ZERO);
        self.handle.stop(Duration::ZERO);
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            if !std::thread::panicking() {
                joined.unwrap();
            }
        }
    }
}

/// Waits until `condition` holds; fails after a time that no healthy machine needs.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("did not happen in 30 s: {what}");
}
