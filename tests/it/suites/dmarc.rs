//! `dmarc-rfc9989`: 54 cases with zone, author, authenticated domains, result, policy, organizational domain and
//! the exact order of questions.

use std::cell::RefCell;
use std::fs;

use mailsonde::authentication::dmarc::{
    DmarcResult, DmarcVerdict, Identifier, Mechanism, Standing, discover, evaluate,
};
use mailsonde::dns::{Answer, Answers, Ask, Cause, Name, Question, RecordData, RecordType};
use serde_json::Value;

use crate::support;

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

/// Answers one question from a case's zone.
fn answer(zone: &Value, question: &Question) -> Answer {
    let zone = zone.as_object().unwrap();
    let mut owner = question.name.clone();
    for _ in 0..9 {
        let Some(records) = zone.get(owner.as_str()).and_then(Value::as_array) else {
            let exists = zone.keys().any(|key| name(key).is_within(&owner));
            return if exists { Answer::records(Vec::new()) } else { Answer::no_name() };
        };
        if records.iter().any(|record| record["type"] == "*") {
            return Answer::not_known(Cause::Timeout, "");
        }
        if let Some(alias) = records.iter().find(|record| record["type"] == "CNAME") {
            owner = name(alias["value"].as_str().unwrap());
            continue;
        }
        let wanted = records.iter().filter(|record| record["type"] == question.record_type.as_str());
        return Answer::records(
            wanted
                .map(|record| match (question.record_type, &record["value"]) {
                    (RecordType::Txt, Value::Array(strings)) => RecordData::Txt(
                        strings.iter().map(|text| text.as_str().unwrap().as_bytes().to_vec()).collect(),
                    ),
                    (RecordType::A, value) => RecordData::A(value.as_str().unwrap().parse().unwrap()),
                    (record_type, value) => panic!("{record_type:?} {value}"),
                })
                .collect(),
        );
    }
    Answer::not_known(Cause::AliasLoop, "")
}

/// Judges with a zone, and gives the names of the questions in their order.
fn judge<T>(zone: &Value, judge: impl Fn(&Answers) -> Result<T, Ask>) -> (T, Vec<String>) {
    let mut answers = Answers::new();
    let asked = RefCell::new(Vec::new());
    loop {
        match judge(&answers) {
            Ok(done) => return (done, asked.into_inner()),
            Err(ask) => {
                for question in ask.questions {
                    asked.borrow_mut().push(question.name.to_string());
                    let found = answer(zone, &question);
                    answers.put(question, found);
                }
            }
        }
    }
}

/// What is wrong with the verdict on a case.
fn faults(case: &Value, verdict: &DmarcVerdict, queries: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |what: &str, found: &str, expected: &Value| {
        if let Some(expected) = expected.as_str()
            && expected != found
        {
            faults.push(format!("{what} {found}, expected {expected}"));
        }
    };
    let author = verdict.author().unwrap();
    expect("result", verdict.result.as_str(), &case["result"]);
    expect("policy", verdict.policy().map_or("", |policy| policy.as_str()), &case["policy"]);
    let organizational = author.discovery.organizational.as_ref().map_or("", Name::as_str);
    expect("organizational domain", organizational, &case["org"]);
    if let Some(expected) = case["queries"].as_array() {
        let expected: Vec<&str> = expected.iter().map(|query| query.as_str().unwrap()).collect();
        if expected != queries {
            faults.push(format!("queries {queries:?}"));
        }
    }
    faults
}

#[test]
fn dmarc_rfc9989() {
    let Some(folder) = support::shared("suites/dmarc-rfc9989") else { return };
    let text = fs::read_to_string(folder.join("dmarc-rfc9989.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut right = 0;
    let mut misses = Vec::new();
    for case in &cases {
        let author = name(case["from"].as_str().unwrap());
        let passed = |mechanism, domain: &Value| Identifier {
            mechanism,
            domain: name(domain.as_str().unwrap()),
            standing: Standing::Passed,
        };
        let dkim = case["dkim"].as_array().unwrap().iter().map(|domain| passed(Mechanism::Dkim, domain));
        let spf = Some(&case["spf"]).filter(|domain| domain.is_string());
        let identifiers: Vec<Identifier> =
            spf.map(|domain| passed(Mechanism::Spf, domain)).into_iter().chain(dkim).collect();
        let zone = &case["zone"];
        let (walk, queries) = judge(zone, |answers| discover(&author, answers));
        assert!(queries.len() <= 8, "{}: {queries:?}", case["id"]);
        assert_eq!(walk.steps.len(), queries.len(), "{}: every question is told", case["id"]);
        let (verdict, _) =
            judge(zone, |answers| evaluate(std::slice::from_ref(&author), &identifiers, answers));
        if verdict.result == DmarcResult::TempError {
            assert!(verdict.is_open(), "{}", case["id"]);
        }
        match faults(case, &verdict, &queries) {
            none if none.is_empty() => right += 1,
            faults => misses.push(format!("{}: {}", case["id"], faults.join("; "))),
        }
    }
    super::settle("dmarc-rfc9989", right, cases.len(), 54, &misses);
}
