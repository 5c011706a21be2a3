//! What is known so far, and what has to be asked.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::{Answer, Name, Outcome, Question, RecordType};

/// Answers by their questions.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// By name, so that an answer is found without making a question.
    known: HashMap<Name, Vec<Known>>,
}

/// One answer.
#[derive(Debug, Clone)]
struct Known {
    question: Question,
    answer: Answer,
    /// What a judgement made of it.
    derived: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// Questions whose answers a judgement lacks: all that it knows it will need, in the order in which it needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// At least one question, none of them answered yet.
    pub questions: Vec<Question>,
}

impl Answers {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an answer. Its records are put in order: servers turn them with every answer (RFC 1034 §3.6: their
    /// order means nothing), and no judgement, nor what it shows as evidence, may turn with them.
    pub fn put(&mut self, question: Question, mut answer: Answer) {
        if let Outcome::Records(records) = &mut answer.outcome {
            records.sort_unstable();
        }
        let of_name = self.known.entry(question.name.clone()).or_default();
        let known = Known { question, answer, derived: OnceLock::new() };
        match of_name.iter_mut().find(|other| other.question.record_type == known.question.record_type) {
            Some(other) => *other = known,
            None => of_name.push(known),
        }
    }

    /// The answer, if it is known.
    pub fn find(&self, question: &Question) -> Option<&Answer> {
        self.look(&question.name, question.record_type).map(|known| &known.answer)
    }

    /// What is known by name and type.
    fn look(&self, name: &Name, record_type: RecordType) -> Option<&Known> {
        self.known.get(name)?.iter().find(|known| known.question.record_type == record_type)
    }

    /// What a judgement makes of an answer, such as a record taken apart; or what to ask.
    ///
    /// Made once and kept with the answer, since a judgement is called again for every round of questions.
    /// `make` must depend on nothing but the answer.
    pub fn derived<T: Any + Send + Sync>(
        &self,
        name: &Name,
        record_type: RecordType,
        make: impl Fn(&Answer) -> T,
    ) -> Result<Arc<T>, Ask> {
        let known = self.look(name, record_type).ok_or_else(|| lacking(name, record_type))?;
        let derived = known.derived.get_or_init(|| Arc::new(make(&known.answer)));
        // Another judgement may have kept something else with the same answer.
        Ok(Arc::clone(derived).downcast().unwrap_or_else(|_| Arc::new(make(&known.answer))))
    }

    /// The answer, or what to ask: with `?` a judgement stops where it knows no further.
    pub fn get(&self, name: &Name, record_type: RecordType) -> Result<&Answer, Ask> {
        self.look(name, record_type).map(|known| &known.answer).ok_or_else(|| lacking(name, record_type))
    }

    /// Nothing if all are known, else those that are not: to ask them side by side before the first is used.
    pub fn need(&self, questions: impl IntoIterator<Item = Question>) -> Result<(), Ask> {
        let mut missing: Vec<Question> = Vec::new();
        for question in questions {
            if self.find(&question).is_none() && !missing.contains(&question) {
                missing.push(question);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Ask { questions: missing }) }
    }

    /// All that is known, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Question, &Answer)> {
        self.known.values().flatten().map(|known| (&known.question, &known.answer))
    }

    /// How many answers are known.
    pub fn len(&self) -> usize {
        self.known.values().map(Vec::len).sum()
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// The one question that is lacking.
fn lacking(name: &Name, record_type: RecordType) -> Ask {
    Ask { questions: vec![Question::new(name.clone(), record_type)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::RecordData;

    #[test]
    fn the_order_in_which_records_come_is_forgotten() {
        let name = Name::from_dotted("example.com").unwrap();
        let records: Vec<RecordData> = (1..6).map(|at| RecordData::A([192, 0, 2, at].into())).collect();
        let mut kept = Vec::new();
        for turn in 0..records.len() {
            let mut turned = records.clone();
            turned.rotate_left(turn);
            let mut answers = Answers::new();
            answers.put(Question::new(name.clone(), RecordType::A), Answer::records(turned));
            kept.push(answers.get(&name, RecordType::A).unwrap().data().to_vec());
        }
        assert!(kept.iter().all(|order| *order == records));
    }

    #[test]
    fn what_is_derived_is_made_once_and_anew_for_another_answer() {
        let name = Name::from_dotted("example.com").unwrap();
        let question = Question::new(name.clone(), RecordType::Txt);
        let mut answers = Answers::new();
        let is_void = |answer: &Answer| answer.is_void();
        assert!(answers.derived(&name, RecordType::Txt, is_void).is_err());
        answers.put(question.clone(), Answer::no_name());
        assert!(*answers.derived(&name, RecordType::Txt, is_void).unwrap());
        let kept = answers.derived(&name, RecordType::Txt, |_| false).unwrap();
        assert!(*kept && *answers.clone().derived(&name, RecordType::Txt, |_| false).unwrap());
        // Something else of the same answer.
        assert_eq!(*answers.derived(&name, RecordType::Txt, |_| 7_u8).unwrap(), 7);
        answers.put(question, Answer::not_known(crate::dns::Cause::Timeout, ""));
        assert!(!*answers.derived(&name, RecordType::Txt, is_void).unwrap());
    }
}
