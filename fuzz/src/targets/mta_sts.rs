//! Policies and records of MTA-STS, and records of TLS-RPT.

use std::fmt::Write as _;

use mailsonde::dns::Name;
use mailsonde::dns_health::mta_sts::{Mode, StsPolicy, id};
use mailsonde::dns_health::tls_rpt;
use mailsonde::limits;

use super::{hash, place};

/// Caps hold; a sound policy written from what was read is read as the same, with any line ends; a cut one gains
/// nothing but its last line; what is read stood there.
pub fn check(data: &[u8]) {
    let policy = StsPolicy::parse(data);
    check_policy(&policy);
    if policy.faults.is_empty() {
        written(&policy);
        let text = String::from_utf8_lossy(data).replace("\r\n", "\n");
        assert_eq!(StsPolicy::parse(text.as_bytes()), policy, "line ends matter");
        assert_eq!(StsPolicy::parse(text.replace('\n', "\r\n").as_bytes()), policy, "line ends matter");
    }
    // The cut makes at most one line another.
    let cut = StsPolicy::parse(&data[..place(hash(data), data.len())]);
    check_policy(&cut);
    assert!(cut.mx.len() <= policy.mx.len() + 1);
    let text = &*String::from_utf8_lossy(data);
    for line in text.lines().take(20).chain([text]) {
        records(line);
    }
}

fn check_policy(policy: &StsPolicy) {
    assert!(policy.mx.len() <= limits::HEALTH_POLICY_PATTERNS);
    assert!(policy.faults.len() <= limits::HEALTH_POLICY_FAULTS, "{} faults", policy.faults.len());
    for fault in &policy.faults {
        assert!(!fault.contains(char::is_control) && fault.len() <= 1_000, "{fault:?}");
    }
    for pattern in &policy.mx {
        assert!(!pattern.is_empty() && !pattern.contains(char::is_uppercase) && pattern.is_ascii());
        let bare = pattern.strip_prefix("*.").unwrap_or(pattern);
        let name = Name::from_dotted(bare).expect("the pattern is a name");
        assert_eq!(name.as_str(), bare);
        let below = name.below("x");
        if bare.len() == pattern.len() {
            assert!(policy.covers(&name), "{pattern}");
        } else if let Ok(below) = below {
            assert!(policy.covers(&below), "{pattern}");
        }
    }
}

/// Writes a sound policy and reads it.
fn written(policy: &StsPolicy) {
    let (Some(mode), Some(age)) = (policy.mode, policy.max_age) else {
        panic!("a sound policy without mode or age: {policy:?}");
    };
    assert!(age <= 31_557_600);
    assert!(mode == Mode::None || !policy.mx.is_empty());
    let mut text = format!("version: STSv1\r\nmode: {}\r\n", mode.as_str());
    for pattern in &policy.mx {
        let _ = write!(text, "mx: {pattern}\r\n");
    }
    let _ = write!(text, "max_age: {age}");
    assert_eq!(StsPolicy::parse(text.as_bytes()), *policy, "{text}");
}

fn records(text: &str) {
    if let Some(value) = id(text) {
        assert!((1..=32).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert!(text.contains(value));
        assert_eq!(id(&format!("v=STSv1; id={value};")), Some(value));
    }
    let record = tls_rpt::parse(text);
    for uri in &record.rua {
        assert!(text.contains(uri.as_str()) && !uri.contains([',', ';']), "{uri:?}");
    }
    if record.faults.is_empty() {
        let again = tls_rpt::parse(&format!("v=TLSRPTv1;rua={}", record.rua.join(" ,")));
        assert_eq!(again, record, "{text:?}");
    }
}
