//! Which events a verdict does not rest on, and why: for whoever asks how it came about.

use super::{Event, MailPlace, What};
use crate::clock::Timestamp;
use crate::mail::MessageId;

/// Why each event is not used; `None`: it is. As many as there are events, in their order.
///
/// A bounce is told of even where an arrival outweighs it: that contradiction is a flag of the verdict.
pub fn unused(events: &[Event]) -> Vec<Option<String>> {
    let arrived_at = first_arrival(events);
    let mut is_taken = false;
    let mut is_in_doubt = false;
    let mut seen: Vec<(MessageId, Option<&str>)> = Vec::new();
    let mut why = Vec::with_capacity(events.len());
    for event in events {
        let reason = match &event.what {
            What::Sending | What::Refused(_) | What::Deferred(_) | What::GivenUp(_) | What::InDoubt(_)
                if is_taken =>
            {
                Some("it had been taken before".to_owned())
            }
            What::Sending | What::Refused(_) | What::Deferred(_) | What::GivenUp(_) if is_in_doubt => {
                Some("nobody knows how the attempt before ended".to_owned())
            }
            What::Cancelled(_) if is_taken || is_in_doubt || arrived_at.is_some() => {
                Some("it had left before".to_owned())
            }
            What::Delayed { .. } if is_after(arrived_at, event.at) => {
                Some("it had arrived before we heard of it".to_owned())
            }
            What::Delayed { .. } if is_followed_by_a_delay(events, event, arrived_at) => {
                Some("a later notice says more".to_owned())
            }
            What::Bounced { .. } | What::Held { .. } | What::Delivered { .. } | What::PassedOn { .. }
                if arrived_at.is_some() =>
            {
                Some("it arrived".to_owned())
            }
            What::Arrived { is_timed: false, .. } => {
                Some("for its time: it was imported, nobody saw it arrive".to_owned())
            }
            What::Arrived { message, seen: place, .. } => of_copy(&seen, *message, place.copy_of.as_deref()),
            What::Replayed { .. } => Some("it carries the token and cannot be the probe".to_owned()),
            _ => None,
        };
        match &event.what {
            What::Accepted(_) => is_taken = true,
            What::InDoubt(_) => is_in_doubt = true,
            What::Arrived { message, seen: place, .. } => seen.push((*message, place.copy_of.as_deref())),
            _ => {}
        }
        why.push(reason);
    }
    why
}

/// When it was first seen, if known.
fn first_arrival(events: &[Event]) -> Option<Timestamp> {
    let arrivals = events.iter().filter(|event| matches!(event.what, What::Arrived { is_timed: true, .. }));
    arrivals.map(|event| event.at).min()
}

fn is_after(arrived_at: Option<Timestamp>, at: Timestamp) -> bool {
    arrived_at.is_some_and(|arrived| arrived < at)
}

/// True if a later delay counts instead.
fn is_followed_by_a_delay(events: &[Event], event: &Event, arrived_at: Option<Timestamp>) -> bool {
    let is_later = |other: &Event| {
        matches!(other.what, What::Delayed { .. }) && other.at > event.at && !is_after(arrived_at, other.at)
    };
    events.iter().any(is_later)
}

/// Says of which message an arrival is a copy.
fn of_copy(seen: &[(MessageId, Option<&str>)], message: MessageId, copy_of: Option<&str>) -> Option<String> {
    let same =
        |(other, id): &&(MessageId, Option<&str>)| *other == message || (copy_of.is_some() && *id == copy_of);
    seen.iter().find(same).map(|(other, _)| format!("a copy of message {other}"))
}

/// A place in words, for people.
impl MailPlace {
    /// `the inbox`, `the folder for spam`, …
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Sink => "our own receiver",
            Self::Inbox => "the inbox",
            Self::Category => "a category of the inbox",
            Self::Spam => "the folder for spam",
            Self::Other => "another folder",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reason, Seen};
    use super::*;

    #[test]
    fn what_is_not_used_says_why() {
        let at = Timestamp::from_seconds;
        let arrived = |message, copy_of: Option<&str>| What::Arrived {
            message: MessageId(message),
            is_timed: true,
            seen: Seen { copy_of: copy_of.map(str::to_owned), ..Seen::default() },
        };
        let reason = Reason::default;
        let delayed = |message| What::Delayed { message: MessageId(message), reason: reason(), until: None };
        let events: Vec<Event> = [
            (0, What::Sending),
            (1, What::Accepted(reason())),
            (2, What::Refused(reason())),
            (3, delayed(1)),
            (4, delayed(2)),
            (5, arrived(3, Some("a"))),
            (6, arrived(4, Some("a"))),
            (7, delayed(5)),
            (8, What::Replayed { message: MessageId(6) }),
        ]
        .into_iter()
        .map(|(second, what)| Event { at: at(second), what })
        .collect();
        let words: Vec<String> =
            unused(&events).into_iter().map(|why| why.unwrap_or_else(|| "-".to_owned())).collect();
        assert_eq!(
            words,
            [
                "-",
                "-",
                "it had been taken before",
                "a later notice says more",
                "-",
                "-",
                "a copy of message 3",
                "it had arrived before we heard of it",
                "it carries the token and cannot be the probe",
            ]
        );
    }
}
