//! DMARC: the record in force, how it is found, and whether reports can go where they are wanted.

use std::fmt::Write as _;

use crate::authentication::dmarc::{
    self, BySuffix, Discovery, Flaw, Force, Found, NearMiss, Policy, Psd, Record, ReportUri,
};
use crate::dns::{Answers, Ask, Name, NotKnown, Outcome, RecordData, RecordType};
use crate::dns_health::amend;
use crate::dns_health::class::{self, Class};
use crate::dns_health::dmarc_reported::changed;
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Code, Finding, RecordToPublish, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::reported::{ReportedMail, days_known, share};
use crate::limits;
use crate::mail::{Address, DomainName};

codes! {
    DMARC_NONE = "DMARC-NONE", Error, "RFC 9989 §4.10", "no DMARC record applies to the domain", "publish a record; `p=none` with an address for reports changes nothing for mail and shows who sends";
    DMARC_WALK = "DMARC-WALK", Info, "RFC 9989 §4.10.1, §4.10.2", "where the record in force was found, and what the organizational domain is", "-";
    DMARC_DIVERGE = "DMARC-DIVERGE", Warning, "RFC 9989 §C.3", "receivers of the older standard find another record or another organizational domain", "publish a record at the domain itself, and set `adkim=s; aspf=s` if all mail uses exactly this domain";
    DMARC_MULTI = "DMARC-MULTI", Error, "RFC 9989 §4.10", "several records at one name: all of them are discarded", "keep one record";
    DMARC_ALMOST = "DMARC-ALMOST", Error, "RFC 9989 §4.7", "a text that was meant as a record and is none", "begin the record with `v=DMARC1;`";
    DMARC_SYNTAX = "DMARC-SYNTAX", Warning, "RFC 9989 §4.8", "a part of the record is discarded", "correct or remove the part";
    DMARC_P_BAD = "DMARC-P-BAD", Error, "RFC 9989 §4.10.1", "`p` is missing, or `p`, `sp` or `np` is wrong: the record counts as `p=none`, or not at all", "use `none`, `quarantine` or `reject`";
    DMARC_P_OLD = "DMARC-P-OLD", Note, "RFC 7489 §6.3, RFC 9989 §4.7", "`p` does not stand right after the version: readers of the older standard discard the record", "write `p` right after `v=DMARC1;`";
    DMARC_TAGS = "DMARC-TAGS", Note, "RFC 9989 §4.7, §C.5.2", "something that the standard has removed: older readers still obey it", "remove it; `t=y` took the place of `pct=0`";
    DMARC_NONE_POLICY = "DMARC-NONE-POLICY", Note, "RFC 9989 §5.1.5", "the policy asks for nothing to be done with forged mail", "read the reports, mend what is yours, then ask for `quarantine`";
    DMARC_TEST = "DMARC-TEST", Note, "RFC 9989 §4.7", "test mode: the policy that is applied is one level milder", "remove `t=y` once reports show that all is well";
    DMARC_SP = "DMARC-SP", Warning, "RFC 9989 §4.7", "subdomains are protected less than the domain itself", "remove `sp` and `np`, or make them as strict as `p`";
    DMARC_SP_IGNORED = "DMARC-SP-IGNORED", Note, "RFC 9989 §4.7", "`sp` or `np` in a record that is not the organizational domain's: they count for nobody", "remove them here";
    DMARC_PSD = "DMARC-PSD", Warning, "RFC 9989 §4.7", "`psd` says what the domain is not", "remove `psd`; only registries need `psd=y`";
    DMARC_DEEP = "DMARC-DEEP", Warning, "RFC 9989 §4.10", "the domain has more than eight labels: records between are not looked for", "publish a record at the domain itself";
    DMARC_RUA_NONE = "DMARC-RUA-NONE", Warning, "RFC 9989 §4.7", "no address for aggregate reports: nobody tells you who sends in your name", "add `rua=mailto:` and an address where you have the reports read";
    DMARC_RUA_URI = "DMARC-RUA-URI", Error, "RFC 9989 §4.6", "an address for reports that no report can go to", "write `mailto:` and the address, with commas between several";
    DMARC_RUA_AUTH = "DMARC-RUA-AUTH", Error, "RFC 9990 §4", "the host of an address for reports does not say that it takes them: none are sent there", "let whoever runs that host publish the record";
    DMARC_RUA_OVERRIDE = "DMARC-RUA-OVERRIDE", Error, "RFC 9990 §4", "the host of an address for reports sends them to another host, which is not allowed", "let that host name an address of its own, or none";
    DMARC_RUA_LONG = "DMARC-RUA-LONG", Error, "RFC 9990 §4", "the name that would allow the reports is longer than a name can be", "use an address in the domain itself";
    DMARC_RUA_MX = "DMARC-RUA-MX", Error, "RFC 5321 §5.1", "the domain of an address for reports takes no mail", "use an address whose domain has an MX";
    DMARC_RUF = "DMARC-RUF", Info, "RFC 9991 §7", "failure reports are wanted: few receivers send them, and they hold the words of persons", "nothing, if that is meant";
    DMARC_FO = "DMARC-FO", Note, "RFC 9989 §4.7", "`fo` without `ruf` has no effect", "remove `fo`";
}

/// Days after which a test should be over.
const TEST_DAYS: i64 = 60;
/// Messages, days with reports, and percent that pass, from which the next policy is proposed.
const READY_MESSAGES: u64 = 100;
/// See [`READY_MESSAGES`].
const READY_DAYS: u32 = 14;
/// See [`READY_MESSAGES`].
const READY_PERCENT: u64 = 98;

/// Checks the DMARC record of a domain.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let class = look_ups.take(class::class_of(facts, answers));
    let discovery = look_ups.take(dmarc::discover(domain, answers));
    let suffix = look_ups.take(dmarc::by_suffix(domain, answers));
    look_ups.done()?;
    let (Some(class), Some(discovery), Some(suffix)) = (class, discovery, suffix) else { return Ok(checks) };
    strays(&mut checks, &discovery);
    if let Some((_, trouble)) = discovery.trouble()
        && discovery.policy_record().is_none()
    {
        for code in [&DMARC_NONE, &DMARC_WALK, &DMARC_P_BAD, &DMARC_RUA_NONE] {
            checks.unknown(code, domain, trouble);
        }
        return Ok(checks);
    }
    divergence(&mut checks, &discovery, &suffix);
    let Some((owner, record)) = discovery.policy_record() else {
        missing(&mut checks, facts, class, &discovery);
        return Ok(checks);
    };
    checks.pass(&DMARC_NONE, domain);
    walked(&mut checks, &discovery, owner, record);
    let name = owner.below("_dmarc").unwrap_or_else(|_| owner.clone());
    let better = improved(facts, owner, &name, record);
    syntax(&mut checks, &name, record, &better);
    order(&mut checks, &name, record);
    let answer = answers.get(&name, RecordType::Txt)?;
    let days = days_known(&facts.known, &name, answer, facts.now);
    policies(&mut checks, facts, &discovery, (owner, record), &name, days);
    if record.rua.is_empty() {
        let finding = Finding::new(&DMARC_RUA_NONE, &name, "no rua");
        checks.find(match destination_for(facts, owner) {
            Some((_, mend)) => finding.mend(mend).publish(better),
            None => finding,
        });
    } else {
        checks.pass(&DMARC_RUA_NONE, &name);
    }
    if !record.ruf.is_empty() {
        let evidence = record.ruf.iter().map(|uri| uri.text.clone()).collect::<Vec<_>>().join(", ");
        checks.find(Finding::new(&DMARC_RUF, &name, short(&evidence)));
    }
    destinations(&mut checks, owner, record, answers)?;
    Ok(checks)
}

/// The record as every mend of it would have it, so that no two findings ask for different ones: without removed
/// tags that change nothing, and with an address for reports.
fn improved(facts: &Facts, owner: &Name, name: &Name, record: &Record) -> RecordToPublish {
    let is_dead = |part: &str| {
        let tag = part.split('=').next().unwrap_or_default().trim();
        record.remarks.iter().any(|remark| {
            remark.flaw == Flaw::RemovedTag
                && remark.tag.trim() == tag
                && !changes_mail(&remark.tag, &remark.value)
        })
    };
    let parts = record.text.split(';').map(str::trim).filter(|part| !part.is_empty() && !is_dead(part));
    let mut text = parts.collect::<Vec<_>>().join("; ");
    if record.rua.is_empty()
        && let Some((address, _)) = destination_for(facts, owner)
    {
        text = String::from_utf8_lossy(&amend::dmarc(text.as_bytes(), &[&address], &[])).into_owned();
    }
    let old = RecordData::Txt(vec![record.text.clone().into_bytes()]).to_string();
    RecordToPublish::text(name.clone(), &text).replaces([old])
}

/// True of a removed tag that older readers still obey: without it they would act differently.
fn changes_mail(tag: &str, value: &str) -> bool {
    tag.trim().eq_ignore_ascii_case("pct") && value.trim() != "100"
}

/// Names that cannot be used, and texts that are nearly records.
fn strays(checks: &mut Checks, discovery: &Discovery) {
    for step in &discovery.steps {
        let Some(asked) = &step.asked else { continue };
        if let Found::Several(texts) = &step.found {
            let evidence = format!("{} records: {}", texts.len(), short(&texts.join(" / ")));
            checks.find(Finding::new(&DMARC_MULTI, asked, evidence));
        }
        for stray in &step.strays {
            let Some(near_miss) = stray.near_miss else { continue };
            let why = match near_miss {
                NearMiss::VersionCase => "the version is written in the wrong case",
                NearMiss::VersionNotFirst => "the version is not the first tag",
                NearMiss::LeadingText => "something stands before the version",
                NearMiss::VersionTail => "something stands right after the version",
                NearMiss::NoVersion => "the version is missing",
                NearMiss::Spf => "an SPF record stands here; it belongs at the domain itself",
            };
            checks.find(Finding::new(&DMARC_ALMOST, asked, format!("{why}: `{}`", short(&stray.text))));
        }
    }
}

/// What older receivers find.
fn divergence(checks: &mut Checks, discovery: &Discovery, suffix: &BySuffix) {
    let domain = &discovery.start;
    if let Some(trouble) = &suffix.trouble {
        checks.unknown(&DMARC_DIVERGE, domain, trouble);
        return;
    }
    let ours = discovery.policy_record().map(|(name, _)| name);
    let theirs = suffix.record.as_ref().map(|(name, _)| name);
    let told = |name: Option<&Name>| name.map_or("none".to_owned(), ToString::to_string);
    if ours != theirs {
        let evidence = format!(
            "the record in force stands at {} by RFC 9989, at {} by the public suffix list",
            told(ours),
            told(theirs)
        );
        checks.find(Finding::new(&DMARC_DIVERGE, domain, evidence));
    } else if let Some(organizational) = &discovery.organizational
        && ours.is_some()
        && *organizational != suffix.organizational
    {
        let evidence = format!(
            "the organizational domain is {organizational} by RFC 9989, {} by the public suffix list: relaxed \
             alignment differs",
            suffix.organizational
        );
        checks.find(Finding::new(&DMARC_DIVERGE, domain, evidence));
    } else {
        checks.pass(&DMARC_DIVERGE, domain);
    }
}

/// The names that were asked, in words.
fn asked(discovery: &Discovery) -> String {
    let names = discovery.steps.iter().filter_map(|step| step.asked.as_ref()).map(ToString::to_string);
    names.collect::<Vec<_>>().join(", ")
}

/// No record applies.
fn missing(checks: &mut Checks, facts: &Facts, class: Option<Class>, discovery: &Discovery) {
    let domain = &facts.domain;
    if class == Some(Class::MailHost) {
        checks.skip(&DMARC_NONE, domain, "a host, not a mail domain");
        return;
    }
    let organizational = dmarc::organizational_by_suffix(domain);
    let name = organizational.below("_dmarc").unwrap_or_else(|_| organizational.clone());
    let finding = Finding::new(&DMARC_NONE, domain, format!("no record at {}", asked(discovery)));
    checks.find(if class == Some(Class::Parked) {
        let record = RecordToPublish::text(name, "v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s");
        finding.mend("publish a record that refuses all mail").publish(record)
    } else {
        match destination_for(facts, &organizational) {
            Some((address, mend)) => {
                let text = format!("v=DMARC1; p=none; rua={}", amend::mailto(&address));
                let changes_nothing = "`p=none` changes nothing for mail and shows who sends";
                finding.mend(format!("{mend}; {changes_nothing}")).publish(RecordToPublish::text(name, &text))
            }
            None => finding,
        }
    });
}

/// Where reports about a domain are to go, and how to ask for them: the mailbox of the configuration, else one in
/// the domain itself that its owner has to make.
fn destination_for(facts: &Facts, owner: &Name) -> Option<(Address, String)> {
    if let Some(address) = facts.mailboxes.aggregate.first() {
        let mend =
            format!("publish the record; `mailsonde setup {}` prints what else it needs", facts.domain);
        return Some((address.clone(), mend));
    }
    let address = Address::new("dmarc", &DomainName::parse(owner.as_str())?);
    let mend =
        format!("publish a record such as this one, with a mailbox that you read in the place of {address}");
    Some((address, mend))
}

/// How the record was found.
fn walked(checks: &mut Checks, discovery: &Discovery, owner: &Name, record: &Record) {
    let domain = &discovery.start;
    let organizational =
        discovery.organizational.as_ref().map_or("not known".to_owned(), ToString::to_string);
    let evidence = format!(
        "asked {}; the record of {owner} is in force (`{}`); organizational domain {organizational} ({})",
        asked(discovery),
        short(&record.text),
        discovery.rule.as_str()
    );
    checks.find(Finding::new(&DMARC_WALK, domain, evidence));
    if domain.label_count() > limits::DMARC_WALK_QUERIES {
        if owner == domain {
            checks.pass(&DMARC_DEEP, domain);
        } else {
            checks.find(Finding::new(&DMARC_DEEP, domain, format!("{} labels", domain.label_count())));
        }
    }
}

/// What is discarded of the record.
fn syntax(checks: &mut Checks, name: &Name, record: &Record, better: &RecordToPublish) {
    let mut is_clean = true;
    for remark in &record.remarks {
        let written = match (remark.tag.as_str(), remark.value.as_str()) {
            ("", value) => format!("`{}`", short(value)),
            (tag, value) => format!("`{}={}`", short(tag), short(value)),
        };
        let in_force =
            if remark.in_force.is_empty() { String::new() } else { format!(": {}", remark.in_force) };
        let evidence = format!("{written} ({}){in_force}", remark.flaw.as_str());
        let (code, severity): (&'static Code, Severity) = match remark.flaw {
            // Told by what becomes of the whole record, below.
            Flaw::MissingPolicy => continue,
            Flaw::InvalidValue if ["p", "sp", "np"].contains(&remark.tag.as_str()) => continue,
            Flaw::RemovedTag if changes_mail(&remark.tag, &remark.value) => (&DMARC_TAGS, Severity::Warning),
            Flaw::RemovedTag | Flaw::ObsoleteSize => (&DMARC_TAGS, Severity::Note),
            Flaw::FoWithoutRuf => (&DMARC_FO, Severity::Note),
            Flaw::InvalidUri => (&DMARC_RUA_URI, Severity::Error),
            Flaw::UnknownTag | Flaw::TagCase => (&DMARC_SYNTAX, Severity::Note),
            Flaw::RepeatedTag | Flaw::InvalidValue | Flaw::NotATag | Flaw::More => {
                (&DMARC_SYNTAX, Severity::Warning)
            }
        };
        is_clean &= code != &DMARC_SYNTAX;
        let finding = Finding::new(code, name, evidence).severity(severity);
        let is_mended = remark.flaw == Flaw::RemovedTag && !changes_mail(&remark.tag, &remark.value);
        checks.find(if is_mended { finding.publish(better.clone()) } else { finding });
    }
    if is_clean {
        checks.pass(&DMARC_SYNTAX, name);
    }
    let effect = match record.force() {
        Force::AsPublished => return checks.pass(&DMARC_P_BAD, name),
        Force::AsNone => "the record counts as `p=none`",
        Force::Nothing => "there is no DMARC at all, since no address for reports is valid either",
    };
    checks.find(Finding::new(&DMARC_P_BAD, name, format!("{effect}: `{}`", short(&record.text))));
}

/// Whether `p` stands where older readers look for it.
fn order(checks: &mut Checks, name: &Name, record: &Record) {
    let parts: Vec<&str> = record.text.split(';').map(str::trim).filter(|part| !part.is_empty()).collect();
    let is_policy =
        |part: &&&str| part.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case("p");
    let Some(policy) = parts.iter().find(is_policy) else { return };
    if parts.get(1) == Some(policy) {
        checks.pass(&DMARC_P_OLD, name);
        return;
    }
    let rest = parts.iter().skip(1).filter(|part| *part != policy);
    let text: Vec<&str> = parts.iter().take(1).chain([policy]).chain(rest).copied().collect();
    let old = RecordData::Txt(vec![record.text.clone().into_bytes()]).to_string();
    let publish = RecordToPublish::text(name.clone(), &text.join("; ")).replaces([old]);
    checks.find(Finding::new(&DMARC_P_OLD, name, format!("`{}`", short(&record.text))).publish(publish));
}

/// The policies and their modes; `days` for which the record is known to be as it is.
fn policies(
    checks: &mut Checks,
    facts: &Facts,
    discovery: &Discovery,
    (owner, record): (&Name, &Record),
    name: &Name,
    days: Option<i64>,
) {
    let is_suffix = psl::suffix_str(owner.as_str()) == Some(owner.as_str());
    if record.psd == Psd::Yes && !is_suffix {
        let evidence = "psd=y, but the domain is not on the public suffix list";
        checks.find(Finding::new(&DMARC_PSD, name, evidence));
    } else {
        checks.pass(&DMARC_PSD, name);
    }
    let Some(own) = record.p.policy().filter(|_| record.force() == Force::AsPublished) else { return };
    if own == Policy::None {
        checks.find(none_policy(facts, name, record, days));
    } else {
        checks.pass(&DMARC_NONE_POLICY, name);
    }
    if record.is_testing && own > Policy::None {
        let evidence = format!("p={} is applied as {}", own.as_str(), own.milder().as_str());
        checks.find(match days {
            Some(days) if days > TEST_DAYS => {
                let evidence = format!("{evidence}, for {days} days");
                Finding::new(&DMARC_TEST, name, evidence).severity(Severity::Warning)
            }
            _ => Finding::new(&DMARC_TEST, name, evidence),
        });
    } else {
        checks.pass(&DMARC_TEST, name);
    }
    let (sp, np) = (record.sp.policy(), record.np.policy());
    let is_organizational = discovery.organizational.as_ref() == Some(owner);
    if !is_organizational && owner == &discovery.start && (sp.is_some() || np.is_some()) {
        checks.find(Finding::new(&DMARC_SP_IGNORED, name, short(&record.text)));
        return;
    }
    let existing = sp.unwrap_or(own);
    let absent = np.unwrap_or(existing);
    let weaker: Vec<String> = [("subdomains", existing), ("names that do not exist", absent)]
        .into_iter()
        .filter(|(_, policy)| *policy < own)
        .map(|(what, policy)| format!("{what}: {}", policy.as_str()))
        .collect();
    if weaker.is_empty() {
        checks.pass(&DMARC_SP, name);
    } else {
        let evidence = format!("{}; the domain itself: {}", weaker.join(", "), own.as_str());
        checks.find(Finding::new(&DMARC_SP, name, evidence));
    }
}

/// `p=none`, with what reports say of the next step (RFC 9989 §5.1.5).
fn none_policy(facts: &Facts, name: &Name, record: &Record, days: Option<i64>) -> Finding {
    let mut evidence = "p=none".to_owned();
    if let Some(days) = days {
        // Writing to a string cannot fail.
        let _ = write!(evidence, " for {days} days");
    }
    let Some(reported) = facts.reported.as_ref().filter(|reported| !reported.mail.is_empty()) else {
        return Finding::new(&DMARC_NONE_POLICY, name, evidence);
    };
    let (whole, pass) = (reported.messages(), reported.sum(ReportedMail::passes));
    let _ = write!(evidence, "; {} pass in {} days", share(pass, whole), reported.days);
    let finding = Finding::new(&DMARC_NONE_POLICY, name, evidence);
    let is_ready = whole >= READY_MESSAGES
        && reported.covered_days >= READY_DAYS
        && pass.saturating_mul(100) >= whole.saturating_mul(READY_PERCENT);
    if !is_ready {
        return finding;
    }
    let text = changed(&record.text, &[("p", Some("quarantine"))]);
    let old = RecordData::Txt(vec![record.text.clone().into_bytes()]).to_string();
    let publish = RecordToPublish::text(name.clone(), &text).replaces([old]);
    finding.mend("the reports say that it is time: ask for `quarantine`").publish(publish)
}

/// Whether reports can go to each address (RFC 9990 §4).
fn destinations(checks: &mut Checks, owner: &Name, record: &Record, answers: &Answers) -> Result<(), Ask> {
    let mut hosts: Vec<(Name, &ReportUri)> = Vec::new();
    for uri in record.rua.iter().chain(&record.ruf) {
        let Some(host) = host_of(uri) else {
            let evidence = format!("`{}`: receivers need to send by mail alone", short(&uri.text));
            checks.find(Finding::new(&DMARC_RUA_URI, owner, evidence).severity(Severity::Warning));
            continue;
        };
        if !hosts.iter().any(|(known, _)| *known == host) && hosts.len() < limits::HEALTH_HOSTS {
            hosts.push((host, uri));
        }
    }
    let mut look_ups = LookUps::new(answers);
    let own = look_ups.take(dmarc::discover(owner, answers));
    let own = own.and_then(|found| found.organizational);
    let mut parts = Vec::new();
    for (host, uri) in &hosts {
        parts.push(look_ups.take(destination(owner, own.as_ref(), host, uri, answers)));
    }
    look_ups.done()?;
    for part in parts.into_iter().flatten() {
        checks.all.extend(part.all);
    }
    Ok(())
}

/// The domain of a mailbox for reports.
fn host_of(uri: &ReportUri) -> Option<Name> {
    let domain = uri.mailbox.as_ref()?.domain_name()?;
    Name::from_dotted(domain.as_str()).ok()
}

/// One destination of reports; `own` is the organizational domain of the record's owner.
fn destination(
    owner: &Name,
    own: Option<&Name>,
    host: &Name,
    uri: &ReportUri,
    answers: &Answers,
) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let takes = look_ups.take(takes_mail(host, answers));
    let theirs = look_ups.take(dmarc::discover(host, answers));
    let name = host.below("_report._dmarc").and_then(|name| name.below_labels_of(owner)).ok();
    let answer = name.as_ref().filter(|_| owner != host).and_then(|name| look_ups.get(name, RecordType::Txt));
    look_ups.done()?;
    match takes {
        Some(Ok(true)) => checks.pass(&DMARC_RUA_MX, host),
        Some(Ok(false)) => {
            let evidence = format!("`{}`: no MX and no address, or a null MX", short(&uri.text));
            checks.find(Finding::new(&DMARC_RUA_MX, host, evidence));
        }
        Some(Err(trouble)) => checks.unknown(&DMARC_RUA_MX, host, &trouble),
        None => {}
    }
    match (own, theirs.and_then(|found| found.organizational)) {
        _ if owner == host => return Ok(checks),
        (Some(own), Some(theirs)) if *own == theirs => {
            checks.pass(&DMARC_RUA_AUTH, host);
            return Ok(checks);
        }
        (Some(_), Some(_)) => {}
        _ => {
            let detail = "it is not known whether the host belongs to the domain";
            checks.unknown_for(&DMARC_RUA_AUTH, host, "organizational-domain", detail);
            return Ok(checks);
        }
    }
    let (Some(name), Some(answer)) = (name, answer) else {
        let evidence = format!("`{}._report._dmarc.{host}`", owner.as_str());
        checks.find(Finding::new(&DMARC_RUA_LONG, host, evidence));
        return Ok(checks);
    };
    if let Outcome::NotKnown(trouble) = &answer.outcome {
        checks.unknown(&DMARC_RUA_AUTH, host, trouble);
        return Ok(checks);
    }
    let records: Vec<Record> = answer.texts().filter_map(|text| Record::parse(&text)).collect();
    if records.is_empty() {
        let evidence = format!("nothing at {name} allows reports about {owner}");
        let publish = RecordToPublish::text(name, "v=DMARC1;");
        checks.find(Finding::new(&DMARC_RUA_AUTH, host, evidence).publish(publish));
        return Ok(checks);
    }
    checks.pass(&DMARC_RUA_AUTH, host);
    let other =
        records.iter().flat_map(|record| &record.rua).find(|other| host_of(other).as_ref() != Some(host));
    match other {
        Some(other) => {
            let evidence = format!("{name} names `{}`", short(&other.text));
            checks.find(Finding::new(&DMARC_RUA_OVERRIDE, host, evidence));
        }
        None => checks.pass(&DMARC_RUA_OVERRIDE, host),
    }
    Ok(checks)
}

/// Whether a domain takes mail (RFC 5321 §5.1, RFC 7505 §3); an error where nobody could say.
pub(super) fn takes_mail(host: &Name, answers: &Answers) -> Result<Result<bool, NotKnown>, Ask> {
    let mx = answers.get(host, RecordType::Mx)?;
    match &mx.outcome {
        Outcome::Records(_) => return Ok(Ok(mx.exchangers().iter().any(|mx| !mx.exchange.is_root()))),
        Outcome::NoName => return Ok(Ok(false)),
        Outcome::NotKnown(trouble) => return Ok(Err(trouble.clone())),
        Outcome::NoType => {}
    }
    let mut look_ups = LookUps::new(answers);
    let both = [look_ups.get(host, RecordType::A), look_ups.get(host, RecordType::Aaaa)];
    look_ups.done()?;
    let both = || both.iter().flatten();
    if both().any(|answer| answer.addresses().next().is_some()) {
        return Ok(Ok(true));
    }
    Ok(match both().find_map(|answer| answer.trouble()) {
        Some(trouble) => Err(trouble.clone()),
        None => Ok(false),
    })
}

/// The beginning of a text from outside, on one line.
fn short(text: &str) -> String {
    let clean: String = text.chars().filter(|character| !character.is_control()).collect();
    let cut: String = clean.chars().take(120).collect();
    if cut.len() < clean.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{facts, fixture, troubles};

    #[test]
    fn each_fault_of_the_zone() {
        let zone = fixture!("dmarc.zone");
        let cases: &[(&str, &[&str])] = &[
            ("good.example", &["DMARC-WALK info good.example"]),
            ("sub.good.example", &["DMARC-WALK info sub.good.example"]),
            ("none.example", &["DMARC-NONE error none.example"]),
            (
                "silent.example",
                &[
                    "DMARC-NONE not-known silent.example",
                    "DMARC-P-BAD not-known silent.example",
                    "DMARC-RUA-NONE not-known silent.example",
                    "DMARC-WALK not-known silent.example",
                ],
            ),
            ("two.example", &["DMARC-MULTI error _dmarc.two.example", "DMARC-NONE error two.example"]),
            ("case.example", &["DMARC-ALMOST error _dmarc.case.example", "DMARC-NONE error case.example"]),
            (
                "nop.example",
                &[
                    "DMARC-P-BAD error _dmarc.nop.example",
                    "DMARC-RUA-NONE warning _dmarc.nop.example",
                    "DMARC-WALK info nop.example",
                ],
            ),
            (
                "old.example",
                &[
                    "DMARC-FO note _dmarc.old.example",
                    "DMARC-NONE-POLICY note _dmarc.old.example",
                    "DMARC-SYNTAX note _dmarc.old.example",
                    "DMARC-TAGS note _dmarc.old.example",
                    "DMARC-TAGS warning _dmarc.old.example",
                    "DMARC-WALK info old.example",
                ],
            ),
            ("late.example", &["DMARC-P-OLD note _dmarc.late.example", "DMARC-WALK info late.example"]),
            (
                "weak.example",
                &[
                    "DMARC-SP warning _dmarc.weak.example",
                    "DMARC-TEST note _dmarc.weak.example",
                    "DMARC-WALK info weak.example",
                ],
            ),
            (
                "rua.example",
                &[
                    "DMARC-RUA-AUTH error refused.example",
                    "DMARC-RUA-AUTH not-known unsure.example",
                    "DMARC-RUA-MX error refused.example",
                    "DMARC-RUA-OVERRIDE error moved.example",
                    "DMARC-RUF info _dmarc.rua.example",
                    "DMARC-WALK info rua.example",
                ],
            ),
        ];
        for (domain, want) in cases {
            let (checks, rounds) = zone.settle(|answers| check(&facts(domain), answers));
            assert!(rounds.len() <= 5, "{domain}: {rounds:?}");
            assert_eq!(troubles(&checks), *want, "{domain}");
        }
    }

    /// The mailbox of the configuration stands in the record to publish, not one that nobody has made.
    #[test]
    fn records_to_publish_name_our_mailbox() {
        let zone = fixture!("dmarc.zone");
        for (domain, code, want) in [
            ("none.example", &DMARC_NONE, "\"v=DMARC1; p=none; rua=mailto:in@m.example\""),
            ("nop.example", &DMARC_RUA_NONE, "\"v=DMARC1; p=none; rua=mailto:in@m.example\""),
        ] {
            let mut facts = facts(domain);
            facts.mailboxes.aggregate = vec![Address::parse("in@m.example").unwrap()];
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            let finding = checks.findings().find(|finding| finding.code == code).unwrap();
            assert_eq!(finding.publish.as_ref().unwrap().value, want);
            assert!(finding.mend.contains(&format!("mailsonde setup {domain}")), "{}", finding.mend);
        }
    }

    /// The next step is proposed where enough mail passes for long enough, and a test that goes on is worse.
    #[test]
    fn reports_and_history_say_when_it_is_time() {
        use crate::dns_health::reported::KnownRecords;
        use crate::dns_health::sample::{mail, reported};
        let zone = fixture!("dmarc.zone");
        let of = |pass: u64, fail: u64, covered: u32| {
            let mut facts = facts("old.example");
            let all = vec![
                mail("192.0.2.1", "old.example", "pass", pass),
                mail("192.0.2.9", "old.example", "fail", fail),
            ];
            let mut seen = reported("old.example", all);
            seen.covered_days = covered;
            facts.reported = Some(seen);
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            let finding =
                checks.findings().find(|finding| finding.code == &DMARC_NONE_POLICY).unwrap().clone();
            (finding.evidence, finding.publish.is_some())
        };
        assert_eq!(
            of(990, 10, 30),
            ("p=none; 990 of 1000 messages (99.0 %) pass in 35 days".to_owned(), true)
        );
        assert!(!of(970, 30, 30).1 && !of(99, 0, 30).1 && !of(990, 10, 13).1);
        let severity = |days: i64| {
            let mut facts = facts("weak.example");
            let text = "\"v=DMARC1; p=reject; sp=none; t=y; rua=mailto:d@weak.example\"";
            facts.known = vec![KnownRecords {
                name: Name::from_dotted("_dmarc.weak.example").unwrap(),
                records: vec![text.to_owned()],
                since: crate::clock::Timestamp::from_ms(facts.now.ms() - days * 86_400_000),
            }];
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            checks.findings().find(|finding| finding.code == &DMARC_TEST).unwrap().severity
        };
        assert_eq!((severity(30), severity(90)), (Severity::Note, Severity::Warning));
    }

    #[test]
    fn records_to_publish_are_whole() {
        let zone = fixture!("dmarc.zone");
        let publish = |domain: &str, code: &Code| {
            let (checks, _) = zone.settle(|answers| check(&facts(domain), answers));
            let finding = checks.findings().find(|finding| finding.code == code).unwrap();
            let record = finding.publish.as_ref().unwrap();
            format!("{} {}", record.name, record.value)
        };
        assert_eq!(
            publish("none.example", &DMARC_NONE),
            "_dmarc.none.example \"v=DMARC1; p=none; rua=mailto:dmarc@none.example\""
        );
        assert_eq!(
            publish("rua.example", &DMARC_RUA_AUTH),
            "rua.example._report._dmarc.refused.example \"v=DMARC1;\""
        );
        assert_eq!(
            publish("late.example", &DMARC_P_OLD),
            "_dmarc.late.example \"v=DMARC1; p=reject; rua=mailto:d@late.example\""
        );
        assert_eq!(
            publish("nop.example", &DMARC_RUA_NONE),
            "_dmarc.nop.example \"v=DMARC1; p=none; rua=mailto:dmarc@nop.example\""
        );
    }
}
