//! Answers record by record.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Row};

use super::super::{StoreError, source, source_name};
use super::message::count;
use super::scope::{self, Range, ReportKind, Scope, SortKey, trust_of};
use crate::clock::Timestamp;
use crate::summary::{Answer, AuthResultRow, Query, RecordRow, RecordTotals};

const ROWS: &str = "SELECT r.reporter_id, r.org_name, r.written_id, r.begin_at, r.end_at, c.source, c.count,
    c.disposition, c.dkim, c.spf, h.name, f.name, t.name, c.auth_set_id, c.reason_set_id, c.header_from_id,
    r.trust FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    JOIN name AS h ON h.name_id = c.header_from_id
    LEFT JOIN name AS f ON f.name_id = c.envelope_from_id
    LEFT JOIN name AS t ON t.name_id = c.envelope_to_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.day <= $3 AND r.status = 'counted'
    AND ($4 = 0 OR r.is_future = 0) AND ($5 IS NULL OR c.source = $5)
    ORDER BY r.day, r.report_id, c.seq";
const AUTH_RESULTS: &str = "SELECT method, domain, selector, scope, result, written FROM auth_result
    WHERE auth_set_id = $1 ORDER BY seq";
const REASONS: &str = "SELECT type, comment FROM reason WHERE reason_set_id = $1 ORDER BY seq";

/// Lists kept in memory while rows are read.
const LISTS: usize = 10_000;

/// The parts of rows that many rows share.
pub(super) struct Lists<'a> {
    connection: &'a Connection,
    auth_results: HashMap<i64, Vec<AuthResultRow>>,
    reasons: HashMap<i64, Vec<(String, Option<String>)>>,
    names: HashMap<Vec<u8>, Option<String>>,
}

impl<'a> Lists<'a> {
    /// No list yet.
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, auth_results: HashMap::new(), reasons: HashMap::new(), names: HashMap::new() }
    }

    /// The raw results of a list.
    pub(super) fn auth_results(&mut self, id: Option<i64>) -> Result<Vec<AuthResultRow>, StoreError> {
        let Some(id) = id else { return Ok(Vec::new()) };
        if let Some(known) = self.auth_results.get(&id) {
            return Ok(known.clone());
        }
        let mut statement = self.connection.prepare_cached(AUTH_RESULTS)?;
        let rows = statement.query_map([id], |row| {
            Ok(AuthResultRow {
                method: if row.get_ref(0)?.as_str()? == "spf" { "spf" } else { "dkim" },
                domain: row.get(1)?,
                selector: row.get(2)?,
                scope: row.get(3)?,
                result: row.get(4)?,
                written: row.get(5)?,
            })
        })?;
        let list: Vec<AuthResultRow> = rows.collect::<Result<_, _>>()?;
        if self.auth_results.len() >= LISTS {
            self.auth_results.clear();
        }
        self.auth_results.insert(id, list.clone());
        Ok(list)
    }

    /// The name of a source address.
    pub(super) fn source_name(&mut self, address: &[u8]) -> Result<Option<String>, StoreError> {
        if let Some(known) = self.names.get(address) {
            return Ok(known.clone());
        }
        let name = source_name::name(self.connection, address)?;
        if self.names.len() >= LISTS {
            self.names.clear();
        }
        self.names.insert(address.to_vec(), name.clone());
        Ok(name)
    }

    /// The reasons of a list.
    pub(super) fn reasons(&mut self, id: Option<i64>) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let Some(id) = id else { return Ok(Vec::new()) };
        if let Some(known) = self.reasons.get(&id) {
            return Ok(known.clone());
        }
        let mut statement = self.connection.prepare_cached(REASONS)?;
        let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let list: Vec<(String, Option<String>)> = rows.collect::<Result<_, _>>()?;
        if self.reasons.len() >= LISTS {
            self.reasons.clear();
        }
        self.reasons.insert(id, list.clone());
        Ok(list)
    }
}

/// See [`super::Reader::records`].
///
/// Memory: twice the limit in rows, whatever the number of records.
pub(super) fn records(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<RecordRow, RecordTotals>, StoreError> {
    let scope = Scope::of(connection, query)?;
    let limit = query.limit.unwrap_or(crate::limits::ANSWER_ROWS);
    let mut lists = Lists::new(connection);
    let mut rows: Vec<RecordRow> = Vec::new();
    let mut totals = RecordTotals::default();
    let mut range = Range::default();
    let mut trust = scope.shares(connection, "messages", &[ReportKind::Aggregate])?;
    for domain in &scope.domains {
        let mut statement = connection.prepare_cached(ROWS)?;
        let mut found = statement.query((
            domain.id,
            scope.first_day,
            scope.last_day,
            scope.without_future,
            scope.source.as_deref(),
        ))?;
        while let Some(row) = found.next()? {
            if !is_asked(&scope, domain.authors.as_ref(), row)? {
                continue;
            }
            let messages = count(row.get::<_, Option<i64>>(6)?.unwrap_or(0));
            if !trust.add(trust_of(row, 16)?, messages) {
                continue;
            }
            totals.records += 1;
            totals.count = totals.count.saturating_add(messages);
            range.add(row.get(3)?, row.get(4)?);
            if query.sort.is_none() && rows.len() >= limit {
                continue;
            }
            rows.push(to_row(row, &domain.name, &mut lists)?);
            if query.sort.is_some() && rows.len() >= limit.saturating_mul(2).max(1_000) {
                scope::sort(&mut rows, query, key_of);
                rows.truncate(limit);
            }
        }
    }
    scope::sort(&mut rows, query, key_of);
    rows.truncate(limit);
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(Answer {
        rows,
        totals,
        first: range.first(),
        last: range.last(),
        trust: Some(trust),
        cut: totals.records.saturating_sub(shown),
        notes: scope.notes(connection, true)?,
    })
}

/// True if the filters that are not in the statement let a row pass.
fn is_asked(scope: &Scope, authors: Option<&HashSet<i64>>, row: &Row<'_>) -> Result<bool, StoreError> {
    passes_filters(scope, authors, row, FilterPlaces { reporter: 0, author: 15, dkim: 8, spf: 9 })
}

/// Where the columns stand by which rows are filtered.
#[derive(Debug, Clone, Copy)]
pub(super) struct FilterPlaces {
    pub(super) reporter: usize,
    pub(super) author: usize,
    pub(super) dkim: usize,
    pub(super) spf: usize,
}

/// True if the filters that are not in a statement let a row pass.
pub(super) fn passes_filters(
    scope: &Scope,
    authors: Option<&HashSet<i64>>,
    row: &Row<'_>,
    places: FilterPlaces,
) -> Result<bool, StoreError> {
    if let Some(authors) = authors
        && !authors.contains(&row.get(places.author)?)
    {
        return Ok(false);
    }
    if let Some(passes) = scope.passes {
        let is_pass = |at: usize| -> Result<bool, StoreError> { Ok(row.get_ref(at)?.as_str()? == "pass") };
        if (is_pass(places.dkim)? || is_pass(places.spf)?) != passes {
            return Ok(false);
        }
    }
    Ok(scope.reporters.is_none() || scope.has_reporter(row.get(places.reporter)?))
}

/// Reads a row of [`ROWS`].
fn to_row(row: &Row<'_>, domain: &str, lists: &mut Lists<'_>) -> Result<RecordRow, StoreError> {
    let word = |at: usize| -> Result<Option<String>, StoreError> {
        let word = row.get_ref(at)?.as_str()?;
        Ok(if word.is_empty() { None } else { Some(word.to_owned()) })
    };
    Ok(RecordRow {
        org_name: row.get(1)?,
        report_id: row.get(2)?,
        begin: Timestamp::from_seconds(row.get(3)?),
        end: Timestamp::from_seconds(row.get(4)?),
        domain: domain.to_owned(),
        source_ip: row.get_ref(5)?.as_blob_or_null()?.map(source::read_text),
        count: row.get::<_, Option<i64>>(6)?.map(count),
        disposition: word(7)?,
        dkim: word(8)?,
        spf: word(9)?,
        header_from: row.get(10)?,
        envelope_from: row.get(11)?,
        envelope_to: row.get(12)?,
        reasons: lists.reasons(row.get(14)?)?,
        auth_results: lists.auth_results(row.get(13)?)?,
    })
}

/// What a column is sorted by.
fn key_of(row: &RecordRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "org_name" => SortKey::from(&row.org_name),
        "report_id" => SortKey::from(row.report_id.as_str()),
        "begin" => row.begin.into(),
        "end" => row.end.into(),
        "domain" => SortKey::from(row.domain.as_str()),
        "source_ip" => match &row.source_ip {
            Some(text) => SortKey::Number(address_order(text)),
            None => SortKey::Nothing,
        },
        "count" => row.count.into(),
        "disposition" => SortKey::from(&row.disposition),
        "dkim" => SortKey::from(&row.dkim),
        "spf" => SortKey::from(&row.spf),
        "header_from" => SortKey::from(row.header_from.as_str()),
        "envelope_from" => SortKey::from(&row.envelope_from),
        "envelope_to" => SortKey::from(&row.envelope_to),
        "reasons" => SortKey::List(row.reasons.iter().map(|(kind, _)| kind.clone()).collect()),
        "auth_results" => {
            SortKey::List(row.auth_results.iter().map(|result| result.result.clone()).collect())
        }
        _ => return None,
    })
}

/// Addresses in the order of addresses: IPv4, IPv6, then what is none.
fn address_order(text: &str) -> i128 {
    let bytes = source::of_text(text);
    // The family byte and the first fifteen of an address order all but the last octet of IPv6.
    (0..16).fold(0i128, |order, at| (order << 8) | i128::from(bytes.get(at).copied().unwrap_or(0)))
}
