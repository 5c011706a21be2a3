//! Which of the reports under one key counts: for aggregate and TLS reports alike.
//!
//! A function of all reports under the key, not of the order in which they or their verdicts came. Copies with the
//! same values are one report with the highest trust of its copies. What cannot be believed never counts, and is
//! in nobody's way. Of the others with different values one counts, whole, in this order:
//!
//! 1. Verified, by the domain that the report names as its reporter; verified, by another domain; read from a file;
//!    the rest. What waits for its verdict ranks with what has no proof, so that nobody wins by being slow.
//! 2. Of verified ones, those of the domain that was first: nobody else's report takes its place.
//! 3. The one with more records, then the earlier.

use super::{MessageId, StoreError};
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
    /// It cannot be believed: kept with its rows, never counted, not in the way of others.
    Untrusted,
}

impl Status {
    /// The word in the store.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::SetAside => "set-aside",
            Self::Duplicate => "duplicate",
            Self::RolledUp => "rolled-up",
            Self::Untrusted => "untrusted",
        }
    }

    /// Reads [`Self::as_str`].
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "counted" => Self::Counted,
            "duplicate" => Self::Duplicate,
            "rolled-up" => Self::RolledUp,
            "untrusted" => Self::Untrusted,
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
    /// The organizational domain of the author of its mail.
    pub(super) sender: Option<String>,
    /// True if the report names that domain as its reporter's.
    pub(super) names_sender: bool,
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
    /// The report that counts; none if none can be believed.
    pub(super) winner: Option<i64>,
    /// Reports with rows that can be believed: over one is a conflict.
    pub(super) holders: usize,
    /// Messages whose copies have lost the report with their values: to be read again.
    pub(super) orphans: Vec<MessageId>,
    /// What is to be written, in this order: those that lose come first, since the database allows only one
    /// that counts.
    pub(super) changes: Vec<Change>,
}

/// One report with rows, and its copies.
struct Group<'c> {
    holder: &'c Claim,
    copies: Vec<&'c Claim>,
    /// The highest trust of a copy that counts; of any, if none does.
    trust: Trust,
    /// How good a claim it has, from that of its best copy; 0: it never counts.
    standing: u8,
}

/// The standing of a report that was verified by somebody whom it does not name.
const VERIFIED: u8 = 3;

/// How good a claim one copy has.
fn standing(copy: &Claim, counts: fn(Trust) -> bool) -> u8 {
    match copy.own_trust {
        trust if !counts(trust) => 0,
        Trust::Verified if copy.names_sender => VERIFIED + 1,
        Trust::Verified => VERIFIED,
        Trust::Imported => 2,
        Trust::Unverified | Trust::Pending => 1,
        Trust::Failed => 0,
    }
}

impl<'c> Group<'c> {
    /// Gathers the copies of a report.
    fn of(holder: &'c Claim, held: &[&'c Claim], counts: fn(Trust) -> bool) -> Self {
        let is_copy = |claim: &&Claim| {
            claim.status == Status::Duplicate && claim.content == holder.content
                || claim.report_id == holder.report_id
        };
        let copies: Vec<&Claim> = held.iter().copied().filter(is_copy).collect();
        let trusts = copies.iter().map(|copy| copy.own_trust);
        let best = trusts.clone().filter(|trust| counts(*trust)).max();
        let standing = copies.iter().map(|copy| standing(copy, counts)).max().unwrap_or(0);
        Self { holder, trust: best.or(trusts.max()).unwrap_or(holder.own_trust), copies, standing }
    }

    /// The copies that give it its standing.
    fn best(&self, counts: fn(Trust) -> bool) -> impl Iterator<Item = &'c Claim> + '_ {
        self.copies.iter().copied().filter(move |copy| standing(copy, counts) == self.standing)
    }

    /// When the first of these came: who has no proof cannot make a report older by a copy of it.
    fn first(&self, counts: fn(Trust) -> bool) -> Option<(i64, MessageId)> {
        self.best(counts).map(|copy| (copy.received_at_ms, copy.message_id)).min()
    }
}

/// The group that counts.
fn winner<'g, 'c>(groups: &'g [Group<'c>], counts: fn(Trust) -> bool) -> Option<&'g Group<'c>> {
    // Without its rows nothing can be taken from the roll-ups again: what is rolled up counts for ever.
    if let Some(rolled_up) = groups.iter().find(|group| group.holder.status == Status::RolledUp) {
        return Some(rolled_up);
    }
    let top = groups.iter().map(|group| group.standing).max().filter(|standing| *standing > 0)?;
    let mut left: Vec<&Group<'_>> = groups.iter().filter(|group| group.standing == top).collect();
    if top >= VERIFIED {
        let came = |copy: &&Claim| (copy.received_at_ms, copy.message_id);
        let first = left.iter().flat_map(|group| group.best(counts)).min_by_key(came)?.sender.clone();
        left.retain(|group| group.best(counts).any(|copy| copy.sender == first));
    }
    left.into_iter().max_by_key(|group| {
        (group.holder.records, std::cmp::Reverse((group.first(counts), group.holder.report_id)))
    })
}

/// Judges all reports under a key; `counts` says which trust is enough for their kind.
pub(super) fn settle(held: &[&Claim], counts: fn(Trust) -> bool) -> Settlement {
    let groups: Vec<Group<'_>> = held
        .iter()
        .filter(|claim| claim.status != Status::Duplicate)
        .map(|holder| Group::of(holder, held, counts))
        .collect();
    let is_believed = |group: &Group<'_>| group.standing > 0 || group.holder.status == Status::RolledUp;
    let holders = groups.iter().filter(|group| is_believed(group)).count();
    let winner = winner(&groups, counts).map(|group| group.holder.report_id);
    let mut order: Vec<&Group<'_>> =
        groups.iter().filter(|group| group.holder.status != Status::RolledUp).collect();
    order.sort_by_key(|group| Some(group.holder.report_id) == winner);
    let mut changes = Vec::new();
    for group in order {
        let Group { holder, trust, .. } = *group;
        let status = match (is_believed(group), Some(holder.report_id) == winner) {
            (false, _) => Status::Untrusted,
            (true, true) => Status::Counted,
            (true, false) => Status::SetAside,
        };
        let is_conflicting = is_believed(group) && holders > 1;
        if status != holder.status || trust != holder.trust || is_conflicting != holder.is_conflicting {
            let report_id = holder.report_id;
            changes.push(Change { report_id, status, is_conflicting, duplicate_of: None, trust });
        }
    }
    let mut orphans = Vec::new();
    for copy in held.iter().filter(|claim| claim.status == Status::Duplicate) {
        let Some(group) = groups.iter().find(|group| group.holder.content == copy.content) else {
            orphans.push(copy.message_id);
            continue;
        };
        let duplicate_of = Some(group.holder.report_id);
        if copy.duplicate_of != duplicate_of || copy.trust != copy.own_trust {
            changes.push(Change {
                report_id: copy.report_id,
                status: Status::Duplicate,
                is_conflicting: false,
                duplicate_of,
                trust: copy.own_trust,
            });
        }
    }
    Settlement { winner, holders, orphans, changes }
}

/// Counts the keys whose reports are not in the state that they should have; `rows` come key by key.
pub(super) fn unsettled<K: PartialEq>(
    rows: impl Iterator<Item = Result<(K, Claim), rusqlite::Error>>,
    counts: fn(Trust) -> bool,
) -> Result<u64, StoreError> {
    let mut unsettled = 0;
    let mut open: Option<(K, Vec<Claim>)> = None;
    let mut judge = |claims: &[Claim]| {
        let held: Vec<&Claim> = claims.iter().collect();
        // A conflict whose other side was removed for its age is still called one.
        let is_wrong = |change: &Change| {
            let differs = |claim: &&Claim| {
                claim.report_id == change.report_id
                    && (claim.status, claim.trust, claim.duplicate_of)
                        != (change.status, change.trust, change.duplicate_of)
            };
            held.iter().any(differs)
        };
        unsettled += u64::from(settle(&held, counts).changes.iter().any(is_wrong));
    };
    for row in rows {
        let (key, claim) = row?;
        match &mut open {
            Some((known, claims)) if *known == key => claims.push(claim),
            _ => {
                if let Some((_, claims)) = open.replace((key, vec![claim])) {
                    judge(&claims);
                }
            }
        }
    }
    if let Some((_, claims)) = open {
        judge(&claims);
    }
    Ok(unsettled)
}

#[cfg(test)]
mod tests;
