//! Bad input: what servers should not send, and do. Each ends in time, as a finding or as not known.

use std::sync::Arc;
use std::time::Duration;

use mailsonde::clock::{self, Timestamp};
use mailsonde::dns::{
    Answer, HickoryResolver, Name, Options, Outcome, Question, RecordType, Resolve as _, ZoneResolver,
};
use mailsonde::dns_health::facts::Facts;
use mailsonde::dns_health::gather::{self, Allowance, Tools};
use mailsonde::dns_health::report::Health;
use mailsonde::limits;

use crate::support::dns::{Behavior, DnsServer, name_octets};

const DNAME: u16 = 39;
const CNAME: u16 = 5;
const TXT: RecordType = RecordType::Txt;

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

/// An answer and the names on the way in one line.
fn line(answer: &Answer) -> String {
    let word = match &answer.outcome {
        Outcome::Records(records) => records.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + "),
        Outcome::NoName => "no name".to_owned(),
        Outcome::NoType => "no type".to_owned(),
        Outcome::NotKnown(trouble) => trouble.cause.as_str().to_owned(),
    };
    let names: Vec<&str> = answer.aliases.iter().map(Name::as_str).collect();
    format!("{word} [{}]", names.join(" "))
}

/// A DNAME record, and the alias that a server makes of it.
fn moved(owner: &str, target: &str, alias: Option<&str>) -> Behavior {
    let mut records = vec![(Some(name(owner)), DNAME, name_octets(&name(target)))];
    records.extend(alias.map(|alias| (None, CNAME, name_octets(&name(alias)))));
    Behavior::Records(records)
}

/// With the alias or without, the tree that moved is followed (RFC 6672); circles and names too long end.
#[tokio::test]
async fn trees_that_moved_are_followed() {
    let server = DnsServer::start("new.test. SOA . . 1 60 60 60 60\na.new.test. TXT moved");
    let behave = |asked: &str, behavior| server.behave(asked, None, behavior);
    behave("a.old.test", moved("old.test", "new.test", Some("a.new.test")));
    behave("a.bare.test", moved("bare.test", "new.test", None));
    behave("a.chain.test", moved("chain.test", "bare.test", None));
    behave("b.old.test", moved("old.test", "new.test", None));
    // Records that are not above the name move nothing.
    behave("a.beside.test", moved("side.test", "new.test", None));
    behave("top.test", moved("top.test", "new.test", None));
    behave("a.loop.test", moved("loop.test", "pool.test", None));
    behave("a.pool.test", moved("pool.test", "loop.test", None));
    behave("abc.long.test", moved("long.test", &["abcdefgh"; 28].join("."), None));
    behave("a.cut.test", Behavior::Records(vec![(Some(name("cut.test")), DNAME, vec![3, b'a'])]));
    // YXDOMAIN: the server found that the name would be too long.
    behave("a.yx.test", Behavior::Code(6, None));
    // The alias that is there holds, also where it is not the one that follows.
    behave("a.lie.test", moved("lie.test", "new.test", Some("a.chain.test")));
    // Each answer leads one label deeper.
    let mut deeper = name("a.deep.test");
    for _ in 0..20 {
        behave(deeper.as_str(), moved("deep.test", "x.deep.test", None));
        deeper = deeper.moved(&name("deep.test"), &name("x.deep.test")).unwrap().unwrap();
    }
    let resolver = server.resolver();
    for (asked, want) in [
        ("a.old.test", "\"moved\" [a.new.test]"),
        ("a.bare.test", "\"moved\" [a.new.test]"),
        ("a.chain.test", "\"moved\" [a.bare.test a.new.test]"),
        ("b.old.test", "no name [b.new.test]"),
        ("a.beside.test", "no type []"),
        ("top.test", "no type []"),
        ("a.loop.test", "alias-loop [a.pool.test a.loop.test]"),
        ("abc.long.test", "malformed []"),
        ("a.cut.test", "malformed []"),
        ("a.yx.test", "error-code []"),
        ("a.lie.test", "\"moved\" [a.chain.test a.bare.test a.new.test]"),
    ] {
        let answer = resolver.resolve(&Question::new(name(asked), TXT)).await;
        assert_eq!(line(&answer), want, "{asked}");
    }
    let answer = resolver.resolve(&Question::new(name("a.deep.test"), TXT)).await;
    assert!(line(&answer).starts_with("alias-chain"), "{}", line(&answer));
    let answer = resolver.resolve(&Question::new(name("a.bare.test"), RecordType::Cname)).await;
    assert_eq!(line(&answer), "a.new.test. []");
}

/// Records of other types and of other names are no answer; octets that are no text stay as they are.
#[tokio::test]
async fn what_was_not_asked_for_is_no_answer() {
    let server = DnsServer::start("t.test. SOA . . 1 60 60 60 60");
    let text = |octets: &[u8]| [&[u8::try_from(octets.len()).unwrap()], octets].concat();
    server.behave("type.t.test", None, Behavior::Records(vec![(None, 1, vec![192, 0, 2, 1])]));
    server.behave("name.t.test", None, Behavior::Records(vec![(Some(name("x.test")), 16, text(b"x"))]));
    server.behave(
        "mixed.t.test",
        None,
        Behavior::Records(vec![
            (None, 1, vec![192, 0, 2, 1]),
            (None, 16, text(b"right")),
            (Some(name("x.test")), 16, text(b"x")),
        ]),
    );
    server.behave("octets.t.test", None, Behavior::Records(vec![(None, 16, text(b"a\xff\xc3\0\x1b\""))]));
    server.behave("short.t.test", None, Behavior::Records(vec![(None, 16, vec![9, b'a'])]));
    server.behave("addr.t.test", None, Behavior::Records(vec![(None, 1, vec![192, 0])]));
    let resolver = server.resolver();
    for (asked, record_type, want) in [
        ("type.t.test", TXT, "no type []"),
        ("name.t.test", TXT, "no type []"),
        ("mixed.t.test", TXT, "\"right\" []"),
        ("octets.t.test", TXT, "\"a\\255\\195\\000\\027\\\"\" []"),
        ("short.t.test", TXT, "malformed []"),
        ("addr.t.test", RecordType::A, "malformed []"),
    ] {
        let answer = resolver.resolve(&Question::new(name(asked), record_type)).await;
        assert_eq!(line(&answer), want, "{asked}");
    }
}

/// A domain that is in order, before a server spoils it.
const DOMAIN: &str = "
$ORIGIN d.test.
$TTL 300
@ SOA ns host 7 7200 3600 1209600 3600
@ NS ns
@ NS ns2
ns A 198.51.7.1
ns2 A 198.50.7.1
@ MX 10 mx
mx A 198.50.1.1
@ TXT \"v=spf1 ip4:198.50.1.1 include:inc.d.test -all\"
inc TXT \"v=spf1 ip4:198.50.1.2 -all\"
_dmarc TXT \"v=DMARC1; p=reject; rua=mailto:d@d.test\"
_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:t@d.test\"
test. SOA a. b. 1 2 3 4 5
";

/// Checks the domain against a server; it must end within its time, whatever comes.
async fn check(server: &DnsServer) -> Health {
    let options = Options { timeout: Duration::from_millis(200), ..server.options() };
    let resolver = HickoryResolver::new(&options).unwrap();
    let facts = Facts::new(name("d.test"), Timestamp::from_seconds(1_790_000_000), "nonce");
    let allowance = Allowance { questions: limits::HEALTH_QUESTIONS, time: Duration::from_secs(20) };
    let began = clock::instant();
    let done = gather::check(Tools::of(&resolver), &facts, allowance).await;
    assert!(done.asked <= limits::HEALTH_QUESTIONS, "{}", done.asked);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    done.health
}

/// True if a code was found.
fn found(health: &Health, code: &str) -> bool {
    health.findings.iter().any(|finding| finding.code.code == code)
}

/// How the checks of a code ended, each once.
fn states(health: &Health, code: &str) -> Vec<&'static str> {
    let mut states: Vec<_> = health
        .checks
        .iter()
        .filter(|check| check.code.code == code)
        .map(|check| check.state.as_str())
        .collect();
    states.sort_unstable();
    states.dedup();
    states
}

#[tokio::test]
async fn a_whole_check_survives_what_servers_send() {
    let server = DnsServer::start(DOMAIN);
    let sound = check(&server).await;
    for code in ["SPF-NONE", "SPF-SYNTAX", "DMARC-NONE", "TLSRPT-NONE"] {
        assert_eq!(states(&sound, code), ["pass"], "{code}");
    }
    let spoil = |asked: &str, behavior| server.behave(asked, Some(16), behavior);
    // Octets that are no text.
    spoil("d.test", Behavior::Records(vec![(None, 16, [&[9_u8][..], b"v=spf1 \xff\xfe"].concat())]));
    spoil(
        "_dmarc.d.test",
        Behavior::Records(vec![(None, 16, [&[14_u8][..], b"v=DMARC1; p=\xff\xfe"].concat())]),
    );
    let health = check(&server).await;
    assert!(found(&health, "SPF-SYNTAX") && found(&health, "DMARC-P-BAD"), "{:?}", health.findings);
    // Records of 60 KB, by TCP alone.
    let long = |head: &str| {
        let mut data = vec![u8::try_from(head.len()).unwrap()];
        data.extend(head.bytes());
        for _ in 0..230 {
            data.push(255);
            data.extend([b'x'; 255]);
        }
        Behavior::Records(vec![(None, 16, data)])
    };
    spoil("d.test", long("v=spf1 ip4:198.50.1.1 -all "));
    spoil("_dmarc.d.test", long("v=DMARC1; p=reject; x="));
    let health = check(&server).await;
    assert!(found(&health, "SPF-SIZE") && states(&health, "DMARC-NONE") == ["pass"], "{:?}", health.findings);
    // Two records of each.
    let two = |one: &str, other: &str| {
        let text = |text: &str| (None, 16, [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
        Behavior::Records(vec![text(one), text(other)])
    };
    spoil("d.test", two("v=spf1 -all", "v=spf1 mx -all"));
    spoil("_dmarc.d.test", two("v=DMARC1; p=none", "v=DMARC1; p=reject"));
    spoil("_smtp._tls.d.test", two("v=TLSRPTv1; rua=mailto:a@d.test", "v=TLSRPTv1; rua=mailto:b@d.test"));
    let health = check(&server).await;
    assert!(found(&health, "SPF-MULTI") && found(&health, "DMARC-MULTI"), "{:?}", health.findings);
    // Circles, chains without end, records of another type, truncation that never ends, garbage, silence, lateness.
    let chain: Vec<String> = (0..40).map(|at| format!("c{at}.d.test. CNAME c{}.d.test.\n", at + 1)).collect();
    let chain = chain.concat();
    let zone = |lines: &str| Behavior::Other(Arc::new(ZoneResolver::parse(lines).unwrap()));
    for (what, behavior) in [
        (
            "loop",
            zone("d.test. CNAME e.d.test.\ne.d.test. CNAME d.test.\n_dmarc.d.test. CNAME _dmarc.d.test."),
        ),
        ("chain", zone(&format!("d.test. CNAME c0.d.test.\n_dmarc.d.test. CNAME c0.d.test.\n{chain}"))),
        ("moved", moved("test", "test.test", None)),
        ("truncated", Behavior::TruncatedOnly),
        ("malformed", Behavior::Malformed),
        ("silent", Behavior::Silent),
        ("late", Behavior::Slow(Duration::from_secs(2))),
        ("servfail", Behavior::Code(2, None)),
        ("lame", Behavior::Lame),
    ] {
        spoil("d.test", behavior.clone());
        spoil("_dmarc.d.test", behavior);
        let health = check(&server).await;
        for code in ["SPF-NONE", "DMARC-NONE"] {
            assert_eq!(states(&health, code), ["not-known"], "{what}: {code}");
        }
    }
    // Another type is no record.
    spoil("d.test", Behavior::Records(vec![(None, 1, vec![198, 50, 1, 1])]));
    spoil("_dmarc.d.test", Behavior::Records(vec![(None, 99, vec![1, b'x'])]));
    let health = check(&server).await;
    assert!(found(&health, "SPF-NONE") && found(&health, "DMARC-NONE"), "{:?}", health.findings);
    // Another answer each time: one of them counts, for the whole check.
    let turns = Behavior::InTurn(vec![
        zone("d.test. TXT \"v=spf1 ip4:198.50.1.1 -all\""),
        zone("d.test. TXT \"v=spf1 +all\""),
        Behavior::Code(2, None),
        zone("d.test. TXT \"something else\""),
    ]);
    spoil("d.test", turns);
    for open in [false, true] {
        let health = check(&server).await;
        assert_eq!((found(&health, "SPF-ALL-PASS"), found(&health, "SPF-NONE")), (open, false));
    }
    let health = check(&server).await;
    assert_eq!(states(&health, "SPF-NONE"), ["not-known"]);
}
