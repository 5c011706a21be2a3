//! What reports teach of a domain: the selectors and the sources of its mail.
//!
//! Strangers do not steer us: only reports that authenticated or that the user imported count, and only what
//! receivers say passed.

use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension as _};

use super::super::{StoreError, source};
use crate::clock::Day;
use crate::limits;
use crate::mail::DomainName;

const DOMAIN: &str = "SELECT domain_id FROM domain WHERE name = $1";
const SELECTORS: &str = "SELECT LOWER(a.selector) FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    JOIN auth_result AS a ON a.auth_set_id = c.auth_set_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.status = 'counted' AND r.trust IN ('verified', 'imported')
    AND a.method = 'dkim' AND a.result = 'pass' AND a.domain = $3 AND a.selector IS NOT NULL
    GROUP BY LOWER(a.selector) ORDER BY SUM(COALESCE(c.count, 0)) DESC, LOWER(a.selector) LIMIT $4";
const SOURCES: &str = "SELECT c.source FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.status = 'counted' AND r.trust IN ('verified', 'imported')
    AND (c.dkim = 'pass' OR c.spf = 'pass') AND c.source IS NOT NULL
    GROUP BY c.source ORDER BY SUM(COALESCE(c.count, 0)) DESC, c.source LIMIT $3";

/// The policy domain whose reports speak of a domain: itself, or one above it.
pub(super) fn policy_domain(connection: &Connection, domain: &DomainName) -> Result<Option<i64>, StoreError> {
    let mut name = domain.as_str();
    loop {
        let id = connection.prepare_cached(DOMAIN)?.query_row([name], |row| row.get(0)).optional()?;
        match (id, name.split_once('.')) {
            (None, Some((_, parent))) => name = parent,
            (id, _) => return Ok(id),
        }
    }
}

/// The first day that teaches.
pub(super) fn since(today: Day) -> i32 {
    today.0.saturating_sub(limits::LEARNT_DAYS)
}

/// See [`super::Reader::learnt_selectors`].
pub(super) fn selectors(
    connection: &Connection,
    domain: &DomainName,
    today: Day,
) -> Result<Vec<String>, StoreError> {
    let Some(domain_id) = policy_domain(connection, domain)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(SELECTORS)?;
    let parameters = (domain_id, since(today), domain.as_str(), limits::LEARNT_SELECTORS);
    let rows = statement.query_map(parameters, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::learnt_sources`].
pub(super) fn sources(
    connection: &Connection,
    domain: &DomainName,
    today: Day,
) -> Result<Vec<IpAddr>, StoreError> {
    let Some(domain_id) = policy_domain(connection, domain)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(SOURCES)?;
    let rows = statement
        .query_map((domain_id, since(today), limits::LEARNT_SOURCES), |row| row.get::<_, Vec<u8>>(0))?;
    let rows: Vec<Vec<u8>> = rows.collect::<Result<_, _>>()?;
    // What a reporter wrote in place of an address teaches nothing.
    Ok(rows.iter().filter_map(|bytes| source::read_ip(bytes)).collect())
}
