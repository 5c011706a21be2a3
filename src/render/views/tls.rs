//! The columns of `report tls`.

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::{TlsRow, TlsTotals};

/// Unit of sums of sessions.
const SESSIONS: Kind = Kind::Count("SMTP sessions");

/// `report tls`.
pub static TLS: &[Column<TlsRow>] = &[
    Column::new("day", "day", Kind::Text, Show::Whole, "The UTC day, such as `2026-03-01`.", |row| {
        Value::text(Some(&row.day))
    }),
    Column::new(
        "domain",
        "domain",
        Kind::Text,
        Show::Cut(14),
        "The mail domain; null where the report names none.",
        |row| Value::text(row.domain.as_deref()),
    ),
    Column::new(
        "policy_type",
        "policy",
        Kind::Text,
        Show::Whole,
        "`tlsa`, `sts`, `no-policy-found`, or another word in lower case.",
        |row| Value::text(row.policy_type.as_deref()),
    ),
    Column::new(
        "result_type",
        "result",
        Kind::Text,
        Show::Whole,
        "Why sessions failed, a word of RFC 8460 section 4.3 or another one; null for those that succeeded and for \
         failures without a stated cause.",
        |row| Value::text(row.result_type.as_deref()),
    ),
    Column::new(
        "successful_sessions",
        "successful",
        SESSIONS,
        Show::Whole,
        "Sessions that succeeded.",
        |row| Value::Count(row.successful_sessions),
    ),
    Column::new("failed_sessions", "failed", SESSIONS, Show::Whole, "Sessions that failed.", |row| {
        Value::Count(row.failed_sessions)
    }),
    Column::new("reporters", "reporters", Kind::List, Show::Spare(1, 12), "Who reported them.", |row| {
        Value::list(&row.reporters)
    }),
];

/// The totals of `tls`.
pub static TLS_TOTALS: &[Column<TlsTotals>] = &[
    Column::total(
        "reports",
        Kind::Count("reports"),
        "Reports counted; one about several domains counts for each.",
        |totals| Value::Count(totals.reports),
    ),
    Column::total("successful_sessions", SESSIONS, "Sessions that succeeded.", |totals| {
        Value::Count(totals.successful_sessions)
    }),
    Column::total(
        "failed_sessions",
        SESSIONS,
        "Sessions that failed, as the summaries say: stated causes may add up to more.",
        |totals| Value::Count(totals.failed_sessions),
    ),
    Column::total(
        "successful_percent",
        Kind::Percent,
        "`successful_sessions` of all; null without sessions.",
        |totals| Value::Percent {
            part: totals.successful_sessions,
            whole: totals.successful_sessions.saturating_add(totals.failed_sessions),
        },
    ),
];
