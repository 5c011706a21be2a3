//! Reverse DNS of a peer: do its names lead back to its address?
//!
//! Standard: RFC 8601 §3 (`iprev`), with its result words of §2.7.3.

use std::net::IpAddr;

use crate::dns::{Answers, Ask, Name, NotKnown, Outcome, Question, RecordType};
use crate::limits;

/// What reverse DNS says of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// The result.
    pub result: ReverseResult,
    /// The names of the address, in their own order, at most [`limits::REVERSE_NAMES`].
    pub names: Vec<ReverseName>,
    /// Further names that were not looked at.
    pub unlisted: usize,
    /// In words.
    pub reason: String,
}

/// One name of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReverseName {
    /// The name.
    pub name: Name,
    /// Whether it leads back to the address; unknown where DNS did not say.
    pub is_confirmed: Option<bool>,
}

/// The result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReverseResult {
    /// A name leads back to the address.
    Pass,
    /// Names are there, and none leads back.
    Fail,
    /// DNS did not say.
    TempError,
    /// The address has no name.
    NoName,
}

impl ReverseResult {
    /// The word of RFC 8601 §2.7.3; an address without a name is its `permerror`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
            Self::NoName => "permerror",
        }
    }
}

impl Reverse {
    /// The first name that leads back to the address.
    pub fn confirmed(&self) -> Option<&Name> {
        self.names.iter().find(|name| name.is_confirmed == Some(true)).map(|name| &name.name)
    }
}

/// Looks up the names of an address, and the addresses of these names.
pub fn reverse(address: IpAddr, answers: &Answers) -> Result<Reverse, Ask> {
    let address = address.to_canonical();
    let answer = answers.get(&Name::reverse(address), RecordType::Ptr)?;
    let ended = |result, reason: String| Reverse { result, names: Vec::new(), unlisted: 0, reason };
    match &answer.outcome {
        Outcome::Records(_) => {}
        Outcome::NoName | Outcome::NoType => {
            return Ok(ended(ReverseResult::NoName, format!("{address} has no name (no PTR record)")));
        }
        Outcome::NotKnown(trouble) => {
            return Ok(ended(
                ReverseResult::TempError,
                format!("the names of {address} are not known: {}", super::dkim::words(trouble)),
            ));
        }
    }
    let mut names: Vec<&Name> = answer.names().collect();
    names.sort_unstable();
    names.dedup();
    let unlisted = names.len().saturating_sub(limits::REVERSE_NAMES);
    names.truncate(limits::REVERSE_NAMES);
    let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
    answers.need(names.iter().map(|name| Question::new((*name).clone(), record_type)))?;
    let mut checked = Vec::with_capacity(names.len());
    let mut trouble: Option<NotKnown> = None;
    for name in names {
        let answer = answers.get(name, record_type)?;
        let is_confirmed = match answer.trouble() {
            Some(cause) => {
                trouble.get_or_insert_with(|| cause.clone());
                None
            }
            None => Some(answer.addresses().any(|known| known == address)),
        };
        checked.push(ReverseName { name: name.clone(), is_confirmed });
    }
    let confirmed = checked.iter().find(|name| name.is_confirmed == Some(true));
    let listed = || checked.iter().map(|name| name.name.to_string()).collect::<Vec<_>>().join(", ");
    let (result, reason) = match (confirmed, trouble) {
        (Some(name), _) => {
            (ReverseResult::Pass, format!("{address} is {}, which leads back to it", name.name))
        }
        (None, Some(trouble)) => (
            ReverseResult::TempError,
            format!("where the names of {address} lead is not known: {}", super::dkim::words(&trouble)),
        ),
        (None, None) if checked.is_empty() => {
            (ReverseResult::NoName, format!("{address} has no name (no PTR record)"))
        }
        (None, None) => (ReverseResult::Fail, format!("no name of {address} leads back to it: {}", listed())),
    };
    Ok(Reverse { result, names: checked, unlisted, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Answer, Cause, RecordData};

    /// Answers from lines `question = answer`.
    fn answers(lines: &[(&str, RecordType, Answer)]) -> Answers {
        let mut answers = Answers::new();
        for (name, record_type, answer) in lines {
            answers.put(Question::new(Name::from_dotted(name).unwrap(), *record_type), answer.clone());
        }
        answers
    }

    /// An answer of PTR records.
    fn ptr(names: &[&str]) -> Answer {
        Answer::records(names.iter().map(|name| RecordData::Ptr(Name::from_dotted(name).unwrap())).collect())
    }

    #[test]
    fn names_are_led_back() {
        const ZONE: &str = "1.2.0.192.in-addr.arpa";
        let a = |address: &str| Answer::records(vec![RecordData::A(address.parse().unwrap())]);
        let lost = || Answer::not_known(Cause::Timeout, "");
        let cases = [
            (vec![(ZONE, RecordType::Ptr, ptr(&["a.x"])), ("a.x", RecordType::A, a("192.0.2.1"))], "pass"),
            (vec![(ZONE, RecordType::Ptr, ptr(&["a.x"])), ("a.x", RecordType::A, a("192.0.2.2"))], "fail"),
            (vec![(ZONE, RecordType::Ptr, ptr(&["a.x"])), ("a.x", RecordType::A, Answer::no_name())], "fail"),
            (vec![(ZONE, RecordType::Ptr, ptr(&["a.x"])), ("a.x", RecordType::A, lost())], "temperror"),
            (
                vec![
                    (ZONE, RecordType::Ptr, ptr(&["b.x", "a.x"])),
                    ("a.x", RecordType::A, lost()),
                    ("b.x", RecordType::A, a("192.0.2.1")),
                ],
                "pass",
            ),
            (vec![(ZONE, RecordType::Ptr, Answer::no_name())], "permerror"),
            (vec![(ZONE, RecordType::Ptr, Answer::records(vec![]))], "permerror"),
            (vec![(ZONE, RecordType::Ptr, lost())], "temperror"),
        ];
        for (lines, want) in cases {
            let found = reverse("::ffff:192.0.2.1".parse().unwrap(), &answers(&lines)).unwrap();
            assert_eq!(found.result.as_str(), want, "{lines:?}");
        }
    }

    #[test]
    fn questions_are_asked_in_two_steps_and_bounded() {
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let mut known = Answers::new();
        let ask = reverse(address, &known).unwrap_err();
        assert_eq!(ask.questions.len(), 1);
        let many: Vec<String> = (0..100).map(|number| format!("h{number:03}.x")).collect();
        known.put(ask.questions[0].clone(), ptr(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        let ask = reverse(address, &known).unwrap_err();
        assert_eq!(ask.questions.len(), limits::REVERSE_NAMES);
        assert!(ask.questions.iter().all(|question| question.record_type == RecordType::Aaaa));
        for question in ask.questions {
            known.put(question, Answer::no_name());
        }
        let found = reverse(address, &known).unwrap();
        assert_eq!((found.result, found.unlisted), (ReverseResult::Fail, 100 - limits::REVERSE_NAMES));
    }
}
