//! Answers.

use rusqlite::Connection;

use super::super::StoreError;
use crate::summary::{Answer, DomainRow, MessageSums, Query, ReporterRow, SummaryRow, SummaryTotals};

pub(super) fn summary(
    _connection: &Connection,
    _query: &Query,
) -> Result<Answer<SummaryRow, SummaryTotals>, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}

pub(super) fn domains(
    _connection: &Connection,
    _query: &Query,
) -> Result<Answer<DomainRow, MessageSums>, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}

pub(super) fn reporters(
    _connection: &Connection,
    _query: &Query,
) -> Result<Answer<ReporterRow, MessageSums>, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}
