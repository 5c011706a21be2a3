//! TLS reports and failure reports for benchmarks, the same in every run.

use std::fmt::Write as _;
use std::io::{Result, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::reports::Random;

/// Why sessions fail.
const RESULTS: [&str; 4] =
    ["certificate-expired", "starttls-not-supported", "validation-failure", "sts-webpki-invalid"];

/// The text of TLS report `number`: one to three policies, up to five failures each (RFC 8460 appendix B).
fn tls(number: u64) -> String {
    let mut random = Random::new(number);
    let day = 1 + number % 28;
    let mut text = format!(
        "{{\"organization-name\":\"Reporter {}\",\"date-range\":{{\"start-datetime\":\"2026-02-{day:02}T00:00:00Z\",\
         \"end-datetime\":\"2026-02-{day:02}T23:59:59Z\"}},\"contact-info\":\"tls@reporter.example\",\
         \"report-id\":\"{number}\",\"policies\":[",
        number % 40
    );
    for policy in 0..=random.below(3) {
        let domain = format!("d{:02}.example", random.below(50));
        let comma = if policy > 0 { "," } else { "" };
        let _ = write!(
            text,
            "{comma}{{\"policy\":{{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: enforce\",\
             \"mx: *.{domain}\",\"max_age: 604800\"],\"policy-domain\":\"{domain}\",\"mx-host\":[\"*.{domain}\"]}},\
             \"summary\":{{\"total-successful-session-count\":{},\"total-failure-session-count\":",
            random.below(9_000)
        );
        let failures: Vec<u64> = (0..random.below(6)).map(|_| 1 + random.below(99)).collect();
        let _ = write!(text, "{}}},\"failure-details\":[", failures.iter().sum::<u64>());
        for (at, sessions) in failures.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(
                text,
                "{comma}{{\"result-type\":\"{}\",\"sending-mta-ip\":\"192.0.2.{}\",\"receiving-mx-hostname\":\
                 \"mx{at}.{domain}\",\"receiving-ip\":\"203.0.113.{}\",\"failed-session-count\":{sessions}}}",
                random.pick(&RESULTS),
                random.below(255),
                random.below(255),
            );
        }
        text.push_str("]}");
    }
    text + "]}"
}

/// The mail of failure report `number` (RFC 9991 appendix B).
pub(crate) fn failure(number: u64) -> String {
    let mut random = Random::new(number);
    let (domain, source) = (format!("d{:02}.example", random.below(50)), random.below(255));
    let (day, second) = (1 + number % 28, number % 60);
    format!(
        "From: ruf@reporter.example\r\nTo: ruf@monitor.example\r\nSubject: FW: invoice {number}\r\nDate: Sun, {day:02} Feb \
         2026 10:00:{second:02} +0000\r\nMessage-ID: <{number}@reporter.example>\r\nMIME-Version: 1.0\r\nContent-Type: \
         multipart/report; report-type=feedback-report; boundary=\"b{number}\"\r\n\r\n--b{number}\r\nContent-Type: \
         text/plain\r\n\r\nA message did not authenticate.\r\n--b{number}\r\nContent-Type: message/feedback-report\r\n\r\n\
         Feedback-Type: auth-failure\r\nUser-Agent: Reporter/2.0\r\nVersion: 1\r\nAuth-Failure: dmarc\r\n\
         Identity-Alignment: dkim, spf\r\nDelivery-Result: policy\r\nOriginal-Mail-From: <b{number}@bulk.example>\r\n\
         Original-Rcpt-To: <u{number}@reporter.example>\r\nArrival-Date: Sun, {day:02} Feb 2026 09:59:{second:02} +0000\r\n\
         Source-IP: 203.0.113.{source}\r\nReported-Domain: {domain}\r\nAuthentication-Results: mx.reporter.example; \
         dmarc=fail header.from={domain}; spf=pass smtp.mailfrom=bulk.example\r\n--b{number}\r\nContent-Type: \
         text/rfc822-headers\r\n\r\nReceived: from host{source}.example (host{source}.example [203.0.113.{source}])\r\n\tby \
         mx.reporter.example with ESMTP id {number}; Sun, {day:02} Feb 2026 09:59:{second:02} +0000\r\nFrom: \"Accounts\" \
         <billing@{domain}>\r\nTo: u{number}@reporter.example\r\nSubject: invoice {number}\r\nDate: Sun, {day:02} Feb 2026 \
         09:59:00 +0000\r\nMessage-ID: <{number}@host{source}.example>\r\n\r\n--b{number}--\r\n"
    )
}

/// Writes `count` TLS reports, gzip, into a new folder.
pub(crate) fn write_tls(folder: &Path, count: u64) -> Result<()> {
    std::fs::create_dir(folder)?;
    for number in 0..count {
        let file = std::fs::File::create(folder.join(format!("{number:05}.json.gz")))?;
        let mut writer = GzEncoder::new(file, Compression::default());
        writer.write_all(tls(number).as_bytes())?;
        writer.finish()?;
    }
    Ok(())
}

/// Writes `count` failure reports, mails, into a new folder.
pub(crate) fn write_failures(folder: &Path, count: u64) -> Result<()> {
    std::fs::create_dir(folder)?;
    for number in 0..count {
        std::fs::write(folder.join(format!("{number:05}.eml")), failure(number))?;
    }
    Ok(())
}
