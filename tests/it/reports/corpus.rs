//! Bare reports: one quirk each, and thousands of real ones.

use std::collections::BTreeMap;

use super::read_file;
use crate::support::shared;

/// Every vector of bare XML gives the sum that its author worked out, or is refused as expected.
#[test]
fn xml_vectors() {
    let Some(folder) = shared("corpus/vectors") else { return };
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&expected).unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, want) in expected.iter().filter(|(name, _)| name.starts_with("xml/")) {
        seen += 1;
        let read = read_file(&folder.join(name));
        let is_refused = read.digests.is_empty() && !read.unread.is_empty();
        let is_right = match want.get("messages").and_then(serde_json::Value::as_u64) {
            Some(messages) => {
                let or_unread = want.get("or_unread").is_some();
                read.digests.len() == 1 && read.messages() == messages || or_unread && is_refused
            }
            None => is_refused,
        };
        if !is_right {
            wrong.push(format!(
                "{name}: want {want}, got {} and {:?} {:?}",
                read.messages(),
                read.unread,
                read.others
            ));
        }
    }
    assert_eq!(seen, 64);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Real reports of about 290 reporters against an independent reader's sums.
///
/// Where we differ, we are right: the other reader refuses files with a byte order mark (nine) and
/// reports without a record (six), and splits periods of over 24 h into a record a day. In 22 files
/// the program that made them anonymous cut out the beginning of the first record: nobody can count those.
#[test]
fn real_reports() {
    let Some(folder) = shared("corpus/aggregate") else { return };
    let mut facts = csv::Reader::from_path(folder.join("facts_dmarcrua.csv")).unwrap();
    let mut sums = BTreeMap::<&str, [u64; 4]>::new();
    for row in facts.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let read = read_file(&folder.join("dmarcrua").join(&row["file"]));
        let pass = read.passing();
        let records = read.records.len() as u64;
        let number = |name: &str| row[name].parse::<u64>().unwrap_or(0);
        let is_split = row["normalized"] == "True";
        let is_same = read.digests.len() == 1
            && read.messages() == number("messages")
            && pass == number("dmarc_pass")
            && (is_split || records == number("records"));
        let class = match row["type"].as_str() {
            "aggregate" if is_same => "same",
            _ if read.digests.is_empty() => "unread",
            _ if records == 0 => "empty",
            "aggregate" => "other sums",
            _ => "only we read it",
        };
        let sum = sums.entry(class).or_default();
        for (total, add) in sum.iter_mut().zip([1, records, read.messages(), pass]) {
            *total += add;
        }
    }
    let want = [
        ("empty", [6, 0, 0, 0]),
        ("only we read it", [9, 30, 37, 26]),
        ("same", [2_112, 15_623, 130_854, 126_898]),
        ("unread", [22, 0, 0, 0]),
    ];
    assert_eq!(sums, BTreeMap::from(want));
}

/// Every report of the index, packed, mailed or bare, with the sums of the index.
#[test]
fn the_index() {
    let Some(folder) = shared("corpus") else { return };
    let index = std::fs::read_to_string(folder.join("INDEX.md")).unwrap();
    let mut source = String::new();
    let mut seen = 0;
    let mut differ = Vec::new();
    for line in index.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            source = heading.split(" — ").next().unwrap_or_default().to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, _, facts, ""] = cells.as_slice() else { continue };
        if !facts.starts_with("aggregate;") {
            continue;
        }
        seen += 1;
        let number = |after: &str, unit: &str| -> u64 {
            let facts = facts.rsplit_once(after).map_or(*facts, |(_, rest)| rest);
            let words: Vec<&str> = facts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
            let at = words.iter().position(|word| *word == unit).unwrap();
            words[at - 1].parse().unwrap_or(0)
        };
        let messages = number("p=", "messages");
        let pass: u64 = facts.split("pass ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let read = read_file(&folder.join(&source).join(name));
        if (read.messages(), read.passing()) != (messages, pass) {
            let got = (read.messages(), read.passing());
            differ.push(format!("{source}/{name}: index {messages} {pass}, we {got:?} {:?}", read.unread));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert_eq!(seen, 71);
}
