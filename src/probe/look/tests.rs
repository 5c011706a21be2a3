use super::*;
use crate::dns::{Answer, Cause, RecordData};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const KEY: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const OTHER_KEY: &str = "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

/// What a zone says: name, type and data; `!` as data: nobody could say.
type Zone<'z> = &'z [(&'z str, RecordType, &'z str)];

/// Looks with the answers of a zone; every other name does not exist.
fn looked(subject: &Subject, zone: Zone<'_>) -> Vec<Finding> {
    let mut answers = Answers::new();
    loop {
        let ask = match look(subject, &answers, NOW) {
            Ok(findings) => return findings,
            Err(ask) => ask,
        };
        for question in ask.questions {
            let of_it: Vec<&str> = zone
                .iter()
                .filter(|(owner, kind, _)| name(owner) == question.name && *kind == question.record_type)
                .map(|(_, _, data)| *data)
                .collect();
            let data = |text: &&str| match question.record_type {
                RecordType::A => RecordData::A(text.parse().unwrap()),
                RecordType::Aaaa => RecordData::Aaaa(text.parse().unwrap()),
                RecordType::Ptr => RecordData::Ptr(name(text)),
                _ => RecordData::Txt(vec![text.as_bytes().to_vec()]),
            };
            let answer = match of_it.as_slice() {
                [] => Answer::no_name(),
                ["!"] => Answer::not_known(Cause::ServerFailure, "broken"),
                texts => Answer::records(texts.iter().map(data).collect()),
            };
            answers.put(question, answer);
        }
    }
}

fn direct() -> Subject {
    Subject {
        sender: "mx".to_owned(),
        route: "hq".to_owned(),
        from: name("probe.example.com"),
        mail_from: name("probe.example.com"),
        outlet: Some(Outlet {
            addresses: vec!["192.0.2.7".parse().unwrap()],
            unseen: None,
            helo: "probe.example.com".to_owned(),
            port25: (Found::Yes, "mx.other.example answered".to_owned()),
        }),
        key: Some(Key {
            domain: "probe.example.com".to_owned(),
            selector: "s1".to_owned(),
            record: Ok(KEY.to_owned()),
        }),
    }
}

const HEALTHY: [(&str, RecordType, &str); 5] = [
    ("7.2.0.192.in-addr.arpa", RecordType::Ptr, "probe.example.com"),
    ("probe.example.com", RecordType::A, "192.0.2.7"),
    ("probe.example.com", RecordType::Txt, "v=spf1 ip4:192.0.2.7 -all"),
    ("s1._domainkey.probe.example.com", RecordType::Txt, KEY),
    ("_dmarc.example.com", RecordType::Txt, "v=DMARC1; p=reject"),
];

/// The healthy zone without records of a name and type, with others in their place.
fn changed<'z>(
    owner: &str,
    kind: RecordType,
    with: &[(&'z str, RecordType, &'z str)],
) -> Vec<(&'z str, RecordType, &'z str)> {
    let kept = HEALTHY.into_iter().filter(|(name, of, _)| !(*name == owner && *of == kind));
    kept.chain(with.iter().copied()).collect()
}

#[test]
fn a_healthy_sender_is_told_so() {
    let findings = looked(&direct(), &HEALTHY);
    let points: Vec<Point> = findings.iter().map(|finding| finding.point).collect();
    assert_eq!(points, [Point::Ptr, Point::Helo, Point::Spf, Point::Dkim, Point::Dmarc, Point::Port25]);
    assert!(
        findings.iter().all(|finding| finding.found == Found::Yes && finding.mend.is_empty()),
        "{findings:#?}"
    );
}

/// A point, its answer in a zone, and a part of the evidence and of the mend.
type Case<'c> = (Point, Found, Vec<(&'c str, RecordType, &'c str)>, &'c str, &'c str);

#[test]
fn each_point_has_a_no_and_a_not_known_of_its_own() {
    use RecordType::{A, Ptr, Txt};
    let arpa = "7.2.0.192.in-addr.arpa";
    let own = "probe.example.com";
    let key = "s1._domainkey.probe.example.com";
    let cases: Vec<Case<'_>> = vec![
        (Point::Ptr, Found::No, changed(arpa, Ptr, &[]), "has no name", "publish a PTR record"),
        (
            Point::Ptr,
            Found::No,
            changed(arpa, Ptr, &[(arpa, Ptr, "other.example")]),
            "other.example",
            "PTR record name probe.example.com",
        ),
        (Point::Ptr, Found::NotKnown, changed(arpa, Ptr, &[(arpa, Ptr, "!")]), "not known", ""),
        (Point::Helo, Found::No, changed(own, A, &[]), "has no address", "`helo` in [sender.mx]"),
        (
            Point::Helo,
            Found::No,
            changed(own, A, &[(own, A, "192.0.2.9")]),
            "we send from 192.0.2.7",
            "a name that has our address",
        ),
        (Point::Helo, Found::NotKnown, changed(own, A, &[(own, A, "!")]), "is not known", "once DNS answers"),
        (Point::Spf, Found::No, changed(own, Txt, &[]), "none", "v=spf1 ip4:192.0.2.7 -all"),
        (
            Point::Spf,
            Found::No,
            changed(own, Txt, &[(own, Txt, "v=spf1 ip4:192.0.2.8 -all")]),
            "fail",
            "add `ip4:192.0.2.7`",
        ),
        (
            Point::Spf,
            Found::No,
            changed(own, Txt, &[(own, Txt, "v=spf1 ip4:192.0.2.8 ~all")]),
            "softfail",
            "add `ip4:192.0.2.7`",
        ),
        (
            Point::Spf,
            Found::No,
            changed(own, Txt, &[(own, Txt, "v=spf1 ipv4:192.0.2.7 -all")]),
            "permerror",
            "mailsonde dns spf",
        ),
        (Point::Spf, Found::NotKnown, changed(own, Txt, &[(own, Txt, "!")]), "temperror", "once DNS answers"),
        (Point::Dkim, Found::No, changed(key, Txt, &[]), "no key stands at", KEY),
        (
            Point::Dkim,
            Found::No,
            changed(key, Txt, &[(key, Txt, OTHER_KEY)]),
            "is not that of the private key",
            KEY,
        ),
        (
            Point::Dkim,
            Found::No,
            changed(key, Txt, &[(key, Txt, "v=DKIM1; p=")]),
            "is not that of the private key",
            KEY,
        ),
        (
            Point::Dkim,
            Found::NotKnown,
            changed(key, Txt, &[(key, Txt, "!")]),
            "not known",
            "once DNS answers",
        ),
        (
            Point::Dmarc,
            Found::No,
            changed("_dmarc.example.com", Txt, &[]),
            "has no DMARC record",
            "_dmarc.probe.example.com TXT",
        ),
        (
            Point::Dmarc,
            Found::NotKnown,
            changed("_dmarc.example.com", Txt, &[("_dmarc.example.com", Txt, "!")]),
            "not known",
            "once DNS answers",
        ),
    ];
    for (point, found, zone, evidence, mend) in cases {
        let findings = looked(&direct(), &zone);
        for finding in &findings {
            let want = if finding.point == point { found } else { Found::Yes };
            // Reverse DNS goes by the same name as EHLO.
            if finding.point == Point::Ptr && point == Point::Helo {
                assert_ne!(finding.found, Found::Yes, "{zone:?}");
                continue;
            }
            assert_eq!(finding.found, want, "{point:?} {zone:?}\n{finding:#?}");
            if finding.point == point {
                assert!(finding.evidence.contains(evidence), "{finding:#?}");
                assert!(finding.mend.contains(mend) && !finding.mend.is_empty(), "{finding:#?}");
            }
        }
    }
}

#[test]
fn signatures_of_other_domains() {
    let signed_by = |domain: &str| {
        let key = Key { domain: domain.to_owned(), selector: "s1".to_owned(), record: Ok(KEY.to_owned()) };
        Subject { key: Some(key), ..direct() }
    };
    let dkim = |subject: &Subject, extra: Zone<'_>| {
        let zone: Vec<_> = HEALTHY.into_iter().chain(extra.iter().copied()).collect();
        looked(subject, &zone).into_iter().find(|finding| finding.point == Point::Dkim).unwrap()
    };
    let of_parent = [("s1._domainkey.example.com", RecordType::Txt, KEY)];
    let found = dkim(&signed_by("example.com"), &of_parent);
    assert_eq!(found.found, Found::Yes, "{found:#?}");
    let of_other = [("s1._domainkey.other.example", RecordType::Txt, KEY)];
    let found = dkim(&signed_by("other.example"), &of_other);
    assert_eq!(found.found, Found::No);
    assert!(found.evidence.contains("not aligned"), "{found:#?}");
    // Strict alignment asks for the same name.
    let strict = changed(
        "_dmarc.example.com",
        RecordType::Txt,
        &[("_dmarc.example.com", RecordType::Txt, "v=DMARC1; p=reject; adkim=s"), of_parent[0]],
    );
    let findings = looked(&signed_by("example.com"), &strict);
    let found = findings.iter().find(|finding| finding.point == Point::Dkim).unwrap();
    assert_eq!(found.found, Found::No, "{found:#?}");
    // Without a key nothing signs, and one that cannot be read signs nothing.
    assert_eq!(dkim(&Subject { key: None, ..direct() }, &[]).found, Found::No);
    let broken =
        Key { domain: "a.example".into(), selector: "s".into(), record: Err("no private key".into()) };
    assert_eq!(dkim(&Subject { key: Some(broken), ..direct() }, &[]).evidence, "no private key");
}

#[test]
fn behind_a_relay_only_the_names_are_asked() {
    let subject = Subject { outlet: None, key: None, ..direct() };
    let findings = looked(&subject, &HEALTHY);
    let points: Vec<(Point, Found)> = findings.iter().map(|finding| (finding.point, finding.found)).collect();
    assert_eq!(
        points,
        [(Point::Spf, Found::NotKnown), (Point::Dkim, Found::NotKnown), (Point::Dmarc, Found::Yes)]
    );
    let findings = looked(&subject, &[]);
    let no: Vec<Point> = findings.iter().filter(|f| f.found == Found::No).map(|f| f.point).collect();
    assert_eq!(no, [Point::Spf, Point::Dmarc], "no record at all helps nobody");
    let silent = [("probe.example.com", RecordType::Txt, "!")];
    let findings = looked(&subject, &silent);
    assert_eq!(findings[0].found, Found::NotKnown, "{findings:#?}");
}

#[test]
fn an_address_that_nobody_sees_is_not_known_and_never_wrong() {
    let outlet = Outlet {
        addresses: Vec::new(),
        unseen: Some("our address 10.0.0.7 is not the one that receivers see".to_owned()),
        helo: "probe.example.com".to_owned(),
        port25: (Found::NotKnown, "no MX host answered".to_owned()),
    };
    let subject = Subject { outlet: Some(outlet), ..direct() };
    let findings = looked(&subject, &HEALTHY);
    let of = |point| findings.iter().find(|finding| finding.point == point).unwrap();
    for point in [Point::Ptr, Point::Helo, Point::Spf, Point::Port25] {
        assert_eq!(of(point).found, Found::NotKnown, "{point:?}");
    }
    assert_eq!((of(Point::Dkim).found, of(Point::Dmarc).found), (Found::Yes, Found::Yes));
    // A name without a dot resolves nowhere but at home.
    let bare = Outlet { helo: "localhost".to_owned(), ..subject.outlet.clone().unwrap() };
    let findings = looked(&Subject { outlet: Some(bare), ..direct() }, &HEALTHY);
    let helo = findings.iter().find(|finding| finding.point == Point::Helo).unwrap();
    assert_eq!(helo.found, Found::No, "{helo:#?}");
}

#[test]
fn two_addresses_are_looked_at_both() {
    let mut subject = direct();
    if let Some(outlet) = &mut subject.outlet {
        outlet.addresses.push("2001:db8::7".parse().unwrap());
    }
    let findings = looked(&subject, &HEALTHY);
    let of = |point| findings.iter().filter(|f| f.point == point).map(|f| f.found).collect::<Vec<_>>();
    assert_eq!(of(Point::Ptr), [Found::Yes, Found::No]);
    assert_eq!(of(Point::Spf), [Found::Yes, Found::No]);
    assert_eq!(of(Point::Helo), [Found::No], "one of the two is not behind the name");
}
