//! Who answers, and the loop between judging and asking.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::{Answer, Answers, Ask, Cause, Question};
use crate::clock::{self, Instant};

/// An answer on its way.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Whoever answers questions: a resolver on the network, a zone file, a test.
///
/// It never fails: trouble is the answer "not known". It bounds its own time for each question.
pub trait Resolve: Send + Sync {
    /// Answers one question, following aliases.
    fn resolve<'a>(&'a self, question: &'a Question) -> Resolving<'a>;
}

impl<R: Resolve + ?Sized> Resolve for std::sync::Arc<R> {
    fn resolve<'a>(&'a self, question: &'a Question) -> Resolving<'a> {
        (**self).resolve(question)
    }
}

/// What one piece of work may still ask.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Questions that may still be asked.
    pub questions: usize,
    /// When no answer is waited for any more.
    pub deadline: Instant,
    /// Questions asked so far.
    pub asked: usize,
}

impl Budget {
    /// So many questions and so much time from now.
    pub fn new(questions: usize, time: Duration) -> Self {
        Self { questions, deadline: clock::instant() + time, asked: 0 }
    }
}

/// Calls a judgement until it is done, asking between calls what it lacks, side by side.
///
/// What the budget does not allow is answered "not known" ([`Cause::Budget`]), so the judgement always ends.
pub async fn settle<T>(
    resolver: &dyn Resolve,
    answers: &mut Answers,
    budget: &mut Budget,
    judge: impl Fn(&Answers) -> Result<T, Ask>,
) -> T {
    loop {
        let questions = match judge(answers) {
            Ok(done) => return done,
            Err(ask) => ask.questions,
        };
        let allowed = questions.len().min(budget.questions);
        budget.questions -= allowed;
        budget.asked += allowed;
        let mut open: FuturesUnordered<_> = questions
            .iter()
            .take(allowed)
            .map(|question| async move { (question, resolver.resolve(question).await) })
            .collect();
        while let Ok(Some((question, answer))) =
            tokio::time::timeout_at(budget.deadline.into(), open.next()).await
        {
            answers.put(question.clone(), answer);
        }
        drop(open);
        for question in questions {
            if answers.find(&question).is_none() {
                let detail = "not asked: the queries or the time for this work are used up";
                answers.put(question, Answer::not_known(Cause::Budget, detail));
            }
        }
    }
}
