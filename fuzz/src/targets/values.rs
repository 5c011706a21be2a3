//! Small values: names, addresses, dates, codes, as mail, reports and the command line hold them.

use mailsonde::dns::Name;
use mailsonde::mail::status_code::{EnhancedStatus, ReplyCode, find_replies};
use mailsonde::mail::{Address, DomainName, MessageId, Purpose, ReversePath, decode_words};
use mailsonde::reports::{address_text, stated_time};
use mailsonde::{limits, mail};

/// What is read and written is read as the same again.
pub fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    for text in std::iter::once(text).chain(text.lines().take(20)) {
        names(text);
        numbers(text);
        if let Some(stated) = stated_time::read(text) {
            // The years that a calendar of four digits holds.
            assert!((-377_705_116_800..=253_402_300_800).contains(&stated.seconds), "{text:?}");
        }
        let _ = (stated_time::iso(text), stated_time::mail_date(text));
        assert!(decode_words(text).len() <= limits::HEADER_TEXT_BYTES);
        assert!(!decode_words(text).contains(char::is_control));
    }
    let decoded = mail::transfer::Transfer::Base64.decode(data).0;
    assert!(decoded.len() <= data.len());
    let decoded = mail::transfer::Transfer::QuotedPrintable.decode(data).0;
    assert!(decoded.len() <= data.len());
    if let Some(content) = mail::cms::signed_content(data) {
        assert!(content.len() < data.len());
    }
}

fn names(text: &str) {
    if let Some(name) = DomainName::parse(text) {
        assert_eq!(DomainName::parse(name.as_str()).as_ref(), Some(&name), "{text:?}");
        assert!(name.as_str().len() <= limits::DOMAIN_BYTES && name.as_str().is_ascii());
        assert!(name.is_at_or_below(&name));
        assert!(!name.as_str().contains(char::is_uppercase), "{name}");
    }
    if let Some(address) = Address::parse(text) {
        let written = address.to_string();
        assert_eq!(Address::parse(&written).as_ref(), Some(&address), "{text:?} {written:?}");
        assert!(address.local.len() <= limits::LOCAL_PART_BYTES);
        assert!(!written.contains(char::is_control), "{written:?}");
        assert!(address.matches(&address));
        assert_eq!(ReversePath::Address(address).to_string(), written);
    }
    for name in [Name::from_dotted(text), Name::from_person(text)].into_iter().flatten() {
        assert_eq!(name.labels().count(), name.label_count());
        let wire: usize = name.wire_labels().iter().map(|label| label.len() + 1).sum();
        assert!(wire < 255, "{text:?}");
        assert!(name.is_within(&name) && name.is_within(&Name::root()));
        let labels = name.wire_labels();
        let again = Name::from_labels(labels.iter().map(Vec::as_slice));
        assert_eq!(again.as_ref(), Ok(&name), "{text:?}");
        if let Some(parent) = name.parent() {
            assert!(name.is_within(&parent) && !parent.is_within(&name));
            assert_eq!(parent.label_count() + 1, name.label_count());
        }
    }
    if let Some(purpose) = Purpose::parse(text) {
        assert_eq!(Purpose::parse(purpose.as_str()), Some(purpose));
    }
}

fn numbers(text: &str) {
    if let Some((ip, _)) = address_text::ip(text) {
        assert!(super::is_canonical(ip), "{text:?}");
        assert_eq!(address_text::ip(&ip.to_string()).map(|(ip, _)| ip), Some(ip), "{text:?}");
    }
    if let Some(id) = MessageId::parse(text) {
        assert_eq!(MessageId::parse(&id.to_string()), Some(id), "{text:?}");
    }
    if let Some(code) = ReplyCode::parse(text) {
        assert!((200..600).contains(&code.value()));
    }
    for status in [EnhancedStatus::parse(text), EnhancedStatus::parse_field(text)].into_iter().flatten() {
        assert_eq!(EnhancedStatus::parse(&status.to_string()), Some(status), "{text:?}");
    }
    let mut last = None;
    for (at, status) in EnhancedStatus::find_all(text) {
        assert!(text.is_char_boundary(at) && last.is_none_or(|last| at > last));
        assert_eq!(EnhancedStatus::parse(&status.to_string()), Some(status), "{text:?}");
        last = Some(at);
    }
    let _ = find_replies(text);
}
