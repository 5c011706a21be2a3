//! Reverse names of the addresses that send or take the domain's mail, and the names by which servers greet.

use std::net::IpAddr;

use crate::dns::{Answers, Ask, Name, Outcome, RecordType};
use crate::dns_health::addresses::special_use;
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::mx;
use crate::limits;

codes! {
    PTR_NONE = "PTR-NONE", Error, "RFC 1912 §2.1, RFC 8601 §2.7.3", "an address that sends mail has no reverse name: large receivers refuse it", "ask the owner of the address (your provider) for a PTR record with the host's name";
    PTR_FCRDNS = "PTR-FCRDNS", Error, "RFC 8601 §2.7.3", "the reverse name of an address does not lead back to it", "publish the address at that name, or change the PTR record to the host's name";
    PTR_GENERIC = "PTR-GENERIC", Warning, "RFC 8601 §2.7.3", "the reverse name of an address is made of the address, as of dial-up lines", "ask the owner of the address for a PTR record with the host's name";
    SMTP_BANNER = "SMTP-BANNER", Info, "RFC 5321 §4.2", "a mail server greets by another name than its own", "nothing; some tools compare the two";
}

/// Checks reverse names and greetings.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let mut all: Vec<(IpAddr, Option<Name>)> = facts.sources.iter().map(|address| (*address, None)).collect();
    for host in look_ups.take(mx::hosts(&facts.domain, answers)).unwrap_or_default() {
        for address in look_ups.take(mx::addresses(&host, answers)).unwrap_or_default() {
            if !all.iter().any(|(known, _)| *known == address) {
                all.push((address, Some(host.clone())));
            }
        }
    }
    all.truncate(limits::HEALTH_SOURCES);
    for (address, host) in &all {
        if special_use(*address).is_some() {
            checks.skip(&PTR_NONE, address, "no public address");
            continue;
        }
        if let Some(part) = look_ups.take(reverse(*address, host.as_ref(), answers)) {
            checks.all.extend(part.all);
        }
    }
    look_ups.done()?;
    for ((host, address), dialogue) in &facts.dialogues {
        let Ok(spoken) = &dialogue.outcome else { continue };
        let name = spoken.greeting.split(' ').next().unwrap_or_default().trim_end_matches('.');
        if name.eq_ignore_ascii_case(host.as_str()) {
            checks.pass(&SMTP_BANNER, host);
        } else {
            checks.find(Finding::new(&SMTP_BANNER, host, format!("{address} greets as `{name}`")));
        }
    }
    Ok(checks)
}

/// The reverse name of one address; `host`: the MX host that has it. What only takes mail need not have one.
fn reverse(address: IpAddr, host: Option<&Name>, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let severity = |usual: Severity| if host.is_some() { Severity::Note } else { usual };
    let subject = host.map_or_else(|| address.to_string(), |host| format!("{address} ({host})"));
    let answer = answers.get(&Name::reverse(address), RecordType::Ptr)?;
    let names: Vec<&Name> = answer.names().take(limits::HEALTH_PTR_NAMES).collect();
    match &answer.outcome {
        Outcome::NotKnown(trouble) => {
            checks.unknown(&PTR_NONE, &subject, trouble);
            checks.unknown(&PTR_FCRDNS, &subject, trouble);
            return Ok(checks);
        }
        _ if names.is_empty() => {
            let evidence = format!("{} has no PTR record", Name::reverse(address));
            checks.find(Finding::new(&PTR_NONE, &subject, evidence).severity(severity(Severity::Error)));
            return Ok(checks);
        }
        _ => checks.pass(&PTR_NONE, &subject),
    }
    let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
    let mut look_ups = LookUps::new(answers);
    let forward: Vec<_> =
        names.iter().filter_map(|name| Some((*name, look_ups.get(name, record_type)?))).collect();
    look_ups.done()?;
    let confirmed = forward.iter().find(|(_, answer)| answer.addresses().any(|other| other == address));
    let trouble = forward.iter().find_map(|(_, answer)| answer.trouble());
    match (confirmed, trouble) {
        (Some(_), _) => checks.pass(&PTR_FCRDNS, &subject),
        (None, Some(trouble)) => checks.unknown(&PTR_FCRDNS, &subject, trouble),
        (None, None) => {
            let list: Vec<String> = names.iter().map(ToString::to_string).collect();
            let evidence = format!("the reverse name {} does not have this address", list.join(", "));
            checks.find(Finding::new(&PTR_FCRDNS, &subject, evidence).severity(severity(Severity::Error)));
        }
    }
    let name = confirmed.map_or_else(|| names.first().copied(), |(name, _)| Some(*name));
    match name.filter(|name| is_generic(name, address)) {
        Some(name) => {
            checks.find(
                Finding::new(&PTR_GENERIC, &subject, format!("its name is {name}"))
                    .severity(severity(Severity::Warning)),
            );
        }
        None => checks.pass(&PTR_GENERIC, &subject),
    }
    Ok(checks)
}

/// True if a reverse name is made of its address: three of its four numbers stand in it, or the name says so.
fn is_generic(name: &Name, address: IpAddr) -> bool {
    let text = name.as_str();
    let words = ["dynamic", "dhcp", "dialup", "pool", "ppp", "dsl", "cable"];
    let mut labels = text.split(['.', '-']);
    if labels.any(|label| words.contains(&label)) {
        return true;
    }
    match address {
        IpAddr::V4(address) => {
            let numbers: Vec<&str> =
                text.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
            let octets = address.octets();
            let is_written =
                |octet: &&u8| numbers.iter().any(|number| number.parse::<u32>() == Ok(u32::from(**octet)));
            let count = octets.iter().filter(is_written).count();
            let [a, b, c, d] = octets;
            let padded = format!("{a:03}{b:03}{c:03}{d:03}");
            (numbers.len() >= 3 && count >= 3) || text.contains(&padded)
        }
        IpAddr::V6(address) => {
            let written = format!("{:032x}", address.to_bits());
            text.replace(['-', '.', ':'], "").contains(written.get(16..).unwrap_or(&written))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{facts, fixture, name, troubles};

    #[test]
    fn reverse_names_in_order_wrong_and_not_known() {
        let zone = fixture!("hosts.zone");
        for (address, want) in [
            ("198.50.1.1", vec![]),
            ("198.50.1.2", vec!["PTR-NONE error 198.50.1.2"]),
            ("198.50.1.3", vec!["PTR-FCRDNS error 198.50.1.3"]),
            ("198.50.1.4", vec!["PTR-GENERIC warning 198.50.1.4"]),
            ("198.50.1.5", vec!["PTR-FCRDNS not-known 198.50.1.5", "PTR-NONE not-known 198.50.1.5"]),
            ("198.50.1.6", vec!["PTR-FCRDNS not-known 198.50.1.6"]),
            ("2a0a::1", vec![]),
            ("10.0.0.1", vec![]),
        ] {
            let mut facts = facts("sender.example");
            facts.sources = vec![address.parse().unwrap()];
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{address}");
        }
        // A host that only takes mail may do without.
        let facts = facts("taker.example");
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        assert_eq!(troubles(&checks), ["PTR-NONE note 198.50.1.2 (mx.taker.example)"]);
    }

    #[test]
    fn names_made_of_addresses() {
        for (text, address, want) in [
            ("static-1-2-0-192.isp.example", "192.0.2.1", true),
            ("host192.0.2.1.isp.example", "192.0.2.1", true),
            ("192000002001.isp.example", "192.0.2.1", true),
            ("pool-7.isp.example", "192.0.2.1", true),
            ("mail2.example.com", "192.0.2.1", false),
            ("mx1-2.example.com", "1.2.0.9", false),
            ("mail.example.com", "2001:db8::1", false),
            ("2001-db8-0-0-0000-0000-0000-0001.isp.example", "2001:db8::1", true),
        ] {
            assert_eq!(is_generic(&name(text), address.parse().unwrap()), want, "{text}");
        }
    }
}
