//! All checks in their order, and the document made of them.

use std::fmt::Write as _;

use crate::dns::{Answers, Ask};
use crate::dns_health::facts::Facts;
use crate::dns_health::finding::{Checks, Code};
use crate::dns_health::{
    bimi, blocklists, caa, dane, dkim, dkim_seen, dmarc, dmarc_reported, hosts, mta_sts, mx, names, parked,
    spf, spf_reported, tls_rpt, transport, zone,
};

/// A pure function from what is known to what it means. Errors: the questions that it lacks.
pub type Check = fn(&Facts, &Answers) -> Result<Checks, Ask>;

/// The checks of one subject.
pub struct Group {
    /// The subject.
    pub title: &'static str,
    /// The codes that they may find.
    pub codes: &'static [&'static Code],
    /// The function.
    pub check: Check,
}

/// Every group, in the order of reports and of the document: what makes later findings moot comes first.
pub static GROUPS: &[Group] = &[
    Group { title: "Resolver and zone", codes: zone::CODES, check: zone::check },
    Group { title: "Names and references", codes: names::CODES, check: names::check },
    Group { title: "Mail exchangers", codes: mx::CODES, check: mx::check },
    Group { title: "SPF", codes: spf::CODES, check: spf::check },
    Group { title: "SPF of reported mail", codes: spf_reported::CODES, check: spf_reported::check },
    Group { title: "DKIM", codes: dkim::CODES, check: dkim::check },
    Group { title: "DKIM of seen mail", codes: dkim_seen::CODES, check: dkim_seen::check },
    Group { title: "DMARC", codes: dmarc::CODES, check: dmarc::check },
    Group { title: "DMARC of reported mail", codes: dmarc_reported::CODES, check: dmarc_reported::check },
    Group { title: "MTA-STS", codes: mta_sts::CODES, check: mta_sts::check },
    Group { title: "TLS reports", codes: tls_rpt::CODES, check: tls_rpt::check },
    Group { title: "DANE", codes: dane::CODES, check: dane::check },
    Group { title: "TLS of the mail exchangers", codes: transport::CODES, check: transport::check },
    Group { title: "Certificate authorities", codes: caa::CODES, check: caa::check },
    Group { title: "Reverse names and greetings", codes: hosts::CODES, check: hosts::check },
    Group { title: "Blocklists", codes: blocklists::CODES, check: blocklists::check },
    Group { title: "Domains without mail", codes: parked::CODES, check: parked::check },
    Group { title: "BIMI", codes: bimi::CODES, check: bimi::check },
];

/// The code of that name.
pub fn find(code: &str) -> Option<&'static Code> {
    GROUPS.iter().flat_map(|group| group.codes).copied().find(|known| known.code == code)
}

/// The catalogue as Markdown: the body of docs/health-checks.md.
pub fn markdown() -> String {
    let mut text = String::new();
    for group in GROUPS {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| code | severity | found | standard | mend |\n| --- | --- | --- | --- | --- |\n",
            group.title
        );
        for code in group.codes {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                code.code,
                code.severity.as_str(),
                code.about,
                code.standard,
                code.mend
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_say_what_to_do() {
        let mut seen = BTreeSet::new();
        for code in GROUPS.iter().flat_map(|group| group.codes) {
            assert!(seen.insert(code.code), "{} is there twice", code.code);
            let is_code =
                code.code.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'-');
            assert!(is_code, "{}", code.code);
            for text in [code.about, code.mend, code.standard] {
                assert!(
                    !text.is_empty() && !text.contains('|') && !text.contains('\n'),
                    "{}: {text}",
                    code.code
                );
            }
            assert_eq!(find(code.code), Some(*code));
        }
    }
}
