//! The schedule at work: one heap of what comes next for all series, one task that looks at it.
//!
//! What is due is decided by [`crate::probe::schedule`]; here the clocks are read, probes are handed over side by side,
//! and what came of it decides on what follows: a probe that was put off is tried again, a route whose far end names
//! policy or reputation keeps still, a bad probe makes three quick ones. What must survive an end of the process is
//! committed with the probe that it is about, before its first byte leaves.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::{self, Clocks, Timestamp};
use crate::config::settings::{RouteSettings, Settings};
use crate::daemon::probe::follow::{Followed, Verdict, follow};
use crate::daemon::probe::series::{Line, lines};
use crate::daemon::probe::{Asked, NotSent, Sending, Sent, Waiting, only_of, send_again, send_probe};
use crate::limits;
use crate::probe::schedule::{
    self, Awake, Because, Memory, Missed, Period, Run, after_outcome, back_off, backs_off_until, next_retry,
};
use crate::smtp::submit::direct::MxRoute;
use crate::smtp::submit::reply::{ReplyClass, verdict_of};
use crate::smtp::submit::{Cause, Outcome};
use crate::store::{ScheduleNote, SeriesKey, StoredBackOff};

/// Longest pause between two looks: a clock that was set must be noticed soon.
const LOOK: Duration = Duration::from_secs(1);
/// Wait before a retry is looked at again that cannot be sent now, because too much is under way.
const AGAIN: Duration = Duration::from_secs(5);

/// From one look for probes that another process sent and that were put off to the next.
const HAND_ON: Duration = Duration::from_secs(60);

/// A running schedule.
pub struct Scheduler {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Scheduler {
    /// Starts it. Must run within a runtime.
    ///
    /// Errors: the store cannot be read.
    pub fn start(sending: Sending, settings: &Settings) -> anyhow::Result<Self> {
        let (orders, followed) = mpsc::unbounded_channel();
        let (tell, verdicts) = mpsc::unbounded_channel();
        let store = sending.store().clone();
        let work = Work::new(sending, settings, orders)?;
        let (stop, stopped) = watch::channel(false);
        // It ends with the schedule, which alone gives it orders.
        tokio::spawn(follow(store, followed, tell));
        Ok(Self { stop, task: tokio::spawn(work.run(stopped, verdicts)) })
    }

    /// Ends it: nothing new is sent; what is being handed over may end within `grace`. What does not is in doubt.
    pub async fn stop(self, grace: Duration) {
        // Nobody listens if it has ended by itself.
        let _ = self.stop.send(true);
        let abort = self.task.abort_handle();
        match tokio::time::timeout(grace, self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the schedule of probes ended by a fault"),
            Err(_) => abort.abort(),
        }
    }
}

/// What comes at an instant.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A series is looked at.
    Series(usize),
    /// The probe with this name, which was put off, is tried again.
    Retry(String),
}

/// A route, and the MX hosts and families of its recipient.
type Ways = (String, Vec<MxRoute>);

/// A series at work.
struct Course {
    line: Line,
    memory: Memory,
    is_busy: bool,
    /// False once its MX host is gone.
    is_active: bool,
    /// When it is looked at next; what the heap says otherwise is stale.
    next_at: Timestamp,
}

/// How a hand-over ended, and of what.
struct Ended {
    route: Arc<RouteSettings>,
    course: Option<usize>,
    /// The run, and the slot handled before it; none for a retry.
    run: Option<(Run, Timestamp)>,
    profile: String,
    retried: Option<Waiting>,
    result: Result<Sent, NotSent>,
}

/// All that the task holds.
struct Work {
    sending: Sending,
    courses: Vec<Course>,
    /// Series that stand for one for each MX host and family.
    of_every_mx: Vec<Line>,
    /// What the last process left of these.
    known: BTreeMap<SeriesKey, (Memory, bool)>,
    routes: HashMap<String, Arc<RouteSettings>>,
    heap: BinaryHeap<Reverse<(Timestamp, Next)>>,
    awake: Awake,
    clocks: Clocks,
    back_offs: HashMap<String, StoredBackOff>,
    learned: BTreeMap<String, Duration>,
    running: JoinSet<Ended>,
    under_way: HashMap<String, usize>,
    /// The probes that were put off and wait for their next attempt.
    parked: HashMap<String, Waiting>,
    /// The names of these, and of those whose attempt is under way.
    waits: HashSet<String>,
    follow: mpsc::UnboundedSender<Followed>,
}

impl Work {
    /// Reads what the last process left.
    fn new(
        sending: Sending,
        settings: &Settings,
        follow: mpsc::UnboundedSender<Followed>,
    ) -> anyhow::Result<Self> {
        let clocks = Clocks::read();
        let now = clocks.wall;
        let reader = sending.store().reader()?;
        let mut work = Self {
            courses: Vec::new(),
            of_every_mx: Vec::new(),
            known: reader.probe_series()?,
            routes: settings
                .routes
                .iter()
                .map(|route| (route.name.clone(), Arc::new(route.clone())))
                .collect(),
            heap: BinaryHeap::new(),
            awake: Awake { since: now, before: Because::Off },
            clocks,
            back_offs: HashMap::new(),
            learned: reader.greylisted()?,
            running: JoinSet::new(),
            under_way: HashMap::new(),
            parked: HashMap::new(),
            waits: HashSet::new(),
            follow,
            sending,
        };
        for stored in reader.probe_back_offs()? {
            work.back_offs.insert(stored.route.clone(), stored);
        }
        let pace = |route: &RouteSettings, every: Duration| work.sending.pace(route, every);
        let lines = lines(settings, &pace);
        let (of_every_mx, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(Line::is_of_every_mx);
        for line in lines {
            work.begin(line, now);
        }
        // The hosts of before, until DNS says what they are now.
        for line in of_every_mx {
            let of_line = |key: &&SeriesKey| {
                key.series == line.key.series && only_of(&line.route, &key.route).is_some()
            };
            let keys: Vec<_> = work.known.keys().filter(of_line).cloned().collect();
            for key in keys {
                let is_active = work.known.get(&key).is_some_and(|(_, is_active)| *is_active);
                if let Some(only) = only_of(&line.route, &key.route).filter(|_| is_active) {
                    work.begin(line.to(only), now);
                }
            }
            work.of_every_mx.push(line);
        }
        let is_of =
            |key: &SeriesKey| work.of_every_mx.iter().any(|line| only_of(&line.route, &key.route).is_some());
        let rests = work.known.iter().filter(|(key, (_, is_active))| *is_active && !is_of(key));
        work.note(rests.map(|(key, _)| ScheduleNote::Rests(key.clone())).collect());
        let waiting = work.sending.waiting(now)?;
        work.wait_for(waiting, now);
        Ok(work)
    }

    /// Begins a series, or goes on with it where the last process left it.
    fn begin(&mut self, line: Line, now: Timestamp) {
        let memory = match self.known.remove(&line.key) {
            Some((memory, true)) => memory,
            // It comes back: what passed without it is not missed.
            Some((memory, false)) => Memory { done_until: now, ..memory },
            None => Memory::new(now),
        };
        if memory.done_until == now {
            // It begins here, also if the process ends before its first probe.
            self.note(vec![ScheduleNote::Reached(line.key.clone(), memory)]);
        }
        self.heap.push(Reverse((now, Next::Series(self.courses.len()))));
        self.courses.push(Course { line, memory, is_busy: false, is_active: true, next_at: now });
    }

    /// The MX hosts of a route are these now: each new one begins a series, one that is gone rests.
    fn lead_to(&mut self, route: &str, ways: &[MxRoute], now: Timestamp) {
        let lines: Vec<Line> =
            self.of_every_mx.iter().filter(|line| line.key.route == route).cloned().collect();
        let mut notes = Vec::new();
        for line in lines {
            let wanted: Vec<Line> = ways.iter().map(|way| line.to((way.host.clone(), way.family))).collect();
            for course in &mut self.courses {
                let is_of = course.line.route.name == route && course.line.key.series == line.key.series;
                if !is_of {
                    continue;
                }
                let is_wanted = wanted.iter().any(|line| line.key == course.line.key);
                if course.is_active && !is_wanted {
                    tracing::info!(route = %course.line.key.route, "no MX host any more, the route rests");
                    notes.push(ScheduleNote::Rests(course.line.key.clone()));
                    course.is_active = false;
                }
                if !course.is_active && is_wanted {
                    course.memory.done_until = now;
                    (course.is_active, course.next_at) = (true, now);
                }
            }
            for line in wanted {
                match self.courses.iter().position(|course| course.line.key == line.key) {
                    Some(index) => self.heap.push(Reverse((now, Next::Series(index)))),
                    None => self.begin(line, now),
                }
            }
        }
        self.note(notes);
    }

    /// Takes over probes that were put off, of an earlier process or by hand.
    fn wait_for(&mut self, waiting: Vec<Waiting>, now: Timestamp) {
        for waiting in waiting {
            if !self.waits.insert(waiting.token.clone()) {
                continue;
            }
            let learned = self.learned.get(&waiting.destination).copied();
            match next_retry(waiting.attempts, waiting.last_at, waiting.lost_at, learned) {
                Some(at) => self.park(waiting, at.max(now)),
                None => self.give_up(&waiting, "no time for another attempt", now),
            }
        }
    }

    /// A probe that was put off is tried again at an instant.
    fn park(&mut self, waiting: Waiting, at: Timestamp) {
        self.waits.insert(waiting.token.clone());
        self.heap.push(Reverse((at, Next::Retry(waiting.token.clone()))));
        self.parked.insert(waiting.token.clone(), waiting);
    }

    /// A probe that was put off is not tried again.
    fn give_up(&mut self, waiting: &Waiting, why: &str, now: Timestamp) {
        self.waits.remove(&waiting.token);
        self.sending.give_up(waiting, why, now);
    }

    /// Queues notes; without waiting, since nothing depends on them but what a later process knows.
    fn note(&self, notes: Vec<ScheduleNote>) {
        if notes.is_empty() {
            return;
        }
        let told = |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "how far the schedule of probes came cannot be kept now");
            }
        };
        if let Err(error) = self.sending.store().note_schedule(notes, told) {
            tracing::warn!(%error, "how far the schedule of probes came cannot be kept now");
        }
    }

    /// Sends what is due until it is told to stop, then waits for what is under way.
    async fn run(
        mut self,
        mut stopped: watch::Receiver<bool>,
        mut verdicts: mpsc::UnboundedReceiver<Verdict>,
    ) {
        let mut handed_on = clock::instant() + HAND_ON;
        let (_keep, mut ways) = self.look_for_ways();
        while !*stopped.borrow() {
            let now = self.look_at_clocks();
            self.send_what_is_due(now);
            if clock::instant() >= handed_on {
                self.look_for_waiting(now).await;
                handed_on = clock::instant() + HAND_ON;
            }
            let pause = match self.heap.peek() {
                Some(Reverse((at, _))) => {
                    // A whole millisecond more: the wall clock has no finer hands.
                    let ms = at.ms_since(clock::now()).saturating_add(1).max(0).unsigned_abs();
                    Duration::from_millis(ms).min(LOOK)
                }
                None => LOOK,
            };
            tokio::select! {
                _ = stopped.changed() => break,
                () = tokio::time::sleep(pause) => {}
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => self.after(ended),
                Some((route, found)) = ways.recv() => self.lead_to(&route, &found, clock::now()),
                Some(verdict) = verdicts.recv() => {
                    self.quick_after(Some(verdict.series), verdict.is_bad, clock::now());
                }
            }
        }
        while let Some(ended) = self.running.join_next().await {
            self.after(ended);
        }
    }

    /// Looks for the MX hosts of the routes that want each of them, again and again, as long as somebody listens. What
    /// DNS does not answer changes nothing. The sender keeps the channel open where there is no such route.
    fn look_for_ways(&self) -> (mpsc::Sender<Ways>, mpsc::Receiver<Ways>) {
        let (tell, ways) = mpsc::channel(1);
        let mut routes: Vec<Arc<RouteSettings>> = Vec::new();
        for line in &self.of_every_mx {
            if !routes.iter().any(|route| route.name == line.route.name) {
                routes.push(Arc::clone(&line.route));
            }
        }
        let (sending, keep) = (self.sending.clone(), tell.clone());
        if routes.is_empty() {
            return (keep, ways);
        }
        tokio::spawn(async move {
            loop {
                let mut pause = limits::PROBE_MX_EVERY;
                for route in &routes {
                    match sending.ways_of(route).await {
                        Ok(found) => {
                            if tell.send((route.name.clone(), found)).await.is_err() {
                                return;
                            }
                        }
                        Err(reason) => {
                            tracing::warn!(route = %route.name, %reason, "its MX hosts are not known now");
                            pause = limits::PROBE_MX_AGAIN;
                        }
                    }
                }
                tokio::time::sleep(pause).await;
            }
        });
        (keep, ways)
    }

    /// Takes over what other processes sent and was put off.
    async fn look_for_waiting(&mut self, now: Timestamp) {
        let sending = self.sending.clone();
        match tokio::task::spawn_blocking(move || sending.waiting(now)).await {
            Ok(Ok(waiting)) => self.wait_for(waiting, now),
            Ok(Err(error)) => tracing::warn!(%error, "probes that were put off cannot be read now"),
            Err(error) => tracing::error!(%error, "the look for probes that were put off ended by a fault"),
        }
    }

    /// Reads the clocks. One that was set, or sleep, is noted at every probe that is open, and what was due meanwhile
    /// is missed.
    fn look_at_clocks(&mut self) -> Timestamp {
        let clocks = Clocks::read();
        let now = clocks.wall;
        if let Some(jump) = clock::jump(&self.clocks, &clocks, limits::CLOCK_JUMP) {
            let before = if jump.is_sleep { Because::Asleep } else { Because::ClockSet };
            tracing::warn!(
                ms = jump.ms,
                because = before.as_str(),
                "the clock jumped; what was due is not sent now"
            );
            self.awake = Awake { since: now, before };
            if jump.ms < 0 {
                self.note(vec![ScheduleNote::SetBack(now)]);
            }
            // Every instant in the heap was reckoned by the other time.
            let retries =
                std::mem::take(&mut self.heap).into_iter().filter_map(|Reverse((at, next))| match next {
                    Next::Series(_) => None,
                    Next::Retry(_) => {
                        Some(Reverse((Timestamp::from_ms(at.ms().saturating_add(jump.ms)), next)))
                    }
                });
            self.heap = retries.collect();
            for (index, course) in self.courses.iter_mut().enumerate() {
                course.next_at = now;
                self.heap.push(Reverse((now, Next::Series(index))));
            }
        }
        self.clocks = clocks;
        now
    }

    /// Starts everything whose time has come.
    fn send_what_is_due(&mut self, now: Timestamp) {
        while self.heap.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, next))) = self.heap.pop() else { return };
            match next {
                Next::Series(index) => {
                    if self.courses.get(index).is_some_and(|course| course.is_active && course.next_at == at)
                    {
                        self.look_at(index, now);
                    }
                }
                Next::Retry(token) => {
                    if let Some(waiting) = self.parked.remove(&token) {
                        self.try_again(waiting, now);
                    }
                }
            }
        }
    }

    /// Looks at one series, and sends its probe if one is due.
    fn look_at(&mut self, index: usize, now: Timestamp) {
        let Some(course) = self.courses.get_mut(index) else { return };
        let before = course.memory.done_until;
        let look = schedule::look(&course.line.timing, course.memory, self.awake, now);
        (course.memory, course.next_at) = (look.memory, look.next_at);
        self.heap.push(Reverse((look.next_at, Next::Series(index))));
        let key = course.line.key.clone();
        let mut notes: Vec<_> =
            look.missed.iter().map(|missed| ScheduleNote::Missed(key.clone(), *missed, None)).collect();
        let Some(run) = look.run else {
            if !notes.is_empty() {
                notes.push(ScheduleNote::Reached(key, look.memory));
                self.note(notes);
            }
            return;
        };
        notes.push(ScheduleNote::Reached(key.clone(), look.memory));
        let after = look.missed.last().map_or(before, |missed| missed.period.to);
        let (route, only) = (Arc::clone(&course.line.route), course.line.only.clone());
        let is_busy = course.is_busy;
        let sender = self.under_way.get(&route.sender.name).copied().unwrap_or_default();
        let (all, of_sender) = limits::PROBES_AT_ONCE;
        let kept = if let Some(until) = self.back_off_of(&key.route, now) {
            Some((Because::BackedOff, format!("keeps still until {}", until.rfc3339())))
        } else if is_busy {
            Some((Because::Busy, "the probe before it is still being handed over".to_owned()))
        } else if self.running.len() >= all || sender >= of_sender {
            Some((Because::Busy, format!("{} probes are being handed over", self.running.len())))
        } else {
            None
        };
        if let Some((because, reason)) = kept {
            notes.extend(missed_run(&key, run, after, because, reason));
            self.note(notes);
            return;
        }
        let Some(course) = self.courses.get_mut(index) else { return };
        let Some(profile) = course.line.profile(run.turn).copied() else { return };
        course.is_busy = true;
        *self.under_way.entry(route.sender.name.clone()).or_default() += 1;
        let asked = Asked {
            due_at: Some(run.due_at),
            is_quick: run.is_quick,
            within: course.line.within,
            only,
            notes,
            ..Asked::by_hand(profile)
        };
        let sending = self.sending.clone();
        self.running.spawn(async move {
            let result = send_probe(&sending, &route, asked).await;
            let profile = profile.to_string();
            Ended { route, course: Some(index), run: Some((run, after)), profile, retried: None, result }
        });
    }

    /// Until when a route keeps still.
    fn back_off_of(&self, route: &str, now: Timestamp) -> Option<Timestamp> {
        backs_off_until(self.back_offs.get(route).map(|stored| stored.back_off), now)
    }

    /// Tries a probe again that was put off.
    fn try_again(&mut self, waiting: Waiting, now: Timestamp) {
        let Some(route) = self.base_of(&waiting.route) else {
            self.give_up(&waiting, "its route is not configured any more", now);
            return;
        };
        let later = if self.running.len() >= limits::PROBES_AT_ONCE.0 {
            Some(now.after(AGAIN))
        } else {
            self.back_off_of(&waiting.route, now)
        };
        match later {
            Some(at) if at < waiting.lost_at => self.park(waiting, at),
            _ if waiting.lost_at <= now || later.is_some() => {
                self.give_up(&waiting, "no time for another attempt", now);
            }
            _ => {
                *self.under_way.entry(route.sender.name.clone()).or_default() += 1;
                let course = self.course_of(&waiting.route, &waiting.profile.to_string());
                let sending = self.sending.clone();
                self.running.spawn(async move {
                    let result = send_again(&sending, &route, &waiting).await;
                    let profile = waiting.profile.to_string();
                    Ended { route, course, run: None, profile, retried: Some(waiting), result }
                });
            }
        }
    }

    /// The route of a name, which may be that of one of its MX hosts.
    fn base_of(&self, name: &str) -> Option<Arc<RouteSettings>> {
        let base = || name.rsplitn(3, '/').nth(2);
        self.routes.get(name).or_else(|| self.routes.get(base()?)).map(Arc::clone)
    }

    /// The series that sends this profile on this route, if it still does.
    fn course_of(&self, route: &str, profile: &str) -> Option<usize> {
        self.courses.iter().position(|course| {
            let line = &course.line;
            line.key.route == route && line.profiles.iter().any(|own| own.to_string() == profile)
        })
    }

    /// What follows from how a hand-over ended.
    fn after(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Its course stays busy, and its probes are told as missed: nobody knows which it was.
                tracing::error!(%error, "a hand-over ended by a fault");
                return;
            }
        };
        let now = clock::now();
        let route = ended.route;
        if let (Some(course), None) =
            (ended.course.and_then(|index| self.courses.get_mut(index)), &ended.retried)
        {
            course.is_busy = false;
        }
        if let Some(count) = self.under_way.get_mut(&route.sender.name) {
            *count = count.saturating_sub(1);
        }
        match ended.result {
            Ok(sent) => self.handed_over(&route, ended.course, ended.retried, &sent, now),
            Err(NotSent { because, text, until, .. }) => {
                tracing::warn!(route = %route.name, profile = %ended.profile, because = because.as_str(), reason = %text, "probe not sent");
                match (ended.retried, ended.run) {
                    (Some(waiting), _) => match until {
                        Some(at) if at < waiting.lost_at && because != Because::Fault => {
                            self.park(waiting, at.max(now.after(AGAIN)));
                        }
                        _ => self.give_up(&waiting, &text, now),
                    },
                    (None, Some((run, after))) => {
                        let Some(course) = ended.course.and_then(|index| self.courses.get(index)) else {
                            return;
                        };
                        let key = course.line.key.clone();
                        let missed = missed_run(&key, run, after, because, text);
                        self.note(
                            missed.into_iter().chain([ScheduleNote::Reached(key, course.memory)]).collect(),
                        );
                    }
                    (None, None) => {}
                }
            }
        }
    }

    /// What follows from a hand-over.
    fn handed_over(
        &mut self,
        route: &RouteSettings,
        course: Option<usize>,
        retried: Option<Waiting>,
        sent: &Sent,
        now: Timestamp,
    ) {
        self.waits.remove(&sent.token);
        let (class, reason) = match &sent.hand_over.outcome {
            Outcome::Refused(_, Cause::Reply(reply)) | Outcome::Deferred(_, Cause::Reply(reply)) => {
                (verdict_of(reply), reply.to_string())
            }
            _ => (ReplyClass::None, String::new()),
        };
        let is_refused = matches!(sent.hand_over.outcome, Outcome::Refused(..));
        // What is made to be stopped was stopped, perhaps by policy: that is no reason to keep still.
        let is_bad = !(sent.is_to_be_stopped && is_refused);
        if class.asks_to_back_off() && is_bad {
            self.keep_still(&sent.route, reason, now);
        }
        match &sent.hand_over.outcome {
            Outcome::Accepted(_) => {
                // Nobody listens while the program stops.
                if let Some(series) = course {
                    let _ = self.follow.send(Followed { series, token: sent.token.clone() });
                }
                if self.back_offs.remove(&sent.route).is_some() {
                    tracing::info!(route = %sent.route, "accepted again, the route goes on");
                    self.note(vec![ScheduleNote::GoesOn(sent.route.clone())]);
                }
                if let Some(waiting) = retried.filter(|waiting| waiting.is_greylisted) {
                    let ms = sent.hand_over.ended_at.ms_since(waiting.sent_at).max(0).unsigned_abs();
                    let delay = Duration::from_millis(ms);
                    tracing::info!(route = %sent.route, destination = %waiting.destination, "greylisted {} s", delay.as_secs());
                    self.learned.insert(waiting.destination.clone(), delay);
                    self.note(vec![ScheduleNote::Greylisted(waiting.destination, delay, now)]);
                }
            }
            Outcome::Refused(..) => self.quick_after(course, is_bad, now),
            Outcome::Deferred(..) => {
                let is_greylisting = class == ReplyClass::Greylisting;
                let waiting = sent.waiting(route, retried, is_greylisting);
                let learned = self.learned.get(&waiting.destination).copied().filter(|_| is_greylisting);
                match next_retry(waiting.attempts, waiting.last_at, waiting.lost_at, learned) {
                    Some(at) => self.park(waiting, at),
                    None => {
                        self.give_up(&waiting, "no time for another attempt", now);
                        self.quick_after(course, true, now);
                    }
                }
            }
            // Never again, and neither good nor bad.
            Outcome::InDoubt(_) => {}
        }
    }

    /// A route falls silent.
    fn keep_still(&mut self, route: &str, reason: String, now: Timestamp) {
        let before = self.back_offs.get(route).map(|stored| stored.back_off);
        let next = back_off(before, now);
        if before == Some(next) {
            return;
        }
        tracing::warn!(route, until = %next.until.rfc3339(), %reason, "the far end names policy or reputation; the route keeps still");
        let stored = StoredBackOff { route: route.to_owned(), back_off: next, since: now, reason };
        self.back_offs.insert(route.to_owned(), stored.clone());
        self.note(vec![ScheduleNote::BacksOff(stored)]);
    }

    /// Quick probes after a bad one, none after a good one.
    fn quick_after(&mut self, course: Option<usize>, is_bad: bool, now: Timestamp) {
        let Some(index) = course else { return };
        let Some(course) = self.courses.get_mut(index) else { return };
        let memory = after_outcome(&course.line.timing, course.memory, is_bad, now);
        if memory == course.memory {
            return;
        }
        course.memory = memory;
        let key = course.line.key.clone();
        if let Some(at) = memory.quick.at.filter(|at| *at < course.next_at) {
            course.next_at = at;
            self.heap.push(Reverse((at, Next::Series(index))));
        }
        self.note(vec![ScheduleNote::Reached(key, memory)]);
    }
}

/// The note of one run that was not sent; none of a quick one, which is no data of the schedule.
fn missed_run(
    key: &SeriesKey,
    run: Run,
    after: Timestamp,
    because: Because,
    reason: String,
) -> Option<ScheduleNote> {
    let period = Period { from: run.due_at, to: run.due_at, runs: 1 };
    let missed = Missed { period, after, because };
    (!run.is_quick).then(|| ScheduleNote::Missed(key.clone(), missed, Some(reason)))
}
