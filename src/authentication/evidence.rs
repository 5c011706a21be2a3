//! What is kept of a verification: one word a method, and lines that say what each result rests on.
//!
//! Nothing in it names a person: local parts are cut wherever they stand, so that the evidence can be kept as long
//! as the counts. Every text is bounded.

use super::dkim::{self, DkimResult};
use super::dmarc::{Aligned, AuthorVerdict, Policy, Standing};
use super::spf;
use super::verify::{Spf, Verdicts};
use crate::dns::Name;
use crate::limits;
use crate::mail::AuthResults;

/// The results of a verification, a word each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The author domain that decides; absent where the message has none.
    pub header_from: Option<String>,
    /// SPF of the reverse-path: a word of RFC 8601 §2.7.2, or `not-known`.
    pub spf: String,
    /// The domain that it spoke about.
    pub spf_domain: Option<String>,
    /// SPF of the HELO name, in the same words.
    pub spf_helo: String,
    /// DKIM of the message: pass if any signature passes, else the first one's word.
    pub dkim: String,
    /// The domains of the signatures that pass, each once.
    pub dkim_domains: Vec<String>,
    /// ARC.
    pub arc: String,
    /// DMARC by RFC 9989.
    pub dmarc: String,
    /// DMARC by the public suffix list, where that differs.
    pub dmarc_by_suffix: Option<String>,
    /// The policy that is to be applied if DMARC fails.
    pub policy: Option<String>,
    /// Reverse DNS of the peer: a word of RFC 8601 §2.7.3; absent where no peer is proven.
    pub reverse: Option<String>,
    /// The first name of the peer that leads back to it.
    pub peer_name: Option<String>,
    /// What is odd about From.
    pub tricks: Vec<String>,
    /// True if a trusted host says otherwise than we.
    pub differs: bool,
}

/// One line of evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// What spoke: `spf`, `spf-helo`, `dkim`, `arc`, `arc-instance`, `dmarc`, `dmarc-psl`, `from`, `iprev`, `claim`,
    /// `difference`, `dns`.
    pub method: String,
    /// About whom: a domain, an address of a host, a host.
    pub subject: String,
    /// The result word.
    pub result: String,
    /// Why, in words.
    pub reason: String,
    /// Further facts, by name.
    pub facts: Vec<(String, String)>,
}

/// A selector under which a passing, aligned signature of a passing message was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSelector {
    /// `d=`.
    pub domain: Name,
    /// `s=`.
    pub selector: String,
}

/// The words of a verification.
pub fn words(verdicts: &Verdicts) -> Words {
    let author = verdicts.dmarc.author();
    let spf_domain = match &verdicts.spf {
        Spf::Judged(verdict) => Some(text(&verdict.domain)).filter(|domain| !domain.is_empty()),
        Spf::NotKnown(_) => None,
    };
    let mut dkim_domains = Vec::new();
    for verdict in verdicts.dkim.verdicts.iter().filter(|verdict| verdict.result() == DkimResult::Pass) {
        let domain = verdict.facts.domain.as_deref().map(text).unwrap_or_default();
        if !dkim_domains.contains(&domain) {
            dkim_domains.push(domain);
        }
    }
    let reverse = verdicts.reverse.as_ref();
    Words {
        header_from: verdicts.author().map(|name| name.as_str().to_owned()),
        spf: verdicts.spf.as_str().to_owned(),
        spf_domain,
        spf_helo: verdicts.spf_helo.as_str().to_owned(),
        dkim: verdicts.dkim.result().as_str().to_owned(),
        dkim_domains,
        arc: verdicts.arc.result.as_str().to_owned(),
        dmarc: verdicts.dmarc.result.as_str().to_owned(),
        dmarc_by_suffix: author
            .filter(|author| author.differs())
            .map(|author| author.by_suffix.result.as_str().to_owned()),
        policy: verdicts.dmarc.policy().map(|policy| policy.as_str().to_owned()),
        reverse: reverse.map(|reverse| reverse.result.as_str().to_owned()),
        peer_name: reverse.and_then(|reverse| Some(reverse.confirmed()?.as_str().to_owned())),
        tricks: verdicts.from.tricks.iter().map(|trick| trick.as_str().to_owned()).collect(),
        differs: !verdicts.differences.is_empty(),
    }
}

/// The evidence, at most [`limits::EVIDENCE_LINES`] lines; how many more there are.
pub fn lines(verdicts: &Verdicts) -> (Vec<Line>, usize) {
    let mut lines = vec![of_spf("spf", &verdicts.spf)];
    lines.extend(verdicts.dmarc.authors.iter().flat_map(of_author));
    if verdicts.dmarc.authors.is_empty() {
        lines.push(line("dmarc", "", verdicts.dmarc.result.as_str(), &verdicts.dmarc.reason));
    }
    lines.push(of_from(verdicts));
    lines.push(of_spf("spf-helo", &verdicts.spf_helo));
    if let Some(reverse) = &verdicts.reverse {
        let names = reverse.names.iter().map(|name| name.name.to_string()).collect::<Vec<_>>().join(", ");
        let mut of_reverse = line("iprev", "", reverse.result.as_str(), &reverse.reason);
        of_reverse.fact("names", &names);
        lines.push(of_reverse);
    }
    lines.extend(verdicts.claims.iter().flat_map(of_claim));
    for difference in &verdicts.differences {
        let ours = difference.ours.as_deref().unwrap_or("nothing");
        let reason = format!("{} says {}, we say {ours}", difference.host, difference.theirs);
        let subject = format!("{} {}", difference.method, difference.subject);
        lines.push(line("difference", subject.trim(), &difference.theirs, &reason));
    }
    lines.extend(verdicts.dkim.verdicts.iter().map(of_signature));
    let instances = verdicts.arc.instances.iter();
    if !verdicts.arc.instances.is_empty() || verdicts.arc.result != super::arc::ArcResult::None {
        let mut of_arc = line("arc", "", verdicts.arc.result.as_str(), &verdicts.arc.reason);
        of_arc.fact_if("oldest_pass", verdicts.arc.oldest_pass.map(|number| number.to_string()).as_deref());
        lines.push(of_arc);
    }
    lines.extend(instances.map(|instance| {
        let is_intact = |intact: Option<bool>| match intact {
            None => "not-known",
            Some(true) => "pass",
            Some(false) => "fail",
        };
        let reason = format!("sealed as instance {}, chain seen as {}", instance.number, instance.seen);
        let mut of_instance =
            line("arc-instance", &instance.sealer, is_intact(instance.is_seal_intact), &reason);
        of_instance.fact("signature", is_intact(instance.is_signature_intact));
        of_instance.fact("selector", &instance.selector);
        of_instance
    }));
    for (question, trouble) in &verdicts.unanswered {
        lines.push(line("dns", &question.to_string(), trouble.cause.as_str(), &trouble.detail));
    }
    let more = verdicts.dkim.unlisted
        + verdicts.unanswered_more
        + lines.len().saturating_sub(limits::EVIDENCE_LINES);
    lines.truncate(limits::EVIDENCE_LINES);
    (lines, more)
}

/// The selectors that a message teaches: it passes DMARC, and the signature passes and is aligned with its author.
pub fn selectors(verdicts: &Verdicts) -> Vec<SeenSelector> {
    let Some(author) = verdicts.dmarc.author() else { return Vec::new() };
    if verdicts.dmarc.result != super::dmarc::DmarcResult::Pass {
        return Vec::new();
    }
    let is_aligned = |domain: &Name| {
        author.by_walk.identifiers.iter().any(|(identifier, aligned)| {
            identifier.domain == *domain && identifier.standing == Standing::Passed && aligned.is_aligned()
        })
    };
    let mut seen: Vec<SeenSelector> = Vec::new();
    for verdict in verdicts.dkim.verdicts.iter().filter(|verdict| verdict.result() == DkimResult::Pass) {
        let (Some(domain), Some(selector)) = (&verdict.facts.domain, &verdict.facts.selector) else {
            continue;
        };
        let Ok(domain) = Name::from_dotted(domain) else { continue };
        let found = SeenSelector { domain, selector: selector.to_lowercase() };
        if is_aligned(&found.domain) && !seen.contains(&found) {
            seen.push(found);
        }
    }
    seen
}

// ---- Lines ----

/// A line without further facts.
fn line(method: &str, subject: &str, result: &str, reason: &str) -> Line {
    Line {
        method: method.to_owned(),
        subject: text(subject),
        result: text(result),
        reason: text(reason),
        facts: Vec::new(),
    }
}

impl Line {
    /// Adds a fact.
    fn fact(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.facts.push((name.to_owned(), text(value)));
        }
    }

    /// Adds a fact that may be absent.
    fn fact_if(&mut self, name: &str, value: Option<&str>) {
        self.fact(name, value.unwrap_or_default());
    }
}

/// SPF of one identity: the mechanism that matched, and the way there.
fn of_spf(method: &str, spf: &Spf) -> Line {
    let verdict = match spf {
        Spf::NotKnown(why) => return line(method, "", spf.as_str(), why),
        Spf::Judged(verdict) => verdict,
    };
    let reason = match (verdict.mechanism(), verdict.reason()) {
        (Some((domain, mechanism)), _) => format!("\"{mechanism}\" of {domain} matches {}", verdict.ip),
        (None, Some(reason)) => reason.to_string(),
        (None, None) => String::new(),
    };
    let mut line = line(method, &verdict.domain, verdict.result.as_str(), &reason);
    line.fact("ip", &verdict.ip.to_string());
    let path: Vec<&str> = verdict.path().iter().map(|(node, _)| node.domain.as_str()).collect();
    if path.len() > 1 {
        line.fact("records", &path.join(" > "));
    }
    line.fact("lookups", &verdict.lookups().to_string());
    if verdict.voids() > 0 {
        line.fact("void_lookups", &verdict.voids().to_string());
    }
    line.fact_if("explanation", explanation(verdict).as_deref());
    line
}

/// What the domain says about a fail. Words of a stranger, who may repeat the sender's local part in them.
fn explanation(verdict: &spf::Verdict) -> Option<String> {
    verdict.explanation.as_ref().filter(|words| !words.is_empty() && !words.contains('@')).cloned()
}

/// DMARC of one author domain, and by the public suffix list where that differs.
fn of_author(author: &AuthorVerdict) -> Vec<Line> {
    let mut lines = Vec::new();
    let ways = [("dmarc", &author.by_walk), ("dmarc-psl", &author.by_suffix)];
    for (method, way) in ways.into_iter().take(if author.differs() { 2 } else { 1 }) {
        let mut line = line(method, author.author.as_str(), way.result.as_str(), &way.reason);
        line.fact_if("record_at", way.record_at.as_ref().map(Name::as_str));
        line.fact_if("organizational_domain", way.organizational.as_ref().map(Name::as_str));
        if let Some(policy) = way.policy {
            line.fact_if("policy", policy.published.map(Policy::as_str));
            line.fact("policy_from", policy.tag.as_str());
            if policy.is_testing {
                line.fact_if("policy_applied", policy.applied.map(Policy::as_str));
            }
        }
        let aligned = way.identifiers.iter().filter(|(_, aligned)| *aligned != Aligned::NotAsked);
        let aligned: Vec<String> = aligned
            .map(|(identifier, aligned)| {
                format!("{} {} {}", identifier.mechanism.as_str(), identifier.domain, aligned.as_str())
            })
            .collect();
        line.fact("alignment", &aligned.join("; "));
        if method == "dmarc" {
            let asked: Vec<&str> = author.discovery.steps.iter().map(|step| step.domain.as_str()).collect();
            line.fact("asked_at", &asked.join(" "));
            line.fact("organizational_by", author.discovery.rule.as_str());
        }
        lines.push(line);
    }
    lines
}

/// Who the author says to be. Domains and tricks, no addresses.
fn of_from(verdicts: &Verdicts) -> Line {
    let from = &verdicts.from;
    let domains: Vec<&str> = from.domains.iter().map(Name::as_str).collect();
    let tricks: Vec<&str> = from.tricks.iter().map(|trick| trick.as_str()).collect();
    let result = if from.fault.is_some() { "none" } else { "one-author" };
    let result = if from.fault.is_none() && from.domains.len() > 1 { "several-authors" } else { result };
    let mut line = line("from", &domains.join(", "), result, from.fault.as_deref().unwrap_or_default());
    line.fact("tricks", &tricks.join(", "));
    if from.fields != 1 {
        line.fact("fields", &from.fields.to_string());
    }
    if from.mailbox_count > 1 {
        line.fact("mailboxes", &from.mailbox_count.to_string());
    }
    line
}

/// One signature.
fn of_signature(verdict: &dkim::Verdict) -> Line {
    let facts = &verdict.facts;
    let subject = facts.domain.as_deref().unwrap_or_default();
    let mut line = line("dkim", subject, verdict.result().as_str(), &verdict.reason.to_string());
    line.fact("code", verdict.reason.code());
    line.fact_if("selector", facts.selector.as_deref());
    line.fact_if("algorithm", facts.algorithm.as_deref());
    line.fact_if("canonicalization", facts.canonicalization.as_deref());
    let identity = facts.identity.as_deref().and_then(|identity| Some(identity.rsplit_once('@')?.1));
    line.fact_if("identity_domain", identity);
    if let Some(key) = &verdict.key {
        line.fact("key_type", key.kind.as_str());
        line.fact_if("key_bits", key.bits.map(|bits| bits.to_string()).as_deref());
        let faults: Vec<String> = key.faults.iter().map(ToString::to_string).collect();
        line.fact("key_faults", &faults.join("; "));
    }
    line.fact_if("signed_at", facts.signed_at.map(crate::clock::Timestamp::rfc3339).as_deref());
    line.fact_if("expires_at", facts.expires_at.map(crate::clock::Timestamp::rfc3339).as_deref());
    let notes: Vec<String> = verdict.notes.iter().map(ToString::to_string).collect();
    line.fact("notes", &notes.join("; "));
    let codes: Vec<&str> = verdict.notes.iter().map(dkim::Note::code).collect();
    line.fact("note_codes", &codes.join(" "));
    let lifetime = facts.signed_at.zip(facts.expires_at).map(|(from, to)| (to.ms() - from.ms()) / 1_000);
    line.fact_if("lifetime_seconds", lifetime.map(|seconds| seconds.to_string()).as_deref());
    let unsigned = verdict.notes.iter().find_map(|note| match note {
        dkim::Note::FieldsUnsigned(names) => Some(names.as_str()),
        _ => None,
    });
    line.fact_if("fields_unsigned", unsigned);
    line
}

/// What a trusted host says, a line a result.
fn of_claim(claim: &AuthResults) -> Vec<Line> {
    let host = claim.authserv_id.as_deref().unwrap_or_default();
    let one = |result: &crate::mail::MethodResult| {
        let mut line = line("claim", host, &format!("{}={}", result.method, result.result), "");
        line.reason = text(result.reason.as_deref().unwrap_or_default());
        for (name, value) in result.properties.iter().take(8) {
            line.fact(name, value);
        }
        line
    };
    claim.results.iter().map(one).collect()
}

/// A text without local parts and control characters, cut.
fn text(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars().take(limits::EVIDENCE_TEXT_CHARS) {
        if character == '@' {
            // What stands before it is a person.
            let begin = match kept.strip_suffix('"') {
                Some(head) => head.rfind('"').unwrap_or(0),
                None => {
                    let ends = |c: &char| c.is_whitespace() || "<>()[],;:=\"'".contains(*c);
                    let end = kept.char_indices().rev().find(|(_, c)| ends(c));
                    end.map_or(0, |(at, c)| at + c.len_utf8())
                }
            };
            kept.truncate(begin);
            kept.push('*');
        }
        kept.push(if character.is_control() { ' ' } else { character });
    }
    kept
}

#[cfg(test)]
mod tests;
