//! Direct to MX hosts with the program itself: from a zone of ours to our own receiver, and what is shown of it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::dns::DnsServer;
use crate::support::program::{Server, json, json_said};
use crate::support::sink::eventually;

const ZONE: &str = "\
. SOA ns.test. h.test. 1 60 60 60 60
probes.example.       MX 10 gone.probes.example.
probes.example.       MX 20 mx.probes.example.
mx.probes.example.    A 127.0.0.1
sender.probes.example. A 127.0.0.1
null.example.         MX 0 .
null.example.         A 127.0.0.1
";

/// What is shown of a probe in the order of time: what and text.
fn rows(shown: &Value) -> Vec<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = shown["rows"].as_array().unwrap();
    rows.iter().map(|row| (text(row, "what"), text(row, "text"))).collect()
}

#[test]
fn a_probe_goes_direct_to_our_own_receiver() {
    let dns = DnsServer::start(ZONE);
    let server = Server::start(&[("probe@probes.example", "probe")]);
    let path = server.path().join("mailsonde.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let _ = write!(
        text,
        "\n[dns]\nservers = [\"{}\"]\n[sender.direct]\nkind = \"direct\"\nport = {}\nhelo = \"sender.probes.example\"\n",
        dns.address,
        server.smtp.port()
    );
    for (route, to) in [("own", "probe+{token}@probes.example"), ("null", "probe+{token}@null.example")] {
        let _ = write!(
            text,
            "[route.{route}]\nsender = \"direct\"\nto = \"{to}\"\nfrom = \"probe@probes.example\"\nconsent = \"a test\"\n"
        );
    }
    std::fs::write(&path, text).unwrap();
    let send = |route: &str| json_said(server.path(), &["probe", "send", route, "--force"])["totals"].clone();
    let sent = send("own");
    let token = sent["token"].as_str().unwrap_or_else(|| panic!("{sent:#}")).to_owned();
    let mut shown = Value::Null;
    eventually("the probe arrives", || {
        shown = json(server.path(), &["probe", "show", &token]);
        shown["totals"]["state"] == "arrived"
    });
    let rows_own = rows(&shown);
    let mx: Vec<&str> =
        rows_own.iter().filter(|(what, _)| what == "mx").map(|(_, text)| text.as_str()).collect();
    assert_eq!(mx.len(), 2, "{rows_own:#?}");
    assert!(mx[0].starts_with("10 gone.probes.example (not tried): "), "{}", mx[0]);
    assert!(mx[0].ends_with("MX target has no address: no such name"), "{}", mx[0]);
    assert!(
        mx[1].starts_with("20 mx.probes.example (127.0.0.1): MTA-STS none: no record; DANE "),
        "{}",
        mx[1]
    );
    let sent = send("null");
    assert_eq!(sent["state"], "refused", "{sent:#}");
    let shown = json(server.path(), &["probe", "show", sent["token"].as_str().unwrap()]);
    let refused = rows(&shown).into_iter().find(|(what, _)| what == "refused").unwrap().1;
    assert!(refused.contains("556 5.1.10 null MX: null.example takes no mail"), "{refused}");
}
