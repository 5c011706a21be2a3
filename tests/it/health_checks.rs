//! docs/health-checks.md is made of the codes; the demonstration's zone is checked as a user sees it.

#![expect(clippy::unwrap_used, reason = "in a test an error is a failure")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mailsonde::dns_health::catalogue;

use crate::support::program;

/// The domains of the demonstration's zone, with their grades.
const DOMAINS: [(&str, Option<&str>); 5] = [
    ("meadow.example", Some("A")),
    ("bakery.example", Some("D")),
    ("harvest.example", Some("F")),
    ("orchard.example", Some("C")),
    ("quiet.example", None),
];

/// Runs a command on the demonstration's zone with lines of `width` cells; what it prints.
fn printed(width: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("fixtures/dns/demo.zone"), folder.path().join("demo.zone")).unwrap();
    let output = program::mailsonde(folder.path()).args(arguments).env("COLUMNS", width).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_document_is_made_of_the_codes() {
    let path = root().join("docs/health-checks.md");
    let want = catalogue::markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, want).unwrap();
        return;
    }
    let got = std::fs::read_to_string(&path).unwrap();
    assert!(got == want, "docs/health-checks.md is not the code's; UPDATE_GOLDEN=1 rewrites it");
}

/// Each domain has its grade, and every finding something to act on: what was seen, and a mend where it is more
/// than a fact.
#[test]
fn the_demonstration_shows_faults_that_can_be_mended() {
    for (domain, grade) in DOMAINS {
        let text = printed(
            "100",
            &["dns", "check", domain, "--zone", "demo.zone", "--format", "json", "--fail-on", "critical"],
        );
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        for row in answer["rows"].as_array().unwrap() {
            assert_eq!(row["grade"].as_str(), grade, "{domain}");
            let is_fact = row["severity"] == "info";
            assert!(row["evidence"].as_str().is_some_and(|text| !text.is_empty()), "{row}");
            assert!(is_fact || row["mend"].as_str().is_some_and(|text| !text.is_empty()), "{row}");
        }
    }
}

/// Two findings never ask for different records at one name: whoever publishes both would break it again.
#[test]
fn records_to_publish_do_not_contradict_each_other() {
    for (domain, _) in DOMAINS {
        let text = printed("100", &["dns", "check", domain, "--zone", "demo.zone", "--format", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut records: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for row in answer["rows"].as_array().unwrap() {
            if let Some(name) = row["publish_name"].as_str() {
                let key = (name.to_owned(), row["publish_type"].to_string());
                records.entry(key).or_default().insert(row["publish_value"].to_string());
            }
        }
        for (name, values) in records {
            assert_eq!(values.len(), 1, "{domain}, {name:?}: {values:?}");
        }
    }
}

/// No line is wider than the terminal but records, which are there to be copied.
#[test]
fn lines_fit_the_width() {
    for width in [60, 80, 100] {
        for (domain, _) in DOMAINS {
            let text = printed(&width.to_string(), &["dns", "check", domain, "--zone", "demo.zone"]);
            for line in text.lines().filter(|line| !line.starts_with("    + ") && !line.starts_with("    - "))
            {
                // A word longer than the line stands alone.
                let is_word = line.split_whitespace().any(|word| word.len() > width - 14);
                assert!(line.chars().count() <= width || is_word, "{width}: {line}");
            }
        }
    }
}

/// Several domains end with a line for each, and bad ones make the exit code.
#[test]
fn several_domains_end_with_an_overview() {
    let names: Vec<&str> = DOMAINS.iter().map(|(domain, _)| *domain).collect();
    let mut arguments = vec!["dns", "check"];
    arguments.extend(&names);
    arguments.extend(["--zone", "demo.zone"]);
    let text = printed("100", &arguments);
    let (_, overview) = text.split_once("\ndomain ").unwrap();
    let lines: Vec<&str> = overview.lines().skip(1).collect();
    assert_eq!(lines.len(), DOMAINS.len(), "{overview}");
    for (line, (domain, grade)) in lines.iter().zip(DOMAINS) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], [domain, grade.unwrap_or("-")], "{overview}");
    }
}
