//! The columns of `dns simulate`.

use std::borrow::Cow;

use crate::render::{Column, Kind, Show, Value};
use crate::summary::{SimulatedRow, SimulatedTotals};

/// A row a source, author domain and SPF domain.
pub static SIMULATED: &[Column<SimulatedRow>] = &[
    Column::new(
        "source_ip",
        "source",
        Kind::Text,
        Show::Cut(15),
        "The source address; the text in its place where it is none; null where there was nothing.",
        |row| Value::text(row.source_ip.as_deref()),
    ),
    Column::new("header_from", "header from", Kind::Text, Show::Cut(10), "The author domain.", |row| {
        Value::text(Some(&row.header_from))
    }),
    Column::new(
        "spf_domain",
        "spf domain",
        Kind::Text,
        Show::Cut(10),
        "The domain that SPF is about; null where reports name none.",
        |row| Value::text(row.spf_domain.as_deref()),
    ),
    Column::new(
        "messages",
        "messages",
        Kind::Count("messages"),
        Show::Whole,
        "Messages as reported.",
        |row| Value::Count(row.messages),
    ),
    Column::new(
        "spf_now",
        "spf now",
        Kind::Text,
        Show::Whole,
        "SPF with the records of now; as reported for domains outside the one asked for.",
        |row| Value::text(row.spf_now),
    ),
    Column::new("spf_then", "spf then", Kind::Text, Show::Whole, "SPF with the candidate.", |row| {
        Value::text(row.spf_then)
    }),
    Column::new(
        "pass_reported",
        "reported",
        Kind::Count("messages"),
        Show::Spare(3, 0),
        "Messages for which the reporters found that DMARC passes.",
        |row| Value::Count(row.pass_reported),
    ),
    Column::new(
        "pass_now",
        "pass now",
        Kind::Count("messages"),
        Show::Whole,
        "Messages for which DMARC passes with the records of now.",
        |row| Value::Count(row.pass_now),
    ),
    Column::new(
        "pass_then",
        "pass then",
        Kind::Count("messages"),
        Show::Whole,
        "With the candidate.",
        |row| Value::Count(row.pass_then),
    ),
    Column::new(
        "quarantine_then",
        "quarant.",
        Kind::Count("messages"),
        Show::Spare(2, 0),
        "Messages that fail with the candidate and would be quarantined.",
        |row| Value::Count(row.quarantine_then),
    ),
    Column::new(
        "reject_then",
        "reject",
        Kind::Count("messages"),
        Show::Spare(1, 0),
        "Messages that fail with the candidate and would be rejected.",
        |row| Value::Count(row.reject_then),
    ),
    Column::new(
        "not_known",
        "not known",
        Kind::Count("messages"),
        Show::Spare(4, 0),
        "Messages of which one of the two is not known: DNS did not answer, or a name is none.",
        |row| Value::Count(row.not_known),
    ),
    Column::new(
        "change",
        "change",
        Kind::Text,
        Show::Whole,
        "`loses` (fewer pass), `gains`, `same`, or `not-known`.",
        |row| Value::Text(Cow::Borrowed(row.change())),
    ),
];

/// The sums.
pub static SIMULATED_TOTALS: &[Column<SimulatedTotals>] = &[
    Column::total("messages", Kind::Count("messages"), "Messages as reported.", |row| {
        Value::Count(row.messages)
    }),
    Column::total(
        "pass_reported",
        Kind::Count("messages"),
        "Messages for which the reporters found that DMARC passes.",
        |row| Value::Count(row.pass_reported),
    ),
    Column::total("pass_now", Kind::Count("messages"), "With the records of now.", |row| {
        Value::Count(row.pass_now)
    }),
    Column::total("pass_then", Kind::Count("messages"), "With the candidate.", |row| {
        Value::Count(row.pass_then)
    }),
    Column::total("gained", Kind::Count("messages"), "How many more pass, of rows that gain.", |row| {
        Value::Count(row.gained)
    }),
    Column::total("lost", Kind::Count("messages"), "How many fewer pass, of rows that lose.", |row| {
        Value::Count(row.lost)
    }),
    Column::total("quarantine_then", Kind::Count("messages"), "Fail and would be quarantined.", |row| {
        Value::Count(row.quarantine_then)
    }),
    Column::total("reject_then", Kind::Count("messages"), "Fail and would be rejected.", |row| {
        Value::Count(row.reject_then)
    }),
    Column::total("not_known", Kind::Count("messages"), "Not known.", |row| Value::Count(row.not_known)),
];
