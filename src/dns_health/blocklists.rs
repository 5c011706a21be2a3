//! Blocklists of addresses, asked only where the operator names them (RFC 5782).

use std::net::IpAddr;

use crate::dns::{Answer, Answers, Ask, Name, Outcome, RecordType};
use crate::dns_health::addresses::special_use;
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::mx;
use crate::limits;

codes! {
    DNSBL = "DNSBL", Error, "RFC 5782 §2.1", "an address that sends or takes the domain's mail is on a blocklist", "read the list's page about the address, mend the cause, then ask to be removed";
}

/// The name under which a list holds an address (RFC 5782 §2.1, §2.4).
fn listed_name(address: IpAddr, list: &Name) -> Option<Name> {
    let reverse = Name::reverse(address);
    let front =
        reverse.as_str().strip_suffix(".in-addr.arpa").or(reverse.as_str().strip_suffix(".ip6.arpa"))?;
    list.below(front).ok()
}

/// What a list says of an address.
#[derive(Debug, PartialEq, Eq)]
enum Listing {
    /// It is listed, with the code and the text.
    Listed(String),
    /// It is not.
    Clean,
    /// The list does not say, and why.
    NotKnown(String),
}

/// Reads an answer: only 127.0.0.2 and above within 127.0.0.0/8 are listings. 127.255.255.0/24 says that the
/// list does not serve this resolver, and everything else is somebody else's answer.
fn listing(answer: &Answer) -> Listing {
    if let Outcome::NotKnown(trouble) = &answer.outcome {
        return Listing::NotKnown(trouble.cause.as_str().to_owned());
    }
    let mut codes: Vec<String> = Vec::new();
    for address in answer.addresses() {
        let IpAddr::V4(code) = address else { continue };
        match code.octets() {
            [127, 255, 255, _] => {
                return Listing::NotKnown(format!("the list refuses this resolver: {code}"));
            }
            [127, 0, 0, 0 | 1] => return Listing::NotKnown(format!("{code} is no listing")),
            [127, ..] => codes.push(code.to_string()),
            _ => return Listing::NotKnown(format!("{code}: somebody rewrites answers")),
        }
    }
    codes.sort();
    if codes.is_empty() { Listing::Clean } else { Listing::Listed(codes.join(", ")) }
}

/// Checks the lists. Each is tested first: 127.0.0.2 must be on it and 127.0.0.1 must not (RFC 5782 §5).
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    if facts.blocklists.is_empty() {
        checks.skip(&DNSBL, domain, "no blocklist is configured");
        return Ok(checks);
    }
    let mut look_ups = LookUps::new(answers);
    let mut all = facts.sources.clone();
    for host in look_ups.take(mx::hosts(domain, answers)).unwrap_or_default() {
        all.extend(look_ups.take(mx::addresses(&host, answers)).unwrap_or_default());
    }
    all.retain(|address| special_use(*address).is_none());
    all.sort();
    all.dedup();
    all.truncate(limits::HEALTH_SOURCES);
    let mut asked = Vec::new();
    for list in &facts.blocklists {
        let mut get = |address: IpAddr| look_ups.get(&listed_name(address, list)?, RecordType::A);
        let test = [get(IpAddr::from([127, 0, 0, 2])), get(IpAddr::from([127, 0, 0, 1]))];
        let of_each: Vec<(IpAddr, Option<&Answer>)> =
            all.iter().map(|address| (*address, get(*address))).collect();
        asked.push((list, test, of_each));
    }
    look_ups.done()?;
    for (list, test, of_each) in asked {
        let [Some(listed), Some(clean)] = test.map(|answer| answer.map(listing)) else { continue };
        if !matches!(listed, Listing::Listed(_)) || clean != Listing::Clean {
            let detail = match listed {
                Listing::NotKnown(why) => why,
                _ => "the list fails its own test entries".to_owned(),
            };
            checks.unknown_for(&DNSBL, list, "list", &detail);
            continue;
        }
        for (address, answer) in of_each {
            let subject = format!("{address} at {list}");
            match answer.map(listing) {
                Some(Listing::Listed(codes)) => {
                    checks.find(Finding::new(&DNSBL, subject, format!("listed with {codes}")));
                }
                Some(Listing::NotKnown(why)) => checks.unknown_for(&DNSBL, subject, "list", &why),
                Some(Listing::Clean) | None => checks.pass(&DNSBL, subject),
            }
        }
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{Zone, facts, name, troubles};

    #[test]
    fn listings_are_told_from_everything_else() {
        let zone = Zone::parse(
            "x.example. MX 10 mx.x.example.\nmx.x.example. A 198.50.1.1\n\
             2.0.0.127.good.test. A 127.0.0.2\n1.1.50.198.good.test. A 127.0.0.4\n\
             2.0.0.127.clean.test. A 127.0.0.2\n\
             2.0.0.127.all.test. A 127.0.0.2\n1.0.0.127.all.test. A 127.0.0.2\n1.1.50.198.all.test. A 127.0.0.2\n\
             2.0.0.127.refuses.test. A 127.255.255.254\n1.1.50.198.refuses.test. A 127.255.255.254\n\
             *.rewritten.test. A 198.50.9.9\n\
             ;! 2.0.0.127.silent.test. A timeout\n",
        );
        for (list, want) in [
            ("good.test", vec!["DNSBL error 198.50.1.1 at good.test"]),
            ("clean.test", vec![]),
            ("all.test", vec!["DNSBL not-known all.test"]),
            ("refuses.test", vec!["DNSBL not-known refuses.test"]),
            ("rewritten.test", vec!["DNSBL not-known rewritten.test"]),
            ("gone.test", vec!["DNSBL not-known gone.test"]),
            ("silent.test", vec!["DNSBL not-known silent.test"]),
        ] {
            let mut facts = facts("x.example");
            facts.blocklists = vec![name(list)];
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{list}");
        }
        let quiet = facts("x.example");
        let (checks, rounds) = zone.settle(|answers| check(&quiet, answers));
        assert!(troubles(&checks).is_empty() && rounds.is_empty(), "nothing is asked unless it is wanted");
    }
}
