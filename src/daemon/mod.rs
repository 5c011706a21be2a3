//! The wiring: receiver, reader, sender and store in one process.

pub mod demo;
pub mod dns;
pub mod dns_checks;
pub mod dns_means;
pub mod eyes;
pub mod inbox;
pub mod ingest;
pub mod keys;
pub mod mailbox;
pub mod mailbox_own;
pub mod manners;
pub mod options;
pub mod privileges;
pub mod probe;
pub mod probe_parts;
pub mod recipients;
pub mod reflect;
pub mod serve;
pub mod source_names;
pub mod upkeep;
pub mod verify;
pub mod watched;
