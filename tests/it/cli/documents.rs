//! docs/json-output.md lists every field of every view: compared with the code, never copied by hand.

use std::fmt::Write as _;
use std::path::PathBuf;

use mailsonde::cli::{config, db, domains, import, mailbox, messages, probe, setup, upkeep};
use mailsonde::render::{self, Column, Spec, policies, simulate, spf, views};

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

/// No totals.
fn none() -> &'static [Column<()>] {
    &[]
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
        view!("policies", policies::POLICIES, policies::POLICY_TOTALS),
        view!("reporters", views::REPORTERS, views::SUMS),
        view!("records", views::RECORDS, views::RECORD_TOTALS),
        view!("failures", views::FAILURES, views::FAILURE_TOTALS),
        view!("complaints", views::COMPLAINTS, views::COMPLAINT_TOTALS),
        view!("tls", views::TLS, views::TLS_TOTALS),
        view!("bounces", views::BOUNCES, views::BOUNCE_TOTALS),
        view!("bounce-list", views::BOUNCE_LIST, views::BOUNCE_TOTALS),
        view!("authentication", views::AUTHENTICATION, views::AUTHENTICATION_TOTALS),
        view!("messages", views::MESSAGES_RECEIVED, views::MESSAGE_TOTALS),
        view!("probes", views::PROBE_GROUPS, views::PROBE_COUNTS),
        view!("latency", views::LATENCY, views::LATENCY_TOTALS),
        view!("continuity", views::CONTINUITY, views::CONTINUITY_TOTALS),
        view!("probe-list", views::PROBES, views::PROBE_TOTALS),
        view!("watched-mail", views::WATCHED, views::WATCHED_TOTALS),
        view!("message", messages::PARTS, messages::FACTS),
        view!("import", import::rows::COLUMNS, import::rows::TOTALS),
        view!("spf", spf::SPF_TREE, spf::SPF_TREE_TOTALS),
        view!("spf-check", spf::SPF_TRACE, spf::SPF_TRACE_TOTALS),
        view!("setup", render::setup::SETUP, render::setup::SETUP_TOTALS),
        view!("setup-verify", setup::VERIFIED, setup::VERIFY_TOTALS),
        view!("simulate", simulate::SIMULATED, simulate::SIMULATED_TOTALS),
        view!("watched", domains::COLUMNS, none()),
        view!("probe", probe::HAPPENINGS, probe::FACTS),
        view!("drill", views::DRILL, views::DRILL_TOTALS),
        view!("routes", probe::ROUTES, none()),
        view!("poll", mailbox::POLLED, none()),
        view!("mailbox-test", mailbox::TESTED, none()),
        view!("mailboxes", mailbox::LISTED, none()),
        view!("stats", db::STATS, db::STATS_TOTALS),
        view!("verify", db::DIFFERENCES, db::VERIFY_TOTALS),
        view!("prune", upkeep::PRUNED, none()),
        view!("erase", upkeep::ERASED, none()),
        view!("backup", upkeep::BACKUP, none()),
        view!("config", config::COLUMNS, none()),
        view!("route-checks", probe::CHECKED, none()),
        view!("plan", probe::PLAN, none()),
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

/// Every key that the program knows stands in docs/configuration.md, and so does every section.
#[test]
fn every_setting_is_documented() {
    let document =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md"))
            .unwrap();
    // An unknown key far from all others makes the program list the known ones.
    let route = "sender = \"s\"\nto = \"a@b\"\nfrom = \"a@b\"";
    let sections = [
        ("[store]", String::new()),
        ("[smtp]", String::new()),
        ("[tls]", "certificate = \"c\"\nkey = \"k\"".to_owned()),
        ("[[listener]]", "address = \"[::]:25\"".to_owned()),
        ("[[recipient]]", "address = \"a@b\"\npurpose = \"tls\"".to_owned()),
        ("[[watched]]", "name = \"a\"".to_owned()),
        ("[[domain]]", "name = \"a.example\"".to_owned()),
        ("[retention]", String::new()),
        ("[authentication]", String::new()),
        ("[sources]", String::new()),
        ("[probes]", String::new()),
        ("[dkim.NAME]", "domain = \"a.example\"\nselector = \"s\"\nkey = { env = \"K\" }".to_owned()),
        ("[sender.NAME]", "host = \"h\"".to_owned()),
        ("[route.NAME]", route.to_owned()),
        ("[mailbox.NAME]", "host = \"h\"\nuser = \"u\"\npassword = { env = \"P\" }".to_owned()),
    ];
    for (section, keys) in sections {
        let heading = format!("\n## {section}\n");
        let part = document.split(&heading).nth(1).unwrap_or_else(|| panic!("no heading {section}"));
        let part = part.split("\n## ").next().unwrap();
        let watch = "[[recipient]]\naddress = \"w@b\"\npurpose = \"watch\"\n";
        let text = format!("{watch}[sender.s]\nhost = \"h\"\n{section}\n{keys}\nqqqqqqqq = 1\n");
        let faults = mailsonde::config::Settings::parse(std::path::Path::new("m.toml"), &text).unwrap_err();
        assert_eq!(faults.len(), 1, "{section}: {faults:?}");
        let hint = faults[0].hint.clone().unwrap();
        for key in hint.strip_prefix("known here: ").unwrap().split(", ") {
            assert!(
                part.contains(&format!("| `{key}` |")),
                "docs/configuration.md, {section}: no row for `{key}`"
            );
        }
    }
    let faults =
        mailsonde::config::Settings::parse(std::path::Path::new("m.toml"), "qqqqqqqq = 1").unwrap_err();
    let hint = faults[0].hint.clone().unwrap();
    for key in hint.strip_prefix("known here: ").unwrap().split(", ") {
        // Tables that have no effect yet are not documented.
        let is_named = ["web"].contains(&key)
            || [format!("| `{key}` |"), format!("## [{key}"), format!("## [[{key}")]
                .iter()
                .any(|m| document.contains(m));
        assert!(is_named, "docs/configuration.md does not name `{key}`");
    }
}
