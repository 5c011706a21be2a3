//! The columns of `report watched`.

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::{WatchedRow, WatchedTotals};

/// Unit of numbers of mails.
const MAILS: Kind = Kind::Count("mails");
/// Unit of numbers of addresses.
const NAMES: Kind = Kind::Count("watched addresses");

/// `report watched`.
pub static WATCHED: &[Column<WatchedRow>] = &[
    Column::new("name", "name", Kind::Text, Show::Cut(12), "The name behind `watch+`.", |row| {
        Value::text(Some(&row.name))
    }),
    Column::new(
        "state",
        "state",
        Kind::Text,
        Show::Whole,
        "`ok`, `missing` (nothing came in time), `failing` (the last mail is from somebody else, or DMARC does not pass) or \
         `not-known`.",
        |row| Value::text(Some(row.state)),
    ),
    Column::new("messages", "mails", MAILS, Show::Whole, "Mails in the period.", |row| {
        Value::Count(row.messages)
    }),
    Column::new("first", "first", Kind::Instant, Show::Spare(8, 0), "When the first of these came.", |row| {
        Value::instant(row.first)
    }),
    Column::new("last", "last", Kind::Instant, Show::Whole, "When the last of these came.", |row| {
        Value::instant(row.last)
    }),
    Column::new(
        "next_expected",
        "next",
        Kind::Instant,
        Show::Spare(1, 0),
        "By when the next one is expected; in the past where it is overdue, null where nothing is expected.",
        |row| Value::instant(row.next_expected),
    ),
    Column::new(
        "events",
        "events",
        Kind::Count("events"),
        Show::Spare(6, 0),
        "Times in the period at which something was wrong.",
        |row| Value::Count(row.events),
    ),
    Column::new("timed", "timed", MAILS, Show::Never, "Mails whose latency is known.", |row| {
        Value::Count(row.timed)
    }),
    Column::new(
        "latency_p50_low_ms",
        "p50 from",
        Kind::Milliseconds,
        Show::Never,
        "Median of the least that they can have taken by their `Date`.",
        |row| Value::integer(row.latency_p50_low_ms),
    ),
    Column::new(
        "latency_p50_ms",
        "p50 ms",
        Kind::Milliseconds,
        Show::Spare(3, 0),
        "Median of the most that they can have taken by their `Date`; null where no clock can be believed.",
        |row| Value::integer(row.latency_p50_ms),
    ),
    Column::new(
        "latency_p95_low_ms",
        "p95 from",
        Kind::Milliseconds,
        Show::Never,
        "As `latency_p50_low_ms`, for 95 percent of them.",
        |row| Value::integer(row.latency_p95_low_ms),
    ),
    Column::new(
        "latency_p95_ms",
        "p95 ms",
        Kind::Milliseconds,
        Show::Spare(4, 0),
        "As `latency_p50_ms`, for 95 percent of them.",
        |row| Value::integer(row.latency_p95_ms),
    ),
    Column::new(
        "last_hop_p50_ms",
        "last hop",
        Kind::Milliseconds,
        Show::Never,
        "Median of the most that they can have taken from the last host before us.",
        |row| Value::integer(row.last_hop_p50_ms),
    ),
    Column::new(
        "dmarc_pass_percent",
        "dmarc %",
        Kind::Percent,
        Show::Spare(2, 0),
        "`dmarc_pass` of the mails of which that is known.",
        |row| Value::Percent { part: row.dmarc_pass, whole: row.dmarc_pass.saturating_add(row.dmarc_fail) },
    ),
    Column::new("dmarc_pass", "dmarc pass", MAILS, Show::Never, "Mails for which DMARC passes.", |row| {
        Value::Count(row.dmarc_pass)
    }),
    Column::new("dmarc_fail", "dmarc fail", MAILS, Show::Never, "Mails for which it does not.", |row| {
        Value::Count(row.dmarc_fail)
    }),
    Column::new(
        "dmarc_not_known",
        "dmarc not known",
        MAILS,
        Show::Never,
        "Mails of which that is not known, or not yet.",
        |row| Value::Count(row.dmarc_not_known),
    ),
    Column::new("spf_pass", "spf", MAILS, Show::Never, "Mails for which SPF passes.", |row| {
        Value::Count(row.spf_pass)
    }),
    Column::new("dkim_pass", "dkim", MAILS, Show::Never, "Mails with a DKIM signature that passes.", |row| {
        Value::Count(row.dkim_pass)
    }),
    Column::new("tls_percent", "tls %", Kind::Percent, Show::Spare(5, 0), "`tls` of `messages`.", |row| {
        Value::Percent { part: row.tls, whole: row.messages }
    }),
    Column::new("tls", "tls", MAILS, Show::Never, "Mails that came over TLS.", |row| Value::Count(row.tls)),
    Column::new("bytes", "bytes", Kind::Count("bytes"), Show::Never, "Bytes of these mails.", |row| {
        Value::Count(row.bytes)
    }),
    Column::new("last_from", "from", Kind::Text, Show::Spare(9, 16), "The From of the last one.", |row| {
        Value::text(row.last_from.as_deref())
    }),
    Column::new("expected", "expected", Kind::Text, Show::Spare(10, 16), "What is expected.", |row| {
        Value::text(Some(&row.expected))
    }),
    Column::new("reason", "reason", Kind::Text, Show::Spare(7, 16), "Why the state is not `ok`.", |row| {
        Value::text(row.reason.as_deref())
    }),
];

/// The totals of `watched`.
pub static WATCHED_TOTALS: &[Column<WatchedTotals>] = &[
    Column::total("names", NAMES, "Watched addresses.", |totals| Value::Count(totals.names)),
    Column::total("ok", NAMES, "As expected.", |totals| Value::Count(totals.ok)),
    Column::total("missing", NAMES, "Nothing came in time.", |totals| Value::Count(totals.missing)),
    Column::total("failing", NAMES, "From somebody else, or failing DMARC.", |totals| {
        Value::Count(totals.failing)
    }),
    Column::total("not_known", NAMES, "Not known.", |totals| Value::Count(totals.not_known)),
    Column::total("messages", MAILS, "Mails in the period.", |totals| Value::Count(totals.messages)),
];
