//! The columns of every `report` view: names and order are the contract of docs/json-output.md.
//!
//! Long, because it is one table: a column a line of thought, and all views beside each other.

mod authentication;
mod bounce;
mod drill;
mod failure;
mod probe;
mod probe_views;
mod tls;
mod watched;

use std::borrow::Cow;

use crate::render::columns::{Column, Kind, Show};
use crate::render::value::{Object, Value};
use crate::summary::rows::{
    AuthResultRow, DomainRow, MessageRow, MessageSums, MessageTotals, RecordRow, RecordTotals, ReporterRow,
    SourceRow, SummaryRow, SummaryTotals,
};

pub use authentication::{AUTHENTICATION, AUTHENTICATION_TOTALS};
pub use bounce::{BOUNCE_LIST, BOUNCE_TOTALS, BOUNCES};
pub use drill::{DRILL, DRILL_TOTALS};
pub use failure::{COMPLAINT_TOTALS, COMPLAINTS, FAILURE_TOTALS, FAILURES};
pub use probe::{PROBE_TOTALS, PROBES};
pub use probe_views::{CONTINUITY, CONTINUITY_TOTALS, LATENCY, LATENCY_TOTALS, PROBE_COUNTS, PROBE_GROUPS};
pub use tls::{TLS, TLS_TOTALS};
pub use watched::{WATCHED, WATCHED_TOTALS};

/// Unit of sums of reported messages.
const MESSAGES: Kind = Kind::Count("messages");
/// Unit of numbers of reports.
const REPORTS: Kind = Kind::Count("reports");

/// `report summary`.
pub static SUMMARY: &[Column<SummaryRow>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Cut(16), "The policy domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new("reports", "reports", REPORTS, Show::Whole, "Aggregate reports counted.", |row| {
        Value::Count(row.sums.reports)
    }),
    Column::new("messages", "messages", MESSAGES, Show::Whole, "Messages as reported.", |row| {
        Value::Count(row.sums.messages)
    }),
    Column::new(
        "dmarc_pass",
        "pass",
        MESSAGES,
        Show::Whole,
        "Messages with SPF or DKIM aligned and passing.",
        |row| Value::Count(row.sums.dmarc_pass),
    ),
    Column::new("dmarc_fail", "fail", MESSAGES, Show::Whole, "Messages with neither.", |row| {
        Value::Count(row.sums.dmarc_fail)
    }),
    Column::new(
        "pass_percent",
        "pass %",
        Kind::Percent,
        Show::Whole,
        "`dmarc_pass` of `messages`; never 100.00 or 0.00 unless exactly so; null without messages.",
        |row| percent(&row.sums),
    ),
    Column::new(
        "spf_aligned",
        "spf",
        MESSAGES,
        Show::Spare(2, 0),
        "Messages with SPF aligned and passing.",
        |row| Value::Count(row.sums.spf_aligned),
    ),
    Column::new(
        "dkim_aligned",
        "dkim",
        MESSAGES,
        Show::Spare(3, 0),
        "Messages with DKIM aligned and passing.",
        |row| Value::Count(row.sums.dkim_aligned),
    ),
    Column::new("disposition_none", "none", MESSAGES, Show::Spare(6, 0), "Messages let through.", |row| {
        Value::Count(row.sums.disposition_none)
    }),
    Column::new(
        "disposition_quarantine",
        "quarant.",
        MESSAGES,
        Show::Spare(5, 0),
        "Messages quarantined.",
        |row| Value::Count(row.sums.disposition_quarantine),
    ),
    Column::new("disposition_reject", "reject", MESSAGES, Show::Spare(4, 0), "Messages rejected.", |row| {
        Value::Count(row.sums.disposition_reject)
    }),
    Column::new(
        "sources",
        "sources",
        Kind::Count("addresses"),
        Show::Spare(1, 0),
        "Different source addresses.",
        |row| Value::Count(row.sources),
    ),
    Column::new(
        "first",
        "first",
        Kind::Edge,
        Show::Spare(8, 0),
        "Begin of the first period reported.",
        |row| Value::period_begin(row.first),
    ),
    Column::new("last", "last", Kind::Edge, Show::Spare(7, 0), "End of the last period reported.", |row| {
        Value::period_end(row.first, row.last)
    }),
];

/// The totals of `summary`.
pub static SUMMARY_TOTALS: &[Column<SummaryTotals>] = &[
    Column::total("reports", REPORTS, "Aggregate reports counted.", |totals| {
        Value::Count(totals.sums.reports)
    }),
    Column::total("messages", MESSAGES, "Messages as reported.", |totals| Value::Count(totals.sums.messages)),
    Column::total("dmarc_pass", MESSAGES, "Messages with SPF or DKIM aligned and passing.", |totals| {
        Value::Count(totals.sums.dmarc_pass)
    }),
    Column::total("dmarc_fail", MESSAGES, "Messages with neither.", |totals| {
        Value::Count(totals.sums.dmarc_fail)
    }),
    Column::total(
        "pass_percent",
        Kind::Percent,
        "`dmarc_pass` of `messages`; null without messages.",
        |totals| percent(&totals.sums),
    ),
    Column::total("spf_aligned", MESSAGES, "Messages with SPF aligned and passing.", |totals| {
        Value::Count(totals.sums.spf_aligned)
    }),
    Column::total("dkim_aligned", MESSAGES, "Messages with DKIM aligned and passing.", |totals| {
        Value::Count(totals.sums.dkim_aligned)
    }),
    Column::total("disposition_none", MESSAGES, "Messages let through.", |totals| {
        Value::Count(totals.sums.disposition_none)
    }),
    Column::total("disposition_quarantine", MESSAGES, "Messages quarantined.", |totals| {
        Value::Count(totals.sums.disposition_quarantine)
    }),
    Column::total("disposition_reject", MESSAGES, "Messages rejected.", |totals| {
        Value::Count(totals.sums.disposition_reject)
    }),
    Column::total(
        "sources",
        Kind::Count("addresses"),
        "Different source addresses over all domains.",
        |totals| Value::Count(totals.sources),
    ),
];

/// The totals of `sources`, `domains` and `reporters`.
pub static SUMS: &[Column<MessageSums>] = &[
    Column::total("reports", REPORTS, "Aggregate reports counted.", |sums| Value::Count(sums.reports)),
    Column::total("messages", MESSAGES, "Messages as reported.", |sums| Value::Count(sums.messages)),
    Column::total("dmarc_pass", MESSAGES, "Messages with SPF or DKIM aligned and passing.", |sums| {
        Value::Count(sums.dmarc_pass)
    }),
    Column::total("dmarc_fail", MESSAGES, "Messages with neither.", |sums| Value::Count(sums.dmarc_fail)),
    Column::total(
        "pass_percent",
        Kind::Percent,
        "`dmarc_pass` of `messages`; null without messages.",
        percent,
    ),
    Column::total("spf_aligned", MESSAGES, "Messages with SPF aligned and passing.", |sums| {
        Value::Count(sums.spf_aligned)
    }),
    Column::total("dkim_aligned", MESSAGES, "Messages with DKIM aligned and passing.", |sums| {
        Value::Count(sums.dkim_aligned)
    }),
    Column::total("disposition_none", MESSAGES, "Messages let through.", |sums| {
        Value::Count(sums.disposition_none)
    }),
    Column::total("disposition_quarantine", MESSAGES, "Messages quarantined.", |sums| {
        Value::Count(sums.disposition_quarantine)
    }),
    Column::total("disposition_reject", MESSAGES, "Messages rejected.", |sums| {
        Value::Count(sums.disposition_reject)
    }),
];

/// `report sources`.
pub static SOURCES: &[Column<SourceRow>] = &[
    Column::new(
        "source_ip",
        "source",
        Kind::Text,
        Show::Whole,
        "The source address; the text in its place where it is none; null where there was nothing.",
        |row| Value::text(row.source_ip.as_deref()),
    ),
    Column::new(
        "source_name",
        "name",
        Kind::Text,
        Show::Never,
        "Its name in DNS, which leads back to it; null while not known: see `[sources] resolve` and `import --resolve`.",
        |row| Value::text(row.source_name.as_deref()),
    ),
    Column::new(
        "source_organisation",
        "organisation",
        Kind::Text,
        Show::Spare(4, 14),
        "Whose it is: of the table of senders, else the domain that passes; null where nothing tells.",
        |row| Value::text(row.source_organisation.as_deref()),
    ),
    Column::new(
        "source_country",
        "country",
        Kind::Text,
        Show::Spare(20, 0),
        "Its country, ISO 3166-1; null while not known: see `[sources] country_database`.",
        |row| Value::text(row.place.country.as_deref()),
    ),
    Column::new(
        "source_as_number",
        "as",
        Kind::Count("number"),
        Show::Never,
        "Number of the autonomous system that announces it; null while not known: see `[sources] network_database`.",
        |row| Value::count(row.place.as_number.map(u64::from)),
    ),
    Column::new(
        "source_as_name",
        "network",
        Kind::Text,
        Show::Spare(21, 14),
        "Name of that autonomous system.",
        |row| Value::text(row.place.as_name.as_deref()),
    ),
    Column::new("messages", "messages", MESSAGES, Show::Whole, "Messages as reported.", |row| {
        Value::Count(row.messages)
    }),
    Column::new(
        "dmarc_pass",
        "pass",
        MESSAGES,
        Show::Whole,
        "Messages with SPF or DKIM aligned and passing.",
        |row| Value::Count(row.dmarc_pass),
    ),
    Column::new("dmarc_fail", "fail", MESSAGES, Show::Whole, "Messages with neither.", |row| {
        Value::Count(row.dmarc_fail)
    }),
    Column::new(
        "spf_aligned",
        "spf",
        MESSAGES,
        Show::Spare(1, 0),
        "Messages with SPF aligned and passing.",
        |row| Value::Count(row.spf_aligned),
    ),
    Column::new(
        "dkim_aligned",
        "dkim",
        MESSAGES,
        Show::Spare(2, 0),
        "Messages with DKIM aligned and passing.",
        |row| Value::Count(row.dkim_aligned),
    ),
    Column::new(
        "spf_domains",
        "spf domains",
        Kind::List,
        Show::Spare(4, 12),
        "Domains for which raw SPF passed.",
        |row| Value::list(&row.spf_domains),
    ),
    Column::new(
        "dkim_domains",
        "dkim domains",
        Kind::List,
        Show::Spare(3, 12),
        "Domains for which raw DKIM passed.",
        |row| Value::list(&row.dkim_domains),
    ),
    Column::new(
        "first",
        "first",
        Kind::Edge,
        Show::Spare(6, 0),
        "Begin of the first period reported.",
        |row| Value::period_begin(row.first),
    ),
    Column::new("last", "last", Kind::Edge, Show::Spare(5, 0), "End of the last period reported.", |row| {
        Value::period_end(row.first, row.last)
    }),
    Column::new(
        "kind",
        "kind",
        Kind::Text,
        Show::Spare(6, 10),
        "`mail-provider`, `newsletter`, `transactional`, `crm`, `forwarder`, `mailing-list`, `security-gateway`, `hosting` or `own`; null where nothing tells.",
        |row| Value::text(row.kind),
    ),
    Column::new(
        "evidence",
        "evidence",
        Kind::List,
        Show::Never,
        "Why it is thought to be that, in words, the weightiest first.",
        |row| Value::list(&row.evidence),
    ),
];

/// `report domains`.
pub static DOMAINS: &[Column<DomainRow>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Cut(14), "The policy domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "header_from",
        "header from",
        Kind::Text,
        Show::Cut(14),
        "The author domain, or `other subdomains` beyond 200 a domain and day.",
        |row| Value::text(Some(&row.header_from)),
    ),
    Column::new("messages", "messages", MESSAGES, Show::Whole, "Messages as reported.", |row| {
        Value::Count(row.sums.messages)
    }),
    Column::new(
        "dmarc_pass",
        "pass",
        MESSAGES,
        Show::Whole,
        "Messages with SPF or DKIM aligned and passing.",
        |row| Value::Count(row.sums.dmarc_pass),
    ),
    Column::new("dmarc_fail", "fail", MESSAGES, Show::Whole, "Messages with neither.", |row| {
        Value::Count(row.sums.dmarc_fail)
    }),
    Column::new(
        "pass_percent",
        "pass %",
        Kind::Percent,
        Show::Whole,
        "`dmarc_pass` of `messages`; null without messages.",
        |row| percent(&row.sums),
    ),
    Column::new("disposition_none", "none", MESSAGES, Show::Spare(3, 0), "Messages let through.", |row| {
        Value::Count(row.sums.disposition_none)
    }),
    Column::new(
        "disposition_quarantine",
        "quarant.",
        MESSAGES,
        Show::Spare(2, 0),
        "Messages quarantined.",
        |row| Value::Count(row.sums.disposition_quarantine),
    ),
    Column::new("disposition_reject", "reject", MESSAGES, Show::Spare(1, 0), "Messages rejected.", |row| {
        Value::Count(row.sums.disposition_reject)
    }),
];

/// `report reporters`.
pub static REPORTERS: &[Column<ReporterRow>] = &[
    Column::new(
        "org_name",
        "reporter",
        Kind::Text,
        Show::Cut(16),
        "The reporter's name, as last written.",
        |row| Value::text(row.org_name.as_deref()),
    ),
    Column::new("email", "email", Kind::Text, Show::Spare(3, 14), "Its address, as last written.", |row| {
        Value::text(row.email.as_deref())
    }),
    Column::new("reports", "reports", REPORTS, Show::Whole, "Aggregate reports counted.", |row| {
        Value::Count(row.reports)
    }),
    Column::new("messages", "messages", MESSAGES, Show::Whole, "Messages as reported.", |row| {
        Value::Count(row.messages)
    }),
    Column::new(
        "dmarc_pass",
        "pass",
        MESSAGES,
        Show::Whole,
        "Messages with SPF or DKIM aligned and passing.",
        |row| Value::Count(row.dmarc_pass),
    ),
    Column::new("dmarc_fail", "fail", MESSAGES, Show::Whole, "Messages with neither.", |row| {
        Value::Count(row.dmarc_fail)
    }),
    Column::new(
        "tls_reports",
        "tls",
        REPORTS,
        Show::Spare(5, 0),
        "TLS reports counted, one a domain.",
        |row| Value::Count(row.tls_reports),
    ),
    Column::new(
        "failure_reports",
        "failures",
        REPORTS,
        Show::Spare(6, 0),
        "Failure reports and complaints counted.",
        |row| Value::Count(row.failure_reports),
    ),
    Column::new(
        "deviations",
        "deviations",
        Kind::Objects("`name`; `reports`: how many have it"),
        Show::Spare(4, 14),
        "How its reports differ from the standard.",
        |row| Value::Objects(row.deviations.iter().map(deviation).collect()),
    ),
    Column::new(
        "first",
        "first",
        Kind::Edge,
        Show::Spare(2, 0),
        "Begin of the first period reported.",
        |row| Value::period_begin(row.first),
    ),
    Column::new("last", "last", Kind::Edge, Show::Spare(1, 0), "End of the last period reported.", |row| {
        Value::period_end(row.first, row.last)
    }),
];

/// `report records`.
pub static RECORDS: &[Column<RecordRow>] = &[
    Column::new("org_name", "reporter", Kind::Text, Show::Cut(12), "The reporter's name.", |row| {
        Value::text(row.org_name.as_deref())
    }),
    Column::new(
        "report_id",
        "report id",
        Kind::Text,
        Show::Spare(9, 12),
        "The report's id, as written.",
        |row| Value::text(Some(&row.report_id)),
    ),
    Column::new("begin", "begin", Kind::Edge, Show::Spare(1, 0), "Begin of the report's period.", |row| {
        Value::period_begin(Some(row.begin))
    }),
    Column::new(
        "end",
        "end",
        Kind::Edge,
        Show::Spare(10, 0),
        "End of the report's period, as written.",
        |row| Value::period_end(Some(row.begin), Some(row.end)),
    ),
    Column::new("domain", "domain", Kind::Text, Show::Spare(7, 12), "The policy domain.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "source_ip",
        "source",
        Kind::Text,
        Show::Whole,
        "The source address, or the text in its place.",
        |row| Value::text(row.source_ip.as_deref()),
    ),
    Column::new(
        "count",
        "count",
        MESSAGES,
        Show::Whole,
        "Messages; null where the count could not be read.",
        |row| Value::count(row.count),
    ),
    Column::new(
        "disposition",
        "disposition",
        Kind::Text,
        Show::Spare(2, 0),
        "`policy_evaluated/disposition`, as written.",
        |row| Value::text(row.disposition.as_deref()),
    ),
    Column::new(
        "dkim",
        "dkim",
        Kind::Text,
        Show::Spare(3, 0),
        "`policy_evaluated/dkim`: aligned DKIM, as written.",
        |row| Value::text(row.dkim.as_deref()),
    ),
    Column::new(
        "spf",
        "spf",
        Kind::Text,
        Show::Spare(4, 0),
        "`policy_evaluated/spf`: aligned SPF, as written.",
        |row| Value::text(row.spf.as_deref()),
    ),
    Column::new("header_from", "header from", Kind::Text, Show::Cut(12), "The author domain.", |row| {
        Value::text(Some(&row.header_from))
    }),
    Column::new(
        "envelope_from",
        "envelope from",
        Kind::Text,
        Show::Spare(11, 0),
        "The domain of the reverse-path.",
        |row| Value::text(row.envelope_from.as_deref()),
    ),
    Column::new(
        "envelope_to",
        "envelope to",
        Kind::Text,
        Show::Spare(12, 0),
        "The domain of the recipient.",
        |row| Value::text(row.envelope_to.as_deref()),
    ),
    Column::new(
        "reasons",
        "reasons",
        Kind::Objects("`type`, `comment`"),
        Show::Spare(8, 10),
        "Why the reporter did not follow the policy.",
        |row| Value::Objects(row.reasons.iter().map(reason).collect()),
    ),
    Column::new(
        "auth_results",
        "results",
        Kind::Objects(
            "`method` (dkim, spf), `domain`, `selector`, `scope`, `result`, `written` (null if as `result`)",
        ),
        Show::Spare(6, 20),
        "Raw results, before alignment.",
        |row| Value::Objects(row.auth_results.iter().map(auth_result).collect()),
    ),
];

/// The totals of `records`.
pub static RECORD_TOTALS: &[Column<RecordTotals>] = &[
    Column::total("records", Kind::Count("records"), "Records.", |totals| Value::Count(totals.records)),
    Column::total("count", MESSAGES, "Messages in them.", |totals| Value::Count(totals.count)),
];

/// `report messages`.
pub static MESSAGES_RECEIVED: &[Column<MessageRow>] = &[
    Column::new("id", "id", Kind::Text, Show::Whole, "The id, as in the SMTP reply.", |row| {
        Value::text(Some(&row.id))
    }),
    Column::new("received_at", "received", Kind::Instant, Show::Whole, "When it came.", |row| {
        Value::Instant(row.received_at)
    }),
    Column::new("origin", "origin", Kind::Text, Show::Spare(5, 0), "`smtp`, `import` or `mailbox`.", |row| {
        Value::text(Some(&row.origin))
    }),
    Column::new(
        "kind",
        "kind",
        Kind::Text,
        Show::Whole,
        "`aggregate`, `failure` (also complaints), `tls`, `bounce` (any notice of a mail system, also of a delay), `probe`, \
         `reply` or `other`; null while pending.",
        |row| Value::text(row.kind.as_deref()),
    ),
    Column::new(
        "status",
        "status",
        Kind::Text,
        Show::Whole,
        "`pending`, `read`, `duplicate`, `unread` or `kept`.",
        |row| Value::text(Some(&row.status)),
    ),
    Column::new(
        "reason",
        "reason",
        Kind::Text,
        Show::Spare(2, 16),
        "Why it has this status, and why its reports do not count.",
        |row| Value::text(row.reason.as_deref()),
    ),
    Column::new(
        "deviations",
        "deviations",
        Kind::List,
        Show::Spare(8, 12),
        "Names of what differs from the standards.",
        |row| Value::list(&row.deviations),
    ),
    Column::new(
        "peer_ip",
        "peer",
        Kind::Text,
        Show::Spare(4, 0),
        "The address that brought it, to us or to our relay; null where nothing proves one, as for imported mail.",
        |row| Value::text(row.peer_ip.as_deref()),
    ),
    Column::new(
        "peer_source",
        "peer by",
        Kind::Text,
        Show::Never,
        "What proves `peer_ip`: `connection`, `proxy`, `xforward` or `received`; null with it.",
        |row| Value::text(row.peer_source.as_deref()),
    ),
    Column::new(
        "relay_ip",
        "relay",
        Kind::Text,
        Show::Never,
        "The trusted relay that handed it over; null if the peer did.",
        |row| Value::text(row.relay_ip.as_deref()),
    ),
    Column::new("helo", "helo", Kind::Text, Show::Spare(11, 12), "The name that it gave.", |row| {
        Value::text(row.helo.as_deref())
    }),
    Column::new(
        "tls_version",
        "tls",
        Kind::Text,
        Show::Spare(10, 0),
        "`TLSv1.2` or `TLSv1.3`; null without TLS.",
        |row| Value::text(row.tls_version.as_deref()),
    ),
    Column::new(
        "mail_from",
        "mail from",
        Kind::Text,
        Show::Spare(3, 14),
        "The reverse-path; `<>` is the null one; null if not known.",
        |row| Value::text(row.mail_from.as_deref()),
    ),
    Column::new("rcpt_to", "rcpt to", Kind::List, Show::Spare(6, 14), "The recipients.", |row| {
        Value::list(&row.rcpt_to)
    }),
    Column::new(
        "message_id",
        "message-id",
        Kind::Text,
        Show::Spare(12, 14),
        "The Message-ID field.",
        |row| Value::text(row.message_id.as_deref()),
    ),
    Column::new(
        "header_from",
        "author",
        Kind::Text,
        Show::Spare(13, 14),
        "The address in the From field.",
        |row| Value::text(row.header_from.as_deref()),
    ),
    Column::new("subject", "subject", Kind::Text, Show::Spare(1, 12), "The Subject field.", |row| {
        Value::text(row.subject.as_deref())
    }),
    Column::new(
        "size_bytes",
        "bytes",
        Kind::Count("bytes"),
        Show::Spare(7, 0),
        "Its size as received.",
        |row| Value::Count(row.size_bytes),
    ),
    Column::new(
        "trust",
        "trust",
        Kind::Text,
        Show::Spare(9, 0),
        "How far its reports can be believed: `verified`, `imported`, `unverified`, `pending` or `failed`; null while it was \
         never read.",
        |row| Value::text(row.trust.as_deref()),
    ),
];

/// The totals of `messages`.
pub static MESSAGE_TOTALS: &[Column<MessageTotals>] = &[
    Column::total("messages", Kind::Count("mails"), "Mails received.", |totals| {
        Value::Count(totals.messages)
    }),
    Column::total("pending", Kind::Count("mails"), "Not read yet.", |totals| Value::Count(totals.pending)),
    Column::total("read", Kind::Count("mails"), "Read.", |totals| Value::Count(totals.read)),
    Column::total("duplicate", Kind::Count("mails"), "Copies of what was read before.", |totals| {
        Value::Count(totals.duplicate)
    }),
    Column::total("unread", Kind::Count("mails"), "Meant as a report and not readable.", |totals| {
        Value::Count(totals.unread)
    }),
    Column::total("kept", Kind::Count("mails"), "Letters and other mail that is kept as it is.", |totals| {
        Value::Count(totals.kept)
    }),
    Column::total("size_bytes", Kind::Count("bytes"), "Their size together.", |totals| {
        Value::Count(totals.size_bytes)
    }),
];

// ---- Parts ----

/// The pass rate of sums.
fn percent<'a>(sums: &MessageSums) -> Value<'a> {
    Value::Percent { part: sums.dmarc_pass, whole: sums.messages }
}

/// One deviation of a reporter.
fn deviation((name, reports): &(String, u64)) -> Object<'_> {
    Object {
        text: format!("{name} ({reports})"),
        fields: vec![("name", Value::Text(Cow::Borrowed(name))), ("reports", Value::Count(*reports))],
    }
}

/// One override reason.
fn reason((kind, comment): &(String, Option<String>)) -> Object<'_> {
    Object {
        text: comment.as_ref().map_or_else(|| kind.clone(), |comment| format!("{kind}: {comment}")),
        fields: vec![
            ("type", Value::Text(Cow::Borrowed(kind))),
            ("comment", Value::text(comment.as_deref())),
        ],
    }
}

/// One raw result: `dkim=pass example.com s1`.
fn auth_result(result: &AuthResultRow) -> Object<'_> {
    let mut text = format!("{}={}", result.method, result.result);
    for part in [&result.domain, &result.selector, &result.scope].into_iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    Object {
        text,
        fields: vec![
            ("method", Value::Text(Cow::Borrowed(result.method))),
            ("domain", Value::text(result.domain.as_deref())),
            ("selector", Value::text(result.selector.as_deref())),
            ("scope", Value::text(result.scope.as_deref())),
            ("result", Value::Text(Cow::Borrowed(&result.result))),
            ("written", Value::text(result.written.as_deref())),
        ],
    }
}
