//! How much each client has open and has sent in the last minute.
//!
//! A client is an IPv4 address or an IPv6 /64. A minute begins with the first event in it, so a client may
//! reach twice its number in the worst minute; the table is capped and forgets who has nothing open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Instant;

/// Length of one counting period.
const MINUTE: Duration = Duration::from_secs(60);

/// A range of addresses, `192.0.2.0/24` or `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `address` or `address/prefix`.
    ///
    /// Errors: `None` for a malformed address and a prefix that is longer than the address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix =
            prefix.filter(|prefix| *prefix <= bits).or_else(|| (!text.contains('/')).then_some(bits))?;
        // An IPv4 network in the form of IPv6 is the IPv4 network, as with addresses.
        Some(match address {
            IpAddr::V6(ip) if prefix >= 96 && ip.to_ipv4_mapped().is_some() => {
                Self { address: address.to_canonical(), prefix: prefix - 96 }
            }
            _ => Self { address, prefix },
        })
    }

    /// True if `ip`, in canonical form, lies within.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// What is counted as one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// An IPv4 address.
    V4(u32),
    /// The upper half of an IPv6 address.
    V6(u64),
}

impl Client {
    /// The client behind a canonical address.
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                let upper = [a, b, c, d].iter().fold(0, |upper, part| upper << 16 | u64::from(*part));
                Self::V6(upper)
            }
        }
    }
}

/// What one client may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Sessions open at once.
    pub(super) open: usize,
    /// Sessions begun in a minute.
    pub(super) sessions: usize,
    /// Messages kept in a minute.
    pub(super) messages: usize,
    /// Clients remembered.
    pub(super) clients: usize,
}

/// Why a session of a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// Too many open.
    Open,
    /// Too many begun in a minute.
    Rate,
}

/// The table of clients.
#[derive(Debug)]
pub(super) struct Clients {
    allowance: Allowance,
    table: Mutex<HashMap<Client, Entry>>,
}

/// One client.
#[derive(Debug, Clone, Copy)]
struct Entry {
    open: usize,
    minute: Instant,
    sessions: usize,
    messages: usize,
}

impl Entry {
    /// Begins a new minute if the old one is over.
    fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.minute) >= MINUTE {
            (self.minute, self.sessions, self.messages) = (now, 0, 0);
        }
    }
}

impl Clients {
    /// An empty table.
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, table: Mutex::default() }
    }

    /// Counts a new session of `client`, or says why it may not have one.
    pub(super) fn open(&self, client: Client, now: Instant) -> Result<(), Excess> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= self.allowance.clients && !table.contains_key(&client) {
            table.retain(|_, entry| entry.open > 0 || now.saturating_duration_since(entry.minute) < MINUTE);
            if table.len() >= self.allowance.clients {
                // So many addresses in one minute: the rate of those without a session is forgotten.
                table.retain(|_, entry| entry.open > 0);
            }
        }
        let entry = table.entry(client).or_insert(Entry { open: 0, minute: now, sessions: 0, messages: 0 });
        entry.turn(now);
        if entry.open >= self.allowance.open {
            return Err(Excess::Open);
        }
        if entry.sessions >= self.allowance.sessions {
            return Err(Excess::Rate);
        }
        entry.open += 1;
        entry.sessions += 1;
        Ok(())
    }

    /// Takes one session of `client` away.
    pub(super) fn close(&self, client: Client) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.get_mut(&client) {
            entry.open = entry.open.saturating_sub(1);
        }
    }

    /// True if `client` may bring one more message in this minute.
    pub(super) fn may_send(&self, client: Client, now: Instant) -> bool {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = table.get_mut(&client) else { return true };
        entry.turn(now);
        entry.messages < self.allowance.messages
    }

    /// Counts a message of `client`.
    pub(super) fn sent(&self, client: Client, now: Instant) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.get_mut(&client) {
            entry.turn(now);
            entry.messages += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
        Client::of(text.parse().unwrap())
    }

    #[test]
    fn networks() {
        let cases = [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.3.9", false),
        ];
        for (network, ip, want) in cases {
            assert_eq!(
                Network::parse(network).unwrap().contains(ip.parse().unwrap()),
                want,
                "{network} {ip}"
            );
        }
        for text in ["", "192.0.2.0/33", "x/8", "::1/129", "192.0.2.0/-1"] {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_v6_network_is_one_client() {
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[test]
    fn at_the_limit_and_one_more() {
        let clients = Clients::new(Allowance { open: 2, sessions: 3, messages: 2, clients: 2 });
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        let start = crate::clock::instant();
        assert_eq!(clients.open(one, start), Ok(()));
        assert_eq!(clients.open(one, start), Ok(()));
        assert_eq!(clients.open(one, start), Err(Excess::Open));
        assert_eq!(clients.open(other, start), Ok(()), "others are not touched");
        clients.close(one);
        assert_eq!(clients.open(one, start), Ok(()));
        clients.close(one);
        assert_eq!(clients.open(one, start), Err(Excess::Rate));
        assert!(clients.may_send(one, start));
        clients.sent(one, start);
        clients.sent(one, start);
        assert!(!clients.may_send(one, start));
        let later = start + MINUTE;
        assert!(clients.may_send(one, later));
        assert_eq!(clients.open(one, later), Ok(()));
        // The table is full of clients with open sessions: they are kept, a new one is still served.
        let third = client("192.0.2.3");
        assert_eq!(clients.open(third, later), Ok(()));
        assert_eq!(clients.open(one, later), Err(Excess::Open));
    }

    #[test]
    fn the_table_stays_small() {
        let clients = Clients::new(Allowance { open: 1, sessions: 1, messages: 1, clients: 10 });
        let start = crate::clock::instant();
        for number in 0..1_000 {
            let client = Client::V4(number);
            assert_eq!(clients.open(client, start), Ok(()));
            clients.close(client);
        }
        assert!(clients.table.lock().unwrap().len() <= 11);
    }
}
