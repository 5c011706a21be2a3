use super::*;
use crate::dns::ZoneResolver;

const ZONE: &str = "\
. SOA ns.test. h.test. 1 60 60 60 60
one.example.        MX 10 mx.one.example.
mx.one.example.     A 192.0.2.1
mx.one.example.     A 192.0.2.2
mx.one.example.     AAAA 2001:db8::1
many.example.       MX 20 c.many.example.
many.example.       MX 10 a.many.example.
many.example.       MX 10 b.many.example.
many.example.       MX 30 gone.many.example.
a.many.example.     A 192.0.2.1
b.many.example.     A 192.0.2.2
c.many.example.     A 192.0.2.3
null.example.       MX 0 .
null.example.       A 192.0.2.9
odd-null.example.   MX 0 .
odd-null.example.   MX 10 mx.one.example.
plain.example.      A 192.0.2.4
plain.example.      AAAA 2001:db8::4
empty.example.      TXT \"x\"
dangling.example.   MX 10 gone.dangling.example.
dangling.example.   A 192.0.2.9
nodata.example.     MX 10 empty.example.
alias.example.      CNAME one.example.
alias-plain.example. CNAME plain.example.
via.example.        MX 10 mx-alias.example.
mx-alias.example.   CNAME mx.one.example.
loop.example.       MX 10 loop1.example.
loop1.example.      CNAME loop2.example.
loop2.example.      CNAME loop1.example.
silent.example.     MX 10 mx.silent.example.
silent.example.     A 192.0.2.9
;! fail silent.example. MX servfail
half.example.       MX 10 mx.half.example.
half.example.       MX 20 mx.one.example.
;! fail mx.half.example. * timeout
lost.example.       MX 10 mx.half.example.
literal.example.    MX 10 192.0.2.1.
";

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

/// Judges a wish, answered from a zone.
fn route(zone: &str, wish: &Wish<'_>) -> Result<Route, Fault> {
    let zone = ZoneResolver::parse(zone).unwrap();
    let mut answers = Answers::new();
    for _ in 0..9 {
        match judge(wish, &answers) {
            Ok(done) => return done,
            Err(ask) => ask.questions.into_iter().for_each(|question| {
                assert!(answers.find(&question).is_none(), "asked again: {question}");
                let answer = zone.answer(&question);
                answers.put(question, answer);
            }),
        }
    }
    panic!("it asks without end");
}

fn wish(domain: &Name) -> Wish<'_> {
    Wish { domain, seed: 7, own_names: &[], own_addresses: &[], with_dane: false }
}

/// A route in words: hosts in order, with their addresses or why there are none.
fn told(route: Result<Route, Fault>) -> String {
    let route = match route {
        Ok(route) => route,
        Err(fault) => return fault.to_string(),
    };
    let host = |host: &MxHost| {
        let addresses = match &host.addresses {
            Ok(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Err(NoAddress::Absent(why)) => (*why).to_owned(),
            Err(NoAddress::NotKnown(why)) => format!("? {}", why.split(' ').next().unwrap()),
        };
        format!("{} {}={addresses}", host.preference, host.name)
    };
    route.hosts.iter().map(host).collect::<Vec<_>>().join("; ")
}

#[test]
fn who_takes_the_mail_of_a_domain() {
    for (domain, want) in [
        ("one.example", "10 mx.one.example=2001:db8::1,192.0.2.1,192.0.2.2"),
        ("plain.example", "0 plain.example=2001:db8::4,192.0.2.4"),
        ("null.example", "null MX: null.example takes no mail"),
        ("odd-null.example", "10 mx.one.example=2001:db8::1,192.0.2.1,192.0.2.2"),
        ("no.such.example", "no such domain: no.such.example"),
        ("empty.example", "neither MX record nor address: empty.example: neither A nor AAAA"),
        // An MX record that leads nowhere is no lack of MX records.
        ("dangling.example", "MX target has no address: gone.dangling.example: no such name"),
        ("nodata.example", "MX target has no address: empty.example: neither A nor AAAA"),
        ("literal.example", "MX target has no address: 192.0.2.1: no such name"),
        ("alias.example", "10 mx.one.example=2001:db8::1,192.0.2.1,192.0.2.2"),
        ("alias-plain.example", "0 alias-plain.example=2001:db8::4,192.0.2.4"),
        ("via.example", "10 mx-alias.example=2001:db8::1,192.0.2.1,192.0.2.2"),
        // Not known is never absent: no address is asked for instead.
        (
            "silent.example",
            "not known who takes the mail: MX of silent.example: servfail silent.example fails as its zone file says",
        ),
        ("half.example", "10 mx.half.example=? timeout; 20 mx.one.example=2001:db8::1,192.0.2.1,192.0.2.2"),
        (
            "lost.example",
            "not known who takes the mail: mx.half.example: timeout mx.half.example fails as its zone file says",
        ),
        (
            "loop.example",
            "not known who takes the mail: loop1.example: alias-loop loop2.example leads back to loop1.example",
        ),
    ] {
        assert_eq!(told(route(ZONE, &wish(&name(domain)))), want, "{domain}");
    }
}

#[test]
fn equals_take_turns_by_chance_and_no_others_do() {
    let domain = name("many.example");
    let mut firsts = std::collections::BTreeMap::new();
    for seed in 0..200 {
        let route = route(ZONE, &Wish { seed, ..wish(&domain) }).unwrap();
        let order: Vec<&str> = route.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(&order[2..], ["c.many.example", "gone.many.example"], "{seed}");
        *firsts.entry(order[0].to_owned()).or_insert(0) += 1;
    }
    assert!(firsts.len() == 2 && firsts.values().all(|count| (60..=140).contains(count)), "{firsts:?}");
}

#[test]
fn this_host_among_them_leaves_those_preferred_to_it() {
    let domain = name("many.example");
    for (names, addresses, want, left) in [
        (vec!["c.many.example"], vec![], vec!["a.many.example", "b.many.example"], 2),
        (vec![], vec!["192.0.2.3"], vec!["a.many.example", "b.many.example"], 2),
        (
            vec!["other.example"],
            vec!["192.0.2.99"],
            vec!["a.many.example", "b.many.example", "c.many.example", "gone.many.example"],
            0,
        ),
    ] {
        let own_names: Vec<Name> = names.iter().map(|text| name(text)).collect();
        let own_addresses: Vec<IpAddr> = addresses.iter().map(|text: &&str| text.parse().unwrap()).collect();
        let wish = Wish { own_names: &own_names, own_addresses: &own_addresses, ..wish(&domain) };
        let route = route(ZONE, &wish).unwrap();
        let mut hosts: Vec<&str> = route.hosts.iter().map(|host| host.name.as_str()).collect();
        hosts.sort_unstable();
        assert_eq!((hosts, route.left_out.len()), (want, left), "{names:?} {addresses:?}");
    }
    // Of the most preferred: nothing is left, not even its equal.
    let own = [name("b.many.example")];
    let fault = route(ZONE, &Wish { own_names: &own, ..wish(&domain) }).unwrap_err();
    assert_eq!(fault, Fault::Loop("many.example".to_owned()));
    let plain = name("plain.example");
    let fault = route(ZONE, &Wish { own_addresses: &["192.0.2.4".parse().unwrap()], ..wish(&plain) });
    assert_eq!(fault, Err(Fault::Loop("plain.example".to_owned())));
}

const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn what_dane_asks_of_a_host() {
    let zone = format!(
        "{ZONE}
;! security . insecure
;! security signed.example. secure
;! security plain-signed.example. secure
;! security tlsa-only.example. secure
;! security blind.example. not-known
signed.example.                 MX 10 mx.signed.example.
mx.signed.example.              A 192.0.2.1
_25._tcp.mx.signed.example.     TLSA 3 1 1 {HASH}
_25._tcp.mx.signed.example.     TLSA 1 1 1 {HASH}
none.signed.example.            MX 10 free.signed.example.
free.signed.example.            A 192.0.2.1
useless.signed.example.         MX 10 pkix.signed.example.
pkix.signed.example.            A 192.0.2.1
_25._tcp.pkix.signed.example.   TLSA 1 1 1 {HASH}
broken.signed.example.          MX 10 mxb.signed.example.
mxb.signed.example.             A 192.0.2.1
;! fail _25._tcp.mxb.signed.example. TLSA servfail
elsewhere.signed.example.       MX 10 mx.unsigned.example.
mx.unsigned.example.            A 192.0.2.1
_25._tcp.mx.unsigned.example.   TLSA 3 1 1 {HASH}
unsigned.example.               MX 10 mx.signed.example.
blind.example.                  MX 10 mx.signed.example.
half-blind.signed.example.      MX 10 mx.blind.example.
mx.blind.example.               A 192.0.2.1
alias.signed.example.           MX 10 mx2.signed.example.
mx2.signed.example.             CNAME mx.signed.example.
bare-alias.signed.example.      MX 10 mx3.signed.example.
mx3.signed.example.             CNAME free.signed.example.
_25._tcp.mx3.signed.example.    TLSA 3 1 1 {HASH}
out.signed.example.             MX 10 mx4.signed.example.
mx4.signed.example.             CNAME mx.unsigned.example.
_25._tcp.mx4.signed.example.    TLSA 2 0 1 {HASH}
plain-signed.example.           A 192.0.2.1
_25._tcp.plain-signed.example.  TLSA 3 1 1 {HASH}
"
    );
    let told = |dane: &Dane| match dane {
        Dane::NotAsked => "not asked".to_owned(),
        Dane::NotKnown(why) => format!("not known: {why}"),
        Dane::None(why) => format!("none: {why}"),
        Dane::Broken(why) => format!("broken: {why:.40}"),
        Dane::Records { base, names, usable } => {
            let names: Vec<&str> = names.iter().map(Name::as_str).collect();
            format!("{} at {base} for {}", usable.len(), names.join(" "))
        }
    };
    for (domain, want) in [
        ("signed.example", "1 at mx.signed.example for mx.signed.example signed.example"),
        ("none.signed.example", "none: no TLSA record"),
        ("useless.signed.example", "0 at pkix.signed.example for pkix.signed.example useless.signed.example"),
        ("broken.signed.example", "broken: TLSA of _25._tcp.mxb.signed.example: ser"),
        ("elsewhere.signed.example", "none: the addresses of the host are not signed"),
        ("unsigned.example", "none: the MX records are not signed"),
        // Not known is not "no DANE".
        ("blind.example", "not known: whether the MX records are signed is not known"),
        ("half-blind.signed.example", "not known: whether the addresses of the host are signed is not known"),
        (
            "alias.signed.example",
            "1 at mx.signed.example for mx.signed.example mx2.signed.example alias.signed.example",
        ),
        (
            "bare-alias.signed.example",
            "1 at mx3.signed.example for mx3.signed.example bare-alias.signed.example",
        ),
        ("plain-signed.example", "1 at plain-signed.example for plain-signed.example"),
    ] {
        let route = route(&zone, &Wish { with_dane: true, ..wish(&name(domain)) }).unwrap();
        assert_eq!(told(&route.hosts[0].dane), want, "{domain}");
    }
    let blind = route(&zone, &wish(&name("signed.example"))).unwrap();
    assert_eq!(blind.hosts[0].dane, Dane::NotAsked);
}

/// However many records there are, and whatever they say: each host once, by preference, none that is not preferred to
/// this host, and never more than the cap; DNS that fails never gives a way.
#[test]
fn any_records_give_a_way_that_keeps_the_rules() {
    use proptest::prelude::*;

    let record = (0u16..4, 0usize..40);
    let case = (proptest::collection::vec(record, 0..120), any::<u64>(), 0usize..40, any::<bool>());
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&case, |(records, seed, own, has_null)| {
            let mut zone = String::from(". SOA ns.test. h.test. 1 60 60 60 60\nd.example. TXT \"x\"\n");
            for at in 0..30 {
                let _ = std::fmt::Write::write_fmt(
                    &mut zone,
                    format_args!("h{at}.example. A 192.0.2.{at}\nh{at}.example. AAAA 2001:db8::{at}\n"),
                );
            }
            // Hosts from 30 on have no address.
            for (preference, host) in &records {
                let line = format!("d.example. MX {preference} h{host}.example.\n");
                zone.push_str(&line);
            }
            if has_null {
                zone.push_str("d.example. MX 0 .\n");
            }
            let (domain, own) = (name("d.example"), [name(&format!("h{own}.example"))]);
            match route(&zone, &Wish { seed, own_names: &own, with_dane: true, ..wish(&domain) }) {
                Ok(route) => {
                    prop_assert!(route.hosts.len() <= limits::DIRECT_HOSTS);
                    prop_assert!(route.hosts.is_sorted_by_key(|host| host.preference));
                    let mut names: Vec<&Name> = route.hosts.iter().map(|host| &host.name).collect();
                    names.sort_unstable();
                    names.dedup();
                    prop_assert_eq!(names.len(), route.hosts.len());
                    prop_assert!(!names.contains(&&own[0]));
                    let worst = route.hosts.last().map_or(0, |host| host.preference);
                    prop_assert!(route.left_out.iter().all(|(_, preference)| *preference > worst));
                    prop_assert!(!records.is_empty());
                }
                Err(Fault::NullMx(_)) => prop_assert!(has_null && records.is_empty()),
                Err(Fault::NoRoute(_)) => prop_assert!(!has_null || !records.is_empty()),
                Err(Fault::Loop(_)) => prop_assert!(!records.is_empty()),
                Err(other) => prop_assert!(false, "{other}"),
            }
            Ok(())
        })
        .unwrap();
}
