//! A Markdown table (GitHub flavour), for tickets and wikis.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use crate::render::escape;
use crate::render::sheet::Sheet;

/// Writes the title, the period, the table with a line of totals, and the notes.
///
/// Instants stand in `zone`. Errors: those of the writer.
pub fn write(sheet: &Sheet<'_>, zone: &TimeZone, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## {}\n", escape::markdown(sheet.head.title))?;
    for line in sheet.head_lines(zone) {
        writeln!(out, "{}\n", escape::markdown(&line))?;
    }
    let shown = sheet.shown_columns();
    write!(out, "|")?;
    for &at in &shown {
        write!(out, " {} |", sheet.columns.get(at).map_or("", |column| column.title))?;
    }
    write!(out, "\n|")?;
    for &at in &shown {
        let right = sheet.columns.get(at).is_some_and(|column| column.kind.is_number());
        write!(out, "{}", if right { " ---: |" } else { " --- |" })?;
    }
    writeln!(out)?;
    for row in sheet.rows() {
        write!(out, "|")?;
        for &at in &shown {
            let text = row.get(at).map(|value| value.for_eyes(zone)).unwrap_or_default();
            write!(out, " {} |", escape::markdown(&text))?;
        }
        writeln!(out)?;
    }
    if let Some(cells) = sheet.total_cells(&shown, zone) {
        write!(out, "|")?;
        for text in cells {
            let bold =
                if text.is_empty() { String::new() } else { format!("**{}**", escape::markdown(&text)) };
            write!(out, " {bold} |")?;
        }
        writeln!(out)?;
    }
    for line in sheet.other_totals(&shown, zone).into_iter().chain(sheet.notes.iter().cloned()) {
        writeln!(out, "\n{}", escape::markdown(&line))?;
    }
    Ok(())
}
