//! The verdict on a probe, kept beside its events: judged with every event, and when its time comes.

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::StoreError;
use super::super::read::strings;
use super::super::writer::{Work, Writer};
use super::event::{EVENTS, insert_event, read_event};
use super::{duration, ms, observed};
use crate::clock::Timestamp;
use crate::limits;
use crate::probe::lifecycle::{self, Event, Expectation, Options, Verdict, What};

const ONE: &str =
    "SELECT token, lost_after_ms, overdue_after_ms, expectation, within_ms, eyes, has_bounce_path,
    sent_at_ms, judged_at_ms, rev, state, place FROM probe WHERE token = $1";
const UPDATE: &str =
    "UPDATE probe SET state = $1, place = $2, moved_to = $3, reason = $4, accepted_at_ms = $5,
    arrived_at_ms = $6, latency_ms = $7, latency_error_ms = $8, duplicates = $9, replays = $10,
    contradicts_reply = $11, is_bounced_too = $12, has_clock_step = $13, rev = $14, judged_at_ms = $15,
    deadline_ms = $16, sent_at_ms = $17 WHERE token = $18";
// A younger one of the same route and profile that had surely arrived when this one had surely not.
const OVERTAKEN: &str = "SELECT 1 FROM probe AS p JOIN probe AS q ON q.route = p.route
    WHERE p.token = $1 AND q.sent_at_ms >= p.sent_at_ms + $2 AND q.sent_at_ms < p.arrived_at_ms
    AND q.profile = p.profile AND q.arrived_at_ms < p.arrived_at_ms - 2 * p.latency_error_ms LIMIT 1";
const SET_OVERTAKEN: &str = "UPDATE probe SET is_reordered = $1 WHERE token = $2";
const OVERTAKES: &str = "SELECT o.token FROM probe AS p JOIN probe AS o ON o.route = p.route
    WHERE p.token = $1 AND o.sent_at_ms <= p.sent_at_ms - $2 AND o.sent_at_ms > p.sent_at_ms - $3
    AND o.profile = p.profile AND o.is_reordered = 0 AND o.arrived_at_ms - 2 * o.latency_error_ms > p.arrived_at_ms";
const INSERT: &str = "INSERT INTO probe_verdict (token, rev, at_ms, state, place, reason)
    VALUES ($1, $2, $3, $4, $5, $6)";
const DUE: &str = "SELECT token FROM probe WHERE deadline_ms <= $1 ORDER BY deadline_ms, token LIMIT $2";
const OPEN: &str = "SELECT token FROM probe WHERE deadline_ms IS NOT NULL";

const TIMES: &str =
    "SELECT accepted_at_ms, arrived_at_ms, latency_ms, latency_error_ms FROM probe WHERE token = $1";

/// What stands in `moved_to` of mail that is gone.
const GONE: &str = "gone";

/// The row of a probe as far as judging it needs.
#[derive(Debug, Clone)]
pub(in crate::store) struct Stored {
    /// Its name.
    pub(in crate::store) token: String,
    /// Its options, without what eyes saw.
    options: Options,
    /// Its eyes.
    eyes: Vec<String>,
    /// When it was sent or planned.
    pub(in crate::store) sent_at: Timestamp,
    /// As of when it was judged.
    judged_at: Timestamp,
    /// Verdicts so far.
    rev: i64,
    /// The last state.
    pub(in crate::store) state: String,
    /// The last place.
    place: Option<String>,
}

/// Reads the options of a probe from six columns that begin at `at`: lost_after_ms, overdue_after_ms, expectation,
/// within_ms, eyes, has_bounce_path.
fn options_of(row: &Row<'_>, at: usize) -> rusqlite::Result<(Options, Vec<String>)> {
    let word: String = row.get(at + 2)?;
    let expectation = Expectation::parse(&word).ok_or_else(|| {
        let text = format!("unknown expectation of a probe: {word}");
        rusqlite::Error::FromSqlConversionFailure(at + 2, rusqlite::types::Type::Text, text.into())
    })?;
    let options = Options {
        lost_after: duration(row.get(at)?),
        overdue_after: duration(row.get(at + 1)?),
        expectation,
        within: row.get::<_, Option<i64>>(at + 3)?.map(duration),
        eyes: lifecycle::Observed::default(),
        bounce_path: row.get(at + 5)?,
    };
    Ok((options, strings(row.get_ref(at + 4)?.as_str()?)))
}

impl Stored {
    /// Reads the row of a probe.
    pub(in crate::store) fn read(connection: &Connection, token: &str) -> Result<Option<Self>, StoreError> {
        let read = |row: &Row<'_>| {
            let (options, eyes) = options_of(row, 1)?;
            Ok(Self {
                token: row.get(0)?,
                options,
                eyes,
                sent_at: Timestamp::from_ms(row.get(7)?),
                judged_at: Timestamp::from_ms(row.get(8)?),
                rev: row.get(9)?,
                state: row.get(10)?,
                place: row.get(11)?,
            })
        };
        Ok(connection.prepare_cached(ONE)?.query_row([token], read).optional()?)
    }

    /// Judges it at an instant by its events and what its eyes saw.
    pub(in crate::store) fn judge(
        &self,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let mut statement = connection.prepare_cached(EVENTS)?;
        let events = statement.query_map([&self.token], read_event)?.collect::<Result<Vec<Event>, _>>()?;
        let eyes = self.observed(connection)?;
        let options = Options { eyes, ..self.options.clone() };
        Ok(lifecycle::judge(&events, &options, now))
    }
}

impl Stored {
    /// What its eyes saw since it was sent.
    pub(in crate::store) fn observed(
        &self,
        connection: &Connection,
    ) -> Result<lifecycle::Observed, StoreError> {
        observed(connection, &self.eyes, self.sent_at)
    }
}

/// Judges a probe anew whose state time changes no more, and says how the verdict in its row differs; `None`: it does not.
pub(in crate::store) fn unlike(connection: &Connection, token: &str) -> Result<Option<String>, StoreError> {
    let Some(stored) = Stored::read(connection, token)? else { return Ok(None) };
    // Far beyond every deadline.
    let verdict = stored.judge(connection, Timestamp::from_ms(i64::MAX / 2))?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let times: (Option<i64>, Option<i64>, Option<i64>, Option<i64>) =
        connection.prepare_cached(TIMES)?.query_row([token], read)?;
    let place = verdict.place.map(lifecycle::MailPlace::as_str);
    let judged = (
        verdict.accepted_at.map(Timestamp::ms),
        verdict.arrived_at.map(Timestamp::ms),
        verdict.latency.map(|latency| latency.ms),
        verdict.latency.map(|latency| latency.error_ms),
    );
    if verdict.state.as_str() != stored.state || place != stored.place.as_deref() {
        let (is, says) = (verdict.state.as_str(), &stored.state);
        return Ok(Some(format!(
            "its row says {says} at {:?}, its events {is} at {place:?}",
            stored.place.as_deref()
        )));
    }
    Ok((judged != times).then(|| format!("its row says {times:?}, its events {judged:?}")))
}

/// Probes whose time came, with their verdicts, without writing these down.
pub(in crate::store) fn due(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<(Stored, Verdict)>, StoreError> {
    let tokens = due_tokens(connection, now, u32::MAX)?;
    let mut judged = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let Some(stored) = Stored::read(connection, &token)? {
            let verdict = stored.judge(connection, now)?;
            judged.push((stored, verdict));
        }
    }
    Ok(judged)
}

/// At most `most` probes whose time came.
fn due_tokens(connection: &Connection, now: Timestamp, most: u32) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(DUE)?;
    let tokens = statement.query_map((now.ms(), most), |row| row.get(0))?;
    Ok(tokens.collect::<Result<_, _>>()?)
}

/// Judges those anew whose time came, and writes it down. Returns how many.
pub(in crate::store) fn settle_due(writer: &Writer, now: Timestamp) -> Result<u64, StoreError> {
    let mut settled = 0;
    loop {
        let slice = writer.run(move |work| {
            let tokens = due_tokens(work.connection, now, limits::PROBES_SETTLED)?;
            for token in &tokens {
                settle(work, token, now)?;
            }
            Ok(u64::try_from(tokens.len()).unwrap_or(u64::MAX))
        })?;
        settled += slice;
        if slice < u64::from(limits::PROBES_SETTLED) {
            return Ok(settled);
        }
    }
}

/// Notes on all open probes that our own clock was set by `by_ms`, or that we slept; waits for the commit.
pub(in crate::store) fn note_clock(writer: &Writer, at: Timestamp, by_ms: i64) -> Result<(), StoreError> {
    writer.run(move |work| {
        let tokens = {
            let mut statement = work.connection.prepare_cached(OPEN)?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?
        };
        for token in tokens {
            insert_event(work, &token, &Event { at, what: What::Clock { ms: by_ms } })?;
            // The clock as it stands now is the right one, also where it was judged by a later one.
            settle_as_of(work, &token, at)?;
        }
        Ok(())
    })
}

/// Judges a probe with what happened at `at`, never as of an earlier time than before, and writes it down.
pub(super) fn settle(work: &Work<'_>, token: &str, at: Timestamp) -> Result<(), StoreError> {
    let Some(stored) = Stored::read(work.connection, token)? else { return Ok(()) };
    let now = at.max(stored.judged_at);
    write(work, &stored, now)
}

/// Judges a probe as of `now`, whenever it was judged before.
fn settle_as_of(work: &Work<'_>, token: &str, now: Timestamp) -> Result<(), StoreError> {
    match Stored::read(work.connection, token)? {
        Some(stored) => write(work, &stored, now),
        None => Ok(()),
    }
}

/// Judges and writes.
fn write(work: &Work<'_>, stored: &Stored, now: Timestamp) -> Result<(), StoreError> {
    let verdict = stored.judge(work.connection, now)?;
    let (state, place) = (verdict.state.as_str(), verdict.place.map(lifecycle::MailPlace::as_str));
    let is_new = stored.rev == 0 || stored.state != state || stored.place.as_deref() != place;
    let rev = stored.rev + i64::from(is_new);
    let moved_to =
        if verdict.is_gone { Some(GONE) } else { verdict.moved_to.map(lifecycle::MailPlace::as_str) };
    work.connection.prepare_cached(UPDATE)?.execute(rusqlite::params![
        state,
        place,
        moved_to,
        verdict.reason,
        verdict.accepted_at.map(Timestamp::ms),
        verdict.arrived_at.map(Timestamp::ms),
        verdict.latency.map(|latency| latency.ms),
        verdict.latency.map(|latency| latency.error_ms),
        i64::try_from(verdict.duplicates).unwrap_or(i64::MAX),
        i64::try_from(verdict.replays).unwrap_or(i64::MAX),
        verdict.contradicts_reply,
        verdict.is_bounced_too,
        verdict.has_clock_step,
        rev,
        now.ms(),
        // Never the instant itself: it would be due again and again.
        verdict.next_at.map(|at| at.ms().max(now.ms().saturating_add(1))),
        verdict.sent_at.unwrap_or(stored.sent_at).ms(),
        stored.token,
    ])?;
    if is_new {
        let row = (&stored.token, rev, now.ms(), state, place, &verdict.reason);
        work.connection.prepare_cached(INSERT)?.execute(row)?;
        if verdict.arrived_at.is_some() {
            note_order(work, &stored.token)?;
        }
    }
    Ok(())
}

/// Notes whether a probe that arrived was overtaken by a younger one, and which older ones it overtook: whichever of two
/// arrivals is told first.
fn note_order(work: &Work<'_>, token: &str) -> Result<(), StoreError> {
    let apart = ms(limits::PROBE_OVERTAKES);
    let is_overtaken = work.connection.prepare_cached(OVERTAKEN)?.exists((token, apart))?;
    work.connection.prepare_cached(SET_OVERTAKEN)?.execute((is_overtaken, token))?;
    let older = {
        let mut statement = work.connection.prepare_cached(OVERTAKES)?;
        let rows = statement.query_map((token, apart, ms(limits::PROBE_DELAY)), |row| row.get(0))?;
        rows.collect::<Result<Vec<String>, _>>()?
    };
    for older in older {
        work.connection.prepare_cached(SET_OVERTAKEN)?.execute((true, older))?;
    }
    Ok(())
}
