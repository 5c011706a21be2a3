//! SPF: the third-party cases, and `dns spf` on the zone of our own.

use std::path::Path;

use mailsonde::authentication::spf::tree::{self, Tree};
use mailsonde::authentication::spf::{Identity, Input, Verdict, check};
use mailsonde::clock::Timestamp;
use mailsonde::dns::{Answers, Ask, Name, ZoneResolver};
use mailsonde::limits;

use crate::support::program::{json, run};
use crate::support::shared;

/// Calls a judgement until it is done, answered from a zone.
fn settle<T>(zone: &ZoneResolver, judge: impl Fn(&Answers) -> Result<T, Ask>) -> T {
    let mut answers = Answers::new();
    loop {
        match judge(&answers) {
            Ok(done) => return done,
            Err(ask) => ask.questions.into_iter().for_each(|question| {
                let answer = zone.answer(&question);
                answers.put(question, answer);
            }),
        }
    }
}

/// The zone of a third-party case; every name outside it is absent, as its own server has it.
fn case(number: &str) -> Option<ZoneResolver> {
    let folder = shared(&format!("cases/{number}"))?;
    let text = std::fs::read_to_string(folder.join("zone.txt")).unwrap();
    Some(ZoneResolver::parse(&format!(". SOA ns.test. h.test. 1 60 60 60 60\n{text}")).unwrap())
}

/// Checks a mail of a domain.
fn checked(zone: &ZoneResolver, domain: &str, ip: &str) -> Verdict {
    let mail_from = format!("x@{domain}");
    let input = Input {
        ip: ip.parse().unwrap(),
        identity: Identity::MailFrom,
        mail_from: &mail_from,
        helo: "mail.example",
        receiver: "",
        now: Timestamp::from_seconds(0),
        void_limit: limits::SPF_VOIDS,
    };
    settle(zone, |answers| check(&input, answers))
}

/// The tree of a domain.
fn tree_of(zone: &ZoneResolver, domain: &str) -> Tree {
    let name = Name::from_dotted(domain).unwrap();
    settle(zone, |answers| tree::tree(&name, answers))
}

/// Strings are joined without anything between, wherever they are cut.
#[test]
fn case_099_records_in_several_strings() {
    let Some(zone) = case("099-txt-in-several-strings") else { return };
    let results = ["192.0.2.9", "198.51.100.1"].map(|ip| checked(&zone, "example.com", ip).result.as_str());
    assert_eq!(results, ["pass", "fail"]);
    let tree = tree_of(&zone, "example.com");
    let published = tree.root().unwrap().found.published().unwrap();
    assert_eq!(
        (published.records[0].strings.as_slice(), published.records[0].glued.len()),
        (&[17, 9, 2][..], 0)
    );
    // Every way to cut a record gives the same record.
    let record = "v=spf1 ip4:192.0.2.0/24 include:i.example -all";
    for at in 0..record.len() {
        let (one, other) = record.split_at(at);
        let zone = format!(
            "example. SOA ns. h. 1 1 1 1 1\na.example. TXT \"{one}\" \"{other}\"\ni.example. TXT \"v=spf1 -all\""
        );
        let zone = ZoneResolver::parse(&zone).unwrap();
        assert_eq!(checked(&zone, "a.example", "192.0.2.1").result.as_str(), "pass", "{at}");
    }
}

#[test]
fn case_105_the_domain_of_the_envelope_passes() {
    let Some(zone) = case("105-sibling-subdomains-align") else { return };
    let verdict = checked(&zone, "z.example.org", "192.0.2.25");
    assert_eq!((verdict.result.as_str(), verdict.domain.as_str()), ("pass", "z.example.org"));
}

/// Terms count, not queries.
#[test]
fn case_108_terms_are_counted() {
    let Some(zone) = case("108-spf-mx-lookup-count") else { return };
    let of = |domain, ip| {
        let verdict = checked(&zone, domain, ip);
        (verdict.result.as_str(), verdict.lookups())
    };
    assert_eq!(of("many.example", "192.0.2.10"), ("pass", 1));
    assert_eq!(of("many.example", "198.51.100.7"), ("pass", 9));
    assert_eq!(of("over.example", "198.51.100.9"), ("permerror", 11));
    // The tree counts the same, and goes on past the limit.
    let lookups = |domain| tree_of(&zone, domain).root().unwrap().counts.lookups;
    assert_eq!((lookups("many.example"), lookups("over.example")), (9, 11));
    let breaches = tree_of(&zone, "over.example").breaches();
    assert_eq!(breaches.iter().map(|breach| breach.kind.as_str()).collect::<Vec<_>>(), ["lookups"]);
}

#[test]
fn case_110_several_records_and_includes() {
    let Some(zone) = case("110-spf-multiple-and-include") else { return };
    let results = ["two.example", "incnone.example", "incfail.example", "typo.example", "upper.example"]
        .map(|domain| checked(&zone, domain, "192.0.2.5").result.as_str());
    assert_eq!(results, ["permerror", "permerror", "pass", "permerror", "pass"]);
    // The tree names the cause of each permerror, and none where there is none.
    let causes = ["two.example", "incnone.example", "incfail.example", "typo.example", "upper.example"]
        .map(|domain| tree_of(&zone, domain).breaches().first().map(|breach| breach.kind.as_str()));
    assert_eq!(causes[1..4], [Some("leads-nowhere"), None, Some("unknown-mechanism")]);
    assert_eq!((causes[0], causes[4]), (Some("several-records"), None));
    let mend = tree_of(&zone, "typo.example").nodes[0].record().unwrap().faults[0].mend.clone();
    assert_eq!(mend.as_deref(), Some("include:spf.example"));
}

#[test]
fn case_117_redirect_all_and_macros() {
    let Some(zone) = case("117-spf-redirect-all-macro") else { return };
    let cases = [
        ("r.example", "192.0.2.5", "pass"),
        ("both.example", "192.0.2.5", "softfail"),
        ("after.example", "192.0.2.5", "fail"),
        ("early.example", "192.0.2.5", "pass"),
        ("early.example", "192.0.2.9", "pass"),
        ("norec.example", "192.0.2.5", "permerror"),
        ("six.example", "2001:db8::1", "pass"),
        ("six.example", "192.0.2.5", "pass"),
    ];
    for (domain, ip, want) in cases {
        assert_eq!(checked(&zone, domain, ip).result.as_str(), want, "{domain} from {ip}");
    }
}

/// A folder with our zone.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let zone = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dns/spf.zone");
    std::fs::copy(zone, folder.path().join("spf.zone")).unwrap();
    folder
}

/// The answer of `dns spf` as JSON, with the exit code.
fn answer(folder: &Path, arguments: &[&str]) -> (serde_json::Value, i32) {
    let mut all = vec!["dns", "spf", "--zone", "spf.zone", "--format", "json"];
    all.extend(arguments);
    let output = run(folder, &all);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (value, output.status.code().unwrap())
}

#[test]
fn the_tree_as_json() {
    let folder = folder();
    let (tree, code) = answer(folder.path(), &["example.com"]);
    assert_eq!((code, tree["view"].as_str()), (1, Some("spf")));
    let totals = &tree["totals"];
    assert_eq!((totals["lookups"].as_u64(), totals["ipv4_addresses"].as_u64()), (Some(5), Some(64 + 16 + 1)));
    assert_eq!(
        (totals["is_lower_bound"].as_bool(), totals["may_pass_more"].as_bool()),
        (Some(true), Some(true))
    );
    assert_eq!(totals["faults"].as_array().unwrap().len(), 1);
    assert_eq!(totals["faults"][0]["kind"], "leads-nowhere");
    let terms: Vec<_> = tree["rows"].as_array().unwrap().iter().map(|row| row["term"].as_str()).collect();
    assert_eq!(terms.len(), 1 + 6 + 4);
    assert_eq!(terms[3..5], [Some("include:_spf.crm.example"), Some("ip4:203.0.113.0/28")]);

    let (faulty, code) = answer(folder.path(), &["faulty.example.com"]);
    assert_eq!(code, 1);
    let mends = faulty["totals"]["faults"].as_array().unwrap().iter();
    let mends: Vec<_> =
        mends.map(|fault| (fault["column"].as_u64().unwrap(), fault["mend"].as_str())).collect();
    let want = [
        (10, Some("ip4:192.0.2.1")),
        (24, Some("ip6:2001:db8::/32")),
        (38, Some("include:spf.example")),
        (73, Some("-all")),
    ];
    assert_eq!(mends, want);
    // What was not answered is not known, and no fault.
    let (silent, code) = answer(folder.path(), &["silent.example.com"]);
    assert_eq!((code, silent["totals"]["faults"].as_array().unwrap().len()), (0, 0));
    assert_eq!(silent["rows"][1]["remarks"][0], "not known: timeout");
    let news = json(folder.path(), &["dns", "spf", "news.example.com", "--zone", "spf.zone"]);
    assert_eq!(news["totals"]["lookups"], 1);
}

#[test]
fn the_trace_as_json() {
    let folder = folder();
    let (trace, code) = answer(folder.path(), &["example.com", "--ip", "203.0.113.40"]);
    assert_eq!((code, trace["totals"]["result"].as_str()), (0, Some("pass")));
    assert_eq!(trace["totals"]["mechanism"], "a:pool.crm.example");
    assert_eq!(trace["totals"]["mechanism_domain"], "_spf.crm.example");
    assert_eq!(trace["totals"]["lookups"], 3);
    let (trace, code) = answer(folder.path(), &["example.com", "--ip", "192.0.2.200", "--sender", "a"]);
    assert_eq!((code, trace["totals"]["result"].as_str()), (1, Some("permerror")));
    assert_eq!(trace["totals"]["reason"], "leads to no record: the name does not exist");
    let (trace, code) = answer(folder.path(), &["silent.example.com", "--ip", "192.0.2.200"]);
    assert_eq!((code, trace["totals"]["result"].as_str()), (1, Some("temperror")));
    let reason = trace["totals"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("no answer for silent.crm.example TXT: timeout"), "{reason}");
}

#[test]
fn wrong_use_in_words() {
    let folder = folder();
    let said = |arguments: &[&str]| {
        let mut all = vec!["dns", "spf", "--zone", "spf.zone"];
        all.extend(arguments);
        let output = run(folder.path(), &all);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said(&["a@example.com"]);
    assert!(code == 2 && text.contains("no domain") && text.contains("hint: "), "{text}");
    let (code, text) = said(&["example.com", "--ip", "192.0.2.1", "--sender", "a@example.net"]);
    assert!(code == 2 && text.contains("another domain"), "{text}");
    let (code, text) = said(&["example.com", "--sender", "a"]);
    assert!(code == 2 && text.contains("--ip"), "{text}");
    // A domain of which nothing is known is no domain without a record.
    let (code, text) = said(&["example.test"]);
    assert!(
        code == 3 && text.contains("no answer for example.test TXT") && text.contains("hint: "),
        "{text}"
    );
    let (code, _) = said(&["absent.example.com"]);
    assert_eq!(code, 1);
}

// ---- dns simulate ----

/// A folder with our zone and the sample mails read.
fn folder_with_reports() -> tempfile::TempDir {
    let folder = folder();
    let mails = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail");
    run(folder.path(), &["import", mails.to_str().unwrap()]);
    folder
}

/// The answer of `dns simulate` as JSON, with the exit code.
fn simulated(folder: &Path, arguments: &[&str]) -> (serde_json::Value, i32) {
    let mut all = vec!["dns", "simulate", "example.com", "--zone", "spf.zone", "--format", "json"];
    all.extend(arguments);
    let output = run(folder, &all);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (value, output.status.code().unwrap())
}

/// The row of a source and author domain.
fn row<'v>(answer: &'v serde_json::Value, source: &str, header_from: &str) -> &'v serde_json::Value {
    let rows = answer["rows"].as_array().unwrap();
    let found = rows.iter().find(|row| row["source_ip"] == source && row["header_from"] == header_from);
    found.unwrap_or_else(|| panic!("no row of {source}: {answer}"))
}

#[test]
fn another_record_against_stored_reports() {
    let folder = folder_with_reports();
    // The record of now, tried: nothing changes.
    let now =
        "v=spf1 mx ip4:192.0.2.0/26 include:_spf.crm.example include:gone.crm.example -all ip4:192.0.2.77";
    let (answer, code) = simulated(folder.path(), &["--spf", now]);
    assert_eq!((code, answer["view"].as_str()), (0, Some("simulate")));
    let totals = &answer["totals"];
    assert_eq!((totals["messages"].as_u64(), totals["pass_reported"].as_u64()), (Some(1665), Some(871)));
    assert_eq!((totals["gained"].as_u64(), totals["lost"].as_u64()), (Some(0), Some(0)));
    assert_eq!(totals["pass_now"], totals["pass_then"]);
    // Without our own servers only DKIM is left to them.
    let (answer, _) = simulated(folder.path(), &["--spf", "v=spf1 -all"]);
    let own = row(&answer, "192.0.2.10", "example.com");
    assert_eq!((own["spf_now"].as_str(), own["spf_then"].as_str()), (Some("pass"), Some("fail")));
    assert_eq!(own["pass_now"], own["pass_then"]);
    // What a vendor sends in its own name is not changed by our record.
    let vendor = row(&answer, "198.51.100.20", "example.com");
    assert_eq!((vendor["spf_now"].as_str(), vendor["change"].as_str()), (Some("pass"), Some("same")));
    // A policy of reject hits what fails.
    let (answer, _) = simulated(folder.path(), &["--dmarc", "v=DMARC1; p=reject"]);
    let totals = &answer["totals"];
    let fails = totals["messages"].as_u64().unwrap() - totals["pass_then"].as_u64().unwrap();
    assert_eq!((totals["reject_then"].as_u64(), totals["quarantine_then"].as_u64()), (Some(fails), Some(0)));
    assert_eq!(row(&answer, "203.0.113.99", "login.example.com")["reject_then"], 3);
    // With sums cut by a limit, and for a period without reports.
    let (answer, _) = simulated(folder.path(), &["--spf", now, "--limit", "2"]);
    assert_eq!(
        (answer["rows"].as_array().unwrap().len(), answer["totals"]["messages"].as_u64()),
        (2, Some(1665))
    );
    let (answer, code) =
        simulated(folder.path(), &["--spf", now, "--since", "2001-01-01", "--until", "2001-01-02"]);
    assert_eq!((code, answer["totals"]["messages"].as_u64()), (0, Some(0)));
}

#[test]
fn records_to_try_that_are_none_or_have_faults() {
    let folder = folder_with_reports();
    for arguments in [&[][..], &["--spf", "spf1 -all"], &["--dmarc", "p=reject"], &["--spf", ""]] {
        let mut all = vec!["dns", "simulate", "example.com", "--zone", "spf.zone"];
        all.extend(arguments);
        let output = run(folder.path(), &all);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains("hint: "), "{arguments:?}: {said}");
    }
    let (answer, code) = simulated(folder.path(), &["--spf", "v=spf1 a:192.0.2.10 -all"]);
    assert_eq!(code, 1);
    assert_eq!(row(&answer, "192.0.2.10", "example.com")["spf_then"], "permerror");
    assert!(answer["notes"][0].as_str().unwrap().contains("mend: ip4:192.0.2.10"), "{answer}");
    let (answer, code) = simulated(folder.path(), &["--dmarc", "v=DMARC1; p=rejekt"]);
    assert_eq!(code, 1);
    assert!(answer["notes"][0].as_str().unwrap().starts_with("--dmarc, `p`: "), "{answer}");
}
