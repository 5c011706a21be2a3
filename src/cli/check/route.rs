//! `check ROUTE`: how the probes of a route did, in one line.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Report, thresholds};
use crate::cli::args::CheckArguments;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::period;
use crate::cli::report::probes::{configured, is_maintenance, objective};
use crate::clock::Timestamp;
use crate::config::fault::nearest;
use crate::config::{RouteSettings, Settings};
use crate::limits;
use crate::probe::lifecycle::State;
use crate::probe::rate::wilson;
use crate::render::plugin::{Metric, Sample, Status};
use crate::store::{ProbeMeans, Reader};
use crate::summary::latency::{Percentiles, Span};
use crate::summary::percent::percent_text;
use crate::summary::probe::{By, Standing};
use crate::summary::{ProbeCounts, Query};

/// The thresholds of those metrics that have none: warning, alarm.
pub(super) const DEFAULTS: (&[&str], &[&str]) = (&["loss=1", "spam=0"], &["loss=5"]);

/// How many of the newest decided probes must be unknown so that nothing is said.
const BLIND: usize = 3;

/// The route that a subject names; `None` if it is a domain.
///
/// Errors: a name that is neither, with the names of routes.
pub(super) fn named<'s>(settings: &'s Settings, subject: &str) -> Result<Option<&'s RouteSettings>, Failure> {
    if let Some(route) = configured(settings, subject) {
        return Ok(Some(route));
    }
    // Every domain that takes mail from others has a dot.
    if subject.contains('.') {
        return Ok(None);
    }
    let names = || settings.routes.iter().map(|route| route.name.as_str());
    let hint = match (nearest(subject, names()), names().next()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(_)) => format!("routes: {}; or name a domain", names().collect::<Vec<_>>().join(", ")),
        (None, None) => {
            "the configuration has no [route.NAME]; or name a domain such as example.com".to_owned()
        }
    };
    Err(Failure::usage(format!("no route {subject:?}"), hint))
}

/// Looks at the probes of a route.
pub(super) fn look(
    context: &Context,
    settings: &Settings,
    route: &RouteSettings,
    arguments: &CheckArguments,
) -> Result<Report, Failure> {
    let name = arguments.subject.as_str();
    let thresholds = thresholds(arguments, &Metric::OF_ROUTE, DEFAULTS)?;
    let since = arguments.since.as_deref().unwrap_or("1d");
    let asked = period::asked(Some(since), None, &TimeZone::UTC, context.now)?;
    if !settings.store_path.exists() {
        return Err(Failure::run("there is no store yet: no probe was sent"));
    }
    let reader = context.open_reader()?;
    let query = Query { route: Some(name.to_owned()), period: asked.period, ..Query::default() };
    let means = ProbeMeans {
        now: context.now,
        zone: TimeZone::UTC,
        by: By::Route,
        is_maintenance: &|name, at| is_maintenance(settings, name, at),
        longest_window: limits::SLO_WINDOW,
        objective: &|name| objective(settings, name),
    };
    let groups = reader.probe_groups(&query, &means)?;
    let latency = reader.latency(&query, &means)?.totals.percentiles;
    let samples = samples(&groups.totals, latency);
    let (status, reasons) = thresholds.judge(&samples);
    let (status, mut summary) = if is_maintenance(settings, name, context.now) {
        (Status::Ok, format!("{name}: under maintenance, {}", told(&groups.totals, latency, since)))
    } else {
        let blindness = blindness(&reader, &query, context.now, route, groups.last, &groups.totals)?;
        let said = told(&groups.totals, latency, since);
        match blindness {
            // What was seen is an alarm all the same; that nothing was seen is none.
            Some(why) => (status.max(Status::Unknown), format!("{name}: {why}; {said}")),
            None => (status, format!("{name}: {said}")),
        }
    };
    for reason in reasons {
        summary = format!("{summary}, {reason}");
    }
    let long = groups.rows.iter().filter(|_| groups.rows.len() > 1);
    let long = long.map(|row| format!("{}: {}", row.route, told(&row.counts, None, since))).collect();
    Ok(Report { status, summary, thresholds, samples, long })
}

/// Why nothing can be said, if that is so: no probes, or eyes that were closed.
fn blindness(
    reader: &Reader,
    query: &Query,
    now: Timestamp,
    route: &RouteSettings,
    last: Option<Timestamp>,
    counts: &ProbeCounts,
) -> Result<Option<String>, Failure> {
    let Some(last) = last else { return Ok(Some("no data: no probe was sent".to_owned())) };
    if let Some(every) = route.every {
        let longest = (every * 3).max(Duration::from_secs(900));
        if now > last.after(longest) {
            return Ok(Some(format!("no data: no probe was sent since {}", last.rfc3339())));
        }
    }
    if counts.decided() == 0 {
        let unknown = counts.standing(Standing::NotKnown);
        let waiting = counts.standing(Standing::Waiting);
        let blind = if unknown > 0 { ", our eyes were closed" } else { "" };
        return Ok(Some(format!("no probe is decided{blind}: {waiting} not yet, {unknown} never will be")));
    }
    let newest = reader.probes(&Query { limit: Some(100), ..query.clone() }, now)?;
    let states = newest.rows.iter().filter_map(|row| State::parse(&row.state)).map(Standing::of);
    let decided =
        states.filter(|standing| matches!(standing, Standing::Good | Standing::Bad | Standing::NotKnown));
    let last: Vec<Standing> = decided.take(BLIND).collect();
    let is_blind = last.len() == BLIND && last.iter().all(|standing| *standing == Standing::NotKnown);
    Ok(is_blind.then(|| format!("our eyes are closed: nobody knows of the last {BLIND} probes")))
}

/// What was measured. A percentile is the low end of its interval: what is out of range is so for certain.
fn samples(counts: &ProbeCounts, latency: Option<Percentiles>) -> Vec<Sample> {
    #[expect(clippy::cast_precision_loss, reason = "a threshold is compared, nothing is counted")]
    let seconds = |of: fn(Percentiles) -> Span| latency.map(|all| of(all).low_ms as f64 / 1_000.0);
    #[expect(clippy::cast_precision_loss, reason = "a threshold is compared, nothing is counted")]
    let count = |count: u64| count as f64;
    let decided = counts.decided();
    let loss = (decided > 0).then(|| count(counts.standing(Standing::Bad)) * 100.0 / count(decided));
    let known = |value: u64| (counts.probes > 0).then(|| count(value));
    vec![
        Sample { metric: Metric::P50, value: seconds(|all| all.p50) },
        Sample { metric: Metric::P90, value: seconds(|all| all.p90) },
        Sample { metric: Metric::P95, value: seconds(|all| all.p95) },
        Sample { metric: Metric::P99, value: seconds(|all| all.p99) },
        Sample { metric: Metric::Loss, value: loss },
        Sample { metric: Metric::Spam, value: known(counts.spam) },
        Sample { metric: Metric::Dup, value: known(counts.duplicated) },
        Sample { metric: Metric::Unobserved, value: known(counts.standing(Standing::NotKnown)) },
    ]
}

/// The probes in words.
fn told(counts: &ProbeCounts, latency: Option<Percentiles>, since: &str) -> String {
    let (bad, decided) = (counts.standing(Standing::Bad), counts.decided());
    let latency = latency.map(|all| format!("p95 {}, ", all.p95.text())).unwrap_or_default();
    let loss = match wilson(bad, decided) {
        Some((low, high)) => format!(
            "{bad} of {decided} bad ({} %, {}.{:02}-{}.{:02})",
            percent_text(bad, decided),
            low / 100,
            low % 100,
            high / 100,
            high % 100
        ),
        None => "none decided".to_owned(),
    };
    format!("{latency}{loss}, {} probes since {since}", counts.probes)
}
