//! Watches a mailbox for our own messages again and again: told of new mail where the server can (IDLE, RFC 2177),
//! else at an interval.
//!
//! Also while a server tells of new mail each look is at most the interval after the one before: so long may a
//! message have been there unseen.

use super::arrival::ArrivalKeeper;
use super::fault::Fault;
use super::imap::own::ImapShelf;
use super::imap::session::Session;
use super::look::{Looker, Looks, WatchedFolder};
use super::maildir::{self, MaildirShelf, Memory};
use super::options::{Aim, Credentials, MailboxKind, MailboxOptions, Source, SpamFolder, WatchOptions};
use super::pass::Pass;
use super::pop3;
use super::spam::{self, Candidate, SpamBy};
use super::watch::{Credential, back_off};
use crate::limits;
use crate::probe::lifecycle::MailPlace;
use crate::probe::token::KeyRing;

/// Watches until it is dropped, which is safe at any point. `told` hears of every look.
///
/// A fault is followed by a wait that doubles, and that is longer where the operator must do something.
pub async fn watch_own<K: ArrivalKeeper, C: Credential>(
    options: &WatchOptions,
    ring: &KeyRing,
    credential: &C,
    keeper: &K,
    mut told: impl FnMut(&Pass, Result<(), &Fault>) + Send,
) {
    let mut follower = Follower { options, ring, keeper, looks: Looks::default(), memory: Memory::default() };
    let mut failures = 0;
    loop {
        let mut was_good = false;
        let wait = match follower.round(credential, &mut was_good, &mut told).await {
            Ok(()) => {
                failures = 0;
                options.poll
            }
            Err(fault) => {
                told(&Pass::default(), Err(&fault));
                failures = if was_good { 1 } else { failures + 1 };
                if matches!(fault, Fault::SignIn(_)) {
                    credential.refused().await;
                }
                back_off(&fault, failures)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Looks through a mailbox once for our own messages and closes the connection.
///
/// What was done stands in the result, also of folders that failed in part; `Err` beside it: the connection or the
/// store failed, and later folders were not looked at. `None` for credentials: a Maildir.
pub async fn look_once<K: ArrivalKeeper>(
    options: &WatchOptions,
    ring: &KeyRing,
    credentials: Option<&Credentials>,
    keeper: &K,
) -> (Pass, Result<(), Fault>) {
    let mut follower = Follower { options, ring, keeper, looks: Looks::default(), memory: Memory::default() };
    let mut pass = Pass::default();
    let result = follower.once(credentials, &mut pass).await;
    (pass, result)
}

/// A watcher with what it remembers.
struct Follower<'f, K> {
    options: &'f WatchOptions,
    ring: &'f KeyRing,
    keeper: &'f K,
    looks: Looks,
    memory: Memory,
}

impl<K: ArrivalKeeper> Follower<'_, K> {
    /// One look over a connection of its own.
    async fn once(&mut self, credentials: Option<&Credentials>, pass: &mut Pass) -> Result<(), Fault> {
        let options = self.options;
        match (&options.source, credentials) {
            (Source::Maildir(_), _) => self.look_at_maildir(pass).await,
            (Source::Account(_), None) => Err(Fault::Credentials("no credentials".to_owned())),
            (Source::Account(account), Some(credentials)) if account.kind == MailboxKind::Pop3 => {
                self.look_at_pop3(account, credentials, pass).await
            }
            (Source::Account(account), Some(credentials)) => {
                let mut session = self.open(account, credentials).await?;
                let folders = self.folders(&mut session).await?;
                self.look_at_server(&mut session, &folders, pass).await?;
                session.close().await;
                Ok(())
            }
        }
    }

    /// One connection: a look, and where the server tells of new mail further ones.
    async fn round<C: Credential>(
        &mut self,
        credential: &C,
        was_good: &mut bool,
        told: &mut (impl FnMut(&Pass, Result<(), &Fault>) + Send),
    ) -> Result<(), Fault> {
        let options = self.options;
        let account = match &options.source {
            Source::Account(account) => account,
            Source::Maildir(_) => {
                let mut pass = Pass::default();
                let result = self.look_at_maildir(&mut pass).await;
                told(&pass, Ok(()));
                return result;
            }
        };
        let credentials = match credential.credentials().await {
            Ok(credentials) => credentials,
            Err(fault) => return Err(self.failed(fault).await),
        };
        if account.kind == MailboxKind::Pop3 {
            let mut pass = Pass::default();
            let result = self.look_at_pop3(account, &credentials, &mut pass).await;
            told(&pass, Ok(()));
            return result;
        }
        let mut session = self.open(account, &credentials).await?;
        let folders = match self.folders(&mut session).await {
            Ok(folders) => folders,
            Err(fault) => return Err(self.failed(fault).await),
        };
        loop {
            let mut pass = Pass::default();
            let result = self.look_at_server(&mut session, &folders, &mut pass).await;
            if !pass.folders.is_empty() {
                told(&pass, Ok(()));
            }
            result?;
            *was_good = true;
            let is_whole = pass.folders.iter().all(|folder| folder.fault.is_none());
            let can_idle = account.idle && session.can("IDLE");
            let is_kept = is_whole && (can_idle || options.poll <= limits::MAILBOX_IDLE_TIMEOUT);
            let Some(first) = folders.first().filter(|_| is_kept) else {
                // A folder that is missing may have another name by now: the next connection asks again.
                session.close().await;
                return Ok(());
            };
            if !can_idle {
                // One connection for all looks: providers lock out who signs in every minute.
                tokio::time::sleep(options.poll).await;
            } else if let Err(fault) = self.idle(&mut session, &first.name).await {
                return Err(self.failed(fault).await);
            }
        }
    }

    /// Waits for new mail in the first folder, at most the interval.
    async fn idle(&self, session: &mut Session, folder: &str) -> Result<(), Fault> {
        // One connection is told of one folder. What came there since the look is seen by the first one.
        let opened = session.open_folder(folder, false).await?;
        let key = super::state::FolderKey { account: self.options.account(), folder: folder.to_owned() };
        let state = self.keeper.state(&key).await.map_err(|error| Fault::Keep(error.text))?;
        if opened.uid_next.is_some_and(|next| next > state.last_uid.saturating_add(1)) {
            return Ok(());
        }
        session.idle(self.options.poll).await?;
        Ok(())
    }

    /// Notes that a look failed; gives the fault back.
    async fn failed(&mut self, fault: Fault) -> Fault {
        let looker = Looker { options: self.options, ring: self.ring, keeper: self.keeper, folders: &[] };
        looker.failed(&mut self.looks, &fault).await;
        fault
    }

    /// Connects and signs in.
    async fn open(&mut self, account: &MailboxOptions, credentials: &Credentials) -> Result<Session, Fault> {
        match Session::open(account, credentials).await {
            Ok(session) => Ok(session),
            Err(fault) => Err(self.failed(fault).await),
        }
    }

    /// The folders of an account.
    async fn folders(&self, session: &mut Session) -> Result<Vec<WatchedFolder>, Fault> {
        let listed = if wants_list(&self.options.aim) { session.folders().await? } else { Vec::new() };
        Ok(watched(self.options, &listed))
    }

    /// Looks at an account over IMAP.
    async fn look_at_server(
        &mut self,
        session: &mut Session,
        folders: &[WatchedFolder],
        pass: &mut Pass,
    ) -> Result<(), Fault> {
        let Self { options, ring, keeper, looks, .. } = self;
        let mut shelf = ImapShelf::new(session, ring, &options.aim);
        Looker { options, ring, keeper: *keeper, folders }.look(&mut shelf, looks, pass).await
    }

    /// Looks at a Maildir.
    async fn look_at_maildir(&mut self, pass: &mut Pass) -> Result<(), Fault> {
        let options = self.options;
        let Source::Maildir(root) = &options.source else { return Ok(()) };
        let listed = if wants_list(&options.aim) {
            let path = root.clone();
            let listed = tokio::task::spawn_blocking(move || maildir::folders(&path)).await;
            let text = match listed {
                Ok(Ok(listed)) => Ok(listed),
                Ok(Err(error)) => Err(format!("{}: {error}", root.display())),
                Err(error) => Err(error.to_string()),
            };
            match text {
                Ok(listed) => listed,
                Err(text) => return Err(self.failed(Fault::Refused { command: "Maildir", text }).await),
            }
        } else {
            Vec::new()
        };
        let folders = watched(options, &listed);
        let Self { ring, keeper, looks, memory, .. } = self;
        let mut shelf = MaildirShelf::new(root, ring, &options.aim, memory.clone());
        Looker { options, ring, keeper: *keeper, folders: &folders }.look(&mut shelf, looks, pass).await
    }

    /// Looks for bounces in an account over POP3.
    async fn look_at_pop3(
        &mut self,
        account: &MailboxOptions,
        credentials: &Credentials,
        pass: &mut Pass,
    ) -> Result<(), Fault> {
        let began = crate::clock::now();
        let result =
            pop3::own::read(account, &self.options.account(), self.ring, credentials, self.keeper, pass)
                .await;
        let Self { options, ring, keeper, looks, .. } = self;
        let looker = Looker { options, ring, keeper: *keeper, folders: &[] };
        let of_folder = || pass.folders.iter().find_map(|folder| folder.fault.clone());
        let fault = result.as_ref().err().map(Fault::to_string).or_else(of_folder);
        let noted = looker.note(looks, began, fault).await;
        result.and(noted)
    }
}

/// True if the folder for spam must be looked for.
const fn wants_list(aim: &Aim) -> bool {
    matches!(aim, Aim::Arrivals { spam: SpamFolder::Auto, .. })
}

/// The folders that are looked at, the inbox first, each once.
pub(super) fn watched(options: &WatchOptions, listed: &[Candidate]) -> Vec<WatchedFolder> {
    let mut folders: Vec<WatchedFolder> = Vec::new();
    let mut push = |name: &str, place, spam_by| {
        if !folders.iter().any(|known| known.name == name) {
            folders.push(WatchedFolder { name: name.to_owned(), place, spam_by });
        }
    };
    for name in &options.inbox {
        push(name, MailPlace::Inbox, None);
    }
    if let Aim::Arrivals { spam, other, .. } = &options.aim {
        let inbox = options.inbox.first().map(String::as_str).unwrap_or_default();
        let found = match spam {
            SpamFolder::Auto => spam::choose(listed, inbox),
            SpamFolder::Named(name) => Some((name.clone(), SpamBy::Configured)),
            SpamFolder::Nowhere => None,
        };
        if let Some((name, by)) = found {
            push(&name, MailPlace::Spam, Some(by));
        }
        for name in other {
            push(name, MailPlace::Other, None);
        }
    }
    folders
}
