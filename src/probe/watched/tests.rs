use super::*;
use crate::mail::Message;

/// An instant, RFC 3339.
fn at(text: &str) -> Timestamp {
    Timestamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Mails from `news@shop.example` that pass DMARC.
fn mails(times: &[&str]) -> Vec<WatchedMail> {
    let mail = |(number, text): (i64, &&str)| WatchedMail {
        message: MessageId(number),
        received_at: at(text),
        from: Some("news@shop.example".to_owned()),
        dmarc: Some("pass".to_owned()),
    };
    (1..).zip(times).map(mail).collect()
}

/// Eyes that were open from one instant to another.
fn open(spans: &[(&str, &str)]) -> Vec<Span> {
    spans.iter().map(|(from, to)| Span { from: at(from), to: at(to) }).collect()
}

fn every(days: u64) -> Expectation {
    Expectation { every: Some(Duration::from_secs(days * 86_400)), ..Expectation::default() }
}

fn by(time: &str, zone: &str, days: u64) -> Expectation {
    let by = DayTime { time: time.parse().unwrap(), zone: TimeZone::get(zone).unwrap() };
    let every = (days > 0).then(|| Duration::from_secs(days * 86_400));
    Expectation { by: Some(by), every, ..Expectation::default() }
}

/// The verdict in short: `missing 2026-03-01T09:00:00Z..; next …`.
fn said(judged: &Judged) -> String {
    let end = |at: Option<Timestamp>| at.map_or(String::new(), Timestamp::rfc3339);
    let mut parts = vec![judged.state.as_str().to_owned()];
    parts.extend(judged.episodes.iter().map(|episode| {
        let (wrong, opened) = (episode.wrong.as_str(), episode.opened_at.rfc3339());
        format!("{wrong} {opened}..{}", end(episode.closed_at))
    }));
    parts.join(" | ")
}

/// From when to when.
type Open = (&'static str, &'static str);

const ALWAYS: [Open; 1] = [("2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z")];
const SINCE: &str = "2026-03-01T12:00:00Z";

#[test]
fn silence_is_missing_only_when_it_is_too_long() {
    let cases: [(&[&str], &str, &str); 6] = [
        // Nothing yet, and the first week is not over.
        (&[], "2026-03-08T12:00:00Z", "not-known"),
        (&[], "2026-03-08T12:00:01Z", "missing | missing 2026-03-08T12:00:00Z.."),
        (&["2026-03-02T08:00:00Z"], "2026-03-09T08:00:00Z", "ok"),
        (&["2026-03-02T08:00:00Z"], "2026-03-09T08:00:01Z", "missing | missing 2026-03-09T08:00:00Z.."),
        // It came late: it was missing, and is not any more.
        (
            &["2026-03-02T08:00:00Z", "2026-03-10T08:00:00Z"],
            "2026-03-11T00:00:00Z",
            "ok | missing 2026-03-09T08:00:00Z..2026-03-10T08:00:00Z",
        ),
        // Of many in between the last one counts.
        (&["2026-03-02T08:00:00Z", "2026-03-07T08:00:00Z"], "2026-03-14T08:00:00Z", "ok"),
    ];
    for (times, now, want) in cases {
        let judged = judge(&every(7), at(SINCE), &mails(times), &open(&ALWAYS), at(now));
        assert_eq!(said(&judged), want, "{times:?} at {now}");
    }
}

#[test]
fn our_own_blindness_is_never_missing() {
    // Due at 2026-03-09T08:00:00Z, after a week.
    let mail = mails(&["2026-03-02T08:00:00Z"]);
    let begin = "2026-03-01T00:00:00Z";
    let due = "2026-03-09T08:00:00Z";
    let cases: [(&[Open], &str, &str); 8] = [
        (&[(begin, "2026-03-09T08:00:30Z")], "2026-03-09T08:00:30Z", "missing"),
        // Nobody ever looked, or nobody since it was due.
        (&[], "2026-03-09T09:00:00Z", "not-known"),
        (&[(begin, "2026-03-09T07:59:00Z")], "2026-03-09T09:00:00Z", "not-known"),
        // Closed shortly before it was due: who tried then tries again.
        (
            &[(begin, "2026-03-09T06:00:00Z"), ("2026-03-09T07:00:00Z", "2026-03-09T10:59:00Z")],
            "2026-03-09T10:59:00Z",
            "not-known",
        ),
        (
            &[(begin, "2026-03-09T06:00:00Z"), ("2026-03-09T07:00:00Z", "2026-03-09T11:00:00Z")],
            "2026-03-09T11:00:10Z",
            "missing",
        ),
        // Closed for a short time long before.
        (
            &[(begin, "2026-03-05T06:00:00Z"), ("2026-03-05T07:00:00Z", "2026-03-09T08:01:00Z")],
            "2026-03-09T08:01:00Z",
            "missing",
        ),
        // Closed for a day: too much of a week.
        (
            &[(begin, "2026-03-05T06:00:00Z"), ("2026-03-06T06:00:00Z", "2026-03-09T12:00:00Z")],
            "2026-03-09T12:00:00Z",
            "not-known",
        ),
        // Until a whole week with open eyes is over.
        (
            &[(begin, "2026-03-05T06:00:00Z"), ("2026-03-06T06:00:00Z", "2026-03-13T06:00:00Z")],
            "2026-03-13T06:00:00Z",
            "missing",
        ),
    ];
    for (spans, now, want) in cases {
        let judged = judge(&every(7), at(SINCE), &mail, &open(spans), at(now));
        assert_eq!(judged.state.as_str(), want, "{spans:?} at {now}");
        assert_eq!(judged.next_expected, Some(at(due)));
        assert_eq!(judged.episodes.is_empty(), want != "missing");
    }
    // What was not seen is no episode afterwards either.
    let late = mails(&["2026-03-02T08:00:00Z", "2026-03-09T09:00:00Z"]);
    let blind = open(&[(begin, "2026-03-09T07:00:00Z"), ("2026-03-09T08:30:00Z", "2026-03-10T00:00:00Z")]);
    assert_eq!(said(&judge(&every(7), at(SINCE), &late, &blind, at("2026-03-10T00:00:00Z"))), "ok");
}

#[test]
fn by_a_time_of_day() {
    let zurich = by("09:00", "Europe/Zurich", 0);
    // Watched since the day of the first mail.
    let since_of = |first: &str| Timestamp::from_seconds(at(first).day().start_seconds());
    // 09:00 in Zurich is 08:00 UTC in winter and 07:00 in summer, from 2026-03-29 on.
    let cases: [(&[&str], &str, &str); 7] = [
        (&["2026-03-02T07:30:00Z"], "2026-03-03T08:00:00Z", "ok"),
        (&["2026-03-02T07:30:00Z"], "2026-03-03T08:00:01Z", "missing | missing 2026-03-03T08:00:00Z.."),
        // Too late stands for the one that was missing, and not for the next.
        (
            &["2026-03-02T07:30:00Z", "2026-03-03T08:30:00Z"],
            "2026-03-04T08:00:01Z",
            "missing | missing 2026-03-03T08:00:00Z..2026-03-03T08:30:00Z | missing 2026-03-04T08:00:00Z..",
        ),
        // A job that ends around midnight, now before and now after it, is in time each night.
        (
            &["2026-03-02T23:10:00Z", "2026-03-03T22:50:00Z", "2026-03-04T23:15:00Z"],
            "2026-03-05T20:00:00Z",
            "ok",
        ),
        // The change of the clocks.
        (&["2026-03-27T07:30:00Z", "2026-03-28T07:30:00Z"], "2026-03-29T06:59:59Z", "ok"),
        (
            &["2026-03-27T07:30:00Z", "2026-03-28T07:30:00Z"],
            "2026-03-29T07:00:01Z",
            "missing | missing 2026-03-29T07:00:00Z..",
        ),
        // Several days without one are one episode.
        (
            &["2026-03-02T07:30:00Z", "2026-03-05T07:30:00Z"],
            "2026-03-05T07:31:00Z",
            "ok | missing 2026-03-03T08:00:00Z..2026-03-05T07:30:00Z",
        ),
    ];
    for (times, now, want) in cases {
        assert_eq!(
            said(&judge(&zurich, since_of(times[0]), &mails(times), &open(&ALWAYS), at(now))),
            want,
            "{times:?} at {now}"
        );
    }
    let judged = judge(
        &zurich,
        at(SINCE),
        &mails(&["2026-03-28T07:30:00Z"]),
        &open(&ALWAYS),
        at("2026-03-28T07:40:00Z"),
    );
    assert_eq!(judged.next_expected, Some(at("2026-03-29T07:00:00Z")));
    // After the change in autumn: 08:00 UTC again.
    let judged = judge(
        &zurich,
        at(SINCE),
        &mails(&["2026-10-24T06:30:00Z"]),
        &open(&ALWAYS),
        at("2026-10-24T06:40:00Z"),
    );
    assert_eq!(judged.next_expected, Some(at("2026-10-25T08:00:00Z")));
    // A time that the change leaves out, and one that it has twice, count as the later one.
    let night = by("02:30", "Europe/Zurich", 0);
    assert_eq!(
        deadline(&night.by.clone().unwrap(), at("2026-03-28T12:00:00Z"), 0),
        at("2026-03-29T01:30:00Z")
    );
    assert_eq!(deadline(&night.by.unwrap(), at("2026-10-24T12:00:00Z"), 0), at("2026-10-25T01:30:00Z"));
}

#[test]
fn each_week_by_a_time_of_day() {
    let weekly = by("09:00", "Europe/Zurich", 7);
    // Mondays. The first one teaches the day; a mail of the week before its time is early, not missing.
    let cases: [(&[&str], &str, &str, &str); 5] = [
        (&[], "2026-03-08T12:00:00Z", "not-known", "2026-03-09T08:00:00Z"),
        (&["2026-03-02T07:30:00Z"], "2026-03-09T07:59:59Z", "ok", "2026-03-09T08:00:00Z"),
        (
            &["2026-03-02T07:30:00Z"],
            "2026-03-09T08:00:01Z",
            "missing | missing 2026-03-09T08:00:00Z..",
            "2026-03-09T08:00:00Z",
        ),
        (
            &["2026-03-02T07:30:00Z", "2026-03-07T07:30:00Z"],
            "2026-03-09T09:00:00Z",
            "ok",
            "2026-03-16T08:00:00Z",
        ),
        // Late on Monday: the next one is due on Monday all the same.
        (
            &["2026-03-02T07:30:00Z", "2026-03-09T10:00:00Z"],
            "2026-03-16T08:00:01Z",
            "missing | missing 2026-03-09T08:00:00Z..2026-03-09T10:00:00Z | missing 2026-03-16T08:00:00Z..",
            "2026-03-16T08:00:00Z",
        ),
    ];
    for (times, now, want, next) in cases {
        let judged = judge(&weekly, at(SINCE), &mails(times), &open(&ALWAYS), at(now));
        assert_eq!(said(&judged), want, "{times:?} at {now}");
        assert_eq!(judged.next_expected, Some(at(next)), "{times:?} at {now}");
    }
}

#[test]
fn from_somebody_else_and_dmarc_that_fails() {
    let wanted = |from: &str, needs_dmarc| Expectation {
        from: Some(ExpectedFrom::parse(from).unwrap()),
        needs_dmarc,
        ..Expectation::default()
    };
    let now = at("2026-03-05T00:00:00Z");
    let times = ["2026-03-02T08:00:00Z", "2026-03-03T08:00:00Z", "2026-03-04T08:00:00Z"];
    let said_of = |expect: &Expectation, from: [&str; 3], dmarc: [Option<&str>; 3]| {
        let mut mails = mails(&times);
        for ((mail, from), dmarc) in mails.iter_mut().zip(from).zip(dmarc) {
            mail.from = (!from.is_empty()).then(|| from.to_owned());
            mail.dmarc = dmarc.map(str::to_owned);
        }
        said(&judge(expect, at(SINCE), &mails, &open(&ALWAYS), now))
    };
    let news = "news@shop.example";
    let pass = Some("pass");
    let exact = wanted(news, false);
    assert_eq!(said_of(&exact, [news, "NEWS@Shop.Example", news], [None; 3]), "ok");
    let other = "news@shop.example.evil.example";
    let episode = "from 2026-03-03T08:00:00Z..";
    assert_eq!(said_of(&exact, [news, other, other], [None; 3]), format!("failing | {episode}"));
    assert_eq!(
        said_of(&exact, [news, other, news], [None; 3]),
        format!("ok | {episode}2026-03-04T08:00:00Z")
    );
    // Under a pseudonym, or without a From field, nobody knows: the state stays as it was.
    assert_eq!(said_of(&exact, [news, "~abcdefgh234567ab@shop.example", ""], [None; 3]), "ok");
    assert_eq!(said_of(&exact, [news, other, ""], [None; 3]), format!("failing | {episode}"));
    let domain = wanted("shop.example", true);
    assert_eq!(said_of(&domain, ["a@b.shop.example", news, news], [pass; 3]), "ok");
    let fails = "dmarc 2026-03-03T08:00:00Z..";
    assert_eq!(said_of(&domain, [news; 3], [pass, Some("fail"), None]), format!("failing | {fails}"));
    assert_eq!(
        said_of(&domain, [news; 3], [pass, Some("none"), pass]),
        format!("ok | {fails}2026-03-04T08:00:00Z")
    );
    // What DNS did not answer is no failure; before any verdict nothing is known.
    assert_eq!(said_of(&domain, [news; 3], [pass, Some("temperror"), Some("not-known")]), "ok");
    assert_eq!(said_of(&domain, [news; 3], [None; 3]), "not-known");
    // Nothing is expected: nothing is wrong.
    assert_eq!(said_of(&Expectation::default(), [other; 3], [Some("fail"); 3]), "ok");
}

#[test]
fn how_long_it_took_is_an_interval_and_never_negative() {
    let received = at("2026-03-01T12:00:41.500Z");
    let cases = [
        // Date, stamp of the last host, whole, last hop.
        (
            "Sun, 01 Mar 2026 12:00:00 +0000",
            "Sun, 1 Mar 2026 12:00:40 +0000",
            Some((40_501, 41_500)),
            Some((501, 1_500)),
        ),
        ("Sun, 01 Mar 2026 13:00:00 +0100 (CET)", "", Some((40_501, 41_500)), None),
        // The stamp's whole second is not over: between nothing and half a second.
        ("Sun, 01 Mar 2026 12:00:41 +0000", "Sun, 1 Mar 2026 12:00:41 +0000", Some((0, 500)), Some((0, 500))),
        // A clock that is ahead says nothing, whichever it is.
        ("Sun, 01 Mar 2026 12:00:42 +0000", "Sun, 1 Mar 2026 12:00:40 +0000", None, Some((501, 1_500))),
        ("Sun, 01 Mar 2026 12:00:41 +0000", "Sun, 1 Mar 2026 12:00:39 +0000", None, Some((1_501, 2_500))),
        ("Sun, 01 Mar 2026 12:00:00 +0000", "Sun, 1 Mar 2026 12:05:00 +0000", Some((40_501, 41_500)), None),
        ("yesterday", "Sun, 1 Mar 2026 12:00:40", None, None),
    ];
    for (date, stamp, whole, last_hop) in cases {
        let received_field = if stamp.is_empty() {
            String::new()
        } else {
            format!("Received: from a.example by b.example with ESMTP id x;\r\n\t{stamp}\r\n")
        };
        let raw = format!("{received_field}Date: {date}\r\nFrom: a@b.example\r\n\r\nx\r\n");
        let took = took(&Message::parse(raw.as_bytes()).header, received);
        let pair = |between: Option<Between>| between.map(|between| (between.low_ms, between.high_ms));
        assert_eq!((pair(took.whole), pair(took.last_hop)), (whole, last_hop), "{date} {stamp}");
    }
}

#[test]
fn names_and_words() {
    let recipients =
        ["watch+News@m.example", "watch@m.example", "watch+@m.example", "x+news@m.example", "w+b@m.example"];
    let recipients: Vec<Address> = recipients.iter().filter_map(|text| Address::parse(text)).collect();
    assert_eq!(names_in(&recipients), ["news", "b"]);
    let mut expect = by("09:00", "Europe/Zurich", 7);
    expect.from = ExpectedFrom::parse("news@shop.example");
    expect.needs_dmarc = true;
    assert_eq!(expect.words(), "every 7d, by 09:00 Europe/Zurich, from news@shop.example, dmarc pass");
    assert_eq!(Expectation::default().words(), "");
    for text in ["", "@", "news@", "*.shop.example", "a b@shop.example"] {
        assert_eq!(ExpectedFrom::parse(text), None, "{text}");
    }
}
