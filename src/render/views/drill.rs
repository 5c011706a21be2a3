//! The columns of `probe drill`.

use std::borrow::Cow;

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::drill::{DrillRow, DrillTotals};

/// `probe drill`: the timeline.
pub static DRILL: &[Column<DrillRow>] = &[
    Column::new(
        "moment",
        "moment",
        Kind::Text,
        Show::Whole,
        "`begin` (the first that was taken), `refused` (the first one after it that was not), `backup` (the first one that another \
         host took), `back` (the first one that the usual host took again).",
        |row| Value::Text(Cow::Borrowed(row.moment.as_str())),
    ),
    Column::new("at", "at", Kind::Instant, Show::Whole, "When that probe was sent.", |row| {
        Value::Instant(row.at)
    }),
    Column::new(
        "after_ms",
        "after ms",
        Kind::Milliseconds,
        Show::Whole,
        "Since the first probe of the drill.",
        |row| Value::integer(Some(row.after_ms)),
    ),
    Column::new(
        "host",
        "host",
        Kind::Text,
        Show::Cut(12),
        "The MX host to which it was handed, else the address of the server; null where there was no session.",
        |row| Value::text(row.host.as_deref()),
    ),
    Column::new("reason", "reason", Kind::Text, Show::Spare(1, 16), "What was said.", |row| {
        Value::text(row.reason.as_deref())
    }),
    Column::new("token", "token", Kind::Text, Show::Spare(2, 10), "The probe.", |row| {
        Value::text(Some(&row.token))
    }),
];

/// Unit of counts of probes.
const PROBES: Kind = Kind::Count("probes");

/// The sums of a drill.
pub static DRILL_TOTALS: &[Column<DrillTotals>] = &[
    Column::total("probes", PROBES, "Probes of the drill.", |totals| Value::Count(totals.probes)),
    Column::total("not_taken", PROBES, "Not taken at their first attempt.", |totals| {
        Value::Count(totals.not_taken)
    }),
    Column::total("arrived", PROBES, "Arrived in the end.", |totals| Value::Count(totals.arrived)),
    Column::total(
        "delayed",
        PROBES,
        "Of these, not taken at first, late, or more than three times as long under way as half of all, and ten seconds more.",
        |totals| Value::Count(totals.delayed),
    ),
    Column::total("lost", PROBES, "Lost, refused for good, or sent back.", |totals| {
        Value::Count(totals.lost)
    }),
    Column::total("waiting", PROBES, "Not decided yet: ask again with `--last`.", |totals| {
        Value::Count(totals.waiting)
    }),
    Column::total("not_known", PROBES, "Nobody knows.", |totals| Value::Count(totals.not_known)),
    Column::total(
        "gap_ms",
        Kind::Milliseconds,
        "The longest time without a probe that was taken: from the first that was not to the next that was.",
        |totals| Value::integer(totals.gap_ms),
    ),
    Column::total("slowest_ms", Kind::Milliseconds, "The longest latency, at most.", |totals| {
        Value::integer(totals.slowest.map(|span| span.high_ms))
    }),
    Column::total("first", Kind::Instant, "When the first probe was sent.", |totals| {
        Value::instant(totals.first)
    }),
    Column::total("last", Kind::Instant, "When the last one was.", |totals| Value::instant(totals.last)),
];
