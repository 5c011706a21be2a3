//! Why a mail was not delivered, in words of our own list, and whose turn it is to act.
//!
//! Three sources in this order: words of the refusal, the enhanced status, the reply code. Words come
//! first, since many hosts answer every refusal with 5.7.1. The tables are data: a row a phrase.

use crate::mail::status_code::{Class, EnhancedStatus, ReplyCode};

/// Why a mail was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No such mailbox.
    UserUnknown,
    /// No such domain or host.
    HostUnknown,
    /// The mailbox moved.
    HasMoved,
    /// The mailbox is full.
    MailboxFull,
    /// The mailbox is disabled.
    Suspended,
    /// Refused by a filter of the recipient, or after DATA without more words.
    Filtered,
    /// The sender's address is refused.
    Rejected,
    /// The connecting host is refused.
    Blocked,
    /// Refused for reputation.
    BadReputation,
    /// The connecting host has no proper reverse name.
    RequirePtr,
    /// SPF, DKIM or DMARC failed.
    AuthFailure,
    /// Refused by a policy.
    PolicyViolation,
    /// Taken for spam.
    SpamDetected,
    /// Taken for malware.
    VirusDetected,
    /// Not authorized, or a security rule.
    SecurityError,
    /// The content cannot be taken.
    ContentError,
    /// The message is too large.
    EmailTooLarge,
    /// Too much, too fast.
    RateLimited,
    /// The domain takes no mail, or a group takes none from this sender.
    NotAccept,
    /// No connection, or name service trouble.
    NetworkError,
    /// A routing loop.
    MailLoop,
    /// STARTTLS failed or is wanted.
    FailedStartTls,
    /// Relaying denied.
    NoRelaying,
    /// Trouble in the far system.
    SystemError,
    /// The far system is full.
    SystemFull,
    /// A program that delivers failed.
    MailerError,
    /// The message breaks a standard.
    NotCompliantRfc,
    /// The dialogue or an address has a syntax error.
    SyntaxError,
    /// Given up after trying for its time.
    Expired,
    /// On a list of addresses to which the provider does not send.
    Suppressed,
    /// Held, for whatever reason.
    OnHold,
    /// None of these, or nothing said.
    Other,
}

/// Whose turn it is to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Our configuration.
    OurConfiguration,
    /// Our reputation.
    OurReputation,
    /// Our SPF, DKIM or DMARC.
    OurAuthentication,
    /// What we send.
    Content,
    /// The way between.
    Path,
    /// A rule of the far end.
    FarPolicy,
    /// The far mailbox.
    FarMailbox,
    /// A fault of the far end.
    FarFault,
    /// Not known.
    Unknown,
}

impl Reason {
    /// Why a server refuses or puts off in its reply: by the words, else by the enhanced status, else by the code.
    ///
    /// `text`: the lines of the reply joined, without codes. Whether it is a refusal is for the caller to know.
    pub fn of_reply(text: &str, enhanced: Option<EnhancedStatus>, code: Option<ReplyCode>) -> Self {
        find(text, "", enhanced, code).0
    }

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserUnknown => "user_unknown",
            Self::HostUnknown => "host_unknown",
            Self::HasMoved => "has_moved",
            Self::MailboxFull => "mailbox_full",
            Self::Suspended => "suspended",
            Self::Filtered => "filtered",
            Self::Rejected => "rejected",
            Self::Blocked => "blocked",
            Self::BadReputation => "bad_reputation",
            Self::RequirePtr => "require_ptr",
            Self::AuthFailure => "auth_failure",
            Self::PolicyViolation => "policy_violation",
            Self::SpamDetected => "spam_detected",
            Self::VirusDetected => "virus_detected",
            Self::SecurityError => "security_error",
            Self::ContentError => "content_error",
            Self::EmailTooLarge => "email_too_large",
            Self::RateLimited => "rate_limited",
            Self::NotAccept => "not_accept",
            Self::NetworkError => "network_error",
            Self::MailLoop => "mail_loop",
            Self::FailedStartTls => "failed_starttls",
            Self::NoRelaying => "no_relaying",
            Self::SystemError => "system_error",
            Self::SystemFull => "system_full",
            Self::MailerError => "mailer_error",
            Self::NotCompliantRfc => "not_compliant_rfc",
            Self::SyntaxError => "syntax_error",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::OnHold => "on_hold",
            Self::Other => "other",
        }
    }

    /// Whose turn it is to act.
    pub const fn blame(self) -> Blame {
        match self {
            Self::UserUnknown | Self::HostUnknown | Self::HasMoved | Self::MailboxFull | Self::Suspended => {
                Blame::FarMailbox
            }
            Self::Filtered
            | Self::PolicyViolation
            | Self::SecurityError
            | Self::NotAccept
            | Self::Suppressed
            | Self::OnHold => Blame::FarPolicy,
            Self::Rejected
            | Self::RequirePtr
            | Self::NoRelaying
            | Self::SyntaxError
            | Self::NotCompliantRfc => Blame::OurConfiguration,
            Self::Blocked | Self::BadReputation | Self::RateLimited => Blame::OurReputation,
            Self::AuthFailure => Blame::OurAuthentication,
            Self::SpamDetected | Self::VirusDetected | Self::ContentError | Self::EmailTooLarge => {
                Blame::Content
            }
            Self::NetworkError | Self::MailLoop | Self::FailedStartTls | Self::Expired => Blame::Path,
            Self::SystemError | Self::SystemFull | Self::MailerError => Blame::FarFault,
            Self::Other => Blame::Unknown,
        }
    }
}

impl Blame {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OurConfiguration => "our_configuration",
            Self::OurReputation => "our_reputation",
            Self::OurAuthentication => "our_authentication",
            Self::Content => "content",
            Self::Path => "path",
            Self::FarPolicy => "far_policy",
            Self::FarMailbox => "far_mailbox",
            Self::FarFault => "far_fault",
            Self::Unknown => "unknown",
        }
    }
}

/// Phrases in lower case, the telling ones first: the first that occurs decides.
const PHRASES: &[(&str, Reason)] = &[
    // What a standard or a big provider writes word for word.
    ("refused to talk to me", Reason::Blocked),
    ("duplicate header", Reason::NotCompliantRfc),
    ("rfc 5322", Reason::NotCompliantRfc),
    ("rfc5322", Reason::NotCompliantRfc),
    ("message expired", Reason::Expired),
    ("recipient address rejected: access denied", Reason::UserUnknown),
    ("recipient addresses rejected : access denied", Reason::UserUnknown),
    ("groups.google.com/support", Reason::NotAccept),
    ("customfromdenied", Reason::Rejected),
    ("address is not verified", Reason::Rejected),
    ("dmarc", Reason::AuthFailure),
    ("spf check", Reason::AuthFailure),
    ("spf record", Reason::AuthFailure),
    ("its content presents a potential", Reason::ContentError),
    ("spf fail", Reason::AuthFailure),
    ("sender policy framework", Reason::AuthFailure),
    ("unauthenticated email", Reason::AuthFailure),
    ("unauthenticated senders", Reason::AuthFailure),
    ("does not pass authentication", Reason::AuthFailure),
    ("authentication checks", Reason::AuthFailure),
    ("required authentication level", Reason::AuthFailure),
    ("dkim", Reason::AuthFailure),
    ("reverse dns", Reason::RequirePtr),
    ("rdns", Reason::RequirePtr),
    ("ptr record", Reason::RequirePtr),
    ("mismatches client ip", Reason::RequirePtr),
    ("cannot find your hostname", Reason::RequirePtr),
    ("unverifyable sending ip", Reason::RequirePtr),
    ("cannot resolve your address", Reason::RequirePtr),
    ("no relay", Reason::NoRelaying),
    ("relaying denied", Reason::NoRelaying),
    ("relay access denied", Reason::NoRelaying),
    ("relay denied", Reason::NoRelaying),
    ("relaying not allowed", Reason::NoRelaying),
    ("not configured to relay", Reason::NoRelaying),
    ("insecure mail relay", Reason::NoRelaying),
    ("relay not permitted", Reason::NoRelaying),
    ("mailbox is full", Reason::MailboxFull),
    ("mailbox full", Reason::MailboxFull),
    ("mailfolder is full", Reason::MailboxFull),
    ("over quota", Reason::MailboxFull),
    ("quota exceeded", Reason::MailboxFull),
    ("exceeded storage", Reason::MailboxFull),
    ("out of storage", Reason::MailboxFull),
    ("overquota", Reason::MailboxFull),
    ("exceeds allowed size", Reason::MailboxFull),
    ("exceeded its disk space", Reason::MailboxFull),
    ("too many messages on the server", Reason::MailboxFull),
    ("max message size", Reason::EmailTooLarge),
    ("mailbox exceeded the local limit", Reason::MailboxFull),
    ("mailbox size limit", Reason::MailboxFull),
    ("disk quota", Reason::MailboxFull),
    ("exceed mailbox quota", Reason::MailboxFull),
    ("insufficient system", Reason::SystemFull),
    ("insufficient disk space", Reason::SystemFull),
    ("no space left", Reason::SystemFull),
    ("virus", Reason::VirusDetected),
    ("malware", Reason::VirusDetected),
    ("infected", Reason::VirusDetected),
    ("greylist", Reason::RateLimited),
    ("rate limit", Reason::RateLimited),
    ("too many", Reason::RateLimited),
    ("server busy", Reason::RateLimited),
    ("receiving mail at a rate", Reason::RateLimited),
    ("throttl", Reason::RateLimited),
    ("exceeded the rate", Reason::RateLimited),
    ("unusual rate", Reason::RateLimited),
    ("daily relay quota", Reason::RateLimited),
    ("message rate", Reason::RateLimited),
    ("frequency limit", Reason::RateLimited),
    ("unexpected volume", Reason::BadReputation),
    ("reputation", Reason::BadReputation),
    ("blacklist", Reason::Blocked),
    ("blocklist", Reason::Blocked),
    ("block list", Reason::Blocked),
    ("black list", Reason::Blocked),
    ("banned sending ip", Reason::Blocked),
    ("spamhaus", Reason::Blocked),
    ("open relay", Reason::Blocked),
    ("no access from", Reason::Blocked),
    ("host network not allowed", Reason::Blocked),
    ("client host rejected", Reason::Blocked),
    ("blocked using", Reason::Blocked),
    ("your ip", Reason::Blocked),
    ("sending ip", Reason::Blocked),
    ("invalid ip", Reason::Blocked),
    ("connection refused by", Reason::Blocked),
    ("spam", Reason::SpamDetected),
    ("uribl", Reason::SpamDetected),
    ("junk mail", Reason::SpamDetected),
    ("unsolicited", Reason::SpamDetected),
    ("message size", Reason::EmailTooLarge),
    ("size limit", Reason::EmailTooLarge),
    ("too large", Reason::EmailTooLarge),
    ("too big", Reason::EmailTooLarge),
    ("message length exceeds", Reason::EmailTooLarge),
    ("exceeds the maximum", Reason::EmailTooLarge),
    ("larger than", Reason::EmailTooLarge),
    ("hop count", Reason::MailLoop),
    ("too many hops", Reason::MailLoop),
    ("mail loop", Reason::MailLoop),
    ("routing loop", Reason::MailLoop),
    ("loops back to", Reason::MailLoop),
    ("loop detected", Reason::MailLoop),
    ("starttls", Reason::FailedStartTls),
    ("tls is required", Reason::FailedStartTls),
    ("host unknown", Reason::HostUnknown),
    ("host not found", Reason::HostUnknown),
    ("domain not found", Reason::HostUnknown),
    ("domain does not exist", Reason::HostUnknown),
    ("no such domain", Reason::HostUnknown),
    ("domain name not found", Reason::HostUnknown),
    ("nxdomain", Reason::HostUnknown),
    ("had no relevant answers", Reason::HostUnknown),
    ("unrouteable", Reason::HostUnknown),
    ("unroutable address", Reason::HostUnknown),
    ("name service error", Reason::HostUnknown),
    ("mail exchanger or ip address", Reason::HostUnknown),
    ("dns lookup failure", Reason::HostUnknown),
    ("null mx", Reason::NotAccept),
    ("does not accept mail", Reason::NotAccept),
    ("nullmx", Reason::NotAccept),
    ("not a member", Reason::NotAccept),
    ("not permitted to post", Reason::NotAccept),
    ("has moved", Reason::HasMoved),
    ("no longer on server", Reason::HasMoved),
    ("new address", Reason::HasMoved),
    ("disabled", Reason::Suspended),
    ("suspended", Reason::Suspended),
    ("account is locked", Reason::Suspended),
    ("inactive", Reason::Suspended),
    ("account expired", Reason::Suspended),
    ("no mailbox here", Reason::UserUnknown),
    ("no such user", Reason::UserUnknown),
    ("user unknown", Reason::UserUnknown),
    ("unknown user", Reason::UserUnknown),
    ("user not found", Reason::UserUnknown),
    ("no such recipient", Reason::UserUnknown),
    ("unknown recipient", Reason::UserUnknown),
    ("recipient unknown", Reason::UserUnknown),
    ("recipient not found", Reason::UserUnknown),
    ("recipientnotfound", Reason::UserUnknown),
    ("recipnotfound", Reason::UserUnknown),
    ("recipient name is not recognized", Reason::UserUnknown),
    ("unknown or illegal user", Reason::UserUnknown),
    ("no such mailbox", Reason::UserUnknown),
    ("mailbox does not exist", Reason::UserUnknown),
    ("mailbox unavailable", Reason::UserUnknown),
    ("mailbox not found", Reason::UserUnknown),
    ("unknown mailbox", Reason::UserUnknown),
    ("unknown address", Reason::UserUnknown),
    ("invalid recipient", Reason::UserUnknown),
    ("invalid mailbox", Reason::UserUnknown),
    ("invalid user", Reason::UserUnknown),
    ("invalid final delivery", Reason::UserUnknown),
    ("no mailbox of that name", Reason::UserUnknown),
    ("does not exist", Reason::UserUnknown),
    ("doesn't exist", Reason::UserUnknown),
    ("not listed in", Reason::UserUnknown),
    ("isn't a valid", Reason::UserUnknown),
    ("bad destination mailbox", Reason::UserUnknown),
    ("address unknown", Reason::UserUnknown),
    ("deactivated", Reason::Suspended),
    ("no mail box", Reason::UserUnknown),
    ("no mailbox found", Reason::UserUnknown),
    ("mail-box not found", Reason::UserUnknown),
    ("mailbox not available", Reason::UserUnknown),
    ("not a known user", Reason::UserUnknown),
    ("no account by that name", Reason::UserUnknown),
    ("no such account", Reason::UserUnknown),
    ("recipient rejected", Reason::UserUnknown),
    ("bad_recipient", Reason::UserUnknown),
    ("not an active address", Reason::UserUnknown),
    ("list of allowed rcpthosts", Reason::NoRelaying),
    ("trying to use me", Reason::NoRelaying),
    ("mass mailer", Reason::SpamDetected),
    ("bulk mail", Reason::SpamDetected),
    ("bulk email", Reason::SpamDetected),
    ("name or service not known", Reason::HostUnknown),
    ("no such address", Reason::UserUnknown),
    ("user doesn't have a", Reason::UserUnknown),
    ("destinataire invalide", Reason::UserUnknown),
    ("message content rejected", Reason::SpamDetected),
    ("sender rejected", Reason::Rejected),
    ("sender address", Reason::Rejected),
    ("sender was rejected", Reason::Rejected),
    ("from address", Reason::Rejected),
    ("domain is invalid", Reason::Rejected),
    ("invalid domain name", Reason::Rejected),
    ("malformed address", Reason::SyntaxError),
    ("syntax error", Reason::SyntaxError),
    ("command unrecognized", Reason::SyntaxError),
    ("multiple addresses in from", Reason::NotCompliantRfc),
    ("bare lf", Reason::NotCompliantRfc),
    ("suppression list", Reason::Suppressed),
    ("retry timeout exceeded", Reason::Expired),
    ("envelope expired", Reason::Expired),
    ("delivery time expired", Reason::Expired),
    ("in the queue too long", Reason::Expired),
    ("failing for a long time", Reason::Expired),
    ("cannot send message for", Reason::Expired),
    ("could not deliver for the last", Reason::Expired),
    ("could not be delivered for", Reason::Expired),
    ("connection timed out", Reason::NetworkError),
    ("connection refused", Reason::NetworkError),
    ("no route to host", Reason::NetworkError),
    ("network error", Reason::NetworkError),
    ("establish an smtp connection", Reason::NetworkError),
    ("did not accept our requests to connect", Reason::NetworkError),
    ("command output", Reason::MailerError),
    ("unknown mailer error", Reason::MailerError),
    ("not authorized", Reason::SecurityError),
    ("authentication required", Reason::SecurityError),
    ("policy", Reason::PolicyViolation),
    ("recipient preferences", Reason::Filtered),
    ("blocked", Reason::Blocked),
    ("access denied", Reason::Blocked),
];

/// Finds the reason and the name of the rule that gave it.
///
/// `diagnostic` holds the words of the refusal, `around` those of the report beside it, which are asked last:
/// they hold advice and links as well. A success has no reason: the caller does not ask.
pub(super) fn find(
    diagnostic: &str,
    around: &str,
    enhanced: Option<EnhancedStatus>,
    code: Option<ReplyCode>,
) -> (Reason, &'static str) {
    if let Some(reason) = by_words(diagnostic) {
        return (reason, "reason-by-diagnostic");
    }
    if let Some(reason) = enhanced.and_then(by_enhanced_status) {
        return (reason, "reason-by-enhanced-status");
    }
    if let Some(reason) = by_words(around) {
        return (reason, "reason-by-words");
    }
    match code.map(ReplyCode::value) {
        // RFC 5321 §4.2.3.
        Some(552) => (Reason::MailboxFull, "reason-by-reply-code"),
        Some(553 | 501) => (Reason::SyntaxError, "reason-by-reply-code"),
        Some(451) => (Reason::SystemError, "reason-by-reply-code"),
        Some(452) => (Reason::SystemFull, "reason-by-reply-code"),
        Some(421) => (Reason::RateLimited, "reason-by-reply-code"),
        _ => (Reason::Other, "no-reason"),
    }
}

/// The reason that words state: the first phrase of the table that occurs.
fn by_words(words: &str) -> Option<Reason> {
    let lower = words.to_lowercase();
    PHRASES.iter().find(|(phrase, _)| lower.contains(phrase)).map(|(_, reason)| *reason)
}

/// The reason that an enhanced status states (RFC 3463 §3, RFC 5248 §2.4, RFC 7372 §3, RFC 7505 §4.2).
fn by_enhanced_status(status: EnhancedStatus) -> Option<Reason> {
    let transient = status.class == Class::Transient;
    Some(match (status.subject, status.detail) {
        (1, 0 | 1 | 3 | 4 | 10 | 351) => Reason::UserUnknown,
        (1, 2) | (4, 4) => Reason::HostUnknown,
        (1, 6) => Reason::HasMoved,
        (1, 7 | 8) => Reason::Rejected,
        (2, 1) => Reason::Suspended,
        (2, 2) => Reason::MailboxFull,
        (2, 3) | (3, 4) => Reason::EmailTooLarge,
        (3, 1) => Reason::SystemFull,
        (3, 0 | 2 | 3 | 5) => Reason::SystemError,
        (4, 6 | 14) => Reason::MailLoop,
        (4, 7) => Reason::Expired,
        (4, 5) | (5, 3) => Reason::RateLimited,
        (4, 0..=3 | 312 | 316) => Reason::NetworkError,
        (5, 2 | 4) => Reason::SyntaxError,
        (6, 0..=3 | 6..=10) => Reason::ContentError,
        (7, 20..=26 | 509 | 515) => Reason::AuthFailure,
        (7, 27) => Reason::NotAccept,
        (7, 0 | 1) if transient => Reason::RateLimited,
        (7, 0 | 1) => Reason::PolicyViolation,
        (7, 10 | 11) => Reason::FailedStartTls,
        (7, _) => Reason::SecurityError,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        let cases = [
            ("550 5.1.1 <a@example.net>... User unknown", "5.1.1", None, Reason::UserUnknown),
            ("550 5.7.1 does not pass DMARC verification", "5.7.1", None, Reason::AuthFailure),
            ("450 5.2.2 Mailbox Full", "4.2.2", None, Reason::MailboxFull),
            ("", "5.1.10", None, Reason::UserUnknown),
            ("", "", Some("452"), Reason::SystemFull),
            ("421 4.7.0 come later", "4.7.0", None, Reason::RateLimited),
            ("the weather", "", None, Reason::Other),
        ];
        for (words, enhanced, code, want) in cases {
            let got = find(words, "", EnhancedStatus::parse(enhanced), code.and_then(ReplyCode::parse));
            assert_eq!(got.0, want, "{words:?} {enhanced:?}");
        }
    }

    #[test]
    fn phrases_are_lower_case() {
        for (phrase, _) in PHRASES {
            assert_eq!(*phrase, phrase.to_lowercase());
        }
    }
}
