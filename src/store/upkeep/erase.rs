//! Removing what belongs to a mailbox or a domain, so that nothing of it stays in the files.

use std::collections::HashMap;

use super::super::reprocess::{mark_one, remove_derived, settle_removed};
use super::super::writer::{Work, Writer};
use super::super::{MessageId, Reader, StoreError, probe, raw};
use super::erase_plan::ErasePlan;
use super::naming::{self, NamingText};
use super::{in_slices, others, prune, rows, slice_time, space};
use crate::clock;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Mails with everything read from them.
    pub messages: u64,
    /// Mails of which only the bytes were removed.
    pub raws: u64,
    /// Rows in which the name was replaced.
    pub texts: u64,
    /// Mailboxes elsewhere of which it is forgotten how far they were read.
    pub mailboxes: u64,
    /// Probes.
    pub probes: u64,
    /// Policy domains with all their reports and sums.
    pub domains: u64,
}

const RAW_OF: &str = "SELECT raw_id FROM message WHERE message_id = $1";
const IS_SHARED: &str = "SELECT 1 FROM message AS o JOIN message AS m ON m.sha256 = o.sha256
    WHERE m.message_id = $1 AND o.message_id <> $1 AND o.raw_id = m.raw_id AND o.status <> 'pending' LIMIT 1";
const COPIES: &str = "SELECT duplicate_of, message_id FROM message
    WHERE status = 'duplicate' AND kind IN ('bounce', 'reply', 'other') AND duplicate_of IS NOT NULL";
const DOMAIN: &str = "SELECT domain_id FROM domain WHERE name = $1";
const NEXT_REPORT: &str = "SELECT day, report_id, status, records FROM report WHERE domain_id = $1
    ORDER BY day, report_id LIMIT 1";
const DELETE_REPORT: &str = "DELETE FROM report WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE_DEVIATIONS: &str = "DELETE FROM deviation WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const NEXT_DAY: &str = "SELECT MIN(day) FROM (SELECT MIN(day) AS day FROM rollup WHERE domain_id = $1
    UNION ALL SELECT MIN(day) FROM report_rollup WHERE domain_id = $1) AS d";
const DELETE_ROLLUP: &str = "DELETE FROM rollup WHERE domain_id = $1 AND day = $2";
const DELETE_REPORT_ROLLUP: &str = "DELETE FROM report_rollup WHERE domain_id = $1 AND day = $2";
const DELETE_UNCLAIMED: &str = "DELETE FROM unclaimed WHERE domain = $1 OR domain LIKE $2 ESCAPE '!'";
const DELETE_SELECTORS: &str = "DELETE FROM arrival_selector WHERE domain = $1 OR domain LIKE $2 ESCAPE '!'";
/// What checks of its DNS saw.
const DELETE_CHECKS: [&str; 4] = [
    "DELETE FROM dns_event WHERE domain = $1",
    "DELETE FROM dns_finding WHERE domain = $1",
    "DELETE FROM dns_record WHERE domain = $1",
    "DELETE FROM dns_check WHERE domain = $1",
];
const DELETE_DOMAIN: &str = "DELETE FROM domain WHERE domain_id = $1 AND is_configured = 0 AND is_added = 0";

/// See [`super::super::Store::erase`].
pub(in super::super) fn erase(
    writer: &Writer,
    reader: &Reader,
    plan: &ErasePlan,
) -> Result<Erased, StoreError> {
    // What was removed is overwritten, not only given free.
    secure(writer, "ON")?;
    let result = erase_all(writer, reader, plan).and_then(|erased| {
        space::give_back(writer, &|| false)?;
        Ok(erased)
    });
    let ended = secure(writer, "FAST");
    let erased = result?;
    ended?;
    space::checkpoint(writer, true)?;
    Ok(erased)
}

/// Sets how far what is removed is overwritten; see [`super::super::database::open_writer`].
fn secure(writer: &Writer, how: &'static str) -> Result<(), StoreError> {
    writer.run(move |work| {
        work.connection.pragma_update_and_check(None, "secure_delete", how, |_| Ok(()))?;
        Ok(())
    })
}

/// Removes everything of a plan.
fn erase_all(writer: &Writer, reader: &Reader, plan: &ErasePlan) -> Result<Erased, StoreError> {
    let mut erased = Erased::default();
    let children = rows::children(reader.connection())?;
    // Whole domains first: their reports need no settling one by one.
    for name in &plan.domains {
        domain(writer, name)?;
        erased.domains += 1;
    }
    let copies = copies(reader)?;
    for (ids, is_whole) in [(&plan.messages, true), (&plan.bytes_of, false)] {
        for id in ids {
            let (id, children) = (*id, children.clone());
            let copies = copies.get(&id).cloned().unwrap_or_default();
            let chunks = writer.run(move |work| {
                let raw_id = remove_raw(work, id)?;
                if is_whole {
                    let removed = remove_derived(work, id)?;
                    settle_removed(work, &removed, id)?;
                    probe::take_out(work, id)?;
                    rows::remove_message(work, id, &children)?;
                    // What was known by this one alone is read again.
                    for copy in copies {
                        mark_one(work, copy)?;
                    }
                }
                Ok(raw_id)
            })?;
            if let Some(raw_id) = chunks {
                prune::remove_chunks(writer, raw_id)?;
            }
            *(if is_whole { &mut erased.messages } else { &mut erased.raws }) += 1;
        }
    }
    (erased.texts, _) = in_slices(writer, plan.texts.clone(), &|| false, |work, text: &NamingText| {
        naming::clear(work, text)?;
        Ok(1)
    })?;
    for account in plan.mailboxes.clone() {
        writer.run(move |work| naming::forget_account(work, &account))?;
        erased.mailboxes += 1;
    }
    let tokens = plan.probes.clone();
    (erased.probes, _) = in_slices(writer, tokens, &|| false, |work, token: &String| {
        rows::remove_probe(work, token)?;
        Ok(1)
    })?;
    Ok(erased)
}

/// Copies that have no rows of their own, by what they are copies of.
fn copies(reader: &Reader) -> Result<HashMap<MessageId, Vec<MessageId>>, StoreError> {
    let mut found: HashMap<MessageId, Vec<MessageId>> = HashMap::new();
    let mut statement = reader.connection().prepare(COPIES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found.entry(MessageId(row.get(0)?)).or_default().push(MessageId(row.get(1)?));
    }
    Ok(found)
}

/// Removes the bytes of a message, unless a copy of it that stays has the same. Gives the number of its slices' row.
fn remove_raw(work: &mut Work<'_>, id: MessageId) -> Result<Option<i64>, StoreError> {
    let raw_id: i64 = match work.connection.prepare_cached(RAW_OF)?.query_row([id.0], |row| row.get(0)) {
        Ok(raw_id) => raw_id,
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if work.connection.prepare_cached(IS_SHARED)?.exists([id.0])? {
        return Ok(None);
    }
    Ok((raw::remove(work, raw_id)? == raw::Removal::WithoutChunks).then_some(raw_id))
}

/// Removes all reports for one policy domain with rows and sums, and the history of its DNS, in slices: while it lasts, answers about the domain
/// show a part.
fn domain(writer: &Writer, name: &str) -> Result<(), StoreError> {
    loop {
        let name = name.to_owned();
        let is_done = writer.run(move |work| {
            let found =
                work.connection.prepare_cached(DOMAIN)?.query_row([&name], |row| row.get::<_, i64>(0));
            let domain_id = match found {
                Ok(id) => id,
                Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            let (started, time) = (clock::instant(), slice_time(work));
            loop {
                let is_more = remove_report(work, domain_id)?
                    || remove_day(work, domain_id)?
                    || others::remove_of_domain(work, domain_id)?;
                if !is_more {
                    break;
                }
                if started.elapsed() >= time {
                    return Ok(false);
                }
            }
            let below = super::super::read::below_pattern(&name);
            work.connection.prepare_cached(DELETE_UNCLAIMED)?.execute((&name, &below))?;
            work.connection.prepare_cached(DELETE_SELECTORS)?.execute((&name, &below))?;
            for sql in DELETE_CHECKS {
                work.connection.prepare_cached(sql)?.execute([&name])?;
            }
            work.connection.prepare_cached(DELETE_DOMAIN)?.execute([domain_id])?;
            // Its number, its places in roll-ups, what is kept apart: all known anew.
            work.cache.clear();
            Ok(true)
        })?;
        if is_done {
            return Ok(());
        }
    }
}

/// Removes one report without settling its key: all reports under it go. False if there is none.
fn remove_report(work: &mut Work<'_>, domain_id: i64) -> Result<bool, StoreError> {
    use super::super::record::Place;
    let next = work.connection.prepare_cached(NEXT_REPORT)?.query_row([domain_id], |row| {
        let place = Place { domain_id, day: row.get(0)?, report_id: row.get(1)? };
        Ok((place, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
    });
    let (place, status, records) = match next {
        Ok(next) => next,
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let key = (domain_id, place.day, place.report_id);
    work.connection.prepare_cached(DELETE_DEVIATIONS)?.execute(key)?;
    work.connection.prepare_cached(DELETE_REPORT)?.execute(key)?;
    if matches!(status.as_str(), "counted" | "set-aside" | "untrusted") {
        rows::remove_records(work, place, records)?;
    }
    Ok(true)
}

/// Removes the sums of the first day that has any. False if none has.
fn remove_day(work: &Work<'_>, domain_id: i64) -> Result<bool, StoreError> {
    let day: Option<i32> =
        work.connection.prepare_cached(NEXT_DAY)?.query_row([domain_id], |row| row.get(0))?;
    let Some(day) = day else { return Ok(false) };
    work.connection.prepare_cached(DELETE_ROLLUP)?.execute((domain_id, day))?;
    work.connection.prepare_cached(DELETE_REPORT_ROLLUP)?.execute((domain_id, day))?;
    Ok(true)
}
