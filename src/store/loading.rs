//! Reports of many records: rows in slices, invisible until their message is finished.
//!
//! Rows without a report are in no answer. `leftover` names them, so that whatever happens to the process
//! they are found and removed, a slice at a time.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::record::{self, Place};
use super::writer::{Work, Writer};
use super::{StoreError, aggregate, intern, tls, unclaimed};
use crate::clock;
use crate::reports::aggregate::Record;
use crate::reports::digest::ReportDigest;

const INSERT: &str = "INSERT INTO leftover (report_id, domain_id, day, state) VALUES ($1, $2, $3, $4)
    ON CONFLICT (report_id) DO UPDATE SET state = excluded.state";
const IS_LOADING: &str = "SELECT 1 FROM leftover WHERE report_id = $1 AND state = 'loading'";
const DELETE: &str = "DELETE FROM leftover WHERE report_id = $1";
const REMOVED: &str = "SELECT domain_id, day, report_id FROM leftover WHERE state = 'removed' LIMIT 1";
const GIVE_UP_ALL: &str = "UPDATE leftover SET state = 'removed' WHERE state = 'loading'";
const FIRST_SEQ: &str = "SELECT MIN(seq) FROM record WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE_SLICE: &str = "DELETE FROM record
    WHERE domain_id = $1 AND day = $2 AND report_id = $3 AND seq < $4";

/// Rows removed with one statement.
const SLICE: i64 = 1_000;

/// A report whose rows are being pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoadingId {
    pub(super) place: Place,
    domain_name_id: i64,
}

/// See [`super::Store::begin_loading`].
pub(super) fn begin(writer: &Writer, digest: &ReportDigest) -> Result<Option<LoadingId>, StoreError> {
    aggregate::check(digest)?;
    let digest = digest.clone();
    writer.run(move |work| {
        if !unclaimed::is_claimed(work, Some(&digest.key.domain))?
            || aggregate::has_rows_already(work, &digest)?
        {
            return Ok(None);
        }
        let domain_id = intern::domain(work, digest.key.domain.as_str())?;
        let domain_name_id = intern::name(work, digest.key.domain.as_str())?;
        let place = Place { domain_id, day: aggregate::days(&digest).0, report_id: work.ids.next(work.now) };
        announce(work, place)?;
        Ok(Some(LoadingId { place, domain_name_id }))
    })
}

/// Notes that rows without a report are being written: they are found and removed if it does not come to one.
pub(super) fn announce(work: &Work<'_>, place: Place) -> Result<(), StoreError> {
    let row = (place.report_id, place.domain_id, place.day, "loading");
    work.connection.prepare_cached(INSERT)?.execute(row)?;
    Ok(())
}

/// Fails if rows of a report are not awaited any more.
pub(super) fn check(work: &Work<'_>, place: Place) -> Result<(), StoreError> {
    if work.connection.prepare_cached(IS_LOADING)?.exists([place.report_id])? {
        return Ok(());
    }
    Err(StoreError::Contradiction("the report is not being loaded any more".to_owned()))
}

/// The rows have their report.
pub(super) fn end(work: &Work<'_>, place: Place) -> Result<(), StoreError> {
    check(work, place)?;
    work.connection.prepare_cached(DELETE)?.execute([place.report_id])?;
    Ok(())
}

/// See [`super::Store::push`]. A slice that could not be written shows when the report is taken.
pub(super) fn push(writer: &Writer, loading: LoadingId, records: Vec<Record>) -> Result<(), StoreError> {
    let bytes = records.iter().map(Record::memory_bytes).sum();
    let work = move |work: &mut Work<'_>| {
        check(work, loading.place)?;
        let seq = record::next_seq(work, loading.place)?;
        record::insert(work, loading.place, loading.domain_name_id, seq, &records)
    };
    // Nobody waits for a slice: if it is missing, the number of rows is wrong in the end.
    writer.queue(bytes, work, Box::new(|_| {}))
}

/// See [`super::Store::abandon`]. Giving up twice is no fault.
pub(super) fn abandon(writer: &Writer, loading: LoadingId) -> Result<(), StoreError> {
    writer.run(move |work| match give_up(work, loading) {
        Ok(()) | Err(StoreError::Contradiction(_)) => Ok(()),
        Err(error) => Err(error),
    })
}

/// Gives up a report that is being loaded. One that became a report meanwhile is not touched.
pub(super) fn give_up(work: &mut Work<'_>, loading: LoadingId) -> Result<(), StoreError> {
    check(work, loading.place)?;
    leave(work, loading.place)
}

/// Makes loaded rows part of a report that is written in the same transaction.
pub(super) fn take(
    work: &Work<'_>,
    loading: LoadingId,
    place: Place,
    digest: &ReportDigest,
) -> Result<(), StoreError> {
    let again = |what: &str| StoreError::Contradiction(format!("report {}: {what}", digest.key.report_id));
    if loading.place != place {
        return Err(again("its rows were loaded for another domain or day"));
    }
    if !work.connection.prepare_cached(IS_LOADING)?.exists([place.report_id])? {
        return Err(again("its rows are not being loaded any more"));
    }
    let rows = record::next_seq(work, place)?;
    if rows != record::integer(digest.records) {
        return Err(again(&format!("{} records announced, {rows} loaded", digest.records)));
    }
    end(work, place)
}

/// Leaves the rows of a report to be removed later; there must be no report any more.
pub(super) fn leave(work: &mut Work<'_>, place: Place) -> Result<(), StoreError> {
    let row = (place.report_id, place.domain_id, place.day, "removed");
    work.connection.prepare_cached(INSERT)?.execute(row)?;
    *work.has_leftovers = true;
    Ok(())
}

/// True if rows wait to be removed.
pub(super) fn has_leftovers(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(REMOVED)?.exists([])?)
}

/// Gives up what a killed process was loading. Only for a process that is alone with the database.
pub(super) fn clean(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(GIVE_UP_ALL, [])?;
    Ok(())
}

/// Removes rows that were left, for `time`; true if there are more.
pub(super) fn remove_slice(connection: &Connection, time: Duration) -> Result<bool, StoreError> {
    let started = clock::instant();
    loop {
        let left = connection
            .prepare_cached(REMOVED)?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i32>(1)?, row.get::<_, i64>(2)?)))
            .optional()?;
        let Some((domain_id, day, report_id)) = left else { return Ok(false) };
        let first: Option<i64> =
            connection.prepare_cached(FIRST_SEQ)?.query_row((domain_id, day, report_id), |row| row.get(0))?;
        match first {
            Some(first) => {
                connection.prepare_cached(DELETE_SLICE)?.execute((
                    domain_id,
                    day,
                    report_id,
                    first + SLICE,
                ))?;
            }
            None if tls::remove_slice(connection, (domain_id, day, report_id))? => {}
            None => {
                connection.prepare_cached(DELETE)?.execute([report_id])?;
            }
        }
        if started.elapsed() >= time {
            return Ok(true);
        }
    }
}
