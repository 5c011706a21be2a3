//! Signing and verifying, and everything that must not pass.

use proptest::prelude::*;

use super::*;
use crate::dns::{Answer, Cause, RecordData};

/// When the messages of the tests are signed and come.
const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
/// A message with a folded field, blanks and empty lines at its end.
const MESSAGE: &str = "Received: from a by b;\r\n\tMon, 1 Jan 2024 00:00:00 +0000\r\nFrom: Ann <ann@example.com>\r\nTo: Bob <bob@example.net>,\r\n  Eve\r\nSubject:  Two  blanks \r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHello  Bob,\r\n\r\n.\tYours\r\n\r\n\r\n";

/// Both keys of the tests.
fn keys() -> [SigningKey; 2] {
    let rsa = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/rsa-2048.pem"));
    let ed25519 = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/ed25519.pem"));
    [SigningKey::from_pem(rsa).unwrap(), SigningKey::from_pem(ed25519).unwrap()]
}

/// Answers with one text, or another answer, at the selector `s1` of example.com.
fn at_selector(answer: Answer) -> Answers {
    let mut answers = Answers::new();
    let name = key::key_name("s1", "example.com").unwrap();
    answers.put(Question::new(name, RecordType::Txt), answer);
    answers
}

/// An answer of texts.
fn texts(texts: &[&str]) -> Answer {
    Answer::records(texts.iter().map(|text| RecordData::Txt(vec![text.as_bytes().to_vec()])).collect())
}

/// The message, signed.
fn signed(key: &SigningKey) -> String {
    sign(MESSAGE.as_bytes(), key, "example.com", "s1", NOW).unwrap() + MESSAGE
}

/// The codes of the reasons.
fn codes(message: &str, answers: &Answers) -> String {
    let found = verify(&RawMessage::new(message.as_bytes()), NOW, answers).unwrap();
    found.verdicts.iter().map(|verdict| verdict.reason.code()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_we_sign_verifies() {
    for key in keys() {
        let answers = at_selector(texts(&[&key.record()]));
        let message = signed(&key);
        assert!(message.lines().all(|line| line.len() < 100), "{message}");
        let found = verify(&RawMessage::new(message.as_bytes()), NOW, &answers).unwrap();
        let [verdict] = found.verdicts.as_slice() else { panic!("{found:?}") };
        assert_eq!(verdict.reason, Reason::Verified);
        assert_eq!(verdict.notes, []);
        assert_eq!(verdict.facts.domain.as_deref(), Some("example.com"));
        assert_eq!(verdict.facts.selector.as_deref(), Some("s1"));
        assert_eq!(verdict.facts.algorithm.as_deref(), Some(key.algorithm()));
        assert_eq!(verdict.facts.signed_at, Some(NOW));
        assert_eq!((verdict.is_body_intact, verdict.is_header_intact), (Some(true), Some(true)));
        assert_eq!(found.result(), DkimResult::Pass);
        // What relays do and relaxed allows: blanks, folds, fields that are not signed, line ends of files.
        let relayed = message
            .replace("Subject:  Two  blanks ", "subject: Two\r\n   blanks")
            .replace("Hello  Bob,", "Hello Bob, \t")
            .replace("Yours\r\n\r\n\r\n", "Yours\r\n");
        assert_eq!(codes(&format!("X-New: 1\r\n{relayed}"), &answers), "verified");
        assert_eq!(codes(&message.replace("\r\n", "\n"), &answers), "verified");
    }
}

#[test]
fn what_was_changed_is_told_apart() {
    let [rsa, ed25519] = keys();
    let answers = at_selector(texts(&[&rsa.record()]));
    let message = signed(&rsa);
    for (from, to, want) in [
        ("Hello", "Hallo", "body-hash"),
        ("Yours\r\n", "Yours\r\nPS\r\n", "body-hash"),
        ("Subject:  Two", "Subject:  Tw0", "signature"),
        ("Date: Mon", "X-Date: Mon", "signature"),
        ("From: Ann", "From: Eve <eve@example.com>\r\nFrom: Ann", "signature"),
        ("t=1790000000", "t=1790000001", "signature"),
        ("d=example.com", "d=Example.com", "signature"),
        ("v=1;", "v=2;", "version"),
        ("v=1; ", "", "tag-missing"),
        ("a=rsa-sha256", "a=rsa-md5", "algorithm"),
        ("c=relaxed/relaxed", "c=odd", "canonicalization"),
        ("s=s1;", "s=s1; q=http;", "query-method"),
        ("s=s1;", "s=s1; i=@example.net;", "identity-domain"),
        ("s=s1;", "s=s1; x=1;", "times"),
        ("s=s1;", "s=s1; l=x;", "tag-value"),
        ("s=s1;", "s=s1; l=99999999999999999999;", "length"),
        ("s=s1;", "s=s1; s=s1;", "syntax"),
        ("h=from:from", "h=to", "from-not-signed"),
        ("s=s1;", "s=;", "tag-value"),
        ("bh=", "bh=*", "tag-value"),
        ("s=s1;", "s=a..b;", "key-name"),
    ] {
        let changed = message.replacen(from, to, 1);
        assert_ne!(changed, message, "{from}");
        assert_eq!(codes(&changed, &answers), want, "{from:?} to {to:?}");
    }
    assert_eq!(codes(&message.replace("Hello", "Hel\rlo"), &answers), "odd-blanks");
    assert_eq!(codes(&signed(&ed25519), &answers), "key-type");
    assert_eq!(codes(MESSAGE, &answers), "");
    let none = verify(&RawMessage::new(MESSAGE.as_bytes()), NOW, &answers).unwrap();
    assert_eq!(none.result(), DkimResult::None);
}

#[test]
fn every_state_of_the_key_is_told() {
    let [rsa, ed25519] = keys();
    let record = rsa.record();
    let message = signed(&rsa);
    let revoked = texts(&["v=DKIM1; p="]);
    let cases = [
        (texts(&[&record]), "verified", DkimResult::Pass),
        (texts(&[&record, &ed25519.record()]), "verified", DkimResult::Pass),
        (texts(&[&record.replace("; p=", "; t=y; p=")]), "verified", DkimResult::Pass),
        (texts(&[&ed25519.record()]), "key-type", DkimResult::PermError),
        (texts(&[&record.replace("; p=", "; h=sha1; p=")]), "key-hash", DkimResult::PermError),
        (texts(&[&record.replace("; p=", "; s=x; p=")]), "key-not-for-mail", DkimResult::PermError),
        (texts(&["nothing of the kind", "x"]), "key-other-text", DkimResult::PermError),
        (
            texts(&[
                "v=DKIM1; p=MEgCQQDZTWkv5WYle0GZWAxAe4NG7UbWOD6xU0nP1XPQeJElntwaMSWtF8yNCp6CTATQz80DPk4TbcZY9n3yJDva/aftAgMBAAE=",
            ]),
            "key-too-short",
            DkimResult::Policy,
        ),
        (revoked, "key-revoked", DkimResult::PermError),
        (Answer::no_name(), "key-missing", DkimResult::PermError),
        (Answer::not_known(Cause::Timeout, "no answer in 5 s"), "key-not-known", DkimResult::TempError),
    ];
    for (answer, code, result) in cases {
        let found = verify(&RawMessage::new(message.as_bytes()), NOW, &at_selector(answer)).unwrap();
        assert_eq!((found.verdicts[0].reason.code(), found.result()), (code, result));
        assert_eq!(found.is_open(), result == DkimResult::TempError);
        assert_eq!(found.verdicts[0].is_body_intact, Some(true));
    }
    let reports = at_selector(texts(&[&record.replace("; p=", "; s=tlsrpt; p=")]));
    assert_eq!(codes(&message, &reports), "key-not-for-mail");
    let raw = RawMessage::new(message.as_bytes());
    let found = verify_as(&raw, Service::TlsReport, NOW, &reports).unwrap();
    assert_eq!(found.result(), DkimResult::Pass);
    let strict = record.replace("; p=", "; t=s; p=");
    let below = message.replace("s=s1;", "s=s1; i=@sub.example.com;");
    assert_eq!(codes(&below, &at_selector(texts(&[&strict]))), "strict-identity");
    let testing = at_selector(texts(&[&record.replace("; p=", "; t=y; p=")]));
    let found = verify(&RawMessage::new(message.as_bytes()), NOW, &testing).unwrap();
    assert_eq!(found.verdicts[0].notes, [Note::Testing]);
}

/// A message signed by tags of the test's own, with the simple forms.
pub(in crate::authentication) fn signed_with(tags: &str, key: &SigningKey, message: &str) -> String {
    // The signer signs what it is given: its field is rewritten and computed again through its own way.
    let raw = RawMessage::new(message.as_bytes());
    let length = tags.split("l=").nth(1).and_then(|rest| rest.split(';').next()?.trim().parse().ok());
    let is_sha1 = tags.contains("sha1");
    let hash = raw.body_hash(message::BodyKind { is_relaxed: true, is_sha1, length });
    let value = format!(
        " v=1; c=relaxed/relaxed; d=example.com; s=s1; h=from:subject; {tags}; bh={}; b=",
        data_encoding::BASE64.encode(&hash.digest)
    );
    let mut fields = raw.signed_fields(&["from".to_owned(), "subject".to_owned()]);
    fields.push((b"DKIM-Signature", value.as_bytes()));
    let mut octets = Vec::new();
    message::canonicalization(true).canonicalize_headers(fields.into_iter(), &mut octets);
    let signature = data_encoding::BASE64.encode(&sign::sign_octets(key, &octets));
    format!("DKIM-Signature:{value}{signature}\r\n{message}")
}

#[test]
fn lengths_and_times() {
    let [rsa, _] = keys();
    let answers = at_selector(texts(&[&rsa.record()]));
    let message = signed_with("a=rsa-sha256; l=5", &rsa, MESSAGE);
    let found = verify(&RawMessage::new(message.as_bytes()), NOW, &answers).unwrap();
    assert_eq!(found.verdicts[0].reason, Reason::Verified);
    assert!(found.verdicts[0].notes.contains(&Note::Unsigned(18)), "{:?}", found.verdicts[0].notes);
    assert!(found.verdicts[0].notes.contains(&Note::NotOversigned));
    assert!(found.verdicts[0].notes.contains(&Note::FieldsUnsigned("date, to, message-id".to_owned())));
    assert_eq!(found.verdicts[0].facts.body_length, Some(5));
    let added = message + "and more\r\n";
    assert_eq!(codes(&added, &answers), "verified");
    let whole = signed_with("a=rsa-sha256; l=23", &rsa, MESSAGE);
    let found = verify(&RawMessage::new(whole.as_bytes()), NOW, &answers).unwrap();
    assert!(found.verdicts[0].notes.contains(&Note::LengthInUse), "{:?}", found.verdicts[0].notes);
    let nothing = signed_with("a=rsa-sha256; l=0", &rsa, MESSAGE);
    assert_eq!(codes(&nothing, &answers), "verified");
    let ended = signed_with(&format!("a=rsa-sha256; t=1; x={}", NOW.seconds() - 1), &rsa, MESSAGE);
    assert_eq!(codes(&ended, &answers), "expired");
    let found = verify(&RawMessage::new(ended.as_bytes()), Timestamp::from_seconds(5), &answers).unwrap();
    assert_eq!(found.result(), DkimResult::Pass, "judged by when it came, not by today");
    let early = signed_with(&format!("a=rsa-sha256; t={}", NOW.seconds() + 4_000), &rsa, MESSAGE);
    let found = verify(&RawMessage::new(early.as_bytes()), NOW, &answers).unwrap();
    assert!(found.verdicts[0].notes.iter().any(|note| note.code() == "from-future"));
}

#[test]
fn many_signatures_are_bounded_and_listed() {
    let [rsa, _] = keys();
    let answers = at_selector(texts(&[&rsa.record()]));
    let field = sign(MESSAGE.as_bytes(), &rsa, "example.com", "s1", NOW).unwrap();
    let message = field.repeat(limits::SIGNATURES_LISTED + 5) + MESSAGE;
    let found = verify(&RawMessage::new(message.as_bytes()), NOW, &answers).unwrap();
    assert_eq!((found.verdicts.len(), found.unlisted), (limits::SIGNATURES_LISTED, 5));
    let passed = found.verdicts.iter().filter(|verdict| verdict.result() == DkimResult::Pass).count();
    assert_eq!(passed, limits::SIGNATURES);
    assert_eq!(found.verdicts.last().unwrap().reason, Reason::NotLookedAt);
    let large = "X-A: b\r\n".repeat(limits::SIGNED_HEADER_FIELDS) + &field + MESSAGE;
    let found = verify(&RawMessage::new(large.as_bytes()), NOW, &answers).unwrap();
    assert_eq!(found.verdicts.len(), 0, "a signature beyond the bound is not seen");
    let large = field + &"X-A: b\r\n".repeat(limits::SIGNED_HEADER_FIELDS) + MESSAGE;
    assert_eq!(codes(&large, &answers), "header-too-large");
}

#[test]
fn keys_are_asked_for_at_once() {
    let field = |domain: &str| sign(MESSAGE.as_bytes(), &keys()[1], domain, "s1", NOW).unwrap();
    let message = field("example.com") + &field("example.net") + &field("example.com") + MESSAGE;
    let ask = verify(&RawMessage::new(message.as_bytes()), NOW, &Answers::new()).unwrap_err();
    let names: Vec<_> = ask.questions.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["s1._domainkey.example.com TXT", "s1._domainkey.example.net TXT"]);
}

#[test]
fn keys_that_cannot_sign_are_refused() {
    assert!(matches!(SigningKey::from_pem(b"x"), Err(SignError::Pem(_))));
    let [rsa, _] = keys();
    let bad_name = sign(MESSAGE.as_bytes(), &rsa, "example.com", "a..b", NOW);
    assert!(matches!(bad_name, Err(SignError::Name { .. })));
    assert_eq!(sign(b"To: a\r\n\r\n", &rsa, "example.com", "s1", NOW), Err(SignError::NoFrom));
    assert_eq!(format!("{rsa:?}"), "SigningKey { algorithm: \"rsa-sha256\", .. }");
}

#[test]
fn the_other_verifier_agrees() {
    use futures_util::FutureExt as _;
    use mail_auth::common::parse::TxtRecordParser as _;
    use mail_auth::common::verify::DomainKey;
    use mail_auth::{AuthenticatedMessage, MessageAuthenticator, Parameters, ResolverCache, Txt};
    use std::borrow::Borrow;
    use std::hash::Hash;

    /// The key at every name, so that the network is never asked.
    struct Known(String);
    impl ResolverCache<Box<str>, Txt> for Known {
        fn get<Q>(&self, _: &Q) -> Option<Txt>
        where
            Box<str>: Borrow<Q>,
            Q: Hash + Eq + ?Sized,
        {
            Some(DomainKey::parse(self.0.as_bytes()).into())
        }
        fn remove<Q>(&self, _: &Q) -> Option<Txt>
        where
            Box<str>: Borrow<Q>,
            Q: Hash + Eq + ?Sized,
        {
            None
        }
        fn insert(&self, _: Box<str>, _: Txt, _: std::time::Instant) {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let other = MessageAuthenticator::new_cloudflare().unwrap();
    for key in keys() {
        let cache = Known(key.record());
        let answers = at_selector(texts(&[&key.record()]));
        let whole = signed(&key);
        for message in [
            whole.clone(),
            whole.replace("Hello", "Hallo"),
            whole.replace("Two", "2"),
            whole.replace("c=r", "c=R"),
        ] {
            let parsed = AuthenticatedMessage::parse(message.as_bytes()).unwrap();
            let parameters = Parameters::new(&parsed).with_txt_cache(&cache);
            let theirs = other.verify_dkim(parameters).now_or_never().unwrap();
            let theirs = theirs.iter().any(|output| output.result() == &mail_auth::DkimResult::Pass);
            let ours = verify(&RawMessage::new(message.as_bytes()), NOW, &answers).unwrap();
            assert_eq!(ours.result() == DkimResult::Pass, theirs, "{message}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_message_panics(octets in proptest::collection::vec(any::<u8>(), 0..400), tags in "[ -~]{0,80}") {
        let message = [b"DKIM-Signature: ".as_slice(), tags.as_bytes(), b"\r\n", &octets].concat();
        let raw = RawMessage::new(&message);
        if let Ok(found) = verify(&raw, NOW, &Answers::new()) {
            prop_assert_ne!(found.result(), DkimResult::Pass);
        }
    }

    #[test]
    fn a_changed_octet_never_passes(place in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let [_, key] = keys();
        let answers = at_selector(texts(&[&key.record()]));
        let mut message = signed(&key).into_bytes();
        let start = message.windows(6).position(|window| window == b"From: ").unwrap();
        let place = start + place.index(message.len() - start);
        let before = message[place];
        message[place] = octet;
        // Which blank it is, and the case of a field's name, are no content (RFC 6376 §3.4.2, §3.4.4).
        let is_blank = |octet: u8| [b' ', b'\t', b'\r', b'\n', 0x0c].contains(&octet);
        prop_assume!(before != octet && !before.eq_ignore_ascii_case(&octet));
        prop_assume!(!(is_blank(before) && is_blank(octet)));
        // Blanks at the end of a line, or beside others, are no content either.
        let touches_blank = message.get(place - 1).copied().is_some_and(is_blank)
            || message.get(place + 1).copied().is_none_or(is_blank);
        prop_assume!(!(touches_blank && (is_blank(before) || is_blank(octet))));
        let found = verify(&RawMessage::new(&message), NOW, &answers);
        let passes = found.is_ok_and(|found| found.result() == DkimResult::Pass);
        prop_assert!(!passes, "{} for {} at {}", octet, before, place);
    }
}
