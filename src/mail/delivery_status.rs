//! Bounces, delay warnings and everything else that comes back in their place, read tolerantly.
//!
//! A [`DeliveryReport`] is what one such mail says: its kind with the marks that led to it, one
//! [`RecipientStatus`] per recipient, the facts of the message that it answers, and the texts in which
//! a probe's token may stand. Every value is a [`Found`]: it carries where it stood and which rule
//! took it. It comes from [`read`], which gets header fields and decoded leaf parts; it goes to
//! `probe::bounce` and the store.
//!
//! Half of all bounces have a part of RFC 3464, and a tenth of those parts are broken, so fields are
//! read one by one (`fields`), anywhere; words are read by their structure (`words`, `sections`), not
//! by software names; kinds are told apart by a score (`judge`), since no single header tells a bounce
//! from a vacation note. Nothing is made up: a bounce without a code has no code.
//!
//! Limits: `limits::BOUNCE_*`. Pure, in one pass over each text; no expression engine.
//! Standards: RFC 3464, RFC 3461, RFC 6522, RFC 6533, RFC 3463, RFC 3834, RFC 8098, RFC 3798, RFC 5965.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::status_code::{EnhancedStatus, ReplyCode};

mod choice;
pub(super) mod dates;
mod fields;
mod input;
mod judge;
mod notification;
mod original;
mod passage;
mod phrases;
mod reason;
mod recipients;
mod sections;
#[cfg(test)]
mod tests;
mod words;

pub use judge::{Judgement, Kind, Mark, judge};
pub use original::{Extent, Original};
pub use reason::{Blame, Reason};

// ---- What is read ----

/// A mail as this reader needs it: the caller has taken it apart and decoded it.
#[derive(Debug, Clone, Default)]
pub struct Input<'a> {
    /// The header fields in order: name, and value unfolded; encoded words may stand.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The leaf parts in order.
    pub parts: Vec<Part<'a>>,
    /// True if the reverse-path was `<>`, where a transport was seen.
    pub null_sender: Option<bool>,
}

/// One leaf part, its transfer encoding and charset undone.
///
/// An attached mail is a leaf too: type `message/rfc822`, `text` at least its header block; its own
/// leaf parts follow with a `depth` one higher.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// `type/subtype` in lower case, without parameters.
    pub content_type: Cow<'a, str>,
    /// The text.
    pub text: Cow<'a, str>,
    /// 0 for parts of the mail itself, 1 for parts of a mail attached to it, and so on.
    pub depth: usize,
}

impl Input<'_> {
    /// The value of the first field of a name, compared without case.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

// ---- Evidence ----

/// In what kind of place a value stood, from the most to the least reliable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The envelope: the reverse-path that the transport showed.
    Envelope,
    /// A field of a part of the right type.
    StatusPart,
    /// The same field in a part of another type, or pasted into text.
    LooseField,
    /// A machine-readable notice of another form (JSON).
    Notice,
    /// A header field of the mail.
    Header,
    /// Words of the report.
    Words,
    /// The returned message.
    Original,
}

impl Place {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::StatusPart => "status_part",
            Self::LooseField => "loose_field",
            Self::Notice => "notice",
            Self::Header => "header",
            Self::Words => "words",
            Self::Original => "original",
        }
    }
}

/// Where a value stood and which rule took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// The kind of place.
    pub place: Place,
    /// The index of the part in the input; absent for header and envelope.
    pub part: Option<usize>,
    /// The line in the part's text, from 1; 0 for header and envelope.
    pub line: usize,
    /// The field's name in its usual spelling, if it was a field.
    pub field: Option<&'static str>,
    /// The rule, a short name that does not change.
    pub rule: &'static str,
}

impl Evidence {
    /// Evidence in a header field of the mail.
    const fn header(field: &'static str, rule: &'static str) -> Self {
        Self { place: Place::Header, part: None, line: 0, field: Some(field), rule }
    }

    /// Evidence in the words of a part.
    const fn words(part: usize, line: usize, rule: &'static str) -> Self {
        Self { place: Place::Words, part: Some(part), line, field: None, rule }
    }

    /// The same place, taken by another rule.
    const fn by(self, rule: &'static str) -> Self {
        Self { rule, ..self }
    }
}

/// A value and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// Where it stood.
    pub evidence: Evidence,
}

impl<T> Found<T> {
    /// Pairs a value with its evidence.
    const fn new(value: T, evidence: Evidence) -> Self {
        Self { value, evidence }
    }
}

// ---- What comes out ----

/// An address as a report names it: `rfc822; user@example.net`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// The address type in lower case (RFC 3464 §2.1.2), if one was named.
    pub kind: Option<String>,
    /// The address, without brackets and comments, case as written; not always a valid one.
    pub address: String,
}

impl Recipient {
    /// True if both are one mailbox to us: compared without case, like [`crate::mail::Address::matches`].
    pub fn matches(&self, address: &str) -> bool {
        self.address.eq_ignore_ascii_case(address)
    }
}

/// A host as a report names it: `dns; mx.example.net (192.0.2.1)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mta {
    /// The name type in lower case, if one was named.
    pub kind: Option<String>,
    /// The name or address, without comment.
    pub name: String,
    /// The address in the name or its comment.
    pub ip: Option<IpAddr>,
}

/// A date as a report writes it, and the instant where it states one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Date {
    /// As written, or the words it was reckoned from.
    pub text: String,
    /// The instant; absent without a zone or where the text is no date.
    pub at: Option<Timestamp>,
}

/// The `Action` field (RFC 3464 §2.3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// The mail will not be delivered.
    Failed,
    /// The mail waits; no final outcome.
    Delayed,
    /// The mail is delivered.
    Delivered,
    /// The mail went on to a host that sends no reports: the trail ends there.
    Relayed,
    /// The mail was split up into several addresses.
    Expanded,
    /// Another word, as written.
    Other(String),
}

impl Action {
    /// Reads the value: case and comments do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split(['(', ';']).next().unwrap_or_default().trim().trim_matches(['"', '.']);
        if word.is_empty() {
            return None;
        }
        Some(match word.to_ascii_lowercase().as_str() {
            "failed" => Self::Failed,
            "delayed" => Self::Delayed,
            "delivered" => Self::Delivered,
            "relayed" => Self::Relayed,
            "expanded" => Self::Expanded,
            _ => Self::Other(words::clip(word, limits::HEADER_TEXT_BYTES).to_owned()),
        })
    }

    /// The word of the standard, or the other word as written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
            Self::Other(word) => word,
        }
    }
}

/// What became of the mail for one recipient, as far as the report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Final: not delivered.
    Failed,
    /// Not final: still in a queue.
    Delayed,
    /// Went on to a host that does not report.
    Relayed,
    /// Split up into several addresses.
    Expanded,
    /// Delivered.
    Delivered,
    /// No delivery notice, but an answer that only a mail that arrived can cause.
    Arrived,
    /// The report does not say.
    Unknown,
}

impl Outcome {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
            Self::Delivered => "delivered",
            Self::Arrived => "arrived",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether the same mail may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permanence {
    /// Refused for good: class 5.
    Permanent,
    /// Given up after retries: a failure with a code of class 4.
    Expired,
    /// Still being tried.
    Temporary,
    /// Not said, or no failure.
    Unknown,
}

impl Permanence {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Expired => "expired",
            Self::Temporary => "temporary",
            Self::Unknown => "unknown",
        }
    }
}

/// The step of the SMTP dialogue at which the far end refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No connection.
    Connect,
    /// The greeting.
    Banner,
    /// HELO or EHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, before the text.
    Data,
    /// After the final dot.
    EndOfData,
}

impl Phase {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::EndOfData => "end_of_data",
        }
    }
}

/// What a report says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientStatus {
    /// The recipient that the report is about (RFC 3464 §2.3.2), or that its words name.
    pub final_recipient: Option<Found<Recipient>>,
    /// The recipient as the sender named it (RFC 3464 §2.3.1), or that an alias was expanded from.
    pub original_recipient: Option<Found<Recipient>>,
    /// The action as written.
    pub action: Option<Found<Action>>,
    /// What became of the mail.
    pub outcome: Outcome,
    /// The most telling enhanced status: see the head of `choice`.
    pub enhanced_status: Option<Found<EnhancedStatus>>,
    /// The `Status` field as written, even where another code tells more.
    pub status_field: Option<Found<String>>,
    /// The reply code of the host that refused.
    pub reply_code: Option<Found<ReplyCode>>,
    /// The words of the refusal: `Diagnostic-Code` without its type, else from the report's words.
    pub diagnostic: Option<Found<String>>,
    /// The type of `Diagnostic-Code` in lower case (`smtp`, `x-unix`, …).
    pub diagnostic_kind: Option<String>,
    /// The host that refused or was not reached.
    pub remote_mta: Option<Found<Mta>>,
    /// The host that reports.
    pub reporting_mta: Option<Found<Mta>>,
    /// The step at which it failed.
    pub phase: Option<Found<Phase>>,
    /// When the message came to the reporting host.
    pub arrival_date: Option<Found<Date>>,
    /// The last try.
    pub last_attempt: Option<Found<Date>>,
    /// Until when the host goes on trying.
    pub will_retry_until: Option<Found<Date>>,
    /// Why.
    pub reason: Found<Reason>,
    /// Whether it may succeed later.
    pub permanence: Permanence,
    /// The `Disposition` field of a read receipt as written (RFC 8098 §3.2.6).
    pub disposition: Option<Found<String>>,
}

impl RecipientStatus {
    /// A status that says nothing yet.
    fn empty() -> Self {
        let nowhere = Evidence { place: Place::Words, part: None, line: 0, field: None, rule: "no-reason" };
        Self {
            final_recipient: None,
            original_recipient: None,
            action: None,
            outcome: Outcome::Unknown,
            enhanced_status: None,
            status_field: None,
            reply_code: None,
            diagnostic: None,
            diagnostic_kind: None,
            remote_mta: None,
            reporting_mta: None,
            phase: None,
            arrival_date: None,
            last_attempt: None,
            will_retry_until: None,
            reason: Found::new(Reason::Other, nowhere),
            permanence: Permanence::Unknown,
            disposition: None,
        }
    }

    /// The final recipient's address, else the original one's.
    pub fn address(&self) -> Option<&str> {
        self.final_recipient.as_ref().or(self.original_recipient.as_ref()).map(|r| r.value.address.as_str())
    }
}

/// What a report says about the message as a whole (RFC 3464 §2.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageStatus {
    /// The host that reports.
    pub reporting_mta: Option<Found<Mta>>,
    /// The host from which it had the message.
    pub received_from_mta: Option<Found<Mta>>,
    /// When the message came to it.
    pub arrival_date: Option<Found<Date>>,
    /// ENVID of the submission (RFC 3461 §4.4).
    pub envelope_id: Option<Found<String>>,
    /// The queue id at the reporting host.
    pub queue_id: Option<Found<String>>,
    /// The envelope sender that it saw: our return path.
    pub envelope_sender: Option<Found<Recipient>>,
}

/// What one mail that came back says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// What kind of mail it is, how surely, and why.
    pub judgement: Judgement,
    /// What it says about the message as a whole.
    pub message: MessageStatus,
    /// One entry a recipient, in the order of the report.
    pub recipients: Vec<RecipientStatus>,
    /// Recipients left out over `limits::BOUNCE_RECIPIENTS`.
    pub recipients_omitted: usize,
    /// What it returns of the message that it answers.
    pub original: Original,
    /// How it departs from the standards, by name, each once.
    pub deviations: Vec<&'static str>,
}

/// In what kind of text a token may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenPlace {
    /// An address of a recipient.
    Recipient,
    /// The envelope sender of the message.
    EnvelopeSender,
    /// ENVID of the submission.
    EnvelopeId,
    /// Message-ID, In-Reply-To or References.
    MessageId,
    /// A subject.
    Subject,
    /// Another field of the returned message.
    OriginalField,
    /// The text of a part.
    Text,
    /// The same without blanks and soft line breaks: tokens cut by re-wrapping.
    SqueezedText,
}

impl DeliveryReport {
    /// What kind of mail it is.
    pub const fn kind(&self) -> Kind {
        self.judgement.kind
    }

    /// The texts in which a token of ours may stand, the most reliable first. The caller looks for tokens.
    ///
    /// Shape: short texts first, then the text of each part, then the squeezed text of each part.
    /// The header fields To, Subject, In-Reply-To and References of the mail itself are among them.
    pub fn token_texts<'a>(&'a self, input: &'a Input<'a>) -> Vec<(TokenPlace, Cow<'a, str>)> {
        let mut texts: Vec<(TokenPlace, Cow<'a, str>)> = Vec::new();
        for status in &self.recipients {
            for found in [&status.original_recipient, &status.final_recipient].into_iter().flatten() {
                texts.push((TokenPlace::Recipient, Cow::Borrowed(&found.value.address)));
            }
        }
        if let Some(found) = &self.message.envelope_sender {
            texts.push((TokenPlace::EnvelopeSender, Cow::Borrowed(&found.value.address)));
        }
        if let Some(found) = &self.message.envelope_id {
            texts.push((TokenPlace::EnvelopeId, Cow::Borrowed(&found.value)));
        }
        if let Some(found) = &self.original.message_id {
            texts.push((TokenPlace::MessageId, Cow::Borrowed(&found.value)));
        }
        for (name, value) in &input.headers {
            let place = match name.to_ascii_lowercase().as_str() {
                "in-reply-to" | "references" | "x-original-message-id" => TokenPlace::MessageId,
                "subject" => TokenPlace::Subject,
                "to" | "delivered-to" | "x-original-to" | "envelope-to" => TokenPlace::EnvelopeSender,
                _ => continue,
            };
            texts.push((place, Cow::Borrowed(value)));
        }
        if let Some(found) = &self.original.subject {
            texts.push((TokenPlace::Subject, Cow::Borrowed(&found.value)));
        }
        for (_, value) in &self.original.fields {
            texts.push((TokenPlace::OriginalField, Cow::Borrowed(value)));
        }
        let mut left = limits::BOUNCE_TOTAL_BYTES;
        let mut squeezed = Vec::new();
        for part in &input.parts {
            let text = words::clip(&part.text, left.min(limits::BOUNCE_TEXT_BYTES));
            left -= text.len();
            texts.push((TokenPlace::Text, Cow::Borrowed(text)));
            squeezed.push((TokenPlace::SqueezedText, Cow::Owned(words::squeeze(text))));
        }
        texts.append(&mut squeezed);
        texts
    }
}

// ---- Reading ----

/// Reads a bounce or anything else that comes back in its place.
///
/// Shape: one status a recipient, in the order of the report; for answers that prove arrival
/// (automatic replies, read receipts) the one who answered.
/// Errors: `None` for a mail that is nothing of the kind, as far as one can see.
/// Standard: RFC 3464 §2, RFC 8098 §3, RFC 3834 §5.
pub fn read(input: &Input<'_>) -> Option<DeliveryReport> {
    let gathered = recipients::gather(input);
    let judgement = judge::judge_gathered(input, &gathered);
    // A report that tells of no trouble is still a report; fields that a person pasted are none.
    let is_stated = |action: &Found<Action>| action.evidence.place == Place::StatusPart;
    let has_status = gathered.recipients.iter().any(|status| status.action.as_ref().is_some_and(is_stated));
    if judgement.kind == Kind::Other && !has_status {
        return None;
    }
    Some(recipients::finish(input, gathered, judgement))
}
