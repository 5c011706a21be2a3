//! CAA: which certificate authorities may issue for the domain and its hosts (RFC 8659).

use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::dns::{Answer, Answers, Ask, Caa, Name, RecordData, RecordType};
use crate::dns_health::facts::{Facts, StartTls};
use crate::dns_health::finding::{Checks, Finding, codes};
use crate::dns_health::look_ups::LookUps;

codes! {
    CAA_NONE = "CAA-NONE", Info, "RFC 8659 §3", "no CAA record: every public authority may issue certificates for the domain", "publish `0 issue \"authority\"` for the authorities in use";
    CAA_CRITICAL = "CAA-CRITICAL", Warning, "RFC 8659 §4.1", "a critical property that authorities may not know: they must then refuse to issue", "remove the record, or its critical flag";
    CAA_BLOCKS = "CAA-BLOCKS", Warning, "RFC 8659 §4.2", "the certificate in use is from an authority that CAA does not allow: it cannot be renewed there", "add the authority to the CAA records, or change the authority";
}

/// Authorities by a word in the issuer's organization, with the names that stand in CAA records.
const AUTHORITIES: [(&str, &[&str]); 8] = [
    ("Let's Encrypt", &["letsencrypt.org"]),
    ("Google Trust Services", &["pki.goog"]),
    ("DigiCert", &["digicert.com", "symantec.com", "geotrust.com", "rapidssl.com", "thawte.com"]),
    ("Sectigo", &["sectigo.com", "comodoca.com", "comodo.com", "usertrust.com"]),
    ("ZeroSSL", &["sectigo.com", "zerossl.com"]),
    ("GlobalSign", &["globalsign.com"]),
    ("Buypass", &["buypass.com", "buypass.no"]),
    ("Amazon", &["amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"]),
];

/// The CAA records of an answer.
fn records(answer: &Answer) -> Vec<&Caa> {
    let caa = answer.data().iter().filter_map(|data| match data {
        RecordData::Caa(caa) => Some(caa),
        _ => None,
    });
    caa.collect()
}

/// The set that counts for a name: that of the nearest name at or above it (RFC 8659 §3); nothing where one of
/// them is not known. Errors: what to ask.
fn relevant<'a>(name: &Name, answers: &'a Answers) -> Result<Option<Vec<&'a Caa>>, Ask> {
    let mut look_ups = LookUps::new(answers);
    let mut sets = Vec::new();
    for labels in (2..=name.label_count()).rev() {
        sets.push(look_ups.get(&name.last_labels(labels), RecordType::Caa));
    }
    look_ups.done()?;
    for answer in sets.into_iter().flatten() {
        if answer.trouble().is_some() {
            return Ok(None);
        }
        let records = records(answer);
        if !records.is_empty() {
            return Ok(Some(records));
        }
    }
    Ok(Some(Vec::new()))
}

/// Checks CAA.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let own = look_ups.take(relevant(domain, answers));
    let mut served = Vec::new();
    for ((host, address), dialogue) in &facts.dialogues {
        let Ok(spoken) = &dialogue.outcome else { continue };
        let StartTls::Done(seen) = &spoken.tls else { continue };
        if let (Some(set), Some(der)) = (look_ups.take(relevant(host, answers)), seen.chain.first()) {
            served.push((host, address, set, der));
        }
    }
    look_ups.done()?;
    match own.flatten() {
        None => {
            checks.unknown_for(&CAA_NONE, domain, "dns", "a CAA record at or above the domain is not known");
        }
        Some(set) if set.is_empty() => {
            checks.find(Finding::new(&CAA_NONE, domain, "no record at or above it"));
        }
        Some(set) => {
            checks.pass(&CAA_NONE, domain);
            let known =
                ["issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"];
            let strange = set.iter().filter(|caa| caa.is_critical && !known.contains(&caa.tag.as_str()));
            let found =
                strange.map(|caa| Finding::new(&CAA_CRITICAL, domain, format!("property `{}`", caa.tag)));
            checks.judge(&CAA_CRITICAL, domain, found.collect());
        }
    }
    for (host, address, set, der) in served {
        let subject = format!("{host} ({address})");
        let issuer = issuer(der);
        let authority =
            AUTHORITIES.iter().find(|(word, _)| issuer.as_ref().is_some_and(|issuer| issuer.contains(word)));
        let (Some(set), Some((word, names))) = (set, authority) else {
            checks.skip(&CAA_BLOCKS, subject, "the authority or the CAA records are not known");
            continue;
        };
        let allowed: Vec<String> =
            set.iter().filter(|caa| caa.tag == "issue").map(|caa| allowed(caa)).collect();
        if allowed.is_empty() || allowed.iter().any(|name| names.contains(&name.as_str())) {
            checks.pass(&CAA_BLOCKS, subject);
        } else {
            let evidence = format!("the certificate is from {word}; allowed: {}", allowed.join(", "));
            checks.find(Finding::new(&CAA_BLOCKS, subject, evidence));
        }
    }
    Ok(checks)
}

/// The authority that a property allows; empty: none.
fn allowed(caa: &Caa) -> String {
    let value = String::from_utf8_lossy(&caa.value);
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The organization that issued a certificate.
fn issuer(der: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let organization = parsed.issuer().iter_organization().next()?;
    organization.as_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::facts::{Dialogue, Spoken, TlsSeen};
    use crate::dns_health::sample::{facts, fixture, name, troubles};
    use crate::tls_client::Verification;

    #[test]
    fn records_in_order_wrong_and_not_known() {
        let zone = fixture!("transport.zone");
        for (domain, want) in [
            ("good.example", vec![]),
            ("sub.good.example", vec![]),
            ("nocaa.example", vec!["CAA-NONE info nocaa.example"]),
            ("strict.example", vec!["CAA-CRITICAL warning strict.example"]),
            ("silentcaa.example", vec!["CAA-NONE not-known silentcaa.example"]),
        ] {
            let facts = facts(domain);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{domain}");
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_renewed_is_told() {
        for (organization, want) in [("Let's Encrypt", 0), ("DigiCert Inc", 1), ("Somebody", 0)] {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["mx.good.example".to_owned()]).unwrap();
            params.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
            let chain = vec![params.self_signed(&key).unwrap().der().to_vec()];
            let seen = TlsSeen {
                version: String::new(),
                cipher: String::new(),
                chain,
                verification: Verification::NotChecked,
                extensions: Vec::new(),
            };
            let spoken =
                Spoken { greeting: String::new(), extensions: Vec::new(), tls: StartTls::Done(seen) };
            let mut facts = facts("good.example");
            let key = (name("mx.good.example"), "198.50.1.1".parse().unwrap());
            facts.dialogues.insert(key, Dialogue { outcome: Ok(spoken) });
            let (checks, _) = fixture!("transport.zone").settle(|answers| check(&facts, answers));
            let found = checks.findings().filter(|finding| finding.code == &CAA_BLOCKS).count();
            assert_eq!(found, want, "{organization}");
        }
    }
}
