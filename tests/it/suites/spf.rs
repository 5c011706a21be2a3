//! SPF suites: each file holds scenarios, each with a zone and checks.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use mailsonde::authentication::spf::{Identity, Input, Verdict, check};
use mailsonde::clock::Timestamp;
use mailsonde::dns::{
    Answer, Answers, Budget, Cause, HickoryResolver, Mx, Name, Question, RecordData, RecordType, settle,
};
use mailsonde::limits;
use serde_json::Value;

use crate::support::dns::{Behavior, DnsServer};
use crate::support::shared;

/// One scenario of a suite.
pub(crate) struct Scenario {
    /// What it is about.
    pub name: String,
    /// The names that exist, with their records.
    pub zone: Zone,
    /// Its checks.
    pub cases: Vec<Case>,
}

/// One check and its right results.
pub(crate) struct Case {
    /// Its name in the file.
    pub name: String,
    /// The client's address.
    pub ip: String,
    /// The name in HELO.
    pub helo: String,
    /// The reverse-path.
    pub mail_from: String,
    /// The receiving host, if given.
    pub receiver: String,
    /// Any of these is right.
    pub results: Vec<String>,
    /// The explanation, if one is asked for; `DEFAULT` for none by the domain.
    pub explanation: Option<String>,
}

/// Names with what stands under each.
#[derive(Default)]
pub(crate) struct Zone {
    /// Records by name.
    pub records: HashMap<Name, Entry>,
    /// What a question is answered that nobody answers.
    pub silence: Option<Cause>,
}

/// What stands under one name.
#[derive(Default)]
pub(crate) struct Entry {
    /// Its records.
    pub records: Vec<(RecordType, RecordData)>,
    /// True if every type without a record is met with silence.
    pub is_silent: bool,
}

impl Zone {
    /// Answers a question as a server for all the names would, aliases followed.
    pub(crate) fn answer(&self, question: &Question) -> Answer {
        let mut name = &question.name;
        let mut aliases = Vec::new();
        loop {
            let Some(entry) = self.records.get(name) else { return Answer::no_name() };
            let of_type: Vec<_> = entry
                .records
                .iter()
                .filter(|(record_type, _)| *record_type == question.record_type)
                .map(|(_, data)| data.clone())
                .collect();
            let alias = entry.records.iter().find_map(|(_, data)| match data {
                RecordData::Cname(target) => Some(target),
                _ => None,
            });
            match alias {
                Some(_) if aliases.len() > 10 => return Answer::not_known(Cause::AliasLoop, ""),
                Some(target) if of_type.is_empty() => {
                    aliases.push(target.clone());
                    name = target;
                }
                _ if of_type.is_empty() && entry.is_silent => {
                    return Answer::not_known(self.silence.unwrap_or(Cause::Timeout), "");
                }
                _ => return Answer { aliases, ..Answer::records(of_type) },
            }
        }
    }
}

/// A text of the suites as octets: they write octets as characters up to U+00FF.
fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// A value as text, whatever YAML made of it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// One or several values.
fn several(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        other => vec![other.clone()],
    }
}

/// The record of one entry of a zone.
fn record(kind: &str, value: &Value) -> Option<(RecordType, RecordData)> {
    let name = |value: &Value| Name::from_dotted(&text(value)).ok();
    Some(match kind {
        "A" => (RecordType::A, RecordData::A(text(value).parse().ok()?)),
        "AAAA" => (RecordType::Aaaa, RecordData::Aaaa(text(value).parse().ok()?)),
        "MX" => {
            let [preference, exchange] = value.as_array()?.as_slice() else { return None };
            let preference = text(preference).parse().ok()?;
            (RecordType::Mx, RecordData::Mx(Mx { preference, exchange: name(exchange)? }))
        }
        "PTR" => (RecordType::Ptr, RecordData::Ptr(name(value)?)),
        "CNAME" => (RecordType::Cname, RecordData::Cname(name(value)?)),
        "TXT" | "SPF" => {
            let strings = several(value).iter().map(|part| octets(&text(part))).collect();
            let kind = if kind == "TXT" { RecordType::Txt } else { RecordType::Spf };
            (kind, RecordData::Txt(strings))
        }
        other => panic!("a record of an unknown type in a suite: {other}"),
    })
}

/// The zone of one scenario. A record of the type SPF is also one of TXT, unless a TXT is given.
fn zone(data: &Value) -> Zone {
    let mut zone = Zone::default();
    for (name, entries) in data.as_object().into_iter().flatten() {
        let Ok(name) = Name::from_dotted(name) else { continue };
        let entry = zone.records.entry(name).or_default();
        let mut has_txt = false;
        for part in several(entries) {
            if part.as_str() == Some("TIMEOUT") {
                entry.is_silent = true;
                continue;
            }
            for (kind, value) in part.as_object().into_iter().flatten() {
                has_txt |= kind == "TXT";
                if value.as_str() == Some("NONE") {
                    continue;
                }
                if value.as_str() == Some("TIMEOUT") {
                    entry.is_silent = true;
                    continue;
                }
                entry.records.extend(record(kind, value));
            }
        }
        if !has_txt {
            let copies: Vec<_> = entry
                .records
                .iter()
                .filter(|(kind, _)| *kind == RecordType::Spf)
                .map(|(_, data)| (RecordType::Txt, data.clone()))
                .collect();
            entry.records.extend(copies);
        }
    }
    zone
}

/// Reads a suite.
pub(crate) fn read(path: &Path) -> Vec<Scenario> {
    let yaml = std::fs::read_to_string(path).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
    documents
        .iter()
        .filter(|document| document["tests"].is_object())
        .map(|document| Scenario {
            name: text(&document["description"]),
            zone: zone(&document["zonedata"]),
            cases: document["tests"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, case)| Case {
                    name: name.clone(),
                    ip: text(&case["host"]),
                    helo: text(&case["helo"]),
                    mail_from: text(&case["mailfrom"]),
                    receiver: text(&case["receiver"]),
                    results: several(&case["result"]).iter().map(text).collect(),
                    explanation: case.get("explanation").map(text),
                })
                .collect(),
        })
        .collect()
}

/// What is checked in one case.
fn input(case: &Case) -> Input<'_> {
    Input {
        ip: case.ip.parse().unwrap(),
        identity: Identity::MailFrom,
        mail_from: &case.mail_from,
        helo: &case.helo,
        receiver: &case.receiver,
        now: Timestamp::from_seconds(1_772_323_200),
        void_limit: limits::SPF_VOIDS,
    }
}

/// Runs one check against a zone and notes the questions, in order.
fn run(zone: &Zone, case: &Case) -> (Verdict, Vec<Question>) {
    let input = input(case);
    let mut answers = Answers::new();
    let mut asked = Vec::new();
    loop {
        match check(&input, &answers) {
            Ok(verdict) => return (verdict, asked),
            Err(ask) => {
                for question in ask.questions {
                    let answer = zone.answer(&question);
                    assert!(answers.find(&question).is_none(), "asked again: {question}");
                    answers.put(question.clone(), answer);
                    asked.push(question);
                }
            }
        }
    }
}

/// The zone as a file, for a server; questions for names outside it are answered NXDOMAIN.
fn zone_file(zone: &Zone) -> String {
    let mut text = String::from(". SOA ns.test. hostmaster.test. 1 60 60 60 60\n");
    for (name, entry) in &zone.records {
        for (kind, data) in &entry.records {
            // A text without strings cannot be written in a zone file: an empty one stands for it.
            let data = match data {
                RecordData::Txt(strings) if strings.is_empty() => "\"\"".to_owned(),
                data => data.to_string(),
            };
            // The type of old is no part of what is asked.
            if *kind != RecordType::Spf {
                writeln!(text, "{}. 60 IN {} {data}", name.as_str(), kind.as_str()).unwrap();
            }
        }
        if entry.records.is_empty() {
            writeln!(text, "{}. 60 IN HINFO a b", name.as_str()).unwrap();
        }
    }
    text
}

/// A server of one zone that is silent where the zone says so, and a resolver that asks it.
fn serve(zone: &Zone) -> (DnsServer, HickoryResolver) {
    let server = DnsServer::start(&zone_file(zone));
    let types = [(RecordType::A, 1), (RecordType::Mx, 15), (RecordType::Txt, 16), (RecordType::Aaaa, 28)];
    for (name, entry) in zone.records.iter().filter(|(_, entry)| entry.is_silent) {
        for (kind, number) in types {
            if !entry.records.iter().any(|(known, _)| *known == kind) {
                server.behave(name.as_str(), Some(number), Behavior::Silent);
            }
        }
    }
    let resolver = server.resolver();
    (server, resolver)
}

/// The same suite over the wire: a server that answers from each scenario's zone and is silent where it says so.
#[test]
fn rfc_7208_over_the_wire() {
    let Some(folder) = shared("suites/spf-rfc7208") else { return };
    let scenarios = read(&folder.join("rfc7208-tests.yml"));
    let served: Vec<_> = scenarios.iter().map(|scenario| (scenario, serve(&scenario.zone))).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // Side by side: each silence is waited for.
    let checks = served.iter().flat_map(|(scenario, (_, resolver))| {
        scenario.cases.iter().map(move |case| async move {
            let input = input(case);
            let mut answers = Answers::new();
            let mut budget = Budget::new(200, std::time::Duration::from_secs(60));
            let judge = |answers: &Answers| check(&input, answers);
            let verdict = settle(resolver, &mut answers, &mut budget, judge).await;
            miss(case, &verdict).map(|miss| format!("{}: {miss}", scenario.name))
        })
    });
    let outcomes = runtime.block_on(futures_util::future::join_all(checks));
    let right = outcomes.iter().filter(|miss| miss.is_none()).count();
    let misses: Vec<String> = outcomes.into_iter().flatten().collect();
    super::settle("rfc7208-tests.yml, over the wire", right, right + misses.len(), 203, &misses);
}

/// What is wrong with the verdict on one case, if anything is.
fn miss(case: &Case, verdict: &Verdict) -> Option<String> {
    let result = verdict.result.as_str();
    let wanted = case.explanation.as_deref().filter(|wanted| *wanted != "DEFAULT");
    let is_explained = match (&case.explanation, result) {
        (Some(_), "fail") => verdict.explanation.as_deref() == wanted,
        _ => true,
    };
    let is_right = case.results.iter().any(|right| right == result) && is_explained;
    (!is_right).then(|| {
        format!(
            "{}: {result} {:?} ({:?}), right is {:?} {wanted:?}",
            case.name,
            verdict.explanation,
            verdict.reason(),
            case.results
        )
    })
}

/// Runs a suite and compares its counts; `skipped` are cases that the standard does not cover.
fn suite(folder: &str, file: &str, count: usize, skipped: &[&str]) {
    let Some(folder) = shared(&format!("suites/{folder}")) else { return };
    for silence in [Cause::ServerFailure, Cause::Timeout] {
        let (mut right, mut misses) = (0, Vec::new());
        for mut scenario in read(&folder.join(file)) {
            scenario.zone.silence = Some(silence);
            for case in scenario.cases.iter().filter(|case| !skipped.contains(&case.name.as_str())) {
                let (verdict, asked) = run(&scenario.zone, case);
                assert!(asked.len() <= 130, "{}: {} questions", case.name, asked.len());
                match miss(case, &verdict) {
                    None => right += 1,
                    Some(miss) => misses.push(format!("{}: {miss}", scenario.name)),
                }
            }
        }
        let name = format!("{file}, unanswered as {}", silence.as_str());
        super::settle(&name, right, right + misses.len(), count, &misses);
        assert_eq!(right + misses.len(), count, "{name}: cases read");
    }
}

#[test]
fn rfc_7208() {
    suite("spf-rfc7208", "rfc7208-tests.yml", 203, &[]);
}

#[test]
fn rfc_4408() {
    suite("spf-rfc7208", "rfc4408-tests.yml", 191, &[]);
}

#[test]
fn rfc_7208_of_another_lineage() {
    suite("mailauth-fixtures/spf", "rfc7208-tests.yml", 200, &[]);
}

#[test]
fn rfc_7208_release_of_2014() {
    suite("mailauth-fixtures/spf", "rfc7208-tests-2014-05.yml", 193, &[]);
}

/// The cases that pyspf was developed with; two of them are about a modifier of before RFC 4408.
#[test]
fn cases_of_pyspf() {
    suite("spf-rfc7208", "test.yml", 14, &["default-modifier", "default-modifier-harsh"]);
}
