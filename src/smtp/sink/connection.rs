//! One session over one socket: drives the state machine, waits with deadlines, shakes hands.
//!
//! Input is read into one scratch buffer per thread and worked on at once, so that a client that waits costs
//! no buffer. What is left of it when something has to be waited for moves to the connection.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::{self, Instant};
use crate::limits;
use crate::mail::{Address, Body, Envelope, Inbox, MessageId, PeerSource, Refusal, received};

use super::super::session::{CloseReason, Desk, Discarded, Event, Peer, Session};
use super::super::{proxy, tls};
use super::body::{self, Incoming};
use super::log::{self, MessageLine, Outcome};
use super::{Shared, Slot, Stop};

/// Bytes of one read within the data of a message.
const DATA_READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where input is read into. Borrowed only within one poll.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; DATA_READ_BYTES].into_boxed_slice());
}

/// The socket, in the clear or within TLS.
enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Within TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Given to a handshake that failed.
    Gone,
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The session closed it.
    Session(CloseReason),
    /// The client closed it without QUIT.
    Eof,
    /// It broke, or the client did not take what we wrote.
    Lost(io::Error),
    /// The TLS handshake failed.
    Handshake(String),
    /// A fault of ours.
    Fault,
    /// The stop did not wait for it.
    Cut,
}

impl End {
    /// The word for the log.
    fn reason(&self) -> String {
        match self {
            Self::Session(reason) => reason.as_str().to_owned(),
            Self::Eof => "connection closed by client".to_owned(),
            Self::Lost(error) => format!("connection lost: {error}"),
            Self::Handshake(reason) => format!("TLS handshake failed: {}", log::escaped(reason)),
            Self::Fault => "internal fault".to_owned(),
            Self::Cut => "cut".to_owned(),
        }
    }
}

/// One connection.
struct Connection<I> {
    slot: Slot<I>,
    stream: Stream,
    session: Session,
    /// Who is at the other end, as a proxy says where there is one.
    peer: SocketAddr,
    /// It is a trusted relay.
    is_relay: bool,
    id: u64,
    started: Instant,
    body: Incoming,
    replies: Vec<u8>,
    /// Input that was read and not yet worked on.
    pending: Vec<u8>,
    stop: watch::Receiver<Stop>,
    /// Refused recipients.
    refused: Cell<usize>,
    messages: u64,
    bytes: u64,
}

/// Serves one connection to its end.
pub(super) async fn run<I: Inbox>(mut slot: Slot<I>, mut stream: TcpStream, connected: SocketAddr) {
    let shared = Arc::clone(&slot.shared);
    let mut cut = shared.stop.subscribe();
    let (mut address, mut source, mut pending) = (connected, PeerSource::Connection, Vec::new());
    if shared.relays.proxy_protocol {
        let header = tokio::select! {
            biased;
            header = timeout(limits::PROXY_TIMEOUT, proxy_header(&mut stream)) => header,
            _ = cut.wait_for(|stop| *stop != Stop::Not) => return,
        };
        let reason = match header {
            Ok(Ok((peer, rest))) => {
                pending = rest;
                if let Some(peer) = peer {
                    (address, source) = (peer, PeerSource::Proxy);
                }
                None
            }
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some("no PROXY header in time".to_owned()),
        };
        if let Some(reason) = reason {
            // Whoever it is does not expect SMTP.
            shared.counters.proxy_faults.add(1);
            tracing::warn!(proxy = %connected, %reason, "connection refused");
            return;
        }
        if let Err(excess) = slot.claim(address.ip()) {
            shared.turn_away(&stream, address, shared.refuse(excess));
            return;
        }
    }
    let is_relay = shared.relays.contain(address.ip());
    let peer = address;
    let now = clock::instant();
    let mut replies = Vec::new();
    let other = Peer { address, source, is_relay };
    let session = Session::new(Arc::clone(&shared.options), other, now, &mut replies);
    let mut connection = Connection {
        stream: Stream::Plain(stream),
        session,
        peer,
        is_relay,
        id: shared.next_session_id(),
        started: now,
        body: Incoming::new(Arc::clone(&shared.bodies)),
        replies,
        pending,
        stop: shared.stop.subscribe(),
        refused: Cell::new(0),
        messages: 0,
        bytes: 0,
        slot,
    };
    let end = tokio::select! {
        biased;
        end = caught(connection.dialogue()) => end.unwrap_or(End::Fault),
        _ = cut.wait_for(|stop| *stop == Stop::Now) => End::Cut,
    };
    if matches!(end, End::Fault) {
        shared.counters.faults.add(1);
        tracing::error!(session = connection.id, %peer, "a session ended in a fault of ours");
        connection.replies.clear();
        connection.session.close(CloseReason::Refused, &mut connection.replies);
        // The client may be gone; that is in the log as the fault is.
        let _ = caught(connection.flush()).await;
    }
    connection.log(&end);
    // The body goes first: nothing of it has to live while the client lingers.
    connection.body.clear();
    let is_quit = matches!(end, End::Session(CloseReason::Quit));
    if matches!(end, End::Session(_) | End::Fault) {
        let wait = shared.limits.linger_timeout;
        tokio::select! {
            () = connection.close(is_quit, wait) => {}
            _ = cut.wait_for(|stop| *stop == Stop::Now) => {}
        }
    }
}

/// Reads the PROXY header and nothing of what follows but what came with it.
///
/// Shape: the peer that it names, and the client's first bytes. Errors: the reason for the log.
async fn proxy_header(stream: &mut TcpStream) -> Result<(Option<SocketAddr>, Vec<u8>), String> {
    let mut input = Vec::new();
    loop {
        match proxy::read(&input).map_err(|fault| fault.to_string())? {
            Some(header) => {
                let rest = input.split_off(header.bytes.min(input.len()));
                return Ok((header.peer, rest));
            }
            // The caps of the header end this loop.
            None => match stream.read_buf(&mut input).await {
                Ok(count) if count > 0 => {}
                Ok(_) => return Err("closed before its PROXY header".to_owned()),
                Err(error) => return Err(format!("connection lost: {error}")),
            },
        }
    }
}

/// Polls `future` and turns a panic within it into `None`.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// What the session may ask of the Inbox.
struct SessionDesk<'a, I> {
    shared: &'a Shared<I>,
    client: Option<super::Client>,
    peer: SocketAddr,
    is_relay: bool,
    id: u64,
    refused: &'a Cell<usize>,
}

impl<I: Inbox> Desk for SessionDesk<'_, I> {
    fn recipient(&self, address: &Address) -> Result<(), Refusal> {
        let answer = self.shared.inbox.recipient(address, (!self.is_relay).then(|| self.peer.ip()));
        if let Err(refusal) = &answer {
            // Who tries a dictionary of names does not fill the log.
            if self.refused.get() < limits::LOG_RECIPIENTS {
                tracing::info!(
                    session = self.id,
                    peer = %self.peer,
                    rcpt = %log::escaped(&address.to_string()),
                    code = refusal.code,
                    reason = %log::escaped(&refusal.cause),
                    "recipient refused"
                );
            }
            self.refused.set(self.refused.get() + 1);
        }
        answer.map(|_| ())
    }

    fn has_room(&self, size_bytes: u64) -> Result<(), Refusal> {
        if let Some(client) = self.client
            && !self.shared.clients.may_send(client, clock::instant())
        {
            return Err(Refusal::new(450, "4.7.0", "Too many messages in a minute", "client's rate"));
        }
        self.shared.inbox.has_room(size_bytes)
    }
}

impl<I: Inbox> Connection<I> {
    /// Leads the session to its end.
    async fn dialogue(&mut self) -> End {
        match self.steps().await {
            Ok(reason) => End::Session(reason),
            Err(end) => end,
        }
    }

    /// The same, with `?` for every other end.
    async fn steps(&mut self) -> Result<CloseReason, End> {
        self.note_early_talker();
        loop {
            if *self.stop.borrow() != Stop::Not && !self.session.is_in_data() {
                return self.close_with(CloseReason::Stopped).await;
            }
            let event = if self.pending.is_empty() {
                // RFC 2920 §3.2: replies are sent before input is waited for.
                self.flush().await?;
                match self.read().await? {
                    Ok(event) => event,
                    Err(reason) => return self.close_with(reason).await,
                }
            } else {
                let pending = mem::take(&mut self.pending);
                self.feed(&pending)
            };
            if self.session.is_discarding() {
                self.body.clear();
            } else if let Err(refusal) = self.body.settle(&self.slot.shared.counters.spooled).await {
                self.body.clear();
                match event {
                    Event::Message(_) => {
                        self.answer(&Err(refusal), 0).await?;
                        continue;
                    }
                    _ => self.session.discard(refusal),
                }
            }
            match event {
                Event::Read => {}
                Event::Flush => self.flush().await?,
                Event::StartTls => self.start_tls().await?,
                Event::Message(envelope) => self.keep(*envelope).await?,
                Event::Discarded(discarded) => self.log_discarded(&discarded),
                Event::Close(reason) => {
                    self.flush().await?;
                    return Ok(reason);
                }
            }
        }
    }

    /// Ends the session from our side.
    async fn close_with(&mut self, reason: CloseReason) -> Result<CloseReason, End> {
        let is_timeout = matches!(
            reason,
            CloseReason::IdleTimeout | CloseReason::DataTimeout | CloseReason::SessionTimeout
        );
        if is_timeout {
            self.slot.shared.counters.timeouts.add(1);
        }
        self.session.close(reason, &mut self.replies);
        self.flush().await?;
        Ok(reason)
    }

    /// Notes a client that speaks before the greeting (RFC 5321 §3.1 wants it to wait).
    fn note_early_talker(&mut self) {
        let Stream::Plain(stream) = &self.stream else { return };
        let mut byte = [MaybeUninit::uninit()];
        let is_early = !self.pending.is_empty()
            || socket2::SockRef::from(stream).peek(&mut byte).is_ok_and(|count| count > 0);
        if is_early {
            self.slot.shared.counters.early_talkers.add(1);
            tracing::info!(session = self.id, peer = %self.peer, "early talker");
        }
    }

    /// Waits for input and works on it.
    ///
    /// Shape: what to do next, or why the session is to be closed.
    async fn read(&mut self) -> Result<Result<Event, CloseReason>, End> {
        loop {
            let now = clock::instant();
            let shared = &self.slot.shared;
            let is_stressed = shared.is_stressed();
            let (deadline, reason) = self.session.deadline(is_stressed);
            if now >= deadline {
                return Ok(Err(reason));
            }
            // The stress may begin while this client waits.
            let wake = deadline.min(now + self.slot.shared.limits.session.command_timeout_under_stress);
            let is_in_data = self.session.is_in_data();
            let mut stop = self.stop.clone();
            tokio::select! {
                biased;
                event = std::future::poll_fn(|cx| self.poll_read(cx)) => return event.map(Ok),
                _ = stop.wait_for(|stop| *stop != Stop::Not), if !is_in_data => {
                    return Ok(Err(CloseReason::Stopped));
                }
                () = sleep_until(tokio::time::Instant::from_std(wake)) => {}
            }
        }
    }

    /// Reads once and works on what came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, End>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let size = if self.session.is_in_data() { DATA_READ_BYTES } else { limits::COMMAND_LINE_BYTES };
            let mut buffer = ReadBuf::new(scratch.get_mut(..size).unwrap_or_default());
            let read = match &mut self.stream {
                Stream::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
                Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, &mut buffer),
                Stream::Gone => return Poll::Ready(Err(End::Eof)),
            };
            Poll::Ready(match ready!(read) {
                Ok(()) if buffer.filled().is_empty() => Err(End::Eof),
                Ok(()) => Ok(self.feed(buffer.filled())),
                Err(error) => Err(End::Lost(error)),
            })
        })
    }

    /// Gives input to the session; what it leaves becomes pending.
    fn feed(&mut self, input: &[u8]) -> Event {
        let desk = SessionDesk {
            shared: &self.slot.shared,
            client: self.slot.client,
            peer: self.peer,
            is_relay: self.is_relay,
            id: self.id,
            refused: &self.refused,
        };
        let (read, event) =
            self.session.advance(input, &desk, &mut self.body.bytes, &mut self.replies, clock::instant());
        if let Some(rest) = input.get(read..).filter(|rest| !rest.is_empty()) {
            self.pending = rest.to_vec();
        }
        event
    }

    /// Sends the replies.
    async fn flush(&mut self) -> Result<(), End> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let replies = mem::take(&mut self.replies);
        let write = async {
            match &mut self.stream {
                Stream::Plain(stream) => stream.write_all(&replies).await,
                Stream::Tls(stream) => {
                    stream.write_all(&replies).await?;
                    stream.flush().await
                }
                Stream::Gone => Ok(()),
            }
        };
        match timeout(self.slot.shared.limits.write_timeout, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Lost(error)),
            Err(_) => {
                self.slot.shared.counters.timeouts.add(1);
                Err(End::Lost(io::Error::new(io::ErrorKind::TimedOut, "client does not read")))
            }
        }
    }

    /// Shakes hands. What was read in the clear is thrown away (RFC 3207 §4.2, §6).
    async fn start_tls(&mut self) -> Result<(), End> {
        self.flush().await?;
        self.pending = Vec::new();
        let shared = &self.slot.shared;
        let (Some(tls), Stream::Plain(stream)) =
            (shared.tls.clone(), mem::replace(&mut self.stream, Stream::Gone))
        else {
            return Err(End::Fault);
        };
        if tls.is_check_due(clock::instant()) {
            let fresh = Arc::clone(&tls);
            match tokio::task::spawn_blocking(move || fresh.reload_if_changed()).await {
                Ok(Ok(true)) => tracing::info!("certificate read again"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "certificate not read again, the old one stays"),
                Err(error) => tracing::warn!(%error, "certificate not read again, the old one stays"),
            }
        }
        // On the heap: most sessions never get here.
        let handshake = Box::pin(TlsAcceptor::from(tls.config()).accept(stream));
        let failure = match timeout(shared.limits.tls_handshake_timeout, handshake).await {
            Ok(Ok(stream)) => {
                shared.counters.tls.add(1);
                self.session.tls_started(tls::session(stream.get_ref().1), clock::instant());
                self.stream = Stream::Tls(Box::new(stream));
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timeout".to_owned(),
        };
        shared.counters.tls_failed.add(1);
        Err(End::Handshake(failure))
    }

    /// Has a message kept, then answers it.
    async fn keep(&mut self, mut envelope: Envelope) -> Result<(), End> {
        self.flush().await?;
        let started = clock::instant();
        envelope.received_at = clock::now();
        let is_loop = self.body.received_fields() > limits::RECEIVED_FIELDS;
        let body = if is_loop {
            Err(Refusal::new(554, "5.4.6", "Too many hops, mail loop", "too many Received fields"))
        } else {
            self.body.finish().await
        };
        let size_bytes = body.as_ref().map_or(0, Body::size_bytes);
        if let (Some(relay), Ok(body)) = (envelope.relay, &body) {
            self.look_behind(relay, body, &mut envelope).await;
        }
        let line = MessageLine::of(&envelope);
        let shared = Arc::clone(&self.slot.shared);
        let kept = match body {
            Err(refusal) => Err(refusal),
            Ok(body) => {
                let accept = Box::pin(shared.inbox.accept(envelope, body));
                timeout(shared.limits.keep_timeout, accept).await.unwrap_or_else(|_| {
                    Err(Refusal::new(
                        451,
                        "4.3.0",
                        "Local error, try again later",
                        "the store did not answer",
                    ))
                })
            }
        };
        self.body.clear();
        if let Some(line) = line {
            let (reply, reason) = match &kept {
                Ok(id) => (format!("250 2.0.0 OK {id}"), ""),
                Err(refusal) => (
                    format!("{} {} {}", refusal.code, refusal.enhanced, refusal.text),
                    refusal.cause.as_str(),
                ),
            };
            let seconds = clock::instant().saturating_duration_since(started).as_secs_f64();
            let outcome = Outcome { bytes: size_bytes, reply: &reply, reason, seconds };
            line.write(self.id, self.peer, &outcome);
        }
        self.answer(&kept, size_bytes).await
    }

    /// Looks for the true peer of a message that a relay brought: what XFORWARD said stays, unless it is
    /// another relay; then the relay's own `Received` line says it, or nothing does.
    async fn look_behind(&mut self, relay: IpAddr, body: &Body, envelope: &mut Envelope) {
        let shared = Arc::clone(&self.slot.shared);
        let relays = &shared.relays;
        if envelope.peer.is_some_and(|peer| !relays.contain(peer.ip())) {
            return;
        }
        let head = body::head(body).await;
        let found = received::behind_relay(&head, self.session.helo(), relay, |ip| relays.contain(ip));
        envelope.peer = found.as_ref().map(|found| SocketAddr::new(found.ip, 0));
        envelope.peer_source = found.as_ref().map(|_| PeerSource::Received);
        envelope.helo = found.and_then(|found| found.helo);
    }

    /// Counts and logs a message that was refused before its end.
    fn log_discarded(&mut self, discarded: &Discarded) {
        self.body.clear();
        let counters = &self.slot.shared.counters;
        let refusal = &discarded.refusal;
        let counter =
            if refusal.is_temporary() { &counters.messages_deferred } else { &counters.messages_refused };
        counter.add(1);
        if let Some(line) = MessageLine::of(&discarded.envelope) {
            let (reply, reason) = (&reply_of(refusal), &refusal.cause);
            let outcome = Outcome { bytes: discarded.size_bytes, reply, reason, seconds: 0.0 };
            line.write(self.id, self.peer, &outcome);
        }
    }

    /// Counts and answers a message that was kept or refused.
    async fn answer(&mut self, kept: &Result<MessageId, Refusal>, size_bytes: u64) -> Result<(), End> {
        let counters = &self.slot.shared.counters;
        match kept {
            Ok(_) => {
                counters.messages.add(1);
                counters.message_bytes.add(size_bytes);
                self.messages += 1;
                self.bytes += size_bytes;
                if let Some(client) = self.slot.client {
                    self.slot.shared.clients.sent(client, clock::instant());
                }
            }
            Err(refusal) if refusal.is_temporary() => counters.messages_deferred.add(1),
            Err(_) => counters.messages_refused.add(1),
        }
        match self.session.finish(kept, &mut self.replies, clock::instant()) {
            None => Ok(()),
            Some(reason) => {
                self.flush().await?;
                Err(End::Session(reason))
            }
        }
    }

    /// Closes the socket so that the client sees our last reply: what it still sends is read away, since
    /// unread input would make the system reset the connection.
    async fn close(&mut self, is_quit: bool, wait: std::time::Duration) {
        if is_quit && matches!(self.stream, Stream::Plain(_)) {
            return;
        }
        let linger = async {
            let mut scrap = vec![0; 4_096];
            let mut total = 0;
            match &mut self.stream {
                Stream::Plain(stream) => drain(stream, &mut scrap, &mut total).await,
                Stream::Tls(stream) => drain(stream.as_mut(), &mut scrap, &mut total).await,
                Stream::Gone => {}
            }
        };
        // Whatever happens here, the session is over.
        let _ = timeout(wait, linger).await;
    }

    /// Writes the session's line in the log.
    fn log(&self, end: &End) {
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let (commands, errors) = self.session.commands();
        let (from, rcpts) = match self.session.transaction() {
            Some((from, rcpts)) => (log::escaped(&from.to_string()), log::recipients(rcpts)),
            None => (String::new(), String::new()),
        };
        tracing::info!(
            session = self.id,
            peer = %self.peer,
            helo = %log::escaped(self.session.helo().unwrap_or_default()),
            tls = %log::tls(self.session.tls()),
            unfinished_from = %from,
            unfinished_rcpts = %rcpts,
            messages = self.messages,
            bytes = self.bytes,
            commands,
            errors,
            refused_rcpts = self.refused.get(),
            seconds = clock::instant().saturating_duration_since(self.started).as_secs_f64(),
            reason = %end.reason(),
            "session"
        );
    }
}

/// The reply that a refusal is, for the log.
fn reply_of(refusal: &Refusal) -> String {
    format!("{} {} {}", refusal.code, refusal.enhanced, refusal.text)
}

/// Says that we are done and reads until the client is, within a cap.
async fn drain(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), scrap: &mut [u8], total: &mut usize) {
    // A client that is gone already needs no end.
    let _ = stream.shutdown().await;
    while *total < limits::LINGER_BYTES {
        match stream.read(scrap).await {
            Ok(count) if count > 0 => *total += count,
            _ => return,
        }
    }
}
