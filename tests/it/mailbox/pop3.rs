//! POP3 against scripted servers: named, tried again, nothing lost or read twice.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use mailsonde::mailbox::{Credentials, Fault, MailboxOptions, MailboxTls, pass};

use super::make::{Kept, pop3, report_mail, runtime};
use super::script::{Reply, Scripted, send};

/// A UIDL and a message.
type Mail = (String, Vec<u8>);
/// A mailbox.
type Box3 = Arc<Mutex<Vec<Mail>>>;

/// A mailbox of three reports.
fn three() -> Box3 {
    Arc::new(Mutex::new((1..=3).map(|id| (format!("u{id}"), report_mail(id))).collect()))
}

/// An honest answer.
fn answer(mailbox: &Box3, command: &str) -> Option<Reply> {
    let mailbox = mailbox.lock().unwrap();
    let listed = |of: fn(&Mail) -> String| {
        let mut lines = String::new();
        for (at, mail) in (1..).zip(mailbox.iter()) {
            let _ = write!(lines, "{at} {}\r\n", of(mail));
        }
        send(&format!("+OK\r\n{lines}.\r\n"))
    };
    match command.split(' ').collect::<Vec<_>>().as_slice() {
        [""] => send("+OK ready\r\n"),
        ["UIDL"] => listed(|mail| mail.0.clone()),
        ["LIST"] => listed(|mail| mail.1.len().to_string()),
        ["RETR", number] => {
            let (_, mail) = &mailbox[number.parse::<usize>().unwrap() - 1];
            let mut out = b"+OK\r\n".to_vec();
            out.extend_from_slice(&crate::support::program::dot_stuffed(mail));
            Some(Reply::Send(out))
        }
        ["CAPA"] => send("-ERR unknown\r\n"),
        ["QUIT"] => Some(Reply::Close(b"+OK bye\r\n".to_vec())),
        _ => send("+OK\r\n"),
    }
}

/// A server: `other` may answer first.
fn server(mailbox: Box3, mut other: impl FnMut(&str) -> Option<Reply> + Send + 'static) -> Scripted {
    Scripted::start(false, Box::new(move |command| other(command).or_else(|| answer(&mailbox, command))))
}

#[test]
fn a_broken_look_is_named_and_the_next_one_reads_everything_once() {
    let close = |text: &str| Reply::Close(text.as_bytes().to_vec());
    let say = |text: &str| Reply::Send(text.as_bytes().to_vec());
    let cases = [
        ("", close(""), "closed the connection"),
        ("", say("* OK IMAP4rev1\r\n"), "not understood"),
        ("", close("-ERR busy\r\n"), "busy"),
        ("", Reply::Stall(Vec::new()), "no answer"),
        ("PASS", say("-ERR [AUTH] wrong\r\n"), "refuses the sign-in"),
        ("PASS", say("-ERR [IN-USE] locked\r\n"), "locked"),
        ("UIDL", say("-ERR unknown\r\n"), "UIDL: -ERR unknown"),
        ("UIDL", close("+OK\r\n1 u1\r\n2 u"), "closed the connection"),
        ("UIDL", say("nonsense\r\n"), "not understood"),
        ("UIDL", say(&format!("+OK\r\n1 {}", "x".repeat(200_000))), "a line over the cap"),
        ("LIST", close(""), "closed the connection"),
        ("RETR 2", close("+OK\r\nSubject: half"), "closed the connection"),
        ("RETR 2", Reply::Stall(b"+OK\r\nSubject: half\r\n".to_vec()), "no answer"),
        ("RETR 2", say("-ERR no such message\r\n"), "does not send it"),
        ("RETR 2", say("what?\r\n"), "not understood"),
    ];
    for (at, reply, told) in cases {
        let mut is_over = false;
        let server = server(three(), move |command| {
            let is_here = if at.is_empty() { command.is_empty() } else { command.starts_with(at) };
            let is_now = is_here && !is_over;
            is_over |= is_here;
            is_now.then(|| reply.clone())
        });
        let kept = Kept::new();
        let mut options = pop3(server.port);
        options.timeouts.reply = Duration::from_millis(400);
        let (pass, result) = kept.pass(&options);
        let mut said: Vec<String> = result.err().iter().map(ToString::to_string).collect();
        for folder in &pass.folders {
            said.extend(folder.fault.clone());
            said.extend(folder.notes.clone());
        }
        assert!(said.iter().any(|text| text.contains(told)), "{at}: {said:?}");
        kept.good(&pop3(server.port));
        assert_eq!(kept.good(&pop3(server.port)), (0, 0, 0), "{at}");
        assert_eq!((kept.sums(), kept.messages()), ((3, 6), 3), "{at}");
    }
}

/// A server that says the password, whenever it does.
#[test]
fn the_password_is_in_no_word_of_ours() {
    for (at, text) in [
        ("", "-ERR you were correct-horse"),
        ("", "correct-horse"),
        ("PASS", "-ERR correct-horse is wrong"),
        ("PASS", "-ERR [IN-USE] correct-horse"),
        ("UIDL", "-ERR correct-horse"),
        ("UIDL", "correct-horse"),
    ] {
        let server = server(three(), move |command| {
            let is_here = if at.is_empty() { command.is_empty() } else { command.starts_with(at) };
            is_here.then(|| Reply::Close(format!("{text}\r\n").into_bytes()))
        });
        let (pass, result) = Kept::new().pass(&pop3(server.port));
        let faults = pass.folders.iter().filter_map(|folder| folder.fault.clone());
        let told: Vec<String> = faults.chain(result.err().map(|fault| fault.to_string())).collect();
        assert!(told.iter().all(|fault| !fault.contains("correct-horse")), "{at} {text}: {told:?}");
        assert!(told.iter().any(|fault| fault.contains('…')), "{at} {text}: the rest is shown: {told:?}");
    }
}

#[test]
fn equal_uidls_long_lines_and_messages_that_go() {
    let mailbox = three();
    let mut long = b"From: a@example.org\r\nSubject: long\r\n\r\n".to_vec();
    long.extend_from_slice(&vec![b'y'; 300_000]);
    long.extend_from_slice(b"\r\n");
    mailbox.lock().unwrap().extend([("u3".to_owned(), report_mail(4)), ("long".to_owned(), long)]);
    let server = server(Arc::clone(&mailbox), |_| None);
    let kept = Kept::new();
    assert_eq!(kept.good(&pop3(server.port)).0, 5);
    assert_eq!((kept.sums(), kept.messages()), ((4, 10), 5));
    mailbox.lock().unwrap().truncate(1);
    assert_eq!(kept.good(&pop3(server.port)).0, 0);
    // What is gone is forgotten: the memory of a mailbox does not grow for ever.
    let key = mailsonde::mailbox::FolderKey { account: pop3(0).account(), folder: "INBOX".to_owned() };
    assert_eq!(kept.store.reader().unwrap().mailbox_state(&key).unwrap().open.len(), 1);
}

#[test]
fn too_large_is_named_whatever_the_list_says() {
    let mailbox = three();
    mailbox.lock().unwrap()[1].1 = vec![b'x'; 20_000];
    let server = server(Arc::clone(&mailbox), |command| {
        if command == "LIST" { send("+OK\r\n1 10\r\n2 10\r\n3 10\r\n.\r\n") } else { None }
    });
    let kept = Kept::new();
    let small = MailboxOptions { message_bytes: 10_000, ..pop3(server.port) };
    let (_, result) = kept.pass(&small);
    assert!(matches!(result, Err(Fault::TooLarge { .. })), "{result:?}");
    let (_, result) = kept.pass(&small);
    assert!(matches!(result, Err(Fault::TooLarge { .. })), "asked again, at the end: {result:?}");
    assert_eq!(kept.sums(), (2, 4));
    let known = kept.store.reader().unwrap().mailbox_folders().unwrap();
    assert_eq!(known[0].waiting, 1);
}

#[test]
fn nothing_is_said_without_stls() {
    let server = server(three(), |command| if command == "STLS" { send("-ERR unknown\r\n") } else { None });
    let kept = Kept::new();
    let (_, result) = kept.pass(&MailboxOptions { tls: MailboxTls::StartTls, ..pop3(server.port) });
    assert_eq!(result, Err(Fault::NoStartTls));
    assert_eq!(server.count("USER"), 0);
}

#[test]
fn a_token_signs_in_in_two_lines() {
    let wanted = BASE64.encode(b"user=dmarc\x01auth=Bearer tok\x01\x01");
    for is_good in [true, false] {
        let wanted_line = wanted.clone();
        let server = server(three(), move |command| match command {
            "AUTH XOAUTH2" => send("+ \r\n"),
            line if line == wanted_line && is_good => send("+OK\r\n"),
            line if line == wanted_line => send("+ eyJzdGF0dXMiOiI0MDAifQ==\r\n-ERR bad tok\r\n"),
            _ => None,
        });
        let kept = Kept::new();
        let credentials = Credentials::Token("tok".to_owned());
        let (_, result) = runtime().block_on(pass(&pop3(server.port), &credentials, &kept.keeper));
        let lines = server.lines.lock().unwrap().clone();
        if is_good {
            assert_eq!(result, Ok(()), "{lines:?}");
            assert_eq!(kept.sums(), (3, 6));
        } else {
            assert_eq!(result, Err(Fault::SignIn("-ERR bad …".to_owned())), "{lines:?}");
        }
    }
}
