//! `domains` and `db` as a user calls them.

use std::path::Path;

use super::commands::run;
use super::data::{DAY, Record, import, json, report, rows, views_agree};

/// Imports two reports, one for a watched domain and one for another.
fn two_domains(folder: &Path) {
    std::fs::write(folder.join("mailsonde.toml"), "[[domain]]\nname = \"example.com\"\n").unwrap();
    for (domain, count) in [("example.com", 5), ("mail.example.com", 3), ("example.net", 7)] {
        let records =
            [Record::new("192.0.2.10", count, true, domain), Record::new("203.0.113.1", 1, false, domain)];
        let text = report(domain, "a.example", domain, DAY, DAY + 86_399, &records);
        std::fs::write(folder.join(format!("{domain}.xml")), text).unwrap();
        import(folder, &[&folder.join(format!("{domain}.xml"))]);
    }
}

#[test]
fn only_watched_domains_count() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_domains(folder);
    let summary = json(folder, &["report"]);
    assert_eq!(summary["totals"]["messages"], 10, "{summary}");
    assert!(summary["notes"].to_string().contains("not watched"), "{summary}");
    let list = json(folder, &["domains", "list"]);
    let of = |name: &str| rows(&list).iter().find(|row| row["domain"] == name).cloned().unwrap_or_default();
    assert_eq!((&of("example.com")["watched"], &of("example.com")["messages"]), (&true.into(), &6.into()));
    assert_eq!(of("mail.example.com")["watched_by"][0], "parent", "{list}");
    assert_eq!((&of("example.net")["watched"], &of("example.net")["messages"]), (&false.into(), &8.into()));

    // Watched from now on: what came before counts at once.
    let (code, out, err) = run(folder, &["domains", "add", "Example.NET."]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let summary = json(folder, &["report"]);
    assert_eq!(summary["totals"]["messages"], 18, "{summary}");
    assert!(!summary["notes"].to_string().contains("not watched"), "{summary}");
    let list = json(folder, &["domains", "list"]);
    assert!(rows(&list).iter().any(|row| row["domain"] == "example.net" && row["watched"] == true), "{list}");
    views_agree(folder, &[]);
    // Twice changes nothing.
    let (code, ..) = run(folder, &["domains", "add", "example.net"]);
    assert_eq!(code, 0);
    assert_eq!(json(folder, &["report"])["totals"]["messages"], 18);
    let (code, _, err) = run(folder, &["domains", "add", "not a domain"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn reading_again_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_domains(folder);
    std::fs::write(folder.join("cut.gz"), b"\x1f\x8b\x08cut").unwrap();
    import(folder, &[&folder.join("cut.gz")]);
    let before = json(folder, &["report", "records"]);
    for arguments in [
        &["db", "reprocess"] as &[&str],
        &["db", "reprocess", "--status", "unread"],
        &["db", "reprocess", "--kind", "aggregate", "--since", "30d"],
    ] {
        let (code, out, err) = run(folder, arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
        let mut after = json(folder, &["report", "records"]);
        after["notes"] = before["notes"].clone();
        assert_eq!(after, before, "{arguments:?}");
        let (code, out, err) = run(folder, &["db", "verify"]);
        assert_eq!(code, 0, "{out}{err}");
    }
    assert_eq!(json(folder, &["report", "messages", "--result", "unread"])["totals"]["unread"], 1);
    assert_eq!(json(folder, &["report", "messages", "--result", "pending"])["totals"]["pending"], 0);
    let stats = json(folder, &["db", "stats"]);
    let reports = rows(&stats).iter().find(|row| row["table"] == "report").unwrap();
    assert_eq!(reports["rows"], 2, "{stats}");
    assert!(stats["totals"]["database_bytes"].as_u64().unwrap() > 4_096, "{stats}");
}

#[test]
fn a_foreign_or_damaged_file_is_3() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("mailsonde.db"), "this is not a database at all, whatever its name says")
        .unwrap();
    for arguments in [&["report"] as &[&str], &["db", "verify"], &["domains", "add", "example.com"]] {
        let (code, out, err) = run(folder, arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains("mailsonde.db"), "{err}");
    }
    let (code, _, err) = run(folder, &["--db", "no/such/folder/x.db", "domains", "add", "example.com"]);
    assert_eq!(code, 3);
    assert!(err.contains("no/such/folder/x.db"), "{err}");
}
