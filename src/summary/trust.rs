//! How far a report can be believed: a property of the mail that brought it.

use crate::mail::DomainName;
use crate::summary::percent::percent_text;

/// The trust in one report. It belongs to the sender domain that authenticated, never to `org_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// The mail was authenticated and failed.
    Failed,
    /// The mail's authentication is not known yet.
    Pending,
    /// The mail could not be authenticated: no signature, no policy.
    Unverified,
    /// Read from a file: no transport was seen.
    Imported,
    /// The mail passes DMARC (for TLS reports: a valid DKIM signature by the reporter).
    Verified,
}

impl Trust {
    /// All values, from the least to the most trusted.
    pub const ALL: [Self; 5] =
        [Self::Failed, Self::Pending, Self::Unverified, Self::Imported, Self::Verified];

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Unverified => "unverified",
            Self::Imported => "imported",
            Self::Verified => "verified",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trust| trust.as_str() == text)
    }

    /// True if an aggregate or failure report of this trust counts.
    pub const fn is_counted(self) -> bool {
        !matches!(self, Self::Failed)
    }

    /// True if a TLS report of this trust counts: without a valid DKIM signature it is to be ignored (RFC 8460 §3). One
    /// that waits for its verdict counts until then; a file has no mail that could be signed.
    pub const fn is_counted_for_tls(self) -> bool {
        matches!(self, Self::Verified | Self::Imported | Self::Pending)
    }

    /// True for what verification found, as opposed to what is assumed of mail before it.
    pub const fn is_verdict(self) -> bool {
        matches!(self, Self::Verified | Self::Unverified | Self::Failed)
    }
}

// ---- What is asked, and the shares of what was found ----

/// Which reports a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustAsked {
    /// All that count.
    #[default]
    All,
    /// Verified ones only.
    Verified,
}

impl TrustAsked {
    /// All values.
    pub const ALL: [Self; 2] = [Self::Verified, Self::All];

    /// The word after `--trust` and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Verified => "verified",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|asked| asked.as_str() == text)
    }

    /// True if what is trusted so far is asked for.
    pub fn asks_for(self, trust: Trust) -> bool {
        self == Self::All || trust == Trust::Verified
    }
}

/// How much of an answer can be believed how far: whatever was asked for, of all that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrustShares {
    /// What was asked for.
    pub asked: TrustAsked,
    /// What is counted here: messages, reports, sessions.
    pub unit: &'static str,
    /// Of verified reports.
    pub verified: u64,
    /// Of reports read from files and mailboxes.
    pub imported: u64,
    /// Of reports without proof.
    pub unverified: u64,
    /// Of reports that wait for their verdict.
    pub pending: u64,
    /// Reports that are not counted, since their mail failed authentication or, for TLS reports, has no valid signature.
    pub untrusted_reports: u64,
}

impl TrustShares {
    /// Nothing found yet.
    pub fn of(asked: TrustAsked, unit: &'static str) -> Self {
        Self { asked, unit, ..Self::default() }
    }

    /// Adds what was found with some trust; true if it was asked for.
    pub fn add(&mut self, trust: Trust, count: u64) -> bool {
        let sum = match trust {
            Trust::Verified => &mut self.verified,
            Trust::Imported => &mut self.imported,
            Trust::Unverified | Trust::Failed => &mut self.unverified,
            Trust::Pending => &mut self.pending,
        };
        *sum = sum.saturating_add(count);
        self.asked.asks_for(trust)
    }

    /// Adds the shares of `other`; what was asked for stays.
    pub fn merge(&mut self, other: &Self) {
        self.verified = self.verified.saturating_add(other.verified);
        self.imported = self.imported.saturating_add(other.imported);
        self.unverified = self.unverified.saturating_add(other.unverified);
        self.pending = self.pending.saturating_add(other.pending);
        self.untrusted_reports = self.untrusted_reports.saturating_add(other.untrusted_reports);
    }

    /// All that counts, whatever was asked for.
    pub const fn all(&self) -> u64 {
        self.verified
            .saturating_add(self.imported)
            .saturating_add(self.unverified)
            .saturating_add(self.pending)
    }

    /// The line below the period of a table; nothing where there is nothing.
    pub fn line(&self) -> Option<String> {
        let (all, unit) = (self.all(), self.unit);
        let parts = [("imported", self.imported), ("pending", self.pending), ("unverified", self.unverified)];
        let mut line = match self.asked {
            _ if all == 0 && self.untrusted_reports == 0 => return None,
            TrustAsked::All => {
                let share = |(name, part)| format!("{}% {name}", percent_text(part, all));
                // How much has no proof is said always.
                let said =
                    parts.into_iter().filter(|(name, part)| *part > 0 || *name == "unverified").map(share);
                let verified = share(("verified", self.verified));
                format!(
                    "trust of {all} {unit}: {}",
                    std::iter::once(verified).chain(said).collect::<Vec<_>>().join(", ")
                )
            }
            TrustAsked::Verified => {
                let share = percent_text(self.verified, all);
                let out = parts
                    .into_iter()
                    .filter(|(_, part)| *part > 0)
                    .map(|(name, part)| format!("{part} {name}"));
                let out: Vec<String> = out.collect();
                let out =
                    if out.is_empty() { String::new() } else { format!("; left out: {}", out.join(", ")) };
                format!("trust: verified only, {} of {all} {unit} ({share}%){out}", self.verified)
            }
        };
        if self.untrusted_reports > 0 {
            let (reports, their) =
                if self.untrusted_reports == 1 { ("report is", "its") } else { ("reports are", "their") };
            let said = if all == 0 { "trust:".to_owned() } else { format!("{line};") };
            line = format!(
                "{said} {} {reports} not counted: {their} mail failed authentication (`report messages --result untrusted`)",
                self.untrusted_reports
            );
        }
        Some(line)
    }
}

// ---- Whose report ----

/// The organizational domain of an address in a From field, by the public suffix list.
pub fn sender_domain(header_from: &str) -> Option<String> {
    let (_, host) = header_from.rsplit_once('@')?;
    organizational_domain(host)
}

/// True if a report that came from the organizational domain `sender` names it as its reporter: by its name where
/// that is a domain, else by its address. Whoever authenticates as another domain is not that reporter.
pub fn names_sender(sender: Option<&str>, org_name: Option<&str>, contact: Option<&str>) -> bool {
    let Some(sender) = sender else { return false };
    let is_domain = |name: &&str| name.contains('.') && !name.contains(char::is_whitespace);
    if let Some(named) = org_name.map(str::trim).filter(is_domain).and_then(organizational_domain) {
        return named == sender;
    }
    let Some(contact) = contact.map(str::trim) else { return false };
    // `name@host`, `mailto:name@host` or `https://host/path`.
    let host = match contact.rsplit_once('@') {
        Some((_, host)) => host,
        None => contact.split_once("://").map_or(contact, |(_, rest)| rest),
    };
    let end = host.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_')));
    let host = end.and_then(|end| host.get(..end)).unwrap_or(host);
    organizational_domain(host).is_some_and(|named| named == sender)
}

/// The organizational domain of a name by the public suffix list; a public suffix is its own.
pub fn organizational_domain(host: &str) -> Option<String> {
    let name = DomainName::parse(host.trim())?;
    Some(psl::domain_str(name.as_str()).unwrap_or(name.as_str()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_in_words() {
        let of =
            |asked, [verified, imported, unverified, pending, untrusted_reports]: [u64; 5]| TrustShares {
                asked,
                unit: "messages",
                verified,
                imported,
                unverified,
                pending,
                untrusted_reports,
            };
        let cases = [
            (TrustAsked::All, [0, 0, 0, 0, 0], None),
            (
                TrustAsked::All,
                [0, 7, 0, 0, 0],
                Some("trust of 7 messages: 0.00% verified, 100.00% imported, 0.00% unverified"),
            ),
            (
                TrustAsked::All,
                [2, 0, 1, 1, 0],
                Some("trust of 4 messages: 50.00% verified, 25.00% pending, 25.00% unverified"),
            ),
            (
                TrustAsked::Verified,
                [2, 1, 1, 0, 2],
                Some(
                    "trust: verified only, 2 of 4 messages (50.00%); left out: 1 imported, 1 unverified; 2 reports are not \
                     counted: their mail failed authentication (`report messages --result untrusted`)",
                ),
            ),
            (TrustAsked::Verified, [2, 0, 0, 0, 0], Some("trust: verified only, 2 of 2 messages (100.00%)")),
            (
                TrustAsked::All,
                [0, 0, 0, 0, 1],
                Some(
                    "trust: 1 report is not counted: its mail failed authentication (`report messages --result untrusted`)",
                ),
            ),
        ];
        for (asked, shares, expected) in cases {
            assert_eq!(of(asked, shares).line().as_deref(), expected, "{shares:?}");
        }
    }

    #[test]
    fn who_is_named() {
        type Case = (&'static str, Option<&'static str>, Option<&'static str>, bool);
        let cases: [Case; 14] = [
            ("noreply@google.com", Some("google.com"), Some("noreply@google.com"), true),
            ("noreply@mail.google.com", Some("google.com"), None, true),
            ("noreply@GOOGLE.com", Some("Google.com"), None, true),
            // A name that is a domain outweighs the address: it is the key.
            ("x@evil.example", Some("google.com"), Some("x@evil.example"), false),
            ("x@evil.example", Some("google.com"), None, false),
            ("x@evil.example", Some("Google Inc."), Some("noreply@google.com"), false),
            ("tls@google.com", Some("Google Inc."), Some("tls@google.com"), true),
            ("tls@google.com", Some("Google Inc."), Some("mailto:tls@google.com"), true),
            ("tls@a.co.uk", None, Some("https://b.a.co.uk/tls?x=1"), true),
            ("tls@b.co.uk", None, Some("https://a.co.uk"), false),
            ("tls@a.example", Some("A"), None, false),
            ("tls@a.example", None, Some("@"), false),
            ("no address", Some("no"), Some("no"), false),
            ("a@b.example", Some(""), Some(""), false),
        ];
        for (from, org_name, contact, expected) in cases {
            let sender = sender_domain(from);
            assert_eq!(
                names_sender(sender.as_deref(), org_name, contact),
                expected,
                "{from} {org_name:?} {contact:?}"
            );
        }
    }
}
