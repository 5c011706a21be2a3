//! `dns check`: what a domain publishes for its mail, what is wrong with it, and how to mend it.

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
use crate::dns_health::gather;
use crate::dns_health::report::Health;
use crate::dns_health::transport;
use crate::limits;
use crate::mail::DomainName;
use crate::render::dns::{HEALTH_FINDINGS, HEALTH_TOTALS, HealthFinding, HealthTotals, health_rows};
use crate::render::{Head, Sheet, escape};

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
    let mut all: Vec<(Health, Vec<String>)> = Vec::new();
    wait(gather::check_all(means.tools(), facts, limits::HEALTH_AT_ONCE, ALLOWANCE, |checkup| {
        bar.inc(1);
        all.push((checkup.health, transport::lines(&checkup.facts.dialogues)));
    }))?;
    bar.finish_and_clear();
    // In the order in which they were asked for.
    all.sort_by_key(|(health, _)| domains.iter().position(|domain| *domain == health.domain));
    let is_bad = all.iter().any(|(health, _)| health.worst() >= Some(fail_on));
    if context.output.format == Format::Table {
        for (health, hosts) in &all {
            write_text(health, hosts, out)?;
        }
        out.flush()?;
    } else {
        let all: Vec<Health> = all.into_iter().map(|(health, _)| health).collect();
        let rows: Vec<HealthFinding> = all.iter().flat_map(health_rows).collect();
        let totals = HealthTotals::of(&all);
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

/// One domain for eyes: its mark, each finding with what to do and the record to publish, and what MX hosts said.
fn write_text(health: &Health, hosts: &[String], out: &mut dyn Write) -> std::io::Result<()> {
    let grade = health.grade.map_or("not known", |grade| grade.as_str());
    let class = health.class.map_or("class not known", |class| class.as_str());
    let (passed, not_known) = (health.count("pass"), health.count("not-known"));
    writeln!(
        out,
        "{}: grade {grade} ({class}; {} findings, {passed} checks passed, {not_known} not known)",
        escape::terminal(health.domain.as_str()),
        health.findings.len()
    )?;
    for finding in &health.findings {
        writeln!(out)?;
        writeln!(
            out,
            "  {:<8} {}  {}",
            finding.severity.as_str(),
            finding.code.code,
            escape::terminal(&finding.subject)
        )?;
        writeln!(out, "           {}", escape::terminal(&finding.evidence))?;
        writeln!(out, "           mend: {}", escape::terminal(&finding.mend))?;
        if let Some(record) = &finding.publish {
            for old in &record.old {
                writeln!(out, "           now:     {}", escape::terminal(old))?;
            }
            writeln!(
                out,
                "           publish: {} {} {}",
                escape::terminal(&record.name.to_string()),
                record.record_type,
                escape::terminal(&record.value)
            )?;
        }
        if finding.code.standard != "-" {
            writeln!(out, "           see: {}", finding.code.standard)?;
        }
    }
    let reasons = health.not_known();
    if !reasons.is_empty() {
        writeln!(out, "\n  not known:")?;
    }
    for (reason, codes) in reasons.iter().take(limits::HEALTH_REASONS) {
        writeln!(out, "  {} ({})", escape::terminal(reason), codes.join(", "))?;
    }
    if let Some(more) = reasons.len().checked_sub(limits::HEALTH_REASONS).filter(|more| *more > 0) {
        writeln!(out, "  and {more} more reasons")?;
    }
    if !hosts.is_empty() {
        writeln!(out, "\n  what the MX hosts say:")?;
    }
    for host in hosts {
        writeln!(out, "  {}", escape::terminal(host))?;
    }
    writeln!(out)
}
