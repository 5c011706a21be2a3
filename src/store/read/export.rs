//! Every counted record with its report, one after another: memory does not grow with their number.

use rusqlite::{Connection, Row};

use super::super::{StoreError, source};
use super::message::{count, strings};
use super::records::{self, Lists};
use super::scope::{Scope, trust_of};
use crate::clock::Timestamp;
use crate::mail::MessageId;
use crate::sources::{Clues, Domain, Place, Places, Senders, identify};
use crate::summary::{ExportRow, Query};

const ROWS: &str = "SELECT r.reporter_id, r.version, r.org_name, r.email, r.extra_contact_info, r.written_id,
    r.begin_at, r.end_at, r.errors, c.disposition, c.dkim, c.spf, c.source, c.count, r.generator, c.header_from_id,
    r.policy_adkim, r.policy_aspf, r.policy_p, r.policy_sp, r.policy_pct, r.policy_fo, r.policy_np, r.policy_testing,
    r.policy_discovery_method, h.name, f.name, t.name, c.auth_set_id, c.reason_set_id, r.trust, r.message_id
    FROM report AS r
    JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
    JOIN name AS h ON h.name_id = c.header_from_id
    LEFT JOIN name AS f ON f.name_id = c.envelope_from_id
    LEFT JOIN name AS t ON t.name_id = c.envelope_to_id
    WHERE r.domain_id = $1 AND r.day >= $2 AND r.day <= $3 AND r.status = 'counted'
    AND ($4 = 0 OR r.is_future = 0) AND ($5 IS NULL OR c.source = $5)
    ORDER BY r.day, r.report_id, c.seq";

/// See [`super::Reader::export`].
pub(super) fn export<E: From<StoreError>>(
    connection: &Connection,
    query: &Query,
    known: (&Senders, &Places),
    mut each: impl FnMut(&ExportRow) -> Result<(), E>,
) -> Result<u64, E> {
    let scope = Scope::of(connection, query)?;
    let mut lists = Lists::new(connection);
    let limit = query.limit.map_or(u64::MAX, |limit| u64::try_from(limit).unwrap_or(u64::MAX));
    let mut exported = 0;
    for domain in &scope.domains {
        let mut statement = connection.prepare_cached(ROWS).map_err(StoreError::from)?;
        let parameters =
            (domain.id, scope.first_day, scope.last_day, scope.without_future, scope.source.as_deref());
        let mut rows = statement.query(parameters).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            if exported >= limit {
                return Ok(exported);
            }
            let trust = trust_of(row, 30)?;
            if scope.trust.asks_for(trust) && is_asked(&scope, domain.authors.as_ref(), row)? {
                each(&to_row(row, &domain.name, &mut lists, known)?)?;
                exported += 1;
            }
        }
    }
    Ok(exported)
}

/// True if the filters that are not in the statement let a row pass.
fn is_asked(
    scope: &Scope,
    authors: Option<&std::collections::HashSet<i64>>,
    row: &Row<'_>,
) -> Result<bool, StoreError> {
    records::passes_filters(
        scope,
        authors,
        row,
        records::FilterPlaces { reporter: 0, author: 15, dkim: 10, spf: 11 },
    )
}

/// Reads a row of [`ROWS`].
fn to_row(
    row: &Row<'_>,
    domain: &str,
    lists: &mut Lists<'_>,
    (senders, places): (&Senders, &Places),
) -> Result<ExportRow, StoreError> {
    let is_pass = |at: usize| -> Result<bool, StoreError> { Ok(row.get_ref(at)?.as_str()? == "pass") };
    let address: Option<Vec<u8>> = row.get(12)?;
    let messages = row.get::<_, Option<i64>>(13)?.map(count);
    let disposition: String = row.get(9)?;
    let mut policy: [Option<String>; 9] = Default::default();
    for (at, value) in (16..).zip(&mut policy) {
        *value = row.get(at)?;
    }
    let mut exported = ExportRow {
        version: row.get(1)?,
        org_name: row.get(2)?,
        org_email: row.get(3)?,
        org_extra_contact_info: row.get(4)?,
        report_id: row.get(5)?,
        begin: Timestamp::from_seconds(row.get(6)?),
        end: Timestamp::from_seconds(row.get(7)?),
        errors: row.get_ref(8)?.as_str_or_null()?.map(strings).unwrap_or_default(),
        domain: domain.to_owned(),
        policy,
        generator: row.get(14)?,
        source_ip: address.as_deref().map(source::read_text),
        source_name: None,
        place: Place::default(),
        source_organisation: None,
        source_kind: None,
        count: messages,
        spf_aligned: is_pass(11)?,
        dkim_aligned: is_pass(10)?,
        disposition: (!disposition.is_empty()).then_some(disposition),
        reasons: lists.reasons(row.get(29)?)?,
        envelope_from: row.get(26)?,
        header_from: row.get(25)?,
        envelope_to: row.get(27)?,
        auth_results: lists.auth_results(row.get(28)?)?,
        trust: row.get(30)?,
        message_id: MessageId(row.get(31)?).to_string(),
    };
    let messages = messages.unwrap_or(0);
    let domains = |method: &str| {
        let passed =
            exported.auth_results.iter().filter(|result| result.method == method && result.result == "pass");
        passed.filter_map(|result| result.domain.clone()).map(|name| Domain { name, messages }).collect()
    };
    let clues = Clues {
        ip: address.as_deref().and_then(source::read_ip),
        dkim: domains("dkim"),
        spf: domains("spf"),
        policy_domains: vec![domain.to_owned()],
        messages,
        dkim_aligned: if exported.dkim_aligned { messages } else { 0 },
        spf_aligned: if exported.spf_aligned { messages } else { 0 },
        ..Clues::default()
    };
    let identity = identify(&clues, senders);
    exported.place = clues.ip.map(|ip| places.of(ip)).unwrap_or_default();
    if let Some(address) = &address {
        exported.source_name = lists.source_name(address)?;
    }
    exported.source_organisation = identity.organisation;
    exported.source_kind = identity.kind.map(crate::sources::Kind::as_str);
    Ok(exported)
}
