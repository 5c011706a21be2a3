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

/// What stands above the catalogue in its document.
const HEAD: &str = "\
# Health checks

What `dns check`, `dns watch` and the hourly checks of `serve` look at. This document is made from the code
(`UPDATE_GOLDEN=1 cargo test --test it health_checks`), so it lists every code that there is. Codes are a contract: some are
added, none is renamed.

Every check ends in one of four ways: **pass**; **finding**, with what was seen, what to do, and the record to publish where
there is one; **not known**, because nobody answered or nobody was asked; **not applicable**, because it makes no sense for
the domain. What is not known never counts as missing.

| severity | meaning |
| --- | --- |
| critical | mail is lost, or anybody may forge it, now |
| error | a standard is broken, and receivers act on it |
| warning | works, but is at risk |
| note | could be better |
| info | a fact worth knowing |

The severity in the tables is the usual one; a finding may be milder or worse where the case is. `--fail-on` takes one of
these words: `dns check` ends with exit code 1 if anything as bad was found.

## The grade

| grade | rule |
| --- | --- |
| F | anything critical |
| D | errors of three or more codes |
| C | errors of one or two codes |
| B | warnings, and nothing worse |
| A | notes and facts at most |
| none | nobody answers for the domain (DNS-UNREACHABLE), which may be our own trouble; or more checks are not known than known, and no error was found |
";

/// The catalogue as Markdown: docs/health-checks.md.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for group in GROUPS {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| code | severity | what it means | what to do | standard |\n| --- | --- | --- | --- | --- |\n",
            group.title
        );
        for code in group.codes {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                code.code,
                code.severity.as_str(),
                code.about,
                if code.mend == "-" { "nothing: it is a fact" } else { code.mend },
                if code.standard == "-" { "none" } else { code.standard }
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
                assert!(!text.ends_with('.'), "{}: {text}", code.code);
            }
            assert!(code.mend != "nothing", "{}: `-` says that there is nothing to do", code.code);
            assert_eq!(find(code.code), Some(*code));
        }
    }
}
