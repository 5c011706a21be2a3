//! Whatever an IMAP server does: named, tried again or left, and nothing lost or counted twice.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailsonde::mailbox::{Fault, MailboxOptions, MailboxTls};

use super::make::{Kept, broken_mail, moving, options, report_mail};
use super::script::{Folder, Reply, imap, send};

/// A folder with three reports of 1, 2 and 3 messages.
fn three() -> Arc<Mutex<Folder>> {
    Arc::new(Mutex::new(Folder::of(vec![report_mail(1), report_mail(2), report_mail(3)])))
}

/// Short waits, for servers that stall.
fn hasty(port: u16) -> MailboxOptions {
    let mut options = options(port);
    options.timeouts.reply = Duration::from_millis(400);
    options
}

/// The beginning of a command of the reader, and what the server does there the first time.
struct Case {
    name: &'static str,
    at: &'static str,
    reply: Reply,
    /// In the fault of the look, or in a note of it.
    told: &'static str,
}

/// Bytes and the end.
fn close(text: &str) -> Reply {
    Reply::Close(text.as_bytes().to_vec())
}

/// Bytes and silence.
fn stall(text: &str) -> Reply {
    Reply::Stall(text.as_bytes().to_vec())
}

/// Bytes.
fn say(text: &str) -> Reply {
    Reply::Send(text.as_bytes().to_vec())
}

#[test]
fn a_broken_look_is_named_and_the_next_one_reads_everything_once() {
    let body = "(UID BODY.PEEK[])";
    let list = "(UID RFC822.SIZE)";
    let cut = String::from_utf8(Folder::of(vec![report_mail(1)]).fetched(1)).unwrap();
    let half = cut[..cut.len() / 2].to_owned();
    let case = |name, at, reply, told| Case { name, at, reply, told };
    let cases = [
        case("closed at once", "", close(""), "closed the connection"),
        case("another protocol", "", say("HTTP/1.1 400 Bad Request\r\n"), "not understood"),
        case("a mail server", "", say("220 smtp.example.com ESMTP\r\n"), "not understood"),
        case("too busy", "", close("* BYE too many connections\r\n"), "too many connections"),
        case("silent", "", stall(""), "no answer"),
        case("a line without end", "", say(&"x".repeat(200_000)), "a line over the cap"),
        case("closed after the password", "AUTHENTICATE", close(""), "closed the connection"),
        case(
            "password refused",
            "AUTHENTICATE",
            say("{tag} NO [AUTHENTICATIONFAILED] no\r\n"),
            "refuses the sign-in",
        ),
        case("not now", "AUTHENTICATE", say("{tag} NO [UNAVAILABLE] later\r\n"), "later"),
        case("no folder", "EXAMINE", say("{tag} NO [NONEXISTENT] no such folder\r\n"), "no such folder"),
        case("no rights", "EXAMINE", say("{tag} NO [NOPERM] permission denied\r\n"), "permission denied"),
        case("no UIDVALIDITY", "EXAMINE", say("* 3 EXISTS\r\n{tag} OK open\r\n"), "no UIDVALIDITY"),
        case("vanished in the list", list, close("* 1 FETCH (UID 1 RFC822.SI"), "closed the connection"),
        case("the list is refused", list, say("{tag} BAD what?\r\n"), "what?"),
        case(
            "nonsense in the list",
            list,
            say("* 1 FETCH (UID x\r\n* ) ( \"\r\n{tag} BAD no\r\n"),
            "UID FETCH: no",
        ),
        case("another tag", list, say("M999 OK listed\r\n"), "not given"),
        case("vanished in a message", body, close(&half), "closed the connection"),
        case("stalled in a message", body, stall(&half), "no answer"),
        case("logged out in between", body, close("* BYE maintenance\r\n"), "maintenance"),
        case(
            "a length out of the world",
            body,
            say("* 1 FETCH (UID 1 BODY[] {9999999999999}\r\n"),
            "over the cap",
        ),
        case(
            "lengths without end",
            body,
            say(&format!("* 1 FETCH (UID 1{}", " X {0}\r\n".repeat(20_000))),
            "an answer over the cap",
        ),
        case("a message is not sent", body, say("{tag} OK nothing\r\n"), ""),
        case("messages are refused", body, say("{tag} NO cannot\r\n"), ""),
        case("server trouble", body, say("{tag} NO [SERVERBUG] disk\r\n"), "disk"),
        case("UID 0", body, say("* 1 FETCH (UID 0 BODY[] \"x\")\r\n{tag} OK done\r\n"), ""),
        case(
            "another message",
            body,
            say("* 9 FETCH (UID 99 BODY[] \"x\")\r\n{tag} OK done\r\n"),
            "UID 99, which was not asked",
        ),
    ];
    for Case { name, at, reply, told } in cases {
        let mut is_over = false;
        let server = imap(three(), move |command, _| {
            let is_here = if at.is_empty() { command.is_empty() } else { command.contains(at) };
            if is_here && !is_over {
                is_over = true;
                return Some(reply.clone());
            }
            None
        });
        let kept = Kept::new();
        let (pass, result) = kept.pass(&hasty(server.port));
        let mut said: Vec<String> = result.err().iter().map(ToString::to_string).collect();
        for folder in &pass.folders {
            said.extend(folder.fault.clone());
            said.extend(folder.notes.clone());
        }
        assert!(told.is_empty() || said.iter().any(|text| text.contains(told)), "{name}: {said:?}");
        // What was broken once is read at the latest at the second look after it.
        kept.good(&options(server.port));
        kept.good(&options(server.port));
        assert_eq!(kept.sums(), (3, 6), "{name}");
        assert_eq!(kept.messages(), 3, "{name}");
    }
}

#[test]
fn a_server_that_lies_about_sizes_and_numbers() {
    // The size says 10 bytes, the message is over the cap: given up by name, and the others are read.
    let folder = three();
    folder.lock().unwrap().messages.insert(4, vec![b'x'; 20_000]);
    let server = imap(Arc::clone(&folder), |command, folder| {
        if command.ends_with("(UID RFC822.SIZE)") && command.contains(":*") {
            let mut out = String::new();
            for uid in folder.messages.keys().rev() {
                let _ = write!(out, "* 1 FETCH (UID {uid} RFC822.SIZE 10)\r\n");
            }
            out.push_str("* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n* 1 FETCH (UID 0 RFC822.SIZE 10)\r\n* 1 FETCH (RFC822.SIZE 1)\r\n");
            return send(&format!("{out}{{tag}} OK done\r\n"));
        }
        None
    });
    let kept = Kept::new();
    let small = MailboxOptions { message_bytes: 10_000, ..options(server.port) };
    let (_, result) = kept.pass(&small);
    assert!(matches!(result, Err(Fault::TooLarge { bytes: 20_000, .. })), "{result:?}");
    folder.lock().unwrap().messages.insert(5, report_mail(5));
    // The second time it says the truth of the single message.
    kept.good(&small);
    assert_eq!(kept.sums(), (4, 11));
    let known = kept.store.reader().unwrap().mailbox_folders().unwrap();
    assert_eq!((known[0].given_up, known[0].waiting, known[0].last_uid), (1, 0, 5));
    // With a larger cap it is asked for after all.
    kept.good(&options(server.port));
    assert_eq!(kept.store.reader().unwrap().mailbox_folders().unwrap()[0].given_up, 0);
    assert_eq!(kept.messages(), 5);
}

#[test]
fn too_large_is_left_by_name_without_being_asked_for() {
    let folder = three();
    folder.lock().unwrap().messages.insert(2, vec![b'x'; 20_000]);
    let server = imap(folder, |_, _| None);
    let kept = Kept::new();
    let (pass, result) = kept.pass(&MailboxOptions { message_bytes: 10_000, ..options(server.port) });
    assert_eq!(result, Ok(()));
    let found = &pass.folders[0];
    assert_eq!((found.read, found.given_up), (2, 1), "{found:?}");
    assert!(found.notes[0].contains("20000 bytes: over the cap of 10000"), "{found:?}");
    assert_eq!(server.count("UID FETCH 2 (UID BODY.PEEK[])"), 0);
}

#[test]
fn messages_out_of_order_twice_and_as_quoted_text() {
    let folder = three();
    folder.lock().unwrap().messages.insert(4, b"Subject: short".to_vec());
    let server = imap(folder, |command, folder| {
        if !command.ends_with("(UID BODY.PEEK[])") {
            return None;
        }
        let mut out = b"* 4 FETCH (UID 4 BODY[] \"Subject: short\")\r\n".to_vec();
        for uid in [3, 1, 1, 2] {
            out.extend_from_slice(&folder.fetched(uid));
        }
        out.extend_from_slice(b"{tag} OK done\r\n");
        Some(Reply::Send(out))
    });
    let kept = Kept::new();
    kept.good(&options(server.port));
    assert_eq!(kept.sums(), (3, 6));
    assert_eq!(kept.messages(), 4);
    assert_eq!(kept.good(&options(server.port)), (0, 0, 0));
    assert_eq!(server.count("BODY.PEEK"), 1);
}

#[test]
fn one_message_that_never_comes_keeps_no_other_waiting_and_is_given_up_at_last() {
    let folder = three();
    let server = imap(Arc::clone(&folder), |command, folder| {
        let set = command.strip_prefix("UID FETCH ")?.strip_suffix(" (UID BODY.PEEK[])")?;
        let mut out = Vec::new();
        for uid in set.split(',').map(|uid| uid.parse().unwrap()).filter(|uid| *uid != 2) {
            out.extend_from_slice(&folder.fetched(uid));
        }
        out.extend_from_slice(if set == "2" { b"{tag} NO cannot read it\r\n" } else { b"{tag} OK done\r\n" });
        Some(Reply::Send(out))
    });
    let kept = Kept::new();
    let (pass, result) = kept.pass(&options(server.port));
    assert_eq!(result, Ok(()));
    assert_eq!((pass.folders[0].read, pass.folders[0].waiting), (2, 1), "{pass:?}");
    assert_eq!(kept.sums(), (2, 4));
    for _ in 0..mailsonde::limits::MAILBOX_TRIES {
        kept.good(&options(server.port));
    }
    let known = kept.store.reader().unwrap().mailbox_folders().unwrap();
    assert_eq!((known[0].waiting, known[0].given_up, known[0].last_uid), (0, 1, 3));
    let text = known[0].first_given_up.clone().unwrap();
    assert!(text.contains("cannot read it"), "{text}");
    let asked = server.count("UID FETCH 2 (UID BODY.PEEK[])");
    kept.good(&options(server.port));
    assert_eq!(server.count("UID FETCH 2 (UID BODY.PEEK[])"), asked, "no longer asked for");
    assert_eq!(kept.messages(), 2);
}

#[test]
fn a_message_that_breaks_the_connection_does_not_block_the_folder_for_ever() {
    let server = imap(three(), |command, folder| {
        let set = command.strip_prefix("UID FETCH ")?.strip_suffix(" (UID BODY.PEEK[])")?;
        let mut out = Vec::new();
        for uid in set.split(',').map(|uid| uid.parse().unwrap()) {
            if uid == 2 {
                return Some(Reply::Close(out));
            }
            out.extend_from_slice(&folder.fetched(uid));
        }
        out.extend_from_slice(b"{tag} OK done\r\n");
        Some(Reply::Send(out))
    });
    let kept = Kept::new();
    let mut looks = 0;
    while kept.sums() != (2, 4) {
        looks += 1;
        assert!(
            looks <= mailsonde::limits::MAILBOX_BREAKS + 2,
            "the folder stays blocked: {:?}",
            kept.sums()
        );
        let (_, result) = kept.pass(&options(server.port));
        assert!(matches!(result, Err(Fault::Closed(_))), "{result:?}");
    }
    let known = kept.store.reader().unwrap().mailbox_folders().unwrap();
    assert_eq!((known[0].waiting, known[0].given_up, known[0].last_uid), (1, 0, 3));
}

#[test]
fn other_uids_are_read_from_the_beginning_and_counted_once() {
    let folder = three();
    let server = imap(Arc::clone(&folder), |_, _| None);
    let kept = Kept::new();
    assert_eq!(kept.good(&options(server.port)), (3, 3, 0));
    folder.lock().unwrap().uid_validity = 8;
    let (pass, _) = kept.pass(&options(server.port));
    assert_eq!((pass.folders[0].found, pass.folders[0].duplicates), (3, 3));
    assert!(pass.folders[0].notes[0].contains("UIDVALIDITY was 7 and is 8"), "{pass:?}");
    // A restored folder that hands out old UIDs again, under the same UIDVALIDITY.
    let mut back = Folder::of(vec![report_mail(9)]);
    back.uid_validity = 8;
    *folder.lock().unwrap() = back;
    let (pass, _) = kept.pass(&options(server.port));
    assert_eq!((pass.folders[0].found, pass.folders[0].read), (1, 1), "{pass:?}");
    assert!(pass.folders[0].notes[0].contains("UIDNEXT"), "{pass:?}");
    assert_eq!(kept.sums(), (4, 15));
    assert_eq!(kept.messages(), 4);
}

#[test]
fn a_store_without_room_loses_nothing() {
    let server = imap(three(), |_, _| None);
    let kept = Kept::new();
    let folder = tempfile::tempdir().unwrap();
    let full = mailsonde::store::StoreOptions { free_bytes: u64::MAX / 2, ..crate::store::make::options() };
    let path = folder.path().join("full.db");
    let store = mailsonde::store::Store::open(&path, full).unwrap();
    let keys = mailsonde::daemon::keys::load_or_create(&path).unwrap();
    let full = Kept {
        folder,
        keeper: mailsonde::daemon::mailbox::StoreKeeper::new(store.clone(), keys).unwrap(),
        store,
    };
    let (_, result) = full.pass(&options(server.port));
    assert!(matches!(&result, Err(Fault::Keep(text)) if text.contains("no space")), "{result:?}");
    assert_eq!(full.messages(), 0);
    full.store.close();
    let store = mailsonde::store::Store::open(&path, crate::store::make::options()).unwrap();
    let keys = mailsonde::daemon::keys::load_or_create(&path).unwrap();
    let again = Kept {
        folder: full.folder,
        keeper: mailsonde::daemon::mailbox::StoreKeeper::new(store.clone(), keys).unwrap(),
        store,
    };
    assert_eq!(again.good(&options(server.port)), (3, 3, 0));
    assert_eq!(again.sums(), (3, 6));
    drop(kept);
}

// ---- Moving ----

/// A folder with two reports, one that cannot be read, and one ordinary mail.
fn mixed() -> Arc<Mutex<Folder>> {
    let plain = b"From: a@example.org\r\nSubject: lunch\r\n\r\nAt one?\r\n".to_vec();
    Arc::new(Mutex::new(Folder::of(vec![report_mail(1), broken_mail(2), report_mail(3), plain])))
}

#[test]
fn kept_messages_are_moved_after_the_commit() {
    let folder = mixed();
    let server = imap(Arc::clone(&folder), |_, _| None);
    let kept = Kept::new();
    kept.good(&moving(server.port));
    assert_eq!(server.count("UID MOVE 1,3,4 \"read\""), 1, "{:?}", server.lines.lock().unwrap());
    assert_eq!(server.count("UID MOVE 2 \"unread\""), 1);
    assert!(folder.lock().unwrap().messages.is_empty());
    assert_eq!(kept.messages(), 4);
    assert_eq!(kept.good(&moving(server.port)), (0, 0, 0));
}

#[test]
fn without_move_they_are_copied_marked_and_removed() {
    let folder = mixed();
    folder.lock().unwrap().capabilities = "IMAP4rev1 AUTH=PLAIN UIDPLUS";
    let server = imap(folder, |_, _| None);
    let kept = Kept::new();
    kept.good(&moving(server.port));
    for line in [
        "UID COPY 1,3,4 \"read\"",
        "UID STORE 1,3,4 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 1,3,4",
        "UID COPY 2 \"unread\"",
    ] {
        assert_eq!(server.count(line), 1, "{line}: {:?}", server.lines.lock().unwrap());
    }
}

#[test]
fn a_move_that_fails_is_named_and_done_later() {
    let refusals = [
        "{tag} NO [OVERQUOTA] quota exceeded\r\n",
        "{tag} NO [NOPERM] not yours\r\n",
        "{tag} NO [TRYCREATE] no such folder\r\n",
    ];
    for refusal in refusals {
        let is_open = Arc::new(Mutex::new(false));
        let is_open_now = Arc::clone(&is_open);
        let server = imap(mixed(), move |command, _| {
            let is_refused = command.starts_with("UID MOVE") || command.starts_with("CREATE");
            if is_refused && !*is_open_now.lock().unwrap() { send(refusal) } else { None }
        });
        let kept = Kept::new();
        let (pass, result) = kept.pass(&moving(server.port));
        assert_eq!(result, Ok(()));
        let fault = pass.folders[0].fault.clone().unwrap_or_default();
        assert!(fault.contains("cannot be moved to \"read\""), "{fault}");
        assert_eq!(kept.sums(), (2, 4), "reading goes on");
        assert_eq!(kept.store.reader().unwrap().mailbox_folders().unwrap()[0].to_move, 4);
        *is_open.lock().unwrap() = true;
        kept.good(&moving(server.port));
        assert_eq!(kept.store.reader().unwrap().mailbox_folders().unwrap()[0].to_move, 0);
        assert_eq!((kept.sums(), kept.messages()), ((2, 4), 4), "{refusal}");
    }
}

#[test]
fn a_connection_that_ends_between_commit_and_move_is_made_up_for() {
    let folder = mixed();
    let mut is_over = false;
    let server = imap(Arc::clone(&folder), move |command, _| {
        (command.starts_with("UID MOVE") && !std::mem::replace(&mut is_over, true)).then(|| close(""))
    });
    let kept = Kept::new();
    let (_, result) = kept.pass(&moving(server.port));
    assert!(matches!(result, Err(Fault::Closed(_))), "{result:?}");
    kept.good(&moving(server.port));
    assert!(folder.lock().unwrap().messages.is_empty());
    assert_eq!((kept.sums(), kept.messages()), ((2, 4), 4));
}

// ---- Safety ----

#[test]
fn nothing_is_said_to_a_server_without_starttls() {
    let folder = three();
    let server = imap(Arc::clone(&folder), |_, _| None);
    let wants = MailboxOptions { tls: MailboxTls::StartTls, ..options(server.port) };
    let kept = Kept::new();
    assert_eq!(kept.pass(&wants).1, Err(Fault::NoStartTls));
    // RFC 3501 §6.2.1: PREAUTH leaves no STARTTLS.
    let preauth =
        imap(
            Arc::clone(&folder),
            |command, _| {
                if command.is_empty() { send("* PREAUTH welcome\r\n") } else { None }
            },
        );
    let wants = MailboxOptions { tls: MailboxTls::StartTls, ..options(preauth.port) };
    assert_eq!(kept.pass(&wants).1, Err(Fault::NoStartTls));
    // Text in the clear behind the answer to STARTTLS.
    let injected = imap(folder, |command, _| match command {
        "CAPABILITY" => send("* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK\r\n"),
        "STARTTLS" => send("{tag} OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
        _ => None,
    });
    let wants = MailboxOptions { tls: MailboxTls::StartTls, ..options(injected.port) };
    assert_eq!(kept.pass(&wants).1, Err(Fault::Injected));
    for server in [server, preauth, injected] {
        let lines = server.lines.lock().unwrap();
        assert!(!lines.iter().any(|line| line.contains("AUTH") || line.contains("LOGIN")), "{lines:?}");
    }
}

#[test]
fn odd_folder_names_and_passwords_cannot_break_out() {
    let folder = three();
    folder.lock().unwrap().capabilities = "IMAP4rev1";
    let server = imap(folder, |command, _| if command.ends_with('}') { send("+ go on\r\n") } else { None });
    let kept = Kept::new();
    let mut odd = options(server.port);
    odd.user = "us\"er\\".to_owned();
    odd.folders = vec!["Berichte & \"x\"".to_owned()];
    let credentials = mailsonde::mailbox::Credentials::Password("pässword\u{e9}".to_owned());
    let (_, result) =
        super::make::runtime().block_on(mailsonde::mailbox::pass(&odd, &credentials, &kept.keeper));
    assert_eq!(result, Ok(()));
    let lines = server.lines.lock().unwrap();
    assert!(lines.iter().any(|line| line == "LOGIN \"us\\\"er\\\\\" {11}"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "EXAMINE \"Berichte &- \\\"x\\\"\""), "{lines:?}");
}
