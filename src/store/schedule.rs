//! How far the schedule of probes came, what it missed, which routes keep still, and what was learned of greylisting.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::read::count;
use super::writer::{Done, Work, Writer};
use super::{NewProbe, StoreError, probe};
use crate::clock::Timestamp;
use crate::limits;
use crate::probe::lifecycle::{Event, MailPlace, Reason, State, What};
use crate::probe::schedule::{BackOff, Memory, Missed, Quick};
use crate::smtp::submit::HandOver;

const SERIES: &str = "SELECT route, series, first_at_ms, done_until_ms, quick_left, quick_at_ms, is_armed
    FROM probe_series ORDER BY route, series";
const SET_SERIES: &str = "INSERT INTO probe_series (route, series, first_at_ms, done_until_ms, quick_left,
    quick_at_ms, is_armed) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (route, series) DO UPDATE SET
    first_at_ms = excluded.first_at_ms, done_until_ms = excluded.done_until_ms, quick_left = excluded.quick_left,
    quick_at_ms = excluded.quick_at_ms, is_armed = excluded.is_armed";
const REST: &str = "UPDATE probe_series SET done_until_ms = NULL, quick_left = 0, quick_at_ms = NULL
    WHERE route = $1 AND series = $2 AND done_until_ms IS NOT NULL";
const EXTEND: &str = "UPDATE probe_missed SET to_ms = $1, runs = runs + $2
    WHERE route = $3 AND series = $4 AND to_ms = $5 AND because = $6 AND reason IS $7";
const MISS: &str = "INSERT INTO probe_missed (route, series, from_ms, to_ms, runs, because, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (route, series, from_ms) DO NOTHING";
const UNMISS: &str = "DELETE FROM probe_missed WHERE from_ms > $1";
const MISSED: &str = "SELECT route, series, from_ms, to_ms, runs, because, reason FROM probe_missed
    WHERE to_ms >= $1 AND from_ms < $2 ORDER BY from_ms, route, series";
const BACK_OFFS: &str = "SELECT route, step, since_ms, until_ms, reason FROM probe_back_off ORDER BY route";
const SET_BACK_OFF: &str = "INSERT INTO probe_back_off (route, step, since_ms, until_ms, reason)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (route) DO UPDATE SET step = excluded.step,
    since_ms = excluded.since_ms, until_ms = excluded.until_ms, reason = excluded.reason";
const END_BACK_OFF: &str = "DELETE FROM probe_back_off WHERE route = $1";
const LEARN: &str = "INSERT INTO probe_greylist (destination, delay_ms, at_ms) VALUES ($1, $2, $3)
    ON CONFLICT (destination) DO UPDATE SET delay_ms = excluded.delay_ms, at_ms = excluded.at_ms";
const ALL_LEARNED: &str = "SELECT destination, delay_ms FROM probe_greylist";

/// What tells a series from others: its route and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The route.
    pub route: String,
    /// The profile, or `in-turn`.
    pub series: String,
}

/// What is to be written of the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleNote {
    /// How far a series came.
    Reached(SeriesKey, Memory),
    /// What it missed, with more words where there are any.
    Missed(SeriesKey, Missed, Option<String>),
    /// It is not configured any more: what passes from now on is not missed.
    Rests(SeriesKey),
    /// The clock was set back: what lies behind this instant may still be sent.
    SetBack(Timestamp),
    /// A route keeps still.
    BacksOff(StoredBackOff),
    /// It does not any more.
    GoesOn(String),
    /// A destination took a probe so long after it had put it off first.
    Greylisted(String, Duration, Timestamp),
}

/// A route that keeps still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBackOff {
    /// The route.
    pub route: String,
    /// For how long.
    pub back_off: BackOff,
    /// When the reply came.
    pub since: Timestamp,
    /// The reply.
    pub reason: String,
}

/// Runs of the schedule of which there is no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedRuns {
    /// Which series.
    pub key: SeriesKey,
    /// When the first one was due.
    pub from: Timestamp,
    /// When the last one was due.
    pub to: Timestamp,
    /// How many.
    pub runs: u64,
    /// Why, a word of [`crate::probe::schedule::Because`].
    pub because: String,
    /// In words, where there is more to say.
    pub reason: Option<String>,
}

/// Writes notes in their order; `done` runs after the commit.
pub(super) fn note(writer: &Writer, notes: Vec<ScheduleNote>, done: Done<()>) -> Result<(), StoreError> {
    writer.queue(notes.len() * 200, move |work| notes.iter().try_for_each(|note| write(work, note)), done)
}

/// Writes one note.
fn write(work: &Work<'_>, note: &ScheduleNote) -> Result<(), StoreError> {
    let connection = work.connection;
    match note {
        ScheduleNote::Reached(key, memory) => {
            connection.prepare_cached(SET_SERIES)?.execute((
                &key.route,
                &key.series,
                memory.first_at.ms(),
                memory.done_until.ms(),
                memory.quick.left,
                memory.quick.at.map(Timestamp::ms),
                memory.quick.is_armed,
            ))?;
        }
        ScheduleNote::Missed(key, missed, reason) => {
            let (period, because) = (missed.period, missed.because.as_str());
            let runs = i64::try_from(period.runs).unwrap_or(i64::MAX);
            let SeriesKey { route, series } = key;
            let (from, to) = (period.from.ms(), period.to.ms());
            let extended = connection.prepare_cached(EXTEND)?.execute((
                to,
                runs,
                route,
                series,
                missed.after.ms(),
                because,
                reason,
            ))?;
            if extended == 0 {
                connection.prepare_cached(MISS)?.execute((route, series, from, to, runs, because, reason))?;
            }
        }
        ScheduleNote::Rests(key) => {
            connection.prepare_cached(REST)?.execute((&key.route, &key.series))?;
        }
        ScheduleNote::SetBack(now) => {
            connection.prepare_cached(UNMISS)?.execute([now.ms()])?;
        }
        ScheduleNote::BacksOff(StoredBackOff { route, back_off, since, reason }) => {
            let (step, until) = (back_off.step, back_off.until.ms());
            connection.prepare_cached(SET_BACK_OFF)?.execute((route, step, since.ms(), until, reason))?;
        }
        ScheduleNote::GoesOn(route) => {
            connection.prepare_cached(END_BACK_OFF)?.execute([route])?;
        }
        ScheduleNote::Greylisted(destination, delay, at) => {
            let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
            connection.prepare_cached(LEARN)?.execute((destination, delay, at.ms()))?;
        }
    }
    Ok(())
}

/// See [`super::Reader::probe_series`].
pub(super) fn series(connection: &Connection) -> Result<BTreeMap<SeriesKey, (Memory, bool)>, StoreError> {
    let mut statement = connection.prepare_cached(SERIES)?;
    let rows = statement.query_map([], |row| {
        let first_at = Timestamp::from_ms(row.get(2)?);
        let done_until = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_ms);
        let quick = Quick {
            left: row.get(4)?,
            at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_ms),
            is_armed: row.get(6)?,
        };
        let memory = Memory { first_at, done_until: done_until.unwrap_or(first_at), quick };
        Ok((SeriesKey { route: row.get(0)?, series: row.get(1)? }, (memory, done_until.is_some())))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::missed_probes`].
pub(super) fn missed(
    connection: &Connection,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<MissedRuns>, StoreError> {
    let mut statement = connection.prepare_cached(MISSED)?;
    let rows = statement.query_map((from.ms(), to.ms()), |row| {
        Ok(MissedRuns {
            key: SeriesKey { route: row.get(0)?, series: row.get(1)? },
            from: Timestamp::from_ms(row.get(2)?),
            to: Timestamp::from_ms(row.get(3)?),
            runs: count(row.get(4)?),
            because: row.get(5)?,
            reason: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::probe_back_offs`].
pub(super) fn back_offs(connection: &Connection) -> Result<Vec<StoredBackOff>, StoreError> {
    let mut statement = connection.prepare_cached(BACK_OFFS)?;
    let rows = statement.query_map([], |row| {
        Ok(StoredBackOff {
            route: row.get(0)?,
            back_off: BackOff { step: row.get(1)?, until: Timestamp::from_ms(row.get(3)?) },
            since: Timestamp::from_ms(row.get(2)?),
            reason: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::greylisted`].
pub(super) fn greylisted(connection: &Connection) -> Result<BTreeMap<String, Duration>, StoreError> {
    let mut statement = connection.prepare_cached(ALL_LEARNED)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, probe::duration(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

// ---- Probes of the schedule ----

const STATE: &str = "SELECT state, place FROM probe WHERE token = $1";
const ATTEMPTS: &str =
    "SELECT state, (SELECT COUNT(*) FROM probe_attempt WHERE token = $1) FROM probe WHERE token = $1";
// Answers and drills are tried again, or not, by whoever sent them.
const DEFERRED: &str = "SELECT p.token, p.route, p.profile, p.destination, p.message_sha256, p.sent_at_ms, p.lost_after_ms,
    (SELECT COUNT(*) FROM probe_attempt AS a WHERE a.token = p.token), e.at_ms, e.phase, e.code, e.enhanced, e.text
    FROM probe AS p JOIN probe_event AS e ON e.token = p.token AND e.seq =
        (SELECT MAX(seq) FROM probe_event WHERE token = p.token AND event = 'deferred')
    WHERE p.state = 'deferred' AND p.sent_at_ms >= $1 AND p.kind IN ('probe', 'negative', 'bounce-test')
    ORDER BY p.sent_at_ms LIMIT $2";
const LATENCIES: &str = "SELECT latency_ms FROM probe WHERE route = $1 AND latency_ms IS NOT NULL
    ORDER BY sent_at_ms DESC LIMIT $2";

/// A probe that was put off last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferredProbe {
    /// Its name.
    pub token: String,
    /// Its route.
    pub route: String,
    /// Its profile, as printed.
    pub profile: Option<String>,
    /// The domain of its recipient.
    pub destination: Option<String>,
    /// SHA-256 of its bytes.
    pub message_sha256: Option<[u8; 32]>,
    /// When its first attempt began.
    pub sent_at: Timestamp,
    /// How long it is waited for.
    pub lost_after: Duration,
    /// How many attempts there were.
    pub attempts: u32,
    /// When the last one ended.
    pub last_at: Timestamp,
    /// Why it was put off.
    pub reason: Reason,
}

/// Writes notes, a new probe and that its sending begins, in one transaction; `done` runs after the commit.
pub(super) fn begin(
    writer: &Writer,
    notes: Vec<ScheduleNote>,
    probe: NewProbe,
    done: Done<()>,
) -> Result<(), StoreError> {
    let work = move |work: &mut Work<'_>| {
        notes.iter().try_for_each(|note| write(work, note))?;
        probe::begin_in(work, &probe, &Event { at: probe.sent_at, what: What::Sending })
    };
    writer.queue(1_000, work, done)
}

/// Writes that another attempt begins, if the last one was put off and no other followed it.
pub(super) fn begin_retry(
    writer: &Writer,
    token: &str,
    attempts: u32,
    at: Timestamp,
    done: Done<()>,
) -> Result<(), StoreError> {
    let token = token.to_owned();
    let work = move |work: &mut Work<'_>| {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?));
        let (state, count) = work.connection.prepare_cached(ATTEMPTS)?.query_row([&token], row)?;
        if state != State::Deferred.as_str() || count != attempts {
            return Err(StoreError::Contradiction(format!(
                "probe {token} is {state} after {count} attempts"
            )));
        }
        probe::happen_in(work, &token, &Event { at, what: What::Sending })
    };
    writer.queue(200, work, done)
}

/// Writes how an attempt went; `done` runs after the commit.
pub(super) fn finish(
    writer: &Writer,
    token: &str,
    hand_over: HandOver,
    done: Done<()>,
) -> Result<(), StoreError> {
    let token = token.to_owned();
    writer.queue(4_000, move |work| probe::finish_in(work, &token, &hand_over), done)
}

/// Writes one thing that happened to a probe; `done` runs after the commit.
pub(super) fn happen(writer: &Writer, token: &str, event: Event, done: Done<()>) -> Result<(), StoreError> {
    let token = token.to_owned();
    writer.queue(200, move |work| probe::happen_in(work, &token, &event), done)
}

/// See [`super::Reader::probe_state`].
pub(super) fn state(
    connection: &Connection,
    token: &str,
) -> Result<Option<(State, Option<MailPlace>)>, StoreError> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
    let found = connection.prepare_cached(STATE)?.query_row([token], row).optional()?;
    Ok(found.and_then(|(state, place)| {
        Some((State::parse(&state)?, place.as_deref().and_then(MailPlace::parse)))
    }))
}

/// See [`super::Reader::deferred_probes`].
pub(super) fn deferred(connection: &Connection, since: Timestamp) -> Result<Vec<DeferredProbe>, StoreError> {
    let mut statement = connection.prepare_cached(DEFERRED)?;
    let limit = i64::try_from(limits::PROBES_FOLLOWED).unwrap_or(i64::MAX);
    let rows = statement.query_map((since.ms(), limit), |row| {
        Ok(DeferredProbe {
            token: row.get(0)?,
            route: row.get(1)?,
            profile: row.get(2)?,
            destination: row.get(3)?,
            message_sha256: row.get(4)?,
            sent_at: Timestamp::from_ms(row.get(5)?),
            lost_after: probe::duration(row.get(6)?),
            attempts: row.get(7)?,
            last_at: Timestamp::from_ms(row.get(8)?),
            reason: Reason {
                phase: row.get(9)?,
                code: row.get(10)?,
                enhanced: row.get(11)?,
                text: row.get::<_, Option<String>>(12)?.unwrap_or_default(),
            },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::probe_latency_p95`].
pub(super) fn latency_p95(connection: &Connection, route: &str) -> Result<Option<Duration>, StoreError> {
    let mut statement = connection.prepare_cached(LATENCIES)?;
    let (least, most) = limits::PROBE_LATENCIES;
    let rows = statement.query_map((route, most), |row| row.get::<_, i64>(0))?;
    let mut latencies = rows.collect::<Result<Vec<_>, _>>()?;
    latencies.sort_unstable();
    // Nineteen of twenty are at or below it.
    let index = (latencies.len() * 19).div_ceil(20).saturating_sub(1);
    let is_enough = latencies.len() >= usize::try_from(least).unwrap_or(usize::MAX);
    Ok(latencies.get(index).filter(|_| is_enough).map(|ms| probe::duration(*ms)))
}
