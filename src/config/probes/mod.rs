//! What concerns probes: `[probes]`, `[dkim.NAME]`, `[sender.NAME]`, `[route.NAME]`, `[[negative]]`, `[[maintenance]]`.

mod calendar;
mod dkim;
mod remarks;
mod route;
mod sender;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::file::{Item, Section};
use crate::config::settings::Settings;
use crate::limits;
use crate::mail::DomainName;
pub use crate::probe::manners::Cap;

pub use calendar::{MaintenanceSettings, NegativeSettings};
pub use dkim::DkimSettings;
pub use remarks::remarks;
pub use route::{ProfileSettings, RouteSettings, SloSettings};
pub use sender::{AuthMechanism, SenderAuth, SenderKind, SenderSettings, SenderTls};

/// What holds for all probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbesSettings {
    /// Whether `serve` sends any.
    pub enabled: bool,
    /// While this file is there nothing is sent, by nobody.
    pub kill_switch: Option<PathBuf>,
    /// Most messages to one recipient domain.
    pub per_destination: Cap,
    /// Most messages in all.
    pub total: Cap,
    /// True: `serve` sends although the look at ourselves found what receivers take offence at.
    pub force: bool,
    /// Recipient domains that are not ours and whose owner agreed.
    pub consent: Vec<ConsentSettings>,
}

/// A recipient domain that is not ours, and why it may get probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentSettings {
    /// The domain; those below it too.
    pub domain: DomainName,
    /// Whose consent, and why.
    pub because: String,
}

impl ProbesSettings {
    /// What holds without `[probes]`.
    pub fn with_defaults() -> Self {
        let hour = Duration::from_secs(3_600);
        Self {
            enabled: true,
            kill_switch: None,
            per_destination: Cap { messages: limits::PROBES_PER_DESTINATION_HOUR, per: hour },
            total: Cap { messages: limits::PROBES_PER_HOUR, per: hour },
            force: false,
            consent: Vec::new(),
        }
    }
}

/// Reads all of it; faults are noted on the way. Domains, recipients and mailboxes must have been read.
pub(super) fn read(root: &Section<'_, '_>, settings: &mut Settings) {
    if let Some(probes) = root.section("probes") {
        settings.probes = read_probes(&probes);
        probes.finish();
    }
    let keys = dkim::read(root);
    let senders = sender::read(root);
    let names = route::read(root, settings, &senders, &keys);
    calendar::read(root, settings, &names);
}

/// `[probes]`.
fn read_probes(section: &Section<'_, '_>) -> ProbesSettings {
    let mut probes = ProbesSettings::with_defaults();
    probes.enabled = section.flag("enabled").unwrap_or(true);
    probes.kill_switch = section.path("kill_switch", "/run/mailsonde/stop");
    let wanted = "a number of messages in a time (`/m`, `/h`, `/d`)";
    if let Some(cap) = section.parsed("per_destination", wanted, "60/h", Cap::parse) {
        probes.per_destination = cap;
    }
    if let Some(cap) = section.parsed("total", wanted, "600/h", Cap::parse) {
        probes.total = cap;
    }
    probes.force = section.flag("force").unwrap_or(false);
    let example = "[{ domain = \"other.example\", because = \"whose, and why\" }]";
    for item in section.items("consent", example).unwrap_or_default() {
        match item {
            Item::Table(entry) => {
                if let Some(consent) = read_consent(&entry) {
                    if probes.consent.iter().any(|known| known.domain == consent.domain) {
                        entry.fault("domain", format!("{} stands twice in `consent`", consent.domain), None);
                    }
                    probes.consent.push(consent);
                }
                entry.finish();
            }
            Item::Text(text, span) => {
                let message = format!("`consent` in [probes] needs a reason for {text:?}");
                section.fault_at(span, message, Some(format!("for example `consent = {example}`")));
            }
        }
    }
    probes
}

/// One item of `consent`.
fn read_consent(section: &Section<'_, '_>) -> Option<ConsentSettings> {
    section.require("domain", "\"other.example\"");
    section.require("because", "\"whose, and why\"");
    let domain = section.parsed("domain", "a domain name", "other.example", plain_domain);
    let because = reason(section, "because");
    Some(ConsentSettings { domain: domain?, because: because? })
}

/// A domain name without what only patterns hold.
fn plain_domain(text: &str) -> Option<DomainName> {
    DomainName::parse(text).filter(|name| !name.as_str().contains('*'))
}

/// Whose consent, and why: some words.
fn reason(section: &Section<'_, '_>, key: &'static str) -> Option<String> {
    section.parsed(
        key,
        "whose consent, and why, in words",
        "the owner agreed by mail on 2026-06-01",
        |text| {
            let is_text = text.trim().len() >= 3 && text.len() <= 500 && !text.contains(char::is_control);
            is_text.then(|| text.trim().to_owned())
        },
    )
}

#[cfg(test)]
mod tests;
