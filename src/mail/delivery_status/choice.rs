//! One recipient: fills in what fields leave open, and chooses between codes that differ.
//!
//! Which code wins: the remote's reply as quoted in the diagnostic, then as quoted in the words, then
//! the supplement of Exchange, then the `Status` field, then other codes in words; x.0.0 only where
//! nothing finer stands.

use crate::mail::delivery_status::passage::{self, Details};
use crate::mail::delivery_status::sections::Section;
use crate::mail::delivery_status::{
    Action, Evidence, Found, MessageStatus, Outcome, Recipient, RecipientStatus, reason, words,
};
use crate::mail::status_code::{Class, EnhancedStatus, find_replies};

/// Fills in what fields leave open and chooses the codes.
pub(super) fn settle(
    status: &mut RecipientStatus,
    section: Option<&Section>,
    details: Option<&Details>,
    whole: Option<&Details>,
    supplement: Option<&str>,
    deviations: &mut Vec<&'static str>,
) {
    if let Some(action) = &status.action {
        status.outcome = outcome_of(&action.value);
        if matches!(action.value, Action::Other(_)) {
            deviations.push("action-unknown");
        }
    }
    let field = status.status_field.as_ref().and_then(|found| {
        EnhancedStatus::parse_field(&found.value).map(|status| Found::new(status, found.evidence))
    });
    if status.status_field.is_some() && field.is_none() {
        deviations.push("status-invalid");
    }
    if status.outcome == Outcome::Unknown
        && let Some(found) = &field
        && found.value.class == Class::Permanent
    {
        status.outcome = Outcome::Failed;
    }
    choose(status, field, details, whole, supplement);
    if let Some(details) = details.or(whole) {
        let words = |line, rule| Evidence::words(details.part, line, rule);
        // A passage without a reply gives way to a reply elsewhere in a report about one recipient.
        let has_code = |details: &&Details| details.reply.is_some_and(|reply| reply.code.is_some());
        let elsewhere = whole.filter(has_code).filter(|_| details.reply.is_none());
        // Beside fields, words after an address alone on its line may be anything, a disclaimer for one.
        let is_about = |section: &Section| {
            status.action.is_none()
                || details.reply.is_some()
                || section.evidence.rule == "address-before-colon"
                || section.is_hanging
        };
        let is_told = section.is_some_and(is_about) || has_code(&details);
        if status.diagnostic.is_none()
            && is_told
            && let Some((line, text)) = &elsewhere.unwrap_or(details).diagnostic
            && let part = elsewhere.unwrap_or(details).part
        {
            status.diagnostic =
                Some(Found::new(text.clone(), Evidence::words(part, *line, "words-of-passage")));
        }
        if status.remote_mta.is_none()
            && let Some((line, mta)) = &details.remote
        {
            status.remote_mta = Some(Found::new(mta.clone(), words(*line, "host-in-words")));
        }
        if let Some((line, phase)) = details.phase {
            status.phase = Some(Found::new(phase, words(line, "step-in-words")));
        }
    }
    if status.phase.is_none()
        && let Some(diagnostic) = &status.diagnostic
        && let Some((_, phase)) = passage::phase(&diagnostic.value)
    {
        status.phase = Some(Found::new(phase, diagnostic.evidence.by("step-in-diagnostic")));
    }
    if let Some(found) = section.and_then(|section| section.expanded_from.as_ref())
        && status.original_recipient.is_none()
    {
        let recipient = Recipient { kind: None, address: found.value.clone() };
        status.original_recipient = Some(Found::new(recipient, found.evidence));
    }
}

/// Chooses the reply code and the enhanced status: see the head of this file.
fn choose(
    status: &mut RecipientStatus,
    field: Option<Found<EnhancedStatus>>,
    details: Option<&Details>,
    whole: Option<&Details>,
    supplement: Option<&str>,
) {
    let is_fine = |found: &Found<EnhancedStatus>| found.value.class == Class::Success;
    let succeeded = matches!(status.outcome, Outcome::Delivered | Outcome::Relayed | Outcome::Expanded)
        || (status.outcome == Outcome::Unknown && field.as_ref().is_some_and(is_fine));
    // Candidates by (vague, rank); the least wins.
    let mut best: Option<(bool, u8, Found<EnhancedStatus>)> = None;
    let mut offer = |rank: u8, found: Found<EnhancedStatus>| {
        let key = (found.value.is_vague(), rank);
        if best.as_ref().is_none_or(|(vague, rank, _)| key < (*vague, *rank)) {
            best = Some((key.0, key.1, found));
        }
    };
    if let Some(diagnostic) = &status.diagnostic {
        let evidence = diagnostic.evidence;
        let replies = find_replies(&diagnostic.value);
        let reply = if succeeded {
            replies.iter().find(|reply| reply.class() == Some(Class::Success)).copied()
        } else {
            passage::choose_reply(&diagnostic.value, &replies)
        };
        // The exit code of a program is no reply code.
        let is_program = status.diagnostic_kind.as_deref().is_some_and(|kind| kind.starts_with("x-unix"));
        if let Some(reply) = reply {
            let rule = if reply.is_quoted { "reply-quoted-in-diagnostic" } else { "reply-in-diagnostic" };
            if let Some(code) = reply.code.filter(|_| !is_program || reply.enhanced.is_some()) {
                status.reply_code = Some(Found::new(code, evidence.by(rule)));
            }
            if let Some(enhanced) = reply.enhanced {
                offer(0, Found::new(enhanced, evidence.by(rule)));
            }
        } else if let Some((_, enhanced)) = EnhancedStatus::find_all(&diagnostic.value).first()
            && succeeded == (enhanced.class == Class::Success)
        {
            offer(4, Found::new(*enhanced, evidence.by("code-in-diagnostic")));
        }
    }
    if let Some(found) = field {
        offer(3, found);
    }
    if !succeeded {
        if let Some(text) = supplement
            && let Some(reply) = passage::choose_reply(text, &find_replies(text))
            && let Some(at) = status.status_field.as_ref().map(|found| found.evidence)
        {
            let at = Evidence { field: Some("X-Supplementary-Info"), ..at };
            if let Some(enhanced) = reply.enhanced {
                offer(2, Found::new(enhanced, at.by("reply-in-supplement")));
            }
        }
        let told = [
            (details, "reply-in-passage", 1),
            (whole.filter(|_| details.is_none_or(|d| d.reply.is_none())), "reply-in-words", 5),
        ];
        for (details, rule, rank) in told {
            let Some((details, reply)) = details.and_then(|d| Some((d, d.reply?))) else { continue };
            let evidence = Evidence::words(details.part, details.reply_line, rule);
            if let Some(enhanced) = reply.enhanced {
                offer(rank, Found::new(enhanced, evidence));
            }
            if status.reply_code.is_none()
                && let Some(code) = reply.code
            {
                status.reply_code = Some(Found::new(code, evidence));
            }
        }
    }
    status.enhanced_status = best.map(|(_, _, found)| found);
}

/// Adds what the report says about the message as a whole.
pub(super) fn complete(status: &mut RecipientStatus, message: &MessageStatus) {
    status.reporting_mta = status.reporting_mta.take().or_else(|| message.reporting_mta.clone());
    status.arrival_date = status.arrival_date.take().or_else(|| message.arrival_date.clone());
}

/// What an action says about the outcome; words outside the standard by their sense.
fn outcome_of(action: &Action) -> Outcome {
    match action {
        Action::Failed => Outcome::Failed,
        Action::Delayed => Outcome::Delayed,
        Action::Delivered => Outcome::Delivered,
        Action::Relayed => Outcome::Relayed,
        Action::Expanded => Outcome::Expanded,
        Action::Other(word) => match word.to_ascii_lowercase().as_str() {
            "expired" | "failure" | "fail" | "error" | "bounced" | "rejected" | "undeliverable"
            | "undelivered" => Outcome::Failed,
            "delay" | "deferred" | "warning" => Outcome::Delayed,
            "success" => Outcome::Delivered,
            _ => Outcome::Unknown,
        },
    }
}

/// Finds the reason of a refusal. `around` holds the words around it.
pub(super) fn explain(status: &mut RecipientStatus, section: Option<&Section>, around: &str) {
    if matches!(status.outcome, Outcome::Relayed | Outcome::Expanded | Outcome::Delivered) {
        return;
    }
    let enhanced = status.enhanced_status.as_ref().map(|found| found.value);
    let code = status.reply_code.as_ref().map(|found| found.value);
    let diagnostic = status.diagnostic.as_ref().map_or("", |found| words::clip(&found.value, 1_024));
    // What the host further on said tells more than what was made of it.
    let is_quoted = |found: &Found<EnhancedStatus>| found.evidence.rule == "reply-quoted-in-diagnostic";
    let diagnostic = match diagnostic.split_once(['<', '\'', '"']) {
        Some((_, inner)) if status.enhanced_status.as_ref().is_some_and(is_quoted) => inner,
        _ => diagnostic,
    };
    let (reason, rule) = reason::find(diagnostic, around, enhanced, code);
    let at = status.diagnostic.as_ref().map(|found| found.evidence);
    let at = at.or(status.enhanced_status.as_ref().map(|found| found.evidence));
    let at = at.or(section.map(|section| section.evidence)).unwrap_or(status.reason.evidence);
    status.reason = Found::new(reason, at.by(rule));
}
