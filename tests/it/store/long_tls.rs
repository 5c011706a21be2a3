//! TLS reports of many rows: written in slices, whole or not at all, removed in slices.

use std::fmt::Write as _;

use mailsonde::clock::Timestamp;
use mailsonde::daemon::keys;
use mailsonde::mail::DomainName;
use mailsonde::reports::tls::{TlsContext, TlsDigest, read};
use mailsonde::store::{EraseTarget, Finished, MessageRef, Outcome, ReadTls, Store};
use mailsonde::summary::{Query, Trust};

use crate::support::sink::eventually;

use super::make::{assert_sound, mail, new_store, reading};

/// Failure details of the first domain.
const FAILURES: i64 = 4_321;

/// A report about two domains, of which the first has many failures.
fn digest(id: &str) -> TlsDigest {
    let mut text = format!(
        "{{\"organization-name\":\"Reporter\",\"date-range\":{{\"start-datetime\":\"2026-03-01T00:00:00Z\",\
         \"end-datetime\":\"2026-03-01T23:59:59Z\"}},\"contact-info\":\"tls@reporter.example\",\"report-id\":\"{id}\",\
         \"policies\":["
    );
    for (domain, failures) in [("long.example", FAILURES), ("short.example", 2)] {
        let comma = if domain == "long.example" { "" } else { "," };
        let _ = write!(
            text,
            "{comma}{{\"policy\":{{\"policy-type\":\"sts\",\"policy-domain\":\"{domain}\"}},\"summary\":\
             {{\"total-successful-session-count\":7,\"total-failure-session-count\":{failures}}},\"failure-details\":["
        );
        for at in 0..failures {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(
                text,
                "{comma}{{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.{}\",\
                 \"failed-session-count\":1}}",
                at % 250
            );
        }
        text.push_str("]}");
    }
    text.push_str("]}");
    let context = TlsContext { now: Timestamp::from_seconds(1_772_500_000), ..TlsContext::default() };
    let mut found = read(text.as_bytes(), &context);
    found.remove(0).unwrap()
}

/// Stores a report as a message of its own.
fn import(store: &Store, bytes: &str, digest: TlsDigest) -> Finished {
    let mut reading = reading(Trust::Imported, Vec::new());
    reading.packed = Some(mailsonde::store::pack(bytes.as_bytes()));
    reading.tls.push(ReadTls { place: String::new(), digest });
    store.finish(MessageRef::New(Box::new(mail(bytes, 0))), reading).unwrap()
}

/// Rows of a table, once nothing is left to be removed.
fn rows(store: &Store, table: &str) -> i64 {
    let count = |table: &str| -> i64 {
        store.flush().unwrap();
        let connection = rusqlite::Connection::open(store.path()).unwrap();
        connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    eventually("everything left is removed", || count("leftover") == 0);
    count(table)
}

#[test]
fn it_is_whole_counts_once_and_goes_whole() {
    let (_folder, store) = new_store();
    let first = import(&store, "first", digest("1"));
    assert_eq!(first.others, [Outcome::Counted; 2]);
    assert_eq!((rows(&store, "tls_failure"), rows(&store, "tls_policy")), (FAILURES + 2, 2));
    let reader = store.reader().unwrap();
    let totals = reader.tls(&Query::default()).unwrap().totals;
    assert_eq!((totals.reports, totals.failed_sessions), (2, 4_323));
    assert_sound(&reader);
    // The same values again, and others under the same key.
    let copy = import(&store, "second", digest("1"));
    assert_eq!(copy.others, [Outcome::Duplicate { of: first.message_id }; 2]);
    assert_eq!(rows(&store, "tls_failure"), FAILURES + 2);
    let mut other = digest("1");
    other.domains.iter_mut().for_each(|domain| domain.content_sha256 = [7; 32]);
    let other = import(&store, "third", other);
    assert_eq!(other.others, [Outcome::Conflicting { counts: false }; 2]);
    assert_eq!(rows(&store, "tls_failure"), 2 * (FAILURES + 2));
    assert_sound(&store.reader().unwrap());
    // Reading again writes the new rows before it removes the old ones.
    let domain = DomainName::parse("long.example").unwrap();
    let keys = keys::load_or_create(store.path()).unwrap();
    let plan = store.reader().unwrap().erase_plan(&EraseTarget::Domain(domain), &keys).unwrap();
    store.erase(&plan).unwrap();
    assert_eq!((rows(&store, "tls_failure"), rows(&store, "tls_policy")), (4, 2), "the other domain stays");
    assert_sound(&store.reader().unwrap());
}

#[test]
fn it_is_not_written_for_a_domain_that_is_not_watched() {
    let folder = tempfile::tempdir().unwrap();
    let mut some = super::make::options();
    some.watch_all = false;
    let store = Store::open(&folder.path().join("t.db"), some).unwrap();
    store.set_watched(&[DomainName::parse("short.example").unwrap()]).unwrap();
    let found = import(&store, "first", digest("1"));
    assert_eq!(found.others, [Outcome::Unclaimed, Outcome::Counted]);
    assert_eq!((rows(&store, "tls_failure"), rows(&store, "tls_policy")), (2, 1));
    assert_sound(&store.reader().unwrap());
}

#[test]
fn what_a_killed_process_wrote_of_it_is_removed_at_the_next_start() {
    let (folder, store) = new_store();
    import(&store, "first", digest("1"));
    let path = store.path().to_owned();
    store.close();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO leftover SELECT report_id + 1, domain_id, day, 'loading' FROM tls_report;
             INSERT INTO tls_policy SELECT domain_id, day, report_id + 1, seq, policy_type, policy_domain, policy_string,
                mx_host, successful_sessions, failed_sessions FROM tls_policy WHERE 1;
             INSERT INTO tls_failure SELECT domain_id, day, report_id + 1, policy_seq, seq, result_type, NULL, NULL, NULL,
                NULL, failed_sessions, NULL, NULL FROM tls_failure WHERE 1;",
        )
        .unwrap();
    drop(connection);
    let store = Store::open(&path, super::make::options()).unwrap();
    assert_eq!((rows(&store, "tls_failure"), rows(&store, "tls_policy")), (FAILURES + 2, 2));
    assert_sound(&store.reader().unwrap());
    drop(folder);
}
