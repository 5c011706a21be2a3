//! The check of one sender: `check_host()` of RFC 7208 §4, with its trace.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::SpfResult;
use super::macros::{self, Piece, pieces};
use super::record::{DomainSpec, Mechanism, Prefixes, Qualifier, Record, TermKind, is_spf};
use super::trace::{Identity, Node, Reason, Step, StepDetail, StepOutcome, Verdict};
use crate::clock::Timestamp;
use crate::dns::{Answer, Answers, Ask, Name, Outcome, Question, RecordType};
use crate::limits;

/// Who wants to send, and what the receiver knows of it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The client's address. An IPv4-mapped one is the IPv4 address (RFC 7208 §5).
    pub ip: IpAddr,
    /// Which name is checked.
    pub identity: Identity,
    /// The reverse-path without its brackets, also the domain alone; empty for that of bounces.
    pub mail_from: &'a str,
    /// The name in HELO or EHLO.
    pub helo: &'a str,
    /// The receiving host, for explanations.
    pub receiver: &'a str,
    /// When the mail came, for explanations.
    pub now: Timestamp,
    /// Terms with a void answer that are allowed: [`limits::SPF_VOIDS`] unless configured (RFC 7208 §4.6.4).
    pub void_limit: u32,
}

/// Checks whether a host may send in the name of a domain.
///
/// Shape: a verdict with its whole trace, or the questions whose answers are lacking. The order of records in
/// an answer never matters. An answer that is not known gives temperror, never an absence.
/// Bounds: at most [`limits::SPF_LOOKUPS`] terms query DNS, so nesting and work are bounded with them.
/// Standard: RFC 7208 §4 to §7.
pub fn check(input: &Input<'_>, answers: &Answers) -> Result<Verdict, Ask> {
    let ip = input.ip.to_canonical();
    // RFC 7208 §2.4: for an empty reverse-path the mailbox is postmaster at the HELO name.
    let is_helo = input.identity == Identity::Helo || input.mail_from.is_empty();
    let (local, domain) = match (is_helo, input.mail_from.rsplit_once('@')) {
        (true, _) => ("", input.helo),
        (false, Some(parts)) => parts,
        (false, None) => ("", input.mail_from),
    };
    // RFC 7208 §4.3: a missing local part is `postmaster`.
    let local = if local.is_empty() { "postmaster" } else { local };
    let domain = a_labels(domain);
    let mut run = Run { input, ip, local, domain: &domain, answers, lookups: 0, voids: 0 };
    let trace = run.host(&domain)?;
    let explanation = if trace.result == SpfResult::Fail { run.explanation(&trace)? } else { None };
    Ok(Verdict {
        result: trace.result,
        identity: input.identity,
        domain: domain.into_owned(),
        ip,
        explanation,
        trace,
    })
}

/// A domain without the final dot, U-labels as A-labels (RFC 7208 §4.3); unchanged where it is none.
fn a_labels(domain: &str) -> Cow<'_, str> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_ascii() {
        return Cow::Borrowed(domain);
    }
    match Name::from_person(domain) {
        Ok(name) => Cow::Owned(name.as_str().to_owned()),
        Err(_) => Cow::Borrowed(domain),
    }
}

/// The name to ask for, if a text is a domain of more than one label (RFC 7208 §4.3).
fn askable(domain: &str) -> Option<Name> {
    let last = domain.rsplit('.').next().unwrap_or_default();
    // An address, in brackets or not, is no domain.
    let is_address = domain.starts_with('[') || last.bytes().all(|octet| octet.is_ascii_digit());
    if is_address || last.len() == domain.len() {
        return None;
    }
    Name::from_dotted(domain).ok()
}

/// One check on its way.
struct Run<'a> {
    input: &'a Input<'a>,
    ip: IpAddr,
    local: &'a str,
    domain: &'a str,
    answers: &'a Answers,
    lookups: u32,
    voids: u32,
}

/// Whether a mechanism matched, and what there is to say about it.
struct Matched {
    /// True if it matched, false if not; else the result with which it ends the check.
    what: Result<bool, (SpfResult, Reason)>,
    detail: Option<Box<StepDetail>>,
}

impl Matched {
    /// A plain yes or no.
    const fn plain(what: bool) -> Self {
        Self { what: Ok(what), detail: None }
    }

    /// The end of the check.
    fn end(result: SpfResult, reason: Reason) -> Self {
        Self { what: Err((result, reason)), detail: None }
    }

    /// The end of the check, if nobody answered.
    fn not_known(name: &Name, record_type: RecordType, answer: &Answer) -> Option<Self> {
        let trouble = answer.trouble()?;
        let question = Question::new(name.clone(), record_type);
        let reason = Reason::NotKnown(Box::new((question, trouble.clone())));
        Some(Self::end(SpfResult::TempError, reason))
    }

    /// The detail, made if there is none yet.
    fn detail(&mut self) -> &mut StepDetail {
        self.detail.get_or_insert_default()
    }
}

impl Run<'_> {
    /// Evaluates the record of a domain (RFC 7208 §4.3 to §4.7).
    fn host(&mut self, domain: &str) -> Result<Node, Ask> {
        // RFC 7208 §7.3: the value of `%{d}` has no final dot.
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        let (lookups, voids) = (self.lookups, self.voids);
        let mut node = Node {
            domain: domain.to_owned(),
            record: None,
            result: SpfResult::None,
            reason: None,
            steps: Vec::new(),
            decided: None,
            lookups: 0,
            voids: 0,
        };
        let Selected { record, end } = self.record(domain)?;
        (node.result, node.reason) = match (&record, end) {
            (_, Some((result, reason))) => (result, Some(reason)),
            (Some(record), None) => self.terms(record, domain, &mut node)?,
            (None, None) => (SpfResult::None, Some(Reason::NoRecord)),
        };
        node.record = record;
        node.lookups = self.lookups - lookups;
        node.voids = self.voids - voids;
        Ok(node)
    }

    /// Finds the one record of a domain (RFC 7208 §4.4, §4.5), or says why there is none that can be used.
    fn record(&self, domain: &str) -> Result<Selected, Ask> {
        let Some(name) = askable(domain) else {
            return Ok(Selected::none(SpfResult::None, Reason::NoDomain));
        };
        let selected = self.answers.derived(&name, RecordType::Txt, |answer| select(&name, answer))?;
        Ok(Selected::clone(&selected))
    }

    /// Evaluates the terms of a sound record, left to right (RFC 7208 §4.6.2, §4.7).
    fn terms(
        &mut self,
        record: &Record,
        domain: &str,
        node: &mut Node,
    ) -> Result<(SpfResult, Option<Reason>), Ask> {
        node.steps.reserve_exact(record.terms.len());
        let mut end = None;
        for (at, term) in record.terms.iter().enumerate() {
            let TermKind::Directive(qualifier, mechanism) = &term.kind else {
                node.steps.push(Step { outcome: StepOutcome::NoPart, detail: None });
                continue;
            };
            if end.is_some() {
                node.steps.push(Step { outcome: StepOutcome::NotReached, detail: None });
                continue;
            }
            let (lookups, voids) = (self.lookups, self.voids);
            let mut matched = self.mechanism(record, mechanism, domain)?;
            if self.lookups > lookups {
                let (lookups, voids) = (self.lookups - lookups, self.voids - voids);
                let detail = matched.detail();
                (detail.lookups, detail.voids) = (lookups, voids);
            }
            let outcome = match matched.what {
                Ok(false) => StepOutcome::NoMatch,
                Ok(true) => {
                    node.decided = Some(at);
                    end = Some((result_of(*qualifier), None));
                    StepOutcome::Match
                }
                Err((result, ref reason)) => {
                    let reason = reason.clone();
                    matched.detail().reason = Some(reason.clone());
                    node.decided = Some(at);
                    end = Some((result, Some(reason)));
                    StepOutcome::Error
                }
            };
            node.steps.push(Step { outcome, detail: matched.detail });
        }
        if let Some(end) = end {
            return Ok(end);
        }
        let Some((at, target)) = record.redirect() else {
            // RFC 7208 §4.7: neutral if nothing matched and nothing leads on.
            return Ok((SpfResult::Neutral, Some(Reason::NothingMatched)));
        };
        let (step, end) = self.redirect(record, target, domain)?;
        node.decided = Some(at);
        if let Some(place) = node.steps.get_mut(at) {
            *place = step;
        }
        Ok(end)
    }

    /// Follows `redirect` (RFC 7208 §6.1).
    fn redirect(
        &mut self,
        record: &Record,
        target: DomainSpec,
        domain: &str,
    ) -> Result<(Step, (SpfResult, Option<Reason>)), Ask> {
        let (lookups, voids) = (self.lookups, self.voids);
        let mut detail = StepDetail::default();
        let (outcome, end) = if let Some(reason) = self.counted(Some(target)) {
            detail.reason = Some(reason.clone());
            (StepOutcome::Error, (SpfResult::PermError, Some(reason)))
        } else {
            let name = self.target(record, Some(target), domain, &mut detail)?;
            let child = self.host(&name)?;
            let end = match child.result {
                // RFC 7208 §6.1: no record there is a permerror here.
                SpfResult::None => {
                    let why = child.reason.clone().unwrap_or(Reason::NoRecord);
                    (SpfResult::PermError, Some(Reason::Leads(Box::new(why))))
                }
                SpfResult::TempError | SpfResult::PermError => (child.result, Some(Reason::Inner)),
                result => (result, None),
            };
            detail.child = Some(child);
            let is_error = matches!(end.0, SpfResult::TempError | SpfResult::PermError);
            detail.reason.clone_from(&end.1);
            (if is_error { StepOutcome::Error } else { StepOutcome::Followed }, end)
        };
        detail.lookups = self.lookups - lookups;
        detail.voids = self.voids - voids;
        Ok((Step { outcome, detail: Some(Box::new(detail)) }, end))
    }

    /// Counts a term that queries DNS; a reason if it is one too many (RFC 7208 §4.6.4).
    fn counted(&mut self, target: Option<DomainSpec>) -> Option<Reason> {
        // RFC 7208 §4.6.4: the names asked for by `%{p}` are included in the limit.
        self.lookups += 1 + u32::from(target.is_some_and(|target| target.has_names));
        (self.lookups > limits::SPF_LOOKUPS).then_some(Reason::Lookups(limits::SPF_LOOKUPS))
    }

    /// Counts a void answer of a term; the end of the check if it is one too many (RFC 7208 §4.6.4).
    fn void(&mut self, question: Question, matched: &mut Matched) {
        self.voids += 1;
        matched.detail().void_questions.push(question);
        if self.voids > self.input.void_limit {
            matched.what = Err((SpfResult::PermError, Reason::Voids(self.input.void_limit)));
        }
    }

    /// Evaluates one mechanism (RFC 7208 §5).
    fn mechanism(&mut self, record: &Record, mechanism: &Mechanism, domain: &str) -> Result<Matched, Ask> {
        if mechanism.is_lookup()
            && let Some(reason) = self.counted(mechanism.target())
        {
            return Ok(Matched::end(SpfResult::PermError, reason));
        }
        match mechanism {
            Mechanism::All => Ok(Matched::plain(true)),
            Mechanism::Ip4(network, prefix) => {
                Ok(Matched::plain(is_within(self.ip, IpAddr::V4(*network), *prefix)))
            }
            Mechanism::Ip6(network, prefix) => {
                Ok(Matched::plain(is_within(self.ip, IpAddr::V6(*network), *prefix)))
            }
            Mechanism::Include(target) => self.include(record, *target, domain),
            Mechanism::A(target, prefixes) => self.a(record, *target, *prefixes, domain),
            Mechanism::Mx(target, prefixes) => self.mx(record, *target, *prefixes, domain),
            Mechanism::Exists(target) => self.exists(record, *target, domain),
            Mechanism::Ptr(target) => self.ptr(record, *target, domain),
        }
    }

    /// The target of a term: its domain expanded, or that of the record (RFC 7208 §4.8).
    fn target<'t>(
        &mut self,
        record: &'t Record,
        target: Option<DomainSpec>,
        domain: &'t str,
        detail: &mut StepDetail,
    ) -> Result<Cow<'t, str>, Ask> {
        let Some(target) = target else { return Ok(Cow::Borrowed(domain)) };
        let octets = record.part_octets(target.span);
        if !target.has_macros {
            return Ok(Cow::Borrowed(std::str::from_utf8(octets).unwrap_or_default()));
        }
        let text = self.expanded(octets, domain)?;
        let text = macros::truncated(&text).to_owned();
        detail.target = Some(text.clone());
        Ok(Cow::Owned(text))
    }

    /// `include` (RFC 7208 §5.2).
    fn include(&mut self, record: &Record, target: DomainSpec, domain: &str) -> Result<Matched, Ask> {
        let mut detail = Box::<StepDetail>::default();
        let name = self.target(record, Some(target), domain, &mut detail)?;
        let child = self.host(&name)?;
        let what = match child.result {
            SpfResult::Pass => Ok(true),
            SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => Ok(false),
            SpfResult::TempError | SpfResult::PermError => Err((child.result, Reason::Inner)),
            SpfResult::None => {
                let why = child.reason.clone().unwrap_or(Reason::NoRecord);
                Err((SpfResult::PermError, Reason::Leads(Box::new(why))))
            }
        };
        detail.child = Some(child);
        Ok(Matched { what, detail: Some(detail) })
    }

    /// `a` (RFC 7208 §5.3).
    fn a(
        &mut self,
        record: &Record,
        target: Option<DomainSpec>,
        prefixes: Prefixes,
        domain: &str,
    ) -> Result<Matched, Ask> {
        let (mut matched, name) = self.begin(record, target, domain)?;
        // RFC 7208 §4.8: a name that cannot be asked for matches nothing.
        let Some(name) = name else { return Ok(matched) };
        let record_type = self.address_type();
        let answer = self.answers.get(&name, record_type)?;
        if let Some(end) = Matched::not_known(&name, record_type, answer) {
            return Ok(Matched { what: end.what, ..matched });
        }
        matched.what = Ok(self.has_address(answer, prefixes));
        if answer.is_void() {
            self.void(Question::new(name, record_type), &mut matched);
        }
        Ok(matched)
    }

    /// `mx` (RFC 7208 §5.4).
    fn mx(
        &mut self,
        record: &Record,
        target: Option<DomainSpec>,
        prefixes: Prefixes,
        domain: &str,
    ) -> Result<Matched, Ask> {
        let (mut matched, name) = self.begin(record, target, domain)?;
        let Some(name) = name else { return Ok(matched) };
        let answers = self.answers;
        let answer = answers.get(&name, RecordType::Mx)?;
        if let Some(end) = Matched::not_known(&name, RecordType::Mx, answer) {
            return Ok(Matched { what: end.what, ..matched });
        }
        if answer.is_void() {
            self.void(Question::new(name, RecordType::Mx), &mut matched);
            return Ok(matched);
        }
        // A null MX (RFC 7505 §3) has no host.
        let hosts: Vec<&Name> =
            answer.exchangers().into_iter().map(|mx| &mx.exchange).filter(|host| !host.is_root()).collect();
        // RFC 7208 §4.6.4: more than ten are a permerror, whichever of them would have matched.
        if hosts.len() > limits::SPF_MX_HOSTS {
            let what = Err((SpfResult::PermError, Reason::Exchangers(hosts.len())));
            return Ok(Matched { what, ..matched });
        }
        let record_type = self.address_type();
        self.need(&hosts, record_type)?;
        for host in hosts {
            let answer = answers.get(host, record_type)?;
            if let Some(end) = Matched::not_known(host, record_type, answer) {
                return Ok(Matched { what: end.what, ..matched });
            }
            if self.has_address(answer, prefixes) {
                matched.what = Ok(true);
                break;
            }
            if answer.is_void() {
                // Seen but not counted: RFC 7208 §4.6.4 limits terms, and the term's own answer is not void.
                matched.detail().void_questions.push(Question::new(host.clone(), record_type));
            }
        }
        Ok(matched)
    }

    /// `exists` (RFC 7208 §5.7): IPv4 addresses, whatever the client has.
    fn exists(&mut self, record: &Record, target: DomainSpec, domain: &str) -> Result<Matched, Ask> {
        let (mut matched, name) = self.begin(record, Some(target), domain)?;
        let Some(name) = name else { return Ok(matched) };
        let answer = self.answers.get(&name, RecordType::A)?;
        if let Some(end) = Matched::not_known(&name, RecordType::A, answer) {
            return Ok(Matched { what: end.what, ..matched });
        }
        matched.what = Ok(!answer.is_void());
        if answer.is_void() {
            self.void(Question::new(name, RecordType::A), &mut matched);
        }
        Ok(matched)
    }

    /// `ptr` (RFC 7208 §5.5).
    fn ptr(&mut self, record: &Record, target: Option<DomainSpec>, domain: &str) -> Result<Matched, Ask> {
        let (mut matched, name) = self.begin(record, target, domain)?;
        let question = Question::new(Name::reverse(self.ip), RecordType::Ptr);
        let answer = self.answers.get(&question.name, RecordType::Ptr)?;
        let Some(name) = name else { return Ok(matched) };
        if answer.is_void() {
            self.void(question, &mut matched);
            return Ok(matched);
        }
        if answer.trouble().is_some() {
            // RFC 7208 §5.5: without an answer the mechanism does not match.
            matched.detail().unanswered.push(question);
            return Ok(matched);
        }
        let all = answer.names().count();
        let names = self.validated(Some(&mut matched))?;
        matched.what = Ok(names.iter().any(|validated| validated.is_within(&name)));
        if all > limits::SPF_PTR_NAMES {
            matched.detail().names_left_out = all - limits::SPF_PTR_NAMES;
        }
        Ok(matched)
    }

    /// The target of a mechanism as a name; absent where it cannot be asked for.
    fn begin(
        &mut self,
        record: &Record,
        target: Option<DomainSpec>,
        domain: &str,
    ) -> Result<(Matched, Option<Name>), Ask> {
        let mut matched = Matched::plain(false);
        let has_macros = target.is_some_and(|target| target.has_macros);
        let name = if has_macros {
            self.target(record, target, domain, matched.detail.get_or_insert_default())?
        } else {
            self.target(record, target, domain, &mut StepDetail::default())?
        };
        let name = Name::from_dotted(&name).ok().filter(|name| !name.is_root());
        Ok((matched, name))
    }

    /// The type of the client's addresses.
    const fn address_type(&self) -> RecordType {
        match self.ip {
            IpAddr::V4(_) => RecordType::A,
            IpAddr::V6(_) => RecordType::Aaaa,
        }
    }

    /// True if an answer holds an address whose network holds the client.
    fn has_address(&self, answer: &Answer, prefixes: Prefixes) -> bool {
        let prefix = match self.ip {
            IpAddr::V4(_) => prefixes.four.unwrap_or(32),
            IpAddr::V6(_) => prefixes.six.unwrap_or(128),
        };
        answer.addresses().any(|address| is_within(self.ip, address, prefix))
    }

    /// Nothing if the answers for all names are known, else all that are lacking, to be asked side by side.
    fn need(&self, names: &[&Name], record_type: RecordType) -> Result<(), Ask> {
        if names.iter().all(|name| self.answers.get(name, record_type).is_ok()) {
            return Ok(());
        }
        self.answers.need(names.iter().map(|name| Question::new((*name).clone(), record_type)))
    }

    /// The names of the client's address that lead back to it: the first ten looked at (RFC 7208 §4.6.4, §5.5).
    fn validated(&self, mut matched: Option<&mut Matched>) -> Result<Vec<&Name>, Ask> {
        let answer = self.answers.get(&Name::reverse(self.ip), RecordType::Ptr)?;
        let mut names: Vec<&Name> = answer.names().collect();
        // Which ten are the first must not depend on the order of an answer.
        names.sort_unstable();
        names.truncate(limits::SPF_PTR_NAMES);
        let record_type = self.address_type();
        self.need(&names, record_type)?;
        let mut validated = Vec::new();
        for name in names {
            let answer = self.answers.get(name, record_type)?;
            if answer.addresses().any(|address| address == self.ip) {
                validated.push(name);
            } else if let Some(matched) = matched.as_deref_mut() {
                let question = Question::new(name.clone(), record_type);
                if answer.is_void() {
                    matched.detail().void_questions.push(question);
                } else if answer.trouble().is_some() {
                    // RFC 7208 §5.5: the name is skipped.
                    matched.detail().unanswered.push(question);
                }
            }
        }
        Ok(validated)
    }

    /// The value of `%{p}`: the best validated name of the client (RFC 7208 §7.3).
    fn validated_name(&self, domain: &str) -> Result<String, Ask> {
        let unknown = || "unknown".to_owned();
        let Ok(domain) = Name::from_dotted(domain) else { return Ok(unknown()) };
        let names = self.validated(None)?;
        let best = names
            .iter()
            .find(|name| **name == &domain)
            .or_else(|| names.iter().find(|name| name.is_within(&domain)))
            .or_else(|| names.first());
        Ok(best.map_or_else(unknown, |name| name.as_str().to_owned()))
    }

    /// Expands a text that has only valid macros, for the record of `domain` (RFC 7208 §7.3).
    fn expanded(&self, text: &[u8], domain: &str) -> Result<String, Ask> {
        let mut out = String::with_capacity(text.len() + 64);
        for piece in pieces(text) {
            match piece {
                Ok((Piece::Literal(literal), ..)) => out.push_str(&String::from_utf8_lossy(literal)),
                Ok((Piece::Escape(text), ..)) => out.push_str(text),
                Ok((Piece::Macro(expression), ..)) => {
                    let value = self.value(expression.letter, domain)?;
                    expression.write(&value, &mut out);
                }
                // Not in a record without faults, and explanations are looked at before.
                Err(_) => break,
            }
        }
        Ok(out)
    }

    /// The value of a macro letter.
    fn value(&self, letter: u8, domain: &str) -> Result<Cow<'_, str>, Ask> {
        let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        Ok(match letter {
            b's' => Cow::Owned(format!("{}@{}", self.local, self.domain)),
            b'l' => Cow::Borrowed(self.local),
            b'o' => Cow::Borrowed(self.domain),
            b'd' => Cow::Owned(domain.to_owned()),
            b'i' => Cow::Owned(macros::dotted(self.ip)),
            b'p' => Cow::Owned(self.validated_name(domain)?),
            b'v' => Cow::Borrowed(if self.ip.is_ipv4() { "in-addr" } else { "ip6" }),
            b'h' => Cow::Borrowed(self.input.helo),
            b'c' => Cow::Owned(self.ip.to_string()),
            b'r' => Cow::Owned(or_unknown(self.input.receiver)),
            b't' => Cow::Owned(self.input.now.seconds().to_string()),
            _ => Cow::Borrowed(""),
        })
    }

    /// The explanation of the record that failed, if it gives one that can be used (RFC 7208 §6.2).
    fn explanation(&mut self, trace: &Node) -> Result<Option<String>, Ask> {
        // RFC 7208 §6.2: after redirect that of the record redirected to, never that of an included one.
        let mut node = trace;
        while let Some(step) = node.decided.and_then(|at| node.steps.get(at))
            && step.outcome == StepOutcome::Followed
            && let Some(child) = step.detail.as_ref().and_then(|detail| detail.child.as_ref())
        {
            node = child;
        }
        let Some((record, target)) = node.record.as_ref().and_then(|record| Some((record, record.exp()?)))
        else {
            return Ok(None);
        };
        let name = self.target(record, Some(target), &node.domain, &mut StepDetail::default())?;
        let Some(name) = Name::from_dotted(&name).ok().filter(|name| !name.is_root()) else {
            return Ok(None);
        };
        let answer = self.answers.get(&name, RecordType::Txt)?;
        let mut texts = answer.texts();
        let (Some(text), None) = (texts.next(), texts.next()) else { return Ok(None) };
        let is_sound =
            text.iter().all(|octet| matches!(octet, b' '..=b'~')) && pieces(&text).all(|piece| piece.is_ok());
        if !is_sound {
            return Ok(None);
        }
        Ok(Some(self.expanded(&text, &node.domain)?))
    }
}

/// The record of a name, and why it cannot be used, if it cannot.
#[derive(Debug, Clone)]
struct Selected {
    record: Option<Arc<Record>>,
    end: Option<(SpfResult, Reason)>,
}

impl Selected {
    /// No record.
    const fn none(result: SpfResult, reason: Reason) -> Self {
        Self { record: None, end: Some((result, reason)) }
    }
}

/// Selects the record in the answer for a name (RFC 7208 §4.4, §4.5).
fn select(name: &Name, answer: &Answer) -> Selected {
    if let Some(trouble) = answer.trouble() {
        let question = Question::new(name.clone(), RecordType::Txt);
        let reason = Reason::NotKnown(Box::new((question, trouble.clone())));
        return Selected::none(SpfResult::TempError, reason);
    }
    let mut texts = answer.texts().filter(|text| is_spf(text));
    let Some(text) = texts.next() else {
        let is_absent = matches!(answer.outcome, Outcome::NoName);
        return Selected::none(SpfResult::None, if is_absent { Reason::NoName } else { Reason::NoRecord });
    };
    let others = texts.count();
    if others > 0 {
        return Selected::none(SpfResult::PermError, Reason::SeveralRecords(others + 1));
    }
    let record = Record::parse(text);
    // RFC 7208 §4.6: a syntax error anywhere gives permerror, before anything is evaluated.
    let faults = record.faults.len();
    let end = (faults > 0).then_some((SpfResult::PermError, Reason::Faults(faults)));
    Selected { record: Some(Arc::new(record)), end }
}

/// The result of a mechanism that matched (RFC 7208 §4.6.2).
const fn result_of(qualifier: Qualifier) -> SpfResult {
    match qualifier {
        Qualifier::Pass => SpfResult::Pass,
        Qualifier::Fail => SpfResult::Fail,
        Qualifier::SoftFail => SpfResult::SoftFail,
        Qualifier::Neutral => SpfResult::Neutral,
    }
}

/// True if an address is in a network of its own family (RFC 7208 §5.6).
fn is_within(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let differing = u32::from(ip) ^ u32::from(network);
            differing.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let differing = u128::from(ip) ^ u128::from(network);
            differing.leading_zeros() >= u32::from(prefix)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
