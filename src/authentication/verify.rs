//! The whole verification of one received message: SPF, DKIM, ARC, DMARC, From, reverse DNS, and what trusted
//! hosts say, from its bytes and its envelope.
//!
//! It hangs on nothing but these, the answers of DNS and two instants: when the message came, by which
//! signatures are judged, and when it is verified, by which a missing key is judged. Where no peer is proven, SPF
//! is not known: the address in a `Received` line of a stranger is no evidence.

use std::sync::OnceLock;

use super::arc::{self, ArcResult, Chain};
use super::dkim::{self, DkimResult, Note, RawMessage, Service, Signatures};
use super::dmarc::{self, DmarcResult, DmarcVerdict, Identifier, Mechanism, Policy, Standing};
use super::from_header::FromHeader;
use super::results::{self, Difference, SpfIdentity};
use super::reverse::{Reverse, ReverseResult, reverse};
use super::spf::{self, SpfResult};
use crate::clock::Timestamp;
use crate::dns::{Answers, Ask, Budget, Cause, Name, NotKnown, Question, Resolve, settle};
use crate::limits;
use crate::mail::message::raw_fields;
use crate::mail::{AuthResults, Envelope, MethodResult, Origin, ReversePath};
use crate::reports::stated_time::mail_date;

/// What a verification starts from, beside the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// How the message came.
    pub envelope: &'a Envelope,
    /// What it is, for keys that are not for all mail.
    pub service: Service,
    /// Our host name, for explanations of SPF.
    pub receiver: &'a str,
    /// Whose Authentication-Results are believed: their `authserv-id`.
    pub trusted_hosts: &'a [String],
    /// When it is verified.
    pub now: Timestamp,
}

/// SPF of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spf {
    /// It was checked.
    Judged(Box<spf::Verdict>),
    /// It cannot be checked, and why.
    NotKnown(&'static str),
}

impl Spf {
    /// The word in views and JSON: a result, or `not-known`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Judged(verdict) => verdict.result.as_str(),
            Self::NotKnown(_) => "not-known",
        }
    }

    /// The result, if there is one.
    pub fn result(&self) -> Option<SpfResult> {
        match self {
            Self::Judged(verdict) => Some(verdict.result),
            Self::NotKnown(_) => None,
        }
    }
}

/// Everything that a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts {
    /// The instant by which signatures were judged.
    pub arrived_at: Timestamp,
    /// SPF of the reverse-path, or of the HELO name where that is empty (RFC 7208 §2.4).
    pub spf: Spf,
    /// SPF of the HELO name (RFC 7208 §2.3).
    pub spf_helo: Spf,
    /// Every signature.
    pub dkim: Signatures,
    /// The ARC chain.
    pub arc: Chain,
    /// Who the author says to be.
    pub from: FromHeader,
    /// DMARC, by both ways of finding the organizational domain.
    pub dmarc: DmarcVerdict,
    /// Reverse DNS of the peer; absent where none is proven.
    pub reverse: Option<Reverse>,
    /// What trusted hosts say.
    pub claims: Vec<AuthResults>,
    /// What they say otherwise than we.
    pub differences: Vec<Difference>,
    /// Questions that nobody answered, in order, at most [`limits::EVIDENCE_QUESTIONS`].
    pub unanswered: Vec<(Question, NotKnown)>,
    /// How many more there are.
    pub unanswered_more: usize,
    /// True if asking again later may change something: a question was put, and nobody answered.
    pub may_change: bool,
    /// Questions asked.
    pub asked: usize,
}

impl Verdicts {
    /// True if a result waits for DNS, and asking again may bring it. What was not asked because the work of one
    /// message is bounded would not be asked the next time either.
    pub fn is_open(&self) -> bool {
        let spf = [&self.spf, &self.spf_helo];
        let is_waiting = spf.iter().any(|spf| spf.result() == Some(SpfResult::TempError))
            || self.dkim.is_open()
            || self.arc.result == ArcResult::TempError
            || self.dmarc.is_open()
            || self.reverse.as_ref().is_some_and(|reverse| reverse.result == ReverseResult::TempError);
        is_waiting && self.may_change
    }

    /// The author domain that decides, if there is one.
    pub fn author(&self) -> Option<&Name> {
        self.dmarc.author().map(|author| &author.author).or_else(|| self.from.domains.first())
    }
}

/// Verifies one message within a budget. Whatever the answers, it ends with a verdict.
pub async fn verify(
    resolver: &dyn Resolve,
    facts: &Facts<'_>,
    message: &[u8],
    budget: &mut Budget,
) -> Verdicts {
    let work = Work::new(facts, message);
    let mut answers = Answers::new();
    let before = budget.asked;
    let mut verdicts = settle(resolver, &mut answers, budget, |answers| work.judge(answers)).await;
    verdicts.asked = budget.asked.saturating_sub(before);
    verdicts
}

/// Judges one message by these answers, or says what to ask: see [`verify`].
pub fn judge(facts: &Facts<'_>, message: &[u8], answers: &Answers) -> Result<Verdicts, Ask> {
    Work::new(facts, message).judge(answers)
}

/// A message under verification. What is computed at the cost of signatures is computed once, however many rounds of
/// questions there are.
struct Work<'a> {
    facts: &'a Facts<'a>,
    message: RawMessage<'a>,
    arrived_at: Timestamp,
    from: FromHeader,
    claims: Vec<AuthResults>,
    dkim: OnceLock<Signatures>,
    arc: OnceLock<Chain>,
}

/// What several judgements lack, to be asked side by side; what decides most stands first.
#[derive(Default)]
struct Lacking {
    questions: Vec<Question>,
}

impl Lacking {
    /// The result; or nothing, and its questions are noted.
    fn take<T>(&mut self, result: Result<T, Ask>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(ask) => {
                for question in ask.questions {
                    if !self.questions.contains(&question) {
                        self.questions.push(question);
                    }
                }
                None
            }
        }
    }
}

impl<'a> Work<'a> {
    /// Reads what the message itself says.
    fn new(facts: &'a Facts<'a>, message: &'a [u8]) -> Self {
        Self {
            facts,
            message: RawMessage::new(message),
            arrived_at: arrived_at(facts.envelope, message),
            from: FromHeader::of_message(message),
            claims: claims(facts, message),
            dkim: OnceLock::new(),
            arc: OnceLock::new(),
        }
    }

    /// Judges everything, or says what to ask.
    fn judge(&self, answers: &Answers) -> Result<Verdicts, Ask> {
        let mut lacking = Lacking::default();
        let dkim = lacking.take(self.dkim(answers));
        // The walk from the author domain hangs on nothing else: it is begun at once.
        for author in self.from.domains.iter().take(limits::DMARC_AUTHORS) {
            lacking.take(dmarc::discover(author, answers));
        }
        let spf = lacking.take(self.spf(spf::Identity::MailFrom, answers));
        let dmarc = match (dkim, &spf) {
            (Some(dkim), Some(spf)) => lacking.take(self.dmarc(dkim, spf, answers)),
            _ => None,
        };
        let spf_helo = lacking.take(self.spf(spf::Identity::Helo, answers));
        let reverse = lacking.take(self.reverse(answers));
        let arc = lacking.take(self.arc(answers));
        match (dkim, spf, spf_helo, dmarc, reverse, arc) {
            (Some(dkim), Some(spf), Some(spf_helo), Some(dmarc), Some(reverse), Some(arc)) => {
                Ok(self.conclude(dkim.clone(), (spf, spf_helo), dmarc, reverse, arc.clone(), answers))
            }
            _ => Err(Ask { questions: lacking.questions }),
        }
    }

    /// Every signature.
    fn dkim(&self, answers: &Answers) -> Result<&Signatures, Ask> {
        if let Some(known) = self.dkim.get() {
            return Ok(known);
        }
        let mut signatures = dkim::verify_as(&self.message, self.facts.service, self.arrived_at, answers)?;
        let age_ms = self.facts.now.ms_since(self.arrived_at);
        if age_ms > i64::try_from(limits::KEY_GONE_AFTER.as_millis()).unwrap_or(i64::MAX) {
            signatures.excuse_missing_keys();
        }
        Ok(self.dkim.get_or_init(|| signatures))
    }

    /// The chain.
    fn arc(&self, answers: &Answers) -> Result<&Chain, Ask> {
        if let Some(known) = self.arc.get() {
            return Ok(known);
        }
        let chain = arc::verify(&self.message, self.arrived_at, answers)?;
        Ok(self.arc.get_or_init(|| chain))
    }

    /// The reverse-path without brackets, empty for the null one; nothing where no transport was seen.
    fn mail_from(&self) -> Option<String> {
        self.facts.envelope.mail_from.as_ref().map(|path| match path {
            ReversePath::Null => String::new(),
            ReversePath::Address(address) => address.to_string(),
        })
    }

    /// SPF of one identity.
    fn spf(&self, identity: spf::Identity, answers: &Answers) -> Result<Spf, Ask> {
        let envelope = self.facts.envelope;
        let Some(peer) = envelope.peer else {
            return Ok(Spf::NotKnown(match envelope.origin {
                Origin::Smtp => "the relay does not tell who handed the message over",
                Origin::Import | Origin::Mailbox => "nothing proves who handed the message over",
            }));
        };
        let mail_from = match (identity, self.mail_from()) {
            (spf::Identity::Helo, mail_from) => mail_from.unwrap_or_default(),
            (spf::Identity::MailFrom, Some(mail_from)) => mail_from,
            (spf::Identity::MailFrom, None) => return Ok(Spf::NotKnown("the reverse-path is not known")),
        };
        let helo = envelope.helo.as_deref();
        if helo.is_none() && (identity == spf::Identity::Helo || mail_from.is_empty()) {
            return Ok(Spf::NotKnown("the name in HELO is not known"));
        }
        let input = spf::Input {
            ip: peer.ip(),
            identity,
            mail_from: &mail_from,
            helo: helo.unwrap_or_default(),
            receiver: self.facts.receiver,
            now: self.facts.envelope.received_at,
            void_limit: limits::SPF_VOIDS,
        };
        Ok(Spf::Judged(Box::new(spf::check(&input, answers)?)))
    }

    /// DMARC.
    fn dmarc(&self, dkim: &Signatures, spf: &Spf, answers: &Answers) -> Result<DmarcVerdict, Ask> {
        let authors = match self.from.author_domains() {
            Ok(authors) => authors,
            Err(fault) => return Ok(dmarc::unprocessed(fault)),
        };
        let mut identifiers = self.of_spf(spf, authors);
        for verdict in &dkim.verdicts {
            let domain = verdict.facts.domain.as_deref().and_then(|domain| Name::from_dotted(domain).ok());
            let Some(domain) = domain else { continue };
            let identifier = Identifier { mechanism: Mechanism::Dkim, domain, standing: standing(verdict) };
            if !identifiers.contains(&identifier) {
                identifiers.push(identifier);
            }
        }
        dmarc::evaluate(authors, &identifiers, answers)
    }

    /// What SPF says for DMARC. Where it is not known it might have passed for the domain of the reverse-path, and
    /// where that is not known either, for the author's.
    fn of_spf(&self, spf: &Spf, authors: &[Name]) -> Vec<Identifier> {
        let mechanism = Mechanism::Spf;
        let identifier = |domain, standing| Identifier { mechanism, domain, standing };
        match spf {
            Spf::Judged(verdict) => {
                let standing = match verdict.result {
                    SpfResult::Pass => Standing::Passed,
                    SpfResult::TempError => Standing::TempError,
                    SpfResult::None
                    | SpfResult::Neutral
                    | SpfResult::Fail
                    | SpfResult::SoftFail
                    | SpfResult::PermError => Standing::Failed,
                };
                verdict.domain_name().into_iter().map(|domain| identifier(domain, standing)).collect()
            }
            Spf::NotKnown(_) => {
                let path = self.facts.envelope.mail_from.as_ref();
                let domain = match path {
                    Some(ReversePath::Address(address)) => address.domain_name(),
                    Some(ReversePath::Null) | None => None,
                };
                match domain.and_then(|domain| Name::from_dotted(domain.as_str()).ok()) {
                    Some(domain) => vec![identifier(domain, Standing::NotKnown)],
                    None => {
                        authors.iter().map(|author| identifier(author.clone(), Standing::NotKnown)).collect()
                    }
                }
            }
        }
    }

    /// Reverse DNS of the peer.
    fn reverse(&self, answers: &Answers) -> Result<Option<Reverse>, Ask> {
        self.facts.envelope.peer.map(|peer| reverse(peer.ip(), answers)).transpose()
    }

    /// Puts the verdicts together.
    fn conclude(
        &self,
        dkim: Signatures,
        (spf, spf_helo): (Spf, Spf),
        dmarc: DmarcVerdict,
        reverse: Option<Reverse>,
        arc: Chain,
        answers: &Answers,
    ) -> Verdicts {
        let mut unanswered: Vec<(Question, NotKnown)> = answers
            .iter()
            .filter_map(|(question, answer)| Some((question.clone(), answer.trouble()?.clone())))
            .collect();
        unanswered.sort_by(|(one, _), (other, _)| one.cmp(other));
        let may_change =
            unanswered.iter().any(|(_, trouble)| !matches!(trouble.cause, Cause::Budget | Cause::BadName));
        let unanswered_more = unanswered.len().saturating_sub(limits::EVIDENCE_QUESTIONS);
        unanswered.truncate(limits::EVIDENCE_QUESTIONS);
        let mut verdicts = Verdicts {
            arrived_at: self.arrived_at,
            spf,
            spf_helo,
            dkim,
            arc,
            from: self.from.clone(),
            dmarc,
            reverse,
            claims: self.claims.clone(),
            differences: Vec::new(),
            unanswered,
            unanswered_more,
            may_change,
            asked: 0,
        };
        verdicts.differences = self.differences(&verdicts);
        verdicts
    }

    /// What trusted hosts say otherwise. Where we cannot know there is nothing to compare.
    fn differences(&self, verdicts: &Verdicts) -> Vec<Difference> {
        let ours = method_results(verdicts, self.facts);
        let mut differences = results::compare(&ours, &self.claims);
        let is_spf_known = matches!(verdicts.spf, Spf::Judged(_));
        differences.retain(|difference| match difference.method.as_str() {
            "spf" => is_spf_known,
            "iprev" => verdicts.reverse.is_some(),
            "dmarc" => verdicts.dmarc.result != DmarcResult::NotKnown,
            "dkim" => difference.ours.as_deref() != Some(DkimResult::NotKnown.as_str()),
            _ => true,
        });
        differences
    }
}

/// What a signature says for DMARC.
fn standing(verdict: &dkim::Verdict) -> Standing {
    match verdict.result() {
        // RFC 6376 §3.6.1: a message of a signer in testing mode is as good as unsigned.
        DkimResult::Pass if verdict.notes.contains(&Note::Testing) => Standing::Failed,
        DkimResult::Pass => Standing::Passed,
        DkimResult::TempError => Standing::TempError,
        DkimResult::NotKnown => Standing::NotKnown,
        DkimResult::None
        | DkimResult::Fail
        | DkimResult::Policy
        | DkimResult::Neutral
        | DkimResult::PermError => Standing::Failed,
    }
}

/// When the message came. For one of a mailbox, which may lie there for years: as the uppermost `Received` line has
/// it, which the mailbox's own host wrote, else `Date`; never later than we had it.
fn arrived_at(envelope: &Envelope, message: &[u8]) -> Timestamp {
    if envelope.origin == Origin::Smtp {
        return envelope.received_at;
    }
    let field = |wanted: &str| {
        raw_fields(message)
            .take(limits::SIGNED_HEADER_FIELDS)
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    let received = field("received").and_then(|line| mail_date(line.rsplit_once(';')?.1.trim()));
    let stated = received.or_else(|| field("date").and_then(|date| mail_date(date.trim())));
    let stated = stated.map(|stated| Timestamp::from_seconds(stated.seconds));
    stated.filter(|stated| *stated < envelope.received_at).unwrap_or(envelope.received_at)
}

/// What trusted hosts say. Only of mail that came through one: a peer that comes to us directly writes what it likes.
fn claims(facts: &Facts<'_>, message: &[u8]) -> Vec<AuthResults> {
    let is_behind = facts.envelope.relay.is_some() || facts.envelope.origin != Origin::Smtp;
    if facts.trusted_hosts.is_empty() || !is_behind {
        return Vec::new();
    }
    let fields: Vec<(String, String)> = raw_fields(message)
        .take(limits::SIGNED_HEADER_FIELDS)
        .map(|(name, value)| {
            let value = value.get(..limits::HEADER_VALUE_BYTES).unwrap_or(value);
            let unfolded = String::from_utf8_lossy(value).replace(['\r', '\n'], "");
            (name.to_ascii_lowercase(), unfolded)
        })
        .collect();
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    results::trusted(fields, facts.trusted_hosts)
}

/// Our verdicts in the words of RFC 8601. What is not known is left out: it has no word there.
fn method_results(verdicts: &Verdicts, facts: &Facts<'_>) -> Vec<MethodResult> {
    let mut all = Vec::new();
    let identities = [(&verdicts.spf, SpfIdentity::MailFrom), (&verdicts.spf_helo, SpfIdentity::Helo)];
    for (spf, identity) in identities {
        if let Spf::Judged(verdict) = spf {
            let reason = verdict.reason().map(ToString::to_string).unwrap_or_default();
            all.push(results::of_spf(identity, &verdict.domain, verdict.result, &reason));
        }
    }
    all.extend(results::of_dkim(&verdicts.dkim));
    all.push(results::of_arc(&verdicts.arc));
    if let (Some(peer), Some(reverse)) = (facts.envelope.peer, &verdicts.reverse) {
        all.push(results::of_reverse(peer.ip(), reverse));
    }
    for author in &verdicts.dmarc.authors {
        let policy = author.by_walk.policy.and_then(|policy| policy.published).map(Policy::as_str);
        let (word, reason) = (author.by_walk.result.as_str(), &author.by_walk.reason);
        all.push(results::of_dmarc(author.author.as_str(), word, reason, policy));
    }
    all
}

#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;
