//! Probes counted: what became of them, by route and by what else is asked.
//!
//! The state of each probe was judged by [`crate::probe::lifecycle`]; here it is only counted, and none is folded into another.
//! What a state means for a rate stands in one place, [`Standing`].

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::limits;
use crate::probe::lifecycle::{Latency, MailPlace, State};
use crate::summary::latency::{Groups, Latencies, Percentiles, Sizes, Span};

/// One probe as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFact {
    /// Its route.
    pub route: String,
    /// Its profile; `None` where only the token is known.
    pub profile: Option<String>,
    /// The domain of its recipient.
    pub destination: Option<String>,
    /// The MX host that it was made for or that took it; `None` where it went through a submission server.
    pub mx_host: Option<String>,
    /// Its kind: `probe`, `drill`, …
    pub kind: String,
    /// When sending began.
    pub sent_at: Timestamp,
    /// When it arrived.
    pub arrived_at: Option<Timestamp>,
    /// Its state.
    pub state: State,
    /// Where it arrived.
    pub place: Option<MailPlace>,
    /// How long it took.
    pub latency: Option<Latency>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// Arrivals after the first one.
    pub duplicates: u64,
    /// True if its route was under maintenance when it was sent.
    pub is_maintenance: bool,
}

/// What a state means for a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// What should become of it did.
    Good,
    /// It did not.
    Bad,
    /// It is not decided yet.
    Waiting,
    /// Nobody knows, and nobody will: our eyes were closed, or a connection ended at the wrong moment.
    NotKnown,
    /// It was never sent.
    NotSent,
    /// It must not get through: whether it did says nothing of how good the way is for others.
    Negative,
}

impl Standing {
    /// What a state means. Late is bad: it came after it had to be given up. Held is bad as long as it is held: nobody
    /// has it. What is not known is neither.
    pub const fn of(state: State) -> Self {
        match state {
            State::Arrived | State::Delivered => Self::Good,
            State::Refused | State::Bounced | State::Held | State::Lost | State::Late => Self::Bad,
            State::Sending
            | State::Deferred
            | State::Accepted
            | State::InTransit
            | State::Overdue
            | State::Delayed => Self::Waiting,
            State::InDoubt | State::Unobserved => Self::NotKnown,
            State::Planned | State::Cancelled => Self::NotSent,
            State::AsExpected | State::Escaped => Self::Negative,
        }
    }
}

// ---- Groups ----

/// By what probes are grouped within a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// By nothing else.
    Route,
    /// By the day on which they were sent.
    Day,
    /// By the hour of the week.
    Hour,
    /// By the MX host.
    Mx,
    /// By the registrable domain of the MX host.
    MxDomain,
    /// By the domain of the recipient.
    Destination,
    /// By what they are made of.
    Profile,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Route, Self::Day, Self::Hour, Self::Mx, Self::MxDomain, Self::Destination, Self::Profile];

    /// The word of `--by`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Mx => "mx",
            Self::MxDomain => "mx-domain",
            Self::Destination => "destination",
            Self::Profile => "profile",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == text)
    }

    /// The group of a probe, with a number before it that orders what is no text. Days and hours are those of `zone`.
    pub fn group(self, fact: &ProbeFact, zone: &TimeZone) -> Key {
        let text = |text: Option<&str>| (0, text.map(str::to_owned));
        let (order, name) = match self {
            Self::Route => (0, None),
            Self::Day => text(civil(fact.sent_at, zone).map(|at| at.date().to_string()).as_deref()),
            Self::Hour => match civil(fact.sent_at, zone) {
                Some(at) => {
                    let day = at.date().weekday().to_monday_zero_offset();
                    let order = i64::from(day) * 24 + i64::from(at.hour());
                    (order, Some(at.strftime("%a %H").to_string()))
                }
                None => (-1, None),
            },
            Self::Mx => text(fact.mx_host.as_deref()),
            Self::MxDomain => text(fact.mx_host.as_deref().map(|host| psl::domain_str(host).unwrap_or(host))),
            Self::Destination => text(fact.destination.as_deref()),
            Self::Profile => text(fact.profile.as_deref()),
        };
        Key { route: fact.route.clone(), order, name }
    }
}

/// The date and time of an instant in a zone; `None` outside the calendar.
fn civil(at: Timestamp, zone: &TimeZone) -> Option<jiff::civil::DateTime> {
    let instant = jiff::Timestamp::from_millisecond(at.ms()).ok()?;
    Some(zone.to_datetime(instant))
}

/// One group of one route; the order is that of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Key {
    /// The route.
    pub route: String,
    /// What orders groups that are no text.
    pub order: i64,
    /// The group; `None` where it is not known or not asked for.
    pub name: Option<String>,
}

// ---- Counts ----

/// Probes by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeCounts {
    /// All of them outside of maintenance: the sum of all states.
    pub probes: u64,
    /// By state, in the order of [`State::ALL`].
    states: [u64; State::ALL.len()],
    /// Of those that arrived, also late: in the folder for spam.
    pub spam: u64,
    /// Of those that arrived, also late: more than once.
    pub duplicated: u64,
    /// Sent while their route was under maintenance: in no other number here.
    pub maintenance: u64,
    /// Runs of the schedule that did not take place: no probe, hence in no other number here.
    pub no_data: u64,
}

impl ProbeCounts {
    /// Counts a probe.
    pub fn add(&mut self, fact: &ProbeFact) {
        if fact.is_maintenance {
            self.maintenance += 1;
            return;
        }
        self.probes += 1;
        for (state, count) in State::ALL.iter().zip(&mut self.states) {
            *count += u64::from(*state == fact.state);
        }
        if matches!(fact.state, State::Arrived | State::Late) {
            self.spam += u64::from(fact.place == Some(MailPlace::Spam));
            self.duplicated += u64::from(fact.duplicates > 0);
        }
    }

    /// Probes in a state.
    pub fn of(&self, wanted: State) -> u64 {
        State::ALL
            .iter()
            .zip(&self.states)
            .filter(|(state, _)| **state == wanted)
            .map(|(_, count)| count)
            .sum()
    }

    /// Probes whose state means this.
    pub fn standing(&self, wanted: Standing) -> u64 {
        let means = |(state, count): (&State, &u64)| if Standing::of(*state) == wanted { *count } else { 0 };
        State::ALL.iter().zip(&self.states).map(means).sum()
    }

    /// Probes that are decided: good and bad.
    pub fn decided(&self) -> u64 {
        self.standing(Standing::Good) + self.standing(Standing::Bad)
    }

    /// Probes that were seen to arrive, also late.
    pub fn arrived(&self) -> u64 {
        self.of(State::Arrived) + self.of(State::Late)
    }
}

/// A row of `report probes`: the probes of a group of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeGroupRow {
    /// The route.
    pub route: String,
    /// The group, by `--by`.
    pub group: Option<String>,
    /// Its probes.
    pub counts: ProbeCounts,
    /// The first was sent then.
    pub first: Option<Timestamp>,
    /// The last was.
    pub last: Option<Timestamp>,
}

/// A row of `report latency`: how long the probes of a group of a route took.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyRow {
    /// The route.
    pub route: String,
    /// The group, by `--by`.
    pub group: Option<String>,
    /// Probes that arrived and whose latency is known.
    pub measured: u64,
    /// Probes that arrived and whose latency is not known: imported, or our clock was set.
    pub not_measured: u64,
    /// How long they took; `None` without any.
    pub percentiles: Option<Percentiles>,
    /// What a probe without bytes would take, milliseconds; `None` where sizes tell nothing.
    pub fixed_ms: Option<i64>,
    /// Bytes a second that the path takes.
    pub bytes_per_second: Option<u64>,
}

/// The totals of `report latency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencyTotals {
    /// As in the rows.
    pub measured: u64,
    /// As in the rows.
    pub not_measured: u64,
    /// Arrived while their route was under maintenance: in no row.
    pub maintenance: u64,
    /// How long all of them took.
    pub percentiles: Option<Percentiles>,
}

/// Counts probes by group, in bounded memory.
#[derive(Debug)]
pub struct Counting {
    by: By,
    zone: TimeZone,
    groups: BTreeMap<Key, ProbeGroupRow>,
    totals: ProbeCounts,
    beyond: u64,
}

impl Counting {
    /// Begins.
    pub fn new(by: By, zone: TimeZone) -> Self {
        Self { by, zone, groups: BTreeMap::new(), totals: ProbeCounts::default(), beyond: 0 }
    }

    /// Counts a probe.
    pub fn add(&mut self, fact: &ProbeFact) {
        self.totals.add(fact);
        let key = self.by.group(fact, &self.zone);
        let Some(row) = self.row(key) else {
            self.beyond += 1;
            return;
        };
        row.counts.add(fact);
        row.first = Some(row.first.map_or(fact.sent_at, |first| first.min(fact.sent_at)));
        row.last = Some(row.last.map_or(fact.sent_at, |last| last.max(fact.sent_at)));
    }

    /// Counts runs of the schedule that did not take place, at the time of the first; by host or destination nobody knows.
    pub fn add_missed(&mut self, route: &str, profile: Option<&str>, at: Timestamp, runs: u64) {
        self.totals.no_data += runs;
        let nothing = ProbeFact {
            route: route.to_owned(),
            profile: profile.map(str::to_owned),
            destination: None,
            mx_host: None,
            kind: String::new(),
            sent_at: at,
            arrived_at: None,
            state: State::Cancelled,
            place: None,
            latency: None,
            size_bytes: None,
            duplicates: 0,
            is_maintenance: false,
        };
        let key = self.by.group(&nothing, &self.zone);
        match self.row(key) {
            Some(row) => row.counts.no_data += runs,
            None => self.beyond += 1,
        }
    }

    /// The row of a group; `None` if there are too many.
    fn row(&mut self, key: Key) -> Option<&mut ProbeGroupRow> {
        if self.groups.len() >= limits::PROBE_GROUPS && !self.groups.contains_key(&key) {
            return None;
        }
        let (route, group) = (key.route.clone(), key.name.clone());
        let new = || ProbeGroupRow { route, group, counts: ProbeCounts::default(), first: None, last: None };
        Some(self.groups.entry(key).or_insert_with(new))
    }

    /// The rows in order, the totals, and remarks.
    pub fn close(self) -> (Vec<ProbeGroupRow>, ProbeCounts, Vec<String>) {
        (self.groups.into_values().collect(), self.totals, beyond(self.beyond))
    }
}

/// A remark on what is in the totals alone.
fn beyond(probes: u64) -> Vec<String> {
    let note =
        format!("{probes} probes of more than {} groups are in the totals alone", limits::PROBE_GROUPS);
    Some(note).filter(|_| probes > 0).into_iter().collect()
}

/// Measures probes by group, in bounded memory.
#[derive(Debug)]
pub struct Measuring {
    by: By,
    zone: TimeZone,
    latencies: Groups<Key>,
    others: BTreeMap<Key, (u64, Sizes)>,
    all: Groups<()>,
    totals: LatencyTotals,
    beyond: u64,
}

impl Measuring {
    /// Begins.
    pub fn new(by: By, zone: TimeZone) -> Self {
        Self {
            by,
            zone,
            latencies: Groups::default(),
            others: BTreeMap::new(),
            all: Groups::default(),
            totals: LatencyTotals::default(),
            beyond: 0,
        }
    }

    /// Measures a probe, if it arrived.
    pub fn add(&mut self, fact: &ProbeFact) {
        if !matches!(fact.state, State::Arrived | State::Late) {
            return;
        }
        if fact.is_maintenance {
            self.totals.maintenance += 1;
            return;
        }
        let span = fact.latency.map(Span::of);
        match span {
            Some(span) => {
                self.totals.measured += 1;
                self.all.add((), span);
            }
            None => self.totals.not_measured += 1,
        }
        let key = self.by.group(fact, &self.zone);
        if self.others.len() >= limits::PROBE_GROUPS && !self.others.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let (not_measured, sizes) = self.others.entry(key.clone()).or_default();
        let Some(span) = span else {
            *not_measured += 1;
            return;
        };
        if let Some(bytes) = fact.size_bytes {
            sizes.add(bytes, span);
        }
        self.latencies.add(key, span);
    }

    /// The rows in order, the totals, and remarks.
    pub fn close(self) -> (Vec<LatencyRow>, LatencyTotals, Vec<String>) {
        let mut latencies = self.latencies.into_groups();
        let rows = self.others.into_iter().map(|(key, (not_measured, sizes))| {
            let mut of_group = latencies.remove(&key).unwrap_or_default();
            let line = sizes.line();
            LatencyRow {
                route: key.route,
                group: key.name,
                measured: of_group.len(),
                not_measured,
                percentiles: of_group.percentiles(),
                fixed_ms: line.map(|line| line.fixed_whole_ms()),
                bytes_per_second: line.and_then(|line| line.bytes_per_second()),
            }
        });
        let rows = rows.collect();
        let mut all = self.all.into_groups();
        let percentiles = all.get_mut(&()).and_then(Latencies::percentiles);
        (rows, LatencyTotals { percentiles, ..self.totals }, beyond(self.beyond))
    }
}

#[cfg(test)]
mod tests;
