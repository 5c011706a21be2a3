//! Report mail from accounts elsewhere: IMAP and POP3, with password or OAuth 2.0.
//!
//! [`pass()`] looks through a mailbox once, [`watch`](fn@watch) again and again. Messages go to a [`Keeper`], which
//! says when each is durable; how far a folder was read is noted in the transaction that keeps the message, so
//! that a connection or a process that ends at any point loses nothing: at worst a message is asked for again, and
//! the store knows the same bytes. Nothing is deleted or flagged, unless messages are to be moved.
//!
//! Memory: one message, or one batch of small ones. Every wait, line and answer is bounded. Known gaps: no
//! COMPRESS, CONDSTORE or QRESYNC; a server without UIDPLUS keeps moved messages marked as deleted.
//!
//! Standards: RFC 3501 and RFC 9051 (IMAP), RFC 2177 (IDLE), RFC 4315 (UIDPLUS), RFC 6851 (MOVE), RFC 4959
//! (SASL-IR), RFC 1939 (POP3), RFC 2595 (STLS), RFC 7628 (OAUTHBEARER), RFC 8314 (implicit TLS).

pub mod fault;
pub mod keeper;
pub mod oauth;
pub mod options;
pub mod pass;
pub mod state;
pub mod watch;

mod imap;
mod pop3;
mod wire;

pub use fault::Fault;
pub use keeper::{KeepError, Keeper, Kept, Receipt};
pub use options::{After, Credentials, MailboxKind, MailboxOptions, MailboxTls, Timeouts};
pub use pass::{FolderPass, FolderView, Pass, inspect, pass};
pub use state::{FolderKey, FolderState, Mark, Note, OpenMessage, Step};
pub use watch::{Credential, watch};
