//! Bounces, delays and answers: the tolerant reader.

use std::borrow::Cow;

use mailsonde::limits;
use mailsonde::mail::Message;
use mailsonde::mail::delivery_status::{Evidence, Input, Part, Place, RecipientStatus, read};
use mailsonde::probe::KeyRing;
use mailsonde::probe::bounce::find_token;

/// As a mail, and as the text of one part of each type.
pub fn check(data: &[u8]) {
    check_input(&Input::of(&Message::parse(data), Some(true)));
    let Some((kind, rest)) = data.split_first() else { return };
    let content_type = match kind % 5 {
        0 => "text/plain",
        1 => "message/delivery-status",
        2 => "text/html",
        3 => "message/disposition-notification",
        _ => "message/rfc822",
    };
    let part = Part {
        content_type: Cow::Borrowed(content_type),
        text: String::from_utf8_lossy(rest),
        depth: usize::from(kind / 128),
    };
    let headers = vec![
        (Cow::Borrowed("From"), Cow::Borrowed("MAILER-DAEMON@mx.example.net")),
        (Cow::Borrowed("Subject"), Cow::Borrowed("Undelivered Mail Returned to Sender")),
    ];
    check_input(&Input { headers, parts: vec![part], null_sender: Some(true) });
}

/// Caps hold, and every value says where it stood: a place that exists.
pub(crate) fn check_input(input: &Input<'_>) {
    let Some(report) = read(input) else { return };
    assert_eq!(read(input).as_ref(), Some(&report), "read twice, two results");
    assert!(report.recipients.len() <= limits::BOUNCE_RECIPIENTS);
    assert!(report.judgement.marks.len() <= limits::BOUNCE_MARKS);
    assert!(report.original.fields.len() <= limits::BOUNCE_ORIGINAL_FIELDS);
    for status in &report.recipients {
        check_status(status, input);
    }
    for found in [&report.message.envelope_id, &report.message.queue_id].into_iter().flatten() {
        exists(&found.evidence, input);
    }
    for (_, text) in report.token_texts(input) {
        assert!(text.len() <= limits::BOUNCE_TEXT_BYTES);
    }
    // Nobody made a token with this key.
    if let Ok(ring) = KeyRing::with_id(3, &[7; 32]) {
        assert_eq!(find_token(&report, input, &ring), None);
    }
}

fn check_status(status: &RecipientStatus, input: &Input<'_>) {
    for found in [&status.final_recipient, &status.original_recipient].into_iter().flatten() {
        exists(&found.evidence, input);
        assert!(!found.value.address.is_empty());
    }
    for found in [&status.remote_mta, &status.reporting_mta].into_iter().flatten() {
        exists(&found.evidence, input);
    }
    for found in [&status.arrival_date, &status.last_attempt, &status.will_retry_until].into_iter().flatten()
    {
        exists(&found.evidence, input);
    }
    if let Some(found) = &status.diagnostic {
        exists(&found.evidence, input);
        assert!(found.value.len() <= limits::BOUNCE_DIAGNOSTIC_BYTES + 4);
    }
    if let Some(found) = &status.enhanced_status {
        exists(&found.evidence, input);
    }
    if let Some(found) = &status.action {
        exists(&found.evidence, input);
    }
    if let Some(found) = &status.reply_code {
        exists(&found.evidence, input);
    }
}

/// The part and the line of an evidence are there.
fn exists(evidence: &Evidence, input: &Input<'_>) {
    match evidence.part {
        Some(part) => assert!(part < input.parts.len(), "{evidence:?}"),
        None => {
            assert!(matches!(evidence.place, Place::Header | Place::Envelope | Place::Words), "{evidence:?}");
        }
    }
    assert!(!evidence.rule.is_empty());
}
