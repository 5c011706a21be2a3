//! `report failures` and `report complaints`: feedback about single messages (RFC 5965, 6591, 9991).

use crate::clock::Timestamp;
use crate::reports::failure::ShownFailure;

/// A row of `report failures`: one feedback report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    /// The message that brought it.
    pub id: String,
    /// Its number in that message, from 0.
    pub seq: u64,
    /// When that message came.
    pub received_at: Timestamp,
    /// How far it can be believed.
    pub trust: String,
    /// The domain under which it counts; `None` where it names none.
    pub domain: Option<String>,
    /// Its values; persons are hidden unless it says otherwise.
    pub shown: ShownFailure,
}

/// The totals of `report failures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailureTotals {
    /// Reports, each once.
    pub reports: u64,
    /// Messages for which they stand.
    pub incidents: u64,
}

/// A row of `report complaints`: complaints about one stream of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComplaintRow {
    /// The author domain.
    pub domain: Option<String>,
    /// The type of feedback.
    pub feedback_type: String,
    /// Who sent the messages.
    pub source_ip: Option<String>,
    /// Who signed them.
    pub dkim_domain: Option<String>,
    /// The campaign.
    pub campaign: Option<String>,
    /// Messages complained of.
    pub complaints: u64,
    /// The same of the whole domain, those called no spam left out.
    pub domain_complaints: u64,
    /// Messages of the domain, as aggregate reports say.
    pub messages: u64,
    /// The first message.
    pub first: Option<Timestamp>,
    /// The last message.
    pub last: Option<Timestamp>,
}

/// Complaints in a million messages from which large providers ask for a change.
const RAISED_PER_MILLION: u64 = 1_000;
/// The same from which they refuse mail.
const HIGH_PER_MILLION: u64 = 3_000;

impl ComplaintRow {
    /// Complaints of the domain in a million of its messages; `None` without messages.
    pub fn rate_per_million(&self) -> Option<u64> {
        self.domain_complaints.saturating_mul(1_000_000).checked_div(self.messages)
    }

    /// How the domain's rate is to be taken: marks at 0.1 % and 0.3 %.
    pub fn mark(&self) -> Option<&'static str> {
        self.rate_per_million().map(|rate| match rate {
            HIGH_PER_MILLION.. => "high",
            RAISED_PER_MILLION.. => "raised",
            _ => "low",
        })
    }
}

/// The totals of `report complaints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ComplaintTotals {
    /// Messages complained of.
    pub complaints: u64,
    /// Messages of these domains, as aggregate reports say.
    pub messages: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_begin_where_they_should() {
        let row = |complaints, messages| ComplaintRow {
            domain: None,
            feedback_type: "abuse".to_owned(),
            source_ip: None,
            dkim_domain: None,
            campaign: None,
            complaints,
            domain_complaints: complaints,
            messages,
            first: None,
            last: None,
        };
        let cases = [
            (1, 0, None),
            (9, 10_000, Some("low")),
            (10, 10_000, Some("raised")),
            (29, 10_000, Some("raised")),
            (30, 10_000, Some("high")),
            (u64::MAX, 1, Some("high")),
        ];
        for (complaints, messages, want) in cases {
            assert_eq!(row(complaints, messages).mark(), want, "{complaints} of {messages}");
        }
    }
}
