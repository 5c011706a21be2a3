//! Accounts elsewhere: report mail by IMAP and POP3, and our own messages in mailboxes of others.
//!
//! [`pass()`] looks through a mailbox once, [`watch`](fn@watch) again and again. Messages go to a [`Keeper`], which
//! says when each is durable; how far a folder was read is noted in the transaction that keeps the message, so
//! that a connection or a process that ends at any point loses nothing: at worst a message is asked for again, and
//! the store knows the same bytes. Nothing is deleted or flagged, unless messages are to be moved.
//!
//! [`watch_own`] looks for our own messages only: probes that arrived, with where they stand, by IMAP or in a Maildir;
//! bounces and answers in the sending account's own mailbox. Nothing else is fetched whole, kept or changed.
//!
//! Memory: one message, or one batch of small ones. Every wait, line and answer is bounded. Known gaps: no
//! COMPRESS, CONDSTORE or QRESYNC; a server without UIDPLUS keeps moved messages marked as deleted.
//!
//! Standards: RFC 3501 and RFC 9051 (IMAP), RFC 2177 (IDLE), RFC 4315 (UIDPLUS), RFC 6851 (MOVE), RFC 4959
//! (SASL-IR), RFC 6154 (SPECIAL-USE), RFC 1939 (POP3), RFC 2595 (STLS), RFC 7628 (OAUTHBEARER), RFC 8314 (implicit TLS).

pub mod arrival;
pub mod fault;
pub mod follow;
pub mod keeper;
pub mod look;
pub mod oauth;
pub mod options;
pub mod pass;
pub mod state;
pub mod watch;

mod imap;
mod judge;
mod maildir;
mod pop3;
mod shelf;
mod spam;
mod wire;

pub use arrival::{ArrivalKeeper, ArrivalKey, Checked, Due, Found, Look, NewArrival, Stand};
pub use fault::Fault;
pub use follow::{look_once, watch_own};
pub use keeper::{KeepError, Keeper, Kept, Receipt};
pub use look::WatchedFolder;
pub use options::{
    After, Aim, Credentials, MailboxKind, MailboxOptions, MailboxTls, Source, SpamFolder, Timeouts,
    WatchOptions,
};
pub use pass::{FolderPass, FolderView, Pass, inspect, inspect_own, pass};
pub use spam::SpamBy;
pub use state::{FolderKey, FolderState, Mark, Note, OpenMessage, Step};
pub use watch::{Credential, watch};
