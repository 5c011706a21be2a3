//! The leave of a domain: a TXT record that names this installation.

use crate::dns::{Answers, Ask, Name, Outcome, RecordType};

/// The label below which a domain says who may send it such probes.
const LABEL: &str = "_mailsonde-probe";

/// What a domain says about such probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// It names this installation.
    Published,
    /// It does not; what else stands there.
    Absent {
        /// The texts that stand there, a few at most.
        found: Vec<String>,
    },
    /// DNS does not say, and why.
    NotKnown(String),
}

/// Texts that are shown of a name that has others than ours.
const SHOWN: usize = 3;

/// The name of the record for a domain.
pub fn record_name(domain: &str) -> String {
    format!("{LABEL}.{domain}")
}

/// What a domain says, or what to ask. Every TXT record is read joined and without blanks around it; case does not
/// matter, since a hash has none.
pub fn leave(domain: &Name, installation: &str, answers: &Answers) -> Result<Leave, Ask> {
    let Ok(name) = domain.below(LABEL) else {
        return Ok(Leave::NotKnown(format!("{domain} is too long to be asked for")));
    };
    let answer = answers.get(&name, RecordType::Txt)?;
    Ok(match &answer.outcome {
        Outcome::NotKnown(trouble) if trouble.detail.is_empty() => {
            Leave::NotKnown(trouble.cause.as_str().to_owned())
        }
        Outcome::NotKnown(trouble) => {
            Leave::NotKnown(format!("{}: {}", trouble.cause.as_str(), trouble.detail))
        }
        Outcome::NoName | Outcome::NoType => Leave::Absent { found: Vec::new() },
        Outcome::Records(_) => {
            let texts: Vec<String> =
                answer.texts().map(|text| String::from_utf8_lossy(&text).trim().to_owned()).collect();
            if texts.iter().any(|text| text.eq_ignore_ascii_case(installation)) {
                Leave::Published
            } else {
                let shown = |text: &String| text.chars().filter(|c| !c.is_control()).take(40).collect();
                Leave::Absent { found: texts.iter().take(SHOWN).map(shown).collect() }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Answer, Cause, Question, RecordData};

    #[test]
    fn three_answers() {
        let txt = |texts: &[&[&str]]| {
            let record = |parts: &&[&str]| {
                RecordData::Txt(parts.iter().map(|part| part.as_bytes().to_vec()).collect())
            };
            Answer::records(texts.iter().map(record).collect())
        };
        let absent =
            |found: &[&str]| Leave::Absent { found: found.iter().map(|f| (*f).to_owned()).collect() };
        let cases = [
            (txt(&[&["abc234"]]), Leave::Published),
            (txt(&[&["other"], &[" ABC", "234 "]]), Leave::Published),
            (txt(&[&["abc2345"]]), absent(&["abc2345"])),
            (txt(&[&["a"], &["b"], &["c"], &["d"]]), absent(&["a", "b", "c"])),
            (Answer::no_name(), absent(&[])),
            (Answer { outcome: Outcome::NoType, ..Answer::no_name() }, absent(&[])),
            (
                Answer::not_known(Cause::ServerFailure, "broken"),
                Leave::NotKnown("servfail: broken".to_owned()),
            ),
            (Answer::not_known(Cause::Timeout, ""), Leave::NotKnown("timeout".to_owned())),
        ];
        let domain = Name::from_dotted("example.com").unwrap();
        let ask = leave(&domain, "abc234", &Answers::new()).unwrap_err();
        assert_eq!(ask.questions[0].to_string(), "_mailsonde-probe.example.com TXT");
        assert_eq!(ask.questions[0].name.as_str(), record_name("example.com"));
        for (answer, want) in cases {
            let mut answers = Answers::new();
            answers.put(Question::new(domain.below(LABEL).unwrap(), RecordType::Txt), answer.clone());
            assert_eq!(leave(&domain, "abc234", &answers), Ok(want), "{answer:?}");
        }
    }
}
