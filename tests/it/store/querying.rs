//! The views: filters, order, limits, totals over all.

use mailsonde::store::{MessageRef, StoreError};
use mailsonde::summary::{Period, Query, Trust};

use super::make::{Line, MARCH, Sketch, assert_sound, import, mail, name, new_store, reading};

/// A question for a domain.
fn domain(text: &str) -> Query {
    Query { domain: Some(name(text)), ..Query::default() }
}

/// Case 048: everything is weighted by the messages of a record.
#[test]
fn records_weigh_by_their_count() {
    let (_folder, store) = new_store();
    let lines = [
        Line("", 1, 900, "none", true, true),
        Line("", 2, 1, "none", false, false),
        Line("", 3, 1, "none", false, false),
        Line("", 4, 1, "none", false, false),
    ];
    import(&store, &Sketch::new("example.com", "a.example", "1", &lines), Trust::Imported, 0);
    let answer = store.reader().unwrap().summary(&domain("example.com")).unwrap();
    assert_eq!(
        (answer.totals.sums.messages, answer.totals.sums.dmarc_pass, answer.totals.sums.dmarc_fail),
        (903, 900, 3)
    );
    assert_eq!(answer.rows[0].sources, 4);
}

/// Case 057: a named domain without data gives one row of zeros.
#[test]
fn a_named_domain_without_data_is_a_row_of_zeros() {
    let (_folder, store) = new_store();
    let reader = store.reader().unwrap();
    assert_eq!(reader.summary(&Query::default()).unwrap().rows, []);
    let answer = reader.summary(&domain("example.org")).unwrap();
    assert_eq!(answer.rows.len(), 1);
    assert_eq!((answer.rows[0].domain.as_str(), answer.rows[0].sums.messages), ("example.org", 0));
    assert_eq!((answer.rows[0].first, answer.first), (None, None));
    assert_eq!(reader.domains(&domain("example.org")).unwrap().rows.len(), 1);
}

/// Case 059: a domain means all below it, and author domains below it.
#[test]
fn a_domain_means_what_is_below() {
    let (_folder, store) = new_store();
    let lines = [
        Line("example.com", 1, 5, "none", true, true),
        Line("news.example.com", 2, 3, "none", true, false),
        Line("nope.example.com", 3, 2, "reject", false, false),
    ];
    import(&store, &Sketch::new("example.com", "a.example", "1", &lines), Trust::Imported, 0);
    let own = [Line("", 9, 40, "none", true, true)];
    import(&store, &Sketch::new("deep.example.com", "a.example", "2", &own), Trust::Imported, 0);
    import(&store, &Sketch::new("badexample.com", "a.example", "3", &own), Trust::Imported, 0);
    let reader = store.reader().unwrap();
    let sums = |text: &str| {
        let answer = reader.summary(&domain(text)).unwrap();
        assert_eq!(reader.domains(&domain(text)).unwrap().totals.messages, answer.totals.sums.messages);
        assert_eq!(reader.sources(&domain(text)).unwrap().totals.messages, answer.totals.sums.messages);
        assert_eq!(reader.records(&domain(text)).unwrap().totals.count, answer.totals.sums.messages);
        (
            answer.totals.sums.messages,
            answer.totals.sums.reports,
            answer.rows.iter().map(|row| row.sources).sum::<u64>(),
        )
    };
    assert_eq!(sums("example.com"), (50, 2, 4));
    assert_eq!(sums("news.example.com"), (3, 1, 1));
    assert_eq!(sums("deep.example.com"), (40, 1, 1));
    assert_eq!(sums("x.news.example.com"), (0, 0, 0));
    assert_eq!(sums("badexample.com"), (40, 1, 1));
    let rows = reader.domains(&domain("example.com")).unwrap().rows;
    let nope = rows.iter().find(|row| row.header_from == "nope.example.com").unwrap();
    assert_eq!((nope.sums.messages, nope.sums.disposition_reject), (2, 2));
    assert_sound(&reader);
}

/// Case 061: by source and by reporter.
#[test]
fn sources_and_reporters() {
    let (_folder, store) = new_store();
    for (org, one, two) in [("one.example", 5, 50), ("two.example", 2, 20), ("three.example", 1, 10)] {
        let lines = [Line("", 1, one, "none", false, false), Line("", 2, two, "none", true, true)];
        import(&store, &Sketch::new("example.com", org, "1", &lines), Trust::Imported, 0);
    }
    let reader = store.reader().unwrap();
    let answer = reader.sources(&domain("example.com")).unwrap();
    let rows: Vec<_> =
        answer.rows.iter().map(|row| (row.source_ip.as_deref().unwrap(), row.messages)).collect();
    assert_eq!(rows, [("192.0.2.2", 80), ("192.0.2.1", 8)]);
    assert_eq!(answer.rows[0].dkim_domains, ["signer.example"]);
    assert_eq!(answer.rows[1].dkim_domains, Vec::<String>::new());
    assert_eq!((answer.totals.messages, answer.totals.reports), (88, 3));
    let answer = reader.reporters(&domain("example.com")).unwrap();
    let rows: Vec<_> = answer
        .rows
        .iter()
        .map(|row| (row.org_name.as_deref().unwrap(), row.dmarc_fail, row.dmarc_pass))
        .collect();
    assert_eq!(rows, [("one.example", 5, 50), ("two.example", 2, 20), ("three.example", 1, 10)]);
    // One source, in any way of writing it, and one reporter, in any case and part.
    let query = Query {
        source: Some("::ffff:192.0.2.1".to_owned()),
        reporter: Some("TWO".to_owned()),
        ..domain("example.com")
    };
    for totals in [
        reader.summary(&query).unwrap().totals.sums,
        reader.sources(&query).unwrap().totals,
        reader.domains(&query).unwrap().totals,
        reader.reporters(&query).unwrap().totals,
    ] {
        assert_eq!((totals.messages, totals.reports), (2, 1));
    }
    assert_eq!(reader.records(&query).unwrap().totals.count, 2);
    let query = Query { reporter: Some("three".to_owned()), ..Query::default() };
    assert_eq!(reader.summary(&query).unwrap().rows[0].sources, 2);
    assert_eq!(reader.reporters(&query).unwrap().totals.messages, 11);
    let query = Query { result: Some("fail".to_owned()), ..Query::default() };
    assert_eq!(reader.summary(&query).unwrap().totals.sums.messages, 8);
    assert_eq!(reader.records(&query).unwrap().totals.count, 8);
    let query = Query { result: Some("maybe".to_owned()), ..Query::default() };
    assert!(matches!(reader.summary(&query), Err(StoreError::Contradiction(_))));
}

#[test]
fn dispositions_outside_the_three_are_in_none_of_them() {
    let (_folder, store) = new_store();
    let lines = [
        Line("", 1, 1, "none", true, true),
        Line("", 1, 2, "pass", true, true),
        Line("", 1, 4, "quarantine", true, true),
        Line("", 1, 8, "reject", true, true),
        Line("", 1, 16, "", true, true),
        Line("", 1, 32, "Softfail", true, true),
        Line("", 1, 64, "other", true, true),
    ];
    import(&store, &Sketch::new("example.com", "a.example", "1", &lines), Trust::Imported, 0);
    let reader = store.reader().unwrap();
    for totals in [
        reader.summary(&Query::default()).unwrap().totals.sums,
        reader.sources(&Query::default()).unwrap().totals,
    ] {
        assert_eq!(totals.messages, 127);
        let three = (totals.disposition_none, totals.disposition_quarantine, totals.disposition_reject);
        assert_eq!(three, (3, 4, 8));
    }
    let rows = reader.records(&Query::default()).unwrap().rows;
    let words: Vec<Option<&str>> = rows.iter().map(|row| row.disposition.as_deref()).collect();
    let want = ["none", "pass", "quarantine", "reject", "", "Softfail", "other"];
    assert_eq!(words, want.map(|word| if word.is_empty() { None } else { Some(word) }));
    assert_sound(&reader);
}

#[test]
fn limits_cut_rows_and_not_totals() {
    let (_folder, store) = new_store();
    let lines: Vec<Line> = (1..=9).map(|at| Line("", at, u64::from(at), "none", true, true)).collect();
    import(&store, &Sketch::new("example.com", "a.example", "1", &lines), Trust::Imported, 0);
    let reader = store.reader().unwrap();
    let ask =
        |sort: Option<&str>| Query { limit: Some(2), sort: sort.map(str::to_owned), ..Query::default() };
    let sources = |sort: Option<&str>| {
        let answer = reader.sources(&ask(sort)).unwrap();
        assert_eq!((answer.cut, answer.totals.messages), (7, 45));
        answer.rows.into_iter().map(|row| row.source_ip.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(sources(None), ["192.0.2.9", "192.0.2.8"]);
    assert_eq!(sources(Some("messages")), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(sources(Some("-messages")), ["192.0.2.9", "192.0.2.8"]);
    assert_eq!(sources(Some("source_ip")), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(sources(Some("-source_ip")), ["192.0.2.9", "192.0.2.8"]);
    let records = |sort: Option<&str>| {
        let answer = reader.records(&ask(sort)).unwrap();
        assert_eq!((answer.cut, answer.totals.records, answer.totals.count), (7, 9, 45));
        answer.rows.into_iter().map(|row| row.count.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(records(None), [1, 2]);
    assert_eq!(records(Some("-count")), [9, 8]);
    assert_eq!(records(Some("source_ip")), [1, 2]);
    for at in 0..5 {
        let message = MessageRef::New(Box::new(mail(&format!("m{at}"), 1_000 + at)));
        store.finish(message, reading(Trust::Imported, Vec::new())).unwrap();
    }
    let answer = reader.messages(&ask(None)).unwrap();
    assert_eq!((answer.rows.len(), answer.cut, answer.totals.messages), (2, 4, 6));
    assert_eq!(answer.rows[0].received_at.seconds(), MARCH + 1_004);
    let answer = reader.messages(&ask(Some("received_at"))).unwrap();
    assert_eq!(answer.rows[0].received_at.seconds(), MARCH);
    let in_period = Query {
        period: Period { since_ms: Some((MARCH + 1_001) * 1000), until_ms: Some((MARCH + 1_003) * 1000) },
        ..Query::default()
    };
    assert_eq!(reader.messages(&in_period).unwrap().totals.messages, 2);
    assert_eq!(reader.messages(&domain("example.com")).unwrap().totals.messages, 1);
    let by_kind = Query { result: Some("aggregate".to_owned()), ..Query::default() };
    assert_eq!(reader.messages(&by_kind).unwrap().totals.messages, 6);
}

#[test]
fn records_show_what_was_reported() {
    let (_folder, store) = new_store();
    let lines = [Line("a.example.com", 1, 3, "none", false, true)];
    import(&store, &Sketch::new("example.com", "a.example", "x1", &lines), Trust::Imported, 0);
    let reader = store.reader().unwrap();
    let rows = reader.records(&Query::default()).unwrap().rows;
    let row = &rows[0];
    assert_eq!(row.org_name.as_deref(), Some("a.example"));
    assert_eq!(row.report_id, "<x1>");
    assert_eq!((row.begin.seconds(), row.end.seconds()), (MARCH, MARCH + 86_399));
    assert_eq!((row.domain.as_str(), row.header_from.as_str()), ("example.com", "a.example.com"));
    assert_eq!((row.dkim.as_deref(), row.spf.as_deref()), (Some("fail"), Some("pass")));
    assert_eq!((row.envelope_from.as_deref(), row.envelope_to.as_deref()), (Some("a.example.com"), None));
    let results: Vec<_> = row
        .auth_results
        .iter()
        .map(|result| (result.method, result.domain.as_deref().unwrap(), result.result.as_str()))
        .collect();
    assert_eq!(results, [("dkim", "signer.example", "fail"), ("spf", "envelope.example", "pass")]);
    let reporters = reader.reporters(&Query::default()).unwrap().rows;
    assert_eq!(reporters[0].deviations, [("count-not-a-number".to_owned(), 1)]);
    let messages = reader.messages(&Query::default()).unwrap().rows;
    assert_eq!(messages[0].deviations, ["count-not-a-number"]);
    assert_eq!(messages[0].kind.as_deref(), Some("aggregate"));
    let stats = reader.stats().unwrap();
    let rows = |table: &str| stats.tables.iter().find(|stats| stats.name == table).unwrap().rows;
    assert_eq!((rows("record"), rows("report"), rows("message")), (1, 1, 1));
    assert!(stats.database_bytes > 0);
}
