//! Failure reports and other feedback: our own fixtures, the third-party corpus and cases.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::path::{Path, PathBuf};

use mailsonde::classify::{MailContext, MailReading, read_mail};
use mailsonde::clock::Timestamp;
use mailsonde::mail::{Envelope, Message, Origin, Purpose};
use mailsonde::reports::failure::{FailureReport, Redactor, read_message};
use serde_json::{Value, json};

use crate::support::shared;

/// The time at which these tests read: after every report.
const NOW: Timestamp = Timestamp::from_seconds(1_795_600_000);

/// Reads the feedback reports of a mail file.
fn read(path: &Path) -> Vec<FailureReport> {
    let raw = std::fs::read(path).unwrap();
    read_message(&Message::parse(&raw)).unwrap()
}

/// What the mail is as a whole, and that nothing in it counts as an aggregate or TLS report.
fn classify(path: &Path) -> MailReading {
    let raw = std::fs::read(path).unwrap();
    let envelope = Envelope::without_transport(Origin::Smtp, NOW);
    let context = MailContext { envelope: &envelope, purposes: &[Purpose::Failures], has_probe_token: false };
    let reading = read_mail(&raw, &context, &mut |_| {});
    assert_eq!((reading.aggregates, reading.tls_reports), (0, 0), "{}", path.display());
    reading
}

/// A report in the form of `fixtures/failure/*.expected.json`: the full text.
fn summary(report: &FailureReport) -> Value {
    let mut shown = report.revealed();
    shown.deviations.sort_unstable();
    json!({
        "form": shown.form,
        "feedback_type": shown.feedback_type,
        "reporter": shown.reporter,
        "source_ip": shown.source_ip,
        "source_host": shown.source_host,
        "source_port": shown.source_port,
        "arrived_at": shown.arrived_at.map(|at| Timestamp::from_seconds(at).rfc3339()),
        "incidents": shown.incidents,
        "reported_domains": shown.reported_domains,
        "header_from": shown.header_from,
        "auth_failure": shown.auth_failure,
        "delivery_result": shown.delivery_result,
        "identity_alignment": shown.identity_alignment,
        "mail_from": shown.mail_from,
        "rcpt_to": shown.rcpt_to,
        "is_headers_only": shown.is_headers_only,
        "original_from": shown.original_from,
        "original_subject": shown.original_subject,
        "campaign": shown.campaign,
        "deviations": shown.deviations,
    })
}

/// The mails in a folder, sorted.
fn mails(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
    found.sort();
    found
}

#[test]
fn our_fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/failure");
    let paths = mails(&folder);
    assert_eq!(paths.len(), 4);
    for path in paths {
        let expected = std::fs::read(path.with_extension("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let reports: Vec<_> = read(&path).iter().map(summary).collect();
        assert_eq!(json!(reports), expected["failures"], "{}", path.display());
        assert_eq!(classify(&path).kind.as_str(), expected["kind"], "{}", path.display());
    }
}

#[test]
fn no_person_of_our_fixtures_is_shown() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for path in mails(&folder.join("failure")) {
        for report in read(&path) {
            let text = format!("{:?} {report:?}", report.shown(&Redactor::new(b"key")));
            for person in ["someone", "billing", "Accounts", "Invoice", "bounce", "b+1@", "boss@", "Payment"]
            {
                assert!(!text.contains(person), "{}: {person}: {text}", path.display());
            }
        }
    }
}

#[test]
fn any_cut_of_any_fixture_is_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/failure");
    for path in mails(&folder) {
        let raw = std::fs::read(&path).unwrap();
        let whole = read(&path);
        for end in 0..raw.len() {
            let Ok(found) = read_message(&Message::parse(&raw[..end])) else { continue };
            assert!(found.len() <= whole.len(), "{} cut at {end}", path.display());
            for report in found {
                let source = report.revealed().source_ip;
                let is_whole = source.is_none() || source == whole[0].revealed().source_ip;
                // Words have no end mark: what stands last in a cut notice may be part of a value.
                let is_notice = report.form.as_str() == "notice";
                assert!(is_whole || is_notice, "{} cut at {end}: {source:?}", path.display());
            }
        }
    }
}

/// Type, source, domain, arrival and delivery result of each mail of the corpus, as they stand in it.
type Known = (&'static str, &'static str, Option<&'static str>, &'static str, &'static str, &'static str);

/// The mails of the corpus.
const CORPUS: [Known; 10] = [
    // Neither a source nor a domain in its fields: the words and the quoted message give them.
    ("mail-auth/001.eml", "abuse", Some("192.0.2.1"), "example.net", "2005-03-08T18:00:00Z", ""),
    ("mail-auth/002.eml", "abuse", Some("192.0.2.1"), "example.net", "2005-03-08T18:00:00Z", ""),
    ("mail-auth/003.eml", "auth-failure", Some("192.0.2.1"), "example.net", "2010-04-14T19:15:31Z", ""),
    (
        "mail-auth/004.eml",
        "auth-failure",
        Some("148.163.85.135"),
        "interpublication.org",
        "2021-10-05T04:37:02Z",
        "",
    ),
    ("mail-auth/005.eml", "auth-failure", Some("192.0.2.1"), "a.sender.example", "2011-10-08T20:15:58Z", ""),
    (
        "parsedmarc/DMARC Failure Report for domain.de (mail-from=sharepoint@domain.de, ip=10.10.10.10).eml",
        "auth-failure",
        Some("10.10.10.10"),
        "domain.de",
        "2018-10-01T09:20:27Z",
        "policy",
    ),
    (
        "parsedmarc/[Netease DMARC Failure Report] Rent Reminder.eml",
        "auth-failure",
        Some("167.89.69.24"),
        "cardinal.com",
        "2018-09-28T08:48:42Z",
        "delivered",
    ),
    (
        "parsedmarc/dmarc_ruf_report_linkedin.crlf.eml",
        "auth-failure",
        Some("10.10.10.10"),
        "example.com",
        "2019-04-30T02:09:00Z",
        "delivered",
    ),
    (
        "parsedmarc/dmarc_ruf_report_linkedin.eml",
        "auth-failure",
        Some("10.10.10.10"),
        "example.com",
        "2019-04-30T02:09:00Z",
        "delivered",
    ),
    (
        "parsedmarc/exim_plain_text_only_no_arf_part.eml",
        "auth-failure",
        Some("203.0.113.68"),
        "example.com",
        "2025-04-07T21:16:09Z",
        "delivered",
    ),
];

#[test]
fn every_mail_of_the_corpus_is_read() {
    let Some(folder) = shared("corpus/failure") else { return };
    let count = ["mail-auth", "parsedmarc"].iter().map(|name| mails(&folder.join(name)).len()).sum::<usize>();
    assert_eq!(count, CORPUS.len());
    for (name, feedback_type, source, domain, arrived_at, delivery) in CORPUS {
        let reports = read(&folder.join(name));
        assert_eq!(reports.len(), 1, "{name}");
        let shown = reports[0].revealed();
        assert_eq!(shown.feedback_type, feedback_type, "{name}");
        assert_eq!(shown.source_ip.as_deref(), source, "{name}");
        assert_eq!(shown.reported_domains, [domain], "{name}");
        let arrived = shown.arrived_at.map(|at| Timestamp::from_seconds(at).rfc3339());
        assert_eq!(arrived.as_deref(), Some(arrived_at), "{name}");
        assert_eq!(shown.delivery_result, delivery, "{name}");
        assert!(shown.is_headers_only.is_some(), "{name}: the message is quoted");
        assert_eq!(classify(&folder.join(name)).kind.as_str(), "failure", "{name}");
    }
}

#[test]
fn the_cases() {
    let Some(folder) = shared("cases") else { return };
    for case in ["037-arf-headers-only-third-part", "041-arf-wrapping-a-report-mail"] {
        let expected = std::fs::read(folder.join(case).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let path = folder.join(case).join("report.eml");
        let reports = read(&path);
        assert_eq!(json!(reports.len()), expected["failure_reports"], "{case}");
        let shown = reports[0].revealed();
        assert_eq!(json!(shown.source_ip), expected["source_ip"], "{case}");
        assert_eq!(json!(shown.reported_domains), json!([expected["reported_domain"]]), "{case}");
        let arrived = shown.arrived_at.map(|at| Timestamp::from_seconds(at).rfc3339());
        assert_eq!(json!(arrived), expected["arrival_utc"], "{case}");
        assert_eq!(json!(shown.delivery_result), expected["delivery_result"], "{case}");
        // A quoted aggregate report is evidence.
        let reading = classify(&path);
        assert_eq!(json!(reading.aggregates), expected["aggregate_reports"], "{case}");
        assert_eq!(reading.unreadable, [], "{case}");
    }
}

#[test]
fn other_mails_hold_no_feedback() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail");
    for path in mails(&folder) {
        let count = read(&path).len();
        let is_failure = path.file_name().unwrap().to_str().unwrap().starts_with("07-failure");
        assert_eq!(count, usize::from(is_failure), "{}", path.display());
    }
}
