//! TLS reports: our own fixtures, the third-party corpus, cases and vectors.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::io::Read as _;
use std::path::{Path, PathBuf};

use mailsonde::clock::Timestamp;
use mailsonde::mail::Message;
use mailsonde::reports::Unreadable;
use mailsonde::reports::tls::{TlsContext, TlsDigest, read};
use serde_json::{Value, json};

use crate::support::shared;

/// The time at which these tests read: after every report of the corpus.
const NOW: Timestamp = Timestamp::from_seconds(1_795_600_000);

/// What was read.
type Results = Vec<Result<TlsDigest, Unreadable>>;

/// Reads a bare file.
fn read_json(path: &Path) -> Results {
    let name = path.file_name().unwrap().to_str().unwrap();
    read(
        &std::fs::read(path).unwrap(),
        &TlsContext { file_name: Some(name), now: NOW, ..TlsContext::default() },
    )
}

/// Reads the reports in a mail: every part that is JSON, packed by gzip or not.
fn read_mail(path: &Path) -> Results {
    let raw = std::fs::read(path).unwrap();
    let message = Message::parse(&raw);
    let mut results = Vec::new();
    for part in &message.parts {
        let (bytes, _) = part.decode();
        let bytes = if bytes.starts_with(b"\x1f\x8b") {
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut out).unwrap();
            out
        } else {
            bytes.into_owned()
        };
        if bytes.trim_ascii().starts_with(b"{") {
            results.extend(read(
                &bytes,
                &TlsContext {
                    report_domain: message.header.field("TLS-Report-Domain"),
                    submitter: message.header.field("TLS-Report-Submitter"),
                    subject: message.header.subject.as_deref(),
                    file_name: Some(&part.file_name),
                    from_domain: message.header.from_domain.as_ref(),
                    now: NOW,
                },
            ));
        }
    }
    results
}

/// Reads a file of either kind.
fn read_any(path: &Path) -> Results {
    if path.extension().is_some_and(|end| end == "eml") { read_mail(path) } else { read_json(path) }
}

/// All files below a folder with one of two ends, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "json" || end == "eml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a digest says, in the form of `fixtures/tls/*.expected.json`.
fn summary(digest: &TlsDigest) -> Value {
    let name = |domain: &Option<mailsonde::mail::DomainName>| domain.as_ref().map(ToString::to_string);
    let mut deviations: Vec<_> = digest.deviations.names().collect();
    deviations.sort_unstable();
    let key = &digest.domains[0].key;
    json!({
        "reporter": key.reporter,
        "report_id": key.report_id,
        "begin": Timestamp::from_seconds(key.begin).rfc3339(),
        "end": Timestamp::from_seconds(key.end).rfc3339(),
        "days": [digest.days.first().iso(), digest.days.last().iso()],
        "sessions": digest.sessions.iter().map(|row| json!({
            "domain": name(&row.domain),
            "policy_type": row.policy_type.as_str(),
            "successful": row.successful,
            "failed": row.failed,
        })).collect::<Vec<_>>(),
        "failures": digest.failures.iter().map(|row| json!({
            "domain": name(&row.domain),
            "policy_type": row.policy_type.as_str(),
            "result_type": row.result_type.as_str(),
            "sessions": row.sessions,
        })).collect::<Vec<_>>(),
        "deviations": deviations,
    })
}

#[test]
fn our_fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls");
    let mut count = 0;
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(stem) = name.strip_suffix(".json").filter(|stem| !stem.ends_with(".expected")) else {
            continue;
        };
        let expected = std::fs::read(folder.join(format!("{stem}.expected.json"))).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let results = read_json(&path);
        let unread: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        let reports: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).map(summary).collect();
        assert_eq!(json!(reports), expected["reports"], "{name}");
        let reasons = expected["unread"].as_array().unwrap();
        assert_eq!(unread.len(), reasons.len(), "{name}");
        for (error, reason) in unread.iter().zip(reasons) {
            assert!(error.reason.contains(reason.as_str().unwrap()), "{name}: {error:?}");
        }
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn every_cut_of_every_fixture_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls");
    for name in ["plain.json", "odd-shapes.json", "dane-host.json", "weekly-utf16.json"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let last = bytes.iter().rposition(|b| *b == b'}').unwrap();
        for end in 0..last {
            let results = read(&bytes[..end], &TlsContext::default());
            assert!(results.iter().all(Result::is_err), "{name} cut at {end}");
        }
    }
}

/// Successful and failed sessions in each file of the corpus, as they stand in it.
const CORPUS: [(&str, u64, u64); 25] = [
    ("dmarc-analyzer-net/sample-google-tls.json", 160, 3),
    ("dmarc-analyzer-net/sample-lenient-tls.json", 43, 7),
    ("dmarc-analyzer-net/sample-rfc8460-tls.json", 5326, 303),
    ("dmarc-analyzer-net/sample-successonly-tls.json", 5000, 0),
    ("dmarc-report-viewer/google.json", 1, 0),
    ("dmarc-report-viewer/microsoft.json", 4, 0),
    ("dmarc-report-viewer/no-contact.json", 1, 0),
    ("dmarc-report-viewer/no-policy.json", 1, 0),
    ("dmarc-report-viewer/no_ip_and_mx.json", 0, 3),
    ("dmarc-report-viewer/rfc-example.json", 5326, 303),
    ("mail-auth/rpt01.eml", 5326, 303),
    ("mail-auth/rpt01.json", 5326, 303),
    ("mail-auth/rpt02.eml", 23, 1),
    ("mail-auth/rpt02.json", 23, 1),
    ("mail-auth/rpt03.json", 2, 0),
    ("mox/example.eml", 3, 0),
    ("mox/microsoft.eml", 2, 0),
    ("parsedmarc/google.com_smtp_tls_report.eml", 48, 0),
    ("parsedmarc/mail.ru.json", 0, 1),
    ("parsedmarc/rfc8460.json", 5326, 303),
    ("parsedmarc/smtp_tls.json", 0, 3),
    ("tlsrpt-digest/tlsrpt_failure.eml", 4523, 2),
    ("tlsrpt-digest/tlsrpt_success_google_1.eml", 1, 0),
    ("tlsrpt-digest/tlsrpt_success_google_2.eml", 4, 0),
    ("tlsrpt-digest/tlsrpt_success_microsoft.eml", 2, 0),
];

#[test]
fn every_file_of_the_corpus_is_read() {
    let Some(folder) = shared("corpus/tls") else { return };
    let paths = files(&folder);
    assert_eq!(paths.len(), CORPUS.len());
    for path in paths {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let (_, successful, failed) = CORPUS.iter().find(|(file, ..)| *file == name).unwrap();
        let results = read_any(&path);
        assert_eq!(results.len(), 1, "{name}");
        let digest = results[0].as_ref().unwrap();
        assert_eq!((digest.successful(), digest.failed()), (*successful, *failed), "{name}");
        assert!(digest.domains.iter().all(|domain| domain.key.domain.is_some()), "{name}");
    }
}

#[test]
fn the_cases() {
    let Some(folder) = shared("cases") else { return };
    for case in ["042-tls-failure-without-ip", "044-tls-no-policy-domain", "046-tls-report-at-dmarc-address"]
    {
        let expected = std::fs::read(folder.join(case).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        for file in ["report.json", "report.eml"] {
            let results = read_any(&folder.join(case).join(file));
            assert_eq!(json!(results.len()), expected["tls_reports"], "{case}/{file}");
            let digest = results[0].as_ref().unwrap();
            assert_eq!(json!(digest.successful()), expected["sessions_ok"], "{case}/{file}");
            assert_eq!(json!(digest.failed()), expected["sessions_failed"], "{case}/{file}");
            for failure in expected["failures"].as_array().into_iter().flatten() {
                let row =
                    digest.failures.iter().find(|row| failure["type"] == row.result_type.as_str()).unwrap();
                assert_eq!(json!(row.sessions), failure["count"], "{case}/{file}");
            }
            for (kind, count) in expected["failures_by_type"].as_object().into_iter().flatten() {
                let row = digest.failures.iter().find(|row| row.result_type.as_str() == kind).unwrap();
                assert_eq!(json!(row.sessions), *count, "{case}/{file}");
            }
            for (kind, count) in expected["by_policy"].as_object().into_iter().flatten() {
                let row = digest.sessions.iter().find(|row| row.policy_type.as_str() == kind).unwrap();
                assert_eq!(json!(row.successful), *count, "{case}/{file}");
                // The bare file has no mail around it that names the domain, but its host lies below it.
                let domain = row.domain.as_ref().map(ToString::to_string);
                if file == "report.eml" {
                    assert_eq!(domain.as_deref(), Some("example.com"), "{case}/{file}");
                }
            }
        }
    }
}

#[test]
fn the_vectors() {
    let Some(folder) = shared("corpus/vectors") else { return };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let mut count = 0;
    for (file, wanted) in expected.as_object().unwrap() {
        let Some(wanted) = wanted.get("tls_reports") else { continue };
        let results = read_mail(&folder.join(file));
        assert_eq!(json!(results.iter().filter(|result| result.is_ok()).count()), *wanted, "{file}");
        let digest = results[0].as_ref().unwrap();
        let sums = match file.as_str() {
            "mail/87_tls_j_policies_null.eml" => (0, 0),
            "mail/89_tls_j_summary_missing.eml" => (0, 1),
            _ => (5, 1),
        };
        assert_eq!((digest.successful(), digest.failed()), sums, "{file}");
        let domain = digest.domains[0].key.domain.as_ref().map(ToString::to_string);
        assert_eq!(domain.as_deref(), Some("d.example"), "{file}");
        count += 1;
    }
    assert_eq!(count, 18);
}
