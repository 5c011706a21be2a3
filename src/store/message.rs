//! Received messages: kept on arrival, given their status once they were read.

use std::path::PathBuf;

use ring::digest;
use rusqlite::OptionalExtension;

use super::writer::{Work, Writer};
use super::{
    FinishDone, Finished, MessageId, MessageRef, MessageStatus, NewMessage, Outcome, Packed, ReadReport,
    Reading, StoreError, aggregate, authentication, bounce, failure, loading, party, probe, raw, reflect,
    reprocess, source, tls, trust, unclaimed, watched,
};
use crate::classify::MessageKind;
use crate::clock::Timestamp;
use crate::mail::{Body, DomainName, PeerSource};
use crate::reports::{Deviations, Unreadable, UnreadableKind};

const INSERT: &str = "INSERT INTO message (message_id, received_at_ms, origin, purposes, file_name, peer_ip,
    peer_port, peer_source, relay_ip, helo, is_esmtp, tls_version, tls_cipher, tls_server_name, mail_from, rcpt_to, size_bytes, sha256,
    raw_id, status) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 'pending')
    ON CONFLICT (message_id) DO NOTHING";
const PENDING: &str = "SELECT received_at_ms, raw_id, read_at_ms IS NOT NULL FROM message
    WHERE message_id = $1 AND status = 'pending'";
const CURRENT: &str = "SELECT status, reason, duplicate_of FROM message WHERE message_id = $1";
const FINISH: &str =
    "UPDATE message SET status = $1, kind = $2, reason = $3, duplicate_of = $4, deviations = $5,
    header_message_id = $6, subject = $7, header_from = $8, trust = $9, parser_version = $10, read_at_ms = $11
    WHERE message_id = $12";
const SAME: &str = "SELECT m.raw_id FROM message AS m JOIN raw AS r ON r.raw_id = m.raw_id
    WHERE m.sha256 = $1 AND m.status <> 'pending' ORDER BY m.message_id LIMIT 1";
const SAME_WAY: &str =
    "SELECT message_id FROM message WHERE sha256 = $1 AND status <> 'pending' AND origin = $2
    ORDER BY message_id LIMIT 1";
const SAME_LETTER: &str = "SELECT m.message_id FROM message AS m
    WHERE m.sha256 = (SELECT sha256 FROM message WHERE message_id = $1) AND m.message_id <> $1
    AND m.status <> 'pending' AND m.status IN ('kept', 'read') ORDER BY m.message_id LIMIT 1";
const INSERT_UNREADABLE: &str =
    "INSERT INTO unreadable (message_id, seq, kind, reason, place) VALUES ($1, $2, $3, $4, $5)";
const DELETE_UNREADABLE: &str = "DELETE FROM unreadable WHERE message_id = $1";

/// A message that was written.
pub(super) struct StoredNow {
    /// Its id.
    pub(super) id: MessageId,
    /// Its spool file under its final name.
    pub(super) spool_file: Option<PathBuf>,
}

/// Bytes that a waiting message takes in memory.
pub(super) fn memory_bytes(message: &NewMessage) -> usize {
    let body = match &message.body {
        Body::Memory(bytes) => bytes.len(),
        Body::Spool(_) => 0,
    };
    body + 512 + 64 * message.envelope.rcpt_to.len()
}

/// SHA-256 of the bytes; a spool file brings its own.
pub(super) fn body_sha256(body: &Body) -> [u8; 32] {
    match body {
        Body::Memory(bytes) => sha256(bytes),
        Body::Spool(file) => file.sha256,
    }
}

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    let digest = digest::digest(&digest::SHA256, bytes);
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

/// Writes a new message as pending. `packed` are its compressed bytes where they are known already.
pub(super) fn insert(
    work: &mut Work<'_>,
    message: NewMessage,
    sha256: &[u8; 32],
    packed: Option<&Packed>,
) -> Result<StoredNow, StoreError> {
    let NewMessage { envelope, body, purposes, file_name } = message;
    let size_bytes = i64::try_from(body.size_bytes()).unwrap_or(i64::MAX);
    // The same bytes imported again are not kept twice.
    let known_raw = match packed {
        Some(_) => same_raw(work, sha256)?,
        None => None,
    };
    let mut purpose_words = String::new();
    for purpose in purposes {
        if !purpose_words.is_empty() {
            purpose_words.push(' ');
        }
        purpose_words.push_str(purpose.as_str());
    }
    let ip_bytes = |ip| {
        let mut out = Vec::with_capacity(17);
        source::write_ip(ip, &mut out);
        out
    };
    let peer_ip = envelope.peer.map(|peer| ip_bytes(peer.ip()));
    let relay_ip = envelope.relay.map(ip_bytes);
    let tls = envelope.tls.as_ref();
    let mail_from = envelope.mail_from.as_ref().map(ToString::to_string);
    let rcpt_to = json_array(envelope.rcpt_to.iter().map(ToString::to_string));
    let mut statement = work.connection.prepare_cached(INSERT)?;
    // Another process may have taken the same number: the next one then.
    let id = loop {
        let id = work.ids.next(work.now);
        let written = statement.execute(rusqlite::params![
            id,
            envelope.received_at.ms(),
            envelope.origin.as_str(),
            purpose_words,
            file_name,
            peer_ip,
            envelope.peer.map(|peer| peer.port()).filter(|port| *port != 0),
            envelope.peer_source.map(PeerSource::as_str),
            relay_ip,
            envelope.helo,
            envelope.is_esmtp,
            tls.map(|tls| &tls.version),
            tls.map(|tls| &tls.cipher),
            tls.and_then(|tls| tls.server_name.as_ref()),
            mail_from,
            rcpt_to,
            size_bytes,
            sha256,
            known_raw.unwrap_or(id),
        ])?;
        if written == 1 {
            break id;
        }
    };
    let spool_file = match known_raw {
        Some(_) => None,
        None => raw::insert(work, id, body, packed)?,
    };
    Ok(StoredNow { id: MessageId(id), spool_file })
}

/// A JSON array of strings; `[]` for none.
pub(super) fn json_array(items: impl Iterator<Item = String>) -> String {
    serde_json::Value::Array(items.map(serde_json::Value::String).collect()).to_string()
}

/// The kept bytes of another read message with this hash.
fn same_raw(work: &Work<'_>, sha256: &[u8; 32]) -> Result<Option<i64>, StoreError> {
    Ok(work.connection.prepare_cached(SAME)?.query_row([&sha256[..]], |row| row.get(0)).optional()?)
}

/// Queues a reading: see [`super::Store::finish_then`].
pub(super) fn queue_finish(
    writer: &Writer,
    message: MessageRef,
    reading: Reading,
    done: FinishDone,
) -> Result<(), StoreError> {
    queue_finish_with(writer, message, reading, SameMail::IsACopy, done, |_, _| Ok(()))
}

/// What a new message is whose bytes were read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SameMail {
    /// A copy, which is listed: it came twice.
    IsACopy,
    /// The same, if it came the same way: a mailbox was asked again for what is kept already.
    IsTheSame,
}

/// Queues a reading, with more to write in its transaction.
pub(super) fn queue_finish_with(
    writer: &Writer,
    message: MessageRef,
    reading: Reading,
    same: SameMail,
    done: FinishDone,
    also: impl FnOnce(&mut Work<'_>, &Finished) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    for report in &reading.reports {
        aggregate::check(&report.digest)?;
        aggregate::check_rows(report)?;
    }
    let sha256 = match &message {
        MessageRef::New(message) => Some(reading.sha256.unwrap_or_else(|| body_sha256(&message.body))),
        MessageRef::Stored(_) => None,
    };
    let loaded = tls::load(writer, &reading.tls)?;
    let mut bytes = 1_024 + reading.packed.as_ref().map_or(0, Packed::len);
    if let MessageRef::New(message) = &message {
        bytes += memory_bytes(message);
    }
    bytes += reading.reports.iter().map(aggregate::memory_bytes).sum::<usize>();
    bytes += reading.bounces.iter().map(bounce::memory_bytes).sum::<usize>();
    bytes += reading.failures.iter().map(failure::memory_bytes).sum::<usize>();
    bytes += reading.tls.iter().map(tls::memory_bytes).sum::<usize>();
    let work = move |work: &mut Work<'_>| {
        let known = match (&message, &sha256) {
            (MessageRef::New(message), Some(sha256)) if same == SameMail::IsTheSame => {
                same_way(work, sha256, message.envelope.origin.as_str())?
            }
            _ => None,
        };
        let finished = match known {
            Some(id) => {
                for report in &reading.reports {
                    aggregate::drop_rows(work, &report.rows)?;
                }
                tls::give_up(work, &loaded)?;
                known_already(work, id)?
            }
            None => finish(work, message, sha256, reading, loaded)?,
        };
        also(work, &finished)?;
        Ok(finished)
    };
    writer.queue(bytes, work, done)
}

/// A message with these bytes that came the same way and was read.
fn same_way(work: &Work<'_>, sha256: &[u8; 32], origin: &str) -> Result<Option<MessageId>, StoreError> {
    let found = work
        .connection
        .prepare_cached(SAME_WAY)?
        .query_row((&sha256[..], origin), |row| row.get(0).map(MessageId))
        .optional()?;
    Ok(found)
}

/// The state of a message that is not stored again: unread as before, else a duplicate of itself.
fn known_already(work: &Work<'_>, id: MessageId) -> Result<Finished, StoreError> {
    let mut finished = already_finished(work, id)?;
    if finished.status != MessageStatus::Unread {
        finished.status = MessageStatus::Duplicate;
        finished.duplicate_of = Some(id);
        finished.reason = None;
    }
    Ok(finished)
}

/// Writes a reading within the open transaction.
fn finish(
    work: &mut Work<'_>,
    message: MessageRef,
    sha256: Option<[u8; 32]>,
    reading: Reading,
    loaded: tls::Loaded,
) -> Result<Finished, StoreError> {
    let id = match message {
        MessageRef::Stored(id) => id,
        MessageRef::New(message) => {
            let sha256 = sha256.unwrap_or_else(|| body_sha256(&message.body));
            let stored = insert(work, *message, &sha256, reading.packed.as_ref())?;
            if stored.spool_file.is_some() {
                // The name must be on disk before the row that refers to it.
                raw::sync_folder(work.spool)?;
            }
            stored.id
        }
    };
    let pending = work
        .connection
        .prepare_cached(PENDING)?
        .query_row([id.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?)))
        .optional()?;
    let Some((received_at_ms, raw_id, was_read)) = pending else {
        for report in &reading.reports {
            aggregate::drop_rows(work, &report.rows)?;
        }
        tls::give_up(work, &loaded)?;
        return already_finished(work, id);
    };
    let mut removed = reprocess::Removed::default();
    let mut told = Vec::new();
    if was_read {
        // What an earlier reading gave goes in the same transaction in which the new one comes.
        removed = reprocess::remove_derived(work, id)?;
        work.connection.prepare_cached(DELETE_UNREADABLE)?.execute([id.0])?;
        told = probe::forget(work, id)?;
        party::forget(work, id)?;
        watched::remove(work, id)?;
    }
    if let (None, Some(packed)) = (sha256, &reading.packed) {
        raw::replace(work, raw_id, packed)?;
    }
    let Reading {
        kind,
        status,
        reason,
        mut deviations,
        message_id,
        references,
        subject,
        header_from,
        trust: assumed,
        parser_version,
        read_at,
        packed: _,
        sha256: _,
        unread,
        reports,
        tls: tls_reports,
        failures,
        bounces,
        probes,
        returned,
        reflection,
        watched: read_watched,
    } = reading;
    let trust = trust::verdict(work, id)?.unwrap_or(assumed);
    let of_from = || header_from.as_deref().and_then(crate::summary::trust::sender_domain);
    let sender = trust::sender(work, id)?.or_else(of_from);
    probe::tell(work, id, Timestamp::from_ms(received_at_ms), (&probes, &returned), told)?;
    if let Some(read) = &reflection {
        reflect::enqueue(work, id, Timestamp::from_ms(received_at_ms), read)?;
    }
    if let Some(read) = &read_watched {
        watched::store(work, id, received_at_ms, read)?;
    }
    for (seq, Unreadable { kind, reason, place }) in (0i64..).zip(&unread) {
        work.connection.prepare_cached(INSERT_UNREADABLE)?.execute((
            id.0,
            seq,
            unreadable_word(*kind),
            reason,
            place,
        ))?;
    }
    let mut outcomes = Vec::with_capacity(reports.len());
    let origin = aggregate::Origin { message_id: id, received_at_ms, trust, sender, parser_version };
    // Numbers of reports for domains that are not watched.
    let mut seq = 0i64..;
    for ReadReport { place, digest, rows } in reports {
        note(&mut deviations, &digest.deviations);
        outcomes.push(if unclaimed::is_claimed(work, Some(&digest.key.domain))? {
            aggregate::store(work, &origin, &place, &digest, rows)?
        } else {
            let domain = digest.key.domain.as_str();
            unclaimed::store(work, id, seq.next().unwrap_or(0), domain, digest.messages)?;
            aggregate::drop_rows(work, &rows)?;
            Outcome::Unclaimed
        });
    }
    let mut others = Vec::new();
    for (read, loaded) in tls_reports.iter().zip(loaded) {
        note(&mut deviations, &read.digest.deviations);
        for (of_domain, loaded) in read.digest.domains.iter().zip(loaded) {
            let domain = of_domain.key.domain.as_ref();
            others.push(if unclaimed::is_claimed(work, domain)? {
                tls::store(work, &origin, read, of_domain, loaded)?
            } else {
                let domain = domain.map_or("", DomainName::as_str);
                unclaimed::store(work, id, seq.next().unwrap_or(0), domain, 0)?;
                if let Some(loaded) = loaded {
                    loading::leave(work, loaded)?;
                }
                Outcome::Unclaimed
            });
        }
    }
    for (number, read) in (0i64..).zip(&failures) {
        for name in &read.shown.deviations {
            if !deviations.contains(name) {
                deviations.push(name.clone());
            }
        }
        let domain = read.domain.as_ref();
        others.push(if unclaimed::is_claimed(work, domain)? {
            failure::store(work, &origin, number, read)?
        } else {
            let domain = domain.map_or("", DomainName::as_str);
            unclaimed::store(work, id, seq.next().unwrap_or(0), domain, 0)?;
            Outcome::Unclaimed
        });
    }
    others.extend(bounce::store(work, id, received_at_ms, parser_version, &bounces)?);
    reprocess::settle_removed(work, &removed, id)?;
    let all: Vec<Outcome> = outcomes.iter().chain(&others).copied().collect();
    let mut verdict = Verdict::of(id, kind, status, reason, &unread, &all);
    // What brought nothing to count is known by its bytes alone. A probe that comes twice came twice.
    if all.is_empty() && unread.is_empty() && kind != MessageKind::Probe {
        let same: Option<i64> =
            work.connection.prepare_cached(SAME_LETTER)?.query_row([id.0], |row| row.get(0)).optional()?;
        if let Some(of) = same.map(MessageId) {
            verdict = Verdict {
                status: MessageStatus::Duplicate,
                reason: Some(format!("duplicate of {of}")),
                duplicate_of: Some(of),
            };
        }
    }
    work.connection.prepare_cached(FINISH)?.execute(rusqlite::params![
        verdict.status.as_str(),
        kind.as_str(),
        verdict.reason,
        verdict.duplicate_of.map(|of| of.0),
        json_array(deviations.into_iter()),
        message_id,
        subject,
        header_from,
        trust.as_str(),
        parser_version,
        read_at.ms(),
        id.0,
    ])?;
    party::note(work, id, &references)?;
    authentication::enqueue(work, id, Timestamp::from_ms(received_at_ms))?;
    Ok(Finished {
        message_id: id,
        status: verdict.status,
        reason: verdict.reason,
        duplicate_of: verdict.duplicate_of,
        reports: outcomes,
        others,
        was_pending: true,
    })
}

/// Adds the names of a report's deviations to those of its message, each once.
fn note(names: &mut Vec<String>, of_report: &Deviations) {
    for name in of_report.names() {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
}

/// The state of a message that somebody else finished.
fn already_finished(work: &Work<'_>, id: MessageId) -> Result<Finished, StoreError> {
    let row = work
        .connection
        .prepare_cached(CURRENT)?
        .query_row([id.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, Option<i64>>(2)?)))
        .optional()?;
    let (status, reason, of) = row.ok_or_else(|| StoreError::NotFound(format!("message {id}")))?;
    Ok(Finished {
        message_id: id,
        status: MessageStatus::parse(&status).unwrap_or(MessageStatus::Read),
        reason,
        duplicate_of: of.map(MessageId),
        reports: Vec::new(),
        others: Vec::new(),
        was_pending: false,
    })
}

/// The status of a message and why.
struct Verdict {
    status: MessageStatus,
    reason: Option<String>,
    duplicate_of: Option<MessageId>,
}

impl Verdict {
    /// Judges by what was read, unless the caller has judged.
    fn of(
        id: MessageId,
        kind: MessageKind,
        status: Option<MessageStatus>,
        reason: Option<String>,
        unread: &[Unreadable],
        outcomes: &[Outcome],
    ) -> Self {
        let first_copy_of = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Duplicate { of } if *of != id => Some(*of),
            _ => None,
        });
        let all_are_copies = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Duplicate { .. }));
        let status = status.unwrap_or(if !unread.is_empty() {
            MessageStatus::Unread
        } else if all_are_copies && first_copy_of.is_some() {
            MessageStatus::Duplicate
        } else if !outcomes.is_empty() || kind != MessageKind::Other {
            MessageStatus::Read
        } else {
            MessageStatus::Kept
        });
        let reason = reason.or_else(|| match (unread.first(), outcomes) {
            (Some(first), []) if unread.len() == 1 => Some(first.reason.clone()),
            (Some(first), _) => Some(format!(
                "{} of {} could not be read: {}",
                unread.len(),
                unread.len() + outcomes.len(),
                first.reason
            )),
            (None, outcomes) => reason_of(status, first_copy_of, outcomes),
        });
        let duplicate_of = first_copy_of.filter(|_| status == MessageStatus::Duplicate);
        Self { status, reason, duplicate_of }
    }
}

/// Why a message whose reports were all read has its status; `None` where there is nothing to say.
fn reason_of(
    status: MessageStatus,
    first_copy_of: Option<MessageId>,
    outcomes: &[Outcome],
) -> Option<String> {
    if let (MessageStatus::Duplicate, Some(of)) = (status, first_copy_of) {
        return Some(format!("duplicate of {of}"));
    }
    let mut parts = Vec::new();
    let duplicates = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Duplicate { .. })).count();
    if duplicates > 0 {
        parts.push(format!("{duplicates} of {} reports counted before", outcomes.len()));
    }
    // Which one counts may change later; the report says it.
    if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Conflicting { .. })) {
        parts.push("another report with the same id and other values exists".to_owned());
    }
    if outcomes.contains(&Outcome::Unclaimed) {
        parts.push("for a domain that is not watched".to_owned());
    }
    if parts.is_empty() { None } else { Some(parts.join("; ")) }
}

/// The word of a class of unreadable things.
fn unreadable_word(kind: UnreadableKind) -> &'static str {
    match kind {
        UnreadableKind::Truncated => "truncated",
        UnreadableKind::Corrupt => "corrupt",
        UnreadableKind::TooLarge => "too-large",
        UnreadableKind::Unsupported => "unsupported",
        UnreadableKind::Malformed => "malformed",
        UnreadableKind::Forbidden => "forbidden",
        UnreadableKind::Empty => "empty",
        UnreadableKind::Incomplete => "incomplete",
    }
}
