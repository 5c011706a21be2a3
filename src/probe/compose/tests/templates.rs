//! Texts, fields and files of the operator's own; the picture and the document of the business profile.

use proptest::prelude::*;

use super::*;
use crate::probe::compose::files::{document, picture};

/// A message of a template.
fn templated(profile: Profile, template: &str) -> Composed {
    let template = Template::parse(template.as_bytes()).unwrap();
    With { template: Some(&template), ..With::only(profile) }.compose().unwrap()
}

#[test]
fn variables_are_filled_in_fields_and_text() {
    let composed = templated(
        Profile::Attach(1_234),
        "Subject: Order {{seq}}\r\nX-Campaign: spring\n of {{ route }}\n\nTo {{to}} from {{from}},\n\n{{size}} bytes on {{date}}.\n",
    );
    let message = Message::parse(&composed.bytes);
    let texts = ring().texts(&token()).unwrap();
    assert_eq!(message.header.subject, Some(format!("Order 5 [{}]", texts.subject)));
    assert_eq!(message.header.field("X-Campaign"), Some("spring of hq-m365"));
    let to = format!("probe+{}@example.net", texts.recipient);
    let want = format!(
        "To {to} from probe@probe.example.org,\r\n\r\n1234 bytes on Mon, 21 Sep 2026 14:13:20 +0000.\r\n\r\n-- {} --\r\n",
        texts.body
    );
    assert_eq!(message.parts[0].text(10_000), want);
    assert_eq!(message.parts.len(), 2);
    assert_eq!(message.parts.iter().map(facts).collect::<Vec<_>>(), composed.parts);
}

#[test]
fn html_and_texts_outside_ascii() {
    let composed = templated(
        Profile::Plain,
        "Subject: Größe für alle, die es gerne sehr genau wissen wollen, und für 日本 🐟\nContent-Type: text/html\n\
         X-Ö-free: é\n\n<p>Grüße</p>\n"
            .replace("X-Ö-free", "X-Free")
            .as_str(),
    );
    // No server is asked for anything special.
    assert!(!composed.has_8bit && !composed.needs_smtputf8);
    let message = Message::parse(&composed.bytes);
    assert!(
        message
            .header
            .subject
            .as_deref()
            .unwrap()
            .starts_with("Größe für alle, die es gerne sehr genau wissen wollen, und für 日本 🐟 [mf")
    );
    assert_eq!(message.parts[0].content_type, "text/html");
    let text = message.parts[0].text(10_000);
    assert!(text.starts_with("<p>Grüße</p>\r\n") && text.contains("<p>-- mf"), "{text}");
    let other = MessageParser::default();
    let other = other.parse(&composed.bytes).unwrap();
    assert_eq!(crate::mail::decode_words(message.header.field("X-Free").unwrap()), "é");
    assert_eq!(other.body_html(0).unwrap(), text);
    // A profile that is about eight bits sends them.
    let raw = templated(Profile::EightBit, "\nGrüße\n").bytes;
    assert!(String::from_utf8(raw).unwrap().contains("\r\n\r\nGrüße\r\n"));
}

#[test]
fn quoted_printable_comes_back_as_it_was() {
    let long = "ü=\t ".repeat(60);
    for line in ["ü ends in a blank ", "=", "ü\t", "ü", &long, "ü\n\n\n.dot\nFrom here", "", "ü\n"] {
        let composed = templated(Profile::Plain, &format!("\nü{line}\n"));
        let text = String::from_utf8(composed.bytes.clone()).unwrap();
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        let found = Message::parse(&composed.bytes).parts[0].text(10_000);
        let want = format!("ü{line}\r\n\r\n-- ").replace("\r\n", "\n").replace('\n', "\r\n");
        assert!(found.starts_with(&want), "{found:?}, not {want:?}");
        let other =
            MessageParser::default().parse(&composed.bytes).unwrap().body_text(0).unwrap().into_owned();
        assert_eq!(other, found);
    }
}

#[test]
fn what_would_break_a_message_is_named_with_its_line() {
    let long = "x".repeat(999);
    let cases: [(&[u8], usize, &str); 20] = [
        (b"Subject: a\n\none\ntwo \r three\n", 4, "a carriage return without a line feed"),
        (b"Subject: a\rBcc: b@example.com\n\n", 1, "a carriage return without a line feed"),
        (b"\none\ntwo\x00\n", 3, "the control character U+0000"),
        (b"X-A: b\x1b[0m\n\n", 1, "the control character U+001B"),
        (b"X-A: b\tc\n\n", 1, "the control character U+0009"),
        (b"Hello,\n\nthis is text\n", 1, "not a field `Name: value`"),
        (b"\n{{token}}\n{{tokne}}\n", 3, "no such variable: {{tokne}} (there are {{token}}, {{route}}"),
        (b"X-A: {{x\n\n", 1, "`{{` without `}}`"),
        (b"\na\n{{to\n}}\n", 3, "`{{` without `}}`"),
        (b"X-A: 1\nBcc: victim@example.com\n\n", 2, "the field `Bcc`"),
        (b"From: other@example.com\n\n", 1, "the field `From`"),
        (b"Content-Transfer-Encoding: base64\n\n", 1, "the field `Content-Transfer-Encoding`"),
        (b"DKIM-Signature: v=1\n\n", 1, "the field `DKIM-Signature`"),
        (b"ARC-Seal: i=1\n\n", 1, "the field `ARC-Seal`"),
        (b"X-A: 1\nx-a: 2\n\n", 2, "the field `x-a` stands twice"),
        (b"X A: 1\n\n", 1, "`X A` is no name of a field"),
        (b": 1\n\n", 1, "`` is no name of a field"),
        (b"Content-Type: text/plain; charset=utf-16\n\n", 1, "`Content-Type: text/plain; charset=utf-16`"),
        (b"\nfine\nGr\xfc\xdfe\n", 3, "not UTF-8"),
        (&[b"\n\n", long.as_bytes()].concat(), 3, "999 octets on a line"),
    ];
    for (template, line, want) in cases {
        let error = Template::parse(template).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.line, line, "{text}");
        assert!(text.starts_with(&format!("line {line}: {want}")), "{text}, not {want}");
        assert!(text.contains([':', ',']), "with a mend: {text}");
    }
    let large = vec![b'\n'; limits::PROBE_TEMPLATE_BYTES + 1];
    assert_eq!(Template::parse(&large).unwrap_err().fault, Fault::TooLarge);
    for fine in ["", "\n", "\ntext", "Subject: a", "\u{feff}X-A: 1\n\nb\n", "X-A: {{ to }}\r\n\r\n}} {\r\n"] {
        assert!(Template::parse(fine.as_bytes()).is_ok(), "{fine:?}");
    }
}

/// A line that is short enough as it stands, and not with what a variable holds.
#[test]
fn lines_that_grow_too_long_are_named_when_they_are_filled() {
    let template = format!("X-A: {}{{{{to}}}}\n\nok\n", "x".repeat(970));
    let template = Template::parse(template.as_bytes()).unwrap();
    let error = With { template: Some(&template), ..With::only(Profile::Plain) }.compose().unwrap_err();
    assert!(error.to_string().starts_with("template: line 1: "), "{error}");
    let template = format!("\n\n{}{{{{to}}}}\n", "x".repeat(970));
    let template = Template::parse(template.as_bytes()).unwrap();
    let error = With { template: Some(&template), ..With::only(Profile::Plain) }.compose().unwrap_err();
    assert!(error.to_string().starts_with("template: line 3: "), "{error}");
    // With blanks the same field is folded.
    let template = format!("X-A: {} {{{{to}}}}\n\nok\n", "x ".repeat(400));
    let composed = templated(Profile::Plain, &template);
    let text = String::from_utf8(composed.bytes).unwrap();
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");
}

#[test]
fn own_fields_come_in_and_never_break_out() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers =
        [pair("X-Monitor", "route {{route}}"), pair("Precedence", "bulk"), pair("X-Campaign", "route's")];
    let template = Template::parse(b"X-Campaign: template's\nX-Only: here\n\ntext\n").unwrap();
    let with = With { headers: &headers, template: Some(&template), ..With::only(Profile::Plain) };
    let composed = with.compose().unwrap();
    let header = Message::parse(&composed.bytes).header;
    assert_eq!(header.field("X-Monitor"), Some("route hq-m365"));
    assert_eq!(header.field("Precedence"), Some("bulk"));
    assert_eq!(header.field("X-Only"), Some("here"));
    let campaigns: Vec<_> = header.fields().filter(|(name, _)| *name == "x-campaign").collect();
    assert_eq!(campaigns, [("x-campaign", "route's")]);
    let long = "x".repeat(1_000);
    for (name, value, want) in [
        ("X-A", "b\r\nBcc: victim@example.com", "header `X-A`: the control character U+000D"),
        ("X-A", "b\nc", "header `X-A`: the control character U+000A"),
        ("X-A\r\nBcc", "b", "`X-A\r\nBcc` is no name"),
        ("X-A:", "b", "is no name of a field"),
        ("Subject", "b", "the field `Subject` is written by the probe"),
        ("Message-ID", "b", "the field `Message-ID`"),
        ("Resent-To", "b", "the field `Resent-To`"),
        ("X-A", "{{nothing}}", "no such variable"),
        ("X-A", &long, "1005 octets on a line"),
    ] {
        let headers = [pair(name, value)];
        let error = With { headers: &headers, ..With::only(Profile::Plain) }.compose().unwrap_err();
        assert!(error.to_string().contains(want), "{error}, not {want}");
    }
    let twice = [pair("X-A", "1"), pair("x-a", "2")];
    assert!(check_headers(&twice).unwrap_err().to_string().contains("twice"));
    assert!(check_headers(&headers).is_ok());
}

#[test]
fn profiles_with_texts_of_their_own_take_no_template() {
    let template = Template::parse(b"\ntext\n").unwrap();
    for profile in profiles() {
        let composed = With { template: Some(&template), ..With::only(profile) }.compose();
        assert_eq!(composed.is_ok(), profile.takes_template(), "{profile}");
        if let Ok(composed) = composed {
            let text = Message::parse(&composed.bytes).parts[0].text(10_000);
            assert!(text.starts_with("text\r\n\r\n-- mf"), "{profile}: {text}");
        }
    }
}

proptest! {
    /// Whatever a template holds, it is refused or the message is whole: our fields stand once, its lines fit, and
    /// the text is what was written.
    #[test]
    fn no_template_breaks_a_message(template in "(X-[A-Z]{1,3}: ?[ -~é\\r\\n\\t{}]{0,40}\\n){0,3}\\n?[ -~éß\\r\\n\\t{}]{0,200}") {
        let Ok(template) = Template::parse(template.as_bytes()) else { return Ok(()) };
        for profile in [Profile::Plain, Profile::Attach(3), Profile::Utf8] {
            let with = With { template: Some(&template), ..With::only(profile) };
            let Ok(composed) = with.compose() else { continue };
            let text = String::from_utf8(composed.bytes.clone()).unwrap();
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            prop_assert!(text.split("\r\n").all(|line| line.len() <= 998));
            let message = Message::parse(&composed.bytes);
            for name in ["from", "to", "date", "message-id", "subject", "x-mailsonde-probe", "content-type", "mime-version"] {
                prop_assert_eq!(message.header.fields().filter(|(known, _)| *known == name).count(), 1, "{}", name);
            }
            prop_assert_eq!(message.parts.iter().map(facts).collect::<Vec<_>>(), composed.parts);
            let part = message.parts[0].text(100_000);
            prop_assert!(part.contains("-- mf"), "{}", part);
        }
    }
}

// ---- Files of the business profile ----

/// The number at some bytes, the highest first.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[test]
fn the_picture_is_a_png() {
    let png = picture(&token());
    let mut rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
    let mut pixels = Vec::new();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let length = number(&rest[..4]);
        let (name, data) = (&rest[4..8], &rest[8..8 + length]);
        // The check of each chunk, by another implementation.
        let mut crc = flate2::Crc::new();
        crc.update(&rest[4..8 + length]);
        assert_eq!(number(&rest[8 + length..12 + length]), usize::try_from(crc.sum()).unwrap());
        match name {
            b"IHDR" => assert_eq!(
                (number(&data[..4]), number(&data[4..8]), &data[8..]),
                (48, 48, &[8, 2, 0, 0, 0][..])
            ),
            b"IDAT" => {
                use std::io::Read as _;
                flate2::read::ZlibDecoder::new(data).read_to_end(&mut pixels).unwrap();
            }
            _ => {}
        }
        names.push(String::from_utf8(name.to_vec()).unwrap());
        rest = &rest[12 + length..];
    }
    assert_eq!(names, ["IHDR", "IDAT", "IEND"]);
    assert_eq!(pixels.len(), 48 * (1 + 48 * 3));
    assert!(pixels.iter().any(|byte| *byte != 0 && *byte != 255), "a color");
    assert_ne!(picture(&token_of(1)), png);
}

#[test]
fn the_document_is_a_pdf_whose_table_is_right() {
    let pdf = document(&["Mailsonde (probe)", "back\\slash and ünïcode", &"word ".repeat(60)]);
    let text = String::from_utf8(pdf).unwrap();
    assert!(text.starts_with("%PDF-1.4\n") && text.ends_with("%%EOF\n"));
    assert!(
        text.contains("(Mailsonde \\(probe\\)) Tj") && text.contains("(back\\\\slash and ncode) Tj"),
        "{text}"
    );
    let start: usize = text.rsplit("startxref\n").next().unwrap().lines().next().unwrap().parse().unwrap();
    let table = &text[start..];
    let mut lines = table.split_inclusive('\n');
    assert_eq!((lines.next(), lines.next()), (Some("xref\n"), Some("0 6\n")));
    assert_eq!(lines.next(), Some("0000000000 65535 f \n"));
    for object in 1..6 {
        let entry = lines.next().unwrap();
        assert_eq!(entry.len(), 20);
        let at: usize = entry[..10].parse().unwrap();
        assert!(text[at..].starts_with(&format!("{object} 0 obj\n")), "{object}");
    }
    let (_, stream) = text.split_once("/Length ").unwrap();
    let (size, stream) = stream.split_once(" >>\nstream\n").unwrap();
    let (stream, _) = stream.split_once("endstream").unwrap();
    assert_eq!(size.parse::<usize>().unwrap(), stream.len());
}
