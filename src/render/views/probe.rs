//! The columns of `report probes`.

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::rows::{ProbeRow, ProbeTotals};

/// `report probes` and `probe list`.
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
        "`sending`, `deferred`, `refused`, `in_doubt`, `accepted`, `delayed`, `delivered`, `bounced`, `arrived`, `lost` or \
         `late`.",
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
        "From `sent_at` to `arrived_at`.",
        |row| Value::integer(row.latency_ms),
    ),
    Column::new("reason", "reason", Kind::Text, Show::Spare(2, 16), "Why it has this state.", |row| {
        Value::text(row.reason.as_deref())
    }),
];

/// The totals of `probes`.
pub static PROBE_TOTALS: &[Column<ProbeTotals>] = &[
    Column::total("probes", Kind::Count("probes"), "Probes.", |totals| Value::Count(totals.probes)),
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
    Column::total("arrived", Kind::Count("probes"), "Arrived in time.", |totals| {
        Value::Count(totals.arrived)
    }),
    Column::total("lost", Kind::Count("probes"), "Not arrived by their deadline.", |totals| {
        Value::Count(totals.lost)
    }),
    Column::total("late", Kind::Count("probes"), "Arrived after their deadline.", |totals| {
        Value::Count(totals.late)
    }),
    Column::total("bounced", Kind::Count("probes"), "Came back.", |totals| Value::Count(totals.bounced)),
    Column::total("delayed", Kind::Count("probes"), "Waiting in a queue of the far end.", |totals| {
        Value::Count(totals.delayed)
    }),
    Column::total("delivered", Kind::Count("probes"), "Delivered, as the far end says.", |totals| {
        Value::Count(totals.delivered)
    }),
];
