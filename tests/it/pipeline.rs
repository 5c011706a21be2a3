//! Mail in at the socket, rows out of the command line: the third-party cases as a user would try them.

mod other_reports;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::program::{Client, Server, deliver, json, run};
use crate::support::shared;

/// The recipients that the cases name.
const RECIPIENTS: &[(&str, &str)] = &[
    ("dmarc@example.com", "reports"),
    ("rua2@example.com", "reports"),
    ("tls@example.com", "tls"),
    ("ruf@example.com", "failures"),
    ("probe@example.com", "probe"),
    ("bounce@example.com", "bounce"),
];

/// Sums of `report summary` over all domains.
fn totals(server: &Server, more: &[&str]) -> Value {
    let mut arguments = vec!["report", "summary"];
    arguments.extend(more);
    json(server.path(), &arguments)["totals"].clone()
}

/// Rows of a view.
fn rows(server: &Server, arguments: &[&str]) -> Vec<Value> {
    json(server.path(), arguments)["rows"].as_array().expect("rows").clone()
}

/// Delivers the mails of a case in the order of their names and waits until they are read.
fn play(case: &Path, files: &[&str]) -> Server {
    let server = Server::start(RECIPIENTS);
    for file in files {
        let mail = std::fs::read(case.join(file)).expect("the mail of the case");
        let reply = deliver(server.smtp, "dmarc@reporter-a.example", &["dmarc@example.com"], &mail)
            .expect("a whole dialogue");
        assert!(reply.starts_with("250"), "{file}: {reply}");
    }
    server.settle();
    server
}

/// Compares the sums of a case with its `expected.json`.
#[track_caller]
fn check_sums(name: &str, server: &Server, expected: &Value) {
    let totals = totals(server, &[]);
    for (key, field) in [
        ("messages", "messages"),
        ("dmarc_pass", "dmarc_pass"),
        ("dmarc_fail", "dmarc_fail"),
        ("aggregate_reports", "reports"),
        ("dkim_aligned_pass", "dkim_aligned"),
        ("spf_aligned_pass", "spf_aligned"),
    ] {
        if let Some(want) = expected[key].as_u64() {
            assert_eq!(totals[field].as_u64(), Some(want), "{name}: {key}");
        }
    }
    if let Some(want) = expected["unparsed"].as_u64() {
        let unread = rows(server, &["report", "messages", "--result", "unread"]);
        assert_eq!(unread.len() as u64, want, "{name}: unread: {unread:?}");
    }
    for row in expected["rows"].as_array().into_iter().flatten() {
        let (Some(ip), Some(count)) = (row["ip"].as_str(), row["count"].as_u64()) else { continue };
        let sources = rows(server, &["report", "sources"]);
        let found = sources.iter().find(|source| source["source_ip"] == ip);
        assert_eq!(found.and_then(|row| row["messages"].as_u64()), Some(count), "{name}: {ip}: {sources:?}");
    }
}

/// Case folders whose mails are delivered and whose sums must hold.
#[test]
fn report_mails_of_the_cases_are_counted() {
    let Some(cases) = shared("cases") else { return };
    let all: &[(&str, &[&str])] = &[
        ("001-octet-stream-gz", &["report.eml"]),
        ("003-single-part-zip", &["report.eml"]),
        ("005-nested-rfc822", &["report.eml"]),
        ("008-zip-with-directories", &["report.eml"]),
        ("010-zip-data-descriptor", &["report.eml"]),
        ("018-boundary-lookalike", &["report.eml"]),
        ("020-rfc9990-namespace", &["report.eml"]),
        ("024-windows-1252-declared", &["report.eml"]),
        ("026-enum-variants", &["report.eml"]),
        ("030-dkim-first-fails-second-passes", &["report.eml"]),
        ("032-source-ip-notations", &["report.eml"]),
        ("048-count-weighting", &["report.eml"]),
        ("059-subdomains-in-one-report", &["report.eml"]),
        ("061-split-by-reporter", &["one.example.eml", "two.example.eml", "three.example.eml"]),
        ("128-table-layout-wide-text", &["report.eml"]),
    ];
    for (name, files) in all {
        let case = cases.join(name);
        let expected: Value =
            serde_json::from_slice(&std::fs::read(case.join("expected.json")).expect("expected.json"))
                .expect("JSON");
        let server = play(&case, files);
        check_sums(name, &server, &expected);
        match *name {
            "024-windows-1252-declared" => {
                let reporters = rows(&server, &["report", "reporters"]);
                assert_eq!(reporters[0]["org_name"], expected["org_name"], "{name}");
            }
            "026-enum-variants" => {
                let mut words = std::collections::BTreeMap::new();
                for record in rows(&server, &["report", "records"]) {
                    for result in record["auth_results"].as_array().expect("results") {
                        if result["method"] == "spf" {
                            let word = result["result"].as_str().expect("a word").to_owned();
                            *words.entry(word).or_insert(0) += record["count"].as_u64().expect("a count");
                        }
                    }
                }
                for (word, count) in expected["spf_raw"].as_object().expect("words") {
                    assert_eq!(words.get(word).copied(), count.as_u64(), "{name}: {word}: {words:?}");
                }
            }
            "030-dkim-first-fails-second-passes" => {
                let records = rows(&server, &["report", "records"]);
                let dkim: Vec<Value> = records[0]["auth_results"]
                    .as_array()
                    .expect("results")
                    .iter()
                    .filter(|result| result["method"] == "dkim")
                    .map(|result| serde_json::json!([result["domain"], result["selector"], result["result"]]))
                    .collect();
                assert_eq!(Value::from(dkim), expected["raw_dkim"], "{name}");
            }
            "059-subdomains-in-one-report" => {
                let domains = rows(&server, &["report", "domains"]);
                for (domain, count) in expected["by_from"].as_object().expect("domains") {
                    let row = domains.iter().find(|row| row["header_from"] == domain.as_str());
                    assert_eq!(row.map(|row| &row["messages"]), Some(count), "{name}: {domain}");
                }
                let asked = totals(&server, &["--domain", "example.com"]);
                assert_eq!(asked["messages"], 10, "{name}: the filter takes subdomains along");
                assert_eq!(asked["disposition_none"], 8, "{name}");
                assert_eq!(asked["disposition_reject"], 2, "{name}");
                let below = totals(&server, &["--domain", "news.example.com"]);
                assert_eq!(below["messages"], 3, "{name}: an author domain can be asked for");
            }
            "061-split-by-reporter" => {
                let reporters = rows(&server, &["report", "reporters"]);
                for (org_name, count) in expected["by_reporter"].as_object().expect("reporters") {
                    let row = reporters.iter().find(|row| row["org_name"] == org_name.as_str());
                    assert_eq!(row.map(|row| &row["messages"]), Some(count), "{name}: {org_name}");
                }
            }
            _ => {}
        }
    }
}

/// Damaged archives and hostile documents are listed with a reason, and the next mail is counted.
#[test]
fn damaged_and_hostile_reports_are_listed_and_cost_nothing() {
    let Some(cases) = shared("cases") else { return };
    let good = std::fs::read(cases.join("001-octet-stream-gz/report.eml")).expect("the good mail");
    let all: &[(&str, &[&str], &[&str])] = &[
        ("011-truncated-and-bad-crc-gzip", &["truncated.eml", "badcrc.eml"], &["truncat", "crc"]),
        ("013-gzip-bomb", &["report.eml"], &["too large|limit|size"]),
        ("034-entity-bomb-and-xxe", &["bomb.eml", "xxe.eml"], &["doctype|entit|DTD", "doctype|entit|DTD"]),
    ];
    for (name, files, reasons) in all {
        let server = play(&cases.join(name), files);
        let reply = deliver(server.smtp, "dmarc@reporter-a.example", &["dmarc@example.com"], &good)
            .expect("a whole dialogue");
        assert!(reply.starts_with("250"), "{name}: {reply}");
        server.settle();
        let mut unread = rows(&server, &["report", "messages", "--result", "unread"]);
        unread.sort_by_key(|row| row["received_at"].as_str().map(str::to_owned));
        assert_eq!(unread.len(), reasons.len(), "{name}: {unread:?}");
        for want in *reasons {
            let found = unread.iter().any(|row| {
                let reason = row["reason"].as_str().unwrap_or_default().to_lowercase();
                want.split('|').any(|word| reason.contains(&word.to_lowercase()))
            });
            assert!(found, "{name}: no reason with {want}: {unread:?}");
        }
        assert_eq!(totals(&server, &[])["messages"], 10, "{name}");
        let peak = peak_memory_kib(server.pid());
        assert!(peak < 200 * 1024, "{name}: {peak} KiB at the peak");
    }
}

/// The largest resident size that a process had, KiB.
fn peak_memory_kib(pid: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}

/// Ordinary mail at a report address is kept as what it is and is no failed report.
#[test]
fn ordinary_mail_is_no_broken_report() {
    let Some(cases) = shared("cases") else { return };
    let server = play(&cases.join("016-not-a-report"), &["plain.eml", "pdf.eml", "zipjs.eml"]);
    assert_eq!(totals(&server, &[])["messages"], 0);
    let messages = rows(&server, &["report", "messages"]);
    assert_eq!(messages.len(), 3);
    let kept = messages.iter().filter(|row| row["status"] == "kept" && row["kind"] == "other").count();
    assert!(kept >= 2, "{messages:?}");
    for row in &messages {
        assert!(row["status"] == "kept" || row["reason"].is_string(), "{row}");
    }
}

/// A report without records says something (the reporter saw nothing) and adds nothing.
#[test]
fn a_report_without_records_is_listed_and_flagged() {
    let Some(cases) = shared("cases") else { return };
    let server = play(&cases.join("028-report-without-records"), &["report.eml"]);
    let summary = json(server.path(), &["report", "summary"]);
    assert_eq!(summary["totals"]["messages"], 0);
    assert_eq!(summary["totals"]["pass_percent"], Value::Null);
    assert_eq!(summary["totals"]["reports"], 1);
    assert_eq!(rows(&server, &["report", "sources"]).len(), 0);
    let messages = rows(&server, &["report", "messages"]);
    assert_eq!(messages[0]["status"], "read");
    assert!(!messages[0]["deviations"].as_array().expect("a list").is_empty(), "{messages:?}");
}

/// The unclosed schema tag costs no message and is flagged.
#[test]
fn malformed_but_whole_reports_are_read_and_flagged() {
    let Some(cases) = shared("cases") else { return };
    let server = play(&cases.join("022-unclosed-xs-schema"), &["report.eml"]);
    assert_eq!(totals(&server, &[])["messages"], 6);
    let messages = rows(&server, &["report", "messages"]);
    assert!(!messages[0]["deviations"].as_array().expect("a list").is_empty(), "{messages:?}");
}

/// One report in three mails, in turn and at once, is counted once.
#[test]
fn copies_of_a_report_are_counted_once() {
    let Some(cases) = shared("cases") else { return };
    let case = cases.join("050-duplicate-delivery");
    let server = play(&case, &["a.eml", "b.eml", "c.eml"]);
    let sums = totals(&server, &[]);
    assert_eq!((sums["messages"].as_u64(), sums["reports"].as_u64()), (Some(12), Some(1)));
    let duplicates = rows(&server, &["report", "messages", "--result", "duplicate"]);
    assert_eq!(duplicates.len(), 2, "{duplicates:?}");

    let server = Server::start(RECIPIENTS);
    let address = server.smtp;
    let threads: Vec<_> = ["a.eml", "b.eml", "a.eml", "b.eml"]
        .into_iter()
        .map(|file| {
            let mail = std::fs::read(case.join(file)).expect("the mail");
            std::thread::spawn(move || {
                deliver(address, "dmarc@reporter-a.example", &["dmarc@example.com"], &mail).expect("a reply")
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().expect("no panic").starts_with("250"));
    }
    server.settle();
    let sums = totals(&server, &[]);
    assert_eq!((sums["messages"].as_u64(), sums["reports"].as_u64()), (Some(12), Some(1)));
}

/// Three weeks in one report: every message counted, no day with all of them.
#[test]
fn long_reports_are_spread_over_their_days() {
    let Some(cases) = shared("cases") else { return };
    let server = play(&cases.join("055-three-week-report"), &["report.eml"]);
    let whole = json(server.path(), &["report", "--since", "2026-03-01", "--until", "2026-03-21"]);
    assert_eq!(whole["totals"]["messages"], 211);
    let mut sum = 0;
    for day in 1..=21 {
        let date = format!("2026-03-{day:02}");
        let one = totals(&server, &["--since", &date, "--until", &date]);
        let messages = one["messages"].as_u64().expect("a number");
        assert!((10..=11).contains(&messages), "{date}: {messages}");
        sum += messages;
    }
    assert_eq!(sum, 211);
    let note = json(server.path(), &["report", "--since", "2026-03-10", "--until", "2026-03-10"]);
    assert!(note["notes"].to_string().contains("spread"), "{note}");
}

/// Percentages never claim all or nothing, and nothing is not a number.
#[test]
fn percentages_are_honest() {
    let Some(cases) = shared("cases") else { return };
    let server = play(&cases.join("057-percent-rounding"), &["a.eml", "b.eml"]);
    for (domain, messages, percent) in [
        ("example.com", 10_000, serde_json::json!(99.99)),
        ("example.net", 3, serde_json::json!(66.67)),
        ("example.org", 0, Value::Null),
    ] {
        let answer = json(server.path(), &["report", "summary", "--domain", domain]);
        assert_eq!(answer["rows"][0]["messages"], messages, "{domain}");
        assert_eq!(answer["rows"][0]["pass_percent"], percent, "{domain}");
    }
}

/// One mail for two of our addresses is one mail.
#[test]
fn two_recipients_make_one_message() {
    let Some(cases) = shared("cases") else { return };
    let server = Server::start(RECIPIENTS);
    let mail = std::fs::read(cases.join("079-one-mail-two-rua-recipients/report.eml"))
        .expect("the mail of the case");
    let reply = deliver(server.smtp, "a@reporter.example", &["dmarc@example.com", "rua2@example.com"], &mail)
        .unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    server.settle();
    assert_eq!(totals(&server, &[])["messages"], 9);
    let messages = rows(&server, &["report", "messages"]);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["rcpt_to"], serde_json::json!(["dmarc@example.com", "rua2@example.com"]));
}

/// A client that vanishes before the dot leaves nothing; one that vanishes after it and tries again
/// leaves one report.
#[test]
fn lost_connections_neither_halve_nor_double() {
    let Some(cases) = shared("cases") else { return };
    let case = cases.join("077-connection-lost-around-dot");
    let half = std::fs::read(case.join("half.eml")).expect("half a mail");
    let whole = std::fs::read(case.join("report.eml")).expect("a mail");
    let server = Server::start(RECIPIENTS);
    for _ in 0..3 {
        let mut client = Client::connect(server.smtp).unwrap();
        for line in ["EHLO a.example", "MAIL FROM:<a@b.example>", "RCPT TO:<dmarc@example.com>", "DATA"] {
            client.command(line).unwrap();
        }
        client.send(&half).unwrap();
    }
    for read_reply in [false, true] {
        let mut client = Client::connect(server.smtp).unwrap();
        for line in ["EHLO a.example", "MAIL FROM:<a@b.example>", "RCPT TO:<dmarc@example.com>", "DATA"] {
            client.command(line).unwrap();
        }
        client.send(&crate::support::program::dot_stuffed(&whole)).unwrap();
        if read_reply {
            assert!(client.reply().unwrap().starts_with("250"));
        }
    }
    server.settle();
    let sums = totals(&server, &[]);
    assert_eq!((sums["messages"].as_u64(), sums["reports"].as_u64()), (Some(9), Some(1)));
    let messages = rows(&server, &["report", "messages"]);
    assert!((1..=2).contains(&messages.len()), "{messages:?}");
    assert!(messages.iter().all(|row| row["status"] != "unread"), "{messages:?}");
}

/// The reporter's reports: number `i` has `i` messages.
fn numbered_report(i: u64) -> Vec<u8> {
    format!(
        "From: d@r{i}.example\r\nTo: dmarc@example.com\r\nSubject: Report Domain: example.com\r\n\
         Message-ID: <burst-{i}@r{i}.example>\r\nContent-Type: text/xml\r\n\r\n\
         <feedback><report_metadata><org_name>r{i}.example</org_name><email>d@r{i}.example</email>\
         <report_id>burst-{i}</report_id><date_range><begin>1772323200</begin><end>1772409599</end>\
         </date_range></report_metadata>\r\n<policy_published><domain>example.com</domain><p>none</p>\
         </policy_published>\r\n<record><row><source_ip>192.0.2.10</source_ip><count>{i}</count>\
         <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf>\
         </policy_evaluated></row><identifiers><header_from>example.com</header_from></identifiers>\
         <auth_results><spf><domain>example.com</domain><result>pass</result></spf></auth_results>\
         </record></feedback>\r\n"
    )
    .into_bytes()
}

/// Forty reports on forty connections at once, while a table is printed: all taken, the sum exact.
#[test]
fn parallel_deliveries_are_all_taken_while_tables_are_printed() {
    let server = Server::start(RECIPIENTS);
    let address = server.smtp;
    let threads: Vec<_> = (1..=40)
        .map(|i| {
            std::thread::spawn(move || {
                deliver(address, "d@r.example", &["dmarc@example.com"], &numbered_report(i)).expect("a reply")
            })
        })
        .collect();
    for _ in 0..5 {
        totals(&server, &[]);
    }
    for thread in threads {
        let reply = thread.join().expect("no panic");
        assert!(reply.starts_with("250"), "{reply}");
    }
    server.settle();
    let sums = totals(&server, &[]);
    assert_eq!((sums["messages"].as_u64(), sums["reports"].as_u64()), (Some(820), Some(40)));
    let verified = json(server.path(), &["db", "verify"]);
    assert_eq!(verified["rows"].as_array().map(Vec::len), Some(0), "{verified}");
}

/// `kill -9` in the middle of a load, again and again: every message answered 250 is there after
/// the restart, and every report is counted once.
///
/// The rounds can be raised for a long run: MAILSONDE_KILL_ROUNDS and MAILSONDE_KILL_MESSAGES.
#[test]
fn killed_under_load_nothing_answered_is_lost_or_doubled() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let rounds = number("MAILSONDE_KILL_ROUNDS", 3);
    let messages = number("MAILSONDE_KILL_MESSAGES", 600);
    let mut server = Server::start(RECIPIENTS);
    // What was answered 250, over all rounds; numbers never repeat.
    let answered = std::sync::Arc::new(std::sync::Mutex::new(Vec::<u64>::new()));
    let mut sent = 0;
    // A fixed sequence that looks random: a failure can be played again.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..rounds {
        let address = server.smtp;
        let sessions = 16;
        let next = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(sent));
        let end = sent + messages;
        let threads: Vec<_> = (0..sessions)
            .map(|_| {
                let (next, answered) = (next.clone(), answered.clone());
                std::thread::spawn(move || {
                    let Ok(mut client) = Client::connect(address) else { return };
                    if client.command("EHLO load.example").is_err() {
                        return;
                    }
                    loop {
                        let i = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                        if i > end {
                            return;
                        }
                        let mail = numbered_report(i);
                        match client.deliver("d@r.example", &["dmarc@example.com"], &mail) {
                            Ok(reply) if reply.starts_with("250") => {
                                answered.lock().expect("no panic").push(i);
                            }
                            Ok(reply) => panic!("message {i}: {reply}"),
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // Wait for a part of the round's messages, then pull the plug.
        let enough = messages / 10 + seed % (messages * 8 / 10);
        let before = answered.lock().expect("no panic").len() as u64;
        let until = mailsonde::clock::instant() + crate::support::program::PATIENCE;
        while (answered.lock().expect("no panic").len() as u64) < before + enough {
            assert!(mailsonde::clock::instant() < until, "round {round}: too slow");
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        let folder = server.kill();
        for thread in threads {
            thread.join().expect("no unexpected reply");
        }
        sent = end + sessions;
        server = Server::start_in(folder, &[]);
    }
    server.settle();
    let answered = answered.lock().expect("no panic").clone();
    let rows = rows(&server, &["report", "messages", "--limit", "1000000"]);
    let ids: std::collections::BTreeSet<&str> =
        rows.iter().filter_map(|row| row["message_id"].as_str()).collect();
    for i in &answered {
        let id = format!("<burst-{i}@r{i}.example>");
        let bare = id.trim_matches(['<', '>']);
        assert!(ids.contains(id.as_str()) || ids.contains(bare), "answered 250 and lost: {id}");
    }
    // Messages that were stored but whose 250 the client never saw are there too: at most once each.
    assert_eq!(rows.len(), ids.len(), "no message twice");
    let stored: u64 = ids
        .iter()
        .filter_map(|id| id.trim_start_matches("<burst-").trim_start_matches("burst-").split('@').next())
        .filter_map(|number| number.parse::<u64>().ok())
        .sum();
    let sums = totals(&server, &[]);
    assert_eq!(sums["messages"].as_u64(), Some(stored), "every stored report counted once");
    assert_eq!(sums["reports"].as_u64(), Some(ids.len() as u64));
    let verified = json(server.path(), &["db", "verify"]);
    assert_eq!(verified["rows"].as_array().map(Vec::len), Some(0), "{verified}");
}

/// A small file system of its own, unmounted at the end.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// Mounts `bytes` of memory at `path`; `None` where that is not allowed.
    fn mount(path: &Path, bytes: u64) -> Option<Self> {
        let options = format!("size={bytes}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(path.to_owned()))
    }

    /// Makes it larger.
    fn grow(&self, bytes: u64) {
        let options = format!("remount,size={bytes}");
        let status =
            std::process::Command::new("mount").args(["-o", &options]).arg(&self.0).status().expect("mount");
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A full disk is a temporary failure, and all is well once there is room again.
#[test]
fn a_full_disk_is_temporary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::mount(folder.path(), 4 << 20) else {
        eprintln!("skipped: no right to mount a small file system");
        return;
    };
    std::fs::write(
        folder.path().join("mailsonde.toml"),
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[recipient]]\naddress = \"dmarc@example.com\"\n\
         purpose = \"reports\"\n[store]\npath = \"mailsonde.db\"\n",
    )
    .expect("the configuration is written");
    let mut server = Server::start_in(folder, &[]);
    // Text that no compression makes small.
    let mut filler = b"From: a@b.example\r\nSubject: filler\r\n\r\n".to_vec();
    let mut seed = 88_172_645_463_325_252_u64;
    while filler.len() < 2_000_000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        filler.extend_from_slice(format!("{seed:016x}{:016x}\r\n", seed.rotate_left(29)).as_bytes());
    }
    let mut replies = Vec::new();
    for _ in 0..4 {
        filler.extend_from_slice(b"again\r\n");
        let reply = deliver(server.smtp, "a@b.example", &["dmarc@example.com"], &filler).expect("a reply");
        replies.push(reply);
    }
    replies.push(
        deliver(server.smtp, "a@b.example", &["dmarc@example.com"], &numbered_report(10)).expect("a reply"),
    );
    assert!(replies.iter().all(|reply| reply.starts_with("250") || reply.starts_with('4')), "{replies:?}");
    assert!(replies.iter().any(|reply| reply.starts_with("452") || reply.starts_with("451")), "{replies:?}");
    let taken = replies.iter().filter(|reply| reply.starts_with("250")).count();

    disk.grow(200 << 20);
    let until = mailsonde::clock::instant() + crate::support::program::PATIENCE;
    loop {
        let reply = deliver(server.smtp, "a@b.example", &["dmarc@example.com"], &numbered_report(10))
            .expect("a reply");
        if reply.starts_with("250") {
            break;
        }
        assert!(reply.starts_with('4') && mailsonde::clock::instant() < until, "{reply}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    server.settle();
    assert_eq!(totals(&server, &[])["messages"], 10);
    let stored = rows(&server, &["report", "messages"]);
    assert!(stored.len() > taken, "every message answered 250 is there: {taken} and one, {}", stored.len());
    let verified = json(server.path(), &["db", "verify"]);
    assert_eq!(verified["rows"].as_array().map(Vec::len), Some(0), "{verified}");
    assert_eq!(server.stop(), Some(0), "a graceful stop");
}

/// Writes a configuration with routes to `server` beside its own and returns its name.
fn routes_to(server: &Server, routes: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[store]\npath = \"mailsonde.db\"\n[[domain]]\nname = \"example.com\"\n[sender.own]\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"starttls-if-offered\"\naccept_any_certificate = true\n",
        server.smtp.port()
    );
    for (name, to) in routes {
        let _ = write!(
            text,
            "[route.{name}]\nsender = \"own\"\nto = \"{to}\"\nfrom = \"probe@example.org\"\nlost_after = \"1h\"\n"
        );
    }
    let name = "routes.toml".to_owned();
    std::fs::write(server.path().join(&name), text).expect("the configuration is written");
    name
}

/// A probe goes out by SMTP, comes in at the receiver, and is known by its token; one to nobody is refused.
#[test]
fn probes_go_out_come_in_and_have_a_verdict() {
    let server = Server::start(RECIPIENTS);
    let configuration = routes_to(
        &server,
        &[
            ("hq", "probe+{token}@example.com"),
            ("bare", "{token}@example.com"),
            ("nobody", "nobody@example.com"),
        ],
    );
    for route in ["hq", "bare"] {
        let output = run(
            server.path(),
            &["--config", &configuration, "probe", "send", route, "--wait", "60s", "--format", "json"],
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("\"arrived\""), "{text}");
    }
    let output = run(server.path(), &["--config", &configuration, "probe", "send", "nobody"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let output = run(server.path(), &["--config", &configuration, "probe", "send", "hx"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `hq`"));

    let probes = rows(&server, &["report", "probe-list"]);
    let of =
        |route: &str| probes.iter().find(|row| row["route"] == route).expect("a probe of the route").clone();
    for route in ["hq", "bare"] {
        let probe = of(route);
        assert_eq!(probe["state"], "arrived", "{probe}");
        assert!(probe["latency_ms"].as_i64().is_some_and(|ms| ms >= 0), "{probe}");
        assert!(probe["accepted_at"].is_string() && probe["arrived_at"].is_string(), "{probe}");
    }
    let refused = of("nobody");
    assert_eq!(refused["state"], "refused", "{refused}");
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.contains("550 5.1.1")), "{refused}");
    let arrived = rows(&server, &["report", "messages", "--result", "probe"]);
    assert_eq!(arrived.len(), 2, "{arrived:?}");
}

/// Tokens that we did not make are kept and told apart, and a client cannot send them without end.
#[test]
fn forged_and_foreign_tokens_are_kept_told_apart_and_capped() {
    use mailsonde::clock::Timestamp;
    use mailsonde::probe::token::{KeyRing, Kind, Reading};

    let server = Server::start(RECIPIENTS);
    let key = std::fs::read(server.path().join("mailsonde.key")).expect("the key of the installation");
    let ours = KeyRing::from_bytes(&key).expect("a key");
    let at = Timestamp::from_seconds(1_790_000_000);
    let mut forged = ours.texts(&ours.mint(Kind::Probe, 1, at, 1)).expect("texts").recipient;
    // Its second half made up; a few other characters would be damage.
    let made_up: String =
        forged.drain(forged.len() - 12..).map(|c| if c == 'a' { 'b' } else { 'a' }).collect();
    forged.push_str(&made_up);
    assert!(matches!(ours.read_text(&forged), Some(Reading::Forged { .. })));
    // Another installation, whose key has another id.
    let foreign = (0..=u8::MAX)
        .map(|byte| KeyRing::from_bytes(&[byte; 32]).expect("a key"))
        .map(|ring| ring.texts(&ring.mint(Kind::Probe, 1, at, 1)).expect("texts").recipient)
        .find(|text| matches!(ours.read_text(text), Some(Reading::Foreign { .. })))
        .expect("one of 256 keys has another id");

    for (token, want) in [(&forged, "probe-token-forged"), (&foreign, "probe-token-foreign")] {
        let mail = format!("From: x@y.example\r\nSubject: {want}\r\n\r\nhello\r\n");
        let to = format!("probe+{token}@example.com");
        let reply = deliver(server.smtp, "x@y.example", &[&to], mail.as_bytes()).expect("a reply");
        assert!(reply.starts_with("250"), "{reply}");
        server.settle();
        let messages = rows(&server, &["report", "messages"]);
        let row = messages.iter().find(|row| row["subject"] == want).expect("the message is listed");
        assert_eq!(row["deviations"], serde_json::json!([want]), "{row}");
        assert_ne!(row["kind"], "probe", "{row}");
    }
    assert!(rows(&server, &["report", "probe-list"]).is_empty());

    let mut client = Client::connect(server.smtp).expect("a greeting");
    client.command("EHLO x.example").expect("a reply");
    client.command("MAIL FROM:<x@y.example>").expect("a reply");
    let replies: Vec<String> = (0..25)
        .map(|_| client.command(&format!("RCPT TO:<probe+{forged}@example.com>")).expect("a reply"))
        .collect();
    let taken = replies.iter().filter(|reply| reply.starts_with("250")).count();
    // Two were taken above.
    assert_eq!(taken, mailsonde::limits::FORGED_TOKENS_PER_CLIENT_HOUR - 2, "{replies:?}");
    assert!(replies.last().is_some_and(|reply| reply.starts_with("550 5.7.1")), "{replies:?}");
}

/// What `serve` received while nobody read it is read after the restart, and a second reader adds nothing.
#[test]
fn reading_again_gives_the_same() {
    let Some(cases) = shared("cases") else { return };
    let server = play(&cases.join("061-split-by-reporter"), &["one.example.eml", "two.example.eml"]);
    let before = totals(&server, &[]);
    assert_eq!(before["messages"], 77, "5 + 50 and 2 + 20");
    let output = run(server.path(), &["db", "reprocess"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Both mails were taken up again: without this the sums would hold even if nothing was done.
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("2 mails to be read again"), "{said}");
    server.settle();
    assert_eq!(totals(&server, &[]), before);
    let verified = json(server.path(), &["db", "verify"]);
    assert_eq!(verified["rows"].as_array().map(Vec::len), Some(0), "{verified}");
}

/// A socket that systemd (here: a stand-in that does what it does) opened is served, whatever the
/// configuration listens on.
#[test]
fn a_socket_handed_over_is_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let starter = "import os, socket, sys\n\
        s = socket.create_server(('127.0.0.1', 0))\n\
        os.dup2(s.fileno(), 3)\n\
        os.set_inheritable(3, True)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[1], [sys.argv[1], 'serve'])\n";
    let is_there = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !is_there {
        eprintln!("skipped: python3 is absent");
        return;
    }
    let mut command = std::process::Command::new("python3");
    command.current_dir(folder.path()).args(["-c", starter, env!("CARGO_BIN_EXE_mailsonde")]);
    let server = Server::spawn(folder, command);
    let reply =
        deliver(server.smtp, "a@b.example", &["reports@mailsonde.test"], &numbered_report(3)).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    server.settle();
    assert_eq!(totals(&server, &[])["messages"], 3);
}

/// Started as root, the program becomes its user once the ports are open, and works as that.
#[test]
fn root_is_given_up() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let is_root = std::fs::metadata(folder.path()).is_ok_and(|metadata| metadata.uid() == 0);
    let nobody = std::process::Command::new("id").args(["-u", "nobody"]).output().ok();
    let nobody = nobody.and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok());
    let (true, Some(nobody)) = (is_root, nobody) else {
        eprintln!("skipped: not root, or no user nobody");
        return;
    };
    std::fs::write(
        folder.path().join("mailsonde.toml"),
        "user = \"nobody\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[recipient]]\n\
         address = \"dmarc@example.com\"\npurpose = \"reports\"\n",
    )
    .expect("the configuration is written");
    let chown = std::process::Command::new("chown").arg("nobody").arg(folder.path()).status();
    assert!(chown.is_ok_and(|status| status.success()));
    let server = Server::start_in(folder, &[]);
    let mut threads = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("threads") {
        let status =
            std::fs::read_to_string(task.expect("a thread").path().join("status")).unwrap_or_default();
        if let Some(uids) = status.lines().find_map(|line| line.strip_prefix("Uid:")) {
            assert!(uids.split_whitespace().all(|uid| uid == nobody.to_string()), "{uids}");
            threads += 1;
        }
    }
    assert!(threads > 1, "the writer and the sessions have threads of their own");
    let reply = deliver(server.smtp, "a@b.example", &["dmarc@example.com"], &numbered_report(3)).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    server.settle();
    let key = std::fs::metadata(server.path().join("mailsonde.key")).expect("the key");
    assert_eq!((key.uid(), key.mode() & 0o777), (nobody, 0o600));
}
