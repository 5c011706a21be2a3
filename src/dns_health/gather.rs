//! Asks what the checks lack, of DNS and of whoever else has to be asked. The only part that is not pure.
//!
//! Whom a domain's records name is asked only if the caller hands over the means to: the server of an MTA-STS
//! policy ([`PolicyFetch`]), the MX hosts ([`Exchangers`]), each name server ([`Authorities`]). All of them keep
//! to public addresses, and connect to the addresses that our resolver gave: there is no second look-up between
//! the check of an address and its use.

mod authorities;
mod exchangers;
mod policy;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::dns::{Answer, Answers, Budget, Cause, Name, Question, RecordType, Resolve, settle};
use crate::dns_health::facts::{Dialogue, DialogueFault, Facts, Fetched};
use crate::dns_health::report::{Health, judge};
use crate::dns_health::{mta_sts, mx, transport};
use crate::limits;

pub use authorities::Authorities;
pub use exchangers::{Exchangers, MxDialogue, Talking};
pub use policy::{Fetching, HttpsPolicies, PolicyFetch, read_response};

/// Who is asked.
#[derive(Clone, Copy)]
pub struct Tools<'t> {
    /// DNS.
    pub resolver: &'t dyn Resolve,
    /// Web servers, for policies of MTA-STS; absent: none is fetched.
    pub policies: Option<&'t dyn PolicyFetch>,
    /// MX hosts; absent: they are not asked.
    pub exchangers: Option<&'t Exchangers>,
    /// Name servers, one by one; absent: they are not asked.
    pub authorities: Option<&'t Authorities>,
}

impl<'t> Tools<'t> {
    /// DNS and nobody else.
    pub const fn of(resolver: &'t dyn Resolve) -> Self {
        Self { resolver, policies: None, exchangers: None, authorities: None }
    }
}

/// What the check of one domain may cost.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Questions to DNS.
    pub questions: usize,
    /// Whole time of DNS; policies, dialogues and name servers have bounds of their own.
    pub time: Duration,
}

/// The report on one domain and the answers that it rests on, for the history.
#[derive(Debug, Clone)]
pub struct Checkup {
    /// The report.
    pub health: Health,
    /// What DNS said.
    pub answers: Answers,
    /// What was gathered beside it.
    pub facts: Facts,
    /// Questions asked.
    pub asked: usize,
}

/// Checks one domain.
///
/// Questions are asked side by side, so it takes about as long as the longest chain of look-ups that depend
/// on each other. It always ends: what the allowance does not cover is not known.
pub async fn check(tools: Tools<'_>, facts: &Facts, allowance: Allowance) -> Checkup {
    gather(tools, facts, allowance).await.finish(tools).await
}

/// Checks many domains, so many at once; each is handed on as soon as it is done, so memory stays flat.
///
/// A domain whose MX hosts were all silent waits until the run has shown whether connections to port 25 leave this
/// machine at all; at most [`limits::PORT_BLOCKED_WAITING`] wait.
pub async fn check_all(
    tools: Tools<'_>,
    domains: impl IntoIterator<Item = Facts>,
    at_once: usize,
    allowance: Allowance,
    mut on_done: impl FnMut(Checkup),
) {
    let mut open = stream::iter(domains)
        .map(|facts| async move { gather(tools, &facts, allowance).await })
        .buffer_unordered(at_once.max(1));
    let mut waiting = Vec::new();
    while let Some(case) = open.next().await {
        let is_open_question = tools.exchangers.is_some_and(|exchangers| !exchangers.is_decided());
        if is_open_question && case.is_silent() && waiting.len() < limits::PORT_BLOCKED_WAITING {
            waiting.push(case);
            continue;
        }
        on_done(case.finish(tools).await);
        if !is_open_question {
            for case in waiting.drain(..) {
                on_done(case.finish(tools).await);
            }
        }
    }
    for case in waiting {
        on_done(case.finish(tools).await);
    }
}

/// A domain of which everything is gathered.
struct Case {
    facts: Facts,
    answers: Answers,
    budget: Budget,
}

impl Case {
    /// True if its MX hosts were tried and nobody was met.
    fn is_silent(&self) -> bool {
        transport::is_silent(self.facts.dialogues.values())
    }

    /// Judges it, with what the run has shown by now.
    async fn finish(mut self, tools: Tools<'_>) -> Checkup {
        self.facts.outlet = tools.exchangers.map(Exchangers::outlet);
        let facts = &self.facts;
        let health =
            settle(tools.resolver, &mut self.answers, &mut self.budget, |answers| judge(facts, answers))
                .await;
        Checkup { health, answers: self.answers, facts: self.facts, asked: self.budget.asked }
    }
}

/// Asks DNS, and then side by side whoever DNS names.
async fn gather(tools: Tools<'_>, facts: &Facts, allowance: Allowance) -> Case {
    let mut facts = facts.clone();
    let mut answers = Answers::new();
    let mut budget = Budget::new(allowance.questions, allowance.time);
    // What the checks want of DNS first: the rest follows from it.
    settle(tools.resolver, &mut answers, &mut budget, |answers| judge(&facts, answers)).await;
    ask_again(tools.resolver, &mut answers, &mut budget).await;
    let (policy, dialogues, authorities) = tokio::join!(
        fetch(tools.policies, &facts, &answers),
        talk(tools.exchangers, &facts, &answers),
        async {
            match tools.authorities {
                Some(authorities) => authorities.ask_all(&facts.domain, &answers).await,
                None => Ok(Vec::new()),
            }
        },
    );
    facts.policy = policy.or(facts.policy);
    facts.dialogues.extend(dialogues);
    match authorities {
        Ok(authorities) => facts.authorities.extend(authorities),
        Err(why) => facts.authorities_silence = Some(why),
    }
    Case { facts, answers, budget }
}

/// Asks once more for TLSA records that timed out: below a signed address it is a grave finding that senders get no
/// answer (RFC 7672 §2.1.2), and a datagram that was lost is no proof of it.
async fn ask_again(resolver: &dyn Resolve, answers: &mut Answers, budget: &mut Budget) {
    let is_lost = |answer: &Answer| answer.trouble().is_some_and(|trouble| trouble.cause == Cause::Timeout);
    let lost: Vec<Question> = answers
        .iter()
        .filter(|(question, answer)| question.record_type == RecordType::Tlsa && is_lost(answer))
        .map(|(question, _)| question.clone())
        .take(budget.questions.min(limits::HEALTH_HOSTS))
        .collect();
    budget.questions -= lost.len();
    budget.asked += lost.len();
    let said = futures_util::future::join_all(lost.iter().map(|question| resolver.resolve(question)));
    if let Ok(said) = tokio::time::timeout_at(budget.deadline.into(), said).await {
        for (question, answer) in lost.into_iter().zip(said) {
            answers.put(question, answer);
        }
    }
}

/// Fetches the policy of MTA-STS, where there is a record and a host (RFC 8461 §3.3).
async fn fetch(policies: Option<&dyn PolicyFetch>, facts: &Facts, answers: &Answers) -> Option<Fetched> {
    let policies = policies?;
    let host = mta_sts::policy_host(&facts.domain)?;
    // Without a record senders fetch nothing (RFC 8461 §3.1).
    mta_sts::records(&facts.domain, answers).ok().filter(|records| !records.is_empty())?;
    let addresses = mx::addresses(&host, answers).ok().filter(|addresses| !addresses.is_empty())?;
    let url = format!("https://{host}{}", mta_sts::POLICY_PATH);
    Some(Fetched { url, outcome: policies.fetch(&host, &addresses).await })
}

/// Talks with every address of every MX host, side by side.
async fn talk(
    exchangers: Option<&Exchangers>,
    facts: &Facts,
    answers: &Answers,
) -> BTreeMap<(Name, IpAddr), Dialogue> {
    let Some(exchangers) = exchangers else { return BTreeMap::new() };
    let hosts = mx::hosts(&facts.domain, answers).unwrap_or_default();
    let all = hosts.into_iter().flat_map(|host| {
        let addresses = mx::addresses(&host, answers).unwrap_or_default();
        addresses.into_iter().map(move |address| (host.clone(), address))
    });
    let said = all.take(limits::DIALOGUES_A_DOMAIN).map(|(host, address)| async move {
        let dialogue = exchangers.talk(&host, address).await;
        ((host, address), dialogue)
    });
    let said: BTreeMap<_, _> =
        stream::iter(said).buffer_unordered(limits::DIALOGUES_A_DOMAIN).collect().await;
    without_our_gaps(said)
}

/// Leaves out addresses of a family to which this machine has no way, where the same host was met by the other.
fn without_our_gaps(all: BTreeMap<(Name, IpAddr), Dialogue>) -> BTreeMap<(Name, IpAddr), Dialogue> {
    let is_gap = |dialogue: &Dialogue| matches!(dialogue.outcome, Err(DialogueFault::Unreachable(_)));
    let met: Vec<Name> =
        all.iter().filter(|(_, dialogue)| !is_gap(dialogue)).map(|((host, _), _)| host.clone()).collect();
    all.into_iter()
        .filter(|((host, address), dialogue)| !(address.is_ipv6() && is_gap(dialogue) && met.contains(host)))
        .collect()
}
