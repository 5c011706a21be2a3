//! Records of aggregate reports: rows clustered by domain and day.

use super::writer::Work;
use super::{StoreError, intern, source};
use crate::reports::aggregate::Record;

const INSERT: &str =
    "INSERT INTO record (domain_id, day, report_id, seq, source, count, disposition, dkim, spf,
    header_from_id, envelope_from_id, envelope_to_id, auth_set_id, reason_set_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
const NEXT_SEQ: &str = "SELECT COALESCE(MAX(seq), -1) + 1 FROM record
    WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE: &str = "DELETE FROM record WHERE domain_id = $1 AND day = $2 AND report_id = $3";

/// Where the rows of one report are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The policy domain.
    pub(super) domain_id: i64,
    /// The day of the rows.
    pub(super) day: i32,
    /// The report.
    pub(super) report_id: i64,
}

/// Appends records from `seq` on. A missing author domain is the policy domain, `domain_name_id`.
pub(super) fn insert(
    work: &mut Work<'_>,
    place: Place,
    domain_name_id: i64,
    seq: i64,
    records: &[Record],
) -> Result<(), StoreError> {
    let mut statement = work.connection.prepare_cached(INSERT)?;
    let mut address = Vec::with_capacity(17);
    for (seq, record) in (seq..).zip(records) {
        let header_from_id = match &record.header_from {
            Some(name) => intern::name(work, name.as_str())?,
            None => domain_name_id,
        };
        let envelope_from_id = optional_name(work, record.envelope_from.as_deref())?;
        let envelope_to_id = optional_name(work, record.envelope_to.as_deref())?;
        let auth_set_id = intern::auth_set(work, record)?;
        let reason_set_id = intern::reason_set(work, &record.reasons)?;
        let has_source = source::write(&record.source, &mut address);
        statement.raw_bind_parameter(1, place.domain_id)?;
        statement.raw_bind_parameter(2, place.day)?;
        statement.raw_bind_parameter(3, place.report_id)?;
        statement.raw_bind_parameter(4, seq)?;
        statement.raw_bind_parameter(5, if has_source { Some(address.as_slice()) } else { None })?;
        statement.raw_bind_parameter(6, record.count.map(integer))?;
        statement.raw_bind_parameter(7, record.disposition.as_str())?;
        statement.raw_bind_parameter(8, record.dkim.as_str())?;
        statement.raw_bind_parameter(9, record.spf.as_str())?;
        statement.raw_bind_parameter(10, header_from_id)?;
        statement.raw_bind_parameter(11, envelope_from_id)?;
        statement.raw_bind_parameter(12, envelope_to_id)?;
        statement.raw_bind_parameter(13, auth_set_id)?;
        statement.raw_bind_parameter(14, reason_set_id)?;
        statement.raw_execute()?;
    }
    Ok(())
}

/// The number of a name that may be absent.
fn optional_name(work: &mut Work<'_>, name: Option<&str>) -> Result<Option<i64>, StoreError> {
    name.map(|name| intern::name(work, name)).transpose()
}

/// A count as the database's integer; [`super::aggregate::check`] keeps it far below the end.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Records of one report so far: they are numbered from 0 without gaps.
pub(super) fn next_seq(work: &Work<'_>, place: Place) -> Result<i64, StoreError> {
    let key = (place.domain_id, place.day, place.report_id);
    Ok(work.connection.prepare_cached(NEXT_SEQ)?.query_row(key, |row| row.get(0))?)
}

/// Removes all rows of one report at once.
pub(super) fn delete(work: &Work<'_>, place: Place) -> Result<(), StoreError> {
    let key = (place.domain_id, place.day, place.report_id);
    work.connection.prepare_cached(DELETE)?.execute(key)?;
    Ok(())
}
