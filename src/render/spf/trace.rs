//! The trace of one check.

use std::borrow::Cow;

use super::{mend_text, texts, wide};
use crate::authentication::spf::{Node, Step, StepOutcome, Verdict};
use crate::limits;
use crate::render::{Column, Kind, Show, Value};

/// One line of a trace: a term and what it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceRow {
    /// How deep it stands; 0 is the domain.
    pub depth: u64,
    /// The line drawn.
    pub drawn: String,
    /// The name whose record it is of.
    pub domain: String,
    /// The term as written; absent for the first line.
    pub term: Option<String>,
    /// Where it begins in the record, from 1.
    pub column: Option<u64>,
    /// What it did.
    pub outcome: Option<&'static str>,
    /// The result of the record that it leads to; of the first line that of the whole.
    pub result: Option<&'static str>,
    /// The target after its macros were expanded.
    pub target: Option<String>,
    /// Terms that query DNS, here and below, as far as they were evaluated.
    pub lookups: u64,
    /// Of these: with a void answer.
    pub voids: u64,
    /// Questions with a void answer.
    pub void_questions: Vec<String>,
    /// Questions that nobody answered.
    pub unanswered: Vec<String>,
    /// Why.
    pub reason: Option<String>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceTotals {
    /// The result.
    pub result: &'static str,
    /// Which name was checked.
    pub identity: &'static str,
    /// The domain.
    pub domain: String,
    /// The client's address.
    pub ip: String,
    /// The mechanism that decided.
    pub mechanism: Option<String>,
    /// In whose record it stands.
    pub mechanism_domain: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
    /// The explanation of the domain.
    pub explanation: Option<String>,
    /// Terms that query DNS.
    pub lookups: u64,
    /// Of these: with a void answer.
    pub voids: u64,
}

/// A row a line of the trace, for programs.
pub static SPF_TRACE: &[Column<TraceRow>] = &[
    Column::new(
        "depth",
        "depth",
        Kind::Count("levels"),
        Show::Whole,
        "0 for the domain's own record.",
        |row| Value::Count(row.depth),
    ),
    Column::new("domain", "domain", Kind::Text, Show::Cut(12), "The name whose record it is of.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "term",
        "term",
        Kind::Text,
        Show::Cut(12),
        "As written; null for the record itself.",
        |row| Value::text(row.term.as_deref()),
    ),
    Column::new("column", "column", Kind::Count("octets"), Show::Whole, "Where it begins, from 1.", |row| {
        Value::count(row.column)
    }),
    Column::new(
        "outcome",
        "outcome",
        Kind::Text,
        Show::Whole,
        "`match`, `no-match`, `not-reached`, `no-part` (a modifier without part in it), `followed` or `error`.",
        |row| Value::text(row.outcome),
    ),
    Column::new(
        "result",
        "result",
        Kind::Text,
        Show::Whole,
        "The result of the record that it leads to; null for other terms.",
        |row| Value::text(row.result),
    ),
    Column::new(
        "target",
        "target",
        Kind::Text,
        Show::Cut(12),
        "After macros were expanded, if it has any.",
        |row| Value::text(row.target.as_deref()),
    ),
    Column::new(
        "lookups",
        "look-ups",
        Kind::Count("terms"),
        Show::Whole,
        "Terms that query DNS, here and below, as far as evaluated.",
        |row| Value::Count(row.lookups),
    ),
    Column::new(
        "voids",
        "voids",
        Kind::Count("terms"),
        Show::Whole,
        "Of these: with a void answer.",
        |row| Value::Count(row.voids),
    ),
    Column::new(
        "void_questions",
        "void",
        Kind::List,
        Show::Cut(12),
        "Questions with a void answer, also those for hosts of `mx` and `ptr`, which do not count.",
        |row| texts(&row.void_questions),
    ),
    Column::new(
        "unanswered",
        "unanswered",
        Kind::List,
        Show::Cut(12),
        "Questions that nobody answered.",
        |row| texts(&row.unanswered),
    ),
    Column::new("reason", "reason", Kind::Text, Show::Cut(12), "Why it ended there.", |row| {
        Value::text(row.reason.as_deref())
    }),
];

/// The same for eyes.
pub static SPF_TRACE_DRAWN: &[Column<TraceRow>] = &[
    Column::new("tree", "record and terms", Kind::Text, Show::Cut(24), "Drawn.", |row| {
        Value::text(Some(&row.drawn))
    }),
    Column::new("outcome", "outcome", Kind::Text, Show::Whole, "What it did.", |row| {
        let outcome = row.outcome.unwrap_or_default().replace('-', " ");
        match (row.result, row.depth) {
            (Some(result), 0) => Value::text(Some(result)),
            (Some(result), _) => Value::Text(Cow::Owned(format!("{outcome} ({result})"))),
            (None, _) => Value::Text(Cow::Owned(outcome)),
        }
    }),
    Column::new("lookups", "look-ups", Kind::Count("terms"), Show::Whole, "Here and below.", |row| {
        if row.lookups == 0 { Value::Unknown } else { Value::Count(row.lookups) }
    }),
    Column::new("voids", "voids", Kind::Count("terms"), Show::Whole, "Here and below.", |row| {
        if row.voids == 0 { Value::Unknown } else { Value::Count(row.voids) }
    }),
    Column::new("remarks", "what there is to it", Kind::Text, Show::Cut(24), "In words.", |row| {
        let mut told: Vec<String> = row.reason.iter().cloned().collect();
        told.extend(row.target.iter().map(|target| format!("is {target}")));
        told.extend(row.unanswered.iter().map(|question| format!("no answer: {question}")));
        told.extend(row.void_questions.iter().map(|question| format!("void: {question}")));
        if told.is_empty() { Value::Unknown } else { Value::Text(Cow::Owned(told.join("; "))) }
    }),
];

/// The outcome of a check.
pub static SPF_TRACE_TOTALS: &[Column<TraceTotals>] = &[
    Column::total(
        "result",
        Kind::Text,
        "`pass`, `fail`, `softfail`, `neutral`, `none`, `temperror` or `permerror`.",
        |row| Value::text(Some(row.result)),
    ),
    Column::total("identity", Kind::Text, "`mailfrom` or `helo`.", |row| Value::text(Some(row.identity))),
    Column::total("domain", Kind::Text, "The domain checked.", |row| Value::text(Some(&row.domain))),
    Column::total("ip", Kind::Text, "The client's address.", |row| Value::text(Some(&row.ip))),
    Column::total("mechanism", Kind::Text, "The mechanism that decided; null if none did.", |row| {
        Value::text(row.mechanism.as_deref())
    }),
    Column::total("mechanism_domain", Kind::Text, "In whose record it stands.", |row| {
        Value::text(row.mechanism_domain.as_deref())
    }),
    Column::total("reason", Kind::Text, "Why no mechanism decided.", |row| {
        Value::text(row.reason.as_deref())
    }),
    Column::total("explanation", Kind::Text, "What the domain says to a fail.", |row| {
        Value::text(row.explanation.as_deref())
    }),
    Column::total("lookups", Kind::Count("terms"), "Terms that query DNS, as far as evaluated.", |row| {
        Value::Count(row.lookups)
    }),
    Column::total("voids", Kind::Count("terms"), "Of these: with a void answer.", |row| {
        Value::Count(row.voids)
    }),
];

/// The lines of a trace, in the order of evaluation.
pub fn trace_rows(verdict: &Verdict) -> (Vec<TraceRow>, TraceTotals) {
    let mechanism = verdict.mechanism();
    let totals = TraceTotals {
        result: verdict.result.as_str(),
        identity: verdict.identity.as_str(),
        domain: verdict.domain.clone(),
        ip: verdict.ip.to_string(),
        mechanism_domain: mechanism.as_ref().map(|(domain, _)| (*domain).to_owned()),
        mechanism: mechanism.map(|(_, text)| text),
        reason: verdict.reason().map(ToString::to_string),
        explanation: verdict.explanation.clone(),
        lookups: verdict.lookups().into(),
        voids: verdict.voids().into(),
    };
    let mut rows = vec![TraceRow {
        drawn: verdict.trace.domain.clone(),
        domain: verdict.trace.domain.clone(),
        result: Some(verdict.result.as_str()),
        lookups: totals.lookups,
        voids: totals.voids,
        reason: verdict.trace.reason.as_ref().map(ToString::to_string),
        ..TraceRow::default()
    }];
    trace_node(&verdict.trace, 1, "", &mut rows);
    (rows, totals)
}

/// Draws the terms of one record; nesting is bounded by [`limits::SPF_LOOKUPS`].
fn trace_node(node: &Node, depth: u64, before: &str, rows: &mut Vec<TraceRow>) {
    let Some(record) = &node.record else { return };
    let unevaluated = Step { outcome: StepOutcome::NotReached, detail: None };
    let last = record.terms.len().saturating_sub(1);
    for (number, term) in record.terms.iter().enumerate() {
        let step = node.steps.get(number).unwrap_or(&unevaluated);
        let detail = step.detail.as_deref();
        let child = detail.and_then(|detail| detail.child.as_ref());
        let (branch, below) = if number == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let text = record.part(term.span).into_owned();
        let fault = record.faults.iter().find(|fault| fault.term == number);
        let mut reason = detail.and_then(|detail| detail.reason.as_ref()).map(ToString::to_string);
        if let Some(fault) = fault {
            let mend = mend_text(fault.mend.as_deref());
            reason = Some(format!("{} (column {}){mend}", fault.kind.sentence(), fault.span.column()));
        }
        if let Some(left_out) = detail.map(|detail| detail.names_left_out).filter(|count| *count > 0) {
            let most = limits::SPF_PTR_NAMES;
            reason = Some(format!("{left_out} names beyond the first {most} were not looked at"));
        }
        let questions = |list: Option<&Vec<crate::dns::Question>>| {
            list.into_iter().flatten().map(ToString::to_string).collect()
        };
        rows.push(TraceRow {
            depth,
            drawn: format!("{before}{branch}{text}"),
            domain: node.domain.clone(),
            term: Some(text),
            column: Some(wide(term.span.column())),
            outcome: Some(if fault.is_some() { StepOutcome::Error } else { step.outcome }.as_str()),
            result: child.map(|child| child.result.as_str()),
            target: detail.and_then(|detail| detail.target.clone()),
            lookups: detail.map_or(0, |detail| detail.lookups.into()),
            voids: detail.map_or(0, |detail| detail.voids.into()),
            void_questions: questions(detail.map(|detail| &detail.void_questions)),
            unanswered: questions(detail.map(|detail| &detail.unanswered)),
            reason,
        });
        if let Some(child) = child {
            trace_node(child, depth + 1, &format!("{before}{below}"), rows);
        }
    }
}
