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

/// Whoever reports is listed, whatever kind of report it sends, with how it errs.
#[test]
fn reporters_of_every_kind_are_listed() {
    let server = Server::start(RECIPIENTS);
    for name in ["tls/plain.json", "tls/odd-shapes.json", "failure/dmarc-all-fields.eml", "mail"] {
        let output = run(server.path(), &["import", &fixture(name).to_string_lossy()]);
        assert!(output.status.code().is_some_and(|code| code < 2), "{name}");
    }
    let answer = json(server.path(), &["report", "reporters"]);
    let sum = |field: &str| -> u64 {
        answer["rows"].as_array().expect("rows").iter().map(|row| row[field].as_u64().expect("a count")).sum()
    };
    let count = |view: &str, field: &str| json(server.path(), &["report", view])["totals"][field].as_u64();
    assert_eq!(Some(sum("tls_reports")), count("tls", "reports"), "{answer}");
    let failures = json(server.path(), &["report", "failures"])["rows"].as_array().map_or(0, Vec::len) as u64;
    assert_eq!((sum("failure_reports"), failures), (2, 2), "{answer}");
    let rows = answer["rows"].as_array().expect("rows");
    let alpine: Vec<&Value> = rows
        .iter()
        .filter(|row| row["org_name"].as_str().is_some_and(|name| name.contains("lpine")))
        .collect();
    assert_eq!(alpine.len(), 1, "one reporter under its name and its domain: {answer}");
    assert!(alpine[0]["tls_reports"].as_u64() > Some(0) && alpine[0]["failure_reports"] == 2, "{answer}");
    let odd = rows.iter().any(|row| row["deviations"].to_string().contains("tls-"));
    assert!(odd, "deviations of TLS reports: {answer}");
    let one = json(server.path(), &["report", "reporters", "--reporter", "ALPINE"]);
    assert_eq!(one["rows"].as_array().map(Vec::len), Some(1), "{one}");
    let domains = json(server.path(), &["domains", "list"]);
    let of = |field: &str| -> u64 {
        domains["rows"].as_array().expect("rows").iter().filter_map(|row| row[field].as_u64()).sum()
    };
    assert_eq!(
        (Some(of("tls_reports")), of("failure_reports")),
        (count("tls", "reports"), failures),
        "{domains}"
    );
}

// ---- Failure reports and complaints ----

#[test]
fn failure_reports_of_the_cases_are_shown() {
    for number in ["037", "038", "039", "040", "041"] {
        let Some(name) = case_name(number) else { continue };
        let Some((mail, expected)) = case(&name) else { continue };
        if expected["failure_reports"].is_null() {
            continue;
        }
        let server = Server::start(RECIPIENTS);
        receive(&server, "ruf@reporter.example", "ruf@example.com", &mail);
        let answer = json(server.path(), &["report", "failures"]);
        let rows = answer["rows"].as_array().expect("rows");
        assert_eq!(answer["totals"]["reports"], expected["failure_reports"], "{name}: {answer}");
        for row in rows {
            assert_eq!(row["source_ip"], expected["source_ip"], "{name}: {answer}");
            if !expected["arrival_utc"].is_null() {
                assert_eq!(row["arrived_at"], expected["arrival_utc"], "{name}: {answer}");
            }
            if !expected["delivery_result"].is_null() {
                assert_eq!(row["delivery_result"], expected["delivery_result"], "{name}: {answer}");
            }
            if !expected["reported_domain"].is_null() {
                assert_eq!(
                    row["reported_domains"],
                    value!([expected["reported_domain"]]),
                    "{name}: {answer}"
                );
            }
        }
        // What is quoted is evidence.
        let sums = totals(&server, &[]);
        assert_eq!(sums["reports"], expected["aggregate_reports"], "{name}");
        assert_eq!(sums["messages"], expected["messages"], "{name}");
        assert_eq!(statuses(&server), ["read"], "{name}");
        verify(&server);
    }
}

/// Texts that name persons in `fixtures/failure/NAME`: local parts and the subject.
fn persons(name: &str) -> Vec<String> {
    let expected = std::fs::read(fixture(&format!("failure/{name}.expected.json"))).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let mut out = Vec::new();
    for report in expected["failures"].as_array().expect("reports") {
        out.extend(report["original_subject"].as_str().map(str::to_owned));
        let lists = report["rcpt_to"].as_array().into_iter().flatten();
        for text in [&report["mail_from"], &report["original_from"]].into_iter().chain(lists) {
            let Some((before, _)) = text.as_str().and_then(|text| text.rsplit_once('@')) else { continue };
            let local = before.rsplit(['<', ' ']).next().unwrap_or_default();
            // A word such as `news` stands in domains too: then only the address tells.
            out.push(format!("{local}@"));
        }
    }
    assert!(!out.is_empty(), "{name}");
    out
}

#[test]
fn persons_are_hidden_everywhere_unless_they_are_revealed_and_that_is_written_down() {
    let names = ["dmarc-all-fields", "abuse-complaint", "notice-in-words", "quoting-a-report"];
    let mut secrets = Vec::new();
    let server = Server::start(RECIPIENTS);
    for name in names {
        secrets.extend(persons(name));
        let path = fixture(&format!("failure/{name}.eml"));
        receive(&server, "out-9@reporter.example", "ruf@example.com", &std::fs::read(&path).unwrap());
    }
    let assert_hidden = |what: &str, text: &str| {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{what}: {secret:?} in {text}");
        }
    };
    // A second store, with everything that the program says while it reads.
    let imported =
        run(server.path(), &["--db", "other.db", "-vv", "import", &fixture("failure").to_string_lossy()]);
    assert_hidden("import", &String::from_utf8_lossy(&imported.stdout));
    assert_hidden("log", &String::from_utf8_lossy(&imported.stderr));
    let mut shown = 0;
    for view in ["failures", "complaints", "messages", "summary", "reporters"] {
        for format in ["table", "json", "ndjson", "csv", "markdown", "html"] {
            let output = run(server.path(), &["report", view, "--format", format]);
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8_lossy(&output.stdout);
            assert_hidden(view, &text);
            shown += usize::from(text.contains('~'));
        }
    }
    assert!(shown > 0, "hashes stand in the place of persons");
    for word in ["abuse", "auth-failure"] {
        let output = run(server.path(), &["report", "failures", "--result", word, "--format", "json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("\"id\":"), "{word}: {text}");
        assert_hidden(word, &text);
    }
    // The database itself: the raw mails are compressed, rows hold no person.
    let connection = rusqlite::Connection::open(server.database()).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let before = count("SELECT COUNT(*) FROM audit");
    assert_eq!(before, 0);
    // Revealed: the full text, and a row of who saw it.
    let revealed = json(server.path(), &["report", "failures", "--reveal"]);
    let text = revealed.to_string();
    assert!(
        revealed["rows"].as_array().is_some_and(|rows| rows.iter().all(|row| row["is_revealed"] == true))
    );
    for secret in persons("dmarc-all-fields") {
        assert!(text.contains(&secret), "{secret:?} in {text}");
    }
    assert_eq!(count("SELECT COUNT(*) FROM audit WHERE what = 'reveal' AND who LIKE 'uid %'"), 1);
    let refused = run(server.path(), &["report", "summary", "--reveal"]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(count("SELECT COUNT(*) FROM audit"), 1);
}

#[test]
fn failure_reports_count_once_and_complaints_stand_apart() {
    let server = Server::start(RECIPIENTS);
    let failure = std::fs::read(fixture("failure/dmarc-all-fields.eml")).unwrap();
    let complaint = std::fs::read(fixture("failure/abuse-complaint.eml")).unwrap();
    for _ in 0..2 {
        receive(&server, "out-9@reporter.example", "ruf@example.com", &failure);
    }
    receive(&server, "fbl@reporter.example", "ruf@example.com", &complaint);
    let failures = json(server.path(), &["report", "failures"]);
    assert_eq!(failures["totals"]["reports"], 1, "{failures}");
    let complaints = json(server.path(), &["report", "complaints"]);
    assert_eq!(complaints["rows"].as_array().map(Vec::len), Some(1), "{complaints}");
    assert_eq!(complaints["rows"][0]["feedback_type"], "abuse", "{complaints}");
    let mut found = statuses(&server);
    found.sort();
    assert_eq!(found, ["duplicate", "read", "read"]);
    let again = run(server.path(), &["db", "reprocess"]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    server.settle();
    assert_eq!(json(server.path(), &["report", "failures"])["rows"], failures["rows"]);
    assert_eq!(json(server.path(), &["report", "complaints"])["rows"], complaints["rows"]);
    let mut after = statuses(&server);
    after.sort();
    assert_eq!(after, found);
    verify(&server);
}

// ---- Bounces ----

/// The totals of `report bounces`.
fn bounce_totals(server: &Server) -> Value {
    json(server.path(), &["report", "bounces"])["totals"].clone()
}

/// A file of a case, with a token of ours in the place of the case's probe; the address for what comes back and the
/// name of the probe.
fn with_token(server: &Server, case: &str, file: &str) -> Option<(String, String, String)> {
    let mail = std::fs::read_to_string(shared("cases")?.join(case).join(file)).expect("the mail of the case");
    let ring = mailsonde::daemon::keys::load_or_create(&server.database()).expect("the key");
    let at = mailsonde::clock::Timestamp::from_seconds(1_772_366_400);
    let token = ring.mint(mailsonde::probe::Kind::Probe, 7, at, 1);
    let texts = ring.texts(&token).expect("texts");
    let address = format!("bounce+{}@example.com", texts.envelope_sender);
    let mail = mail.replace("bounce+7f3a@example.com", &address).replace("7f3a", &texts.recipient);
    Some((mail, address, texts.recipient.clone()))
}

#[test]
fn a_delay_is_no_bounce_and_a_delivery_ends_it() {
    let Some(name) = case_name("088") else { return };
    let folder = shared("cases").expect("the cases").join(&name);
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).expect("it")).expect("JSON");
    let server = Server::start(RECIPIENTS);
    for (file, key) in [("delayed.eml", "after_first"), ("delivered.eml", "after_second")] {
        let (mail, address, token) = with_token(&server, &name, file).expect("the case");
        receive(&server, "", &address, mail.as_bytes());
        let probes = rows(&server, &["report", "probe-list"]);
        assert_eq!(probes.len(), 1, "{probes:?}");
        assert_eq!(probes[0]["token"], token, "{probes:?}");
        // The retry of the case has ended long ago: its word then, not that of today.
        let list = rows(&server, &["report", "bounce-list"]);
        assert_eq!(list[0]["outcome"], expected[key], "{list:?}");
        assert_eq!(list[0]["token"], token, "{list:?}");
        if key == "after_second" {
            assert_eq!(probes[0]["state"], expected[key], "{probes:?}");
        }
    }
    assert_eq!(bounce_totals(&server)["bounces"], expected["bounces"]);
    verify(&server);
}

#[test]
fn every_recipient_of_a_notice_has_its_own_outcome() {
    let Some(name) = case_name("090") else { return };
    let Some((_, expected)) = case(&name) else { return };
    let server = Server::start(RECIPIENTS);
    let (mail, address, _) = with_token(&server, &name, "report.eml").expect("the case");
    for _ in 0..2 {
        // The same mail again changes nothing.
        receive(&server, "", &address, mail.as_bytes());
        let list = rows(&server, &["report", "bounce-list"]);
        let wanted = expected["recipients"].as_object().expect("recipients");
        assert_eq!(list.len(), wanted.len(), "{list:?}");
        for (recipient, want) in wanted {
            let row = list
                .iter()
                .find(|row| {
                    row["recipient"].as_str().is_some_and(|text| text.eq_ignore_ascii_case(recipient))
                })
                .unwrap_or_else(|| panic!("{recipient}: {list:?}"));
            assert_eq!(value!([row["outcome"], row["enhanced_status"]]), *want, "{recipient}: {row}");
        }
        assert_eq!(bounce_totals(&server)["bounces"], expected["bounces"]);
    }
    assert_eq!(statuses(&server), ["duplicate", "read"]);
    let again = run(server.path(), &["db", "reprocess"]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    server.settle();
    assert_eq!(bounce_totals(&server)["bounces"], expected["bounces"]);
    verify(&server);
}

#[test]
fn a_bounce_in_words_is_joined_to_its_probe() {
    let Some(name) = case_name("092") else { return };
    let Some((_, expected)) = case(&name) else { return };
    let server = Server::start(RECIPIENTS);
    let (mail, address, token) = with_token(&server, &name, "report.eml").expect("the case");
    receive(&server, "", &address, mail.as_bytes());
    let list = rows(&server, &["report", "bounce-list"]);
    assert_eq!(list.len(), 1, "{list:?}");
    for (field, key) in [
        ("outcome", "status"),
        ("recipient", "recipient"),
        ("enhanced_status", "enhanced"),
        ("reply_code", "smtp_code"),
    ] {
        assert_eq!(list[0][field], expected[key], "{list:?}");
    }
    let probes = rows(&server, &["report", "probe-list"]);
    assert_eq!(value!([probes[0]["token"], probes[0]["state"]]), value!([token, "bounced"]), "{probes:?}");
    assert!(probes[0]["reason"].as_str().is_some_and(|text| text.contains("5.1.1")), "{probes:?}");
    let group = rows(&server, &["report", "bounces", "--result", "5.1.1", "--fail-if", "bounces > 5"]);
    assert_eq!(value!([group[0]["recipients"], group[0]["class"]]), value!([1, "permanent"]), "{group:?}");
    verify(&server);
}

/// The same end of the same message, told by way of two hosts of ours, is one bounce; another end, and a delay that is
/// told again, are not.
#[test]
fn a_notice_that_comes_by_another_host_is_a_copy() {
    let server = Server::start(RECIPIENTS);
    let notice = std::fs::read_to_string(fixture("dsn/postfix-alias.eml")).unwrap();
    let by = |host: &str, mail: &str| format!("Received: from mx.example by {host}; now\n{mail}");
    let before = |mail: &str| -> u64 {
        receive(&server, "", "bounce@example.com", mail.as_bytes());
        bounce_totals(&server)["recipients"].as_u64().expect("a count")
    };
    let own_id = notice.lines().find(|line| line.to_lowercase().starts_with("message-id:")).expect("an id");
    let first = before(&by("mx1.example.com", &notice));
    assert!(first > 0);
    assert_eq!(before(&by("mx2.example.com", &notice)), first, "the same notice");
    let renamed = notice.replacen(own_id, "Message-ID: <another@mx.example>", 1);
    assert_eq!(before(&by("mx2.example.com", &renamed)), first, "the same end in a notice of its own");
    let other = notice.replace("Status: 5", "Status: 4");
    assert!(other != notice && before(&by("mx1.example.com", &other)) > first, "another end");
    let delay = notice.replace("Action: failed", "Action: delayed").replace("Status: 5", "Status: 4");
    let told = before(&delay);
    assert_eq!(before(&by("mx2.example.com", &delay)), told, "the same delay by way of another host");
    let again = delay.replacen(own_id, "Message-ID: <again@mx.example>", 1);
    assert!(before(&again) > told, "a delay that is told again");
    let copies = statuses(&server).iter().filter(|status| *status == "duplicate").count();
    assert_eq!(copies, 3);
    verify(&server);
}

/// A relay or an expansion says that a probe was taken, and that nothing more will be heard of it.
#[test]
fn a_relayed_probe_says_so() {
    let Some(name) = case_name("088") else { return };
    let server = Server::start(RECIPIENTS);
    let (mail, address, token) = with_token(&server, &name, "delivered.eml").expect("the case");
    let relayed = mail.replace("Action: delivered", "Action: relayed");
    assert_ne!(relayed, mail);
    receive(&server, "", &address, relayed.as_bytes());
    let shown = json(server.path(), &["probe", "show", &token]);
    let words: Vec<&str> =
        shown["rows"].as_array().expect("rows").iter().filter_map(|row| row["what"].as_str()).collect();
    assert!(words.contains(&"relayed"), "{shown}");
    assert_eq!(bounce_totals(&server)["bounces"], 0);
    let again = run(server.path(), &["db", "reprocess"]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    server.settle();
    assert_eq!(json(server.path(), &["probe", "show", &token])["rows"], shown["rows"]);
}

#[test]
fn answers_are_no_bounces() {
    let server = Server::start(RECIPIENTS);
    for name in ["vacation", "receipt", "challenge", "held"] {
        let mail = std::fs::read(fixture(&format!("dsn/{name}.eml"))).unwrap();
        receive(&server, "", "bounce@example.com", &mail);
    }
    let messages = rows(&server, &["report", "messages"]);
    for row in &messages {
        assert_eq!(value!([row["kind"], row["status"]]), value!(["reply", "read"]), "{row}");
    }
    assert_eq!(messages.len(), 4);
    assert_eq!(bounce_totals(&server)["recipients"], 0);
}

// ---- All together ----

/// Every view of what this file is about.
const VIEWS: [&str; 5] = ["failures", "complaints", "tls", "bounces", "bounce-list"];

#[test]
fn all_our_mails_read_again_give_the_same_and_their_tables_fit() {
    use unicode_width::UnicodeWidthStr as _;
    let server = Server::start(RECIPIENTS);
    for folder in ["failure", "tls", "dsn", "mail"] {
        // Exit code 1: some are cut off on purpose.
        let output = run(server.path(), &["import", &fixture(folder).to_string_lossy()]);
        assert!(output.status.code().is_some_and(|code| code < 2), "{folder}");
    }
    let answers = || VIEWS.map(|view| json(server.path(), &["report", view]));
    let before = answers();
    for (view, answer) in VIEWS.iter().zip(&before) {
        assert!(answer["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{view}: {answer}");
        for width in [80, 120, 200] {
            let mut command = crate::support::program::mailsonde(server.path());
            command.args(["report", view]).env("COLUMNS", width.to_string());
            let table = String::from_utf8(command.output().unwrap().stdout).unwrap();
            for line in table.lines() {
                assert!(line.width() <= width, "{view} at {width}: {line}");
                assert!(!line.chars().any(char::is_control), "{view}: {line:?}");
            }
        }
        // Every column can be sorted by.
        for name in answer["rows"][0].as_object().expect("a row").keys() {
            let sorted = json(server.path(), &["report", view, "--sort", &format!("-{name}")]);
            let count = |answer: &Value| answer["rows"].as_array().map(Vec::len);
            assert_eq!(count(&sorted), count(answer), "{view} by {name}");
        }
    }
    verify(&server);
    // The same mails again change no sum.
    for folder in ["failure", "tls", "dsn", "mail"] {
        run(server.path(), &["import", &fixture(folder).to_string_lossy()]);
    }
    for (view, (before, after)) in VIEWS.iter().zip(before.iter().zip(answers())) {
        assert_eq!(after["totals"], before["totals"], "{view} after a second import");
    }
    let again = run(server.path(), &["db", "reprocess"]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    server.settle();
    for (view, (before, after)) in VIEWS.iter().zip(before.iter().zip(answers())) {
        assert_eq!(after["totals"], before["totals"], "{view} after reading again");
        assert_eq!(after["rows"], before["rows"], "{view} after reading again");
    }
    verify(&server);
}
