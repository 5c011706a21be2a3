//! What can be proven about who sent a message: one folder or file a standard, each verdict with its evidence.
//!
//! Verdicts are values: a failure, a temporary error, a missing record are results like any other. What is
//! asked of DNS goes through [`crate::dns::Answers`], so that a judgement can be repeated and tested.

pub mod arc;
pub mod dkim;
pub mod dmarc;
pub mod evidence;
pub mod from_header;
pub mod key;
pub mod results;
pub mod reverse;
pub mod spf;
pub mod trust;
pub mod verify;
