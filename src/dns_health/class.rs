//! What kind of domain it is for mail: half the advice depends on it.

use crate::dns::{Answers, Ask, Name, Outcome, RecordType};
use crate::dns_health::facts::Facts;
use crate::dns_health::look_ups::LookUps;

/// What a domain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Mail comes from it and goes to it.
    SendsAndReceives,
    /// Mail comes from it; it takes none.
    SendsOnly,
    /// Mail goes to it; it says that none comes from it.
    ReceivesOnly,
    /// It says that it has no mail at all.
    Parked,
    /// A host: an address and nothing that speaks of mail.
    MailHost,
    /// It takes the reports of others and says that it sends none.
    ReportTarget,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SendsAndReceives,
        Self::SendsOnly,
        Self::ReceivesOnly,
        Self::Parked,
        Self::MailHost,
        Self::ReportTarget,
    ];

    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendsAndReceives => "sends-and-receives",
            Self::SendsOnly => "sends-only",
            Self::ReceivesOnly => "receives-only",
            Self::Parked => "parked",
            Self::MailHost => "mail-host",
            Self::ReportTarget => "report-target",
        }
    }

    /// True if mail comes from such a domain.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendsAndReceives | Self::SendsOnly)
    }

    /// True if such a domain takes mail.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendsAndReceives | Self::ReceivesOnly | Self::ReportTarget)
    }
}

/// The texts at a name that are SPF records: `v=spf1`, alone or before a space (RFC 7208 §4.5).
pub fn spf_texts(domain: &Name, answers: &Answers) -> Result<Vec<Vec<u8>>, Ask> {
    let answer = answers.get(domain, RecordType::Txt)?;
    let is_spf = |text: &Vec<u8>| {
        let head = text.get(..6).unwrap_or_default();
        head.eq_ignore_ascii_case(b"v=spf1") && text.get(6).is_none_or(|octet| *octet == b' ')
    };
    Ok(answer.texts().filter(is_spf).collect())
}

/// True if a record authorizes nobody: `v=spf1 -all` and no more.
pub fn is_locked(spf: &[u8]) -> bool {
    let text = String::from_utf8_lossy(spf).to_ascii_lowercase();
    let mut terms = text.split(' ').filter(|term| !term.is_empty());
    terms.next() == Some("v=spf1") && terms.next() == Some("-all") && terms.next().is_none()
}

/// Finds the class of a domain; nothing where the answers that decide it are not known.
///
/// Whether it takes mail follows from its MX records, or its addresses without any (RFC 5321 §5.1, RFC 7505
/// §3). Whether it sends: what was observed; else it does unless SPF authorizes nobody.
pub fn class_of(facts: &Facts, answers: &Answers) -> Result<Option<Class>, Ask> {
    let domain = &facts.domain;
    let mut look_ups = LookUps::new(answers);
    let mx = look_ups.get(domain, RecordType::Mx);
    let four = look_ups.get(domain, RecordType::A);
    let six = look_ups.get(domain, RecordType::Aaaa);
    let spf = look_ups.take(spf_texts(domain, answers));
    let txt = look_ups.get(domain, RecordType::Txt);
    let dmarc = domain.below("_dmarc").ok().and_then(|name| look_ups.get(&name, RecordType::Txt));
    look_ups.done()?;
    let (Some(mx), Some(four), Some(six), Some(spf), Some(txt)) = (mx, four, six, spf, txt) else {
        return Ok(None);
    };
    if mx.trouble().is_some() || txt.trouble().is_some() {
        return Ok(None);
    }
    let exchangers = mx.exchangers();
    let has_address = !four.data().is_empty() || !six.data().is_empty();
    let receives = match &mx.outcome {
        Outcome::Records(_) => exchangers.iter().any(|mx| !mx.exchange.is_root()),
        _ => has_address,
    };
    let has_dmarc = dmarc.is_some_and(|answer| answer.texts().any(|text| text.starts_with(b"v=DMARC1")));
    let is_silent = matches!(spf.as_slice(), [only] if is_locked(only));
    let says_nothing = exchangers.is_empty() && spf.is_empty() && !has_dmarc;
    // Who can take no answer and says nothing of senders has no mail.
    let has_nothing = spf.is_empty() && !receives;
    let sends = facts.is_sender.unwrap_or(!is_silent && !has_nothing);
    Ok(Some(match (sends, receives) {
        _ if says_nothing && has_address && facts.is_sender != Some(true) => Class::MailHost,
        (false, true) if facts.is_report_target => Class::ReportTarget,
        (true, true) => Class::SendsAndReceives,
        (true, false) => Class::SendsOnly,
        (false, true) => Class::ReceivesOnly,
        (false, false) => Class::Parked,
    }))
}
