//! Reports of many records: rows in slices, invisible until their message is finished.

use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;
use super::writer::Writer;
use crate::reports::aggregate::Record;
use crate::reports::digest::ReportDigest;

/// A report whose rows are being pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoadingId(pub(super) i64);

pub(super) fn begin(_writer: &Writer, _digest: &ReportDigest) -> Result<Option<LoadingId>, StoreError> {
    Err(StoreError::Internal("reports are not stored yet".to_owned()))
}

pub(super) fn push(_writer: &Writer, _loading: LoadingId, _records: Vec<Record>) -> Result<(), StoreError> {
    Err(StoreError::Internal("reports are not stored yet".to_owned()))
}

pub(super) fn abandon(_writer: &Writer, _loading: LoadingId) -> Result<(), StoreError> {
    Err(StoreError::Internal("reports are not stored yet".to_owned()))
}

pub(super) fn clean(_connection: &Connection) -> Result<(), StoreError> {
    Ok(())
}

pub(super) fn remove_slice(_connection: &Connection, _time: Duration) -> Result<bool, StoreError> {
    Ok(false)
}
