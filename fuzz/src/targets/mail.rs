//! Whole mails: taken apart, classified, everything in them read.

use std::ops::ControlFlow;

use mailsonde::classify::{Found, MailContext, MailReading, MessageKind, read_file, read_mail};
use mailsonde::clock::Timestamp;
use mailsonde::limits;
use mailsonde::mail::{Envelope, Message, Origin, Purpose};

use super::aggregate::check_digest;
use super::{NOW_SECONDS, hash, place};

/// What was found matches what is said of it, and a cut mail never counts what the whole one does not.
pub fn check(data: &[u8]) {
    check_message(&Message::parse(data), data);
    let (reading, hashes) = look(data);
    assert_eq!(hashes.len(), reading.aggregates);
    assert!(!reading.why.is_empty());
    assert!(reading.others.len() <= limits::LISTED_PARTS);
    for error in &reading.unreadable {
        assert!(!error.reason.is_empty(), "{error:?}");
    }
    match reading.kind {
        MessageKind::Aggregate => assert!(reading.aggregates > 0 || !reading.unreadable.is_empty()),
        MessageKind::Probe => panic!("nobody sent a probe"),
        _ => {}
    }
    let (cut, cut_hashes) = look(&data[..place(hash(data), data.len())]);
    if cut.kind == reading.kind && reading.unreadable.is_empty() {
        for hash in &cut_hashes {
            assert!(hashes.contains(hash), "a cut mail counts what the whole one does not");
        }
    }
    file(data);
}

fn look(data: &[u8]) -> (MailReading, Vec<[u8; 32]>) {
    let envelope = Envelope::without_transport(Origin::Smtp, Timestamp::from_seconds(NOW_SECONDS));
    let context = MailContext { envelope: &envelope, purposes: &[Purpose::Reports], has_probe_token: false };
    let mut hashes = Vec::new();
    let (mut tls, mut failures, mut deliveries) = (0, 0, 0);
    let reading = read_mail(data, &context, &mut |found| match found {
        Found::Aggregate { digest, records, .. } => {
            let mut all = Vec::new();
            let read = records.each(&mut |record| {
                all.push(record.clone());
                ControlFlow::Continue(())
            });
            assert!(read.is_ok(), "{read:?}");
            check_digest(&digest, &all);
            hashes.push(digest.content_sha256);
        }
        Found::Tls { digest, .. } => {
            super::tls::check_digest(&digest);
            tls += 1;
        }
        Found::Failure { .. } => failures += 1,
        Found::Delivery { input, .. } => {
            super::delivery_status::check_input(input);
            deliveries += 1;
        }
    });
    assert_eq!((tls, failures), (reading.tls_reports, reading.failures));
    assert!(deliveries <= 1);
    (reading, hashes)
}

/// Parts lie within the mail, one after the other in number.
fn check_message(message: &Message<'_>, data: &[u8]) {
    assert!(message.parts.len() <= limits::MIME_PARTS);
    assert_eq!(message.nested.len(), message.nested_raw.len());
    for part in &message.parts {
        assert!(part.depth <= limits::MIME_DEPTH);
        assert!(part.raw_bytes() <= data.len());
        assert!(part.nested.is_none_or(|at| at < message.nested.len()));
        assert!(!part.place.is_empty() && !part.place.contains(char::is_control), "{:?}", part.place);
        assert!(part.decode().0.len() <= part.raw_bytes());
        // A character that cannot be read becomes one of three bytes.
        assert!(part.text(1_000).len() <= 3_004);
    }
    for header in std::iter::once(&message.header).chain(&message.nested) {
        assert!(header.fields().count() <= limits::HEADER_FIELDS);
        for (name, value) in header.fields() {
            assert!(value.len() <= limits::HEADER_TEXT_BYTES, "{name}");
            assert!(!value.contains(['\r', '\n']), "{name}: {value:?}");
        }
    }
}

/// A file of any name is read or listed with a reason.
fn file(data: &[u8]) {
    for name in ["a.eml", "b!c!1!2.xml.gz", "d.json"] {
        let mut aggregates = 0;
        let reading = read_file(name, data, Timestamp::from_seconds(NOW_SECONDS), &mut |found| {
            aggregates += usize::from(matches!(found, Found::Aggregate { .. }));
        });
        assert_eq!(aggregates, reading.aggregates);
        assert!(!reading.why.is_empty());
    }
}
