//! There and back: which arrivals our receiver answers, so that the way out and the way back are timed apart.
//!
//! An answer is made only for the arrival of a probe whose token verifies, once, and goes to the address of its route's
//! configuration: nothing in the mail says whereto. RFC 3834 §2 lists what must never be answered; our own probes say
//! `auto-generated`, and only their valid token makes them an exception. An answer has a token of its own kind, which is
//! never answered, so that no two of us, and no autoresponder, can go on answering each other.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Envelope, Header, Origin, ReversePath};
use crate::probe::matching::{Matches, Standing};
use crate::probe::token::{Age, Kind, Token};

/// What is to be done about one probe of which a message brought the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reflection {
    /// The probe's token.
    pub token: Token,
    /// Why it is not answered; `None`: it is.
    pub declined: Option<&'static str>,
}

/// Says whether a received message is answered; nothing for one that came by no transport or is no probe of ours.
///
/// `now`: when it is read. Standard: RFC 3834 §2, RFC 5321 §4.5.5 (null reverse-path), RFC 2919 §3 (`List-Id`).
pub fn judge(matches: &Matches, envelope: &Envelope, header: &Header, now: Timestamp) -> Option<Reflection> {
    if envelope.origin != Origin::Smtp {
        return None;
    }
    let is_asked = |kind| matches!(kind, Kind::Probe | Kind::Drill);
    let found = matches
        .probes
        .iter()
        .find(|found| is_asked(found.token.kind) && found.standing != Standing::Quoted)?;
    let token = found.token;
    let declined = match found.standing {
        Standing::Replay(reason) => Some(reason.as_str()),
        Standing::Arrival | Standing::Quoted => why_not(matches, envelope, header, &token, now),
    };
    Some(Reflection { token, declined })
}

/// Why an arrival is not answered.
fn why_not(
    matches: &Matches,
    envelope: &Envelope,
    header: &Header,
    token: &Token,
    now: Timestamp,
) -> Option<&'static str> {
    let is_old = |at: Timestamp| token.age(at, limits::REFLECT_AGE) != Age::Current;
    if matches!(envelope.mail_from, None | Some(ReversePath::Null)) {
        Some("it has the null sender")
    } else if !matches.forged.is_empty() || !matches.foreign.is_empty() || matches.probes.len() > 1 {
        Some("it carries other tokens too")
    } else if is_automatic(header) {
        Some("it is an automatic answer")
    } else if is_of_list(header) {
        Some("it came by way of a mailing list")
    } else if is_old(envelope.received_at) || is_old(now) {
        Some("it is too old")
    } else {
        None
    }
}

/// True for an answer that a program made (RFC 3834 §5), and for what says so in the way of single systems.
fn is_automatic(header: &Header) -> bool {
    let word = |name: &str| {
        let value = header.field(name).unwrap_or_default();
        value.split([';', ' ', '(']).next().unwrap_or_default().to_ascii_lowercase()
    };
    !matches!(word("auto-submitted").as_str(), "" | "no" | "auto-generated")
        || header.content_type == "multipart/report"
        || ["x-autoreply", "x-autorespond"].into_iter().any(|name| header.field(name).is_some())
        || header.field("in-reply-to").is_some()
}

/// True for mail of a list, and for what is marked as sent in bulk.
fn is_of_list(header: &Header) -> bool {
    let precedence = header.field("precedence").unwrap_or_default().trim().to_ascii_lowercase();
    ["list-id", "list-post", "list-unsubscribe", "mailing-list", "x-mailing-list"]
        .into_iter()
        .any(|name| header.field(name).is_some())
        || matches!(precedence.as_str(), "bulk" | "list" | "junk")
}

/// The name of the route of answers: a way of its own, so that its figures are apart.
pub fn route_back(route: &str) -> String {
    format!("{route}{BACK}")
}

/// True for the name of a route of answers.
pub fn is_route_back(route: &str) -> bool {
    route.ends_with(BACK)
}

/// What a route's name ends with where answers go; no configured name has a slash.
const BACK: &str = "/back";

/// When an answer that was put off is tried again after so many attempts; `None`: not any more.
pub fn retry_at(tries: u32, arrived_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let doubled = limits::REFLECT_RETRY_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(10));
    let wait: Duration = doubled.min(limits::REFLECT_RETRY_LONGEST);
    let at = now.after(wait);
    (at <= arrived_at.after(limits::REFLECT_AGE)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Address, Message};
    use crate::probe::matching::match_mail;
    use crate::probe::token::{KEY_BYTES, KeyRing};

    const AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn ring() -> KeyRing {
        KeyRing::with_id(3, &[7; KEY_BYTES]).unwrap()
    }

    /// A probe with more fields, in an envelope to its own recipient.
    struct Mail {
        envelope: Envelope,
        raw: String,
    }

    fn mail_of(ring: &KeyRing, kind: Kind, fields: &str) -> Mail {
        let texts = ring.texts(&ring.mint(kind, 1, AT, 1)).unwrap();
        let mut envelope = Envelope::without_transport(Origin::Smtp, AT.after(Duration::from_secs(5)));
        envelope.mail_from = Address::parse("probe@example.org").map(ReversePath::Address);
        envelope.rcpt_to = vec![Address::parse(&format!("probe+{}@example.net", texts.recipient)).unwrap()];
        let raw = format!(
            "From: <probe@example.org>\r\nTo: <probe+{}@example.net>\r\nMessage-ID: <{}@example.org>\r\n\
             Auto-Submitted: auto-generated\r\nX-Mailsonde-Probe: v=1; t={}\r\n{fields}\r\n-- {} --\r\n",
            texts.recipient, texts.message_id, texts.header, texts.body
        );
        Mail { envelope, raw }
    }

    fn mail(kind: Kind, fields: &str) -> Mail {
        mail_of(&ring(), kind, fields)
    }

    impl Mail {
        /// Why it is not answered, empty if it is; nothing where it is no question.
        fn judged(&self, now: Timestamp) -> Option<&'static str> {
            let message = Message::parse(self.raw.as_bytes());
            let matches = match_mail(&ring(), &self.envelope, &message);
            judge(&matches, &self.envelope, &message.header, now)
                .map(|reflection| reflection.declined.unwrap_or_default())
        }
    }

    const ANSWERED: Option<&str> = Some("");

    #[test]
    fn only_the_arrival_of_a_probe_is_answered() {
        assert_eq!(mail(Kind::Probe, "").judged(AT), ANSWERED);
        assert_eq!(mail(Kind::Drill, "").judged(AT), ANSWERED);
        // By way of a forwarder: another envelope, more trace.
        let mut forwarded =
            mail(Kind::Probe, "Received: from a by b; x\r\nX-Forwarded-To: x@example.net\r\n");
        forwarded.envelope.mail_from =
            Address::parse("SRS0=ab=cd=example.org=probe@fwd.example").map(ReversePath::Address);
        forwarded.envelope.rcpt_to = vec![Address::parse("INBOX@example.net").unwrap()];
        assert_eq!(forwarded.judged(AT), ANSWERED);
        // An answer is never answered, nor is what was made for something else.
        for kind in [Kind::Reply, Kind::Seed, Kind::Negative, Kind::Load, Kind::BounceTest, Kind::Reserved(9)]
        {
            assert_eq!(mail(kind, "").judged(AT), None, "{kind:?}");
        }
        // What nobody handed over to us.
        for origin in [Origin::Import, Origin::Mailbox] {
            let mut imported = mail(Kind::Probe, "");
            imported.envelope.origin = origin;
            assert_eq!(imported.judged(AT), None);
        }
        // Forged, or another installation's.
        let other = KeyRing::with_id(3, &[8; KEY_BYTES]).unwrap();
        assert_eq!(mail_of(&other, Kind::Probe, "").judged(AT), None);
        let foreign = KeyRing::with_id(4, &[8; KEY_BYTES]).unwrap();
        assert_eq!(mail_of(&foreign, Kind::Probe, "").judged(AT), None);
        let mut ordinary = mail(Kind::Probe, "");
        ordinary.raw = "From: a@b.example\r\nTo: probe@example.net\r\n\r\nhello\r\n".to_owned();
        ordinary.envelope.rcpt_to = vec![Address::parse("probe@example.net").unwrap()];
        assert_eq!(ordinary.judged(AT), None);
    }

    #[test]
    fn what_must_never_be_answered() {
        for (fields, why) in [
            ("Auto-Submitted: auto-generated\r\nIn-Reply-To: <x@y>\r\n", "automatic"),
            ("X-Autoreply: yes\r\n", "automatic"),
            ("List-Id: <l.example.org>\r\n", "list"),
            ("Precedence: Bulk\r\n", "list"),
            ("List-Unsubscribe: <mailto:x@example.org>\r\n", "list"),
        ] {
            let declined = mail(Kind::Probe, fields).judged(AT).unwrap();
            assert!(declined.contains(why), "{fields}: {declined}");
        }
        let mut auto = mail(Kind::Probe, "");
        for word in ["auto-replied", "Auto-Notified (rejected)", "auto-replied; x=1"] {
            auto.raw = mail(Kind::Probe, "").raw.replace("auto-generated", word);
            assert_eq!(auto.judged(AT), Some("it is an automatic answer"), "{word}");
        }
        let mut null = mail(Kind::Probe, "");
        null.envelope.mail_from = Some(ReversePath::Null);
        assert_eq!(null.judged(AT), Some("it has the null sender"));
        // With the token of another probe, also a forged one.
        let second = ring().texts(&ring().mint(Kind::Probe, 1, AT, 2)).unwrap().body;
        let forged = KeyRing::with_id(3, &[8; KEY_BYTES]).unwrap();
        let forged = forged.texts(&forged.mint(Kind::Probe, 1, AT, 2)).unwrap().body;
        for other in [second, forged] {
            let mut both = mail(Kind::Probe, "");
            both.raw = format!("{}-- {other} --\r\n", both.raw);
            assert_eq!(both.judged(AT), Some("it carries other tokens too"), "{other}");
        }
        // A bounce of it quotes it.
        let mut bounce = mail(Kind::Probe, "Content-Type: multipart/report; report-type=delivery-status\r\n");
        bounce.envelope.mail_from = Some(ReversePath::Null);
        assert_eq!(bounce.judged(AT), None);
        // Old: when it came, when it is read, for another probe's recipient.
        let later = AT.after(limits::REFLECT_AGE + Duration::from_secs(1));
        assert_eq!(mail(Kind::Probe, "").judged(later), Some("it is too old"));
        let mut expired = mail(Kind::Probe, "");
        expired.envelope.received_at = AT.after(limits::TOKEN_KEEP * 2);
        assert_eq!(expired.judged(AT), Some("the token has expired"));
    }

    #[test]
    fn answers_are_tried_again_for_as_long_as_they_say_something() {
        let minutes = |tries| retry_at(tries, AT, AT).map(|at| at.ms_since(AT) / 60_000);
        assert_eq!([1, 2, 3, 20].map(minutes), [Some(1), Some(2), Some(4), Some(60)]);
        let arrived = Timestamp::from_ms(AT.ms() + 30_000);
        assert_eq!(retry_at(1, arrived, AT.after(limits::REFLECT_AGE)), None);
        assert!(is_route_back(&route_back("hq")) && !is_route_back("hq"));
    }
}
