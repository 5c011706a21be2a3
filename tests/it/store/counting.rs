//! Which reports count, and that every sum is exact: copies, conflicts, trust, spreading, reading again.

use std::collections::BTreeMap;

use mailsonde::clock::{Day, Timestamp};
use mailsonde::limits;
use mailsonde::reports::digest::DaySpan;
use mailsonde::reports::{Unreadable, UnreadableKind};
use mailsonde::store::{
    MessageRef, MessageStatus, NewMessage, Outcome, ReadReport, ReportRows, ReprocessFilter, Store, pack,
};
use mailsonde::summary::{MessageSums, Period, Query, Trust};
use proptest::prelude::*;

use super::make::{
    Line, MARCH, Sketch, assert_sound, deliver, import, mail, name, new_store, options, reading, reopen,
};

/// A report of `messages` messages that pass.
fn passing(id: &str, messages: u64) -> Sketch {
    Sketch::new("example.com", "a.example", id, &[Line("", 1, messages, "none", true, true)])
}

/// All that counts.
fn totals(store: &Store) -> MessageSums {
    store.reader().unwrap().summary(&Query::default()).unwrap().totals.sums
}

#[test]
fn other_reporters_ids_and_periods_are_other_reports() {
    let (_folder, store) = new_store();
    let one = passing("1", 1);
    let mut other_reporter = passing("1", 2);
    other_reporter.org = "b.example";
    for sketch in [one.clone(), other_reporter, passing("2", 4), passing("1", 8).days(1, 1)] {
        assert_eq!(import(&store, &sketch, Trust::Imported, 0).reports, [Outcome::Counted]);
    }
    let mut other_domain = one;
    other_domain.domain = "example.net";
    assert_eq!(import(&store, &other_domain, Trust::Imported, 0).reports, [Outcome::Counted]);
    assert_eq!((totals(&store).messages, totals(&store).reports), (16, 5));
    assert_sound(&store.reader().unwrap());
}

#[test]
fn a_verified_copy_raises_the_trust_of_what_counts() {
    let (_folder, store) = new_store();
    let sketch = passing("1", 5);
    let trusts = || {
        let connection = rusqlite::Connection::open(store.path()).unwrap();
        let mut statement = connection
            .prepare("SELECT trust, SUM(messages) FROM rollup GROUP BY trust HAVING SUM(messages) > 0")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<(String, i64)>>()
    };
    let first = import(&store, &sketch, Trust::Unverified, 0);
    assert_eq!(trusts(), [("unverified".to_owned(), 5)]);
    let copy = import(&store, &sketch, Trust::Verified, 1);
    assert_eq!(copy.reports, [Outcome::Duplicate { of: first.message_id }]);
    assert_eq!(trusts(), [("verified".to_owned(), 5)]);
    import(&store, &sketch, Trust::Failed, 2);
    assert_eq!(trusts(), [("verified".to_owned(), 5)]);
    assert_eq!(totals(&store).reports, 1);
    assert_sound(&store.reader().unwrap());
}

#[test]
fn of_conflicting_reports_one_counts_whole() {
    let two = |id: &str| {
        Sketch::new(
            "example.com",
            "a.example",
            id,
            &[Line("", 1, 10, "none", true, true), Line("x.example.com", 2, 20, "reject", false, false)],
        )
    };
    type Case = (&'static str, [(Sketch, Trust); 2], u64, usize);
    let cases: [Case; 5] = [
        ("verified first", [(two("1"), Trust::Imported), (passing("1", 7), Trust::Verified)], 7, 1),
        ("more records", [(passing("1", 7), Trust::Unverified), (two("1"), Trust::Unverified)], 30, 1),
        ("no proof", [(passing("1", 7), Trust::Imported), (two("1"), Trust::Unverified)], 7, 0),
        ("the earlier", [(passing("1", 7), Trust::Imported), (passing("1", 8), Trust::Imported)], 7, 0),
        ("verified stays", [(passing("1", 7), Trust::Verified), (two("1"), Trust::Unverified)], 7, 0),
    ];
    for (case, reports, messages, winner) in cases {
        // What counts does not depend on the order in which they are read.
        for order in [[0, 1], [1, 0]] {
            let (_folder, store) = new_store();
            let mut last = None;
            for at in order {
                let (sketch, trust) = &reports[at];
                last = Some(import(&store, sketch, *trust, i64::try_from(at).unwrap()));
            }
            let counts = order[1] == winner;
            assert_eq!(last.unwrap().reports, [Outcome::Conflicting { counts }], "{case} {order:?}");
            assert_eq!((totals(&store).messages, totals(&store).reports), (messages, 1), "{case} {order:?}");
            let reader = store.reader().unwrap();
            let notes = reader.summary(&Query::default()).unwrap().notes;
            assert!(notes.iter().any(|note| note.contains("other values")), "{case}: {notes:?}");
            let records = reader.records(&Query::default()).unwrap();
            assert_eq!(records.totals.count, messages, "{case}");
            assert_sound(&reader);
        }
    }
}

/// Case 055: 211 messages over 21 days: spread in whole messages, exact, and marked.
#[test]
fn long_periods_are_spread() {
    let (_folder, store) = new_store();
    let lines: Vec<Line> =
        (0..21).map(|at| Line("", at, if at == 0 { 191 } else { 1 }, "none", at % 2 == 0, false)).collect();
    import(&store, &Sketch::new("example.com", "a.example", "1", &lines).days(0, 20), Trust::Imported, 0);
    let reader = store.reader().unwrap();
    let day = |at: i64| Query {
        period: Period {
            since_ms: Some((MARCH + at * 86_400) * 1000),
            until_ms: Some((MARCH + (at + 1) * 86_400) * 1000),
        },
        ..Query::default()
    };
    let mut sum = MessageSums::default();
    for at in 0..21 {
        let answer = reader.summary(&day(at)).unwrap();
        assert!(
            (10..=11).contains(&answer.totals.sums.messages),
            "day {at}: {}",
            answer.totals.sums.messages
        );
        assert_eq!(answer.totals.sums.reports, 1);
        assert!(answer.notes.iter().any(|note| note.contains("spread")), "{:?}", answer.notes);
        sum.add(&answer.totals.sums);
    }
    assert_eq!((sum.messages, sum.dmarc_pass), (211, 201));
    assert_eq!(reader.summary(&day(21)).unwrap().rows, []);
    assert_eq!(reader.summary(&day(-1)).unwrap().rows, []);
    let whole = reader.summary(&Query::default()).unwrap();
    assert_eq!((whole.totals.sums.messages, whole.totals.sums.reports), (211, 1));
    assert_eq!(whole.rows[0].first, Some(Timestamp::from_seconds(MARCH)));
    assert_eq!(reader.records(&day(0)).unwrap().totals.count, 211);
    assert_sound(&reader);
}

/// Periods that no calendar knows: kept, counted, shown, recounted.
#[test]
fn absurd_periods_are_kept() {
    let (_folder, store) = new_store();
    let edges = [i64::MIN, i64::MIN / 2, -1, 0, i64::MAX / 2, i64::MAX];
    let mut reports = 0;
    for (at, begin) in edges.into_iter().enumerate() {
        for end in edges.into_iter().filter(|end| *end >= begin) {
            let mut sketch = passing(&format!("{at}"), 3);
            (sketch.begin, sketch.end) = (begin, begin);
            let mut report = sketch.read();
            (report.digest.report.end, report.digest.key.end) = (end, end);
            report.digest.days =
                DaySpan::Spread { first: Day::of_seconds(begin), last: Day::of_seconds(end) };
            let message = MessageRef::New(Box::new(mail(&format!("{begin} {end}"), 0)));
            store.finish(message, reading(Trust::Imported, vec![report])).unwrap();
            reports += 1;
        }
    }
    assert_eq!((totals(&store).reports, totals(&store).messages), (reports, 3 * reports));
    let reader = store.reader().unwrap();
    assert_eq!(reader.records(&Query::default()).unwrap().totals.count, 3 * reports);
    assert_eq!(reader.sources(&Query::default()).unwrap().totals.messages, 3 * reports);
    assert_sound(&reader);
}

/// Reports that end in the future stand in absolute periods and not in relative ones.
#[test]
fn the_future_is_left_out_of_relative_periods() {
    let (_folder, store) = new_store();
    for (id, first, last) in [("1", 4_000, 4_000), ("2", 0, 300)] {
        let sketch = passing(id, 5).days(first, last);
        let mut report = sketch.read();
        report.digest.is_future = true;
        store.finish(MessageRef::New(Box::new(mail(id, 0))), reading(Trust::Imported, vec![report])).unwrap();
    }
    import(&store, &passing("3", 7), Trust::Imported, 0);
    let reader = store.reader().unwrap();
    let query = Query { is_relative: true, ..Query::default() };
    for query in [query.clone(), Query { result: Some("pass".to_owned()), ..query }] {
        let totals = reader.summary(&query).unwrap().totals.sums;
        assert_eq!((totals.messages, totals.reports), (7, 1));
    }
    assert_eq!((totals(&store).messages, totals(&store).reports), (17, 3));
    assert_sound(&reader);
}

#[test]
fn invented_author_domains_do_not_fill_the_roll_up() {
    let (_folder, store) = new_store();
    let names: Vec<&'static str> =
        (0..500).map(|at| &*Box::leak(format!("n{at}.example.com").into_boxed_str())).collect();
    let sketch = |id: &str, names: &[&'static str]| {
        let lines: Vec<Line> = names.iter().map(|name| Line(name, 1, 1, "reject", false, false)).collect();
        Sketch::new("example.com", "a.example", id, &lines)
    };
    import(&store, &sketch("1", &names[..150]), Trust::Imported, 0);
    import(&store, &sketch("2", &names), Trust::Unverified, 0);
    import(&store, &passing("3", 3), Trust::Imported, 0);
    // A verified copy moves all of it; everything is taken from where it was put.
    import(&store, &sketch("2", &names), Trust::Verified, 1);
    let reader = store.reader().unwrap();
    let answer = reader.domains(&Query { limit: Some(1_000), ..Query::default() }).unwrap();
    assert_eq!(answer.totals.messages, 653);
    assert_eq!(answer.rows.len(), limits::ROLLUP_AUTHOR_DOMAINS + 2);
    let other = answer.rows.iter().find(|row| row.header_from == "other subdomains").unwrap();
    assert_eq!(other.sums.messages, 300);
    assert!(answer.notes.iter().any(|note| note.contains("other subdomains")));
    // The rows are whole.
    let query = Query { domain: Some(name("n400.example.com")), ..Query::default() };
    assert_eq!(reader.domains(&query).unwrap().rows[0].sums.messages, 1);
    assert_sound(&reader);
}

/// A report of many records: rows in slices, nothing visible before the end, nothing left of what was given up.
#[test]
fn large_reports_are_loaded_in_slices() {
    let (folder, store) = new_store();
    let lines: Vec<Line> = (0..5_000u64)
        .map(|at| Line("", u8::try_from(at % 200).unwrap(), at % 7, "none", at % 3 == 0, false))
        .collect();
    let sketch = Sketch::new("example.com", "a.example", "1", &lines);
    let digest = sketch.digest();
    let load = |store: &Store| {
        let loading = store.begin_loading(&digest).unwrap().unwrap();
        for slice in sketch.records().chunks(700) {
            store.push(loading, slice.to_vec()).unwrap();
        }
        store.flush().unwrap();
        loading
    };
    let rows = || {
        let connection = rusqlite::Connection::open(folder.path().join("t.db")).unwrap();
        connection.query_row("SELECT COUNT(*) FROM record", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let given_up = load(&store);
    assert_eq!(rows(), 5_000);
    assert_eq!(totals(&store), MessageSums::default());
    assert_sound(&store.reader().unwrap());
    store.abandon(given_up).unwrap();
    assert!(
        store.push(given_up, sketch.records()).is_ok(),
        "a slice is refused by the writer, not the queue"
    );
    // A process that dies while it loads: the next start removes the rows.
    load(&store);
    store.close();
    let store = reopen(folder.path());
    let read = |rows| ReadReport { place: String::new(), digest: digest.clone(), rows };
    let finish = |store: &Store, rows, text: &str| {
        let message = MessageRef::New(Box::new(mail(text, 0)));
        store.finish(message, reading(Trust::Imported, vec![read(rows)]))
    };
    let loading = load(&store);
    // A slice too much is noticed.
    let too_many = load(&store);
    store.push(too_many, sketch.records()[..1].to_vec()).unwrap();
    assert!(finish(&store, ReportRows::Loaded(too_many), "0").is_err());
    let first = finish(&store, ReportRows::Loaded(loading), "1").unwrap();
    assert_eq!(first.reports, [Outcome::Counted]);
    assert!(finish(&store, ReportRows::Loaded(loading), "2").is_err(), "rows belong to one report");
    assert_eq!((totals(&store).messages, totals(&store).dmarc_pass), (digest.messages, digest.dmarc_pass));
    // The same report again needs no rows; loaded all the same, they go.
    assert_eq!(store.begin_loading(&digest).unwrap(), None);
    let copy = finish(&store, ReportRows::NotNeeded, "3").unwrap();
    assert_eq!(copy.reports, [Outcome::Duplicate { of: first.message_id }]);
    store.abandon(too_many).unwrap();
    // Closing finishes what waits, removing what is left is work of the next idle moment.
    store.close();
    let store = reopen(folder.path());
    let deadline = mailsonde::clock::instant() + std::time::Duration::from_secs(30);
    while rows() != 5_000 {
        assert!(mailsonde::clock::instant() < deadline, "{} rows", rows());
        store.flush().unwrap();
    }
    assert_sound(&store.reader().unwrap());
    // Read again, the large report is replaced whole.
    assert_eq!(store.reprocess(&ReprocessFilter::default()).unwrap(), 2);
    let loading = store.begin_loading(&digest).unwrap();
    assert_eq!(loading, None);
    for id in store.reader().unwrap().pending(None, 10).unwrap() {
        let again = read(ReportRows::Records(sketch.records()));
        store.finish(MessageRef::Stored(id), reading(Trust::Imported, vec![again])).unwrap();
    }
    assert_eq!(totals(&store).messages, digest.messages);
    assert_sound(&store.reader().unwrap());
}

#[test]
fn unwatched_domains_are_kept_apart_until_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let mut some = options();
    some.watch_all = false;
    let store = Store::open(&folder.path().join("t.db"), some).unwrap();
    assert_eq!(store.set_watched(&[name("example.com")]).unwrap(), 0);
    let mut below = passing("1", 1);
    below.domain = "news.example.com";
    let mut other = passing("2", 20);
    other.domain = "sub.example.net";
    assert_eq!(import(&store, &passing("1", 4), Trust::Imported, 0).reports, [Outcome::Counted]);
    assert_eq!(import(&store, &below, Trust::Imported, 0).reports, [Outcome::Counted]);
    let unclaimed = import(&store, &other, Trust::Imported, 0);
    assert_eq!(unclaimed.reports, [Outcome::Unclaimed]);
    assert_eq!(unclaimed.status, MessageStatus::Read);
    assert_eq!(store.begin_loading(&other.digest()).unwrap(), None);
    assert_eq!(totals(&store).messages, 5);
    let reader = store.reader().unwrap();
    let listed = reader.unclaimed().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].domain.as_deref(), listed[0].messages), (Some("sub.example.net"), 20));
    let notes = reader.summary(&Query::default()).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("1 domain not watched")), "{notes:?}");
    // Claimed: the message is read again and counts.
    assert_eq!(store.add_domain(&name("example.net")).unwrap(), 1);
    assert_eq!(reader.pending(None, 10).unwrap(), [unclaimed.message_id]);
    let again = reading(Trust::Imported, vec![other.read()]);
    let finished = store.finish(MessageRef::Stored(unclaimed.message_id), again).unwrap();
    assert_eq!(finished.reports, [Outcome::Counted]);
    assert_eq!(totals(&store).messages, 25);
    assert_eq!(reader.unclaimed().unwrap(), []);
    // What `domains add` named stays watched when the configuration changes.
    store.set_watched(&[name("example.org")]).unwrap();
    let watched: Vec<_> = reader.watched().unwrap();
    let is = |text: &str| watched.iter().find(|domain| domain.name == text).unwrap();
    assert!(
        is("example.net").is_added && !is("example.com").is_configured && is("example.org").is_configured
    );
    assert_eq!(is("sub.example.net").messages, 20);
    assert_sound(&reader);
}

#[test]
fn unreadable_parts_are_listed_and_what_was_read_counts() {
    let (_folder, store) = new_store();
    let unreadable = |reason: &str| Unreadable {
        kind: UnreadableKind::Truncated,
        reason: reason.to_owned(),
        place: "a.gz".to_owned(),
    };
    let mut partly = reading(Trust::Imported, vec![passing("1", 4).read()]);
    partly.unread = vec![unreadable("gzip stream ends early")];
    let partly = store.finish(MessageRef::New(Box::new(mail("1", 0))), partly).unwrap();
    assert_eq!(partly.status, MessageStatus::Unread);
    assert_eq!(partly.reason.as_deref(), Some("1 of 2 could not be read: gzip stream ends early"));
    let mut whole = reading(Trust::Imported, Vec::new());
    whole.unread = vec![unreadable("zip without entries")];
    let whole = store.finish(MessageRef::New(Box::new(mail("2", 0))), whole).unwrap();
    assert_eq!(whole.reason.as_deref(), Some("zip without entries"));
    assert_eq!(totals(&store).messages, 4);
    let reader = store.reader().unwrap();
    assert_eq!(reader.messages(&Query::default()).unwrap().totals.unread, 2);
    let notes = reader.summary(&Query::default()).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("2 messages could not be read")), "{notes:?}");
}

/// A copy whose original is read with other values is read again itself.
#[test]
fn reading_again_moves_copies_too() {
    let (_folder, store) = new_store();
    let first = import(&store, &passing("1", 4), Trust::Imported, 0);
    let copy = import(&store, &passing("1", 4), Trust::Imported, 1);
    assert_eq!(copy.status, MessageStatus::Duplicate);
    let filter = ReprocessFilter { ids: Some(vec![first.message_id]), ..ReprocessFilter::default() };
    assert_eq!(store.reprocess(&filter).unwrap(), 1);
    assert_eq!(totals(&store).messages, 4, "what was counted counts until it is read again");
    // The better reader sees 5 messages where the older saw 4.
    let better = || reading(Trust::Imported, vec![passing("1", 5).read()]);
    let again = store.finish(MessageRef::Stored(first.message_id), better()).unwrap();
    assert_eq!(again.reports, [Outcome::Counted]);
    assert_eq!(totals(&store).messages, 5);
    let reader = store.reader().unwrap();
    assert_eq!(reader.pending(None, 10).unwrap(), [copy.message_id]);
    let again = store.finish(MessageRef::Stored(copy.message_id), better()).unwrap();
    assert_eq!(again.reports, [Outcome::Duplicate { of: first.message_id }]);
    assert_eq!(totals(&store).messages, 5);
    assert_sound(&reader);
    // A reader that sees nothing any more takes everything back.
    store.reprocess(&ReprocessFilter::default()).unwrap();
    for id in reader.pending(None, 10).unwrap() {
        store.finish(MessageRef::Stored(id), reading(Trust::Imported, Vec::new())).unwrap();
    }
    assert_eq!(totals(&store), MessageSums::default());
    assert_sound(&reader);
}

// ---- Any sequence ----

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    /// A message with these reports (indices of the pool) comes and is read.
    Import(Vec<usize>, Trust),
    /// A message is delivered, and read at the end.
    Deliver(Vec<usize>, Trust),
    /// The n-th message is read again, perhaps by a reader that sees the next report of the pool instead.
    Again(usize, bool),
    /// The store is closed and opened.
    Reopen,
}

/// The reports of the random histories: copies of a key with equal and other values, long periods, several
/// domains and author domains.
fn pool() -> Vec<Sketch> {
    let mut pool = Vec::new();
    for id in ["1", "x2"] {
        for domain in ["example.com", "sub.example.com"] {
            for messages in [1, 2] {
                let lines = [
                    Line("", 1, messages, "none", true, true),
                    Line("a.example.com", 2, 3, "reject", false, false),
                    Line("", 1, 0, "strange", false, true),
                ];
                let lines = if messages == 1 { &lines[..] } else { &lines[..2] };
                pool.push(Sketch::new(domain, "a.example", id, lines));
            }
            let lines = [Line("", 3, 17, "pass", true, false), Line("b.example.com", 4, 5, "", false, false)];
            pool.push(Sketch::new(domain, "b.example", id, &lines).days(-3, 9));
        }
    }
    pool
}

/// A random step.
fn step() -> impl Strategy<Value = Step> {
    let reports = prop::collection::vec(0..pool().len(), 0..4);
    let trust = prop::sample::select(Trust::ALL.to_vec());
    prop_oneof![
        4 => (reports.clone(), trust.clone()).prop_map(|(reports, trust)| Step::Import(reports, trust)),
        2 => (reports, trust).prop_map(|(reports, trust)| Step::Deliver(reports, trust)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(at, other)| Step::Again(at, other)),
        1 => Just(Step::Reopen),
    ]
}

/// How good a claim a mail gives its reports, all by the same sender: verified, read from a file, the rest, failed.
fn rank(trust: Trust) -> u8 {
    match trust {
        Trust::Verified => 3,
        Trust::Imported => 2,
        Trust::Unverified | Trust::Pending => 1,
        Trust::Failed => 0,
    }
}

/// What should count, by the rules, from all messages as last read: keys to (rank, records, earlier).
fn expected(pool: &[Sketch], messages: &[(Vec<usize>, Trust)]) -> (u64, u64, u64) {
    let mut keys: BTreeMap<String, BTreeMap<usize, (u8, std::cmp::Reverse<usize>)>> = BTreeMap::new();
    for (at, (reports, trust)) in messages.iter().enumerate() {
        for report in reports {
            let sketch = &pool[*report];
            let key = format!("{} {} {} {}", sketch.domain, sketch.org, sketch.id, sketch.begin);
            let claim = (rank(*trust), std::cmp::Reverse(at));
            let group = keys.entry(key).or_default().entry(*report).or_insert(claim);
            // The first of the best copies.
            *group = claim.max(*group);
        }
    }
    let mut sums = (0, 0, 0);
    for groups in keys.values() {
        let believed = groups.iter().filter(|(_, (rank, _))| *rank > 0);
        let best = believed.max_by_key(|(report, (rank, first))| (*rank, pool[**report].lines.len(), *first));
        let Some(best) = best else { continue };
        let digest = pool[*best.0].digest();
        sums = (sums.0 + 1, sums.1 + digest.messages, sums.2 + digest.dmarc_pass);
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// After any history the sums are those that the rules give, and recounting agrees.
    #[test]
    fn any_history_ends_in_exact_sums(steps in prop::collection::vec(step(), 1..25)) {
        let pool = pool();
        let folder = tempfile::tempdir().unwrap();
        let mut store = reopen(folder.path());
        let mut messages: Vec<(Vec<usize>, Trust)> = Vec::new();
        let mut ids = Vec::new();
        let read = |reports: &[usize], trust| {
            reading(trust, reports.iter().map(|at| pool[*at].read()).collect())
        };
        let message = |at: usize| -> NewMessage { mail(&format!("message {at}"), i64::try_from(at).unwrap()) };
        for step in steps {
            match step {
                Step::Import(reports, trust) => {
                    let mut reading = read(&reports, trust);
                    reading.packed = Some(pack(format!("message {}", ids.len()).as_bytes()));
                    let message = MessageRef::New(Box::new(message(ids.len())));
                    ids.push(store.finish(message, reading).unwrap().message_id);
                    messages.push((reports, trust));
                }
                Step::Deliver(reports, trust) => {
                    ids.push(deliver(&store, message(ids.len())).unwrap());
                    messages.push((reports, trust));
                }
                Step::Again(at, other) => {
                    if ids.is_empty() {
                        continue;
                    }
                    let at = at % ids.len();
                    let filter = ReprocessFilter { ids: Some(vec![ids[at]]), ..ReprocessFilter::default() };
                    store.reprocess(&filter).unwrap();
                    if other {
                        for report in &mut messages[at].0 {
                            *report = (*report + 1) % pool.len();
                        }
                    }
                    let (reports, trust) = &messages[at];
                    store.finish(MessageRef::Stored(ids[at]), read(reports, *trust)).unwrap();
                }
                Step::Reopen => {
                    store.close();
                    store = reopen(folder.path());
                }
            }
            assert_sound(&store.reader().unwrap());
        }
        // What waits is read in order of arrival, also what another reading made pending.
        for _ in 0..3 {
            for id in store.reader().unwrap().pending(None, 1_000).unwrap() {
                let at = ids.iter().position(|known| *known == id).unwrap();
                let (reports, trust) = &messages[at];
                store.finish(MessageRef::Stored(id), read(reports, *trust)).unwrap();
            }
        }
        let reader = store.reader().unwrap();
        prop_assert_eq!(reader.pending(None, 10).unwrap(), Vec::new());
        assert_sound(&reader);
        let sums = totals(&store);
        prop_assert_eq!((sums.reports, sums.messages, sums.dmarc_pass), expected(&pool, &messages));
        // The slow way over the rows gives the same.
        let by_source = reader.sources(&Query::default()).unwrap().totals;
        prop_assert_eq!(
            (by_source.messages, by_source.dmarc_pass, by_source.disposition_reject),
            (sums.messages, sums.dmarc_pass, sums.disposition_reject)
        );
        let by_domain = reader.domains(&Query::default()).unwrap().totals;
        let by_reporter = reader.reporters(&Query::default()).unwrap().totals;
        prop_assert_eq!((by_domain, by_reporter), (sums, sums));
        prop_assert_eq!(reader.records(&Query::default()).unwrap().totals.count, sums.messages);
    }

    /// However long the period and however small the shares: whole messages, exact sums, days alike.
    #[test]
    fn spreading_is_exact(
        counts in prop::collection::vec(0u64..500, 1..30),
        first in -20i64..20,
        length in 1i64..60,
        hours in 0i64..24,
    ) {
        let (_folder, store) = new_store();
        let lines: Vec<Line> = (0u8..)
            .zip(&counts)
            .map(|(at, count)| Line("", at, *count, ["none", "reject", "pass"][usize::from(at) % 3], at % 2 == 0, at % 5 == 0))
            .collect();
        let mut sketch = Sketch::new("example.com", "a.example", "1", &lines).days(first, first + length);
        sketch.begin += hours * 3_600;
        let digest = sketch.digest();
        import(&store, &sketch, Trust::Imported, 0);
        let sums = totals(&store);
        prop_assert_eq!((sums.messages, sums.dmarc_pass), (digest.messages, digest.dmarc_pass));
        let reader = store.reader().unwrap();
        let mut by_day = Vec::new();
        for at in first..=first + length {
            let day = Day::of_seconds(MARCH + at * 86_400);
            let query = Query {
                period: Period {
                    since_ms: Some(day.start_seconds() * 1000),
                    until_ms: Some((day.start_seconds() + 86_400) * 1000),
                },
                ..Query::default()
            };
            by_day.push(reader.summary(&query).unwrap().totals.sums.messages);
        }
        prop_assert_eq!(by_day.iter().sum::<u64>(), digest.messages);
        // Whole days differ only by what rounding needs.
        let whole = &by_day[1..];
        let (low, high) = (whole.iter().min().unwrap(), whole.iter().max().unwrap());
        prop_assert!(high - low <= 6, "{:?}", by_day);
        assert_sound(&reader);
    }
}
