//! The columns of `dns history` and `dns watch`.

use crate::dns_health::finding::{Finding, RecordToPublish};
use crate::dns_health::report::{Grade, Health};
use crate::render::{Column, Kind, Show, Value};
use crate::summary::{DnsEventRow, DnsFindingRow, DnsRecordRow};

/// A row an event.
pub static DNS_EVENTS: &[Column<DnsEventRow>] = &[
    Column::new("at", "at", Kind::Instant, Show::Whole, "When a check saw it.", |row| {
        Value::instant(Some(row.at))
    }),
    Column::new("domain", "domain", Kind::Text, Show::Spare(2, 16), "The watched domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "happening",
        "what",
        Kind::Text,
        Show::Whole,
        "`appeared`, `changed`, `lost`, `varies`, `security-changed`, `not-answering` or `answering` of records; `found` or `mended` of findings.",
        |row| Value::text(Some(&row.happening)),
    ),
    Column::new(
        "name",
        "name",
        Kind::Text,
        Show::Cut(20),
        "The name asked for, or the subject of a finding.",
        |row| Value::text(Some(&row.name)),
    ),
    Column::new(
        "about",
        "of",
        Kind::Text,
        Show::Whole,
        "The record type, or the code of a finding.",
        |row| Value::text(Some(&row.about)),
    ),
    Column::new(
        "before",
        "before",
        Kind::List,
        Show::Cut(16),
        "Records, DNSSEC state, trouble or evidence before.",
        |row| Value::list(&row.before),
    ),
    Column::new("after", "after", Kind::List, Show::Cut(16), "The same after it.", |row| {
        Value::list(&row.after)
    }),
];

/// A row a question.
pub static DNS_RECORDS: &[Column<DnsRecordRow>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Spare(2, 16), "The watched domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new("name", "name", Kind::Text, Show::Cut(24), "The name asked for.", |row| {
        Value::text(Some(&row.name))
    }),
    Column::new("type", "type", Kind::Text, Show::Whole, "The record type.", |row| {
        Value::text(Some(&row.record_type))
    }),
    Column::new(
        "state",
        "state",
        Kind::Text,
        Show::Whole,
        "`records`, `no-name` or `no-type`; null where it was never known.",
        |row| Value::text(row.state.as_deref()),
    ),
    Column::new(
        "records",
        "records",
        Kind::List,
        Show::Cut(24),
        "The records, as a zone file writes them.",
        |row| Value::list(&row.records),
    ),
    Column::new(
        "security",
        "dnssec",
        Kind::Text,
        Show::Spare(3, 0),
        "What DNSSEC said last: `secure`, `insecure`, `bogus` or `not-known`.",
        |row| Value::text(Some(&row.security)),
    ),
    Column::new("since", "since", Kind::Instant, Show::Spare(4, 0), "Since when it is so.", |row| {
        Value::instant(Some(row.since))
    }),
    Column::new(
        "confirmed",
        "confirmed",
        Kind::Instant,
        Show::Spare(5, 0),
        "When a check saw it last.",
        |row| Value::instant(Some(row.confirmed)),
    ),
    Column::new(
        "trouble",
        "trouble",
        Kind::Text,
        Show::Spare(1, 0),
        "Why nobody answers; null where somebody does.",
        |row| Value::text(row.trouble.as_deref()),
    ),
    Column::new("trouble_since", "trouble since", Kind::Instant, Show::Never, "Since when.", |row| {
        Value::instant(row.trouble_since)
    }),
];

/// A row a finding.
pub static DNS_FINDINGS: &[Column<DnsFindingRow>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Spare(2, 16), "The watched domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "severity",
        "severity",
        Kind::Text,
        Show::Whole,
        "`critical`, `error`, `warning`, `note` or `info`.",
        |row| Value::text(Some(&row.severity)),
    ),
    Column::new("code", "code", Kind::Text, Show::Whole, "The stable code, docs/health-checks.md.", |row| {
        Value::text(Some(&row.code))
    }),
    Column::new(
        "subject",
        "subject",
        Kind::Text,
        Show::Cut(20),
        "The name, host or record that it is about.",
        |row| Value::text(Some(&row.subject)),
    ),
    Column::new("evidence", "evidence", Kind::Text, Show::Cut(24), "What was seen.", |row| {
        Value::text(Some(&row.evidence))
    }),
    Column::new(
        "mend",
        "mend",
        Kind::Text,
        Show::Spare(1, 24),
        "What to do; null where there is nothing to do.",
        |row| Value::text(Some(row.mend.as_str()).filter(|mend| !mend.is_empty())),
    ),
    Column::new("first", "since", Kind::Instant, Show::Whole, "When a check found it first.", |row| {
        Value::instant(Some(row.first))
    }),
    Column::new("last", "last", Kind::Instant, Show::Never, "When a check found it last.", |row| {
        Value::instant(Some(row.last))
    }),
];

/// One finding of `dns check`, with the domain that it is of.
#[derive(Debug, Clone)]
pub struct HealthFinding {
    /// The domain.
    pub domain: String,
    /// Its grade; absent: too much is not known.
    pub grade: Option<&'static str>,
    /// What was found; absent: nothing.
    pub finding: Option<Finding>,
}

/// The rows of one domain: one for each finding, or one that says that nothing was found.
pub fn health_rows(health: &Health) -> Vec<HealthFinding> {
    let row = |finding: Option<Finding>| HealthFinding {
        domain: health.domain.as_str().to_owned(),
        grade: health.grade.map(Grade::as_str),
        finding,
    };
    if health.findings.is_empty() {
        return vec![row(None)];
    }
    health.findings.iter().map(|finding| row(Some(finding.clone()))).collect()
}

/// Totals of `dns check`.
#[derive(Debug, Clone, Copy, Default)]
pub struct HealthTotals {
    domains: u64,
    findings: u64,
    passed: u64,
    not_known: u64,
}

impl HealthTotals {
    /// Adds those of others.
    pub fn add(&mut self, other: &Self) {
        self.domains += other.domains;
        self.findings += other.findings;
        self.passed += other.passed;
        self.not_known += other.not_known;
    }

    /// Sums over all domains.
    pub fn of(all: &[Health]) -> Self {
        let mut totals = Self::default();
        for health in all {
            totals.domains += 1;
            totals.findings += health.count("finding");
            totals.passed += health.count("pass");
            totals.not_known += health.count("not-known");
        }
        totals
    }
}

/// A text of a finding as a cell.
fn of_finding(row: &HealthFinding, text: for<'f> fn(&'f Finding) -> &'f str) -> Value<'_> {
    Value::text(row.finding.as_ref().map(text))
}

/// A text of the record to publish, if there is one.
fn of_record(row: &HealthFinding, text: for<'f> fn(&'f RecordToPublish) -> &'f str) -> Value<'_> {
    Value::text(row.finding.as_ref().and_then(|finding| finding.publish.as_ref()).map(text))
}

/// A row a finding.
pub static HEALTH_FINDINGS: &[Column<HealthFinding>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Whole, "The domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "grade",
        "grade",
        Kind::Text,
        Show::Whole,
        "Its grade, A to F; null where too much is not known.",
        |row| Value::text(row.grade),
    ),
    Column::new(
        "severity",
        "severity",
        Kind::Text,
        Show::Whole,
        "`critical`, `error`, `warning`, `note` or `info`; null where nothing was found.",
        |row| of_finding(row, |finding| finding.severity.as_str()),
    ),
    Column::new("code", "code", Kind::Text, Show::Whole, "The stable code.", |row| {
        of_finding(row, |finding| finding.code.code)
    }),
    Column::new(
        "subject",
        "subject",
        Kind::Text,
        Show::Cut(20),
        "The name, host or record that it is about.",
        |row| of_finding(row, |finding| &finding.subject),
    ),
    Column::new("evidence", "evidence", Kind::Text, Show::Cut(24), "What was seen.", |row| {
        of_finding(row, |finding| &finding.evidence)
    }),
    Column::new("standard", "standard", Kind::Text, Show::Never, "The standards' sections.", |row| {
        of_finding(row, |finding| finding.code.standard)
    }),
    Column::new(
        "mend",
        "mend",
        Kind::Text,
        Show::Cut(24),
        "What to do; null where there is nothing to do.",
        |row| {
            let finding = row.finding.as_ref().filter(|finding| !finding.mend.is_empty());
            Value::text(finding.map(|finding| finding.mend.as_str()))
        },
    ),
    Column::new(
        "publish_name",
        "publish",
        Kind::Text,
        Show::Never,
        "The name of the record to publish; null where there is none.",
        |row| of_record(row, |record| record.name.as_str()),
    ),
    Column::new("publish_type", "type", Kind::Text, Show::Never, "Its type.", |row| {
        of_record(row, |record| record.record_type.as_str())
    }),
    Column::new(
        "publish_value",
        "value",
        Kind::Text,
        Show::Never,
        "Its data, as a zone file writes it.",
        |row| of_record(row, |record| record.value.as_str()),
    ),
];

/// The totals.
pub static HEALTH_TOTALS: &[Column<HealthTotals>] = &[
    Column::total("domains", Kind::Count("domains"), "Domains checked.", |totals| {
        Value::Count(totals.domains)
    }),
    Column::total("findings", Kind::Count("findings"), "Findings of all.", |totals| {
        Value::Count(totals.findings)
    }),
    Column::total("passed", Kind::Count("checks"), "Checks that found nothing.", |totals| {
        Value::Count(totals.passed)
    }),
    Column::total("not_known", Kind::Count("checks"), "Checks that nobody answered.", |totals| {
        Value::Count(totals.not_known)
    }),
];
