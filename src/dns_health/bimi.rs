//! BIMI: the record at `default._bimi`, and whether DMARC is strict enough for it. Nothing is fetched.

use crate::authentication::dmarc::{Policy, discover};
use crate::dns::{Answers, Ask, RecordType};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::look_ups::LookUps;

codes! {
    BIMI_SYNTAX = "BIMI-SYNTAX", Note, "draft-brand-indicators-for-message-identification §4.3", "the BIMI record cannot be used", "publish one record: `v=BIMI1; l=https://…svg; a=https://…pem`";
    BIMI_DMARC = "BIMI-DMARC", Note, "draft-brand-indicators-for-message-identification §7.1", "a BIMI record, and DMARC does not ask for quarantine or reject: no logo is shown", "raise the DMARC policy first";
    BIMI_CERT = "BIMI-CERT", Info, "draft-brand-indicators-for-message-identification §4.3.1", "a BIMI record without a mark certificate: most receivers show no logo", "add `a=` with the certificate's address, if you want the logo there";
}

/// Checks BIMI; a domain without a record has nothing wrong.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let Ok(name) = domain.below("default._bimi") else { return Ok(checks) };
    let mut look_ups = LookUps::new(answers);
    let answer = look_ups.get(&name, RecordType::Txt);
    let walk = look_ups.take(discover(domain, answers));
    look_ups.done()?;
    let (Some(answer), Some(walk)) = (answer, walk) else { return Ok(checks) };
    if let Some(trouble) = answer.trouble() {
        checks.unknown(&BIMI_SYNTAX, &name, trouble);
        return Ok(checks);
    }
    let texts: Vec<String> = answer.texts().map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
    let records: Vec<&String> = texts.iter().filter(|text| text.starts_with("v=BIMI1")).collect();
    let Some(record) = records.first() else {
        checks.skip(&BIMI_SYNTAX, &name, "no record");
        return Ok(checks);
    };
    let mut faults = Vec::new();
    if records.len() > 1 {
        faults.push(Finding::new(&BIMI_SYNTAX, &name, format!("{} records", records.len())));
    }
    let tag = |wanted: &str| {
        record
            .split(';')
            .filter_map(|part| part.split_once('='))
            .find(|(tag, _)| tag.trim() == wanted)
            .map(|(_, value)| value.trim().to_owned())
    };
    let (place, certificate) = (tag("l"), tag("a").unwrap_or_default());
    match &place {
        None => faults.push(Finding::new(&BIMI_SYNTAX, &name, "no `l=`")),
        Some(place) if !place.is_empty() && !place.starts_with("https://") => {
            faults.push(Finding::new(&BIMI_SYNTAX, &name, format!("l={place:?} is no https: address")));
        }
        Some(_) => {}
    }
    if !certificate.is_empty() && !certificate.starts_with("https://") {
        faults.push(Finding::new(&BIMI_SYNTAX, &name, format!("a={certificate:?} is no https: address")));
    }
    checks.judge(&BIMI_SYNTAX, &name, faults);
    if place.is_some_and(|place| place.is_empty()) && certificate.is_empty() {
        checks.skip(&BIMI_DMARC, &name, "the record says that no logo is wanted");
        return Ok(checks);
    }
    if certificate.is_empty() {
        checks.find(Finding::new(&BIMI_CERT, &name, "no `a=`"));
    } else {
        checks.pass(&BIMI_CERT, &name);
    }
    if let Some((place, trouble)) = walk.trouble() {
        checks.unknown(&BIMI_DMARC, place, trouble);
        return Ok(checks);
    }
    let policy = walk.policy_record().and_then(|(place, record)| {
        let wish = if place == domain { record.p.policy() } else { record.sp.policy().or(record.p.policy()) };
        wish.map(|policy| if record.is_testing { policy.milder() } else { policy })
    });
    match policy {
        Some(Policy::Quarantine | Policy::Reject) => checks.pass(&BIMI_DMARC, &name),
        Some(policy) => {
            let evidence = format!("the DMARC policy is {}", policy.as_str());
            checks.find(Finding::new(&BIMI_DMARC, &name, evidence).severity(Severity::Note));
        }
        None => checks.find(Finding::new(&BIMI_DMARC, &name, "no DMARC policy")),
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{Zone, facts, troubles};

    #[test]
    fn records_in_order_wrong_and_not_known() {
        let good = "v=BIMI1\\; l=https://x.example/logo.svg\\; a=https://x.example/vmc.pem";
        for (record, policy, want) in [
            (good, "reject", vec![]),
            (good, "none", vec!["BIMI-DMARC note default._bimi.x.example"]),
            ("v=BIMI1\\; l=\\; a=", "none", vec![]),
            (
                "v=BIMI1\\; l=https://x.example/logo.svg",
                "quarantine",
                vec!["BIMI-CERT info default._bimi.x.example"],
            ),
            (
                "v=BIMI1\\; l=http://x.example/logo.svg\\; a=https://x.example/vmc.pem",
                "quarantine",
                vec!["BIMI-SYNTAX note default._bimi.x.example"],
            ),
            ("something else", "none", vec![]),
        ] {
            let zone = Zone::parse(&format!(
                "default._bimi.x.example. TXT \"{record}\"\n_dmarc.x.example. TXT \"v=DMARC1\\; p={policy}\""
            ));
            let facts = facts("x.example");
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{record} {policy}");
        }
        let silent = Zone::parse(";! default._bimi.x.example. TXT servfail");
        let facts = facts("x.example");
        let (checks, _) = silent.settle(|answers| check(&facts, answers));
        assert_eq!(troubles(&checks), ["BIMI-SYNTAX not-known default._bimi.x.example"]);
    }
}
