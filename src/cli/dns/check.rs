//! `dns check`: what a domain publishes for its mail, what is wrong with it, and how to mend it.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;

use crate::cli::args::{DnsArguments, DnsCheckArguments, Format};
use crate::cli::context::Context;
use crate::cli::dns::{means, read_names, wait};
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::daemon::dns_checks::{ALLOWANCE, learnt_facts, nonce};
use crate::dns::Name;
use crate::dns_health::facts::{Facts, KnownSelector, SelectorOrigin};
use crate::dns_health::finding::Severity;
use crate::dns_health::gather::{self, Checkup};
use crate::dns_health::transport;
use crate::limits;
use crate::mail::DomainName;
use crate::render::dns::{HEALTH_FINDINGS, HEALTH_TOTALS, HealthFinding, HealthTotals, health_rows};
use crate::render::health::{OverviewRow, TextOptions};
use crate::render::{Head, Sheet, health};

/// Runs the command.
pub fn run(
    context: &Context,
    group: &DnsArguments,
    arguments: &DnsCheckArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let Some(fail_on) = Severity::parse(&arguments.fail_on) else {
        let words = Severity::ALL.into_iter().map(Severity::as_str);
        return Err(unknown_word("severity", &arguments.fail_on, words));
    };
    let domains = read_names(&arguments.domains)?;
    let means = means(context, group.zone.as_deref(), arguments.dns_only, arguments.smtp)?;
    let facts: Vec<Facts> =
        domains.iter().map(|domain| facts(context, domain, &arguments.selector)).collect();
    let bar = progress(context, domains.len());
    let is_text = context.output.format == Format::Table;
    let options = TextOptions { width: context.output.width, color: context.output.color };
    let mut all: Vec<Done> = Vec::new();
    let mut failed = Ok(());
    wait(gather::check_all(means.tools(), facts, limits::HEALTH_AT_ONCE, ALLOWANCE, |checkup| {
        bar.inc(1);
        match Done::of(&checkup, is_text.then_some(options)) {
            Ok(done) => all.push(done),
            Err(error) => failed = Err(error),
        }
    }))?;
    bar.finish_and_clear();
    failed?;
    // In the order in which they were asked for.
    let places: HashMap<&str, usize> =
        domains.iter().enumerate().map(|(at, domain)| (domain.as_str(), at)).collect();
    all.sort_by_key(|done| places.get(done.domain.as_str()).copied());
    let is_bad = all.iter().any(|done| done.worst >= Some(fail_on));
    if is_text {
        for (at, done) in all.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            out.write_all(&done.text)?;
        }
        if all.len() > 1 {
            let rows: Vec<OverviewRow> = all.into_iter().map(|done| done.overview).collect();
            writeln!(out)?;
            health::write_overview(&rows, out)?;
        }
        out.flush()?;
    } else {
        let mut totals = HealthTotals::default();
        for done in &all {
            totals.add(&done.totals);
        }
        let rows: Vec<HealthFinding> = all.into_iter().flat_map(|done| done.rows).collect();
        let domain = domains.first().filter(|_| domains.len() == 1).map(|domain| domain.as_str().to_owned());
        let head =
            Head { view: "dns-check", title: "DNS checks", domain, is_timeless: true, ..Head::default() };
        let sheet = Sheet::of_rows(head, HEALTH_FINDINGS, &rows).with_totals(HEALTH_TOTALS, &totals);
        context.output.print(&sheet, &TimeZone::UTC, out)?;
    }
    Ok(if is_bad { Exit::Findings } else { Exit::Fine })
}

/// A bar on a terminal, for more than one domain.
fn progress(context: &Context, domains: usize) -> ProgressBar {
    let is_shown = domains > 1 && std::io::stderr().is_terminal() && !context.output.is_quiet;
    let target = if is_shown { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(u64::try_from(domains).ok(), target);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {pos} of {len} domains ({per_sec})")
    {
        bar.set_style(style);
    }
    bar
}

/// What is kept of the report on one domain until all are done: what is printed of it, and no more.
struct Done {
    domain: Name,
    worst: Option<Severity>,
    overview: OverviewRow,
    totals: HealthTotals,
    text: Vec<u8>,
    rows: Vec<HealthFinding>,
}

impl Done {
    /// Of a report: as text, or as rows.
    fn of(checkup: &Checkup, text: Option<TextOptions>) -> std::io::Result<Self> {
        let health = &checkup.health;
        let mut done = Self {
            domain: health.domain.clone(),
            worst: health.worst(),
            overview: OverviewRow::of(health),
            totals: HealthTotals::of(std::slice::from_ref(health)),
            text: Vec::new(),
            rows: Vec::new(),
        };
        match text {
            Some(options) => {
                let hosts = transport::lines(&checkup.facts.dialogues);
                health::write(health, &hosts, options, &mut done.text)?;
            }
            None => done.rows = health_rows(health),
        }
        Ok(done)
    }
}

/// Where the check of a domain starts: the selectors given, and what the store learnt, if there is one.
pub fn facts(context: &Context, domain: &Name, selectors: &[String]) -> Facts {
    // Without a store, or with one that cannot be read, the check knows less and is still made.
    let learnt = DomainName::parse(domain.as_str())
        .and_then(|name| Some((context.open_reader().ok()?, name)))
        .and_then(|(reader, name)| learnt_facts(&reader, &name, context.now).ok());
    let mut facts = learnt.unwrap_or_else(|| Facts::new(domain.clone(), context.now, nonce()));
    // A wrong configuration was told when the resolver was made of it.
    facts.mailboxes = context.settings().map(|settings| settings.report_mailboxes()).unwrap_or_default();
    for selector in selectors {
        facts.selectors.retain(|known| known.selector != *selector);
        facts.selectors.push(KnownSelector { selector: selector.clone(), origin: SelectorOrigin::Given });
    }
    facts
}
