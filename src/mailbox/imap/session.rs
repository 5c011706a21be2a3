//! A signed-in connection to an IMAP server, and the commands that the reader gives.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use data_encoding::BASE64;
use tokio::time::Instant;

use super::response::{self, Answer, Fetch, Piece, Response, Status};
use super::utf7;
use crate::limits;
use crate::mailbox::fault::{Fault, Said, shown};
use crate::mailbox::options::{Credentials, MailboxOptions, MailboxTls};
use crate::mailbox::wire::{self, Wire};

/// A connection on which we are signed in.
pub(in crate::mailbox) struct Session {
    wire: Wire,
    /// No text of the server that is kept or shown has it in it, whenever the server says it.
    credentials: Credentials,
    /// Number of the last command.
    number: u32,
    /// What the server can, in upper case.
    capabilities: HashSet<String>,
    /// Largest literal that is read, bytes.
    literal_cap: u64,
    /// Messages in the open folder, as last said.
    exists: u32,
    /// True if more messages came than were there when the folder was listed.
    has_news: bool,
    /// Whether SEARCH found what it had to find; absent: not tried.
    pub(super) can_search: Option<bool>,
}

/// A folder that was opened.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::mailbox) struct Opened {
    /// UIDVALIDITY.
    pub(in crate::mailbox) uid_validity: Option<u32>,
    /// UIDNEXT.
    pub(in crate::mailbox) uid_next: Option<u32>,
    /// Messages in it.
    pub(in crate::mailbox) exists: u32,
    /// True if nothing can be changed in it.
    pub(in crate::mailbox) is_read_only: bool,
}

/// What comes while a command runs.
pub(in crate::mailbox) enum Event {
    /// A message.
    Fetch(Fetch),
    /// The command ended.
    Done(Answer),
}

/// The UIDs and sizes of messages, the lowest first, and whether there are more.
#[derive(Debug, Default)]
pub(in crate::mailbox) struct Listing {
    /// Size by UID; absent if the server did not say.
    pub(in crate::mailbox) messages: BTreeMap<u32, Option<u64>>,
    /// True if there are more than were held.
    pub(in crate::mailbox) is_cut: bool,
}

impl Session {
    /// Connects, makes TLS and signs in.
    pub(in crate::mailbox) async fn open(
        options: &MailboxOptions,
        credentials: &Credentials,
    ) -> Result<Self, Fault> {
        let wire = Wire::connect(options).await?;
        let mut session = Self {
            wire,
            credentials: credentials.clone(),
            number: 0,
            capabilities: HashSet::new(),
            // A literal that is no message is shorter than the largest message.
            literal_cap: options.message_bytes,
            exists: 0,
            has_news: false,
            can_search: None,
        };
        session.wire.begin_command();
        let greeting = match session.response().await? {
            Response::Status(answer) => answer,
            other => {
                let said = session.credentials.redact(&show(&other));
                return Err(Fault::Garbage(format!("no greeting of an IMAP server: {said}")));
            }
        };
        let mut is_signed_in = match greeting.status {
            Status::Ok => false,
            Status::PreAuth => true,
            _ => return Err(Fault::Closed(Said(Some(greeting.text)))),
        };
        if options.tls == MailboxTls::StartTls {
            // RFC 3501 §6.2.1: after PREAUTH there is no STARTTLS; somebody may want it so.
            if is_signed_in {
                return Err(Fault::NoStartTls);
            }
            session.ask_capabilities().await?;
            if !session.can("STARTTLS") {
                return Err(Fault::NoStartTls);
            }
            session.ok("STARTTLS", "STARTTLS".to_owned()).await?;
            session.wire.start_tls(options).await?;
            is_signed_in = false;
        }
        // RFC 3501 §6.2.1: what was said before TLS is forgotten.
        session.ask_capabilities().await?;
        if !is_signed_in {
            session.sign_in(options, credentials).await?;
            session.ask_capabilities().await?;
        }
        Ok(session)
    }

    /// The version of TLS.
    pub(in crate::mailbox) fn tls_version(&self) -> Option<String> {
        self.wire.tls.as_ref().map(|tls| tls.version.clone())
    }

    /// True if the server has this capability.
    pub(in crate::mailbox) fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    // ---- Signing in ----

    /// Signs in by the best way that both know.
    async fn sign_in(&mut self, options: &MailboxOptions, credentials: &Credentials) -> Result<(), Fault> {
        let user = &options.user;
        let answer = match credentials {
            Credentials::Password(password) if self.can("AUTH=PLAIN") => {
                // RFC 4616 §2: authorization identity (none), user, password.
                let message = format!("\0{user}\0{password}");
                self.authenticate("PLAIN", message.as_bytes(), b"").await?
            }
            Credentials::Password(password) if !self.can("LOGINDISABLED") => {
                let mut parts = vec![b"LOGIN ".to_vec()];
                argument(&mut parts, user);
                parts.last_mut().into_iter().for_each(|part| part.push(b' '));
                argument(&mut parts, password);
                self.run_parts(parts).await?
            }
            Credentials::Password(_) => {
                return Err(Fault::NoMechanism(format!(
                    "the server takes no password ({}); an OAuth 2.0 account needs `oauth`",
                    self.mechanisms()
                )));
            }
            Credentials::Token(token) if self.can("AUTH=XOAUTH2") => {
                let message = format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}");
                self.authenticate("XOAUTH2", message.as_bytes(), b"").await?
            }
            Credentials::Token(token) if self.can("AUTH=OAUTHBEARER") => {
                let (host, port) = (&options.host, options.port);
                let message =
                    format!("n,a={user},\u{1}host={host}\u{1}port={port}\u{1}auth=Bearer {token}\u{1}\u{1}");
                // RFC 7628 §3.2.3: a refusal is answered with one control character.
                self.authenticate("OAUTHBEARER", message.as_bytes(), b"\x01").await?
            }
            Credentials::Token(_) => {
                return Err(Fault::NoMechanism(format!(
                    "the server offers neither XOAUTH2 nor OAUTHBEARER ({})",
                    self.mechanisms()
                )));
            }
        };
        match answer.status {
            Status::Ok => Ok(()),
            // RFC 5530 §3: the server's own trouble, not the password's.
            _ if answer.is_code("UNAVAILABLE") || answer.is_code("INUSE") || answer.is_code("LIMIT") => {
                Err(Fault::Refused { command: "sign-in", text: answer.text })
            }
            _ => Err(Fault::SignIn(answer.text)),
        }
    }

    /// The ways to sign in that the server offers.
    fn mechanisms(&self) -> String {
        let mut words: Vec<&str> =
            self.capabilities.iter().map(String::as_str).filter(|word| word.starts_with("AUTH=")).collect();
        words.sort_unstable();
        if words.is_empty() { "it offers none".to_owned() } else { format!("it offers {}", words.join(" ")) }
    }

    /// AUTHENTICATE with the first message at once where the server allows it (RFC 4959 §3).
    async fn authenticate(&mut self, mechanism: &str, message: &[u8], after: &[u8]) -> Result<Answer, Fault> {
        let message = BASE64.encode(message);
        let mut is_sent = self.can("SASL-IR");
        let line = if is_sent {
            format!("AUTHENTICATE {mechanism} {message}")
        } else {
            format!("AUTHENTICATE {mechanism}")
        };
        let tag = self.send(line.as_bytes()).await?;
        let mut rounds = 0;
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => return Ok(answer),
                Response::Continue(_) => {
                    rounds += 1;
                    if rounds > 3 {
                        return Err(Fault::Garbage("the sign-in does not end".to_owned()));
                    }
                    let text = if is_sent { BASE64.encode(after) } else { message.clone() };
                    is_sent = true;
                    self.wire.write(format!("{text}\r\n").as_bytes()).await?;
                }
                other => self.passed_over(other)?,
            }
        }
    }

    // ---- Commands ----

    /// Sends a command; returns its tag.
    pub(super) async fn send(&mut self, command: &[u8]) -> Result<String, Fault> {
        self.number += 1;
        let tag = format!("M{}", self.number);
        self.wire.begin_command();
        let mut line = format!("{tag} ").into_bytes();
        line.extend_from_slice(command);
        line.extend_from_slice(b"\r\n");
        self.wire.write(&line).await?;
        Ok(tag)
    }

    /// Sends a command of several parts, each but the first behind a literal's length (RFC 3501 §7.5).
    async fn run_parts(&mut self, parts: Vec<Vec<u8>>) -> Result<Answer, Fault> {
        let mut parts = parts.into_iter();
        let tag = self.send(&parts.next().unwrap_or_default()).await?;
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => return Ok(answer),
                Response::Continue(_) => {
                    let mut part = parts.next().unwrap_or_default();
                    part.extend_from_slice(b"\r\n");
                    self.wire.write(&part).await?;
                }
                other => self.passed_over(other)?,
            }
        }
    }

    /// Runs a command and passes over what comes in between.
    async fn run(&mut self, command: String) -> Result<Answer, Fault> {
        self.run_parts(vec![command.into_bytes()]).await
    }

    /// Runs a command that must succeed.
    pub(super) async fn ok(&mut self, name: &'static str, command: String) -> Result<Answer, Fault> {
        let answer = self.run(command).await?;
        if answer.status == Status::Ok { Ok(answer) } else { Err(refused(name, answer)) }
    }

    /// Begins a FETCH; its messages come by [`Self::event`].
    pub(in crate::mailbox) async fn fetch(&mut self, uids: &[u32], items: &str) -> Result<String, Fault> {
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        self.send(format!("UID FETCH {set} ({items})").as_bytes()).await
    }

    /// The next message, or the end of the command.
    pub(in crate::mailbox) async fn event(&mut self, tag: &str) -> Result<Event, Fault> {
        let mut strays = 0_usize;
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => return Ok(Event::Done(answer)),
                Response::Fetch(fetch) => return Ok(Event::Fetch(fetch)),
                other => self.passed_over(other)?,
            }
            strays += 1;
            if strays > limits::MAILBOX_STRAY_RESPONSES {
                return Err(Fault::Garbage("responses without end that nobody asked for".to_owned()));
            }
        }
    }

    /// Looks at what comes beside what was asked for.
    pub(super) fn passed_over(&mut self, response: Response) -> Result<(), Fault> {
        match response {
            Response::Status(answer) if answer.status == Status::Bye => {
                Err(Fault::Closed(Said(Some(answer.text))))
            }
            Response::Exists(count) => {
                self.has_news |= count > self.exists;
                self.exists = count;
                Ok(())
            }
            Response::Expunge => {
                self.exists = self.exists.saturating_sub(1);
                Ok(())
            }
            Response::Tagged(tag, _) => Err(Fault::Garbage(format!(
                "the end of a command {} that was not given",
                self.credentials.redact(&shown(tag.as_bytes()))
            ))),
            _ => Ok(()),
        }
    }

    /// Asks what the server can.
    async fn ask_capabilities(&mut self) -> Result<(), Fault> {
        self.capabilities.clear();
        let tag = self.send(b"CAPABILITY").await?;
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => {
                    if answer.status != Status::Ok {
                        return Err(refused("CAPABILITY", answer));
                    }
                    return Ok(());
                }
                Response::Capability(words) => self.capabilities.extend(words),
                other => self.passed_over(other)?,
            }
        }
    }

    /// Opens a folder: EXAMINE, or SELECT if it is to be changed.
    pub(in crate::mailbox) async fn open_folder(
        &mut self,
        name: &str,
        is_changed: bool,
    ) -> Result<Opened, Fault> {
        let command = if is_changed { "SELECT" } else { "EXAMINE" };
        let mut parts = vec![format!("{command} ").into_bytes()];
        argument(&mut parts, &utf7::encode(name));
        let mut parts = parts.into_iter();
        let tag = self.send(&parts.next().unwrap_or_default()).await?;
        let mut opened = Opened::default();
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => {
                    if answer.status != Status::Ok {
                        return Err(refused(command, answer));
                    }
                    opened.is_read_only = answer.is_code("READ-ONLY");
                    self.exists = opened.exists;
                    self.has_news = false;
                    return Ok(opened);
                }
                Response::Continue(_) => {
                    let mut part = parts.next().unwrap_or_default();
                    part.extend_from_slice(b"\r\n");
                    self.wire.write(&part).await?;
                }
                Response::Exists(count) => opened.exists = count,
                Response::Status(answer) if answer.status == Status::Ok => {
                    let uid_validity = answer.number("UIDVALIDITY").filter(|number| *number != 0);
                    opened.uid_validity = uid_validity.or(opened.uid_validity);
                    opened.uid_next = answer.number("UIDNEXT").or(opened.uid_next);
                }
                other => self.passed_over(other)?,
            }
        }
    }

    /// Lists the messages with UIDs over `after`, at most `most`.
    pub(in crate::mailbox) async fn list_after(&mut self, after: u32, most: usize) -> Result<Listing, Fault> {
        let Some(first) = after.checked_add(1) else { return Ok(Listing::default()) };
        self.has_news = false;
        let tag = self.send(format!("UID FETCH {first}:* (UID RFC822.SIZE)").as_bytes()).await?;
        // RFC 3501 §6.4.8: `n:*` gives the last message even if its UID is below n.
        self.listed(&tag, most, |uid| uid > after).await
    }

    /// Lists those of some messages that are there.
    pub(in crate::mailbox) async fn list_of(&mut self, uids: &[u32]) -> Result<Listing, Fault> {
        let mut all = Listing::default();
        for uids in uids.chunks(limits::MAILBOX_BATCH_MESSAGES) {
            let tag = self.fetch(uids, "UID RFC822.SIZE").await?;
            let some = self.listed(&tag, uids.len(), |uid| uids.contains(&uid)).await?;
            all.messages.extend(some.messages);
        }
        Ok(all)
    }

    /// Gathers the answers to a listing.
    async fn listed(
        &mut self,
        tag: &str,
        most: usize,
        is_wanted: impl Fn(u32) -> bool,
    ) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        loop {
            match self.event(tag).await? {
                Event::Done(answer) if answer.status == Status::Ok => return Ok(listing),
                Event::Done(answer) => return Err(refused("UID FETCH", answer)),
                Event::Fetch(Fetch { uid: Some(uid), size, .. }) if is_wanted(uid) => {
                    let known = listing.messages.entry(uid).or_default();
                    *known = size.or(*known);
                    if listing.messages.len() > most {
                        listing.messages.pop_last();
                        listing.is_cut = true;
                    }
                }
                Event::Fetch(_) => {}
            }
        }
    }

    /// Moves messages to another folder of the same account; makes the folder if there is none.
    pub(in crate::mailbox) async fn move_to(&mut self, uids: &[u32], folder: &str) -> Result<(), Fault> {
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let name = utf7::encode(folder);
        let (word, command) =
            if self.can("MOVE") { ("UID MOVE", "UID MOVE") } else { ("UID COPY", "UID COPY") };
        let parts = || {
            let mut parts = vec![format!("{command} {set} ").into_bytes()];
            argument(&mut parts, &name);
            parts
        };
        let mut answer = self.run_parts(parts()).await?;
        if answer.status != Status::Ok {
            // Only a word of the server says that the folder is missing, and not every server says it.
            let mut create = vec![b"CREATE ".to_vec()];
            argument(&mut create, &name);
            let created = self.run_parts(create).await?;
            if created.status == Status::Ok || answer.is_code("TRYCREATE") {
                if created.status != Status::Ok {
                    return Err(refused("CREATE", created));
                }
                answer = self.run_parts(parts()).await?;
            }
        }
        if answer.status != Status::Ok {
            return Err(refused(word, answer));
        }
        if !self.can("MOVE") {
            self.ok("UID STORE", format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)")).await?;
            // Without UIDPLUS an EXPUNGE would remove what others have marked: the mark must do.
            if self.can("UIDPLUS") {
                self.ok("UID EXPUNGE", format!("UID EXPUNGE {set}")).await?;
            }
        }
        Ok(())
    }

    /// Waits for new mail in the open folder, at most so long. True if there may be some.
    ///
    /// Needs the capability IDLE (RFC 2177).
    pub(in crate::mailbox) async fn idle(&mut self, longest: Duration) -> Result<bool, Fault> {
        if self.has_news {
            return Ok(true);
        }
        let until = wire::now() + longest.min(limits::MAILBOX_IDLE_TIMEOUT);
        let tag = self.send(b"IDLE").await?;
        loop {
            match self.response().await? {
                Response::Continue(_) => break,
                Response::Tagged(ended, answer) if ended == tag => return Err(refused("IDLE", answer)),
                other => self.passed_over(other)?,
            }
        }
        while !self.has_news && self.wire.wait_until(until).await? {
            let response = self.response().await?;
            self.passed_over(response)?;
        }
        self.wire.begin_command();
        self.wire.write(b"DONE\r\n").await?;
        loop {
            match self.response().await? {
                Response::Tagged(ended, answer) if ended == tag => {
                    return if answer.status == Status::Ok {
                        Ok(self.has_news)
                    } else {
                        Err(refused("IDLE", answer))
                    };
                }
                other => self.passed_over(other)?,
            }
        }
    }

    /// Says good-bye; nothing depends on it.
    pub(in crate::mailbox) async fn close(mut self) {
        let until: Instant = wire::now() + limits::SUBMIT_QUIT_TIMEOUT;
        if let Ok(tag) = self.send(b"LOGOUT").await {
            while let Ok(true) = self.wire.wait_until(until).await {
                match self.response().await {
                    Ok(Response::Tagged(ended, _)) if ended == tag => break,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
    }

    // ---- Responses ----

    /// Reads one response whole.
    pub(super) async fn response(&mut self) -> Result<Response, Fault> {
        let mut pieces = Vec::new();
        let (mut text_bytes, mut literal_bytes) = (0_usize, 0_u64);
        loop {
            let line = self.wire.line().await?;
            text_bytes += line.len();
            if text_bytes > limits::MAILBOX_RESPONSE_BYTES {
                let cap = limits::MAILBOX_RESPONSE_BYTES as u64;
                return Err(Fault::TooLong { what: "an answer", cap });
            }
            let Some((text, count)) = response::literal(&line, pieces.is_empty()) else {
                pieces.push(Piece::Text(line));
                break;
            };
            literal_bytes = literal_bytes.saturating_add(count);
            if literal_bytes > self.literal_cap {
                return Err(Fault::TooLarge { bytes: literal_bytes, cap: self.literal_cap });
            }
            // An empty line and a literal without bytes cost nothing, and must not go on for ever.
            text_bytes += 16;
            pieces.push(Piece::Text(text.to_vec()));
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            pieces.push(Piece::Literal(self.wire.exact(count).await?));
        }
        let head = match pieces.first() {
            Some(Piece::Text(line)) => self.credentials.redact(&shown(line)),
            _ => String::new(),
        };
        let mut response = response::parse(pieces).ok_or(Fault::Garbage(head))?;
        if let Response::Status(answer) | Response::Tagged(_, answer) = &mut response {
            answer.text = self.credentials.redact(&answer.text);
        }
        Ok(response)
    }
}

/// A command that did not succeed.
pub(in crate::mailbox) fn refused(command: &'static str, answer: Answer) -> Fault {
    Fault::Refused { command, text: answer.text }
}

/// True if the server's answer is that all is well.
pub(in crate::mailbox) fn is_ok(answer: &Answer) -> bool {
    answer.status == Status::Ok
}

/// What a response is, for a message about it.
fn show(response: &Response) -> String {
    match response {
        Response::Tagged(tag, answer) => format!("{} {}", shown(tag.as_bytes()), answer.text),
        Response::Continue(text) => format!("+ {}", shown(text)),
        other => format!("{other:?}").chars().take(60).collect(),
    }
}

/// Appends an argument: quoted where it is short and plain, else as a literal, which begins a new part.
pub(super) fn argument(parts: &mut Vec<Vec<u8>>, text: &str) {
    let is_plain = text.len() <= 1_000 && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let Some(last) = parts.last_mut() else { return };
    if is_plain {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        last.extend_from_slice(format!("\"{escaped}\"").as_bytes());
    } else {
        last.extend_from_slice(format!("{{{}}}", text.len()).as_bytes());
        parts.push(text.as_bytes().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_cannot_break_out() {
        let mut parts = vec![b"LOGIN ".to_vec()];
        argument(&mut parts, "a\\b\"c");
        assert_eq!(parts, [b"LOGIN \"a\\\\b\\\"c\"".to_vec()]);
        argument(&mut parts, "x\r\nA1 DELETE y");
        assert_eq!(parts.len(), 2);
        assert!(parts[0].ends_with(b"{14}"));
        assert_eq!(parts[1], b"x\r\nA1 DELETE y");
    }
}
