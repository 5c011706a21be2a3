//! By what a message is found: the addresses of its envelope and of its author, and the mails that it names.
//!
//! Written when a message is read, so that the intake does not pay for it. A message that was never read is found by its own
//! row (`read/trace.rs`).

use std::collections::BTreeMap;

use super::StoreError;
use super::read::strings;
use super::writer::Work;
use crate::mail::{Address, MessageId};

const ENVELOPE: &str = "SELECT mail_from, rcpt_to, header_from FROM message WHERE message_id = $1";
const INSERT: &str = "INSERT INTO message_party (domain, local, message_id, roles) VALUES ($1, $2, $3, $4)
    ON CONFLICT (domain, local, message_id) DO UPDATE SET roles = excluded.roles";
const DELETE: &str = "DELETE FROM message_party WHERE domain = $1 AND local = $2 AND message_id = $3";
const INSERT_REFERENCE: &str =
    "INSERT INTO message_reference (reference, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const DELETE_REFERENCES: &str = "DELETE FROM message_reference WHERE message_id = $1";

/// The reverse-path.
pub(super) const MAIL_FROM: i64 = 1;
/// The author.
pub(super) const AUTHOR: i64 = 2;
/// A recipient.
pub(super) const RECIPIENT: i64 = 4;

/// The parties of a message by domain and local part, each with its roles.
type Parties = BTreeMap<(String, String), i64>;

/// Notes by what a message is found; its row must hold the author already.
pub(super) fn note(work: &Work<'_>, id: MessageId, references: &[String]) -> Result<(), StoreError> {
    let mut insert = work.connection.prepare_cached(INSERT)?;
    for ((domain, local), roles) in parties(work, id)? {
        insert.execute((domain, local, id.0, roles))?;
    }
    let mut insert = work.connection.prepare_cached(INSERT_REFERENCE)?;
    for reference in references {
        insert.execute((reference, id.0))?;
    }
    Ok(())
}

/// Takes it back: before the row of the message changes or goes.
pub(super) fn forget(work: &Work<'_>, id: MessageId) -> Result<(), StoreError> {
    let mut delete = work.connection.prepare_cached(DELETE)?;
    for ((domain, local), _) in parties(work, id)? {
        delete.execute((domain, local, id.0))?;
    }
    work.connection.prepare_cached(DELETE_REFERENCES)?.execute([id.0])?;
    Ok(())
}

/// The parties that the row of a message names; none without a row.
fn parties(work: &Work<'_>, id: MessageId) -> Result<Parties, StoreError> {
    let mut parties = Parties::new();
    let mut statement = work.connection.prepare_cached(ENVELOPE)?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(parties) };
    let mut add = |text: &str, role: i64| *parties.entry(split(text)).or_default() |= role;
    if let Some(from) = row.get_ref(0)?.as_str_or_null()? {
        add(from, MAIL_FROM);
    }
    for to in strings(row.get_ref(1)?.as_str()?) {
        add(&to, RECIPIENT);
    }
    if let Some(author) = row.get_ref(2)?.as_str_or_null()? {
        add(author, AUTHOR);
    }
    Ok(parties)
}

/// Domain and local part of an address in lower case; both empty for the null reverse-path.
fn split(text: &str) -> (String, String) {
    if text == "<>" {
        return (String::new(), String::new());
    }
    match Address::parse(text) {
        Some(address) => (address.domain.unwrap_or_default().to_lowercase(), address.local.to_lowercase()),
        // What is no address has no domain; it is kept as it is.
        None => (String::new(), text.to_lowercase()),
    }
}
