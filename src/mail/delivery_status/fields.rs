//! Fields of RFC 3464, RFC 8098 and RFC 5965, read one by one wherever they stand.
//!
//! Fields stand in groups with blank lines between; a group with a recipient is about that
//! recipient (RFC 3464 §2.1). Real reports put everything in one group, put blanks before the colon,
//! leave blank lines inside a group, or paste the fields into text; all of these are read.

use crate::limits;
use crate::mail::delivery_status::words::{self, Line};
use crate::mail::delivery_status::{
    Action, Evidence, Found, MessageStatus, Mta, Place, Recipient, RecipientStatus, dates,
};

/// What the fields of one part say.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// About the message as a whole.
    pub(super) message: MessageStatus,
    /// About each recipient.
    pub(super) recipients: Vec<RecipientStatus>,
    /// Message-ID of the original, where a field names it.
    pub(super) original_message_id: Option<Found<String>>,
    /// Longer words of the refusal (Exchange's `X-Supplementary-Info`), by recipient.
    pub(super) supplements: Vec<Option<String>>,
    /// Departures from the standard, by name.
    pub(super) deviations: Vec<&'static str>,
    /// Recipients over the limit.
    pub(super) omitted: usize,
}

/// A field that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    ReportingMta,
    ReportingUa,
    ReceivedFromMta,
    ArrivalDate,
    EnvelopeId,
    QueueId,
    Sender,
    OriginalMessageId,
    FinalRecipient,
    OriginalRecipient,
    ActualRecipient,
    Action,
    Status,
    RemoteMta,
    DiagnosticCode,
    LastAttempt,
    WillRetryUntil,
    Supplement,
    Disposition,
}

impl Name {
    /// Knows a field by its name, and gives the usual spelling.
    fn of(name: &str) -> Option<(Self, &'static str)> {
        let name = name.to_ascii_lowercase();
        Some(match name.as_str() {
            "reporting-mta" => (Self::ReportingMta, "Reporting-MTA"),
            "reporting-ua" => (Self::ReportingUa, "Reporting-UA"),
            "received-from-mta" => (Self::ReceivedFromMta, "Received-From-MTA"),
            "arrival-date" => (Self::ArrivalDate, "Arrival-Date"),
            "original-envelope-id" => (Self::EnvelopeId, "Original-Envelope-Id"),
            "original-message-id" => (Self::OriginalMessageId, "Original-Message-ID"),
            "x-original-message-id" => (Self::OriginalMessageId, "X-Original-Message-ID"),
            "final-recipient" => (Self::FinalRecipient, "Final-Recipient"),
            "original-recipient" => (Self::OriginalRecipient, "Original-Recipient"),
            "original-rcpt-to" => (Self::FinalRecipient, "Original-Rcpt-To"),
            "removal-recipient" => (Self::FinalRecipient, "Removal-Recipient"),
            "x-actual-recipient" => (Self::ActualRecipient, "X-Actual-Recipient"),
            "action" => (Self::Action, "Action"),
            "status" => (Self::Status, "Status"),
            "remote-mta" => (Self::RemoteMta, "Remote-MTA"),
            "diagnostic-code" => (Self::DiagnosticCode, "Diagnostic-Code"),
            "last-attempt-date" => (Self::LastAttempt, "Last-Attempt-Date"),
            "will-retry-until" => (Self::WillRetryUntil, "Will-Retry-Until"),
            "x-supplementary-info" => (Self::Supplement, "X-Supplementary-Info"),
            "disposition" => (Self::Disposition, "Disposition"),
            // `X-Postfix-Queue-ID`, and the same of gateways built on it.
            _ if name.starts_with("x-") && name.ends_with("-queue-id") => (Self::QueueId, "X-Queue-ID"),
            _ if name == "x-postfix-sender"
                || (name.starts_with("x-") && name.ends_with("-gateway-sender")) =>
            {
                (Self::Sender, "X-Postfix-Sender")
            }
            _ => return None,
        })
    }

    /// True for a field that is about one recipient.
    fn is_per_recipient(self) -> bool {
        matches!(
            self,
            Self::FinalRecipient
                | Self::OriginalRecipient
                | Self::ActualRecipient
                | Self::Action
                | Self::Status
                | Self::RemoteMta
                | Self::DiagnosticCode
                | Self::LastAttempt
                | Self::WillRetryUntil
                | Self::Supplement
                | Self::Disposition
        )
    }
}

/// One field with its value unfolded.
#[derive(Debug)]
struct Field {
    name: Name,
    spelling: &'static str,
    value: String,
    line: usize,
}

/// Reads the fields in the lines of a part.
///
/// With `Place::StatusPart` each line that is no field continues the one before, even if its blank in
/// front is lost; elsewhere only known names count, and only a group that names a recipient and
/// something about it.
pub(super) fn read(part: usize, lines: &[Line<'_>], place: Place) -> Status {
    let mut status = Status::default();
    let groups = groups(lines, place, &mut status.deviations);
    let at = |field: &Field, rule: &'static str| Evidence {
        place,
        part: Some(part),
        line: field.line,
        field: Some(field.spelling),
        rule,
    };
    let mut pending: Vec<&Field> = Vec::new();
    let mut current: Option<Draft> = None;
    for group in &groups {
        for field in group.iter().filter(|field| !field.name.is_per_recipient()) {
            per_message(&mut status, field, at(field, "status-field"));
        }
        let names_recipient = group.iter().any(|field| names_recipient(field.name));
        if names_recipient && let Some(draft) = current.take() {
            draft.push_to(&mut status);
        }
        for field in group.iter().filter(|field| field.name.is_per_recipient()) {
            if current.is_none() && !names_recipient {
                // A group before any recipient: its fields belong to the first one.
                pending.push(field);
                continue;
            }
            let draft = current.get_or_insert_with(Draft::new);
            if draft.repeats(field) && names_recipient {
                if let Some(draft) = current.take() {
                    draft.push_to(&mut status);
                }
                status.deviations.push("recipients-in-one-group");
                let mut next = Draft::new();
                next.take(field, at(field, "status-field"));
                current = Some(next);
            } else {
                draft.take(field, at(field, "status-field"));
            }
        }
        if let Some(draft) = &mut current {
            for field in pending.drain(..) {
                draft.take(field, at(field, "status-field-before-recipient"));
            }
        }
    }
    if let Some(draft) = current {
        draft.push_to(&mut status);
    } else if place == Place::StatusPart && !pending.is_empty() {
        let mut draft = Draft::new();
        for field in pending.drain(..) {
            draft.take(field, at(field, "status-field-without-recipient"));
        }
        status.deviations.push("recipient-missing");
        draft.push_to(&mut status);
    }
    if place != Place::StatusPart {
        let says =
            |r: &RecipientStatus| r.action.is_some() || r.status_field.is_some() || r.diagnostic.is_some();
        let before = status.recipients.len();
        status.recipients.retain(says);
        if status.recipients.len() != before {
            status.supplements.truncate(0);
        }
        if status.recipients.is_empty() {
            // Words that happen to look like a field are no status.
            return Status::default();
        }
        status.deviations.push("fields-outside-status-part");
    }
    status
}

/// True for a field that names the recipient of its group.
const fn names_recipient(name: Name) -> bool {
    matches!(name, Name::FinalRecipient | Name::OriginalRecipient)
}

/// Splits lines into groups of known fields.
fn groups(lines: &[Line<'_>], place: Place, deviations: &mut Vec<&'static str>) -> Vec<Vec<Field>> {
    let is_part = place == Place::StatusPart;
    let mut groups: Vec<Vec<Field>> = vec![Vec::new()];
    // True while lines may continue the last field; false after an unknown field.
    let mut open = false;
    for line in lines {
        if line.text.trim().is_empty() {
            if groups.last().is_some_and(|group| !group.is_empty()) {
                groups.push(Vec::new());
            }
            open = false;
            continue;
        }
        let indented = line.text.starts_with([' ', '\t']);
        let known = words::field_of(line.text.trim_start()).and_then(|(name, value)| {
            let spaced = line.text.trim_start().get(name.len()..).is_some_and(|rest| !rest.starts_with(':'));
            Name::of(name).map(|(name, spelling)| (name, spelling, value, spaced))
        });
        if let Some((name, spelling, value, spaced)) = known
            && !(indented && open && is_part)
        {
            if spaced {
                deviations.push("blank-before-colon");
            }
            let value = words::clip(value.trim(), limits::BOUNCE_DIAGNOSTIC_BYTES).to_owned();
            let field = Field { name, spelling, value, line: line.number };
            if let Some(group) = groups.last_mut() {
                group.push(field);
            }
            open = true;
        } else if open
            && (indented || (is_part && words::field_of(line.text).is_none() && !line.text.starts_with("--")))
        {
            if !indented {
                deviations.push("unfolded-continuation");
            }
            let field = groups.last_mut().and_then(|group| group.last_mut());
            if let Some(field) = field.filter(|f| f.value.len() < limits::BOUNCE_DIAGNOSTIC_BYTES) {
                field.value.push(' ');
                field.value.push_str(words::clip(line.text.trim(), limits::BOUNCE_DIAGNOSTIC_BYTES));
            }
        } else {
            open = false;
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// Takes a field about the message as a whole; the first of each name counts.
fn per_message(status: &mut Status, field: &Field, evidence: Evidence) {
    let message = &mut status.message;
    match field.name {
        Name::ReportingMta => set(&mut message.reporting_mta, mta(&field.value), evidence),
        // RFC 8098 §3.2.1: a name, then the product; no type stands before it.
        Name::ReportingUa => {
            let name = field.value.split(';').next().unwrap_or_default();
            set(&mut message.reporting_mta, mta(name), evidence);
        }
        Name::ReceivedFromMta => set(&mut message.received_from_mta, mta(&field.value), evidence),
        Name::ArrivalDate => set(&mut message.arrival_date, dates::read(&field.value), evidence),
        Name::EnvelopeId => set(&mut message.envelope_id, text(&field.value), evidence),
        Name::QueueId => set(&mut message.queue_id, text(&field.value), evidence),
        Name::Sender => set(&mut message.envelope_sender, recipient(&field.value), evidence),
        Name::OriginalMessageId => set(&mut status.original_message_id, text(&field.value), evidence),
        _ => {}
    }
}

/// Sets a value that is not yet set.
fn set<T>(slot: &mut Option<Found<T>>, value: Option<T>, evidence: Evidence) {
    if slot.is_none()
        && let Some(value) = value
    {
        *slot = Some(Found::new(value, evidence));
    }
}

// ---- One recipient ----

/// A recipient's status while its fields are read.
struct Draft {
    status: RecipientStatus,
    actual: Option<Found<Recipient>>,
    supplement: Option<String>,
    deviations: Vec<&'static str>,
}

impl Draft {
    /// A recipient of whom nothing is known yet.
    fn new() -> Self {
        Self { status: RecipientStatus::empty(), actual: None, supplement: None, deviations: Vec::new() }
    }

    /// True if this field begins another recipient, since this one has it already.
    fn repeats(&self, field: &Field) -> bool {
        match field.name {
            Name::FinalRecipient => self.status.final_recipient.is_some(),
            Name::OriginalRecipient => self.status.original_recipient.is_some(),
            Name::Action => self.status.action.is_some(),
            Name::Status => self.status.status_field.is_some(),
            _ => false,
        }
    }

    /// Takes a field; the first of each name counts.
    fn take(&mut self, field: &Field, evidence: Evidence) {
        let status = &mut self.status;
        match field.name {
            Name::FinalRecipient => set(&mut status.final_recipient, recipient(&field.value), evidence),
            Name::OriginalRecipient => set(&mut status.original_recipient, recipient(&field.value), evidence),
            // Where the mail really went: an address behind an alias, or a program.
            Name::ActualRecipient => set(&mut self.actual, recipient(&field.value), evidence),
            Name::Action => set(&mut status.action, Action::parse(&field.value), evidence),
            Name::Status => set(&mut status.status_field, text(&field.value), evidence),
            Name::RemoteMta => set(&mut status.remote_mta, mta(&field.value), evidence),
            Name::DiagnosticCode if status.diagnostic.is_none() => {
                let (kind, words) = typed(&field.value);
                if kind.is_none() {
                    self.deviations.push("diagnostic-type-missing");
                }
                status.diagnostic_kind = kind;
                set(&mut status.diagnostic, text(words), evidence);
            }
            Name::LastAttempt => set(&mut status.last_attempt, dates::read(&field.value), evidence),
            Name::WillRetryUntil => set(&mut status.will_retry_until, dates::read(&field.value), evidence),
            Name::Supplement => self.supplement = self.supplement.take().or_else(|| text(&field.value)),
            Name::Disposition => set(&mut status.disposition, text(&field.value), evidence),
            _ => {}
        }
    }

    /// Adds the recipient to the status, or counts it as left out.
    fn push_to(mut self, status: &mut Status) {
        if self.status.address().is_none() {
            self.status.final_recipient = self.actual.take();
        }
        let full = status.recipients.len() >= limits::BOUNCE_RECIPIENTS;
        if full {
            status.omitted += 1;
        } else {
            let untyped = |r: &Option<Found<Recipient>>| r.as_ref().is_some_and(|r| r.value.kind.is_none());
            if untyped(&self.status.final_recipient) || untyped(&self.status.original_recipient) {
                status.deviations.push("recipient-type-missing");
            }
            status.deviations.extend(self.deviations);
            status.recipients.push(self.status);
            status.supplements.push(self.supplement);
        }
    }
}

// ---- Values ----

/// A value that is only kept: trimmed and clipped; none if empty.
fn text(value: &str) -> Option<String> {
    let value = value.trim();
    (!value.is_empty()).then(|| words::clip(value, limits::BOUNCE_DIAGNOSTIC_BYTES).to_owned())
}

/// Splits `type; value`; the type is a short word, else there is none.
fn typed(value: &str) -> (Option<String>, &str) {
    if let Some((kind, rest)) = value.split_once(';') {
        let kind = kind.trim();
        let fits = !kind.is_empty()
            && kind.len() <= 24
            && kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_' | b'.'));
        if fits {
            return (Some(kind.to_ascii_lowercase()), rest.trim());
        }
    }
    (None, value.trim())
}

/// Reads `rfc822; user@example.net` and everything like it.
pub(super) fn recipient(value: &str) -> Option<Recipient> {
    let (kind, rest) = typed(value);
    let rest = unescape(rest);
    let address = words::address_of(&rest)?;
    // The type says what the standard asks for or not; `rfc/822` is meant as `rfc822`.
    let kind = kind.map(|kind| if kind == "rfc/822" { "rfc822".to_owned() } else { kind });
    Some(Recipient { kind, address })
}

/// Undoes `\x{HEX}` of RFC 6533 §3.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        out.push_str(before);
        let decoded = after
            .get(..after.floor_char_boundary(8))
            .and_then(|window| window.split_once('}'))
            .and_then(|(hex, _)| Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, hex.len() + 1)))
            .filter(|(c, _)| !c.is_control());
        match decoded {
            Some((c, length)) => {
                out.push(c);
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                out.push_str("\\x{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Reads `dns; mx.example.net (192.0.2.1)` and everything like it.
pub(super) fn mta(value: &str) -> Option<Mta> {
    let (kind, rest) = typed(value);
    let rest = words::clip(rest.trim(), limits::HEADER_TEXT_BYTES);
    let name =
        rest.split([' ', '\t', '(']).next().unwrap_or_default().trim_matches(['<', '>', '"', '.', ',', ';']);
    let ip = rest
        .split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':')))
        .take(64)
        .find_map(|word| word.trim_matches(['.', ':']).parse().ok());
    let name = if name.is_empty() { rest } else { name };
    (!name.is_empty()).then(|| Mta { kind, name: name.to_owned(), ip })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::delivery_status::words::{Meter, split_lines};

    /// Reads the text of a status part.
    fn part(text: &str) -> Status {
        read(0, &split_lines(text, &Meter::default()), Place::StatusPart)
    }

    /// Address, action and status of each recipient.
    fn brief(status: &Status) -> Vec<(String, String, String)> {
        status
            .recipients
            .iter()
            .map(|r| {
                (
                    r.address().unwrap_or_default().to_owned(),
                    r.action.as_ref().map(|a| a.value.as_str().to_owned()).unwrap_or_default(),
                    r.status_field.as_ref().map(|s| s.value.clone()).unwrap_or_default(),
                )
            })
            .collect()
    }

    #[track_caller]
    fn check(text: &str, want: &[(&str, &str, &str)]) {
        let got = brief(&part(text));
        let want: Vec<_> =
            want.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn groups_of_every_shape() {
        // As the standard asks.
        check(
            "Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; a@example.net\nAction: failed\nStatus: 5.1.1\n\nfinal-recipient: RFC822;B@example.net\nACTION: Relayed\nstatus: 2.0.0",
            &[("a@example.net", "failed", "5.1.1"), ("B@example.net", "relayed", "2.0.0")],
        );
        // One group with everything, blank before the colon.
        check(
            "Reporting-MTA : dns; mx\nFinal-Recipient : rfc/822;a@example.net\nAction : failed\nStatus : 5.0.0",
            &[("a@example.net", "failed", "5.0.0")],
        );
        // Action first.
        check(
            "Action: failed\nFinal-Recipient: rfc822; a@example.net\nStatus: 5.1.1\n\nAction: delayed\nFinal-Recipient: rfc822; b@example.net",
            &[("a@example.net", "failed", "5.1.1"), ("b@example.net", "delayed", "")],
        );
        // Two recipients without a blank line between.
        check(
            "Final-Recipient: rfc822; a@example.net\nAction: failed\nFinal-Recipient: rfc822; b@example.net\nAction: failed",
            &[("a@example.net", "failed", ""), ("b@example.net", "failed", "")],
        );
        // A blank line inside a group.
        check(
            "Final-Recipient: rfc822; a@example.net\n\nAction: failed\nStatus: 5.1.1",
            &[("a@example.net", "failed", "5.1.1")],
        );
        check("Action: failed\n\nFinal-Recipient: rfc822; a@example.net", &[("a@example.net", "failed", "")]);
        // Nobody named.
        check("Reporting-MTA: dns; mx\n\nAction: failed\nStatus: 5.1.1", &[("", "failed", "5.1.1")]);
        check("Reporting-MTA: dns; mx\n", &[]);
    }

    #[test]
    fn values() {
        let status = part(
            "Original-Envelope-Id: x1\nReporting-MTA: dns; mx.example.net [192.0.2.9]\nX-Postfix-Queue-ID: 49\nX-Postfix-Sender: rfc822; b@example.org\n\nOriginal-Recipient: <o@example.net>\nFinal-Recipient: utf-8; j\\x{f6}rg@example.net\nAction: Failed (final)\nDiagnostic-Code: smtp; 550-5.7.1 no,\n 550 5.7.1 see\nthis too\nRemote-MTA: 192.0.2.1",
        );
        let message = &status.message;
        assert_eq!(message.envelope_id.as_ref().unwrap().value, "x1");
        assert_eq!(message.queue_id.as_ref().unwrap().value, "49");
        assert_eq!(message.envelope_sender.as_ref().unwrap().value.address, "b@example.org");
        assert_eq!(message.reporting_mta.as_ref().unwrap().value.ip, "192.0.2.9".parse().ok());
        let recipient = &status.recipients[0];
        assert_eq!(recipient.final_recipient.as_ref().unwrap().value.address, "j\u{f6}rg@example.net");
        assert_eq!(recipient.final_recipient.as_ref().unwrap().value.kind.as_deref(), Some("utf-8"));
        assert_eq!(recipient.original_recipient.as_ref().unwrap().value.address, "o@example.net");
        assert_eq!(recipient.action.as_ref().unwrap().value, Action::Failed);
        assert_eq!(recipient.diagnostic.as_ref().unwrap().value, "550-5.7.1 no, 550 5.7.1 see this too");
        assert_eq!(recipient.diagnostic.as_ref().unwrap().evidence.line, 9);
        assert_eq!(recipient.remote_mta.as_ref().unwrap().value.ip, "192.0.2.1".parse().ok());
        for name in ["recipient-type-missing", "unfolded-continuation"] {
            assert!(status.deviations.contains(&name), "{name}");
        }
    }

    #[test]
    fn loose_fields_need_a_recipient_and_a_word_about_it() {
        let loose = |text: &str| read(0, &split_lines(text, &Meter::default()), Place::LooseField);
        assert!(loose("Hello\nStatus: I am fine\nAction: none").recipients.is_empty());
        assert!(loose("Final-Recipient: rfc822; a@example.net").recipients.is_empty());
        let found = loose(
            "words\n\n  Final-Recipient: rfc822; a@example.net\n  Action: delayed\n  Status: 4.4.1\n\nmore",
        );
        assert_eq!(brief(&found), [("a@example.net".to_owned(), "delayed".to_owned(), "4.4.1".to_owned())]);
    }
}
