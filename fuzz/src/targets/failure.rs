//! DMARC failure reports, complaints and other feedback about single messages.

use mailsonde::limits;
use mailsonde::mail::Message;
use mailsonde::reports::aggregate::Source;
use mailsonde::reports::failure::{FailureReport, Redactor, read_message};

use super::is_canonical;

/// A person who stands in the report wherever the input has [`MARK`].
const PERSON: &str = "zqperson@person.example";
/// What is replaced by [`PERSON`].
const MARK: u8 = 1;

/// Caps hold, and what may be shown names no person.
pub fn check(data: &[u8]) {
    let mail = with_person(data);
    let message = Message::parse(&mail);
    let Ok(reports) = read_message(&message) else { return };
    let redactor = Redactor::new(b"the key of the installation");
    for report in &reports {
        check_report(report);
        let shown = report.shown(&redactor);
        assert!(!shown.is_revealed && report.revealed().is_revealed);
        for text in [format!("{shown:?}"), format!("{report:?}")] {
            if let Some(at) = text.find(PERSON) {
                // Fields that are no persons are hidden when they are shown and not before.
                let is_shown = text.starts_with("ShownFailure");
                assert!(
                    !is_shown,
                    "a person is shown: {}",
                    &text[text.floor_char_boundary(at.saturating_sub(100))..]
                );
            }
        }
        // The same person has the same hash, or nobody could count.
        assert_eq!(shown, report.shown(&redactor));
    }
    text(data);
}

fn check_report(report: &FailureReport) {
    let personal = report.personal.reveal();
    assert!(report.incidents >= 1);
    for count in [
        report.reported_domains.len(),
        report.spf_dns.len(),
        personal.rcpt_to.len(),
        personal.reported_uris.len(),
        personal.removal_recipients.len(),
        personal.authentication_results.len(),
        personal.results.len(),
        personal.extensions.len(),
        report.original.as_ref().map_or(0, |original| original.dkim_signatures.len()),
    ] {
        assert!(count <= limits::FAILURE_VALUES);
    }
    if let Source::Ip(ip) = report.source {
        assert!(is_canonical(ip));
    }
    if let Some(original) = &report.original {
        assert!(original.header_from.is_none() || report.header_from().is_some());
    }
}

/// Puts the person in.
fn with_person(data: &[u8]) -> Vec<u8> {
    let mut mail = Vec::with_capacity(data.len());
    for byte in data {
        match *byte {
            MARK => mail.extend_from_slice(PERSON.as_bytes()),
            other => mail.push(other),
        }
    }
    mail
}

/// The redactor alone: no address survives in any text.
fn text(data: &[u8]) {
    let redactor = Redactor::new(b"the key of the installation");
    let with = String::from_utf8_lossy(&with_person(data)).into_owned();
    for line in with.lines().take(50).filter(|line| line.contains(PERSON)) {
        for shown in [redactor.text(line), redactor.address(line), redactor.uri(line)] {
            assert!(!shown.contains(PERSON), "{line:?} is shown as {shown:?}");
        }
    }
}
