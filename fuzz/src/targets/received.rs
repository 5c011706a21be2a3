//! `Received` lines: who handed a message to the relay in front of us.

use std::net::IpAddr;

use mailsonde::limits;
use mailsonde::mail::received::{Hop, behind_relay, parse};

use super::is_canonical;

/// The client as the relay saw it, in the lines that are written here.
const CLIENT: &str = "192.0.2.10";

/// What a line says stands in it; a client's HELO name never makes another address than the relay wrote.
pub fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    for line in std::iter::once(text).chain(text.lines().take(20)) {
        if let Some(hop) = parse(line) {
            check_hop(&hop, line);
        }
        hostile(line);
    }
    let relay: IpAddr = [10, 0, 0, 1].into();
    let is_relay = |ip: IpAddr| ip == relay;
    for name in [None, Some("mx.example"), Some("[10.0.0.1]")] {
        if let Some(behind) = behind_relay(data, name, relay, is_relay) {
            assert!(!is_relay(behind.ip) && is_canonical(behind.ip));
        }
    }
}

fn check_hop(hop: &Hop, line: &str) {
    for ip in [hop.ip, hop.by_ip].into_iter().flatten() {
        assert!(is_canonical(ip), "{line:?}");
    }
    if let Some(helo) = &hop.helo {
        assert!(!helo.is_empty() && helo.len() <= limits::DOMAIN_BYTES + 2, "{line:?}");
    }
    for word in [&hop.helo, &hop.by].into_iter().flatten() {
        assert!(line.contains(word.as_str()), "{word:?} was made up: {line:?}");
    }
}

/// Puts a text where a client writes, as relays do that print it as it is: any word without blanks and controls.
fn hostile(text: &str) {
    let mut words = text.split(|c: char| c == ' ' || c.is_control()).filter(|word| !word.is_empty());
    let Some(helo) = words.next().filter(|word| word.len() <= 200) else { return };
    // Such a name is another client's address in honest lines too.
    let client: IpAddr = CLIENT.parse().expect("an address");
    for line in [
        format!(
            "from {helo} (unknown [{CLIENT}])\r\n\tby mx.example (Postfix) with ESMTP id 1;\r\n\tWed, 25 Nov 2026"
        ),
        format!(
            "from {helo} (h.example [{CLIENT}]) by mx.example (8.17.1/8.17.1) with ESMTP id 1; Wed, 25 Nov 2026"
        ),
        format!(
            "from {helo} ([{CLIENT}]) by mx.example with Microsoft SMTPSVC(6.0.3790.4675); Wed, 25 Nov 2026"
        ),
        format!(
            "from {helo} ({CLIENT}) by mx.example (10.0.0.1) with Microsoft SMTP Server id 1; Wed, 25 Nov 2026"
        ),
    ] {
        let head = format!("Received: {line}\r\nSubject: x\r\n\r\n");
        let found = behind_relay(head.as_bytes(), Some("mx.example"), [10, 0, 0, 1].into(), |_| false);
        if let Some(behind) = found {
            assert_eq!(behind.ip, client, "the client chose its address: {line:?}");
        }
    }
}
