//! What belongs to a mailbox or a domain: looked up before anything is removed.

use std::collections::HashSet;
use std::io::Read as _;

use super::super::read::{below_pattern, count, strings};
use super::super::{MessageId, Reader, StoreError};
use super::naming::{self, Names, NamingText};
use crate::limits;
use crate::mail::{Address, DomainName};
use crate::probe::token::KeyRing;
use crate::reports::failure::Redactor;
use crate::reports::search::{Needle, file_holds, mail_holds};

/// Whose data is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EraseTarget {
    /// One mailbox: mail from it, to it, and mail that names it anywhere, packed or not. Of reports that only name it
    /// the counts stay: their bytes go, and the texts in their rows.
    Address(Address),
    /// A domain and all below it: reports for it with their sums, and mail from it.
    Domain(DomainName),
}

/// What would be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErasePlan {
    /// Mails, each with everything read from it.
    pub messages: Vec<MessageId>,
    /// Mails that also brought something for others, and reports that only name the mailbox: only their bytes go.
    pub bytes_of: Vec<MessageId>,
    /// Rows of others with texts that name the mailbox: it is replaced there, and the rows stay.
    pub texts: Vec<NamingText>,
    /// Accounts of mailboxes elsewhere that are named like it: how far they were read is forgotten.
    pub mailboxes: Vec<String>,
    /// Probes, by token.
    pub probes: Vec<String>,
    /// Policy domains: all reports for them, with rows and sums.
    pub domains: Vec<String>,
    /// Aggregate reports in the above, also copies.
    pub reports: u64,
    /// Their rows.
    pub records: u64,
    /// TLS reports in the above, also copies, one a domain.
    pub tls_reports: u64,
    /// Failure reports and complaints in the above, also copies.
    pub failure_reports: u64,
    /// Recipients of bounces and other notices in the above.
    pub bounces: u64,
}

const MESSAGES: &str = "SELECT m.message_id, m.mail_from, m.rcpt_to, m.header_from,
    EXISTS (SELECT 1 FROM raw AS r WHERE r.raw_id = m.raw_id), m.file_name IS NOT NULL,
    COALESCE(m.kind, '') IN ('aggregate', 'tls') FROM message AS m ORDER BY m.message_id";
const BOUNCES: &str = "SELECT recipient, original_recipient FROM bounce WHERE message_id = $1";
const PROBES: &str = "SELECT token, mail_from, rcpt_to FROM probe ORDER BY token";
const DOMAINS: &str = "SELECT name FROM domain WHERE name = $1 OR name LIKE $2 ESCAPE '!' ORDER BY name";
const OF_DOMAIN: &str =
    "SELECT DISTINCT r.message_id FROM report AS r JOIN domain AS d ON d.domain_id = r.domain_id
    WHERE d.name = $1 OR d.name LIKE $2 ESCAPE '!'
    UNION SELECT t.message_id FROM tls_report AS t JOIN domain AS d ON d.domain_id = t.domain_id
    WHERE d.name = $1 OR d.name LIKE $2 ESCAPE '!'
    UNION SELECT q.message_id FROM failure_report AS q JOIN domain AS d ON d.domain_id = q.domain_id
    WHERE d.name = $1 OR d.name LIKE $2 ESCAPE '!'
    UNION SELECT message_id FROM unclaimed WHERE domain = $1 OR domain LIKE $2 ESCAPE '!' ORDER BY 1";
const HAS_OTHERS: &str =
    "SELECT EXISTS (SELECT 1 FROM report AS r JOIN domain AS d ON d.domain_id = r.domain_id
        WHERE r.message_id = $1 AND NOT (d.name = $2 OR d.name LIKE $3 ESCAPE '!'))
    OR EXISTS (SELECT 1 FROM tls_report AS t JOIN domain AS d ON d.domain_id = t.domain_id
        WHERE t.message_id = $1 AND NOT (d.name = $2 OR d.name LIKE $3 ESCAPE '!'))
    OR EXISTS (SELECT 1 FROM failure_report AS q JOIN domain AS d ON d.domain_id = q.domain_id
        WHERE q.message_id = $1 AND NOT (d.name = $2 OR d.name LIKE $3 ESCAPE '!'))
    OR EXISTS (SELECT 1 FROM unclaimed AS u WHERE u.message_id = $1
        AND NOT (u.domain = $2 OR u.domain LIKE $3 ESCAPE '!'))";
const OTHERS_OF_MESSAGE: &str = "SELECT (SELECT COUNT(*) FROM tls_report WHERE message_id = $1),
    (SELECT COUNT(*) FROM failure_report WHERE message_id = $1)";
const OTHERS_OF_DOMAIN: &str = "SELECT
    (SELECT COUNT(*) FROM tls_report AS t JOIN domain AS d ON d.domain_id = t.domain_id WHERE d.name = $1),
    (SELECT COUNT(*) FROM failure_report AS q JOIN domain AS d ON d.domain_id = q.domain_id WHERE d.name = $1)";
const BOUNCES_OF: &str = "SELECT COUNT(*) FROM bounce WHERE message_id = $1";
const IS_THERE: &str = "SELECT 1 FROM message WHERE message_id = $1";
const SIZE_OF_MESSAGE: &str =
    "SELECT COUNT(*), COALESCE(SUM(CASE WHEN status IN ('counted', 'set-aside', 'untrusted') THEN records ELSE 0 END), 0)
    FROM report WHERE message_id = $1";
const SIZE_OF_DOMAIN: &str =
    "SELECT COUNT(*), COALESCE(SUM(CASE WHEN r.status IN ('counted', 'set-aside', 'untrusted') THEN r.records ELSE 0 END), 0)
    FROM report AS r JOIN domain AS d ON d.domain_id = r.domain_id WHERE d.name = $1";

/// See [`super::super::Reader::erase_plan`].
pub(in super::super) fn plan(
    reader: &Reader,
    target: &EraseTarget,
    keys: &KeyRing,
) -> Result<ErasePlan, StoreError> {
    let mut plan = match target {
        EraseTarget::Address(address) => of_address(reader, address, keys)?,
        EraseTarget::Domain(domain) => of_domain(reader, domain)?,
    };
    let connection = reader.connection();
    let two = |sql: &str, key: &dyn rusqlite::ToSql| -> Result<(u64, u64), StoreError> {
        let (first, second): (i64, i64) =
            connection.prepare_cached(sql)?.query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((count(first), count(second)))
    };
    let mut add = |of: (&str, &str), key: &dyn rusqlite::ToSql| -> Result<(), StoreError> {
        let (reports, records) = two(of.0, key)?;
        plan.reports += reports;
        plan.records += records;
        let (tls_reports, failure_reports) = two(of.1, key)?;
        plan.tls_reports += tls_reports;
        plan.failure_reports += failure_reports;
        Ok(())
    };
    if plan.domains.is_empty() {
        for id in plan.messages.clone() {
            add((SIZE_OF_MESSAGE, OTHERS_OF_MESSAGE), &id.0)?;
        }
    }
    for name in plan.domains.clone() {
        add((SIZE_OF_DOMAIN, OTHERS_OF_DOMAIN), &name)?;
    }
    for id in &plan.messages {
        let bounces: i64 = connection.prepare_cached(BOUNCES_OF)?.query_row([id.0], |row| row.get(0))?;
        plan.bounces += count(bounces);
    }
    Ok(plan)
}

// ---- A mailbox ----

/// The forms in which a mailbox stands in the store.
struct Mailbox {
    /// In lower case.
    clear: String,
    /// Under every key.
    pseudonyms: Vec<String>,
}

impl Mailbox {
    fn is(&self, text: &str) -> bool {
        let text = text.trim_start_matches('<').trim_end_matches('>').to_lowercase();
        text == self.clear || self.pseudonyms.contains(&text)
    }
}

/// Everything that names a mailbox.
fn of_address(reader: &Reader, address: &Address, keys: &KeyRing) -> Result<ErasePlan, StoreError> {
    let clear = address.to_string().trim_matches(['<', '>']).to_lowercase();
    let (local, domain) = clear.rsplit_once('@').unwrap_or((&clear, ""));
    let pseudonyms: Vec<String> =
        keys.pseudonyms(local).into_iter().map(|name| format!("{name}@{domain}")).collect();
    let mailbox = Mailbox { clear, pseudonyms };
    let needle = Needle::new(&mailbox.clear);
    let mut plan = ErasePlan::default();
    let mut statement = reader.connection().prepare(MESSAGES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = MessageId(row.get(0)?);
        let is = |at: usize| -> Result<bool, StoreError> {
            Ok(row.get::<_, Option<String>>(at)?.is_some_and(|text| mailbox.is(&text)))
        };
        let recipients: String = row.get(2)?;
        let mut belongs = is(1)? || is(3)? || strings(&recipients).iter().any(|to| mailbox.is(to));
        if !belongs {
            belongs = is_bounced(reader, id, &mailbox)?;
        }
        if belongs {
            plan.messages.push(id);
        } else if row.get::<_, bool>(4)? && names_it(reader, id, row.get(5)?, &needle)? {
            // A report that names somebody is not about him: what it counts stays.
            if row.get(6)? { plan.bytes_of.push(id) } else { plan.messages.push(id) }
        }
    }
    let mut statement = reader.connection().prepare(PROBES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let is = |at: usize| -> Result<bool, StoreError> {
            Ok(row.get::<_, Option<String>>(at)?.is_some_and(|text| mailbox.is(&text)))
        };
        if is(1)? || is(2)? {
            plan.probes.push(row.get(0)?);
        }
    }
    let mut names = vec![mailbox.clear.clone(), Redactor::new(&keys.redaction_key()).address(&mailbox.clear)];
    names.extend(mailbox.pseudonyms);
    let names = Names(names);
    let messages: HashSet<MessageId> = plan.messages.iter().copied().collect();
    let probes: HashSet<String> = plan.probes.iter().cloned().collect();
    plan.texts = naming::find(reader, &names, &messages, &probes)?;
    plan.mailboxes = naming::accounts(reader, &names)?;
    Ok(plan)
}

/// True if a message is a bounce of mail to the mailbox.
fn is_bounced(reader: &Reader, id: MessageId, mailbox: &Mailbox) -> Result<bool, StoreError> {
    let mut statement = reader.connection().prepare_cached(BOUNCES)?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        for at in [0, 1] {
            if row.get::<_, Option<String>>(at)?.is_some_and(|text| mailbox.is(&text)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// True if the bytes of a mail or file name the mailbox: as they came, decoded, or in what is packed in them.
fn names_it(reader: &Reader, id: MessageId, is_file: bool, needle: &Needle) -> Result<bool, StoreError> {
    let mut bytes = Vec::new();
    let mut raw = match reader.raw(id) {
        Ok(raw) => raw.take(limits::IMPORT_FILE_BYTES),
        // Removed or moved meanwhile: the next dry run sees it.
        Err(StoreError::NotFound(_) | StoreError::Io(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    raw.read_to_end(&mut bytes).map_err(|error| StoreError::Io(format!("the bytes of {id}: {error}")))?;
    Ok(if is_file { file_holds(&bytes, needle) } else { mail_holds(&bytes, needle) })
}

// ---- A domain ----

/// Everything for a domain and from it.
fn of_domain(reader: &Reader, domain: &DomainName) -> Result<ErasePlan, StoreError> {
    let connection = reader.connection();
    let (name, below) = (domain.as_str(), below_pattern(domain.as_str()));
    let mut plan = ErasePlan::default();
    let mut statement = connection.prepare(DOMAINS)?;
    plan.domains = statement.query_map((name, &below), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let has_others = |id: MessageId| -> Result<bool, StoreError> {
        Ok(connection.prepare_cached(HAS_OTHERS)?.query_row((id.0, name, &below), |row| row.get(0))?)
    };
    let mut statement = connection.prepare(OF_DOMAIN)?;
    let brought: Vec<MessageId> =
        statement.query_map((name, &below), |row| row.get(0).map(MessageId))?.collect::<Result<_, _>>()?;
    for id in brought {
        if !connection.prepare_cached(IS_THERE)?.exists([id.0])? {
            continue;
        }
        if has_others(id)? { plan.bytes_of.push(id) } else { plan.messages.push(id) }
    }
    let is_of = |text: Option<String>| {
        let text = text.unwrap_or_default();
        let host = text.trim_matches(['<', '>']).rsplit_once('@').map(|(_, host)| host.to_owned());
        host.and_then(|host| DomainName::parse(&host)).is_some_and(|host| host.is_at_or_below(domain))
    };
    let mut statement = connection.prepare(MESSAGES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = MessageId(row.get(0)?);
        if (is_of(row.get(1)?) || is_of(row.get(3)?)) && !plan.messages.contains(&id) && !has_others(id)? {
            plan.messages.push(id);
        }
    }
    let mut statement = connection.prepare(PROBES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if is_of(row.get(1)?) || is_of(row.get(2)?) {
            plan.probes.push(row.get(0)?);
        }
    }
    Ok(plan)
}
