//! `serve` checks the DNS of watched domains again and again: changes, losses and trouble become history, once.

#![expect(clippy::unwrap_used, reason = "in a test an error is a failure")]

use std::path::Path;
use std::time::Duration;

use mailsonde::clock;

use crate::support::dns::{Behavior, DnsServer};
use crate::support::program::{PATIENCE, Server, json};

const DOMAIN: &str = "watched.test";
const POLICY: &str = "_dmarc.watched.test";

/// The zone with this policy, or with none.
fn zone(policy: Option<&str>) -> String {
    let policy = policy.map(|text| format!("{POLICY}. TXT \"{text}\"\n")).unwrap_or_default();
    format!(
        "test. SOA a. b. 1 2 3 4 5\n{DOMAIN}. SOA ns.{DOMAIN}. h.{DOMAIN}. 1 7200 3600 1209600 60\n\
         {DOMAIN}. NS ns.{DOMAIN}.\nns.{DOMAIN}. A 127.0.0.1\n{DOMAIN}. MX 0 .\n\
         {DOMAIN}. TXT \"v=spf1 -all\"\n{DOMAIN}. TXT \"verification=1\"\n{policy}"
    )
}

/// Starts `serve` with checks every second by that server.
fn start(folder: tempfile::TempDir, dns: &DnsServer) -> Server {
    let text = format!(
        "[smtp]\nhost_name = \"mx.example.com\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n[store]\npath = \
         \"mailsonde.db\"\n[[domain]]\nname = \"{DOMAIN}\"\n[dns]\nservers = [\"{}\"]\ntimeout = \"1s\"\n\
         attempts = 1\ncheck_every = \"1s\"\n",
        dns.address
    );
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    Server::start_in(folder, &[])
}

/// Waits until something holds.
#[track_caller]
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let until = clock::instant() + PATIENCE;
    while !holds() {
        assert!(clock::instant() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until so many more checks asked for the policy.
#[track_caller]
fn wait_rounds(dns: &DnsServer, rounds: usize) {
    let asked = || dns.log().iter().filter(|asked| asked.line() == format!("{POLICY} 16")).count();
    let before = asked();
    wait("more rounds", || asked() >= before + rounds);
}

/// What happened to the policy, the oldest first: `happening: before -> after`.
fn events(folder: &Path) -> Vec<String> {
    let answer = json(folder, &["dns", "history", DOMAIN]);
    let rows = answer["rows"].as_array().unwrap().iter().rev();
    let list = |value: &serde_json::Value| -> String {
        let texts: Vec<&str> = value.as_array().unwrap().iter().filter_map(|text| text.as_str()).collect();
        texts.join(" ").replace('"', "")
    };
    rows.filter(|row| row["name"] == POLICY && row["about"] == "TXT")
        .map(|row| {
            format!(
                "{}: {} -> {}",
                row["happening"].as_str().unwrap(),
                list(&row["before"]),
                list(&row["after"])
            )
        })
        .collect()
}

/// The row of the policy among the records.
fn record(folder: &Path) -> serde_json::Value {
    let answer = json(folder, &["dns", "history", DOMAIN, "--records"]);
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == POLICY && row["type"] == "TXT").cloned().unwrap_or_default()
}

#[test]
fn changes_losses_and_trouble_become_history_once() {
    let dns = DnsServer::start(&zone(Some("v=DMARC1; p=none")));
    let mut server = start(tempfile::tempdir().unwrap(), &dns);
    wait("the first check", || record(server.path())["state"] == "records");
    assert_eq!(events(server.path()), [""; 0], "where history begins nothing is new");
    // Records in another order are the same.
    dns.rotate();
    wait_rounds(&dns, 2);
    dns.publish(&zone(Some("v=DMARC1; p=reject")));
    let changed = "changed: v=DMARC1; p=none -> v=DMARC1; p=reject";
    wait("the change", || !events(server.path()).is_empty());
    assert_eq!(events(server.path()), [changed]);
    // No answer, again and again, is no loss: the last value stays, and the trouble is told beside it.
    dns.behave(POLICY, None, Behavior::Code(2, None));
    wait("the trouble", || record(server.path())["trouble"] == "servfail");
    wait_rounds(&dns, 3);
    let row = record(server.path());
    assert_eq!(
        (&row["state"], &row["records"][0]),
        (&"records".into(), &"\"v=DMARC1; p=reject\"".into()),
        "{row}"
    );
    // Case 131: every second answer fails.
    dns.behave(POLICY, None, Behavior::InTurn(vec![Behavior::Code(2, None), Behavior::Zone]));
    wait_rounds(&dns, 4);
    assert_eq!(events(server.path()), [changed]);
    // Gone, as two checks see.
    dns.behave(POLICY, None, Behavior::Zone);
    dns.publish(&zone(None));
    let lost = "lost: v=DMARC1; p=reject -> ";
    wait("the loss", || events(server.path()).len() > 1);
    wait_rounds(&dns, 2);
    assert_eq!(events(server.path()), [changed, lost]);
    let row = record(server.path());
    assert_eq!((&row["state"], &row["trouble"]), (&"no-name".into(), &serde_json::Value::Null), "{row}");
    let all = json(server.path(), &["dns", "history", DOMAIN]);
    let found = all["rows"].as_array().unwrap().iter().filter(|row| row["about"] == "DMARC-NONE").count();
    assert_eq!(found, 1, "a finding is told once: {all}");
    // A restart knows what was told.
    let before = all["rows"].as_array().unwrap().len();
    server.stop();
    let folder = server.kill();
    let server = start(folder, &dns);
    wait_rounds(&dns, 3);
    let after = json(server.path(), &["dns", "history", DOMAIN]);
    assert_eq!(after["rows"].as_array().unwrap().len(), before, "{after}");
    // It comes back: told again, as what it is.
    dns.publish(&zone(Some("v=DMARC1; p=reject")));
    wait("the return", || events(server.path()).len() > 2);
    let back = events(server.path()).pop().unwrap();
    assert!(back.starts_with("varies: ") || back.starts_with("appeared: "), "{back}");
}
