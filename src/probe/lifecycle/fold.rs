//! What is known of a probe after some of its events.
//!
//! The steps of our own dialogue come in their order. Everything else is kept so that its order does not matter.

use super::{Event, Passage, Reason, Seen, What};
use super::{MailPlace, Timestamp};
use crate::mail::MessageId;

/// How far the hand-over came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandOver {
    /// Nothing was recorded.
    Nothing,
    /// An attempt is under way.
    Sending,
    /// Put off.
    Deferred,
    /// Refused, or given up.
    Refused,
    /// In doubt.
    InDoubt,
    /// Taken.
    Accepted,
}

/// One arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The received message.
    pub(super) message: MessageId,
    /// When it was seen, if known.
    pub(super) at: Option<Timestamp>,
    /// Where and by whom.
    pub(super) seen: Seen,
}

/// One thing that a mail told, and when we heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    /// When we heard of it.
    pub(super) at: Timestamp,
    /// The mail's words.
    pub(super) reason: Reason,
}

/// One delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delay {
    /// When we heard of it.
    pub(super) at: Timestamp,
    /// Until when the host goes on trying.
    pub(super) until: Option<Timestamp>,
    /// Why.
    pub(super) reason: Reason,
}

/// A jump of our own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Jump {
    /// The clock after it.
    pub(super) at: Timestamp,
    /// By how much it went on more than time did.
    pub(super) ms: i64,
}

/// What is known of a probe after some of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// How far the hand-over came.
    pub(super) hand_over: HandOver,
    /// Why it stands there.
    pub(super) reason: Option<Reason>,
    /// When it was planned.
    pub(super) planned_at: Option<Timestamp>,
    /// When the first attempt began.
    pub(super) sent_at: Option<Timestamp>,
    /// When the last attempt began.
    pub(super) attempt_at: Option<Timestamp>,
    /// When it was taken, by the dialogue.
    pub(super) taken_at: Option<Timestamp>,
    /// Why it was cancelled.
    pub(super) cancelled: Option<Reason>,
    /// Arrivals, each message once.
    pub(super) arrivals: Vec<Arrival>,
    /// Replays, each message once.
    pub(super) replays: Vec<MessageId>,
    /// Where it was seen later; `None`: gone.
    pub(super) later: Vec<(Timestamp, Option<MailPlace>)>,
    /// Why it came back: what we heard first.
    pub(super) bounced: Option<Heard>,
    /// Why it is held: what we heard first.
    pub(super) held: Option<Heard>,
    /// Delays.
    pub(super) delays: Vec<Delay>,
    /// How it left the host that reports: what we heard first.
    pub(super) passed_on: Option<(Timestamp, Passage)>,
    /// How it shows that it was delivered: what we heard first.
    pub(super) delivered: Option<Heard>,
    /// Jumps of our own clock.
    pub(super) jumps: Vec<Jump>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            hand_over: HandOver::Nothing,
            reason: None,
            planned_at: None,
            sent_at: None,
            attempt_at: None,
            taken_at: None,
            cancelled: None,
            arrivals: Vec::new(),
            replays: Vec::new(),
            later: Vec::new(),
            bounced: None,
            held: None,
            delays: Vec::new(),
            passed_on: None,
            delivered: None,
            jumps: Vec::new(),
        }
    }
}

/// Keeps the earlier of two things heard; the same instant is decided by their words, so that the order of reading
/// is not.
fn first(known: &mut Option<Heard>, at: Timestamp, reason: &Reason) {
    if known.as_ref().is_none_or(|heard| (at, reason) < (heard.at, &heard.reason)) {
        *known = Some(Heard { at, reason: reason.clone() });
    }
}

/// Folds one event into what is known: the first table of the module.
///
/// The same received message told twice is one arrival; another one is a duplicate.
pub fn step(mut known: Known, event: &Event) -> Known {
    let at = event.at;
    match &event.what {
        What::Planned => known.planned_at = Some(known.planned_at.map_or(at, |known| known.min(at))),
        What::Sending => {
            known.sent_at = Some(known.sent_at.map_or(at, |known| known.min(at)));
            known.attempt_at = Some(at);
            known.come_to(HandOver::Sending, None, at);
        }
        What::Accepted(reason) => known.come_to(HandOver::Accepted, Some(reason), at),
        What::Refused(reason) | What::GivenUp(reason) => known.come_to(HandOver::Refused, Some(reason), at),
        What::Deferred(reason) => known.come_to(HandOver::Deferred, Some(reason), at),
        What::InDoubt(reason) => known.come_to(HandOver::InDoubt, Some(reason), at),
        What::Cancelled(reason) => known.cancelled = Some(reason.clone()),
        What::Arrived { message, is_timed, seen } => {
            let at = is_timed.then_some(at);
            match known.arrivals.iter_mut().find(|arrival| arrival.message == *message) {
                Some(arrival) => arrival.at = arrival.at.into_iter().chain(at).min(),
                None => known.arrivals.push(Arrival { message: *message, at, seen: seen.clone() }),
            }
        }
        What::Replayed { message } => {
            if !known.replays.contains(message) {
                known.replays.push(*message);
            }
        }
        What::Moved { place, .. } => known.later.push((at, Some(*place))),
        What::Vanished { .. } => known.later.push((at, None)),
        What::Bounced { reason, .. } => first(&mut known.bounced, at, reason),
        What::Held { reason, .. } => first(&mut known.held, at, reason),
        What::Delivered { reason, .. } => first(&mut known.delivered, at, reason),
        What::Delayed { reason, until, .. } => {
            known.delays.push(Delay { at, until: *until, reason: reason.clone() });
        }
        What::PassedOn { how, .. } => {
            let new = (at, *how);
            let is_first =
                known.passed_on.is_none_or(|(at, how)| (new.0, new.1.as_str()) < (at, how.as_str()));
            if is_first {
                known.passed_on = Some(new);
            }
        }
        What::Clock { ms } => known.jumps.push(Jump { at, ms: *ms }),
    }
    known
}

impl Known {
    /// Goes on to what the dialogue says.
    fn come_to(&mut self, next: HandOver, reason: Option<&Reason>, at: Timestamp) {
        let is_settled = match self.hand_over {
            // What was taken stays taken, whatever is written later.
            HandOver::Accepted => true,
            // Only better evidence ends a doubt.
            HandOver::InDoubt => next != HandOver::Accepted,
            HandOver::Nothing | HandOver::Sending | HandOver::Deferred | HandOver::Refused => false,
        };
        if !is_settled {
            self.hand_over = next;
            self.reason = reason.cloned();
            if next == HandOver::Accepted {
                self.taken_at = Some(at);
            }
        }
    }
}
