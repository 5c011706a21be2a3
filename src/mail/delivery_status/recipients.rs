//! Puts together what the sources say about each recipient, and chooses between them.
//!
//! Sources in order: status part, fields pasted into text, JSON notice, passages of the report's own
//! words, `X-Failed-Recipients`; then the same in what it returns, since reports come wrapped in one
//! another or with a broken boundary; last the To of the returned message. The first source that names
//! somebody decides who; the words add to what fields leave open.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::delivery_status::judge::{Judgement, Kind, Mark};
use crate::mail::delivery_status::passage::Details;
use crate::mail::delivery_status::sections::{self, Section};
use crate::mail::delivery_status::words::{self, Meter, Words};
use crate::mail::delivery_status::{
    DeliveryReport, Evidence, Found, Input, MessageStatus, Original, Outcome, Permanence, Place, Reason,
    Recipient, RecipientStatus, choice, dates, fields, notification, original, passage, phrases,
};
use crate::mail::status_code::{Class, EnhancedStatus};

/// Everything that a mail says, before its kind is known.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) message: MessageStatus,
    pub(super) recipients: Vec<RecipientStatus>,
    pub(super) omitted: usize,
    pub(super) original: Original,
    pub(super) deviations: Vec<&'static str>,
    /// Marks of the words.
    pub(super) marks: Vec<Mark>,
    /// The kind that a part's type states.
    pub(super) typed: Option<(Kind, Evidence)>,
    /// Where the words quote a refusal of class 5.
    pub(super) refusal: Option<Evidence>,
    /// Where the words name a recipient in a telling place.
    pub(super) named: Option<Evidence>,
    /// Until when the host goes on trying, in words.
    retry: Option<Found<super::Date>>,
    /// Bytes looked at.
    #[cfg(test)]
    pub(super) work: u64,
}

/// Strength of a passage from which it says that a mail is about delivery; see `sections`.
const TELLING: u8 = 45;

/// Types of parts with status fields.
const STATUS_TYPES: [&str; 3] =
    ["message/delivery-status", "message/global-delivery-status", "text/delivery-status"];

/// Reads everything that a mail says.
pub(super) fn gather(input: &Input<'_>) -> Gathered {
    let meter = Meter::default();
    let texts = own_texts(input, &meter);
    let all: Vec<Words<'_>> = texts.iter().map(|(part, text)| Words::new(*part, text, &meter)).collect();
    let mut source = Source::default();
    for place in [Depth::Outer, Depth::Inner] {
        if source.recipients.is_empty() {
            source.status_parts(input, place, &meter);
        }
        if source.recipients.is_empty() {
            source.loose_fields(&all, place);
        }
        if source.recipients.is_empty() {
            source.notices(&all, place);
        }
        if source.typed.is_none() {
            source.other_reports(input, place, &meter);
        }
        let is_named = !source.recipients.is_empty();
        if place == Depth::Outer || !is_named {
            source.find_passages(input, &all, place, &meter);
        }
        // Whoever is named ends the search before the returned message is looked into.
        if is_named || source.name_by_passages(input, &meter) {
            break;
        }
    }
    let original = source.original(input, &all, &meter);
    let single = source.recipients.len() == 1;
    let own: Vec<(usize, Vec<(usize, String)>)> = own_lines(&all);
    let whole = whole_report(&own, &meter);
    for (i, status) in source.recipients.iter_mut().enumerate() {
        let supplement = source.supplements.get(i).and_then(Option::as_deref);
        let section = source.sections.iter().find(|section| {
            status.address().is_some_and(|address| section.address.eq_ignore_ascii_case(address))
                || status.original_recipient.as_ref().is_some_and(|r| r.value.matches(&section.address))
        });
        let only = (single && source.sections.len() == 1).then(|| source.sections.first()).flatten();
        let section = section.or(only);
        let details = section.map(|section| passage::details(section.part(), &section.lines, &meter));
        let fallback = single.then_some(&whole);
        choice::settle(status, section, details.as_ref(), fallback, supplement, &mut source.deviations);
        choice::complete(status, &source.message);
        choice::explain(status, section, &words_around(section, single, &own));
    }
    let sent = input.header("Date").and_then(dates::read).and_then(|date| date.at);
    let arrived: Option<Timestamp> = source.message.arrival_date.as_ref().and_then(|date| date.value.at);
    let retry = all.iter().find_map(|words| dates::retry_in_words(words.part, words.own(), sent, arrived));
    let mut marks: Vec<Mark> = all.iter().flat_map(|words| phrases::word_marks(words, &meter)).collect();
    marks.truncate(limits::BOUNCE_MARKS);
    source.deviations.sort_unstable();
    source.deviations.dedup();
    Gathered {
        refusal: whole
            .reply
            .filter(|reply| reply.class() == Some(Class::Permanent))
            .map(|_| Evidence::words(whole.part, whole.reply_line, "refusal-in-words")),
        named: source
            .sections
            .first()
            .filter(|section| section.strength >= TELLING)
            .map(|section| section.evidence.by("recipient-in-words")),
        message: source.message,
        recipients: source.recipients,
        omitted: source.omitted,
        original,
        deviations: source.deviations,
        marks,
        typed: source.typed,
        retry,
        #[cfg(test)]
        work: meter.bytes(),
    }
}

/// Which texts are looked into: the report's own, or also what it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Outer,
    Inner,
}

/// The texts of the mail itself: plain ones, HTML only where there is no plain one.
fn own_texts<'a>(input: &'a Input<'_>, meter: &Meter) -> Vec<(usize, Cow<'a, str>)> {
    let mut left = limits::BOUNCE_TOTAL_BYTES;
    let mut take = |text: &'a str| {
        let text = words::clip(text, left.min(limits::BOUNCE_TEXT_BYTES));
        left -= text.len();
        text
    };
    let outer = || input.parts.iter().enumerate().filter(|(_, part)| part.depth == 0);
    let is_plain = |kind: &str| {
        // A multipart that could not be taken apart is text too.
        (kind.starts_with("text/") && kind != "text/html" && !kind.contains("rfc822-header"))
            || kind.starts_with("multipart/")
            || kind.is_empty()
    };
    let mut texts: Vec<(usize, Cow<'a, str>)> = outer()
        .filter(|(_, part)| is_plain(&part.content_type) && !part.text.trim().is_empty())
        .map(|(i, part)| (i, Cow::Borrowed(take(&part.text))))
        .collect();
    if texts.is_empty() {
        texts = outer()
            .filter(|(_, part)| part.content_type == "text/html")
            .map(|(i, part)| (i, Cow::Owned(words::strip_html(take(&part.text), meter))))
            .collect();
    }
    texts
}

/// The report's own lines, part by part.
fn own_lines(all: &[Words<'_>]) -> Vec<(usize, Vec<(usize, String)>)> {
    let mut left = limits::BOUNCE_WORDS_BYTES;
    let lines_of = |words: &Words<'_>| {
        let lines = words.own().iter().map_while(|line| {
            left = left.checked_sub(line.text.len())?;
            Some((line.number, line.text.trim().to_owned()))
        });
        (words.part, lines.collect())
    };
    all.iter().map(lines_of).collect()
}

/// What the report says as a whole: the first part with a reply, else the first part.
fn whole_report(own: &[(usize, Vec<(usize, String)>)], meter: &Meter) -> Details {
    let mut whole: Option<Details> = None;
    for (part, lines) in own {
        let details = passage::details(*part, lines, meter);
        if details.reply.is_some() {
            return details;
        }
        whole = whole.or(Some(details));
    }
    whole.unwrap_or_default()
}

/// What the sources gave so far.
#[derive(Debug, Default)]
struct Source {
    message: MessageStatus,
    recipients: Vec<RecipientStatus>,
    supplements: Vec<Option<String>>,
    sections: Vec<Section>,
    omitted: usize,
    deviations: Vec<&'static str>,
    typed: Option<(Kind, Evidence)>,
    message_id: Option<Found<String>>,
    notice_fields: Vec<(String, String)>,
}

impl Source {
    /// Takes what fields say.
    fn take(&mut self, status: fields::Status) {
        self.recipients.extend(status.recipients);
        self.supplements.extend(status.supplements);
        self.omitted += status.omitted;
        self.deviations.extend(status.deviations);
        self.message_id = self.message_id.take().or(status.original_message_id);
        let (mine, new) = (&mut self.message, status.message);
        mine.reporting_mta = mine.reporting_mta.take().or(new.reporting_mta);
        mine.received_from_mta = mine.received_from_mta.take().or(new.received_from_mta);
        mine.arrival_date = mine.arrival_date.take().or(new.arrival_date);
        mine.envelope_id = mine.envelope_id.take().or(new.envelope_id);
        mine.queue_id = mine.queue_id.take().or(new.queue_id);
        mine.envelope_sender = mine.envelope_sender.take().or(new.envelope_sender);
    }

    /// Parts of the right type.
    fn status_parts(&mut self, input: &Input<'_>, depth: Depth, meter: &Meter) {
        for (i, part) in input.parts.iter().enumerate() {
            let here = (part.depth == 0) == (depth == Depth::Outer);
            if !here || !STATUS_TYPES.contains(&part.content_type.as_ref()) {
                continue;
            }
            let lines = words::split_lines(&part.text, meter);
            let mut status = fields::read(i, &lines, Place::StatusPart);
            if status.recipients.is_empty() {
                let loose = fields::read(i, &lines, Place::LooseField);
                if !loose.recipients.is_empty() {
                    status = loose;
                }
            }
            if status.recipients.is_empty() {
                self.deviations.push("status-part-without-recipient");
            }
            if depth == Depth::Inner && !status.recipients.is_empty() {
                self.deviations.push("report-inside-attached-mail");
            }
            self.take(status);
        }
    }

    /// The same fields in text.
    fn loose_fields(&mut self, all: &[Words<'_>], depth: Depth) {
        for words in all {
            let lines = if depth == Depth::Outer { words.own() } else { words.all() };
            let status = fields::read(words.part, lines, Place::LooseField);
            if !status.recipients.is_empty() {
                self.take(status);
                return;
            }
        }
    }

    /// JSON notices.
    fn notices(&mut self, all: &[Words<'_>], depth: Depth) {
        if depth == Depth::Inner {
            return;
        }
        let Some(notice) = all.iter().find_map(notification::read) else { return };
        if notice.is_complaint {
            self.typed = Some((Kind::Feedback, notice.evidence));
        }
        self.recipients = notice.recipients;
        self.omitted += notice.omitted;
        self.notice_fields = notice.fields;
    }

    /// Read receipts and feedback reports: told by their type.
    fn other_reports(&mut self, input: &Input<'_>, depth: Depth, meter: &Meter) {
        for (i, part) in input.parts.iter().enumerate() {
            if depth == Depth::Inner || part.depth != 0 {
                continue;
            }
            let (kind, rule) = match part.content_type.as_ref() {
                "message/disposition-notification" | "message/global-disposition-notification" => {
                    (Kind::Receipt, "receipt-part")
                }
                "message/feedback-report" => (Kind::Feedback, "feedback-part"),
                _ => continue,
            };
            let evidence = Evidence { place: Place::StatusPart, part: Some(i), line: 1, field: None, rule };
            self.typed = Some((kind, evidence));
            let mut status = fields::read(i, &words::split_lines(&part.text, meter), Place::StatusPart);
            status.deviations.clear();
            if self.recipients.is_empty() {
                self.take(status);
            }
        }
        let kind = input.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
        let evidence = Evidence::header("Content-Type", "report-type");
        if self.typed.is_none() && kind.contains("disposition-notification") {
            self.typed = Some((Kind::Receipt, evidence));
        } else if self.typed.is_none() && kind.contains("feedback-report") {
            self.typed = Some((Kind::Feedback, evidence));
        }
    }

    /// Passages in words.
    fn find_passages(&mut self, input: &Input<'_>, all: &[Words<'_>], depth: Depth, meter: &Meter) {
        let own: Vec<String> = ["To", "From", "Delivered-To", "X-Original-To"]
            .iter()
            .filter_map(|name| input.header(name))
            .flat_map(words::addresses)
            .take(20)
            .map(|address| address.text.to_owned())
            .collect();
        self.sections = all
            .iter()
            .flat_map(|words| {
                let lines = if depth == Depth::Outer { words.own() } else { words.all() };
                sections::find(words, lines, &own, meter)
            })
            .collect();
        let best = self.sections.iter().map(|section| section.strength).max().unwrap_or(0);
        self.sections.retain(|section| section.strength == best);
    }

    /// Names recipients by `X-Failed-Recipients` and by the passages. True if somebody is named.
    fn name_by_passages(&mut self, input: &Input<'_>, meter: &Meter) -> bool {
        let failed: Vec<String> = input
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("X-Failed-Recipients"))
            .flat_map(|(_, value)| words::addresses(value))
            .take(limits::BOUNCE_RECIPIENTS)
            .map(|address| address.text.to_owned())
            .collect();
        for address in &failed {
            let evidence = Evidence::header("X-Failed-Recipients", "failed-recipients-field");
            self.push(address.clone(), evidence);
        }
        for i in 0..self.sections.len() {
            let Some(section) = self.sections.get(i) else { break };
            let listed = failed.iter().any(|address| address.eq_ignore_ascii_case(&section.address));
            // Beside the field, a passage counts only with a refusal of its own.
            let refused =
                failed.is_empty() || passage::details(section.part(), &section.lines, meter).reply.is_some();
            let is_child_of_listed = section.expanded_from.is_some() && !failed.is_empty();
            if !listed && refused && !is_child_of_listed {
                let (address, evidence) = (section.address.clone(), section.evidence);
                self.push(address, evidence);
            }
        }
        !self.recipients.is_empty()
    }

    /// Adds a recipient that is only named.
    fn push(&mut self, address: String, evidence: Evidence) {
        if self.recipients.len() >= limits::BOUNCE_RECIPIENTS {
            self.omitted += 1;
            return;
        }
        let mut status = RecipientStatus::empty();
        status.final_recipient = Some(Found::new(Recipient { kind: None, address }, evidence));
        self.recipients.push(status);
    }

    /// The facts of the message that is answered.
    fn original(&mut self, input: &Input<'_>, all: &[Words<'_>], meter: &Meter) -> Original {
        let is_inner = self.deviations.contains(&"report-inside-attached-mail");
        let mut original = original::gather(input, all, is_inner, meter);
        if original.message_id.is_none() {
            original.message_id = self.message_id.take();
            if original.message_id.is_some() && original.extent == original::Extent::Nothing {
                original.extent = original::Extent::Facts;
            }
        }
        if original.fields.is_empty() {
            original.take_notice(std::mem::take(&mut self.notice_fields));
        }
        original
    }
}

// ---- One recipient ----

/// The words around a refusal in which its reason may stand: the passage, else the whole report if it
/// is about one recipient.
fn words_around(section: Option<&Section>, single: bool, own: &[(usize, Vec<(usize, String)>)]) -> String {
    const BYTES: usize = 2_048;
    let passage = section.map_or(&[][..], |section| &section.lines);
    let is_empty = passage.iter().all(|(_, line)| line.is_empty());
    let report = own.iter().flat_map(|(_, lines)| lines).filter(|_| is_empty && single);
    let mut words = section.map(|section| section.head.clone()).unwrap_or_default();
    for (_, line) in passage.iter().chain(report).filter(|(_, line)| !line.is_empty()) {
        if words.len() > BYTES {
            break;
        }
        words.push(' ');
        words.push_str(words::clip(line, BYTES));
    }
    words
}

// ---- The whole ----

/// Makes the report, now that the kind of the mail is known.
pub(super) fn finish(input: &Input<'_>, gathered: Gathered, judgement: Judgement) -> DeliveryReport {
    let Gathered { message, mut recipients, omitted, original, mut deviations, retry, .. } = gathered;
    let kind = judgement.kind;
    if recipients.is_empty()
        && matches!(kind, Kind::Bounce | Kind::Delay)
        && let Some(found) = original.only_recipient()
    {
        // Weak: the header of the message, not its envelope.
        let mut status = RecipientStatus::empty();
        let recipient = Recipient { kind: None, address: found.value };
        status.final_recipient = Some(Found::new(recipient, found.evidence));
        choice::complete(&mut status, &message);
        recipients.push(status);
    }
    if matches!(kind, Kind::AutoReply | Kind::Challenge | Kind::Held) {
        // Addresses in the words of an answer are nobody's fate; who answers is the one whom the mail
        // reached.
        recipients.retain(|status| status.action.is_some());
    }
    if recipients.is_empty()
        && matches!(kind, Kind::AutoReply | Kind::Receipt)
        && let Some(address) = input.header("From").and_then(words::address_of)
    {
        let mut status = RecipientStatus::empty();
        let recipient = Recipient { kind: None, address };
        let evidence = Evidence::header("From", "author-of-answer");
        status.final_recipient = Some(Found::new(recipient, evidence));
        recipients.push(status);
    }
    for status in &mut recipients {
        status.outcome = match (status.outcome, kind) {
            (_, Kind::AutoReply | Kind::Receipt | Kind::Feedback | Kind::Challenge | Kind::Held) => {
                Outcome::Arrived
            }
            (Outcome::Unknown, Kind::Bounce) => Outcome::Failed,
            (Outcome::Unknown, Kind::Delay) => Outcome::Delayed,
            (outcome, _) => outcome,
        };
        let class = status
            .enhanced_status
            .as_ref()
            .map(|found| found.value.class)
            .or(status.reply_code.as_ref().map(|found| found.value.class()));
        let is_expired =
            |action: &Found<super::Action>| action.value.as_str().eq_ignore_ascii_case("expired");
        let says_expired = status.action.as_ref().is_some_and(is_expired);
        status.permanence = match (status.outcome, class) {
            (Outcome::Failed, Some(Class::Permanent)) => Permanence::Permanent,
            // Given up after its time: the code is the last, passing trouble.
            (Outcome::Failed, Some(Class::Transient)) => Permanence::Expired,
            (Outcome::Failed, _) if status.reason.value == Reason::Expired || says_expired => {
                Permanence::Expired
            }
            (Outcome::Delayed, _) => Permanence::Temporary,
            _ => Permanence::Unknown,
        };
        let field = status.status_field.as_ref().and_then(|found| EnhancedStatus::parse_field(&found.value));
        let code = status.reply_code.as_ref().map(|found| found.value.class());
        if field.is_some_and(|field| code.is_some_and(|code| code != field.class)) {
            deviations.push("class-conflict");
        }
        if status.outcome == Outcome::Delayed && status.will_retry_until.is_none() {
            status.will_retry_until.clone_from(&retry);
        }
        // Seen from OpenSMTPD: a warning says "Envelope expired" while the mail is still being tried.
        let lies = status.outcome == Outcome::Delayed && status.reason.value == Reason::Expired;
        if lies || !matches!(status.outcome, Outcome::Failed | Outcome::Delayed | Outcome::Unknown) {
            status.reason = RecipientStatus::empty().reason;
        }
    }
    deviations.sort_unstable();
    deviations.dedup();
    DeliveryReport { judgement, message, recipients, recipients_omitted: omitted, original, deviations }
}
