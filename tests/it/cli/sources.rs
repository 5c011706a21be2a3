//! Whose a source is: `report sources` with organisation, kind and evidence, and the user's own table.

use std::path::Path;

use serde_json::json;

use super::commands::run;
use super::data::{self, DAY, Record, import, report, rows};
use crate::support::mmdb::{self, Value};

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
    let answer = data::json(folder, &["report", "sources"]);
    for row in rows(&answer) {
        assert_eq!(
            (&row["source_organisation"], &row["kind"]),
            (&"Mailchimp".into(), &"newsletter".into()),
            "{row}"
        );
        assert!(row["evidence"][0].as_str().unwrap().contains("bounces.mcsv.net"), "{row}");
    }
    let sorted = data::json(folder, &["report", "sources", "--sort", "-source_organisation", "--limit", "1"]);
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
    let answer = data::json(folder, &["report", "sources"]);
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

/// A country file as two makers write it, and a network file as two makers do.
fn place_files() -> [(&'static str, Vec<u8>); 3] {
    let country = |code| Value::Map(vec![("country", Value::Map(vec![("iso_code", Value::Text(code))]))]);
    let network = |number, name| {
        Value::Map(vec![
            ("autonomous_system_number", Value::Number(number)),
            ("autonomous_system_organization", Value::Text(name)),
        ])
    };
    let both = Value::Map(vec![
        ("asn", Value::Text("AS64497")),
        ("as_name", Value::Text("Pine Hosting")),
        ("as_domain", Value::Text("pine.example")),
        ("country_code", Value::Text("se")),
    ]);
    let countries = [("192.0.2.0", 24, country("DE")), ("2001:db8::", 32, country("NO"))];
    let networks = [
        ("192.0.2.0", 25, network(64_496, "=Cedar \u{1b}[31mNet")),
        ("2001:db8::", 32, network(64_499, "N")),
    ];
    [
        ("country.mmdb", mmdb::file("Test-Country", &countries)),
        ("network.mmdb", mmdb::file("Test-ASN", &networks)),
        ("both.mmdb", mmdb::file("Test-Both", &[("203.0.113.0", 24, both)])),
    ]
}

#[test]
fn country_and_network_of_sources() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_sources(folder);
    for (name, bytes) in place_files() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let configure = |country: &str, network: &str| {
        let text = format!("[sources]\ncountry_database = \"{country}\"\nnetwork_database = \"{network}\"\n");
        std::fs::write(folder.join("mailsonde.toml"), text).unwrap();
    };
    let of = |ip: &str| {
        let answer = data::json(folder, &["report", "sources", "--sort", "source_country"]);
        let row = rows(&answer).iter().find(|row| row["source_ip"] == ip).unwrap().clone();
        ["source_country", "source_as_number", "source_as_name"].map(|field| row[field].clone())
    };
    let null = serde_json::Value::Null;
    assert_eq!(of("192.0.2.10"), [null.clone(), null.clone(), null.clone()], "nothing is configured");

    configure("country.mmdb", "network.mmdb");
    assert_eq!(of("192.0.2.10"), [json!("DE"), json!(64_496), json!("=Cedar \u{1b}[31mNet")]);
    assert_eq!(of("203.0.113.1"), [null.clone(), null.clone(), null.clone()], "not in the files");
    let (_, table, _) = run(folder, &["report", "sources"]);
    assert!(table.contains("DE") && !table.contains('\u{1b}'), "{table}");
    let (_, csv, _) = run(folder, &["report", "sources", "--format", "csv"]);
    assert!(csv.contains("'=Cedar"), "{csv}");
    let (_, lines, _) = run(folder, &["db", "export"]);
    assert!(lines.contains(r#""source_country":"DE""#) && lines.contains(r#""source_asn":64496"#), "{lines}");

    configure("both.mmdb", "both.mmdb");
    assert_eq!(of("203.0.113.1"), [json!("SE"), json!(64_497), json!("Pine Hosting")]);
    let (code, _, err) = run(folder, &["config", "check"]);
    assert_eq!(code, 0, "{err}");
}

/// Whatever the file is, answers come without it, and `config check` names it with a mend.
#[test]
fn a_broken_file_of_places_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_sources(folder);
    let [(_, country), (_, network), _] = place_files();
    let mut cases: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("not there", None),
        ("empty", Some(Vec::new())),
        ("another kind of file", Some(b"PK\x03\x04 a zip, say".to_vec())),
        ("countries only", Some(country)),
        ("without its end", Some(network[..network.len() / 2].to_vec())),
        ("without its beginning", Some(network[network.len() / 2..].to_vec())),
    ];
    for step in (0..network.len()).step_by(7) {
        let mut bent = network.clone();
        bent[step] ^= 0xFF;
        cases.push(("bent", Some(bent)));
    }
    std::fs::write(folder.join("mailsonde.toml"), "[sources]\nnetwork_database = \"n.mmdb\"\n").unwrap();
    for (name, bytes) in cases {
        let file = folder.join("n.mmdb");
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => assert!(!file.exists()),
        }
        let (code, out, err) = run(folder, &["report", "sources", "--format", "json"]);
        assert_eq!(code, 0, "{name}: {err}");
        assert!(out.contains("192.0.2.10"), "{name}: {out}");
        let (code, _, err) = run(folder, &["config", "check"]);
        if name != "bent" {
            assert_eq!(code, 2, "{name}: {err}");
            assert!(
                err.contains("network_database") && err.contains("n.mmdb") && err.contains("hint:"),
                "{name}: {err}"
            );
        }
        assert!(!err.contains("panicked"), "{name}: {err}");
    }
}
