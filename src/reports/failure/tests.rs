use proptest::prelude::*;

use super::*;
use crate::mail::Message;
use crate::reports::{UnreadableKind, quirk};

/// A DMARC failure report with every field that the standards have.
const FULL: &str = "Feedback-Type: auth-failure\r\n\
    User-Agent: Reporter/1.0\r\n\
    Version: 1\r\n\
    Original-Mail-From: <bounce+7@bulk.example.org>\r\n\
    Original-Rcpt-To: <user@reporter.example>\r\n\
    Original-Rcpt-To: second@reporter.example\r\n\
    Original-Envelope-Id: 4ABC\r\n\
    Arrival-Date: Sun, 01 Mar 2026 23:30:00 +0100 (CET)\r\n\
    Reporting-MTA: dns; mx.reporter.example\r\n\
    Source-IP: 203.0.113.77\r\n\
    Source-Port: 4227\r\n\
    Incidents: 3\r\n\
    Auth-Failure: dmarc\r\n\
    Reported-Domain: Example.COM\r\n\
    Reported-URI: http://www.example.com/?u=user\r\n\
    Reported-URI: mailto:user@example.com\r\n\
    Removal-Recipient: user@reporter.example\r\n\
    Identity-Alignment: dkim, spf\r\n\
    Delivery-Result: reject\r\n\
    DKIM-Domain: Example.com\r\n\
    DKIM-Identity: user@example.com\r\n\
    DKIM-Selector: s1\r\n\
    DKIM-Selector-DNS: v=DKIM1; p=\r\n\
    DKIM-ADSP-DNS: dkim=all\r\n\
    DKIM-Canonicalized-Header: ZnJvbT\r\n p4\r\n\
    DKIM-Canonicalized-Body: VGV4\r\n dAo=\r\n\
    SPF-DNS: txt : example.com : \"v=spf1 -all\"\r\n\
    X-Internal: ticket 7\r\n\
    Authentication-Results: mx.reporter.example; dmarc=fail (p=reject) header.from=example.com;\r\n\
    \x20spf=fail smtp.mailfrom=bounce+7@bulk.example.org; dkim=none\r\n";

/// The quoted header of the message that [`FULL`] is about.
const HEADER: &str = "Received: from bulk.example.org by mx.reporter.example; Sun, 1 Mar 2026 23:30:00 +0100\r\n\
    DKIM-Signature: v=1; d=Bulk.example.org; s=k1; b=abc=\r\n\
    From: \"Support, <b@c.example>\" <support@example.com>\r\n\
    To: user@reporter.example\r\n\
    Subject: =?utf-8?Q?Your_inv=C3=B6ice?=\r\n\
    Message-ID: <orig-1@bulk.example.org>\r\n\
    List-Id: News <news.example.com>\r\n\
    Feedback-ID: camp:cust:type:sender\r\n\
    Date: Sun, 01 Mar 2026 22:29:58 +0000\r\n";

/// The header fields of a report mail.
const FIELDS: [(&str, &str); 3] = [
    ("From", "Reports <dmarc-noreply@reporter.example>"),
    ("Date", "Sun, 01 Mar 2026 22:31:00 +0000"),
    ("Content-Type", "multipart/report; report-type=feedback-report; boundary=b"),
];

/// A part of that type.
fn part<'a>(content_type: &'a str, text: &'a str) -> FailurePart<'a> {
    FailurePart { content_type, bytes: text.as_bytes(), is_cut: false }
}

/// Reads a mail of these parts.
fn reports(parts: &[FailurePart<'_>]) -> Vec<FailureReport> {
    read(&FailureMail { fields: &FIELDS, parts }).unwrap()
}

/// Reads a mail of a machine-readable part and a quoted header.
#[track_caller]
fn one(machine: &str) -> FailureReport {
    let parts = [part("message/feedback-report", machine), part("text/rfc822-headers", HEADER)];
    let mut reports = reports(&parts);
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// The names of all deviations.
fn names(report: &FailureReport) -> Vec<&'static str> {
    report.deviations.names().collect()
}

#[test]
fn every_field_is_read() {
    let report = one(FULL);
    assert_eq!(names(&report), [quirk::FEEDBACK_FIELD_UNKNOWN]);
    assert_eq!(report.form, Form::Feedback);
    assert_eq!(report.feedback_type, FeedbackType::AuthFailure);
    assert!(report.is_authentication_failure());
    assert_eq!(report.user_agent.as_deref(), Some("Reporter/1.0"));
    assert_eq!(report.version.as_deref(), Some("1"));
    assert_eq!(report.reporter.as_ref().map(DomainName::as_str), Some("reporter.example"));
    assert_eq!(report.reporting_mta.as_deref(), Some("mx.reporter.example"));
    assert_eq!(report.arrived_at, Some(1_772_404_200));
    assert_eq!(report.incidents, 3);
    assert_eq!(report.source, Source::Ip("203.0.113.77".parse().unwrap()));
    assert_eq!((report.source_host.clone(), report.source_port), (None, Some(4227)));
    assert_eq!(report.reported_domains, [DomainName::parse("example.com").unwrap()]);
    assert_eq!(report.auth_failure, AuthFailure::Dmarc);
    assert_eq!((&report.delivery_result, &report.delivery_written), (&DeliveryResult::Reject, &None));
    assert_eq!(report.identity_alignment, ["dkim", "spf"]);
    assert_eq!((report.spf_aligned, report.dkim_aligned), (None, None));
    assert_eq!(report.dkim_domain.as_deref(), Some("example.com"));
    assert_eq!(report.dkim_selector.as_deref(), Some("s1"));
    assert_eq!(report.dkim_selector_dns.as_deref(), Some("v=DKIM1; p="));
    assert_eq!(report.dkim_adsp_dns.as_deref(), Some("dkim=all"));
    assert_eq!(report.spf_dns, ["txt : example.com : \"v=spf1 -all\""]);
    let personal = report.personal.reveal();
    assert_eq!(personal.mail_from.as_deref(), Some("bounce+7@bulk.example.org"));
    assert_eq!(personal.rcpt_to, ["user@reporter.example", "second@reporter.example"]);
    assert_eq!(personal.envelope_id.as_deref(), Some("4ABC"));
    assert_eq!(personal.reported_uris, ["http://www.example.com/?u=user", "mailto:user@example.com"]);
    assert_eq!(personal.removal_recipients, ["user@reporter.example"]);
    assert_eq!(personal.dkim_identity.as_deref(), Some("user@example.com"));
    assert_eq!(personal.dkim_canonicalized_header.as_deref(), Some("ZnJvbTp4"));
    assert_eq!(personal.dkim_canonicalized_body.as_deref(), Some("VGV4dAo="));
    assert_eq!(personal.extensions, [("X-Internal".to_owned(), "ticket 7".to_owned())]);
    let results = &personal.results[0];
    assert_eq!(results.authserv_id.as_deref(), Some("mx.reporter.example"));
    assert_eq!(results.method("spf").unwrap().property("smtp.mailfrom"), Some("bounce+7@bulk.example.org"));
    assert_eq!(results.method("dmarc").unwrap().result, "fail");

    let original = report.original.as_ref().unwrap();
    assert!(original.is_headers_only);
    assert_eq!(original.header_from.as_ref().map(DomainName::as_str), Some("example.com"));
    assert_eq!(original.date, Some(1_772_404_198));
    assert_eq!(original.dkim_signatures, [("bulk.example.org".to_owned(), "k1".to_owned())]);
    assert_eq!(original.list_id.as_deref(), Some("news.example.com"));
    assert_eq!(original.feedback_id.as_deref(), Some("camp:cust:type:sender"));
    let quoted = original.personal.reveal();
    assert_eq!(quoted.from_address.as_deref(), Some("support@example.com"));
    assert_eq!(quoted.subject.as_deref(), Some("Your inv\u{f6}ice"));
    assert_eq!(quoted.message_id.as_deref(), Some("orig-1@bulk.example.org"));
}

#[test]
fn no_field_is_needed() {
    // (lines of the machine-readable part, a deviation that it has, what must hold)
    type Check = fn(&FailureReport) -> bool;
    let cases: [(&str, Option<&str>, Check); 24] = [
        ("Feedback-Type: abuse", Some(quirk::FEEDBACK_USER_AGENT_MISSING), |r| {
            r.feedback_type == FeedbackType::Abuse && !r.is_authentication_failure() && r.incidents == 1
        }),
        ("User-Agent: x", Some(quirk::FEEDBACK_TYPE_MISSING), |r| r.feedback_type == FeedbackType::Missing),
        ("Feedback-Type: Fraud (phishing)", None, |r| r.feedback_type == FeedbackType::Fraud),
        ("Feedback-Type: dmarc", Some(quirk::FEEDBACK_TYPE_UNKNOWN), |r| r.feedback_type.as_str() == "dmarc"),
        ("Feedback-Type: auth-failure", Some(quirk::FEEDBACK_AUTH_FAILURE_MISSING), |r| {
            r.is_authentication_failure()
        }),
        ("Auth-Failure: dmarc", Some(quirk::FEEDBACK_IDENTITY_ALIGNMENT_MISSING), |r| {
            r.is_authentication_failure()
        }),
        ("Auth-Failure: gremlins", Some(quirk::FEEDBACK_AUTH_FAILURE_UNKNOWN), |r| {
            r.auth_failure.as_str() == "gremlins"
        }),
        (
            "Version: 1\nSource-IP: 148.163.85.135 (Host.example.org)",
            Some(quirk::FEEDBACK_SOURCE_REWRITTEN),
            |r| {
                r.source == Source::Ip("148.163.85.135".parse().unwrap())
                    && r.source_host.as_deref() == Some("host.example.org")
            },
        ),
        ("Source-IP: [IPv6:2001:db8::1]", Some(quirk::FEEDBACK_SOURCE_REWRITTEN), |r| {
            r.source == Source::Ip("2001:db8::1".parse().unwrap())
        }),
        ("Source-IP: unknown", Some(quirk::FEEDBACK_SOURCE_TEXT), |r| {
            r.source == Source::Text("unknown".into())
        }),
        ("Version: 1", Some(quirk::FEEDBACK_SOURCE_MISSING), |r| r.source == Source::Missing),
        ("Source-Port: 99999\nVersion: 1", Some(quirk::FEEDBACK_SOURCE_PORT_UNREADABLE), |r| {
            r.source_port.is_none()
        }),
        ("Incidents: -2", Some(quirk::FEEDBACK_INCIDENTS_UNREADABLE), |r| r.incidents == 1),
        ("Received-Date: Wed, 14 Apr 2010 12:15:31 -0700 (PDT)", None, |r| {
            r.arrived_at == Some(1_271_272_531)
        }),
        ("Arrival-Date: Sun, 01 Mar 2026 22:30:00", Some(quirk::FEEDBACK_ARRIVAL_WITHOUT_ZONE), |r| {
            r.arrived_at == Some(1_772_404_200)
        }),
        ("Arrival-Date: yesterday", Some(quirk::FEEDBACK_ARRIVAL_FALLBACK), |r| {
            r.arrived_at == Some(1_772_404_260)
        }),
        ("Delivery-Result: smg-policy-action", Some(quirk::FEEDBACK_DELIVERY_RESULT_MAPPED), |r| {
            r.delivery_result == DeliveryResult::Policy
                && r.delivery_written.as_deref() == Some("smg-policy-action")
        }),
        ("Delivery-Result: Delivered to inbox", Some(quirk::FEEDBACK_DELIVERY_RESULT_MAPPED), |r| {
            r.delivery_result == DeliveryResult::Delivered
        }),
        ("Delivery-Result: vanished", Some(quirk::FEEDBACK_DELIVERY_RESULT_UNKNOWN), |r| {
            r.delivery_result.as_str() == "vanished"
        }),
        ("Reported-Domain: a b", Some(quirk::FEEDBACK_REPORTED_DOMAIN_INVALID), |r| {
            r.reported_domains == [DomainName::parse("example.com").unwrap()]
        }),
        ("Identity-Alignment: dkim,dara", Some(quirk::FEEDBACK_IDENTITY_ALIGNMENT_UNKNOWN), |r| {
            r.identity_alignment == ["dkim", "dara"]
        }),
        ("Original-Mail-From:", None, |r| r.personal.reveal().mail_from.as_deref() == Some("")),
        ("Version: 1\nVersion: 2", Some(quirk::FEEDBACK_FIELD_TWICE), |r| r.version.as_deref() == Some("1")),
        ("Source-IP: 192.0.2=\n.1\nVersion: 1", Some(quirk::FEEDBACK_SOFT_BREAK), |r| {
            r.source == Source::Ip("192.0.2.1".parse().unwrap())
        }),
    ];
    for (machine, want, holds) in cases {
        let report = one(machine);
        assert!(holds(&report), "{machine}: {report:?}");
        if let Some(name) = want {
            assert!(names(&report).contains(&name), "{machine}: {:?}", names(&report));
        }
    }
}

#[test]
fn the_machine_part_hides_in_many_ways() {
    let base64 = data_encoding::BASE64.encode(FULL.as_bytes());
    let lines: Vec<_> = base64.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let folded = lines.join("\r\n");
    let cases = [
        ("message/feedback-report", FULL, None),
        ("Message/Feedback_Report", FULL, None),
        ("text/plain", FULL, Some(quirk::FEEDBACK_MACHINE_PART_TYPE)),
        ("application/octet-stream", FULL, Some(quirk::FEEDBACK_MACHINE_PART_TYPE)),
        ("message/feedback-report", &folded, Some(quirk::FEEDBACK_MACHINE_PART_BASE64)),
    ];
    for (content_type, text, want) in cases {
        let parts = [
            part("text/plain", "This is a report.\r\n"),
            part(content_type, text),
            part("message/rfc822", HEADER),
        ];
        let found = reports(&parts);
        assert_eq!(found.len(), 1, "{content_type}");
        assert_eq!(found[0].source, Source::Ip("203.0.113.77".parse().unwrap()), "{content_type}");
        if let Some(name) = want {
            assert!(names(&found[0]).contains(&name), "{content_type}");
        }
    }
}

#[test]
fn the_quoted_message_has_many_types() {
    let whole = format!("{HEADER}\r\nHello\r\n");
    let cases = [
        ("message/rfc822", whole.as_str(), Some(false), None),
        ("message/rfc822", HEADER, Some(true), None),
        ("text/rfc822-headers", HEADER, Some(true), None),
        ("text/rfc822-headers", whole.as_str(), Some(true), None),
        ("text/rfc-822", HEADER, Some(true), Some(quirk::FEEDBACK_ORIGINAL_TYPE)),
        ("message/rfc-822", whole.as_str(), Some(false), Some(quirk::FEEDBACK_ORIGINAL_TYPE)),
        ("message/rfc822-headers", HEADER, Some(true), Some(quirk::FEEDBACK_ORIGINAL_TYPE)),
        ("message/global-headers", HEADER, Some(true), None),
        ("text/plain", HEADER, Some(true), Some(quirk::FEEDBACK_ORIGINAL_TYPE)),
        ("application/pdf", "%PDF", None, Some(quirk::FEEDBACK_ORIGINAL_MISSING)),
        ("message/rfc822", "", None, Some(quirk::FEEDBACK_ORIGINAL_MISSING)),
    ];
    for (content_type, text, is_headers_only, want) in cases {
        let found = reports(&[part("message/feedback-report", FULL), part(content_type, text)]);
        let original = found[0].original.as_ref();
        assert_eq!(original.map(|original| original.is_headers_only), is_headers_only, "{content_type}");
        match want {
            Some(name) => assert!(names(&found[0]).contains(&name), "{content_type}"),
            None => assert_eq!(names(&found[0]), [quirk::FEEDBACK_FIELD_UNKNOWN], "{content_type}"),
        }
    }
}

#[test]
fn several_reports_in_one_mail() {
    let other = FULL.replace("203.0.113.77", "203.0.113.78");
    let other_header = HEADER.replace("support@example.com", "x@example.net");
    let parts = [
        part("text/plain", "Two reports."),
        part("message/feedback-report", FULL),
        part("text/rfc822-headers", HEADER),
        part("message/feedback-report", &other),
        part("text/rfc822-headers", &other_header),
    ];
    let found = reports(&parts);
    let short: Vec<_> = found
        .iter()
        .map(|report| {
            (report.shown(&Redactor::new(b"k")).source_ip.unwrap(), report.header_from().unwrap().to_string())
        })
        .collect();
    assert_eq!(
        short,
        [("203.0.113.77".into(), "example.com".into()), ("203.0.113.78".into(), "example.net".to_owned())]
    );
}

#[test]
fn what_is_no_report_and_what_tells_nothing() {
    let plain: [(&str, &str); 1] = [("Content-Type", "multipart/mixed; boundary=b")];
    let parts = [part("text/plain", "Hello\r\n"), part("message/rfc822", HEADER)];
    assert_eq!(read(&FailureMail { fields: &plain, parts: &parts }), Ok(Vec::new()));
    assert!(!is_feedback(&FailureMail { fields: &plain, parts: &parts }));
    assert_eq!(read(&FailureMail::default()), Ok(Vec::new()));

    for parts in [
        vec![],
        vec![part("message/feedback-report", "")],
        vec![part("message/feedback-report", "words\r\n")],
    ] {
        let mail = FailureMail { fields: &FIELDS, parts: &parts };
        assert!(is_feedback(&mail));
        assert_eq!(read(&mail).unwrap_err().kind, UnreadableKind::Incomplete);
    }
    // Somebody who speaks of a notice.
    let words =
        "I got this: \"A message claiming to be from you has failed the published DMARC policy\". What now?";
    let parts = [part("text/plain", words)];
    assert_eq!(read(&FailureMail { fields: &plain, parts: &parts }), Ok(Vec::new()));
    // No machine-readable part, but words and a quote.
    let parts = [
        part(
            "text/plain",
            "a report for a message received from IP 192.0.2.1 on Thu, 8 Mar 2005 14:00:00 EDT.",
        ),
        part("message/rfc822", HEADER),
    ];
    let report = reports(&parts).remove(0);
    assert_eq!((report.form, report.arrived_at), (Form::Notice, Some(1_110_304_800)));
    assert!(names(&report).contains(&quirk::FEEDBACK_SOURCE_FALLBACK));
}

#[test]
fn notices_in_words() {
    let text = "A message claiming to be from you has failed the published DMARC\r\npolicy for your domain.\r\n\r\n\
        \x20 Sender Domain: Example.com\r\n  Sender IP Address: 203.0.113.68\r\n\
        \x20 Received date: Mon, 07 Apr 2025 23:16:09 +0200\r\n  SPF Alignment: no\r\n  DKIM Alignment: yes\r\n\
        \x20 DMARC Results: None, Accept\r\n\r\n\
        ------ This is a copy of the headers that were received before the error was detected.\r\n\r\n";
    let text = format!("{text}{HEADER}");
    let fields = [("From", "no-reply@node.example.net"), ("Content-Type", "text/plain")];
    let parts = [part("text/plain", &text)];
    let mail = FailureMail { fields: &fields, parts: &parts };
    assert!(is_feedback(&mail));
    let report = read(&mail).unwrap().remove(0);
    assert_eq!(report.form, Form::Notice);
    assert_eq!(report.source, Source::Ip("203.0.113.68".parse().unwrap()));
    assert_eq!(report.arrived_at, Some(1_744_060_569));
    assert_eq!((report.spf_aligned, report.dkim_aligned), (Some(false), Some(true)));
    assert_eq!(report.delivery_result, DeliveryResult::Delivered);
    assert_eq!(report.delivery_written.as_deref(), Some("None, Accept"));
    assert_eq!(report.header_from().map(DomainName::as_str), Some("example.com"));
    assert!(report.original.unwrap().is_headers_only);
}

#[test]
fn complaints_without_a_machine_part() {
    let quoted = format!("X-HmXmrOriginalRecipient: <user@hotmail.example>\r\n{HEADER}\r\nbody\r\n");
    let fields = [("Subject", "complaint about message from 192.0.2.9"), ("From", "staff@hotmail.example")];
    let parts = [part("message/rfc822", &quoted)];
    let mail = FailureMail { fields: &fields, parts: &parts };
    assert!(is_feedback(&mail));
    let report = read(&mail).unwrap().remove(0);
    assert_eq!((report.form, &report.feedback_type), (Form::Complaint, &FeedbackType::Abuse));
    assert_eq!(report.source, Source::Ip("192.0.2.9".parse().unwrap()));
    assert_eq!(report.personal.reveal().rcpt_to, ["user@hotmail.example"]);
    assert_eq!(report.shown(&Redactor::new(b"k")).campaign.as_deref(), Some("camp:cust:type:sender"));
}

// ---- Persons ----

/// Everything in [`FULL`] and [`HEADER`] that identifies a person.
const PERSONS: [&str; 10] = [
    "bounce+7",
    "user@",
    "second@",
    "u=user",
    "support@",
    "Support",
    "inv\u{f6}ice",
    "orig-1",
    "4ABC",
    "ticket 7",
];

#[test]
fn persons_are_hidden_unless_revealed() {
    let report = one(FULL);
    let redactor = Redactor::new(b"a key of the installation");
    let shown = report.shown(&redactor);
    let (hidden, debug) = (format!("{shown:?}"), format!("{report:?}"));
    for person in PERSONS {
        assert!(!hidden.contains(person), "{person}: {hidden}");
        assert!(!debug.contains(person), "{person}: {debug}");
    }
    assert!(!shown.is_revealed);
    assert!(shown.mail_from.as_ref().unwrap().ends_with("@bulk.example.org"));
    assert_eq!(shown.rcpt_to[0], redactor.address("user@reporter.example"));
    assert!(shown.original_subject.unwrap().starts_with('~'));
    assert_eq!(shown.reported_uris[0], "http://www.example.com/…");
    assert_eq!(shown.original_signatures, ["k1._domainkey.bulk.example.org"]);
    assert_eq!(shown.extensions, ["X-Internal"]);
    // Names are written by the reporter, too.
    let named = one(&FULL.replace("X-Internal:", "X-For-user@reporter.example:"));
    let shown = named.shown(&redactor);
    assert!(
        !shown.extensions.is_empty() && !format!("{shown:?}").contains("user@"),
        "{:?}",
        shown.extensions
    );

    let revealed = report.revealed();
    assert!(revealed.is_revealed);
    let text = format!("{revealed:?}");
    for person in ["bounce+7", "user@", "second@", "u=user", "support@", "Support", "orig-1", "ticket 7"] {
        assert!(text.contains(person), "{person}");
    }
    assert_eq!(revealed.original_subject.as_deref(), Some("Your inv\u{f6}ice"));
}

#[test]
fn deviations_name_no_person() {
    // Addresses where something else belongs.
    let machine = "Feedback-Type: person@example.com\nVersion: 1\nSource-IP: person@example.com\n\
        Source-Port: person@example.com\nIncidents: person@example.com\nReported-Domain: person@example.com\n\
        Delivery-Result: person@example.com\nAuth-Failure: person@example.com\n\
        Arrival-Date: person@example.com\nIdentity-Alignment: person@example.com\n";
    let report = one(machine);
    assert!(!format!("{:?}", report.deviations).contains("person"), "{:?}", report.deviations);
    assert!(!format!("{:?}", report.shown(&Redactor::new(b"k"))).contains("person"));
}

// ---- Whole mails ----

/// A mail with [`FULL`] and a quoted message whose boundary is that of the mail.
fn mail(report_type: &str, quoted: &str) -> String {
    format!(
        "From: r@reporter.example\r\nDate: Sun, 01 Mar 2026 22:31:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: {report_type}; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nWords.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\n{FULL}\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\n{quoted}\r\n--b--\r\n"
    )
}

#[test]
fn whole_mails() {
    let report = "multipart/report; report-type=feedback-report";
    let quoted = format!("{HEADER}\r\nHello\r\n");
    for kind in [report, "multipart/report", "multipart/mixed"] {
        let raw = mail(kind, &quoted);
        let found = read_message(&Message::parse(raw.as_bytes())).unwrap();
        assert_eq!(found.len(), 1, "{kind}");
        let original = found[0].original.as_ref().unwrap();
        assert!(!original.is_headers_only, "{kind}");
        assert_eq!(original.header_from.as_ref().map(DomainName::as_str), Some("example.com"));
    }
    // A report that somebody forwards.
    let forwarded = format!(
        "From: admin@example.com\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n\r\nlook\r\n\
         --f\r\nContent-Type: message/rfc822\r\n\r\n{}\r\n--f--\r\n",
        mail(report, &quoted)
    );
    let found = read_message(&Message::parse(forwarded.as_bytes())).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].reporter.as_ref().map(DomainName::as_str), Some("reporter.example"));
    // A mail that holds none.
    let plain = "From: a@b.example\r\nSubject: x\r\n\r\nHello\r\n";
    assert_eq!(read_message(&Message::parse(plain.as_bytes())), Ok(Vec::new()));
}

#[test]
fn a_field_cut_in_the_middle_is_left_out() {
    let raw = mail("multipart/report; report-type=feedback-report", HEADER);
    let at = raw.find("203.0.113.77").unwrap() + "203.0.113.7".len();
    let found = read_message(&Message::parse(&raw.as_bytes()[..at])).unwrap();
    assert_eq!(found[0].source, Source::Missing);
    assert!(names(&found[0]).contains(&quirk::FEEDBACK_MACHINE_PART_CUT));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A mail cut anywhere gives at most one report, and only values that stood in it.
    #[test]
    fn any_cut_is_read_or_refused(at in any::<prop::sample::Index>()) {
        let raw = mail("multipart/report; report-type=feedback-report", &format!("{HEADER}\r\nHello\r\n"));
        let cut = &raw.as_bytes()[..at.index(raw.len())];
        match read_message(&Message::parse(cut)) {
            Ok(found) => {
                prop_assert!(found.len() <= 1);
                for report in &found {
                    let whole = one(FULL);
                    prop_assert!(report.source == Source::Missing || report.source == whole.source);
                    prop_assert!(report.incidents == 1 || report.incidents == whole.incidents);
                    prop_assert!(report.source_port.is_none() || report.source_port == whole.source_port);
                }
            }
            Err(error) => prop_assert_eq!(error.kind, UnreadableKind::Incomplete),
        }
    }

    /// Any bytes in any role are read or refused, and showing them hides every local part.
    #[test]
    fn any_bytes_give_a_result(bytes in prop::collection::vec(any::<u8>(), 0..300), lines in "([A-Za-z-]{1,12}: [ -~]{0,40}\r?\n){0,8}") {
        for content in [bytes.as_slice(), lines.as_bytes()] {
            for content_type in ["message/feedback-report", "text/plain", "message/rfc822", ""] {
                let parts = [
                    FailurePart { content_type, bytes: content, is_cut: true },
                    part("message/feedback-report", FULL),
                    FailurePart { content_type, bytes: content, is_cut: true },
                ];
                for report in read(&FailureMail { fields: &FIELDS, parts: &parts }).unwrap_or_default() {
                    let shown = report.shown(&Redactor::new(b"k"));
                    prop_assert!(!shown.is_revealed);
                }
            }
            let _ = read_message(&Message::parse(content));
        }
    }

    /// No local part survives the redactor, wherever the address stands.
    #[test]
    fn no_local_part_survives(before in "[ -~]{0,20}", local in "[a-z]{6,12}", after in "[ ;,>)]?[ -~]{0,20}") {
        let text = format!("{before}{local}@example.com{after}");
        let shown = Redactor::new(b"k").text(&text);
        prop_assert!(!shown.contains(&format!("{local}@")), "{shown}");
    }
}
