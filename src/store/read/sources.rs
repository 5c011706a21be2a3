//! Answers by source address, from the clustered rows.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;

use super::super::{StoreError, source};
use super::reports::sums_key;
use super::rows;
use super::scope::{self, Range, Scope, SortKey};
use crate::summary::{Answer, MessageSums, Query, SourceRow};

const PASSED: &str = "SELECT method, domain FROM auth_result
    WHERE auth_set_id = $1 AND result = 'pass' AND domain IS NOT NULL ORDER BY seq";

/// What was seen of one source.
#[derive(Debug, Default)]
struct Seen {
    records: u64,
    sums: MessageSums,
    range: Range,
    auth_sets: BTreeSet<i64>,
    last_auth_set: Option<i64>,
}

/// See [`super::Reader::sources`].
pub(super) fn sources(
    connection: &Connection,
    query: &Query,
) -> Result<Answer<SourceRow, MessageSums>, StoreError> {
    let scope = Scope::of(connection, query)?;
    let mut by_source: HashMap<Box<[u8]>, Seen> = HashMap::new();
    let mut without = Seen::default();
    let mut totals = MessageSums::default();
    let mut range = Range::default();
    let mut last_report = None;
    for domain in &scope.domains {
        rows::stream(connection, &scope, domain, |row| {
            let seen = match row.source {
                None => &mut without,
                Some(source) if by_source.contains_key(source) => {
                    by_source.get_mut(source).unwrap_or(&mut without)
                }
                Some(source) => by_source.entry(source.into()).or_default(),
            };
            seen.records += 1;
            seen.sums.add_evaluated(row.messages, row.dkim, row.spf, row.disposition);
            seen.range.add(row.begin_at, row.end_at);
            if let Some(id) = row.auth_set_id
                && seen.last_auth_set != Some(id)
            {
                seen.last_auth_set = Some(id);
                seen.auth_sets.insert(id);
            }
            totals.add_evaluated(row.messages, row.dkim, row.spf, row.disposition);
            if last_report != Some(row.report_id) {
                last_report = Some(row.report_id);
                totals.reports += 1;
                range.add(row.begin_at, row.end_at);
            }
        })?;
    }
    let mut seen: Vec<(Option<Box<[u8]>>, Seen)> =
        by_source.into_iter().map(|(source, seen)| (Some(source), seen)).collect();
    if without.records > 0 {
        seen.push((None, without));
    }
    seen.sort_by(|(a, a_seen), (b, b_seen)| {
        b_seen.sums.messages.cmp(&a_seen.sums.messages).then_with(|| a.cmp(b))
    });
    if query.sort.is_none() {
        // Names are looked up for the rows that are shown only.
        let limit = query.limit.unwrap_or(crate::limits::ANSWER_ROWS);
        let more = seen.len().saturating_sub(limit);
        seen.truncate(limit);
        let rows = to_rows(connection, seen)?;
        return answer(connection, &scope, rows, totals, range, u64::try_from(more).unwrap_or(u64::MAX));
    }
    // Addresses are sorted as addresses, not as text.
    let column = query.sort.as_deref().unwrap_or_default();
    if column.trim_start_matches(['-', '+']) == "source_ip" {
        seen.sort_by(|(a, _), (b, _)| if column.starts_with('-') { b.cmp(a) } else { a.cmp(b) });
    }
    let mut rows = to_rows(connection, seen)?;
    scope::sort(&mut rows, query, key_of);
    let cut = scope::cut(&mut rows, query);
    answer(connection, &scope, rows, totals, range, cut)
}

/// The frame of the answer.
fn answer(
    connection: &Connection,
    scope: &Scope,
    rows: Vec<SourceRow>,
    totals: MessageSums,
    range: Range,
    cut: u64,
) -> Result<Answer<SourceRow, MessageSums>, StoreError> {
    let notes = scope.notes(connection, true)?;
    Ok(Answer { rows, totals, first: range.first(), last: range.last(), cut, notes })
}

/// Turns what was seen into rows; every list of results is looked up once.
fn to_rows(
    connection: &Connection,
    seen: Vec<(Option<Box<[u8]>>, Seen)>,
) -> Result<Vec<SourceRow>, StoreError> {
    let mut known: HashMap<i64, Vec<(bool, String)>> = HashMap::new();
    let mut rows = Vec::with_capacity(seen.len());
    for (address, seen) in seen {
        let (mut spf_domains, mut dkim_domains) = (BTreeSet::new(), BTreeSet::new());
        for id in seen.auth_sets {
            let results = match known.entry(id) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => entry.insert(passed(connection, id)?),
            };
            for (is_spf, domain) in results {
                if *is_spf { &mut spf_domains } else { &mut dkim_domains }.insert(domain.clone());
            }
        }
        rows.push(SourceRow {
            source_ip: address.as_deref().map(source::read_text),
            source_name: None,
            source_organisation: None,
            messages: seen.sums.messages,
            dmarc_pass: seen.sums.dmarc_pass,
            dmarc_fail: seen.sums.dmarc_fail,
            spf_aligned: seen.sums.spf_aligned,
            dkim_aligned: seen.sums.dkim_aligned,
            spf_domains: spf_domains.into_iter().collect(),
            dkim_domains: dkim_domains.into_iter().collect(),
            first: seen.range.first(),
            last: seen.range.last(),
        });
    }
    Ok(rows)
}

/// The domains that pass in one list of raw results; true for SPF.
fn passed(connection: &Connection, auth_set_id: i64) -> Result<Vec<(bool, String)>, StoreError> {
    let mut statement = connection.prepare_cached(PASSED)?;
    let rows =
        statement.query_map([auth_set_id], |row| Ok((row.get_ref(0)?.as_str()? == "spf", row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a column is sorted by. `source_ip` stands in order already.
fn key_of(row: &SourceRow, column: &str) -> Option<SortKey> {
    Some(match column {
        "spf_domains" => SortKey::List(row.spf_domains.clone()),
        "dkim_domains" => SortKey::List(row.dkim_domains.clone()),
        "first" => row.first.into(),
        "last" => row.last.into(),
        "source_name" => SortKey::from(&row.source_name),
        "source_organisation" => SortKey::from(&row.source_organisation),
        _ => {
            let sums = MessageSums {
                messages: row.messages,
                dmarc_pass: row.dmarc_pass,
                dmarc_fail: row.dmarc_fail,
                spf_aligned: row.spf_aligned,
                dkim_aligned: row.dkim_aligned,
                ..MessageSums::default()
            };
            return sums_key(&sums, column);
        }
    })
}
