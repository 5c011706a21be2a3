//! The records that a domain needs so that reports about it come here, as a function of what DNS says now.
//!
//! Rules: what stands there stays, tags, order and addresses; there is never a second record of a kind that may
//! stand only once; what DNS does not say is not known, and then no record is proposed as if there were none.
//! A domain's SPF record is never touched.

mod own;
mod reports;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::dns::{Answer, Answers, Ask, Name, NotKnown, RecordData, RecordType};
use crate::dns_health::facts::Mailboxes;
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::zone;

/// What is to be set up.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The domains of which reports are wanted.
    pub domains: Vec<Name>,
    /// The mailboxes that take them; without one for aggregate reports nothing is asked of DMARC.
    pub mailboxes: Mailboxes,
    /// True if failure reports are wanted too.
    pub has_failures: bool,
    /// True if one record is to allow the reports about every domain.
    pub has_wildcard: bool,
    /// The domains whose mail comes to this program.
    pub own_domains: Vec<Name>,
    /// The name by which it greets, for MX records.
    pub host: Option<Name>,
    /// The addresses at which it is reached from outside.
    pub addresses: Vec<IpAddr>,
    /// Who sends our probes: the domain of the sender, and the server that takes them.
    pub senders: Vec<(Name, Option<Name>)>,
    /// Who gives leave for negative probes: the domain, the name of the record, and its text.
    pub leave: Vec<(Name, Name, String)>,
    /// A label that nobody has published: what it resolves to comes from a wildcard.
    pub nonce: String,
}

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Aggregate reports (and failure reports) are asked for.
    Dmarc,
    /// The host of the mailbox says that it takes them (RFC 9990 §4).
    Authorization,
    /// TLS reports are asked for.
    TlsRpt,
    /// Where mail for the mailboxes goes.
    Mx,
    /// The address of that host.
    Address,
    /// Who may send in the name of our own domain.
    Spf,
    /// Negative probes of this installation are allowed.
    Leave,
}

impl Kind {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dmarc => "dmarc",
            Self::Authorization => "authorization",
            Self::TlsRpt => "tls-rpt",
            Self::Mx => "mx",
            Self::Address => "address",
            Self::Spf => "spf",
            Self::Leave => "leave",
        }
    }

    /// In words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Dmarc => "asks for DMARC reports",
            Self::Authorization => "says that reports about the domain are wanted there",
            Self::TlsRpt => "asks for TLS reports",
            Self::Mx => "brings the mail to this program",
            Self::Address => "is where its host is reached",
            Self::Spf => "says who sends in the name of our domain",
            Self::Leave => "allows this installation to send negative probes",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing: it is right already.
    InPlace,
    /// Nothing: it is not needed, and why.
    NotNeeded(String),
    /// The record is to be added.
    Add,
    /// The record takes the place of the old ones.
    Change,
    /// A person has to decide or to ask somebody, and what.
    ByHand(String),
    /// DNS does not say; the word of the cause, and what was said.
    NotKnown(String, String),
}

impl State {
    /// The word in views and JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::InPlace => "in-place",
            Self::NotNeeded(_) => "not-needed",
            Self::Add => "add",
            Self::Change => "change",
            Self::ByHand(_) => "by-hand",
            Self::NotKnown(..) => "not-known",
        }
    }

    /// True if nothing is to be done.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::InPlace | Self::NotNeeded(_))
    }

    /// True if the record can be published as it stands.
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Add | Self::Change)
    }

    /// What DNS does not say.
    fn of(trouble: &NotKnown) -> Self {
        Self::NotKnown(trouble.cause.as_str().to_owned(), trouble.detail.clone())
    }
}

/// A record that stands there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Its type.
    pub record_type: RecordType,
    /// Its data as a zone file writes it.
    pub value: String,
}

/// One record, or the lack of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// For which domain.
    pub domain: Name,
    /// What it is for.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// The zone in which it stands, where that is known.
    pub zone: Option<Name>,
    /// Its type.
    pub record_type: RecordType,
    /// What is to be done.
    pub state: State,
    /// What stands there now and is replaced, or is right.
    pub old: Vec<Old>,
    /// The data of the record as it is to be, as a zone file writes it; absent where nothing is to be published.
    pub new: Option<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// What is risked with it.
    pub risk: Option<String>,
}

impl Item {
    /// An item without anything to say.
    fn new(domain: &Name, kind: Kind, name: Name, record_type: RecordType, state: State) -> Self {
        Self {
            domain: domain.clone(),
            kind,
            name,
            zone: None,
            record_type,
            state,
            old: Vec::new(),
            new: None,
            notes: Vec::new(),
            risk: None,
        }
    }

    /// With the record as it is to be.
    fn with(mut self, data: &RecordData) -> Self {
        self.new = Some(data.to_string());
        self
    }

    /// With a text as it is to be, cut into strings of 255 octets (RFC 1035 §3.3).
    fn with_text(mut self, octets: &[u8]) -> Self {
        let strings: Vec<Vec<u8>> = octets.chunks(255).map(<[u8]>::to_vec).collect();
        if strings.len() > 1 {
            self.notes.push(format!(
                "{} octets: it is published as {} strings of one record, which are read joined, without a blank",
                octets.len(),
                strings.len()
            ));
        }
        if octets.len() > ANSWER_OCTETS {
            self.notes.push("answers of over 512 octets do not reach every old resolver by UDP".to_owned());
        }
        self.with(&RecordData::Txt(strings))
    }

    /// With what stands there now.
    fn replaces<'d>(mut self, data: impl IntoIterator<Item = &'d RecordData>) -> Self {
        let record_type = self.record_type;
        self.old.extend(data.into_iter().map(|data| Old { record_type, value: data.to_string() }));
        self
    }

    /// The name as it is typed into the zone's panel: relative to the zone, `@` for its apex, the whole name where
    /// the zone is not known.
    pub fn relative_name(&self) -> String {
        let mut record = super::finding::RecordToPublish::new(self.name.clone(), self.record_type, "");
        record.zone.clone_from(&self.zone);
        record.relative_name()
    }
}

/// Octets of a text with which an answer still fits into 512 (RFC 1035 §2.3.4), name and head counted.
const ANSWER_OCTETS: usize = 400;

/// All records of some wishes: for each domain what asks for reports, then what our own domains need. Each record
/// stands once.
///
/// Errors: the questions that are lacking.
pub fn plan(wishes: &Wishes, answers: &Answers) -> Result<Vec<Item>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let mut items: Vec<Item> = Vec::new();
    for domain in &wishes.domains {
        items.extend(look_ups.take(reports::of_domain(wishes, domain, answers)).unwrap_or_default());
    }
    for domain in &wishes.own_domains {
        items.extend(look_ups.take(own::of_domain(wishes, domain, answers)).unwrap_or_default());
    }
    for host in reports::foreign_hosts(wishes) {
        items.extend(look_ups.take(own::foreign(&host, answers)));
    }
    for (domain, name, text) in &wishes.leave {
        items.extend(look_ups.take(own::leave(domain, name, text, answers)));
    }
    look_ups.done()?;
    for item in &mut items {
        // The zone of the domain that owns the name: below `_report._dmarc` there is none of its own.
        let base = match item.kind {
            Kind::Authorization => {
                let labels: Vec<&str> = item.name.labels().collect();
                let front = labels.windows(2).position(|pair| pair == ["_report", "_dmarc"]);
                front.map_or_else(|| item.name.clone(), |at| item.name.last_labels(labels.len() - at - 2))
            }
            _ => without_underscores(&item.name),
        };
        item.zone = look_ups.take(zone::apex(&base, answers)).flatten();
    }
    look_ups.done()?;
    let mut seen: Vec<Item> = Vec::new();
    for item in items {
        let is_there = |other: &Item| {
            (&other.name, other.record_type, &other.state, &other.new)
                == (&item.name, item.record_type, &item.state, &item.new)
        };
        if !seen.iter().any(is_there) {
            seen.push(item);
        }
    }
    Ok(seen)
}

/// A name without the labels that begin with an underscore before it.
fn without_underscores(name: &Name) -> Name {
    let mut name = name.clone();
    while name.as_str().starts_with(['_', '*']) {
        match name.parent() {
            Some(parent) => name = parent,
            None => break,
        }
    }
    name
}

/// Where the record of a name has to be changed: behind an alias, in the place of a wildcard, or there.
struct Place {
    /// The name.
    name: Name,
    /// What is to be said about it.
    notes: Vec<String>,
    /// The alias that has to go.
    alias: Option<Name>,
    /// Whoever else runs the name.
    foreign: Option<String>,
    /// True if nothing stands at the name itself.
    is_wild: bool,
}

/// Finds the place of a text whose records are known; `wild` is the answer for a name that nobody published,
/// `has_record` says whether there is a record to be changed.
fn place(domain: &Name, name: &Name, answer: &Answer, wild: &Answer, has_record: bool) -> Place {
    let mut place =
        Place { name: name.clone(), notes: Vec::new(), alias: None, foreign: None, is_wild: false };
    let is_same = |one: &Answer, other: &Answer| {
        let texts = |answer: &Answer| {
            let mut all: Vec<Vec<u8>> = answer.texts().collect();
            all.sort();
            all
        };
        (!one.aliases.is_empty() || one.texts().next().is_some())
            && one.aliases == other.aliases
            && texts(one) == texts(other)
    };
    if is_same(answer, wild) {
        place.is_wild = true;
        place.notes.push(format!(
            "what is found at {name} comes from a wildcard; the record takes its place for this name only"
        ));
    } else if let (Some(first), Some(last)) = (answer.aliases.first(), answer.aliases.last()) {
        if has_record {
            place.name = last.clone();
            let told = format!("{name} is an alias: the record stands at {last} and is changed there");
            let ours = crate::authentication::dmarc::organizational_by_suffix(domain);
            if !last.is_within(&ours) {
                place.foreign =
                    Some(format!("{told}, by whoever runs it; or the alias gives way to this record"));
            }
            place.notes.push(told);
        } else {
            place.alias = Some(first.clone());
            place.notes.push(format!(
                "{name} is an alias and leads to no record: the alias has to go, nothing may stand beside it \
                 (RFC 2181 §10.1)"
            ));
        }
    }
    place
}
