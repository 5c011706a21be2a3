//! DMARC: the From field, records, and the judgement of a message.

use std::fmt::Write as _;

use mailsonde::authentication::dmarc::{
    DmarcResult, Flaw, Force, Identifier, Mechanism, Mode, NearMiss, Psd, Record, Standing, discover,
    evaluate,
};
use mailsonde::authentication::from_header::FromHeader;
use mailsonde::limits;

use super::answers::{World, letter};
use super::hash;

/// Caps hold; a record written from what was read is read as the same; the order of records and of identifiers
/// changes nothing; nothing passes without an aligned domain that passed; a plain author is read as written.
pub fn check(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n').take(26) {
        check_text(line);
        let mut record = b"v=DMARC1;".to_vec();
        record.extend_from_slice(line);
        check_text(&record);
    }
    author(data);
    author(&[b"From: ".as_slice(), data].concat());
    judge(data);
}

fn check_text(text: &[u8]) {
    let Some(record) = Record::parse(text) else {
        let _ = NearMiss::of(text);
        return;
    };
    assert_eq!(NearMiss::of(text), None);
    assert!(record.rua.len() <= limits::DMARC_URIS && record.ruf.len() <= limits::DMARC_URIS);
    assert!(record.remarks.len() <= limits::DMARC_REMARKS);
    let is_valid = record.p.policy().is_some() && !record.sp.is_invalid() && !record.np.is_invalid();
    match record.force() {
        Force::AsPublished => assert!(is_valid),
        Force::AsNone => assert!(!is_valid && !record.rua.is_empty()),
        Force::Nothing => assert!(!is_valid && record.rua.is_empty()),
    }
    for uri in record.rua.iter().chain(&record.ruf) {
        assert!(
            uri.text.is_ascii() && uri.text.len() > uri.scheme.len() && !uri.text.contains(['!', ',', ';'])
        );
        assert_eq!(uri.mailbox.is_some(), uri.scheme == "mailto", "{uri:?}");
    }
    let again = Record::parse(record.text.as_bytes());
    assert_eq!(again.as_ref(), Some(&record), "its own text is another record");
    written(&record);
}

/// Writes what is in force and reads it.
fn written(record: &Record) {
    let mut text = String::from("v=DMARC1");
    for (tag, wish) in [("p", &record.p), ("sp", &record.sp), ("np", &record.np)] {
        if wish.is_invalid() {
            return;
        }
        if let Some(policy) = wish.policy() {
            let _ = write!(text, ";{tag}={}", policy.as_str());
        }
    }
    let letter = |mode| if mode == Mode::Strict { "s" } else { "r" };
    let _ = write!(text, "; adkim={}; aspf={}", letter(record.adkim), letter(record.aspf));
    if record.psd != Psd::Undefined {
        let _ = write!(text, " ; psd={}", record.psd.as_str());
    }
    if record.is_testing {
        text.push_str("; t=y");
    }
    for (tag, uris) in [("rua", &record.rua), ("ruf", &record.ruf)] {
        if !uris.is_empty() {
            let list: Vec<&str> = uris.iter().map(|uri| uri.text.as_str()).collect();
            let _ = write!(text, ";\t{tag} = {}", list.join(" , "));
        }
    }
    if !record.ruf.is_empty() {
        let _ = write!(text, "; fo={};", record.fo);
    }
    let again = Record::parse(text.as_bytes()).expect("a record");
    let flaws: Vec<Flaw> = again.remarks.iter().map(|remark| remark.flaw).collect();
    assert!(flaws.iter().all(|flaw| *flaw == Flaw::MissingPolicy), "{text}: {flaws:?}");
    let same = Record { text: record.text.clone(), remarks: record.remarks.clone(), ..again };
    assert_eq!(same, *record, "{text}");
}

fn author(message: &[u8]) {
    let from = FromHeader::of_message(message);
    assert!(from.mailboxes.len() <= limits::FROM_MAILBOXES && from.domains.len() <= limits::FROM_MAILBOXES);
    assert!(from.mailboxes.len() <= from.mailbox_count);
    for (at, domain) in from.domains.iter().enumerate() {
        assert!(!from.domains[..at].contains(domain) && !domain.is_root());
        assert!(
            domain.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
            "{domain}"
        );
    }
    for (at, trick) in from.tricks.iter().enumerate() {
        assert!(!from.tricks[..at].contains(trick));
    }
    for mailbox in &from.mailboxes {
        assert!(!mailbox.display_name.contains(char::is_control), "{mailbox:?}");
        assert!(mailbox.domain.is_none() || mailbox.address.contains('@'), "{mailbox:?}");
    }
    match from.author_domains() {
        Ok(domains) => {
            assert!(from.fields == 1 && !domains.is_empty() && domains.len() <= from.mailbox_count);
        }
        Err(why) => assert!(!why.is_empty()),
    }
    // One plain mailbox, behind whatever name.
    let [mailbox] = from.mailboxes.as_slice() else { return };
    let Some(domain) = mailbox.domain.as_ref().filter(|_| from.fault.is_none()) else { return };
    let name: String = mailbox.display_name.chars().filter(|c| *c != '"' && *c != '\\').take(100).collect();
    let plain = format!("From: \"{name}\" <someone@{domain}>\r\n\r\n");
    let again = FromHeader::of_message(plain.as_bytes());
    assert_eq!(again.author_domains(), Ok([domain.clone()].as_slice()), "{plain:?}");
}

fn judge(data: &[u8]) {
    let seed = hash(data);
    let mut identifiers: Vec<Identifier> = (0..4)
        .map(|at| {
            let bits = seed.rotate_left(at * 9);
            let standings = [Standing::Passed, Standing::Failed, Standing::TempError, Standing::NotKnown];
            let domain = letter(bits >> 4 & 3);
            Identifier {
                mechanism: if bits & 1 == 0 { Mechanism::Spf } else { Mechanism::Dkim },
                domain: if bits & 2 == 0 { domain } else { domain.below("x").expect("a short name") },
                standing: standings[usize::try_from(bits >> 2 & 3).unwrap_or_default()],
            }
        })
        .collect();
    let authors = [letter(0), letter(1)];
    let authors = &authors[usize::from(seed >> 63 == 1)..];
    let mut world = World::new(data);
    for author in authors {
        let discovery = world.settle(|answers| discover(author, answers));
        assert!(discovery.steps.len() <= limits::DMARC_WALK_QUERIES);
        assert!(discovery.steps.windows(2).all(|pair| pair[0].domain.is_within(&pair[1].domain)));
        assert!(discovery.organizational.is_some() || discovery.trouble().is_some());
        if let Some((place, _)) = discovery.policy_record() {
            assert!(author.is_within(place));
        }
    }
    let verdict = world.settle(|answers| evaluate(authors, &identifiers, answers));
    assert!(!verdict.reason.is_empty() && verdict.authors.len() == authors.len());
    for author in &verdict.authors {
        for way in [&author.by_walk, &author.by_suffix] {
            let passed = way
                .identifiers
                .iter()
                .any(|(identifier, aligned)| identifier.standing == Standing::Passed && aligned.is_aligned());
            assert_eq!(way.result == DmarcResult::Pass, passed, "{way:?}");
            assert!(way.policy.is_some() || way.identifiers.is_empty());
        }
    }
    let all_pass = verdict.authors.iter().all(|author| author.by_walk.result == DmarcResult::Pass);
    assert_eq!(verdict.result == DmarcResult::Pass, all_pass);
    world.is_turned = true;
    let turned = world.settle(|answers| evaluate(authors, &identifiers, answers));
    assert_eq!(turned, verdict, "the order of records matters");
    identifiers.reverse();
    let turned = world.settle(|answers| evaluate(authors, &identifiers, answers));
    assert_eq!(turned.result, verdict.result, "the order of identifiers matters");
    world.is_silent = true;
    let silent = world.settle(|answers| evaluate(authors, &identifiers, answers));
    assert_eq!(silent.result, DmarcResult::TempError, "silence is no answer");
}
