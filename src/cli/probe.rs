//! `probe routes`, `probe list`.

use std::borrow::Cow;
use std::io::Write;

use jiff::tz::TimeZone;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::config::{RouteSettings, SenderTls};
use crate::render::{Column, Head, Kind, Sheet, Show, Value};

/// The columns of `probe routes`.
pub static ROUTES: &[Column<RouteSettings>] = &[
    Column::new("route", "route", Kind::Text, Show::Whole, "Its name in the configuration.", |row| {
        Value::text(Some(&row.name))
    }),
    Column::new("sender", "sender", Kind::Text, Show::Spare(2, 0), "The name of its sender.", |row| {
        Value::text(Some(&row.sender.name))
    }),
    Column::new("host", "host", Kind::Text, Show::Cut(12), "The server that takes its probes.", |row| {
        Value::text(Some(&row.sender.host))
    }),
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
        Value::Text(Cow::Owned(row.profile.to_string()))
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

/// Lists the routes of the configuration.
pub fn routes(context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let head = Head { view: "routes", title: "Routes of probes", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, ROUTES, &settings.routes);
    if settings.routes.is_empty() {
        sheet
            .notes
            .push("the configuration has no [route.NAME]; `mailsonde config example` shows one".to_owned());
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::Fine)
}
