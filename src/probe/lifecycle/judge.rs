//! The verdict on what is known of a probe, at one instant.

use std::cmp::Reverse;
use std::time::Duration;

use super::fold::{Arrival, Delay, HandOver, Heard, Known};
use super::{Event, Expectation, MailPlace, Options, Reason, State, step};
use crate::clock::Timestamp;
use crate::limits;

/// A duration with its error: the true value lies within `ms ± error_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Milliseconds.
    pub ms: i64,
    /// Its error, milliseconds; 0 where one clock saw both ends.
    pub error_ms: i64,
}

/// What is to be said of a probe at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// Where it arrived.
    pub place: Option<MailPlace>,
    /// Where it lay at the last look, if that was elsewhere.
    pub moved_to: Option<MailPlace>,
    /// True if it was gone at the last look.
    pub is_gone: bool,
    /// When the first attempt began; `None` without any.
    pub sent_at: Option<Timestamp>,
    /// When the far end took it.
    pub accepted_at: Option<Timestamp>,
    /// When it was first seen; `None` where nobody knows.
    pub arrived_at: Option<Timestamp>,
    /// From `sent_at` to its arrival; `None` where one is not known or the clock was set between.
    pub latency: Option<Latency>,
    /// When it is or was overdue, if nothing comes.
    pub overdue_at: Option<Timestamp>,
    /// When it is or was lost, if nothing comes.
    pub lost_at: Option<Timestamp>,
    /// When time or a look alone may change the state; `None`: never.
    pub next_at: Option<Timestamp>,
    /// Why it has this state, in words.
    pub reason: Option<String>,
    /// Arrivals after the first one.
    pub duplicates: u64,
    /// Messages with the token that cannot be the probe itself.
    pub replays: u64,
    /// True if it arrived although the far end refused or deferred it, or sent it back.
    pub contradicts_reply: bool,
    /// True if it arrived and came back.
    pub is_bounced_too: bool,
    /// True if our own clock was set, or we slept, while it was under way.
    pub has_clock_step: bool,
}

/// A state with its reason, and when it may change by itself.
struct Judged {
    state: State,
    reason: Option<String>,
    next_at: Option<Timestamp>,
}

impl Judged {
    /// A state that only evidence changes.
    const fn settled(state: State, reason: Option<String>) -> Self {
        Self { state, reason, next_at: None }
    }

    /// A state that may change at `next_at`.
    const fn until(next_at: Timestamp, state: State, reason: Option<String>) -> Self {
        Self { state, reason, next_at: Some(next_at) }
    }
}

/// The verdict on a list of events, at one instant.
pub fn judge(events: &[Event], options: &Options, now: Timestamp) -> Verdict {
    verdict(&events.iter().fold(Known::default(), step), options, now)
}

/// The verdict on what is known, at one instant.
pub fn verdict(known: &Known, options: &Options, now: Timestamp) -> Verdict {
    let view = View::of(known, options, now);
    let judged = view.judged();
    let arrival = view.arrival;
    let is_bounced_too = arrival.is_some() && known.bounced.is_some();
    let contradicts_reply =
        arrival.is_some() && matches!(known.hand_over, HandOver::Refused | HandOver::Deferred);
    let place = arrival.map(|arrival| arrival.seen.place);
    let later = if arrival.is_some() { known.later.iter().max() } else { None };
    let last_place = later.and_then(|(_, place)| *place);
    Verdict {
        state: judged.state,
        place,
        moved_to: last_place.filter(|last| Some(*last) != place),
        is_gone: later.is_some_and(|(_, place)| place.is_none()),
        sent_at: known.sent_at,
        accepted_at: view.accepted_at,
        arrived_at: arrival.and_then(|arrival| arrival.at),
        latency: arrival.and_then(|arrival| view.latency(arrival)),
        overdue_at: view.soft,
        lost_at: view.hard,
        next_at: judged.next_at,
        reason: judged.reason,
        duplicates: u64::try_from(view.arrivals.saturating_sub(1)).unwrap_or(u64::MAX),
        replays: u64::try_from(known.replays.len()).unwrap_or(u64::MAX),
        contradicts_reply: contradicts_reply || is_bounced_too,
        is_bounced_too,
        has_clock_step: view.has_clock_step(),
    }
}

/// What is known, with what follows from it before the state.
struct View<'k> {
    known: &'k Known,
    options: &'k Options,
    now: Timestamp,
    /// The first arrival.
    arrival: Option<&'k Arrival>,
    /// Arrivals, copies of one mail counted once.
    arrivals: usize,
    /// When the far end took it.
    accepted_at: Option<Timestamp>,
    /// The last delay of which we heard before it arrived.
    delay: Option<&'k Delay>,
    /// The soft deadline.
    soft: Option<Timestamp>,
    /// The hard deadline.
    hard: Option<Timestamp>,
}

impl<'k> View<'k> {
    fn of(known: &'k Known, options: &'k Options, now: Timestamp) -> Self {
        let groups = groups(&known.arrivals);
        let arrivals = groups.len();
        let arrival = groups.into_iter().filter_map(first_of_copies).min_by_key(|arrival| order(arrival));
        let passed_on = known.passed_on.map(|(at, _)| at);
        let accepted_at = known.taken_at.or(passed_on);
        let arrived_at = arrival.and_then(|arrival| arrival.at);
        // A delay of which we heard after the probe arrived says nothing new.
        let is_new = |delay: &&Delay| arrived_at.is_none_or(|arrived| delay.at <= arrived);
        let delay = known
            .delays
            .iter()
            .filter(is_new)
            .max_by_key(|delay| (delay.at, delay.until, Reverse(&delay.reason)));
        let mut view =
            Self { known, options, now, arrival, arrivals, accepted_at, delay, soft: None, hard: None };
        view.soft = accepted_at.map(|at| view.deadline(at, options.soft()));
        let of_delay = delay.map(|delay| {
            let until = delay.until.unwrap_or_else(|| view.deadline(delay.at, options.lost_after));
            until.min(delay.at.after(limits::PROBE_DELAY))
        });
        view.hard = accepted_at.map(|at| view.deadline(at, options.hard())).max(of_delay);
        view
    }

    /// `from` moved by `wait`, on the monotonic clock as far as jumps of the wall clock are known.
    fn deadline(&self, from: Timestamp, wait: Duration) -> Timestamp {
        let mut at = from.after(wait);
        let mut jumps = self.known.jumps.clone();
        jumps.sort();
        for jump in jumps {
            let before = jump.at.ms().saturating_sub(jump.ms);
            if jump.at > from && before <= at.ms() {
                at = Timestamp::from_ms(at.ms().saturating_add(jump.ms));
            }
        }
        at
    }

    /// True if our clock jumped between the sending and the arrival, or the end of the wait.
    fn has_clock_step(&self) -> bool {
        let from = self.known.sent_at.or(self.known.planned_at).unwrap_or(Timestamp::from_ms(i64::MIN));
        let arrived_at = self.arrival.and_then(|arrival| arrival.at);
        let to = arrived_at.or(self.hard).unwrap_or(Timestamp::from_ms(i64::MAX));
        self.known.jumps.iter().any(|jump| is_between(jump.at, jump.ms, from, to))
    }

    /// From the sending to an arrival, as an interval.
    fn latency(&self, arrival: &Arrival) -> Option<Latency> {
        let (sent, seen) = (self.known.sent_at?, arrival.at?);
        let mut longest = seen.ms_since(sent);
        let not_before = arrival.seen.not_before.map_or(longest, |last| last.ms_since(sent));
        let mut shortest = not_before.min(longest).max(0);
        for jump in self.known.jumps.iter().filter(|jump| is_between(jump.at, jump.ms, sent, seen)) {
            // A clock that was set back hid time; one that went on was set, or we slept.
            if jump.ms < 0 {
                longest = longest.saturating_sub(jump.ms);
                shortest = shortest.saturating_sub(jump.ms);
            } else {
                shortest = shortest.saturating_sub(jump.ms);
            }
        }
        // Less than nothing: our clock was set back in between without our knowing.
        if longest < 0 {
            return None;
        }
        let shortest = shortest.clamp(0, longest);
        let width = longest - shortest;
        Some(Latency { ms: shortest + width / 2, error_ms: width - width / 2 })
    }

    // ---- The state ----

    /// The state.
    fn judged(&self) -> Judged {
        let judged = match self.arrival {
            Some(arrival) => self.of_arrival(arrival),
            None => self.without_arrival(),
        };
        self.as_wanted(judged)
    }

    /// The state of a probe that arrived.
    fn of_arrival(&self, arrival: &Arrival) -> Judged {
        let reason = self.known.reason.as_ref().map(Reason::to_string);
        // Surely after the deadline: it was not there at the last look before.
        let earliest = arrival.at.map(|at| arrival.seen.not_before.map_or(at, |last| last.min(at)));
        let is_late = match (earliest, self.soft, self.hard) {
            (Some(earliest), soft, Some(hard)) if earliest >= hard => {
                let from = soft.unwrap_or(hard).min(hard);
                self.options.bounce_path
                    && !self.options.eyes.is_nobody()
                    && self.options.eyes.blind_between(from, hard, arrival.at).is_empty()
            }
            _ => false,
        };
        Judged::settled(if is_late { State::Late } else { State::Arrived }, reason)
    }

    /// The state of a probe that has not arrived.
    fn without_arrival(&self) -> Judged {
        let words = |heard: &Heard| Some(heard.reason.to_string());
        if let Some(heard) = &self.known.bounced {
            return Judged::settled(State::Bounced, words(heard));
        }
        if let Some(heard) = &self.known.delivered {
            return Judged::settled(State::Delivered, words(heard));
        }
        if let Some(heard) = &self.known.held {
            return Judged::settled(State::Held, words(heard));
        }
        if let (Some(delay), Some(hard)) = (self.delay, self.hard) {
            return if self.now < hard {
                Judged::until(hard, State::Delayed, Some(delay.reason.to_string()))
            } else {
                let why = format!("nothing arrived after a delay ({})", delay.reason);
                self.after_the_end(hard, State::Delayed, Some(delay.reason.to_string()), why)
            };
        }
        let reason = self.known.reason.as_ref().map(Reason::to_string);
        if let Some(accepted_at) = self.accepted_at {
            return self.of_accepted(accepted_at, reason);
        }
        if self.known.hand_over == HandOver::InDoubt {
            return Judged::settled(State::InDoubt, reason);
        }
        if let Some(why) = &self.known.cancelled {
            return Judged::settled(State::Cancelled, Some(why.to_string()));
        }
        match self.known.hand_over {
            HandOver::Deferred => Judged::settled(State::Deferred, reason),
            HandOver::Refused => Judged::settled(State::Refused, reason),
            HandOver::InDoubt | HandOver::Accepted => Judged::settled(State::InDoubt, reason),
            HandOver::Nothing => self.never_begun(),
            HandOver::Sending => {
                let end = self.known.attempt_at.map(|at| self.deadline(at, self.options.lost_after));
                match end {
                    // The process that sent it ended before it wrote how: nobody knows.
                    Some(end) if end <= self.now => {
                        let why = "no outcome of the attempt was recorded".to_owned();
                        Judged::settled(State::InDoubt, Some(why))
                    }
                    Some(end) => Judged::until(end, State::Sending, reason),
                    None => Judged::settled(State::Sending, reason),
                }
            }
        }
    }

    /// The state of a probe of which no attempt was recorded.
    fn never_begun(&self) -> Judged {
        match self.known.planned_at.map(|at| self.deadline(at, self.options.lost_after)) {
            // An attempt is written down before its first byte leaves: nothing did.
            Some(end) if end <= self.now => {
                Judged::settled(State::Cancelled, Some("its time passed and nothing was sent".to_owned()))
            }
            Some(end) => Judged::until(end, State::Planned, None),
            None => Judged::settled(State::Sending, None),
        }
    }

    /// The state of a probe that was taken, of which nothing more was heard.
    fn of_accepted(&self, accepted_at: Timestamp, reason: Option<String>) -> Judged {
        let passage = self.known.passed_on.map(|(_, how)| how.meaning());
        let state = if passage.is_some() { State::InTransit } else { State::Accepted };
        let words = passage.map(str::to_owned).or_else(|| reason.clone());
        let hard = self.hard.unwrap_or(accepted_at);
        let soft = self.soft.unwrap_or(hard).min(hard);
        if self.now >= hard {
            let waited = self.options.hard().as_secs_f64();
            let taken = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let passed_on = passage.map(|words| format!("; {words}")).unwrap_or_default();
            let why = format!("nothing arrived within {waited} s after it was accepted{taken}{passed_on}");
            return self.after_the_end(hard, state, words, why);
        }
        if !self.options.expectation.is_to_arrive() {
            return Judged::until(hard, state, words);
        }
        if self.now < soft {
            return Judged::until(soft, state, words);
        }
        let eyes = &self.options.eyes;
        if eyes.has_looked_since(soft, limits::PROBE_DELAY) {
            let why =
                format!("not seen within {} s after it was accepted", self.options.soft().as_secs_f64());
            return Judged::until(hard, State::Overdue, Some(why));
        }
        if eyes.is_nobody() {
            return Judged::until(hard, state, words);
        }
        let again = self.again().min(hard);
        match self.closed_eyes() {
            Some(why) => Judged::until(again, State::Unobserved, Some(why)),
            None => Judged::until(again, state, words),
        }
    }

    /// The state once time is over: lost only if we looked.
    fn after_the_end(&self, hard: Timestamp, before: State, words: Option<String>, why: String) -> Judged {
        let eyes = &self.options.eyes;
        if eyes.is_nobody() {
            let why = "nobody watches where it should arrive".to_owned();
            return Judged::settled(State::Unobserved, Some(why));
        }
        if !eyes.has_looked_since(hard, limits::PROBE_DELAY) {
            if self.now >= hard.after(limits::PROBE_DELAY) {
                let names: Vec<&str> = eyes.eyes.iter().map(|eye| eye.name.as_str()).collect();
                let why = format!("our eyes were closed when its time was over: {}", names.join(", "));
                return Judged::settled(State::Unobserved, Some(why));
            }
            let again = self.again().min(hard.after(limits::PROBE_DELAY));
            return match self.closed_eyes() {
                Some(why) => Judged::until(again, State::Unobserved, Some(why)),
                // The next look decides.
                None => Judged::until(again, before, words),
            };
        }
        let from = self.soft.unwrap_or(hard).min(hard);
        let blind = eyes.blind_between(from, hard, None);
        if !blind.is_empty() {
            let why = format!("our eyes were closed for a part of the time: {}", blind.join(", "));
            return Judged::settled(State::Unobserved, Some(why));
        }
        let needs_an_answer =
            !matches!(self.options.expectation, Expectation::Stopped | Expectation::NotUnmarkedInInbox);
        if !self.options.bounce_path && needs_an_answer {
            let why = "no bounce path: what comes back does not reach us".to_owned();
            return Judged::settled(State::Unobserved, Some(why));
        }
        Judged::settled(State::Lost, Some(why))
    }

    /// When to judge again what waits for a look: soon, or once the next eye counts as closed.
    fn again(&self) -> Timestamp {
        let soon = self.now.after(limits::PROBE_RECHECK);
        self.options
            .eyes
            .closings()
            .filter(|closing| *closing > self.now)
            .min()
            .map_or(soon, |at| at.min(soon))
    }

    /// Says which eyes are closed now; `None`: all are open.
    fn closed_eyes(&self) -> Option<String> {
        let closed = self.options.eyes.closed_at(self.now);
        if closed.is_empty() {
            return None;
        }
        let words = closed.into_iter().map(|(name, last)| match last {
            Some(last) => format!("{name} since {}", last.rfc3339()),
            None => format!("{name} never looked"),
        });
        Some(format!("our eyes are closed: {}", words.collect::<Vec<_>>().join(", ")))
    }
}

// ---- Probes that must not get through ----

/// Phases of the dialogue in which the far end judges the mail, and not the connection.
const OF_THE_MAIL: [&str; 5] = ["mail", "rcpt", "data", "body", "dot"];

impl View<'_> {
    /// What a state means where something else than an arrival is wanted.
    fn as_wanted(&self, judged: Judged) -> Judged {
        match self.options.expectation {
            Expectation::Arrives => judged,
            Expectation::Stopped => self.as_stopped(judged),
            Expectation::Bounces => self.as_bounce(judged),
            Expectation::NotUnmarkedInInbox => self.as_kept_out(judged),
            Expectation::ArrivesFailingSpf => self.as_failing(judged, "SPF", |arrival| &arrival.seen.spf),
            Expectation::ArrivesFailingDkim => self.as_failing(judged, "DKIM", |arrival| &arrival.seen.dkim),
        }
    }

    /// True if the far end refused the mail itself.
    fn is_mail_refused(&self) -> bool {
        let phase = self.known.reason.as_ref().and_then(|reason| reason.phase.as_deref());
        phase.is_some_and(|phase| OF_THE_MAIL.contains(&phase))
    }

    fn as_stopped(&self, judged: Judged) -> Judged {
        match judged.state {
            State::Arrived | State::Late => escaped("it arrived", judged.reason),
            State::Delivered => escaped("it was delivered", judged.reason),
            // Whatever became of it afterwards.
            State::Accepted | State::InTransit | State::Delayed | State::Lost | State::Unobserved
                if self.known.passed_on.is_some() =>
            {
                escaped("it was passed on", judged.reason)
            }
            State::Refused if self.is_mail_refused() => as_expected("refused", judged.reason),
            State::Bounced => as_expected("it came back", judged.reason),
            State::Held => as_expected("held", judged.reason),
            State::Lost => as_expected("stopped without a word", judged.reason),
            _ => judged,
        }
    }

    fn as_bounce(&self, judged: Judged) -> Judged {
        match judged.state {
            State::Arrived | State::Late => escaped("it arrived", judged.reason),
            State::Delivered => escaped("it was delivered", judged.reason),
            State::Refused if self.is_mail_refused() => as_expected("refused", judged.reason),
            State::Bounced => match self.bounced_too_late() {
                Some(waited) => escaped(&format!("it came back only after {waited} s"), judged.reason),
                None => as_expected("it came back", judged.reason),
            },
            State::Lost => escaped("nothing came back", judged.reason),
            _ => judged,
        }
    }

    /// Seconds after which it came back, if that was surely too late.
    fn bounced_too_late(&self) -> Option<i64> {
        let (from, within) = (self.accepted_at?, self.options.within?);
        let end = self.deadline(from, within);
        let heard_at = self.known.bounced.as_ref()?.at;
        let eyes = &self.options.eyes;
        let is_seen = !eyes.is_nobody() && eyes.blind_between(from, end, Some(heard_at)).is_empty();
        (heard_at > end && is_seen).then(|| heard_at.ms_since(from) / 1_000)
    }

    fn as_kept_out(&self, judged: Judged) -> Judged {
        let arrival = self.arrival.map(|arrival| (arrival.seen.place, arrival.seen.is_marked));
        match (judged.state, arrival) {
            (State::Arrived | State::Late, Some((MailPlace::Spam, _))) => {
                as_expected("it is in the folder for spam", judged.reason)
            }
            (State::Arrived | State::Late, Some((_, Some(true)))) => {
                as_expected("it arrived marked", judged.reason)
            }
            (
                State::Arrived | State::Late,
                Some((MailPlace::Inbox | MailPlace::Category | MailPlace::Sink, _)),
            ) => escaped("it arrived unmarked", judged.reason),
            (State::Refused, _) if self.is_mail_refused() => as_expected("refused", judged.reason),
            (State::Bounced, _) => as_expected("it came back", judged.reason),
            (State::Held, _) => as_expected("held", judged.reason),
            (State::Lost, _) => as_expected("stopped without a word", judged.reason),
            _ => judged,
        }
    }

    fn as_failing(&self, judged: Judged, what: &str, word: impl Fn(&Arrival) -> &Option<String>) -> Judged {
        let Some(arrival) = self.arrival else { return judged };
        let words = self.known.arrivals.iter().filter(|other| is_copy(other, arrival));
        let word = word(arrival).as_ref().or_else(|| words.filter_map(|other| word(other).as_ref()).min());
        match word.map(String::as_str) {
            Some("pass") => escaped(&format!("its receiver says that {what} passes"), judged.reason),
            Some(failing @ ("fail" | "softfail")) => {
                as_expected(&format!("its receiver says {what} {failing}"), judged.reason)
            }
            // A broken signature counts as none (RFC 6376 §6.1); a domain without SPF is no failure of it.
            Some(failing @ ("none" | "neutral" | "permerror" | "policy")) if what == "DKIM" => {
                as_expected(&format!("its receiver says {what} {failing}"), judged.reason)
            }
            other => {
                let said = other.map_or_else(
                    || format!("its receiver says nothing of {what}"),
                    |word| format!("its receiver says {what} {word}"),
                );
                Judged { reason: Some(with(&said, judged.reason)), ..judged }
            }
        }
    }
}

fn as_expected(why: &str, reason: Option<String>) -> Judged {
    Judged::settled(State::AsExpected, Some(with(why, reason)))
}

fn escaped(why: &str, reason: Option<String>) -> Judged {
    Judged::settled(State::Escaped, Some(with(why, reason)))
}

/// Our words, then those of the far end.
fn with(why: &str, reason: Option<String>) -> String {
    match reason {
        Some(reason) => format!("{why} ({reason})"),
        None => why.to_owned(),
    }
}

// ---- Arrivals ----

/// True if both are copies of one mail: the same label of a mailbox, the same newest Received field.
fn is_copy(one: &Arrival, other: &Arrival) -> bool {
    one.message == other.message || (one.seen.copy_of.is_some() && one.seen.copy_of == other.seen.copy_of)
}

/// Arrivals, copies of one mail together.
fn groups(arrivals: &[Arrival]) -> Vec<Vec<&Arrival>> {
    let mut groups: Vec<Vec<&Arrival>> = Vec::new();
    for arrival in arrivals {
        match groups.iter_mut().find(|group| group.iter().any(|other| is_copy(other, arrival))) {
            Some(group) => group.push(arrival),
            None => groups.push(vec![arrival]),
        }
    }
    groups
}

/// Known times first, then early ones.
fn order(arrival: &Arrival) -> (bool, Option<Timestamp>, MailPlace, crate::mail::MessageId) {
    (arrival.at.is_none(), arrival.at, arrival.seen.place, arrival.message)
}

/// The copy that tells where the mail arrived: the first one. Another folder (an archive, the view of all mail) counts
/// only where nothing else is.
fn first_of_copies(group: Vec<&Arrival>) -> Option<&Arrival> {
    group.into_iter().min_by_key(|arrival| (arrival.seen.place == MailPlace::Other, order(arrival)))
}

/// True if a jump of the clock lies between two instants.
fn is_between(at: Timestamp, ms: i64, from: Timestamp, to: Timestamp) -> bool {
    let before = at.ms().saturating_sub(ms.max(0));
    at > from && before <= to.ms()
}
