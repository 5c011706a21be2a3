//! What a watcher asks of a mailbox, whatever it is: a server or a folder of this machine.

use std::future::Future;

use super::fault::Fault;
use super::pass::FolderPass;
use super::state::FolderState;
use crate::clock::Timestamp;

/// A message that may be ours, with its whole header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// UID in decimal digits, or the file's name without its flags.
    pub(super) uid: String,
    /// Its header.
    pub(super) header: Vec<u8>,
    /// Its size, bytes, if that is said.
    pub(super) size: Option<u64>,
    /// When the server says that it came.
    pub(super) internal_at: Option<Timestamp>,
    /// What Gmail calls it.
    pub(super) gmail_id: Option<String>,
}

/// A part of what is new in a folder.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Messages that may be ours.
    pub(super) items: Vec<Item>,
    /// Everything up to this UID was looked at; absent where nothing is numbered.
    pub(super) read_to: Option<u32>,
    /// True if there is more.
    pub(super) is_more: bool,
}

/// A folder that was opened for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    /// UIDVALIDITY; 1 where nothing is numbered.
    pub(super) uid_validity: u32,
    /// UIDNEXT, if it is said.
    pub(super) uid_next: Option<u32>,
    /// Messages in it.
    pub(super) exists: u32,
}

/// A mailbox as a watcher sees it. Nothing in it is ever changed.
pub(super) trait Shelf: Send {
    /// Opens a folder. Errors: [`Fault::Refused`] where there is none.
    fn open(&mut self, folder: &str) -> impl Future<Output = Result<Open, Fault>> + Send;

    /// The next part of what is new in the open folder.
    fn fresh(
        &mut self,
        state: &FolderState,
        found: &mut FolderPass,
    ) -> impl Future<Output = Result<Fresh, Fault>> + Send;

    /// The first bytes of a message of the open folder; `None` if it is gone.
    fn beginning(
        &mut self,
        item: &Item,
        bytes: u64,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, Fault>> + Send;

    /// A message of the open folder; `None` if it is gone.
    fn whole(&mut self, item: &Item) -> impl Future<Output = Result<Option<Vec<u8>>, Fault>> + Send;

    /// A message could not be kept: the next look must see it again.
    fn again(&mut self, item: &Item);

    /// Those of some messages that stand in a folder, which is opened.
    fn still(
        &mut self,
        folder: &str,
        uids: &[String],
    ) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;
}
