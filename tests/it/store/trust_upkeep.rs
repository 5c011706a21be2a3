//! What waits for its verdict is not removed for its age, and what nothing refers to is.

use std::time::Duration;

use mailsonde::clock::Timestamp;
use mailsonde::probe::token::KeyRing;
use mailsonde::store::{Pruned, Retention, Store};
use mailsonde::summary::{Query, Trust};

use super::make::{Line, MARCH, Sketch, assert_sound, import, new_store};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Removes at `days` after the first of March what is older than a day.
fn prune(store: &Store, days: i64) -> Pruned {
    let day = Duration::from_secs(86_400);
    let retention = Retention {
        raw_failures: day,
        raw: day,
        raw_unread: day,
        rows: day,
        clear_text: day,
        dns_history: day,
    };
    let keys = KeyRing::with_id(1, &[7; 32]).unwrap();
    store.prune(&retention, &keys, Timestamp::from_seconds(MARCH + days * DAY), &|| false).unwrap()
}

/// A report whose names, reporter and results nobody else has.
fn own(id: &'static str, org: &'static str, author: &'static str) -> Sketch {
    Sketch::new("example.com", org, id, &[Line(author, 1, 7, "none", true, false)])
}

/// Rows of the look-up tables.
fn lookups(store: &Store) -> Vec<String> {
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    let mut found = Vec::new();
    for sql in [
        "SELECT 'name ' || name FROM name ORDER BY name",
        "SELECT 'reporter ' || name_key FROM reporter ORDER BY name_key",
        "SELECT 'results ' || COUNT(*) FROM auth_set",
        "SELECT 'result ' || COUNT(*) FROM auth_result",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        found.extend(rows.map(Result::unwrap));
    }
    found
}

/// Old days, so that age alone would roll it up: the verdict still takes it away, unless it takes longer than two days.
#[test]
fn rows_wait_for_the_verdict() {
    for (after_days, counts) in [(1, false), (3, true)] {
        let (_folder, store) = new_store();
        // It speaks of days long past, and came a day ago.
        let sketch = own("1", "a.example", "").days(-30, -30);
        let id = import(&store, &sketch, Trust::Pending, 0).message_id;
        let pruned = prune(&store, after_days);
        assert_eq!(pruned.reports, u64::from(counts), "{after_days} days");
        assert_eq!(pruned.raws, u64::from(counts), "its bytes are to be verified");
        store.settle_trust(id, Trust::Failed).unwrap();
        let reader = store.reader().unwrap();
        // What was rolled up counts for ever.
        assert_eq!(reader.summary(&Query::default()).unwrap().totals.sums.reports, u64::from(counts));
        assert_sound(&reader);
        assert_eq!(prune(&store, after_days).reports, u64::from(!counts));
        let after = reader.summary(&Query::default()).unwrap();
        assert_eq!(after.totals.sums.reports, u64::from(counts));
        assert_eq!(after.trust.unwrap().untrusted_reports, 0, "what failed is removed for its age");
        assert_sound(&reader);
    }
}

/// A copy that lends its trust to a report that waits stays with it.
#[test]
fn a_copy_stays_as_long_as_what_it_proves() {
    let (_folder, store) = new_store();
    let sketch = own("1", "a.example", "").days(-30, -30);
    let waiting = import(&store, &sketch, Trust::Pending, 0).message_id;
    import(&store, &sketch, Trust::Verified, 1);
    let verified = || {
        let trust = store.reader().unwrap().summary(&Query::default()).unwrap().trust.unwrap();
        (trust.verified, trust.all())
    };
    assert_eq!(verified(), (7, 7));
    prune(&store, 1);
    assert_sound(&store.reader().unwrap());
    store.settle_trust(waiting, Trust::Failed).unwrap();
    assert_eq!(verified(), (7, 7), "the copy proves it");
    prune(&store, 1);
    prune(&store, 1);
    assert_eq!(verified(), (7, 7));
    assert_sound(&store.reader().unwrap());
}

#[test]
fn what_nothing_refers_to_is_removed() {
    let (_folder, store) = new_store();
    let forged = own("1", "forger.example", "forged.example.com").days(-30, -30);
    let id = import(&store, &forged, Trust::Pending, 0).message_id;
    store.settle_trust(id, Trust::Failed).unwrap();
    // Counted once: its author domain and reporter stand in roll-ups for ever.
    import(&store, &own("2", "old.example", "old.example.com").days(-30, -30), Trust::Imported, 0);
    // Fresh: everything of it stays.
    let mut fresh = own("3", "new.example", "new.example.com").days(0, 0);
    fresh.lines[0].4 = false;
    fresh.lines[0].5 = true;
    import(&store, &fresh, Trust::Imported, 0);
    let all = lookups(&store);
    for name in ["name forged.example.com", "reporter forger.example", "results 2", "result 4"] {
        assert!(all.iter().any(|row| row == name), "{name}: {all:?}");
    }
    let pruned = prune(&store, 1);
    assert_eq!(pruned.reports, 2);
    let left = lookups(&store);
    let expected = [
        "name example.com",
        "name new.example.com",
        "name old.example.com",
        "reporter new.example",
        "reporter old.example",
        "results 1",
        "result 2",
    ];
    assert_eq!(left, expected);
    assert_eq!(pruned.lookups, 3, "a name, a reporter, a list of results");
    assert_sound(&store.reader().unwrap());
    // What went comes again with the next report, by the same writer, whose memory knew it.
    import(&store, &forged, Trust::Imported, 5);
    import(&store, &own("4", "old.example", "forged.example.com"), Trust::Imported, 6);
    let again = lookups(&store);
    assert!(again.iter().any(|row| row == "name forged.example.com"), "{again:?}");
    assert!(again.iter().any(|row| row == "reporter forger.example"), "{again:?}");
    assert_sound(&store.reader().unwrap());
    let reader = store.reader().unwrap();
    assert_eq!(reader.records(&Query::default()).unwrap().totals.records, 3);
}

/// Reports come while unused rows are looked for: none loses what it refers to.
#[test]
fn what_is_taken_up_again_stays() {
    let (_folder, store) = new_store();
    let names: Vec<&'static str> =
        (0..300).map(|at| &*Box::leak(format!("n{at}.example.com").into_boxed_str())).collect();
    for round in 0..6 {
        // Old ones by the same names, which are unused once these reports are gone.
        for (at, name) in names.iter().enumerate() {
            let id: &'static str = Box::leak(format!("old {round} {at}").into_boxed_str());
            let id_of =
                import(&store, &own(id, "a.example", name).days(-30, -30), Trust::Pending, 0).message_id;
            if at % 30 == 0 {
                store.settle_trust(id_of, Trust::Failed).unwrap();
            }
        }
        let other = store.clone();
        let all = names.clone();
        let importer = std::thread::spawn(move || {
            for (at, name) in all.iter().enumerate().rev() {
                let id: &'static str = Box::leak(format!("new {round} {at}").into_boxed_str());
                import(&other, &own(id, "a.example", name), Trust::Imported, 0);
            }
        });
        prune(&store, 1 + round);
        importer.join().unwrap();
        let reader = store.reader().unwrap();
        assert_sound(&reader);
        let rows = reader.records(&Query { limit: Some(1), ..Query::default() }).unwrap();
        let connection = rusqlite::Connection::open(store.path()).unwrap();
        let records: i64 = connection.query_row("SELECT COUNT(*) FROM record", [], |row| row.get(0)).unwrap();
        // A record whose name is gone would be missing in the answer, which joins it.
        let untrusted: i64 = connection
            .query_row("SELECT COALESCE(SUM(records), 0) FROM report WHERE status = 'untrusted'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(i64::try_from(rows.totals.records).unwrap(), records - untrusted, "round {round}");
    }
}

/// A verdict moves sums and leaves no rows of nothing where their author domain keeps its place otherwise.
#[test]
fn a_verdict_leaves_no_rows_of_nothing() {
    let (_folder, store) = new_store();
    let lines: Vec<Line> = (0..20).map(|at| Line("", at, 3, "none", at % 2 == 0, at % 3 == 0)).collect();
    let sketch = Sketch::new("example.com", "a.example", "1", &lines).days(0, 9);
    let id = import(&store, &sketch, Trust::Pending, 0).message_id;
    let rows = || {
        let connection = rusqlite::Connection::open(store.path()).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (
            count("SELECT COUNT(*) FROM rollup"),
            count("SELECT COUNT(*) FROM rollup WHERE messages = 0 AND records = 0"),
        )
    };
    let before = rows();
    assert_eq!(before.1, 0);
    for verdict in [Trust::Unverified, Trust::Verified] {
        store.settle_trust(id, verdict).unwrap();
        assert_eq!(rows(), before, "{verdict:?}");
    }
    // What failed leaves the places of its author domains.
    store.settle_trust(id, Trust::Failed).unwrap();
    assert_eq!(rows(), (before.0, before.0));
    store.settle_trust(id, Trust::Verified).unwrap();
    assert_eq!(rows(), before);
    assert_sound(&store.reader().unwrap());
}

/// The sums of a long report are kept in memory for its verdict: they are those of its rows.
#[test]
fn a_verdict_on_a_long_report_moves_its_sums() {
    let (folder, store) = new_store();
    let lines: Vec<Line> = (0..1_500u16)
        .map(|at| Line("", u8::try_from(at % 250).unwrap(), u64::from(at), "none", at % 2 == 0, at % 3 == 0))
        .collect();
    let sketch = Sketch::new("example.com", "a.example", "1", &lines).days(0, 3);
    let id = import(&store, &sketch, Trust::Pending, 0).message_id;
    let sums = |store: &Store| {
        let answer = store.reader().unwrap().summary(&Query::default()).unwrap();
        assert_sound(&store.reader().unwrap());
        (answer.totals.sums, answer.trust.unwrap().verified)
    };
    let (whole, _) = sums(&store);
    for verdict in [Trust::Verified, Trust::Failed, Trust::Verified] {
        store.settle_trust(id, verdict).unwrap();
        let expected = if verdict == Trust::Verified { whole.messages } else { 0 };
        assert_eq!((sums(&store).0.messages, sums(&store).1), (expected, expected), "{verdict:?}");
    }
    // After a restart nothing is in memory.
    store.close();
    let store = super::make::reopen(folder.path());
    store.settle_trust(id, Trust::Unverified).unwrap();
    assert_eq!(sums(&store), (whole, 0));
}
