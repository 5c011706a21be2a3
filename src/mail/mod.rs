//! One message and its envelope, in memory. Pure.

pub mod address;
pub mod auth_results;
pub mod cms;
pub mod delivery_status;
pub mod envelope;
mod header;
pub mod inbox;
pub mod message;
pub mod received;
pub mod status_code;
pub mod transfer;
pub mod visible;

pub use address::{Address, DomainName, ReversePath};
pub use auth_results::{AuthResults, MethodResult};
pub use envelope::{Body, Envelope, Origin, PeerSource, TlsSession};
pub use header::decode_words;
pub use inbox::{Inbox, MessageId, Purpose, Refusal};
pub use message::{Header, Message, Part, Standing};
