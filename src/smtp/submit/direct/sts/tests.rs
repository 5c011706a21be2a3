use super::*;
use crate::dns::ZoneResolver;

const NOW: i64 = 1_790_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW + seconds)
}

fn policy(mode: &str, max_age: u64) -> StsPolicy {
    let text = format!("version: STSv1\nmode: {mode}\nmx: *.one.example\nmax_age: {max_age}\n");
    StsPolicy::parse(text.as_bytes())
}

#[test]
fn what_the_record_says() {
    let zone = ZoneResolver::parse(
        ". SOA ns.test. h.test. 1 60 60 60 60
_mta-sts.good.example.  TXT \"v=STSv1; id=20260101;\"
_mta-sts.twice.example. TXT \"v=STSv1; id=1\"
_mta-sts.twice.example. TXT \"v=STSv1; id=2\"
_mta-sts.beside.example. TXT \"v=STSv1; id=1\"
_mta-sts.beside.example. TXT \"something else\"
_mta-sts.noid.example.  TXT \"v=STSv1; id=a-b\"
;! fail _mta-sts.silent.example. TXT servfail
",
    )
    .unwrap();
    for (domain, want) in [
        ("good.example", Record::Id("20260101".to_owned())),
        ("beside.example", Record::Id("1".to_owned())),
        ("twice.example", Record::None("several records")),
        ("noid.example", Record::None("the record has no valid id")),
        ("none.example", Record::None("no record")),
    ] {
        assert_eq!(ask(&zone, domain), want, "{domain}");
    }
    assert!(matches!(ask(&zone, "silent.example"), Record::NotKnown(_)));
}

/// The record of a domain, answered from a zone.
fn ask(zone: &ZoneResolver, domain: &str) -> Record {
    let domain = Name::from_dotted(domain).unwrap();
    let mut answers = Answers::new();
    loop {
        match record(&domain, &answers) {
            Ok(done) => return done,
            Err(ask) => ask.questions.into_iter().for_each(|question| {
                let answer = zone.answer(&question);
                answers.put(question, answer);
            }),
        }
    }
}

#[test]
fn a_policy_is_kept_for_its_time_and_renewed_by_its_id() {
    let id = |text: &str| Record::Id(text.to_owned());
    let mut memory = Memory::default();
    assert_eq!(decide(id("1"), &memory, at(0)), Step::Fetch("1".to_owned()));
    assert_eq!(decide(Record::None("no record"), &memory, at(0)), Step::Done(StsFound::None("no record")));
    let found = note(&mut memory, "1".to_owned(), Ok(policy("enforce", 1_000)), at(0));
    assert_eq!(found.to_string(), "enforce, id 1");
    for (record, after, want) in [
        // It holds, whatever DNS says or does not say.
        (id("1"), 999, "enforce, id 1"),
        (Record::None("no record"), 999, "enforce, id 1"),
        (Record::NotKnown("servfail".to_owned()), 999, "enforce, id 1"),
        // Its time is over.
        (Record::None("no record"), 1_000, "none: no record"),
        (Record::NotKnown("servfail".to_owned()), 1_000, "not known: servfail"),
    ] {
        let Step::Done(found) = decide(record.clone(), &memory, at(after)) else { panic!("{record:?}") };
        assert_eq!(found.to_string(), want, "{record:?} {after}");
    }
    assert_eq!(decide(id("1"), &memory, at(1_000)), Step::Fetch("1".to_owned()));
    // A new id that leads nowhere: the old policy holds, and is not asked for again at once.
    assert_eq!(decide(id("2"), &memory, at(10)), Step::Fetch("2".to_owned()));
    let found = note(&mut memory, "2".to_owned(), Err("status 404".to_owned()), at(10));
    assert_eq!(found.to_string(), "enforce, id 1");
    assert!(matches!(decide(id("2"), &memory, at(20)), Step::Done(StsFound::Policy(_))));
    assert_eq!(decide(id("3"), &memory, at(20)), Step::Fetch("3".to_owned()));
    assert_eq!(decide(id("2"), &memory, at(310)), Step::Fetch("2".to_owned()));
    // A clock that was set back does not block for ever.
    assert_eq!(decide(id("2"), &memory, at(-5)), Step::Fetch("2".to_owned()));
    let found = note(&mut memory, "2".to_owned(), Ok(policy("none", 1_000)), at(320));
    assert_eq!(found.to_string(), "none: mode none");
    // Nothing remembered: delivery goes on without, and it is told.
    let mut empty = Memory::default();
    let found = note(&mut empty, "1".to_owned(), Err("status 404".to_owned()), at(0));
    assert_eq!(found.to_string(), "not known: status 404");
    assert_eq!(decide(id("1"), &empty, at(1)).clone_told(), "not known: status 404");
}

impl Step {
    fn clone_told(&self) -> String {
        match self {
            Self::Done(found) => found.to_string(),
            Self::Fetch(id) => format!("fetch {id}"),
        }
    }
}

#[test]
fn what_is_fetched_is_read_as_senders_must() {
    let good = "version: STSv1\nmode: enforce\nmx: mx.one.example\nmax_age: 86400\n";
    let response = |status, media: &str, body: &str| {
        Ok(PolicyResponse {
            status,
            content_type: Some(media.to_owned()),
            location: None,
            body: body.as_bytes().to_vec(),
        })
    };
    assert!(read(response(200, "text/plain; charset=utf-8", good)).is_ok());
    let twice = format!("{good}mode: testing\nmax_age: 1\n");
    let read_twice = read(response(200, "text/plain", &twice)).unwrap();
    assert_eq!(
        (read_twice.mode, read_twice.max_age),
        (Some(Mode::Enforce), Some(86_400)),
        "the first counts"
    );
    for (fetched, want) in [
        (response(404, "text/plain", good), "policy not fetched: status 404"),
        (response(301, "text/plain", good), "policy not fetched: status 301"),
        (response(200, "text/html", good), "policy of type \"text/html\", not text/plain"),
        (
            response(200, "text/plain", "mode: enforce\nmx: a.example\nmax_age: 1\n"),
            "policy cannot be read: no `version: STSv1`",
        ),
        (
            response(200, "text/plain", "version: STSv1\nmode: enforce\nmax_age: 1\n"),
            "policy cannot be read: no `mx`",
        ),
        (Err(FetchFault::Timeout(60)), "policy not fetched: not done within 60 s"),
    ] {
        assert_eq!(read(fetched).unwrap_err(), want);
    }
}
