//! The targets. Each takes any bytes and panics where a rule does not hold.

use std::net::IpAddr;

pub mod aggregate;
mod answers;
pub mod auth_results;
pub mod config;
pub mod delivery_status;
pub mod dkim;
pub mod dmarc;
pub mod escape;
pub mod failure;
pub mod health;
pub mod https_policy;
pub mod imap;
pub mod mail;
pub mod mbox;
pub mod mta_sts;
pub mod pop3;
pub mod proxy;
pub mod received;
pub mod smtp_session;
pub mod smtp_submit;
pub mod spf;
pub mod tar;
pub mod tls;
pub mod token;
pub mod unpack;
pub mod values;
pub mod zone;

/// A target: its name and its check.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const ALL: [Target; 26] = [
    ("aggregate", aggregate::check),
    ("auth_results", auth_results::check),
    ("config", config::check),
    ("delivery_status", delivery_status::check),
    ("dkim", dkim::check),
    ("dmarc", dmarc::check),
    ("escape", escape::check),
    ("failure", failure::check),
    ("health", health::check),
    ("https_policy", https_policy::check),
    ("imap", imap::check),
    ("mail", mail::check),
    ("mbox", mbox::check),
    ("mta_sts", mta_sts::check),
    ("pop3", pop3::check),
    ("proxy", proxy::check),
    ("received", received::check),
    ("smtp_session", smtp_session::check),
    ("smtp_submit", smtp_submit::check),
    ("spf", spf::check),
    ("tar", tar::check),
    ("tls", tls::check),
    ("token", token::check),
    ("unpack", unpack::check),
    ("values", values::check),
    ("zone", zone::check),
];

/// The time at which everything is read: 2026-03-03T01:06:40Z.
pub(crate) const NOW_SECONDS: i64 = 1_772_500_000;

/// A number that depends on all of `data` and is the same in every run (FNV-1a).
pub(crate) fn hash(data: &[u8]) -> u64 {
    data.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A place in `0..=length` that depends on `seed`.
pub(crate) fn place(seed: u64, length: usize) -> usize {
    usize::try_from(seed % (length as u64 + 1)).unwrap_or_default()
}

/// True if an address is as the readers give it: IPv4-mapped IPv6 is IPv4.
pub(crate) fn is_canonical(ip: IpAddr) -> bool {
    ip.to_canonical() == ip
}

/// Hands out bytes in pieces of another size at each call, as a network does.
pub(crate) struct Pieces<'a> {
    rest: &'a [u8],
    seed: u64,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, seed: hash(data) }
    }
}

impl std::io::Read for Pieces<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = match self.seed >> 60 {
            0..4 => 1,
            4..8 => 7,
            8..12 => 100,
            _ => usize::MAX,
        };
        let count = most.min(self.rest.len()).min(room.len());
        let (now, later) = self.rest.split_at(count);
        room[..count].copy_from_slice(now);
        self.rest = later;
        Ok(count)
    }
}
