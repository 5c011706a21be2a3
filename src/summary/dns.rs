//! What the records of watched domains were: rows of `dns history`.

use crate::clock::Timestamp;

/// One thing that happened to the records of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsEventRow {
    /// When a check saw it.
    pub at: Timestamp,
    /// The watched domain.
    pub domain: String,
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub record_type: String,
    /// `appeared`, `changed`, `lost`, `varies`, `security-changed`, `not-answering` or `answering`.
    pub happening: String,
    /// The records, DNSSEC state or trouble before.
    pub before: Vec<String>,
    /// The same after.
    pub after: Vec<String>,
}

/// What is known of the records of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecordRow {
    /// The watched domain.
    pub domain: String,
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub record_type: String,
    /// `records`, `no-name` or `no-type`; `None` where it was never known.
    pub state: Option<String>,
    /// The records, as a zone file writes them.
    pub records: Vec<String>,
    /// What DNSSEC said last: `secure`, `insecure`, `bogus` or `not-known`.
    pub security: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// When a check saw it last.
    pub confirmed: Timestamp,
    /// Since when nobody answers.
    pub trouble_since: Option<Timestamp>,
    /// Why.
    pub trouble: Option<String>,
}
