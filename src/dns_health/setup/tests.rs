//! Records wanted, over every shape of what stands there already.

use super::*;
use crate::dns_health::sample::{Zone, name};
use crate::mail::Address;

/// Zones around the records of each case: our own domain is set up, and `example.com` takes mail.
const AROUND: &str = "\
example. SOA a.example. b.example. 1 2 3 4 5
m.example. SOA a.m.example. b.m.example. 1 2 3 4 5
m.example. MX 10 mx.m.example.
m.example. TXT \"v=spf1 -all\"
mx.m.example. A 192.88.99.1
com. SOA a.com. b.com. 1 2 3 4 5
example.com. SOA a.example.com. b.example.com. 1 2 3 4 5
example.com. MX 10 mx.example.com.
mx.example.com. A 192.88.99.2
";

fn wishes(domains: &[&str]) -> Wishes {
    let address = |text: &str| vec![Address::parse(text).unwrap()];
    Wishes {
        domains: domains.iter().map(|domain| name(domain)).collect(),
        mailboxes: Mailboxes {
            aggregate: address("dmarc@m.example"),
            failure: address("ruf@m.example"),
            tls: address("tls@m.example"),
            ..Mailboxes::default()
        },
        has_failures: false,
        has_wildcard: false,
        own_domains: vec![name("m.example")],
        host: Some(name("mx.m.example")),
        addresses: Vec::new(),
        senders: Vec::new(),
        leave: Vec::new(),
        nonce: "nonce-7f3a".to_owned(),
    }
}

/// The plan over a zone, the rounds of questions counted.
fn plan_of(wishes: &Wishes, zone: &str) -> Vec<Item> {
    let (items, rounds) = Zone::parse(zone).settle(|answers| plan(wishes, answers));
    assert!(rounds.len() <= 8, "{} rounds", rounds.len());
    items
}

/// One kind of items, short: `state name TYPE new <- old`.
fn short(items: &[Item], kind: Kind) -> Vec<String> {
    let old = |item: &Item| {
        let old: Vec<String> =
            item.old.iter().map(|old| format!("{} {}", old.record_type, old.value)).collect();
        if old.is_empty() { String::new() } else { format!(" <- {}", old.join(" | ")) }
    };
    items
        .iter()
        .filter(|item| item.kind == kind)
        .map(|item| {
            let new = item.new.as_ref().map(|new| format!(" {new}")).unwrap_or_default();
            format!("{} {}{new}{}", item.state.as_str(), item.name, old(item))
        })
        .collect()
}

/// Everything that is said beside the records.
fn said(items: &[Item]) -> String {
    let of = |item: &Item| {
        let reason = match &item.state {
            State::ByHand(reason) | State::NotNeeded(reason) => reason.clone(),
            State::NotKnown(cause, detail) => format!("{cause} {detail}"),
            _ => String::new(),
        };
        format!("{reason}\n{}\n{}\n", item.notes.join("\n"), item.risk.clone().unwrap_or_default())
    };
    items.iter().map(of).collect()
}

#[track_caller]
fn check(kind: Kind, records: &str, want: &[&str], words: &[&str]) {
    let items = plan_of(&wishes(&["example.com"]), &format!("{AROUND}{records}"));
    assert_eq!(short(&items, kind), want, "{records}");
    let of_kind: Vec<Item> = items.into_iter().filter(|item| item.kind == kind).collect();
    for word in words {
        assert!(said(&of_kind).contains(word), "{word:?} is not in\n{}", said(&of_kind));
    }
}

#[test]
fn dmarc_records_of_every_shape() {
    let ours = "mailto:dmarc@m.example";
    let at = "_dmarc.example.com";
    let cases: &[(&str, &str, &[&str])] = &[
        // None, with other texts, with a wildcard of another text.
        ("", "add _dmarc.example.com \"v=DMARC1; p=none; rua=OURS\"", &["changes nothing"]),
        (
            "_dmarc.example.com. TXT \"some-verification=1\"",
            "add _dmarc.example.com \"v=DMARC1; p=none; rua=OURS\"",
            &[],
        ),
        (
            "_dmarc.example.com. TXT \"v=spf1 -all\"",
            "add _dmarc.example.com \"v=DMARC1; p=none; rua=OURS\"",
            &["an SPF record stands at this name"],
        ),
        (
            "*.example.com. TXT \"v=spf1 -all\"",
            "add _dmarc.example.com \"v=DMARC1; p=none; rua=OURS\"",
            &["comes from a wildcard"],
        ),
        // Ours already, also with a tag, another case, a size.
        (
            "_dmarc.example.com. TXT \"v=DMARC1; p=reject; rua=mailto:a@b.example,mailto:DMARC@m.example\"",
            "in-place _dmarc.example.com <- TXT \"v=DMARC1; p=reject; rua=mailto:a@b.example,mailto:DMARC@m.example\"",
            &[],
        ),
        (
            "_dmarc.example.com. TXT \"v=DMARC1; p=none; rua=mailto:dmarc+x@m.example!5m\"",
            "in-place _dmarc.example.com <- TXT \"v=DMARC1; p=none; rua=mailto:dmarc+x@m.example!5m\"",
            &[],
        ),
        // Others' addresses, tags and order stay.
        (
            "_dmarc.example.com. TXT \"v=DMARC1; p=none; pct=50; rua=mailto:a@b.example; fo=1\"",
            "change _dmarc.example.com \"v=DMARC1; p=none; pct=50; rua=mailto:a@b.example,OURS; fo=1\" <- TXT \
             \"v=DMARC1; p=none; pct=50; rua=mailto:a@b.example; fo=1\"",
            &[],
        ),
        (
            "_dmarc.example.com. TXT \"v=DMARC1; p=none; rua=mailto:a@b.example,mailto:c@d.example\"",
            "change _dmarc.example.com \"v=DMARC1; p=none; rua=mailto:a@b.example,mailto:c@d.example,OURS\" <- TXT \
             \"v=DMARC1; p=none; rua=mailto:a@b.example,mailto:c@d.example\"",
            &["address 3 of `rua`"],
        ),
        // Cut into strings at odd places.
        (
            "_dmarc.example.com. TXT \"v=DMAR\" \"C1; p=no\" \"ne\"",
            "change _dmarc.example.com \"v=DMARC1; p=none; rua=OURS\" <- TXT \"v=DMAR\" \"C1; p=no\" \"ne\"",
            &[],
        ),
        // Broken: no policy, wrong policies, no version.
        (
            "_dmarc.example.com. TXT \"v=DMARC1;\"",
            "change _dmarc.example.com \"v=DMARC1; p=none; rua=OURS\" <- TXT \"v=DMARC1;\"",
            &["no effect so far"],
        ),
        (
            "_dmarc.example.com. TXT \"v=DMARC1; p=nonee; rua=mailto:a@b.example, nonsense\"",
            "change _dmarc.example.com \"v=DMARC1; p=nonee; rua=mailto:a@b.example, nonsense,OURS\" <- TXT \
             \"v=DMARC1; p=nonee; rua=mailto:a@b.example, nonsense\"",
            &["acts as `p=none`", "no report goes to `nonsense`"],
        ),
        (
            "_dmarc.example.com. TXT \"v=dmarc1; p=reject; rua=mailto:a@b.example\"",
            "change _dmarc.example.com \"v=DMARC1; p=reject; rua=mailto:a@b.example,OURS\" <- TXT \
             \"v=dmarc1; p=reject; rua=mailto:a@b.example\"",
            &["has no effect: the version is written in the wrong case", "`p=reject` comes into force"],
        ),
        // Two records: the mildest policy, the addresses of both.
        (
            "_dmarc.example.com. TXT \"v=DMARC1; p=reject; rua=mailto:a@b.example\"\n\
             _dmarc.example.com. TXT \"v=DMARC1; p=none; rua=mailto:c@d.example\"",
            "change _dmarc.example.com \"v=DMARC1; p=none; rua=mailto:c@d.example,mailto:a@b.example,OURS\" <- TXT \
             \"v=DMARC1; p=none; rua=mailto:c@d.example\" | TXT \"v=DMARC1; p=reject; rua=mailto:a@b.example\"",
            &["none of them counts", "the mildest is kept"],
        ),
        // Behind an alias: within the domain, at somebody else's, to nothing.
        (
            "_dmarc.example.com. CNAME policy.example.com.\npolicy.example.com. TXT \"v=DMARC1; p=none\"",
            "change policy.example.com \"v=DMARC1; p=none; rua=OURS\" <- TXT \"v=DMARC1; p=none\"",
            &["is an alias"],
        ),
        (
            "_dmarc.example.com. CNAME x.vendor.example.\nx.vendor.example. TXT \"v=DMARC1; p=none\"",
            "by-hand x.vendor.example \"v=DMARC1; p=none; rua=OURS\" <- TXT \"v=DMARC1; p=none\"",
            &["by whoever runs it"],
        ),
        (
            "_dmarc.example.com. CNAME gone.vendor.example.\nvendor.example. A 192.88.99.9",
            "change _dmarc.example.com \"v=DMARC1; p=none; rua=OURS\" <- CNAME gone.vendor.example.",
            &["the alias has to go"],
        ),
        // From a wildcard.
        (
            "*.example.com. TXT \"v=DMARC1; p=reject\"",
            "add _dmarc.example.com \"v=DMARC1; p=reject; rua=OURS\"",
            &["comes from a wildcard"],
        ),
        // Nobody answers.
        (";! _dmarc.example.com TXT servfail", "not-known _dmarc.example.com", &["servfail"]),
        (";! _dmarc.example.com TXT timeout", "not-known _dmarc.example.com", &["timeout"]),
        // Nothing here, and above nobody answers.
        (";! _dmarc.com TXT servfail", "not-known _dmarc.example.com", &["no answer for com"]),
    ];
    for (records, want, words) in cases {
        assert!(want.contains(at) || want.contains("policy.") || want.contains("vendor."));
        check(Kind::Dmarc, records, &[&want.replace("OURS", ours)], words);
    }
}

#[test]
fn a_record_above_is_changed_where_it_stands() {
    let zone = format!("{AROUND}_dmarc.example.com. TXT \"v=DMARC1; p=reject; rua=mailto:a@b.example\"\n");
    let items = plan_of(&wishes(&["news.example.com", "example.com"]), &zone);
    // Both need the same record: it stands once.
    assert_eq!(
        short(&items, Kind::Dmarc),
        [
            "change _dmarc.example.com \"v=DMARC1; p=reject; rua=mailto:a@b.example,mailto:dmarc@m.example\" <- TXT \
          \"v=DMARC1; p=reject; rua=mailto:a@b.example\""
        ]
    );
    assert_eq!(
        short(&items, Kind::Authorization),
        ["add example.com._report._dmarc.m.example \"v=DMARC1;\""]
    );
    let first = items.first().unwrap();
    assert!(said(&items).contains("news.example.com has no record of its own"));
    assert_eq!((first.relative_name(), first.zone.clone()), ("_dmarc".to_owned(), Some(name("example.com"))));
    let authorization = items.iter().find(|item| item.kind == Kind::Authorization).unwrap();
    assert_eq!(authorization.relative_name(), "example.com._report._dmarc");
    assert_eq!(authorization.zone, Some(name("m.example")));
}

#[test]
fn tls_rpt_records_of_every_shape() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("", "add _smtp._tls.example.com \"v=TLSRPTv1; rua=mailto:tls@m.example\"", &[]),
        (
            "_smtp._tls.example.com. TXT \"v=TLSRPTv1; rua=mailto:tls@m.example\"",
            "in-place _smtp._tls.example.com <- TXT \"v=TLSRPTv1; rua=mailto:tls@m.example\"",
            &[],
        ),
        (
            "_smtp._tls.example.com. TXT \"v=TLSRPTv1;rua=https://r.example/x;x=1\"",
            "change _smtp._tls.example.com \"v=TLSRPTv1;rua=https://r.example/x,mailto:tls@m.example;x=1\" <- TXT \
             \"v=TLSRPTv1;rua=https://r.example/x;x=1\"",
            &[],
        ),
        (
            "_smtp._tls.example.com. TXT \"v=TLSRPTv1; rua=mailto:a@b.example\"\n\
             _smtp._tls.example.com. TXT \"v=TLSRPTv1; rua=mailto:c@d.example\"",
            "change _smtp._tls.example.com \
             \"v=TLSRPTv1; rua=mailto:a@b.example,mailto:c@d.example,mailto:tls@m.example\" <- TXT \
             \"v=TLSRPTv1; rua=mailto:a@b.example\" | TXT \"v=TLSRPTv1; rua=mailto:c@d.example\"",
            &["none of them counts"],
        ),
        (
            "_smtp._tls.example.com. TXT \"v=tlsrptv1; rua=mailto:a@b.example\"",
            "change _smtp._tls.example.com \"v=TLSRPTv1; rua=mailto:a@b.example,mailto:tls@m.example\" <- TXT \
             \"v=tlsrptv1; rua=mailto:a@b.example\"",
            &["has no effect"],
        ),
        (
            "_smtp._tls.example.com. TXT \"v=TLSRPTv1\"",
            "change _smtp._tls.example.com \"v=TLSRPTv1; rua=mailto:tls@m.example\" <- TXT \"v=TLSRPTv1\"",
            &["no `rua`"],
        ),
        (
            "_smtp._tls.example.com. CNAME t.vendor.example.\nt.vendor.example. TXT \"v=TLSRPTv1; rua=mailto:a@b.example\"",
            "by-hand t.vendor.example \"v=TLSRPTv1; rua=mailto:a@b.example,mailto:tls@m.example\" <- TXT \
             \"v=TLSRPTv1; rua=mailto:a@b.example\"",
            &["by whoever runs it"],
        ),
        (
            "*.example.com. TXT \"v=spf1 -all\"",
            "add _smtp._tls.example.com \"v=TLSRPTv1; rua=mailto:tls@m.example\"",
            &[],
        ),
        (";! _smtp._tls.example.com TXT servfail", "not-known _smtp._tls.example.com", &["servfail"]),
        (
            ";! example.com MX timeout",
            "add _smtp._tls.example.com \"v=TLSRPTv1; rua=mailto:tls@m.example\"",
            &["takes mail is not known"],
        ),
    ];
    for (records, want, words) in cases {
        check(Kind::TlsRpt, records, &[want], words);
    }
    let zone = "m.example. MX 10 mx.m.example.\nparked.example. MX 0 .\n";
    let items = plan_of(&wishes(&["parked.example"]), zone);
    assert_eq!(short(&items, Kind::TlsRpt), ["not-needed _smtp._tls.parked.example"]);
}

#[test]
fn who_may_be_sent_reports() {
    let at = "example.com._report._dmarc.m.example";
    let cases: &[(&str, &str, &[&str])] = &[
        ("", "add @@ \"v=DMARC1;\"", &[]),
        ("@@. TXT \"v=DMARC1\"", "in-place @@ <- TXT \"v=DMARC1\"", &[]),
        ("@@. TXT \"v=DMARC1;\"", "in-place @@ <- TXT \"v=DMARC1;\"", &[]),
        ("@@. TXT \"hello\"", "add @@ \"v=DMARC1;\"", &[]),
        (
            "*._report._dmarc.m.example. TXT \"v=DMARC1\"",
            "in-place @@ <- TXT \"v=DMARC1\"",
            &["a wildcard allows"],
        ),
        (
            "@@. TXT \"v=DMARC1; rua=mailto:a@elsewhere.example\"",
            "by-hand @@ <- TXT \"v=DMARC1; rua=mailto:a@elsewhere.example\"",
            &["another host"],
        ),
        ("@@. CNAME nothing.example.", "change @@ \"v=DMARC1;\" <- CNAME nothing.example.", &["has to go"]),
        (";! @@ TXT servfail", "not-known @@", &["servfail"]),
        // Whose organizational domain is whose is not known: the record does no harm.
        (";! _dmarc.com TXT servfail", "add @@ \"v=DMARC1;\"", &["not known whether"]),
    ];
    for (records, want, words) in cases {
        check(Kind::Authorization, &records.replace("@@", at), &[&want.replace("@@", at)], words);
    }
    // Below one organizational domain none is needed; in the domain itself there is no such name.
    let zone = "_dmarc.m.example. TXT \"v=DMARC1; p=none\"\nm.example. MX 10 mx.m.example.\n";
    let items = plan_of(
        &wishes(&["sub.m.example"]),
        &format!("{zone}_dmarc.sub.m.example. TXT \"v=DMARC1; p=none\""),
    );
    assert_eq!(short(&items, Kind::Authorization), ["not-needed sub.m.example._report._dmarc.m.example"]);
    let items = plan_of(&wishes(&["m.example"]), zone);
    assert_eq!(short(&items, Kind::Authorization), Vec::<String>::new());
    let long = format!("{}.{}.{}.{}.example", "a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(50));
    let items = plan_of(&wishes(&[&long]), zone);
    assert!(short(&items, Kind::Authorization).concat().starts_with("by-hand"), "{items:?}");
}

/// Nothing that gives more away than was asked for, and each with its risk where it was.
#[test]
fn failure_reports_and_wildcards_only_where_wished() {
    let zone = format!("{AROUND}_dmarc.example.com. TXT \"v=DMARC1; p=none; ruf=mailto:a@b.example\"\n");
    let plain = plan_of(&wishes(&["example.com", "example.org"]), &zone);
    let new: String = plain.iter().filter_map(|item| item.new.clone()).collect();
    assert!(!new.contains("ruf@m.example") && plain.iter().all(|item| !item.name.as_str().starts_with('*')));
    assert!(plain.iter().all(|item| item.risk.is_none()));
    let mut wishes = wishes(&["example.com", "example.org"]);
    wishes.has_failures = true;
    wishes.has_wildcard = true;
    let items = plan_of(&wishes, &zone);
    assert_eq!(
        short(&items, Kind::Authorization),
        ["add *._report._dmarc.m.example \"v=DMARC1;\""],
        "one for all domains"
    );
    assert_eq!(
        short(&items, Kind::Dmarc),
        [
            "change _dmarc.example.com \"v=DMARC1; p=none; ruf=mailto:a@b.example,mailto:ruf@m.example; \
             rua=mailto:dmarc@m.example\" <- TXT \"v=DMARC1; p=none; ruf=mailto:a@b.example\"",
            "add _dmarc.example.org \"v=DMARC1; p=none; rua=mailto:dmarc@m.example; ruf=mailto:ruf@m.example\"",
        ]
    );
    let with_risk = items.iter().filter(|item| item.risk.is_some()).count();
    assert_eq!(with_risk, 3, "{items:?}");
}

#[test]
fn long_texts_are_cut_into_strings() {
    let others: Vec<String> =
        (0..12).map(|at| format!("mailto:reports-{at:02}@vendor{at:02}.example")).collect();
    let zone = format!("{AROUND}_dmarc.example.com. TXT \"v=DMARC1; p=none; rua={}\"\n", others.join(","));
    let items = plan_of(&wishes(&["example.com"]), &zone);
    let item = items.iter().find(|item| item.kind == Kind::Dmarc).unwrap();
    let new = item.new.clone().unwrap();
    let strings: Vec<&str> = new.split("\" \"").collect();
    assert!(
        strings.len() == 2 && strings.iter().all(|string| string.trim_matches('"').len() <= 255),
        "{new}"
    );
    assert_eq!(new.replace("\" \"", "").matches("mailto:").count(), 13);
    assert!(item.notes.concat().contains("2 strings of one record"), "{:?}", item.notes);
}

#[test]
fn our_own_domain() {
    let host = "mx.m.example. A 192.88.99.1\n";
    let cases: &[(&str, Kind, &str, &[&str])] = &[
        ("", Kind::Mx, "add m.example 10 mx.m.example.", &[]),
        ("m.example. MX 5 mx.m.example.", Kind::Mx, "in-place m.example <- MX 5 mx.m.example.", &[]),
        ("m.example. MX 0 .", Kind::Mx, "change m.example 10 mx.m.example. <- MX 0 .", &["null MX"]),
        // An MX of somebody else is never replaced.
        (
            "m.example. MX 10 mail.other.example.\nmail.other.example. A 192.88.99.77",
            Kind::Mx,
            "by-hand m.example <- MX 10 mail.other.example.",
            &["right if that host hands it on"],
        ),
        (
            "m.example. MX 10 alias.m.example.\nalias.m.example. A 192.88.99.1",
            Kind::Mx,
            "in-place m.example <- MX 10 alias.m.example.",
            &["another name of mx.m.example"],
        ),
        (";! m.example MX servfail", Kind::Mx, "not-known m.example", &["servfail"]),
        ("", Kind::Address, "in-place mx.m.example <- A 192.88.99.1", &[]),
        ("", Kind::Spf, "add m.example \"v=spf1 -all\"", &["no route sends"]),
        ("m.example. TXT \"v=spf1 mx -all\"", Kind::Spf, "in-place m.example <- TXT \"v=spf1 mx -all\"", &[]),
        (
            "m.example. TXT \"v=spf1 mx -all\"\nm.example. TXT \"v=spf1 -all\"",
            Kind::Spf,
            "by-hand m.example <- TXT \"v=spf1 -all\" | TXT \"v=spf1 mx -all\"",
            &["permerror"],
        ),
        (";! m.example TXT timeout", Kind::Spf, "not-known m.example", &["timeout"]),
    ];
    for (records, kind, want, words) in cases {
        let items = plan_of(&wishes(&["example.com"]), &format!("{host}{records}\n"));
        assert_eq!(short(&items, *kind), [*want], "{records}");
        for word in *words {
            assert!(said(&items).contains(word), "{word:?} is not in\n{}", said(&items));
        }
    }
    let mut with = wishes(&["example.com"]);
    with.addresses = vec!["192.88.99.5".parse().unwrap(), "2002::5".parse().unwrap()];
    with.senders = vec![(name("m.example"), Some(name("relay.example")))];
    let items = plan_of(&with, "m.example. MX 10 mx.m.example.\n");
    assert_eq!(short(&items, Kind::Address), ["add mx.m.example 192.88.99.5", "add mx.m.example 2002::5"]);
    assert_eq!(short(&items, Kind::Spf), ["add m.example \"v=spf1 a:relay.example ~all\""]);
    // Without an address there is nothing to write.
    let items = plan_of(&wishes(&["example.com"]), "");
    assert_eq!(short(&items, Kind::Address), ["by-hand mx.m.example"]);
    let items = plan_of(&wishes(&["example.com"]), "mx.m.example. CNAME a.example.\n");
    assert_eq!(short(&items, Kind::Address), ["by-hand mx.m.example"]);
    // A domain that is watched itself has mail of its own: its SPF record is none of our business.
    let items = plan_of(&wishes(&["m.example"]), &format!("{host}m.example. MX 10 mx.m.example.\n"));
    assert_eq!(short(&items, Kind::Spf), Vec::<String>::new());
}

/// With everything in place there is nothing to do, and nothing is proposed.
#[test]
fn what_is_right_is_said_to_be_right() {
    let zone = format!(
        "{AROUND}_dmarc.example.com. TXT \"v=DMARC1; p=none; rua=mailto:dmarc@m.example\"\n\
         example.com._report._dmarc.m.example. TXT \"v=DMARC1\"\n\
         _smtp._tls.example.com. TXT \"v=TLSRPTv1; rua=mailto:tls@m.example\"\n"
    );
    let items = plan_of(&wishes(&["example.com"]), &zone);
    assert_eq!(items.len(), 6, "{items:?}");
    assert!(items.iter().all(|item| item.state == State::InPlace && item.new.is_none()), "{items:?}");
    // A mailbox elsewhere brings no records of ours.
    let mut elsewhere = wishes(&["example.com"]);
    elsewhere.own_domains.clear();
    let items = plan_of(&elsewhere, &zone);
    assert_eq!(short(&items, Kind::Mx), ["in-place m.example <- MX 10 mx.m.example."]);
    assert!(said(&items).contains("mailbox elsewhere"));
}

#[test]
fn leave_stands_beside_that_of_others() {
    let wanted = |zone: &str| {
        let name = name("_mailsonde-probe.example.com");
        let leave = vec![(name.parent().unwrap(), name, "abc234".to_owned())];
        let items = plan_of(&Wishes { leave, ..wishes(&[]) }, &format!("{AROUND}{zone}"));
        short(&items, Kind::Leave)
    };
    let record = "_mailsonde-probe.example.com";
    assert_eq!(wanted(""), [format!("add {record} \"abc234\"")]);
    assert_eq!(wanted(&format!("{record}. TXT \"xyz\"\n")), [format!("add {record} \"abc234\"")]);
    let both = format!("{record}. TXT \"xyz\"\n{record}. TXT \"ABC234\"\n");
    assert_eq!(wanted(&both), [format!("in-place {record} <- TXT \"ABC234\" | TXT \"xyz\"")]);
    assert_eq!(wanted(&format!(";! {record} TXT servfail\n")), [format!("not-known {record}")]);
}
