//! One SMTP session without I/O: bytes and the time in, replies and events out.
//!
//! The driver feeds what it read to [`Session::advance`] until it asks for more, sends the replies before it
//! reads again (RFC 2920 §3.2), and acts on each [`Event`]. The session holds at most one command line and
//! one envelope; the body goes to a buffer of the driver. It never waits: recipients and room are asked of a
//! [`Desk`], which must answer at once.
//!
//! States: before EHLO → ready → MAIL → RCPT → data → (driver commits, [`Session::finish`]) → ready.
//! Policies where the standard leaves a choice: a command line ended by a bare LF is refused and the session
//! closed; control characters in a command are refused; a failed RCPT leaves the others; bare CR and LF in
//! the data are kept (see `smtp::data`); any EHLO name is taken (RFC 5321 §4.1.4).
//! Standards: RFC 5321, 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 2034 with 3463
//! (enhanced codes), 3207 (STARTTLS), 9422 (LIMITS); XFORWARD for trusted relays. Not done: CHUNKING, AUTH, DSN.

mod answers;
mod xforward;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::limits;
use crate::mail::{Address, Envelope, MessageId, Origin, PeerSource, Refusal, ReversePath, TlsSession};

use super::command;
use super::data::DataReader;
use xforward::Forwarded;

/// Replies that are not yet sent, bytes, above which the session stops to have them sent: what a client
/// that never reads can make us hold.
const REPLIES_BYTES: usize = 4_096;

/// What the session asks while it answers a command. Both must answer at once.
pub trait Desk {
    /// Whether a recipient is taken.
    fn recipient(&self, address: &Address) -> Result<(), Refusal>;
    /// Whether there is room for a message of `size_bytes` (0 if not declared) from this client now.
    fn has_room(&self, size_bytes: u64) -> Result<(), Refusal>;
}

/// The caps of one session; [`SessionLimits::STANDARD`] has those of [`crate::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimits {
    /// Largest message, bytes.
    pub message_bytes: u64,
    /// Octets of one command line with its CRLF.
    pub command_line_bytes: usize,
    /// Octets of an overlong command line that are read away before the session is closed.
    pub overlong_line_bytes: usize,
    /// Recipients of one transaction.
    pub recipients: usize,
    /// Faulty commands.
    pub errors: usize,
    /// Commands that do nothing, between two messages.
    pub junk_commands: usize,
    /// Messages.
    pub messages: usize,
    /// Commands of any kind.
    pub commands: usize,
    /// Wait for a whole command line.
    pub command_timeout: Duration,
    /// The same while the receiver is under stress.
    pub command_timeout_under_stress: Duration,
    /// Wait for the next block of data.
    pub data_block_timeout: Duration,
    /// Whole time of one message's data.
    pub data_timeout: Duration,
    /// Whole time of the session.
    pub session_timeout: Duration,
}

impl SessionLimits {
    /// The defaults, each explained in [`crate::limits`].
    pub const STANDARD: Self = Self {
        message_bytes: limits::MESSAGE_BYTES,
        command_line_bytes: limits::COMMAND_LINE_BYTES,
        overlong_line_bytes: limits::OVERLONG_LINE_BYTES,
        recipients: limits::RECIPIENTS,
        errors: limits::SESSION_ERRORS,
        junk_commands: limits::SESSION_JUNK_COMMANDS,
        messages: limits::MESSAGES_PER_SESSION,
        commands: limits::SESSION_COMMANDS,
        command_timeout: limits::COMMAND_TIMEOUT,
        command_timeout_under_stress: limits::COMMAND_TIMEOUT_UNDER_STRESS,
        data_block_timeout: limits::DATA_BLOCK_TIMEOUT,
        data_timeout: limits::DATA_TIMEOUT,
        session_timeout: limits::SESSION_TIMEOUT,
    };
}

/// What all sessions of one receiver share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Our name, as in the MX record.
    pub host_name: String,
    /// STARTTLS is offered.
    pub is_tls_offered: bool,
    /// The caps.
    pub limits: SessionLimits,
}

/// Who is at the other end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address in canonical form.
    pub address: SocketAddr,
    /// How that is known: by the connection or by a proxy.
    pub source: PeerSource,
    /// It is a trusted relay: the mail that it brings is of somebody else.
    pub is_relay: bool,
}

impl Peer {
    /// A client that connected to us and is no relay.
    pub const fn direct(address: SocketAddr) -> Self {
        Self { address, source: PeerSource::Connection, is_relay: false }
    }
}

/// What the driver does next.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Send the replies, then read more.
    Read,
    /// Send the replies, then go on with the rest of the input.
    Flush,
    /// Send the replies, throw the rest of the input away, shake hands, then call [`Session::tls_started`].
    StartTls,
    /// A whole message is in the body: have it kept, then call [`Session::finish`].
    Message(Box<Envelope>),
    /// A message was refused in its data; the reply is written.
    Discarded(Box<Discarded>),
    /// Send the replies and close.
    Close(CloseReason),
}

/// A message that was read to its end and not kept.
#[derive(Debug, PartialEq)]
pub struct Discarded {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// Why.
    pub refusal: Refusal,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said QUIT.
    Quit,
    /// Too many faulty commands.
    Errors,
    /// Too many commands that do nothing, or too many at all.
    Junk,
    /// As many messages as one session may bring.
    Messages,
    /// Another protocol.
    Foreign,
    /// A command ended by a bare LF.
    BareLineFeed,
    /// A command line that did not end.
    OverlongLine,
    /// A refusal with 421.
    Refused,
    /// No command in time.
    IdleTimeout,
    /// No data in time, or too slow a message.
    DataTimeout,
    /// The session was open for too long.
    SessionTimeout,
    /// We stop.
    Stopped,
}

impl CloseReason {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Errors => "too many errors",
            Self::Junk => "too many commands",
            Self::Messages => "message limit",
            Self::Foreign => "not smtp",
            Self::BareLineFeed => "bare line feed",
            Self::OverlongLine => "overlong line",
            Self::Refused => "refused",
            Self::IdleTimeout => "idle timeout",
            Self::DataTimeout => "data timeout",
            Self::SessionTimeout => "session timeout",
            Self::Stopped => "stopped",
        }
    }
}

/// One session.
#[derive(Debug)]
pub struct Session {
    options: Arc<SessionOptions>,
    peer: Peer,
    tls: Option<Box<TlsSession>>,
    helo: Option<Box<Helo>>,
    /// What a trusted relay said of the client of the next message.
    forwarded: Option<Box<Forwarded>>,
    transaction: Option<Box<Transaction>>,
    /// The beginning of a command line whose end is not here yet.
    line: Vec<u8>,
    phase: Phase,
    counts: Counts,
    started: Instant,
    /// The last reply that asked for something: the wait for a command or for data runs from here.
    asked: Instant,
    /// The last input.
    heard: Instant,
}

/// The peer's name.
#[derive(Debug)]
struct Helo {
    name: String,
    is_esmtp: bool,
}

/// The transaction between MAIL and the end of data.
#[derive(Debug)]
struct Transaction {
    from: ReversePath,
    is_utf8: bool,
    recipients: Vec<Address>,
}

/// What the next bytes are.
#[derive(Debug)]
enum Phase {
    /// Command lines.
    Commands,
    /// The rest of a command line that was refused as too long; so many bytes were read away, the last
    /// of them a CR or not.
    Overlong { bytes: usize, is_cr: bool },
    /// The data of a message.
    Data(Box<Data>),
    /// Nothing: a message is being kept.
    Keeping,
    /// Nothing: the session is over.
    Closed,
}

/// The message that comes in.
#[derive(Debug)]
struct Data {
    reader: DataReader,
    size_bytes: u64,
    refusal: Option<Refusal>,
}

/// What counts against the limits.
#[derive(Debug, Default)]
struct Counts {
    commands: usize,
    errors: usize,
    junk: usize,
    messages: usize,
}

// ---- The driver's side ----

impl Session {
    /// Starts a session with `peer`; `replies` gets the greeting.
    pub fn new(options: Arc<SessionOptions>, peer: Peer, now: Instant, replies: &mut Vec<u8>) -> Self {
        // RFC 5321 §4.3.1, §7.5: our name first, no software and no version.
        write(replies, &["220 ", &options.host_name, " ESMTP"]);
        Self {
            options,
            peer,
            tls: None,
            helo: None,
            forwarded: None,
            transaction: None,
            line: Vec::new(),
            phase: Phase::Commands,
            counts: Counts::default(),
            started: now,
            asked: now,
            heard: now,
        }
    }

    /// Reads from `input` until something has to be done.
    ///
    /// Shape: how many bytes were read and what to do. Replies are appended to `replies`, the bytes of a
    /// message to `body`, which the driver empties when a message has ended or [`Self::is_discarding`].
    pub fn advance(
        &mut self,
        input: &[u8],
        desk: &impl Desk,
        body: &mut Vec<u8>,
        replies: &mut Vec<u8>,
        now: Instant,
    ) -> (usize, Event) {
        let mut rest = input;
        if !rest.is_empty() {
            self.heard = now;
        }
        let event = loop {
            if replies.len() > REPLIES_BYTES && !rest.is_empty() {
                break Event::Flush;
            }
            if rest.is_empty() && !matches!(self.phase, Phase::Closed) {
                break Event::Read;
            }
            let step = match &mut self.phase {
                Phase::Commands => self.read_line(&mut rest, desk, replies, now),
                Phase::Overlong { .. } => self.read_overlong(&mut rest, replies),
                Phase::Data(_) => self.read_data(&mut rest, body, replies, now),
                // The driver asks only after `finish`.
                Phase::Keeping => Some(Event::Read),
                Phase::Closed => Some(Event::Close(CloseReason::Refused)),
            };
            if let Some(event) = step {
                break event;
            }
        };
        if matches!(event, Event::Close(_)) {
            self.phase = Phase::Closed;
        }
        (input.len() - rest.len(), event)
    }

    /// Answers the message of the last [`Event::Message`].
    ///
    /// Shape: the reason to close, if the answer was a 421.
    pub fn finish(
        &mut self,
        kept: &Result<MessageId, Refusal>,
        replies: &mut Vec<u8>,
        now: Instant,
    ) -> Option<CloseReason> {
        self.phase = Phase::Commands;
        self.transaction = None;
        self.asked = now;
        match kept {
            Ok(id) => {
                self.counts.messages += 1;
                self.counts.junk = 0;
                write(replies, &["250 2.0.0 OK ", &id.to_string()]);
                None
            }
            Err(refusal) => self.refuse(refusal, replies),
        }
    }

    /// Begins anew within TLS: nothing that was said in the clear counts (RFC 3207 §4.2).
    pub fn tls_started(&mut self, tls: TlsSession, now: Instant) {
        self.tls = Some(Box::new(tls));
        self.helo = None;
        self.forwarded = None;
        self.transaction = None;
        self.line = Vec::new();
        self.phase = Phase::Commands;
        (self.asked, self.heard) = (now, now);
    }

    /// Stops storing the message that comes in; at its end the answer will be `refusal`.
    pub fn discard(&mut self, refusal: Refusal) {
        if let Phase::Data(data) = &mut self.phase {
            data.refusal.get_or_insert(refusal);
        }
    }

    /// True if the message that comes in is only read to its end: the body may be emptied.
    pub fn is_discarding(&self) -> bool {
        matches!(&self.phase, Phase::Data(data) if data.refusal.is_some())
    }

    /// True between 354 and the end of data.
    pub fn is_in_data(&self) -> bool {
        matches!(self.phase, Phase::Data(_))
    }

    /// When the wait for more input ends, and why the session is closed then.
    pub fn deadline(&self, is_stressed: bool) -> (Instant, CloseReason) {
        let caps = &self.options.limits;
        let session = (self.started + caps.session_timeout, CloseReason::SessionTimeout);
        let step = if self.is_in_data() {
            let whole = self.asked + caps.data_timeout;
            ((self.heard + caps.data_block_timeout).min(whole), CloseReason::DataTimeout)
        } else {
            let wait = if is_stressed { caps.command_timeout_under_stress } else { caps.command_timeout };
            (self.asked + wait, CloseReason::IdleTimeout)
        };
        if step.0 < session.0 { step } else { session }
    }

    /// Ends the session from our side with a 421; `reason` is a time-out or the stop.
    pub fn close(&mut self, reason: CloseReason, replies: &mut Vec<u8>) {
        self.phase = Phase::Closed;
        let (enhanced, text) = match reason {
            CloseReason::IdleTimeout | CloseReason::DataTimeout => ("4.4.2", "timeout, closing"),
            CloseReason::SessionTimeout => ("4.3.2", "session open for too long, closing"),
            CloseReason::Stopped => ("4.3.2", "service stops, try again later"),
            _ => ("4.3.0", "closing"),
        };
        self.close_with(enhanced, text, replies);
    }

    /// The peer's EHLO or HELO name, as sent.
    pub fn helo(&self) -> Option<&str> {
        self.helo.as_ref().map(|helo| helo.name.as_str())
    }

    /// The TLS session, if there is one.
    pub fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_deref()
    }

    /// Commands read, faulty ones among them.
    pub fn commands(&self) -> (usize, usize) {
        (self.counts.commands, self.counts.errors)
    }

    /// The transaction under way, for the log: the reverse-path and the recipients.
    pub fn transaction(&self) -> Option<(&ReversePath, &[Address])> {
        self.transaction.as_ref().map(|transaction| (&transaction.from, transaction.recipients.as_slice()))
    }
}

// ---- Reading ----

impl Session {
    /// Reads one command line, or its beginning, and answers it.
    fn read_line(
        &mut self,
        rest: &mut &[u8],
        desk: &impl Desk,
        replies: &mut Vec<u8>,
        now: Instant,
    ) -> Option<Event> {
        if self.counts.commands == 0 && self.line.is_empty() && rest.first() == Some(&0x16) {
            // A TLS handshake record, which need not hold a line end.
            return Some(Self::refuse_foreign(replies));
        }
        let Some(end) = memchr::memchr(b'\n', rest) else {
            if self.line.len() + rest.len() > self.options.limits.command_line_bytes {
                return self.overlong(rest, replies);
            }
            self.line.extend_from_slice(rest);
            *rest = &[];
            return None;
        };
        let (piece, behind) = rest.split_at_checked(end + 1)?;
        if self.line.len() + piece.len() > self.options.limits.command_line_bytes {
            return self.overlong(rest, replies);
        }
        *rest = behind;
        self.asked = now;
        if self.line.is_empty() {
            return self.answer_line(piece, desk, replies);
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(piece);
        self.answer_line(&line, desk, replies)
    }

    /// Answers one line that ends in LF.
    fn answer_line(&mut self, line: &[u8], desk: &impl Desk, replies: &mut Vec<u8>) -> Option<Event> {
        self.counts.commands += 1;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            write(replies, &["500 5.5.2 Lines end with CRLF"]);
            return Some(Event::Close(CloseReason::BareLineFeed));
        };
        if self.counts.commands > self.options.limits.commands {
            self.close_with("4.7.0", "too many commands in this session", replies);
            return Some(Event::Close(CloseReason::Junk));
        }
        let is_utf8 = self.transaction.as_ref().is_some_and(|transaction| transaction.is_utf8);
        match command::parse(line, is_utf8) {
            Ok(command) => self.answer(command, desk, replies),
            Err(fault) => self.fault(fault, replies),
        }
    }

    /// Begins to read an overlong line away.
    fn overlong(&mut self, rest: &mut &[u8], replies: &mut Vec<u8>) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        self.counts.commands += 1;
        self.phase = Phase::Overlong { bytes: line.len(), is_cr: line.last() == Some(&b'\r') };
        if let Some(event) = self.fault((500, "5.5.2", "Line too long"), replies) {
            return Some(event);
        }
        self.read_overlong(rest, replies)
    }

    /// Reads an overlong line away, up to its CRLF.
    fn read_overlong(&mut self, rest: &mut &[u8], replies: &mut Vec<u8>) -> Option<Event> {
        let Phase::Overlong { bytes, is_cr } = &mut self.phase else { return None };
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (piece, behind) = rest.split_at_checked(end)?;
        *bytes += piece.len();
        *rest = behind;
        if *bytes > self.options.limits.overlong_line_bytes {
            self.close_with("4.7.0", "line too long, closing", replies);
            return Some(Event::Close(CloseReason::OverlongLine));
        }
        match piece {
            [.., b'\r', b'\n'] => self.phase = Phase::Commands,
            [b'\n'] if *is_cr => self.phase = Phase::Commands,
            _ => *is_cr = piece.last() == Some(&b'\r'),
        }
        None
    }

    /// Reads data into `body`.
    fn read_data(
        &mut self,
        rest: &mut &[u8],
        body: &mut Vec<u8>,
        replies: &mut Vec<u8>,
        now: Instant,
    ) -> Option<Event> {
        let Phase::Data(data) = &mut self.phase else { return None };
        let cap = self.options.limits.message_bytes;
        let Data { reader, size_bytes, refusal } = &mut **data;
        let end = reader.read(rest, |slice| {
            *size_bytes = size_bytes.saturating_add(slice.len() as u64);
            if refusal.is_none() {
                body.extend_from_slice(slice);
            }
            if *size_bytes > cap && refusal.is_none() {
                // RFC 1870 §6.3: stop storing, read to the end, then refuse.
                *refusal = Some(Refusal::new(552, "5.3.4", "Message too big", "message over the limit"));
                body.clear();
            }
        });
        let Some(end) = end else {
            *rest = &[];
            return None;
        };
        *rest = rest.get(end..).unwrap_or_default();
        self.asked = now;
        let (size_bytes, refusal) = (*size_bytes, refusal.take());
        let envelope = self.envelope();
        if let Some(refusal) = refusal {
            self.phase = Phase::Commands;
            return Some(match self.refuse(&refusal, replies) {
                Some(reason) => Event::Close(reason),
                None => Event::Discarded(Box::new(Discarded { envelope, size_bytes, refusal })),
            });
        }
        self.phase = Phase::Keeping;
        Some(Event::Message(Box::new(envelope)))
    }

    /// The envelope of the transaction, which ends; the driver puts the time of arrival in.
    fn envelope(&mut self) -> Envelope {
        let (mail_from, rcpt_to) = match self.transaction.take() {
            Some(transaction) => (Some(transaction.from), transaction.recipients),
            None => (None, Vec::new()),
        };
        let forwarded = self.forwarded.take();
        let (peer, peer_source, helo, is_esmtp) = match forwarded {
            _ if !self.peer.is_relay => (
                Some(self.peer.address),
                Some(self.peer.source),
                self.helo.as_ref().map(|helo| helo.name.clone()),
                self.helo.as_ref().is_some_and(|helo| helo.is_esmtp),
            ),
            Some(forwarded) if forwarded.peer().is_some() => (
                forwarded.peer(),
                Some(PeerSource::Xforward),
                forwarded.helo().map(str::to_owned),
                forwarded.is_esmtp(),
            ),
            // The relay's own words are not its client's.
            _ => (None, None, None, false),
        };
        Envelope {
            origin: Origin::Smtp,
            received_at: Timestamp::default(),
            peer,
            peer_source,
            relay: self.peer.is_relay.then(|| self.peer.address.ip()),
            helo,
            is_esmtp,
            tls: self.tls.as_deref().cloned(),
            mail_from,
            rcpt_to,
        }
    }
}

/// Appends one line made of `pieces`.
fn write(replies: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        replies.extend_from_slice(piece.as_bytes());
    }
    replies.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
