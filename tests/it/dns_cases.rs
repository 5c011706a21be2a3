//! Third-party cases about DNS, through the judgements and through whole checks of a domain.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test an error is a failure")]

use mailsonde::authentication::dkim::Service;
use mailsonde::authentication::dmarc::{
    AuthorVerdict, DmarcResult, Identifier, Mechanism, Standing, discover, evaluate,
};
use mailsonde::authentication::spf::{Identity, Input, check};
use mailsonde::authentication::{evidence, verify};
use mailsonde::clock::Timestamp;
use mailsonde::dns::{Answers, Ask, Cause, Name, ZoneResolver};
use mailsonde::dns_health::facts::{Facts, KnownSelector, SelectorOrigin};
use mailsonde::dns_health::finding::Severity;
use mailsonde::dns_health::report::{Health, judge};
use mailsonde::limits;
use mailsonde::mail::{Address, Envelope, Origin, ReversePath};

use crate::support::shared;

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

/// Calls a judgement until it is done, answered from a zone; gives also the number of questions.
fn settle<T>(zone: &ZoneResolver, judge: impl Fn(&Answers) -> Result<T, Ask>) -> (T, usize) {
    let mut answers = Answers::new();
    let mut asked = 0;
    loop {
        match judge(&answers) {
            Ok(done) => return (done, asked),
            Err(ask) => ask.questions.into_iter().for_each(|question| {
                let answer = zone.answer(&question);
                asked += 1;
                answers.put(question, answer);
            }),
        }
    }
}

/// The zone of a case with its faults; every name outside it is absent, as the case's own server has it.
fn case(number: &str) -> Option<ZoneResolver> {
    let folder = shared(&format!("cases/{number}"))?;
    let text = std::fs::read_to_string(folder.join("zone.txt")).unwrap();
    let mut zone = ZoneResolver::parse(&format!(". SOA ns.test. h.test. 1 60 60 60 60\n{text}")).unwrap();
    let faults = std::fs::read_to_string(folder.join("faults.json")).unwrap_or("{}".to_owned());
    let faults: serde_json::Value = serde_json::from_str(&faults).unwrap();
    for (question, fault) in faults.as_object().unwrap() {
        let (owner, _) = question.split_once("./").unwrap();
        let cause = Cause::parse(fault.as_str().unwrap()).unwrap();
        zone.fail(name(owner), None, cause);
    }
    Some(zone)
}

/// Checks a domain with the selectors that are known.
fn checked(zone: &ZoneResolver, domain: &str, selectors: &[&str]) -> Health {
    let mut facts = Facts::new(name(domain), Timestamp::from_seconds(1_790_000_000), "nonce-7f3a");
    facts.selectors = selectors
        .iter()
        .map(|selector| KnownSelector { selector: (*selector).to_owned(), origin: SelectorOrigin::Arrival })
        .collect();
    settle(zone, |answers| judge(&facts, answers)).0
}

/// The codes of a subject (the beginning of them) that were found as warning or worse, sorted, each once; that the
/// cases' addresses are those of documentation is left out.
fn worse(health: &Health, subject: &str) -> Vec<&'static str> {
    let findings = health.findings.iter().filter(|finding| finding.severity >= Severity::Warning);
    let mut codes: Vec<_> =
        findings.map(|finding| finding.code.code).filter(|code| code.starts_with(subject)).collect();
    codes.retain(|code| *code != "SPF-PRIVATE");
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The first finding of a code.
fn finding<'h>(health: &'h Health, code: &str) -> &'h mailsonde::dns_health::finding::Finding {
    let found = health.findings.iter().find(|finding| finding.code.code == code);
    found.unwrap_or_else(|| panic!("no {code} in {:?}", health.findings))
}

/// What DMARC says of mail of an author for which SPF passed with these domains.
fn dmarc(zone: &ZoneResolver, author: &str, spf: &[&str]) -> (DmarcResult, AuthorVerdict) {
    let identifiers: Vec<Identifier> = spf
        .iter()
        .map(|domain| Identifier {
            mechanism: Mechanism::Spf,
            domain: name(domain),
            standing: Standing::Passed,
        })
        .collect();
    let (verdict, _) = settle(zone, |answers| evaluate(&[name(author)], &identifiers, answers));
    let result = verdict.result;
    (result, verdict.authors.into_iter().next().unwrap())
}

/// Policy as published, where it was found, test mode: of mail that fails.
fn policy(zone: &ZoneResolver, author: &str) -> (&'static str, String, bool) {
    let (_, verdict) = dmarc(zone, author, &[]);
    let (owner, record) = verdict.discovery.policy_record().unwrap();
    let published = verdict.by_walk.policy.as_ref().and_then(|policy| policy.published).unwrap();
    (published.as_str(), owner.to_string(), record.is_testing)
}

/// Null MX, no MX, a target that is missing: told apart before any probe is sent.
#[test]
fn case_096_null_mx_and_fallbacks() {
    let Some(zone) = case("096-null-mx-and-fallbacks") else { return };
    let of = |domain: &str| worse(&checked(&zone, domain, &[]), "MX-");
    // A null MX is meant, whatever addresses stand beside it.
    assert_eq!(of("nullmx.example"), [""; 0]);
    let null = checked(&zone, "nullmx.example", &[]);
    assert!(!null.class.unwrap().receives(), "{:?}", null.class);
    assert!(checked(&zone, "nomx.example", &[]).class.unwrap().as_str() == "mail-host");
    assert_eq!(of("dangling.example"), ["MX-NXDOMAIN"]);
    assert_eq!(finding(&checked(&zone, "dangling.example", &[]), "MX-NXDOMAIN").severity, Severity::Critical);
    // Both hosts of the case are on loopback, which no stranger reaches.
    assert_eq!(of("multi.example"), ["MX-PRIVATE"]);
}

#[test]
fn case_099_records_in_several_strings() {
    let Some(zone) = case("099-txt-in-several-strings") else { return };
    let (_, verdict) = dmarc(&zone, "example.com", &[]);
    let (_, record) = verdict.discovery.policy_record().unwrap();
    assert_eq!(
        (record.p.policy().unwrap().as_str(), record.sp.policy().unwrap().as_str()),
        ("reject", "quarantine")
    );
    let rua: Vec<&str> = record.rua.iter().map(|uri| uri.text.as_str()).collect();
    assert_eq!((rua.as_slice(), record.remarks.len()), (["mailto:dmarc@example.com"].as_slice(), 0));
    let health = checked(&zone, "example.com", &[]);
    assert_eq!((worse(&health, "SPF-"), worse(&health, "DMARC-R")), (Vec::new(), Vec::new()));
    // However a record is cut, it is the same record.
    let text = "v=DMARC1;p=reject;rua=mailto:dmarc@example.com;sp=quarantine";
    for at in 0..=text.len() {
        let (one, other) = text.split_at(at);
        let zone =
            format!(". SOA ns.test. h.test. 1 60 60 60 60\n_dmarc.example.com. TXT \"{one}\" \"{other}\"");
        let zone = ZoneResolver::parse(&zone).unwrap();
        assert_eq!(policy(&zone, "example.com").0, "reject", "{at}");
        assert_eq!(policy(&zone, "x.example.com").0, "quarantine", "{at}");
    }
}

#[test]
fn case_101_two_records_are_none() {
    let Some(zone) = case("101-two-dmarc-records") else { return };
    for domain in ["example.com", "sub.example.com"] {
        let (result, verdict) = dmarc(&zone, domain, &[domain]);
        assert_eq!((result, verdict.discovery.policy_record()), (DmarcResult::None, None), "{domain}");
        let health = checked(&zone, domain, &[]);
        let several = finding(&health, "DMARC-MULTI");
        assert_eq!(several.severity, Severity::Error);
        for text in ["2 records", "v=DMARC1; p=none"] {
            assert!(several.evidence.contains(text), "{domain}: {}", several.evidence);
        }
        // Nothing is told to be in force.
        assert!(!health.findings.iter().any(|finding| finding.code.code == "DMARC-WALK"), "{domain}");
    }
    let both = finding(&checked(&zone, "example.com", &[]), "DMARC-MULTI").evidence.clone();
    assert!(both.contains("a@example.com") && both.contains("p=reject"), "{both}");
    assert_eq!(policy(&zone, "example.net"), ("reject", "example.net".to_owned(), false));
    let stray = finding(&checked(&zone, "example.net", &[]), "DMARC-ALMOST").evidence.clone();
    assert!(stray.contains("rua=mailto:x@example.net"), "{stray}");
}

#[test]
fn case_103_trouble_is_not_absence() {
    let Some(zone) = case("103-servfail-is-not-absent") else { return };
    for (domain, cause) in [("mail.example.com", "servfail"), ("slow.example.com", "timeout")] {
        // Mail that would pass can neither pass nor fail.
        for spf in [&[domain][..], &[]] {
            let (result, verdict) = dmarc(&zone, domain, spf);
            assert_eq!(result, DmarcResult::TempError, "{domain}");
            assert!(verdict.by_walk.policy.is_none_or(|policy| policy.published.is_none()), "{domain}");
        }
        let health = checked(&zone, domain, &[]);
        assert_eq!(worse(&health, "DMARC-"), [""; 0], "{domain}");
        let states: Vec<_> = health.checks.iter().filter(|check| check.code.code == "DMARC-NONE").collect();
        assert_eq!(states.len(), 1);
        let mailsonde::dns_health::finding::State::NotKnown { cause: told, .. } = &states[0].state else {
            panic!("{states:?}");
        };
        assert_eq!(told, cause);
    }
    assert_eq!(policy(&zone, "gone.example.com"), ("reject", "example.com".to_owned(), false));
    assert_eq!(dmarc(&zone, "gone.example.com", &[]).0, DmarcResult::Fail);
    let patience = limits::DNS_TIMEOUT * limits::DNS_ATTEMPTS;
    assert!(patience.as_secs() <= 10, "a server is waited for {patience:?}");
}

#[test]
fn case_105_siblings_align() {
    let Some(zone) = case("105-sibling-subdomains-align") else { return };
    let input = Input {
        ip: "192.0.2.25".parse().unwrap(),
        identity: Identity::MailFrom,
        mail_from: "x@z.example.org",
        helo: "mail.example",
        receiver: "",
        now: Timestamp::from_seconds(0),
        void_limit: limits::SPF_VOIDS,
    };
    let (verdict, _) = settle(&zone, |answers| check(&input, answers));
    assert_eq!((verdict.result.as_str(), verdict.domain.as_str()), ("pass", "z.example.org"));
    let (result, verdict) = dmarc(&zone, "a.b.c.example.org", &[&verdict.domain]);
    assert_eq!(result, DmarcResult::Pass);
    assert_eq!(verdict.discovery.organizational, Some(name("example.org")));
    assert_eq!(policy(&zone, "a.b.c.example.org").1, "example.org");
    // The mail of the case, as a whole.
    let mail =
        std::fs::read(shared("cases/105-sibling-subdomains-align").unwrap().join("probe.eml")).unwrap();
    let arrived = Timestamp::from_seconds(1_772_424_600);
    let envelope = Envelope {
        peer: Some("192.0.2.25:25".parse().unwrap()),
        helo: Some("mail.example".to_owned()),
        mail_from: Some(ReversePath::Address(Address::parse("x@z.example.org").unwrap())),
        ..Envelope::without_transport(Origin::Smtp, arrived)
    };
    let facts = verify::Facts {
        envelope: &envelope,
        service: Service::Mail,
        receiver: "mail.example",
        trusted_hosts: &[],
        now: arrived,
    };
    let (verdicts, _) = settle(&zone, |answers| verify::judge(&facts, &mail, answers));
    let words = evidence::words(&verdicts);
    assert_eq!((words.spf.as_str(), words.spf_domain.as_deref()), ("pass", Some("z.example.org")));
    assert_eq!((words.dmarc.as_str(), words.header_from.as_deref()), ("pass", Some("a.b.c.example.org")));
    // What only ends alike is another organization.
    for stranger in ["xexample.org", "example.org.test", "org"] {
        assert_eq!(dmarc(&zone, "a.b.c.example.org", &[stranger]).0, DmarcResult::Fail, "{stranger}");
    }
}

#[test]
fn case_108_terms_are_counted() {
    let Some(zone) = case("108-spf-mx-lookup-count") else { return };
    let many = checked(&zone, "many.example", &[]);
    assert_eq!(worse(&many, "SPF-"), ["SPF-LOOKUPS"]);
    let near = finding(&many, "SPF-LOOKUPS");
    assert_eq!(near.severity, Severity::Warning);
    assert!(
        near.evidence.starts_with("9 of 10 terms") && near.evidence.contains("mx 1,"),
        "{}",
        near.evidence
    );
    let over = checked(&zone, "over.example", &[]);
    let above = finding(&over, "SPF-LOOKUPS");
    assert_eq!(above.severity, Severity::Error);
    assert!(above.evidence.contains("11"), "{}", above.evidence);
}

#[test]
fn case_110_each_fault_has_its_code() {
    let Some(zone) = case("110-spf-multiple-and-include") else { return };
    for (domain, want) in [
        // The first in the order of texts is looked into: its include leads to nothing.
        ("two.example", &["SPF-INCLUDE-NONE", "SPF-MULTI"][..]),
        ("incnone.example", &["SPF-INCLUDE-NONE"]),
        ("incfail.example", &[]),
        ("typo.example", &["SPF-SYNTAX"]),
        ("upper.example", &[]),
    ] {
        let health = checked(&zone, domain, &[]);
        assert_eq!(worse(&health, "SPF-"), want, "{domain}");
    }
    let typo = checked(&zone, "typo.example", &[]);
    let publish = finding(&typo, "SPF-SYNTAX").publish.as_ref().unwrap();
    assert_eq!(publish.value, "\"v=spf1 include:spf.example ip4:192.0.2.5 -all\"");
    let two = checked(&zone, "two.example", &[]);
    assert_eq!(finding(&two, "SPF-MULTI").publish.as_ref().unwrap().old.len(), 2);
}

#[test]
fn case_112_forms_of_keys() {
    let Some(zone) = case("112-dkim-key-record-forms") else { return };
    let health = checked(&zone, "example.com", &["sp", "nov", "svc", "cn", "mail"]);
    let bad: Vec<_> = health
        .findings
        .iter()
        .filter(|finding| finding.code.code.starts_with("DKIM-") && finding.severity >= Severity::Warning)
        .map(|finding| format!("{} {}", finding.code.code, finding.subject))
        .collect();
    assert_eq!(bad, ["DKIM-SERVICE mail._domainkey.example.com"]);
    let selectors = health.findings.iter().filter(|finding| finding.code.code == "DKIM-SEL").count();
    assert_eq!(selectors, 5);
}

#[test]
fn case_116_the_walk_and_its_policies() {
    let Some(zone) = case("116-tree-walk-np-t") else { return };
    let long = "a.b.c.d.e.f.g.h.i.j.mail.example.com";
    for (author, want, owner, is_testing) in [
        ("example.com", "reject", "example.com", true),
        ("real.example.com", "quarantine", "example.com", true),
        ("nope.example.com", "reject", "example.com", true),
        ("own.example.com", "none", "own.example.com", false),
        ("deep.own.example.com", "quarantine", "example.com", true),
        (long, "quarantine", "example.com", true),
    ] {
        assert_eq!(policy(&zone, author), (want, owner.to_owned(), is_testing), "{author}");
    }
    let (walk, asked) = settle(&zone, |answers| discover(&name(long), answers));
    assert_eq!((asked, walk.steps.len()), (8, 8));
    let health = checked(&zone, "example.com", &[]);
    assert!(finding(&health, "DMARC-TEST").evidence.contains("applied as quarantine"));
    let own = checked(&zone, "own.example.com", &[]);
    assert_eq!(finding(&own, "DMARC-SP-IGNORED").severity, Severity::Note);
    let deep = checked(&zone, long, &[]);
    assert!(finding(&deep, "DMARC-WALK").evidence.contains("the record of example.com is in force"));
    assert_eq!(finding(&deep, "DMARC-DEEP").severity, Severity::Warning);
}

#[test]
fn case_117_redirect_all_and_macros() {
    let Some(zone) = case("117-spf-redirect-all-macro") else { return };
    for (domain, want) in [
        ("r.example", &[][..]),
        ("both.example", &["SPF-REDIRECT-DEAD"]),
        ("after.example", &["SPF-AFTER-ALL"]),
        ("early.example", &[]),
        ("norec.example", &["SPF-INCLUDE-NONE"]),
        ("six.example", &[]),
    ] {
        let health = checked(&zone, domain, &[]);
        assert_eq!(worse(&health, "SPF-"), want, "{domain}: {:?}", health.findings);
    }
    let six = checked(&zone, "six.example", &[]);
    assert_eq!(finding(&six, "SPF-MACRO").severity, Severity::Info);
    // One record with a redirect is one record.
    assert!(
        !checked(&zone, "r.example", &[]).findings.iter().any(|finding| finding.code.code == "SPF-MULTI")
    );
}
