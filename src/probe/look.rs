//! What every large receiver asks of a sender, asked of ourselves before the first probe. Pure.
//!
//! A probe of a sender that fails here says nothing about the way to the receiver, and does its name harm. Each point is
//! yes, no or not known; what is not known stops nobody. Behind a submission server its address is not known, so
//! only what the names say can be asked.
//!
//! Standards: RFC 8601 §3 (reverse DNS and forward match), RFC 5321 §4.1.1.1 (the name in EHLO), RFC 7208 §4 (SPF),
//! RFC 6376 §3.6 (the published key), RFC 9989 §4.10 (the DMARC record and its domain).

use std::net::IpAddr;

use crate::authentication::dmarc::{Discovery, discover};
use crate::authentication::key::{AtSelector, KeyRecord, Material, at, key_name};
use crate::authentication::reverse::{ReverseResult, reverse};
use crate::authentication::spf::{Identity, Input, SpfResult, check, is_spf};
use crate::clock::Timestamp;
use crate::dns::{Answers, Ask, Name, NotKnown, Outcome, Question, RecordType};
use crate::limits;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Our address has a name that leads back to it.
    Ptr,
    /// The name in EHLO resolves, to us.
    Helo,
    /// The domain of the reverse-path lets us send.
    Spf,
    /// A key that signs for the author's domain is published.
    Dkim,
    /// The author's domain has a DMARC record.
    Dmarc,
    /// Our port 25 is open.
    Port25,
}

impl Point {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ptr => "ptr",
            Self::Helo => "helo",
            Self::Spf => "spf",
            Self::Dkim => "dkim",
            Self::Dmarc => "dmarc",
            Self::Port25 => "port25",
        }
    }
}

/// The answer to one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// It is as receivers want it.
    Yes,
    /// It is not.
    No,
    /// Nobody could say.
    NotKnown,
}

impl Found {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::NotKnown => "not-known",
        }
    }
}

/// One point, answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub point: Point,
    /// The answer.
    pub found: Found,
    /// What was seen.
    pub evidence: String,
    /// What to do about it; empty where nothing is to be done.
    pub mend: String,
}

/// What is known of our own way out, apart from DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlet {
    /// Our addresses as receivers see them; empty: not known.
    pub addresses: Vec<IpAddr>,
    /// Why an address of ours is none that receivers see; only where `addresses` is empty.
    pub unseen: Option<String>,
    /// The name in EHLO.
    pub helo: String,
    /// Whether a host of the recipient was reached on port 25, and what was seen.
    pub port25: (Found, String),
}

/// Who is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name of the sender in the configuration, for the mends.
    pub sender: String,
    /// The route's name, for the mends.
    pub route: String,
    /// The author's domain.
    pub from: Name,
    /// The domain of the reverse-path.
    pub mail_from: Name,
    /// Our way out; `None`: a submission server sends for us.
    pub outlet: Option<Outlet>,
    /// The key that signs; `None`: none of ours does.
    pub key: Option<Key>,
}

/// A key that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `d=`.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// The record of the private key as it should be published, or why the private key cannot be used.
    pub record: Result<String, String>,
}

/// Looks at a sender, or says what to ask.
///
/// The points in their order; those that make no sense behind a submission server are left out. `now` is for SPF's
/// explanations only.
pub fn look(subject: &Subject, answers: &Answers, now: Timestamp) -> Result<Vec<Finding>, Ask> {
    let mut lacking: Vec<Question> = Vec::new();
    let mut findings = Vec::new();
    let mut take = |part: Result<Vec<Finding>, Ask>| match part {
        Ok(found) => findings.extend(found),
        Err(ask) => lacking.extend(ask.questions),
    };
    let one = |part: Result<Finding, Ask>| part.map(|finding| vec![finding]);
    if let Some(outlet) = &subject.outlet {
        take(ptr(outlet, answers));
        take(one(helo(subject, outlet, answers)));
    }
    take(spf(subject, answers, now));
    take(one(dkim(subject, answers)));
    take(one(dmarc(subject, answers)));
    if let Some(outlet) = &subject.outlet {
        take(Ok(vec![port25(outlet)]));
    }
    lacking.dedup();
    if lacking.is_empty() { Ok(findings) } else { Err(Ask { questions: lacking }) }
}

/// A finding.
fn finding(point: Point, found: Found, evidence: impl Into<String>, mend: impl Into<String>) -> Finding {
    let mend = if found == Found::Yes { String::new() } else { mend.into() };
    Finding { point, found, evidence: evidence.into(), mend }
}

/// A cause in words.
fn words(trouble: &NotKnown) -> String {
    let cause = trouble.cause.as_str();
    if trouble.detail.is_empty() { cause.to_owned() } else { format!("{cause}: {}", trouble.detail) }
}

/// What to do where our address is not known.
const NAT: &str = "run it where its own address is public, or compare the address that receivers see by hand";

/// The names of our addresses.
fn ptr(outlet: &Outlet, answers: &Answers) -> Result<Vec<Finding>, Ask> {
    if outlet.addresses.is_empty() {
        let unseen = outlet.unseen.clone().unwrap_or_else(|| "our address is not known".to_owned());
        return Ok(vec![finding(Point::Ptr, Found::NotKnown, unseen, NAT)]);
    }
    answers.need(outlet.addresses.iter().map(|ip| Question::new(Name::reverse(*ip), RecordType::Ptr)))?;
    let of = |address: &IpAddr| {
        let reverse = reverse(*address, answers)?;
        let mend = match reverse.result {
            ReverseResult::NoName => format!(
                "ask whoever gave you {address} to publish a PTR record for it: {} PTR {}.",
                Name::reverse(*address),
                outlet.helo
            ),
            _ => format!(
                "let the name of {address} have that address, or let its PTR record name {}",
                outlet.helo
            ),
        };
        let found = match reverse.result {
            ReverseResult::Pass => Found::Yes,
            ReverseResult::Fail | ReverseResult::NoName => Found::No,
            ReverseResult::TempError => Found::NotKnown,
        };
        Ok(finding(Point::Ptr, found, reverse.reason, mend))
    };
    outlet.addresses.iter().map(of).collect()
}

/// The name in EHLO.
fn helo(subject: &Subject, outlet: &Outlet, answers: &Answers) -> Result<Finding, Ask> {
    let (helo, sender) = (&outlet.helo, &subject.sender);
    let mend = format!("write `helo` in [sender.{sender}]: a name that has our address");
    let name = Name::from_dotted(helo).ok().filter(|name| name.label_count() > 1);
    let Some(name) = name else {
        return Ok(finding(Point::Helo, Found::No, format!("{helo} is no name that can be looked up"), mend));
    };
    let types = [RecordType::A, RecordType::Aaaa];
    answers.need(types.map(|record_type| Question::new(name.clone(), record_type)))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut trouble = None;
    for record_type in types {
        let answer = answers.get(&name, record_type)?;
        addresses.extend(answer.addresses());
        trouble = trouble.or_else(|| answer.trouble().map(words));
    }
    let listed = || addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let ours = outlet.addresses.iter().filter(|ip| addresses.contains(ip)).count();
    Ok(match (addresses.is_empty(), trouble) {
        (true, None) => finding(Point::Helo, Found::No, format!("{helo} has no address"), mend),
        (true, Some(trouble)) => {
            let evidence = format!("whether {helo} has an address is not known: {trouble}");
            finding(Point::Helo, Found::NotKnown, evidence, "ask again once DNS answers")
        }
        (false, _) if outlet.addresses.is_empty() => {
            let evidence = format!("{helo} is {}; whether that is us is not known", listed());
            finding(Point::Helo, Found::NotKnown, evidence, NAT)
        }
        (false, _) if ours == outlet.addresses.len() => {
            finding(Point::Helo, Found::Yes, format!("{helo} is {}, which is us", listed()), "")
        }
        (false, Some(trouble)) => {
            let evidence = format!("{helo} is {}; the rest is not known: {trouble}", listed());
            finding(Point::Helo, Found::NotKnown, evidence, "ask again once DNS answers")
        }
        (false, None) => {
            let other: Vec<String> = outlet
                .addresses
                .iter()
                .filter(|ip| !addresses.contains(ip))
                .map(ToString::to_string)
                .collect();
            let evidence = format!("{helo} is {}, and we send from {}", listed(), other.join(", "));
            finding(Point::Helo, Found::No, evidence, mend)
        }
    })
}

/// Whether the domain of the reverse-path lets us send.
fn spf(subject: &Subject, answers: &Answers, now: Timestamp) -> Result<Vec<Finding>, Ask> {
    let domain = &subject.mail_from;
    let addresses = subject.outlet.as_ref().map(|outlet| outlet.addresses.as_slice()).unwrap_or_default();
    if addresses.is_empty() {
        return spf_without_address(subject, answers).map(|finding| vec![finding]);
    }
    let helo = subject.outlet.as_ref().map_or("", |outlet| outlet.helo.as_str());
    let of = |ip: &IpAddr| {
        let input = Input {
            ip: *ip,
            identity: Identity::MailFrom,
            mail_from: domain.as_str(),
            helo,
            receiver: "localhost",
            now,
            void_limit: limits::SPF_VOIDS,
        };
        let verdict = check(&input, answers)?;
        let word = verdict.result.as_str();
        let reason = verdict.trace.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let evidence = format!("SPF of {domain} for {ip}: {word}{reason}");
        let family = if ip.is_ipv4() { "ip4" } else { "ip6" };
        let mend = match verdict.result {
            SpfResult::None => format!("publish `{domain} TXT \"v=spf1 {family}:{ip} -all\"`"),
            SpfResult::PermError => format!("mend the SPF record: `mailsonde dns spf {domain}` shows it"),
            SpfResult::TempError => "ask again once DNS answers".to_owned(),
            _ => format!("add `{family}:{ip}` to the SPF record of {domain}"),
        };
        let found = match verdict.result {
            SpfResult::Pass => Found::Yes,
            SpfResult::TempError => Found::NotKnown,
            _ => Found::No,
        };
        Ok(finding(Point::Spf, found, evidence, mend))
    };
    addresses.iter().map(of).collect()
}

/// Whether there is a record at all, where nobody knows from which address the mail will come.
fn spf_without_address(subject: &Subject, answers: &Answers) -> Result<Finding, Ask> {
    let domain = &subject.mail_from;
    let answer = answers.get(domain, RecordType::Txt)?;
    Ok(match &answer.outcome {
        Outcome::NotKnown(trouble) => {
            let evidence = format!("whether {domain} has an SPF record is not known: {}", words(trouble));
            finding(Point::Spf, Found::NotKnown, evidence, "ask again once DNS answers")
        }
        _ if answer.texts().any(|text| is_spf(&text)) => {
            let evidence =
                format!("{domain} has an SPF record; from which address the mail goes out is not known here");
            let mend =
                format!("`mailsonde dns spf {domain} --ip ADDRESS` tells whether it covers an address");
            finding(Point::Spf, Found::NotKnown, evidence, mend)
        }
        _ => {
            let mend = format!(
                "publish an SPF record for {domain} that names whoever sends, as your relay documents it"
            );
            finding(Point::Spf, Found::No, format!("{domain} has no SPF record"), mend)
        }
    })
}

/// Whether a key is published that signs for the author.
fn dkim(subject: &Subject, answers: &Answers) -> Result<Finding, Ask> {
    let (from, route) = (&subject.from, &subject.route);
    let Some(key) = &subject.key else {
        return Ok(match &subject.outlet {
            Some(_) => {
                let mend = format!(
                    "add a [dkim.NAME] with `domain = \"{from}\"`, and `dkim = \"NAME\"` to [route.{route}]"
                );
                finding(Point::Dkim, Found::No, "nothing signs: the route has no DKIM key", mend)
            }
            None => {
                let evidence = "no key of ours signs; whether the relay does is seen at arrival only";
                finding(
                    Point::Dkim,
                    Found::NotKnown,
                    evidence,
                    "let the relay sign, or add `dkim` to the route",
                )
            }
        });
    };
    let wanted = match &key.record {
        Ok(record) => record,
        Err(cause) => {
            return Ok(finding(Point::Dkim, Found::No, cause.clone(), "mend `key` in its [dkim.NAME]"));
        }
    };
    let Some(name) = key_name(&key.selector, &key.domain) else {
        let evidence = format!("{} and {} make no domain name", key.selector, key.domain);
        return Ok(finding(Point::Dkim, Found::No, evidence, "mend `selector` in its [dkim.NAME]"));
    };
    let publish = format!("publish `{name} TXT \"{wanted}\"`");
    let keys = match at(&name, answers)? {
        AtSelector::Keys(keys) => keys,
        AtSelector::NotKnown(trouble) => {
            let evidence = format!("what stands at {name} is not known: {}", words(&trouble));
            return Ok(finding(Point::Dkim, Found::NotKnown, evidence, "ask again once DNS answers"));
        }
        AtSelector::None | AtSelector::OtherText | AtSelector::BadName => {
            return Ok(finding(Point::Dkim, Found::No, format!("no key stands at {name}"), publish));
        }
    };
    let own = KeyRecord::parse(&[wanted.as_bytes().to_vec()]).material;
    if own == Material::None || !keys.iter().any(|published| published.material == own) {
        let evidence = format!("the key at {name} is not that of the private key");
        return Ok(finding(Point::Dkim, Found::No, evidence, publish));
    }
    if let Some(fault) = keys.iter().find_map(KeyRecord::fatal) {
        return Ok(finding(Point::Dkim, Found::No, format!("the key at {name}: {fault}"), publish));
    }
    let Ok(domain) = Name::from_dotted(&key.domain) else {
        let evidence = format!("{} is no domain name", key.domain);
        return Ok(finding(Point::Dkim, Found::No, evidence, "mend `domain` in its [dkim.NAME]"));
    };
    if domain == *from {
        return Ok(finding(Point::Dkim, Found::Yes, format!("the key at {name} signs as {domain}"), ""));
    }
    let (ours, author) = (discover(&domain, answers), discover(from, answers));
    let (ours, author) = both(ours, author)?;
    let unaligned = || {
        let evidence = format!("the signature is of {domain}, which is not aligned with the author's {from}");
        finding(
            Point::Dkim,
            Found::No,
            evidence,
            format!("let `domain` of the key be {from}, or change `from` of the route"),
        )
    };
    Ok(match (aligned(&ours, &author), ours.trouble().or_else(|| author.trouble())) {
        (true, None) => finding(
            Point::Dkim,
            Found::Yes,
            format!("the key at {name} signs as {domain}, aligned with {from}"),
            "",
        ),
        (_, Some((place, trouble))) => {
            let evidence =
                format!("whether {domain} is aligned with {from} is not known: {place}: {}", words(trouble));
            finding(Point::Dkim, Found::NotKnown, evidence, "ask again once DNS answers")
        }
        (false, None) => unaligned(),
    })
}

/// Two walks, with the questions of both where either lacks answers.
fn both(
    first: Result<Discovery, Ask>,
    second: Result<Discovery, Ask>,
) -> Result<(Discovery, Discovery), Ask> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(mut first), Err(second)) => {
            first.questions.extend(second.questions);
            first.questions.dedup();
            Err(first)
        }
        (Err(ask), Ok(_)) | (Ok(_), Err(ask)) => Err(ask),
    }
}

/// True if a signing domain is aligned with the author's by the relaxed mode, or its record asks for no more.
fn aligned(ours: &Discovery, author: &Discovery) -> bool {
    use crate::authentication::dmarc::Mode;
    let is_strict = author.policy_record().is_some_and(|(_, record)| record.adkim == Mode::Strict);
    !is_strict && ours.organizational.is_some() && ours.organizational == author.organizational
}

/// The DMARC record of the author's domain.
fn dmarc(subject: &Subject, answers: &Answers) -> Result<Finding, Ask> {
    let from = &subject.from;
    let found = discover(from, answers)?;
    Ok(match (found.policy_record(), found.trouble()) {
        (Some((domain, _)), _) => {
            finding(Point::Dmarc, Found::Yes, format!("the DMARC record of {domain} holds for {from}"), "")
        }
        (None, Some((domain, trouble))) => {
            let evidence = format!("the DMARC record of {domain} is not known: {}", words(trouble));
            finding(Point::Dmarc, Found::NotKnown, evidence, "ask again once DNS answers")
        }
        (None, None) => {
            let mend = format!(
                "publish `_dmarc.{from} TXT \"v=DMARC1; p=none\"`; `mailsonde setup {from}` has it with reports"
            );
            finding(Point::Dmarc, Found::No, format!("{from} has no DMARC record"), mend)
        }
    })
}

/// Whether our port 25 is open.
fn port25(outlet: &Outlet) -> Finding {
    let (found, evidence) = &outlet.port25;
    let mend = "ask your provider to let port 25 out, or send through a relay (`kind = \"submission\"`)";
    finding(Point::Port25, *found, evidence.clone(), mend)
}

#[cfg(test)]
mod tests;
