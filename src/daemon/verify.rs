//! Verifies what was received, after its commit and off its way: the queue stands in the store.
//!
//! A message stays in the queue until its verdict is final. What DNS did not answer is tried again, less and less
//! often, for two days. The mail of one peer has a share of questions and time within an hour; what is above
//! waits, and nothing is dropped. An end at any moment loses nothing: what was begun is begun again, alone
//! where the end may have come of it.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use crate::authentication::dkim::Service;
use crate::authentication::evidence;
use crate::authentication::trust::{self, Belief, Believed};
use crate::authentication::verify::{Facts, Verdicts, verify};
use crate::classify::MessageKind;
use crate::clock::{self, Instant, Timestamp};
use crate::dns::{Budget, Resolve};
use crate::limits;
use crate::mail::{Envelope, MessageId, Origin};
use crate::store::{DueVerification, NotedVerification, Store, StoreError, StoredMessage};
use crate::summary::Trust;

/// Wait for work that nobody announces: messages are read by other processes too.
const POLL: Duration = Duration::from_secs(1);
/// Wait after trouble with the store.
const TROUBLE: Duration = Duration::from_secs(10);
/// Due messages that are looked up at once.
const BATCH: usize = 64;
/// Processes that may end in the verification of a message before it is given up.
const DEATHS: u32 = 3;
/// What a second of waiting for DNS counts for among questions: silence costs us more than answers.
const QUESTIONS_A_SECOND: u64 = 3;

/// What the verifier needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our host name, for explanations of SPF.
    pub receiver: String,
    /// Whose Authentication-Results are believed.
    pub trusted_hosts: Vec<String>,
}

/// A running verifier.
pub struct Verifier {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Verifier {
    /// Starts it. Must run within a runtime.
    pub fn start(store: Store, resolver: Arc<dyn Resolve>, options: Options) -> Self {
        let (stop, stopped) = watch::channel(false);
        let work = Work {
            store,
            resolver,
            options: Arc::new(options),
            caps: Arc::default(),
            memory: Arc::new(Semaphore::new(permits(limits::VERIFY_BYTES) as usize)),
            stopped,
        };
        Self { stop, task: tokio::spawn(work.run()) }
    }

    /// Ends it: what waits for DNS is given back at once, what is being written is written.
    pub async fn stop(self) {
        // Nobody listens if it has ended by itself.
        let _ = self.stop.send(true);
        if self.task.await.is_err() {
            tracing::error!(
                "the verifier ended by a fault; what it had begun is begun again at the next start"
            );
        }
    }
}

/// What all verifications share.
#[derive(Clone)]
struct Work {
    store: Store,
    resolver: Arc<dyn Resolve>,
    options: Arc<Options>,
    caps: Arc<Mutex<Caps>>,
    /// Memory for messages, in KiB.
    memory: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

/// How one verification ended.
enum Ended {
    /// Its verdict, or its fault, is kept.
    Noted,
    /// It was given back: the program stops.
    GivenBack,
    /// Its peer's share is used up until then.
    OverCap(Timestamp),
}

/// What a task says at its end.
type Told = (MessageId, Result<Ended, StoreError>);

impl Work {
    /// Verifies what is due until it is told to stop.
    async fn run(self) {
        let mut stopped = self.stopped.clone();
        let mut running: JoinSet<Told> = JoinSet::new();
        let mut begun: HashSet<MessageId> = HashSet::new();
        // The tasks by their ids: one that panics does not say its message.
        let mut tasks: HashMap<tokio::task::Id, MessageId> = HashMap::new();
        while !*stopped.borrow() {
            let started = match self.begin(&begun).await {
                Ok(due) => {
                    for one in &due {
                        let (work, due) = (self.clone(), *one);
                        begun.insert(due.message);
                        let task = running.spawn(async move { (due.message, work.one(due).await) });
                        tasks.insert(task.id(), due.message);
                    }
                    due.len()
                }
                Err(error) => {
                    tracing::error!(%error, "the queue of verifications cannot be read now");
                    pause(TROUBLE, &mut stopped).await;
                    0
                }
            };
            if started > 0 && running.len() < limits::VERIFY_AT_ONCE {
                continue;
            }
            tokio::select! {
                _ = stopped.changed() => break,
                () = tokio::time::sleep(POLL) => {}
                Some(ended) = running.join_next_with_id(), if !running.is_empty() => {
                    self.ended(ended, &mut begun, &mut tasks).await;
                }
            }
        }
        while let Some(ended) = running.join_next_with_id().await {
            self.ended(ended, &mut begun, &mut tasks).await;
        }
    }

    /// Takes the next messages that are due, as many as there is room for, and notes that they are begun.
    async fn begin(&self, begun: &HashSet<MessageId>) -> Result<Vec<DueVerification>, StoreError> {
        let room = limits::VERIFY_AT_ONCE.saturating_sub(begun.len());
        if room == 0 {
            return Ok(Vec::new());
        }
        let (store, begun) = (self.store.clone(), begun.clone());
        blocking(move || {
            let due = store.reader()?.due_verifications(clock::now(), BATCH)?;
            let mut due: Vec<DueVerification> =
                due.into_iter().filter(|due| !begun.contains(&due.message)).collect();
            // What may have ended the program goes alone, so that it takes no other down with it.
            if let Some(suspect) = due.iter().find(|due| due.begun > 0).copied() {
                due.retain(|due| due.begun == 0);
                if begun.is_empty() {
                    due = vec![suspect];
                } else {
                    due.clear();
                }
            }
            due.truncate(room);
            if !due.is_empty() {
                store.begin_verifications(due.iter().map(|due| due.message).collect())?;
            }
            Ok(due)
        })
        .await
    }

    /// Hears how a verification ended.
    async fn ended(
        &self,
        ended: Result<(tokio::task::Id, Told), tokio::task::JoinError>,
        begun: &mut HashSet<MessageId>,
        tasks: &mut HashMap<tokio::task::Id, MessageId>,
    ) {
        let (id, result) = match ended {
            Ok((task, (id, result))) => {
                tasks.remove(&task);
                (id, result)
            }
            Err(error) => {
                let Some(id) = tasks.remove(&error.id()) else { return };
                (id, Err(StoreError::Closed))
            }
        };
        begun.remove(&id);
        let put_off = match result {
            // Removed meanwhile: nothing is left to be verified.
            Ok(Ended::Noted) | Err(StoreError::NotFound(_)) => return,
            Ok(Ended::GivenBack) => None,
            Ok(Ended::OverCap(until)) => Some(until),
            Err(error) => {
                tracing::error!(message = %id, %error, "cannot be verified now; trying again");
                Some(clock::now().after(limits::VERIFY_RETRY_FIRST))
            }
        };
        let store = self.store.clone();
        let given_back = blocking(move || match put_off {
            None => store.release_verifications(vec![id]),
            Some(until) => store.postpone_verifications(vec![id], until),
        });
        if let Err(error) = given_back.await {
            // It stays begun, and is begun again alone at the next start.
            tracing::warn!(message = %id, %error, "a verification cannot be given back");
        }
    }

    /// Verifies one message.
    async fn one(&self, due: DueVerification) -> Result<Ended, StoreError> {
        let store = self.store.clone();
        if due.begun >= DEATHS {
            tracing::error!(message = %due.message, "the program ended in its verification again and again: given up");
            let reason = "the program ended while it was verified, again and again";
            blocking(move || {
                let (now, trust) = (clock::now(), Some(Trust::Unverified));
                store.note_verification_fault(due.message, reason, None, trust, now)
            })
            .await?;
            return Ok(Ended::Noted);
        }
        let stored = blocking(move || store.reader()?.message(due.message)).await?;
        let peer = Peer::of(&stored.envelope);
        let now = clock::instant();
        if let Some(wait) = self.caps().wait(peer, now) {
            tracing::info!(message = %due.message, peer = ?stored.envelope.peer, "over the hourly share of its peer: verified later");
            return Ok(Ended::OverCap(clock::now().after(wait)));
        }
        let memory = permits(due.size_bytes.min(limits::VERIFY_BYTES));
        // Never closed.
        let Ok(_memory) = Arc::clone(&self.memory).acquire_many_owned(memory).await else {
            return Ok(Ended::GivenBack);
        };
        let work = self.clone();
        // Hashing large bodies is no work for the threads that serve sockets.
        let verified = spawn_blocking(move || work.verify(&due, &stored)).await;
        match verified {
            Ok(Ok(None)) => Ok(Ended::GivenBack),
            Ok(Ok(Some(asked))) => {
                let seconds = clock::instant().duration_since(now).as_secs();
                self.caps().add(peer, asked.saturating_add(seconds.saturating_mul(QUESTIONS_A_SECOND)));
                Ok(Ended::Noted)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                tracing::error!(message = %due.message, "a fault of this program while verifying, please report it");
                let store = self.store.clone();
                let next_at = next_try(&due, clock::now());
                blocking(move || {
                    let (now, trust) = (clock::now(), next_at.is_none().then_some(Trust::Unverified));
                    let reason = "fault of this program while verifying, please report it";
                    store.note_verification_fault(due.message, reason, next_at, trust, now)
                })
                .await?;
                Ok(Ended::Noted)
            }
        }
    }

    /// The shares; plain counts are sound whoever panicked.
    fn caps(&self) -> std::sync::MutexGuard<'_, Caps> {
        self.caps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies one message and keeps what was found. Blocking. Returns the questions asked; nothing if it was stopped.
    fn verify(&self, due: &DueVerification, stored: &StoredMessage) -> Result<Option<u64>, StoreError> {
        let mut bytes = Vec::new();
        let read = self.store.reader().and_then(|reader| {
            let mut raw = reader.raw(due.message)?;
            raw.read_to_end(&mut bytes).map_err(|error| StoreError::Io(error.to_string()))
        });
        if let Err(StoreError::NotFound(_)) = read {
            // What was not verified while its bytes were there is never.
            let (reason, trust) = ("its bytes are no longer kept", without_bytes(stored));
            self.store.note_verification_fault(due.message, reason, None, trust, clock::now())?;
            return Ok(Some(0));
        }
        read?;
        let facts = Facts {
            envelope: &stored.envelope,
            service: match stored.kind {
                Some(MessageKind::Tls) => Service::TlsReport,
                _ => Service::Mail,
            },
            receiver: &self.options.receiver,
            trusted_hosts: &self.options.trusted_hosts,
            now: clock::now(),
        };
        let mut budget = Budget::new(limits::VERIFY_QUESTIONS, limits::VERIFY_TIME);
        let mut stopped = self.stopped.clone();
        let verdicts = Handle::current().block_on(async {
            tokio::select! {
                verdicts = verify(&*self.resolver, &facts, &bytes, &mut budget) => Some(verdicts),
                _ = stopped.wait_for(|stopped| *stopped) => None,
            }
        });
        let Some(verdicts) = verdicts else { return Ok(None) };
        let now = clock::now();
        let next_at = if verdicts.is_open() { next_try(due, now) } else { None };
        let noted = noted(&verdicts, stored.kind, next_at);
        tracing::debug!(
            message = %due.message,
            spf = noted.words.spf,
            dkim = noted.words.dkim,
            dmarc = noted.words.dmarc,
            trust = noted.trust.map(Trust::as_str),
            is_open = next_at.is_some(),
            "verified"
        );
        self.store.note_verification(due.message, noted, now)?;
        Ok(Some(u64::try_from(verdicts.asked).unwrap_or(u64::MAX)))
    }
}

/// What is kept of a verification; `next_at` says when it is tried again.
fn noted(verdicts: &Verdicts, kind: Option<MessageKind>, next_at: Option<Timestamp>) -> NotedVerification {
    let believed = match kind {
        Some(MessageKind::Tls) => trust::of_tls_report(verdicts),
        _ => trust::of_dmarc_report(verdicts),
    };
    let believed = if next_at.is_none() { believed.given_up() } else { believed };
    let (lines, lines_more) = evidence::lines(verdicts);
    let Believed { belief, sender, reason } = believed;
    NotedVerification {
        next_at,
        asked: verdicts.asked,
        words: evidence::words(verdicts),
        lines,
        lines_more,
        selectors: evidence::selectors(verdicts),
        trust: match belief {
            Belief::Verified => Some(Trust::Verified),
            Belief::Failed => Some(Trust::Failed),
            Belief::Unverified => Some(Trust::Unverified),
            Belief::Open => None,
        },
        sender: sender.map(|domain| domain.as_str().to_owned()),
        trust_reason: reason,
    }
}

/// The trust in a message that can no longer be verified: a mailbox's stays as it was.
fn without_bytes(stored: &StoredMessage) -> Option<Trust> {
    let is_open = stored.trust.is_none_or(|trust| trust == Trust::Pending);
    (is_open && stored.envelope.origin == Origin::Smtp).then_some(Trust::Unverified)
}

/// When a verification that ended at `now` is tried again; nothing once it was tried for long enough.
fn next_try(due: &DueVerification, now: Timestamp) -> Option<Timestamp> {
    let last = due.first_at.unwrap_or(now).after(limits::VERIFY_RETRY_FOR);
    if now >= last {
        return None;
    }
    let doubled = 2_u32.saturating_pow(due.attempts.min(16));
    let wait = limits::VERIFY_RETRY_FIRST.saturating_mul(doubled).min(limits::VERIFY_RETRY_LONGEST);
    Some(now.after(wait).min(last))
}

/// KiB of memory, at least one.
fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1_024).max(1)).unwrap_or(u32::MAX)
}

/// Waits so long, or for the stop.
async fn pause(time: Duration, stopped: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Runs what blocks in a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Closed),
    }
}

// ---- Shares ----

/// Whose mail it is, as far as work is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Peer {
    /// A proven peer: an IPv4 address, or a /64 of IPv6.
    Proven(IpAddr),
    /// Nobody is proven: from a mailbox, or from a relay that does not tell.
    Unproven,
    /// One of too many.
    Other,
}

impl Peer {
    /// The peer of an envelope.
    fn of(envelope: &Envelope) -> Self {
        match envelope.peer.map(|peer| peer.ip().to_canonical()) {
            None => Self::Unproven,
            Some(IpAddr::V6(ip)) => {
                Self::Proven(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))))
            }
            Some(ip) => Self::Proven(ip),
        }
    }

    /// Questions within [`limits::VERIFY_CAP_TIME`].
    fn share(self) -> u64 {
        let questions = match self {
            Self::Proven(_) | Self::Other => limits::VERIFY_PEER_QUESTIONS,
            Self::Unproven => limits::VERIFY_UNPROVEN_QUESTIONS,
        };
        u64::try_from(questions).unwrap_or(u64::MAX)
    }
}

/// What peers have used within the hour. In memory: a new start begins a new hour.
#[derive(Default)]
struct Caps {
    since: Option<Instant>,
    used: HashMap<Peer, u64>,
}

impl Caps {
    /// How long a peer must wait; nothing if it need not.
    fn wait(&mut self, peer: Peer, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let past = now.duration_since(since);
        let Some(left) = limits::VERIFY_CAP_TIME.checked_sub(past).filter(|left| !left.is_zero()) else {
            self.since = Some(now);
            self.used.clear();
            return None;
        };
        let peer = self.counted(peer);
        let used = self.used.get(&peer).copied().unwrap_or(0);
        (used >= peer.share()).then_some(left)
    }

    /// Counts work for a peer.
    fn add(&mut self, peer: Peer, questions: u64) {
        let peer = self.counted(peer);
        let used = self.used.entry(peer).or_default();
        *used = used.saturating_add(questions);
    }

    /// The count that a peer belongs to.
    fn counted(&self, peer: Peer) -> Peer {
        let is_full = self.used.len() >= limits::VERIFY_PEERS && !self.used.contains_key(&peer);
        if is_full { Peer::Other } else { peer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message tried so often, first at 0.
    fn due(attempts: u32, first_at: Option<i64>) -> DueVerification {
        DueVerification {
            message: MessageId(1),
            attempts,
            begun: 0,
            first_at: first_at.map(Timestamp::from_seconds),
            size_bytes: 1,
        }
    }

    #[test]
    fn tries_become_rarer_and_end_after_two_days() {
        let mut now = Timestamp::from_seconds(0);
        let (mut attempts, mut waits) = (0, Vec::new());
        while let Some(next) = next_try(&due(attempts, (attempts > 0).then_some(0)), now) {
            waits.push(next.ms_since(now) / 60_000);
            attempts += 1;
            now = next;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360, 360, 360, 360, 360, 360, 85]);
        assert_eq!(now.seconds(), 2 * 86_400);
        let late = Timestamp::from_seconds(3 * 86_400);
        assert_eq!(next_try(&due(3, Some(0)), late), None);
        assert!(next_try(&due(0, None), late).is_some(), "what waited for its share has its first try");
    }

    #[test]
    fn each_peer_has_its_share() {
        let start = clock::instant();
        let ip = |text: &str| Peer::Proven(text.parse().unwrap());
        let mut caps = Caps::default();
        assert_eq!(caps.wait(ip("192.0.2.1"), start), None);
        caps.add(ip("192.0.2.1"), ip("192.0.2.1").share());
        let later = start + Duration::from_secs(600);
        assert_eq!(caps.wait(ip("192.0.2.1"), later), Some(Duration::from_secs(3_000)));
        assert_eq!(caps.wait(ip("192.0.2.2"), later), None);
        assert_eq!(caps.wait(Peer::Unproven, later), None);
        assert_eq!(caps.wait(ip("192.0.2.1"), start + limits::VERIFY_CAP_TIME), None, "a new hour");
        // A botnet has no more memory than its count, and shares one share beyond it.
        for number in 0..limits::VERIFY_PEERS + 1_000 {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            caps.add(Peer::Proven(address.into()), 10);
        }
        assert!(caps.used.len() <= limits::VERIFY_PEERS + 1);
        assert!(caps.wait(ip("203.0.113.1"), start + limits::VERIFY_CAP_TIME).is_some());
    }

    #[test]
    fn networks_of_ipv6_are_one_peer() {
        let peer = |text: &str| {
            let envelope = Envelope::without_transport(Origin::Smtp, Timestamp::from_seconds(0));
            Peer::of(&Envelope { peer: Some((text.parse::<IpAddr>().unwrap(), 25).into()), ..envelope })
        };
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }
}
