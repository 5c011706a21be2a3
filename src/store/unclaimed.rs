//! Reports for domains that are not watched: kept apart, in no total.

use rusqlite::Connection;

use super::read::{below_pattern, count};
use super::writer::Work;
use super::{MessageId, StoreError, domain, record, reprocess};
use crate::limits;
use crate::mail::DomainName;

const DOMAINS: &str = "SELECT DISTINCT domain FROM unclaimed";
const INSERT: &str = "INSERT INTO unclaimed (domain, message_id, seq, messages) VALUES ($1, $2, $3, $4)";
const MESSAGES: &str = "SELECT DISTINCT message_id FROM unclaimed
    WHERE domain = $1 OR domain LIKE $2 ESCAPE '!' OR domain = '' ORDER BY message_id";
const LIST: &str = "SELECT domain, COUNT(*), CAST(SUM(messages) AS INTEGER) FROM unclaimed GROUP BY domain
    ORDER BY SUM(messages) DESC, domain";

/// A domain that is not watched and of which reports came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnclaimedDomain {
    /// Its name; `None` for all beyond [`limits::UNCLAIMED_DOMAINS`].
    pub domain: Option<String>,
    /// Reports.
    pub reports: u64,
    /// Messages in them, as reported.
    pub messages: u64,
}

/// True if reports for `domain` count; one that names no domain does where all are watched.
pub(super) fn is_claimed(work: &mut Work<'_>, domain: Option<&DomainName>) -> Result<bool, StoreError> {
    match domain {
        Some(domain) => domain::is_watched(work, domain),
        None => Ok(work.options.watch_all),
    }
}

/// Notes a report for a domain that is not watched; '' where it names none.
pub(super) fn store(
    work: &mut Work<'_>,
    id: MessageId,
    seq: i64,
    domain: &str,
    messages: u64,
) -> Result<(), StoreError> {
    if work.cache.unclaimed.is_none() {
        work.cache.unclaimed = Some(domain::names(work.connection, DOMAINS)?);
    }
    let name = domain;
    let known = work.cache.unclaimed.get_or_insert_default();
    let name = if known.contains(name) {
        name
    } else if known.len() < limits::UNCLAIMED_DOMAINS {
        known.insert(name.to_owned());
        name
    } else {
        ""
    };
    let row = (name, id.0, seq, record::integer(messages));
    work.connection.prepare_cached(INSERT)?.execute(row)?;
    Ok(())
}

/// Makes the messages with reports for a domain, or one below it, pending again. Returns their number.
pub(super) fn claim(work: &Work<'_>, name: &str) -> Result<u64, StoreError> {
    let ids: Vec<i64> = {
        let mut statement = work.connection.prepare_cached(MESSAGES)?;
        let rows = statement.query_map((name, below_pattern(name)), |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut marked = 0;
    for id in ids {
        marked += reprocess::mark_one(work, MessageId(id))?;
    }
    Ok(marked)
}

/// See [`super::Reader::unclaimed`].
pub(super) fn list(connection: &Connection) -> Result<Vec<UnclaimedDomain>, StoreError> {
    let mut statement = connection.prepare_cached(LIST)?;
    let rows = statement.query_map([], |row| {
        let name: String = row.get(0)?;
        Ok(UnclaimedDomain {
            domain: if name.is_empty() { None } else { Some(name) },
            reports: count(row.get(1)?),
            messages: count(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
