//! From stored bytes to facts: reads what is pending, and what `import` brings.
//!
//! One thread reads at a time; it can be stopped, killed and started again at any point, since a message
//! stays pending until its reading is committed whole.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::classify::{self, Found, MailContext, MessageKind};
use crate::clock::{self, Timestamp};
use crate::limits;
use crate::mail::delivery_status::{DeliveryReport, Input};
use crate::mail::message::Message;
use crate::mail::{Address, Body, Envelope, MessageId, Origin, Purpose};
use crate::mailbox::Mark;
use crate::probe::bounce;
use crate::probe::lifecycle::Seen;
use crate::probe::matching::{Matches, match_mail};
use crate::probe::reflect;
use crate::probe::token::KeyRing;
use crate::probe::watched;
use crate::reports::aggregate::Record;
use crate::reports::digest::ReportDigest;
use crate::reports::extract::Records;
use crate::reports::failure::{FailureReport, Redactor};
use crate::reports::{Unreadable, UnreadableKind};
use crate::store::{
    Begun, FinishDone, Finished, LoadingId, MessageRef, MessageStatus, NewMessage, ReadBounce, ReadFailure,
    ReadReflection, ReadReport, ReadTls, ReadWatched, Reader, Reading, ReportRows, Returned, Sighting, Store,
    StoreError, pack, sha256,
};
use crate::summary::Trust;

/// The version of all readers together: rises when a better one should read old messages again.
pub const PARSER_VERSION: u32 = 1;

// ---- Bell ----

/// Wakes the reading thread.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

/// What the bell has to say.
#[derive(Debug, Default)]
struct BellState {
    is_rung: bool,
    is_stopped: bool,
}

impl Bell {
    /// Something is pending.
    pub fn ring(&self) {
        let mut state = self.lock();
        if !state.is_rung {
            state.is_rung = true;
            self.rung.notify_one();
        }
    }

    /// The reading thread should end after the message in hand.
    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.rung.notify_all();
    }

    /// True once [`Self::stop`] was called.
    fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Waits for so long or for the stop, whether the bell rings or not.
    fn rest(&self, pause: Duration) {
        let state = self.lock();
        drop(self.rung.wait_timeout_while(state, pause, |state| !state.is_stopped));
    }

    /// Waits for the bell, at most so long: another process may have left something too.
    fn wait(&self, longest: Duration) {
        let state = self.lock();
        let waited =
            self.rung.wait_timeout_while(state, longest, |state| !state.is_rung && !state.is_stopped);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_rung = false;
    }

    /// The state; plain values are sound whoever panicked.
    fn lock(&self) -> MutexGuard<'_, BellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ---- Reading what is pending ----

/// Messages that are looked up at once.
const BATCH: usize = 64;
/// Reading time after which a look is taken whether mail flows in.
const TURN: Duration = Duration::from_millis(5);
/// While it does, reading has one part of the time and these parts are left to the receiver: on a machine with
/// few cores every reply to a client would wait for it.
const YIELDED_TURNS: u32 = 9;
/// The longest that is left at once.
const LONGEST_YIELD: Duration = Duration::from_millis(500);
/// Wait without a bell.
const IDLE: Duration = Duration::from_secs(2);
/// Wait after trouble with the store, at first.
const TROUBLE: Duration = Duration::from_secs(1);
/// The longest wait after trouble that stays.
const LONG_TROUBLE: Duration = Duration::from_secs(60);

/// The reader of pending messages.
pub struct Ingest {
    store: Store,
    keys: KeyRing,
    bell: Arc<Bell>,
    /// Numbers of the routes whose arrivals are answered.
    reflects: Vec<u16>,
}

impl Ingest {
    /// Makes a reader of the messages in `store`.
    pub fn new(store: Store, keys: KeyRing, bell: Arc<Bell>) -> Self {
        Self { store, keys, bell, reflects: Vec::new() }
    }

    /// With these routes, by their numbers, whose arrivals are answered: for the process that answers them.
    #[must_use]
    pub fn reflecting(mut self, routes: impl IntoIterator<Item = u16>) -> Self {
        self.reflects = routes.into_iter().collect();
        self
    }

    /// Reads until the bell says stop.
    pub fn run(&self) {
        let mut pause = TROUBLE;
        while !self.bell.is_stopped() {
            match self.read_pending(&|| self.bell.is_stopped()) {
                Ok(0) => self.bell.wait(IDLE),
                Ok(_) => pause = TROUBLE,
                Err(error) => {
                    tracing::error!(%error, "pending messages cannot be read now; trying again");
                    self.bell.wait(pause);
                    pause = (pause * 2).min(LONG_TROUBLE);
                }
            }
        }
    }

    /// Reads everything that is pending, in order of receipt. Returns the number of messages read.
    ///
    /// A message that cannot be read now (its spool file is gone, its bytes are damaged) stays pending and keeps
    /// none of the others waiting. Errors: the first of these, after the others; trouble of the whole store at once.
    pub fn read_pending(&self, is_stopped: &dyn Fn() -> bool) -> Result<u64, StoreError> {
        let reader = self.store.reader()?;
        let mut after = None;
        let mut count = 0;
        let mut trouble = None;
        let mut turn = clock::instant();
        loop {
            let ids = reader.pending(after, BATCH)?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            for id in ids {
                if is_stopped() {
                    return Ok(count);
                }
                let worked = clock::instant().duration_since(turn);
                if worked >= TURN {
                    if self.store.is_receiving() {
                        self.bell.rest((worked * YIELDED_TURNS).min(LONGEST_YIELD));
                    }
                    turn = clock::instant();
                }
                match self.read_one(&reader, id) {
                    Ok(()) => count += 1,
                    // Another process was faster, or removed it.
                    Err(StoreError::NotFound(_)) => {}
                    Err(error @ (StoreError::Full(_) | StoreError::Busy(_) | StoreError::Closed)) => {
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::error!(message = %id, %error, "cannot be read now, stays pending");
                        trouble.get_or_insert(error);
                    }
                }
            }
        }
        self.store.flush()?;
        match trouble {
            None => Ok(count),
            Some(error) => Err(error),
        }
    }

    /// Reads one stored message and hands over what it gave.
    fn read_one(&self, reader: &Reader, id: MessageId) -> Result<(), StoreError> {
        let stored = reader.message(id)?;
        if stored.status != MessageStatus::Pending {
            return Ok(());
        }
        let begun = self.store.begin_reading(&stored.sha256, PARSER_VERSION)?;
        let mut bytes = Vec::new();
        reader.raw(id)?.read_to_end(&mut bytes).map_err(|error| StoreError::Io(error.to_string()))?;
        let is_large = bytes.len() > limits::BODY_MEMORY_BYTES;
        // What a watcher saw stays true when the bytes are read again.
        let seen = match stored.envelope.origin {
            Origin::Mailbox => reader.watched_arrival(id)?,
            Origin::Smtp | Origin::Import => None,
        };
        let source = Source {
            envelope: &stored.envelope,
            purposes: &stored.purposes,
            file_name: stored.file_name.as_deref(),
            seen: seen.as_ref(),
            bytes: &bytes,
            reflects: &self.reflects,
        };
        let mut reading = read_begun(&self.store, &self.keys, &source, &begun)?;
        // A large message is compressed into the store in slices, so that the lock is never held long.
        if !is_large {
            reading.packed = Some(pack(&bytes));
        }
        drop(begun);
        let store = self.store.clone();
        self.store.finish_then(
            MessageRef::Stored(id),
            reading,
            Box::new(move |result| match result {
                Ok(finished) => {
                    tracing::debug!(message = %id, status = finished.status.as_str(), "read");
                }
                // It stays pending and is read again.
                Err(error) => tracing::warn!(message = %id, %error, "not stored"),
            }),
        )?;
        if is_large {
            store.flush()?;
            store.absorb_spool(id)?;
        }
        Ok(())
    }
}

// ---- Reading one message ----

/// A message or file as it is read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// What its recipients are for.
    pub purposes: &'a [Purpose],
    /// The name of an imported file; `None` for a mail.
    pub file_name: Option<&'a str>,
    /// Where a watcher saw it, if it is a probe that one saw.
    pub seen: Option<&'a Seen>,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Numbers of the routes whose arrivals are answered.
    pub reflects: &'a [u16],
}

/// Turns bytes into facts. Rows of large reports go to the store in slices, invisible until the reading is
/// finished; everything else is returned.
///
/// A fault of a reader (a panic) makes the message unread with that reason: it never stops the others.
/// Errors: those of the store.
pub fn read(store: &Store, keys: &KeyRing, source: &Source<'_>) -> Result<Reading, StoreError> {
    let mut loaded = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| read_whole(store, keys, source, &mut loaded)));
    match result {
        Ok(Ok(reading)) => Ok(reading),
        Ok(Err(error)) => {
            abandon(store, &loaded);
            Err(error)
        }
        Err(panic) => {
            abandon(store, &loaded);
            let cause = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown");
            tracing::error!(cause, "a reader failed; the message is kept as unread");
            let mut reading = empty_reading(source);
            let reason = format!("fault of this program while reading, please report it: {cause}");
            reading.unread.push(Unreadable::new(UnreadableKind::Malformed, reason));
            Ok(reading)
        }
    }
}

/// As [`read`], or not at all where processes ended over it.
fn read_begun(
    store: &Store,
    keys: &KeyRing,
    source: &Source<'_>,
    begun: &Begun<'_>,
) -> Result<Reading, StoreError> {
    let Begun::Fatal { deaths } = begun else { return read(store, keys, source) };
    tracing::error!(deaths, "reading this ended the program before; it is kept as unread");
    let mut reading = empty_reading(source);
    let reason = format!(
        "reading it ended the program {deaths} times, please report it; it is read again by the next version, or \
         after `db reprocess`"
    );
    reading.unread.push(Unreadable::new(UnreadableKind::Malformed, reason));
    Ok(reading)
}

/// Removes the rows of reports that will not be finished.
fn abandon(store: &Store, loaded: &[LoadingId]) {
    for loading in loaded {
        if let Err(error) = store.abandon(*loading) {
            // The next start removes them.
            tracing::warn!(%error, "rows of an unfinished report stay for now");
        }
    }
}

/// A reading that says nothing yet.
fn empty_reading(source: &Source<'_>) -> Reading {
    let trust = match source.envelope.origin {
        Origin::Smtp => Trust::Pending,
        Origin::Import | Origin::Mailbox => Trust::Imported,
    };
    Reading {
        kind: MessageKind::Other,
        status: None,
        reason: None,
        deviations: Vec::new(),
        message_id: None,
        references: Vec::new(),
        subject: None,
        header_from: None,
        trust,
        parser_version: PARSER_VERSION,
        read_at: clock::now(),
        packed: None,
        sha256: None,
        unread: Vec::new(),
        reports: Vec::new(),
        tls: Vec::new(),
        failures: Vec::new(),
        bounces: Vec::new(),
        probes: Vec::new(),
        returned: Vec::new(),
        reflection: None,
        watched: None,
    }
}

/// Reads without a net; see [`read`].
fn read_whole(
    store: &Store,
    keys: &KeyRing,
    source: &Source<'_>,
    loaded: &mut Vec<LoadingId>,
) -> Result<Reading, StoreError> {
    let mut reading = empty_reading(source);
    let read_at = reading.read_at;
    let mut trouble = None;
    let mut feedback = Vec::new();
    // A notice or an automatic answer was read.
    let mut is_read = false;
    let mut found = |found: Found<'_>| {
        if trouble.is_some() {
            return;
        }
        match found {
            Found::Aggregate { place, digest, records } => match rows(store, &digest, records, loaded) {
                Ok(Ok(rows)) => reading.reports.push(ReadReport { place, digest: *digest, rows }),
                Ok(Err(unreadable)) => reading.unread.push(unreadable.at(&place)),
                Err(error) => trouble = Some(error),
            },
            Found::Tls { place, digest } => reading.tls.push(ReadTls { place, digest: *digest }),
            Found::Failure { place, report } => feedback.push((place, report)),
            Found::Delivery { report, input } => {
                is_read = true;
                take_back(keys, report, (input, &source.envelope.rcpt_to), &mut reading);
            }
        }
    };
    let mut reflection = None;
    let (mail, matches, watched) = match source.file_name {
        Some(name) => (
            classify::read_file(name, source.bytes, source.envelope.received_at, &mut found),
            Matches::default(),
            None,
        ),
        None => {
            let message = Message::parse(source.bytes);
            let matches = match_mail(keys, source.envelope, &message);
            if !source.reflects.is_empty() {
                reflection = reflect::judge(&matches, source.envelope, &message.header, read_at);
            }
            let context = MailContext {
                envelope: source.envelope,
                purposes: source.purposes,
                has_probe_token: matches.arrival().is_some(),
            };
            let watched = source.purposes.contains(&Purpose::Watch).then(|| ReadWatched {
                names: watched::names_in(&source.envelope.rcpt_to),
                took: watched::took(&message.header, source.envelope.received_at),
            });
            (classify::read_message(&message, &context, &mut found), matches, watched)
        }
    };
    if let Some(error) = trouble {
        return Err(error);
    }
    reading.kind = mail.kind;
    reading.unread.extend(mail.unreadable);
    reading.deviations = mail.deviations.names().map(str::to_owned).collect();
    reading.message_id = mail.header.message_id;
    reading.references.extend(mail.header.references);
    reading.references.sort_unstable();
    reading.references.dedup();
    reading.subject = mail.header.subject;
    reading.header_from = mail.header.from.as_ref().map(ToString::to_string);
    if reading.kind == MessageKind::Failure || !feedback.is_empty() {
        let redactor = Redactor::new(&keys.redaction_key());
        let of = |(place, report): (String, Box<FailureReport>)| {
            ReadFailure::of(&report, place, &redactor, reading.message_id.as_deref())
        };
        reading.failures = feedback.into_iter().map(of).collect();
        hide_persons(&mut reading, &redactor);
    }
    reading.watched = watched;
    reading.reflection =
        reflection.filter(|found| source.reflects.contains(&found.token.route)).and_then(|found| {
            let token = keys.texts(&found.token)?.recipient;
            Some(ReadReflection { token, route_number: found.token.route, declined: found.declined })
        });
    let is_timed = source.envelope.origin == Origin::Smtp || source.seen.is_some();
    reading.probes = Sighting::of(&matches, keys, is_timed, source.seen.unwrap_or(&Seen::default()));
    // What holds no report: its reason says what it is, and letters are kept as they are.
    if matches!(reading.kind, MessageKind::Bounce | MessageKind::Reply | MessageKind::Other)
        && reading.unread.is_empty()
    {
        reading.status = (!is_read).then_some(MessageStatus::Kept);
        reading.reason = Some(mail.why);
    } else if let (MessageKind::Bounce | MessageKind::Reply | MessageKind::Probe, Some(first)) =
        (reading.kind, reading.unread.first())
        && (is_read || reading.kind == MessageKind::Probe)
    {
        // What it says was read; what is damaged in it is somebody else's attachment.
        reading.status = Some(MessageStatus::Read);
        reading.reason = Some(format!("{}; what is attached cannot be read: {}", mail.why, first.reason));
    }
    if matches.damaged > 0 {
        reading.deviations.push("probe-token-damaged".to_owned());
    }
    // What is known to be damaged was made up by nobody.
    if matches.forged.len() + matches.foreign.len() > matches.damaged {
        if !matches.forged.is_empty() {
            reading.deviations.push("probe-token-forged".to_owned());
        }
        if !matches.foreign.is_empty() {
            reading.deviations.push("probe-token-foreign".to_owned());
        }
    }
    Ok(reading)
}

/// Takes what a notice of a mail system or an automatic answer says, and joins it to its probe.
///
/// A notice that quotes nothing of the probe still came to its envelope sender: that of the recipients.
fn take_back(
    keys: &KeyRing,
    report: &DeliveryReport,
    (input, recipients): (&Input<'_>, &[Address]),
    reading: &mut Reading,
) {
    let token = bounce::find_token(report, input, keys)
        .or_else(|| recipients.iter().find_map(|recipient| bounce::sender_token(keys, recipient)));
    let name = token.and_then(|token| keys.texts(&token)).map(|texts| texts.recipient);
    if !report.kind().is_answer() {
        let own_id = input.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("message-id"));
        let notice_id = own_id.map(|(_, value)| value.trim());
        reading.bounces = ReadBounce::rows(report, name.as_deref(), notice_id);
    }
    if let Some(found) = &report.original.message_id {
        let id = found.value.trim().trim_start_matches('<').trim_end_matches('>');
        reading.references.extend(Some(id.to_owned()).filter(|id| !id.is_empty()));
    }
    if let (Some(clear), Some(token)) = (token, name)
        && let Some(told) = bounce::told(report, &clear, keys)
    {
        reading.returned.push(Returned { token, clear, told });
    }
}

/// Hides persons in the header of a mail that brought feedback: reporters repeat there the subject of the message
/// that they quote, and some complaints come from the complaining person itself.
fn hide_persons(reading: &mut Reading, redactor: &Redactor) {
    let hide = |text: &mut Option<String>, how: &dyn Fn(&str) -> String| {
        *text = text.take().map(|text| how(&text));
    };
    hide(&mut reading.subject, &|text| redactor.hash(text));
    hide(&mut reading.header_from, &|text| redactor.address(text));
    hide(&mut reading.message_id, &|text| redactor.address(text));
    // What it names may be somebody's mail.
    reading.references.clear();
}

/// The rows of a report: in memory if there are few, else pushed into the store in slices.
fn rows(
    store: &Store,
    digest: &ReportDigest,
    records: Records<'_>,
    loaded: &mut Vec<LoadingId>,
) -> Result<Result<ReportRows, Unreadable>, StoreError> {
    let replay = match records {
        Records::Memory(records) => return Ok(Ok(ReportRows::Records(records))),
        replay @ Records::Replay(_) => replay,
    };
    let Some(loading) = store.begin_loading(digest)? else {
        return Ok(Ok(ReportRows::NotNeeded));
    };
    loaded.push(loading);
    let mut slice: Vec<Record> = Vec::with_capacity(SLICE_RECORDS);
    let mut slice_bytes = 0;
    let mut trouble = None;
    let push = |slice: &mut Vec<Record>| {
        let full = std::mem::replace(slice, Vec::with_capacity(SLICE_RECORDS));
        store.push(loading, full)
    };
    let read = replay.each(&mut |record| {
        slice_bytes += record.memory_bytes();
        slice.push(record.clone());
        if slice.len() >= SLICE_RECORDS || slice_bytes >= SLICE_BYTES {
            slice_bytes = 0;
            if let Err(error) = push(&mut slice) {
                trouble = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    if let Some(error) = trouble {
        return Err(error);
    }
    if let Err(unreadable) = read {
        store.abandon(loading)?;
        loaded.retain(|other| *other != loading);
        return Ok(Err(unreadable));
    }
    if !slice.is_empty() {
        push(&mut slice)?;
    }
    Ok(Ok(ReportRows::Loaded(loading)))
}

/// Records of one slice: about 10 ms of the writer's time.
const SLICE_RECORDS: usize = 1_000;
/// The same by what the records take in memory: some have two hundred results of long texts.
const SLICE_BYTES: usize = 2 * 1024 * 1024;

// ---- Import ----

/// What is said when an imported message is committed.
pub type Imported = Box<dyn FnOnce(Result<Import, StoreError>) + Send>;

/// What became of an imported message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What it is.
    pub kind: MessageKind,
    /// Names of deviations, its own and those of its reports.
    pub deviations: Vec<String>,
    /// Status, reason and the outcome of each report.
    pub finished: Finished,
    /// Records and messages of each report, in order.
    pub sums: Vec<(u64, u64)>,
}

/// How a message came that was not received by SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came<'a> {
    /// From a file or stream, with the name of what is no mail.
    Import(Option<&'a str>),
    /// From a mailbox, with what is to be noted with it.
    Mailbox(&'a Mark),
}

/// Reads a message or file and hands it to the store; `done` runs when it is committed.
///
/// Errors: those of the store before anything was queued.
pub fn import(
    store: &Store,
    keys: &KeyRing,
    came: Came<'_>,
    bytes: Vec<u8>,
    now: Timestamp,
    done: Imported,
) -> Result<(), StoreError> {
    let (origin, file_name) = match came {
        Came::Import(name) => (Origin::Import, name),
        Came::Mailbox(_) => (Origin::Mailbox, None),
    };
    let seen = match came {
        Came::Mailbox(Mark::Arrival(arrival)) => Some(arrival.seen()),
        _ => None,
    };
    // A probe in a mailbox came when a look saw it first.
    let came_at = match came {
        Came::Mailbox(Mark::Arrival(arrival)) => arrival.seen_at,
        _ => now,
    };
    let envelope = Envelope::without_transport(origin, came_at);
    let source = Source {
        envelope: &envelope,
        purposes: &[],
        file_name,
        seen: seen.as_ref(),
        bytes: &bytes,
        reflects: &[],
    };
    let hash = sha256(&bytes);
    let begun = store.begin_reading(&hash, PARSER_VERSION)?;
    let mut reading = read_begun(store, keys, &source, &begun)?;
    reading.packed = Some(pack(&bytes));
    reading.sha256 = Some(hash);
    drop(begun);
    let sums = reading.reports.iter().map(|report| (report.digest.records, report.digest.messages)).collect();
    let mut deviations = reading.deviations.clone();
    let of_tls = reading.tls.iter().map(|tls| &tls.digest.deviations);
    for list in reading.reports.iter().map(|report| &report.digest.deviations).chain(of_tls) {
        for name in list.names() {
            if !deviations.iter().any(|known| known == name) {
                deviations.push(name.to_owned());
            }
        }
    }
    let kind = reading.kind;
    let message = MessageRef::New(Box::new(NewMessage {
        envelope,
        body: Body::Memory(bytes.into()),
        purposes: Vec::new(),
        file_name: file_name.map(str::to_owned),
    }));
    let done: FinishDone =
        Box::new(move |result| done(result.map(|finished| Import { kind, deviations, finished, sums })));
    match came {
        Came::Import(_) => store.finish_then(message, reading, done),
        Came::Mailbox(mark) => store.finish_marked(message, reading, mark.clone(), done),
    }
}
