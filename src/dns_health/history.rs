//! What a domain's records were, and how they changed.
//!
//! One question at a time: [`step`] takes what is known of its records and what a check saw, and says what is
//! known now and what happened. Trouble never makes a record absent: the last good value stays, and is told to be
//! in doubt only after the trouble lasted. Absence counts as loss when a second check confirms it. Records in
//! another order are the same, and an answer that changes to and fro is told once as varying.

use std::collections::{HashMap, HashSet};

use crate::clock::Timestamp;
use crate::dns::{Answer, Answers, Cause, Outcome, Question, Security};
use crate::dns_health::class::Class;
use crate::dns_health::finding::{self, Checked};
use crate::dns_health::report::{Grade, Health};
use crate::limits;

/// Trouble is an event once it has lasted this long, milliseconds: servers restart.
pub const TROUBLE_MS: i64 = 3_600_000;
/// And was met by at least so many checks in a row.
pub const TROUBLE_CHECKS: u32 = 3;
/// A value that comes back within this time varies and did not change, milliseconds.
pub const VARIES_MS: i64 = 86_400_000;

/// What is known of the records of one question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// There are records: each as a zone file writes it, sorted, none twice.
    Records(Vec<String>),
    /// The name does not exist.
    NoName,
    /// The name exists, without records of this type.
    NoType,
}

impl Value {
    /// True if there are records.
    pub const fn is_there(&self) -> bool {
        matches!(self, Self::Records(_))
    }

    /// The word in views and JSON.
    pub const fn state(&self) -> &'static str {
        match self {
            Self::Records(_) => "records",
            Self::NoName => "no-name",
            Self::NoType => "no-type",
        }
    }

    /// The records; none where they are absent.
    pub fn records(&self) -> &[String] {
        match self {
            Self::Records(records) => records,
            _ => &[],
        }
    }
}

/// What one check saw of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The question.
    pub question: Question,
    /// The value; else why it is not known.
    pub value: Result<Value, Cause>,
    /// What DNSSEC says.
    pub security: Security,
}

impl Seen {
    /// Takes from an answer what history keeps: neither order nor TTL.
    pub fn of(question: &Question, answer: &Answer) -> Self {
        let value = match &answer.outcome {
            Outcome::Records(data) => {
                let mut records: Vec<String> = data.iter().map(ToString::to_string).collect();
                records.sort();
                records.dedup();
                Ok(Value::Records(records))
            }
            Outcome::NoName => Ok(Value::NoName),
            Outcome::NoType => Ok(Value::NoType),
            Outcome::NotKnown(not_known) => Err(not_known.cause),
        };
        Self { question: question.clone(), value, security: answer.security }
    }
}

/// What is known of one question over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The last value that was known; absent if it never was.
    pub value: Option<Value>,
    /// What DNSSEC said then.
    pub security: Security,
    /// Since when it has this value.
    pub since: Timestamp,
    /// When it was seen last.
    pub confirmed: Timestamp,
    /// The value before, and until when it was seen.
    pub previous: Option<(Value, Timestamp)>,
    /// When it was told last that the value varies.
    pub varies: Option<Timestamp>,
    /// When records that are known were first found absent, without a second check yet.
    pub missing: Option<Timestamp>,
    /// Trouble that goes on.
    pub trouble: Option<Trouble>,
}

/// Trouble with a question that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// Checks that met it.
    pub checks: u32,
    /// What it was last.
    pub cause: Cause,
    /// True once it was told.
    pub is_told: bool,
}

/// What can happen to the records of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happening {
    /// Records are there that were not.
    Appeared,
    /// Other records than before.
    Changed,
    /// The records are gone, as two checks saw.
    Lost,
    /// Answers change to and fro; told once a day at most.
    Varies,
    /// What DNSSEC says became worse or better.
    SecurityChanged,
    /// No answer for a while: nothing is known of the records.
    NotAnswering,
    /// Answers again after that.
    Answering,
    /// A check found something that it did not find before.
    Found,
    /// What was found is not there any more.
    Mended,
}

impl Happening {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Appeared,
        Self::Changed,
        Self::Lost,
        Self::Varies,
        Self::SecurityChanged,
        Self::NotAnswering,
        Self::Answering,
        Self::Found,
        Self::Mended,
    ];

    /// The word in the store, in views and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Changed => "changed",
            Self::Lost => "lost",
            Self::Varies => "varies",
            Self::SecurityChanged => "security-changed",
            Self::NotAnswering => "not-answering",
            Self::Answering => "answering",
            Self::Found => "found",
            Self::Mended => "mended",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|happening| happening.as_str() == text)
    }
}

/// What history keeps of one check of one domain.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// What was seen of each question.
    pub seen: Vec<Seen>,
    /// What was found.
    pub findings: Vec<FoundNow>,
    /// Codes of which at least one check ended "not known": what was found of them before is not mended.
    pub not_known: Vec<&'static str>,
    /// The class's word; absent: not known.
    pub class: Option<&'static str>,
    /// The grade's letter; absent: too much is not known.
    pub grade: Option<&'static str>,
    /// Checks that ended "pass".
    pub passed: u64,
    /// Questions asked.
    pub asked: u64,
}

/// One finding of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNow {
    /// The stable code.
    pub code: &'static str,
    /// The name, host or record that it is about.
    pub subject: String,
    /// The severity's word.
    pub severity: &'static str,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub mend: String,
}

impl Noted {
    /// Takes from a check what history keeps: names made up for the check (below its nonce) are left out, and of
    /// the answers at most [`limits::DNS_HISTORY_QUESTIONS`], the first by name.
    pub fn of(health: &Health, answers: &Answers, nonce: &str, asked: usize) -> Self {
        let mut seen: Vec<Seen> = answers
            .iter()
            .filter(|(question, _)| question.name.labels().all(|label| label != nonce))
            .map(|(question, answer)| Seen::of(question, answer))
            .collect();
        seen.sort_by(|one, other| one.question.cmp(&other.question));
        seen.truncate(limits::DNS_HISTORY_QUESTIONS);
        let findings = health.findings.iter().map(|finding| FoundNow {
            code: finding.code.code,
            subject: finding.subject.clone(),
            severity: finding.severity.as_str(),
            evidence: finding.evidence.clone(),
            mend: finding.mend.clone(),
        });
        let is_not_known = |checked: &&Checked| matches!(checked.state, finding::State::NotKnown { .. });
        let mut not_known: Vec<&'static str> =
            health.checks.iter().filter(is_not_known).map(|checked| checked.code.code).collect();
        not_known.dedup();
        Self {
            seen,
            findings: findings.collect(),
            not_known,
            class: health.class.map(Class::as_str),
            grade: health.grade.map(Grade::as_str),
            passed: health.count("pass"),
            asked: u64::try_from(asked).unwrap_or(u64::MAX),
        }
    }
}

/// A finding that stood before a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFinding {
    /// The stable code.
    pub code: String,
    /// What it is about.
    pub subject: String,
    /// What was seen last.
    pub evidence: String,
}

/// What a check made of the findings before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingSteps<'n> {
    /// Found now and not before.
    pub opened: Vec<&'n FoundNow>,
    /// Found again.
    pub kept: Vec<&'n FoundNow>,
    /// Not found any more, by a check that could be made.
    pub gone: Vec<OpenFinding>,
}

/// Compares what a check found with what stood before. Where it found several things of one code and subject, the
/// first stands for them; what could not be checked is neither kept nor gone.
pub fn step_findings<'n>(open: &[OpenFinding], noted: &'n Noted) -> FindingSteps<'n> {
    let mut steps = FindingSteps::default();
    let mut found: HashSet<(&str, &str)> = HashSet::new();
    for finding in &noted.findings {
        let key = (finding.code, finding.subject.as_str());
        if !found.insert(key) {
            continue;
        }
        let is_open = open.iter().any(|open| (open.code.as_str(), open.subject.as_str()) == key);
        if is_open { steps.kept.push(finding) } else { steps.opened.push(finding) }
    }
    let is_gone = |open: &&OpenFinding| {
        !found.contains(&(open.code.as_str(), open.subject.as_str()))
            && !noted.not_known.contains(&open.code.as_str())
    };
    steps.gone = open.iter().filter(is_gone).cloned().collect();
    steps
}

/// One event with what it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainEvent {
    /// The name asked for, or the subject of a finding.
    pub name: String,
    /// The record type asked for, or the code of a finding.
    pub about: String,
    /// What happened.
    pub event: Event,
}

impl DomainEvent {
    /// A finding that is new.
    pub fn found(finding: &FoundNow) -> Self {
        let after = vec![format!("{}: {}", finding.severity, finding.evidence)];
        let event = Event { happening: Happening::Found, before: Vec::new(), after };
        Self { name: finding.subject.clone(), about: finding.code.to_owned(), event }
    }

    /// A finding that is gone.
    pub fn mended(open: OpenFinding) -> Self {
        let event = Event { happening: Happening::Mended, before: vec![open.evidence], after: Vec::new() };
        Self { name: open.subject, about: open.code, event }
    }
}

/// The history of one domain in memory, for whoever watches without a store.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// What is known of each question.
    states: HashMap<Question, State>,
    /// The findings that stand; absent before the first check.
    findings: Option<Vec<OpenFinding>>,
}

impl Memory {
    /// Takes in a check and says what happened since the one before. The first one is where history begins.
    pub fn take(&mut self, noted: &Noted, now: Timestamp) -> Vec<DomainEvent> {
        let mut all = Vec::new();
        for seen in &noted.seen {
            let (state, events) = step(self.states.remove(&seen.question), seen, now);
            self.states.insert(seen.question.clone(), state);
            let name = seen.question.name.as_str();
            let about = seen.question.record_type.as_str();
            all.extend(events.into_iter().map(|event| DomainEvent {
                name: name.to_owned(),
                about: about.to_owned(),
                event,
            }));
        }
        let is_first = self.findings.is_none();
        let open = self.findings.get_or_insert_default();
        let steps = step_findings(open, noted);
        if !is_first {
            all.extend(steps.opened.iter().map(|&finding| DomainEvent::found(finding)));
            all.extend(steps.gone.iter().cloned().map(DomainEvent::mended));
        }
        open.retain(|finding| !steps.gone.contains(finding));
        for finding in steps.opened {
            open.push(OpenFinding {
                code: finding.code.to_owned(),
                subject: finding.subject.clone(),
                evidence: finding.evidence.clone(),
            });
        }
        all
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub happening: Happening,
    /// The value, security or trouble before, in words as views show them.
    pub before: Vec<String>,
    /// The same after.
    pub after: Vec<String>,
}

/// What a check that saw `seen` at `now` makes of what was known: the new state and what happened.
///
/// The first value is where history begins and no event.
pub fn step(known: Option<State>, seen: &Seen, now: Timestamp) -> (State, Vec<Event>) {
    let mut events = Vec::new();
    let mut state = known.unwrap_or_else(|| State::new(now));
    match &seen.value {
        Err(cause) => state.meet_trouble(*cause, now, &mut events),
        Ok(value) => {
            state.end_trouble(&mut events);
            state.take(value, seen.security, now, &mut events);
        }
    }
    (state, events)
}

impl State {
    /// Nothing known yet.
    fn new(now: Timestamp) -> Self {
        Self {
            value: None,
            security: Security::NotKnown,
            since: now,
            confirmed: now,
            previous: None,
            varies: None,
            missing: None,
            trouble: None,
        }
    }

    /// A check got no answer.
    fn meet_trouble(&mut self, cause: Cause, now: Timestamp, events: &mut Vec<Event>) {
        // What was not asked for want of time says nothing about the domain.
        if cause == Cause::Budget {
            return;
        }
        let trouble = self.trouble.get_or_insert(Trouble { since: now, checks: 0, cause, is_told: false });
        trouble.checks = trouble.checks.saturating_add(1);
        trouble.cause = cause;
        let lasts = now.ms().saturating_sub(trouble.since.ms()) >= TROUBLE_MS;
        if lasts && trouble.checks >= TROUBLE_CHECKS && !trouble.is_told {
            trouble.is_told = true;
            events.push(Event {
                happening: Happening::NotAnswering,
                before: self.value.as_ref().map(words).unwrap_or_default(),
                after: vec![cause.as_str().to_owned()],
            });
        }
    }

    /// A check got an answer.
    fn end_trouble(&mut self, events: &mut Vec<Event>) {
        if let Some(trouble) = self.trouble.take()
            && trouble.is_told
        {
            events.push(Event {
                happening: Happening::Answering,
                before: vec![trouble.cause.as_str().to_owned()],
                after: Vec::new(),
            });
        }
    }

    /// A check saw a value.
    fn take(&mut self, value: &Value, security: Security, now: Timestamp, events: &mut Vec<Event>) {
        let Some(before) = self.value.clone() else {
            (self.value, self.security) = (Some(value.clone()), security);
            (self.since, self.confirmed) = (now, now);
            return;
        };
        if before == *value || (!before.is_there() && !value.is_there()) {
            self.value = Some(value.clone());
            self.missing = None;
            self.confirmed = now;
            self.take_security(security, events);
            return;
        }
        if before.is_there() && !value.is_there() && self.missing.is_none() {
            self.missing = Some(now);
            return;
        }
        let comes_back = self.previous.as_ref().is_some_and(|(previous, until)| {
            previous == value && now.ms().saturating_sub(until.ms()) < VARIES_MS
        });
        let was_told = self.varies.is_some_and(|told| now.ms().saturating_sub(told.ms()) < VARIES_MS);
        let happening = match (before.is_there(), value.is_there()) {
            (true, false) => Some(Happening::Lost),
            (false, _) => Some(Happening::Appeared),
            (true, true) if comes_back && was_told => None,
            (true, true) if comes_back => Some(Happening::Varies),
            (true, true) => Some(Happening::Changed),
        };
        if happening == Some(Happening::Varies) {
            self.varies = Some(now);
        }
        if let Some(happening) = happening {
            events.push(Event { happening, before: words(&before), after: words(value) });
        }
        self.previous = Some((before, self.confirmed));
        (self.value, self.since, self.confirmed) = (Some(value.clone()), now, now);
        self.missing = None;
        self.take_security(security, events);
    }

    /// Notes what DNSSEC says; not validated says nothing.
    fn take_security(&mut self, security: Security, events: &mut Vec<Event>) {
        if security == Security::NotKnown || security == self.security {
            return;
        }
        if self.security != Security::NotKnown {
            events.push(Event {
                happening: Happening::SecurityChanged,
                before: vec![self.security.as_str().to_owned()],
                after: vec![security.as_str().to_owned()],
            });
        }
        self.security = security;
    }
}

/// A value as views show it.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Records(records) => records.clone(),
        Value::NoName | Value::NoType => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Name, RecordData, RecordType};

    /// A check every ten minutes.
    const MINUTES_10: i64 = 600_000;

    /// Runs checks ten minutes apart; the events with the number of the check.
    fn run(checks: &[Result<&[&str], Cause>]) -> Vec<(usize, Happening, Vec<String>, Vec<String>)> {
        let question = Question::new(Name::from_dotted("_dmarc.example.com").unwrap(), RecordType::Txt);
        let mut state = None;
        let mut all = Vec::new();
        for (at, check) in checks.iter().enumerate() {
            let answer = match check {
                Ok([]) => Answer::no_name(),
                Ok(texts) => Answer::records(
                    texts.iter().map(|text| RecordData::Txt(vec![text.as_bytes().to_vec()])).collect(),
                ),
                Err(cause) => Answer::not_known(*cause, ""),
            };
            let now = Timestamp::from_ms(i64::try_from(at).unwrap() * MINUTES_10);
            let (next, events) = step(state, &Seen::of(&question, &answer), now);
            state = Some(next);
            all.extend(events.into_iter().map(|event| (at, event.happening, event.before, event.after)));
        }
        all
    }

    #[test]
    fn a_flapping_resolver_is_no_loss_and_a_real_loss_is_told_once() {
        let mut checks: Vec<Result<&[&str], Cause>> = Vec::new();
        for _ in 0..5 {
            checks.extend([Err(Cause::ServerFailure), Ok(["v=DMARC1"].as_slice())]);
        }
        assert_eq!(run(&checks), []);
        checks.extend([Ok([].as_slice()), Ok(&[]), Ok(&[])]);
        assert_eq!(run(&checks), [(11, Happening::Lost, vec!["\"v=DMARC1\"".to_owned()], vec![])]);
    }

    #[test]
    fn absence_that_one_check_saw_is_no_loss() {
        assert_eq!(run(&[Ok(&["a"]), Ok(&[]), Ok(&["a"]), Ok(&[]), Ok(&["a"])]), []);
        // Trouble between two absences does not confirm, nor does it take back.
        let checks: [Result<&[&str], Cause>; 4] = [Ok(&["a"]), Ok(&[]), Err(Cause::Timeout), Ok(&[])];
        assert_eq!(run(&checks).iter().map(|event| event.0).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn trouble_is_told_when_it_lasts_and_when_it_ends() {
        let mut checks: Vec<Result<&[&str], Cause>> = vec![Ok(&["a"])];
        checks.extend([Err(Cause::Timeout); 9]);
        checks.push(Ok(&["a"]));
        let events = run(&checks);
        let seen: Vec<_> = events.iter().map(|event| (event.0, event.1)).collect();
        assert_eq!(seen, [(7, Happening::NotAnswering), (10, Happening::Answering)]);
        // Two checks a day apart prove no lasting trouble; what was not asked is none at all.
        assert_eq!(run(&[Ok(&["a"]), Err(Cause::Timeout), Err(Cause::Timeout), Ok(&["a"])]), []);
        assert_eq!(run(&[Err(Cause::Budget); 20]), []);
    }

    #[test]
    fn order_is_no_change_and_to_and_fro_is_told_once() {
        assert_eq!(run(&[Ok(&["a", "b"]), Ok(&["b", "a"]), Ok(&["b", "a", "a"])]), []);
        let mut checks: Vec<Result<&[&str], Cause>> = Vec::new();
        for _ in 0..6 {
            checks.extend([Ok(["a"].as_slice()), Ok(["b"].as_slice())]);
        }
        let seen: Vec<_> = run(&checks).iter().map(|event| (event.0, event.1)).collect();
        assert_eq!(seen, [(1, Happening::Changed), (2, Happening::Varies)]);
    }

    #[test]
    fn what_is_new_appears() {
        let events = run(&[Ok(&[]), Ok(&["a"]), Ok(&["b"])]);
        let seen: Vec<_> = events.iter().map(|event| (event.0, event.1)).collect();
        assert_eq!(seen, [(1, Happening::Appeared), (2, Happening::Changed)]);
        assert_eq!(events[1].2, ["\"a\""]);
    }

    #[test]
    fn a_memory_tells_what_changed_since_the_round_before() {
        let question = Question::new(Name::from_dotted("example.com").unwrap(), RecordType::Txt);
        let found = FoundNow {
            code: "SPF-MULTI",
            subject: "example.com".to_owned(),
            severity: "error",
            evidence: "two records".to_owned(),
            mend: String::new(),
        };
        let round = |text: &str, findings: &[FoundNow]| {
            let answer = Answer::records(vec![RecordData::Txt(vec![text.as_bytes().to_vec()])]);
            let seen = vec![Seen::of(&question, &answer)];
            Noted { seen, findings: findings.to_vec(), ..Noted::default() }
        };
        let mut memory = Memory::default();
        let mut take = |at: i64, noted: &Noted| -> Vec<(String, Happening)> {
            let events = memory.take(noted, Timestamp::from_ms(at * MINUTES_10));
            events.into_iter().map(|event| (event.about, event.event.happening)).collect()
        };
        assert_eq!(take(0, &round("a", &[])), []);
        let both = [("TXT".to_owned(), Happening::Changed), ("SPF-MULTI".to_owned(), Happening::Found)];
        assert_eq!(take(1, &round("b", std::slice::from_ref(&found))), both);
        assert_eq!(take(2, &round("b", std::slice::from_ref(&found))), []);
        assert_eq!(take(3, &round("b", &[])), [("SPF-MULTI".to_owned(), Happening::Mended)]);
    }
}
