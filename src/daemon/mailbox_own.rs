//! Watchers of our own messages in the daemon: what they keep, and what they tell.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::{MailboxAuth, MailboxPurpose, MailboxSettings};
use crate::daemon::mailbox::{StoreKeeper, options};
use crate::mailbox::{
    Aim, ArrivalKeeper, ArrivalKey, Checked, Due, FolderKey, KeepError, Look, MailboxKind, Source,
    WatchOptions,
};
use crate::store::{Store, StoreError};

impl ArrivalKeeper for StoreKeeper {
    async fn knows(&self, key: &ArrivalKey) -> Result<bool, KeepError> {
        let key = key.clone();
        self.with_store(move |store| store.reader()?.knows_arrival(&key)).await
    }

    async fn stands(
        &self,
        key: &ArrivalKey,
        folder: &FolderKey,
        uid: &str,
        at: Timestamp,
    ) -> Result<(), KeepError> {
        let (key, folder, uid) = (key.clone(), folder.clone(), uid.to_owned());
        self.with_store(move |store| store.stands(&key, &folder, &uid, at)).await
    }

    async fn due(&self, account: &str, now: Timestamp) -> Result<Vec<Due>, KeepError> {
        let account = account.to_owned();
        self.with_store(move |store| store.reader()?.due_arrivals(&account, now)).await
    }

    async fn checked(&self, checked: Checked) -> Result<(), KeepError> {
        self.with_store(move |store| store.checked(checked)).await
    }

    async fn look(&self, look: Look) -> Result<(), KeepError> {
        self.with_store(move |store| note_look(store, &look.eye, look.at, look.every, look.fault.as_deref()))
            .await
    }
}

/// Notes that a watcher looked.
fn note_look(
    store: &Store,
    eye: &str,
    at: Timestamp,
    every: Duration,
    fault: Option<&str>,
) -> Result<(), StoreError> {
    store.note_look(eye, at, every, fault)
}

/// What a watcher of our own messages needs to know; `None` for a mailbox that is read for reports.
pub fn watch_options(settings: &MailboxSettings) -> Option<WatchOptions> {
    let aim = match &settings.purpose {
        MailboxPurpose::Reports => return None,
        MailboxPurpose::Bounces => Aim::Bounces,
        MailboxPurpose::Watch { spam, other, recheck, .. } => {
            Aim::Arrivals { spam: spam.clone(), other: other.clone(), recheck: recheck.clone() }
        }
    };
    let source = match (settings.kind, &settings.auth) {
        (MailboxKind::Maildir, MailboxAuth::Local(path)) => Source::Maildir(path.clone()),
        _ => Source::Account(Box::new(options(settings))),
    };
    Some(WatchOptions {
        name: settings.name.clone(),
        source,
        aim,
        inbox: settings.folders.clone(),
        poll: settings.poll,
        message_bytes: settings.message_bytes,
    })
}
