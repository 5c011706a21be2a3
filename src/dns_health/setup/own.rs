//! What our own domains need: an MX that leads here, addresses, an SPF record where there is none.

use std::net::IpAddr;

use super::{Item, Kind, State, Wishes};
use crate::dns::{Answer, Answers, Ask, Mx, Name, RecordData, RecordType};
use crate::dns_health::class::spf_texts;
use crate::dns_health::dmarc::takes_mail;
use crate::dns_health::look_ups::LookUps;

/// What one of our domains needs.
pub(super) fn of_domain(wishes: &Wishes, domain: &Name, answers: &Answers) -> Result<Vec<Item>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let (mx, hosts) = look_ups.take(exchangers(wishes, domain, answers)).unwrap_or_default();
    let leads_here = mx.as_ref().is_some_and(|item| matches!(item.state, State::InPlace | State::Add));
    let mut items: Vec<Item> = mx.into_iter().collect();
    for host in &hosts {
        items.extend(look_ups.take(addresses(wishes, domain, host, answers)).unwrap_or_default());
    }
    // A domain with other mail may have senders of which we know nothing.
    if leads_here && !wishes.domains.contains(domain) {
        items.extend(look_ups.take(senders(wishes, domain, answers)).flatten());
    }
    look_ups.done()?;
    Ok(items)
}

/// Whether the domain of a mailbox elsewhere takes mail at all.
pub(super) fn foreign(host: &Name, answers: &Answers) -> Result<Item, Ask> {
    let state = match takes_mail(host, answers)? {
        Ok(true) => State::InPlace,
        Ok(false) => State::ByHand(format!("{host} takes no mail: no MX and no address, or a null MX")),
        Err(trouble) => State::of(&trouble),
    };
    let mut item = Item::new(host, Kind::Mx, host.clone(), RecordType::Mx, state);
    item = item.replaces(answers.get(host, RecordType::Mx)?.data());
    item.notes
        .push("no [[recipient]] is of this domain: its mail is read from a mailbox elsewhere".to_owned());
    Ok(item)
}

/// The record by which a domain allows negative probes of this installation. Several may stand there, one for each
/// installation: what stands there stays.
pub(super) fn leave(domain: &Name, name: &Name, text: &str, answers: &Answers) -> Result<Item, Ask> {
    let answer = answers.get(name, RecordType::Txt)?;
    let is_ours = |found: Vec<u8>| found.trim_ascii().eq_ignore_ascii_case(text.as_bytes());
    let state = match answer.trouble() {
        Some(trouble) => State::of(trouble),
        None if answer.texts().any(is_ours) => State::InPlace,
        None => State::Add,
    };
    let mut item = Item::new(domain, Kind::Leave, name.clone(), RecordType::Txt, state);
    item = item.replaces(answer.data());
    if item.state == State::Add {
        item = item.with_text(text.as_bytes());
        if !item.old.is_empty() {
            item.notes.push("what stands there is of other installations, and stays beside it".to_owned());
            item.old.clear();
        }
    }
    Ok(item)
}

/// The MX of our domain, and the hosts whose addresses matter. A domain's own MX is never replaced: its mail may go
/// elsewhere first for a reason.
fn exchangers(wishes: &Wishes, domain: &Name, answers: &Answers) -> Result<(Option<Item>, Vec<Name>), Ask> {
    let new = |state: State| Item::new(domain, Kind::Mx, domain.clone(), RecordType::Mx, state);
    let answer = answers.get(domain, RecordType::Mx)?;
    if let Some(trouble) = answer.trouble() {
        return Ok((Some(new(State::of(trouble))), wishes.host.clone().into_iter().collect()));
    }
    let known: Vec<Name> = answer.exchangers().iter().map(|mx| mx.exchange.clone()).collect();
    let hosts: Vec<Name> = known.iter().filter(|host| !host.is_root()).cloned().collect();
    if hosts.is_empty() {
        let host = wishes.host.clone().or_else(|| domain.below("mx").ok());
        let Some(host) = host else { return Ok((None, Vec::new())) };
        let is_null = !known.is_empty();
        let data = RecordData::Mx(Mx { preference: 10, exchange: host.clone() });
        let state = if is_null { State::Change } else { State::Add };
        let mut item = new(state).replaces(answer.data()).with(&data);
        if is_null {
            item.notes.push("the null MX says that the domain takes no mail (RFC 7505 §3)".to_owned());
        }
        if wishes.host.is_none() {
            item.notes.push(format!("`host_name` in [smtp] names no host; {host} is a proposal"));
        }
        if let Some(first) = answer.aliases.first() {
            item.state =
                State::ByHand(format!("{domain} is an alias of {first}: an MX cannot stand beside it"));
        }
        return Ok((Some(item), vec![host]));
    }
    let mut item = new(State::InPlace).replaces(answer.data());
    let Some(host) = &wishes.host else {
        item.notes.push(
            "`host_name` in [smtp] names no host, so nothing says whether that is this machine".to_owned(),
        );
        return Ok((Some(item), hosts));
    };
    if hosts.contains(host) {
        return Ok((Some(item), vec![host.clone()]));
    }
    let mut look_ups = LookUps::new(answers);
    let mut of = |name: &Name| -> Vec<IpAddr> {
        [RecordType::A, RecordType::Aaaa]
            .into_iter()
            .filter_map(|record_type| look_ups.get(name, record_type))
            .flat_map(Answer::addresses)
            .collect()
    };
    let here: Vec<IpAddr> = of(host).into_iter().chain(wishes.addresses.iter().copied()).collect();
    let there: Vec<IpAddr> = hosts.iter().flat_map(&mut of).collect();
    look_ups.done()?;
    let told = hosts.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    if there.iter().any(|address| here.contains(address)) {
        item.notes.push(format!("{told} is another name of {host}"));
    } else {
        item.state = State::ByHand(format!(
            "mail for {domain} goes to {told}, and this machine greets as {host}: right if that host hands it on; \
             else use a subdomain of its own for the mailboxes, with an MX of its own"
        ));
    }
    Ok((Some(item), hosts))
}

/// The addresses of a host of ours.
fn addresses(wishes: &Wishes, domain: &Name, host: &Name, answers: &Answers) -> Result<Vec<Item>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let four = look_ups.get(host, RecordType::A);
    let six = look_ups.get(host, RecordType::Aaaa);
    look_ups.done()?;
    let (Some(four), Some(six)) = (four, six) else { return Ok(Vec::new()) };
    let new = |record_type: RecordType, state: State| {
        Item::new(domain, Kind::Address, host.clone(), record_type, state)
    };
    if let Some(target) = four.aliases.first().or_else(|| six.aliases.first()) {
        let reason =
            format!("{host} is an alias of {target}, which the host of an MX must not be (RFC 2181 §10.3)");
        return Ok(vec![new(RecordType::Cname, State::ByHand(reason))]);
    }
    let mut items = Vec::new();
    for (record_type, answer) in [(RecordType::A, four), (RecordType::Aaaa, six)] {
        let wanted: Vec<IpAddr> = wishes
            .addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv4() == (record_type == RecordType::A))
            .filter(|_| wishes.host.as_ref().is_none_or(|ours| ours == host))
            .collect();
        if let Some(trouble) = answer.trouble() {
            items.push(new(record_type, State::of(trouble)));
            continue;
        }
        let found: Vec<IpAddr> = answer.addresses().collect();
        if !found.is_empty() {
            let mut item = new(record_type, State::InPlace).replaces(answer.data());
            for address in found.iter().filter(|address| is_private(**address)) {
                item.state = State::ByHand(format!("{address} is not reached from outside"));
            }
            items.push(item);
        }
        for address in wanted.into_iter().filter(|address| !found.contains(address)) {
            let data = match address {
                IpAddr::V4(address) => RecordData::A(address),
                IpAddr::V6(address) => RecordData::Aaaa(address),
            };
            let mut item = new(record_type, State::Add).with(&data);
            if !found.is_empty() {
                item.notes
                    .push("the records that stand there stay, unless they are of another machine".to_owned());
            }
            items.push(item);
        }
    }
    if items.is_empty() {
        let reason =
            format!("{host} has no address: publish the one of this machine; `--address` writes the record");
        items.push(new(RecordType::A, State::ByHand(reason)));
    }
    Ok(items)
}

/// True for an address of no public network.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

/// The SPF record of our domain: one that stands there is never touched.
fn senders(wishes: &Wishes, domain: &Name, answers: &Answers) -> Result<Option<Item>, Ask> {
    let new = |state: State| Item::new(domain, Kind::Spf, domain.clone(), RecordType::Txt, state);
    let answer = answers.get(domain, RecordType::Txt)?;
    if let Some(trouble) = answer.trouble() {
        return Ok(Some(new(State::of(trouble))));
    }
    let texts = spf_texts(domain, answers)?;
    let is_spf = |data: &&RecordData| data.text().is_some_and(|text| texts.contains(&text));
    let sends: Vec<&Option<Name>> =
        wishes.senders.iter().filter(|(from, _)| from == domain).map(|(_, server)| server).collect();
    if let [_] = texts.as_slice() {
        let mut item = new(State::InPlace).replaces(answer.data().iter().filter(is_spf));
        if !sends.is_empty() {
            item.notes.push(
                "it is not changed; `mailsonde dns spf` says whether the server that takes our probes passes"
                    .to_owned(),
            );
        }
        return Ok(Some(item));
    }
    if !texts.is_empty() {
        let reason = format!(
            "{} SPF records: receivers find permerror; `mailsonde dns check {domain}` joins them",
            texts.len()
        );
        return Ok(Some(new(State::ByHand(reason)).replaces(answer.data().iter().filter(is_spf))));
    }
    let mut servers: Vec<String> =
        sends.iter().filter_map(|server| server.as_ref()).map(|server| format!(" a:{server}")).collect();
    servers.sort();
    servers.dedup();
    let text = match (sends.is_empty(), servers.is_empty()) {
        (true, _) => "v=spf1 -all".to_owned(),
        (false, true) => "v=spf1 mx ~all".to_owned(),
        (false, false) => format!("v=spf1{} ~all", servers.concat()),
    };
    let mut item = new(State::Add).with_text(text.as_bytes());
    item.notes.push(if sends.is_empty() {
        format!("no route sends from {domain}, so it says that no mail comes from there; leave it out if other mail does")
    } else {
        "probes are sent from this domain: if the server passes mail on from other addresses, name these".to_owned()
    });
    Ok(Some(item))
}
