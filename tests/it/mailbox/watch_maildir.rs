//! Probes that arrive in a Maildir.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailsonde::mailbox::{Aim, Source, SpamFolder, WatchOptions, watch_own};
use mailsonde::mailbox::{Credential, Credentials, Fault, inspect_own};

use super::make::{Kept, report_mail, runtime, watching};
use crate::support::sink::eventually;

/// A Maildir with an inbox, `Junk` and `Archive`.
fn maildir(root: &Path) -> PathBuf {
    let maildir = root.join("Maildir");
    for folder in ["", ".Junk", ".Archive"] {
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(maildir.join(folder).join(part)).unwrap();
        }
    }
    maildir
}

/// Delivers a mail: written in `tmp`, renamed to `new`.
fn deliver(maildir: &Path, folder: &str, name: &str, mail: &[u8]) {
    let folder = maildir.join(folder);
    fs::write(folder.join("tmp").join(name), mail).unwrap();
    fs::rename(folder.join("tmp").join(name), folder.join("new").join(name)).unwrap();
}

/// A watcher of a Maildir.
fn options(maildir: &Path) -> WatchOptions {
    WatchOptions {
        source: Source::Maildir(maildir.to_owned()),
        poll: Duration::from_millis(20),
        ..watching(0)
    }
}

/// All files below a folder with their bytes.
fn all(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all(&path));
        } else if path.is_file() {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn probes_are_seen_moved_and_missed_and_no_file_is_touched() {
    let kept = Kept::new();
    let folder = tempfile::tempdir().unwrap();
    let maildir = maildir(folder.path());
    let (inbox, spam) = (kept.probe(1, "1a"), kept.probe(2, "2a"));
    deliver(&maildir, "", "1.M1.host", &inbox.mail);
    deliver(&maildir, "", "2.M2.host", &report_mail(1));
    deliver(&maildir, ".Junk", "3.M3.host", &spam.mail);
    // What no delivery makes: a link to a probe, a folder, a hidden file.
    std::os::unix::fs::symlink(maildir.join("new/1.M1.host"), maildir.join("new/4.M4.host")).unwrap();
    fs::create_dir(maildir.join("cur/5.M5.host")).unwrap();
    fs::write(maildir.join("cur/.hidden"), &kept.probe(3, "3a").mail).unwrap();
    let before = all(&maildir);
    let options = options(&maildir);
    let row = |folder: &str, found, known| (folder.to_owned(), found, known);
    assert_eq!(kept.seen(&options), [row("INBOX", 1, 0), row("Junk", 1, 0), row("Archive", 0, 0)]);
    assert_eq!(
        (kept.told(&inbox), kept.told(&spam)),
        (vec!["arrived inbox INBOX".to_owned()], vec!["arrived spam Junk".to_owned()])
    );
    // Another process, such as after a restart, knows them.
    assert_eq!(kept.seen(&options), [row("INBOX", 1, 1), row("Junk", 1, 1), row("Archive", 0, 0)]);
    assert_eq!((kept.messages(), all(&maildir)), (2, before));
    // Its reader reads it: another name, the same place.
    fs::rename(maildir.join("new/1.M1.host"), maildir.join("cur/1.M1.host:2,S")).unwrap();
    fs::remove_file(maildir.join("new/4.M4.host")).unwrap();
    kept.seen(&options);
    assert_eq!(kept.told(&inbox).len(), 1);
    fs::rename(maildir.join("cur/1.M1.host:2,S"), maildir.join(".Junk/cur/1.M1.host:2,S")).unwrap();
    eventually("moved to spam", || {
        kept.seen(&options);
        kept.told(&inbox) == ["arrived inbox INBOX", "moved spam Junk"]
    });
    // A folder that disappears is no proof that its mail did.
    fs::rename(maildir.join(".Archive"), folder.path().join("aside")).unwrap();
    let (pass, result) = kept.look(&options);
    assert_eq!(result, Ok(()));
    let fault = pass.folders[2].fault.clone().unwrap_or_default();
    assert!(fault.contains("\"Archive\" has no `new` and `cur`"), "{pass:?}");
    assert_eq!((kept.told(&spam).len(), kept.messages()), (1, 2));
}

/// No sign-in.
struct Nobody;

impl Credential for Nobody {
    async fn credentials(&self) -> Result<Credentials, Fault> {
        Err(Fault::Credentials("a Maildir needs none".to_owned()))
    }

    async fn refused(&self) {}
}

#[test]
fn a_watcher_sees_what_comes_in_quick_succession() {
    let kept = Kept::new();
    let folder = tempfile::tempdir().unwrap();
    let maildir = maildir(folder.path());
    let options = options(&maildir);
    let probes: Vec<_> = (0..30).map(|number| kept.probe(number, &format!("{number:x}"))).collect();
    let runtime = runtime();
    let (keeper, ring) = (kept.keeper.clone(), kept.ring());
    let task = runtime.spawn(async move {
        watch_own(&options, &ring, &Nobody, &keeper, |_, result| assert_eq!(result, Ok(()))).await;
    });
    // A list must not be believed that was made within the same tick of the clock as a delivery.
    for (number, probe) in probes.iter().enumerate() {
        let place = if number % 3 == 0 { ".Junk" } else { "" };
        deliver(&maildir, place, &format!("{number}.M1.host"), &probe.mail);
        deliver(&maildir, place, &format!("{number}.M2.host"), &report_mail(u32::try_from(number).unwrap()));
    }
    eventually("all of them", || kept.messages() == 30);
    for (number, probe) in probes.iter().enumerate() {
        let want = if number % 3 == 0 { "arrived spam Junk" } else { "arrived inbox INBOX" };
        assert_eq!(kept.told(probe), [want]);
    }
    task.abort();
    assert_eq!(kept.messages(), 30);
}

#[test]
fn its_folders_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let maildir = maildir(folder.path());
    deliver(&maildir, "", "1.M1.host", &report_mail(1));
    let views = runtime().block_on(inspect_own(&options(&maildir), None)).unwrap();
    let rows: Vec<_> =
        views.iter().map(|view| (view.folder.as_str(), view.role.as_deref(), view.messages)).collect();
    assert_eq!(
        rows,
        [
            ("INBOX", Some("inbox"), Some(1)),
            ("Junk", Some("spam (by its name)"), Some(0)),
            ("Archive", Some("other"), Some(0))
        ]
    );
    let aim = Aim::Arrivals { spam: SpamFolder::Nowhere, other: Vec::new(), recheck: Vec::new() };
    let absent = WatchOptions { aim, ..options(&folder.path().join("absent")) };
    let (pass, result) = Kept::new().look(&absent);
    assert!(result.is_err() || pass.folders[0].fault.is_some(), "{pass:?}");
}
