//! The walk from a domain up to the top, and the organizational domain that it yields.

use super::record::{NearMiss, Psd, Record};
use crate::dns::{Answers, Ask, Name, NotKnown, Outcome, RecordType};
use crate::limits;

/// What one walk asked and found (RFC 9989 §4.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Where it began.
    pub start: Name,
    /// The names that were asked, in this order, at most [`limits::DMARC_WALK_QUERIES`].
    pub steps: Vec<Step>,
    /// The organizational domain of the start; absent where an answer that it depends on is not known.
    pub organizational: Option<Name>,
    /// What chose it.
    pub rule: Rule,
}

/// One question of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The domain.
    pub domain: Name,
    /// The name that was asked: `_dmarc` below it. Absent where that would be longer than a name can be.
    pub asked: Option<Name>,
    /// The names that aliases led to.
    pub aliases: Vec<Name>,
    /// What stood there.
    pub found: Found,
    /// Texts at the name that are no records of DMARC.
    pub strays: Vec<Stray>,
}

/// What stands at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One record.
    Record(Box<Record>),
    /// Two records or more: all are discarded (RFC 9989 §4.10). Their texts.
    Several(Vec<String>),
    /// No record. True: the name does not exist.
    Nothing(bool),
    /// Nobody could say.
    NotKnown(NotKnown),
}

/// A text at `_dmarc` that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The text, at most [`limits::HEADER_TEXT_BYTES`] of it.
    pub text: String,
    /// How it looks like one.
    pub near_miss: Option<NearMiss>,
}

/// What chose the organizational domain (RFC 9989 §4.10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The record there says `psd=n`.
    PsdNo,
    /// It is one label below a record that says `psd=y`.
    BelowPsd,
    /// Of the names with a record it has the fewest labels.
    FewestLabels,
    /// No record was found: it is the start itself.
    NoRecord,
    /// An answer is not known.
    NotKnown,
}

impl Rule {
    /// The name in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PsdNo => "psd-n",
            Self::BelowPsd => "below-psd-y",
            Self::FewestLabels => "fewest-labels",
            Self::NoRecord => "no-record",
            Self::NotKnown => "not-known",
        }
    }
}

impl Step {
    /// The record, if exactly one stands here.
    pub fn record(&self) -> Option<&Record> {
        match &self.found {
            Found::Record(record) => Some(record),
            _ => None,
        }
    }
}

impl Discovery {
    /// The names with exactly one record, from the longest to the shortest.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (&Name, &Record)> {
        self.steps.iter().filter_map(|step| step.record().map(|record| (&step.domain, record)))
    }

    /// The answer that is not known, with its domain, if there is one. The walk ends there.
    pub fn trouble(&self) -> Option<(&Name, &NotKnown)> {
        self.steps.iter().find_map(|step| match &step.found {
            Found::NotKnown(not_known) => Some((&step.domain, not_known)),
            _ => None,
        })
    }

    /// Where the record stands that applies to mail of the start, and the record: its own, else that of the
    /// organizational domain, else that of the public suffix domain (RFC 9989 §4.10.1).
    ///
    /// Nothing also where it is not known: see [`Self::trouble`].
    pub fn policy_record(&self) -> Option<(&Name, &Record)> {
        if let Some(own) = self.records().find(|(domain, _)| **domain == self.start) {
            return Some(own);
        }
        let organizational = self.organizational.as_ref()?;
        self.records()
            .find(|(domain, _)| *domain == organizational)
            .or_else(|| self.records().last().filter(|(_, record)| record.psd == Psd::Yes))
    }
}

/// Walks from a domain to the top (RFC 9989 §4.10): the domain itself, then its last seven labels at most,
/// then one label less each time. A record with `psd=y` or `psd=n` ends the walk, and so does an answer that
/// is not known.
pub fn discover(domain: &Name, answers: &Answers) -> Result<Discovery, Ask> {
    let mut steps = Vec::new();
    let mut next = (!domain.is_root()).then(|| domain.clone());
    while let Some(domain) = next.take() {
        let step = look(&domain, answers)?;
        let is_end = match &step.found {
            Found::Record(record) => record.psd != Psd::Undefined,
            Found::NotKnown(_) => true,
            Found::Several(_) | Found::Nothing(_) => false,
        };
        steps.push(step);
        if !is_end && steps.len() < limits::DMARC_WALK_QUERIES {
            next = above(&domain);
        }
    }
    let (organizational, rule) = organizational(domain, &steps);
    Ok(Discovery { start: domain.clone(), steps, organizational, rule })
}

/// Where the walk goes from a name; nothing from a top level domain. Names of eight labels and more are cut to seven.
fn above(domain: &Name) -> Option<Name> {
    let labels = domain.label_count();
    (labels > 1).then(|| domain.last_labels((labels - 1).min(limits::DMARC_WALK_QUERIES - 1)))
}

/// The names that a walk may ask, in its order: for whoever would rather ask side by side than as few as possible.
pub fn walk_names(domain: &Name) -> Vec<Name> {
    let first = (!domain.is_root()).then(|| domain.clone());
    let walk = std::iter::successors(first, above).take(limits::DMARC_WALK_QUERIES);
    walk.filter_map(|domain| domain.below("_dmarc").ok()).collect()
}

/// Asks one name.
fn look(domain: &Name, answers: &Answers) -> Result<Step, Ask> {
    let asked = domain.below("_dmarc").ok();
    let mut step = Step {
        domain: domain.clone(),
        asked,
        aliases: Vec::new(),
        found: Found::Nothing(false),
        strays: Vec::new(),
    };
    // A name too long to be asked for cannot exist.
    let Some(asked) = &step.asked else { return Ok(step) };
    let answer = answers.get(asked, RecordType::Txt)?;
    step.aliases.clone_from(&answer.aliases);
    match &answer.outcome {
        Outcome::NotKnown(not_known) => step.found = Found::NotKnown(not_known.clone()),
        Outcome::NoName => step.found = Found::Nothing(true),
        Outcome::NoType => {}
        Outcome::Records(_) => {
            let mut records = Vec::new();
            for text in answer.texts() {
                match Record::parse(&text) {
                    Some(record) => records.push(record),
                    None if step.strays.len() < limits::DMARC_STRAYS => {
                        let start = text.get(..limits::HEADER_TEXT_BYTES).unwrap_or(&text);
                        let near_miss = NearMiss::of(&text);
                        step.strays
                            .push(Stray { text: String::from_utf8_lossy(start).into_owned(), near_miss });
                    }
                    None => {}
                }
            }
            // Their order means nothing, so it must not show either.
            records.sort_by(|left, right| left.text.cmp(&right.text));
            step.strays.sort_by(|left, right| left.text.cmp(&right.text));
            if records.len() > 1 {
                let texts = records.into_iter().take(limits::DMARC_STRAYS).map(|record| record.text);
                step.found = Found::Several(texts.collect());
            } else if let Some(record) = records.pop() {
                step.found = Found::Record(Box::new(record));
            }
        }
    }
    Ok(step)
}

/// Chooses the organizational domain (RFC 9989 §4.10.2).
fn organizational(start: &Name, steps: &[Step]) -> (Option<Name>, Rule) {
    let mut fewest = None;
    for step in steps {
        if matches!(step.found, Found::NotKnown(_)) {
            return (None, Rule::NotKnown);
        }
        let Some(record) = step.record() else { continue };
        match record.psd {
            Psd::No => return (Some(step.domain.clone()), Rule::PsdNo),
            Psd::Yes if step.domain != *start => {
                let below = start.last_labels(step.domain.label_count() + 1);
                return (Some(below), Rule::BelowPsd);
            }
            Psd::Yes | Psd::Undefined => fewest = Some(step.domain.clone()),
        }
    }
    match fewest {
        Some(domain) => (Some(domain), Rule::FewestLabels),
        None => (Some(start.clone()), Rule::NoRecord),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::dmarc::tests::{answers, judge, name};
    use crate::dns::{Answer, Cause, Question};

    #[test]
    fn names_are_asked_one_after_the_other() {
        let mut known = answers(&[]);
        let mut asked = Vec::new();
        let start = name("a.b.c.d.e.f.g.h.i.example.com");
        let walk = loop {
            match discover(&start, &known) {
                Ok(walk) => break walk,
                Err(ask) => {
                    assert_eq!(ask.questions.len(), 1);
                    for question in ask.questions {
                        asked.push(question.name.to_string());
                        known.put(question, Answer::no_name());
                    }
                }
            }
        };
        let expected = [
            "_dmarc.a.b.c.d.e.f.g.h.i.example.com",
            "_dmarc.e.f.g.h.i.example.com",
            "_dmarc.f.g.h.i.example.com",
            "_dmarc.g.h.i.example.com",
            "_dmarc.h.i.example.com",
            "_dmarc.i.example.com",
            "_dmarc.example.com",
            "_dmarc.com",
        ];
        assert_eq!(asked, expected);
        assert_eq!(walk.organizational, Some(start));
        assert_eq!(walk.rule, Rule::NoRecord);
    }

    #[test]
    fn the_rules() {
        let cases = [
            (
                "a.b.example.com",
                vec![("b.example.com", "psd=n"), ("example.com", "")],
                "b.example.com",
                Rule::PsdNo,
                2,
            ),
            ("a.b.example.com", vec![("com", "psd=y")], "example.com", Rule::BelowPsd, 4),
            ("a.example.com", vec![("example.com", "psd=y")], "a.example.com", Rule::BelowPsd, 2),
            ("example.com", vec![("example.com", "psd=y")], "example.com", Rule::FewestLabels, 1),
            (
                "a.b.example.com",
                vec![("b.example.com", ""), ("example.com", "")],
                "example.com",
                Rule::FewestLabels,
                4,
            ),
            ("a.b.example.com", vec![("a.b.example.com", "")], "a.b.example.com", Rule::FewestLabels, 4),
            ("com", vec![], "com", Rule::NoRecord, 1),
        ];
        for (start, records, organizational, rule, steps) in cases {
            let texts: Vec<(String, String)> = records
                .iter()
                .map(|(domain, tags)| (format!("_dmarc.{domain}"), format!("v=DMARC1; p=none; {tags}")))
                .collect();
            let texts: Vec<(&str, &str)> =
                texts.iter().map(|(domain, text)| (domain.as_str(), text.as_str())).collect();
            let walk = judge(&answers(&texts), |answers| discover(&name(start), answers));
            assert_eq!(walk.organizational.as_ref().unwrap().as_str(), organizational, "{start}");
            assert_eq!((walk.rule, walk.steps.len()), (rule, steps), "{start}");
        }
    }

    #[test]
    fn several_records_are_void_at_their_name_alone() {
        let known = answers(&[
            ("_dmarc.mail.example.com", "v=DMARC1; p=reject"),
            ("_dmarc.mail.example.com", "v=DMARC1; p=none"),
            ("_dmarc.mail.example.com", "v=spf1 -all"),
            ("_dmarc.example.com", "v=DMARC1; p=quarantine"),
        ]);
        let walk = judge(&known, |answers| discover(&name("mail.example.com"), answers));
        assert_eq!(walk.steps[0].found, {
            Found::Several(vec!["v=DMARC1; p=none".to_owned(), "v=DMARC1; p=reject".to_owned()])
        });
        assert_eq!(walk.steps[0].strays[0].near_miss, Some(NearMiss::Spf));
        assert_eq!(walk.policy_record().unwrap().0.as_str(), "example.com");
    }

    #[test]
    fn trouble_ends_the_walk_and_is_no_absence() {
        let mut known = answers(&[("_dmarc.mail.example.com", "v=DMARC1; p=reject")]);
        let question = Question::new(name("_dmarc.example.com"), RecordType::Txt);
        known.put(question, Answer::not_known(Cause::ServerFailure, ""));
        let walk = judge(&known, |answers| discover(&name("mail.example.com"), answers));
        assert_eq!((walk.organizational.as_ref(), walk.rule, walk.steps.len()), (None, Rule::NotKnown, 2));
        assert_eq!(walk.policy_record().unwrap().0.as_str(), "mail.example.com");
        let walk = judge(&known, |answers| discover(&name("other.example.com"), answers));
        assert_eq!(walk.policy_record(), None);
        assert_eq!(walk.trouble().unwrap().0.as_str(), "example.com");
    }

    #[test]
    fn odd_starts_end() {
        let known = answers(&[]);
        assert_eq!(discover(&Name::root(), &known).unwrap().steps.len(), 0);
        let long = name(
            &["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(57), "com".to_owned()].join("."),
        );
        let walk = judge(&known, |answers| discover(&long, answers));
        assert_eq!((walk.steps[0].asked.as_ref(), walk.steps.len()), (None, 5));
    }
}
