//! Whether a message of somebody's mailbox is ours: pure.
//!
//! What is looked at first is a few fields of its header; a message without a valid token of ours is left alone.

use data_encoding::HEXLOWER;
use ring::digest;

use crate::clock::Timestamp;
use crate::mail::delivery_status::Input;
use crate::mail::{Envelope, Message, Origin};
use crate::probe::bounce;
use crate::probe::compose::HEADER_NAME;
use crate::probe::matching::{Matches, Standing, match_mail};
use crate::probe::token::{Age, KeyRing, Kind, Token};

/// Fields that show whether a message is a probe of ours.
pub(super) const PROBE_FIELDS: &[&str] = &[HEADER_NAME, "Message-ID", "Subject", "To"];
/// Fields that show whether a message may be about a probe of ours.
pub(super) const ANSWER_FIELDS: &[&str] = &[
    HEADER_NAME,
    "Message-ID",
    "Subject",
    "To",
    "From",
    "Delivered-To",
    "In-Reply-To",
    "References",
    "Content-Type",
    "Auto-Submitted",
    "Return-Path",
    "X-Failed-Recipients",
];

/// A probe of ours in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    /// Its token.
    pub(super) token: Token,
    /// The token's name.
    pub(super) name: String,
    /// What tells this arrival from others of the same probe.
    pub(super) arrival: String,
}

/// What a message of a mailbox for bounces is, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concern {
    /// It carries a token of ours and is not the probe itself.
    Ours,
    /// A notice of a mail system or an automatic answer: the token may stand in its text.
    Perhaps,
    /// Somebody's mail.
    Nobody,
}

/// The probe that a message is, by its header; `None` for what is not ours, or only about it.
///
/// `gmail_id`: X-GM-MSGID, the same under every label.
pub(super) fn own(ring: &KeyRing, header: &[u8], gmail_id: Option<&str>) -> Option<Own> {
    let message = Message::parse(header);
    let matches = matches(ring, &message);
    let found = matches.probes.iter().find(|probe| !matches!(probe.standing, Standing::Quoted))?;
    let name = ring.texts(&found.token)?.recipient;
    Some(Own { token: found.token, name, arrival: arrival(&message, gmail_id) })
}

/// True if the few fields that were asked for hold a valid token of ours.
pub(super) fn has_token(ring: &KeyRing, fields: &[u8]) -> bool {
    !matches(ring, &Message::parse(fields)).probes.is_empty()
}

/// What a message of a mailbox for bounces is, by its header or the fields of it that were asked for.
pub(super) fn concern(ring: &KeyRing, header: &[u8]) -> Concern {
    let message = Message::parse(header);
    let matches = matches(ring, &message);
    if matches.arrival().is_some() {
        // The probe itself, in the mailbox of who sent it: its arrival is for its watcher to see.
        return Concern::Nobody;
    }
    if !matches.probes.is_empty() {
        return Concern::Ours;
    }
    let header = &message.header;
    let field = |name: &str| header.field(name).unwrap_or_default().to_ascii_lowercase();
    let sender = field("From");
    let is_system = ["mailer-daemon", "postmaster", "mail delivery", "microsoftexchange"]
        .iter()
        .any(|word| sender.contains(word));
    let is_null = field("Return-Path").trim() == "<>";
    let content_type = field("Content-Type");
    let is_report = content_type.starts_with("multipart/report") || content_type.starts_with("message/");
    let is_automatic = field("Auto-Submitted").starts_with("auto-");
    let names_failed = header.field("X-Failed-Recipients").is_some();
    if is_system || is_null || is_report || is_automatic || names_failed {
        Concern::Perhaps
    } else {
        Concern::Nobody
    }
}

/// True if a notice, or the beginning of one, is about a probe of ours.
pub(super) fn is_about_us(ring: &KeyRing, bytes: &[u8]) -> bool {
    let message = Message::parse(bytes);
    let matches = matches(ring, &message);
    if matches.arrival().is_some() {
        return false;
    }
    if !matches.probes.is_empty() {
        return true;
    }
    let input = Input::of(&message, None);
    crate::mail::delivery_status::read(&input)
        .is_some_and(|report| bounce::find_token(&report, &input, ring).is_some())
}

/// The tokens of a message whose transport nobody of ours saw.
fn matches(ring: &KeyRing, message: &Message<'_>) -> Matches {
    match_mail(ring, &Envelope::without_transport(Origin::Mailbox, Timestamp::from_ms(0)), message)
}

/// What tells arrivals of one probe apart: the provider's own id, else the last hop's line. A copy made inside the
/// mailbox (label, rule, journal) has the same one; a second delivery another.
fn arrival(message: &Message<'_>, gmail_id: Option<&str>) -> String {
    if let Some(id) = gmail_id {
        return format!("gmail {id}");
    }
    let hash = |text: &str| {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let digest = digest::digest(&digest::SHA256, words.join(" ").as_bytes());
        HEXLOWER.encode(digest.as_ref().get(..16).unwrap_or_default())
    };
    match message.header.field("Received") {
        Some(line) => format!("received {}", hash(line)),
        None => format!("date {}", hash(message.header.field("Date").unwrap_or_default())),
    }
}

/// When the token was made: the probe cannot have arrived before. `None` for one from the future of `now`.
pub(super) fn made_before(token: &Token, now: Timestamp) -> Option<Timestamp> {
    let is_future = token.age(now, crate::limits::TOKEN_KEEP) == Age::Future;
    (!is_future).then(|| token.made_at().min(now))
}

/// How the texts of our tokens begin, each once: what a server can search for. Four characters, so that little else has
/// them: they hold the key and half of the kinds, and all further ones depend on the token.
pub(super) fn marks(ring: &KeyRing) -> Vec<String> {
    let mut marks = Vec::new();
    for key_id in ring.key_ids() {
        for kind in [Kind::Probe, Kind::Negative] {
            let token = Token { key_id, kind, route: 0, seconds: 0, counter: 0 };
            let Some(texts) = ring.texts(&token) else { continue };
            let mark: String = texts.recipient.chars().take(4).collect();
            if !marks.contains(&mark) {
                marks.push(mark);
            }
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Address;
    use crate::probe::token::KEY_BYTES;

    const AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn ring() -> KeyRing {
        KeyRing::with_id(9, &[7; KEY_BYTES]).unwrap().verify_only(30, &[8; KEY_BYTES]).unwrap()
    }

    fn token(counter: u32) -> (Token, crate::probe::token::TokenTexts) {
        let token = ring().mint(Kind::Probe, 3, AT, counter);
        let texts = ring().texts(&token).unwrap();
        (token, texts)
    }

    #[test]
    fn marks_begin_every_token_of_their_key() {
        let marks = marks(&ring());
        assert_eq!(marks.len(), 4);
        let kinds =
            [Kind::Probe, Kind::Reply, Kind::Seed, Kind::Negative, Kind::Load, Kind::Drill, Kind::BounceTest];
        for (counter, kind) in
            [0, 1, 0xf_ffff].into_iter().flat_map(|counter| kinds.map(|kind| (counter, kind)))
        {
            let token = Token { key_id: 9, kind, route: 0xffff, seconds: u32::MAX, counter };
            let texts = ring().texts(&token).unwrap();
            let has_mark = |text: &&String| marks[..2].iter().any(|mark| text.starts_with(mark.as_str()));
            assert!([&texts.recipient, &texts.message_id, &texts.subject].iter().all(has_mark), "{kind:?}");
        }
    }

    #[test]
    fn only_the_probe_itself_is_own() {
        let (token, texts) = token(1);
        let own_header = format!("X-Mailsonde-Probe: v=1; t={}; r=hq\r\nSubject: x\r\n\r\n", texts.header);
        let by_id = format!("Message-ID: <{}@probe.example>\r\nSubject: x\r\n\r\n", texts.message_id);
        let forged = own_header.replace(&texts.header[10..14], "aaaa");
        let quoted = format!("Subject: Re: x\r\nIn-Reply-To: <{}@probe.example>\r\n\r\n", texts.message_id);
        let report = format!("Content-Type: multipart/report; boundary=b\r\n{own_header}");
        let cases = [
            (own_header.as_str(), true, true),
            (&by_id, true, true),
            (&forged, false, false),
            (&quoted, false, true),
            (&report, false, true),
            (
                "Subject: mf of ours\r\nMessage-ID: <mfeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.example>\r\n\r\n",
                false,
                false,
            ),
            ("", false, false),
        ];
        for (header, is_own, is_token) in cases {
            let found = own(&ring(), header.as_bytes(), None);
            assert_eq!(found.is_some(), is_own, "{header}");
            assert_eq!(has_token(&ring(), header.as_bytes()), is_token, "{header}");
            if let Some(found) = found {
                assert_eq!((found.token, found.name.as_str()), (token, texts.name()));
            }
        }
    }

    #[test]
    fn copies_are_one_arrival_and_second_deliveries_are_two() {
        let (_, texts) = token(2);
        let with = |received: &str, extra: &str| {
            let header = format!("{extra}{received}X-Mailsonde-Probe: t={}\r\n\r\n", texts.header);
            own(&ring(), header.as_bytes(), None).unwrap().arrival
        };
        let line =
            "Received: from a by mx.example with ESMTP id 1a;\r\n\tFri, 06 Mar 2026 12:00:00 +0000\r\n";
        let first = with(line, "");
        assert_eq!(first, with(&line.replace("\r\n\t", " "), "Delivered-To: archive@example.com\r\n"));
        assert_eq!(first, with(&format!("{line}Received: from b by a\r\n"), ""));
        assert_ne!(first, with(&line.replace("1a", "1b"), ""));
        assert_ne!(first, with("", ""));
        let header = format!("{line}X-Mailsonde-Probe: t={}\r\n\r\n", texts.header);
        assert_eq!(own(&ring(), header.as_bytes(), Some("77")).unwrap().arrival, "gmail 77");
    }

    #[test]
    fn what_a_mailbox_for_bounces_holds() {
        let (_, texts) = token(3);
        let probe = Address::parse("probe@example.org").unwrap();
        let cases = [
            (format!("To: <{}@bounce.example>\r\n\r\n", texts.envelope_sender), Concern::Ours),
            (
                format!("From: a@b.example\r\nReferences: <{}@x.example>\r\n\r\n", texts.message_id),
                Concern::Ours,
            ),
            (
                format!("From: {probe}\r\nMessage-ID: <{}@x.example>\r\n\r\n", texts.message_id),
                Concern::Nobody,
            ),
            ("From: MAILER-DAEMON@mx.example\r\n\r\n".to_owned(), Concern::Perhaps),
            ("Return-Path: <>\r\n\r\n".to_owned(), Concern::Perhaps),
            (
                "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n".to_owned(),
                Concern::Perhaps,
            ),
            ("Auto-Submitted: auto-replied\r\n\r\n".to_owned(), Concern::Perhaps),
            ("From: aunt@example.net\r\nSubject: Re: lunch\r\n\r\n".to_owned(), Concern::Nobody),
        ];
        for (header, want) in cases {
            assert_eq!(concern(&ring(), header.as_bytes()), want, "{header}");
        }
        let notice = |text: &str| {
            format!(
                "From: MAILER-DAEMON@mx.example\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\r\n{text}\r\n"
            )
            .into_bytes()
        };
        assert!(is_about_us(
            &ring(),
            &notice(&format!("<probe+{}@example.net>: no such user", texts.recipient))
        ));
        assert!(is_about_us(&ring(), &notice(&format!("Message-ID: <{}@x.example>", texts.message_id))));
        assert!(!is_about_us(&ring(), &notice("<aunt@example.net>: no such user")));
        assert!(!is_about_us(&ring(), &notice(&format!("{}x", &texts.recipient[..33]))));
    }
}
