//! What the records of watched domains were, over many checks and a restart.

use mailsonde::clock::Timestamp;
use mailsonde::dns::{Answer, Cause, Mx, Name, Question, RecordData, RecordType, Security};
use mailsonde::dns_health::history::{Happening, Seen};
use mailsonde::store::Store;
use mailsonde::summary::Query;

use super::make::{MARCH, name, new_store, reopen};

/// The question for the policy.
fn policy() -> Question {
    Question::new(Name::from_dotted("_dmarc.example.com").unwrap(), RecordType::Txt)
}

/// An answer of one text.
fn text(text: &str) -> Answer {
    Answer::records(vec![RecordData::Txt(vec![text.as_bytes().to_vec()])])
}

/// The time of a check, one an hour.
fn hour(hours: i64) -> Timestamp {
    Timestamp::from_seconds(MARCH + hours * 3600)
}

/// Notes one check of one question.
fn note(store: &Store, hours: i64, question: &Question, answer: &Answer) -> Vec<Happening> {
    let events = store.note_dns(&name("example.com"), vec![Seen::of(question, answer)], hour(hours)).unwrap();
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
