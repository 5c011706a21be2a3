//! Forged reports before, after and between true ones, in whatever order mails and verdicts come.

use mailsonde::classify::MessageKind;
use mailsonde::clock::Timestamp;
use mailsonde::mail::MessageId;
use mailsonde::reports::failure::ShownFailure;
use mailsonde::reports::tls::{TlsContext, TlsDigest, read};
use mailsonde::store::{
    MessageRef, MessageStatus, Outcome, ReadFailure, ReadTls, Reading, ReprocessFilter, Store, pack,
};
use mailsonde::summary::Trust;
use proptest::prelude::*;

use super::make::{Line, MARCH, Sketch, assert_sound, mail, name, new_store, reading};

/// The three kinds of reports that have trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Aggregate,
    Tls,
    Failure,
}

pub(super) const KINDS: [Kind; 3] = [Kind::Aggregate, Kind::Tls, Kind::Failure];

/// One mail with one report of the key that all share.
#[derive(Debug, Clone, Copy)]
struct Mail {
    /// What the report says: alike for alike numbers, more records for higher ones.
    content: u8,
    /// When it comes, seconds.
    at: i64,
    /// Its author.
    from: &'static str,
    /// What verification will find.
    verdict: Trust,
}

/// The true reporter's mail.
const TRUE: Mail = Mail { content: 1, at: 100, from: "noreply@a.example", verdict: Trust::Verified };

/// Forged before, after, with more records, with the same values, and by somebody who authenticates as another domain.
const FORGED: [Mail; 7] = [
    Mail { content: 2, at: 50, from: "noreply@a.example", verdict: Trust::Failed },
    Mail { content: 3, at: 150, from: "noreply@a.example", verdict: Trust::Unverified },
    Mail { content: 9, at: 60, from: "noreply@a.example", verdict: Trust::Unverified },
    Mail { content: 1, at: 40, from: "noreply@a.example", verdict: Trust::Failed },
    Mail { content: 1, at: 160, from: "noreply@a.example", verdict: Trust::Unverified },
    Mail { content: 4, at: 30, from: "noreply@evil.example", verdict: Trust::Verified },
    Mail { content: 5, at: 170, from: "noreply@evil.example", verdict: Trust::Verified },
];

/// A TLS report of this content.
fn tls(content: u8) -> TlsDigest {
    let policies: Vec<String> = (0..content)
        .map(|at| {
            format!(
                "{{\"policy\":{{\"policy-type\":\"sts\",\"policy-domain\":\"example.com\",\"mx-host\":[\"mx{at}.example.com\"]}},\
                 \"summary\":{{\"total-successful-session-count\":{content},\"total-failure-session-count\":1}},\
                 \"failure-details\":[{{\"result-type\":\"certificate-expired\",\"failed-session-count\":1}}]}}"
            )
        })
        .collect();
    let text = format!(
        "{{\"organization-name\":\"A Example\",\"contact-info\":\"tls@a.example\",\"report-id\":\"1\",\"date-range\":\
         {{\"start-datetime\":\"2026-03-01T00:00:00Z\",\"end-datetime\":\"2026-03-01T23:59:59Z\"}},\"policies\":[{}]}}",
        policies.join(",")
    );
    let context = TlsContext { now: Timestamp::from_seconds(MARCH + 100_000), ..TlsContext::default() };
    read(text.as_bytes(), &context).remove(0).unwrap()
}

/// What reading a mail gives.
pub(super) fn reading_of(kind: Kind, content: u8, from: &str, trust: Trust) -> Reading {
    let mut reading = reading(trust, Vec::new());
    reading.header_from = Some(from.to_owned());
    reading.kind = match kind {
        Kind::Aggregate => MessageKind::Aggregate,
        Kind::Tls => MessageKind::Tls,
        Kind::Failure => MessageKind::Failure,
    };
    match kind {
        Kind::Aggregate => {
            let lines: Vec<Line> = (0..content)
                .map(|at| Line("", at, 10 + u64::from(content), "none", at % 2 == 0, false))
                .collect();
            reading.reports.push(Sketch::new("example.com", "a.example", "1", &lines).read());
        }
        Kind::Tls => reading.tls.push(ReadTls { place: String::new(), digest: tls(content) }),
        Kind::Failure => reading.failures.push(ReadFailure {
            place: String::new(),
            domain: Some(name("example.com")),
            is_authentication: true,
            shown: ShownFailure {
                incidents: 1,
                source_ip: Some(format!("192.0.2.{content}")),
                ..ShownFailure::default()
            },
            content_sha256: [content; 32],
        }),
    }
    reading
}

/// Stores a mail before its verdict.
fn receive(store: &Store, kind: Kind, sent: Mail, trust: Trust) -> MessageId {
    let bytes = format!("{kind:?} {sent:?}");
    let mut reading = reading_of(kind, sent.content, sent.from, trust);
    reading.packed = Some(pack(bytes.as_bytes()));
    store.finish(MessageRef::New(Box::new(mail(&bytes, sent.at))), reading).unwrap().message_id
}

/// Rows of a query as text.
fn rows(store: &Store, sql: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells =
            (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at).map(|value| format!("{value:?}")));
        Ok(cells.collect::<Result<Vec<_>, _>>()?.join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Every sum that counts, by trust; only the verified ones if `is_verified`.
fn sums(store: &Store, is_verified: bool) -> Vec<String> {
    let only = if is_verified { "trust = 'verified'" } else { "TRUE" };
    [
        format!(
            "SELECT trust, disposition, dkim, spf, span, SUM(messages), SUM(records) FROM rollup WHERE {only}
            GROUP BY 1, 2, 3, 4, 5 HAVING SUM(messages) <> 0 OR SUM(records) <> 0"
        ),
        format!("SELECT trust, span, reports, begin_at, end_at FROM report_rollup WHERE {only} ORDER BY 1, 2"),
        format!(
            "SELECT trust, COUNT(*), SUM(successful_sessions), SUM(failed_sessions) FROM tls_report
            WHERE status = 'counted' AND {only} GROUP BY trust"
        ),
        format!("SELECT trust, COUNT(*), hex(content_sha256) FROM failure_report WHERE status = 'counted' AND {only}
            GROUP BY trust, content_sha256"),
    ]
    .iter()
    .flat_map(|sql| rows(store, sql))
    .collect()
}

/// Lets mails and verdicts come in an order: each mail's first step is its coming, its second its verdict.
fn play(store: &Store, kind: Kind, mails: &[Mail], steps: &[usize]) {
    let mut ids: Vec<Option<MessageId>> = vec![None; mails.len()];
    for at in steps {
        match ids[*at] {
            None => ids[*at] = Some(receive(store, kind, mails[*at], Trust::Pending)),
            Some(id) => assert!(store.settle_trust(id, mails[*at].verdict).unwrap()),
        }
        assert_sound(&store.reader().unwrap());
    }
}

/// A forged report before, after, with more records, of the same values, by somebody who can authenticate: what is
/// verified is what the true reporter said, to the message, whatever came first.
#[test]
fn a_forged_report_changes_no_sum_that_is_verified() {
    for kind in KINDS {
        let (_folder, store) = new_store();
        play(&store, kind, &[TRUE], &[0, 0]);
        let alone = sums(&store, true);
        assert!(!alone.is_empty(), "{kind:?}");
        for forged in FORGED {
            // With two contents each counts as a failure report: whoever authenticates may report another one.
            if kind == Kind::Failure && forged.verdict == Trust::Verified {
                continue;
            }
            for steps in [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]
            {
                let (_folder, store) = new_store();
                play(&store, kind, &[TRUE, forged], &steps);
                assert_eq!(sums(&store, true), alone, "{kind:?} {forged:?} {steps:?}");
                // With what is not verified there is at most one report more, and only of failures.
                if kind != Kind::Failure {
                    assert_eq!(sums(&store, false), alone, "{kind:?} {forged:?} {steps:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    /// Some mails of one key, coming and judged in two orders: the same counts, with the same trust.
    #[test]
    fn the_order_of_mails_and_verdicts_does_not_matter(
        kind in prop::sample::select(KINDS.to_vec()),
        mails in prop::collection::vec((1u8..4, prop::sample::select(Trust::ALL.to_vec()), any::<bool>()), 1..5),
        swaps in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 10), 2),
    ) {
        let mails: Vec<Mail> = mails
            .into_iter()
            .zip(1i64..)
            .map(|((content, verdict, is_true), at)| {
                Mail { content, at, from: if is_true { "noreply@a.example" } else { "x@evil.example" }, verdict }
            })
            .collect();
        let mut ends = Vec::new();
        for swaps in swaps {
            let mut steps: Vec<usize> = (0..mails.len()).flat_map(|at| [at, at]).collect();
            for (at, index) in swaps.iter().enumerate().take(steps.len()) {
                let other = index.index(steps.len());
                steps.swap(at, other);
            }
            let (_folder, store) = new_store();
            play(&store, kind, &mails, &steps);
            ends.push(sums(&store, false));
        }
        prop_assert_eq!(&ends[0], &ends[1]);
    }
}

#[test]
fn what_fails_is_kept_and_listed_and_counts_again_if_the_verdict_changes() {
    for kind in KINDS {
        let (_folder, store) = new_store();
        let id = receive(&store, kind, TRUE, Trust::Pending);
        let pending = sums(&store, false);
        assert!(!pending.is_empty());
        let enough = if kind == Kind::Tls { Trust::Pending } else { Trust::Unverified };
        for verdict in [Trust::Failed, enough, Trust::Failed, Trust::Verified, Trust::Failed] {
            assert!(store.settle_trust(id, verdict).unwrap());
            let after = sums(&store, false);
            assert_eq!(after.is_empty(), verdict == Trust::Failed, "{kind:?} {verdict:?}: {after:?}");
            let reader = store.reader().unwrap();
            assert_eq!(reader.message(id).unwrap().trust, Some(verdict));
            assert_sound(&reader);
        }
        let table = match kind {
            Kind::Aggregate => "report",
            Kind::Tls => "tls_report",
            Kind::Failure => "failure_report",
        };
        assert_eq!(rows(&store, &format!("SELECT status FROM {table}")), ["Text(\"untrusted\")"]);
    }
}

/// RFC 8460 §3: a TLS report without a valid signature is to be ignored; an aggregate report without one counts.
#[test]
fn tls_reports_need_a_signature() {
    for (kind, trust, counts) in [
        (Kind::Tls, Trust::Unverified, false),
        (Kind::Tls, Trust::Imported, true),
        (Kind::Tls, Trust::Pending, true),
        (Kind::Aggregate, Trust::Unverified, true),
        (Kind::Failure, Trust::Unverified, true),
    ] {
        let (_folder, store) = new_store();
        receive(&store, kind, TRUE, trust);
        assert_eq!(!sums(&store, false).is_empty(), counts, "{kind:?} {trust:?}");
        assert_sound(&store.reader().unwrap());
    }
}

/// Reading a mail again, with whatever reader, keeps the verdict on it.
#[test]
fn reading_again_keeps_the_verdict() {
    for kind in KINDS {
        for verdict in [Trust::Verified, Trust::Unverified, Trust::Failed] {
            let (_folder, store) = new_store();
            let id = receive(&store, kind, TRUE, Trust::Pending);
            store.settle_trust(id, verdict).unwrap();
            let before = sums(&store, false);
            store.reprocess(&ReprocessFilter::default()).unwrap();
            let again = reading_of(kind, TRUE.content, TRUE.from, Trust::Pending);
            let finished = store.finish(MessageRef::Stored(id), again).unwrap();
            assert_eq!(finished.status, MessageStatus::Read);
            let outcome = finished.reports.first().or(finished.others.first()).copied();
            let is_untrusted =
                verdict == Trust::Failed || (kind == Kind::Tls && verdict == Trust::Unverified);
            assert_eq!(
                outcome,
                Some(if is_untrusted { Outcome::Untrusted } else { Outcome::Counted }),
                "{kind:?}"
            );
            assert_eq!(sums(&store, false), before, "{kind:?} {verdict:?}");
            assert_eq!(store.reader().unwrap().message(id).unwrap().trust, Some(verdict));
            assert_sound(&store.reader().unwrap());
        }
    }
}

/// A verdict that comes before the mail is read holds for what the reading brings.
#[test]
fn a_verdict_may_come_first() {
    let (_folder, store) = new_store();
    let id = super::make::deliver(&store, mail("early", 0)).unwrap();
    assert!(store.settle_trust(id, Trust::Failed).unwrap());
    let finished = store
        .finish(MessageRef::Stored(id), reading_of(Kind::Aggregate, 3, TRUE.from, Trust::Pending))
        .unwrap();
    assert_eq!(finished.reports, [Outcome::Untrusted]);
    assert_eq!(sums(&store, false), Vec::<String>::new());
    assert!(!store.settle_trust(MessageId(id.0 + 1), Trust::Failed).unwrap(), "no such message");
    assert_sound(&store.reader().unwrap());
}
