//! DKIM beside the mail that arrived or was reported: what signatures cover, whom they speak for, how old keys are.

use crate::authentication::dmarc::{self, Force, Policy};
use crate::authentication::key::{self, AtSelector, KeyRecord, Material};
use crate::dns::{Answers, Ask, Name, Question, RecordType};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::reported::{FEW, Reported, SeenSignature, share};
use crate::limits;

codes! {
    DKIM_STRICT = "DKIM-STRICT", Error, "RFC 6376 §3.6.1", "a key says `t=s`, and mail is signed with it for a subdomain (`i=`): verifiers refuse that", "remove `t=s` from the key, or sign with `i=` of the very domain";
    DKIM_AGE = "DKIM-AGE", Note, "RFC 6376 §3.1", "the same key has been published for more than a year", "make a new key under a new selector, sign with it, and take the old one down two weeks later";
    DKIM_SIG_L = "DKIM-SIG-L", Error, "RFC 6376 §8.2", "signatures cover only the beginning of the body (`l=`): anybody can add to the mail", "let the signing software leave `l=` out";
    DKIM_SIG_H = "DKIM-SIG-H", Note, "RFC 6376 §5.4, §8.15", "signatures leave out fields that readers see, or let a second From be added", "sign From twice (oversigning), and Subject, To, Date and Message-ID";
    DKIM_ALIGN = "DKIM-ALIGN", Warning, "RFC 9989 §4.4.1", "no signature is aligned with From, as reports tell", "let the signing software use the domain of From, or one of the same organization";
}

/// After so many days a key is old.
const OLD_DAYS: i64 = 365;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// Seconds from signing to the end of a signature below which queues lose mail.
const SHORT_LIFE: i64 = 86_400;

/// Checks keys and signatures against what was seen of them.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let strict = look_ups.take(strict(facts, answers));
    let age = look_ups.take(age(facts, answers));
    let align = look_ups.take(align(facts, answers));
    look_ups.done()?;
    signatures(&mut checks, facts);
    for part in [strict, age, align].into_iter().flatten() {
        checks.all.extend(part.all);
    }
    Ok(checks)
}

/// The signatures of the domain itself and of what is below it, those of the most messages first.
fn own<'f>(facts: &'f Facts) -> impl Iterator<Item = &'f SeenSignature> {
    let is_own = |seen: &&'f SeenSignature| seen.domain.is_within(&facts.domain);
    facts.signatures.iter().filter(is_own).take(limits::LEARNT_SELECTORS as usize)
}

/// The name of a signature's key, which is what findings are about.
fn subject(seen: &SeenSignature) -> String {
    format!("{}._domainkey.{}", seen.selector, seen.domain)
}

/// What signatures cover.
fn signatures(checks: &mut Checks, facts: &Facts) {
    if own(facts).next().is_none() {
        for code in [&DKIM_SIG_L, &DKIM_SIG_H] {
            checks.skip(code, &facts.domain, "no signed mail of the domain arrived here");
        }
        return;
    }
    for seen in own(facts) {
        let subject = subject(seen);
        if seen.has_length {
            let evidence = format!("{} messages that arrived were signed with `l=`", seen.messages);
            checks.find(Finding::new(&DKIM_SIG_L, &subject, evidence));
        } else {
            checks.pass(&DKIM_SIG_L, &subject);
        }
        let mut faults: Vec<String> = Vec::new();
        if !seen.is_oversigned {
            faults.push("From is not oversigned".to_owned());
        }
        if !seen.unsigned.is_empty() {
            faults.push(format!("not signed: {}", seen.unsigned.join(", ")));
        }
        if let Some(lifetime) = seen.lifetime.filter(|lifetime| *lifetime < SHORT_LIFE) {
            faults.push(format!("it ends {lifetime} s after signing: mail that waits in a queue fails"));
        }
        if faults.is_empty() {
            checks.pass(&DKIM_SIG_H, &subject);
        } else {
            checks.find(Finding::new(&DKIM_SIG_H, &subject, faults.join("; ")));
        }
    }
}

/// Keys for one domain alone, used for those below it.
fn strict(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let below = own(facts).filter_map(|seen| {
        let identity = seen.identity.as_ref().filter(|identity| **identity != seen.domain)?;
        Some((seen, identity, key::key_name(&seen.selector, seen.domain.as_str())?))
    });
    let below: Vec<_> = below.collect();
    answers.need(below.iter().map(|(_, _, name)| Question::new(name.clone(), RecordType::Txt)))?;
    if below.is_empty() {
        checks.skip(&DKIM_STRICT, &facts.domain, "no signature for a subdomain arrived here");
    }
    for (seen, identity, name) in below {
        match key::at(&name, answers)? {
            AtSelector::NotKnown(trouble) => checks.unknown(&DKIM_STRICT, &name, &trouble),
            AtSelector::Keys(keys) if keys.iter().any(KeyRecord::is_strict) => {
                let evidence =
                    format!("`t=s` at the key, and {} messages signed with `i=@{identity}`", seen.messages);
                checks.find(Finding::new(&DKIM_STRICT, &name, evidence));
            }
            _ => checks.pass(&DKIM_STRICT, &name),
        }
    }
    Ok(checks)
}

/// Keys that the own history has known for long.
fn age(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let Ok(parent) = facts.domain.below("_domainkey") else { return Ok(checks) };
    let is_key = |name: &Name| name.is_within(&parent) && *name != parent;
    let known: Vec<_> = facts.known.iter().filter(|known| is_key(&known.name)).collect();
    answers.need(known.iter().map(|known| Question::new(known.name.clone(), RecordType::Txt)))?;
    if known.is_empty() {
        checks.skip(&DKIM_AGE, &facts.domain, "no key is in the history");
    }
    for known in known {
        let answer = answers.get(&known.name, RecordType::Txt)?;
        if let Some(trouble) = answer.trouble() {
            checks.unknown(&DKIM_AGE, &known.name, trouble);
            continue;
        }
        // A revoked key may stand for ever; one that changed since is young.
        let AtSelector::Keys(keys) = key::at(&known.name, answers)? else { continue };
        let is_live = keys.iter().any(|key| !matches!(key.material, Material::Revoked | Material::None));
        let days = facts.now.ms().saturating_sub(known.since.ms()) / DAY;
        if is_live && known.is_still(answer) && days > OLD_DAYS {
            let evidence = format!("the same since at least {} ({days} days)", known.since.day().iso());
            checks.find(Finding::new(&DKIM_AGE, &known.name, evidence));
        } else {
            checks.pass(&DKIM_AGE, &known.name);
        }
    }
    Ok(checks)
}

/// Whether any signature speaks for the domain of From.
fn align(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let domain = &facts.domain;
    let Some(reported) = &facts.reported else {
        checks.skip(&DKIM_ALIGN, domain, "no report about the domain is stored");
        return Ok(checks);
    };
    let signed = reported.sum(|mail| mail.dkim_aligned);
    // Mail that SPF proves to be the domain's; of the rest nobody knows whose it is.
    let proven = reported.sum(|mail| mail.spf_aligned);
    if signed > 0 {
        checks.pass(&DKIM_ALIGN, domain);
        return Ok(checks);
    }
    if proven < FEW {
        let detail = format!("{proven} messages that are proven to be the domain's are reported");
        checks.unknown_for(&DKIM_ALIGN, domain, "few-reports", &detail);
        return Ok(checks);
    }
    let discovery = dmarc::discover(domain, answers)?;
    let rejects = discovery.policy_record().is_some_and(|(owner, record)| {
        let own = record.p.policy();
        let policy = if owner == domain { own } else { record.sp.policy().or(own) };
        record.force() == Force::AsPublished && policy == Some(Policy::Reject) && !record.is_testing
    });
    let finding = Finding::new(&DKIM_ALIGN, domain, evidence(reported, proven));
    checks.find(if rejects { finding.severity(Severity::Error) } else { finding });
    Ok(checks)
}

/// What was seen in place of aligned signatures.
fn evidence(reported: &Reported, proven: u64) -> String {
    let others = reported.sums_by(|mail| {
        let (name, _) = mail.dkim.iter().find(|(_, passes)| *passes)?;
        mail.spf_aligned.then(|| name.clone())
    });
    let whole = reported.messages();
    match others.first() {
        Some((name, messages)) => {
            format!("{} have no aligned signature; {messages} are signed by {name}", share(proven, whole))
        }
        None => format!("{} have no signature that verifies", share(proven, whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::dns_health::reported::{KnownRecords, ReportedMail};
    use crate::dns_health::sample::{Zone, facts, mail, name, reported, short as lines, troubles};

    const ZONE: &str = "
s1._domainkey.x.example TXT \"v=DKIM1; t=s; p=MCowBQ\"
s2._domainkey.x.example TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"
s3._domainkey.x.example TXT \"v=DKIM1; p=\"
;! dark._domainkey.x.example TXT timeout
_dmarc.x.example TXT \"v=DMARC1; p=reject\"
_dmarc.y.example TXT \"v=DMARC1; p=none\"
;! _dmarc.dark.example TXT servfail
";

    /// A signature in order.
    fn seen(selector: &str) -> SeenSignature {
        SeenSignature {
            selector: selector.to_owned(),
            domain: name("x.example"),
            identity: None,
            algorithm: "rsa-sha256".to_owned(),
            has_length: false,
            is_oversigned: true,
            unsigned: Vec::new(),
            lifetime: None,
            messages: 3,
        }
    }

    /// Every check of a domain with these facts, in short.
    fn checked(domain: &str, change: impl FnOnce(&mut Facts)) -> Checks {
        let mut facts = facts(domain);
        change(&mut facts);
        Zone::parse(ZONE).settle(|answers| check(&facts, answers)).0
    }

    #[test]
    fn what_nobody_saw_is_no_finding() {
        assert_eq!(lines(&checked("x.example", |_| {})), [""; 0]);
        let few = checked("x.example", |facts| facts.reported = Some(reported("x.example", Vec::new())));
        assert_eq!(lines(&few), ["DKIM-ALIGN not-known x.example"]);
    }

    #[test]
    fn what_signatures_cover() {
        let of = |change: fn(&mut SeenSignature)| {
            let mut signature = seen("s2");
            change(&mut signature);
            let checks = checked("x.example", |facts| facts.signatures = vec![signature]);
            troubles(&checks)
        };
        let note = "DKIM-SIG-H note s2._domainkey.x.example";
        assert_eq!(of(|_| {}), [""; 0]);
        assert_eq!(of(|seen| seen.has_length = true), ["DKIM-SIG-L error s2._domainkey.x.example"]);
        assert_eq!(of(|seen| seen.is_oversigned = false), [note]);
        assert_eq!(of(|seen| seen.unsigned.push("subject".to_owned())), [note]);
        assert_eq!(of(|seen| seen.lifetime = Some(3_600)), [note]);
        assert_eq!(of(|seen| seen.lifetime = Some(7 * 86_400)), [""; 0]);
        // Signatures of others are theirs.
        assert_eq!(of(|seen| (seen.domain, seen.has_length) = (name("vendor.example"), true)), [""; 0]);
    }

    #[test]
    fn keys_for_the_domain_alone() {
        let of = |selector: &str, identity: &str| {
            let signature = SeenSignature { identity: Some(name(identity)), ..seen(selector) };
            let checks = checked("x.example", |facts| facts.signatures = vec![signature]);
            lines(&checks).into_iter().filter(|line| line.starts_with("DKIM-STRICT")).collect::<Vec<_>>()
        };
        assert_eq!(of("s1", "sub.x.example"), ["DKIM-STRICT error s1._domainkey.x.example"]);
        assert_eq!(of("s1", "x.example"), [""; 0]);
        assert_eq!(of("s2", "sub.x.example"), ["DKIM-STRICT ok s2._domainkey.x.example"]);
        assert_eq!(of("dark", "sub.x.example"), ["DKIM-STRICT not-known dark._domainkey.x.example"]);
    }

    #[test]
    fn keys_grow_old() {
        let of = |selector: &str, text: &str, days: i64| {
            let checks = checked("x.example", |facts| {
                facts.known = vec![KnownRecords {
                    name: name(&format!("{selector}._domainkey.x.example")),
                    records: vec![format!("\"{text}\"")],
                    since: Timestamp::from_ms(facts.now.ms() - days * DAY),
                }];
            });
            lines(&checks)
        };
        let key = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        assert_eq!(of("s2", key, 400), ["DKIM-AGE note s2._domainkey.x.example"]);
        assert_eq!(of("s2", key, 300), ["DKIM-AGE ok s2._domainkey.x.example"]);
        assert_eq!(of("s2", "v=DKIM1; p=another", 400), ["DKIM-AGE ok s2._domainkey.x.example"]);
        assert_eq!(of("s3", "v=DKIM1; p=", 400), ["DKIM-AGE ok s3._domainkey.x.example"]);
        assert_eq!(of("dark", key, 400), ["DKIM-AGE not-known dark._domainkey.x.example"]);
        assert_eq!(of("gone", key, 400), [""; 0]);
    }

    #[test]
    fn signatures_that_never_align() {
        let of = |domain: &str, all: Vec<ReportedMail>| {
            let checks = checked(domain, |facts| facts.reported = Some(reported(domain, all)));
            lines(&checks)
        };
        let unsigned = |domain: &str, messages| ReportedMail {
            dkim: vec![(name("vendor.example"), true)],
            ..mail("192.0.2.1", domain, "pass", messages)
        };
        assert_eq!(of("x.example", vec![unsigned("x.example", 90)]), ["DKIM-ALIGN error x.example"]);
        assert_eq!(of("y.example", vec![unsigned("y.example", 90)]), ["DKIM-ALIGN warning y.example"]);
        assert_eq!(
            of("dark.example", vec![unsigned("dark.example", 90)]),
            ["DKIM-ALIGN warning dark.example"]
        );
        let signed = ReportedMail { dkim_aligned: true, ..unsigned("x.example", 1) };
        assert_eq!(of("x.example", vec![unsigned("x.example", 90), signed]), ["DKIM-ALIGN ok x.example"]);
        // Mail that nothing proves to be the domain's may be anybody's.
        let forged = mail("192.0.2.9", "x.example", "fail", 900);
        assert_eq!(of("x.example", vec![forged]), ["DKIM-ALIGN not-known x.example"]);
    }
}
