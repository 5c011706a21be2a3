//! What became of the probes that the schedule sent, for what it sends next.

use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::spawn_blocking;

use crate::limits;
use crate::probe::lifecycle::{MailPlace, State};
use crate::store::{Store, StoreError};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(2);

/// A probe of the schedule that the far end took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    /// The series that sent it.
    pub(super) series: usize,
    /// Its token.
    pub(super) token: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The series that sent it.
    pub(super) series: usize,
    /// Whether that is bad.
    pub(super) is_bad: bool,
}

/// Follows probes as long as somebody gives orders, and tells what became of each, once.
pub(super) async fn follow(
    store: Store,
    mut orders: UnboundedReceiver<Followed>,
    verdicts: UnboundedSender<Verdict>,
) {
    let mut open: Vec<Followed> = Vec::new();
    loop {
        tokio::time::sleep(EVERY).await;
        loop {
            match orders.try_recv() {
                Ok(followed) => open.push(followed),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        // The oldest have been waited for longest, and are the least news.
        open.drain(..open.len().saturating_sub(limits::PROBES_FOLLOWED));
        if open.is_empty() {
            continue;
        }
        let reading = store.clone();
        let asked = open.clone();
        match spawn_blocking(move || look(&reading, asked)).await {
            Ok(Ok((still_open, told))) => {
                open = still_open;
                for verdict in told {
                    // Nobody listens while the program stops.
                    let _ = verdicts.send(verdict);
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "what became of probes cannot be read now"),
            Err(error) => tracing::error!(%error, "the look for what became of probes ended by a fault"),
        }
    }
}

/// Looks at some probes: those that are still open, and what became of the others.
fn look(store: &Store, probes: Vec<Followed>) -> Result<(Vec<Followed>, Vec<Verdict>), StoreError> {
    let reader = store.reader()?;
    let (mut open, mut told) = (Vec::new(), Vec::new());
    for followed in probes {
        let series = followed.series;
        match reader.probe_state(&followed.token)?.map(|(state, place)| fate(state, place)) {
            Some(Fate::Open) => open.push(followed),
            Some(Fate::Good) => told.push(Verdict { series, is_bad: false }),
            Some(Fate::Bad) => told.push(Verdict { series, is_bad: true }),
            Some(Fate::NotKnown) | None => {}
        }
    }
    Ok((open, told))
}

/// What a state means for what is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It may still arrive.
    Open,
    /// As it should be.
    Good,
    /// Not so: quick probes follow.
    Bad,
    /// Nobody will know: our own blindness is nobody's fault.
    NotKnown,
}

/// What a state means.
const fn fate(state: State, place: Option<MailPlace>) -> Fate {
    match state {
        State::Arrived if matches!(place, Some(MailPlace::Spam)) => Fate::Bad,
        State::Arrived | State::Delivered | State::AsExpected => Fate::Good,
        State::Refused
        | State::Bounced
        | State::Overdue
        | State::Lost
        | State::Late
        | State::Held
        | State::Escaped => Fate::Bad,
        State::InDoubt | State::Unobserved | State::Cancelled => Fate::NotKnown,
        State::Planned
        | State::Sending
        | State::Deferred
        | State::Accepted
        | State::InTransit
        | State::Delayed => Fate::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_states_mean_for_the_schedule() {
        for state in State::ALL {
            let told = fate(state, None);
            // Our blindness never makes probes quicker, and only what can change is waited for.
            let is_open = state.is_open() && state != State::Overdue || state == State::Deferred;
            assert_eq!(told == Fate::Open, is_open, "{state:?}");
        }
        assert_eq!(fate(State::Arrived, Some(MailPlace::Inbox)), Fate::Good);
        assert_eq!(fate(State::Arrived, Some(MailPlace::Spam)), Fate::Bad);
        assert_eq!(fate(State::Unobserved, None), Fate::NotKnown);
        assert_eq!(fate(State::Lost, None), Fate::Bad);
    }
}
