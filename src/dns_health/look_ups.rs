//! Look-ups side by side: what is known is used, what is not is asked for together.

use crate::dns::{Answer, Answers, Ask, Name, Question, RecordType};

/// Collects the questions that a check lacks, so that it can go on to the next before it stops.
pub struct LookUps<'a> {
    /// What is known.
    answers: &'a Answers,
    /// What is not.
    lacking: Vec<Question>,
}

impl<'a> LookUps<'a> {
    /// Over what is known.
    pub fn new(answers: &'a Answers) -> Self {
        Self { answers, lacking: Vec::new() }
    }

    /// The answer; nothing, and a note to ask, where it is not known.
    pub fn get(&mut self, name: &Name, record_type: RecordType) -> Option<&'a Answer> {
        let known = self.answers.get(name, record_type);
        self.take(known)
    }

    /// The result of a part; nothing, and a note of what it lacks, where it could not go on.
    pub fn take<T>(&mut self, part: Result<T, Ask>) -> Option<T> {
        match part {
            Ok(done) => Some(done),
            Err(ask) => {
                for question in ask.questions {
                    if !self.lacking.contains(&question) {
                        self.lacking.push(question);
                    }
                }
                None
            }
        }
    }

    /// Stops here if anything was lacking.
    pub fn done(&self) -> Result<(), Ask> {
        if self.lacking.is_empty() { Ok(()) } else { Err(Ask { questions: self.lacking.clone() }) }
    }
}
