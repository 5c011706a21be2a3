//! Domains without mail: do they say so to everybody, so that nobody can send in their name?

use crate::authentication::dmarc::{Policy, Record};
use crate::dns::{Answers, Ask, RecordType};
use crate::dns_health::class::{Class, class_of, is_locked, spf_texts};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, RecordToPublish, codes};
use crate::dns_health::look_ups::LookUps;

codes! {
    PARKED = "PARKED", Error, "RFC 7505 §3, RFC 7208 §10.1.2, RFC 9989 §5.1", "a domain without mail that does not say so in full: it can be forged", "publish the whole set: null MX, `v=spf1 -all`, DMARC with p=reject";
}

/// Checks the set of a domain without mail.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let Ok(dmarc_name) = domain.below("_dmarc") else { return Ok(checks) };
    let mut look_ups = LookUps::new(answers);
    let class = look_ups.take(class_of(facts, answers)).flatten();
    let spf = look_ups.take(spf_texts(domain, answers)).unwrap_or_default();
    let mx = look_ups.get(domain, RecordType::Mx);
    let dmarc = look_ups.get(&dmarc_name, RecordType::Txt);
    look_ups.done()?;
    let (Some(mx), Some(dmarc)) = (mx, dmarc) else { return Ok(checks) };
    if class != Some(Class::Parked) {
        checks.skip(&PARKED, domain, "the domain has mail, or that is not known");
        return Ok(checks);
    }
    let mut found = Vec::new();
    if !matches!(spf.as_slice(), [only] if is_locked(only)) {
        let old = spf.iter().map(|text| format!("{:?}", String::from_utf8_lossy(text)));
        let record = RecordToPublish::text(domain.clone(), "v=spf1 -all").replaces(old);
        found.push(Finding::new(&PARKED, domain, "SPF does not refuse every sender").publish(record));
    }
    if mx.is_void() {
        let record = RecordToPublish::new(domain.clone(), RecordType::Mx, "0 .");
        found.push(Finding::new(&PARKED, domain, "no null MX").publish(record));
    }
    if let Some(trouble) = dmarc.trouble() {
        checks.unknown(&PARKED, &dmarc_name, trouble);
    } else {
        let records: Vec<Record> = dmarc.texts().filter_map(|text| Record::parse(&text)).collect();
        let is_strict = matches!(records.as_slice(), [only] if only.p.policy() == Some(Policy::Reject) && !only.is_testing);
        if !is_strict {
            // Whoever gets reports now goes on getting them.
            let rua = records.iter().flat_map(|record| record.rua.iter().map(|uri| uri.text.clone()));
            let rua: Vec<String> = rua.collect();
            let reports = if rua.is_empty() { String::new() } else { format!("; rua={}", rua.join(",")) };
            let text = format!("v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s{reports}");
            let old = records.iter().map(|record| format!("{:?}", record.text));
            let record = RecordToPublish::text(dmarc_name.clone(), &text).replaces(old);
            found.push(Finding::new(&PARKED, &dmarc_name, "DMARC does not ask for p=reject").publish(record));
        }
    }
    checks.judge(&PARKED, domain, found);
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{Zone, facts, troubles};

    #[test]
    fn the_whole_set_is_asked_for_and_given() {
        let full = "p.example. MX 0 .\np.example. TXT \"v=spf1 -all\"\n";
        let strict = "_dmarc.p.example. TXT \"v=DMARC1\\; p=reject\"\n";
        for (zone, want) in [
            (format!("{full}{strict}"), vec![]),
            (full.to_owned(), vec!["v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s"]),
            (
                format!("{full}_dmarc.p.example. TXT \"v=DMARC1\\; p=none\\; rua=mailto:a@r.example\"\n"),
                vec!["v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s; rua=mailto:a@r.example"],
            ),
            (format!("p.example. TXT \"v=spf1 -all\"\n{strict}"), vec!["0 ."]),
            (format!("p.example. MX 0 .\n{strict}"), vec!["v=spf1 -all"]),
        ] {
            let facts = facts("p.example");
            let (checks, _) = Zone::parse(&zone).settle(|answers| check(&facts, answers));
            let values: Vec<String> = checks
                .findings()
                .filter_map(|finding| Some(finding.publish.as_ref()?.value.trim_matches('"').to_owned()))
                .collect();
            assert_eq!(values, want, "{zone}");
        }
        let silent = Zone::parse(&format!("{full};! _dmarc.p.example. TXT servfail"));
        let facts = facts("p.example");
        let (checks, _) = silent.settle(|answers| check(&facts, answers));
        assert!(troubles(&checks).contains(&"PARKED not-known _dmarc.p.example".to_owned()));
    }
}
