//! The zone: does anybody answer, are its servers in order and of one mind, is it signed?

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::dns::{
    Answer, Answers, Ask, Cause, Name, Outcome, Question, RecordData, RecordType, Security, Soa,
};
use crate::dns_health::facts::{Authority, Facts};
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::limits;

codes! {
    DNS_UNREACHABLE = "DNS-UNREACHABLE", Critical, "RFC 1035 §4.1.1, RFC 8914 §4", "nobody answers for the domain: all else is not known", "mend the name servers first";
    DNS_NS_COUNT = "DNS-NS-COUNT", Warning, "RFC 2182 §5", "only one name server, or all of them in one network", "add a second server in another network";
    DNS_NS_CNAME = "DNS-NS-CNAME", Error, "RFC 2181 §10.3, RFC 1912 §2.4", "a name server is an alias or has no address", "name a host with an address of its own";
    DNS_SOA = "DNS-SOA", Note, "RFC 1912 §2.2, RFC 2308 §5", "times of the start of authority that are out of the usual range", "use about 7200 refresh, 3600 retry, 1209600 expire, 3600 minimum";
    DNS_LAME = "DNS-LAME", Error, "RFC 1912 §2.8", "a name server of the zone does not answer for it", "remove the server from the delegation, or repair it";
    DNS_CONSISTENT = "DNS-CONSISTENT", Error, "RFC 1034 §4.3.5", "name servers of the zone answer differently", "find out why the secondary holds another zone: transfers, serial number";
    DNS_NS_MISMATCH = "DNS-NS-MISMATCH", Warning, "RFC 1034 §4.2.2", "a name server lists other servers than the resolver found", "align the registrar's list and the zone";
    DNS_TTL = "DNS-TTL", Note, "RFC 2308 §5, RFC 1912 §2.2", "mail records that are remembered for very long or hardly at all", "use 300 to 86400 seconds; lower them before a change";
    DNS_DNSSEC = "DNS-DNSSEC", Info, "RFC 4035 §4.3", "what DNSSEC says about the domain's mail records", "sign the zone, and publish the DS record at the registrar; DANE needs it";
}

/// The name server types asked of each authority: what mail depends on.
const MAIL_RECORDS: [(&str, RecordType); 6] = [
    ("", RecordType::Mx),
    ("", RecordType::Txt),
    ("", RecordType::Ns),
    ("_dmarc", RecordType::Txt),
    ("_mta-sts", RecordType::Txt),
    ("_smtp._tls", RecordType::Txt),
];

/// The zone in which a name stands: the nearest name at or above it with a start of authority; nothing where
/// that is not known. Errors: what to ask.
pub fn apex(name: &Name, answers: &Answers) -> Result<Option<Name>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let mut found = Vec::new();
    for labels in (1..=name.label_count()).rev() {
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
        if answer.aliases.is_empty() && start(answer).is_some() {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// The start of authority in an answer.
fn start(answer: &Answer) -> Option<&Soa> {
    answer.data().iter().find_map(|data| match data {
        RecordData::Soa(soa) => Some(soa),
        _ => None,
    })
}

/// The addresses of the zone's name servers, to ask each of them. Errors: what to ask.
pub fn servers(domain: &Name, answers: &Answers) -> Result<Vec<(Name, IpAddr)>, Ask> {
    let Some(zone) = apex(domain, answers)? else { return Ok(Vec::new()) };
    let names: Vec<Name> = answers.get(&zone, RecordType::Ns)?.names().cloned().collect();
    let mut look_ups = LookUps::new(answers);
    let mut all = Vec::new();
    for name in names.into_iter().take(limits::HEALTH_SERVERS) {
        for record_type in [RecordType::A, RecordType::Aaaa] {
            let answer = look_ups.get(&name, record_type);
            all.extend(answer.into_iter().flat_map(Answer::addresses).map(|address| (name.clone(), address)));
        }
    }
    look_ups.done()?;
    all.sort();
    all.dedup();
    Ok(all)
}

/// What each name server is asked about a domain.
pub fn questions(domain: &Name, zone: &Name) -> Vec<Question> {
    let mut all = vec![Question::new(zone.clone(), RecordType::Soa)];
    for (front, record_type) in MAIL_RECORDS {
        let name = if front.is_empty() { Ok(domain.clone()) } else { domain.below(front) };
        let is_cut = record_type == RecordType::Ns && domain != zone;
        all.extend(name.ok().filter(|_| !is_cut).map(|name| Question::new(name, record_type)));
    }
    all
}

/// Checks the zone.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let types = [RecordType::Mx, RecordType::Txt, RecordType::A, RecordType::Aaaa];
    let found = types.map(|record_type| look_ups.get(domain, record_type));
    let dmarc = domain.below("_dmarc").ok().and_then(|name| look_ups.get(&name, RecordType::Txt));
    // Asked beside the start of authority, not after it: the zone is nearly always the domain, or what is right above
    // it unless that is a top-level domain.
    let above = domain.parent().filter(|parent| parent.label_count() > 1);
    for likely in [Some(domain), above.as_ref()].into_iter().flatten() {
        look_ups.get(likely, RecordType::Ns);
    }
    let zone = look_ups.take(apex(domain, answers)).flatten();
    let ns = zone.as_ref().and_then(|zone| look_ups.get(zone, RecordType::Ns));
    let soa = zone.as_ref().and_then(|zone| look_ups.get(zone, RecordType::Soa));
    let mut hosts = Vec::new();
    for name in ns.into_iter().flat_map(Answer::names).take(limits::HEALTH_SERVERS) {
        let four = look_ups.get(name, RecordType::A);
        let six = look_ups.get(name, RecordType::Aaaa);
        if let (Some(four), Some(six)) = (four, six) {
            hosts.push((name, four, six));
        }
    }
    look_ups.done()?;
    let found: Vec<&Answer> = found.into_iter().flatten().collect();
    let troubles: Vec<_> = found.iter().filter_map(|answer| answer.trouble()).collect();
    match troubles.first() {
        Some(first) if troubles.len() == types.len() => {
            let mut evidence = first.cause.as_str().to_owned();
            if !first.detail.is_empty() {
                evidence = format!("{evidence}: {}", first.detail);
            }
            if first.cause == Cause::Budget {
                checks.unknown(&DNS_UNREACHABLE, domain, first);
            } else {
                checks.find(Finding::new(&DNS_UNREACHABLE, domain, evidence));
            }
        }
        _ => checks.pass(&DNS_UNREACHABLE, domain),
    }
    signed(&mut checks, domain, found.iter().copied().chain(dmarc));
    lifetimes(&mut checks, domain, found.iter().copied().chain(dmarc), soa.and_then(start));
    if let Some(zone) = &zone {
        name_servers(&mut checks, zone, ns, &hosts);
        if let Some(soa) = soa.and_then(start) {
            start_of_authority(&mut checks, zone, soa);
        }
        authorities(&mut checks, facts, zone, ns);
    }
    Ok(checks)
}

/// What DNSSEC says, by the worst answer.
fn signed<'a>(checks: &mut Checks, domain: &Name, found: impl Iterator<Item = &'a Answer>) {
    let states: BTreeSet<Security> = found
        .filter(|answer| answer.trouble().is_none_or(|trouble| trouble.cause == Cause::Bogus))
        .map(|answer| answer.security)
        .collect();
    if states.contains(&Security::Bogus) {
        let evidence = "signatures do not fit: resolvers that validate see nothing of the domain";
        let mend =
            "look for a DS record without its key, or signatures that have ended, and sign the zone anew";
        checks.find(Finding::new(&DNS_DNSSEC, domain, evidence).severity(Severity::Critical).mend(mend));
    } else if states.contains(&Security::Insecure) {
        checks.find(Finding::new(&DNS_DNSSEC, domain, "the zone is not signed"));
    } else if states.contains(&Security::Secure) {
        checks.pass(&DNS_DNSSEC, domain);
    } else {
        checks.unknown_for(&DNS_DNSSEC, domain, "not-validated", "the resolver in use does not validate");
    }
}

/// For how long records and their absence are remembered.
fn lifetimes<'a>(
    checks: &mut Checks,
    domain: &Name,
    found: impl Iterator<Item = &'a Answer>,
    soa: Option<&Soa>,
) {
    // What comes from a cache has less left than was published: only the long ones can be told.
    let longest = found.filter(|answer| !answer.data().is_empty()).filter_map(|answer| answer.ttl).max();
    if let Some(longest) = longest.filter(|longest| *longest > 86_400) {
        let evidence = format!("a mail record is remembered for {longest} s: a mistake in it stays as long");
        checks.find(Finding::new(&DNS_TTL, domain, evidence));
    } else if let Some(soa) = soa.filter(|soa| soa.minimum > 3_600) {
        let evidence = format!(
            "the absence of a record is remembered for up to {} s: a new one may stay unseen as long",
            soa.minimum
        );
        let mend = "lower the last number of the start of authority to 3600 or less before you add records";
        checks.find(Finding::new(&DNS_TTL, domain, evidence).severity(Severity::Info).mend(mend));
    } else {
        checks.pass(&DNS_TTL, domain);
    }
}

/// The name servers: how many, where, by which names.
fn name_servers(checks: &mut Checks, zone: &Name, ns: Option<&Answer>, hosts: &[(&Name, &Answer, &Answer)]) {
    let Some(ns) = ns else { return };
    if let Some(trouble) = ns.trouble() {
        checks.unknown(&DNS_NS_COUNT, zone, trouble);
        checks.unknown(&DNS_NS_CNAME, zone, trouble);
        return;
    }
    let mut wrong = Vec::new();
    for (name, four, six) in hosts {
        if let Some(target) = four.aliases.last().or(six.aliases.last()) {
            wrong.push(Finding::new(&DNS_NS_CNAME, name, format!("{name} is an alias of {target}")));
        } else if four.is_void() && six.is_void() {
            wrong.push(Finding::new(&DNS_NS_CNAME, name, format!("{name} has no address")));
        }
    }
    let trouble = hosts.iter().find_map(|(_, four, six)| four.trouble().or(six.trouble()));
    match trouble {
        Some(trouble) if wrong.is_empty() => checks.unknown(&DNS_NS_CNAME, zone, trouble),
        _ => checks.judge(&DNS_NS_CNAME, zone, wrong),
    }
    let addresses: Vec<IpAddr> =
        hosts.iter().flat_map(|(_, four, six)| four.addresses().chain(six.addresses())).collect();
    let networks: BTreeSet<String> = addresses.iter().map(|address| network(*address)).collect();
    let count = ns.names().count();
    if count == 1 {
        checks.find(Finding::new(&DNS_NS_COUNT, zone, "a single name server"));
    } else if let (1, Some(only)) = (networks.len(), networks.first()) {
        checks.find(Finding::new(&DNS_NS_COUNT, zone, format!("all {count} name servers are in {only}")));
    } else if addresses.is_empty()
        && let Some(trouble) = trouble
    {
        checks.unknown(&DNS_NS_COUNT, zone, trouble);
    } else {
        checks.pass(&DNS_NS_COUNT, zone);
    }
}

/// The /24 or /48 of an address.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// The times of the start of authority.
fn start_of_authority(checks: &mut Checks, zone: &Name, soa: &Soa) {
    let mut odd = Vec::new();
    let mut range = |what: &str, value: u32, least: u32, most: u32| {
        if value < least || value > most {
            odd.push(format!("{what} {value} s (usual: {least} to {most})"));
        }
    };
    range("refresh", soa.refresh, 1_200, 86_400);
    range("retry", soa.retry, 180, 43_200);
    range("expire", soa.expire, 604_800, 3_600_000);
    range("minimum", soa.minimum, 60, 86_400);
    if soa.retry >= soa.refresh {
        odd.push(format!("retry {} s is not less than refresh {} s", soa.retry, soa.refresh));
    }
    if soa.rname.label_count() < 2 {
        odd.push(format!("the mailbox of the person in charge is `{}`", soa.rname));
    }
    let found = if odd.is_empty() { Vec::new() } else { vec![Finding::new(&DNS_SOA, zone, odd.join(", "))] };
    checks.judge(&DNS_SOA, zone, found);
}

/// What each name server said itself.
fn authorities(checks: &mut Checks, facts: &Facts, zone: &Name, ns: Option<&Answer>) {
    let all = &facts.authorities;
    if all.is_empty() {
        for code in [&DNS_LAME, &DNS_CONSISTENT, &DNS_NS_MISMATCH] {
            match facts.authorities_silence {
                Some(why) => checks.unknown_for(code, zone, "not-reached", why),
                None => checks.skip(code, zone, "the name servers were not asked one by one"),
            }
        }
        return;
    }
    let mut lame = Vec::new();
    let mut silent = Vec::new();
    for authority in all {
        let whom = format!("{} ({})", authority.server, authority.address);
        let Some((_, answer, is_authority)) = authority.answers.first() else { continue };
        match answer.trouble() {
            None if *is_authority => {}
            None => lame.push(Finding::new(&DNS_LAME, &whom, "it answers without authority for the zone")),
            Some(trouble) => match trouble.cause {
                Cause::Refused | Cause::ServerFailure | Cause::Lame | Cause::ErrorCode => {
                    lame.push(Finding::new(
                        &DNS_LAME,
                        &whom,
                        format!("{}: {}", trouble.cause.as_str(), trouble.detail),
                    ));
                }
                // From here it may be our network.
                _ => silent.push((whom, trouble)),
            },
        }
    }
    // A whole family that is silent is our network, not their servers.
    let is_dead =
        |(whom, _): &&(String, &crate::dns::NotKnown)| whom.contains(':') && silent.len() == all.len();
    for (whom, trouble) in silent.iter().filter(|entry| !is_dead(entry)) {
        checks.unknown(&DNS_LAME, whom, trouble);
    }
    if silent.is_empty() || !lame.is_empty() {
        checks.judge(&DNS_LAME, zone, lame);
    }
    consistency(checks, zone, all);
    let listed: BTreeSet<&Name> = ns.into_iter().flat_map(Answer::names).collect();
    let mut other = Vec::new();
    for authority in all {
        for (question, answer, _) in &authority.answers {
            let own: BTreeSet<&Name> = answer.names().collect();
            if question.record_type == RecordType::Ns
                && question.name == *zone
                && !own.is_empty()
                && own != listed
            {
                let names: Vec<String> = own.iter().map(ToString::to_string).collect();
                let whom = format!("{} ({})", authority.server, authority.address);
                other.push(Finding::new(&DNS_NS_MISMATCH, whom, format!("it lists {}", names.join(", "))));
            }
        }
    }
    checks.judge(&DNS_NS_MISMATCH, zone, other);
}

/// An answer as it is compared between servers: records without order, or their absence; nothing if not known.
fn comparable(answer: &Answer) -> Option<Vec<String>> {
    match &answer.outcome {
        Outcome::Records(records) => {
            let mut all: Vec<String> = records.iter().map(ToString::to_string).collect();
            all.sort();
            Some(all)
        }
        Outcome::NoName | Outcome::NoType => Some(Vec::new()),
        Outcome::NotKnown(_) => None,
    }
}

/// Compares the answers of the servers, question by question.
fn consistency(checks: &mut Checks, zone: &Name, all: &[Authority]) {
    let questions: Vec<&Question> = all
        .first()
        .into_iter()
        .flat_map(|first| first.answers.iter().map(|(question, ..)| question))
        .collect();
    let mut found = Vec::new();
    let mut compared = 0;
    for question in questions {
        let mut seen: Vec<(Vec<String>, String)> = Vec::new();
        for authority in all {
            let answer = authority.answers.iter().find(|(other, ..)| other == question);
            let Some(value) = answer.and_then(|(_, answer, _)| comparable(answer)) else { continue };
            compared += 1;
            if !seen.iter().any(|(known, _)| *known == value) {
                seen.push((value, format!("{} ({})", authority.server, authority.address)));
            }
        }
        if seen.len() < 2 {
            continue;
        }
        let says = |(value, whom): &(Vec<String>, String)| {
            let words = if value.is_empty() { "none".to_owned() } else { value.join(" / ") };
            format!("{whom}: {words}")
        };
        let evidence = seen.iter().map(says).collect::<Vec<_>>().join("; ");
        let mut finding = Finding::new(&DNS_CONSISTENT, question, evidence);
        if question.record_type == RecordType::Soa {
            // Right after a change serials differ for a while.
            finding = finding.severity(Severity::Warning);
        }
        found.push(finding);
    }
    if compared < 2 {
        checks.unknown_for(&DNS_CONSISTENT, zone, "timeout", "fewer than two name servers answered");
    } else {
        checks.judge(&DNS_CONSISTENT, zone, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{facts, fixture, name, short, troubles};

    #[test]
    fn zones_in_order_wrong_and_silent() {
        let zone = fixture!("zone.zone");
        for (domain, want) in [
            ("good.example", vec![]),
            ("mail.good.example", vec![]),
            (
                "lone.example",
                vec![
                    "DNS-DNSSEC info lone.example",
                    "DNS-NS-COUNT warning lone.example",
                    "DNS-SOA note lone.example",
                ],
            ),
            (
                "near.example",
                vec![
                    "DNS-DNSSEC info near.example",
                    "DNS-NS-CNAME error alias.near.example",
                    "DNS-NS-COUNT warning near.example",
                    "DNS-TTL info near.example",
                ],
            ),
            (
                "silent.example",
                vec!["DNS-DNSSEC not-known silent.example", "DNS-UNREACHABLE critical silent.example"],
            ),
            ("bogus.example", vec!["DNS-DNSSEC critical bogus.example"]),
        ] {
            let facts = facts(domain);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{domain}");
        }
    }

    /// What one server says of `good.example`.
    fn authority(server: &str, address: &str, serial: u32, mx: &str, is_authority: bool) -> Authority {
        let soa = Soa {
            mname: name("ns1.good.example"),
            rname: name("h.good.example"),
            serial,
            refresh: 7200,
            retry: 3600,
            expire: 1_209_600,
            minimum: 3600,
        };
        let domain = name("good.example");
        let mx = RecordData::Mx(crate::dns::Mx { preference: 10, exchange: name(mx) });
        Authority {
            server: name(server),
            address: address.parse().unwrap(),
            answers: vec![
                (
                    Question::new(domain.clone(), RecordType::Soa),
                    Answer::records(vec![RecordData::Soa(soa)]),
                    is_authority,
                ),
                (Question::new(domain, RecordType::Mx), Answer::records(vec![mx]), is_authority),
            ],
        }
    }

    #[test]
    fn servers_of_two_minds_are_told_with_their_words() {
        let zone = fixture!("zone.zone");
        let mut facts = facts("good.example");
        facts.authorities = vec![
            authority("ns1.good.example", "198.50.1.1", 7, "mx1.good.example", true),
            authority("ns2.good.example", "198.50.2.1", 7, "mx1.good.example", true),
        ];
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        assert!(short(&checks).contains(&"DNS-CONSISTENT ok good.example".to_owned()));
        facts.authorities.push(authority("ns3.good.example", "198.50.3.1", 6, "old.good.example", false));
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        let found = troubles(&checks);
        assert_eq!(
            found,
            [
                "DNS-CONSISTENT error good.example MX",
                "DNS-CONSISTENT warning good.example SOA",
                "DNS-LAME error ns3.good.example (198.50.3.1)",
            ]
        );
        // A server that does not answer says nothing about the zone.
        facts.authorities.pop();
        let mut silent = authority("ns4.good.example", "198.50.4.1", 7, "mx1.good.example", true);
        for (_, answer, _) in &mut silent.answers {
            *answer = Answer::not_known(Cause::Timeout, "");
        }
        facts.authorities.push(silent);
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        assert_eq!(troubles(&checks), ["DNS-LAME not-known ns4.good.example (198.50.4.1)"]);
    }

    #[test]
    fn each_server_is_asked_for_what_mail_depends_on() {
        let all = questions(&name("sub.good.example"), &name("good.example"));
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|question| question.record_type != RecordType::Ns));
        let (found, _) = fixture!("zone.zone").settle(|answers| servers(&name("good.example"), answers));
        assert_eq!(found.len(), 3);
    }
}
