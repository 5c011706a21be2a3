//! The zone: its name servers and start of authority.

use crate::dns::{Answers, Ask, Name, RecordData, RecordType, Soa};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, codes};
use crate::dns_health::look_ups::LookUps;

codes! {
    DNS_UNREACHABLE = "DNS-UNREACHABLE", Critical, "RFC 1035 §4.1.1, RFC 8914 §4", "nobody answers for the domain: all else is not known", "mend the name servers first";
}

/// The zone in which a name stands: the nearest name at or above it with a start of authority; nothing where
/// that is not known. Errors: what to ask.
pub fn apex(name: &Name, answers: &Answers) -> Result<Option<Name>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let mut found = Vec::new();
    let count = name.label_count();
    for labels in (1..=count).rev() {
        let candidate = name.last_labels(labels);
        if let Some(answer) = look_ups.get(&candidate, RecordType::Soa) {
            found.push((candidate, answer));
        }
    }
    look_ups.done()?;
    for (candidate, answer) in found {
        if answer.trouble().is_some() {
            return Ok(None);
        }
        if answer.data().iter().any(|data| matches!(data, RecordData::Soa(_))) && answer.aliases.is_empty() {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// The start of authority at a name. Errors: what to ask.
pub fn soa<'a>(zone: &Name, answers: &'a Answers) -> Result<Option<&'a Soa>, Ask> {
    let answer = answers.get(zone, RecordType::Soa)?;
    Ok(answer.data().iter().find_map(|data| match data {
        RecordData::Soa(soa) => Some(soa),
        _ => None,
    }))
}

/// Checks that anybody answers.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let types = [RecordType::Mx, RecordType::Txt, RecordType::A, RecordType::Aaaa];
    let found = types.map(|record_type| look_ups.get(domain, record_type));
    look_ups.done()?;
    let troubles: Vec<_> = found.into_iter().flatten().filter_map(|answer| answer.trouble()).collect();
    match troubles.first() {
        Some(first) if troubles.len() == types.len() => {
            let mut evidence = first.cause.as_str().to_owned();
            if !first.detail.is_empty() {
                evidence = format!("{evidence}: {}", first.detail);
            }
            checks.find(Finding::new(&DNS_UNREACHABLE, domain, evidence));
        }
        _ => checks.pass(&DNS_UNREACHABLE, domain),
    }
    Ok(checks)
}
