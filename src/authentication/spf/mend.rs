//! What a faulty term was probably meant to be.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::fault::FaultKind;
use super::record::{Modifier, Record, TermKind};

/// The mechanisms.
const MECHANISMS: [&str; 8] = ["include", "exists", "all", "ip4", "ip6", "ptr", "mx", "a"];

/// Names that people write for a mechanism, and its own.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("ip", "ip4"),
    ("ipv4", "ip4"),
    ("ipv6", "ip6"),
    ("inc", "include"),
    ("includes", "include"),
    ("incl", "include"),
    ("exist", "exists"),
    ("aaaa", "a"),
    ("redirect", "redirect"),
];

/// The term as it was probably meant, if that can be guessed; empty if it should go.
///
/// The guess has the same qualifier and is itself a valid term.
pub(super) fn term(kind: FaultKind, text: &str) -> Option<String> {
    let guess = match kind {
        FaultKind::AddressAsDomain | FaultKind::OtherFamily => of_address(text),
        FaultKind::BadNetwork => of_network(text),
        FaultKind::UnknownMechanism => of_unknown(text),
        FaultKind::BadPrefix => of_prefix(text),
        FaultKind::OddOctet => return spaced(text),
        FaultKind::UnexpectedArgument => stripped(text),
        FaultKind::NoMechanism => Some(String::new()),
        _ => None,
    }?;
    (guess != text && is_valid(&guess)).then_some(guess)
}

/// What an unknown modifier was probably meant to be: RFC 7208 §6 has it ignored, which is rarely what was meant.
pub fn modifier(record: &Record, term: usize) -> Option<String> {
    let term = record.terms.get(term)?;
    let TermKind::Modifier(Modifier::Unknown(name)) = &term.kind else { return None };
    let name = record.part(*name).to_ascii_lowercase();
    let text = record.part(term.span);
    let (_, value) = text.split_once('=')?;
    if name == "v" {
        // The beginning of a second record, glued to the first.
        return Some(String::new());
    }
    let meant = MECHANISMS.iter().copied().find(|known| *known == name);
    let meant =
        meant.or_else(|| OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, own)| *own))?;
    let guess = match (meant, is_address(value)) {
        ("all", _) => "~all".to_owned(),
        (_, Some(family)) => format!("{family}:{value}"),
        (meant, None) => format!("{meant}:{value}"),
    };
    is_valid(&guess).then_some(guess)
}

/// True if a term is sound, or is to go.
fn is_valid(term: &str) -> bool {
    let record = Record::parse(format!("v=spf1 {term}").into_bytes());
    record.faults.is_empty() && record.terms.len() <= 1
}

/// The qualifier as written, and the rest.
fn qualified(text: &str) -> (&str, &str) {
    let length = usize::from(text.starts_with(['+', '-', '~', '?']));
    text.split_at_checked(length).unwrap_or(("", text))
}

/// `ip4` or `ip6` if a text is an address, with or without a prefix.
fn is_address(text: &str) -> Option<&'static str> {
    let address = text.split('/').next().unwrap_or_default();
    if address.parse::<Ipv4Addr>().is_ok() {
        Some("ip4")
    } else {
        address.parse::<Ipv6Addr>().is_ok().then_some("ip6")
    }
}

/// The mechanism of networks for an argument that is an address.
fn of_address(text: &str) -> Option<String> {
    let (qualifier, body) = qualified(text);
    let (_, argument) = body.split_once([':', '='])?;
    Some(format!("{qualifier}{}:{argument}", is_address(argument)?))
}

/// `ip4:host.example` was meant as `a:host.example`; `ip4:192.0.2` lacks an octet.
fn of_network(text: &str) -> Option<String> {
    let (qualifier, body) = qualified(text);
    let (_, argument) = body.split_once(':')?;
    let plain = argument.trim_matches(|c: char| !c.is_ascii_hexdigit() && c != ':');
    if let Some(family) = is_address(plain) {
        return Some(format!("{qualifier}{family}:{plain}"));
    }
    let (host, _) = argument.split_once('/').unwrap_or((argument, ""));
    let has_letters = host.bytes().any(|octet| octet.is_ascii_alphabetic());
    (has_letters && !host.contains(':')).then(|| format!("{qualifier}a:{host}"))
}

/// A mechanism that does not exist.
fn of_unknown(text: &str) -> Option<String> {
    let (qualifier, body) = qualified(text);
    if let Some(family) = is_address(body) {
        return Some(format!("{qualifier}{family}:{body}"));
    }
    let lower = body.to_ascii_lowercase();
    let (name, argument) = body.split_once(':').unwrap_or((body, ""));
    let other = OTHER_NAMES.iter().find(|(other, _)| name.eq_ignore_ascii_case(other));
    match other {
        Some((_, "redirect")) => return Some(format!("redirect={argument}")),
        Some((_, own)) => match is_address(argument) {
            Some(family) => return Some(format!("{qualifier}{family}:{argument}")),
            None => return Some(format!("{qualifier}{own}:{argument}")),
        },
        None => {}
    }
    if let Some(clean) = stripped(text) {
        return Some(clean);
    }
    // `include.spf.example`, `includespf.example`, `mx-mail.example`: the colon is missing.
    for known in MECHANISMS {
        let Some(rest) = lower.strip_prefix(known).filter(|rest| !rest.is_empty()) else { continue };
        let rest = rest.trim_start_matches(['.', '-', ';', ',', '_', '=']);
        let is_long = known.len() > 2;
        let guess = match (known, is_address(rest)) {
            ("all", _) => continue,
            (_, Some(family)) => format!("{qualifier}{family}:{rest}"),
            (known, None) if is_long => format!("{qualifier}{known}:{rest}"),
            _ => continue,
        };
        if is_valid(&guess) {
            return Some(guess);
        }
    }
    // A name alone.
    let is_name = !body.contains(':') && body.contains('.');
    is_name.then(|| format!("{qualifier}a:{body}"))
}

/// A prefix with leading zeros, or none behind the slash.
fn of_prefix(text: &str) -> Option<String> {
    let (front, digits) = text.rsplit_once('/')?;
    let number = digits.trim_start_matches('0');
    match (digits.is_empty(), number.is_empty()) {
        (true, _) => Some(front.trim_end_matches('/').to_owned()),
        (false, true) => Some(format!("{front}/0")),
        (false, false) => Some(format!("{front}/{number}")),
    }
}

/// The terms between octets that no record may hold: tabs, line ends, blanks and quotes of word processors.
fn spaced(text: &str) -> Option<String> {
    let mut parts = text.split("\\x");
    let first = parts.next().unwrap_or_default();
    let others = parts.map(|part| part.get(2..).unwrap_or_default());
    let terms: Vec<&str> = std::iter::once(first).chain(others).filter(|part| !part.is_empty()).collect();
    let guess = terms.join(" ");
    let record = Record::parse(format!("v=spf1 {guess}").into_bytes());
    record.faults.is_empty().then_some(guess)
}

/// The term without signs around it that belong to no term: quotes, commas, semicolons, other octets.
fn stripped(text: &str) -> Option<String> {
    let clean =
        text.trim_matches(|c: char| matches!(c, '"' | '\'' | ',' | ';' | '.' | ':' | '(' | ')' | '`'));
    (!clean.is_empty() && clean != text && is_valid(clean)).then(|| clean.to_owned())
}
