//! `db export`: a record a line, under the names by which users of parsedmarc know the same things.
//!
//! CSV has its columns in the order of that program's aggregate CSV (lists joined by `,`, errors and comments by
//! `|`, yes and no as `True` and `False`, times as `2026-03-01 00:00:00` UTC), then ours. JSON lines have the same
//! names with the types of JSON. What we do not know stays empty, never guessed.

use std::io::{self, Write};

use crate::clock::Timestamp;
use crate::render::escape;
use crate::summary::{AuthResultRow, ExportRow};

/// One value of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    /// Not known, or left out by the reporter.
    Nothing,
    /// A text.
    Text(String),
    /// A count.
    Count(u64),
    /// A yes or no.
    Flag(bool),
    /// A list, and what joins it in CSV.
    List(Vec<String>, &'static str),
}

impl Cell {
    fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_owned()))
    }

    fn for_csv(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Flag(flag) => if *flag { "True" } else { "False" }.to_owned(),
            Self::List(items, joint) => items.join(joint),
        }
    }

    fn push_json(&self, out: &mut String) {
        match self {
            Self::Nothing => out.push_str("null"),
            Self::Text(text) => escape::json_string(out, text),
            Self::Count(count) => out.push_str(&count.to_string()),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::List(items, _) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    escape::json_string(out, item);
                }
                out.push(']');
            }
        }
    }
}

/// The names, in order: those of parsedmarc's aggregate CSV, then ours.
pub const NAMES: [&str; 49] = [
    "xml_schema",
    "org_name",
    "org_email",
    "org_extra_contact_info",
    "report_id",
    "begin_date",
    "end_date",
    "normalized_timespan",
    "errors",
    "domain",
    "adkim",
    "aspf",
    "p",
    "sp",
    "pct",
    "fo",
    "source_ip_address",
    "source_country",
    "source_reverse_dns",
    "source_base_domain",
    "source_name",
    "source_type",
    "source_asn",
    "source_as_name",
    "source_as_domain",
    "count",
    "spf_aligned",
    "dkim_aligned",
    "dmarc_aligned",
    "disposition",
    "policy_override_reasons",
    "policy_override_comments",
    "envelope_from",
    "header_from",
    "envelope_to",
    "dkim_domains",
    "dkim_selectors",
    "dkim_results",
    "spf_domains",
    "spf_scopes",
    "spf_results",
    "np",
    "testing",
    "discovery_method",
    "generator",
    "begin",
    "end",
    "trust",
    "message_id",
];

/// An instant as parsedmarc writes it, in UTC.
fn date(at: Timestamp) -> String {
    at.rfc3339().replace('T', " ").trim_end_matches('Z').split('.').next().unwrap_or_default().to_owned()
}

/// One field of all raw results of a method; `none` where the reporter left it out.
fn results<'r>(
    row: &'r ExportRow,
    method: &'static str,
    field: impl Fn(&'r AuthResultRow) -> Option<&'r str> + 'r,
) -> Cell {
    let of_method = row.auth_results.iter().filter(|result| result.method == method);
    Cell::List(of_method.map(|result| field(result).unwrap_or("none").to_owned()).collect(), ",")
}

/// The cells of a row, in the order of [`NAMES`].
fn cells(row: &ExportRow) -> [Cell; 49] {
    let [adkim, aspf, p, sp, pct, fo, np, testing, discovery_method] = &row.policy;
    let comments =
        row.reasons.iter().map(|(_, comment)| comment.clone().unwrap_or_else(|| "none".to_owned()));
    let text = |text: &Option<String>| Cell::text(text.as_deref());
    [
        Cell::Text(row.version.clone().unwrap_or_else(|| "draft".to_owned())),
        text(&row.org_name),
        text(&row.org_email),
        text(&row.org_extra_contact_info),
        Cell::Text(row.report_id.clone()),
        Cell::Text(date(row.begin)),
        Cell::Text(date(row.end)),
        // Records are never spread over days here: each keeps its report's period.
        Cell::Flag(false),
        Cell::List(row.errors.clone(), "|"),
        Cell::Text(row.domain.clone()),
        text(adkim),
        text(aspf),
        text(p),
        text(sp),
        text(pct),
        text(fo),
        text(&row.source_ip),
        text(&row.place.country),
        text(&row.source_name),
        Cell::Nothing,
        text(&row.source_organisation),
        Cell::text(row.source_kind),
        row.place.as_number.map_or(Cell::Nothing, |number| Cell::Count(number.into())),
        text(&row.place.as_name),
        text(&row.place.as_domain),
        row.count.map_or(Cell::Nothing, Cell::Count),
        Cell::Flag(row.spf_aligned),
        Cell::Flag(row.dkim_aligned),
        Cell::Flag(row.spf_aligned || row.dkim_aligned),
        text(&row.disposition),
        Cell::List(row.reasons.iter().map(|(kind, _)| kind.clone()).collect(), ","),
        Cell::List(comments.collect(), "|"),
        text(&row.envelope_from),
        Cell::Text(row.header_from.clone()),
        text(&row.envelope_to),
        results(row, "dkim", |result| result.domain.as_deref()),
        results(row, "dkim", |result| result.selector.as_deref()),
        results(row, "dkim", |result| Some(&result.result)),
        results(row, "spf", |result| result.domain.as_deref()),
        results(row, "spf", |result| result.scope.as_deref()),
        results(row, "spf", |result| Some(&result.result)),
        text(np),
        text(testing),
        text(discovery_method),
        text(&row.generator),
        Cell::Text(row.begin.rfc3339()),
        Cell::Text(row.end.rfc3339()),
        Cell::Text(row.trust.clone()),
        Cell::Text(row.message_id.clone()),
    ]
}

/// Writes one row as a JSON object in a line.
pub fn write_json(row: &ExportRow, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::with_capacity(1_024);
    for (at, (name, cell)) in NAMES.iter().zip(cells(row)).enumerate() {
        text.push(if at == 0 { '{' } else { ',' });
        escape::json_string(&mut text, name);
        text.push(':');
        cell.push_json(&mut text);
    }
    text.push_str("}\n");
    out.write_all(text.as_bytes())
}

/// Writes the line of names.
pub fn write_csv_names(out: &mut dyn Write) -> io::Result<()> {
    write_csv_line(NAMES.iter().map(|name| (*name).to_owned()), out)
}

/// Writes one row as a line of CSV (RFC 4180), no cell of which a spreadsheet takes for a formula.
pub fn write_csv(row: &ExportRow, out: &mut dyn Write) -> io::Result<()> {
    write_csv_line(cells(row).iter().map(Cell::for_csv), out)
}

/// Writes the cells of a line.
fn write_csv_line(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let fields: Vec<String> = cells.map(|cell| escape::spreadsheet(&cell).into_owned()).collect();
    writer.write_record(&fields).map_err(io::Error::other)?;
    let line = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ExportRow {
        let result = |method, domain: &str, selector: Option<&str>| AuthResultRow {
            method,
            domain: Some(domain.to_owned()),
            selector: selector.map(str::to_owned),
            scope: (method == "spf").then(|| "mfrom".to_owned()),
            result: "pass".to_owned(),
            written: None,
        };
        ExportRow {
            version: None,
            org_name: Some("=acme".to_owned()),
            org_email: Some("a@acme.example".to_owned()),
            org_extra_contact_info: None,
            report_id: "1,\"2\"".to_owned(),
            begin: Timestamp::from_seconds(1_772_323_200),
            end: Timestamp::from_seconds(1_772_409_599),
            errors: vec!["one".to_owned(), "two".to_owned()],
            domain: "example.com".to_owned(),
            policy: std::array::from_fn(|at| (at == 2).then(|| "none".to_owned())),
            generator: None,
            source_ip: Some("192.0.2.1".to_owned()),
            source_name: None,
            place: crate::sources::Place::default(),
            source_organisation: None,
            source_kind: Some("own"),
            count: Some(2),
            spf_aligned: false,
            dkim_aligned: true,
            disposition: Some("none".to_owned()),
            reasons: vec![("forwarded".to_owned(), None), ("other".to_owned(), Some("x".to_owned()))],
            envelope_from: None,
            header_from: "example.com".to_owned(),
            envelope_to: None,
            auth_results: vec![
                result("dkim", "example.com", None),
                result("dkim", "vendor.example", Some("s1")),
                result("spf", "example.com", None),
            ],
            trust: "verified".to_owned(),
            message_id: "abc".to_owned(),
        }
    }

    /// The value of a name in a CSV line.
    fn csv_value(text: &str, name: &str) -> String {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let at = reader.headers().unwrap().iter().position(|known| known == name).unwrap();
        reader.records().next().unwrap().unwrap().get(at).unwrap().to_owned()
    }

    #[test]
    fn csv_as_users_of_parsedmarc_know_it() {
        let mut out = Vec::new();
        write_csv_names(&mut out).unwrap();
        write_csv(&row(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let cases = [
            ("xml_schema", "draft"),
            ("org_name", "'=acme"),
            ("report_id", "1,\"2\""),
            ("begin_date", "2026-03-01 00:00:00"),
            ("end_date", "2026-03-01 23:59:59"),
            ("errors", "one|two"),
            ("p", "none"),
            ("sp", ""),
            ("count", "2"),
            ("spf_aligned", "False"),
            ("dkim_aligned", "True"),
            ("dmarc_aligned", "True"),
            ("policy_override_reasons", "forwarded,other"),
            ("policy_override_comments", "none|x"),
            ("dkim_domains", "example.com,vendor.example"),
            ("dkim_selectors", "none,s1"),
            ("spf_scopes", "mfrom"),
            ("source_country", ""),
            ("begin", "2026-03-01T00:00:00Z"),
        ];
        for (name, want) in cases {
            assert_eq!(csv_value(&text, name), want, "{name}");
        }
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn json_has_the_same_names_with_types() {
        let mut out = Vec::new();
        write_json(&row(), &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, NAMES);
        assert_eq!(value["count"], 2);
        assert_eq!(value["dkim_aligned"], true);
        assert_eq!(value["dkim_domains"][1], "vendor.example");
        assert!(value["sp"].is_null());
    }
}
