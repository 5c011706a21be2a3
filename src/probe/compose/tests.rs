//! Composed messages, read back by two readers: another program's, and the one that reads arrivals.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use mail_parser::{MessageParser, MimeHeaders};

use super::mime::FOLD_COLUMN;
use super::*;
use crate::authentication::dkim::{DkimResult, RawMessage, Reason, verify};
use crate::authentication::key::key_name;
use crate::dns::{Answer, Answers, Question, RecordData, RecordType, ZoneResolver};
use crate::mail::Message;
use crate::probe::lifecycle::Expectation;
use crate::probe::token::{KeyRing, Kind, Place, Reading};

mod templates;
mod verdicts;

const AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// Every profile, those with a number in a small size.
fn profiles() -> Vec<Profile> {
    let mut profiles = vec![Profile::Attach(1), Profile::Attach(100_000), Profile::Oversize(3_000)];
    profiles.extend(["exe", "js", "zip"].map(|text| Profile::Ext(Extension::parse(text).unwrap())));
    let words = Profile::LIST.split(", ").filter(|word| !word.contains('<'));
    profiles.extend(words.map(|word| Profile::parse(word).unwrap()));
    profiles
}

fn ring() -> KeyRing {
    KeyRing::with_id(3, &[7; 32]).unwrap()
}

/// A token of many.
fn token_of(counter: u32) -> Token {
    ring().mint(Kind::Probe, 7, Timestamp::from_seconds(1_790_000_000 + i64::from(counter) * 300), counter)
}

fn token() -> Token {
    ring().mint(Kind::Probe, 7, AT, 5)
}

/// Both signers of the tests, of the author's domain: RSA and Ed25519.
static SIGNERS: LazyLock<[Signer; 2]> = LazyLock::new(|| {
    let domain = DomainName::parse("probe.example.org").unwrap();
    let rsa = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/rsa-2048.pem"));
    let ed25519 = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/ed25519.pem"));
    [rsa.as_slice(), ed25519].map(|pem| Signer::new(pem, domain.clone(), "s1").unwrap())
});

/// A file of the operator's own.
const FILE: OwnFile<'_> = OwnFile { name: "price list.pdf", bytes: b"not really a document\x00\xff" };

/// What one test changes of a draft.
struct With<'w> {
    token: Token,
    profile: Profile,
    route: &'w str,
    from: &'w str,
    to: &'w str,
    dkim: Option<&'w Signer>,
    template: Option<&'w Template>,
    headers: &'w [(String, String)],
}

impl With<'_> {
    /// Nothing but a profile.
    fn only(profile: Profile) -> Self {
        Self {
            token: token(),
            profile,
            route: "hq-m365",
            from: "probe@probe.example.org",
            to: "probe+{token}@example.net",
            dkim: None,
            template: None,
            headers: &[],
        }
    }

    fn compose(&self) -> Result<Composed, ComposeError> {
        let texts = ring().texts(&self.token).unwrap();
        let to = address_of(self.to, texts.name()).unwrap();
        let from = Address::parse(self.from).unwrap();
        // The profile that breaks a signature has one to break.
        let needed = SIGNERS.last().filter(|_| self.profile == Profile::DkimBroken);
        compose(&Draft {
            dkim: self.dkim.or(needed),
            template: self.template,
            headers: self.headers,
            file: Some(FILE),
            ..Draft::new(&self.token, &texts, self.route, self.profile, &from, &to)
        })
    }
}

fn made(profile: Profile, route: &str) -> Composed {
    With { route, ..With::only(profile) }.compose().unwrap()
}

#[test]
fn another_reader_finds_every_field_and_the_token_in_every_place() {
    for profile in profiles() {
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
        for absent in ["Precedence", "List-Unsubscribe", "List-Id", "Reply-To"] {
            assert!(message.header_raw(absent).is_none(), "{absent}");
        }
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
        let named = |attachment: &Attachment| {
            let is_it =
                |part: &&mail_parser::MessagePart<'_>| part.attachment_name() == Some(&attachment.name);
            let part = message.attachments().find(is_it).unwrap();
            assert_eq!(sha256(part.contents()), attachment.sha256, "{profile}");
            assert_eq!(length(part.contents()), attachment.size_bytes);
            let is_own = profile == Profile::AttachFile;
            assert_eq!(ring().find_all(attachment.name.as_bytes()).len(), usize::from(!is_own));
        };
        composed.attachment.iter().for_each(named);
        let has_file = composed.parts.iter().any(|part| part.name.is_some());
        assert_eq!(composed.attachment.is_some(), has_file, "{profile}");
    }
}

/// What is said of the parts of a message is what the reader of arrivals finds in it, whatever the token.
#[test]
fn arrivals_have_the_parts_of_the_original() {
    for counter in 0..20 {
        for profile in profiles() {
            let composed = With { token: token_of(counter), ..With::only(profile) }.compose().unwrap();
            let message = Message::parse(&composed.bytes);
            assert_eq!(message.notes, [], "{profile}");
            let found: Vec<PartFacts> = message.parts.iter().map(facts).collect();
            assert_eq!(found, composed.parts, "{profile}");
        }
    }
    let parts = |profile| {
        let parts = made(profile, "r").parts;
        parts.into_iter().map(|part| (part.content_type, part.is_attachment)).collect::<Vec<_>>()
    };
    let of =
        |kinds: &[(&str, bool)]| kinds.iter().map(|(kind, is)| ((*kind).to_owned(), *is)).collect::<Vec<_>>();
    assert_eq!(parts(Profile::Plain), of(&[("text/plain", false)]));
    let business =
        [("text/plain", false), ("text/html", false), ("image/png", false), ("application/pdf", true)];
    assert_eq!(parts(Profile::Business), of(&business));
    assert_eq!(parts(Profile::Calendar), of(&[("text/plain", false), ("text/calendar", false)]));
    assert_eq!(parts(Profile::AttachFile), of(&[("text/plain", false), ("application/pdf", true)]));
}

/// What the reader of arrivals finds.
fn facts(part: &crate::mail::Part<'_>) -> PartFacts {
    let (bytes, deviation) = part.decode();
    assert_eq!(deviation, None);
    PartFacts {
        content_type: part.content_type.clone(),
        name: (!part.file_name.is_empty()).then(|| part.file_name.clone()),
        is_attachment: part.is_attachment,
        size_bytes: length(&bytes),
        sha256: sha256(&bytes),
    }
}

#[test]
fn what_a_profile_declares() {
    for profile in profiles() {
        let composed = made(profile, "r");
        let is_eight_bit = matches!(profile, Profile::Utf8 | Profile::EightBit);
        assert_eq!(composed.has_8bit, is_eight_bit, "{profile}");
        assert_eq!(composed.needs_smtputf8, profile == Profile::Utf8, "{profile}");
    }
    let message = made(Profile::Business, "r");
    let message = MessageParser::default().parse(&message.bytes).unwrap();
    assert!(message.body_html(0).unwrap().contains("https://probe.example.org/mf"));
    let japanese = made(Profile::Iso2022Jp, "r");
    let message = Message::parse(&japanese.bytes);
    assert!(japanese.subject.starts_with("日本語テスト Mailsonde probe r [mf"), "{}", japanese.subject);
    assert!(message.parts[0].text(10_000).contains("これは日本語のテストです。"));
    let text = String::from_utf8(made(Profile::Calendar, "r").bytes).unwrap();
    let begin = "DTSTAMP:20260921T141320Z\r\nDTSTART:20260922T141320Z\r\nDTEND:20260922T144320Z\r\n";
    assert!(text.contains(begin), "{text}");
}

#[test]
fn lines_are_those_of_rfc_5322() {
    for profile in profiles() {
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
                // What mail programs change on their way: a mark of mbox files, a dot, blanks at the end.
                assert!(
                    !line.starts_with("From ") && !line.starts_with('.') && !line.ends_with(' '),
                    "{line}"
                );
            }
            let long = text.split("\r\n").filter(|line| line.len() == 998).count();
            assert_eq!(long, usize::from(profile == Profile::LongLine));
        }
    }
}

/// Also signed: the signatures of both algorithms are a function of what is signed.
#[test]
fn the_same_draft_gives_the_same_bytes_and_another_token_others() {
    let [rsa, ed25519] = &*SIGNERS;
    for profile in profiles() {
        let mut fingerprints = HashSet::new();
        for counter in 0..150 {
            let with = With { token: token_of(counter), dkim: Some(ed25519), ..With::only(profile) };
            let composed = with.compose().unwrap();
            assert_eq!(composed, with.compose().unwrap(), "{profile}");
            assert!(fingerprints.insert(composed.fingerprint), "{profile}");
        }
    }
    let with = With { dkim: Some(rsa), ..With::only(Profile::Plain) };
    assert_eq!(with.compose(), with.compose());
    let other = ring().mint(Kind::Probe, 7, AT, 6);
    assert_ne!(attachment_bytes(&token(), 100), attachment_bytes(&other, 100));
    assert_eq!(attachment_bytes(&token(), 100), attachment_bytes(&token(), 1_000)[..100]);
}

/// The text of a probe without the lines that name it.
fn words_of(counter: u32) -> String {
    let composed = With { token: token_of(counter), ..With::only(Profile::Plain) }.compose().unwrap();
    let text = String::from_utf8(composed.bytes).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let (words, _) = body.split_once("route: ").unwrap();
    words.replace("\r\n", " ")
}

/// A filter that counts how often it saw a text, a sentence or a run of words finds nothing to count.
#[test]
fn no_two_probes_have_the_same_text() {
    const COUNT: u32 = 2_000;
    let mut texts = HashSet::new();
    let mut sentences: HashMap<String, u32> = HashMap::new();
    let mut runs: HashMap<String, u32> = HashMap::new();
    for counter in 0..COUNT {
        let text = words_of(counter);
        for sentence in
            text.split_inclusive(['.', ':']).map(str::trim).filter(|sentence| !sentence.is_empty())
        {
            *sentences.entry(sentence.to_owned()).or_default() += 1;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        for run in words.windows(8) {
            *runs.entry(run.join(" ")).or_default() += 1;
        }
        assert!(texts.insert(text));
    }
    for (what, times) in sentences.into_iter().chain(runs) {
        assert!(times < COUNT / 8, "{times} times: {what}");
    }
}

/// A change here changes what old probes are compared with: raise [`TEMPLATE_VERSION`].
#[test]
fn the_template_of_this_version() {
    let texts = ring().texts(&token()).unwrap();
    let text = String::from_utf8(made(Profile::Plain, "hq-m365").bytes).unwrap();
    let head = format!(
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
         \r\n",
        texts.recipient, texts.message_id, texts.subject, texts.header
    );
    assert!(text.starts_with(&head), "{text}");
    let tail = format!("\r\nroute: hq-m365\r\nmade:  2026-09-21T14:13:20Z\r\n-- {} --\r\n", texts.body);
    assert!(text.ends_with(&tail), "{text}");
    // All profiles of one token: the bytes of this version.
    let mut all = Vec::new();
    for profile in profiles() {
        all.extend(made(profile, "hq-m365").fingerprint);
    }
    let want = "eaf71bba3d1930fb1b2d11a85132924e4f8e1b24bef8519712e387c4bbfb791d";
    assert_eq!((TEMPLATE_VERSION, data_encoding::HEXLOWER.encode(&sha256(&all)).as_str()), (2, want));
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

// ---- Names outside ASCII ----

#[test]
fn internationalized_names_are_shown_where_the_profile_is_about_them() {
    let with = |profile| {
        let (from, to) = ("prüfung@bücher.example", "postfach+{token}@straße.example");
        With { from, to, ..With::only(profile) }.compose().unwrap()
    };
    let utf8 = with(Profile::Utf8);
    let text = String::from_utf8(utf8.bytes).unwrap();
    assert!(text.contains("From: Mailsonde probe <prüfung@bücher.example>\r\n"), "{text}");
    assert!(text.contains("@straße.example>\r\n"), "{text}");
    // The identifier is one for programs: A-labels.
    assert!(utf8.message_id.ends_with("@xn--bcher-kva.example>"), "{}", utf8.message_id);
    // Without the profile the domains need nothing; a local part outside ASCII always does.
    let plain = with(Profile::Plain);
    assert!(plain.needs_smtputf8);
    assert!(String::from_utf8(plain.bytes).unwrap().contains("<prüfung@xn--bcher-kva.example>"));
    let plain = With { from: "probe@bücher.example", ..With::only(Profile::Plain) }.compose().unwrap();
    assert!(!plain.needs_smtputf8 && !plain.has_8bit);
}

// ---- Signatures ----

/// The verdict on the signature of a message, with the key from a zone.
fn verdict(bytes: &[u8], signer: &Signer) -> dkim::Signatures {
    // Strings of a TXT record have at most 255 octets.
    let record = signer.record();
    let (first, rest) = record.split_at(record.len().min(200));
    let zone =
        format!("org. SOA a. b. 1 2 3 4 5\ns1._domainkey.{}. TXT \"{first}\" \"{rest}\"\n", signer.domain());
    let zone = ZoneResolver::parse(&zone).unwrap();
    let mut answers = Answers::new();
    let question = Question::new(key_name("s1", signer.domain().as_str()).unwrap(), RecordType::Txt);
    let answer = zone.answer(&question);
    answers.put(question, answer);
    verify(&RawMessage::new(bytes), AT, &answers).unwrap()
}

#[test]
fn every_signature_verifies_with_the_published_key() {
    for signer in &*SIGNERS {
        for profile in profiles() {
            let headers = [("X-Own".to_owned(), "1".to_owned())];
            let with = With { dkim: Some(signer), headers: &headers, ..With::only(profile) };
            let composed = with.compose().unwrap();
            let found = verdict(&composed.bytes, signer);
            if profile == Profile::DmarcFail {
                assert_eq!((found.verdicts.len(), composed.is_dkim_signed), (0, false));
                continue;
            }
            assert!(composed.is_dkim_signed);
            let [one] = found.verdicts.as_slice() else { panic!("{found:?}") };
            if profile == Profile::DkimBroken {
                // Broken in its fields alone: the body is as it was signed.
                assert_eq!((&one.reason, one.is_body_intact), (&Reason::Mismatch, Some(true)));
                assert_eq!(found.result(), DkimResult::Fail);
                continue;
            }
            assert_eq!((&one.reason, one.notes.as_slice()), (&Reason::Verified, [].as_slice()), "{profile}");
            assert_eq!((one.facts.body_length, one.facts.expires_at), (None, None));
            assert_eq!(one.facts.signed_at, Some(AT));
            for name in
                ["from", "to", "subject", "date", "message-id", "x-mailsonde-probe", "x-own", "content-type"]
            {
                assert!(one.facts.signed.iter().any(|known| known == name), "{name}");
            }
            // What is not signed is the same without a key.
            let unsigned = With { headers: &headers, ..With::only(profile) }.compose().unwrap();
            assert_eq!(unsigned.fingerprint, composed.fingerprint);
            assert!(composed.bytes.ends_with(&unsigned.bytes));
        }
    }
}

#[test]
fn a_changed_message_does_not_verify() {
    let [rsa, _] = &*SIGNERS;
    let text = With { dkim: Some(rsa), ..With::only(Profile::Plain) }.compose().unwrap().bytes;
    let text = String::from_utf8(text).unwrap();
    for (from, to) in [("route: ", "Route: "), ("r=hq-m365", "r=other"), ("Subject: ", "Subject: [EXT] ")] {
        let changed = text.replacen(from, to, 1);
        assert_eq!(verdict(changed.as_bytes(), rsa).result(), DkimResult::Fail, "{from}");
    }
    let other = Answers::new();
    assert!(verify(&RawMessage::new(text.as_bytes()), AT, &other).is_err(), "a key is asked for");
    let mut none = Answers::new();
    let name = key_name("s1", "probe.example.org").unwrap();
    none.put(
        Question::new(name, RecordType::Txt),
        Answer::records(vec![RecordData::Txt(vec![b"x".to_vec()])]),
    );
    assert_ne!(verify(&RawMessage::new(text.as_bytes()), AT, &none).unwrap().result(), DkimResult::Pass);
}

#[test]
fn keys_and_files_that_are_not_there() {
    let domain = DomainName::parse("example.org").unwrap();
    assert!(matches!(Signer::new(b"no key", domain.clone(), "s1"), Err(SignError::Pem(_))));
    let pem = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/ed25519.pem"));
    assert!(matches!(Signer::new(pem, domain, "a..b"), Err(SignError::Name { .. })));
    let texts = ring().texts(&token()).unwrap();
    let (from, to) = (Address::parse("a@example.org").unwrap(), Address::parse("b@example.net").unwrap());
    let token = token();
    let draft = |profile| Draft::new(&token, &texts, "r", profile, &from, &to);
    let fault = |draft: &Draft<'_>| compose(draft).unwrap_err().to_string();
    assert!(fault(&draft(Profile::DkimBroken)).contains("`dkim = \"NAME\"`"));
    assert!(fault(&draft(Profile::AttachFile)).contains("a file to attach"));
    let large = vec![0; usize::try_from(limits::PROBE_ATTACHMENT_BYTES).unwrap() + 1];
    let file = Some(OwnFile { name: "a", bytes: &large });
    assert!(fault(&Draft { file, ..draft(Profile::AttachFile) }).contains("31457281 bytes"));
}

#[test]
fn names_of_own_files_are_made_safe() {
    let long = "x".repeat(500);
    for (name, want) in [
        ("price list.pdf", "price list.pdf"),
        ("a\"b\r\nc.txt", "a-b--c.txt"),
        ("größe.txt", "gr--e.txt"),
        ("", "file"),
        (&long, &"x".repeat(120)),
    ] {
        assert_eq!(OwnFile { name, bytes: b"" }.safe_name(), want);
    }
}

// ---- Negative profiles ----

#[test]
fn the_tests_of_filters_are_put_together() {
    let hash = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&sha256(bytes));
    let eicar = made(Profile::Eicar, "r");
    let file = eicar.attachment.unwrap();
    assert_eq!(file.size_bytes, 68);
    let want = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";
    assert_eq!(data_encoding::HEXLOWER.encode(&file.sha256), want);
    let spam = String::from_utf8(made(Profile::Gtube, "r").bytes).unwrap();
    let want = "4418994365912e23b756ec7f14960f1a89230e44e6acb74de055db7c092f8b9c";
    assert!(spam.split("\r\n").any(|line| hash(line.as_bytes()) == want));
    // Nobody but these two has them.
    for profile in profiles() {
        let text = String::from_utf8(made(profile, "r").bytes).unwrap();
        assert_eq!(text.contains(&samples::spam_test()), profile == Profile::Gtube, "{profile}");
    }
}

#[test]
fn card_numbers_are_ones_that_filters_take_for_real() {
    let text = String::from_utf8(made(Profile::Dlp, "r").bytes).unwrap();
    let numbers: Vec<String> = text
        .split("\r\n")
        .filter_map(|line| line.split_once("card number: ")?.1.split(',').next())
        .map(|number| number.replace(' ', ""))
        .collect();
    assert_eq!(numbers.len(), 3);
    for number in numbers {
        // The check digit (ISO/IEC 7812-1): every second digit from the right is doubled.
        let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0'));
        let sum: u32 = digits
            .zip([1, 2].into_iter().cycle())
            .map(|(digit, times)| digit * times)
            .fold(0, |sum, n| sum + n / 10 + n % 10);
        assert_eq!(sum % 10, 0, "{number}");
    }
}

#[test]
fn what_is_expected_of_whom() {
    let cases = [
        ("plain", Kind::Probe, Expectation::Arrives),
        ("business", Kind::Probe, Expectation::Arrives),
        ("attach:1", Kind::Probe, Expectation::Arrives),
        ("calendar", Kind::Probe, Expectation::Arrives),
        ("gtube", Kind::Negative, Expectation::Stopped),
        ("eicar", Kind::Negative, Expectation::Stopped),
        ("dlp", Kind::Negative, Expectation::Stopped),
        ("ext:exe", Kind::Negative, Expectation::Stopped),
        ("oversize:50MiB", Kind::Negative, Expectation::Stopped),
        ("open-relay", Kind::Negative, Expectation::Stopped),
        ("plaintext-only", Kind::Negative, Expectation::Stopped),
        ("unknown-user", Kind::BounceTest, Expectation::Bounces),
        ("spf-fail", Kind::Negative, Expectation::ArrivesFailingSpf),
        ("dkim-broken", Kind::Negative, Expectation::ArrivesFailingDkim),
        ("dmarc-fail", Kind::Negative, Expectation::NotUnmarkedInInbox),
    ];
    for (text, kind, expectation) in cases {
        let profile = Profile::parse(text).unwrap();
        assert_eq!((profile.kind(), profile.expectation()), (kind, expectation), "{text}");
    }
    for profile in profiles() {
        // Leave is asked for by exactly those that a good system stops or marks.
        assert_eq!(profile.needs().contains(&Need::Leave), profile.is_negative(), "{profile}");
        assert_eq!(profile.expectation() == Expectation::Arrives, !profile.is_negative(), "{profile}");
        assert_eq!(profile.kind() == Kind::Probe, !profile.is_negative(), "{profile}");
    }
}

// ---- Originals ----

#[test]
fn an_original_is_made_again_from_what_is_kept() {
    let (from, template) = (Address::parse("probe@probe.example.org").unwrap(), None);
    let [other_signer, signer] = &*SIGNERS;
    for profile in profiles() {
        let composed = With { dkim: Some(signer), ..With::only(profile) }.compose().unwrap();
        let texts = ring().texts(&token()).unwrap();
        let to = address_of("probe+{token}@example.net", texts.name()).unwrap();
        let facts = ProbeFacts {
            token: texts.name(),
            profile,
            template_version: TEMPLATE_VERSION,
            route: "hq-m365",
            from: &from,
            to: &to,
            template,
            headers: &[],
            file: Some(FILE),
            dkim: None,
            sha256: Some(composed.fingerprint),
        };
        // Also by a ring with a newer key.
        let ring = KeyRing::with_id(4, &[8; 32]).unwrap().verify_only(3, &[7; 32]).unwrap();
        let again = original(&ring, &facts).unwrap();
        assert_eq!(again.parts, composed.parts, "{profile}");
        assert!(composed.bytes.ends_with(&again.bytes), "{profile}");
        let changed = ProbeFacts { route: "renamed", ..facts };
        assert_eq!(original(&ring, &changed), Err(OriginalError::Changed));
        let unsure = ProbeFacts { sha256: None, ..changed };
        assert!(original(&ring, &unsure).is_ok());
        // The hash of the signed message does as well, as long as the key is there.
        let signed = ProbeFacts { sha256: Some(sha256(&composed.bytes)), ..facts };
        let with_key = ProbeFacts { dkim: Some(signer), ..signed };
        assert_eq!(original(&ring, &with_key).as_ref(), Ok(&again));
        if composed.is_dkim_signed {
            assert_eq!(original(&ring, &signed), Err(OriginalError::Changed));
            let other = ProbeFacts { dkim: Some(other_signer), ..signed };
            assert_eq!(original(&ring, &other), Err(OriginalError::Changed));
        }
        let older = ProbeFacts { template_version: 1, ..facts };
        assert_eq!(original(&ring, &older), Err(OriginalError::Version(1)));
        let stranger = KeyRing::with_id(5, &[7; 32]).unwrap();
        assert_eq!(original(&stranger, &facts), Err(OriginalError::Token));
        let elsewhere = ProbeFacts { token: &texts.subject, ..facts };
        assert_eq!(
            original(&ring, &elsewhere),
            Err(OriginalError::Token),
            "the name is the recipient's form"
        );
    }
}

// ---- Names of profiles, recipients ----

#[test]
fn profiles_in_words() {
    let cases = [
        ("plain", Ok(Profile::Plain)),
        ("business", Ok(Profile::Business)),
        ("attach:65536", Ok(Profile::Attach(65_536))),
        ("attach:5MiB", Ok(Profile::Attach(5 * 1_024 * 1_024))),
        ("attach:2 kB", Ok(Profile::Attach(2_000))),
        ("oversize:100MB", Ok(Profile::Oversize(100_000_000))),
        ("ext:EXE", Ok(Profile::Ext(Extension::parse("exe").unwrap()))),
        ("attach:0", Err("attachment size not between 1 and 31457280 bytes: 0")),
        ("attach:1TB", Err("attachment size")),
        ("attach:99999999999999999999MiB", Err("attachment size")),
        ("attach:9999999MiB", Err("attachment size")),
        ("oversize:161MiB", Err("attachment size not between 1 and 167772160 bytes")),
        ("ext:", Err("not the extension of a file name")),
        ("ext:tar.gz", Err("not the extension of a file name")),
        ("ext:toolong99", Err("not the extension of a file name")),
        ("Plain", Err("no such profile: Plain")),
        ("", Err("no such profile")),
    ];
    for (text, want) in cases {
        match (Profile::parse(text), want) {
            (Ok(profile), Ok(want)) => assert_eq!(profile, want, "{text}"),
            (Err(error), Err(want)) => assert!(error.to_string().starts_with(want), "{error}"),
            (got, want) => panic!("{text}: {got:?}, not {want:?}"),
        }
    }
    for profile in profiles() {
        assert_eq!(Profile::parse(&profile.to_string()), Ok(profile));
    }
}

#[test]
fn recipients_from_templates() {
    let name = ring().texts(&token()).unwrap().recipient;
    let cases = [
        ("probe+{token}@example.net", Some(format!("probe+{name}@example.net"))),
        ("{token}@probe.example.net", Some(format!("{name}@probe.example.net"))),
        ("user@example.net", Some("user@example.net".to_owned())),
        ("{token}@bücher.example", Some(format!("{name}@xn--bcher-kva.example"))),
        ("{token}", None),
        ("averyveryverylonglocalpartthatis+{token}@example.net", None),
    ];
    for (template, want) in cases {
        assert_eq!(address_of(template, &name).map(|a| a.to_string()), want, "{template}");
    }
}
