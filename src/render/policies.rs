//! The columns of `report policies`.

use std::borrow::Cow;

use crate::render::{Column, Kind, Show, Value};
use crate::summary::{PolicyRow, PolicyTotals};

/// A tag of the policy as a cell.
fn tag(row: &PolicyRow, at: usize) -> Value<'_> {
    Value::text(row.tags.get(at).and_then(Option::as_deref))
}

/// A row a policy of a domain.
pub static POLICIES: &[Column<PolicyRow>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Cut(16), "The policy domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "first",
        "first",
        Kind::Text,
        Show::Whole,
        "The first UTC day on which a report shows it.",
        |row| Value::Text(Cow::Owned(row.first.iso())),
    ),
    Column::new("last", "last", Kind::Text, Show::Whole, "The last UTC day.", |row| {
        Value::Text(Cow::Owned(row.last.iso()))
    }),
    Column::new(
        "p",
        "p",
        Kind::Text,
        Show::Whole,
        "`p` as written; null where every reporter left it out.",
        |row| tag(row, 0),
    ),
    Column::new("sp", "sp", Kind::Text, Show::Whole, "`sp`, likewise.", |row| tag(row, 1)),
    Column::new("np", "np", Kind::Text, Show::Spare(3, 0), "`np`, likewise.", |row| tag(row, 2)),
    Column::new("adkim", "adkim", Kind::Text, Show::Spare(5, 0), "`adkim`, likewise.", |row| tag(row, 3)),
    Column::new("aspf", "aspf", Kind::Text, Show::Spare(5, 0), "`aspf`, likewise.", |row| tag(row, 4)),
    Column::new("pct", "pct", Kind::Text, Show::Spare(2, 0), "`pct`, likewise.", |row| tag(row, 5)),
    Column::new("fo", "fo", Kind::Text, Show::Spare(6, 0), "`fo`, likewise.", |row| tag(row, 6)),
    Column::new("testing", "testing", Kind::Text, Show::Spare(4, 0), "`testing`, likewise.", |row| {
        tag(row, 7)
    }),
    Column::new(
        "discovery_method",
        "discovery",
        Kind::Text,
        Show::Spare(7, 0),
        "`discovery_method`, likewise.",
        |row| tag(row, 8),
    ),
    Column::new("reports", "reports", Kind::Count("reports"), Show::Whole, "Reports that show it.", |row| {
        Value::Count(row.reports)
    }),
    Column::new(
        "changes",
        "changes",
        Kind::List,
        Show::Spare(1, 12),
        "What differs from the policy before it; empty for the first.",
        |row| Value::list(&row.changes),
    ),
];

/// The totals.
pub static POLICY_TOTALS: &[Column<PolicyTotals>] = &[
    Column::total("domains", Kind::Count("domains"), "Domains with reports.", |totals| {
        Value::Count(totals.domains)
    }),
    Column::total("policies", Kind::Count("policies"), "Policies, one after another.", |totals| {
        Value::Count(totals.policies)
    }),
    Column::total("reports", Kind::Count("reports"), "Aggregate reports counted.", |totals| {
        Value::Count(totals.reports)
    }),
];
