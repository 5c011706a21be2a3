//! What the records of watched domains were, over many checks and a restart.

use mailsonde::authentication::evidence::{Line as Evidence, SeenSelector, Words};
use mailsonde::clock::Timestamp;
use mailsonde::dns::{Answer, Cause, Mx, Name, Question, RecordData, RecordType, Security};
use mailsonde::dns_health::history::{FoundNow, Happening, Noted, Seen};
use mailsonde::store::{EraseTarget, NotedVerification, Retention, Store};
use mailsonde::summary::{Query, Trust};

use super::make::{Line, MARCH, Sketch, assert_sound, import, name, new_store, reopen};
use super::upkeep::keys;

/// The question for the policy.
fn policy() -> Question {
    Question::new(Name::from_dotted("_dmarc.example.com").unwrap(), RecordType::Txt)
}

/// An answer of one text.
fn text(text: &str) -> Answer {
    Answer::records(vec![RecordData::Txt(vec![text.as_bytes().to_vec()])])
}

/// A finding about a host.
fn found(subject: &str) -> FoundNow {
    FoundNow {
        code: "MX-CNAME",
        subject: subject.to_owned(),
        severity: "error",
        evidence: "an alias".to_owned(),
        mend: "name the host".to_owned(),
    }
}

/// The time of a check, one an hour.
fn hour(hours: i64) -> Timestamp {
    Timestamp::from_seconds(MARCH + hours * 3600)
}

/// Notes one check of one question.
fn note(store: &Store, hours: i64, question: &Question, answer: &Answer) -> Vec<Happening> {
    let noted = Noted { seen: vec![Seen::of(question, answer)], ..Noted::default() };
    let events = store.note_dns(&name("example.com"), noted, hour(hours)).unwrap();
    events.into_iter().map(|event| event.event.happening).collect()
}

/// Cases 103 and 131: trouble is no absence, and a loss is told once.
#[test]
fn a_loss_is_told_once_and_trouble_is_none() {
    let (_folder, store) = new_store();
    for check in 0..10 {
        let answer = if check % 2 == 0 {
            text("v=DMARC1; p=reject")
        } else {
            Answer::not_known(Cause::ServerFailure, "")
        };
        assert_eq!(note(&store, check, &policy(), &answer), []);
    }
    let gone: Vec<Happening> =
        (10..13).flat_map(|check| note(&store, check, &policy(), &Answer::no_name())).collect();
    assert_eq!(gone, [Happening::Lost]);
}

#[test]
fn history_survives_a_restart_and_can_be_turned_back() {
    let (folder, store) = new_store();
    let mx = Question::new(Name::from_dotted("example.com").unwrap(), RecordType::Mx);
    let exchangers = |hosts: &[&str]| {
        let data = hosts
            .iter()
            .map(|host| RecordData::Mx(Mx { preference: 10, exchange: Name::from_dotted(host).unwrap() }));
        let mut answer = Answer::records(data.collect());
        answer.security = Security::Secure;
        answer
    };
    assert_eq!(note(&store, 0, &policy(), &text("v=DMARC1; p=none")), []);
    assert_eq!(note(&store, 0, &mx, &exchangers(&["b.example", "a.example"])), []);
    store.close();
    let store = reopen(folder.path());
    assert_eq!(note(&store, 5, &policy(), &text("v=DMARC1; p=reject")), [Happening::Changed]);
    assert_eq!(note(&store, 5, &mx, &exchangers(&["a.example", "b.example"])), []);
    let mut unsigned = exchangers(&["c.example"]);
    unsigned.security = Security::Insecure;
    assert_eq!(note(&store, 9, &mx, &unsigned), [Happening::Changed, Happening::SecurityChanged]);
    // Another process sees the same.
    let reader = store.reader().unwrap();
    let query = Query { domain: Some(name("example.com")), ..Query::default() };
    let events = reader.dns_events(&query).unwrap();
    let words: Vec<_> = events.iter().map(|event| (event.at, event.happening.as_str())).collect();
    assert_eq!(words, [(hour(9), "security-changed"), (hour(9), "changed"), (hour(5), "changed")]);
    assert_eq!(
        (events[2].before.as_slice(), events[2].after.as_slice()),
        (["\"v=DMARC1; p=none\"".to_owned()].as_slice(), ["\"v=DMARC1; p=reject\"".to_owned()].as_slice())
    );
    let at = |hours: Option<i64>| -> Vec<(String, Vec<String>, String)> {
        let rows = reader.dns_records(&query, hours.map(hour)).unwrap();
        rows.into_iter().map(|row| (row.name, row.records, row.security)).collect()
    };
    let row = |name: &str, records: &[&str], security: &str| {
        (name.to_owned(), records.iter().map(|&text| text.to_owned()).collect(), security.to_owned())
    };
    let policy_name = "_dmarc.example.com";
    assert_eq!(
        at(None),
        [
            row(policy_name, &["\"v=DMARC1; p=reject\""], "not-known"),
            row("example.com", &["10 c.example."], "insecure"),
        ]
    );
    let before = row("example.com", &["10 a.example.", "10 b.example."], "secure");
    assert_eq!(at(Some(6)), [row(policy_name, &["\"v=DMARC1; p=reject\""], "not-known"), before.clone()]);
    assert_eq!(at(Some(1)), [row(policy_name, &["\"v=DMARC1; p=none\""], "not-known"), before]);
    // A domain asked for is asked exactly: what ends alike is another one.
    let other = Query { domain: Some(name("ample.com")), ..Query::default() };
    assert!(reader.dns_events(&other).unwrap().is_empty());
}

#[test]
fn findings_open_and_close_and_trouble_closes_none() {
    let (_folder, store) = new_store();
    let check = |hours, findings: &[&str], not_known: &[&'static str]| -> Vec<(Happening, String)> {
        let findings = findings.iter().map(|subject| found(subject)).collect();
        let noted = Noted { findings, not_known: not_known.to_vec(), ..Noted::default() };
        let events = store.note_dns(&name("example.com"), noted, hour(hours)).unwrap();
        events.into_iter().map(|event| (event.event.happening, event.name)).collect()
    };
    // Where history begins nothing is new.
    assert_eq!(check(0, &["a.example"], &[]), []);
    assert_eq!(check(1, &["a.example", "b.example"], &[]), [(Happening::Found, "b.example".to_owned())]);
    assert_eq!(check(2, &[], &["MX-CNAME"]), []);
    assert_eq!(check(3, &["b.example"], &[]), [(Happening::Mended, "a.example".to_owned())]);
    assert_eq!(check(4, &["b.example", "a.example"], &[]), [(Happening::Found, "a.example".to_owned())]);
    let reader = store.reader().unwrap();
    let at = |hours| -> Vec<(String, Timestamp, Timestamp)> {
        let rows = reader.dns_findings(&Query::default(), hour(hours)).unwrap();
        rows.into_iter().map(|row| (row.subject, row.first, row.last)).collect()
    };
    let row = |subject: &str, first, last| (subject.to_owned(), hour(first), hour(last));
    assert_eq!(at(4), [row("a.example", 4, 4), row("b.example", 1, 4)]);
    assert_eq!(at(3), [row("b.example", 1, 4)]);
    assert_eq!(at(2), [row("a.example", 0, 1), row("b.example", 1, 4)]);
}

/// What is old goes, the newest state of each record and what stands never does.
#[test]
fn history_grows_old_and_what_is_known_stays() {
    let (_folder, store) = new_store();
    let day = |days: i64| hour(days * 24);
    let check = |days: i64, policy_text: &str, findings: &[&str]| {
        let noted = Noted {
            seen: vec![Seen::of(&policy(), &text(policy_text))],
            findings: findings.iter().map(|subject| found(subject)).collect(),
            ..Noted::default()
        };
        store.note_dns(&name("example.com"), noted, day(days)).unwrap()
    };
    check(0, "v=DMARC1; p=none", &["old.example", "standing.example"]);
    check(10, "v=DMARC1; p=quarantine", &["standing.example"]);
    check(20, "v=DMARC1; p=reject", &["standing.example"]);
    check(30, "v=DMARC1; p=reject; fo=1", &["standing.example", "new.example"]);
    let prune = |days: i64, kept: u64, is_stopped: bool| {
        let retention = Retention {
            dns_history: std::time::Duration::from_secs(kept * 86_400),
            ..super::upkeep::RETENTION
        };
        let keys = keys();
        store.prune(&retention, &keys, day(days), &|| is_stopped).unwrap().dns
    };
    let reader = store.reader().unwrap();
    let query = Query::default();
    let events = || -> Vec<Timestamp> {
        reader.dns_events(&query).unwrap().into_iter().map(|event| event.at).collect()
    };
    let standing = |days| reader.dns_findings(&query, day(days)).unwrap().len();
    let whole = [day(30), day(30), day(20), day(10), day(10)];
    // Nothing is old yet, and what is told to stop does nothing.
    assert_eq!((prune(31, 40, false), prune(31, 0, true), events()), (0, 0, whole.to_vec()));
    // The two events of day 10, and the finding that went then.
    assert_eq!((prune(31, 15, false), events()), (3, whole[..3].to_vec()));
    assert_eq!((standing(31), standing(5)), (2, 1));
    let state = || {
        let rows = reader.dns_records(&query, None).unwrap();
        rows.into_iter().map(|row| (row.records, row.since, row.confirmed)).collect::<Vec<_>>()
    };
    let now = (vec!["\"v=DMARC1; p=reject; fo=1\"".to_owned()], day(30), day(30));
    assert_eq!(state(), std::slice::from_ref(&now));
    // Without any history the state, and what stands, are still there: the next check sees no news.
    assert_eq!((prune(900, 0, false), events(), state(), standing(900)), (3, Vec::new(), vec![now], 2));
    assert_eq!(check(901, "v=DMARC1; p=reject; fo=1", &["standing.example", "new.example"]), []);
    assert_eq!(prune(902, 0, false), 0);
}

#[test]
fn selectors_and_sources_are_learnt_from_reports_that_can_be_believed() {
    let (_folder, store) = new_store();
    let lines = [Line("", 1, 10, "none", true, true), Line("", 2, 5, "none", false, false)];
    import(&store, &Sketch::new("example.com", "a.example", "1", &lines), Trust::Verified, 0);
    let forged = [Line("", 9, 900, "none", true, true)];
    import(&store, &Sketch::new("example.com", "b.example", "2", &forged), Trust::Failed, 1);
    let reader = store.reader().unwrap();
    let today = Timestamp::from_seconds(MARCH).day();
    let sources = reader.learnt_sources(&name("example.com"), today).unwrap();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources[0].to_string().ends_with(".1"), "{sources:?}");
    // Signatures of others are none of its selectors.
    assert!(reader.learnt_selectors(&name("example.com"), today).unwrap().is_empty());
    import(&store, &Sketch::new("signer.example", "a.example", "3", &lines), Trust::Imported, 2);
    assert_eq!(reader.learnt_selectors(&name("signer.example"), today).unwrap(), ["s1"]);
    // Of a subdomain the reports of the policy domain above it speak.
    assert_eq!(reader.learnt_sources(&name("sub.example.com"), today).unwrap(), sources);
    // Much later nothing is recent.
    let later = Timestamp::from_seconds(MARCH + 90 * 86_400).day();
    assert!(reader.learnt_sources(&name("example.com"), later).unwrap().is_empty());
    assert!(reader.learnt_selectors(&name("example.net"), today).unwrap().is_empty());
}

/// What reports say becomes facts; forged and unproven ones say nothing of the mail, and only files nothing of silence.
#[test]
fn reports_become_facts() {
    let (_folder, store) = new_store();
    let domain = name("example.com");
    let today = Timestamp::from_seconds(MARCH).day();
    let reader = store.reader().unwrap();
    assert!(reader.reported(&domain, today).unwrap().is_none());
    let lines = [Line("", 1, 100, "none", true, true), Line("sub.example.com", 2, 7, "none", false, true)];
    import(&store, &Sketch::new("example.com", "a.example", "1", &lines), Trust::Imported, 0);
    let reported = reader.reported(&domain, today).unwrap().unwrap();
    assert_eq!((reported.covered_days, reported.messages(), reported.cut), (1, 107, 0));
    assert_eq!((reported.last_received, reported.reporters.len()), (None, 0));
    assert_eq!(reported.policy_domain.as_str(), "example.com");
    let first = &reported.mail[0];
    assert_eq!((first.author.as_str(), first.messages, first.passes()), ("example.com", 100, true));
    assert_eq!(first.source, Some("192.0.2.1".parse().unwrap()));
    assert_eq!((reported.policies.len(), reported.policies[0].tags[0].as_deref()), (1, Some("none")));
    // Nobody proved these: they came, and that is all.
    let forged = [Line("", 9, 5_000, "none", true, true)];
    import(&store, &Sketch::new("example.com", "b.example", "2", &forged), Trust::Failed, 1);
    let reported = reader.reported(&domain, today).unwrap().unwrap();
    assert_eq!((reported.messages(), reported.last_received), (107, None));
    import(&store, &Sketch::new("example.com", "c.example", "3", &forged), Trust::Unverified, 2);
    let reported = reader.reported(&domain, today).unwrap().unwrap();
    assert_eq!((reported.messages(), reported.policies.len()), (107, 1));
    assert!(reported.last_received.is_some());
    let reporters: Vec<_> = reported.reporters.iter().map(|reporter| reporter.name.as_str()).collect();
    assert_eq!(reporters, ["c.example"]);
    import(&store, &Sketch::new("example.com", "d.example", "4", &lines), Trust::Verified, 3);
    assert_eq!(reader.reported(&domain, today).unwrap().unwrap().messages(), 214);
    // Of a subdomain only its own mail; of another domain nothing; of old reports the fact that they came.
    let sub = reader.reported(&name("sub.example.com"), today).unwrap().unwrap();
    assert_eq!((sub.messages(), sub.policy_domain.as_str()), (14, "example.com"));
    assert!(reader.reported(&name("example.net"), today).unwrap().is_none());
    let later = Timestamp::from_seconds(MARCH + 90 * 86_400).day();
    let old = reader.reported(&domain, later).unwrap().unwrap();
    assert_eq!((old.messages(), old.covered_days, old.last_received.is_some()), (0, 0, true));
    // The history gives the texts that it knows.
    assert!(reader.known_texts(&domain).unwrap().is_empty());
    note(&store, 0, &policy(), &text("v=DMARC1; p=none"));
    note(&store, 5, &policy(), &text("v=DMARC1; p=reject"));
    let known = reader.known_texts(&domain).unwrap();
    assert_eq!((known.len(), known[0].name.as_str(), known[0].since), (1, "_dmarc.example.com", hour(5)));
    assert!(known[0].is_still(&text("v=DMARC1; p=reject")) && !known[0].is_still(&text("v=DMARC1; p=none")));
}

/// Snapshots: what was not asked for yet was not known, and the differences of two are told without the way between.
#[test]
fn snapshots_and_their_differences() {
    let (_folder, store) = new_store();
    let mx = Question::new(Name::from_dotted("example.com").unwrap(), RecordType::Mx);
    let exchanger = |host: &str| {
        let exchange = Name::from_dotted(host).unwrap();
        Answer::records(vec![RecordData::Mx(Mx { preference: 10, exchange })])
    };
    note(&store, 0, &policy(), &text("v=DMARC1; p=none"));
    note(&store, 10, &policy(), &text("v=DMARC1; p=quarantine"));
    note(&store, 20, &mx, &exchanger("a.example"));
    note(&store, 30, &policy(), &text("v=DMARC1; p=reject"));
    note(&store, 40, &mx, &exchanger("b.example"));
    let reader = store.reader().unwrap();
    let at = |hours: i64| reader.dns_records(&Query::default(), Some(hour(hours))).unwrap();
    let seen = |hours: i64| -> Vec<(String, Timestamp, Timestamp)> {
        at(hours).into_iter().map(|row| (row.records.join(""), row.since, row.confirmed)).collect()
    };
    let row = |record: &str, since, confirmed| (record.to_owned(), hour(since), hour(confirmed));
    assert_eq!(seen(5), [row("\"v=DMARC1; p=none\"", 0, 5)]);
    assert_eq!(seen(15), [row("\"v=DMARC1; p=quarantine\"", 10, 15)]);
    assert_eq!(seen(25), [row("\"v=DMARC1; p=quarantine\"", 10, 25), row("10 a.example.", 20, 25)]);
    assert_eq!(seen(35), [row("\"v=DMARC1; p=reject\"", 30, 30), row("10 a.example.", 20, 35)]);
    let between = |one: i64, other: i64| -> Vec<String> {
        let rows = mailsonde::summary::differences(&at(one), &at(other));
        rows.iter()
            .map(|row| {
                format!("{} {} {} -> {}", row.name, row.happening, row.before.join(""), row.after.join(""))
            })
            .collect()
    };
    let policy_line = "_dmarc.example.com changed \"v=DMARC1; p=none\" -> \"v=DMARC1; p=reject\"";
    assert_eq!(between(5, 45), [policy_line]);
    assert_eq!(between(25, 45).len(), 2);
    assert_eq!(between(5, 5), [""; 0]);
    // A loss and a return.
    for hours in [50, 51] {
        note(&store, hours, &policy(), &Answer::no_name());
    }
    assert_eq!(between(45, 55), ["_dmarc.example.com lost \"v=DMARC1; p=reject\" -> "]);
    note(&store, 60, &policy(), &text("v=DMARC1; p=reject"));
    assert_eq!(between(55, 65), ["_dmarc.example.com appeared  -> \"v=DMARC1; p=reject\""]);
    assert_eq!(between(45, 65), [""; 0]);
}

/// Mail that came here and passed teaches selectors and what signatures cover; mail that failed teaches nothing.
#[test]
fn arrivals_become_facts() {
    let (_folder, store) = new_store();
    let domain = name("example.com");
    let line = |codes: &str| Evidence {
        method: "dkim".to_owned(),
        subject: "example.com".to_owned(),
        result: "pass".to_owned(),
        reason: String::new(),
        facts: [("selector", "s1"), ("note_codes", codes), ("fields_unsigned", "subject")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    };
    let verified = |seconds: i64, author: &str, dmarc: &str, selectors: &[&str], codes: &str| {
        let sketch = Sketch::new("example.com", "a.example", &seconds.to_string(), &[]);
        let id = import(&store, &sketch, Trust::Pending, seconds).message_id;
        let selectors = selectors.iter().map(|selector| SeenSelector {
            domain: Name::from_dotted("example.com").unwrap(),
            selector: (*selector).to_owned(),
        });
        let noted = NotedVerification {
            next_at: None,
            asked: 3,
            words: Words {
                header_from: Some(author.to_owned()),
                dmarc: dmarc.to_owned(),
                ..Words::default()
            },
            lines: vec![line(codes)],
            lines_more: 0,
            selectors: selectors.collect(),
            trust: None,
            sender: None,
            trust_reason: String::new(),
        };
        store.note_verification(id, noted, Timestamp::from_seconds(MARCH + seconds)).unwrap();
    };
    verified(1, "example.com", "pass", &["s1"], "length-in-use");
    verified(2, "news.example.com", "pass", &["s1", "s2"], "length-in-use");
    verified(3, "example.com", "fail", &[], "from-not-oversigned");
    verified(4, "example.net", "pass", &[], "from-not-oversigned");
    let reader = store.reader().unwrap();
    let today = Timestamp::from_seconds(MARCH).day();
    assert_eq!(reader.arrival_selectors(&domain, today).unwrap(), ["s1", "s2"]);
    let seen = reader.seen_signatures(&domain, today).unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].selector.as_str(), seen[0].messages, seen[0].has_length), ("s1", 2, true));
    assert_eq!(
        (seen[0].is_oversigned, seen[0].unsigned.as_slice()),
        (true, ["subject".to_owned()].as_slice())
    );
    let later = Timestamp::from_seconds(MARCH + 90 * 86_400).day();
    assert!(reader.arrival_selectors(&domain, later).unwrap().is_empty());
    assert!(reader.seen_signatures(&domain, later).unwrap().is_empty());
}

#[test]
fn erasing_a_domain_takes_what_checks_saw_of_it() {
    let (_folder, store) = new_store();
    store.set_watched(&[name("example.com"), name("example.net")]).unwrap();
    for check in 0..3 {
        let answer = text(&format!("v=DMARC1; p=none; x={check}"));
        note(&store, check, &policy(), &answer);
        let noted = Noted { seen: vec![Seen::of(&policy(), &answer)], ..Noted::default() };
        store.note_dns(&name("example.net"), noted, hour(check)).unwrap();
    }
    let left = |of: &str| {
        let query = Query { domain: Some(name(of)), ..Query::default() };
        let reader = store.reader().unwrap();
        (reader.dns_records(&query, None).unwrap().len(), reader.dns_events(&query).unwrap().len())
    };
    let before = left("example.net");
    assert!(left("example.com") == before && before.0 == 1 && before.1 > 1, "{before:?}");
    let plan =
        store.reader().unwrap().erase_plan(&EraseTarget::Domain(name("example.com")), &keys()).unwrap();
    store.erase(&plan).unwrap();
    assert_eq!((left("example.com"), left("example.net")), ((0, 0), before));
    assert_sound(&store.reader().unwrap());
}
