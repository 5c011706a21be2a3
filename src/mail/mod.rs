//! One message and its envelope, in memory. Pure.

pub mod address;
pub mod envelope;
pub mod inbox;
pub mod message;

pub use address::{Address, DomainName, ReversePath};
pub use envelope::{Body, Envelope, Origin, TlsSession};
pub use inbox::{Inbox, MessageId, Purpose, Refusal};
