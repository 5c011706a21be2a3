//! DMARC beside the mail that reports tell of: what a policy costs, who needs another record, whether reports come.

use crate::authentication::dmarc::{self, Discovery, Force, Mode, Policy, Record};
use crate::clock::Timestamp;
use crate::dns::{Answers, Ask, Name, NotKnown, Outcome, RecordData, RecordType};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, RecordToPublish, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::reported::{FEW, POLICY_TAGS, Reported, ReportedMail, SeenPolicy, is_share, share};
use crate::limits;

codes! {
    DMARC_REJECT_USERS = "DMARC-REJECT-USERS", Note, "RFC 9989 §7.4", "`p=reject` on a domain whose mail goes to mailing lists: lists lose it, and their members are taken off", "use `p=quarantine` for the mail of people, and `p=reject` for domains of machines and for domains without mail";
    DMARC_SPFONLY = "DMARC-SPFONLY", Error, "RFC 9989 §7.4, §8", "`p=reject`, and a part of the mail passes by SPF alone: wherever it is forwarded it is lost", "let the source sign as the domain, or use a milder policy until it does";
    DMARC_SUBS = "DMARC-SUBS", Note, "RFC 9989 §5.1.4", "a subdomain that sends has no record of its own, or a weaker one", "publish a record for the subdomain, so that its policy and its reports do not hang on the domain's";
    DMARC_RUA_SELF = "DMARC-RUA-SELF", Error, "RFC 9990 §3.5", "reports are to go to this program, and the MX of their address does not lead to it", "let the MX name the host on which this program listens, or correct `rua`";
    DMARC_RUA_SILENT = "DMARC-RUA-SILENT", Warning, "RFC 9989 §5.3.8", "reports that came before do not come any more", "look at `rua`, at the MX of its host and at what is refused there; without mail there are no reports either";
    DMARC_ALIGN = "DMARC-ALIGN", Warning, "RFC 9989 §4.4", "`adkim=s` or `aspf=s`, and mail that is yours is aligned only if relaxed", "remove `adkim=s` and `aspf=s`, or sign as the very domain in From";
    DMARC_PUBLISHED = "DMARC-PUBLISHED", Note, "RFC 9990 §3.1.1.5", "reporters saw another policy than DNS shows now", "nothing if you changed it within days; else ask each name server of the domain for its record";
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// Days without a report after which they are missed.
const SILENT_DAYS: i64 = 7;
/// Days of reports by which a reporter is known to report daily.
const STEADY_DAYS: u32 = 10;
/// Things of one kind that are told.
const TOLD: usize = 10;

/// Checks the DMARC record of a domain against reported mail.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    if facts.reported.is_none() && facts.mailboxes.host.is_none() {
        for code in CODES {
            checks.skip(code, domain, "no report about the domain is stored");
        }
        return Ok(checks);
    }
    let discovery = dmarc::discover(domain, answers)?;
    let Some((owner, record)) = discovery.policy_record() else {
        match discovery.trouble() {
            Some((_, trouble)) => CODES.iter().for_each(|code| checks.unknown(code, domain, trouble)),
            None => CODES.iter().for_each(|code| checks.skip(code, domain, "no record is in force")),
        }
        return Ok(checks);
    };
    let mut look_ups = LookUps::new(answers);
    let own = look_ups.take(sinks(facts, owner, record, answers));
    let below = facts.reported.as_ref().map(|reported| subdomains(facts, reported, owner, record, answers));
    let below = below.and_then(|below| look_ups.take(below));
    look_ups.done()?;
    if let Some(reported) = &facts.reported {
        let place = Place { domain, owner, record };
        reject(&mut checks, &place, reported);
        alignment(&mut checks, &place, &discovery, reported);
        silence(&mut checks, &place, reported, facts.now);
        published(&mut checks, &place, reported, facts);
    }
    for part in [own, below].into_iter().flatten() {
        checks.all.extend(part.all);
    }
    Ok(checks)
}

/// A domain with the record in force.
struct Place<'a> {
    domain: &'a Name,
    owner: &'a Name,
    record: &'a Record,
}

impl Place<'_> {
    /// The policy for mail of the domain as it is applied: for its own name, or as a subdomain's.
    fn policy(&self) -> Policy {
        if self.record.force() != Force::AsPublished {
            return Policy::None;
        }
        let own = self.record.p.policy().unwrap_or(Policy::None);
        let policy = if self.domain == self.owner { own } else { self.record.sp.policy().unwrap_or(own) };
        if self.record.is_testing { policy.milder() } else { policy }
    }

    /// The record with one tag set anew, or removed, ready to be published.
    fn with(&self, tags: &[(&str, Option<&str>)]) -> Option<RecordToPublish> {
        let text = changed(&self.record.text, tags);
        let name = self.owner.below("_dmarc").ok()?;
        let old = RecordData::Txt(vec![self.record.text.clone().into_bytes()]).to_string();
        Some(RecordToPublish::text(name, &text).replaces([old]))
    }
}

/// A record's text with tags set anew in their places, or removed.
pub(super) fn changed(text: &str, tags: &[(&str, Option<&str>)]) -> String {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty()).filter_map(|part| {
        let tag = part.split('=').next().unwrap_or_default().trim();
        match tags.iter().find(|(name, _)| tag.eq_ignore_ascii_case(name)) {
            None => Some(part.to_owned()),
            Some((name, value)) => value.map(|value| format!("{name}={value}")),
        }
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// A finding with the record to publish, if there is one.
fn with_record(finding: Finding, record: Option<RecordToPublish>) -> Finding {
    match record {
        Some(record) => finding.publish(record),
        None => finding,
    }
}

/// What `p=reject` costs.
fn reject(checks: &mut Checks, place: &Place<'_>, reported: &Reported) {
    let domain = place.domain;
    if place.policy() != Policy::Reject {
        checks.skip(&DMARC_REJECT_USERS, domain, "the policy is not `reject`");
        checks.skip(&DMARC_SPFONLY, domain, "the policy is not `reject`");
        return;
    }
    let whole = reported.sum(ReportedMail::passes);
    if whole < FEW {
        for code in [&DMARC_REJECT_USERS, &DMARC_SPFONLY] {
            checks.unknown_for(
                code,
                domain,
                "few-reports",
                &format!("{whole} messages that pass are reported"),
            );
        }
        return;
    }
    let is_list = |mail: &ReportedMail| mail.overrides.iter().any(|reason| reason == "mailing_list");
    let lists = reported.sum(is_list);
    if lists > 0 {
        let evidence = format!("receivers call {} mail of a list", share(lists, reported.messages()));
        let tag = if domain == place.owner || place.record.sp.policy().is_none() { "p" } else { "sp" };
        let record = place.with(&[(tag, Some("quarantine"))]);
        checks.find(with_record(Finding::new(&DMARC_REJECT_USERS, domain, evidence), record));
    } else {
        checks.pass(&DMARC_REJECT_USERS, domain);
    }
    // Now and then a signature breaks on its way: what counts is a source most of whose mail has none.
    let sources = reported.sums_by(|mail| mail.source.filter(|_| mail.passes()));
    let unsigned = reported.sums_by(|mail| mail.source.filter(|_| mail.spf_aligned && !mail.dkim_aligned));
    let mut found: Vec<String> = Vec::new();
    let mut sum = 0_u64;
    for (source, messages) in unsigned {
        let all = sources.iter().find(|(known, _)| *known == source).map_or(0, |(_, all)| *all);
        if is_share(messages, all, 50) {
            sum = sum.saturating_add(messages);
            found.push(format!("{source} ({messages})"));
        }
    }
    if found.is_empty() {
        checks.pass(&DMARC_SPFONLY, domain);
        return;
    }
    let more = if found.len() > TOLD { format!(" and {} more", found.len() - TOLD) } else { String::new() };
    found.truncate(TOLD);
    let evidence = format!("{} pass by SPF alone, from {}{more}", share(sum, whole), found.join(", "));
    checks.find(Finding::new(&DMARC_SPFONLY, domain, evidence));
}

/// What strict alignment costs.
fn alignment(checks: &mut Checks, place: &Place<'_>, discovery: &Discovery, reported: &Reported) {
    let domain = place.domain;
    let strict: Vec<&str> = [("adkim", place.record.adkim), ("aspf", place.record.aspf)]
        .into_iter()
        .filter(|(_, mode)| *mode == Mode::Strict)
        .map(|(tag, _)| tag)
        .collect();
    let Some(organizational) = discovery.organizational.as_ref().filter(|_| !strict.is_empty()) else {
        checks.skip(&DMARC_ALIGN, domain, "alignment is relaxed");
        return;
    };
    let near = |mode: Mode, name: &Name, author: &Name| match mode {
        Mode::Strict => name == author,
        Mode::Relaxed => name.is_within(organizational) && author.is_within(organizational),
    };
    let aligned = |mail: &ReportedMail, adkim: Mode, aspf: Mode| {
        let signed = mail.dkim.iter().any(|(name, passes)| *passes && near(adkim, name, &mail.author));
        let sent =
            mail.spf.as_ref().is_some_and(|(name, word)| word == "pass" && near(aspf, name, &mail.author));
        signed || sent
    };
    let relaxed = reported.sum(|mail| aligned(mail, Mode::Relaxed, Mode::Relaxed));
    let lost = reported.sum(|mail| {
        aligned(mail, Mode::Relaxed, Mode::Relaxed) && !aligned(mail, place.record.adkim, place.record.aspf)
    });
    if relaxed < FEW {
        let detail = format!("{relaxed} messages that would pass are reported");
        checks.unknown_for(&DMARC_ALIGN, domain, "few-reports", &detail);
    } else if is_share(lost, relaxed, 1) {
        let evidence = format!("{} fail by strict alignment alone", share(lost, relaxed));
        let tags: Vec<(&str, Option<&str>)> = strict.into_iter().map(|tag| (tag, None)).collect();
        let record = place.with(&tags);
        checks.find(with_record(Finding::new(&DMARC_ALIGN, domain, evidence), record));
    } else {
        checks.pass(&DMARC_ALIGN, domain);
    }
}

/// Whether reports still come.
fn silence(checks: &mut Checks, place: &Place<'_>, reported: &Reported, now: Timestamp) {
    let domain = place.domain;
    if place.record.rua.is_empty() {
        checks.skip(&DMARC_RUA_SILENT, domain, "no report is asked for");
        return;
    }
    let Some(last) = reported.last_received else {
        let detail = "no report about the domain ever came by mail: from files nothing follows";
        checks.unknown_for(&DMARC_RUA_SILENT, domain, "no-reports", detail);
        return;
    };
    let days_since = |then: Timestamp| now.ms().saturating_sub(then.ms()) / DAY;
    if days_since(last) > SILENT_DAYS {
        let evidence = format!("the last one came on {}, {} days ago", last.day().iso(), days_since(last));
        checks.find(Finding::new(&DMARC_RUA_SILENT, domain, evidence));
        return;
    }
    checks.pass(&DMARC_RUA_SILENT, domain);
    let steady = reported.reporters.iter().filter(|reporter| reporter.days >= STEADY_DAYS);
    for reporter in steady.filter(|reporter| days_since(reporter.last) > SILENT_DAYS).take(TOLD) {
        let evidence = format!(
            "{}: reports of {} days, the last of {}",
            short(&reporter.name),
            reporter.days,
            reporter.last.day().iso()
        );
        let finding =
            Finding::new(&DMARC_RUA_SILENT, short(&reporter.name), evidence).severity(Severity::Note);
        checks.find(
            finding.mend("nothing if no mail went there; else ask whether that receiver still reports"),
        );
    }
}

/// What reporters saw of the policy.
fn published(checks: &mut Checks, place: &Place<'_>, reported: &Reported, facts: &Facts) {
    let Place { domain, owner, record } = *place;
    if *owner != reported.policy_domain || record.force() != Force::AsPublished {
        checks.skip(&DMARC_PUBLISHED, domain, "reports are about another record");
        return;
    }
    let name = owner.below("_dmarc").ok();
    let since = facts.known.iter().find(|known| Some(&known.name) == name.as_ref());
    // A day for caches, and the period of the report before which it began.
    let settled = since.map_or(i64::MIN, |known| known.since.ms().saturating_add(DAY));
    let is_recent = |seen: &&SeenPolicy| {
        seen.begin.ms() >= settled && facts.now.ms().saturating_sub(seen.end.ms()) <= 3 * DAY
    };
    let recent: Vec<&SeenPolicy> = reported.policies.iter().filter(is_recent).collect();
    if recent.is_empty() {
        checks.unknown_for(&DMARC_PUBLISHED, domain, "no-reports", "no report of the last days is there");
        return;
    }
    let mut found: Vec<String> = Vec::new();
    for seen in &recent {
        let differs = differences(seen, record);
        if !differs.is_empty() {
            found.push(format!("{} saw {}", short(&seen.reporter), differs.join(", ")));
        }
    }
    if found.is_empty() {
        checks.pass(&DMARC_PUBLISHED, domain);
        return;
    }
    let more = if found.len() > TOLD { format!(" and {} more", found.len() - TOLD) } else { String::new() };
    let count = found.len();
    found.truncate(TOLD);
    let evidence = format!("{count} of {} reporters: {}{more}", recent.len(), found.join("; "));
    checks.find(Finding::new(&DMARC_PUBLISHED, domain, evidence));
}

/// The tags of a report that do not mean what the record says; what a reporter leaves out means nothing.
fn differences(seen: &SeenPolicy, record: &Record) -> Vec<String> {
    let own = record.p.policy().unwrap_or(Policy::None);
    let existing = record.sp.policy().unwrap_or(own);
    let mode = |mode: Mode| if mode == Mode::Strict { "s" } else { "r" };
    let now = [
        own.as_str(),
        existing.as_str(),
        record.np.policy().unwrap_or(existing).as_str(),
        mode(record.adkim),
        mode(record.aspf),
        if record.is_testing { "y" } else { "n" },
    ];
    let pairs = POLICY_TAGS.iter().zip(&seen.tags).zip(now);
    pairs
        .filter_map(|((tag, written), now)| {
            let written = written.as_ref()?.trim().to_ascii_lowercase();
            (!written.is_empty() && written != now).then(|| format!("{tag}={}", short(&written)))
        })
        .collect()
}

/// Subdomains that send: each with a record as strict?
fn subdomains(
    facts: &Facts,
    reported: &Reported,
    owner: &Name,
    record: &Record,
    answers: &Answers,
) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let authors = reported.sums_by(|mail| mail.passes().then(|| mail.author.clone()));
    let below = authors
        .into_iter()
        .filter(|(name, messages)| *messages >= FEW && name != domain && name.is_within(domain));
    let mut found = Vec::new();
    for (name, messages) in below.take(TOLD) {
        let Ok(asked) = name.below("_dmarc") else { continue };
        found.push((look_ups.get(&asked, RecordType::Txt), asked, name, messages));
    }
    look_ups.done()?;
    if found.is_empty() {
        checks.skip(&DMARC_SUBS, domain, "no subdomain is known to send");
    }
    let inherited = Place { domain: &Name::root(), owner, record }.policy();
    for (answer, asked, name, messages) in found {
        let Some(answer) = answer else { continue };
        if let Some(trouble) = answer.trouble() {
            checks.unknown(&DMARC_SUBS, &name, trouble);
            continue;
        }
        let records: Vec<Record> = answer.texts().filter_map(|text| Record::parse(&text)).collect();
        let evidence = match records.as_slice() {
            [own] => {
                let policy = Place { domain: &name, owner: &name, record: own }.policy();
                if policy >= inherited {
                    checks.pass(&DMARC_SUBS, &name);
                    continue;
                }
                format!(
                    "{messages} messages; its own record asks for `{}`, that of {owner} for `{}`",
                    policy.as_str(),
                    inherited.as_str()
                )
            }
            [] => {
                format!("{messages} messages; the record of {owner} holds for it (`{}`)", inherited.as_str())
            }
            // Told where that domain is checked; here it is no record.
            more => format!("{messages} messages; {} records stand there, which is none", more.len()),
        };
        let text = changed(&record.text, &[("p", Some(inherited.as_str())), ("sp", None), ("np", None)]);
        let finding = Finding::new(&DMARC_SUBS, &name, evidence);
        checks.find(if records.len() > 1 {
            finding
        } else {
            finding.publish(RecordToPublish::text(asked, &text))
        });
    }
    Ok(checks)
}

/// Whether the addresses for reports that are ours lead here.
fn sinks(facts: &Facts, owner: &Name, record: &Record, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let domain = &facts.domain;
    let ours = &facts.mailboxes;
    let Some(sink) = ours.host.as_ref().filter(|_| !ours.aggregate.is_empty()) else {
        checks.skip(&DMARC_RUA_SELF, domain, "it is not known where this program takes reports");
        return Ok(checks);
    };
    let mut look_ups = LookUps::new(answers);
    let wanted: Vec<_> = record.rua.iter().filter_map(|uri| uri.mailbox.as_ref()).collect();
    let own: Vec<_> =
        wanted.into_iter().filter(|one| ours.aggregate.iter().any(|mailbox| mailbox.matches(one))).collect();
    let mut hosts: Vec<Name> = Vec::new();
    for name in own.iter().filter_map(|mailbox| Name::from_dotted(mailbox.domain_name()?.as_str()).ok()) {
        if !hosts.contains(&name) && hosts.len() < limits::HEALTH_HOSTS {
            hosts.push(name);
        }
    }
    let parts: Vec<_> = hosts.iter().map(|host| look_ups.take(leads_to(host, sink, answers))).collect();
    look_ups.done()?;
    if hosts.is_empty() {
        let comes = facts.reported.as_ref().and_then(|reported| reported.last_received);
        let is_recent = |last: Timestamp| facts.now.ms().saturating_sub(last.ms()) <= SILENT_DAYS * DAY;
        if ours.reads_elsewhere || comes.is_some_and(is_recent) {
            checks.skip(&DMARC_RUA_SELF, domain, "reports come here on another way");
        } else {
            let evidence = format!("`rua` of {owner} names no address at which this program takes reports");
            let first = ours.aggregate.first();
            let mend = first.map_or_else(String::new, |mailbox| format!("add `mailto:{mailbox}` to `rua`"));
            let finding = Finding::new(&DMARC_RUA_SELF, domain, evidence).severity(Severity::Warning);
            checks.find(finding.mend(mend));
        }
    }
    for (host, leads) in hosts.iter().zip(parts) {
        match leads {
            Some(Ok(true)) => checks.pass(&DMARC_RUA_SELF, host),
            Some(Ok(false)) => {
                let evidence = format!("the MX of {host} does not lead to {sink}");
                checks.find(Finding::new(&DMARC_RUA_SELF, host, evidence));
            }
            Some(Err(trouble)) => checks.unknown(&DMARC_RUA_SELF, host, &trouble),
            None => {}
        }
    }
    Ok(checks)
}

/// Whether mail for a domain goes to a host, by its name or its addresses; an error where nobody could say.
fn leads_to(domain: &Name, host: &Name, answers: &Answers) -> Result<Result<bool, NotKnown>, Ask> {
    let mx = answers.get(domain, RecordType::Mx)?;
    let targets: Vec<Name> = match &mx.outcome {
        Outcome::Records(_) => mx
            .exchangers()
            .into_iter()
            .map(|mx| mx.exchange.clone())
            .filter(|target| !target.is_root())
            .take(limits::HEALTH_HOSTS)
            .collect(),
        Outcome::NotKnown(trouble) => return Ok(Err(trouble.clone())),
        // RFC 5321 §5.1: without an MX, the domain itself.
        _ => vec![domain.clone()],
    };
    if targets.contains(host) {
        return Ok(Ok(true));
    }
    let mut look_ups = LookUps::new(answers);
    let mut addresses = |name: &Name| {
        let both = [look_ups.get(name, RecordType::A), look_ups.get(name, RecordType::Aaaa)];
        let both = both.into_iter().flatten();
        both.map(|answer| (answer.addresses().collect::<Vec<_>>(), answer.trouble())).collect::<Vec<_>>()
    };
    let own = addresses(host);
    let theirs: Vec<_> = targets.iter().flat_map(&mut addresses).collect();
    look_ups.done()?;
    let is_same = own
        .iter()
        .flat_map(|(all, _)| all)
        .any(|address| theirs.iter().any(|(all, _)| all.contains(address)));
    if is_same {
        return Ok(Ok(true));
    }
    match own.iter().chain(&theirs).find_map(|(_, trouble)| *trouble) {
        Some(trouble) => Ok(Err(trouble.clone())),
        None => Ok(Ok(false)),
    }
}

/// The beginning of a text from outside, on one line.
fn short(text: &str) -> String {
    let clean: String = text.chars().filter(|character| !character.is_control()).collect();
    let cut: String = clean.chars().take(80).collect();
    if cut.len() < clean.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
#[path = "dmarc_reported/tests.rs"]
mod tests;
