//! What mail that came here teaches of a domain: its selectors, and what its signatures cover.
//!
//! Only messages that pass DMARC count: whoever forges mail teaches nothing.

use rusqlite::Connection;

use super::super::{StoreError, authentication};
use super::learnt::since;
use super::scope::below_pattern;
use crate::clock::Day;
use crate::dns_health::reported::SeenSignature;
use crate::limits;
use crate::mail::DomainName;

const SELECTORS: &str = "SELECT selector FROM arrival_selector WHERE domain = $1 AND last_at_ms >= $2
    ORDER BY messages DESC, selector LIMIT $3";
const EVIDENCE: &str = "SELECT evidence FROM authentication WHERE day >= $1
    AND (header_from = $2 OR header_from LIKE $3 ESCAPE '!') AND dmarc = 'pass' AND evidence IS NOT NULL
    ORDER BY day DESC, message_id DESC LIMIT $4";

/// See [`super::Reader::arrival_selectors`].
pub(super) fn selectors(
    connection: &Connection,
    domain: &DomainName,
    today: Day,
) -> Result<Vec<String>, StoreError> {
    let since_ms = Day(since(today)).start_seconds().saturating_mul(1_000);
    let mut statement = connection.prepare_cached(SELECTORS)?;
    let rows =
        statement.query_map((domain.as_str(), since_ms, limits::LEARNT_SELECTORS), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::seen_signatures`].
pub(super) fn signatures(
    connection: &Connection,
    domain: &DomainName,
    today: Day,
) -> Result<Vec<SeenSignature>, StoreError> {
    let mut statement = connection.prepare_cached(EVIDENCE)?;
    let below = below_pattern(domain.as_str());
    let mut found = statement.query((since(today), domain.as_str(), below, limits::LEARNT_ARRIVALS))?;
    let mut all: Vec<SeenSignature> = Vec::new();
    while let Some(row) = found.next()? {
        let lines = authentication::read_lines(row.get_ref(0)?.as_str()?);
        for seen in lines.iter().filter_map(SeenSignature::of) {
            if let Some(known) = all.iter_mut().find(|known| known.is_alike(&seen)) {
                known.messages = known.messages.saturating_add(1);
            } else if all.len() < limits::LEARNT_SELECTORS as usize {
                all.push(seen);
            }
        }
    }
    all.sort_by_key(|seen| std::cmp::Reverse(seen.messages));
    Ok(all)
}
