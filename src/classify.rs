//! What a received message is, and why: reads everything in it on the way.
//!
//! Pure: bytes and an envelope in, reports and a kind out. The store decides what is a duplicate.

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::cms;
use crate::mail::delivery_status::{self, DeliveryReport, Input};
use crate::mail::message::Part;
use crate::mail::{Envelope, Header, Message, Origin, Purpose, ReversePath, Standing};
use crate::reports::digest::{DigestContext, ReportDigest};
use crate::reports::extract::{Finding, Leaf, Records, extract};
use crate::reports::failure::{self, FailureReport};
use crate::reports::sniff::{Content, SNIFF_BYTES, sniff};
use crate::reports::tls::TlsDigest;
use crate::reports::{Budget, Deviations, Unreadable, UnreadableKind};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Carries DMARC aggregate reports (or what was meant as one).
    Aggregate,
    /// A DMARC failure report or another feedback report (RFC 5965).
    Failure,
    /// Carries SMTP TLS reports.
    Tls,
    /// A notice of a mail system (RFC 3464, or words): a bounce, a delay, a delivery.
    Bounce,
    /// One of our probes.
    Probe,
    /// A reply, a vacation note, a receipt.
    Reply,
    /// Anything else.
    Other,
}

impl MessageKind {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::Failure => "failure",
            Self::Tls => "tls",
            Self::Bounce => "bounce",
            Self::Probe => "probe",
            Self::Reply => "reply",
            Self::Other => "other",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Aggregate, Self::Failure, Self::Tls, Self::Bounce, Self::Probe, Self::Reply, Self::Other]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

// ---- Reading a whole mail or file ----

/// What is known of a mail beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct MailContext<'a> {
    /// Its envelope; the time of arrival stands in it.
    pub envelope: &'a Envelope,
    /// What its recipients are for; empty where no transport was seen.
    pub purposes: &'a [Purpose],
    /// True if it carries a probe token that is ours.
    pub has_probe_token: bool,
}

/// A report found in a mail or file.
#[derive(Debug)]
pub enum Found<'a> {
    /// An aggregate report that was read whole.
    Aggregate {
        /// Where: names of parts and archive entries.
        place: String,
        /// All but the records.
        digest: Box<ReportDigest>,
        /// The records.
        records: Records<'a>,
    },
    /// A TLS report that was read whole.
    Tls {
        /// Where.
        place: String,
        /// Its values and sums.
        digest: Box<TlsDigest>,
    },
    /// A failure report, a complaint or other feedback about a single message.
    Failure {
        /// Where: the archive entry; empty for the mail itself.
        place: String,
        /// Its values.
        report: Box<FailureReport>,
    },
    /// A notice of a mail system or an automatic answer: what the mail itself is.
    Delivery {
        /// What it says.
        report: &'a DeliveryReport,
        /// The mail as it was read.
        input: &'a Input<'a>,
    },
}

/// What was made of one mail or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailReading {
    /// What it is.
    pub kind: MessageKind,
    /// Why, in words for the operator.
    pub why: String,
    /// Its header fields; empty for a bare file.
    pub header: Header,
    /// Aggregate reports handed out.
    pub aggregates: usize,
    /// TLS reports handed out.
    pub tls_reports: usize,
    /// Failure reports and other feedback handed out.
    pub failures: usize,
    /// What looks like a report and cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// How many of these are TLS reports.
    pub unreadable_tls: usize,
    /// How many of these are failure reports.
    pub unreadable_feedback: usize,
    /// What else there was, for the operator: `part 2 (offer.pdf): PDF`.
    pub others: Vec<String>,
    /// Deviations of the mail itself; those of reports stand in their digests.
    pub deviations: Deviations,
}

impl MailReading {
    fn new(header: Header) -> Self {
        Self {
            kind: MessageKind::Other,
            why: String::new(),
            header,
            aggregates: 0,
            tls_reports: 0,
            failures: 0,
            unreadable: Vec::new(),
            unreadable_tls: 0,
            unreadable_feedback: 0,
            others: Vec::new(),
            deviations: Deviations::default(),
        }
    }
}

/// Reads a mail: finds and reads every report in it, and says what it is.
///
/// Shape: reports go to `found` in order; what quotes them as evidence (a bounce, a failure report) has none.
/// Limits: one [`Budget`] for all attachments; mails in archives are looked into
/// [`limits::ARCHIVE_LAYERS`] deep.
/// Errors: none; what cannot be read stands in [`MailReading::unreadable`].
pub fn read_mail(raw: &[u8], context: &MailContext<'_>, found: &mut dyn FnMut(Found<'_>)) -> MailReading {
    read_message(&Message::parse(raw), context, found)
}

/// As [`read_mail`], of a message that was taken apart already.
pub fn read_message(
    message: &Message<'_>,
    context: &MailContext<'_>,
    found: &mut dyn FnMut(Found<'_>),
) -> MailReading {
    let mut reading = MailReading::new(message.header.clone());
    let budget = Budget::default();
    let mut walk = Walk { now: context.envelope.received_at, budget: &budget, reading: &mut reading, found };
    walk.mail(message, "", 0);
    let is_read = reading.failures > 0;
    let can_be_feedback = !is_read && by_contents(&reading).is_none() && !is_delivery_status(message);
    if can_be_feedback {
        // A notice in words, or a complaint without a machine-readable part.
        let mut walk =
            Walk { now: context.envelope.received_at, budget: &budget, reading: &mut reading, found };
        walk.feedback(message, "");
    }
    (reading.kind, reading.why) = classify(message, context, &reading, found);
    reading
}

/// Reads a bare file: a report in any packing, or a mail.
///
/// `now` is the time to which a report without a period belongs. See [`read_mail`].
pub fn read_file(name: &str, bytes: &[u8], now: Timestamp, found: &mut dyn FnMut(Found<'_>)) -> MailReading {
    if is_mail(name, bytes) {
        let envelope = Envelope::without_transport(Origin::Import, now);
        let context = MailContext { envelope: &envelope, purposes: &[], has_probe_token: false };
        return read_mail(bytes, &context, found);
    }
    let mut reading = MailReading::new(Header::default());
    let budget = Budget::default();
    let mut walk = Walk { now, budget: &budget, reading: &mut reading, found };
    let leaf = Leaf {
        bytes,
        place: name,
        file_name: name,
        is_body: false,
        is_report_type: true,
        is_unpacked: false,
    };
    walk.leaf(leaf, &Header::default(), 0);
    (reading.kind, reading.why) = by_contents(&reading).unwrap_or_else(|| {
        let what = reading.others.first().map_or("nothing", String::as_str);
        // The name of the file itself stands beside the reason already; of an archive the entry matters.
        let what = what.strip_prefix(name).map_or(what, |rest| rest.trim_start_matches([':', '/', ' ']));
        (MessageKind::Other, format!("not a report: {what}"))
    });
    reading
}

/// True if a file is a mail: by its content, or as text with a name that says so.
pub fn is_mail(name: &str, bytes: &[u8]) -> bool {
    let content = sniff(bytes.get(..SNIFF_BYTES).unwrap_or(bytes));
    let is_eml =
        || name.len() > 4 && name.get(name.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".eml"));
    content == Content::Mail || matches!(content, Content::Other("text" | "binary data")) && is_eml()
}

/// The state of one reading.
struct Walk<'w> {
    now: Timestamp,
    budget: &'w Budget,
    reading: &'w mut MailReading,
    found: &'w mut dyn FnMut(Found<'_>),
}

impl Walk<'_> {
    /// Reads all parts of a mail that are its own.
    fn mail(&mut self, message: &Message<'_>, outer: &str, layers: usize) {
        for (name, place) in &message.notes {
            self.reading.deviations.note(name, place, "", "");
        }
        // RFC 5965 §2: what a feedback report quotes is evidence, and no report itself.
        if declares_feedback(message) && !is_delivery_status(message) && self.feedback(message, outer) {
            return;
        }
        let is_cut = message.is_open();
        for part in message.parts.iter().filter(|part| part.standing != Standing::Quoted) {
            let (bytes, note) = part.decode();
            let place = if outer.is_empty() { part.place.clone() } else { format!("{outer}/{}", part.place) };
            if let Some(name) = note {
                self.reading.deviations.note(name, &place, "", "");
            }
            if matches!(part.content_type.as_str(), "application/pkcs7-mime" | "application/x-pkcs7-mime") {
                match cms::signed_content(&bytes).filter(|_| layers < limits::ARCHIVE_LAYERS) {
                    Some(inner) => self.mail(&Message::parse(&inner), &place, layers + 1),
                    None => {
                        let reason = "an S/MIME part that is encrypted or damaged is not supported";
                        let error = Unreadable::new(UnreadableKind::Unsupported, reason).at(&place);
                        self.reading.unreadable.push(error);
                    }
                }
                continue;
            }
            let leaf = Leaf {
                bytes: &bytes,
                place: &place,
                file_name: &part.file_name,
                is_body: part.is_body(),
                is_report_type: is_report_type(&part.content_type),
                is_unpacked: layers > 0,
            };
            let before = self.reading.unreadable.len();
            self.leaf(leaf, message.header_of(part), layers);
            if is_cut && is_last(part, message) {
                let found = self.reading.unreadable.get_mut(before..).unwrap_or_default();
                found.iter_mut().for_each(blame_the_cut);
            }
        }
    }

    /// Reads the feedback reports of a mail; false if it is no feedback.
    fn feedback(&mut self, message: &Message<'_>, outer: &str) -> bool {
        match failure::read_message(message) {
            Ok(reports) => {
                let is_feedback = !reports.is_empty();
                self.reading.failures += reports.len();
                for report in reports {
                    (self.found)(Found::Failure { place: outer.to_owned(), report: Box::new(report) });
                }
                is_feedback
            }
            Err(error) => {
                self.reading.unreadable_feedback += 1;
                self.reading.unreadable.push(error.at(outer));
                true
            }
        }
    }

    /// Reads one attachment, body or file.
    fn leaf(&mut self, leaf: Leaf<'_>, header: &Header, layers: usize) {
        let context = DigestContext {
            now: self.now,
            from_domain: header.from_domain.as_ref(),
            file_name: leaf.file_name,
            subject: header.subject.as_deref().unwrap_or_default(),
            tls_report: (header.field("tls-report-domain"), header.field("tls-report-submitter")),
        };
        let Self { now, budget, reading, found } = self;
        extract(leaf, &context, budget, &mut |finding| match finding {
            Finding::Aggregate { place, digest, records } => {
                reading.aggregates += 1;
                found(Found::Aggregate { place, digest, records });
            }
            Finding::Tls { place, digest } => {
                reading.tls_reports += 1;
                found(Found::Tls { place, digest });
            }
            Finding::TlsUnreadable(error) => {
                reading.unreadable_tls += 1;
                reading.unreadable.push(error);
            }
            Finding::Mail { place, .. } if layers >= limits::ARCHIVE_LAYERS => {
                let reason =
                    format!("too large: mails within archives deeper than {}", limits::ARCHIVE_LAYERS);
                reading.unreadable.push(Unreadable::new(UnreadableKind::TooLarge, reason).at(&place));
            }
            // At once and not later: an archive may hold thousands of large mails, memory one a layer.
            Finding::Mail { place, bytes } => {
                let mut inner = Walk { now: *now, budget, reading, found: &mut **found };
                inner.mail(&Message::parse(&bytes), &place, layers + 1);
            }
            Finding::Unreadable(error) => reading.unreadable.push(error),
            Finding::NotReport { .. } if leaf.is_body => {}
            Finding::NotReport { place, what } => {
                if reading.others.len() < limits::LISTED_PARTS {
                    reading.others.push(format!("{place}: {what}"));
                }
            }
        });
    }
}

/// True for the last part of a mail.
fn is_last(part: &Part<'_>, message: &Message<'_>) -> bool {
    message.parts.last().is_some_and(|last| std::ptr::eq(last, part))
}

/// True for a declared type in which reports come (RFC 9990 §3.5.2, RFC 8460 §5.3, and what is seen beside them).
fn is_report_type(content_type: &str) -> bool {
    content_type.is_empty() || content_type.starts_with("application/") || content_type == "text/xml"
}

/// Says of a damaged attachment at the end of a mail that is cut off what is the matter.
fn blame_the_cut(error: &mut Unreadable) {
    match error.kind {
        UnreadableKind::Empty => {
            error.kind = UnreadableKind::Truncated;
            "the mail ends early (truncated), before anything of the attachment"
                .clone_into(&mut error.reason);
        }
        UnreadableKind::Truncated | UnreadableKind::Corrupt => {
            error.reason.push_str("; the mail itself ends early, without the end of its last part");
        }
        _ => {}
    }
}

// ---- Which kind, and why ----

/// Says what a mail is. The first rule that holds decides.
fn classify(
    message: &Message<'_>,
    context: &MailContext<'_>,
    reading: &MailReading,
    found: &mut dyn FnMut(Found<'_>),
) -> (MessageKind, String) {
    let header = &message.header;
    let is_notice = is_delivery_status(message);
    if !is_notice && let Some(why) = by_feedback(reading) {
        return (MessageKind::Failure, why);
    }
    let for_reports = [Purpose::Reports, Purpose::Tls, Purpose::Failures, Purpose::Fbl];
    let subject = header.subject.as_deref().unwrap_or_default().to_lowercase();
    let may_report = context.purposes.is_empty()
        || context.purposes.iter().any(|purpose| for_reports.contains(purpose))
        || subject.contains("report domain:");
    if !is_notice && let Some((kind, why)) = by_contents(reading) {
        if reading.aggregates + reading.tls_reports > 0 {
            return (kind, why);
        }
        if may_report {
            let is_tls = context.purposes == [Purpose::Tls];
            return (if is_tls { MessageKind::Tls } else { kind }, why);
        }
    }
    let null_sender = context.envelope.mail_from.as_ref().map(|path| *path == ReversePath::Null);
    let input = Input::of(message, null_sender);
    let report = delivery_status::read(&input);
    let kind = report.as_ref().map_or(delivery_status::Kind::Other, DeliveryReport::kind);
    if is_notice || kind.is_of_mail_system() {
        let Some(report) = &report else {
            return (MessageKind::Bounce, "it is a delivery status that tells nothing".to_owned());
        };
        found(Found::Delivery { report, input: &input });
        return (MessageKind::Bounce, format!("it is a notice of a mail system: {}", kind.as_str()));
    }
    if context.has_probe_token {
        return (MessageKind::Probe, "it carries a probe token of ours".to_owned());
    }
    if let Some(report) = &report
        && kind.is_answer()
    {
        found(Found::Delivery { report, input: &input });
        return (MessageKind::Reply, format!("it is an automatic answer: {}", kind.as_str()));
    }
    if let Some(why) = reply(header, &subject) {
        return (MessageKind::Reply, why);
    }
    (MessageKind::Other, "it holds no report and is no bounce, probe or reply".to_owned())
}

/// True for a mail that says that it is a delivery status notification (RFC 3464 §2).
fn is_delivery_status(message: &Message<'_>) -> bool {
    message.is_report_of("delivery-status", "message/delivery-status")
}

/// True for a mail that says that it is a feedback report (RFC 5965 §2), or has a part that does.
fn declares_feedback(message: &Message<'_>) -> bool {
    let is_feedback = |text: &str| text.to_ascii_lowercase().replace('_', "-").contains("feedback-report");
    message.header.field("content-type").is_some_and(is_feedback)
        || message
            .parts
            .iter()
            .any(|part| part.standing != Standing::Quoted && is_feedback(&part.content_type))
}

/// Why a mail is feedback about single messages, if it is.
fn by_feedback(reading: &MailReading) -> Option<String> {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    match (reading.failures, reading.unreadable_feedback) {
        (0, 0) => None,
        (0, _) => Some("it is a feedback report that tells nothing".to_owned()),
        (count, _) => Some(format!("it holds {count} feedback report{}", plural(count))),
    }
}

/// The kind by the reports in it, whole or damaged.
fn by_contents(reading: &MailReading) -> Option<(MessageKind, String)> {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    if reading.aggregates > 0 {
        let count = reading.aggregates;
        return Some((MessageKind::Aggregate, format!("it holds {count} aggregate report{}", plural(count))));
    }
    if reading.tls_reports > 0 {
        let count = reading.tls_reports;
        return Some((MessageKind::Tls, format!("it holds {count} TLS report{}", plural(count))));
    }
    if let Some(why) = by_feedback(reading) {
        return Some((MessageKind::Failure, why));
    }
    let error = reading.unreadable.first()?;
    let is_tls = reading.unreadable_tls == reading.unreadable.len();
    let kind = if is_tls { MessageKind::Tls } else { MessageKind::Aggregate };
    Some((kind, format!("it seems to hold a report that cannot be read: {}", error.reason)))
}

/// Recognises replies by hand, and automatic ones that only a field tells (RFC 3834 §5).
fn reply(header: &Header, subject: &str) -> Option<String> {
    let auto = header.field("auto-submitted").unwrap_or_default().to_ascii_lowercase();
    if auto.starts_with("auto-replied") {
        return Some("its Auto-Submitted field says auto-replied".to_owned());
    }
    for name in ["x-autoreply", "x-autorespond", "x-auto-response-suppress-reply"] {
        if header.field(name).is_some() {
            return Some(format!("it has the field {name}"));
        }
    }
    let is_answer =
        ["re:", "aw:", "sv:", "antw:"].iter().any(|prefix| subject.trim_start().starts_with(prefix));
    (is_answer && !header.references.is_empty()).then(|| "it answers another message".to_owned())
}

#[cfg(test)]
#[path = "classify/tests.rs"]
mod tests;
