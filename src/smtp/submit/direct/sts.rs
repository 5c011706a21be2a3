//! MTA-STS on the side of the sender (RFC 8461 §3.1, §3.3, §5): which policy holds for a domain now.
//!
//! A policy is remembered for its `max_age`, and fetched again when the record's `id` changes. Without a record, or
//! where a new one cannot be fetched, one that is remembered holds until its time is over: whoever can suppress an answer
//! must not be able to suppress the policy. Remembered in memory only: a program that starts knows none.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::dns::{Answers, Ask, Budget, Name, RecordType, Resolve, settle};
use crate::dns_health::facts::{FetchFault, PolicyResponse};
use crate::dns_health::gather::PolicyFetch;
use crate::dns_health::mta_sts::{self, Mode, StsPolicy};
use crate::dns_health::mx;
use crate::limits;

/// Which policy holds for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StsFound {
    /// It was not asked for.
    NotAsked,
    /// The domain has none, and why that is known: there is no record, or its mode is `none`.
    None(&'static str),
    /// It is not known whether it has one, or what it says: as if it had none (RFC 8461 §3.3), and told.
    NotKnown(String),
    /// This one.
    Policy(Held),
}

/// A policy that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The `id` of the record for which it was fetched.
    pub id: String,
    /// `enforce` or `testing`.
    pub mode: Mode,
    /// What it says.
    pub policy: Arc<StsPolicy>,
    /// Until when it holds.
    pub until: Timestamp,
}

impl fmt::Display for StsFound {
    /// `none: no record`, `enforce, id 20260101`, `not known: …`, `not asked`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked"),
            Self::None(why) => write!(f, "none: {why}"),
            Self::NotKnown(why) => write!(f, "not known: {why}"),
            Self::Policy(held) => write!(f, "{}, id {}", held.mode.as_str(), held.id),
        }
    }
}

/// What is remembered of a domain.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// The last policy that was fetched.
    held: Option<Held>,
    /// The last attempt that failed: when, for which `id`, and why.
    failed: Option<(Timestamp, String, String)>,
}

/// What the record says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Record {
    /// One valid record, with this `id`.
    Id(String),
    /// None that counts (RFC 8461 §3.1), and why.
    None(&'static str),
    /// DNS does not say.
    NotKnown(String),
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// That is the answer.
    Done(StsFound),
    /// Fetch the policy for this `id`.
    Fetch(String),
}

/// The policies of domains, remembered for as long as the value lives.
pub struct StsPolicies {
    /// Who fetches.
    fetch: Arc<dyn PolicyFetch>,
    /// By domain; the inner lock is held while one is fetched, so that nobody else does.
    known: Mutex<HashMap<Name, Place>>,
}

/// The place of one domain.
type Place = Arc<tokio::sync::Mutex<Memory>>;

impl StsPolicies {
    /// Policies that are fetched through `fetch`.
    pub fn new(fetch: Arc<dyn PolicyFetch>) -> Self {
        Self { fetch, known: Mutex::default() }
    }

    /// The policy that holds for a domain. Never fails, and bounds its own time.
    pub async fn find(&self, domain: &Name, resolver: &dyn Resolve) -> StsFound {
        let place = self.place(domain);
        let mut memory = place.lock().await;
        let mut answers = Answers::new();
        let mut budget = Budget::new(limits::DIRECT_QUESTIONS, limits::DIRECT_DNS_TIME);
        let record = settle(resolver, &mut answers, &mut budget, |answers| record(domain, answers)).await;
        let id = match decide(record, &memory, clock::now()) {
            Step::Done(found) => return found,
            Step::Fetch(id) => id,
        };
        let fetched = match mta_sts::policy_host(domain) {
            None => Err("the domain's name is too long for the policy's host".to_owned()),
            Some(host) => {
                let found: Result<Vec<IpAddr>, String> =
                    settle(resolver, &mut answers, &mut budget, |answers| policy_addresses(&host, answers))
                        .await;
                match found {
                    Ok(addresses) => read(self.fetch.fetch(&host, &addresses).await),
                    Err(why) => Err(why),
                }
            }
        };
        note(&mut memory, id, fetched, clock::now())
    }

    /// The place of a domain; where there are too many, some that nobody uses are given up.
    fn place(&self, domain: &Name) -> Place {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::STS_POLICIES && !known.contains_key(domain) {
            let some: Vec<Name> = known
                .iter()
                .filter(|(_, place)| Arc::strong_count(place) == 1)
                .map(|(name, _)| name.clone())
                .take(limits::STS_POLICIES / 8)
                .collect();
            for name in some {
                known.remove(&name);
            }
        }
        Arc::clone(known.entry(domain.clone()).or_default())
    }
}

/// What the record of a domain says. Errors: what to ask.
fn record(domain: &Name, answers: &Answers) -> Result<Record, Ask> {
    let Ok(name) = domain.below("_mta-sts") else {
        return Ok(Record::None("the domain's name is too long for the record"));
    };
    let records = mta_sts::records(domain, answers)?;
    if let Some(trouble) = answers.get(&name, RecordType::Txt)?.trouble() {
        let why = format!("TXT of {name}: {} {}", trouble.cause.as_str(), trouble.detail);
        return Ok(Record::NotKnown(why.trim_end().to_owned()));
    }
    Ok(match records.as_slice() {
        [] => Record::None("no record"),
        [one] => match mta_sts::id(one) {
            Some(id) => Record::Id(id.to_owned()),
            None => Record::None("the record has no valid id"),
        },
        // RFC 8461 §3.1: senders take several for none.
        _ => Record::None("several records"),
    })
}

/// The addresses of the policy's host, or why there are none. Errors: what to ask.
fn policy_addresses(host: &Name, answers: &Answers) -> Result<Result<Vec<IpAddr>, String>, Ask> {
    let addresses = mx::addresses(host, answers)?;
    if !addresses.is_empty() {
        return Ok(Ok(addresses));
    }
    let mut troubles = Vec::new();
    for record_type in [RecordType::A, RecordType::Aaaa] {
        troubles.extend(answers.get(host, record_type)?.trouble().map(|trouble| trouble.cause.as_str()));
    }
    Ok(Err(match troubles.first() {
        Some(cause) => format!("address of {host}: {cause}"),
        None => format!("{host} has no address"),
    }))
}

/// What to do about a record, given what is remembered.
fn decide(record: Record, memory: &Memory, now: Timestamp) -> Step {
    let held = memory.held.as_ref().filter(|held| held.until > now);
    let or = |otherwise: StsFound| Step::Done(held.map_or(otherwise, told));
    match record {
        Record::Id(id) if held.is_some_and(|held| held.id == id) => or(StsFound::NotAsked),
        Record::Id(id) => match &memory.failed {
            Some((at, failed, why))
                if *failed == id && now.ms_since(*at) < ms(limits::STS_RETRY) && now >= *at =>
            {
                or(StsFound::NotKnown(why.clone()))
            }
            _ => Step::Fetch(id),
        },
        Record::None(why) => or(StsFound::None(why)),
        Record::NotKnown(why) => or(StsFound::NotKnown(why)),
    }
}

/// Notes what was fetched, and says what holds.
fn note(memory: &mut Memory, id: String, fetched: Result<StsPolicy, String>, now: Timestamp) -> StsFound {
    match fetched {
        Ok(policy) => {
            let seconds = policy.max_age.unwrap_or_default();
            let held = Held {
                id,
                mode: policy.mode.unwrap_or(Mode::None),
                until: now.after(Duration::from_secs(seconds)),
                policy: Arc::new(policy),
            };
            let found = told(&held);
            (memory.held, memory.failed) = (Some(held), None);
            found
        }
        Err(why) => {
            memory.failed = Some((now, id, why.clone()));
            // RFC 8461 §5.1: the old one holds while its time lasts.
            memory.held.as_ref().filter(|held| held.until > now).map_or(StsFound::NotKnown(why), told)
        }
    }
}

/// A remembered policy as it is found: mode `none` is no policy.
fn told(held: &Held) -> StsFound {
    match held.mode {
        Mode::None => StsFound::None("mode none"),
        Mode::Enforce | Mode::Testing => StsFound::Policy(held.clone()),
    }
}

/// Reads what was fetched as senders must (RFC 8461 §3.3). Errors: why it is no policy.
fn read(fetched: Result<PolicyResponse, FetchFault>) -> Result<StsPolicy, String> {
    let response = fetched.map_err(|fault| format!("policy not fetched: {fault}"))?;
    if response.status != 200 {
        return Err(format!("policy not fetched: status {}", response.status));
    }
    let media = response.content_type.as_deref().unwrap_or_default();
    if !media.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain")) {
        return Err(format!("policy of type {media:.60?}, not text/plain"));
    }
    let policy = StsPolicy::parse(&response.body);
    if policy.is_usable() {
        Ok(policy)
    } else {
        Err(format!("policy cannot be read: {}", policy.faults.join("; ")))
    }
}

/// A duration in milliseconds.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
