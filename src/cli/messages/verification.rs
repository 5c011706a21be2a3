//! What the verification of a mail found, as `messages show` tells it.

use std::borrow::Cow;

use crate::authentication::evidence::{Line, Words};
use crate::render::value::Object;
use crate::render::{Column, Kind, Show, Value};
use crate::store::StoredVerification;

/// The evidence as a table.
pub(super) static EVIDENCE: &[Column<Line>] = &[
    Column::new("method", "method", Kind::Text, Show::Whole, "What spoke.", |row| {
        Value::Text(Cow::Borrowed(&row.method))
    }),
    Column::new("subject", "about", Kind::Text, Show::Cut(16), "About whom.", |row| {
        Value::text(Some(row.subject.as_str()).filter(|text| !text.is_empty()))
    }),
    Column::new("result", "result", Kind::Text, Show::Whole, "What.", |row| {
        Value::Text(Cow::Borrowed(&row.result))
    }),
    Column::new("reason", "why", Kind::Text, Show::Cut(24), "Why, with further facts.", |row| {
        Value::Text(Cow::Owned(why(row)))
    }),
];

/// The reason with its facts.
fn why(line: &Line) -> String {
    let facts: Vec<String> = line.facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
    match (line.reason.is_empty(), facts.is_empty()) {
        (_, true) => line.reason.clone(),
        (true, false) => facts.join(", "),
        (false, false) => format!("{} ({})", line.reason, facts.join(", ")),
    }
}

/// A line as an object; its facts as `name=value`.
pub(super) fn object(line: &Line) -> Object<'static> {
    let text = |text: &str| Value::Text(Cow::Owned(text.to_owned()));
    Object {
        text: format!("{} {} {}: {}", line.method, line.subject, line.result, why(line)),
        fields: vec![
            ("method", text(&line.method)),
            ("subject", text(&line.subject)),
            ("result", text(&line.result)),
            ("reason", text(&line.reason)),
            (
                "facts",
                Value::List(
                    line.facts.iter().map(|(name, value)| Cow::Owned(format!("{name}={value}"))).collect(),
                ),
            ),
        ],
    }
}

/// A word of the results, if there are any.
pub(super) fn word<'a>(
    verification: Option<&'a StoredVerification>,
    of: impl Fn(&'a Words) -> Option<&'a str>,
) -> Value<'a> {
    Value::text(verification.and_then(|found| found.words.as_ref()).and_then(of))
}
