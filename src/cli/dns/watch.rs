//! `dns watch`: checks domains again and again and prints what changes, without a store.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::tz::TimeZone;

use crate::cli::args::{DnsArguments, DnsWatchArguments, Format};
use crate::cli::context::Context;
use crate::cli::dns::{means, read_names, wait};
use crate::cli::exit::{Exit, Failure};
use crate::clock;
use crate::config::file::parse_duration;
use crate::daemon::dns_checks::{ALLOWANCE, nonce};
use crate::dns::Name;
use crate::dns_health::facts::{Facts, KnownSelector, SelectorOrigin};
use crate::dns_health::gather;
use crate::dns_health::history::{DomainEvent, Memory, Noted};
use crate::limits;
use crate::render::dns::DNS_EVENTS;
use crate::render::{self, Head, Sheet, escape};
use crate::summary::DnsEventRow;

/// Runs the command: until it is interrupted, or so many rounds.
pub fn run(
    context: &Context,
    group: &DnsArguments,
    arguments: &DnsWatchArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let every = parse_duration(&arguments.every).filter(|every| *every >= limits::DNS_WATCH_SHORTEST);
    let Some(every) = every else {
        let shortest = limits::DNS_WATCH_SHORTEST.as_secs();
        return Err(Failure::usage(
            format!("--every: {:?} is no time between rounds", arguments.every),
            format!("write 30s, 5m or 1h, at least {shortest}s"),
        ));
    };
    let domains = read_names(&arguments.domains)?;
    let means = means(context, group.zone.as_deref(), true, false)?;
    let mut memory: BTreeMap<Name, Memory> = BTreeMap::new();
    let mut changes = 0_u64;
    let mut round = 0_u64;
    loop {
        round += 1;
        let facts = domains.iter().map(|domain| {
            let mut facts = Facts::new(domain.clone(), clock::now(), nonce());
            facts.selectors = arguments
                .selector
                .iter()
                .map(|selector| KnownSelector { selector: selector.clone(), origin: SelectorOrigin::Given })
                .collect();
            facts
        });
        let facts: Vec<Facts> = facts.collect();
        let nonces: BTreeMap<Name, String> =
            facts.iter().map(|facts| (facts.domain.clone(), facts.nonce.clone())).collect();
        let mut done = Vec::new();
        wait(gather::check_all(means.tools(), facts, limits::HEALTH_AT_ONCE, ALLOWANCE, |checkup| {
            done.push(checkup);
        }))?;
        done.sort_by(|one, other| one.health.domain.cmp(&other.health.domain));
        for checkup in done {
            let domain = checkup.health.domain.clone();
            let nonce = nonces.get(&domain).map_or("", String::as_str);
            let noted = Noted::of(&checkup.health, &checkup.answers, nonce, checkup.asked);
            let events = memory.entry(domain.clone()).or_default().take(&noted, clock::now());
            if round == 1 {
                let grade = noted.grade.unwrap_or("not known");
                let (findings, asked) = (noted.findings.len(), noted.asked);
                context.output.remark(&format!(
                    "{domain}: grade {grade}, {findings} findings, {asked} questions; watching"
                ));
            }
            changes += u64::try_from(events.len()).unwrap_or(u64::MAX);
            print(context, &domain, events, out)?;
        }
        if arguments.rounds.is_some_and(|rounds| round >= rounds) {
            break;
        }
        wait(async { tokio::time::sleep(every).await })?;
    }
    Ok(if changes > 0 { Exit::Findings } else { Exit::Fine })
}

/// Prints what happened, a line an event.
fn print(
    context: &Context,
    domain: &Name,
    events: Vec<DomainEvent>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let at = clock::now();
    let rows: Vec<DnsEventRow> = events
        .into_iter()
        .map(|event| DnsEventRow {
            at,
            domain: domain.as_str().to_owned(),
            name: event.name,
            about: event.about,
            happening: event.event.happening.as_str().to_owned(),
            before: event.event.before,
            after: event.event.after,
        })
        .collect();
    if context.output.format != Format::Table {
        let head =
            Head { view: "dns-watch", title: "What happens in DNS", is_timeless: true, ..Head::default() };
        let sheet = Sheet::of_rows(head, DNS_EVENTS, &rows);
        match context.output.format {
            Format::Json | Format::Ndjson => render::json::write_lines(&sheet, out)?,
            _ if rows.is_empty() => {}
            _ => context.output.print(&sheet, &TimeZone::UTC, out)?,
        }
        out.flush()?;
        return Ok(());
    }
    for row in rows {
        let list = |texts: &[String]| {
            if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
        };
        let line = format!(
            "{} {} {} {} {}: {} -> {}",
            at.rfc3339(),
            row.domain,
            row.happening,
            row.about,
            row.name,
            list(&row.before),
            list(&row.after)
        );
        writeln!(out, "{}", escape::terminal(&line))?;
    }
    out.flush()?;
    Ok(())
}
