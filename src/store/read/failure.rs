//! Failure reports and complaints as they are shown: without persons.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use super::super::{StoreError, source};
use super::message::{count, strings};
use super::scope::{self, Range, ReportKind, Scope, SortKey};
use crate::clock::Timestamp;
use crate::mail::{DomainName, MessageId};
use crate::reports::failure::ShownFailure;
use crate::summary::{Answer, ComplaintRow, ComplaintTotals, FailureRow, FailureTotals, Query, Trust};

const ROWS: &str = "SELECT q.message_id, q.seq, q.received_at_ms, q.trust, d.name, q.day, q.form, q.feedback_type, q.reporter,
    q.reporting_mta, q.user_agent, q.version, q.arrived_at, q.incidents, q.source, q.source_host, q.source_port,
    q.reported_domains, q.header_from, q.auth_failure, q.delivery_result, q.delivery_written,
    q.identity_alignment, q.spf_aligned, q.dkim_aligned, q.dkim_domain, q.dkim_selector, q.dkim_identity,
    q.spf_dns, q.mail_from, q.rcpt_to, q.authentication_results, q.reported_uris, q.extensions,
    q.is_headers_only, q.original_from, q.original_to, q.original_subject, q.original_message_id,
    q.original_date, q.original_signatures, q.campaign, q.deviations
    FROM failure_report AS q JOIN domain AS d ON d.domain_id = q.domain_id
    WHERE q.status = 'counted' AND q.day >= $1 AND q.day <= $2
    AND ($3 IS NULL OR d.name = $3 OR d.name LIKE $4 ESCAPE '!') AND ($5 IS NULL OR q.source = $5)
    AND ($6 IS NULL OR q.reporter LIKE $6 ESCAPE '!')
    AND ($7 IS NULL OR q.feedback_type = $7 OR q.auth_failure = $7 OR q.delivery_result = $7)
    AND (q.is_authentication = $8 OR q.feedback_type = $7)
    ORDER BY COALESCE(q.arrived_at, q.received_at_ms / 1000) DESC, q.message_id DESC, q.seq";
const VOLUME: &str = "SELECT COALESCE(SUM(u.messages), 0) FROM rollup AS u
    WHERE u.domain_id = (SELECT domain_id FROM domain WHERE name = $1) AND u.day >= $2 AND u.day <= $3
    AND ($4 = 0 OR u.trust = 'verified')";

/// Hands every row that was asked for to `each`, the newest first.
fn stream(
    connection: &Connection,
    query: &Query,
    is_authentication: bool,
    mut each: impl FnMut(FailureRow),
) -> Result<(), StoreError> {
    let domain = query.domain.as_ref().map(DomainName::as_str);
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query((
        query.period.first_day().map_or(i32::MIN, |day| day.0),
        query.period.last_day().map_or(i32::MAX, |day| day.0),
        domain,
        domain.map(scope::below_pattern),
        query.source.as_deref().map(source::of_text),
        query.reporter.as_deref().map(scope::holds_pattern),
        query.result.as_deref(),
        is_authentication,
    ))?;
    while let Some(row) = rows.next()? {
        each(FailureRow {
            id: MessageId(row.get(0)?).to_string(),
            seq: count(row.get(1)?),
            received_at: Timestamp::from_ms(row.get(2)?),
            trust: row.get(3)?,
            domain: row.get::<_, Option<String>>(4)?.filter(|name| !name.is_empty()),
            shown: shown(row)?,
        });
    }
    Ok(())
}

/// Reads what is shown of a report.
fn shown(row: &Row<'_>) -> Result<ShownFailure, StoreError> {
    Ok(ShownFailure {
        is_revealed: false,
        form: row.get(6)?,
        feedback_type: row.get(7)?,
        reporter: row.get(8)?,
        reporting_mta: row.get(9)?,
        user_agent: row.get(10)?,
        version: row.get(11)?,
        arrived_at: row.get(12)?,
        incidents: count(row.get(13)?),
        source_ip: row.get_ref(14)?.as_blob_or_null()?.map(source::read_text),
        source_host: row.get(15)?,
        source_port: row.get(16)?,
        reported_domains: strings(row.get_ref(17)?.as_str()?),
        header_from: row.get(18)?,
        auth_failure: row.get(19)?,
        delivery_result: row.get(20)?,
        delivery_written: row.get(21)?,
        identity_alignment: strings(row.get_ref(22)?.as_str()?),
        spf_aligned: row.get(23)?,
        dkim_aligned: row.get(24)?,
        dkim_domain: row.get(25)?,
        dkim_selector: row.get(26)?,
        dkim_identity: row.get(27)?,
        spf_dns: strings(row.get_ref(28)?.as_str()?),
        mail_from: row.get(29)?,
        rcpt_to: strings(row.get_ref(30)?.as_str()?),
        authentication_results: strings(row.get_ref(31)?.as_str()?),
        reported_uris: strings(row.get_ref(32)?.as_str()?),
        extensions: strings(row.get_ref(33)?.as_str()?),
        is_headers_only: row.get(34)?,
        original_from: row.get(35)?,
        original_to: row.get(36)?,
        original_subject: row.get(37)?,
        original_message_id: row.get(38)?,
        original_date: row.get(39)?,
        original_signatures: strings(row.get_ref(40)?.as_str()?),
        campaign: row.get(41)?,
        deviations: strings(row.get_ref(42)?.as_str()?),
    })
}

/// See [`super::Reader::failures`].
pub(super) fn failures(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<FailureRow, FailureTotals>, StoreError> {
    let limit = query.limit.unwrap_or(crate::limits::ANSWER_ROWS);
    let mut rows: Vec<FailureRow> = Vec::new();
    let mut totals = FailureTotals::default();
    let mut range = Range::default();
    let scope = Scope::of(connection, &Query { result: None, ..query.clone() })?;
    let mut trust = scope.shares(connection, "reports", &[ReportKind::Failure])?;
    stream(connection, query, true, |row| {
        if !trust.add(Trust::parse(&row.trust).unwrap_or(Trust::Pending), 1) {
            return;
        }
        totals.reports += 1;
        totals.incidents = totals.incidents.saturating_add(row.shown.incidents);
        let at = row.shown.arrived_at.unwrap_or_else(|| row.received_at.seconds());
        range.add(at, at);
        if query.sort.is_none() && rows.len() >= limit {
            return;
        }
        rows.push(row);
        if query.sort.is_some() && rows.len() >= limit.saturating_mul(2).max(1_000) {
            scope::sort(&mut rows, query, key_of);
            rows.truncate(limit);
        }
    })?;
    scope::sort(&mut rows, query, key_of);
    rows.truncate(limit);
    let cut = totals.reports.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    let notes = scope.notes_on_mail(connection)?;
    let trust = Some(trust);
    Ok(Answer { rows, totals, first: range.first(), last: range.last(), trust, cut, notes })
}

/// What a column is sorted by.
fn key_of(row: &FailureRow, column: &str) -> Option<SortKey> {
    let shown = &row.shown;
    Some(match column {
        "id" => SortKey::from(row.id.as_str()),
        "received_at" => row.received_at.into(),
        "domain" => SortKey::from(&row.domain),
        "trust" => SortKey::from(row.trust.as_str()),
        "form" => SortKey::from(shown.form.as_str()),
        "feedback_type" => SortKey::from(shown.feedback_type.as_str()),
        "reporter" => SortKey::from(&shown.reporter),
        "reporting_mta" => SortKey::from(&shown.reporting_mta),
        "user_agent" => SortKey::from(&shown.user_agent),
        "version" => SortKey::from(&shown.version),
        "arrived_at" => shown.arrived_at.map(Timestamp::from_seconds).into(),
        "incidents" => shown.incidents.into(),
        "source_ip" => SortKey::from(&shown.source_ip),
        "source_host" => SortKey::from(&shown.source_host),
        "source_port" => shown.source_port.map(u64::from).into(),
        "reported_domains" => SortKey::List(shown.reported_domains.clone()),
        "header_from" => SortKey::from(&shown.header_from),
        "auth_failure" => SortKey::from(shown.auth_failure.as_str()),
        "delivery_result" => SortKey::from(shown.delivery_result.as_str()),
        "delivery_written" => SortKey::from(&shown.delivery_written),
        "identity_alignment" => SortKey::List(shown.identity_alignment.clone()),
        "spf_aligned" => shown.spf_aligned.map(u64::from).into(),
        "dkim_aligned" => shown.dkim_aligned.map(u64::from).into(),
        "dkim_domain" => SortKey::from(&shown.dkim_domain),
        "dkim_selector" => SortKey::from(&shown.dkim_selector),
        "dkim_identity" => SortKey::from(&shown.dkim_identity),
        "spf_dns" => SortKey::List(shown.spf_dns.clone()),
        "mail_from" => SortKey::from(&shown.mail_from),
        "rcpt_to" => SortKey::List(shown.rcpt_to.clone()),
        "authentication_results" => SortKey::List(shown.authentication_results.clone()),
        "reported_uris" => SortKey::List(shown.reported_uris.clone()),
        "extensions" => SortKey::List(shown.extensions.clone()),
        "is_headers_only" => shown.is_headers_only.map(u64::from).into(),
        "original_from" => SortKey::from(&shown.original_from),
        "original_to" => SortKey::from(&shown.original_to),
        "original_subject" => SortKey::from(&shown.original_subject),
        "original_message_id" => SortKey::from(&shown.original_message_id),
        "original_date" => shown.original_date.map(Timestamp::from_seconds).into(),
        "original_signatures" => SortKey::List(shown.original_signatures.clone()),
        "campaign" => SortKey::from(&shown.campaign),
        "deviations" => SortKey::List(shown.deviations.clone()),
        _ => return None,
    })
}

// ---- Complaints ----

/// What complaints are grouped by: domain, type, source, signing domain, campaign.
type Group = (Option<String>, String, Option<String>, Option<String>, Option<String>);

/// See [`super::Reader::complaints`].
pub(super) fn complaints(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<ComplaintRow, ComplaintTotals>, StoreError> {
    let mut groups: BTreeMap<Group, (u64, Range)> = BTreeMap::new();
    let mut of_domains: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut range = Range::default();
    let scope = Scope::of(connection, &Query { result: None, ..query.clone() })?;
    let mut trust = scope.shares(connection, "complaints", &[ReportKind::Failure])?;
    stream(connection, query, false, |row| {
        // Somebody who says that it is no spam complains of nothing.
        let counted = if row.shown.feedback_type == "not-spam" { 0 } else { row.shown.incidents };
        if !trust.add(Trust::parse(&row.trust).unwrap_or(Trust::Pending), counted) {
            return;
        }
        let shown = row.shown;
        let at = shown.arrived_at.unwrap_or_else(|| row.received_at.seconds());
        range.add(at, at);
        let of_signature =
            |name: &String| name.split_once("._domainkey.").map(|(_, domain)| domain.to_owned());
        let signer = shown.dkim_domain.or_else(|| shown.original_signatures.first().and_then(of_signature));
        *of_domains.entry(row.domain.clone()).or_default() += counted;
        let group = (row.domain, shown.feedback_type, shown.source_ip, signer, shown.campaign);
        let entry = groups.entry(group).or_default();
        entry.0 = entry.0.saturating_add(shown.incidents);
        entry.1.add(at, at);
    })?;
    let first_day = query.period.first_day().map_or(i32::MIN, |day| day.0);
    let last_day = query.period.last_day().map_or(i32::MAX, |day| day.0);
    let mut volumes: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for domain in of_domains.keys() {
        let name = domain.as_deref().unwrap_or_default();
        let row = (name, first_day, last_day, scope.is_verified_only());
        let messages: i64 = connection.prepare_cached(VOLUME)?.query_row(row, |row| row.get(0))?;
        volumes.insert(domain.clone(), count(messages));
    }
    let totals = ComplaintTotals { complaints: of_domains.values().sum(), messages: volumes.values().sum() };
    let mut rows: Vec<ComplaintRow> = groups
        .into_iter()
        .map(|((domain, feedback_type, source_ip, dkim_domain, campaign), (complaints, range))| {
            ComplaintRow {
                messages: volumes.get(&domain).copied().unwrap_or(0),
                domain_complaints: of_domains.get(&domain).copied().unwrap_or(0),
                domain,
                feedback_type,
                source_ip,
                dkim_domain,
                campaign,
                complaints,
                first: range.first(),
                last: range.last(),
            }
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.complaints));
    scope::sort(&mut rows, query, complaint_key);
    let cut = scope::cut(&mut rows, query);
    let trust = Some(trust);
    Ok(Answer { rows, totals, first: range.first(), last: range.last(), trust, cut, notes: Vec::new() })
}

/// What a column is sorted by.
fn complaint_key(row: &ComplaintRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "domain" => SortKey::from(&row.domain),
        "feedback_type" => SortKey::from(row.feedback_type.as_str()),
        "source_ip" => SortKey::from(&row.source_ip),
        "dkim_domain" => SortKey::from(&row.dkim_domain),
        "campaign" => SortKey::from(&row.campaign),
        "complaints" => row.complaints.into(),
        "messages" => row.messages.into(),
        "complaint_percent" | "mark" => SortKey::Number(i128::from(row.rate_per_million().unwrap_or(0))),
        "first" => row.first.into(),
        "last" => row.last.into(),
        _ => return None,
    })
}
