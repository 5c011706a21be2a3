//! The columns of `report probe-list`.

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::rows::{ProbeRow, ProbeTotals};

/// `report probe-list` and `probe list`.
pub static PROBES: &[Column<ProbeRow>] = &[
    Column::new("token", "token", Kind::Text, Show::Cut(12), "The token.", |row| {
        Value::text(Some(&row.token))
    }),
    Column::new("route", "route", Kind::Text, Show::Cut(10), "The route in the configuration.", |row| {
        Value::text(Some(&row.route))
    }),
    Column::new(
        "state",
        "state",
        Kind::Text,
        Show::Whole,
        "`planned`, `sending`, `deferred`, `refused`, `in_doubt`, `accepted`, `in_transit`, `overdue`, `delayed`, `held`, \
         `arrived`, `bounced`, `lost`, `late`, `unobserved`, `delivered`, `as_expected`, `escaped` or `cancelled`.",
        |row| Value::text(Some(&row.state)),
    ),
    Column::new("sent_at", "sent", Kind::Instant, Show::Spare(1, 0), "When sending began.", |row| {
        Value::Instant(row.sent_at)
    }),
    Column::new(
        "accepted_at",
        "accepted",
        Kind::Instant,
        Show::Spare(4, 0),
        "When the far end took it.",
        |row| Value::instant(row.accepted_at),
    ),
    Column::new("arrived_at", "arrived", Kind::Instant, Show::Spare(3, 0), "When it arrived.", |row| {
        Value::instant(row.arrived_at)
    }),
    Column::new(
        "latency_ms",
        "ms",
        Kind::Milliseconds,
        Show::Whole,
        "From `sent_at` to its arrival: the middle of what is possible.",
        |row| Value::integer(row.latency_ms),
    ),
    Column::new("reason", "reason", Kind::Text, Show::Spare(2, 16), "Why it has this state.", |row| {
        Value::text(row.reason.as_deref())
    }),
    Column::new(
        "place",
        "place",
        Kind::Text,
        Show::Spare(2, 0),
        "Where it arrived: `sink` (our own receiver), `inbox`, `category`, `spam` or `other`.",
        |row| Value::text(row.place.as_deref()),
    ),
    Column::new(
        "latency_error_ms",
        "+- ms",
        Kind::Milliseconds,
        Show::Spare(5, 0),
        "Half the width of what is possible: 0 where it is known exactly.",
        |row| Value::integer(row.latency_error_ms),
    ),
];

/// The totals of `probe-list`.
pub static PROBE_TOTALS: &[Column<ProbeTotals>] = &[
    Column::total("probes", Kind::Count("probes"), "Probes.", |totals| Value::Count(totals.probes)),
    Column::total("planned", Kind::Count("probes"), "To be sent.", |totals| Value::Count(totals.planned)),
    Column::total("sending", Kind::Count("probes"), "An attempt is under way.", |totals| {
        Value::Count(totals.sending)
    }),
    Column::total("deferred", Kind::Count("probes"), "Put off by the far end.", |totals| {
        Value::Count(totals.deferred)
    }),
    Column::total("refused", Kind::Count("probes"), "Refused by the far end.", |totals| {
        Value::Count(totals.refused)
    }),
    Column::total("in_doubt", Kind::Count("probes"), "Sent with an unclear end.", |totals| {
        Value::Count(totals.in_doubt)
    }),
    Column::total("accepted", Kind::Count("probes"), "Taken by the far end, not arrived yet.", |totals| {
        Value::Count(totals.accepted)
    }),
    Column::total(
        "in_transit",
        Kind::Count("probes"),
        "Taken, and told of by a host beyond the first.",
        |totals| Value::Count(totals.in_transit),
    ),
    Column::total("overdue", Kind::Count("probes"), "Not seen by their soft deadline.", |totals| {
        Value::Count(totals.overdue)
    }),
    Column::total("delayed", Kind::Count("probes"), "Waiting in a queue of the far end.", |totals| {
        Value::Count(totals.delayed)
    }),
    Column::total("held", Kind::Count("probes"), "Waiting for somebody's decision.", |totals| {
        Value::Count(totals.held)
    }),
    Column::total("arrived", Kind::Count("probes"), "Arrived in time.", |totals| {
        Value::Count(totals.arrived)
    }),
    Column::total("bounced", Kind::Count("probes"), "Came back.", |totals| Value::Count(totals.bounced)),
    Column::total("lost", Kind::Count("probes"), "Not arrived by their deadline.", |totals| {
        Value::Count(totals.lost)
    }),
    Column::total("late", Kind::Count("probes"), "Arrived after their deadline.", |totals| {
        Value::Count(totals.late)
    }),
    Column::total("unobserved", Kind::Count("probes"), "Not arrived, and nobody looked.", |totals| {
        Value::Count(totals.unobserved)
    }),
    Column::total("delivered", Kind::Count("probes"), "Delivered, as the far end says.", |totals| {
        Value::Count(totals.delivered)
    }),
    Column::total(
        "as_expected",
        Kind::Count("probes"),
        "Did not get through, as they should not.",
        |totals| Value::Count(totals.as_expected),
    ),
    Column::total("escaped", Kind::Count("probes"), "Got through and should not.", |totals| {
        Value::Count(totals.escaped)
    }),
    Column::total("cancelled", Kind::Count("probes"), "Not sent, by our own decision.", |totals| {
        Value::Count(totals.cancelled)
    }),
];
