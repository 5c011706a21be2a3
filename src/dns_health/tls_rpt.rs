//! TLS-RPT: does the domain ask senders for reports about TLS (RFC 8460)?

use crate::dns::{Answers, Ask, Name, Outcome, RecordType};
use crate::dns_health::amend;
use crate::dns_health::class::{Class, class_of};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, RecordToPublish, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::mta_sts;
use crate::mail::{Address, DomainName};

codes! {
    TLSRPT_NONE = "TLSRPT-NONE", Note, "RFC 8460 §3", "nobody is asked for reports about failed TLS", "publish a TLS-RPT record with an address where you have the reports read";
    TLSRPT_MULTI = "TLSRPT-MULTI", Error, "RFC 8460 §3", "several TLS-RPT records: senders treat them as none", "keep one record, with all addresses in it";
    TLSRPT_SYNTAX = "TLSRPT-SYNTAX", Error, "RFC 8460 §3", "the TLS-RPT record cannot be read", "write `v=TLSRPTv1; rua=mailto:address`";
    TLSRPT_RUA = "TLSRPT-RUA", Error, "RFC 8460 §3", "an address for TLS reports cannot take them", "use `mailto:` with an address that takes mail, or an `https:` address";
}

/// Where reports go, as the record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsRpt {
    /// The addresses as written.
    pub rua: Vec<String>,
    /// What is wrong with it, in words.
    pub faults: Vec<String>,
}

/// Reads one record (RFC 8460 §3): `v=TLSRPTv1;` first, then fields divided by semicolons.
pub fn parse(text: &str) -> TlsRpt {
    let mut record = TlsRpt { rua: Vec::new(), faults: Vec::new() };
    let mut has_rua = false;
    for (at, field) in text.split(';').enumerate() {
        let field = field.trim_matches([' ', '\t']);
        if field.is_empty() {
            continue;
        }
        let (name, value) = match field.split_once('=') {
            Some((name, value)) => (name.trim_end(), value.trim_start()),
            None => {
                record.faults.push(format!("`{field}` has no value"));
                continue;
            }
        };
        match name {
            "v" if at == 0 => {}
            "rua" if has_rua => record.faults.push("`rua` is there twice".to_owned()),
            "rua" => {
                has_rua = true;
                record.rua.extend(value.split(',').map(|uri| uri.trim().to_owned()));
            }
            // RFC 8460 §3: unknown fields are ignored.
            _ => {}
        }
    }
    if !has_rua {
        record.faults.push("no `rua`".to_owned());
    }
    record
}

/// True for a text that is meant as such a record: `v=TLSRPTv1` before the end or a semicolon.
pub(super) fn is_record(text: &str) -> bool {
    text.strip_prefix("v=TLSRPTv1").is_some_and(|rest| {
        let rest = rest.trim_start_matches([' ', '\t']);
        rest.is_empty() || rest.starts_with(';')
    })
}

/// Checks TLS-RPT.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let Ok(name) = domain.below("_smtp._tls") else {
        checks.skip(&TLSRPT_NONE, domain, "the domain's name is too long for the record");
        return Ok(checks);
    };
    let mut look_ups = LookUps::new(answers);
    let answer = look_ups.get(&name, RecordType::Txt);
    let class = look_ups.take(class_of(facts, answers)).flatten();
    let sts = look_ups.take(mta_sts::records(domain, answers)).unwrap_or_default();
    look_ups.done()?;
    let Some(answer) = answer else { return Ok(checks) };
    if let Some(trouble) = answer.trouble() {
        for code in CODES {
            checks.unknown(code, &name, trouble);
        }
        return Ok(checks);
    }
    let texts: Vec<String> = answer.texts().map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
    let records: Vec<&String> = texts.iter().filter(|text| is_record(text)).collect();
    match records.as_slice() {
        [] => {
            let odd = texts.iter().find(|text| text.to_ascii_lowercase().contains("tlsrpt"));
            match (odd, class) {
                (Some(odd), _) => {
                    let evidence = format!("{odd:?} does not begin with `v=TLSRPTv1;`");
                    checks.find(Finding::new(&TLSRPT_SYNTAX, &name, evidence));
                }
                (None, Some(class)) if !class.receives() && class != Class::MailHost => {
                    checks.skip(&TLSRPT_NONE, &name, "the domain takes no mail");
                }
                (None, Some(Class::MailHost)) => {
                    checks.skip(&TLSRPT_NONE, &name, "a host, not a mail domain");
                }
                (None, _) => {
                    let severity = if sts.is_empty() { Severity::Note } else { Severity::Warning };
                    let evidence =
                        if sts.is_empty() { "no record" } else { "no record, although MTA-STS is in use" };
                    let mut finding = Finding::new(&TLSRPT_NONE, &name, evidence).severity(severity);
                    let address = match facts.mailboxes.tls.first() {
                        Some(address) => Some(address.clone()),
                        None => DomainName::parse(domain.as_str()).map(|own| {
                            let address = Address::new("tls", &own);
                            finding.mend = format!(
                                "publish a record such as this one, with a mailbox that you read in the place of {address}"
                            );
                            address
                        }),
                    };
                    if let Some(address) = address {
                        let text = format!("v=TLSRPTv1; rua={}", amend::mailto(&address));
                        finding = finding.publish(RecordToPublish::text(name.clone(), &text));
                    }
                    checks.find(finding);
                }
            }
            return Ok(checks);
        }
        [_] => checks.pass(&TLSRPT_MULTI, &name),
        several => {
            let evidence = format!("{} records", several.len());
            checks.find(Finding::new(&TLSRPT_MULTI, &name, evidence).publish(joined(&name, several)));
            return Ok(checks);
        }
    }
    checks.pass(&TLSRPT_NONE, &name);
    let Some(text) = records.first() else { return Ok(checks) };
    let record = parse(text);
    let faults =
        record.faults.iter().map(|fault| Finding::new(&TLSRPT_SYNTAX, &name, fault.clone())).collect();
    checks.judge(&TLSRPT_SYNTAX, &name, faults);
    addresses(&mut checks, &name, &record, answers)?;
    Ok(checks)
}

/// All addresses of several records in one.
fn joined(name: &Name, records: &[&String]) -> RecordToPublish {
    let mut all: Vec<String> = Vec::new();
    for uri in records.iter().flat_map(|text| parse(text).rua) {
        if !all.contains(&uri) {
            all.push(uri);
        }
    }
    RecordToPublish::text(name.clone(), &format!("v=TLSRPTv1; rua={}", all.join(",")))
        .replaces(records.iter().map(|text| format!("{text:?}")))
}

/// Can each address take reports? Its host has an MX or an address.
fn addresses(checks: &mut Checks, name: &Name, record: &TlsRpt, answers: &Answers) -> Result<(), Ask> {
    let mut look_ups = LookUps::new(answers);
    let mut found = Vec::new();
    let mut silent = None;
    for uri in &record.rua {
        if uri.starts_with("https:") {
            continue;
        }
        let host =
            uri.strip_prefix("mailto:").and_then(|address| address.split('?').next()?.rsplit_once('@'));
        let Some(Ok(host)) = host.map(|(_, host)| Name::from_dotted(host)) else {
            found.push(Finding::new(&TLSRPT_RUA, name, format!("`{uri}` is neither mailto: nor https:")));
            continue;
        };
        let mx = look_ups.get(&host, RecordType::Mx);
        let four = look_ups.get(&host, RecordType::A);
        let six = look_ups.get(&host, RecordType::Aaaa);
        let (Some(mx), Some(four), Some(six)) = (mx, four, six) else { continue };
        let is_null = !mx.data().is_empty() && mx.exchangers().iter().all(|mx| mx.exchange.is_root());
        if is_null {
            found.push(Finding::new(&TLSRPT_RUA, name, format!("{host} of `{uri}` takes no mail: null MX")));
        } else if mx.is_void() && four.is_void() && six.is_void() {
            let why =
                if mx.outcome == Outcome::NoName { "does not exist" } else { "has neither MX nor address" };
            found.push(Finding::new(&TLSRPT_RUA, name, format!("{host} of `{uri}` {why}")));
        } else if mx.data().is_empty() {
            silent = silent.or(mx.trouble());
        }
    }
    look_ups.done()?;
    match silent {
        Some(trouble) if found.is_empty() => checks.unknown(&TLSRPT_RUA, name, trouble),
        _ => checks.judge(&TLSRPT_RUA, name, found),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{facts, fixture, troubles};

    #[test]
    fn records_in_order_wrong_and_not_known() {
        let zone = fixture!("transport.zone");
        for (domain, want) in [
            ("good.example", vec![]),
            ("bare.example", vec!["TLSRPT-NONE note _smtp._tls.bare.example"]),
            ("nullmx.example", vec![]),
            ("twice.example", vec!["TLSRPT-MULTI error _smtp._tls.twice.example"]),
            ("odd.example", vec!["TLSRPT-SYNTAX error _smtp._tls.odd.example"]),
            ("norua.example", vec!["TLSRPT-SYNTAX error _smtp._tls.norua.example"]),
            (
                "badrua.example",
                vec![
                    "TLSRPT-RUA error _smtp._tls.badrua.example",
                    "TLSRPT-RUA error _smtp._tls.badrua.example",
                    "TLSRPT-RUA error _smtp._tls.badrua.example",
                ],
            ),
            ("stsonly.example", vec!["TLSRPT-NONE warning _smtp._tls.stsonly.example"]),
            (
                "silent.example",
                vec![
                    "TLSRPT-MULTI not-known _smtp._tls.silent.example",
                    "TLSRPT-NONE not-known _smtp._tls.silent.example",
                    "TLSRPT-RUA not-known _smtp._tls.silent.example",
                    "TLSRPT-SYNTAX not-known _smtp._tls.silent.example",
                ],
            ),
        ] {
            let facts = facts(domain);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{domain}");
        }
    }

    #[test]
    fn several_records_are_joined_into_one() {
        let facts = facts("twice.example");
        let (checks, _) = fixture!("transport.zone").settle(|answers| check(&facts, answers));
        let record = checks.findings().find_map(|finding| finding.publish.clone()).unwrap();
        assert_eq!(
            record.value,
            "\"v=TLSRPTv1; rua=mailto:a@good.example,https://tls.good.example/,mailto:b@good.example\""
        );
        assert_eq!(record.old.len(), 2);
    }
}
