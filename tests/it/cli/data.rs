//! Aggregate reports made on the spot, and answers of the binary as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::commands::run;

/// Midnight of 2026-03-01 UTC, seconds.
pub(crate) const DAY: i64 = 1_772_323_200;

/// One record of a report: source, count, whether it passes, author domain.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) source: String,
    pub(crate) count: u64,
    pub(crate) passes: bool,
    pub(crate) from: String,
}

impl Record {
    pub(crate) fn new(source: &str, count: u64, passes: bool, from: &str) -> Self {
        Self { source: source.to_owned(), count, passes, from: from.to_owned() }
    }
}

/// A report as RFC 7489 writes it; texts are escaped.
pub(crate) fn report(domain: &str, org: &str, id: &str, begin: i64, end: i64, records: &[Record]) -> String {
    let text = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback><report_metadata><org_name>{}</org_name>\
         <email>dmarc@reporter.example</email><report_id>{}</report_id><date_range><begin>{begin}</begin>\
         <end>{end}</end></date_range></report_metadata><policy_published><domain>{domain}</domain><adkim>r</adkim>\
         <aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct></policy_published>",
        text(org),
        text(id)
    );
    for record in records {
        let result = if record.passes { "pass" } else { "fail" };
        write!(
            out,
            "<record><row><source_ip>{}</source_ip><count>{}</count><policy_evaluated><disposition>none</disposition>\
             <dkim>{result}</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>{}</header_from>\
             </identifiers><auth_results><dkim><domain>{}</domain><selector>s1</selector><result>{result}</result></dkim>\
             <spf><domain>bounce.example.net</domain><scope>mfrom</scope><result>pass</result></spf></auth_results></record>",
            text(&record.source),
            record.count,
            record.from,
            record.from,
        )
        .unwrap();
    }
    out.push_str("</feedback>\n");
    out
}

/// Runs a command that prints JSON; it must not fail.
pub(crate) fn json(folder: &Path, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    let (code, out, err) = run(folder, &all);
    assert!(code <= 1, "{arguments:?}: {code} {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
}

/// Imports paths and returns the answer.
pub(crate) fn import(folder: &Path, paths: &[&Path]) -> Value {
    let mut arguments = vec!["import"];
    arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
    json(folder, &arguments)
}

/// The rows of an answer.
pub(crate) fn rows(answer: &Value) -> &Vec<Value> {
    answer["rows"].as_array().unwrap()
}

/// The sum of one field over all rows.
pub(crate) fn sum(answer: &Value, field: &str) -> u64 {
    rows(answer).iter().map(|row| row[field].as_u64().unwrap_or(0)).sum()
}

/// Every view tells the same sums: totals are the rows added up, and all views agree (with the same filters).
pub(crate) fn views_agree(folder: &Path, filter: &[&str]) {
    let view = |name: &str| {
        let mut arguments = vec!["report", name];
        arguments.extend(filter);
        json(folder, &arguments)
    };
    let summary = view("summary");
    for name in ["summary", "sources", "domains", "reporters"] {
        let answer = view(name);
        for field in ["messages", "dmarc_pass", "dmarc_fail"] {
            assert_eq!(answer["totals"][field], sum(&answer, field), "{name} {field}: rows and totals");
            assert_eq!(answer["totals"][field], summary["totals"][field], "{name} {field}: beside summary");
        }
        assert_eq!(
            answer["totals"]["dmarc_pass"].as_u64().unwrap()
                + answer["totals"]["dmarc_fail"].as_u64().unwrap(),
            answer["totals"]["messages"].as_u64().unwrap(),
            "{name}"
        );
    }
}
