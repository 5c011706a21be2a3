//! Failure reports and other feedback: rows without persons, each counted once.
//!
//! The same report in another mail (or the same mail again) is a duplicate: it has the same values and quotes the
//! same message. What identifies persons never reaches this module.

use ring::digest;
use rusqlite::OptionalExtension;

use super::aggregate::Origin;
use super::writer::Work;
use super::{MessageId, Outcome, ReadFailure, StoreError, intern, record, source};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::DomainName;

const INSERT: &str = "INSERT INTO failure_report (
    domain_id, day, failure_id, status, duplicate_of, message_id, seq, place, received_at_ms, trust,
    content_sha256, parser_version, is_authentication, form, feedback_type, reporter, reporting_mta, user_agent,
    version, arrived_at, incidents, source, source_host, source_port, reported_domains, header_from,
    auth_failure, delivery_result, delivery_written, identity_alignment, spf_aligned, dkim_aligned, dkim_domain,
    dkim_selector, dkim_identity, spf_dns, mail_from, rcpt_to, authentication_results, reported_uris,
    extensions, is_headers_only, original_from, original_to, original_subject, original_message_id,
    original_date, original_signatures, campaign, deviations)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
    $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44,
    $45, $46, $47, $48, $49, $50)";
const SAME: &str = "SELECT message_id FROM failure_report
    WHERE content_sha256 = $1 AND +domain_id = $2 AND status = 'counted'";
const OF_MESSAGE: &str = "SELECT domain_id, content_sha256 FROM failure_report WHERE message_id = $1";
const DELETE: &str = "DELETE FROM failure_report WHERE message_id = $1";
const COPIES: &str = "SELECT message_id FROM failure_report
    WHERE content_sha256 = $1 AND +domain_id = $2 AND status = 'duplicate'";

/// What makes two reports the same report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    domain_id: i64,
    content: Vec<u8>,
}

/// Bytes that a waiting report takes in memory, roughly.
pub(super) fn memory_bytes(read: &ReadFailure) -> usize {
    let shown = &read.shown;
    let lists = [
        &shown.spf_dns,
        &shown.rcpt_to,
        &shown.authentication_results,
        &shown.reported_uris,
        &shown.extensions,
    ];
    4_096 + lists.into_iter().flatten().map(String::len).sum::<usize>()
}

/// Stores one report.
pub(super) fn store(
    work: &mut Work<'_>,
    origin: &Origin,
    seq: i64,
    read: &ReadFailure,
) -> Result<Outcome, StoreError> {
    let domain_id = intern::domain(work, read.domain.as_ref().map_or("", DomainName::as_str))?;
    let same: Option<i64> = work
        .connection
        .prepare_cached(SAME)?
        .query_row((&read.content_sha256[..], domain_id), |row| row.get(0))
        .optional()?;
    let received_at = Timestamp::from_ms(origin.received_at_ms);
    // What the reporter writes is believed unless it lies in the future.
    let newest = received_at.seconds().saturating_add(limits::REPORT_FUTURE_SECONDS);
    let arrived_at = read.shown.arrived_at.filter(|at| *at <= newest).map(Timestamp::from_seconds);
    let day = arrived_at.unwrap_or(received_at).day().0;
    let failure_id = work.ids.next(work.now);
    let status = if same.is_some() { "duplicate" } else { "counted" };
    let shown = &read.shown;
    let list = |items: &[String]| super::message::json_array(items.iter().cloned());
    let source = shown.source_ip.as_deref().map(source::of_text);
    work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        domain_id,
        day,
        failure_id,
        status,
        same,
        origin.message_id.0,
        seq,
        read.place,
        origin.received_at_ms,
        origin.trust.as_str(),
        &read.content_sha256[..],
        origin.parser_version,
        read.is_authentication,
        shown.form,
        shown.feedback_type,
        shown.reporter,
        shown.reporting_mta,
        shown.user_agent,
        shown.version,
        shown.arrived_at,
        record::integer(shown.incidents),
        source.as_deref(),
        shown.source_host,
        shown.source_port,
        list(&shown.reported_domains),
        shown.header_from,
        shown.auth_failure,
        shown.delivery_result,
        shown.delivery_written,
        list(&shown.identity_alignment),
        shown.spf_aligned,
        shown.dkim_aligned,
        shown.dkim_domain,
        shown.dkim_selector,
        shown.dkim_identity,
        list(&shown.spf_dns),
        shown.mail_from,
        list(&shown.rcpt_to),
        list(&shown.authentication_results),
        list(&shown.reported_uris),
        list(&shown.extensions),
        shown.is_headers_only,
        shown.original_from,
        shown.original_to,
        shown.original_subject,
        shown.original_message_id,
        shown.original_date,
        list(&shown.original_signatures),
        shown.campaign,
        list(&shown.deviations),
    ])?;
    Ok(match same {
        Some(of) => Outcome::Duplicate { of: MessageId(of) },
        None => Outcome::Counted,
    })
}

/// The hash of a report's values: of what is shown of it and of the message that it quotes. `quoted` is the
/// SHA-256 of that message, or what else tells two reports apart.
pub(super) fn content_sha256(shown: &crate::reports::failure::ShownFailure, quoted: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(quoted);
    context.update(format!("{shown:?}").as_bytes());
    let mut out = [0u8; 32];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    out
}

// ---- Removing ----

/// Removes the reports that a message brought. The keys returned are to be given to [`orphans`] afterwards.
pub(super) fn remove(work: &Work<'_>, id: MessageId) -> Result<Vec<Key>, StoreError> {
    let keys = {
        let mut statement = work.connection.prepare_cached(OF_MESSAGE)?;
        let rows =
            statement.query_map([id.0], |row| Ok(Key { domain_id: row.get(0)?, content: row.get(1)? }))?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    if !keys.is_empty() {
        work.connection.prepare_cached(DELETE)?.execute([id.0])?;
    }
    Ok(keys)
}

/// Messages whose copies have lost the report that they are a copy of: to be read again.
pub(super) fn orphans(work: &Work<'_>, key: &Key) -> Result<Vec<MessageId>, StoreError> {
    let row = (&key.content, key.domain_id);
    if work.connection.prepare_cached(SAME)?.exists(row)? {
        return Ok(Vec::new());
    }
    let mut statement = work.connection.prepare_cached(COPIES)?;
    let rows = statement.query_map(row, |row| row.get(0).map(MessageId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
