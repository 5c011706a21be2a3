//! Answers by source address, from the clustered rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::Connection;

use super::super::{StoreError, source, source_name};
use super::reports::sums_key;
use super::rows::{self, CountedRow};
use super::scope::{self, Range, ReportKind, Scope, SortKey};
use crate::sources::{Clues, Domain, Places, Senders, identify};
use crate::summary::{Answer, MessageSums, Query, SourceRow, TrustShares};

const PASSED: &str = "SELECT method, domain FROM auth_result
    WHERE auth_set_id = $1 AND result = 'pass' AND domain IS NOT NULL ORDER BY seq";

const REASONS: &str = "SELECT type, comment FROM reason WHERE reason_set_id = $1 ORDER BY seq";

/// What was seen of one source.
#[derive(Debug, Default)]
struct Seen {
    records: u64,
    sums: MessageSums,
    range: Range,
    /// Messages by list of raw results.
    auth_sets: BTreeMap<i64, ByResults>,
    /// The list of the row before, not yet in `auth_sets`: rows of one source mostly share it.
    last_auth_set: Option<(i64, ByResults)>,
    /// Messages by list of override reasons.
    reason_sets: BTreeMap<i64, u64>,
    /// The policy domains, by their place in the scope; rows come domain by domain.
    domains: Vec<usize>,
}

/// Messages with the same list of raw results.
#[derive(Debug, Clone, Copy, Default)]
struct ByResults {
    all: u64,
    /// DKIM aligned and SPF not.
    dkim_only: u64,
}

impl ByResults {
    fn add(&mut self, other: Self) {
        self.all = self.all.saturating_add(other.all);
        self.dkim_only = self.dkim_only.saturating_add(other.dkim_only);
    }
}

impl Seen {
    /// Notes what tells whose a source is.
    fn add_details(&mut self, row: &CountedRow<'_>, place: usize) {
        if self.domains.last() != Some(&place) {
            self.domains.push(place);
        }
        if let Some(id) = row.auth_set_id {
            let more = ByResults {
                all: row.messages,
                dkim_only: if row.dkim && !row.spf { row.messages } else { 0 },
            };
            match &mut self.last_auth_set {
                Some((last, sums)) if *last == id => sums.add(more),
                _ => {
                    self.settle();
                    self.last_auth_set = Some((id, more));
                }
            }
        }
        if let Some(id) = row.reason_set_id {
            let messages = self.reason_sets.entry(id).or_default();
            *messages = messages.saturating_add(row.messages);
        }
    }

    /// Adds the list of the row before to the others.
    fn settle(&mut self) {
        if let Some((id, sums)) = self.last_auth_set.take() {
            self.auth_sets.entry(id).or_default().add(sums);
        }
    }
}

/// See [`super::Reader::sources_by`].
pub(super) fn sources(
    connection: &Connection,
    query: &Query,
    (senders, places): (&Senders, &Places),
) -> Result<Answer<SourceRow, MessageSums>, StoreError> {
    let scope = Scope::of(connection, query)?;
    let mut by_source: HashMap<Box<[u8]>, Seen> = HashMap::new();
    let mut without = Seen::default();
    let mut totals = MessageSums::default();
    let mut range = Range::default();
    let mut last_report = None;
    let mut trust = scope.shares(connection, "messages", &[ReportKind::Aggregate])?;
    for (place, domain) in scope.domains.iter().enumerate() {
        rows::stream(connection, &scope, domain, &mut trust, |row| {
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
            seen.add_details(row, place);
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
        let rows = Lists::new(connection, &scope, (senders, places)).rows_of(seen)?;
        let cut = u64::try_from(more).unwrap_or(u64::MAX);
        return answer(connection, &scope, rows, totals, (range, trust), cut);
    }
    // Addresses are sorted as addresses, not as text.
    let column = query.sort.as_deref().unwrap_or_default();
    if column.trim_start_matches(['-', '+']) == "source_ip" {
        seen.sort_by(|(a, _), (b, _)| if column.starts_with('-') { b.cmp(a) } else { a.cmp(b) });
    }
    let mut rows = Lists::new(connection, &scope, (senders, places)).rows_of(seen)?;
    scope::sort(&mut rows, query, key_of);
    let cut = scope::cut(&mut rows, query);
    answer(connection, &scope, rows, totals, (range, trust), cut)
}

/// The frame of the answer.
fn answer(
    connection: &Connection,
    scope: &Scope,
    rows: Vec<SourceRow>,
    totals: MessageSums,
    (range, trust): (Range, TrustShares),
    cut: u64,
) -> Result<Answer<SourceRow, MessageSums>, StoreError> {
    let notes = scope.notes(connection, true)?;
    let trust = Some(trust);
    Ok(Answer { rows, totals, first: range.first(), last: range.last(), trust, cut, notes })
}

/// What the judgement of each row needs; every list is looked up once.
struct Lists<'a> {
    connection: &'a Connection,
    scope: &'a Scope,
    senders: &'a Senders,
    places: &'a Places,
    passed: HashMap<i64, Vec<(bool, String)>>,
    ways: HashMap<i64, Way>,
}

/// What a list of override reasons says of the way of a mail.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    is_forwarded: bool,
    is_list: bool,
}

impl<'a> Lists<'a> {
    fn new(
        connection: &'a Connection,
        scope: &'a Scope,
        (senders, places): (&'a Senders, &'a Places),
    ) -> Self {
        Self { connection, scope, senders, places, passed: HashMap::new(), ways: HashMap::new() }
    }

    /// Turns what was seen into rows.
    fn rows_of(&mut self, seen: Vec<(Option<Box<[u8]>>, Seen)>) -> Result<Vec<SourceRow>, StoreError> {
        seen.into_iter().map(|(address, seen)| self.row_of(address.as_deref(), seen)).collect()
    }

    /// Turns what was seen of one source into its row.
    fn row_of(&mut self, address: Option<&[u8]>, mut seen: Seen) -> Result<SourceRow, StoreError> {
        seen.settle();
        let name = match address {
            Some(address) => source_name::name(self.connection, address)?,
            None => None,
        };
        let mut clues = Clues {
            ip: address.and_then(source::read_ip),
            name: name.clone(),
            policy_domains: (seen.domains.iter())
                .filter_map(|at| self.scope.domains.get(*at))
                .map(|domain| domain.name.clone())
                .collect(),
            messages: seen.sums.messages,
            dkim_aligned: seen.sums.dkim_aligned,
            spf_aligned: seen.sums.spf_aligned,
            ..Clues::default()
        };
        let (mut spf, mut dkim) = (BTreeMap::new(), BTreeMap::new());
        for (id, ByResults { all, dkim_only }) in &seen.auth_sets {
            let results = match self.passed.entry(*id) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(passed(self.connection, *id)?)
                }
            };
            let mut seen_here: BTreeSet<(bool, &str)> = BTreeSet::new();
            for (is_spf, domain) in results.iter() {
                // A domain that stands twice in one list signs no message twice.
                if seen_here.insert((*is_spf, domain)) {
                    let sums = if *is_spf { &mut spf } else { &mut dkim };
                    let sum: &mut u64 = sums.entry(domain.clone()).or_default();
                    *sum = sum.saturating_add(*all);
                }
            }
            if seen_here.iter().any(|(is_spf, _)| *is_spf) {
                clues.dkim_with_other_spf = clues.dkim_with_other_spf.saturating_add(*dkim_only);
            }
        }
        for (id, messages) in &seen.reason_sets {
            let way = match self.ways.get(id) {
                Some(way) => *way,
                None => *self.ways.entry(*id).or_insert(way(self.connection, *id)?),
            };
            if way.is_forwarded {
                clues.forwarded = clues.forwarded.saturating_add(*messages);
            }
            if way.is_list {
                clues.mailing_list = clues.mailing_list.saturating_add(*messages);
            }
        }
        let list = |sums: &BTreeMap<String, u64>| {
            sums.iter().map(|(name, messages)| Domain { name: name.clone(), messages: *messages }).collect()
        };
        (clues.spf, clues.dkim) = (list(&spf), list(&dkim));
        let identity = identify(&clues, self.senders);
        Ok(SourceRow {
            source_ip: address.map(source::read_text),
            source_name: name,
            place: clues.ip.map(|ip| self.places.of(ip)).unwrap_or_default(),
            source_organisation: identity.organisation,
            kind: identity.kind.map(crate::sources::Kind::as_str),
            evidence: identity.evidence,
            messages: seen.sums.messages,
            dmarc_pass: seen.sums.dmarc_pass,
            dmarc_fail: seen.sums.dmarc_fail,
            spf_aligned: seen.sums.spf_aligned,
            dkim_aligned: seen.sums.dkim_aligned,
            spf_domains: spf.into_keys().collect(),
            dkim_domains: dkim.into_keys().collect(),
            first: seen.range.first(),
            last: seen.range.last(),
        })
    }
}

/// What a list of override reasons says (RFC 9990, `policy_evaluated/reason`; `local_policy` with a comment on ARC is how receivers
/// report a chain that they trust).
fn way(connection: &Connection, reason_set_id: i64) -> Result<Way, StoreError> {
    let mut statement = connection.prepare_cached(REASONS)?;
    let mut rows = statement.query([reason_set_id])?;
    let mut way = Way::default();
    while let Some(row) = rows.next()? {
        let comment = row.get_ref(1)?.as_str_or_null()?.unwrap_or_default();
        match row.get_ref(0)?.as_str()? {
            "forwarded" | "trusted_forwarder" => way.is_forwarded = true,
            "mailing_list" => way.is_list = true,
            "local_policy" => way.is_forwarded |= comment.to_ascii_lowercase().contains("arc=pass"),
            _ => {}
        }
    }
    Ok(way)
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
        "source_country" => SortKey::from(&row.place.country),
        "source_as_number" => row.place.as_number.map_or(SortKey::Nothing, |number| u64::from(number).into()),
        "source_as_name" => SortKey::from(&row.place.as_name),
        "source_organisation" => SortKey::from(&row.source_organisation),
        "kind" => row.kind.map_or(SortKey::Nothing, SortKey::from),
        "evidence" => SortKey::List(row.evidence.clone()),
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
