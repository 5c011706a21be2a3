//! Record types and what their records hold.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Name;

/// A record type that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Alias.
    Cname,
    /// Mail exchanger.
    Mx,
    /// Text.
    Txt,
    /// The SPF type of old (RFC 7208 §3.1 gave it up).
    Spf,
    /// Name server.
    Ns,
    /// Start of authority.
    Soa,
    /// Name of an address.
    Ptr,
    /// Certificate association (RFC 6698).
    Tlsa,
    /// Certificate authorities allowed (RFC 8659).
    Caa,
    /// Service location (RFC 2782).
    Srv,
    /// Key of a signed zone.
    Dnskey,
    /// Link from the parent to the key of a signed zone.
    Ds,
}

impl RecordType {
    /// The mnemonic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Spf => "SPF",
            Self::Ns => "NS",
            Self::Soa => "SOA",
            Self::Ptr => "PTR",
            Self::Tlsa => "TLSA",
            Self::Caa => "CAA",
            Self::Srv => "SRV",
            Self::Dnskey => "DNSKEY",
            Self::Ds => "DS",
        }
    }
}

/// What one record holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Alias: the target.
    Cname(Name),
    /// Mail exchanger.
    Mx(Mx),
    /// Text, also of the type SPF: the strings as octets, in order. Their borders matter to health checks.
    Txt(Vec<Vec<u8>>),
    /// Name server.
    Ns(Name),
    /// Start of authority.
    Soa(Soa),
    /// Name of an address.
    Ptr(Name),
    /// Certificate association.
    Tlsa(Tlsa),
    /// Certificate authorities allowed.
    Caa(Caa),
    /// Service location.
    Srv(Srv),
    /// Anything else: its data as octets.
    Other(Vec<u8>),
}

impl RecordData {
    /// The strings of a text record joined without anything between (RFC 7208 §3.3, RFC 6376 §3.6.2.2).
    pub fn text(&self) -> Option<Vec<u8>> {
        match self {
            Self::Txt(strings) => Some(strings.concat()),
            _ => None,
        }
    }
}

/// A mail exchanger (RFC 1035 §3.3.9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mx {
    /// Lower is preferred.
    pub preference: u16,
    /// The host; the root in a null MX (RFC 7505).
    pub exchange: Name,
}

/// The start of authority (RFC 1035 §3.3.13).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Soa {
    /// Primary name server.
    pub mname: Name,
    /// Mailbox of the person in charge, written as a name.
    pub rname: Name,
    /// Version of the zone.
    pub serial: u32,
    /// Seconds between checks by secondaries.
    pub refresh: u32,
    /// Seconds between their retries.
    pub retry: u32,
    /// Seconds after which they give up the zone.
    pub expire: u32,
    /// Seconds for which the absence of records may be remembered (RFC 2308 §4).
    pub minimum: u32,
}

/// A certificate association (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tlsa {
    /// 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE.
    pub usage: u8,
    /// 0 whole certificate, 1 its public key.
    pub selector: u8,
    /// 0 as it is, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// The association's data.
    pub data: Vec<u8>,
}

/// One property of a CAA set (RFC 8659 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caa {
    /// True if an authority that does not know the tag must refuse.
    pub is_critical: bool,
    /// `issue`, `issuewild`, `iodef`, `issuemail` …, in lower case.
    pub tag: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// The place of a service (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Srv {
    /// Lower is preferred.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// TCP or UDP port.
    pub port: u16,
    /// The host; the root where the service is not offered.
    pub target: Name,
}
