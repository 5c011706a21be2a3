use super::*;
use crate::dns::{Cause, Outcome, Question, Security};

const ZONE: &str = r#"
$TTL 1h
$ORIGIN example.test.
@        IN SOA ns1 host\.master ( 2026112501 ; serial
                       2h 15m 4w
                       600 )
         NS  ns1
         NS  ns2.other.test.
         MX  10 mx   ; preferred
         MX  20 mx2.example.test.
         300 IN TXT "v=spf1 mx -all"
ns1  60 A 192.0.2.1
     AAAA 2001:db8::1
mx   IN 120 A 192.0.2.2
a.b.c    TXT ("two " "strings" plain \"q\" "semi;colon" "\065\\B")
www      CNAME web
web      CNAME mx
hang     CNAME nowhere
out      CNAME www.elsewhere.test.
l1       CNAME l2
l2       CNAME l1
self     CNAME self
*.wild   TXT "wild"
x.wild   A 192.0.2.3
*.walias CNAME mx
_25._tcp.mx TLSA 3 1 1 ( aabb
                         ccdd )
@        CAA 128 ISSUE "ca.test"
_smtp._tcp SRV 1 2 25 mx
odd\.label.sub TXT "dot"
gen      TYPE65280 \# 2 0102
         TXT \# 0
child    NS ns.child
ns.child A 192.0.2.53
low      NS ns1
$ORIGIN low.example.test.
@        SOA . . 1 1 1 1 30
deep     A 192.0.2.9
"#;

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

fn zones() -> ZoneResolver {
    ZoneResolver::parse(ZONE).unwrap()
}

fn ask(resolver: &ZoneResolver, text: &str, record_type: RecordType) -> crate::dns::Answer {
    resolver.answer(&Question::new(name(text), record_type))
}

#[test]
fn records_are_read_in_all_their_forms() {
    let resolver = zones();
    let table = [
        ("example.test", RecordType::Mx, "10 mx.example.test. | 20 mx2.example.test."),
        ("example.test", RecordType::Ns, "ns1.example.test. | ns2.other.test."),
        ("example.test", RecordType::Txt, "\"v=spf1 mx -all\""),
        (
            "example.test",
            RecordType::Soa,
            "ns1.example.test. host\\.master.example.test. 2026112501 7200 900 2419200 600",
        ),
        ("example.test", RecordType::Caa, "128 issue \"ca.test\""),
        ("ns1.example.test", RecordType::Aaaa, "2001:db8::1"),
        ("a.b.c.example.test", RecordType::Txt, r#""two " "strings" "plain" "\"q\"" "semi;colon" "A\\B""#),
        ("_25._tcp.mx.example.test", RecordType::Tlsa, "3 1 1 aabbccdd"),
        ("_smtp._tcp.example.test", RecordType::Srv, "1 2 25 mx.example.test."),
        ("gen.example.test", RecordType::Txt, "\\# 0 "),
        ("deep.low.example.test", RecordType::A, "192.0.2.9"),
    ];
    for (owner, record_type, expected) in table {
        let answer = ask(&resolver, owner, record_type);
        let found: Vec<String> = answer.data().iter().map(ToString::to_string).collect();
        assert_eq!(found.join(" | "), expected, "{owner} {record_type}");
    }
    let odd = Name::from_labels([b"odd.label".as_slice(), b"sub", b"example", b"test"]).unwrap();
    assert_eq!(resolver.answer(&Question::new(odd, RecordType::Txt)).data().len(), 1);
}

#[test]
fn times_to_live_are_the_stated_ones() {
    let resolver = zones();
    for (owner, record_type, seconds) in [
        ("example.test", RecordType::Txt, 300),
        ("example.test", RecordType::Mx, 3_600),
        ("ns1.example.test", RecordType::A, 60),
        ("ns1.example.test", RecordType::Aaaa, 3_600),
        ("www.example.test", RecordType::A, 120),
        // Absence: the lesser of the SOA record's own TTL and its last number.
        ("mx.example.test", RecordType::Aaaa, 600),
        ("nowhere.example.test", RecordType::A, 600),
        ("nowhere.low.example.test", RecordType::A, 30),
    ] {
        assert_eq!(ask(&resolver, owner, record_type).ttl, Some(seconds), "{owner} {record_type}");
    }
}

#[test]
fn absence_aliases_and_wildcards() {
    use RecordType::{A, Aaaa, Cname, Ds, Txt};
    let table: [(&str, RecordType, &str, &[&str]); 22] = [
        ("EXAMPLE.test", A, "no type", &[]),
        ("c.example.test", Txt, "no type", &[]),
        ("b.c.example.test", Txt, "no type", &[]),
        ("d.example.test", Txt, "no name", &[]),
        ("x.a.b.c.example.test", Txt, "no name", &[]),
        ("www.example.test", A, "1", &["web.example.test", "mx.example.test"]),
        ("www.example.test", Aaaa, "no type", &["web.example.test", "mx.example.test"]),
        ("www.example.test", Cname, "1", &[]),
        ("hang.example.test", A, "no name", &["nowhere.example.test"]),
        ("out.example.test", A, "refused", &["www.elsewhere.test"]),
        ("l1.example.test", A, "alias-loop", &["l2.example.test", "l1.example.test"]),
        ("self.example.test", A, "alias-loop", &["self.example.test"]),
        ("y.wild.example.test", Txt, "1", &[]),
        ("z.y.wild.example.test", Txt, "1", &[]),
        ("y.wild.example.test", A, "no type", &[]),
        // The name exists, so the wildcard does not stand for it, nor for what is below it (RFC 4592 §2.2.1).
        ("x.wild.example.test", Txt, "no type", &[]),
        ("z.x.wild.example.test", Txt, "no name", &[]),
        ("q.walias.example.test", A, "1", &["mx.example.test"]),
        ("www.child.example.test", A, "lame", &[]),
        ("child.example.test", Ds, "no type", &[]),
        ("low.example.test", Ds, "no type", &[]),
        ("elsewhere.test", A, "refused", &[]),
    ];
    let resolver = zones();
    for (owner, record_type, expected, aliases) in table {
        let answer = ask(&resolver, owner, record_type);
        let outcome = match &answer.outcome {
            Outcome::Records(records) => records.len().to_string(),
            Outcome::NoName => "no name".to_owned(),
            Outcome::NoType => "no type".to_owned(),
            Outcome::NotKnown(trouble) => trouble.cause.as_str().to_owned(),
        };
        let followed: Vec<&str> = answer.aliases.iter().map(Name::as_str).collect();
        assert_eq!((outcome.as_str(), followed.as_slice()), (expected, aliases), "{owner} {record_type}");
    }
}

#[test]
fn a_chain_of_aliases_has_an_end() {
    let chain: Vec<String> =
        (0..30).map(|number| format!("c{number}.test. CNAME c{}.test.\n", number + 1)).collect();
    let chain = chain.concat();
    let resolver = ZoneResolver::parse(&format!("{chain}c30.test. A 192.0.2.1")).unwrap();
    let cause = |owner: &str| ask(&resolver, owner, RecordType::A).trouble().map(|trouble| trouble.cause);
    assert_eq!(cause("c0.test"), Some(Cause::AliasChain));
    assert_eq!(cause("c14.test"), None);
    assert_eq!(cause("c13.test"), Some(Cause::AliasChain));
}

#[test]
fn records_without_a_zone_stand_in_the_whole_name_space() {
    let resolver = ZoneResolver::parse("a.test. TXT x").unwrap();
    assert_eq!(ask(&resolver, "b.test", RecordType::Txt).outcome, Outcome::NoName);
    assert_eq!(ask(&resolver, "b.test", RecordType::Txt).ttl, None);
}

#[test]
fn lines_for_the_resolver_let_questions_fail_and_say_what_dnssec_says() {
    let text = format!(
        "{ZONE}\n;! fail ns1.example.test A servfail\n;! fail web.example.test * timeout\n\
         ;! security example.test secure\n;! security wild.example.test insecure\n\
         ;! security b.c.example.test bogus\n;! server 192.0.2.7 refused\n"
    );
    let resolver = ZoneResolver::parse(&text).unwrap();
    for (owner, record_type, cause, security) in [
        ("ns1.example.test", RecordType::A, Some(Cause::ServerFailure), Security::NotKnown),
        ("ns1.example.test", RecordType::Aaaa, None, Security::Secure),
        ("www.example.test", RecordType::A, Some(Cause::Timeout), Security::NotKnown),
        ("y.wild.example.test", RecordType::Txt, None, Security::Insecure),
        ("a.b.c.example.test", RecordType::Txt, Some(Cause::Bogus), Security::Bogus),
    ] {
        let answer = ask(&resolver, owner, record_type);
        assert_eq!(answer.trouble().map(|trouble| trouble.cause), cause, "{owner} {record_type}");
        assert_eq!(answer.security, security, "{owner} {record_type}");
    }
}

#[tokio::test]
async fn servers_asked_directly_may_differ() {
    use crate::dns::AskServer as _;
    let mut resolver = ZoneResolver::parse(&format!("{ZONE}\n;! server 192.0.2.7 timeout\n")).unwrap();
    let old = ZoneResolver::parse("example.test. SOA . . 7 1 1 1 1").unwrap();
    resolver.serve_at("192.0.2.8".parse().unwrap(), old);
    let question = Question::new(name("example.test"), RecordType::Soa);
    for (server, is_authoritative, serial) in
        [("192.0.2.1", true, Some(2_026_112_501)), ("192.0.2.7", false, None), ("192.0.2.8", true, Some(7))]
    {
        let said = resolver.ask_server(server.parse().unwrap(), &question).await;
        let found = said.answer.data().first().and_then(|data| match data {
            RecordData::Soa(soa) => Some(soa.serial),
            _ => None,
        });
        assert_eq!((said.is_authoritative, found), (is_authoritative, serial), "{server}");
    }
    let elsewhere = Question::new(name("elsewhere.test"), RecordType::Soa);
    assert!(!resolver.ask_server("192.0.2.1".parse().unwrap(), &elsewhere).await.is_authoritative);
}

#[test]
fn faults_name_their_line_and_field() {
    for (text, expected) in [
        ("a.test. A 1.2.3", "line 1, field \"1.2.3\": not an IPv4 address"),
        ("\n\na.test. AAAA x", "line 3, field \"x\": not an IPv6 address"),
        ("a.test. MX ten mx.", "line 1, field \"ten\": not a number that fits"),
        ("a.test. MX 10", "line 1: a name is missing at the end"),
        ("a.test. MX 10 m. n.", "line 1, field \"n.\": one field too many"),
        ("a.test. TXT", "line 1: a string is missing at the end"),
        ("a.test. TXT \"open", "line 1, field \"open\": the quotes are not closed on this line"),
        ("a.test. SOA ( . .\n1 1 1", "line 1, field \"(\": never closed"),
        ("a.test. SOA (( . .", "line 1, field \"(\": a parenthesis within parentheses"),
        ("a.test. TXT )", "line 1, field \")\": a parenthesis that closes nothing"),
        (" A 192.0.2.1", "line 1, field \"A\": no name stands before this line"),
        ("a..test. A 192.0.2.1", "line 1, field \"a..test.\": a label is empty"),
        ("a.test. CAA 0 \"is sue\" x", "line 1, field \"is sue\": not a tag"),
        ("a.test. CAA 0 \"\" x", "line 1: not a tag"),
        ("a.test. WHAT x", "line 1, field \"WHAT\": not a type that is read here"),
        ("a.test.", "line 1: a type is missing at the end"),
        ("$INCLUDE /etc/passwd", "line 1, field \"$INCLUDE\": only $ORIGIN and $TTL are read"),
        ("$TTL soon", "line 1, field \"soon\": not a time to live"),
        ("a.test. TXT \\256", "line 1, field \"\\\\256\": an escape above 255"),
        ("a.test. TXT \\2", "line 1, field \"\\\\2\": a backslash and a digit want two more digits"),
        ("a.test. TLSA 3 1 1 zz", "line 1, field \"zz\": not hexadecimal data"),
        ("a.test. TXT \\# 3 0102", "line 1, field \"3\": the data has 2 octets"),
        ("a.test. TXT x\n;! fail a.test A tired", "line 2, field \"tired\": not a cause of trouble"),
        (";! fail a.test", "line 1: a field is missing at the end"),
        (";! wish a.test", "line 1, field \"wish\": fail, security or server is expected"),
    ] {
        let fault = ZoneResolver::parse(text).err().map(|fault| fault.to_string());
        assert_eq!(fault.as_deref(), Some(expected), "{text}");
    }
    let long = format!("a.test. TXT {}", "x".repeat(256));
    assert!(ZoneResolver::parse(&long).unwrap_err().reason.contains("256 octets"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_fall(text in "[ -~\n\t\u{e9}]{0,300}") {
        let _ = ZoneResolver::parse(&text);
    }

    #[test]
    fn what_is_written_is_read_again(strings in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..255), 1..4)) {
        let data = RecordData::Txt(strings);
        let resolver = ZoneResolver::parse(&format!("a.test. TXT {data}")).unwrap();
        let answer = ask(&resolver, "a.test", RecordType::Txt);
        proptest::prop_assert_eq!(answer.data(), &[data][..]);
    }
}

/// A tree that stands elsewhere: names below it move, its top and what is written below it do not count.
#[test]
fn trees_move() {
    let resolver = ZoneResolver::parse(
        "$ORIGIN t.test.
@ SOA . . 1 60 60 60 60
old 120 DNAME new
old TXT \"top\"
hidden.old TXT \"occluded\"
a.new TXT \"moved\"
chain DNAME old
x DNAME x.x
out DNAME far.test.
long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.test.
",
    )
    .unwrap();
    let cases = [
        ("a.old.t.test", "\"moved\" via a.new.t.test"),
        ("a.chain.t.test", "\"moved\" via a.old.t.test a.new.t.test"),
        ("old.t.test", "\"top\" via "),
        ("hidden.old.t.test", "no-name via hidden.new.t.test"),
        ("a.out.t.test", "refused via a.far.test"),
        ("a.x.t.test", "alias-chain"),
        (
            "eeeeeeeeee.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd.long.t.test",
            "no-name via ",
        ),
    ];
    for (asked, want) in cases {
        let answer = ask(&resolver, asked, RecordType::Txt);
        let word = match &answer.outcome {
            Outcome::Records(records) => records[0].to_string(),
            Outcome::NoName => "no-name".to_owned(),
            Outcome::NoType => "no-type".to_owned(),
            Outcome::NotKnown(trouble) => trouble.cause.as_str().to_owned(),
        };
        let names: Vec<String> = answer.aliases.iter().map(ToString::to_string).collect();
        let got = format!("{word} via {}", names.join(" "));
        assert!(got == want || (word == "alias-chain" && want == word), "{asked}: {got}");
    }
    assert_eq!(ask(&resolver, "a.old.t.test", RecordType::Txt).ttl, Some(120));
    // Asked for the alias, the one that follows is the answer.
    let alias = ask(&resolver, "a.old.t.test", RecordType::Cname);
    assert_eq!(alias.names().collect::<Vec<_>>(), [&name("a.new.t.test")]);
    assert!(ZoneResolver::parse("a.test. DNAME").is_err());
}

#[test]
fn names_with_marks_are_written_as_they_are_read() {
    let text = r#"a\;b\(c\@.test. 60 IN NS \$d\"e\.f\\g\)h\001."#;
    let zones = Zones::parse(&format!("a\\;b\\(c\\@.test. SOA . . 1 1 1 1 1\n{text}")).unwrap();
    let owner = Name::from_labels([b"a;b(c@".as_slice(), b"test"]).unwrap();
    let Found::Records(records) = zones.look(&owner, RecordType::Ns) else { panic!("{text}") };
    let target = Name::from_labels([b"$d\"e.f\\g)h\x01".as_slice()]).unwrap();
    assert_eq!(records, [(60, RecordData::Ns(target))]);
    assert_eq!(format!("{} 60 IN NS {}", RecordData::Ns(owner), records[0].1), text);
}
