//! Recipients in the words of a report: which address each passage is about, and what it says.
//!
//! Nearly every mailer writes an address, alone on a line or before a colon, and its passage after it:
//! Exim, qmail and its children, Postfix, Gmail, OpenSMTPD, Exchange. A few name the address inside a
//! sentence (DragonFly, MailFoundry, IMail), or only in the dialogue that they quote (Sendmail 5,
//! InterScan). So each line is asked for an address at its head, after a phrase, or in a command; only
//! the most telling kind that occurs in a report counts, and passages about the same address are one.

use std::collections::BTreeMap;

use crate::limits;
use crate::mail::delivery_status::passage::PASSAGE_LINES;
use crate::mail::delivery_status::words::{self, Line, Meter, Words};
use crate::mail::delivery_status::{Evidence, Found};

/// A passage about one recipient.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// The address as written.
    pub(super) address: String,
    /// Where the address stood.
    pub(super) evidence: Evidence,
    /// How telling the place is; see [`Head`].
    pub(super) strength: u8,
    /// The alias that the address was expanded from.
    pub(super) expanded_from: Option<Found<String>>,
    /// True if the words stand on the very next line, further in than the address: they hang on it.
    pub(super) is_hanging: bool,
    /// The line with the address.
    pub(super) head: String,
    /// The lines of the passage after the address.
    pub(super) lines: Vec<(usize, String)>,
}

impl Section {
    /// The part in which it stands.
    pub(super) fn part(&self) -> usize {
        self.evidence.part.unwrap_or(0)
    }
}

/// An address that a line is about.
#[derive(Debug, Clone, Copy)]
struct Head<'a> {
    address: &'a str,
    /// What follows the address on the line.
    rest: &'a str,
    rule: &'static str,
    strength: u8,
    /// True if the passage is what stood before this line: a dialogue and its verdict.
    closes: bool,
}

/// Phrases before an address that say that the mail did not reach it, in lower case.
const PHRASES: &[&str] = &[
    "delivering your mail to",
    "delivering your message to",
    "deliver your message to",
    "deliver message to",
    "deliver mail to",
    "delivered to",
    "deliver to",
    "undeliverable to",
    "undeliverable mail to",
    "delivery userid",
    "delivery failed",
    "delivery to",
    "following recipient",
    "following address",
    "failed recipient",
    "rejected recipient",
    "recipient address",
    "recipient",
    "error, address",
    "your message to",
    "your email to",
    "your mail to",
    "message to group",
    "this mailing list",
    "not reach",
    "exceeds allowed size",
    "is full",
    "unknown user",
    "unknown address",
    "empf\u{e4}nger",
    "destinataire",
    "destinatario",
    "\u{6536}\u{4ef6}\u{4eba}",
    "\u{43f}\u{43e}\u{43b}\u{443}\u{447}\u{430}\u{442}\u{435}\u{43b}\u{44c}",
];

/// Words of lines that name helpers, not recipients.
const HELP_WORDS: [&str; 12] = [
    "contact",
    "assistance",
    "support",
    "postmaster at",
    "questions",
    "send mail to",
    "report this",
    "help desk",
    "sent by",
    "message from",
    "mail from",
    "envelope-from",
];

/// Finds the passages in lines.
pub(super) fn find(
    words: &Words<'_>,
    lines: &[Line<'_>],
    own_addresses: &[String],
    meter: &Meter,
) -> Vec<Section> {
    let mut heads: Vec<(usize, Head<'_>)> = Vec::new();
    let mut previous = "";
    for (i, line) in lines.iter().enumerate() {
        meter.add(line.text.len());
        if let Some(head) = head_of(line.text, previous) {
            heads.push((i, head));
        }
        if !line.text.trim().is_empty() {
            previous = line.text;
        }
    }
    let is_own = |address: &str| own_addresses.iter().any(|own| own.eq_ignore_ascii_case(address));
    // An address of the reader is rarely the recipient: only where nothing else is named.
    let best_of = |own: bool| {
        heads.iter().filter(|(_, head)| own || !is_own(head.address)).map(|(_, head)| head.strength).max()
    };
    let (best, with_own) = match (best_of(false), best_of(true)) {
        (Some(best), _) if best > 20 => (best, false),
        (_, Some(best)) => (best, true),
        _ => return Vec::new(),
    };
    heads.retain(|(_, head)| head.strength == best && (with_own || !is_own(head.address)));
    let mut sections: Vec<Section> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut before = 0;
    for (n, (i, head)) in heads.iter().enumerate() {
        let next = heads.get(n + 1).map_or(lines.len(), |(next, _)| *next);
        let Some(line) = lines.get(*i) else { continue };
        let mut passage: Vec<(usize, String)> = Vec::new();
        if head.closes {
            passage.extend(kept(lines.get(before..=*i).unwrap_or_default()));
            before = i + 1;
        } else {
            let rest = head.rest.trim_start_matches([':', ';', '>', ' ', '"', ',']).trim();
            if !rest.is_empty() {
                passage.push((line.number, rest.to_owned()));
            }
            passage.extend(kept(lines.get(i + 1..next).unwrap_or_default()));
        }
        let expanded_from = expansion(words.part, line.number, &passage);
        let key = head.address.to_ascii_lowercase();
        if let Some(section) = known.get(&key).and_then(|at| sections.get_mut(*at)) {
            if section.lines.len() < PASSAGE_LINES {
                section.lines.append(&mut passage);
            }
            section.expanded_from = section.expanded_from.take().or(expanded_from);
            continue;
        }
        if sections.len() >= limits::BOUNCE_RECIPIENTS {
            break;
        }
        known.insert(key, sections.len());
        sections.push(Section {
            address: head.address.to_owned(),
            evidence: Evidence::words(words.part, line.number, head.rule),
            strength: head.strength,
            expanded_from,
            is_hanging: lines.get(i + 1).is_some_and(|next| indent(next.text) > indent(line.text)),
            head: words::clip(line.text.trim(), limits::HEADER_TEXT_BYTES).to_owned(),
            lines: passage,
        });
    }
    sections
}

/// How far in a line begins; a line of blanks begins nowhere.
fn indent(line: &str) -> usize {
    let text = line.trim_start();
    if text.is_empty() { 0 } else { line.len() - text.len() }
}

/// The lines of a passage, trimmed, without those of ornament.
fn kept(lines: &[Line<'_>]) -> Vec<(usize, String)> {
    lines
        .iter()
        .take(PASSAGE_LINES)
        .filter(|line| line.text.chars().any(char::is_alphanumeric) || line.text.is_empty())
        .map(|line| (line.number, words::clip(line.text.trim(), limits::HEADER_TEXT_BYTES).to_owned()))
        .collect()
}

/// The address that a line is about, if it is about one.
fn head_of<'a>(line: &'a str, previous: &str) -> Option<Head<'a>> {
    let at = memchr::memchr(b'@', line.as_bytes())?;
    if at > limits::BOUNCE_LINE_BYTES {
        return None;
    }
    let found = words::addresses(line);
    let first = found.first()?;
    let lower = line.to_lowercase();
    let previous = previous.trim_end().to_lowercase();
    let helps = |text: &str| HELP_WORDS.iter().any(|word| text.contains(word));
    // `A message sent by` / `<us@example.org>`: the line goes on from the one before.
    let continues = previous.ends_with("sent by")
        || previous.ends_with("from")
        || previous.ends_with("contact")
        || previous.ends_with("to the address")
        || previous.ends_with("mail to") && helps(&previous);
    if continues {
        return None;
    }
    let lead = line.get(..first.start).unwrap_or_default();
    let bullet =
        lead.trim_matches(|c: char| c.is_whitespace() || "<>\"'*-\u{2022}\u{b7}".contains(c)).is_empty();
    // `To: a`, `From: a` and the like have words before the address; a dialogue has its command.
    if bullet {
        return Some(head_at_start(line, &found));
    }
    if let Some(head) = head_in_command(line, &lower, &found) {
        return Some(head);
    }
    if helps(&lead.to_lowercase()) {
        return None;
    }
    for address in &found {
        // A short look back is enough, and keeps the work in step with the line.
        let before = line.get(..address.start).unwrap_or_default();
        let before =
            before.get(before.floor_char_boundary(before.len().saturating_sub(60))..).unwrap_or(before);
        let before = before.to_lowercase();
        let before = before.trim_end_matches([' ', '<', '"', ':', '\u{ff1a}', '\'', '(', '\t']);
        let before = before.strip_suffix("(s)").unwrap_or(before);
        if PHRASES.iter().any(|phrase| before.ends_with(phrase)) {
            let rest = line.get(address.end..).unwrap_or_default();
            return Some(Head {
                address: address.text,
                rest,
                rule: "address-after-phrase",
                strength: 50,
                closes: false,
            });
        }
    }
    None
}

/// The head of a line that begins with an address, perhaps after a bullet.
fn head_at_start<'a>(line: &'a str, found: &[words::AddressAt<'a>]) -> Head<'a> {
    let head = |address: &'a str, end: usize, rule, strength| {
        let rest = line.get(end..).unwrap_or_default();
        Head { address, rest, rule, strength, closes: false }
    };
    let Some(first) = found.first() else { return head("", 0, "address-line", 0) };
    let after = line.get(first.end..).unwrap_or_default().trim_start_matches(['>', '"', '\'']);
    let after = after.trim_start();
    // `a@example.net <a@example.net>`, `a@example.net (a@example.net)`,
    // `a@example.net<mailto:a@example.net>`.
    if let Some(second) = found.get(1) {
        let between = line.get(first.end..second.start).unwrap_or_default();
        let between: String = between.chars().filter(|c| !c.is_whitespace()).collect();
        let bracketed = matches!(
            between.as_str(),
            "<" | ">(" | "(" | "<mailto:" | "[mailto:" | "><mailto:" | ")<mailto:"
        );
        let same = first.text.eq_ignore_ascii_case(second.text);
        if bracketed && (same || between == "<") {
            let last = found
                .iter()
                .take(4)
                .take_while(|a| a.text.eq_ignore_ascii_case(second.text) || a.start == first.start);
            let end = last.last().map_or(second.end, |a| a.end);
            return head(second.text, end, "address-line", 60);
        }
    }
    let is_opened = |open: char| after.starts_with(open);
    if after.is_empty() || after == "." {
        head(first.text, first.end, "address-line", 60)
    } else if is_opened(':') || is_opened('(') || is_opened('[') || after.starts_with("...") {
        head(first.text, first.end, "address-before-colon", 60)
    } else if after.to_ascii_lowercase().starts_with("on ") {
        // Exchange 5.5: `a@example.net on Thu, 29 Apr 2010 00:00:00 -0000`.
        head(first.text, line.len(), "address-with-date", 60)
    } else {
        head(first.text, first.end, "address-before-words", 20)
    }
}

/// The head of a line of a dialogue: `>>> RCPT TO:<a>`, `554 <a>... User unknown`.
fn head_in_command<'a>(line: &'a str, lower: &str, found: &[words::AddressAt<'a>]) -> Option<Head<'a>> {
    let first = found.first()?;
    let verdict = line.trim_start();
    let code = verdict.get(..3).is_some_and(|code| code.bytes().all(|b| b.is_ascii_digit()));
    if code {
        let after = line.get(first.end..).unwrap_or_default();
        let lead = line.get(..first.start).unwrap_or_default().trim_end_matches('<').trim();
        if lead.len() == 3 && (after.starts_with(">...") || after.starts_with("...")) {
            return Some(Head {
                address: first.text,
                rest: after,
                rule: "verdict-of-dialogue",
                strength: 45,
                closes: true,
            });
        }
        return None;
    }
    // The two texts are compared at the same place only where lower case kept the length.
    let lead = lower.get(..first.start.min(lower.len())).filter(|_| lower.len() == line.len())?;
    let lead = lead.trim_end_matches([' ', '<', '\t']);
    lead.ends_with("rcpt to:").then(|| Head {
        address: first.text,
        rest: line.get(first.end..).unwrap_or_default(),
        rule: "rcpt-command",
        strength: 40,
        closes: false,
    })
}

/// The alias in `(ultimately generated from a)`, `(expanded from <a>)`.
fn expansion(part: usize, line: usize, passage: &[(usize, String)]) -> Option<Found<String>> {
    let mut joined = String::new();
    for (_, text) in passage.iter().take(4) {
        joined.push_str(text);
        joined.push(' ');
    }
    let lower = joined.to_lowercase();
    let (before, _) =
        ["generated from", "expanded from"].iter().find_map(|phrase| lower.split_once(phrase))?;
    if before.len() > 60 || lower.len() != joined.len() {
        return None;
    }
    let rest = joined.get(before.len()..)?;
    let address = words::addresses(rest.get(..rest.floor_char_boundary(300))?).first()?.text.to_owned();
    Some(Found::new(address, Evidence::words(part, line, "expanded-from")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::delivery_status::Phase;
    use crate::mail::delivery_status::passage::details;

    /// Addresses and rules found in a text whose reader is `us@example.org`.
    #[track_caller]
    fn check(text: &str, want: &[(&str, &str)]) {
        let words = Words::new(0, text, &Meter::default());
        let sections = find(&words, words.own(), &["us@example.org".to_owned()], &Meter::default());
        let got: Vec<(&str, &str)> = sections.iter().map(|s| (s.address.as_str(), s.evidence.rule)).collect();
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn heads_of_every_shape() {
        check(
            "failed:\n\n  a@example.net\n    host mx [192.0.2.1]: 550 no\n",
            &[("a@example.net", "address-line")],
        );
        check(
            "<a@example.net>:\nRemote host said: 550 no\n<b@example.net>:\nno",
            &[("a@example.net", "address-before-colon"), ("b@example.net", "address-before-colon")],
        );
        check("\"a@example.net\":\nno", &[("a@example.net", "address-before-colon")]);
        check("   * a@example.net", &[("a@example.net", "address-line")]);
        check(">>> a@example.net <a@example.net>", &[("a@example.net", "address-line")]);
        check("a@example.net (a@example.net)<mailto:a@example.net>", &[("a@example.net", "address-line")]);
        check("error delivering your mail to <a@example.net>.", &[("a@example.net", "address-after-phrase")]);
        check(
            "A message sent by\n  <x@example.org>\nfailed\n  a@example.net\n",
            &[("a@example.net", "address-line")],
        );
        check(
            "please contact <help@example.com>\n\n<a@example.net>: host mx said: 550 no",
            &[("a@example.net", "address-before-colon")],
        );
        check(
            "554 <a@example.net>... no\n550 <b@example.net>... no",
            &[("a@example.net", "verdict-of-dialogue"), ("b@example.net", "verdict-of-dialogue")],
        );
        check("Sent <<< RCPT TO:<a@example.net>\nReceived >>> 550 no", &[("a@example.net", "rcpt-command")]);
        check(
            "To: us@example.org\n\nundeliverable to a@example.net",
            &[("a@example.net", "address-after-phrase")],
        );
        check("us@example.org wrote:", &[("us@example.org", "address-before-words")]);
        check("<a@example.net> ... unknown user", &[("a@example.net", "address-before-colon")]);
        check("Failed to deliver to 'a@example.net'", &[("a@example.net", "address-after-phrase")]);
        check("\u{6536}\u{4ef6}\u{4eba}\u{ff1a}a@example.net", &[("a@example.net", "address-after-phrase")]);
        check("nothing here", &[]);
    }

    #[test]
    fn passages_of_one_address_are_one() {
        let text = "a@example.net:\n  SMTP error after RCPT TO:\n  <a@example.net>:\n  host mx.example.net [192.0.2.1]:\n  553 5.1.1 unknown:\n  a@example.net\n";
        let words = Words::new(0, text, &Meter::default());
        let sections = find(&words, words.own(), &[], &Meter::default());
        assert_eq!(sections.len(), 1);
        let details = details(0, &sections[0].lines, &Meter::default());
        let reply = details.reply.unwrap();
        assert_eq!(reply.code.unwrap().value(), 553);
        assert_eq!(reply.enhanced.unwrap().to_string(), "5.1.1");
        assert_eq!(details.reply_line, 5);
        assert_eq!(details.remote.unwrap().1.name, "mx.example.net");
        assert_eq!(details.phase.unwrap().1, Phase::Rcpt);
    }

    #[test]
    fn aliases() {
        let text = "  a@example.net\n    (ultimately generated from b@example.com)\n    all hosts failed";
        let words = Words::new(0, text, &Meter::default());
        let sections = find(&words, words.own(), &[], &Meter::default());
        assert_eq!(sections[0].expanded_from.as_ref().unwrap().value, "b@example.com");
    }
}
