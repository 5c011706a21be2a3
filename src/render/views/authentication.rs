//! The columns of `report authentication`.

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::{AuthenticationRow, AuthenticationTotals};

/// Unit of the sums.
const MESSAGES: Kind = Kind::Count("messages");
/// What DMARC may say.
const DMARC: &str = "By RFC 9989: `pass`, `fail`, `none` (no policy), `permerror` (no author to judge), `temperror` (asked again), \
    `not-known` (nothing proves it), `waiting` (not verified yet).";

/// `report authentication`.
pub static AUTHENTICATION: &[Column<AuthenticationRow>] = &[
    Column::new("day", "day", Kind::Text, Show::Whole, "The UTC day of receipt.", |row| {
        Value::text(Some(&row.day))
    }),
    Column::new(
        "header_from",
        "author domain",
        Kind::Text,
        Show::Cut(16),
        "The author domain; null where a mail has none or was not verified yet.",
        |row| Value::text(row.header_from.as_deref()),
    ),
    Column::new("dmarc", "DMARC", Kind::Text, Show::Whole, DMARC, |row| Value::text(Some(&row.dmarc))),
    Column::new("messages", "messages", MESSAGES, Show::Whole, "Mails received.", |row| {
        Value::Count(row.messages)
    }),
    Column::new("spf_pass", "SPF pass", MESSAGES, Show::Spare(1, 0), "SPF of MAIL FROM passes.", |row| {
        Value::Count(row.spf.pass)
    }),
    Column::new(
        "spf_fail",
        "SPF fail",
        MESSAGES,
        Show::Spare(2, 0),
        "It is `fail`, `softfail` or `permerror`.",
        |row| Value::Count(row.spf.fail),
    ),
    Column::new(
        "spf_not_known",
        "SPF not known",
        MESSAGES,
        Show::Spare(5, 0),
        "DNS did not answer, or nothing proves who handed the mail over.",
        |row| Value::Count(row.spf.not_known),
    ),
    Column::new("dkim_pass", "DKIM pass", MESSAGES, Show::Spare(3, 0), "A signature passes.", |row| {
        Value::Count(row.dkim.pass)
    }),
    Column::new(
        "dkim_fail",
        "DKIM fail",
        MESSAGES,
        Show::Spare(4, 0),
        "None passes, and the first is `fail`, `permerror` or `policy`.",
        |row| Value::Count(row.dkim.fail),
    ),
    Column::new(
        "dkim_not_known",
        "DKIM not known",
        MESSAGES,
        Show::Spare(6, 0),
        "None passes, and the key of the first did not come, or is gone since long ago.",
        |row| Value::Count(row.dkim.not_known),
    ),
    Column::new("arc_pass", "ARC pass", MESSAGES, Show::Spare(7, 0), "The chain holds.", |row| {
        Value::Count(row.arc.pass)
    }),
    Column::new("arc_fail", "ARC fail", MESSAGES, Show::Spare(8, 0), "It does not.", |row| {
        Value::Count(row.arc.fail)
    }),
    Column::new(
        "arc_not_known",
        "ARC not known",
        MESSAGES,
        Show::Spare(9, 0),
        "DNS did not answer.",
        |row| Value::Count(row.arc.not_known),
    ),
    Column::new(
        "differing",
        "differing",
        MESSAGES,
        Show::Spare(10, 0),
        "A host of `trusted_hosts` says otherwise than we.",
        |row| Value::Count(row.differing),
    ),
];

/// Its totals.
pub static AUTHENTICATION_TOTALS: &[Column<AuthenticationTotals>] = &[
    Column::total("messages", MESSAGES, "All mails.", |totals| Value::Count(totals.messages)),
    Column::total("pass", MESSAGES, "DMARC passes.", |totals| Value::Count(totals.pass)),
    Column::total("fail", MESSAGES, "DMARC fails.", |totals| Value::Count(totals.fail)),
    Column::total("none", MESSAGES, "No policy, or no author to judge.", |totals| Value::Count(totals.none)),
    Column::total("not_known", MESSAGES, "DMARC is not known.", |totals| Value::Count(totals.not_known)),
    Column::total("waiting", MESSAGES, "Not verified yet.", |totals| Value::Count(totals.waiting)),
];
