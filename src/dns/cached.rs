//! Answers remembered for as long as they hold, and equal questions asked once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Answer, Outcome, Question, RecordData, Resolve, Resolving};
use crate::clock::{self, Instant};
use crate::limits;

/// What a cache may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSize {
    /// Answers; 0 remembers nothing, and equal questions at one time are still asked once.
    pub answers: usize,
    /// Their size together, bytes, estimated.
    pub bytes: usize,
}

/// A resolver that remembers.
///
/// Records are held for their TTL, absence as RFC 2308 §5 says, trouble and absence without a word about its
/// time for a few seconds. An answer from memory says how long it still holds.
pub struct Cached<R> {
    /// Whom it asks.
    inner: R,
    /// How much it holds.
    size: CacheSize,
    /// The monotonic clock.
    now: fn() -> Instant,
    /// What it holds.
    held: Mutex<Held>,
}

/// The answers and their sum.
#[derive(Default)]
struct Held {
    /// By question.
    slots: HashMap<Question, Slot>,
    /// Size of the answers, bytes.
    bytes: usize,
}

/// What is known of one question.
enum Slot {
    /// It is being asked; whoever wants it too waits for the same answer.
    Asked(Arc<OnceCell<Answer>>),
    /// Answered.
    Known {
        /// The answer.
        answer: Answer,
        /// Until when it holds.
        until: Instant,
        /// Its size, bytes.
        bytes: usize,
    },
}

impl<R: Resolve> Cached<R> {
    /// An empty memory before a resolver.
    pub fn new(inner: R, size: CacheSize) -> Self {
        Self::with_clock(inner, size, clock::instant)
    }

    /// The same with another clock.
    fn with_clock(inner: R, size: CacheSize, now: fn() -> Instant) -> Self {
        Self { inner, size, now, held: Mutex::default() }
    }

    /// Forgets everything: the next answers are fresh.
    pub fn clear(&self) {
        let mut held = self.held();
        held.slots.retain(|_, slot| matches!(slot, Slot::Asked(_)));
        held.bytes = 0;
    }

    /// The resolver behind it.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// A panic elsewhere does not spoil what is set in one go.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer that is held, or the place where it will be.
    fn look(&self, question: &Question) -> Result<Answer, Arc<OnceCell<Answer>>> {
        let now = (self.now)();
        let mut held = self.held();
        let mut freed = 0;
        let result = match held.slots.entry(question.clone()) {
            Entry::Vacant(entry) => {
                let cell = Arc::new(OnceCell::new());
                entry.insert(Slot::Asked(Arc::clone(&cell)));
                Err(cell)
            }
            Entry::Occupied(mut entry) => match entry.get() {
                Slot::Asked(cell) => Err(Arc::clone(cell)),
                Slot::Known { answer, until, .. } if *until > now => {
                    let left = u32::try_from((*until - now).as_secs()).unwrap_or(u32::MAX);
                    let ttl = answer.ttl.map(|ttl| ttl.min(left));
                    Ok(Answer { ttl, ..answer.clone() })
                }
                Slot::Known { bytes, .. } => {
                    freed = *bytes;
                    let cell = Arc::new(OnceCell::new());
                    entry.insert(Slot::Asked(Arc::clone(&cell)));
                    Err(cell)
                }
            },
        };
        held.bytes = held.bytes.saturating_sub(freed);
        result
    }

    /// Puts an answer into its place, if nobody else did.
    fn keep(&self, question: &Question, cell: &Arc<OnceCell<Answer>>, answer: &Answer) {
        let now = (self.now)();
        let mut held = self.held();
        match held.slots.get(question) {
            Some(Slot::Asked(asked)) if Arc::ptr_eq(asked, cell) => {}
            _ => return,
        }
        let time = holds_for(answer);
        let bytes = estimate(question, answer);
        if time.is_zero() || self.size.answers == 0 || bytes > self.size.bytes {
            held.slots.remove(question);
            return;
        }
        held.slots.insert(question.clone(), Slot::Known { answer: answer.clone(), until: now + time, bytes });
        held.bytes += bytes;
        if held.slots.len() > self.size.answers || held.bytes > self.size.bytes {
            held.shrink(self.size, now);
        }
    }
}

impl Held {
    /// Removes what is over, then what is over soonest, until a tenth is free.
    fn shrink(&mut self, size: CacheSize, now: Instant) {
        self.slots.retain(|_, slot| match slot {
            // Nobody waits for it any more: whoever asked gave up.
            Slot::Asked(cell) => Arc::strong_count(cell) > 1,
            Slot::Known { until, .. } => *until > now,
        });
        let mut known: Vec<(Instant, usize, Question)> = Vec::new();
        let mut sum = 0_usize;
        for (question, slot) in &self.slots {
            if let Slot::Known { until, bytes, .. } = slot {
                sum += bytes;
                known.push((*until, *bytes, question.clone()));
            }
        }
        known.sort_by_key(|(until, ..)| *until);
        let (answers, bytes) = (size.answers - size.answers / 10, size.bytes - size.bytes / 10);
        for (_, freed, question) in known {
            if self.slots.len() <= answers && sum <= bytes {
                break;
            }
            self.slots.remove(&question);
            sum -= freed;
        }
        self.bytes = sum;
    }
}

/// How long an answer is remembered.
fn holds_for(answer: &Answer) -> Duration {
    let most = match &answer.outcome {
        Outcome::NotKnown(_) => return limits::DNS_NOT_KNOWN_TTL,
        Outcome::Records(_) => limits::DNS_TTL_MOST,
        Outcome::NoName | Outcome::NoType => limits::DNS_ABSENCE_TTL_MOST,
    };
    match answer.ttl {
        Some(seconds) => Duration::from_secs(u64::from(seconds)).min(most),
        None => limits::DNS_NOT_KNOWN_TTL,
    }
}

/// The size of an answer in memory, roughly.
fn estimate(question: &Question, answer: &Answer) -> usize {
    let data = |data: &RecordData| match data {
        RecordData::Txt(strings) => strings.iter().map(|string| string.len() + 24).sum(),
        RecordData::Other(octets) => octets.len(),
        RecordData::Tlsa(tlsa) => tlsa.data.len(),
        RecordData::Caa(caa) => caa.tag.len() + caa.value.len(),
        RecordData::Soa(_) => 128,
        _ => 32,
    };
    let records: usize = answer.data().iter().map(|record| 96 + data(record)).sum();
    let aliases: usize = answer.aliases.iter().map(|name| 16 + name.as_str().len()).sum();
    let detail = answer.trouble().map_or(0, |trouble| trouble.detail.len());
    // The name stands twice, with the map's own overhead.
    256 + 2 * question.name.as_str().len() + records + aliases + detail
}

impl<R: Resolve> Resolve for Cached<R> {
    fn resolve<'a>(&'a self, question: &'a Question) -> Resolving<'a> {
        Box::pin(async move {
            let cell = match self.look(question) {
                Ok(answer) => return answer,
                Err(cell) => cell,
            };
            // If whoever asks first gives up, the next one who waits asks.
            let answer = cell.get_or_init(|| self.inner.resolve(question)).await.clone();
            self.keep(question, &cell, &answer);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;
    use crate::dns::{Cause, Name, RecordType};

    /// Answers every question with one answer, after letting others in, and counts.
    struct Counting {
        answer: Answer,
        asked: AtomicUsize,
    }

    impl Resolve for Counting {
        fn resolve<'a>(&'a self, _question: &'a Question) -> Resolving<'a> {
            Box::pin(async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                self.answer.clone()
            })
        }
    }

    fn counting(answer: Answer, ttl: Option<u32>) -> Counting {
        Counting { answer: Answer { ttl, ..answer }, asked: AtomicUsize::new(0) }
    }

    fn question(name: &str) -> Question {
        Question::new(Name::from_dotted(name).unwrap(), RecordType::A)
    }

    fn one_record() -> Answer {
        Answer::records(vec![RecordData::A([192, 0, 2, 1].into())])
    }

    const SIZE: CacheSize = CacheSize { answers: 10, bytes: 1_000_000 };

    /// A clock of one test each: they run side by side.
    macro_rules! test_clock {
        () => {{
            static SECONDS: AtomicU64 = AtomicU64::new(0);
            static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
            fn now() -> Instant {
                *START.get_or_init(clock::instant) + Duration::from_secs(SECONDS.load(Ordering::SeqCst))
            }
            (now as fn() -> Instant, &SECONDS)
        }};
    }

    #[tokio::test]
    async fn answers_hold_as_long_as_they_say() {
        let broken = || Answer::not_known(Cause::ServerFailure, "");
        let (day, hours) = (86_400, 10_800);
        let table = [
            (one_record(), Some(300), 300),
            (one_record(), Some(u32::MAX), day),
            (one_record(), Some(0), 0),
            (Answer::no_name(), Some(3_600), 3_600),
            (Answer::no_name(), Some(1_000_000), hours),
            (Answer::records(Vec::new()), None, 5),
            (broken(), None, 5),
        ];
        let (now, seconds) = test_clock!();
        for (answer, ttl, holds) in table {
            let cached = Cached::with_clock(counting(answer, ttl), SIZE, now);
            let question = question("a.example");
            let begin = seconds.load(Ordering::SeqCst);
            cached.resolve(&question).await;
            seconds.store(begin + holds.max(1) - 1, Ordering::SeqCst);
            let again = cached.resolve(&question).await;
            let asked = cached.inner().asked.load(Ordering::SeqCst);
            assert_eq!(asked, if holds == 0 { 2 } else { 1 }, "{again:?}");
            if let (Some(ttl), true) = (again.ttl, holds > 0) {
                assert_eq!(ttl, 1, "an answer from memory says what is left: {again:?}");
            }
            seconds.store(begin + holds, Ordering::SeqCst);
            cached.resolve(&question).await;
            assert_eq!(cached.inner().asked.load(Ordering::SeqCst), asked + 1, "over: {again:?}");
        }
    }

    #[tokio::test]
    async fn equal_questions_are_asked_once() {
        for answers in [0, 10] {
            let cached = Cached::new(counting(one_record(), Some(60)), CacheSize { answers, ..SIZE });
            let question = question("a.example");
            let all = futures_util::future::join_all((0..50).map(|_| cached.resolve(&question))).await;
            assert!(all.iter().all(|answer| *answer == all[0]));
            assert_eq!(cached.inner().asked.load(Ordering::SeqCst), 1);
        }
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_question_to_the_next() {
        let cached = Cached::new(counting(one_record(), Some(60)), SIZE);
        let question = question("a.example");
        let mut first = cached.resolve(&question);
        assert!(futures_util::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!(cached.resolve(&question).await.data().len(), 1);
        assert_eq!(cached.inner().asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn memory_is_bounded_in_answers_and_bytes() {
        let cached = Cached::new(counting(one_record(), Some(60)), SIZE);
        for number in 0..1_000 {
            cached.resolve(&question(&format!("n{number}.example"))).await;
            assert!(cached.held().slots.len() <= SIZE.answers);
        }
        let long = Answer::records(vec![RecordData::Txt(vec![vec![b'x'; 255]; 100])]);
        let cached = Cached::new(counting(long, Some(60)), CacheSize { answers: 1_000, bytes: 300_000 });
        for number in 0..100 {
            cached.resolve(&question(&format!("n{number}.example"))).await;
            let held = cached.held();
            assert!(held.bytes <= 300_000 && held.slots.len() <= 11, "{} {}", held.bytes, held.slots.len());
        }
        cached.clear();
        let held = cached.held();
        assert_eq!((held.slots.len(), held.bytes), (0, 0));
    }
}
