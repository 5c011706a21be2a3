//! `report tls`: SMTP TLS reports (RFC 8460).

/// A row of `report tls`: sessions of one day, domain, policy type and cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsRow {
    /// The UTC day, `2026-03-01`.
    pub day: String,
    /// The mail domain; `None` where the report names none.
    pub domain: Option<String>,
    /// `policy-type`; `None` where it was left out.
    pub policy_type: Option<String>,
    /// `result-type`; `None` for sessions that succeeded, and for failures without a stated cause.
    pub result_type: Option<String>,
    /// Sessions that succeeded.
    pub successful_sessions: u64,
    /// Sessions that failed.
    pub failed_sessions: u64,
    /// Names of the reporters.
    pub reporters: Vec<String>,
}

/// The totals of `report tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TlsTotals {
    /// Reports counted; one about several domains counts for each.
    pub reports: u64,
    /// Sessions that succeeded.
    pub successful_sessions: u64,
    /// Sessions that failed, as the summaries of the reports say.
    pub failed_sessions: u64,
}

impl TlsTotals {
    /// Sessions, whatever became of them.
    pub const fn sessions(&self) -> u64 {
        self.successful_sessions.saturating_add(self.failed_sessions)
    }
}
