//! Removing rows: of reports, of messages with all that hangs on them, of probes.

use rusqlite::Connection;

use super::super::read::count;
use super::super::record::{self, Place};
use super::super::writer::{Work, Writer};
use super::super::{MessageId, Reader, StoreError, fatal, loading, party};
use super::prune::{Pruned, counted};
use super::{domains, in_slices};
use crate::clock::Timestamp;
use crate::limits;

const OLD_REPORTS: &str = "SELECT day, report_id, status, records FROM report
    WHERE domain_id = $1 AND (day, report_id) > ($2, $3) AND day < $4 AND last_day < $4 AND status <> 'rolled-up'
    AND (received_at_ms < $5 OR own_trust <> 'pending')
    ORDER BY day, report_id LIMIT 500";
const STATUS: &str =
    "SELECT status, EXISTS (SELECT 1 FROM report AS o WHERE o.domain_id = r.domain_id AND o.day = r.day
        AND o.report_id = r.duplicate_of AND o.status <> 'rolled-up')
    FROM report AS r WHERE r.domain_id = $1 AND r.day = $2 AND r.report_id = $3";
const ROLL_UP: &str = "UPDATE report SET status = 'rolled-up', is_conflicting = 0
    WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE_REPORT: &str = "DELETE FROM report WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE_DEVIATIONS: &str = "DELETE FROM deviation WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const CHILDREN: &str =
    "SELECT t.name, f.\"from\" FROM sqlite_schema AS t, pragma_foreign_key_list(t.name) AS f
    WHERE t.type = 'table' AND f.\"table\" = 'message' ORDER BY t.name";
const DELETE_MESSAGE: &str = "DELETE FROM message WHERE message_id = $1";
const DELETE_STEPS: &str = "DELETE FROM probe_step WHERE token = $1";
const DELETE_ATTEMPTS: &str = "DELETE FROM probe_attempt WHERE token = $1";
const DELETE_STANDS: &str = "DELETE FROM mailbox_stand WHERE token = $1";
const DELETE_WATCHED: &str = "DELETE FROM mailbox_arrival WHERE token = $1";
const DELETE_EVENTS: &str = "DELETE FROM probe_event WHERE token = $1";
const DELETE_VERDICTS: &str = "DELETE FROM probe_verdict WHERE token = $1";
const DELETE_REFLECTION: &str = "DELETE FROM reflect WHERE token = $1";
const DELETE_PROBE: &str = "DELETE FROM probe WHERE token = $1";

/// A report whose rows may go.
#[derive(Debug, Clone, Copy)]
struct OldReport {
    place: Place,
    records: i64,
}

/// Removes the rows of reports all of whose days are before `before_ms`, but for those that came since `pending_ms` and wait
/// for their verdict: it could not change their sums any more.
pub(super) fn reports(
    writer: &Writer,
    reader: &Reader,
    (before_ms, pending_ms): (i64, i64),
    pruned: &mut Pruned,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    let before = Timestamp::from_ms(before_ms).day().0;
    for domain_id in domains(reader)? {
        let mut cursor = (i32::MIN, i64::MIN);
        loop {
            let found: Vec<OldReport> = {
                let mut statement = reader.connection().prepare_cached(OLD_REPORTS)?;
                let rows =
                    statement.query_map((domain_id, cursor.0, cursor.1, before, pending_ms), |row| {
                        let place = Place { domain_id, day: row.get(0)?, report_id: row.get(1)? };
                        Ok(OldReport { place, records: row.get(3)? })
                    })?;
                rows.collect::<Result<_, _>>()?
            };
            let Some(last) = found.last() else { break };
            cursor = (last.place.day, last.place.report_id);
            let (reports, records) = in_slices(writer, found, is_stopped, |work, old| roll_up(work, *old))?;
            pruned.reports += reports;
            pruned.records += records;
            if is_stopped() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Removes the rows of one report; what counts keeps its head. Returns the number of rows.
fn roll_up(work: &mut Work<'_>, old: OldReport) -> Result<u64, StoreError> {
    let key = (old.place.domain_id, old.place.day, old.place.report_id);
    let found = work.connection.prepare_cached(STATUS)?.query_row(key, |row| Ok((row.get(0)?, row.get(1)?)));
    let (status, is_needed): (String, bool) = match found {
        Ok(found) => found,
        // Removed since it was looked up.
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    if is_needed {
        // A copy lends its trust to what counts: it goes the next time.
        return Ok(0);
    }
    work.connection.prepare_cached(DELETE_DEVIATIONS)?.execute(key)?;
    let sql = if status == "counted" { ROLL_UP } else { DELETE_REPORT };
    work.connection.prepare_cached(sql)?.execute(key)?;
    if status == "duplicate" {
        return Ok(0);
    }
    remove_records(work, old.place, old.records)?;
    Ok(counted(old.records))
}

/// Removes the rows of a report: at once, or later in slices where they are many.
pub(super) fn remove_records(work: &mut Work<'_>, place: Place, records: i64) -> Result<(), StoreError> {
    if count(records) > limits::RECORDS_IN_MEMORY {
        loading::leave(work, place)
    } else {
        record::delete(work, place)
    }
}

/// Statements that remove what refers to a message, whatever tables there are.
pub(super) fn children(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(CHILDREN)?;
    // Names from the schema itself: nothing from outside is in these statements.
    let rows = statement.query_map([], |row| {
        let (table, column): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(format!("DELETE FROM \"{table}\" WHERE \"{column}\" = $1"))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes the row of a message and what refers to it.
pub(super) fn remove_message(
    work: &mut Work<'_>,
    id: MessageId,
    children: &[String],
) -> Result<(), StoreError> {
    fatal::forgive(work, id)?;
    party::forget(work, id)?;
    for sql in children {
        work.connection.prepare_cached(sql)?.execute([id.0])?;
    }
    work.connection.prepare_cached(DELETE_MESSAGE)?.execute([id.0])?;
    // Domains that are kept apart are remembered by their rows.
    work.cache.unclaimed = None;
    Ok(())
}

/// Removes a probe with all that is known of it.
pub(super) fn remove_probe(work: &mut Work<'_>, token: &str) -> Result<(), StoreError> {
    for sql in [
        DELETE_STEPS,
        DELETE_ATTEMPTS,
        DELETE_EVENTS,
        DELETE_VERDICTS,
        DELETE_REFLECTION,
        DELETE_STANDS,
        DELETE_WATCHED,
        DELETE_PROBE,
    ] {
        work.connection.prepare_cached(sql)?.execute([token])?;
    }
    Ok(())
}
