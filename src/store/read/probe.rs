//! Probes as they are shown: their state judged at the time of asking.

use std::cmp::Ordering;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::probe::{EVENTS, duration, read_event};
use super::super::{StoreError, source};
use super::message::strings;
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Address, DomainName};
use crate::probe::lifecycle::{self, Event, Known, Options, State, Verdict};
use crate::summary::{Answer, ProbeRow, ProbeTotals, Query};

/// Probes with their events, the newest first; a probe without events comes once, without one.
const LIST: &str = "SELECT p.token, p.route, p.rcpt_to, p.sent_at_ms, p.lost_after_ms,
    e.at_ms, e.event, e.phase, e.code, e.enhanced, e.text, e.message_id, e.is_timed, e.until_ms
    FROM probe AS p LEFT JOIN probe_event AS e ON e.token = p.token
    WHERE p.sent_at_ms >= $1 AND p.sent_at_ms < $2 ORDER BY p.sent_at_ms DESC, p.token, e.seq";
const OPEN: &str = "SELECT token FROM probe WHERE deadline_ms > $1 ORDER BY deadline_ms, token LIMIT $2";
const ONE: &str = "SELECT token, route, route_number, kind, profile, template_version, mail_from, rcpt_to,
    header_message_id, sent_at_ms, lost_after_ms FROM probe WHERE token = $1";
const ATTEMPTS: &str =
    "SELECT started_at_ms, ended_at_ms, peer_ip, peer_port, addresses, extensions, tls_version,
    tls_cipher, tls_server_name, tls_verification, queue_id, seq, mx
    FROM probe_attempt WHERE token = $1 ORDER BY seq";
const STEPS: &str = "SELECT phase, sent, reply, took_us FROM probe_step WHERE token = $1 AND attempt = $2
    ORDER BY seq";

/// Everything known of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProbe {
    /// Its name.
    pub token: String,
    /// Its route.
    pub route: String,
    /// The route's number.
    pub route_number: u16,
    /// `probe`, `reply`, …
    pub kind: String,
    /// Its profile; `None` where only the token is known.
    pub profile: Option<String>,
    /// The version of the profile's texts.
    pub template_version: Option<u32>,
    /// Its reverse-path.
    pub mail_from: Option<String>,
    /// Its recipient.
    pub rcpt_to: Option<String>,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// When its first attempt began, or its token was made.
    pub sent_at: Timestamp,
    /// How long after its acceptance it is lost.
    pub lost_after: Duration,
    /// What happened, in the order of writing.
    pub events: Vec<Event>,
    /// What that means at the time of asking.
    pub verdict: Verdict,
    /// How it was handed over, in order.
    pub attempts: Vec<StoredAttempt>,
}

/// One attempt to hand a probe over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAttempt {
    /// When it began.
    pub started_at: Timestamp,
    /// When its outcome was known.
    pub ended_at: Timestamp,
    /// The server's address and port.
    pub peer: Option<String>,
    /// Addresses that did not answer, and why.
    pub addresses: Vec<String>,
    /// Keywords of the EHLO reply.
    pub extensions: Vec<String>,
    /// The TLS version.
    pub tls_version: Option<String>,
    /// The cipher suite.
    pub tls_cipher: Option<String>,
    /// The name that was asked for.
    pub tls_server_name: Option<String>,
    /// What verifying the certificate gave.
    pub tls_verification: Option<String>,
    /// The queue id.
    pub queue_id: Option<String>,
    /// The MX hosts tried or passed over, in order; empty unless it went direct to them.
    pub mx: Vec<StoredMx>,
    /// Its steps.
    pub steps: Vec<StoredStep>,
}

/// One MX host of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredMx {
    /// Its name.
    pub host: String,
    /// Its preference.
    pub preference: u16,
    /// The address tried; absent: it was passed over.
    pub address: Option<String>,
    /// The policy of MTA-STS and how the host stands to it.
    pub mta_sts: String,
    /// What DANE asked and what came of it.
    pub dane: String,
    /// Why the next one was tried; absent: it had the last word.
    pub fault: Option<String>,
}

impl StoredMx {
    /// Reads the column `mx`; what cannot be read is left out.
    fn all(text: &str) -> Vec<Self> {
        let all: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        let field = |object: &serde_json::Value, name: &str| Some(object.get(name)?.as_str()?.to_owned());
        let read = |object: &serde_json::Value| {
            Some(Self {
                host: field(object, "host")?,
                preference: object.get("preference")?.as_u64()?.try_into().ok()?,
                address: field(object, "address"),
                mta_sts: field(object, "mta_sts")?,
                dane: field(object, "dane")?,
                fault: field(object, "fault"),
            })
        };
        all.iter().filter_map(read).collect()
    }
}

/// One step of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStep {
    /// Its phase.
    pub phase: String,
    /// The command.
    pub sent: Option<String>,
    /// The reply.
    pub reply: Option<String>,
    /// How long it took.
    pub took: Duration,
}

// ---- List ----

/// One probe of the list while its events come.
struct Listed {
    token: String,
    route: String,
    rcpt_to: Option<String>,
    sent_at: Timestamp,
    lost_after: Duration,
    known: Known,
}

/// A row a probe, the newest first unless the question says otherwise.
pub(super) fn probes(
    connection: &Connection,
    query: &Query,
    now: Timestamp,
) -> Result<Answer<ProbeRow, ProbeTotals>, StoreError> {
    let since = query.period.since_ms.unwrap_or(i64::MIN);
    let until = query.period.until_ms.unwrap_or(i64::MAX);
    let limit = query.limit.unwrap_or(limits::ANSWER_ROWS);
    let order = Order::of(query.sort.as_deref());
    let mut answer = Answer {
        rows: Vec::new(),
        totals: ProbeTotals::default(),
        first: None,
        last: None,
        trust: None,
        cut: 0,
        notes: Vec::new(),
    };
    let mut take = |listed: Listed| {
        let verdict = lifecycle::verdict(&listed.known, Options { lost_after: listed.lost_after }, now);
        if !is_asked(query, &listed, verdict.state) {
            return;
        }
        count(&mut answer.totals, verdict.state);
        // The newest comes first.
        answer.last = answer.last.or(Some(listed.sent_at));
        answer.first = Some(listed.sent_at);
        if order.is_that_of_the_database() && answer.rows.len() >= limit {
            answer.cut += 1;
        } else {
            answer.rows.push(row(listed, &verdict));
        }
    };
    let mut statement = connection.prepare_cached(LIST)?;
    let mut rows = statement.query((since, until))?;
    let mut listed: Option<Listed> = None;
    while let Some(row) = rows.next()? {
        let token: String = row.get(0)?;
        if listed.as_ref().is_none_or(|listed| listed.token != token) {
            let next = Listed {
                token,
                route: row.get(1)?,
                rcpt_to: row.get(2)?,
                sent_at: Timestamp::from_ms(row.get(3)?),
                lost_after: duration(row.get(4)?),
                known: Known::default(),
            };
            if let Some(done) = listed.replace(next) {
                take(done);
            }
        }
        if let Some(listed) = &mut listed
            && row.get::<_, Option<i64>>(5)?.is_some()
        {
            let known = std::mem::take(&mut listed.known);
            listed.known = lifecycle::step(known, &read_event(row, 5)?);
        }
    }
    if let Some(done) = listed {
        take(done);
    }
    order.sort(&mut answer.rows);
    if answer.rows.len() > limit {
        answer.cut += u64::try_from(answer.rows.len() - limit).unwrap_or(u64::MAX);
        answer.rows.truncate(limit);
    }
    Ok(answer)
}

/// True if the filters let a probe through: its state, and the domain of its recipient.
fn is_asked(query: &Query, listed: &Listed, state: State) -> bool {
    let has_state = query.result.as_deref().is_none_or(|word| word == state.as_str());
    let has_domain = query.domain.as_ref().is_none_or(|domain| {
        let recipient = listed.rcpt_to.as_deref().and_then(Address::parse);
        let found: Option<DomainName> = recipient.and_then(|address| address.domain_name());
        found.is_some_and(|found| found.is_at_or_below(domain))
    });
    has_state && has_domain
}

/// The row of one probe.
fn row(listed: Listed, verdict: &Verdict) -> ProbeRow {
    ProbeRow {
        token: listed.token,
        route: listed.route,
        state: verdict.state.as_str().to_owned(),
        sent_at: verdict.sent_at.unwrap_or(listed.sent_at),
        accepted_at: verdict.accepted_at,
        arrived_at: verdict.arrived_at,
        latency_ms: verdict.latency.map(|latency| latency.ms),
        reason: remarks(verdict),
    }
}

/// The reason of a state with what else is to be said.
fn remarks(verdict: &Verdict) -> Option<String> {
    let mut parts: Vec<String> = verdict.reason.iter().cloned().collect();
    if verdict.contradicts_reply {
        parts.push("arrived all the same".to_owned());
    }
    if verdict.duplicates > 0 {
        parts.push(format!("arrived {} times", verdict.duplicates + 1));
    }
    if verdict.replays > 0 {
        parts.push(format!("replayed {} times", verdict.replays));
    }
    if parts.is_empty() { None } else { Some(parts.join("; ")) }
}

/// Counts one probe.
fn count(totals: &mut ProbeTotals, state: State) {
    totals.probes += 1;
    *match state {
        State::Sending => &mut totals.sending,
        State::Deferred => &mut totals.deferred,
        State::Refused => &mut totals.refused,
        State::InDoubt => &mut totals.in_doubt,
        State::Accepted => &mut totals.accepted,
        State::Arrived => &mut totals.arrived,
        State::Lost => &mut totals.lost,
        State::Late => &mut totals.late,
        State::Bounced => &mut totals.bounced,
        State::Delayed => &mut totals.delayed,
        State::Delivered => &mut totals.delivered,
    } += 1;
}

/// The order of rows: a column, and whether it falls.
struct Order<'q> {
    column: &'q str,
    is_falling: bool,
}

impl<'q> Order<'q> {
    /// Reads `--sort`; the newest first if there is none. An unknown column changes nothing.
    fn of(sort: Option<&'q str>) -> Self {
        match sort {
            None => Self { column: "sent_at", is_falling: true },
            Some(sort) => match sort.strip_prefix('-') {
                Some(column) => Self { column, is_falling: true },
                None => Self { column: sort, is_falling: false },
            },
        }
    }

    /// True if the rows come in this order.
    fn is_that_of_the_database(&self) -> bool {
        self.column == "sent_at" && self.is_falling
    }

    /// Sorts; what is not known comes last, equals stay in the order of the database.
    fn sort(&self, rows: &mut [ProbeRow]) {
        if self.is_that_of_the_database() {
            return;
        }
        rows.sort_by(|a, b| {
            let known = match self.column {
                "token" => Ok(a.token.cmp(&b.token)),
                "route" => Ok(a.route.cmp(&b.route)),
                "state" => Ok(a.state.cmp(&b.state)),
                "sent_at" => Ok(a.sent_at.cmp(&b.sent_at)),
                "accepted_at" => both(a.accepted_at, b.accepted_at),
                "arrived_at" => both(a.arrived_at, b.arrived_at),
                "latency_ms" => both(a.latency_ms, b.latency_ms),
                "reason" => both(a.reason.as_ref(), b.reason.as_ref()),
                _ => Ok(Ordering::Equal),
            };
            match known {
                Ok(order) if self.is_falling => order.reverse(),
                Ok(order) | Err(order) => order,
            }
        });
    }
}

/// Compares two known values; where one is missing, `Err` says which comes last whatever the direction.
fn both<T: Ord>(a: Option<T>, b: Option<T>) -> Result<Ordering, Ordering> {
    match (a, b) {
        (Some(a), Some(b)) => Ok(a.cmp(&b)),
        (Some(_), None) => Err(Ordering::Less),
        (None, Some(_)) => Err(Ordering::Greater),
        (None, None) => Err(Ordering::Equal),
    }
}

// ---- One ----

/// Probes whose state time alone may still change, the next deadline first.
pub(super) fn open(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<String>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(OPEN)?;
    let tokens = statement.query_map((now.ms(), limit), |row| row.get(0))?;
    Ok(tokens.collect::<Result<_, _>>()?)
}

/// One probe with its events and attempts.
pub(super) fn one(connection: &Connection, token: &str, now: Timestamp) -> Result<StoredProbe, StoreError> {
    let mut probe = connection
        .prepare_cached(ONE)?
        .query_row([token], read_one)
        .optional()?
        .ok_or_else(|| StoreError::NotFound(format!("probe {token}")))?;
    probe.events = {
        let mut statement = connection.prepare_cached(EVENTS)?;
        let events = statement.query_map([token], |row| read_event(row, 0))?;
        events.collect::<Result<_, _>>()?
    };
    probe.verdict = lifecycle::judge(&probe.events, Options { lost_after: probe.lost_after }, now);
    let mut statement = connection.prepare_cached(ATTEMPTS)?;
    let attempts = statement.query_map([token], |row| Ok((read_attempt(row)?, row.get::<_, i64>(11)?)))?;
    for attempt in attempts {
        let (mut attempt, seq) = attempt?;
        let mut statement = connection.prepare_cached(STEPS)?;
        let steps = statement.query_map((token, seq), |row| {
            Ok(StoredStep {
                phase: row.get(0)?,
                sent: row.get(1)?,
                reply: row.get(2)?,
                took: Duration::from_micros(u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0)),
            })
        })?;
        attempt.steps = steps.collect::<Result<_, _>>()?;
        probe.attempts.push(attempt);
    }
    Ok(probe)
}

/// Reads a row of [`ONE`], without events.
fn read_one(row: &Row<'_>) -> rusqlite::Result<StoredProbe> {
    let lost_after = duration(row.get(10)?);
    Ok(StoredProbe {
        token: row.get(0)?,
        route: row.get(1)?,
        route_number: row.get(2)?,
        kind: row.get(3)?,
        profile: row.get(4)?,
        template_version: row.get(5)?,
        mail_from: row.get(6)?,
        rcpt_to: row.get(7)?,
        message_id: row.get(8)?,
        sent_at: Timestamp::from_ms(row.get(9)?),
        lost_after,
        events: Vec::new(),
        verdict: lifecycle::judge(&[], Options { lost_after }, Timestamp::from_ms(0)),
        attempts: Vec::new(),
    })
}

/// Reads a row of [`ATTEMPTS`], without steps.
fn read_attempt(row: &Row<'_>) -> rusqlite::Result<StoredAttempt> {
    let peer_ip: Option<Vec<u8>> = row.get(2)?;
    let peer_port: Option<u16> = row.get(3)?;
    let peer = match (peer_ip.as_deref().and_then(source::read_ip), peer_port) {
        (Some(ip), Some(port)) => Some(std::net::SocketAddr::new(ip, port).to_string()),
        _ => None,
    };
    Ok(StoredAttempt {
        started_at: Timestamp::from_ms(row.get(0)?),
        ended_at: Timestamp::from_ms(row.get(1)?),
        peer,
        addresses: strings(row.get_ref(4)?.as_str()?),
        extensions: strings(row.get_ref(5)?.as_str()?),
        tls_version: row.get(6)?,
        tls_cipher: row.get(7)?,
        tls_server_name: row.get(8)?,
        tls_verification: row.get(9)?,
        queue_id: row.get(10)?,
        mx: StoredMx::all(row.get_ref(12)?.as_str()?),
        steps: Vec::new(),
    })
}
