//! Who a source is: from what is known of its address to an organisation and a kind, with the evidence. Pure.
//!
//! What is known comes from the records of reports (domains that pass, override reasons) and, where somebody
//! asked, from DNS and the dialogue. Without DNS everything works: the passing domains name the organisation.
//! The names of senders are a table of ours ([`Senders`]), over which a file of the user's stands.

pub mod judge;
pub mod places;
pub mod senders;

pub use judge::{Clues, Domain, Identity, identify};
pub use places::{Place, Places, PlacesFault, Question};
pub use senders::{Kind, Senders, SendersFault};
