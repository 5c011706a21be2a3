//! DMARC: may mail in the name of this author domain be believed (RFC 9989)?
//!
//! [`Record`] is one policy record with everything in it that is discarded; [`discover`] walks the tree of
//! names from a domain upwards, tells each name that was asked and what stood there, and which rule chose the
//! organizational domain; [`policy_in_force`] says what is asked for the author domain; [`evaluate()`] joins
//! them with what SPF and DKIM authenticated.
//!
//! Receivers of before RFC 9989 found the organizational domain by the public suffix list (RFC 7489 §3.2).
//! Their result stands beside ours, since the two can differ (RFC 9989 §C.3).

mod discovery;
mod evaluate;
mod policy;
mod record;
mod suffix;

pub use discovery::{Discovery, Found, Rule, Step, Stray, discover, walk_names};
pub use evaluate::{
    Aligned, Assessment, AuthorVerdict, DmarcResult, DmarcVerdict, Identifier, Mechanism, Standing, evaluate,
    unprocessed,
};
pub use policy::{InForce, Tag, policy_in_force};
pub use record::{Flaw, Force, Mode, NearMiss, Policy, Psd, Record, Remark, ReportUri, Wish};
pub use suffix::{BySuffix, by_suffix, organizational_by_suffix};

#[cfg(test)]
mod tests {
    use crate::dns::{Answer, Answers, Ask, Name, Question, RecordData, RecordType};

    /// A name.
    pub(super) fn name(text: &str) -> Name {
        Name::from_dotted(text).unwrap()
    }

    /// Answers with these texts.
    pub(super) fn answers(texts: &[(&str, &str)]) -> Answers {
        let mut answers = Answers::new();
        for (domain, _) in texts {
            let records = texts.iter().filter(|(other, _)| other == domain);
            let data = records.map(|(_, text)| RecordData::Txt(vec![text.as_bytes().to_vec()])).collect();
            answers.put(Question::new(name(domain), RecordType::Txt), Answer::records(data));
        }
        answers
    }

    /// Judges with these answers; every other name does not exist.
    pub(super) fn judge<T>(known: &Answers, judge: impl Fn(&Answers) -> Result<T, Ask>) -> T {
        let mut known = known.clone();
        loop {
            match judge(&known) {
                Ok(done) => return done,
                Err(ask) => {
                    for question in ask.questions {
                        known.put(question, Answer::no_name());
                    }
                }
            }
        }
    }
}
