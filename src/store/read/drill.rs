//! The probes of a drill as they stand.

use std::collections::HashMap;

use rusqlite::{Connection, Row};

use super::super::probe::due;
use super::super::{StoreError, source};
use super::scope;
use crate::clock::Timestamp;
use crate::limits;
use crate::probe::lifecycle::{Latency, State, Verdict};
use crate::summary::drill::DrillProbe;
use crate::summary::latency::Span;

/// The newest first. What the first attempt gave decides who took it, and whether.
const ROWS: &str = "SELECT p.token, p.sent_at_ms, p.state, p.reason, p.latency_ms, p.latency_error_ms,
    (SELECT e.event FROM probe_event AS e WHERE e.token = p.token
        AND e.event IN ('accepted', 'refused', 'deferred', 'in_doubt') ORDER BY e.seq LIMIT 1),
    (SELECT e.text FROM probe_event AS e WHERE e.token = p.token
        AND e.event IN ('accepted', 'refused', 'deferred', 'in_doubt') ORDER BY e.seq LIMIT 1),
    (SELECT a.mx_host FROM probe_attempt AS a WHERE a.token = p.token ORDER BY a.seq LIMIT 1),
    (SELECT a.peer_ip FROM probe_attempt AS a WHERE a.token = p.token ORDER BY a.seq LIMIT 1)
    FROM probe AS p WHERE p.kind = 'drill' AND (p.route = $1 OR p.route LIKE $2 ESCAPE '!')
    ORDER BY p.sent_at_ms DESC, p.token DESC";

/// See [`super::Reader::last_drill`].
pub(super) fn last(
    connection: &Connection,
    route: &str,
    now: Timestamp,
) -> Result<Vec<DrillProbe>, StoreError> {
    let due: HashMap<String, Verdict> =
        due(connection, now)?.into_iter().map(|(stored, verdict)| (stored.token, verdict)).collect();
    let apart = i64::try_from(limits::DRILL_APART.as_millis()).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query((route, format!("{}/%", scope::literal(route))))?;
    let mut probes: Vec<DrillProbe> = Vec::new();
    while let Some(row) = rows.next()? {
        let mut probe = to_probe(row)?;
        if let Some(verdict) = due.get(&probe.token) {
            probe.state = verdict.state;
            probe.latency = verdict.latency.map(Span::of);
        }
        let is_another = probes.last().is_some_and(|later| later.sent_at.ms_since(probe.sent_at) > apart);
        if is_another || probes.len() >= limits::DRILL_PROBES {
            break;
        }
        probes.push(probe);
    }
    probes.reverse();
    Ok(probes)
}

/// Reads a row of [`ROWS`].
fn to_probe(row: &Row<'_>) -> Result<DrillProbe, StoreError> {
    let word = row.get_ref(2)?.as_str()?;
    let state = State::parse(word)
        .ok_or_else(|| StoreError::Contradiction(format!("unknown state of a probe: {word:?}")))?;
    let (ms, error_ms): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
    let is_taken = row.get_ref(6)?.as_str_or_null()? == Some("accepted");
    let host: Option<String> = row.get(8)?;
    let peer = row.get_ref(9)?.as_blob_or_null()?.and_then(source::read_ip).map(|ip| ip.to_string());
    Ok(DrillProbe {
        token: row.get(0)?,
        sent_at: Timestamp::from_ms(row.get(1)?),
        host: host.or(peer),
        is_taken,
        state,
        // What the first attempt said, else why it is as it is.
        reason: row.get::<_, Option<String>>(7)?.or(row.get(3)?),
        latency: ms.map(|ms| Span::of(Latency { ms, error_ms: error_ms.unwrap_or(0) })),
    })
}
