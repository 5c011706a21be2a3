//! A domain name system made of the input: its lines are texts, all else depends on the name that is asked for.

use std::net::{Ipv4Addr, Ipv6Addr};

use mailsonde::dns::{Answer, Answers, Ask, Cause, Mx, Name, Question, RecordData, RecordType};

use super::hash;

/// Questions after which a judgement is taken to run without end.
const MOST_QUESTIONS: usize = 3_000;

/// What is published.
pub(crate) struct World<'a> {
    /// Line `n` is the text at `a.example`, `b.example` …; a line after one that begins with `+` stands at the same
    /// name. `!` alone: nobody answers.
    lines: Vec<&'a [u8]>,
    /// True for records in the opposite order, which must not matter.
    pub is_turned: bool,
    /// True if no question is ever answered.
    pub is_silent: bool,
    /// True if `_dmarc`, `_domainkey` and so on have texts of their own: some lines further down.
    pub is_spread: bool,
}

impl<'a> World<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        let lines = data.split(|byte| *byte == b'\n').take(26).collect();
        Self { lines, is_turned: false, is_silent: false, is_spread: false }
    }

    /// Calls a judgement until it is done, as `dns::settle` does.
    pub(crate) fn settle<T>(&self, judge: impl Fn(&Answers) -> Result<T, Ask>) -> T {
        let mut answers = Answers::new();
        loop {
            match judge(&answers) {
                Ok(done) => return done,
                Err(ask) => {
                    assert!(!ask.questions.is_empty(), "nothing is asked");
                    for question in ask.questions {
                        assert!(answers.find(&question).is_none(), "{question} was answered");
                        let answer = self.answer(&question);
                        answers.put(question, answer);
                    }
                    assert!(answers.len() <= MOST_QUESTIONS, "it asks without end");
                }
            }
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        if self.is_silent {
            return Answer::not_known(Cause::Timeout, "");
        }
        let text = format!("{question}");
        let seed = hash(text.as_bytes());
        let mut records = match question.record_type {
            RecordType::Txt => match self.texts(&question.name) {
                Some(texts) if texts == [b"!"] => {
                    return Answer::not_known(Cause::ServerFailure, "as it says");
                }
                Some(texts) => texts.into_iter().map(|text| RecordData::Txt(strings(text))).collect(),
                None => Vec::new(),
            },
            // One in eight is not known, two are absent.
            _ if seed.is_multiple_of(8) => return Answer::not_known(Cause::Timeout, ""),
            _ if seed % 8 < 3 => Vec::new(),
            record_type => (0..u32::from(seed.to_be_bytes()[6] & 3))
                .map(|at| data(record_type, seed.rotate_left(11 * at)))
                .collect(),
        };
        // More hosts than SPF allows.
        if question.record_type == RecordType::Mx && seed % 64 == 9 {
            records = (0..12).map(|at| data(RecordType::Mx, at)).collect();
        }
        records.sort();
        records.dedup();
        if self.is_turned {
            records.reverse();
        }
        match (records.is_empty(), seed & 1 << 40) {
            (true, 0) => Answer::no_name(),
            _ => Answer::records(records),
        }
    }

    /// The texts at a name: of `a.example`, and of `_dmarc.a.example`, `s._domainkey.a.example` and the like.
    fn texts(&self, name: &Name) -> Option<Vec<&'a [u8]>> {
        let labels: Vec<&str> = name.labels().filter(|label| label.len() == 1).collect();
        let at = usize::from(labels.last()?.bytes().next()?.checked_sub(b'a')?);
        let at = if self.is_spread { at + below(name) } else { at };
        let mut texts = vec![*self.lines.get(at)?];
        while texts.last().is_some_and(|text| text.first() == Some(&b'+')) && texts.len() < 12 {
            let Some(next) = self.lines.get(at + texts.len()) else { break };
            texts.push(next);
        }
        let is_plus = |text: &'a [u8]| text.strip_prefix(b"+").unwrap_or(text);
        Some(texts.into_iter().map(is_plus).collect())
    }
}

/// How many lines further down the texts of such a name stand.
fn below(name: &Name) -> usize {
    let places = ["_dmarc", "_domainkey", "_mta-sts", "_tls", "_report", "_bimi"];
    name.labels().find_map(|label| places.iter().position(|known| *known == label)).map_or(0, |at| at + 1)
}

/// `a.example` and so on.
pub(crate) fn letter(at: u64) -> Name {
    let letter = char::from(b'a' + u8::try_from(at % 26).unwrap_or_default());
    Name::from_dotted(&format!("{letter}.example")).expect("a name")
}

/// The strings of a text, each of at most 255 octets.
fn strings(text: &[u8]) -> Vec<Vec<u8>> {
    let strings: Vec<Vec<u8>> = text.chunks(255).map(<[u8]>::to_vec).collect();
    if strings.is_empty() { vec![Vec::new()] } else { strings }
}

/// One record: few addresses and names, so that they meet.
fn data(record_type: RecordType, seed: u64) -> RecordData {
    let low = u8::try_from(seed & 7).unwrap_or_default();
    match record_type {
        RecordType::A => RecordData::A(Ipv4Addr::new(192, 0, 2, low)),
        RecordType::Aaaa => RecordData::Aaaa(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(low))),
        RecordType::Mx => {
            // A null MX now and then.
            let exchange = if seed.is_multiple_of(31) { Name::root() } else { letter(seed) };
            RecordData::Mx(Mx { preference: u16::from(low), exchange })
        }
        RecordType::Ptr => RecordData::Ptr(letter(seed)),
        RecordType::Ns => RecordData::Ns(letter(seed)),
        _ => RecordData::Other(vec![low]),
    }
}
