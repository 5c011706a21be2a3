//! What kind of mail came back: a score with its marks.
//!
//! No single field tells: half of all bounces have no `Auto-Submitted`, a sixth have a sender, and
//! vacation notes carry the same marks as bounces (RFC 3834 §5). So each mark gives points to a kind, and
//! the kind with the most points wins if it has enough. Two rules are above the points: what a status
//! part says about its recipients decides between bounce, delay and success; and without any mark of a
//! machine, words alone make no bounce, since people quote bounces to each other.

use crate::limits;
use crate::mail::delivery_status::phrases::{DELAY_SUBJECTS, FAILURE_SUBJECTS, REPLY_SUBJECTS};
use crate::mail::delivery_status::recipients::Gathered;
use crate::mail::delivery_status::words;
use crate::mail::delivery_status::{Evidence, Input, Outcome, Place, original, recipients};
use crate::mail::status_code::Class;

/// What kind of mail came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A recipient will not get the mail.
    Bounce,
    /// The mail waits in a queue.
    Delay,
    /// The mail went on to a host that sends no reports.
    Relayed,
    /// The mail was split up into several addresses.
    Expanded,
    /// The mail was delivered.
    Delivered,
    /// A vacation note or another automatic answer: the mail arrived (RFC 3834).
    AutoReply,
    /// A read receipt: the mail arrived and was shown or thrown away (RFC 8098).
    Receipt,
    /// "Prove that you are a person": the mail arrived at a gate.
    Challenge,
    /// Held for a decision: moderation, quarantine.
    Held,
    /// A complaint or another feedback report (RFC 5965).
    Feedback,
    /// None of these.
    Other,
}

impl Kind {
    /// All kinds; the order decides between equal points.
    pub const ALL: [Self; 11] = [
        Self::Feedback,
        Self::Receipt,
        Self::Delay,
        Self::Bounce,
        Self::Relayed,
        Self::Expanded,
        Self::Delivered,
        Self::AutoReply,
        Self::Challenge,
        Self::Held,
        Self::Other,
    ];

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Delay => "delay",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
            Self::Delivered => "delivered",
            Self::AutoReply => "auto_reply",
            Self::Receipt => "receipt",
            Self::Challenge => "challenge",
            Self::Held => "held",
            Self::Feedback => "feedback",
            Self::Other => "other",
        }
    }

    /// True for what mail systems say of a message: it bounced, waits, went on, was delivered.
    pub const fn is_of_mail_system(self) -> bool {
        matches!(self, Self::Bounce | Self::Delay | Self::Relayed | Self::Expanded | Self::Delivered)
    }

    /// True for answers that nobody wrote by hand: notes of absence, receipts, challenges.
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::AutoReply | Self::Receipt | Self::Challenge | Self::Held)
    }

    /// True if a mail of this kind can only come of a mail that reached the recipient's side.
    pub const fn proves_arrival(self) -> bool {
        matches!(
            self,
            Self::AutoReply | Self::Receipt | Self::Challenge | Self::Held | Self::Feedback | Self::Delivered
        )
    }
}

/// One reason for a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The kind it speaks for; `Other` for a mark that only says that a machine wrote the mail.
    pub kind: Kind,
    /// Its weight; negative against.
    pub points: i32,
    /// Where it stood and which rule took it.
    pub evidence: Evidence,
}

/// The kind of a mail, how surely, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The kind.
    pub kind: Kind,
    /// Points of that kind, 0 to 100; under 50 is `Other`.
    pub score: u8,
    /// All marks, in the order found, at most `limits::BOUNCE_MARKS`.
    pub marks: Vec<Mark>,
}

/// Points from which a kind counts.
const ENOUGH: i32 = 50;

/// Says what kind of mail came back, without keeping what it says.
///
/// Errors: none; a mail that is nothing of the kind is `Other`.
pub fn judge(input: &Input<'_>) -> Judgement {
    judge_gathered(input, &recipients::gather(input))
}

/// Says what kind of mail came back, from what was gathered.
pub(super) fn judge_gathered(input: &Input<'_>, gathered: &Gathered) -> Judgement {
    let mut tally = Tally {
        is_about_delivery: gathered.named.is_some() || gathered.refusal.is_some(),
        ..Tally::default()
    };
    header_marks(input, &mut tally);
    for mark in &gathered.marks {
        tally.add(*mark);
    }
    for (points, evidence) in [(20, gathered.refusal), (10, gathered.named)] {
        if let Some(evidence) = evidence {
            tally.note(Kind::Bounce, points, evidence);
        }
    }
    if let Some(judgement) = by_type(gathered, &mut tally) {
        return judgement;
    }
    if let Some(judgement) = by_status(gathered, &mut tally) {
        return judgement;
    }
    tally.decide()
}

/// Kinds that a part's type states.
fn by_type(gathered: &Gathered, tally: &mut Tally) -> Option<Judgement> {
    let (kind, evidence) = gathered.typed?;
    tally.note(kind, 100, evidence);
    Some(tally.finish(kind))
}

/// The kind that the actions of the recipients state: the worst counts.
fn by_status(gathered: &Gathered, tally: &mut Tally) -> Option<Judgement> {
    let mut worst: Option<(Kind, Evidence)> = None;
    for status in &gathered.recipients {
        let evidence = status
            .action
            .as_ref()
            .map(|action| action.evidence)
            .or(status.status_field.as_ref().map(|status| status.evidence));
        let Some(evidence) = evidence else { continue };
        if !matches!(evidence.place, Place::StatusPart | Place::LooseField | Place::Notice) {
            continue;
        }
        let kind = match status.outcome {
            Outcome::Failed => Kind::Bounce,
            Outcome::Delayed => Kind::Delay,
            Outcome::Relayed => Kind::Relayed,
            Outcome::Expanded => Kind::Expanded,
            Outcome::Delivered => Kind::Delivered,
            Outcome::Arrived | Outcome::Unknown => continue,
        };
        if worst.is_none_or(|(known, _)| kind < known) {
            worst = Some((kind, evidence));
        }
    }
    let Some((kind, evidence)) = worst else {
        // A report about somebody that tells of no trouble, such as `Action: deliverable` (a verification).
        let fine = |status: &super::RecipientStatus| {
            let class = status.enhanced_status.as_ref().map(|found| found.value.class);
            status.action.is_some() && class == Some(Class::Success)
        };
        let all_fine = !gathered.recipients.is_empty() && gathered.recipients.iter().all(fine);
        return all_fine.then(|| Judgement {
            kind: Kind::Other,
            score: 0,
            marks: std::mem::take(&mut tally.marks),
        });
    };
    // A gate that writes its question as a failure report: the mail waits for our answer.
    if kind == Kind::Bounce && tally.of(Kind::Challenge) >= 60 {
        return Some(tally.finish(Kind::Challenge));
    }
    // Fields pasted into a letter of a person are a quotation.
    let quoted = evidence.place == Place::LooseField && tally.machine <= 0;
    let points = if evidence.place == Place::LooseField { 60 } else { 100 };
    tally.note(kind, points, evidence.by("action"));
    (!quoted).then(|| tally.finish(kind))
}

// ---- Points ----

/// Points by kind.
#[derive(Debug, Default)]
struct Tally {
    points: [i32; Kind::ALL.len()],
    /// Points that say that a machine wrote the mail.
    machine: i32,
    /// True if a field says that a mail system wrote it, not some shop or ticket system.
    is_mailer: bool,
    /// True if the words name a recipient or quote a refusal.
    is_about_delivery: bool,
    marks: Vec<Mark>,
}

impl Tally {
    /// Adds a mark.
    fn add(&mut self, mark: Mark) {
        if mark.kind == Kind::Other {
            self.machine += mark.points;
        }
        if let Some(points) =
            Kind::ALL.iter().position(|kind| *kind == mark.kind).and_then(|at| self.points.get_mut(at))
        {
            *points += mark.points;
        }
        if self.marks.len() < limits::BOUNCE_MARKS {
            self.marks.push(mark);
        }
    }

    /// Adds a mark of its parts.
    fn note(&mut self, kind: Kind, points: i32, evidence: Evidence) {
        self.add(Mark { kind, points, evidence });
    }

    /// The points of a kind.
    fn of(&self, kind: Kind) -> i32 {
        Kind::ALL.iter().position(|k| *k == kind).and_then(|at| self.points.get(at)).copied().unwrap_or(0)
    }

    /// Ends with a kind that is certain.
    fn finish(&mut self, kind: Kind) -> Judgement {
        let score = u8::try_from(self.of(kind).clamp(ENOUGH, 100)).unwrap_or(100);
        Judgement { kind, score, marks: std::mem::take(&mut self.marks) }
    }

    /// Ends with the kind that has the most points.
    fn decide(&mut self) -> Judgement {
        let mut best = (Kind::Other, ENOUGH - 1);
        for kind in Kind::ALL {
            let mut points = self.of(kind);
            match kind {
                Kind::Other => continue,
                // What a mail system is known to have written needs fewer words; "your order has been
                // delayed" from some other machine is no warning, and what a person quotes is nothing
                // at all.
                Kind::Bounce | Kind::Delay if points > 0 => {
                    let counts = self.machine > 0 && (self.is_mailer || self.is_about_delivery);
                    points = if counts { points + self.machine } else { points.min(ENOUGH - 1) };
                }
                _ => {}
            }
            if points > best.1 {
                best = (kind, points);
            }
        }
        let points = if best.0 == Kind::Other { 0 } else { best.1 };
        Judgement {
            kind: best.0,
            score: u8::try_from(points.clamp(0, 100)).unwrap_or(100),
            marks: std::mem::take(&mut self.marks),
        }
    }
}

// ---- Marks in the header ----

/// Adds the marks of the header fields.
fn header_marks(input: &Input<'_>, tally: &mut Tally) {
    let return_path = input.header("Return-Path");
    let null = input.null_sender.or(return_path.map(|path| path == "<>"));
    if null == Some(true) {
        tally.is_mailer = true;
        let evidence = match input.null_sender {
            Some(_) => Evidence { place: Place::Envelope, ..Evidence::header("Return-Path", "null-sender") },
            None => Evidence::header("Return-Path", "null-sender"),
        };
        tally.note(Kind::Other, 20, evidence);
    } else if return_path.is_some_and(is_daemon) {
        tally.is_mailer = true;
        tally.note(Kind::Other, 15, Evidence::header("Return-Path", "daemon-sender"));
    }
    let from = input.header("From").unwrap_or_default();
    let from_daemon = is_daemon(from);
    if from_daemon {
        tally.is_mailer = true;
        tally.note(Kind::Other, 25, Evidence::header("From", "daemon-author"));
    } else if from.is_empty() || from.ends_with("<>") {
        tally.note(Kind::Other, 10, Evidence::header("From", "no-author"));
    } else if is_machine(from) {
        tally.note(Kind::Other, 10, Evidence::header("From", "machine-author"));
    }
    if input.header("X-Failed-Recipients").is_some() {
        tally.is_mailer = true;
        tally.note(Kind::Bounce, 60, Evidence::header("X-Failed-Recipients", "failed-recipients-field"));
        tally.note(Kind::Other, 10, Evidence::header("X-Failed-Recipients", "failed-recipients-field"));
    }
    let subject = input.header("Subject").map(original::decode_words).unwrap_or_default();
    let subject = words::clip(&subject, limits::HEADER_TEXT_BYTES).to_lowercase();
    let begins = |list: &[&str]| {
        list.iter()
            .any(|begin| subject.trim_start_matches(['[', ' ']).starts_with(begin.trim_start_matches('[')))
    };
    if null == Some(true) && !from_daemon && words::address_of(from).is_some() {
        // RFC 3834 §3.3: an automatic answer has the null sender too, but an author who is somebody.
        tally.note(Kind::AutoReply, 20, Evidence::header("From", "null-sender-with-author"));
    }
    if begins(&REPLY_SUBJECTS) && !from_daemon {
        tally.note(Kind::AutoReply, 50, Evidence::header("Subject", "subject-of-automatic-reply"));
    }
    if begins(&FAILURE_SUBJECTS) || subject.ends_with("mail failure.") {
        tally.note(Kind::Bounce, 25, Evidence::header("Subject", "subject-of-failure"));
        // A machine writes such a subject; a person answers it with `Re:`.
        tally.note(Kind::Other, 5, Evidence::header("Subject", "subject-of-failure"));
    }
    if DELAY_SUBJECTS.iter().any(|words| subject.contains(words))
        || (subject.starts_with("warning: message") && subject.contains("delayed"))
    {
        tally.note(Kind::Delay, 45, Evidence::header("Subject", "subject-of-delay"));
        tally.note(Kind::Other, 5, Evidence::header("Subject", "subject-of-delay"));
    }
    if subject.starts_with("complaint about message from") {
        tally.note(Kind::Feedback, 60, Evidence::header("Subject", "subject-of-complaint"));
    }
    automatic_marks(input, from_daemon, tally);
}

/// Adds the marks of the fields by which automatic mail names itself.
fn automatic_marks(input: &Input<'_>, from_daemon: bool, tally: &mut Tally) {
    let lower = |name: &str| input.header(name).map(str::to_ascii_lowercase);
    // RFC 3834 §5: bounces and vacation notes both say `auto-replied`, so it decides nothing by itself.
    if let Some(value) = lower("Auto-Submitted") {
        let evidence = Evidence::header("Auto-Submitted", "auto-submitted");
        if value.starts_with("auto-") {
            tally.note(Kind::Other, 15, evidence);
        }
        if value.starts_with("auto-replied") && !from_daemon {
            // What a `no-reply` answers is a notice, not a person's absence.
            let points =
                match (value.contains("vacation"), is_machine(input.header("From").unwrap_or_default())) {
                    (true, _) => 60,
                    (false, false) => 50,
                    (false, true) => 30,
                };
            tally.note(Kind::AutoReply, points, evidence);
        }
        if value == "no" {
            tally.note(Kind::Other, -10, evidence);
        }
    }
    for (name, points) in
        [("X-Autoreply", 50), ("X-Autorespond", 50), ("X-Autoresponder", 50), ("X-Autogenerated", 20)]
    {
        if lower(name).is_some_and(|value| value != "no") && !from_daemon {
            tally.note(Kind::AutoReply, points, Evidence::header(name, "automatic-reply-field"));
        }
    }
    if lower("X-Apple-Action").is_some_and(|value| value.contains("vacation")) {
        tally.note(Kind::AutoReply, 60, Evidence::header("X-Apple-Action", "automatic-reply-field"));
    }
    let precedence = lower("Precedence").unwrap_or_default();
    if !from_daemon && matches!(precedence.as_str(), "auto_reply" | "bulk" | "junk") {
        let points = if precedence == "auto_reply" { 50 } else { 10 };
        tally.note(Kind::AutoReply, points, Evidence::header("Precedence", "automatic-reply-field"));
    }
    if let Some(kind) = lower("Content-Type") {
        if kind.contains("delivery-status") {
            let evidence = Evidence::header("Content-Type", "report-type");
            tally.is_mailer = true;
            tally.note(Kind::Other, 20, evidence);
            tally.note(Kind::Bounce, 10, evidence);
        }
        // DMARC and TLS reports come from machines too and are no answers.
        if kind.contains("tlsrpt") {
            tally.note(Kind::Bounce, -100, Evidence::header("Content-Type", "tls-report"));
        }
    }
}

/// True for an author or sender that is a mail system.
fn is_daemon(value: &str) -> bool {
    let lower = words::clip(value, limits::HEADER_TEXT_BYTES).to_ascii_lowercase();
    let address = words::address_of(&lower).unwrap_or_default();
    let local = address.split('@').next().unwrap_or_default().replace(['-', '_', '.', '+'], "");
    local.starts_with("mailerdaemon")
        || local.starts_with("postmaster")
        || local.starts_with("poostmaster")
        || local.starts_with("maildeliverys")
        || lower.contains("mail delivery s")
        || lower.contains("mailer-daemon")
        || lower.contains("mail deliver system")
}

/// True for an author that is some machine or list.
fn is_machine(value: &str) -> bool {
    let lower = words::clip(value, limits::HEADER_TEXT_BYTES).to_ascii_lowercase();
    let address = words::address_of(&lower).unwrap_or_default();
    let local = address.split('@').next().unwrap_or_default();
    ["no-reply", "noreply", "donotreply", "do-not-reply", "bounce"].iter().any(|name| local.starts_with(name))
        || ["-admin", "-owner", "-request", "-bounces"].iter().any(|name| local.ends_with(name))
}
