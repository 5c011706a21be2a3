//! What is remembered of probes of ours that were seen in a mailbox.

use std::future::Future;
use std::time::Duration;

use super::keeper::{KeepError, Keeper};
use super::state::FolderKey;
use crate::clock::Timestamp;
use crate::probe::lifecycle::{MailPlace, Seen};

/// One arrival of one probe in one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArrivalKey {
    /// The account, as in [`FolderKey`].
    pub account: String,
    /// The probe's name.
    pub token: String,
    /// What tells it from other arrivals of the probe: copies within the mailbox have the same.
    pub arrival: String,
}

/// A probe that was seen for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArrival {
    /// Which.
    pub key: ArrivalKey,
    /// The watcher's name in the configuration.
    pub watcher: String,
    /// Where.
    pub place: MailPlace,
    /// The folder.
    pub folder: String,
    /// Its UID in decimal digits, or the file's name without its flags.
    pub uid: String,
    /// The last look at the folder without it, or when its token was made, if that is later.
    pub not_before: Timestamp,
    /// The first look with it.
    pub seen_at: Timestamp,
    /// When the server says that it came: a witness.
    pub internal_at: Option<Timestamp>,
    /// When it is looked for again; `None`: never.
    pub next_check: Option<Timestamp>,
}

impl NewArrival {
    /// What was seen, as the probe's event says it.
    pub fn seen(&self) -> Seen {
        Seen {
            place: self.place,
            watcher: Some(eye_of(&self.watcher)),
            folder: Some(self.folder.clone()),
            not_before: Some(self.not_before),
            copy_of: Some(self.key.arrival.clone()),
            ..Seen::default()
        }
    }
}

/// The name under which the looks of a watcher are noted.
pub fn eye_of(watcher: &str) -> String {
    format!("mailbox/{watcher}")
}

/// A place of a folder where a copy of an arrival stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stand {
    /// The folder.
    pub folder: String,
    /// As in [`NewArrival::uid`].
    pub uid: String,
}

/// An arrival that is to be looked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub key: ArrivalKey,
    /// When it was first seen.
    pub seen_at: Timestamp,
    /// Where it was told to be; `None`: it was told to be gone.
    pub told: Option<(MailPlace, String)>,
    /// Where copies of it stood at the last look.
    pub stands: Vec<Stand>,
    /// Since when it is missed, if a look did not find it.
    pub missed_at: Option<Timestamp>,
}

/// What a further look found of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is here now.
    Here {
        /// Where.
        place: MailPlace,
        /// The folder.
        folder: String,
    },
    /// This look did not find it: another one decides.
    Missed,
    /// It is gone.
    Gone,
}

/// A further look at an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Which.
    pub key: ArrivalKey,
    /// The watcher's name in the configuration.
    pub watcher: String,
    /// When.
    pub at: Timestamp,
    /// What it found.
    pub found: Found,
    /// True if that is news for the probe.
    pub is_news: bool,
    /// Where copies stood and stand no more.
    pub left: Vec<Stand>,
    /// When it is looked for again.
    pub next_check: Option<Timestamp>,
}

/// One look of a watcher, good or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whose: `mailbox/NAME`.
    pub eye: String,
    /// When.
    pub at: Timestamp,
    /// The longest wait between two.
    pub every: Duration,
    /// Why not everything was seen.
    pub fault: Option<String>,
}

/// Keeps what is remembered of arrivals.
pub trait ArrivalKeeper: Keeper {
    /// True if an arrival is known.
    fn knows(&self, key: &ArrivalKey) -> impl Future<Output = Result<bool, KeepError>> + Send;

    /// Notes that a copy of a known arrival stands in a folder. In a folder where it was not told to be it is looked
    /// for again at once.
    fn stands(
        &self,
        key: &ArrivalKey,
        folder: &FolderKey,
        uid: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), KeepError>> + Send;

    /// Arrivals of an account that are to be looked for again now, the longest due first.
    fn due(&self, account: &str, now: Timestamp) -> impl Future<Output = Result<Vec<Due>, KeepError>> + Send;

    /// Notes what a further look found.
    fn checked(&self, checked: Checked) -> impl Future<Output = Result<(), KeepError>> + Send;

    /// Notes that there was a look.
    fn look(&self, look: Look) -> impl Future<Output = Result<(), KeepError>> + Send;
}

/// When an arrival is looked for again, after a look at `now`.
pub(super) fn next_check(recheck: &[Duration], seen_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    recheck.iter().map(|after| seen_at.after(*after)).filter(|at| *at > now).min()
}

/// Which of several places counts where copies stand in them: what its reader sees first.
pub(super) const fn weight(place: MailPlace) -> u8 {
    match place {
        MailPlace::Sink => 0,
        MailPlace::Inbox => 1,
        MailPlace::Category => 2,
        MailPlace::Spam => 3,
        MailPlace::Other => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_follow_each_other_and_end() {
        let at = Timestamp::from_seconds(1_000);
        let hour = Duration::from_secs(3_600);
        let list = [24 * hour, hour];
        let after = |seconds: i64| {
            next_check(&list, at, Timestamp::from_seconds(1_000 + seconds)).map(|at| at.seconds() - 1_000)
        };
        assert_eq!(
            [after(0), after(3_599), after(3_600), after(86_400)],
            [Some(3_600), Some(3_600), Some(86_400), None]
        );
        assert_eq!(next_check(&[], at, at), None);
    }
}
