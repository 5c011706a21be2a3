//! Health checks of the watched domains, again and again, each into the history.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::clock::{self, Timestamp};
use crate::daemon::dns_means::Means;
use crate::dns::Name;
use crate::dns_health::facts::{Facts, KnownSelector, Mailboxes, SelectorOrigin};
use crate::dns_health::gather::{self, Allowance, Tools};
use crate::dns_health::history::{DomainEvent, Noted};
use crate::limits;
use crate::mail::DomainName;
use crate::store::{Reader, Store};

/// What one check may cost.
pub const ALLOWANCE: Allowance = Allowance { questions: limits::HEALTH_QUESTIONS, time: limits::HEALTH_TIME };

/// A label that nobody has published, new for each check.
pub fn nonce() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness the label is guessable, and still nobody publishes it.
    let _ = SystemRandom::new().fill(&mut bytes);
    format!("mailsonde-{}", data_encoding::HEXLOWER.encode(&bytes))
}

/// Where the check of a domain starts: what reports taught of it.
///
/// Errors: a store that cannot be read.
pub fn learnt_facts(reader: &Reader, domain: &DomainName, now: Timestamp) -> anyhow::Result<Facts> {
    let name = Name::from_dotted(domain.as_str()).context("a watched domain is no name")?;
    let mut facts = Facts::new(name, now, nonce());
    let selectors = reader.learnt_selectors(domain, now.day())?;
    facts.selectors = selectors
        .into_iter()
        .map(|selector| KnownSelector { selector, origin: SelectorOrigin::Report })
        .collect();
    facts.sources = reader.learnt_sources(domain, now.day())?;
    facts.reported = reader.reported(domain, now.day())?;
    facts.known = reader.known_texts(domain)?;
    facts.signatures = reader.seen_signatures(domain, now.day())?;
    for selector in reader.arrival_selectors(domain, now.day())? {
        facts.selectors.retain(|known| known.selector != selector);
        facts.selectors.push(KnownSelector { selector, origin: SelectorOrigin::Arrival });
    }
    // Mail that passes was sent; that none was reported proves nothing.
    facts.is_sender = (!facts.sources.is_empty()).then_some(true);
    Ok(facts)
}

/// Domains that the configuration or `domains add` names: those of which only strangers' reports came are not
/// asked about.
///
/// Errors: a store that cannot be read.
pub fn watched(store: &Store) -> anyhow::Result<Vec<DomainName>> {
    let all = store.reader()?.watched()?;
    let named = all.into_iter().filter(|domain| domain.is_configured || domain.is_added);
    Ok(named.filter_map(|domain| DomainName::parse(&domain.name)).collect())
}

/// Checks one domain and notes what was seen. Returns what happened since the check before.
///
/// Errors: a store that cannot be read or written.
pub async fn check(
    store: &Store,
    tools: Tools<'_>,
    domain: &DomainName,
    mailboxes: &Mailboxes,
) -> anyhow::Result<Vec<DomainEvent>> {
    let now = clock::now();
    let mut facts = {
        let (store, domain) = (store.clone(), domain.clone());
        tokio::task::spawn_blocking(move || learnt_facts(&store.reader()?, &domain, now)).await??
    };
    facts.mailboxes.clone_from(mailboxes);
    let done = gather::check(tools, &facts, ALLOWANCE).await;
    let noted = Noted::of(&done.health, &done.answers, &facts.nonce, done.asked);
    let (store, domain) = (store.clone(), domain.clone());
    Ok(tokio::task::spawn_blocking(move || store.note_dns(&domain, noted, now)).await??)
}

/// Checks every watched domain once in `every`, one after the other, spread over the time. Never ends by itself.
///
/// `helo`: the name by which we greet MX hosts; in a round in which it does not resolve they are not asked.
pub async fn run(store: Store, means: Arc<Means>, helo: String, mailboxes: Mailboxes, every: Duration) {
    loop {
        let domains = {
            let store = store.clone();
            match tokio::task::spawn_blocking(move || watched(&store)).await {
                Ok(Ok(domains)) => domains,
                Ok(Err(error)) => {
                    tracing::error!(error = %format!("{error:#}"), "watched domains cannot be read for their DNS checks");
                    Vec::new()
                }
                Err(_) => return,
            }
        };
        let count = u32::try_from(domains.len().max(1)).unwrap_or(u32::MAX);
        let round = clock::instant();
        if let Some(exchangers) = means.exchangers().filter(|_| !domains.is_empty()) {
            let is_known = means.resolves(&helo).await;
            exchangers.pause(!is_known);
            if !is_known {
                tracing::warn!(%helo, "our own name has no address: MX hosts are not asked; `host_name` in [receiver] names another");
            }
        }
        for (at, domain) in (0_u32..).zip(&domains) {
            match check(&store, means.tools(), domain, &mailboxes).await {
                Ok(events) => events.iter().for_each(|event| log(domain, event)),
                Err(error) => {
                    tracing::error!(%domain, error = %format!("{error:#}"), "DNS check cannot be kept");
                }
            }
            tokio::time::sleep_until((round + every / count * (at + 1)).into()).await;
        }
        if domains.is_empty() {
            tokio::time::sleep(every).await;
        }
    }
}

/// Says what happened.
fn log(domain: &DomainName, event: &DomainEvent) {
    tracing::warn!(
        %domain,
        name = %event.name,
        about = %event.about,
        happening = event.event.happening.as_str(),
        before = ?event.event.before,
        after = ?event.event.after,
        "DNS of a watched domain"
    );
}
