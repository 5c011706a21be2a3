use super::*;
use crate::dns_health::facts::Mailboxes;
use crate::dns_health::reported::{KnownRecords, SeenReporter};
use crate::dns_health::sample::{Zone, facts, mail, name, reported, short as lines, troubles};
use crate::mail::Address;

const ZONE: &str = "
_dmarc.reject.example TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@reject.example\"
_dmarc.test.example TXT \"v=DMARC1; p=reject; t=y; rua=mailto:dmarc@test.example\"
_dmarc.none.example TXT \"v=DMARC1; p=none; rua=mailto:dmarc@none.example\"
_dmarc.strict.example TXT \"v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:dmarc@strict.example\"
_dmarc.weak.reject.example TXT \"v=DMARC1; p=none\"
_dmarc.same.reject.example TXT \"v=DMARC1; p=reject; fo=1\"
;! _dmarc.dark.reject.example TXT timeout
;! _dmarc.silent.example TXT servfail
_dmarc.bare.example TXT \"v=DMARC1; p=reject\"
reject.example MX 10 mx.reject.example
mx.reject.example A 192.0.2.1
here.example A 192.0.2.1
none.example MX 10 elsewhere.example
elsewhere.example A 192.0.2.9
;! test.example MX servfail
";

/// The time of all tests.
fn now() -> Timestamp {
    facts("x.example").now
}

/// Mail with both, with a signature alone, with SPF alone.
fn both(domain: &str, messages: u64) -> ReportedMail {
    ReportedMail {
        dkim: vec![(name(domain), true)],
        dkim_aligned: true,
        ..mail("192.0.2.1", domain, "pass", messages)
    }
}

fn spf_only(domain: &str, source: &str, messages: u64) -> ReportedMail {
    mail(source, domain, "pass", messages)
}

/// The checks of a domain with these facts.
fn checked(domain: &str, change: impl FnOnce(&mut Facts)) -> Checks {
    let mut facts = facts(domain);
    facts.reported = Some(reported(domain, Vec::new()));
    change(&mut facts);
    let (checks, rounds) = Zone::parse(ZONE).settle(|answers| check(&facts, answers));
    assert!(rounds.len() <= 5, "{rounds:?}");
    checks
}

/// The findings and unknowns of one code with this mail.
fn found(domain: &str, code: &str, mail: Vec<ReportedMail>) -> Vec<String> {
    let checks = checked(domain, |facts| facts.reported = Some(reported(domain, mail)));
    troubles(&checks).into_iter().filter(|line| line.starts_with(code)).collect()
}

/// The record that the first finding of a code publishes.
fn publishes(checks: &Checks, code: &str) -> String {
    let finding = checks.findings().find(|finding| finding.code.code == code).unwrap();
    finding.publish.clone().unwrap().value
}

#[test]
fn without_reports_or_a_record_nothing_is_said() {
    let zone = Zone::parse(ZONE);
    let (checks, _) = zone.settle(|answers| check(&facts("reject.example"), answers));
    assert_eq!(lines(&checks), [""; 0]);
    assert_eq!(lines(&checked("absent.example", |_| {})), [""; 0]);
    let silent = lines(&checked("silent.example", |_| {}));
    assert!(
        silent.len() == CODES.len() && silent.iter().all(|line| line.contains(" not-known ")),
        "{silent:?}"
    );
    // Reports without mail are none to judge by.
    let few = troubles(&checked("reject.example", |_| {}));
    assert_eq!(
        few,
        ["DMARC-PUBLISHED", "DMARC-REJECT-USERS", "DMARC-RUA-SILENT", "DMARC-SPFONLY"]
            .map(|code| format!("{code} not-known reject.example"))
    );
}

#[test]
fn what_reject_costs() {
    let signed = || both("reject.example", 900);
    let of = |more: ReportedMail| found("reject.example", "DMARC-SPFONLY", vec![signed(), more]);
    assert_eq!(of(spf_only("reject.example", "192.0.2.7", 100)), ["DMARC-SPFONLY error reject.example"]);
    // A signature that breaks now and then is no source without one; a handful is nothing.
    assert_eq!(of(spf_only("reject.example", "192.0.2.1", 100)), [""; 0]);
    assert_eq!(of(spf_only("reject.example", "192.0.2.7", 9)), [""; 0]);
    // A milder policy loses nothing, and so does one that is not applied.
    for domain in ["none.example", "test.example"] {
        let mail = vec![both(domain, 900), spf_only(domain, "192.0.2.7", 100)];
        assert_eq!(found(domain, "DMARC-SPFONLY", mail), [""; 0], "{domain}");
    }
    let list =
        ReportedMail { overrides: vec!["mailing_list".into()], ..spf_only("reject.example", "192.0.2.8", 1) };
    let checks = checked("reject.example", |facts| {
        facts.reported = Some(reported("reject.example", vec![both("reject.example", 900), list]));
    });
    assert!(troubles(&checks).contains(&"DMARC-REJECT-USERS note reject.example".to_owned()));
    assert_eq!(
        publishes(&checks, "DMARC-REJECT-USERS"),
        "\"v=DMARC1; p=quarantine; rua=mailto:dmarc@reject.example\""
    );
    assert_eq!(found("reject.example", "DMARC-REJECT-USERS", vec![both("reject.example", 900)]), [""; 0]);
}

#[test]
fn what_strict_alignment_costs() {
    let strict = |signer: &str, messages| ReportedMail {
        dkim: vec![(name(signer), true)],
        ..mail("192.0.2.1", "strict.example", "fail", messages)
    };
    let of = |mail: Vec<ReportedMail>| {
        checked("strict.example", |facts| facts.reported = Some(reported("strict.example", mail)))
    };
    let checks = of(vec![strict("strict.example", 900), strict("mail.strict.example", 100)]);
    let finding = checks.findings().find(|finding| finding.code == &DMARC_ALIGN).unwrap();
    assert_eq!(finding.evidence, "100 of 1000 messages (10.0 %) fail by strict alignment alone");
    assert_eq!(publishes(&checks, "DMARC-ALIGN"), "\"v=DMARC1; p=reject; rua=mailto:dmarc@strict.example\"");
    let align = |mail| -> Vec<String> {
        lines(&of(mail)).into_iter().filter(|line| line.starts_with("DMARC-ALIGN")).collect()
    };
    assert_eq!(align(vec![strict("strict.example", 900)]), ["DMARC-ALIGN ok strict.example"]);
    // Signatures of others align in no mode.
    let stranger = vec![strict("strict.example", 900), strict("vendor.example", 100)];
    assert_eq!(align(stranger), ["DMARC-ALIGN ok strict.example"]);
    assert_eq!(align(vec![strict("strict.example", 3)]), ["DMARC-ALIGN not-known strict.example"]);
    assert_eq!(found("reject.example", "DMARC-ALIGN", vec![both("reject.example", 900)]), [""; 0]);
}

#[test]
fn subdomains_that_send() {
    let of = |sub: &str, messages| {
        let mail = ReportedMail { author: name(sub), ..both("reject.example", messages) };
        checked("reject.example", |facts| facts.reported = Some(reported("reject.example", vec![mail])))
    };
    let line = |sub: &str, messages| -> Vec<String> {
        lines(&of(sub, messages)).into_iter().filter(|line| line.starts_with("DMARC-SUBS")).collect()
    };
    assert_eq!(line("news.reject.example", 100), ["DMARC-SUBS note news.reject.example"]);
    assert_eq!(line("weak.reject.example", 100), ["DMARC-SUBS note weak.reject.example"]);
    assert_eq!(line("same.reject.example", 100), ["DMARC-SUBS ok same.reject.example"]);
    assert_eq!(line("dark.reject.example", 100), ["DMARC-SUBS not-known dark.reject.example"]);
    assert_eq!(line("news.reject.example", 3), [""; 0]);
    assert_eq!(
        publishes(&of("news.reject.example", 100), "DMARC-SUBS"),
        "\"v=DMARC1; p=reject; rua=mailto:dmarc@reject.example\""
    );
}

#[test]
fn reports_that_do_not_come_any_more() {
    let ago = |days: i64| Timestamp::from_ms(now().ms() - days * DAY);
    let of = |domain: &str, last: Option<i64>, reporters: &[(&str, u32, i64)]| {
        let checks = checked(domain, |facts| {
            let reported = facts.reported.as_mut().unwrap();
            reported.last_received = last.map(ago);
            reported.reporters = reporters
                .iter()
                .map(|(name, days, last)| SeenReporter {
                    name: (*name).to_owned(),
                    days: *days,
                    last: ago(*last),
                })
                .collect();
        });
        let silent = lines(&checks).into_iter().filter(|line| line.starts_with("DMARC-RUA-SILENT"));
        silent.collect::<Vec<_>>()
    };
    assert_eq!(of("reject.example", Some(1), &[]), ["DMARC-RUA-SILENT ok reject.example"]);
    assert_eq!(of("reject.example", Some(9), &[]), ["DMARC-RUA-SILENT warning reject.example"]);
    assert_eq!(of("reject.example", None, &[]), ["DMARC-RUA-SILENT not-known reject.example"]);
    assert_eq!(of("bare.example", Some(9), &[]), [""; 0]);
    assert_eq!(
        of("reject.example", Some(1), &[("a", 20, 9), ("b", 20, 2), ("c", 3, 20)]),
        ["DMARC-RUA-SILENT note a", "DMARC-RUA-SILENT ok reject.example"]
    );
}

#[test]
fn policies_that_reporters_saw() {
    let ago = |days: i64| Timestamp::from_ms(now().ms() - days * DAY);
    let seen = |p: &str, sp: Option<&str>, begin: i64| SeenPolicy {
        reporter: "r.example".to_owned(),
        begin: ago(begin),
        end: ago(begin - 1),
        tags: [Some(p.to_owned()), sp.map(str::to_owned), None, Some("r".to_owned()), None, None],
    };
    let of = |policies: Vec<SeenPolicy>, changed: Option<i64>| {
        let checks = checked("reject.example", |facts| {
            facts.reported.as_mut().unwrap().policies = policies;
            facts.known = changed
                .map(|days| KnownRecords {
                    name: name("_dmarc.reject.example"),
                    records: Vec::new(),
                    since: ago(days),
                })
                .into_iter()
                .collect();
        });
        let finding = checks.findings().find(|finding| finding.code == &DMARC_PUBLISHED);
        let line = lines(&checks).into_iter().find(|line| line.starts_with("DMARC-PUBLISHED")).unwrap();
        (line, finding.map(|finding| finding.evidence.clone()).unwrap_or_default())
    };
    let ok = ("DMARC-PUBLISHED ok reject.example".to_owned(), String::new());
    let unknown = ("DMARC-PUBLISHED not-known reject.example".to_owned(), String::new());
    // What is left out, and `sp` filled in from `p`, mean the same.
    assert_eq!(of(vec![seen("reject", Some("reject"), 2), seen("Reject", None, 2)], None), ok);
    let (line, evidence) = of(vec![seen("reject", None, 2), seen("none", Some("none"), 2)], None);
    assert_eq!(line, "DMARC-PUBLISHED note reject.example");
    assert_eq!(evidence, "1 of 2 reporters: r.example saw p=none, sp=none");
    // Old reports, and those that began before the record was known to all, prove nothing.
    assert_eq!(of(vec![seen("none", None, 9)], None), unknown);
    assert_eq!(of(vec![seen("none", None, 2)], Some(2)), unknown);
    assert_eq!(of(vec![seen("none", None, 2)], Some(4)).0, "DMARC-PUBLISHED note reject.example");
}

#[test]
fn addresses_that_are_ours() {
    let of = |domain: &str, host: &str, mailboxes: &[&str], reads_elsewhere: bool| {
        let mailboxes = mailboxes.iter().map(|text| Address::parse(text).unwrap()).collect();
        let checks = checked(domain, |facts| {
            facts.reported = None;
            facts.mailboxes = Mailboxes {
                aggregate: mailboxes,
                host: Some(name(host)),
                reads_elsewhere,
                ..Mailboxes::default()
            };
        });
        lines(&checks)
    };
    let own = ["Dmarc@reject.example", "dmarc@none.example", "dmarc@test.example"];
    assert_eq!(of("reject.example", "mx.reject.example", &own, false), ["DMARC-RUA-SELF ok reject.example"]);
    // Another name of the same host.
    assert_eq!(of("reject.example", "here.example", &own, false), ["DMARC-RUA-SELF ok reject.example"]);
    assert_eq!(of("none.example", "here.example", &own, false), ["DMARC-RUA-SELF error none.example"]);
    assert_eq!(of("test.example", "here.example", &own, false), ["DMARC-RUA-SELF not-known test.example"]);
    // None of ours.
    assert_eq!(
        of("reject.example", "here.example", &["x@y.example"], false),
        ["DMARC-RUA-SELF warning reject.example"]
    );
    assert_eq!(of("reject.example", "here.example", &["x@y.example"], true), [""; 0]);
}
