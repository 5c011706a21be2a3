//! How a route keeps what is promised of it: its error budget, how fast it is used up, and its gaps and outages.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::probe::lifecycle::{MailPlace, State};
use crate::summary::latency::Span;
use crate::summary::probe::{ProbeFact, Standing};

/// What is promised of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// How long a good probe takes at most.
    pub within: Duration,
    /// The share of good probes, in millionths.
    pub target_millionths: u32,
    /// The period that is looked at.
    pub window: Duration,
}

impl Objective {
    /// What a probe means for the promise at `now`.
    ///
    /// Good is what arrived within the time, at the latest instant that is possible, and not in the folder for spam. Bad is what
    /// came later at the earliest one, or did not come. In between nobody knows. What is not there after that time though its
    /// soft deadline passed with open eyes is bad already, whatever comes.
    pub fn judge(&self, fact: &ProbeFact, now: Timestamp) -> Standing {
        let within = i64::try_from(self.within.as_millis()).unwrap_or(i64::MAX);
        match fact.state {
            State::Arrived | State::Late if fact.place == Some(MailPlace::Spam) => Standing::Bad,
            State::Arrived => match fact.latency.map(Span::of) {
                Some(span) if span.high_ms <= within => Standing::Good,
                Some(span) if span.low_ms > within => Standing::Bad,
                Some(_) | None => Standing::NotKnown,
            },
            // The far end's word says nothing of when.
            State::Delivered => Standing::NotKnown,
            State::Overdue | State::Delayed if now.ms_since(fact.sent_at) > within => Standing::Bad,
            state => Standing::of(state),
        }
    }
}

/// The windows in which the use of the budget is looked at: a long one, a short one within it, and the rate at which both together
/// are an alarm (Google's Site Reliability Workbook, chapter 5: 2 % of 30 days' budget in an hour, 5 % in six, 10 % in three days).
pub const BURNS: [(Duration, Duration, u64); 3] = [
    (Duration::from_secs(3_600), Duration::from_secs(300), 1_440),
    (Duration::from_secs(6 * 3_600), Duration::from_secs(1_800), 600),
    (Duration::from_secs(3 * 86_400), Duration::from_secs(6 * 3_600), 100),
];

/// Good and bad probes of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// Good ones.
    pub good: u64,
    /// Bad ones.
    pub bad: u64,
}

impl Share {
    /// Counts one.
    fn add(&mut self, standing: Standing) {
        match standing {
            Standing::Good => self.good += 1,
            Standing::Bad => self.bad += 1,
            Standing::Waiting | Standing::NotKnown | Standing::NotSent | Standing::Negative => {}
        }
    }

    /// How fast the budget is used up, in hundredths: 100 uses it up exactly at the end of the window of the promise. `None`
    /// without probes, and where nothing may fail.
    pub fn burn_hundredths(&self, objective: &Objective) -> Option<u64> {
        let allowed = u128::from(1_000_000u32.saturating_sub(objective.target_millionths));
        let all = u128::from(self.good) + u128::from(self.bad);
        if all == 0 || allowed == 0 {
            return None;
        }
        let scaled = u128::from(self.bad) * 1_000_000 * 100;
        u64::try_from((scaled + all * allowed / 2) / (all * allowed)).ok()
    }
}

/// What was used of the budget of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What is promised.
    pub objective: Objective,
    /// Good and bad probes within its window.
    pub share: Share,
    /// Not known, and it will stay so.
    pub not_observed: u64,
    /// Not decided yet.
    pub waiting: u64,
    /// Of the windows of [`BURNS`]: the long ones and the short ones.
    pub burns: [(Share, Share); 3],
}

impl Budget {
    /// An unused budget.
    pub fn new(objective: Objective) -> Self {
        Self {
            objective,
            share: Share::default(),
            not_observed: 0,
            waiting: 0,
            burns: <[(Share, Share); 3]>::default(),
        }
    }

    /// Counts a probe at `now`. Those under maintenance, and those sent before the window, do not count.
    pub fn add(&mut self, fact: &ProbeFact, now: Timestamp) {
        let age = now.ms_since(fact.sent_at);
        let is_in = |window: Duration| age <= i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        if fact.is_maintenance {
            return;
        }
        let standing = self.objective.judge(fact, now);
        for ((long, short), (long_window, short_window, _)) in self.burns.iter_mut().zip(BURNS) {
            if is_in(long_window) {
                long.add(standing);
            }
            if is_in(short_window) {
                short.add(standing);
            }
        }
        if is_in(self.objective.window) {
            self.share.add(standing);
            self.not_observed += u64::from(standing == Standing::NotKnown);
            self.waiting += u64::from(standing == Standing::Waiting);
        }
    }

    /// What is left of the budget in hundredths of a percent of it; negative where more failed than may. `None` without probes.
    /// Where nothing may fail: all of it, or nothing.
    pub fn left_hundredths(&self) -> Option<i64> {
        let all = i128::from(self.share.good) + i128::from(self.share.bad);
        if all == 0 {
            return None;
        }
        let allowed = all * i128::from(1_000_000u32.saturating_sub(self.objective.target_millionths));
        if allowed == 0 {
            return Some(if self.share.bad == 0 { 10_000 } else { 0 });
        }
        let used = (i128::from(self.share.bad) * 1_000_000 * 10_000).div_euclid(allowed);
        i64::try_from(10_000 - used).ok()
    }

    /// The windows in which the budget is used up too fast: both, by at least two bad probes. One failure of few probes is no trend.
    pub fn burning(&self) -> [bool; 3] {
        let mut out = [false; 3];
        for ((is_burning, (long, short)), (_, _, threshold)) in out.iter_mut().zip(&self.burns).zip(BURNS) {
            let is_fast =
                |share: &Share| share.burn_hundredths(&self.objective).is_some_and(|rate| rate >= threshold);
            *is_burning = is_fast(long) && is_fast(short) && long.bad >= 2;
        }
        out
    }
}

// ---- Gaps and outages ----

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its begin.
    pub from: Timestamp,
    /// Its end, or until when it is looked at.
    pub to: Timestamp,
}

impl Stretch {
    /// Its length, milliseconds.
    pub const fn ms(&self) -> i64 {
        self.to.ms_since(self.from)
    }

    /// Keeps the longer of two in `known`; the earlier one if they are equal.
    fn keep_longer(known: &mut Option<Self>, other: Self) {
        if known.is_none_or(|known| known.ms() < other.ms()) {
            *known = Some(other);
        }
    }
}

/// How probes of a route or host went, one after the other in the order of sending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// Good and bad ones.
    pub share: Share,
    /// Not known.
    pub not_observed: u64,
    /// Not decided yet.
    pub waiting: u64,
    /// When the last good one was sent.
    pub last_good: Option<Timestamp>,
    /// The longest time from one good probe to the next, or from the first one sent, or to the end.
    pub gap: Option<Stretch>,
    /// The longest time from a bad probe after a good one to the next good one. What is not known ends none and begins none.
    pub outage: Option<Stretch>,
    /// Since when there is an outage.
    pub out_since: Option<Timestamp>,
    /// The first one.
    first: Option<Timestamp>,
}

impl Course {
    /// Takes the next probe. Under maintenance it counts nowhere, but a good one is good.
    pub fn add(&mut self, at: Timestamp, standing: Standing, is_maintenance: bool) {
        let says_nothing = matches!(standing, Standing::NotSent | Standing::Negative);
        if says_nothing || (is_maintenance && standing != Standing::Good) {
            return;
        }
        let since = *self.first.get_or_insert(at);
        if !is_maintenance {
            self.share.add(standing);
            self.not_observed += u64::from(standing == Standing::NotKnown);
            self.waiting += u64::from(standing == Standing::Waiting);
        }
        match standing {
            Standing::Good => {
                let gap = Stretch { from: self.last_good.unwrap_or(since), to: at };
                Stretch::keep_longer(&mut self.gap, gap);
                if let Some(from) = self.out_since.take() {
                    Stretch::keep_longer(&mut self.outage, Stretch { from, to: at });
                }
                self.last_good = Some(at);
            }
            Standing::Bad => {
                self.out_since.get_or_insert(at);
            }
            Standing::Waiting | Standing::NotKnown | Standing::NotSent | Standing::Negative => {}
        }
    }

    /// Ends the look at `until`: what goes on is as long as it is known to be.
    pub fn close(&mut self, until: Timestamp) {
        if let Some(since) = self.last_good.or(self.first) {
            Stretch::keep_longer(&mut self.gap, Stretch { from: since, to: until.max(since) });
        }
        if let Some(from) = self.out_since {
            Stretch::keep_longer(&mut self.outage, Stretch { from, to: until.max(from) });
        }
    }
}

/// A row of `report continuity`: a route, or one MX host of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinuityRow {
    /// The route.
    pub route: String,
    /// The MX host; `None`: the route as a whole.
    pub mx_host: Option<String>,
    /// Its probes in the period.
    pub course: Course,
    /// Its budget; only of a route as a whole of which something is promised.
    pub budget: Option<Budget>,
    /// Planned failovers of it in the period.
    pub drills: u64,
    /// When the last one began.
    pub last_drill: Option<Timestamp>,
}

/// The totals of `report continuity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContinuityTotals {
    /// Routes.
    pub routes: u64,
    /// Routes with an outage that goes on.
    pub out: u64,
    /// Routes of which something is promised.
    pub promised: u64,
    /// Of these, those whose budget is used up.
    pub exhausted: u64,
    /// Of these, those whose budget is used up too fast.
    pub burning: u64,
}

#[cfg(test)]
mod tests;
