//! Daily roll-ups: messages of counted reports by everything but their source.
//!
//! They change only together with the status or trust of a report, in its transaction: [`count`] adds a
//! report, [`uncount`] takes it away again, to the message.

use super::record::Place;
use super::writer::Work;
use super::{StoreError, intern};
use crate::limits;
use crate::reports::digest::RollupRow;
use crate::summary::Trust;

/// The author domain that stands for all beyond [`limits::ROLLUP_AUTHOR_DOMAINS`] of a domain and day.
pub(super) const OTHER: i64 = 0;

const ADMITTED: &str = "SELECT DISTINCT header_from_id FROM rollup WHERE domain_id = $1 AND day = $2";
const ADD: &str = "INSERT INTO rollup (domain_id, day, header_from_id, reporter_id, trust, disposition, dkim, spf,
    span, messages, records) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (domain_id, day, header_from_id, reporter_id, trust, disposition, dkim, spf, span)
    DO UPDATE SET messages = rollup.messages + excluded.messages, records = rollup.records + excluded.records";
const ADD_REPORT: &str = "INSERT INTO report_rollup (domain_id, day, reporter_id, trust, span, reports, begin_at,
    end_at) VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (domain_id, day, reporter_id, trust, span)
    DO UPDATE SET reports = report_rollup.reports + 1,
    begin_at = CASE WHEN excluded.begin_at < report_rollup.begin_at THEN excluded.begin_at
                    ELSE report_rollup.begin_at END,
    end_at = CASE WHEN excluded.end_at > report_rollup.end_at THEN excluded.end_at ELSE report_rollup.end_at END";
const DELETE_REPORTS: &str = "DELETE FROM report_rollup
    WHERE domain_id = $1 AND day = $2 AND reporter_id = $3 AND trust = $4 AND span = $5";
const RECOUNT_REPORTS: &str =
    "INSERT INTO report_rollup (domain_id, day, reporter_id, trust, span, reports, begin_at,
    end_at) SELECT domain_id, day, reporter_id, trust, $1, COUNT(*), MIN(begin_at), MAX(end_at) FROM report
    WHERE domain_id = $2 AND day = $3 AND reporter_id = $4 AND trust = $5 AND status IN ('counted', 'rolled-up')
    AND CASE WHEN is_future = 0 THEN CASE WHEN last_day > day THEN 'spread' ELSE 'day' END
             ELSE CASE WHEN last_day > day THEN 'future-spread' ELSE 'future' END END = $1
    GROUP BY domain_id, day, reporter_id, trust";
// What is left of an author domain keeps its place.
const DELETE_NOTHING: &str = "DELETE FROM rollup WHERE domain_id = $1 AND day = $2 AND header_from_id = $3
    AND reporter_id = $4 AND trust = $5 AND disposition = $6 AND dkim = $7 AND spf = $8 AND span = $9
    AND messages = 0 AND records = 0 AND EXISTS (SELECT 1 FROM rollup AS o WHERE o.domain_id = $1 AND o.day = $2
        AND o.header_from_id = $3 AND (o.messages <> 0 OR o.records <> 0))";
pub(super) const OF_ROWS: &str = "SELECT header_from_id,
    CASE WHEN disposition IN ('none', 'pass', 'quarantine', 'reject', '') THEN disposition ELSE 'other' END,
    CASE WHEN dkim = 'pass' THEN 1 ELSE 0 END, CASE WHEN spf = 'pass' THEN 1 ELSE 0 END,
    CAST(COALESCE(SUM(count), 0) AS INTEGER), COUNT(*) FROM record
    WHERE domain_id = $1 AND day = $2 AND report_id = $3 GROUP BY 1, 2, 3, 4";

/// What a report is to the roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Its rows.
    pub(super) place: Place,
    /// Its last day.
    pub(super) last_day: i32,
    /// True if it ends in the future.
    pub(super) is_future: bool,
    /// Its reporter.
    pub(super) reporter_id: i64,
    /// Its period, UTC seconds.
    pub(super) begin_at: i64,
    /// Its period, UTC seconds.
    pub(super) end_at: i64,
}

impl Head {
    /// The word of its span.
    pub(super) const fn span(&self) -> &'static str {
        match (self.is_future, self.last_day > self.place.day) {
            (false, false) => "day",
            (false, true) => "spread",
            (true, false) => "future",
            (true, true) => "future-spread",
        }
    }
}

/// One sum of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Share {
    /// The author domain.
    pub(super) header_from_id: i64,
    /// The disposition; words outside the standards are `other`.
    pub(super) disposition: &'static str,
    /// DKIM aligned and passing.
    pub(super) dkim: bool,
    /// SPF aligned and passing.
    pub(super) spf: bool,
    /// Messages.
    pub(super) messages: u64,
    /// Records.
    pub(super) records: u64,
}

/// The disposition as a roll-up holds it.
pub(super) fn disposition_word(word: &str) -> &'static str {
    match word {
        "none" => "none",
        "pass" => "pass",
        "quarantine" => "quarantine",
        "reject" => "reject",
        "" => "",
        _ => "other",
    }
}

/// Sorts shares and adds up those that are alike: one order, wherever they come from.
fn settle(mut shares: Vec<Share>) -> Vec<Share> {
    shares.sort();
    let mut out: Vec<Share> = Vec::with_capacity(shares.len());
    for share in shares {
        match out.last_mut() {
            Some(last)
                if last.header_from_id == share.header_from_id
                    && last.disposition == share.disposition
                    && last.dkim == share.dkim
                    && last.spf == share.spf =>
            {
                last.messages += share.messages;
                last.records += share.records;
            }
            _ => out.push(share),
        }
    }
    out
}

/// The shares as the reader summed them.
pub(super) fn of_digest(work: &mut Work<'_>, rows: &[RollupRow]) -> Result<Vec<Share>, StoreError> {
    let mut shares = Vec::with_capacity(rows.len());
    for row in rows {
        shares.push(Share {
            header_from_id: intern::name(work, row.header_from.as_str())?,
            disposition: disposition_word(&row.disposition),
            dkim: row.dkim,
            spf: row.spf,
            messages: row.messages,
            records: row.records,
        });
    }
    Ok(settle(shares))
}

/// The shares as the stored rows give them.
pub(super) fn of_rows(connection: &rusqlite::Connection, place: Place) -> Result<Vec<Share>, StoreError> {
    let mut statement = connection.prepare_cached(OF_ROWS)?;
    let rows = statement.query_map((place.domain_id, place.day, place.report_id), |row| {
        Ok(Share {
            header_from_id: row.get(0)?,
            disposition: disposition_word(row.get_ref(1)?.as_str()?),
            dkim: row.get(2)?,
            spf: row.get(3)?,
            messages: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            records: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        })
    })?;
    Ok(settle(rows.collect::<Result<_, _>>()?))
}

// ---- Spreading ----

/// Messages of each share for each day of the report, `[day][share]`; whole messages, exact sums.
///
/// A day's weight is the part of the period that lies in it. Each share is rounded by largest remainder;
/// what rounding took from or gave to a day is carried to the next share, so that many small shares do not
/// all land on one day.
pub(super) fn spread(head: &Head, shares: &[Share]) -> Vec<Vec<u64>> {
    let days = i64::from(head.last_day).saturating_sub(i64::from(head.place.day)) + 1;
    if days <= 1 {
        return vec![shares.iter().map(|share| share.messages).collect()];
    }
    let weights = weights(head, days);
    let whole: i128 = weights.iter().sum();
    let mut out = vec![Vec::with_capacity(shares.len()); weights.len()];
    let mut carry = vec![0i128; weights.len()];
    let mut order: Vec<(i128, usize)> = Vec::with_capacity(weights.len());
    for share in shares {
        let messages = i128::from(share.messages);
        let mut left = messages;
        order.clear();
        for (day, weight) in weights.iter().enumerate() {
            let base = messages * weight / whole;
            left -= base;
            let remainder = messages * weight % whole;
            if let Some(carry) = carry.get_mut(day) {
                *carry += remainder;
                order.push((*carry, day));
            }
            if let Some(day) = out.get_mut(day) {
                day.push(u64::try_from(base).unwrap_or(0));
            }
        }
        // The largest remainder first, the earlier day where they are equal.
        order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, day) in order.iter().take(usize::try_from(left).unwrap_or(0)) {
            if let Some(messages) = out.get_mut(*day).and_then(|day| day.last_mut()) {
                *messages += 1;
            }
            if let Some(carry) = carry.get_mut(*day) {
                *carry -= whole;
            }
        }
    }
    out
}

/// Seconds of the report's period in each of its days; all 1 if none lies in them.
fn weights(head: &Head, days: i64) -> Vec<i128> {
    let begin = i128::from(head.begin_at);
    // The end is usually the last second of the period: without it the last day would lose one.
    let end = i128::from(head.end_at) + 1;
    let mut weights: Vec<i128> = (0..days)
        .map(|offset| {
            let from = (i128::from(head.place.day) + i128::from(offset)) * 86_400;
            (end.min(from + 86_400) - begin.max(from)).max(0)
        })
        .collect();
    if weights.iter().all(|weight| *weight == 0) {
        weights.fill(1);
    }
    weights
}

// ---- Counting ----

/// Adds a report.
pub(super) fn count(
    work: &mut Work<'_>,
    head: &Head,
    trust: Trust,
    domain_name_id: i64,
    shares: &[Share],
) -> Result<(), StoreError> {
    change(work, head, trust, domain_name_id, shares, 1)?;
    let place = head.place;
    work.connection.prepare_cached(ADD_REPORT)?.execute((
        place.domain_id,
        place.day,
        head.reporter_id,
        trust.as_str(),
        head.span(),
        head.begin_at,
        head.end_at,
    ))?;
    Ok(())
}

/// Takes a report away that was counted with this trust. Its row must have lost status or trust already.
pub(super) fn uncount(
    work: &mut Work<'_>,
    head: &Head,
    trust: Trust,
    domain_name_id: i64,
    shares: &[Share],
) -> Result<(), StoreError> {
    change(work, head, trust, domain_name_id, shares, -1)?;
    let Place { domain_id, day, .. } = head.place;
    let (trust, span) = (trust.as_str(), head.span());
    work.connection.prepare_cached(DELETE_REPORTS)?.execute((
        domain_id,
        day,
        head.reporter_id,
        trust,
        span,
    ))?;
    work.connection.prepare_cached(RECOUNT_REPORTS)?.execute((
        span,
        domain_id,
        day,
        head.reporter_id,
        trust,
    ))?;
    Ok(())
}

/// Removes rows in which nothing is left after a report was taken from them, as far as their author domains keep their
/// places without them: each report that waited for its verdict would leave some.
pub(super) fn tidy(
    work: &mut Work<'_>,
    head: &Head,
    trust: Trust,
    domain_name_id: i64,
    shares: &[Share],
) -> Result<(), StoreError> {
    let span = head.span();
    let domain_id = head.place.domain_id;
    let mut statement = work.connection.prepare_cached(DELETE_NOTHING)?;
    for day in head.place.day..=head.last_day {
        for share in shares {
            let header_from_id = admit(work, domain_id, day, share.header_from_id, domain_name_id)?;
            statement.execute((
                domain_id,
                day,
                header_from_id,
                head.reporter_id,
                trust.as_str(),
                share.disposition,
                share.dkim,
                share.spf,
                span,
            ))?;
        }
    }
    Ok(())
}

/// Adds the shares `sign` times.
///
/// An author domain keeps its place in a (domain, day) for ever, also at zero, and one without a place never
/// gets one, since places do not become free: so a report is taken from where it was added.
fn change(
    work: &mut Work<'_>,
    head: &Head,
    trust: Trust,
    domain_name_id: i64,
    shares: &[Share],
    sign: i64,
) -> Result<(), StoreError> {
    let span = head.span();
    let domain_id = head.place.domain_id;
    let mut statement = work.connection.prepare_cached(ADD)?;
    for (day, messages) in (head.place.day..).zip(spread(head, shares)) {
        let is_first = day == head.place.day;
        for (share, messages) in shares.iter().zip(messages) {
            let records = if is_first { share.records } else { 0 };
            if messages == 0 && records == 0 {
                continue;
            }
            let header_from_id = admit(work, domain_id, day, share.header_from_id, domain_name_id)?;
            statement.execute((
                domain_id,
                day,
                header_from_id,
                head.reporter_id,
                trust.as_str(),
                share.disposition,
                share.dkim,
                share.spf,
                span,
                super::record::integer(messages) * sign,
                super::record::integer(records) * sign,
            ))?;
        }
    }
    Ok(())
}

/// The author domain under which a (domain, day) counts: itself while there is a place, else [`OTHER`].
fn admit(
    work: &mut Work<'_>,
    domain_id: i64,
    day: i32,
    header_from_id: i64,
    domain_name_id: i64,
) -> Result<i64, StoreError> {
    /// Domains and days kept in memory.
    const PLACES: usize = 4_096;
    if header_from_id == domain_name_id {
        return Ok(header_from_id);
    }
    if !work.cache.admitted.contains_key(&(domain_id, day)) {
        let mut statement = work.connection.prepare_cached(ADMITTED)?;
        let known = statement
            .query_map((domain_id, day), |row| row.get::<_, i64>(0))?
            .collect::<Result<std::collections::HashSet<_>, _>>()?;
        if work.cache.admitted.len() >= PLACES {
            work.cache.admitted.clear();
        }
        work.cache.admitted.insert((domain_id, day), known);
    }
    let Some(known) = work.cache.admitted.get_mut(&(domain_id, day)) else { return Ok(OTHER) };
    if known.contains(&header_from_id) {
        return Ok(header_from_id);
    }
    // The policy domain always has a place of its own, beside these.
    known.remove(&domain_name_id);
    known.remove(&OTHER);
    if known.len() < limits::ROLLUP_AUTHOR_DOMAINS {
        known.insert(header_from_id);
        return Ok(header_from_id);
    }
    Ok(OTHER)
}
