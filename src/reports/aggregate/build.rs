//! Puts the elements of a report together: a stack of open elements, the head, the current record.

use std::ops::ControlFlow;

use crate::limits;
use crate::reports::aggregate::element::Element;
use crate::reports::aggregate::values::{self, Noted};
use crate::reports::aggregate::{
    AggregateReport, Disposition, DkimResult, Evaluated, PolicyPublished, Reason, Record, Source, SpfResult,
};
use crate::reports::{Deviations, Unreadable, UnreadableKind, quirk};

/// Takes each record as it is closed. It may take the values out; the reader reuses the rest.
pub type EachRecord<'a> = &'a mut dyn FnMut(&mut Record) -> ControlFlow<()>;

/// What happened when an element was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// Nothing special.
    Inner,
    /// The root: the report is whole.
    Root,
    /// Whoever takes the records wants no more.
    Stopped,
}

/// One open element.
struct Open {
    element: Element,
    /// The local name as written, where it is not the element's own.
    name: Option<Box<str>>,
}

/// The state of one report.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Open>,
    /// Place on the stack of the open element that takes text.
    text_at: Option<usize>,
    text: String,
    pub(super) report: AggregateReport,
    pub(super) begin: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) records: u64,
    pub(super) deviations: Deviations,
    policies: u32,
    second_policy: PolicyPublished,
    record: Record,
    has_value: bool,
    is_header_from_noted: bool,
    is_count_noted: bool,
    reason: Reason,
    reason_text: String,
    dkim: DkimResult,
    spf: SpfResult,
    unknown_seen: Vec<Box<str>>,
    /// True from the end of a record until the next element: its end tag a second time loses nothing.
    is_after_record: bool,
    dispositions: Vec<String>,
}

impl Builder {
    /// True once the root is open.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// True if no element but the root is open.
    pub(super) fn is_at_root(&self) -> bool {
        self.open.len() == 1
    }

    /// True if text counts where we are.
    pub(super) const fn takes_text(&self) -> bool {
        self.text_at.is_some()
    }

    /// The innermost open element.
    pub(super) fn innermost(&self) -> Element {
        self.open.last().map_or(Element::Unknown, |open| open.element)
    }

    /// The element called `local` (as written) within the innermost open one.
    ///
    /// Errors: `Malformed` for a record within a record, and for what is left of one without its beginning.
    #[inline]
    pub(super) fn find(&mut self, local: &str) -> Result<Element, Unreadable> {
        let parent = match self.open.last() {
            Some(open) => open.element,
            // The caller has seen that the root is a feedback element.
            None => return Ok(Element::Feedback),
        };
        let element = parent.child(local);
        if element != Element::Unknown {
            return Ok(element);
        }
        self.find_odd(parent, local)
    }

    /// The same for a name that is not in lower case, or stands in an element that was never closed.
    fn find_odd(&mut self, parent: Element, local: &str) -> Result<Element, Unreadable> {
        let folded = values::lower(local);
        let element = parent.child(&folded);
        if element != Element::Unknown {
            self.deviations.note(quirk::TAG_CAPITALIZED, element.name(), local, element.name());
            return Ok(element);
        }
        let sections =
            ["report_metadata", "policy_published", "record", "row", "identifiers", "auth_results"];
        if !sections.contains(&&*folded) {
            return Ok(Element::Unknown);
        }
        let owner = |open: &Open| open.element.child(&folded) != Element::Unknown;
        let Some(at) = self.open.iter().rposition(owner) else {
            // Within something that the standard does not know, names mean nothing.
            let is_foreign = |open: &Open| matches!(open.element, Element::Unknown | Element::Extension);
            return if self.open.iter().any(is_foreign) {
                Ok(Element::Unknown)
            } else {
                Err(headless_record())
            };
        };
        while self.open.len() > at + 1 {
            let Some(open) = self.open.pop() else { break };
            if open.element == Element::Record {
                return Err(Unreadable::new(UnreadableKind::Malformed, "a record is not closed"));
            }
            let name = open.name.as_deref().unwrap_or(open.element.name());
            self.deviations.note(quirk::ELEMENT_NOT_CLOSED, name, "", "");
            self.closed(open.element, &mut |_| ControlFlow::Continue(()))?;
        }
        Ok(self.innermost().child(&folded))
    }

    /// The element called `name`, exactly, within the innermost open one; `Unknown` if that takes a closer
    /// look.
    #[inline]
    pub(super) fn known(&self, name: &str) -> Element {
        match self.open.last().map_or(Element::Unknown, |open| open.element).child(name) {
            // What stands in an extension may be called anything.
            Element::Extension => Element::Unknown,
            element => element,
        }
    }

    /// The name of the innermost open element, if it is the element's own.
    #[inline]
    pub(super) fn innermost_name(&self) -> Option<&'static str> {
        self.open.last().filter(|open| open.name.is_none()).map(|open| open.element.name())
    }

    /// Closes the innermost open element.
    #[inline]
    pub(super) fn close_innermost(&mut self, each: EachRecord<'_>) -> Result<Closed, Unreadable> {
        match self.open.pop() {
            Some(open) => self.closed(open.element, each),
            None => Ok(Closed::Inner),
        }
    }

    /// Opens an element.
    pub(super) fn open(&mut self, element: Element, local: &str) -> Result<(), Unreadable> {
        if self.open.len() >= limits::XML_DEPTH {
            return Err(Unreadable::new(
                UnreadableKind::TooLarge,
                format!("XML elements nested deeper than {}", limits::XML_DEPTH),
            ));
        }
        self.is_after_record = false;
        match element {
            Element::Unknown => self.note_unknown(local),
            Element::Policy => self.policies += 1,
            Element::Identifiers if !local.eq_ignore_ascii_case("identifiers") => {
                self.deviations.note(quirk::IDENTITIES_ALIAS, "record", local, "identifiers");
            }
            Element::Record => self.begin_record(),
            Element::Reason => {
                self.reason = Reason::default();
                self.reason_text.clear();
            }
            Element::Dkim => self.dkim = DkimResult::default(),
            Element::Spf => self.spf = SpfResult::default(),
            _ => {}
        }
        if element.is_leaf() || element == Element::Reason {
            self.text_at = Some(self.open.len());
            self.text.clear();
        }
        let name = (local != element.name()).then(|| local.into());
        self.open.push(Open { element, name });
        Ok(())
    }

    /// Notes the first of each unknown name.
    fn note_unknown(&mut self, local: &str) {
        let is_known = self.open.iter().any(|open| matches!(open.element, Element::Unknown));
        // What stands within an unknown element is not worth a note of its own.
        if is_known || self.unknown_seen.len() >= 20 || self.unknown_seen.iter().any(|seen| **seen == *local)
        {
            return;
        }
        let place = self.innermost().name();
        self.deviations.note(quirk::ELEMENT_UNKNOWN, place, local, "");
        self.unknown_seen.push(local.into());
    }

    /// Takes text that stands directly in the innermost open element; it may come in pieces.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        if self.text_at.is_none() {
            return Ok(());
        }
        self.text.push_str(text);
        if self.text.len() > limits::XML_TEXT_BYTES {
            return Err(too_long_text());
        }
        Ok(())
    }

    /// Closes the element called `local`, and what is open within it.
    pub(super) fn close(&mut self, local: &str, each: EachRecord<'_>) -> Result<Closed, Unreadable> {
        let matches = |open: &Open| match &open.name {
            Some(name) => name.eq_ignore_ascii_case(local),
            None => open.element.name().eq_ignore_ascii_case(local),
        };
        let Some(at) = self.open.iter().rposition(matches) else {
            // Seen from a program that cut reports in the middle: what the record said is gone, and nobody knows
            // how many went with it.
            if local.eq_ignore_ascii_case("record") && !self.is_after_record {
                return Err(headless_record());
            }
            self.is_after_record &= local.eq_ignore_ascii_case("record");
            self.deviations.note(quirk::END_TAG_STRAY, self.innermost().name(), local, "");
            return Ok(Closed::Inner);
        };
        while self.open.len() > at + 1 {
            let Some(open) = self.open.pop() else { break };
            if open.element == Element::Record {
                return Err(Unreadable::new(UnreadableKind::Malformed, "a record is not closed"));
            }
            let name = open.name.as_deref().unwrap_or(open.element.name());
            self.deviations.note(quirk::ELEMENT_NOT_CLOSED, name, "", "");
            self.closed(open.element, each)?;
        }
        self.close_innermost(each)
    }

    /// Finishes an element that was taken off the stack.
    fn closed(&mut self, element: Element, each: EachRecord<'_>) -> Result<Closed, Unreadable> {
        match element {
            Element::Feedback => {
                self.text_at = None;
                return Ok(Closed::Root);
            }
            Element::Record => return self.finish_record(each),
            Element::Reason => {
                self.text_at = None;
                let text = std::mem::take(&mut self.text);
                let clean = self.clean(Element::Reason, text.trim());
                let clean = clean.as_deref().unwrap_or(&text).trim();
                self.finish_reason(cut(clean));
                self.text = text;
            }
            Element::Dkim => self.finish_dkim(),
            Element::Spf => self.finish_spf(),
            Element::Policy => self.finish_policy(),
            _ if element.is_leaf() => {
                let text = std::mem::take(&mut self.text);
                self.leaf(element, &text);
                self.text = text;
                // A reason takes text around its children too.
                self.text.clear();
                let parent = self.open.len().checked_sub(1);
                self.text_at = parent.filter(|_| self.innermost() == Element::Reason);
            }
            _ => {}
        }
        Ok(Closed::Inner)
    }

    /// Takes the whole text of a leaf.
    #[inline]
    pub(super) fn leaf(&mut self, element: Element, text: &str) {
        let text = text.trim_ascii();
        if let Some(clean) = self.clean(element, text) {
            return self.set(element, clean.trim());
        }
        // Blanks outside ASCII are rare: only then is the slower trimming worth it.
        let text = if text.is_ascii() { text } else { text.trim() };
        self.set(element, text);
    }

    /// A text without the control characters that XML forbids (XML 1.0 §2.2), if it has any.
    #[inline]
    fn clean(&mut self, element: Element, text: &str) -> Option<String> {
        if !text.bytes().any(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
            return None;
        }
        let clean: String =
            text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')).collect();
        self.deviations.note(quirk::CONTROL_CHARACTER, element.name(), text, &clean);
        Some(clean)
    }

    /// Puts a value into its place.
    fn set(&mut self, element: Element, text: &str) {
        let whole = text;
        let text = cut(whole);
        if text.len() < whole.len() {
            self.deviations.note(quirk::TEXT_CUT, element.name(), whole, text);
        }
        match element {
            Element::SourceIp => {
                self.record.source = self.noted("source_ip", text, values::source(text));
                self.has_value |= !text.is_empty();
            }
            Element::Count => {
                self.record.count = self.noted("count", text, values::count(text));
                self.is_count_noted = true;
                self.has_value |= !text.is_empty();
            }
            Element::Disposition => {
                let value = self.noted("disposition", text, values::disposition(text));
                self.record.disposition = self.bounded(value);
            }
            Element::EvaluatedDkim => {
                self.record.dkim = self.noted("policy_evaluated/dkim", text, values::evaluated(text));
            }
            Element::EvaluatedSpf => {
                self.record.spf = self.noted("policy_evaluated/spf", text, values::evaluated(text));
            }
            Element::ReasonType => self.reason.kind = values::lower(text).into_owned(),
            Element::ReasonComment => self.reason.comment = some(text),
            Element::HeaderFrom => {
                self.record.header_from = self.noted("header_from", text, values::header_from(text));
                self.is_header_from_noted = true;
                self.has_value |= !text.is_empty();
            }
            Element::EnvelopeFrom => self.record.envelope_from = Some(text.to_owned()),
            Element::EnvelopeTo => self.record.envelope_to = some(text),
            Element::DkimDomain => self.dkim.domain = some(&values::lower(text)),
            Element::DkimSelector => self.dkim.selector = some(text),
            Element::DkimResult => {
                self.dkim.result = self.noted("dkim/result", text, values::auth_result(text));
            }
            Element::DkimHumanResult => self.dkim.human_result = some(text),
            Element::SpfDomain => self.spf.domain = some(&values::lower(text)),
            Element::SpfScope => self.spf.scope = some(&values::lower(text)),
            Element::SpfResult => {
                self.spf.result = self.noted("spf/result", text, values::auth_result(text));
            }
            Element::SpfHumanResult => self.spf.human_result = some(text),
            _ => self.set_head(element, text),
        }
    }

    /// Puts a value into the head.
    fn set_head(&mut self, element: Element, text: &str) {
        let policy = if self.policies > 1 { &mut self.second_policy } else { &mut self.report.policy };
        match element {
            Element::Version => self.report.version = some(text),
            Element::OrgName => first(&mut self.report.org_name, text),
            Element::Email => first(&mut self.report.email, text),
            Element::ExtraContactInfo => first(&mut self.report.extra_contact_info, text),
            Element::ReportId if self.report.report_id.is_empty() => {
                text.clone_into(&mut self.report.report_id);
            }
            Element::ReportId => self.deviations.note(quirk::TEXT_TWICE, "report_id", text, ""),
            Element::Generator => first(&mut self.report.generator, text),
            Element::Begin | Element::End => {
                let (value, name) = values::time(text);
                if let Some(name) = name.filter(|name| *name == quirk::PERIOD_REWRITTEN) {
                    let used = value.map(|value| value.to_string()).unwrap_or_default();
                    self.deviations.note(name, element.name(), text, &used);
                }
                let place = if element == Element::Begin { &mut self.begin } else { &mut self.end };
                *place = place.or(value);
            }
            Element::Error => {
                if text.is_empty() {
                } else if self.report.errors.len() < limits::REPORT_ERRORS {
                    self.report.errors.push(cut(text).to_owned());
                } else {
                    self.deviations.note(quirk::LIST_CUT, "error", text, "");
                }
            }
            Element::PolicyDomain => {
                policy.domain = policy.domain.take().or_else(|| values::header_from(text).0);
            }
            Element::P => first(&mut policy.p, text),
            Element::Adkim => first(&mut policy.adkim, text),
            Element::Aspf => first(&mut policy.aspf, text),
            Element::Pct => first(&mut policy.pct, text),
            Element::Fo => first(&mut policy.fo, text),
            Element::Testing => first(&mut policy.testing, text),
            Element::DiscoveryMethod => first(&mut policy.discovery_method, text),
            Element::Sp | Element::Np => {
                let place = if element == Element::Sp { &mut policy.sp } else { &mut policy.np };
                // Absent inherits `p`; `nil` and empty mean the same (Mail.Ru, Cisco).
                if text.is_empty() || text.eq_ignore_ascii_case("nil") {
                    self.deviations.note(quirk::POLICY_NIL, element.name(), text, "");
                } else {
                    first(place, text);
                }
            }
            _ => {}
        }
    }

    /// Unpacks a value and records its deviation.
    fn noted<T>(&mut self, place: &str, original: &str, value: Noted<T>) -> T {
        if let Some(name) = value.1 {
            self.deviations.note(name, place, original, "");
        }
        value.0
    }

    /// Keeps the first few words outside the standards: an invented word for each record must not
    /// make the roll-up as long as the report.
    fn bounded(&mut self, value: Disposition) -> Disposition {
        let Disposition::Other(word) = value else { return value };
        let word = cut(&word);
        if !self.dispositions.iter().any(|known| known == word) {
            if self.dispositions.len() >= limits::DISPOSITION_WORDS {
                return Disposition::Other("other".to_owned());
            }
            self.dispositions.push(word.to_owned());
        }
        Disposition::Other(word.to_owned())
    }

    fn begin_record(&mut self) {
        self.record.clear();
        self.has_value = false;
        self.is_header_from_noted = false;
        self.is_count_noted = false;
    }

    fn finish_record(&mut self, each: EachRecord<'_>) -> Result<Closed, Unreadable> {
        self.is_after_record = true;
        let record = &mut self.record;
        if !self.has_value && record.dkim_results.is_empty() && record.spf_results.is_empty() {
            self.deviations.note(quirk::RECORD_EMPTY, "record", "", "");
            return Ok(Closed::Inner);
        }
        if record.source == Source::Missing {
            self.deviations.note(quirk::SOURCE_IP_MISSING, "source_ip", "", "");
        }
        if record.disposition == Disposition::Missing {
            self.deviations.note(quirk::DISPOSITION_MISSING, "disposition", "", "");
        }
        if record.dkim == Evaluated::Missing || record.spf == Evaluated::Missing {
            self.deviations.note(quirk::EVALUATED_MISSING, "policy_evaluated", "", "");
        }
        if !self.is_count_noted {
            self.deviations.note(quirk::COUNT_MISSING, "count", "", "");
        }
        if !self.is_header_from_noted {
            self.deviations.note(quirk::HEADER_FROM_MISSING, "header_from", "", "");
        }
        self.records += 1;
        if self.records > limits::REPORT_RECORDS {
            return Err(Unreadable::new(
                UnreadableKind::TooLarge,
                format!("more than {} records", limits::REPORT_RECORDS),
            ));
        }
        Ok(match each(record) {
            ControlFlow::Continue(()) => Closed::Inner,
            ControlFlow::Break(()) => Closed::Stopped,
        })
    }

    fn finish_reason(&mut self, text: &str) {
        let mut reason = std::mem::take(&mut self.reason);
        if reason.kind.is_empty() && !text.is_empty() {
            self.deviations.note(quirk::REASON_TEXT, "reason", text, "");
            reason.kind = values::lower(text).into_owned();
        }
        if reason.kind.is_empty() {
            self.deviations.note(quirk::REASON_EMPTY, "reason", "", "");
            if reason.comment.is_none() {
                return;
            }
        }
        if self.record.reasons.len() < limits::RECORD_REASONS {
            self.record.reasons.push(reason);
        } else {
            self.deviations.note(quirk::LIST_CUT, "reason", &reason.kind, "");
        }
    }

    fn finish_dkim(&mut self) {
        let result = std::mem::take(&mut self.dkim);
        let is_empty = result.domain.is_none() && result.selector.is_none();
        // Seen from gosecure.net: `<dkim><domain/><result/></dkim>` where there was no signature.
        if is_empty && matches!(&*result.result.word, "" | "none") && result.human_result.is_none() {
            self.deviations.note(quirk::RESULT_FILLER, "auth_results/dkim", "", "");
        } else if self.record.dkim_results.len() < limits::RECORD_AUTH_RESULTS {
            self.record.dkim_results.push(result);
        } else {
            self.deviations.note(quirk::LIST_CUT, "auth_results/dkim", "", "");
        }
    }

    fn finish_spf(&mut self) {
        let result = std::mem::take(&mut self.spf);
        if result.domain.is_none() && result.result.word.is_empty() && result.human_result.is_none() {
            self.deviations.note(quirk::RESULT_FILLER, "auth_results/spf", "", "");
        } else if self.record.spf_results.len() < limits::RECORD_AUTH_RESULTS {
            self.record.spf_results.push(result);
        } else {
            self.deviations.note(quirk::LIST_CUT, "auth_results/spf", "", "");
        }
    }

    fn finish_policy(&mut self) {
        if self.policies > 1 {
            let second = std::mem::take(&mut self.second_policy);
            if second != self.report.policy {
                let text = second.p.unwrap_or_default();
                self.deviations.note(quirk::POLICY_TWICE, "policy_published", &text, "");
            }
        }
    }

    /// Notes what the head lacks; called when the root is closed.
    pub(super) fn check_head(&mut self) {
        let report = &self.report;
        let missing = [
            (report.org_name.is_none(), quirk::ORG_NAME_MISSING, "org_name"),
            (report.email.is_none(), quirk::EMAIL_MISSING, "email"),
            (report.report_id.is_empty(), quirk::REPORT_ID_MISSING, "report_id"),
            (report.policy.p.is_none(), quirk::POLICY_MISSING, "policy_published/p"),
            (self.records == 0, quirk::NO_RECORDS, "record"),
        ];
        for (is_missing, name, place) in missing {
            if is_missing {
                self.deviations.note(name, place, "", "");
            }
        }
    }

    /// True if nothing in the document made it a report.
    pub(super) fn is_hollow(&self) -> bool {
        self.records == 0
            && self.report.org_name.is_none()
            && self.report.email.is_none()
            && self.report.report_id.is_empty()
            && self.report.policy.domain.is_none()
    }
}

/// The refusal of a report in which part of a record is left: its messages are lost.
fn headless_record() -> Unreadable {
    let reason =
        "the report is damaged: part of a record stands without its beginning, so that messages are missing";
    Unreadable::new(UnreadableKind::Malformed, reason)
}

/// The refusal of an endless text.
pub(super) fn too_long_text() -> Unreadable {
    Unreadable::new(
        UnreadableKind::TooLarge,
        format!("a text or tag is longer than {} bytes", limits::XML_TEXT_BYTES),
    )
}

/// The text if there is one.
fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| cut(text).to_owned())
}

/// Keeps the first text that is not empty.
fn first(place: &mut Option<String>, text: &str) {
    if place.is_none() {
        *place = some(text);
    }
}

/// Cuts a text to what is kept of one field; without blanks at its end, wherever that is.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::HEADER_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim_end()
}
