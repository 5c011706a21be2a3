//! The receiver: listeners whose sessions hand every message to an [`Inbox`].
//!
//! ```text
//! Sink::bind(options, inbox)? ── serve().await ── one task a session ── Inbox::accept
//!      └── handle() ── stop(grace), counters()
//! ```
//!
//! **Durable before 250.** A message is answered when [`Inbox::accept`] resolves, never before.
//! **Failure.** A panic, a slow, idle or silent client, a broken handshake and a full disk cost one session
//! or one message and nobody else: each session is a task of its own with a deadline on everything that
//! it waits for. Without free file descriptors the listeners pause and go on. If a listener cannot be bound
//! the receiver does not start.
//! **Memory.** An idle client costs a few kilobytes, a body at most [`limits::BODY_MEMORY_BYTES`], all
//! bodies together [`limits::BODIES_MEMORY_BYTES`]; the rest is spooled.
//! **The true peer.** Behind trusted relays it is what their PROXY header, their XFORWARD or their `Received`
//! line says; see [`Relays`].
//! **Known gaps.** No CHUNKING; an early talker is noted, not kept waiting.

mod body;
mod clients;
mod connection;
mod counters;
mod log;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::clock::{self, Instant};
use crate::limits;
use crate::mail::Inbox;
use crate::mail::envelope::canonical_ip;

use super::session::{SessionLimits, SessionOptions};
use super::tls::ServerTls;

pub use body::SPOOL_PREFIX;
pub use clients::Network;
pub use counters::{Counter, Counters};

use body::BodyStore;
use clients::{Allowance, Client, Clients, Excess};

// ---- Options ----

/// All that the receiver needs to know.
#[derive(Debug)]
pub struct SinkOptions {
    /// Our name, as in the MX record; it stands in every greeting.
    pub host_name: String,
    /// Where to listen; at least one.
    pub listeners: Vec<Listener>,
    /// The certificate; without one STARTTLS is not offered.
    pub tls: Option<Arc<ServerTls>>,
    /// Folder of large bodies that come in; it must exist, on the file system of the store.
    pub spool_directory: PathBuf,
    /// Clients without limits on sessions and messages: our own hosts, a test.
    pub trusted: Vec<Network>,
    /// Hosts in front of us.
    pub relays: Relays,
    /// The caps.
    pub limits: SinkLimits,
}

/// Hosts in front of us, of which we believe who the true peer is. They are without limits, as trusted clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relays {
    /// Where they are.
    pub networks: Vec<Network>,
    /// True: nobody else may connect, and each connection begins with a PROXY header.
    pub proxy_protocol: bool,
}

impl Relays {
    /// Everybody comes to us directly.
    pub const NONE: Self = Self { networks: Vec::new(), proxy_protocol: false };

    /// True if `ip`, in canonical form, is one of them.
    pub fn contain(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }
}

/// One listening socket.
#[derive(Debug)]
pub enum Listener {
    /// Bound by us.
    Address(SocketAddr),
    /// Bound by somebody else, such as systemd.
    Socket(TcpListener),
}

/// The caps of the receiver; [`SinkLimits::STANDARD`] has those of [`crate::limits`].
#[derive(Debug, Clone)]
pub struct SinkLimits {
    /// The caps of one session.
    pub session: SessionLimits,
    /// Sessions open at once.
    pub sessions: usize,
    /// Sessions open at once for one client.
    pub sessions_per_client: usize,
    /// New sessions of one client in a minute.
    pub sessions_per_client_minute: usize,
    /// Messages of one client in a minute.
    pub messages_per_client_minute: usize,
    /// TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// One write to a client.
    pub write_timeout: Duration,
    /// Wait for a message to be kept.
    pub keep_timeout: Duration,
    /// How long a closing session reads away what still comes.
    pub linger_timeout: Duration,
    /// Bytes of one body in memory.
    pub body_memory_bytes: usize,
    /// Bytes of all bodies in memory.
    pub bodies_memory_bytes: usize,
}

impl SinkLimits {
    /// The defaults, each explained in [`crate::limits`].
    pub const STANDARD: Self = Self {
        session: SessionLimits::STANDARD,
        sessions: limits::SESSIONS,
        sessions_per_client: limits::SESSIONS_PER_CLIENT,
        sessions_per_client_minute: limits::SESSIONS_PER_CLIENT_MINUTE,
        messages_per_client_minute: limits::MESSAGES_PER_CLIENT_MINUTE,
        tls_handshake_timeout: limits::TLS_HANDSHAKE_TIMEOUT,
        write_timeout: limits::WRITE_TIMEOUT,
        keep_timeout: limits::KEEP_TIMEOUT,
        linger_timeout: limits::LINGER_TIMEOUT,
        body_memory_bytes: limits::BODY_MEMORY_BYTES,
        bodies_memory_bytes: limits::BODIES_MEMORY_BYTES,
    };
}

/// Why the receiver does not start. The operator has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// No listener is configured.
    #[error("no address to listen on")]
    NoListener,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A socket that was handed to us is no listening TCP socket.
    #[error("cannot use the socket handed to us: {0}")]
    Socket(#[source] io::Error),
    /// The folder for large bodies cannot be written to.
    #[error("cannot write to the spool folder {path}: {source}")]
    Spool {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

// ---- Sink ----

/// A receiver that is bound and not yet serving.
#[derive(Debug)]
pub struct Sink<I> {
    shared: Arc<Shared<I>>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

/// Stops a receiver and reads its counters, from anywhere.
#[derive(Debug, Clone)]
pub struct SinkHandle {
    stop: Arc<watch::Sender<Stop>>,
    counters: Arc<Counters>,
}

/// How far the stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// No stop.
    Not,
    /// No new sessions; those within a message may end it until then.
    Until(Instant),
    /// Everything ends at once.
    Now,
}

/// What all sessions share.
#[derive(Debug)]
struct Shared<I> {
    inbox: Arc<I>,
    options: Arc<SessionOptions>,
    limits: SinkLimits,
    tls: Option<Arc<ServerTls>>,
    bodies: Arc<BodyStore>,
    trusted: Vec<Network>,
    relays: Relays,
    clients: Clients,
    counters: Arc<Counters>,
    stop: Arc<watch::Sender<Stop>>,
    /// Told when a session ends during a stop.
    ended: Notify,
    session_ids: AtomicU64,
}

impl<I: Inbox> Sink<I> {
    /// Binds every listener; needs no runtime, so that privileges can be dropped before [`Self::serve`].
    ///
    /// Errors: one address that cannot be bound is enough for none.
    pub fn bind(options: SinkOptions, inbox: Arc<I>) -> Result<Self, SinkError> {
        if options.listeners.is_empty() {
            return Err(SinkError::NoListener);
        }
        let spool = &options.spool_directory;
        // A folder that cannot be written to would show only with the first large message.
        tempfile::tempfile_in(spool).map_err(|source| SinkError::Spool { path: spool.clone(), source })?;
        let v4_ports: Vec<u16> = options.listeners.iter().filter_map(v4_port).collect();
        let listeners = options
            .listeners
            .into_iter()
            .map(|listener| listen(listener, &v4_ports))
            .collect::<Result<Vec<TcpListener>, SinkError>>()?;
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<Vec<SocketAddr>>>()
            .map_err(SinkError::Socket)?;
        let caps = options.limits;
        let shared = Shared {
            inbox,
            options: Arc::new(SessionOptions {
                host_name: options.host_name,
                is_tls_offered: options.tls.is_some(),
                limits: caps.session.clone(),
            }),
            tls: options.tls,
            bodies: Arc::new(BodyStore::new(
                options.spool_directory,
                caps.body_memory_bytes,
                caps.bodies_memory_bytes,
            )),
            trusted: options.trusted,
            relays: options.relays,
            clients: Clients::new(Allowance {
                open: caps.sessions_per_client,
                sessions: caps.sessions_per_client_minute,
                messages: caps.messages_per_client_minute,
                clients: limits::CLIENTS,
            }),
            counters: Arc::default(),
            stop: Arc::new(watch::Sender::new(Stop::Not)),
            ended: Notify::new(),
            session_ids: AtomicU64::new(1),
            limits: caps,
        };
        Ok(Self { shared: Arc::new(shared), listeners, addresses })
    }

    /// The addresses listened on, in the order of the options, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle for the stop and the counters.
    pub fn handle(&self) -> SinkHandle {
        SinkHandle { stop: Arc::clone(&self.shared.stop), counters: Arc::clone(&self.shared.counters) }
    }

    /// Serves until it is stopped; all sessions are over when it returns. Dropping it cuts them.
    ///
    /// Errors: a listener that the runtime refuses; nothing is served then.
    pub async fn serve(self) -> Result<(), SinkError> {
        let shared = self.shared;
        // Runs even where this future is dropped.
        let _cut = CutOnDrop(Arc::clone(&shared.stop));
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(SinkError::Socket)?;
            accepting.spawn(accept(Arc::clone(&shared), listener));
        }
        let mut stop = shared.stop.subscribe();
        loop {
            let ended = shared.ended.notified();
            let until = match *stop.borrow_and_update() {
                Stop::Not => None,
                Stop::Until(until) => Some(until),
                // The tasks end with their sockets at once.
                Stop::Now if shared.counters.open.value() == 0 => break,
                Stop::Now => Some(clock::instant() + Duration::from_millis(50)),
            };
            let is_stopping = until.is_some();
            if is_stopping && shared.counters.open.value() == 0 {
                break;
            }
            let until = tokio::time::Instant::from_std(
                until.unwrap_or_else(|| clock::instant() + Duration::from_secs(86_400)),
            );
            tokio::select! {
                _ = stop.changed() => {}
                () = ended => {}
                () = tokio::time::sleep_until(until) => if is_stopping {
                    shared.stop.send_replace(Stop::Now);
                }
            }
        }
        while accepting.join_next().await.is_some() {}
        Ok(())
    }
}

impl SinkHandle {
    /// Stops: no new session, 421 at the next command, what is within a message may end it for `grace`.
    /// A second call cuts at once. [`Sink::serve`] returns when all is over.
    pub fn stop(&self, grace: Duration) {
        self.stop.send_modify(|stop| {
            *stop = match *stop {
                Stop::Not => Stop::Until(clock::instant() + grace),
                Stop::Until(_) | Stop::Now => Stop::Now,
            };
        });
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Cuts all sessions when the serving future goes away.
struct CutOnDrop(Arc<watch::Sender<Stop>>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(Stop::Now);
    }
}

/// The port of an IPv4 address to bind.
fn v4_port(listener: &Listener) -> Option<u16> {
    match listener {
        Listener::Address(address) if address.is_ipv4() && address.port() != 0 => Some(address.port()),
        _ => None,
    }
}

/// Makes a listening socket ready for use.
fn listen(listener: Listener, v4_ports: &[u16]) -> Result<TcpListener, SinkError> {
    let socket = match listener {
        Listener::Socket(socket) => Socket::from(socket),
        Listener::Address(address) => {
            bound(address, v4_ports).map_err(|source| SinkError::Bind { address, source })?
        }
    };
    let ready = || {
        // Accepted sockets inherit it on Linux. Without it every small reply waits for an acknowledgement.
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)
    };
    ready().map_err(SinkError::Socket)?;
    Ok(socket.into())
}

/// Binds addresses before the rest of the receiver exists: while the rights for low ports are there.
///
/// Errors: as [`Sink::bind`].
pub fn listen_on(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, SinkError> {
    let listeners: Vec<Listener> = addresses.iter().copied().map(Listener::Address).collect();
    let v4_ports: Vec<u16> = listeners.iter().filter_map(v4_port).collect();
    listeners.into_iter().map(|listener| listen(listener, &v4_ports)).collect()
}

/// Binds one address.
fn bound(address: SocketAddr, v4_ports: &[u16]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Set either way, so that `[::]:25` means the same on every system: both families, unless IPv4 has
        // a listener of its own on that port.
        socket.set_only_v6(v4_ports.contains(&address.port()))?;
    }
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    Ok(socket)
}

// ---- Accepting ----

/// Takes connections from one listener until the stop.
async fn accept<I: Inbox>(shared: Arc<Shared<I>>, listener: tokio::net::TcpListener) {
    let mut stop = shared.stop.subscribe();
    let shortest = Duration::from_millis(5);
    let mut pause = shortest;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::Not) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = shortest;
                admit(&shared, stream, peer);
            }
            Err(error) => {
                shared.counters.accept_errors.add(1);
                let is_peers =
                    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
                if is_peers {
                    continue;
                }
                // No file descriptor or no memory: others end, and then it goes on.
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept, pausing");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(limits::ACCEPT_PAUSE);
            }
        }
    }
}

/// Starts a session, or refuses the connection with a 421.
fn admit<I: Inbox>(shared: &Arc<Shared<I>>, stream: TcpStream, peer: SocketAddr) {
    let counters = &shared.counters;
    counters.connections.add(1);
    let peer = SocketAddr::new(canonical_ip(peer.ip()), peer.port());
    let slot = if shared.relays.proxy_protocol && !shared.relays.contain(peer.ip()) {
        counters.proxy_faults.add(1);
        Err(("4.7.0", "this port is for our own proxies"))
    } else if counters.open.value() >= u64::try_from(shared.limits.sessions).unwrap_or(u64::MAX) {
        counters.refused_total.add(1);
        Err(("4.3.2", "too many connections, try again later"))
    } else {
        Slot::take(shared, peer.ip()).map_err(|excess| shared.refuse(excess))
    };
    match slot {
        Ok(slot) => {
            #[cfg(not(target_os = "linux"))]
            let _ = stream.set_nodelay(true);
            // The task's end is seen by the slot; its panics are caught inside.
            drop(tokio::spawn(connection::run(slot, stream, peer)));
        }
        Err((enhanced, text)) => {
            shared.turn_away(&stream, peer, (enhanced, text));
        }
    }
}

/// The place of one session; given back when dropped.
#[derive(Debug)]
struct Slot<I> {
    shared: Arc<Shared<I>>,
    /// Counted against the limits of its client; trusted clients are not.
    client: Option<Client>,
}

impl<I> Slot<I> {
    /// Takes a place for a session with `ip`.
    fn take(shared: &Arc<Shared<I>>, ip: IpAddr) -> Result<Self, Excess> {
        let mut slot = Self { shared: Arc::clone(shared), client: None };
        shared.counters.open.add(1);
        slot.claim(ip)?;
        Ok(slot)
    }

    /// Counts the session for the client at `ip`, once a proxy has named it.
    fn claim(&mut self, ip: IpAddr) -> Result<(), Excess> {
        let shared = &self.shared;
        let is_free = shared.trusted.iter().any(|network| network.contains(ip)) || shared.relays.contain(ip);
        if !is_free && self.client.is_none() {
            let client = Client::of(ip);
            shared.clients.open(client, clock::instant())?;
            self.client = Some(client);
        }
        Ok(())
    }
}

impl<I> Drop for Slot<I> {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.shared.clients.close(client);
        }
        self.shared.counters.open.take_one();
        // Nobody waits for it otherwise.
        if *self.shared.stop.borrow() != Stop::Not {
            self.shared.ended.notify_one();
        }
    }
}

impl<I> Shared<I> {
    /// True while more than three quarters of all sessions are taken.
    fn is_stressed(&self) -> bool {
        let open = usize::try_from(self.counters.open.value()).unwrap_or(usize::MAX);
        open > self.limits.sessions / 4 * 3
    }

    /// Counts a refused client; says how it is told.
    fn refuse(&self, excess: Excess) -> (&'static str, &'static str) {
        match excess {
            Excess::Open => {
                self.counters.refused_client.add(1);
                ("4.7.0", "too many connections from your address")
            }
            Excess::Rate => {
                self.counters.refused_rate.add(1);
                ("4.7.0", "too many connections from your address in a minute")
            }
        }
    }

    /// Answers a connection with 421; the caller closes it.
    fn turn_away(&self, stream: &TcpStream, peer: SocketAddr, (enhanced, text): (&str, &str)) {
        // One line into an empty send buffer; a client that is gone needs no answer.
        let line = format!("421 {enhanced} {} {text}\r\n", self.options.host_name);
        let _ = socket2::SockRef::from(stream).send(line.as_bytes());
        tracing::info!(%peer, reason = text, "connection refused");
    }

    /// The number of a new session, for the log.
    fn next_session_id(&self) -> u64 {
        self.session_ids.fetch_add(1, Ordering::Relaxed)
    }
}
