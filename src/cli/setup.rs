//! `setup`: the DNS records that bring reports about a domain here, and the proof that they do.

pub(in crate::cli) mod expect;
mod verify;

pub use verify::{VERIFIED, VERIFY_TOTALS};

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::cli::args::{Format, SetupArguments};
use crate::cli::context::Context;
use crate::cli::dns::{read_name, resolver_of, wait};
use crate::cli::exit::{Exit, Failure};
use crate::config::Settings;
use crate::daemon::dns_checks::nonce;
use crate::daemon::keys;
use crate::daemon::manners::leave_domains;
use crate::dns::{Answers, Budget, Name, Resolve, settle};
use crate::dns_health::facts::Mailboxes;
use crate::dns_health::setup::{Item, Wishes, plan};
use crate::limits;
use crate::mail::Address;
use crate::probe::manners::record_name;
use crate::render::setup::{SETUP, SETUP_TOTALS, SetupTotals, write_text, write_zone};
use crate::render::{Head, Sheet};

/// Runs the command.
pub fn run(context: &Context, arguments: &SetupArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let wishes = wishes(&settings, arguments)?;
    let resolver = resolver_of(context, arguments.zone.as_deref())?;
    if arguments.verify {
        return verify::run(context, &settings, arguments, &wishes, &resolver, out);
    }
    let (items, _) = items(&wishes, &resolver)?;
    let totals = SetupTotals::of(&items);
    match context.output.format {
        Format::Table => {
            write_text(&items, out)?;
            writeln!(out, "\n{}", totals.line())?;
            out.flush()?;
            for line in expect::once_published(&wishes, items.iter().all(|item| item.state.is_done())) {
                context.output.remark(&line);
            }
        }
        Format::Zone => {
            write_zone(&items, out)?;
            out.flush()?;
            context.output.remark(&totals.line());
        }
        _ => {
            let domain = wishes.domains.first().filter(|_| wishes.domains.len() == 1);
            let head = Head {
                view: "setup",
                title: "Records to publish",
                domain: domain.map(|domain| domain.as_str().to_owned()),
                is_timeless: true,
                ..Head::default()
            };
            let sheet = Sheet::of_rows(head, SETUP, &items).with_totals(SETUP_TOTALS, &totals);
            context.output.print(&sheet, &TimeZone::UTC, out)?;
        }
    }
    Ok(Exit::findings_if(!items.iter().all(|item| item.state.is_done())))
}

/// All records of the wishes as DNS has them now, and the answers.
fn items(wishes: &Wishes, resolver: &Arc<dyn Resolve>) -> Result<(Vec<Item>, Answers), Failure> {
    let mut answers = Answers::new();
    let questions = limits::SETUP_QUESTIONS.saturating_mul(wishes.domains.len() + wishes.own_domains.len());
    let mut budget = Budget::new(questions, limits::HEALTH_TIME);
    let items = wait(settle(&**resolver, &mut answers, &mut budget, |answers| plan(wishes, answers)))?;
    Ok((items, answers))
}

/// What is wanted: the arguments over the configuration.
///
/// Errors: no domain, no mailbox for reports, an address that is none.
fn wishes(settings: &Settings, arguments: &SetupArguments) -> Result<Wishes, Failure> {
    let mut domains: Vec<Name> = Vec::new();
    let configured = settings.domains.iter().map(|domain| domain.as_str().to_owned());
    let texts: Vec<String> =
        if arguments.domains.is_empty() { configured.collect() } else { arguments.domains.clone() };
    for text in &texts {
        let name = read_name(text)?;
        if !domains.contains(&name) {
            domains.push(name);
        }
    }
    if domains.is_empty() {
        return Err(Failure::usage(
            "no domain named",
            "`mailsonde setup example.com`, or a [[domain]] in the configuration",
        ));
    }
    let mut mailboxes = settings.report_mailboxes();
    if let Some(text) = &arguments.rua {
        let hint = "write it as dmarc@monitor.example.net";
        let address = Address::parse(text.strip_prefix("mailto:").unwrap_or(text));
        let address = address
            .filter(|address| address.domain_name().is_some())
            .ok_or_else(|| Failure::usage(format!("--rua: no address: {text:?}"), hint))?;
        let all = vec![address];
        mailboxes = Mailboxes { aggregate: all.clone(), failure: all.clone(), tls: all, ..mailboxes };
    }
    if mailboxes.aggregate.is_empty() {
        return Err(Failure::usage(
            "no address of ours takes reports",
            "add a [[recipient]] with purpose \"reports\" to the configuration (`mailsonde config example`), or name \
             one with --rua",
        ));
    }
    if arguments.ruf && mailboxes.failure.is_empty() {
        return Err(Failure::usage(
            "--ruf: no address of ours takes failure reports",
            "add a [[recipient]] with purpose \"failures\" to the configuration",
        ));
    }
    let mut own_domains: Vec<Name> = Vec::new();
    let recipients = settings.recipients.iter().filter(|_| settings.file.is_some());
    for address in recipients.map(|recipient| &recipient.address) {
        let name = address.domain_name().and_then(|domain| Name::from_dotted(domain.as_str()).ok());
        // With an address elsewhere only its own domain matters.
        let is_meant = arguments.rua.is_none()
            || mailboxes.aggregate.iter().any(|mailbox| mailbox.domain == address.domain);
        if let Some(name) = name.filter(|name| is_meant && !own_domains.contains(name)) {
            own_domains.push(name);
        }
    }
    let host = settings.receiver.host_name.as_deref().and_then(|host| Name::from_dotted(host).ok());
    let listened =
        settings.listeners.iter().map(|listener| listener.address.ip()).filter(|ip| is_public(*ip));
    let addresses: Vec<IpAddr> =
        if arguments.address.is_empty() { listened.collect() } else { arguments.address.clone() };
    let leave = leave_wanted(settings, &domains, &own_domains)?;
    let senders = settings.routes.iter().filter_map(|route| {
        let from = Name::from_dotted(route.from.domain_name()?.as_str()).ok()?;
        let server = &route.sender.host;
        let is_name = !server.is_empty() && server.parse::<IpAddr>().is_err();
        let server = is_name.then(|| Name::from_dotted(server).ok()).flatten();
        Some((from, server))
    });
    Ok(Wishes {
        domains,
        mailboxes,
        has_failures: arguments.ruf,
        has_wildcard: arguments.wildcard,
        own_domains,
        host,
        addresses,
        senders: senders.collect(),
        leave,
        nonce: nonce(),
    })
}

/// The records of leave that routes with `allow_negative` need, of the domains that are set up.
///
/// Nothing without a key: the first start makes it. Errors: a key file that cannot be read.
fn leave_wanted(
    settings: &Settings,
    domains: &[Name],
    own_domains: &[Name],
) -> Result<Vec<(Name, Name, String)>, Failure> {
    let Some(keys) = keys::load_existing(&settings.store_path)? else { return Ok(Vec::new()) };
    let mut wanted: Vec<(Name, Name, String)> = Vec::new();
    let allowing = settings.routes.iter().filter(|route| route.allow_negative);
    for domain in allowing.flat_map(|route| leave_domains(settings, route)) {
        let Ok(name) = Name::from_dotted(&domain) else { continue };
        let is_meant = domains.iter().chain(own_domains).any(|asked| name.is_within(asked));
        let Ok(record) = Name::from_dotted(&record_name(&domain)) else { continue };
        if is_meant && !wanted.iter().any(|(_, known, _)| *known == record) {
            wanted.push((name, record, keys.installation_id()));
        }
    }
    Ok(wanted)
}

/// True for an address that may be reached from outside.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_private()
                || address.is_link_local())
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local())
        }
    }
}
