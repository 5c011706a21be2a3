//! SPF: the record, the whole tree that it leads to, and whether the sources that are known pass.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::authentication::spf::tree::{self, Breach, BreachKind, Explanation, Found, Reach, Tree, TreeNode};
use crate::authentication::spf::{
    self, FaultKind, Identity, Input, Mechanism, Modifier, Qualifier, Record, SpfResult, TermKind,
};
use crate::dns::{Answers, Ask, Name, RecordData};
use crate::dns_health::addresses::special_use;
use crate::dns_health::class::{self, Class};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Code, Finding, RecordToPublish, Severity, codes};
use crate::dns_health::look_ups::LookUps;
use crate::limits;

codes! {
    SPF_NONE = "SPF-NONE", Error, "RFC 7208 §3.1, §10.1.2", "the domain has no SPF record", "publish a record that names whoever sends for the domain";
    SPF_MULTI = "SPF-MULTI", Error, "RFC 7208 §4.5", "several SPF records at one name: a permanent error everywhere", "make one record of them";
    SPF_ALMOST = "SPF-ALMOST", Error, "RFC 7208 §4.5", "a text that was meant as an SPF record and is none", "begin the record with `v=spf1` and a space";
    SPF_SYNTAX = "SPF-SYNTAX", Error, "RFC 7208 §4.6, §12", "a term cannot be read: a permanent error for the whole record", "correct the term";
    SPF_A_IP = "SPF-A-IP", Error, "RFC 7208 §12", "`a` or another term for names has an address", "use `ip4:` or `ip6:` for addresses";
    SPF_STRINGS = "SPF-STRINGS", Error, "RFC 7208 §3.3", "two strings of the record meet without a space between two terms", "put a space at the end of the first string";
    SPF_LOOKUPS = "SPF-LOOKUPS", Error, "RFC 7208 §4.6.4", "more than ten terms query DNS, or nearly so", "remove includes that nobody uses, and replace `a` and `mx` by their addresses";
    SPF_VOID = "SPF-VOID", Error, "RFC 7208 §4.6.4", "terms lead to names without an answer; more than two are a permanent error", "remove the terms, or name the addresses instead (`ip4:`, `ip6:`), which asks for nothing";
    SPF_MX10 = "SPF-MX10", Error, "RFC 7208 §4.6.4", "`mx` stands for more than ten hosts: a permanent error", "name the addresses instead";
    SPF_PTR = "SPF-PTR", Warning, "RFC 7208 §5.5", "`ptr` is slow and unreliable, and should not be used", "name the addresses instead";
    SPF_PMACRO = "SPF-PMACRO", Warning, "RFC 7208 §7.2", "the macro `p` is slow and unreliable, and should not be used", "use `%{i}` or name the addresses";
    SPF_ALL_PASS = "SPF-ALL-PASS", Critical, "RFC 7208 §5.1, §10.1.1", "every address may send in the domain's name", "end the record with `~all` or `-all`, and name the networks that send";
    SPF_ALL_NEUTRAL = "SPF-ALL-NEUTRAL", Warning, "RFC 7208 §4.7, §5.1", "the record says nothing about other senders", "end the record with `~all`";
    SPF_ALL_FAIL = "SPF-ALL-FAIL", Info, "RFC 7208 §8.4, RFC 9989 §7.1", "`-all` on a domain that sends: some receivers refuse forwarded mail before they look at DKIM", "nothing; `~all` with DMARC protects as well";
    SPF_AFTER_ALL = "SPF-AFTER-ALL", Warning, "RFC 7208 §5.1", "terms after `all` are never reached", "move them before `all`, or remove them";
    SPF_REDIRECT_DEAD = "SPF-REDIRECT-DEAD", Warning, "RFC 7208 §6.1", "`redirect` beside `all` is never used", "remove one of the two";
    SPF_INCLUDE_NONE = "SPF-INCLUDE-NONE", Error, "RFC 7208 §5.2, §6.1", "`include` or `redirect` leads to a name without an SPF record: a permanent error", "remove the term, or correct the name";
    SPF_INCLUDE_ALL = "SPF-INCLUDE-ALL", Critical, "RFC 7208 §5.2", "an included record lets every address pass", "remove the include";
    SPF_LOOP = "SPF-LOOP", Error, "RFC 7208 §4.6.4", "records include each other in a circle", "remove the term that closes the circle";
    SPF_DUP = "SPF-DUP", Note, "RFC 7208 §4.6.4", "the same record or network stands more than once", "remove the copy";
    SPF_WIDE = "SPF-WIDE", Note, "RFC 9989 §7.1", "very many addresses may send in the domain's name", "name smaller networks; addresses of a cloud belong to its other customers too";
    SPF_PRIVATE = "SPF-PRIVATE", Warning, "RFC 6890 §2.2", "the record names networks that are not on the public network", "remove them";
    SPF_SIZE = "SPF-SIZE", Note, "RFC 7208 §3.4", "the record is long: the answer may not fit into a packet", "keep it below 450 octets";
    SPF_TYPE99 = "SPF-TYPE99", Note, "RFC 7208 §3.1", "a record of the type SPF, which nobody reads any more", "remove it";
    SPF_SENDERID = "SPF-SENDERID", Note, "RFC 7208 §3.1", "a record of Sender ID, which nobody reads any more", "remove it";
    SPF_MODIFIER = "SPF-MODIFIER", Note, "RFC 7208 §6, §6.2", "a modifier without effect", "remove it, or correct its name or target";
    SPF_MACRO = "SPF-MACRO", Info, "RFC 7208 §7", "terms depend on the sender: what is counted here is the least", "-";
    SPF_SOURCE = "SPF-SOURCE", Note, "RFC 7208 §4, §2.6", "mail of the domain comes from an address that does not pass", "add the address if it is yours; a forwarder cannot pass, and need not";
}

/// Checks the SPF record of a domain.
pub fn check(facts: &Facts, answers: &Answers) -> Result<Checks, Ask> {
    let domain = &facts.domain;
    let mut checks = Checks::new();
    let mut look_ups = LookUps::new(answers);
    let class = look_ups.take(class::class_of(facts, answers));
    let tree = look_ups.take(tree::tree(domain, answers));
    look_ups.done()?;
    let (Some(class), Some(tree)) = (class, tree) else { return Ok(checks) };
    let Some(root) = tree.root() else { return Ok(checks) };
    if tree.old_type > 0 {
        checks.find(Finding::new(&SPF_TYPE99, domain, format!("{} of them", tree.old_type)));
    }
    match &root.found {
        Found::NotKnown(trouble) => {
            for code in CODES {
                checks.unknown(code, domain, trouble);
            }
            return Ok(checks);
        }
        Found::NotAsked => return Ok(checks),
        Found::NoName | Found::NoTexts => {}
        Found::Texts(published) => {
            for almost in &published.almost {
                let evidence = format!("{}: `{}`", almost.kind.sentence(), short(&almost.text));
                let mut finding = Finding::new(&SPF_ALMOST, domain, evidence);
                if let Some(mend) = almost.mend.as_ref().filter(|_| published.records.is_empty()) {
                    finding = finding.publish(publish(domain, mend, &[&almost.text]));
                }
                checks.find(finding);
            }
            for text in &published.sender_id {
                checks.find(Finding::new(&SPF_SENDERID, domain, format!("`{}`", short(text))));
            }
        }
    }
    let Some(record) = root.record() else {
        missing(&mut checks, facts, class);
        return Ok(checks);
    };
    checks.pass(&SPF_NONE, domain);
    several(&mut checks, root);
    breaches(&mut checks, &tree);
    strings(&mut checks, root);
    limits_of(&mut checks, &tree, root);
    ends(&mut checks, &tree, root, class);
    terms(&mut checks, &tree);
    addresses(&mut checks, &tree, root);
    copies(&mut checks, &tree);
    if record.octets().len() > 450 {
        let evidence = format!("{} octets", record.octets().len());
        checks.find(Finding::new(&SPF_SIZE, domain, evidence));
    } else {
        checks.pass(&SPF_SIZE, domain);
    }
    sources(&mut checks, facts, answers)?;
    Ok(checks)
}

/// A record to publish in the place of others.
fn publish(domain: &Name, text: &str, old: &[&str]) -> RecordToPublish {
    let old = old.iter().map(|text| RecordData::Txt(vec![text.as_bytes().to_vec()]).to_string());
    RecordToPublish::text(domain.clone(), text).replaces(old.collect::<Vec<_>>())
}

/// No record.
fn missing(checks: &mut Checks, facts: &Facts, class: Option<Class>) {
    let domain = &facts.domain;
    let finding = Finding::new(&SPF_NONE, domain, "no text record begins with `v=spf1`");
    if class.is_some_and(|class| !class.sends()) {
        let finding = finding.severity(Severity::Warning).mend("say that the domain sends no mail");
        checks.find(finding.publish(publish(domain, "v=spf1 -all", &[])));
        return;
    }
    let mut text = String::from("v=spf1");
    for source in facts.sources.iter().take(20) {
        // Writing to a string cannot fail.
        let _ = write!(text, " {}:{source}", if source.is_ipv4() { "ip4" } else { "ip6" });
    }
    if facts.sources.is_empty() && class == Some(Class::SendsAndReceives) {
        text.push_str(" mx");
    }
    text.push_str(" ~all");
    checks.find(finding.publish(publish(domain, &text, &[])));
}

/// Several records at the domain, made one.
fn several(checks: &mut Checks, root: &TreeNode) {
    let Some(published) = root.found.published().filter(|published| published.records.len() > 1) else {
        checks.pass(&SPF_MULTI, &root.domain);
        return;
    };
    let texts: Vec<String> =
        published.records.iter().map(|record| record.record.text().into_owned()).collect();
    let mut terms: Vec<&str> = Vec::new();
    let mut last: Option<&str> = None;
    for term in texts.iter().flat_map(|text| text.split(' ').skip(1)).filter(|term| !term.is_empty()) {
        if term.trim_start_matches(['+', '-', '~', '?']).eq_ignore_ascii_case("all") {
            last = Some(last.map_or(term, |known| if known.starts_with('~') { known } else { term }));
        } else if !terms.contains(&term) {
            terms.push(term);
        }
    }
    let merged = format!("v=spf1 {} {}", terms.join(" "), last.unwrap_or("~all"));
    let evidence = texts.iter().map(|text| format!("`{}`", short(text))).collect::<Vec<_>>().join(", ");
    let old: Vec<&str> = texts.iter().map(String::as_str).collect();
    checks.find(Finding::new(&SPF_MULTI, &root.domain, evidence).publish(publish(
        &root.domain,
        &merged,
        &old,
    )));
}

/// The record of a node with its faults mended; nothing where one cannot be.
fn mended(node: &TreeNode, record: &Record) -> Option<String> {
    let mut text = String::from("v=spf1");
    for number in 0..record.terms.len() {
        let mut faults = record.faults.iter().filter(|fault| fault.term == number).peekable();
        let term = match faults.peek() {
            Some(_) => faults.find_map(|fault| fault.mend.clone())?,
            None => node.term_text(number)?,
        };
        if !term.is_empty() {
            text.push(' ');
            text.push_str(&term);
        }
    }
    let is_right = Record::parse(text.clone().into_bytes()).faults.is_empty();
    is_right.then_some(text)
}

/// The record of the domain without the terms that lead nowhere; nothing where nothing would be left of it.
fn without_dead(tree: &Tree, node: &TreeNode, record: &Record) -> Option<String> {
    let all = tree.breaches();
    let is_dead = |number: usize| {
        let here = |breach: &Breach| breach.node == 0 && breach.term == Some(number);
        all.iter().any(|breach| here(breach) && breach.kind == BreachKind::LeadsNowhere)
    };
    let kept: Vec<String> = (0..record.terms.len())
        .filter(|number| !is_dead(*number))
        .map_while(|number| node.term_text(number))
        .collect();
    (!kept.is_empty()).then(|| format!("v=spf1 {}", kept.join(" ")))
}

/// The names below terms that gave no answer, once each.
fn void_names(tree: &Tree) -> String {
    let terms = tree.nodes.iter().flat_map(|node| &node.terms);
    let questions = terms.flat_map(|term| term.voids.iter().chain(&term.voids_four).chain(&term.voids_six));
    let mut names: Vec<String> =
        questions.map(|question| format!("{} {}", question.name, question.record_type)).collect();
    names.sort();
    names.dedup();
    short(&names.join(", "))
}

/// What gives a permanent error, anywhere in the tree.
fn breaches(checks: &mut Checks, tree: &Tree) {
    let mut found: Vec<&'static Code> = Vec::new();
    for breach in tree.breaches() {
        let Some(node) = tree.nodes.get(breach.node) else { continue };
        let is_own = breach.node == 0;
        let code: &'static Code = match &breach.kind {
            // Told with the record that would mend it.
            BreachKind::SeveralRecords(_) if is_own => continue,
            BreachKind::SeveralRecords(_) => &SPF_MULTI,
            BreachKind::Fault(fault) if fault.kind == FaultKind::AddressAsDomain => &SPF_A_IP,
            BreachKind::Fault(_) => &SPF_SYNTAX,
            BreachKind::Lookups(_) => &SPF_LOOKUPS,
            BreachKind::Voids(..) => &SPF_VOID,
            BreachKind::Exchangers(_) => &SPF_MX10,
            BreachKind::LeadsNowhere => &SPF_INCLUDE_NONE,
            BreachKind::Loop => &SPF_LOOP,
        };
        found.push(code);
        let term = breach.term.and_then(|term| node.term_text(term));
        let details = match (&breach.kind, term) {
            (BreachKind::LeadsNowhere, Some(term)) => {
                format!("`{}` {}", short(&term), breach.kind.sentence())
            }
            (BreachKind::Lookups(_), _) if is_own => {
                format!("{}: {}", breach.kind.sentence(), branches(tree, node))
            }
            (BreachKind::Voids(..), _) => format!("{}: {}", breach.kind.sentence(), void_names(tree)),
            (kind, Some(term)) => format!("{} in `{}`", kind.sentence(), short(&term)),
            (kind, None) => kind.sentence(),
        };
        let mut finding = Finding::new(code, &node.domain, details);
        if !is_own {
            let owner = node.owner.as_deref().unwrap_or("the owner of that name");
            finding.mend = format!("remove what leads to {}, or ask {owner} to mend it", node.domain);
        } else if let BreachKind::Fault(fault) = &breach.kind {
            if let Some(mend) = &fault.mend {
                finding.mend = match mend.as_str() {
                    "" => "remove the term".to_owned(),
                    mend => format!("write `{}`", short(mend)),
                };
            }
            if let Some(record) = node.record()
                && let Some(text) = mended(node, record)
            {
                finding = finding.publish(publish(&node.domain, &text, &[&record.text()]));
            }
        } else if breach.kind == BreachKind::LeadsNowhere
            && let Some(record) = node.record().filter(|record| record.faults.is_empty())
            && let Some(text) = without_dead(tree, node, record)
        {
            finding = finding.publish(publish(&node.domain, &text, &[&record.text()]));
        }
        checks.find(finding);
    }
    let Some(root) = tree.root() else { return };
    for code in [&SPF_SYNTAX, &SPF_A_IP, &SPF_MX10, &SPF_INCLUDE_NONE, &SPF_LOOP] {
        if !found.contains(&code) {
            checks.pass(code, &root.domain);
        }
    }
}

/// Strings that meet without a space.
fn strings(checks: &mut Checks, root: &TreeNode) {
    let glued = root.found.published().into_iter().flat_map(|published| &published.records);
    let glued: Vec<_> = glued.filter(|record| !record.glued.is_empty()).collect();
    if glued.is_empty() {
        checks.pass(&SPF_STRINGS, &root.domain);
    }
    for record in glued {
        let evidence = format!("`{}`", short(&record.record.text()));
        let text = record.unglued();
        let record = publish(&root.domain, &text, &[&record.record.text()]);
        checks.find(Finding::new(&SPF_STRINGS, &root.domain, evidence).publish(record));
    }
}

/// Counts below their limits.
fn limits_of(checks: &mut Checks, tree: &Tree, root: &TreeNode) {
    let domain = &root.domain;
    let lookups = root.counts.lookups;
    match lookups {
        0..8 => checks.pass(&SPF_LOOKUPS, domain),
        8..=limits::SPF_LOOKUPS => {
            let evidence = format!("{lookups} of {} terms: {}", limits::SPF_LOOKUPS, branches(tree, root));
            checks.find(Finding::new(&SPF_LOOKUPS, domain, evidence).severity(Severity::Warning));
        }
        _ => {}
    }
    let voids = root.counts.voids_four.max(root.counts.voids_six);
    if voids == 0 {
        checks.pass(&SPF_VOID, domain);
    } else if voids <= limits::SPF_VOIDS {
        let evidence = format!("without an answer: {}", void_names(tree));
        checks.find(Finding::new(&SPF_VOID, domain, evidence).severity(Severity::Note));
    }
    if root.counts.is_lower_bound {
        checks.find(Finding::new(&SPF_MACRO, domain, "macros, loops, or names that did not answer"));
    }
}

/// The terms of the root that query DNS, with what each costs.
fn branches(tree: &Tree, root: &TreeNode) -> String {
    let costs = root.terms.iter().enumerate().filter(|(_, term)| term.counts.lookups > 0);
    let costs = costs.filter_map(|(number, term)| Some((root.term_text(number)?, term.counts.lookups)));
    let told: Vec<String> = costs.map(|(text, lookups)| format!("{} {lookups}", short(&text))).collect();
    let cut = if tree.is_cut { ", and more" } else { "" };
    format!("{}{cut}", told.join(", "))
}

/// How the record ends, its redirects followed.
fn ends(checks: &mut Checks, tree: &Tree, root: &TreeNode, class: Option<Class>) {
    let domain = &root.domain;
    let mut node = root;
    for _ in 0..limits::SPF_LOOKUPS {
        let Some(record) = node.record() else { return };
        if let Some((_, qualifier)) = record.all() {
            match qualifier {
                Qualifier::Neutral => checks.find(Finding::new(&SPF_ALL_NEUTRAL, domain, "`?all`")),
                Qualifier::Fail if class.is_some_and(Class::sends) => {
                    checks.pass(&SPF_ALL_NEUTRAL, domain);
                    checks.find(Finding::new(&SPF_ALL_FAIL, domain, "`-all`"));
                }
                _ => checks.pass(&SPF_ALL_NEUTRAL, domain),
            }
            return;
        }
        let Some((number, _)) = record.redirect() else {
            let text = format!("{} ~all", record.text().trim_end());
            let finding = Finding::new(&SPF_ALL_NEUTRAL, domain, "neither `all` nor `redirect`");
            let is_own = node.domain == *domain && record.faults.is_empty();
            let old = record.text();
            checks.find(if is_own { finding.publish(publish(domain, &text, &[&old])) } else { finding });
            return;
        };
        let child = node.terms.get(number).filter(|term| !term.is_loop).and_then(|term| term.child);
        let Some(next) = child.and_then(|child| tree.nodes.get(child)) else { return };
        node = next;
    }
}

/// Terms that are of no use or of harm, anywhere in the tree.
fn terms(checks: &mut Checks, tree: &Tree) {
    for (at, node) in tree.nodes.iter().enumerate() {
        let Some(record) = node.record() else { continue };
        let is_own = at == 0;
        for (number, (written, term)) in record.terms.iter().zip(&node.terms).enumerate() {
            let text = node.term_text(number).map(|text| short(&text)).unwrap_or_default();
            let mut find = |code: &'static Code, severity: Severity, evidence: String| {
                let severity = if is_own { severity } else { severity.min(Severity::Note) };
                checks.find(Finding::new(code, &node.domain, evidence).severity(severity));
            };
            match term.reach {
                Reach::AfterAll => find(&SPF_AFTER_ALL, Severity::Warning, format!("`{text}`")),
                Reach::BesideAll => find(&SPF_REDIRECT_DEAD, Severity::Warning, format!("`{text}`")),
                Reach::Yes | Reach::Faulty => {}
            }
            let target = match &written.kind {
                TermKind::Directive(_, mechanism) => mechanism.target(),
                TermKind::Modifier(Modifier::Redirect(target) | Modifier::Exp(target)) => Some(*target),
                _ => None,
            };
            if target.is_some_and(|target| target.has_names) {
                find(&SPF_PMACRO, Severity::Warning, format!("`{text}`"));
            }
            match &written.kind {
                TermKind::Directive(_, Mechanism::Ptr(_)) => {
                    find(&SPF_PTR, Severity::Warning, format!("`{text}`"));
                }
                TermKind::Modifier(Modifier::Unknown(_)) => {
                    let meant = spf::meant_modifier(record, number);
                    let meant =
                        meant.map(|meant| format!("; `{}` was meant?", short(&meant))).unwrap_or_default();
                    find(&SPF_MODIFIER, Severity::Note, format!("`{text}` is ignored{meant}"));
                }
                _ => {}
            }
            let why = match &term.explanation {
                Some(Explanation::Absent) => "leads to no text",
                Some(Explanation::Several(_)) => "leads to several texts",
                Some(Explanation::Unusable(_)) => "leads to a text that cannot be used",
                _ => continue,
            };
            find(&SPF_MODIFIER, Severity::Note, format!("`{text}` {why}"));
        }
    }
}

/// Which addresses pass.
fn addresses(checks: &mut Checks, tree: &Tree, root: &TreeNode) {
    let domain = &root.domain;
    let pass = &root.authorized.pass;
    if pass.is_all_of_four() || pass.is_all_of_six() {
        let which = if pass.is_all_of_four() { "IPv4" } else { "IPv6" };
        checks.find(Finding::new(&SPF_ALL_PASS, domain, format!("every {which} address passes")));
    } else {
        checks.pass(&SPF_ALL_PASS, domain);
        let count = pass.four_count();
        if count > WIDE_ADDRESSES {
            checks.find(Finding::new(&SPF_WIDE, domain, format!("{count} IPv4 addresses pass")));
        } else {
            checks.pass(&SPF_WIDE, domain);
        }
    }
    for (number, term) in root.terms.iter().enumerate() {
        let text = || root.term_text(number).map(|text| short(&text)).unwrap_or_default();
        let child = term.child.filter(|_| !term.is_loop).and_then(|child| tree.nodes.get(child));
        let is_include = root.record().and_then(|record| record.terms.get(number)).is_some_and(|written| {
            matches!(written.kind, TermKind::Directive(Qualifier::Pass, Mechanism::Include(_)))
        });
        if let Some(child) = child
            && is_include
            && (child.authorized.pass.is_all_of_four() || child.authorized.pass.is_all_of_six())
        {
            checks.find(Finding::new(&SPF_INCLUDE_ALL, domain, format!("`{}`", text())));
        }
        // A network as large as a /4 holds public addresses too: that it is too wide is told elsewhere.
        let narrow = term.networks.iter().filter(|network| network.prefix >= 8);
        let odd = narrow.into_iter().find_map(|network| special_use(network.address));
        if let Some(odd) = odd {
            checks.find(Finding::new(&SPF_PRIVATE, domain, format!("`{}`: {odd}", text())));
        }
    }
}

/// IPv4 addresses above which a record is told to be wide: a /12.
const WIDE_ADDRESSES: u64 = 1 << 20;

/// Records and networks that stand more than once.
fn copies(checks: &mut Checks, tree: &Tree) {
    let Some(root) = tree.root() else { return };
    let mut is_clean = true;
    for repeated in tree.repeated() {
        let Some(node) = tree.nodes.get(repeated.node) else { continue };
        let evidence = format!(
            "{} is reached {} times; once would save {} terms that query DNS",
            node.domain,
            repeated.places.len(),
            repeated.lookups_saved
        );
        is_clean = false;
        checks.find(Finding::new(&SPF_DUP, &root.domain, evidence));
    }
    // Networks of others are theirs to clean up.
    for overlap in tree.overlaps().into_iter().filter(|overlap| overlap.inner.0.node == 0).take(10) {
        let term = |place: tree::Place| {
            let node = tree.nodes.get(place.node);
            let text = node.and_then(|node| node.term_text(place.term)).unwrap_or_default();
            match node.filter(|_| place.node != 0) {
                Some(node) => format!("`{}` of {}", short(&text), node.domain),
                None => format!("`{}`", short(&text)),
            }
        };
        let evidence = format!("{} is within {}", term(overlap.inner.0), term(overlap.outer.0));
        is_clean = false;
        checks.find(Finding::new(&SPF_DUP, &root.domain, evidence));
    }
    if is_clean {
        checks.pass(&SPF_DUP, &root.domain);
    }
}

/// Whether the known sources pass.
fn sources(checks: &mut Checks, facts: &Facts, answers: &Answers) -> Result<(), Ask> {
    let domain = facts.domain.as_str();
    let mut look_ups = LookUps::new(answers);
    let mut verdicts = Vec::new();
    // Where reports show only envelopes of others, the record of this domain was never asked about.
    let is_asked_about = |source: &&IpAddr| {
        let reported = facts.reported.iter().flat_map(|reported| &reported.mail);
        let mut of_source =
            reported.filter(|mail| mail.source == Some(**source) && mail.spf.is_some()).peekable();
        of_source.peek().is_none() || of_source.any(|mail| mail.spf_of(&facts.domain).is_some())
    };
    for source in facts.sources.iter().filter(is_asked_about).take(limits::LEARNT_SOURCES as usize) {
        let input = Input {
            ip: *source,
            identity: Identity::MailFrom,
            mail_from: domain,
            helo: domain,
            receiver: domain,
            now: facts.now,
            void_limit: limits::SPF_VOIDS,
        };
        verdicts.push((source, look_ups.take(spf::check(&input, answers))));
    }
    look_ups.done()?;
    for (source, verdict) in verdicts {
        let Some(result) = verdict.map(|verdict| verdict.result) else { continue };
        match result {
            SpfResult::Pass => checks.pass(&SPF_SOURCE, source),
            SpfResult::TempError => {
                checks.unknown_for(&SPF_SOURCE, source, "temperror", "DNS did not answer");
            }
            // Told above.
            SpfResult::PermError | SpfResult::None => {}
            SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => {
                let evidence = format!("mail comes from {source}: {}", result.as_str());
                checks.find(Finding::new(&SPF_SOURCE, source, evidence));
            }
        }
    }
    Ok(())
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
    use crate::dns_health::sample::{facts, fixture, troubles};

    #[test]
    fn each_fault_of_the_zone() {
        let zone = fixture!("spf-checks.zone");
        let cases: &[(&str, &[&str])] = &[
            ("good.example", &[]),
            ("none.example", &["SPF-NONE error none.example"]),
            ("two.example", &["SPF-ALL-FAIL info two.example", "SPF-MULTI error two.example"]),
            ("almost.example", &["SPF-ALMOST error almost.example", "SPF-NONE error almost.example"]),
            ("syntax.example", &["SPF-A-IP error syntax.example", "SPF-SYNTAX error syntax.example"]),
            ("open.example", &["SPF-ALL-PASS critical open.example"]),
            ("halves.example", &["SPF-ALL-PASS critical halves.example"]),
            ("neutral.example", &["SPF-ALL-NEUTRAL warning neutral.example"]),
            ("endless.example", &["SPF-ALL-NEUTRAL warning endless.example"]),
            (
                "dead.example",
                &["SPF-AFTER-ALL warning dead.example", "SPF-REDIRECT-DEAD warning dead.example"],
            ),
            ("nowhere.example", &["SPF-INCLUDE-NONE error nowhere.example"]),
            ("circle.example", &["SPF-LOOP error back.example", "SPF-MACRO info circle.example"]),
            ("void.example", &["SPF-VOID note void.example"]),
            (
                "names.example",
                &[
                    "SPF-MACRO info names.example",
                    "SPF-PMACRO warning names.example",
                    "SPF-PTR warning names.example",
                ],
            ),
            ("copies.example", &["SPF-DUP note copies.example", "SPF-DUP note copies.example"]),
            ("wide.example", &["SPF-PRIVATE warning wide.example", "SPF-WIDE note wide.example"]),
            ("odd.example", &["SPF-MODIFIER note odd.example", "SPF-SENDERID note odd.example"]),
            (
                "taken.example",
                &["SPF-ALL-PASS critical taken.example", "SPF-INCLUDE-ALL critical taken.example"],
            ),
            ("many.example", &["SPF-LOOKUPS warning many.example"]),
        ];
        for (domain, want) in cases {
            let (checks, rounds) = zone.settle(|answers| check(&facts(domain), answers));
            assert!(rounds.len() <= 14, "{domain}: {rounds:?}");
            assert_eq!(troubles(&checks), *want, "{domain}");
        }
        let (checks, _) = zone.settle(|answers| check(&facts("silent.example"), answers));
        assert!(troubles(&checks).iter().all(|line| line.contains(" not-known ")), "{checks:?}");
    }

    #[test]
    fn records_to_publish_are_whole() {
        let zone = fixture!("spf-checks.zone");
        for (domain, code, want) in [
            ("none.example", &SPF_NONE, "\"v=spf1 ip4:192.0.2.9 ~all\""),
            ("two.example", &SPF_MULTI, "\"v=spf1 ip4:8.8.8.9 mx -all\""),
            ("almost.example", &SPF_ALMOST, "\"v=spf1 mx -all\""),
            ("endless.example", &SPF_ALL_NEUTRAL, "\"v=spf1 mx ~all\""),
        ] {
            let mut facts = facts(domain);
            facts.sources = vec!["192.0.2.9".parse().unwrap()];
            let (checks, _) = zone.settle(|answers| check(&facts, answers));
            let finding = checks.findings().find(|finding| finding.code == code).unwrap();
            assert_eq!(finding.publish.as_ref().unwrap().value, want, "{domain}");
        }
    }

    #[test]
    fn known_sources_are_tried() {
        let zone = fixture!("spf-checks.zone");
        let mut facts = facts("good.example");
        facts.sources = vec!["8.8.4.4".parse().unwrap(), "8.8.8.8".parse().unwrap()];
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        assert_eq!(troubles(&checks), ["SPF-SOURCE note 8.8.8.8"]);
        // Mail under the envelope of a service is none that this record could let pass.
        let mut other = crate::dns_health::sample::mail("8.8.8.8", "good.example", "pass", 9);
        other.spf = Some((Name::from_dotted("bounce.vendor.example").unwrap(), "pass".to_owned()));
        facts.reported = Some(crate::dns_health::sample::reported("good.example", vec![other.clone()]));
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        assert_eq!(troubles(&checks), [""; 0]);
        let own = crate::dns_health::sample::mail("8.8.8.8", "good.example", "fail", 1);
        facts.reported = Some(crate::dns_health::sample::reported("good.example", vec![other, own]));
        let (checks, _) = zone.settle(|answers| check(&facts, answers));
        assert_eq!(troubles(&checks), ["SPF-SOURCE note 8.8.8.8"]);
    }
}
