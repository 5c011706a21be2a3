//! Asks what the checks lack, of DNS and of whoever else has to be asked. The only part that is not pure.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::dns::{Answers, Budget, Resolve, settle};
use crate::dns_health::facts::Facts;
use crate::dns_health::report::{Health, judge};

/// Who is asked.
#[derive(Clone, Copy)]
pub struct Tools<'t> {
    /// DNS.
    pub resolver: &'t dyn Resolve,
}

/// What the check of one domain may cost.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Questions to DNS.
    pub questions: usize,
    /// Whole time.
    pub time: Duration,
}

/// The report on one domain and the answers that it rests on, for the history.
#[derive(Debug, Clone)]
pub struct Checkup {
    /// The report.
    pub health: Health,
    /// What DNS said.
    pub answers: Answers,
    /// Questions asked.
    pub asked: usize,
}

/// Checks one domain.
///
/// Questions are asked side by side, so it takes about as long as the longest chain of look-ups that depend
/// on each other. It always ends: what the allowance does not cover is not known.
pub async fn check(tools: Tools<'_>, facts: &Facts, allowance: Allowance) -> Checkup {
    let mut answers = Answers::new();
    let mut budget = Budget::new(allowance.questions, allowance.time);
    let health = settle(tools.resolver, &mut answers, &mut budget, |answers| judge(facts, answers)).await;
    Checkup { health, answers, asked: budget.asked }
}

/// Checks many domains, so many at once; each is handed on as soon as it is done, so memory stays flat.
pub async fn check_all(
    tools: Tools<'_>,
    domains: impl IntoIterator<Item = Facts>,
    at_once: usize,
    allowance: Allowance,
    mut on_done: impl FnMut(Checkup),
) {
    let mut open = stream::iter(domains)
        .map(|facts| async move { check(tools, &facts, allowance).await })
        .buffer_unordered(at_once.max(1));
    while let Some(done) = open.next().await {
        on_done(done);
    }
}
