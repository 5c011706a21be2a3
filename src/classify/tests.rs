use super::*;
use crate::mail::Address;

/// The kind of a mail that came from `sender` (`None`: the null path) for `purposes`.
fn kind(
    raw: &str,
    sender: Option<&str>,
    purposes: &[Purpose],
    has_probe_token: bool,
) -> (MessageKind, String) {
    let path = match sender {
        Some(address) => ReversePath::Address(Address::parse(address).unwrap()),
        None => ReversePath::Null,
    };
    let mut envelope = Envelope::without_transport(Origin::Smtp, Timestamp::from_seconds(1_772_500_000));
    envelope.mail_from = Some(path);
    let context = MailContext { envelope: &envelope, purposes, has_probe_token };
    let reading = read_mail(raw.as_bytes(), &context, &mut |_| {});
    (reading.kind, reading.why)
}

fn mail(fields: &str, kind: &str, body: &str) -> String {
    format!("From: a@b.example\r\n{fields}Content-Type: {kind}\r\n\r\n{body}")
}

const REPORT: &str = "<feedback><report_metadata><org_name>o</org_name><report_id>1</report_id></report_metadata>\
    <policy_published><domain>example.com</domain><p>none</p></policy_published><record><row><source_ip>192.0.2.1\
    </source_ip><count>1</count></row><identifiers/></record></feedback>";

#[test]
fn every_kind_has_its_reason() {
    let multi = |kind: &str, part: &str, body: &str| {
        let text = format!("--b\r\n\r\ntext\r\n--b\r\nContent-Type: {part}\r\n\r\n{body}\r\n--b--\r\n");
        mail("", &format!("{kind}; boundary=b"), &text)
    };
    let reports: &[Purpose] = &[Purpose::Reports];
    let cases = [
        (mail("", "text/xml", REPORT), Some("a@b.example"), reports, false, MessageKind::Aggregate),
        (mail("", "text/plain", REPORT), None, reports, false, MessageKind::Aggregate),
        (mail("", "application/gzip; name=x.gz", "\u{1f}cut"), None, reports, false, MessageKind::Aggregate),
        (
            mail("", "application/json", "{\"organization-name\":\"o\",\"policies\":[]}"),
            None,
            reports,
            false,
            MessageKind::Tls,
        ),
        (
            multi(
                "multipart/report; report-type=delivery-status",
                "message/delivery-status",
                "Action: failed",
            ),
            None,
            &[Purpose::Bounce],
            true,
            MessageKind::Bounce,
        ),
        (
            multi("multipart/report", "message/feedback-report", "Feedback-Type: auth-failure"),
            None,
            &[Purpose::Failures],
            false,
            MessageKind::Failure,
        ),
        (
            mail("Subject: Undelivered Mail Returned to Sender\r\n", "text/plain", "sorry"),
            None,
            &[Purpose::Probe],
            true,
            MessageKind::Bounce,
        ),
        (
            mail("X-Failed-Recipients: x@y\r\n", "text/plain", "sorry"),
            Some("a@b.example"),
            &[],
            false,
            MessageKind::Bounce,
        ),
        (
            mail("Subject: probe\r\n", "text/plain", "token"),
            Some("a@b.example"),
            &[Purpose::Probe],
            true,
            MessageKind::Probe,
        ),
        (
            mail("Auto-Submitted: auto-replied (vacation)\r\n", "text/plain", "away"),
            Some("a@b.example"),
            &[],
            false,
            MessageKind::Reply,
        ),
        (
            mail("Subject: Re: hello\r\nIn-Reply-To: <1@x>\r\n", "text/plain", "yes"),
            Some("a@b.example"),
            &[],
            false,
            MessageKind::Reply,
        ),
        (
            mail("Subject: Report Domain: special offer\r\n", "text/plain", "buy"),
            Some("a@b.example"),
            reports,
            false,
            MessageKind::Other,
        ),
        (
            mail("", "application/pdf; name=a.pdf", "%PDF-1"),
            Some("a@b.example"),
            reports,
            false,
            MessageKind::Other,
        ),
        (String::new(), None, reports, false, MessageKind::Other),
    ];
    for (raw, sender, purposes, has_token, want) in cases {
        let (got, why) = kind(&raw, sender, purposes, has_token);
        assert_eq!(got, want, "{why}: {raw}");
        assert!(!why.is_empty());
    }
}

#[test]
fn a_report_in_a_mail_in_an_archive_is_found() {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("a.eml", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(mail("Subject: x\r\n", "text/xml", REPORT).as_bytes()).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let mut places = Vec::new();
    let reading = read_file("a.zip", &bytes, Timestamp::from_seconds(0), &mut |found| match found {
        Found::Aggregate { place, digest, .. } => places.push((place, digest.messages)),
        Found::Tls { .. } | Found::Failure { .. } | Found::Delivery { .. } => {
            panic!("no such report was put in")
        }
    });
    assert_eq!(reading.kind, MessageKind::Aggregate);
    assert_eq!(places, [("a.zip/a.eml/part 1".to_owned(), 1)]);
}

#[test]
fn mails_in_an_archive_do_not_widen_its_budget() {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let large = mail("", "text/plain", &" ".repeat(12 << 20));
    for number in 0..4 {
        writer.start_file(format!("{number}.eml"), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(large.as_bytes()).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    assert!(bytes.len() < large.len() / 250);
    let reading = read_file("a.zip", &bytes, Timestamp::from_seconds(0), &mut |_| {});
    let refused = reading.unreadable.iter().filter(|error| error.kind == UnreadableKind::TooLarge);
    assert_eq!(refused.count(), 3, "16 MiB are free, then the ratio holds: {:?}", reading.unreadable);
}

#[test]
fn a_report_in_an_opaque_signature_is_found() {
    use crate::mail::cms::tests::{signed, value};
    let inner = format!("Content-Type: text/xml\r\n\r\n{REPORT}");
    let mut raw =
        b"From: a@b.example\r\nContent-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\n".to_vec();
    raw.extend(signed(&value(0x04, inner.as_bytes()), value));
    let mut messages = 0;
    let mut found = |found: Found<'_>| {
        if let Found::Aggregate { digest, .. } = found {
            messages += digest.messages;
        }
    };
    let reading = read_file("a.eml", &raw, Timestamp::from_seconds(0), &mut found);
    assert_eq!((reading.kind, reading.aggregates), (MessageKind::Aggregate, 1));
    raw.truncate(200);
    let reading = read_file("a.eml", &raw, Timestamp::from_seconds(0), &mut |_| {});
    assert_eq!(reading.unreadable.first().map(|error| error.kind), Some(UnreadableKind::Unsupported));
    assert_eq!(messages, 1);
}

#[test]
fn bare_files() {
    let cases = [
        ("a.xml", REPORT, MessageKind::Aggregate),
        ("a.json", "{\"organization-name\":\"o\",\"policies\":[]}", MessageKind::Tls),
        ("a.txt", "hello", MessageKind::Other),
        ("a.eml", "hello", MessageKind::Other),
        ("a.xml", "hello", MessageKind::Aggregate),
        ("empty.txt", "", MessageKind::Other),
        ("empty.xml.gz", "", MessageKind::Aggregate),
    ];
    for (name, text, want) in cases {
        let reading = read_file(name, text.as_bytes(), Timestamp::from_seconds(0), &mut |_| {});
        assert_eq!(reading.kind, want, "{name} {}", reading.why);
        assert!(!reading.why.is_empty());
    }
}

/// A notice of a mail system with nothing in one of its parts is no broken report.
#[test]
fn empty_parts_of_a_bounce_are_no_reports() {
    for part in ["message/delivery-status", "image/png; name=icon.png", "message/rfc822", "text/plain"] {
        let text =
            format!("--b\r\n\r\nMessage not delivered.\r\n--b\r\nContent-Type: {part}\r\n\r\n\r\n--b--\r\n");
        let raw = mail(
            "X-Failed-Recipients: x@y.example\r\n",
            "multipart/report; report-type=delivery-status; boundary=b",
            &text,
        );
        let envelope = Envelope::without_transport(Origin::Import, Timestamp::from_seconds(1_772_500_000));
        let context = MailContext { envelope: &envelope, purposes: &[], has_probe_token: false };
        let reading = read_mail(raw.as_bytes(), &context, &mut |_| {});
        assert_eq!((reading.kind, &reading.unreadable), (MessageKind::Bounce, &Vec::new()), "{part}");
    }
}

/// A mail that is cut off says so, and does not blame the reporter's attachment.
#[test]
fn a_mail_cut_off_is_named() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(REPORT.repeat(3).as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    let fields =
        "Content-Type: application/gzip; name=a!b!1!2.xml.gz\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    let head = mail("", "multipart/mixed; boundary=b", &format!("--b\r\n\r\nreport\r\n--b\r\n{fields}"))
        .into_bytes();
    let start = head.len();
    let whole = [head, packed.clone(), b"\r\n--b--\r\n".to_vec()].concat();
    let envelope = Envelope::without_transport(Origin::Import, Timestamp::from_seconds(1_772_500_000));
    let context = MailContext { envelope: &envelope, purposes: &[], has_probe_token: false };
    for end in [start - 6, start, start + 40, start + packed.len() / 2] {
        let reading = read_mail(&whole[..end], &context, &mut |_| {});
        let reasons: Vec<&str> = reading.unreadable.iter().map(|error| error.reason.as_str()).collect();
        assert_eq!(reasons.len(), 1, "{end}: {reasons:?}");
        assert!(reasons[0].contains("mail") && reasons[0].contains("ends early"), "{end}: {reasons:?}");
        assert_eq!(reading.unreadable[0].kind, UnreadableKind::Truncated, "{end}");
    }
}
