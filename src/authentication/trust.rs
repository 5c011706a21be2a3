//! How far a report can be believed, from the verification of the mail that brought it.
//!
//! Belief belongs to the sender domain that authenticated, never to a name in the report: anybody can write
//! `org_name`. A report whose mail could have been authenticated and was not is forged, or as good as that.
//!
//! Standard: RFC 9990 §3.2 (a report must itself pass DMARC), RFC 8460 §3 (a TLS report must have a valid
//! signature of the reporter, without `l=`).

use super::dkim::{self, DkimResult, Note};
use super::dmarc::{AuthorVerdict, DmarcResult, Mechanism, Standing, organizational_by_suffix};
use super::spf::SpfResult;
use super::verify::{Spf, Verdicts};
use crate::dns::Name;

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Belief {
    /// The sender domain authenticated.
    Verified,
    /// It could have, and did not.
    Failed,
    /// Nothing says whether the mail is from whom it says.
    Unverified,
    /// DNS did not answer: later it may.
    Open,
}

/// The judgement on the mail of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Believed {
    /// How far.
    pub belief: Belief,
    /// The domain that authenticated, where one did.
    pub sender: Option<Name>,
    /// Why, in words.
    pub reason: String,
}

impl Believed {
    /// A judgement without an authenticated domain.
    fn without_sender(belief: Belief, reason: impl Into<String>) -> Self {
        Self { belief, sender: None, reason: reason.into() }
    }

    /// A sender domain that authenticated.
    fn verified(sender: Name, reason: String) -> Self {
        Self { belief: Belief::Verified, sender: Some(sender), reason }
    }

    /// The last judgement, where DNS is not asked any more.
    #[must_use]
    pub fn given_up(mut self) -> Self {
        if self.belief == Belief::Open {
            self.belief = Belief::Unverified;
        }
        self
    }
}

/// Judges the mail of a DMARC aggregate or failure report: does it pass DMARC?
///
/// A signature that leaves octets of the body unsigned authenticates the author and not the report: anything could
/// have been added. Where our own result cannot be known, that of a trusted host counts.
pub fn of_dmarc_report(verdicts: &Verdicts) -> Believed {
    let dmarc = &verdicts.dmarc;
    match dmarc.result {
        DmarcResult::Pass => match dmarc.author().and_then(|author| passed(author, verdicts)) {
            Some(sender) => Believed::verified(sender, dmarc.reason.clone()),
            None => Believed::without_sender(
                Belief::Unverified,
                "DMARC passes by a signature that leaves a part of the body unsigned (l=)",
            ),
        },
        DmarcResult::Fail => Believed::without_sender(Belief::Failed, dmarc.reason.clone()),
        DmarcResult::TempError => Believed::without_sender(Belief::Open, dmarc.reason.clone()),
        DmarcResult::NotKnown => claimed(verdicts)
            .unwrap_or_else(|| Believed::without_sender(Belief::Unverified, dmarc.reason.clone())),
        DmarcResult::PermError => Believed::without_sender(Belief::Unverified, dmarc.reason.clone()),
        DmarcResult::None => without_policy(verdicts),
    }
}

/// The aligned domain that passed and covers the whole message: that of a signature before that of SPF.
fn passed(author: &AuthorVerdict, verdicts: &Verdicts) -> Option<Name> {
    let aligned = author
        .by_walk
        .identifiers
        .iter()
        .filter(|(identifier, aligned)| identifier.standing == Standing::Passed && aligned.is_aligned())
        .map(|(identifier, _)| identifier);
    let of = |mechanism: Mechanism| {
        aligned.clone().filter(move |identifier| identifier.mechanism == mechanism).map(|known| &known.domain)
    };
    let mut signers = of(Mechanism::Dkim);
    let signer = signers.find(|domain| {
        verdicts
            .dkim
            .verdicts
            .iter()
            .any(|verdict| domain_of(verdict).as_ref() == Some(*domain) && is_whole(verdict))
    });
    signer.or_else(|| of(Mechanism::Spf).next()).cloned()
}

/// Judges where no policy is published: what is authenticated for the author's organization is.
fn without_policy(verdicts: &Verdicts) -> Believed {
    let reason = &verdicts.dmarc.reason;
    let Ok([author]) = verdicts.from.author_domains() else {
        return Believed::without_sender(Belief::Unverified, reason.clone());
    };
    let organization = organizational_by_suffix(author);
    let is_aligned = |domain: &Name| organizational_by_suffix(domain) == organization;
    let signers = verdicts.dkim.verdicts.iter().filter(|verdict| is_whole(verdict)).filter_map(domain_of);
    let by_spf = match &verdicts.spf {
        Spf::Judged(spf) if spf.result == SpfResult::Pass => spf.domain_name(),
        Spf::Judged(_) | Spf::NotKnown(_) => None,
    };
    let signer = signers.map(|domain| ("dkim", domain)).chain(by_spf.map(|domain| ("spf", domain)));
    if let Some((mechanism, sender)) = signer.into_iter().find(|(_, domain)| is_aligned(domain)) {
        let reason = format!("{mechanism} of {sender} passes; {reason}");
        return Believed::verified(sender, reason);
    }
    let is_open = verdicts.spf.result() == Some(SpfResult::TempError) || verdicts.dkim.is_open();
    let belief = if is_open { Belief::Open } else { Belief::Unverified };
    claimed(verdicts).filter(|_| !is_open).unwrap_or_else(|| Believed::without_sender(belief, reason.clone()))
}

/// What a trusted host says about DMARC of the author domain.
fn claimed(verdicts: &Verdicts) -> Option<Believed> {
    let Ok([author]) = verdicts.from.author_domains() else { return None };
    let domain_of = |value: &str| value.rsplit_once('@').map_or(value, |(_, domain)| domain).to_owned();
    for claim in &verdicts.claims {
        let host = claim.authserv_id.as_deref().unwrap_or_default();
        for result in claim.results.iter().filter(|result| result.method == "dmarc") {
            let about = result.property("header.from").map(domain_of);
            if about.and_then(|about| Name::from_dotted(&about).ok()).as_ref() != Some(author) {
                continue;
            }
            let reason = format!("{host} says dmarc={}", result.result);
            match result.result.as_str() {
                "pass" => return Some(Believed::verified(author.clone(), reason)),
                "fail" => return Some(Believed::without_sender(Belief::Failed, reason)),
                _ => {}
            }
        }
    }
    None
}

/// Judges the mail of a TLS report: is it signed by the domain in From, whole (RFC 8460 §3)?
///
/// SPF plays no part: such a report without a signature must be ignored, whoever sent it.
pub fn of_tls_report(verdicts: &Verdicts) -> Believed {
    let author = match verdicts.from.author_domains() {
        Ok([author]) => author,
        Ok(_) => return Believed::without_sender(Belief::Failed, "the mail has several authors"),
        Err(fault) => return Believed::without_sender(Belief::Failed, fault),
    };
    let is_reporter = |domain: &Name| is_same_organization(author, domain, verdicts);
    let own: Vec<(&dkim::Verdict, Name)> = verdicts
        .dkim
        .verdicts
        .iter()
        .filter_map(|verdict| Some((verdict, domain_of(verdict)?)))
        .filter(|(_, domain)| is_reporter(domain))
        .collect();
    let is_valid = |verdict: &dkim::Verdict| {
        is_whole(verdict) && verdict.facts.body_length.is_none() && !verdict.notes.contains(&Note::Testing)
    };
    if let Some((_, sender)) = own.iter().find(|(verdict, _)| is_valid(verdict)) {
        return Believed::verified(sender.clone(), format!("signed by {sender}"));
    }
    let with = |wanted: DkimResult| own.iter().find(|(verdict, _)| verdict.result() == wanted);
    if let Some((verdict, _)) = with(DkimResult::TempError) {
        return Believed::without_sender(Belief::Open, verdict.reason.to_string());
    }
    if let Some((verdict, _)) = with(DkimResult::NotKnown) {
        return Believed::without_sender(Belief::Unverified, verdict.reason.to_string());
    }
    let reason = match own.first() {
        Some((verdict, domain)) if verdict.result() == DkimResult::Pass => {
            format!("the signature of {domain} does not cover the report, or is a test (l=, t=y)")
        }
        Some((verdict, domain)) => format!("no valid signature of {domain}: {}", verdict.reason),
        None => format!("no signature of {author}, which RFC 8460 requires"),
    };
    Believed::without_sender(Belief::Failed, reason)
}

/// Whether a domain is of the author's organization, by the tree walk where it found a record, else by the public
/// suffix list.
fn is_same_organization(author: &Name, domain: &Name, verdicts: &Verdicts) -> bool {
    let walked = verdicts.dmarc.author().and_then(|verdict| {
        let has_record = verdict.by_walk.record_at.is_some();
        verdict.by_walk.organizational.as_ref().filter(|_| has_record)
    });
    domain == author
        || walked.is_some_and(|organization| domain.is_within(organization))
        || organizational_by_suffix(domain) == organizational_by_suffix(author)
}

/// `d=` of a signature.
fn domain_of(verdict: &dkim::Verdict) -> Option<Name> {
    Name::from_dotted(verdict.facts.domain.as_deref()?).ok()
}

/// True if a signature passes, and leaves nothing of the body unsigned.
fn is_whole(verdict: &dkim::Verdict) -> bool {
    verdict.result() == DkimResult::Pass
        && !verdict.notes.iter().any(|note| matches!(note, Note::Unsigned(_) | Note::Testing))
}

#[cfg(test)]
mod tests;
