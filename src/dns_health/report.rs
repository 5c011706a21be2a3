//! The report on one domain: all checks, the findings in order, and a grade by a rule.

use crate::authentication::dmarc;
use crate::dns::{Answers, Ask, Name, Question, RecordType};
use crate::dns_health::catalogue::GROUPS;
use crate::dns_health::class::{self, Class};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checked, Finding, Severity, State};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::zone;

/// A mark for the whole domain.
///
/// The rule: **F** with any critical finding; **D** with errors of three or more codes; **C** with errors of one
/// or two; **B** with warnings and nothing worse; **A** without. What is not known never lowers it. Where nobody
/// answers for the domain, which may be our own trouble, or more than half of the checks that apply are not known,
/// there is no grade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Notes at most.
    A,
    /// Warnings.
    B,
    /// Errors of one or two codes.
    C,
    /// Errors of more.
    D,
    /// Something critical.
    F,
}

impl Grade {
    /// The letter in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::F => "F",
        }
    }
}

/// What is known of the health of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The domain.
    pub domain: Name,
    /// The zone in which its records stand, where that is known.
    pub zone: Option<Name>,
    /// What it is for; absent: not known.
    pub class: Option<Class>,
    /// The grade; absent: too much is not known.
    pub grade: Option<Grade>,
    /// The findings, the worst first, else in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// Every check with how it ended, in the order of the catalogue.
    pub checks: Vec<Checked>,
}

impl Health {
    /// How many checks ended in a state of this word.
    pub fn count(&self, word: &str) -> u64 {
        let count = self.checks.iter().filter(|checked| checked.state.as_str() == word).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Why checks ended "not known", each reason with the codes of these checks, in the order of the catalogue.
    pub fn not_known(&self) -> Vec<(String, Vec<&'static str>)> {
        let mut all: Vec<(String, Vec<&'static str>)> = Vec::new();
        for checked in &self.checks {
            let State::NotKnown { cause, detail } = &checked.state else { continue };
            let reason = if detail.is_empty() { cause.clone() } else { format!("{cause}: {detail}") };
            let code = checked.code.code;
            match all.iter_mut().find(|(other, _)| *other == reason) {
                Some((_, codes)) if codes.contains(&code) => {}
                Some((_, codes)) => codes.push(code),
                None => all.push((reason, vec![code])),
            }
        }
        all
    }

    /// The worst severity found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// Runs every check. Errors: the questions that any of them lacks, together, to be asked side by side.
pub fn judge(facts: &Facts, answers: &Answers) -> Result<Health, Ask> {
    let mut look_ups = LookUps::new(answers);
    // One after the other each name of the walk would cost a round; nobody counts the questions here.
    let walk = dmarc::walk_names(&facts.domain).into_iter();
    look_ups.take(answers.need(walk.map(|name| Question::new(name, RecordType::Txt))));
    let class = look_ups.take(class::class_of(facts, answers));
    let zone = look_ups.take(zone::apex(&facts.domain, answers));
    let mut checks = Vec::new();
    for group in GROUPS {
        if let Some(part) = look_ups.take((group.check)(facts, answers)) {
            checks.extend(part.all);
        }
    }
    look_ups.done()?;
    let zone = zone.flatten();
    for checked in &mut checks {
        if let State::Found(finding) = &mut checked.state
            && let Some(record) = &mut finding.publish
        {
            record.zone = zone.clone().filter(|zone| record.name.is_within(zone));
        }
    }
    let mut findings: Vec<Finding> = checks
        .iter()
        .filter_map(|checked| match &checked.state {
            State::Found(finding) => Some((**finding).clone()),
            _ => None,
        })
        .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let grade = grade(&checks);
    Ok(Health { domain: facts.domain.clone(), zone, class: class.flatten(), grade, findings, checks })
}

/// The grade of some checks, by the rule of [`Grade`].
pub fn grade(checks: &[Checked]) -> Option<Grade> {
    let mut errors: Vec<&str> = Vec::new();
    let mut worst = None;
    let (mut known, mut not_known) = (0_usize, 0_usize);
    for checked in checks {
        match &checked.state {
            State::NotKnown { .. } => not_known += 1,
            State::Pass => known += 1,
            State::NotApplicable(_) => {}
            State::Found(finding) => {
                if finding.code == &zone::DNS_UNREACHABLE {
                    return None;
                }
                known += 1;
                worst = worst.max(Some(finding.severity));
                if finding.severity == Severity::Error && !errors.contains(&finding.code.code) {
                    errors.push(finding.code.code);
                }
            }
        }
    }
    match worst {
        Some(Severity::Critical) => Some(Grade::F),
        Some(Severity::Error) if errors.len() > 2 => Some(Grade::D),
        Some(Severity::Error) => Some(Grade::C),
        // What is in order is only a sign of health where most of it could be seen.
        _ if not_known > known || known == 0 => None,
        Some(Severity::Warning) => Some(Grade::B),
        _ => Some(Grade::A),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::finding::Checks;
    use crate::dns_health::mx::{MX_CNAME as ONE, MX_IP as TWO, MX_NXDOMAIN as THREE};
    use crate::dns_health::sample::{Zone, facts, fixture};

    #[test]
    fn the_whole_walk_is_asked_for_at_once() {
        let ask = judge(&facts("a.b.example.com"), &Answers::new()).unwrap_err();
        let asked: Vec<String> = ask.questions.iter().map(|question| question.name.to_string()).collect();
        for name in ["_dmarc.a.b.example.com", "_dmarc.b.example.com", "_dmarc.example.com", "_dmarc.com"] {
            assert!(asked.iter().any(|other| other == name), "{name}: {asked:?}");
        }
        let long = Name::from_dotted("1.2.3.4.5.6.7.8.example.com").unwrap();
        let names = dmarc::walk_names(&long);
        assert_eq!(names.len(), crate::limits::DMARC_WALK_QUERIES);
        assert_eq!(names[1].to_string(), "_dmarc.4.5.6.7.8.example.com");
    }

    #[test]
    fn the_grade_follows_the_rule() {
        let find = |code, severity| Some(Finding::new(code, "x", "").severity(severity));
        let one = [Severity::Info, Severity::Note, Severity::Warning, Severity::Error, Severity::Critical];
        let got: Vec<_> = one.into_iter().map(|severity| of(&[find(&ONE, severity)], 0)).collect();
        let letters: Vec<_> = got.iter().map(|grade| grade.map(Grade::as_str)).collect();
        assert_eq!(letters, [Some("A"), Some("A"), Some("B"), Some("C"), Some("F")]);
        let error = Severity::Error;
        // Several findings of one code are one trouble.
        assert_eq!(of(&[find(&ONE, error), find(&ONE, error), find(&ONE, error)], 0), Some(Grade::C));
        assert_eq!(of(&[find(&ONE, error), find(&TWO, error), find(&THREE, error)], 0), Some(Grade::D));
        // What is not known lowers nothing, and too much of it leaves no grade.
        assert_eq!(of(&[None, None], 2), Some(Grade::A));
        assert_eq!(of(&[None], 2), None);
        assert_eq!(of(&[find(&ONE, error)], 50), Some(Grade::C));
    }

    /// The grade of findings and passes, with so many checks not known.
    fn of(found: &[Option<Finding>], not_known: usize) -> Option<Grade> {
        let mut checks = Checks::new();
        for finding in found {
            match finding {
                Some(finding) => checks.find(finding.clone()),
                None => checks.pass(&ONE, "x"),
            }
        }
        for _ in 0..not_known {
            checks.unknown_for(&ONE, "x", "timeout", "");
        }
        grade(&checks.all)
    }

    #[test]
    fn classes_follow_from_what_is_published() {
        let zone = fixture!("mx.zone");
        for (domain, want) in [
            ("good.example", Some(Class::SendsAndReceives)),
            ("null.example", Some(Class::Parked)),
            ("parked.example", Some(Class::Parked)),
            ("host.example", Some(Class::MailHost)),
            ("nowhere.example", Some(Class::SendsOnly)),
            ("implicit.example", Some(Class::SendsAndReceives)),
            ("silent.example", None),
        ] {
            let facts = facts(domain);
            let (health, _) = zone.settle(|answers| judge(&facts, answers));
            assert_eq!(health.class, want, "{domain}");
        }
        let mut seen = facts("null.example");
        seen.is_sender = Some(true);
        let (health, _) = zone.settle(|answers| judge(&seen, answers));
        assert_eq!(health.class, Some(Class::SendsOnly));
    }

    #[test]
    fn the_worst_comes_first_and_records_know_their_zone() {
        let facts = facts("null10.example");
        let (health, _) = Zone::parse(
            "null10.example. MX 10 .\nnull10.example. SOA a.example. b.example. 1 2 3 4 5\nexample. NS a.example.",
        )
        .settle(|answers| judge(&facts, answers));
        let order: Vec<_> = health.findings.iter().map(|finding| finding.severity).collect();
        assert!(order.windows(2).all(|pair| pair.first() >= pair.last()), "{order:?}");
        let mix = health.findings.iter().find(|finding| finding.code.code == "MX-NULL-MIX").unwrap();
        let record = mix.publish.clone().unwrap();
        assert_eq!((record.zone, record.old.len()), (health.zone, 1));
    }
}
