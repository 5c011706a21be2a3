//! Received messages as they are shown.

use std::net::SocketAddr;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::{MessageStatus, StoreError, source};
use super::scope::{self, SortKey};
use super::trace::{self, Selection};
use crate::classify::MessageKind;
use crate::clock::Timestamp;
use crate::mail::{
    Address, DomainName, Envelope, MessageId, Origin, PeerSource, Purpose, ReversePath, TlsSession,
};
use crate::summary::{Answer, MessageRow, MessageTotals, Query, Trust, TrustAsked};

const PENDING: &str = "SELECT message_id FROM message WHERE status = 'pending' AND message_id > $1
    ORDER BY message_id LIMIT $2";
const ONE: &str = "SELECT message_id, received_at_ms, origin, purposes, file_name, peer_ip, peer_port, helo,
    is_esmtp, tls_version, tls_cipher, tls_server_name, mail_from, rcpt_to, size_bytes, sha256, status, kind,
    reason, duplicate_of, deviations, header_message_id, subject, header_from, trust, parser_version, read_at_ms,
    peer_source, relay_ip FROM message WHERE message_id = $1";

const SAME_READ: &str = "SELECT m.message_id FROM message AS m WHERE m.sha256 = $1 AND m.status <> 'pending'
    AND (EXISTS (SELECT 1 FROM report AS r WHERE r.message_id = m.message_id)
        OR EXISTS (SELECT 1 FROM tls_report AS t WHERE t.message_id = m.message_id)
        OR EXISTS (SELECT 1 FROM failure_report AS q WHERE q.message_id = m.message_id)
        OR EXISTS (SELECT 1 FROM bounce AS b WHERE b.message_id = m.message_id))
    ORDER BY m.message_id LIMIT 1";

/// Everything known of one message but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its id.
    pub id: MessageId,
    /// Its envelope.
    pub envelope: Envelope,
    /// What its recipients are for.
    pub purposes: Vec<Purpose>,
    /// The name of an imported file that is no mail.
    pub file_name: Option<String>,
    /// Bytes as received.
    pub size_bytes: u64,
    /// SHA-256 of the bytes as received.
    pub sha256: [u8; 32],
    /// Its status.
    pub status: MessageStatus,
    /// What it is; `None` while it was never read.
    pub kind: Option<MessageKind>,
    /// Why it has its status.
    pub reason: Option<String>,
    /// The message of which it is a copy.
    pub duplicate_of: Option<MessageId>,
    /// Names of deviations.
    pub deviations: Vec<String>,
    /// The Message-ID field.
    pub message_id: Option<String>,
    /// The Subject field.
    pub subject: Option<String>,
    /// The address in the From field.
    pub header_from: Option<String>,
    /// How far its reports can be believed.
    pub trust: Option<Trust>,
    /// The version of the reader that read it last.
    pub parser_version: Option<u32>,
    /// When it was read last.
    pub read_at: Option<Timestamp>,
}

/// Messages that wait to be read.
pub(super) fn pending(
    connection: &Connection,
    after: Option<MessageId>,
    limit: usize,
) -> Result<Vec<MessageId>, StoreError> {
    let after = after.map_or(-1, |id| id.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(PENDING)?;
    let ids = statement.query_map((after, limit), |row| row.get(0).map(MessageId))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::find_same`].
pub(super) fn find_same(connection: &Connection, sha256: &[u8; 32]) -> Result<Option<MessageId>, StoreError> {
    let found =
        connection.prepare_cached(SAME_READ)?.query_row([&sha256[..]], |row| row.get(0).map(MessageId));
    Ok(found.optional()?)
}

/// One message.
pub(super) fn one(connection: &Connection, id: MessageId) -> Result<StoredMessage, StoreError> {
    connection
        .prepare_cached(ONE)?
        .query_row([id.0], read_one)
        .optional()?
        .ok_or_else(|| StoreError::NotFound(format!("message {id}")))
}

/// Reads a row of [`ONE`].
fn read_one(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    let peer_ip: Option<Vec<u8>> = row.get(5)?;
    let peer_port: Option<u16> = row.get(6)?;
    let peer = match (peer_ip.as_deref().and_then(source::read_ip), peer_port) {
        (Some(ip), port) => Some(SocketAddr::new(ip, port.unwrap_or(0))),
        _ => None,
    };
    let relay_ip: Option<Vec<u8>> = row.get(28)?;
    let tls = match (row.get::<_, Option<String>>(9)?, row.get::<_, Option<String>>(10)?) {
        (Some(version), Some(cipher)) => Some(TlsSession { version, cipher, server_name: row.get(11)? }),
        _ => None,
    };
    let mail_from = row.get::<_, Option<String>>(12)?.and_then(|text| match text.as_str() {
        "<>" => Some(ReversePath::Null),
        text => Address::parse(text).map(ReversePath::Address),
    });
    let origin = match row.get_ref(2)?.as_str()? {
        "smtp" => Origin::Smtp,
        "mailbox" => Origin::Mailbox,
        _ => Origin::Import,
    };
    Ok(StoredMessage {
        id: MessageId(row.get(0)?),
        envelope: Envelope {
            origin,
            received_at: Timestamp::from_ms(row.get(1)?),
            peer,
            peer_source: row.get_ref(27)?.as_str_or_null()?.and_then(PeerSource::parse),
            relay: relay_ip.as_deref().and_then(source::read_ip),
            helo: row.get(7)?,
            is_esmtp: row.get(8)?,
            tls,
            mail_from,
            rcpt_to: strings(row.get_ref(13)?.as_str()?)
                .iter()
                .filter_map(|text| Address::parse(text))
                .collect(),
        },
        purposes: row.get_ref(3)?.as_str()?.split(' ').filter_map(Purpose::parse).collect(),
        file_name: row.get(4)?,
        size_bytes: count(row.get(14)?),
        sha256: row.get(15)?,
        status: MessageStatus::parse(row.get_ref(16)?.as_str()?).unwrap_or(MessageStatus::Pending),
        kind: row.get_ref(17)?.as_str_or_null()?.and_then(MessageKind::parse),
        reason: row.get(18)?,
        duplicate_of: row.get::<_, Option<i64>>(19)?.map(MessageId),
        deviations: row.get_ref(20)?.as_str_or_null()?.map(strings).unwrap_or_default(),
        message_id: row.get(21)?,
        subject: row.get(22)?,
        header_from: row.get(23)?,
        trust: row.get_ref(24)?.as_str_or_null()?.and_then(Trust::parse),
        parser_version: row.get(25)?,
        read_at: row.get::<_, Option<i64>>(26)?.map(Timestamp::from_ms),
    })
}

/// Reads a JSON array of strings as [`super::super::message::json_array`] wrote it.
pub(in super::super) fn strings(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// A count from the database.
pub(in super::super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

// ---- The list ----

/// What a row of the list is made of, as [`to_row`] reads it.
const COLUMNS: &str = "m.message_id, m.received_at_ms, m.origin, m.kind, m.status, m.reason, m.deviations,
    m.peer_ip, m.helo, m.tls_version, m.mail_from, m.rcpt_to, m.header_message_id, m.subject, m.size_bytes,
    m.peer_source, m.relay_ip, m.trust,
    (SELECT a.trust_reason FROM authentication AS a WHERE a.message_id = m.message_id), m.header_from";
/// The filters that no index serves, and the order.
const FILTERS: &str = "WHERE ($1 IS NULL OR m.received_at_ms >= $1) AND ($2 IS NULL OR m.received_at_ms < $2)
    AND ($3 IS NULL OR m.status = $3 OR m.kind = $3 OR m.trust = $3 OR ($3 = 'untrusted'
        AND (m.trust = 'failed' AND m.kind IN ('aggregate', 'tls', 'failure') OR m.trust = 'unverified' AND m.kind = 'tls')))
    AND ($4 IS NULL OR EXISTS (SELECT 1 FROM report AS r JOIN domain AS d ON d.domain_id = r.domain_id
        WHERE r.message_id = m.message_id AND (d.name = $4 OR d.name LIKE $5 ESCAPE '!'))
        OR EXISTS (SELECT 1 FROM tls_report AS t JOIN domain AS d ON d.domain_id = t.domain_id
        WHERE t.message_id = m.message_id AND (d.name = $4 OR d.name LIKE $5 ESCAPE '!'))
        OR EXISTS (SELECT 1 FROM failure_report AS q JOIN domain AS d ON d.domain_id = q.domain_id
        WHERE q.message_id = m.message_id AND (d.name = $4 OR d.name LIKE $5 ESCAPE '!')))
    AND ($6 IS NULL OR EXISTS (SELECT 1 FROM report AS r JOIN reporter AS p ON p.reporter_id = r.reporter_id
        WHERE r.message_id = m.message_id AND p.name_key LIKE $6 ESCAPE '!')
        OR EXISTS (SELECT 1 FROM tls_report AS t JOIN reporter AS p ON p.reporter_id = t.reporter_id
        WHERE t.message_id = m.message_id AND p.name_key LIKE $6 ESCAPE '!'))
    AND ($7 = 0 OR m.trust = 'verified') AND ($8 IS NULL OR m.kind = $8) AND ($9 IS NULL OR m.status = $9)
    ORDER BY m.received_at_ms DESC, m.message_id DESC";

/// The statement of the list.
pub(super) fn list_sql(selection: &Selection) -> String {
    let filters = trace::shifted(FILTERS, selection.values.len());
    format!("SELECT {COLUMNS} FROM {} {filters}", selection.from)
}

/// See [`super::Reader::messages`].
///
/// The domain and the reporter are those of reports in the message, the source is the peer, the result a
/// status or a kind. Memory: twice the limit in rows, whatever the number of messages.
pub(super) fn messages(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<MessageRow, MessageTotals>, StoreError> {
    let limit = query.limit.unwrap_or(crate::limits::ANSWER_ROWS);
    let domain = query.domain.as_ref().map(DomainName::as_str);
    let selection = Selection::of(connection, query)?;
    let mut statement = connection.prepare_cached(&list_sql(&selection))?;
    let text = |text: Option<&str>| Value::from(text.map(str::to_owned));
    let filters = [
        Value::from(query.period.since_ms),
        Value::from(query.period.until_ms),
        text(query.result.as_deref()),
        text(domain),
        Value::from(domain.map(scope::below_pattern)),
        Value::from(query.reporter.as_deref().map(scope::holds_pattern)),
        Value::from(query.trust == TrustAsked::Verified),
        text(query.trace.kind.as_deref()),
        text(query.trace.status.as_deref()),
    ];
    let mut found = statement.query(rusqlite::params_from_iter(selection.values.iter().chain(&filters)))?;
    let mut rows = Vec::new();
    let mut totals = MessageTotals::default();
    let (mut first, mut last) = (None, None);
    while let Some(row) = found.next()? {
        let received_at = Timestamp::from_ms(row.get(1)?);
        // The newest comes first.
        last = last.or(Some(received_at));
        first = Some(received_at);
        totals.messages += 1;
        totals.size_bytes = totals.size_bytes.saturating_add(count(row.get(14)?));
        let by_status = match MessageStatus::parse(row.get_ref(4)?.as_str()?) {
            Some(MessageStatus::Read) => &mut totals.read,
            Some(MessageStatus::Duplicate) => &mut totals.duplicate,
            Some(MessageStatus::Unread) => &mut totals.unread,
            Some(MessageStatus::Kept) => &mut totals.kept,
            Some(MessageStatus::Pending) | None => &mut totals.pending,
        };
        *by_status += 1;
        if query.sort.is_none() && rows.len() >= limit {
            continue;
        }
        rows.push(to_row(row, received_at)?);
        if query.sort.is_some() && rows.len() >= limit.saturating_mul(2).max(1_000) {
            scope::sort(&mut rows, query, key_of);
            rows.truncate(limit);
        }
    }
    scope::sort(&mut rows, query, key_of);
    rows.truncate(limit);
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let cut = totals.messages.saturating_sub(shown);
    Ok(Answer { rows, totals, first, last, trust: None, cut, notes: selection.notes })
}

/// Reads a row of [`COLUMNS`].
fn to_row(row: &Row<'_>, received_at: Timestamp) -> Result<MessageRow, StoreError> {
    let peer_ip = row.get_ref(7)?.as_blob_or_null()?.and_then(source::read_ip);
    let relay_ip = row.get_ref(16)?.as_blob_or_null()?.and_then(source::read_ip);
    let (kind, trust): (Option<String>, Option<String>) = (row.get(3)?, row.get(17)?);
    Ok(MessageRow {
        id: MessageId(row.get(0)?).to_string(),
        received_at,
        origin: row.get(2)?,
        reason: reason(row.get(5)?, kind.as_deref(), trust.as_deref(), row.get(18)?),
        kind,
        status: row.get(4)?,
        trust,
        deviations: row.get_ref(6)?.as_str_or_null()?.map(strings).unwrap_or_default(),
        peer_ip: peer_ip.map(|ip| ip.to_string()),
        peer_source: row.get(15)?,
        relay_ip: relay_ip.map(|ip| ip.to_string()),
        helo: row.get(8)?,
        tls_version: row.get(9)?,
        mail_from: row.get(10)?,
        rcpt_to: strings(row.get_ref(11)?.as_str()?),
        message_id: row.get(12)?,
        header_from: row.get(19)?,
        subject: row.get(13)?,
        size_bytes: count(row.get(14)?),
    })
}

/// Why a mail has its status, and why its reports do not count.
fn reason(
    reason: Option<String>,
    kind: Option<&str>,
    trust: Option<&str>,
    found: Option<String>,
) -> Option<String> {
    let why = match (kind, trust) {
        (Some("tls"), Some("failed" | "unverified")) => {
            "not counted: no valid DKIM signature by the reporter (RFC 8460 section 3)"
        }
        (Some("aggregate" | "failure"), Some("failed")) => "not counted: the mail failed authentication",
        _ => return reason,
    };
    let why = found.map_or_else(|| why.to_owned(), |found| format!("{why}: {found}"));
    Some(reason.map_or_else(|| why.clone(), |reason| format!("{reason}; {why}")))
}

/// What a column is sorted by.
fn key_of(row: &MessageRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "id" => SortKey::Number(MessageId::parse(&row.id).map_or(0, |id| id.0.into())),
        "received_at" => row.received_at.into(),
        "origin" => SortKey::from(row.origin.as_str()),
        "kind" => SortKey::from(&row.kind),
        "status" => SortKey::from(row.status.as_str()),
        "reason" => SortKey::from(&row.reason),
        "trust" => SortKey::from(&row.trust),
        "deviations" => SortKey::List(row.deviations.clone()),
        "peer_ip" => SortKey::from(&row.peer_ip),
        "peer_source" => SortKey::from(&row.peer_source),
        "relay_ip" => SortKey::from(&row.relay_ip),
        "helo" => SortKey::from(&row.helo),
        "tls_version" => SortKey::from(&row.tls_version),
        "mail_from" => SortKey::from(&row.mail_from),
        "rcpt_to" => SortKey::List(row.rcpt_to.clone()),
        "message_id" => SortKey::from(&row.message_id),
        "header_from" => SortKey::from(&row.header_from),
        "subject" => SortKey::from(&row.subject),
        "size_bytes" => row.size_bytes.into(),
        _ => return None,
    })
}
