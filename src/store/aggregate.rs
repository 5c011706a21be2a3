//! Aggregate reports: kept as they came, and one of each key counts.
//!
//! What counts is a function of all reports under one key, not of the order in which they came: see [`one_key`].

use super::one_key::{self, Change, Claim, Settlement, Status};
use super::record::{self, Place};
use super::rollup::{self, Head, Share};
use super::writer::Work;
use super::{MessageId, Outcome, ReadReport, ReportRows, StoreError, intern, loading};
use crate::clock::Day;
use crate::limits;
use crate::reports::aggregate::Record;
use crate::reports::digest::{DaySpan, ReportDigest};
use crate::reports::{Deviation, Deviations};
use crate::summary::{Trust, trust};

const INSERT: &str = "INSERT INTO report (domain_id, day, report_id, last_day, is_future, status, is_conflicting,
    duplicate_of, message_id, place, received_at_ms, trust, own_trust, reporter_id, external_id, begin_at, end_at,
    content_sha256, records, messages, dmarc_pass, parser_version, org_name, email, extra_contact_info, written_id,
    version, xml_namespace, generator, errors, policy_p, policy_sp, policy_np, policy_adkim, policy_aspf,
    policy_pct, policy_fo, policy_testing, policy_discovery_method, sender, names_sender) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9,
    $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31,
    $32, $33, $34, $35, $36, $37, $38, $39, $40)";
const UNDER_KEY: &str = "SELECT day, report_id, last_day, is_future, status, is_conflicting, duplicate_of,
    message_id, received_at_ms, trust, own_trust, begin_at, end_at, content_sha256, records, sender,
    names_sender FROM report WHERE domain_id = $1 AND reporter_id = $2 AND external_id = $3 AND begin_at = $4 AND end_at = $5";
const SET: &str = "UPDATE report SET status = $1, is_conflicting = $2, duplicate_of = $3, trust = $4
    WHERE domain_id = $5 AND day = $6 AND report_id = $7";
const DELETE: &str = "DELETE FROM report WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const INSERT_DEVIATION: &str =
    "INSERT INTO deviation (domain_id, day, report_id, seq, name, count, place, original,
    used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const DELETE_DEVIATIONS: &str = "DELETE FROM deviation WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const OF_MESSAGE: &str = "SELECT domain_id, reporter_id, external_id, begin_at, end_at FROM report
    WHERE message_id = $1";
const DOMAIN_NAME: &str = "SELECT name FROM domain WHERE domain_id = $1";

/// Records of a report whose sums are kept until its verdict.
const LONG: u64 = 1_000;

/// Where a report came from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The message.
    pub(super) message_id: MessageId,
    /// When it came.
    pub(super) received_at_ms: i64,
    /// How far it can be believed.
    pub(super) trust: Trust,
    /// The organizational domain of its author.
    pub(super) sender: Option<String>,
    /// The reader's version.
    pub(super) parser_version: u32,
}

/// What makes two reports the same report, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) domain_id: i64,
    reporter_id: i64,
    external_id: String,
    begin_at: i64,
    end_at: i64,
}

/// One report under a key, with what its roll-up needs.
#[derive(Debug, Clone)]
struct Held {
    head: Head,
    claim: Claim,
}

// ---- Before the queue ----

/// Refuses a digest that contradicts itself: it would spoil sums for good.
pub(super) fn check(digest: &ReportDigest) -> Result<(), StoreError> {
    let wrong =
        |what: &str| Err(StoreError::Contradiction(format!("report {}: {what}", digest.key.report_id)));
    if digest.messages > limits::REPORT_MESSAGES {
        return wrong("claims more messages than there can be");
    }
    let mut messages = 0u64;
    let mut records = 0u64;
    let mut dmarc_pass = 0u64;
    for row in &digest.rollup {
        messages = messages.saturating_add(row.messages);
        records = records.saturating_add(row.records);
        if row.dkim || row.spf {
            dmarc_pass = dmarc_pass.saturating_add(row.messages);
        }
    }
    if messages != digest.messages || records != digest.records || dmarc_pass != digest.dmarc_pass {
        return wrong("the roll-up does not add up to the sums");
    }
    Ok(())
}

/// Refuses records that are not those of the digest.
pub(super) fn check_rows(report: &ReadReport) -> Result<(), StoreError> {
    let ReportRows::Records(records) = &report.rows else { return Ok(()) };
    let messages = records.iter().fold(0u64, |sum, record| sum.saturating_add(record.messages()));
    let digest = &report.digest;
    if messages != digest.messages || u64::try_from(records.len()) != Ok(digest.records) {
        return Err(StoreError::Contradiction(format!(
            "report {}: {} records with {} messages announced, {} with {messages} given",
            digest.key.report_id,
            digest.records,
            digest.messages,
            records.len()
        )));
    }
    Ok(())
}

/// Bytes that a waiting report takes in memory, roughly.
pub(super) fn memory_bytes(report: &ReadReport) -> usize {
    let records = match &report.rows {
        ReportRows::Records(records) => records.iter().map(Record::memory_bytes).sum::<usize>(),
        ReportRows::Loaded(_) | ReportRows::NotNeeded => 0,
    };
    2_048 + records + 128 * report.digest.rollup.len()
}

// ---- Storing ----

/// First and last day of a report. Absurd ones are moved to the edge of a million years.
pub(super) fn days(digest: &ReportDigest) -> (i32, i32) {
    const EDGE: i32 = 365_000_000;
    let (first, last) = match digest.days {
        DaySpan::One(Day(day)) => (day, day),
        DaySpan::Spread { first: Day(first), last: Day(last) } => (first, last),
    };
    let first = first.clamp(-EDGE, EDGE);
    (first, last.clamp(first, first + limits::REPORT_SPREAD_DAYS))
}

/// The key of a digest.
fn key_of(work: &mut Work<'_>, digest: &ReportDigest) -> Result<Key, StoreError> {
    Ok(Key {
        domain_id: intern::domain(work, digest.key.domain.as_str())?,
        reporter_id: intern::reporter(
            work,
            &digest.key.reporter,
            digest.report.org_name.as_deref(),
            digest.report.email.as_deref(),
        )?,
        external_id: digest.key.report_id.clone(),
        begin_at: digest.key.begin,
        end_at: digest.key.end,
    })
}

/// True if a report with this key and these values is kept with its rows.
pub(super) fn has_rows_already(work: &Work<'_>, digest: &ReportDigest) -> Result<bool, StoreError> {
    let (Some(domain_id), Some(reporter_id)) = (
        intern::known_domain(work, digest.key.domain.as_str())?,
        intern::known_reporter(work, &digest.key.reporter)?,
    ) else {
        return Ok(false);
    };
    let key = Key {
        domain_id,
        reporter_id,
        external_id: digest.key.report_id.clone(),
        begin_at: digest.key.begin,
        end_at: digest.key.end,
    };
    let held = under_key(work, &key)?;
    Ok(held.iter().any(|held| held.claim.has_rows_of(&digest.content_sha256)))
}

/// Stores one report and settles its key.
pub(super) fn store(
    work: &mut Work<'_>,
    origin: &Origin,
    place_text: &str,
    digest: &ReportDigest,
    rows: ReportRows,
) -> Result<Outcome, StoreError> {
    let key = key_of(work, digest)?;
    let others = under_key(work, &key)?;
    let (day, last_day) = days(digest);
    let same = others.iter().find(|held| held.claim.has_rows_of(&digest.content_sha256)).cloned();
    let (report_id, loaded) = match &rows {
        ReportRows::Loaded(loading) => (loading.place.report_id, true),
        _ => (work.ids.next(work.now), false),
    };
    let place = Place { domain_id: key.domain_id, day, report_id };
    if let Some(same) = same {
        // A copy: its own rows are not needed.
        drop_rows(work, &rows)?;
        let report_id = if loaded { work.ids.next(work.now) } else { report_id };
        let place = Place { report_id, ..place };
        insert(
            work,
            origin,
            place_text,
            digest,
            &key,
            place,
            last_day,
            Status::Duplicate,
            Some(same.head.place.report_id),
        )?;
        settle(work, &key, None)?;
        return Ok(Outcome::Duplicate { of: same.claim.message_id });
    }
    let domain_name_id = intern::name(work, digest.key.domain.as_str())?;
    match rows {
        ReportRows::Records(records) => {
            record::insert(work, place, domain_name_id, 0, &records)?;
        }
        ReportRows::Loaded(loading) => loading::take(work, loading, place, digest)?,
        ReportRows::NotNeeded => {
            return Err(StoreError::Contradiction(format!(
                "report {}: its records are needed",
                key.external_id
            )));
        }
    }
    let head = Head {
        place,
        last_day,
        is_future: digest.is_future,
        reporter_id: key.reporter_id,
        begin_at: key.begin_at,
        end_at: key.end_at,
    };
    let shares = rollup::of_digest(work, &digest.rollup)?;
    if digest.records > LONG {
        work.cache.remember_shares(report_id, &shares);
    }
    insert_deviations(work, place, &digest.deviations)?;
    if others.is_empty() && !origin.trust.is_counted() {
        insert(work, origin, place_text, digest, &key, place, last_day, Status::Untrusted, None)?;
        return Ok(Outcome::Untrusted);
    }
    if others.is_empty() {
        insert(work, origin, place_text, digest, &key, place, last_day, Status::Counted, None)?;
        rollup::count(work, &head, origin.trust, domain_name_id, &shares)?;
        return Ok(Outcome::Counted);
    }
    insert(work, origin, place_text, digest, &key, place, last_day, Status::SetAside, None)?;
    let settled = settle(work, &key, Some((report_id, &shares)))?;
    if !origin.trust.is_counted() {
        return Ok(Outcome::Untrusted);
    }
    let counts = settled.winner == Some(report_id);
    Ok(if settled.holders > 1 { Outcome::Conflicting { counts } } else { Outcome::Counted })
}

/// Gives up rows that are not needed.
pub(super) fn drop_rows(work: &mut Work<'_>, rows: &ReportRows) -> Result<(), StoreError> {
    match rows {
        ReportRows::Loaded(loading) => loading::give_up(work, *loading),
        ReportRows::Records(_) | ReportRows::NotNeeded => Ok(()),
    }
}

/// Writes the row of a report.
#[expect(clippy::too_many_arguments, reason = "each is one part of the row")]
fn insert(
    work: &Work<'_>,
    origin: &Origin,
    place_text: &str,
    digest: &ReportDigest,
    key: &Key,
    place: Place,
    last_day: i32,
    status: Status,
    duplicate_of: Option<i64>,
) -> Result<(), StoreError> {
    let report = &digest.report;
    let policy = &report.policy;
    let errors = match report.errors.as_slice() {
        [] => None,
        errors => Some(super::message::json_array(errors.iter().cloned())),
    };
    let names_sender =
        trust::names_sender(origin.sender.as_deref(), report.org_name.as_deref(), report.email.as_deref());
    work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        place.domain_id,
        place.day,
        place.report_id,
        last_day,
        digest.is_future,
        status.as_str(),
        duplicate_of,
        origin.message_id.0,
        place_text,
        origin.received_at_ms,
        origin.trust.as_str(),
        origin.trust.as_str(),
        key.reporter_id,
        key.external_id,
        key.begin_at,
        key.end_at,
        &digest.content_sha256[..],
        record::integer(digest.records),
        record::integer(digest.messages),
        record::integer(digest.dmarc_pass),
        origin.parser_version,
        report.org_name,
        report.email,
        report.extra_contact_info,
        report.report_id,
        report.version,
        report.namespace,
        report.generator,
        errors,
        policy.p,
        policy.sp,
        policy.np,
        policy.adkim,
        policy.aspf,
        policy.pct,
        policy.fo,
        policy.testing,
        policy.discovery_method,
        origin.sender,
        names_sender,
    ])?;
    Ok(())
}

/// Writes the deviations of a report; the first of each name carries its count.
fn insert_deviations(work: &Work<'_>, place: Place, deviations: &Deviations) -> Result<(), StoreError> {
    if deviations.is_empty() {
        return Ok(());
    }
    let mut statement = work.connection.prepare_cached(INSERT_DEVIATION)?;
    let mut seen: Vec<&str> = Vec::new();
    for (seq, Deviation { name, place: at, original, used }) in (0i64..).zip(deviations.list()) {
        let count = if seen.contains(name) {
            0
        } else {
            seen.push(name);
            deviations.counts().iter().find(|(known, _)| known == name).map_or(1, |(_, count)| *count)
        };
        statement.execute((
            place.domain_id,
            place.day,
            place.report_id,
            seq,
            name,
            record::integer(count),
            at,
            original,
            used,
        ))?;
    }
    Ok(())
}

// ---- One key ----

/// All reports under a key.
fn under_key(work: &Work<'_>, key: &Key) -> Result<Vec<Held>, StoreError> {
    let mut statement = work.connection.prepare_cached(UNDER_KEY)?;
    let parameters = (key.domain_id, key.reporter_id, &key.external_id, key.begin_at, key.end_at);
    let rows = statement.query_map(parameters, |row| {
        let report_id: i64 = row.get(1)?;
        Ok(Held {
            head: Head {
                place: Place { domain_id: key.domain_id, day: row.get(0)?, report_id },
                last_day: row.get(2)?,
                is_future: row.get(3)?,
                reporter_id: key.reporter_id,
                begin_at: row.get(11)?,
                end_at: row.get(12)?,
            },
            claim: claim_of(row)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads a claim from a row of [`UNDER_KEY`].
pub(super) fn claim_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Claim> {
    let trust_of = |word: &str| Trust::parse(word).unwrap_or(Trust::Pending);
    Ok(Claim {
        report_id: row.get(1)?,
        status: Status::parse(row.get_ref(4)?.as_str()?),
        is_conflicting: row.get(5)?,
        duplicate_of: row.get(6)?,
        message_id: MessageId(row.get(7)?),
        received_at_ms: row.get(8)?,
        trust: trust_of(row.get_ref(9)?.as_str()?),
        own_trust: trust_of(row.get_ref(10)?.as_str()?),
        content: row.get(13)?,
        records: row.get(14)?,
        sender: row.get(15)?,
        names_sender: row.get(16)?,
    })
}

/// Brings all reports under a key to the state that they should have, and the roll-ups with them. `fresh` are
/// the shares of a report that was just written.
pub(super) fn settle(
    work: &mut Work<'_>,
    key: &Key,
    fresh: Option<(i64, &[Share])>,
) -> Result<Settlement, StoreError> {
    let held = under_key(work, key)?;
    let claims: Vec<&Claim> = held.iter().map(|held| &held.claim).collect();
    let settled = one_key::settle(&claims, Trust::is_counted);
    let mut domain_name_id = None;
    for change in &settled.changes {
        let Some(held) = held.iter().find(|held| held.claim.report_id == change.report_id) else { continue };
        set(work, held.head.place, change)?;
        let counted = held.claim.status == Status::Counted;
        let counts = change.status == Status::Counted;
        if !(counted || counts) || counted && counts && change.trust == held.claim.trust {
            continue;
        }
        let name_id = match domain_name_id {
            Some(id) => id,
            None => domain_name(work, key.domain_id)?,
        };
        domain_name_id = Some(name_id);
        let shares = match fresh {
            Some((id, shares)) if id == change.report_id => shares.to_vec(),
            _ => shares_of(work, held.head.place)?,
        };
        if counted {
            rollup::uncount(work, &held.head, held.claim.trust, name_id, &shares)?;
        }
        if counts {
            rollup::count(work, &held.head, change.trust, name_id, &shares)?;
        }
        if counted {
            rollup::tidy(work, &held.head, held.claim.trust, name_id, &shares)?;
        }
    }
    Ok(settled)
}

/// The sums of a stored report.
fn shares_of(work: &Work<'_>, place: Place) -> Result<Vec<Share>, StoreError> {
    match work.cache.shares(place.report_id) {
        Some(shares) => Ok(shares.clone()),
        None => rollup::of_rows(work.connection, place),
    }
}

/// Writes the state of one report.
fn set(work: &Work<'_>, place: Place, change: &Change) -> Result<(), StoreError> {
    work.connection.prepare_cached(SET)?.execute((
        change.status.as_str(),
        change.is_conflicting,
        change.duplicate_of,
        change.trust.as_str(),
        place.domain_id,
        place.day,
        place.report_id,
    ))?;
    Ok(())
}

/// The number of a policy domain's own name among the author domains.
fn domain_name(work: &mut Work<'_>, domain_id: i64) -> Result<i64, StoreError> {
    let name: String =
        work.connection.prepare_cached(DOMAIN_NAME)?.query_row([domain_id], |row| row.get(0))?;
    intern::name(work, &name)
}

// ---- Removing ----

/// The keys of the reports that a message brought.
pub(super) fn keys_of_message(work: &Work<'_>, id: MessageId) -> Result<Vec<Key>, StoreError> {
    let mut statement = work.connection.prepare_cached(OF_MESSAGE)?;
    let rows = statement.query_map([id.0], |row| {
        Ok(Key {
            domain_id: row.get(0)?,
            reporter_id: row.get(1)?,
            external_id: row.get(2)?,
            begin_at: row.get(3)?,
            end_at: row.get(4)?,
        })
    })?;
    let mut keys: Vec<Key> = Vec::new();
    for key in rows {
        let key = key?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Removes the reports under `key` that a message brought, with rows and roll-ups. The key is to be settled
/// afterwards.
pub(super) fn remove(work: &mut Work<'_>, key: &Key, id: MessageId) -> Result<(), StoreError> {
    // Without its rows nothing can be taken from the roll-ups again.
    let goes = |held: &Held| held.claim.message_id == id && held.claim.status != Status::RolledUp;
    for held in under_key(work, key)?.into_iter().filter(goes) {
        let place = held.head.place;
        let shares = match held.claim.status {
            Status::Counted => Some(shares_of(work, place)?),
            Status::SetAside | Status::Duplicate | Status::RolledUp | Status::Untrusted => None,
        };
        let row = (place.domain_id, place.day, place.report_id);
        work.connection.prepare_cached(DELETE)?.execute(row)?;
        work.connection.prepare_cached(DELETE_DEVIATIONS)?.execute(row)?;
        if let Some(shares) = shares {
            let name_id = domain_name(work, key.domain_id)?;
            rollup::uncount(work, &held.head, held.claim.trust, name_id, &shares)?;
        }
        if held.claim.status != Status::Duplicate {
            if u64::try_from(held.claim.records).unwrap_or(0) > limits::RECORDS_IN_MEMORY {
                loading::leave(work, place)?;
            } else {
                record::delete(work, place)?;
            }
        }
    }
    Ok(())
}
