//! Reads one folder: what is new, then what did not come before; moves what was kept if that is wanted.
//!
//! Messages are asked for in rising order of their UIDs. Each is noted in the transaction that keeps it, and only
//! as the next one after its predecessor, so that a message whose keeping failed is never passed over. A message
//! that the server lists and does not send is set aside and asked for again, at the end of later passes; one that
//! breaks the connection is the first suspect, and is set aside after [`limits::MAILBOX_BREAKS`] times.

use std::collections::{BTreeMap, HashMap};

use super::session::{Event, Opened, Session, is_ok, refused};
use crate::limits;
use crate::mailbox::fault::Fault;
use crate::mailbox::keeper::{KeepError, Keeper, Kept, Receipt};
use crate::mailbox::options::{After, MailboxOptions};
use crate::mailbox::pass::FolderPass;
use crate::mailbox::state::{FolderKey, FolderState, Mark, Note, OpenMessage, Step};

/// One folder under way.
struct Reader<'r, K> {
    session: &'r mut Session,
    options: &'r MailboxOptions,
    keeper: &'r K,
    key: FolderKey,
    uid_validity: u32,
    /// The folder is read up to here.
    last_uid: u32,
    /// Messages of which something is remembered.
    open: HashMap<u32, OpenMessage>,
    /// Messages to move.
    moves: Vec<(u32, Step)>,
    /// True if what is kept is to be moved.
    is_moved: bool,
    /// True while moving is worth a try in this pass.
    can_move: bool,
    found: &'r mut FolderPass,
}

/// What became of one message that was asked for.
enum Came {
    /// It is on its way into the store.
    Queued(Receipt),
    /// The store refused it.
    Failed(KeepError),
}

/// Reads a folder whole. What was done stands in `found`, also after a fault.
pub(in crate::mailbox) async fn read<K: Keeper>(
    session: &mut Session,
    options: &MailboxOptions,
    keeper: &K,
    found: &mut FolderPass,
) -> Result<(), Fault> {
    let key = FolderKey { account: options.account(), folder: found.folder.clone() };
    let wants_move = matches!(options.after, After::Move { .. });
    let opened = session.open_folder(&key.folder, wants_move).await?;
    if wants_move && opened.is_read_only {
        found.note("the folder is open for reading only: messages stay where they are".to_owned());
    }
    let Some(uid_validity) = opened.uid_validity else {
        return Err(Fault::Garbage("the server gives the folder no UIDVALIDITY".to_owned()));
    };
    let state = begin(keeper, &key, uid_validity, opened, found).await?;
    let mut reader = Reader {
        session,
        options,
        keeper,
        uid_validity,
        last_uid: state.last_uid,
        open: by_uid(state.open),
        moves: Vec::new(),
        is_moved: wants_move && !opened.is_read_only,
        can_move: wants_move && !opened.is_read_only,
        key,
        found,
    };
    reader.moves = reader
        .open
        .values()
        .filter(|message| matches!(message.step, Step::MoveRead | Step::MoveUnread))
        .filter_map(|message| Some((message.uid.parse().ok()?, message.step)))
        .collect();
    reader.move_all().await?;
    // Some servers refuse `1:*` in an empty folder.
    if opened.exists > 0 {
        reader.read_new().await?;
    }
    reader.read_again().await
}

/// What is remembered of the folder; from its beginning where the server's numbers do not fit it.
async fn begin<K: Keeper>(
    keeper: &K,
    key: &FolderKey,
    uid_validity: u32,
    opened: Opened,
    found: &mut FolderPass,
) -> Result<FolderState, Fault> {
    let state = keeper.state(key).await.map_err(kept_not)?;
    let is_new = state.uid_validity == 0;
    let is_other = state.uid_validity != uid_validity;
    // RFC 3501 §2.3.1.1: UIDs only rise. A next one below those read means a restored or broken folder.
    let is_back = opened.uid_next.is_some_and(|next| next <= state.last_uid);
    if !is_new && !is_other && !is_back {
        return Ok(state);
    }
    if !is_new && is_other {
        let before = state.uid_validity;
        found.note(format!(
            "UIDVALIDITY was {before} and is {uid_validity}: the folder is read from its beginning"
        ));
    } else if !is_new {
        let (next, last) = (opened.uid_next.unwrap_or_default(), state.last_uid);
        found.note(format!(
            "UIDNEXT is {next} and UID {last} was read: the folder is read from its beginning"
        ));
    }
    keeper.note(key, Note::Begin { uid_validity }).await.map_err(kept_not)?;
    Ok(FolderState { uid_validity, last_uid: 0, ..FolderState::default() })
}

/// A store in trouble ends the pass.
fn kept_not(error: KeepError) -> Fault {
    Fault::Keep(error.text)
}

/// Open messages by their UID.
fn by_uid(open: Vec<OpenMessage>) -> HashMap<u32, OpenMessage> {
    open.into_iter().filter_map(|message| Some((message.uid.parse().ok()?, message))).collect()
}

impl<K: Keeper> Reader<'_, K> {
    /// Reads everything over the last UID.
    async fn read_new(&mut self) -> Result<(), Fault> {
        loop {
            let listing = self.session.list_after(self.last_uid, limits::MAILBOX_LISTED).await?;
            let before = self.last_uid;
            self.found.found += listing.messages.len() as u64;
            self.read_listed(&listing.messages).await?;
            if !listing.is_cut || self.last_uid == before {
                return Ok(());
            }
        }
    }

    /// Reads listed messages in batches.
    async fn read_listed(&mut self, listed: &BTreeMap<u32, Option<u64>>) -> Result<(), Fault> {
        let mut batch: Vec<u32> = Vec::new();
        let mut batch_bytes = 0_u64;
        for (&uid, &size) in listed {
            let cap = self.options.message_bytes;
            let bytes = size.unwrap_or(cap);
            let refusal = if size.is_some_and(|size| size > cap) {
                Some((Step::GivenUp, size, format!("{bytes} bytes: over the cap of {cap}")))
            } else {
                self.open.get(&uid).filter(|known| known.tries >= limits::MAILBOX_BREAKS).map(|known| {
                    let why = known.reason.clone().unwrap_or_default();
                    (
                        Step::Ask,
                        None,
                        format!("set aside, the connection broke {} times here: {why}", known.tries),
                    )
                })
            };
            let is_full = batch.len() >= limits::MAILBOX_BATCH_MESSAGES
                || batch_bytes.saturating_add(bytes) > limits::MAILBOX_BATCH_BYTES;
            if !batch.is_empty() && (is_full || refusal.is_some()) {
                self.read_batch(&std::mem::take(&mut batch)).await?;
                batch_bytes = 0;
            }
            match refusal {
                Some((step, size, reason)) => self.set_aside(uid, step, size, reason).await?,
                None => {
                    batch.push(uid);
                    batch_bytes = batch_bytes.saturating_add(bytes);
                }
            }
        }
        if batch.is_empty() { Ok(()) } else { self.read_batch(&batch).await }
    }

    /// Asks again, one by one, for what did not come before.
    async fn read_again(&mut self) -> Result<(), Fault> {
        let cap = self.options.message_bytes;
        let is_due = |message: &&OpenMessage| match message.step {
            Step::Ask => true,
            // The cap was raised since.
            Step::GivenUp => message.size_bytes.is_some_and(|size| size <= cap),
            _ => false,
        };
        let mut due: Vec<(u32, u32)> = self
            .open
            .values()
            .filter(is_due)
            .filter_map(|message| Some((message.tries, message.uid.parse().ok()?)))
            .filter(|(_, uid)| *uid <= self.last_uid)
            .collect();
        due.sort_unstable();
        let uids: Vec<u32> = due.iter().map(|(_, uid)| *uid).collect();
        let listed = self.session.list_of(&uids).await?.messages;
        for uid in uids {
            let Some(size) = listed.get(&uid) else {
                self.clear(&[uid]).await?;
                continue;
            };
            if let Some(size) = size.filter(|size| *size > cap) {
                let reason = format!("{size} bytes: over the cap of {cap}");
                self.set_aside(uid, Step::GivenUp, Some(size), reason).await?;
                continue;
            }
            self.found.found += 1;
            self.read_batch(&[uid]).await?;
        }
        Ok(())
    }

    /// Asks for some messages, keeps those that come and sets aside those that do not.
    async fn read_batch(&mut self, uids: &[u32]) -> Result<(), Fault> {
        let Answered { missing, refusal } = self.read_once(uids).await?;
        if !missing.is_empty() {
            let there = self.session.list_of(&missing).await?.messages;
            for &uid in &missing {
                if !there.contains_key(&uid) {
                    // Somebody else removed it.
                    self.clear(&[uid]).await?;
                    self.advance(self.last_uid, uid).await?;
                    continue;
                }
                let mut refusal = refusal.clone();
                if uids.len() > 1 {
                    // Alone, so that one bad message keeps no other waiting.
                    let alone = self.read_once(&[uid]).await?;
                    if alone.missing.is_empty() {
                        continue;
                    }
                    refusal = alone.refusal;
                }
                let reason = match refusal {
                    Some(text) => format!("the server does not send it: {text}"),
                    None => "the server lists it and does not send it".to_owned(),
                };
                self.set_aside(uid, self.step_after_try(uid), None, reason).await?;
            }
            if let Some(&last) = uids.last() {
                self.advance(self.last_uid, last).await?;
            }
        }
        self.move_all().await
    }

    /// Asks for some messages once and waits until what came is committed.
    async fn read_once(&mut self, uids: &[u32]) -> Result<Answered, Fault> {
        let mut came: BTreeMap<u32, Came> = BTreeMap::new();
        let mut is_in_order = true;
        let fetched = self.fetch(uids, &mut came, &mut is_in_order).await;
        let missing = self.settle(uids, came, is_in_order).await?;
        let fault = match fetched {
            Ok(refusal) => return Ok(Answered { missing, refusal }),
            Err(fault) => fault,
        };
        // The first that did not come is what broke the connection, if a message did. It is not passed over
        // yet: the network is the likelier reason.
        if let (Some(&uid), false) = (missing.first(), matches!(fault, Fault::Keep(_))) {
            if let Fault::TooLarge { bytes, .. } = fault {
                // The list said that it is not: it is gone past, and asked for again.
                self.set_aside(uid, self.step_after_try(uid), Some(bytes), fault.to_string()).await?;
            } else {
                let step = if uid > self.last_uid { Step::Ask } else { self.step_after_try(uid) };
                self.note_aside(uid, None, step, None, fault.to_string()).await?;
            }
        }
        Err(fault)
    }

    /// What to do with a message that did not come this time either.
    fn step_after_try(&self, uid: u32) -> Step {
        let tries = self.open.get(&uid).map_or(0, |message| message.tries);
        if tries + 1 >= limits::MAILBOX_TRIES { Step::GivenUp } else { Step::Ask }
    }

    /// Gives the command and hands over what comes. Returns the refusal, if the server refused.
    async fn fetch(
        &mut self,
        uids: &[u32],
        came: &mut BTreeMap<u32, Came>,
        is_in_order: &mut bool,
    ) -> Result<Option<String>, Fault> {
        let tag = self.session.fetch(uids, "UID BODY.PEEK[]").await?;
        loop {
            let fetch = match self.session.event(&tag).await? {
                Event::Done(answer) if is_ok(&answer) => return Ok(None),
                Event::Done(answer) if answer.is_code("UNAVAILABLE") || answer.is_code("SERVERBUG") => {
                    // RFC 5530 §3: all of the server is in trouble, not this message.
                    return Err(refused("UID FETCH", answer));
                }
                Event::Done(answer) => return Ok(Some(answer.text)),
                Event::Fetch(fetch) => fetch,
            };
            let (Some(uid), Some(body)) = (fetch.uid, fetch.body) else { continue };
            let Some(at) = uids.iter().position(|asked| *asked == uid) else {
                self.found.note(format!("the server sent UID {uid}, which was not asked for"));
                continue;
            };
            if came.contains_key(&uid) {
                self.found.note(format!("the server sent UID {uid} twice"));
                continue;
            }
            *is_in_order &= at == came.len();
            // A message that is asked for again lies behind.
            let previous = if uid <= self.last_uid {
                None
            } else {
                Some(at.checked_sub(1).and_then(|at| uids.get(at)).copied().unwrap_or(self.last_uid))
            };
            let mark = Mark::Imap {
                key: self.key.clone(),
                uid_validity: self.uid_validity,
                previous,
                uid,
                is_moved: self.is_moved,
            };
            match self.keeper.keep(mark, body).await {
                Ok(receipt) => came.insert(uid, Came::Queued(receipt)),
                Err(error) if error.is_temporary => return Err(kept_not(error)),
                Err(error) => came.insert(uid, Came::Failed(error)),
            };
        }
    }

    /// Waits for the commits of a batch. Returns the messages that did not come, in order.
    async fn settle(
        &mut self,
        uids: &[u32],
        mut came: BTreeMap<u32, Came>,
        is_in_order: bool,
    ) -> Result<Vec<u32>, Fault> {
        let before = self.last_uid;
        let mut missing = Vec::new();
        let mut is_noted = is_in_order;
        let mut trouble = None;
        for &uid in uids {
            let result = match came.remove(&uid) {
                None => {
                    missing.push(uid);
                    continue;
                }
                Some(Came::Failed(error)) => Err(error),
                Some(Came::Queued(receipt)) => receipt.await.unwrap_or_else(|_| {
                    let text = "the store ended before it answered".to_owned();
                    Err(KeepError { is_temporary: true, text })
                }),
            };
            match result {
                Ok(kept) => {
                    self.found.count(kept);
                    self.open.remove(&uid);
                    if self.is_moved {
                        let step = if kept == Kept::Unread { Step::MoveUnread } else { Step::MoveRead };
                        self.moves.push((uid, step));
                    }
                    if missing.is_empty() && trouble.is_none() {
                        self.last_uid = self.last_uid.max(uid);
                    }
                }
                Err(error) if error.is_temporary => {
                    trouble.get_or_insert(error);
                }
                // The store cannot keep this one: it is named, and asked for again.
                Err(error) if missing.is_empty() && trouble.is_none() => {
                    is_noted = false;
                    self.set_aside(uid, self.step_after_try(uid), None, error.text).await?;
                }
                Err(_) => missing.push(uid),
            }
        }
        if let Some(error) = trouble {
            return Err(kept_not(error));
        }
        if !is_noted {
            self.advance(before, self.last_uid).await?;
        }
        Ok(missing)
    }

    /// Notes that everything up to `uid` is done with. In the order of the UIDs the commits have noted it.
    async fn advance(&mut self, from: u32, uid: u32) -> Result<(), Fault> {
        if uid > from {
            self.keeper.note(&self.key, Note::Advance { from, to: uid }).await.map_err(kept_not)?;
            self.last_uid = self.last_uid.max(uid);
        }
        Ok(())
    }

    /// Notes that a message did not come, and goes past it.
    async fn set_aside(
        &mut self,
        uid: u32,
        step: Step,
        size: Option<u64>,
        reason: String,
    ) -> Result<(), Fault> {
        let previous = (uid > self.last_uid).then_some(self.last_uid);
        self.found.set_aside(step);
        self.note_aside(uid, previous, step, size, reason).await?;
        self.last_uid = self.last_uid.max(uid);
        Ok(())
    }

    /// Writes the note.
    async fn note_aside(
        &mut self,
        uid: u32,
        previous: Option<u32>,
        step: Step,
        size_bytes: Option<u64>,
        reason: String,
    ) -> Result<(), Fault> {
        self.found.note(format!("UID {uid}: {reason}"));
        let note = Note::Aside { previous, uid: uid.to_string(), step, size_bytes, reason };
        self.keeper.note(&self.key, note).await.map_err(kept_not)
    }

    /// Notes that nothing is left to do with some messages.
    async fn clear(&self, uids: &[u32]) -> Result<(), Fault> {
        let known = uids.iter().map(u32::to_string).collect();
        self.keeper.note(&self.key, Note::Clear(known)).await.map_err(kept_not)
    }

    /// Moves what waits to be moved. A refusal is named and keeps nobody from reading; it is tried again at the
    /// next pass.
    async fn move_all(&mut self) -> Result<(), Fault> {
        let After::Move { read, unread } = &self.options.after else { return Ok(()) };
        if !self.can_move || self.moves.is_empty() {
            return Ok(());
        }
        let moves = std::mem::take(&mut self.moves);
        for (wanted, folder) in [(Step::MoveRead, read), (Step::MoveUnread, unread)] {
            let uids: Vec<u32> =
                moves.iter().filter(|(_, step)| *step == wanted).map(|(uid, _)| *uid).collect();
            for uids in uids.chunks(limits::MAILBOX_BATCH_MESSAGES) {
                match self.session.move_to(uids, folder).await {
                    Ok(()) => {
                        self.found.moved += uids.len() as u64;
                        self.clear(uids).await?;
                    }
                    Err(Fault::Refused { command, text }) => {
                        self.can_move = false;
                        self.found.fail(format!("messages cannot be moved to {folder:?}: {command}: {text}"));
                        return Ok(());
                    }
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(())
    }
}

/// What the server made of a request for messages.
struct Answered {
    /// Messages that did not come, in order.
    missing: Vec<u32>,
    /// What the server said, if it refused.
    refusal: Option<String>,
}
