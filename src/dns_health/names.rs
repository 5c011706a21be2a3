//! Names that mail records lead to or hide behind: aliases, wildcards, names that anybody may register.

use std::collections::BTreeMap;

use crate::authentication::dmarc::organizational_by_suffix;
use crate::dns::{Answer, Answers, Ask, Cause, Name, Outcome, RecordData, RecordType};
use crate::dns_health::class::spf_texts;
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::mx;
use crate::limits;

codes! {
    DNS_CNAME_TXT = "DNS-CNAME-TXT", Error, "RFC 1034 §3.6.2", "a mail record stands beside an alias of the same name: resolvers see one or the other", "keep one of the two";
    DNS_CNAME_CHAIN = "DNS-CNAME-CHAIN", Warning, "RFC 1034 §3.6.2", "a mail record is behind a chain of aliases, a loop, or an alias to nothing", "let the first name lead to the last one at once, or remove the alias";
    DNS_WILDCARD = "DNS-WILDCARD", Warning, "RFC 4592 §2.1", "a wildcard answers for names that nobody published: that a record is there proves nothing", "remove the wildcard, or publish the records that are meant";
    DNS_ORPHAN = "DNS-ORPHAN", Critical, "RFC 7489 §12.5", "a mail record leads to a domain that is not registered: whoever registers it gets the mail, may send as you, or reads your reports", "remove the reference now, or register the domain";
    DNS_TXT_SIZE = "DNS-TXT-SIZE", Note, "RFC 7208 §3.4, RFC 6891 §6.2.5", "the text records of the domain together are too large for one packet of UDP", "remove tokens of services that verified the domain once";
}

/// The text records that mail depends on, below the domain.
const MAIL_TEXTS: [&str; 4] = ["", "_dmarc", "_mta-sts", "_smtp._tls"];

/// The names of the domain's mail text records.
fn mail_texts(domain: &Name) -> Vec<Name> {
    let below = |front: &&str| if front.is_empty() { Some(domain.clone()) } else { domain.below(front).ok() };
    MAIL_TEXTS.iter().filter_map(below).collect()
}

/// Checks names.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    for part in [aliases, wildcards, orphans, size] {
        if let Some(part) = look_ups.take(part(facts, answers)) {
            checks.all.extend(part.all);
        }
    }
    look_ups.done()?;
    Ok(checks)
}

/// Aliases in front of or beside mail records.
fn aliases(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let mut found = Vec::new();
    for name in mail_texts(&facts.domain) {
        let texts = look_ups.get(&name, RecordType::Txt);
        let alias = look_ups.get(&name, RecordType::Cname);
        if let (Some(texts), Some(alias)) = (texts, alias) {
            found.push((name, texts, alias));
        }
    }
    look_ups.done()?;
    for (name, texts, alias) in found {
        let target = alias.names().next();
        match target {
            Some(target) if !texts.data().is_empty() && texts.aliases.is_empty() => {
                let evidence = format!("text records, and an alias of {target}");
                checks.find(Finding::new(&DNS_CNAME_TXT, &name, evidence));
            }
            Some(target) if name == facts.domain => {
                let evidence = format!(
                    "the domain itself is an alias of {target}: it can have no MX and no other record"
                );
                checks.find(Finding::new(&DNS_CNAME_TXT, &name, evidence).severity(Severity::Warning));
            }
            _ => match texts.trouble().or(alias.trouble()) {
                Some(trouble) => checks.unknown(&DNS_CNAME_TXT, &name, trouble),
                None => checks.pass(&DNS_CNAME_TXT, &name),
            },
        }
        chain(&mut checks, &name, texts);
    }
    Ok(checks)
}

/// The chain of aliases in front of one record.
fn chain(checks: &mut Checks, name: &Name, answer: &Answer) {
    let way = || {
        let names: Vec<String> = answer.aliases.iter().map(ToString::to_string).collect();
        format!("{name} -> {}", names.join(" -> "))
    };
    let cause = answer.trouble().map(|trouble| trouble.cause);
    if matches!(cause, Some(Cause::AliasLoop | Cause::AliasChain)) {
        let evidence =
            if cause == Some(Cause::AliasLoop) { "aliases in a circle" } else { "a chain without end" };
        checks.find(Finding::new(&DNS_CNAME_CHAIN, name, evidence).severity(Severity::Error));
    } else if answer.aliases.is_empty() {
    } else if answer.outcome == Outcome::NoName {
        let evidence = format!("{}, which does not exist", way());
        checks.find(Finding::new(&DNS_CNAME_CHAIN, name, evidence).severity(Severity::Error));
    } else if answer.aliases.len() > 2 {
        checks.find(Finding::new(&DNS_CNAME_CHAIN, name, way()));
    } else if let Some(trouble) = answer.trouble() {
        checks.unknown(&DNS_CNAME_CHAIN, name, trouble);
    } else {
        checks.pass(&DNS_CNAME_CHAIN, name);
    }
}

/// Names that nobody can have published.
fn wildcards(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let mut found = Vec::new();
    for front in
        [facts.nonce.clone(), format!("{}._domainkey", facts.nonce), format!("_dmarc.{}", facts.nonce)]
    {
        let Ok(name) = facts.domain.below(&front) else { continue };
        if let Some(answer) = look_ups.get(&name, RecordType::Txt) {
            found.push((front, answer));
        }
    }
    look_ups.done()?;
    let mut findings = Vec::new();
    let mut trouble = None;
    for (front, answer) in &found {
        let texts: Vec<String> =
            answer.texts().map(|text| String::from_utf8_lossy(&text).chars().take(120).collect()).collect();
        let Some(first) = texts.first() else {
            trouble = trouble.or(answer.trouble());
            continue;
        };
        let shown = front.replace(&facts.nonce, "*");
        // A wildcard of revoked keys says what a domain without signatures may say.
        let is_revoked = first.starts_with("v=DKIM1") && first.trim_end_matches([' ', ';']).ends_with("p=");
        let severity = if is_revoked { Severity::Info } else { Severity::Warning };
        let subject = format!("{shown}.{}", facts.domain);
        findings.push(
            Finding::new(&DNS_WILDCARD, subject, format!("a made-up name has {first:?}")).severity(severity),
        );
    }
    match trouble {
        Some(trouble) if findings.is_empty() => checks.unknown(&DNS_WILDCARD, &facts.domain, trouble),
        _ => checks.judge(&DNS_WILDCARD, &facts.domain, findings),
    }
    Ok(checks)
}

/// Where the domain's mail records lead, each with which record says so.
fn references(facts: &Facts, answers: &Answers) -> Result<BTreeMap<Name, String>, Ask> {
    let domain = &facts.domain;
    let mut look_ups = LookUps::new(answers);
    let hosts = look_ups.take(mx::hosts(domain, answers)).unwrap_or_default();
    let spf = look_ups.take(spf_texts(domain, answers)).unwrap_or_default();
    let texts: Vec<(Name, Option<&Answer>)> = mail_texts(domain)
        .into_iter()
        .map(|name| {
            let answer = look_ups.get(&name, RecordType::Txt);
            (name, answer)
        })
        .collect();
    look_ups.done()?;
    let mut all: BTreeMap<Name, String> = BTreeMap::new();
    let mut add = |target: &str, why: String| {
        if let Ok(name) = Name::from_dotted(target)
            && name.label_count() > 1
        {
            all.entry(name).or_insert(why);
        }
    };
    for host in &hosts {
        add(host.as_str(), "an MX record".to_owned());
    }
    for record in spf {
        let text = String::from_utf8_lossy(&record).to_ascii_lowercase();
        for term in text.split(' ').map(|term| term.trim_start_matches(['+', '-', '~', '?'])) {
            let target = ["include:", "redirect=", "a:", "mx:", "exists:"]
                .iter()
                .find_map(|start| term.strip_prefix(start));
            let target = target.map(|target| target.split('/').next().unwrap_or_default());
            if let Some(target) = target.filter(|target| !target.contains('%')) {
                add(target, format!("SPF: {term}"));
            }
        }
    }
    for (name, answer) in texts {
        let Some(answer) = answer else { continue };
        for alias in &answer.aliases {
            add(alias.as_str(), format!("the alias {name}"));
        }
        for text in answer.texts() {
            let text = String::from_utf8_lossy(&text).into_owned();
            let is_policy = text.starts_with("v=DMARC1") || text.starts_with("v=TLSRPTv1");
            for uri in text.split([',', ';', '=']).filter(|_| is_policy) {
                let mailto = uri.trim().strip_prefix("mailto:");
                let host = mailto.and_then(|address| address.rsplit('@').next());
                if let Some(host) = host {
                    add(host.split(['!', '?']).next().unwrap_or_default(), format!("{name}: {}", uri.trim()));
                }
            }
        }
    }
    Ok(all.into_iter().take(limits::HEALTH_REFERENCES).collect())
}

/// References to domains that anybody may register.
fn orphans(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let own = organizational_by_suffix(&facts.domain);
    let mut of_registered: BTreeMap<Name, String> = BTreeMap::new();
    for (target, why) in references(facts, answers)? {
        let registered = organizational_by_suffix(&target);
        if registered != own {
            of_registered.entry(registered).or_insert_with(|| format!("{why} (-> {target})"));
        }
    }
    let mut look_ups = LookUps::new(answers);
    let mut found = Vec::new();
    for (registered, why) in &of_registered {
        if let Some(answer) = look_ups.get(registered, RecordType::Ns) {
            found.push((registered, why, answer));
        }
    }
    look_ups.done()?;
    let mut findings = Vec::new();
    let mut trouble = None;
    for (registered, why, answer) in found {
        trouble = trouble.or(answer.trouble());
        if answer.outcome == Outcome::NoName {
            let evidence = format!("{registered} does not exist; it is named by {why}");
            findings.push(Finding::new(&DNS_ORPHAN, registered, evidence));
        }
    }
    match trouble {
        Some(trouble) if findings.is_empty() => checks.unknown(&DNS_ORPHAN, &facts.domain, trouble),
        _ => checks.judge(&DNS_ORPHAN, &facts.domain, findings),
    }
    Ok(checks)
}

/// Octets of the answer with all text records of a name: header, question and EDNS, then each record with its
/// name compressed (RFC 1035 §4.1).
fn answer_octets(name: &Name, answer: &Answer) -> usize {
    let records = answer.data().iter().map(|data| match data {
        RecordData::Txt(strings) => 12 + strings.iter().map(|string| 1 + string.len()).sum::<usize>(),
        _ => 0,
    });
    12 + name.as_str().len() + 2 + 4 + 11 + records.sum::<usize>()
}

/// The size of all text records of the domain.
fn size(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let answer = answers.get(domain, RecordType::Txt)?;
    if let Some(trouble) = answer.trouble() {
        checks.unknown(&DNS_TXT_SIZE, domain, trouble);
        return Ok(checks);
    }
    let octets = answer_octets(domain, answer);
    let severity = match octets {
        0..=512 => {
            checks.pass(&DNS_TXT_SIZE, domain);
            return Ok(checks);
        }
        513..=1232 => Severity::Note,
        1233..=4096 => Severity::Warning,
        _ => Severity::Error,
    };
    let mut others: Vec<String> = answer
        .texts()
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .filter(|text| !text.starts_with("v=spf1"))
        .map(|text| text.chars().take(40).collect())
        .collect();
    others.sort();
    let evidence =
        format!("{octets} octets in {} records; besides SPF: {}", answer.data().len(), others.join(" / "));
    checks.find(Finding::new(&DNS_TXT_SIZE, domain, evidence).severity(severity));
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{Zone, facts, fixture, name, troubles};

    #[test]
    fn names_in_order_wrong_and_not_known() {
        let zone = fixture!("names.zone");
        for (domain, want) in [
            ("good.example", vec![]),
            ("both.example", vec!["DNS-CNAME-TXT error _dmarc.both.example"]),
            ("apex.example", vec!["DNS-CNAME-TXT warning apex.example"]),
            ("chain.example", vec!["DNS-CNAME-CHAIN warning _dmarc.chain.example"]),
            ("dead.example", vec!["DNS-CNAME-CHAIN error _dmarc.dead.example"]),
            (
                "loop.example",
                vec![
                    "DNS-CNAME-CHAIN error _dmarc.loop.example",
                    "DNS-CNAME-TXT not-known _dmarc.loop.example",
                ],
            ),
            (
                "wild.example",
                vec![
                    "DNS-WILDCARD info *._domainkey.wild.example",
                    "DNS-WILDCARD warning *.wild.example",
                    "DNS-WILDCARD warning _dmarc.*.wild.example",
                ],
            ),
            (
                "orphan.example",
                vec![
                    "DNS-ORPHAN critical gone-include.test",
                    "DNS-ORPHAN critical gone-mx.test",
                    "DNS-ORPHAN critical gone-rua.test",
                ],
            ),
            (
                "silent.example",
                vec!["DNS-CNAME-TXT not-known silent.example", "DNS-TXT-SIZE not-known silent.example"],
            ),
        ] {
            let facts = facts(domain);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{domain}");
        }
    }

    #[test]
    fn text_records_have_the_size_of_their_answer() {
        for (texts, want) in [(1, None), (4, Some("note")), (9, Some("warning")), (30, Some("error"))] {
            let line = format!("big.example. TXT \"{}\"\n", "x".repeat(180));
            let zone = Zone::parse(&line.repeat(texts));
            let facts = facts("big.example");
            let (checks, _) = zone.settle(|answers| size(&facts, answers));
            let got = checks.findings().next().map(|finding| finding.severity.as_str());
            assert_eq!(got, want, "{texts}");
        }
        let (octets, _) = Zone::parse("big.example. TXT \"abc\" \"de\"").settle(|answers| {
            Ok(answer_octets(&name("big.example"), answers.get(&name("big.example"), RecordType::Txt)?))
        });
        // Header 12, question 13 + 4, record 12 + 4 + 3, EDNS 11.
        assert_eq!(octets, 59);
    }
}
