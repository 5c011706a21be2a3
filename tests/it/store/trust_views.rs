//! `--trust` in every view of reports: sums by trust add up, what fails is listed and not counted.

use mailsonde::mail::MessageId;
use mailsonde::probe::token::KeyRing;
use mailsonde::sources::{Places, Senders};
use mailsonde::store::{MessageRef, Reader, Store, StoreError, pack};
use mailsonde::summary::{Query, Trust, TrustAsked, TrustShares};

use super::make::{assert_sound, mail, new_store};
use super::trust::{KINDS, Kind, reading_of};

/// One report of each kind with each trust, of as many records as its place says; each has a key of its own.
fn fill(store: &Store) -> Vec<(Kind, Trust, MessageId)> {
    let mut ids = Vec::new();
    for kind in KINDS {
        for (number, trust) in (1u8..).zip(Trust::ALL) {
            let bytes = format!("{kind:?} {trust:?}");
            let from = format!("noreply@{}.example", trust.as_str());
            let mut reading = reading_of(kind, number, &from, Trust::Pending);
            reading.packed = Some(pack(bytes.as_bytes()));
            for report in &mut reading.reports {
                report.digest.key.report_id.clone_from(&bytes);
            }
            for tls in &mut reading.tls {
                for domain in &mut tls.digest.domains {
                    domain.key.report_id.clone_from(&bytes);
                }
            }
            let message = MessageRef::New(Box::new(mail(&bytes, i64::from(number))));
            let id = store.finish(message, reading).unwrap().message_id;
            store.settle_trust(id, trust).unwrap();
            ids.push((kind, trust, id));
        }
    }
    ids
}

/// What a view counts in the unit of its shares, and its shares.
type Counted = (&'static str, u64, TrustShares);

/// Every view of reports.
fn views(reader: &Reader, query: &Query) -> Vec<Counted> {
    fn of<R, T>(
        view: &'static str,
        answer: Result<mailsonde::summary::Answer<R, T>, StoreError>,
        counted: impl Fn(&[R], &T) -> u64,
    ) -> Counted {
        let answer = answer.unwrap();
        (view, counted(&answer.rows, &answer.totals), answer.trust.unwrap())
    }
    let mut exported = 0;
    let export = |row: &mailsonde::summary::ExportRow| -> Result<(), StoreError> {
        exported += row.count.unwrap_or(0);
        Ok(())
    };
    reader.export(query, Senders::shipped(), &Places::default(), export).unwrap();
    let summary = of("summary", reader.summary(query), |_, totals| totals.sums.messages);
    let shares = summary.2;
    let complaints = Query { result: Some("abuse".to_owned()), ..query.clone() };
    vec![
        summary,
        ("export", exported, shares),
        of("summary by rows", reader.summary(query), |rows, _| {
            rows.iter().map(|row| row.sums.messages).sum()
        }),
        of("domains", reader.domains(query), |_, sums| sums.messages),
        of("reporters", reader.reporters(query), |rows, _| rows.iter().map(|row| row.messages).sum()),
        of("sources", reader.sources(query), |_, sums| sums.messages),
        of("streams", reader.streams(query), |_, messages| *messages),
        of("records", reader.records(query), |_, totals| totals.count),
        of("policies", reader.policies(query), |_, totals| totals.reports),
        of("tls", reader.tls(query), |_, totals| totals.sessions()),
        of("failures", reader.failures(query), |_, totals| totals.reports),
        of("complaints", reader.complaints(&complaints), |_, totals| totals.complaints),
    ]
}

#[test]
fn sums_by_trust_add_up_in_every_view() {
    let (_folder, store) = new_store();
    let ids = fill(&store);
    let reader = store.reader().unwrap();
    assert_sound(&reader);
    // By roll-ups, by rows, for author domains below.
    let plain = Query::default();
    let by_source = Query { source: Some("192.0.2.0".to_owned()), ..plain.clone() };
    let by_result = Query { result: Some("pass".to_owned()), ..plain.clone() };
    let by_reporter = Query { reporter: Some("a".to_owned()), ..plain.clone() };
    for (name, query) in
        [("plain", plain), ("source", by_source), ("result", by_result), ("reporter", by_reporter)]
    {
        let verified = Query { trust: TrustAsked::Verified, ..query.clone() };
        for (all, only) in views(&reader, &query).into_iter().zip(views(&reader, &verified)) {
            let (view, counted, shares) = all;
            assert_eq!(counted, shares.all(), "{name} {view}: {shares:?}");
            assert_eq!(only.1, shares.verified, "{name} {view} verified: {:?}", only.2);
            let same = TrustShares { asked: TrustAsked::Verified, ..shares };
            assert_eq!(only.2, same, "{name} {view}: the shares are of all that counts");
            if name == "plain" && view != "complaints" {
                let is_tls = view == "tls";
                assert!(
                    shares.verified > 0 && shares.imported > 0 && shares.pending > 0,
                    "{view}: {shares:?}"
                );
                assert_eq!(shares.unverified > 0, !is_tls, "{view}: {shares:?}");
                let untrusted = match view {
                    "reporters" => 4,
                    "tls" => 2,
                    _ => 1,
                };
                assert_eq!(shares.untrusted_reports, untrusted, "{view}: {shares:?}");
            }
        }
    }
    // Reports of each reporter of each kind.
    let verified = Query { trust: TrustAsked::Verified, ..Query::default() };
    let reporters = reader.reporters(&verified).unwrap().rows;
    let sums = |of: fn(&mailsonde::summary::ReporterRow) -> u64| reporters.iter().map(of).sum::<u64>();
    assert_eq!(
        (sums(|row| row.reports), sums(|row| row.tls_reports), sums(|row| row.failure_reports)),
        (1, 1, 1)
    );
    assert_eq!(reader.summary(&verified).unwrap().totals.sums.reports, 1);
    assert_eq!(reader.summary(&Query::default()).unwrap().totals.sums.reports, 4);
    assert_eq!(reader.summary(&verified).unwrap().totals.sources, 5);

    // What does not count is listed with its reason.
    let listed = |result: &str| {
        let query = Query { result: Some(result.to_owned()), ..Query::default() };
        reader.messages(&query).unwrap().rows
    };
    let untrusted = listed("untrusted");
    let expected: Vec<String> = ids
        .iter()
        .filter(|(kind, trust, _)| {
            *trust == Trust::Failed || (*kind == Kind::Tls && *trust == Trust::Unverified)
        })
        .map(|(.., id)| id.to_string())
        .collect();
    assert_eq!(untrusted.len(), expected.len());
    for row in &untrusted {
        assert!(expected.contains(&row.id), "{row:?}");
        let why = match row.kind.as_deref() {
            Some("tls") => "not counted: no valid DKIM signature by the reporter (RFC 8460 section 3)",
            _ => "not counted: the mail failed authentication",
        };
        assert_eq!(row.reason.as_deref(), Some(why));
    }
    assert_eq!((listed("failed").len(), listed("verified").len(), listed("unverified").len()), (3, 3, 3));
    let mails = reader.messages(&verified).unwrap();
    assert_eq!((mails.totals.messages, mails.trust), (3, None));
}

/// A verdict turns what is counted from one trust to another at once, in all views.
#[test]
fn a_verdict_shows_at_once() {
    let (_folder, store) = new_store();
    let ids = fill(&store);
    let reader = store.reader().unwrap();
    let before = views(&reader, &Query::default());
    for (_, trust, id) in &ids {
        if *trust == Trust::Pending {
            store.settle_trust(*id, Trust::Verified).unwrap();
        }
    }
    for ((view, counted, was), (_, still, is)) in before.into_iter().zip(views(&reader, &Query::default())) {
        assert_eq!((counted, was.verified + was.pending, 0), (still, is.verified, is.pending), "{view}");
    }
    // Removing everything of the one domain leaves no trace of any trust.
    let keys = KeyRing::with_id(1, &[7; 32]).unwrap();
    let target = mailsonde::store::EraseTarget::Domain(super::make::name("example.com"));
    store.erase(&reader.erase_plan(&target, &keys).unwrap()).unwrap();
    for (view, counted, shares) in views(&reader, &Query::default()) {
        assert_eq!((counted, shares.all(), shares.untrusted_reports), (0, 0, 0), "{view}");
    }
    assert_sound(&reader);
}
