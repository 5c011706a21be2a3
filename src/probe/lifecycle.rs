//! From the events of a probe to its verdict: a pure function of (events, options, now).
//!
//! Events are only ever added. [`step`] folds one into what is known, [`verdict`] looks at the
//! clock. So a verdict can be told again for any instant, and late evidence changes it without
//! taking back what was written.
//!
//! What is known after each event (`–`: unchanged; the last column is the verdict once `lost_after`
//! has passed):
//!
//! | known | sending | accepted | refused | deferred | in_doubt | arrived | replayed | bounced | delayed | delivered | passed on | deadline |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | sending | – | accepted | refused | deferred | in_doubt | arrived | – | bounced | delayed | delivered | accepted | in_doubt |
//! | deferred | sending | accepted | refused | – | in_doubt | arrived | – | bounced | delayed | delivered | accepted | deferred |
//! | refused | sending | accepted | – | deferred | in_doubt | arrived | – | bounced | delayed | delivered | accepted | refused |
//! | in_doubt | – | accepted | – | – | – | arrived | – | bounced | delayed | delivered | accepted | in_doubt |
//! | accepted | – | – | – | – | – | arrived, late | – | bounced | delayed | delivered | – | lost |
//! | delayed | – | – | – | – | – | arrived, late | – | bounced | – | delivered | – | lost |
//! | delivered | – | – | – | – | – | arrived, late | – | bounced | – | – | – | delivered |
//! | bounced | – | – | – | – | – | arrived, late | – | – | – | – | – | bounced |
//! | arrived, late | – | arrived, late | – | – | – | – | – | – | – | – | arrived, late | arrived, late |
//!
//! Three answers, not two: a connection lost between our last dot and the reply leaves the probe
//! **in doubt**. It is not sent again (RFC 5321 §4.5.4.1 would allow it, but then a second copy
//! would be ours) and never counts as lost: what is not known is not a failure. Only what the far
//! end took (250) can be lost. **Late** arrived after it was lost. An arrival always wins, also
//! over a refusal or a bounce: then the far end said one thing and did another ([`Verdict::contradicts_reply`]).
//! A **delay** is no failure: the probe is waited for as long as the host says that it tries, at most
//! [`limits::PROBE_DELAY`]. **Delivered** is the far end's word where nobody of ours saw the arrival. **Passed on**
//! (relayed or expanded, RFC 3464 §2.3.3) shows that it was taken, and that its host says no more.

mod expectation;

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::MessageId;

pub use expectation::Expectation;

// ---- Events ----

/// One thing that happened to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, by our clock.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An attempt began.
    Sending,
    /// The far end replied 250 to the final dot.
    Accepted(Reason),
    /// It replied 5xx, or cannot take such a message at all.
    Refused(Reason),
    /// It replied 4xx, or the connection failed before the final dot.
    Deferred(Reason),
    /// The connection was lost after the final dot and before the reply.
    InDoubt(Reason),
    /// A message with the token arrived.
    Arrived {
        /// The received message.
        message: MessageId,
        /// False where nobody knows when it arrived: it was imported.
        is_timed: bool,
    },
    /// A message with the token came that cannot be the probe itself.
    Replayed {
        /// The received message.
        message: MessageId,
    },
    /// A mail came back that says that it will not be delivered.
    Bounced {
        /// The received message.
        message: MessageId,
        /// Why.
        reason: Reason,
    },
    /// A mail came back that says that it waits.
    Delayed {
        /// The received message.
        message: MessageId,
        /// Why.
        reason: Reason,
        /// Until when the host goes on trying, where it says so.
        until: Option<Timestamp>,
    },
    /// A mail came back that says that it went on to hosts that do not report.
    PassedOn {
        /// The received message.
        message: MessageId,
        /// How.
        how: Passage,
        /// In the words of the mail.
        reason: Reason,
    },
    /// A mail came back that says or shows that it was delivered.
    Delivered {
        /// The received message.
        message: MessageId,
        /// How it shows.
        reason: Reason,
    },
}

/// How a message left the host that reports of it (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Passage {
    /// To a host that does not report.
    Relayed,
    /// To several addresses.
    Expanded,
}

impl Passage {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }

    /// What it means for the wait, in words.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Relayed => "relayed to a host that does not report",
            Self::Expanded => "sent on to several addresses, of which nothing more is reported",
        }
    }
}

impl What {
    /// The word in the store and in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::Deferred(_) => "deferred",
            Self::InDoubt(_) => "in_doubt",
            Self::Arrived { .. } => "arrived",
            Self::Replayed { .. } => "replayed",
            Self::Bounced { .. } => "bounced",
            Self::Delayed { .. } => "delayed",
            Self::PassedOn { how, .. } => how.as_str(),
            Self::Delivered { .. } => "delivered",
        }
    }

    /// The reason, where there is one.
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted(reason)
            | Self::Refused(reason)
            | Self::Deferred(reason)
            | Self::InDoubt(reason)
            | Self::Bounced { reason, .. }
            | Self::Delayed { reason, .. }
            | Self::PassedOn { reason, .. }
            | Self::Delivered { reason, .. } => Some(reason),
            Self::Sending | Self::Arrived { .. } | Self::Replayed { .. } => None,
        }
    }
}

/// Why an attempt ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reason {
    /// The phase of the dialogue: `connect`, `tls`, `rcpt`, …
    pub phase: Option<String>,
    /// The reply code (RFC 5321 §4.2).
    pub code: Option<u16>,
    /// The enhanced status code (RFC 3463 §2), as written.
    pub enhanced: Option<String>,
    /// The text of the reply, or our words for what happened.
    pub text: String,
}

impl fmt::Display for Reason {
    /// `rcpt: 550 5.1.1 no such user`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(phase) = &self.phase {
            write!(f, "{phase}: ")?;
        }
        if let Some(code) = self.code {
            write!(f, "{code} ")?;
        }
        if let Some(enhanced) = &self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        f.write_str(&self.text)
    }
}

// ---- Verdict ----

/// The state of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// An attempt is under way.
    Sending,
    /// The far end put it off; it was not handed over.
    Deferred,
    /// The far end refused it.
    Refused,
    /// Nobody knows whether the far end took it.
    InDoubt,
    /// The far end took it; it has not arrived yet.
    Accepted,
    /// It arrived.
    Arrived,
    /// It was taken and did not arrive in time.
    Lost,
    /// It arrived after it was lost.
    Late,
    /// It came back.
    Bounced,
    /// It waits in a queue of the far end, which said so.
    Delayed,
    /// The far end says that it was delivered; nobody of ours saw it arrive.
    Delivered,
}

impl State {
    /// All states.
    pub const ALL: [Self; 11] = [
        Self::Sending,
        Self::Deferred,
        Self::Refused,
        Self::InDoubt,
        Self::Accepted,
        Self::Arrived,
        Self::Lost,
        Self::Late,
        Self::Bounced,
        Self::Delayed,
        Self::Delivered,
    ];

    /// The word in the store, in tables and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
            Self::InDoubt => "in_doubt",
            Self::Accepted => "accepted",
            Self::Arrived => "arrived",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Bounced => "bounced",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// True if time alone may change it: someone should wait for this probe.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Sending | Self::Accepted | Self::Delayed)
    }
}

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
    /// When the first attempt began; `None` without any event.
    pub sent_at: Option<Timestamp>,
    /// When the far end took it.
    pub accepted_at: Option<Timestamp>,
    /// When it first arrived; `None` where nobody knows.
    pub arrived_at: Option<Timestamp>,
    /// From `sent_at` to `arrived_at`; `None` where one is not known or the clock was set between.
    pub latency: Option<Latency>,
    /// When it is or was lost, if nothing comes.
    pub lost_at: Option<Timestamp>,
    /// Why it has this state, in words.
    pub reason: Option<String>,
    /// Arrivals after the first one.
    pub duplicates: u64,
    /// Messages with the token that cannot be the probe itself.
    pub replays: u64,
    /// True if it arrived although the far end refused or deferred it, or sent it back.
    pub contradicts_reply: bool,
}

/// What a verdict depends on beside the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long after the far end took it a probe is lost.
    pub lost_after: Duration,
}

// ---- Fold ----

/// How far the hand-over came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandOver {
    /// An attempt is under way, or none was recorded.
    Sending,
    /// Put off.
    Deferred,
    /// Refused.
    Refused,
    /// In doubt since.
    InDoubt,
    /// Taken.
    Accepted,
}

/// One arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    /// The received message.
    message: MessageId,
    /// When, if known.
    at: Option<Timestamp>,
}

/// What is known of a probe after some of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// How far the hand-over came.
    hand_over: HandOver,
    /// When the first attempt began.
    sent_at: Option<Timestamp>,
    /// When the last attempt began.
    attempt_at: Option<Timestamp>,
    /// When it was taken.
    accepted_at: Option<Timestamp>,
    /// Why the hand-over stands where it does.
    reason: Option<Reason>,
    /// Arrivals, each message once.
    arrivals: Vec<Arrival>,
    /// Replays, each message once.
    replays: Vec<MessageId>,
    /// Why it came back.
    bounced: Option<Reason>,
    /// Delays, in the order in which we heard of them.
    delays: Vec<Delay>,
    /// How it left the host that reports.
    passed_on: Option<Passage>,
    /// How it shows that it was delivered.
    delivered: Option<Reason>,
}

/// One delay.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Delay {
    /// When we heard of it.
    at: Timestamp,
    /// Until when the host goes on trying.
    until: Option<Timestamp>,
    /// Why.
    reason: Reason,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            hand_over: HandOver::Sending,
            sent_at: None,
            attempt_at: None,
            accepted_at: None,
            reason: None,
            arrivals: Vec::new(),
            replays: Vec::new(),
            bounced: None,
            delays: Vec::new(),
            passed_on: None,
            delivered: None,
        }
    }
}

/// Folds one event into what is known: the table of the module.
///
/// The same received message told twice is one arrival; another one is a duplicate.
pub fn step(mut known: Known, event: &Event) -> Known {
    let next = match &event.what {
        What::Sending => {
            known.sent_at = Some(known.sent_at.map_or(event.at, |at| at.min(event.at)));
            known.attempt_at = Some(event.at);
            HandOver::Sending
        }
        What::Accepted(_) => HandOver::Accepted,
        What::Refused(_) => HandOver::Refused,
        What::Deferred(_) => HandOver::Deferred,
        What::InDoubt(_) => HandOver::InDoubt,
        What::Arrived { message, is_timed } => {
            let at = is_timed.then_some(event.at);
            match known.arrivals.iter_mut().find(|arrival| arrival.message == *message) {
                Some(arrival) => arrival.at = arrival.at.or(at),
                None => known.arrivals.push(Arrival { message: *message, at }),
            }
            return known;
        }
        What::Replayed { message } => {
            if !known.replays.contains(message) {
                known.replays.push(*message);
            }
            return known;
        }
        What::Bounced { reason, .. } => {
            known.bounced.get_or_insert_with(|| reason.clone());
            return known;
        }
        What::Delayed { reason, until, .. } => {
            known.delays.push(Delay { at: event.at, until: *until, reason: reason.clone() });
            return known;
        }
        What::PassedOn { how, .. } => {
            known.passed_on.get_or_insert(*how);
            // Whoever passes it on has taken it.
            HandOver::Accepted
        }
        What::Delivered { reason, .. } => {
            known.delivered.get_or_insert_with(|| reason.clone());
            return known;
        }
    };
    let is_settled = match known.hand_over {
        // What was taken stays taken, whatever is written later.
        HandOver::Accepted => true,
        // Only better evidence ends a doubt.
        HandOver::InDoubt => next != HandOver::Accepted,
        HandOver::Sending | HandOver::Deferred | HandOver::Refused => false,
    };
    if !is_settled {
        known.hand_over = next;
        known.reason = event.what.reason().cloned();
        if next == HandOver::Accepted {
            known.accepted_at = Some(event.at);
        }
    }
    known
}

/// The verdict on what is known, at one instant.
pub fn verdict(known: &Known, options: Options, now: Timestamp) -> Verdict {
    let first = known.arrivals.iter().filter_map(|arrival| arrival.at).min();
    let lost_at = lost_at(known, options, first);
    let (state, reason) = if known.arrivals.is_empty() {
        without_arrival(known, options, lost_at, now)
    } else {
        let is_late = matches!((first, lost_at), (Some(arrived), Some(lost)) if arrived >= lost);
        (if is_late { State::Late } else { State::Arrived }, known.reason.as_ref().map(Reason::to_string))
    };
    let latency = match (known.sent_at, first) {
        (Some(sent), Some(arrived)) => Some(Latency { ms: arrived.ms_since(sent), error_ms: 0 }),
        _ => None,
    };
    Verdict {
        state,
        sent_at: known.sent_at,
        accepted_at: known.accepted_at,
        arrived_at: first,
        // Less than nothing: our clock was set back in between, so the duration is not known.
        latency: latency.filter(|latency| latency.ms >= 0),
        lost_at,
        reason,
        duplicates: u64::try_from(known.arrivals.len().saturating_sub(1)).unwrap_or(u64::MAX),
        replays: u64::try_from(known.replays.len()).unwrap_or(u64::MAX),
        contradicts_reply: !known.arrivals.is_empty()
            && (known.bounced.is_some() || matches!(known.hand_over, HandOver::Refused | HandOver::Deferred)),
    }
}

/// The last delay; one of which we heard after the probe arrived says nothing new.
fn last_delay(known: &Known, arrived_at: Option<Timestamp>) -> Option<&Delay> {
    let is_new = |delay: &&Delay| arrived_at.is_none_or(|arrived| delay.at <= arrived);
    known.delays.iter().filter(is_new).max_by_key(|delay| delay.at)
}

/// When a probe is lost, if nothing comes: after its time, or once the host that holds it gives up.
fn lost_at(known: &Known, options: Options, arrived_at: Option<Timestamp>) -> Option<Timestamp> {
    let of_acceptance = match known.hand_over {
        HandOver::Accepted => known.accepted_at.map(|at| at.after(options.lost_after)),
        _ => None,
    };
    let of_delay = last_delay(known, arrived_at).map(|delay| {
        let until = delay.until.unwrap_or_else(|| delay.at.after(options.lost_after));
        until.min(delay.at.after(limits::PROBE_DELAY))
    });
    of_acceptance.max(of_delay)
}

/// State and reason of a probe that has not arrived.
fn without_arrival(
    known: &Known,
    options: Options,
    lost_at: Option<Timestamp>,
    now: Timestamp,
) -> (State, Option<String>) {
    if let Some(reason) = &known.bounced {
        return (State::Bounced, Some(reason.to_string()));
    }
    if let Some(reason) = &known.delivered {
        return (State::Delivered, Some(reason.to_string()));
    }
    if let Some(delay) = last_delay(known, None) {
        let reason = &delay.reason;
        return match lost_at {
            Some(lost_at) if lost_at <= now => {
                (State::Lost, Some(format!("nothing arrived after a delay ({reason})")))
            }
            _ => (State::Delayed, Some(reason.to_string())),
        };
    }
    let reason = known.reason.as_ref().map(Reason::to_string);
    match known.hand_over {
        HandOver::Sending => match known.attempt_at {
            // The process that sent it ended before it wrote how: nobody knows.
            Some(at) if at.after(options.lost_after) <= now => {
                (State::InDoubt, Some("no outcome of the attempt was recorded".to_owned()))
            }
            _ => (State::Sending, reason),
        },
        HandOver::Deferred => (State::Deferred, reason),
        HandOver::Refused => (State::Refused, reason),
        HandOver::InDoubt => (State::InDoubt, reason),
        HandOver::Accepted => {
            let passed_on = known.passed_on.map(Passage::meaning);
            match lost_at {
                Some(lost_at) if lost_at <= now => {
                    let waited = options.lost_after.as_secs_f64();
                    let taken = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                    let passed_on = passed_on.map(|words| format!("; {words}")).unwrap_or_default();
                    let text =
                        format!("nothing arrived within {waited} s after it was accepted{taken}{passed_on}");
                    (State::Lost, Some(text))
                }
                _ => (State::Accepted, passed_on.map(str::to_owned).or(reason)),
            }
        }
    }
}

/// The verdict on a list of events, at one instant.
pub fn judge(events: &[Event], options: Options, now: Timestamp) -> Verdict {
    verdict(&events.iter().fold(Known::default(), step), options, now)
}

#[cfg(test)]
mod tests;
