//! What a mail that came back means for a probe.
//!
//! `mail::delivery_status` reads any bounce; here its token is looked for, in the most reliable text first, and
//! its word about the probe's recipient becomes an event. A delay is no failure (RFC 3464 §2.3.3), a relay or an
//! expansion is no end, and an answer that only a mail that arrived can cause is a delivery.

use crate::clock::Timestamp;
use crate::mail::Address;
use crate::mail::delivery_status::{DeliveryReport, Input, Kind, Outcome, RecipientStatus};
use crate::probe::lifecycle::{Passage, Reason};
use crate::probe::matching::{LocalPart, judge_local_part};
use crate::probe::token::{KeyRing, Place, Reading, Token};

/// What came back for a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It will not be delivered.
    Bounced(Reason),
    /// It waits for somebody's decision: in quarantine, for a moderator, for an answer to a challenge.
    Held(Reason),
    /// It waits in a queue.
    Delayed {
        /// Why.
        reason: Reason,
        /// Until when the host goes on trying, where it says so.
        until: Option<Timestamp>,
    },
    /// It went on to hosts that do not report.
    PassedOn(Passage, Reason),
    /// It was delivered, as the far end says or as its answer shows.
    Delivered(Reason),
}

/// The probe that a mail is about: the first token that verifies.
pub fn find_token(report: &DeliveryReport, input: &Input<'_>, ring: &KeyRing) -> Option<Token> {
    report.token_texts(input).iter().find_map(|(_, text)| {
        ring.find_all(text.as_bytes()).into_iter().find_map(|found| match found.reading {
            Reading::Valid { token, .. } => Some(token),
            Reading::Forged { .. } | Reading::Foreign { .. } => None,
        })
    })
}

/// The probe to whose envelope sender a mail came back: the token that was made for it, in the local part.
pub fn sender_token(ring: &KeyRing, recipient: &Address) -> Option<Token> {
    match judge_local_part(ring, &recipient.local) {
        LocalPart::Valid { token, made_for: Place::EnvelopeSender } => Some(token),
        _ => None,
    }
}

/// What a mail says of the probe with this token; `None` where that changes nothing.
pub fn told(report: &DeliveryReport, token: &Token, ring: &KeyRing) -> Option<Told> {
    let status = status_of(report, token, ring);
    let outcome = match status.map(|status| status.outcome) {
        Some(outcome) if outcome != Outcome::Unknown => outcome,
        _ => outcome_of(report.kind()),
    };
    let reason = reason(report.kind(), status);
    match outcome {
        Outcome::Failed => Some(Told::Bounced(reason)),
        Outcome::Delayed => {
            let until = status.and_then(|status| status.will_retry_until.as_ref()?.value.at);
            Some(Told::Delayed { reason, until })
        }
        Outcome::Delivered => Some(Told::Delivered(reason)),
        Outcome::Arrived => Some(match report.kind() {
            // It reached a gate, and not its recipient.
            Kind::Challenge | Kind::Held => Told::Held(reason),
            _ => Told::Delivered(reason),
        }),
        Outcome::Relayed => Some(Told::PassedOn(Passage::Relayed, reason)),
        Outcome::Expanded => Some(Told::PassedOn(Passage::Expanded, reason)),
        Outcome::Unknown => None,
    }
}

/// The status of the recipient that carries the token; else the worst one.
fn status_of<'r>(report: &'r DeliveryReport, token: &Token, ring: &KeyRing) -> Option<&'r RecipientStatus> {
    let carries = |status: &&RecipientStatus| {
        [&status.original_recipient, &status.final_recipient].into_iter().flatten().any(|recipient| {
            ring.find_all(recipient.value.address.as_bytes())
                .into_iter()
                .any(|found| matches!(found.reading, Reading::Valid { token: other, .. } if other == *token))
        })
    };
    let own = report.recipients.iter().find(carries);
    own.or_else(|| report.recipients.iter().min_by_key(|status| status.outcome))
}

/// The outcome that a kind of mail stands for.
pub const fn outcome_of(kind: Kind) -> Outcome {
    match kind {
        Kind::Bounce => Outcome::Failed,
        Kind::Delay => Outcome::Delayed,
        Kind::Relayed => Outcome::Relayed,
        Kind::Expanded => Outcome::Expanded,
        Kind::Delivered => Outcome::Delivered,
        Kind::AutoReply | Kind::Receipt | Kind::Challenge | Kind::Held | Kind::Feedback => Outcome::Arrived,
        Kind::Other => Outcome::Unknown,
    }
}

/// The reason in the words of the lifecycle.
fn reason(kind: Kind, status: Option<&RecipientStatus>) -> Reason {
    let words = || match kind {
        Kind::AutoReply => "an automatic answer came back".to_owned(),
        Kind::Receipt => "a receipt came back".to_owned(),
        Kind::Challenge => "a challenge came back".to_owned(),
        Kind::Held => "held for a decision".to_owned(),
        other => format!("a notice came back: {}", other.as_str()),
    };
    let Some(status) = status else { return Reason { text: words(), ..Reason::default() } };
    let text = match (&status.diagnostic, outcome_of(kind)) {
        (Some(diagnostic), _) => diagnostic.value.clone(),
        (None, Outcome::Failed) => format!("a bounce came back: {}", status.reason.value.as_str()),
        (None, _) => words(),
    };
    Reason {
        phase: status.phase.as_ref().map(|phase| phase.value.as_str().to_owned()),
        code: status.reply_code.as_ref().map(|code| code.value.value()),
        enhanced: status.enhanced_status.as_ref().map(|found| found.value.to_string()),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Message;
    use crate::mail::delivery_status::read;
    use crate::probe::token::{KEY_BYTES, Kind as ProbeKind};

    fn ring() -> KeyRing {
        KeyRing::with_id(3, &[7; KEY_BYTES]).unwrap()
    }

    fn token(counter: u32) -> (Token, String) {
        let token = ring().mint(ProbeKind::Probe, 1, Timestamp::from_seconds(1_772_323_200), counter);
        let text = ring().texts(&token).unwrap().recipient;
        (token, text)
    }

    /// Recipient, action, status.
    type Group = (String, &'static str, &'static str);

    /// A delivery status notification about these recipients.
    fn notice(groups: &[Group]) -> String {
        use std::fmt::Write as _;
        let mut text =
            "From: MAILER-DAEMON@mx.example\r\nSubject: notice\r\nContent-Type: multipart/report; \
            report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n--b\r\nContent-Type: \
            message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n"
                .to_owned();
        for (recipient, action, status) in groups {
            let _ = write!(
                text,
                "\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n\
                 Will-Retry-Until: Fri, 06 Mar 2026 12:00:00 +0000\r\n"
            );
        }
        text + "\r\n--b--\r\n"
    }

    #[test]
    fn the_word_about_the_probes_own_recipient_counts() {
        let ring = ring();
        let (own, own_text) = token(1);
        let address = format!("probe+{own_text}@example.net");
        let other = "other@example.net".to_owned();
        let cases: [(Vec<Group>, &str); 7] = [
            (vec![(address.clone(), "failed", "5.1.1")], "bounced 5.1.1"),
            (vec![(address.clone(), "delayed", "4.4.1")], "delayed 4.4.1 1772798400"),
            (vec![(address.clone(), "delivered", "2.0.0")], "delivered 2.0.0"),
            (vec![(address.clone(), "relayed", "2.0.0")], "relayed 2.0.0"),
            (vec![(address.clone(), "expanded", "2.0.0")], "expanded 2.0.0"),
            (
                vec![(other.clone(), "failed", "5.1.1"), (address.clone(), "delayed", "4.4.1")],
                "delayed 4.4.1 1772798400",
            ),
            (vec![(other.clone(), "delayed", "4.4.1"), (address, "failed", "5.7.1")], "bounced 5.7.1"),
        ];
        for (groups, want) in cases {
            let raw = notice(&groups);
            let message = Message::parse(raw.as_bytes());
            let input = Input::of(&message, Some(true));
            let report = read(&input).unwrap();
            assert_eq!(find_token(&report, &input, &ring), Some(own), "{groups:?}");
            let enhanced = |reason: &Reason| reason.enhanced.clone().unwrap_or_default();
            let got = match told(&report, &own, &ring) {
                Some(Told::Bounced(reason)) => format!("bounced {}", enhanced(&reason)),
                Some(Told::Delayed { reason, until }) => {
                    format!("delayed {} {}", enhanced(&reason), until.map_or(0, Timestamp::seconds))
                }
                Some(Told::Held(reason)) => format!("held {}", enhanced(&reason)),
                Some(Told::Delivered(reason)) => format!("delivered {}", enhanced(&reason)),
                Some(Told::PassedOn(how, reason)) => format!("{} {}", how.as_str(), enhanced(&reason)),
                None => "nothing".to_owned(),
            };
            assert_eq!(got, want, "{groups:?}");
        }
        // Without the token nothing is joined, whatever the mail says.
        let raw = notice(&[(other, "failed", "5.1.1")]);
        let message = Message::parse(raw.as_bytes());
        let input = Input::of(&message, Some(true));
        let report = read(&input).unwrap();
        assert_eq!(find_token(&report, &input, &ring), None);
    }
}
