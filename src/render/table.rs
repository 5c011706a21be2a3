//! Tables for eyes: they fit the width that they are given, counted in display cells (UAX #11).
//!
//! Numbers stand to the right and are never cut; text is cut at a character with an ellipsis; columns
//! that do not fit are left out, the least important first, and named below the table.

use std::io::{self, Write};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, TableStyle};
use comfy_table::{ContentLineStyle, LineStyle};
use jiff::tz::TimeZone;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::render::columns::{Show, Spec};
use crate::render::escape;
use crate::render::sheet::Sheet;
use crate::render::value::Value;

/// How a table is to look.
#[derive(Debug, Clone)]
pub struct TableOptions {
    /// Cells of one line; absent: as wide as it gets, nothing is cut or left out.
    pub width: Option<u16>,
    /// True for colour.
    pub color: bool,
    /// The zone of instants.
    pub zone: TimeZone,
}

/// Cells between two columns.
const GAP: u16 = 2;
/// From this rank on a column is an extra: shown where no other one has to be cut for it.
const EXTRA: u8 = 5;
/// Columns from this rank on are there only for those who set something up: without a value they are not shown at all.
const RARE: u8 = 20;
/// Cells up to which a text is worth the place of an extra.
const READABLE: u16 = 60;

/// Writes the title, the period, the table with a line of totals, and the notes.
///
/// Errors: those of the writer.
pub fn write(sheet: &Sheet<'_>, options: &TableOptions, out: &mut dyn Write) -> io::Result<()> {
    let zone = &options.zone;
    if !sheet.head.title.is_empty() {
        writeln!(out, "{}", styled(&escape::terminal(sheet.head.title), "1", options.color))?;
    }
    for line in sheet.head_lines(zone) {
        for part in wrap(&escape::terminal(&line), options.width) {
            writeln!(out, "{part}")?;
        }
    }
    writeln!(out)?;
    let mut left_out = Vec::new();
    let shown;
    if sheet.is_empty() {
        shown = sheet.shown_columns();
        writeln!(out, "no rows")?;
    } else {
        let grid = Grid::of(sheet, options);
        writeln!(out, "{}", grid.print(options.color))?;
        shown = grid.columns.iter().map(|column| column.at).collect();
        left_out = grid.left_out;
    }
    let mut tail: Vec<String> = sheet.other_totals(&shown, zone).into_iter().collect();
    tail.extend(sheet.notes.iter().map(|note| format!("note: {note}")));
    if !left_out.is_empty() {
        tail.push(format!(
            "note: the width has no room for {}; a wider terminal or --format json shows them",
            left_out.join(", ")
        ));
    }
    if !tail.is_empty() {
        writeln!(out)?;
    }
    for line in tail {
        for part in wrap(&escape::terminal(&line), options.width) {
            writeln!(out, "{part}")?;
        }
    }
    Ok(())
}

/// A text with an ANSI style around it, if there is to be colour.
pub(super) fn styled(text: &str, code: &str, color: bool) -> String {
    if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// One column of the grid.
struct GridColumn {
    /// Its number in the sheet.
    at: usize,
    /// Its description.
    spec: Spec,
    /// Its cells with the tone of each: first the rows, then the totals if there are any.
    cells: Vec<(String, Tone)>,
    /// True if no row has a value in it.
    is_empty: bool,
    /// The cells that it would like.
    natural: u16,
    /// The cells that it gets.
    width: u16,
}

/// What a cell means to the reader, for colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    /// Nothing special.
    Plain,
    /// As it should be.
    Good,
    /// Not known yet.
    Doubtful,
    /// A fault.
    Bad,
}

/// The table before it is printed.
struct Grid {
    /// The columns that fit.
    columns: Vec<GridColumn>,
    /// The headings of those that do not.
    left_out: Vec<&'static str>,
    /// True if the last row holds the totals.
    has_totals: bool,
}

impl Grid {
    /// Lays out a sheet.
    fn of(sheet: &Sheet<'_>, options: &TableOptions) -> Self {
        let numbers = sheet.shown_columns();
        let totals = sheet.total_cells(&numbers, &options.zone);
        let mut columns: Vec<GridColumn> = numbers
            .iter()
            .filter_map(|&at| {
                let spec = *sheet.columns.get(at)?;
                Some(GridColumn {
                    at,
                    spec,
                    cells: Vec::with_capacity(sheet.len() + 1),
                    is_empty: true,
                    natural: 0,
                    width: 0,
                })
            })
            .collect();
        for row in sheet.rows() {
            for column in &mut columns {
                let value = row.get(column.at).unwrap_or(&Value::Unknown);
                let text = escape::terminal(&value.for_eyes(&options.zone)).into_owned();
                column.is_empty &= text == "-";
                column.cells.push((text, tone(column.spec.name, value)));
            }
        }
        for (column, total) in columns.iter_mut().zip(totals.iter().flatten()) {
            column.cells.push((escape::terminal(total).into_owned(), Tone::Plain));
        }
        for column in &mut columns {
            let widest = column.cells.iter().map(|(text, _)| cells_of(text)).max().unwrap_or(0);
            column.natural = widest.max(cells_of(column.spec.title));
        }
        let left_out = fit(&mut columns, options.width);
        // The columns that carried the totals may be among those left out.
        let carries = |(at, column): (usize, &GridColumn)| {
            at > 0 && column.cells.last().is_some_and(|(text, _)| !text.is_empty())
        };
        let has_totals = totals.is_some() && columns.iter().enumerate().any(carries);
        if totals.is_some() && !has_totals {
            for column in &mut columns {
                column.cells.pop();
            }
        }
        Self { columns, left_out, has_totals }
    }

    /// Prints the grid, without a line end after the last line.
    fn print(&self, color: bool) -> String {
        let style = TableStyle::new()
            .header_lines(ContentLineStyle::none())
            .header_separator(LineStyle::none().fill('─'))
            .content_lines(ContentLineStyle::none());
        let mut table = Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
        if color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let cell = |column: &GridColumn, text: &str| {
            let right = column.spec.kind.is_number();
            let alignment = if right { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new_owned(cut(text, column.width)).set_alignment(alignment)
        };
        table.set_header(
            self.columns.iter().map(|column| cell(column, column.spec.title).add_attribute(Attribute::Bold)),
        );
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        for at in 0..rows {
            let is_total = self.has_totals && at + 1 == rows;
            table.add_row(self.columns.iter().map(|column| {
                let (text, tone) =
                    column.cells.get(at).map_or(("", Tone::Plain), |(text, tone)| (text, *tone));
                let cell = cell(column, text);
                let cell = if is_total { cell.add_attribute(Attribute::Bold) } else { cell };
                match tone {
                    Tone::Plain => cell,
                    Tone::Good => cell.fg(Color::Green),
                    Tone::Doubtful => cell.fg(Color::Yellow),
                    Tone::Bad => cell.fg(Color::Red),
                }
            }));
        }
        let last = self.columns.len().saturating_sub(1);
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if at == last { 0 } else { GAP }));
        }
        table.trim_fmt()
    }
}

/// What a cell means, from the name of its column and its value.
fn tone(name: &str, value: &Value<'_>) -> Tone {
    match (name, value) {
        ("dmarc_fail" | "disposition_quarantine" | "disposition_reject", Value::Count(count))
            if *count > 0 =>
        {
            Tone::Bad
        }
        ("state" | "status" | "verdict", Value::Text(word)) => match word.as_ref() {
            "arrived" | "read" | "ok" => Tone::Good,
            "lost" | "refused" | "unread" | "failed" => Tone::Bad,
            "late" | "in_doubt" | "pending" | "deferred" | "sending" => Tone::Doubtful,
            _ => Tone::Plain,
        },
        _ => Tone::Plain,
    }
}

/// Gives every column its width; takes out those without room and returns their headings.
fn fit(columns: &mut Vec<GridColumn>, width: Option<u16>) -> Vec<&'static str> {
    columns.retain(|column| !column.is_empty || column.rank().is_none_or(|rank| rank < RARE));
    let Some(width) = width.map(u32::from) else {
        for column in columns {
            column.width = column.natural;
        }
        return Vec::new();
    };
    let mut left_out = Vec::new();
    let needed = |columns: &[GridColumn]| {
        let gaps = u32::from(GAP) * u32::try_from(columns.len().saturating_sub(1)).unwrap_or(u32::MAX);
        columns.iter().map(|column| u32::from(column.width)).sum::<u32>().saturating_add(gaps)
    };
    for column in columns.iter_mut() {
        column.width = column.least();
    }
    // A column without a single value tells the reader nothing, and nobody misses it.
    let in_full = |columns: &[GridColumn]| {
        let more = |column: &GridColumn| u32::from(column.natural.saturating_sub(column.width));
        needed(columns).saturating_add(columns.iter().map(more).sum())
    };
    while in_full(columns) > width {
        let is_idle = |column: &GridColumn| column.is_empty && matches!(column.spec.show, Show::Spare(..));
        match columns.iter().rposition(is_idle) {
            Some(at) => columns.remove(at),
            None => break,
        };
    }
    // Then the least important ones: all that is needed, and of the mere extras all that would cut the rest.
    let wanted = |columns: &[GridColumn]| {
        let more = |column: &GridColumn| match column.rank() {
            Some(EXTRA..) => 0,
            _ => u32::from(column.natural.min(READABLE).saturating_sub(column.width)),
        };
        needed(columns).saturating_add(columns.iter().map(more).sum())
    };
    loop {
        let least = columns.iter().enumerate().filter_map(|(at, column)| Some((column.rank()?, at))).max();
        let Some((rank, at)) = least else { break };
        if needed(columns) <= width && (rank < EXTRA || wanted(columns) <= width) {
            break;
        }
        left_out.insert(0, columns.remove(at).spec.title);
    }
    // A very narrow terminal: even what should stay whole is cut, the widest text first.
    while needed(columns) > width {
        let text = |column: &&mut GridColumn| !column.spec.kind.is_number() && column.width > 4;
        match columns.iter_mut().filter(text).max_by_key(|column| column.width) {
            Some(column) => column.width -= 1,
            None => break,
        }
    }
    let mut room = width.saturating_sub(needed(columns));
    while room > 0 {
        let wants = |column: &&mut GridColumn| column.width < column.natural;
        match columns.iter_mut().filter(wants).min_by_key(|column| column.width) {
            Some(column) => column.width += 1,
            None => break,
        }
        room -= 1;
    }
    left_out
}

impl GridColumn {
    /// Its rank among the columns that may be left out; absent: it stays.
    const fn rank(&self) -> Option<u8> {
        match self.spec.show {
            Show::Spare(rank, _) => Some(rank),
            _ => None,
        }
    }

    /// The fewest cells with which the column is still of use.
    fn least(&self) -> u16 {
        let cut = match self.spec.show {
            Show::Whole | Show::Never | Show::Spare(_, 0) => self.natural,
            Show::Cut(cells) | Show::Spare(_, cells) => cells.max(cells_of(self.spec.title)),
        };
        cut.min(self.natural)
    }
}

/// The display cells of a text.
pub fn cells_of(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// Cuts a text to `width` cells at a character, with an ellipsis in the last cell.
pub fn cut(text: &str, width: u16) -> String {
    if cells_of(text) <= width {
        return text.to_owned();
    }
    let room = usize::from(width.saturating_sub(1));
    let mut out = String::new();
    let mut cells = 0;
    for character in text.graphemes(true) {
        cells += character.width();
        if cells > room {
            break;
        }
        out.push_str(character);
    }
    // Some sequences are wider together than one by one.
    while out.width() > room {
        out.pop();
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// Breaks a line between words so that each part fits `width`; a longer word stands alone.
pub(super) fn wrap(line: &str, width: Option<u16>) -> Vec<String> {
    let width = usize::from(width.unwrap_or(u16::MAX));
    let mut parts = vec![String::new()];
    for word in line.split(' ') {
        let Some(last) = parts.last_mut() else { break };
        if last.is_empty() || last.width() + 1 + word.width() <= width {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        } else {
            parts.push(format!("  {word}"));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_by_cells() {
        let cases = [
            ("plain", 5, "plain"),
            ("plainer", 5, "plai…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("x", 0, ""),
            ("ab", 1, "…"),
        ];
        for (text, width, want) in cases {
            assert_eq!(cut(text, width), want, "{text:?} in {width}");
            assert!(cells_of(&cut(text, width)) <= width);
        }
    }

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrap("aa bb cc", Some(5)), ["aa bb", "  cc"]);
        assert_eq!(wrap("aaaaaaaa b", Some(4)), ["aaaaaaaa", "  b"]);
        assert_eq!(wrap("aa bb", None), ["aa bb"]);
    }

    mod properties {
        use super::*;
        use crate::render::{Column, Head, Kind};
        use proptest::prelude::*;

        /// A text, a list, a count: what may be cut, what may go, what stays.
        static COLUMNS: &[Column<(String, String, u64)>] = &[
            Column::new("a", "text", Kind::Text, Show::Cut(8), "", |row| Value::text(Some(&row.0))),
            Column::new("b", "more", Kind::Text, Show::Spare(1, 6), "", |row| Value::text(Some(&row.1))),
            Column::new("c", "count", Kind::Count(""), Show::Whole, "", |row| Value::Count(row.2)),
        ];

        proptest! {
            /// Whatever stands in the cells: no line is wider than asked, and every number ends in one cell.
            #[test]
            fn any_text_fits(
                rows in prop::collection::vec((any::<String>(), "\\PC{0,40}", any::<u64>()), 1..6),
                width in 40_u16..160,
            ) {
                let sheet = Sheet::of_rows(Head { is_timeless: true, ..Head::default() }, COLUMNS, &rows);
                let options = TableOptions { width: Some(width), color: false, zone: TimeZone::UTC };
                let mut out = Vec::new();
                write(&sheet, &options, &mut out).unwrap();
                let text = String::from_utf8(out).unwrap();
                let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with('─')).skip(1).collect();
                prop_assert!(lines.len() >= rows.len());
                let cells: Vec<u16> = lines.iter().take(rows.len()).map(|line| cells_of(line)).collect();
                prop_assert!(cells.iter().all(|line| *line <= width && line == &cells[0]), "{:?} {}", cells, text);
            }
        }
    }
}
