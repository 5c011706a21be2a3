//! DANE: TLSA records of the MX hosts, and whether the served certificates match them (RFC 7672).

use ring::digest;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::clock::Timestamp;
use crate::dns::{Answer, Answers, Ask, Cause, Name, RecordData, RecordType, Security, Tlsa};
use crate::dns_health::facts::{Facts, StartTls};
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::mx;
use crate::limits;
use crate::tls_client::{CertificateFault, verify_by_authority};

codes! {
    DANE_NONE = "DANE-NONE", Note, "RFC 7672 §2.2", "the zone is signed, and an MX host has no TLSA record: DANE would cost one record", "publish `_25._tcp.` and the host with a TLSA record `3 1 1` of its public key";
    DANE_INSECURE = "DANE-INSECURE", Warning, "RFC 7672 §2.1.1, §2.2", "TLSA records without DNSSEC: senders ignore them", "sign the zones of the domain and of the MX host, or remove the records";
    MX_DNSSEC = "MX-DNSSEC", Note, "RFC 7672 §2.2", "the MX records are signed, the addresses of a host are not: DANE cannot be used for it", "ask who runs the host to sign its zone";
    DANE_TLSA_FAIL = "DANE-TLSA-FAIL", Critical, "RFC 7672 §2.1.2, §2.2", "the question for TLSA records fails in a signed zone: senders with DANE hold all mail back", "repair the name servers: they must answer questions for TLSA, also with absence";
    DANE_PARAMS = "DANE-PARAMS", Warning, "RFC 7672 §3.1", "a TLSA record of a kind that mail does not use", "use `3 1 1` (public key, SHA-256) or `2 1 1` with the authority's certificate in the chain";
    DANE_MATCH = "DANE-MATCH", Critical, "RFC 7672 §3.2", "no TLSA record matches the certificate that a host serves: senders with DANE deliver nothing", "publish the record of the certificate in use, before the next one is installed";
    DANE_TA_CHAIN = "DANE-TA-CHAIN", Error, "RFC 7672 §3.1.2", "no record of usage 2 names an authority that proves the certificate of the host", "let the host send the authority's certificate as well, and a certificate of its own that the authority issued for it";
}

/// The TLSA records in an answer.
fn records(answer: &Answer) -> Vec<&Tlsa> {
    let tlsa = answer.data().iter().filter_map(|data| match data {
        RecordData::Tlsa(tlsa) => Some(tlsa),
        _ => None,
    });
    tlsa.take(limits::HEALTH_TLSA).collect()
}

/// What is wrong with a record itself.
fn fault(tlsa: &Tlsa) -> Option<(Severity, String)> {
    let kind = format!("{} {} {}", tlsa.usage, tlsa.selector, tlsa.matching);
    let length = match tlsa.matching {
        1 => Some(32),
        2 => Some(64),
        _ => None,
    };
    if tlsa.usage > 3 || tlsa.selector > 1 || tlsa.matching > 2 {
        return Some((Severity::Error, format!("`{kind}`: a number that is not assigned")));
    }
    if let Some(length) = length.filter(|length| *length != tlsa.data.len()) {
        let has = tlsa.data.len();
        return Some((Severity::Error, format!("`{kind}` has {has} octets, its digest has {length}")));
    }
    if tlsa.usage < 2 {
        // RFC 7672 §3.1.3.
        return Some((Severity::Warning, format!("`{kind}`: usages 0 and 1 are not for mail")));
    }
    (tlsa.matching == 0)
        .then(|| (Severity::Warning, format!("`{kind}`: the whole of it instead of a digest")))
}

/// The records in an answer that senders may use (RFC 7672 §3.1), and how many there are in all.
pub fn usable(answer: &Answer) -> (Vec<Tlsa>, usize) {
    let all = records(answer);
    (all.iter().copied().filter(|tlsa| is_usable(tlsa)).cloned().collect(), all.len())
}

/// Proves a server by usable records: one of usage 3 matches its own certificate, or one of usage 2 an authority that
/// issued it for one of these names. `chain`: DER as served, the server's own first. Errors: why none does.
pub fn prove(usable: &[Tlsa], names: &[&str], chain: &[Vec<u8>], now: Timestamp) -> Result<(), String> {
    let own = chain.first().ok_or("the server shows no certificate")?;
    if usable.iter().any(|tlsa| tlsa.usage == 3 && matches(tlsa, own)) {
        return Ok(());
    }
    let mut fault = None;
    for tlsa in usable.iter().filter(|tlsa| tlsa.usage == 2) {
        match authority(tlsa, chain).map(|authority| verify_by_authority(authority, names, chain, now)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(why)) => fault = Some(why),
            None => {}
        }
    }
    let count = usable.len();
    Err(match fault {
        Some(fault) => {
            format!("none of {count} TLSA records matches; of the authority's certificate: {fault}")
        }
        None => format!("none of {count} TLSA records matches"),
    })
}

/// True if senders may use a record (RFC 7672 §3.1).
fn is_usable(tlsa: &Tlsa) -> bool {
    matches!(tlsa.usage, 2 | 3) && fault(tlsa).is_none_or(|(severity, _)| severity < Severity::Error)
}

/// True if a record matches a certificate (RFC 6698 §2.1). `certificate`: DER.
pub fn matches(tlsa: &Tlsa, certificate: &[u8]) -> bool {
    let selected: Vec<u8> = match tlsa.selector {
        0 => certificate.to_vec(),
        1 => match X509Certificate::from_der(certificate) {
            Ok((_, parsed)) => parsed.public_key().raw.to_vec(),
            Err(_) => return false,
        },
        _ => return false,
    };
    match tlsa.matching {
        0 => selected == tlsa.data,
        1 => digest::digest(&digest::SHA256, &selected).as_ref() == tlsa.data.as_slice(),
        2 => digest::digest(&digest::SHA512, &selected).as_ref() == tlsa.data.as_slice(),
        _ => false,
    }
}

/// True if a question failed at their servers. A time-out counts: the host's addresses were answered.
fn is_theirs(cause: Cause) -> bool {
    !matches!(cause, Cause::Budget | Cause::BadName | Cause::Unreachable)
}

/// Checks DANE.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let mx = look_ups.get(domain, RecordType::Mx);
    let mut hosts = Vec::new();
    for host in look_ups.take(mx::hosts(domain, answers)).unwrap_or_default() {
        let Ok(name) = host.below("_25._tcp") else { continue };
        let four = look_ups.get(&host, RecordType::A);
        let six = look_ups.get(&host, RecordType::Aaaa);
        let tlsa = look_ups.get(&name, RecordType::Tlsa);
        if let (Some(four), Some(six), Some(tlsa)) = (four, six, tlsa) {
            hosts.push((host, name, four, six, tlsa));
        }
    }
    look_ups.done()?;
    let Some(mx) = mx else { return Ok(checks) };
    if let Some(trouble) = mx.trouble() {
        for code in CODES {
            checks.unknown(code, domain, trouble);
        }
        return Ok(checks);
    }
    let is_mx_secure = mx.security == Security::Secure;
    for (host, name, four, six, tlsa) in &hosts {
        let with_address = if four.data().is_empty() { six } else { four };
        if with_address.data().is_empty() {
            if let Some(trouble) = four.trouble().or(six.trouble()) {
                for code in CODES {
                    checks.unknown(code, host, trouble);
                }
            }
            continue;
        }
        let is_host_secure = with_address.security == Security::Secure;
        if is_mx_secure && with_address.security == Security::Insecure {
            checks.find(Finding::new(&MX_DNSSEC, host, format!("the zone of {host} is not signed")));
        }
        if let Some(trouble) = tlsa.trouble() {
            // RFC 7672 §2.1.2: only below a signed address does a failed question hold mail back.
            if is_host_secure && is_theirs(trouble.cause) {
                let evidence = format!("{}: {}", trouble.cause.as_str(), trouble.detail);
                checks.find(Finding::new(&DANE_TLSA_FAIL, name, evidence));
            } else {
                checks.unknown(&DANE_TLSA_FAIL, name, trouble);
            }
            for code in [&DANE_NONE, &DANE_INSECURE, &DANE_PARAMS, &DANE_MATCH, &DANE_TA_CHAIN] {
                checks.unknown(code, name, trouble);
            }
            continue;
        }
        checks.pass(&DANE_TLSA_FAIL, name);
        let records = records(tlsa);
        if records.is_empty() {
            if is_host_secure && is_mx_secure {
                checks.find(Finding::new(&DANE_NONE, host, format!("no TLSA record at {name}")));
            } else {
                checks.skip(&DANE_NONE, host, "its zone or the domain's is not signed");
            }
            continue;
        }
        let faults = records.iter().filter_map(|tlsa| fault(tlsa));
        let found = faults.map(|(severity, text)| Finding::new(&DANE_PARAMS, name, text).severity(severity));
        checks.judge(&DANE_PARAMS, name, found.collect());
        match tlsa.security {
            Security::Insecure => {
                checks.find(Finding::new(&DANE_INSECURE, name, "TLSA records in a zone that is not signed"));
            }
            Security::Secure if mx.security == Security::Insecure => {
                let evidence = format!("the MX records of {domain} are not signed");
                checks.find(Finding::new(&DANE_INSECURE, name, evidence).severity(Severity::Note));
            }
            Security::Secure => checks.pass(&DANE_INSECURE, name),
            Security::Bogus | Security::NotKnown => {
                let detail = "the resolver in use does not validate";
                checks.unknown_for(&DANE_INSECURE, name, "not-validated", detail);
            }
        }
        served(&mut checks, facts, host, &records, tlsa.security);
    }
    Ok(checks)
}

/// The certificate of an authority of which a record of usage 2 speaks: sent with the host's own, above it, or the record itself.
fn authority<'a>(tlsa: &'a Tlsa, chain: &'a [Vec<u8>]) -> Option<&'a [u8]> {
    if (tlsa.selector, tlsa.matching) == (0, 0) {
        return Some(&tlsa.data);
    }
    chain.iter().skip(1).map(Vec::as_slice).find(|certificate| matches(tlsa, certificate))
}

/// Compares the records with what each address of the host serves.
fn served(checks: &mut Checks, facts: &Facts, host: &Name, records: &[&Tlsa], security: Security) {
    let usable: Vec<&&Tlsa> = records.iter().filter(|tlsa| is_usable(tlsa)).collect();
    // Where nobody uses the records a mismatch harms nobody yet; whether somebody does is not always known.
    let counts = |severity: Severity| match security {
        Security::Secure => severity,
        Security::Insecure => severity.min(Severity::Note),
        Security::Bogus | Security::NotKnown => severity.min(Severity::Warning),
    };
    for ((_, address), dialogue) in facts.dialogues.iter().filter(|((other, _), _)| other == host) {
        let subject = format!("{host} ({address})");
        // What cannot be compared is not known, of both ways to prove a certificate.
        let has_authorities = usable.iter().any(|tlsa| tlsa.usage == 2);
        let codes = [Some(&DANE_MATCH), has_authorities.then_some(&DANE_TA_CHAIN)];
        let mut unknown = |cause: &str, why: &str| {
            for code in codes.into_iter().flatten() {
                checks.unknown_for(code, &subject, cause, why);
            }
        };
        let chain = match &dialogue.outcome {
            Err(fault) => {
                unknown(fault.as_str(), &fault.to_string());
                continue;
            }
            Ok(spoken) => match &spoken.tls {
                StartTls::Done(seen) => &seen.chain,
                StartTls::NotOffered => {
                    let finding =
                        Finding::new(&DANE_MATCH, &subject, "TLSA records, and STARTTLS is not offered");
                    checks.find(finding.severity(counts(Severity::Critical)));
                    continue;
                }
                StartTls::Refused(why) | StartTls::Failed(why) => {
                    unknown("tls", why);
                    continue;
                }
            },
        };
        let Some(own) = chain.first() else { continue };
        // RFC 7672 §3.2: an authority must have issued the host's certificate, for the host or the domain.
        let names = [host.as_str(), facts.domain.as_str()];
        let proofs: Vec<Option<Result<(), CertificateFault>>> = usable
            .iter()
            .filter(|tlsa| tlsa.usage == 2)
            .map(|tlsa| Some(verify_by_authority(authority(tlsa, chain)?, &names, chain, facts.now)))
            .collect();
        let is_proven = proofs.iter().any(|proof| matches!(proof, Some(Ok(()))));
        let is_matched = is_proven || usable.iter().any(|tlsa| tlsa.usage == 3 && matches(tlsa, own));
        if is_matched {
            checks.pass(&DANE_MATCH, &subject);
        } else if usable.is_empty() {
            checks.skip(&DANE_MATCH, &subject, "no TLSA record that mail uses");
        } else {
            let key = spki_sha256(own).map(|key| format!("; the key served would be `3 1 1 {key}`"));
            let evidence = format!("{} records, none matches{}", usable.len(), key.unwrap_or_default());
            checks.find(Finding::new(&DANE_MATCH, &subject, evidence).severity(counts(Severity::Critical)));
        }
        if is_proven {
            checks.pass(&DANE_TA_CHAIN, &subject);
        } else if !proofs.is_empty() {
            let evidence = match proofs.iter().flatten().find_map(|proof| proof.as_ref().err()) {
                Some(fault) => format!("the authority's is there, and does not prove the host's: {fault}"),
                None => {
                    format!("{} certificates are sent, none above the host's is the authority's", chain.len())
                }
            };
            checks.find(Finding::new(&DANE_TA_CHAIN, &subject, evidence).severity(counts(Severity::Error)));
        }
    }
}

/// The SHA-256 of a certificate's public key, in hexadecimal.
fn spki_sha256(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let hash = digest::digest(&digest::SHA256, parsed.public_key().raw);
    Some(data_encoding::HEXLOWER.encode(hash.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::facts::{Dialogue, DialogueFault, Spoken, TlsSeen};
    use crate::dns_health::sample::{Zone, facts, fixture, name, troubles};
    use crate::tls_client::Verification;

    #[test]
    fn records_in_order_wrong_and_not_known() {
        let zone = fixture!("transport.zone");
        for (domain, want) in [
            ("dane.example", vec![]),
            ("good.example", vec!["DANE-NONE note mx.good.example"]),
            ("unsigned.example", vec!["DANE-INSECURE warning _25._tcp.mx.unsigned.example"]),
            (
                "otherzone.example",
                vec![
                    "DANE-INSECURE warning _25._tcp.mx.unsigned.example",
                    "MX-DNSSEC note mx.unsigned.example",
                ],
            ),
            (
                "baddane.example",
                vec![
                    "DANE-PARAMS error _25._tcp.mx.baddane.example",
                    "DANE-PARAMS warning _25._tcp.mx.baddane.example",
                ],
            ),
            (
                "deferdane.example",
                vec![
                    "DANE-INSECURE not-known _25._tcp.mx.deferdane.example",
                    "DANE-MATCH not-known _25._tcp.mx.deferdane.example",
                    "DANE-NONE not-known _25._tcp.mx.deferdane.example",
                    "DANE-PARAMS not-known _25._tcp.mx.deferdane.example",
                    "DANE-TA-CHAIN not-known _25._tcp.mx.deferdane.example",
                    "DANE-TLSA-FAIL critical _25._tcp.mx.deferdane.example",
                ],
            ),
            ("nullmx.example", vec![]),
        ] {
            let facts = facts(domain);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{domain}");
        }
    }

    /// A dialogue that served this chain.
    fn serves(chain: Vec<Vec<u8>>) -> Dialogue {
        let seen = TlsSeen {
            version: "TLSv1.3".to_owned(),
            cipher: String::new(),
            chain,
            verification: Verification::NotChecked,
            extensions: Vec::new(),
        };
        let spoken = Spoken { greeting: "mx".to_owned(), extensions: Vec::new(), tls: StartTls::Done(seen) };
        Dialogue { outcome: Ok(spoken) }
    }

    #[test]
    fn served_certificates_are_matched_by_every_kind_of_record() {
        let new_key = || rcgen::KeyPair::generate().unwrap();
        let of = |name: &str| rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate_of = |name: &str| {
            let key = new_key();
            let mut parameters = of(name);
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
            let certificate = parameters.self_signed(&key).unwrap().der().to_vec();
            (certificate, rcgen::Issuer::new(parameters, key))
        };
        let (authority, issuer) = certificate_of("ca.example");
        let (stranger, _) = certificate_of("public.example");
        let issue = |parameters: rcgen::CertificateParams| {
            parameters.signed_by(&new_key(), &issuer).unwrap().der().to_vec()
        };
        let own = issue(of("mx.test.example"));
        let mut old = of("mx.test.example");
        old.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let old = issue(old);
        let for_domain = issue(of("test.example"));
        let for_other = issue(of("mx.other.example"));
        let spki = |der: &[u8]| X509Certificate::from_der(der).unwrap().1.public_key().raw.to_vec();
        let hex = |octets: &[u8]| data_encoding::HEXLOWER.encode(octets);
        let sha256 = |octets: &[u8]| hex(digest::digest(&digest::SHA256, octets).as_ref());
        let sha512 = |octets: &[u8]| hex(digest::digest(&digest::SHA512, octets).as_ref());
        let subject = "mx.test.example (198.50.1.9)";
        let both = vec![own.clone(), authority.clone()];
        let anchor = format!("2 1 1 {}", sha256(&spki(&authority)));
        let unproven =
            vec![format!("DANE-MATCH critical {subject}"), format!("DANE-TA-CHAIN error {subject}")];
        for (record, chain, want) in [
            (format!("3 1 1 {}", sha256(&spki(&own))), vec![own.clone()], vec![]),
            (format!("3 0 1 {}", sha256(&own)), vec![own.clone()], vec![]),
            (format!("3 1 2 {}", sha512(&spki(&own))), vec![own.clone()], vec![]),
            (format!("3 0 2 {}", sha512(&own)), vec![own.clone()], vec![]),
            (anchor.clone(), both.clone(), vec![]),
            (format!("2 0 1 {}", sha256(&authority)), both.clone(), vec![]),
            (anchor.clone(), vec![for_domain, authority.clone()], vec![]),
            // The record holds the certificate, so the host need not send it.
            (
                format!("2 0 0 {}", hex(&authority)),
                vec![own.clone()],
                vec!["DANE-PARAMS warning _25._tcp.mx.test.example".to_owned()],
            ),
            (anchor.clone(), vec![own.clone()], unproven.clone()),
            (anchor.clone(), vec![old, authority.clone()], unproven.clone()),
            (anchor, vec![for_other, authority.clone()], unproven.clone()),
            // Anybody's certificate can be sent along; and the host's own is no authority.
            (
                format!("2 1 1 {}", sha256(&spki(&stranger))),
                vec![own.clone(), authority.clone(), stranger.clone()],
                unproven.clone(),
            ),
            (format!("2 1 1 {}", sha256(&spki(&own))), both.clone(), unproven),
            // A record of usage 3 speaks of the host's own certificate only.
            (
                format!("3 1 1 {}", sha256(&spki(&authority))),
                both,
                vec![format!("DANE-MATCH critical {subject}")],
            ),
        ] {
            let zone = Zone::parse(&format!(
                ";= test.example.\ntest.example. MX 10 mx.test.example.\nmx.test.example. A 198.50.1.9\n\
                 _25._tcp.mx.test.example. TLSA {record}"
            ));
            let mut facts = facts("test.example");
            facts.dialogues.insert((name("mx.test.example"), "198.50.1.9".parse().unwrap()), serves(chain));
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{record}");
        }
    }

    #[test]
    fn a_host_that_does_not_answer_is_not_known() {
        let mut facts = facts("dane.example");
        let silent = Dialogue { outcome: Err(DialogueFault::ConnectTimeout(10)) };
        facts.dialogues.insert((name("mx.dane.example"), "198.50.1.5".parse().unwrap()), silent);
        let (checks, _) = fixture!("transport.zone").settle(|answers| check(&facts, answers));
        assert_eq!(troubles(&checks), ["DANE-MATCH not-known mx.dane.example (198.50.1.5)"]);
        assert!(!matches(&Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0; 32] }, b"no certificate"));
    }
}
