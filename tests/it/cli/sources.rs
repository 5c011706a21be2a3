//! Whose a source is: `report sources` with organisation, kind and evidence, and the user's own table.

use std::path::Path;

use super::commands::run;
use super::data::{DAY, Record, import, json, report, rows};

/// Imports one report with two sources, one of which passes.
fn two_sources(folder: &Path) {
    let records = [
        Record::new("192.0.2.10", 5, true, "example.com"),
        Record::new("203.0.113.1", 1, false, "example.com"),
    ];
    let text = report("example.com", "a.example", "1", DAY, DAY + 86_399, &records)
        .replace("bounce.example.net", "bounces.mcsv.net");
    std::fs::write(folder.join("r.xml"), text).unwrap();
    import(folder, &[&folder.join("r.xml")]);
}

#[test]
fn organisations_with_evidence_and_without_dns() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_sources(folder);
    let answer = json(folder, &["report", "sources"]);
    for row in rows(&answer) {
        assert_eq!(
            (&row["source_organisation"], &row["kind"]),
            (&"Mailchimp".into(), &"newsletter".into()),
            "{row}"
        );
        assert!(row["evidence"][0].as_str().unwrap().contains("bounces.mcsv.net"), "{row}");
    }
    let sorted = json(folder, &["report", "sources", "--sort", "-source_organisation", "--limit", "1"]);
    assert_eq!(rows(&sorted).len(), 1);
}

#[test]
fn the_users_table_stands_over_ours() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_sources(folder);
    std::fs::write(folder.join("mailsonde.toml"), "[sources]\nfile = \"senders.txt\"\n").unwrap();
    let (code, _, err) = run(folder, &["report", "sources"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("senders.txt"), "{err}");
    std::fs::write(
        folder.join("senders.txt"),
        "192.0.2.0/24 | Our data centre | own\nmcsv.net | Newsletter team | crm\n",
    )
    .unwrap();
    let answer = json(folder, &["report", "sources"]);
    let of = |ip: &str| rows(&answer).iter().find(|row| row["source_ip"] == ip).unwrap().clone();
    assert_eq!(of("192.0.2.10")["source_organisation"], "Our data centre", "{answer}");
    assert_eq!(of("192.0.2.10")["kind"], "own");
    assert_eq!(of("203.0.113.1")["source_organisation"], "Newsletter team");
    assert_eq!(of("203.0.113.1")["kind"], "crm");
    std::fs::write(folder.join("senders.txt"), "\nmcsv.net | Newsletter team | shop\n").unwrap();
    let (code, _, err) = run(folder, &["report", "sources"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("senders.txt:2") && err.contains("newsletter"), "{err}");
}
