//! The columns of `report failures` and `report complaints`.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::{ComplaintRow, ComplaintTotals, FailureRow, FailureTotals};

/// `report failures`.
pub static FAILURES: &[Column<FailureRow>] = &[
    Column::new(
        "id",
        "id",
        Kind::Text,
        Show::Spare(14, 0),
        "The message that brought it, as in `messages`.",
        |row| Value::text(Some(&row.id)),
    ),
    Column::new("received_at", "received", Kind::Instant, Show::Never, "When that message came.", |row| {
        Value::Instant(row.received_at)
    }),
    Column::new("domain", "domain", Kind::Text, Show::Never, "The domain under which it counts.", |row| {
        Value::text(row.domain.as_deref())
    }),
    Column::new(
        "trust",
        "trust",
        Kind::Text,
        Show::Never,
        "`verified`, `unverified`, `failed`, `imported` or `pending`.",
        |row| Value::text(Some(&row.trust)),
    ),
    Column::new(
        "is_revealed",
        "revealed",
        Kind::Flag,
        Show::Never,
        "True if persons are not hidden.",
        |row| Value::Flag(row.shown.is_revealed),
    ),
    Column::new(
        "form",
        "form",
        Kind::Text,
        Show::Never,
        "`feedback`, `notice` (in words alone) or `complaint` (no machine-readable part).",
        |row| some(&row.shown.form),
    ),
    Column::new(
        "feedback_type",
        "type",
        Kind::Text,
        Show::Spare(12, 0),
        "`auth-failure`, `abuse`, `fraud`, `virus`, `not-spam`, `opt-out`, `other` or another word.",
        |row| some(&row.shown.feedback_type),
    ),
    Column::new(
        "reporter",
        "reporter",
        Kind::Text,
        Show::Spare(2, 12),
        "The domain of the report's author.",
        |row| Value::text(row.shown.reporter.as_deref()),
    ),
    Column::new("reporting_mta", "reporting mta", Kind::Text, Show::Never, "`Reporting-MTA`.", |row| {
        Value::text(row.shown.reporting_mta.as_deref())
    }),
    Column::new(
        "user_agent",
        "user agent",
        Kind::Text,
        Show::Never,
        "The program that made the report.",
        |row| Value::text(row.shown.user_agent.as_deref()),
    ),
    Column::new("version", "version", Kind::Text, Show::Never, "`Version`.", |row| {
        Value::text(row.shown.version.as_deref())
    }),
    Column::new(
        "arrived_at",
        "arrived",
        Kind::Instant,
        Show::Whole,
        "When the message arrived there.",
        |row| Value::instant(row.shown.arrived_at.map(Timestamp::from_seconds)),
    ),
    Column::new(
        "incidents",
        "incidents",
        Kind::Count("messages"),
        Show::Spare(9, 0),
        "Messages for which the report stands.",
        |row| Value::Count(row.shown.incidents),
    ),
    Column::new(
        "source_ip",
        "source",
        Kind::Text,
        Show::Whole,
        "Who sent the message: an address or the text in its place.",
        |row| Value::text(row.shown.source_ip.as_deref()),
    ),
    Column::new("source_host", "host", Kind::Text, Show::Spare(8, 12), "The name of the source.", |row| {
        Value::text(row.shown.source_host.as_deref())
    }),
    Column::new("source_port", "port", Kind::Count("port"), Show::Never, "The port of the source.", |row| {
        Value::count(row.shown.source_port.map(u64::from))
    }),
    Column::new("reported_domains", "reported", Kind::List, Show::Never, "`Reported-Domain`.", |row| {
        Value::list(&row.shown.reported_domains)
    }),
    Column::new("header_from", "header from", Kind::Text, Show::Cut(12), "The author domain.", |row| {
        Value::text(row.shown.header_from.as_deref())
    }),
    Column::new(
        "auth_failure",
        "failure",
        Kind::Text,
        Show::Whole,
        "What failed: `dmarc`, `spf`, `signature`, `bodyhash`, `revoked`, `adsp` or another word.",
        |row| some(&row.shown.auth_failure),
    ),
    Column::new(
        "delivery_result",
        "result",
        Kind::Text,
        Show::Spare(1, 0),
        "What became of it: `delivered`, `spam`, `policy`, `reject`, `other` or another word.",
        |row| some(&row.shown.delivery_result),
    ),
    Column::new(
        "delivery_written",
        "written",
        Kind::Text,
        Show::Never,
        "`Delivery-Result` as written, where it differs.",
        |row| Value::text(row.shown.delivery_written.as_deref()),
    ),
    Column::new(
        "identity_alignment",
        "alignment",
        Kind::List,
        Show::Spare(7, 10),
        "`Identity-Alignment`: RFC 9991 lists what failed, RFC 7489 what passed.",
        |row| Value::list(&row.shown.identity_alignment),
    ),
    Column::new(
        "spf_aligned",
        "spf",
        Kind::Flag,
        Show::Never,
        "Whether SPF was aligned, where said.",
        |row| row.shown.spf_aligned.map_or(Value::Unknown, Value::Flag),
    ),
    Column::new(
        "dkim_aligned",
        "dkim",
        Kind::Flag,
        Show::Never,
        "Whether DKIM was aligned, where said.",
        |row| row.shown.dkim_aligned.map_or(Value::Unknown, Value::Flag),
    ),
    Column::new("dkim_domain", "dkim domain", Kind::Text, Show::Spare(10, 10), "`DKIM-Domain`.", |row| {
        Value::text(row.shown.dkim_domain.as_deref())
    }),
    Column::new("dkim_selector", "selector", Kind::Text, Show::Never, "`DKIM-Selector`.", |row| {
        Value::text(row.shown.dkim_selector.as_deref())
    }),
    Column::new(
        "dkim_identity",
        "identity",
        Kind::Text,
        Show::Never,
        "`DKIM-Identity`; local part hashed unless revealed.",
        |row| Value::text(row.shown.dkim_identity.as_deref()),
    ),
    Column::new("spf_dns", "spf dns", Kind::List, Show::Never, "`SPF-DNS`.", |row| {
        Value::list(&row.shown.spf_dns)
    }),
    Column::new(
        "mail_from",
        "mail from",
        Kind::Text,
        Show::Spare(4, 14),
        "`Original-Mail-From`; local part hashed unless revealed; `<>` for the null reverse-path.",
        |row| Value::text(row.shown.mail_from.as_deref()),
    ),
    Column::new(
        "rcpt_to",
        "rcpt to",
        Kind::List,
        Show::Spare(5, 14),
        "`Original-Rcpt-To`; local parts hashed unless revealed.",
        |row| Value::list(&row.shown.rcpt_to),
    ),
    Column::new(
        "authentication_results",
        "auth results",
        Kind::List,
        Show::Never,
        "`Authentication-Results`; local parts hashed unless revealed.",
        |row| Value::list(&row.shown.authentication_results),
    ),
    Column::new(
        "reported_uris",
        "uris",
        Kind::List,
        Show::Never,
        "`Reported-URI`; without paths unless revealed.",
        |row| Value::list(&row.shown.reported_uris),
    ),
    Column::new(
        "extensions",
        "extensions",
        Kind::List,
        Show::Never,
        "Names of fields that no standard has; with their values if revealed.",
        |row| Value::list(&row.shown.extensions),
    ),
    Column::new(
        "is_headers_only",
        "headers only",
        Kind::Flag,
        Show::Never,
        "True if only the header of the message is quoted; null if nothing is.",
        |row| row.shown.is_headers_only.map_or(Value::Unknown, Value::Flag),
    ),
    Column::new(
        "original_from",
        "from",
        Kind::Text,
        Show::Spare(3, 14),
        "The author; local part hashed and name left out unless revealed.",
        |row| Value::text(row.shown.original_from.as_deref()),
    ),
    Column::new(
        "original_to",
        "to",
        Kind::Text,
        Show::Never,
        "The recipients in the header; a hash unless revealed.",
        |row| Value::text(row.shown.original_to.as_deref()),
    ),
    Column::new(
        "original_subject",
        "subject",
        Kind::Text,
        Show::Spare(6, 12),
        "The subject; a hash unless revealed.",
        |row| Value::text(row.shown.original_subject.as_deref()),
    ),
    Column::new(
        "original_message_id",
        "message-id",
        Kind::Text,
        Show::Never,
        "The Message-ID; its left side hashed unless revealed.",
        |row| Value::text(row.shown.original_message_id.as_deref()),
    ),
    Column::new("original_date", "date", Kind::Instant, Show::Never, "The date of the message.", |row| {
        Value::instant(row.shown.original_date.map(Timestamp::from_seconds))
    }),
    Column::new(
        "original_signatures",
        "signatures",
        Kind::List,
        Show::Never,
        "Signatures, as `selector._domainkey.domain`.",
        |row| Value::list(&row.shown.original_signatures),
    ),
    Column::new(
        "campaign",
        "campaign",
        Kind::Text,
        Show::Spare(11, 12),
        "`Feedback-ID`, else `List-Id`.",
        |row| Value::text(row.shown.campaign.as_deref()),
    ),
    Column::new(
        "deviations",
        "deviations",
        Kind::List,
        Show::Never,
        "Names of what differs from the standards.",
        |row| Value::list(&row.shown.deviations),
    ),
];

/// A word, or nothing where it is empty.
fn some(word: &str) -> Value<'_> {
    Value::text(Some(word).filter(|word| !word.is_empty()))
}

/// The totals of `failures`.
pub static FAILURE_TOTALS: &[Column<FailureTotals>] = &[
    Column::total("reports", Kind::Count("reports"), "Reports, each once.", |totals| {
        Value::Count(totals.reports)
    }),
    Column::total("incidents", Kind::Count("messages"), "Messages for which they stand.", |totals| {
        Value::Count(totals.incidents)
    }),
];

/// `report complaints`.
pub static COMPLAINTS: &[Column<ComplaintRow>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Cut(14), "The author domain.", |row| {
        Value::text(row.domain.as_deref())
    }),
    Column::new("feedback_type", "type", Kind::Text, Show::Whole, "As in `failures`.", |row| {
        some(&row.feedback_type)
    }),
    Column::new("source_ip", "source", Kind::Text, Show::Whole, "Who sent the messages.", |row| {
        Value::text(row.source_ip.as_deref())
    }),
    Column::new("dkim_domain", "signed by", Kind::Text, Show::Spare(2, 12), "The signing domain.", |row| {
        Value::text(row.dkim_domain.as_deref())
    }),
    Column::new(
        "campaign",
        "campaign",
        Kind::Text,
        Show::Spare(1, 12),
        "`Feedback-ID`, else `List-Id`.",
        |row| Value::text(row.campaign.as_deref()),
    ),
    Column::new(
        "complaints",
        "complaints",
        Kind::Count("messages"),
        Show::Whole,
        "Messages complained of.",
        |row| Value::Count(row.complaints),
    ),
    Column::new(
        "messages",
        "messages",
        Kind::Count("messages"),
        Show::Spare(3, 0),
        "Messages of the domain as aggregate reports say, in the same period.",
        |row| Value::Count(row.messages),
    ),
    Column::new(
        "complaint_percent",
        "%",
        Kind::Percent,
        Show::Spare(4, 0),
        "All complaints of the domain in `messages`; null without messages.",
        |row| Value::Percent { part: row.domain_complaints, whole: row.messages },
    ),
    Column::new(
        "mark",
        "mark",
        Kind::Text,
        Show::Spare(5, 0),
        "`raised` from 0.1 % on, `high` from 0.3 % on, else `low`; null without messages.",
        |row| row.mark().map_or(Value::Unknown, |mark| Value::Text(Cow::Borrowed(mark))),
    ),
    Column::new("first", "first", Kind::Instant, Show::Spare(7, 0), "The first message.", |row| {
        Value::instant(row.first)
    }),
    Column::new("last", "last", Kind::Instant, Show::Spare(6, 0), "The last message.", |row| {
        Value::instant(row.last)
    }),
];

/// The totals of `complaints`.
pub static COMPLAINT_TOTALS: &[Column<ComplaintTotals>] = &[
    Column::total(
        "complaints",
        Kind::Count("messages"),
        "Messages complained of; those called no spam do not count.",
        |totals| Value::Count(totals.complaints),
    ),
    Column::total(
        "messages",
        Kind::Count("messages"),
        "Messages of these domains as aggregate reports say.",
        |totals| Value::Count(totals.messages),
    ),
    Column::total(
        "complaint_percent",
        Kind::Percent,
        "`complaints` of `messages`; null without messages.",
        |totals| Value::Percent { part: totals.complaints, whole: totals.messages },
    ),
];
