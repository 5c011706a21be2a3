//! Health of a domain's mail DNS: what is published, what is wrong with it, how it changed. Pure but for gathering.
//!
//! [`report::judge`] runs every check of [`catalogue::GROUPS`] over the answers known so far and says which
//! questions it lacks; [`gather`] asks these and whoever else has to be asked (the server of an MTA-STS policy,
//! each MX, each name server), and the checks are run again until nothing is missing.
//!
//! To add a check: a file with `codes!` and one pure function, a row in [`catalogue::GROUPS`].

pub mod addresses;
pub mod amend;
pub mod bimi;
pub mod blocklists;
pub mod caa;
pub mod catalogue;
pub mod class;
pub mod dane;
pub mod dkim;
pub mod dkim_seen;
pub mod dmarc;
pub mod dmarc_reported;
pub mod facts;
pub mod finding;
pub mod gather;
pub mod history;
pub mod hosts;
pub mod look_ups;
pub mod mta_sts;
pub mod mx;
pub mod names;
pub mod parked;
pub mod report;
pub mod reported;
#[cfg(test)]
mod sample;
pub mod setup;
pub mod spf;
pub mod spf_reported;
pub mod tls_rpt;
pub mod transport;
pub mod zone;
