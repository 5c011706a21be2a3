//! Tokens: layout, places, finding, faults.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;

use super::*;

fn ring() -> KeyRing {
    KeyRing::with_id(3, &[7; KEY_BYTES]).unwrap()
}

fn token() -> Token {
    ring().mint(Kind::Probe, 0x1234, Timestamp::from_seconds(1_790_000_000), 0x0_abcd)
}

fn texts() -> TokenTexts {
    ring().texts(&token()).unwrap()
}

#[test]
fn layout_of_the_clear_half() {
    // version 001, key id 00011 | kind 0001, route 0x1234, seconds, counter 0x0abcd
    let seconds = 1_790_000_000u32 - 1_577_836_800;
    let mut want = vec![0b001_00011, 0x11, 0x23];
    want.push(0x40 | u8::try_from(seconds >> 28).unwrap());
    let rest = (u64::from(seconds & 0x0fff_ffff) << 20) | 0xabcd;
    want.extend_from_slice(&rest.to_be_bytes()[2..]);
    assert_eq!(token().clear_bytes().to_vec(), want);
    assert_eq!(Token::of_clear_bytes(&token().clear_bytes()), Some(token()));
    assert_eq!(token().made_at(), Timestamp::from_seconds(1_790_000_000));
}

#[test]
fn the_mac_is_that_of_rfc_2104() {
    // Computed by the definition: H(key xor opad, H(key xor ipad, text)), RFC 2104 §2.
    let sha = |parts: &[&[u8]]| ring::digest::digest(&ring::digest::SHA256, &parts.concat());
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block[..KEY_BYTES].iter_mut().for_each(|b| *b ^= 7);
        block
    };
    let clear = token().clear_bytes();
    let inner = sha(&[&pad(0x36), b"mailsonde/1", b"s", &clear]);
    let outer = sha(&[&pad(0x5c), inner.as_ref()]);
    let mut bytes = clear.to_vec();
    bytes.extend_from_slice(&outer.as_ref()[..10]);
    assert_eq!(texts().subject, format!("mf{}", BASE32_NOPAD.encode(&bytes).to_lowercase()));
}

#[test]
fn every_place_has_its_own_text_and_is_told() {
    let all = texts();
    let forms = [
        (&all.recipient, Place::Recipient, 34),
        (&all.envelope_sender, Place::EnvelopeSender, 35),
        (&all.message_id, Place::MessageId, 34),
        (&all.header, Place::Header, 34),
        (&all.subject, Place::Subject, 34),
        (&all.body, Place::Body, 34),
        (&all.envelope_id, Place::EnvelopeId, 34),
    ];
    for (text, place, length) in forms {
        assert_eq!(text.len(), length);
        assert!(text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')));
        for form in [text.clone(), text.to_uppercase()] {
            assert_eq!(
                ring().read_text(&form),
                Some(Reading::Valid { token: token(), made_for: place }),
                "{form}"
            );
        }
    }
    let mut different: Vec<_> = forms.iter().map(|(text, ..)| text.as_str()).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), forms.len());
}

#[test]
fn extremes_are_kept_and_clamped() {
    let ring = KeyRing::with_id(31, &[1; KEY_BYTES]).unwrap();
    let cases = [
        (Kind::BounceTest, u16::MAX, Timestamp::from_ms(i64::MAX), COUNTER_MAX, u32::MAX, COUNTER_MAX),
        (Kind::Reply, 0, Timestamp::from_seconds(0), u32::MAX, 0, COUNTER_MAX),
        (Kind::Load, 1, Timestamp::from_seconds(EPOCH_SECONDS), COUNTER_MAX + 1, 0, 0),
    ];
    for (kind, route, at, counter, seconds, want_counter) in cases {
        let token = ring.mint(kind, route, at, counter);
        assert_eq!((token.seconds, token.counter), (seconds, want_counter));
        let name = ring.texts(&token).unwrap().recipient;
        assert_eq!(ring.read_text(&name), Some(Reading::Valid { token, made_for: Place::Recipient }));
    }
}

#[test]
fn forged_and_foreign_are_told_apart() {
    let name = texts().recipient;
    // Every single changed character: never valid, and foreign only where the key id or the version changed.
    for at in 2..name.len() {
        let mut bytes = name.clone().into_bytes();
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(bytes).unwrap();
        let reading = ring().read_text(&changed).unwrap();
        match reading {
            Reading::Valid { .. } => panic!("{changed} verifies"),
            Reading::Forged { .. } => {}
            Reading::Foreign { .. } => assert!(at <= 3, "{changed}"),
        }
        assert_eq!(damage(&changed, &name), Some(1));
    }
    // The same key id with another key is forged; another key id is foreign.
    let same_id = KeyRing::with_id(3, &[8; KEY_BYTES]).unwrap();
    assert_eq!(same_id.read_text(&name), Some(Reading::Forged { token: token() }));
    let other_id = KeyRing::with_id(4, &[7; KEY_BYTES]).unwrap();
    assert_eq!(other_id.read_text(&name), Some(Reading::Foreign { key_id: 3 }));
    // A place's text under the other mark does not verify.
    let sender = format!("mf{}", &texts().envelope_sender[3..]);
    assert_eq!(ring().read_text(&sender), Some(Reading::Forged { token: token() }));
}

#[test]
fn damaged_is_told_from_made_up() {
    let ring = ring();
    for name in [texts().recipient, texts().envelope_sender, texts().body] {
        assert!(!ring.is_damaged(&format!("{name}x")));
        // Any one character, the key id and the version included.
        for at in name.len() - 32..name.len() {
            let mut bytes = name.clone().into_bytes();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(ring.is_damaged(&changed), "{changed}");
            assert!(ring.is_damaged(&changed.to_uppercase()), "{changed}");
        }
        // Three of the MAC, and four.
        let mut bytes = name.clone().into_bytes();
        for (count, at) in (name.len() - 4..name.len()).enumerate() {
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(bytes.clone()).unwrap();
            assert_eq!(ring.is_damaged(&changed), count < 3, "{changed}");
        }
    }
    // Made with another key, or with nothing but what everybody can read.
    let other = KeyRing::with_id(3, &[8; KEY_BYTES]).unwrap().texts(&token()).unwrap();
    assert!(!ring.is_damaged(&other.recipient));
    assert!(!ring.is_damaged(&format!("{}aaaaaaaaaaaaaaaa", &texts().recipient[..18])));
    assert!(!ring.is_damaged("") && !ring.is_damaged("mfb") && !ring.is_damaged("hello"));
}

#[test]
fn old_keys_still_verify() {
    let rotated = KeyRing::with_id(4, &[9; KEY_BYTES]).unwrap().verify_only(3, &[7; KEY_BYTES]).unwrap();
    assert!(matches!(rotated.read_text(&texts().body), Some(Reading::Valid { .. })));
    assert_eq!(rotated.mint(Kind::Probe, 1, Timestamp::from_seconds(1_790_000_000), 1).key_id, 4);
    assert!(rotated.texts(&token()).is_some());
    assert!(KeyRing::with_id(5, &[9; KEY_BYTES]).unwrap().texts(&token()).is_none());
}

#[test]
fn key_files() {
    for length in [0, 1, 31, 33, 63, 33 * KEY_BYTES] {
        assert_eq!(KeyRing::from_bytes(&vec![1; length]).err(), Some(KeyError::Length(length)));
    }
    assert_eq!(KeyRing::with_id(32, &[1; KEY_BYTES]).err(), Some(KeyError::Id(32)));
    let old = KeyRing::from_bytes(&[1; 32]).unwrap();
    let token = old.mint(Kind::Probe, 1, Timestamp::from_seconds(1_790_000_000), 1);
    let name = old.texts(&token).unwrap().recipient;
    let new = KeyRing::from_bytes(&[[2; 32], [1; 32]].concat()).unwrap();
    assert!(matches!(new.read_text(&name), Some(Reading::Valid { .. })));
    // No key material in a debug print.
    assert!(!format!("{new:?}").contains("2, 2"));
}

#[test]
fn ids_of_key_files_spread() {
    let ids: std::collections::BTreeSet<u8> =
        (0..=255).map(|byte| KeyRing::from_bytes(&[byte; 32]).unwrap().key_id()).collect();
    assert!(ids.len() > 28, "{ids:?}");
}

#[test]
fn found_wherever_it_stands() {
    let all = texts();
    let name = &all.recipient;
    let upper = name.to_uppercase();
    let cases: Vec<(String, usize)> = vec![
        (format!("probe+{name}@example.net"), 1),
        (format!("<{upper}@EXAMPLE.NET>"), 1),
        (format!("[{}] Re: x [{}]", all.subject, all.subject), 2),
        (format!("mf{name}"), 1),
        (format!("MFB{name}x"), 1),
        (format!("probe{name}"), 1),
        (format!("{name}{name}"), 2),
        (format!("-- {} --\r\nprobe-{}.bin", all.body, all.body), 2),
        (format!("rfc822;{}@bounce.example.net", all.envelope_sender), 1),
        (name[..33].to_owned(), 0),
        (format!("{}={}", &name[..20], &name[20..]), 0),
        (String::new(), 0),
        ("mf".to_owned(), 0),
        ("mfb".to_owned(), 0),
        ("mfmfmfmfmfmfmfmfmfmfmfmfmfmfmfmfmfmfmf".to_owned(), 0),
    ];
    for (text, want) in cases {
        let valid = ring()
            .find_all(text.as_bytes())
            .into_iter()
            .filter(|found| matches!(found.reading, Reading::Valid { token: t, .. } if t == token()))
            .collect::<Vec<_>>();
        assert_eq!(valid.len(), want, "{text}");
        for found in valid {
            let at = &text[found.offset..found.offset + found.length];
            assert!(ring().read_text(at).is_some(), "{at}");
        }
    }
}

#[test]
fn any_form_leads_to_the_name() {
    let all = texts();
    for text in [format!("<{}@x>", all.message_id), all.envelope_sender.to_uppercase(), all.recipient.clone()]
    {
        assert_eq!(ring().name_in(&text), Some(all.recipient.clone()), "{text}");
    }
    assert_eq!(ring().name_in("nothing"), None);
}

#[test]
fn chance_is_not_called_foreign_or_forged() {
    let name = texts().recipient;
    let changed = name.replace(&name[30..], "aaaa");
    let words = |text: &str| ring().find_all(text.as_bytes()).len();
    assert_eq!(words(&changed), 1);
    assert_eq!(words(&format!("({changed})")), 1);
    assert_eq!(words(&format!("x{changed}")), 0);
    assert_eq!(words(&format!("{changed}9")), 0);
    assert_eq!(words(&format!("mf{}", "7".repeat(32))), 0, "another version is only noise in a text");
}

#[test]
fn a_text_full_of_marks_is_bounded() {
    let changed = texts().recipient.replace(&texts().recipient[30..], "aaaa");
    let text = format!("{changed} ").repeat(100_000);
    assert_eq!(ring().find_all(text.as_bytes()).len(), limits::TOKENS_OF_TEXT);
    let text = "mfmbmf".repeat(1_000_000);
    assert!(ring().find_all(text.as_bytes()).is_empty());
    // What no key of ours can have made does not use up the candidates before a valid one.
    let text = format!("{}{}", "mfaaaaaaaa".repeat(50_000), texts().body);
    assert_eq!(ring().find_all(text.as_bytes()).len(), 1);
}

#[test]
fn age() {
    let keep = Duration::from_secs(10 * 86_400);
    let made = 1_790_000_000;
    let cases = [
        (made, Age::Current),
        (made + 10 * 86_400, Age::Current),
        (made + 10 * 86_400 + 1, Age::Expired),
        (made - 60, Age::Current),
        (made - 86_400, Age::Future),
    ];
    for (seen, want) in cases {
        assert_eq!(token().age(Timestamp::from_seconds(seen), keep), want, "{seen}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_false_valid(text in "(?s)[a-z2-7mfb@ ]{0,200}") {
        for found in ring().find_all(text.as_bytes()) {
            let is_valid = matches!(found.reading, Reading::Valid { .. });
            proptest::prop_assert!(!is_valid);
        }
    }

    #[test]
    fn any_token_comes_back(id in 0u8..32, route: u16, seconds in 0i64..4_000_000_000, counter in 0u32..=COUNTER_MAX) {
        let ring = KeyRing::with_id(id, &[id; KEY_BYTES]).unwrap();
        let token = ring.mint(Kind::Seed, route, Timestamp::from_seconds(EPOCH_SECONDS + seconds), counter);
        let texts = ring.texts(&token).unwrap();
        let want = Reading::Valid { token, made_for: Place::MessageId };
        proptest::prop_assert_eq!(ring.read_text(&texts.message_id), Some(want));
    }
}

#[test]
fn an_installation_has_one_public_id() {
    let old = [1; KEY_BYTES];
    let new = [2; KEY_BYTES];
    let before = KeyRing::from_bytes(&old).unwrap().installation_id();
    let after = KeyRing::from_bytes(&[new, old].concat()).unwrap().installation_id();
    assert_eq!(before, after, "a new key in front changes nothing");
    assert_ne!(before, KeyRing::from_bytes(&new).unwrap().installation_id());
    assert_eq!(before.len(), 24);
    assert!(before.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)), "{before}");
}
