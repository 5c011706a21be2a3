//! TLS reports: what each says of one domain, kept as it came; one of each key counts.
//!
//! The rules are those of aggregate reports ([`one_key`]). There is no roll-up: a reporter sends one such report a
//! day and domain, so that answers are summed from the rows.

use super::aggregate::Origin;
use super::one_key::{self, Change, Claim, Settlement, Status};
use super::record::Place;
use super::writer::Work;
use super::{MessageId, Outcome, ReadTls, StoreError, intern, record, source};
use crate::limits;
use crate::mail::DomainName;
use crate::reports::tls::{FailureDetail, Policy, TlsDigest, TlsDomain};
use crate::summary::Trust;

const INSERT: &str = "INSERT INTO tls_report (domain_id, day, report_id, last_day, is_future, status,
    is_conflicting, duplicate_of, message_id, place, received_at_ms, trust, own_trust, reporter_id, external_id,
    begin_at, end_at, content_sha256, policies, successful_sessions, failed_sessions, parser_version,
    organization_name, contact_info, written_id, deviations)
    VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
    $23, $24, $25)";
const INSERT_POLICY: &str = "INSERT INTO tls_policy (domain_id, day, report_id, seq, policy_type, policy_domain,
    policy_string, mx_host, successful_sessions, failed_sessions) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const INSERT_FAILURE: &str = "INSERT INTO tls_failure (domain_id, day, report_id, policy_seq, seq, result_type,
    sending_mta_ip, receiving_mx_hostname, receiving_mx_helo, receiving_ip, failed_sessions,
    additional_information, failure_reason_code) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
// The sign keeps the planner from walking all reports of the domain by the primary key.
const UNDER_KEY: &str =
    "SELECT day, report_id, status, is_conflicting, duplicate_of, message_id, received_at_ms,
    trust, own_trust, content_sha256, policies FROM tls_report
    WHERE +domain_id = $1 AND reporter_id = $2 AND external_id = $3 AND begin_at = $4 AND end_at = $5";
const SET: &str = "UPDATE tls_report SET status = $1, is_conflicting = $2, duplicate_of = $3, trust = $4
    WHERE domain_id = $5 AND day = $6 AND report_id = $7";
const DELETE: [&str; 3] = [
    "DELETE FROM tls_report WHERE domain_id = $1 AND day = $2 AND report_id = $3",
    "DELETE FROM tls_policy WHERE domain_id = $1 AND day = $2 AND report_id = $3",
    "DELETE FROM tls_failure WHERE domain_id = $1 AND day = $2 AND report_id = $3",
];
const OF_MESSAGE: &str = "SELECT domain_id, reporter_id, external_id, begin_at, end_at FROM tls_report
    WHERE message_id = $1";

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

// ---- Storing ----

/// Stores what a report says of one domain and settles its key.
pub(super) fn store(
    work: &mut Work<'_>,
    origin: &Origin,
    read: &ReadTls,
    of_domain: &TlsDomain,
) -> Result<Outcome, StoreError> {
    let digest = &read.digest;
    let key = key_of(work, digest, of_domain)?;
    let held = under_key(work, &key)?;
    let same = held.iter().find(|(_, claim)| claim.has_rows_of(&of_domain.content_sha256));
    let place =
        Place { domain_id: key.domain_id, day: digest.days.first().0, report_id: work.ids.next(work.now) };
    let domain = of_domain.key.domain.as_ref();
    if let Some((_, same)) = same {
        let (of, message_id) = (same.report_id, same.message_id);
        insert(work, origin, read, of_domain, &key, place, (Status::Duplicate, Some(of)))?;
        settle(work, &key)?;
        return Ok(Outcome::Duplicate { of: message_id });
    }
    insert_policies(work, place, policies_of(digest, domain))?;
    let status = if held.is_empty() { Status::Counted } else { Status::SetAside };
    insert(work, origin, read, of_domain, &key, place, (status, None))?;
    let settled = settle(work, &key)?;
    let counts = settled.winner == Some(place.report_id);
    Ok(if settled.holders > 1 { Outcome::Conflicting { counts } } else { Outcome::Counted })
}

/// The policies of one domain, in order.
fn policies_of<'d>(
    digest: &'d TlsDigest,
    domain: Option<&'d DomainName>,
) -> impl Iterator<Item = &'d Policy> + 'd {
    digest.report.policies.iter().filter(move |policy| policy.domain.as_ref() == domain)
}

/// The key of what a report says of a domain.
fn key_of(work: &mut Work<'_>, digest: &TlsDigest, of_domain: &TlsDomain) -> Result<Key, StoreError> {
    let key = &of_domain.key;
    // A reporter that sends aggregate reports too is known by how those name it.
    let reporter_id = match intern::known_reporter(work, &key.reporter)? {
        Some(id) => id,
        None => {
            let (name, contact) = (&digest.report.organization_name, &digest.report.contact_info);
            intern::reporter(work, &key.reporter, name.as_deref(), contact.as_deref())?
        }
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
    let policies = policies_of(digest, of_domain.key.domain.as_ref()).count();
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
        record::integer(of_domain.successful),
        record::integer(of_domain.failed),
        origin.parser_version,
        report.organization_name,
        report.contact_info,
        report.report_id,
        super::message::json_array(digest.deviations.names().map(str::to_owned)),
    ])?;
    Ok(())
}

/// Writes the policies of a report with their failures.
fn insert_policies<'d>(
    work: &Work<'_>,
    place: Place,
    policies: impl Iterator<Item = &'d Policy>,
) -> Result<(), StoreError> {
    let mut statement = work.connection.prepare_cached(INSERT_POLICY)?;
    for (seq, policy) in (0i64..).zip(policies) {
        statement.execute((
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
        insert_failures(work, place, seq, &policy.failure_details)?;
    }
    Ok(())
}

/// Writes the failures of one policy.
fn insert_failures(
    work: &Work<'_>,
    place: Place,
    policy_seq: i64,
    details: &[FailureDetail],
) -> Result<(), StoreError> {
    let mut statement = work.connection.prepare_cached(INSERT_FAILURE)?;
    let (mut sending, mut receiving) = (Vec::new(), Vec::new());
    for (seq, detail) in (0i64..).zip(details) {
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
        let trust = |word: &str| Trust::parse(word).unwrap_or(Trust::Pending);
        let report_id: i64 = row.get(1)?;
        let claim = Claim {
            report_id,
            status: Status::parse(row.get_ref(2)?.as_str()?),
            is_conflicting: row.get(3)?,
            duplicate_of: row.get(4)?,
            message_id: MessageId(row.get(5)?),
            received_at_ms: row.get(6)?,
            trust: trust(row.get_ref(7)?.as_str()?),
            own_trust: trust(row.get_ref(8)?.as_str()?),
            content: row.get(9)?,
            records: row.get(10)?,
        };
        Ok((Place { domain_id: key.domain_id, day: row.get(0)?, report_id }, claim))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Brings all reports under a key to the state that they should have.
pub(super) fn settle(work: &Work<'_>, key: &Key) -> Result<Settlement, StoreError> {
    let held = under_key(work, key)?;
    let claims: Vec<&Claim> = held.iter().map(|(_, claim)| claim).collect();
    let settled = one_key::settle(&claims);
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
pub(super) fn remove(work: &Work<'_>, id: MessageId) -> Result<Vec<Key>, StoreError> {
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
    for key in &keys {
        for (place, claim) in under_key(work, key)? {
            if claim.message_id != id {
                continue;
            }
            for sql in DELETE {
                work.connection.prepare_cached(sql)?.execute((
                    place.domain_id,
                    place.day,
                    place.report_id,
                ))?;
            }
        }
    }
    Ok(keys)
}
