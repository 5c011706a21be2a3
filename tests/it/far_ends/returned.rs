//! A real relay and a real MX: arrived, sent back, delayed, lost, as it happened.

use std::net::{SocketAddr, TcpListener};

use super::{Monitor, token};
use crate::support::exim::{self, Exim};
use crate::support::peer::Peer;
use crate::support::postfix::{self, Postfix};

/// Lines of main.cf for a relay that is quick to try again and to say that mail waits.
const QUICK: &str = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n\
    delay_warning_time = 1s\nconfirm_delay_cleared = no\n";

/// An address where nobody listens: one that was free a moment ago.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_probe_through_postfix_arrives() {
    if !postfix::is_usable() {
        return;
    }
    let monitor = Monitor::start();
    let relay = Postfix::start(monitor.smtp(), "");
    monitor.add_route("hq", relay.smtp, "probe+{token}@monitor.example", "");
    let sent = monitor.send("hq");
    let shown = monitor.wait_for(&token(&sent), "arrived");
    assert!(shown["latency_ms"].as_i64().unwrap() >= 0, "{shown:#}");
    assert_eq!(shown["duplicates"], 0);
    assert_eq!(shown["replays"], 0);
}

#[test]
fn an_unknown_user_bounces_and_the_bounce_is_joined() {
    if !postfix::is_usable() || exim::program().is_none() {
        return;
    }
    let monitor = Monitor::start();
    let mx = Exim::start(monitor.smtp()).unwrap();
    let hosts = [("bounce.example", mx.smtp), ("*", monitor.smtp())];
    let relay = Postfix::with_transports(&hosts, "", "");
    monitor.add_route("refused", relay.smtp, "refused+{token}@bounce.example", "");
    monitor.add_route("returned", relay.smtp, "unknown+{token}@bounce.example", "");
    monitor.add_route("direct", mx.smtp, "refused@bounce.example", "");
    // Postfix is told so by Exim, and writes the notice.
    let refused = token(&monitor.send("refused"));
    let shown = monitor.wait_for(&refused, "bounced");
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("550") && reason.contains("no such user here"), "{reason}");
    // Exim takes it and writes the notice itself.
    let returned = token(&monitor.send("returned"));
    let shown = monitor.wait_for(&returned, "bounced");
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("Unrouteable address"), "{reason}");
    assert_eq!(monitor.events(&returned).iter().filter(|event| *event == "bounced").count(), 1);
    // Told in our own dialogue, it is a refusal and no bounce.
    let direct = monitor.send("direct");
    assert_eq!(direct["state"], "refused", "{direct:#}");
    let bounces = monitor.say(&["report", "bounces", "--format", "json"]);
    assert_eq!(bounces.code, Some(0), "{}", bounces.stderr);
}

#[test]
fn a_known_user_does_not_bounce() {
    if !postfix::is_usable() || exim::program().is_none() {
        return;
    }
    let monitor = Monitor::start();
    let mx = Exim::start(monitor.smtp()).unwrap();
    let relay = Postfix::with_transports(&[("*", mx.smtp)], "", "");
    monitor.add_route("known", relay.smtp, "known@bounce.example", "lost_after = \"1h\"");
    let sent = token(&monitor.send("known"));
    crate::support::sink::eventually("Exim delivers it", || mx.log().contains("=> known"));
    crate::support::sink::eventually("the relay is done", || !relay.holds_mail());
    let shown = monitor.probe(&sent);
    assert_eq!(shown["totals"]["state"], "accepted", "{shown:#}");
    let events = monitor.events(&sent);
    assert!(!events.iter().any(|event| event == "bounced" || event == "delayed"), "{events:?}");
}

#[test]
fn a_stopped_relay_gives_delayed_and_then_arrived() {
    if !postfix::is_usable() {
        return;
    }
    let monitor = Monitor::start();
    let last = Postfix::start(monitor.smtp(), "");
    let hosts = [("probes.example", last.smtp), ("*", monitor.smtp())];
    let first = Postfix::with_transports(&hosts, "", QUICK);
    monitor.add_route("held", first.smtp, "probe+{token}@probes.example", "");
    last.stop();
    let sent = token(&monitor.send("held"));
    let shown = monitor.wait_for(&sent, "delayed");
    assert!(shown["reason"].as_str().unwrap().contains("refused"), "{shown:#}");
    assert!(shown["arrived_at"].is_null());
    last.run();
    let shown = monitor.wait_for(&sent, "arrived");
    assert!(shown["latency_ms"].as_i64().unwrap() > 1_000, "{shown:#}");
    let events = monitor.events(&sent);
    let place = |word: &str| events.iter().position(|event| event == word);
    assert!(place("delayed") < place("arrived"), "{events:?}");
    assert!(!events.iter().any(|event| event == "bounced"), "{events:?}");
}

#[test]
fn a_relay_that_gives_up_after_a_delay_gives_bounced() {
    if !postfix::is_usable() {
        return;
    }
    let monitor = Monitor::start();
    let hosts = [("probes.example", nobody()), ("*", monitor.smtp())];
    let relay = Postfix::with_transports(&hosts, "", &format!("{QUICK}maximal_queue_lifetime = 5s\n"));
    monitor.add_route("given-up", relay.smtp, "probe+{token}@probes.example", "");
    let sent = token(&monitor.send("given-up"));
    monitor.wait_for(&sent, "bounced");
    let events = monitor.events(&sent);
    let place = |word: &str| events.iter().position(|event| event == word);
    assert!(place("delayed").is_some() && place("delayed") < place("bounced"), "{events:?}");
}

#[test]
fn what_a_relay_forgets_is_lost() {
    if !postfix::is_usable() {
        return;
    }
    let monitor = Monitor::start();
    let relay = Postfix::start(nobody(), "");
    monitor.add_route("lost", relay.smtp, "probe+{token}@monitor.example", "lost_after = \"1s\"");
    let sent = token(&monitor.send("lost"));
    crate::support::sink::eventually("the relay holds it", || relay.holds_mail());
    relay.drop_queue();
    let shown = monitor.wait_for(&sent, "lost");
    assert!(shown["reason"].as_str().unwrap().contains("nothing arrived"), "{shown:#}");
}

#[test]
fn mailin_embedded_takes_a_probe() {
    let Some(peer) = Peer::start() else { return };
    let monitor = Monitor::start();
    monitor.add_route("peer", peer.address, "probe@peer.example", "");
    let sent = monitor.send("peer");
    assert_eq!(sent["state"], "accepted", "{sent:#}");
}
