//! IMAP and POP3 against a Dovecot that the test starts; without one the tests say so and pass.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mailsonde::mailbox::{
    Credential, Credentials, Fault, MailboxKind, MailboxOptions, MailboxTls, inspect, watch,
};
use mailsonde::tls_client::Verify;

use super::make::{Kept, broken_mail, moving, options, pop3, report_mail, runtime};
use crate::support::dovecot::{Dovecot, NOBODY, PASSWORD, free_ports};
use crate::support::program::{Server, json, mailsonde};
use crate::support::sink::eventually;

/// Ways to reach it.
impl Dovecot {
    /// Implicit TLS with the certificate checked.
    fn over_tls(&self, options: MailboxOptions) -> MailboxOptions {
        let port = if options.kind == MailboxKind::Imap { self.imaps } else { self.pop3s };
        MailboxOptions { port, tls: MailboxTls::Implicit, verify: self.roots(), ..options }
    }

    /// STARTTLS with the certificate checked.
    fn over_starttls(&self, options: MailboxOptions) -> MailboxOptions {
        MailboxOptions { tls: MailboxTls::StartTls, verify: self.roots(), ..options }
    }

    /// Trust in its certificate.
    fn roots(&self) -> Verify {
        Verify::Roots(self.certificate.as_bytes().into())
    }
}

#[test]
fn a_look_reads_everything_once_and_changes_nothing() {
    let Some(dovecot) = Dovecot::start() else { return };
    for id in 1..=5 {
        dovecot.deliver("dmarc", &report_mail(id));
    }
    let before = dovecot.mails("dmarc", "");
    let kept = Kept::new();
    let ways =
        [dovecot.over_tls(options(0)), dovecot.over_starttls(options(dovecot.imap)), options(dovecot.imap)];
    assert_eq!(kept.good(&ways[0]), (5, 5, 0));
    for way in &ways {
        assert_eq!(kept.good(way), (0, 0, 0));
    }
    assert_eq!(kept.sums(), (5, 15));
    let strip = |names: Vec<String>| -> Vec<String> {
        names.iter().map(|name| name[4..].split(":2,").next().unwrap().to_owned()).collect()
    };
    let after = dovecot.mails("dmarc", "");
    assert!(after.iter().all(|name| !name.contains('S')), "nothing is marked as seen: {after:?}");
    assert_eq!(strip(after), strip(before));
    // The certificate is checked against the system's roots otherwise, and the password goes nowhere.
    let (_, result) = kept.pass(&MailboxOptions { verify: Verify::System, ..ways[0].clone() });
    assert!(matches!(result, Err(Fault::Tls(_))), "{result:?}");
    let credentials = Credentials::Password(PASSWORD.to_owned());
    let view = runtime().block_on(inspect(&ways[0], &credentials)).unwrap().remove(0);
    assert_eq!((view.messages, view.can_idle, view.tls_version.as_deref()), (Some(5), true, Some("TLSv1.3")));
}

#[test]
fn it_goes_on_where_it_was_after_a_restart_of_the_server() {
    let Some(mut dovecot) = Dovecot::start() else { return };
    dovecot.deliver("dmarc", &report_mail(1));
    dovecot.deliver("dmarc", &report_mail(2));
    let kept = Kept::new();
    let options = dovecot.over_tls(options(0));
    assert_eq!(kept.good(&options), (2, 2, 0));
    dovecot.stop();
    let (_, result) = kept.pass(&options);
    assert!(matches!(result, Err(Fault::Connect(_))), "{result:?}");
    dovecot.deliver("dmarc", &report_mail(3));
    dovecot.run();
    assert_eq!(kept.good(&options), (1, 1, 0));
    assert_eq!(kept.sums(), (3, 6));
}

#[test]
fn other_uids_after_a_change_of_uidvalidity_count_once() {
    let Some(mut dovecot) = Dovecot::start() else { return };
    for id in 1..=3 {
        dovecot.deliver("dmarc", &report_mail(id));
    }
    let kept = Kept::new();
    let options = options(dovecot.imap);
    assert_eq!(kept.good(&options), (3, 3, 0));
    dovecot.stop();
    // Dovecot keeps it in the head of this file: `3 V<UIDVALIDITY> N<UIDNEXT> G<id>`.
    let list = dovecot.maildir("dmarc").join("dovecot-uidlist");
    let text = std::fs::read_to_string(&list).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let head: Vec<String> = head
        .split(' ')
        .map(|word| match word.strip_prefix('V') {
            Some(number) => format!("V{}", number.parse::<u32>().unwrap() + 100),
            None => word.to_owned(),
        })
        .collect();
    std::fs::write(&list, format!("{}\n{rest}", head.join(" "))).unwrap();
    chown(&list, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in std::fs::read_dir(dovecot.maildir("dmarc")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("dovecot.index") {
            std::fs::remove_file(path).unwrap();
        }
    }
    dovecot.deliver("dmarc", &report_mail(4));
    dovecot.run();
    let (pass, result) = kept.pass(&options);
    assert_eq!(result, Ok(()));
    let found = &pass.folders[0];
    assert_eq!((found.found, found.read, found.duplicates), (4, 1, 3), "{found:?}");
    assert!(found.notes[0].contains("UIDVALIDITY"), "{found:?}");
    assert_eq!((kept.sums(), kept.messages()), ((4, 10), 4));
}

#[test]
fn move_mode_makes_its_folders_and_empties_the_inbox() {
    let Some(dovecot) = Dovecot::start() else { return };
    for id in 1..=3 {
        dovecot.deliver("dmarc", &report_mail(id));
    }
    dovecot.deliver("dmarc", &broken_mail(4));
    let kept = Kept::new();
    kept.good(&dovecot.over_tls(moving(0)));
    assert_eq!(dovecot.mails("dmarc", "").len(), 0);
    assert_eq!(dovecot.mails("dmarc", ".read").len(), 3);
    assert_eq!(dovecot.mails("dmarc", ".unread").len(), 1);
    dovecot.deliver("dmarc", &report_mail(5));
    kept.good(&dovecot.over_tls(moving(0)));
    assert_eq!(dovecot.mails("dmarc", ".read").len(), 4);
    assert_eq!((kept.sums(), kept.messages()), ((4, 11), 5));
}

#[test]
fn folders_fail_one_by_one() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.deliver("dmarc", &report_mail(1));
    let kept = Kept::new();
    // A folder whose files nobody may open.
    kept.good(&options(dovecot.imap));
    let closed = dovecot.maildir("dmarc").join(".closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    dovecot.deliver("dmarc", &report_mail(2));
    let mut many = options(dovecot.imap);
    many.folders = vec!["absent".to_owned(), "closed".to_owned(), "Entwürfe".to_owned(), "INBOX".to_owned()];
    let (pass, result) = kept.pass(&many);
    assert_eq!(result, Ok(()));
    assert_eq!(pass.folders.len(), 4);
    for folder in &pass.folders[..3] {
        assert!(folder.fault.as_deref().is_some_and(|fault| fault.starts_with("EXAMINE: ")), "{folder:?}");
    }
    assert_eq!((pass.folders[3].read, pass.folders[3].fault.clone()), (1, None));
    let known = kept.store.reader().unwrap().mailbox_folders().unwrap();
    assert_eq!(known.iter().filter(|folder| folder.fault.is_some()).count(), 3, "{known:?}");
    let wrong = Credentials::Password("wrong".to_owned());
    let (_, result) =
        runtime().block_on(mailsonde::mailbox::pass(&options(dovecot.imap), &wrong, &kept.keeper));
    assert!(matches!(result, Err(Fault::SignIn(_))), "{result:?}");
}

/// A folder that vanishes is named while the others are read; when it comes back, what was in it counts once.
#[test]
fn a_folder_that_vanishes_and_comes_back_counts_once() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.deliver("dmarc", &report_mail(1));
    let extra = dovecot.maildir("dmarc").join(".extra");
    let make = |mails: &[u32]| {
        std::fs::create_dir(&extra).unwrap();
        chown(&extra, Some(NOBODY), Some(NOBODY)).unwrap();
        for part in ["tmp", "new", "cur"] {
            std::fs::create_dir(extra.join(part)).unwrap();
            chown(extra.join(part), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        for id in mails {
            let path = extra.join("new").join(format!("{}.M{id}.test", 1_772_323_200 + id));
            std::fs::write(&path, report_mail(*id)).unwrap();
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    };
    make(&[2]);
    let kept = Kept::new();
    let mut both = options(dovecot.imap);
    both.folders = vec!["extra".to_owned(), "INBOX".to_owned()];
    assert_eq!(kept.good(&both), (2, 2, 0));
    std::fs::remove_dir_all(&extra).unwrap();
    dovecot.deliver("dmarc", &report_mail(4));
    let (pass, result) = kept.pass(&both);
    assert_eq!(result, Ok(()));
    assert!(pass.folders[0].fault.is_some(), "{pass:?}");
    assert_eq!((pass.folders[1].read, pass.folders[1].fault.clone()), (1, None));
    make(&[2, 8]);
    kept.good(&both);
    assert_eq!((kept.sums(), kept.messages()), ((4, 15), 4));
}

/// Passes bytes to a server and back, and cuts both ways after so many bytes of the server.
fn cutting_proxy(to: u16, after: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_server);
        });
        let (mut from_server, mut to_client) = (server, client);
        let mut block = [0; 1];
        while count.load(Ordering::SeqCst) < after
            && from_server.read(&mut block).is_ok_and(|read| read == 1)
            && to_client.write_all(&block).is_ok()
        {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let _ = to_client.shutdown(std::net::Shutdown::Both);
        let _ = from_server.shutdown(std::net::Shutdown::Both);
    });
    (port, passed)
}

#[test]
fn a_connection_cut_anywhere_loses_nothing_and_counts_nothing_twice() {
    let Some(dovecot) = Dovecot::start() else { return };
    for id in 1..=4 {
        dovecot.deliver("dmarc", &report_mail(id));
    }
    // How much the server says in a whole look.
    let kept = Kept::new();
    let (port, passed) = cutting_proxy(dovecot.imap, usize::MAX);
    assert_eq!(kept.good(&options(port)), (4, 4, 0));
    let whole = passed.load(Ordering::SeqCst);
    assert!(whole > 4_000, "{whole}");
    let mut partly = 0;
    for cut in (0..whole).step_by(whole / 25) {
        for options in [options, pop3] {
            let kept = Kept::new();
            let is_pop3 = options(0).kind == MailboxKind::Pop3;
            let (port, _) = cutting_proxy(if is_pop3 { dovecot.pop3 } else { dovecot.imap }, cut);
            let first = kept.pass(&options(port));
            let (reports, _) = kept.sums();
            partly += u32::from((1..4).contains(&reports));
            let direct = options(if is_pop3 { dovecot.pop3 } else { dovecot.imap });
            kept.good(&direct);
            kept.good(&direct);
            assert_eq!((kept.sums(), kept.messages()), ((4, 10), 4), "cut at {cut}: {first:?}");
        }
    }
    assert!(partly > 0, "no cut fell between two messages");
}

/// Signs in by the password of every account.
struct Always;

impl Credential for Always {
    async fn credentials(&self) -> Result<Credentials, Fault> {
        Ok(Credentials::Password(PASSWORD.to_owned()))
    }

    async fn refused(&self) {}
}

#[test]
fn new_mail_wakes_the_watch_long_before_the_interval() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.deliver("dmarc", &report_mail(1));
    let kept = Kept::new();
    // An interval of an hour: what comes in this test comes by IDLE.
    let options = dovecot.over_tls(options(0));
    let runtime = runtime();
    let faults = Arc::new(Mutex::new(Vec::new()));
    let (seen, keeper) = (Arc::clone(&faults), kept.keeper.clone());
    let task = runtime.spawn(async move {
        watch(&options, &Always, &keeper, |_, result| {
            seen.lock().unwrap().extend(result.err().map(ToString::to_string));
        })
        .await;
    });
    eventually("the first look", || kept.sums() == (1, 1));
    for id in 2..=4 {
        dovecot.deliver("dmarc", &report_mail(id));
        let messages = u64::from((1..=id).sum::<u32>());
        eventually("IDLE tells of new mail", || kept.sums() == (u64::from(id), messages));
    }
    assert_eq!(*faults.lock().unwrap(), Vec::<String>::new());
    task.abort();
    assert_eq!(kept.messages(), 4);
}

#[test]
fn pop3_leaves_the_mail_and_reads_it_once() {
    let Some(dovecot) = Dovecot::start() else { return };
    for id in 1..=3 {
        dovecot.deliver("dmarc", &report_mail(id));
    }
    let kept = Kept::new();
    let ways = [dovecot.over_tls(pop3(0)), dovecot.over_starttls(pop3(dovecot.pop3)), pop3(dovecot.pop3)];
    assert_eq!(kept.good(&ways[0]), (3, 3, 0));
    for way in &ways {
        assert_eq!(kept.good(way), (0, 0, 0));
    }
    dovecot.deliver("dmarc", &report_mail(4));
    assert_eq!(kept.good(&ways[1]), (1, 1, 0));
    assert_eq!(dovecot.mails("dmarc", "").len(), 4, "nothing is removed");
    // The same mailbox over IMAP: the bytes are the same, and nothing counts twice.
    let imap = dovecot.over_tls(options(0));
    assert_eq!(kept.good(&imap), (4, 0, 4));
    assert_eq!((kept.sums(), kept.messages()), ((4, 10), 4));
    let credentials = Credentials::Password(PASSWORD.to_owned());
    let view = runtime().block_on(inspect(&ways[0], &credentials)).unwrap().remove(0);
    assert_eq!(view.messages, Some(4));
    let wrong = Credentials::Password("wrong".to_owned());
    let (_, result) = runtime().block_on(mailsonde::mailbox::pass(&ways[0], &wrong, &kept.keeper));
    assert!(matches!(result, Err(Fault::SignIn(_))), "{result:?}");
}

#[test]
fn more_messages_than_one_batch_by_both_ways() {
    let Some(dovecot) = Dovecot::start() else { return };
    for id in 1..=130 {
        dovecot.deliver("dmarc", &report_mail(id));
    }
    for options in [options(dovecot.imap), pop3(dovecot.pop3)] {
        let kept = Kept::new();
        assert_eq!(kept.good(&options), (130, 130, 0));
        assert_eq!(kept.sums(), (130, 130 * 131 / 2));
    }
}

#[test]
fn a_program_that_is_killed_goes_on_where_it_was() {
    let Some(dovecot) = Dovecot::start() else { return };
    let count = 400;
    for id in 1..=count {
        dovecot.deliver("dmarc", &report_mail(id));
    }
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[mailbox.i]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nuser = \"dmarc\"\npassword = {{ env = \"P\" }}\n\
         after = \"move\"\n",
        dovecot.imap
    );
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    let poll = || {
        let mut command = mailsonde(folder.path());
        command.args(["mailbox", "poll"]).env("P", PASSWORD).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    // Killed again and again, each time after it has kept something more.
    let database = folder.path().join("mailsonde.db");
    let kept = || -> i64 {
        let Ok(connection) = rusqlite::Connection::open(&database) else { return 0 };
        connection.query_row("SELECT COUNT(*) FROM message", [], |row| row.get(0)).unwrap_or(0)
    };
    for _ in 0..4 {
        let before = kept();
        let mut child = poll().spawn().unwrap();
        eventually("something more is kept", || kept() > before || child.try_wait().unwrap().is_some());
        let _ = child.kill();
        let _ = child.wait();
    }
    assert_eq!(poll().status().unwrap().code(), Some(0));
    let totals = json(folder.path(), &["report"])["totals"].clone();
    let messages = u64::from(count * (count + 1) / 2);
    assert_eq!(
        (totals["reports"].as_u64(), totals["messages"].as_u64()),
        (Some(u64::from(count)), Some(messages)),
        "{totals}"
    );
    assert_eq!(kept(), i64::from(count));
    assert_eq!(
        (dovecot.mails("dmarc", "").len(), dovecot.mails("dmarc", ".read").len()),
        (0, count as usize)
    );
}

#[test]
fn the_program_reads_mailboxes_while_it_serves() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.deliver("a", &report_mail(1));
    dovecot.deliver("b", &report_mail(2));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let account = |name: &str, kind: &str, port: u16, more: &str| {
        format!(
            "[mailbox.{name}]\nkind = \"{kind}\"\nhost = \"localhost\"\nport = {port}\nuser = \"{name}\"\n\
             accept_any_certificate = true\npassword = {{ file = \"password\" }}\n{more}\n"
        )
    };
    let dead = free_ports()[0];
    let text = [
        "[[listener]]\naddress = \"127.0.0.1:0\"\n".to_owned(),
        account("dead", "imap", dead, ""),
        account("a", "imap", dovecot.imaps, "after = \"move\""),
        account("b", "pop3", dovecot.pop3s, "poll = \"1s\""),
    ]
    .concat();
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    // `test` reads nothing, and names what fails.
    let output = mailsonde(folder.path()).args(["mailbox", "test", "--format", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let tested: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(tested["rows"][0]["fault"].as_str().unwrap().contains("no connection"), "{tested}");
    assert_eq!(tested["rows"][1]["messages"], 1, "{tested}");
    assert_eq!(tested["rows"][1]["idle"], true);
    assert_eq!(tested["rows"][2]["fault"], serde_json::Value::Null, "{tested}");
    let tested = json(folder.path(), &["mailbox", "list"]);
    assert_eq!(tested["rows"][1]["looked_at"], serde_json::Value::Null);

    let mut server = Server::start_in(folder, &[]);
    let sums = |server: &Server| {
        let totals = json(server.path(), &["report"])["totals"].clone();
        (totals["reports"].as_u64().unwrap(), totals["messages"].as_u64().unwrap())
    };
    eventually("both mailboxes are read", || sums(&server) == (2, 3));
    dovecot.deliver("a", &report_mail(3));
    eventually("IDLE tells of new mail", || sums(&server) == (3, 6));
    dovecot.deliver("b", &report_mail(4));
    eventually("POP3 is polled", || sums(&server) == (4, 10));
    assert_eq!(dovecot.mails("a", ".read").len(), 2);
    let rows = json(server.path(), &["report", "messages"])["rows"].clone();
    assert!(rows.as_array().unwrap().iter().all(|row| row["origin"] == "mailbox"), "{rows}");
    // A look by hand beside it finds nothing more.
    let polled = json(server.path(), &["mailbox", "poll", "a", "b"]);
    assert!(polled["rows"].as_array().unwrap().iter().all(|row| row["found"] == 0), "{polled}");
    let listed = json(server.path(), &["mailbox", "list"]);
    assert_eq!(listed["rows"][1]["last_uid"], 2, "{listed}");
    assert_eq!(server.stop(), Some(0));
}
