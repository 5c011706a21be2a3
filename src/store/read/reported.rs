//! What reports of the last days say of a domain's mail, as facts for the checks of its DNS.
//!
//! Strangers do not steer us: only reports that authenticated or that the user imported say anything about mail; that
//! one came at all is known from any that did not fail.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _};

use super::super::{StoreError, source};
use super::learnt::{policy_domain, since};
use super::message::count;
use super::records::Lists;
use super::scope::below_pattern;
use super::strings;
use crate::clock::{Day, Timestamp};
use crate::dns::Name;
use crate::dns_health::reported::{KnownRecords, Reported, ReportedMail, SeenPolicy, SeenReporter};
use crate::limits;
use crate::mail::DomainName;
use crate::summary::AuthResultRow;

const NAME: &str = "SELECT name FROM domain WHERE domain_id = $1";
const HAS_REPORT: &str = "SELECT 1 FROM report WHERE domain_id = $1 LIMIT 1";
const MAIL: &str = "SELECT c.source, h.name, f.name, c.auth_set_id, c.reason_set_id, c.dkim, c.spf,
    SUM(COALESCE(c.count, 0)) FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    JOIN name AS h ON h.name_id = c.header_from_id
    LEFT JOIN name AS f ON f.name_id = c.envelope_from_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.status = 'counted' AND r.is_future = 0
    AND r.trust IN ('verified', 'imported') AND (h.name = $3 OR h.name LIKE $4 ESCAPE '!')
    GROUP BY c.source, h.name, f.name, c.auth_set_id, c.reason_set_id, c.dkim, c.spf ORDER BY 8 DESC, 1, 2";
const DAYS: &str = "SELECT COUNT(DISTINCT day) FROM report WHERE domain_id = $1 AND day >= $2
    AND status = 'counted' AND is_future = 0 AND trust IN ('verified', 'imported')";
const POLICIES: &str =
    "SELECT p.name_key, r.begin_at, r.end_at, r.policy_p, r.policy_sp, r.policy_np, r.policy_adkim,
    r.policy_aspf, r.policy_testing FROM report AS r
    JOIN reporter AS p ON p.reporter_id = r.reporter_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.status = 'counted' AND r.is_future = 0
    AND r.trust IN ('verified', 'imported') ORDER BY r.day DESC, r.report_id DESC LIMIT $3";
const REPORTERS: &str = "SELECT p.name_key, COUNT(DISTINCT r.day), MAX(r.end_at) FROM report AS r
    JOIN reporter AS p ON p.reporter_id = r.reporter_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.status = 'counted' AND r.is_future = 0
    AND r.trust NOT IN ('failed', 'imported') GROUP BY p.name_key ORDER BY 2 DESC, 1 LIMIT $3";
const LAST: &str =
    "SELECT received_at_ms FROM report WHERE domain_id = $1 AND trust NOT IN ('failed', 'imported')
    ORDER BY day DESC, report_id DESC LIMIT 1";
const KNOWN: &str = "SELECT name, records, since_at_ms FROM dns_record
    WHERE domain = $1 AND type = 'TXT' AND state = 'records' ORDER BY name";

/// See [`super::Reader::reported`].
///
/// Memory: [`limits::REPORTED_MAIL`] kinds of mail, those with the most messages.
pub(super) fn reported(
    connection: &Connection,
    domain: &DomainName,
    today: Day,
) -> Result<Option<Reported>, StoreError> {
    let Some(id) = policy_domain(connection, domain)? else { return Ok(None) };
    if !connection.prepare_cached(HAS_REPORT)?.exists([id])? {
        return Ok(None);
    }
    let name: String = connection.prepare_cached(NAME)?.query_row([id], |row| row.get(0))?;
    let Ok(policy_domain) = Name::from_dotted(&name) else { return Ok(None) };
    let since = since(today);
    let (mail, cut) = mail(connection, id, since, domain)?;
    let covered: i64 = connection.prepare_cached(DAYS)?.query_row((id, since), |row| row.get(0))?;
    let last: Option<i64> = connection.prepare_cached(LAST)?.query_row([id], |row| row.get(0)).optional()?;
    Ok(Some(Reported {
        days: limits::LEARNT_DAYS.unsigned_abs(),
        covered_days: u32::try_from(covered).unwrap_or(u32::MAX),
        policy_domain,
        mail,
        cut,
        policies: policies(connection, id, since)?,
        reporters: reporters(connection, id, since)?,
        last_received: last.map(Timestamp::from_ms),
    }))
}

/// The kinds of mail of a domain and what is below it, with the messages of those that are left out.
fn mail(
    connection: &Connection,
    id: i64,
    since: i32,
    domain: &DomainName,
) -> Result<(Vec<ReportedMail>, u64), StoreError> {
    let mut lists = Lists::new(connection);
    let (mut all, mut cut) = (Vec::new(), 0_u64);
    let mut statement = connection.prepare_cached(MAIL)?;
    let mut found = statement.query((id, since, domain.as_str(), below_pattern(domain.as_str())))?;
    while let Some(row) = found.next()? {
        let messages = count(row.get(7)?);
        let author = Name::from_dotted(row.get_ref(1)?.as_str()?);
        let (Ok(author), true) = (author, all.len() < limits::REPORTED_MAIL) else {
            cut = cut.saturating_add(messages);
            continue;
        };
        let results = lists.auth_results(row.get(3)?)?;
        let envelope: Option<String> = row.get(2)?;
        let reasons = lists.reasons(row.get(4)?)?;
        all.push(ReportedMail {
            source: row.get_ref(0)?.as_blob_or_null()?.and_then(source::read_ip),
            author,
            spf: spf(&results, false, envelope.as_deref()),
            helo: spf(&results, true, None),
            dkim: dkim(&results),
            dkim_aligned: row.get_ref(5)?.as_str()? == "pass",
            spf_aligned: row.get_ref(6)?.as_str()? == "pass",
            overrides: reasons.into_iter().map(|(reason, _)| reason.to_ascii_lowercase()).collect(),
            messages,
        });
    }
    Ok((all, cut))
}

/// The domain and the result of SPF of the reverse-path, or of HELO where the reporter says so.
fn spf(results: &[AuthResultRow], of_helo: bool, envelope: Option<&str>) -> Option<(Name, String)> {
    let is_helo =
        |result: &AuthResultRow| result.scope.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("helo"));
    let result = results.iter().find(|result| result.method == "spf" && is_helo(result) == of_helo)?;
    let domain = result.domain.as_deref().or(envelope)?;
    Some((Name::from_dotted(domain.trim()).ok()?, result.result.to_ascii_lowercase()))
}

/// The domains of signatures, each with whether it verified.
fn dkim(results: &[AuthResultRow]) -> Vec<(Name, bool)> {
    let signed = results.iter().filter(|result| result.method == "dkim");
    signed
        .filter_map(|result| {
            let name = Name::from_dotted(result.domain.as_deref()?.trim()).ok()?;
            Some((name, result.result.eq_ignore_ascii_case("pass")))
        })
        .take(limits::RECORD_AUTH_RESULTS)
        .collect()
}

/// The policy that each reporter found last.
fn policies(connection: &Connection, id: i64, since: i32) -> Result<Vec<SeenPolicy>, StoreError> {
    let mut statement = connection.prepare_cached(POLICIES)?;
    let mut found = statement.query((id, since, limits::REPORTED_HEADS))?;
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    while let Some(row) = found.next()? {
        let reporter: String = row.get(0)?;
        if !seen.insert(reporter.clone()) {
            continue;
        }
        let mut tags: [Option<String>; 6] = Default::default();
        for (at, tag) in (3..).zip(&mut tags) {
            *tag = row.get(at)?;
        }
        all.push(SeenPolicy {
            reporter,
            begin: Timestamp::from_seconds(row.get(1)?),
            end: Timestamp::from_seconds(row.get(2)?),
            tags,
        });
    }
    Ok(all)
}

/// Who reports by mail.
fn reporters(connection: &Connection, id: i64, since: i32) -> Result<Vec<SeenReporter>, StoreError> {
    let mut statement = connection.prepare_cached(REPORTERS)?;
    let rows = statement.query_map((id, since, limits::REPORTED_REPORTERS), |row| {
        Ok(SeenReporter {
            name: row.get(0)?,
            days: u32::try_from(row.get::<_, i64>(1)?).unwrap_or(u32::MAX),
            last: Timestamp::from_seconds(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`super::Reader::known_texts`].
pub(super) fn known_texts(
    connection: &Connection,
    domain: &DomainName,
) -> Result<Vec<KnownRecords>, StoreError> {
    let mut statement = connection.prepare_cached(KNOWN)?;
    let rows = statement.query_map([domain.as_str()], |row| {
        let name: String = row.get(0)?;
        let records: String = row.get(1)?;
        Ok((name, records, row.get(2)?))
    })?;
    let rows: Vec<(String, String, i64)> = rows.collect::<Result<_, _>>()?;
    let known = rows.into_iter().filter_map(|(name, records, since)| {
        let name = Name::from_dotted(&name).ok()?;
        Some(KnownRecords { name, records: strings(&records), since: Timestamp::from_ms(since) })
    });
    Ok(known.collect())
}
