//! The IMAP client: what is needed to read folders, and to move what was read.
//!
//! `response` takes apart what the server sends, `session` gives commands, `folder` reads one folder;
//! `search` asks which folders and messages there are, `own` finds our own messages with it.

pub(super) mod folder;
pub(super) mod own;
mod response;
mod search;
pub(super) mod session;
mod utf7;
