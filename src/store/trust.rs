//! The trust of what a message brought, once its verdict is known.

use rusqlite::OptionalExtension;

use super::writer::Work;
use super::{MessageId, StoreError, aggregate, failure, reprocess, tls};
use crate::summary::Trust;
use crate::summary::trust::{names_sender, organizational_domain};

const STORED: &str = "SELECT trust FROM message WHERE message_id = $1";
const SET_MESSAGE: &str = "UPDATE message SET trust = $1 WHERE message_id = $2";
const SET_REPORTS: [&str; 3] = [
    "UPDATE report SET own_trust = $1 WHERE message_id = $2",
    "UPDATE tls_report SET own_trust = $1 WHERE message_id = $2",
    "UPDATE failure_report SET trust = $1 WHERE message_id = $2",
];
const SENDER: &str = "SELECT sender FROM authentication WHERE message_id = $1";
const REPORTERS: &str = "SELECT domain_id, day, report_id, org_name, email FROM report WHERE message_id = $1";
const SET_SENDER: &str =
    "UPDATE report SET sender = $1, names_sender = $2 WHERE domain_id = $3 AND day = $4 AND report_id = $5";
const TLS_REPORTERS: &str =
    "SELECT domain_id, day, report_id, organization_name, contact_info FROM tls_report WHERE message_id = $1";
const SET_TLS_SENDER: &str = "UPDATE tls_report SET sender = $1, names_sender = $2
    WHERE domain_id = $3 AND day = $4 AND report_id = $5";

/// Notes the verdict on a message within the open transaction: of the message, of all reports that it brought, and of
/// what counts under their keys. Sums move with it, to the message. False if the message is not there.
///
/// A message that waits to be read keeps its verdict for what the reading will bring. Reports whose rows went for
/// their age count as they did. Can be repeated, and in any order with other messages: the end is the same.
pub(super) fn settle(work: &mut Work<'_>, id: MessageId, trust: Trust) -> Result<bool, StoreError> {
    let word = trust.as_str();
    if work.connection.prepare_cached(SET_MESSAGE)?.execute((word, id.0))? == 0 {
        return Ok(false);
    }
    for sql in SET_REPORTS {
        work.connection.prepare_cached(sql)?.execute((word, id.0))?;
    }
    if let Some(sender) = sender(work, id)? {
        set_sender(work, id, &sender)?;
    }
    let mut orphans = Vec::new();
    for key in aggregate::keys_of_message(work, id)? {
        orphans.extend(aggregate::settle(work, &key, None)?.orphans);
    }
    for key in tls::keys_of_message(work, id)? {
        orphans.extend(tls::settle(work, &key)?.orphans);
    }
    for key in failure::keys_of_message(work, id)? {
        orphans.extend(failure::settle(work, &key)?.promoted);
    }
    for orphan in orphans {
        reprocess::mark_one(work, orphan)?;
    }
    Ok(true)
}

/// The organizational domain that authenticated, where verification says so: it is known better than from the From field.
pub(super) fn sender(work: &Work<'_>, id: MessageId) -> Result<Option<String>, StoreError> {
    let stored: Option<Option<String>> =
        work.connection.prepare_cached(SENDER)?.query_row([id.0], |row| row.get(0)).optional()?;
    Ok(stored.flatten().as_deref().and_then(organizational_domain))
}

/// Writes by which organizational domain the reports of a message were sent, and whether they name it.
fn set_sender(work: &Work<'_>, id: MessageId, sender: &str) -> Result<(), StoreError> {
    /// A report's place, its reporter's name and contact.
    type Named = (i64, i32, i64, Option<String>, Option<String>);
    for (select, update) in [(REPORTERS, SET_SENDER), (TLS_REPORTERS, SET_TLS_SENDER)] {
        let found: Vec<Named> = {
            let mut statement = work.connection.prepare_cached(select)?;
            let rows = statement.query_map([id.0], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        let mut statement = work.connection.prepare_cached(update)?;
        for (domain_id, day, report_id, name, contact) in found {
            let names = names_sender(Some(sender), name.as_deref(), contact.as_deref());
            statement.execute((sender, names, domain_id, day, report_id))?;
        }
    }
    Ok(())
}

/// The verdict on a message, if there is one: reading it again does not undo it.
pub(super) fn verdict(work: &Work<'_>, id: MessageId) -> Result<Option<Trust>, StoreError> {
    let stored: Option<Option<String>> =
        work.connection.prepare_cached(STORED)?.query_row([id.0], |row| row.get(0)).optional()?;
    Ok(stored.flatten().as_deref().and_then(Trust::parse).filter(|trust| trust.is_verdict()))
}
