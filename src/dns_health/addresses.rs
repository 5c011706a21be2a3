//! Addresses that no public mail server can have (RFC 6890 and the registries that it began).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not on the public network, with what they are for.
const FOUR: [(Ipv4Addr, u8, &str); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays of old"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
    (Ipv4Addr::BROADCAST, 32, "broadcast"),
    // Inside the link-local network, and named apart since it is the one that is abused.
    (Ipv4Addr::new(169, 254, 169, 254), 32, "metadata of a cloud"),
];

/// The same of IPv6.
const SIX: [(Ipv6Addr, u8, &str); 14] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "local translation"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discard only"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (Ipv6Addr::new(0x2001, 0x2, 0, 0, 0, 0, 0, 0), 48, "benchmarks"),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, "ORCHID of old"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local of old"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// What an address is for, if it is not on the public network; the narrowest network that holds it.
///
/// An IPv4 address within IPv6 (RFC 4291 §2.5.5.2, RFC 6052 §2.1) is what the IPv4 address is.
pub fn special_use(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => four(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => four(inner),
            None => six(address),
        },
    }
}

/// Which addresses may be connected to on the word of somebody's DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those on the public network only.
    Public,
    /// All: for hosts of our own in `setup --verify` and of our own domains' MX records, and for tests on loopback.
    Any,
}

impl Reach {
    /// True if the address may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        self == Self::Any || special_use(address).is_none()
    }
}

/// The IPv4 address that is written inside an IPv6 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(inner) = address.to_ipv4_mapped() {
        return Some(inner);
    }
    let bits = address.to_bits();
    let well_known = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).to_bits();
    if bits >> 32 == well_known >> 32 {
        return u32::try_from(bits & 0xffff_ffff).ok().map(Ipv4Addr::from_bits);
    }
    None
}

/// The narrowest special network of an IPv4 address.
fn four(address: Ipv4Addr) -> Option<&'static str> {
    let holds = |network: &Ipv4Addr, length: u8| {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        address.to_bits() & mask == network.to_bits() & mask
    };
    let held = FOUR.iter().filter(|(network, length, _)| holds(network, *length));
    held.max_by_key(|(_, length, _)| *length).map(|(_, _, what)| *what)
}

/// The narrowest special network of an IPv6 address.
fn six(address: Ipv6Addr) -> Option<&'static str> {
    let holds = |network: &Ipv6Addr, length: u8| {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        address.to_bits() & mask == network.to_bits() & mask
    };
    let held = SIX.iter().filter(|(network, length, _)| holds(network, *length));
    held.max_by_key(|(_, length, _)| *length).map(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        for (address, want) in [
            ("10.1.2.3", Some("private")),
            ("172.31.255.255", Some("private")),
            ("172.32.0.0", None),
            ("169.254.169.254", Some("metadata of a cloud")),
            ("169.254.1.1", Some("link-local")),
            ("127.0.0.1", Some("loopback")),
            ("0.0.0.0", Some("this network")),
            ("203.0.113.9", Some("documentation")),
            ("255.255.255.255", Some("broadcast")),
            ("8.8.8.8", None),
            ("::1", Some("loopback")),
            ("fd00::1", Some("unique local")),
            ("fe80::1", Some("link-local")),
            ("2001:db8::1", Some("documentation")),
            ("2001:4860:4860::8888", None),
            ("::ffff:10.0.0.1", Some("private")),
            ("::ffff:8.8.8.8", None),
            ("64:ff9b::7f00:1", Some("loopback")),
            ("64:ff9b::808:808", None),
        ] {
            assert_eq!(special_use(address.parse().unwrap()), want, "{address}");
        }
    }
}
