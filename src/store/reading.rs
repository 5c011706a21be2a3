//! What goes into the store: new messages, and what reading them gave.

use crate::classify::MessageKind;
use crate::clock::Timestamp;
use crate::mail::{Body, DomainName, Envelope, MessageId, Purpose};
use crate::reports::Unreadable;
use crate::reports::aggregate::Record;
use crate::reports::digest::ReportDigest;
use crate::reports::failure::{FailureReport, Redactor, ShownFailure};
use crate::reports::tls::TlsDigest;
use crate::store::{LoadingId, Packed, Sighting};
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
    /// The Subject field, decoded.
    pub subject: Option<String>,
    /// The address in the From field.
    pub header_from: Option<String>,
    /// How far its reports can be believed.
    pub trust: Trust,
    /// The version of the reader.
    pub parser_version: u32,
    /// When it was read.
    pub read_at: Timestamp,
    /// The bytes, compressed by [`crate::store::pack`] outside the writer; `None` leaves them as they are.
    pub packed: Option<Packed>,
    /// What could not be read.
    pub unread: Vec<Unreadable>,
    /// Aggregate reports read whole, in order of appearance.
    pub reports: Vec<ReadReport>,
    /// TLS reports read whole, in order of appearance.
    pub tls: Vec<ReadTls>,
    /// Failure reports and other feedback, in order of appearance.
    pub failures: Vec<ReadFailure>,
    /// What it tells of our probes.
    pub probes: Vec<Sighting>,
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
