//! What the records of watched domains were, and what happened to them.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::StoreError;
use super::message::json_array;
use super::read::{below_pattern, strings};
use super::writer::{Work, Writer};
use crate::clock::Timestamp;
use crate::dns::{Cause, Security};
use crate::dns_health::history::{
    self, DomainEvent, Happening, Noted, OpenFinding, Seen, State, Trouble, Value,
};
use crate::summary::{DnsEventRow, DnsFindingRow, DnsRecordRow, Query};

const STATE: &str = "SELECT state, records, security, since_at_ms, confirmed_at_ms, previous_state, previous_records,
    previous_until_ms, varies_at_ms, missing_at_ms, trouble_since_ms, trouble_checks, trouble_cause, trouble_is_told
    FROM dns_record WHERE domain = $1 AND name = $2 AND type = $3";
const SET_STATE: &str = "INSERT INTO dns_record (domain, name, type, state, records, security, since_at_ms,
    confirmed_at_ms, previous_state, previous_records, previous_until_ms, varies_at_ms, missing_at_ms,
    trouble_since_ms, trouble_checks, trouble_cause, trouble_is_told, first_at_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
    ON CONFLICT (domain, name, type) DO UPDATE SET state = excluded.state, records = excluded.records,
    security = excluded.security, since_at_ms = excluded.since_at_ms, confirmed_at_ms = excluded.confirmed_at_ms,
    previous_state = excluded.previous_state, previous_records = excluded.previous_records,
    previous_until_ms = excluded.previous_until_ms, varies_at_ms = excluded.varies_at_ms,
    missing_at_ms = excluded.missing_at_ms, trouble_since_ms = excluded.trouble_since_ms,
    trouble_checks = excluded.trouble_checks, trouble_cause = excluded.trouble_cause,
    trouble_is_told = excluded.trouble_is_told";
const ADD_EVENT: &str =
    "INSERT INTO dns_event (event_id, domain, at_ms, name, about, happening, before, after)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const EVENTS: &str = "SELECT at_ms, domain, name, about, happening, before, after FROM dns_event
    WHERE at_ms >= $1 AND at_ms < $2 AND ($3 IS NULL OR domain = $3 OR domain LIKE $4 ESCAPE '!')
    ORDER BY event_id DESC";
const RECORDS: &str = "SELECT domain, name, type, state, records, security, since_at_ms, confirmed_at_ms,
    trouble_since_ms, trouble_cause, first_at_ms FROM dns_record
    WHERE ($1 IS NULL OR domain = $1 OR domain LIKE $2 ESCAPE '!') ORDER BY domain, name, type";

const HAS_CHECK: &str = "SELECT 1 FROM dns_check WHERE domain = $1";
const SET_CHECK: &str = "INSERT INTO dns_check (domain, checked_at_ms, class, grade, passed, findings, not_known, asked)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (domain) DO UPDATE SET checked_at_ms = excluded.checked_at_ms, class = excluded.class,
    grade = excluded.grade, passed = excluded.passed, findings = excluded.findings, not_known = excluded.not_known,
    asked = excluded.asked";
const OPEN_FINDINGS: &str = "SELECT code, subject, evidence FROM dns_finding
    WHERE domain = $1 AND gone_at_ms IS NULL ORDER BY code, subject";
const KEEP_FINDING: &str = "UPDATE dns_finding SET severity = $1, evidence = $2, mend = $3, last_at_ms = $4
    WHERE domain = $5 AND code = $6 AND subject = $7 AND gone_at_ms IS NULL";
const OPEN_FINDING: &str =
    "INSERT INTO dns_finding (domain, code, subject, first_at_ms, last_at_ms, severity, evidence,
    mend) VALUES ($1, $2, $3, $4, $4, $5, $6, $7)
    ON CONFLICT (domain, code, subject, first_at_ms) DO NOTHING";
const CLOSE_FINDING: &str = "UPDATE dns_finding SET gone_at_ms = $1
    WHERE domain = $2 AND code = $3 AND subject = $4 AND gone_at_ms IS NULL";
const FINDINGS: &str =
    "SELECT domain, code, subject, severity, evidence, mend, first_at_ms, last_at_ms, gone_at_ms
    FROM dns_finding WHERE first_at_ms <= $1 AND (gone_at_ms IS NULL OR gone_at_ms > $1)
    AND ($2 IS NULL OR domain = $2 OR domain LIKE $3 ESCAPE '!') ORDER BY domain, code, subject";

/// See [`super::Store::note_dns`].
pub(super) fn note(
    writer: &Writer,
    domain: &str,
    noted: Noted,
    now: Timestamp,
) -> Result<Vec<DomainEvent>, StoreError> {
    let domain = domain.to_owned();
    writer.run(move |work| {
        let mut all = Vec::new();
        for seen in &noted.seen {
            let known = state(work.connection, &domain, seen)?;
            let (state, events) = history::step(known.clone(), seen, now);
            if known.as_ref() != Some(&state) {
                set_state(work, &domain, seen, &state, now)?;
            }
            let (name, about) = (seen.question.name.as_str(), seen.question.record_type.as_str());
            all.extend(events.into_iter().map(|event| DomainEvent {
                name: name.to_owned(),
                about: about.to_owned(),
                event,
            }));
        }
        let is_first = !work.connection.prepare_cached(HAS_CHECK)?.exists([&domain])?;
        let changes = note_findings(work, &domain, &noted, now)?;
        // What the first check finds is where history begins.
        if !is_first {
            all.extend(changes);
        }
        for event in &all {
            add_event(work, &domain, event, now)?;
        }
        work.connection.prepare_cached(SET_CHECK)?.execute((
            &domain,
            now.ms(),
            noted.class,
            noted.grade,
            i64::try_from(noted.passed).unwrap_or(i64::MAX),
            i64::try_from(noted.findings.len()).unwrap_or(i64::MAX),
            json_array(noted.not_known.iter().map(|&code| code.to_owned())),
            i64::try_from(noted.asked).unwrap_or(i64::MAX),
        ))?;
        Ok(all)
    })
}

/// Opens what is found now and closes what is not found any more, unless its check could not be made.
fn note_findings(
    work: &Work<'_>,
    domain: &str,
    noted: &Noted,
    now: Timestamp,
) -> Result<Vec<DomainEvent>, StoreError> {
    let open: Vec<OpenFinding> = {
        let mut statement = work.connection.prepare_cached(OPEN_FINDINGS)?;
        let rows = statement.query_map([domain], |row| {
            Ok(OpenFinding { code: row.get(0)?, subject: row.get(1)?, evidence: row.get(2)? })
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let steps = history::step_findings(&open, noted);
    for finding in &steps.kept {
        let (severity, evidence, mend) = (finding.severity, &finding.evidence, &finding.mend);
        let row = (severity, evidence, mend, now.ms(), domain, finding.code, &finding.subject);
        work.connection.prepare_cached(KEEP_FINDING)?.execute(row)?;
    }
    for finding in &steps.opened {
        let (severity, evidence, mend) = (finding.severity, &finding.evidence, &finding.mend);
        let row = (domain, finding.code, &finding.subject, now.ms(), severity, evidence, mend);
        work.connection.prepare_cached(OPEN_FINDING)?.execute(row)?;
    }
    for open in &steps.gone {
        let row = (now.ms(), domain, &open.code, &open.subject);
        work.connection.prepare_cached(CLOSE_FINDING)?.execute(row)?;
    }
    let opened = steps.opened.iter().map(|&finding| DomainEvent::found(finding));
    Ok(opened.chain(steps.gone.into_iter().map(DomainEvent::mended)).collect())
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
fn set_state(
    work: &Work<'_>,
    domain: &str,
    seen: &Seen,
    state: &State,
    now: Timestamp,
) -> Result<(), StoreError> {
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
        // Holds for a new row alone.
        now.ms(),
    ])?;
    Ok(())
}

/// Writes one event.
fn add_event(
    work: &mut Work<'_>,
    domain: &str,
    event: &DomainEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = work.ids.next(work.now);
    work.connection.prepare_cached(ADD_EVENT)?.execute((
        id,
        domain,
        now.ms(),
        &event.name,
        &event.about,
        event.event.happening.as_str(),
        json_array(event.event.before.iter().cloned()),
        json_array(event.event.after.iter().cloned()),
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
            about: row.get(3)?,
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
        let first = Timestamp::from_ms(row.get(10)?);
        let row = DnsRecordRow {
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
        };
        Ok((row, first))
    })?;
    let mut rows: Vec<(DnsRecordRow, Timestamp)> = rows.collect::<Result<_, _>>()?;
    if let Some(at) = at {
        // What nobody asked for yet was not known.
        rows.retain(|(_, first)| *first <= at);
        let mut all = query.clone();
        all.period = crate::summary::Period::default();
        go_back(&mut rows, &all_events(connection, &all)?, at);
    }
    Ok(rows.into_iter().map(|(row, _)| row).collect())
}

/// Takes back what happened after a time, the newest first, and says since when it was as it was then.
fn go_back(rows: &mut [(DnsRecordRow, Timestamp)], events: &[DnsEventRow], at: Timestamp) {
    let mut places: HashMap<(String, String, String), usize> = HashMap::new();
    for (place, (row, _)) in rows.iter().enumerate() {
        places.insert((row.domain.clone(), row.name.clone(), row.record_type.clone()), place);
    }
    // Rows whose value of then is not the one of now, and of which no earlier event was met yet.
    let mut is_open = vec![false; rows.len()];
    for event in events {
        let key = (event.domain.clone(), event.name.clone(), event.about.clone());
        let Some(place) = places.get(&key).copied() else { continue };
        let (Some((row, first)), Some(is_open)) = (rows.get_mut(place), is_open.get_mut(place)) else {
            continue;
        };
        let is_value = matches!(
            Happening::parse(&event.happening),
            Some(Happening::Appeared | Happening::Changed | Happening::Lost | Happening::Varies)
        );
        if event.at <= at {
            if is_value && *is_open {
                row.since = event.at;
                *is_open = false;
            }
            continue;
        }
        if is_value {
            let word = if event.before.is_empty() { "no-type" } else { "records" };
            row.state = Some(word.to_owned());
            row.records.clone_from(&event.before);
            (row.trouble, row.trouble_since) = (None, None);
            row.since = *first;
            *is_open = true;
        } else if event.happening == Happening::SecurityChanged.as_str() {
            row.security = event.before.first().cloned().unwrap_or_default();
        }
    }
    for (row, _) in rows {
        row.confirmed = row.confirmed.min(at);
        if row.trouble_since.is_some_and(|since| since > at) {
            (row.trouble, row.trouble_since) = (None, None);
        }
    }
}

/// See [`super::Reader::dns_findings`].
pub(super) fn findings(
    connection: &Connection,
    query: &Query,
    at: Timestamp,
) -> Result<Vec<DnsFindingRow>, StoreError> {
    let domain = query.domain.as_ref().map(|domain| domain.as_str().to_owned());
    let below = domain.as_deref().map(below_pattern);
    let mut statement = connection.prepare_cached(FINDINGS)?;
    let rows = statement.query_map((at.ms(), domain, below), |row| {
        Ok(DnsFindingRow {
            domain: row.get(0)?,
            code: row.get(1)?,
            subject: row.get(2)?,
            severity: row.get(3)?,
            evidence: row.get(4)?,
            mend: row.get(5)?,
            first: Timestamp::from_ms(row.get(6)?),
            last: Timestamp::from_ms(row.get(7)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
