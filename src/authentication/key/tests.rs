//! Key records right and wrong.

use proptest::prelude::*;

use super::*;
use crate::dns::{Answer, Cause, Question};

/// A sound RSA key of 1,024 bits.
const RSA: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDEMnUJGkBlhxzfRvHGo5+yyxrsnt/hREfmA5cxVRmoOPuNv4SU1gGUaG0lMn0rs8aathrj\
                   KfyQG1ChxCJ6wH8wH9XF5ZQ8Ck0HvRu/kNgpDH/YozsmN6EgeHKSBiD0Y781h1/7TUS2L/r0UBmLZg1x1Tt3JrTOX0+DRmn7E/oobQIDAQAB";
/// An RSA key of 512 bits.
const SHORT: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANlNaS/lZiV7QZlYDEB7g0btRtY4PrFTSc/Vc9B4kSWe3BoxJa0XzI0KnoJMBNDPzQM+ThNtxlj2\
     ffIkO9r9p+0CAwEAAQ==";
/// An Ed25519 key.
const ED25519: &str = "1wq1VVBeiKvCYHNMWjLxzoVdHFKLHtqI84x2SDWdkyU=";

/// The codes of all faults of a record of one string.
fn faults(text: &str) -> String {
    let record = KeyRecord::parse(&[text.as_bytes().to_vec()]);
    record.faults.iter().map(KeyFault::code).collect::<Vec<_>>().join(" ")
}

#[test]
fn forms_of_records() {
    let spki = data_encoding::BASE64.encode(
        &[
            [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00].as_slice(),
            &data_encoding::BASE64.decode(ED25519.as_bytes()).unwrap(),
        ]
        .concat(),
    );
    let cases: Vec<(String, &str)> = vec![
        (format!("v=DKIM1; k=rsa; p={RSA}"), ""),
        (format!("p={RSA}"), ""),
        (format!("v=DKIM1;p={RSA};"), ""),
        (format!("v=DKIM1; p={} {}", &RSA[..50], &RSA[50..]), ""),
        (format!("v=DKIM1; k=RSA; h=sha1:SHA256; s=*; t=y:s; n=note; p={RSA}"), ""),
        (format!("v=DKIM1; s=other : email; p={RSA}"), ""),
        (format!("v=DKIM1; k=ed25519; p={ED25519}"), ""),
        (format!("k=rsa; v=DKIM1; p={RSA}"), "version-not-first"),
        (format!("v=dkim1; p={RSA}"), "version"),
        (format!("v=DKIM1: g=*; p={RSA}"), "version"),
        (format!("v=DKIM1; g=*; p={RSA}"), "granularity"),
        (format!("v=DKIM1; k=dsa; p={RSA}"), "key-type"),
        (format!("v=DKIM1; h=sha1; p={RSA}"), "hashes"),
        (format!("v=DKIM1; s=tlsrpt; p={RSA}"), "services"),
        ("v=DKIM1; p=".to_owned(), "revoked"),
        ("v=DKIM1; k=rsa".to_owned(), "no-key"),
        (format!("v=DKIM1; p={SHORT}"), "too-short"),
        (format!("v=DKIM1; p={}", &RSA[..160]), "cut"),
        (format!("v=DKIM1; p={RSA}AAAA"), "trailing-octets"),
        (format!("v=DKIM1; p=-----BEGIN{RSA}"), "base64"),
        (format!("v=DKIM1\\; k=rsa\\; p={RSA}"), "version escaped-semicolon key-type"),
        (format!("\"v=DKIM1; p={RSA}\""), "syntax quotes base64"),
        (format!("v=DKIM1; p={} \" \"{}", &RSA[..100], &RSA[100..]), "quotes base64"),
        (format!("v=DKIM1; p={ED25519}"), "ed25519-unnamed not-rsa"),
        (format!("v=DKIM1; k=ed25519; p={spki}"), "ed25519-spki"),
        (format!("v=DKIM1; p={spki}"), "ed25519-unnamed not-rsa"),
        (format!("v=DKIM1; k=ed25519; p={RSA}"), "ed25519-length"),
        (format!("v=DKIM1; v=DKIM1; p={RSA}"), "syntax"),
        ("v=DKIM1; p=aGVsbG8gd29ybGQ=".to_owned(), "not-rsa"),
        ("And now for something else".to_owned(), "syntax no-key"),
        (String::new(), "no-key"),
    ];
    for (text, want) in cases {
        assert_eq!(faults(&text), want, "{text}");
    }
}

#[test]
fn bits_and_flags_are_told() {
    let record = KeyRecord::parse(&[format!("v=DKIM1; t=y:s; p={RSA}").into_bytes()]);
    assert_eq!(record.bits(), Some(1024));
    assert!(record.is_testing() && record.is_strict() && record.is_for("email") && record.fatal().is_none());
    let record = KeyRecord::parse(&[format!("v=DKIM1; p={SHORT}").into_bytes()]);
    assert_eq!((record.bits(), record.fatal()), (Some(512), Some(&KeyFault::TooShort(512))));
    let record = KeyRecord::parse(&[format!("v=DKIM1; k=ed25519; p={ED25519}").into_bytes()]);
    assert_eq!(record.bits(), Some(256));
}

#[test]
fn a_record_cut_at_255_octets_is_told() {
    let whole = format!("v=DKIM1; k=rsa; n={}; p={RSA}", "x".repeat(30));
    let cut = whole.as_bytes()[..255].to_vec();
    let record = KeyRecord::parse(&[cut]);
    assert!(record.faults.contains(&KeyFault::CutAt255), "{:?}", record.faults);
    let strings = [whole.as_bytes()[..255].to_vec(), whole.as_bytes()[255..].to_vec()];
    assert_eq!(KeyRecord::parse(&strings).faults, []);
}

#[test]
fn exponents_and_weak_keys() {
    let modulus = |last: u8| [vec![0xc5; 127], vec![last]].concat();
    let record = |modulus: &[u8], exponent: &[u8]| {
        let key = crate::authentication::dkim::crypto::rsa_public_key(modulus, exponent);
        faults(&format!("p={}", data_encoding::BASE64.encode(&key)))
    };
    assert!(record(&modulus(0xc5), &[1]).contains("exponent"));
    assert!(record(&modulus(0xc5), &[4]).contains("exponent"));
    assert!(record(&modulus(0xc5), &[1, 0, 0, 0, 0, 1]).contains("exponent"));
    // 0xc5c5…c4 is even.
    assert_eq!(record(&modulus(0xc4), &[3]), "weak");
    assert_eq!(faults("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), "weak");
}

#[test]
fn pasted_records_are_mended() {
    let good = format!("v=DKIM1; k=rsa; p={RSA}");
    for text in [
        format!("v=DKIM1\\; k=rsa\\; p={RSA}"),
        format!("\"v=DKIM1; k=rsa; p={}\" \"{}\"", &RSA[..90], &RSA[90..]),
        format!("k=rsa; v=DKIM1; g=*; p={RSA}"),
    ] {
        let record = KeyRecord::parse(&[text.clone().into_bytes()]);
        assert_eq!(record.mended().as_deref(), Some(good.as_str()), "{text}");
    }
    let unnamed = KeyRecord::parse(&[format!("v=DKIM1; p={ED25519}").into_bytes()]);
    assert_eq!(unnamed.mended(), Some(format!("v=DKIM1; k=ed25519; p={ED25519}")));
    assert_eq!(KeyRecord::parse(&[good.into_bytes()]).mended(), None);
    assert_eq!(KeyRecord::parse(&[b"v=DKIM1\\; p=\\".to_vec()]).mended(), None);
}

#[test]
fn what_stands_at_a_selector() {
    let name = key_name("s1", "Example.com").unwrap();
    assert_eq!(name.as_str(), "s1._domainkey.example.com");
    assert_eq!(key_name("b\u{fc}ro", "example.com").unwrap().as_str(), "xn--bro-hoa._domainkey.example.com");
    // Octets of labels stay as they are; escapes of text are not taken for octets.
    let odd = key_name("a\\b.\u{7}", "c\u{1}.example").unwrap();
    let labels: [&[u8]; 5] = [b"a\\b", b"\x07", b"_domainkey", b"c\x01", b"example"];
    assert_eq!(odd.wire_labels(), labels);
    assert_eq!((key_name("", "example.com"), key_name("s", ""), key_name("a..b", "c")), (None, None, None));
    let key = format!("v=DKIM1; p={RSA}");
    let texts = |texts: &[&str]| {
        Answer::records(texts.iter().map(|text| RecordData::Txt(vec![text.as_bytes().to_vec()])).collect())
    };
    let cases = [
        (texts(&[&key]), "1 keys"),
        (texts(&[&key, "other"]), "1 keys"),
        (texts(&[&key, "v=DKIM1; p="]), "2 keys"),
        (texts(&["other"]), "1 keys"),
        (texts(&["other", "another"]), "other"),
        (Answer::no_name(), "none"),
        (Answer::records(vec![]), "none"),
        (Answer::not_known(Cause::ServerFailure, ""), "not known"),
    ];
    for (answer, want) in cases {
        let mut answers = Answers::new();
        answers.put(Question::new(name.clone(), RecordType::Txt), answer);
        let found = match at(&name, &answers).unwrap() {
            AtSelector::Keys(keys) => format!("{} keys", keys.len()),
            AtSelector::OtherText => "other".to_owned(),
            AtSelector::None => "none".to_owned(),
            AtSelector::NotKnown(_) => "not known".to_owned(),
            AtSelector::BadName => "bad name".to_owned(),
        };
        assert_eq!(found, want);
    }
}

proptest! {
    #[test]
    fn no_record_panics(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let record = KeyRecord::parse(&[octets]);
        let _ = (record.bits(), record.mended());
    }

    #[test]
    fn no_changed_key_panics(place in 0_usize..200, octet in any::<u8>(), length in 0_usize..200) {
        let mut key = data_encoding::BASE64.decode(RSA.as_bytes()).unwrap();
        if let Some(changed) = key.get_mut(place) {
            *changed = octet;
        }
        key.truncate(length);
        let _ = KeyRecord::parse(&[format!("p={}", data_encoding::BASE64.encode(&key)).into_bytes()]);
    }
}
