//! When what comes: for whoever has published the records and waits.

use crate::config::Settings;
use crate::dns::Name;
use crate::dns_health::setup::Wishes;
use crate::mail::DomainName;

/// What to expect once the records are in force; `is_done` if they are.
pub(in crate::cli) fn once_published(wishes: &Wishes, is_done: bool) -> Vec<String> {
    let domains: Vec<&str> = wishes.domains.iter().map(Name::as_str).collect();
    let mut lines = Vec::new();
    if !is_done {
        lines.push(format!(
            "once they are published: `mailsonde setup {} --verify` proves the chain, with a mail that must arrive",
            domains.join(" ")
        ));
    }
    lines.extend(FIRST_REPORTS.iter().map(|line| (*line).to_owned()));
    lines
}

/// When the first reports come.
pub(in crate::cli) const FIRST_REPORTS: [&str; 2] = [
    "DMARC reports: the first come 24 to 72 hours after the record is seen, from receivers to which the domain sent \
     mail meanwhile; most send one a UTC day, in the night or morning after it",
    "TLS reports: on the UTC day after a sender that writes them (few do) delivered mail to the domain",
];

/// What to do with a store that holds nothing.
pub(in crate::cli) fn with_nothing_stored(settings: &Settings) -> Vec<String> {
    let named: Vec<&str> = settings.domains.iter().map(DomainName::as_str).collect();
    let domains = if named.is_empty() { "example.com".to_owned() } else { named.join(" ") };
    let mut lines = vec![
        "nothing is stored yet: no report, no mail, no probe".to_owned(),
        format!("`mailsonde setup {domains}` prints the DNS records that bring reports here"),
        format!(
            "`mailsonde serve` takes them, and `mailsonde setup {domains} --verify` proves the way with a mail that \
             must arrive"
        ),
        "reports that you have already: `mailsonde import PATH`; those in a mailbox elsewhere: [mailbox.NAME] in the \
         configuration"
            .to_owned(),
    ];
    lines.extend(FIRST_REPORTS.iter().map(|line| (*line).to_owned()));
    lines
}
