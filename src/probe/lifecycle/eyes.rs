//! Whose eyes were open when: without looking, nothing that is missing is missed.

use std::time::Duration;

use crate::clock::Timestamp;

/// How many intervals without a look close an eye.
const MISSED_LOOKS: u32 = 3;
/// The share of a time in which an eye must have been open so that it counts as watched, in thousandths.
const WATCHED: i64 = 950;

/// A time in which an eye looked again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first look.
    pub from: Timestamp,
    /// The last look.
    pub to: Timestamp,
}

/// One watcher: our own receiver, or the reader of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eye {
    /// Its name: `sink`, `mailbox/NAME`.
    pub name: String,
    /// How often it looks.
    pub every: Duration,
    /// When it was open, in the order of time.
    pub open: Vec<Span>,
}

/// The watchers of one probe. Without any, nothing that is missing is known to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Each of them must have looked.
    pub eyes: Vec<Eye>,
}

impl Eye {
    /// The longest time between two looks of an open eye.
    pub fn patience(every: Duration) -> Duration {
        every.saturating_mul(MISSED_LOOKS)
    }

    /// The last look; `None`: it never looked.
    fn last_look(&self) -> Option<Timestamp> {
        self.open.iter().map(|span| span.to).max()
    }

    /// When it counts as closed if it does not look again.
    fn closes_at(&self) -> Timestamp {
        let patience = Self::patience(self.every);
        self.last_look().map_or(Timestamp::from_ms(i64::MIN), |look| look.after(patience))
    }

    /// True if it was open in nearly all of the time; `saw_at` is a look that has no row yet.
    fn has_watched(&self, from: Timestamp, to: Timestamp, saw_at: Option<Timestamp>) -> bool {
        let mut spans = self.open.clone();
        let last_before = |saw_at| spans.iter().filter(|span| span.from <= saw_at).map(|span| span.to).max();
        if let Some(saw_at) = saw_at
            && let Some(last) = last_before(saw_at)
            && last < saw_at
            && last.after(Self::patience(self.every)) >= saw_at
        {
            spans.push(Span { from: last, to: saw_at });
        }
        spans.sort_by_key(|span| span.from);
        let mut open_ms = 0_i64;
        let mut done = from;
        let mut is_touched = false;
        for span in spans {
            is_touched |= span.from <= to && span.to >= from;
            let (begin, end) = (span.from.max(done), span.to.min(to));
            if end > begin {
                open_ms = open_ms.saturating_add(end.ms_since(begin));
                done = end;
            }
        }
        let whole_ms = to.ms_since(from);
        is_touched && open_ms.saturating_mul(1_000) >= whole_ms.saturating_mul(WATCHED)
    }
}

impl Observed {
    /// True if nobody watches.
    pub const fn is_nobody(&self) -> bool {
        self.eyes.is_empty()
    }

    /// True if every eye has looked at `at` or at most `longest` after it. False without eyes.
    pub fn has_looked_since(&self, at: Timestamp, longest: Duration) -> bool {
        let end = at.after(longest);
        let has_looked = |eye: &Eye| eye.open.iter().any(|span| span.to >= at && span.from <= end);
        !self.is_nobody() && self.eyes.iter().all(has_looked)
    }

    /// When each eye counts as closed if it does not look again.
    pub fn closings(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.eyes.iter().map(Eye::closes_at)
    }

    /// Names of the eyes that are closed at `now`, with their last look.
    pub fn closed_at(&self, now: Timestamp) -> Vec<(&str, Option<Timestamp>)> {
        let closed = self.eyes.iter().filter(|eye| eye.closes_at() <= now);
        closed.map(|eye| (eye.name.as_str(), eye.last_look())).collect()
    }

    /// Names of the eyes that were not open in nearly all of `from` to `to`. `saw_at`: when one saw something, which
    /// is a look too.
    pub fn blind_between(&self, from: Timestamp, to: Timestamp, saw_at: Option<Timestamp>) -> Vec<&str> {
        let blind = self.eyes.iter().filter(|eye| !eye.has_watched(from, to, saw_at));
        blind.map(|eye| eye.name.as_str()).collect()
    }
}
