//! One answer ready to be printed in any format.

use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::render::columns::{Column, Kind, Show, Spec};
use crate::render::value::Value;
use crate::summary::{Answer, TrustShares};

/// What stands above the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The name of the view in JSON.
    pub view: &'static str,
    /// The title of the table.
    pub title: &'static str,
    /// The domain that was asked for.
    pub domain: Option<String>,
    /// The first instant that was asked for; without one, the first with data.
    pub since: Option<Timestamp>,
    /// The first instant after the period that was asked for; without one, the end of the data.
    pub until: Option<Timestamp>,
    /// True if neither end was asked for: everything stored is meant.
    pub is_everything: bool,
    /// True for views that have no period at all, such as lists of routes.
    pub is_timeless: bool,
}

/// Gives the cells of the row with this number.
type RowGetter<'a> = Box<dyn Fn(usize) -> Vec<Value<'a>> + 'a>;

/// One answer: head, columns, rows, totals, notes.
pub struct Sheet<'a> {
    /// The head.
    pub head: Head,
    /// The columns in order.
    pub columns: Vec<Spec>,
    /// Totals of all rows, also of those cut away.
    pub totals: Vec<(&'static str, Value<'a>)>,
    /// How far what is counted can be believed; `None` where no reports are.
    pub trust: Option<TrustShares>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
    /// The number of rows.
    len: usize,
    /// The cells of each row.
    row: RowGetter<'a>,
}

impl<'a> Sheet<'a> {
    /// Makes a sheet of plain rows.
    pub fn of_rows<R>(head: Head, columns: &'static [Column<R>], rows: &'a [R]) -> Self {
        Self {
            head,
            columns: columns.iter().map(|column| column.spec).collect(),
            totals: Vec::new(),
            trust: None,
            notes: Vec::new(),
            len: rows.len(),
            row: Box::new(move |at| match rows.get(at) {
                Some(row) => columns.iter().map(|column| (column.get)(row)).collect(),
                None => Vec::new(),
            }),
        }
    }

    /// Makes a sheet of an answer: the totals are described by columns as well. An end of the period
    /// that was not asked for is filled in with the end of the data.
    pub fn of_answer<R, T>(
        mut head: Head,
        columns: &'static [Column<R>],
        totals: &'static [Column<T>],
        answer: &'a Answer<R, T>,
    ) -> Self {
        head.is_everything = head.since.is_none() && head.until.is_none();
        head.since = head.since.or(answer.first);
        head.until = head.until.or(answer.last);
        let mut sheet = Self::of_rows(head, columns, &answer.rows).with_totals(totals, &answer.totals);
        sheet.trust = answer.trust;
        sheet.notes.clone_from(&answer.notes);
        if answer.cut > 0 {
            let rest = if answer.cut == 1 {
                "1 more row was".to_owned()
            } else {
                format!("{} more rows were", answer.cut)
            };
            sheet
                .notes
                .push(format!("{rest} cut by the limit; the totals count all rows; --limit shows more"));
        }
        sheet
    }

    /// Adds totals, described by columns.
    #[must_use]
    pub fn with_totals<T>(mut self, columns: &'static [Column<T>], totals: &'a T) -> Self {
        self.totals = columns.iter().map(|total| (total.spec.name, (total.get)(totals))).collect();
        self
    }

    /// The number of rows.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without rows.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows, one after the other: cells in the order of the columns.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Value<'a>>> + '_ {
        (0..self.len).map(|at| (self.row)(at))
    }

    /// A total by its name.
    pub fn total(&self, name: &str) -> Option<&Value<'a>> {
        self.totals.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

// ---- What the formats for eyes share ----

impl Sheet<'_> {
    /// The numbers of the columns that formats for eyes show.
    pub fn shown_columns(&self) -> Vec<usize> {
        let shown = |(at, column): (usize, &Spec)| (column.show != Show::Never).then_some(at);
        self.columns.iter().enumerate().filter_map(shown).collect()
    }

    /// The line of totals under the given columns, if there is more than one row: `total` under the
    /// first column without a total of its own, an empty text where a column has none.
    pub fn total_cells(&self, shown: &[usize], zone: &TimeZone) -> Option<Vec<String>> {
        let cell = |at: &usize| {
            let name = self.columns.get(*at).map_or("", |column| column.name);
            self.total(name).map(|value| value.for_eyes(zone).into_owned()).unwrap_or_default()
        };
        if self.len < 2 {
            return None;
        }
        let mut cells: Vec<String> = shown.iter().map(cell).collect();
        if cells.iter().all(String::is_empty) {
            return None;
        }
        if let Some(first) = cells.first_mut().filter(|first| first.is_empty()) {
            "total".clone_into(first);
        }
        Some(cells)
    }

    /// One line with the totals that no shown column carries; none if there are none.
    pub fn other_totals(&self, shown: &[usize], zone: &TimeZone) -> Option<String> {
        let has_line = self.len >= 2;
        let carried = |name: &str| {
            has_line && shown.iter().any(|at| self.columns.get(*at).is_some_and(|column| column.name == name))
        };
        // With one row its cells are the totals.
        let is_in_row = |name: &str| self.len == 1 && self.columns.iter().any(|column| column.name == name);
        let rest: Vec<String> = self
            .totals
            .iter()
            .filter(|(name, _)| !carried(name) && !is_in_row(name))
            .map(|(name, value)| format!("{name} {}", value.for_eyes(zone)))
            .collect();
        (!rest.is_empty()).then(|| format!("total: {}", rest.join(", ")))
    }

    /// The lines between title and table: the period, and how far what is counted can be believed.
    pub fn head_lines(&self, zone: &TimeZone) -> Vec<String> {
        let period = Some(self.period_line(zone)).filter(|line| !line.is_empty());
        period.into_iter().chain(self.trust.and_then(|trust| trust.line())).collect()
    }

    /// The domain and the period in words; empty for views without a period. Reports have whole UTC days,
    /// the last one included; mails and probes have instants in `zone`.
    pub fn period_line(&self, zone: &TimeZone) -> String {
        if self.head.is_timeless {
            return String::new();
        }
        let has_instants = self.columns.iter().any(|column| column.kind == Kind::Instant);
        let (since, until, unit) = if has_instants {
            let instant = |at: Timestamp| Value::Instant(at).for_eyes(zone).into_owned();
            let name = zone.iana_name().unwrap_or("UTC").to_owned();
            (self.head.since.map(instant), self.head.until.map(instant), name)
        } else {
            let last = |at: Timestamp| Timestamp::from_ms(at.ms().saturating_sub(1)).day().iso();
            (self.head.since.map(|at| at.day().iso()), self.head.until.map(last), "UTC days".to_owned())
        };
        let whose = self.head.domain.as_ref().map(|domain| format!("{domain}, ")).unwrap_or_default();
        let scope = if self.head.is_everything { "all that is stored" } else { "period" };
        let period = match (since, until) {
            (Some(since), Some(until)) => format!("{scope}: {since} to {until} ({unit})"),
            (Some(since), None) => format!("{scope}: since {since} ({unit})"),
            (None, Some(until)) => format!("{scope}: until {until} ({unit})"),
            (None, None) => scope.to_owned(),
        };
        format!("{whose}{period}")
    }
}
