//! Composed messages, read back by a reader that is not ours.

use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::clock::Timestamp;
use crate::mail::DomainName;
use crate::probe::token::{KeyRing, Kind, Place, Reading};

const PROFILES: [Profile; 7] = [
    Profile::Plain,
    Profile::Business,
    Profile::Attach(1),
    Profile::Attach(100_000),
    Profile::Utf8,
    Profile::EightBit,
    Profile::LongLine,
];

fn ring() -> KeyRing {
    KeyRing::with_id(3, &[7; 32]).unwrap()
}

fn token() -> Token {
    ring().mint(Kind::Probe, 7, Timestamp::from_seconds(1_790_000_000), 5)
}

fn made(profile: Profile, route: &str) -> Composed {
    let texts = ring().texts(&token()).unwrap();
    let domain = DomainName::parse("probe.example.org").unwrap();
    let to = address_of("probe+{token}@example.net", texts.name()).unwrap();
    compose(&Draft {
        token: &token(),
        texts: &texts,
        route,
        profile,
        from: &Address::new("probe", &domain),
        to: &to,
    })
}

#[test]
fn another_reader_finds_every_field_and_the_token_in_every_place() {
    for profile in PROFILES {
        let composed = made(profile, "hq-m365");
        let message = MessageParser::default().parse(&composed.bytes).unwrap();
        let bytes = &composed.bytes;
        assert_eq!(message.from().unwrap().first().unwrap().address(), Some("probe@probe.example.org"));
        assert_eq!(message.date().unwrap().to_rfc3339(), "2026-09-21T14:13:20Z");
        assert_eq!(message.subject(), Some(composed.subject.as_str()), "{profile}");
        assert_eq!(
            Some(composed.message_id.as_str()),
            message.message_id().map(|id| format!("<{id}>")).as_deref()
        );
        assert_eq!(message.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
        let own = message.header_raw(HEADER_NAME).unwrap().replace("\r\n", "");
        let text = message.body_text(0).unwrap();
        let to = message.to().unwrap().first().unwrap().address().unwrap();
        let places = [
            (to, Place::Recipient),
            (message.message_id().unwrap(), Place::MessageId),
            (own.as_str(), Place::Header),
            (message.subject().unwrap(), Place::Subject),
            (&text, Place::Body),
        ];
        for (value, place) in places {
            let found = ring().find_all(value.as_bytes());
            let want = Reading::Valid { token: token(), made_for: place };
            assert!(
                !found.is_empty() && found.iter().all(|f| f.reading == want),
                "{profile} {place:?}: {value}"
            );
        }
        assert!(own.contains("r=hq-m365;") && own.contains("s=2026-09-21T14:13:20Z"), "{own}");
        assert!(!message.parts.iter().any(|part| part.is_encoding_problem), "{profile}");
        assert_eq!(composed.has_8bit, !bytes.is_ascii());
        let attachments: Vec<_> = message.attachments().collect();
        match &composed.attachment {
            Some(attachment) => {
                assert_eq!(attachments.len(), 1);
                assert_eq!(sha256(attachments[0].contents()), attachment.sha256);
                assert_eq!(length(attachments[0].contents()), attachment.size_bytes);
                assert_eq!(attachments[0].attachment_name(), Some(attachment.name.as_str()));
                assert_eq!(ring().find_all(attachment.name.as_bytes()).len(), 1);
            }
            None => assert!(attachments.is_empty(), "{profile}"),
        }
    }
}

#[test]
fn what_a_profile_declares() {
    let cases = [
        (Profile::Plain, false, false),
        (Profile::Business, false, false),
        (Profile::Attach(5_000), false, false),
        (Profile::Utf8, true, true),
        (Profile::EightBit, true, false),
        (Profile::LongLine, false, false),
    ];
    for (profile, has_8bit, needs_smtputf8) in cases {
        let composed = made(profile, "r");
        assert_eq!((composed.has_8bit, composed.needs_smtputf8), (has_8bit, needs_smtputf8), "{profile}");
    }
    let message = made(Profile::Business, "r");
    let message = MessageParser::default().parse(&message.bytes).unwrap();
    assert!(message.body_html(0).unwrap().contains("https://probe.example.org/mf"));
}

#[test]
fn lines_are_those_of_rfc_5322() {
    for profile in PROFILES {
        for route in
            ["r", "a route with a very long name that would be cut somewhere, since it is far too long", ""]
        {
            let composed = made(profile, route);
            let text = String::from_utf8(composed.bytes).unwrap();
            assert!(text.ends_with("\r\n"));
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "a bare CR or LF");
            let (header, _) = text.split_once("\r\n\r\n").unwrap();
            for line in header.split("\r\n") {
                assert!(line.chars().count() <= FOLD_COLUMN, "{line}");
                assert!(!line.trim().is_empty());
            }
            for line in text.split("\r\n") {
                assert!(line.len() <= 998, "{profile}: {}", line.len());
            }
            let long = text.split("\r\n").filter(|line| line.len() == 998).count();
            assert_eq!(long, usize::from(profile == Profile::LongLine));
        }
    }
}

#[test]
fn the_same_draft_gives_the_same_bytes_and_another_token_others() {
    for profile in PROFILES {
        assert_eq!(made(profile, "r"), made(profile, "r"));
    }
    let other = ring().mint(Kind::Probe, 7, Timestamp::from_seconds(1_790_000_000), 6);
    assert_ne!(attachment_bytes(&token(), 100), attachment_bytes(&other, 100));
    assert_eq!(attachment_bytes(&token(), 100), attachment_bytes(&token(), 1_000)[..100]);
}

/// A change here changes what old probes are compared with: raise [`TEMPLATE_VERSION`].
#[test]
fn the_template_of_this_version() {
    let text = String::from_utf8(made(Profile::Plain, "hq-m365").bytes).unwrap();
    let texts = ring().texts(&token()).unwrap();
    let want = format!(
        "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n\
         From: Mailsonde probe <probe@probe.example.org>\r\n\
         To: <probe+{}@example.net>\r\n\
         Message-ID: <{}@probe.example.org>\r\n\
         Subject: Mailsonde probe hq-m365 [{}]\r\n\
         X-Mailsonde-Probe: v=1; t={}; r=hq-m365;\r\n \
         s=2026-09-21T14:13:20Z\r\n\
         Auto-Submitted: auto-generated\r\n\
         X-Auto-Response-Suppress: All\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         Content-Transfer-Encoding: 7bit\r\n\
         \r\n\
         This is a test message of Mailsonde. It measures whether and how fast\r\n\
         mail arrives. Nobody needs to read or answer it.\r\n\
         \r\n\
         route: hq-m365\r\n\
         made:  2026-09-21T14:13:20Z\r\n\
         -- {} --\r\n",
        texts.recipient, texts.message_id, texts.subject, texts.header, texts.body
    );
    assert_eq!(text, want);
    assert_eq!(TEMPLATE_VERSION, 1);
}

#[test]
fn hostile_route_names_stay_one_word() {
    let composed = made(Profile::Plain, "x\r\nBcc: victim@example.com\r\n\r\n<b>");
    let message = MessageParser::default().parse(&composed.bytes).unwrap();
    assert!(message.bcc().is_none());
    assert!(
        composed.subject.starts_with("Mailsonde probe x--Bcc--victim-example.com-----b- ["),
        "{}",
        composed.subject
    );
}

#[test]
fn profiles_in_words() {
    let cases = [
        ("plain", Ok(Profile::Plain)),
        ("business", Ok(Profile::Business)),
        ("attach:65536", Ok(Profile::Attach(65_536))),
        ("attach:5MiB", Ok(Profile::Attach(5 * 1_024 * 1_024))),
        ("attach:2 kB", Ok(Profile::Attach(2_000))),
        ("utf8", Ok(Profile::Utf8)),
        ("8bit", Ok(Profile::EightBit)),
        ("longline", Ok(Profile::LongLine)),
        ("attach:0", Err("attachment size")),
        ("attach:1TB", Err("attachment size")),
        ("attach:99999999999999999999MiB", Err("attachment size")),
        ("attach:9999999MiB", Err("attachment size")),
        ("Plain", Err("no such profile: Plain")),
        ("", Err("no such profile")),
    ];
    for (text, want) in cases {
        match (Profile::parse(text), want) {
            (Ok(profile), Ok(want)) => {
                assert_eq!(profile, want, "{text}");
                assert_eq!(Profile::parse(&profile.to_string()), Ok(profile));
            }
            (Err(error), Err(want)) => assert!(error.to_string().starts_with(want), "{error}"),
            (got, want) => panic!("{text}: {got:?}, not {want:?}"),
        }
    }
}

#[test]
fn recipients_from_templates() {
    let name = ring().texts(&token()).unwrap().recipient;
    let cases = [
        ("probe+{token}@example.net", Some(format!("probe+{name}@example.net"))),
        ("{token}@probe.example.net", Some(format!("{name}@probe.example.net"))),
        ("user@example.net", Some("user@example.net".to_owned())),
        ("{token}", None),
        ("averyveryverylonglocalpartthatis+{token}@example.net", None),
    ];
    for (template, want) in cases {
        assert_eq!(address_of(template, &name).map(|a| a.to_string()), want, "{template}");
    }
}
