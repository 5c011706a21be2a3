//! One JSON object for an answer, or one a line (NDJSON). Standard: RFC 8259.

use std::io::{self, Write};

use crate::clock::Timestamp;
use crate::render::escape;
use crate::render::sheet::Sheet;
use crate::render::value::Value;
use crate::summary::TrustShares;

/// Writes `{"view", "domain", "since", "until", "rows", "totals", "notes"}`, a row a line; `"trust"` before the rows where
/// reports are counted.
///
/// Shape: docs/json-output.md. Errors: those of the writer.
pub fn write(sheet: &Sheet<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::from("{\"view\":");
    escape::json_string(&mut text, sheet.head.view);
    text.push_str(",\"domain\":");
    match &sheet.head.domain {
        Some(domain) => escape::json_string(&mut text, domain),
        None => text.push_str("null"),
    }
    for (name, at) in [("since", sheet.head.since), ("until", sheet.head.until)] {
        text.push_str(",\"");
        text.push_str(name);
        text.push_str("\":");
        push_time(&mut text, at);
    }
    if let Some(trust) = &sheet.trust {
        push_trust(&mut text, trust);
    }
    text.push_str(",\"rows\":[");
    out.write_all(text.as_bytes())?;
    for (at, row) in sheet.rows().enumerate() {
        text.clear();
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        push_row(&mut text, sheet, &row);
        out.write_all(text.as_bytes())?;
    }
    text.clear();
    text.push_str(if sheet.is_empty() { "],\"totals\":{" } else { "\n],\"totals\":{" });
    for (at, (name, value)) in sheet.totals.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        push_field(&mut text, name, value);
    }
    text.push_str("},\"notes\":[");
    for (at, note) in sheet.notes.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        escape::json_string(&mut text, note);
    }
    text.push_str("]}\n");
    out.write_all(text.as_bytes())
}

/// Appends how far what is counted can be believed.
fn push_trust(text: &mut String, trust: &TrustShares) {
    let word = |word: &'static str| Value::Text(word.into());
    let fields = [
        ("asked", word(trust.asked.as_str())),
        ("unit", word(trust.unit)),
        ("verified", Value::Count(trust.verified)),
        ("imported", Value::Count(trust.imported)),
        ("unverified", Value::Count(trust.unverified)),
        ("pending", Value::Count(trust.pending)),
        ("unverified_percent", Value::Percent { part: trust.unverified, whole: trust.all() }),
        ("untrusted_reports", Value::Count(trust.untrusted_reports)),
    ];
    text.push_str(",\"trust\":{");
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        push_field(text, name, value);
    }
    text.push('}');
}

/// Writes one object a row, a line each, without head, totals and notes.
pub fn write_lines(sheet: &Sheet<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    for row in sheet.rows() {
        text.clear();
        push_row(&mut text, sheet, &row);
        text.push('\n');
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Appends one row as an object.
fn push_row(text: &mut String, sheet: &Sheet<'_>, row: &[Value<'_>]) {
    text.push('{');
    for (at, (column, value)) in sheet.columns.iter().zip(row).enumerate() {
        if at > 0 {
            text.push(',');
        }
        push_field(text, column.name, value);
    }
    text.push('}');
}

/// Appends `"name":value`.
fn push_field(text: &mut String, name: &str, value: &Value<'_>) {
    escape::json_string(text, name);
    text.push(':');
    push_value(text, value);
}

/// Appends one value.
fn push_value(text: &mut String, value: &Value<'_>) {
    match value {
        Value::Unknown | Value::Percent { whole: 0, .. } => text.push_str("null"),
        Value::Text(string) => escape::json_string(text, string),
        // A percentage keeps both decimals: `100.00` is a number too (RFC 8259 §6).
        Value::Flag(_)
        | Value::Count(_)
        | Value::Integer(_)
        | Value::Percent { .. }
        | Value::Hundredths(_) => {
            text.push_str(&value.plain());
        }
        Value::Instant(at) | Value::Edge { at, .. } => push_time(text, Some(*at)),
        Value::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                escape::json_string(text, item);
            }
            text.push(']');
        }
        Value::Objects(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { ",{" } else { "{" });
                for (at, (name, value)) in item.fields.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    push_field(text, name, value);
                }
                text.push('}');
            }
            text.push(']');
        }
    }
}

/// Appends an instant as an RFC 3339 string, or null.
fn push_time(text: &mut String, at: Option<Timestamp>) {
    match at {
        Some(at) => escape::json_string(text, &at.rfc3339()),
        None => text.push_str("null"),
    }
}
