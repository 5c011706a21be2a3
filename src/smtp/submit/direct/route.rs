//! Which hosts take the mail of a domain, in which order, and what DANE asks of each: pure over answers of DNS.
//!
//! RFC 5321 §5.1: the hosts of the MX records by preference, equal ones in random order; the domain's own addresses
//! only where it has no MX record at all; where this host is among them, only those preferred to it. RFC 7505 §3: a
//! null MX ends it. What DNS does not answer is not known, and never the lack of a record.

use std::net::IpAddr;

use crate::dns::{Answer, Answers, Ask, Mx, Name, Outcome, Question, RecordType, Security, Tlsa};
use crate::dns_health::dane;
use crate::dns_health::look_ups::LookUps;
use crate::limits;
use crate::smtp::submit::Fault;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'w> {
    /// The recipient's domain.
    pub(super) domain: &'w Name,
    /// Chance: hosts of equal preference take their order from it.
    pub(super) seed: u64,
    /// Names of this host.
    pub(super) own_names: &'w [Name],
    /// Its addresses.
    pub(super) own_addresses: &'w [IpAddr],
    /// True if TLSA records are asked for.
    pub(super) with_dane: bool,
}

/// The way to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// The hosts, in the order in which they are tried; at most [`limits::DIRECT_HOSTS`].
    pub(super) hosts: Vec<MxHost>,
    /// Hosts that are left out, since this host is preferred to them or is one of them: name and preference.
    pub(super) left_out: Vec<(Name, u16)>,
}

/// One host that takes mail for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MxHost {
    /// Its name, as in the MX record.
    pub(super) name: Name,
    /// Its preference; 0 for the domain itself, where it has no MX record.
    pub(super) preference: u16,
    /// Its addresses, IPv6 and IPv4 in turn; or why it has none.
    pub(super) addresses: Result<Vec<IpAddr>, NoAddress>,
    /// What DANE asks of it.
    pub(super) dane: Dane,
}

/// Why a host has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// It is known to have none.
    Absent(&'static str),
    /// DNS did not say.
    NotKnown(String),
}

/// What DANE asks of a host (RFC 7672 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dane {
    /// It was not asked for.
    NotAsked,
    /// Nobody can say: the resolver does not validate.
    NotKnown(String),
    /// Nothing, and why.
    None(&'static str),
    /// The look-up fails below a signed address: the host may not be used (RFC 7672 §2.1.2).
    Broken(String),
    /// TLS with a certificate that matches; no usable record: TLS with any certificate (RFC 7672 §2.2).
    Records {
        /// The name at which they stand, and that is asked for in the handshake (RFC 7672 §2.2.3).
        base: Name,
        /// The names of which a certificate under usage 2 must have one (RFC 7672 §3.2.2).
        names: Vec<Name>,
        /// Those that mail uses.
        usable: Vec<Tlsa>,
    },
}

/// Finds the way to a domain. Errors: what to ask; within, why there is none: for good, or not known.
pub(super) fn judge(wish: &Wish<'_>, answers: &Answers) -> Result<Result<Route, Fault>, Ask> {
    let domain = wish.domain;
    let mx = answers.get(domain, RecordType::Mx)?;
    let mut hosts: Vec<(Name, u16)> = match &mx.outcome {
        Outcome::NotKnown(trouble) => {
            let why = format!("MX of {domain}: {} {}", trouble.cause.as_str(), trouble.detail);
            return Ok(Err(Fault::NotResolved(why.trim_end().to_owned())));
        }
        Outcome::NoName => return Ok(Err(Fault::NoDomain(domain.to_string()))),
        Outcome::NoType => vec![(domain.clone(), 0)],
        Outcome::Records(_) => in_order(&mx.exchangers(), wish.seed),
    };
    if hosts.is_empty() {
        return Ok(Err(Fault::NullMx(domain.to_string())));
    }
    hosts.truncate(limits::DIRECT_HOSTS);
    let mut look_ups = LookUps::new(answers);
    let mut found = Vec::new();
    for (name, preference) in hosts {
        if let Some(host) = look_ups.take(host(wish, mx, name, preference, answers)) {
            found.push(host);
        }
    }
    look_ups.done()?;
    Ok(choose(wish, found, mx.outcome == Outcome::NoType))
}

/// Leaves out what is not preferred to this host, and says why nothing is left.
fn choose(wish: &Wish<'_>, hosts: Vec<MxHost>, is_implicit: bool) -> Result<Route, Fault> {
    let is_own = |host: &MxHost| {
        wish.own_names.contains(&host.name)
            || host.addresses.as_ref().is_ok_and(|all| all.iter().any(|one| wish.own_addresses.contains(one)))
    };
    let own = hosts.iter().filter(|host| is_own(host)).map(|host| host.preference).min();
    let (hosts, left): (Vec<MxHost>, Vec<MxHost>) =
        hosts.into_iter().partition(|host| own.is_none_or(|own| host.preference < own));
    if hosts.is_empty() {
        return Err(Fault::Loop(wish.domain.to_string()));
    }
    let left_out = left.into_iter().map(|host| (host.name, host.preference)).collect();
    if hosts.iter().any(|host| host.addresses.is_ok()) {
        return Ok(Route { hosts, left_out });
    }
    let mut told = Vec::new();
    let mut is_known = true;
    for host in &hosts {
        match &host.addresses {
            Ok(_) => {}
            Err(NoAddress::Absent(why)) => told.push(format!("{}: {why}", host.name)),
            Err(NoAddress::NotKnown(why)) => {
                is_known = false;
                told.push(format!("{}: {why}", host.name));
            }
        }
    }
    let what = if is_implicit { "neither MX record nor address" } else { "MX target has no address" };
    let told = told.join("; ");
    Err(if is_known { Fault::NoRoute(format!("{what}: {told}")) } else { Fault::NotResolved(told) })
}

/// The hosts of MX records, those of equal preference in an order that chance decides. A null MX beside others is no
/// host (RFC 7505 §3).
fn in_order(records: &[&Mx], seed: u64) -> Vec<(Name, u16)> {
    let mut hosts: Vec<(Name, u16)> = Vec::new();
    for mx in records {
        if !mx.exchange.is_root() && !hosts.iter().any(|(name, _)| *name == mx.exchange) {
            hosts.push((mx.exchange.clone(), mx.preference));
        }
    }
    let mut state = seed;
    for group in hosts.chunk_by_mut(|a, b| a.1 == b.1) {
        // Fisher and Yates, over splitmix64.
        for at in (1..group.len()).rev() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            let places = u64::try_from(at + 1).unwrap_or(1);
            group.swap(at, usize::try_from(mixed % places).unwrap_or(0));
        }
    }
    hosts
}

/// What DNS says of one host. Errors: what to ask.
fn host(wish: &Wish<'_>, mx: &Answer, name: Name, preference: u16, answers: &Answers) -> Result<MxHost, Ask> {
    answers.need([RecordType::A, RecordType::Aaaa].map(|kind| Question::new(name.clone(), kind)))?;
    let four = answers.get(&name, RecordType::A)?;
    let six = answers.get(&name, RecordType::Aaaa)?;
    let addresses = addresses(four, six);
    let dane = match (&addresses, wish.with_dane) {
        (_, false) => Dane::NotAsked,
        (Err(_), true) => Dane::None("it has no address"),
        (Ok(_), true) => {
            let with_data = [four, six].into_iter().filter(|answer| !answer.data().is_empty());
            let security = with_data.map(|answer| answer.security).reduce(Security::and);
            dane_of(wish.domain, mx, &name, four, security.unwrap_or(Security::NotKnown), answers)?
        }
    };
    Ok(MxHost { name, preference, addresses, dane })
}

/// The addresses of a host, IPv6 and IPv4 in turn.
fn addresses(four: &Answer, six: &Answer) -> Result<Vec<IpAddr>, NoAddress> {
    let (mut fours, mut sixes) = (four.addresses(), six.addresses());
    let mut all = Vec::new();
    loop {
        let pair = [sixes.next(), fours.next()];
        if pair == [None, None] {
            break;
        }
        all.extend(pair.into_iter().flatten());
    }
    all.truncate(limits::SUBMIT_ADDRESSES);
    if !all.is_empty() {
        return Ok(all);
    }
    if let Some(trouble) = four.trouble().or(six.trouble()) {
        let why = format!("{} {}", trouble.cause.as_str(), trouble.detail);
        return Err(NoAddress::NotKnown(why.trim_end().to_owned()));
    }
    let is_no_name = four.outcome == Outcome::NoName;
    Err(NoAddress::Absent(if is_no_name { "no such name" } else { "neither A nor AAAA" }))
}

/// What DANE asks of a host with an address. `security`: of its addresses. Errors: what to ask.
fn dane_of(
    domain: &Name,
    mx: &Answer,
    host: &Name,
    address: &Answer,
    security: Security,
    answers: &Answers,
) -> Result<Dane, Ask> {
    let not_known = |what: &str| Dane::NotKnown(format!("whether {what} are signed is not known"));
    match mx.security {
        Security::Secure => {}
        Security::Insecure => return Ok(Dane::None("the MX records are not signed")),
        Security::NotKnown | Security::Bogus => return Ok(not_known("the MX records")),
    }
    // RFC 7672 §2.2.2: an alias that is signed all the way gives its last name first, the alias itself second; one that
    // leads out of the signed tree may still be signed itself.
    let mut bases = Vec::new();
    match security {
        Security::Secure => {
            bases.extend(address.aliases.last().cloned());
            bases.push(host.clone());
        }
        Security::Insecure if address.aliases.is_empty() => {
            return Ok(Dane::None("the addresses of the host are not signed"));
        }
        Security::Insecure => {
            if answers.get(host, RecordType::Cname)?.security != Security::Secure {
                return Ok(Dane::None("the addresses of the host are not signed"));
            }
            bases.push(host.clone());
        }
        Security::NotKnown | Security::Bogus => return Ok(not_known("the addresses of the host")),
    }
    for base in &bases {
        let Ok(name) = base.below("_25._tcp") else { continue };
        let tlsa = answers.get(&name, RecordType::Tlsa)?;
        if let Some(trouble) = tlsa.trouble() {
            let why = format!("TLSA of {name}: {} {}", trouble.cause.as_str(), trouble.detail);
            return Ok(Dane::Broken(why.trim_end().to_owned()));
        }
        let (usable, count) = dane::usable(tlsa);
        match tlsa.security {
            _ if count == 0 => {}
            Security::Secure => {
                // The host, what it stands for, and the domain, whose MX records are signed.
                let mut names = vec![base.clone()];
                for other in [host, domain] {
                    if !names.contains(other) {
                        names.push(other.clone());
                    }
                }
                return Ok(Dane::Records { base: base.clone(), names, usable });
            }
            Security::Insecure => return Ok(Dane::None("the TLSA records are not signed")),
            Security::NotKnown | Security::Bogus => return Ok(not_known("the TLSA records")),
        }
    }
    Ok(Dane::None("no TLSA record"))
}

#[cfg(test)]
mod tests;
