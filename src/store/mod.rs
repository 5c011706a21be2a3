//! The store: one SQLite file, the only place with SQL.
//!
//! Raw messages come in through [`Store::deliver`], facts through [`Store::finish`]; answers go out through
//! [`Reader`]. One thread of a process writes (`writer`), in short transactions in which the work of many
//! callers is grouped; any number of readers, also other programs, read beside it (WAL).
//!
//! Failure behavior: nothing is answered before its COMMIT returned, and every step can be repeated from the
//! stored bytes. A full disk, a lock held elsewhere or a vanished disk is an error for everybody whose work
//! was in that transaction; the next one tries again. A process that is killed leaves at most invisible
//! slices of a large report and spool files without a row: the next start that finds itself alone with the
//! database removes them.

mod aggregate;
mod audit;
mod authentication;
mod bounce;
mod database;
mod dns;
mod domain;
mod error;
mod failure;
mod fatal;
mod ids;
mod intern;
mod loading;
mod mailbox;
mod mailbox_arrival;
mod message;
mod one_key;
mod party;
mod probe;
mod raw;
mod read;
mod reading;
mod record;
mod reflect;
mod reprocess;
mod rollup;
mod schedule;
mod source;
mod source_name;
mod tls;
mod trust;
mod unclaimed;
mod upkeep;
mod verify;
mod watched;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::dns_health::history::{DomainEvent, Noted};
use crate::mail::{DomainName, MessageId};
use crate::mailbox::{ArrivalKey, Checked, FolderKey, Mark, Note};
use crate::probe::lifecycle::{Event, What};
use crate::probe::token::KeyRing;
use crate::probe::watched::Episode;
use crate::reports::aggregate::Record;
use crate::reports::digest::ReportDigest;
use crate::smtp::submit::HandOver;
use crate::summary::Trust;

pub use authentication::{DueVerification, NotedVerification, StoredVerification, VerificationState};
pub use database::SCHEMA_VERSION;
pub use domain::WatchedDomain;
pub use error::StoreError;
pub use fatal::{Begun, ReadingNote};
pub use loading::LoadingId;
pub use mailbox::MailboxFolder;
pub use message::sha256;
pub use probe::{NewProbe, Returned, SINK_EYE, Sighting, mailbox_eye};
pub use raw::{Packed, Raw, pack};
pub use read::{
    ProbeMeans, Reader, SentProbe, StoreStats, StoredAttempt, StoredMessage, StoredMx, StoredProbe,
    StoredStep, StoredVerdict, TableStats, UnreadablePart,
};
pub use reading::{
    Finished, MessageRef, MessageStatus, NewMessage, Outcome, ReadBounce, ReadFailure, ReadReport, ReadTls,
    Reading, ReportRows,
};
pub use reflect::{DueReflection, ReadReflection, StoredReflection};
pub use reprocess::ReprocessFilter;
pub use schedule::{DeferredProbe, MissedRuns, ScheduleNote, SeriesKey, StoredBackOff};
pub use source_name::SourceName;
pub use unclaimed::UnclaimedDomain;
pub use upkeep::{BackupReport, ErasePlan, EraseTarget, Erased, NamingText, Pruned, Retention};
pub use verify::Verification;
pub use watched::{ReadWatched, WatchedChange};
pub use writer::Rejected;

/// What the store needs to know from the configuration.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Wait for another process that holds the write lock.
    pub busy_timeout: Duration,
    /// Most messages of one group commit.
    pub commit_messages: usize,
    /// Longest time that one transaction holds the write lock.
    pub transaction: Duration,
    /// Messages that may wait for their commit.
    pub queue_messages: usize,
    /// Bytes that may wait for their commit.
    pub queue_bytes: usize,
    /// Free space that must remain on the file system beside one message, bytes.
    pub free_bytes: u64,
    /// Largest size of the database file, bytes; `None` for as large as the disk. For quotas.
    pub database_bytes: Option<u64>,
    /// True if every domain is watched (nothing is configured); else only the watched ones and what is below.
    pub watch_all: bool,
}

/// What runs when the outcome of a delivery is known.
pub type DeliverDone = Box<dyn FnOnce(Result<MessageId, StoreError>) + Send>;
/// What runs when the outcome of a reading is known.
pub type FinishDone = Box<dyn FnOnce(Result<Finished, StoreError>) + Send>;

/// A handle of an open store; clones are the same store.
#[derive(Clone)]
pub struct Store {
    writer: Arc<writer::Writer>,
    fatal: Arc<fatal::Fatal>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database at `path`, makes it if there is none, upgrades it if it is older, and starts the
    /// writer. If no other process has it open, what a killed one left is removed first.
    ///
    /// Errors: `TooNew`, `NotOurs`, `Corrupt`, `Busy` (another process upgrades), `Io`, `Full`.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Ok(Self {
            writer: Arc::new(writer::Writer::start(path, options)?),
            fatal: Arc::new(fatal::Fatal::new()),
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.writer.path()
    }

    /// The folder for spool files beside the database; made if absent.
    ///
    /// Errors: `Io`, `Full`.
    pub fn spool_folder(&self) -> Result<PathBuf, StoreError> {
        self.writer.spool_folder()
    }

    /// Finishes what is queued, commits it and stops the writer. Later calls get `Closed`.
    pub fn close(&self) {
        self.writer.close();
    }

    /// Says whether a message of `size_bytes` would find a place: queue, file system, quota.
    ///
    /// Cheap: free space is asked of the system at most once a second. Errors: `Full`, `Busy`, `Closed`.
    pub fn has_room(&self, size_bytes: u64) -> Result<(), StoreError> {
        self.writer.has_room(size_bytes)
    }

    /// Queues a message; `done` runs on the writer's thread after the COMMIT returned, or with the error.
    ///
    /// Does not block; costs the hash of a body in memory. Errors: `Busy` if the queue is full, `Closed`;
    /// message and callback come back.
    pub fn deliver(&self, message: NewMessage, done: DeliverDone) -> Result<(), Box<Rejected>> {
        self.writer.deliver(message, done)
    }

    /// Stores what reading a message gave, and waits for the commit. Blocking.
    ///
    /// Everything or nothing: status, compressed bytes, reports, rows and roll-ups. Errors: as for every
    /// write; `Contradiction` if a digest does not add up or rows are missing (read the message again).
    pub fn finish(&self, message: MessageRef, reading: Reading) -> Result<Finished, StoreError> {
        let (done, answer) = writer::answer();
        self.finish_then(message, reading, done)?;
        writer::wait(&answer)
    }

    /// As [`Self::finish`] without waiting: `done` runs on the writer's thread after the COMMIT returned.
    ///
    /// Blocks only while too much is queued.
    pub fn finish_then(
        &self,
        message: MessageRef,
        reading: Reading,
        done: FinishDone,
    ) -> Result<(), StoreError> {
        message::queue_finish(&self.writer, message, reading, done)
    }

    /// As [`Self::finish_then`] for a message of a mailbox: where it stood is noted in the same transaction.
    ///
    /// Bytes that came from a mailbox before are not stored again: the result names the message that holds them,
    /// and only the mark is written.
    pub fn finish_marked(
        &self,
        message: MessageRef,
        reading: Reading,
        mark: Mark,
        done: FinishDone,
    ) -> Result<(), StoreError> {
        mailbox::queue_finish(&self.writer, message, reading, mark, done)
    }

    /// Notes something of a folder of a mailbox, and waits for the commit. Blocking.
    pub fn note_mailbox(&self, key: &FolderKey, note: Note) -> Result<(), StoreError> {
        mailbox::note(&self.writer, key, note)
    }

    /// Notes that a copy of a known arrival stands in a folder of a mailbox. Blocking.
    pub fn stands(
        &self,
        key: &ArrivalKey,
        folder: &FolderKey,
        uid: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        mailbox_arrival::stands(&self.writer, key, folder, uid, at)
    }

    /// Notes where a watcher found an arrival when it looked again; what is news is told to the probe. Blocking.
    pub fn checked(&self, checked: Checked) -> Result<(), StoreError> {
        mailbox_arrival::checked(&self.writer, checked)
    }

    /// Notes that bytes with this hash are about to be read by readers of this version, before they are touched: should the
    /// process end over them, the next one knows. Blocks while other bytes are suspected and read alone.
    ///
    /// Errors: those of the store at the first call of a process, and for bytes on which one ended.
    pub fn begin_reading(&self, sha256: &[u8; 32], parser_version: u32) -> Result<Begun<'_>, StoreError> {
        self.fatal.begin(&self.writer, sha256, parser_version)
    }

    /// Begins to load a report of many records in slices; `None` if its rows are not needed (its domain is
    /// not watched, or the same report is there already).
    pub fn begin_loading(&self, digest: &ReportDigest) -> Result<Option<LoadingId>, StoreError> {
        loading::begin(&self.writer, digest)
    }

    /// Pushes the next records of a report. Slices of some hundred records; blocks while too much is queued.
    pub fn push(&self, loading: LoadingId, records: Vec<Record>) -> Result<(), StoreError> {
        loading::push(&self.writer, loading, records)
    }

    /// Gives up a report that is being loaded; its rows are removed.
    pub fn abandon(&self, loading: LoadingId) -> Result<(), StoreError> {
        loading::abandon(&self.writer, loading)
    }

    /// Moves the bytes of a spooled message, compressed, into the database, in slices, and removes the file.
    /// Does nothing for a message that is not spooled. Blocking.
    pub fn absorb_spool(&self, id: MessageId) -> Result<(), StoreError> {
        raw::absorb_spool(&self.writer, id)
    }

    /// Replaces the domains that the configuration watches. Messages with reports for domains that are now
    /// watched become pending again. Returns their number.
    pub fn set_watched(&self, domains: &[DomainName]) -> Result<u64, StoreError> {
        domain::set_watched(&self.writer, domains)
    }

    /// Watches one more domain, also after a restart. Returns the number of messages that became pending.
    pub fn add_domain(&self, domain: &DomainName) -> Result<u64, StoreError> {
        domain::add(&self.writer, domain)
    }

    /// Makes messages pending again, to be read from their stored bytes. Returns their number.
    pub fn reprocess(&self, filter: &ReprocessFilter) -> Result<u64, StoreError> {
        reprocess::mark(&self.writer, filter)
    }

    /// Notes how far what a message brought can be believed, and waits for the commit. Everything that it brought, and what
    /// counts under the keys of these reports, changes in one transaction. False if there is no such message.
    ///
    /// The verdict stays when the message is read again. `Pending` and `Imported` are no verdicts: they stand for "not
    /// judged" and give way to the next reading's.
    pub fn settle_trust(&self, message: MessageId, trust: Trust) -> Result<bool, StoreError> {
        self.writer.run(move |work| trust::settle(work, message, trust))
    }

    /// Notes what the verification of a message found, with what follows for its reports (as [`Self::settle_trust`] does)
    /// and for the selectors of watched domains, in one transaction; waits for the commit. Blocking.
    pub fn note_verification(
        &self,
        message: MessageId,
        noted: NotedVerification,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        authentication::note(&self.writer, message, noted, now)
    }

    /// Notes that a verification could not be made, why, when it is tried again (absent: never), and how far its reports
    /// can then be believed. Blocking.
    pub fn note_verification_fault(
        &self,
        message: MessageId,
        reason: &str,
        next_at: Option<Timestamp>,
        trust: Option<Trust>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        authentication::note_fault(&self.writer, message, reason, next_at, trust, now)
    }

    /// Notes that verifications begin: one in which the process ends is known by it. Blocking.
    pub fn begin_verifications(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        authentication::begin(&self.writer, messages)
    }

    /// Gives begun verifications back untried. Blocking.
    pub fn release_verifications(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        authentication::release(&self.writer, messages)
    }

    /// Puts verifications off that would ask too much now. Blocking.
    pub fn postpone_verifications(
        &self,
        messages: Vec<MessageId>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        authentication::postpone(&self.writer, messages, until)
    }

    /// Keeps the answer to an arrival, a probe of its own, and that its sending begins; waits for the commit. False: another
    /// process was first, or it was answered already, and nothing may leave.
    pub fn begin_reflection(&self, token: &str, reply: NewProbe) -> Result<bool, StoreError> {
        reflect::begin(&self.writer, token, reply)
    }

    /// Notes how an attempt to answer went, and when it is tried again; waits for the commit.
    pub fn finish_reflection(
        &self,
        token: &str,
        reply_token: &str,
        hand_over: HandOver,
    ) -> Result<(), StoreError> {
        reflect::finish(&self.writer, token, reply_token, hand_over)
    }

    /// Notes that an arrival is not answered after all, and why; waits for the commit.
    pub fn decline_reflection(&self, token: &str, reason: &str) -> Result<(), StoreError> {
        reflect::decline(&self.writer, token, reason)
    }

    /// Notes that an arrival cannot be answered now, why, and when it is tried again; waits for the commit.
    pub fn postpone_reflection(&self, token: &str, reason: &str, until: Timestamp) -> Result<(), StoreError> {
        reflect::postpone(&self.writer, token, reason, until)
    }

    /// Notes that answers which were on their way when the process ended are in doubt. Returns how many. Blocking.
    pub fn recover_reflections(&self, now: Timestamp) -> Result<u64, StoreError> {
        reflect::recover(&self.writer, now)
    }

    /// Replaces the names of watched addresses: a new one is watched from `now` on, one that is gone no more. Blocking.
    pub fn set_watched_names(&self, names: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        watched::set_names(&self.writer, names, now)
    }

    /// Keeps what was found wrong at a watched address since `judged_from`, each once, and returns what is new. Blocking.
    pub fn note_watched(
        &self,
        name: &str,
        episodes: Vec<Episode>,
        judged_from: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<WatchedChange>, StoreError> {
        watched::note(&self.writer, name, episodes, judged_from, now)
    }

    /// Writes down who did what; waits for the commit. What is to be seen only after that, is shown after that.
    pub fn audit(&self, what: &'static str, who: &str, detail: &str) -> Result<(), StoreError> {
        audit::write(&self.writer, what, who, detail)
    }

    /// As [`Self::begin_probe`], with notes of the schedule in the same transaction and without waiting: `done` runs on
    /// the writer's thread after the COMMIT returned. Blocks only while too much is queued.
    pub fn begin_probe_with(
        &self,
        notes: Vec<ScheduleNote>,
        probe: NewProbe,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        schedule::begin(&self.writer, notes, probe, Box::new(done))
    }

    /// Notes that another attempt to send a probe begins, if the last one was put off and `attempts` is their number:
    /// else somebody else tried it meanwhile, and `done` gets `Contradiction`. As [`Self::begin_probe_with`].
    pub fn begin_retry(
        &self,
        token: &str,
        attempts: u32,
        at: Timestamp,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        schedule::begin_retry(&self.writer, token, attempts, at, Box::new(done))
    }

    /// As [`Self::finish_probe`] without waiting, like [`Self::begin_probe_with`].
    pub fn finish_probe_then(
        &self,
        token: &str,
        hand_over: HandOver,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        schedule::finish(&self.writer, token, hand_over, Box::new(done))
    }

    /// As [`Self::note_probe`] without waiting, like [`Self::begin_probe_with`].
    pub fn note_probe_then(
        &self,
        token: &str,
        event: Event,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        schedule::happen(&self.writer, token, event, Box::new(done))
    }

    /// Queues notes of the schedule of probes; `done` runs on the writer's thread after the COMMIT returned.
    ///
    /// Blocks only while too much is queued.
    pub fn note_schedule(
        &self,
        notes: Vec<ScheduleNote>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        schedule::note(&self.writer, notes, Box::new(done))
    }

    /// Keeps a new probe and that its sending begins; waits for the commit. Nothing may leave before.
    ///
    /// Errors: as for every write; `Contradiction` if the token is there already.
    pub fn begin_probe(&self, probe: NewProbe) -> Result<(), StoreError> {
        probe::begin(&self.writer, probe)
    }

    /// Notes that another attempt to send a probe begins; waits for the commit.
    ///
    /// Errors: as for every write; `NotFound`.
    pub fn begin_probe_again(&self, token: &str, at: Timestamp) -> Result<(), StoreError> {
        self.note_probe(token, Event { at, what: What::Sending })
    }

    /// Keeps a new probe that is to be sent at its `planned_at`; waits for the commit. [`Self::begin_probe_again`] begins
    /// its first attempt.
    ///
    /// Errors: as for every write; `Contradiction` if the token is there already.
    pub fn plan_probe(&self, probe: NewProbe) -> Result<(), StoreError> {
        probe::plan(&self.writer, probe)
    }

    /// Notes one thing that happened to a probe, as that it was cancelled, given up, or moved; waits for the commit. What
    /// attempts and received messages tell has methods of its own.
    ///
    /// Errors: as for every write; `NotFound`.
    pub fn note_probe(&self, token: &str, event: Event) -> Result<(), StoreError> {
        probe::happen(&self.writer, token, event)
    }

    /// Notes a look of an eye, or with `fault` that it could not look; waits for the commit. `every`: how often it looks.
    ///
    /// Looks at most three such intervals apart are one time in which the eye was open. Only a probe whose eyes were
    /// open can be lost. Errors: as for every write.
    pub fn note_look(
        &self,
        eye: &str,
        at: Timestamp,
        every: Duration,
        fault: Option<&str>,
    ) -> Result<(), StoreError> {
        probe::note_look(&self.writer, eye, at, every, fault)
    }

    /// Notes on every open probe that our own clock was set by `by_ms`, or that we slept as long; `at`: the clock as it
    /// stands after it. Waits for the commit. Errors: as for every write.
    pub fn note_clock(&self, at: Timestamp, by_ms: i64) -> Result<(), StoreError> {
        probe::note_clock(&self.writer, at, by_ms)
    }

    /// Judges those probes anew whose time came by `now`, and keeps their verdicts; waits for the commit. Returns how
    /// many: nearly free if none. Errors: as for every write.
    pub fn settle_due(&self, now: Timestamp) -> Result<u64, StoreError> {
        if !self.reader()?.has_due_probes(now)? {
            return Ok(0);
        }
        probe::settle_due(&self.writer, now)
    }

    /// Notes how an attempt to send a probe went; waits for the commit.
    ///
    /// Errors: as for every write; `NotFound`.
    pub fn finish_probe(&self, token: &str, hand_over: HandOver) -> Result<(), StoreError> {
        probe::finish(&self.writer, token, hand_over)
    }

    /// Removes what is older at `now` than `retention` says, in slices, and gives the space back. Blocking.
    ///
    /// Local parts and subjects become pseudonyms under `keys`. Stops soon once `is_stopped` says so; what is left
    /// is removed the next time. Errors: as for every write.
    pub fn prune(
        &self,
        retention: &Retention,
        keys: &KeyRing,
        now: Timestamp,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Pruned, StoreError> {
        upkeep::prune(&self.writer, &self.reader()?, retention, keys, now, is_stopped)
    }

    /// Removes what a plan of [`Reader::erase_plan`] names, overwrites it and empties the log. Blocking.
    ///
    /// Can be repeated if it was interrupted. Errors: as for every write.
    pub fn erase(&self, plan: &ErasePlan) -> Result<Erased, StoreError> {
        upkeep::erase(&self.writer, &self.reader()?, plan)
    }

    /// Copies the whole store into the new file `target`, large mails included, and checks the copy. Blocking.
    ///
    /// `progress` hears pages copied and pages in all. Errors: `Io` (also where the file exists), `Corrupt`.
    pub fn backup(&self, target: &Path, progress: impl FnMut(u64, u64)) -> Result<BackupReport, StoreError> {
        upkeep::backup(&self.writer, &self.reader()?, target, progress)
    }

    /// Opens a read-only connection.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(self.path(), self.writer.options().busy_timeout)
    }

    /// Notes what a check saw of the records of a domain at `now`, and waits for the commit. Returns what happened
    /// since the checks before, which is kept too.
    pub fn note_dns(
        &self,
        domain: &DomainName,
        noted: Noted,
        now: Timestamp,
    ) -> Result<Vec<DomainEvent>, StoreError> {
        dns::note(&self.writer, domain.as_str(), noted, now)
    }

    /// Notes the names of sources as DNS gave them at `now`, and waits for the commit. A name that could not be looked
    /// up again stays.
    pub fn note_source_names(&self, names: Vec<SourceName>, now: Timestamp) -> Result<(), StoreError> {
        source_name::note(&self.writer, names, now)
    }

    /// True while deliveries wait for their commit or came a moment ago: other work may give way to them.
    pub fn is_receiving(&self) -> bool {
        self.writer.is_receiving()
    }

    /// Waits until everything queued before is committed.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.writer.flush()
    }
}
