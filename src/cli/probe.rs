//! `probe send`, `probe routes`, `probe plan`, `probe list` and `probe show`.

pub(in crate::cli) mod drill;
mod look;
mod plan;
mod routes;

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::args::{
    Format, ProbeListArguments, ProbePlanArguments, ProbeSendArguments, ProbeShowArguments, View,
};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::cli::report::{Printer, Question};
use crate::cli::setup::expect::with_nothing_stored;
use crate::clock::{self, Timestamp};
use crate::daemon::probe::{Asked, NotSent, Sending, send_probe};
use crate::daemon::{dns, keys};
use crate::limits;
use crate::mail::MessageId;
use crate::probe::compose::Profile;
use crate::probe::lifecycle::{Event, MailPlace, Seen, State, What, unused};
use crate::probe::schedule::Because;
use crate::render::{Column, Head, Kind, Sheet, Show, Value, views};
use crate::store::{Reader, Store, StoredMx, StoredProbe, StoredVerdict};
use crate::summary::{Period, Query};

pub use look::CHECKED;
pub use plan::PLAN;
pub use routes::{ROUTES, RouteRow, routes};

/// Says what the schedule can detect.
pub fn plan(context: &Context, arguments: &ProbePlanArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    plan::run(context, arguments, out)
}

/// Sends probes of a route, waits for them if asked to, and shows what is known of them.
///
/// Findings if one was not taken or, where it is waited for, did not become what it should. Errors: no such route or
/// profile, a probe that may not be sent or cannot be, the store.
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
    let profile = match &arguments.profile {
        Some(text) => Profile::parse(text)
            .map_err(|error| Failure::usage(error.to_string(), "for example `--profile plain`"))?,
        None => route.profile(),
    };
    let keys = keys::load_or_create(store.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the runtime: {error}")))?;
    let dns = dns::connect(&settings.dns)?;
    let sending = Sending::new(store.clone(), keys, Arc::new(settings.clone()), &dns, arguments.force);
    let began = clock::now();
    let mut tokens = Vec::new();
    for _ in 0..arguments.count {
        let asked = Asked::by_hand(profile);
        match runtime.block_on(send_probe(&sending, route, asked)) {
            Ok(sent) => tokens.push(sent.token),
            // What was sent before is in the store and waited for by whoever looks.
            Err(error) => return Err(not_sent(error, tokens.len())),
        }
    }
    let deadline = clock::instant() + arguments.wait.unwrap_or_default();
    let mut is_good = true;
    for token in &tokens {
        let state = wait_for(&store, token, deadline)?;
        is_good &= is_as_it_should_be(state, arguments.wait.is_some());
    }
    match tokens.as_slice() {
        [token] => {
            store.close();
            show(context, &ProbeShowArguments { token: token.clone() }, out)?;
        }
        _ => {
            let query =
                Query { period: Period { since_ms: Some(began.ms()), until_ms: None }, ..Query::default() };
            let mut rows = store.reader()?.probes(&query, clock::now())?.rows;
            rows.retain(|row| tokens.contains(&row.token));
            rows.sort_by_key(|row| row.sent_at);
            store.close();
            let head = Head { view: "probes", title: "Probes sent", is_timeless: true, ..Head::default() };
            context.output.print(&Sheet::of_rows(head, views::PROBES, &rows), &TimeZone::UTC, out)?;
        }
    }
    Ok(Exit::findings_if(!is_good))
}

/// True if a probe is where it should be: at its end where it was waited for, else on its way.
const fn is_as_it_should_be(state: State, was_waited_for: bool) -> bool {
    match state {
        State::Arrived | State::Late | State::Delivered | State::AsExpected => true,
        State::Accepted | State::InTransit | State::Delayed | State::Held => !was_waited_for,
        _ => false,
    }
}

/// Why a probe was not sent, and what to do.
fn not_sent(error: NotSent, sent_before: usize) -> Failure {
    let before = if sent_before > 0 { format!(" ({sent_before} were sent before)") } else { String::new() };
    let text = format!("not sent: {}{before}", error.text);
    match error.because {
        Because::NoLeave => Failure::usage(text, error.mend.unwrap_or_default()),
        _ => match error.mend {
            Some(mend) => Failure::run(text).hint(mend),
            None => Failure::run(text),
        },
    }
}

/// Waits until time alone can no longer change the probe's state, at most until then. Returns its state.
fn wait_for(store: &Store, token: &str, deadline: clock::Instant) -> Result<State, Failure> {
    let reader = store.reader()?;
    loop {
        let state = reader.probe(token, clock::now())?.verdict.state;
        if !state.is_open() || clock::instant() >= deadline {
            return Ok(state);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lists the probes sent, the newest first.
pub fn list(context: &Context, arguments: &ProbeListArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut filter = arguments.filter.clone();
    filter.result = filter.result.or_else(|| arguments.state.clone());
    let mut question = Question::of(context, View::ProbeList, &filter)?;
    question.query.route.clone_from(&arguments.route);
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
        "`planned`, `sending`, `accepted`, `refused`, `deferred`, `given_up`, `in_doubt`, `cancelled`, `arrived`, `replayed`, `moved`, `vanished`, `bounced`, `delayed`, `held`, `relayed`, `expanded`, `delivered`, `clock`, `verdict` (as it stood since then), `eye` (when a watcher looked), `mx`, `answered` (or `answer` and what became of it), `answers`, `reordered`, or a phase of the dialogue.",
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
    Column::total(
        "latency_error_ms",
        Kind::Milliseconds,
        "Half the width of what is possible; 0 where one clock saw both ends.",
        |probe| Value::integer(probe.verdict.latency.map(|latency| latency.error_ms)),
    ),
    Column::total("place", Kind::Text, "Where it arrived, as in `probes`.", |probe| {
        Value::text(probe.verdict.place.map(MailPlace::as_str))
    }),
    Column::total(
        "moved_to",
        Kind::Text,
        "Where it lay at the last look, if elsewhere; or `gone`.",
        |probe| {
            let place = probe.verdict.moved_to.map(MailPlace::as_str);
            Value::text(if probe.verdict.is_gone { Some("gone") } else { place })
        },
    ),
    Column::total("expectation", Kind::Text, "What should become of it.", |probe| {
        Value::Text(Cow::Borrowed(probe.expectation.as_str()))
    }),
    Column::total(
        "microsoft",
        Kind::Text,
        "The status of Microsoft's message trace that comes nearest; null where it has none.",
        |probe| Value::text(probe.verdict.state.microsoft(is_in_spam(probe))),
    ),
    Column::total(
        "google",
        Kind::Text,
        "The word of Google's e-mail log search that comes nearest; null where it has none.",
        |probe| Value::text(probe.verdict.state.google(is_in_spam(probe))),
    ),
    Column::total("overdue_at", Kind::Instant, "When it is or was overdue, if nothing comes.", |probe| {
        Value::instant(probe.verdict.overdue_at)
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

/// True if it arrived in the folder for spam.
fn is_in_spam(probe: &StoredProbe) -> bool {
    probe.verdict.place == Some(MailPlace::Spam)
}

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
    let reader = context.open_reader()?;
    let token = find(&reader, &arguments.token)?;
    let probe = reader.probe(&token, context.now)?;
    let mut happenings = happenings(&probe);
    happenings.extend(there_and_back(&reader, &probe, context.now)?);
    happenings.extend(overtaken(context, &reader, &probe)?);
    happenings.sort_by_key(|happening| happening.at);
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

/// The one probe that a text names: by token, recipient, Message-ID or queue id.
///
/// Errors: none, or several.
fn find(reader: &Reader, text: &str) -> Result<String, Failure> {
    let token = bare_token(text);
    match reader.find_probes(&token, text.trim())?.as_slice() {
        [] => Err(Failure::run(format!("no probe {:?} in the store", text.trim())).hint(
            "`mailsonde probe list` shows the tokens; a recipient, Message-ID or queue id will do too",
        )),
        [one] => Ok(one.clone()),
        several => {
            let some: Vec<&str> = several.iter().take(5).map(String::as_str).collect();
            Err(Failure::run(format!("{} probes have {:?}", several.len(), text.trim()))
                .hint(format!("the newest of them: {}", some.join(", "))))
        }
    }
}

/// What became of answering the arrival of a probe, with the time of the way back; of an answer, what it answers.
fn there_and_back(
    reader: &Reader,
    probe: &StoredProbe,
    now: Timestamp,
) -> Result<Option<Happening>, Failure> {
    if let Some(answered) = reader.answered_by(&probe.token)? {
        let text = Some(format!("the arrival of {answered}"));
        return Ok(Some(Happening { at: probe.sent_at, what: "answers".to_owned(), text, took_ms: None }));
    }
    let Some(found) = reader.reflection(&probe.token)? else { return Ok(None) };
    let (mut text, mut took_ms) = (found.reason, None);
    if let Some(reply) = &found.reply_token {
        let verdict = reader.probe(reply, now)?.verdict;
        took_ms = verdict.latency.map(|latency| latency.ms);
        let reason = text.map(|text| format!("; {text}")).unwrap_or_default();
        text = Some(format!("by {reply}, {}{reason}", verdict.state.as_str()));
    }
    let what =
        if found.state == "answered" { "answered".to_owned() } else { format!("answer {}", found.state) };
    Ok(Some(Happening { at: found.arrived_at, what, text, took_ms }))
}

/// That a probe was overtaken by one that was sent at least one interval later.
fn overtaken(context: &Context, reader: &Reader, probe: &StoredProbe) -> Result<Option<Happening>, Failure> {
    let Some(at) = probe.verdict.arrived_at else { return Ok(None) };
    let settings = context.settings()?;
    let gap = settings.route(&probe.route).and_then(|route| route.every).unwrap_or(limits::REORDERED_AFTER);
    let other = reader.overtaken_by(&probe.token, gap)?;
    let text = |other| Some(format!("{other} was sent later and arrived before"));
    Ok(other.map(|other| Happening { at, what: "reordered".to_owned(), text: text(other), took_ms: None }))
}

/// Events, the steps of every attempt, looks and verdicts, in the order of time.
fn happenings(probe: &StoredProbe) -> Vec<Happening> {
    let mut all: Vec<(u8, Happening)> = probe.events.iter().map(of_event).collect();
    for ((_, happening), why) in all.iter_mut().zip(unused(&probe.events)) {
        if let Some(why) = why {
            let text = happening.text.take().map(|text| format!("{text}; ")).unwrap_or_default();
            happening.text = Some(format!("{text}not used: {why}"));
        }
    }
    all.extend(probe.verdicts.iter().map(of_verdict));
    all.extend(looks(probe).into_iter().map(|happening| (3, happening)));
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

/// A verdict as it stood since then.
fn of_verdict(verdict: &StoredVerdict) -> (u8, Happening) {
    let place = verdict.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let reason = verdict.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let text = Some(format!("{}{place}{reason}", verdict.state));
    (4, Happening { at: verdict.at, what: "verdict".to_owned(), text, took_ms: None })
}

/// When its watchers were open while it was under way.
fn looks(probe: &StoredProbe) -> Vec<Happening> {
    let verdict = &probe.verdict;
    let begin = verdict.sent_at.unwrap_or(probe.sent_at);
    let end = verdict.arrived_at.or(verdict.lost_at).unwrap_or(begin.after(probe.lost_after));
    let mut looks = Vec::new();
    for eye in &probe.observed.eyes {
        for span in eye.open.iter().filter(|span| span.from <= end && span.to >= begin) {
            let text = format!("{} looked until {}", eye.name, span.to.rfc3339());
            let (at, what) = (span.from.max(begin), "eye".to_owned());
            looks.push(Happening { at, what, text: Some(text), took_ms: None });
        }
    }
    looks
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
