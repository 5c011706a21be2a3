//! Checks with their traces. The rules themselves are tested by the third-party suites.

use proptest::prelude::*;

use super::*;
use crate::authentication::spf::sample::{Published, published};

/// Checks a mail of `user@example.com`.
fn checked(zone: &Published, ip: &str) -> (Verdict, Vec<Vec<String>>) {
    checked_as(zone, ip, "user@example.com", 2)
}

/// Checks a mail.
fn checked_as(zone: &Published, ip: &str, mail_from: &str, void_limit: u32) -> (Verdict, Vec<Vec<String>>) {
    let input = Input {
        ip: ip.parse().unwrap(),
        identity: Identity::MailFrom,
        mail_from,
        helo: "mail.example.com",
        receiver: "mx.example.net",
        now: Timestamp::from_seconds(1_772_323_200),
        void_limit,
    };
    zone.settle(|answers| check(&input, answers))
}

/// What each term of a node did, with those below it.
fn outcomes(node: &Node) -> String {
    let record = node.record.as_ref().unwrap();
    let terms = node.steps.iter().zip(&record.terms).map(|(step, term)| {
        let child = step.detail.as_ref().and_then(|detail| detail.child.as_ref());
        let below = child.filter(|child| child.record.is_some()).map(outcomes);
        let below = below.map(|below| format!("({below})")).unwrap_or_default();
        format!("{}={}{below}", record.part(term.span), step.outcome.as_str())
    });
    terms.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_trace_tells_what_each_term_did() {
    let zone = published(
        "example.com TXT v=spf1 mx exp=why.example.com include:_spf.a.example ip4:192.0.2.1 a -all
         example.com MX mx.example.com
         mx.example.com A 192.0.2.99
         _spf.a.example TXT v=spf1 ip6:2001:db8::/32 include:_spf.b.example -all
         _spf.b.example TXT v=spf1 exists:none.example ?ip4:192.0.2.1 ~all",
    );
    let (verdict, rounds) = checked(&zone, "192.0.2.1");
    assert_eq!(verdict.result, SpfResult::Pass);
    assert_eq!(verdict.mechanism(), Some(("example.com", "ip4:192.0.2.1".to_owned())));
    assert_eq!(
        outcomes(&verdict.trace),
        "mx=no-match exp=why.example.com=no-part include:_spf.a.example=no-match(ip6:2001:db8::/32=no-match \
         include:_spf.b.example=no-match(exists:none.example=no-match ?ip4:192.0.2.1=match ~all=not-reached) \
         -all=match) ip4:192.0.2.1=match a=not-reached -all=not-reached"
    );
    assert_eq!((verdict.lookups(), verdict.voids()), (4, 1));
    let include = verdict.trace.steps[2].detail.as_ref().unwrap();
    assert_eq!((include.lookups, include.voids), (3, 1));
    let inner = include.child.as_ref().unwrap();
    assert_eq!((inner.lookups, inner.voids), (2, 1));
    let asked: Vec<String> = rounds.concat();
    let want = [
        "example.com TXT",
        "example.com MX",
        "mx.example.com A",
        "_spf.a.example TXT",
        "_spf.b.example TXT",
        "none.example A",
    ];
    assert_eq!(asked, want);
}

#[test]
fn what_decided_is_found_through_include_and_redirect() {
    let zone = published(
        "example.com TXT v=spf1 a:none.example redirect=r.example
         r.example TXT v=spf1 include:i.example -all
         i.example TXT v=spf1 ip4:192.0.2.0/24 -all",
    );
    let (verdict, _) = checked(&zone, "192.0.2.1");
    assert_eq!(verdict.mechanism(), Some(("i.example", "ip4:192.0.2.0/24".to_owned())));
    assert_eq!(
        outcomes(&verdict.trace),
        "a:none.example=no-match redirect=r.example=followed(include:i.example=match(ip4:192.0.2.0/24=match -all=not-reached) -all=not-reached)"
    );
    assert_eq!((verdict.result, verdict.lookups()), (SpfResult::Pass, 3));
}

#[test]
fn trouble_is_named_and_never_an_absence() {
    let zone = "example.com TXT v=spf1 include:i.example -all
                i.example TXT v=spf1 a:one.example mx:two.example ~all";
    let cases = [
        ("example.com TXT !", "example.com TXT"),
        ("i.example TXT !", "i.example TXT"),
        ("one.example A !", "one.example A"),
        ("two.example MX !", "two.example MX"),
        ("two.example MX mx.two.example\nmx.two.example A !", "mx.two.example A"),
    ];
    for (silent, want) in cases {
        let zone = published(&format!("{zone}\n{silent}"));
        let (verdict, _) = checked(&zone, "192.0.2.1");
        assert_eq!(verdict.result, SpfResult::TempError, "{silent}");
        let (question, why) = verdict.trouble().unwrap();
        assert_eq!((question.to_string(), why.cause.as_str()), (want.to_owned(), "timeout"));
        assert!(verdict.reason().unwrap().to_string().contains(want));
    }
    // RFC 7208 §5.5: names that nobody answers for are skipped.
    let zone = published(
        "example.com TXT v=spf1 ptr -all
         1.2.0.192.in-addr.arpa PTR !",
    );
    let (verdict, _) = checked(&zone, "192.0.2.1");
    assert_eq!(verdict.result, SpfResult::Fail);
    assert_eq!(verdict.trace.steps[0].detail.as_ref().unwrap().unanswered.len(), 1);
}

#[test]
fn reasons_of_permerror() {
    let cases = [
        ("example.com TXT v=spf1 -all\nexample.com TXT V=SPF1 ~all", "2 SPF records, where one is allowed"),
        ("example.com TXT v=spf1 a:x b:y c:z", "the record has 3 faults"),
        ("example.com TXT v=spf1 include:none.example -all", "leads to no record: the name does not exist"),
        (
            "example.com TXT v=spf1 redirect=i.example\ni.example A 192.0.2.1",
            "leads to no record: no SPF record",
        ),
        ("example.com TXT v=spf1 include:example.com", "more than 10 terms that query DNS"),
        ("example.com TXT v=spf1 redirect=example.com", "more than 10 terms that query DNS"),
        (
            "example.com TXT v=spf1 a:a.test mx:b.test exists:c.test -all",
            "more than 2 terms with a void answer",
        ),
        ("example.com TXT v=spf1 include:i.example\ni.example TXT v=spf1 x", "the record has a fault"),
        ("example.com TXT v=spf1 ip4:192.0.2.1 bad -all", "the record has a fault"),
    ];
    for (zone, want) in cases {
        let (verdict, _) = checked(&published(zone), "192.0.2.1");
        assert_eq!(verdict.result, SpfResult::PermError, "{zone}");
        assert_eq!(verdict.reason().unwrap().to_string(), want, "{zone}");
    }
}

#[test]
fn mail_exchangers_have_a_limit_of_their_own() {
    let hosts = |count: usize| {
        let lines =
            (0..count).map(|at| format!("example.com MX m{at}.example\nm{at}.example A 192.0.2.{at}\n"));
        published(&format!("example.com TXT v=spf1 mx -all\n{}", lines.collect::<String>()))
    };
    let (verdict, rounds) = checked(&hosts(10), "192.0.2.9");
    assert_eq!((verdict.result, verdict.lookups(), rounds.len()), (SpfResult::Pass, 1, 3));
    let (verdict, _) = checked(&hosts(11), "192.0.2.1");
    assert_eq!(verdict.result, SpfResult::PermError);
    assert_eq!(verdict.reason(), Some(&Reason::Exchangers(11)));
}

#[test]
fn void_answers_are_counted_by_term_and_listed_by_question() {
    // Hosts with IPv4 alone: no limit is passed for an IPv6 client, and the questions are shown.
    let zone = published(
        "example.com TXT v=spf1 mx a:four.example ip6:2001:db8::/32 -all
         example.com MX m1.example
         example.com MX m2.example
         example.com MX m3.example
         m1.example A 192.0.2.1
         m2.example A 192.0.2.2
         m3.example A 192.0.2.3
         four.example A 192.0.2.4",
    );
    let (verdict, _) = checked(&zone, "2001:db8::1");
    assert_eq!((verdict.result, verdict.voids()), (SpfResult::Pass, 1));
    let voids = |at: usize| verdict.trace.steps[at].detail.as_ref().unwrap().void_questions.len();
    assert_eq!((voids(0), voids(1)), (3, 1));
    // The limit is configurable.
    let zone = published("example.com TXT v=spf1 a:a.test a:b.test a:c.test ip4:192.0.2.1 -all");
    let result = |limit| checked_as(&zone, "192.0.2.1", "user@example.com", limit).0.result;
    assert_eq!([2, 3].map(result), [SpfResult::PermError, SpfResult::Pass]);
}

#[test]
fn mapped_addresses_are_those_of_ipv4() {
    let zone = published("example.com TXT v=spf1 ip4:192.0.2.1 -all");
    let (verdict, _) = checked(&zone, "::ffff:192.0.2.1");
    assert_eq!((verdict.result, verdict.ip.to_string().as_str()), (SpfResult::Pass, "192.0.2.1"));
}

#[test]
fn senders_in_every_form() {
    let zone = published(
        "example.com TXT v=spf1 -all exp=why.example.com
         mail.example.com TXT v=spf1 -all exp=why.example.com
         why.example.com TXT %{s} %{l} %{o} %{d} %{h} %{r} %{t} %{c} %{L}
         xn--bcher-kva.example TXT v=spf1 +all",
    );
    let explained = |mail_from: &str| checked_as(&zone, "192.0.2.1", mail_from, 2).0.explanation;
    let rest = "mail.example.com mx.example.net 1772323200 192.0.2.1";
    let want = |local: &str, domain: &str, escaped: &str| {
        Some(format!("{local}@{domain} {local} {domain} {domain} {rest} {escaped}"))
    };
    assert_eq!(explained("a+b@example.com"), want("a+b", "example.com", "a%2Bb"));
    assert_eq!(explained("@example.com"), want("postmaster", "example.com", "postmaster"));
    assert_eq!(explained("example.com."), want("postmaster", "example.com", "postmaster"));
    assert_eq!(explained("\"a@b\"@example.com"), want("\"a@b\"", "example.com", "%22a%40b%22"));
    assert_eq!(explained(""), want("postmaster", "mail.example.com", "postmaster"));
    let (verdict, _) = checked_as(&zone, "192.0.2.1", "a@b\u{fc}cher.example", 2);
    assert_eq!((verdict.result, verdict.domain.as_str()), (SpfResult::Pass, "xn--bcher-kva.example"));
    for odd in ["a@[192.0.2.1]", "a@192.0.2.1", "a@localhost", "a@", "@", "a@b..example", " ", "a@\u{0}"] {
        let (verdict, rounds) = checked_as(&zone, "192.0.2.1", odd, 2);
        assert_eq!((verdict.result, rounds.len()), (SpfResult::None, 0), "{odd}");
        assert_eq!(verdict.reason(), Some(&Reason::NoDomain));
    }
}

#[test]
fn names_of_the_client_are_validated_and_the_first_ten_are_the_same_in_any_order() {
    let mut lines = vec!["example.com TXT v=spf1 ptr -all".to_owned()];
    lines.extend((0..12).map(|at| format!("1.2.0.192.in-addr.arpa PTR h{at:02}.other.example")));
    lines.push("1.2.0.192.in-addr.arpa PTR z.example.com".to_owned());
    lines.push("z.example.com A 192.0.2.1".to_owned());
    let forwards = checked(&published(&lines.join("\n")), "192.0.2.1").0;
    lines.reverse();
    let backwards = checked(&published(&lines.join("\n")), "192.0.2.1").0;
    assert_eq!(forwards, backwards);
    assert_eq!(forwards.result, SpfResult::Fail);
    assert_eq!(forwards.trace.steps[0].detail.as_ref().unwrap().names_left_out, 3);
}

#[test]
fn a_name_that_macros_made_too_long_is_cut_from_the_left() {
    let zone = published(
        "example.com TXT v=spf1 exists:%{l}.exists.example -all
         bbbb.exists.example A 127.0.0.2",
    );
    let local = format!("{}.bbbb", ["a"; 150].join("."));
    let (verdict, rounds) = checked_as(&zone, "192.0.2.1", &format!("{local}@example.com"), 2);
    let target = verdict.trace.steps[0].detail.as_ref().unwrap().target.clone().unwrap();
    assert!(target.len() <= 253 && target.starts_with("a.a.") && target.ends_with(".a.bbbb.exists.example"));
    assert_eq!(rounds.last().unwrap()[0], format!("{target} A"));
}

proptest! {
    /// Any records, leading anywhere: the check ends, within the limits, and its sums are right.
    #[test]
    fn any_records_end_within_the_limits(
        records in proptest::collection::vec(
            proptest::collection::vec(("[+?~-]?", 0..8_usize, 0..6_usize), 0..14), 1..6),
        silent in 0..8_usize,
    ) {
        let mut zone = String::from("h0.example.com A 192.0.2.7\nh1.example.com MX h0.example.com\n");
        for (at, terms) in records.iter().enumerate() {
            let domain = if at == 0 { String::from("example.com") } else { format!("d{at}.example.com") };
            let terms: Vec<String> = terms.iter().map(|(qualifier, kind, to)| match kind {
                0 | 1 => format!("{qualifier}include:d{to}.example.com"),
                2 => format!("{qualifier}a:h{to}.example.com"),
                3 => format!("{qualifier}mx:h{to}.example.com"),
                4 => format!("{qualifier}exists:h{to}.example.com"),
                5 => format!("{qualifier}ptr"),
                6 => format!("{qualifier}ip4:192.0.2.{to}"),
                _ => format!("redirect=d{to}.example.com"),
            }).collect();
            zone += &[domain.as_str(), " TXT v=spf1 ", &terms.join(" "), "\n"].concat();
        }
        zone += &["d", &silent.to_string(), ".example.com TXT !\n"].concat();
        let (verdict, rounds) = checked(&published(&zone), "192.0.2.1");
        prop_assert!(verdict.lookups() <= limits::SPF_LOOKUPS + 1);
        prop_assert!(verdict.voids() <= limits::SPF_VOIDS + 1);
        prop_assert!(rounds.concat().len() <= 130);
        prop_assert_eq!(verdict.lookups(), summed(&verdict.trace));
    }
}

/// The look-ups of a node, added up from its steps.
fn summed(node: &Node) -> u32 {
    let sum = node.steps.iter().filter_map(|step| step.detail.as_ref()).map(|detail| {
        let below = detail.child.as_ref().map_or(0, summed);
        assert!(detail.child.is_none() || detail.lookups == below + 1);
        detail.lookups
    });
    sum.sum()
}
