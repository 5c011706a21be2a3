//! Tokens of probes in any text, and messages matched with their probes.

use std::sync::LazyLock;

use mailsonde::clock::Timestamp;
use mailsonde::limits;
use mailsonde::mail::{Envelope, Message, Origin};
use mailsonde::probe::matching::{LocalPart, judge_local_part, match_mail};
use mailsonde::probe::{KeyRing, Kind, Place, Reading, Token, TokenTexts};

use super::NOW_SECONDS;

/// Our keys, the tokens that we made, and their texts.
static OURS: LazyLock<(KeyRing, [Token; 2], [TokenTexts; 2])> = LazyLock::new(|| {
    let ring = KeyRing::with_id(5, &[7; 32]).expect("an id of five bits");
    let ring = ring.verify_only(6, &[8; 32]).expect("two keys");
    let at = Timestamp::from_seconds(NOW_SECONDS);
    let tokens = [ring.mint(Kind::Probe, 3, at, 1), ring.mint(Kind::BounceTest, 4, at, 2)];
    let texts = tokens.map(|token| ring.texts(&token).expect("our own key"));
    (ring, tokens, texts)
});

/// Bytes 0x80 to 0x8d of the input become our tokens' texts; no other token is ever valid.
pub fn check(data: &[u8]) {
    let (ring, tokens, texts) = &*OURS;
    let mut text = Vec::with_capacity(data.len());
    for byte in data {
        match *byte {
            0x80..=0x8d => {
                let [first, second] = texts;
                let of = if byte & 1 == 0 { first } else { second };
                let place = Place::ALL[usize::from((byte & 0xf) / 2)];
                text.extend_from_slice(text_for(of, place).as_bytes());
            }
            other => text.push(other),
        }
    }
    let found = ring.find_all(&text);
    assert!(found.len() <= limits::TOKENS_OF_TEXT);
    let mut last = 0;
    for found in &found {
        assert!(found.offset >= last && found.offset + found.length <= text.len());
        last = found.offset;
        let bytes = &text[found.offset..found.offset + found.length];
        if let Reading::Valid { token, made_for } = found.reading {
            assert!(tokens.contains(&token), "a token that nobody made is valid");
            let made = ring.texts(&token).expect("our own key");
            assert!(bytes.eq_ignore_ascii_case(text_for(&made, made_for).as_bytes()));
            let word = std::str::from_utf8(bytes).expect("letters");
            assert_eq!(ring.read_text(word), Some(found.reading));
        }
    }
    let local = String::from_utf8_lossy(&text);
    if let LocalPart::Valid { token, made_for } = judge_local_part(ring, &local) {
        assert!(tokens.contains(&token));
        assert!(matches!(made_for, Place::Recipient | Place::EnvelopeSender));
    }
    mail(&text);
}

/// A mail matches none but our probes.
fn mail(bytes: &[u8]) {
    let (ring, tokens, _) = &*OURS;
    let envelope = Envelope::without_transport(Origin::Smtp, Timestamp::from_seconds(NOW_SECONDS + 60));
    let matches = match_mail(ring, &envelope, &Message::parse(bytes));
    assert!(matches.probes.len() <= tokens.len());
    assert!(matches.forged.len() + matches.foreign.len() <= limits::TOKENS_OF_MESSAGE);
    for probe in &matches.probes {
        assert!(tokens.contains(&probe.token) && !probe.found_in.is_empty());
    }
    if let Some(arrival) = matches.arrival() {
        assert!(tokens.contains(&arrival.token));
    }
}

fn text_for(texts: &TokenTexts, place: Place) -> &str {
    match place {
        Place::Recipient => &texts.recipient,
        Place::EnvelopeSender => &texts.envelope_sender,
        Place::MessageId => &texts.message_id,
        Place::Header => &texts.header,
        Place::Subject => &texts.subject,
        Place::Body => &texts.body,
        Place::EnvelopeId => &texts.envelope_id,
    }
}
