//! What happened in DNS long ago: events and findings that are gone. What is known of each record stays for ever.

use super::super::writer::Writer;
use super::super::{Reader, StoreError};
use super::in_slices;
use super::prune::Pruned;

const EVENTS: &str = "SELECT event_id FROM dns_event WHERE at_ms < $1 ORDER BY at_ms LIMIT 500";
const DELETE_EVENT: &str = "DELETE FROM dns_event WHERE event_id = $1";
const FINDINGS: &str = "SELECT domain, code, subject, first_at_ms FROM dns_finding
    WHERE gone_at_ms < $1 ORDER BY domain, code, subject, first_at_ms LIMIT 500";
const DELETE_FINDING: &str = "DELETE FROM dns_finding
    WHERE domain = $1 AND code = $2 AND subject = $3 AND first_at_ms = $4 AND gone_at_ms IS NOT NULL";

/// Removes events and findings that were over before `before_ms`. The state of each record, the last check of each
/// domain and the findings that stand are no history, and stay.
pub(super) fn history(
    writer: &Writer,
    reader: &Reader,
    before_ms: i64,
    pruned: &mut Pruned,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    while !is_stopped() {
        let found: Vec<i64> = {
            let mut statement = reader.connection().prepare_cached(EVENTS)?;
            let rows = statement.query_map([before_ms], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        if found.is_empty() {
            break;
        }
        let (removed, _) = in_slices(writer, found, is_stopped, |work, id: &i64| {
            work.connection.prepare_cached(DELETE_EVENT)?.execute([id])?;
            Ok(0)
        })?;
        pruned.dns += removed;
    }
    while !is_stopped() {
        let found: Vec<(String, String, String, i64)> = {
            let mut statement = reader.connection().prepare_cached(FINDINGS)?;
            let rows = statement
                .query_map([before_ms], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        if found.is_empty() {
            break;
        }
        let (removed, _) = in_slices(writer, found, is_stopped, |work, key| {
            let (domain, code, subject, first) = key;
            work.connection.prepare_cached(DELETE_FINDING)?.execute((domain, code, subject, first))?;
            Ok(0)
        })?;
        pruned.dns += removed;
    }
    Ok(())
}
