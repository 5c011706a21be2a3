//! Reading messages again from their stored bytes.

use super::writer::{Work, Writer};
use super::{MessageId, MessageStatus, StoreError};
use crate::classify::MessageKind;

/// Which messages to read again; every given condition must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReprocessFilter {
    /// These messages only.
    pub ids: Option<Vec<MessageId>>,
    /// Only messages with this status.
    pub status: Option<MessageStatus>,
    /// Only messages of this kind.
    pub kind: Option<MessageKind>,
    /// Only messages read by a reader older than this version.
    pub older_than_parser: Option<u32>,
    /// Only messages that came at or after this instant, UTC milliseconds.
    pub since_ms: Option<i64>,
    /// Only messages that came before this instant, UTC milliseconds.
    pub until_ms: Option<i64>,
}

pub(super) fn mark(_writer: &Writer, _filter: &ReprocessFilter) -> Result<u64, StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}

pub(super) fn remove_derived(_work: &mut Work<'_>, _id: MessageId) -> Result<(), StoreError> {
    Err(StoreError::Internal("not yet".to_owned()))
}
