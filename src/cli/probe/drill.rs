//! `probe drill`: a planned failover, recorded by probes that follow each other closely.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::cli::args::ProbeDrillArguments;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::cli::period;
use crate::clock;
use crate::config::{RouteSettings, Settings};
use crate::daemon::probe::{Asked, NotSent, Sending, send_probe};
use crate::daemon::{dns, keys};
use crate::limits;
use crate::probe::schedule::Because;
use crate::probe::token::Kind;
use crate::render::{Head, Sheet, views};
use crate::store::Store;
use crate::summary::drill::timeline;

/// Runs the command: sends until it is stopped or the time is over, waits for what is under way, and shows the timeline.
///
/// Findings if any probe was not taken, was delayed or lost. Errors: no such route, a route that may send nothing, the store.
pub(in crate::cli) fn drill(
    context: &Context,
    arguments: &ProbeDrillArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let zone = period::zone(arguments.tz.as_deref())?;
    if arguments.last {
        let reader = context.open_reader()?;
        return show(context, &reader.last_drill(&arguments.route, clock::now())?, &zone, out);
    }
    if arguments.every < limits::DRILL_EVERY_LEAST {
        let least = limits::DRILL_EVERY_LEAST.as_secs();
        return Err(Failure::usage(
            "--every: too short",
            format!("at least {least}s: a mail server is no metronome"),
        ));
    }
    let (settings, store) = context.open_store()?;
    let route = find(&settings, &arguments.route)?;
    let keys = keys::load_or_create(store.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the runtime: {error}")))?;
    let dns = dns::connect(&settings.dns)?;
    let sending = Sending::new(store.clone(), keys, Arc::new(settings.clone()), &dns, false);
    let longest = arguments.for_.unwrap_or(limits::DRILL_LONGEST).min(limits::DRILL_LONGEST);
    context.output.remark(&format!(
        "a probe every {} s over route `{}` for at most {} min; Ctrl-C ends the drill",
        arguments.every.as_secs(),
        route.name,
        longest.as_secs().div_ceil(60)
    ));
    let sent = runtime.block_on(send_all(context, &sending, route, arguments.every, longest));
    let tokens = sent?;
    wait(&store, &tokens, arguments.wait)?;
    let probes = store.reader()?.last_drill(&route.name, clock::now())?;
    store.close();
    show(context, &probes, &zone, out)
}

/// The route of this name.
fn find<'s>(settings: &'s Settings, name: &str) -> Result<&'s RouteSettings, Failure> {
    let names = || settings.routes.iter().map(|route| route.name.as_str());
    settings.route(name).ok_or_else(|| {
        if settings.routes.is_empty() {
            return Failure::usage(
                "the configuration has no route",
                "add a [sender.NAME] and a [route.NAME]; `mailsonde config example` shows them",
            );
        }
        unknown_word("route", name, names().collect::<Vec<_>>())
    })
}

/// Sends one probe after the other, each without waiting for the one before: a host that does not answer holds up none. Gives
/// the tokens of those that were sent.
///
/// Errors: the first probe may not be sent, or cannot be.
async fn send_all(
    context: &Context,
    sending: &Sending,
    route: &RouteSettings,
    every: Duration,
    longest: Duration,
) -> Result<Vec<String>, Failure> {
    let mut under_way: JoinSet<Result<(String, String), NotSent>> = JoinSet::new();
    let mut tokens = Vec::new();
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut end = std::pin::pin!(tokio::time::sleep(longest));
    let mut last = String::new();
    loop {
        tokio::select! {
            biased;
            // Without a handler for the signal the time ends it.
            Ok(()) = &mut stop => break,
            () = &mut end => break,
            Some(done) = under_way.join_next() => {
                take(context, done, &mut tokens, &mut last)?;
            }
            _ = ticks.tick() => {
                if under_way.len() >= limits::DRILL_AT_ONCE {
                    continue;
                }
                let (sending, route) = (sending.clone(), route.clone());
                under_way.spawn(async move {
                    let asked = Asked { kind: Some(Kind::Drill), ..Asked::by_hand(route.profile()) };
                    let sent = send_probe(&sending, &route, asked).await?;
                    Ok((sent.token, sent.hand_over.outcome.what().as_str().to_owned()))
                });
            }
        }
    }
    // What has begun is not cut off: its outcome would be in doubt.
    while let Some(done) = under_way.join_next().await {
        take(context, done, &mut tokens, &mut last)?;
    }
    Ok(tokens)
}

/// Takes the outcome of one probe, and says so when it is another than that of the one before.
fn take(
    context: &Context,
    done: Result<Result<(String, String), NotSent>, tokio::task::JoinError>,
    tokens: &mut Vec<String>,
    last: &mut String,
) -> Result<(), Failure> {
    let outcome = match done.map_err(Failure::run)? {
        Ok((token, outcome)) => {
            tokens.push(token);
            outcome
        }
        // A cap of the moment passes; what is wrong for good ends the drill before it began.
        Err(error) if tokens.is_empty() && matches!(error.because, Because::NoLeave | Because::Fault) => {
            let failure = Failure::run(format!("not sent: {}", error.text));
            return Err(match error.mend {
                Some(mend) => failure.hint(mend),
                None => failure,
            });
        }
        Err(error) => format!("not sent: {}", error.text),
    };
    if *last != outcome {
        context.output.remark(&format!("{}: {outcome}", clock::now().rfc3339()));
        *last = outcome;
    }
    Ok(())
}

/// Waits until every probe is decided, at most so long.
fn wait(store: &Store, tokens: &[String], longest: Duration) -> Result<(), Failure> {
    let deadline = clock::instant() + longest;
    let reader = store.reader()?;
    for token in tokens {
        while reader.probe(token, clock::now())?.verdict.state.is_open() {
            if clock::instant() >= deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// Prints a timeline with its sums.
fn show(
    context: &Context,
    probes: &[crate::summary::drill::DrillProbe],
    zone: &jiff::tz::TimeZone,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let (rows, totals) = timeline(probes);
    let head =
        Head { view: "drill", title: "Drill", since: totals.first, until: totals.last, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, views::DRILL, &rows).with_totals(views::DRILL_TOTALS, &totals);
    if probes.is_empty() {
        sheet.notes.push("no drill of this route is stored".to_owned());
    }
    if totals.waiting > 0 {
        sheet.notes.push("what is still under way is told by `probe drill ROUTE --last` later".to_owned());
    }
    context.output.print(&sheet, zone, out)?;
    Ok(Exit::findings_if(totals.not_taken > 0 || totals.delayed > 0 || totals.lost > 0))
}
