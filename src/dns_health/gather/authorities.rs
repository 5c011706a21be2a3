//! Each name server of a zone is asked itself: is it there, is it an authority, do all say the same?

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future;

use crate::dns::{Answer, Answers, AskServer, Cause, DirectAnswer, Name, Question};
use crate::dns_health::addresses::Reach;
use crate::dns_health::facts::Authority;
use crate::dns_health::zone;
use crate::limits;

/// The name servers of the domains of a run, or of the life of `serve`.
pub struct Authorities {
    asker: Arc<dyn AskServer>,
    reach: Reach,
    /// Servers that did not answer while nobody else did.
    silent: AtomicUsize,
    /// Servers that answered.
    answered: AtomicUsize,
}

impl Authorities {
    /// Servers that are asked through `asker`, at addresses within `reach`.
    pub fn new(asker: Arc<dyn AskServer>, reach: Reach) -> Self {
        Self { asker, reach, silent: AtomicUsize::new(0), answered: AtomicUsize::new(0) }
    }

    /// What each name server of a domain's zone says, side by side; `answers`: what the resolver said of them.
    ///
    /// Shape: a server that does not answer the first question is not asked the others. Errors: why nothing is known
    /// of any of them.
    pub async fn ask_all(&self, domain: &Name, answers: &Answers) -> Result<Vec<Authority>, &'static str> {
        let is_cut_off = self.answered.load(Ordering::Relaxed) == 0
            && self.silent.load(Ordering::Relaxed) >= limits::AUTHORITIES_SILENT;
        let (Ok(Some(zone)), Ok(servers)) = (zone::apex(domain, answers), zone::servers(domain, answers))
        else {
            return Err("the zone and its name servers are not known");
        };
        if is_cut_off {
            return Err("no name server at all answers us: questions to port 53 do not leave this machine");
        }
        let questions = zone::questions(domain, &zone);
        let servers = servers
            .into_iter()
            .filter(|(_, address)| self.reach.allows(*address))
            .take(limits::AUTHORITY_ADDRESSES);
        let said =
            future::join_all(servers.map(|(server, address)| self.ask(server, address, &questions))).await;
        let mut said: Vec<(Authority, bool)> = said.into_iter().flatten().collect();
        // A resolver on the way that answers in the place of every server (as some networks have it) says nothing
        // of any of them: the zone is found, so they cannot all be lame.
        let met: Vec<&(Authority, bool)> =
            said.iter().filter(|(authority, _)| is_answer(authority)).collect();
        if !met.is_empty() && met.iter().all(|(authority, offers)| *offers && !is_authoritative(authority)) {
            return Err("a resolver on the way answers in the place of the name servers");
        }
        let is_met = !met.is_empty();
        // No way to IPv6 from here is no fault of theirs.
        said.retain(|(authority, _)| {
            !(is_met && authority.address.is_ipv6() && cause(authority) == Some(Cause::Unreachable))
        });
        Ok(said.into_iter().map(|(authority, _)| authority).collect())
    }

    /// Asks one server: first for the start of authority, then for the rest side by side. Says with it whether the
    /// server offers to ask others.
    async fn ask(&self, server: Name, address: IpAddr, questions: &[Question]) -> Option<(Authority, bool)> {
        let (first, rest) = questions.split_first()?;
        let said = self.asker.ask_server(address, first).await;
        let offers_recursion = said.offers_recursion;
        let is_there = !matches!(
            said.answer.trouble().map(|trouble| trouble.cause),
            Some(Cause::Timeout | Cause::Unreachable | Cause::Budget)
        );
        let count = if is_there { &self.answered } else { &self.silent };
        count.fetch_add(1, Ordering::Relaxed);
        let is_usable = said.answer.trouble().is_none();
        let mut answers = vec![row(first, said)];
        if is_usable {
            let others = rest
                .iter()
                .map(|question| async move { row(question, self.asker.ask_server(address, question).await) });
            answers.extend(future::join_all(others).await);
        }
        Some((Authority { server, address, answers }, offers_recursion))
    }
}

/// One answer as a fact.
fn row(question: &Question, said: DirectAnswer) -> (Question, Answer, bool) {
    (question.clone(), said.answer, said.is_authoritative)
}

/// Why a server did not answer the first question.
fn cause(authority: &Authority) -> Option<Cause> {
    authority.answers.first().and_then(|(_, answer, _)| answer.trouble()).map(|trouble| trouble.cause)
}

/// True if a server answered the first question.
fn is_answer(authority: &Authority) -> bool {
    authority.answers.first().is_some_and(|(_, answer, _)| answer.trouble().is_none())
}

/// True if it did so as an authority.
fn is_authoritative(authority: &Authority) -> bool {
    authority.answers.first().is_some_and(|(_, _, is_authoritative)| *is_authoritative)
}
