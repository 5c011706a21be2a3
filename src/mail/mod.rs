//! One message and its envelope, in memory. Pure.

pub mod address;
pub mod cms;
pub mod envelope;
mod header;
pub mod inbox;
pub mod message;
pub mod transfer;

pub use address::{Address, DomainName, ReversePath};
pub use envelope::{Body, Envelope, Origin, TlsSession};
pub use inbox::{Inbox, MessageId, Purpose, Refusal};
pub use message::{Header, Message, Part, Standing};
