//! Zones in a few lines, for tests.

use std::collections::HashMap;

use crate::dns::{Answer, Answers, Ask, Cause, Mx, Name, Question, RecordData, RecordType};

/// What is published: the names that exist, and nothing else.
pub(super) struct Published {
    records: HashMap<Name, Vec<(RecordType, RecordData)>>,
    silent: Vec<Question>,
}

/// Reads lines of `name TYPE data`; the strings of a TXT record stand between `|`, and `!` as data is silence.
pub(super) fn published(lines: &str) -> Published {
    let mut published = Published { records: HashMap::new(), silent: Vec::new() };
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let name = Name::from_dotted(words.next().unwrap()).unwrap();
        let kind = words.next().unwrap();
        let data = words.next().unwrap_or_default();
        let of = |data: &str| Name::from_dotted(data).unwrap();
        let (kind, made) = match kind {
            "TXT" => {
                let strings = data.split('|').map(|part| part.as_bytes().to_vec()).collect();
                (RecordType::Txt, RecordData::Txt(strings))
            }
            "SPF" => (RecordType::Spf, RecordData::Txt(vec![data.as_bytes().to_vec()])),
            "A" => (RecordType::A, RecordData::A(data.parse().unwrap_or([0, 0, 0, 0].into()))),
            "AAAA" => (RecordType::Aaaa, RecordData::Aaaa(data.parse().unwrap())),
            "MX" => (RecordType::Mx, RecordData::Mx(Mx { preference: 10, exchange: of(data) })),
            "PTR" => (RecordType::Ptr, RecordData::Ptr(of(data))),
            other => panic!("{other}"),
        };
        if data == "!" {
            published.silent.push(Question::new(name, kind));
        } else {
            published.records.entry(name).or_default().push((kind, made));
        }
    }
    published
}

impl Published {
    /// Answers one question.
    pub(super) fn answer(&self, question: &Question) -> Answer {
        if self.silent.contains(question) {
            return Answer::not_known(Cause::Timeout, "");
        }
        match self.records.get(&question.name) {
            None => Answer::no_name(),
            Some(records) => Answer::records(
                records
                    .iter()
                    .filter(|(kind, _)| *kind == question.record_type)
                    .map(|(_, data)| data.clone())
                    .collect(),
            ),
        }
    }

    /// Calls a judgement until it is done; returns it with the rounds of questions.
    pub(super) fn settle<T>(&self, judge: impl Fn(&Answers) -> Result<T, Ask>) -> (T, Vec<Vec<String>>) {
        let mut answers = Answers::new();
        let mut rounds = Vec::new();
        loop {
            match judge(&answers) {
                Ok(done) => return (done, rounds),
                Err(ask) => {
                    assert!(!ask.questions.is_empty() && rounds.len() < 300);
                    rounds.push(ask.questions.iter().map(ToString::to_string).collect());
                    for question in ask.questions {
                        assert!(answers.find(&question).is_none(), "asked again: {question}");
                        let answer = self.answer(&question);
                        answers.put(question, answer);
                    }
                }
            }
        }
    }
}
