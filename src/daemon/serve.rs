//! `serve`: receiver and reader of what was received, in one process, until it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock;
use crate::config::DnsSettings;
use crate::config::settings::{ListenerSettings, ListenerTls, Settings};
use crate::daemon::dns::{self, Dns};
use crate::daemon::dns_means::Means;
use crate::daemon::inbox::StoreInbox;
use crate::daemon::ingest::{Bell, Ingest};
use crate::daemon::probe::Sending;
use crate::daemon::probe::schedule::Scheduler;
use crate::daemon::reflect::Reflector;
use crate::daemon::upkeep::Upkeep;
use crate::daemon::verify::{self, Verifier};
use crate::daemon::{dns_checks, eyes, keys, mailbox, options, privileges, reflect, source_names, watched};
use crate::limits;
use crate::smtp::sink::{self, Listener, Relays, Sink, SinkHandle, SinkOptions};
use crate::smtp::tls::ServerTls;
use crate::store::Store;

/// A running service: what `serve` and `demo` have in common.
pub struct Service {
    store: Store,
    bell: Arc<Bell>,
    ingest: Option<std::thread::JoinHandle<()>>,
    upkeep: Upkeep,
    tls: Option<Arc<ServerTls>>,
    sinks: Vec<(SinkHandle, tokio::task::JoinHandle<Result<(), sink::SinkError>>)>,
    addresses: Vec<SocketAddr>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    verifier: Option<Verifier>,
    scheduler: Option<Scheduler>,
    dns: Dns,
}

/// A listening socket, whether STARTTLS is offered on it and who stands in front of it.
pub struct BoundListener {
    socket: TcpListener,
    tls: ListenerTls,
    relays: Relays,
}

/// Binds every configured address, or takes the sockets that systemd hands over. Needs no thread, so
/// that privileges can be dropped after it.
pub fn bind(settings: &Settings) -> anyhow::Result<Vec<BoundListener>> {
    let handed = sockets_from_systemd()?;
    if !handed.is_empty() {
        return handed.into_iter().map(|socket| with_settings(socket, settings)).collect();
    }
    let addresses: Vec<SocketAddr> = settings.listeners.iter().map(|listener| listener.address).collect();
    let sockets = sink::listen_on(&addresses)?;
    let bound = |(socket, listener): (TcpListener, &ListenerSettings)| BoundListener {
        socket,
        tls: listener.tls,
        relays: listener.relays.clone(),
    };
    Ok(sockets.into_iter().zip(&settings.listeners).map(bound).collect())
}

/// A socket of systemd's with the settings of the `[[listener]]` that has its address, if there is one.
fn with_settings(socket: TcpListener, settings: &Settings) -> anyhow::Result<BoundListener> {
    let address = socket.local_addr().context("a socket of LISTEN_FDS has no address")?;
    let listener = settings.listeners.iter().find(|listener| listener.address == address);
    let (tls, relays) = match listener {
        Some(listener) => (listener.tls, listener.relays.clone()),
        None => {
            let networks = settings.receiver.trusted_relays.clone();
            (ListenerTls::StartTls, Relays { networks, proxy_protocol: false })
        }
    };
    Ok(BoundListener { socket, tls, relays })
}

/// Whom the checks of watched domains ask: with zones in the place of the network nobody else.
fn health_means(settings: &DnsSettings, dns: &Dns, helo: &str) -> Means {
    if settings.zone.is_some() {
        return Means::of_dns(Arc::clone(&dns.fresh));
    }
    let means = Means::public(Arc::clone(&dns.fresh), Arc::clone(&dns.servers));
    if settings.asks_exchangers {
        means.with_dialogues(Some(helo.to_owned()), Some(limits::DIALOGUE_EVERY))
    } else {
        means
    }
}

/// The sockets of `LISTEN_FDS` (systemd.socket), if any are meant for us.
fn sockets_from_systemd() -> anyhow::Result<Vec<TcpListener>> {
    let mut handed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..handed.len() {
        let socket = handed
            .take_tcp_listener(index)
            .with_context(|| format!("socket {index} of LISTEN_FDS is no listening TCP socket"))?;
        sockets.extend(socket);
    }
    Ok(sockets)
}

impl Service {
    /// Starts receiver and reader. Must run within a runtime.
    pub fn start(settings: &Settings, listeners: Vec<BoundListener>) -> anyhow::Result<Self> {
        let store = open_store(settings)?;
        let ring = keys::load_or_create(store.path())?;
        let dns = dns::connect(&settings.dns)?;
        let host_name = options::host_name(settings.receiver.host_name.as_deref());
        let wants_tls = listeners.iter().any(|listener| listener.tls == ListenerTls::StartTls);
        let tls = if wants_tls {
            let tls = match &settings.tls {
                Some(files) => ServerTls::from_files(files.certificate.clone(), files.key.clone()),
                None => ServerTls::load_or_create(options::folder(store.path()), &host_name),
            };
            Some(Arc::new(tls.context("cannot use the certificate of [tls]")?))
        } else {
            None
        };
        let bell = Arc::new(Bell::default());
        let recipients = options::recipients(settings, ring.clone());
        let inbox = Arc::new(StoreInbox::new(store.clone(), recipients, Arc::clone(&bell)));
        let mut sinks = Vec::new();
        let mut addresses = Vec::new();
        // One receiver for all listeners of the same kind, so that its caps are common to them.
        let mut groups: Vec<Vec<BoundListener>> = Vec::new();
        for listener in listeners {
            let alike = |group: &&mut Vec<BoundListener>| {
                group
                    .first()
                    .is_some_and(|first| first.tls == listener.tls && first.relays == listener.relays)
            };
            match groups.iter_mut().find(alike) {
                Some(group) => group.push(listener),
                None => groups.push(vec![listener]),
            }
        }
        for group in groups {
            let Some(BoundListener { tls: word, relays, .. }) = group.first() else { continue };
            let tls = tls.clone().filter(|_| *word == ListenerTls::StartTls);
            let relays = relays.clone();
            let sink = Sink::bind(
                SinkOptions {
                    host_name: host_name.clone(),
                    listeners: group.into_iter().map(|listener| Listener::Socket(listener.socket)).collect(),
                    tls,
                    spool_directory: store.spool_folder()?,
                    trusted: Vec::new(),
                    relays,
                    limits: options::sink_limits(settings),
                },
                Arc::clone(&inbox),
            )?;
            addresses.extend_from_slice(sink.addresses());
            let handle = sink.handle();
            sinks.push((handle, tokio::spawn(sink.serve())));
        }
        let watching = tokio::spawn(eyes::watch(store.clone()));
        let mut tasks = mailbox::watch_all(&settings.mailboxes, &store, &ring)
            .context("cannot start the mailboxes' threads")?;
        tasks.push(watching);
        if settings.resolves_sources {
            let names = source_names::keep(store.clone(), Arc::clone(&dns.resolver));
            tasks.push(tokio::spawn(names));
        }
        if let Some(every) = settings.dns.check_every {
            // Without a memory: a check looks at what is published now.
            let mailboxes = settings.report_mailboxes();
            let means = Arc::new(health_means(&settings.dns, &dns, &host_name));
            let checks = dns_checks::run(store.clone(), means, host_name.clone(), mailboxes, every);
            tasks.push(tokio::spawn(checks));
        }
        let names = settings.watched.iter().map(|watched| watched.name.clone()).collect();
        store.set_watched_names(names, clock::now())?;
        if !settings.watched.is_empty() {
            tasks.push(tokio::spawn(watched::keep(store.clone(), settings.watched.clone())));
        }
        let verifier = settings.authentication.verifies.then(|| {
            let options = verify::Options {
                receiver: host_name,
                trusted_hosts: settings.authentication.trusted_hosts.clone(),
            };
            Verifier::start(store.clone(), Arc::clone(&dns.resolver), options)
        });
        let scheduler = if settings.probes.enabled {
            let sending = Sending::new(store.clone(), ring.clone(), Arc::new(settings.clone()), &dns, false);
            Some(Scheduler::start(sending, settings)?)
        } else {
            None
        };
        let upkeep = Upkeep::start(store.clone(), ring.clone(), settings.retention.for_store())
            .context("cannot start the thread that removes what is old")?;
        let reflecting = reflect::routes(settings);
        if !reflecting.is_empty() {
            let reflector = Reflector::new(store.clone(), ring.clone(), Arc::new(settings.clone()), &dns);
            tasks.push(tokio::spawn(reflector.keep()));
        }
        let ingest = Ingest::new(store.clone(), ring, Arc::clone(&bell)).reflecting(reflecting);
        let ingest = std::thread::Builder::new()
            .name("ingest".to_owned())
            .spawn(move || ingest.run())
            .context("cannot start the reading thread")?;
        let ingest = Some(ingest);
        Ok(Self { store, bell, ingest, upkeep, tls, sinks, addresses, tasks, verifier, scheduler, dns })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who answers questions of DNS.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// Where the receiver listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reads the certificate again if its files changed.
    fn reload(&self) {
        if let Some(tls) = &self.tls {
            match tls.reload_if_changed() {
                Ok(changed) => tracing::info!(changed, "certificate looked at"),
                Err(error) => tracing::error!(%error, "certificate not usable, the old one stays"),
            }
        }
    }

    /// Stops gracefully: no new session, what is in flight ends within `grace`, everything is committed.
    pub async fn stop(mut self, grace: std::time::Duration) {
        // What a mailbox has not committed it is asked for again at the next start.
        for task in &self.tasks {
            task.abort();
        }
        // Nothing new is sent; what is under way may end while the sessions do.
        let scheduler = self.scheduler.take().map(|scheduler| tokio::spawn(scheduler.stop(grace)));
        for (handle, _) in &self.sinks {
            handle.stop(grace);
        }
        for (_, task) in self.sinks.drain(..) {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "receiver failed"),
                Err(error) => tracing::error!(%error, "receiver ended"),
            }
        }
        if let Some(scheduler) = scheduler
            && let Err(error) = scheduler.await
        {
            tracing::error!(%error, "the schedule of probes did not stop");
        }
        if let Some(verifier) = self.verifier.take() {
            verifier.stop().await;
        }
        self.bell.stop();
        let upkeep = self.upkeep;
        upkeep.stop();
        let ingest = self.ingest.take();
        let store = self.store.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let is_sound = ingest.is_none_or(|thread| thread.join().is_ok());
            let is_sound = upkeep.join() && is_sound;
            store.close();
            is_sound
        })
        .await;
        if !matches!(ended, Ok(true)) {
            tracing::error!("the reading thread ended by a fault; what is pending is read at the next start");
        }
    }

    /// Cuts a graceful stop short.
    fn cut(handles: &[SinkHandle]) {
        for handle in handles {
            handle.stop(std::time::Duration::ZERO);
        }
    }

    /// Waits until no message is pending, for `demo`.
    pub async fn settled(&self) -> anyhow::Result<()> {
        loop {
            self.store.flush()?;
            if self.store.reader()?.pending(None, 1)?.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// Opens the database of the settings and tells it which domains are watched.
pub fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let store = Store::open(&settings.store_path, settings.store_options())
        .with_context(|| format!("cannot open the database {}", settings.store_path.display()))?;
    store.set_watched(&settings.domains)?;
    Ok(store)
}

/// Runs until SIGTERM or SIGINT; a second one cuts what is in flight. SIGHUP reads the certificate again.
pub fn serve(settings: &Settings) -> anyhow::Result<()> {
    // Ports below 1024 need rights that nothing after this line needs.
    let listeners = bind(settings)?;
    if let Some(user) = &settings.user {
        privileges::become_user(user)?;
    } else if privileges::is_root() {
        tracing::warn!(
            "running as root; set `user` in the configuration, or start it under the shipped unit"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("smtp")
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
        let mut hang_up = signal(SignalKind::hangup()).context("cannot watch SIGHUP")?;
        // A size limit of the system (RLIMIT_FSIZE) must be an error of one write, not our end.
        let _too_large = file_too_large().context("cannot watch SIGXFSZ")?;
        let service = Service::start(settings, listeners)?;
        for address in service.addresses() {
            tracing::info!(smtp_listening = %address, "receiving");
        }
        ready();
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => service.reload(),
            }
        }
        tracing::info!("stopping");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let handles: Vec<_> = service.sinks.iter().map(|(handle, _)| handle.clone()).collect();
        let stopped = service.stop(settings.receiver.shutdown_timeout);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                _ = terminate.recv() => Service::cut(&handles),
                _ = interrupt.recv() => Service::cut(&handles),
            }
        }
        tracing::info!("stopped");
        Ok(())
    })
}

/// The signal of a file that grew over the limit of the system, 25 on Linux.
fn file_too_large() -> std::io::Result<Signal> {
    signal(SignalKind::from_raw(25))
}

/// Tells systemd that mail is taken now; without systemd nothing listens and nothing is lost.
fn ready() {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}
