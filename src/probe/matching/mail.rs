//! Matching of a message as the mail reader gives it.

use super::{Matches, Seen, match_message};
use crate::limits;
use crate::mail::{Envelope, Header, Message, Origin};
use crate::probe::token::KeyRing;

/// Matches a received message: envelope, own fields, and everything readable within it as text.
///
/// Fields of attached messages count as text: what is attached is about a probe, and not the probe.
/// A message whose arrival nobody saw (imported, or fetched from a mailbox) is never out of time.
pub fn match_mail(ring: &KeyRing, envelope: &Envelope, message: &Message<'_>) -> Matches {
    let subject = message.header.subject.as_deref();
    let fields: Vec<(&str, &str)> = message
        .header
        .fields()
        .map(|(name, value)| match (name, subject) {
            // The decoded subject: a gateway may have encoded it anew.
            ("subject", Some(subject)) => (name, subject),
            _ => (name, value),
        })
        .collect();
    match_message(
        ring,
        &Seen {
            received_at: (envelope.origin == Origin::Smtp).then_some(envelope.received_at),
            mail_from: envelope.mail_from.as_ref(),
            recipients: &envelope.rcpt_to,
            fields: &fields,
            text: text_of(message).as_bytes(),
        },
    )
}

/// The texts of a message one after the other, at most about [`limits::TOKEN_SEARCH_BYTES`].
fn text_of(message: &Message<'_>) -> String {
    let mut text = String::new();
    for header in &message.nested {
        push_fields(&mut text, header);
    }
    for part in &message.parts {
        let room = limits::TOKEN_SEARCH_BYTES.saturating_sub(text.len());
        if room == 0 {
            break;
        }
        text.push_str(&part.file_name);
        text.push('\n');
        if is_text(&part.content_type) {
            text.push_str(&part.text(room));
            text.push('\n');
        }
    }
    text
}

/// Adds the values of a header.
fn push_fields(text: &mut String, header: &Header) {
    for (_, value) in header.fields() {
        if text.len() >= limits::TOKEN_SEARCH_BYTES {
            return;
        }
        text.push_str(value);
        text.push('\n');
    }
}

/// True for parts that people or mail servers write: texts, status blocks, quoted headers.
fn is_text(content_type: &str) -> bool {
    content_type.is_empty()
        || content_type.starts_with("text/")
        || content_type.starts_with("message/")
        || content_type == "application/octet-stream"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::mail::{Address, ReversePath};
    use crate::probe::compose::Profile;
    use crate::probe::matching::{FoundIn, Standing};
    use crate::probe::plan::{Planned, RoutePlan, plan};

    const AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn ring() -> KeyRing {
        KeyRing::with_id(1, &[9; 32]).unwrap()
    }

    fn made(profile: Profile) -> Planned {
        let from = Address::parse("probe@example.org").unwrap();
        let route = RoutePlan::new("hq", "probe+{token}@example.net", &from, profile);
        plan(&ring(), &route, AT, 3).unwrap()
    }

    fn envelope(planned: &Planned) -> Envelope {
        let mut envelope = Envelope::without_transport(Origin::Smtp, AT);
        envelope.mail_from = Some(planned.mail_from.clone());
        envelope.rcpt_to = vec![planned.rcpt_to.clone()];
        envelope
    }

    #[test]
    fn every_profile_arrives_with_its_token_in_every_place() {
        use FoundIn::{AddressField, EnvelopeRecipient, MessageId, OwnField, Subject, Text};
        let profiles = [
            Profile::Plain,
            Profile::Business,
            Profile::Attach(2_000),
            Profile::Utf8,
            Profile::EightBit,
            Profile::LongLine,
        ];
        for profile in profiles {
            let planned = made(profile);
            let matches = match_mail(&ring(), &envelope(&planned), &Message::parse(&planned.message.bytes));
            let arrival = matches.arrival().unwrap();
            assert_eq!(arrival.token, planned.token);
            let want = [EnvelopeRecipient, MessageId, OwnField, Subject, AddressField, Text];
            assert_eq!(arrival.found_in, want, "{profile}");
        }
    }

    #[test]
    fn a_subject_that_a_gateway_encoded_is_found() {
        let planned = made(Profile::Plain);
        let text = format!(
            "To: <{}>\r\nSubject: =?utf-8?q?=5BEXT=5D_=5B{}=5D?=\r\n\r\nx\r\n",
            planned.rcpt_to, planned.texts.subject
        );
        let mut envelope = envelope(&planned);
        envelope.rcpt_to = vec![Address::parse("inbox@example.net").unwrap()];
        let matches = match_mail(&ring(), &envelope, &Message::parse(text.as_bytes()));
        assert_eq!(matches.arrival().unwrap().found_in, [FoundIn::Subject, FoundIn::AddressField]);
    }

    #[test]
    fn an_attached_probe_has_not_arrived() {
        let planned = made(Profile::Plain);
        let attached = |kind: &str| {
            [
                format!("Subject: x\r\nContent-Type: {kind}; boundary=b\r\n\r\n--b\r\n").as_bytes(),
                b"Content-Type: message/rfc822\r\n\r\n",
                planned.message.bytes.as_slice(),
                b"\r\n--b--\r\n",
            ]
            .concat()
        };
        for kind in ["multipart/mixed", "multipart/report; report-type=delivery-status"] {
            let mut envelope = envelope(&planned);
            envelope.rcpt_to = vec![Address::parse("inbox@example.net").unwrap()];
            envelope.mail_from = Some(ReversePath::Null);
            let bytes = attached(kind);
            let matches = match_mail(&ring(), &envelope, &Message::parse(&bytes));
            assert_eq!(matches.probes[0].standing, Standing::Quoted, "{kind}");
            assert_eq!(matches.probes[0].found_in, [FoundIn::Text]);
        }
    }

    #[test]
    fn an_imported_probe_is_never_out_of_time() {
        let planned = made(Profile::Plain);
        let message = Message::parse(&planned.message.bytes);
        let mut envelope = envelope(&planned);
        envelope.received_at = AT.after(limits::TOKEN_KEEP * 10);
        assert!(match_mail(&ring(), &envelope, &message).arrival().is_none());
        envelope.origin = Origin::Import;
        assert!(match_mail(&ring(), &envelope, &message).arrival().is_some());
    }
}
