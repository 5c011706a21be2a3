//! Our own messages in a folder of an IMAP server, which is opened by EXAMINE.
//!
//! A few new messages are looked at by four fields of their header. Many are searched by the server for what every
//! token of ours begins with; a server is believed only after it found a word that is known to be there. Where it
//! cannot search, the fields of all are read once. Only what may be ours is asked for its whole header.

use super::response::Fetch;
use super::session::{Opened, Session};
use crate::clock::Timestamp;
use crate::limits;
use crate::mailbox::fault::Fault;
use crate::mailbox::judge::{self, Concern};
use crate::mailbox::options::Aim;
use crate::mailbox::pass::FolderPass;
use crate::mailbox::shelf::{Fresh, Item, Open, Shelf};
use crate::mailbox::state::FolderState;
use crate::probe::compose::HEADER_NAME;
use crate::probe::token::KeyRing;

/// A session with the folder that is open in it.
pub(in crate::mailbox) struct ImapShelf<'s> {
    /// The session.
    pub(in crate::mailbox) session: &'s mut Session,
    /// The keys of our tokens.
    pub(in crate::mailbox) ring: &'s KeyRing,
    /// What is looked for.
    pub(in crate::mailbox) aim: &'s Aim,
    /// The open folder.
    opened: Opened,
    /// Messages of it whose fields are still to be read, in rising order, and whether there are more.
    listed: (Vec<u32>, bool),
}

impl<'s> ImapShelf<'s> {
    /// Nothing is open yet.
    pub(in crate::mailbox) fn new(session: &'s mut Session, ring: &'s KeyRing, aim: &'s Aim) -> Self {
        Self { session, ring, aim, opened: Opened::default(), listed: Default::default() }
    }

    /// The fields that are looked at first.
    fn fields(&self) -> String {
        let fields = match self.aim {
            Aim::Arrivals { .. } => judge::PROBE_FIELDS,
            Aim::Bounces => judge::ANSWER_FIELDS,
        };
        format!("UID BODY.PEEK[HEADER.FIELDS ({})]", fields.join(" ").to_ascii_uppercase())
    }

    /// True if a message may be ours, by those fields.
    fn may_be_ours(&self, fields: &[u8]) -> bool {
        match self.aim {
            Aim::Arrivals { .. } => judge::has_token(self.ring, fields),
            Aim::Bounces => judge::concern(self.ring, fields) != Concern::Nobody,
        }
    }

    /// Looks at the fields of a set of messages over `after`. Returns those that may be ours, and the highest UID.
    async fn by_fields(&mut self, set: &str, after: u32) -> Result<(Vec<u32>, u32), Fault> {
        let items = self.fields();
        let mut ours = Vec::new();
        let mut highest = after;
        for fetch in self.session.fetch_set(set, &items).await? {
            // RFC 3501 §6.4.8: `n:*` gives the last message even if its UID is below n.
            let Some(uid) = fetch.uid.filter(|uid| *uid > after) else { continue };
            highest = highest.max(uid);
            if self.may_be_ours(fetch.header.as_deref().unwrap_or_default()) {
                ours.push(uid);
            }
        }
        ours.sort_unstable();
        ours.dedup();
        Ok((ours, highest))
    }

    /// What the server is asked to search for over a UID.
    fn criteria(&self, first: u32) -> String {
        let own = HEADER_NAME.to_ascii_uppercase();
        let mut keys = vec![format!("HEADER {own} \"\"")];
        for mark in judge::marks(self.ring) {
            match self.aim {
                Aim::Arrivals { .. } => {
                    keys.push(format!("HEADER MESSAGE-ID \"{mark}\""));
                    keys.push(format!("HEADER SUBJECT \"{mark}\""));
                }
                Aim::Bounces => keys.push(format!("TEXT \"{mark}\"")),
            }
        }
        if *self.aim == Aim::Bounces {
            // A notice may hold the returned message in base64.
            keys.push("HEADER CONTENT-TYPE \"multipart/report\"".to_owned());
            keys.push("FROM \"mailer-daemon\"".to_owned());
            keys.push("FROM \"postmaster\"".to_owned());
        }
        let last = keys.pop().unwrap_or_default();
        let all = keys.into_iter().rev().fold(last, |rest, key| format!("OR {key} {rest}"));
        format!("UID {first}:* {all}")
    }

    /// What the server finds over a UID; `None` if it cannot be asked.
    async fn searched(&mut self, after: u32, found: &mut FolderPass) -> Result<Option<Vec<u32>>, Fault> {
        if self.session.can_search.is_none() {
            self.session.can_search = self.session.finds_words().await?;
            if self.session.can_search == Some(false) {
                found.note(
                    "the server's SEARCH does not find what is there: the header fields of all new messages are read"
                        .to_owned(),
                );
            }
        }
        if self.session.can_search != Some(true) {
            return Ok(None);
        }
        let criteria = self.criteria(after.saturating_add(1));
        match self.session.search(&criteria).await? {
            Ok(uids) => Ok(Some(uids.into_iter().filter(|uid| *uid > after).collect())),
            Err(text) => {
                self.session.can_search = Some(false);
                found.note(format!(
                    "the server refuses to search ({text}): the header fields of all new messages are read"
                ));
                Ok(None)
            }
        }
    }

    /// The whole headers of messages that may be ours.
    async fn items(&mut self, uids: &[u32]) -> Result<Vec<Item>, Fault> {
        let gmail = if self.session.can("X-GM-EXT-1") { "X-GM-MSGID " } else { "" };
        let asked = format!("UID {gmail}RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER]");
        let mut items = Vec::new();
        for uids in uids.chunks(limits::MAILBOX_BATCH_MESSAGES) {
            let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            for fetch in self.session.fetch_set(&set, &asked).await? {
                let Some(uid) = fetch.uid.filter(|uid| uids.contains(uid)) else { continue };
                let Fetch { size, header: Some(header), internal_date, gmail_id, .. } = fetch else {
                    continue;
                };
                let internal_at = internal_date.as_deref().and_then(internal_date_of);
                items.push(Item { uid: uid.to_string(), header, size, internal_at, gmail_id });
            }
        }
        items.sort_by_key(|item| item.uid.parse::<u32>().unwrap_or(u32::MAX));
        items.dedup_by(|a, b| a.uid == b.uid);
        Ok(items)
    }

    /// One message, or its beginning.
    async fn body(&mut self, item: &Item, asked: &str) -> Result<Option<Vec<u8>>, Fault> {
        let fetched = self.session.fetch_set(&item.uid, asked).await?;
        let uid = item.uid.parse().ok();
        Ok(fetched
            .into_iter()
            .find(|fetch| fetch.uid == uid && fetch.body.is_some())
            .and_then(|fetch| fetch.body))
    }
}

impl Shelf for ImapShelf<'_> {
    async fn open(&mut self, folder: &str) -> Result<Open, Fault> {
        self.listed = Default::default();
        self.opened = self.session.open_folder(folder, false).await?;
        let Opened { uid_validity, uid_next, exists, .. } = self.opened;
        let Some(uid_validity) = uid_validity else {
            return Err(Fault::Garbage("the server gives the folder no UIDVALIDITY".to_owned()));
        };
        Ok(Open { uid_validity, uid_next, exists })
    }

    async fn fresh(&mut self, state: &FolderState, found: &mut FolderPass) -> Result<Fresh, Fault> {
        let after = state.last_uid;
        let Opened { uid_next, exists, .. } = self.opened;
        let highest = uid_next.and_then(|next| next.checked_sub(1));
        // Some servers refuse `1:*` in an empty folder.
        if exists == 0 || highest.is_some_and(|highest| highest <= after) || after == u32::MAX {
            return Ok(Fresh { read_to: highest.filter(|_| exists == 0), ..Fresh::default() });
        }
        let new = highest.map_or(u32::MAX, |highest| highest - after).min(exists);
        if new <= limits::MAILBOX_WATCH_FEW {
            let (ours, read_to) = self.by_fields(&format!("{}:*", after + 1), after).await?;
            let items = self.items(&ours).await?;
            return Ok(Fresh {
                items,
                read_to: Some(read_to.max(highest.unwrap_or_default())),
                is_more: false,
            });
        }
        if let Some(highest) = highest
            && let Some(hits) = self.searched(after, found).await?
        {
            let read_to = hits.last().copied().unwrap_or_default().max(highest);
            let items = self.items(&hits).await?;
            return Ok(Fresh { items, read_to: Some(read_to), is_more: false });
        }
        if self.listed.0.is_empty() {
            let listing = self.session.list_after(after, limits::MAILBOX_LISTED).await?;
            self.listed = (listing.messages.into_keys().collect(), listing.is_cut);
        }
        let (listed, is_cut) = &mut self.listed;
        let part: Vec<u32> = listed.drain(..listed.len().min(limits::MAILBOX_WATCH_FIELDS)).collect();
        let is_more = !listed.is_empty() || *is_cut;
        let (Some(first), Some(last)) = (part.first(), part.last()) else {
            return Ok(Fresh { read_to: highest, ..Fresh::default() });
        };
        let (ours, read_to) = self.by_fields(&format!("{first}:{last}"), after).await?;
        let items = self.items(&ours).await?;
        Ok(Fresh { items, read_to: Some(read_to.max(*last)), is_more })
    }

    async fn beginning(&mut self, item: &Item, bytes: u64) -> Result<Option<Vec<u8>>, Fault> {
        self.body(item, &format!("UID BODY.PEEK[]<0.{bytes}>")).await
    }

    async fn whole(&mut self, item: &Item) -> Result<Option<Vec<u8>>, Fault> {
        self.body(item, "UID BODY.PEEK[]").await
    }

    fn again(&mut self, _: &Item) {
        // The folder is not noted as read past it.
    }

    async fn still(&mut self, folder: &str, uids: &[String]) -> Result<Vec<String>, Fault> {
        self.open(folder).await?;
        let numbers: Vec<u32> = uids.iter().filter_map(|uid| uid.parse().ok()).collect();
        if numbers.is_empty() || self.opened.exists == 0 {
            return Ok(Vec::new());
        }
        Ok(self.session.list_of(&numbers).await?.messages.keys().map(u32::to_string).collect())
    }
}

/// Reads `17-Jul-1996 02:44:25 -0700` (RFC 3501 §9, `date-time`).
fn internal_date_of(text: &str) -> Option<Timestamp> {
    let at = jiff::Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()?;
    Some(Timestamp::from_ms(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_servers() {
        let cases = [
            ("17-Jul-1996 02:44:25 -0700", Some(837_596_665)),
            (" 1-Jan-2026 00:00:00 +0000", Some(1_767_225_600)),
            ("nonsense", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(internal_date_of(text).map(Timestamp::seconds), want, "{text}");
        }
    }
}
