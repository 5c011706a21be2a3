//! Which policy a record asks for mail of one author domain.

use super::record::{Force, Policy, Record};
use crate::dns::{Answers, Ask, Name, Outcome, RecordType};

/// The tag that a policy was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    /// The domain's own, or nothing else was said.
    P,
    /// Of subdomains that exist.
    Sp,
    /// Of subdomains that do not exist.
    Np,
    /// None: the record acts as `p=none` (RFC 9989 §4.10.1).
    Default,
}

impl Tag {
    /// The name in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P => "p",
            Self::Sp => "sp",
            Self::Np => "np",
            Self::Default => "default",
        }
    }
}

/// The policy for mail of one author domain that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// As published; absent where it hangs on whether the author domain exists, and that is not known.
    pub published: Option<Policy>,
    /// After test mode (`t=y`): what is to be applied.
    pub applied: Option<Policy>,
    /// Where it was taken from.
    pub tag: Tag,
    /// True for test mode.
    pub is_testing: bool,
    /// Whether the author domain exists; absent where nothing hangs on it, or where it is not known.
    pub exists: Option<bool>,
}

/// The policy that a record asks for an author domain, nothing where the record has no effect.
///
/// `is_own`: the record stands at the author domain itself, so that `p` holds; else `sp`, or `np` where the
/// author domain does not exist (RFC 9989 §4.10.1). A domain does not exist if its name is answered with
/// NXDOMAIN (RFC 9989 §3.2.13); this is only asked where the answer matters.
pub fn policy_in_force(
    author: &Name,
    record: &Record,
    is_own: bool,
    answers: &Answers,
) -> Result<Option<InForce>, Ask> {
    let mut in_force = InForce {
        published: None,
        applied: None,
        tag: Tag::Default,
        is_testing: record.is_testing,
        exists: None,
    };
    match record.force() {
        Force::Nothing => return Ok(None),
        Force::AsNone => {
            in_force.is_testing = false;
            in_force.published = Some(Policy::None);
        }
        Force::AsPublished => {
            let own = (record.p.policy(), Tag::P);
            let first = |choices: &[(Option<Policy>, Tag)]| {
                choices.iter().copied().find(|(policy, _)| policy.is_some()).unwrap_or(own)
            };
            let existing = first(&[(record.sp.policy(), Tag::Sp), own]);
            let missing = first(&[(record.np.policy(), Tag::Np), existing]);
            (in_force.published, in_force.tag) = if is_own {
                own
            } else if existing.0 == missing.0 {
                existing
            } else {
                match &answers.get(author, RecordType::A)?.outcome {
                    Outcome::NoName => {
                        in_force.exists = Some(false);
                        missing
                    }
                    Outcome::Records(_) | Outcome::NoType => {
                        in_force.exists = Some(true);
                        existing
                    }
                    Outcome::NotKnown(_) => (None, Tag::Default),
                }
            };
        }
    }
    let test = |policy: Policy| if in_force.is_testing { policy.milder() } else { policy };
    in_force.applied = in_force.published.map(test);
    Ok(Some(in_force))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::dmarc::tests::{answers, name};
    use crate::dns::{Answer, Cause, Question};

    #[test]
    fn policies_by_place_and_existence() {
        let mut known = answers(&[]);
        for (domain, answer) in [
            ("there.example.com", Answer::records(Vec::new())),
            ("gone.example.com", Answer::no_name()),
            ("dark.example.com", Answer::not_known(Cause::Timeout, "")),
        ] {
            known.put(Question::new(name(domain), RecordType::A), answer);
        }
        let (none, quarantine, reject) = (Some(Policy::None), Some(Policy::Quarantine), Some(Policy::Reject));
        let full = "v=DMARC1; p=reject; sp=none; np=quarantine";
        let cases = [
            (full, "example.com", true, reject, Tag::P, None),
            (full, "there.example.com", false, none, Tag::Sp, Some(true)),
            (full, "gone.example.com", false, quarantine, Tag::Np, Some(false)),
            (full, "dark.example.com", false, None, Tag::Default, None),
            ("v=DMARC1; p=reject; sp=none", "gone.example.com", false, none, Tag::Sp, None),
            ("v=DMARC1; p=reject; np=none", "there.example.com", false, reject, Tag::P, Some(true)),
            ("v=DMARC1; p=reject", "dark.example.com", false, reject, Tag::P, None),
            (
                "v=DMARC1; p=reject; sp=quarantine; np=quarantine",
                "dark.example.com",
                false,
                quarantine,
                Tag::Sp,
                None,
            ),
            ("v=DMARC1; sp=reject; rua=mailto:a@example.com", "example.com", true, none, Tag::Default, None),
        ];
        for (text, author, is_own, published, tag, exists) in cases {
            let record = Record::parse(text.as_bytes()).unwrap();
            let found = policy_in_force(&name(author), &record, is_own, &known).unwrap().unwrap();
            assert_eq!(
                (found.published, found.tag, found.exists),
                (published, tag, exists),
                "{text} {author}"
            );
            assert_eq!(found.applied, published);
        }
        let record = Record::parse(b"v=DMARC1; p=rejct").unwrap();
        assert_eq!(policy_in_force(&name("example.com"), &record, true, &known), Ok(None));
    }

    #[test]
    fn test_mode_is_one_level_milder() {
        for (p, applied) in
            [("reject", Policy::Quarantine), ("quarantine", Policy::None), ("none", Policy::None)]
        {
            let record = Record::parse(format!("v=DMARC1; p={p}; t=y").as_bytes()).unwrap();
            let found = policy_in_force(&name("example.com"), &record, true, &answers(&[])).unwrap().unwrap();
            assert_eq!((found.applied, found.published), (Some(applied), Policy::parse(p)));
        }
    }
}
