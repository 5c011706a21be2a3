//! The checks of a domain's health, over any answers.

use mailsonde::clock::Timestamp;
use mailsonde::dns::{Answers, Ask, RecordData, Zones};
use mailsonde::dns_health::facts::{Facts, Fetched, KnownSelector, PolicyResponse, SelectorOrigin};
use mailsonde::dns_health::finding::Severity;
use mailsonde::dns_health::report::{Health, grade, judge};

use super::answers::{World, letter};
use super::{NOW_SECONDS, hash};

/// Lines are the texts of DNS, what follows a line `=` the policy of MTA-STS. The checks end; the order of records
/// changes nothing; silence of DNS finds nothing else; records to publish are such.
pub fn check(data: &[u8]) {
    let at = data.windows(3).position(|three| three == b"\n=\n");
    let (texts, policy) = at.map_or((data, &[][..]), |at| (&data[..at], &data[at + 3..]));
    let mut facts = Facts::new(letter(0), Timestamp::from_seconds(NOW_SECONDS), "nonce-of-the-test");
    let seed = hash(data);
    facts.is_sender =
        [None, Some(true), Some(false)].into_iter().nth(usize::try_from(seed % 3).unwrap_or(0)).flatten();
    facts.is_report_target = seed & 64 == 0;
    for (selector, origin) in [("s", SelectorOrigin::Given), ("t", SelectorOrigin::Guess)] {
        facts.selectors.push(KnownSelector { selector: selector.to_owned(), origin });
    }
    facts.sources.push([192, 0, 2, 3].into());
    let silent = facts.clone();
    facts.policy = Some(Fetched {
        url: "https://mta-sts.a.example/.well-known/mta-sts.txt".to_owned(),
        outcome: Ok(PolicyResponse {
            status: 200,
            content_type: Some("text/plain".to_owned()),
            location: None,
            body: policy.to_vec(),
        }),
    });
    let mut world = World::new(texts);
    world.is_spread = true;
    let whole = |facts: &Facts, world: &World<'_>| -> Health {
        world.settle(|answers: &Answers| -> Result<Health, Ask> { judge(facts, answers) })
    };
    let health = whole(&facts, &world);
    check_health(&health);
    world.is_turned = true;
    assert_eq!(whole(&facts, &world), health, "the order of records matters");
    world.is_silent = true;
    let silence = whole(&silent, &world);
    // But that nobody answers for the domain.
    let others = silence.findings.iter().find(|finding| finding.code.code != "DNS-UNREACHABLE");
    assert_eq!(others, None, "silence is no answer");
}

fn check_health(health: &Health) {
    assert_eq!(health.count("finding"), health.findings.len() as u64);
    assert_eq!(grade(&health.checks), health.grade);
    assert!(health.findings.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
    for finding in &health.findings {
        assert!(!finding.evidence.is_empty() && !finding.subject.is_empty());
        // A fact has nothing to be mended.
        assert!(!finding.mend.is_empty() || finding.severity == Severity::Info);
        let Some(record) = &finding.publish else { continue };
        assert!(!record.relative_name().is_empty());
        // Data of the type NS is one absolute name.
        let owner = RecordData::Ns(record.name.clone());
        let text = format!("{owner} 60 IN {} {}\n", record.record_type, record.value);
        if let Err(fault) = Zones::parse(&text) {
            panic!("{}: {fault}: {text}", finding.code.code);
        }
    }
}
