//! Record types and what their records hold.

use std::fmt::{self, Write as _};
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
    /// All types that are asked for.
    pub const ALL: [Self; 14] = [
        Self::A,
        Self::Aaaa,
        Self::Cname,
        Self::Mx,
        Self::Txt,
        Self::Spf,
        Self::Ns,
        Self::Soa,
        Self::Ptr,
        Self::Tlsa,
        Self::Caa,
        Self::Srv,
        Self::Dnskey,
        Self::Ds,
    ];

    /// Reads a mnemonic, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

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

impl fmt::Display for RecordType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The data as a zone file writes it (RFC 1035 §5.1; other data by RFC 3597 §5): printable ASCII only, one line.
impl fmt::Display for RecordData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(formatter, "{address}"),
            Self::Aaaa(address) => write!(formatter, "{address}"),
            Self::Cname(name) | Self::Ns(name) | Self::Ptr(name) => absolute(formatter, name),
            Self::Mx(mx) => {
                write!(formatter, "{} ", mx.preference)?;
                absolute(formatter, &mx.exchange)
            }
            Self::Txt(strings) => {
                for (at, string) in strings.iter().enumerate() {
                    if at > 0 {
                        formatter.write_char(' ')?;
                    }
                    quoted(formatter, string)?;
                }
                Ok(())
            }
            Self::Soa(soa) => {
                absolute(formatter, &soa.mname)?;
                formatter.write_char(' ')?;
                absolute(formatter, &soa.rname)?;
                let Soa { serial, refresh, retry, expire, minimum, .. } = soa;
                write!(formatter, " {serial} {refresh} {retry} {expire} {minimum}")
            }
            Self::Tlsa(tlsa) => {
                write!(formatter, "{} {} {} ", tlsa.usage, tlsa.selector, tlsa.matching)?;
                hex(formatter, &tlsa.data)
            }
            Self::Caa(caa) => {
                write!(formatter, "{} {} ", u8::from(caa.is_critical) * 128, caa.tag)?;
                quoted(formatter, &caa.value)
            }
            Self::Srv(srv) => {
                write!(formatter, "{} {} {} ", srv.priority, srv.weight, srv.port)?;
                absolute(formatter, &srv.target)
            }
            Self::Other(data) => {
                write!(formatter, "\\# {} ", data.len())?;
                hex(formatter, data)
            }
        }
    }
}

/// A name with its final dot.
fn absolute(formatter: &mut fmt::Formatter<'_>, name: &Name) -> fmt::Result {
    for character in name.as_str().chars() {
        // Letters of names that have a meaning in zone files (RFC 1035 §5.1).
        if matches!(character, '"' | '(' | ')' | ';' | '@' | '$') {
            formatter.write_char('\\')?;
        }
        formatter.write_char(character)?;
    }
    formatter.write_char('.')
}

/// Octets as a quoted string.
fn quoted(formatter: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    formatter.write_char('"')?;
    for &octet in octets {
        match octet {
            b'"' | b'\\' => write!(formatter, "\\{}", char::from(octet))?,
            b' '..=b'~' => formatter.write_char(char::from(octet))?,
            _ => write!(formatter, "\\{octet:03}")?,
        }
    }
    formatter.write_char('"')
}

/// Octets in hexadecimal.
fn hex(formatter: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(formatter, "{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_written_as_in_zone_files() {
        let name = |text| Name::from_dotted(text).unwrap();
        let mx = Mx { preference: 10, exchange: name("mx.example") };
        let tlsa = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0xab, 0x01] };
        let caa = Caa { is_critical: true, tag: "issue".to_owned(), value: b";".to_vec() };
        for (data, text) in [
            (RecordData::Mx(mx), "10 mx.example."),
            (RecordData::Mx(Mx { preference: 0, exchange: Name::root() }), "0 ."),
            (RecordData::Ns(name("a;(b)@$.\"c\\d")), r#"a\;\(b\)\@\$.\"c\\d."#),
            (
                RecordData::Txt(vec![b"a \"\\".to_vec(), vec![0, 0xe9], Vec::new()]),
                r#""a \"\\" "\000\233" """#,
            ),
            (RecordData::Tlsa(tlsa), "3 1 1 ab01"),
            (RecordData::Caa(caa), "128 issue \";\""),
            (RecordData::Other(vec![1, 255]), "\\# 2 01ff"),
        ] {
            assert_eq!(data.to_string(), text);
        }
    }
}
