//! The columns of `report bounces` and `report bounce-list`.

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::{BounceGroupRow, BounceRow, BounceTotals};

/// Unit of sums of recipients.
const RECIPIENTS: Kind = Kind::Count("recipients");
/// What the outcome may be.
const OUTCOME: &str =
    "`failed`, `delayed`, `relayed`, `expanded`, `delivered` or `unknown`; only `failed` is a bounce.";
/// What the class may be.
const CLASS: &str = "`permanent`, `expired` (given up after retries), `temporary`; null if not said.";

/// `report bounces`.
pub static BOUNCES: &[Column<BounceGroupRow>] = &[
    Column::new("day", "day", Kind::Text, Show::Whole, "The UTC day on which the notices came.", |row| {
        Value::text(Some(&row.day))
    }),
    Column::new("outcome", "outcome", Kind::Text, Show::Whole, OUTCOME, |row| {
        Value::text(Some(&row.outcome))
    }),
    Column::new(
        "enhanced_status",
        "status",
        Kind::Text,
        Show::Whole,
        "The enhanced status code (RFC 3463); null if none was stated.",
        |row| Value::text(row.enhanced_status.as_deref()),
    ),
    Column::new("class", "class", Kind::Text, Show::Whole, CLASS, |row| Value::text(row.class.as_deref())),
    Column::new(
        "host",
        "host",
        Kind::Text,
        Show::Cut(16),
        "The host that refused or was not reached.",
        |row| Value::text(row.host.as_deref()),
    ),
    Column::new("reason", "reason", Kind::Text, Show::Spare(1, 0), "Why, a word of ours.", |row| {
        Value::text(Some(&row.reason))
    }),
    Column::new("recipients", "recipients", RECIPIENTS, Show::Whole, "Recipients.", |row| {
        Value::Count(row.recipients)
    }),
    Column::new(
        "recipient_domain",
        "to domain",
        Kind::Text,
        Show::Spare(2, 14),
        "The domain of the recipients.",
        |row| Value::text(row.recipient_domain.as_deref()),
    ),
    Column::new(
        "reporting_mta",
        "reported by",
        Kind::Text,
        Show::Spare(6, 14),
        "The host that reports.",
        |row| Value::text(row.reporting_mta.as_deref()),
    ),
    Column::new(
        "probes",
        "probes",
        RECIPIENTS,
        Show::Spare(5, 0),
        "Of these recipients, those of our probes.",
        |row| Value::Count(row.probes),
    ),
    Column::new(
        "first",
        "first",
        Kind::Instant,
        Show::Spare(8, 0),
        "When the first of the notices came.",
        |row| Value::Instant(row.first),
    ),
    Column::new("last", "last", Kind::Instant, Show::Spare(7, 0), "When the last one came.", |row| {
        Value::Instant(row.last)
    }),
    Column::new(
        "token",
        "last probe",
        Kind::Text,
        Show::Spare(20, 10),
        "The probe that the last notice about a probe is about; `probe show` tells its life.",
        |row| Value::text(row.token.as_deref()),
    ),
];

/// `report bounce-list`.
pub static BOUNCE_LIST: &[Column<BounceRow>] = &[
    Column::new("id", "id", Kind::Text, Show::Spare(8, 0), "The message, as in `messages`.", |row| {
        Value::text(Some(&row.id))
    }),
    Column::new("received_at", "received", Kind::Instant, Show::Whole, "When it came.", |row| {
        Value::Instant(row.received_at)
    }),
    Column::new(
        "kind",
        "kind",
        Kind::Text,
        Show::Never,
        "The notice as a whole: `bounce`, `delay`, `relayed`, `expanded`, `delivered` or `other`.",
        |row| Value::text(Some(&row.kind)),
    ),
    Column::new("outcome", "outcome", Kind::Text, Show::Whole, OUTCOME, |row| {
        Value::text(Some(&row.outcome))
    }),
    Column::new("recipient", "recipient", Kind::Text, Show::Cut(16), "The recipient.", |row| {
        Value::text(row.recipient.as_deref())
    }),
    Column::new("recipient_domain", "to domain", Kind::Text, Show::Never, "Its domain.", |row| {
        Value::text(row.recipient_domain.as_deref())
    }),
    Column::new(
        "original_recipient",
        "original",
        Kind::Text,
        Show::Never,
        "The recipient as the sender named it.",
        |row| Value::text(row.original_recipient.as_deref()),
    ),
    Column::new("action", "action", Kind::Text, Show::Never, "The `Action` field as written.", |row| {
        Value::text(row.action.as_deref())
    }),
    Column::new(
        "enhanced_status",
        "status",
        Kind::Text,
        Show::Whole,
        "The enhanced status code (RFC 3463); null if none was stated.",
        |row| Value::text(row.enhanced_status.as_deref()),
    ),
    Column::new(
        "reply_code",
        "code",
        Kind::Count("SMTP reply code"),
        Show::Spare(4, 0),
        "The reply code (RFC 5321); null if none was stated.",
        |row| Value::count(row.reply_code),
    ),
    Column::new("class", "class", Kind::Text, Show::Spare(3, 0), CLASS, |row| {
        Value::text(row.class.as_deref())
    }),
    Column::new("reason", "reason", Kind::Text, Show::Spare(2, 0), "Why, a word of ours.", |row| {
        Value::text(Some(&row.reason))
    }),
    Column::new("phase", "phase", Kind::Text, Show::Never, "The step of the dialogue.", |row| {
        Value::text(row.phase.as_deref())
    }),
    Column::new(
        "remote_mta",
        "host",
        Kind::Text,
        Show::Spare(1, 14),
        "The host that refused or was not reached.",
        |row| Value::text(row.remote_mta.as_deref()),
    ),
    Column::new(
        "reporting_mta",
        "reported by",
        Kind::Text,
        Show::Spare(7, 14),
        "The host that reports.",
        |row| Value::text(row.reporting_mta.as_deref()),
    ),
    Column::new(
        "diagnostic",
        "diagnostic",
        Kind::Text,
        Show::Spare(6, 20),
        "The words of the refusal.",
        |row| Value::text(row.diagnostic.as_deref()),
    ),
    Column::new(
        "will_retry_until",
        "until",
        Kind::Instant,
        Show::Spare(9, 0),
        "Until when the host goes on trying.",
        |row| Value::instant(row.will_retry_until),
    ),
    Column::new("token", "token", Kind::Text, Show::Spare(5, 10), "The probe that it is about.", |row| {
        Value::text(row.token.as_deref())
    }),
    Column::new(
        "evidence",
        "evidence",
        Kind::List,
        Show::Never,
        "Where values stood: `value:place:rule`.",
        |row| Value::list(&row.evidence),
    ),
];

/// The totals of both.
pub static BOUNCE_TOTALS: &[Column<BounceTotals>] = &[
    Column::total("recipients", RECIPIENTS, "All recipients.", |totals| Value::Count(totals.recipients)),
    Column::total("bounces", RECIPIENTS, "Not delivered, for good.", |totals| Value::Count(totals.bounces)),
    Column::total("delayed", RECIPIENTS, "Still in a queue.", |totals| Value::Count(totals.delayed)),
    Column::total("relayed", RECIPIENTS, "Gone on to a host that does not report.", |totals| {
        Value::Count(totals.relayed)
    }),
    Column::total("expanded", RECIPIENTS, "Split up into several addresses.", |totals| {
        Value::Count(totals.expanded)
    }),
    Column::total("delivered", RECIPIENTS, "Delivered.", |totals| Value::Count(totals.delivered)),
    Column::total("unknown", RECIPIENTS, "Not said.", |totals| Value::Count(totals.unknown)),
    Column::total("probes", RECIPIENTS, "Of all of these, those of our probes.", |totals| {
        Value::Count(totals.probes)
    }),
];
