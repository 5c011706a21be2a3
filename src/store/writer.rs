//! The one thread of a process that writes: it groups the work of many callers into short transactions.
//!
//! Deliveries go first: a client waits for its reply. Other work (readings, slices of large reports) shares
//! their transaction for a moment, and has at least a fifth of the time, so that neither starves. Callbacks
//! run after the COMMIT returned.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::ids::IdSource;
use super::intern::Cache;
use super::{DeliverDone, MessageId, NewMessage, StoreError, StoreOptions, database, loading, message, raw};
use crate::clock::{self, Instant, Timestamp};

/// Bytes of other work that may wait; callers block above it.
const JOB_BYTES: usize = 8 * 1024 * 1024;
/// Pieces of other work that may wait.
const JOBS: usize = 1_024;
/// Time for other work in a transaction that carries deliveries.
const SHARED_TIME: Duration = Duration::from_millis(10);
/// After a transaction of this length without deliveries, other processes get a chance to take the lock.
const GAP_AFTER: Duration = Duration::from_millis(10);
/// How long: two rounds of their asking.
const GAP: Duration = Duration::from_millis(2);
/// So long after a delivery mail still flows in.
const FLOW_AGE: Duration = Duration::from_millis(20);
/// How long an answer of the file system about its free space is good for.
const FREE_SPACE_AGE: Duration = Duration::from_secs(1);

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
const SAVEPOINT: &str = "SAVEPOINT job";
const RELEASE: &str = "RELEASE job";
const DATA_VERSION: &str = "PRAGMA data_version";
const ROLLBACK_TO: &str = "ROLLBACK TO job";

// ---- Work ----

/// What a piece of work has in its hands while its transaction is open.
pub(super) struct Work<'a> {
    /// The writing connection, in a transaction.
    pub(super) connection: &'a Connection,
    /// Look-up numbers known to be in the database.
    pub(super) cache: &'a mut Cache,
    /// Numbers for new messages and reports.
    pub(super) ids: &'a mut IdSource,
    /// The options of the store.
    pub(super) options: &'a StoreOptions,
    /// The time of the transaction.
    pub(super) now: Timestamp,
    /// The folder of spool files.
    pub(super) spool: &'a Path,
    /// Files to remove once the transaction is committed.
    pub(super) remove: &'a mut Vec<PathBuf>,
    /// Set if rows were left to be removed later.
    pub(super) has_leftovers: &'a mut bool,
}

/// Tells the caller how it ended: with the error of the transaction, or without.
type Ended = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Does the work, or only hears why it cannot be done.
type Run = Box<dyn FnOnce(Result<&mut Work<'_>, StoreError>) -> (Option<StoreError>, Ended) + Send>;

/// Hears the outcome of one piece of work.
pub(super) type Done<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// One piece of work that waits.
struct Job {
    run: Run,
    bytes: usize,
}

/// One message that waits for its commit.
pub(super) struct Delivery {
    /// The message.
    pub(super) message: NewMessage,
    /// SHA-256 of its bytes.
    pub(super) sha256: [u8; 32],
    /// Who waits.
    done: DeliverDone,
}

/// A message that found no place, given back.
pub struct Rejected {
    /// Why.
    pub error: StoreError,
    /// The message.
    pub message: NewMessage,
    /// The callback, not called.
    pub done: DeliverDone,
}

impl std::fmt::Debug for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejected").field("error", &self.error).finish_non_exhaustive()
    }
}

/// A callback that hands its result to [`wait`].
pub(super) fn answer<T: Send + 'static>() -> (Done<T>, Receiver<Result<T, StoreError>>) {
    let (sender, receiver): (SyncSender<Result<T, StoreError>>, _) = sync_channel(1);
    // Nobody listens any more: the work is done all the same.
    let done = Box::new(move |result| drop(sender.send(result)));
    (done, receiver)
}

/// Waits for the result of work that was queued with [`answer`].
pub(super) fn wait<T>(receiver: &Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    receiver.recv().unwrap_or(Err(StoreError::Closed))
}

// ---- The queue ----

/// What waits.
#[derive(Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    /// Deliveries that wait or are being committed.
    delivery_count: usize,
    /// Bytes of these.
    delivery_bytes: usize,
    /// When the last one came.
    last_delivery: Option<Instant>,
    jobs: VecDeque<Job>,
    job_bytes: usize,
    is_closing: bool,
}

/// What the handles and the thread share.
struct Shared {
    path: PathBuf,
    spool: PathBuf,
    options: StoreOptions,
    queue: Mutex<Queue>,
    /// Work came, or the end.
    work: Condvar,
    /// A place became free.
    place: Condvar,
    /// Free bytes of the file system and when they were asked for.
    free: Mutex<Option<(Instant, u64)>>,
}

impl Shared {
    /// Locks the queue. A panic elsewhere leaves it usable: every change to it is whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handle of the writing thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held while the store is open: tells other processes that they are not alone.
    presence: Mutex<Option<database::Presence>>,
}

impl Writer {
    /// Opens the database and starts the thread.
    pub(super) fn start(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let presence = database::Presence::announce(path)?;
        let connection = database::open_writer(path, options.busy_timeout, options.database_bytes)?;
        let spool = raw::spool_folder(path);
        if presence.was_alone() {
            raw::clean_spool(&connection, &spool)?;
            loading::clean(&connection)?;
        }
        presence.share()?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            spool,
            options,
            queue: Mutex::new(Queue::default()),
            work: Condvar::new(),
            place: Condvar::new(),
            free: Mutex::new(None),
        });
        let has_leftovers = loading::has_leftovers(&connection)?;
        let mut thread = Thread::new(Arc::clone(&shared), connection, has_leftovers);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| StoreError::io("cannot start a thread for", path, &error))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), presence: Mutex::new(Some(presence)) })
    }

    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The options.
    pub(super) fn options(&self) -> &StoreOptions {
        &self.shared.options
    }

    /// The spool folder; made if absent.
    pub(super) fn spool_folder(&self) -> Result<PathBuf, StoreError> {
        raw::make_folder(&self.shared.spool)?;
        Ok(self.shared.spool.clone())
    }

    /// Finishes what waits and stops the thread.
    pub(super) fn close(&self) {
        self.shared.lock().is_closing = true;
        self.shared.work.notify_all();
        self.shared.place.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread has told everybody who waited by dropping their callbacks.
            drop(thread.join());
        }
        drop(self.presence.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Says whether a message would find a place.
    pub(super) fn has_room(&self, size_bytes: u64) -> Result<(), StoreError> {
        let options = &self.shared.options;
        {
            let queue = self.shared.lock();
            if queue.is_closing {
                return Err(StoreError::Closed);
            }
            if queue.delivery_count >= options.queue_messages || queue.delivery_bytes >= options.queue_bytes {
                return Err(StoreError::Busy("too many messages wait for their commit".to_owned()));
            }
        }
        let free = self.free_bytes()?;
        if free < options.free_bytes.saturating_add(size_bytes) {
            return Err(StoreError::Full(format!(
                "{free} bytes are free beside {}, {} and the message's {size_bytes} are wanted",
                self.shared.path.display(),
                options.free_bytes
            )));
        }
        Ok(())
    }

    /// True while deliveries wait for their commit or came a moment ago.
    pub(super) fn is_receiving(&self) -> bool {
        let queue = self.shared.lock();
        queue.delivery_count > 0
            || queue.last_delivery.is_some_and(|last| clock::instant().duration_since(last) < FLOW_AGE)
    }

    /// Free bytes of the file system, asked for once a second.
    fn free_bytes(&self) -> Result<u64, StoreError> {
        let mut free = self.shared.free.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::instant();
        if let Some((at, bytes)) = *free
            && now.duration_since(at) < FREE_SPACE_AGE
        {
            return Ok(bytes);
        }
        let stat = rustix::fs::statvfs(&self.shared.path).map_err(|error| {
            StoreError::io("cannot ask for free space at", &self.shared.path, &error.into())
        })?;
        let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        *free = Some((now, bytes));
        Ok(bytes)
    }

    /// Queues a message.
    pub(super) fn deliver(&self, message: NewMessage, done: DeliverDone) -> Result<(), Box<Rejected>> {
        let bytes = message::memory_bytes(&message);
        let reject = |error, message, done| Err(Box::new(Rejected { error, message, done }));
        {
            let mut queue = self.shared.lock();
            if queue.is_closing {
                return reject(StoreError::Closed, message, done);
            }
            let options = &self.shared.options;
            // One message larger than the whole queue still passes, alone.
            let is_full = queue.delivery_count >= options.queue_messages
                || (queue.delivery_count > 0 && queue.delivery_bytes + bytes > options.queue_bytes);
            if is_full {
                let error = StoreError::Busy("too many messages wait for their commit".to_owned());
                drop(queue);
                return reject(error, message, done);
            }
            queue.delivery_count += 1;
            queue.delivery_bytes += bytes;
        }
        // The place is taken; the hash is computed here and not on the thread that everybody waits for.
        let sha256 = message::body_sha256(&message.body);
        let mut queue = self.shared.lock();
        queue.deliveries.push_back(Delivery { message, sha256, done });
        queue.last_delivery = Some(clock::instant());
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Queues other work of about `bytes` in memory; blocks while too much waits.
    pub(super) fn queue<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, StoreError> + Send + 'static,
        done: Done<T>,
    ) -> Result<(), StoreError> {
        let run: Run = Box::new(move |context| match context.and_then(work) {
            Ok(value) => (None, Box::new(move |commit| done(commit.map(|()| value)))),
            // The work's own error says more than that of the transaction.
            Err(error) => (Some(error.clone()), Box::new(move |_| done(Err(error)))),
        });
        let mut queue = self.shared.lock();
        loop {
            if queue.is_closing {
                return Err(StoreError::Closed);
            }
            let has_place =
                queue.jobs.len() < JOBS && (queue.jobs.is_empty() || queue.job_bytes + bytes <= JOB_BYTES);
            if has_place {
                break;
            }
            queue = self.shared.place.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.jobs.push_back(Job { run, bytes });
        queue.job_bytes += bytes;
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Does work in a transaction and waits for its commit.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, receiver) = answer();
        self.queue(0, work, done)?;
        wait(&receiver)
    }

    /// Waits until everything queued before is committed.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.run(|_| Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

// ---- The thread ----

/// The writing thread's own state.
struct Thread {
    shared: Arc<Shared>,
    connection: Option<Connection>,
    cache: Cache,
    ids: IdSource,
    /// Deliveries taken from the queue that did not fit into the last transaction.
    taken: VecDeque<Delivery>,
    /// `PRAGMA data_version` as last seen: another value means that another process wrote.
    data_version: i64,
    has_leftovers: bool,
}

impl Thread {
    /// The state at start.
    fn new(shared: Arc<Shared>, connection: Connection, has_leftovers: bool) -> Self {
        Self {
            shared,
            connection: Some(connection),
            cache: Cache::default(),
            ids: IdSource::new(),
            taken: VecDeque::new(),
            data_version: -1,
            has_leftovers,
        }
    }

    /// Works until the end.
    fn run(&mut self) {
        if let Some(connection) = &mut self.connection
            && database::wait_eagerly(connection, self.shared.options.busy_timeout).is_err()
        {
            // The next transaction opens another one.
            self.connection = None;
        }
        while self.wait_for_work() {
            let started = clock::instant();
            // A panic is a fault of ours in one piece of work: its transaction is lost, the others go on.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.transaction()));
            match outcome {
                Ok(carried_deliveries) => {
                    if !carried_deliveries && started.elapsed() >= GAP_AFTER {
                        self.leave_gap();
                    }
                }
                Err(_) => self.forget_transaction(),
            }
        }
    }

    /// Lets another process have the lock for a moment, unless a delivery comes.
    fn leave_gap(&self) {
        let queue = self.shared.lock();
        if queue.deliveries.is_empty() && !queue.is_closing {
            drop(self.shared.work.wait_timeout_while(queue, GAP, |queue| queue.deliveries.is_empty()));
        }
    }

    /// Cleans up after a panic: callbacks of the transaction are gone, which tells their owners.
    fn forget_transaction(&mut self) {
        tracing::error!("a piece of work made the writer of the store panic; its transaction is lost");
        self.connection = None;
        self.cache.clear();
        self.taken.clear();
        let mut queue = self.shared.lock();
        queue.delivery_count = queue.deliveries.len();
        queue.delivery_bytes =
            queue.deliveries.iter().map(|delivery| message::memory_bytes(&delivery.message)).sum();
        drop(queue);
        self.shared.place.notify_all();
    }

    /// Waits for work; false at the end.
    fn wait_for_work(&self) -> bool {
        let mut queue = self.shared.lock();
        loop {
            if !self.taken.is_empty() || !queue.deliveries.is_empty() || !queue.jobs.is_empty() {
                return true;
            }
            if queue.is_closing {
                return false;
            }
            if self.has_leftovers {
                return true;
            }
            queue = self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One transaction: deliveries, then other work while there is time. True if it carried deliveries.
    fn transaction(&mut self) -> bool {
        let mut group = Group::default();
        let begun = self.begin();
        let has_begun = begun.is_ok();
        let result = begun.and_then(|()| self.fill(&mut group)).and_then(|()| self.commit());
        if let Err(error) = &result {
            self.recover(error);
            self.take_failed(error, has_begun, &mut group);
        }
        let count = group.delivered.len();
        let bytes: usize = group.delivered.iter().map(|delivered| delivered.bytes).sum();
        if count > 0 {
            let mut queue = self.shared.lock();
            queue.delivery_count = queue.delivery_count.saturating_sub(count);
            queue.delivery_bytes = queue.delivery_bytes.saturating_sub(bytes);
        }
        for delivered in group.delivered {
            call(|| (delivered.done)(result.clone().map(|()| delivered.id)));
        }
        for done in group.ended {
            call(|| done(result.clone()));
        }
        let remove = match &result {
            Ok(()) => group.remove,
            // Nothing refers to the files; where the commit itself is in doubt, the next start looks again.
            Err(StoreError::Full(_)) => group.renamed,
            Err(_) => Vec::new(),
        };
        for file in remove {
            // A file that stays is removed at the next start.
            drop(std::fs::remove_file(file));
        }
        count > 0
    }

    /// Opens the connection if need be and takes the write lock.
    fn begin(&mut self) -> Result<(), StoreError> {
        if self.connection.is_none() {
            let options = &self.shared.options;
            let mut connection =
                database::open_writer(&self.shared.path, options.busy_timeout, options.database_bytes)?;
            database::wait_eagerly(&mut connection, options.busy_timeout)?;
            self.connection = Some(connection);
            self.data_version = -1;
        }
        let connection = self.connection.as_ref().ok_or(StoreError::Closed)?;
        connection.prepare_cached(BEGIN)?.execute([])?;
        let version: i64 = connection.prepare_cached(DATA_VERSION)?.query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.cache.clear();
            self.data_version = version;
        }
        Ok(())
    }

    /// Writes what waits, as much as fits into the time.
    fn fill(&mut self, group: &mut Group) -> Result<(), StoreError> {
        let Self { shared, connection, cache, ids, taken, has_leftovers, .. } = self;
        let connection = connection.as_ref().ok_or(StoreError::Closed)?;
        let options = &shared.options;
        let started = clock::instant();
        let mut work = Work {
            connection,
            cache,
            ids,
            options,
            now: clock::now(),
            spool: &shared.spool,
            remove: &mut group.remove,
            has_leftovers,
        };
        {
            let mut queue = shared.lock();
            while taken.len() < options.commit_messages.max(1) {
                match queue.deliveries.pop_front() {
                    Some(delivery) => taken.push_back(delivery),
                    None => break,
                }
            }
        }
        let carries_deliveries = !taken.is_empty();
        while let Some(Delivery { message, sha256, done }) = taken.pop_front() {
            let bytes = message::memory_bytes(&message);
            let stored = message::insert(&mut work, message, &sha256, None);
            let id = stored.as_ref().map_or(MessageId(0), |stored| stored.id);
            group.delivered.push(Delivered { bytes, done, id });
            group.renamed.extend(stored?.spool_file);
            if started.elapsed() >= options.transaction {
                break;
            }
        }
        if !group.renamed.is_empty() {
            // The names must be on disk before the rows that refer to them.
            raw::sync_folder(&shared.spool)?;
        }
        let budget = if carries_deliveries { SHARED_TIME } else { options.transaction };
        let jobs_started = clock::instant();
        loop {
            let job = {
                let mut queue = shared.lock();
                let is_urgent = !queue.deliveries.is_empty();
                if is_urgent && jobs_started.elapsed() * 5 > started.elapsed() {
                    break;
                }
                let Some(job) = queue.jobs.pop_front() else { break };
                queue.job_bytes = queue.job_bytes.saturating_sub(job.bytes);
                job
            };
            shared.place.notify_all();
            connection.prepare_cached(SAVEPOINT)?.execute([])?;
            let (error, done) = (job.run)(Ok(&mut work));
            group.ended.push(done);
            if let Some(error) = error {
                if connection.is_autocommit() || error.is_temporary() {
                    return Err(error);
                }
                connection.prepare_cached(ROLLBACK_TO)?.execute([])?;
                work.cache.clear();
            }
            connection.prepare_cached(RELEASE)?.execute([])?;
            if jobs_started.elapsed() >= budget || started.elapsed() >= options.transaction {
                break;
            }
        }
        if *work.has_leftovers && group.delivered.is_empty() && group.ended.is_empty() {
            *work.has_leftovers = loading::remove_slice(connection, options.transaction / 2)?;
        }
        Ok(())
    }

    /// Commits.
    fn commit(&self) -> Result<(), StoreError> {
        let connection = self.connection.as_ref().ok_or(StoreError::Closed)?;
        connection.prepare_cached(COMMIT)?.execute([])?;
        Ok(())
    }

    /// Ends a failed transaction, so that the next one can begin.
    fn recover(&mut self, error: &StoreError) {
        self.cache.clear();
        // What is left to remove is tried again at the next start or after the next removal.
        self.has_leftovers = false;
        let is_clean = match &self.connection {
            Some(connection) if connection.is_autocommit() => true,
            Some(connection) => connection.execute_batch(ROLLBACK).is_ok(),
            None => true,
        };
        if !is_clean || matches!(error, StoreError::Io(_) | StoreError::Corrupt(_)) {
            self.connection = None;
        }
    }

    /// Gathers whom a failed transaction concerns: everybody who waited if it could not begin, else its group.
    fn take_failed(&mut self, error: &StoreError, has_begun: bool, group: &mut Group) {
        let mut failed: Vec<Delivery> = self.taken.drain(..).collect();
        if !has_begun {
            let mut queue = self.shared.lock();
            failed.extend(queue.deliveries.drain(..));
            let jobs: Vec<Job> = queue.jobs.drain(..).collect();
            queue.job_bytes = 0;
            drop(queue);
            self.shared.place.notify_all();
            group.ended.extend(jobs.into_iter().map(|job| (job.run)(Err(error.clone())).1));
        }
        group.delivered.extend(failed.into_iter().map(|delivery| Delivered {
            bytes: message::memory_bytes(&delivery.message),
            done: delivery.done,
            id: MessageId(0),
        }));
    }
}

/// Runs a callback; its panic is its owner's fault and nobody else's.
fn call(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("a callback of the store panicked");
    }
}

/// What one transaction carries.
#[derive(Default)]
struct Group {
    delivered: Vec<Delivered>,
    ended: Vec<Ended>,
    /// Files to remove after the commit.
    remove: Vec<PathBuf>,
    /// Spool files that got their final name.
    renamed: Vec<PathBuf>,
}

/// One message in a transaction.
struct Delivered {
    bytes: usize,
    done: DeliverDone,
    id: MessageId,
}
