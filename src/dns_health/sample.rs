//! Zones for the tests of checks: a zone file whose comments `;! NAME TYPE CAUSE` say what is not known.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::dns::{
    Answer, Answers, Ask, Caa, Cause, Mx, Name, Question, RecordData, RecordType, Security, Soa, Tlsa,
};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::Checks;
use crate::dns_health::reported::{Reported, ReportedMail};

/// The types of such zones.
const TYPES: [RecordType; 12] = [
    RecordType::A,
    RecordType::Aaaa,
    RecordType::Cname,
    RecordType::Mx,
    RecordType::Txt,
    RecordType::Ns,
    RecordType::Soa,
    RecordType::Ptr,
    RecordType::Tlsa,
    RecordType::Caa,
    RecordType::Ds,
    RecordType::Dnskey,
];

/// A name of a test.
pub(super) fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

/// A zone of `fixtures/dns`.
macro_rules! fixture {
    ($file:literal) => {
        $crate::dns_health::sample::Zone::parse(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/dns/",
            $file
        )))
    };
}
pub(super) use fixture;

/// A zone held in memory.
#[derive(Default)]
pub(super) struct Zone {
    records: HashMap<Name, Vec<(RecordType, RecordData)>>,
    troubles: HashMap<Question, Cause>,
    secure: Vec<Name>,
    /// Records beside an alias, which a zone cannot hold and servers hand out all the same.
    beside: HashMap<Question, Vec<RecordData>>,
}

impl Zone {
    /// Reads a zone: absolute names, a record a line; `;! NAME TYPE CAUSE` for trouble, `;= NAME` for a signed
    /// zone. An alias is the type CNAME.
    pub(super) fn parse(text: &str) -> Self {
        let mut zone = Self::default();
        for line in text.lines() {
            let words = words(line.trim_start_matches(";!").trim_start_matches(";="));
            if let Some(rest) = line.strip_prefix(";!") {
                let cause = match words[2].as_str() {
                    "servfail" => Cause::ServerFailure,
                    "timeout" => Cause::Timeout,
                    "refused" => Cause::Refused,
                    "bogus" => Cause::Bogus,
                    "lame" => Cause::Lame,
                    "alias-loop" => Cause::AliasLoop,
                    other => panic!("{other} in {rest}"),
                };
                zone.troubles.insert(Question::new(name(&words[0]), record_type(&words[1])), cause);
            } else if let Some(rest) = line.strip_prefix(";+") {
                let words = self::words(rest);
                let kind = record_type(&words[1]);
                let held = zone.beside.entry(Question::new(name(&words[0]), kind)).or_default();
                held.push(data(kind, &words[2..]));
            } else if line.starts_with(";=") {
                zone.secure.push(name(&words[0]));
            } else if !line.starts_with(';') && words.len() > 2 {
                let kind = record_type(&words[1]);
                let data = data(kind, &words[2..]);
                zone.records.entry(name(&words[0])).or_default().push((kind, data));
            }
        }
        zone
    }

    /// The answer to a question, aliases followed, wildcards expanded (RFC 4592 §3.3.1).
    fn answer(&self, question: &Question) -> Answer {
        if let Some(records) = self.beside.get(question) {
            return Answer::records(records.clone());
        }
        let mut at = question.name.clone();
        let mut aliases = Vec::new();
        let security = |name: &Name| {
            let is_signed = self.secure.iter().any(|zone| name.is_within(zone));
            if is_signed { Security::Secure } else { Security::Insecure }
        };
        loop {
            if let Some(cause) = self.troubles.get(&Question::new(at.clone(), question.record_type)) {
                let mut answer = Answer::not_known(*cause, "as the zone says");
                answer.aliases = aliases;
                return answer;
            }
            let found = self.find(&at);
            let target = found.iter().find_map(|(_, data)| match data {
                RecordData::Cname(target) if question.record_type != RecordType::Cname => Some(target),
                _ => None,
            });
            if let Some(target) = target {
                if aliases.contains(target) || aliases.len() > 8 {
                    return Answer::not_known(Cause::AliasLoop, "a loop");
                }
                aliases.push(target.clone());
                at = target.clone();
                continue;
            }
            let exists = self.records.keys().any(|known| known.is_within(&at)) || !found.is_empty();
            let data: Vec<RecordData> = found
                .iter()
                .filter(|(kind, _)| *kind == question.record_type)
                .map(|(_, data)| data.clone())
                .collect();
            let mut answer = if exists { Answer::records(data) } else { Answer::no_name() };
            answer.ttl = Some(3600);
            answer.security = security(&at);
            answer.aliases = aliases;
            return answer;
        }
    }

    /// The records at a name, or those of the nearest wildcard above it.
    fn find(&self, at: &Name) -> &[(RecordType, RecordData)] {
        if let Some(found) = self.records.get(at) {
            return found;
        }
        if self.records.keys().any(|known| known.is_within(at)) {
            return &[];
        }
        let mut above = at.parent();
        while let Some(encloser) = above {
            if let Some(found) = encloser.below("*").ok().and_then(|wildcard| self.records.get(&wildcard)) {
                return found;
            }
            if self.records.keys().any(|known| known.is_within(&encloser)) {
                return &[];
            }
            above = encloser.parent();
        }
        &[]
    }

    /// Runs a judgement until it asks no more. Returns it with what was asked, a list a round.
    pub(super) fn settle<T>(&self, judge: impl Fn(&Answers) -> Result<T, Ask>) -> (T, Vec<Vec<Question>>) {
        let mut answers = Answers::new();
        let mut rounds = Vec::new();
        loop {
            match judge(&answers) {
                Ok(done) => return (done, rounds),
                Err(ask) => {
                    assert!(rounds.len() < 40, "no end: {:?}", ask.questions);
                    assert!(!ask.questions.is_empty());
                    for question in &ask.questions {
                        assert!(answers.find(question).is_none(), "asked again: {question}");
                        answers.put(question.clone(), self.answer(question));
                    }
                    rounds.push(ask.questions);
                }
            }
        }
    }
}

/// Facts of a domain at a fixed time.
pub(super) fn facts(domain: &str) -> Facts {
    Facts::new(name(domain), Timestamp::from_seconds(1_790_000_000), "nonce-7f3a")
}

/// Reported mail: source, author and envelope domain, result of SPF, messages. Nothing is signed.
pub(super) fn mail(source: &str, domain: &str, spf: &str, messages: u64) -> ReportedMail {
    ReportedMail {
        source: Some(source.parse().unwrap()),
        author: name(domain),
        spf: Some((name(domain), spf.to_owned())),
        helo: None,
        dkim: Vec::new(),
        dkim_aligned: false,
        spf_aligned: spf == "pass",
        overrides: Vec::new(),
        messages,
    }
}

/// Reports of a month about a domain with this mail.
pub(super) fn reported(domain: &str, mail: Vec<ReportedMail>) -> Reported {
    Reported {
        days: 35,
        covered_days: 30,
        policy_domain: name(domain),
        mail,
        cut: 0,
        policies: Vec::new(),
        reporters: Vec::new(),
        last_received: None,
    }
}

/// What checks say, short: `CODE severity subject`, `CODE ok subject`, `CODE not-known subject`, sorted; what
/// does not apply is left out.
pub(super) fn short(checks: &Checks) -> Vec<String> {
    use crate::dns_health::finding::State;
    let mut lines: Vec<String> = checks
        .all
        .iter()
        .filter_map(|checked| {
            let word = match &checked.state {
                State::Pass => "ok",
                State::Found(finding) => finding.severity.as_str(),
                State::NotKnown { .. } => "not-known",
                State::NotApplicable(_) => return None,
            };
            Some(format!("{} {word} {}", checked.code.code, checked.subject))
        })
        .collect();
    lines.sort();
    lines
}

/// Only the findings and what is not known.
pub(super) fn troubles(checks: &Checks) -> Vec<String> {
    short(checks).into_iter().filter(|line| line.split(' ').nth(1) != Some("ok")).collect()
}

/// A line in words, quoted strings as one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap();
            words.push(quoted[..end].to_owned());
            rest = quoted[end + 1..].trim_start();
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
    }
    words
}

/// A type by its mnemonic.
fn record_type(word: &str) -> RecordType {
    TYPES.into_iter().find(|known| known.as_str() == word).unwrap_or_else(|| panic!("{word}"))
}

/// The data of a record.
fn data(kind: RecordType, words: &[String]) -> RecordData {
    let number = |at: usize| words[at].parse::<u32>().unwrap();
    let octet = |at: usize| words[at].parse::<u8>().unwrap();
    match kind {
        RecordType::A => RecordData::A(words[0].parse().unwrap()),
        RecordType::Aaaa => RecordData::Aaaa(words[0].parse().unwrap()),
        RecordType::Cname => RecordData::Cname(name(&words[0])),
        RecordType::Ns => RecordData::Ns(name(&words[0])),
        RecordType::Ptr => RecordData::Ptr(name(&words[0])),
        RecordType::Mx => {
            RecordData::Mx(Mx { preference: words[0].parse().unwrap(), exchange: name(&words[1]) })
        }
        RecordType::Txt => {
            RecordData::Txt(words.iter().map(|text| text.replace("\\;", ";").into_bytes()).collect())
        }
        RecordType::Soa => RecordData::Soa(Soa {
            mname: name(&words[0]),
            rname: name(&words[1]),
            serial: number(2),
            refresh: number(3),
            retry: number(4),
            expire: number(5),
            minimum: number(6),
        }),
        RecordType::Tlsa => RecordData::Tlsa(Tlsa {
            usage: octet(0),
            selector: octet(1),
            matching: octet(2),
            data: data_encoding::HEXLOWER_PERMISSIVE.decode(words[3].as_bytes()).unwrap(),
        }),
        RecordType::Caa => RecordData::Caa(Caa {
            is_critical: octet(0) >= 128,
            tag: words[1].clone(),
            value: words[2].clone().into_bytes(),
        }),
        _ => RecordData::Other(words.concat().into_bytes()),
    }
}
