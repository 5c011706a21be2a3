//! `report authentication`: what the verification of received mail found.

/// A row of `report authentication`: messages of one day and author domain with one result of DMARC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationRow {
    /// The UTC day of receipt, `2026-03-01`.
    pub day: String,
    /// The author domain; absent where a message has none, or was not verified yet.
    pub header_from: Option<String>,
    /// DMARC: a word of RFC 8601 §2.7, `not-known`, or `waiting`.
    pub dmarc: String,
    /// Messages.
    pub messages: u64,
    /// SPF of the reverse-path.
    pub spf: MethodCounts,
    /// DKIM of the message.
    pub dkim: MethodCounts,
    /// ARC.
    pub arc: MethodCounts,
    /// Messages of which a trusted host says otherwise than we.
    pub differing: u64,
}

/// Messages by the result of one method; the rest has none (no record, no signature, no chain, neutral).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodCounts {
    /// Pass.
    pub pass: u64,
    /// Fail, softfail, permerror and policy.
    pub fail: u64,
    /// Neither is known: temperror, or nothing proves it.
    pub not_known: u64,
}

/// The totals: messages by the result of DMARC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuthenticationTotals {
    /// All messages.
    pub messages: u64,
    /// DMARC passes.
    pub pass: u64,
    /// DMARC fails.
    pub fail: u64,
    /// No policy, or no author to judge.
    pub none: u64,
    /// DMARC is not known: temperror, or nothing proves it.
    pub not_known: u64,
    /// Not verified yet.
    pub waiting: u64,
}
