//! When probes are sent: from a series, what is remembered of it and the time to what is due. Pure.
//!
//! A **series** is one profile of one route with an interval. Time is cut into slots that depend on the series and
//! on nothing else: slot `k` of an interval `e` lies at `k·e + phase + jitter(k)`, in UTC milliseconds, where phase and
//! jitter are hashes of the series and the slot. So two processes, or one before and after a restart, have the same
//! slots: what remains to be remembered is how far they were handled ([`Memory::done_until`]), and then nothing is
//! sent twice and nothing is left out. The phase spreads the series over the interval, the jitter keeps them from
//! falling into step with what else happens every five minutes. There is no calendar, hence no daylight saving.
//!
//! What was not sent in its time is not sent later: it is **missed**, counted with its period and its reason, so that
//! a view can say "no data". Only a slot that passed just before we began (its grace) is made up for, one a series at
//! most and spread over the time of grace, so that a restart costs no probe and makes no burst. In the first week of
//! a series (its half rate) every second slot is left out.
//!
//! After a bad probe three quick ones follow ([`after_outcome`]); then the series is as before, until a good one has
//! been seen: a far end that stays down is not hammered.
//!
//! A clock that is set: forward, the slots between are missed; back by less than an interval, the slots that were
//! handled are not handled again; back by more, the series begins anew at the new time, since silence until the clock
//! has caught up would be worse than one probe too many.

mod retry;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;

pub use retry::{BackOff, back_off, backs_off_until, next_retry};

// ---- What is asked ----

/// One profile of one route with an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Interval, milliseconds; at least 1.
    every_ms: i64,
    /// Largest jitter, milliseconds; below the interval.
    jitter_ms: i64,
    /// How long at first every second slot is left out.
    half_rate: Duration,
    /// What tells it from other series.
    seed: u64,
}

impl Series {
    /// The series of a profile of a route.
    ///
    /// `jitter_percent` of the interval, at most 90; an interval below [`limits::PROBE_EVERY_LEAST`] is taken for it.
    pub fn new(route: &str, profile: &str, every: Duration, jitter_percent: u8, half_rate: Duration) -> Self {
        let every_ms = ms(every.max(limits::PROBE_EVERY_LEAST));
        let jitter_ms = every_ms / 100 * i64::from(jitter_percent.min(90));
        Self { every_ms, jitter_ms, half_rate, seed: seed_of(route, profile) }
    }

    /// The same interval, jitter and begin for another profile or route.
    pub fn for_other(&self, route: &str, profile: &str) -> Self {
        Self { seed: seed_of(route, profile), ..self.clone() }
    }

    /// Its interval.
    pub fn every(&self) -> Duration {
        duration(self.every_ms)
    }

    /// When slot `slot` is due.
    pub fn slot_at(&self, slot: i64) -> Timestamp {
        let start = slot.saturating_mul(self.every_ms);
        let phase = below(mix(self.seed), self.every_ms);
        let jitter = below(mix(self.seed ^ mix(slot.cast_unsigned())), self.jitter_ms);
        Timestamp::from_ms(start.saturating_add(phase).saturating_add(jitter))
    }

    /// The first slot after `after`, whether it is left out or not.
    fn first_after(&self, after: Timestamp) -> i64 {
        let phase = below(mix(self.seed), self.every_ms);
        // The jitter is below an interval: this slot is not after `after`, or is the first one after it.
        let mut slot = after.ms().saturating_sub(phase).div_euclid(self.every_ms).saturating_sub(1);
        while self.slot_at(slot) <= after {
            slot += 1;
        }
        slot
    }

    /// True if a slot is left out because the series is new.
    fn is_left_out(&self, slot: i64, first_at: Timestamp) -> bool {
        slot.rem_euclid(2) == 1 && self.slot_at(slot) < first_at.after(self.half_rate)
    }

    /// The number of a slot among those that are not left out: neighbours have neighbouring numbers.
    fn turn(&self, slot: i64, first_at: Timestamp) -> u64 {
        let is_halved = self.slot_at(slot) < first_at.after(self.half_rate);
        (if is_halved { slot.div_euclid(2) } else { slot }).unsigned_abs()
    }

    /// The first slot after `after` that is not left out.
    fn next(&self, after: Timestamp, first_at: Timestamp) -> (i64, Timestamp) {
        let mut slot = self.first_after(after);
        if self.is_left_out(slot, first_at) {
            slot += 1;
        }
        (slot, self.slot_at(slot))
    }

    /// How many slots that are not left out lie after `after` and before `before`, and the first and last of them.
    fn between(&self, after: Timestamp, before: Timestamp, first_at: Timestamp) -> Option<Period> {
        let (first, from) = self.next(after, first_at);
        if from >= before {
            return None;
        }
        // Not one by one: after a year of rest there are half a million.
        let mut last = self.first_after(Timestamp::from_ms(before.ms().saturating_sub(1))) - 1;
        if self.is_left_out(last, first_at) {
            last -= 1;
        }
        let half_until = first_at.after(self.half_rate).ms().saturating_sub(1);
        let end_of_half = self.first_after(Timestamp::from_ms(half_until));
        // Slots below it count where they are even, the others all.
        let halved = (end_of_half.min(last + 1) - first).max(0);
        let whole = last + 1 - first - halved;
        let runs = (halved + 1) / 2 + whole;
        Some(Period { from, to: self.slot_at(last), runs: runs.unsigned_abs() })
    }

    /// How late a slot may be sent: [`limits::PROBE_GRACE`], at most half an interval.
    fn grace_ms(&self) -> i64 {
        grace(self.every())
    }
}

/// How late a slot of an interval may be sent, milliseconds.
fn grace(every: Duration) -> i64 {
    ms(limits::PROBE_GRACE.min(every / 2))
}

/// What is remembered of a series, also over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// When it was first scheduled.
    pub first_at: Timestamp,
    /// The slots up to this instant were sent or are missed.
    pub done_until: Timestamp,
    /// The quick probes that are still to come.
    pub quick: Quick,
}

impl Memory {
    /// A series that begins now.
    pub fn new(now: Timestamp) -> Self {
        Self { first_at: now, done_until: now, quick: Quick::default() }
    }
}

/// Quick probes after a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quick {
    /// How many are still to come.
    pub left: u8,
    /// When the next one is due, if any is to come.
    pub at: Option<Timestamp>,
    /// True if a bad probe makes quick ones: not again before a good one was seen.
    pub is_armed: bool,
}

impl Default for Quick {
    fn default() -> Self {
        Self { left: 0, at: None, is_armed: true }
    }
}

/// Since when this process has been watching the clock, and why it was not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awake {
    /// Since when.
    pub since: Timestamp,
    /// Why what was due before was not sent.
    pub before: Because,
}

// ---- What comes of it ----

/// Why a slot was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    /// The program did not run.
    Off,
    /// The machine slept.
    Asleep,
    /// The clock was set forward over it.
    ClockSet,
    /// The program did not get to it in time.
    Late,
    /// The probe before it was still being handed over.
    Busy,
    /// The route backs off.
    BackedOff,
    /// A cap on what is sent was reached.
    Capped,
    /// The kill switch, or `enabled = false`.
    Stopped,
    /// Leave is lacking.
    NoLeave,
    /// The probe could not be made, or not be kept.
    Fault,
}

impl Because {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Off,
        Self::Asleep,
        Self::ClockSet,
        Self::Late,
        Self::Busy,
        Self::BackedOff,
        Self::Capped,
        Self::Stopped,
        Self::NoLeave,
        Self::Fault,
    ];

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Asleep => "asleep",
            Self::ClockSet => "clock-set",
            Self::Late => "late",
            Self::Busy => "busy",
            Self::BackedOff => "backed-off",
            Self::Capped => "capped",
            Self::Stopped => "stopped",
            Self::NoLeave => "no-leave",
            Self::Fault => "fault",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|because| because.as_str() == text)
    }
}

/// Some slots of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// When the first one was due.
    pub from: Timestamp,
    /// When the last one was due.
    pub to: Timestamp,
    /// How many.
    pub runs: u64,
}

/// Slots that were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Which.
    pub period: Period,
    /// The slot handled before them: rows that follow each other are one.
    pub after: Timestamp,
    /// Why.
    pub because: Because,
}

/// A probe to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// When it was due.
    pub due_at: Timestamp,
    /// True if it is one of the quick ones after a bad probe.
    pub is_quick: bool,
    /// Counts the runs of the series: which of several profiles has its turn.
    pub turn: u64,
}

/// What is to be done for a series at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The probe to be sent.
    pub run: Option<Run>,
    /// What was not sent.
    pub missed: Vec<Missed>,
    /// What is to be remembered once that is done.
    pub memory: Memory,
    /// When to look again.
    pub next_at: Timestamp,
}

/// Looks at a series at one instant.
pub fn look(series: &Series, memory: Memory, awake: Awake, now: Timestamp) -> Look {
    let mut memory = memory;
    let grace = series.grace_ms();
    // Slots are handled after they are due: the clock was set back.
    if memory.done_until.ms().saturating_sub(now.ms()) >= series.every_ms {
        memory.done_until = now;
    }
    let mut missed = Vec::new();
    let mut miss = |memory: &mut Memory, before: i64, because: Because| {
        let before = Timestamp::from_ms(before);
        if let Some(period) = series.between(memory.done_until, before, memory.first_at) {
            missed.push(Missed { period, after: memory.done_until, because });
            memory.done_until = period.to;
        }
    };
    let slack = |at: Timestamp| at.ms().saturating_sub(grace);
    miss(&mut memory, slack(awake.since), awake.before);
    let run = loop {
        let (slot, at) = series.next(memory.done_until, memory.first_at);
        // A slot that passed just before we began is made up for, at an instant of its own.
        let due_at = if at < awake.since {
            let spread = below(mix(series.seed.rotate_left(17) ^ mix(slot.cast_unsigned())), grace);
            Timestamp::from_ms(awake.since.ms().saturating_add(spread))
        } else {
            at
        };
        if due_at > now {
            break Err(due_at);
        }
        let (_, after) = series.next(at, memory.first_at);
        if now.ms().saturating_sub(due_at.ms()) > grace || (after <= now && after >= awake.since) {
            miss(&mut memory, slack(now).max(at.ms() + 1), Because::Late);
            continue;
        }
        memory.done_until = at;
        break Ok(Run { due_at, is_quick: false, turn: series.turn(slot, memory.first_at) });
    };
    let (run, next_at) = match run {
        Ok(run) => {
            // It does for a quick one that is due as well.
            let _ = quick(series, &mut memory, grace, now);
            (Some(run), series.next(memory.done_until, memory.first_at).1)
        }
        Err(next_at) => (quick(series, &mut memory, grace, now), next_at),
    };
    let next_at = memory.quick.at.map_or(next_at, |at| at.min(next_at));
    Look { run, missed, memory, next_at }
}

/// The quick probe that is due, if any was to come; those that were slept over are dropped: they are no data of the
/// schedule.
fn quick(series: &Series, memory: &mut Memory, grace: i64, now: Timestamp) -> Option<Run> {
    let due_at = memory.quick.at.filter(|at| *at <= now)?;
    if now.ms().saturating_sub(due_at.ms()) > grace {
        memory.quick = Quick { left: 0, at: None, ..memory.quick };
        return None;
    }
    let left = memory.quick.left.saturating_sub(1);
    let at = (left > 0).then(|| now.after(quick_gap(series.every())));
    memory.quick = Quick { left, at, ..memory.quick };
    // The profile of the slot before it.
    let slot = series.first_after(memory.done_until).saturating_sub(1);
    Some(Run { due_at, is_quick: true, turn: series.turn(slot, memory.first_at) })
}

/// The pause before a quick probe: a tenth of the interval, within [`limits::PROBE_QUICK_GAP`].
fn quick_gap(every: Duration) -> Duration {
    (every / 10).clamp(limits::PROBE_QUICK_GAP.0, limits::PROBE_QUICK_GAP.1).min(every / 2)
}

/// What is remembered once the outcome of a probe is known.
///
/// Bad: refused, came back, lost, overdue, escaped. Not known (in doubt, unobserved) is neither good nor bad: do not
/// call this then.
pub fn after_outcome(series: &Series, memory: Memory, is_bad: bool, now: Timestamp) -> Memory {
    if !is_bad {
        // Not while quick ones are to come: a path that loses every second probe would be under fire for good.
        let is_armed = memory.quick.is_armed || memory.quick.left == 0;
        return Memory { quick: Quick { is_armed, ..memory.quick }, ..memory };
    }
    if !memory.quick.is_armed {
        return memory;
    }
    let at = Some(now.after(quick_gap(series.every())));
    Memory { quick: Quick { left: limits::PROBE_QUICK_RUNS, at, is_armed: false }, ..memory }
}

// ---- Numbers ----

/// A number for a series that is the same everywhere and always.
fn seed_of(route: &str, profile: &str) -> u64 {
    // A route may hold any character, hence its length before it.
    let text = format!("{}:{route}:{profile}", route.len());
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().take(8).fold(0, |seed, byte| (seed << 8) | u64::from(*byte))
}

/// Spreads the bits of a number: the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash as a number from 0 to below `bound`; 0 where there is none.
fn below(hash: u64, bound: i64) -> i64 {
    let bound = u128::from(bound.max(0).unsigned_abs());
    // The high half of the product is below the bound, which is an i64.
    i64::try_from((u128::from(hash) * bound) >> 64).unwrap_or(0)
}

/// A duration in milliseconds.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Milliseconds as a duration.
fn duration(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests;
