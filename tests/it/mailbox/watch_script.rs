//! Probes in the mailboxes of servers that lie, stall, refuse and speak Gmail's dialect.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailsonde::mailbox::{Aim, MailboxOptions, Source, SpamFolder, Timeouts, WatchOptions};

use super::make::{Kept, options, watching};
use super::script::{Reply, Scripted, send};

/// A message of a scripted account.
#[derive(Clone)]
struct Mail {
    bytes: Vec<u8>,
    gmail: u64,
}

/// A scripted account of several folders; honest, unless told otherwise.
struct Account {
    capabilities: &'static str,
    /// UIDVALIDITY and messages of each folder.
    folders: BTreeMap<&'static str, (u32, BTreeMap<u32, Mail>)>,
    open: &'static str,
    /// What a SEARCH answers instead of the truth.
    search: Option<&'static str>,
}

impl Account {
    fn new(folders: &[&'static str]) -> Self {
        let folders = folders.iter().map(|name| (*name, (7, BTreeMap::new()))).collect();
        Self {
            capabilities: "IMAP4rev1 AUTH=PLAIN SASL-IR SPECIAL-USE LIST-EXTENDED",
            folders,
            open: "INBOX",
            search: None,
        }
    }

    fn put(&mut self, folder: &str, bytes: &[u8], gmail: u64) -> u32 {
        let messages = &mut self.folders.get_mut(folder).unwrap().1;
        let uid = messages.keys().last().map_or(1, |uid| uid + 1);
        messages.insert(uid, Mail { bytes: bytes.to_vec(), gmail });
        uid
    }

    /// The UIDs of a set.
    fn chosen(&self, set: &str) -> Vec<u32> {
        let uids: Vec<u32> = self.folders[self.open].1.keys().copied().collect();
        let last = uids.last().copied().unwrap_or(0);
        let number = |text: &str| if text == "*" { last } else { text.parse().unwrap() };
        let is_in = |uid: &u32| {
            set.split(',').any(|part| match part.split_once(':') {
                Some((low, high)) => {
                    let (low, high) = (number(low), number(high));
                    (low.min(high)..=low.max(high)).contains(uid)
                }
                None => number(part) == *uid,
            })
        };
        uids.into_iter().filter(is_in).collect()
    }

    /// What a FETCH of one message holds.
    fn fetched(&self, uid: u32, items: &str) -> Vec<u8> {
        let mail = &self.folders[self.open].1[&uid];
        let end = mail.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let header = &mail.bytes[..end];
        let mut out = format!("* {uid} FETCH (UID {uid}").into_bytes();
        if items.contains("X-GM-MSGID") {
            out.extend_from_slice(format!(" X-GM-MSGID {}", mail.gmail).as_bytes());
        }
        if items.contains("RFC822.SIZE") {
            out.extend_from_slice(format!(" RFC822.SIZE {}", mail.bytes.len()).as_bytes());
        }
        if items.contains("INTERNALDATE") {
            out.extend_from_slice(b" INTERNALDATE \"06-Mar-2026 12:00:00 +0000\"");
        }
        let mut literal = |name: &str, bytes: &[u8]| {
            out.extend_from_slice(format!(" {name} {{{}}}\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
        };
        if items.contains("BODY.PEEK[HEADER.FIELDS") {
            literal("BODY[HEADER.FIELDS (MESSAGE-ID)]", header);
        } else if items.contains("BODY.PEEK[HEADER]") {
            literal("BODY[HEADER]", header);
        } else if items.contains("BODY.PEEK[]") {
            literal("BODY[]", &mail.bytes);
        }
        out.extend_from_slice(b")\r\n");
        out
    }

    /// An honest search: every `HEADER X "word"` that stands in the header, or everything for an empty word in our field.
    fn found(&self, criteria: &str) -> Vec<u32> {
        let mut words = criteria.split(' ');
        assert_eq!(words.next(), Some("UID"), "{criteria}");
        let set = words.next().unwrap();
        let wanted: Vec<(String, String)> = criteria
            .split("HEADER ")
            .skip(1)
            .map(|rest| {
                let (name, rest) = rest.split_once(' ').unwrap();
                (name.to_lowercase(), rest.split('"').nth(1).unwrap().to_lowercase())
            })
            .collect();
        let is_hit = |uid: &u32| {
            let bytes = &self.folders[self.open].1[uid].bytes;
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            let header = text.split("\r\n\r\n").next().unwrap();
            wanted.iter().any(|(name, word)| {
                header.lines().any(|line| line.starts_with(&format!("{name}:")) && line.contains(word))
            })
        };
        self.chosen(set).into_iter().filter(is_hit).collect()
    }

    /// An answer to a command.
    fn answer(&mut self, command: &str) -> Option<Reply> {
        let words: Vec<&str> = command.split(' ').collect();
        match words.as_slice() {
            [""] => send("* OK ready\r\n"),
            ["CAPABILITY"] => send(&format!("* CAPABILITY {}\r\n{{tag}} OK done\r\n", self.capabilities)),
            ["LIST", ..] => {
                let mut out = String::new();
                for name in self.folders.keys() {
                    let flag = if *name == "[Gmail]/Spam" { "\\Junk" } else { "\\HasNoChildren" };
                    let _ = write!(out, "* LIST ({flag}) \"/\" \"{name}\"\r\n");
                }
                send(&format!("{out}{{tag}} OK listed\r\n"))
            }
            ["EXAMINE", ..] => {
                let name = command.split('"').nth(1).unwrap();
                let Some(name) = self.folders.keys().copied().find(|known| *known == name) else {
                    return send("{tag} NO [NONEXISTENT] no such folder\r\n");
                };
                self.open = name;
                let (validity, messages) = &self.folders[name];
                let next = messages.keys().last().map_or(1, |uid| uid + 1);
                send(&format!(
                    "* {} EXISTS\r\n* OK [UIDVALIDITY {validity}] ok\r\n* OK [UIDNEXT {next}] ok\r\n{{tag}} OK [READ-ONLY] open\r\n",
                    messages.len()
                ))
            }
            ["UID", "SEARCH", ..] => {
                if let Some(text) = self.search {
                    return send(text);
                }
                let found = self.found(command.trim_start_matches("UID SEARCH "));
                let found: Vec<String> = found.iter().map(u32::to_string).collect();
                send(&format!("* SEARCH {}\r\n{{tag}} OK found\r\n", found.join(" ")))
            }
            ["UID", "FETCH", set, ..] => {
                let mut out: Vec<u8> =
                    self.chosen(set).into_iter().flat_map(|uid| self.fetched(uid, command)).collect();
                out.extend_from_slice(b"{tag} OK fetched\r\n");
                Some(Reply::Send(out))
            }
            ["LOGOUT"] => Some(Reply::Close(b"* BYE bye\r\n{tag} OK bye\r\n".to_vec())),
            _ => send("{tag} OK done\r\n"),
        }
    }
}

/// A server over an account; `other` may answer first.
fn serve(
    account: &Arc<Mutex<Account>>,
    mut other: impl FnMut(&str, &mut Account) -> Option<Reply> + Send + 'static,
) -> Scripted {
    let account = Arc::clone(account);
    Scripted::start(
        true,
        Box::new(move |command| {
            let mut account = account.lock().unwrap();
            other(command, &mut account).or_else(|| account.answer(command))
        }),
    )
}

/// A mail of somebody.
fn foreign(number: u32) -> Vec<u8> {
    format!("From: a@b.example\r\nSubject: n\r\nMessage-ID: <abcdefgh{number}@b.example>\r\n\r\ntext\r\n")
        .into_bytes()
}

/// A watcher that looks into the inbox alone.
fn inbox_only(port: u16) -> WatchOptions {
    let aim = Aim::Arrivals { spam: SpamFolder::Nowhere, other: Vec::new(), recheck: Vec::new() };
    WatchOptions { aim, ..watching(port) }
}

/// Nothing of what was said to the server may change anything, or read a foreign mail whole.
#[track_caller]
fn is_harmless(server: &Scripted, whole: usize) {
    for word in [
        "STORE", "SELECT", "EXPUNGE", "COPY", "MOVE", "DELETE", "APPEND", "CREATE", "CLOSE", "BODY[",
        "RFC822)",
    ] {
        assert_eq!(server.count(word), 0, "{word}: {:?}", server.lines.lock().unwrap());
    }
    assert_eq!(server.count("(UID BODY.PEEK[])"), whole, "{:?}", server.lines.lock().unwrap());
}

/// A server is believed only after it found what is there; whatever it does, the probe is found and nothing else read.
#[test]
fn a_server_that_cannot_search_hides_nothing() {
    let lies: [(&str, Option<&'static str>); 6] = [
        ("honest", None),
        ("finds nothing", Some("* SEARCH\r\n{tag} OK done\r\n")),
        ("no answer line", Some("{tag} OK done\r\n")),
        ("refuses", Some("{tag} NO [CANNOT] not here\r\n")),
        ("does not understand", Some("{tag} BAD what\r\n")),
        ("finds everything", Some("* SEARCH 1 2 3 4 5 6 7 8 9 10 11 12\r\n{tag} OK done\r\n")),
    ];
    for (what, search) in lies {
        let kept = Kept::new();
        let probe = kept.probe(1, "1a");
        let mut account = Account::new(&["INBOX"]);
        account.search = search;
        for number in 0..70 {
            account.put("INBOX", &foreign(number), 0);
            if number == 20 {
                account.put("INBOX", &probe.mail, 0);
            }
        }
        let account = Arc::new(Mutex::new(account));
        let server = serve(&account, |_, _| None);
        assert_eq!(kept.seen(&inbox_only(server.port)), [("INBOX".to_owned(), 1, 0)], "{what}");
        assert_eq!(kept.told(&probe), ["arrived inbox INBOX"], "{what}");
        assert_eq!(kept.messages(), 1, "{what}");
        is_harmless(&server, 1);
        // What was asked of all messages: nothing where the server searches, else four fields.
        let of_all = server.count("BODY.PEEK[HEADER.FIELDS (X-MAILSONDE-PROBE");
        assert_eq!(of_all, usize::from(search.is_some()), "{what}: {:?}", server.lines.lock().unwrap());
        // A few new messages are never searched for.
        let second = kept.probe(2, "2a");
        let searched = server.count("UID SEARCH");
        account.lock().unwrap().put("INBOX", &second.mail, 0);
        kept.seen(&inbox_only(server.port));
        assert_eq!(
            (kept.told(&second), server.count("UID SEARCH")),
            (vec!["arrived inbox INBOX".to_owned()], searched)
        );
    }
}

#[test]
fn a_message_under_several_labels_of_gmail_is_one_arrival() {
    let kept = Kept::new();
    let probe = kept.probe(1, "1a");
    let mut account = Account::new(&["INBOX", "[Gmail]/All Mail", "[Gmail]/Spam"]);
    account.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR SPECIAL-USE X-GM-EXT-1";
    // Gmail writes the same message everywhere; the id decides even if it did not.
    let other_hop = String::from_utf8(probe.mail.clone()).unwrap().replace("id 1a", "id 9z");
    account.put("INBOX", &probe.mail, 1_278_455_344_230_334_865);
    account.put("[Gmail]/All Mail", other_hop.as_bytes(), 1_278_455_344_230_334_865);
    let account = Arc::new(Mutex::new(account));
    let server = serve(&account, |_, _| None);
    let options = WatchOptions {
        aim: Aim::Arrivals {
            spam: SpamFolder::Auto,
            other: vec!["[Gmail]/All Mail".to_owned()],
            recheck: vec![Duration::from_millis(1)],
        },
        ..watching(server.port)
    };
    kept.seen(&options);
    kept.seen(&options);
    assert_eq!((kept.told(&probe), kept.messages()), (vec!["arrived inbox INBOX".to_owned()], 1));
    assert_eq!(kept.arrival(&probe).0.copy_of.as_deref(), Some("gmail 1278455344230334865"));
    // Marked as spam, it leaves the inbox and all mail.
    {
        let mut account = account.lock().unwrap();
        let mail = account.folders.get_mut("INBOX").unwrap().1.remove(&1).unwrap();
        account.folders.get_mut("[Gmail]/All Mail").unwrap().1.clear();
        account.put("[Gmail]/Spam", &mail.bytes, mail.gmail);
    }
    kept.seen(&options);
    assert_eq!(kept.told(&probe), ["arrived inbox INBOX", "moved spam [Gmail]/Spam"]);
    is_harmless(&server, 1);
}

/// The folder is looked through again when its numbers change, and nothing is told twice.
#[test]
fn other_numbers_make_no_other_arrivals() {
    let kept = Kept::new();
    let (first, second) = (kept.probe(1, "1a"), kept.probe(2, "2a"));
    let account = Arc::new(Mutex::new(Account::new(&["INBOX"])));
    account.lock().unwrap().put("INBOX", &first.mail, 0);
    let server = serve(&account, |_, _| None);
    let options = WatchOptions {
        aim: Aim::Arrivals {
            spam: SpamFolder::Auto,
            other: Vec::new(),
            recheck: vec![Duration::from_millis(1)],
        },
        ..watching(server.port)
    };
    kept.seen(&options);
    {
        let mut account = account.lock().unwrap();
        let (validity, messages) = account.folders.get_mut("INBOX").unwrap();
        *validity = 8;
        let mail = messages.remove(&1).unwrap();
        messages.insert(41, mail);
        account.put("INBOX", &second.mail, 0);
    }
    let (pass, result) = kept.look(&options);
    assert_eq!(result, Ok(()));
    assert_eq!((pass.folders[0].found, pass.folders[0].duplicates), (2, 1), "{pass:?}");
    assert!(pass.folders[0].notes[0].contains("UIDVALIDITY was 7 and is 8"), "{pass:?}");
    kept.seen(&options);
    assert_eq!(
        (kept.told(&first), kept.told(&second)),
        (vec!["arrived inbox INBOX".to_owned()], vec!["arrived inbox INBOX".to_owned()])
    );
    // A folder that was restored from a backup: the same UIDVALIDITY, lower numbers.
    {
        let mut account = account.lock().unwrap();
        let messages = &mut account.folders.get_mut("INBOX").unwrap().1;
        let mail = messages.remove(&41).unwrap();
        messages.clear();
        messages.insert(3, mail);
    }
    let (pass, _) = kept.look(&options);
    assert!(pass.folders[0].notes[0].contains("UIDNEXT 4"), "{pass:?}");
    assert_eq!(kept.told(&first).len(), 1);
}

/// Whatever a server does, the watcher says what, tells nothing wrong and finds the probe when it is over.
#[test]
fn faults_are_named_and_nothing_is_lost_by_them() {
    let cases: [(&str, Reply, &str); 7] = [
        ("EXAMINE", Reply::Stall(b"* 1 EXISTS\r\n".to_vec()), "no answer in"),
        ("EXAMINE", Reply::Close(b"* BYE going down\r\n".to_vec()), "closed the connection: going down"),
        ("EXAMINE", Reply::Send(b"{tag} NO [NONEXISTENT] no such folder\r\n".to_vec()), "EXAMINE: "),
        ("EXAMINE", Reply::Send(b"{tag} OK open\r\n".to_vec()), "no UIDVALIDITY"),
        ("UID FETCH", Reply::Send(b"HTTP/1.1 400 Bad Request\r\n".to_vec()), "not understood"),
        ("UID FETCH 1 (UID BODY.PEEK[])", Reply::Send(b"{tag} OK fetched\r\n".to_vec()), "does not send it"),
        (
            "UID FETCH 1 (UID BODY.PEEK[])",
            Reply::Send(b"{tag} NO [SERVERBUG] sorry\r\n".to_vec()),
            "does not send it",
        ),
    ];
    for (at, reply, want) in cases {
        let kept = Kept::new();
        let probe = kept.probe(1, "1a");
        let account = Arc::new(Mutex::new(Account::new(&["INBOX"])));
        account.lock().unwrap().put("INBOX", &probe.mail, 0);
        let mut is_over = false;
        let server = serve(&account, move |command, _| {
            if is_over || !command.starts_with(at) {
                return None;
            }
            is_over = true;
            Some(reply.clone())
        });
        let quick = Timeouts {
            connect: Duration::from_secs(20),
            reply: Duration::from_millis(300),
            command: Duration::from_secs(20),
        };
        let account_options = MailboxOptions { timeouts: quick, ..options(server.port) };
        let options = WatchOptions { source: Source::Account(Box::new(account_options)), ..inbox_only(0) };
        let (pass, result) = kept.look(&options);
        let of_folder = pass.folders.first().and_then(|folder| folder.fault.clone()).unwrap_or_default();
        let said = result.err().map_or(of_folder, |fault| fault.to_string());
        assert!(said.contains(want), "{at}: {said}, wanted {want}");
        assert_eq!(kept.told(&probe), [""; 0], "{at}");
        assert_eq!(kept.seen(&options), [("INBOX".to_owned(), 1, 0)], "{at}");
        assert_eq!(kept.told(&probe), ["arrived inbox INBOX"], "{at}");
    }
}

/// A server that says the password: in its greeting, in a refusal, when it closes, in nonsense.
#[test]
fn the_password_is_in_no_word_of_ours() {
    let kept = Kept::new();
    let said = [
        ("", "* BYE you were correct-horse"),
        ("", "+ correct-horse"),
        ("", "correct-horse * OK"),
        ("", "M1 OK correct-horse"),
        ("AUTHENTICATE", "{tag} NO [AUTHENTICATIONFAILED] bad password correct-horse"),
        ("AUTHENTICATE", "{tag} NO [UNAVAILABLE] correct-horse later"),
        ("AUTHENTICATE", "correct-horse OK done"),
        ("EXAMINE", "{tag} NO no folder for correct-horse"),
        ("EXAMINE", "* BYE correct-horse"),
        ("EXAMINE", "correct-horse"),
    ];
    for (at, text) in said {
        let account = Arc::new(Mutex::new(Account::new(&["INBOX"])));
        let server = serve(&account, move |command, _| {
            let is_here = if at.is_empty() { command.is_empty() } else { command.starts_with(at) };
            is_here.then(|| Reply::Close(format!("{text}\r\n").into_bytes()))
        });
        let (pass, result) = kept.look(&inbox_only(server.port));
        let faults = pass.folders.iter().filter_map(|folder| folder.fault.clone());
        let told: Vec<String> = faults.chain(result.err().map(|fault| fault.to_string())).collect();
        assert!(!told.is_empty(), "{at} {text}: no fault");
        assert!(told.iter().all(|fault| !fault.contains("correct-horse")), "{at} {text}: {told:?}");
        assert!(told.iter().any(|fault| fault.contains('…')), "{at} {text}: the rest is shown: {told:?}");
    }
    kept.store.flush().unwrap();
    let file = std::fs::read(kept.store.path()).unwrap();
    let wal = std::fs::read(kept.store.path().with_extension("db-wal")).unwrap_or_default();
    for bytes in [file, wal] {
        assert!(!bytes.windows(13).any(|window| window == b"correct-horse"));
    }
}
