//! `db prune`, `db erase`, `db backup` and `db export` as a user calls them.

use std::path::Path;

use super::commands::run;
use super::data::{DAY, Record, import, json, report, rows};

/// Imports one report for each of two domains.
fn two_domains(folder: &Path) {
    for (domain, count) in [("example.com", 5), ("example.net", 7)] {
        let records =
            [Record::new("192.0.2.10", count, true, domain), Record::new("203.0.113.1", 1, false, domain)];
        let text = report(domain, "=Reporter, Inc.", domain, DAY, DAY + 86_399, &records);
        std::fs::write(folder.join(format!("{domain}.xml")), text).unwrap();
        import(folder, &[&folder.join(format!("{domain}.xml"))]);
    }
}

#[test]
fn retention_has_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_domains(folder);
    let pruned = json(folder, &["db", "prune"]);
    assert_eq!(
        (&rows(&pruned)[0]["raws"], &rows(&pruned)[0]["messages"]),
        (&0.into(), &0.into()),
        "{pruned}"
    );
    std::fs::write(
        folder.join("mailsonde.toml"),
        "[retention]\nraw = \"0s\"\nraw_unread = \"0s\"\nraw_failures = \"0s\"\nrows = \"0s\"\nclear_text = \"0s\"\n",
    )
    .unwrap();
    let before = json(folder, &["report"]);
    let pruned = json(folder, &["db", "prune"]);
    let row = &rows(&pruned)[0];
    assert_eq!(
        (&row["raws"], &row["reports"], &row["records"]),
        (&2.into(), &2.into(), &4.into()),
        "{pruned}"
    );
    let after = json(folder, &["report"]);
    for field in ["reports", "messages", "dmarc_pass", "dmarc_fail"] {
        assert_eq!(after["totals"][field], before["totals"][field], "{field}");
    }
    let (code, out, err) = run(folder, &["db", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
    // The same files again are copies.
    let again = import(folder, &[&folder.join("example.com.xml")]);
    assert_eq!(json(folder, &["report"])["totals"]["messages"], before["totals"]["messages"], "{again}");
}

#[test]
fn erasing_asks_first() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_domains(folder);
    let plan = json(folder, &["db", "erase", "--domain", "example.com"]);
    assert_eq!(
        (&rows(&plan)[0]["is_done"], &rows(&plan)[0]["reports"]),
        (&false.into(), &1.into()),
        "{plan}"
    );
    assert_eq!(json(folder, &["report"])["totals"]["messages"], 14);
    let done = json(folder, &["db", "erase", "--domain", "example.com", "--yes"]);
    assert_eq!(rows(&done)[0]["is_done"], true, "{done}");
    assert_eq!(json(folder, &["report"])["totals"]["messages"], 8);
    let (code, _, err) = run(folder, &["db", "verify"]);
    assert_eq!(code, 0, "{err}");
    for arguments in [
        &["db", "erase"] as &[&str],
        &["db", "erase", "--address", "nobody"],
        &["db", "erase", "--domain", "not a domain"],
        &["db", "erase", "--domain", "a.example", "--address", "a@b.example"],
    ] {
        let (code, out, _) = run(folder, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn a_backup_is_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_domains(folder);
    let answer = json(folder, &["db", "backup", "copy.db"]);
    assert_eq!(rows(&answer)[0]["file"], "copy.db", "{answer}");
    let copy = json(folder, &["--db", "copy.db", "report"]);
    assert_eq!(copy["totals"], json(folder, &["report"])["totals"]);
    let (code, _, err) = run(folder, &["db", "backup", "copy.db"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("copy.db"), "{err}");
}

#[test]
fn records_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_domains(folder);
    let (code, lines, err) = run(folder, &["db", "export"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let records: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 4);
    assert_eq!(records.iter().map(|record| record["count"].as_u64().unwrap()).sum::<u64>(), 14);
    let first =
        records.iter().find(|record| record["domain"] == "example.com" && record["dkim_aligned"] == true);
    let first = first.unwrap_or_else(|| panic!("{lines}"));
    assert_eq!(first["begin_date"], "2026-03-01 00:00:00");
    assert_eq!(first["org_name"], "=Reporter, Inc.");
    assert_eq!(first["dkim_selectors"][0], "s1");
    let (code, csv, _) = run(folder, &["db", "export", "--format", "csv", "--domain", "example.net"]);
    assert_eq!(code, 0);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("xml_schema,org_name,org_email,"), "{csv}");
    assert!(csv.contains("\"'=Reporter, Inc.\""), "{csv}");
    let (code, out, _) = run(folder, &["db", "export", "--format", "html"]);
    assert_eq!((code, out.as_str()), (2, ""));
    let (_, none, _) = run(folder, &["db", "export", "--since", "2026-04-01"]);
    assert_eq!(none, "");
}

/// Rows of a table, from `db stats`.
fn count(folder: &Path, table: &str) -> u64 {
    let stats = json(folder, &["db", "stats"]);
    rows(&stats).iter().find(|row| row["table"] == table).unwrap()["rows"].as_u64().unwrap()
}

/// Every table that mail fills.
const FILLED: [&str; 8] =
    ["message", "raw", "record", "tls_report", "tls_policy", "failure_report", "bounce", "unreadable"];

/// Imports the shipped mails: every kind.
fn shipped_mails(folder: &Path) {
    import(folder, &[&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail")]);
    for table in FILLED {
        assert!(count(folder, table) > 0, "{table}");
    }
}

#[test]
fn every_kind_of_mail_grows_old() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    shipped_mails(folder);
    let persons = "nobody@cedar.example";
    let bounces = || json(folder, &["report", "bounce-list"]).to_string();
    assert!(bounces().contains(persons), "{}", bounces());
    std::fs::write(folder.join("mailsonde.toml"), "[retention]\nclear_text = \"0s\"\n").unwrap();
    json(folder, &["db", "prune"]);
    assert!(!bounces().contains(persons) && bounces().contains("@cedar.example"), "{}", bounces());
    let before = json(folder, &["report"])["totals"].clone();
    let ages =
        ["raw_failures", "raw", "raw_unread", "rows", "clear_text"].map(|key| format!("{key} = \"0s\"\n"));
    std::fs::write(folder.join("mailsonde.toml"), format!("[retention]\n{}", ages.concat())).unwrap();
    let pruned = json(folder, &["db", "prune"]);
    assert_eq!(rows(&pruned)[0]["other_reports"], 2, "{pruned}");
    for table in FILLED {
        assert_eq!(count(folder, table), 0, "{table}");
    }
    let after = json(folder, &["report"]);
    for field in ["reports", "messages", "dmarc_pass", "dmarc_fail"] {
        assert_eq!(after["totals"][field], before[field], "{field}");
    }
    let (code, out, err) = run(folder, &["db", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn every_kind_of_report_is_erased_with_its_domain() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    shipped_mails(folder);
    json(folder, &["db", "erase", "--domain", "example.com", "--yes"]);
    for table in ["report", "record", "rollup", "tls_report", "tls_policy", "failure_report", "domain"] {
        assert_eq!(count(folder, table), 0, "{table}");
    }
    assert!(count(folder, "bounce") > 0, "bounces are for others");
    let plan = json(folder, &["db", "erase", "--address", "nobody@cedar.example"]);
    assert!(rows(&plan)[0]["messages"].as_u64().unwrap() >= 1, "{plan}");
    let (code, out, err) = run(folder, &["db", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
}

/// A mailbox is found inside what is packed, and in the rows of reports; what those count stays.
#[test]
fn a_mailbox_named_in_packed_reports_is_erased_and_the_counts_stay() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let gzip = |name: &str, text: &str| {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap();
        folder.join(name)
    };
    let records = [Record::new("192.0.2.10", 5, true, "example.com")];
    let named = report("example.com", "Reporter", "1", DAY, DAY + 86_399, &records)
        .replace("</org_name>", "</org_name><email>Jane.Doe@reporter.example</email><extra_contact_info>ask jane.doe@REPORTER.example</extra_contact_info>")
        .replace("<header_from>", "<envelope_from>jane.doe@reporter.example</envelope_from><header_from>")
        .replace("</row>", "</row><!-- -->")
        .replace("</policy_evaluated>", "<reason><type>other</type><comment>jane.doe@reporter.example asked</comment></reason></policy_evaluated>");
    assert!(named.matches("oe@").count() >= 4, "{named}");
    let tls = std::fs::read_to_string(fixtures.join("tls/plain.json")).unwrap();
    let tls = tls.replace("tls@alpine.example", "jane.doe@reporter.example");
    let letter = "From: a@b.example\nTo: c@d.example\nSubject: lunch\n\nAsk Jane.Doe@reporter.example\n";
    std::fs::write(folder.join("letter.eml"), letter).unwrap();
    import(folder, &[&gzip("a.xml.gz", &named), &gzip("t.json.gz", &tls), &folder.join("letter.eml")]);
    let other = report("example.com", "Other", "2", DAY, DAY + 86_399, &records);
    import(folder, &[&gzip("b.xml.gz", &other)]);

    let target = ["db", "erase", "--address", "jane.doe@reporter.example"];
    let plan = rows(&json(folder, &target))[0].clone();
    assert_eq!(
        (&plan["messages"], &plan["raws"]),
        (&1.into(), &2.into()),
        "the letter, and the bytes of two: {plan}"
    );
    assert!(plan["texts"].as_u64().unwrap() >= 5, "{plan}");
    let before = json(folder, &["report"])["totals"].clone();
    let sessions = json(folder, &["report", "tls"])["totals"].clone();
    let mut yes = target.to_vec();
    yes.push("--yes");
    json(folder, &yes);
    assert_eq!(json(folder, &["report"])["totals"], before);
    assert_eq!(json(folder, &["report", "tls"])["totals"], sessions);
    let again = rows(&json(folder, &target))[0].clone();
    for field in ["messages", "raws", "texts"] {
        assert_eq!(again[field], 0, "{again}");
    }
    for name in ["mailsonde.db", "mailsonde.db-wal"] {
        let bytes = std::fs::read(folder.join(name)).unwrap_or_default().to_ascii_lowercase();
        assert!(memchr::memmem::find(&bytes, b"jane.doe").is_none(), "traces in {name}");
    }
    let (code, out, err) = run(folder, &["db", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
    // The same report again is a copy still, and new ones of the same reporter are read.
    import(folder, &[&folder.join("a.xml.gz")]);
    assert_eq!(json(folder, &["report"])["totals"]["messages"], before["messages"]);
}

/// A dry run counts every kind.
#[test]
fn a_dry_run_counts_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for name in ["tls/plain.json", "failure/dmarc-all-fields.eml", "dsn/postfix-alias.eml"] {
        import(folder, &[&fixtures.join(name)]);
    }
    two_domains(folder);
    let plan = rows(&json(folder, &["db", "erase", "--domain", "example.com"]))[0].clone();
    for field in ["reports", "records", "tls_reports", "failure_reports"] {
        assert!(plan[field].as_u64().unwrap() > 0, "{field}: {plan}");
    }
    let plan = rows(&json(folder, &["db", "erase", "--address", "inner@store.relay.example"]))[0].clone();
    assert_eq!((&plan["messages"], &plan["bounces"]), (&1.into(), &1.into()), "{plan}");
}
