//! Reports for domains that are not watched: kept apart, in no total.

use rusqlite::Connection;

use super::writer::Work;
use super::{MessageId, StoreError};
use crate::mail::DomainName;
use crate::reports::digest::ReportDigest;

/// A domain that is not watched and of which reports came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnclaimedDomain {
    /// Its name; `None` for all beyond [`crate::limits::UNCLAIMED_DOMAINS`].
    pub domain: Option<String>,
    /// Reports.
    pub reports: u64,
    /// Messages in them, as reported.
    pub messages: u64,
}

pub(super) fn is_claimed(_work: &Work<'_>, _domain: &DomainName) -> Result<bool, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}

pub(super) fn store(
    _work: &mut Work<'_>,
    _id: MessageId,
    _seq: i64,
    _digest: &ReportDigest,
) -> Result<(), StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}

pub(super) fn list(_connection: &Connection) -> Result<Vec<UnclaimedDomain>, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}
