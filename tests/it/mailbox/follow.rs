//! `import --follow` as a user runs it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::make::report_mail;
use crate::support::program::{json, mailsonde};

#[test]
fn a_followed_maildir_is_read_once_until_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let maildir = folder.path().join("mail");
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(part)).unwrap();
    }
    let put = |id: u32| {
        std::fs::write(maildir.join(format!("tmp/{id}")), report_mail(id)).unwrap();
        std::fs::rename(maildir.join(format!("tmp/{id}")), maildir.join(format!("new/{id}"))).unwrap();
    };
    put(1);
    let mut child = mailsonde(folder.path())
        .args(["import", "mail", "--follow", "--format", "ndjson"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let row = next();
    assert_eq!((row["status"].as_str(), row["messages"].as_u64()), (Some("read"), Some(1)), "{row}");
    // Read mail is renamed by its reader; new mail comes.
    std::fs::rename(maildir.join("new/1"), maildir.join("cur/1:2,S")).unwrap();
    put(2);
    let row = next();
    assert_eq!((row["path"].as_str(), row["messages"].as_u64()), (Some("mail/new/2"), Some(2)), "{row}");
    put(3);
    assert_eq!(next()["messages"], 3);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let totals = json(folder.path(), &["report"])["totals"].clone();
    assert_eq!((totals["reports"].as_u64(), totals["messages"].as_u64()), (Some(3), Some(6)), "{totals}");
}

#[test]
fn what_cannot_be_followed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [["import", "-", "--follow", "-q", "--db=x.db"], ["import", ".", "--follow", "--format=json", "-q"]]
    {
        let output = mailsonde(folder.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("hint: "));
    }
}
