//! Where answers go: the format, the width and the colour that a user asked for.

use std::io::{self, IsTerminal as _, Write};

use jiff::tz::TimeZone;

use crate::cli::args::{ColorChoice, Format, GlobalArguments};
use crate::render::table::TableOptions;
use crate::render::{self, Sheet, escape};

/// How answers are printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The format.
    pub format: Format,
    /// Cells of a line; absent: no limit.
    pub width: Option<u16>,
    /// True for colour in tables.
    pub color: bool,
    /// True if remarks and progress are not wanted.
    pub is_quiet: bool,
}

impl Output {
    /// Decides from the arguments, the environment and what standard output is.
    pub fn of(arguments: &GlobalArguments) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = match arguments.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !is_set("NO_COLOR") && !is_dumb,
        };
        Self { format: arguments.format, width: width(is_terminal), color, is_quiet: arguments.quiet }
    }

    /// Prints one answer. Instants of tables stand in `zone`; notes that the format has no place for go to
    /// standard error.
    ///
    /// Errors: those of the writer.
    pub fn print(&self, sheet: &Sheet<'_>, zone: &TimeZone, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            // `setup` writes its own zone lines, and every other command refuses the format.
            Format::Table | Format::Zone => {
                let options = TableOptions { width: self.width, color: self.color, zone: zone.clone() };
                render::table::write(sheet, &options, out)?;
            }
            Format::Json => render::json::write(sheet, out)?,
            Format::Ndjson => render::json::write_lines(sheet, out)?,
            Format::Csv => render::csv::write(sheet, out)?,
            Format::Markdown => render::markdown::write(sheet, zone, out)?,
            Format::Html => render::html::write(sheet, zone, out)?,
        }
        out.flush()?;
        if matches!(self.format, Format::Ndjson | Format::Csv) {
            for note in &sheet.notes {
                self.remark(note);
            }
        }
        Ok(())
    }

    /// Says something that is not data, on standard error.
    pub fn remark(&self, text: &str) {
        if !self.is_quiet {
            // With standard error closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "note: {}", escape::terminal(text));
        }
    }
}

/// The width of tables: COLUMNS, else that of the terminal, else no limit.
fn width(is_terminal: bool) -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse::<u16>().ok());
    let columns = columns.filter(|columns| *columns > 0);
    columns.or_else(|| {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|_| is_terminal)?;
        (size.ws_col > 0).then_some(size.ws_col)
    })
}
