//! Probes past real servers, each started by the test on loopback: Postfix as relay, Exim as an MX that sends back,
//! Dovecot as mailbox, mailin-embedded as an MX that nobody of ours wrote.
// `cfg(test)` tells the lints that helpers between the tests are tests too.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;

use crate::support::program::{PATIENCE, Said, Server, json, json_said, say};

/// Where it lies: a mailbox of Dovecot that Postfix fills.
#[cfg(test)]
mod mailboxes;

/// What comes back: bounces, delays, and what became of the probe.
#[cfg(test)]
mod returned;

/// What receivers ask of the author's domain, and that the owners of the far ends agreed.
const ZONE: &str =
    "monitor.example. TXT \"v=spf1 ip4:127.0.0.1 -all\"\n_dmarc.monitor.example. TXT \"v=DMARC1; p=none\"\n";

/// A running `serve` that takes probes and bounces at `monitor.example`.
struct Monitor {
    server: Server,
    /// The zone that it asks in the place of the network.
    _zone: tempfile::NamedTempFile,
}

impl Monitor {
    /// Starts it.
    fn start() -> Self {
        Self::with("")
    }

    /// Starts it with further lines of configuration.
    fn with(more: &str) -> Self {
        let recipients = [
            ("probe@monitor.example", "probe"),
            ("probe@probes.example", "probe"),
            ("bounce@monitor.example", "bounce"),
        ];
        let zone = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(zone.path(), ZONE).unwrap();
        let agreed = ["bounce.example", "peer.example", "mailbox.example"]
            .map(|domain| format!("{{ domain = \"{domain}\", because = \"a test of ours\" }}"));
        let more = format!(
            "\n[dns]\nzone = \"{}\"\n[probes]\nconsent = [{}]\n{more}",
            zone.path().display(),
            agreed.join(", ")
        );
        Self { server: Server::start_with(&recipients, &more), _zone: zone }
    }

    /// Where it takes mail.
    fn smtp(&self) -> SocketAddr {
        self.server.smtp
    }

    /// Adds a route over a relay: its name, its recipient, further lines.
    fn add_route(&self, name: &str, relay: SocketAddr, to: &str, more: &str) {
        let path = self.server.path().join("mailsonde.toml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        let (host, port) = (relay.ip(), relay.port());
        let _ = write!(
            text,
            "\n[sender.{name}]\nhost = \"{host}\"\nport = {port}\ntls = \"none\"\n\
             [route.{name}]\nsender = \"{name}\"\nto = \"{to}\"\nfrom = \"bounce@monitor.example\"\n{more}\n"
        );
        std::fs::write(path, text).unwrap();
    }

    /// Sends a probe and returns what is known of it at once.
    #[track_caller]
    fn send(&self, route: &str) -> Value {
        json_said(self.server.path(), &["probe", "send", route])["totals"].clone()
    }

    /// What is known of a probe.
    #[track_caller]
    fn probe(&self, token: &str) -> Value {
        json(self.server.path(), &["probe", "show", token])
    }

    /// The events of a probe, as words.
    #[track_caller]
    fn events(&self, token: &str) -> Vec<String> {
        let shown = self.probe(token);
        let rows = shown["rows"].as_array().unwrap();
        rows.iter().map(|row| row["what"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a probe has a state; returns what is known of it then.
    #[track_caller]
    fn wait_for(&self, token: &str, state: &str) -> Value {
        let mut seen = Value::Null;
        let until = mailsonde::clock::instant() + PATIENCE;
        while seen["state"] != state {
            assert!(mailsonde::clock::instant() < until, "not {state}: {:#}", self.probe(token));
            std::thread::sleep(std::time::Duration::from_millis(50));
            seen = self.probe(token)["totals"].clone();
        }
        seen
    }

    /// What a command says.
    fn say(&self, arguments: &[&str]) -> Said {
        say(self.server.path(), arguments)
    }
}

/// The token of a probe as `probe send` shows it.
#[track_caller]
fn token(sent: &Value) -> String {
    sent["token"].as_str().unwrap_or_else(|| panic!("no token: {sent:#}")).to_owned()
}
