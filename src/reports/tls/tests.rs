use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::{Day, Timestamp};
use crate::reports::{Unreadable, UnreadableKind, quirk};

/// 2026-03-02T10:00:00Z, when the reports of the day before come.
const NOW: Timestamp = Timestamp::from_seconds(1_772_445_600);

/// What surrounds the reports of these tests.
fn context() -> TlsContext<'static> {
    TlsContext { now: NOW, file_name: Some("report.json"), ..TlsContext::default() }
}

/// A report of one policy with one failure detail, as the standard writes it.
fn plain() -> Value {
    json!({
        "organization-name": "Org",
        "date-range": {"start-datetime": "2026-03-01T00:00:00Z", "end-datetime": "2026-03-01T23:59:59Z"},
        "contact-info": "tls@org.example",
        "report-id": "t-1",
        "policies": [{
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: enforce"],
                "policy-domain": "example.com",
                "mx-host": ["mx.example.com"],
            },
            "summary": {"total-successful-session-count": 5, "total-failure-session-count": 2},
            "failure-details": [{
                "result-type": "certificate-expired",
                "sending-mta-ip": "192.0.2.1",
                "receiving-mx-hostname": "mx.example.com",
                "receiving-ip": "2001:db8::25",
                "failed-session-count": 2,
            }],
        }],
    })
}

/// [`plain`] with one value, named by its path, replaced or (by `None`) removed.
fn with(path: &[&str], value: Option<Value>) -> Value {
    let mut report = plain();
    let (last, parents) = path.split_last().unwrap();
    let mut at = &mut report;
    for name in parents {
        at = match name.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[*name],
        };
    }
    match value {
        Some(value) => at[*last] = value,
        None => {
            at.as_object_mut().unwrap().shift_remove(*last);
        }
    }
    report
}

/// Reads one report that must be readable.
#[track_caller]
fn one(report: &Value) -> TlsDigest {
    let mut results = read(report.to_string().as_bytes(), &context());
    assert_eq!(results.len(), 1, "{results:?}");
    results.remove(0).unwrap()
}

/// The kind of the only result, which must be an error.
#[track_caller]
fn refused(bytes: &[u8]) -> UnreadableKind {
    let mut results = read(bytes, &context());
    assert_eq!(results.len(), 1, "{results:?}");
    results.remove(0).unwrap_err().kind
}

/// The names of all deviations.
fn names(digest: &TlsDigest) -> Vec<&'static str> {
    digest.deviations.names().collect()
}

#[test]
fn a_plain_report_has_no_deviation() {
    let digest = one(&plain());
    assert_eq!(names(&digest), Vec::<&str>::new());
    assert_eq!((digest.report.begin, digest.report.end), (1_772_323_200, 1_772_409_599));
    assert_eq!((digest.successful(), digest.failed()), (5, 2));
    assert_eq!(digest.days, crate::reports::digest::DaySpan::One(Day::of_seconds(1_772_323_200)));
    let detail = &digest.report.policies[0].failure_details[0];
    assert_eq!(detail.result_type, ResultType::CertificateExpired);
    assert_eq!(detail.receiving_ip, Source::Ip("2001:db8::25".parse().unwrap()));
    let key = &digest.domains[0].key;
    assert_eq!(key.domain.as_ref().map(DomainName::as_str), Some("example.com"));
    assert_eq!((key.reporter.as_str(), key.report_id.as_str()), ("org", "t-1"));
}

#[test]
fn policy_strings_are_lines_wherever_they_stand() {
    let inner = json!(["3 1 1 ab", " \u{a0} 3 1 1 cd\r\n3 1 1 ef \n ", ""]).to_string();
    let value = json!(["  a  ", "b\n\nc", inner, ""]);
    let digest = one(&with(&["policies", "0", "policy", "policy-string"], Some(value)));
    let strings = &digest.report.policies[0].policy_strings;
    assert_eq!(*strings, ["a", "b", "c", "3 1 1 ab", "3 1 1 cd", "3 1 1 ef"]);
}

/// A path, its value (or that it is removed), the deviation if any, successful and failed sessions.
type OddShape<'a> = (Vec<&'a str>, Option<Value>, Option<&'a str>, u64, u64);

#[test]
fn odd_shapes_cost_nothing_and_are_named() {
    const POLICY: [&str; 3] = ["policies", "0", "policy"];
    const SUMMARY: [&str; 3] = ["policies", "0", "summary"];
    let policy = |name| [&POLICY[..], &[name]].concat();
    let summary = |name| [&SUMMARY[..], &[name]].concat();
    let detail = |name| ["policies", "0", "failure-details", "0", name].to_vec();
    let successful = "total-successful-session-count";
    let failed = "total-failure-session-count";
    let cases: Vec<OddShape<'_>> = vec![
        (vec!["organization-name"], None, Some(quirk::TLS_ORGANIZATION_MISSING), 5, 2),
        (vec!["organization-name"], Some(json!("  ")), Some(quirk::TLS_ORGANIZATION_MISSING), 5, 2),
        (vec!["organization-name"], Some(json!(["Org"])), Some(quirk::TLS_FIELD_TYPE), 5, 2),
        (vec!["contact-info"], Some(Value::Null), Some(quirk::TLS_CONTACT_MISSING), 5, 2),
        (vec!["report-id"], Some(json!(12345)), Some(quirk::TLS_REPORT_ID_NUMBER), 5, 2),
        (vec!["report-id"], None, Some(quirk::REPORT_ID_MISSING), 5, 2),
        (vec!["generator"], Some(json!({"a": [1, 2, {}]})), Some(quirk::TLS_FIELD_UNKNOWN), 5, 2),
        (vec!["policies"], Some(Value::Null), Some(quirk::TLS_NO_POLICIES), 0, 0),
        (vec!["policies"], Some(json!([])), Some(quirk::TLS_NO_POLICIES), 0, 0),
        (vec!["policies"], Some(json!([null, 7, "x", []])), Some(quirk::TLS_FIELD_TYPE), 0, 0),
        (vec!["policies"], Some(plain()["policies"][0].clone()), None, 5, 2),
        (policy("policy-type"), Some(json!("STS")), Some(quirk::TLS_WORD_REWRITTEN), 5, 2),
        (policy("policy-type"), Some(json!("dane")), Some(quirk::TLS_POLICY_TYPE_UNKNOWN), 5, 2),
        (policy("policy-type"), None, Some(quirk::TLS_POLICY_TYPE_MISSING), 5, 2),
        (policy("policy-domain"), None, Some(quirk::TLS_POLICY_DOMAIN_MISSING), 5, 2),
        (policy("policy-domain"), Some(json!("")), Some(quirk::TLS_POLICY_DOMAIN_MISSING), 5, 2),
        (policy("policy-domain"), Some(json!("a b")), Some(quirk::TLS_POLICY_DOMAIN_INVALID), 5, 2),
        (policy("policy-domain"), Some(json!("Example.COM.")), None, 5, 2),
        (policy("policy-string"), Some(json!("version: STSv1")), Some(quirk::TLS_POLICY_STRING_SHAPE), 5, 2),
        (policy("policy-string"), Some(Value::Null), None, 5, 2),
        (policy("mx-host"), Some(json!("mx.example.com")), Some(quirk::TLS_MX_HOST_SHAPE), 5, 2),
        (policy("mx-host"), Some(json!(["mx: mx.example.com."])), Some(quirk::TLS_MX_HOST_REWRITTEN), 5, 2),
        (policy("mx-host-pattern"), Some(json!(["*.example.com"])), None, 5, 2),
        (summary(successful), Some(json!("42")), Some(quirk::TLS_COUNT_REWRITTEN), 42, 2),
        (summary(successful), Some(json!("1,234")), Some(quirk::TLS_COUNT_REWRITTEN), 1234, 2),
        (summary(successful), Some(json!(5.0)), Some(quirk::TLS_COUNT_REWRITTEN), 5, 2),
        (summary(successful), Some(json!(-3)), Some(quirk::TLS_COUNT_NEGATIVE), 0, 2),
        (summary(successful), Some(json!("-3")), Some(quirk::TLS_COUNT_NEGATIVE), 0, 2),
        (summary(successful), Some(json!("many")), Some(quirk::TLS_COUNT_UNREADABLE), 0, 2),
        (summary(successful), Some(json!(true)), Some(quirk::TLS_COUNT_UNREADABLE), 0, 2),
        (summary(successful), Some(json!(u64::MAX)), Some(quirk::TLS_COUNT_UNREADABLE), 0, 2),
        (summary(successful), Some(json!(1e300)), Some(quirk::TLS_COUNT_UNREADABLE), 0, 2),
        (summary(successful), None, Some(quirk::TLS_COUNT_MISSING), 0, 2),
        (summary(failed), None, Some(quirk::TLS_COUNT_MISSING), 5, 2),
        (summary(failed), Some(json!(3)), Some(quirk::TLS_DETAILS_DIFFER), 5, 3),
        (SUMMARY.to_vec(), None, Some(quirk::TLS_SUMMARY_MISSING), 0, 2),
        (SUMMARY.to_vec(), Some(Value::Null), Some(quirk::TLS_SUMMARY_MISSING), 0, 2),
        (vec!["policies", "0", "failure-details"], Some(Value::Null), None, 5, 2),
        (vec!["policies", "0", "failure-details"], None, None, 5, 2),
        (detail("result-type"), Some(json!("quantum-flux")), Some(quirk::TLS_RESULT_TYPE_UNKNOWN), 5, 2),
        (detail("result-type"), None, Some(quirk::TLS_RESULT_TYPE_MISSING), 5, 2),
        (detail("sending-mta-ip"), None, None, 5, 2),
        (detail("sending-mta-ip"), Some(json!("")), None, 5, 2),
        (
            detail("sending-mta-ip"),
            Some(json!("[IPv6:2001:db8::1]")),
            Some(quirk::TLS_ADDRESS_REWRITTEN),
            5,
            2,
        ),
        (detail("receiving-ip"), Some(json!("mx.example.com")), Some(quirk::TLS_ADDRESS_TEXT), 5, 2),
        (detail("receiving-mx-hostname"), Some(json!("")), None, 5, 2),
        (detail("failed-session-count"), Some(json!("2")), Some(quirk::TLS_COUNT_REWRITTEN), 5, 2),
    ];
    for (path, value, want, successful, failed) in cases {
        let report = with(&path, value);
        let digest = one(&report);
        match want {
            Some(name) => assert!(names(&digest).contains(&name), "{report}: {:?}", digest.deviations),
            None => assert_eq!(names(&digest), Vec::<&str>::new(), "{report}"),
        }
        assert_eq!((digest.successful(), digest.failed()), (successful, failed), "{report}");
    }
}

#[test]
fn names_of_fields_in_another_case_and_flat_policies() {
    let text =
        plain().to_string().replace("policy-domain", "Policy_Domain").replace("report-id", "Report-ID");
    let digest = read(text.as_bytes(), &context()).remove(0).unwrap();
    assert_eq!(names(&digest), [quirk::TLS_FIELD_RENAMED]);
    assert_eq!(digest.report.report_id, "t-1");

    let flat = json!({
        "organization-name": "Org", "start-datetime": "2026-03-01T00:00:00Z",
        "end-datetime": "2026-03-01T23:59:59Z", "contact-info": "a@b.example", "report-id": "1",
        "policies": [{
            "policy-type": "sts", "policy-domain": "example.com",
            "total-successful-session-count": 5, "total-failure-session-count": 2,
        }],
    });
    let digest = one(&flat);
    assert_eq!(names(&digest), [quirk::TLS_POLICY_FLAT]);
    assert_eq!((digest.successful(), digest.failed()), (5, 2));
    assert_eq!(digest.report.begin, 1_772_323_200);

    let twice = r#"{"report-id": "a", "report-id": "b", "policies": [], "policies": [{}]}"#;
    let digest = read(twice.as_bytes(), &context()).remove(0).unwrap();
    assert!(names(&digest).contains(&quirk::TLS_FIELD_TWICE));
    assert_eq!((digest.report.report_id.as_str(), digest.report.policies.len()), ("a", 0));
}

#[test]
fn periods() {
    let day = 1_772_323_200;
    let file = "org.example!example.com!1772236800!1772323199!001.json";
    let cases = [
        (
            "2026-03-01T00:00:00",
            "2026-03-01T23:59:59",
            Some(quirk::TLS_TIME_WITHOUT_ZONE),
            (day, day + 86_399),
        ),
        ("2026-03-01T01:00:00+01:00", "2026-03-02T00:59:59+01:00", None, (day, day + 86_399)),
        ("2026-03-01 00:00:00Z", "2026-03-01T23:59:59Z", Some(quirk::PERIOD_REWRITTEN), (day, day + 86_399)),
        ("1772323200", "1772409599", Some(quirk::PERIOD_REWRITTEN), (day, day + 86_399)),
        ("2026-03-01T23:59:59Z", "2026-03-01T00:00:00Z", Some(quirk::PERIOD_REVERSED), (day, day + 86_399)),
        ("2026-03-01T00:00:00Z", "soon", Some(quirk::PERIOD_INCOMPLETE), (day, day)),
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", Some(quirk::PERIOD_EMPTY), (day, day)),
        ("", "", Some(quirk::PERIOD_MISSING), (day - 86_400, day - 1)),
        (
            "2036-03-01T00:00:00Z",
            "2036-03-01T23:59:59Z",
            Some(quirk::PERIOD_FUTURE),
            (2_087_942_400, 2_088_028_799),
        ),
    ];
    for (begin, end, want, period) in cases {
        let report = with(&["date-range"], Some(json!({"start-datetime": begin, "end-datetime": end})));
        let context = TlsContext { file_name: Some(file), ..context() };
        let digest = read(report.to_string().as_bytes(), &context).remove(0).unwrap();
        assert_eq!((digest.report.begin, digest.report.end), period, "{begin} {end}");
        match want {
            Some(name) => assert!(names(&digest).contains(&name), "{begin} {end}: {:?}", digest.deviations),
            None => assert!(digest.deviations.is_empty(), "{begin} {end}"),
        }
    }
    // Neither the report nor the file name has a time: the day of its arrival.
    let digest = one(&with(&["date-range"], Some(Value::Null)));
    assert_eq!(digest.report.begin, 1_772_409_600);
}

#[test]
fn long_periods_are_spread_and_add_up() {
    let range = json!({"start-datetime": "2026-02-01T00:00:00Z", "end-datetime": "2026-02-07T23:59:59Z"});
    let mut report = with(&["date-range"], Some(range));
    report["policies"][0]["summary"]["total-successful-session-count"] = json!(23);
    let digest = one(&report);
    assert!(names(&digest).contains(&quirk::PERIOD_LONG));
    let days: Vec<_> = digest.sessions_by_day().collect();
    assert_eq!(days.len(), 7);
    assert_eq!(days[0].0.iso(), "2026-02-01");
    assert_eq!(days.iter().map(|(_, row)| row.successful).sum::<u64>(), 23);
    assert!(days.iter().all(|(_, row)| (3..=4).contains(&row.successful)));
    assert_eq!(days.iter().map(|(_, row)| row.failed).sum::<u64>(), 2);
    assert_eq!(digest.failures_by_day().map(|(_, row)| row.sessions).sum::<u64>(), 2);

    // A day and an hour more is a day: that of the middle.
    let range = json!({"start-datetime": "2026-02-01T22:00:00Z", "end-datetime": "2026-02-02T23:00:00Z"});
    let digest = one(&with(&["date-range"], Some(range)));
    let days: Vec<_> = digest.sessions_by_day().map(|(day, _)| day.iso()).collect();
    assert_eq!(days, ["2026-02-02"]);
}

#[test]
fn the_summary_counts_and_the_details_explain_it() {
    let report = json!({
        "organization-name": "Org", "report-id": "1", "policies": [{
            "policy": {"policy-type": "sts", "policy-domain": "example.com"},
            "summary": {"total-successful-session-count": 0, "total-failure-session-count": 10},
            "failure-details": [
                {"result-type": "certificate-expired", "failed-session-count": 4},
                {"result-type": "certificate-expired", "failed-session-count": 3},
                {"result-type": "validation-failure"},
            ],
        }],
    });
    let digest = one(&report);
    assert_eq!(digest.failed(), 10);
    let failures: Vec<_> =
        digest.failures.iter().map(|row| (row.result_type.as_str(), row.sessions)).collect();
    assert_eq!(failures, [("certificate-expired", 7), ("", 3)]);
    assert!(names(&digest).contains(&quirk::TLS_DETAILS_DIFFER));
    assert!(names(&digest).contains(&quirk::TLS_COUNT_MISSING));
}

#[test]
fn sessions_count_under_the_mail_domain() {
    let policy = |kind: &str, domain: Option<&str>, hosts: &[&str]| {
        json!({
            "policy": {"policy-type": kind, "policy-domain": domain, "mx-host": hosts},
            "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0},
        })
    };
    let mx = &["mx.provider.example"][..];
    // (policies, TLS-Report-Domain, report id, domains under which they count)
    let cases = [
        // Case 044: no domain at all beside a host's own policy.
        (
            vec![
                policy("no-policy-found", None, &[]),
                policy("tlsa", Some("mx.example.com"), &["mx.example.com"]),
            ],
            Some("example.com"),
            "t-1",
            vec![Some("example.com"), Some("example.com")],
        ),
        // A host elsewhere.
        (
            vec![policy("sts", Some("example.com"), mx), policy("tlsa", Some("mx.provider.example"), mx)],
            None,
            "t-1",
            vec![Some("example.com"), Some("example.com")],
        ),
        // A mail domain of its own stays.
        (
            vec![policy("sts", Some("example.com"), mx), policy("tlsa", Some("example.net"), mx)],
            None,
            "t-1",
            vec![Some("example.com"), Some("example.net")],
        ),
        (
            vec![policy("tlsa", Some("example.com"), mx)],
            Some("example.com"),
            "t-1",
            vec![Some("example.com")],
        ),
        // Several domains in one report.
        (
            vec![
                policy("sts", Some("a.example"), &[]),
                policy("no-policy-found", Some("b.example"), &[]),
                policy("tlsa", Some("mx.b.example"), &[]),
            ],
            None,
            "t-1",
            vec![Some("a.example"), Some("b.example"), Some("b.example")],
        ),
        // Only the report id has it.
        (
            vec![policy("no-policy-found", None, &[])],
            None,
            "2026-03-01T00:00:00Z_example.org",
            vec![Some("example.org")],
        ),
        (
            vec![policy("no-policy-found", None, &[])],
            None,
            "133198585438131172+example.org",
            vec![Some("example.org")],
        ),
        (vec![policy("no-policy-found", None, &[])], None, "1234567890+", vec![None]),
        (vec![policy("no-policy-found", None, &[])], None, "b28254de@org.example", vec![None]),
    ];
    for (policies, report_domain, report_id, want) in cases {
        let report = json!({"organization-name": "Org", "report-id": report_id, "policies": policies});
        let context = TlsContext { report_domain, ..context() };
        let digest = read(report.to_string().as_bytes(), &context).remove(0).unwrap();
        let domains: Vec<_> = digest
            .report
            .policies
            .iter()
            .map(|policy| policy.domain.as_ref().map(DomainName::as_str))
            .collect();
        assert_eq!(domains, want, "{report}");
    }
}

#[test]
fn who_reports() {
    let cases = [
        (json!("Big Mail"), json!("tls@other.example"), "big mail"),
        (Value::Null, json!("mailto:tls@Other.example"), "other.example"),
        (Value::Null, json!("call us"), "fallback.example"),
        (Value::Null, Value::Null, "fallback.example"),
    ];
    for (name, contact, want) in cases {
        let report =
            json!({"organization-name": name, "contact-info": contact, "report-id": "<a b>", "policies": []});
        let context = TlsContext { submitter: Some("fallback.example"), ..context() };
        let digest = read(report.to_string().as_bytes(), &context).remove(0).unwrap();
        assert_eq!(digest.domains[0].key.reporter, want);
        assert_eq!(digest.domains[0].key.report_id, "ab");
    }
}

#[test]
fn the_hash_sees_values_and_nothing_else() {
    let plain_hash = one(&plain()).content_sha256;
    let pretty = serde_json::to_vec_pretty(&plain()).unwrap();
    assert_eq!(read(&pretty, &context()).remove(0).unwrap().content_sha256, plain_hash);

    let mut two = plain();
    let other = json!({"result-type": "validation-failure", "failed-session-count": 1});
    two["policies"][0]["failure-details"].as_array_mut().unwrap().push(other);
    let mut swapped = two.clone();
    swapped["policies"][0]["failure-details"].as_array_mut().unwrap().reverse();
    assert_eq!(one(&two).content_sha256, one(&swapped).content_sha256);
    assert_ne!(one(&two).content_sha256, plain_hash);

    // A report with one more domain says the same of the first one.
    let mut more = plain();
    let mut second = plain()["policies"][0].clone();
    second["policy"]["policy-domain"] = json!("example.net");
    more["policies"].as_array_mut().unwrap().push(second);
    let more = one(&more);
    assert_eq!(more.domains.len(), 2);
    assert_eq!(more.domains[0], one(&plain()).domains[0]);
    assert_ne!(more.content_sha256, plain_hash);
}

#[test]
fn encodings_and_what_stands_around() {
    let text = plain().to_string();
    let utf16 = |units: &mut dyn Iterator<Item = u16>, big: bool| -> Vec<u8> {
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let with_mark = format!("\u{feff}{text}");
    let latin1 = text.replace("Org", "Org\u{e9}");
    let cases: Vec<(Vec<u8>, Vec<&str>)> = vec![
        (format!("\r\n {text}\n\n\n").into_bytes(), vec![]),
        (format!("{text}\0\0\0").into_bytes(), vec![]),
        (with_mark.clone().into_bytes(), vec![quirk::BYTE_ORDER_MARK]),
        (utf16(&mut with_mark.encode_utf16(), false), vec![quirk::ENCODING_OTHER]),
        (utf16(&mut with_mark.encode_utf16(), true), vec![quirk::ENCODING_OTHER]),
        (utf16(&mut text.encode_utf16(), false), vec![quirk::ENCODING_OTHER]),
        (utf16(&mut text.encode_utf16(), true), vec![quirk::ENCODING_OTHER]),
        (latin1.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(), vec![quirk::ENCODING_BROKEN]),
        (format!("{text}\r\n--=_boundary--\r\n").into_bytes(), vec![quirk::TRAILING_CONTENT]),
        (format!("[{text}]").into_bytes(), vec![quirk::TLS_REPORT_LIST]),
        (
            text.replace("certificate-expired", "certificate\u{7}expired").into_bytes(),
            vec![quirk::TLS_RESULT_TYPE_UNKNOWN],
        ),
    ];
    for (bytes, want) in cases {
        let mut results = read(&bytes, &context());
        assert_eq!(results.len(), 1);
        let digest = results.remove(0).unwrap();
        assert_eq!((digest.successful(), digest.failed()), (5, 2));
        assert_eq!(names(&digest), want, "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn streams_are_read_up_to_the_cap() {
    /// A stream that fails.
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other(Unreadable::new(UnreadableKind::Truncated, "gzip stream ends early")))
        }
    }
    let text = plain().to_string();
    assert_eq!(read_stream(&mut text.as_bytes(), &context()), read(text.as_bytes(), &context()));
    let endless = read_stream(&mut std::io::repeat(b' '), &context()).remove(0).unwrap_err();
    assert_eq!(endless.kind, UnreadableKind::TooLarge);
    let broken = read_stream(&mut Broken, &context()).remove(0).unwrap_err();
    assert_eq!((broken.kind, broken.place.as_str()), (UnreadableKind::Truncated, "report.json"));
}

#[test]
fn several_reports_in_one_document() {
    let text = plain().to_string();
    let two = format!("{text}\n{text}");
    assert_eq!(read(two.as_bytes(), &context()).iter().filter(|result| result.is_ok()).count(), 2);
    let list = format!("[{text},{text}]");
    assert_eq!(read(list.as_bytes(), &context()).iter().filter(|result| result.is_ok()).count(), 2);
    // The second one is cut: listed, and the first one counts.
    let cut = format!("{text}\n{}", &text[..text.len() - 9]);
    let results = read(cut.as_bytes(), &context());
    assert!(results[0].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().kind, UnreadableKind::Truncated);
}

#[test]
fn what_is_refused_and_why() {
    let text = plain().to_string();
    let cases: Vec<(Vec<u8>, UnreadableKind, &str)> = vec![
        (vec![], UnreadableKind::Empty, "nothing"),
        (b" \r\n".to_vec(), UnreadableKind::Empty, "nothing"),
        (b"{\"a\": 1}".to_vec(), UnreadableKind::Unsupported, "no TLS report"),
        (b"[]".to_vec(), UnreadableKind::Unsupported, "no TLS report"),
        (b"7".to_vec(), UnreadableKind::Unsupported, "no TLS report"),
        (b"<feedback/>".to_vec(), UnreadableKind::Malformed, "broken at line 1 column 1"),
        (text.replace("5,", "5,,").into_bytes(), UnreadableKind::Malformed, "broken at line 1"),
        (text.as_bytes()[..text.len() - 1].to_vec(), UnreadableKind::Truncated, "ends early"),
        (vec![b'['; limits_bytes() + 1], UnreadableKind::TooLarge, "too large"),
    ];
    for (bytes, kind, reason) in cases {
        let mut results = read(&bytes, &context());
        assert_eq!(results.len(), 1);
        let unreadable: Unreadable = results.remove(0).unwrap_err();
        assert_eq!(unreadable.kind, kind, "{unreadable:?}");
        assert!(unreadable.reason.contains(reason), "{unreadable:?}");
        assert_eq!(unreadable.place, "report.json");
    }
}

/// The size cap.
fn limits_bytes() -> usize {
    crate::limits::TLS_REPORT_BYTES
}

#[test]
fn depth_and_number_are_bounded() {
    // Nesting at any place: in nothing, in an unknown field, in a list, in a text.
    let depth = 200_000;
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    assert_eq!(refused(open.as_bytes()), UnreadableKind::Truncated);
    assert_eq!(refused(format!("{open}{close}").as_bytes()), UnreadableKind::Unsupported);
    let nested = format!("{open}{close}");
    let unknown = plain().to_string().replacen('{', &format!("{{\"x\": {nested}, "), 1);
    assert_eq!(read(unknown.as_bytes(), &context()).remove(0).unwrap().successful(), 5);
    let as_text = plain().to_string().replacen("\"t-1\"", &nested, 1);
    assert_eq!(refused(as_text.as_bytes()), UnreadableKind::Malformed);
    let objects = format!("{{\"policies\": {}1{}", "{\"policies\":".repeat(depth), "}".repeat(depth));
    assert!(read(objects.as_bytes(), &context()).remove(0).is_err());

    let many = |count: usize, item: &str| vec![item; count].join(",");
    let details = |count| {
        plain().to_string().replacen(
            "\"failure-details\":[{",
            &format!("\"failure-details\":[{},{{", many(count - 1, "{}")),
            1,
        )
    };
    let most = crate::limits::TLS_FAILURE_DETAILS;
    let digest = read(details(most).as_bytes(), &context()).remove(0).unwrap();
    assert_eq!(digest.report.policies[0].failure_details.len(), most);
    assert_eq!(refused(details(most + 1).as_bytes()), UnreadableKind::TooLarge);
    let policies = format!("{{\"policies\": [{}]}}", many(crate::limits::TLS_POLICIES + 1, "{}"));
    assert_eq!(refused(policies.as_bytes()), UnreadableKind::TooLarge);
    let about = |domains: usize| -> String {
        let policy = |at| format!("{{\"policy\": {{\"policy-domain\": \"d{at}.example\"}}}}");
        format!("{{\"policies\": [{}]}}", (0..domains).map(policy).collect::<Vec<_>>().join(","))
    };
    let most = crate::limits::TLS_DOMAINS;
    assert_eq!(read(about(most).as_bytes(), &context()).remove(0).unwrap().domains.len(), most);
    assert_eq!(refused(about(most + 1).as_bytes()), UnreadableKind::TooLarge);

    let hosts = with(&["policies", "0", "policy", "mx-host"], Some(json!(vec!["a.example"; 200])));
    let digest = one(&hosts);
    assert!(names(&digest).contains(&quirk::LIST_CUT));
    let long = with(&["organization-name"], Some(json!("\u{e9}".repeat(5_000))));
    let digest = one(&long);
    assert!(digest.report.organization_name.as_ref().unwrap().len() <= crate::limits::HEADER_TEXT_BYTES);
    assert!(names(&digest).contains(&quirk::TEXT_CUT));
    let large = with(&["policies", "0", "summary", "total-successful-session-count"], Some(json!(i64::MAX)));
    let mut twice = large.clone();
    twice["policies"].as_array_mut().unwrap().push(large["policies"][0].clone());
    assert_eq!(refused(twice.to_string().as_bytes()), UnreadableKind::Malformed);
    assert_eq!(refused(large.to_string().as_bytes()), UnreadableKind::Malformed);
    let most = json!(crate::limits::REPORT_MESSAGES - 2);
    let most = with(&["policies", "0", "summary", "total-successful-session-count"], Some(most));
    assert_eq!(one(&most).successful(), crate::limits::REPORT_MESSAGES - 2);
}

// ---- Properties ----

/// Writes a report as RFC 8460 §4.4 says.
fn write(report: &TlsReport) -> Value {
    let optional = |entry: &mut Value, name: &str, value: Option<&str>| {
        if let Some(value) = value {
            entry[name] = json!(value);
        }
    };
    let source = |source: &Source| match source {
        Source::Ip(ip) => Some(ip.to_string()),
        Source::Text(text) => Some(text.clone()),
        Source::Missing => None,
    };
    let detail = |detail: &FailureDetail| {
        let mut entry = json!({"result-type": detail.result_type.as_str()});
        optional(&mut entry, "sending-mta-ip", source(&detail.sending_mta_ip).as_deref());
        optional(&mut entry, "receiving-mx-hostname", detail.receiving_mx_hostname.as_deref());
        optional(&mut entry, "receiving-mx-helo", detail.receiving_mx_helo.as_deref());
        optional(&mut entry, "receiving-ip", source(&detail.receiving_ip).as_deref());
        optional(&mut entry, "additional-information", detail.additional_information.as_deref());
        optional(&mut entry, "failure-reason-code", detail.failure_reason_code.as_deref());
        if let Some(count) = detail.failed_sessions {
            entry["failed-session-count"] = json!(count);
        }
        entry
    };
    let policy = |policy: &Policy| {
        let mut entry = json!({"policy": {"policy-type": policy.policy_type.as_str()}, "summary": {}});
        optional(
            &mut entry["policy"],
            "policy-domain",
            policy.policy_domain.as_ref().map(DomainName::as_str),
        );
        entry["policy"]["policy-string"] = json!(policy.policy_strings);
        entry["policy"]["mx-host"] = json!(policy.mx_hosts);
        if let Some(count) = policy.successful {
            entry["summary"]["total-successful-session-count"] = json!(count);
        }
        if let Some(count) = policy.failed {
            entry["summary"]["total-failure-session-count"] = json!(count);
        }
        entry["failure-details"] = policy.failure_details.iter().map(detail).collect();
        entry
    };
    let mut entry = json!({
        "date-range": {
            "start-datetime": Timestamp::from_seconds(report.begin).rfc3339(),
            "end-datetime": Timestamp::from_seconds(report.end).rfc3339(),
        },
        "report-id": report.report_id,
        "policies": report.policies.iter().map(policy).collect::<Vec<_>>(),
    });
    optional(&mut entry, "organization-name", report.organization_name.as_deref());
    optional(&mut entry, "contact-info", report.contact_info.as_deref());
    entry
}

/// Any trimmed text that is not empty.
fn any_text() -> impl Strategy<Value = String> {
    "[!-~\u{e4}\u{1f600}][ -~\u{e4}]{0,20}[!-~]"
}

/// Any domain.
fn any_domain() -> impl Strategy<Value = DomainName> {
    "[a-z]{1,8}(\\.[a-z0-9]{1,8}){1,3}".prop_map(|text| DomainName::parse(&text).unwrap())
}

/// Any source.
fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Missing),
        any::<std::net::IpAddr>().prop_map(|ip| Source::Ip(ip.to_canonical())),
        "[g-z]{3,9}\\.example".prop_map(Source::Text),
    ]
}

prop_compose! {
    fn any_detail()(
        result in prop_oneof![
            prop::sample::select(ResultType::KNOWN).prop_map(ResultType::parse),
            "[a-z]{1,9}".prop_map(|word| ResultType::parse(&word)),
        ],
        sending in any_source(),
        receiving in any_source(),
        host in prop::option::of("[a-z]{1,9}\\.example"),
        texts in prop::array::uniform3(prop::option::of(any_text())),
        count in prop::option::of(0_u64..1_000_000),
    ) -> FailureDetail {
        let [helo, information, code] = texts;
        FailureDetail {
            result_type: result,
            sending_mta_ip: sending,
            receiving_mx_hostname: host,
            receiving_mx_helo: helo,
            receiving_ip: receiving,
            failed_sessions: count,
            additional_information: information,
            failure_reason_code: code,
        }
    }
}

prop_compose! {
    fn any_policy()(
        kind in prop_oneof![
            prop::sample::select(PolicyType::KNOWN).prop_map(PolicyType::parse),
            "[a-z]{1,9}".prop_map(|word| PolicyType::parse(&word)),
        ],
        domain in prop::option::of(any_domain()),
        strings in prop::collection::vec("[a-z]{1,9}: [!-~]{1,9}", 0..4),
        hosts in prop::collection::hash_set("(\\*\\.)?[a-z]{1,9}\\.example", 0..4),
        counts in prop::array::uniform2(prop::option::of(0_u64..=400_000_000_000)),
        details in prop::collection::vec(any_detail(), 0..4),
    ) -> Policy {
        Policy {
            domain: None,
            policy_type: kind,
            policy_domain: domain,
            policy_strings: strings,
            mx_hosts: hosts.into_iter().collect(),
            successful: counts[0],
            failed: counts[1],
            failure_details: details,
        }
    }
}

prop_compose! {
    fn any_report()(
        names in prop::array::uniform2(prop::option::of(any_text())),
        id in any_text(),
        begin in 0_i64..4_000_000_000,
        length in 0_i64..10_000_000,
        policies in prop::collection::vec(any_policy(), 0..4),
    ) -> TlsReport {
        let [organization_name, contact_info] = names;
        TlsReport { organization_name, contact_info, report_id: id, begin, end: begin + length, policies }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is written is read.
    #[test]
    fn writing_and_reading_gives_the_same(report in any_report()) {
        let mut digest = one(&write(&report));
        for policy in &mut digest.report.policies {
            prop_assert!(policy.policy_domain.is_none() || policy.domain.is_some());
            policy.domain = None;
        }
        prop_assert_eq!(digest.report, report);
    }

    /// Sums by day and by cause add up to those of the report.
    #[test]
    fn sums_add_up(report in any_report()) {
        let digest = one(&write(&report));
        let of_policies = report.policies.iter().map(Policy::successful_sessions).sum::<u64>();
        prop_assert_eq!(digest.successful(), of_policies);
        if let crate::reports::digest::DaySpan::Spread { first, last } = digest.days {
            prop_assert!(last > first);
        }
        for row in &digest.sessions {
            let days = digest.sessions_by_day().filter(|(_, day)| {
                day.domain == row.domain && day.policy_type == row.policy_type
            });
            let (successful, failed) = days.fold((0, 0), |(s, f), (_, day)| (s + day.successful, f + day.failed));
            prop_assert_eq!((successful, failed), (row.successful, row.failed));
        }
    }

    /// A report that ends early is not counted, wherever it ends.
    #[test]
    fn a_cut_report_is_never_counted(report in any_report(), at in 0.0..1.0_f64) {
        let text = write(&report).to_string();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
        let end = (text.len() as f64 * at) as usize;
        let results = read(&text.as_bytes()[..end], &context());
        prop_assert!(results.iter().all(Result::is_err), "{results:?}");
        prop_assert_eq!(results.len(), 1);
    }

    /// Any bytes, and any change of a report, are read or refused.
    #[test]
    fn any_bytes_give_a_result(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        prop_assert!(!read(&bytes, &context()).is_empty());
        prop_assert!(!read(&bytes.iter().map(|byte| byte % 33).collect::<Vec<_>>(), &context()).is_empty());
        let mut text = plain().to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        prop_assert!(!read(&text, &context()).is_empty());
    }
}
