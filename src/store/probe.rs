//! Probes: what was sent, what happened to it, how it was handed over.
//!
//! The row and its first event are committed before the first byte leaves, so that a probe that arrives is
//! always known, and one whose sender was killed is in doubt and not forgotten. What received messages tell
//! is written in the transaction that finishes the message, and taken back when it is read again.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::message::json_array;
use super::writer::{Work, Writer};
use super::{MessageId, StoreError, source};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Address, ReversePath};
use crate::probe::bounce::Told;
use crate::probe::compose::TEMPLATE_VERSION;
use crate::probe::lifecycle::{self, Event, Options, Passage, Reason, What};
use crate::probe::matching::{Matches, Standing};
use crate::probe::plan::{Planned, RoutePlan};
use crate::probe::token::{KeyRing, Kind, Token};
use crate::smtp::submit::{HandOver, MxTried};

const INSERT: &str =
    "INSERT INTO probe (token, route, route_number, kind, profile, template_version, mail_from,
    rcpt_to, header_message_id, sent_at_ms, lost_after_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (token) DO NOTHING";
const INSERT_EVENT: &str = "INSERT INTO probe_event (token, seq, at_ms, event, phase, code, enhanced, text,
    message_id, is_timed, until_ms)
    VALUES ($1, (SELECT COALESCE(MAX(seq) + 1, 0) FROM probe_event WHERE token = $1), $2, $3, $4, $5, $6, $7, $8, $9,
    $10) ON CONFLICT DO NOTHING";
const INSERT_ATTEMPT: &str = "INSERT INTO probe_attempt (token, seq, started_at_ms, ended_at_ms, peer_ip, peer_port,
    addresses, extensions, tls_version, tls_cipher, tls_server_name, tls_verification, certificate_sha256, queue_id,
    mx_host, mta_sts, dane, mx)
    VALUES ($1, (SELECT COALESCE(MAX(seq) + 1, 0) FROM probe_attempt WHERE token = $1), $2, $3, $4, $5, $6, $7, $8,
    $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING seq";
const INSERT_STEP: &str = "INSERT INTO probe_step (token, attempt, seq, phase, sent, reply, took_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const LOST_AFTER: &str = "SELECT lost_after_ms FROM probe WHERE token = $1";
const SET_DEADLINE: &str = "UPDATE probe SET deadline_ms = $1 WHERE token = $2";
const SIGHTINGS: &str = "SELECT COUNT(*) FROM probe_event WHERE token = $1 AND message_id IS NOT NULL";
const TOLD_BY: &str = "SELECT token FROM probe_event WHERE message_id = $1";
const FORGET: &str = "DELETE FROM probe_event WHERE message_id = $1";
/// The events of one probe, as [`read_event`] reads them.
pub(super) const EVENTS: &str =
    "SELECT at_ms, event, phase, code, enhanced, text, message_id, is_timed, until_ms
    FROM probe_event WHERE token = $1 ORDER BY seq";

/// A probe that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProbe {
    /// Its name: [`crate::probe::TokenTexts::name`].
    pub token: String,
    /// Its route.
    pub route: String,
    /// The route's number, as in the token.
    pub route_number: u16,
    /// Its kind.
    pub kind: Kind,
    /// Its profile, as printed.
    pub profile: String,
    /// [`crate::probe::compose::TEMPLATE_VERSION`].
    pub template_version: u32,
    /// Its reverse-path.
    pub mail_from: ReversePath,
    /// Its recipient.
    pub rcpt_to: Address,
    /// Its Message-ID with the angle brackets.
    pub message_id: String,
    /// When the first attempt begins.
    pub sent_at: Timestamp,
    /// How long after its acceptance it is lost.
    pub lost_after: Duration,
}

impl NewProbe {
    /// The probe that was planned, as it is kept.
    pub fn of(planned: &Planned, route: &RoutePlan<'_>, sent_at: Timestamp, lost_after: Duration) -> Self {
        Self {
            token: planned.texts.name().to_owned(),
            route: route.name.to_owned(),
            route_number: planned.token.route,
            kind: planned.token.kind,
            profile: route.profile.to_string(),
            template_version: TEMPLATE_VERSION,
            mail_from: planned.mail_from.clone(),
            rcpt_to: planned.rcpt_to.clone(),
            message_id: planned.message.message_id.clone(),
            sent_at,
            lost_after,
        }
    }
}

/// What a received message tells of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The probe's name.
    pub token: String,
    /// What the token says.
    pub clear: Token,
    /// True if the message is the probe itself, false if it is a replay.
    pub is_arrival: bool,
    /// True if the time at which the message came is known.
    pub is_timed: bool,
    /// Why it is a replay.
    pub reason: Option<String>,
}

impl Sighting {
    /// The arrivals and replays among the matches of one message. Quotations are no sightings.
    ///
    /// `is_timed`: false for an imported message, whose arrival nobody saw.
    pub fn of(matches: &Matches, ring: &KeyRing, is_timed: bool) -> Vec<Self> {
        matches
            .probes
            .iter()
            .filter_map(|found| {
                let reason = match found.standing {
                    Standing::Arrival => None,
                    Standing::Replay(reason) => Some(reason.as_str().to_owned()),
                    Standing::Quoted => return None,
                };
                let token = ring.texts(&found.token)?.recipient;
                Some(Self { token, clear: found.token, is_arrival: reason.is_none(), is_timed, reason })
            })
            .collect()
    }
}

/// What a mail that came back tells of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The probe's name.
    pub token: String,
    /// What the token says.
    pub clear: Token,
    /// What the mail tells.
    pub told: Told,
}

// ---- Writing ----

/// Writes a new probe and that its sending begins; waits for the commit.
pub(super) fn begin(writer: &Writer, probe: NewProbe) -> Result<(), StoreError> {
    writer.run(move |work| {
        let written = insert(work, &probe)?;
        if !written {
            return Err(StoreError::Contradiction(format!("probe {} is there already", probe.token)));
        }
        let event = Event { at: probe.sent_at, what: What::Sending };
        insert_event(work, &probe.token, &event)?;
        settle(work, &probe.token)
    })
}

/// Writes that another attempt begins; waits for the commit.
pub(super) fn begin_again(writer: &Writer, token: &str, at: Timestamp) -> Result<(), StoreError> {
    let token = token.to_owned();
    writer.run(move |work| {
        lost_after(work, &token)?;
        insert_event(work, &token, &Event { at, what: What::Sending })?;
        settle(work, &token)
    })
}

/// Writes how an attempt went; waits for the commit.
pub(super) fn finish(writer: &Writer, token: &str, hand_over: HandOver) -> Result<(), StoreError> {
    let token = token.to_owned();
    writer.run(move |work| {
        lost_after(work, &token)?;
        let event = Event { at: hand_over.ended_at, what: hand_over.outcome.what() };
        insert_event(work, &token, &event)?;
        insert_attempt(work, &token, &hand_over)?;
        settle(work, &token)
    })
}

/// Writes what a received message tells, within the open transaction. The same message again adds nothing, and
/// nor does one after the [`limits::PROBE_SIGHTINGS`]th.
pub(super) fn see(
    work: &mut Work<'_>,
    message: MessageId,
    received_at: Timestamp,
    sightings: &[Sighting],
) -> Result<(), StoreError> {
    for sighting in sightings {
        let what = if sighting.is_arrival {
            What::Arrived { message, is_timed: sighting.is_timed }
        } else {
            What::Replayed { message }
        };
        note(work, &sighting.token, &sighting.clear, &Event { at: received_at, what })?;
    }
    Ok(())
}

/// Writes what a mail that came back tells, as [`see`].
pub(super) fn take_back(
    work: &mut Work<'_>,
    message: MessageId,
    received_at: Timestamp,
    returned: &[Returned],
) -> Result<(), StoreError> {
    for Returned { token, clear, told } in returned {
        let what = match told.clone() {
            Told::Bounced(reason) => What::Bounced { message, reason },
            Told::Delayed { reason, until } => What::Delayed { message, reason, until },
            Told::PassedOn(how, reason) => What::PassedOn { message, how, reason },
            Told::Delivered(reason) => What::Delivered { message, reason },
        };
        note(work, token, clear, &Event { at: received_at, what })?;
    }
    Ok(())
}

/// Writes one event that a received message tells.
fn note(work: &Work<'_>, token: &str, clear: &Token, event: &Event) -> Result<(), StoreError> {
    insert_unknown(work, token, clear)?;
    let noted: u32 = work.connection.prepare_cached(SIGHTINGS)?.query_row([token], |row| row.get(0))?;
    if noted >= limits::PROBE_SIGHTINGS {
        return Ok(());
    }
    insert_event(work, token, event)?;
    settle(work, token)
}

/// Takes back what a message told, within the open transaction: it is being read again.
pub(super) fn forget(work: &mut Work<'_>, message: MessageId) -> Result<(), StoreError> {
    let tokens: Vec<String> = {
        let mut statement = work.connection.prepare_cached(TOLD_BY)?;
        let tokens = statement.query_map([message.0], |row| row.get(0))?;
        tokens.collect::<Result<_, _>>()?
    };
    if tokens.is_empty() {
        return Ok(());
    }
    work.connection.prepare_cached(FORGET)?.execute([message.0])?;
    for token in tokens {
        settle(work, &token)?;
    }
    Ok(())
}

/// Writes the row of a probe; false if there is one.
fn insert(work: &Work<'_>, probe: &NewProbe) -> Result<bool, StoreError> {
    let written = work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        probe.token,
        probe.route,
        probe.route_number,
        probe.kind.as_str(),
        probe.profile,
        probe.template_version,
        probe.mail_from.to_string(),
        probe.rcpt_to.to_string(),
        probe.message_id,
        probe.sent_at.ms(),
        ms(probe.lost_after),
    ])?;
    Ok(written == 1)
}

/// Writes the row of a probe that the store does not know, by its token: another store sent it, or this one
/// was lost.
fn insert_unknown(work: &Work<'_>, token: &str, clear: &Token) -> Result<(), StoreError> {
    let none: Option<String> = None;
    work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        token,
        format!("route {}", clear.route),
        clear.route,
        clear.kind.as_str(),
        none,
        none,
        none,
        none,
        none,
        clear.made_at().ms(),
        ms(limits::PROBE_LOST_AFTER),
    ])?;
    Ok(())
}

/// Adds one event.
fn insert_event(work: &Work<'_>, token: &str, event: &Event) -> Result<(), StoreError> {
    let reason = event.what.reason();
    let (message, is_timed, until) = match event.what {
        What::Arrived { message, is_timed } => (Some(message.0), Some(is_timed), None),
        What::Replayed { message }
        | What::Bounced { message, .. }
        | What::PassedOn { message, .. }
        | What::Delivered { message, .. } => (Some(message.0), None, None),
        What::Delayed { message, until, .. } => (Some(message.0), None, until),
        What::Sending | What::Accepted(_) | What::Refused(_) | What::Deferred(_) | What::InDoubt(_) => {
            (None, None, None)
        }
    };
    work.connection.prepare_cached(INSERT_EVENT)?.execute(rusqlite::params![
        token,
        event.at.ms(),
        event.what.as_str(),
        reason.and_then(|reason| reason.phase.as_ref()),
        reason.and_then(|reason| reason.code),
        reason.and_then(|reason| reason.enhanced.as_ref()),
        reason.map(|reason| &reason.text),
        message,
        is_timed,
        until.map(Timestamp::ms),
    ])?;
    Ok(())
}

/// Adds the record of one attempt.
fn insert_attempt(work: &Work<'_>, token: &str, hand_over: &HandOver) -> Result<(), StoreError> {
    let peer_ip = hand_over.peer.map(|peer| {
        let mut out = Vec::with_capacity(17);
        source::write_ip(peer.ip(), &mut out);
        out
    });
    let failed = hand_over
        .attempts
        .iter()
        .filter_map(|attempt| attempt.fault.as_ref().map(|fault| format!("{}: {fault}", attempt.address)));
    let tls = hand_over.tls.as_ref();
    let last_mx = hand_over.mx.iter().rfind(|mx| mx.address.is_some());
    let attempt: i64 = work.connection.prepare_cached(INSERT_ATTEMPT)?.query_row(
        rusqlite::params![
            token,
            hand_over.started_at.ms(),
            hand_over.ended_at.ms(),
            peer_ip,
            hand_over.peer.map(|peer| peer.port()),
            json_array(failed),
            json_array(hand_over.extensions.iter().cloned()),
            tls.map(|tls| &tls.version),
            tls.map(|tls| &tls.cipher),
            tls.map(|tls| &tls.server_name),
            tls.map(|tls| tls.verification.to_string()),
            tls.and_then(|tls| tls.certificate_sha256),
            hand_over.queue_id,
            last_mx.map(|mx| &mx.host),
            last_mx.map(|mx| mx.sts.to_string()),
            last_mx.map(|mx| mx.dane.to_string()),
            mx_json(&hand_over.mx),
        ],
        |row| row.get(0),
    )?;
    for (seq, step) in (0i64..).zip(&hand_over.steps) {
        work.connection.prepare_cached(INSERT_STEP)?.execute(rusqlite::params![
            token,
            attempt,
            seq,
            step.phase.as_str(),
            step.sent,
            step.reply.as_ref().map(ToString::to_string),
            i64::try_from(step.took.as_micros()).unwrap_or(i64::MAX),
        ])?;
    }
    Ok(())
}

/// The MX hosts of an attempt, as they are kept.
fn mx_json(tried: &[MxTried]) -> String {
    let object = |mx: &MxTried| {
        serde_json::json!({
            "host": mx.host,
            "preference": mx.preference,
            "address": mx.address.map(|address| address.to_string()),
            "mta_sts": mx.sts.to_string(),
            "dane": mx.dane.to_string(),
            "fault": mx.fault,
        })
    };
    serde_json::Value::Array(tried.iter().map(object).collect()).to_string()
}

/// How long a probe is waited for. Errors: `NotFound` if there is no such probe.
fn lost_after(work: &Work<'_>, token: &str) -> Result<Duration, StoreError> {
    let found = work
        .connection
        .prepare_cached(LOST_AFTER)?
        .query_row([token], |row| row.get(0).map(duration))
        .optional()?;
    found.ok_or_else(|| StoreError::NotFound(format!("probe {token}")))
}

/// Notes until when time alone may change the probe's state.
fn settle(work: &Work<'_>, token: &str) -> Result<(), StoreError> {
    let options = Options { lost_after: lost_after(work, token)? };
    let events: Vec<Event> = {
        let mut statement = work.connection.prepare_cached(EVENTS)?;
        let rows = statement.query_map([token], |row| read_event(row, 0))?;
        rows.collect::<Result<_, _>>()?
    };
    // Judged at the beginning of time, only the events decide.
    let verdict = lifecycle::judge(&events, options, Timestamp::from_ms(i64::MIN));
    let deadline = verdict.state.is_open().then(|| {
        verdict.lost_at.or_else(|| verdict.sent_at.map(|at| at.after(options.lost_after))).map(Timestamp::ms)
    });
    work.connection.prepare_cached(SET_DEADLINE)?.execute((deadline.flatten(), token))?;
    Ok(())
}

// ---- Reading ----

/// Reads one event from nine columns that begin at `at`.
pub(super) fn read_event(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Event> {
    let reason = || -> rusqlite::Result<Reason> {
        Ok(Reason {
            phase: row.get(at + 2)?,
            code: row.get(at + 3)?,
            enhanced: row.get(at + 4)?,
            text: row.get::<_, Option<String>>(at + 5)?.unwrap_or_default(),
        })
    };
    let message = || -> rusqlite::Result<MessageId> { Ok(MessageId(row.get(at + 6)?)) };
    let word: String = row.get(at + 1)?;
    let what = match word.as_str() {
        "sending" => What::Sending,
        "accepted" => What::Accepted(reason()?),
        "refused" => What::Refused(reason()?),
        "deferred" => What::Deferred(reason()?),
        "in_doubt" => What::InDoubt(reason()?),
        "arrived" => What::Arrived { message: message()?, is_timed: row.get(at + 7)? },
        "replayed" => What::Replayed { message: message()? },
        "bounced" => What::Bounced { message: message()?, reason: reason()? },
        "delayed" => {
            let until = row.get::<_, Option<i64>>(at + 8)?.map(Timestamp::from_ms);
            What::Delayed { message: message()?, reason: reason()?, until }
        }
        "relayed" => What::PassedOn { message: message()?, how: Passage::Relayed, reason: reason()? },
        "expanded" => What::PassedOn { message: message()?, how: Passage::Expanded, reason: reason()? },
        "delivered" => What::Delivered { message: message()?, reason: reason()? },
        other => {
            let text = format!("unknown event of a probe: {other}");
            return Err(rusqlite::Error::FromSqlConversionFailure(
                at + 1,
                rusqlite::types::Type::Text,
                text.into(),
            ));
        }
    };
    Ok(Event { at: Timestamp::from_ms(row.get(at)?), what })
}

/// A duration as it is stored.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A stored duration.
pub(super) fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
