//! Checks of whole domains with everybody whom their records name: web servers, MX hosts, name servers.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mailsonde::clock;
use mailsonde::dns::{DirectServers, Name, ZoneResolver};
use mailsonde::dns_health::addresses::Reach;
use mailsonde::dns_health::facts::{Dialogue, DialogueFault, Facts, Spoken, StartTls};
use mailsonde::dns_health::finding::State;
use mailsonde::dns_health::gather::{
    self, Allowance, Authorities, Checkup, Exchangers, HttpsPolicies, MxDialogue, Talking, Tools,
};
use mailsonde::smtp::mx_dialogue::{MxTalker, Waits};
use mailsonde::tls_client::{Verification, Verify};
use ring::digest;

use super::dialogues::{self, Step};
use super::policies::{self, policy};
use crate::support::dns::{Behavior, DnsServer};
use crate::support::tls::{Authority, Identity};

const ALLOWANCE: Allowance = Allowance { questions: 600, time: Duration::from_secs(60) };

/// A domain whose servers are all on loopback.
const ZONE: &str = "\
example. SOA a. b. 1 7200 3600 1209600 3600
good.example. SOA ns1.good.example. host.good.example. 7 7200 3600 1209600 3600
good.example. NS ns1.good.example.
good.example. NS ns2.good.example.
ns1.good.example. A 127.0.0.1
ns2.good.example. A 127.0.0.2
good.example. MX 10 mx.good.example.
mx.good.example. A 127.0.0.1
good.example. TXT \"v=spf1 mx -all\"
_dmarc.good.example. TXT \"v=DMARC1; p=reject\"
_mta-sts.good.example. TXT \"v=STSv1; id=1\"
mta-sts.good.example. A 127.0.0.1
";

fn facts(domain: &str) -> Facts {
    Facts::new(Name::from_dotted(domain).unwrap(), clock::now(), "nobody-has-this")
}

/// How the checks of a code ended: state, or severity, and evidence.
fn of(checkup: &Checkup, code: &str) -> Vec<String> {
    let checks = checkup.health.checks.iter().filter(|checked| checked.code.code == code);
    checks
        .map(|checked| match &checked.state {
            State::Found(finding) => format!("{} {}", finding.severity.as_str(), finding.evidence),
            State::NotKnown { cause, .. } => format!("not-known {cause}"),
            other => other.as_str().to_owned(),
        })
        .collect()
}

/// A mail server that takes mail with TLS.
fn exchanger(identity: &Identity) -> Vec<Step> {
    vec![
        Step::Say("220 mx.good.example ESMTP\r\n"),
        Step::Hear,
        Step::Say("250-mx.good.example\r\n250 STARTTLS\r\n"),
        Step::Hear,
        Step::Say("220 go ahead\r\n"),
        Step::Tls(identity.clone()),
        Step::Hear,
        Step::Say("250 mx.good.example\r\n"),
        Step::Hear,
        Step::Say("221 bye\r\n"),
    ]
}

/// Hosts behind a port of loopback, with an authority's roots.
fn exchangers(port: u16, authority: &Authority) -> Exchangers {
    let talker = MxTalker {
        helo: Some("probe.example.net".to_owned()),
        verify: Verify::Roots(authority.pem.as_bytes().into()),
        reach: Reach::Any,
        port,
        waits: Waits::STANDARD,
    };
    Exchangers::new(Arc::new(talker), None)
}

/// The zone with a TLSA record of usage 3 for a certificate.
fn zone_with_tlsa(certificate: &[u8]) -> ZoneResolver {
    let digest = digest::digest(&digest::SHA256, certificate);
    let mut text = ZONE.to_owned() + ";! security good.example secure\n";
    text.push_str("_25._tcp.mx.good.example. TLSA 3 0 1 ");
    for byte in digest.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    ZoneResolver::parse(&text).unwrap()
}

#[tokio::test]
async fn policy_certificates_and_tlsa_records_fit_together_or_do_not() {
    let authority = Authority::new();
    let good = authority.issue(&["mx.good.example"], (2020, 2099));
    let other = authority.issue(&["mx.other.example"], (2020, 2099));
    let roots = Verify::Roots(authority.pem.as_bytes().into());
    let text = "version: STSv1\nmode: enforce\nmx: mx.good.example\nmax_age: 2419200\n";
    let site = authority.issue(&["mta-sts.good.example"], (2020, 2099));
    let (web, _requests) = policies::serve(policy(text), site).await;
    let policies = HttpsPolicies::new(roots, Reach::Any, web, Duration::from_secs(60));
    let resolver = zone_with_tlsa(&good.chain[0]);
    for (identity, wants) in [
        (
            &good,
            [
                ("STS-FETCH", "pass"),
                ("STS-MX", "pass"),
                ("STS-CERT", "pass"),
                ("TLS-STARTTLS", "pass"),
                ("TLS-CERT", "pass"),
                ("DANE-MATCH", "pass"),
                ("SMTP-BANNER", "pass"),
            ],
        ),
        (
            &other,
            [
                ("STS-FETCH", "pass"),
                ("STS-MX", "pass"),
                ("STS-CERT", "critical the certificate does not verify: not for mx.good.example"),
                ("TLS-STARTTLS", "pass"),
                ("TLS-CERT", "note not for mx.good.example: it is for mx.other.example"),
                ("DANE-MATCH", "critical 1 records, none matches; the key served would be `3 1 1 "),
                ("SMTP-BANNER", "pass"),
            ],
        ),
    ] {
        let (port, _heard) = dialogues::serve(exchanger(identity)).await;
        let exchangers = exchangers(port, &authority);
        let tools =
            Tools { policies: Some(&policies), exchangers: Some(&exchangers), ..Tools::of(&resolver) };
        let checkup = gather::check(tools, &facts("good.example"), ALLOWANCE).await;
        for (code, want) in wants {
            let got = of(&checkup, code);
            assert!(got.len() == 1 && got[0].starts_with(want), "{code}: {got:?}");
        }
    }
}

/// Senders ask for no policy where there is no record; neither do we.
#[tokio::test]
async fn without_a_record_no_policy_is_fetched() {
    let authority = Authority::new();
    let identity = authority.issue(&["mta-sts.good.example"], (2020, 2099));
    let (web, mut requests) = policies::serve(policy("x"), identity).await;
    let roots = Verify::Roots(authority.pem.as_bytes().into());
    let policies = HttpsPolicies::new(roots, Reach::Any, web, Duration::from_secs(60));
    let zone = ZONE.replace("_mta-sts.good.example. TXT \"v=STSv1; id=1\"\n", "");
    let resolver = ZoneResolver::parse(&zone).unwrap();
    let tools = Tools { policies: Some(&policies), ..Tools::of(&resolver) };
    let checkup = gather::check(tools, &facts("good.example"), ALLOWANCE).await;
    assert!(checkup.facts.policy.is_none());
    assert!(requests.try_recv().is_err());
}

// ---- Name servers ----

/// Two name servers of one port, at two addresses.
fn servers() -> (DnsServer, DnsServer) {
    // A port that the second address has not free: another one then.
    for _ in 0..50 {
        let first = DnsServer::start(ZONE);
        let second = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), first.address.port());
        if std::net::UdpSocket::bind(second).is_ok() && std::net::TcpListener::bind(second).is_ok() {
            let second = DnsServer::start_at(ZONE, second);
            first.be_authority();
            second.be_authority();
            return (first, second);
        }
    }
    panic!("no port is free at two addresses");
}

/// What asking each server of the domain gives.
async fn asked(port: u16) -> Checkup {
    let asker = Arc::new(DirectServers { port, timeout: Duration::from_millis(700), attempts: 2 });
    let authorities = Authorities::new(asker, Reach::Any);
    let resolver = ZoneResolver::parse(ZONE).unwrap();
    let tools = Tools { authorities: Some(&authorities), ..Tools::of(&resolver) };
    gather::check(tools, &facts("good.example"), ALLOWANCE).await
}

#[tokio::test]
async fn name_servers_of_one_mind_pass() {
    let (first, second) = servers();
    let checkup = asked(first.address.port()).await;
    for code in ["DNS-LAME", "DNS-CONSISTENT", "DNS-NS-MISMATCH"] {
        assert_eq!(of(&checkup, code), ["pass"], "{code}");
    }
    for server in [&first, &second] {
        let log = server.log();
        assert!(log.iter().all(|asked| !asked.wants_recursion), "{log:?}");
        assert_eq!(log.len(), 7, "{log:?}");
    }
}

#[tokio::test]
async fn name_servers_that_differ_are_lame_or_silent_are_told_apart() {
    for (behavior, code, want) in [
        (
            Behavior::Other(Arc::new(ZoneResolver::parse(&ZONE.replace(". 7 7200", ". 6 7200")).unwrap())),
            "DNS-CONSISTENT",
            "warning ns1.good.example (127.0.0.1): ns1.good.example. host.good.example. 7 ",
        ),
        (
            Behavior::Other(Arc::new(ZoneResolver::parse(&ZONE.replace("MX 10 mx.", "MX 10 old.")).unwrap())),
            "DNS-CONSISTENT",
            "error ns1.good.example (127.0.0.1): 10 mx.good.example.; ns2.good.example (127.0.0.2): 10 old.",
        ),
        (
            Behavior::Other(Arc::new(
                ZoneResolver::parse(&ZONE.replace("good.example. NS ns2.", "good.example. NS ns3.")).unwrap(),
            )),
            "DNS-NS-MISMATCH",
            "warning it lists ns1.good.example, ns3.good.example",
        ),
        (Behavior::Lame, "DNS-LAME", "error lame: "),
        (Behavior::Code(5, None), "DNS-LAME", "error refused: "),
        (Behavior::Code(2, None), "DNS-LAME", "error servfail: "),
        // It may be our network that loses the question.
        (Behavior::Silent, "DNS-LAME", "not-known timeout"),
    ] {
        let (first, second) = servers();
        second.behave_generally(behavior);
        let checkup = asked(first.address.port()).await;
        let got = of(&checkup, code);
        assert!(got.iter().any(|line| line.starts_with(want)), "{code} {want}: {got:?}");
        if want.starts_with("not-known") {
            let bad = checkup.health.findings.iter().find(|finding| finding.code.code == code);
            assert!(bad.is_none(), "{bad:?}");
        }
    }
}

/// A network that answers every question to port 53 itself says nothing of the servers asked.
#[tokio::test]
async fn a_resolver_in_the_place_of_all_servers_makes_none_lame() {
    let (first, second) = servers();
    drop(second);
    drop(first);
    let first = DnsServer::start(ZONE);
    // Not authoritative, offers recursion, as a resolver on the way does. The second address does not answer.
    let checkup = asked(first.address.port()).await;
    assert!(checkup.facts.authorities.is_empty(), "{:?}", checkup.facts.authorities);
    assert_eq!(of(&checkup, "DNS-LAME"), ["not-known not-reached"]);
    assert!(!first.log().is_empty());
}

#[tokio::test]
async fn inner_addresses_of_name_servers_are_not_asked() {
    let (first, second) = servers();
    let asker =
        Arc::new(DirectServers { port: first.address.port(), timeout: Duration::from_secs(1), attempts: 1 });
    let authorities = Authorities::new(asker, Reach::Public);
    let resolver = ZoneResolver::parse(ZONE).unwrap();
    let tools = Tools { authorities: Some(&authorities), ..Tools::of(&resolver) };
    let checkup = gather::check(tools, &facts("good.example"), ALLOWANCE).await;
    assert!(checkup.facts.authorities.is_empty());
    assert!(first.log().is_empty() && second.log().is_empty());
}

// ---- Port 25 ----

/// Is met at one address, and silent at all others.
struct MetAt(Option<IpAddr>);

impl MxDialogue for MetAt {
    fn talk<'a>(&'a self, _: &'a Name, address: IpAddr) -> Talking<'a> {
        let outcome = if self.0 == Some(address) {
            let greeting = "mx ESMTP".to_owned();
            Ok(Spoken { greeting, extensions: Vec::new(), tls: StartTls::NotOffered })
        } else {
            Err(DialogueFault::ConnectTimeout(10))
        };
        Box::pin(std::future::ready(Dialogue { outcome }))
    }

    fn verify(&self, _: &Name, _: &[Vec<u8>]) -> Verification {
        Verification::NotChecked
    }
}

/// Many domains, each with an MX host in a network of its own.
fn many(count: usize) -> (ZoneResolver, Vec<Facts>) {
    let mut text = String::new();
    let mut all = Vec::new();
    for at in 0..count {
        let _ = writeln!(
            text,
            "d{at}.example. MX 10 mx.d{at}.example.\nmx.d{at}.example. A 45.{at}.0.1\n\
             _25._tcp.mx.d{at}.example. TLSA 2 1 1 {}",
            "ab".repeat(32)
        );
        all.push(facts(&format!("d{at}.example")));
    }
    (ZoneResolver::parse(&text).unwrap(), all)
}

#[tokio::test]
async fn the_silence_of_all_is_ours_and_the_silence_of_some_is_not_known() {
    for (count, met, blocked, words) in [
        (1, None, 1, "so few cannot tell"),
        (
            5,
            None,
            5,
            "5 addresses of MX hosts in 5 networks, not one took or refused the connection: our own",
        ),
        (60, None, 60, "in 20 networks, not one took or refused the connection: our own port 25 is blocked"),
        // The last one of the run is met: the port is open, and the others are merely not known.
        (5, Some("45.4.0.1"), 0, ""),
    ] {
        let (resolver, all) = many(count);
        let talker = MetAt(met.map(|text| text.parse().unwrap()));
        let exchangers = Exchangers::new(Arc::new(talker), None);
        let tools = Tools { exchangers: Some(&exchangers), ..Tools::of(&resolver) };
        let mut done = Vec::new();
        gather::check_all(tools, all, 1, ALLOWANCE, |checkup| done.push(checkup)).await;
        assert_eq!(done.len(), count);
        let found: Vec<String> = done.iter().flat_map(|checkup| of(checkup, "SMTP-PORT25")).collect();
        let found: Vec<&String> = found.iter().filter(|line| line.starts_with("info")).collect();
        assert_eq!(found.len(), blocked, "{count}: {found:?}");
        assert!(found.iter().all(|line| line.contains(words)), "{count}: {found:?}");
        let mut errors = 0;
        for checkup in &done {
            for code in ["TLS-STARTTLS", "TLS-CERT", "SMTP-REFUSES", "DANE-MATCH", "DANE-TA-CHAIN"] {
                let got = of(checkup, code);
                assert!(!got.is_empty() || met.is_some(), "{code} is not judged");
                errors += got.iter().filter(|line| line.starts_with("error")).count();
                assert!(
                    got.iter().all(|line| line.starts_with("not-known") || met.is_some()),
                    "{code}: {got:?}"
                );
            }
        }
        // The one that is met offers no TLS, which is a finding of its own.
        assert_eq!(errors, usize::from(met.is_some()), "{count}");
    }
}
