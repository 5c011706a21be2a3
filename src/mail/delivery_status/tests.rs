//! Properties of the whole reader: nothing is made up, nothing panics, work grows with the text.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::mail::Message;

/// All mails of fixtures/dsn.
static FIXTURES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/dsn");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mails = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
    mails.map(|path| std::fs::read(path).unwrap()).collect()
});

/// A mail of one text part.
fn plain(text: &str) -> Input<'_> {
    let field = |name: &'static str, value: &'static str| (Cow::Borrowed(name), Cow::Borrowed(value));
    Input {
        headers: vec![field("From", "MAILER-DAEMON@mx.example.net"), field("To", "us@example.org")],
        parts: vec![Part { content_type: Cow::Borrowed("text/plain"), text: Cow::Borrowed(text), depth: 0 }],
        null_sender: Some(true),
    }
}

/// Checks what must hold for every input, and that every code and address stands in the mail.
#[track_caller]
fn check(input: &Input<'_>) {
    let judgement = judge(input);
    let Some(report) = read(input) else {
        assert_eq!(judgement.kind, Kind::Other);
        return;
    };
    assert_eq!(report.judgement, judgement);
    assert!(report.recipients.len() <= limits::BOUNCE_RECIPIENTS);
    assert!(judgement.marks.len() <= limits::BOUNCE_MARKS);
    let mut all = String::new();
    for (name, value) in &input.headers {
        all.push_str(name);
        all.push_str(value);
        all.push('\n');
    }
    for part in &input.parts {
        all.push_str(&part.text);
        all.push('\n');
    }
    for status in &report.recipients {
        if let Some(found) = &status.enhanced_status {
            assert_stands(&all, &found.value.to_string(), found.evidence);
        }
        if let Some(found) = &status.reply_code {
            assert_stands(&all, &found.value.to_string(), found.evidence);
        }
        for found in [&status.final_recipient, &status.original_recipient].into_iter().flatten() {
            if !all.contains("\\x{") && !all.contains("=?") && !all.contains('&') {
                assert_stands(&all, &found.value.address, found.evidence);
            }
        }
        let evidence = [
            status.final_recipient.as_ref().map(|f| f.evidence),
            status.enhanced_status.as_ref().map(|f| f.evidence),
            status.diagnostic.as_ref().map(|f| f.evidence),
        ];
        for part in evidence.into_iter().flatten().filter_map(|evidence| evidence.part) {
            assert!(part < input.parts.len(), "part {part}");
        }
    }
    for (_, text) in report.token_texts(input) {
        assert!(text.len() <= limits::BOUNCE_TEXT_BYTES);
    }
}

/// True if a value was taken from the mail and not made up. Codes may be written with leading zeros.
#[track_caller]
fn assert_stands(all: &str, value: &str, evidence: Evidence) {
    let without_zeros = all.replace(".0", ".").replace(".00", ".");
    let value_without_zeros = value.replace(".0", ".").replace(".00", ".");
    let stands = all.contains(value) || without_zeros.contains(&value_without_zeros);
    assert!(stands, "{value} ({evidence:?}) is not in {all:?}");
}

#[test]
fn every_cut_of_every_fixture() {
    for mail in FIXTURES.iter() {
        let step = (mail.len() / 60).max(1);
        for end in (0..=mail.len()).step_by(step) {
            check(&Input::of(&Message::parse(&mail[..end]), Some(true)));
            check(&Input::of(&Message::parse(&mail[end..]), None));
        }
    }
}

/// What the status parts say of recipients: the name of each value, and the value.
fn said(mail: &[u8]) -> Vec<(&'static str, String)> {
    fn add<T>(
        all: &mut Vec<(&'static str, String)>,
        name: &'static str,
        found: Option<&Found<T>>,
        text: impl Fn(&T) -> String,
    ) {
        let found = found.filter(|found| found.evidence.place == Place::StatusPart);
        all.extend(found.map(|found| (name, text(&found.value))));
    }
    let Some(report) = read(&Input::of(&Message::parse(mail), Some(true))) else { return Vec::new() };
    let mut all = Vec::new();
    for status in &report.recipients {
        add(&mut all, "final", status.final_recipient.as_ref(), |value| value.address.clone());
        add(&mut all, "original", status.original_recipient.as_ref(), |value| value.address.clone());
        add(&mut all, "action", status.action.as_ref(), |value| value.as_str().to_owned());
        add(&mut all, "status", status.enhanced_status.as_ref(), ToString::to_string);
        add(&mut all, "remote", status.remote_mta.as_ref(), |value| value.name.clone());
        add(&mut all, "diagnostic", status.diagnostic.as_ref(), Clone::clone);
    }
    all
}

/// A cut notice says nothing of a recipient that the whole one does not say. Folded words may end with a line, and of several
/// codes a later one may be the better.
#[test]
fn a_cut_fixture_says_nothing_else() {
    let mut compared = 0;
    for mail in FIXTURES.iter() {
        let whole = said(mail);
        for end in 0..mail.len() {
            for (name, value) in said(&mail[..end]) {
                let is_said = |(other, text): &(&str, String)| {
                    *other == name
                        && (*text == value || name == "diagnostic" && text.starts_with(value.as_str()))
                };
                let text = String::from_utf8_lossy(&mail[..end]);
                let is_whole_line =
                    name == "status" && text.lines().any(|line| line.trim() == format!("Status: {value}"));
                assert!(is_whole_line || whole.iter().any(is_said), "{name} {value:?}, cut after {text:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}

#[test]
fn empty_and_odd_inputs() {
    check(&Input::default());
    for text in ["", "\0", "@", "<>", "550", "5.1.1", "Final-Recipient:", "=?", "{", "{}", "\u{feff}\u{2028}"]
    {
        check(&plain(text));
    }
}

/// Words of which hostile reports are made.
const VOCABULARY: [&str; 46] = [
    "Final-Recipient: rfc822; ",
    "Original-Recipient: ",
    "Action: failed",
    "Action: ",
    "Status: 5.1.1",
    "Status:",
    "Diagnostic-Code: smtp; ",
    "550 5.1.1 no",
    "550-5.7.1 ",
    "421",
    "5.7.26",
    "<a@example.net>",
    "a@example.net:",
    "b@example.com",
    "us@example.org",
    "\n",
    "\n\n",
    "\r",
    "\r\n ",
    " ",
    "\t",
    ">>> RCPT TO:<",
    "<<< 550 ",
    "554 <",
    ">...",
    "--- Below this line is a copy of the message.",
    "Received: from x",
    "Message-ID: <x@y.z>",
    "Subject: s",
    "could not be delivered",
    "permanent error",
    "will be retried",
    "out of the office",
    "[192.0.2.1]",
    "host mx.example.net",
    "(generated from ",
    "\u{fc}\u{4e00}",
    "\\x{f6}",
    "\0",
    "\"",
    "@",
    "(",
    "[",
    "{\"notificationType\":\"Bounce\"",
    "=?utf-8?Q?",
    "&lt;",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn noise_in_fixtures(
        which in any::<proptest::sample::Index>(),
        noise in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut mail = FIXTURES[which.index(FIXTURES.len())].clone();
        for (at, byte) in noise {
            let at = at.index(mail.len());
            mail[at] = byte;
        }
        check(&Input::of(&Message::parse(&mail), Some(true)));
    }

    #[test]
    fn words_in_any_order(words in proptest::collection::vec(0..VOCABULARY.len(), 0..120), status in any::<bool>()) {
        let text: String = words.iter().map(|at| VOCABULARY[*at]).collect();
        let mut input = plain(&text);
        if status {
            input.parts[0].content_type = Cow::Borrowed("message/delivery-status");
        }
        check(&input);
    }

    #[test]
    fn any_text(text in "\\PC*") {
        check(&plain(&text));
    }
}

// ---- Work ----

/// Bytes looked at for a mail of one text.
fn work(text: &str, content_type: &'static str) -> u64 {
    let mut input = plain(text);
    input.parts[0].content_type = Cow::Borrowed(content_type);
    recipients::gather(&input).work
}

#[test]
fn work_grows_with_the_text_and_not_faster() {
    let patterns = [
        "a@example.net: 550 5.1.1 no\n",
        "Final-Recipient: rfc822; a@example.net\nAction: failed\n\n",
        ">>> RCPT TO:<a@example.net>\n<<< 550 5.1.1 no\n554 <a@example.net>... no\n",
        "a@b.c,",
        "[[[[[[[[",
        "550 5.1.1 ",
        "\n\n\nReceived: x\n",
        "<<<<<<<<&&&&&&&&",
        "\"\"\"\"@@@@",
        "     ",
        "x: y\n",
    ];
    for pattern in patterns {
        for content_type in ["text/plain", "text/html", "message/delivery-status"] {
            // Below every limit, so that what is measured is the work and not the cut.
            let small = pattern.repeat(8_000 / pattern.len());
            let large = pattern.repeat(32_000 / pattern.len());
            let (small, large) = (work(&small, content_type), work(&large, content_type));
            assert!(large <= small * 5 + 10_000, "{pattern:?} as {content_type}: {small}, then {large}");
        }
    }
}

#[test]
fn work_ends_at_the_limits() {
    let text = "a@example.net: 550 5.1.1 no\n".repeat(4 * limits::BOUNCE_TEXT_BYTES / 28);
    let input = plain(&text);
    let gathered = recipients::gather(&input);
    let most = u64::try_from(limits::BOUNCE_TEXT_BYTES * 4 + limits::BOUNCE_WORDS_BYTES * 300).unwrap();
    assert!(gathered.work <= most, "{}", gathered.work);
    assert_eq!(gathered.recipients.len(), 1);
}

#[test]
fn recipients_over_the_limit_are_counted() {
    let mut text = String::from("Reporting-MTA: dns; mx.example.net\n\n");
    for i in 0..limits::BOUNCE_RECIPIENTS + 7 {
        let _ =
            write!(text, "Final-Recipient: rfc822; user{i}@example.net\nAction: failed\nStatus: 5.1.1\n\n");
    }
    let mut input = plain(&text);
    input.parts[0].content_type = Cow::Borrowed("message/delivery-status");
    let report = read(&input).unwrap();
    assert_eq!(report.recipients.len(), limits::BOUNCE_RECIPIENTS);
    assert_eq!(report.recipients_omitted, 7);
}

#[test]
fn long_lines_and_huge_originals_are_cut() {
    let mut text = String::from(
        "<a@example.net>:\n550 5.1.1 no such user\n\n--- Below this line is a copy of the message.\n\n",
    );
    text.push_str("Received: from x\nMessage-ID: <m@example.org>\n\n");
    text.push_str(&"x".repeat(3 * limits::BOUNCE_TEXT_BYTES));
    let report = read(&plain(&text)).unwrap();
    assert_eq!(report.recipients[0].enhanced_status.as_ref().unwrap().value.to_string(), "5.1.1");
    assert_eq!(report.original.message_id.unwrap().value, "<m@example.org>");
    let long = format!("<a@example.net>: {} 550 5.1.1 no", "x".repeat(2 * limits::BOUNCE_LINE_BYTES));
    assert_eq!(read(&plain(&long)).unwrap().recipients[0].enhanced_status, None);
}

#[test]
fn words_that_hang_on_an_address_are_the_refusal_beside_fields_without_one() {
    let notice = |words: &str| {
        format!(
            "From: Mailer-Daemon@mx.example\r\nSubject: Mail delivery failed\r\nContent-Type: multipart/report; \
             report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
             This is about your mail.\r\n\r\n{words}\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.example\r\n\r\nAction: failed\r\nFinal-Recipient: rfc822;a@b.example\r\n\
             Status: 5.0.0\r\n\r\n--b--\r\n"
        )
    };
    for (words, wanted) in [
        // Exim, of a mail that it took and cannot place.
        ("  a@b.example\r\n    Unrouteable address", Some("Unrouteable address")),
        ("  a@b.example\r\n    Unrouteable\r\n    address", Some("Unrouteable address")),
        // Words that only come after it may be anything.
        ("a@b.example\r\nThis mail is for you alone.", None),
        ("  a@b.example\r\n\r\n    This mail is for you alone.", None),
        ("  a@b.example", None),
    ] {
        let mail = notice(words);
        let message = Message::parse(mail.as_bytes());
        let report = read(&Input::of(&message, Some(true))).unwrap();
        let diagnostic = report.recipients[0].diagnostic.as_ref().map(|found| found.value.as_str());
        assert_eq!(diagnostic, wanted, "{words}");
        assert_eq!(report.recipients.len(), 1);
    }
}
