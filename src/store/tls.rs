//! TLS reports: what each says of one domain, kept as it came; one of each key counts.
//!
//! Many rows are written ahead in slices, invisible until their report is there ([`loading`]), and removed in slices.
//! The rules are those of aggregate reports ([`one_key`]). There is no roll-up: a reporter sends one such report a
//! day and domain, so that answers are summed from the rows.

use rusqlite::{Connection, OptionalExtension};

use super::aggregate::Origin;
use super::one_key::{self, Change, Claim, Settlement, Status};
use super::record::Place;
use super::writer::{Work, Writer};
use super::{MessageId, Outcome, ReadTls, StoreError, intern, loading, record, source, unclaimed};
use crate::limits;
use crate::mail::DomainName;
use crate::reports::tls::{FailureDetail, Policy, TlsDigest, TlsDomain};
use crate::summary::{Trust, trust};

const INSERT: &str = "INSERT INTO tls_report (domain_id, day, report_id, last_day, is_future, status,
    is_conflicting, duplicate_of, message_id, place, received_at_ms, trust, own_trust, reporter_id, external_id,
    begin_at, end_at, content_sha256, policies, failures, successful_sessions, failed_sessions, parser_version,
    organization_name, contact_info, written_id, deviations, sender, names_sender)
    VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
    $23, $24, $25, $26, $27, $28)";
const INSERT_POLICY: &str = "INSERT INTO tls_policy (domain_id, day, report_id, seq, policy_type, policy_domain,
    policy_string, mx_host, successful_sessions, failed_sessions) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const INSERT_FAILURE: &str = "INSERT INTO tls_failure (domain_id, day, report_id, policy_seq, seq, result_type,
    sending_mta_ip, receiving_mx_hostname, receiving_mx_helo, receiving_ip, failed_sessions,
    additional_information, failure_reason_code) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
// The sign keeps the planner from walking all reports of the domain by the primary key.
const UNDER_KEY: &str =
    "SELECT day, report_id, status, is_conflicting, duplicate_of, message_id, received_at_ms,
    trust, own_trust, content_sha256, policies, sender, names_sender FROM tls_report
    WHERE +domain_id = $1 AND reporter_id = $2 AND external_id = $3 AND begin_at = $4 AND end_at = $5";
const SET: &str = "UPDATE tls_report SET status = $1, is_conflicting = $2, duplicate_of = $3, trust = $4
    WHERE domain_id = $5 AND day = $6 AND report_id = $7";
const ROWS: &str = "SELECT CASE WHEN status = 'duplicate' THEN 0 ELSE policies + failures END FROM tls_report
    WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE: &str = "DELETE FROM tls_report WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE_ROWS: [&str; 2] = [
    "DELETE FROM tls_policy WHERE domain_id = $1 AND day = $2 AND report_id = $3",
    "DELETE FROM tls_failure WHERE domain_id = $1 AND day = $2 AND report_id = $3",
];
const LOADED: &str =
    "SELECT (SELECT COUNT(*) FROM tls_policy WHERE domain_id = $1 AND day = $2 AND report_id = $3)
    + (SELECT COUNT(*) FROM tls_failure WHERE domain_id = $1 AND day = $2 AND report_id = $3)";
const FIRST_FAILURE: &str = "SELECT policy_seq, seq FROM tls_failure
    WHERE domain_id = $1 AND day = $2 AND report_id = $3 ORDER BY policy_seq, seq LIMIT 1";
const DELETE_FAILURES: &str = "DELETE FROM tls_failure
    WHERE domain_id = $1 AND day = $2 AND report_id = $3 AND policy_seq = $4 AND seq < $5";
const FIRST_POLICY: &str =
    "SELECT MIN(seq) FROM tls_policy WHERE domain_id = $1 AND day = $2 AND report_id = $3";
const DELETE_POLICIES: &str = "DELETE FROM tls_policy
    WHERE domain_id = $1 AND day = $2 AND report_id = $3 AND seq < $4";
const OF_MESSAGE: &str = "SELECT domain_id, reporter_id, external_id, begin_at, end_at FROM tls_report
    WHERE message_id = $1";

/// Rows that are written with their report; more are written ahead in slices of this length.
const ROWS_AT_ONCE: usize = 1_000;

/// What makes two reports the same report, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    domain_id: i64,
    reporter_id: i64,
    external_id: String,
    begin_at: i64,
    end_at: i64,
}

/// Bytes that a waiting report takes in memory, roughly.
pub(super) fn memory_bytes(read: &ReadTls) -> usize {
    let policies = &read.digest.report.policies;
    let details: usize = policies.iter().map(|policy| policy.failure_details.len()).sum();
    2_048 + 1_024 * policies.len() + 256 * details
}

// ---- Writing ahead ----

/// Where rows of reports were written ahead: for each report and domain, in their order.
pub(super) type Loaded = Vec<Vec<Option<Place>>>;

/// Writes the rows of long reports in slices; blocks while too much is queued. Short ones have no place.
///
/// Errors: those of the store; nothing stays then that is not removed later.
pub(super) fn load(writer: &Writer, reports: &[ReadTls]) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::new();
    for read in reports {
        let mut places = Vec::new();
        for of_domain in &read.digest.domains {
            let place = match load_one(writer, &read.digest, of_domain) {
                Ok(place) => place,
                Err(error) => {
                    loaded.push(places);
                    // The error says more than what giving up would.
                    let _ = writer.run(move |work| give_up(work, &loaded));
                    return Err(error);
                }
            };
            places.push(place);
        }
        loaded.push(places);
    }
    Ok(loaded)
}

/// Writes ahead what a report says of one domain, if it is long and wanted.
fn load_one(writer: &Writer, digest: &TlsDigest, of_domain: &TlsDomain) -> Result<Option<Place>, StoreError> {
    if rows_of(digest, of_domain) <= ROWS_AT_ONCE {
        return Ok(None);
    }
    let day = digest.days.first().0;
    let (report, wanted) = (&digest.report, of_domain.clone());
    let names = (report.organization_name.clone(), report.contact_info.clone());
    let begun = writer.run(move |work| {
        if !unclaimed::is_claimed(work, wanted.key.domain.as_ref())? {
            return Ok(None);
        }
        let key = key_of(work, (names.0.as_deref(), names.1.as_deref()), &wanted)?;
        if under_key(work, &key)?.iter().any(|(_, claim)| claim.has_rows_of(&wanted.content_sha256)) {
            return Ok(None);
        }
        let place = Place { domain_id: key.domain_id, day, report_id: work.ids.next(work.now) };
        loading::announce(work, place)?;
        Ok(Some(place))
    })?;
    let Some(place) = begun else { return Ok(None) };
    let mut slice = Slice::default();
    for (seq, policy) in (0i64..).zip(policies_of(digest, of_domain)) {
        slice.policies.push((seq, policy.without_details()));
        let mut from = 0i64;
        for details in policy.failure_details.chunks(ROWS_AT_ONCE) {
            slice.failures.push((seq, from, details.to_vec()));
            from += i64::try_from(details.len()).unwrap_or(i64::MAX);
            slice.push_if_full(writer, place)?;
        }
        slice.push_if_full(writer, place)?;
    }
    slice.push(writer, place)?;
    Ok(Some(place))
}

/// Rows that are written in one go.
#[derive(Default)]
struct Slice {
    policies: Vec<(i64, Policy)>,
    /// Number of the policy and of the first of its failures.
    failures: Vec<(i64, i64, Vec<FailureDetail>)>,
}

impl Slice {
    /// Queues the rows if they are enough.
    fn push_if_full(&mut self, writer: &Writer, place: Place) -> Result<(), StoreError> {
        let failures: usize = self.failures.iter().map(|(_, _, details)| details.len()).sum();
        if self.policies.len() + failures >= ROWS_AT_ONCE { self.push(writer, place) } else { Ok(()) }
    }

    /// Queues the rows. One that could not be written shows when the report is taken.
    fn push(&mut self, writer: &Writer, place: Place) -> Result<(), StoreError> {
        let Self { policies, failures } = std::mem::take(self);
        let details: usize = failures.iter().map(|(_, _, details)| details.len()).sum();
        let bytes = 1_024 * policies.len() + 256 * details;
        let work = move |work: &mut Work<'_>| {
            loading::check(work, place)?;
            for (seq, policy) in &policies {
                insert_policy(work, place, *seq, policy)?;
            }
            for (policy_seq, from, details) in &failures {
                insert_failures(work, place, *policy_seq, *from, details)?;
            }
            Ok(())
        };
        writer.queue(bytes, work, Box::new(|_| {}))
    }
}

/// Gives up what was written ahead and is not needed.
pub(super) fn give_up(work: &mut Work<'_>, loaded: &Loaded) -> Result<(), StoreError> {
    for place in loaded.iter().flatten().flatten() {
        loading::leave(work, *place)?;
    }
    Ok(())
}

/// Makes rows that were written ahead part of a report that is written in the same transaction.
fn take(work: &Work<'_>, place: Place, key: &Key, day: i32, rows: usize) -> Result<(), StoreError> {
    let again = |what: &str| StoreError::Contradiction(format!("TLS report {}: {what}", key.external_id));
    if (place.domain_id, place.day) != (key.domain_id, day) {
        return Err(again("its rows were loaded for another domain or day"));
    }
    let loaded: i64 = work
        .connection
        .prepare_cached(LOADED)?
        .query_row((place.domain_id, place.day, place.report_id), |row| row.get(0))?;
    if usize::try_from(loaded) != Ok(rows) {
        return Err(again(&format!("{rows} rows announced, {loaded} loaded")));
    }
    loading::end(work, place)
}

// ---- Storing ----

/// Stores what a report says of one domain and settles its key.
pub(super) fn store(
    work: &mut Work<'_>,
    origin: &Origin,
    read: &ReadTls,
    of_domain: &TlsDomain,
    loaded: Option<Place>,
) -> Result<Outcome, StoreError> {
    let digest = &read.digest;
    let names = (digest.report.organization_name.as_deref(), digest.report.contact_info.as_deref());
    let key = key_of(work, names, of_domain)?;
    let held = under_key(work, &key)?;
    let same = held.iter().find(|(_, claim)| claim.has_rows_of(&of_domain.content_sha256));
    let day = digest.days.first().0;
    let mut place = Place { domain_id: key.domain_id, day, report_id: work.ids.next(work.now) };
    if let Some((_, same)) = same {
        let (of, message_id) = (same.report_id, same.message_id);
        if let Some(loaded) = loaded {
            loading::leave(work, loaded)?;
        }
        insert(work, origin, read, of_domain, &key, place, (Status::Duplicate, Some(of)))?;
        settle(work, &key)?;
        return Ok(Outcome::Duplicate { of: message_id });
    }
    match loaded {
        Some(loaded) => {
            take(work, loaded, &key, day, rows_of(digest, of_domain))?;
            place = loaded;
        }
        None => {
            for (seq, policy) in (0i64..).zip(policies_of(digest, of_domain)) {
                insert_policy(work, place, seq, policy)?;
                insert_failures(work, place, seq, 0, &policy.failure_details)?;
            }
        }
    }
    let is_counted = origin.trust.is_counted_for_tls();
    let status = match (held.is_empty(), is_counted) {
        (true, true) => Status::Counted,
        (true, false) => Status::Untrusted,
        (false, _) => Status::SetAside,
    };
    insert(work, origin, read, of_domain, &key, place, (status, None))?;
    let settled = settle(work, &key)?;
    if !is_counted {
        return Ok(Outcome::Untrusted);
    }
    let counts = settled.winner == Some(place.report_id);
    Ok(if settled.holders > 1 { Outcome::Conflicting { counts } } else { Outcome::Counted })
}

/// The policies of one domain, in order.
fn policies_of<'d>(digest: &'d TlsDigest, of_domain: &'d TlsDomain) -> impl Iterator<Item = &'d Policy> + 'd {
    of_domain.policies.iter().filter_map(|at| digest.report.policies.get(*at))
}

/// Rows of the policies and failures of one domain.
fn rows_of(digest: &TlsDigest, of_domain: &TlsDomain) -> usize {
    policies_of(digest, of_domain).map(|policy| 1 + policy.failure_details.len()).sum()
}

/// The key of what a report says of a domain, with the names of its reporter as written.
fn key_of(
    work: &mut Work<'_>,
    (name, contact): (Option<&str>, Option<&str>),
    of_domain: &TlsDomain,
) -> Result<Key, StoreError> {
    let key = &of_domain.key;
    // A reporter that sends aggregate reports too is known by how those name it.
    let reporter_id = match intern::take_known_reporter(work, &key.reporter)? {
        Some(id) => id,
        None => intern::reporter(work, &key.reporter, name, contact)?,
    };
    Ok(Key {
        domain_id: intern::domain(work, key.domain.as_ref().map_or("", DomainName::as_str))?,
        reporter_id,
        external_id: key.report_id.clone(),
        begin_at: key.begin,
        end_at: key.end,
    })
}

/// Writes the row of a report.
fn insert(
    work: &Work<'_>,
    origin: &Origin,
    read: &ReadTls,
    of_domain: &TlsDomain,
    key: &Key,
    place: Place,
    (status, duplicate_of): (Status, Option<i64>),
) -> Result<(), StoreError> {
    let digest = &read.digest;
    let report = &digest.report;
    let last_day = digest.days.last().0.min(place.day.saturating_add(limits::REPORT_SPREAD_DAYS));
    let policies = of_domain.policies.len();
    let failures = rows_of(digest, of_domain).saturating_sub(policies);
    let names = (report.organization_name.as_deref(), report.contact_info.as_deref());
    let names_sender = trust::names_sender(origin.sender.as_deref(), names.0, names.1);
    work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        place.domain_id,
        place.day,
        place.report_id,
        last_day,
        digest.is_future,
        status.as_str(),
        duplicate_of,
        origin.message_id.0,
        read.place,
        origin.received_at_ms,
        origin.trust.as_str(),
        origin.trust.as_str(),
        key.reporter_id,
        key.external_id,
        key.begin_at,
        key.end_at,
        &of_domain.content_sha256[..],
        i64::try_from(policies).unwrap_or(i64::MAX),
        i64::try_from(failures).unwrap_or(i64::MAX),
        record::integer(of_domain.successful),
        record::integer(of_domain.failed),
        origin.parser_version,
        report.organization_name,
        report.contact_info,
        report.report_id,
        super::message::json_array(digest.deviations.names().map(str::to_owned)),
        origin.sender,
        names_sender,
    ])?;
    Ok(())
}

/// Writes one policy of a report, without its failures.
fn insert_policy(work: &Work<'_>, place: Place, seq: i64, policy: &Policy) -> Result<(), StoreError> {
    work.connection.prepare_cached(INSERT_POLICY)?.execute((
        place.domain_id,
        place.day,
        place.report_id,
        seq,
        policy.policy_type.as_str(),
        policy.policy_domain.as_ref().map(DomainName::as_str),
        super::message::json_array(policy.policy_strings.iter().cloned()),
        super::message::json_array(policy.mx_hosts.iter().cloned()),
        policy.successful.map(record::integer),
        policy.failed.map(record::integer),
    ))?;
    Ok(())
}

/// Writes failures of one policy, numbered from `from` on.
fn insert_failures(
    work: &Work<'_>,
    place: Place,
    policy_seq: i64,
    from: i64,
    details: &[FailureDetail],
) -> Result<(), StoreError> {
    let mut statement = work.connection.prepare_cached(INSERT_FAILURE)?;
    let (mut sending, mut receiving) = (Vec::new(), Vec::new());
    for (seq, detail) in (from..).zip(details) {
        let has_sending = source::write(&detail.sending_mta_ip, &mut sending);
        let has_receiving = source::write(&detail.receiving_ip, &mut receiving);
        statement.execute(rusqlite::params![
            place.domain_id,
            place.day,
            place.report_id,
            policy_seq,
            seq,
            detail.result_type.as_str(),
            has_sending.then_some(&sending),
            detail.receiving_mx_hostname,
            detail.receiving_mx_helo,
            has_receiving.then_some(&receiving),
            detail.failed_sessions.map(record::integer),
            detail.additional_information,
            detail.failure_reason_code,
        ])?;
    }
    Ok(())
}

// ---- One key ----

/// All reports under a key.
fn under_key(work: &Work<'_>, key: &Key) -> Result<Vec<(Place, Claim)>, StoreError> {
    let mut statement = work.connection.prepare_cached(UNDER_KEY)?;
    let parameters = (key.domain_id, key.reporter_id, &key.external_id, key.begin_at, key.end_at);
    let rows = statement.query_map(parameters, |row| {
        let claim = claim_of(row)?;
        Ok((Place { domain_id: key.domain_id, day: row.get(0)?, report_id: claim.report_id }, claim))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads a claim from a row of [`UNDER_KEY`].
pub(super) fn claim_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Claim> {
    let trust_of = |word: &str| Trust::parse(word).unwrap_or(Trust::Pending);
    Ok(Claim {
        report_id: row.get(1)?,
        status: Status::parse(row.get_ref(2)?.as_str()?),
        is_conflicting: row.get(3)?,
        duplicate_of: row.get(4)?,
        message_id: MessageId(row.get(5)?),
        received_at_ms: row.get(6)?,
        trust: trust_of(row.get_ref(7)?.as_str()?),
        own_trust: trust_of(row.get_ref(8)?.as_str()?),
        content: row.get(9)?,
        records: row.get(10)?,
        sender: row.get(11)?,
        names_sender: row.get(12)?,
    })
}

/// Brings all reports under a key to the state that they should have.
pub(super) fn settle(work: &Work<'_>, key: &Key) -> Result<Settlement, StoreError> {
    let held = under_key(work, key)?;
    let claims: Vec<&Claim> = held.iter().map(|(_, claim)| claim).collect();
    let settled = one_key::settle(&claims, Trust::is_counted_for_tls);
    let mut statement = work.connection.prepare_cached(SET)?;
    for Change { report_id, status, is_conflicting, duplicate_of, trust } in &settled.changes {
        let Some((place, _)) = held.iter().find(|(_, claim)| claim.report_id == *report_id) else { continue };
        statement.execute((
            status.as_str(),
            is_conflicting,
            duplicate_of,
            trust.as_str(),
            place.domain_id,
            place.day,
            place.report_id,
        ))?;
    }
    Ok(settled)
}

// ---- Removing ----

/// Removes the reports that a message brought. The keys returned are to be settled afterwards.
pub(super) fn remove(work: &mut Work<'_>, id: MessageId) -> Result<Vec<Key>, StoreError> {
    let keys = keys_of_message(work, id)?;
    for key in &keys {
        for (place, claim) in under_key(work, key)? {
            if claim.message_id != id {
                continue;
            }
            remove_report(work, place)?;
        }
    }
    Ok(keys)
}

/// The keys of the reports that a message brought.
pub(super) fn keys_of_message(work: &Work<'_>, id: MessageId) -> Result<Vec<Key>, StoreError> {
    let mut keys: Vec<Key> = Vec::new();
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
    for key in rows {
        let key = key?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Removes a report: its rows at once, or later in slices where they are many.
pub(super) fn remove_report(work: &mut Work<'_>, place: Place) -> Result<(), StoreError> {
    let key = (place.domain_id, place.day, place.report_id);
    let rows: Option<i64> =
        work.connection.prepare_cached(ROWS)?.query_row(key, |row| row.get(0)).optional()?;
    work.connection.prepare_cached(DELETE)?.execute(key)?;
    match rows {
        None | Some(0) => {}
        Some(rows) if usize::try_from(rows).is_ok_and(|rows| rows > ROWS_AT_ONCE) => {
            loading::leave(work, place)?;
        }
        Some(_) => {
            for sql in DELETE_ROWS {
                work.connection.prepare_cached(sql)?.execute(key)?;
            }
        }
    }
    Ok(())
}

/// Removes a slice of rows whose report is gone. False if there are none.
pub(super) fn remove_slice(connection: &Connection, key: (i64, i32, i64)) -> Result<bool, StoreError> {
    let (domain_id, day, report_id) = key;
    let most = i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX);
    let first = connection
        .prepare_cached(FIRST_FAILURE)?
        .query_row(key, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    if let Some((policy_seq, seq)) = first {
        let row = (domain_id, day, report_id, policy_seq, seq + most);
        connection.prepare_cached(DELETE_FAILURES)?.execute(row)?;
        return Ok(true);
    }
    let first: Option<i64> = connection.prepare_cached(FIRST_POLICY)?.query_row(key, |row| row.get(0))?;
    let Some(seq) = first else { return Ok(false) };
    connection.prepare_cached(DELETE_POLICIES)?.execute((domain_id, day, report_id, seq + most))?;
    Ok(true)
}
