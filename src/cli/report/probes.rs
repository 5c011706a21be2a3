//! What answers about probes need from the arguments and the configuration.

use std::time::Duration;

use crate::cli::args::{ProbeViewArguments, View};
use crate::cli::exit::{Failure, unknown_word};
use crate::cli::report::Question;
use crate::clock::Timestamp;
use crate::config::{RouteSettings, Settings};
use crate::limits;
use crate::store::ProbeMeans;
use crate::summary::continuity::Objective;
use crate::summary::probe::By;

/// Reads `--by` and puts `--route` into the question.
///
/// Errors: one of them with another view, an unknown word.
pub(in crate::cli) fn read(
    view: View,
    arguments: &ProbeViewArguments,
    question: &mut Question,
) -> Result<By, Failure> {
    let takes_by = matches!(view, View::Probes | View::Latency);
    let takes_route = takes_by || matches!(view, View::Continuity | View::ProbeList);
    let given =
        [("--by", arguments.by.is_some(), takes_by), ("--route", arguments.route.is_some(), takes_route)];
    if let Some((option, ..)) = given.iter().find(|(_, is_given, is_taken)| *is_given && !is_taken) {
        let hint = "`mailsonde report probes` and `latency` take --by and --route, `continuity` and `probe-list` --route";
        return Err(Failure::usage(format!("{option}: `{}` has none", view.name()), hint));
    }
    question.query.route.clone_from(&arguments.route);
    let Some(word) = &arguments.by else { return Ok(By::Route) };
    By::parse(word).ok_or_else(|| unknown_word("--by", word, By::ALL.map(By::as_str)))
}

/// The route of the configuration to which a probe's route belongs: itself, or that whose MX hosts are routes of their own.
pub(in crate::cli) fn configured<'s>(settings: &'s Settings, name: &str) -> Option<&'s RouteSettings> {
    let base = || name.split_once('/').and_then(|(base, _)| settings.route(base));
    settings.route(name).or_else(base)
}

/// True if a route was under maintenance at a time. One that is not configured any more is where all routes are.
pub(in crate::cli) fn is_maintenance(settings: &Settings, name: &str, at: Timestamp) -> bool {
    let route = configured(settings, name);
    settings.maintenance.iter().any(|window| match route {
        Some(route) => window.covers(route, at),
        None => {
            let is_for_all = window.routes.is_empty() && window.tags.is_empty();
            is_for_all && window.start <= at && at < window.start.after(window.length)
        }
    })
}

/// What is promised of a route.
pub(in crate::cli) fn objective(settings: &Settings, name: &str) -> Option<Objective> {
    let slo = configured(settings, name)?.slo?;
    Some(Objective { within: slo.within, target_millionths: slo.target_millionths, window: slo.window })
}

/// Asks with what the configuration says of routes.
pub(in crate::cli) fn with_means<T>(
    settings: &Settings,
    question: &Question,
    (by, now): (By, Timestamp),
    ask: impl FnOnce(&ProbeMeans<'_>) -> T,
) -> T {
    let windows = settings.routes.iter().filter_map(|route| Some(route.slo?.window));
    let longest_window: Duration = windows.max().unwrap_or(limits::SLO_WINDOW);
    ask(&ProbeMeans {
        now,
        zone: question.zone.clone(),
        by,
        is_maintenance: &|name, at| is_maintenance(settings, name, at),
        longest_window,
        objective: &|name| objective(settings, name),
    })
}
