//! Words by which the kinds of mail that come back are known: tables, and the search for them.
//!
//! All phrases are in lower case, with one blank between words and a straight apostrophe.

use crate::limits;
use crate::mail::delivery_status::Evidence;
use crate::mail::delivery_status::judge::{Kind, Mark};
use crate::mail::delivery_status::words::{Line, Meter, Words};

/// Beginnings of subjects of failure reports, in lower case.
pub(super) const FAILURE_SUBJECTS: [&str; 34] = [
    "undeliver",
    "undelivered",
    "returned mail",
    "returned message",
    "failure notice",
    "failure delivery",
    "failed delivery",
    "delivery status notification",
    "delivery notification: delivery has failed",
    "delivery failure",
    "delivery has failed",
    "delivery status",
    "delivery report",
    "mail delivery failed",
    "mail delivery failure",
    "mail delivery system",
    "mail delivery status",
    "mail system error",
    "mail failure",
    "message delivery has failed",
    "message undeliverable",
    "message delivery failure",
    "message not delivered",
    "warning: could not send",
    "there was an error sending your mail",
    "[postmaster] email delivery failure",
    "email delivery failure",
    "unzustellbar",
    "non remis",
    "non-delivery",
    "no se puede entregar",
    "nicht zustellbar",
    "mancato recapito",
    "n\u{e3}o \u{e9} poss\u{ed}vel entregar",
];

/// Words in subjects of delay warnings, in lower case.
pub(super) const DELAY_SUBJECTS: [&str; 7] = [
    "(delay)",
    "delayed mail",
    "delivery delayed",
    "delivery delay",
    "delivery status notification: warning",
    "delayed 24 hours",
    "warning: could not send",
];

/// Beginnings of subjects of automatic answers, in lower case.
pub(super) const REPLY_SUBJECTS: [&str; 21] = [
    "automatic reply",
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto response",
    "auto-response",
    "auto:",
    "out of office",
    "out of the office",
    "on vacation",
    "away from my",
    "automatische antwort",
    "abwesenheit",
    "r\u{e9}ponse automatique",
    "respuesta autom\u{e1}tica",
    "risposta automatica",
    "resposta autom\u{e1}tica",
    "automatyczna odpowied",
    "thank you for your e-mail",
    "thank you for your email",
    "\u{81ea}\u{52d5}\u{5fdc}\u{7b54}",
];

/// Phrases in the words of a mail, in lower case, with the kind that they speak for and their points.
/// Of each kind the two heaviest that occur count.
const PHRASES: &[(&str, Kind, i32)] = &[
    // Failure, final.
    ("permanent error", Kind::Bounce, 45),
    ("permanent fatal errors", Kind::Bounce, 45),
    ("permanent failure", Kind::Bounce, 45),
    ("failed permanently", Kind::Bounce, 45),
    ("i've given up", Kind::Bounce, 45),
    ("giving up", Kind::Bounce, 40),
    ("not going to try again", Kind::Bounce, 40),
    ("will be deleted from queue", Kind::Bounce, 45),
    ("retry timeout exceeded", Kind::Bounce, 40),
    ("no further delivery attempts", Kind::Bounce, 45),
    ("address not found", Kind::Bounce, 40),
    ("message not delivered", Kind::Bounce, 40),
    ("message blocked", Kind::Bounce, 40),
    ("not a member of this mailing list", Kind::Bounce, 50),
    ("this is final", Kind::Bounce, 20),
    // Failure.
    ("could not be delivered", Kind::Bounce, 30),
    ("couldn't be delivered", Kind::Bounce, 30),
    ("cannot be delivered", Kind::Bounce, 30),
    ("can't be delivered", Kind::Bounce, 30),
    ("was not delivered", Kind::Bounce, 30),
    ("wasn't delivered", Kind::Bounce, 30),
    ("not able to deliver", Kind::Bounce, 30),
    ("unable to deliver", Kind::Bounce, 30),
    ("wasn't able to deliver", Kind::Bounce, 30),
    ("had delivery problems", Kind::Bounce, 35),
    ("had delivery errors", Kind::Bounce, 35),
    ("had fatal errors", Kind::Bounce, 30),
    ("undeliverable", Kind::Bounce, 30),
    ("did not reach the following recipient", Kind::Bounce, 35),
    ("could not reach", Kind::Bounce, 30),
    ("could not be reached", Kind::Bounce, 30),
    ("did not reach some or all of the", Kind::Bounce, 35),
    ("failed to deliver to", Kind::Bounce, 35),
    ("failed addresses follow", Kind::Bounce, 35),
    ("were undeliverable", Kind::Bounce, 35),
    ("\u{9000}\u{4fe1}", Kind::Bounce, 35),
    ("\u{6295}\u{9012}\u{5931}\u{8d25}", Kind::Bounce, 35),
    ("delivery has failed", Kind::Bounce, 35),
    ("delivery failed", Kind::Bounce, 30),
    ("delivery has been failed", Kind::Bounce, 30),
    ("delivery failure", Kind::Bounce, 25),
    ("error delivering your mail", Kind::Bounce, 35),
    ("error has occurred while attempting to deliver", Kind::Bounce, 35),
    ("error occurred while trying to deliver", Kind::Bounce, 35),
    ("trouble delivering your message", Kind::Bounce, 35),
    ("following address failed", Kind::Bounce, 30),
    ("following address(es) failed", Kind::Bounce, 30),
    ("incorrectly constructed", Kind::Bounce, 30),
    ("rejected by a remote", Kind::Bounce, 35),
    ("rejected your message", Kind::Bounce, 35),
    ("invalid final delivery userid", Kind::Bounce, 40),
    ("body of message generated response", Kind::Bounce, 30),
    ("invalid user address", Kind::Bounce, 35),
    ("transcript of session follows", Kind::Bounce, 30),
    ("unsent message follows", Kind::Bounce, 30),
    ("failure reasons", Kind::Bounce, 30),
    ("received >>> 5", Kind::Bounce, 30),
    ("konnte nicht zugestellt werden", Kind::Bounce, 35),
    ("n'a pas pu \u{ea}tre remis", Kind::Bounce, 35),
    ("no se ha podido entregar", Kind::Bounce, 35),
    ("n\u{e3}o p\u{f4}de ser entregue", Kind::Bounce, 35),
    (
        "\u{43d}\u{435} \u{43c}\u{43e}\u{436}\u{435}\u{442} \u{431}\u{44b}\u{442}\u{44c} \u{434}\u{43e}\u{441}\u{442}\u{430}\u{432}\u{43b}\u{435}\u{43d}\u{43e}",
        Kind::Bounce,
        35,
    ),
    ("\u{9001}\u{4fe1}\u{3067}\u{304d}\u{307e}\u{305b}\u{3093}", Kind::Bounce, 35),
    ("\u{914d}\u{4fe1}\u{3067}\u{304d}\u{307e}\u{305b}\u{3093}", Kind::Bounce, 35),
    ("\u{9001}\u{4fe1}\u{306b}\u{5931}\u{6557}", Kind::Bounce, 35),
    ("\u{65e0}\u{6cd5}\u{6295}\u{9012}", Kind::Bounce, 35),
    // Delay.
    ("this is a warning message only", Kind::Delay, 60),
    ("this is a warning only", Kind::Delay, 60),
    ("do not need to resend", Kind::Delay, 50),
    ("do not need to re-send", Kind::Delay, 50),
    ("has not yet been delivered", Kind::Delay, 60),
    ("not yet been delivered", Kind::Delay, 50),
    ("still undelivered after", Kind::Delay, 60),
    ("still being retried", Kind::Delay, 60),
    ("message is delayed", Kind::Delay, 60),
    ("has been delayed", Kind::Delay, 60),
    ("delivery incomplete", Kind::Delay, 60),
    ("delivery is delayed", Kind::Delay, 60),
    ("delivery attempts will continue", Kind::Delay, 60),
    ("will be retried", Kind::Delay, 50),
    ("will retry for", Kind::Delay, 60),
    ("will keep trying", Kind::Delay, 60),
    ("will continue to try", Kind::Delay, 60),
    ("temporary failure report", Kind::Delay, 60),
    ("no action is required on your part", Kind::Delay, 40),
    // Automatic answers.
    ("out of the office", Kind::AutoReply, 35),
    ("out of office", Kind::AutoReply, 35),
    ("on vacation", Kind::AutoReply, 35),
    ("currently away", Kind::AutoReply, 35),
    ("annual leave", Kind::AutoReply, 35),
    ("maternity leave", Kind::AutoReply, 35),
    ("limited access to email", Kind::AutoReply, 30),
    ("intermittent access to email", Kind::AutoReply, 30),
    ("upon my return", Kind::AutoReply, 30),
    ("when i return", Kind::AutoReply, 25),
    ("this is an automated response", Kind::AutoReply, 40),
    ("this is an automatic reply", Kind::AutoReply, 40),
    ("thank you for your e-mail", Kind::AutoReply, 20),
    ("thank you for your email", Kind::AutoReply, 20),
    ("thank you for you e-mail", Kind::AutoReply, 20),
    ("reply as soon as possible", Kind::AutoReply, 20),
    ("respond to you as soon as", Kind::AutoReply, 20),
    ("nicht im b\u{fc}ro", Kind::AutoReply, 35),
    ("absent du bureau", Kind::AutoReply, 35),
    ("fuera de la oficina", Kind::AutoReply, 35),
    ("\u{4e0d}\u{5728}\u{306b}\u{3057}\u{3066}", Kind::AutoReply, 35),
    // Gates.
    ("to have your address added to the recipient's", Kind::Challenge, 60),
    ("add yourself to my boxbe guest list", Kind::Challenge, 60),
    ("has been waitlisted", Kind::Challenge, 60),
    ("verify that you are a human", Kind::Challenge, 60),
    ("verify that you are human", Kind::Challenge, 60),
    ("prove you are human", Kind::Challenge, 60),
    ("confirm that you are a real person", Kind::Challenge, 60),
    ("to confirm that you sent", Kind::Challenge, 60),
    ("challenge/response", Kind::Challenge, 60),
    ("click the link below to have your message delivered", Kind::Challenge, 60),
    ("requires verification of the sender", Kind::Challenge, 60),
    ("approved senders list", Kind::Challenge, 50),
    ("awaits moderator approval", Kind::Held, 70),
    ("held until the list moderator", Kind::Held, 70),
    ("has been quarantined", Kind::Held, 60),
    ("is being held", Kind::Held, 60),
];

/// Finds the marks in the own words of a mail: each phrase once, and of each kind the two heaviest.
pub(super) fn word_marks(words: &Words<'_>, meter: &Meter) -> Vec<Mark> {
    let mut text = String::new();
    let mut starts: Vec<(usize, usize)> = Vec::new();
    for Line { number, text: line } in words.own() {
        if text.len() + line.len() > limits::BOUNCE_WORDS_BYTES {
            break;
        }
        starts.push((text.len(), *number));
        // Phrases may be broken over lines: one blank between words, whatever stood there.
        for word in line.split_whitespace() {
            text.push_str(&word.to_lowercase().replace('\u{2019}', "'"));
            text.push(' ');
        }
    }
    meter.add(text.len().saturating_mul(PHRASES.len()));
    let mut found: Vec<Mark> = Vec::new();
    for &(phrase, kind, points) in PHRASES {
        let Some(at) = text.find(phrase) else { continue };
        let line = starts.iter().rev().find(|(start, _)| *start <= at).map_or(0, |(_, number)| *number);
        found.push(Mark { kind, points, evidence: Evidence::words(words.part, line, phrase) });
    }
    found.sort_by_key(|mark| -mark.points);
    let mut counts = [0u8; Kind::ALL.len()];
    found.retain(|mark| {
        let count = Kind::ALL.iter().position(|kind| *kind == mark.kind).and_then(|at| counts.get_mut(at));
        count.is_some_and(|count| {
            *count += 1;
            *count <= 2
        })
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_written_as_they_are_looked_for() {
        for (phrase, ..) in PHRASES {
            assert_eq!(*phrase, phrase.to_lowercase());
            assert_eq!(*phrase, phrase.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }

    #[test]
    fn phrases_over_line_ends() {
        let text = "You DO NOT\n  NEED to re-send\nIt couldn\u{2019}t be delivered.";
        let words = Words::new(3, text, &Meter::default());
        let marks = word_marks(&words, &Meter::default());
        let found: Vec<_> =
            marks.iter().map(|m| (m.evidence.rule, m.evidence.line, m.evidence.part)).collect();
        assert_eq!(found, [("do not need to re-send", 1, Some(3)), ("couldn't be delivered", 3, Some(3))]);
    }
}
