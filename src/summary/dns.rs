//! What the records of watched domains were: rows of `dns history`.

use crate::clock::Timestamp;

/// One thing that happened to the records of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsEventRow {
    /// When a check saw it.
    pub at: Timestamp,
    /// The watched domain.
    pub domain: String,
    /// The name asked for, or the subject of a finding.
    pub name: String,
    /// The record type asked for, or the code of a finding.
    pub about: String,
    /// `appeared`, `changed`, `lost`, `varies`, `security-changed`, `not-answering` or `answering` of records,
    /// `found` or `mended` of findings.
    pub happening: String,
    /// The records, DNSSEC state, trouble or evidence before.
    pub before: Vec<String>,
    /// The same after.
    pub after: Vec<String>,
}

/// What is known of the records of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecordRow {
    /// The watched domain.
    pub domain: String,
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub record_type: String,
    /// `records`, `no-name` or `no-type`; `None` where it was never known.
    pub state: Option<String>,
    /// The records, as a zone file writes them.
    pub records: Vec<String>,
    /// What DNSSEC said last: `secure`, `insecure`, `bogus` or `not-known`.
    pub security: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// When a check saw it last.
    pub confirmed: Timestamp,
    /// Since when nobody answers.
    pub trouble_since: Option<Timestamp>,
    /// Why.
    pub trouble: Option<String>,
}

/// What is other in one snapshot of records than in an earlier one, a row a question, as if it had happened at once.
///
/// `appeared`, `changed` and `lost` of records, `security-changed` where only DNSSEC says another thing. What one of the
/// two does not know at all is no difference.
pub fn differences(before: &[DnsRecordRow], after: &[DnsRecordRow]) -> Vec<DnsEventRow> {
    let mut rows = Vec::new();
    for later in after {
        let is_same = |row: &&DnsRecordRow| {
            (&row.domain, &row.name, &row.record_type) == (&later.domain, &later.name, &later.record_type)
        };
        let Some(earlier) = before.iter().find(is_same) else { continue };
        if earlier.state.is_none() || later.state.is_none() {
            continue;
        }
        let security = |row: &DnsRecordRow| vec![row.security.clone()];
        let (happening, before, after) = match (earlier.records.is_empty(), later.records.is_empty()) {
            (true, false) => ("appeared", Vec::new(), later.records.clone()),
            (false, true) => ("lost", earlier.records.clone(), Vec::new()),
            _ if earlier.records != later.records => {
                ("changed", earlier.records.clone(), later.records.clone())
            }
            _ if earlier.security != later.security => {
                ("security-changed", security(earlier), security(later))
            }
            _ => continue,
        };
        rows.push(DnsEventRow {
            at: later.since,
            domain: later.domain.clone(),
            name: later.name.clone(),
            about: later.record_type.clone(),
            happening: happening.to_owned(),
            before,
            after,
        });
    }
    rows
}

/// One finding of the checks of a watched domain that stood at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsFindingRow {
    /// The watched domain.
    pub domain: String,
    /// The stable code.
    pub code: String,
    /// The name, host or record that it is about.
    pub subject: String,
    /// `critical`, `error`, `warning`, `note` or `info`.
    pub severity: String,
    /// What was seen last.
    pub evidence: String,
    /// What to do.
    pub mend: String,
    /// When a check found it first.
    pub first: Timestamp,
    /// When a check found it last.
    pub last: Timestamp,
}
