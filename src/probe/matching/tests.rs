//! What a message is to a probe: arrivals, bounces, answers, replays, forgeries.

use super::*;
use crate::mail::DomainName;
use crate::probe::token::{Kind, TokenTexts};

fn ring() -> KeyRing {
    KeyRing::with_id(3, &[7; 32]).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + seconds)
}

fn probe(counter: u32) -> (Token, TokenTexts) {
    let token = ring().mint(Kind::Probe, 7, at(0), counter);
    (token, ring().texts(&token).unwrap())
}

/// A message under test.
#[derive(Clone, Default)]
struct Mail {
    null_sender: bool,
    recipients: Vec<String>,
    fields: Vec<(&'static str, String)>,
    text: String,
    seen_after: Option<i64>,
}

impl Mail {
    /// The probe as it was sent.
    fn of(texts: &TokenTexts) -> Self {
        Self {
            recipients: vec![format!("probe+{}", texts.recipient)],
            fields: vec![
                ("To", format!("<probe+{}@example.net>", texts.recipient)),
                ("Message-ID", format!("<{}@probe.example.org>", texts.message_id)),
                ("Subject", format!("Mailsonde probe [{}]", texts.subject)),
                ("X-Mailsonde-Probe", format!("v=1; t={}; r=x", texts.header)),
                ("Auto-Submitted", "auto-generated".to_owned()),
            ],
            text: format!("text\r\n-- {} --\r\n", texts.body),
            ..Self::default()
        }
    }

    /// Without these fields.
    fn without(mut self, names: &[&str]) -> Self {
        self.fields.retain(|(name, _)| !names.contains(name));
        self
    }

    /// With this field, in place of others of its name.
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.retain(|(other, _)| *other != name);
        self.fields.push((name, value.into()));
        self
    }

    /// To these recipients.
    fn to(mut self, recipients: &[&str]) -> Self {
        self.recipients = recipients.iter().map(|r| (*r).to_owned()).collect();
        self
    }

    fn matches(&self) -> Matches {
        let domain = DomainName::parse("example.net").unwrap();
        let recipients: Vec<_> = self.recipients.iter().map(|local| Address::new(local, &domain)).collect();
        let sender = if self.null_sender {
            ReversePath::Null
        } else {
            ReversePath::Address(Address::new("someone", &domain))
        };
        let fields: Vec<_> = self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match_message(
            &ring(),
            &Seen {
                received_at: Some(at(self.seen_after.unwrap_or(5))),
                mail_from: Some(&sender),
                recipients: &recipients,
                fields: &fields,
                text: self.text.as_bytes(),
            },
        )
    }

    #[track_caller]
    fn check(&self, want: Standing) {
        let matches = self.matches();
        let found = matches.probes.iter().find(|m| m.token == probe(1).0).expect("the token is found");
        assert_eq!(found.standing, want, "{matches:#?}");
    }
}

const OWN: [&str; 2] = ["Message-ID", "X-Mailsonde-Probe"];

#[test]
fn the_probe_itself_is_found_in_every_place() {
    let (token, texts) = probe(1);
    let matches = Mail::of(&texts).matches();
    assert_eq!(matches.probes.len(), 1);
    let arrival = matches.arrival().unwrap();
    assert_eq!(arrival.token, token);
    use FoundIn::{AddressField, EnvelopeRecipient, MessageId, OwnField, Subject, Text};
    assert_eq!(arrival.found_in, [EnvelopeRecipient, MessageId, OwnField, Subject, AddressField, Text]);
}

#[test]
fn what_forwarders_and_gateways_do_leaves_an_arrival() {
    let (_, texts) = probe(1);
    let sent = Mail::of(&texts);
    let upper = Mail {
        recipients: sent.recipients.iter().map(|r| r.to_uppercase()).collect(),
        fields: sent.fields.iter().map(|(name, value)| (*name, value.to_uppercase())).collect(),
        ..sent.clone()
    };
    let null = Mail { null_sender: true, ..sent.clone() };
    let cases = [
        ("upper case", upper.clone()),
        ("fixed mailbox", sent.clone().to(&["inbox"])),
        ("subject changed", sent.clone().with("Subject", "[EXTERNAL] Fwd list: probe")),
        ("Message-ID replaced", sent.clone().with("Message-ID", "<0@ses.example>")),
        ("own field gone", sent.clone().without(&["X-Mailsonde-Probe"])),
        ("only the recipient", sent.clone().without(&["Message-ID", "X-Mailsonde-Probe", "To", "Subject"])),
        ("only the Message-ID", sent.clone().to(&["inbox"]).without(&["To", "Subject", "X-Mailsonde-Probe"])),
        ("only the own field", sent.clone().to(&["inbox"]).without(&["To", "Subject", "Message-ID"])),
        ("only To and subject", sent.clone().to(&["inbox"]).without(&OWN)),
        ("null sender by a forwarder", null),
        ("several recipients", upper.to(&["other", &sent.recipients[0]])),
    ];
    for (name, mail) in cases {
        assert!(mail.matches().arrival().is_some(), "{name}: {:#?}", mail.matches());
    }
}

#[test]
fn what_is_about_a_probe_is_not_its_arrival() {
    let (_, texts) = probe(1);
    let sent = Mail::of(&texts);
    let quoted = |fields: Vec<(&'static str, String)>| Mail {
        recipients: vec!["probe".to_owned()],
        fields,
        text: format!(
            "To: <probe+{}@example.net>\r\nMessage-ID: <{}@x>\r\n",
            texts.recipient, texts.message_id
        ),
        ..Mail::default()
    };
    let report = "multipart/report; report-type=delivery-status; boundary=x".to_owned();
    let bounce = quoted(vec![("Content-Type", report.clone()), ("Subject", "Undelivered".to_owned())]);
    let null = Mail { null_sender: true, ..quoted(vec![]) };
    let verp = null.clone().to(&[&texts.envelope_sender]);
    let verp_without_null = quoted(vec![]).to(&[&texts.envelope_sender]);
    let null_to_recipient = null.clone().to(&[&sent.recipients[0]]);
    let subject = format!("Re: Mailsonde probe [{}]", texts.subject);
    let reply_field = format!("<{}@probe.example.org>", texts.message_id);
    let reply = quoted(vec![("Subject", subject.clone()), ("In-Reply-To", reply_field.clone())]);
    let reply_all = reply.clone().with("Cc", format!("probe+{}@example.net", texts.recipient));
    let reply_to_recipient = reply.clone().to(&[&sent.recipients[0]]);
    let vacation =
        quoted(vec![("Subject", subject), ("Auto-Submitted", "auto-replied (vacation)".to_owned())]);
    let vacation_to_recipient = vacation.clone().to(&[&sent.recipients[0]]);
    let cases = [
        ("delivery report", bounce),
        ("delivery report with the probe's own fields", sent.clone().with("Content-Type", report)),
        ("text bounce", null),
        ("bounce to the envelope sender", verp),
        ("anything to the envelope sender", verp_without_null),
        ("bounce to the recipient", null_to_recipient),
        ("answer", reply),
        ("answer to all", reply_all),
        ("answer to the recipient", reply_to_recipient),
        ("vacation note", vacation),
        ("vacation note to the recipient", vacation_to_recipient),
        ("complaint", quoted(vec![("Subject", format!("Why [{}]?", texts.subject))])),
    ];
    for (name, mail) in cases {
        assert!(mail.matches().arrival().is_none(), "{name}");
        mail.check(Standing::Quoted);
    }
}

#[test]
fn copied_tokens_are_replays() {
    let (_, texts) = probe(1);
    let bare = Mail { text: "x".to_owned(), ..Mail::default() };
    let other_place = Standing::Replay(ReplayReason::OtherPlace);
    // The visible forms, used where they were not made for.
    for copied in [&texts.subject, &texts.body, &texts.message_id, &texts.header] {
        bare.clone().to(&[&format!("probe+{copied}")]).check(other_place);
    }
    for copied in [&texts.subject, &texts.body, &texts.recipient] {
        let field = format!("v=1; t={copied}");
        bare.clone().to(&["inbox"]).with("X-Mailsonde-Probe", field).check(other_place);
        bare.clone().to(&["inbox"]).with("Message-ID", format!("<{copied}@x>")).check(other_place);
    }
}

#[test]
fn two_probes_in_one_message_are_replays() {
    let (one, texts) = probe(1);
    let (two, other) = probe(2);
    let mail = Mail::of(&texts).to(&[&format!("probe+{}", other.recipient)]).without(&["To"]);
    let matches = mail.matches();
    let standing = |token| matches.probes.iter().find(|m| m.token == token).unwrap().standing;
    assert_eq!(standing(one), Standing::Replay(ReplayReason::OtherProbe));
    assert_eq!(standing(two), Standing::Replay(ReplayReason::OtherProbe));
}

#[test]
fn out_of_time() {
    let (_, texts) = probe(1);
    let day = 86_400;
    let cases = [
        (5, Standing::Arrival),
        (29 * day, Standing::Arrival),
        (31 * day, Standing::Replay(ReplayReason::Expired)),
        (-60, Standing::Arrival),
        (-day, Standing::Replay(ReplayReason::Future)),
    ];
    for (after, want) in cases {
        Mail { seen_after: Some(after), ..Mail::of(&texts) }.check(want);
    }
}

#[test]
fn forged_and_foreign_never_match() {
    let (token, texts) = probe(1);
    let foreign_ring = KeyRing::with_id(9, &[1; 32]).unwrap();
    let foreign = foreign_ring.texts(&Token { key_id: 9, ..token }).unwrap();
    let matches = Mail::of(&foreign).matches();
    assert!(matches.probes.is_empty() && matches.forged.is_empty());
    assert_eq!(matches.foreign.len(), 6);
    let forger = KeyRing::with_id(3, &[1; 32]).unwrap();
    let matches = Mail::of(&forger.texts(&token).unwrap()).matches();
    assert!(matches.probes.is_empty() && matches.foreign.is_empty());
    assert_eq!(matches.forged.len(), 6);
    assert!(Mail::default().matches().is_empty());
    // A forged word beside the real ones changes nothing.
    let mut mail = Mail::of(&texts);
    mail.text.push_str(&forger.texts(&token).unwrap().body);
    assert!(mail.matches().arrival().is_some());
}

#[test]
fn recipients_at_rcpt() {
    let (token, texts) = probe(1);
    let foreign = KeyRing::with_id(9, &[1; 32]).unwrap();
    let foreign = foreign.texts(&Token { key_id: 9, ..token }).unwrap().recipient;
    let forged = KeyRing::with_id(3, &[1; 32]).unwrap().texts(&token).unwrap().recipient;
    let valid = LocalPart::Valid { token, made_for: Place::Recipient };
    let cases = [
        (format!("probe+{}", texts.recipient), valid),
        (texts.recipient.clone(), valid),
        (texts.recipient.to_uppercase(), valid),
        (format!("Probe+{}", texts.recipient.to_uppercase()), valid),
        (format!("probe-{}", texts.recipient), valid),
        (format!("probe+x+{}", texts.recipient), valid),
        (format!("{forged}+{}", texts.recipient), valid),
        (texts.envelope_sender.clone(), LocalPart::Valid { token, made_for: Place::EnvelopeSender }),
        (format!("probe+{}", texts.subject), LocalPart::Forged),
        (format!("probe+{forged}"), LocalPart::Forged),
        (format!("{foreign}+{forged}"), LocalPart::Forged),
        (foreign, LocalPart::Foreign),
        (format!("mf{}", "7".repeat(32)), LocalPart::Foreign),
        ("probe".to_owned(), LocalPart::NoToken),
        ("probe+anything".to_owned(), LocalPart::NoToken),
        (format!("x{}", texts.recipient), LocalPart::NoToken),
        (format!("{}7", texts.recipient), LocalPart::NoToken),
        (String::new(), LocalPart::NoToken),
        ("mf".to_owned(), LocalPart::NoToken),
    ];
    for (local, want) in cases {
        assert_eq!(judge_local_part(&ring(), &local), want, "{local}");
    }
}

#[test]
fn a_message_full_of_tokens_is_bounded() {
    let (_, texts) = probe(1);
    let mut mail = Mail::of(&texts);
    for _ in 0..1_000 {
        mail.fields.push(("X-Copy", format!("{0} {0} {0}", texts.body)));
    }
    let matches = mail.matches();
    assert_eq!(matches.probes.len(), 1);
    assert!(matches.arrival().is_some());
}
