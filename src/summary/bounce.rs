//! `report bounces` and `report bounce-list`: what mail systems said of mails that were sent.

use crate::clock::Timestamp;

/// A row of `report bounces`: recipients of one day with one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BounceGroupRow {
    /// The UTC day on which the notice came, `2026-03-01`.
    pub day: String,
    /// `failed`, `delayed`, `relayed`, `expanded`, `delivered` or `unknown`.
    pub outcome: String,
    /// The enhanced status code.
    pub enhanced_status: Option<String>,
    /// `permanent`, `expired` or `temporary`.
    pub class: Option<String>,
    /// The host that refused or was not reached.
    pub host: Option<String>,
    /// Why.
    pub reason: String,
    /// The host that reports.
    pub reporting_mta: Option<String>,
    /// The domain of the recipients.
    pub recipient_domain: Option<String>,
    /// Recipients.
    pub recipients: u64,
    /// Of these, those of our probes.
    pub probes: u64,
    /// When the first of the notices came.
    pub first: Timestamp,
    /// When the last one came.
    pub last: Timestamp,
    /// The probe that the last one about a probe is about.
    pub token: Option<String>,
}

/// A row of `report bounce-list`: one recipient of one notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BounceRow {
    /// The message that brought it.
    pub id: String,
    /// When it came.
    pub received_at: Timestamp,
    /// `bounce`, `delay`, `relayed`, `expanded` or `delivered`: the notice as a whole.
    pub kind: String,
    /// As in [`BounceGroupRow`].
    pub outcome: String,
    /// The recipient.
    pub recipient: Option<String>,
    /// Its domain.
    pub recipient_domain: Option<String>,
    /// The recipient as the sender named it, where it differs.
    pub original_recipient: Option<String>,
    /// The `Action` field as written.
    pub action: Option<String>,
    /// The enhanced status code.
    pub enhanced_status: Option<String>,
    /// The reply code.
    pub reply_code: Option<u64>,
    /// As in [`BounceGroupRow`].
    pub class: Option<String>,
    /// Why.
    pub reason: String,
    /// The step of the dialogue.
    pub phase: Option<String>,
    /// The host that refused or was not reached.
    pub remote_mta: Option<String>,
    /// The host that reports.
    pub reporting_mta: Option<String>,
    /// The words of the refusal.
    pub diagnostic: Option<String>,
    /// Until when the host goes on trying.
    pub will_retry_until: Option<Timestamp>,
    /// The probe that it is about.
    pub token: Option<String>,
    /// Where each value stood: `value place rule`.
    pub evidence: Vec<String>,
}

/// The totals of both: recipients by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BounceTotals {
    /// All recipients.
    pub recipients: u64,
    /// Not delivered, for good.
    pub bounces: u64,
    /// Still in a queue.
    pub delayed: u64,
    /// Gone on to a host that does not report.
    pub relayed: u64,
    /// Split up into several addresses.
    pub expanded: u64,
    /// Delivered.
    pub delivered: u64,
    /// Not said.
    pub unknown: u64,
    /// Of all of these, those of our probes.
    pub probes: u64,
}
