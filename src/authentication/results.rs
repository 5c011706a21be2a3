//! Our verdicts as results of Authentication-Results, and beside those of hosts that the operator trusts.
//!
//! Standard: RFC 8601 §2.2 (the form), §2.7 (methods and words), §5 (whose word counts).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::arc::Chain;
use super::dkim::Signatures;
use super::reverse::Reverse;
use super::spf::SpfResult;
use crate::limits;
use crate::mail::{AuthResults, MethodResult};

/// The two identities that SPF checks, in the words of the properties (RFC 8601 §2.7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfIdentity {
    /// The reverse-path.
    MailFrom,
    /// The name in HELO or EHLO.
    Helo,
}

/// A result that we and a trusted host see differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who says otherwise: its `authserv-id`.
    pub host: String,
    /// The method.
    pub method: String,
    /// Which of several results: a domain, with its selector for DKIM; empty where there is one.
    pub subject: String,
    /// Our word; absent where we have no such result.
    pub ours: Option<String>,
    /// Theirs.
    pub theirs: String,
}

/// One result of a method.
fn result(method: &str, word: &str, reason: String, properties: Vec<(&str, String)>) -> MethodResult {
    MethodResult {
        method: method.to_owned(),
        result: word.to_owned(),
        reason: Some(reason).filter(|reason| !reason.is_empty()),
        properties: properties
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

/// SPF of one identity.
pub fn of_spf(identity: SpfIdentity, value: &str, word: SpfResult, reason: &str) -> MethodResult {
    let property = match identity {
        SpfIdentity::MailFrom => "smtp.mailfrom",
        SpfIdentity::Helo => "smtp.helo",
    };
    result("spf", word.as_str(), reason.to_owned(), vec![(property, value.to_owned())])
}

/// DKIM: one result a signature, or `none`.
pub fn of_dkim(signatures: &Signatures) -> Vec<MethodResult> {
    if signatures.verdicts.is_empty() {
        return vec![result("dkim", "none", "no signature".to_owned(), Vec::new())];
    }
    let of_one = |verdict: &super::dkim::Verdict| {
        let facts = &verdict.facts;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let properties = vec![
            ("header.d", text(&facts.domain)),
            ("header.i", text(&facts.identity)),
            ("header.s", text(&facts.selector)),
            ("header.a", text(&facts.algorithm)),
            ("header.b", text(&facts.signature_start)),
        ];
        result("dkim", verdict.result().as_str(), verdict.reason.to_string(), properties)
    };
    signatures.verdicts.iter().map(of_one).collect()
}

/// ARC.
pub fn of_arc(chain: &Chain) -> MethodResult {
    let oldest = chain.oldest_pass.map(|number| number.to_string()).unwrap_or_default();
    result("arc", chain.result.as_str(), chain.reason.clone(), vec![("header.oldest-pass", oldest)])
}

/// Reverse DNS of the peer.
pub fn of_reverse(address: IpAddr, reverse: &Reverse) -> MethodResult {
    let properties = vec![("policy.iprev", address.to_string())];
    result("iprev", reverse.result.as_str(), reverse.reason.clone(), properties)
}

/// DMARC of one author domain; `policy` is what the domain asks for.
pub fn of_dmarc(author: &str, word: &str, reason: &str, policy: Option<&str>) -> MethodResult {
    let properties =
        vec![("header.from", author.to_owned()), ("policy.dmarc", policy.unwrap_or_default().to_owned())];
    result("dmarc", word, reason.to_owned(), properties)
}

/// The field's value for display, a result a line.
pub fn text(authserv_id: &str, results: &[MethodResult]) -> String {
    let mut text = plain(authserv_id);
    if results.is_empty() {
        text.push_str("; none");
    }
    for result in results {
        // Writing to a string cannot fail.
        let _ = write!(text, ";\n    {}={}", plain(&result.method), plain(&result.result));
        if let Some(reason) = &result.reason {
            let _ = write!(text, " reason={}", quoted(reason));
        }
        for (name, value) in &result.properties {
            let _ = write!(text, " {}={}", plain(name), quoted(value));
        }
    }
    text
}

/// A word without what has a meaning in the field.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || ".-_/".contains(*c)).collect()
}

/// A value, quoted where it is more than a word or an address (RFC 8601 §2.2).
fn quoted(text: &str) -> String {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "@.-_+/:".contains(c));
    if is_word {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars().filter(|character| !character.is_control()) {
        if ['"', '\\'].contains(&character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// The results of trusted hosts in a header: its fields from the top, names in lower case.
///
/// Anybody can write such a field (RFC 8601 §5). A host's word counts where it stands in the run of fields that
/// the host's own side wrote: the topmost fields of its `authserv-id`, with no Received above them but those
/// that the same host, or one of its domain, wrote.
pub fn trusted<'a>(
    fields: impl Iterator<Item = (&'a str, &'a str)>,
    authserv_ids: &[String],
) -> Vec<AuthResults> {
    let mut found: Vec<AuthResults> = Vec::new();
    // Hosts that wrote the Received fields so far.
    let mut writers: Vec<String> = Vec::new();
    // Hosts of which a run of fields has ended.
    let mut ended: Vec<String> = Vec::new();
    for (name, value) in fields {
        match name {
            "received" => {
                writers.push(writer(value).unwrap_or_default());
                ended.extend(found.iter().filter_map(|results| results.authserv_id.clone()));
            }
            "authentication-results" if found.len() < limits::AUTH_RESULTS => {
                let results = AuthResults::parse(value);
                let Some(id) = &results.authserv_id else { continue };
                let is_named = authserv_ids.iter().any(|known| known.eq_ignore_ascii_case(id));
                let is_own_side = writers.iter().all(|writer| is_of_side(writer, id));
                if is_named && is_own_side && !ended.contains(id) {
                    found.push(results);
                }
            }
            _ => {}
        }
    }
    found
}

/// The host that wrote a Received field.
fn writer(value: &str) -> Option<String> {
    let mut words = value.split_ascii_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("by"))?;
    words.next().map(|host| host.trim_end_matches(';').to_ascii_lowercase())
}

/// True if a host is the one that an `authserv-id` names, or of the same registrable domain.
fn is_of_side(host: &str, id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let registrable = psl::domain_str(&id).unwrap_or(&id);
    host == id
        || host == registrable
        || host.strip_suffix(registrable).is_some_and(|rest| rest.ends_with('.'))
}

/// What trusted hosts say otherwise than we. What they do not say is no difference.
pub fn compare(ours: &[MethodResult], theirs: &[AuthResults]) -> Vec<Difference> {
    let mut differences = Vec::new();
    for results in theirs {
        for their in &results.results {
            if !METHODS.contains(&their.method.as_str()) {
                continue;
            }
            let our = ours.iter().find(|our| is_same_subject(our, their));
            let our_word = our.map(|our| word(&our.result)).or_else(|| implied(ours, their));
            if our_word != Some(word(&their.result)) {
                differences.push(Difference {
                    host: results.authserv_id.clone().unwrap_or_default(),
                    method: their.method.clone(),
                    subject: subject(their),
                    ours: our_word.map(str::to_owned),
                    theirs: their.result.clone(),
                });
            }
        }
    }
    differences
}

/// The methods that we judge too.
const METHODS: [&str; 5] = ["spf", "dkim", "dmarc", "arc", "iprev"];

/// A result word; `hardfail` is an older name of SPF's `fail`.
fn word(word: &str) -> &str {
    if word == "hardfail" { "fail" } else { word }
}

/// Our word where no result of ours has the subject of theirs: `none` where they have nothing to speak of, too.
fn implied(ours: &[MethodResult], their: &MethodResult) -> Option<&'static str> {
    let is_silent = !ours.iter().any(|our| our.method == their.method && our.result != "none");
    (their.result == "none" && is_silent).then_some("none")
}

/// Whether two results of a method speak of the same.
fn is_same_subject(our: &MethodResult, their: &MethodResult) -> bool {
    if our.method != their.method {
        return false;
    }
    match their.method.as_str() {
        "dkim" => is_same_signature(our, their),
        "spf" => ["smtp.mailfrom", "smtp.helo"].into_iter().any(|name| {
            let same = |our: &str, their: &str| domain_of(our) == domain_of(their);
            matches!((our.property(name), their.property(name)), (Some(our), Some(their)) if same(our, their))
        }),
        "dmarc" => match (our.property("header.from"), their.property("header.from")) {
            (Some(our), Some(their)) => domain_of(our) == domain_of(their),
            _ => true,
        },
        _ => true,
    }
}

/// Whether two results of DKIM speak of the same signature: by the start of `b=` (RFC 6008 §4), else by
/// selector and domain as far as they are told.
fn is_same_signature(our: &MethodResult, their: &MethodResult) -> bool {
    if let (Some(our), Some(their)) = (our.property("header.b"), their.property("header.b")) {
        let length = our.len().min(their.len());
        return length > 0 && our.get(..length) == their.get(..length);
    }
    let our_domain = our.property("header.d").map(str::to_lowercase);
    let their_domain = their.property("header.d").or_else(|| their.property("header.i")).map(domain_of);
    let is_domain = match (&our_domain, &their_domain) {
        (Some(our), Some(their)) => {
            our == their || their.strip_suffix(our.as_str()).is_some_and(|rest| rest.ends_with('.'))
        }
        _ => false,
    };
    let is_selector = match (our.property("header.s"), their.property("header.s")) {
        (Some(our), Some(their)) => our.eq_ignore_ascii_case(their),
        _ => true,
    };
    is_domain && is_selector
}

/// The domain of an address, or the domain itself, in lower case.
fn domain_of(value: &str) -> String {
    value.rsplit_once('@').map_or(value, |(_, domain)| domain).to_lowercase()
}

/// Which of several results one speaks of.
fn subject(result: &MethodResult) -> String {
    let names: &[&str] = match result.method.as_str() {
        "dkim" => &["header.d", "header.i"],
        "spf" => &["smtp.mailfrom", "smtp.helo"],
        "dmarc" => &["header.from"],
        _ => &[],
    };
    let domain = names.iter().find_map(|name| result.property(name)).unwrap_or_default();
    match result.property("header.s") {
        Some(selector) if result.method == "dkim" => format!("{domain} ({selector})"),
        _ => domain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results from the text of a field.
    fn results(text: &str) -> Vec<MethodResult> {
        AuthResults::parse(text).results
    }

    /// What differs, short.
    fn differences(ours: &str, theirs: &str) -> String {
        let found = compare(&results(ours), &[AuthResults::parse(theirs)]);
        let lines = found.iter().map(|difference| {
            let ours = difference.ours.as_deref().unwrap_or("-");
            format!("{} {}: {ours}, {}", difference.method, difference.subject, difference.theirs)
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn methods_are_compared_one_by_one() {
        let ours = "us; spf=pass smtp.mailfrom=a@example.com; spf=none smtp.helo=mx.example.com; \
                    dkim=pass header.d=example.com header.s=s1 header.b=AbCdEfGh; \
                    dkim=fail header.d=example.com header.s=s2 header.b=12345678; \
                    dmarc=pass header.from=example.com; arc=none; iprev=pass policy.iprev=192.0.2.1";
        let cases = [
            ("mx; spf=pass smtp.mailfrom=example.com", ""),
            ("mx; spf=softfail smtp.mailfrom=b@Example.com", "spf b@Example.com: pass, softfail"),
            ("mx; spf=pass smtp.helo=mx.example.com", "spf mx.example.com: none, pass"),
            ("mx; dkim=pass header.d=example.com header.s=s1", ""),
            ("mx; dkim=pass header.d=example.com header.b=1234", "dkim example.com: fail, pass"),
            ("mx; dkim=pass header.i=@example.com header.s=s1", ""),
            ("mx; dkim=pass header.i=@sub.example.com header.s=s2", "dkim @sub.example.com (s2): fail, pass"),
            ("mx; dkim=pass header.d=example.net header.s=s1", "dkim example.net (s1): -, pass"),
            ("mx; dkim=none", "dkim : -, none"),
            ("mx; dmarc=fail header.from=example.com", "dmarc example.com: pass, fail"),
            ("mx; arc=none; iprev=pass; x-other=fail; compauth=fail", ""),
            ("mx; none", ""),
        ];
        for (theirs, want) in cases {
            assert_eq!(differences(ours, theirs), want, "{theirs}");
        }
        assert_eq!(differences("us; dkim=none", "mx; dkim=none (message not signed)"), "");
        assert_eq!(differences("us; spf=fail smtp.mailfrom=a", "mx; spf=hardfail smtp.mailfrom=a"), "");
    }

    #[test]
    fn only_the_topmost_fields_of_trusted_hosts_count() {
        let ids = ["mx.example.com".to_owned(), "mx2.example.org".to_owned()];
        let own = ("authentication-results", "mx.example.com; spf=pass");
        let more = ("authentication-results", "mx.example.com; dkim=pass");
        let other = ("authentication-results", "mx.evil.example; spf=pass");
        let border = ("received", "from evil.example (evil.example [192.0.2.1]) by in.example.com; Mon");
        let hop = ("received", "by backend.example.com with LMTP");
        let forged = ("received", "from a by mx.evil.example");
        let none = ("authentication-results", "spf=pass");
        let cases: [(&[(&str, &str)], usize); 10] = [
            (&[own], 1),
            (&[own, more], 2),
            (&[own, ("subject", "x"), more], 2),
            (&[hop, own, border], 1),
            (&[hop, border, own], 1),
            (&[own, border, more], 1),
            (&[forged, own], 0),
            (&[border, forged, own], 0),
            (&[other, none], 0),
            (&[], 0),
        ];
        for (fields, want) in cases {
            assert_eq!(trusted(fields.iter().copied(), &ids).len(), want, "{fields:?}");
        }
    }

    #[test]
    fn the_text_is_read_back() {
        let ours = vec![
            of_spf(
                SpfIdentity::MailFrom,
                "a b\"@example.com",
                SpfResult::Pass,
                "ip4:192.0.2.0/24 matches; yes",
            ),
            of_dmarc("example.com", "pass", "", Some("reject")),
        ];
        let text = text("mx.example.com", &ours);
        let read = AuthResults::parse(&text);
        assert_eq!(read.authserv_id.as_deref(), Some("mx.example.com"));
        assert_eq!(read.results, ours, "{text}");
        assert_eq!(super::text("mx", &[]), "mx; none");
    }
}
