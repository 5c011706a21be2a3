//! What asks for reports about one domain: the DMARC record, who may be sent them, TLS-RPT.

use super::{Item, Kind, Old, Place, State, Wishes, place};
use crate::authentication::dmarc::{
    self, Discovery, Flaw, Force, Found, NearMiss, Policy, Record, ReportUri,
};
use crate::dns::{Answer, Answers, Ask, Name, Outcome, RecordData, RecordType};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::{amend, dmarc as checks, tls_rpt};
use crate::mail::Address;

/// Addresses of one record that every receiver has to serve (RFC 7489 §6.2).
const SERVED_ADDRESSES: usize = 2;

/// What one domain needs.
pub(super) fn of_domain(wishes: &Wishes, domain: &Name, answers: &Answers) -> Result<Vec<Item>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let tls = look_ups.take(tls(wishes, domain, answers)).flatten();
    let dmarc = look_ups.take(policy(wishes, domain, answers)).flatten();
    let mut items = Vec::new();
    if let Some((item, owner)) = dmarc {
        items.push(item);
        for host in hosts(wishes) {
            items.extend(look_ups.take(authorization(wishes, domain, &owner, &host, answers)).flatten());
        }
    }
    look_ups.done()?;
    items.extend(tls);
    Ok(items)
}

/// The domains of the mailboxes to which DMARC reports are to go.
fn hosts(wishes: &Wishes) -> Vec<Name> {
    let failure = wishes.mailboxes.failure.first().filter(|_| wishes.has_failures);
    let all = wishes.mailboxes.aggregate.first().into_iter().chain(failure);
    let mut hosts: Vec<Name> = all.filter_map(host_of).collect();
    hosts.dedup();
    hosts
}

/// The domains of mailboxes that are not brought to this program.
pub(super) fn foreign_hosts(wishes: &Wishes) -> Vec<Name> {
    let tls = wishes.mailboxes.tls.first().and_then(host_of);
    let mut all: Vec<Name> =
        hosts(wishes).into_iter().chain(tls).filter(|host| !wishes.own_domains.contains(host)).collect();
    all.sort();
    all.dedup();
    all
}

/// The domain of a mailbox.
fn host_of(address: &Address) -> Option<Name> {
    Name::from_dotted(address.domain_name()?.as_str()).ok()
}

/// True if a mailbox is one of ours, also with `+anything`.
fn is_ours(mailbox: &Address, ours: &[Address]) -> bool {
    ours.iter().any(|own| {
        let tagged = || {
            let (local, own_local) = (mailbox.local.to_lowercase(), own.local.to_lowercase());
            local.strip_prefix(&own_local).is_some_and(|rest| rest.starts_with('+'))
        };
        own.matches(mailbox) || (own.domain == mailbox.domain && tagged())
    })
}

/// True if one of the addresses is ours.
fn names_ours(uris: &[ReportUri], ours: &[Address]) -> bool {
    uris.iter().filter_map(|uri| uri.mailbox.as_ref()).any(|mailbox| is_ours(mailbox, ours))
}

// ---- DMARC ----

/// The DMARC record, with the domain whose record it is.
fn policy(wishes: &Wishes, domain: &Name, answers: &Answers) -> Result<Option<(Item, Name)>, Ask> {
    if wishes.mailboxes.aggregate.is_empty() {
        return Ok(None);
    }
    let Ok(name) = domain.below("_dmarc") else {
        let reason = "the name of the record would be longer than a name can be".to_owned();
        let item = Item::new(domain, Kind::Dmarc, domain.clone(), RecordType::Txt, State::ByHand(reason));
        return Ok(Some((item, domain.clone())));
    };
    let mut look_ups = LookUps::new(answers);
    let discovery = look_ups.take(dmarc::discover(domain, answers));
    let wild = domain.below(&wishes.nonce).ok().and_then(|name| look_ups.get(&name, RecordType::Txt));
    look_ups.done()?;
    let Some(discovery) = discovery else { return Ok(None) };
    let own = answers.get(&name, RecordType::Txt)?;
    let wild = wild.unwrap_or(own);
    let new = |name: Name, state: State| Item::new(domain, Kind::Dmarc, name, RecordType::Txt, state);
    let own_step = discovery.steps.first();
    if own_step.is_some_and(|step| matches!(step.found, Found::Several(_))) {
        let place = place(domain, &name, own, wild, true);
        let item = placed(new(name, State::Change), place);
        return Ok(Some((several(wishes, item, own), domain.clone())));
    }
    if let Some((owner, record)) = discovery.policy_record() {
        let at = owner.below("_dmarc").unwrap_or(name);
        let answer = answers.get(&at, RecordType::Txt)?;
        let is_own = owner == domain;
        let place = place(owner, &at, answer, if is_own { wild } else { answer_of_nobody() }, true);
        let mut item = placed(new(at, State::Change), place);
        if !is_own {
            item.notes.push(format!(
                "{domain} has no record of its own: the one of {owner} is in force, and its reports are about all of {owner}"
            ));
        }
        return Ok(Some((amended(wishes, item, record, answer), owner.clone())));
    }
    if let Some((at, trouble)) = discovery.trouble() {
        let mut item = new(name, State::of(trouble));
        if at != domain {
            item.notes.push(format!("no answer for {at}, whose record may be in force here"));
        }
        return Ok(Some((item, domain.clone())));
    }
    let texts: Vec<&RecordData> = own.data().iter().collect();
    let meant = own
        .data()
        .iter()
        .filter_map(|data| Some((data, data.text()?)))
        .find(|(_, text)| NearMiss::of(text).is_some_and(|near_miss| near_miss != NearMiss::Spf));
    let place = place(domain, &name, own, wild, meant.is_some());
    let is_wild = place.is_wild;
    let mut item = placed(new(name, State::Add), place);
    let octets = match meant {
        Some((old, text)) => {
            let mended = amend::mended_dmarc(&text);
            let why = NearMiss::of(&text).map_or("", near_miss_in_words);
            item.notes.push(format!("what stands there is no DMARC record and has no effect: {why}"));
            if let Some(policy) = Record::parse(&mended).and_then(|record| record.p.policy())
                && policy > Policy::None
            {
                item.notes.push(format!(
                    "with the record mended `p={}` comes into force: write `p=none` to see reports first",
                    policy.as_str()
                ));
            }
            if !is_wild {
                item.state = if item.state == State::Add { State::Change } else { item.state };
                item = item.replaces([old]);
            }
            mended
        }
        None => {
            item.notes.push(
                "`p=none` changes nothing for the domain's mail; a stricter policy can wait for the reports"
                    .to_owned(),
            );
            b"v=DMARC1; p=none".to_vec()
        }
    };
    if texts.iter().filter_map(|data| data.text()).any(|text| NearMiss::of(&text) == Some(NearMiss::Spf))
        && !is_wild
    {
        item.notes.push("an SPF record stands at this name, where nobody looks for it: remove it".to_owned());
    }
    let text = with_ours(wishes, &octets);
    Ok(Some((failures(wishes, item.with_text(&text)), domain.clone())))
}

/// An answer that is like no other.
fn answer_of_nobody() -> &'static Answer {
    static NOBODY: std::sync::OnceLock<Answer> = std::sync::OnceLock::new();
    NOBODY.get_or_init(Answer::no_name)
}

/// An item at its place.
fn placed(mut item: Item, place: Place) -> Item {
    item.name = place.name;
    item.notes.extend(place.notes);
    if let Some(reason) = place.foreign {
        item.state = State::ByHand(reason);
    } else if let Some(target) = place.alias {
        item.state = State::Change;
        item.old.push(Old { record_type: RecordType::Cname, value: RecordData::Cname(target).to_string() });
    } else if place.is_wild {
        item.state = State::Add;
    }
    item
}

/// A record with our addresses where they lack.
fn with_ours(wishes: &Wishes, octets: &[u8]) -> Vec<u8> {
    let record = Record::parse(octets);
    let lacks = |uris: fn(&Record) -> &Vec<ReportUri>, ours: &[Address]| {
        record.as_ref().is_none_or(|record| !names_ours(uris(record), ours))
    };
    let rua = wishes.mailboxes.aggregate.first();
    let rua: Vec<&Address> =
        rua.filter(|_| lacks(|record| &record.rua, &wishes.mailboxes.aggregate)).into_iter().collect();
    let ruf = wishes.mailboxes.failure.first().filter(|_| wishes.has_failures);
    let ruf: Vec<&Address> =
        ruf.filter(|_| lacks(|record| &record.ruf, &wishes.mailboxes.failure)).into_iter().collect();
    if rua.is_empty() && ruf.is_empty() {
        return octets.to_vec();
    }
    amend::dmarc(octets, &rua, &ruf)
}

/// Says what failure reports risk, where they are asked for.
fn failures(wishes: &Wishes, mut item: Item) -> Item {
    if wishes.has_failures {
        item.risk = Some(
            "`ruf`: failure reports hold subjects and addresses of persons, sometimes whole mails, of whoever \
             writes in the domain's name; few receivers send them"
                .to_owned(),
        );
    }
    item
}

/// One record that is in force.
fn amended(wishes: &Wishes, mut item: Item, record: &Record, answer: &Answer) -> Item {
    let data = answer
        .data()
        .iter()
        .find(|data| data.text().is_some_and(|text| Record::parse(&text).as_ref() == Some(record)));
    let octets = data.and_then(RecordData::text).unwrap_or_else(|| record.text.clone().into_bytes());
    let has_wild_record = item.state == State::Add;
    if !has_wild_record {
        item = item.replaces(data);
    }
    for stray in answer.texts().filter(|text| Record::parse(text).is_none()) {
        if let Some(near_miss) = NearMiss::of(&stray) {
            let text = String::from_utf8_lossy(&stray).into_owned();
            let why = near_miss_in_words(near_miss);
            item.notes.push(format!("another text at the name has no effect ({why}): remove `{text}`"));
        }
    }
    match record.force() {
        Force::AsPublished => {}
        Force::AsNone => item.notes.push(
            "the record acts as `p=none`: `p` is missing, or `p`, `sp` or `np` is none of none, quarantine, reject"
                .to_owned(),
        ),
        Force::Nothing => item.notes.push(
            "the record has no effect so far: `p` is missing, or `p`, `sp` or `np` is wrong; with an address for \
             reports it acts as `p=none`"
                .to_owned(),
        ),
    }
    for remark in &record.remarks {
        if remark.flaw == Flaw::InvalidUri {
            item.notes.push(format!("no report goes to `{}`: it is no address", remark.value));
        } else if remark.flaw == Flaw::RepeatedTag {
            item.notes.push(format!("`{}` stands there twice: the first one holds", remark.tag));
        }
    }
    let has_rua = names_ours(&record.rua, &wishes.mailboxes.aggregate);
    let has_ruf = !wishes.has_failures || names_ours(&record.ruf, &wishes.mailboxes.failure);
    if has_rua && has_ruf {
        item.state = State::InPlace;
        if item.old.is_empty() {
            item = item.replaces(data);
        }
        return item;
    }
    if !has_rua && record.rua.len() >= SERVED_ADDRESSES {
        item.notes.push(format!(
            "ours is address {} of `rua`: receivers have to serve {SERVED_ADDRESSES}, and some serve no more \
             (RFC 7489 §6.2)",
            record.rua.len() + 1
        ));
    }
    let text = with_ours(wishes, &octets);
    failures(wishes, item.with_text(&text))
}

/// Several records at one name, of which none counts (RFC 9989 §4.10): one of them with the addresses of all.
fn several(wishes: &Wishes, mut item: Item, answer: &Answer) -> Item {
    let mut all: Vec<(Record, Vec<u8>)> =
        answer.texts().filter_map(|text| Some((Record::parse(&text)?, text))).collect();
    // In force now is nothing, so the mildest changes least.
    all.sort_by(|(one, one_text), (other, other_text)| {
        (one.p.policy(), one_text).cmp(&(other.p.policy(), other_text))
    });
    if item.state != State::Add {
        item = item.replaces(
            answer
                .data()
                .iter()
                .filter(|data| data.text().is_some_and(|text| Record::parse(&text).is_some())),
        );
    }
    let Some((first, text)) = all.first() else { return item };
    let mut octets = text.clone();
    let mut known: Vec<&str> = first.rua.iter().map(|uri| uri.text.as_str()).collect();
    for uri in all.iter().skip(1).flat_map(|(record, _)| &record.rua) {
        if !known.contains(&uri.text.as_str()) {
            known.push(&uri.text);
            octets = amend::add(&octets, "rua", &uri.text);
        }
    }
    item.notes.push(format!(
        "{} records stand there, so none of them counts and no policy is in force (RFC 9989 §4.10): this one takes \
         their place",
        all.len()
    ));
    let policies: Vec<&str> =
        all.iter().filter_map(|(record, _)| Some(record.p.policy()?.as_str())).collect();
    if policies.windows(2).any(|pair| pair.first() != pair.last()) {
        item.notes.push(format!(
            "they ask for different policies ({}); the mildest is kept: choose",
            policies.join(", ")
        ));
    }
    let text = with_ours(wishes, &octets);
    failures(wishes, item.with_text(&text))
}

/// Why a text is no record.
const fn near_miss_in_words(near_miss: NearMiss) -> &'static str {
    match near_miss {
        NearMiss::VersionCase => "the version is written in the wrong case",
        NearMiss::VersionNotFirst => "the version is not the first tag",
        NearMiss::LeadingText => "something stands before the version",
        NearMiss::VersionTail => "something stands right after the version",
        NearMiss::NoVersion => "the version is missing",
        NearMiss::Spf => "it is an SPF record, which belongs at the domain itself",
    }
}

// ---- Who may be sent reports ----

/// The record by which the host of a mailbox takes reports about another domain (RFC 9990 §4).
fn authorization(
    wishes: &Wishes,
    domain: &Name,
    owner: &Name,
    host: &Name,
    answers: &Answers,
) -> Result<Option<Item>, Ask> {
    if owner == host {
        return Ok(None);
    }
    let new = |name: Name, state: State| Item::new(domain, Kind::Authorization, name, RecordType::Txt, state);
    let front = if wishes.has_wildcard { "*" } else { owner.as_str() };
    let Ok(name) = host.below(&format!("{front}._report._dmarc")) else {
        let reason =
            format!("{owner}._report._dmarc.{host} is longer than a name can be: use a shorter domain");
        return Ok(Some(new(host.clone(), State::ByHand(reason))));
    };
    let mut look_ups = LookUps::new(answers);
    let theirs = look_ups.take(dmarc::discover(owner, answers));
    let ours = look_ups.take(dmarc::discover(host, answers));
    let answer = look_ups.get(&name, RecordType::Txt);
    let wild = host.below(&format!("{}._report._dmarc", wishes.nonce)).ok();
    let wild = wild.and_then(|name| look_ups.get(&name, RecordType::Txt));
    look_ups.done()?;
    let (Some(theirs), Some(ours), Some(answer)) = (theirs, ours, answer) else { return Ok(None) };
    let organizational = |found: &Discovery| found.organizational.clone();
    let (theirs, ours) = (organizational(&theirs), organizational(&ours));
    let is_record = |data: &&RecordData| data.text().is_some_and(|text| Record::parse(&text).is_some());
    let records: Vec<&RecordData> = answer.data().iter().filter(is_record).collect();
    if !records.is_empty() {
        let mut item = new(name, State::InPlace).replaces(records.iter().copied());
        if wild.is_some_and(|wild| wild.data().iter().any(|data| is_record(&data))) {
            item.notes.push("a wildcard allows the reports about every domain".to_owned());
        }
        let others =
            records.iter().filter_map(|data| Record::parse(&data.text()?)).flat_map(|record| record.rua);
        let strange = others.filter(|uri| uri.mailbox.as_ref().and_then(host_of).as_ref() != Some(host));
        for uri in strange {
            let reason =
                format!("the record sends reports to `{}`, another host: then none are sent", uri.text);
            item.state = State::ByHand(reason);
        }
        return Ok(Some(item));
    }
    if theirs.is_some() && theirs == ours {
        let reason = format!("{owner} and {host} are of one organizational domain");
        return Ok(Some(new(name, State::NotNeeded(reason))));
    }
    if let Outcome::NotKnown(trouble) = &answer.outcome {
        return Ok(Some(new(name, State::of(trouble))));
    }
    let mut item = new(name, State::Add).with_text(b"v=DMARC1;");
    if theirs.is_none() || ours.is_none() {
        item.notes.push(format!(
            "it is not known whether {owner} and {host} are of one organizational domain; the record does no harm"
        ));
    }
    if let Some(target) = answer.aliases.first() {
        item.state = State::Change;
        item.old.push(Old {
            record_type: RecordType::Cname,
            value: RecordData::Cname(target.clone()).to_string(),
        });
        item.notes.push("an alias stands there and leads to no record: it has to go".to_owned());
    }
    if wishes.has_wildcard {
        item.risk = Some(
            "everybody may then have reports about any domain sent here; those about domains that are not watched \
             are kept apart, up to a limit"
                .to_owned(),
        );
    }
    Ok(Some(item))
}

// ---- TLS reports ----

/// The TLS-RPT record (RFC 8460 §3).
fn tls(wishes: &Wishes, domain: &Name, answers: &Answers) -> Result<Option<Item>, Ask> {
    let (Some(address), Ok(name)) = (wishes.mailboxes.tls.first(), domain.below("_smtp._tls")) else {
        return Ok(None);
    };
    let mut look_ups = LookUps::new(answers);
    let answer = look_ups.get(&name, RecordType::Txt);
    let wild = domain.below(&wishes.nonce).ok().and_then(|name| look_ups.get(&name, RecordType::Txt));
    let takes = look_ups.take(checks::takes_mail(domain, answers));
    look_ups.done()?;
    let (Some(answer), Some(wild)) = (answer, wild) else { return Ok(None) };
    let new = |state: State| Item::new(domain, Kind::TlsRpt, name.clone(), RecordType::Txt, state);
    if let Outcome::NotKnown(trouble) = &answer.outcome {
        return Ok(Some(new(State::of(trouble))));
    }
    let texts: Vec<(&RecordData, Vec<u8>)> =
        answer.data().iter().filter_map(|data| Some((data, data.text()?))).collect();
    let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let records: Vec<_> = texts.iter().filter(|(_, text)| tls_rpt::is_record(&lossy(text))).collect();
    let odd: Vec<_> = texts
        .iter()
        .filter(|(_, text)| lossy(text).to_ascii_lowercase().contains("v=tlsrpt") && records.is_empty())
        .collect();
    if records.is_empty() && matches!(takes, Some(Ok(false))) {
        let reason = "the domain takes no mail, so nobody has anything to report".to_owned();
        return Ok(Some(new(State::NotNeeded(reason))));
    }
    let mut item =
        placed(new(State::Add), place(domain, &name, answer, wild, !records.is_empty() || !odd.is_empty()));
    let is_wild = item.state == State::Add && !answer.data().is_empty() && answer == wild;
    let uris: Vec<String> =
        records.iter().chain(&odd).flat_map(|(_, text)| tls_rpt::parse(&lossy(text)).rua).collect();
    let has_ours = uris
        .iter()
        .filter_map(|uri| amend::mailbox(uri))
        .any(|mailbox| is_ours(&mailbox, &wishes.mailboxes.tls));
    if !is_wild {
        item = item.replaces(records.iter().chain(&odd).map(|(data, _)| *data));
    }
    let old = records.iter().chain(&odd).count();
    if old > 0 && item.state == State::Add && !is_wild {
        item.state = State::Change;
    }
    let text = match (records.as_slice(), odd.is_empty()) {
        ([(data, _)], _) if has_ours => {
            item.state = State::InPlace;
            if item.old.is_empty() {
                item = item.replaces([*data]);
            }
            return Ok(Some(item));
        }
        ([(_, text)], _) => {
            for fault in tls_rpt::parse(&lossy(text)).faults {
                item.notes.push(format!("as it stands it cannot be used: {fault}"));
            }
            amend::tls_rpt(text, address)
        }
        ([], true) => format!("v=TLSRPTv1; rua={}", amend::mailto(address)).into_bytes(),
        (several, _) => {
            item.notes.push(if several.is_empty() {
                "what stands there does not begin with `v=TLSRPTv1;` and has no effect".to_owned()
            } else {
                format!(
                    "{} records stand there, so none of them counts: this one takes their place",
                    several.len()
                )
            });
            let mut all: Vec<String> = Vec::new();
            for uri in uris.into_iter().chain((!has_ours).then(|| amend::mailto(address))) {
                if !uri.is_empty() && !all.contains(&uri) {
                    all.push(uri);
                }
            }
            format!("v=TLSRPTv1; rua={}", all.join(",")).into_bytes()
        }
    };
    if let Some(Err(_)) = takes {
        item.notes.push("whether the domain takes mail is not known".to_owned());
    }
    Ok(Some(item.with_text(&text)))
}
