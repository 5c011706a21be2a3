//! Aggregate reports: which one counts under a key.

use super::writer::Work;
use super::{MessageId, Outcome, ReadReport, ReportRows, StoreError};
use crate::reports::digest::ReportDigest;
use crate::summary::Trust;

/// Where a report came from.
pub(super) struct Origin {
    pub(super) message_id: MessageId,
    pub(super) received_at_ms: i64,
    pub(super) trust: Trust,
    pub(super) parser_version: u32,
}

pub(super) fn check(_digest: &ReportDigest) -> Result<(), StoreError> {
    Ok(())
}

pub(super) fn memory_bytes(_report: &ReadReport) -> usize {
    0
}

pub(super) fn store(
    _work: &mut Work<'_>,
    _origin: &Origin,
    _place: &str,
    _digest: &ReportDigest,
    _rows: ReportRows,
) -> Result<Outcome, StoreError> {
    Err(StoreError::Internal("reports are not stored yet".to_owned()))
}

pub(super) fn drop_rows(_work: &mut Work<'_>, _rows: ReportRows) -> Result<(), StoreError> {
    Err(StoreError::Internal("reports are not stored yet".to_owned()))
}
