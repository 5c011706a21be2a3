//! The answers about probes: counted, measured, and how each route keeps what is promised of it.
//!
//! The columns of the verdict are read as they stand; those whose time came since they were written are judged here and now, so
//! that an answer never depends on whether somebody settled them before.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::tz::TimeZone;
use rusqlite::{Connection, Row};

use super::super::probe::due;
use super::super::{StoreError, schedule};
use super::message::count;
use super::scope::{self, SortKey, below_pattern};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::DomainName;
use crate::probe::lifecycle::{Latency, MailPlace, State, Verdict};
use crate::summary::continuity::{Budget, ContinuityTotals, Course, Objective};
use crate::summary::probe::{By, Counting, Measuring, Standing};
use crate::summary::{
    Answer, ContinuityRow, LatencyRow, LatencyTotals, ProbeCounts, ProbeFact, ProbeGroupRow, Query,
};

/// In the order of sending. The host is the one that took it where it was made for none.
const ROWS: &str = "SELECT p.token, p.route, p.profile, p.destination, COALESCE(p.mx_host, (SELECT a.mx_host
        FROM probe_attempt AS a WHERE a.token = p.token AND a.mx_host IS NOT NULL ORDER BY a.seq DESC LIMIT 1)),
    p.kind, p.sent_at_ms, p.arrived_at_ms, p.state, p.place, p.latency_ms, p.latency_error_ms, p.size_bytes,
    p.duplicates, p.is_in_maintenance
    FROM probe AS p WHERE p.sent_at_ms >= $1 AND p.sent_at_ms < $2
    AND ($3 IS NULL OR p.destination = $3 OR p.destination LIKE $4 ESCAPE '!')
    AND ($5 IS NULL OR p.route = $5 OR p.route LIKE $6 ESCAPE '!') ORDER BY p.sent_at_ms, p.token";

/// The series of profiles that take turns.
const IN_TURN: &str = "in-turn";

/// What answers about probes need to know beside the store.
pub struct ProbeMeans<'m> {
    /// The time.
    pub now: Timestamp,
    /// The zone of days and hours.
    pub zone: TimeZone,
    /// By what they are grouped.
    pub by: By,
    /// Whether a route was under maintenance at a time.
    pub is_maintenance: &'m dyn Fn(&str, Timestamp) -> bool,
    /// The longest window of what is promised of any route.
    pub longest_window: Duration,
    /// What is promised of a route.
    pub objective: &'m dyn Fn(&str) -> Option<Objective>,
}

/// Hands every probe that is asked for to `each`, in the order of sending; gives the first and the last instant of sending.
fn stream(
    connection: &Connection,
    query: &Query,
    means: &ProbeMeans<'_>,
    mut each: impl FnMut(ProbeFact),
) -> Result<(Option<Timestamp>, Option<Timestamp>), StoreError> {
    let due: HashMap<String, Verdict> =
        due(connection, means.now)?.into_iter().map(|(stored, verdict)| (stored.token, verdict)).collect();
    let domain = query.domain.as_ref().map(DomainName::as_str);
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query((
        query.period.since_ms.unwrap_or(i64::MIN),
        query.period.until_ms.unwrap_or(i64::MAX),
        domain,
        domain.map(below_pattern),
        query.route.as_deref(),
        // A route whose MX hosts are routes of their own is all of these.
        query.route.as_deref().map(|route| format!("{}/%", scope::literal(route))),
    ))?;
    let (mut first, mut last) = (None, None);
    while let Some(row) = rows.next()? {
        let mut fact = fact(row)?;
        if let Some(verdict) = due.get(row.get_ref(0)?.as_str()?) {
            fact.state = verdict.state;
            fact.place = verdict.place;
            fact.arrived_at = verdict.arrived_at;
            fact.latency = verdict.latency;
            fact.duplicates = verdict.duplicates;
        }
        if query.result.as_deref().is_some_and(|word| word != fact.state.as_str()) {
            continue;
        }
        first = first.or(Some(fact.sent_at));
        last = Some(fact.sent_at);
        // As it stood when it was sent, and as the configuration says since.
        fact.is_maintenance |= (means.is_maintenance)(&fact.route, fact.sent_at);
        each(fact);
    }
    Ok((first, last))
}

/// Reads a row of [`ROWS`].
fn fact(row: &Row<'_>) -> Result<ProbeFact, StoreError> {
    let word = row.get_ref(8)?.as_str()?;
    let state = State::parse(word)
        .ok_or_else(|| StoreError::Contradiction(format!("unknown state of a probe: {word:?}")))?;
    let (ms, error_ms): (Option<i64>, Option<i64>) = (row.get(10)?, row.get(11)?);
    Ok(ProbeFact {
        route: row.get(1)?,
        profile: row.get(2)?,
        destination: row.get(3)?,
        mx_host: row.get(4)?,
        kind: row.get(5)?,
        sent_at: Timestamp::from_ms(row.get(6)?),
        arrived_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_ms),
        state,
        place: row.get_ref(9)?.as_str_or_null()?.and_then(MailPlace::parse),
        latency: ms.map(|ms| Latency { ms, error_ms: error_ms.unwrap_or(0) }),
        size_bytes: row.get::<_, Option<i64>>(12)?.map(count),
        duplicates: count(row.get(13)?),
        is_maintenance: row.get(14)?,
    })
}

/// See [`super::Reader::probe_groups`].
pub(super) fn groups(
    connection: &Connection,
    query: &Query,
    means: &ProbeMeans<'_>,
) -> Result<Answer<ProbeGroupRow, ProbeCounts>, StoreError> {
    let mut counting = Counting::new(means.by, means.zone.clone());
    let (first, last) = stream(connection, query, means, |fact| counting.add(&fact))?;
    // Of what was never sent nobody knows more than route and profile.
    if query.result.is_none() && query.domain.is_none() {
        let end = |ms: Option<i64>, without: i64| Timestamp::from_ms(ms.unwrap_or(without));
        let (from, to) = (end(query.period.since_ms, i64::MIN), end(query.period.until_ms, i64::MAX));
        for missed in schedule::missed(connection, from, to)? {
            let route = missed.key.route.as_str();
            let is_asked = query.route.as_deref().is_none_or(|asked| {
                route.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if is_asked {
                let profile = Some(missed.key.series.as_str()).filter(|series| *series != IN_TURN);
                counting.add_missed(route, profile, missed.from, missed.runs);
            }
        }
    }
    let (mut rows, totals, notes) = counting.close();
    scope::sort(&mut rows, query, group_key);
    let cut = scope::cut(&mut rows, query);
    Ok(Answer { rows, totals, first, last, trust: None, cut, notes })
}

/// See [`super::Reader::latency`].
pub(super) fn latency(
    connection: &Connection,
    query: &Query,
    means: &ProbeMeans<'_>,
) -> Result<Answer<LatencyRow, LatencyTotals>, StoreError> {
    let mut measuring = Measuring::new(means.by, means.zone.clone());
    let (first, last) = stream(connection, query, means, |fact| measuring.add(&fact))?;
    let (mut rows, totals, notes) = measuring.close();
    scope::sort(&mut rows, query, latency_key);
    let cut = scope::cut(&mut rows, query);
    Ok(Answer { rows, totals, first, last, trust: None, cut, notes })
}

/// See [`super::Reader::continuity`].
pub(super) fn continuity(
    connection: &Connection,
    query: &Query,
    means: &ProbeMeans<'_>,
) -> Result<Answer<ContinuityRow, ContinuityTotals>, StoreError> {
    let mut found: BTreeMap<(String, Option<String>), ContinuityRow> = BTreeMap::new();
    let mut beyond = 0u64;
    // When the last probe of a drill was sent, by route.
    let mut drills: HashMap<String, Timestamp> = HashMap::new();
    let apart = i64::try_from(limits::DRILL_APART.as_millis()).unwrap_or(i64::MAX);
    let (mut first, mut last) = (None, None);
    // A budget has a window of its own, whatever period is asked for.
    let window = i64::try_from(means.longest_window.as_millis()).unwrap_or(i64::MAX);
    let mut widened = query.clone();
    widened.period.since_ms =
        query.period.since_ms.map(|since| since.min(means.now.ms().saturating_sub(window)));
    widened.period.until_ms = None;
    stream(connection, &widened, means, |fact| {
        let is_in_period = query.period.since_ms.is_none_or(|since| fact.sent_at.ms() >= since)
            && query.period.until_ms.is_none_or(|until| fact.sent_at.ms() < until);
        if is_in_period {
            first = first.or(Some(fact.sent_at));
            last = Some(fact.sent_at);
        }
        let standing = Standing::of(fact.state);
        let drill = (fact.kind == "drill" && is_in_period)
            .then(|| drills.insert(fact.route.clone(), fact.sent_at))
            .map(|before| before.is_none_or(|before| fact.sent_at.ms_since(before) > apart));
        // The route as a whole, then its host.
        let hosts = [Some(None), fact.mx_host.clone().map(Some)];
        for host in hosts.into_iter().flatten() {
            let key = (fact.route.clone(), host);
            if found.len() >= limits::PROBE_GROUPS && !found.contains_key(&key) {
                beyond += 1;
                continue;
            }
            let row = found.entry(key.clone()).or_insert_with(|| ContinuityRow {
                route: key.0,
                budget: if key.1.is_none() { (means.objective)(&fact.route).map(Budget::new) } else { None },
                mx_host: key.1,
                course: Course::default(),
                drills: 0,
                last_drill: None,
            });
            if is_in_period {
                row.course.add(fact.sent_at, standing, fact.is_maintenance);
            }
            if drill == Some(true) && row.mx_host.is_none() {
                row.drills += 1;
                row.last_drill = Some(fact.sent_at);
            }
            if let Some(budget) = &mut row.budget {
                budget.add(&fact, means.now);
            }
        }
    })?;
    let until = query.period.until_ms.map_or(means.now, |until| Timestamp::from_ms(until).min(means.now));
    let mut rows: Vec<ContinuityRow> = found.into_values().collect();
    let mut totals = ContinuityTotals::default();
    for row in &mut rows {
        row.course.close(until);
        if row.mx_host.is_none() {
            totals.routes += 1;
            totals.out += u64::from(row.course.out_since.is_some());
        }
        if let Some(budget) = &row.budget {
            totals.promised += 1;
            totals.exhausted += u64::from(budget.left_hundredths().is_some_and(|left| left <= 0));
            totals.burning += u64::from(budget.burning().contains(&true));
        }
    }
    scope::sort(&mut rows, query, continuity_key);
    let cut = scope::cut(&mut rows, query);
    let note =
        format!("{beyond} probes of more than {} routes and hosts are in no row", limits::PROBE_GROUPS);
    let notes = Some(note).filter(|_| beyond > 0).into_iter().collect();
    Ok(Answer { rows, totals, first, last, trust: None, cut, notes })
}

// ---- Order ----

/// A signed number, or nothing.
fn number(value: Option<i64>) -> SortKey {
    value.map_or(SortKey::Nothing, |value| SortKey::Number(value.into()))
}

/// What a column of `report probes` is sorted by.
fn group_key(row: &ProbeGroupRow, column: &str) -> Option<SortKey> {
    let counts = &row.counts;
    // A share of nothing comes before all.
    let share = |part: u64, whole: u64| match whole {
        0 => SortKey::Nothing,
        _ => SortKey::Number(i128::from(part) * 1_000_000_000 / i128::from(whole)),
    };
    Some(match column {
        "route" => SortKey::from(row.route.as_str()),
        "group" => SortKey::from(&row.group),
        "probes" => counts.probes.into(),
        "good" => counts.standing(Standing::Good).into(),
        "bad" => counts.standing(Standing::Bad).into(),
        "waiting" => counts.standing(Standing::Waiting).into(),
        "not_known" => counts.standing(Standing::NotKnown).into(),
        "availability_percent"
        | "availability_low_percent"
        | "availability_high_percent"
        | "availability" => share(counts.standing(Standing::Good), counts.decided()),
        "spam" => counts.spam.into(),
        "spam_percent" => share(counts.spam, counts.arrived()),
        "duplicated" => counts.duplicated.into(),
        "maintenance" => counts.maintenance.into(),
        "no_data" => counts.no_data.into(),
        "first" => row.first.into(),
        "last" => row.last.into(),
        state => State::parse(state).map(|state| counts.of(state).into())?,
    })
}

/// What a column of `report latency` is sorted by.
fn latency_key(row: &LatencyRow, column: &str) -> Option<SortKey> {
    let (name, end) = column.split_once('_').unwrap_or((column, "high_ms"));
    let of = row.percentiles.and_then(|all| match name {
        "p50" => Some(all.p50),
        "p90" => Some(all.p90),
        "p95" => Some(all.p95),
        "p99" => Some(all.p99),
        _ => None,
    });
    Some(match column {
        "route" => SortKey::from(row.route.as_str()),
        "group" => SortKey::from(&row.group),
        "measured" => row.measured.into(),
        "not_measured" => row.not_measured.into(),
        "fixed_ms" => number(row.fixed_ms),
        "bytes_per_second" => row.bytes_per_second.into(),
        _ if !["p50", "p90", "p95", "p99"].contains(&name) => return None,
        _ if end == "low_ms" => number(of.map(|span| span.low_ms)),
        _ => number(of.map(|span| span.high_ms)),
    })
}

/// What a column of `report continuity` is sorted by.
fn continuity_key(row: &ContinuityRow, column: &str) -> Option<SortKey> {
    let course = &row.course;
    let budget = row.budget.as_ref();
    Some(match column {
        "route" => SortKey::from(row.route.as_str()),
        "mx_host" => SortKey::from(&row.mx_host),
        "good" => course.share.good.into(),
        "bad" => course.share.bad.into(),
        "not_observed" => course.not_observed.into(),
        "waiting" => course.waiting.into(),
        "last_good" => course.last_good.into(),
        "out_since" => course.out_since.into(),
        "gap_ms" => number(course.gap.map(|gap| gap.ms())),
        "gap_from" => course.gap.map(|gap| gap.from).into(),
        "outage_ms" => number(course.outage.map(|outage| outage.ms())),
        "outage_from" => course.outage.map(|outage| outage.from).into(),
        "budget_left_percent" => number(budget.and_then(Budget::left_hundredths)),
        "drills" => row.drills.into(),
        "last_drill" => row.last_drill.into(),
        _ => return None,
    })
}
