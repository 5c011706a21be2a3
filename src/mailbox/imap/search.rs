//! Questions to an IMAP server that read nothing whole: which folders there are, which messages have a word in a field,
//! what stands in their header. All of them leave every flag as it is (BODY.PEEK, RFC 3501 §6.4.5).

use data_encoding::HEXLOWER;

use super::response::{Fetch, Response, Status};
use super::session::{Event, Session, refused};
use super::utf7;
use crate::limits;
use crate::mailbox::fault::Fault;
use crate::mailbox::spam::Candidate;

impl Session {
    /// The folders of the account, at most [`limits::MAILBOX_FOLDERS`].
    pub(in crate::mailbox) async fn folders(&mut self) -> Result<Vec<Candidate>, Fault> {
        // RFC 6154 §3: without being asked a server may show the marks or not.
        if self.can("SPECIAL-USE") && self.can("LIST-EXTENDED") {
            match self.list("LIST \"\" \"*\" RETURN (SPECIAL-USE)").await {
                Err(Fault::Refused { .. }) => {}
                other => return other,
            }
        }
        self.list("LIST \"\" \"*\"").await
    }

    /// The answers to a LIST.
    async fn list(&mut self, command: &str) -> Result<Vec<Candidate>, Fault> {
        let tag = self.send(command.as_bytes()).await?;
        let mut folders = Vec::new();
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => {
                    return if answer.status == Status::Ok {
                        Ok(folders)
                    } else {
                        Err(refused("LIST", answer))
                    };
                }
                Response::List(listed) if folders.len() < limits::MAILBOX_FOLDERS => {
                    let has = |flag: &str| listed.flags.iter().any(|other| other == flag);
                    folders.push(Candidate {
                        // `\Spam` is what servers said before RFC 6154.
                        is_marked: has("\\junk") || has("\\spam"),
                        is_selectable: !has("\\noselect") && !has("\\nonexistent"),
                        delimiter: listed.delimiter,
                        name: utf7::decode(&listed.name),
                    });
                }
                Response::List(_) => {}
                other => self.passed_over(other)?,
            }
        }
    }

    /// The UIDs that a search finds, in rising order; `Err` inside: the server refuses to search.
    pub(in crate::mailbox) async fn search(
        &mut self,
        criteria: &str,
    ) -> Result<Result<Vec<u32>, String>, Fault> {
        let tag = self.send(format!("UID SEARCH {criteria}").as_bytes()).await?;
        let mut found = Vec::new();
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => {
                    if answer.status != Status::Ok {
                        return Ok(Err(answer.text));
                    }
                    found.sort_unstable();
                    found.dedup();
                    return Ok(Ok(found));
                }
                Response::Search(uids) => {
                    let room = limits::MAILBOX_LISTED.saturating_sub(found.len());
                    found.extend(uids.into_iter().filter(|uid| *uid != 0).take(room));
                }
                other => self.passed_over(other)?,
            }
        }
    }

    /// True if the server finds a piece of a Message-ID that is known to be there, and not one that is not; `None` if
    /// the last message has none to try it with. The open folder must have a message.
    pub(in crate::mailbox) async fn finds_words(&mut self) -> Result<Option<bool>, Fault> {
        let last = self.fetch_set("*", "UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]").await?;
        let known = last.into_iter().find_map(|fetch| {
            let header = String::from_utf8(fetch.header?).ok()?;
            Some((fetch.uid?, piece_of(header.split_once(':')?.1)?))
        });
        let Some((uid, piece)) = known else { return Ok(None) };
        let absent = HEXLOWER.encode(&uid.to_be_bytes());
        for (text, want) in [(piece, true), (format!("{absent}zqx{absent}"), false)] {
            let found = self.search(&format!("UID {uid} HEADER MESSAGE-ID \"{text}\"")).await?;
            if !found.is_ok_and(|found| if want { found == [uid] } else { found.is_empty() }) {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }

    /// What a FETCH gives of some messages; one without a UID is passed over.
    pub(in crate::mailbox) async fn fetch_set(
        &mut self,
        set: &str,
        items: &str,
    ) -> Result<Vec<Fetch>, Fault> {
        let tag = self.send(format!("UID FETCH {set} ({items})").as_bytes()).await?;
        let mut all = Vec::new();
        loop {
            match self.event(&tag).await? {
                Event::Done(answer) if answer.status == Status::Ok => return Ok(all),
                Event::Done(answer) => return Err(refused("UID FETCH", answer)),
                Event::Fetch(fetch) if fetch.uid.is_some() && all.len() < limits::MAILBOX_LISTED => {
                    all.push(fetch);
                }
                Event::Fetch(_) => {}
            }
        }
    }
}

/// A piece from within a Message-ID: what a token is searched by is such a piece too.
fn piece_of(id: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let longest = id.split(|c: char| !is_plain(c)).max_by_key(|run| run.len())?;
    let piece: String = longest.chars().skip(1).take(9).collect();
    (piece.len() >= 3).then_some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_no_whole_word_and_needs_no_quoting() {
        let cases = [
            (" <CAF+abcdefghijkl=xyz@mail.example.com>\r\n\r\n", Some("ail.examp")),
            (" <r1@reporter.example>\r\n", Some("eporter.e")),
            (" <\"a\\b\"@x>", None),
            ("", None),
        ];
        for (id, want) in cases {
            assert_eq!(piece_of(id).as_deref(), want, "{id}");
        }
    }
}
