//! What is remembered of a mailbox: how far each folder was read, and what is still to be done.

use super::arrival::NewArrival;
use crate::clock::Timestamp;

/// One folder of one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FolderKey {
    /// The account: `imap://user@host`, `pop3://user@host`.
    pub account: String,
    /// The folder's name; `INBOX` for POP3.
    pub folder: String,
}

/// What is to be done with a message, or was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It did not come; it is asked for again.
    Ask,
    /// It is no longer asked for: too large, or it never came.
    GivenUp,
    /// It is kept and read; it waits to be moved.
    MoveRead,
    /// It is kept and could not be read; it waits to be moved.
    MoveUnread,
    /// It is kept (POP3, which has no numbers that rise).
    Done,
    /// It was looked at and is none of ours (POP3).
    Passed,
}

impl Step {
    /// All steps.
    pub const ALL: [Self; 6] =
        [Self::Ask, Self::GivenUp, Self::MoveRead, Self::MoveUnread, Self::Done, Self::Passed];

    /// The word in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::GivenUp => "given-up",
            Self::MoveRead => "move-read",
            Self::MoveUnread => "move-unread",
            Self::Done => "done",
            Self::Passed => "passed",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == text)
    }
}

/// A message of which something is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMessage {
    /// UID in decimal digits, or UIDL.
    pub uid: String,
    /// What is to be done.
    pub step: Step,
    /// How often it was asked for in vain.
    pub tries: u32,
    /// Its size in bytes, if that was over the cap: when the cap is raised, it is asked for.
    pub size_bytes: Option<u64>,
    /// Why it did not come.
    pub reason: Option<String>,
}

/// How far a folder was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FolderState {
    /// UIDVALIDITY for which the numbers hold (RFC 3501 §2.3.1.1); 0: never read, and always with POP3.
    pub uid_validity: u32,
    /// Every message up to this UID is kept, gone, or stands in `open`.
    pub last_uid: u32,
    /// Messages of which something is remembered, in order of their UID.
    pub open: Vec<OpenMessage>,
    /// When a look that saw all of it began last.
    pub good_at: Option<Timestamp>,
}

/// What is noted in the transaction that keeps a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A message of IMAP.
    Imap {
        /// Its folder.
        key: FolderKey,
        /// UIDVALIDITY of the folder; if another one is remembered by now, nothing is noted.
        uid_validity: u32,
        /// The UID up to which the folder must have been read for this one to be the next; absent for a
        /// message that is asked for again. So a message whose keeping failed is never passed over.
        previous: Option<u32>,
        /// Its UID.
        uid: u32,
        /// True if it is to be moved.
        is_moved: bool,
    },
    /// A message of POP3.
    Pop3 {
        /// Its folder.
        key: FolderKey,
        /// Its UIDL.
        uidl: String,
    },
    /// A probe of ours that a watcher saw.
    Arrival(Box<NewArrival>),
    /// A message of which nothing need be noted: a look that finds it again knows its bytes.
    Nothing,
}

/// What is noted apart from messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The folder is read from its beginning: first time, or other UIDs.
    Begin {
        /// UIDVALIDITY from now on.
        uid_validity: u32,
    },
    /// A message did not come.
    Aside {
        /// As in [`Mark::Imap`]; absent if the folder is not read past it yet.
        previous: Option<u32>,
        /// UID or UIDL.
        uid: String,
        /// [`Step::Ask`] or [`Step::GivenUp`].
        step: Step,
        /// Its size in bytes, if that is over the cap.
        size_bytes: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Everything up to a UID is kept or gone.
    Advance {
        /// The folder must have been read so far.
        from: u32,
        /// To this UID.
        to: u32,
    },
    /// Nothing more is to be done with these: moved, or gone.
    Clear(Vec<String>),
    /// What was given up is asked for again.
    AskAgain,
    /// These were looked at and are none of ours (POP3).
    Passed(Vec<String>),
    /// The folder was looked through.
    Looked {
        /// When the look began.
        at: Timestamp,
        /// Why not whole; absent if it was.
        fault: Option<String>,
    },
}
