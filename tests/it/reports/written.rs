//! What a writer of ours writes is what is read: heads and policies of aggregate reports, failure reports, bounces. Values
//! are drawn from a seed, which a failure names.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use mailsonde::clock::Timestamp;
use mailsonde::mail::Message;
use mailsonde::mail::delivery_status::{self, DeliveryReport, Input};
use mailsonde::reports::aggregate::{AggregateReport, Reader};
use mailsonde::reports::failure::{FailureReport, read_message};

/// Documents of each kind.
const SEEDS: u64 = 300;

/// Random values, the same for the same seed.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap()]
    }

    fn word(&mut self) -> String {
        let length = 1 + self.below(10);
        (0..length).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap())).collect()
    }

    fn domain(&mut self) -> String {
        format!("{}.{}.example", self.word(), self.word())
    }

    fn address(&mut self) -> String {
        format!("{}@{}", self.word(), self.domain())
    }

    /// Words with what must be escaped in XML, and letters beyond ASCII.
    fn text(&mut self) -> String {
        let mut text = self.word();
        for _ in 0..self.below(5) {
            text.push_str(self.of(&[" ", " & ", " <", "> ", "\"", "'", " ü ", " 報告 ", "-", "_", "."]));
            text.push_str(&self.word());
        }
        text
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.coin() { Some(value(self)) } else { None }
    }
}

// ---- Aggregate reports ----

/// One element, where there is a value.
fn element(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        write!(out, "<{name}>{value}</{name}>").unwrap();
    }
}

/// The head of a report as RFC 9990 (or RFC 7489) has it.
fn write_head(report: &AggregateReport) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback");
    if let Some(namespace) = &report.namespace {
        write!(out, " xmlns=\"{namespace}\"").unwrap();
    }
    out.push('>');
    element(&mut out, "version", report.version.as_deref());
    out.push_str("<report_metadata>");
    element(&mut out, "org_name", report.org_name.as_deref());
    element(&mut out, "email", report.email.as_deref());
    element(&mut out, "extra_contact_info", report.extra_contact_info.as_deref());
    element(&mut out, "report_id", Some(&report.report_id));
    write!(out, "<date_range><begin>{}</begin><end>{}</end></date_range>", report.begin, report.end).unwrap();
    for error in &report.errors {
        element(&mut out, "error", Some(error));
    }
    element(&mut out, "generator", report.generator.as_deref());
    out.push_str("</report_metadata><policy_published>");
    let policy = &report.policy;
    element(&mut out, "domain", policy.domain.as_ref().map(mailsonde::mail::DomainName::as_str));
    for (name, value) in [
        ("adkim", &policy.adkim),
        ("aspf", &policy.aspf),
        ("p", &policy.p),
        ("sp", &policy.sp),
        ("np", &policy.np),
        ("pct", &policy.pct),
        ("fo", &policy.fo),
        ("testing", &policy.testing),
        ("discovery_method", &policy.discovery_method),
    ] {
        element(&mut out, name, value.as_deref());
    }
    out.push_str(
        "</policy_published><record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated>\
         <disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row><identifiers>\
         <header_from>a.example</header_from></identifiers><auth_results><spf><domain>a.example</domain>\
         <result>pass</result></spf></auth_results></record></feedback>\n",
    );
    out
}

/// A head with any of its fields.
fn draw_head(draw: &mut Draw) -> AggregateReport {
    let words = |draw: &mut Draw, words: &[&str]| draw.maybe(|draw| draw.of(words).to_owned());
    let policies = ["none", "quarantine", "reject"];
    let begin = 1_700_000_000 + i64::try_from(draw.below(50_000_000)).unwrap();
    let mut report = AggregateReport {
        version: words(draw, &["1.0", "1", "0.1"]),
        namespace: draw.maybe(|_| "urn:ietf:params:xml:ns:dmarc-2.0".to_owned()),
        org_name: Some(draw.text()),
        email: Some(draw.address()),
        extra_contact_info: draw.maybe(Draw::text),
        report_id: format!("{}.{}@{}", draw.word(), draw.below(1 << 40), draw.domain()),
        begin,
        end: begin + 86_399,
        generator: draw.maybe(Draw::text),
        errors: (0..draw.below(4)).map(|_| draw.text()).collect(),
        ..AggregateReport::default()
    };
    let policy = &mut report.policy;
    policy.domain = mailsonde::mail::DomainName::parse(&draw.domain());
    policy.p = Some(draw.of(&policies).to_owned());
    policy.sp = words(draw, &policies);
    policy.np = words(draw, &policies);
    policy.adkim = words(draw, &["r", "s"]);
    policy.aspf = words(draw, &["r", "s"]);
    policy.pct = draw.maybe(|draw| draw.below(101).to_string());
    policy.fo = words(draw, &["0", "1", "d", "s", "1:d:s"]);
    policy.testing = words(draw, &["y", "n"]);
    policy.discovery_method = words(draw, &["psl", "treewalk"]);
    report
}

#[test]
fn heads_of_aggregate_reports_are_read_as_written() {
    for seed in 0..SEEDS {
        let written = draw_head(&mut Draw::new(seed));
        let text = write_head(&written);
        let mut reader = Reader::new(text.as_bytes());
        let mut records = 0;
        let mut each = |_: &mut _| {
            records += 1;
            ControlFlow::Continue(())
        };
        let read = reader.next_report(&mut each).unwrap().unwrap();
        assert_eq!((read.begin, read.end), (Some(written.begin), Some(written.end)), "seed {seed}: {text}");
        let mut report = read.report;
        (report.begin, report.end) = (written.begin, written.end);
        assert_eq!(report, written, "seed {seed}: {text}");
        assert_eq!(records, 1, "seed {seed}");
    }
}

// ---- Failure reports ----

/// A mail with a feedback report, and what must be read in it: name and value.
fn draw_failure(draw: &mut Draw) -> (String, Vec<(&'static str, String)>) {
    let mut fields = String::new();
    let mut expected = Vec::new();
    let mut field = |name: &str, value: &str, key: &'static str, read: &str| {
        write!(fields, "{name}: {value}\r\n").unwrap();
        expected.push((key, read.to_owned()));
    };
    field("Feedback-Type", "auth-failure", "type", "auth-failure");
    let agent = format!("{}/{}", draw.word(), draw.below(10));
    field("User-Agent", &agent, "agent", &agent);
    field("Version", "1", "version", "1");
    let failed = draw.of(&["adsp", "bodyhash", "revoked", "signature", "spf", "dmarc"]);
    field("Auth-Failure", failed, "failed", failed);
    let aligned = draw.of(&["none", "spf", "dkim", "dkim, spf"]);
    field("Identity-Alignment", aligned, "aligned", &aligned.replace(' ', ""));
    let result = draw.of(&["delivered", "spam", "policy", "reject", "other"]);
    field("Delivery-Result", result, "result", result);
    let at = 1_700_000_000 + i64::try_from(draw.below(50_000_000)).unwrap();
    let date = Timestamp::from_seconds(at);
    field("Arrival-Date", &rfc5322(date), "arrived", &at.to_string());
    let source = format!("192.0.2.{}", draw.below(256));
    field("Source-IP", &source, "source", &source);
    let port = (1 + draw.below(65_535)).to_string();
    field("Source-Port", &port, "port", &port);
    let domain = draw.domain();
    field("Reported-Domain", &domain, "domain", &domain);
    let mta = draw.domain();
    field("Reporting-MTA", &format!("dns; {mta}"), "mta", &mta);
    let incidents = (1 + draw.below(1_000)).to_string();
    field("Incidents", &incidents, "incidents", &incidents);
    let (signer, selector) = (draw.domain(), draw.word());
    field("DKIM-Domain", &signer, "signer", &signer);
    field("DKIM-Selector", &selector, "selector", &selector);
    let identity = format!("@{signer}");
    field("DKIM-Identity", &identity, "identity", &identity);
    let key = format!("v=DKIM1; p={}", draw.word());
    field("DKIM-Selector-DNS", &key, "key", &key);
    for _ in 0..=draw.below(3) {
        let record = format!("v=spf1 include:{} -all", draw.domain());
        field("SPF-DNS", &record, "spf", &record);
    }
    let from = draw.address();
    field("Original-Mail-From", &format!("<{from}>"), "from", &from);
    for _ in 0..=draw.below(3) {
        let to = draw.address();
        field("Original-Rcpt-To", &format!("<{to}>"), "to", &to);
    }
    let envelope_id = draw.word();
    field("Original-Envelope-Id", &envelope_id, "envelope id", &envelope_id);
    for _ in 0..draw.below(3) {
        let uri = format!("https://{}/{}", draw.domain(), draw.word());
        field("Reported-URI", &uri, "uri", &uri);
    }
    let (author, subject, id) = (draw.address(), draw.word(), format!("{}@{}", draw.word(), draw.domain()));
    let is_headers_only = draw.coin();
    let (quoted, body) =
        if is_headers_only { ("text/rfc822-headers", "") } else { ("message/rfc822", "body\r\n") };
    for (key, read) in [("author", &author), ("subject", &subject), ("id", &id)] {
        expected.push((key, read.clone()));
    }
    expected.push(("headers only", is_headers_only.to_string()));
    let mail = format!(
        "From: reports@{mta}\r\nTo: ruf@monitor.example\r\nSubject: FW: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: \
         multipart/report; report-type=feedback-report; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\n\
         A report.\r\n--=_b\r\nContent-Type: message/feedback-report\r\n\r\n{fields}\r\n--=_b\r\nContent-Type: {quoted}\r\n\
         \r\nFrom: <{author}>\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\n\r\n{body}\r\n--=_b--\r\n"
    );
    (mail, expected)
}

/// An instant as mail has it.
fn rfc5322(at: Timestamp) -> String {
    let text = at.rfc3339();
    let (day, time) = text.trim_end_matches('Z').split_once('T').unwrap();
    let parts: Vec<&str> = day.split('-').collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months[parts[1].parse::<usize>().unwrap() - 1];
    format!("{} {month} {} {} +0000", parts[2], parts[0], time.split('.').next().unwrap())
}

/// The same of a report that was read.
fn values(report: &FailureReport) -> Vec<(&'static str, String)> {
    let personal = report.personal.reveal();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let source = match &report.source {
        mailsonde::reports::aggregate::Source::Ip(ip) => ip.to_string(),
        other => format!("{other:?}"),
    };
    let mut found = vec![
        ("type", report.feedback_type.as_str().to_owned()),
        ("agent", text(&report.user_agent)),
        ("version", text(&report.version)),
        ("failed", report.auth_failure.as_str().to_owned()),
        ("aligned", report.identity_alignment.join(",")),
        ("result", report.delivery_result.as_str().to_owned()),
        ("arrived", number(report.arrived_at)),
        ("source", source),
        ("port", report.source_port.unwrap_or_default().to_string()),
    ];
    found.extend(report.reported_domains.iter().map(|domain| ("domain", domain.to_string())));
    found.extend([
        ("mta", text(&report.reporting_mta)),
        ("incidents", report.incidents.to_string()),
        ("signer", text(&report.dkim_domain)),
        ("selector", text(&report.dkim_selector)),
        ("identity", text(&personal.dkim_identity)),
        ("key", text(&report.dkim_selector_dns)),
    ]);
    found.extend(report.spf_dns.iter().map(|record| ("spf", record.clone())));
    found.push(("from", text(&personal.mail_from)));
    found.extend(personal.rcpt_to.iter().map(|to| ("to", to.clone())));
    found.push(("envelope id", text(&personal.envelope_id)));
    found.extend(personal.reported_uris.iter().map(|uri| ("uri", uri.clone())));
    if let Some(original) = &report.original {
        let quoted = original.personal.reveal();
        found.push(("author", text(&quoted.from_address)));
        found.push(("subject", text(&quoted.subject)));
        found.push(("id", text(&quoted.message_id)));
        found.push(("headers only", original.is_headers_only.to_string()));
    }
    found
}

#[test]
fn failure_reports_are_read_as_written() {
    for seed in 0..SEEDS {
        let (mail, expected) = draw_failure(&mut Draw::new(seed));
        let reports = read_message(&Message::parse(mail.as_bytes())).unwrap();
        assert_eq!(reports.len(), 1, "seed {seed}: {mail}");
        assert_eq!(values(&reports[0]), expected, "seed {seed}: {mail}");
    }
}

/// What a report says of a field that it does not have.
fn absent() -> Vec<(&'static str, String)> {
    let mail = "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nx\r\n\
        --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: auth-failure\r\n\r\n\
        --b\r\nContent-Type: text/rfc822-headers\r\n\r\nX: y\r\n\r\n--b--\r\n";
    let reports = read_message(&Message::parse(mail.as_bytes())).unwrap();
    values(&reports[0])
}

/// A cut report is none, or one that says that something is missing, or lacks the mail's last line alone. What it says
/// of a field is what the whole one says, or nothing.
#[test]
fn a_cut_failure_report_is_never_taken_for_whole() {
    let absent = absent();
    for seed in 0..8 {
        let (mail, expected) = draw_failure(&mut Draw::new(seed));
        for end in 0..mail.len() {
            let message = Message::parse(&mail.as_bytes()[..end]);
            let Ok(reports) = read_message(&message) else { continue };
            assert!(reports.len() <= 1, "seed {seed} cut at {end}");
            for report in &reports {
                let said = values(report);
                let is_whole = said == expected;
                assert!(
                    is_whole || report.deviations.names().next().is_some() || !message.notes.is_empty(),
                    "seed {seed} cut at {end}: {said:?}"
                );
                for value in said {
                    assert!(
                        value.1.is_empty() || expected.contains(&value) || absent.contains(&value),
                        "seed {seed} cut at {end} after {:?}: {value:?}",
                        &mail[end.saturating_sub(40)..end]
                    );
                }
            }
        }
    }
}

// ---- Bounces ----

/// What is told of one recipient.
type Told = [String; 8];

/// A delivery status notification, with its head and what it says of each recipient.
fn draw_bounce(draw: &mut Draw) -> (String, [String; 2], Vec<Told>) {
    let (mta, envelope_id) = (draw.domain(), draw.word());
    let mut status = format!(
        "Reporting-MTA: dns; {mta}\r\nOriginal-Envelope-Id: {envelope_id}\r\nReceived-From-MTA: dns; {}\r\n\
         Arrival-Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n",
        draw.domain()
    );
    let mut recipients = Vec::new();
    for number in 0..=draw.below(6) {
        let (original, last) = (draw.address(), format!("{number}{}", draw.address()));
        let (action, code, reply) = match draw.below(3) {
            0 => ("delayed", "4.4.1", "421"),
            1 => ("failed", "5.1.1", "550"),
            _ => ("failed", "5.7.1", "554"),
        };
        let remote = draw.domain();
        let words = format!("{reply} {code} {} {}", draw.word(), draw.word());
        let at = 1_795_168_800 + i64::try_from(draw.below(100_000)).unwrap();
        let date = rfc5322(Timestamp::from_seconds(at));
        write!(
            status,
            "\r\nOriginal-Recipient: rfc822; {original}\r\nFinal-Recipient: rfc822; {last}\r\nAction: {action}\r\n\
             Status: {code}\r\nRemote-MTA: dns; {remote}\r\nDiagnostic-Code: smtp; {words}\r\nLast-Attempt-Date: {date}\r\n"
        )
        .unwrap();
        recipients.push([
            original,
            last,
            action.to_owned(),
            code.to_owned(),
            reply.to_owned(),
            remote,
            words,
            at.to_string(),
        ]);
    }
    let mail = format!(
        "From: MAILER-DAEMON@{mta}\r\nTo: sender@monitor.example\r\nSubject: Delivery Status Notification\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; \
         report-type=delivery-status; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--=_b\r\n\
         Content-Type: message/delivery-status\r\n\r\n{status}\r\n--=_b\r\nContent-Type: text/rfc822-headers\r\n\r\n\
         From: sender@monitor.example\r\nMessage-ID: <1@monitor.example>\r\n\r\n--=_b--\r\n"
    );
    (mail, [mta, envelope_id], recipients)
}

fn read_bounce(mail: &[u8]) -> Option<DeliveryReport> {
    delivery_status::read(&Input::of(&Message::parse(mail), Some(true)))
}

/// What was read of each recipient, in the order of [`draw_bounce`]; empty for what was not.
fn told(report: &DeliveryReport) -> Vec<Told> {
    let each = report.recipients.iter().map(|status| {
        [
            status.original_recipient.as_ref().map(|found| found.value.address.clone()),
            status.final_recipient.as_ref().map(|found| found.value.address.clone()),
            status.action.as_ref().map(|found| found.value.as_str().to_owned()),
            status.enhanced_status.as_ref().map(|found| found.value.to_string()),
            status.reply_code.as_ref().map(|found| found.value.value().to_string()),
            status.remote_mta.as_ref().map(|found| found.value.name.clone()),
            status.diagnostic.as_ref().map(|found| found.value.clone()),
            status.last_attempt.as_ref().and_then(|found| found.value.at).map(|at| at.seconds().to_string()),
        ]
        .map(Option::unwrap_or_default)
    });
    each.collect()
}

#[test]
fn bounces_are_read_as_written() {
    for seed in 0..SEEDS {
        let (mail, head, recipients) = draw_bounce(&mut Draw::new(seed));
        let report = read_bounce(mail.as_bytes()).unwrap();
        assert_eq!(told(&report), recipients, "seed {seed}: {mail}");
        let message = &report.message;
        let mta = message.reporting_mta.as_ref().map(|found| found.value.name.clone());
        let id = message.envelope_id.as_ref().map(|found| found.value.clone());
        assert_eq!([mta.unwrap(), id.unwrap()], head, "seed {seed}: {mail}");
    }
}

/// A cut notice tells of no more recipients than the whole one.
#[test]
fn a_cut_bounce_invents_no_recipient() {
    for seed in 0..8 {
        let (mail, _, recipients) = draw_bounce(&mut Draw::new(seed));
        for end in 0..mail.len() {
            let Some(report) = read_bounce(&mail.as_bytes()[..end]) else { continue };
            let read = told(&report);
            assert!(read.len() <= recipients.len(), "seed {seed} cut at {end}: {read:?}");
            // All but the last stand whole; of the last each value is that of the whole notice, or none. What is folded may
            // end with a line: nobody can tell.
            for (at, (read, whole)) in read.iter().zip(&recipients).enumerate() {
                for (field, (value, whole)) in read.iter().zip(whole).enumerate() {
                    let is_last = at + 1 == told(&report).len();
                    let is_there = value == whole || is_last && value.is_empty();
                    let is_head = is_last && field == 6 && whole.starts_with(value.as_str());
                    assert!(is_there || is_head, "seed {seed} cut at {end}: {value:?} of {whole:?}");
                }
            }
        }
    }
}
