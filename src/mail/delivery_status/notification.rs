//! Delivery notices as JSON: what Amazon SES sends through its notification service.

use serde_json::Value;

use crate::limits;
use crate::mail::delivery_status::words::{self, Words};
use crate::mail::delivery_status::{
    Action, Evidence, Found, Place, Recipient, RecipientStatus, dates, fields,
};

/// What a notice says.
#[derive(Debug)]
pub(super) struct Notice {
    /// One status a recipient.
    pub(super) recipients: Vec<RecipientStatus>,
    /// Recipients over the limit.
    pub(super) omitted: usize,
    /// True for a complaint of a recipient.
    pub(super) is_complaint: bool,
    /// Where it stood.
    pub(super) evidence: Evidence,
    /// Facts of the message: name and value, as header fields.
    pub(super) fields: Vec<(String, String)>,
}

/// Reads a notice in the own words of a mail, if there is one.
///
/// The object may be broken over lines; it is taken from the first brace to the last.
pub(super) fn read(words: &Words<'_>) -> Option<Notice> {
    let own = words.own();
    let first = own.iter().position(|line| !line.text.trim().is_empty())?;
    let start = own.get(first)?;
    if !start.text.trim_start().starts_with('{') {
        return None;
    }
    let mut text = String::new();
    for line in own.get(first..)?.iter().take_while(|line| line.text.trim() != "--") {
        if text.len() > limits::BOUNCE_WORDS_BYTES {
            return None;
        }
        text.push_str(line.text);
    }
    let end = text.rfind('}')?;
    let value: Value = serde_json::from_str(text.get(..=end)?).ok()?;
    let kind = string(&value, "notificationType").or_else(|| string(&value, "eventType"))?;
    let evidence = |rule| Evidence {
        place: Place::Notice,
        part: Some(words.part),
        line: start.number,
        field: Some("notificationType"),
        rule,
    };
    let mut notice = Notice {
        recipients: Vec::new(),
        omitted: 0,
        is_complaint: kind.eq_ignore_ascii_case("complaint"),
        evidence: evidence("json-notice"),
        fields: message_fields(value.get("mail")),
    };
    match kind.to_ascii_lowercase().as_str() {
        "bounce" => {
            let bounce = value.get("bounce")?;
            for recipient in array(bounce, "bouncedRecipients") {
                let mut status = status_of(recipient, evidence("json-bounce"));
                if status.action.is_none() {
                    status.action = Some(Found::new(Action::Failed, evidence("json-bounce-type")));
                }
                status.reporting_mta = found_mta(bounce, "reportingMTA", evidence("json-bounce"));
                notice.push(status);
            }
        }
        "delivery" => {
            let delivery = value.get("delivery")?;
            for address in array(delivery, "recipients").iter().filter_map(Value::as_str) {
                let mut status = RecipientStatus::empty();
                status.final_recipient =
                    fields::recipient(address).map(|r| Found::new(r, evidence("json-delivery")));
                status.action = Some(Found::new(Action::Delivered, evidence("json-delivery")));
                status.diagnostic =
                    string(delivery, "smtpResponse").map(|text| Found::new(text, evidence("json-delivery")));
                status.reporting_mta = found_mta(delivery, "reportingMTA", evidence("json-delivery"));
                notice.push(status);
            }
        }
        "deliverydelay" => {
            let delay = value.get("deliveryDelay")?;
            for recipient in array(delay, "delayedRecipients") {
                let mut status = status_of(recipient, evidence("json-delay"));
                status.action = Some(Found::new(Action::Delayed, evidence("json-delay")));
                status.will_retry_until = string(delay, "expirationTime")
                    .and_then(|text| dates::read(&text))
                    .map(|date| Found::new(date, evidence("json-delay")));
                notice.push(status);
            }
        }
        "complaint" => {
            for recipient in array(value.get("complaint")?, "complainedRecipients") {
                notice.push(status_of(recipient, evidence("json-complaint")));
            }
        }
        _ => return None,
    }
    Some(notice)
}

impl Notice {
    /// Keeps a recipient, or counts it as left out.
    fn push(&mut self, status: RecipientStatus) {
        if self.recipients.len() < limits::BOUNCE_RECIPIENTS {
            self.recipients.push(status);
        } else {
            self.omitted += 1;
        }
    }
}

/// The values that bounces, delays and complaints share.
fn status_of(recipient: &Value, evidence: Evidence) -> RecipientStatus {
    let mut status = RecipientStatus::empty();
    status.final_recipient = string(recipient, "emailAddress")
        .and_then(|text| fields::recipient(&text))
        .map(|value: Recipient| Found::new(value, evidence));
    status.action = string(recipient, "action")
        .and_then(|text| Action::parse(&text))
        .map(|action| Found::new(action, evidence));
    status.status_field = string(recipient, "status").map(|text| Found::new(text, evidence));
    if let Some(text) = string(recipient, "diagnosticCode") {
        let (kind, words) = text.split_once(';').unwrap_or(("", &text));
        status.diagnostic_kind = (!kind.is_empty()).then(|| kind.trim().to_ascii_lowercase());
        status.diagnostic = Some(Found::new(words.trim().to_owned(), evidence));
    }
    status
}

/// The message's facts as header fields.
fn message_fields(mail: Option<&Value>) -> Vec<(String, String)> {
    let Some(mail) = mail else { return Vec::new() };
    array(mail, "headers")
        .iter()
        .take(limits::BOUNCE_ORIGINAL_FIELDS)
        .filter_map(|header| Some((string(header, "name")?, string(header, "value")?)))
        .collect()
}

/// A text of an object, clipped; none if absent, empty or no text.
fn string(value: &Value, name: &str) -> Option<String> {
    let text = value.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| words::clip(text, limits::BOUNCE_DIAGNOSTIC_BYTES).to_owned())
}

/// An array of an object; empty if absent.
fn array<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A host of an object.
fn found_mta(value: &Value, name: &str, evidence: Evidence) -> Option<Found<super::Mta>> {
    Some(Found::new(fields::mta(&string(value, name)?)?, evidence))
}
