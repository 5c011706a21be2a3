//! The MX hosts by a real dialogue: can they be reached, do they offer TLS, is the certificate in order?

use std::collections::BTreeMap;
use std::net::IpAddr;

use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::clock::Timestamp;
use crate::dns::{Answers, Ask, Name, NotKnown, Question, RecordType};
use crate::dns_health::facts::{Dialogue, DialogueFault, Facts, Outlet, StartTls, TlsSeen};
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::mx;
use crate::limits;
use crate::tls_client::Verification;

codes! {
    SMTP_PORT25 = "SMTP-PORT25", Info, "-", "no MX host of any domain takes a connection from here: our own port 25 seems to be blocked", "run the check from a machine whose provider lets port 25 out";
    SMTP_REFUSES = "SMTP-REFUSES", Note, "RFC 5321 §3.1, §4.2.4", "an MX host refuses to talk to us", "look at its log for our connection: a blocklist, a limit, a wrong name";
    TLS_STARTTLS = "TLS-STARTTLS", Error, "RFC 3207 §4", "an MX host offers no TLS, or its handshake fails", "switch on STARTTLS with TLS 1.2 and 1.3";
    TLS_CERT = "TLS-CERT", Note, "RFC 5280 §4.1.2.5, RFC 7672 §3", "the certificate of an MX host is at its end, or is not valid for its name", "renew it in time, with the MX host's name; MTA-STS demands it, plain delivery does not";
}

/// A certificate with less than this left is worth a word, milliseconds: 14 days.
const NEAR_END_MS: i64 = 14 * 86_400_000;

/// True if some were tried and nobody was met: the hosts may be down, and as well our own port 25 may be blocked.
pub fn is_silent<'d>(all: impl IntoIterator<Item = &'d Dialogue>) -> bool {
    let mut count = 0;
    for dialogue in all {
        match &dialogue.outcome {
            Err(DialogueFault::NotPublic) => {}
            Err(fault) if fault.is_silence() => count += 1,
            _ => return false,
        }
    }
    count > 0
}

/// Why the MX hosts or their addresses are not known. Asks nothing: without dialogues there is nothing to check.
fn trouble<'a>(domain: &Name, answers: &'a Answers) -> Option<&'a NotKnown> {
    let find = |name: &Name, record_type| answers.find(&Question::new(name.clone(), record_type));
    if let Some(trouble) = find(domain, RecordType::Mx)?.trouble() {
        return Some(trouble);
    }
    mx::hosts(domain, answers).ok()?.iter().find_map(|host| {
        let (four, six) = (find(host, RecordType::A)?, find(host, RecordType::Aaaa)?);
        let is_known = !four.data().is_empty() || !six.data().is_empty();
        four.trouble().or(six.trouble()).filter(|_| !is_known)
    })
}

/// What the silence of all MX hosts of a run says, in words.
fn silence(outlet: Option<Outlet>, own: usize) -> String {
    let (addresses, networks) = match outlet {
        Some(Outlet::Silent { addresses, networks }) => (addresses.max(own), networks),
        _ => (own, 1),
    };
    let seen = format!(
        "{addresses} addresses of MX hosts in {networks} networks, not one took or refused the connection"
    );
    if networks >= limits::PORT_BLOCKED_SURE_NETWORKS {
        format!("{seen}: our own port 25 is blocked")
    } else {
        format!("{seen}: our own port 25 is blocked, or these hosts are all down; so few cannot tell")
    }
}

/// Checks what the MX hosts said.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    if facts.dialogues.is_empty() {
        if let Some(trouble) = trouble(domain, answers) {
            for code in CODES {
                checks.unknown(code, domain, trouble);
            }
            return Ok(checks);
        }
        for code in CODES {
            checks.skip(code, domain, "the MX hosts were not asked");
        }
        return Ok(checks);
    }
    if is_silent(facts.dialogues.values()) && facts.outlet != Some(Outlet::Open) {
        let evidence = silence(facts.outlet, facts.dialogues.len());
        checks.find(Finding::new(&SMTP_PORT25, domain, evidence));
        for code in [&SMTP_REFUSES, &TLS_STARTTLS, &TLS_CERT] {
            checks.unknown_for(code, domain, "port-25-blocked", "nothing was reached on port 25");
        }
        return Ok(checks);
    }
    for ((host, address), dialogue) in &facts.dialogues {
        let subject = format!("{host} ({address})");
        let spoken = match &dialogue.outcome {
            Ok(spoken) => spoken,
            Err(DialogueFault::Refused(reply)) => {
                // Perhaps it is our address or our name that it does not like: no word on others' mail.
                checks.find(Finding::new(&SMTP_REFUSES, &subject, reply.clone()));
                for code in [&TLS_STARTTLS, &TLS_CERT] {
                    checks.unknown_for(code, &subject, "refused", "it refuses to talk to us");
                }
                continue;
            }
            Err(DialogueFault::NotPublic) => {
                checks.skip(&TLS_STARTTLS, &subject, "no public address");
                continue;
            }
            Err(fault) => {
                for code in [&SMTP_REFUSES, &TLS_STARTTLS, &TLS_CERT] {
                    checks.unknown_for(code, &subject, fault.as_str(), &fault.to_string());
                }
                continue;
            }
        };
        checks.pass(&SMTP_REFUSES, &subject);
        match &spoken.tls {
            StartTls::NotOffered => {
                checks.find(Finding::new(
                    &TLS_STARTTLS,
                    &subject,
                    "STARTTLS is not offered: mail comes in the clear",
                ));
            }
            StartTls::Refused(reply) => {
                checks.find(Finding::new(
                    &TLS_STARTTLS,
                    &subject,
                    format!("STARTTLS is offered and refused: {reply}"),
                ));
            }
            StartTls::Failed(why) => {
                checks.find(Finding::new(&TLS_STARTTLS, &subject, format!("the handshake fails: {why}")));
            }
            StartTls::Done(seen) => {
                checks.pass(&TLS_STARTTLS, &subject);
                certificate(&mut checks, &subject, seen, facts.now);
            }
        }
    }
    Ok(checks)
}

/// The certificate: its end, its name and its authority.
fn certificate(checks: &mut Checks, subject: &str, seen: &TlsSeen, now: Timestamp) {
    let Some(Ok((_, parsed))) = seen.chain.first().map(|der| X509Certificate::from_der(der)) else {
        checks.unknown_for(&TLS_CERT, subject, "malformed", "the certificate cannot be read");
        return;
    };
    let ends = Timestamp::from_seconds(parsed.validity().not_after.timestamp());
    let left = ends.ms_since(now);
    if left < 0 {
        let finding = Finding::new(&TLS_CERT, subject, format!("it ended at {}", ends.rfc3339()));
        checks.find(finding.severity(Severity::Warning));
    } else if left < NEAR_END_MS {
        let evidence = format!("it ends at {}, in {} days", ends.rfc3339(), left / 86_400_000);
        checks.find(Finding::new(&TLS_CERT, subject, evidence).severity(Severity::Warning));
    } else {
        match &seen.verification {
            Verification::Failed(why) => checks.find(Finding::new(&TLS_CERT, subject, why.clone())),
            Verification::Verified => checks.pass(&TLS_CERT, subject),
            Verification::NotChecked => {
                checks.unknown_for(&TLS_CERT, subject, "not-verified", "its chain was not verified here");
            }
        }
    }
}

/// What the MX hosts said, a line an address.
pub fn lines(dialogues: &BTreeMap<(Name, IpAddr), Dialogue>) -> Vec<String> {
    let line = |((host, address), dialogue): (&(Name, IpAddr), &Dialogue)| {
        format!("{host} ({address}): {}", describe(dialogue))
    };
    dialogues.iter().map(line).collect()
}

/// A dialogue in words.
fn describe(dialogue: &Dialogue) -> String {
    let spoken = match &dialogue.outcome {
        Ok(spoken) => spoken,
        Err(fault) => return fault.to_string(),
    };
    let (tls, extensions) = match &spoken.tls {
        StartTls::NotOffered => ("no STARTTLS".to_owned(), &spoken.extensions),
        StartTls::Refused(reply) => (format!("STARTTLS refused: {reply}"), &spoken.extensions),
        StartTls::Failed(why) => (format!("the TLS handshake fails: {why}"), &spoken.extensions),
        StartTls::Done(seen) => {
            let certificate = seen.chain.first().and_then(|der| X509Certificate::from_der(der).ok());
            let until = certificate.map_or_else(String::new, |(_, parsed)| {
                let ends = Timestamp::from_seconds(parsed.validity().not_after.timestamp());
                format!(" until {}", ends.rfc3339())
            });
            let text = format!("{} {}, certificate{until} {}", seen.version, seen.cipher, seen.verification);
            (text, &seen.extensions)
        }
    };
    if extensions.is_empty() { tls } else { format!("{tls}; {}", extensions.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::facts::Spoken;
    use crate::dns_health::sample::{facts, name, troubles};

    /// The dialogues of one address each, and what the check says.
    fn say(outcomes: Vec<Result<Spoken, DialogueFault>>) -> Vec<String> {
        let mut facts = facts("good.example");
        for (at, outcome) in outcomes.into_iter().enumerate() {
            let address = format!("198.50.1.{at}").parse().unwrap();
            facts.dialogues.insert((name("mx.good.example"), address), Dialogue { outcome });
        }
        troubles(&check(&facts, &Answers::new()).unwrap())
    }

    /// A server that got so far with TLS.
    fn spoken(tls: StartTls) -> Spoken {
        Spoken { greeting: "mx.good.example ESMTP".to_owned(), extensions: Vec::new(), tls }
    }

    /// A session with a certificate that ends so many days after the tests' time.
    fn session(days: i64, verification: Verification) -> StartTls {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["mx.good.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        let day = crate::clock::Day::of_seconds(facts("x").now.seconds() + days * 86_400).iso();
        let mut parts = day.split('-').map(|part| part.parse::<u16>().unwrap());
        let (year, month, day) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        params.not_after =
            rcgen::date_time_ymd(year.into(), u8::try_from(month).unwrap(), u8::try_from(day).unwrap());
        let chain = vec![params.self_signed(&key).unwrap().der().to_vec()];
        StartTls::Done(TlsSeen {
            version: String::new(),
            cipher: String::new(),
            chain,
            verification,
            extensions: Vec::new(),
        })
    }

    #[test]
    fn each_way_that_a_dialogue_can_go() {
        let subject = "mx.good.example (198.50.1.0)";
        for (outcome, want) in [
            (Ok(spoken(session(90, Verification::Verified))), vec![]),
            (Ok(spoken(StartTls::NotOffered)), vec!["TLS-STARTTLS error"]),
            (Ok(spoken(StartTls::Refused("454 later".to_owned()))), vec!["TLS-STARTTLS error"]),
            (Ok(spoken(StartTls::Failed("no common version".to_owned()))), vec!["TLS-STARTTLS error"]),
            (Ok(spoken(session(-3, Verification::Verified))), vec!["TLS-CERT warning"]),
            (Ok(spoken(session(9, Verification::Verified))), vec!["TLS-CERT warning"]),
            (Ok(spoken(session(90, Verification::Failed("self-signed".to_owned())))), vec!["TLS-CERT note"]),
            (Ok(spoken(session(90, Verification::NotChecked))), vec!["TLS-CERT not-known"]),
            (
                Err(DialogueFault::Refused("554 no".to_owned())),
                vec!["SMTP-REFUSES note", "TLS-CERT not-known", "TLS-STARTTLS not-known"],
            ),
            (
                Err(DialogueFault::ReplyTimeout(30)),
                vec!["SMTP-REFUSES not-known", "TLS-CERT not-known", "TLS-STARTTLS not-known"],
            ),
        ] {
            let told = format!("{outcome:?}").chars().take(100).collect::<String>();
            let want: Vec<String> = want.into_iter().map(|line| format!("{line} {subject}")).collect();
            assert_eq!(say(vec![outcome]), want, "{told}");
        }
    }

    #[test]
    fn when_nothing_is_reached_it_is_our_port() {
        let timeout = || Err(DialogueFault::ConnectTimeout(10));
        let blocked = say(vec![timeout(), timeout(), Err(DialogueFault::Unreachable("no route".to_owned()))]);
        assert_eq!(
            blocked,
            [
                "SMTP-PORT25 info good.example",
                "SMTP-REFUSES not-known good.example",
                "TLS-CERT not-known good.example",
                "TLS-STARTTLS not-known good.example",
            ]
        );
        let one_answers = say(vec![timeout(), Ok(spoken(StartTls::NotOffered))]);
        assert!(one_answers.contains(&"TLS-STARTTLS error mx.good.example (198.50.1.1)".to_owned()));
        assert!(!one_answers.iter().any(|line| line.starts_with("SMTP-PORT25")));
        assert!(!is_silent([]));
    }

    #[test]
    fn the_run_as_a_whole_says_whose_silence_it_is() {
        let mut facts = facts("good.example");
        let silent = Dialogue { outcome: Err(DialogueFault::ConnectTimeout(10)) };
        facts.dialogues.insert((name("mx.good.example"), "198.50.1.1".parse().unwrap()), silent);
        for (outlet, want, words) in [
            (None, 4, "so few cannot tell"),
            (Some(Outlet::Silent { addresses: 9, networks: 2 }), 4, "9 addresses of MX hosts in 2 networks"),
            (Some(Outlet::Silent { addresses: 9, networks: 3 }), 4, "connection: our own port 25 is blocked"),
            // Another domain's host was met: this one is down, or far away.
            (Some(Outlet::Open), 3, ""),
        ] {
            facts.outlet = outlet;
            let checks = check(&facts, &Answers::new()).unwrap();
            assert_eq!(troubles(&checks).len(), want, "{outlet:?}");
            let told = format!("{:?}", checks.all);
            assert!(told.contains(words), "{outlet:?}: {told}");
            assert_eq!(told.contains("PORT25"), want == 4, "{outlet:?}");
        }
    }
}
