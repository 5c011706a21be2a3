//! Policy domains: which are watched.

use std::collections::HashSet;

use rusqlite::Connection;

use super::read::count;
use super::writer::{Work, Writer};
use super::{StoreError, intern, unclaimed};
use crate::mail::DomainName;

const WATCHED: &str = "SELECT name FROM domain WHERE is_configured = 1 OR is_added = 1";
const CONFIGURED: &str = "SELECT name FROM domain WHERE is_configured = 1";
const SET_CONFIGURED: &str = "UPDATE domain SET is_configured = $1 WHERE name = $2";
const SET_ADDED: &str = "UPDATE domain SET is_added = 1 WHERE name = $1";
const LIST: &str = "SELECT d.name, d.is_configured, d.is_added,
    (SELECT COALESCE(SUM(r.reports), 0) FROM report_rollup AS r WHERE r.domain_id = d.domain_id),
    (SELECT COALESCE(SUM(u.messages), 0) FROM rollup AS u WHERE u.domain_id = d.domain_id),
    (SELECT COUNT(*) FROM tls_report AS t WHERE t.domain_id = d.domain_id AND t.status = 'counted'),
    (SELECT COUNT(*) FROM failure_report AS q WHERE q.domain_id = d.domain_id AND q.status = 'counted')
    FROM domain AS d ORDER BY d.name";

/// A domain as `domains list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedDomain {
    /// Its name.
    pub name: String,
    /// True if the configuration names it.
    pub is_configured: bool,
    /// True if `domains add` named it.
    pub is_added: bool,
    /// Aggregate reports counted.
    pub reports: u64,
    /// Messages in them.
    pub messages: u64,
    /// TLS reports counted.
    pub tls_reports: u64,
    /// Failure reports and complaints counted.
    pub failure_reports: u64,
}

/// See [`super::Store::set_watched`].
pub(super) fn set_watched(writer: &Writer, domains: &[DomainName]) -> Result<u64, StoreError> {
    let wanted: Vec<String> = domains.iter().map(|domain| domain.as_str().to_owned()).collect();
    writer.run(move |work| {
        let before: HashSet<String> = names(work.connection, CONFIGURED)?;
        let mut marked = 0;
        for name in before.iter().filter(|name| !wanted.contains(name)) {
            work.connection.prepare_cached(SET_CONFIGURED)?.execute((false, name))?;
        }
        for name in wanted.iter().filter(|name| !before.contains(*name)) {
            intern::domain(work, name)?;
            work.connection.prepare_cached(SET_CONFIGURED)?.execute((true, name))?;
            marked += unclaimed::claim(work, name)?;
        }
        work.cache.watched = None;
        Ok(marked)
    })
}

/// See [`super::Store::add_domain`].
pub(super) fn add(writer: &Writer, domain: &DomainName) -> Result<u64, StoreError> {
    let name = domain.as_str().to_owned();
    writer.run(move |work| {
        intern::domain(work, &name)?;
        work.connection.prepare_cached(SET_ADDED)?.execute([&name])?;
        work.cache.watched = None;
        unclaimed::claim(work, &name)
    })
}

/// True if `domain` or one above it is watched.
pub(super) fn is_watched(work: &mut Work<'_>, domain: &DomainName) -> Result<bool, StoreError> {
    if work.options.watch_all {
        return Ok(true);
    }
    if work.cache.watched.is_none() {
        work.cache.watched = Some(names(work.connection, WATCHED)?);
    }
    let watched = work.cache.watched.as_ref();
    let mut name = domain.as_str();
    loop {
        if watched.is_some_and(|watched| watched.contains(name)) {
            return Ok(true);
        }
        match name.split_once('.') {
            Some((_, parent)) => name = parent,
            None => return Ok(false),
        }
    }
}

/// Names that a statement without parameters selects.
pub(super) fn names(connection: &Connection, sql: &'static str) -> Result<HashSet<String>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::watched`].
pub(super) fn list(connection: &Connection) -> Result<Vec<WatchedDomain>, StoreError> {
    let mut statement = connection.prepare_cached(LIST)?;
    let rows = statement.query_map([], |row| {
        Ok(WatchedDomain {
            name: row.get(0)?,
            is_configured: row.get(1)?,
            is_added: row.get(2)?,
            reports: count(row.get(3)?),
            messages: count(row.get(4)?),
            tls_reports: count(row.get(5)?),
            failure_reports: count(row.get(6)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
