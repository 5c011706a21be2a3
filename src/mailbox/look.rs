//! One look for our own messages through the folders of a mailbox.
//!
//! A message is ours by its header alone; what is not ours is never fetched whole, kept, flagged or moved. What is
//! new is told with the interval in which it arrived: from the last look without it to the first look with it. A
//! message that is there twice by a label, a rule or a journal has one last hop and is one arrival; it is only noted
//! where its copies stand. After a configured time each is looked for again: moved, or gone.

use std::collections::{HashMap, HashSet};

use super::arrival::{
    ArrivalKeeper, ArrivalKey, Checked, Due, Found, Look, NewArrival, Stand, next_check, weight,
};
use super::fault::Fault;
use super::judge::{self, Concern};
use super::keeper::KeepError;
use super::options::{Aim, WatchOptions};
use super::pass::{FolderPass, Pass};
use super::shelf::{Item, Shelf};
use super::spam::SpamBy;
use super::state::{FolderKey, FolderState, Mark, Note};
use crate::clock::{self, Timestamp};
use crate::limits;
use crate::probe::lifecycle::MailPlace;
use crate::probe::token::{Age, KeyRing};

/// A folder that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFolder {
    /// Its name.
    pub name: String,
    /// What it is.
    pub place: MailPlace,
    /// How that is known, for the folder for spam.
    pub spam_by: Option<SpamBy>,
}

/// What a watcher remembers from look to look; the rest stands in the store.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When the last good look at each folder began.
    good_at: HashMap<String, Timestamp>,
    /// When good looks were noted last.
    noted_at: Option<Timestamp>,
    /// True if the last look was noted as bad.
    was_bad: bool,
}

/// One look under way.
pub(super) struct Looker<'l, K> {
    /// What is wanted.
    pub(super) options: &'l WatchOptions,
    /// The keys of our tokens.
    pub(super) ring: &'l KeyRing,
    /// Where it goes.
    pub(super) keeper: &'l K,
    /// The folders.
    pub(super) folders: &'l [WatchedFolder],
}

/// A store in trouble ends the look.
fn kept_not(error: KeepError) -> Fault {
    Fault::Keep(error.text)
}

impl<K: ArrivalKeeper> Looker<'_, K> {
    /// Looks at all folders, then for what is to be looked for again, and notes that it looked.
    ///
    /// What was done stands in `pass`, also after a fault.
    pub(super) async fn look<S: Shelf>(
        &self,
        shelf: &mut S,
        looks: &mut Looks,
        pass: &mut Pass,
    ) -> Result<(), Fault> {
        let began = clock::now();
        let result = self.look_at_all(shelf, looks, began, pass).await;
        let of_folder = || {
            pass.folders
                .iter()
                .find_map(|folder| folder.fault.as_ref().map(|fault| format!("{}: {fault}", folder.folder)))
        };
        let fault = result.as_ref().err().map(Fault::to_string).or_else(of_folder);
        let noted = self.note(looks, began, fault).await;
        result.and(noted)
    }

    /// Notes a look that failed before it began.
    pub(super) async fn failed(&self, looks: &mut Looks, fault: &Fault) {
        // A store in trouble is told by whoever wanted it; the look counts as none.
        let _ = self.note(looks, clock::now(), Some(fault.to_string())).await;
    }

    /// Notes a look: a good one not more often than needed.
    pub(super) async fn note(
        &self,
        looks: &mut Looks,
        at: Timestamp,
        fault: Option<String>,
    ) -> Result<(), Fault> {
        let every = self.options.poll.max(limits::MAILBOX_NOTE_EVERY);
        let is_bad = fault.is_some();
        let is_due = looks.noted_at.is_none_or(|noted| noted.after(limits::MAILBOX_NOTE_EVERY) <= at);
        if is_bad || looks.was_bad || is_due {
            self.keeper.look(Look { eye: self.options.eye(), at, every, fault }).await.map_err(kept_not)?;
            looks.noted_at = Some(at);
            looks.was_bad = is_bad;
        }
        Ok(())
    }

    /// Looks at all folders. A folder that is missing or closed to us keeps nobody from the next one.
    async fn look_at_all<S: Shelf>(
        &self,
        shelf: &mut S,
        looks: &mut Looks,
        began: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), Fault> {
        let is_due = looks.was_bad
            || looks.noted_at.is_none_or(|noted| noted.after(limits::MAILBOX_NOTE_EVERY) <= began);
        for folder in self.folders {
            let key = FolderKey { account: self.options.account(), folder: folder.name.clone() };
            let mut found = FolderPass::new(&folder.name);
            let at = clock::now();
            let result = self.look_at(shelf, looks, folder, &key, &mut found).await;
            if let Err(fault) = &result {
                found.fail(fault.to_string());
            }
            if found.fault.is_none() {
                looks.good_at.insert(folder.name.clone(), at);
            }
            let noted = if is_due || found.fault.is_some() || found.found > 0 {
                self.keeper
                    .note(&key, Note::Looked { at, fault: found.fault.clone() })
                    .await
                    .map_err(kept_not)
            } else {
                Ok(())
            };
            pass.folders.push(found);
            match result {
                Err(fault) if fault.ends_connection() => return Err(fault),
                _ => noted?,
            }
        }
        let is_whole = pass.folders.iter().all(|folder| folder.fault.is_none());
        if matches!(self.options.aim, Aim::Arrivals { .. }) && is_whole {
            self.check_again(shelf).await?;
        }
        Ok(())
    }

    /// Looks at what is new in one folder.
    async fn look_at<S: Shelf>(
        &self,
        shelf: &mut S,
        looks: &Looks,
        folder: &WatchedFolder,
        key: &FolderKey,
        found: &mut FolderPass,
    ) -> Result<(), Fault> {
        let opened = shelf.open(&folder.name).await?;
        let mut state = self.keeper.state(key).await.map_err(kept_not)?;
        // RFC 3501 §2.3.1.1: UIDs only rise. A next one below those read means a restored or broken folder.
        let is_back = opened.uid_next.is_some_and(|next| next <= state.last_uid);
        if state.uid_validity != opened.uid_validity || is_back {
            if state.uid_validity != 0 {
                found.note(format!(
                    "UIDVALIDITY was {} and is {}, UIDNEXT {}: the folder is looked through from its beginning",
                    state.uid_validity,
                    opened.uid_validity,
                    opened.uid_next.unwrap_or_default()
                ));
            }
            let begin = Note::Begin { uid_validity: opened.uid_validity };
            self.keeper.note(key, begin).await.map_err(kept_not)?;
            state = FolderState {
                uid_validity: opened.uid_validity,
                good_at: state.good_at,
                ..FolderState::default()
            };
        }
        state.good_at = state.good_at.max(looks.good_at.get(&folder.name).copied());
        loop {
            let fresh = shelf.fresh(&state, found).await?;
            let seen_at = clock::now();
            let mut is_all = true;
            for item in &fresh.items {
                let is_done = match &self.options.aim {
                    Aim::Arrivals { .. } => {
                        self.take_arrival(shelf, folder, key, &state, item, seen_at, found).await?
                    }
                    Aim::Bounces => self.take_bounce(shelf, key, &state, item, found).await?,
                };
                if !is_done {
                    shelf.again(item);
                    is_all = false;
                }
            }
            if let Some(to) = fresh.read_to.filter(|to| is_all && *to > state.last_uid) {
                let advance = Note::Advance { from: state.last_uid, to };
                self.keeper.note(key, advance).await.map_err(kept_not)?;
                state.last_uid = to;
            }
            // Where nothing is numbered only what was read moves the look on.
            if !fresh.is_more || !is_all {
                return Ok(());
            }
        }
    }

    /// Takes a message that may be a probe. False if it must be looked at again.
    #[expect(clippy::too_many_arguments, reason = "all of what one look at one message knows")]
    async fn take_arrival<S: Shelf>(
        &self,
        shelf: &mut S,
        folder: &WatchedFolder,
        key: &FolderKey,
        state: &FolderState,
        item: &Item,
        seen_at: Timestamp,
        found: &mut FolderPass,
    ) -> Result<bool, Fault> {
        let Some(own) = judge::own(self.ring, &item.header, item.gmail_id.as_deref()) else {
            return Ok(true);
        };
        found.found += 1;
        let id = ArrivalKey { account: key.account.clone(), token: own.name, arrival: own.arrival };
        if self.keeper.knows(&id).await.map_err(kept_not)? {
            self.keeper.stands(&id, key, &item.uid, seen_at).await.map_err(kept_not)?;
            found.duplicates += 1;
            return Ok(true);
        }
        if own.token.age(seen_at, limits::TOKEN_KEEP) == Age::Expired {
            // Older than any wait for it: what lies about in a mailbox is no news.
            found.found -= 1;
            return Ok(true);
        }
        let Some(bytes) = self.whole(shelf, item, found).await? else { return Ok(found.fault.is_none()) };
        let Aim::Arrivals { recheck, .. } = &self.options.aim else { return Ok(true) };
        let made_at = judge::made_before(&own.token, seen_at);
        let arrival = NewArrival {
            key: id,
            watcher: self.options.name.clone(),
            place: folder.place,
            folder: folder.name.clone(),
            uid: item.uid.clone(),
            not_before: state.good_at.max(made_at).unwrap_or(seen_at).min(seen_at),
            seen_at,
            internal_at: item.internal_at,
            next_check: next_check(recheck, seen_at, seen_at),
        };
        self.keep(Mark::Arrival(Box::new(arrival)), bytes, item, found).await
    }

    /// Takes a message that may be about a probe. False if it must be looked at again.
    async fn take_bounce<S: Shelf>(
        &self,
        shelf: &mut S,
        key: &FolderKey,
        state: &FolderState,
        item: &Item,
        found: &mut FolderPass,
    ) -> Result<bool, Fault> {
        match judge::concern(self.ring, &item.header) {
            Concern::Nobody => return Ok(true),
            Concern::Ours => {}
            Concern::Perhaps => {
                let beginning = shelf.beginning(item, limits::MAILBOX_PEEK_BYTES).await?;
                if !beginning.is_some_and(|beginning| judge::is_about_us(self.ring, &beginning)) {
                    return Ok(true);
                }
            }
        }
        found.found += 1;
        let Some(bytes) = self.whole(shelf, item, found).await? else { return Ok(found.fault.is_none()) };
        let mark = match item.uid.parse() {
            Ok(uid) => Mark::Imap {
                key: key.clone(),
                uid_validity: state.uid_validity,
                previous: None,
                uid,
                is_moved: false,
            },
            Err(_) => Mark::Nothing,
        };
        self.keep(mark, bytes, item, found).await
    }

    /// A message of ours; `None` if it is gone, too large, or does not come.
    async fn whole<S: Shelf>(
        &self,
        shelf: &mut S,
        item: &Item,
        found: &mut FolderPass,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let cap = self.options.message_bytes;
        if let Some(size) = item.size.filter(|size| *size > cap) {
            found.given_up += 1;
            found.note(format!("{}: a message of ours of {size} bytes: over the cap of {cap}", item.uid));
            return Ok(None);
        }
        match shelf.whole(item).await {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            // Somebody may have removed it in between; if not, the next look shows it again.
            Ok(None) => {}
            Err(Fault::Refused { command, text }) => {
                found.note(format!("{}: {command}: {text}", item.uid));
            }
            Err(fault) => return Err(fault),
        }
        found.waiting += 1;
        found.fail(format!("{}: the server lists a message of ours and does not send it", item.uid));
        Ok(None)
    }

    /// Keeps a message of ours. False if the store cannot keep this one.
    async fn keep(
        &self,
        mark: Mark,
        bytes: Vec<u8>,
        item: &Item,
        found: &mut FolderPass,
    ) -> Result<bool, Fault> {
        let kept = match self.keeper.keep(mark, bytes).await {
            Ok(receipt) => receipt.await.unwrap_or_else(|_| {
                let text = "the store ended before it answered".to_owned();
                Err(KeepError { is_temporary: true, text })
            }),
            Err(error) => Err(error),
        };
        match kept {
            Ok(kept) => {
                found.count(kept);
                Ok(true)
            }
            Err(error) if error.is_temporary => Err(kept_not(error)),
            Err(error) => {
                found.waiting += 1;
                found.fail(format!("{}: not kept: {}", item.uid, error.text));
                Ok(false)
            }
        }
    }

    // ---- Looking again ----

    /// Looks where those are now that are to be looked for again.
    async fn check_again<S: Shelf>(&self, shelf: &mut S) -> Result<(), Fault> {
        let account = self.options.account();
        let now = clock::now();
        let dues = self.keeper.due(&account, now).await.map_err(kept_not)?;
        let mut asked: HashMap<&str, Vec<String>> = HashMap::new();
        for stand in dues.iter().flat_map(|due| &due.stands) {
            asked.entry(&stand.folder).or_default().push(stand.uid.clone());
        }
        let mut there: HashSet<Stand> = HashSet::new();
        for (folder, uids) in asked {
            let still = match shelf.still(folder, &uids).await {
                Ok(still) => still,
                // A folder that is looked at was open a moment ago. One that is not looked at any more says nothing.
                Err(Fault::Refused { .. }) => Vec::new(),
                Err(fault) => return Err(fault),
            };
            there.extend(still.into_iter().map(|uid| Stand { folder: folder.to_owned(), uid }));
        }
        for due in dues {
            let checked = self.judge(due, &there, now);
            self.keeper.checked(checked).await.map_err(kept_not)?;
        }
        Ok(())
    }

    /// What a further look means for one arrival.
    fn judge(&self, due: Due, there: &HashSet<Stand>, now: Timestamp) -> Checked {
        let Due { key, seen_at, told, stands, missed_at } = due;
        let (here, left): (Vec<Stand>, Vec<Stand>) =
            stands.into_iter().partition(|stand| there.contains(stand));
        let best = here
            .into_iter()
            .map(|stand| (self.place_of(&stand.folder), stand.folder))
            .min_by_key(|(place, folder)| (weight(*place), told.as_ref() != Some(&(*place, folder.clone()))));
        let recheck = match &self.options.aim {
            Aim::Arrivals { recheck, .. } => recheck.as_slice(),
            Aim::Bounces => &[],
        };
        let next = next_check(recheck, seen_at, now);
        let (found, is_news, next_check) = match (best, missed_at) {
            (Some((place, folder)), _) => {
                let is_news = told.as_ref() != Some(&(place, folder.clone()));
                (Found::Here { place, folder }, is_news, next)
            }
            // It may be on its way from one folder to another while we look: the next look decides.
            (None, None) => (Found::Missed, false, Some(now)),
            (None, Some(_)) => (Found::Gone, told.is_some(), None),
        };
        Checked { key, watcher: self.options.name.clone(), at: now, found, is_news, left, next_check }
    }

    /// What a folder is.
    fn place_of(&self, folder: &str) -> MailPlace {
        self.folders.iter().find(|known| known.name == folder).map_or(MailPlace::Other, |known| known.place)
    }
}
