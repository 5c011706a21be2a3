//! MTA-STS: the record, the policy, and whether both fit the MX records (RFC 8461).

use crate::dns::{Answer, Answers, Ask, Name, RecordType};
use crate::dns_health::class::{Class, class_of};
use crate::dns_health::facts::{Facts, Fetched, StartTls};
use crate::dns_health::finding::{Checks, Finding, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::mx;
use crate::limits;
use crate::tls_client::Verification;

codes! {
    STS_NONE = "STS-NONE", Note, "RFC 8461 §2", "neither MTA-STS nor DANE: TLS to the domain can be stripped on the way", "publish an MTA-STS policy with mode `testing` first, or sign the zone and publish TLSA records";
    STS_TXT = "STS-TXT", Error, "RFC 8461 §3.1", "the MTA-STS record cannot be used", "publish one record: `v=STSv1; id=` and 1 to 32 letters or digits";
    STS_HOST = "STS-HOST", Error, "RFC 8461 §3.2, §3.3", "record and policy host do not both exist", "publish both `_mta-sts` (TXT) and `mta-sts` (A or AAAA), or neither";
    STS_FETCH = "STS-FETCH", Error, "RFC 8461 §3.3", "the policy cannot be fetched as senders fetch it", "serve `/.well-known/mta-sts.txt` with status 200, without a redirect, under a certificate for `mta-sts.` and the domain";
    STS_POLICY = "STS-POLICY", Error, "RFC 8461 §3.2", "the policy cannot be read", "write `version: STSv1`, `mode:`, `mx:` lines and `max_age:`, one a line";
    STS_MODE = "STS-MODE", Note, "RFC 8461 §5", "the policy is not enforced", "set `mode: enforce` once TLS reports show no failures, and a new id";
    STS_AGE = "STS-AGE", Note, "RFC 8461 §3.2, §10", "the policy is remembered for a short time only", "set `max_age` to weeks, for example 2419200";
    STS_MX = "STS-MX", Warning, "RFC 8461 §4.1", "MX records and the policy's patterns do not fit", "add `mx:` lines for all MX hosts first, then a new id";
    STS_CERT = "STS-CERT", Error, "RFC 8461 §4.2", "an MX host has no certificate that senders accept under the policy", "install a certificate of a public authority with the MX host's name";
}

/// Where a policy is served, below the domain (RFC 8461 §3.3).
pub const POLICY_PATH: &str = "/.well-known/mta-sts.txt";

/// What the policy says senders should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Deliver only to hosts that fit.
    Enforce,
    /// Deliver all the same, and report.
    Testing,
    /// No policy.
    None,
}

impl Mode {
    /// The word in the policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// A policy as read, with everything that is wrong in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StsPolicy {
    /// The mode, if one of the three is there.
    pub mode: Option<Mode>,
    /// For how long it may be remembered, seconds.
    pub max_age: Option<u64>,
    /// The patterns of MX hosts, in lower case.
    pub mx: Vec<String>,
    /// What is wrong, in words; at most [`limits::HEALTH_POLICY_FAULTS`].
    pub faults: Vec<String>,
    /// True if something is wrong for which senders take the whole for no policy.
    is_broken: bool,
}

impl StsPolicy {
    /// Reads a policy (RFC 8461 §3.2): `key: value` lines that end with LF or CRLF; of a key that may stand once
    /// the first counts; unknown keys are ignored.
    pub fn parse(body: &[u8]) -> Self {
        let mut policy = Self::default();
        let text = String::from_utf8_lossy(body);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            policy.fault("not UTF-8".to_owned());
        }
        let (mut has_version, mut modes, mut ages) = (false, 0, 0);
        for line in text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.contains('\r') {
                policy.fault("a line ends with CR alone".to_owned());
            }
            let line = line.trim_matches([' ', '\t']);
            if line.is_empty() {
                continue;
            }
            let Some((key, value)) = line.split_once(':') else {
                policy.fault(format!("a line without `:`: {}", cut(line)));
                continue;
            };
            let value = value.trim_matches([' ', '\t']);
            match key {
                "version" if value == "STSv1" => has_version = true,
                "version" => policy.fault(format!("version {}", cut(value))),
                "mode" => {
                    modes += 1;
                    let mode = [Mode::Enforce, Mode::Testing, Mode::None]
                        .into_iter()
                        .find(|mode| mode.as_str() == value);
                    if mode.is_none() {
                        policy.fault(format!("mode {}", cut(value)));
                    }
                    policy.mode = policy.mode.or(mode);
                }
                "max_age" => {
                    ages += 1;
                    // Digits alone: `parse` takes a sign too (RFC 8461 §3.2: 1*10(DIGIT)).
                    let is_number = value.bytes().all(|octet| octet.is_ascii_digit());
                    let age = value.parse::<u64>().ok().filter(|age| is_number && *age <= 31_557_600);
                    if age.is_none() {
                        policy.fault(format!("max_age {} is not between 0 and 31557600", cut(value)));
                    }
                    policy.max_age = policy.max_age.or(age);
                }
                "mx" => policy.pattern(value),
                _ => {}
            }
        }
        if !has_version {
            policy.fault("no `version: STSv1`".to_owned());
        }
        for (count, key) in [(modes, "mode"), (ages, "max_age")] {
            if count == 0 {
                policy.fault(format!("no `{key}`"));
            } else if count > 1 {
                // Senders take the first (RFC 8461 §3.2).
                let is_broken = policy.is_broken;
                policy.fault(format!("`{key}` is there {count} times"));
                policy.is_broken = is_broken;
            }
        }
        if policy.mx.is_empty() && matches!(policy.mode, Some(Mode::Enforce | Mode::Testing)) {
            policy.fault("no `mx`".to_owned());
        }
        policy
    }

    /// True if senders can use it: all that must be there is, and can be read. A key that is there twice does no harm.
    pub const fn is_usable(&self) -> bool {
        !self.is_broken && self.mode.is_some() && self.max_age.is_some()
    }

    /// Notes a fault; a hostile body can have no end of them.
    fn fault(&mut self, fault: String) {
        self.is_broken = true;
        if self.faults.len() < limits::HEALTH_POLICY_FAULTS {
            self.faults.push(fault);
        }
    }

    /// Takes one pattern.
    fn pattern(&mut self, value: &str) {
        let host = value.strip_prefix("*.").unwrap_or(value);
        let is_host = Name::from_dotted(host).is_ok_and(|name| name.label_count() > 0)
            && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'));
        if !is_host {
            self.fault(format!("mx {}", cut(value)));
        } else if self.mx.len() < limits::HEALTH_POLICY_PATTERNS {
            self.mx.push(value.trim_end_matches('.').to_ascii_lowercase());
        }
    }

    /// True if a pattern covers the host (RFC 8461 §4.1): a wildcard stands for exactly one label.
    pub fn covers(&self, host: &Name) -> bool {
        self.mx.iter().any(|pattern| covers(pattern, host))
    }
}

/// True if a pattern covers a host.
fn covers(pattern: &str, host: &Name) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => host.parent().is_some_and(|parent| parent.as_str() == rest),
        None => host.as_str() == pattern,
    }
}

/// A text from outside, cut short.
fn cut(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// The texts at `_mta-sts` that begin as such a record (RFC 8461 §3.1). Errors: what to ask.
pub fn records(domain: &Name, answers: &Answers) -> Result<Vec<String>, Ask> {
    let Ok(name) = domain.below("_mta-sts") else { return Ok(Vec::new()) };
    let answer = answers.get(&name, RecordType::Txt)?;
    let texts = answer.texts().map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(texts.filter(|text| text.starts_with("v=STSv1;")).collect())
}

/// The `id` of a record, if it is valid: 1 to 32 letters or digits.
pub fn id(record: &str) -> Option<&str> {
    let fields = record.split(';').skip(1).map(|field| field.trim_matches([' ', '\t']));
    let value =
        fields.filter_map(|field| field.split_once('=')).find(|(name, _)| name.trim() == "id")?.1.trim();
    let is_valid = (1..=32).contains(&value.len()) && value.bytes().all(|c| c.is_ascii_alphanumeric());
    is_valid.then_some(value)
}

/// The host that serves the policy.
pub fn policy_host(domain: &Name) -> Option<Name> {
    domain.below("mta-sts").ok()
}

/// Checks MTA-STS.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let (Ok(name), Some(host)) = (domain.below("_mta-sts"), policy_host(domain)) else {
        checks.skip(&STS_NONE, domain, "the domain's name is too long for the record");
        return Ok(checks);
    };
    let mut look_ups = LookUps::new(answers);
    let class = look_ups.take(class_of(facts, answers)).flatten();
    let texts = look_ups.get(&name, RecordType::Txt);
    let four = look_ups.get(&host, RecordType::A);
    let six = look_ups.get(&host, RecordType::Aaaa);
    let hosts = look_ups.take(mx::hosts(domain, answers)).unwrap_or_default();
    let records = look_ups.take(records(domain, answers)).unwrap_or_default();
    // RFC 7672 §2.2: TLSA records of the first host show whether DANE stands in.
    let tlsa = hosts.first().and_then(|host| look_ups.get(&host.below("_25._tcp").ok()?, RecordType::Tlsa));
    look_ups.done()?;
    let (Some(texts), Some(four), Some(six)) = (texts, four, six) else { return Ok(checks) };
    if let Some(trouble) = texts.trouble() {
        for code in CODES {
            checks.unknown(code, &name, trouble);
        }
        return Ok(checks);
    }
    let has_host = !four.data().is_empty() || !six.data().is_empty();
    let is_host_absent = four.is_void() && six.is_void();
    if records.is_empty() {
        let takes_none = class.is_some_and(|class| !class.receives() || class == Class::ReportTarget);
        let odd = texts
            .texts()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .find(|text| text.to_ascii_lowercase().contains("stsv1"));
        if let Some(odd) = odd {
            checks.find(Finding::new(
                &STS_TXT,
                &name,
                format!("{} does not begin with `v=STSv1;`", cut(&odd)),
            ));
        } else if has_host && texts.aliases.is_empty() && !is_wild(facts, four, six, answers)? {
            let evidence = format!("{host} is there, the record is not: senders ask for no policy");
            checks.find(Finding::new(&STS_HOST, &name, evidence).severity(Severity::Warning));
        } else if takes_none || class == Some(Class::MailHost) {
            checks.skip(&STS_NONE, domain, "the domain takes no mail");
        } else if tlsa.is_some_and(|answer| !answer.data().is_empty()) {
            checks.pass(&STS_NONE, domain);
        } else if class.is_some() {
            checks.find(Finding::new(&STS_NONE, domain, "no `_mta-sts` record, no TLSA record"));
        }
        return Ok(checks);
    }
    checks.pass(&STS_NONE, domain);
    let mut faults = Vec::new();
    if records.len() > 1 {
        faults.push(Finding::new(
            &STS_TXT,
            &name,
            format!("{} records: senders treat them as none", records.len()),
        ));
    }
    for record in records.iter().filter(|record| id(record).is_none()) {
        faults.push(Finding::new(&STS_TXT, &name, format!("no valid id in {}", cut(record))));
    }
    checks.judge(&STS_TXT, &name, faults);
    if is_host_absent {
        checks.find(Finding::new(
            &STS_HOST,
            &host,
            format!("{host} has no address: there is no policy to fetch"),
        ));
        return Ok(checks);
    }
    match four.trouble().or(six.trouble()).filter(|_| !has_host) {
        Some(trouble) => checks.unknown(&STS_HOST, &host, trouble),
        None => checks.pass(&STS_HOST, &host),
    }
    match &facts.policy {
        Some(fetched) => policy(&mut checks, facts, fetched, &hosts),
        None => match four.trouble().or(six.trouble()).filter(|_| !has_host) {
            Some(trouble) => {
                checks.unknown(&STS_FETCH, &host, trouble);
                without_policy(&mut checks, &host, trouble.cause.as_str());
            }
            None => checks.skip(&STS_FETCH, &host, "the policy was not fetched"),
        },
    }
    Ok(checks)
}

/// True if the policy host is there by a wildcard only: it has the addresses of a made-up name.
fn is_wild(facts: &Facts, four: &Answer, six: &Answer, answers: &Answers) -> Result<bool, Ask> {
    let Ok(name) = facts.domain.below(&facts.nonce) else { return Ok(false) };
    let mut look_ups = LookUps::new(answers);
    let wild = [RecordType::A, RecordType::Aaaa].map(|record_type| look_ups.get(&name, record_type));
    look_ups.done()?;
    let same = |own: &Answer, wild: Option<&Answer>| {
        wild.is_some_and(|wild| {
            !wild.data().is_empty() && wild.addresses().all(|a| own.addresses().any(|b| a == b))
        })
    };
    Ok(same(four, wild[0]) || same(six, wild[1]))
}

/// Notes what is not known without a policy.
fn without_policy(checks: &mut Checks, subject: impl std::fmt::Display, cause: &str) {
    for code in [&STS_POLICY, &STS_MODE, &STS_AGE, &STS_MX, &STS_CERT] {
        checks.unknown_for(code, &subject, cause, "no policy was fetched");
    }
}

/// Checks the policy as fetched.
fn policy(checks: &mut Checks, facts: &Facts, fetched: &Fetched, hosts: &[Name]) {
    let url = &fetched.url;
    let response = match &fetched.outcome {
        Ok(response) => response,
        Err(fault) => {
            use crate::dns_health::facts::FetchFault;
            match fault {
                // Theirs beyond doubt; a connection that fails may be ours.
                FetchFault::Tls(_)
                | FetchFault::Certificate(_)
                | FetchFault::TooLarge(_)
                | FetchFault::NotHttp(_)
                | FetchFault::NotPublic(_) => {
                    checks.find(Finding::new(&STS_FETCH, url, fault.to_string()));
                }
                _ => checks.unknown_for(&STS_FETCH, url, fault.as_str(), &fault.to_string()),
            }
            without_policy(checks, url, fault.as_str());
            return;
        }
    };
    if (300..400).contains(&response.status) {
        let to = response.location.as_deref().unwrap_or("elsewhere");
        checks.find(Finding::new(
            &STS_FETCH,
            url,
            format!("status {}: a redirect to {}, which senders do not follow", response.status, cut(to)),
        ));
        without_policy(checks, url, "redirect");
        return;
    }
    if response.status != 200 {
        checks.find(Finding::new(&STS_FETCH, url, format!("status {}", response.status)));
        without_policy(checks, url, "status");
        return;
    }
    let media = response.content_type.as_deref().unwrap_or_default();
    let is_plain = media.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain"));
    if is_plain {
        checks.pass(&STS_FETCH, url);
    } else {
        let evidence = format!("content type {}, not text/plain", cut(media));
        checks.find(Finding::new(&STS_FETCH, url, evidence).severity(Severity::Warning));
    }
    let policy = StsPolicy::parse(&response.body);
    let faults =
        policy.faults.iter().map(|fault| Finding::new(&STS_POLICY, url, fault.clone())).collect::<Vec<_>>();
    let is_broken = !faults.is_empty();
    checks.judge(&STS_POLICY, &facts.domain, faults);
    match policy.mode {
        Some(Mode::Enforce) => checks.pass(&STS_MODE, url),
        Some(mode) => checks.find(Finding::new(&STS_MODE, url, format!("mode {}", mode.as_str()))),
        None => {}
    }
    match policy.max_age {
        Some(age) if age < 86_400 => {
            let evidence = format!("max_age {age} s is less than a day");
            checks.find(Finding::new(&STS_AGE, url, evidence).severity(Severity::Warning));
        }
        Some(age) if age < 604_800 => {
            checks.find(Finding::new(&STS_AGE, url, format!("max_age {age} s is less than a week")));
        }
        Some(_) => checks.pass(&STS_AGE, url),
        None => {}
    }
    if is_broken || policy.mode == Some(Mode::None) || hosts.is_empty() {
        return;
    }
    fit(checks, facts, &policy, hosts);
    certificates(checks, facts, &policy, hosts);
}

/// Do MX hosts and patterns fit, in both directions?
fn fit(checks: &mut Checks, facts: &Facts, policy: &StsPolicy, hosts: &[Name]) {
    let mut found = Vec::new();
    let severity = if policy.mode == Some(Mode::Enforce) { Severity::Critical } else { Severity::Error };
    for host in hosts.iter().filter(|host| !policy.covers(host)) {
        let evidence = format!("no `mx:` line covers {host}: in mode enforce senders do not deliver to it");
        found.push(Finding::new(&STS_MX, host, evidence).severity(severity));
    }
    for pattern in policy.mx.iter().filter(|pattern| !hosts.iter().any(|host| covers(pattern, host))) {
        let finding = Finding::new(&STS_MX, pattern, format!("no MX host is covered by `mx: {pattern}`"));
        found.push(finding.severity(Severity::Note).mend("remove the line, if the host is gone for good"));
    }
    checks.judge(&STS_MX, &facts.domain, found);
}

/// Do the hosts have certificates that senders accept?
fn certificates(checks: &mut Checks, facts: &Facts, policy: &StsPolicy, hosts: &[Name]) {
    let severity = if policy.mode == Some(Mode::Enforce) { Severity::Critical } else { Severity::Warning };
    for ((host, address), dialogue) in facts.dialogues.iter().filter(|((host, _), _)| hosts.contains(host)) {
        let subject = format!("{host} ({address})");
        let why = match &dialogue.outcome {
            Err(fault) => {
                checks.unknown_for(&STS_CERT, &subject, fault.as_str(), &fault.to_string());
                continue;
            }
            Ok(spoken) => match &spoken.tls {
                StartTls::NotOffered => Some("STARTTLS is not offered".to_owned()),
                StartTls::Refused(reply) => Some(format!("STARTTLS is refused: {}", cut(reply))),
                StartTls::Failed(why) => Some(format!("the handshake fails: {}", cut(why))),
                StartTls::Done(seen) => match &seen.verification {
                    Verification::Verified => None,
                    Verification::Failed(why) => Some(format!("the certificate does not verify: {why}")),
                    Verification::NotChecked => {
                        checks.unknown_for(
                            &STS_CERT,
                            &subject,
                            "not-checked",
                            "the certificate was not verified",
                        );
                        continue;
                    }
                },
            },
        };
        match why {
            Some(why) => checks.find(Finding::new(&STS_CERT, subject, why).severity(severity)),
            None => checks.pass(&STS_CERT, subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::facts::{FetchFault, PolicyResponse};
    use crate::dns_health::sample::{facts, fixture, name, troubles};

    #[test]
    fn policies_are_read_as_written() {
        let read = |text: &str| StsPolicy::parse(text.as_bytes());
        let good = read(
            "version: STSv1\r\nmode: enforce\r\nmx: MX1.good.example\r\nmx: *.good.example\r\nmax_age: 604800\r\nnew: x\r\n",
        );
        assert_eq!((good.mode, good.max_age, good.faults.len()), (Some(Mode::Enforce), Some(604_800), 0));
        for (host, want) in [
            ("mx1.good.example", true),
            ("mx2.good.example", true),
            ("a.mx2.good.example", false),
            ("good.example", false),
            ("mx1.bad.example", false),
        ] {
            assert_eq!(good.covers(&name(host)), want, "{host}");
        }
        for (text, want) in [
            ("", "no `version: STSv1` / no `mode` / no `max_age`"),
            ("version: STSv1\nmode: enforce\nmax_age: 1\n", "no `mx`"),
            ("version: STSv1\nmode: none\nmax_age: 1\n", ""),
            ("version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1\n", "mode \"Enforce\""),
            (
                "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 31557601\n",
                "max_age \"31557601\" is not between 0 and 31557600",
            ),
            ("version: STSv1\nmode: testing\nmx: a b\nmx: a.example\nmax_age: 1\n", "mx \"a b\""),
            ("version: STSv1\rmode: testing\rmx: a.example\rmax_age: 1\r", "a line ends with CR alone"),
            ("version: STSv1\nmode: none\nmax_age: +1\n", "max_age \"+1\" is not between 0 and 31557600"),
            ("<html>", "a line without `:`: \"<html>\""),
        ] {
            let faults = read(text).faults.join(" / ");
            assert!(faults.starts_with(want) && want.is_empty() == faults.is_empty(), "{text:?}: {faults}");
        }
        // A hostile body has no end of faults, of whatever kind.
        for line in
            ["x\n", "\rx:y\n", "\u{fffd}\r\r\n", "mx: -\"\n", "mode: x\n", "max_age: x\n", "version: 2\n"]
        {
            let policy = StsPolicy::parse(line.repeat(5_000).as_bytes());
            assert!(policy.faults.len() <= limits::HEALTH_POLICY_FAULTS, "{line:?}");
        }
    }

    #[test]
    fn ids_are_letters_and_digits() {
        for (text, want) in [
            ("v=STSv1; id=20260101T000000;", Some("20260101T000000")),
            ("v=STSv1;id=1", Some("1")),
            ("v=STSv1; id=a-b;", None),
            ("v=STSv1;", None),
            ("v=STSv1; id=123456789012345678901234567890123;", None),
        ] {
            assert_eq!(id(text), want, "{text}");
        }
    }

    #[test]
    fn records_in_order_wrong_and_not_known() {
        let zone = fixture!("transport.zone");
        for (domain, want) in [
            ("good.example", vec![]),
            ("bare.example", vec!["STS-NONE note bare.example"]),
            ("nullmx.example", vec![]),
            ("dane.example", vec![]),
            ("twice.example", vec!["STS-TXT error _mta-sts.twice.example"]),
            ("odd.example", vec!["STS-TXT error _mta-sts.odd.example"]),
            ("badrua.example", vec!["STS-HOST error mta-sts.badrua.example"]),
            ("norua.example", vec!["STS-HOST warning _mta-sts.norua.example"]),
            ("wildhost.example", vec!["STS-NONE note wildhost.example"]),
            (
                "silent.example",
                vec![
                    "STS-AGE not-known _mta-sts.silent.example",
                    "STS-CERT not-known _mta-sts.silent.example",
                    "STS-FETCH not-known _mta-sts.silent.example",
                    "STS-HOST not-known _mta-sts.silent.example",
                    "STS-MODE not-known _mta-sts.silent.example",
                    "STS-MX not-known _mta-sts.silent.example",
                    "STS-NONE not-known _mta-sts.silent.example",
                    "STS-POLICY not-known _mta-sts.silent.example",
                    "STS-TXT not-known _mta-sts.silent.example",
                ],
            ),
        ] {
            let facts = facts(domain);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{domain}");
        }
    }

    #[test]
    fn policies_are_compared_with_the_mx_records() {
        let zone = fixture!("transport.zone");
        let url = "https://mta-sts.good.example/.well-known/mta-sts.txt";
        let ok = |body: &str| {
            Ok(PolicyResponse {
                status: 200,
                content_type: Some("text/plain; charset=utf-8".to_owned()),
                location: None,
                body: body.as_bytes().to_vec(),
            })
        };
        let head = "version: STSv1\nmax_age: 2419200\n";
        let mut redirect = ok("").unwrap();
        (redirect.status, redirect.location) = (301, Some("https://elsewhere.example/".to_owned()));
        let mut html = ok(&format!("{head}mode: enforce\nmx: mx.good.example\n")).unwrap();
        html.content_type = Some("text/html".to_owned());
        let without_policy = |fetch: &str| {
            let mut all = vec![format!("STS-FETCH {fetch} {url}")];
            for code in ["STS-AGE", "STS-CERT", "STS-MODE", "STS-MX", "STS-POLICY"] {
                all.push(format!("{code} not-known {url}"));
            }
            all.sort();
            all
        };
        for (outcome, want) in [
            (ok(&format!("{head}mode: enforce\nmx: mx.good.example\n")), vec![]),
            (ok(&format!("{head}mode: enforce\nmx: *.good.example\n")), vec![]),
            (
                ok(&format!("{head}mode: testing\nmx: mx.good.example\n")),
                vec![format!("STS-MODE note {url}")],
            ),
            (
                ok(&format!("{head}mode: enforce\nmx: old.good.example\n")),
                vec!["STS-MX critical mx.good.example".to_owned(), "STS-MX note old.good.example".to_owned()],
            ),
            (
                ok("version: STSv1\nmode: enforce\nmx: mx.good.example\nmax_age: 600\n"),
                vec![format!("STS-AGE warning {url}")],
            ),
            (ok(&format!("{head}mode: enforce\n")), vec![format!("STS-POLICY error {url}")]),
            (Ok(redirect), without_policy("error")),
            (Ok(html), vec![format!("STS-FETCH warning {url}")]),
            (Err(FetchFault::Tls("not valid for name".to_owned())), without_policy("error")),
            (Err(FetchFault::Timeout(60)), without_policy("not-known")),
        ] {
            let mut facts = facts("good.example");
            let told = format!("{outcome:?}");
            facts.policy = Some(Fetched { url: url.to_owned(), outcome });
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            assert_eq!(troubles(&checks), want, "{told}");
        }
    }
}
