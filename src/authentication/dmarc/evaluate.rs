//! What SPF and DKIM authenticated, held against the author domain.

use super::discovery::{Discovery, discover};
use super::policy::{InForce, policy_in_force};
use super::record::{Mode, Policy, Record};
use super::suffix::{by_suffix, organizational_by_suffix};
use crate::dns::{Answers, Ask, Cause, Name, NotKnown};
use crate::limits;

/// The result for one message or one author domain (RFC 9989 §5.3, words of RFC 8601 §2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DmarcResult {
    /// An authenticated domain is aligned.
    Pass,
    /// None is.
    Fail,
    /// DMARC does not apply: no record, or one without effect.
    None,
    /// An answer is missing that may come later.
    TempError,
    /// There is not exactly one author to judge, or a name cannot be asked for.
    PermError,
    /// What it hangs on cannot be known here, as who handed over an imported mail.
    NotKnown,
}

impl DmarcResult {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
            Self::NotKnown => "not-known",
        }
    }
}

/// What authenticated a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// SPF of the reverse-path, never of HELO (RFC 9989 §4.4.2).
    Spf,
    /// A DKIM signature.
    Dkim,
}

impl Mechanism {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spf => "spf",
            Self::Dkim => "dkim",
        }
    }
}

/// Whether a domain was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It was.
    Passed,
    /// It was not.
    Failed,
    /// An answer is missing that may come later.
    TempError,
    /// It cannot be known here.
    NotKnown,
}

/// A domain that SPF or DKIM spoke about (RFC 9989 §3.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// Which of them.
    pub mechanism: Mechanism,
    /// The domain: of the reverse-path, or `d=`.
    pub domain: Name,
    /// What it said.
    pub standing: Standing,
}

/// How an identifier stands to the author domain (RFC 9989 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aligned {
    /// The same domain.
    Strictly,
    /// The same organizational domain, where that is enough.
    Relaxed,
    /// Neither.
    No,
    /// An answer that it hangs on is not known.
    NotKnown,
    /// Not asked: what did not pass need not be aligned.
    NotAsked,
}

impl Aligned {
    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strictly => "strict",
            Self::Relaxed => "relaxed",
            Self::No => "no",
            Self::NotKnown => "not-known",
            Self::NotAsked => "not-asked",
        }
    }

    /// True if it is aligned.
    pub const fn is_aligned(self) -> bool {
        matches!(self, Self::Strictly | Self::Relaxed)
    }
}

/// The result for one author domain, with one way of finding organizational domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The result.
    pub result: DmarcResult,
    /// Why, in words.
    pub reason: String,
    /// The organizational domain of the author domain; absent where it is not known.
    pub organizational: Option<Name>,
    /// Where the record stands that applies.
    pub record_at: Option<Name>,
    /// The policy for mail that fails; absent without a record in force.
    pub policy: Option<InForce>,
    /// The identifiers with their alignment: those that passed first, at most
    /// [`limits::DMARC_IDENTIFIERS`]. Empty where no record is in force.
    pub identifiers: Vec<(Identifier, Aligned)>,
}

/// The results for one author domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorVerdict {
    /// The author domain.
    pub author: Name,
    /// The walk from it.
    pub discovery: Discovery,
    /// The result by the tree walk: the one that counts.
    pub by_walk: Assessment,
    /// The result by the public suffix list.
    pub by_suffix: Assessment,
}

impl AuthorVerdict {
    /// True if receivers that use the public suffix list find another organizational domain, another record or
    /// another result (RFC 9989 §C.3). Not where something is not known.
    pub fn differs(&self) -> bool {
        let unknown = [DmarcResult::TempError, DmarcResult::PermError];
        let (walk, suffix) = (&self.by_walk, &self.by_suffix);
        if unknown.contains(&walk.result) || unknown.contains(&suffix.result) {
            return false;
        }
        let has_record = walk.record_at.is_some() || suffix.record_at.is_some();
        walk.result != suffix.result
            || walk.record_at != suffix.record_at
            || (has_record && walk.organizational != suffix.organizational)
    }
}

/// The verdict on one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcVerdict {
    /// The result: pass only if every author domain passes.
    pub result: DmarcResult,
    /// Why, in words.
    pub reason: String,
    /// Each author domain; the one that decides comes first.
    pub authors: Vec<AuthorVerdict>,
}

impl DmarcVerdict {
    /// The author domain that decides.
    pub fn author(&self) -> Option<&AuthorVerdict> {
        self.authors.first()
    }

    /// What is to be applied to the message if it fails, after test mode.
    pub fn policy(&self) -> Option<Policy> {
        self.author().and_then(|author| author.by_walk.policy).and_then(|policy| policy.applied)
    }

    /// True if a later try may bring another result.
    pub fn is_open(&self) -> bool {
        self.result == DmarcResult::TempError
            || (self.result == DmarcResult::Fail
                && self.author().is_some_and(|author| {
                    author.by_walk.policy.is_some_and(|policy| policy.published.is_none())
                }))
    }
}

/// The verdict on a message whose author cannot be told: no From field, several, or none that can be read
/// (RFC 9989 §4.4, §5.3.1).
pub fn unprocessed(reason: impl Into<String>) -> DmarcVerdict {
    DmarcVerdict { result: DmarcResult::PermError, reason: reason.into(), authors: Vec::new() }
}

/// Judges one message (RFC 9989 §5.3).
///
/// Of several author domains each is judged, and the strictest policy among those that fail decides (RFC 9989
/// §11.5); of more than [`limits::DMARC_AUTHORS`] none is: the result is permerror.
pub fn evaluate(
    authors: &[Name],
    identifiers: &[Identifier],
    answers: &Answers,
) -> Result<DmarcVerdict, Ask> {
    if authors.is_empty() {
        return Ok(unprocessed("the message has no author domain"));
    }
    if authors.len() > limits::DMARC_AUTHORS {
        return Ok(unprocessed(format!("the message has {} author domains", authors.len())));
    }
    // What passed comes first, so that a limit never cuts it off.
    let mut identifiers: Vec<&Identifier> = identifiers.iter().collect();
    identifiers.sort_by_key(|identifier| identifier.standing);
    identifiers.truncate(limits::DMARC_IDENTIFIERS);
    let mut verdicts = Vec::new();
    for author in authors {
        verdicts.push(judge_author(author, &identifiers, answers)?);
    }
    // What stands in the way of a pass comes first: what fails, by its policy, then what is not known.
    verdicts.sort_by_key(|verdict| {
        let policy = verdict.by_walk.policy.and_then(|policy| policy.applied);
        let weight = match verdict.by_walk.result {
            DmarcResult::Fail => 5,
            DmarcResult::TempError => 4,
            DmarcResult::PermError => 3,
            DmarcResult::NotKnown => 2,
            DmarcResult::None => 1,
            DmarcResult::Pass => 0,
        };
        std::cmp::Reverse((weight, policy))
    });
    let (result, mut reason) = verdicts.first().map_or((DmarcResult::PermError, String::new()), |first| {
        (first.by_walk.result, first.by_walk.reason.clone())
    });
    if let [first, _, ..] = verdicts.as_slice() {
        reason = format!("{} author domains, of which {} decides: {reason}", verdicts.len(), first.author);
    }
    Ok(DmarcVerdict { result, reason, authors: verdicts })
}

/// Judges one author domain in both ways.
fn judge_author(author: &Name, identifiers: &[&Identifier], answers: &Answers) -> Result<AuthorVerdict, Ask> {
    let discovery = discover(author, answers)?;
    let walk = Way {
        author,
        organizational: discovery.organizational.clone(),
        record: discovery.policy_record(),
        trouble: discovery.trouble().map(|(_, not_known)| not_known),
    };
    let by_walk =
        walk.assess(identifiers, answers, &|domain| Ok(discover(domain, answers)?.organizational))?;
    let found = by_suffix(author, answers)?;
    let suffix = Way {
        author,
        organizational: Some(found.organizational.clone()),
        record: found.record.as_ref().map(|(place, record)| (place, record)),
        trouble: found.trouble.as_ref(),
    };
    let by_suffix =
        suffix.assess(identifiers, answers, &|domain| Ok(Some(organizational_by_suffix(domain))))?;
    Ok(AuthorVerdict { author: author.clone(), discovery, by_walk, by_suffix })
}

/// The organizational domain of a domain; nothing where it is not known.
type OrganizationOf<'a> = &'a dyn Fn(&Name) -> Result<Option<Name>, Ask>;

/// What one way of finding organizational domains says of an author domain.
struct Way<'a> {
    author: &'a Name,
    organizational: Option<Name>,
    record: Option<(&'a Name, &'a Record)>,
    trouble: Option<&'a NotKnown>,
}

impl Way<'_> {
    /// The result of this way.
    fn assess(
        &self,
        identifiers: &[&Identifier],
        answers: &Answers,
        organization_of: OrganizationOf<'_>,
    ) -> Result<Assessment, Ask> {
        let mut assessment = Assessment {
            result: DmarcResult::None,
            reason: String::new(),
            organizational: self.organizational.clone(),
            record_at: self.record.map(|(place, _)| place.clone()),
            policy: None,
            identifiers: Vec::new(),
        };
        let Some((place, record)) = self.record else {
            match self.trouble {
                Some(not_known) => {
                    assessment.result = match not_known.cause {
                        Cause::BadName => DmarcResult::PermError,
                        _ => DmarcResult::TempError,
                    };
                    assessment.reason = format!(
                        "whether a record applies to {} is not known: {}",
                        self.author,
                        not_known.cause.as_str()
                    );
                }
                None => assessment.reason = format!("no record applies to {}", self.author),
            }
            return Ok(assessment);
        };
        assessment.policy = policy_in_force(self.author, record, place == self.author, answers)?;
        if assessment.policy.is_none() {
            assessment.reason =
                format!("the record at {place} has neither a valid policy nor an address for reports");
            return Ok(assessment);
        }
        for identifier in identifiers {
            let mode = match identifier.mechanism {
                Mechanism::Spf => record.aspf,
                Mechanism::Dkim => record.adkim,
            };
            let aligned = self.align(identifier, mode, organization_of)?;
            assessment.identifiers.push(((*identifier).clone(), aligned));
        }
        (assessment.result, assessment.reason) = self.conclude(&assessment.identifiers);
        Ok(assessment)
    }

    /// How one identifier stands to the author domain.
    fn align(
        &self,
        identifier: &Identifier,
        mode: Mode,
        organization_of: OrganizationOf<'_>,
    ) -> Result<Aligned, Ask> {
        let domain = &identifier.domain;
        if domain == self.author {
            return Ok(Aligned::Strictly);
        }
        if mode == Mode::Strict {
            return Ok(Aligned::No);
        }
        let Some(organizational) = &self.organizational else {
            // Whatever the organizational domain is, both stand below one top-level domain then.
            let is_apart = domain.last_labels(1) != self.author.last_labels(1);
            return Ok(if is_apart { Aligned::No } else { Aligned::NotKnown });
        };
        if !domain.is_within(organizational) {
            return Ok(Aligned::No);
        }
        if identifier.standing == Standing::Failed {
            return Ok(Aligned::NotAsked);
        }
        Ok(match organization_of(domain)? {
            Some(other) if other == *organizational => Aligned::Relaxed,
            Some(_) => Aligned::No,
            None => Aligned::NotKnown,
        })
    }

    /// The result from the alignments.
    fn conclude(&self, identifiers: &[(Identifier, Aligned)]) -> (DmarcResult, String) {
        let author = self.author;
        let find = |standing: Standing, wanted: fn(Aligned) -> bool| {
            identifiers
                .iter()
                .find(|(identifier, aligned)| identifier.standing == standing && wanted(*aligned))
                .map(|(identifier, _)| identifier)
        };
        let may_be = |aligned: Aligned| aligned.is_aligned() || aligned == Aligned::NotKnown;
        let told =
            |identifier: &Identifier| format!("{} of {}", identifier.mechanism.as_str(), identifier.domain);
        if let Some(passed) = find(Standing::Passed, Aligned::is_aligned) {
            return (DmarcResult::Pass, format!("{} passes and is aligned with {author}", told(passed)));
        }
        if let Some(passed) = find(Standing::Passed, |aligned| aligned == Aligned::NotKnown) {
            let reason = format!("whether {} is aligned with {author} is not known", told(passed));
            return (DmarcResult::TempError, reason);
        }
        if let Some(open) = find(Standing::TempError, may_be) {
            return (DmarcResult::TempError, format!("{} is not known yet", told(open)));
        }
        if let Some(unknown) = find(Standing::NotKnown, may_be) {
            return (DmarcResult::NotKnown, format!("{} cannot be known here", told(unknown)));
        }
        let passed: Vec<String> = identifiers
            .iter()
            .filter(|(identifier, _)| identifier.standing == Standing::Passed)
            .map(|(identifier, _)| told(identifier))
            .collect();
        let reason = match passed.as_slice() {
            [] => format!("nothing authenticates {author}"),
            [one] => format!("{one} passes but is not aligned with {author}"),
            _ => format!("{} pass but are not aligned with {author}", passed.join(", ")),
        };
        (DmarcResult::Fail, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::dmarc::tests::{answers, judge, name};
    use crate::dns::{Answer, Question, RecordType};

    fn identifier(mechanism: Mechanism, domain: &str, standing: Standing) -> Identifier {
        Identifier { mechanism, domain: name(domain), standing }
    }

    #[test]
    fn results() {
        use Mechanism::{Dkim, Spf};
        use Standing::{Failed, NotKnown, Passed, TempError};
        let mut known = answers(&[
            ("_dmarc.example.com", "v=DMARC1; p=reject"),
            ("_dmarc.strict.example", "v=DMARC1; p=quarantine; adkim=s; aspf=s"),
            ("_dmarc.own.example.com", "v=DMARC1; p=none; psd=n"),
            ("_dmarc.void.example", "v=DMARC1; p=bad"),
        ]);
        let question = Question::new(name("_dmarc.dark.example"), RecordType::Txt);
        known.put(question, Answer::not_known(Cause::Timeout, ""));
        let question = Question::new(name("_dmarc.dark.example.com"), RecordType::Txt);
        known.put(question, Answer::not_known(Cause::Timeout, ""));
        let cases = [
            ("example.com", vec![(Spf, "example.com", Passed)], DmarcResult::Pass),
            ("a.example.com", vec![(Dkim, "b.example.com", Passed)], DmarcResult::Pass),
            (
                "example.com",
                vec![(Spf, "example.com", Failed), (Dkim, "b.example.com", Passed)],
                DmarcResult::Pass,
            ),
            ("example.com", vec![(Dkim, "own.example.com", Passed)], DmarcResult::Fail),
            ("example.com", vec![(Dkim, "badexample.com", Passed)], DmarcResult::Fail),
            ("example.com", vec![(Spf, "example.com", Failed)], DmarcResult::Fail),
            ("example.com", vec![], DmarcResult::Fail),
            ("example.com", vec![(Spf, "b.example.com", TempError)], DmarcResult::TempError),
            ("example.com", vec![(Spf, "other.example", TempError)], DmarcResult::Fail),
            ("example.com", vec![(Spf, "example.com", NotKnown)], DmarcResult::NotKnown),
            (
                "example.com",
                vec![(Spf, "example.com", NotKnown), (Dkim, "example.com", Passed)],
                DmarcResult::Pass,
            ),
            ("example.com", vec![(Dkim, "dark.example.com", Passed)], DmarcResult::TempError),
            ("example.com", vec![(Dkim, "dark.example.com", Failed)], DmarcResult::Fail),
            ("strict.example", vec![(Dkim, "a.strict.example", Passed)], DmarcResult::Fail),
            ("strict.example", vec![(Dkim, "strict.example", Passed)], DmarcResult::Pass),
            ("none.example", vec![(Dkim, "none.example", Passed)], DmarcResult::None),
            ("void.example", vec![(Dkim, "void.example", Passed)], DmarcResult::None),
            ("dark.example", vec![(Dkim, "dark.example", Passed)], DmarcResult::TempError),
        ];
        for (author, given, result) in cases {
            let identifiers: Vec<Identifier> = given
                .iter()
                .map(|(mechanism, domain, standing)| identifier(*mechanism, domain, *standing))
                .collect();
            let verdict = judge(&known, |answers| evaluate(&[name(author)], &identifiers, answers));
            assert_eq!(verdict.result, result, "{author} {given:?}: {}", verdict.reason);
            assert!(!verdict.reason.is_empty());
        }
    }

    #[test]
    fn several_authors() {
        let known = answers(&[
            ("_dmarc.example.com", "v=DMARC1; p=none"),
            ("_dmarc.example.net", "v=DMARC1; p=reject"),
            ("_dmarc.example.org", "v=DMARC1; p=quarantine"),
        ]);
        let passed = [identifier(Mechanism::Dkim, "example.com", Standing::Passed)];
        let authors: Vec<Name> = ["example.com", "example.org", "example.net"].map(name).to_vec();
        let verdict = judge(&known, |answers| evaluate(&authors, &passed, answers));
        assert_eq!((verdict.result, verdict.policy()), (DmarcResult::Fail, Some(Policy::Reject)));
        assert_eq!(verdict.author().unwrap().author.as_str(), "example.net");
        let many: Vec<Name> = (0..9).map(|number| name(&format!("d{number}.example"))).collect();
        assert_eq!(judge(&known, |answers| evaluate(&many, &passed, answers)).result, DmarcResult::PermError);
        assert_eq!(judge(&known, |answers| evaluate(&[], &passed, answers)).result, DmarcResult::PermError);
    }

    #[test]
    fn the_two_ways_can_differ() {
        // A public suffix of the list publishes a record without `psd=y`: the walk takes it for the organization.
        let known = answers(&[("_dmarc.co.uk", "v=DMARC1; p=reject")]);
        let passed = [identifier(Mechanism::Dkim, "other.co.uk", Standing::Passed)];
        let verdict = judge(&known, |answers| evaluate(&[name("example.co.uk")], &passed, answers));
        let author = verdict.author().unwrap();
        assert_eq!((author.by_walk.result, author.by_suffix.result), (DmarcResult::Pass, DmarcResult::None));
        assert!(author.differs());
        let known = answers(&[("_dmarc.example.com", "v=DMARC1; p=reject")]);
        let verdict = judge(&known, |answers| evaluate(&[name("a.example.com")], &[], answers));
        assert!(!verdict.author().unwrap().differs());
    }

    #[test]
    fn many_signatures_of_strangers_cost_no_question() {
        let known = answers(&[("_dmarc.example.com", "v=DMARC1; p=reject")]);
        let strangers: Vec<Identifier> = (0..500)
            .map(|number| identifier(Mechanism::Dkim, &format!("d{number}.example.net"), Standing::Passed))
            .collect();
        let asked = std::cell::Cell::new(0);
        let verdict = judge(&known, |answers| {
            evaluate(&[name("example.com")], &strangers, answers).inspect_err(|_| asked.set(asked.get() + 1))
        });
        assert_eq!((verdict.result, asked.get()), (DmarcResult::Fail, 1));
        let author = verdict.author().unwrap();
        assert_eq!(author.by_walk.identifiers.len(), limits::DMARC_IDENTIFIERS);
    }
}
