//! Whole mails: the third-party cases and vectors, each as an example of its kind.

use std::collections::BTreeMap;

use mailsonde::classify::MessageKind;
use mailsonde::mail::Purpose;
use mailsonde::reports::aggregate::Source;
use mailsonde::reports::digest::DaySpan;
use serde_json::Value;

use super::{Read, deliver, read_file};
use crate::support::shared;

/// Every whole-mail vector gives the sum that its author worked out, or is refused as expected.
#[test]
fn mail_vectors() {
    let Some(folder) = shared("corpus/vectors") else { return };
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&expected).unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, want) in expected.iter().filter(|(name, _)| name.starts_with("mail/")) {
        seen += 1;
        let (_, read) = deliver(&folder.join(name), &[Purpose::Reports]);
        let is_refused = read.digests.is_empty() && !read.unread.is_empty();
        let number = |key: &str| want.get(key).and_then(Value::as_u64);
        let is_right = match (number("messages"), number("tls_reports")) {
            (Some(messages), _) => {
                let or_unread = want.get("or_unread").is_some();
                read.messages() == messages && read.unread.is_empty() || or_unread && is_refused
            }
            (_, Some(tls)) => read.tls as u64 == tls && read.unread.is_empty(),
            _ => is_refused,
        };
        if !is_right {
            wrong.push(format!(
                "{name}: want {want}, got {} {} {:?} {:?}",
                read.messages(),
                read.tls,
                read.unread,
                read.others
            ));
        }
    }
    assert_eq!(seen, 48);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The reading of one file of a case, or `None` with a message where the cases are absent.
fn case(name: &str, file: &str) -> Option<(MessageKind, Read)> {
    let folder = shared("cases")?.join(name);
    let purposes = match name {
        "037-arf-headers-only-third-part" | "041-arf-wrapping-a-report-mail" => [Purpose::Failures],
        _ => [Purpose::Reports],
    };
    let (reading, read) = deliver(&folder.join(file), &purposes);
    Some((reading.kind, read))
}

/// Cases whose expected result is a number of reports and sums, with nothing left unread.
#[test]
fn cases_with_sums() {
    let Some(folder) = shared("cases") else { return };
    let cases = [
        "001-octet-stream-gz",
        "003-single-part-zip",
        "005-nested-rfc822",
        "008-zip-with-directories",
        "010-zip-data-descriptor",
        "018-boundary-lookalike",
        "020-rfc9990-namespace",
        "024-windows-1252-declared",
        "026-enum-variants",
        "030-dkim-first-fails-second-passes",
        "032-source-ip-notations",
        "048-count-weighting",
        "053-host-timezone-independence",
        "059-subdomains-in-one-report",
        "123-stored-xss-report",
        "128-table-layout-wide-text",
    ];
    for name in cases {
        let expected = std::fs::read_to_string(folder.join(name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let (kind, read) = case(name, "report.eml").unwrap();
        assert_eq!(kind, MessageKind::Aggregate, "{name}");
        let number = |key: &str| expected.get(key).and_then(Value::as_u64);
        assert_eq!(read.digests.len() as u64, number("aggregate_reports").unwrap_or(1), "{name}");
        if let Some(messages) = number("messages") {
            assert_eq!(read.messages(), messages, "{name}");
        }
        if let Some(pass) = number("dmarc_pass") {
            assert_eq!(read.passing(), pass, "{name}");
        }
        assert_eq!(read.unread, Vec::<String>::new(), "{name}");
        // The bare document, where it stands beside the mail, says the same.
        let bare = folder.join(name).join("report.xml");
        if bare.is_file() {
            let bare = read_file(&bare);
            assert_eq!(bare.records, read.records, "{name}");
            assert_eq!(bare.digests[0].content_sha256, read.digests[0].content_sha256, "{name}");
        }
    }
}

#[test]
fn damaged_archives_are_refused_whole() {
    let Some((kind, read)) = case("011-truncated-and-bad-crc-gzip", "truncated.eml") else { return };
    assert_eq!((kind, read.digests.len()), (MessageKind::Aggregate, 0));
    assert!(read.unread[0].contains("truncated"), "{:?}", read.unread);
    let (_, read) = case("011-truncated-and-bad-crc-gzip", "badcrc.eml").unwrap();
    assert_eq!(read.digests.len(), 0);
    assert!(read.unread[0].to_lowercase().contains("crc"), "{:?}", read.unread);
}

#[test]
fn bombs_and_entities_are_refused() {
    for (name, file) in [
        ("013-gzip-bomb", "report.eml"),
        ("034-entity-bomb-and-xxe", "bomb.eml"),
        ("034-entity-bomb-and-xxe", "xxe.eml"),
    ] {
        let Some((_, read)) = case(name, file) else { return };
        assert_eq!(read.digests.len(), 0, "{file}");
        assert_eq!(read.unread.len(), 1, "{file}");
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        assert!(host.trim().is_empty() || !read.unread[0].contains(host.trim()), "{file}");
    }
}

#[test]
fn ordinary_mail_is_no_damaged_report() {
    for file in ["plain.eml", "pdf.eml", "zipjs.eml"] {
        let Some((kind, read)) = case("016-not-a-report", file) else { return };
        assert_eq!(kind, MessageKind::Other, "{file}");
        assert_eq!((read.digests.len(), read.unread.len()), (0, 0), "{file}");
    }
}

#[test]
fn malformed_but_whole_reports_are_read_and_marked() {
    let Some((_, read)) = case("022-unclosed-xs-schema", "report.eml") else { return };
    assert_eq!(read.messages(), 6);
    assert!(read.deviates("schema-element"));
    let (_, read) = case("028-report-without-records", "report.eml").unwrap();
    assert_eq!((read.digests.len(), read.records.len(), read.messages()), (1, 0, 0));
    assert!(read.deviates("no-records"));
}

#[test]
fn values_of_the_cases() {
    let Some((_, read)) = case("020-rfc9990-namespace", "report.eml") else { return };
    let policy = &read.digests[0].report.policy;
    let words = [&policy.p, &policy.sp, &policy.np, &policy.testing, &policy.discovery_method];
    assert_eq!(
        words.map(|word| word.as_deref().unwrap_or("-")),
        ["reject", "reject", "reject", "y", "treewalk"]
    );

    let (_, read) = case("024-windows-1252-declared", "report.eml").unwrap();
    assert_eq!(read.digests[0].report.org_name.as_deref(), Some("Société Exemple – Genève"));

    let (_, read) = case("026-enum-variants", "report.eml").unwrap();
    let mut words = BTreeMap::<&str, u64>::new();
    for record in &read.records {
        *words.entry(&record.spf_results[0].result.word).or_default() += record.messages();
    }
    assert_eq!(words, BTreeMap::from([("fail", 1), ("temperror", 2), ("permerror", 4), ("softfail", 8)]));

    let (_, read) = case("030-dkim-first-fails-second-passes", "report.eml").unwrap();
    let dkim = read.records[0].dkim_results.iter();
    let dkim: Vec<_> = dkim.map(|d| (d.domain.as_deref(), d.selector.as_deref(), &*d.result.word)).collect();
    let (own, esp) = (Some("example.com"), Some("esp.example"));
    assert_eq!(dkim, [(own, Some("ed1"), "fail"), (own, Some("rsa1"), "pass"), (esp, Some("k1"), "pass")]);

    let (_, read) = case("032-source-ip-notations", "report.eml").unwrap();
    let mut sources = BTreeMap::<Source, u64>::new();
    for record in &read.records {
        *sources.entry(record.source.clone()).or_default() += record.messages();
    }
    let ip = |text: &str| Source::Ip(text.parse().unwrap());
    let want = [(ip("192.0.2.7"), 24), (ip("2001:db8::1"), 7), (Source::Text("X.X.X.X".to_owned()), 32)];
    assert_eq!(sources, BTreeMap::from(want));

    let (_, read) = case("059-subdomains-in-one-report", "report.eml").unwrap();
    let mut by_from = BTreeMap::<&str, u64>::new();
    for row in &read.digests[0].rollup {
        *by_from.entry(row.header_from.as_str()).or_default() += row.messages;
    }
    assert_eq!(
        by_from,
        BTreeMap::from([("example.com", 5), ("news.example.com", 3), ("nope.example.com", 2)])
    );
}

#[test]
fn a_report_of_weeks_belongs_to_all_its_days() {
    let Some((_, read)) = case("055-three-week-report", "report.eml") else { return };
    let digest = &read.digests[0];
    let DaySpan::Spread { first, last } = digest.days else { panic!("{:?}", digest.days) };
    assert_eq!((first.iso().as_str(), last.iso().as_str()), ("2026-03-01", "2026-03-21"));
    assert_eq!(digest.messages, 211);
    assert!(read.deviates("period-long"));
}

#[test]
fn copies_have_one_key_and_one_hash() {
    let Some((_, a)) = case("050-duplicate-delivery", "a.eml") else { return };
    let (_, b) = case("050-duplicate-delivery", "b.eml").unwrap();
    let (_, c) = case("050-duplicate-delivery", "c.eml").unwrap();
    for other in [b, c] {
        assert_eq!(a.digests[0].key, other.digests[0].key);
        assert_eq!(a.digests[0].content_sha256, other.digests[0].content_sha256);
    }
}

#[test]
fn sums_over_several_mails() {
    let Some((_, a)) = case("057-percent-rounding", "a.eml") else { return };
    let (_, b) = case("057-percent-rounding", "b.eml").unwrap();
    assert_eq!([a.messages(), a.passing(), b.messages(), b.passing()], [10_000, 9_999, 3, 2]);
    let reporters = ["one", "two", "three"].map(|name| {
        let (_, read) = case("061-split-by-reporter", &format!("{name}.example.eml")).unwrap();
        (read.digests[0].key.reporter.clone(), read.messages())
    });
    let want = [("one.example", 55), ("two.example", 22), ("three.example", 11)];
    assert_eq!(reporters, want.map(|(name, messages)| (name.to_owned(), messages)));
}

#[test]
fn other_kinds_are_told_apart() {
    let cases = [
        ("037-arf-headers-only-third-part", MessageKind::Failure),
        ("041-arf-wrapping-a-report-mail", MessageKind::Failure),
        ("042-tls-failure-without-ip", MessageKind::Tls),
        ("044-tls-no-policy-domain", MessageKind::Tls),
        ("046-tls-report-at-dmarc-address", MessageKind::Tls),
        ("090-multi-recipient-dsn", MessageKind::Bounce),
        ("092-plain-text-exim-bounce", MessageKind::Bounce),
    ];
    for (name, want) in cases {
        let Some((kind, read)) = case(name, "report.eml") else { return };
        assert_eq!(kind, want, "{name}");
        assert_eq!(read.digests.len(), 0, "{name}: what is quoted is no report");
        assert_eq!(read.tls, usize::from(want == MessageKind::Tls), "{name}");
        let bare = shared("cases").unwrap().join(name).join("report.json");
        if bare.is_file() {
            assert_eq!(read_file(&bare).tls, 1, "{name}");
        }
    }
}

/// Third-party bounces and failure reports are told apart before they are read in full.
#[test]
fn third_party_kinds() {
    let Some(bounces) = shared("corpus/bounces") else { return };
    let kinds = |folder: &std::path::Path, purpose| {
        let mut kinds = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "eml") {
                let (reading, read) = deliver(&path, &[purpose]);
                assert_eq!(read.digests.len(), 0, "{}: what is quoted is no report", path.display());
                kinds.push(reading.kind);
            }
        }
        kinds
    };
    let kinds_of_bounces = kinds(&bounces, Purpose::Bounce);
    let known = |kind: &&MessageKind| matches!(kind, MessageKind::Bounce | MessageKind::Failure);
    // The rest is free text that the tolerant reader of bounces will know.
    assert_eq!(kinds_of_bounces.len(), 313);
    assert!(kinds_of_bounces.iter().filter(known).count() >= 298);
    let Some(failures) = shared("corpus/failure") else { return };
    for source in std::fs::read_dir(failures).unwrap() {
        for kind in kinds(&source.unwrap().path(), Purpose::Failures) {
            assert_eq!(kind, MessageKind::Failure);
        }
    }
}
