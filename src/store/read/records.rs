//! Answers.

use rusqlite::Connection;

use super::super::StoreError;
use crate::summary::{Answer, Query, RecordRow, RecordTotals};

pub(super) fn records(
    _connection: &Connection,
    _query: &Query,
) -> Result<Answer<RecordRow, RecordTotals>, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}
