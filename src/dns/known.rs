//! What is known so far, and what has to be asked.

use std::collections::HashMap;

use super::{Answer, Name, Question, RecordType};

/// Answers by their questions.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// By name, so that an answer is found without making a question.
    known: HashMap<Name, Vec<(Question, Answer)>>,
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

    /// Notes an answer.
    pub fn put(&mut self, question: Question, answer: Answer) {
        let of_name = self.known.entry(question.name.clone()).or_default();
        match of_name.iter_mut().find(|(known, _)| known.record_type == question.record_type) {
            Some(known) => known.1 = answer,
            None => of_name.push((question, answer)),
        }
    }

    /// The answer, if it is known.
    pub fn find(&self, question: &Question) -> Option<&Answer> {
        self.look(&question.name, question.record_type)
    }

    /// The answer by name and type.
    fn look(&self, name: &Name, record_type: RecordType) -> Option<&Answer> {
        let of_name = self.known.get(name)?;
        of_name.iter().find(|(question, _)| question.record_type == record_type).map(|(_, answer)| answer)
    }

    /// The answer, or what to ask: with `?` a judgement stops where it knows no further.
    pub fn get(&self, name: &Name, record_type: RecordType) -> Result<&Answer, Ask> {
        self.look(name, record_type)
            .ok_or_else(|| Ask { questions: vec![Question::new(name.clone(), record_type)] })
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
        self.known.values().flatten().map(|(question, answer)| (question, answer))
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
