//! What other operators report about us: finding, unpacking and reading it. Pure.

pub mod address_text;
pub mod aggregate;
pub mod deviation;
pub mod digest;
pub mod extract;
pub mod failure;
mod inflate;
mod open_words;
pub mod quirk;
pub mod search;
pub mod sniff;
pub mod stated_time;
pub mod tls;
pub mod unpack;

pub use deviation::{Deviation, Deviations};
pub use unpack::{Budget, Unreadable, UnreadableKind};
