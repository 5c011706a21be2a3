//! CVE-2023-51764 and its kin: what a peer hides behind something that is no end of data.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::sink::TestSink;

/// All sequences that some server once took for the end of data.
const FORMS: [&str; 11] = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\n\n.\r\n",
    "\n.\r",
    "\r.\n",
    "\r\n.\r\r\n",
    "\r\n.\0\r\n",
];

#[test]
fn one_message_and_one_reply_in_the_clear_and_within_tls() {
    for is_tls in [false, true] {
        let sink = TestSink::start();
        for (number, form) in FORMS.iter().enumerate() {
            let start = if is_tls { Client::within_tls } else { Client::greeted };
            let mut client = start(sink.address());
            client.command("MAIL FROM:<outer@sender.example>", "250");
            client.command("RCPT TO:<dmarc@example.com>", "250");
            client.command("DATA", "354");
            let data = format!(
                "Subject: outer\r\n\r\nx{form}MAIL FROM:<evil@example.com>\r\nRCPT TO:<tls@example.com>\r\n\
                 DATA\r\ninner\r\n.\r\n"
            );
            // In pieces that part the sequence, too.
            let at = data.find("xMAIL").or_else(|| data.find('x')).unwrap() + 1 + number % form.len();
            client.send(&data.as_bytes()[..at]);
            client.send(&data.as_bytes()[at..]);
            client.expect("250");
            assert!(client.is_quiet(Duration::from_millis(30)), "{form:?}: a second reply");
            let stored = sink.inbox.stored();
            assert_eq!(stored.len(), number + 1, "{form:?} within TLS: {is_tls}");
            let message = &stored[number];
            assert_eq!(message.envelope.mail_from.as_ref().unwrap().to_string(), "outer@sender.example");
            assert!(message.bytes.ends_with(b"DATA\r\ninner\r\n"), "{form:?}");
        }
    }
}
