//! Probes: what was sent, what happened to it, how it was handed over.
//!
//! The row and its first event are committed before the first byte leaves, so that a probe that arrives is
//! always known, and one whose sender was killed is in doubt and not forgotten. What received messages tell
//! is written in the transaction that finishes the message, and taken back when it is read again. With every event
//! the verdict is judged anew ([`verdict`]).

mod event;
mod eye;
mod verdict;

use std::time::Duration;

use super::message::json_array;
use super::writer::{Work, Writer};
use super::{MessageId, StoreError, source};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Address, ReversePath};
use crate::probe::bounce::Told;
use crate::probe::compose::TEMPLATE_VERSION;
use crate::probe::lifecycle::{Event, Expectation, Seen, What};
use crate::probe::matching::{Matches, Standing};
use crate::probe::plan::{Planned, RoutePlan};
use crate::probe::token::{KeyRing, Kind, Token};
use crate::smtp::submit::{HandOver, MxTried};

pub(super) use event::{EVENTS, read_event};
pub(super) use eye::{blind_because, forget_eyes, note_look, observed};
pub(super) use verdict::{Stored, due, note_clock, settle_due, unlike};

use event::insert_event;
use verdict::settle;

const INSERT: &str =
    "INSERT INTO probe (token, route, route_number, kind, profile, template_version, mail_from,
    rcpt_to, destination, header_message_id, size_bytes, is_dkim_signed, mx_host, expectation, within_ms,
    overdue_after_ms, lost_after_ms, eyes, has_bounce_path, planned_at_ms, sent_at_ms, judged_at_ms,
    message_sha256, is_in_maintenance, state,
    duplicates, replays, contradicts_reply, is_bounced_too, has_clock_step, is_reordered, rev)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $21, $22,
    $23, 'planned', 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (token) DO NOTHING";
const INSERT_ATTEMPT: &str = "INSERT INTO probe_attempt (token, seq, started_at_ms, ended_at_ms, peer_ip, peer_port,
    addresses, extensions, tls_version, tls_cipher, tls_server_name, tls_verification, certificate_sha256, queue_id,
    mx_host, mta_sts, dane, mx, certificate_until_ms)
    VALUES ($1, (SELECT COALESCE(MAX(seq) + 1, 0) FROM probe_attempt WHERE token = $1), $2, $3, $4, $5, $6, $7, $8,
    $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) RETURNING seq";
const INSERT_STEP: &str = "INSERT INTO probe_step (token, attempt, seq, phase, sent, reply, took_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const IS_THERE: &str = "SELECT 1 FROM probe WHERE token = $1";
const SIGHTINGS: &str = "SELECT COUNT(*) FROM probe_event WHERE token = $1 AND message_id IS NOT NULL";
const TOLD_BY: &str = "SELECT token FROM probe_event WHERE message_id = $1";
// Our own receiver is the receiver of what came to it.
const VERIFIED: &str = "UPDATE probe_event SET
    spf = (SELECT a.spf FROM authentication AS a WHERE a.message_id = $1),
    dkim = (SELECT a.dkim FROM authentication AS a WHERE a.message_id = $1),
    dmarc = (SELECT a.dmarc FROM authentication AS a WHERE a.message_id = $1)
    WHERE message_id = $1 AND event = 'arrived' AND place = 'sink'
    AND EXISTS (SELECT 1 FROM authentication AS a WHERE a.message_id = $1 AND a.verified_at_ms IS NOT NULL)";
const FORGET: &str = "DELETE FROM probe_event WHERE message_id = $1";

/// The name of the eye that is our own receiver.
pub const SINK_EYE: &str = "sink";

/// The name of the eye that reads the mailbox `name` of the configuration.
pub fn mailbox_eye(name: &str) -> String {
    format!("mailbox/{name}")
}

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
    /// The domain of its recipient; `None` where that is no domain.
    pub destination: Option<String>,
    /// Bytes of the message as sent.
    pub size_bytes: u64,
    /// SHA-256 of the message as sent: a retry must be the same.
    pub message_sha256: [u8; 32],
    /// True if it is signed with a key of ours.
    pub is_dkim_signed: bool,
    /// The MX host for which it is made; `None`: any.
    pub mx_host: Option<String>,
    /// What should become of it.
    pub expectation: Expectation,
    /// How long after its acceptance one that must not arrive is decided; `None`: `lost_after`.
    pub within: Option<Duration>,
    /// How long after its acceptance it is overdue.
    pub overdue_after: Duration,
    /// How long after its acceptance it is lost.
    pub lost_after: Duration,
    /// Who watches where it should arrive: names of eyes ([`super::Store::note_look`]). Without any it is never lost.
    pub eyes: Vec<String>,
    /// True if a bounce would reach us.
    pub has_bounce_path: bool,
    /// When the schedule means it to be sent; `None`: it is sent by hand.
    pub planned_at: Option<Timestamp>,
    /// When the first attempt begins.
    pub sent_at: Timestamp,
    /// True if its route is under maintenance: it is no alarm then.
    pub is_in_maintenance: bool,
}

impl NewProbe {
    /// The probe that was planned, as it is kept: sent by hand, to arrive at our own receiver, which bounces reach too.
    /// What is otherwise is set afterwards.
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
            destination: planned.rcpt_to.domain_name().map(|name| name.as_str().to_owned()),
            size_bytes: u64::try_from(planned.message.bytes.len()).unwrap_or(u64::MAX),
            is_dkim_signed: planned.message.is_dkim_signed,
            mx_host: None,
            expectation: route.profile.expectation(),
            within: None,
            overdue_after: limits::PROBE_OVERDUE_AFTER.min(lost_after),
            lost_after,
            eyes: vec![SINK_EYE.to_owned()],
            has_bounce_path: true,
            planned_at: None,
            sent_at,
            message_sha256: super::sha256(&planned.message.bytes),
            is_in_maintenance: false,
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
    /// Where and by whom it was seen.
    pub seen: Seen,
    /// Why it is a replay.
    pub reason: Option<String>,
}

impl Sighting {
    /// The arrivals and replays among the matches of one message. Quotations are no sightings.
    ///
    /// `is_timed`: false for an imported message, whose arrival nobody saw. `seen`: where it lay, as its reader saw it.
    pub fn of(matches: &Matches, ring: &KeyRing, is_timed: bool, seen: &Seen) -> Vec<Self> {
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
                Some(Self {
                    token,
                    clear: found.token,
                    is_arrival: reason.is_none(),
                    is_timed,
                    seen: seen.clone(),
                    reason,
                })
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

/// Writes a new probe and that it is to be sent at its `planned_at`; waits for the commit.
pub(super) fn plan(writer: &Writer, probe: NewProbe) -> Result<(), StoreError> {
    let at = probe.planned_at.unwrap_or(probe.sent_at);
    begin_with(writer, probe, Event { at, what: What::Planned })
}

/// Writes a new probe and that its sending begins; waits for the commit.
pub(super) fn begin(writer: &Writer, probe: NewProbe) -> Result<(), StoreError> {
    let at = probe.sent_at;
    begin_with(writer, probe, Event { at, what: What::Sending })
}

/// Writes a new probe with its first event.
fn begin_with(writer: &Writer, probe: NewProbe, event: Event) -> Result<(), StoreError> {
    writer.run(move |work| begin_in(work, &probe, &event))
}

/// Writes a new probe with its first event, within the open transaction.
pub(super) fn begin_in(work: &Work<'_>, probe: &NewProbe, event: &Event) -> Result<(), StoreError> {
    let written = insert(work, probe)?;
    if !written {
        return Err(StoreError::Contradiction(format!("probe {} is there already", probe.token)));
    }
    insert_event(work, &probe.token, event)?;
    settle(work, &probe.token, event.at)
}

/// Writes one thing that happened to a probe that is there; waits for the commit.
pub(super) fn happen(writer: &Writer, token: &str, event: Event) -> Result<(), StoreError> {
    let token = token.to_owned();
    writer.run(move |work| happen_in(work, &token, &event))
}

/// Writes one thing that happened to a probe, within the open transaction.
pub(super) fn happen_in(work: &Work<'_>, token: &str, event: &Event) -> Result<(), StoreError> {
    require(work, token)?;
    insert_event(work, token, event)?;
    settle(work, token, event.at)
}

/// Writes how an attempt went; waits for the commit.
pub(super) fn finish(writer: &Writer, token: &str, hand_over: HandOver) -> Result<(), StoreError> {
    let token = token.to_owned();
    writer.run(move |work| finish_in(work, &token, &hand_over))
}

/// Writes how an attempt went, within the open transaction.
pub(super) fn finish_in(work: &Work<'_>, token: &str, hand_over: &HandOver) -> Result<(), StoreError> {
    require(work, token)?;
    let event = Event { at: hand_over.ended_at, what: hand_over.outcome.what() };
    insert_event(work, token, &event)?;
    insert_attempt(work, token, hand_over)?;
    settle(work, token, event.at)
}

/// As [`begin`], within the open transaction: with its first event, which is not always its sending.
pub(super) fn begin_within(work: &Work<'_>, probe: &NewProbe, event: &Event) -> Result<(), StoreError> {
    // There already: another attempt.
    insert(work, probe)?;
    insert_event(work, &probe.token, event)?;
    settle(work, &probe.token, event.at)
}

/// Writes one thing that happened to a probe, within the open transaction.
pub(super) fn happen_within(work: &Work<'_>, token: &str, event: &Event) -> Result<(), StoreError> {
    require(work, token)?;
    insert_event(work, token, event)?;
    settle(work, token, event.at)
}

/// As [`finish`], within the open transaction.
pub(super) fn finish_within(work: &Work<'_>, token: &str, hand_over: &HandOver) -> Result<(), StoreError> {
    insert_attempt(work, token, hand_over)?;
    happen_within(work, token, &Event { at: hand_over.ended_at, what: hand_over.outcome.what() })
}

/// Writes what a received message tells, within the open transaction: as a probe, and as a mail that came back. The
/// same message again adds nothing, and nor does one after the [`limits::PROBE_SIGHTINGS`]th.
///
/// `before`: the probes of which the message told when it was read before ([`forget`]).
pub(super) fn tell(
    work: &mut Work<'_>,
    message: MessageId,
    received_at: Timestamp,
    (sightings, returned): (&[Sighting], &[Returned]),
    before: Vec<String>,
) -> Result<(), StoreError> {
    let mut tokens = before;
    for sighting in sightings {
        let what = if sighting.is_arrival {
            What::Arrived { message, is_timed: sighting.is_timed, seen: sighting.seen.clone() }
        } else {
            What::Replayed { message }
        };
        note(work, &sighting.token, &sighting.clear, &Event { at: received_at, what })?;
        tokens.push(sighting.token.clone());
    }
    for Returned { token, clear, told } in returned {
        let what = match told.clone() {
            Told::Bounced(reason) => What::Bounced { message, reason },
            Told::Delayed { reason, until } => What::Delayed { message, reason, until },
            Told::Held(reason) => What::Held { message, reason },
            Told::PassedOn(how, reason) => What::PassedOn { message, how, reason },
            Told::Delivered(reason) => What::Delivered { message, reason },
        };
        note(work, token, clear, &Event { at: received_at, what })?;
        tokens.push(token.clone());
    }
    // A message that is read again was verified before.
    work.connection.prepare_cached(VERIFIED)?.execute([message.0])?;
    // Judged once all is written, so that a verdict never stands that is only half of a reading.
    tokens.sort();
    tokens.dedup();
    for token in tokens {
        settle(work, &token, received_at)?;
    }
    Ok(())
}

/// Writes one event that a received message tells.
fn note(work: &Work<'_>, token: &str, clear: &Token, event: &Event) -> Result<(), StoreError> {
    insert_unknown(work, token, clear)?;
    let noted: u32 = work.connection.prepare_cached(SIGHTINGS)?.query_row([token], |row| row.get(0))?;
    if noted < limits::PROBE_SIGHTINGS {
        insert_event(work, token, event)?;
    }
    Ok(())
}

/// Takes back what a message told, within the open transaction: it is being read again, or removed. Returns the probes,
/// which [`tell`] judges again.
pub(super) fn forget(work: &mut Work<'_>, message: MessageId) -> Result<Vec<String>, StoreError> {
    let mut statement = work.connection.prepare_cached(TOLD_BY)?;
    let tokens = statement.query_map([message.0], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    if !tokens.is_empty() {
        work.connection.prepare_cached(FORGET)?.execute([message.0])?;
    }
    Ok(tokens)
}

/// Notes at the arrivals of which a message tells what our own receiver found of its authentication, within the open
/// transaction.
pub(super) fn verified(work: &Work<'_>, message: MessageId, now: Timestamp) -> Result<(), StoreError> {
    if work.connection.prepare_cached(VERIFIED)?.execute([message.0])? > 0 {
        let mut statement = work.connection.prepare_cached(TOLD_BY)?;
        let tokens =
            statement.query_map([message.0], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        for token in tokens {
            settle(work, &token, now)?;
        }
    }
    Ok(())
}

/// Takes back for good what a message told, within the open transaction: it is erased.
pub(super) fn take_out(work: &mut Work<'_>, message: MessageId) -> Result<(), StoreError> {
    for token in forget(work, message)? {
        settle(work, &token, Timestamp::from_ms(i64::MIN))?;
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
        probe.destination,
        probe.message_id,
        i64::try_from(probe.size_bytes).unwrap_or(i64::MAX),
        probe.is_dkim_signed,
        probe.mx_host,
        probe.expectation.as_str(),
        probe.within.map(ms),
        ms(probe.overdue_after),
        ms(probe.lost_after),
        json_array(probe.eyes.iter().cloned()),
        probe.has_bounce_path,
        probe.planned_at.map(Timestamp::ms),
        probe.sent_at.ms(),
        probe.message_sha256,
        probe.is_in_maintenance,
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
        none,
        none,
        false,
        none,
        Expectation::Arrives.as_str(),
        none,
        ms(limits::PROBE_OVERDUE_AFTER),
        ms(limits::PROBE_LOST_AFTER),
        "[]",
        false,
        none,
        clear.made_at().ms(),
        none,
        false,
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
            tls.and_then(|tls| tls.certificate_until).map(Timestamp::ms),
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

/// Errors: `NotFound` if there is no such probe.
fn require(work: &Work<'_>, token: &str) -> Result<(), StoreError> {
    if work.connection.prepare_cached(IS_THERE)?.exists([token])? {
        Ok(())
    } else {
        Err(StoreError::NotFound(format!("probe {token}")))
    }
}

/// A duration as it is stored.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A stored duration.
pub(super) fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
