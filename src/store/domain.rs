//! Policy domains: which are watched.

use rusqlite::Connection;

use super::StoreError;
use super::writer::Writer;
use crate::mail::DomainName;

/// A domain as `domains list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedDomain {
    /// Its name.
    pub name: String,
    /// True if the configuration names it.
    pub is_configured: bool,
    /// True if `domains add` named it.
    pub is_added: bool,
    /// Reports counted.
    pub reports: u64,
    /// Messages in them.
    pub messages: u64,
}

pub(super) fn set_watched(_writer: &Writer, _domains: &[DomainName]) -> Result<u64, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}

pub(super) fn add(_writer: &Writer, _domain: &DomainName) -> Result<u64, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}

pub(super) fn list(_connection: &Connection) -> Result<Vec<WatchedDomain>, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}
