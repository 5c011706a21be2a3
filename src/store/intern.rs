//! Look-up numbers: names, domains, reporters, lists of results. Known ones are kept in memory.
//!
//! A number is made from the SHA-256 of the text, 48 bits of it, so that it depends on no sequence; where two
//! texts meet, the second takes the next free number.

use std::collections::{HashMap, HashSet};

use rusqlite::{CachedStatement, OptionalExtension};

use super::StoreError;
use super::message::sha256;
use super::rollup::Share;
use super::writer::Work;
use crate::limits;
use crate::reports::aggregate::{AuthResult, Reason, Record};

/// Entries of one map; a full one is emptied: what is still in use comes back at once.
const ENTRIES: usize = 40_000;
/// Sums of long reports kept in memory.
const SHARES: usize = 20_000;
/// Bytes of the lists of results kept in memory.
const LIST_BYTES: usize = 4 * 1024 * 1024;

const NAME: &str = "SELECT name_id FROM name WHERE name = $1";
const INSERT_NAME: &str = "INSERT INTO name (name_id, name) VALUES ($1, $2) ON CONFLICT (name_id) DO NOTHING";
const DOMAIN: &str = "SELECT domain_id FROM domain WHERE name = $1";
const INSERT_DOMAIN: &str =
    "INSERT INTO domain (domain_id, name, is_configured, is_added) VALUES ($1, $2, 0, 0)
    ON CONFLICT (domain_id) DO NOTHING";
const REPORTER: &str = "SELECT reporter_id, org_name, email FROM reporter WHERE name_key = $1";
const INSERT_REPORTER: &str =
    "INSERT INTO reporter (reporter_id, name_key, org_name, email) VALUES ($1, $2, $3, $4)
    ON CONFLICT (reporter_id) DO NOTHING";
const UPDATE_REPORTER: &str = "UPDATE reporter SET org_name = $1, email = $2 WHERE reporter_id = $3";
const AUTH_SET: &str = "SELECT auth_set_id FROM auth_set WHERE sha256 = $1";
const INSERT_AUTH_SET: &str =
    "INSERT INTO auth_set (auth_set_id, sha256) VALUES ($1, $2) ON CONFLICT (auth_set_id) DO NOTHING";
const INSERT_AUTH_RESULT: &str = "INSERT INTO auth_result (auth_set_id, seq, method, domain, selector, scope,
    result, written, human_result) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const REASON_SET: &str = "SELECT reason_set_id FROM reason_set WHERE sha256 = $1";
const INSERT_REASON_SET: &str =
    "INSERT INTO reason_set (reason_set_id, sha256) VALUES ($1, $2) ON CONFLICT (reason_set_id) DO NOTHING";
const INSERT_REASON: &str = "INSERT INTO reason (reason_set_id, seq, type, comment) VALUES ($1, $2, $3, $4)";

/// Numbers known to be in the database. Emptied after a rollback and after another process wrote.
#[derive(Debug, Default)]
pub(super) struct Cache {
    names: HashMap<Box<str>, i64>,
    domains: HashMap<Box<str>, i64>,
    reporters: HashMap<Box<str>, KnownReporter>,
    auth_sets: HashMap<Box<[u8]>, i64>,
    auth_bytes: usize,
    reason_sets: HashMap<Box<[u8]>, i64>,
    reason_bytes: usize,
    /// Author domains with a row of their own in the roll-up, by (domain, day).
    pub(super) admitted: HashMap<(i64, i32), HashSet<i64>>,
    /// Sums of long reports that were just written, by report: their verdict comes soon.
    shares: HashMap<i64, Vec<Share>>,
    /// Sums in `shares`.
    shares_len: usize,
    /// Watched domains; absent: not read yet.
    pub(super) watched: Option<HashSet<String>>,
    /// Domains in `unclaimed`; absent: not read yet.
    pub(super) unclaimed: Option<HashSet<String>>,
    /// Look-up rows taken up while unused ones are looked for; absent: nobody looks, or what was taken is not known.
    taken: Option<HashSet<(Lookup, i64)>>,
    /// Memory for the fixed form of a list.
    form: Vec<u8>,
}

/// A kind of look-up rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lookup {
    /// Names of records.
    Name,
    /// Reporters.
    Reporter,
    /// Lists of raw results.
    AuthSet,
    /// Lists of override reasons.
    ReasonSet,
}

/// A reporter as last written.
#[derive(Debug)]
struct KnownReporter {
    id: i64,
    org_name: Option<String>,
    email: Option<String>,
}

impl Cache {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self { form: std::mem::take(&mut self.form), ..Self::default() };
    }

    /// Keeps the sums of a report of many records: to add them up again takes long.
    pub(super) fn remember_shares(&mut self, report_id: i64, shares: &[Share]) {
        if self.shares_len + shares.len() > SHARES {
            self.shares.clear();
            self.shares_len = 0;
        }
        if shares.len() <= SHARES {
            self.shares_len += shares.len();
            self.shares.insert(report_id, shares.to_vec());
        }
    }

    /// The sums of a report that were kept. Rows of a report never change as long as it is there.
    pub(super) fn shares(&self, report_id: i64) -> Option<&Vec<Share>> {
        self.shares.get(&report_id)
    }

    /// Notes that a row is referred to from now on.
    fn take(&mut self, kind: Lookup, id: i64) {
        let Some(taken) = &mut self.taken else { return };
        taken.insert((kind, id));
        if taken.len() > limits::UNUSED_TAKEN {
            self.taken = None;
        }
    }
}

// ---- Looking for unused rows ----

/// From now on it is noted which rows are taken up.
pub(super) fn note_taken(work: &mut Work<'_>) {
    work.cache.taken = Some(HashSet::new());
}

/// Ends [`note_taken`].
pub(super) fn note_no_more(work: &mut Work<'_>) {
    work.cache.taken = None;
}

/// True if a row was taken up since [`note_taken`]; nothing if that is not known: another process wrote, or a
/// transaction was lost.
pub(super) fn was_taken(work: &Work<'_>, kind: Lookup, id: i64) -> Option<bool> {
    work.cache.taken.as_ref().map(|taken| taken.contains(&(kind, id)))
}

/// Forgets the numbers of rows, of which some were removed.
pub(super) fn forget(work: &mut Work<'_>) {
    let taken = work.cache.taken.take();
    work.cache.clear();
    work.cache.taken = taken;
}

/// 48 bits of the hash of `bytes`; never 0, which stands for "other".
fn number(bytes: &[u8]) -> i64 {
    let hash = sha256(bytes);
    let number = hash.iter().take(6).fold(0i64, |number, byte| (number << 8) | i64::from(*byte));
    number.max(1)
}

/// Gives `insert` one number after another until it is free.
fn take_number(
    bytes: &[u8],
    mut insert: impl FnMut(i64) -> rusqlite::Result<usize>,
) -> Result<i64, StoreError> {
    let mut id = number(bytes);
    while insert(id)? == 0 {
        id += 1;
    }
    Ok(id)
}

/// The number of an author domain, envelope domain or other name.
pub(super) fn name(work: &mut Work<'_>, text: &str) -> Result<i64, StoreError> {
    if let Some(id) = work.cache.names.get(text).copied() {
        work.cache.take(Lookup::Name, id);
        return Ok(id);
    }
    let found: Option<i64> = select(work.connection.prepare_cached(NAME)?, text)?;
    let id = match found {
        Some(id) => id,
        None => {
            let mut statement = work.connection.prepare_cached(INSERT_NAME)?;
            take_number(text.as_bytes(), |id| statement.execute((id, text)))?
        }
    };
    work.cache.take(Lookup::Name, id);
    if work.cache.names.len() >= ENTRIES {
        work.cache.names.clear();
    }
    work.cache.names.insert(text.into(), id);
    Ok(id)
}

/// The number of a policy domain.
pub(super) fn domain(work: &mut Work<'_>, text: &str) -> Result<i64, StoreError> {
    if let Some(id) = work.cache.domains.get(text) {
        return Ok(*id);
    }
    let found: Option<i64> = select(work.connection.prepare_cached(DOMAIN)?, text)?;
    let id = match found {
        Some(id) => id,
        None => {
            let mut statement = work.connection.prepare_cached(INSERT_DOMAIN)?;
            take_number(text.as_bytes(), |id| statement.execute((id, text)))?
        }
    };
    if work.cache.domains.len() >= ENTRIES {
        work.cache.domains.clear();
    }
    work.cache.domains.insert(text.into(), id);
    Ok(id)
}

/// The number of a policy domain that is known already.
pub(super) fn known_domain(work: &Work<'_>, text: &str) -> Result<Option<i64>, StoreError> {
    match work.cache.domains.get(text) {
        Some(id) => Ok(Some(*id)),
        None => select(work.connection.prepare_cached(DOMAIN)?, text),
    }
}

/// The number of a reporter that is known already, for a report of his.
pub(super) fn take_known_reporter(work: &mut Work<'_>, key: &str) -> Result<Option<i64>, StoreError> {
    let known = known_reporter(work, key)?;
    if let Some(id) = known {
        work.cache.take(Lookup::Reporter, id);
    }
    Ok(known)
}

/// The number of a reporter that is known already.
pub(super) fn known_reporter(work: &Work<'_>, key: &str) -> Result<Option<i64>, StoreError> {
    match work.cache.reporters.get(key) {
        Some(known) => Ok(Some(known.id)),
        None => select(work.connection.prepare_cached(REPORTER)?, key),
    }
}

/// The number of a reporter; its name and address are kept as last written.
pub(super) fn reporter(
    work: &mut Work<'_>,
    key: &str,
    org_name: Option<&str>,
    email: Option<&str>,
) -> Result<i64, StoreError> {
    if let Some(known) = work.cache.reporters.get(key)
        && known.org_name.as_deref() == org_name
        && known.email.as_deref() == email
    {
        let id = known.id;
        work.cache.take(Lookup::Reporter, id);
        return Ok(id);
    }
    let found: Option<i64> = select(work.connection.prepare_cached(REPORTER)?, key)?;
    let id = match found {
        Some(id) => {
            work.connection.prepare_cached(UPDATE_REPORTER)?.execute((org_name, email, id))?;
            id
        }
        None => {
            let mut statement = work.connection.prepare_cached(INSERT_REPORTER)?;
            take_number(key.as_bytes(), |id| statement.execute((id, key, org_name, email)))?
        }
    };
    work.cache.take(Lookup::Reporter, id);
    if work.cache.reporters.len() >= ENTRIES {
        work.cache.reporters.clear();
    }
    let known = KnownReporter { id, org_name: org_name.map(str::to_owned), email: email.map(str::to_owned) };
    work.cache.reporters.insert(key.into(), known);
    Ok(id)
}

/// The first column of the row that `statement` finds for one text.
fn select(mut statement: CachedStatement<'_>, text: &str) -> Result<Option<i64>, StoreError> {
    Ok(statement.query_row([text], |row| row.get(0)).optional()?)
}

// ---- Lists of results and reasons ----

/// The number of a record's list of raw results; `None` for an empty one.
pub(super) fn auth_set(work: &mut Work<'_>, record: &Record) -> Result<Option<i64>, StoreError> {
    if record.dkim_results.is_empty() && record.spf_results.is_empty() {
        return Ok(None);
    }
    let mut form = std::mem::take(&mut work.cache.form);
    form.clear();
    for result in &record.dkim_results {
        form.push(b'd');
        put(&mut form, result.domain.as_deref());
        put(&mut form, result.selector.as_deref());
        put_result(&mut form, &result.result);
        put(&mut form, result.human_result.as_deref());
    }
    for result in &record.spf_results {
        form.push(b's');
        put(&mut form, result.domain.as_deref());
        put(&mut form, result.scope.as_deref());
        put_result(&mut form, &result.result);
        put(&mut form, result.human_result.as_deref());
    }
    let id = match work.cache.auth_sets.get(form.as_slice()) {
        Some(id) => *id,
        None => {
            let id = find_or_insert_auth_set(work, &form, record)?;
            if work.cache.auth_bytes + form.len() > LIST_BYTES {
                work.cache.auth_sets.clear();
                work.cache.auth_bytes = 0;
            }
            work.cache.auth_bytes += form.len() + 64;
            work.cache.auth_sets.insert(form.as_slice().into(), id);
            id
        }
    };
    work.cache.take(Lookup::AuthSet, id);
    work.cache.form = form;
    Ok(Some(id))
}

/// Finds a list of raw results by its form, or writes it.
fn find_or_insert_auth_set(work: &Work<'_>, form: &[u8], record: &Record) -> Result<i64, StoreError> {
    let hash = sha256(form);
    let found: Option<i64> =
        work.connection.prepare_cached(AUTH_SET)?.query_row([&hash[..]], |row| row.get(0)).optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    let mut statement = work.connection.prepare_cached(INSERT_AUTH_SET)?;
    let id = take_number(form, |id| statement.execute((id, &hash[..])))?;
    let mut insert = work.connection.prepare_cached(INSERT_AUTH_RESULT)?;
    let mut seq = 0i64;
    let none: Option<&str> = None;
    for result in &record.dkim_results {
        insert.execute((
            id,
            seq,
            "dkim",
            &result.domain,
            &result.selector,
            none,
            &*result.result.word,
            &result.result.written,
            &result.human_result,
        ))?;
        seq += 1;
    }
    for result in &record.spf_results {
        insert.execute((
            id,
            seq,
            "spf",
            &result.domain,
            none,
            &result.scope,
            &*result.result.word,
            &result.result.written,
            &result.human_result,
        ))?;
        seq += 1;
    }
    Ok(id)
}

/// The number of a record's list of override reasons; `None` for an empty one.
pub(super) fn reason_set(work: &mut Work<'_>, reasons: &[Reason]) -> Result<Option<i64>, StoreError> {
    if reasons.is_empty() {
        return Ok(None);
    }
    let mut form = std::mem::take(&mut work.cache.form);
    form.clear();
    for reason in reasons {
        put(&mut form, Some(&reason.kind));
        put(&mut form, reason.comment.as_deref());
    }
    let id = match work.cache.reason_sets.get(form.as_slice()) {
        Some(id) => *id,
        None => {
            let id = find_or_insert_reason_set(work, &form, reasons)?;
            if work.cache.reason_bytes + form.len() > LIST_BYTES {
                work.cache.reason_sets.clear();
                work.cache.reason_bytes = 0;
            }
            work.cache.reason_bytes += form.len() + 64;
            work.cache.reason_sets.insert(form.as_slice().into(), id);
            id
        }
    };
    work.cache.take(Lookup::ReasonSet, id);
    work.cache.form = form;
    Ok(Some(id))
}

/// Finds a list of reasons by its form, or writes it.
fn find_or_insert_reason_set(work: &Work<'_>, form: &[u8], reasons: &[Reason]) -> Result<i64, StoreError> {
    let hash = sha256(form);
    let found: Option<i64> =
        work.connection.prepare_cached(REASON_SET)?.query_row([&hash[..]], |row| row.get(0)).optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    let mut statement = work.connection.prepare_cached(INSERT_REASON_SET)?;
    let id = take_number(form, |id| statement.execute((id, &hash[..])))?;
    let mut insert = work.connection.prepare_cached(INSERT_REASON)?;
    for (seq, reason) in (0i64..).zip(reasons) {
        insert.execute((id, seq, &reason.kind, &reason.comment))?;
    }
    Ok(id)
}

/// Writes a value with its length, so that no two lists have one form.
fn put(form: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => form.push(0),
        Some(text) => {
            form.push(1);
            form.extend_from_slice(&text.len().to_le_bytes());
            form.extend_from_slice(text.as_bytes());
        }
    }
}

/// Writes a result word and what was written.
fn put_result(form: &mut Vec<u8>, result: &AuthResult) {
    put(form, Some(&result.word));
    put(form, result.written.as_deref());
}
