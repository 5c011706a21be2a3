//! Master files (RFC 1035 §5): from text to records.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::type_number;
use crate::dns::{Caa, Mx, Name, RecordData, RecordType, Soa, Srv, Tlsa};

/// The TTL where nothing says one, seconds.
const DEFAULT_TTL: u32 = 3_600;

/// Something in a zone file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ZoneFault {
    /// The line, from 1.
    pub line: usize,
    /// The field as it stands there; empty if one is missing.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ZoneFault {
    /// `line 3, field "x": not an IPv4 address`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(formatter, "line {}: {}", self.line, self.reason)
        } else {
            write!(formatter, "line {}, field {:?}: {}", self.line, self.field, self.reason)
        }
    }
}

/// One record of a file.
pub(super) struct Record {
    /// Whose.
    pub owner: Name,
    /// The type's number.
    pub number: u16,
    /// Seconds.
    pub ttl: u32,
    /// What it holds.
    pub data: RecordData,
}

/// One field.
#[derive(Debug, Clone)]
struct Field {
    /// As it stands, with escapes, without quotes.
    raw: String,
    /// True if it stood in quotes.
    is_quoted: bool,
    /// Its line, from 1.
    line: usize,
}

impl Field {
    /// A fault of this field.
    fn fault(&self, reason: impl Into<String>) -> ZoneFault {
        ZoneFault { line: self.line, field: self.raw.clone(), reason: reason.into() }
    }

    /// A number and the like.
    fn read<T: FromStr>(&self, what: &str) -> Result<T, ZoneFault> {
        self.raw.parse().map_err(|_| self.fault(format!("not {what}")))
    }

    /// The octets of a character string, escapes resolved.
    fn octets(&self) -> Result<Vec<u8>, ZoneFault> {
        let pieces = pieces(&self.raw).map_err(|reason| self.fault(reason))?;
        Ok(pieces.into_iter().map(|(octet, _)| octet).collect())
    }

    /// One character string of at most 255 octets.
    fn string(&self) -> Result<Vec<u8>, ZoneFault> {
        let octets = self.octets()?;
        if octets.len() > 255 {
            return Err(self.fault(format!("a string of {} octets; at most 255 fit", octets.len())));
        }
        Ok(octets)
    }

    /// A name, relative to the origin if no dot ends it.
    fn name(&self, origin: &Name) -> Result<Name, ZoneFault> {
        if self.raw == "@" && !self.is_quoted {
            return Ok(origin.clone());
        }
        if self.raw == "." {
            return Ok(Name::root());
        }
        let mut labels = vec![Vec::new()];
        for (octet, is_escaped) in pieces(&self.raw).map_err(|reason| self.fault(reason))? {
            if octet == b'.' && !is_escaped {
                labels.push(Vec::new());
            } else if let Some(label) = labels.last_mut() {
                label.push(octet);
            }
        }
        if labels.last().is_some_and(Vec::is_empty) {
            labels.pop();
        } else {
            labels.extend(origin.wire_labels());
        }
        Name::from_labels(labels.iter().map(Vec::as_slice)).map_err(|error| self.fault(error.to_string()))
    }
}

/// Octets of a field, each with whether it was escaped (RFC 1035 §5.1: `\X` and `\DDD`).
fn pieces(raw: &str) -> Result<Vec<(u8, bool)>, &'static str> {
    let mut octets = raw.bytes();
    let mut pieces = Vec::with_capacity(raw.len());
    while let Some(octet) = octets.next() {
        if octet != b'\\' {
            pieces.push((octet, false));
            continue;
        }
        match octets.next() {
            None => return Err("a backslash at the end"),
            Some(first @ b'0'..=b'9') => {
                let digit =
                    |octet: Option<u8>| octet.filter(u8::is_ascii_digit).map(|octet| u32::from(octet - b'0'));
                let (Some(second), Some(third)) = (digit(octets.next()), digit(octets.next())) else {
                    return Err("a backslash and a digit want two more digits");
                };
                let number = u32::from(first - b'0') * 100 + second * 10 + third;
                pieces.push((u8::try_from(number).map_err(|_| "an escape above 255")?, true));
            }
            Some(other) => pieces.push((other, true)),
        }
    }
    Ok(pieces)
}

/// One entry: a line, or several joined by parentheses.
struct Entry {
    /// True if it begins with white space: the owner is the one before.
    is_indented: bool,
    /// Its fields, at least one.
    fields: Vec<Field>,
}

/// Splits a text into entries.
fn entries(text: &str) -> Result<Vec<Entry>, ZoneFault> {
    let mut entries = Vec::new();
    let mut entry = Entry { is_indented: false, fields: Vec::new() };
    let mut open = None;
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        if open.is_none() {
            entry.is_indented = content.starts_with([' ', '\t']);
        }
        let mut characters = content.chars().peekable();
        while let Some(&character) = characters.peek() {
            match character {
                ' ' | '\t' | '\r' => {
                    characters.next();
                }
                ';' => break,
                '(' | ')' => {
                    characters.next();
                    let field = Field { raw: character.to_string(), is_quoted: false, line };
                    match (character, open) {
                        ('(', None) => open = Some(field.line),
                        (')', Some(_)) => open = None,
                        ('(', _) => return Err(field.fault("a parenthesis within parentheses")),
                        _ => return Err(field.fault("a parenthesis that closes nothing")),
                    }
                }
                '"' => {
                    characters.next();
                    let raw = token(&mut characters, |character| character == '"');
                    let field = Field { raw, is_quoted: true, line };
                    if characters.next() != Some('"') {
                        return Err(field.fault("the quotes are not closed on this line"));
                    }
                    entry.fields.push(field);
                }
                _ => {
                    let ends = |character| matches!(character, ' ' | '\t' | '\r' | ';' | '(' | ')' | '"');
                    let raw = token(&mut characters, ends);
                    entry.fields.push(Field { raw, is_quoted: false, line });
                }
            }
        }
        if open.is_none() && !entry.fields.is_empty() {
            let next = Entry { is_indented: false, fields: Vec::new() };
            entries.push(std::mem::replace(&mut entry, next));
        }
    }
    match open {
        Some(line) => Err(ZoneFault { line, field: "(".to_owned(), reason: "never closed".to_owned() }),
        None => Ok(entries),
    }
}

/// Characters up to one that ends the field; a backslash takes the next one with it.
fn token(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, ends: impl Fn(char) -> bool) -> String {
    let mut raw = String::new();
    while let Some(&character) = characters.peek() {
        if ends(character) {
            break;
        }
        raw.push(character);
        characters.next();
        if character == '\\'
            && let Some(escaped) = characters.next()
        {
            raw.push(escaped);
        }
    }
    raw
}

/// A TTL: seconds, or numbers with units (`1h30m`), as BIND writes it.
fn ttl(raw: &str) -> Option<u32> {
    if !raw.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let mut sum = 0_u32;
    let mut number = None::<u32>;
    for character in raw.chars() {
        match character.to_digit(10) {
            Some(digit) => number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?),
            None => {
                let unit = match character.to_ascii_lowercase() {
                    's' => 1,
                    'm' => 60,
                    'h' => 3_600,
                    'd' => 86_400,
                    'w' => 604_800,
                    _ => return None,
                };
                sum = sum.checked_add(number.take()?.checked_mul(unit)?)?;
            }
        }
    }
    sum.checked_add(number.unwrap_or(0))
}

/// Types whose records are asked for.
const ASKED: [RecordType; 14] = [
    RecordType::A,
    RecordType::Aaaa,
    RecordType::Cname,
    RecordType::Mx,
    RecordType::Txt,
    RecordType::Spf,
    RecordType::Ns,
    RecordType::Soa,
    RecordType::Ptr,
    RecordType::Tlsa,
    RecordType::Caa,
    RecordType::Srv,
    RecordType::Dnskey,
    RecordType::Ds,
];

/// Types of which only the presence matters here; their data is kept as text.
const OTHERS: [(&str, u16); 13] = [
    ("HINFO", 13),
    ("RP", 17),
    ("LOC", 29),
    ("NAPTR", 35),
    ("DNAME", super::DNAME),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("SMIMEA", 53),
    ("SVCB", 64),
    ("HTTPS", 65),
];

/// The type of a mnemonic.
pub(super) fn record_type(word: &str) -> Option<RecordType> {
    ASKED.into_iter().find(|record_type| record_type.as_str().eq_ignore_ascii_case(word))
}

/// The number of a type's mnemonic, or of `TYPE123` (RFC 3597 §5).
fn number_of(word: &str) -> Option<u16> {
    if let Some(record_type) = record_type(word) {
        return Some(type_number(record_type));
    }
    let other = OTHERS.iter().find(|(mnemonic, _)| mnemonic.eq_ignore_ascii_case(word));
    match other {
        Some((_, number)) => Some(*number),
        None => word.to_ascii_uppercase().strip_prefix("TYPE")?.parse().ok(),
    }
}

/// Reads all records of a text.
pub(super) fn records(text: &str) -> Result<Vec<Record>, ZoneFault> {
    let mut origin = Name::root();
    let mut default_ttl = None;
    let mut last_ttl = None;
    let mut last_owner: Option<Name> = None;
    let mut records = Vec::new();
    for entry in entries(text)? {
        let mut fields = Fields { rest: entry.fields.iter(), line: 0, origin: origin.clone() };
        let first = fields.next("a field")?;
        if first.raw.starts_with('$') && !entry.is_indented && !first.is_quoted {
            match first.raw.to_ascii_uppercase().as_str() {
                "$ORIGIN" => origin = fields.next("a name")?.name(&origin)?,
                "$TTL" => {
                    let field = fields.next("a time to live")?;
                    default_ttl = Some(ttl(&field.raw).ok_or_else(|| field.fault("not a time to live"))?);
                }
                _ => return Err(first.fault("only $ORIGIN and $TTL are read")),
            }
            fields.end()?;
            continue;
        }
        let (owner, mut field) = if entry.is_indented {
            let owner = last_owner.clone().ok_or_else(|| first.fault("no name stands before this line"))?;
            (owner, first)
        } else {
            (first.name(&origin)?, fields.next("a type")?)
        };
        last_owner = Some(owner.clone());
        // TTL and class in either order (RFC 1035 §5.1).
        let mut stated = None;
        for _ in 0..2 {
            if field.raw.eq_ignore_ascii_case("IN") {
                field = fields.next("a type")?;
            } else if let Some(seconds) = ttl(&field.raw) {
                stated = Some(seconds);
                field = fields.next("a type")?;
            }
        }
        let number = number_of(&field.raw).ok_or_else(|| field.fault("not a type that is read here"))?;
        let data = data(number, &mut fields)?;
        if stated.is_some() {
            last_ttl = stated;
        }
        let ttl = stated.or(default_ttl).or(last_ttl).unwrap_or(DEFAULT_TTL);
        records.push(Record { owner, number, ttl, data });
    }
    Ok(records)
}

/// The fields of one entry, read from left to right.
struct Fields<'a> {
    /// Those that are left.
    rest: std::slice::Iter<'a, Field>,
    /// The line of the last one.
    line: usize,
    /// For relative names.
    origin: Name,
}

impl<'a> Fields<'a> {
    /// The next one; `what` it should be.
    fn next(&mut self, what: &str) -> Result<&'a Field, ZoneFault> {
        match self.rest.next() {
            Some(field) => {
                self.line = field.line;
                Ok(field)
            }
            None => {
                let reason = format!("{what} is missing at the end");
                Err(ZoneFault { line: self.line, field: String::new(), reason })
            }
        }
    }

    /// A name.
    fn name(&mut self) -> Result<Name, ZoneFault> {
        let origin = self.origin.clone();
        self.next("a name")?.name(&origin)
    }

    /// A number.
    fn number<T: FromStr>(&mut self) -> Result<T, ZoneFault> {
        self.next("a number")?.read("a number that fits")
    }

    /// Seconds, also with units.
    fn seconds(&mut self) -> Result<u32, ZoneFault> {
        let field = self.next("a time")?;
        ttl(&field.raw).ok_or_else(|| field.fault("not a time in seconds"))
    }

    /// The tag of a property (RFC 8659 §4.1): letters and digits.
    fn tag(&mut self) -> Result<String, ZoneFault> {
        let field = self.next("a tag")?;
        let is_tag = (1..=255).contains(&field.raw.len())
            && field.raw.bytes().all(|octet| octet.is_ascii_alphanumeric());
        if is_tag { Ok(field.raw.to_ascii_lowercase()) } else { Err(field.fault("not a tag")) }
    }

    /// All that is left, joined, in some base.
    fn encoded(&mut self, encoding: &data_encoding::Encoding, what: &str) -> Result<Vec<u8>, ZoneFault> {
        let first = self.next(what)?;
        let mut text = first.raw.clone();
        for field in self.rest.by_ref() {
            text.push_str(&field.raw);
        }
        encoding.decode(text.as_bytes()).map_err(|_| first.fault(format!("not {what}")))
    }

    /// Nothing may be left.
    fn end(&mut self) -> Result<(), ZoneFault> {
        match self.rest.next() {
            Some(field) => Err(field.fault("one field too many")),
            None => Ok(()),
        }
    }
}

/// Reads the data of a record.
fn data(number: u16, fields: &mut Fields<'_>) -> Result<RecordData, ZoneFault> {
    let is_generic =
        fields.rest.as_slice().first().is_some_and(|field| field.raw == "\\#" && !field.is_quoted);
    if is_generic {
        fields.next("\\#")?;
        let field = fields.next("a length")?;
        let length: usize = field.read("a length in octets")?;
        let octets = if length == 0 {
            Vec::new()
        } else {
            fields.encoded(&HEXLOWER_PERMISSIVE, "hexadecimal data")?
        };
        fields.end()?;
        if octets.len() != length {
            return Err(field.fault(format!("the data has {} octets", octets.len())));
        }
        return Ok(RecordData::Other(octets));
    }
    let known = ASKED.into_iter().find(|record_type| type_number(*record_type) == number);
    let data = match known {
        Some(RecordType::A) => RecordData::A(fields.next("an address")?.read::<Ipv4Addr>("an IPv4 address")?),
        Some(RecordType::Aaaa) => {
            RecordData::Aaaa(fields.next("an address")?.read::<Ipv6Addr>("an IPv6 address")?)
        }
        Some(RecordType::Cname) => RecordData::Cname(fields.name()?),
        Some(RecordType::Ns) => RecordData::Ns(fields.name()?),
        Some(RecordType::Ptr) => RecordData::Ptr(fields.name()?),
        Some(RecordType::Mx) => RecordData::Mx(Mx { preference: fields.number()?, exchange: fields.name()? }),
        Some(RecordType::Txt | RecordType::Spf) => {
            let mut strings = vec![fields.next("a string")?.string()?];
            for field in fields.rest.by_ref() {
                strings.push(field.string()?);
            }
            RecordData::Txt(strings)
        }
        Some(RecordType::Soa) => RecordData::Soa(Soa {
            mname: fields.name()?,
            rname: fields.name()?,
            serial: fields.number()?,
            refresh: fields.seconds()?,
            retry: fields.seconds()?,
            expire: fields.seconds()?,
            minimum: fields.seconds()?,
        }),
        Some(RecordType::Tlsa) => RecordData::Tlsa(Tlsa {
            usage: fields.number()?,
            selector: fields.number()?,
            matching: fields.number()?,
            data: fields.encoded(&HEXLOWER_PERMISSIVE, "hexadecimal data")?,
        }),
        Some(RecordType::Caa) => RecordData::Caa(Caa {
            is_critical: fields.number::<u8>()? & 0x80 != 0,
            tag: fields.tag()?,
            value: fields.next("a value")?.octets()?,
        }),
        Some(RecordType::Srv) => RecordData::Srv(Srv {
            priority: fields.number()?,
            weight: fields.number()?,
            port: fields.number()?,
            target: fields.name()?,
        }),
        Some(RecordType::Dnskey) => {
            let (flags, protocol, algorithm) =
                (fields.number::<u16>()?, fields.number::<u8>()?, fields.number::<u8>()?);
            let mut octets = flags.to_be_bytes().to_vec();
            octets.extend([protocol, algorithm]);
            octets.extend(fields.encoded(&BASE64, "base64")?);
            RecordData::Other(octets)
        }
        Some(RecordType::Ds) => {
            let (tag, algorithm, digest) =
                (fields.number::<u16>()?, fields.number::<u8>()?, fields.number::<u8>()?);
            let mut octets = tag.to_be_bytes().to_vec();
            octets.extend([algorithm, digest]);
            octets.extend(fields.encoded(&HEXLOWER_PERMISSIVE, "hexadecimal data")?);
            RecordData::Other(octets)
        }
        // A target, as an alias has one.
        None if number == super::DNAME => RecordData::Cname(fields.name()?),
        None => {
            let mut text = String::new();
            for field in fields.rest.by_ref() {
                text.push_str(&field.raw);
                text.push(' ');
            }
            RecordData::Other(text.into_bytes())
        }
    };
    fields.end()?;
    Ok(data)
}
