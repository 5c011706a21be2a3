//! DKIM: the keys at every selector that is known, or can be guessed.
//!
//! Selectors cannot be listed in DNS (RFC 6376 §3.1). They are known from signatures of mail that arrived, from
//! reports, or from the operator; beside them a short list of common ones is tried, of which absence says nothing.

use crate::authentication::dkim::TagFault;
use crate::authentication::key::{self, AtSelector, KeyFault, KeyKind, KeyRecord, Material};
use crate::dns::{Answer, Answers, Ask, Name, Outcome, Question, RecordType};
use crate::dns_health::class::{self, Class};
use crate::dns_health::facts::{Facts, SelectorOrigin};
use crate::dns_health::finding::{Checks, Code, Finding, RecordToPublish, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::dns_health::reported::days_known;

codes! {
    DKIM_SEL = "DKIM-SEL", Info, "RFC 6376 §3.1", "a selector with a key, and where it is known from", "-";
    DKIM_ENT = "DKIM-ENT", Error, "RFC 8020 §2", "nothing exists below `_domainkey`: the domain has no DKIM key at all", "sign the domain's mail and publish the key";
    DKIM_GONE = "DKIM-GONE", Critical, "RFC 6376 §3.6.2", "a selector that is in use has no key: its signatures fail, also those of mail still on its way", "publish the key again, and keep it for two weeks after its last use";
    DKIM_CNAME = "DKIM-CNAME", Error, "RFC 6376 §3.6.2", "a selector is an alias of a name without a key: the provider has not enabled DKIM for the domain, or has ended it", "enable DKIM at the provider, or remove the alias";
    DKIM_MULTI = "DKIM-MULTI", Error, "RFC 6376 §3.6.2.2", "several texts at one selector: what verifiers do is undefined", "keep one key a selector";
    DKIM_PARSE = "DKIM-PARSE", Error, "RFC 6376 §3.6.1", "a key record cannot be read as it should", "publish the record as the signing software prints it";
    DKIM_REVOKED = "DKIM-REVOKED", Info, "RFC 6376 §3.6.1", "a key is revoked (`p=` is empty)", "nothing, if no mail is signed with it any more";
    DKIM_BITS = "DKIM-BITS", Warning, "RFC 8301 §3.2", "an RSA key is shorter or longer than verifiers like, or its exponent is bad", "make an RSA key of 2048 bits under a new selector, sign with it, and revoke the old one";
    DKIM_WEAK = "DKIM-WEAK", Critical, "RFC 8301 §3.2", "anybody can sign with the key", "make a new key under a new selector, and revoke this one at once";
    DKIM_ED25519 = "DKIM-ED25519", Error, "RFC 8463 §4", "an Ed25519 key is not the 32 octets that it should be, or no RSA key stands beside it", "publish the 32 octets alone; sign with an RSA key too, for verifiers that know no other";
    DKIM_TEST = "DKIM-TEST", Note, "RFC 6376 §3.6.1", "a key says that the domain is testing (`t=y`): verifiers may treat its mail as unsigned", "remove `t=y` once the signatures are right";
    DKIM_HASH = "DKIM-HASH", Error, "RFC 8301 §3.1", "a key does not allow SHA-256, the one hash in use", "remove `h=`, or let it be `h=sha256`";
    DKIM_SERVICE = "DKIM-SERVICE", Error, "RFC 6376 §3.6.1", "a key is not for e-mail", "remove `s=`, or let it be `s=email`";
    DKIM_SHARED = "DKIM-SHARED", Note, "-", "the same key stands under several selectors: changing the selector changes nothing", "make a key for each selector";
    DKIM_PARKED = "DKIM-PARKED", Info, "RFC 6376 §3.6.1", "every selector of a domain without mail is revoked by a wildcard", "nothing: harmless, and not needed";
    DKIM_ADSP = "DKIM-ADSP", Note, "-", "a policy of ADSP or DomainKeys, which nobody reads any more", "remove it; DMARC took its place";
}

/// Selectors that signing software and providers use by default.
pub const COMMON: [&str; 24] = [
    "default",
    "dkim",
    "mail",
    "google",
    "selector1",
    "selector2",
    "s1",
    "s2",
    "k1",
    "k2",
    "k3",
    "key1",
    "key2",
    "smtp",
    "email",
    "mx",
    "fm1",
    "fm2",
    "fm3",
    "protonmail",
    "zoho",
    "mandrill",
    "mailjet",
    "20230601",
];

/// Days after which a test should be over.
const TEST_DAYS: i64 = 30;

/// One selector and what stands there.
struct Selector<'a> {
    /// The label or labels.
    label: String,
    /// Where it is known from.
    origin: SelectorOrigin,
    /// The name of its key.
    name: Name,
    /// The answer.
    answer: &'a Answer,
    /// What it means.
    found: AtSelector,
}

impl Selector<'_> {
    /// True if mail signed with it was seen.
    fn is_in_use(&self) -> bool {
        matches!(self.origin, SelectorOrigin::Arrival | SelectorOrigin::Report)
    }

    /// The keys there.
    fn keys(&self) -> &[KeyRecord] {
        match &self.found {
            AtSelector::Keys(keys) => keys,
            _ => &[],
        }
    }
}

/// Checks the keys of a domain.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let Ok(parent) = domain.below("_domainkey") else {
        checks.skip(&DKIM_SEL, domain, "the name is too long for a selector below it");
        return Ok(checks);
    };
    let mut look_ups = LookUps::new(answers);
    let class = look_ups.take(class::class_of(facts, answers));
    let parent_answer = look_ups.get(&parent, RecordType::Txt);
    let wildcard = parent.below(&facts.nonce).ok();
    let wildcard = wildcard.and_then(|name| look_ups.get(&name, RecordType::Txt));
    let known = known(facts);
    for (selector, _) in &known {
        if let Some(name) = key::key_name(selector, domain.as_str()) {
            look_ups.get(&name, RecordType::Txt);
        }
    }
    let old: Vec<Name> = ["_adsp", "_policy"].iter().filter_map(|label| parent.below(label).ok()).collect();
    for name in &old {
        look_ups.get(name, RecordType::Txt);
    }
    look_ups.done()?;
    let (Some(class), Some(parent_answer)) = (class, parent_answer) else { return Ok(checks) };
    let is_wild = wildcard.is_some_and(|answer| !answer.data().is_empty());
    // Nothing exists below a name that does not exist (RFC 8020 §2); below a wildcard everything does.
    let guesses = COMMON.iter().filter(|_| parent_answer.outcome != Outcome::NoName && !is_wild);
    let guesses = guesses.filter(|guess| !known.iter().any(|(selector, _)| selector == *guess));
    let all = known.iter().cloned().chain(guesses.map(|guess| ((*guess).to_owned(), SelectorOrigin::Guess)));
    let selectors = look(all.collect(), domain, answers)?;
    existence(&mut checks, facts, class, &parent, parent_answer, &selectors);
    for selector in &selectors {
        presence(&mut checks, selector);
        for record in selector.keys() {
            judge(&mut checks, facts, selector, record);
        }
    }
    together(&mut checks, domain, &selectors);
    if is_wild && let Some(answer) = wildcard {
        parked(&mut checks, &parent, answer, class);
    }
    for name in &old {
        let answer = answers.get(name, RecordType::Txt)?;
        if !answer.data().is_empty() && !is_wild {
            checks.find(Finding::new(&DKIM_ADSP, name, "a text record stands there"));
        }
    }
    Ok(checks)
}

/// The selectors that are known, each once, with the best origin.
fn known(facts: &Facts) -> Vec<(String, SelectorOrigin)> {
    let mut known: Vec<(String, SelectorOrigin)> = Vec::new();
    for selector in &facts.selectors {
        let name = selector.selector.to_lowercase();
        match known.iter_mut().find(|(other, _)| *other == name) {
            Some((_, origin)) => *origin = (*origin).min(selector.origin),
            None => known.push((name, selector.origin)),
        }
    }
    known
}

/// Looks at the keys of selectors, all side by side.
fn look<'a>(
    selectors: Vec<(String, SelectorOrigin)>,
    domain: &Name,
    answers: &'a Answers,
) -> Result<Vec<Selector<'a>>, Ask> {
    let named: Vec<_> = selectors
        .into_iter()
        .filter_map(|(selector, origin)| {
            let name = key::key_name(&selector, domain.as_str())?;
            Some((selector, origin, name))
        })
        .collect();
    answers.need(named.iter().map(|(_, _, name)| Question::new(name.clone(), RecordType::Txt)))?;
    let mut found = Vec::with_capacity(named.len());
    for (selector, origin, name) in named {
        let answer = answers.get(&name, RecordType::Txt)?;
        let keys = key::at(&name, answers)?;
        found.push(Selector { label: selector, origin, name, answer, found: keys });
    }
    Ok(found)
}

/// Whether the domain has keys at all.
fn existence(
    checks: &mut Checks,
    facts: &Facts,
    class: Option<Class>,
    parent: &Name,
    answer: &Answer,
    selectors: &[Selector<'_>],
) {
    let has_keys = selectors.iter().any(|selector| !selector.keys().is_empty());
    match &answer.outcome {
        Outcome::NotKnown(trouble) => checks.unknown(&DKIM_ENT, parent, trouble),
        Outcome::NoName if has_keys => checks.pass(&DKIM_ENT, parent),
        Outcome::NoName => match class {
            Some(class) if class.sends() => {
                let evidence = format!("{parent} does not exist, so nothing below it does");
                checks.find(Finding::new(&DKIM_ENT, parent, evidence));
            }
            Some(_) => checks.skip(&DKIM_ENT, parent, "no mail comes from this domain"),
            None => checks.unknown_for(&DKIM_ENT, parent, "class", "whether mail comes from it is not known"),
        },
        _ => checks.pass(&DKIM_ENT, parent),
    }
    let is_guess = selectors.iter().all(|selector| selector.origin == SelectorOrigin::Guess);
    let sends = class.is_none_or(Class::sends);
    if !has_keys && is_guess && sends && answer.outcome != Outcome::NoName && answer.trouble().is_none() {
        let detail =
            "no selector is known, and none of the common ones has a key: name one, or let mail arrive";
        checks.unknown_for(&DKIM_SEL, &facts.domain, "no-selector", detail);
    }
}

/// Whether a key stands at a selector.
fn presence(checks: &mut Checks, selector: &Selector<'_>) {
    let name = &selector.name;
    let origin = selector.origin.as_str();
    match &selector.found {
        AtSelector::Keys(keys) => {
            let bits = keys.iter().filter_map(KeyRecord::bits).map(|bits| format!("{bits} bits"));
            let kinds = keys.iter().map(|key| key.kind.as_str().to_owned());
            let facts: Vec<String> = kinds.chain(bits).collect();
            let evidence = format!("{} (known from: {origin}): {}", selector.label, facts.join(", "));
            checks.find(Finding::new(&DKIM_SEL, name, evidence));
            checks.pass(&DKIM_GONE, name);
            if selector.answer.data().len() > 1 {
                let evidence = format!("{} text records", selector.answer.data().len());
                checks.find(Finding::new(&DKIM_MULTI, name, evidence));
            } else {
                checks.pass(&DKIM_MULTI, name);
            }
        }
        AtSelector::NotKnown(trouble) => {
            if selector.origin != SelectorOrigin::Guess {
                checks.unknown(&DKIM_GONE, name, trouble);
            }
        }
        AtSelector::OtherText => {
            if selector.origin != SelectorOrigin::Guess {
                let evidence = "text records stand there, and none of them is a key";
                checks.find(Finding::new(&DKIM_PARSE, name, evidence));
            }
        }
        AtSelector::None | AtSelector::BadName => absent(checks, selector),
    }
}

/// No key at a selector.
fn absent(checks: &mut Checks, selector: &Selector<'_>) {
    let name = &selector.name;
    if let Some(target) = selector.answer.aliases.last() {
        let evidence = format!("alias of {target}, where nothing is");
        let finding = Finding::new(&DKIM_CNAME, name, evidence);
        let severity = if selector.is_in_use() { Severity::Critical } else { Severity::Error };
        checks.find(finding.severity(severity));
        return;
    }
    let finding = match selector.origin {
        SelectorOrigin::Guess => return,
        SelectorOrigin::Given => {
            Finding::new(&DKIM_GONE, name, "the selector that was named has no key").severity(Severity::Error)
        }
        SelectorOrigin::Arrival => Finding::new(&DKIM_GONE, name, "mail that arrived was signed with it"),
        SelectorOrigin::Report => Finding::new(&DKIM_GONE, name, "reports tell of mail signed with it"),
    };
    checks.find(finding);
}

/// What is wrong with one record.
fn judge(checks: &mut Checks, facts: &Facts, selector: &Selector<'_>, record: &KeyRecord) {
    let name = &selector.name;
    for fault in &record.faults {
        let (code, severity) = place(fault, selector.is_in_use());
        let mut finding = Finding::new(code, name, evidence(fault, record)).severity(severity);
        if let Some(target) = selector.answer.aliases.last() {
            finding.mend = format!("{}; the record stands at {target}, so ask whoever runs it", finding.mend);
        } else if let Some(mended) = record.mended() {
            let old = selector.answer.data().iter().map(ToString::to_string);
            let publish = RecordToPublish::text(name.clone(), &mended).replaces(old);
            finding = finding.mend("publish the record below").publish(publish);
        }
        checks.find(finding);
    }
    if let (Material::Rsa { .. }, Some(bits @ 1_024..2_048)) = (&record.material, record.bits()) {
        checks.find(Finding::new(&DKIM_BITS, name, format!("the RSA key has {bits} bits")));
    }
    let has =
        |wanted: &'static Code| record.faults.iter().any(|fault| std::ptr::eq(place(fault, false).0, wanted));
    for code in [&DKIM_PARSE, &DKIM_WEAK, &DKIM_HASH, &DKIM_SERVICE] {
        if !has(code) {
            checks.pass(code, name);
        }
    }
    if record.bits().is_some_and(|bits| bits == 256 || bits >= 2_048) && !has(&DKIM_BITS) {
        checks.pass(&DKIM_BITS, name);
    }
    if record.is_testing() {
        let finding = match days_known(&facts.known, name, selector.answer, facts.now) {
            Some(days) if days > TEST_DAYS => {
                Finding::new(&DKIM_TEST, name, format!("t=y for {days} days")).severity(Severity::Warning)
            }
            _ => Finding::new(&DKIM_TEST, name, "t=y"),
        };
        checks.find(finding);
    } else {
        checks.pass(&DKIM_TEST, name);
    }
}

/// The code and severity of a fault.
fn place(fault: &KeyFault, is_in_use: bool) -> (&'static Code, Severity) {
    match fault {
        KeyFault::Revoked if is_in_use => (&DKIM_REVOKED, Severity::Error),
        KeyFault::Revoked => (&DKIM_REVOKED, Severity::Info),
        KeyFault::TooShort(_) | KeyFault::TooLong(_) | KeyFault::Exponent(_) => (&DKIM_BITS, Severity::Error),
        KeyFault::Long(_) => (&DKIM_BITS, Severity::Note),
        KeyFault::Weak(_) => (&DKIM_WEAK, Severity::Critical),
        KeyFault::Ed25519Length(_) | KeyFault::Ed25519Spki | KeyFault::Ed25519Unnamed => {
            (&DKIM_ED25519, Severity::Error)
        }
        KeyFault::Hashes(_) => (&DKIM_HASH, Severity::Error),
        // RFC 8460 §3: keys for TLS reports alone are what they should be.
        KeyFault::Services(services) if services == "tlsrpt" => (&DKIM_SERVICE, Severity::Info),
        KeyFault::Services(_) => (&DKIM_SERVICE, Severity::Error),
        KeyFault::Granularity | KeyFault::Syntax(TagFault::Empty) => (&DKIM_PARSE, Severity::Note),
        KeyFault::VersionNotFirst | KeyFault::Trailing(_) => (&DKIM_PARSE, Severity::Warning),
        _ => (&DKIM_PARSE, Severity::Error),
    }
}

/// A fault with the beginning of its record.
fn evidence(fault: &KeyFault, record: &KeyRecord) -> String {
    let text: String = record.text.chars().filter(|character| !character.is_control()).take(60).collect();
    let dots = if text.len() < record.text.len() { "…" } else { "" };
    format!("{fault}: `{text}{dots}`")
}

/// What is wrong with all keys together.
fn together(checks: &mut Checks, domain: &Name, selectors: &[Selector<'_>]) {
    let keys =
        || selectors.iter().flat_map(|selector| selector.keys().iter().map(move |key| (selector, key)));
    let usable = || keys().filter(|(_, key)| key.fatal().is_none());
    let has_rsa = usable().any(|(_, key)| key.kind == KeyKind::Rsa);
    if usable().next().is_some() && !has_rsa {
        let evidence = "the keys found are Ed25519 alone; many verifiers know RSA alone";
        checks.find(Finding::new(&DKIM_ED25519, domain, evidence).severity(Severity::Warning));
    }
    let mut told: Vec<&Material> = Vec::new();
    for (_, key) in keys() {
        let material = &key.material;
        if matches!(material, Material::Revoked | Material::None) || told.contains(&material) {
            continue;
        }
        let same: Vec<&str> = keys()
            .filter(|(_, other)| other.material == *material)
            .map(|(selector, _)| selector.label.as_str())
            .collect();
        if same.len() > 1 {
            checks.find(Finding::new(&DKIM_SHARED, domain, format!("the same key at {}", same.join(", "))));
        }
        told.push(material);
    }
}

/// A wildcard below `_domainkey`.
fn parked(checks: &mut Checks, parent: &Name, answer: &Answer, class: Option<Class>) {
    let is_revoked = answer.texts().any(|text| KeyRecord::parse(&[text]).material == Material::Revoked);
    if is_revoked && class == Some(Class::Parked) {
        checks.find(Finding::new(&DKIM_PARKED, parent, "`*` below it is a revoked key"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::facts::KnownSelector;
    use crate::dns_health::reported::KnownRecords;
    use crate::dns_health::sample::{Zone, facts, fixture, troubles};

    /// A domain, its selectors, and what is found.
    type Case = (&'static str, &'static [(&'static str, SelectorOrigin)], &'static [&'static str]);

    /// The findings and unknowns of a domain, without the list of its selectors.
    fn found(zone: &Zone, domain: &str, selectors: &[(&str, SelectorOrigin)]) -> Vec<String> {
        let mut facts = facts(domain);
        facts.selectors = selectors
            .iter()
            .map(|(selector, origin)| KnownSelector { selector: (*selector).to_owned(), origin: *origin })
            .collect();
        let (checks, rounds) = zone.settle(|answers| check(&facts, answers));
        assert!(rounds.len() <= 3, "{rounds:?}");
        troubles(&checks).into_iter().filter(|line| !line.starts_with("DKIM-SEL info")).collect()
    }

    #[test]
    fn each_fault_of_the_zone() {
        use SelectorOrigin::{Arrival, Given, Guess, Report};
        let zone = fixture!("dkim.zone");
        let cases: &[Case] = &[
            ("good.example", &[("s1", Arrival)], &[]),
            ("good.example", &[("gone", Arrival)], &["DKIM-GONE critical gone._domainkey.good.example"]),
            ("good.example", &[("gone", Report)], &["DKIM-GONE critical gone._domainkey.good.example"]),
            ("good.example", &[("gone", Given)], &["DKIM-GONE error gone._domainkey.good.example"]),
            ("good.example", &[("gone", Guess)], &[]),
            ("none.example", &[], &["DKIM-ENT error _domainkey.none.example"]),
            ("quiet.example", &[], &[]),
            ("other.example", &[], &["DKIM-SEL not-known other.example"]),
            (
                "silent.example",
                &[("s1", Arrival)],
                &[
                    "DKIM-ENT not-known _domainkey.silent.example",
                    "DKIM-GONE not-known s1._domainkey.silent.example",
                ],
            ),
            (
                "alias.example",
                &[("s1", Arrival), ("s2", Given), ("s3", Given)],
                &[
                    "DKIM-CNAME critical s1._domainkey.alias.example",
                    "DKIM-CNAME error s2._domainkey.alias.example",
                ],
            ),
            (
                "bits.example",
                &[("short", Given), ("weak", Given), ("s1", Given)],
                &[
                    "DKIM-BITS error short._domainkey.bits.example",
                    "DKIM-BITS warning s1._domainkey.bits.example",
                    "DKIM-BITS warning weak._domainkey.bits.example",
                    "DKIM-WEAK critical weak._domainkey.bits.example",
                ],
            ),
            (
                "paste.example",
                &[("slash", Given), ("spki", Given), ("old", Given)],
                &[
                    "DKIM-ED25519 error spki._domainkey.paste.example",
                    "DKIM-PARSE error slash._domainkey.paste.example",
                    "DKIM-PARSE error slash._domainkey.paste.example",
                    "DKIM-PARSE error slash._domainkey.paste.example",
                    "DKIM-PARSE note old._domainkey.paste.example",
                ],
            ),
            (
                "flags.example",
                &[("s1", Given), ("s2", Given), ("tls", Given)],
                &[
                    "DKIM-HASH error s2._domainkey.flags.example",
                    "DKIM-SERVICE error s2._domainkey.flags.example",
                    "DKIM-SERVICE info tls._domainkey.flags.example",
                    "DKIM-SHARED note flags.example",
                    "DKIM-TEST note s1._domainkey.flags.example",
                ],
            ),
            (
                "two.example",
                &[("s1", Given), ("s2", Arrival)],
                &[
                    "DKIM-MULTI error s1._domainkey.two.example",
                    "DKIM-REVOKED error s2._domainkey.two.example",
                    "DKIM-REVOKED info s1._domainkey.two.example",
                ],
            ),
            ("young.example", &[("s1", Given)], &["DKIM-ED25519 warning young.example"]),
            ("parked.example", &[], &["DKIM-PARKED info _domainkey.parked.example"]),
            ("adsp.example", &[("s1", Given)], &["DKIM-ADSP note _adsp._domainkey.adsp.example"]),
        ];
        for (domain, selectors, want) in cases {
            assert_eq!(found(&zone, domain, selectors), *want, "{domain} {selectors:?}");
        }
    }

    #[test]
    fn a_test_that_does_not_end_is_worse() {
        let zone = fixture!("dkim.zone");
        let mut facts = facts("flags.example");
        facts.selectors = vec![KnownSelector { selector: "s1".to_owned(), origin: SelectorOrigin::Given }];
        let name = Name::from_dotted("s1._domainkey.flags.example").unwrap();
        let (records, _) = zone.settle(|answers| {
            let answer = answers.get(&name, RecordType::Txt)?;
            Ok(answer.data().iter().map(ToString::to_string).collect::<Vec<_>>())
        });
        let mut severity = |days: i64| {
            let since = crate::clock::Timestamp::from_ms(facts.now.ms() - days * 86_400_000);
            facts.known = vec![KnownRecords { name: name.clone(), records: records.clone(), since }];
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            checks.findings().find(|finding| finding.code == &DKIM_TEST).unwrap().severity
        };
        assert_eq!((severity(20), severity(40)), (Severity::Note, Severity::Warning));
    }

    #[test]
    fn a_bad_paste_is_written_anew() {
        let zone = fixture!("dkim.zone");
        let mut facts = facts("paste.example");
        facts.selectors = vec![KnownSelector { selector: "slash".to_owned(), origin: SelectorOrigin::Given }];
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        let finding = checks.findings().find(|finding| finding.code == &DKIM_PARSE).unwrap();
        let publish = finding.publish.as_ref().unwrap();
        assert_eq!(publish.name.as_str(), "slash._domainkey.paste.example");
        assert!(publish.value.starts_with("\"v=DKIM1; k=rsa; p=MII"), "{}", publish.value);
        assert_eq!(publish.old.len(), 1);
    }
}
