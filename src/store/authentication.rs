//! Which received messages are verified, which are to be, and what was found: the durable queue of verification.
//!
//! A message enters it in the transaction of its first reading and stays in it, with the time of its next try, until
//! its verdict is final, so that nothing is lost by an end at any moment. Reading a message again keeps its verdict.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::message::json_array;
use super::read::{count, strings};
use super::writer::{Work, Writer};
use super::{MessageId, StoreError, probe, trust, unclaimed};
use crate::authentication::evidence::{Line, SeenSelector, Words};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::DomainName;
use crate::summary::Trust;

// A file that is no mail has no signature; what `import` reads is believed as imported.
const ENQUEUE: &str = "INSERT INTO authentication (message_id, day, state, attempts, begun, next_at_ms)
    SELECT message_id, $1, 'waiting', 0, 0, received_at_ms FROM message
    WHERE message_id = $2 AND origin IN ('smtp', 'mailbox') AND file_name IS NULL
    ON CONFLICT (message_id) DO NOTHING";
// Bytes that are gone cannot be verified any more, and a message that waits to be read is not there yet.
const DUE: &str =
    "SELECT a.message_id, a.attempts, a.begun, a.first_at_ms, m.size_bytes FROM authentication AS a
    JOIN message AS m ON m.message_id = a.message_id
    WHERE a.next_at_ms IS NOT NULL AND a.next_at_ms <= $1 AND m.status <> 'pending'
    ORDER BY a.next_at_ms, a.message_id LIMIT $2";
const POSTPONE: &str =
    "UPDATE authentication SET next_at_ms = $1, begun = 0 WHERE message_id = $2 AND next_at_ms IS NOT NULL";
const BEGIN: &str =
    "UPDATE authentication SET begun = begun + 1 WHERE message_id = $1 AND next_at_ms IS NOT NULL";
const RELEASE: &str = "UPDATE authentication SET begun = 0 WHERE message_id = $1";
const NOTE: &str = "UPDATE authentication SET state = $1, attempts = attempts + 1, begun = 0,
    first_at_ms = COALESCE(first_at_ms, $2), verified_at_ms = $2, next_at_ms = $3, asked = $4, header_from = $5,
    spf = $6, spf_domain = $7, spf_helo = $8, dkim = $9, dkim_domains = $10, arc = $11, dmarc = $12,
    dmarc_by_suffix = $13, policy = $14, reverse = $15, peer_name = $16, tricks = $17, differs = $18, sender = $19,
    trust_reason = $20, evidence = $21, evidence_more = $22 WHERE message_id = $23 AND next_at_ms IS NOT NULL";
const FAULT: &str = "UPDATE authentication SET state = $1, attempts = attempts + 1, begun = 0,
    first_at_ms = COALESCE(first_at_ms, $2), next_at_ms = $3, trust_reason = $4
    WHERE message_id = $5 AND next_at_ms IS NOT NULL";
const ONE: &str = "SELECT state, attempts, first_at_ms, verified_at_ms, next_at_ms, asked, header_from, spf, spf_domain,
    spf_helo, dkim, dkim_domains, arc, dmarc, dmarc_by_suffix, policy, reverse, peer_name, tricks, differs, sender,
    trust_reason, evidence, evidence_more FROM authentication WHERE message_id = $1";
const SEE_SELECTOR: &str =
    "INSERT INTO arrival_selector (domain, selector, first_at_ms, last_at_ms, messages)
    VALUES ($1, $2, $3, $3, 1) ON CONFLICT (domain, selector) DO UPDATE SET
    last_at_ms = MAX(last_at_ms, excluded.last_at_ms), messages = messages + 1";
const FORGET_SELECTORS: &str = "DELETE FROM arrival_selector WHERE domain = $1 AND selector NOT IN
    (SELECT selector FROM arrival_selector WHERE domain = $1 ORDER BY last_at_ms DESC, selector LIMIT $2)";
const SELECTOR_COUNT: &str = "SELECT COUNT(*) FROM arrival_selector";
const OLDEST_SELECTOR: &str = "DELETE FROM arrival_selector WHERE (domain, selector) IN
    (SELECT domain, selector FROM arrival_selector ORDER BY last_at_ms, domain, selector LIMIT 1)";

/// Where the verification of a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerificationState {
    /// Not tried yet.
    Waiting,
    /// DNS did not answer: it is tried again.
    Open,
    /// Final.
    Done,
}

impl VerificationState {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Open => "open",
            Self::Done => "done",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Open, Self::Done].into_iter().find(|state| state.as_str() == text)
    }
}

/// A message that is to be verified now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueVerification {
    /// The message.
    pub message: MessageId,
    /// Tries that ended.
    pub attempts: u32,
    /// Tries since then that began and did not end, because the process ended.
    pub begun: u32,
    /// When the first try ended.
    pub first_at: Option<Timestamp>,
    /// Its bytes.
    pub size_bytes: u64,
}

/// What a verification found, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedVerification {
    /// When to try again; absent: it is final.
    pub next_at: Option<Timestamp>,
    /// Questions asked of DNS.
    pub asked: usize,
    /// The results.
    pub words: Words,
    /// What they rest on.
    pub lines: Vec<Line>,
    /// Lines that were left out.
    pub lines_more: usize,
    /// Selectors that it teaches.
    pub selectors: Vec<SeenSelector>,
    /// How far the reports of the message can be believed; absent where that is still open, or it brought none.
    pub trust: Option<Trust>,
    /// The domain that authenticated, on which the trust rests.
    pub sender: Option<String>,
    /// Why, in words; empty where nothing was judged.
    pub trust_reason: String,
}

/// What is kept of the verification of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVerification {
    /// Where it stands.
    pub state: VerificationState,
    /// Tries so far.
    pub attempts: u32,
    /// When it was tried first.
    pub first_at: Option<Timestamp>,
    /// When it was tried last.
    pub verified_at: Option<Timestamp>,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// Questions asked of DNS the last time.
    pub asked: u64,
    /// The results; absent where it was not tried.
    pub words: Option<Words>,
    /// The domain that authenticated.
    pub sender: Option<String>,
    /// Why the reports can be believed or not, in words.
    pub trust_reason: Option<String>,
    /// The evidence.
    pub lines: Vec<Line>,
    /// Lines that were left out.
    pub lines_more: u64,
}

/// Puts a message that was read for the first time into the queue.
pub(super) fn enqueue(work: &Work<'_>, id: MessageId, received_at: Timestamp) -> Result<(), StoreError> {
    work.connection.prepare_cached(ENQUEUE)?.execute((received_at.day().0, id.0))?;
    Ok(())
}

/// See [`super::Store::note_verification`].
pub(super) fn note(
    writer: &Writer,
    message: MessageId,
    noted: NotedVerification,
    now: Timestamp,
) -> Result<(), StoreError> {
    writer.run(move |work| {
        let words = &noted.words;
        let state = if noted.next_at.is_some() { VerificationState::Open } else { VerificationState::Done };
        let written = work.connection.prepare_cached(NOTE)?.execute(rusqlite::params![
            state.as_str(),
            now.ms(),
            noted.next_at.map(Timestamp::ms),
            integer(noted.asked),
            words.header_from,
            words.spf,
            words.spf_domain,
            words.spf_helo,
            words.dkim,
            json_array(words.dkim_domains.iter().cloned()),
            words.arc,
            words.dmarc,
            words.dmarc_by_suffix,
            words.policy,
            words.reverse,
            words.peer_name,
            json_array(words.tricks.iter().cloned()),
            words.differs,
            noted.sender,
            Some(&noted.trust_reason).filter(|reason| !reason.is_empty()),
            write_lines(&noted.lines),
            integer(noted.lines_more),
            message.0,
        ])?;
        if written == 0 {
            // Removed, or finished by another process.
            return Ok(());
        }
        for seen in &noted.selectors {
            see_selector(work, seen, now)?;
        }
        if let Some(trust) = noted.trust {
            trust::settle(work, message, trust)?;
        }
        probe::verified(work, message, now)
    })
}

/// See [`super::Store::note_verification_fault`].
pub(super) fn note_fault(
    writer: &Writer,
    message: MessageId,
    reason: &str,
    next_at: Option<Timestamp>,
    trust: Option<Trust>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reason = reason.to_owned();
    writer.run(move |work| {
        let state = if next_at.is_some() { VerificationState::Open } else { VerificationState::Done };
        let row = (state.as_str(), now.ms(), next_at.map(Timestamp::ms), &reason, message.0);
        let written = work.connection.prepare_cached(FAULT)?.execute(row)?;
        if let Some(trust) = trust.filter(|_| written > 0) {
            trust::settle(work, message, trust)?;
        }
        Ok(())
    })
}

/// See [`super::Store::begin_verifications`].
pub(super) fn begin(writer: &Writer, messages: Vec<MessageId>) -> Result<(), StoreError> {
    each(writer, messages, BEGIN)
}

/// See [`super::Store::release_verifications`].
pub(super) fn release(writer: &Writer, messages: Vec<MessageId>) -> Result<(), StoreError> {
    each(writer, messages, RELEASE)
}

/// Runs a statement for each message, in one transaction.
fn each(writer: &Writer, messages: Vec<MessageId>, sql: &'static str) -> Result<(), StoreError> {
    writer.run(move |work| {
        let mut statement = work.connection.prepare_cached(sql)?;
        for message in &messages {
            statement.execute([message.0])?;
        }
        Ok(())
    })
}

/// See [`super::Store::postpone_verifications`].
pub(super) fn postpone(
    writer: &Writer,
    messages: Vec<MessageId>,
    until: Timestamp,
) -> Result<(), StoreError> {
    writer.run(move |work| {
        let mut statement = work.connection.prepare_cached(POSTPONE)?;
        for message in &messages {
            statement.execute((until.ms(), message.0))?;
        }
        Ok(())
    })
}

/// Notes a selector of a watched domain. Of one domain the most recent are kept, and of all a number.
fn see_selector(work: &mut Work<'_>, seen: &SeenSelector, now: Timestamp) -> Result<(), StoreError> {
    let Some(domain) = DomainName::parse(seen.domain.as_str()) else { return Ok(()) };
    if !unclaimed::is_claimed(work, Some(&domain))? {
        return Ok(());
    }
    let row = (domain.as_str(), &seen.selector, now.ms());
    work.connection.prepare_cached(SEE_SELECTOR)?.execute(row)?;
    work.connection.prepare_cached(FORGET_SELECTORS)?.execute((domain.as_str(), limits::LEARNT_SELECTORS))?;
    let all: u32 = work.connection.prepare_cached(SELECTOR_COUNT)?.query_row([], |row| row.get(0))?;
    if all > limits::ARRIVAL_SELECTORS {
        work.connection.prepare_cached(OLDEST_SELECTOR)?.execute([])?;
    }
    Ok(())
}

/// See [`super::Reader::due_verifications`].
pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DueVerification>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(DUE)?;
    let rows = statement.query_map((now.ms(), limit), |row| {
        Ok(DueVerification {
            message: MessageId(row.get(0)?),
            attempts: row.get(1)?,
            begun: row.get(2)?,
            first_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_ms),
            size_bytes: count(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::verification`].
pub(super) fn one(connection: &Connection, id: MessageId) -> Result<Option<StoredVerification>, StoreError> {
    Ok(connection.prepare_cached(ONE)?.query_row([id.0], read_one).optional()?)
}

/// Reads a row of [`ONE`].
fn read_one(row: &Row<'_>) -> rusqlite::Result<StoredVerification> {
    let instant = |at: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_ms))
    };
    let list = |at: usize| -> rusqlite::Result<Vec<String>> {
        Ok(row.get_ref(at)?.as_str_or_null()?.map(strings).unwrap_or_default())
    };
    let words = match row.get::<_, Option<String>>(7)? {
        None => None,
        Some(spf) => Some(Words {
            header_from: row.get(6)?,
            spf,
            spf_domain: row.get(8)?,
            spf_helo: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
            dkim: row.get::<_, Option<String>>(10)?.unwrap_or_default(),
            dkim_domains: list(11)?,
            arc: row.get::<_, Option<String>>(12)?.unwrap_or_default(),
            dmarc: row.get::<_, Option<String>>(13)?.unwrap_or_default(),
            dmarc_by_suffix: row.get(14)?,
            policy: row.get(15)?,
            reverse: row.get(16)?,
            peer_name: row.get(17)?,
            tricks: list(18)?,
            differs: row.get::<_, Option<bool>>(19)?.unwrap_or(false),
        }),
    };
    Ok(StoredVerification {
        state: VerificationState::parse(row.get_ref(0)?.as_str()?).unwrap_or(VerificationState::Waiting),
        attempts: row.get(1)?,
        first_at: instant(2)?,
        verified_at: instant(3)?,
        next_at: instant(4)?,
        asked: count(row.get::<_, Option<i64>>(5)?.unwrap_or(0)),
        words,
        sender: row.get(20)?,
        trust_reason: row.get(21)?,
        lines: row.get_ref(22)?.as_str_or_null()?.map(read_lines).unwrap_or_default(),
        lines_more: count(row.get::<_, Option<i64>>(23)?.unwrap_or(0)),
    })
}

/// A count for the database.
fn integer(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

// ---- Evidence as JSON ----

/// The evidence as a JSON array of objects.
fn write_lines(lines: &[Line]) -> String {
    use serde_json::{Map, Value};
    let object = |line: &Line| {
        let facts: Map<String, Value> =
            line.facts.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        let mut object = Map::new();
        for (name, value) in [
            ("method", &line.method),
            ("subject", &line.subject),
            ("result", &line.result),
            ("reason", &line.reason),
        ] {
            object.insert(name.to_owned(), Value::String(value.clone()));
        }
        object.insert("facts".to_owned(), Value::Object(facts));
        Value::Object(object)
    };
    Value::Array(lines.iter().map(object).collect()).to_string()
}

/// Reads what [`write_lines`] wrote.
pub(super) fn read_lines(text: &str) -> Vec<Line> {
    let Ok(serde_json::Value::Array(objects)) = serde_json::from_str(text) else { return Vec::new() };
    let text = |object: &serde_json::Value, name: &str| {
        object.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let facts = |object: &serde_json::Value| {
        let facts = object.get("facts").and_then(serde_json::Value::as_object);
        let pairs = facts.into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    };
    objects
        .iter()
        .map(|object| Line {
            method: text(object, "method"),
            subject: text(object, "subject"),
            result: text(object, "result"),
            reason: text(object, "reason"),
            facts: facts(object),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_read_as_it_was_written() {
        let line = Line {
            method: "dkim".to_owned(),
            subject: "example.com".to_owned(),
            result: "fail".to_owned(),
            reason: "\"quoted\" \u{e4}".to_owned(),
            facts: vec![
                ("code".to_owned(), "body-hash".to_owned()),
                ("selector".to_owned(), "s1".to_owned()),
            ],
        };
        let lines = vec![line, Line::default()];
        assert_eq!(read_lines(&write_lines(&lines)), lines);
        assert_eq!(read_lines("[1, {\"method\": 2}]").len(), 2);
        assert!(read_lines("{").is_empty());
    }
}
