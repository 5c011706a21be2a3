//! `check`: one domain or route in one line, as monitoring plug-ins speak. Its exit codes are theirs, not ours.

mod route;

use std::io::Write;

use jiff::tz::TimeZone;

use crate::cli::args::CheckArguments;
use crate::cli::context::Context;
use crate::cli::dns::check::facts;
use crate::cli::dns::{means, read_name, wait};
use crate::cli::exit::{Exit, Failure};
use crate::cli::period;
use crate::daemon::dns_checks::ALLOWANCE;
use crate::dns::Name;
use crate::dns_health::finding::Severity;
use crate::dns_health::gather::{self, Checkup};
use crate::dns_health::report::Grade;
use crate::mail::DomainName;
use crate::render::plugin::{self, Metric, Sample, Status, Threshold, Thresholds};
use crate::summary::Query;

/// Runs the command. It never fails: whatever keeps it from looking is UNKNOWN, with the reason in its line.
pub fn run(context: &Context, arguments: &CheckArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let status = match look(context, arguments) {
        Ok(report) => {
            plugin::write(
                report.status,
                &report.summary,
                &report.thresholds,
                &report.samples,
                &report.long,
                out,
            )?;
            report.status
        }
        Err(failure) => {
            unknown(&failure.in_one_line(), out)?;
            Status::Unknown
        }
    };
    Ok(Exit::Plugin(status.code()))
}

/// Says why nothing can be said.
pub fn unknown(reason: &str, out: &mut dyn Write) -> std::io::Result<()> {
    plugin::write(Status::Unknown, reason, &Thresholds::default(), &[], &[], out)
}

/// What is printed.
struct Report {
    status: Status,
    summary: String,
    thresholds: Thresholds,
    samples: Vec<Sample>,
    long: Vec<String>,
}

/// Looks at the route or the domain that is named.
fn look(context: &Context, arguments: &CheckArguments) -> Result<Report, Failure> {
    let settings = context.settings()?;
    match route::named(&settings, &arguments.subject)? {
        Some(route) => route::look(context, &settings, route, arguments),
        None => of_domain(context, arguments),
    }
}

/// Checks the domain and asks the store, if there is one.
fn of_domain(context: &Context, arguments: &CheckArguments) -> Result<Report, Failure> {
    let domain = read_name(&arguments.subject)?;
    let defaults: (&[&str], &[&str]) = (&["warnings=0"], &["criticals=0", "errors=0"]);
    let thresholds = thresholds(arguments, &Metric::OF_DOMAIN, defaults)?;
    let means = means(context, arguments.zone.as_deref(), arguments.dns_only, false)?;
    let facts = facts(context, &domain, &arguments.selector);
    let checkup = wait(gather::check(means.tools(), &facts, ALLOWANCE))?;
    let mut samples = of_findings(&checkup);
    let (of_reports, told) = of_reports(context, arguments, &domain)?;
    samples.extend(of_reports);
    let (status, reasons) = thresholds.judge(&samples);
    let health = &checkup.health;
    let grade = health.grade.map_or("not known", Grade::as_str);
    let mut summary = format!("{domain}: grade {grade}");
    let status = if is_blind(&checkup) {
        // What nobody answers says something about our resolver, and nothing about the domain.
        summary.push_str(", no server answers us anything");
        Status::Unknown
    } else if health.grade.is_none() {
        summary.push_str(", too much is not known");
        status.max(Status::Unknown)
    } else {
        status
    };
    for reason in reasons {
        summary = format!("{summary}, {reason}");
    }
    if let Some(told) = told {
        summary = format!("{summary}; {told}");
    }
    let long = health
        .findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .map(|finding| {
            let (code, severity) = (finding.code.code, finding.severity.as_str());
            format!("{severity} {code} {}: {}; mend: {}", finding.subject, finding.evidence, finding.mend)
        })
        .collect();
    Ok(Report { status, summary, thresholds, samples, long })
}

/// True if no question at all was answered.
fn is_blind(checkup: &Checkup) -> bool {
    !checkup.answers.is_empty() && checkup.answers.iter().all(|(_, answer)| answer.trouble().is_some())
}

/// The numbers of findings.
fn of_findings(checkup: &Checkup) -> Vec<Sample> {
    let health = &checkup.health;
    let count = |severity: Severity| {
        let count = health.findings.iter().filter(|finding| finding.severity == severity).count();
        u32::try_from(count).ok().map(f64::from)
    };
    let not_known = u32::try_from(health.count("not-known")).ok().map(f64::from);
    vec![
        Sample { metric: Metric::Criticals, value: count(Severity::Critical) },
        Sample { metric: Metric::Errors, value: count(Severity::Error) },
        Sample { metric: Metric::Warnings, value: count(Severity::Warning) },
        Sample { metric: Metric::NotKnown, value: not_known },
    ]
}

/// What stored reports say of the domain, also in words; nothing without a store.
fn of_reports(
    context: &Context,
    arguments: &CheckArguments,
    domain: &Name,
) -> Result<(Vec<Sample>, Option<String>), Failure> {
    let since = arguments.since.as_deref().unwrap_or("7d");
    let asked = period::whole_days(period::asked(Some(since), None, &TimeZone::UTC, context.now)?);
    let none = || {
        [Metric::FailingPercent, Metric::Messages, Metric::ReportAgeHours]
            .map(|metric| Sample { metric, value: None })
            .to_vec()
    };
    if !context.settings()?.store_path.exists() {
        return Ok((none(), None));
    }
    let reader = context.open_reader()?;
    let query = Query { domain: DomainName::parse(domain.as_str()), ..Query::default() };
    let last = reader.summary(&query)?.last;
    let query = Query { period: asked.period, is_relative: asked.is_relative, ..query };
    let sums = reader.summary(&query)?.totals.sums;
    #[expect(clippy::cast_precision_loss, reason = "a threshold is compared, nothing is counted")]
    let (messages, failing) = (sums.messages as f64, sums.dmarc_fail as f64);
    let percent = (sums.messages > 0).then(|| failing * 100.0 / messages);
    #[expect(clippy::cast_precision_loss, reason = "a threshold is compared, nothing is counted")]
    let age = last.map(|last| context.now.ms_since(last).max(0) as f64 / 3_600_000.0);
    let told = match (percent, age) {
        (Some(percent), Some(age)) => {
            format!(
                "{percent:.2} % of {} reported messages fail DMARC, last report {age:.0} h ago",
                sums.messages
            )
        }
        (None, Some(age)) => format!("no report since {since}, the last one {age:.0} h ago"),
        (_, None) => "no report yet".to_owned(),
    };
    let samples = vec![
        Sample { metric: Metric::FailingPercent, value: percent },
        Sample { metric: Metric::Messages, value: Some(messages) },
        Sample { metric: Metric::ReportAgeHours, value: age },
    ];
    Ok((samples, Some(told)))
}

/// The thresholds of the arguments; metrics that are not named have those of `defaults`, of warnings and of alarms.
fn thresholds(
    arguments: &CheckArguments,
    metrics: &[Metric],
    defaults: (&[&str], &[&str]),
) -> Result<Thresholds, Failure> {
    let read = |option: &str, texts: &[String], defaults: &[&str]| -> Result<Vec<Threshold>, Failure> {
        let mut all: Vec<Threshold> = Vec::new();
        for text in texts {
            let threshold = Threshold::parse(text).filter(|threshold| metrics.contains(&threshold.metric));
            all.push(threshold.ok_or_else(|| {
                let names = metrics.iter().map(|metric| metric.as_str()).collect::<Vec<_>>().join(", ");
                let example = metrics.first().map_or("", |metric| metric.as_str());
                Failure::usage(
                    format!("{option}: no threshold: {text:?}"),
                    format!("write METRIC=RANGE such as {example}=0; metrics here: {names}"),
                )
            })?);
        }
        for default in defaults.iter().filter_map(|text| Threshold::parse(text)) {
            if !all.iter().any(|threshold| threshold.metric == default.metric) {
                all.push(default);
            }
        }
        Ok(all)
    };
    Ok(Thresholds {
        warn: read("--warn", &arguments.warn, defaults.0)?,
        crit: read("--crit", &arguments.crit, defaults.1)?,
    })
}
