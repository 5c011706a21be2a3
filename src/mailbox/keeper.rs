//! Who keeps the messages: the daemon, over the store.

use std::future::Future;

use tokio::sync::oneshot;

use super::state::{FolderKey, FolderState, Mark, Note};

/// What became of a message that is durable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Read.
    Read,
    /// Its bytes or its reports were there already.
    Duplicate,
    /// It could not be read; it is kept with the reason.
    Unread,
    /// Ordinary mail.
    Other,
}

/// Why a message could not be kept, or a note not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct KeepError {
    /// True if the store as a whole is in trouble: later the same message may be kept.
    pub is_temporary: bool,
    /// In words.
    pub text: String,
}

/// Says what became of one message, once that is committed.
pub type Receipt = oneshot::Receiver<Result<Kept, KeepError>>;

/// Keeps messages and what is remembered of folders.
pub trait Keeper: Send + Sync {
    /// What is remembered of a folder; the default for one never read.
    fn state(&self, key: &FolderKey) -> impl Future<Output = Result<FolderState, KeepError>> + Send;

    /// Notes something; resolves when it is durable.
    fn note(&self, key: &FolderKey, note: Note) -> impl Future<Output = Result<(), KeepError>> + Send;

    /// Reads a message and hands it to the store together with its mark.
    ///
    /// Resolves when it is queued, in the order of the calls; the receipt when it is committed.
    fn keep(&self, mark: Mark, bytes: Vec<u8>) -> impl Future<Output = Result<Receipt, KeepError>> + Send;
}
