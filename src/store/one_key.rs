//! Which of the reports under one key counts: for aggregate and TLS reports alike.
//!
//! A function of all reports under the key, not of the order in which they came: copies with the same values
//! are one report with the highest trust of its copies; of reports with other values one counts, whole: a
//! verified one before others, then the one with more records, then the earlier.

use super::MessageId;
use crate::summary::Trust;

/// Whether a report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Its rows and sums count.
    Counted,
    /// Another one with its key counts.
    SetAside,
    /// A copy without rows.
    Duplicate,
    /// It counts, its rows were removed for their age: what it brought stays in the roll-ups for ever.
    RolledUp,
}

impl Status {
    /// The word in the store.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::SetAside => "set-aside",
            Self::Duplicate => "duplicate",
            Self::RolledUp => "rolled-up",
        }
    }

    /// Reads [`Self::as_str`].
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "counted" => Self::Counted,
            "duplicate" => Self::Duplicate,
            "rolled-up" => Self::RolledUp,
            _ => Self::SetAside,
        }
    }
}

/// One report under a key.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) report_id: i64,
    pub(super) status: Status,
    pub(super) is_conflicting: bool,
    pub(super) duplicate_of: Option<i64>,
    pub(super) message_id: MessageId,
    pub(super) received_at_ms: i64,
    pub(super) trust: Trust,
    pub(super) own_trust: Trust,
    /// SHA-256 of its values.
    pub(super) content: Vec<u8>,
    /// Its records or policies.
    pub(super) records: i64,
}

impl Claim {
    /// True if it has rows of its own with these values.
    pub(super) fn has_rows_of(&self, content: &[u8]) -> bool {
        self.status != Status::Duplicate && self.content == content
    }
}

/// The state that a report should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) report_id: i64,
    pub(super) status: Status,
    pub(super) is_conflicting: bool,
    pub(super) duplicate_of: Option<i64>,
    pub(super) trust: Trust,
}

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settlement {
    /// The report that counts.
    pub(super) winner: Option<i64>,
    /// Reports with rows: over one is a conflict.
    pub(super) holders: usize,
    /// Messages whose copies have lost the report with their values: to be read again.
    pub(super) orphans: Vec<MessageId>,
    /// What is to be written, in this order: those that lose come first, since the database allows only one
    /// that counts.
    pub(super) changes: Vec<Change>,
}

/// Judges all reports under a key.
pub(super) fn settle(held: &[&Claim]) -> Settlement {
    let holders: Vec<&Claim> =
        held.iter().copied().filter(|claim| claim.status != Status::Duplicate).collect();
    // A group: one holder and its copies.
    let copies = |holder: &Claim| {
        let content = holder.content.clone();
        held.iter().filter(move |claim| claim.status == Status::Duplicate && claim.content == content)
    };
    let group_trust =
        |holder: &Claim| copies(holder).map(|copy| copy.own_trust).fold(holder.own_trust, Trust::max);
    let group_first = |holder: &Claim| {
        copies(holder)
            .map(|copy| (copy.received_at_ms, copy.message_id))
            .fold((holder.received_at_ms, holder.message_id), Ord::min)
    };
    let winner = holders.iter().copied().max_by_key(|holder| {
        let is_verified = group_trust(holder) == Trust::Verified;
        (is_verified, holder.records, std::cmp::Reverse((group_first(holder), holder.report_id)))
    });
    // Without its rows nothing can be taken from the roll-ups again: what is rolled up counts for ever.
    let rolled_up = holders.iter().copied().find(|holder| holder.status == Status::RolledUp);
    let winner = rolled_up.or(winner).map(|winner| winner.report_id);
    let is_conflicting = holders.len() > 1;
    let mut order = holders.clone();
    order.sort_by_key(|holder| Some(holder.report_id) == winner);
    let mut changes = Vec::new();
    for holder in order.into_iter().filter(|holder| holder.status != Status::RolledUp) {
        let counts = Some(holder.report_id) == winner;
        let status = if counts { Status::Counted } else { Status::SetAside };
        let trust = group_trust(holder);
        if status != holder.status || trust != holder.trust || is_conflicting != holder.is_conflicting {
            let report_id = holder.report_id;
            changes.push(Change { report_id, status, is_conflicting, duplicate_of: None, trust });
        }
    }
    let mut orphans = Vec::new();
    for copy in held.iter().filter(|claim| claim.status == Status::Duplicate) {
        match holders.iter().find(|holder| holder.content == copy.content) {
            Some(holder) => {
                let duplicate_of = Some(holder.report_id);
                if copy.duplicate_of != duplicate_of {
                    changes.push(Change {
                        report_id: copy.report_id,
                        status: Status::Duplicate,
                        is_conflicting: false,
                        duplicate_of,
                        trust: copy.own_trust,
                    });
                }
            }
            None => orphans.push(copy.message_id),
        }
    }
    Settlement { winner, holders: holders.len(), orphans, changes }
}
