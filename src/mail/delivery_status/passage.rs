//! What a passage about one recipient says: the reply that tells most, the words of the refusal, the host
//! that refused, the step of the dialogue.

use std::net::IpAddr;

use crate::limits;
use crate::mail::delivery_status::words::{self, Meter};
use crate::mail::delivery_status::{Mta, Phase};
use crate::mail::status_code::{Class, EnhancedStatus, Reply, find_replies};

/// Lines read of one passage.
pub(super) const PASSAGE_LINES: usize = 60;

/// Brackets of one passage in which an address is looked for.
const BRACKETS: usize = 64;

/// What the words of a passage say about the refusal.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// The part in which the words stand.
    pub(super) part: usize,
    /// The reply that tells most.
    pub(super) reply: Option<Reply>,
    /// The line in which it stands.
    pub(super) reply_line: usize,
    /// The words of the refusal.
    pub(super) diagnostic: Option<(usize, String)>,
    /// The host that refused.
    pub(super) remote: Option<(usize, Mta)>,
    /// The step of the dialogue.
    pub(super) phase: Option<(usize, Phase)>,
}

/// Reads the words of a passage: numbered lines of one part.
pub(super) fn details(part: usize, lines: &[(usize, String)], meter: &Meter) -> Details {
    let mut joined = String::new();
    let mut starts: Vec<(usize, usize)> = Vec::new();
    for (number, text) in lines.iter().take(PASSAGE_LINES) {
        starts.push((joined.len(), *number));
        joined.push_str(text);
        joined.push('\n');
        if joined.len() > limits::BOUNCE_DIAGNOSTIC_BYTES * 4 {
            break;
        }
    }
    meter.add(joined.len());
    let line_at =
        |at: usize| starts.iter().rev().find(|(start, _)| *start <= at).map_or(0, |(_, number)| *number);
    let replies = find_replies(&joined);
    let reply = choose_reply(&joined, &replies);
    let mut details = Details { part, reply, ..Details::default() };
    if let Some(reply) = reply {
        details.reply_line = line_at(reply.at);
    }
    // The words before a lone enhanced code are the refusal: `Sorry, no mailbox here by that name. (#5.1.1)`.
    let from = reply.map_or(0, |reply| match reply.code {
        Some(_) => line_start(&joined, reply.at),
        None => joined.get(..reply.at).and_then(|before| before.rfind("\n\n")).map_or(0, |gap| gap + 2),
    });
    let words = joined.get(from..).unwrap_or_default().trim();
    // A blank line ends the words of the refusal, and what qmail says of itself.
    let mut words = words.split("\n\n").next().unwrap_or_default();
    for end in ["\nGiving up on ", "\nI'm not going to try again"] {
        words = words.split(end).next().unwrap_or(words);
    }
    let words = words.replace('\n', " ");
    if words.chars().any(char::is_alphanumeric) {
        let text = words::clip(words.trim(), limits::BOUNCE_DIAGNOSTIC_BYTES).to_owned();
        details.diagnostic = Some((line_at(from), text));
    }
    details.remote = remote(&joined).map(|(at, mta)| (line_at(at), mta));
    details.phase = phase(&joined).map(|(at, phase)| (line_at(at), phase));
    details
}

/// Where the words of a reply begin: at its code, or at the start of its line if only marks stand before.
fn line_start(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let lead = before.get(start..).unwrap_or_default();
    if lead.chars().any(char::is_alphanumeric) { at } else { start + (lead.len() - lead.trim_start().len()) }
}

/// The reply that tells why: what the far end said (`<<<`, in quotes) before the words of the
/// reporting host, the first refusal before those that follow from it.
pub(super) fn choose_reply(text: &str, replies: &[Reply]) -> Option<Reply> {
    let refuses = |reply: &&Reply| matches!(reply.class(), Some(Class::Transient | Class::Permanent));
    let told = |reply: &Reply| reply.enhanced.is_some_and(|enhanced| !enhanced.is_vague());
    let quoted = replies.iter().filter(refuses).find(|reply| reply.is_quoted && told(reply));
    let far = replies.iter().filter(refuses).find(|reply| {
        let before = text.get(..reply.at).unwrap_or_default().trim_end();
        before.ends_with("<<<") || before.ends_with(">>>")
    });
    let first = replies.iter().filter(refuses).find(|reply| reply.code.is_some());
    let bare = replies.iter().filter(refuses).find(|reply| told(reply));
    let mut chosen = *quoted.or(far).or(first).or(bare).or_else(|| replies.iter().find(refuses))?;
    if chosen.enhanced.is_none_or(EnhancedStatus::is_vague) {
        // A finer code nearby belongs to it if it stands alone or with the same reply code: `(#5.1.1)`.
        // Another reply is another host's word: Sendmail adds its own 5.1.1 to every refusal after
        // RCPT.
        let (class, code) = (chosen.class(), chosen.code);
        let same = |reply: &&Reply| reply.class() == class && (reply.code.is_none() || reply.code == code);
        let finer = replies.iter().filter(refuses).filter(same).find(|reply| told(reply));
        if let Some(finer) = finer {
            chosen.enhanced = finer.enhanced;
        }
    }
    Some(chosen)
}

/// The step of the dialogue, from the words that mailers use for it; the first phrase in this order wins.
pub(super) fn phase(text: &str) -> Option<(usize, Phase)> {
    let phrases: [(&str, Phase); 36] = [
        ("end of data", Phase::EndOfData),
        ("final data", Phase::EndOfData),
        ("after i sent the message", Phase::EndOfData),
        ("message body", Phase::EndOfData),
        ("body of message generated", Phase::EndOfData),
        ("in reply to rcpt to", Phase::Rcpt),
        ("after rcpt to", Phase::Rcpt),
        ("our rcpt to", Phase::Rcpt),
        ("[rcpt_to]", Phase::Rcpt),
        ("rcpt command", Phase::Rcpt),
        ("smtp:rcpt", Phase::Rcpt),
        ("does not like recipient", Phase::Rcpt),
        (">>> rcpt to", Phase::Rcpt),
        ("<<< rcpt to", Phase::Rcpt),
        ("in reply to mail from", Phase::Mail),
        ("after mail from", Phase::Mail),
        ("our mail from", Phase::Mail),
        ("[mail_from]", Phase::Mail),
        ("but sender was rejected", Phase::Mail),
        ("mail command", Phase::Mail),
        (">>> mail from", Phase::Mail),
        ("in reply to data", Phase::Data),
        ("after data", Phase::Data),
        (">>> data", Phase::Data),
        ("in reply to ehlo", Phase::Ehlo),
        ("in reply to helo", Phase::Ehlo),
        ("after ehlo", Phase::Ehlo),
        ("after helo", Phase::Ehlo),
        ("my name was rejected", Phase::Ehlo),
        ("starttls", Phase::StartTls),
        ("initial connection", Phase::Banner),
        ("refused to talk to me", Phase::Banner),
        ("while receiving the initial server greeting", Phase::Banner),
        ("connection refused", Phase::Connect),
        ("connection timed out", Phase::Connect),
        ("establish an smtp connection", Phase::Connect),
    ];
    let lower = text.to_ascii_lowercase();
    phrases.iter().find_map(|(phrase, phase)| Some((lower.find(phrase)?, *phase))).or_else(|| {
        ["connect to ", "no route to host", "socket error", "unable to connect", "network is unreachable"]
            .iter()
            .find_map(|phrase| Some((lower.find(phrase)?, Phase::Connect)))
    })
}

/// The host that refused: the name before an address in brackets, else the name after `host`, else
/// an address at the start of a line.
fn remote(text: &str) -> Option<(usize, Mta)> {
    let mut from = 0;
    let mut left = BRACKETS;
    while left > 0
        && let Some(open) = text.get(from..).and_then(|rest| rest.find('['))
    {
        let open = from + open;
        let inner = text.get(open + 1..).unwrap_or_default();
        let inner = inner.get(..inner.floor_char_boundary(50)).unwrap_or_default();
        let ip: Option<IpAddr> =
            inner.split_once(']').and_then(|(address, _)| address.trim_start_matches("IPv6:").parse().ok());
        let before = text.get(..open).unwrap_or_default().trim_end();
        let name = before.rsplit([' ', '\n', '\t', '(', '<', '>']).next().unwrap_or_default();
        let name = name.trim_matches(['.', ',', ':', ';']);
        if let Some(ip) = ip
            && (is_host_name(name) || name.parse::<IpAddr>().is_ok())
        {
            return Some((open, Mta { kind: None, name: name.to_owned(), ip: Some(ip) }));
        }
        from = open + 1;
        left -= 1;
    }
    let lower = text.to_ascii_lowercase();
    for phrase in ["talking to ", "host: ", "host ", "server "] {
        for (at, _) in lower.match_indices(phrase) {
            // `This is the mail system at host mx.example.net` names the host that reports.
            if lower.get(..at).is_some_and(|before| before.ends_with("at ")) {
                continue;
            }
            let word = text.get(at + phrase.len()..).unwrap_or_default().split_whitespace().next();
            let name =
                word.unwrap_or_default().trim_matches(['.', ',', ':', ';', '<', '>', '(', ')', '\'', '"']);
            let ip = name.parse().ok();
            if is_host_name(name) || ip.is_some() {
                return Some((at, Mta { kind: None, name: name.to_owned(), ip }));
            }
        }
    }
    let mut at = 0;
    for line in text.split('\n') {
        let word = line.split_whitespace().find(|word| *word != "Connected" && *word != "to");
        if let Some(ip) = word.and_then(|word| word.parse::<IpAddr>().ok()) {
            return Some((at, Mta { kind: None, name: ip.to_string(), ip: Some(ip) }));
        }
        at += line.len() + 1;
    }
    None
}

/// True for a name with at least two labels and a letter in the last.
fn is_host_name(name: &str) -> bool {
    name.len() <= limits::DOMAIN_BYTES
        && name.rsplit_once('.').is_some_and(|(left, last)| {
            !left.is_empty() && !last.is_empty() && last.bytes().any(|b| b.is_ascii_alphabetic())
        })
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_end_before_near_end() {
        let text = ">>> MAIL From:<x>\n<<< 501 <x>... no access\n554 <a>... Remote protocol error";
        assert_eq!(choose_reply(text, &find_replies(text)).unwrap().code.unwrap().value(), 501);
        let text = "554 4.4.7 Message expired.<421 4.4.2 Connection timed out>";
        assert_eq!(choose_reply(text, &find_replies(text)).unwrap().enhanced.unwrap().to_string(), "4.4.2");
    }
}
