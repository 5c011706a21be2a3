//! What is allowed, and will surprise: remarks of `config check` about routes.

use std::time::Duration;

use crate::config::probes::route::RouteSettings;
use crate::config::settings::Settings;
use crate::mail::{Address, DomainName, Purpose};
use crate::probe::manners::Whose;

/// The remarks about all routes, in the order of the file. `whose` says whose the system of a route is.
pub fn remarks(settings: &Settings, whose: impl Fn(&RouteSettings) -> Whose) -> Vec<String> {
    let mut all = Vec::new();
    for route in &settings.routes {
        let whose = whose(route);
        let mut say = |remark: Option<String>| {
            if let Some(remark) = remark {
                all.push(format!("[route.{}]: {remark}", route.name));
            }
        };
        say(no_bounce_path(settings, route));
        say(no_eyes(settings, route));
        say(no_consent(settings, route, whose));
        for (what, every) in intervals(settings, route) {
            say(too_often(whose, &what, every));
        }
        say(distorts(settings, route));
    }
    all
}

/// Nobody would see a bounce.
fn no_bounce_path(settings: &Settings, route: &RouteSettings) -> Option<String> {
    if route.bounces.is_some() {
        return None;
    }
    let author = route.from.to_string();
    let sender = route.mail_from.as_deref().unwrap_or(&author);
    let is_ours = is_received(settings, sender, &[Purpose::Probe, Purpose::Bounce]);
    (!is_ours).then(|| {
        format!(
            "its bounces go to {sender}, which is no address for probes or bounces here: a probe past its deadline is \
             `unobserved: no bounce path`, never lost. Set `mail_from` to one of ours, or `bounces` to the mailbox of \
             the sending account"
        )
    })
}

/// Nobody would see an arrival.
fn no_eyes(settings: &Settings, route: &RouteSettings) -> Option<String> {
    let is_seen = route.watch.is_some() || is_received(settings, &route.to, &[Purpose::Probe]);
    (!is_seen).then(|| {
        format!(
            "its probes arrive at {}, where nobody of ours looks. Set `watch` to a [mailbox.NAME] of it, or send to an \
             address with purpose \"probe\"",
            route.to
        )
    })
}

/// True if an address or a template of one is taken here for one of these purposes: exactly, with `+anything`, or as
/// the bare token at a domain with a probe address.
fn is_received(settings: &Settings, template: &str, purposes: &[Purpose]) -> bool {
    let Some(address) = Address::parse(&template.replace("{token}", "token")) else { return false };
    let local = address.local.to_lowercase();
    let base = local.split_once('+').map_or(local.as_str(), |(base, _)| base);
    let is_bare_token = template.starts_with("{token}@");
    settings.recipients.iter().filter(|recipient| purposes.contains(&recipient.purpose)).any(|recipient| {
        let own = &recipient.address;
        let is_same_domain = match (&own.domain, &address.domain) {
            (Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
            _ => false,
        };
        let own_local = own.local.to_lowercase();
        let is_taken =
            own_local == local || own_local == base || (is_bare_token && recipient.purpose == Purpose::Probe);
        is_same_domain && is_taken
    })
}

/// A recipient that is not ours, without consent.
fn no_consent(settings: &Settings, route: &RouteSettings, whose: Whose) -> Option<String> {
    let domain = route.recipient_domain()?;
    let is_agreed = route.consent.is_some()
        || settings.probes.consent.iter().any(|consent| domain.is_at_or_below(&consent.domain));
    (whose == Whose::Foreign && !is_agreed).then(|| {
        format!(
            "{domain} is none of the configured domains: nothing is sent before `consent = \"whose, and why\"` stands \
             here, or a [[domain]] names it"
        )
    })
}

/// The intervals of a route, each with what is sent.
fn intervals(settings: &Settings, route: &RouteSettings) -> Vec<(String, Duration)> {
    let in_turn = route.every.map(|every| ("`every`".to_owned(), every));
    let own = route
        .profiles
        .iter()
        .filter_map(|one| one.every.map(|every| (format!("`every` of {}", one.profile), every)));
    let negative = settings
        .negatives
        .iter()
        .filter(|negative| negative.route == route.name)
        .map(|negative| (format!("[[negative]] {}", negative.profile), negative.every));
    in_turn.into_iter().chain(own).chain(negative).collect()
}

/// An interval that is not kept.
fn too_often(whose: Whose, what: &str, every: Duration) -> Option<String> {
    let least = whose.least_interval();
    let to = match whose {
        Whose::Foreign => "other people's systems",
        Whose::Own | Whose::Here => "own systems",
    };
    (every < least).then(|| {
        format!("{what} is {} s: to {to} probes go every {} s at most", every.as_secs(), least.as_secs())
    })
}

/// An author in a domain whose numbers its probes would change.
fn distorts(settings: &Settings, route: &RouteSettings) -> Option<String> {
    let domain: DomainName = route.from.domain_name()?;
    settings.domains.contains(&domain).then(|| {
        format!(
            "its probes are mail of {domain} and count in the reports about it; `from = \"probe@probe.{domain}\"` keeps \
             them apart"
        )
    })
}
