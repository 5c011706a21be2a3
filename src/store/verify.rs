//! Recounting: every sum from the raw rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::Connection;

use super::read::count;
use super::record::Place;
use super::rollup::{self, Head};
use super::{StoreError, aggregate, one_key, probe, tls};
use crate::limits;
use crate::summary::Trust;

const INTEGRITY: &str = "PRAGMA integrity_check(20)";
const FOREIGN_KEYS: &str = "PRAGMA foreign_key_check";
const DOMAINS: &str = "SELECT d.domain_id, d.name, n.name_id FROM domain AS d
    LEFT JOIN name AS n ON n.name = d.name ORDER BY d.name";
const COUNTED: &str =
    "SELECT day, report_id, last_day, is_future, reporter_id, begin_at, end_at, trust, records,
    messages, dmarc_pass, status FROM report WHERE domain_id = $1 AND status IN ('counted', 'set-aside', 'untrusted')";
const ROLLED_UP: &str = "SELECT MAX(last_day) FROM report WHERE domain_id = $1 AND status = 'rolled-up'";
const ROLLUP: &str =
    "SELECT day, header_from_id, reporter_id, trust, disposition, dkim, spf, span, messages, records
    FROM rollup WHERE domain_id = $1";
const REPORT_ROLLUP: &str =
    "SELECT day, reporter_id, trust, span, reports, begin_at, end_at FROM report_rollup
    WHERE domain_id = $1";
const ORPHAN_ROWS: &str =
    "SELECT COUNT(*) FROM (SELECT DISTINCT c.domain_id, c.day, c.report_id FROM record AS c)
    AS c WHERE NOT EXISTS (SELECT 1 FROM report AS r WHERE r.domain_id = c.domain_id AND r.day = c.day
        AND r.report_id = c.report_id AND r.status IN ('counted', 'set-aside', 'untrusted'))
    AND NOT EXISTS (SELECT 1 FROM leftover AS l WHERE l.report_id = c.report_id)";
const REPORTS_BY_KEY: &str =
    "SELECT day, report_id, last_day, is_future, status, is_conflicting, duplicate_of,
    message_id, received_at_ms, trust, own_trust, begin_at, end_at, content_sha256, records, sender,
    names_sender, domain_id, reporter_id, external_id FROM report
    ORDER BY domain_id, reporter_id, external_id, begin_at, end_at";
const TLS_BY_KEY: &str =
    "SELECT day, report_id, status, is_conflicting, duplicate_of, message_id, received_at_ms,
    trust, own_trust, content_sha256, policies, sender, names_sender, domain_id, reporter_id, external_id,
    begin_at, end_at FROM tls_report ORDER BY external_id, reporter_id, begin_at, end_at, domain_id";
const STRAY_COPIES: &str = "SELECT COUNT(*) FROM report AS r JOIN message AS m ON m.message_id = r.message_id
    WHERE r.status = 'duplicate' AND m.status <> 'pending' AND NOT EXISTS (SELECT 1 FROM report AS o
        WHERE o.domain_id = r.domain_id AND o.day = r.day AND o.report_id = r.duplicate_of
        AND o.status <> 'duplicate' AND o.content_sha256 = r.content_sha256)";
const WITHOUT_MESSAGE: &str = "SELECT COUNT(*) FROM report AS r
    WHERE r.status <> 'rolled-up' AND NOT EXISTS (SELECT 1 FROM message AS m WHERE m.message_id = r.message_id)";

const TLS_COPIES: &str =
    "SELECT COUNT(*) FROM tls_report AS r JOIN message AS m ON m.message_id = r.message_id
    WHERE r.status = 'duplicate' AND m.status <> 'pending' AND NOT EXISTS (SELECT 1 FROM tls_report AS o
        WHERE o.domain_id = r.domain_id AND o.day = r.day AND o.report_id = r.duplicate_of
        AND o.status <> 'duplicate' AND o.content_sha256 = r.content_sha256)";
const TLS_WITHOUT_MESSAGE: &str = "SELECT COUNT(*) FROM tls_report AS r
    WHERE NOT EXISTS (SELECT 1 FROM message AS m WHERE m.message_id = r.message_id)";
const TLS_ORPHANS: &str = "SELECT COUNT(*) FROM tls_policy AS c WHERE NOT EXISTS (SELECT 1 FROM tls_report AS r
    WHERE r.domain_id = c.domain_id AND r.day = c.day AND r.report_id = c.report_id AND r.status <> 'duplicate')
    AND NOT EXISTS (SELECT 1 FROM leftover AS l WHERE l.report_id = c.report_id)";
const TLS_ORPHAN_FAILURES: &str = "SELECT COUNT(*) FROM tls_failure AS f WHERE NOT EXISTS (SELECT 1
    FROM tls_policy AS c WHERE c.domain_id = f.domain_id AND c.day = f.day AND c.report_id = f.report_id
        AND c.seq = f.policy_seq)
    AND NOT EXISTS (SELECT 1 FROM leftover AS l WHERE l.report_id = f.report_id)";
const TLS_ROWS: &str = "SELECT COUNT(*) FROM tls_report AS r WHERE r.status <> 'duplicate' AND r.failures <>
    (SELECT COUNT(*) FROM tls_failure AS f WHERE f.domain_id = r.domain_id AND f.day = r.day
        AND f.report_id = r.report_id)";
const BOUNCES_WITHOUT_MESSAGE: &str = "SELECT COUNT(*) FROM bounce AS b
    WHERE NOT EXISTS (SELECT 1 FROM message AS m WHERE m.message_id = b.message_id)";
const FAILURES_WITHOUT_MESSAGE: &str = "SELECT COUNT(*) FROM failure_report AS q
    WHERE NOT EXISTS (SELECT 1 FROM message AS m WHERE m.message_id = q.message_id)";
const FAILURE_KEYS: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM failure_report GROUP BY domain_id, content_sha256
    HAVING SUM(CASE WHEN status = 'counted' THEN 1 ELSE 0 END) <> MAX(CASE WHEN trust = 'failed' THEN 0 ELSE 1 END)
    OR SUM(CASE WHEN (status = 'untrusted') <> (trust = 'failed') THEN 1 ELSE 0 END) > 0
    OR MAX(CASE WHEN status = 'counted' AND trust = 'verified' THEN 1 ELSE 0 END)
        <> MAX(CASE WHEN trust = 'verified' THEN 1 ELSE 0 END)) AS k";
const FAILURE_COPIES: &str = "SELECT COUNT(*) FROM failure_report AS q
    WHERE q.status = 'duplicate' AND NOT EXISTS (SELECT 1 FROM failure_report AS o
        WHERE o.domain_id = q.domain_id AND o.content_sha256 = q.content_sha256 AND o.status = 'counted'
        AND o.message_id = q.duplicate_of)";
const TLS_SUMS: &str =
    "SELECT r.report_id, r.policies, r.successful_sessions, r.failed_sessions, COUNT(c.seq),
    COALESCE(SUM(c.successful_sessions), 0), COALESCE(SUM(CASE WHEN c.seq IS NULL THEN 0 ELSE
        COALESCE(c.failed_sessions, (SELECT SUM(f.failed_sessions) FROM tls_failure AS f
            WHERE f.domain_id = c.domain_id AND f.day = c.day AND f.report_id = c.report_id
            AND f.policy_seq = c.seq), 0) END), 0)
    FROM tls_report AS r
    LEFT JOIN tls_policy AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    WHERE r.status <> 'duplicate' GROUP BY r.domain_id, r.day, r.report_id";

const SETTLED_PROBES: &str =
    "SELECT token FROM probe WHERE deadline_ms IS NULL ORDER BY sent_at_ms DESC LIMIT $1";
const PROBE_REVISIONS: &str =
    "SELECT COUNT(*) FROM probe AS p WHERE p.rev <> (SELECT COUNT(*) FROM probe_verdict AS v
    WHERE v.token = p.token) OR NOT EXISTS (SELECT 1 FROM probe_verdict AS v
    WHERE v.token = p.token AND v.rev = p.rev AND v.state = p.state)";
const PROBE_ORPHANS: &str = "SELECT (SELECT COUNT(*) FROM probe_event AS e
        WHERE NOT EXISTS (SELECT 1 FROM probe AS p WHERE p.token = e.token))
    + (SELECT COUNT(*) FROM probe_verdict AS v WHERE NOT EXISTS (SELECT 1 FROM probe AS p WHERE p.token = v.token))
    + (SELECT COUNT(*) FROM probe_attempt AS a WHERE NOT EXISTS (SELECT 1 FROM probe AS p WHERE p.token = a.token))";

/// Differences that are listed; more are counted.
const LISTED: usize = 100;

/// What `db verify` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Reports with rows looked at.
    pub reports: u64,
    /// Records looked at.
    pub records: u64,
    /// Rows of roll-ups compared.
    pub rollup_rows: u64,
    /// Probes judged anew.
    pub probes: u64,
    /// Every difference, in words; empty if all is well. After a hundred only their number.
    pub differences: Vec<String>,
    /// Differences found.
    pub count: u64,
}

impl Verification {
    /// Notes a difference.
    fn differ(&mut self, text: String) {
        self.count += 1;
        if self.differences.len() < LISTED {
            self.differences.push(text);
        }
    }
}

/// The key of a roll-up row within a domain.
type RollupKey = (i32, i64, i64, String, String, bool, bool, String);
/// The key of a row of counted reports within a domain.
type ReportsKey = (i32, i64, String, String);

/// See [`super::Reader::verify`].
pub(super) fn verify(connection: &Connection) -> Result<Verification, StoreError> {
    let mut found = Verification::default();
    let mut statement = connection.prepare(INTEGRITY)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for line in lines.iter().filter(|line| *line != "ok") {
        found.differ(format!("file: {line}"));
    }
    let mut statement = connection.prepare(FOREIGN_KEYS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found.differ(format!(
            "a row of {} refers to an absent row of {}",
            row.get::<_, String>(0)?,
            row.get::<_, String>(2)?
        ));
    }
    for (sql, what) in [
        (ORPHAN_ROWS, "lists of records without their report"),
        (STRAY_COPIES, "copies of reports that are not there"),
        (WITHOUT_MESSAGE, "reports without their message"),
        (TLS_COPIES, "copies of TLS reports that are not there"),
        (TLS_WITHOUT_MESSAGE, "TLS reports without their message"),
        (BOUNCES_WITHOUT_MESSAGE, "bounces without their message"),
        (FAILURES_WITHOUT_MESSAGE, "failure reports without their message"),
        (FAILURE_KEYS, "contents of which not exactly one failure report counts that can be believed"),
        (FAILURE_COPIES, "copies of failure reports that are not there"),
        (TLS_ORPHANS, "policies without their TLS report"),
        (TLS_ORPHAN_FAILURES, "failures without their policy"),
        (TLS_ROWS, "TLS reports with another number of failures than they say"),
    ] {
        let number: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        if number != 0 {
            found.differ(format!("{number} {what}"));
        }
    }
    let mut statement = connection.prepare(DOMAINS)?;
    let domains = statement
        .query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<i64>>(2)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for (domain_id, name, name_id) in domains {
        verify_domain(connection, domain_id, &name, name_id, &mut found)?;
    }
    verify_tls(connection, &mut found)?;
    verify_keys(connection, &mut found)?;
    verify_probes(connection, &mut found)?;
    Ok(found)
}

/// Judges the newest probes anew from their events: those whose state time changes no more. The verdict in the row must
/// be the same.
fn verify_probes(connection: &Connection, found: &mut Verification) -> Result<(), StoreError> {
    let mut statement = connection.prepare(SETTLED_PROBES)?;
    let tokens = statement.query_map([limits::PROBES_VERIFIED], |row| row.get(0))?;
    for token in tokens.collect::<Result<Vec<String>, _>>()? {
        found.probes += 1;
        if let Some(difference) = probe::unlike(connection, &token)? {
            found.differ(format!("probe {token}: {difference}"));
        }
    }
    for (sql, what) in [
        (PROBE_REVISIONS, "probes whose state is not that of their last verdict"),
        (PROBE_ORPHANS, "events, verdicts and attempts without their probe"),
    ] {
        let number: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        if number != 0 {
            found.differ(format!("{number} {what}"));
        }
    }
    Ok(())
}

/// Judges every key anew: which report counts, and with what trust.
fn verify_keys(connection: &Connection, found: &mut Verification) -> Result<(), StoreError> {
    /// Domain, reporter, id and period.
    type Key = (i64, i64, String, i64, i64);
    let mut statement = connection.prepare(REPORTS_BY_KEY)?;
    let rows = statement.query_map([], |row| {
        let key: Key = (row.get(17)?, row.get(18)?, row.get(19)?, row.get(11)?, row.get(12)?);
        Ok((key, aggregate::claim_of(row)?))
    })?;
    let reports = one_key::unsettled(rows, Trust::is_counted)?;
    let mut statement = connection.prepare(TLS_BY_KEY)?;
    let rows = statement.query_map([], |row| {
        let key: Key = (row.get(13)?, row.get(14)?, row.get(15)?, row.get(16)?, row.get(17)?);
        Ok((key, tls::claim_of(row)?))
    })?;
    let of_tls = one_key::unsettled(rows, Trust::is_counted_for_tls)?;
    for (wrong, what) in [(reports, "report"), (of_tls, "TLS report")] {
        if wrong > 0 {
            found.differ(format!(
                "{wrong} keys under which another {what} should count, or with another trust"
            ));
        }
    }
    Ok(())
}

/// Recounts the TLS reports.
fn verify_tls(connection: &Connection, found: &mut Verification) -> Result<(), StoreError> {
    let mut statement = connection.prepare(TLS_SUMS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let said: (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let is: (i64, i64, i64) = (row.get(4)?, row.get(5)?, row.get(6)?);
        found.reports += 1;
        found.records += count(is.0);
        if said != is {
            found.differ(format!(
                "TLS report {id} says {said:?} policies, successful and failed sessions, its rows {is:?}"
            ));
        }
    }
    Ok(())
}

/// Recounts one domain.
fn verify_domain(
    connection: &Connection,
    domain_id: i64,
    name: &str,
    name_id: Option<i64>,
    found: &mut Verification,
) -> Result<(), StoreError> {
    // Days of which rows were removed for their age: their sums are all that there is.
    let rolled_up: Option<i32> = connection.prepare(ROLLED_UP)?.query_row([domain_id], |row| row.get(0))?;
    let first_day = rolled_up.map_or(i32::MIN, |day| day.saturating_add(1));
    let mut stored: BTreeMap<RollupKey, (i64, i64)> = BTreeMap::new();
    let mut admitted: HashMap<i32, BTreeSet<i64>> = HashMap::new();
    let mut statement = connection.prepare(ROLLUP)?;
    let mut rows = statement.query([domain_id])?;
    while let Some(row) = rows.next()? {
        let (day, header_from_id): (i32, i64) = (row.get(0)?, row.get(1)?);
        if day < first_day {
            continue;
        }
        found.rollup_rows += 1;
        if header_from_id != rollup::OTHER {
            admitted.entry(day).or_default().insert(header_from_id);
        }
        let key = (
            day,
            header_from_id,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
            row.get(7)?,
        );
        stored.insert(key, (row.get(8)?, row.get(9)?));
    }
    let mut counted: BTreeMap<RollupKey, (i64, i64)> = BTreeMap::new();
    let mut reports: BTreeMap<ReportsKey, (i64, i64, i64)> = BTreeMap::new();
    let mut statement = connection.prepare(COUNTED)?;
    let mut rows = statement.query([domain_id])?;
    while let Some(row) = rows.next()? {
        let head = Head {
            place: Place { domain_id, day: row.get(0)?, report_id: row.get(1)? },
            last_day: row.get(2)?,
            is_future: row.get(3)?,
            reporter_id: row.get(4)?,
            begin_at: row.get(5)?,
            end_at: row.get(6)?,
        };
        let trust: String = row.get(7)?;
        let shares = rollup::of_rows(connection, head.place)?;
        let records: u64 = shares.iter().map(|share| share.records).sum();
        let messages: u64 = shares.iter().map(|share| share.messages).sum();
        let passing = shares.iter().filter(|share| share.dkim || share.spf);
        let dmarc_pass: u64 = passing.map(|share| share.messages).sum();
        found.reports += 1;
        found.records += records;
        let said = (count(row.get(8)?), count(row.get(9)?), count(row.get(10)?));
        if said != (records, messages, dmarc_pass) {
            found.differ(format!(
                "{name}: report {} says {said:?} records, messages and passing, its rows {:?}",
                head.place.report_id,
                (records, messages, dmarc_pass)
            ));
        }
        if row.get_ref(11)?.as_str()? != "counted" {
            continue;
        }
        if head.place.day >= first_day {
            let key = (head.place.day, head.reporter_id, trust.clone(), head.span().to_owned());
            let entry = reports.entry(key).or_insert((0, head.begin_at, head.end_at));
            *entry = (entry.0 + 1, entry.1.min(head.begin_at), entry.2.max(head.end_at));
        }
        for (day, messages) in (head.place.day..).zip(rollup::spread(&head, &shares)) {
            for (share, messages) in shares.iter().zip(messages) {
                let records = if day == head.place.day { share.records } else { 0 };
                if day < first_day || (messages == 0 && records == 0) {
                    continue;
                }
                let id = share.header_from_id;
                let has_place = admitted.get(&day).is_some_and(|names| names.contains(&id));
                let key = (
                    day,
                    if has_place { id } else { rollup::OTHER },
                    head.reporter_id,
                    trust.clone(),
                    share.disposition.to_owned(),
                    share.dkim,
                    share.spf,
                    head.span().to_owned(),
                );
                let sums = counted.entry(key).or_default();
                sums.0 += i64::try_from(messages).unwrap_or(i64::MAX);
                sums.1 += i64::try_from(records).unwrap_or(i64::MAX);
            }
        }
    }
    for (day, names) in &admitted {
        let others = names.iter().filter(|id| Some(**id) != name_id).count();
        if others > limits::ROLLUP_AUTHOR_DOMAINS {
            found.differ(format!("{name}: {others} author domains on day {day}"));
        }
    }
    compare(name, "roll-up", &stored, &counted, found);
    let mut stored = BTreeMap::new();
    let mut statement = connection.prepare(REPORT_ROLLUP)?;
    let mut rows = statement.query([domain_id])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, i32>(0)? < first_day {
            continue;
        }
        found.rollup_rows += 1;
        stored.insert(
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?),
            (row.get(4)?, row.get(5)?, row.get(6)?),
        );
    }
    compare(name, "counted reports", &stored, &reports, found);
    Ok(())
}

/// Compares what is stored with what was counted; a stored row of zeros is as good as none.
fn compare<K: Ord + std::fmt::Debug, V: PartialEq + Default + Copy + std::fmt::Debug>(
    domain: &str,
    what: &str,
    stored: &BTreeMap<K, V>,
    counted: &BTreeMap<K, V>,
    found: &mut Verification,
) {
    for key in stored.keys().chain(counted.keys().filter(|key| !stored.contains_key(*key))) {
        let said = stored.get(key).copied().unwrap_or_default();
        let is = counted.get(key).copied().unwrap_or_default();
        if said != is {
            found.differ(format!("{domain}: {what} {key:?} says {said:?}, the rows {is:?}"));
        }
    }
}
