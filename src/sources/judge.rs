//! From what reports say of a source to who it is, with the evidence in words.
//!
//! Order of belief: the user's file; the forward-confirmed name; what receivers say of the mail (override
//! reasons); signatures and envelopes of known senders; alignment with the domain's own names; else the
//! passing domain itself. What nothing supports stays unknown: that is how spoofing looks.

use std::net::IpAddr;

use crate::sources::senders::{Kind, Sender, Senders};

/// A domain that passed at a source, with the messages in whose results it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Messages.
    pub messages: u64,
}

/// What is known of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// Its address; absent where the reporter wrote something else.
    pub ip: Option<IpAddr>,
    /// Its forward-confirmed name.
    pub name: Option<String>,
    /// The name in its HELO.
    pub helo: Option<String>,
    /// Domains whose DKIM signatures verified.
    pub dkim: Vec<Domain>,
    /// Domains for which SPF passed.
    pub spf: Vec<Domain>,
    /// The policy domains under which it was reported.
    pub policy_domains: Vec<String>,
    /// Messages.
    pub messages: u64,
    /// Of these: DKIM aligned and passing.
    pub dkim_aligned: u64,
    /// SPF aligned and passing.
    pub spf_aligned: u64,
    /// DKIM aligned, and SPF not aligned but passing for another domain.
    pub dkim_with_other_spf: u64,
    /// Messages for which a receiver gave the reason `forwarded` or `trusted_forwarder`, or a valid ARC chain.
    pub forwarded: u64,
    /// Messages for which a receiver gave the reason `mailing_list`.
    pub mailing_list: u64,
}

/// Who a source is, as far as the evidence goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The organisation; absent: nothing tells.
    pub organisation: Option<String>,
    /// What it is; absent: nothing tells.
    pub kind: Option<Kind>,
    /// Why, in words, the weightiest first.
    pub evidence: Vec<String>,
}

impl Identity {
    /// Takes what a line of the table says.
    fn of(sender: &Sender, why: &str) -> Self {
        let whose = if sender.is_override { " in the file of [sources]" } else { "" };
        Self {
            organisation: Some(sender.organisation.clone()),
            kind: Some(sender.kind),
            evidence: vec![format!("{why} ({}{whose})", sender.pattern)],
        }
    }
}

/// Says who a source is.
pub fn identify(clues: &Clues, senders: &Senders) -> Identity {
    let mut identity = who(clues, senders);
    let is_fixed = identity.kind.is_some_and(|kind| matches!(kind, Kind::MailingList | Kind::Forwarder));
    let named_by_user = clues.ip.and_then(|ip| senders.of_address(ip)).is_some();
    if named_by_user {
        return identity;
    }
    // What receivers say of the mail is about the mail's way, not about whose machine it is: the organisation
    // stays, the kind follows the way.
    if let Some((kind, why)) = way(clues, senders) {
        if !is_fixed {
            identity.kind = Some(kind);
        }
        identity.evidence.push(why);
    }
    if identity.evidence.is_empty() {
        identity.evidence.push(
            if clues.messages == 0 { "no message" } else { "nothing passes: neither DKIM nor SPF" }
                .to_owned(),
        );
    }
    identity
}

/// Whose machine or service it is.
fn who(clues: &Clues, senders: &Senders) -> Identity {
    if let Some(ip) = clues.ip
        && let Some(sender) = senders.of_address(ip)
    {
        return Identity::of(sender, &format!("the address {ip}"));
    }
    if let Some(name) = &clues.name
        && let Some(sender) = senders.of_name(name)
    {
        return Identity::of(sender, &format!("its name {name}"));
    }
    let foreign = |domain: &&Domain| !is_own(&domain.name, clues);
    for (list, what) in [(&clues.dkim, "DKIM passes for"), (&clues.spf, "SPF passes for")] {
        let known = heaviest(list.iter().filter(|domain| senders.of_name(&domain.name).is_some()));
        if let Some(domain) = known
            && let Some(sender) = senders.of_name(&domain.name)
            // A mail provider's own domain as policy domain is the provider.
            && (!is_own(&domain.name, clues) || sender.is_override)
        {
            return Identity::of(sender, &format!("{what} {}", domain.name));
        }
    }
    if clues.spf_aligned > 0 || (clues.dkim_aligned > 0 && clues.dkim_with_other_spf == 0) {
        return own(clues);
    }
    for (list, what) in [(&clues.dkim, "DKIM passes for"), (&clues.spf, "SPF passes for")] {
        if let Some(domain) = heaviest(list.iter().filter(foreign)) {
            return Identity {
                organisation: Some(organisation_of(&domain.name)),
                kind: None,
                evidence: vec![format!("{what} {}, which no table knows", domain.name)],
            };
        }
    }
    if let Some(helo) = &clues.helo
        && let Some(sender) = senders.of_name(helo)
    {
        // Anybody may say anything in HELO: the last of all.
        return Identity::of(sender, &format!("it calls itself {helo}, which nothing confirms"));
    }
    Identity::default()
}

/// A source that the domain itself stands for.
fn own(clues: &Clues) -> Identity {
    let mut evidence = Vec::new();
    if clues.spf_aligned > 0 {
        evidence.push(format!(
            "SPF of the domain lists it: aligned in {} of {}",
            clues.spf_aligned, clues.messages
        ));
    }
    if clues.dkim_aligned > 0 {
        evidence
            .push(format!("signed by the domain: aligned in {} of {}", clues.dkim_aligned, clues.messages));
    }
    let domain = clues.policy_domains.first().cloned();
    Identity { organisation: domain, kind: Some(Kind::Own), evidence }
}

/// How the mail came to this source, where that is known: forwarded, or over a list.
fn way(clues: &Clues, senders: &Senders) -> Option<(Kind, String)> {
    let total = clues.messages;
    let is_most = |part: u64| part > 0 && part.saturating_mul(2) >= total;
    if is_most(clues.mailing_list) {
        let why = format!("receivers call {} of {total} messages mail of a list", clues.mailing_list);
        return Some((Kind::MailingList, why));
    }
    if is_most(clues.forwarded) {
        let why = format!("receivers call {} of {total} messages forwarded", clues.forwarded);
        return Some((Kind::Forwarder, why));
    }
    if !is_most(clues.dkim_with_other_spf) {
        return None;
    }
    // A signature of the author's domain that survived under an envelope of somebody else: forwarded, unless
    // the envelope belongs to a service that sends for the domain, or signs beside it.
    let envelope = heaviest(clues.spf.iter().filter(|domain| !is_own(&domain.name, clues)))?;
    let service = senders.of_name(&envelope.name);
    if service.is_some_and(|sender| sender.kind.is_service() && sender.kind != Kind::MailProvider) {
        return None;
    }
    let organisation = organisation_of(&envelope.name);
    if clues.dkim.iter().any(|domain| organisation_of(&domain.name) == organisation) {
        return None;
    }
    let why = format!(
        "in {} of {total} messages the domain's signature holds under an envelope of {}",
        clues.dkim_with_other_spf, envelope.name
    );
    Some((
        service.map_or(Kind::Forwarder, |sender| {
            if sender.kind == Kind::MailingList { sender.kind } else { Kind::Forwarder }
        }),
        why,
    ))
}

/// The domain with the most messages; the first of equals.
fn heaviest<'a>(domains: impl Iterator<Item = &'a Domain>) -> Option<&'a Domain> {
    domains.reduce(|best, domain| if domain.messages > best.messages { domain } else { best })
}

/// True for the policy domains, what is below them, and what they are below of.
fn is_own(name: &str, clues: &Clues) -> bool {
    let below = |name: &str, above: &str| {
        name == above || name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
    };
    let organisation = organisation_of(name);
    clues.policy_domains.iter().any(|policy| below(name, policy) || organisation_of(policy) == organisation)
}

/// Second-level labels under which names are given to organisations in country zones.
const SECOND_LEVEL: [&str; 12] =
    ["ac", "co", "com", "edu", "gob", "gov", "gv", "mil", "ne", "net", "or", "org"];

/// The last labels of a name that one organisation has: two, or three below `co.uk` and the like.
///
/// An estimate without the public suffix list: it only names what no table knows.
pub fn organisation_of(name: &str) -> String {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = lower.split('.').collect();
    let is_country = labels.last().is_some_and(|last| last.len() == 2);
    let second = labels.len().checked_sub(2).and_then(|at| labels.get(at)).copied().unwrap_or_default();
    let keep = if is_country && SECOND_LEVEL.contains(&second) { 3 } else { 2 };
    labels.get(labels.len().saturating_sub(keep)..).unwrap_or_default().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Domains with their messages.
    fn domains(list: &[(&str, u64)]) -> Vec<Domain> {
        list.iter().map(|(name, messages)| Domain { name: (*name).to_owned(), messages: *messages }).collect()
    }

    /// A source of example.com with ten messages.
    fn source() -> Clues {
        Clues { policy_domains: vec!["example.com".to_owned()], messages: 10, ..Clues::default() }
    }

    #[track_caller]
    fn check(clues: &Clues, organisation: Option<&str>, kind: Option<Kind>, evidence: &str) {
        let found = identify(clues, Senders::shipped());
        assert_eq!((found.organisation.as_deref(), found.kind), (organisation, kind), "{found:?}");
        assert!(found.evidence.join("; ").contains(evidence), "{found:?}");
    }

    #[test]
    fn known_senders() {
        let signed = Clues {
            dkim: domains(&[("sendgrid.net", 10), ("example.com", 10)]),
            dkim_aligned: 10,
            ..source()
        };
        check(&signed, Some("SendGrid"), Some(Kind::Transactional), "DKIM passes for sendgrid.net");
        let envelope = Clues { spf: domains(&[("bounces.mcsv.net", 10)]), ..source() };
        check(&envelope, Some("Mailchimp"), Some(Kind::Newsletter), "SPF passes for bounces.mcsv.net");
        let named = Clues { name: Some("mail-ej1.google.com".to_owned()), ..source() };
        check(&named, Some("Google"), Some(Kind::MailProvider), "its name");
        let helo = Clues { helo: Some("mx.google.com".to_owned()), ..source() };
        check(&helo, Some("Google"), Some(Kind::MailProvider), "nothing confirms");
        // Half the world calls itself so: what passes counts more.
        let other = Clues {
            helo: Some("mx.google.com".to_owned()),
            spf: domains(&[("a.example.net", 1)]),
            ..source()
        };
        check(&other, Some("example.net"), None, "no table knows");
    }

    #[test]
    fn own_and_unknown() {
        let own = Clues { spf: domains(&[("mail.example.com", 10)]), spf_aligned: 10, ..source() };
        check(&own, Some("example.com"), Some(Kind::Own), "SPF of the domain lists it");
        check(&source(), None, None, "nothing passes");
        check(&Clues { messages: 0, ..source() }, None, None, "no message");
        let unknown = Clues { dkim: domains(&[("mail.sendwise.co.uk", 3)]), ..source() };
        check(&unknown, Some("sendwise.co.uk"), None, "DKIM passes for");
        // The provider's own mail is its own.
        let clues = Clues {
            policy_domains: vec!["google.com".to_owned()],
            spf: domains(&[("google.com", 10)]),
            spf_aligned: 10,
            ..source()
        };
        check(&clues, Some("google.com"), Some(Kind::Own), "lists it");
    }

    #[test]
    fn forwarded_mail_is_told_from_spoofing() {
        let survived = Clues {
            dkim: domains(&[("example.com", 8)]),
            spf: domains(&[("alumni.uni.example", 9)]),
            dkim_aligned: 8,
            dkim_with_other_spf: 8,
            ..source()
        };
        check(
            &survived,
            Some("uni.example"),
            Some(Kind::Forwarder),
            "holds under an envelope of alumni.uni.example",
        );
        // A service signs for the domain and for itself: nobody forwards.
        let service = Clues {
            dkim: domains(&[("example.com", 8), ("send.example.net", 8)]),
            spf: domains(&[("b.example.net", 8)]),
            ..survived.clone()
        };
        check(&service, Some("example.net"), None, "DKIM passes for send.example.net");
        // A known service without a signature of its own.
        let known = Clues { spf: domains(&[("b.mcsv.net", 9)]), ..survived.clone() };
        check(&known, Some("Mailchimp"), Some(Kind::Newsletter), "b.mcsv.net");
        // Gmail forwards with its own envelope.
        let gmail = Clues { spf: domains(&[("gmail.com", 9)]), ..survived };
        check(&gmail, Some("Google"), Some(Kind::Forwarder), "holds under an envelope of gmail.com");
        let list = Clues { mailing_list: 6, spf: domains(&[("lists.example.org", 10)]), ..source() };
        check(&list, Some("example.org"), Some(Kind::MailingList), "mail of a list");
        let said = Clues { forwarded: 5, ..source() };
        check(&said, None, Some(Kind::Forwarder), "call 5 of 10 messages forwarded");
        let few = Clues { forwarded: 1, ..source() };
        check(&few, None, None, "nothing passes");
    }

    #[test]
    fn the_users_word_is_the_last() {
        let senders = Senders::with_overrides("192.0.2.0/24 | Data centre | own").unwrap();
        let clues = Clues {
            ip: Some([192, 0, 2, 1].into()),
            forwarded: 10,
            dkim: domains(&[("sendgrid.net", 10)]),
            ..source()
        };
        let found = identify(&clues, &senders);
        assert_eq!((found.organisation.as_deref(), found.kind), (Some("Data centre"), Some(Kind::Own)));
        assert!(found.evidence[0].contains("[sources]"), "{found:?}");
    }

    #[test]
    fn organisations_of_names() {
        let cases = [
            ("a.b.example.com", "example.com"),
            ("a.example.co.uk", "example.co.uk"),
            ("example.com.br", "example.com.br"),
            ("com", "com"),
            ("", ""),
            ("X.Example.", "x.example"),
        ];
        for (name, want) in cases {
            assert_eq!(organisation_of(name), want, "{name}");
        }
    }
}
