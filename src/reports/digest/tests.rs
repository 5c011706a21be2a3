use std::ops::ControlFlow;

use super::*;
use crate::reports::aggregate::Reader;

const DAY: i64 = 86_400;

fn context(file_name: &'static str) -> DigestContext<'static> {
    let now = Timestamp::from_seconds(1_772_500_000);
    DigestContext { now, from_domain: None, file_name, subject: "", tls_report: (None, None) }
}

fn record(from: &str, count: &str, dkim: &str) -> String {
    format!(
        "<record><row><source_ip>192.0.2.1</source_ip><count>{count}</count><policy_evaluated>\
         <disposition>none</disposition><dkim>{dkim}</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers>{from}</identifiers></record>"
    )
}

fn xml(head: &str, policy: &str, records: &str) -> String {
    format!(
        "<feedback><report_metadata>{head}</report_metadata><policy_published>{policy}<p>none</p>\
         </policy_published>{records}</feedback>"
    )
}

fn digest(text: &str, context: &DigestContext<'_>) -> Result<ReportDigest, Unreadable> {
    let mut reader = Reader::new(text.as_bytes());
    let mut builder = DigestBuilder::new();
    let read = reader.next_report(&mut |record| {
        builder.add(record);
        ControlFlow::Continue(())
    })?;
    builder.finish(read.unwrap(), context)
}

const HEAD: &str = "<org_name>Some  Org</org_name><email>r@org.example</email><report_id> &lt;a b@c&gt; </report_id>\
    <date_range><begin>1772323200</begin><end>1772409599</end></date_range>";
const FROM: &str = "<header_from>example.com</header_from>";

#[test]
fn sums_key_and_rollup() {
    let records = [record(FROM, "7", "pass"), record(FROM, "3", "fail"), record("", "2", "fail")].concat();
    let digest = digest(&xml(HEAD, "<domain>Example.com</domain>", &records), &context("")).unwrap();
    assert_eq!((digest.records, digest.messages, digest.dmarc_pass), (3, 12, 7));
    assert_eq!(digest.key.domain.as_str(), "example.com");
    assert_eq!(digest.key.reporter, "some org");
    assert_eq!(digest.key.report_id, "ab@c");
    let rows: Vec<_> = digest.rollup.iter().map(|row| (row.dkim, row.messages, row.records)).collect();
    assert_eq!(rows, [(false, 5, 2), (true, 7, 1)], "a record without author domain counts for the policy's");
    assert_eq!(digest.days, DaySpan::One(Day::of_seconds(1_772_323_200)));
}

#[test]
fn the_hash_is_of_values() {
    let plain = xml(HEAD, "<domain>example.com</domain>", &record(FROM, "7", "pass"));
    let hash = |text: &str| digest(text, &context("")).unwrap().content_sha256;
    let spaced = plain.replace("><", ">\n  <").replace("7</count>", "\n7 </count>");
    assert_eq!(hash(&plain), hash(&spaced));
    let swapped = plain.replace("<count>7</count>", "").replace("<source_ip>", "<count>7</count><source_ip>");
    assert_eq!(hash(&plain), hash(&swapped));
    assert_ne!(hash(&plain), hash(&plain.replace(">7<", ">8<")));
    assert_ne!(hash(&plain), hash(&plain.replace("<p>none", "<p>reject")));
}

#[test]
fn fallbacks_for_domain_reporter_and_period() {
    let name = "dir/submitter.example!named.example!1772323200!1772409599.xml.gz";
    let author = |from: &str, count| record(&format!("<header_from>{from}</header_from>"), count, "pass");
    let most = [author("a.example", "1"), author("b.example", "5")].concat();
    let digested = digest(&xml("<report_id>1</report_id>", "", &most), &context(name)).unwrap();
    assert_eq!(digested.key.domain.as_str(), "b.example");
    assert_eq!(digested.key.reporter, "submitter.example");
    assert_eq!((digested.key.begin, digested.key.end), (1_772_323_200, 1_772_409_599));
    let empty = digest(&xml("<report_id>1</report_id>", "", ""), &context(name)).unwrap();
    assert_eq!(empty.key.domain.as_str(), "named.example");
    let error = digest(&xml("<report_id>1</report_id>", "", ""), &context("")).unwrap_err();
    assert_eq!(error.kind, UnreadableKind::Incomplete);
    let subject = "Report Domain: subject.example Submitter: s.example Report-ID: <1>";
    let outside = DigestContext { subject, ..context("") };
    let by_subject = digest(&xml("<report_id>1</report_id>", "", ""), &outside).unwrap();
    assert_eq!(
        (by_subject.key.domain.as_str(), by_subject.key.reporter.as_str()),
        ("subject.example", "s.example")
    );
    assert_eq!(by_subject.key.begin, Timestamp::from_seconds(1_772_500_000).day().start_seconds());
}

#[test]
fn days_of_periods() {
    let day = |seconds: i64| Day::of_seconds(seconds);
    let start = 1_772_323_200;
    let cases = [
        (start, start + DAY - 1, DaySpan::One(day(start))),
        // Cisco: a little over a day, at any hour.
        (start + 8 * 3_600, start + 8 * 3_600 + DAY + 400, DaySpan::One(day(start))),
        // A reporter's own day in UTC+9: most of it lies in the UTC day of its middle.
        (start - 9 * 3_600, start + 15 * 3_600 - 1, DaySpan::One(day(start))),
        (start, start, DaySpan::One(day(start))),
        (start, start + 3_600, DaySpan::One(day(start))),
        (start, start + 21 * DAY, DaySpan::Spread { first: day(start), last: day(start + 20 * DAY) }),
        (start, start + 2 * DAY - 1, DaySpan::Spread { first: day(start), last: day(start + DAY) }),
        (0, 4_000 * DAY, DaySpan::One(day(0))),
    ];
    for (begin, end, want) in cases {
        assert_eq!(days_of(begin, end), want, "{begin} {end}");
    }
}

#[test]
fn periods_are_settled() {
    let with = |begin: &str, end: &str| {
        let head = format!(
            "<org_name>o</org_name><report_id>1</report_id><date_range><begin>{begin}</begin><end>{end}</end></date_range>"
        );
        let digest =
            digest(&xml(&head, "<domain>example.com</domain>", &record(FROM, "1", "pass")), &context(""))
                .unwrap();
        let names: Vec<_> = digest.deviations.names().filter(|name| name.starts_with("period")).collect();
        (digest.key.begin, digest.key.end, digest.is_future, names)
    };
    assert_eq!(
        with("1772409599", "1772323200"),
        (1_772_323_200, 1_772_409_599, false, vec![quirk::PERIOD_REVERSED])
    );
    assert_eq!(
        with("1772323200", ""),
        (1_772_323_200, 1_772_323_200, false, vec![quirk::PERIOD_INCOMPLETE, quirk::PERIOD_EMPTY])
    );
    assert_eq!(
        with("1772323200", "1972323200"),
        (1_772_323_200, 1_972_323_200, true, vec![quirk::PERIOD_FUTURE, quirk::PERIOD_LONG])
    );
}

#[test]
fn sums_and_roll_up_are_bounded() {
    let huge = record(FROM, "9223372036854775807", "pass").repeat(2);
    let refused = digest(&xml(HEAD, "<domain>example.com</domain>", &huge), &context("")).unwrap_err();
    assert_eq!(refused.kind, UnreadableKind::Malformed);
    let many: String = (0..limits::DIGEST_AUTHOR_DOMAINS + 10)
        .map(|n| record(&format!("<header_from>n{n}.example.com</header_from>"), "1", "fail"))
        .collect();
    let digested = digest(&xml(HEAD, "<domain>example.com</domain>", &many), &context("")).unwrap();
    assert_eq!(digested.rollup.len(), limits::DIGEST_AUTHOR_DOMAINS + 1);
    assert_eq!(digested.rollup.last().unwrap().header_from.as_str(), "*.example.com");
    assert_eq!(digested.rollup.iter().map(|row| row.messages).sum::<u64>(), digested.messages);
}
