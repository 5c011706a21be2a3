//! What a user asks: filters and order, the same for every view.

use crate::clock::Day;
use crate::mail::DomainName;
use crate::summary::{Trace, TrustAsked};

/// A period as asked: whole UTC days for reports, instants for mails and probes. Half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// First instant, UTC milliseconds; absent: from the beginning.
    pub since_ms: Option<i64>,
    /// First instant after the period, UTC milliseconds; absent: to the end.
    pub until_ms: Option<i64>,
}

impl Period {
    /// The first day that the period touches.
    pub fn first_day(&self) -> Option<Day> {
        self.since_ms.map(|ms| Day::of_seconds(ms.div_euclid(1000)))
    }

    /// The last day that the period touches.
    pub fn last_day(&self) -> Option<Day> {
        self.until_ms.map(|ms| Day::of_seconds((ms - 1).div_euclid(1000)))
    }
}

/// The filters of one question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The policy domain and all below it, and author domains below it.
    pub domain: Option<DomainName>,
    /// The period.
    pub period: Period,
    /// True if the period is relative (`30d`): reports from the future are left out.
    pub is_relative: bool,
    /// One source address, as parsed and printed again.
    pub source: Option<String>,
    /// One route of probes.
    pub route: Option<String>,
    /// One reporter: part of its name, any case.
    pub reporter: Option<String>,
    /// `pass` or `fail` of DMARC for reports; a state, kind or status for probes and messages.
    pub result: Option<String>,
    /// Which reports, by how far they can be believed; for messages, which mails.
    pub trust: TrustAsked,
    /// Of messages: who, to whom, and what belongs together.
    pub trace: Trace,
    /// Most rows; totals are of all.
    pub limit: Option<usize>,
    /// A column to sort by, as named in JSON; `-` before it turns the order.
    pub sort: Option<String>,
}
