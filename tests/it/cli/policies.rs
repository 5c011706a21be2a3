//! `report policies`: the policy as published, and its changes.

use super::commands::run;
use super::data::{DAY, Record, import, json, report, rows};

#[test]
fn changes_stand_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records = [Record::new("192.0.2.10", 5, true, "example.com")];
    // A reporter that leaves `sp` out, one that is a day late, and a change of two tags.
    let cases = [
        (0, "a.example", "<p>none</p>"),
        (0, "b.example", "<p>none</p><sp>none</sp>"),
        (1, "a.example", "<p>quarantine</p><sp>none</sp>"),
        (1, "b.example", "<p>none</p><sp>none</sp>"),
        (2, "a.example", "<p>quarantine</p><sp>none</sp>"),
        (20, "a.example", "<p>quarantine</p><sp>none</sp>"),
        (21, "a.example", "<p>reject</p><sp>reject</sp>"),
        (40, "a.example", "<p>none</p>"),
    ];
    for (at, (day, org, policy)) in cases.iter().enumerate() {
        let begin = DAY + day * 86_400;
        let text = report("example.com", org, &at.to_string(), begin, begin + 86_399, &records)
            .replace("<p>none</p><sp>none</sp>", policy);
        let path = folder.join(format!("{at}.xml"));
        std::fs::write(&path, text).unwrap();
        import(folder, &[&path]);
    }
    let answer = json(folder, &["report", "policies"]);
    let seen: Vec<(String, String, String, u64)> = rows(&answer)
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            (text("p"), text("first"), text("last"), row["reports"].as_u64().unwrap())
        })
        .collect();
    let row = |p: &str, first: &str, last: &str, reports| {
        (p.to_owned(), first.to_owned(), last.to_owned(), reports)
    };
    assert_eq!(
        seen,
        [
            row("none", "2026-03-01", "2026-03-02", 3),
            row("quarantine", "2026-03-02", "2026-03-21", 3),
            row("reject", "2026-03-22", "2026-03-22", 1),
            row("none", "2026-04-10", "2026-04-10", 1),
        ]
    );
    assert_eq!(
        rows(&answer)[2]["changes"],
        serde_json::json!(["p quarantine to reject", "sp none to reject"])
    );
    assert_eq!(answer["totals"]["reports"], 8);
    let late =
        json(folder, &["report", "policies", "--since", "2026-03-22", "--sort", "-first", "--limit", "1"]);
    assert_eq!(rows(&late)[0]["first"], "2026-04-10");
    let (code, _, err) = run(folder, &["report", "policies", "--result", "pass"]);
    assert_eq!(code, 2, "{err}");
}
