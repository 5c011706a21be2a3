//! What receivers see that take the organizational domain from the public suffix list (RFC 7489 §3.2, §6.6.3).

use super::record::Record;
use crate::dns::{Answers, Ask, Name, NotKnown, Outcome, RecordType};

/// What the public suffix list makes of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BySuffix {
    /// The organizational domain.
    pub organizational: Name,
    /// Where the record stands that applies, and the record.
    pub record: Option<(Name, Record)>,
    /// The answer that is not known, if one is: then nothing is said about the record.
    pub trouble: Option<NotKnown>,
}

/// The organizational domain: one label below the longest public suffix. A public suffix is its own.
pub fn organizational_by_suffix(domain: &Name) -> Name {
    match psl::domain_str(domain.as_str()) {
        Some(registered) => domain.last_labels(registered.split('.').count()),
        None => domain.clone(),
    }
}

/// Finds the record that applies to mail of a domain: its own, else that of the organizational domain. Several
/// records at the first name end the search (RFC 7489 §6.6.3).
pub fn by_suffix(domain: &Name, answers: &Answers) -> Result<BySuffix, Ask> {
    let organizational = organizational_by_suffix(domain);
    let mut found = BySuffix { organizational, record: None, trouble: None };
    let is_own = found.organizational == *domain;
    for place in [Some(domain), (!is_own).then_some(&found.organizational)].into_iter().flatten() {
        let Ok(asked) = place.below("_dmarc") else { continue };
        let answer = answers.get(&asked, RecordType::Txt)?;
        if let Outcome::NotKnown(not_known) = &answer.outcome {
            found.trouble = Some(not_known.clone());
            break;
        }
        let mut records: Vec<Record> = answer.texts().filter_map(|text| Record::parse(&text)).collect();
        if records.len() > 1 {
            break;
        }
        if let Some(record) = records.pop() {
            found.record = Some((place.clone(), record));
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::dmarc::tests::{answers, judge, name};

    #[test]
    fn organizational_domains() {
        let cases = [
            ("a.b.example.com", "example.com"),
            ("example.co.uk", "example.co.uk"),
            ("mail.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("com", "com"),
            ("a.b.unknown-tld-of-ours", "b.unknown-tld-of-ours"),
            ("x.xn--bcher-kva.example", "xn--bcher-kva.example"),
        ];
        for (domain, organizational) in cases {
            assert_eq!(organizational_by_suffix(&name(domain)).as_str(), organizational, "{domain}");
        }
        assert_eq!(organizational_by_suffix(&Name::root()), Name::root());
    }

    #[test]
    fn records_of_the_old_way() {
        let known = answers(&[
            ("_dmarc.example.com", "v=DMARC1; p=reject"),
            ("_dmarc.two.example.com", "v=DMARC1; p=none"),
            ("_dmarc.two.example.com", "v=DMARC1; p=reject"),
        ]);
        let found = judge(&known, |answers| by_suffix(&name("a.b.example.com"), answers));
        assert_eq!(found.record.unwrap().0.as_str(), "example.com");
        let found = judge(&known, |answers| by_suffix(&name("two.example.com"), answers));
        assert_eq!((found.record, found.organizational.as_str()), (None, "example.com"));
    }
}
