//! DKIM and ARC: key records, signatures of any message, and our own signing.

use mailsonde::authentication::dkim::{DkimResult, RawMessage, Reason, Signatures, SigningKey, sign, verify};
use mailsonde::authentication::key::{KeyFault, KeyRecord, key_name};
use mailsonde::authentication::{arc, results};
use mailsonde::clock::Timestamp;
use mailsonde::dns::Name;
use mailsonde::limits;
use mailsonde::mail::AuthResults;

use super::answers::World;
use super::{NOW_SECONDS, hash, place};

/// The first line is the key at every selector of `a.example`, the rest the message. Nothing passes that was not
/// signed with that key, what we sign passes and passes no more once it is changed; where a key is cut into strings
/// changes nothing; verdicts are written and read as the same words.
pub fn check(data: &[u8]) {
    let (key, message) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    check_key(key);
    check_names(key);
    let now = Timestamp::from_seconds(NOW_SECONDS);
    let raw = RawMessage::new(message);
    let mut world = World::new(key);
    let found = world.settle(|answers| verify(&raw, now, answers));
    check_verdicts(&found);
    let chain = world.settle(|answers| arc::verify(&raw, now, answers));
    assert!(!chain.reason.is_empty());
    assert!(chain.result != arc::ArcResult::Pass || !chain.instances.is_empty());
    let mut words = results::of_dkim(&found);
    words.push(results::of_arc(&chain));
    written(&words);
    world.is_silent = true;
    let silent = world.settle(|answers| verify(&raw, now, answers));
    assert!(silent.verdicts.iter().all(|verdict| verdict.result() != DkimResult::Pass));
    signed(message);
}

fn check_key(text: &[u8]) {
    let whole = KeyRecord::parse(&[text.to_vec()]);
    let (one, two) = text.split_at(place(hash(text), text.len()));
    let mut cut = KeyRecord::parse(&[one.to_vec(), two.to_vec()]);
    let of_cut = |fault: &KeyFault| *fault != KeyFault::CutAt255;
    cut.faults.retain(of_cut);
    let mut plain = whole.clone();
    plain.faults.retain(of_cut);
    assert_eq!(cut, plain, "the strings of a record matter");
    assert!(whole.bits().is_none_or(|bits| bits <= text.len() * 8));
    assert!(whole.fatal().is_some() || whole.bits().is_some(), "{whole:?}");
    assert!(KeyRecord::looks_like_key(text) || whole.fatal().is_some());
    if let Some(mended) = whole.mended() {
        let again = KeyRecord::parse(&[mended.clone().into_bytes()]);
        assert!(again.fatal().is_none() && again.mended().is_none(), "{mended:?}");
    }
}

/// The name of a key has the labels of selector and domain as they are.
fn check_names(text: &[u8]) {
    let text = &*String::from_utf8_lossy(text);
    let Some((selector, domain)) = text.split_once(['=', ';', ' ']) else { return };
    let Some(name) = key_name(selector, domain) else { return };
    let labels = |text: &str| Name::from_person(text).map(|name| name.wire_labels()).unwrap_or_default();
    let want = [labels(selector), vec![b"_domainkey".to_vec()], labels(domain)].concat();
    assert_eq!(name.wire_labels(), want, "{selector:?} {domain:?}");
}

fn check_verdicts(found: &Signatures) {
    assert!(found.verdicts.len() <= limits::SIGNATURES_LISTED);
    assert!(found.unlisted == 0 || found.verdicts.len() == limits::SIGNATURES_LISTED);
    for verdict in &found.verdicts {
        assert!(!verdict.reason.code().is_empty() && !verdict.reason.to_string().is_empty());
        assert!(verdict.facts.signed.len() <= limits::SIGNED_NAMES);
        if verdict.reason == Reason::Verified {
            assert!(verdict.is_body_intact == Some(true) && verdict.is_header_intact == Some(true));
            assert!(verdict.facts.signed.iter().any(|name| name == "from"), "{verdict:?}");
            let key = verdict.key.as_ref().expect("a key");
            assert!(key.faults.iter().all(|fault| !fault.is_fatal() || matches!(fault, KeyFault::Hashes(_))));
        }
        if verdict.is_body_intact == Some(false) {
            assert_ne!(verdict.result(), DkimResult::Pass);
        }
    }
    let has_pass = found.verdicts.iter().any(|verdict| verdict.result() == DkimResult::Pass);
    assert_eq!(found.result() == DkimResult::Pass, has_pass);
    assert_eq!(found.result() == DkimResult::None, found.verdicts.is_empty());
}

/// Results in our own words are read as written, whatever strangers put into them.
fn written(words: &[mailsonde::mail::MethodResult]) {
    let text = results::text("mx.example", words);
    let read = AuthResults::parse(&text);
    assert_eq!(read.authserv_id.as_deref(), Some("mx.example"));
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let short = |words: &[mailsonde::mail::MethodResult]| {
        let of_one = |word: &mailsonde::mail::MethodResult| {
            (word.method.clone(), word.result.clone(), word.reason.as_deref().map(plain))
        };
        words.iter().take(limits::AUTH_RESULTS).map(of_one).collect::<Vec<_>>()
    };
    assert_eq!(short(&read.results), short(words), "{text}");
}

/// Signs the message as ours, if it can be, and changes one octet of its body.
fn signed(message: &[u8]) {
    let key = include_bytes!("../../../fixtures/keys/ed25519.pem");
    let key = SigningKey::from_pem(key).expect("a key");
    let now = Timestamp::from_seconds(NOW_SECONDS);
    let mut mail = Vec::new();
    for line in message.split(|byte| *byte == b'\n') {
        mail.extend(line.iter().filter(|byte| !matches!(byte, b'\r' | 0x0c)));
        mail.extend_from_slice(b"\r\n");
    }
    // What begins with a blank would go on with the field before it.
    if mail.starts_with(b" ") || mail.starts_with(b"\t") {
        return;
    }
    let Ok(field) = sign(&mail, &key, "a.example", "s", now) else { return };
    let record = key.record();
    let world = World::new(record.as_bytes());
    let body =
        field.len() + mail.windows(4).position(|four| four == b"\r\n\r\n").map_or(mail.len(), |at| at + 4);
    let mut whole = [field.as_bytes(), &mail].concat();
    let judge = |whole: &[u8]| {
        let raw = RawMessage::new(whole);
        let found = world.settle(|answers| verify(&raw, now, answers));
        found.verdicts.into_iter().next().expect("our own signature").reason
    };
    assert_eq!(judge(&whole), Reason::Verified, "{:?}", String::from_utf8_lossy(&whole));
    let seed = usize::try_from(hash(message) >> 8).unwrap_or_default();
    let places: Vec<usize> = (body..whole.len()).filter(|at| whole[*at].is_ascii_graphic()).collect();
    if let Some(at) = places.get(seed % places.len().max(1)) {
        whole[*at] = if whole[*at] == b'x' { b'y' } else { b'x' };
        assert_eq!(judge(&whole), Reason::BodyHash);
    }
}
