//! Look-up rows that nothing refers to any more: names, reporters, lists of results and reasons.
//!
//! No table that refers to them has an index by them, so all of it is read once, by a reader, without the lock. What is
//! taken up again meanwhile is noted by whoever writes (`intern::note_taken`) and stays; if another process wrote, or a
//! transaction was lost, nobody can say what was taken up, and the rest is left for the next time.

use rusqlite::Connection;

use super::super::intern::{self, Lookup};
use super::super::writer::Writer;
use super::super::{Reader, StoreError};
use super::{domains, in_slices, slice};
use crate::clock::Timestamp;
use crate::limits;

const NAMES: &str = "SELECT name_id FROM name WHERE name_id > $1 ORDER BY name_id LIMIT $2";
const REPORTERS: &str =
    "SELECT reporter_id FROM reporter WHERE reporter_id > $1 ORDER BY reporter_id LIMIT $2";
const AUTH_SETS: &str =
    "SELECT auth_set_id FROM auth_set WHERE auth_set_id > $1 ORDER BY auth_set_id LIMIT $2";
const REASON_SETS: &str =
    "SELECT reason_set_id FROM reason_set WHERE reason_set_id > $1 ORDER BY reason_set_id LIMIT $2";
const RECORDS: &str =
    "SELECT domain_id, day, report_id, seq, header_from_id, envelope_from_id, envelope_to_id, auth_set_id,
    reason_set_id FROM record WHERE (domain_id, day, report_id, seq) > ($1, $2, $3, $4)
    ORDER BY domain_id, day, report_id, seq LIMIT $5";
const ROLLUP: &str = "SELECT DISTINCT header_from_id, reporter_id FROM rollup WHERE domain_id = $1";
const OF_REPORTS: [&str; 3] = [
    "SELECT DISTINCT reporter_id FROM report_rollup WHERE domain_id = $1",
    "SELECT DISTINCT reporter_id FROM report WHERE domain_id = $1",
    "SELECT DISTINCT reporter_id FROM tls_report WHERE domain_id = $1",
];
/// Of each kind what goes first, so that no row refers to one that is gone.
const DELETE_NAME: [&str; 1] = ["DELETE FROM name WHERE name_id = $1"];
const DELETE_REPORTER: [&str; 1] = ["DELETE FROM reporter WHERE reporter_id = $1"];
const DELETE_AUTH_SET: [&str; 2] =
    ["DELETE FROM auth_result WHERE auth_set_id = $1", "DELETE FROM auth_set WHERE auth_set_id = $1"];
const DELETE_REASON_SET: [&str; 2] =
    ["DELETE FROM reason WHERE reason_set_id = $1", "DELETE FROM reason_set WHERE reason_set_id = $1"];
/// The names of watched domains stay: their own author domain has a place in every roll-up.
const OF_DOMAIN: &str = "SELECT n.name_id FROM domain AS d JOIN name AS n ON n.name = d.name";

const EMPTY_DAYS: &str = "SELECT DISTINCT day FROM rollup
    WHERE domain_id = $1 AND day < $2 AND messages = 0 AND records = 0";
const IS_OPEN: &str =
    "SELECT EXISTS (SELECT 1 FROM report WHERE domain_id = $1 AND day = $2 AND status <> 'rolled-up')
    OR EXISTS (SELECT 1 FROM report WHERE domain_id = $1 AND last_day > day AND day < $2 AND last_day >= $2
        AND status <> 'rolled-up')";
const DELETE_EMPTY: &str =
    "DELETE FROM rollup WHERE domain_id = $1 AND day = $2 AND messages = 0 AND records = 0";

/// Records that are read at once.
const BATCH: i64 = 50_000;

/// Some look-up rows of one kind in the order of their numbers, and which of them are in use.
struct Candidates {
    kind: Lookup,
    ids: Vec<i64>,
    is_used: Vec<bool>,
}

impl Candidates {
    /// The next rows behind a number.
    fn after(connection: &Connection, kind: Lookup, last: i64) -> Result<Self, StoreError> {
        let sql = match kind {
            Lookup::Name => NAMES,
            Lookup::Reporter => REPORTERS,
            Lookup::AuthSet => AUTH_SETS,
            Lookup::ReasonSet => REASON_SETS,
        };
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map((last, limits::UNUSED_AT_ONCE), |row| row.get(0))?;
        let ids: Vec<i64> = rows.collect::<Result<_, _>>()?;
        Ok(Self { kind, is_used: vec![false; ids.len()], ids })
    }

    /// Notes that a row is in use.
    fn mark(&mut self, id: Option<i64>) {
        let at = id.and_then(|id| self.ids.binary_search(&id).ok());
        if let Some(is_used) = at.and_then(|at| self.is_used.get_mut(at)) {
            *is_used = true;
        }
    }

    /// The rows that nothing uses.
    fn unused(self) -> Vec<(Lookup, i64)> {
        let kind = self.kind;
        self.ids.into_iter().zip(self.is_used).filter(|(_, used)| !used).map(|(id, _)| (kind, id)).collect()
    }
}

/// Removes sums of nothing from days before `before_ms` of which no report can be taken away any more: what was counted while
/// it waited for its verdict and then failed leaves them. Elsewhere they hold the place of their author domain.
pub(super) fn empty_sums(
    writer: &Writer,
    reader: &Reader,
    before_ms: i64,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    let before = Timestamp::from_ms(before_ms).day().0;
    for domain_id in domains(reader)? {
        let days: Vec<i32> = {
            let mut statement = reader.connection().prepare_cached(EMPTY_DAYS)?;
            let rows = statement.query_map((domain_id, before), |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        in_slices(writer, days, is_stopped, move |work, day: &i32| {
            let is_open: bool =
                work.connection.prepare_cached(IS_OPEN)?.query_row((domain_id, day), |row| row.get(0))?;
            if is_open {
                return Ok(0);
            }
            work.cache.admitted.remove(&(domain_id, *day));
            let removed = work.connection.prepare_cached(DELETE_EMPTY)?.execute((domain_id, day))?;
            Ok(u64::try_from(removed).unwrap_or(0))
        })?;
    }
    Ok(())
}

/// Removes what nothing refers to; returns how many rows. Every walk over the records judges at most
/// [`limits::UNUSED_AT_ONCE`] rows of each kind, so that memory is bounded.
pub(super) fn lookups(
    writer: &Writer,
    reader: &Reader,
    is_stopped: &dyn Fn() -> bool,
) -> Result<u64, StoreError> {
    const KINDS: [Lookup; 4] = [Lookup::Name, Lookup::Reporter, Lookup::AuthSet, Lookup::ReasonSet];
    let mut removed = 0;
    let mut last = KINDS.map(|_| i64::MIN);
    writer.run(|work| {
        intern::note_taken(work);
        Ok(())
    })?;
    while !is_stopped() {
        let connection = reader.connection();
        let mut candidates = Vec::with_capacity(KINDS.len());
        for (kind, last) in KINDS.into_iter().zip(&mut last) {
            let found = Candidates::after(connection, kind, *last)?;
            *last = found.ids.last().copied().unwrap_or(*last);
            candidates.push(found);
        }
        if candidates.iter().all(|found| found.ids.is_empty()) {
            break;
        }
        if !mark_used(reader, &mut candidates, is_stopped)? {
            break;
        }
        let mut unused: Vec<(Lookup, i64)> = candidates.into_iter().flat_map(Candidates::unused).collect();
        let mut is_known = true;
        while is_known && !unused.is_empty() && !is_stopped() {
            let batch = std::mem::take(&mut unused);
            let (rest, gone, known) = writer.run(move |work| {
                let (mut gone, mut known) = (0u64, true);
                let done = slice(work, &batch, |work, (kind, id)| {
                    match intern::was_taken(work, *kind, *id) {
                        None => known = false,
                        Some(true) => {}
                        Some(false) => {
                            remove(work.connection, *kind, *id)?;
                            gone += 1;
                        }
                    }
                    Ok(())
                })?;
                intern::forget(work);
                Ok((batch.into_iter().skip(done).collect(), gone, known))
            })?;
            (unused, is_known) = (rest, known);
            removed += gone;
        }
        if !is_known {
            break;
        }
    }
    writer.run(|work| {
        intern::note_no_more(work);
        Ok(())
    })?;
    Ok(removed)
}

/// Marks everything that is in use; false if it was stopped.
fn mark_used(
    reader: &Reader,
    candidates: &mut [Candidates],
    is_stopped: &dyn Fn() -> bool,
) -> Result<bool, StoreError> {
    let connection = reader.connection();
    let [names, reporters, auth_sets, reason_sets] = candidates else { return Ok(false) };
    let mut cursor = (i64::MIN, i64::MIN, i64::MIN, i64::MIN);
    loop {
        if is_stopped() {
            return Ok(false);
        }
        let mut statement = connection.prepare_cached(RECORDS)?;
        let mut rows = statement.query((cursor.0, cursor.1, cursor.2, cursor.3, BATCH))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            cursor = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            for at in 4..=6 {
                names.mark(row.get(at)?);
            }
            auth_sets.mark(row.get(7)?);
            reason_sets.mark(row.get(8)?);
            count += 1;
        }
        if count < BATCH {
            break;
        }
    }
    for domain_id in domains(reader)? {
        let mut statement = connection.prepare_cached(ROLLUP)?;
        let mut rows = statement.query([domain_id])?;
        while let Some(row) = rows.next()? {
            names.mark(row.get(0)?);
            reporters.mark(row.get(1)?);
        }
        for sql in OF_REPORTS {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([domain_id])?;
            while let Some(row) = rows.next()? {
                reporters.mark(row.get(0)?);
            }
        }
    }
    let mut statement = connection.prepare_cached(OF_DOMAIN)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        names.mark(row.get(0)?);
    }
    Ok(true)
}

/// Removes one look-up row.
fn remove(connection: &Connection, kind: Lookup, id: i64) -> Result<(), StoreError> {
    let statements: &[&str] = match kind {
        Lookup::Name => &DELETE_NAME,
        Lookup::Reporter => &DELETE_REPORTER,
        Lookup::AuthSet => &DELETE_AUTH_SET,
        Lookup::ReasonSet => &DELETE_REASON_SET,
    };
    for sql in statements {
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}
