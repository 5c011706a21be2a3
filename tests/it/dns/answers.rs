//! One server, one question, one answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mailsonde::dns::{
    Answer, AskServer as _, CacheSize, Cached, Cause, DirectServers, HickoryResolver, Name, Options, Outcome,
    Question, RecordData, RecordType, Resolve as _, ResolverError, Security, Servers, TlsOptions,
    ZoneResolver,
};
use mailsonde::tls_client::Verify;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::dns::{Behavior, DnsServer};

const ZONE: &str = "
$ORIGIN example.test.
$TTL 300
@       SOA ns1 host 7 3600 600 86400 60
        NS ns1
        MX 10 mx1
        MX 10 mx2
        MX 5 mx0
        TXT \"v=spf1 -all\"
        CAA 0 issue \"ca.test\"
        SPF \"v=spf1 -all\"
ns1     A 192.0.2.1
mx0     A 192.0.2.2
mx0     AAAA 2001:db8::2
_25._tcp.mx0 TLSA 3 1 1 00ff
_s._tcp SRV 1 2 3 mx0
www     120 CNAME web
web     CNAME mx0
hang    CNAME nowhere
half    CNAME ns1
l1      CNAME l2
l2      CNAME l3
l3      CNAME l1
2.2.0.192.in-addr.arpa. PTR mx0
";

const A: RecordType = RecordType::A;
const TXT: RecordType = RecordType::Txt;

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

fn question(text: &str, record_type: RecordType) -> Question {
    Question::new(name(text), record_type)
}

/// An answer in one word.
fn word(answer: &Answer) -> String {
    match &answer.outcome {
        Outcome::Records(records) => format!("{} records", records.len()),
        Outcome::NoName => "no name".to_owned(),
        Outcome::NoType => "no type".to_owned(),
        Outcome::NotKnown(trouble) => trouble.cause.as_str().to_owned(),
    }
}

/// The names and types asked, with `+tcp`.
fn asked(server: &DnsServer) -> Vec<String> {
    let log = server.log();
    log.iter().map(|asked| format!("{}{}", asked.line(), if asked.over_tcp { " tcp" } else { "" })).collect()
}

/// Options of little patience, for servers that stay silent.
fn impatient(server: &DnsServer) -> Options {
    Options { timeout: Duration::from_millis(150), ..server.options() }
}

#[tokio::test]
async fn every_type_and_the_zone_say_the_same() {
    let server = DnsServer::start(ZONE);
    let zone = ZoneResolver::parse(ZONE).unwrap();
    for follows in [true, false] {
        if !follows {
            server.do_not_follow_aliases();
        }
        let resolver = server.resolver();
        for (owner, record_type) in [
            ("example.test", RecordType::Soa),
            ("example.test", RecordType::Ns),
            ("example.test", RecordType::Mx),
            ("example.test", RecordType::Txt),
            ("example.test", RecordType::Spf),
            ("example.test", RecordType::Caa),
            ("example.test", RecordType::A),
            ("EXAMPLE.test", RecordType::Aaaa),
            ("mx0.example.test", RecordType::A),
            ("mx0.example.test", RecordType::Aaaa),
            ("_25._tcp.mx0.example.test", RecordType::Tlsa),
            ("_s._tcp.example.test", RecordType::Srv),
            ("www.example.test", RecordType::A),
            ("www.example.test", RecordType::Aaaa),
            ("www.example.test", RecordType::Cname),
            ("www.example.test", RecordType::Txt),
            ("half.example.test", RecordType::Mx),
            ("hang.example.test", RecordType::A),
            ("nowhere.example.test", RecordType::A),
            ("_tcp.mx0.example.test", RecordType::A),
            ("2.2.0.192.in-addr.arpa", RecordType::Ptr),
        ] {
            let question = question(owner, record_type);
            let (mut from_server, mut from_zone) =
                (resolver.resolve(&question).await, zone.answer(&question));
            for answer in [&mut from_server, &mut from_zone] {
                if let Outcome::Records(records) = &mut answer.outcome {
                    records.sort();
                }
            }
            assert_eq!(from_server, from_zone, "{question}, follows {follows}");
        }
    }
}

#[tokio::test]
async fn trouble_is_told_from_absence() {
    let chain: Vec<String> = (0..40).map(|at| format!("c{at} CNAME c{}\n", at + 1)).collect();
    let chain = chain.concat();
    let zone = format!("{ZONE}\n$ORIGIN example.test.\n{chain}\nc40 A 192.0.2.9\n");
    let server = DnsServer::start(&zone);
    let behave = |name: &str, behavior| server.behave(&format!("{name}.example.test"), None, behavior);
    behave("servfail", Behavior::Code(2, None));
    behave("dnssec", Behavior::Code(2, Some((7, "signature of 2024 in the zone\0"))));
    behave("refused", Behavior::Code(5, Some((18, ""))));
    behave("notimp", Behavior::Code(4, None));
    behave("notauth", Behavior::Code(9, Some((200, "new reason"))));
    behave("silent", Behavior::Silent);
    behave("lame", Behavior::Lame);
    behave("malformed", Behavior::Malformed);
    behave("empty", Behavior::EmptyText);
    behave("stuck", Behavior::TruncatedOnly);
    behave("bare", Behavior::Bare);
    let resolver = HickoryResolver::new(&impatient(&server)).unwrap();
    for (owner, expected, detail) in [
        ("servfail", "servfail", "SERVFAIL"),
        ("dnssec", "servfail", "signature expired (extended error 7): signature of 2024 in the zone"),
        ("refused", "refused", "REFUSED; prohibited (extended error 18)"),
        ("notimp", "error-code", "NOTIMP"),
        ("notauth", "error-code", "NOTAUTH; extended error 200: new reason"),
        ("silent", "timeout", "did not answer in time"),
        ("lame", "lame", "refers to the name servers of ."),
        ("malformed", "malformed", "cannot be read"),
        ("empty", "malformed", "cannot be read"),
        ("stuck", "unreachable", "does not fit into UDP"),
        ("bare", "no type", ""),
        ("l1", "alias-loop", "l3.example.test leads back to l1.example.test"),
        ("c0", "alias-chain", "more than 16 aliases"),
        ("hang", "no name", ""),
        ("nowhere", "no name", ""),
        ("mx1", "no name", ""),
    ] {
        for follows in [true, false] {
            if !follows {
                server.do_not_follow_aliases();
            }
            let answer = resolver.resolve(&question(&format!("{owner}.example.test"), TXT)).await;
            let said = answer.trouble().map(|trouble| trouble.detail.as_str()).unwrap_or_default();
            assert_eq!(word(&answer), expected, "{owner}: {answer:?}");
            assert!(said.contains(detail), "{owner}: {said}");
            assert_eq!(answer.security, Security::NotKnown);
        }
    }
    let found = |answer: Answer| answer.aliases.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let answer = resolver.resolve(&question("l1.example.test", A)).await;
    assert_eq!(found(answer), "l2.example.test l3.example.test l1.example.test");
    let answer = resolver.resolve(&question("hang.example.test", A)).await;
    assert_eq!(found(answer), "nowhere.example.test");
    let answer = resolver.resolve(&question("c30.example.test", A)).await;
    assert_eq!((word(&answer).as_str(), answer.aliases.len()), ("1 records", 10));
}

#[tokio::test]
async fn nothing_listens() {
    let address = DnsServer::start(ZONE).address;
    let options = Options { servers: Servers::Listed(vec![address]), ..DnsServer::start(ZONE).options() };
    let answer = HickoryResolver::new(&options).unwrap().resolve(&question("example.test", TXT)).await;
    assert_eq!(word(&answer), "unreachable", "{answer:?}");
}

#[tokio::test]
async fn questions_are_asked_as_often_as_needed() {
    let server = DnsServer::start(ZONE);
    server.behave("big.example.test", None, Behavior::Truncated);
    server.behave("old.example.test", None, Behavior::NoEdns);
    server.behave("silent.example.test", None, Behavior::Silent);
    server.behave("broken.example.test", None, Behavior::Code(2, None));
    server.behave("spoofed.example.test", None, Behavior::Spoofed);
    server.behave("late.example.test", None, Behavior::InTurn(vec![Behavior::Silent, Behavior::Zone]));
    let records: String = ["big", "old", "spoofed", "late"].map(|name| format!("{name} TXT ok\n")).concat();
    server.publish(&format!("{ZONE}\n$ORIGIN example.test.\n{records}"));
    let resolver = HickoryResolver::new(&Options { attempts: 2, ..impatient(&server) }).unwrap();
    for (owner, expected, queries) in [
        ("example.test", "1 records", vec![""]),
        ("big.example.test", "1 records", vec!["", " tcp"]),
        ("old.example.test", "1 records", vec!["", ""]),
        ("spoofed.example.test", "1 records", vec![""]),
        ("late.example.test", "1 records", vec!["", ""]),
        ("silent.example.test", "timeout", vec!["", ""]),
        ("broken.example.test", "servfail", vec![""]),
    ] {
        server.clear_log();
        assert_eq!(word(&resolver.resolve(&question(owner, TXT)).await), expected, "{owner}");
        let lines: Vec<String> = queries.iter().map(|transport| format!("{owner} 16{transport}")).collect();
        assert_eq!(asked(&server), lines);
        assert!(server.log().iter().all(|asked| asked.wants_recursion));
    }
    // Aliases that the server does not follow are followed by us, in order.
    server.do_not_follow_aliases();
    server.clear_log();
    resolver.resolve(&question("www.example.test", A)).await;
    assert_eq!(asked(&server), ["www.example.test 1", "web.example.test 1", "mx0.example.test 1"]);
}

#[tokio::test]
async fn the_next_server_is_asked_and_preferred() {
    let (dead, live) = (DnsServer::start(ZONE), DnsServer::start(ZONE));
    for (behavior, expected) in [
        (Behavior::Silent, "1 records"),
        (Behavior::Code(2, None), "1 records"),
        (Behavior::Code(5, None), "1 records"),
        (Behavior::Malformed, "1 records"),
    ] {
        dead.behave_generally(behavior);
        let servers = Servers::Listed(vec![dead.address, live.address]);
        let resolver = HickoryResolver::new(&Options { servers, ..impatient(&dead) }).unwrap();
        dead.clear_log();
        for _ in 0..3 {
            assert_eq!(word(&resolver.resolve(&question("example.test", TXT)).await), expected);
        }
        assert_eq!(dead.log().len(), 1, "asked first once, then the one that answers");
    }
    // The most telling trouble is reported.
    live.behave_generally(Behavior::Silent);
    dead.behave_generally(Behavior::Code(2, Some((22, "all authorities"))));
    let servers = Servers::Listed(vec![live.address, dead.address]);
    let resolver = HickoryResolver::new(&Options { servers, attempts: 2, ..impatient(&dead) }).unwrap();
    let answer = resolver.resolve(&question("example.test", TXT)).await;
    assert!(answer.trouble().unwrap().detail.contains("no reachable authority"), "{answer:?}");
}

#[tokio::test]
async fn records_of_any_size_come_whole_and_in_any_order() {
    let long = format!(
        "long TXT {}\nedge TXT \"{}\" \"\"\n",
        "\"x23456789012345678901234567890123456789\" ".repeat(1_400),
        "y".repeat(255)
    );
    let server = DnsServer::start(&format!("{ZONE}\n$ORIGIN example.test.\n{long}"));
    server.rotate();
    let resolver = server.resolver();
    let answer = resolver.resolve(&question("long.example.test", TXT)).await;
    assert_eq!(answer.texts().next().map(|text| text.len()), Some(1_400 * 39), "a record of 56 KB");
    let answer = resolver.resolve(&question("edge.example.test", TXT)).await;
    assert_eq!(answer.data(), [RecordData::Txt(vec![vec![b'y'; 255], Vec::new()])]);
    for _ in 0..4 {
        let answer = resolver.resolve(&question("example.test", RecordType::Mx)).await;
        let order: Vec<&str> = answer.exchangers().iter().map(|mx| mx.exchange.as_str()).collect();
        assert_eq!(order, ["mx0.example.test", "mx1.example.test", "mx2.example.test"]);
    }
}

#[tokio::test]
async fn odd_names_are_asked_as_they_are() {
    let odd: [&[u8]; 5] = [b"foo:bar/baz", b"a b%", b"dot.in", "\u{e9}\0".as_bytes(), b"test"];
    let owner = Name::from_labels(odd).unwrap();
    let server = DnsServer::start(&format!("{owner}. TXT odd"));
    let answer = server.resolver().resolve(&Question::new(owner.clone(), TXT)).await;
    assert_eq!(answer.texts().next().as_deref(), Some(b"odd".as_slice()));
    assert_eq!(server.log()[0].name, owner);
    // A single label gets no search domain.
    let answer = server.resolver().resolve(&question("localhost", TXT)).await;
    assert_eq!((word(&answer).as_str(), server.log()[1].line().as_str()), ("no name", "localhost 16"));
}

#[tokio::test]
async fn answers_that_change_are_seen_and_remembered_ones_are_not() {
    let server = DnsServer::start(ZONE);
    let other = |text: &str| Behavior::Other(Arc::new(ZoneResolver::parse(text).unwrap()));
    server.behave(
        "example.test",
        None,
        Behavior::InTurn(vec![
            other("example.test. 60 TXT one"),
            other("example.test. 60 TXT two"),
            Behavior::Code(2, None),
        ]),
    );
    let question = question("example.test", TXT);
    let resolver = server.resolver();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = resolver.resolve(&question).await;
        seen.push(answer.texts().next());
    }
    assert_eq!(seen, [Some(b"one".to_vec()), Some(b"two".to_vec()), None]);
    server.clear_log();
    let cached = Cached::new(resolver, CacheSize { answers: 100, bytes: 100_000 });
    let answers = futures_util::future::join_all((0..20).map(|_| cached.resolve(&question))).await;
    assert_eq!((answers.len(), server.log().len()), (20, 1));
    cached.clear();
    cached.resolve(&question).await;
    assert_eq!(server.log().len(), 2);
}

#[tokio::test]
async fn questions_under_way_are_bounded() {
    let server = DnsServer::start(ZONE);
    server.behave_generally(Behavior::Silent);
    let options = Options { in_flight: 3, timeout: Duration::from_secs(60), ..server.options() };
    let resolver = HickoryResolver::new(&options).unwrap();
    let names: Vec<Question> = (0..20).map(|at| question(&format!("n{at}.test"), A)).collect();
    let mut all = futures_util::future::join_all(names.iter().map(|question| resolver.resolve(question)));
    while server.log().len() < 3 {
        assert!(futures_util::poll!(&mut all).is_pending());
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        assert!(futures_util::poll!(&mut all).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(server.log().len(), 3, "the others wait for a place");
}

#[tokio::test]
async fn authorities_are_asked_one_by_one() {
    let first = DnsServer::start(ZONE);
    first.be_authority();
    let beside = SocketAddr::new("127.0.0.2".parse().unwrap(), first.address.port());
    let second = DnsServer::start_at(&ZONE.replace(" 7 3600", " 6 3600"), beside);
    let servers = DirectServers { port: first.address.port(), timeout: Duration::from_secs(5), attempts: 1 };
    let question = question("example.test", RecordType::Soa);
    for (server, serial, is_authoritative) in [(&first, 7, true), (&second, 6, false)] {
        let said = servers.ask_server(server.address.ip(), &question).await;
        let RecordData::Soa(soa) = &said.answer.data()[0] else { panic!("{said:?}") };
        assert_eq!((soa.serial, said.is_authoritative), (serial, is_authoritative));
        assert_eq!(said.offers_recursion, !is_authoritative);
        assert!(!server.log()[0].wants_recursion);
    }
    first.behave("example.test", Some(6), Behavior::Lame);
    let said = servers.ask_server(first.address.ip(), &question).await;
    assert_eq!(said.answer.trouble().map(|trouble| trouble.cause), Some(Cause::Lame));
    first.do_not_follow_aliases();
    let said = servers.ask_server(first.address.ip(), &Question::new(name("www.example.test"), A)).await;
    assert_eq!((word(&said.answer).as_str(), said.answer.aliases.len()), ("lame", 1));
    assert_eq!(first.log().len(), 3, "aliases are not followed for a single server");
}

#[tokio::test]
async fn dns_over_tls_verifies_the_name_and_keeps_the_connection() {
    let made = rcgen::generate_simple_self_signed(vec!["dns.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(made.cert.der().to_vec())], key)
            .unwrap();
    let server = DnsServer::start_tls(ZONE, Arc::new(config));
    let roots: Arc<[u8]> = made.cert.pem().into_bytes().into();
    let tls = |name: &str| TlsOptions { name: name.to_owned(), verify: Verify::Roots(Arc::clone(&roots)) };
    let resolver = HickoryResolver::new(&server.options_tls(tls("dns.test"))).unwrap();
    for _ in 0..3 {
        assert_eq!(word(&resolver.resolve(&question("example.test", RecordType::Mx)).await), "3 records");
    }
    assert!(server.log().iter().all(|asked| asked.over_tcp));
    assert_eq!(server.connections(), 1, "one connection for all");
    let wrong = HickoryResolver::new(&server.options_tls(tls("other.test"))).unwrap();
    let answer = wrong.resolve(&question("example.test", RecordType::Mx)).await;
    assert_eq!(word(&answer), "unreachable", "{answer:?}");
    assert!(matches!(
        HickoryResolver::new(&server.options_tls(tls("not a name"))),
        Err(ResolverError::Tls(_))
    ));
}

#[test]
fn what_cannot_resolve_is_refused_at_once() {
    let options = DnsServer::start(ZONE).options();
    let none = Options { servers: Servers::Listed(Vec::new()), ..options.clone() };
    assert!(matches!(HickoryResolver::new(&none), Err(ResolverError::NoServer)));
    let anchors = Options { dnssec: mailsonde::dns::Dnssec::Anchors("; nothing".to_owned()), ..options };
    assert!(matches!(HickoryResolver::new(&anchors), Err(ResolverError::Anchors(_))));
}
