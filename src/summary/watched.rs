//! `report watched`: the mail at watched addresses, and whether it is as expected.

use crate::clock::Timestamp;

/// A row of `report watched`: one watched address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchedRow {
    /// Its name.
    pub name: String,
    /// `ok`, `missing`, `failing` or `not-known`.
    pub state: &'static str,
    /// Why, where it is not `ok`.
    pub reason: Option<String>,
    /// What is expected, in words.
    pub expected: String,
    /// Mails in the period.
    pub messages: u64,
    /// When the first of these came.
    pub first: Option<Timestamp>,
    /// When the last of these came.
    pub last: Option<Timestamp>,
    /// By when the next one is expected.
    pub next_expected: Option<Timestamp>,
    /// Times in the period at which something was wrong.
    pub events: u64,
    /// Mails whose latency is known.
    pub timed: u64,
    /// Median of the least that they can have taken, milliseconds.
    pub latency_p50_low_ms: Option<i64>,
    /// Median of the most.
    pub latency_p50_ms: Option<i64>,
    /// As `latency_p50_low_ms`, of 95 percent.
    pub latency_p95_low_ms: Option<i64>,
    /// As `latency_p50_ms`, of 95 percent.
    pub latency_p95_ms: Option<i64>,
    /// Median of the most that they can have taken from the last host before us.
    pub last_hop_p50_ms: Option<i64>,
    /// Mails for which DMARC passes.
    pub dmarc_pass: u64,
    /// Mails for which it does not.
    pub dmarc_fail: u64,
    /// Mails of which that is not known.
    pub dmarc_not_known: u64,
    /// Mails for which SPF passes.
    pub spf_pass: u64,
    /// Mails with a DKIM signature that passes.
    pub dkim_pass: u64,
    /// Mails that came over TLS.
    pub tls: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The From of the last one.
    pub last_from: Option<String>,
}

/// The totals of `report watched`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchedTotals {
    /// Watched addresses.
    pub names: u64,
    /// As expected.
    pub ok: u64,
    /// Nothing came in time.
    pub missing: u64,
    /// From somebody else, or failing DMARC.
    pub failing: u64,
    /// Not known.
    pub not_known: u64,
    /// Mails in the period.
    pub messages: u64,
}

impl WatchedTotals {
    /// Adds a row.
    pub fn add(&mut self, row: &WatchedRow) {
        self.names += 1;
        self.messages = self.messages.saturating_add(row.messages);
        *match row.state {
            "ok" => &mut self.ok,
            "missing" => &mut self.missing,
            "failing" => &mut self.failing,
            _ => &mut self.not_known,
        } += 1;
    }
}
