//! `import`: what is found, one result each, totals, exit codes; wrong input is named and the import goes on.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use super::commands::{program, run};
use super::data::{DAY, Record, import, json, report, rows};
use crate::support::shared;

/// A report with one record.
fn small(id: &str, count: u64) -> String {
    report(
        "example.com",
        "a.example",
        id,
        DAY,
        DAY + 86_399,
        &[Record::new("192.0.2.10", count, true, "example.com")],
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A mail that carries a report as text.
fn mail(id: &str, count: u64) -> String {
    format!(
        "From: dmarc@a.example\nTo: dmarc@example.com\nSubject: Report Domain: example.com\nMessage-ID: <{id}@a.example>\n\
         MIME-Version: 1.0\nContent-Type: text/xml\n\n{}",
        small(id, count)
    )
}

#[test]
fn the_store_does_not_import_itself() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.xml"), small("1", 1)).unwrap();
    std::fs::write(folder.path().join("smtp-key.pem"), "a secret").unwrap();
    for _ in 0..2 {
        let (_, out, err) = run(folder.path(), &["--db", "t.db", "import", ".", "--format", "json"]);
        let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"));
        let own: Vec<&Value> = rows(&answer).iter().filter(|row| row["path"] != "./a.xml").collect();
        assert!(own.iter().any(|row| row["path"] == "./t.key"), "{out}");
        assert!(
            own.iter().all(|row| row["reason"].as_str().is_some_and(|why| why.contains("passed over"))),
            "{out}"
        );
    }
    let answer = json(folder.path(), &["--db", "t.db", "report", "messages"]);
    assert_eq!(answer["totals"]["messages"], 2, "the report and its duplicate, nothing else: {answer}");
}

#[test]
fn every_kind_of_input_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = folder.path().join("in");
    for part in ["box/cur", "box/new", "box/tmp", "deep/er"] {
        std::fs::create_dir_all(inputs.join(part)).unwrap();
    }
    std::fs::write(inputs.join("a.xml"), small("1", 1)).unwrap();
    std::fs::write(inputs.join("b"), gzip(small("2", 2).as_bytes())).unwrap();
    std::fs::write(inputs.join("c.eml"), mail("3", 4)).unwrap();
    std::fs::write(inputs.join("box/cur/1:2,S"), mail("4", 8)).unwrap();
    std::fs::write(inputs.join("box/tmp/2"), mail("never", 1_000)).unwrap();
    std::fs::write(inputs.join("deep/er/d.xml.gz"), gzip(small("5", 16).as_bytes())).unwrap();
    let from = "From dmarc@a.example Sun Mar  1 08:00:00 2026\n";
    std::fs::write(inputs.join("e.mbox"), format!("{from}{}\n{from}{}", mail("6", 32), mail("7", 64)))
        .unwrap();
    std::fs::write(inputs.join("f-again.xml"), small("1", 1)).unwrap();
    std::fs::write(inputs.join("g-cut.gz"), &gzip(small("8", 128).as_bytes())[..60]).unwrap();
    std::fs::write(inputs.join("h.txt"), "just a note\n").unwrap();
    std::os::unix::fs::symlink("nowhere", inputs.join("i-dangling")).unwrap();

    let (code, out, err) = run(folder.path(), &["import", "in", "absent", "--format", "json"]);
    assert_eq!(code, 1, "something was unread: {err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    let found: Vec<(String, String)> = rows(&answer)
        .iter()
        .map(|row| {
            (
                row["path"].as_str().unwrap().to_owned(),
                format!("{} {}", row["status"].as_str().unwrap(), row["messages"]),
            )
        })
        .collect();
    let want = [
        ("in/a.xml", "read 1"),
        ("in/b", "read 2"),
        ("in/box/cur/1:2,S", "read 8"),
        ("in/c.eml", "read 4"),
        ("in/deep/er/d.xml.gz", "read 16"),
        ("in/e.mbox#1", "read 32"),
        ("in/e.mbox#2", "read 64"),
        ("in/f-again.xml", "duplicate 0"),
        ("in/g-cut.gz", "unread 0"),
        ("in/h.txt", "kept 0"),
        ("in/i-dangling", "unread 0"),
        ("absent", "unread 0"),
    ];
    let found: Vec<(&str, &str)> = found.iter().map(|(path, what)| (path.as_str(), what.as_str())).collect();
    assert_eq!(found, want, "{out}");
    let totals = &answer["totals"];
    assert_eq!((&totals["files"], &totals["read"], &totals["unread"]), (&12.into(), &7.into(), &3.into()));
    assert_eq!((&totals["reports"], &totals["messages"]), (&7.into(), &127.into()));
    for row in rows(&answer) {
        let names: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["path", "kind", "status", "reason", "deviations", "reports", "records", "messages"]
        );
        let has_reason = row["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        assert!(has_reason || row["status"] != "unread", "{row}");
    }
    assert_eq!(json(folder.path(), &["report"])["totals"]["messages"], 127);

    // Again: nothing changes.
    let again = import(folder.path(), &[&inputs]);
    assert_eq!((&again["totals"]["read"], &again["totals"]["messages"]), (&0.into(), &0.into()), "{again}");
    assert_eq!(json(folder.path(), &["report"])["totals"]["messages"], 127);
    let (code, out, err) = run(folder.path(), &["db", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn one_line_each_and_a_total() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.xml"), small("1", 900)).unwrap();
    std::fs::write(folder.path().join("b\u{1b}[31m.gz"), b"\x1f\x8bcut").unwrap();
    let (code, out, err) = run(folder.path(), &["import", "a.xml", "b\u{1b}[31m.gz"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines[0].starts_with("a.xml: read aggregate, 1 report, 1 record, 900 messages"), "{out}");
    assert!(lines[1].starts_with("b\\x1b[31m.gz: unread") && lines[1].contains(": "), "{out}");
    assert!(lines[2].starts_with("total: 2 files: 1 read, 0 duplicate, 1 unread, 0 kept; 1 report"), "{out}");
}

#[test]
fn standard_input() {
    let feed = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let mut child = program(folder.path(), &["import", "-", "--format", "json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let out = String::from_utf8(stdout).unwrap();
        let value: Value = serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("{error}: {out}{}", String::from_utf8_lossy(&stderr)));
        (status.code().unwrap(), value)
    };
    let (code, answer) = feed(b"From: a@example.com\r\nSubject: hello\r\n\r\nword\r\n");
    assert_eq!(
        (code, &rows(&answer)[0]["path"], &rows(&answer)[0]["status"]),
        (0, &"-".into(), &"kept".into())
    );
    let (code, answer) = feed(&gzip(small("1", 5).as_bytes()));
    assert_eq!((code, &answer["totals"]["messages"]), (0, &5.into()));
    let (code, answer) = feed(b"");
    assert_eq!((code, &answer["totals"]["unread"]), (1, &1.into()));
}

/// Whoever reads the output may stop: the import itself is done to the end.
#[test]
fn a_closed_pipe_does_not_stop_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = folder.path().join("in");
    std::fs::create_dir(&inputs).unwrap();
    for number in 0..20 {
        std::fs::write(inputs.join(format!("{number:02}.xml")), small(&number.to_string(), 1)).unwrap();
    }
    let mut child = program(folder.path(), &["import", "in"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(0), ""));
    assert_eq!(json(folder.path(), &["report"])["totals"]["messages"], 20);
}

/// Every file of the third-party corpus is read, or kept as what it is, or named with a reason that helps.
#[test]
fn the_whole_corpus_is_accounted_for() {
    let Some(corpus) = shared("corpus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = corpus.to_str().unwrap();
    let (code, out, err) = run(folder.path(), &["import", path, "--format", "json"]);
    assert_eq!(code, 1, "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    let mut unread = std::collections::BTreeMap::new();
    for row in rows(&answer) {
        let (name, reason) = (row["path"].as_str().unwrap(), row["reason"].as_str().unwrap_or_default());
        let name = name.strip_prefix(path).unwrap().trim_start_matches('/');
        match row["status"].as_str().unwrap() {
            // Twice the same: several sources hold the same sample.
            "read" | "duplicate" => {}
            "unread" if name.contains("/known-invalid/") => {
                assert!(reason.contains("damaged") && reason.contains("messages are missing"), "{row}");
                *unread.entry("aggregate/dmarcrua/known-invalid").or_insert(0) += 1;
            }
            "unread" => *unread.entry(name).or_insert(0) += 1,
            // Documents about the corpus, and what other programs made of a report.
            "kept" => {
                let about = ["md", "csv", "tsv", "jsonl", "txt", "json", "zip", "gz"];
                let is_about =
                    about.iter().any(|end| name.ends_with(&format!(".{end}"))) || name.ends_with("LICENSE");
                assert!(is_about && reason.starts_with("not a report: "), "{row}");
                assert!(!reason.contains(path), "the name stands beside it already: {row}");
            }
            _ => panic!("{row}"),
        }
        if row["status"] == "unread" {
            let helps = ["empty: ", "ends early", "unused", "escaped", "unpack it", "messages are missing"];
            assert!(helps.iter().any(|word| reason.contains(word)), "{row}");
        }
    }
    let want = [
        ("aggregate/dmarc-cat/bad.xml", 1),
        ("aggregate/dmarc-cat/bad.zip", 1),
        ("aggregate/dmarcrua/known-invalid", 22),
        ("aggregate/opendmarc/bad.com!example.com!1337140800!1337227200.xml", 1),
        ("aggregate/parsedmarc/empty.xml", 1),
        ("vectors/mail/35_bz2.eml", 1),
        ("vectors/mail/57_empty_attachment.eml", 1),
        ("vectors/xml/115_truncated_mid_record.xml", 1),
        ("vectors/xml/123_unused.xml", 1),
        ("vectors/xml/125_html_escaped.xml", 1),
    ];
    assert_eq!(unread, std::collections::BTreeMap::from(want));
}

/// Letters, answers and files that are no report are known again by their bytes.
#[test]
fn what_holds_no_report_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note.txt"), "just a note\n").unwrap();
    let letter = "From: a@b.example\nTo: c@d.example\nSubject: lunch\n\nToday?\n";
    std::fs::write(folder.path().join("letter.eml"), letter).unwrap();
    let vacation =
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dsn/vacation.eml"));
    std::fs::write(folder.path().join("vacation.eml"), vacation.unwrap()).unwrap();
    let statuses = || -> Vec<String> {
        let (_, out, err) =
            run(folder.path(), &["import", "note.txt", "letter.eml", "vacation.eml", "--format", "json"]);
        let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"));
        rows(&answer).iter().map(|row| row["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(statuses(), ["kept", "kept", "read"]);
    for _ in 0..2 {
        assert_eq!(statuses(), ["duplicate"; 3]);
    }
    let (code, _, err) = run(folder.path(), &["db", "reprocess"]);
    assert_eq!(code, 0, "{err}");
    let totals = json(folder.path(), &["report", "messages"])["totals"].clone();
    assert_eq!((&totals["kept"], &totals["duplicate"]), (&2.into(), &6.into()), "{totals}");
}

/// Plain XML too long for memory is packed on its way in, from a file and from a stream.
#[test]
fn long_plain_xml_is_read_through_packing() {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let mut text = small("long", 7).replace("</feedback>", "");
    let mut number = 1_u64;
    while text.len() < 17 << 20 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "<!-- {number:x} {number} -->").unwrap();
    }
    text.push_str("</feedback>");
    let path = folder.path().join("long.xml");
    std::fs::write(&path, &text).unwrap();
    let (code, out, err) = run(folder.path(), &["import", "long.xml", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["totals"]["reports"], &answer["totals"]["messages"]), (&1.into(), &7.into()));
    assert_eq!(rows(&answer)[0]["path"], "long.xml");
    let mut import = program(folder.path(), &["import", "-"]);
    let mut child = import.stdin(std::fs::File::open(&path).unwrap()).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let kept = json(folder.path(), &["report", "messages"]);
    assert_eq!(kept["totals"]["duplicate"], 1, "{kept}");
    assert!(rows(&kept).iter().all(|row| row["size_bytes"].as_u64().unwrap() < 16 << 20), "{kept}");
}
