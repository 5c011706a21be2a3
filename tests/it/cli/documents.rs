//! docs/json-output.md lists every field of every view: compared with the code, never copied by hand.

use std::fmt::Write as _;
use std::path::PathBuf;

use mailsonde::render::{Spec, views};

/// The tables of one view as the document shows them.
fn section(view: &str, rows: &[Spec], totals: &[Spec]) -> String {
    let mut out = String::new();
    let mut list = |heading: &str, specs: &[Spec]| {
        if specs.is_empty() {
            return;
        }
        writeln!(out, "| {heading} | type | unit or fields | meaning |\n| --- | --- | --- | --- |").unwrap();
        for spec in specs {
            let (name, kind, about) = (spec.name, spec.kind, spec.about);
            writeln!(out, "| `{name}` | {} | {} | {about} |", kind.json_type(), kind.unit()).unwrap();
        }
        out.push('\n');
    };
    list("row", rows);
    list("totals", totals);
    format!("<!-- fields of {view}: written from the code -->\n{out}<!-- end -->")
}

/// Every view with its fields.
fn sections() -> Vec<(&'static str, String)> {
    macro_rules! view {
        ($name:literal, $rows:expr, $totals:expr) => {{
            let rows: Vec<Spec> = $rows.iter().map(|column| column.spec).collect();
            let totals: Vec<Spec> = $totals.iter().map(|column| column.spec).collect();
            ($name, section($name, &rows, &totals))
        }};
    }
    vec![
        view!("summary", views::SUMMARY, views::SUMMARY_TOTALS),
        view!("sources", views::SOURCES, views::SUMS),
        view!("domains", views::DOMAINS, views::SUMS),
        view!("reporters", views::REPORTERS, views::SUMS),
        view!("records", views::RECORDS, views::RECORD_TOTALS),
        view!("messages", views::MESSAGES_RECEIVED, views::MESSAGE_TOTALS),
        view!("probes", views::PROBES, views::PROBE_TOTALS),
    ]
}

#[test]
fn json_output_is_documented() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/json-output.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (view, want) in sections() {
        let start = text
            .find(&format!("<!-- fields of {view}:"))
            .unwrap_or_else(|| panic!("docs/json-output.md has no fields of {view}"));
        let end = start + text[start..].find("<!-- end -->").unwrap() + "<!-- end -->".len();
        if text[start..end] != want {
            assert!(
                std::env::var_os("UPDATE_GOLDEN").is_some(),
                "{view} in docs/json-output.md is not the code's"
            );
            text.replace_range(start..end, &want);
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
}
