//! The POP3 client (RFC 1939): reads each message once by its UIDL and leaves all of them.

pub(super) mod own;

use std::collections::{HashMap, HashSet};

use data_encoding::BASE64;

use super::fault::{Fault, Said, shown};
use super::keeper::{KeepError, Keeper, Kept};
use super::options::{Credentials, MailboxOptions, MailboxTls};
use super::pass::{FolderPass, FolderView, Pass, looked};
use super::state::{FolderKey, Mark, Note, OpenMessage, Step};
use super::wire::Wire;
use crate::limits;

/// The one folder of POP3.
const FOLDER: &str = "INBOX";

/// A signed-in connection.
struct Session {
    wire: Wire,
    /// No text of the server that is shown has it in it, whenever the server says it.
    credentials: Credentials,
    /// What the server can (RFC 2449 §5), in upper case; empty if it does not say.
    capabilities: Vec<String>,
}

/// A message as the server lists it.
struct Listed {
    number: u32,
    uidl: String,
    size: Option<u64>,
}

impl Session {
    /// Connects, makes TLS and signs in.
    async fn open(options: &MailboxOptions, credentials: &Credentials) -> Result<Self, Fault> {
        let mut session = Self {
            wire: Wire::connect(options).await?,
            credentials: credentials.clone(),
            capabilities: Vec::new(),
        };
        session.wire.begin_command();
        let greeting = session.wire.line().await?;
        match status(&greeting) {
            Some(true) => {}
            Some(false) => return Err(Fault::Closed(Said(Some(session.shown(&greeting))))),
            None => {
                let said = session.shown(&greeting);
                return Err(Fault::Garbage(format!("no greeting of a POP3 server: {said}")));
            }
        }
        session.ask_capabilities().await?;
        if options.tls == MailboxTls::StartTls {
            // RFC 2595 §4. A server that does not list it may still know it.
            match session.command("STLS").await? {
                Ok(_) => session.wire.start_tls(options).await?,
                Err(_) => return Err(Fault::NoStartTls),
            }
            session.ask_capabilities().await?;
        }
        session.sign_in(options, credentials).await?;
        Ok(session)
    }

    /// Signs in.
    async fn sign_in(&mut self, options: &MailboxOptions, credentials: &Credentials) -> Result<(), Fault> {
        let user = &options.user;
        let answer = match credentials {
            Credentials::Password(password) => {
                if user.contains(['\r', '\n']) || password.contains(['\r', '\n']) {
                    return Err(Fault::Credentials("a line end in the user or the password".to_owned()));
                }
                match self.command(&format!("USER {user}")).await? {
                    Ok(_) => self.command(&format!("PASS {password}")).await?,
                    refusal => refusal,
                }
            }
            Credentials::Token(token) => {
                // Two lines: servers take neither the token nor any initial response of this length in one.
                let message = format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}");
                self.send("AUTH XOAUTH2").await?;
                let line = self.wire.line().await?;
                if !line.starts_with(b"+ ") && line != b"+" {
                    let said = self.shown(&line);
                    return Err(Fault::NoMechanism(format!("the server takes no XOAUTH2: {said}")));
                }
                match self.command(&BASE64.encode(message.as_bytes())).await {
                    // A refusal comes as a challenge that is answered with an empty line.
                    Err(Fault::Garbage(text)) if text.starts_with('+') => self.command("").await?,
                    other => other?,
                }
            }
        };
        answer.map(|_| ()).map_err(|text| {
            // RFC 2449 §8.1 and RFC 3206 §4: the mailbox is locked, or the server in trouble.
            if ["[IN-USE]", "[SYS/TEMP]", "[LOGIN-DELAY]"].iter().any(|code| text.contains(code)) {
                Fault::Refused { command: "sign-in", text }
            } else {
                Fault::SignIn(text)
            }
        })
    }

    /// A text of the server for a message of ours.
    fn shown(&self, text: &[u8]) -> String {
        // Before it is cut: half a secret is one too.
        shown(self.credentials.redact(&String::from_utf8_lossy(text)).as_bytes())
    }

    /// Sends a command.
    async fn send(&mut self, command: &str) -> Result<(), Fault> {
        self.wire.begin_command();
        self.wire.write(format!("{command}\r\n").as_bytes()).await
    }

    /// Sends a command and reads its first line: the text behind `+OK`, or all of the refusal.
    async fn command(&mut self, command: &str) -> Result<Result<String, String>, Fault> {
        self.send(command).await?;
        let line = self.wire.line().await?;
        match status(&line) {
            Some(true) => Ok(Ok(self.shown(line.get(3..).unwrap_or_default()))),
            Some(false) => Ok(Err(self.shown(&line))),
            None => Err(Fault::Garbage(self.shown(&line))),
        }
    }

    /// Asks what the server can; one that does not know the question can nothing.
    async fn ask_capabilities(&mut self) -> Result<(), Fault> {
        self.capabilities.clear();
        if self.command("CAPA").await?.is_ok() {
            while let Some(line) = self.list_line().await? {
                if self.capabilities.len() < 100 {
                    self.capabilities.push(shown(&line).to_ascii_uppercase());
                }
            }
        }
        Ok(())
    }

    /// The next line of an answer of many, without its stuffed dot; `None` at its end (RFC 1939 §3).
    async fn list_line(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut line = self.wire.line().await?;
        if line == b"." {
            return Ok(None);
        }
        if line.starts_with(b".") {
            line.remove(0);
        }
        Ok(Some(line))
    }

    /// The numbers and UIDLs of messages that `is_wanted`, at most [`limits::MAILBOX_LISTED`].
    async fn list(&mut self, mut is_wanted: impl FnMut(&str) -> bool) -> Result<Vec<Listed>, Fault> {
        if let Err(text) = self.command("UIDL").await? {
            // Without UIDL nobody knows which messages were read.
            return Err(Fault::Refused { command: "UIDL", text });
        }
        let mut listed: Vec<Listed> = Vec::new();
        // RFC 1939 §7 lets equal messages share a UIDL: the second is told apart by its count.
        let mut seen: HashMap<String, u32> = HashMap::new();
        let mut lines = 0_usize;
        while let Some(line) = self.list_line().await? {
            lines += 1;
            if lines > limits::MAILBOX_STRAY_RESPONSES {
                return Err(Fault::Garbage("a list without end".to_owned()));
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            let mut words = text.split_ascii_whitespace();
            let (Some(number), Some(uidl)) = (words.next().and_then(|word| word.parse().ok()), words.next())
            else {
                continue;
            };
            let uidl: String = uidl.chars().take(200).collect();
            let count = seen.entry(uidl.clone()).or_insert(0);
            *count += 1;
            let uidl = if *count > 1 { format!("{uidl} {count}") } else { uidl };
            if is_wanted(&uidl) && listed.len() < limits::MAILBOX_LISTED {
                listed.push(Listed { number, uidl, size: None });
            }
        }
        if !listed.is_empty() && self.command("LIST").await?.is_ok() {
            let mut places: HashMap<u32, usize> = HashMap::new();
            places.extend(listed.iter().enumerate().map(|(at, message)| (message.number, at)));
            while let Some(line) = self.list_line().await? {
                let text = String::from_utf8_lossy(&line).into_owned();
                let mut words = text.split_ascii_whitespace().map(str::parse::<u64>);
                if let (Some(Ok(number)), Some(Ok(size))) = (words.next(), words.next())
                    && let Ok(number) = u32::try_from(number)
                    && let Some(message) = places.get(&number).and_then(|at| listed.get_mut(*at))
                {
                    message.size = Some(size);
                }
            }
        }
        Ok(listed)
    }

    /// One message; `Err` inside: the server refuses.
    async fn retrieve(&mut self, number: u32, cap: u64) -> Result<Result<Vec<u8>, String>, Fault> {
        self.message(&format!("RETR {number}"), cap).await
    }

    /// What a command gives of a message; `Err` inside: the server refuses.
    async fn message(&mut self, command: &str, cap: u64) -> Result<Result<Vec<u8>, String>, Fault> {
        if let Err(text) = self.command(command).await? {
            return Ok(Err(text));
        }
        // The bytes as they came, so that the same message is the same whichever way it comes.
        let mut bytes = Vec::new();
        let mut is_line_start = true;
        loop {
            let piece = self.wire.piece().await?;
            let mut rest = piece.as_slice();
            if is_line_start && let Some(after) = piece.strip_prefix(b".") {
                if matches!(after, b"\r\n" | b"\n") {
                    break;
                }
                rest = after;
            }
            is_line_start = piece.ends_with(b"\n");
            bytes.extend_from_slice(rest);
            if bytes.len() as u64 > cap {
                return Err(Fault::TooLarge { bytes: bytes.len() as u64, cap });
            }
        }
        Ok(Ok(bytes))
    }
}

/// True for `+OK`, false for `-ERR`, nothing for what is neither.
fn status(line: &[u8]) -> Option<bool> {
    let is = |word: &[u8]| line.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    if is(b"+OK") {
        Some(true)
    } else if is(b"-ERR") {
        Some(false)
    } else {
        None
    }
}

/// Reads what is new in the mailbox.
pub(super) async fn read<K: Keeper>(
    options: &MailboxOptions,
    credentials: &Credentials,
    keeper: &K,
    pass: &mut Pass,
) -> Result<(), Fault> {
    let mut session = Session::open(options, credentials).await?;
    let mut found = FolderPass::new(FOLDER);
    let result = read_inbox(&mut session, options, keeper, &mut found).await;
    if let Err(fault) = &result {
        found.fail(fault.to_string());
    }
    let noted = looked(options, keeper, &found).await;
    pass.folders.push(found);
    match result {
        Err(fault) if fault.ends_connection() => return Err(fault),
        _ => noted?,
    }
    // Nothing was marked for removal, so that QUIT changes nothing.
    let _ = session.command("QUIT").await;
    Ok(())
}

/// Reads what is new, then what did not come before.
async fn read_inbox<K: Keeper>(
    session: &mut Session,
    options: &MailboxOptions,
    keeper: &K,
    found: &mut FolderPass,
) -> Result<(), Fault> {
    let key = FolderKey { account: options.account(), folder: FOLDER.to_owned() };
    let state = keeper.state(&key).await.map_err(|error| Fault::Keep(error.text))?;
    let cap = options.message_bytes;
    let mut known: HashMap<String, OpenMessage> =
        state.open.into_iter().map(|message| (message.uid.clone(), message)).collect();
    let is_done = |message: &OpenMessage| match message.step {
        Step::Ask => false,
        Step::GivenUp => message.size_bytes.is_none_or(|size| size > cap),
        _ => true,
    };
    let mut there: HashSet<String> = HashSet::new();
    let mut listed = session
        .list(|uidl| {
            there.extend(known.get(uidl).map(|_| uidl.to_owned()));
            !known.get(uidl).is_some_and(is_done)
        })
        .await?;
    // What is gone from the server need not be remembered.
    let gone: Vec<String> = known.keys().filter(|uidl| !there.contains(*uidl)).cloned().collect();
    if !gone.is_empty() {
        for uidl in &gone {
            known.remove(uidl);
        }
        keeper.note(&key, Note::Clear(gone)).await.map_err(|error| Fault::Keep(error.text))?;
    }
    // What did not come before comes last, so that it keeps no other waiting.
    listed.sort_by_key(|message| known.get(&message.uidl).map_or(0, |known| known.tries));
    let mut reader =
        Reader { session, keeper, key, cap, known, found, awaited: Vec::new(), awaited_bytes: 0 };
    let result = reader.read_all(listed).await;
    // What is on its way is waited for, also after a fault.
    let settled = reader.settle().await;
    result.and(settled)
}

/// The mailbox under way.
struct Reader<'r, K> {
    session: &'r mut Session,
    keeper: &'r K,
    key: FolderKey,
    cap: u64,
    known: HashMap<String, OpenMessage>,
    found: &'r mut FolderPass,
    /// Messages whose commit is awaited.
    awaited: Vec<(String, super::keeper::Receipt)>,
    awaited_bytes: u64,
}

impl<K: Keeper> Reader<'_, K> {
    /// Asks for each message.
    async fn read_all(&mut self, listed: Vec<Listed>) -> Result<(), Fault> {
        for Listed { number, uidl, size } in listed {
            self.found.found += 1;
            if let Some(size) = size.filter(|size| *size > self.cap) {
                let reason = format!("{size} bytes: over the cap of {}", self.cap);
                self.set_aside(uidl, Some(size), Step::GivenUp, reason).await?;
                continue;
            }
            match self.session.retrieve(number, self.cap).await {
                Ok(Ok(bytes)) => {
                    self.awaited_bytes += bytes.len() as u64;
                    let mark = Mark::Pop3 { key: self.key.clone(), uidl: uidl.clone() };
                    match self.keeper.keep(mark, bytes).await {
                        Ok(receipt) => self.awaited.push((uidl, receipt)),
                        Err(error) => self.failed(uidl, error).await?,
                    }
                }
                Ok(Err(text)) => {
                    let step = self.step_after_try(&uidl);
                    self.set_aside(uidl, None, step, format!("the server does not send it: {text}")).await?;
                }
                Err(fault) => {
                    // Also where more came than the list said: it may be another message next time.
                    let size = match fault {
                        Fault::TooLarge { bytes, .. } => Some(bytes),
                        _ => None,
                    };
                    let step = self.step_after_try(&uidl);
                    self.set_aside(uidl, size, step, fault.to_string()).await?;
                    return Err(fault);
                }
            }
            let is_full = self.awaited.len() >= limits::MAILBOX_BATCH_MESSAGES
                || self.awaited_bytes >= limits::MAILBOX_BATCH_BYTES;
            if is_full {
                self.settle().await?;
            }
        }
        Ok(())
    }

    /// Waits for the commits.
    async fn settle(&mut self) -> Result<(), Fault> {
        self.awaited_bytes = 0;
        let mut result = Ok(());
        for (uidl, receipt) in std::mem::take(&mut self.awaited) {
            let kept: Result<Kept, KeepError> = receipt.await.unwrap_or_else(|_| {
                let text = "the store ended before it answered".to_owned();
                Err(KeepError { is_temporary: true, text })
            });
            match kept {
                Ok(kept) => self.found.count(kept),
                Err(error) => result = result.and(self.failed(uidl, error).await),
            }
        }
        result
    }

    /// The store did not keep a message.
    async fn failed(&mut self, uidl: String, error: KeepError) -> Result<(), Fault> {
        if error.is_temporary {
            return Err(Fault::Keep(error.text));
        }
        let step = self.step_after_try(&uidl);
        self.set_aside(uidl, None, step, error.text).await
    }

    /// What to do with a message that did not come this time either.
    fn step_after_try(&self, uidl: &str) -> Step {
        let tries = self.known.get(uidl).map_or(0, |message| message.tries);
        if tries + 1 >= limits::MAILBOX_TRIES { Step::GivenUp } else { Step::Ask }
    }

    /// Notes that a message did not come.
    async fn set_aside(
        &mut self,
        uidl: String,
        size_bytes: Option<u64>,
        step: Step,
        reason: String,
    ) -> Result<(), Fault> {
        self.found.set_aside(step);
        self.found.note(format!("{uidl}: {reason}"));
        let note = Note::Aside { previous: None, uid: uidl, step, size_bytes, reason };
        self.keeper.note(&self.key, note).await.map_err(|error| Fault::Keep(error.text))
    }
}

/// Connects, signs in and asks how many messages there are.
pub(super) async fn inspect(
    options: &MailboxOptions,
    credentials: &Credentials,
) -> Result<FolderView, Fault> {
    let mut session = Session::open(options, credentials).await?;
    let (messages, fault) = match session.command("STAT").await? {
        Ok(text) => (text.split_ascii_whitespace().next().and_then(|word| word.parse().ok()), None),
        Err(text) => (None, Some(text)),
    };
    let tls_version = session.wire.tls.as_ref().map(|tls| tls.version.clone());
    let _ = session.command("QUIT").await;
    Ok(FolderView {
        folder: FOLDER.to_owned(),
        role: None,
        messages,
        tls_version,
        can_idle: false,
        can_search: None,
        fault,
    })
}
