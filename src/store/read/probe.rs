//! Probes as they are shown: their state judged at the time of asking.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::probe::{EVENTS, Stored, due, duration, read_event};
use super::super::{StoreError, source};
use super::below_pattern;
use super::message::{count, strings};
use crate::clock::Timestamp;
use crate::limits;
use crate::probe::lifecycle::{Event, Expectation, Observed, State, Verdict};
use crate::summary::{Answer, ProbeRow, ProbeTotals, Query};

/// Probes as they were judged last, the newest first.
const LIST: &str =
    "SELECT token, route, state, place, moved_to, sent_at_ms, accepted_at_ms, arrived_at_ms, latency_ms,
    latency_error_ms, reason, contradicts_reply, duplicates, replays, has_clock_step, is_reordered
    FROM probe WHERE sent_at_ms >= $1 AND sent_at_ms < $2
    AND ($3 IS NULL OR destination = $3 OR destination LIKE $4 ESCAPE '!') AND ($5 IS NULL OR route = $5)
    AND ($6 IS NULL OR state = $6 OR deadline_ms <= $7) ORDER BY sent_at_ms DESC, token DESC";
/// How many of them have which state. With neither domain nor route the index alone answers it.
const COUNTS: &str = "SELECT state, COUNT(*), MIN(sent_at_ms), MAX(sent_at_ms) FROM probe
    WHERE sent_at_ms >= $1 AND sent_at_ms < $2 GROUP BY state";
const SOME_COUNTS: &str = "SELECT state, COUNT(*), MIN(sent_at_ms), MAX(sent_at_ms) FROM probe
    WHERE sent_at_ms >= $1 AND sent_at_ms < $2
    AND ($3 IS NULL OR destination = $3 OR destination LIKE $4 ESCAPE '!') AND ($5 IS NULL OR route = $5)
    GROUP BY state";
const IS_ASKED: &str = "SELECT 1 FROM probe WHERE token = $1 AND sent_at_ms >= $2 AND sent_at_ms < $3
    AND ($4 IS NULL OR destination = $4 OR destination LIKE $5 ESCAPE '!') AND ($6 IS NULL OR route = $6)";
const IS_TOKEN: &str = "SELECT 1 FROM probe WHERE token = $1";
const BY_MESSAGE_ID: &str =
    "SELECT token FROM probe WHERE header_message_id = $1 ORDER BY sent_at_ms DESC, token LIMIT $2";
const BY_QUEUE: &str = "SELECT a.token FROM probe_attempt AS a JOIN probe AS p ON p.token = a.token
    WHERE a.queue_id = $1 ORDER BY p.sent_at_ms DESC, a.token LIMIT $2";
const BY_RECIPIENT: &str =
    "SELECT token FROM probe WHERE rcpt_to = $1 ORDER BY sent_at_ms DESC, token LIMIT $2";
const HAS_DUE: &str = "SELECT 1 FROM probe WHERE deadline_ms <= $1 LIMIT 1";
const OPEN: &str =
    "SELECT token, deadline_ms FROM probe WHERE deadline_ms > $1 ORDER BY deadline_ms, token LIMIT $2";
const ONE: &str = "SELECT token, route, route_number, kind, profile, template_version, mail_from, rcpt_to,
    header_message_id, sent_at_ms, lost_after_ms, expectation, planned_at_ms, size_bytes, is_dkim_signed
    FROM probe WHERE token = $1";
const VERDICTS: &str = "SELECT at_ms, state, place, reason FROM probe_verdict WHERE token = $1 ORDER BY rev";
const ATTEMPTS: &str =
    "SELECT started_at_ms, ended_at_ms, peer_ip, peer_port, addresses, extensions, tls_version,
    tls_cipher, tls_server_name, tls_verification, queue_id, seq, mx, certificate_until_ms
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
    /// What should become of it.
    pub expectation: Expectation,
    /// Who watches where it should arrive, and when they looked.
    pub observed: Observed,
    /// When the schedule meant it to be sent; `None`: sent by hand.
    pub planned_at: Option<Timestamp>,
    /// Bytes of the message as sent; `None` where only the token is known.
    pub size_bytes: Option<u64>,
    /// True if it is signed with a key of ours.
    pub is_dkim_signed: bool,
    /// What happened, in the order of writing.
    pub events: Vec<Event>,
    /// What that means at the time of asking.
    pub verdict: Verdict,
    /// The verdicts so far, in order.
    pub verdicts: Vec<StoredVerdict>,
    /// How it was handed over, in order.
    pub attempts: Vec<StoredAttempt>,
}

/// One verdict as it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVerdict {
    /// Since when.
    pub at: Timestamp,
    /// The state.
    pub state: String,
    /// Where it had arrived.
    pub place: Option<String>,
    /// Why.
    pub reason: Option<String>,
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
    /// Until when the certificate is valid.
    pub certificate_until: Option<Timestamp>,
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

/// The filters of a question as parameters of the statements here.
struct Filter<'q> {
    since: i64,
    until: i64,
    domain: Option<&'q str>,
    below: Option<String>,
    route: Option<&'q str>,
}

impl<'q> Filter<'q> {
    fn of(query: &'q Query) -> Self {
        let domain = query.domain.as_ref().map(crate::mail::DomainName::as_str);
        Self {
            since: query.period.since_ms.unwrap_or(i64::MIN),
            until: query.period.until_ms.unwrap_or(i64::MAX),
            domain,
            below: domain.map(below_pattern),
            route: query.route.as_deref(),
        }
    }

    /// The statement where a route is asked for: so that its index serves.
    fn of_route(&self, sql: &'static str) -> Cow<'static, str> {
        match self.route {
            Some(_) => Cow::Owned(sql.replace("($5 IS NULL OR route = $5)", "route = $5")),
            None => Cow::Borrowed(sql),
        }
    }
}

/// A row a probe, the newest first unless the question says otherwise.
///
/// What was judged last stands in the row. Those whose time came since then are judged here, and nothing is written.
pub(super) fn probes(
    connection: &Connection,
    query: &Query,
    now: Timestamp,
) -> Result<Answer<ProbeRow, ProbeTotals>, StoreError> {
    let filter = Filter::of(query);
    let due: HashMap<String, (Stored, Verdict)> =
        due(connection, now)?.into_iter().map(|pair| (pair.0.token.clone(), pair)).collect();
    let mut answer = Answer {
        rows: Vec::new(),
        totals: ProbeTotals::default(),
        first: None,
        last: None,
        trust: None,
        cut: 0,
        notes: Vec::new(),
    };
    sum(connection, query, &filter, &due, &mut answer)?;
    let limit = query.limit.unwrap_or(limits::ANSWER_ROWS);
    let order = Order::of(query.sort.as_deref());
    let mut statement = connection.prepare_cached(&filter.of_route(LIST))?;
    let state = query.result.as_deref();
    let mut rows = statement.query(rusqlite::params![
        filter.since,
        filter.until,
        filter.domain,
        filter.below,
        filter.route,
        state,
        now.ms(),
    ])?;
    while let Some(row) = rows.next()? {
        if order.is_that_of_the_database() && answer.rows.len() >= limit {
            break;
        }
        let mut listed = read_row(row)?;
        if let Some((_, verdict)) = due.get(&listed.token) {
            rejudge(&mut listed, verdict);
        }
        if state.is_none_or(|word| word == listed.state) {
            answer.rows.push(listed);
        }
    }
    order.sort(&mut answer.rows);
    answer.rows.truncate(limit);
    answer.cut = answer.totals.probes.saturating_sub(u64::try_from(answer.rows.len()).unwrap_or(u64::MAX));
    Ok(answer)
}

/// Counts all that is asked for, by state, and notes the first and the last.
fn sum(
    connection: &Connection,
    query: &Query,
    filter: &Filter<'_>,
    due: &HashMap<String, (Stored, Verdict)>,
    answer: &mut Answer<ProbeRow, ProbeTotals>,
) -> Result<(), StoreError> {
    let is_whole = filter.domain.is_none() && filter.route.is_none();
    let some = filter.of_route(SOME_COUNTS);
    let mut statement = connection.prepare_cached(if is_whole { COUNTS } else { &some })?;
    let mut rows = if is_whole {
        statement.query((filter.since, filter.until))?
    } else {
        statement.query(rusqlite::params![
            filter.since,
            filter.until,
            filter.domain,
            filter.below,
            filter.route
        ])?
    };
    // By state: how many, the first, the last.
    let mut states: HashMap<String, (u64, i64, i64)> = HashMap::new();
    while let Some(row) = rows.next()? {
        states.insert(row.get(0)?, (count(row.get(1)?), row.get(2)?, row.get(3)?));
    }
    for (stored, verdict) in due.values() {
        let is_asked = connection.prepare_cached(IS_ASKED)?.exists(rusqlite::params![
            stored.token,
            filter.since,
            filter.until,
            filter.domain,
            filter.below,
            filter.route
        ])?;
        let (before, after) = (stored.state.as_str(), verdict.state.as_str());
        if !is_asked || before == after {
            continue;
        }
        if let Some(entry) = states.get_mut(before) {
            entry.0 = entry.0.saturating_sub(1);
        }
        let sent_at = verdict.sent_at.unwrap_or(stored.sent_at).ms();
        let entry = states.entry(after.to_owned()).or_insert((0, sent_at, sent_at));
        *entry = (entry.0 + 1, entry.1.min(sent_at), entry.2.max(sent_at));
    }
    let asked = |word: &str| query.result.as_deref().is_none_or(|asked| asked == word);
    for (word, (number, first, last)) in states {
        if number == 0 || !asked(&word) {
            continue;
        }
        answer.totals.probes += number;
        if let Some(state) = State::parse(&word) {
            *of_state(&mut answer.totals, state) += number;
        }
        let (first, last) = (Timestamp::from_ms(first), Timestamp::from_ms(last));
        answer.first = Some(answer.first.map_or(first, |known| known.min(first)));
        answer.last = Some(answer.last.map_or(last, |known| known.max(last)));
    }
    Ok(())
}

/// Reads a row of [`LIST`].
fn read_row(row: &Row<'_>) -> rusqlite::Result<ProbeRow> {
    let instant =
        |at: usize| -> rusqlite::Result<_> { Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_ms)) };
    let remarks = Remarks {
        moved_to: row.get(4)?,
        contradicts_reply: row.get(11)?,
        duplicates: count(row.get(12)?),
        replays: count(row.get(13)?),
        has_clock_step: row.get(14)?,
        is_reordered: row.get(15)?,
    };
    Ok(ProbeRow {
        token: row.get(0)?,
        route: row.get(1)?,
        state: row.get(2)?,
        place: row.get(3)?,
        sent_at: Timestamp::from_ms(row.get(5)?),
        accepted_at: instant(6)?,
        arrived_at: instant(7)?,
        latency_ms: row.get(8)?,
        latency_error_ms: row.get(9)?,
        reason: remarks.with(row.get(10)?),
    })
}

/// Puts a verdict that is not written down yet into the row.
fn rejudge(row: &mut ProbeRow, verdict: &Verdict) {
    verdict.state.as_str().clone_into(&mut row.state);
    row.place = verdict.place.map(|place| place.as_str().to_owned());
    row.accepted_at = verdict.accepted_at;
    row.arrived_at = verdict.arrived_at;
    row.latency_ms = verdict.latency.map(|latency| latency.ms);
    row.latency_error_ms = verdict.latency.map(|latency| latency.error_ms);
    let remarks = Remarks {
        moved_to: verdict.moved_to.map(|place| place.as_str().to_owned()),
        contradicts_reply: verdict.contradicts_reply,
        duplicates: verdict.duplicates,
        replays: verdict.replays,
        has_clock_step: verdict.has_clock_step,
        // Only an arrival tells it, and that is no matter of time.
        is_reordered: false,
    };
    row.reason = remarks.with(verdict.reason.clone());
}

/// What is to be said beside the state and its reason.
struct Remarks {
    moved_to: Option<String>,
    contradicts_reply: bool,
    duplicates: u64,
    replays: u64,
    has_clock_step: bool,
    is_reordered: bool,
}

impl Remarks {
    /// The reason with what else is to be said.
    fn with(self, reason: Option<String>) -> Option<String> {
        let mut parts: Vec<String> = reason.into_iter().collect();
        if self.contradicts_reply {
            parts.push("arrived all the same".to_owned());
        }
        match self.moved_to.as_deref() {
            Some("gone") => parts.push("gone later".to_owned()),
            Some(place) => parts.push(format!("later in {place}")),
            None => {}
        }
        if self.duplicates > 0 {
            parts.push(format!("arrived {} times", self.duplicates + 1));
        }
        if self.replays > 0 {
            parts.push(format!("replayed {} times", self.replays));
        }
        if self.is_reordered {
            parts.push("overtaken by a younger one".to_owned());
        }
        if self.has_clock_step {
            parts.push("our clock was set meanwhile, or we slept".to_owned());
        }
        if parts.is_empty() { None } else { Some(parts.join("; ")) }
    }
}

/// The count of one state.
const fn of_state(totals: &mut ProbeTotals, state: State) -> &mut u64 {
    match state {
        State::Planned => &mut totals.planned,
        State::Sending => &mut totals.sending,
        State::Deferred => &mut totals.deferred,
        State::Refused => &mut totals.refused,
        State::InDoubt => &mut totals.in_doubt,
        State::Accepted => &mut totals.accepted,
        State::InTransit => &mut totals.in_transit,
        State::Overdue => &mut totals.overdue,
        State::Delayed => &mut totals.delayed,
        State::Held => &mut totals.held,
        State::Arrived => &mut totals.arrived,
        State::Bounced => &mut totals.bounced,
        State::Lost => &mut totals.lost,
        State::Late => &mut totals.late,
        State::Unobserved => &mut totals.unobserved,
        State::Delivered => &mut totals.delivered,
        State::AsExpected => &mut totals.as_expected,
        State::Escaped => &mut totals.escaped,
        State::Cancelled => &mut totals.cancelled,
    }
}

/// True if a probe's time came by `now`.
pub(super) fn has_due(connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(HAS_DUE)?.exists([now.ms()])?)
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
                "place" => both(a.place.as_ref(), b.place.as_ref()),
                "sent_at" => Ok(a.sent_at.cmp(&b.sent_at)),
                "accepted_at" => both(a.accepted_at, b.accepted_at),
                "arrived_at" => both(a.arrived_at, b.arrived_at),
                "latency_ms" => both(a.latency_ms, b.latency_ms),
                "latency_error_ms" => both(a.latency_error_ms, b.latency_error_ms),
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
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(OPEN)?;
    let rows = statement.query_map((now.ms(), most), |row| Ok((row.get(1)?, row.get(0)?)))?;
    let mut open: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
    for (stored, verdict) in due(connection, now)? {
        if let Some(next_at) = verdict.next_at.filter(|_| verdict.state.is_open()) {
            open.push((next_at.ms(), stored.token));
        }
    }
    open.sort();
    open.truncate(limit);
    Ok(open.into_iter().map(|(_, token)| token).collect())
}

/// Finds probes by what people have of them.
pub(super) fn find(connection: &Connection, token: &str, text: &str) -> Result<Vec<String>, StoreError> {
    if connection.prepare_cached(IS_TOKEN)?.exists([token])? {
        return Ok(vec![token.to_owned()]);
    }
    let bare = text.trim_start_matches('<').trim_end_matches('>');
    for (sql, value) in
        [(BY_MESSAGE_ID, format!("<{bare}>")), (BY_QUEUE, text.to_owned()), (BY_RECIPIENT, bare.to_owned())]
    {
        let mut statement = connection.prepare_cached(sql)?;
        let tokens = statement.query_map((value, limits::PROBES_FOUND), |row| row.get(0))?;
        let mut tokens: Vec<String> = tokens.collect::<Result<_, _>>()?;
        tokens.dedup();
        if !tokens.is_empty() {
            return Ok(tokens);
        }
    }
    Ok(Vec::new())
}

/// One probe with its events, verdicts and attempts.
pub(super) fn one(connection: &Connection, token: &str, now: Timestamp) -> Result<StoredProbe, StoreError> {
    let missing = || StoreError::NotFound(format!("probe {token}"));
    let stored = Stored::read(connection, token)?.ok_or_else(missing)?;
    let verdict = stored.judge(connection, now)?;
    let mut probe = connection
        .prepare_cached(ONE)?
        .query_row([token], |row| read_one(row, verdict))
        .optional()?
        .ok_or_else(missing)?;
    probe.observed = stored.observed(connection)?;
    probe.events = {
        let mut statement = connection.prepare_cached(EVENTS)?;
        let events = statement.query_map([token], read_event)?;
        events.collect::<Result<_, _>>()?
    };
    probe.verdicts = {
        let mut statement = connection.prepare_cached(VERDICTS)?;
        let verdicts = statement.query_map([token], |row| {
            Ok(StoredVerdict {
                at: Timestamp::from_ms(row.get(0)?),
                state: row.get(1)?,
                place: row.get(2)?,
                reason: row.get(3)?,
            })
        })?;
        verdicts.collect::<Result<_, _>>()?
    };
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

/// Reads a row of [`ONE`], without what hangs on it.
fn read_one(row: &Row<'_>, verdict: Verdict) -> rusqlite::Result<StoredProbe> {
    let word: String = row.get(11)?;
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
        lost_after: duration(row.get(10)?),
        expectation: Expectation::parse(&word).unwrap_or_default(),
        observed: Observed::default(),
        planned_at: row.get::<_, Option<i64>>(12)?.map(Timestamp::from_ms),
        size_bytes: row.get::<_, Option<i64>>(13)?.map(count),
        is_dkim_signed: row.get(14)?,
        events: Vec::new(),
        verdict,
        verdicts: Vec::new(),
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
        certificate_until: row.get::<_, Option<i64>>(13)?.map(Timestamp::from_ms),
        mx: StoredMx::all(row.get_ref(12)?.as_str()?),
        steps: Vec::new(),
    })
}
