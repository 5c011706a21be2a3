//! `--trust` as a user calls it: every view, every format, wrong use.

use std::path::Path;

use mailsonde::mail::MessageId;
use mailsonde::store::Store;
use mailsonde::summary::Trust;
use serde_json::Value;

use super::commands::run;
use super::data::{DAY, Record, json, report, rows};

/// A TLS report for a domain.
const TLS: &str = r#"{"organization-name":"A","contact-info":"tls@a.example","report-id":"t1",
"date-range":{"start-datetime":"2026-03-01T00:00:00Z","end-datetime":"2026-03-01T23:59:59Z"},
"policies":[{"policy":{"policy-type":"sts","policy-domain":"example.com"},
"summary":{"total-successful-session-count":9,"total-failure-session-count":1}}]}"#;

/// Reports of 10, 20, 40 and 80 messages, verified, unverified, imported and failed, and a TLS report without a signature.
fn fill(folder: &Path) -> Vec<MessageId> {
    let mut ids = Vec::new();
    let judged = [
        ("verified", 10, Some(Trust::Verified)),
        ("unverified", 20, Some(Trust::Unverified)),
        ("imported", 40, None),
        ("failed", 80, Some(Trust::Failed)),
        ("tls", 0, Some(Trust::Unverified)),
    ];
    for (name, count, trust) in judged {
        let file = folder.join(format!("{name}.xml"));
        let org = format!("{name}.example");
        let records = [Record::new("192.0.2.1", count, true, "example.com")];
        let text = report("example.com", &org, name, DAY, DAY + 86_399, &records);
        std::fs::write(&file, if name == "tls" { TLS } else { &text }).unwrap();
        json(folder, &["import", file.to_str().unwrap()]);
        let newest = json(folder, &["report", "messages", "--sort", "-id", "--limit", "1"]);
        let id = MessageId::parse(rows(&newest)[0]["id"].as_str().unwrap()).unwrap();
        if let Some(trust) = trust {
            let store = Store::open(&folder.join("mailsonde.db"), crate::store::options()).unwrap();
            assert!(store.settle_trust(id, trust).unwrap());
            store.close();
        }
        ids.push(id);
    }
    ids
}

/// The total of a view.
fn total(answer: &Value, name: &str) -> u64 {
    answer["totals"][name].as_u64().unwrap()
}

#[test]
fn every_view_counts_what_is_asked_for_and_says_the_shares() {
    let folder = tempfile::tempdir().unwrap();
    let ids = fill(folder.path());
    let view = |words: &[&str]| json(folder.path(), &[&["report"], words].concat());
    for (name, field, all, verified) in [
        ("summary", "messages", 70, 10),
        ("sources", "messages", 70, 10),
        ("domains", "messages", 70, 10),
        ("reporters", "messages", 70, 10),
        ("records", "count", 70, 10),
        ("policies", "reports", 3, 1),
    ] {
        let both = view(&[name]);
        let only = view(&[name, "--trust", "verified"]);
        assert_eq!((total(&both, field), total(&only, field)), (all, verified), "{name}");
        assert_eq!((&both["trust"]["asked"], &only["trust"]["asked"]), (&"all".into(), &"verified".into()));
        let untrusted = if name == "reporters" { 2 } else { 1 };
        for answer in [&both, &only] {
            let trust = &answer["trust"];
            assert_eq!(trust["untrusted_reports"], untrusted, "{name}");
            if name == "policies" {
                assert_eq!((&trust["unit"], &trust["verified"]), (&"reports".into(), &1.into()));
                continue;
            }
            assert_eq!(trust["unit"], "messages");
            let shares =
                ["verified", "unverified", "imported", "pending"].map(|share| trust[share].as_u64().unwrap());
            assert_eq!(shares, [10, 20, 40, 0], "{name}");
            assert_eq!(trust["unverified_percent"], 28.57, "{name}");
        }
        // The same with words that ask for the default.
        assert_eq!(view(&[name, "--trust", "all"])["totals"], both["totals"]);
    }
    let tls = view(&["tls"]);
    assert_eq!((total(&tls, "reports"), &tls["trust"]["untrusted_reports"]), (0, &1.into()));
    assert!(view(&["bounces"]).get("trust").is_none());

    // What does not count is listed with its reason.
    let listed = view(&["messages", "--result", "untrusted"]);
    let found: Vec<(&str, &str)> = rows(&listed)
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    let (failed, unsigned) = (ids[3].to_string(), ids[4].to_string());
    assert_eq!(found.len(), 2);
    assert!(found.contains(&(&failed, "not counted: the mail failed authentication")), "{found:?}");
    let why = "not counted: no valid DKIM signature by the reporter (RFC 8460 section 3)";
    assert!(found.contains(&(&unsigned, why)), "{found:?}");
    assert_eq!(rows(&view(&["messages", "--trust", "verified"])).len(), 1);
    assert_eq!(rows(&view(&["messages", "--result", "imported"])).len(), 1);
}

#[test]
fn tables_lines_and_exports_follow() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let print = |words: &[&str]| {
        let (code, out, err) = run(folder.path(), words);
        assert!(code <= 1 && err.is_empty(), "{words:?}: {err}");
        out
    };
    let shares = "trust of 70 messages: 14.29% verified, 57.14% imported, 28.57% unverified";
    let only = "trust: verified only, 10 of 70 messages (14.29%); left out: 40 imported, 20 unverified";
    let why = "1 report is not counted: its mail failed authentication";
    for format in ["table", "markdown", "html"] {
        let flat = |out: String| out.split_whitespace().collect::<Vec<_>>().join(" ");
        let out = flat(print(&["report", "summary", "--format", format]));
        assert!(out.contains(shares) && out.contains(why), "{format}: {out}");
        let out = flat(print(&["report", "sources", "--trust", "verified", "--format", format]));
        assert!(out.contains(only) && out.contains(why), "{format}: {out}");
    }
    let counts = |out: String, at: usize| -> Vec<String> {
        out.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().to_owned()).collect()
    };
    assert_eq!(counts(print(&["report", "summary", "--format", "csv"]), 2), ["70"]);
    assert_eq!(counts(print(&["report", "summary", "--trust", "verified", "--format", "csv"]), 2), ["10"]);
    let lines = |words: &[&str]| print(words).lines().count();
    assert_eq!(lines(&["db", "export"]), 3);
    assert_eq!(lines(&["db", "export", "--trust", "verified"]), 1);
    // A judgement of totals is one of what was asked for.
    let (code, ..) = run(folder.path(), &["report", "--trust", "verified", "--fail-if", "messages > 10"]);
    let (code_of_all, ..) = run(folder.path(), &["report", "--fail-if", "messages > 10"]);
    assert_eq!((code, code_of_all), (0, 1));
    let (code, out, _) = run(folder.path(), &["db", "verify"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn wrong_words_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    for (words, want) in [
        (&["report", "summary", "--trust", "verifed"][..], "verified"),
        (&["report", "probes", "--trust", "all"], "counts no reports"),
        (&["report", "bounces", "--trust", "verified"], "counts no reports"),
        (&["report", "bounce-list", "--trust", "verified"], "counts no reports"),
        (&["probe", "list", "--trust", "verified"], "counts no reports"),
        (&["db", "export", "--trust", "failed"], "verified"),
    ] {
        let (code, _, err) = run(folder.path(), words);
        assert_eq!(code, 2, "{words:?}");
        assert!(err.contains(want), "{words:?}: {err}");
    }
}
