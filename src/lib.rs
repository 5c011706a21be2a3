//! Mailsonde: sight for people who run mail for a domain.
//!
//! The modules in the order in which a message meets them:
//!
//! * **receive**: [`smtp`] takes mail from the network and hands it to [`mail::Inbox`], [`mailbox`] fetches it from accounts elsewhere;
//! * **understand**: [`mail`], [`reports`], [`sources`], [`probe`] and [`classify`] turn bytes into facts, without I/O;
//! * **ask**: [`dns`] is the domain name system, its answers and their absence told apart;
//! * **prove**: [`authentication`] judges who sent a message, from what DNS answers;
//! * **keep**: [`store`] is the only place with SQL;
//! * **answer**: [`summary`] holds the rows of every answer, [`render`] prints them;
//! * **operate**: [`config`], [`daemon`] and [`cli`] wire it all together.
//!
//! ARCHITECTURE.md has the map and the rules; `tests/it/tidy.rs` checks who may import whom.

pub mod limits;

pub mod clock;

pub mod mail;

pub mod reports;

pub mod tls_client;

pub mod dns;

pub mod authentication;

pub mod sources;

pub mod dns_health;

pub mod probe;

pub mod classify;

pub mod summary;

pub mod smtp;

pub mod mailbox;

pub mod render;

pub mod store;

pub mod config;

pub mod daemon;

pub mod cli;
