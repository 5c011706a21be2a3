//! From the parts of one mail to the feedback reports in it.

use crate::reports::aggregate::Source;
use crate::reports::failure::{
    FailureReport, FeedbackType, Form, Personal, Private, feedback, notice, original,
};
use crate::reports::{Deviations, Unreadable, UnreadableKind, quirk, stated_time};

/// One mail as the reader needs it: fields and leaf parts.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailureMail<'a> {
    /// Header fields: names, and values unfolded.
    pub fields: &'a [(&'a str, &'a str)],
    /// The leaf parts in order. An attached message is one part, not taken apart.
    pub parts: &'a [FailurePart<'a>],
}

/// One leaf part of a mail.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailurePart<'a> {
    /// The declared type without parameters, for example `message/feedback-report`; empty for none.
    pub content_type: &'a str,
    /// The content, transfer-decoded.
    pub bytes: &'a [u8],
    /// True if the mail ends within this part.
    pub is_cut: bool,
}

impl FailureMail<'_> {
    /// The first value of a header field.
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// True if the mail says that it is a feedback report (RFC 5965 §2).
    fn is_declared(&self) -> bool {
        let value = self.field("content-type").unwrap_or_default().to_ascii_lowercase();
        value.trim_start().starts_with("multipart/report") && value.contains("feedback-report")
    }
}

/// What one part is to a feedback report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The machine-readable part.
    Machine,
    /// The machine-readable part, recognized by its content alone.
    UnmarkedMachine,
    /// The quoted message or its header.
    Quoted,
    /// Words for people.
    Words,
    /// Anything else.
    Other,
}

/// Says what a part is.
fn role(part: &FailurePart<'_>, is_declared: bool) -> Role {
    let content_type = part.content_type.trim().to_ascii_lowercase();
    let plain: String = content_type.chars().filter(|c| *c != '-' && *c != '_').collect();
    if plain.ends_with("/feedbackreport") {
        return Role::Machine;
    }
    if original::is_quoted_type(&content_type) {
        return Role::Quoted;
    }
    let is_loose = matches!(content_type.as_str(), "" | "text/plain" | "application/octet-stream");
    if is_loose && is_declared && feedback::looks_like_feedback(part.bytes) {
        return Role::UnmarkedMachine;
    }
    match content_type.as_str() {
        "" | "text/plain" => Role::Words,
        _ => Role::Other,
    }
}

/// True if a mail is a feedback report, so that its parts are evidence and nothing attached to the
/// quoted message is a report of its own (RFC 5965 §2).
pub fn is_feedback(mail: &FailureMail<'_>) -> bool {
    mail.is_declared()
        || mail.parts.iter().any(|part| match role(part, false) {
            Role::Machine => true,
            Role::Words => notice::is_notice(part.bytes),
            _ => false,
        })
        || complaint(mail).is_some()
}

/// Reads the feedback reports of one mail.
///
/// Shape: no report for a mail that is none; else one for each machine-readable part, usually one.
/// Units: times in UTC seconds.
/// Deviations: those of [`quirk`] that begin with `feedback-`.
/// Errors: `Incomplete` for a mail that says that it is a feedback report and tells nothing.
/// Standard: RFC 5965 §2 and §3, RFC 6591 §3, RFC 9991 §4.
pub fn read(mail: &FailureMail<'_>) -> Result<Vec<FailureReport>, Unreadable> {
    let is_declared = mail.is_declared();
    let roles: Vec<_> = mail.parts.iter().map(|part| role(part, is_declared)).collect();
    let mut reports = Vec::new();
    let mut is_machine_there = false;
    let mut words: &[u8] = &[];
    let mut at = 0;
    while let (Some(part), Some(role)) = (mail.parts.get(at), roles.get(at)) {
        at += 1;
        match role {
            Role::Words if words.is_empty() => words = part.bytes,
            Role::Machine | Role::UnmarkedMachine => {
                is_machine_there = true;
                let Some(found) = feedback::read(part.bytes, !part.is_cut) else { continue };
                let mut report = found.report;
                if *role == Role::UnmarkedMachine {
                    report.deviations.note(
                        quirk::FEEDBACK_MACHINE_PART_TYPE,
                        "content-type",
                        part.content_type,
                        "",
                    );
                }
                // The quoted message is the first part of its kind before the next report. What comes
                // after it is part of it, where a boundary of its own is that of the mail (case 041).
                let end = roles
                    .iter()
                    .skip(at)
                    .position(|role| matches!(role, Role::Machine))
                    .map_or(mail.parts.len(), |next| at + next);
                let quoted = mail.parts.get(at..end).unwrap_or_default();
                report.original = quote(quoted, &mut report.deviations);
                fill(&mut report, mail, words, found.has_arrival);
                reports.push(report);
                at = end;
            }
            _ => {}
        }
    }
    if reports.is_empty() {
        reports.extend(in_words(mail, &roles).or_else(|| complaint(mail)).or_else(|| {
            (is_declared && !is_machine_there).then(|| without_machine_part(mail, &roles, words)).flatten()
        }));
    }
    if reports.is_empty() && (is_declared || is_machine_there) {
        let reason = "feedback report without a readable field";
        return Err(Unreadable::new(UnreadableKind::Incomplete, reason).at("feedback-report"));
    }
    Ok(reports)
}

/// The quoted message among the parts after a machine-readable one.
fn quote(parts: &[FailurePart<'_>], deviations: &mut Deviations) -> Option<super::Original> {
    let quoted = parts.iter().find(|part| original::is_quoted_type(part.content_type.trim()));
    let loose = || {
        let part = parts.iter().find(|part| original::looks_like_header(part.bytes))?;
        Some((part, true))
    };
    let (part, is_loose) = quoted.map(|part| (part, false)).or_else(loose)?;
    let content_type = part.content_type.trim().to_ascii_lowercase();
    if is_loose
        || !["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"]
            .contains(&content_type.as_str())
    {
        deviations.note(quirk::FEEDBACK_ORIGINAL_TYPE, "content-type", part.content_type, "");
    }
    original::read(&content_type, part.bytes, !part.is_cut)
}

/// A notice in words alone.
fn in_words(mail: &FailureMail<'_>, roles: &[Role]) -> Option<FailureReport> {
    let mut texts =
        mail.parts.iter().zip(roles).filter(|(_, role)| matches!(role, Role::Words | Role::UnmarkedMachine));
    let mut report = texts.find_map(|(part, _)| notice::read(part.bytes))?;
    if report.original.is_none() {
        report.original = quote(mail.parts, &mut report.deviations);
    }
    let has_arrival = report.arrived_at.is_some();
    fill(&mut report, mail, &[], has_arrival);
    Some(report)
}

/// A complaint that a provider hands on as an attached message, without a machine-readable part.
///
/// Seen from Microsoft's complaint service: `complaint about message from 192.0.2.1` in the subject, the
/// complainant in a field of the attached header.
fn complaint(mail: &FailureMail<'_>) -> Option<FailureReport> {
    let subject = mail.field("subject")?;
    let mark = "complaint about message from ";
    let at = subject.to_ascii_lowercase().find(mark)?;
    let quoted = mail.parts.iter().find(|part| original::is_quoted_type(part.content_type.trim()))?;
    let address = subject.get(at + mark.len()..)?.split_whitespace().next().unwrap_or_default();
    let mut deviations = Deviations::default();
    deviations.note(quirk::FEEDBACK_NO_MACHINE_PART, "mail", "", "");
    let rcpt_to = original::complaint_recipient(quoted.bytes).into_iter().collect();
    let mut report = FailureReport {
        form: Form::Complaint,
        feedback_type: FeedbackType::Abuse,
        incidents: 1,
        source: crate::reports::address_text::ip(address).map_or(Source::Missing, |(ip, _)| Source::Ip(ip)),
        original: original::read("message/rfc822", quoted.bytes, !quoted.is_cut),
        personal: Private::new(Personal { rcpt_to, ..Personal::default() }),
        deviations,
        ..FailureReport::default()
    };
    fill(&mut report, mail, &[], false);
    Some(report)
}

/// A mail that says what it is and has no machine-readable part: what the words and the quote tell.
fn without_machine_part(mail: &FailureMail<'_>, roles: &[Role], words: &[u8]) -> Option<FailureReport> {
    let mut deviations = Deviations::default();
    deviations.note(quirk::FEEDBACK_NO_MACHINE_PART, "mail", "", "");
    let quoted: Vec<_> = mail
        .parts
        .iter()
        .zip(roles)
        .filter(|(_, role)| **role != Role::Words)
        .map(|(part, _)| *part)
        .collect();
    let original = quote(&quoted, &mut deviations);
    let mut report =
        FailureReport { form: Form::Notice, incidents: 1, original, deviations, ..FailureReport::default() };
    fill(&mut report, mail, words, false);
    (report.source != Source::Missing || report.header_from().is_some()).then_some(report)
}

/// Fills what a report leaves out from the words, the quote and the mail, and notes it.
fn fill(report: &mut FailureReport, mail: &FailureMail<'_>, words: &[u8], has_arrival: bool) {
    report.reporter =
        mail.field("from").and_then(original::address_of).as_deref().and_then(original::domain_of);
    let sentence = notice::sentence(words);
    if report.source == Source::Missing {
        match sentence.source {
            Some(ip) => {
                report.source = Source::Ip(ip);
                report.deviations.note(quirk::FEEDBACK_SOURCE_FALLBACK, "Source-IP", "", &ip.to_string());
            }
            None => report.deviations.note(quirk::FEEDBACK_SOURCE_MISSING, "Source-IP", "", ""),
        }
    }
    if !has_arrival {
        let of_mail = || mail.field("date").and_then(stated_time::mail_date).map(|stated| stated.seconds);
        report.arrived_at = sentence.arrived_at.or_else(of_mail);
        let name = match report.arrived_at {
            Some(_) => quirk::FEEDBACK_ARRIVAL_FALLBACK,
            None => quirk::FEEDBACK_ARRIVAL_MISSING,
        };
        report.deviations.note(name, "Arrival-Date", "", "");
    }
    if report.original.is_none() {
        report.deviations.note(quirk::FEEDBACK_ORIGINAL_MISSING, "mail", "", "");
    }
    if report.reported_domains.is_empty() {
        let author = report.original.as_ref().and_then(|original| original.header_from.clone());
        match author {
            Some(domain) => {
                report.deviations.note(
                    quirk::FEEDBACK_REPORTED_DOMAIN_FALLBACK,
                    "Reported-Domain",
                    "",
                    domain.as_str(),
                );
                report.reported_domains.push(domain);
            }
            None => {
                report.deviations.note(quirk::FEEDBACK_REPORTED_DOMAIN_MISSING, "Reported-Domain", "", "");
            }
        }
    }
}
