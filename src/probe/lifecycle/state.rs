//! The states of a probe, and what Microsoft and Google call them.

/// The state of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It is to be sent.
    Planned,
    /// An attempt is under way.
    Sending,
    /// The far end put it off; it was not handed over.
    Deferred,
    /// The far end refused it, or put it off until we gave up.
    Refused,
    /// Nobody knows whether the far end took it.
    InDoubt,
    /// The far end took it; it has not arrived yet.
    Accepted,
    /// A host beyond the first told of it.
    InTransit,
    /// The soft deadline passed, we looked, and it is not there.
    Overdue,
    /// It waits in a queue of the far end, which said so.
    Delayed,
    /// Somebody must decide before it goes on.
    Held,
    /// It arrived.
    Arrived,
    /// It came back.
    Bounced,
    /// It was taken and did not arrive in time, although we looked.
    Lost,
    /// It arrived after it was lost.
    Late,
    /// It did not arrive in time, but our eyes were closed or nothing could come back: nobody knows.
    Unobserved,
    /// The far end says that it was delivered; nobody of ours saw it arrive.
    Delivered,
    /// It must not get through, and did not.
    AsExpected,
    /// It must not get through, and did.
    Escaped,
    /// It was not sent, by our own decision.
    Cancelled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 19] = [
        Self::Planned,
        Self::Sending,
        Self::Deferred,
        Self::Refused,
        Self::InDoubt,
        Self::Accepted,
        Self::InTransit,
        Self::Overdue,
        Self::Delayed,
        Self::Held,
        Self::Arrived,
        Self::Bounced,
        Self::Lost,
        Self::Late,
        Self::Unobserved,
        Self::Delivered,
        Self::AsExpected,
        Self::Escaped,
        Self::Cancelled,
    ];

    /// The word in the store, in tables and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
            Self::InDoubt => "in_doubt",
            Self::Accepted => "accepted",
            Self::InTransit => "in_transit",
            Self::Overdue => "overdue",
            Self::Delayed => "delayed",
            Self::Held => "held",
            Self::Arrived => "arrived",
            Self::Bounced => "bounced",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Unobserved => "unobserved",
            Self::Delivered => "delivered",
            Self::AsExpected => "as_expected",
            Self::Escaped => "escaped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// True if time alone may change it: someone should wait for this probe.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::Planned | Self::Sending | Self::Accepted | Self::InTransit | Self::Overdue | Self::Delayed
        )
    }

    /// The status of Microsoft's message trace that comes nearest; `None` where it has none.
    ///
    /// `is_in_spam`: it arrived in the folder for spam.
    pub const fn microsoft(self, is_in_spam: bool) -> Option<&'static str> {
        match self {
            Self::Arrived | Self::Late if is_in_spam => Some("Filtered as spam"),
            Self::Arrived | Self::Late | Self::Delivered => Some("Delivered"),
            Self::InDoubt => Some("Getting status"),
            Self::Deferred | Self::Accepted | Self::InTransit | Self::Overdue | Self::Delayed => {
                Some("Pending")
            }
            Self::Held => Some("Quarantined"),
            Self::Bounced => Some("Failed"),
            Self::Planned
            | Self::Sending
            | Self::Refused
            | Self::Lost
            | Self::Unobserved
            | Self::AsExpected
            | Self::Escaped
            | Self::Cancelled => None,
        }
    }

    /// The word of Google's e-mail log search that comes nearest; `None` where it has none.
    ///
    /// `is_in_spam`: it arrived in the folder for spam.
    pub const fn google(self, is_in_spam: bool) -> Option<&'static str> {
        match self {
            Self::Arrived | Self::Late if is_in_spam => Some("Marked spam"),
            Self::Arrived | Self::Late | Self::Delivered => Some("Delivered"),
            Self::Accepted | Self::InTransit | Self::Delayed => Some("In progress"),
            Self::Held => Some("Quarantined"),
            Self::Bounced | Self::Refused => Some("Bounced"),
            Self::Planned
            | Self::Sending
            | Self::Deferred
            | Self::InDoubt
            | Self::Overdue
            | Self::Lost
            | Self::Unobserved
            | Self::AsExpected
            | Self::Escaped
            | Self::Cancelled => None,
        }
    }
}
