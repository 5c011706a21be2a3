//! SPF beside the mail that reports tell of: terms that nobody uses, senders that no term names, envelopes that never
//! align, names without a record.
//!
//! Which term authorizes a source is read from the networks of the tree; no address of a report is looked up.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::authentication::spf::tree::{self, Addresses, Tree};
use crate::authentication::spf::{Mechanism, Qualifier, TermKind};
use crate::dns::{Answer, Answers, Ask, Name, Outcome, RecordType};
use crate::dns_health::class;
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Finding, RecordToPublish, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::reported::{FEW, Reported, ReportedMail, is_share, share};
use crate::limits;
use crate::sources::{Clues, Domain, Kind, Senders, identify};

codes! {
    SPF_UNUSED = "SPF-UNUSED", Note, "RFC 9989 §7.1", "terms of the record from which no mail came, as reports tell", "remove them if you know them to be out of use; whoever sends once a year may be among them";
    SPF_MISSING = "SPF-MISSING", Note, "RFC 9989 §5.1.6", "a source signs as the domain and uses it in the envelope, and SPF does not list it", "add the address if the host is yours or your provider's; a forwarder cannot pass, and need not";
    SPF_HELO = "SPF-HELO", Note, "RFC 7208 §2.3, §10.1.3", "a host that sends has no SPF record under its own name, which counts for bounces", "publish a record for the host";
    SPF_SUB = "SPF-SUB", Note, "RFC 7208 §10.1.2", "a subdomain has mail and no SPF record: the domain's own does not hold for it", "publish a record for the subdomain; `v=spf1 -all` if no mail comes from it";
    SPF_ALIGN = "SPF-ALIGN", Info, "RFC 9989 §4.4.2", "SPF passes for the envelope of a service, which is not aligned with the domain", "let the service use a subdomain of yours in the envelope (a custom return path), or rely on DKIM alone";
    SPF_RACE = "SPF-RACE", Warning, "RFC 7208 §2.6.6", "receivers often cannot check SPF for want of an answer from DNS", "look at the name servers of the domain and of every include; remove includes whose servers are slow";
}

/// Days with reports below which nothing is said to be unused.
const COVERED_DAYS: u32 = 14;
/// Messages below which nothing is said to be unused.
const ENOUGH: u64 = 100;
/// Things of one kind that are told.
const TOLD: usize = 10;

/// Checks SPF against reported mail.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let wild = look_ups.take(wildcard(facts, answers));
    let Some(reported) = &facts.reported else {
        look_ups.done()?;
        for code in CODES.iter().filter(|code| **code != &SPF_SUB) {
            checks.skip(code, domain, "no report about the domain is stored");
        }
        checks.all.extend(wild.into_iter().flat_map(|checks| checks.all));
        return Ok(checks);
    };
    let tree = look_ups.take(tree::tree(domain, answers));
    let hosts = look_ups.take(hosts(facts, reported, answers));
    let below = look_ups.take(subdomains(facts, reported, answers));
    look_ups.done()?;
    if let Some(tree) = &tree {
        unused(&mut checks, domain, reported, tree);
        missing(&mut checks, domain, reported, tree);
    }
    align(&mut checks, domain, reported);
    race(&mut checks, domain, reported);
    for part in [wild, hosts, below].into_iter().flatten() {
        checks.all.extend(part.all);
    }
    Ok(checks)
}

/// Terms that no source of the reports needs.
fn unused(checks: &mut Checks, domain: &Name, reported: &Reported, tree: &Tree) {
    let Some(root) = tree.root() else { return };
    let Some(record) = root.record() else {
        checks.skip(&SPF_UNUSED, domain, "there is no SPF record");
        return;
    };
    let messages = reported.messages();
    if reported.covered_days < COVERED_DAYS || messages < ENOUGH || reported.cut > 0 {
        let detail = format!(
            "{messages} messages of {} days are reported: too few, or too many kinds, to say what is unused",
            reported.covered_days
        );
        checks.unknown_for(&SPF_UNUSED, domain, "few-reports", &detail);
        return;
    }
    let sources: Vec<IpAddr> = reported.mail.iter().filter_map(|mail| mail.source).collect();
    let mut idle = Vec::new();
    let (mut freed, mut is_any_used) = (0_u32, false);
    for (number, (written, term)) in record.terms.iter().zip(&root.terms).enumerate() {
        let TermKind::Directive(Qualifier::Pass, mechanism) = &written.kind else { continue };
        let is_definite = !matches!(mechanism, Mechanism::All | Mechanism::Exists(_) | Mechanism::Ptr(_))
            && !term.counts.is_lower_bound
            && term.unanswered.is_empty()
            && !term.is_loop;
        let Some(set) = set_of(tree, term).filter(|_| is_definite) else { continue };
        if sources.iter().any(|source| set.contains(*source)) {
            is_any_used = true;
        } else {
            freed = freed.saturating_add(term.counts.lookups);
            idle.extend(root.term_text(number).map(|text| format!("`{}`", short(&text))));
        }
    }
    // A record that lists none of its senders has another fault.
    if idle.is_empty() || !is_any_used {
        checks.pass(&SPF_UNUSED, domain);
        return;
    }
    let more = idle.len().saturating_sub(TOLD);
    idle.truncate(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let evidence = format!(
        "{}{more}: no source of {messages} messages in {} days; without them the record needs {freed} fewer look-ups",
        idle.join(", "),
        reported.days
    );
    checks.find(Finding::new(&SPF_UNUSED, domain, evidence));
}

/// The addresses of one term, if they can be known.
fn set_of(tree: &Tree, term: &tree::TreeTerm) -> Option<Addresses> {
    match term.child {
        None => Some(Addresses::of(term.networks.iter().copied())),
        Some(child) => {
            let authorized = &tree.nodes.get(child)?.authorized;
            (!authorized.may_pass_more).then(|| authorized.pass.clone())
        }
    }
}

/// Sources that sign as the domain, use it in the envelope, and are not listed.
fn missing(checks: &mut Checks, domain: &Name, reported: &Reported, tree: &Tree) {
    let Some(root) = tree.root().filter(|root| root.record().is_some()) else {
        checks.skip(&SPF_MISSING, domain, "there is no SPF record");
        return;
    };
    let whole = reported.messages();
    let is_meant =
        |mail: &ReportedMail| mail.dkim_aligned && mail.spf_of(domain).is_some_and(|result| result != "pass");
    let sources = reported.sums_by(|mail| mail.source.filter(|_| is_meant(mail)));
    let mut found = Vec::new();
    for (source, messages) in sources {
        let is_listed = root.authorized.pass.contains(source) || root.authorized.may_pass_more;
        if is_listed || !is_share(messages, whole, 1) || is_on_its_way(reported, domain, source) {
            continue;
        }
        found.push((source, messages));
    }
    if found.is_empty() {
        checks.pass(&SPF_MISSING, domain);
        return;
    }
    for (source, messages) in found.into_iter().take(TOLD) {
        let term = format!("{}:{source}", if source.is_ipv4() { "ip4" } else { "ip6" });
        let evidence = format!("{} sent by {source} carry the domain's signature", share(messages, whole));
        let mend = format!(
            "add `{term}` if the host is yours or your provider's: it costs no look-up, {} of {} are used",
            root.counts.lookups,
            limits::SPF_LOOKUPS
        );
        checks.find(Finding::new(&SPF_MISSING, source, evidence).mend(mend));
    }
}

/// True if a source sends mail on rather than first: a forwarder, or the host of a list.
fn is_on_its_way(reported: &Reported, domain: &Name, source: IpAddr) -> bool {
    let mut clues =
        Clues { ip: Some(source), policy_domains: vec![domain.as_str().to_owned()], ..Clues::default() };
    let add = |list: &mut Vec<Domain>, name: &Name, messages: u64| match list
        .iter_mut()
        .find(|known| known.name == name.as_str())
    {
        Some(known) => known.messages = known.messages.saturating_add(messages),
        None => list.push(Domain { name: name.as_str().to_owned(), messages }),
    };
    for mail in reported.mail.iter().filter(|mail| mail.source == Some(source)) {
        let count = |part: &mut u64, is_so: bool| {
            if is_so {
                *part = part.saturating_add(mail.messages);
            }
        };
        let passes = mail.spf.as_ref().filter(|(_, result)| result == "pass");
        count(&mut clues.messages, true);
        count(&mut clues.dkim_aligned, mail.dkim_aligned);
        count(&mut clues.spf_aligned, mail.spf_aligned);
        count(&mut clues.dkim_with_other_spf, mail.dkim_aligned && !mail.spf_aligned && passes.is_some());
        let is_forwarded = |reason: &String| reason == "forwarded" || reason == "trusted_forwarder";
        count(&mut clues.forwarded, mail.overrides.iter().any(is_forwarded));
        count(&mut clues.mailing_list, mail.overrides.iter().any(|reason| reason == "mailing_list"));
        for (name, _) in mail.dkim.iter().filter(|(_, passes)| *passes) {
            add(&mut clues.dkim, name, mail.messages);
        }
        if let Some((name, _)) = passes {
            add(&mut clues.spf, name, mail.messages);
        }
    }
    let kind = identify(&clues, Senders::shipped()).kind;
    matches!(kind, Some(Kind::Forwarder | Kind::MailingList | Kind::SecurityGateway))
}

/// Envelopes of services that pass and never align.
fn align(checks: &mut Checks, domain: &Name, reported: &Reported) {
    // Only mail that is proven to be the domain's: whoever forges it has envelopes of his own.
    let proven = |mail: &ReportedMail| mail.dkim_aligned && !mail.spf_aligned;
    let envelopes = reported.sums_by(|mail| {
        let (name, result) = mail.spf.as_ref()?;
        (proven(mail) && result == "pass").then(|| name.clone())
    });
    let whole = reported.sum(ReportedMail::passes);
    let found: Vec<_> =
        envelopes.into_iter().filter(|(_, messages)| is_share(*messages, whole, 5)).take(TOLD).collect();
    if found.is_empty() {
        checks.pass(&SPF_ALIGN, domain);
    }
    for (envelope, messages) in found {
        let evidence = format!("the envelope of {} is of {envelope}", share(messages, whole));
        checks.find(Finding::new(&SPF_ALIGN, envelope, evidence));
    }
}

/// Results for want of an answer.
fn race(checks: &mut Checks, domain: &Name, reported: &Reported) {
    let whole = reported.sum(|mail| mail.spf_of(domain).is_some());
    let failed = reported.sum(|mail| mail.spf_of(domain) == Some("temperror"));
    if whole < FEW {
        let detail = format!("{whole} messages with the domain in the envelope are reported");
        checks.unknown_for(&SPF_RACE, domain, "few-reports", &detail);
    } else if is_share(failed, whole, 1) {
        let evidence = format!("SPF gave `temperror` for {}", share(failed, whole));
        checks.find(Finding::new(&SPF_RACE, domain, evidence));
    } else {
        checks.pass(&SPF_RACE, domain);
    }
}

/// Names in HELO, and MX hosts that send: each with a record of its own?
fn hosts(facts: &Facts, reported: &Reported, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let mut names: Vec<Name> = Vec::new();
    let greeted = reported.sums_by(|mail| Some(mail.helo.as_ref().filter(|_| mail.passes())?.0.clone()));
    for (name, _) in greeted {
        if name != *domain && name.is_within(domain) && names.len() < TOLD {
            names.push(name);
        }
    }
    let mx = look_ups.get(domain, RecordType::Mx);
    let exchangers = mx.map(|answer| answer.exchangers()).unwrap_or_default();
    for mx in exchangers.into_iter().filter(|mx| mx.exchange.is_within(domain)).take(TOLD) {
        let addresses = [RecordType::A, RecordType::Aaaa].map(|kind| look_ups.get(&mx.exchange, kind));
        let mut addresses = addresses.into_iter().flatten().flat_map(Answer::addresses);
        let sends = addresses
            .any(|address| reported.mail.iter().any(|mail| mail.passes() && mail.source == Some(address)));
        if sends && mx.exchange != *domain && !names.contains(&mx.exchange) {
            names.push(mx.exchange.clone());
        }
    }
    let mut found = Vec::new();
    for name in names {
        let texts = look_ups.take(class::spf_texts(&name, answers));
        found.push((look_ups.get(&name, RecordType::Txt), texts, name));
    }
    look_ups.done()?;
    if found.is_empty() {
        checks.skip(&SPF_HELO, domain, "no host of the domain is known to send");
    }
    for (answer, texts, name) in found {
        let (Some(answer), Some(texts)) = (answer, texts) else { continue };
        if let Some(trouble) = answer.trouble() {
            checks.unknown(&SPF_HELO, &name, trouble);
        } else if texts.is_empty() {
            let finding = Finding::new(&SPF_HELO, &name, "it sends, and has no record");
            checks.find(finding.publish(RecordToPublish::text(name, "v=spf1 a -all")));
        } else {
            checks.pass(&SPF_HELO, &name);
        }
    }
    Ok(checks)
}

/// A wildcard that gives every subdomain an MX, and none a record.
fn wildcard(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let mut checks = Checks::new();
    let Ok(name) = facts.domain.below(&facts.nonce) else { return Ok(checks) };
    let mut look_ups = LookUps::new(answers);
    let mx = look_ups.get(&name, RecordType::Mx);
    let txt = look_ups.get(&name, RecordType::Txt);
    let texts = look_ups.take(class::spf_texts(&name, answers));
    look_ups.done()?;
    let (Some(mx), Some(txt), Some(texts)) = (mx, txt, texts) else { return Ok(checks) };
    let Ok(wildcard) = facts.domain.below("*") else { return Ok(checks) };
    match (&mx.outcome, txt.trouble()) {
        (Outcome::NotKnown(trouble), _) | (Outcome::Records(_), Some(trouble)) => {
            checks.unknown(&SPF_SUB, &wildcard, trouble);
        }
        (Outcome::Records(_), None) if texts.is_empty() && takes_mail(mx) => {
            let evidence = "a wildcard MX gives every subdomain mail, and no wildcard text says who sends";
            let finding = Finding::new(&SPF_SUB, &wildcard, evidence);
            checks.find(finding.publish(RecordToPublish::text(wildcard, "v=spf1 -all")));
        }
        _ => checks.pass(&SPF_SUB, &wildcard),
    }
    Ok(checks)
}

/// True for an MX that is none to say that no mail is wanted (RFC 7505 §3).
fn takes_mail(mx: &Answer) -> bool {
    mx.exchangers().iter().any(|mx| !mx.exchange.is_root())
}

/// Subdomains that reports name as author and that exist: each with a record of its own?
fn subdomains(facts: &Facts, reported: &Reported, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let authors = reported.sums_by(|mail| Some(mail.author.clone()));
    let below = authors.into_iter().filter(|(name, _)| name != domain && name.is_within(domain)).take(TOLD);
    let mut found = Vec::new();
    for (name, messages) in below {
        let mx = look_ups.get(&name, RecordType::Mx);
        let four = look_ups.get(&name, RecordType::A);
        let txt = look_ups.get(&name, RecordType::Txt);
        let texts = look_ups.take(class::spf_texts(&name, answers));
        found.push((name, messages, mx, four, txt, texts));
    }
    look_ups.done()?;
    for (name, messages, mx, four, txt, texts) in found {
        let (Some(mx), Some(four), Some(txt), Some(texts)) = (mx, four, txt, texts) else { continue };
        if let Some(trouble) = txt.trouble() {
            checks.unknown(&SPF_SUB, &name, trouble);
            continue;
        }
        // Whoever forges mail makes up names: what does not exist needs no record.
        let exists = !mx.data().is_empty() || !four.data().is_empty();
        if !texts.is_empty() || !exists {
            checks.pass(&SPF_SUB, &name);
            continue;
        }
        let evidence = format!("{messages} messages of {name} are reported, and it has no record");
        let publish = RecordToPublish::text(name.clone(), &record_for(reported, &name));
        checks.find(Finding::new(&SPF_SUB, &name, evidence).publish(publish));
    }
    Ok(checks)
}

/// A record for a subdomain: the sources that are proven to send for it, or nobody.
fn record_for(reported: &Reported, name: &Name) -> String {
    let sources = reported.sums_by(|mail| mail.source.filter(|_| mail.author == *name && mail.passes()));
    if sources.is_empty() {
        return "v=spf1 -all".to_owned();
    }
    let mut text = "v=spf1".to_owned();
    for (source, _) in sources.into_iter().take(TOLD) {
        // Writing to a string cannot fail.
        let _ = write!(text, " {}:{source}", if source.is_ipv4() { "ip4" } else { "ip6" });
    }
    text.push_str(" ~all");
    text
}

/// The beginning of a text from outside, on one line.
fn short(text: &str) -> String {
    let clean: String = text.chars().filter(|character| !character.is_control()).collect();
    let cut: String = clean.chars().take(160).collect();
    if cut.len() < clean.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::sample::{Zone, facts, mail, name, reported, short as lines, troubles};

    const ZONE: &str = "
example.com MX 10 mx.example.com
mx.example.com A 8.8.4.4
example.com TXT \"v=spf1 mx include:news.example ip4:8.8.8.0/24 include:idle.example exists:%{i}.x.example ~all\"
news.example TXT \"v=spf1 ip4:9.9.9.0/24 -all\"
idle.example TXT \"v=spf1 include:idle2.example -all\"
idle2.example TXT \"v=spf1 ip4:7.7.7.7 -all\"
plain.example MX 10 mx.plain.example
mx.plain.example A 8.8.4.5
mx.plain.example TXT \"v=spf1 a -all\"
plain.example TXT \"v=spf1 mx ip4:8.8.8.8 -all\"
wild.example MX 10 mx.example.com
wild.example TXT \"v=spf1 mx -all\"
*.wild.example MX 10 mx.example.com
nomail.example MX 10 mx.example.com
*.nomail.example MX 0 .
sub.plain.example MX 10 mx.plain.example
quiet.plain.example A 8.8.4.6
right.plain.example A 8.8.4.6
right.plain.example TXT \"v=spf1 -all\"
;! dark.plain.example TXT servfail
silent.example MX 10 mx.example.com
;! silent.example TXT servfail
";

    /// The findings and unknowns of a domain with this mail.
    fn found(domain: &str, mail: Vec<ReportedMail>) -> Vec<String> {
        let mut facts = facts(domain);
        facts.reported = Some(reported(domain, mail));
        let (checks, rounds) = Zone::parse(ZONE).settle(|answers| check(&facts, answers));
        assert!(rounds.len() <= 6, "{rounds:?}");
        troubles(&checks)
    }

    #[test]
    fn without_reports_nothing_is_said() {
        let zone = Zone::parse(ZONE);
        let (checks, _) = zone.settle(|answers| check(&facts("plain.example"), answers));
        assert_eq!(lines(&checks), ["SPF-SUB ok *.plain.example"]);
        let (checks, _) = zone.settle(|answers| check(&facts("wild.example"), answers));
        assert_eq!(lines(&checks), ["SPF-SUB note *.wild.example"]);
        let (checks, _) = zone.settle(|answers| check(&facts("nomail.example"), answers));
        assert_eq!(lines(&checks), ["SPF-SUB ok *.nomail.example"]);
        // Reports without mail: not known.
        let few = found("plain.example", Vec::new());
        assert_eq!(few, ["SPF-RACE not-known plain.example", "SPF-UNUSED not-known plain.example"]);
    }

    #[test]
    fn terms_that_nobody_uses() {
        let mut facts = facts("example.com");
        let used =
            vec![mail("8.8.4.4", "example.com", "pass", 900), mail("9.9.9.9", "example.com", "pass", 100)];
        facts.reported = Some(reported("example.com", used.clone()));
        let zone = Zone::parse(ZONE);
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        let finding = checks.findings().find(|finding| finding.code == &SPF_UNUSED).unwrap();
        assert!(
            finding
                .evidence
                .starts_with("`ip4:8.8.8.0/24`, `include:idle.example`: no source of 1000 messages")
                && finding.evidence.contains("needs 2 fewer look-ups"),
            "{}",
            finding.evidence
        );
        // What depends on the sender is never told to be unused; what is used is in order.
        let all = vec![
            mail("8.8.4.5", "plain.example", "pass", 900),
            mail("8.8.8.8", "plain.example", "pass", 100),
        ];
        assert_eq!(found("plain.example", all), [""; 0]);
        // Kinds that were left out may use anything.
        let mut cut = reported("example.com", used);
        cut.cut = 1;
        facts.reported = Some(cut);
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        assert!(
            lines(&checks).contains(&"SPF-UNUSED not-known example.com".to_owned()),
            "{:?}",
            lines(&checks)
        );
    }

    #[test]
    fn senders_that_are_not_listed() {
        let listed = || mail("8.8.8.8", "plain.example", "pass", 900);
        let signed = |result: &str, messages| ReportedMail {
            dkim: vec![(name("plain.example"), true)],
            dkim_aligned: true,
            ..mail("6.6.6.6", "plain.example", result, messages)
        };
        let mx = || mail("8.8.4.5", "plain.example", "pass", 100);
        let of = |more: ReportedMail| found("plain.example", vec![listed(), mx(), more]);
        assert_eq!(of(signed("fail", 50)), ["SPF-MISSING note 6.6.6.6"]);
        // A few messages are nobody's; unsigned mail may be forged; other envelopes need other records.
        assert_eq!(of(signed("fail", 9)), [""; 0]);
        assert_eq!(of(mail("6.6.6.6", "plain.example", "fail", 50)), [""; 0]);
        let other = ReportedMail { spf: Some((name("bounce.example"), "fail".into())), ..signed("fail", 50) };
        assert_eq!(of(other), [""; 0]);
        // Receivers say that it was forwarded.
        let forwarded = ReportedMail { overrides: vec!["forwarded".into()], ..signed("fail", 50) };
        assert_eq!(of(forwarded), [""; 0]);
    }

    #[test]
    fn envelopes_that_never_align_and_answers_that_fail() {
        let listed = || {
            vec![mail("8.8.8.8", "plain.example", "pass", 900), mail("8.8.4.5", "plain.example", "pass", 9)]
        };
        let with = |more: ReportedMail| {
            let mut all = listed();
            all.push(more);
            found("plain.example", all)
        };
        let service = ReportedMail {
            spf: Some((name("bounce.vendor.example"), "pass".into())),
            dkim: vec![(name("plain.example"), true)],
            dkim_aligned: true,
            spf_aligned: false,
            ..mail("5.5.5.5", "plain.example", "pass", 100)
        };
        assert_eq!(with(service.clone()), ["SPF-ALIGN info bounce.vendor.example"]);
        assert_eq!(with(ReportedMail { dkim_aligned: false, ..service }), [""; 0]);
        let slow = |messages| mail("8.8.8.8", "plain.example", "temperror", messages);
        assert_eq!(with(slow(50)), ["SPF-RACE warning plain.example"]);
        assert_eq!(with(slow(5)), [""; 0]);
    }

    #[test]
    fn hosts_and_subdomains_need_records_of_their_own() {
        // An MX of the domain that sends, and a name in HELO.
        let mut greets = mail("8.8.8.8", "plain.example", "pass", 900);
        greets.helo = Some((name("quiet.plain.example"), "none".into()));
        let all = vec![greets, mail("8.8.4.5", "plain.example", "pass", 100)];
        assert_eq!(found("plain.example", all), ["SPF-HELO note quiet.plain.example"]);
        let of = |sub: &str, passes: bool| {
            let author = ReportedMail {
                author: name(sub),
                spf: None,
                spf_aligned: false,
                dkim_aligned: passes,
                ..mail("8.8.8.8", "plain.example", "none", 40)
            };
            let mut facts = facts("plain.example");
            let used = vec![
                mail("8.8.8.8", "plain.example", "pass", 900),
                mail("8.8.4.5", "plain.example", "pass", 9),
                author,
            ];
            facts.reported = Some(reported("plain.example", used));
            let (checks, _) = Zone::parse(ZONE).settle(|answers| check(&facts, answers));
            let publish = checks.findings().filter(|finding| finding.code == &SPF_SUB);
            let publish: Vec<String> =
                publish.filter_map(|finding| Some(finding.publish.clone()?.value)).collect();
            (troubles(&checks), publish)
        };
        let found = |line: &str, publish: &str| (vec![line.to_owned()], vec![publish.to_owned()]);
        assert_eq!(
            of("sub.plain.example", true),
            found("SPF-SUB note sub.plain.example", "\"v=spf1 ip4:8.8.8.8 ~all\"")
        );
        assert_eq!(
            of("sub.plain.example", false),
            found("SPF-SUB note sub.plain.example", "\"v=spf1 -all\"")
        );
        assert_eq!(of("right.plain.example", true).0, [""; 0]);
        assert_eq!(of("madeup.plain.example", false).0, [""; 0]);
        assert_eq!(of("dark.plain.example", true).0, ["SPF-SUB not-known dark.plain.example"]);
    }
}
