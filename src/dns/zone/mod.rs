//! Zones in memory, as their files state them: for tests, and for the demo without a network.
//!
//! Looking a name up is what an authority does (RFC 1034 §4.3.2): empty non-terminals exist, wildcards stand in
//! for names that do not (RFC 4592), a zone below another one is answered from the lower one.

mod read;
mod resolver;

use std::collections::{BTreeMap, HashMap};

pub use read::ZoneFault;
pub use resolver::ZoneResolver;

use super::{Name, RecordData, RecordType, Soa};

/// Zones and their records.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    /// What stands at each name; names above others are there with nothing.
    nodes: HashMap<Name, Node>,
    /// The tops of the zones with their SOA record, if the file has one.
    tops: BTreeMap<Name, Option<(u32, Soa)>>,
}

/// The records of one name.
#[derive(Debug, Clone, Default)]
struct Node {
    /// Type's number, TTL in seconds and data.
    records: Vec<(u16, u32, RecordData)>,
}

/// What a zone says to a question, before aliases are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// These records, each with its TTL in seconds.
    Records(Vec<(u32, RecordData)>),
    /// The name is an alias: TTL in seconds, and where it leads.
    Alias(u32, Name),
    /// The name exists without such a record.
    NoType,
    /// The name does not exist.
    NoName,
    /// The name stands below a cut, given here, whose zone is not here.
    Delegated(Name),
    /// No zone here holds the name.
    NoZone,
}

/// The number of DNAME (RFC 6672 §2.1): nobody asks for it, and it leads elsewhere.
pub(super) const DNAME: u16 = 39;

/// Numbers of the types that are asked for (IANA, "Resource Record (RR) TYPEs").
pub(super) const fn type_number(record_type: RecordType) -> u16 {
    match record_type {
        RecordType::A => 1,
        RecordType::Ns => 2,
        RecordType::Cname => 5,
        RecordType::Soa => 6,
        RecordType::Ptr => 12,
        RecordType::Mx => 15,
        RecordType::Txt => 16,
        RecordType::Aaaa => 28,
        RecordType::Srv => 33,
        RecordType::Ds => 43,
        RecordType::Dnskey => 48,
        RecordType::Tlsa => 52,
        RecordType::Spf => 99,
        RecordType::Caa => 257,
    }
}

impl Node {
    /// The records of a type.
    fn of(&self, record_type: RecordType) -> impl Iterator<Item = &(u16, u32, RecordData)> {
        self.records.iter().filter(move |(number, ..)| *number == type_number(record_type))
    }
}

impl Zones {
    /// Reads zones as a master file states them (RFC 1035 §5), several in one text if need be; each SOA record
    /// begins a zone. Records below no SOA make up a zone of the whole name space that has none.
    ///
    /// `$ORIGIN`, `$TTL`, comments, parentheses, quoted strings and escapes are read; `$INCLUDE` is refused. Where
    /// nothing says a TTL it is an hour. Errors: the first fault, with its line and field.
    pub fn parse(text: &str) -> Result<Self, ZoneFault> {
        let mut zones = Self::default();
        for record in read::records(text)? {
            zones.add(record.owner, record.number, record.ttl, record.data);
        }
        zones.close();
        Ok(zones)
    }

    /// Takes in the zones of another text; a zone that both have has the records of both.
    pub fn merge(&mut self, other: Self) {
        for (name, node) in other.nodes {
            self.nodes.entry(name).or_default().records.extend(node.records);
        }
        for (name, soa) in other.tops {
            let top = self.tops.entry(name).or_default();
            *top = soa.or(top.take());
        }
    }

    /// Puts one record in its place.
    fn add(&mut self, owner: Name, number: u16, ttl: u32, data: RecordData) {
        let mut above = owner.parent();
        while let Some(name) = above {
            above = name.parent();
            self.nodes.entry(name).or_default();
        }
        if let RecordData::Soa(soa) = &data {
            self.tops.insert(owner.clone(), Some((ttl, soa.clone())));
        }
        let node = self.nodes.entry(owner).or_default();
        // Equal records are one (RFC 2181 §5).
        if !node.records.iter().any(|(other, _, held)| *other == number && *held == data) {
            node.records.push((number, ttl, data));
        }
    }

    /// Gives the records that stand below no SOA a zone.
    fn close(&mut self) {
        let is_stray = |(name, node): (&Name, &Node)| !node.records.is_empty() && self.top(name).is_none();
        if self.nodes.iter().any(is_stray) {
            self.tops.insert(Name::root(), None);
        }
    }

    /// The top of the lowest zone that holds a name.
    fn top(&self, name: &Name) -> Option<&Name> {
        let mut at = Some(name.clone());
        while let Some(name) = at {
            if let Some((top, _)) = self.tops.get_key_value(&name) {
                return Some(top);
            }
            at = name.parent();
        }
        None
    }

    /// The top of the zone that answers for a name, with the SOA record's TTL and data if it has one.
    pub fn zone_of(&self, name: &Name) -> Option<(&Name, Option<&(u32, Soa)>)> {
        let top = self.top(name)?;
        Some((top, self.tops.get(top)?.as_ref()))
    }

    /// What the zones say about a name and a type.
    pub fn look(&self, name: &Name, record_type: RecordType) -> Found {
        // What links a zone to the one above stands above (RFC 4035 §3.1.4.1).
        let above = name.parent().filter(|_| record_type == RecordType::Ds && self.tops.contains_key(name));
        let Some(top) = above.as_ref().and_then(|above| self.top(above)).or_else(|| self.top(name)) else {
            return Found::NoZone;
        };
        if record_type != RecordType::Ds
            && let Some(cut) = self.cut(top, name)
        {
            return Found::Delegated(cut);
        }
        if let Some(moved) = self.moved(top, name) {
            return match moved {
                Found::Alias(ttl, target) if record_type == RecordType::Cname => {
                    Found::Records(vec![(ttl, RecordData::Cname(target))])
                }
                moved => moved,
            };
        }
        let node = match self.nodes.get(name) {
            Some(node) => Some(node),
            None => self.wildcard(top, name),
        };
        let Some(node) = node else {
            return Found::NoName;
        };
        let records: Vec<(u32, RecordData)> =
            node.of(record_type).map(|(_, ttl, data)| (*ttl, data.clone())).collect();
        if !records.is_empty() {
            return Found::Records(records);
        }
        match node.of(RecordType::Cname).next() {
            Some((_, ttl, RecordData::Cname(target))) => Found::Alias(*ttl, target.clone()),
            _ => Found::NoType,
        }
    }

    /// The highest cut below the top at or above a name.
    fn cut(&self, top: &Name, name: &Name) -> Option<Name> {
        let labels = name.label_count();
        (top.label_count() + 1..=labels)
            .map(|count| name.last_labels(count))
            .find(|name| self.nodes.get(name).is_some_and(|node| node.of(RecordType::Ns).next().is_some()))
    }

    /// Where a DNAME record between the top and a name leads: nothing below such a record exists (RFC 6672 §2.3).
    fn moved(&self, top: &Name, name: &Name) -> Option<Found> {
        (top.label_count()..name.label_count()).find_map(|count| {
            let owner = name.last_labels(count);
            let record = self.nodes.get(&owner)?.records.iter().find(|(number, ..)| *number == DNAME)?;
            let (_, ttl, RecordData::Cname(target)) = record else { return None };
            // A name that would be too long cannot be (RFC 6672 §2.2).
            Some(match name.moved(&owner, target) {
                Ok(Some(moved)) => Found::Alias(*ttl, moved),
                _ => Found::NoName,
            })
        })
    }

    /// The wildcard that stands for a name that does not exist: below its closest encloser (RFC 4592 §3.3.1).
    fn wildcard(&self, top: &Name, name: &Name) -> Option<&Node> {
        let mut encloser = name.parent();
        while let Some(name) = encloser {
            if self.nodes.contains_key(&name) {
                return self.nodes.get(&name.below("*").ok()?);
            }
            if name == *top {
                return None;
            }
            encloser = name.parent();
        }
        None
    }
}

#[cfg(test)]
mod tests;
