//! Networks, and exact sets of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of one family, with the address as published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// An address in it.
    pub address: IpAddr,
    /// Leading bits that all its addresses share: 0 to 32, or 0 to 128.
    pub prefix: u8,
}

impl Network {
    /// The first and the last address, as numbers.
    pub fn range(self) -> (u128, u128) {
        let (number, bits) = match self.address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let host_bits = u32::from(bits - self.prefix.min(bits));
        let hosts = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        (number & !hosts, number | hosts)
    }

    /// True if the addresses are those of IPv4.
    pub const fn is_four(self) -> bool {
        self.address.is_ipv4()
    }

    /// True if every address of `other` is in this network.
    pub fn contains(self, other: Self) -> bool {
        let ((first, last), (other_first, other_last)) = (self.range(), other.range());
        self.is_four() == other.is_four() && first <= other_first && other_last <= last
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.is_four() { 32 } else { 128 };
        write!(f, "{}", self.address)?;
        if self.prefix == whole { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// A set of numbers: ranges in order, apart from each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// The set of these ranges, however they overlap.
    pub fn of(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                // Neighbors become one.
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// What is in either set.
    pub fn union(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied())
    }

    /// What is in this set and not in the other.
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut cuts = other.0.iter().peekable();
        for &(first, last) in &self.0 {
            let mut from = Some(first);
            while let Some(&&(cut_first, cut_last)) = cuts.peek() {
                let Some(start) = from.filter(|_| cut_first <= last) else { break };
                if cut_last >= start {
                    if cut_first > start {
                        left.push((start, cut_first - 1));
                    }
                    from = cut_last.checked_add(1).filter(|next| *next <= last);
                }
                if cut_last > last {
                    break;
                }
                cuts.next();
            }
            left.extend(from.map(|start| (start, last)));
        }
        Self(left)
    }

    /// How many numbers are in it; saturates.
    pub fn count(&self) -> u128 {
        self.0.iter().fold(0, |sum, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// True if nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges in order.
    pub fn ranges(&self) -> &[(u128, u128)] {
        &self.0
    }
}

/// Addresses of both families.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// IPv4 addresses as numbers below 2^32.
    pub four: Ranges,
    /// IPv6 addresses as numbers.
    pub six: Ranges,
}

impl Addresses {
    /// Every address.
    pub fn everything() -> Self {
        let whole = |address| Network { address, prefix: 0 };
        Self::of([whole(Ipv4Addr::UNSPECIFIED.into()), whole(Ipv6Addr::UNSPECIFIED.into())])
    }

    /// The addresses of networks.
    pub fn of(networks: impl IntoIterator<Item = Network>) -> Self {
        let (four, six): (Vec<_>, Vec<_>) = networks.into_iter().partition(|network| network.is_four());
        Self {
            four: Ranges::of(four.into_iter().map(Network::range)),
            six: Ranges::of(six.into_iter().map(Network::range)),
        }
    }

    /// What is in either.
    pub fn union(&self, other: &Self) -> Self {
        Self { four: self.four.union(&other.four), six: self.six.union(&other.six) }
    }

    /// What is in this one alone.
    pub fn without(&self, other: &Self) -> Self {
        Self { four: self.four.without(&other.four), six: self.six.without(&other.six) }
    }

    /// True if an address is in it; an IPv4 address mapped into IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ranges, number) = match address.to_canonical() {
            IpAddr::V4(address) => (self.four.ranges(), u128::from(u32::from(address))),
            IpAddr::V6(address) => (self.six.ranges(), u128::from(address)),
        };
        ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// How many IPv4 addresses there are.
    pub fn four_count(&self) -> u64 {
        u64::try_from(self.four.count()).unwrap_or(u64::MAX)
    }

    /// True if every IPv4 address is in it.
    pub fn is_all_of_four(&self) -> bool {
        self.four.count() > u128::from(u32::MAX)
    }

    /// True if every IPv6 address is in it.
    pub fn is_all_of_six(&self) -> bool {
        self.six.ranges() == [(0, u128::MAX)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network as written.
    fn network(text: &str) -> Network {
        let (address, prefix) = text.split_once('/').unwrap();
        Network { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn networks_and_their_sets() {
        let set = |texts: &[&str]| Addresses::of(texts.iter().map(|text| network(text)));
        assert_eq!(set(&["0.0.0.0/1", "128.0.0.0/1"]).four_count(), 1 << 32);
        assert!(set(&["0.0.0.0/1", "128.0.0.0/1"]).is_all_of_four());
        assert!(set(&["::/1", "8000::/1"]).is_all_of_six() && !set(&["::/1"]).is_all_of_six());
        assert_eq!(set(&["192.0.2.0/24", "192.0.2.128/25", "192.0.3.0/24"]).four.ranges().len(), 1);
        assert_eq!(set(&["192.0.2.77/24"]).four_count(), 256);
        let left = set(&["192.0.2.0/24"]).without(&set(&["192.0.2.0/32", "192.0.2.64/26", "192.0.2.255/32"]));
        assert_eq!((left.four_count(), left.four.ranges().len()), (256 - 66, 2));
        let sets = set(&["192.0.2.0/24", "2001:db8::/32"]);
        for (address, is_in) in [
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::ffff:192.0.2.1", true),
        ] {
            assert_eq!(sets.contains(address.parse().unwrap()), is_in, "{address}");
        }
        let whole = Addresses::everything();
        assert_eq!(whole.without(&whole), Addresses::default());
        assert_eq!(whole.without(&set(&["::/1"])).six.ranges().len(), 1);
        assert!(network("192.0.2.0/24").contains(network("192.0.2.77/32")));
        assert!(!network("0.0.0.0/0").contains(network("::/0")));
        assert_eq!(network("192.0.2.1/32").to_string(), "192.0.2.1");
        assert_eq!(network("2001:db8::/32").to_string(), "2001:db8::/32");
    }

    #[test]
    fn sets_are_those_of_single_numbers() {
        // Every pair of sets of ranges below eight, against sets of numbers.
        let sets: Vec<Vec<u128>> =
            (0_u32..256).map(|bits| (0..8_u128).filter(|at| bits >> at & 1 == 1).collect()).collect();
        let of = |numbers: &[u128]| Ranges::of(numbers.iter().map(|number| (*number, *number)));
        for one in &sets {
            for other in sets.iter().step_by(7) {
                let without: Vec<u128> = one.iter().copied().filter(|n| !other.contains(n)).collect();
                assert_eq!(of(one).without(&of(other)), of(&without), "{one:?} {other:?}");
                let both: Vec<u128> = (0..8).filter(|n| one.contains(n) || other.contains(n)).collect();
                assert_eq!(of(one).union(&of(other)), of(&both));
            }
        }
    }
}
