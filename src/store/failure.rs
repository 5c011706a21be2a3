//! Failure reports and other feedback: rows without persons, each counted once.
//!
//! The same report in another mail (or the same mail again) is a duplicate: it has the same values and quotes the
//! same message. What identifies persons never reaches this module.

use super::aggregate::Origin;
use super::writer::Work;
use super::{MessageId, Outcome, ReadFailure, StoreError, intern, record, source};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::DomainName;
use crate::summary::Trust;
use ring::digest;

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
const UNDER_KEY: &str = "SELECT day, failure_id, status, duplicate_of, trust, received_at_ms, message_id, seq
    FROM failure_report WHERE content_sha256 = $1 AND +domain_id = $2";
const SET: &str = "UPDATE failure_report SET status = $1, duplicate_of = $2
    WHERE domain_id = $3 AND day = $4 AND failure_id = $5";
const OF_MESSAGE: &str = "SELECT domain_id, content_sha256 FROM failure_report WHERE message_id = $1";
const DELETE: &str = "DELETE FROM failure_report WHERE message_id = $1";

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
    let received_at = Timestamp::from_ms(origin.received_at_ms);
    // What the reporter writes is believed unless it lies in the future.
    let newest = received_at.seconds().saturating_add(limits::REPORT_FUTURE_SECONDS);
    let arrived_at = read.shown.arrived_at.filter(|at| *at <= newest).map(Timestamp::from_seconds);
    let day = arrived_at.unwrap_or(received_at).day().0;
    let failure_id = work.ids.next(work.now);
    let shown = &read.shown;
    let list = |items: &[String]| super::message::json_array(items.iter().cloned());
    let source = shown.source_ip.as_deref().map(source::of_text);
    work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        domain_id,
        day,
        failure_id,
        // Until its key is settled below.
        DUPLICATE,
        None::<i64>,
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
    let key = Key { domain_id, content: read.content_sha256.to_vec() };
    let winner = settle(work, &key)?.winner;
    Ok(match winner {
        _ if !origin.trust.is_counted() => Outcome::Untrusted,
        Some((id, of)) if id != failure_id => Outcome::Duplicate { of },
        _ => Outcome::Counted,
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

/// Removes the reports that a message brought. The keys returned are to be given to [`settle`] afterwards.
pub(super) fn remove(work: &Work<'_>, id: MessageId) -> Result<Vec<Key>, StoreError> {
    let keys = keys_of_message(work, id)?;
    if !keys.is_empty() {
        work.connection.prepare_cached(DELETE)?.execute([id.0])?;
    }
    Ok(keys)
}

// ---- One key ----

/// The words of a status.
const COUNTED: &str = "counted";
const DUPLICATE: &str = "duplicate";
const UNTRUSTED: &str = "untrusted";

/// One report under a key. Each has all of its values: which one counts may change without reading it again.
struct Held {
    day: i32,
    failure_id: i64,
    status: String,
    duplicate_of: Option<i64>,
    trust: Trust,
    /// When it came: instant, message, place in it.
    came: (i64, MessageId, i64),
}

/// What became of a key.
pub(super) struct Settled {
    /// The report that counts and its message; none if none can be believed.
    winner: Option<(i64, MessageId)>,
    /// The message whose copy counts now: what is said of it is to be said anew.
    pub(super) promoted: Option<MessageId>,
}

/// Brings all reports under a key to the state that they should have: of those that can be believed the most
/// trusted one counts, of these the earliest; the others are its copies.
pub(super) fn settle(work: &Work<'_>, key: &Key) -> Result<Settled, StoreError> {
    let mut held: Vec<Held> = {
        let mut statement = work.connection.prepare_cached(UNDER_KEY)?;
        let rows = statement.query_map((&key.content, key.domain_id), |row| {
            Ok(Held {
                day: row.get(0)?,
                failure_id: row.get(1)?,
                status: row.get(2)?,
                duplicate_of: row.get(3)?,
                trust: Trust::parse(row.get_ref(4)?.as_str()?).unwrap_or(Trust::Pending),
                came: (row.get(5)?, MessageId(row.get(6)?), row.get(7)?),
            })
        })?;
        rows.collect::<Result<_, _>>()?
    };
    // What waits for its verdict ranks with what has no proof.
    let rank = |held: &Held| held.trust.max(Trust::Unverified);
    let believed = held.iter().filter(|held| held.trust.is_counted());
    let winner = believed
        .min_by_key(|held| (std::cmp::Reverse(rank(held)), held.came))
        .map(|held| (held.failure_id, held.came.1));
    let is_winner = |held: &Held| Some(held.failure_id) == winner.map(|(id, _)| id);
    // Those that lose come first: the database allows only one that counts.
    held.sort_by_key(is_winner);
    let mut promoted = None;
    for held in &held {
        let (status, of) = match winner {
            _ if !held.trust.is_counted() => (UNTRUSTED, None),
            Some((id, of)) if id != held.failure_id => (DUPLICATE, Some(of.0)),
            _ => (COUNTED, None),
        };
        if status == held.status && of == held.duplicate_of {
            continue;
        }
        if is_winner(held) && held.duplicate_of.is_some() {
            promoted = Some(held.came.1);
        }
        let row = (status, of, key.domain_id, held.day, held.failure_id);
        work.connection.prepare_cached(SET)?.execute(row)?;
    }
    Ok(Settled { winner, promoted })
}

/// The keys of the reports that a message brought.
pub(super) fn keys_of_message(work: &Work<'_>, id: MessageId) -> Result<Vec<Key>, StoreError> {
    let mut statement = work.connection.prepare_cached(OF_MESSAGE)?;
    let rows = statement.query_map([id.0], |row| Ok(Key { domain_id: row.get(0)?, content: row.get(1)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
