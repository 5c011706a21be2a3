//! `probe send`, `probe routes`, `probe plan`, `probe list` and `probe show`.

mod look;
mod plan;

pub use look::CHECKED;
pub use plan::PLAN;

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::args::{
    FilterArguments, Format, ProbePlanArguments, ProbeRoutesArguments, ProbeSendArguments,
    ProbeShowArguments, View,
};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::cli::report::{Printer, Question};
use crate::cli::setup::expect::with_nothing_stored;
use crate::clock::{self, Timestamp};
use crate::config::{RouteSettings, SenderTls};
use crate::daemon::keys;
use crate::daemon::probe::send_probe;
use crate::mail::MessageId;
use crate::probe::lifecycle::{Event, MailPlace, Seen, State, What};
use crate::render::{Column, Head, Kind, Sheet, Show, Value, views};
use crate::store::{Store, StoreError, StoredMx, StoredProbe};

/// The columns of `probe routes`.
pub static ROUTES: &[Column<RouteSettings>] = &[
    Column::new("route", "route", Kind::Text, Show::Whole, "Its name in the configuration.", |row| {
        Value::text(Some(&row.name))
    }),
    Column::new("sender", "sender", Kind::Text, Show::Spare(2, 0), "The name of its sender.", |row| {
        Value::text(Some(&row.sender.name))
    }),
    Column::new(
        "host",
        "host",
        Kind::Text,
        Show::Cut(12),
        "The server that takes its probes; null: the MX hosts of the recipient.",
        |row| Value::text(Some(row.sender.host.as_str()).filter(|host| !host.is_empty())),
    ),
    Column::new("port", "port", Kind::Count("port"), Show::Whole, "Its port.", |row| {
        Value::Count(row.sender.port.into())
    }),
    Column::new(
        "tls",
        "tls",
        Kind::Text,
        Show::Spare(1, 0),
        "`starttls-required`, `implicit`, `starttls-if-offered` or `none`.",
        |row| {
            Value::Text(Cow::Borrowed(match row.sender.tls {
                SenderTls::Implicit => "implicit",
                SenderTls::StartTlsRequired => "starttls-required",
                SenderTls::StartTlsIfOffered => "starttls-if-offered",
                SenderTls::None => "none",
            }))
        },
    ),
    Column::new("to", "to", Kind::Text, Show::Cut(16), "The recipient, with `{token}`.", |row| {
        Value::text(Some(&row.to))
    }),
    Column::new("from", "from", Kind::Text, Show::Spare(4, 16), "The sender's address.", |row| {
        Value::Text(Cow::Owned(row.from.to_string()))
    }),
    Column::new("profile", "profile", Kind::Text, Show::Spare(3, 0), "What its probes are made of.", |row| {
        let profiles: Vec<String> = row.profiles.iter().map(|one| one.profile.to_string()).collect();
        Value::Text(Cow::Owned(profiles.join(", ")))
    }),
    Column::new(
        "lost_after_seconds",
        "lost after s",
        Kind::Count("seconds"),
        Show::Spare(5, 0),
        "How long until a probe counts as lost.",
        |row| Value::Count(row.lost_after.as_secs()),
    ),
];

/// Says what the schedule can detect.
pub fn plan(context: &Context, arguments: &ProbePlanArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    plan::run(context, arguments, out)
}

/// Lists the routes of the configuration, or checks them.
pub fn routes(
    context: &Context,
    arguments: &ProbeRoutesArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    if arguments.check {
        return look::check(context, arguments, out);
    }
    let settings = context.settings()?;
    let names = || settings.routes.iter().map(|route| route.name.as_str());
    for name in &arguments.routes {
        settings.route(name).ok_or_else(|| unknown_word("route", name, names()))?;
    }
    let is_meant =
        |route: &&RouteSettings| arguments.routes.is_empty() || arguments.routes.contains(&route.name);
    let routes: Vec<RouteSettings> = settings.routes.iter().filter(is_meant).cloned().collect();
    let head = Head { view: "routes", title: "Routes of probes", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, ROUTES, &routes);
    if settings.routes.is_empty() {
        sheet
            .notes
            .push("the configuration has no [route.NAME]; `mailsonde config example` shows one".to_owned());
    }
    if let Some(keys) = keys::load_existing(&settings.store_path)? {
        sheet.notes.push(look::installation_note(&keys.installation_id()));
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::Fine)
}

/// Sends one probe, waits for it if asked to, and shows what is known of it.
///
/// Findings if it was not accepted or, where it is waited for, did not arrive. Errors: no such route, a
/// password that cannot be read, the store.
pub fn send(context: &Context, arguments: &ProbeSendArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let (settings, store) = context.open_store()?;
    let Some(route) = settings.route(&arguments.route) else {
        if settings.routes.is_empty() {
            return Err(Failure::usage(
                "the configuration has no route",
                "add a [sender.NAME] and a [route.NAME]; `mailsonde config example` shows them",
            ));
        }
        let names = settings.routes.iter().map(|route| route.name.as_str());
        return Err(unknown_word("route", &arguments.route, names));
    };
    let keys = keys::load_or_create(store.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the runtime: {error}")))?;
    let own_name = settings.receiver.host_name.as_deref();
    let sent = runtime.block_on(send_probe(&store, &keys, route, own_name))?;
    let state = wait_for(&store, &sent.token, arguments.wait)?;
    store.close();
    show(context, &ProbeShowArguments { token: sent.token }, out)?;
    let is_good = match arguments.wait {
        Some(_) => matches!(state, State::Arrived | State::Late | State::Delivered | State::AsExpected),
        None => matches!(
            state,
            State::Accepted
                | State::Arrived
                | State::Late
                | State::Delivered
                | State::Delayed
                | State::AsExpected
        ),
    };
    Ok(Exit::findings_if(!is_good))
}

/// Waits until time alone can no longer change the probe's state, at most so long. Returns its state.
fn wait_for(store: &Store, token: &str, longest: Option<Duration>) -> Result<State, Failure> {
    let reader = store.reader()?;
    let deadline = clock::instant() + longest.unwrap_or_default();
    loop {
        let state = reader.probe(token, clock::now())?.verdict.state;
        if !state.is_open() || clock::instant() >= deadline {
            return Ok(state);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lists the probes sent, the newest first.
pub fn list(context: &Context, filter: &FilterArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let question = Question::of(context, View::ProbeList, filter)?;
    let reader = context.open_reader()?;
    let answer = reader.probes(&question.query, context.now)?;
    let guide = if reader.is_empty()? { with_nothing_stored(&context.settings()?) } else { Vec::new() };
    let print = Printer { context, question: &question, conditions: &[], guide: &guide };
    print.answer(&answer, views::PROBES, views::PROBE_TOTALS, out)
}

// ---- One probe ----

/// One thing that happened to a probe, or one step of handing it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// When.
    at: Timestamp,
    /// The event or the phase.
    what: String,
    /// The reply, the message, the reason.
    text: Option<String>,
    /// How long the step took.
    took_ms: Option<i64>,
}

/// The columns of `probe show`: what happened.
pub static HAPPENINGS: &[Column<Happening>] = &[
    Column::new("at", "at", Kind::Instant, Show::Whole, "When.", |row| Value::Instant(row.at)),
    Column::new(
        "what",
        "what",
        Kind::Text,
        Show::Whole,
        "`planned`, `sending`, `accepted`, `refused`, `deferred`, `given_up`, `in_doubt`, `cancelled`, `arrived`, `replayed`, `moved`, `vanished`, `bounced`, `delayed`, `held`, `relayed`, `expanded`, `delivered`, `clock`, or a phase of the dialogue.",
        |row| Value::text(Some(&row.what)),
    ),
    Column::new(
        "text",
        "text",
        Kind::Text,
        Show::Cut(20),
        "The reply, the message that arrived, the reason.",
        |row| Value::text(row.text.as_deref()),
    ),
    Column::new("took_ms", "ms", Kind::Milliseconds, Show::Spare(1, 0), "How long the step took.", |row| {
        Value::integer(row.took_ms)
    }),
];

/// The facts of `probe show`, in the place of totals.
pub static FACTS: &[Column<StoredProbe>] = &[
    Column::total("token", Kind::Text, "Its token.", |probe| Value::text(Some(&probe.token))),
    Column::total("state", Kind::Text, "As in `probes`.", |probe| {
        Value::Text(Cow::Borrowed(probe.verdict.state.as_str()))
    }),
    Column::total("reason", Kind::Text, "Why it has this state.", |probe| {
        Value::text(probe.verdict.reason.as_deref())
    }),
    Column::total("route", Kind::Text, "Its route.", |probe| Value::text(Some(&probe.route))),
    Column::total(
        "profile",
        Kind::Text,
        "What it is made of; null where only the token is known.",
        |probe| Value::text(probe.profile.as_deref()),
    ),
    Column::total("mail_from", Kind::Text, "Its reverse-path.", |probe| {
        Value::text(probe.mail_from.as_deref())
    }),
    Column::total("rcpt_to", Kind::Text, "Its recipient.", |probe| Value::text(probe.rcpt_to.as_deref())),
    Column::total("message_id", Kind::Text, "Its Message-ID.", |probe| {
        Value::text(probe.message_id.as_deref())
    }),
    Column::total("sent_at", Kind::Instant, "When sending began.", |probe| {
        Value::Instant(probe.verdict.sent_at.unwrap_or(probe.sent_at))
    }),
    Column::total("accepted_at", Kind::Instant, "When the far end took it.", |probe| {
        Value::instant(probe.verdict.accepted_at)
    }),
    Column::total("arrived_at", Kind::Instant, "When it arrived.", |probe| {
        Value::instant(probe.verdict.arrived_at)
    }),
    Column::total("latency_ms", Kind::Milliseconds, "From `sent_at` to `arrived_at`.", |probe| {
        Value::integer(probe.verdict.latency.map(|latency| latency.ms))
    }),
    Column::total("lost_at", Kind::Instant, "When it is or was lost, if nothing comes.", |probe| {
        Value::instant(probe.verdict.lost_at)
    }),
    Column::total("duplicates", Kind::Count("arrivals"), "Arrivals after the first one.", |probe| {
        Value::Count(probe.verdict.duplicates)
    }),
    Column::total(
        "replays",
        Kind::Count("messages"),
        "Messages with its token that cannot be it.",
        |probe| Value::Count(probe.verdict.replays),
    ),
];

/// One fact for a table.
struct Fact {
    /// Its name.
    name: &'static str,
    /// Its value for eyes.
    value: String,
}

/// The columns of the facts in a table.
static FACT_COLUMNS: &[Column<Fact>] = &[
    Column::new("fact", "fact", Kind::Text, Show::Whole, "What.", |row| Value::Text(Cow::Borrowed(row.name))),
    Column::new("value", "value", Kind::Text, Show::Cut(20), "Its value.", |row| {
        Value::Text(Cow::Borrowed(&row.value))
    }),
];

/// Shows everything known of one probe.
pub fn show(context: &Context, arguments: &ProbeShowArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let token = bare_token(&arguments.token);
    let probe = match context.open_reader()?.probe(&token, context.now) {
        Err(StoreError::NotFound(_)) => {
            return Err(Failure::run(format!("no probe {token:?} in the store"))
                .hint("`mailsonde probe list` shows the tokens"));
        }
        other => other?,
    };
    let happenings = happenings(&probe);
    let head = Head { view: "probe", title: "Probe", is_timeless: true, ..Head::default() };
    let zone = TimeZone::UTC;
    if context.output.format == Format::Table {
        let facts: Vec<Fact> = FACTS
            .iter()
            .map(|fact| Fact { name: fact.spec.name, value: (fact.get)(&probe).for_eyes(&zone).into_owned() })
            .collect();
        context.output.print(&Sheet::of_rows(head, FACT_COLUMNS, &facts), &zone, out)?;
        writeln!(out)?;
        let head = Head { view: "probe", title: "What happened (UTC)", is_timeless: true, ..Head::default() };
        context.output.print(&Sheet::of_rows(head, HAPPENINGS, &happenings), &zone, out)?;
    } else {
        let sheet = Sheet::of_rows(head, HAPPENINGS, &happenings).with_totals(FACTS, &probe);
        context.output.print(&sheet, &zone, out)?;
    }
    Ok(Exit::Fine)
}

/// The token in what a user pastes: bare, in any case, or the whole recipient address.
fn bare_token(text: &str) -> String {
    let local = text.trim().split('@').next().unwrap_or_default();
    local.rsplit('+').next().unwrap_or_default().to_ascii_lowercase()
}

/// Events and the steps of every attempt, in the order of time.
fn happenings(probe: &StoredProbe) -> Vec<Happening> {
    let mut all: Vec<(u8, Happening)> = probe.events.iter().map(of_event).collect();
    for attempt in &probe.attempts {
        let mut at = attempt.started_at;
        for step in &attempt.steps {
            at = at.after(step.took);
            let text = match (&step.sent, &step.reply) {
                (Some(sent), Some(reply)) => Some(format!("{sent} -> {reply}")),
                (sent, reply) => sent.clone().or_else(|| reply.clone()),
            };
            let took_ms = i64::try_from(step.took.as_millis()).ok();
            all.push((1, Happening { at, what: step.phase.clone(), text, took_ms }));
        }
        all.extend(attempt.mx.iter().map(|mx| (1, of_mx(mx, attempt.ended_at))));
    }
    // Within one millisecond: the begin, the steps, the outcome.
    all.sort_by_key(|(rank, happening)| (happening.at, *rank));
    all.into_iter().map(|(_, happening)| happening).collect()
}

/// One MX host of an attempt, at the attempt's end.
fn of_mx(mx: &StoredMx, at: Timestamp) -> Happening {
    let StoredMx { host, preference, address, mta_sts, dane, fault } = mx;
    let address = address.as_deref().unwrap_or("not tried");
    let fault = fault.as_ref().map(|fault| format!("; {fault}")).unwrap_or_default();
    let text = format!("{preference} {host} ({address}): MTA-STS {mta_sts}; DANE {dane}{fault}");
    Happening { at, what: "mx".to_owned(), text: Some(text), took_ms: None }
}

/// One event, with its rank within a millisecond.
fn of_event(event: &Event) -> (u8, Happening) {
    let text = match &event.what {
        What::Arrived { message, is_timed, seen } => Some(of_arrival(*message, *is_timed, seen)),
        What::Replayed { message } => Some(format!("message {message}")),
        What::Moved { watcher, place, folder } => {
            Some(format!("now in {folder} ({}), says {watcher}", place.as_str()))
        }
        What::Vanished { watcher } => Some(format!("gone, says {watcher}")),
        What::Clock { ms } => Some(format!("our clock went on {ms} ms more than time did, or we slept")),
        What::Delayed { message, reason, until: Some(until) } => {
            Some(format!("message {message}: {reason}; its host tries until {}", until.rfc3339()))
        }
        What::Bounced { message, reason }
        | What::Delayed { message, reason, until: None }
        | What::Held { message, reason }
        | What::PassedOn { message, reason, .. }
        | What::Delivered { message, reason } => Some(format!("message {message}: {reason}")),
        other => other.reason().map(ToString::to_string),
    };
    let rank = if event.what == What::Sending { 0 } else { 2 };
    (rank, Happening { at: event.at, what: event.what.as_str().to_owned(), text, took_ms: None })
}

/// An arrival in words: the message, where it lay, who saw it, since when at the earliest.
fn of_arrival(message: MessageId, is_timed: bool, seen: &Seen) -> String {
    let place = (seen.place != MailPlace::Sink).then(|| format!("in {}", seen.place.as_str()));
    let parts = [
        Some(format!("message {message}")),
        (!is_timed).then(|| "imported: time not known".to_owned()),
        place,
        seen.folder.as_ref().map(|folder| format!("folder {folder}")),
        seen.watcher.as_ref().map(|watcher| format!("seen by {watcher}")),
        seen.not_before.map(|last| format!("not there at {}", last.rfc3339())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_as_pasted() {
        for text in ["abc23", " ABC23\n", "probe+abc23@example.net", "abc23@example.net"] {
            assert_eq!(bare_token(text), "abc23", "{text:?}");
        }
    }
}
