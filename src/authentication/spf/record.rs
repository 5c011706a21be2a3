//! One SPF record, taken apart: its terms with their places, and every fault in it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::fault::Fault;
use super::parse;

/// A part of a record: octets from the beginning of the record, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first octet, counted from 0.
    pub start: usize,
    /// The octet after the last one.
    pub end: usize,
}

impl Span {
    /// The place as people count: the first octet of the record is in column 1.
    pub const fn column(self) -> usize {
        self.start + 1
    }

    /// How many octets it has.
    pub const fn octets(self) -> usize {
        self.end - self.start
    }
}

/// A record as published, with its terms in order.
///
/// A record with faults has the result permerror for every sender (RFC 7208 §4.6); its sound terms are here
/// nevertheless, for whoever explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    octets: Vec<u8>,
    /// The terms after the version, in order.
    pub terms: Vec<Term>,
    /// What is wrong with it, in the order of columns; empty if it can be used.
    pub faults: Vec<Fault>,
}

/// One term of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Where it stands.
    pub span: Span,
    /// What it says.
    pub kind: TermKind,
}

/// What a term says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TermKind {
    /// A mechanism and what follows if it matches (RFC 7208 §5).
    Directive(Qualifier, Mechanism),
    /// A modifier (RFC 7208 §6).
    Modifier(Modifier),
    /// Not readable: a fault says why.
    Faulty,
}

/// The result of a mechanism that matches (RFC 7208 §4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qualifier {
    /// `+`, also where nothing is written.
    Pass,
    /// `-`.
    Fail,
    /// `~`.
    SoftFail,
    /// `?`.
    Neutral,
}

/// Network prefixes of `a` and `mx`, bits; absent: the whole address (RFC 7208 §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefixes {
    /// For clients with an IPv4 address, 0 to 32.
    pub four: Option<u8>,
    /// For clients with an IPv6 address, 0 to 128.
    pub six: Option<u8>,
}

/// A mechanism (RFC 7208 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// Everything (RFC 7208 §5.1).
    All,
    /// Whatever another domain's record passes (RFC 7208 §5.2).
    Include(DomainSpec),
    /// The addresses of a name (RFC 7208 §5.3).
    A(Option<DomainSpec>, Prefixes),
    /// The addresses of the mail exchangers of a name (RFC 7208 §5.4).
    Mx(Option<DomainSpec>, Prefixes),
    /// Names of the client's address that stand at or below a name (RFC 7208 §5.5).
    Ptr(Option<DomainSpec>),
    /// An IPv4 network and its prefix (RFC 7208 §5.6).
    Ip4(Ipv4Addr, u8),
    /// An IPv6 network and its prefix (RFC 7208 §5.6).
    Ip6(Ipv6Addr, u8),
    /// True if a name has an IPv4 address (RFC 7208 §5.7).
    Exists(DomainSpec),
}

impl Mechanism {
    /// The name as written in records.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Include(_) => "include",
            Self::A(..) => "a",
            Self::Mx(..) => "mx",
            Self::Ptr(_) => "ptr",
            Self::Ip4(..) => "ip4",
            Self::Ip6(..) => "ip6",
            Self::Exists(_) => "exists",
        }
    }

    /// The domain that it names, if it names one.
    pub const fn target(&self) -> Option<DomainSpec> {
        match self {
            Self::Include(target) | Self::Exists(target) => Some(*target),
            Self::A(target, _) | Self::Mx(target, _) | Self::Ptr(target) => *target,
            Self::All | Self::Ip4(..) | Self::Ip6(..) => None,
        }
    }

    /// True if it counts towards the ten terms that query DNS (RFC 7208 §4.6.4).
    pub const fn is_lookup(&self) -> bool {
        !matches!(self, Self::All | Self::Ip4(..) | Self::Ip6(..))
    }
}

/// A modifier (RFC 7208 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modifier {
    /// The record of another domain in the place of this one, if nothing matched (RFC 7208 §6.1).
    Redirect(DomainSpec),
    /// Where the explanation of a failure stands (RFC 7208 §6.2).
    Exp(DomainSpec),
    /// Any other: without effect (RFC 7208 §6). The span is that of its name.
    Unknown(Span),
}

/// A domain as written in a term, perhaps with macros (RFC 7208 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainSpec {
    /// Where it stands.
    pub span: Span,
    /// True if it has to be expanded.
    pub has_macros: bool,
    /// True if it has `%{p}`, which needs the names of the client's address (RFC 7208 §7.3: should not be used).
    pub has_names: bool,
}

impl Record {
    /// Takes a record apart; the text is that of all strings, joined (RFC 7208 §3.3).
    ///
    /// Never fails: what cannot be read is a fault with its place. Meant for texts of which [`is_spf`] is true.
    pub fn parse(octets: Vec<u8>) -> Self {
        let (terms, faults) = parse::terms(&octets);
        Self { octets, terms, faults }
    }

    /// The record as published.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The whole record as text; octets that are no ASCII stand as `\xNN`.
    pub fn text(&self) -> Cow<'_, str> {
        shown(&self.octets)
    }

    /// A part as text; octets that are no ASCII stand as `\xNN`.
    pub fn part(&self, span: Span) -> Cow<'_, str> {
        shown(self.part_octets(span))
    }

    /// A part as published.
    pub(super) fn part_octets(&self, span: Span) -> &[u8] {
        self.octets.get(span.start..span.end).unwrap_or_default()
    }

    /// The `redirect` modifier, if there is one, with the number of its term.
    pub fn redirect(&self) -> Option<(usize, DomainSpec)> {
        self.modifiers().find_map(|(at, modifier)| match modifier {
            Modifier::Redirect(target) => Some((at, *target)),
            _ => None,
        })
    }

    /// The `exp` modifier, if there is one.
    pub fn exp(&self) -> Option<DomainSpec> {
        self.modifiers().find_map(|(_, modifier)| match modifier {
            Modifier::Exp(target) => Some(*target),
            _ => None,
        })
    }

    /// The first `all`, with the number of its term.
    pub fn all(&self) -> Option<(usize, Qualifier)> {
        self.terms.iter().enumerate().find_map(|(at, term)| match term.kind {
            TermKind::Directive(qualifier, Mechanism::All) => Some((at, qualifier)),
            _ => None,
        })
    }

    /// The modifiers with the numbers of their terms.
    fn modifiers(&self) -> impl Iterator<Item = (usize, &Modifier)> {
        self.terms.iter().enumerate().filter_map(|(at, term)| match &term.kind {
            TermKind::Modifier(modifier) => Some((at, modifier)),
            _ => None,
        })
    }
}

/// True if a text is an SPF record: the version alone, or followed by a space (RFC 7208 §4.5, §12: in any case).
pub fn is_spf(text: &[u8]) -> bool {
    let (version, rest) = text.split_at_checked(VERSION.len()).unwrap_or((text, &[]));
    version.eq_ignore_ascii_case(VERSION) && matches!(rest.first(), None | Some(b' '))
}

/// The version that begins every record.
pub(super) const VERSION: &[u8] = b"v=spf1";

/// Octets as text: other than printable ASCII as `\xNN`.
pub(super) fn shown(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) if octets.iter().all(|octet| matches!(octet, b' '..=b'~')) => Cow::Borrowed(text),
        _ => {
            let mut text = String::with_capacity(octets.len() + 8);
            for &octet in octets {
                if matches!(octet, b' '..=b'~') {
                    text.push(char::from(octet));
                } else {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\x{octet:02x}");
                }
            }
            Cow::Owned(text)
        }
    }
}
