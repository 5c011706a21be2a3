//! What is known so far, and what has to be asked.

use std::collections::HashMap;

use super::{Answer, Name, Question, RecordType};

/// Answers by their questions.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    known: HashMap<Question, Answer>,
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
        self.known.insert(question, answer);
    }

    /// The answer, if it is known.
    pub fn find(&self, question: &Question) -> Option<&Answer> {
        self.known.get(question)
    }

    /// The answer, or what to ask: with `?` a judgement stops where it knows no further.
    pub fn get(&self, name: &Name, record_type: RecordType) -> Result<&Answer, Ask> {
        let question = Question::new(name.clone(), record_type);
        match self.known.get(&question) {
            Some(answer) => Ok(answer),
            None => Err(Ask { questions: vec![question] }),
        }
    }

    /// Nothing if all are known, else those that are not: to ask them side by side before the first is used.
    pub fn need(&self, questions: impl IntoIterator<Item = Question>) -> Result<(), Ask> {
        let mut missing: Vec<Question> = Vec::new();
        for question in questions {
            if !self.known.contains_key(&question) && !missing.contains(&question) {
                missing.push(question);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Ask { questions: missing }) }
    }

    /// All that is known, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Question, &Answer)> {
        self.known.iter()
    }

    /// How many answers are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}
