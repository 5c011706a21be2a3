//! Records with their faults, each at its column and with its mend.

use proptest::prelude::*;

use super::*;
use crate::authentication::spf::{Record, meant_modifier};

/// A fault as the tests write it: column, octets, kind, mend.
type Told<'t> = (usize, usize, FaultKind, Option<&'t str>);

/// The faults of a record: column, octets, kind, mend.
fn faults(text: &str) -> Vec<(usize, usize, FaultKind, Option<String>)> {
    let record = Record::parse(text.as_bytes().to_vec());
    record
        .faults
        .into_iter()
        .map(|fault| (fault.span.column(), fault.span.octets(), fault.kind, fault.mend))
        .collect()
}

#[test]
fn sound_records() {
    let sound = [
        "v=spf1",
        "v=spf1 -all",
        "V=SPF1   MX  -ALL  ",
        "v=spf1 a a:example.com a/24 a//64 a/24//64 a:foo:bar/baz.example.com/8//0 ~all",
        "v=spf1 mx mx:a.b-c.example mx/0 ?all",
        "v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 ip4:0.0.0.0/0 ip6:2001:db8::/32 ip6:::1 ip6:::ffff:192.0.2.1 all",
        "v=spf1 exists:%{ir}.%{v}._spf.%{d2} include:%{d} ptr ptr:example.com. redirect=_spf.example.com",
        "v=spf1 exists:%{l1r-}.%{o}.%{h}.%{s}.%{p} exists:a%%b%_c%-d.example exists:%{D3R.-+,/_=}.x exp=e.%{d}",
        "v=spf1 unknown=%{c}%{r}%{t}:/ x-y_z.1=",
        "v=spf1 a:example.xn--p1ai a:example.1-2 a:x.a1",
        "v=spf1 include=spf.example.com",
    ];
    for text in sound {
        assert_eq!(faults(text), [], "{text}");
    }
}

#[test]
fn every_fault_has_its_place_and_its_mend() {
    use FaultKind as F;
    let cases: &[(&str, &[Told<'_>])] = &[
        ("v=spf1 a:192.0.2.1 -all", &[(10, 9, F::AddressAsDomain, Some("ip4:192.0.2.1"))]),
        ("v=spf1 -mx:2001:db8::1/64", &[(12, 14, F::AddressAsDomain, Some("-ip6:2001:db8::1/64"))]),
        ("v=spf1 ip4:2001:db8::/32", &[(12, 13, F::OtherFamily, Some("ip6:2001:db8::/32"))]),
        ("v=spf1 ip6:192.0.2.0/24", &[(12, 12, F::OtherFamily, Some("ip4:192.0.2.0/24"))]),
        ("v=spf1 ip4:mail.example.com", &[(12, 16, F::BadNetwork, Some("a:mail.example.com"))]),
        ("v=spf1 ip4:192.0.2", &[(12, 7, F::BadNetwork, None)]),
        ("v=spf1 ip4:192.0.2.01", &[(12, 10, F::BadNetwork, None)]),
        ("v=spf1 ip4:192.0.2.1,", &[(12, 10, F::BadNetwork, Some("ip4:192.0.2.1"))]),
        ("v=spf1 ip4:192.0.2.0/33", &[(21, 3, F::BadPrefix, None)]),
        ("v=spf1 ip4:192.0.2.0/024", &[(21, 4, F::BadPrefix, Some("ip4:192.0.2.0/24"))]),
        ("v=spf1 ip4:192.0.2.0/", &[(21, 1, F::BadPrefix, Some("ip4:192.0.2.0"))]),
        ("v=spf1 ip4 ip6:", &[(8, 3, F::NoNetwork, None), (16, 0, F::NoNetwork, None)]),
        (
            "v=spf1 a/33 mx//129 a/",
            &[(9, 3, F::BadPrefix, None), (15, 5, F::BadPrefix, None), (22, 1, F::BadPrefix, Some("a"))],
        ),
        ("v=spf1 include ~all", &[(8, 7, F::NoDomain, None)]),
        (
            "v=spf1 include: a.example ~all",
            &[(8, 8, F::NoDomain, None), (17, 9, F::UnknownMechanism, Some("a:a.example"))],
        ),
        ("v=spf1 include.spf.example -all", &[(8, 19, F::UnknownMechanism, Some("include:spf.example"))]),
        (
            "v=spf1 ipv4:192.0.2.1 192.0.2.2",
            &[
                (8, 4, F::UnknownMechanism, Some("ip4:192.0.2.1")),
                (23, 9, F::UnknownMechanism, Some("ip4:192.0.2.2")),
            ],
        ),
        (
            "v=spf1 a; -all;",
            &[(8, 2, F::UnknownMechanism, Some("a")), (12, 4, F::UnknownMechanism, Some("-all"))],
        ),
        ("v=spf1 \"-all\"", &[(8, 6, F::UnknownMechanism, Some("-all"))]),
        (
            "v=spf1 redirect:_spf.example.com",
            &[(8, 8, F::UnknownMechanism, Some("redirect=_spf.example.com"))],
        ),
        ("v=spf1 - +", &[(8, 1, F::NoMechanism, Some("")), (10, 1, F::NoMechanism, Some(""))]),
        (
            "v=spf1 all:x -all/8",
            &[(11, 2, F::UnexpectedArgument, None), (18, 2, F::UnexpectedArgument, None)],
        ),
        (
            "v=spf1 a:museum a:abc.123 a:example.-com",
            &[(10, 6, F::SingleLabel, None), (23, 3, F::BadTopLabel, None), (37, 4, F::BadTopLabel, None)],
        ),
        (
            "v=spf1 exists:%{i}x exists:%{x}.y exists:%{i0}.y exists:% exists:%{i exists:%{c}.y",
            &[
                (19, 1, F::BadTopLabel, None),
                (28, 4, F::UnknownMacro, None),
                (42, 5, F::BadMacro, None),
                (57, 1, F::BadMacro, None),
                (66, 3, F::BadMacro, None),
                (77, 4, F::ExplanationMacro, None),
            ],
        ),
        (
            "v=spf1 redirect=a.example redirect=b.example exp=c.example exp=d.example",
            &[(27, 18, F::TwiceModifier, Some("")), (60, 13, F::TwiceModifier, Some(""))],
        ),
        ("v=spf1 a\tmx -all", &[(9, 1, F::OddOctet, Some("a mx"))]),
        (
            "v=spf1 a\u{a0}mx -all\u{201d}",
            &[(9, 1, F::OddOctet, Some("a mx")), (18, 1, F::OddOctet, Some("-all"))],
        ),
        ("v=spf1 moo=%x", &[(12, 2, F::BadMacro, None)]),
    ];
    for (text, want) in cases {
        let want: Vec<_> = want
            .iter()
            .map(|(column, octets, kind, mend)| (*column, *octets, *kind, mend.map(str::to_owned)))
            .collect();
        assert_eq!(faults(text), want, "{text}");
    }
}

#[test]
fn modifiers_that_were_meant_as_something_else() {
    let cases = [
        ("v=spf1 include=spf.example.com -all", Some("include:spf.example.com")),
        ("v=spf1 ip4=192.0.2.1", Some("ip4:192.0.2.1")),
        ("v=spf1 ip=192.0.2.1", Some("ip4:192.0.2.1")),
        ("v=spf1 v=spf1", Some("")),
        ("v=spf1 all=x", Some("~all")),
        ("v=spf1 ra=postmaster", None),
        ("v=spf1 a:example.com", None),
    ];
    for (text, want) in cases {
        let record = Record::parse(text.as_bytes().to_vec());
        assert_eq!(meant_modifier(&record, 0).as_deref(), want, "{text}");
    }
}

#[test]
fn long_records_are_read_in_linear_time() {
    for part in ["a ", "%", "/", "include:", ".", "ip4:1.2.3.4/", "exists:%{d}", "\u{e9}"] {
        let text = format!("v=spf1 {}", part.repeat(65_535 / part.len()));
        let record = Record::parse(text.into_bytes());
        assert!(record.terms.len() <= 32_768);
    }
}

proptest! {
    #[test]
    fn any_octets_are_read_and_every_place_lies_within(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut text = b"v=spf1 ".to_vec();
        text.extend(octets);
        prop_assert!(is_placed(&Record::parse(text)));
    }

    #[test]
    fn texts_like_records_are_read(text in "v=spf1( [+?~-]?(a|mx|ip4|ip6|include|exists|ptr|all|exp|redirect)[:=/]{0,2}[a-z0-9.%{}/:=-]{0,20}){0,9}") {
        prop_assert!(is_placed(&Record::parse(text.into_bytes())));
    }
}

/// True if all places lie within the record, terms do not overlap, and every mend is sound.
fn is_placed(record: &Record) -> bool {
    let length = record.octets().len();
    let terms = record.terms.iter().map(|term| term.span);
    let is_ordered = terms.clone().zip(terms.skip(1)).all(|(one, next)| one.end < next.start);
    let is_within = record.faults.iter().all(|fault| {
        let term = record.terms[fault.term].span;
        fault.span.start >= term.start && fault.span.start <= fault.span.end && fault.span.end <= length
    });
    let is_mended = record
        .faults
        .iter()
        .filter_map(|fault| fault.mend.as_ref())
        .all(|mend| Record::parse(format!("v=spf1 {mend}").into_bytes()).faults.is_empty());
    is_ordered && is_within && is_mended
}
