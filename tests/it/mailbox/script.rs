//! Servers that say what a test wants: a small IMAP server whose every answer can be replaced.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a scripted server does at one point.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Sends these bytes and goes on.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    Close(Vec<u8>),
    /// Sends these bytes and then nothing more.
    Stall(Vec<u8>),
}

/// A reply in text.
#[expect(clippy::unnecessary_wraps, reason = "what the answers of a script are")]
pub(super) fn send(text: &str) -> Option<Reply> {
    Some(Reply::Send(text.as_bytes().to_vec()))
}

/// Answers one line of a client: greeting for the empty line at the beginning. `{tag}` is the command's.
pub(super) type Answer = Box<dyn FnMut(&str) -> Option<Reply> + Send>;

/// A server on a port of this machine.
pub(super) struct Scripted {
    pub(super) port: u16,
    /// Every line that came, without tags.
    pub(super) lines: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Scripted {
    /// Starts a server; `answer` is asked for each line, with its tag if `is_tagged`.
    pub(super) fn start(is_tagged: bool, mut answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (over, seen) = (Arc::clone(&is_over), Arc::clone(&lines));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                serve(stream.unwrap(), is_tagged, &mut answer, &seen, &over);
            }
        });
        Self { port, lines, is_over, thread: Some(thread) }
    }

    /// How many lines came that contain a text.
    pub(super) fn count(&self, text: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            if !std::thread::panicking() {
                joined.unwrap();
            }
        }
    }
}

/// One connection.
fn serve(
    stream: TcpStream,
    is_tagged: bool,
    answer: &mut Answer,
    seen: &Mutex<Vec<String>>,
    over: &AtomicBool,
) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut output = stream;
    let mut line = String::new();
    // A line without a tag goes on with the command before it.
    let mut tag = String::new();
    loop {
        let command = match line.split_once(' ') {
            Some((new, command)) if is_tagged && new.starts_with('M') => {
                new.clone_into(&mut tag);
                command
            }
            _ => line.as_str(),
        };
        if let Some(reply) = answer(command) {
            let (Reply::Send(bytes) | Reply::Close(bytes) | Reply::Stall(bytes)) = &reply;
            // A client that has gone is what some tests are about.
            let _ = output.write_all(&replace(bytes, b"{tag}", tag.as_bytes()));
            match reply {
                Reply::Send(_) => {}
                Reply::Close(_) => return,
                Reply::Stall(_) => {
                    let mut rest = String::new();
                    while !over.load(Ordering::SeqCst)
                        && input.read_line(&mut rest).is_ok_and(|read| read > 0)
                    {}
                    return;
                }
            }
        }
        line.clear();
        match input.read_line(&mut line) {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        line.truncate(line.trim_end().len());
        let shown =
            if is_tagged { line.split_once(' ').map_or(line.as_str(), |(_, rest)| rest) } else { &line };
        seen.lock().unwrap().push(shown.to_owned());
    }
}

/// Bytes with something replaced.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if rest.starts_with(from) {
            out.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

/// A folder that a scripted IMAP server has.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) uid_validity: u32,
    pub(super) messages: BTreeMap<u32, Vec<u8>>,
    pub(super) capabilities: &'static str,
}

impl Folder {
    /// A folder with these messages from UID 1 on.
    pub(super) fn of(messages: Vec<Vec<u8>>) -> Self {
        Self {
            uid_validity: 7,
            messages: (1..).zip(messages).collect(),
            capabilities: "IMAP4rev1 AUTH=PLAIN SASL-IR IDLE MOVE UIDPLUS",
        }
    }

    /// The response that holds one message.
    pub(super) fn fetched(&self, uid: u32) -> Vec<u8> {
        let body = &self.messages[&uid];
        let mut out = format!("* {uid} FETCH (UID {uid} BODY[] {{{}}}\r\n", body.len()).into_bytes();
        out.extend_from_slice(body);
        out.extend_from_slice(b")\r\n");
        out
    }

    /// An honest answer to a command.
    pub(super) fn answer(&mut self, command: &str) -> Option<Reply> {
        let words: Vec<&str> = command.split(' ').collect();
        let next = self.messages.keys().last().map_or(1, |uid| uid + 1);
        match words.as_slice() {
            [""] => send("* OK ready\r\n"),
            ["CAPABILITY"] => send(&format!("* CAPABILITY {}\r\n{{tag}} OK done\r\n", self.capabilities)),
            ["EXAMINE" | "SELECT", ..] => send(&format!(
                "* {} EXISTS\r\n* OK [UIDVALIDITY {}] valid\r\n* OK [UIDNEXT {next}] next\r\n{{tag}} OK [READ-WRITE] open\r\n",
                self.messages.len(),
                self.uid_validity
            )),
            ["UID", "FETCH", set, "(UID", "RFC822.SIZE)"] => {
                let mut out = String::new();
                for uid in self.chosen(set) {
                    let size = self.messages[&uid].len();
                    let _ = write!(out, "* {uid} FETCH (UID {uid} RFC822.SIZE {size})\r\n");
                }
                send(&format!("{out}{{tag}} OK listed\r\n"))
            }
            ["UID", "FETCH", set, "(UID", "BODY.PEEK[])"] => {
                let mut out: Vec<u8> =
                    self.chosen(set).into_iter().flat_map(|uid| self.fetched(uid)).collect();
                out.extend_from_slice(b"{tag} OK fetched\r\n");
                Some(Reply::Send(out))
            }
            ["UID", "MOVE", set, _] => {
                for uid in self.chosen(set) {
                    self.messages.remove(&uid);
                }
                send("{tag} OK moved\r\n")
            }
            ["LOGOUT"] => Some(Reply::Close(b"* BYE bye\r\n{tag} OK bye\r\n".to_vec())),
            _ => send("{tag} OK done\r\n"),
        }
    }

    /// The UIDs of a set that are there; `n:*` holds the last one always.
    fn chosen(&self, set: &str) -> Vec<u32> {
        if let Some(first) = set.strip_suffix(":*") {
            let first: u32 = first.parse().unwrap();
            let last = self.messages.keys().last().copied();
            return self.messages.keys().copied().filter(|uid| *uid >= first || Some(*uid) == last).collect();
        }
        set.split(',').map(|uid| uid.parse().unwrap()).filter(|uid| self.messages.contains_key(uid)).collect()
    }
}

/// A scripted IMAP server: the folder is honest, `other` may answer first.
pub(super) fn imap(
    folder: Arc<Mutex<Folder>>,
    mut other: impl FnMut(&str, &mut Folder) -> Option<Reply> + Send + 'static,
) -> Scripted {
    Scripted::start(
        true,
        Box::new(move |command| {
            let mut folder = folder.lock().unwrap();
            other(command, &mut folder).or_else(|| folder.answer(command))
        }),
    )
}
