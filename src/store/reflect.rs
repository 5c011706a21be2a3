//! Answers to arrivals: durable work, once for each probe, whatever ends in between.
//!
//! The row is written in the transaction that finishes the reading of the arrival, and stays: so that a second copy, a
//! replay, another reading or another process makes no second answer. An answer that was on its way when the process
//! ended is in doubt and not sent again.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::writer::{Work, Writer};
use super::{MessageId, NewProbe, StoreError, probe};
use crate::clock::Timestamp;
use crate::probe::lifecycle::{Event, Reason, What};
use crate::probe::reflect::retry_at;
use crate::smtp::submit::{HandOver, Outcome};

// A copy that may be answered makes up for one that may not; what was begun or given up stays as it is.
const ENQUEUE: &str =
    "INSERT INTO reflect (token, route_number, message_id, arrived_at_ms, state, reason, tries,
    next_at_ms) VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (token) DO UPDATE SET
    message_id = excluded.message_id, arrived_at_ms = excluded.arrived_at_ms, state = excluded.state,
    reason = excluded.reason, next_at_ms = excluded.next_at_ms
    WHERE reflect.state = 'not-answered' AND excluded.state = 'waiting'";
const DUE: &str = "SELECT r.token, r.route_number, p.route, r.arrived_at_ms, r.tries, r.reply_token
    FROM reflect AS r LEFT JOIN probe AS p ON p.token = r.token
    WHERE r.next_at_ms <= $1 AND r.state = 'waiting' ORDER BY r.next_at_ms, r.token LIMIT $2";
const SENT: &str =
    "SELECT COALESCE(SUM(CASE WHEN route_number = $1 THEN 1 ELSE 0 END), 0), COUNT(*) FROM reflect
    WHERE sent_at_ms > $2";
const BEGIN: &str =
    "UPDATE reflect SET state = 'sending', reply_token = $1, sent_at_ms = COALESCE(sent_at_ms, $2),
    tries = tries + 1, next_at_ms = NULL WHERE token = $3 AND state = 'waiting'";
const END: &str = "UPDATE reflect SET state = $1, reason = $2, next_at_ms = $3 WHERE token = $4";
const INTERRUPTED: &str = "SELECT token, reply_token FROM reflect WHERE state = 'sending'";
const ONE: &str = "SELECT token, state, reason, arrived_at_ms, reply_token FROM reflect WHERE token = $1";
const OF_REPLY: &str = "SELECT token FROM reflect WHERE reply_token = $1";
const OVERTAKEN: &str = "SELECT y.token FROM probe AS o JOIN probe AS y ON y.route = o.route
    WHERE o.token = $1 AND y.sent_at_ms >= o.sent_at_ms + $2 AND y.sent_at_ms < o.arrived_at_ms
    AND y.arrived_at_ms < o.arrived_at_ms ORDER BY y.sent_at_ms, y.token LIMIT 1";
const TRIES: &str = "SELECT tries, arrived_at_ms FROM reflect WHERE token = $1";

/// What reading a message found about answering it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReflection {
    /// The probe's name.
    pub token: String,
    /// The number of its route.
    pub route_number: u16,
    /// Why it is not answered; `None`: it is.
    pub declined: Option<&'static str>,
}

/// An arrival that is to be answered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueReflection {
    /// The probe's name.
    pub token: String,
    /// The number of its route.
    pub route_number: u16,
    /// Its route, where the store knows it.
    pub route: Option<String>,
    /// When it arrived.
    pub arrived_at: Timestamp,
    /// Attempts so far.
    pub tries: u32,
    /// The token of the answer, once there was an attempt.
    pub reply_token: Option<String>,
}

/// What became of answering an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReflection {
    /// The probe's name.
    pub token: String,
    /// `waiting`, `sending`, `answered`, `in-doubt`, `refused`, `given-up` or `not-answered`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// When the probe arrived.
    pub arrived_at: Timestamp,
    /// The token of the answer, a probe of its own.
    pub reply_token: Option<String>,
}

/// Keeps that an arrival is to be answered, or why not, within the open transaction.
pub(super) fn enqueue(
    work: &Work<'_>,
    id: MessageId,
    received_at: Timestamp,
    read: &ReadReflection,
) -> Result<(), StoreError> {
    let (state, next_at) = match read.declined {
        Some(_) => ("not-answered", None),
        None => ("waiting", Some(received_at.ms())),
    };
    work.connection.prepare_cached(ENQUEUE)?.execute((
        &read.token,
        read.route_number,
        id.0,
        received_at.ms(),
        state,
        read.declined,
        next_at,
    ))?;
    Ok(())
}

/// See [`super::Reader::due_reflections`].
pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DueReflection>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(DUE)?;
    let rows = statement.query_map((now.ms(), limit), |row| {
        Ok(DueReflection {
            token: row.get(0)?,
            route_number: row.get(1)?,
            route: row.get(2)?,
            arrived_at: Timestamp::from_ms(row.get(3)?),
            tries: row.get(4)?,
            reply_token: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Answers that began since: those of a route, and all.
pub(super) fn sent_since(
    connection: &Connection,
    route_number: u16,
    since: Timestamp,
) -> Result<(u64, u64), StoreError> {
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let row = connection
        .prepare_cached(SENT)?
        .query_row((route_number, since.ms()), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    Ok((count(row.0), count(row.1)))
}

/// What became of answering a probe.
pub(super) fn one(connection: &Connection, token: &str) -> Result<Option<StoredReflection>, StoreError> {
    let found = connection.prepare_cached(ONE)?.query_row([token], |row| {
        Ok(StoredReflection {
            token: row.get(0)?,
            state: row.get(1)?,
            reason: row.get(2)?,
            arrived_at: Timestamp::from_ms(row.get(3)?),
            reply_token: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// The probe that an answer answers.
pub(super) fn answered_by(connection: &Connection, reply_token: &str) -> Result<Option<String>, StoreError> {
    Ok(connection.prepare_cached(OF_REPLY)?.query_row([reply_token], |row| row.get(0)).optional()?)
}

/// See [`super::Reader::overtaken_by`].
pub(super) fn overtaken_by(
    connection: &Connection,
    token: &str,
    gap: Duration,
) -> Result<Option<String>, StoreError> {
    let gap = i64::try_from(gap.as_millis()).unwrap_or(i64::MAX);
    Ok(connection.prepare_cached(OVERTAKEN)?.query_row((token, gap), |row| row.get(0)).optional()?)
}

// ---- Work ----

/// See [`super::Store::begin_reflection`].
pub(super) fn begin(writer: &Writer, token: &str, reply: NewProbe) -> Result<bool, StoreError> {
    let token = token.to_owned();
    writer.run(move |work| {
        let at = reply.sent_at;
        let begun = work.connection.prepare_cached(BEGIN)?.execute((&reply.token, at.ms(), &token))?;
        if begun == 0 {
            return Ok(false);
        }
        probe::begin_within(work, &reply, &Event { at, what: What::Sending })?;
        Ok(true)
    })
}

/// See [`super::Store::finish_reflection`].
pub(super) fn finish(
    writer: &Writer,
    token: &str,
    reply_token: &str,
    hand_over: HandOver,
) -> Result<(), StoreError> {
    let (token, reply_token) = (token.to_owned(), reply_token.to_owned());
    writer.run(move |work| {
        let ended_at = hand_over.ended_at;
        let (tries, arrived_at): (u32, i64) = work
            .connection
            .prepare_cached(TRIES)?
            .query_row([&token], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let what = hand_over.outcome.what();
        let reason = what.reason().map(ToString::to_string);
        let (state, next_at) = match &hand_over.outcome {
            Outcome::Accepted(_) => ("answered", None),
            Outcome::Refused(..) => ("refused", None),
            Outcome::InDoubt(_) => ("in-doubt", None),
            Outcome::Deferred(..) => match retry_at(tries, Timestamp::from_ms(arrived_at), ended_at) {
                Some(at) => ("waiting", Some(at.ms())),
                None => ("given-up", None),
            },
        };
        probe::finish_within(work, &reply_token, &hand_over)?;
        work.connection.prepare_cached(END)?.execute((state, reason, next_at, &token))?;
        Ok(())
    })
}

/// See [`super::Store::decline_reflection`].
pub(super) fn decline(writer: &Writer, token: &str, reason: &str) -> Result<(), StoreError> {
    let (token, reason) = (token.to_owned(), reason.to_owned());
    writer.run(move |work| {
        let none: Option<i64> = None;
        work.connection.prepare_cached(END)?.execute(("given-up", &reason, none, &token))?;
        Ok(())
    })
}

/// See [`super::Store::postpone_reflection`].
pub(super) fn postpone(
    writer: &Writer,
    token: &str,
    reason: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    let (token, reason) = (token.to_owned(), reason.to_owned());
    writer.run(move |work| {
        work.connection.prepare_cached(END)?.execute(("waiting", &reason, Some(until.ms()), &token))?;
        Ok(())
    })
}

/// See [`super::Store::recover_reflections`].
pub(super) fn recover(writer: &Writer, now: Timestamp) -> Result<u64, StoreError> {
    writer.run(move |work| {
        let interrupted: Vec<(String, Option<String>)> = {
            let mut statement = work.connection.prepare_cached(INTERRUPTED)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        let text = "the program ended while it was being sent";
        for (token, reply) in &interrupted {
            let none: Option<i64> = None;
            work.connection.prepare_cached(END)?.execute(("in-doubt", text, none, token))?;
            if let Some(reply) = reply {
                let reason = Reason { text: text.to_owned(), ..Reason::default() };
                probe::happen_within(work, reply, &Event { at: now, what: What::InDoubt(reason) })?;
            }
        }
        Ok(u64::try_from(interrupted.len()).unwrap_or(u64::MAX))
    })
}
