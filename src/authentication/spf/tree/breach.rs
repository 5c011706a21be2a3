//! Why receivers give permerror for a record: what breaks a rule, anywhere in the tree.

use super::{Found, Place, Reach, Target, Tree};
use crate::authentication::spf::fault::Fault;
use crate::authentication::spf::record::{Mechanism, Modifier, TermKind};
use crate::limits;

/// Something that gives permerror to some or all senders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The number of the node.
    pub node: usize,
    /// The number of the term there; absent where the record as a whole is meant.
    pub term: Option<usize>,
    /// What.
    pub kind: BreachKind,
}

/// What breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreachKind {
    /// More than one record (RFC 7208 §4.5); so many.
    SeveralRecords(usize),
    /// A fault of a record (RFC 7208 §4.6).
    Fault(Fault),
    /// More terms that query DNS than ten on the longest way (RFC 7208 §4.6.4); so many.
    Lookups(u32),
    /// More terms with a void answer than two on the longest way (RFC 7208 §4.6.4): so many for clients with an
    /// IPv4 address, and with an IPv6 address.
    Voids(u32, u32),
    /// An `mx` with more than ten hosts (RFC 7208 §4.6.4); so many.
    Exchangers(usize),
    /// `include` or `redirect` to a name without a record (RFC 7208 §5.2, §6.1).
    LeadsNowhere,
    /// `include` or `redirect` in a circle: the limit of ten ends it (RFC 7208 §4.6.4).
    Loop,
}

impl BreachKind {
    /// The word in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::SeveralRecords(_) => "several-records",
            Self::Fault(fault) => fault.kind.as_str(),
            Self::Lookups(_) => "lookups",
            Self::Voids(..) => "voids",
            Self::Exchangers(_) => "exchangers",
            Self::LeadsNowhere => "leads-nowhere",
            Self::Loop => "loop",
        }
    }

    /// The section of RFC 7208 that says so.
    pub const fn section(&self) -> &'static str {
        match self {
            Self::SeveralRecords(_) => "4.5",
            Self::Fault(fault) => fault.kind.section(),
            Self::Lookups(_) | Self::Voids(..) | Self::Exchangers(_) | Self::Loop => "4.6.4",
            Self::LeadsNowhere => "5.2",
        }
    }

    /// What is wrong, in words.
    pub fn sentence(&self) -> String {
        match self {
            Self::SeveralRecords(count) => format!("{count} SPF records, where one is allowed"),
            Self::Fault(fault) => fault.kind.sentence().to_owned(),
            Self::Lookups(u32::MAX) => "terms that query DNS without end, where 10 are allowed".to_owned(),
            Self::Lookups(count) => {
                format!("{count} terms that query DNS, where {} are allowed", limits::SPF_LOOKUPS)
            }
            Self::Voids(four, six) => format!(
                "terms with a void answer: {four} for IPv4 clients, {six} for IPv6 clients, where {} are allowed",
                limits::SPF_VOIDS
            ),
            Self::Exchangers(count) => {
                format!("{count} mail exchangers, where {} are allowed", limits::SPF_MX_HOSTS)
            }
            Self::LeadsNowhere => "leads to a name without an SPF record".to_owned(),
            Self::Loop => "leads in a circle".to_owned(),
        }
    }
}

impl Tree {
    /// Everything that gives permerror, in the order of nodes and columns. Terms that are never reached are
    /// looked at for their syntax alone.
    pub fn breaches(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let mut add = |term, kind| breaches.push(Breach { node: number, term, kind });
            if let Some(published) = node.found.published() {
                if published.records.len() > 1 {
                    add(None, BreachKind::SeveralRecords(published.records.len()));
                }
                for fault in published.records.iter().flat_map(|published| &published.record.faults) {
                    add(Some(fault.term), BreachKind::Fault(fault.clone()));
                }
            }
            for (at, term) in node.terms.iter().enumerate().filter(|(_, term)| term.reach == Reach::Yes) {
                if term.is_loop {
                    add(Some(at), BreachKind::Loop);
                } else if self.leads_nowhere(Place { node: number, term: at }) {
                    add(Some(at), BreachKind::LeadsNowhere);
                }
                if term.hosts.len() > limits::SPF_MX_HOSTS {
                    add(Some(at), BreachKind::Exchangers(term.hosts.len()));
                }
            }
            if number == 0 {
                if node.counts.lookups > limits::SPF_LOOKUPS {
                    add(None, BreachKind::Lookups(node.counts.lookups));
                }
                let (four, six) = (node.counts.voids_four, node.counts.voids_six);
                if four.max(six) > limits::SPF_VOIDS {
                    add(None, BreachKind::Voids(four, six));
                }
            }
        }
        breaches
    }

    /// True for an `include` or `redirect` of which it is known that no record stands where it leads.
    fn leads_nowhere(&self, place: Place) -> bool {
        let Some(node) = self.nodes.get(place.node) else { return false };
        let written = node.record().and_then(|record| record.terms.get(place.term));
        let leads = written.is_some_and(|term| {
            matches!(
                term.kind,
                TermKind::Directive(_, Mechanism::Include(_)) | TermKind::Modifier(Modifier::Redirect(_))
            )
        });
        let Some(term) = node.terms.get(place.term).filter(|_| leads) else { return false };
        match (&term.target, term.child.and_then(|child| self.nodes.get(child))) {
            (Target::NoName(_), _) => true,
            (_, Some(child)) => match &child.found {
                Found::NoName | Found::NoTexts => true,
                Found::Texts(published) => published.records.is_empty(),
                Found::NotKnown(_) | Found::NotAsked => false,
            },
            _ => false,
        }
    }
}
