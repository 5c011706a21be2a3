//! Zone files.

use std::fmt::Write as _;

use mailsonde::dns::{Answer, Found, Name, Outcome, Question, RecordData, RecordType, ZoneResolver, Zones};
use mailsonde::limits;

/// What zones hold is written and read as the same; answers keep their caps; zones beside each other are those of
/// both texts.
pub fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let resolver = match ZoneResolver::parse(text) {
        Ok(resolver) => resolver,
        Err(fault) => {
            assert!(fault.line <= text.lines().count() && !fault.reason.is_empty(), "{fault}");
            assert!(fault.field.is_empty() || text.contains(&fault.field), "{fault}");
            return;
        }
    };
    for name in names(text) {
        for record_type in RecordType::ALL {
            let answer = resolver.answer(&Question::new(name.clone(), record_type));
            check_answer(&answer);
            if let Found::Records(records) = resolver.zones().look(&name, record_type) {
                written(&name, record_type, &records);
            }
        }
    }
    let mut twice = resolver.zones().clone();
    twice.merge(Zones::parse("merged.example. 60 IN TXT \"x\"\n").expect("a zone"));
    for name in names(text).take(10) {
        let (top, other) = (resolver.zones().zone_of(&name), twice.zone_of(&name));
        assert!(top.is_none() || other.is_some(), "{name}");
    }
}

/// Names that the text may speak of: its words, as they stand and below the words that end with a dot.
fn names(text: &str) -> impl Iterator<Item = Name> {
    let words =
        || text.split(|c: char| c.is_whitespace() || "()\";".contains(c)).filter(|word| !word.is_empty());
    let origin = words().find(|word| word.len() > 1 && word.ends_with('.')).unwrap_or(".");
    let names = words().take(60).flat_map(move |word| [word.to_owned(), format!("{word}.{origin}")]);
    names.filter_map(|text| Name::from_dotted(&text).ok()).chain([Name::root()])
}

fn check_answer(answer: &Answer) {
    assert!(answer.aliases.len() <= limits::DNS_ALIASES + 1);
    match &answer.outcome {
        Outcome::Records(records) => assert!(!records.is_empty()),
        Outcome::NoName | Outcome::NoType => assert!(answer.is_void()),
        Outcome::NotKnown(not_known) => assert!(!not_known.detail.is_empty()),
    }
}

/// Writes records as a zone file has them, and reads that.
fn written(name: &Name, record_type: RecordType, records: &[(u32, RecordData)]) {
    // Data of the type NS is one absolute name.
    let owner = RecordData::Ns(name.clone());
    // The name is the top of a zone, so that name servers there are no cut.
    let mut text = match record_type {
        RecordType::Soa => String::new(),
        _ => format!("{owner} 60 IN SOA . . 1 1 1 1 1\n"),
    };
    for (ttl, data) in records {
        let _ = writeln!(text, "{owner} {ttl} IN {record_type} {data}");
    }
    assert!(text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')), "{text:?}");
    match Zones::parse(&text) {
        Ok(zones) => assert_eq!(zones.look(name, record_type), Found::Records(records.to_vec()), "{text}"),
        Err(fault) => panic!("{fault}: {text}"),
    }
}
