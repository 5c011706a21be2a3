//! Mail exchangers: MX records, null MX, what they point at.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::dns::{Answer, Answers, Ask, Mx, Name, Outcome, RecordData, RecordType};
use crate::dns_health::addresses::special_use;
use crate::dns_health::class;
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, RecordToPublish, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::limits;

codes! {
    MX_NONE = "MX-NONE", Warning, "RFC 5321 §5.1", "no MX record, but an address: mail goes to that host, which is often a web server", "publish an MX record, or a null MX (`0 .`) if no mail is wanted";
    MX_NOWHERE = "MX-NOWHERE", Error, "RFC 5321 §5.1", "neither an MX record nor an address: nobody can answer mail from this domain", "publish an MX record, or a null MX (`0 .`) if no mail is wanted";
    MX_NULL = "MX-NULL", Info, "RFC 7505 §3", "a null MX: the domain says that it takes no mail", "nothing, if that is meant";
    MX_NULL_MIX = "MX-NULL-MIX", Error, "RFC 7505 §3", "a null MX beside other MX records, or with a preference that is not 0", "keep either the null MX alone, as `0 .`, or the others";
    MX_NULL_SENDS = "MX-NULL-SENDS", Warning, "RFC 7505 §4.2", "a null MX on a domain that sends mail: receivers may refuse it with 550 5.7.27", "give the domain an MX, or send from another one";
    MX_NXDOMAIN = "MX-NXDOMAIN", Error, "RFC 5321 §5.1", "an MX points at a name that does not exist or has no address", "publish an address of the host, or remove the MX";
    MX_CNAME = "MX-CNAME", Error, "RFC 5321 §5.1, RFC 2181 §10.3", "an MX points at an alias", "name the host that the alias leads to";
    MX_IP = "MX-IP", Error, "RFC 5321 §5.1, RFC 1035 §3.3.9", "an MX points at an address instead of a name", "give the host a name with that address, and name it in the MX";
    MX_HOSTNAME = "MX-HOSTNAME", Error, "RFC 5321 §2.3.5, RFC 1123 §2.1", "an MX points at something that is no host name", "use letters, digits and hyphens, in at least two labels";
    MX_PRIVATE = "MX-PRIVATE", Error, "RFC 6890 §2.2", "an MX host has an address that is not on the public network", "publish the public address";
    MX_DUP = "MX-DUP", Note, "RFC 5321 §5.1", "several MX records lead to the same host or address: no backup", "remove the copies";
    MX_MANY = "MX-MANY", Warning, "RFC 7208 §4.6.4, RFC 5321 §4.5.4.1", "more than ten MX records: `mx` in SPF is a permanent error, and senders try only some", "keep ten at most";
    MX_PREF = "MX-PREF", Info, "RFC 5321 §5.1", "all MX records have the same preference: senders choose at random", "nothing, if that is meant";
    MX_V6 = "MX-V6", Warning, "RFC 3974 §2", "no MX host has an IPv4 address: senders without IPv6 cannot deliver", "add a host with an IPv4 address";
    MX_APPROVED = "MX-APPROVED", Warning, "-", "the MX records differ from the list that the operator keeps", "find out who changed the routing, or change the list";
    MX_TLD = "MX-TLD", Warning, "RFC 7085 §2", "an MX on a top-level domain or below .arpa", "remove it: mail software does not expect it";
}

/// The hosts of a domain's MX records, most preferred first, without null MX; the domain itself where it has
/// no MX record. Errors: what to ask.
pub fn hosts(domain: &Name, answers: &Answers) -> Result<Vec<Name>, Ask> {
    let answer = answers.get(domain, RecordType::Mx)?;
    Ok(match &answer.outcome {
        Outcome::Records(_) => {
            let mut hosts: Vec<Name> = Vec::new();
            for mx in answer.exchangers() {
                if !mx.exchange.is_root() && !hosts.contains(&mx.exchange) {
                    hosts.push(mx.exchange.clone());
                }
            }
            hosts.truncate(limits::HEALTH_HOSTS);
            hosts
        }
        Outcome::NoName | Outcome::NotKnown(_) => Vec::new(),
        Outcome::NoType => vec![domain.clone()],
    })
}

/// The addresses of a host, IPv4 first. Errors: what to ask.
pub fn addresses(host: &Name, answers: &Answers) -> Result<Vec<IpAddr>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let found = [RecordType::A, RecordType::Aaaa].map(|record_type| look_ups.get(host, record_type));
    look_ups.done()?;
    let mut all: Vec<IpAddr> = Vec::new();
    for answer in found.into_iter().flatten() {
        let mut part: Vec<IpAddr> = answer.addresses().collect();
        part.sort();
        all.extend(part);
    }
    all.dedup();
    all.truncate(limits::HEALTH_ADDRESSES);
    Ok(all)
}

/// Checks the MX records and their hosts.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let mx = look_ups.get(domain, RecordType::Mx);
    let own = look_ups.take(addresses(domain, answers));
    let class = look_ups.take(class::class_of(facts, answers));
    let hosts = look_ups.take(hosts(domain, answers)).unwrap_or_default();
    let mut of_hosts = Vec::new();
    for host in &hosts {
        let four = look_ups.get(host, RecordType::A);
        let six = look_ups.get(host, RecordType::Aaaa);
        if let (Some(four), Some(six)) = (four, six) {
            of_hosts.push(Host { name: host, four, six });
        }
    }
    look_ups.done()?;
    let (Some(mx), Some(own), Some(class)) = (mx, own, class) else { return Ok(checks) };
    match &mx.outcome {
        Outcome::NotKnown(trouble) => {
            for code in CODES {
                checks.unknown(code, domain, trouble);
            }
            return Ok(checks);
        }
        Outcome::NoName | Outcome::NoType => {
            absent(&mut checks, facts, answers, &own, class);
            return Ok(checks);
        }
        Outcome::Records(_) => {}
    }
    checks.pass(&MX_NONE, domain);
    let exchangers = mx.exchangers();
    null(&mut checks, facts, &exchangers);
    let real: Vec<&Mx> = exchangers.into_iter().filter(|mx| !mx.exchange.is_root()).collect();
    if real.is_empty() {
        return Ok(checks);
    }
    let written: Vec<Finding> = real.iter().filter_map(|mx| host_name(&mx.exchange)).collect();
    let is_bad = |name: &Name| written.iter().any(|finding| finding.subject == name.to_string());
    for code in [&MX_IP, &MX_HOSTNAME] {
        let found = written.iter().filter(|finding| finding.code == code).cloned().collect();
        checks.judge(code, domain, found);
    }
    of_hosts.retain(|host| !is_bad(host.name));
    targets(&mut checks, domain, &real, &of_hosts);
    sets(&mut checks, facts, &real, &of_hosts);
    Ok(checks)
}

/// One MX host and what DNS says of its addresses.
struct Host<'a> {
    /// Its name.
    name: &'a Name,
    /// A.
    four: &'a Answer,
    /// AAAA.
    six: &'a Answer,
}

impl Host<'_> {
    /// Its addresses.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.four.addresses().chain(self.six.addresses())
    }

    /// True if it is known to have none.
    fn is_without_address(&self) -> bool {
        self.four.is_void() && self.six.is_void()
    }
}

/// No MX record.
fn absent(
    checks: &mut Checks,
    facts: &Facts,
    answers: &Answers,
    own: &[IpAddr],
    class: Option<class::Class>,
) {
    let domain = &facts.domain;
    let null = RecordToPublish::new(domain.clone(), RecordType::Mx, "0 .");
    if class == Some(class::Class::MailHost) {
        checks.skip(&MX_NONE, domain, "a host, not a mail domain");
        return;
    }
    if let Some(address) = own.first() {
        let evidence = format!("no MX; mail goes to {address}, the address of the name itself");
        let mut finding = Finding::new(&MX_NONE, domain, evidence);
        if class == Some(class::Class::ReceivesOnly) {
            finding = finding
                .mend("publish the null MX if no mail is wanted: SPF says that none is sent")
                .publish(null);
        }
        checks.find(finding);
        return;
    }
    let mut unsure = [RecordType::A, RecordType::Aaaa].into_iter();
    if let Some(trouble) = unsure.find_map(|t| answers.get(domain, t).ok().and_then(Answer::trouble)) {
        checks.unknown(&MX_NONE, domain, trouble);
        return;
    }
    if class == Some(class::Class::Parked) {
        let evidence = "neither MX nor address; the null MX says the same to senders at once";
        checks.find(Finding::new(&MX_NOWHERE, domain, evidence).severity(Severity::Note).publish(null));
    } else {
        checks.find(Finding::new(&MX_NOWHERE, domain, "neither MX nor A nor AAAA").publish(null));
    }
}

/// The null MX and its misuse.
fn null(checks: &mut Checks, facts: &Facts, exchangers: &[&Mx]) {
    let domain = &facts.domain;
    let (nulls, others): (Vec<&&Mx>, Vec<&&Mx>) = exchangers.iter().partition(|mx| mx.exchange.is_root());
    let Some(first) = nulls.first() else {
        checks.skip(&MX_NULL_MIX, domain, "no null MX");
        return;
    };
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|mx| mx.exchange.to_string()).collect();
        checks.find(Finding::new(&MX_NULL_MIX, domain, format!("`.` beside {}", names.join(", "))));
        return;
    }
    let record = RecordToPublish::new(domain.clone(), RecordType::Mx, "0 .");
    if nulls.len() > 1 || first.preference != 0 {
        let old = nulls.iter().map(|mx| format!("{} .", mx.preference));
        let evidence = old.clone().collect::<Vec<_>>().join(", ");
        let finding = Finding::new(&MX_NULL_MIX, domain, evidence).severity(Severity::Note);
        checks.find(finding.publish(record.replaces(old)));
    } else {
        checks.pass(&MX_NULL_MIX, domain);
    }
    checks.find(Finding::new(&MX_NULL, domain, "`0 .`: no mail is taken"));
    match facts.is_sender {
        Some(true) => checks.find(Finding::new(&MX_NULL_SENDS, domain, "mail from this domain was seen")),
        Some(false) => checks.pass(&MX_NULL_SENDS, domain),
        None => checks.skip(&MX_NULL_SENDS, domain, "no mail of this domain is known"),
    }
}

/// What is wrong with the name of a host as it is written.
fn host_name(name: &Name) -> Option<Finding> {
    let labels: Vec<&str> = name.labels().collect();
    let is_address = name.as_str().parse::<IpAddr>().is_ok()
        || (labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_ok()))
        || (name.as_str().contains(':') && name.as_str().parse::<std::net::Ipv6Addr>().is_ok());
    if is_address {
        return Some(Finding::new(&MX_IP, name, format!("`{name}` is an address")));
    }
    let is_letter_digit = |label: &str| {
        let inner = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        inner && !label.starts_with('-') && !label.ends_with('-')
    };
    if let Some(label) = labels.iter().find(|label| !is_letter_digit(label)) {
        return Some(Finding::new(&MX_HOSTNAME, name, format!("label `{label}`")));
    }
    if labels.len() < 2 {
        return Some(Finding::new(&MX_HOSTNAME, name, "a single label"));
    }
    let is_local = labels.last().is_some_and(|last| ["localhost", "local", "localdomain"].contains(last));
    is_local.then(|| Finding::new(&MX_HOSTNAME, name, "a name of one machine or one network"))
}

/// Each host: does it exist, is it an alias, are its addresses public?
fn targets(checks: &mut Checks, domain: &Name, records: &[&Mx], hosts: &[Host<'_>]) {
    let is_all_dead = !hosts.is_empty() && hosts.iter().all(Host::is_without_address);
    for host in hosts {
        let name = host.name;
        let trouble = host.four.trouble().or(host.six.trouble());
        let aliases = if host.four.aliases.is_empty() { &host.six.aliases } else { &host.four.aliases };
        match (aliases.last(), trouble) {
            (Some(last), _) => {
                let evidence = format!("{name} is an alias of {last}");
                let mend = format!("name {last} in the MX");
                let mut finding = Finding::new(&MX_CNAME, name, evidence).mend(mend);
                if let Some(mx) = records.iter().find(|mx| mx.exchange == *name) {
                    let old = RecordData::Mx((*mx).clone()).to_string();
                    let new =
                        RecordData::Mx(Mx { exchange: last.clone(), preference: mx.preference }).to_string();
                    let record = RecordToPublish::new(domain.clone(), RecordType::Mx, new).replaces([old]);
                    finding = finding.publish(record);
                }
                checks.find(finding);
            }
            (None, Some(trouble)) => checks.unknown(&MX_CNAME, name, trouble),
            (None, None) => checks.pass(&MX_CNAME, name),
        }
        if host.is_without_address() {
            let evidence = match (&host.four.outcome, aliases.last()) {
                (Outcome::NoName, Some(last)) => format!("{last}, to which {name} leads, does not exist"),
                (Outcome::NoName, None) => format!("{name} does not exist"),
                _ => format!("{name} has no address"),
            };
            let severity = if is_all_dead { Severity::Critical } else { Severity::Error };
            checks.find(Finding::new(&MX_NXDOMAIN, name, evidence).severity(severity));
        } else if host.addresses().next().is_some() {
            checks.pass(&MX_NXDOMAIN, name);
        } else if let Some(trouble) = trouble {
            checks.unknown(&MX_NXDOMAIN, name, trouble);
        }
        let special: Vec<String> = host
            .addresses()
            .filter_map(|address| Some(format!("{address} ({})", special_use(address)?)))
            .collect();
        if !special.is_empty() {
            checks.find(Finding::new(&MX_PRIVATE, name, special.join(", ")));
        } else if let Some(trouble) = trouble {
            checks.unknown(&MX_PRIVATE, name, trouble);
        } else if !host.is_without_address() {
            checks.pass(&MX_PRIVATE, name);
        }
    }
}

/// The MX records as a set.
fn sets(checks: &mut Checks, facts: &Facts, real: &[&Mx], hosts: &[Host<'_>]) {
    let domain = &facts.domain;
    let mut of_name: BTreeMap<&Name, usize> = BTreeMap::new();
    for mx in real {
        *of_name.entry(&mx.exchange).or_default() += 1;
    }
    let mut of_address: BTreeMap<IpAddr, Vec<&Name>> = BTreeMap::new();
    for host in hosts {
        for address in host.addresses() {
            of_address.entry(address).or_default().push(host.name);
        }
    }
    let mut found: Vec<Finding> = Vec::new();
    for (name, _) in of_name.iter().filter(|(_, count)| **count > 1) {
        found.push(Finding::new(&MX_DUP, domain, format!("{name} is named by several MX records")));
    }
    for (address, names) in of_address.iter().filter(|(_, names)| names.len() > 1) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        found.push(Finding::new(&MX_DUP, domain, format!("{address} is behind {}", names.join(" and "))));
    }
    checks.judge(&MX_DUP, domain, found);

    let count = real.len();
    let many = format!("{count} MX records");
    checks.judge(
        &MX_MANY,
        domain,
        if count > 10 { vec![Finding::new(&MX_MANY, domain, many)] } else { Vec::new() },
    );

    let is_equal = real.iter().all(|mx| Some(mx.preference) == real.first().map(|first| first.preference));
    if of_name.len() > 1 && is_equal {
        let preference = real.first().map_or(0, |mx| mx.preference);
        checks.find(Finding::new(&MX_PREF, domain, format!("{count} records of preference {preference}")));
    }

    let has = |record_type: fn(&Host<'_>) -> usize| hosts.iter().any(|host| record_type(host) > 0);
    let has_four = has(|host| host.four.addresses().count());
    let has_six = has(|host| host.six.addresses().count());
    let silent = hosts.iter().find_map(|host| host.four.trouble());
    match silent {
        _ if has_four || !has_six => checks.pass(&MX_V6, domain),
        Some(trouble) => checks.unknown(&MX_V6, domain, trouble),
        None => checks.find(Finding::new(&MX_V6, domain, "AAAA records only")),
    }

    let approved = &facts.approved_exchangers;
    if !approved.is_empty() {
        let strange: Vec<String> =
            of_name.keys().filter(|name| !approved.contains(name)).map(ToString::to_string).collect();
        let missing: Vec<String> =
            approved.iter().filter(|name| !of_name.contains_key(name)).map(ToString::to_string).collect();
        let mut words = Vec::new();
        if !strange.is_empty() {
            words.push(format!("not on the list: {}", strange.join(", ")));
        }
        if !missing.is_empty() {
            words.push(format!("not published: {}", missing.join(", ")));
        }
        if words.is_empty() {
            checks.pass(&MX_APPROVED, domain);
        } else {
            checks.find(Finding::new(&MX_APPROVED, domain, words.join("; ")));
        }
    }

    let is_top = domain.label_count() < 2 || domain.labels().next_back() == Some("arpa");
    if is_top {
        checks.find(Finding::new(&MX_TLD, domain, format!("{domain} has MX records")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{facts, fixture, name, short, troubles};

    #[test]
    fn each_kind_of_mx_is_told() {
        let zone = fixture!("mx.zone");
        for (domain, want) in [
            ("good.example", vec![]),
            ("null.example", vec!["MX-NULL info null.example"]),
            ("null10.example", vec!["MX-NULL info null10.example", "MX-NULL-MIX note null10.example"]),
            ("mixed.example", vec!["MX-NULL-MIX error mixed.example"]),
            ("implicit.example", vec!["MX-NONE warning implicit.example"]),
            ("host.example", vec![]),
            ("nowhere.example", vec!["MX-NOWHERE error nowhere.example"]),
            ("parked.example", vec!["MX-NOWHERE note parked.example"]),
            ("dangling.example", vec!["MX-NXDOMAIN error gone.good.example"]),
            ("alldead.example", vec!["MX-NXDOMAIN critical gone.good.example"]),
            ("alias.example", vec!["MX-CNAME error www.good.example"]),
            (
                "deadalias.example",
                vec!["MX-CNAME error old.good.example", "MX-NXDOMAIN error old.good.example"],
            ),
            ("literal.example", vec!["MX-IP error 198.50.1.1"]),
            (
                "names.example",
                vec![
                    "MX-HOSTNAME error mail.localhost",
                    "MX-HOSTNAME error mail_1.good.example",
                    "MX-HOSTNAME error mx",
                ],
            ),
            ("private.example", vec!["MX-PRIVATE error inside.private.example"]),
            ("twice.example", vec!["MX-DUP note twice.example", "MX-PREF info twice.example"]),
            ("six.example", vec!["MX-V6 warning six.example"]),
            ("many.example", vec!["MX-DUP note many.example", "MX-MANY warning many.example"]),
            ("top", vec!["MX-TLD warning top"]),
            (
                "halfsilent.example",
                vec![
                    "MX-CNAME not-known mx.halfsilent.example",
                    "MX-NXDOMAIN not-known mx.halfsilent.example",
                    "MX-PRIVATE not-known mx.halfsilent.example",
                ],
            ),
        ] {
            let facts = facts(domain);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{domain}");
        }
    }

    #[test]
    fn silence_is_neither_pass_nor_finding() {
        let facts = facts("silent.example");
        let (checks, _) = fixture!("mx.zone").settle(|answers| check(&facts, answers));
        assert_eq!(checks.all.len(), CODES.len());
        assert!(short(&checks).iter().all(|line| line.contains(" not-known ")));
    }

    #[test]
    fn hosts_are_asked_side_by_side() {
        let facts = facts("good.example");
        let (checks, rounds) = fixture!("mx.zone").settle(|answers| check(&facts, answers));
        assert_eq!(checks.findings().count(), 0);
        let sizes: Vec<usize> = rounds.iter().map(Vec::len).collect();
        assert_eq!(sizes, [5, 4], "{rounds:?}");
    }

    #[test]
    fn what_the_operator_knows_counts() {
        let zone = fixture!("mx.zone");
        let mut sender = facts("null.example");
        sender.is_sender = Some(true);
        let (checks, _) = zone.settle(|answers| check(&sender, answers));
        assert!(troubles(&checks).contains(&"MX-NULL-SENDS warning null.example".to_owned()));
        let mut kept = facts("good.example");
        kept.approved_exchangers = vec![name("mx1.good.example"), name("mx3.good.example")];
        let (checks, _) = zone.settle(|answers| check(&kept, answers));
        let found: Vec<&str> = checks.findings().map(|finding| finding.evidence.as_str()).collect();
        assert_eq!(found, ["not on the list: mx2.good.example; not published: mx3.good.example"]);
    }

    #[test]
    fn a_null_mx_that_is_nearly_right_comes_with_the_right_one() {
        let facts = facts("null10.example");
        let (checks, _) = fixture!("mx.zone").settle(|answers| check(&facts, answers));
        let record = checks.findings().find_map(|finding| finding.publish.clone()).unwrap();
        assert_eq!((record.value.as_str(), record.old), ("0 .", vec!["10 .".to_owned()]));
    }
}
