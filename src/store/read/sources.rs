//! Answers.

use rusqlite::Connection;

use super::super::StoreError;
use crate::summary::{Answer, MessageSums, Query, SourceRow};

pub(super) fn sources(
    _connection: &Connection,
    _query: &Query,
) -> Result<Answer<SourceRow, MessageSums>, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}
