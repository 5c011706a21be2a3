//! From the events of a probe to its verdict: a pure function of (events, options, now).
//!
//! Events are only ever added. [`step`] folds one into what is known, [`verdict`] looks at the clock and at
//! whose eyes were open ([`Observed`]). So a verdict can be told again for any instant, and late evidence
//! changes it without taking back what was written.
//!
//! What the dialogue says is told by ourselves in the order in which it happened, and folded in this order:
//!
//! | known | sending | accepted | refused | given_up | deferred | in_doubt |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | planned, sending, deferred, refused | sending | accepted | refused | refused | deferred | in_doubt |
//! | in_doubt | – | accepted | – | – | – | – |
//! | accepted | – | – | – | – | – | – |
//!
//! What others tell (arrivals, notices, looks) comes in any order and gives the same verdict. The first line
//! that holds decides:
//!
//! | evidence | state |
//! | --- | --- |
//! | it arrived | arrived; late where it was lost before |
//! | it came back | bounced |
//! | the far end says that it was delivered | delivered |
//! | it is held for a decision | held |
//! | a host says that it waits, and until when is not over | delayed |
//! | refused, deferred, in doubt, cancelled | the same |
//! | taken | accepted; in transit once a host beyond the first tells of it |
//! | taken, nothing seen by the soft deadline although we looked | overdue |
//! | the same at the hard deadline | lost; unobserved where we did not look, or nothing could come back |
//!
//! For a probe that must not get through ([`Expectation`]) the same evidence means `as_expected` or `escaped`.
//!
//! Three answers, not two: a connection lost between our last dot and the reply leaves the probe
//! **in doubt**. It is not sent again (RFC 5321 §4.5.4.1 would allow it, but then a second copy
//! would be ours) and never counts as lost: what is not known is not a failure. Only what the far
//! end took (250) can be lost, and only while our eyes were open; else it is **unobserved**. An arrival always
//! wins, also over a refusal or a bounce: then the far end said one thing and did another
//! ([`Verdict::contradicts_reply`]).
//!
//! **Our own clock** may be set, and we may sleep. A [`What::Clock`] on an open probe moves its deadlines by as
//! much, so that they run on the monotonic clock, and widens the latency: a sleep took time, a setting did not,
//! and the two cannot be told apart.

mod expectation;
mod eyes;
mod fold;
mod judge;
mod state;
mod unused;

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::MessageId;

pub use expectation::Expectation;
pub use eyes::{Eye, Observed, Span};
pub use fold::{Known, step};
pub use judge::{Latency, Verdict, judge, verdict};
pub use state::State;
pub use unused::unused;

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
    /// It was planned; nothing was sent yet.
    Planned,
    /// An attempt began.
    Sending,
    /// The far end replied 250 to the final dot.
    Accepted(Reason),
    /// It replied 5xx, or cannot take such a message at all.
    Refused(Reason),
    /// It replied 4xx, or the connection failed before the final dot.
    Deferred(Reason),
    /// It was deferred, and is not tried again.
    GivenUp(Reason),
    /// The connection was lost after the final dot and before the reply.
    InDoubt(Reason),
    /// It is not sent (any more), by our own decision.
    Cancelled(Reason),
    /// A message with the token arrived.
    Arrived {
        /// The received message.
        message: MessageId,
        /// False where nobody knows when it arrived: it was imported.
        is_timed: bool,
        /// Where, and by whom it was seen.
        seen: Seen,
    },
    /// A message with the token came that cannot be the probe itself.
    Replayed {
        /// The received message.
        message: MessageId,
    },
    /// Where it had arrived, it lies elsewhere now.
    Moved {
        /// Whose eyes saw it.
        watcher: String,
        /// Where it lies.
        place: MailPlace,
        /// The folder.
        folder: String,
    },
    /// Where it had arrived, it is gone.
    Vanished {
        /// Whose eyes looked.
        watcher: String,
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
    /// A mail came back that says that somebody must decide first: quarantine, moderation, a challenge.
    Held {
        /// The received message.
        message: MessageId,
        /// Why.
        reason: Reason,
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
    /// Our own clock was set, or we slept.
    Clock {
        /// By how much the wall clock went on more than the monotonic one, milliseconds; negative: it was set back.
        /// The event's time is that of the clock as it stands after it.
        ms: i64,
    },
}

/// Where mail lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum MailPlace {
    /// At our own receiver.
    #[default]
    Sink,
    /// In the inbox of a mailbox.
    Inbox,
    /// In a category of the inbox, as promotions.
    Category,
    /// In its folder for spam.
    Spam,
    /// In another folder.
    Other,
}

impl MailPlace {
    /// All places.
    pub const ALL: [Self; 5] = [Self::Sink, Self::Inbox, Self::Category, Self::Spam, Self::Other];

    /// The word in the store, in tables and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Inbox => "inbox",
            Self::Category => "category",
            Self::Spam => "spam",
            Self::Other => "other",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.as_str() == text)
    }
}

/// Where and by whom an arrival was seen. The default: at our own receiver, with nothing more to say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Where it lay.
    pub place: MailPlace,
    /// Whose eyes saw it, as in [`Eye::name`]; `None` for our own receiver.
    pub watcher: Option<String>,
    /// The folder.
    pub folder: Option<String>,
    /// The last look without it: it arrived between this and the event's time.
    pub not_before: Option<Timestamp>,
    /// What copies of one mail have in common, as the id of its newest Received field: several labels or copies in
    /// a mailbox are one arrival.
    pub copy_of: Option<String>,
    /// True if the receiver marked it as suspicious (a subject tag, a field), false if not; `None`: nobody looked.
    pub is_marked: Option<bool>,
    /// What the receiver says of its authentication, in the words of RFC 8601 §2.7; `None` where it says nothing.
    pub spf: Option<String>,
    /// The same of DKIM.
    pub dkim: Option<String>,
    /// The same of DMARC.
    pub dmarc: Option<String>,
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
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::Deferred(_) => "deferred",
            Self::GivenUp(_) => "given_up",
            Self::InDoubt(_) => "in_doubt",
            Self::Cancelled(_) => "cancelled",
            Self::Arrived { .. } => "arrived",
            Self::Replayed { .. } => "replayed",
            Self::Moved { .. } => "moved",
            Self::Vanished { .. } => "vanished",
            Self::Bounced { .. } => "bounced",
            Self::Delayed { .. } => "delayed",
            Self::Held { .. } => "held",
            Self::PassedOn { how, .. } => how.as_str(),
            Self::Delivered { .. } => "delivered",
            Self::Clock { .. } => "clock",
        }
    }

    /// The reason, where there is one.
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted(reason)
            | Self::Refused(reason)
            | Self::Deferred(reason)
            | Self::GivenUp(reason)
            | Self::InDoubt(reason)
            | Self::Cancelled(reason)
            | Self::Bounced { reason, .. }
            | Self::Delayed { reason, .. }
            | Self::Held { reason, .. }
            | Self::PassedOn { reason, .. }
            | Self::Delivered { reason, .. } => Some(reason),
            Self::Planned
            | Self::Sending
            | Self::Arrived { .. }
            | Self::Replayed { .. }
            | Self::Moved { .. }
            | Self::Vanished { .. }
            | Self::Clock { .. } => None,
        }
    }

    /// The received message that tells it.
    pub const fn message(&self) -> Option<MessageId> {
        match self {
            Self::Arrived { message, .. }
            | Self::Replayed { message }
            | Self::Bounced { message, .. }
            | Self::Delayed { message, .. }
            | Self::Held { message, .. }
            | Self::PassedOn { message, .. }
            | Self::Delivered { message, .. } => Some(*message),
            _ => None,
        }
    }
}

/// Why an attempt ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord)]
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

// ---- Options ----

/// What a verdict depends on beside the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long after the far end took it a probe is lost: the hard deadline.
    pub lost_after: Duration,
    /// How long after that it is overdue: the soft deadline. Never later than the hard one.
    pub overdue_after: Duration,
    /// What should become of it.
    pub expectation: Expectation,
    /// How long after the far end took it a probe that must not get through is decided; `None`: `lost_after`.
    pub within: Option<Duration>,
    /// Whose eyes watch where it should arrive, and when they were open.
    pub eyes: Observed,
    /// True if a bounce would reach us: without that silence says nothing.
    pub bounce_path: bool,
}

impl Options {
    /// How long after its acceptance time alone decides.
    fn hard(&self) -> Duration {
        match self.within {
            Some(within) if !self.expectation.is_to_arrive() => within,
            _ => self.lost_after,
        }
    }

    /// How long after its acceptance nothing seen means that something is wrong.
    fn soft(&self) -> Duration {
        // A probe that must not get through is watched for from the beginning.
        if self.expectation.is_to_arrive() { self.overdue_after.min(self.hard()) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests;
