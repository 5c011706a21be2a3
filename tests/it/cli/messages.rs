//! `messages show`: facts, header, text, parts and bytes of every kind of stored mail.

use std::path::{Path, PathBuf};

use super::commands::{program, run};
use super::data::{import, json, rows};

/// The shipped mails.
fn mail(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail").join(name)
}

/// The ids of all mails, by kind.
fn ids(folder: &Path) -> Vec<(String, String)> {
    let list = json(folder, &["report", "messages"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    rows(&list).iter().map(|row| (text(&row["kind"]), text(&row["id"]))).collect()
}

#[test]
fn every_shipped_mail_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut mails: Vec<PathBuf> =
        std::fs::read_dir(mail("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    mails.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    mails.sort();
    for path in &mails {
        let answer = import(folder, &[path]);
        assert_eq!(answer["view"], "import");
        let newest = json(folder, &["report", "messages", "--limit", "1", "--sort", "-id"]);
        let id = rows(&newest)[0]["id"].as_str().unwrap().to_owned();
        let bytes = program(folder, &["messages", "show", &id, "--raw", "--reveal"]).output().unwrap();
        assert_eq!(bytes.stdout, std::fs::read(path).unwrap(), "{}", path.display());
        let shown = json(folder, &["messages", "show", &id]);
        let kind = shown["totals"]["kind"].as_str().unwrap().to_owned();
        assert_eq!(shown["totals"]["size_bytes"], bytes.stdout.len(), "{shown}");
        assert!(!rows(&shown).is_empty(), "{shown}");
        let is_closed = kind == "failure";
        assert_eq!(shown["totals"]["headers"].as_array().unwrap().is_empty(), is_closed, "{shown}");
        for view in [&["--headers"] as &[&str], &["--part", "1"], &["--raw"]] {
            let mut arguments = vec!["messages", "show", &id];
            arguments.extend(view);
            let output = program(folder, &arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(if is_closed { 2 } else { 0 }), "{kind} {view:?}");
            assert_eq!(output.stdout.is_empty(), is_closed, "{kind} {view:?}");
        }
        for format in ["table", "markdown", "html", "csv", "ndjson"] {
            let (code, out, err) = run(folder, &["messages", "show", &id, "--format", format]);
            assert_eq!(code, 0, "{err}");
            assert!(!out.is_empty(), "{format}");
        }
    }
    assert!(mails.len() >= 12);
    let kinds: std::collections::BTreeSet<String> = ids(folder).into_iter().map(|(kind, _)| kind).collect();
    for kind in ["aggregate", "failure", "tls", "bounce", "reply", "other"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

#[test]
fn parts_and_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    import(folder, &[&mail("06-aggregate-cut-off.eml")]);
    let (_, id) = ids(folder).remove(0);
    let shown = json(folder, &["messages", "show", &id]);
    assert_eq!(shown["totals"]["unreadable"][0]["kind"], "truncated", "{shown}");
    let number = rows(&shown)
        .iter()
        .find(|row| row["file_name"].as_str().is_some_and(|name| name.contains(".gz")))
        .unwrap_or_else(|| panic!("{shown}"))["number"]
        .to_string();
    let part = program(folder, &["messages", "show", &id, "--part", &number]).output().unwrap();
    assert_eq!(part.stdout.get(..2), Some(b"\x1f\x8b".as_slice()));
    let (code, _, err) = run(folder, &["messages", "show", &id, "--part", "99"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("it has"), "{err}");
    for (id, code) in [("zzz", 3), ("not an id!", 2), ("", 2)] {
        let (found, out, err) = run(folder, &["messages", "show", id]);
        assert_eq!((found, out.as_str()), (code, ""), "{id}: {err}");
        assert!(err.contains("hint: "), "{err}");
    }
}

#[test]
fn nothing_acts_on_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("evil.eml");
    std::fs::write(
        &path,
        "From: a@b.example\r\nSubject: =?utf-8?q?=1B[2Jx?=\r\nX-Evil\x1b: no\r\nX-Odd: \x1b]0;title\x07\r\n\r\n\x1b[31mred\x07 \u{202e}text\r\n",
    )
    .unwrap();
    import(folder, &[&path]);
    let (_, id) = ids(folder).remove(0);
    for view in [&[] as &[&str], &["--headers"], &["--text"], &["--format", "json"], &["--format", "html"]] {
        let mut arguments = vec!["messages", "show", &id];
        arguments.extend(view);
        let (code, out, err) = run(folder, &arguments);
        assert_eq!(code, 0, "{err}");
        assert!(!out.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{view:?}: {out:?}");
    }
    let (_, text, _) = run(folder, &["messages", "show", &id, "--text"]);
    assert_eq!(text, "\\x1b[31mred\\x07 \\u{202e}text\n");
}

#[test]
fn a_file_that_is_no_mail() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("cut.xml.gz");
    std::fs::write(&path, b"\x1f\x8b\x08cut").unwrap();
    import(folder, &[&path]);
    let (_, id) = ids(folder).remove(0);
    let shown = json(folder, &["messages", "show", &id]);
    assert_eq!(rows(&shown)[0]["file_name"], shown["totals"]["file_name"], "{shown}");
    let part = program(folder, &["messages", "show", &id, "--part", "1"]).output().unwrap();
    assert_eq!(part.stdout, b"\x1f\x8b\x08cut");
    let (code, _, err) = run(folder, &["messages", "show", &id, "--headers"]);
    assert_eq!(code, 3, "{err}");
}
