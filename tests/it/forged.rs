//! Forged reports through `serve`, judged by a DNS server of ours: before and after the true one, with its organisation and
//! id, with more records, with the same values, and by somebody who authenticates as himself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test an error is a failure")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use mailsonde::authentication::dkim::{SigningKey, sign};
use mailsonde::clock;
use mailsonde::mail::MessageId;
use mailsonde::store::{Reader, VerificationState};
use mailsonde::summary::Trust;

use crate::support::dns::DnsServer;
use crate::support::program::{PATIENCE, Server, deliver, json, run};

/// Midnight of 2026-11-20 UTC, seconds.
const DAY: i64 = 1_795_132_800;

/// The key with which the true reporter and the stranger sign.
fn key() -> SigningKey {
    let pem = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys/ed25519.pem");
    SigningKey::from_pem(&std::fs::read(pem).unwrap()).unwrap()
}

/// The reporter sends from elsewhere and signs; the stranger has everything in order for his own name; nobody knows the third.
fn zone() -> String {
    let record = key().record();
    format!(
        "alpine.example. SOA a. b. 1 2 3 4 5\nalpine.example. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
         _dmarc.alpine.example. TXT \"v=DMARC1; p=reject\"\ns1._domainkey.alpine.example. TXT \"{record}\"\n\
         evil.example. TXT \"v=spf1 ip4:127.0.0.1 -all\"\n_dmarc.evil.example. TXT \"v=DMARC1; p=reject\"\n\
         s1._domainkey.evil.example. TXT \"{record}\"\n\
         example. SOA a. b. 1 2 3 4 5\norg. SOA a. b. 1 2 3 4 5\narpa. SOA a. b. 1 2 3 4 5\n"
    )
}

/// What a mail brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Aggregate,
    Tls,
    Failure,
}

/// One mail: its author, whether that domain signs it, and how much its report claims.
#[derive(Debug, Clone, Copy)]
struct Mail {
    from: &'static str,
    is_signed: bool,
    claims: u32,
    verdict: Trust,
}

/// What the reporter sent.
const TRUE: Mail = Mail { from: "alpine.example", is_signed: true, claims: 2, verdict: Trust::Verified };
/// In its name, with more records.
const MORE: Mail = Mail { from: "alpine.example", is_signed: false, claims: 9, verdict: Trust::Failed };
/// In its name, with the same values.
const SAME: Mail = Mail { from: "alpine.example", is_signed: false, claims: 2, verdict: Trust::Failed };
/// By a stranger who can authenticate as himself.
const STRANGER: Mail = Mail { from: "evil.example", is_signed: true, claims: 8, verdict: Trust::Verified };
/// By somebody without any records.
const NOBODY: Mail = Mail { from: "nobody.example", is_signed: false, claims: 7, verdict: Trust::Unverified };

/// The report of `alpine.example` with an id.
fn report(kind: Kind, id: &str, claims: u32) -> (&'static str, String) {
    match kind {
        Kind::Aggregate => {
            let mut text = format!(
                "<?xml version=\"1.0\"?>\r\n<feedback><report_metadata><org_name>alpine.example</org_name>\
                 <email>noreply@alpine.example</email><report_id>{id}</report_id><date_range><begin>{DAY}</begin>\
                 <end>{}</end></date_range></report_metadata>\r\n<policy_published><domain>example.com</domain>\
                 <p>none</p></policy_published>\r\n",
                DAY + 86_399
            );
            for record in 0..claims {
                let _ = write!(
                    text,
                    "<record><row><source_ip>192.0.2.{record}</source_ip><count>{}</count><policy_evaluated>\
                     <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\r\n\
                     <identifiers><header_from>example.com</header_from></identifiers><auth_results><spf>\
                     <domain>example.com</domain><result>fail</result></spf></auth_results></record>\r\n",
                    100 * claims
                );
            }
            ("text/xml", text + "</feedback>\r\n")
        }
        Kind::Tls => {
            let policies: Vec<String> = (0..claims)
                .map(|_| {
                    format!(
                        "{{\"policy\":{{\"policy-type\":\"sts\",\"policy-domain\":\"example.com\"}},\"summary\":\
                         {{\"total-successful-session-count\":{claims},\"total-failure-session-count\":1}}}}"
                    )
                })
                .collect();
            let text = format!(
                "{{\"organization-name\":\"Alpine\",\"contact-info\":\"tls@alpine.example\",\"report-id\":\"{id}\",\r\n\
                 \"date-range\":{{\"start-datetime\":\"2026-11-20T00:00:00Z\",\"end-datetime\":\"2026-11-20T23:59:59Z\"}},\r\n\
                 \"policies\":[{}]}}\r\n",
                policies.join(",\r\n")
            );
            ("application/tlsrpt+json", text)
        }
        Kind::Failure => (
            "message/feedback-report",
            format!(
                "Feedback-Type: auth-failure\r\nUser-Agent: A/1\r\nVersion: 1\r\nAuth-Failure: dmarc\r\n\
                 Source-IP: 203.0.113.{claims}\r\nReported-Domain: example.com\r\nReporting-MTA: dns; {id}.alpine.example\r\n"
            ),
        ),
    }
}

/// The mail with its report; `serial` tells its Message-ID from others.
fn message(kind: Kind, id: &str, mail: Mail, serial: usize) -> String {
    let (content_type, body) = report(kind, id, mail.claims);
    let head = format!(
        "From: Reports <noreply@{}>\r\nTo: reports@example.net\r\nSubject: report {id}\r\n\
         Message-ID: <{serial}.{id}@{}>\r\nMIME-Version: 1.0\r\n",
        mail.from, mail.from
    );
    let text = if kind == Kind::Failure {
        format!(
            "{head}Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\
             Content-Type: text/plain\r\n\r\nA failure report.\r\n--b\r\nContent-Type: {content_type}\r\n\r\n{body}--b\r\n\
             Content-Type: text/rfc822-headers\r\n\r\nFrom: x@example.com\r\nTo: y@alpine.example\r\n\
             Message-ID: <{id}@example.com>\r\nSubject: s\r\n--b--\r\n"
        )
    } else {
        format!("{head}Content-Type: {content_type}\r\n\r\n{body}")
    };
    if !mail.is_signed {
        return text;
    }
    sign(text.as_bytes(), &key(), mail.from, "s1", clock::now()).unwrap() + &text
}

/// A folder with a configuration that asks this DNS server.
fn folder(dns: &DnsServer) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[smtp]\nhost_name = \"mx.example.net\"\n\
         messages_per_client_minute = 1_000_000\nmessages_per_session = 1_000_000\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[store]\npath = \"mailsonde.db\"\n\
         [dns]\nservers = [\"{}\"]\ntimeout = \"1s\"\nattempts = 1\ncheck_every = \"0s\"\n\
         [[recipient]]\naddress = \"reports@example.net\"\npurpose = \"reports\"\n",
        dns.address
    );
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    folder
}

/// Delivers a mail and waits for its verdict.
#[track_caller]
fn judged(server: &Server, kind: Kind, id: &str, mail: Mail, serial: usize) -> MessageId {
    let bytes = message(kind, id, mail, serial);
    let sender = format!("noreply@{}", mail.from);
    let reply = deliver(server.smtp, &sender, &["reports@example.net"], bytes.as_bytes()).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    let id = reply
        .split_whitespace()
        .rev()
        .find_map(MessageId::parse)
        .unwrap_or_else(|| panic!("no id in {reply:?}"));
    let reader = Reader::open(&server.path().join("mailsonde.db"), Duration::from_secs(10)).unwrap();
    let until = clock::instant() + PATIENCE;
    loop {
        let found = reader.verification(id).unwrap();
        if let Some(found) = &found
            && found.state == VerificationState::Done
        {
            let trust = reader.message(id).unwrap().trust;
            // RFC 8460 §3: a TLS report without a signature fails, whoever sent it.
            let is_enough = mail.verdict != Trust::Unverified || kind != Kind::Tls;
            let expected = if is_enough { mail.verdict } else { Trust::Failed };
            assert_eq!(trust, Some(expected), "{kind:?} {mail:?}: {found:?}");
            return id;
        }
        assert!(clock::instant() < until, "{found:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What all views count: messages, sessions, failure reports.
fn counted(folder: &Path, trust: &str) -> [u64; 3] {
    let total = |view: &str, field: &str| {
        let answer = json(folder, &["report", view, "--trust", trust]);
        answer["totals"][field].as_u64().unwrap()
    };
    let sessions = total("tls", "successful_sessions") + total("tls", "failed_sessions");
    [total("summary", "messages"), sessions, total("failures", "reports")]
}

#[test]
fn forged_reports_change_nothing_and_hide_nothing() {
    let dns = DnsServer::start(&zone());
    let server = Server::start_in(folder(&dns), &[]);
    let path = server.path().to_owned();
    let orders: [&[Mail]; 3] = [
        &[MORE, STRANGER, NOBODY, SAME, TRUE],
        &[TRUE, SAME, NOBODY, STRANGER, MORE],
        &[STRANGER, MORE, TRUE, NOBODY, SAME],
    ];
    let mut untrusted = 0;
    let mut expected = [0, 0, 0];
    for (number, order) in orders.into_iter().enumerate() {
        let id = format!("r{number}");
        for (serial, mail) in order.iter().enumerate() {
            for kind in [Kind::Aggregate, Kind::Tls, Kind::Failure] {
                // A failure report has no id: another one of a stranger is another one.
                if kind == Kind::Failure && mail.claims != TRUE.claims {
                    continue;
                }
                judged(&server, kind, &id, *mail, serial);
                let fails =
                    mail.verdict == Trust::Failed || kind == Kind::Tls && mail.verdict == Trust::Unverified;
                untrusted += usize::from(fails);
            }
        }
        // Two records of 200 messages, two policies of three sessions, one failure report.
        expected = [expected[0] + 400, expected[1] + 6, expected[2] + 1];
        assert_eq!(counted(&path, "verified"), expected, "{number}");
        assert_eq!(counted(&path, "all"), expected, "{number}: nothing else counts beside it");
    }
    let listed = json(&path, &["report", "messages", "--result", "untrusted", "--limit", "1000"]);
    let rows = listed["rows"].as_array().unwrap();
    assert_eq!(rows.len(), untrusted);
    for row in rows {
        let reason = row["reason"].as_str().unwrap();
        // Why, and what verification found.
        let words = if row["kind"] == "tls" { "(RFC 8460 section 3): " } else { "failed authentication: " };
        assert!(reason.split_once(words).is_some_and(|(_, found)| found.len() > 10), "{reason}");
    }
    // Reading everything again changes no verdict.
    assert!(run(&path, &["db", "reprocess"]).status.success());
    server.settle();
    assert_eq!((counted(&path, "verified"), counted(&path, "all")), (expected, expected));
    let verified = run(&path, &["db", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
