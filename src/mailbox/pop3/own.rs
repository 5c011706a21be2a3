//! Bounces and answers about our probes in an account over POP3: each message is looked at once, by its header (TOP,
//! RFC 1939 §7); only what carries a valid token of ours is fetched whole.

use std::collections::HashSet;

use super::{FOLDER, Listed, Session};
use crate::clock;
use crate::limits;
use crate::mailbox::fault::Fault;
use crate::mailbox::judge::{self, Concern};
use crate::mailbox::keeper::{KeepError, Keeper};
use crate::mailbox::options::{Credentials, MailboxOptions};
use crate::mailbox::pass::{FolderPass, Pass};
use crate::mailbox::state::{FolderKey, Mark, Note, Step};
use crate::probe::token::KeyRing;

/// Lines of a notice in which a token is looked for.
const PEEK_LINES: usize = 1_000;

/// More lines than any message has.
const ALL_LINES: u32 = 999_999_999;

/// Looks at what is new in the mailbox, which is remembered under `account`.
pub(in crate::mailbox) async fn read<K: Keeper>(
    options: &MailboxOptions,
    account: &str,
    ring: &KeyRing,
    credentials: &Credentials,
    keeper: &K,
    pass: &mut Pass,
) -> Result<(), Fault> {
    let began = clock::now();
    let key = FolderKey { account: account.to_owned(), folder: FOLDER.to_owned() };
    let mut session = Session::open(options, credentials).await?;
    let mut found = FolderPass::new(FOLDER);
    let mut looker = Looker { session: &mut session, options, ring, keeper, key: &key, found: &mut found };
    let result = looker.look().await;
    if let Err(fault) = &result {
        found.fail(fault.to_string());
    }
    let note = Note::Looked { at: began, fault: found.fault.clone() };
    let noted = keeper.note(&key, note).await.map_err(|error| Fault::Keep(error.text));
    pass.folders.push(found);
    match result {
        Err(fault) if fault.ends_connection() => return Err(fault),
        _ => noted?,
    }
    // Nothing was marked for removal, so that QUIT changes nothing.
    let _ = session.command("QUIT").await;
    Ok(())
}

/// The mailbox under way.
struct Looker<'l, K> {
    session: &'l mut Session,
    options: &'l MailboxOptions,
    ring: &'l KeyRing,
    keeper: &'l K,
    key: &'l FolderKey,
    found: &'l mut FolderPass,
}

impl<K: Keeper> Looker<'_, K> {
    /// Looks at each message that was not looked at.
    async fn look(&mut self) -> Result<(), Fault> {
        let state = self.keeper.state(self.key).await.map_err(|error| Fault::Keep(error.text))?;
        let known: HashSet<String> = state
            .open
            .into_iter()
            .filter(|message| matches!(message.step, Step::Done | Step::Passed))
            .map(|message| message.uid)
            .collect();
        let mut there: HashSet<String> = HashSet::new();
        let listed = self
            .session
            .list(|uidl| {
                there.extend(known.get(uidl).cloned());
                !known.contains(uidl)
            })
            .await?;
        // What is gone from the server need not be remembered.
        let gone: Vec<String> = known.difference(&there).cloned().collect();
        if !gone.is_empty() {
            self.note(Note::Clear(gone)).await?;
        }
        let mut passed = Vec::new();
        let mut result = Ok(());
        for message in listed {
            match self.look_at(&message).await {
                Ok(true) => {}
                Ok(false) => passed.push(message.uidl),
                Err(fault) => {
                    result = Err(fault);
                    break;
                }
            }
        }
        if !passed.is_empty() {
            self.note(Note::Passed(passed)).await?;
        }
        result
    }

    /// Looks at one message; false if it is none of ours.
    async fn look_at(&mut self, message: &Listed) -> Result<bool, Fault> {
        let Listed { number, uidl, size } = message;
        let Some(header) = self.top(*number, 0).await? else { return Ok(true) };
        match judge::concern(self.ring, &header) {
            Concern::Nobody => return Ok(false),
            Concern::Ours => {}
            Concern::Perhaps => match self.top(*number, PEEK_LINES).await? {
                Some(beginning) if judge::is_about_us(self.ring, &beginning) => {}
                Some(_) => return Ok(false),
                None => return Ok(true),
            },
        }
        self.found.found += 1;
        let cap = self.options.message_bytes;
        if let Some(size) = size.filter(|size| *size > cap) {
            self.found.given_up += 1;
            self.found
                .note(format!("{uidl}: a message about a probe of {size} bytes: over the cap of {cap}"));
            return Ok(false);
        }
        // Not RETR: servers that also speak IMAP mark as seen what was read by it.
        let bytes = match self.session.message(&format!("TOP {number} {ALL_LINES}"), cap).await? {
            Ok(bytes) => bytes,
            Err(text) => {
                self.found.waiting += 1;
                self.found.fail(format!("{uidl}: the server does not send it: {text}"));
                return Ok(true);
            }
        };
        let mark = Mark::Pop3 { key: self.key.clone(), uidl: uidl.clone() };
        let kept = match self.keeper.keep(mark, bytes).await {
            Ok(receipt) => receipt.await.unwrap_or_else(|_| {
                let text = "the store ended before it answered".to_owned();
                Err(KeepError { is_temporary: true, text })
            }),
            Err(error) => Err(error),
        };
        match kept {
            Ok(kept) => self.found.count(kept),
            Err(error) if error.is_temporary => return Err(Fault::Keep(error.text)),
            Err(error) => {
                self.found.waiting += 1;
                self.found.fail(format!("{uidl}: not kept: {}", error.text));
            }
        }
        Ok(true)
    }

    /// The header of a message and so many lines of its text; `None` if it is gone.
    async fn top(&mut self, number: u32, lines: usize) -> Result<Option<Vec<u8>>, Fault> {
        let cap = limits::MAILBOX_PEEK_BYTES.saturating_mul(8);
        match self.session.message(&format!("TOP {number} {lines}"), cap).await? {
            Ok(bytes) => Ok(Some(bytes)),
            // RFC 1939 §7: TOP is optional. Without it every message would have to be fetched whole.
            Err(text) if !self.session.capabilities.iter().any(|word| word == "TOP") => Err(Fault::Refused {
                command: "TOP",
                text: format!("{text}: without it messages cannot be told apart unread"),
            }),
            Err(_) => Ok(None),
        }
    }

    /// Notes something.
    async fn note(&self, note: Note) -> Result<(), Fault> {
        self.keeper.note(self.key, note).await.map_err(|error| Fault::Keep(error.text))
    }
}
