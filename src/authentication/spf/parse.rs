//! The reader of records: RFC 7208 §12, term by term, past every fault.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::fault::{Fault, FaultKind};
use super::macros::{Piece, pieces};
use super::mend;
use super::record::{
    DomainSpec, Mechanism, Modifier, Prefixes, Qualifier, Span, Term, TermKind, VERSION, shown,
};
use crate::limits;

/// A fault on its way up: what and where.
type Wrong = (FaultKind, Span);

/// Reads the terms of a record and all its faults, in order.
pub(super) fn terms(record: &[u8]) -> (Vec<Term>, Vec<Fault>) {
    let count = memchr::memchr_iter(b' ', record).take(limits::SPF_TERMS).count();
    let mut terms = Vec::with_capacity(count);
    let mut faults = Vec::new();
    let (mut has_redirect, mut has_exp) = (false, false);
    let mut at = VERSION.len();
    while at < record.len() {
        let rest = record.get(at..).unwrap_or_default();
        let length = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        if length == 0 {
            at += 1;
            continue;
        }
        let span = Span { start: at, end: at + length };
        at += length + 1;
        let source = Source { record, span };
        let kind = match source.term() {
            Ok(kind) => {
                let is_twice = match &kind {
                    TermKind::Modifier(Modifier::Redirect(_)) => std::mem::replace(&mut has_redirect, true),
                    TermKind::Modifier(Modifier::Exp(_)) => std::mem::replace(&mut has_exp, true),
                    _ => false,
                };
                if is_twice {
                    // RFC 7208 §6: redirect and exp must not appear more than once each.
                    let mend = Some(String::new());
                    faults.push(Fault { kind: FaultKind::TwiceModifier, span, term: terms.len(), mend });
                }
                kind
            }
            Err((kind, place)) => {
                let mend = mend::term(kind, &shown(source.text()));
                faults.push(Fault { kind, span: place, term: terms.len(), mend });
                TermKind::Faulty
            }
        };
        terms.push(Term { span, kind });
    }
    (terms, faults)
}

/// One term within its record.
#[derive(Clone, Copy)]
struct Source<'r> {
    record: &'r [u8],
    span: Span,
}

impl<'r> Source<'r> {
    /// The octets of the term.
    fn text(&self) -> &'r [u8] {
        self.octets(self.span)
    }

    /// The octets of a part.
    fn octets(&self, span: Span) -> &'r [u8] {
        self.record.get(span.start..span.end).unwrap_or_default()
    }

    /// Reads the term.
    fn term(&self) -> Result<TermKind, Wrong> {
        let text = self.text();
        if let Some(at) = text.iter().position(|octet| !matches!(octet, b'!'..=b'~')) {
            let start = self.span.start + at;
            return Err((FaultKind::OddOctet, Span { start, end: start + 1 }));
        }
        if let Some(length) = modifier_name(text) {
            return self.modifier(length).map(TermKind::Modifier);
        }
        let (qualifier, start) = match text.first() {
            Some(b'+') => (Qualifier::Pass, self.span.start + 1),
            Some(b'-') => (Qualifier::Fail, self.span.start + 1),
            Some(b'~') => (Qualifier::SoftFail, self.span.start + 1),
            Some(b'?') => (Qualifier::Neutral, self.span.start + 1),
            _ => (Qualifier::Pass, self.span.start),
        };
        let body = Span { start, end: self.span.end };
        Ok(TermKind::Directive(qualifier, self.mechanism(body)?))
    }

    /// Reads a modifier whose name has so many octets.
    fn modifier(&self, length: usize) -> Result<Modifier, Wrong> {
        let name = Span { start: self.span.start, end: self.span.start + length };
        let value = Span { start: name.end + 1, end: self.span.end };
        let is = |known: &[u8]| self.octets(name).eq_ignore_ascii_case(known);
        if is(b"redirect") {
            return self.domain(value).map(Modifier::Redirect);
        }
        if is(b"exp") {
            return self.domain(value).map(Modifier::Exp);
        }
        // RFC 7208 §6: an unknown modifier is ignored, but its macros must be well-formed.
        for piece in pieces(self.octets(value)) {
            piece.map_err(|(kind, start, end)| (kind, within(value, start, end)))?;
        }
        Ok(Modifier::Unknown(name))
    }

    /// Reads a mechanism without its qualifier.
    fn mechanism(&self, body: Span) -> Result<Mechanism, Wrong> {
        let text = self.octets(body);
        let length = text.iter().position(|octet| matches!(octet, b':' | b'/')).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
        let after = Span { start: body.start + length, end: body.end };
        // What follows the colon; absent without one.
        let argument =
            (rest.first() == Some(&b':')).then_some(Span { start: after.start + 1, end: after.end });
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            0 => Err((FaultKind::NoMechanism, self.span)),
            3 if is(b"all") => self.nothing(after).map(|()| Mechanism::All),
            3 if is(b"ip4") => self.ip4(argument.ok_or((FaultKind::NoNetwork, body))?),
            3 if is(b"ip6") => self.ip6(argument.ok_or((FaultKind::NoNetwork, body))?),
            7 if is(b"include") => self.required(body, after, argument).map(Mechanism::Include),
            6 if is(b"exists") => self.required(body, after, argument).map(Mechanism::Exists),
            3 if is(b"ptr") => match argument {
                Some(argument) => Ok(Mechanism::Ptr(Some(self.domain(argument)?))),
                None => self.nothing(after).map(|()| Mechanism::Ptr(None)),
            },
            1 if is(b"a") => {
                self.with_prefixes(after).map(|(target, prefixes)| Mechanism::A(target, prefixes))
            }
            2 if is(b"mx") => self.host(after).map(|(target, prefixes)| Mechanism::Mx(target, prefixes)),
            _ => Err((FaultKind::UnknownMechanism, Span { start: body.start, end: body.start + length })),
        }
    }

    /// Nothing may stand here.
    fn nothing(&self, after: Span) -> Result<(), Wrong> {
        if self.octets(after).is_empty() { Ok(()) } else { Err((FaultKind::UnexpectedArgument, after)) }
    }

    /// The domain of a mechanism that must have one.
    fn required(&self, body: Span, after: Span, argument: Option<Span>) -> Result<DomainSpec, Wrong> {
        match argument {
            Some(argument) => self.domain(argument),
            None if self.octets(after).is_empty() => Err((FaultKind::NoDomain, body)),
            None => Err((FaultKind::UnexpectedArgument, after)),
        }
    }

    /// What follows `a` and `mx`; an address there is told before the faults that it brings.
    fn host(&self, after: Span) -> Result<(Option<DomainSpec>, Prefixes), Wrong> {
        self.with_prefixes(after).map_err(|wrong| {
            let argument = Span { start: (after.start + 1).min(after.end), end: after.end };
            let text = std::str::from_utf8(self.octets(argument)).unwrap_or_default();
            if is_address(text) { (FaultKind::AddressAsDomain, argument) } else { wrong }
        })
    }

    /// The optional domain and the optional prefixes of `a` and `mx`: `[":" domain] ["/" n] ["//" m]`.
    fn with_prefixes(&self, after: Span) -> Result<(Option<DomainSpec>, Prefixes), Wrong> {
        let mut prefixes = Prefixes::default();
        let mut end = after.end;
        let mut text = self.octets(after);
        // A domain may hold slashes (RFC 7208 §7.1), so prefixes are read from the end.
        if let Some((rest, digits)) = trailing_number(text, b"//") {
            prefixes.six = Some(
                prefix(digits, 128)
                    .ok_or((FaultKind::BadPrefix, Span { start: after.start + rest.len(), end }))?,
            );
            text = rest;
            end = after.start + text.len();
        }
        if let Some((rest, digits)) = trailing_number(text, b"/") {
            prefixes.four = Some(
                prefix(digits, 32)
                    .ok_or((FaultKind::BadPrefix, Span { start: after.start + rest.len(), end }))?,
            );
            text = rest;
            end = after.start + text.len();
        }
        match text.first() {
            None => Ok((None, prefixes)),
            Some(b':') => {
                let target = self.domain(Span { start: after.start + 1, end })?;
                Ok((Some(target), prefixes))
            }
            Some(_) => Err((FaultKind::BadPrefix, Span { start: after.start, end: after.end })),
        }
    }

    /// The network and prefix of `ip4`.
    fn ip4(&self, argument: Span) -> Result<Mechanism, Wrong> {
        let (network, length) = self.network(argument, 32)?;
        if let Some(address) = network.parse::<Ipv4Addr>().ok().filter(|_| network.is_ascii()) {
            return Ok(Mechanism::Ip4(address, length));
        }
        let kind = match network.parse::<Ipv6Addr>() {
            Ok(_) => FaultKind::OtherFamily,
            Err(_) if network.is_empty() => FaultKind::NoNetwork,
            Err(_) => FaultKind::BadNetwork,
        };
        Err((kind, argument))
    }

    /// The network and prefix of `ip6`.
    fn ip6(&self, argument: Span) -> Result<Mechanism, Wrong> {
        let (network, length) = self.network(argument, 128)?;
        if let Ok(address) = network.parse::<Ipv6Addr>() {
            return Ok(Mechanism::Ip6(address, length));
        }
        let kind = match network.parse::<Ipv4Addr>() {
            Ok(_) => FaultKind::OtherFamily,
            Err(_) if network.is_empty() => FaultKind::NoNetwork,
            Err(_) => FaultKind::BadNetwork,
        };
        Err((kind, argument))
    }

    /// Divides a network from its prefix, which is `most` where none is written.
    fn network(&self, argument: Span, most: u8) -> Result<(&'r str, u8), Wrong> {
        let octets = self.octets(argument);
        let text = std::str::from_utf8(octets).map_err(|_| (FaultKind::BadNetwork, argument))?;
        match text.split_once('/') {
            None => Ok((text, most)),
            Some((network, digits)) => {
                let place = Span { start: argument.start + network.len(), end: argument.end };
                // An address of the other family has other prefixes: that is the fault to be told first.
                let is_other = (most == 32) == network.contains(':') && !network.is_empty();
                match prefix(digits.as_bytes(), most) {
                    Some(length) => Ok((network, length)),
                    None if is_other && prefix(digits.as_bytes(), 128).is_some() => Ok((network, most)),
                    None => Err((FaultKind::BadPrefix, place)),
                }
            }
        }
    }

    /// A `domain-spec` (RFC 7208 §7.1): macros and literals that end in a top label or in a macro.
    fn domain(&self, span: Span) -> Result<DomainSpec, Wrong> {
        let text = self.octets(span);
        if text.is_empty() {
            return Err((FaultKind::NoDomain, self.span));
        }
        let (mut has_macros, mut has_names) = (false, false);
        // The literal at the end, and the place of its first octet.
        let mut tail: Option<(&[u8], usize)> = None;
        if memchr::memchr(b'%', text).is_none() {
            tail = Some((text, span.start));
        } else {
            for piece in pieces(text) {
                let (piece, start, end) =
                    piece.map_err(|(kind, start, end)| (kind, within(span, start, end)))?;
                tail = match piece {
                    Piece::Literal(literal) => Some((literal, span.start + start)),
                    Piece::Macro(expression) if expression.is_of_explanations() => {
                        return Err((FaultKind::ExplanationMacro, within(span, start, end)));
                    }
                    Piece::Macro(expression) => {
                        has_names |= expression.letter == b'p';
                        None
                    }
                    Piece::Escape(_) => None,
                };
                has_macros |= !matches!(piece, Piece::Literal(_));
            }
        }
        if let Some((literal, start)) = tail {
            self.top_label(literal, start, span, has_macros)?;
        }
        Ok(DomainSpec { span, has_macros, has_names })
    }

    /// Checks the end of a domain: `"." toplabel [ "." ]`.
    fn top_label(&self, literal: &[u8], start: usize, domain: Span, has_macros: bool) -> Result<(), Wrong> {
        let whole = literal;
        let literal = literal.strip_suffix(b".").unwrap_or(literal);
        let is_alone = memchr::memrchr(b'.', literal).is_none();
        let dot = memchr::memrchr(b'.', literal).map_or(0, |at| at + 1);
        let label = literal.get(dot..).unwrap_or_default();
        let place = Span { start: start + dot, end: start + whole.len() };
        if !is_top_label(label) {
            let text = std::str::from_utf8(self.octets(domain)).unwrap_or_default();
            let is_address = !has_macros && is_address(text);
            return Err(if is_address {
                (FaultKind::AddressAsDomain, domain)
            } else {
                (FaultKind::BadTopLabel, place)
            });
        }
        if is_alone {
            let kind = if has_macros { FaultKind::BadTopLabel } else { FaultKind::SingleLabel };
            return Err((kind, place));
        }
        Ok(())
    }
}

/// True for an address, with or without a prefix.
fn is_address(text: &str) -> bool {
    let address = text.split('/').next().unwrap_or_default();
    address.parse::<Ipv4Addr>().is_ok() || address.parse::<Ipv6Addr>().is_ok()
}

/// A place within a part.
const fn within(part: Span, start: usize, end: usize) -> Span {
    Span { start: part.start + start, end: part.start + end }
}

/// The octets of a modifier's name if the term is a modifier: `name "="` (RFC 7208 §4.6.1).
fn modifier_name(term: &[u8]) -> Option<usize> {
    if !term.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    let length = term
        .iter()
        .position(|octet| !(octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.')))?;
    (term.get(length) == Some(&b'=')).then_some(length)
}

/// Divides a text that ends in a mark and digits; the digits may be none.
fn trailing_number<'t>(text: &'t [u8], mark: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let digits = text.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let (front, number) = text.split_at_checked(text.len() - digits)?;
    Some((front.strip_suffix(mark)?, number))
}

/// A prefix length without leading zeros, at most `most` (RFC 7208 §5.6).
fn prefix(digits: &[u8], most: u8) -> Option<u8> {
    let is_number = !digits.is_empty() && digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit);
    if !is_number || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    let number = digits.iter().fold(0_u16, |sum, octet| sum * 10 + u16::from(octet - b'0'));
    u8::try_from(number).ok().filter(|number| *number <= most)
}

/// `toplabel`: letters, digits and inner hyphens, not digits alone (RFC 7208 §7.1).
fn is_top_label(label: &[u8]) -> bool {
    let is_sound = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    label.iter().all(is_sound)
        && label.first().is_some_and(u8::is_ascii_alphanumeric)
        && label.last().is_some_and(u8::is_ascii_alphanumeric)
        && !label.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
