//! TLS reports, failure reports and bounces: removing them by age and by domain, and the names in bounces.

use super::super::record::Place;
use super::super::writer::{Work, Writer};
use super::super::{Reader, StoreError, tls};
use super::prune::Pruned;
use super::{address_pseudonym, domains, in_slices, slice};
use crate::clock::Timestamp;
use crate::probe::token::KeyRing;

const OLD_TLS: &str = "SELECT day, report_id FROM tls_report
    WHERE domain_id = $1 AND day < $2 AND last_day < $2 ORDER BY day, report_id LIMIT 500";
const OLD_FAILURES: &str = "SELECT day, failure_id FROM failure_report
    WHERE domain_id = $1 AND day < $2 ORDER BY day, failure_id LIMIT 500";
const DELETE_FAILURE: &str =
    "DELETE FROM failure_report WHERE domain_id = $1 AND day = $2 AND failure_id = $3";
const RECIPIENTS: &str =
    "SELECT received_at_ms, message_id, seq, recipient, original_recipient, diagnostic FROM bounce
    WHERE (received_at_ms, message_id, seq) > ($1, $2, $3) AND received_at_ms < $4
    ORDER BY received_at_ms, message_id, seq LIMIT 500";
const SET_RECIPIENT: &str = "UPDATE bounce SET recipient = $1, original_recipient = $2, diagnostic = $3
    WHERE message_id = $4 AND seq = $5";

/// The two kinds of reports without roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tls,
    Failure,
}

/// Removes TLS and failure reports all of whose days are before `before_ms`. They have no sums that stay.
pub(super) fn reports(
    writer: &Writer,
    reader: &Reader,
    before_ms: i64,
    pruned: &mut Pruned,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    let before = Timestamp::from_ms(before_ms).day().0;
    for domain_id in domains(reader)? {
        for kind in [Kind::Tls, Kind::Failure] {
            while !is_stopped() {
                let removed = writer.run(move |work| remove_slice(work, kind, domain_id, before))?;
                if removed == 0 {
                    break;
                }
                pruned.other_reports += removed;
            }
        }
    }
    Ok(())
}

/// Removes the first of a domain's reports before a day, for the time of a slice; returns their number.
fn remove_slice(work: &mut Work<'_>, kind: Kind, domain_id: i64, before: i32) -> Result<u64, StoreError> {
    let sql = if kind == Kind::Tls { OLD_TLS } else { OLD_FAILURES };
    let found: Vec<(i32, i64)> = {
        let mut statement = work.connection.prepare_cached(sql)?;
        let rows = statement.query_map((domain_id, before), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let done = slice(work, &found, |work, (day, id)| {
        if kind == Kind::Tls {
            return tls::remove_report(work, Place { domain_id, day: *day, report_id: *id });
        }
        work.connection.prepare_cached(DELETE_FAILURE)?.execute((domain_id, day, id))?;
        Ok(())
    })?;
    Ok(u64::try_from(done).unwrap_or(0))
}

/// Removes some of a domain's TLS and failure reports, of all days. False if there is none.
pub(super) fn remove_of_domain(work: &mut Work<'_>, domain_id: i64) -> Result<bool, StoreError> {
    let removed = remove_slice(work, Kind::Tls, domain_id, i32::MAX)?;
    Ok(removed + remove_slice(work, Kind::Failure, domain_id, i32::MAX)? > 0)
}

/// One bounce that names somebody.
struct Named {
    key: (i64, i64),
    recipient: Option<String>,
    original: Option<String>,
    diagnostic: Option<String>,
}

impl Named {
    /// The same with pseudonyms, also where the words of the refusal repeat the address; nothing if there is nobody.
    fn pseudonym(self, keys: &KeyRing) -> Option<Self> {
        let hash = |text: &Option<String>| text.as_deref().and_then(|text| address_pseudonym(keys, text));
        let (recipient, original) = (hash(&self.recipient), hash(&self.original));
        if recipient.is_none() && original.is_none() {
            return None;
        }
        let mut diagnostic = self.diagnostic;
        for (clear, hashed) in [(&self.recipient, &recipient), (&self.original, &original)] {
            if let (Some(text), Some(clear), Some(hashed)) = (&mut diagnostic, clear, hashed) {
                // Hosts repeat the address as they got it, or in lower case.
                *text = text.replace(clear.as_str(), hashed).replace(&clear.to_lowercase(), hashed);
            }
        }
        let (recipient, original) = (recipient.or(self.recipient), original.or(self.original));
        Some(Self { key: self.key, recipient, original, diagnostic })
    }
}

/// Replaces the local parts of the recipients of old bounces by pseudonyms.
pub(super) fn recipients(
    writer: &Writer,
    reader: &Reader,
    before_ms: i64,
    keys: &KeyRing,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    let mut cursor = (i64::MIN, i64::MIN, i64::MIN);
    loop {
        let mut len = 0;
        let mut found = Vec::new();
        {
            let mut statement = reader.connection().prepare_cached(RECIPIENTS)?;
            let mut rows = statement.query((cursor.0, cursor.1, cursor.2, before_ms))?;
            while let Some(row) = rows.next()? {
                len += 1;
                cursor = (row.get(0)?, row.get(1)?, row.get(2)?);
                let named = Named {
                    key: (cursor.1, cursor.2),
                    recipient: row.get(3)?,
                    original: row.get(4)?,
                    diagnostic: row.get(5)?,
                };
                found.extend(named.pseudonym(keys));
            }
        }
        in_slices(writer, found, is_stopped, |work, named: &Named| {
            let row = (&named.recipient, &named.original, &named.diagnostic, named.key.0, named.key.1);
            work.connection.prepare_cached(SET_RECIPIENT)?.execute(row)?;
            Ok(1)
        })?;
        if len == 0 || is_stopped() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_nobody() {
        let keys = KeyRing::with_id(1, &[7; 32]).unwrap();
        let named = Named {
            key: (1, 0),
            recipient: Some("Jane@b.example".to_owned()),
            original: None,
            diagnostic: Some("550 5.1.1 <jane@b.example>: no such user Jane@b.example".to_owned()),
        };
        let hashed = named.pseudonym(&keys).unwrap();
        let text = format!("{:?} {:?}", hashed.recipient, hashed.diagnostic);
        assert!(!text.to_lowercase().contains("jane"), "{text}");
        assert!(text.contains("550 5.1.1") && text.contains("@b.example"), "{text}");
        assert!(hashed.pseudonym(&keys).is_none());
    }
}
