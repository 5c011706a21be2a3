//! `probe routes`: what is configured, and what the schedule knows of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::look;
use crate::cli::args::ProbeRoutesArguments;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::clock::Timestamp;
use crate::config::{RouteSettings, SenderTls};
use crate::daemon::keys;
use crate::render::{Column, Head, Kind, Sheet, Show, Value};
use crate::store::{MissedRuns, Reader, StoredBackOff};

/// A day, milliseconds.
const DAY_MS: i64 = 86_400_000;

/// A route of the configuration.
#[derive(Debug, Clone)]
pub struct RouteRow {
    /// As configured.
    pub route: RouteSettings,
    /// Why it is silent now, if it is.
    pub silent: Option<StoredBackOff>,
    /// How long the recipient's domain put the last probe off before it took it.
    pub greylisted: Option<Duration>,
    /// Scheduled probes that were not sent, in periods that touch the last 24 hours.
    pub missed: u64,
}

/// The columns of `probe routes`.
pub static ROUTES: &[Column<RouteRow>] = &[
    Column::new("route", "route", Kind::Text, Show::Whole, "Its name in the configuration.", |row| {
        Value::text(Some(&row.route.name))
    }),
    Column::new("sender", "sender", Kind::Text, Show::Spare(2, 0), "The name of its sender.", |row| {
        Value::text(Some(&row.route.sender.name))
    }),
    Column::new(
        "host",
        "host",
        Kind::Text,
        Show::Cut(12),
        "The server that takes its probes; null: the MX hosts of the recipient.",
        |row| Value::text(Some(row.route.sender.host.as_str()).filter(|host| !host.is_empty())),
    ),
    Column::new("port", "port", Kind::Count("port"), Show::Whole, "Its port.", |row| {
        Value::Count(row.route.sender.port.into())
    }),
    Column::new(
        "tls",
        "tls",
        Kind::Text,
        Show::Spare(1, 0),
        "`starttls-required`, `implicit`, `starttls-if-offered` or `none`.",
        |row| {
            Value::Text(Cow::Borrowed(match row.route.sender.tls {
                SenderTls::Implicit => "implicit",
                SenderTls::StartTlsRequired => "starttls-required",
                SenderTls::StartTlsIfOffered => "starttls-if-offered",
                SenderTls::None => "none",
            }))
        },
    ),
    Column::new("to", "to", Kind::Text, Show::Cut(16), "The recipient, with `{token}`.", |row| {
        Value::text(Some(&row.route.to))
    }),
    Column::new("from", "from", Kind::Text, Show::Spare(4, 16), "The sender's address.", |row| {
        Value::Text(Cow::Owned(row.route.from.to_string()))
    }),
    Column::new("profile", "profile", Kind::Text, Show::Spare(3, 0), "What its probes are made of.", |row| {
        let profiles: Vec<String> = row.route.profiles.iter().map(|one| one.profile.to_string()).collect();
        Value::Text(Cow::Owned(profiles.join(", ")))
    }),
    Column::new(
        "lost_after_seconds",
        "lost after s",
        Kind::Count("seconds"),
        Show::Spare(5, 0),
        "How long until a probe counts as lost.",
        |row| Value::Count(row.route.lost_after.as_secs()),
    ),
    Column::new(
        "every_seconds",
        "every s",
        Kind::Count("seconds"),
        Show::Spare(2, 0),
        "From one scheduled probe to the next; null: by hand only.",
        |row| row.route.every.map_or(Value::Unknown, |every| Value::Count(every.as_secs())),
    ),
    Column::new(
        "silent_until",
        "silent until",
        Kind::Instant,
        Show::Whole,
        "Until when nothing is sent, because the far end named policy or reputation.",
        |row| Value::instant(row.silent.as_ref().map(|silent| silent.back_off.until)),
    ),
    Column::new("silent_reason", "because", Kind::Text, Show::Cut(16), "The reply that said so.", |row| {
        Value::text(row.silent.as_ref().map(|silent| silent.reason.as_str()))
    }),
    Column::new(
        "greylisted_seconds",
        "greylisted s",
        Kind::Count("seconds"),
        Show::Spare(3, 0),
        "How long the recipient's domain put the last probe off before it took it.",
        |row| row.greylisted.map_or(Value::Unknown, |delay| Value::Count(delay.as_secs())),
    ),
    Column::new(
        "missed_runs",
        "missed",
        Kind::Count("runs"),
        Show::Spare(4, 0),
        "Scheduled probes that were not sent, in periods that touch the last 24 hours: of them there is no data.",
        |row| Value::Count(row.missed),
    ),
];

/// Lists the routes of the configuration, with what the schedule knows of them, or checks them.
///
/// Errors: wrong configuration, a route that is not there, a store that is there and cannot be read.
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
    // Without a store nothing was ever sent.
    let known = if settings.store_path.exists() {
        Known::of(&context.open_reader()?, context.now)?
    } else {
        Known::default()
    };
    let is_meant =
        |route: &&RouteSettings| arguments.routes.is_empty() || arguments.routes.contains(&route.name);
    let rows: Vec<RouteRow> = settings.routes.iter().filter(is_meant).map(|route| known.row(route)).collect();
    let head = Head { view: "routes", title: "Routes of probes", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, ROUTES, &rows);
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

/// What the store knows of routes.
#[derive(Default)]
struct Known {
    silent: Vec<StoredBackOff>,
    greylisted: BTreeMap<String, Duration>,
    missed: Vec<MissedRuns>,
}

impl Known {
    /// Asks the store.
    fn of(reader: &Reader, now: Timestamp) -> Result<Self, Failure> {
        let day_ago = Timestamp::from_ms(now.ms().saturating_sub(DAY_MS));
        let silent = reader.probe_back_offs()?;
        Ok(Self {
            silent: silent.into_iter().filter(|silent| silent.back_off.until > now).collect(),
            greylisted: reader.greylisted()?,
            missed: reader.missed_probes(day_ago, now)?,
        })
    }

    /// The row of one route.
    fn row(&self, route: &RouteSettings) -> RouteRow {
        let domain = route.to.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
        let of_route = |missed: &&MissedRuns| missed.key.route == route.name;
        RouteRow {
            silent: self.silent.iter().find(|silent| silent.route == route.name).cloned(),
            greylisted: self.greylisted.get(&domain).copied(),
            missed: self.missed.iter().filter(of_route).map(|missed| missed.runs).sum(),
            route: route.clone(),
        }
    }
}
