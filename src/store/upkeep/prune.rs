//! Removing what is older than it is to be kept: see [`super::super::Store::prune`].
//!
//! A report whose rows go keeps its head with the status `rolled-up`: its sums stay in the roll-ups for ever, and
//! a copy that comes later is still known for one.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::super::message::json_array;
use super::super::read::{count, strings};
use super::super::writer::Writer;
use super::super::{MessageId, Reader, StoreError, fatal, probe, raw, watched};
use super::{
    address_pseudonym, dns, in_slices, is_pseudonym, others, rows, slice, slice_time, space, unused,
};
use crate::clock::{self, Timestamp};
use crate::limits;
use crate::probe::token::KeyRing;

/// How long things are kept after they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The bytes of failure reports: they quote somebody's mail.
    pub raw_failures: Duration,
    /// The bytes of other mail.
    pub raw: Duration,
    /// The bytes of mail that could not be read.
    pub raw_unread: Duration,
    /// Rows of reports, mails without their bytes, probes that are over.
    pub rows: Duration,
    /// Local parts and subjects in clear.
    pub clear_text: Duration,
    /// What happened to the records of watched domains, and findings that are gone.
    pub dns_history: Duration,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Mails whose bytes were removed.
    pub raws: u64,
    /// Mails whose local parts and subject were replaced by pseudonyms.
    pub pseudonyms: u64,
    /// Reports whose rows were removed; their sums stay.
    pub reports: u64,
    /// Their rows.
    pub records: u64,
    /// TLS reports, failure reports and complaints.
    pub other_reports: u64,
    /// Mails of which nothing is kept any more.
    pub messages: u64,
    /// Probes.
    pub probes: u64,
    /// Names, reporters and lists of results to which nothing refers any more.
    pub lookups: u64,
    /// Events of DNS, and findings of its checks that are gone.
    pub dns: u64,
    /// Bytes by which the database file and its log became smaller.
    pub returned_bytes: u64,
    /// True if bytes were kept because too many mails wait to be read: try again later.
    pub is_postponed: bool,
}

/// Candidates that are looked up at once.
const BATCH: i64 = 500;
/// Mails that may wait to be read while bytes are removed: each removal looks through them.
const PENDING: i64 = 5_000;

const RAWS: &str = "SELECT m.message_id, m.received_at_ms, m.raw_id, m.sha256 FROM message AS m
    JOIN raw AS r ON r.raw_id = m.raw_id
    WHERE (m.received_at_ms, m.message_id) > ($1, $2) AND m.received_at_ms < $3 AND m.status <> 'pending'
    AND CASE WHEN m.kind = 'failure' THEN m.received_at_ms < $4 WHEN m.status = 'unread' THEN m.received_at_ms < $5
             ELSE m.received_at_ms < $6 END
    AND (m.received_at_ms < $7 OR COALESCE(m.trust, '') <> 'pending')
    ORDER BY m.received_at_ms, m.message_id LIMIT 500";
const IS_WANTED: &str =
    "SELECT 1 FROM message AS m WHERE m.sha256 = $1 AND m.status <> 'pending' AND m.raw_id = $2
    AND NOT CASE WHEN m.kind = 'failure' THEN m.received_at_ms < $3
                 WHEN m.status = 'unread' THEN m.received_at_ms < $4 ELSE m.received_at_ms < $5 END LIMIT 1";
const IS_PENDING: &str = "SELECT 1 FROM message WHERE status = 'pending' AND raw_id = $1 LIMIT 1";
const PENDING_COUNT: &str =
    "SELECT COUNT(*) FROM (SELECT 1 FROM message WHERE status = 'pending' LIMIT $1) AS p";
const CLEAR: &str = "SELECT message_id, received_at_ms, mail_from, rcpt_to, subject, header_from FROM message
    WHERE (received_at_ms, message_id) > ($1, $2) AND received_at_ms < $3 AND status <> 'pending'
    ORDER BY received_at_ms, message_id LIMIT 500";
const SET_CLEAR: &str = "UPDATE message SET mail_from = $1, rcpt_to = $2, subject = $3, header_from = $4
    WHERE message_id = $5 AND status <> 'pending'";
const MESSAGES: &str = "SELECT m.message_id, m.received_at_ms FROM message AS m
    WHERE (m.received_at_ms, m.message_id) > ($1, $2) AND m.received_at_ms < $3 AND m.status <> 'pending'
    AND NOT EXISTS (SELECT 1 FROM raw AS r WHERE r.raw_id = m.raw_id)
    AND NOT EXISTS (SELECT 1 FROM report AS r WHERE r.message_id = m.message_id AND r.status <> 'rolled-up')
    AND NOT EXISTS (SELECT 1 FROM tls_report AS t WHERE t.message_id = m.message_id)
    AND NOT EXISTS (SELECT 1 FROM failure_report AS q WHERE q.message_id = m.message_id)
    ORDER BY m.received_at_ms, m.message_id LIMIT 500";
const IS_OLD: &str = "SELECT 1 FROM message AS m WHERE m.message_id = $1 AND m.status <> 'pending'
    AND NOT EXISTS (SELECT 1 FROM raw AS r WHERE r.raw_id = m.raw_id)
    AND NOT EXISTS (SELECT 1 FROM report AS r WHERE r.message_id = m.message_id AND r.status <> 'rolled-up')
    AND NOT EXISTS (SELECT 1 FROM tls_report AS t WHERE t.message_id = m.message_id)
    AND NOT EXISTS (SELECT 1 FROM failure_report AS q WHERE q.message_id = m.message_id)";
const PROBES: &str = "SELECT token FROM probe WHERE sent_at_ms < $1 AND deadline_ms IS NULL
    ORDER BY sent_at_ms LIMIT 500";

/// Before which instants things are old, UTC milliseconds.
#[derive(Debug, Clone, Copy)]
struct Cutoffs {
    raw_failures: i64,
    raw: i64,
    raw_unread: i64,
    rows: i64,
    clear_text: i64,
    dns_history: i64,
    /// What came since then and waits for its verdict is kept.
    pending: i64,
}

impl Cutoffs {
    fn of(retention: &Retention, now: Timestamp) -> Self {
        let before =
            |kept: Duration| now.ms().saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        Self {
            raw_failures: before(retention.raw_failures),
            raw: before(retention.raw),
            raw_unread: before(retention.raw_unread),
            rows: before(retention.rows),
            clear_text: before(retention.clear_text),
            dns_history: before(retention.dns_history),
            pending: before(limits::PRUNE_PENDING),
        }
    }

    /// The latest of those for bytes.
    fn latest_raw(&self) -> i64 {
        self.raw_failures.max(self.raw).max(self.raw_unread)
    }
}

/// Where a walk over messages stands: instant and id of the last one.
type Cursor = (i64, i64);
/// Before the first one.
const START: Cursor = (i64::MIN, i64::MIN);

/// See [`super::super::Store::prune`].
pub(in super::super) fn prune(
    writer: &Writer,
    reader: &Reader,
    retention: &Retention,
    keys: &KeyRing,
    now: Timestamp,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Pruned, StoreError> {
    let cutoffs = Cutoffs::of(retention, now);
    let mut pruned = Pruned::default();
    let before = space::file_bytes(writer.path());
    let run = |pruned: &mut Pruned| -> Result<(), StoreError> {
        raws(writer, reader, cutoffs, pruned, is_stopped)?;
        rows::reports(writer, reader, (cutoffs.rows, cutoffs.pending), pruned, is_stopped)?;
        others::reports(writer, reader, cutoffs.rows, pruned, is_stopped)?;
        messages(writer, reader, cutoffs, pruned, is_stopped)?;
        probes(writer, reader, cutoffs, pruned, is_stopped)?;
        dns::history(writer, reader, cutoffs.dns_history, pruned, is_stopped)?;
        pseudonyms(writer, reader, cutoffs, keys, pruned, is_stopped)?;
        if pruned.reports + pruned.other_reports > 0 {
            unused::empty_sums(writer, reader, cutoffs.rows, is_stopped)?;
            pruned.lookups = unused::lookups(writer, reader, is_stopped)?;
        }
        others::recipients(writer, reader, cutoffs.clear_text, keys, is_stopped)?;
        writer.run(move |work| {
            watched::forget_old(work, cutoffs.rows)?;
            probe::forget_eyes(work, cutoffs.rows)?;
            fatal::forget_old(work, cutoffs.raw_unread)
        })
    };
    run(&mut pruned)?;
    if !is_stopped() {
        space::give_back(writer, is_stopped)?;
    }
    pruned.returned_bytes = before.saturating_sub(space::file_bytes(writer.path()));
    Ok(pruned)
}

// ---- Bytes ----

/// A message whose bytes may go.
struct OldRaw {
    raw_id: i64,
    sha256: Vec<u8>,
}

/// Removes the bytes of old mail.
fn raws(
    writer: &Writer,
    reader: &Reader,
    cutoffs: Cutoffs,
    pruned: &mut Pruned,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    orphan_chunks(writer, reader)?;
    let mut cursor = START;
    while !is_stopped() {
        let mut found = Vec::new();
        {
            let mut statement = reader.connection().prepare_cached(RAWS)?;
            let mut rows = statement.query((
                cursor.0,
                cursor.1,
                cutoffs.latest_raw(),
                cutoffs.raw_failures,
                cutoffs.raw_unread,
                cutoffs.raw,
                cutoffs.pending,
            ))?;
            while let Some(row) = rows.next()? {
                cursor = (row.get(1)?, row.get(0)?);
                found.push(OldRaw { raw_id: row.get(2)?, sha256: row.get(3)? });
            }
        }
        if found.is_empty() {
            break;
        }
        while !found.is_empty() && !is_stopped() {
            let batch = std::mem::take(&mut found);
            let (rest, removed, chunked, is_postponed) = writer.run(move |work| {
                let waiting: i64 = work
                    .connection
                    .prepare_cached(PENDING_COUNT)?
                    .query_row([PENDING + 1], |row| row.get(0))?;
                if waiting > PENDING {
                    return Ok((Vec::new(), 0, Vec::new(), true));
                }
                let (mut removed, mut chunked) = (0u64, Vec::new());
                let done = slice(work, &batch, |work, old| {
                    let is_wanted = work.connection.prepare_cached(IS_PENDING)?.exists([old.raw_id])?
                        || work.connection.prepare_cached(IS_WANTED)?.exists((
                            &old.sha256,
                            old.raw_id,
                            cutoffs.raw_failures,
                            cutoffs.raw_unread,
                            cutoffs.raw,
                        ))?;
                    if is_wanted {
                        return Ok(());
                    }
                    match raw::remove(work, old.raw_id)? {
                        raw::Removal::Nothing => {}
                        raw::Removal::Whole => removed += 1,
                        raw::Removal::WithoutChunks => {
                            removed += 1;
                            chunked.push(old.raw_id);
                        }
                    }
                    Ok(())
                })?;
                Ok((batch.into_iter().skip(done).collect(), removed, chunked, false))
            })?;
            found = rest;
            pruned.raws += removed;
            for raw_id in chunked {
                remove_chunks(writer, raw_id)?;
            }
            if is_postponed {
                pruned.is_postponed = true;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Removes the slices of long mail whose row is gone, some at a time.
pub(super) fn remove_chunks(writer: &Writer, raw_id: i64) -> Result<(), StoreError> {
    loop {
        let is_done = writer.run(move |work| {
            let (started, time) = (clock::instant(), slice_time(work));
            while raw::remove_chunk(work, raw_id)? {
                if started.elapsed() >= time {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if is_done {
            return Ok(());
        }
    }
}

/// Removes slices that a process left which ended between a row and its slices.
fn orphan_chunks(writer: &Writer, reader: &Reader) -> Result<(), StoreError> {
    const NEXT: &str = "SELECT c.raw_id, NOT EXISTS (SELECT 1 FROM raw AS r WHERE r.raw_id = c.raw_id)
        FROM raw_chunk AS c WHERE c.raw_id > $1 ORDER BY c.raw_id LIMIT 1";
    let mut after = i64::MIN;
    loop {
        let next = reader
            .connection()
            .prepare_cached(NEXT)?
            .query_row([after], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)))
            .optional()?;
        let Some((raw_id, is_orphan)) = next else { return Ok(()) };
        after = raw_id;
        if is_orphan {
            remove_chunks(writer, raw_id)?;
        }
    }
}

// ---- Messages and probes ----

/// Removes the rows of old mail whose bytes are gone.
fn messages(
    writer: &Writer,
    reader: &Reader,
    cutoffs: Cutoffs,
    pruned: &mut Pruned,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    let children = rows::children(reader.connection())?;
    let mut cursor = START;
    while !is_stopped() {
        let mut found: Vec<MessageId> = Vec::new();
        {
            let mut statement = reader.connection().prepare_cached(MESSAGES)?;
            let mut rows = statement.query((cursor.0, cursor.1, cutoffs.rows))?;
            while let Some(row) = rows.next()? {
                cursor = (row.get(1)?, row.get(0)?);
                found.push(MessageId(row.get(0)?));
            }
        }
        if found.is_empty() {
            break;
        }
        let children = children.clone();
        let (_, removed) = in_slices(writer, found, is_stopped, move |work, id: &MessageId| {
            let is_old = work.connection.prepare_cached(IS_OLD)?.exists([id.0])?;
            if is_old {
                rows::remove_message(work, *id, &children)?;
            }
            Ok(u64::from(is_old))
        })?;
        pruned.messages += removed;
    }
    Ok(())
}

/// Removes old probes that nothing is waited for.
fn probes(
    writer: &Writer,
    reader: &Reader,
    cutoffs: Cutoffs,
    pruned: &mut Pruned,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    while !is_stopped() {
        let found: Vec<String> = {
            let mut statement = reader.connection().prepare_cached(PROBES)?;
            let rows = statement.query_map([cutoffs.rows], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        if found.is_empty() {
            break;
        }
        let (removed, _) = in_slices(writer, found, is_stopped, |work, token: &String| {
            rows::remove_probe(work, token)?;
            Ok(1)
        })?;
        pruned.probes += removed;
    }
    Ok(())
}

// ---- Pseudonyms ----

/// What a message shows of persons.
#[derive(Debug, Clone)]
struct Clear {
    id: i64,
    mail_from: Option<String>,
    rcpt_to: String,
    subject: Option<String>,
    header_from: Option<String>,
}

impl Clear {
    /// The same with pseudonyms; nothing if all of it is pseudonyms already.
    fn pseudonym(&self, keys: &KeyRing) -> Option<Self> {
        let address = |text: &Option<String>| text.as_deref().and_then(|text| address_pseudonym(keys, text));
        let recipients = strings(&self.rcpt_to);
        let hashed: Vec<Option<String>> =
            recipients.iter().map(|recipient| address_pseudonym(keys, recipient)).collect();
        let subject = self.subject.as_deref().filter(|text| !text.is_empty() && !is_pseudonym(text));
        let (mail_from, header_from) = (address(&self.mail_from), address(&self.header_from));
        if mail_from.is_none()
            && header_from.is_none()
            && subject.is_none()
            && hashed.iter().all(Option::is_none)
        {
            return None;
        }
        Some(Self {
            id: self.id,
            mail_from: mail_from.or_else(|| self.mail_from.clone()),
            rcpt_to: json_array(
                recipients.into_iter().zip(hashed).map(|(clear, hashed)| hashed.unwrap_or(clear)),
            ),
            subject: subject.map(|text| keys.pseudonym(text)).or_else(|| self.subject.clone()),
            header_from: header_from.or_else(|| self.header_from.clone()),
        })
    }
}

/// Replaces local parts and subjects of old mail by pseudonyms: alike stay alike, nobody is named.
fn pseudonyms(
    writer: &Writer,
    reader: &Reader,
    cutoffs: Cutoffs,
    keys: &KeyRing,
    pruned: &mut Pruned,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    let mut cursor = START;
    while !is_stopped() {
        let (batch, len, last) = clear_batch(reader.connection(), cursor, cutoffs.clear_text, keys)?;
        cursor = last;
        let (done, _) = in_slices(writer, batch, is_stopped, |work, clear: &Clear| {
            let row = (&clear.mail_from, &clear.rcpt_to, &clear.subject, &clear.header_from, clear.id);
            work.connection.prepare_cached(SET_CLEAR)?.execute(row)?;
            Ok(1)
        })?;
        pruned.pseudonyms += done;
        if len < BATCH {
            break;
        }
    }
    Ok(())
}

/// The next messages in which something is in clear, how many were looked at, and the last one.
fn clear_batch(
    connection: &Connection,
    cursor: Cursor,
    before: i64,
    keys: &KeyRing,
) -> Result<(Vec<Clear>, i64, Cursor), StoreError> {
    let mut statement = connection.prepare_cached(CLEAR)?;
    let mut rows = statement.query((cursor.0, cursor.1, before))?;
    let (mut found, mut len, mut last) = (Vec::new(), 0, cursor);
    while let Some(row) = rows.next()? {
        len += 1;
        last = (row.get(1)?, row.get(0)?);
        let clear = Clear {
            id: row.get(0)?,
            mail_from: row.get(2)?,
            rcpt_to: row.get(3)?,
            subject: row.get(4)?,
            header_from: row.get(5)?,
        };
        found.extend(clear.pseudonym(keys));
    }
    Ok((found, len, last))
}

/// A number of rows as a count.
pub(super) fn counted(rows: i64) -> u64 {
    count(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_are_stable_and_final() {
        let keys = KeyRing::with_id(1, &[7; 32]).unwrap();
        let clear = Clear {
            id: 1,
            mail_from: Some("Jane.Doe@example.com".to_owned()),
            rcpt_to: "[\"dmarc+x@example.net\"]".to_owned(),
            subject: Some("Hello Jane".to_owned()),
            header_from: None,
        };
        let hashed = clear.pseudonym(&keys).unwrap();
        let from = hashed.mail_from.clone().unwrap();
        assert!(from.ends_with("@example.com") && !from.contains("Jane"), "{from}");
        assert!(!format!("{hashed:?}").contains("Hello"), "{hashed:?}");
        assert!(hashed.pseudonym(&keys).is_none(), "{hashed:?}");
        // Case is no difference: the same mailbox.
        let same = Clear { mail_from: Some("jane.doe@example.com".to_owned()), ..clear.clone() };
        assert_eq!(same.pseudonym(&keys).unwrap().mail_from, Some(from));
        let other = KeyRing::with_id(1, &[8; 32]).unwrap();
        assert_ne!(clear.pseudonym(&other).unwrap().mail_from, hashed.mail_from);
        let null = Clear {
            mail_from: Some("<>".to_owned()),
            rcpt_to: "[]".to_owned(),
            subject: Some(String::new()),
            ..clear
        };
        assert!(null.pseudonym(&keys).is_none());
    }
}
