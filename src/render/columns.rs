//! The description of one column: from it every format is printed.

use crate::render::Value;

/// What a column holds: decides alignment, JSON type and unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Yes or no.
    Flag,
    /// A count; the unit is a word for the documentation, such as `messages`.
    Count(&'static str),
    /// Milliseconds.
    Milliseconds,
    /// Percent with two decimals.
    Percent,
    /// A number with two decimals; the unit is a word for the documentation.
    Decimal(&'static str),
    /// An instant.
    Instant,
    /// An edge of a report's period.
    Edge,
    /// A list of texts.
    List,
    /// A list of objects; the word lists their fields.
    Objects(&'static str),
}

impl Kind {
    /// True if the column's cells stand to the right.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Count(_) | Self::Milliseconds | Self::Percent | Self::Decimal(_))
    }

    /// The JSON type, for the documentation.
    pub const fn json_type(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Flag => "boolean",
            Self::Count(_) | Self::Milliseconds => "integer",
            Self::Percent | Self::Decimal(_) => "number, two decimals",
            Self::Instant | Self::Edge => "string, RFC 3339 UTC",
            Self::List => "array of strings",
            Self::Objects(_) => "array of objects",
        }
    }

    /// The unit or the fields, for the documentation.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Count(unit) | Self::Decimal(unit) => unit,
            Self::Milliseconds => "ms",
            Self::Percent => "percent",
            Self::Objects(fields) => fields,
            Self::Text | Self::Flag | Self::Instant | Self::Edge | Self::List => "",
        }
    }
}

/// How a table treats a column when there is not enough room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Always there, in full.
    Whole,
    /// Always there; cut with an ellipsis down to this many cells.
    Cut(u16),
    /// Left out first, the higher the number the earlier (from 5 on also where it would cut others, from 20 on also without a
    /// value in any row); else
    /// as [`Self::Cut`] with these cells (0: in full).
    Spare(u8, u16),
    /// Never in a table: only in the formats for programs.
    Never,
}

/// A column without its getter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// The name in JSON and CSV: a contract.
    pub name: &'static str,
    /// The heading in tables.
    pub title: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// How a table treats it.
    pub show: Show,
    /// One sentence for the documentation.
    pub about: &'static str,
}

/// A column of rows of type `R`.
pub struct Column<R: 'static> {
    /// The description.
    pub spec: Spec,
    /// Takes the cell out of a row.
    pub get: for<'a> fn(&'a R) -> Value<'a>,
}

impl<R> Column<R> {
    /// Describes a column.
    pub const fn new(
        name: &'static str,
        title: &'static str,
        kind: Kind,
        show: Show,
        about: &'static str,
        get: for<'a> fn(&'a R) -> Value<'a>,
    ) -> Self {
        Self { spec: Spec { name, title, kind, show, about }, get }
    }

    /// Describes a total: it has no place of its own in a table.
    pub const fn total(
        name: &'static str,
        kind: Kind,
        about: &'static str,
        get: for<'a> fn(&'a R) -> Value<'a>,
    ) -> Self {
        Self { spec: Spec { name, title: name, kind, show: Show::Never, about }, get }
    }
}
