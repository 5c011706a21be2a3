//! What the records of watched domains were, and what happened to them.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::StoreError;
use super::message::json_array;
use super::read::{below_pattern, strings};
use super::writer::{Work, Writer};
use crate::clock::Timestamp;
use crate::dns::{Cause, RecordType, Security};
use crate::dns_health::history::{self, Event, Happening, Seen, State, Trouble, Value};
use crate::summary::{DnsEventRow, DnsRecordRow, Query};

const STATE: &str = "SELECT state, records, security, since_at_ms, confirmed_at_ms, previous_state, previous_records,
    previous_until_ms, varies_at_ms, missing_at_ms, trouble_since_ms, trouble_checks, trouble_cause, trouble_is_told
    FROM dns_record WHERE domain = $1 AND name = $2 AND type = $3";
const SET_STATE: &str = "INSERT INTO dns_record (domain, name, type, state, records, security, since_at_ms,
    confirmed_at_ms, previous_state, previous_records, previous_until_ms, varies_at_ms, missing_at_ms,
    trouble_since_ms, trouble_checks, trouble_cause, trouble_is_told)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
    ON CONFLICT (domain, name, type) DO UPDATE SET state = excluded.state, records = excluded.records,
    security = excluded.security, since_at_ms = excluded.since_at_ms, confirmed_at_ms = excluded.confirmed_at_ms,
    previous_state = excluded.previous_state, previous_records = excluded.previous_records,
    previous_until_ms = excluded.previous_until_ms, varies_at_ms = excluded.varies_at_ms,
    missing_at_ms = excluded.missing_at_ms, trouble_since_ms = excluded.trouble_since_ms,
    trouble_checks = excluded.trouble_checks, trouble_cause = excluded.trouble_cause,
    trouble_is_told = excluded.trouble_is_told";
const ADD_EVENT: &str =
    "INSERT INTO dns_event (event_id, domain, at_ms, name, type, happening, before, after)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const EVENTS: &str = "SELECT at_ms, domain, name, type, happening, before, after FROM dns_event
    WHERE at_ms >= $1 AND at_ms < $2 AND ($3 IS NULL OR domain = $3 OR domain LIKE $4 ESCAPE '!')
    ORDER BY event_id DESC";
const RECORDS: &str = "SELECT domain, name, type, state, records, security, since_at_ms, confirmed_at_ms,
    trouble_since_ms, trouble_cause FROM dns_record
    WHERE ($1 IS NULL OR domain = $1 OR domain LIKE $2 ESCAPE '!') ORDER BY domain, name, type";

/// One event with the question that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsEvent {
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub record_type: RecordType,
    /// What happened.
    pub event: Event,
}

/// See [`super::Store::note_dns`].
pub(super) fn note(
    writer: &Writer,
    domain: &str,
    seen: Vec<Seen>,
    now: Timestamp,
) -> Result<Vec<DnsEvent>, StoreError> {
    let domain = domain.to_owned();
    writer.run(move |work| {
        let mut all = Vec::new();
        for seen in &seen {
            let known = state(work.connection, &domain, seen)?;
            let (state, events) = history::step(known.clone(), seen, now);
            if known.as_ref() != Some(&state) {
                set_state(work, &domain, seen, &state)?;
            }
            for event in events {
                add_event(work, &domain, seen, &event, now)?;
                let name = seen.question.name.as_str().to_owned();
                all.push(DnsEvent { name, record_type: seen.question.record_type, event });
            }
        }
        Ok(all)
    })
}

/// What is known of one question.
fn state(connection: &Connection, domain: &str, seen: &Seen) -> Result<Option<State>, StoreError> {
    let key = (domain, seen.question.name.as_str(), seen.question.record_type.as_str());
    Ok(connection.prepare_cached(STATE)?.query_row(key, read_state).optional()?)
}

/// A row of [`STATE`].
fn read_state(row: &Row<'_>) -> rusqlite::Result<State> {
    let time = |at: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_ms))
    };
    let previous = value(row.get(5)?, row.get(6)?).zip(time(7)?);
    let cause = row.get::<_, Option<String>>(12)?.and_then(|word| Cause::parse(&word));
    let trouble = match (time(10)?, cause) {
        (Some(since), Some(cause)) => {
            Some(Trouble { since, checks: row.get(11)?, cause, is_told: row.get(13)? })
        }
        _ => None,
    };
    Ok(State {
        value: value(row.get(0)?, row.get(1)?),
        security: Security::parse(row.get_ref(2)?.as_str()?).unwrap_or(Security::NotKnown),
        since: Timestamp::from_ms(row.get(3)?),
        confirmed: Timestamp::from_ms(row.get(4)?),
        previous,
        varies: time(8)?,
        missing: time(9)?,
        trouble,
    })
}

/// A value from its word and its records.
fn value(state: Option<String>, records: Option<String>) -> Option<Value> {
    Some(match state?.as_str() {
        "records" => Value::Records(strings(&records.unwrap_or_default())),
        "no-name" => Value::NoName,
        _ => Value::NoType,
    })
}

/// A value as its two columns.
fn columns(value: Option<&Value>) -> (Option<&'static str>, Option<String>) {
    let records = value.filter(|value| value.is_there());
    (value.map(Value::state), records.map(|value| json_array(value.records().iter().cloned())))
}

/// Writes what is known of one question.
fn set_state(work: &Work<'_>, domain: &str, seen: &Seen, state: &State) -> Result<(), StoreError> {
    let (word, records) = columns(state.value.as_ref());
    let (previous_word, previous_records) = columns(state.previous.as_ref().map(|(value, _)| value));
    work.connection.prepare_cached(SET_STATE)?.execute(rusqlite::params![
        domain,
        seen.question.name.as_str(),
        seen.question.record_type.as_str(),
        word,
        records,
        state.security.as_str(),
        state.since.ms(),
        state.confirmed.ms(),
        previous_word,
        previous_records,
        state.previous.as_ref().map(|(_, until)| until.ms()),
        state.varies.map(Timestamp::ms),
        state.missing.map(Timestamp::ms),
        state.trouble.map(|trouble| trouble.since.ms()),
        state.trouble.map_or(0, |trouble| trouble.checks),
        state.trouble.map(|trouble| trouble.cause.as_str()),
        state.trouble.is_some_and(|trouble| trouble.is_told),
    ])?;
    Ok(())
}

/// Writes one event.
fn add_event(
    work: &mut Work<'_>,
    domain: &str,
    seen: &Seen,
    event: &Event,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = work.ids.next(work.now);
    work.connection.prepare_cached(ADD_EVENT)?.execute((
        id,
        domain,
        now.ms(),
        seen.question.name.as_str(),
        seen.question.record_type.as_str(),
        event.happening.as_str(),
        json_array(event.before.iter().cloned()),
        json_array(event.after.iter().cloned()),
    ))?;
    Ok(())
}

/// The events of a period and domain, the newest first.
fn all_events(connection: &Connection, query: &Query) -> Result<Vec<DnsEventRow>, StoreError> {
    let domain = query.domain.as_ref().map(|domain| domain.as_str().to_owned());
    let below = domain.as_deref().map(below_pattern);
    let since = query.period.since_ms.unwrap_or(i64::MIN);
    let until = query.period.until_ms.unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(EVENTS)?;
    let rows = statement.query_map((since, until, domain, below), |row| {
        Ok(DnsEventRow {
            at: Timestamp::from_ms(row.get(0)?),
            domain: row.get(1)?,
            name: row.get(2)?,
            record_type: row.get(3)?,
            happening: row.get(4)?,
            before: strings(row.get_ref(5)?.as_str()?),
            after: strings(row.get_ref(6)?.as_str()?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::dns_events`].
pub(super) fn events(connection: &Connection, query: &Query) -> Result<Vec<DnsEventRow>, StoreError> {
    let mut rows = all_events(connection, query)?;
    if let Some(happening) = query.result.as_deref() {
        rows.retain(|row| row.happening == happening);
    }
    rows.truncate(query.limit.unwrap_or(usize::MAX));
    Ok(rows)
}

/// See [`super::Reader::dns_records`].
pub(super) fn records(
    connection: &Connection,
    query: &Query,
    at: Option<Timestamp>,
) -> Result<Vec<DnsRecordRow>, StoreError> {
    let domain = query.domain.as_ref().map(|domain| domain.as_str().to_owned());
    let below = domain.as_deref().map(below_pattern);
    let mut statement = connection.prepare_cached(RECORDS)?;
    let rows = statement.query_map((domain, below), |row| {
        let value = value(row.get(3)?, row.get(4)?);
        Ok(DnsRecordRow {
            domain: row.get(0)?,
            name: row.get(1)?,
            record_type: row.get(2)?,
            state: value.as_ref().map(|value| value.state().to_owned()),
            records: value.map(|value| value.records().to_vec()).unwrap_or_default(),
            security: row.get(5)?,
            since: Timestamp::from_ms(row.get(6)?),
            confirmed: Timestamp::from_ms(row.get(7)?),
            trouble_since: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_ms),
            trouble: row.get(9)?,
        })
    })?;
    let mut rows: Vec<DnsRecordRow> = rows.collect::<Result<_, _>>()?;
    if let Some(at) = at {
        let mut later = query.clone();
        later.period = crate::summary::Period { since_ms: Some(at.ms().saturating_add(1)), until_ms: None };
        go_back(&mut rows, &all_events(connection, &later)?);
    }
    Ok(rows)
}

/// Takes back what happened, the newest first.
fn go_back(rows: &mut [DnsRecordRow], events: &[DnsEventRow]) {
    for event in events {
        let is_its = |row: &&mut DnsRecordRow| {
            row.domain == event.domain && row.name == event.name && row.record_type == event.record_type
        };
        let Some(row) = rows.iter_mut().find(is_its) else { continue };
        match Happening::parse(&event.happening) {
            Some(Happening::Appeared | Happening::Changed | Happening::Lost | Happening::Varies) => {
                let word = if event.before.is_empty() { "no-type" } else { "records" };
                row.state = Some(word.to_owned());
                row.records.clone_from(&event.before);
                (row.trouble, row.trouble_since) = (None, None);
            }
            Some(Happening::SecurityChanged) => {
                row.security = event.before.first().cloned().unwrap_or_default();
            }
            Some(Happening::NotAnswering | Happening::Answering) | None => {}
        }
    }
}
