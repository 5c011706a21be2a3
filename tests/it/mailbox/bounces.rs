//! Bounces and answers about probes in the sending account's own mailbox, against Dovecot; without one the tests say
//! so and pass.

use mailsonde::mailbox::{Source, WatchOptions};

use super::make::{Kept, Probe, catching, options, pop3, report_mail};
use crate::support::dovecot::Dovecot;

/// The user of the account.
const USER: &str = "dmarc";

/// A notice of a mail system that a message will not be delivered, with the header that it returns.
fn notice(recipient: &str, returned: &str, action: &str) -> Vec<u8> {
    let status = if action == "failed" { "5.1.1" } else { "4.4.1" };
    format!(
        "Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example>\r\nTo: probe@probe.example\r\n\
         Subject: Undelivered\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n \
         boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; \
         mx.example\r\n\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n--b\r\n\
         Content-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--b--\r\n"
    )
    .into_bytes()
}

/// The header of a probe as a bounce returns it.
fn header(probe: &Probe) -> String {
    let text = String::from_utf8(probe.mail.clone()).unwrap();
    text.split("\r\n\r\n").next().unwrap().to_owned() + "\r\n"
}

#[test]
fn what_comes_back_is_taken_and_nothing_else() {
    let Some(dovecot) = Dovecot::start() else { return };
    let maildir = |_: &Dovecot| Source::Maildir(dovecot.maildir(USER));
    let ways: [(&str, WatchOptions); 3] = [
        ("imap", catching(options(dovecot.imap))),
        ("pop3", catching(pop3(dovecot.pop3))),
        ("maildir", WatchOptions { source: maildir(&dovecot), ..catching(options(0)) }),
    ];
    for (number, (way, options)) in ways.into_iter().enumerate() {
        let kept = Kept::new();
        let base = u32::try_from(number * 10).unwrap();
        let [by_header, by_address, delayed, itself] =
            [1, 2, 3, 4].map(|number| kept.probe(base + number, &format!("{number}a")));
        if dovecot.maildir(USER).exists() {
            std::fs::remove_dir_all(dovecot.maildir(USER)).unwrap();
        }
        dovecot.deliver(USER, &notice("them@example.net", &header(&by_header), "failed"));
        let address = format!("probe+{}@example.net", by_address.texts.recipient);
        dovecot.deliver(USER, &notice(&address, "Subject: x\r\n", "failed"));
        dovecot.deliver(USER, &notice("them@example.net", &header(&delayed), "delayed"));
        // Not about us, or not what came back.
        dovecot.deliver(USER, &notice("aunt@example.net", "Subject: lunch\r\n", "failed"));
        dovecot.deliver(USER, &report_mail(1));
        dovecot.deliver(USER, &itself.mail);
        dovecot.deliver(USER, b"From: aunt@example.net\r\nSubject: lunch\r\n\r\nSee you.\r\n");
        let (pass, result) = kept.look(&options);
        assert_eq!(result, Ok(()), "{way}: {pass:?}");
        let found = &pass.folders[0];
        assert_eq!((found.found, found.read, found.fault.clone()), (3, 3, None), "{way}: {found:?}");
        assert_eq!(kept.messages(), 3, "{way}");
        let told = |probe: &Probe| -> Vec<String> {
            kept.events(probe).iter().map(|event| event.what.as_str().to_owned()).collect()
        };
        assert_eq!(told(&by_header), ["bounced"], "{way}");
        assert_eq!(told(&by_address), ["bounced"], "{way}");
        assert_eq!(told(&delayed), ["delayed"], "{way}");
        assert_eq!(told(&itself), [""; 0], "{way}: its arrival is for its watcher to see");
        // Everything is looked at once, and nothing is changed.
        let (pass, result) = kept.look(&options);
        assert_eq!(result, Ok(()), "{way}");
        if way != "maildir" {
            assert_eq!(pass.folders[0].found, 0, "{way}: {pass:?}");
        }
        assert_eq!((kept.messages(), told(&by_header).len()), (3, 1), "{way}");
        let files = dovecot.mails(USER, "");
        assert_eq!(files.len(), 7, "{way}: {files:?}");
        assert!(
            files.iter().all(|name| !name.split(":2,").nth(1).unwrap_or_default().contains('S')),
            "{way}: {files:?}"
        );
    }
}
