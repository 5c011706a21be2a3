//! What goes into the store: new messages, and what reading them gave.

use crate::classify::MessageKind;
use crate::clock::Timestamp;
use crate::mail::delivery_status::{DeliveryReport, Evidence, Found, Outcome as Told, Permanence};
use crate::mail::{Address, Body, DomainName, Envelope, MessageId, Purpose};
use crate::probe::bounce::outcome_of;
use crate::reports::Unreadable;
use crate::reports::aggregate::Record;
use crate::reports::digest::ReportDigest;
use crate::reports::failure::{FailureReport, Redactor, ShownFailure};
use crate::reports::tls::TlsDigest;
use crate::store::{LoadingId, Packed, ReadReflection, ReadWatched, Returned, Sighting};
use crate::summary::Trust;

/// A message to keep: the envelope as known, the bytes as received.
#[derive(Debug)]
pub struct NewMessage {
    /// Who brought it, when and how.
    pub envelope: Envelope,
    /// The bytes. A spool file is synced by whoever made it, in [`crate::store::Store::spool_folder`].
    pub body: Body,
    /// What its recipients are for.
    pub purposes: Vec<Purpose>,
    /// The name of an imported file that is not a mail (`.xml`, `.gz`, `.zip`); `None` for mail.
    pub file_name: Option<String>,
}

/// The state of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageStatus {
    /// Kept, not read yet.
    Pending,
    /// Read.
    Read,
    /// All that it brought is counted already.
    Duplicate,
    /// Something that looks like a report could not be read.
    Unread,
    /// Ordinary mail.
    Kept,
}

impl MessageStatus {
    /// All values.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Read, Self::Duplicate, Self::Unread, Self::Kept];

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Read => "read",
            Self::Duplicate => "duplicate",
            Self::Unread => "unread",
            Self::Kept => "kept",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// The message that was read.
#[derive(Debug)]
pub enum MessageRef {
    /// One that waits in the store.
    Stored(MessageId),
    /// One that the store does not have: kept together with what was read in it.
    New(Box<NewMessage>),
}

/// Everything that reading one message gave. Stored in one transaction.
#[derive(Debug)]
pub struct Reading {
    /// What the message is.
    pub kind: MessageKind,
    /// The status to give; `None` leaves it to the store: unread if anything could not be read, duplicate if
    /// all reports were counted before, read if there were reports or another kind than `other`, else kept.
    pub status: Option<MessageStatus>,
    /// Why, for people; `None` leaves it to the store.
    pub reason: Option<String>,
    /// Names of the message's own deviations; those of its reports are added.
    pub deviations: Vec<String>,
    /// The Message-ID field.
    pub message_id: Option<String>,
    /// Message-IDs without `<>` of other mails that it names: those that it answers, the one that came back.
    pub references: Vec<String>,
    /// The Subject field, decoded.
    pub subject: Option<String>,
    /// The address in the From field.
    pub header_from: Option<String>,
    /// How far its reports can be believed, as long as verification has not judged the message: its verdict stays.
    pub trust: Trust,
    /// The version of the reader.
    pub parser_version: u32,
    /// When it was read.
    pub read_at: Timestamp,
    /// The bytes, compressed by [`crate::store::pack`] outside the writer; `None` leaves them as they are.
    pub packed: Option<Packed>,
    /// SHA-256 of the bytes of a new message, where it was computed already.
    pub sha256: Option<[u8; 32]>,
    /// What could not be read.
    pub unread: Vec<Unreadable>,
    /// Aggregate reports read whole, in order of appearance.
    pub reports: Vec<ReadReport>,
    /// TLS reports read whole, in order of appearance.
    pub tls: Vec<ReadTls>,
    /// Failure reports and other feedback, in order of appearance.
    pub failures: Vec<ReadFailure>,
    /// What it says as a notice of a mail system, a row a recipient.
    pub bounces: Vec<ReadBounce>,
    /// What it tells of our probes as such a probe.
    pub probes: Vec<Sighting>,
    /// What it tells of our probes as a mail that came back.
    pub returned: Vec<Returned>,
    /// Whether it is answered, as the arrival of a probe; absent where that is not asked.
    pub reflection: Option<ReadReflection>,
    /// What it is to watched addresses; absent where it came to none.
    pub watched: Option<ReadWatched>,
}

/// One aggregate report, read whole.
#[derive(Debug)]
pub struct ReadReport {
    /// Part and entry names.
    pub place: String,
    /// Everything but its records.
    pub digest: ReportDigest,
    /// Its records.
    pub rows: ReportRows,
}

/// One TLS report, read whole.
#[derive(Debug)]
pub struct ReadTls {
    /// Part and entry names.
    pub place: String,
    /// Everything.
    pub digest: TlsDigest,
}

/// One failure report or other feedback, without persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFailure {
    /// The archive entry; empty for the mail itself.
    pub place: String,
    /// The domain under which it counts: that of the author.
    pub domain: Option<DomainName>,
    /// True for a report about authentication, false for a complaint and the like.
    pub is_authentication: bool,
    /// Its values, persons hidden.
    pub shown: ShownFailure,
    /// SHA-256 of what tells it from other reports.
    pub content_sha256: [u8; 32],
}

impl ReadFailure {
    /// Hides the persons of a report. `message_id` is the Message-ID of its mail: it tells two reports apart that
    /// quote nothing.
    pub fn of(report: &FailureReport, place: String, redactor: &Redactor, message_id: Option<&str>) -> Self {
        let shown = report.shown(redactor);
        let content_sha256 = match &report.original {
            Some(original) => super::failure::content_sha256(&shown, &original.sha256),
            None => super::failure::content_sha256(&shown, message_id.unwrap_or_default().as_bytes()),
        };
        let is_authentication = report.is_authentication_failure();
        Self { place, domain: report.header_from().cloned(), is_authentication, shown, content_sha256 }
    }
}

/// What a notice of a mail system says of one recipient. The fields are those of the table `bounce`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadBounce {
    /// The notice as a whole.
    pub kind: &'static str,
    /// This recipient.
    pub outcome: &'static str,
    /// The recipient.
    pub recipient: Option<String>,
    /// Its domain.
    pub recipient_domain: Option<DomainName>,
    /// The recipient as the sender named it.
    pub original_recipient: Option<String>,
    /// `Action` as written.
    pub action: Option<String>,
    /// The enhanced status code.
    pub enhanced_status: Option<String>,
    /// The reply code.
    pub reply_code: Option<u16>,
    /// Whether it may succeed later.
    pub class: Option<&'static str>,
    /// Why.
    pub reason: &'static str,
    /// The step of the dialogue.
    pub phase: Option<&'static str>,
    /// The host that refused.
    pub remote_mta: Option<String>,
    /// The host that reports.
    pub reporting_mta: Option<String>,
    /// The words of the refusal.
    pub diagnostic: Option<String>,
    /// Until when the host goes on trying.
    pub will_retry_until: Option<Timestamp>,
    /// The probe.
    pub token: Option<String>,
    /// Where values stood.
    pub evidence: Vec<String>,
    /// SHA-256 of what tells the notice from others, by whatever host it came; the same in all its rows.
    pub copy_key: Option<[u8; 32]>,
}

impl ReadBounce {
    /// The rows of a notice, at least one; `token` is the name of the probe that it is about, `notice_id` the
    /// Message-ID of the notice.
    pub fn rows(report: &DeliveryReport, token: Option<&str>, notice_id: Option<&str>) -> Vec<Self> {
        let mut rows = Self::rows_without_key(report, token);
        let original = report.original.message_id.as_ref().map(|found| found.value.as_str());
        let key = copy_key(&rows, original, notice_id);
        for row in &mut rows {
            row.copy_key = key;
        }
        rows
    }

    /// The rows without their key.
    fn rows_without_key(report: &DeliveryReport, token: Option<&str>) -> Vec<Self> {
        let kind = report.kind();
        let whole = Self {
            kind: kind.as_str(),
            outcome: outcome_of(kind).as_str(),
            reason: "other",
            reporting_mta: report.message.reporting_mta.as_ref().map(|mta| mta.value.name.clone()),
            token: token.map(str::to_owned),
            ..Self::default()
        };
        if report.recipients.is_empty() {
            return vec![whole];
        }
        let row = |status: &crate::mail::delivery_status::RecipientStatus| {
            let mut evidence = Vec::new();
            note(&mut evidence, "recipient", status.final_recipient.as_ref());
            note(&mut evidence, "action", status.action.as_ref());
            note(&mut evidence, "enhanced_status", status.enhanced_status.as_ref());
            note(&mut evidence, "reply_code", status.reply_code.as_ref());
            note(&mut evidence, "diagnostic", status.diagnostic.as_ref());
            note(&mut evidence, "remote_mta", status.remote_mta.as_ref());
            note(&mut evidence, "phase", status.phase.as_ref());
            note(&mut evidence, "reason", Some(&status.reason));
            let address = |found: &Option<Found<crate::mail::delivery_status::Recipient>>| {
                found.as_ref().map(|found| found.value.address.clone())
            };
            let recipient = status.address().map(str::to_owned);
            let domain =
                recipient.as_deref().and_then(Address::parse).and_then(|address| address.domain_name());
            Self {
                outcome: match status.outcome {
                    Told::Unknown => whole.outcome,
                    outcome => outcome.as_str(),
                },
                original_recipient: address(&status.original_recipient)
                    .filter(|text| Some(text) != recipient.as_ref()),
                recipient,
                recipient_domain: domain,
                action: status.action.as_ref().map(|found| found.value.as_str().to_owned()),
                enhanced_status: status.enhanced_status.as_ref().map(|found| found.value.to_string()),
                reply_code: status.reply_code.as_ref().map(|found| found.value.value()),
                class: Some(status.permanence)
                    .filter(|permanence| *permanence != Permanence::Unknown)
                    .map(Permanence::as_str),
                reason: status.reason.value.as_str(),
                phase: status.phase.as_ref().map(|found| found.value.as_str()),
                remote_mta: status.remote_mta.as_ref().map(|found| found.value.name.clone()),
                reporting_mta: status
                    .reporting_mta
                    .as_ref()
                    .map(|found| found.value.name.clone())
                    .or_else(|| whole.reporting_mta.clone()),
                diagnostic: status.diagnostic.as_ref().map(|found| found.value.clone()),
                will_retry_until: status.will_retry_until.as_ref().and_then(|found| found.value.at),
                evidence,
                ..whole.clone()
            }
        };
        report.recipients.iter().map(row).collect()
    }
}

/// What tells a notice from others. A message has one end for a recipient, so that host, message and end are enough;
/// a delay may be told again and again, each time in a notice of its own.
fn copy_key(rows: &[ReadBounce], original_id: Option<&str>, notice_id: Option<&str>) -> Option<[u8; 32]> {
    let is_end = |row: &ReadBounce| row.recipient.is_some() && !matches!(row.outcome, "delayed" | "unknown");
    let (kind, id) = match original_id.filter(|id| !id.is_empty() && rows.iter().all(is_end)) {
        Some(id) => ("original", id),
        None => ("notice", notice_id.filter(|id| !id.is_empty())?),
    };
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let host = row.reporting_mta.as_deref().unwrap_or_default().to_lowercase();
            let recipient = row.recipient.as_deref().unwrap_or_default().to_lowercase();
            let status = row.enhanced_status.as_deref().unwrap_or_default();
            format!("{host}\n{recipient}\n{}\n{status}\n{:?}", row.outcome, row.reply_code)
        })
        .collect();
    lines.sort();
    Some(super::message::sha256(format!("{kind}\n{}\n{}", id.trim(), lines.join("\n\n")).as_bytes()))
}

/// Notes where a value stood.
fn note<T>(evidence: &mut Vec<String>, name: &str, found: Option<&Found<T>>) {
    if let Some(Found { evidence: Evidence { place, rule, .. }, .. }) = found {
        evidence.push(format!("{name}:{}:{rule}", place.as_str()));
    }
}

/// The records of a report.
#[derive(Debug)]
pub enum ReportRows {
    /// All of them, in file order.
    Records(Vec<Record>),
    /// Already pushed in slices.
    Loaded(LoadingId),
    /// Not needed, as [`crate::store::Store::begin_loading`] said.
    NotNeeded,
}

/// What became of one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Counted,
    /// The same values were there already; the message that brought them.
    Duplicate {
        /// The message whose report counts (or was set aside).
        of: MessageId,
    },
    /// Reports with the same key and other values exist; one of them counts.
    Conflicting {
        /// True if it is this one.
        counts: bool,
    },
    /// Its mail failed its authentication, or that which its kind asks for: listed, not counted.
    Untrusted,
    /// Its domain is not watched: kept apart.
    Unclaimed,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its id.
    pub message_id: MessageId,
    /// Its status.
    pub status: MessageStatus,
    /// Why.
    pub reason: Option<String>,
    /// The message of which it is a copy.
    pub duplicate_of: Option<MessageId>,
    /// What became of its aggregate reports, in the order given.
    pub reports: Vec<Outcome>,
    /// What became of its other reports, for each domain that they are about.
    pub others: Vec<Outcome>,
    /// False if the message was no longer pending: another process was first and nothing was written.
    pub was_pending: bool,
}
