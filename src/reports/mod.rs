//! What other operators report about us: finding, unpacking and reading it. Pure.

pub mod aggregate;
pub mod deviation;
pub mod digest;
pub mod extract;
pub mod unpack;

pub use deviation::{Deviation, Deviations};
pub use unpack::{Unreadable, UnreadableKind};
