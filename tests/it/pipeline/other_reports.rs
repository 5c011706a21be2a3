//! TLS reports, failure reports and bounces: in at the socket or by import, out of the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json as value};

use super::{RECIPIENTS, rows, totals};
use crate::support::program::{Server, deliver, json, run};
use crate::support::shared;

/// Delivers one mail and waits until it is read.
#[track_caller]
fn receive(server: &Server, mail_from: &str, rcpt_to: &str, mail: &[u8]) {
    let reply = deliver(server.smtp, mail_from, &[rcpt_to], mail).expect("a whole dialogue");
    assert!(reply.starts_with("250"), "{reply}");
    server.settle();
}

/// A file of ours.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A case: its mail and what is expected of it.
fn case(name: &str) -> Option<(Vec<u8>, Value)> {
    let folder = shared("cases")?.join(name);
    let expected = std::fs::read(folder.join("expected.json")).expect("the expectation");
    let mail = std::fs::read(folder.join("report.eml")).expect("the mail of the case");
    Some((mail, serde_json::from_slice(&expected).expect("JSON")))
}

/// The name of the case with this number.
fn case_name(number: &str) -> Option<String> {
    let entries = std::fs::read_dir(shared("cases")?).expect("the cases");
    let mut names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.find(|name| name.starts_with(number))
}

/// The sums of `db verify`: everything agrees.
#[track_caller]
fn verify(server: &Server) {
    let verified = json(server.path(), &["db", "verify"]);
    assert_eq!(verified["rows"], value!([]), "{verified}");
}

/// The status of every mail.
fn statuses(server: &Server) -> Vec<String> {
    let word = |row: &Value| row["status"].as_str().unwrap_or_default().to_owned();
    rows(server, &["report", "messages"]).iter().map(word).collect()
}

// ---- TLS reports ----

#[test]
fn tls_reports_of_the_cases_are_counted() {
    for number in ["042", "043", "044", "045", "046"] {
        let Some(name) = case_name(number) else { continue };
        let Some((mail, expected)) = case(&name) else { continue };
        if expected["tls_reports"].is_null() {
            continue;
        }
        let server = Server::start(RECIPIENTS);
        receive(&server, "tls@reporter.example", "tls@example.com", &mail);
        let answer = json(server.path(), &["report", "tls"]);
        let sums = &answer["totals"];
        assert_eq!(sums["reports"], expected["tls_reports"], "{name}: {answer}");
        for (key, field) in [("sessions_ok", "successful_sessions"), ("sessions_failed", "failed_sessions")] {
            if !expected[key].is_null() {
                assert_eq!(sums[field], expected[key], "{name}: {answer}");
            }
        }
        let mut by_type: BTreeMap<String, u64> = BTreeMap::new();
        let mut by_policy: BTreeMap<String, u64> = BTreeMap::new();
        for row in answer["rows"].as_array().expect("rows") {
            let number = |field: &str| row[field].as_u64().expect("a count");
            if let Some(result) = row["result_type"].as_str() {
                *by_type.entry(result.to_owned()).or_default() += number("failed_sessions");
            }
            let policy = row["policy_type"].as_str().unwrap_or_default().to_owned();
            *by_policy.entry(policy).or_default() +=
                number("successful_sessions") + number("failed_sessions");
        }
        for failure in expected["failures"].as_array().into_iter().flatten() {
            let of_type = by_type.get(failure["type"].as_str().expect("a word")).copied();
            assert_eq!(of_type, failure["count"].as_u64(), "{name}: {answer}");
        }
        if expected["failures_by_type"].is_object() {
            assert_eq!(value!(by_type), expected["failures_by_type"], "{name}: {answer}");
        }
        if expected["by_policy"].is_object() {
            assert_eq!(value!(by_policy), expected["by_policy"], "{name}: {answer}");
        }
        assert_eq!(totals(&server, &[])["reports"], expected["aggregate_reports"], "{name}");
        assert_eq!(statuses(&server), ["read"], "{name}");
        verify(&server);
    }
}

#[test]
fn a_tls_report_counts_once_however_it_comes() {
    let server = Server::start(RECIPIENTS);
    let path = fixture("tls/plain.json");
    let name = path.to_string_lossy();
    let first = run(server.path(), &["import", &name]);
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let before = json(server.path(), &["report", "tls"]);
    assert!(before["totals"]["successful_sessions"].as_u64() > Some(0), "{before}");
    // The same values in other bytes: a copy.
    let text = std::fs::read_to_string(&path).unwrap();
    let copy = server.path().join("copy.json");
    std::fs::write(&copy, format!("\n  {text}\n")).unwrap();
    let imported = json(server.path(), &["import", &copy.to_string_lossy()]);
    assert_eq!(imported["rows"][0]["status"], "duplicate", "{imported}");
    assert_eq!(json(server.path(), &["report", "tls"])["rows"], before["rows"]);
    verify(&server);
    // Read again: the same.
    let again = run(server.path(), &["db", "reprocess"]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    server.settle();
    assert_eq!(json(server.path(), &["report", "tls"])["rows"], before["rows"]);
    verify(&server);
    // Other values under the same id: both are kept, one counts.
    let other =
        text.replacen("\"total-successful-session-count\": ", "\"total-successful-session-count\": 1", 1);
    assert_ne!(other, text);
    let path = server.path().join("other.json");
    std::fs::write(&path, other).unwrap();
    let imported = json(server.path(), &["import", &path.to_string_lossy()]);
    assert_eq!(imported["rows"][0]["status"], "read", "{imported}");
    let after = json(server.path(), &["report", "tls"]);
    assert_eq!(after["rows"], before["rows"], "the earlier one counts");
    assert!(after["notes"].to_string().contains("other values"), "{after}");
    verify(&server);
}

#[test]
fn tls_reports_for_others_are_kept_apart_until_their_domain_is_watched() {
    let server = Server::start(RECIPIENTS);
    let path = fixture("tls/plain.json");
    let configuration = server.path().join("narrow.toml");
    std::fs::write(
        &configuration,
        "[store]\npath = \"narrow.db\"\n[[domain]]\nname = \"elsewhere.example\"\n",
    )
    .unwrap();
    let with = |arguments: &[&str]| {
        let mut all = vec!["--config", "narrow.toml"];
        all.extend(arguments);
        json(server.path(), &all)
    };
    let imported = with(&["import", &path.to_string_lossy()]);
    assert_eq!(imported["rows"][0]["status"], "read", "{imported}");
    assert_eq!(with(&["report", "tls"])["totals"]["reports"], 0);
    let known = with(&["domains", "list"]);
    let other = known["rows"].as_array().unwrap().iter().find(|row| row["domain"] != "elsewhere.example");
    let domain = other.expect("the domain of the report")["domain"].as_str().unwrap().to_owned();
    let added = run(server.path(), &["--config", "narrow.toml", "domains", "add", &domain]);
    assert_eq!(added.status.code(), Some(0), "{}", String::from_utf8_lossy(&added.stderr));
    let again = run(server.path(), &["--config", "narrow.toml", "db", "reprocess"]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(with(&["report", "tls"])["totals"]["reports"], 1);
}
