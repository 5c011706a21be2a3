//! SMTP TLS reports: the tolerant reader of JSON.

use mailsonde::clock::Timestamp;
use mailsonde::limits;
use mailsonde::mail::DomainName;
use mailsonde::reports::aggregate::Source;
use mailsonde::reports::tls::{FailureDetail, Policy, TlsContext, TlsDigest, TlsReport, read, read_stream};
use serde_json::{Value, json};

use super::{NOW_SECONDS, Pieces, hash, place};

/// Sums agree, a cut document gives no other report, and what was read is read again from what we write.
pub fn check(data: &[u8]) {
    let context = context();
    let whole = read(data, &context);
    assert!(!whole.is_empty() && whole.len() <= limits::TLS_DOCUMENT_REPORTS * 2);
    assert_eq!(
        read_stream(&mut Pieces::new(data), &context),
        whole,
        "the size of the pieces changes what is read"
    );
    let cut = read(&data[..place(hash(data), data.len())], &context);
    for (cut, whole) in cut.iter().zip(&whole) {
        if let (Ok(cut), Ok(whole)) = (cut, whole) {
            assert_eq!(cut.report, whole.report, "a cut document gives another report");
        }
    }
    for result in &whole {
        match result {
            Ok(digest) => {
                check_digest(digest);
                written(digest);
            }
            Err(error) => assert!(!error.reason.is_empty()),
        }
    }
}

fn context() -> TlsContext<'static> {
    TlsContext { now: Timestamp::from_seconds(NOW_SECONDS), ..TlsContext::default() }
}

/// Sums are those of the policies, by domain and by day.
pub(crate) fn check_digest(digest: &TlsDigest) {
    let report = &digest.report;
    assert!(report.policies.len() <= limits::TLS_POLICIES);
    assert!(report.begin <= report.end, "{} {}", report.begin, report.end);
    let sum = |of: fn(&Policy) -> u64| report.policies.iter().map(of).sum::<u64>();
    assert_eq!(digest.successful(), sum(Policy::successful_sessions));
    assert_eq!(digest.failed(), sum(Policy::failed_sessions));
    let by_domain = digest.domains.iter().fold((0, 0), |(s, f), row| (s + row.successful, f + row.failed));
    assert_eq!(by_domain, (digest.successful(), digest.failed()));
    let by_day =
        digest.sessions_by_day().fold((0, 0), |(s, f), (_, row)| (s + row.successful, f + row.failed));
    assert_eq!(by_day, (digest.successful(), digest.failed()));
    let causes: u64 = digest.failures.iter().map(|row| row.sessions).sum();
    assert_eq!(digest.failures_by_day().map(|(_, row)| row.sessions).sum::<u64>(), causes);
    assert!(causes >= digest.failed(), "causes that explain less than what failed");
    for policy in &report.policies {
        assert!(policy.policy_strings.len() <= limits::TLS_POLICY_STRINGS);
        assert!(policy.mx_hosts.len() <= limits::TLS_MX_HOSTS);
        for ip in policy.failure_details.iter().flat_map(|d| [&d.sending_mta_ip, &d.receiving_ip]) {
            if let Source::Ip(ip) = ip {
                assert!(super::is_canonical(*ip));
            }
        }
    }
}

/// Writes a report as RFC 8460 §4.4 wants it and reads it again.
fn written(digest: &TlsDigest) {
    let text = write(&digest.report).to_string();
    let again = read(text.as_bytes(), &context());
    assert_eq!(again.len(), 1, "{text}");
    let Ok(again) = &again[0] else { panic!("{again:?}: {text}") };
    assert_eq!(plain(&again.report), plain(&digest.report), "{text}");
}

/// A report without what depends on the fallbacks around it.
fn plain(report: &TlsReport) -> TlsReport {
    let mut report = report.clone();
    report.policies.iter_mut().for_each(|policy| policy.domain = None);
    report
}

fn write(report: &TlsReport) -> Value {
    let mut entry = json!({
        "date-range": {
            "start-datetime": Timestamp::from_seconds(report.begin).rfc3339(),
            "end-datetime": Timestamp::from_seconds(report.end).rfc3339(),
        },
        "report-id": report.report_id,
        "policies": report.policies.iter().map(write_policy).collect::<Vec<_>>(),
    });
    optional(&mut entry, "organization-name", report.organization_name.as_deref());
    optional(&mut entry, "contact-info", report.contact_info.as_deref());
    entry
}

fn write_policy(policy: &Policy) -> Value {
    let mut entry = json!({"policy": {"policy-type": policy.policy_type.as_str()}, "summary": {}});
    let domain = policy.policy_domain.as_ref().map(DomainName::as_str);
    optional(&mut entry["policy"], "policy-domain", domain);
    entry["policy"]["policy-string"] = json!(policy.policy_strings);
    entry["policy"]["mx-host"] = json!(policy.mx_hosts);
    if let Some(count) = policy.successful {
        entry["summary"]["total-successful-session-count"] = json!(count);
    }
    if let Some(count) = policy.failed {
        entry["summary"]["total-failure-session-count"] = json!(count);
    }
    entry["failure-details"] = policy.failure_details.iter().map(write_detail).collect();
    entry
}

fn write_detail(detail: &FailureDetail) -> Value {
    let source = |source: &Source| match source {
        Source::Ip(ip) => Some(ip.to_string()),
        Source::Text(text) => Some(text.clone()),
        Source::Missing => None,
    };
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
}

fn optional(entry: &mut Value, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        entry[name] = json!(value);
    }
}
