//! Cases of the collection that are about answers, each for its whole kind: with reports of our own always, and with the
//! files of the case where they are.

use std::path::{Path, PathBuf};

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::commands::{program, run};
use super::data::{DAY, Record, import, json, report, rows, sum, views_agree};
use crate::support::shared;

/// A folder with a store that holds the mails of a case, and what is expected.
fn case(name: &str) -> Option<(tempfile::TempDir, Value)> {
    let folder = shared("cases")?.join(name);
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let mut mails: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    mails.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    mails.sort();
    let store = tempfile::tempdir().unwrap();
    let paths: Vec<&Path> = mails.iter().map(PathBuf::as_path).collect();
    let answer = import(store.path(), &paths);
    let expected: Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(answer["totals"]["reports"], expected["aggregate_reports"], "{name}: {answer}");
    Some((store, expected))
}

/// A store with reports of our own.
fn store_of(reports: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let inputs = folder.path().join("in");
    std::fs::create_dir(&inputs).unwrap();
    for (at, report) in reports.iter().enumerate() {
        std::fs::write(inputs.join(format!("{at:03}.xml")), report).unwrap();
    }
    let answer = import(folder.path(), &[&inputs]);
    assert_eq!(answer["totals"]["read"], reports.len(), "{answer}");
    folder
}

const FIRST_DAY: [&str; 4] = ["--since", "2026-03-01", "--until", "2026-03-01"];

/// Case 048: messages weigh, not records, in every view and every format.
#[test]
fn counts_weigh_by_messages() {
    let records = [
        Record::new("192.0.2.10", 900, true, "example.com"),
        Record::new("203.0.113.1", 1, false, "example.com"),
        Record::new("203.0.113.2", 1, false, "example.com"),
        Record::new("203.0.113.3", 1, false, "example.com"),
    ];
    let store = store_of(&[report("example.com", "a.example", "1", DAY, DAY + 86_399, &records)]);
    let mut stores = vec![store];
    stores.extend(case("048-count-weighting").map(|(store, expected)| {
        assert_eq!((&expected["messages"], &expected["dmarc_pass"]), (&903.into(), &900.into()));
        store
    }));
    for store in &stores {
        let folder = store.path();
        for view in ["summary", "domains"] {
            let mut arguments = vec!["report", view, "--domain", "example.com"];
            arguments.extend(FIRST_DAY);
            let answer = json(folder, &arguments);
            let row = &rows(&answer)[0];
            assert_eq!(
                (&row["messages"], &row["dmarc_pass"], &row["dmarc_fail"]),
                (&903.into(), &900.into(), &3.into())
            );
            assert_eq!(row["pass_percent"].to_string(), "99.67", "{view}");
        }
        views_agree(folder, &FIRST_DAY);
        views_agree(folder, &[]);
        let (code, out, _) = run(folder, &["report", "--fail-if", "dmarc_fail > 2", "--format", "csv"]);
        assert_eq!(code, 1);
        assert!(out.contains(",903,900,3,99.67,"), "{out}");
        let (code, ..) = run(folder, &["report", "--fail-if", "dmarc_fail > 3"]);
        assert_eq!(code, 0);
    }
}

/// Case 053: no output depends on the zone of the machine.
#[test]
fn the_zone_of_the_machine_changes_nothing() {
    // 2026-03-29: the day on which Europe loses an hour.
    let begin = DAY + 28 * 86_400;
    let records = [Record::new("192.0.2.10", 11, true, "example.com")];
    let store = store_of(&[report("example.com", "a.example", "1", begin, begin + 86_399, &records)]);
    let mut stores = vec![store];
    stores.extend(case("053-host-timezone-independence").map(|(store, _)| store));
    for store in &stores {
        let folder = store.path();
        let outputs = |zone: &str| -> Vec<String> {
            let mut all = Vec::new();
            for view in ["summary", "sources", "domains", "reporters", "records", "messages"] {
                for format in ["table", "json", "csv"] {
                    let mut command = program(folder, &["report", view, "--format", format]);
                    if view != "messages" {
                        command.args(["--since", "2026-03-29", "--until", "2026-03-29"]);
                    }
                    let output = command.env("TZ", zone).output().unwrap();
                    assert_eq!(output.status.code(), Some(0));
                    all.push(String::from_utf8(output.stdout).unwrap());
                }
            }
            all
        };
        let utc = outputs("UTC");
        assert!(utc[1].contains("\"messages\":11"), "{}", utc[1]);
        for zone in ["Asia/Tokyo", "America/Los_Angeles", "Europe/Berlin", "Pacific/Kiritimati"] {
            assert_eq!(outputs(zone), utc, "{zone}");
        }
        for day in ["2026-03-28", "2026-03-30"] {
            let answer = json(folder, &["report", "--since", day, "--until", day]);
            assert_eq!(answer["totals"]["messages"], 0, "{day}");
        }
    }
}

/// Case 055: a report of many days is spread over them in whole messages, with exact sums, and says so.
#[test]
fn long_reports_are_spread() {
    let records = [Record::new("192.0.2.10", 211, true, "example.com")];
    let store = store_of(&[report("example.com", "a.example", "1", DAY, DAY + 21 * 86_400 - 1, &records)]);
    let mut stores = vec![store];
    stores.extend(case("055-three-week-report").map(|(store, _)| store));
    for store in &stores {
        let on = |first: &str, last: &str| json(store.path(), &["report", "--since", first, "--until", last]);
        let all = on("2026-03-01", "2026-03-21");
        assert_eq!(all["totals"]["messages"], 211);
        let mut total = 0;
        for day in 1..=21 {
            let day = format!("2026-03-{day:02}");
            let answer = on(&day, &day);
            let messages = answer["totals"]["messages"].as_u64().unwrap();
            assert!(messages == 10 || messages == 11, "{day}: {messages}");
            let notes = answer["notes"].to_string();
            assert!(notes.contains("several days"), "{notes}");
            total += messages;
        }
        assert_eq!(total, 211);
        assert_eq!(on("2026-03-22", "2026-03-31")["totals"]["messages"], 0);
    }
}

/// Case 057: 100 and 0 only if exactly so; nothing of nothing; tables, JSON and CSV agree.
#[test]
fn percentages_are_honest() {
    let of = |domain: &str, id: &str, pass: u64, fail: u64| {
        let records =
            [Record::new("192.0.2.10", pass, true, domain), Record::new("203.0.113.1", fail, false, domain)];
        report(domain, "a.example", id, DAY, DAY + 86_399, &records)
    };
    let store = store_of(&[
        of("example.com", "1", 9_999, 1),
        of("example.net", "2", 2, 1),
        of("all.example", "3", 7, 0),
        of("none.example", "4", 0, 7),
        of("almost.example", "5", 9_999_999, 1),
        of("barely.example", "6", 1, 9_999_999),
    ]);
    let cases = [
        ("example.com", "99.99"),
        ("example.net", "66.67"),
        ("all.example", "100.00"),
        ("none.example", "0.00"),
        ("almost.example", "99.99"),
        ("barely.example", "0.01"),
        ("example.org", "null"),
    ];
    for (domain, want) in cases {
        let (_, out, _) = run(store.path(), &["report", "--domain", domain, "--format", "json"]);
        assert!(out.contains(&format!("\"pass_percent\":{want},")), "{domain}: {out}");
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(rows(&answer).len(), 1, "{domain}: one row, of zeros if there is nothing");
        let (_, table, _) = run(store.path(), &["report", "--domain", domain]);
        let shown = if want == "null" { " - " } else { want };
        assert!(table.contains(shown), "{domain}: {table}");
    }
    if let Some((store, _)) = case("057-percent-rounding") {
        for (domain, want) in [("example.com", "99.99"), ("example.net", "66.67"), ("example.org", "null")] {
            let (_, out, _) = run(store.path(), &["report", "--domain", domain, "--format", "json"]);
            assert!(out.contains(&format!("\"pass_percent\":{want},")), "{domain}: {out}");
        }
    }
}

/// Case 059: a filter for a domain holds what is below it; the author domain splits.
#[test]
fn subdomains_belong_to_their_domain() {
    let records = [
        Record::new("192.0.2.10", 5, true, "example.com"),
        Record::new("192.0.2.10", 3, true, "news.example.com"),
        Record::new("203.0.113.1", 2, false, "nope.example.com"),
    ];
    let store = store_of(&[report("example.com", "a.example", "1", DAY, DAY + 86_399, &records)]);
    let mut stores = vec![store];
    stores.extend(case("059-subdomains-in-one-report").map(|(store, _)| store));
    for store in &stores {
        let folder = store.path();
        let answer = json(folder, &["report", "--domain", "example.com"]);
        assert_eq!((&answer["totals"]["messages"], &answer["totals"]["dmarc_pass"]), (&10.into(), &8.into()));
        let answer = json(folder, &["report", "domains", "--domain", "example.com"]);
        for (from, messages) in [("example.com", 5), ("news.example.com", 3), ("nope.example.com", 2)] {
            let row = rows(&answer).iter().find(|row| row["header_from"] == from).unwrap();
            assert_eq!((&row["domain"], &row["messages"]), (&"example.com".into(), &messages.into()));
        }
        // Asked for a domain below, only its messages come.
        let answer = json(folder, &["report", "sources", "--domain", "news.example.com"]);
        assert_eq!(answer["totals"]["messages"], 3, "{answer}");
        let answer = json(folder, &["report", "--domain", "xample.com"]);
        assert_eq!(answer["totals"]["messages"], 0, "a part of a name is another name");
    }
}

/// Case 061: one source seen by several reporters is their sum, and each reporter has its own.
#[test]
fn sources_and_reporters_split_the_same_messages() {
    let of = |org: &str, good: u64, bad: u64| {
        let records = [
            Record::new("192.0.2.10", good, true, "example.com"),
            Record::new("203.0.113.5", bad, false, "example.com"),
        ];
        report("example.com", org, "same-id", DAY, DAY + 86_399, &records)
    };
    let store = store_of(&[of("one.example", 5, 50), of("two.example", 2, 20), of("three.example", 1, 10)]);
    let mut stores = vec![store];
    stores.extend(case("061-split-by-reporter").map(|(store, _)| store));
    for store in &stores {
        let folder = store.path();
        let answer = json(folder, &["report", "sources"]);
        let of =
            |ip: &str| rows(&answer).iter().find(|row| row["source_ip"] == ip).unwrap()["messages"].clone();
        assert_eq!((of("192.0.2.10"), of("203.0.113.5")), (8.into(), 80.into()));
        let answer = json(folder, &["report", "reporters"]);
        let mut found: Vec<u64> = rows(&answer).iter().map(|row| row["messages"].as_u64().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, [11, 22, 55]);
        let answer = json(folder, &["report", "sources", "--reporter", "TWO"]);
        assert_eq!(answer["totals"]["messages"], 22);
        let answer = json(folder, &["report", "summary", "--result", "fail"]);
        assert_eq!(answer["totals"]["messages"], 80);
        let answer = json(folder, &["report", "records", "--source", "::ffff:192.0.2.10"]);
        assert_eq!(sum(&answer, "count"), 8, "{answer}");
        views_agree(folder, &["--reporter", "one.example"]);
        views_agree(folder, &["--result", "pass"]);
        views_agree(folder, &["--source", "203.0.113.5"]);
    }
}

/// Case 128: wide and long text, full IPv6, large counts: lines fit, columns stand, nothing breaks.
#[test]
fn tables_stand_whatever_the_text() {
    let long = "ééé-".repeat(60);
    let records = [
        Record::new("2001:0db8:1111:2222:3333:4444:5555:6666", 1_234_567, true, "example.com"),
        Record::new("192.0.2.10", 1, false, "example.com"),
    ];
    let names = [
        "株式会社メール報告部東京都千代田区丸の内一丁目",
        long.as_str(),
        "Ünïcödé",
        "\u{1b}[31mred\u{202e}",
        "a",
    ];
    let reports: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(at, name)| report("example.com", name, &at.to_string(), DAY, DAY + 86_399, &records))
        .collect();
    let store = store_of(&reports);
    let mut stores = vec![store];
    stores.extend(case("128-table-layout-wide-text").map(|(store, _)| store));
    for store in &stores {
        for view in
            ["summary", "sources", "domains", "reporters", "records", "messages", "probes", "probe-list"]
        {
            for columns in ["80", "200", ""] {
                let mut command = program(store.path(), &["report", view]);
                if !columns.is_empty() {
                    command.env("COLUMNS", columns);
                }
                let output = command.output().unwrap();
                assert_eq!(output.status.code(), Some(0), "{view} {columns}");
                let out = String::from_utf8(output.stdout).unwrap();
                assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{view}: {out}");
                if let Ok(width) = columns.parse::<usize>() {
                    for line in out.lines() {
                        assert!(line.width() <= width, "{view} at {width}: {} cells: {line}", line.width());
                    }
                }
                columns_stand(&out);
            }
        }
    }
}

/// `report … | head -1`: no format and no view takes a closed pipe for an error, and --fail-if still answers.
#[test]
fn a_reader_may_stop_at_any_line() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let records: Vec<Record> = (0..5_000)
        .map(|n| {
            Record::new(
                &format!("10.{}.{}.{}", n / 65_536, n / 256 % 256, n % 256),
                1,
                n % 2 == 0,
                "example.com",
            )
        })
        .collect();
    let store = store_of(&[report("example.com", "a.example", "1", DAY, DAY + 86_399, &records)]);
    for format in ["table", "json", "ndjson", "csv", "markdown", "html"] {
        for (more, code) in [(&[] as &[&str], 0), (&["--fail-if", "count >= 5000"], 1)] {
            let mut arguments = vec!["report", "records", "--format", format];
            arguments.extend(more);
            let mut child = program(store.path(), &arguments)
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut out = BufReader::with_capacity(64, child.stdout.take().unwrap());
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "{format}");
            drop(out);
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(code), ""), "{format} {more:?}");
        }
    }
}

/// Between two columns of a table stand two blanks, in the same cells of every line.
#[track_caller]
fn columns_stand(table: &str) {
    let lines: Vec<&str> = table.lines().collect();
    let Some(rule) = lines.iter().position(|line| line.starts_with('─')) else { return };
    let cells = |line: &str| -> Vec<char> {
        line.chars().flat_map(|c| std::iter::repeat_n(c, c.to_string().width())).collect()
    };
    let header = cells(lines[rule - 1]);
    // Columns begin after two blanks in the heading, or end before them where numbers stand.
    for row in lines[rule + 1..].iter().take_while(|line| !line.is_empty()) {
        let row = cells(row);
        let mut gaps = 0;
        for at in 1..header.len().min(row.len()) {
            let is_gap = header[at - 1] == ' ' && header[at] == ' ' && row[at - 1] == ' ' && row[at] == ' ';
            gaps += usize::from(is_gap);
        }
        assert!(gaps > 0 || header.len() < 20, "{table}");
    }
}
