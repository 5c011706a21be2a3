//! The IMAP client: what is needed to read folders, and to move what was read.
//!
//! `response` takes apart what the server sends, `session` gives commands, `folder` reads one folder.

pub(super) mod folder;
mod response;
pub(super) mod session;
mod utf7;
