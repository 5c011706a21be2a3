//! What to publish so that reports come: for eyes, as columns, and as lines of a zone file.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::dns::Name;
use crate::dns_health::setup::{Item, State};
use crate::render::escape::terminal;
use crate::render::{Column, Kind, Show, Value};

/// A row a record.
pub static SETUP: &[Column<Item>] = &[
    Column::new("domain", "domain", Kind::Text, Show::Spare(2, 16), "The domain that it is for.", |row| {
        Value::text(Some(row.domain.as_str()))
    }),
    Column::new(
        "kind",
        "for",
        Kind::Text,
        Show::Whole,
        "`dmarc`, `authorization` (RFC 9990 §4), `tls-rpt`, `mx`, `address` or `spf`.",
        |row| Value::text(Some(row.kind.as_str())),
    ),
    Column::new(
        "state",
        "state",
        Kind::Text,
        Show::Whole,
        "`in-place`, `not-needed`, `add`, `change`, `by-hand` (a person decides) or `not-known`.",
        |row| Value::text(Some(row.state.as_str())),
    ),
    Column::new("name", "name", Kind::Text, Show::Cut(24), "The name of the record.", |row| {
        Value::text(Some(row.name.as_str()))
    }),
    Column::new("zone", "zone", Kind::Text, Show::Spare(3, 12), "Its zone; null: not known.", |row| {
        Value::text(row.zone.as_ref().map(Name::as_str))
    }),
    Column::new(
        "relative_name",
        "in the zone",
        Kind::Text,
        Show::Never,
        "The name relative to the zone, `@` for its apex; the whole name where the zone is not known.",
        |row| Value::Text(Cow::Owned(row.relative_name())),
    ),
    Column::new("type", "type", Kind::Text, Show::Whole, "The record type.", |row| {
        Value::text(Some(row.record_type.as_str()))
    }),
    Column::new(
        "old",
        "now",
        Kind::List,
        Show::Cut(16),
        "Records that stand there now, each with its type: in place, or to be replaced.",
        |row| {
            let old = row.old.iter().map(|old| Cow::Owned(format!("{} {}", old.record_type, old.value)));
            Value::List(old.collect())
        },
    ),
    Column::new(
        "new",
        "publish",
        Kind::Text,
        Show::Cut(24),
        "The whole data to publish, as a zone file writes it; null: nothing.",
        |row| Value::text(row.new.as_deref()),
    ),
    Column::new("reason", "reason", Kind::Text, Show::Spare(1, 16), "Why it is in this state.", |row| {
        reason(&row.state).map_or(Value::Unknown, |reason| Value::Text(Cow::Owned(reason)))
    }),
    Column::new("notes", "notes", Kind::List, Show::Never, "What else there is to say.", |row| {
        Value::list(&row.notes)
    }),
    Column::new("risk", "risk", Kind::Text, Show::Never, "What is risked with it; null: nothing.", |row| {
        Value::text(row.risk.as_deref())
    }),
];

/// How many records are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetupTotals {
    records: u64,
    in_place: u64,
    not_needed: u64,
    add: u64,
    change: u64,
    by_hand: u64,
    not_known: u64,
}

impl SetupTotals {
    /// Counts.
    pub fn of(items: &[Item]) -> Self {
        let mut totals = Self::default();
        for item in items {
            totals.records += 1;
            *match item.state {
                State::InPlace => &mut totals.in_place,
                State::NotNeeded(_) => &mut totals.not_needed,
                State::Add => &mut totals.add,
                State::Change => &mut totals.change,
                State::ByHand(_) => &mut totals.by_hand,
                State::NotKnown(..) => &mut totals.not_known,
            } += 1;
        }
        totals
    }

    /// In one line.
    pub fn line(&self) -> String {
        if self.in_place + self.not_needed == self.records {
            return "nothing to do: every record is in place".to_owned();
        }
        format!(
            "{} to add, {} to change, {} by hand, {} not known; {} in place, {} not needed",
            self.add, self.change, self.by_hand, self.not_known, self.in_place, self.not_needed
        )
    }
}

/// The totals.
pub static SETUP_TOTALS: &[Column<SetupTotals>] = &[
    Column::total("records", Kind::Count("records"), "Records looked at.", |totals| {
        Value::Count(totals.records)
    }),
    Column::total("in_place", Kind::Count("records"), "Right already.", |totals| {
        Value::Count(totals.in_place)
    }),
    Column::total("not_needed", Kind::Count("records"), "Not needed.", |totals| {
        Value::Count(totals.not_needed)
    }),
    Column::total("add", Kind::Count("records"), "To be added.", |totals| Value::Count(totals.add)),
    Column::total("change", Kind::Count("records"), "To take the place of old ones.", |totals| {
        Value::Count(totals.change)
    }),
    Column::total("by_hand", Kind::Count("records"), "For a person to decide.", |totals| {
        Value::Count(totals.by_hand)
    }),
    Column::total("not_known", Kind::Count("records"), "Not known.", |totals| Value::Count(totals.not_known)),
];

/// Why a record is in its state, where there is more to say than the word.
fn reason(state: &State) -> Option<String> {
    match state {
        State::NotNeeded(reason) | State::ByHand(reason) => Some(reason.clone()),
        State::NotKnown(cause, detail) if detail.is_empty() => Some(cause.clone()),
        State::NotKnown(cause, detail) => Some(format!("{cause}: {detail}")),
        State::InPlace | State::Add | State::Change => None,
    }
}

/// Writes each record with what stands there, what to publish, and what to know. Errors: those of the writer.
pub fn write_text(items: &[Item], out: &mut dyn Write) -> io::Result<()> {
    let mut domain = None;
    for item in items {
        if domain != Some(&item.domain) {
            if domain.is_some() {
                writeln!(out)?;
            }
            writeln!(out, "{}", terminal(item.domain.as_str()))?;
            domain = Some(&item.domain);
        }
        writeln!(
            out,
            "  {:<10} {} {}  {}",
            item.state.as_str(),
            terminal(item.name.as_str()),
            item.record_type,
            item.kind.about()
        )?;
        let mut line = |label: &str, text: &str| writeln!(out, "             {label:<8} {}", terminal(text));
        if let Some(reason) = reason(&item.state) {
            line("why:", &reason)?;
        }
        for old in &item.old {
            line("now:", &format!("{} {}", old.record_type, old.value))?;
        }
        if let Some(new) = &item.new {
            line("publish:", &format!("{} {new}", item.record_type))?;
            if let Some(zone) = &item.zone {
                line("in zone:", &format!("{zone}, where its name is {}", item.relative_name()))?;
            }
        }
        for note in &item.notes {
            line("note:", note)?;
        }
        if let Some(risk) = &item.risk {
            line("risk:", risk)?;
        }
    }
    Ok(())
}

/// Writes lines of a zone file (RFC 1035 §5.1), zone by zone: names are whole, so that any `$ORIGIN` will do, and the
/// zone's TTL holds. What is no record to publish is a comment. Errors: those of the writer.
pub fn write_zone(items: &[Item], out: &mut dyn Write) -> io::Result<()> {
    let mut zones: Vec<Option<&Name>> = Vec::new();
    for item in items {
        if !zones.contains(&item.zone.as_ref()) {
            zones.push(item.zone.as_ref());
        }
    }
    for (at, zone) in zones.into_iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        match zone {
            Some(zone) => writeln!(out, "; zone {}", comment(zone.as_str()))?,
            None => writeln!(out, "; zone not known")?,
        }
        for item in items.iter().filter(|item| item.zone.as_ref() == zone) {
            write_record(item, out)?;
        }
    }
    Ok(())
}

/// One record with its comments.
fn write_record(item: &Item, out: &mut dyn Write) -> io::Result<()> {
    let owner = format!("{}.", item.name.as_str());
    let (state, about) = (item.state.as_str(), item.kind.about());
    writeln!(out, "; {}: {state}: {about}", comment(item.domain.as_str()))?;
    if let Some(reason) = reason(&item.state) {
        writeln!(out, ";   {}", comment(&reason))?;
    }
    for old in &item.old {
        let word = if item.state == State::InPlace { "there" } else { "replaces" };
        writeln!(out, ";   {word}: {} IN {} {}", comment(&owner), old.record_type, comment(&old.value))?;
    }
    for note in &item.notes {
        writeln!(out, ";   {}", comment(note))?;
    }
    if let Some(risk) = &item.risk {
        writeln!(out, ";   risk: {}", comment(risk))?;
    }
    if let Some(new) = &item.new {
        let front = if item.state.is_ready() { "" } else { ";   " };
        writeln!(out, "{front}{owner} IN {} {new}", item.record_type)?;
    }
    Ok(())
}

/// A text that stays within one comment: no line end, nothing that acts on a terminal.
fn comment(text: &str) -> Cow<'_, str> {
    terminal(text)
}
