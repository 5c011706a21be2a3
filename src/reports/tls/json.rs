//! The JSON of a TLS report as it stands there, before it is understood.
//!
//! Nothing is required and nothing refused but broken JSON: a value of any type is taken for what it
//! is, unknown fields are skipped without being kept, lists stop growing at their caps. Memory
//! follows what is kept, not what is skipped.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::limits;
use crate::reports::Deviations;
use crate::reports::quirk;

// ---- What the readers of one report share ----

/// What was noted while one report was read, and how much of its caps is used.
#[derive(Default)]
pub(super) struct Notes {
    /// The deviations so far.
    pub(super) deviations: RefCell<Deviations>,
    /// Policies so far.
    policies: Cell<usize>,
    /// Failure details so far.
    details: Cell<usize>,
    /// The cap that was reached, in words.
    pub(super) over: Cell<Option<&'static str>>,
}

impl Notes {
    /// Notes one deviation.
    fn note(&self, name: &'static str, place: &str, original: &str, used: &str) {
        self.deviations.borrow_mut().note(name, place, original, used);
    }
}

// ---- Single values ----

/// A value where the standard has a string or a number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Scalar {
    /// The field is not there.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// A string, cut to [`limits::HEADER_TEXT_BYTES`].
    Text(String),
    /// A number, as an integer where it is one.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A list; its first value.
    List(Box<Self>),
    /// An object.
    Object,
}

impl Scalar {
    /// The value as trimmed text; `None` for nothing, an empty string and an object.
    pub(super) fn text(&self) -> Option<String> {
        let text = match self {
            Self::Text(text) => text.trim().to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(first) => return first.text(),
            Self::Absent | Self::Null | Self::Object => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// True unless the value is a string, `null` or absent.
    pub(super) const fn is_other_than_text(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Null | Self::Absent)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Takes any JSON value for a [`Scalar`].
struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(cut(value).to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        let first = seq.next_element::<Scalar>()?.unwrap_or_default();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::List(Box::new(first)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}

/// Cuts a text to [`limits::HEADER_TEXT_BYTES`] on a character boundary.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(limits::HEADER_TEXT_BYTES)).unwrap_or(text)
}

// ---- Lists of texts ----

/// A list of strings, or one string, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Texts {
    /// The texts, trimmed, without empty ones.
    pub(super) items: Vec<String>,
    /// True if it is one value instead of a list.
    pub(super) is_single: bool,
    /// True if the field is there, whatever its value.
    pub(super) is_there: bool,
    /// Texts beyond the cap.
    pub(super) dropped: u64,
}

/// Reads [`Texts`] of at most so many items.
struct TextsSeed(usize);

impl<'de> DeserializeSeed<'de> for TextsSeed {
    type Value = Texts;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Texts, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl TextsSeed {
    /// One value instead of a list.
    fn single(scalar: &Scalar) -> Texts {
        let items: Vec<_> = scalar.text().into_iter().collect();
        Texts { is_single: !items.is_empty(), items, is_there: true, dropped: 0 }
    }
}

impl<'de> Visitor<'de> for TextsSeed {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Texts, E> {
        Ok(Self::single(&Scalar::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Texts, E> {
        Ok(Self::single(&Scalar::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Texts, E> {
        Ok(Self::single(&Scalar::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Texts, E> {
        Ok(Self::single(&Scalar::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Texts, E> {
        Ok(Self::single(&Scalar::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Texts, E> {
        Ok(Self::single(&Scalar::Text(cut(value).to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
        let mut texts = Texts { is_there: true, ..Texts::default() };
        while texts.items.len() < self.0 {
            let Some(scalar) = seq.next_element::<Scalar>()? else { return Ok(texts) };
            texts.items.extend(scalar.text());
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            texts.dropped += 1;
        }
        Ok(texts)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::single(&Scalar::Object))
    }
}

// ---- Objects and lists of them ----

/// An object of which some fields are known.
pub(super) trait Fields: Default {
    /// The object's name in deviations.
    const PLACE: &'static str;

    /// Takes the value of one field; `false`, without touching it, if the name is unknown.
    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        notes: &Notes,
    ) -> Result<bool, A::Error>;

    /// How many of these the report has so far, and how many it may have.
    fn budget(_notes: &Notes) -> Option<(&Cell<usize>, usize)> {
        None
    }
}

/// Objects where the standard has one object or a list of them.
#[derive(Debug, Clone)]
pub(super) struct Objects<T> {
    /// The objects, in order.
    pub(super) items: Vec<T>,
    /// Values of other types that stood in their place.
    pub(super) strays: u64,
    /// True if the value is a list.
    pub(super) is_list: bool,
    /// True if the field is there, whatever its value.
    pub(super) is_there: bool,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { items: Vec::new(), strays: 0, is_list: false, is_there: false }
    }
}

/// Reads [`Objects`].
pub(super) struct ObjectsSeed<'a, T> {
    notes: &'a Notes,
    kind: PhantomData<T>,
}

impl<'a, T> ObjectsSeed<'a, T> {
    /// A reader that notes what it finds.
    pub(super) const fn new(notes: &'a Notes) -> Self {
        Self { notes, kind: PhantomData }
    }
}

impl<'de, T: Fields> DeserializeSeed<'de> for ObjectsSeed<'_, T> {
    type Value = Objects<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Objects<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// One value that is no object and no list.
fn stray<T>(strays: u64) -> Objects<T> {
    Objects { strays, is_there: true, ..Objects::default() }
}

impl<'de, T: Fields> Visitor<'de> for ObjectsSeed<'_, T> {
    type Value = Objects<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Objects<T>, E> {
        Ok(stray(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Objects<T>, E> {
        Ok(stray(1))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Objects<T>, E> {
        Ok(stray(1))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Objects<T>, E> {
        Ok(stray(1))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Objects<T>, E> {
        Ok(stray(1))
    }

    fn visit_str<E>(self, value: &str) -> Result<Objects<T>, E> {
        Ok(stray(u64::from(!value.trim().is_empty())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Objects<T>, A::Error> {
        let mut objects = Objects { is_list: true, is_there: true, ..Objects::default() };
        let budget = T::budget(self.notes);
        while budget.is_none_or(|(used, cap)| used.get() < cap) {
            match seq.next_element_seed(ItemSeed::<T>(ObjectsSeed::new(self.notes)))? {
                Some(Some(item)) => {
                    objects.items.push(item);
                    if let Some((used, _)) = budget {
                        used.set(used.get() + 1);
                    }
                }
                Some(None) => objects.strays += 1,
                None => return Ok(objects),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            self.notes.over.set(Some(T::PLACE));
        }
        Ok(objects)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Objects<T>, A::Error> {
        let item = read_fields(map, self.notes)?;
        Ok(Objects { items: vec![item], is_there: true, ..Objects::default() })
    }
}

/// Reads one element of a list: an object, or `None` for anything else.
struct ItemSeed<'a, T>(ObjectsSeed<'a, T>);

impl<'de, T: Fields> DeserializeSeed<'de> for ItemSeed<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields> Visitor<'de> for ItemSeed<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        read_fields(map, self.0.notes).map(Some)
    }
}

/// Reads the fields of one object.
fn read_fields<'de, T: Fields, A: MapAccess<'de>>(mut map: A, notes: &Notes) -> Result<T, A::Error> {
    let mut fields = T::default();
    while let Some(name) = map.next_key::<String>()? {
        if fields.take(&name, &mut map, notes)? {
            continue;
        }
        let plain = name.trim().to_lowercase().replace(['_', ' '], "-");
        if plain != name && fields.take(&plain, &mut map, notes)? {
            notes.note(quirk::TLS_FIELD_RENAMED, T::PLACE, &name, &plain);
            continue;
        }
        map.next_value::<IgnoredAny>()?;
        notes.note(quirk::TLS_FIELD_UNKNOWN, T::PLACE, &name, "");
    }
    Ok(fields)
}

/// Takes one value into its slot; the first one counts.
fn scalar<'de, A: MapAccess<'de>>(
    slot: &mut Scalar,
    name: &str,
    map: &mut A,
    notes: &Notes,
) -> Result<bool, A::Error> {
    let value = map.next_value::<Scalar>()?;
    if *slot == Scalar::Absent {
        *slot = value;
    } else if *slot != value {
        notes.note(
            quirk::TLS_FIELD_TWICE,
            name,
            &value.text().unwrap_or_default(),
            &slot.text().unwrap_or_default(),
        );
    }
    Ok(true)
}

/// Takes objects into their slot; those of a second field of the same name are dropped.
fn objects<'de, T: Fields, A: MapAccess<'de>>(
    slot: &mut Objects<T>,
    name: &str,
    map: &mut A,
    notes: &Notes,
) -> Result<bool, A::Error> {
    if slot.is_there {
        map.next_value::<IgnoredAny>()?;
        notes.note(quirk::TLS_FIELD_TWICE, name, "", "");
    } else {
        *slot = map.next_value_seed(ObjectsSeed::new(notes))?;
        if slot.strays > 0 {
            notes.note(quirk::TLS_FIELD_TYPE, name, "", "");
        }
    }
    Ok(true)
}

/// Takes texts into their slot; those of a second field of the same name are dropped.
fn texts<'de, A: MapAccess<'de>>(
    slot: &mut Texts,
    cap: usize,
    name: &str,
    map: &mut A,
    notes: &Notes,
) -> Result<bool, A::Error> {
    if slot.is_there {
        map.next_value::<IgnoredAny>()?;
        notes.note(quirk::TLS_FIELD_TWICE, name, "", "");
    } else {
        *slot = map.next_value_seed(TextsSeed(cap))?;
        if slot.dropped > 0 {
            notes.note(quirk::LIST_CUT, name, &slot.dropped.to_string(), "");
        }
    }
    Ok(true)
}

// ---- The objects of a TLS report, RFC 8460 §4.4 ----

/// The report itself.
#[derive(Debug, Default)]
pub(super) struct WireReport {
    pub(super) organization_name: Scalar,
    pub(super) date_range: Objects<WireRange>,
    pub(super) contact_info: Scalar,
    pub(super) report_id: Scalar,
    pub(super) policies: Objects<WireEntry>,
    /// The fields of `date-range` where they stand in the report itself.
    pub(super) flat_range: WireRange,
}

impl WireReport {
    /// True if it has the marks of a TLS report: policies, or two others of its fields.
    pub(super) fn is_tls_report(&self) -> bool {
        let fields = [
            self.organization_name != Scalar::Absent,
            self.date_range.is_there || self.flat_range.begin != Scalar::Absent,
            self.contact_info != Scalar::Absent,
            self.report_id != Scalar::Absent,
        ];
        self.policies.is_there || fields.into_iter().filter(|there| *there).count() >= 2
    }
}

impl Fields for WireReport {
    const PLACE: &'static str = "report";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        notes: &Notes,
    ) -> Result<bool, A::Error> {
        match name {
            "organization-name" => scalar(&mut self.organization_name, name, map, notes),
            "date-range" => objects(&mut self.date_range, name, map, notes),
            "contact-info" => scalar(&mut self.contact_info, name, map, notes),
            "report-id" => scalar(&mut self.report_id, name, map, notes),
            "policies" => objects(&mut self.policies, name, map, notes),
            _ => self.flat_range.take(name, map, notes),
        }
    }
}

/// `date-range`.
#[derive(Debug, Default)]
pub(super) struct WireRange {
    pub(super) begin: Scalar,
    pub(super) end: Scalar,
}

impl Fields for WireRange {
    const PLACE: &'static str = "date-range";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        notes: &Notes,
    ) -> Result<bool, A::Error> {
        match name {
            "start-datetime" => scalar(&mut self.begin, name, map, notes),
            "end-datetime" => scalar(&mut self.end, name, map, notes),
            _ => Ok(false),
        }
    }
}

/// One element of `policies`.
#[derive(Debug, Default)]
pub(super) struct WireEntry {
    pub(super) policy: Objects<WirePolicy>,
    pub(super) summary: Objects<WireSummary>,
    pub(super) failure_details: Objects<WireDetail>,
    /// The fields of `policy` where they stand in the element itself.
    pub(super) flat_policy: WirePolicy,
    /// The fields of `summary` where they stand in the element itself.
    pub(super) flat_summary: WireSummary,
    /// True if one of the two above was used.
    pub(super) is_flat: bool,
}

impl Fields for WireEntry {
    const PLACE: &'static str = "policies";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        notes: &Notes,
    ) -> Result<bool, A::Error> {
        match name {
            "policy" => objects(&mut self.policy, name, map, notes),
            "summary" => objects(&mut self.summary, name, map, notes),
            "failure-details" => objects(&mut self.failure_details, name, map, notes),
            _ => {
                let is_flat =
                    self.flat_policy.take(name, map, notes)? || self.flat_summary.take(name, map, notes)?;
                self.is_flat |= is_flat;
                Ok(is_flat)
            }
        }
    }

    fn budget(notes: &Notes) -> Option<(&Cell<usize>, usize)> {
        Some((&notes.policies, limits::TLS_POLICIES))
    }
}

/// `policy`.
#[derive(Debug, Default)]
pub(super) struct WirePolicy {
    pub(super) policy_type: Scalar,
    pub(super) policy_string: Texts,
    pub(super) policy_domain: Scalar,
    pub(super) mx_host: Texts,
    pub(super) mx_host_pattern: Texts,
}

impl Fields for WirePolicy {
    const PLACE: &'static str = "policy";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        notes: &Notes,
    ) -> Result<bool, A::Error> {
        match name {
            "policy-type" => scalar(&mut self.policy_type, name, map, notes),
            "policy-string" => texts(&mut self.policy_string, limits::TLS_POLICY_STRINGS, name, map, notes),
            "policy-domain" => scalar(&mut self.policy_domain, name, map, notes),
            // RFC 8460 §4.4 names the field `mx-host` in its text and `mx-host-pattern` in places of its
            // drafts; erratum 6241 is about its shape. Both names and both shapes occur.
            "mx-host" => texts(&mut self.mx_host, limits::TLS_MX_HOSTS, name, map, notes),
            "mx-host-pattern" => texts(&mut self.mx_host_pattern, limits::TLS_MX_HOSTS, name, map, notes),
            _ => Ok(false),
        }
    }
}

/// `summary`.
#[derive(Debug, Default)]
pub(super) struct WireSummary {
    pub(super) successful: Scalar,
    pub(super) failed: Scalar,
}

impl Fields for WireSummary {
    const PLACE: &'static str = "summary";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        notes: &Notes,
    ) -> Result<bool, A::Error> {
        match name {
            "total-successful-session-count" => scalar(&mut self.successful, name, map, notes),
            "total-failure-session-count" => scalar(&mut self.failed, name, map, notes),
            _ => Ok(false),
        }
    }
}

/// One element of `failure-details`.
#[derive(Debug, Default)]
pub(super) struct WireDetail {
    pub(super) result_type: Scalar,
    pub(super) sending_mta_ip: Scalar,
    pub(super) receiving_mx_hostname: Scalar,
    pub(super) receiving_mx_helo: Scalar,
    pub(super) receiving_ip: Scalar,
    pub(super) failed_sessions: Scalar,
    pub(super) additional_information: Scalar,
    pub(super) failure_reason_code: Scalar,
}

impl Fields for WireDetail {
    const PLACE: &'static str = "failure-details";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        notes: &Notes,
    ) -> Result<bool, A::Error> {
        let slot = match name {
            "result-type" => &mut self.result_type,
            "sending-mta-ip" => &mut self.sending_mta_ip,
            "receiving-mx-hostname" => &mut self.receiving_mx_hostname,
            "receiving-mx-helo" => &mut self.receiving_mx_helo,
            "receiving-ip" => &mut self.receiving_ip,
            "failed-session-count" => &mut self.failed_sessions,
            // RFC 8460 §4.4 calls it `additional-information`, its text also `additional-info-uri`.
            "additional-information" | "additional-info-uri" => &mut self.additional_information,
            "failure-reason-code" | "failure-error-code" => &mut self.failure_reason_code,
            _ => return Ok(false),
        };
        scalar(slot, name, map, notes)
    }

    fn budget(notes: &Notes) -> Option<(&Cell<usize>, usize)> {
        Some((&notes.details, limits::TLS_FAILURE_DETAILS))
    }
}
