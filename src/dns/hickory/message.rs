//! From messages to answers: names and records, aliases followed, absence told from a server that has no answer.

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{self, RData, Record};
use hickory_resolver::proto::serialize::binary::{BinEncodable as _, BinEncoder};

use crate::dns::{
    Answer, Caa, Cause, Mx, Name, NameError, NotKnown, Outcome, Question, RecordData, RecordType, Security,
    Soa, Srv, Tlsa,
};
use crate::limits;

/// Our name as hickory's, label by label, always absolute.
pub(super) fn to_wire(name: &Name) -> Option<rr::Name> {
    let labels = name.wire_labels();
    let mut name = rr::Name::from_labels(labels.iter().map(Vec::as_slice)).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Hickory's name as ours.
fn from_wire(name: &rr::Name) -> Result<Name, NameError> {
    Name::from_labels(name.iter())
}

/// Hickory's type for ours.
pub(super) const fn wire_type(record_type: RecordType) -> rr::RecordType {
    match record_type {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Cname => rr::RecordType::CNAME,
        RecordType::Mx => rr::RecordType::MX,
        RecordType::Txt => rr::RecordType::TXT,
        RecordType::Spf => rr::RecordType::Unknown(99),
        RecordType::Ns => rr::RecordType::NS,
        RecordType::Soa => rr::RecordType::SOA,
        RecordType::Ptr => rr::RecordType::PTR,
        RecordType::Tlsa => rr::RecordType::TLSA,
        RecordType::Caa => rr::RecordType::CAA,
        RecordType::Srv => rr::RecordType::SRV,
        RecordType::Dnskey => rr::RecordType::DNSKEY,
        RecordType::Ds => rr::RecordType::DS,
    }
}

/// Character strings as they stand in a text record (RFC 1035 §3.3.14): each behind its length.
fn strings(mut octets: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    while let Some((&length, rest)) = octets.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(length))?;
        strings.push(string.to_vec());
        octets = rest;
    }
    Some(strings)
}

/// The target of a DNAME record (RFC 6672 §2.1), which is never compressed; an error if it is no name.
fn dname_target(mut octets: &[u8]) -> Result<Name, NameError> {
    let mut labels = Vec::new();
    loop {
        let Some((&length, rest)) = octets.split_first() else { return Err(NameError::EmptyLabel) };
        if length == 0 {
            return Name::from_labels(labels);
        }
        let split = rest.split_at_checked(usize::from(length));
        let (label, rest) = split.ok_or(NameError::LongLabel)?;
        labels.push(label);
        octets = rest;
    }
}

/// Where the DNAME records of a message lead a name, with the TTL; of several, the one nearest to the name.
///
/// Errors: a target that is no name, or too long a name below it.
fn dname_of(message: &Message, name: &Name) -> Result<Option<(Name, u32)>, NameError> {
    let mut nearest: Option<(usize, Name, u32)> = None;
    for record in message.answers.iter().filter(|record| record.record_type() == rr::RecordType::DNAME) {
        let RData::Unknown { rdata, .. } = &record.data else { continue };
        let Ok(owner) = from_wire(&record.name) else { continue };
        let labels = owner.label_count();
        if *name == owner || !name.is_within(&owner) {
            continue;
        }
        let Some(moved) = name.moved(&owner, &dname_target(&rdata.anything)?)? else { continue };
        let is_nearer = |(known, target, _): &(usize, Name, u32)| (labels, target) > (*known, &moved);
        if nearest.as_ref().is_none_or(is_nearer) {
            nearest = Some((labels, moved, record.ttl));
        }
    }
    Ok(nearest.map(|(_, moved, ttl)| (moved, ttl)))
}

/// The owner of the DNAME record by which a message moves a name, if it does.
pub(super) fn dname_owner(message: &Message, name: &Name) -> Option<Name> {
    // A name that is an alias itself is moved by nothing; what a server makes of the DNAME record is no such alias.
    let (moved, _) = dname_of(message, name).ok().flatten()?;
    let is_other = |record: &Record| match &record.data {
        RData::CNAME(target) => {
            from_wire(&record.name).is_ok_and(|owner| owner == *name)
                && from_wire(target).is_ok_and(|target| target != moved)
        }
        _ => false,
    };
    if message.answers.iter().any(is_other) {
        return None;
    }
    let dnames = message.answers.iter().filter(|record| record.record_type() == rr::RecordType::DNAME);
    let owners = dnames.filter_map(|record| from_wire(&record.name).ok());
    owners.filter(|owner| name != owner && name.is_within(owner)).max_by_key(Name::label_count)
}

/// Writes the targets of DNAME records in lower case, as they are signed (RFC 4034 §6.2): hickory knows no such record
/// and leaves them as they came. No length octet is a letter.
pub(super) fn lower_dname(message: &mut Message) {
    for record in message.answers.iter_mut().filter(|record| record.record_type() == rr::RecordType::DNAME) {
        if let RData::Unknown { rdata, .. } = &mut record.data {
            rdata.anything.make_ascii_lowercase();
        }
    }
}

/// What a record holds; an error if it holds a name that is none.
fn record_data(data: &RData) -> Result<RecordData, NameError> {
    let seconds = |value: i32| u32::from_be_bytes(value.to_be_bytes());
    Ok(match data {
        RData::A(address) => RecordData::A(address.0),
        RData::AAAA(address) => RecordData::Aaaa(address.0),
        RData::CNAME(name) => RecordData::Cname(from_wire(name)?),
        RData::NS(name) => RecordData::Ns(from_wire(name)?),
        RData::PTR(name) => RecordData::Ptr(from_wire(name)?),
        RData::MX(mx) => RecordData::Mx(Mx { preference: mx.preference, exchange: from_wire(&mx.exchange)? }),
        RData::TXT(text) => RecordData::Txt(text.txt_data.iter().map(|string| string.to_vec()).collect()),
        RData::SOA(soa) => RecordData::Soa(Soa {
            mname: from_wire(&soa.mname)?,
            rname: from_wire(&soa.rname)?,
            serial: soa.serial,
            refresh: seconds(soa.refresh),
            retry: seconds(soa.retry),
            expire: seconds(soa.expire),
            minimum: soa.minimum,
        }),
        RData::TLSA(tlsa) => RecordData::Tlsa(Tlsa {
            usage: u8::from(tlsa.cert_usage),
            selector: u8::from(tlsa.selector),
            matching: u8::from(tlsa.matching),
            data: tlsa.cert_data.clone(),
        }),
        RData::CAA(caa) => RecordData::Caa(Caa {
            is_critical: caa.issuer_critical,
            tag: caa.tag.to_ascii_lowercase(),
            value: caa.value.clone(),
        }),
        RData::SRV(srv) => RecordData::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: from_wire(&srv.target)?,
        }),
        RData::Unknown { code, rdata } if *code == wire_type(RecordType::Spf) => {
            match strings(&rdata.anything) {
                Some(strings) => RecordData::Txt(strings),
                None => RecordData::Other(rdata.anything.clone()),
            }
        }
        other => {
            let mut octets = Vec::new();
            // Writing what was just read does not fail; if it does, the record still counts.
            let _ = other.emit(&mut BinEncoder::new(&mut octets));
            RecordData::Other(octets)
        }
    })
}

/// One question on its way along aliases.
pub(super) struct Trail {
    /// Where it stands: the name to ask for next.
    pub current: Name,
    /// The name that was asked for.
    name: Name,
    /// What is asked for.
    record_type: RecordType,
    /// Aliases so far.
    aliases: Vec<Name>,
    /// The least TTL so far.
    ttl: Option<u32>,
    /// The weakest word of DNSSEC so far.
    security: Option<Security>,
}

impl Trail {
    /// At its beginning.
    pub(super) fn new(question: &Question) -> Self {
        Self {
            current: question.name.clone(),
            name: question.name.clone(),
            record_type: question.record_type,
            aliases: Vec::new(),
            ttl: None,
            security: None,
        }
    }

    /// The answer that nobody could say, with the aliases so far.
    pub(super) fn not_known(&self, not_known: NotKnown) -> Answer {
        let NotKnown { cause, detail } = not_known;
        Answer { aliases: self.aliases.clone(), ..Answer::not_known(cause, detail) }
    }

    /// The same of a cause.
    fn stop(&self, cause: Cause, detail: String) -> Answer {
        self.not_known(NotKnown { cause, detail })
    }

    /// The answer with what was gathered on the way.
    fn finish(&self, outcome: Outcome) -> Answer {
        Answer {
            outcome,
            aliases: self.aliases.clone(),
            ttl: self.ttl,
            security: self.security.unwrap_or(Security::NotKnown),
        }
    }

    /// Takes a time to live into account.
    fn shorten(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.map_or(ttl, |least| least.min(ttl)));
    }

    /// Reads a message that answers for [`Trail::current`]: the answer, or nothing if aliases lead out of the
    /// message and the next question is for the new `current`.
    ///
    /// `security` is what DNSSEC says about the message.
    pub(super) fn take(&mut self, message: &Message, security: Security) -> Option<Answer> {
        self.security = Some(self.security.map_or(security, |before| before.and(security)));
        let mut has_moved = false;
        loop {
            match self.records(message) {
                Ok(records) if !records.is_empty() => return Some(self.finish(Outcome::Records(records))),
                Ok(_) => {}
                Err(error) => {
                    let detail = format!("a record of {} holds no name: {error}", self.current);
                    return Some(self.stop(Cause::Malformed, detail));
                }
            }
            let target = match self.alias(message) {
                Ok(Some(target)) => target,
                Ok(None) => break,
                Err(error) => {
                    let detail = format!("the alias of {} is no name: {error}", self.current);
                    return Some(self.stop(Cause::Malformed, detail));
                }
            };
            if self.record_type == RecordType::Cname {
                // Asked for an alias itself, the one that follows from a DNAME record is the answer.
                return Some(self.finish(Outcome::Records(vec![RecordData::Cname(target)])));
            }
            let is_loop = target == self.name || self.aliases.contains(&target);
            self.aliases.push(target.clone());
            if is_loop {
                return Some(self.stop(Cause::AliasLoop, format!("{} leads back to {target}", self.current)));
            }
            if self.aliases.len() > limits::DNS_ALIASES {
                let detail = format!("more than {} aliases in a row", limits::DNS_ALIASES);
                return Some(self.stop(Cause::AliasChain, detail));
            }
            self.current = target;
            has_moved = true;
        }
        // With aliases the code and the authority speak of the last name (RFC 6604, RFC 2308 §2.1).
        let absence = self.absence_ttl(message);
        if let Some(ttl) = absence {
            self.shorten(ttl);
        }
        if message.metadata.response_code == ResponseCode::NXDomain {
            return Some(self.finish(Outcome::NoName));
        }
        if absence.is_some() {
            return Some(self.finish(Outcome::NoType));
        }
        if has_moved {
            return None;
        }
        let is_answered = message.metadata.authoritative || message.metadata.recursion_available;
        let referral = message.authorities.iter().find(|record| record.record_type() == rr::RecordType::NS);
        match referral {
            // An answer without SOA comes from servers that have it cut (RFC 2308 §2.2, type 3).
            None if is_answered => Some(self.finish(Outcome::NoType)),
            None => {
                let detail = "the server neither is the authority nor asks others".to_owned();
                Some(self.stop(Cause::Lame, detail))
            }
            Some(_) if message.metadata.authoritative => Some(self.finish(Outcome::NoType)),
            Some(record) => {
                let detail = format!("the server refers to the name servers of {}", record.name);
                Some(self.stop(Cause::Lame, detail))
            }
        }
    }

    /// Records of the answer section at the current name.
    fn at_current<'a>(&'a self, message: &'a Message) -> impl Iterator<Item = &'a Record> {
        message.answers.iter().filter(|record| from_wire(&record.name).is_ok_and(|name| name == self.current))
    }

    /// The records asked for at the current name; notes their least TTL.
    fn records(&mut self, message: &Message) -> Result<Vec<RecordData>, NameError> {
        let wanted = wire_type(self.record_type);
        let mut least = None::<u32>;
        let mut records = Vec::new();
        for record in self.at_current(message).filter(|record| record.record_type() == wanted) {
            least = Some(least.map_or(record.ttl, |least| least.min(record.ttl)));
            records.push(record_data(&record.data)?);
        }
        if let Some(ttl) = least {
            self.shorten(ttl);
        }
        Ok(records)
    }

    /// Where the current name's alias leads; notes its TTL. Of several aliases, which must not be, the least; without
    /// one, what a DNAME record above makes of the name (RFC 6672 §3.2).
    fn alias(&mut self, message: &Message) -> Result<Option<Name>, NameError> {
        let mut least: Option<(Name, u32)> = None;
        for record in self.at_current(message) {
            if let RData::CNAME(target) = &record.data {
                let target = from_wire(target)?;
                if least.as_ref().is_none_or(|(name, _)| target < *name) {
                    least = Some((target, record.ttl));
                }
            }
        }
        let found = match least {
            Some(found) => Some(found),
            None => dname_of(message, &self.current)?,
        };
        Ok(found.map(|(target, ttl)| {
            self.shorten(ttl);
            target
        }))
    }

    /// How long the absence of the current name may be remembered (RFC 2308 §5): the lesser of the TTL and the
    /// last number of a SOA record above it. Nothing: no such record.
    fn absence_ttl(&self, message: &Message) -> Option<u32> {
        message.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => {
                let zone = from_wire(&record.name).ok()?;
                self.current.is_within(&zone).then(|| record.ttl.min(soa.minimum))
            }
            _ => None,
        })
    }
}
