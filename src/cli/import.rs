//! `import PATH…`: finds the mails and report files below the paths and reads them one after the other.
//!
//! What an item is, is decided by its content. A file or folder that cannot be read is named with its reason
//! and the import goes on. Memory: one item at a time, large ones stay on disk.

pub mod mbox;
pub mod rows;
pub mod tar;
pub mod walk;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;

use crate::cli::args::{Format, ImportArguments};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::import::rows::{ImportRow, ImportTotals};
use crate::render::{Head, Sheet, escape};

/// One mail or report file.
#[derive(Debug)]
pub struct Item {
    /// Its name for people: the path, `mailbox.mbox#3`, `archive.tar.gz/report.xml`, `-`.
    pub name: String,
    /// Its bytes.
    pub content: Content,
}

/// Where the bytes of an item are.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file of the user's, which stays as it is.
    File(PathBuf),
    /// In a temporary file, removed when dropped.
    Temporary(tempfile::NamedTempFile),
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileResult {
    /// `aggregate`, `failure`, `tls`, `bounce`, `probe`, `reply`, `other`; absent if it could not be told.
    pub kind: Option<String>,
    /// `read`, `duplicate`, `unread` or `kept`.
    pub status: String,
    /// Why it has this status.
    pub reason: Option<String>,
    /// Names of deviations.
    pub deviations: Vec<String>,
    /// Aggregate reports that count now.
    pub reports: u64,
    /// Records of them.
    pub records: u64,
    /// Messages of them, as reported.
    pub messages: u64,
}

impl FileResult {
    /// An item that could not be read.
    pub fn unread(reason: impl Into<String>) -> Self {
        Self { status: "unread".to_owned(), reason: Some(reason.into()), ..Self::default() }
    }
}

/// Reads one item into the store. Errors end the import: the store itself failed.
pub type ReadItem<'r> = dyn FnMut(Item) -> Result<FileResult, Failure> + 'r;

/// Walks the paths, reads every item, prints a line each and a total.
///
/// Findings if any item is unread. Errors: a store that fails, a writer that fails.
pub fn import(
    context: &Context,
    arguments: &ImportArguments,
    read: &mut ReadItem<'_>,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let progress = Progress::start(context);
    let mut printer =
        Printer { context, progress, out, rows: Vec::new(), totals: ImportTotals::default(), is_open: true };
    for path in &arguments.paths {
        walk::each_item(path, &mut |found| {
            let (name, result) = match found {
                walk::Found::Item(item) => {
                    let name = item.name.clone();
                    printer.progress.begin(&name);
                    (name, read(item)?)
                }
                walk::Found::Unreadable { name, reason } => (name, FileResult::unread(reason)),
            };
            printer.add(name, result)
        })?;
    }
    printer.finish()
}

/// Prints the results.
struct Printer<'p> {
    /// The run.
    context: &'p Context,
    /// The bar on standard error.
    progress: Progress,
    /// Where the results go.
    out: &'p mut dyn Write,
    /// The results, for formats that print them at the end.
    rows: Vec<ImportRow>,
    /// Their sums.
    totals: ImportTotals,
    /// False once the reader of the output is gone: the import itself goes on.
    is_open: bool,
}

impl Printer<'_> {
    /// Takes the result of one item.
    fn add(&mut self, name: String, result: FileResult) -> Result<(), Failure> {
        self.totals.add(&result);
        let row = ImportRow { path: name, result };
        self.progress.count(&self.totals);
        if self.context.output.format == Format::Table {
            let line = escape::terminal(&row.line()).into_owned();
            self.print(&line)
        } else {
            self.rows.push(row);
            Ok(())
        }
    }

    /// Prints one line above the bar.
    fn print(&mut self, line: &str) -> Result<(), Failure> {
        if !self.is_open {
            return Ok(());
        }
        let out = &mut self.out;
        let written = self.progress.bar.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()));
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_open = false;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Prints the total, or everything.
    fn finish(mut self) -> Result<Exit, Failure> {
        self.progress.bar.finish_and_clear();
        let found = Exit::findings_if(self.totals.unread > 0);
        if self.context.output.format == Format::Table {
            let line = self.totals.line();
            self.print(&line)?;
            return Ok(found);
        }
        let head = Head { view: "import", title: "Import", is_timeless: true, ..Head::default() };
        let sheet = Sheet::of_rows(head, rows::COLUMNS, &self.rows).with_totals(rows::TOTALS, &self.totals);
        match self.context.output.print(&sheet, &TimeZone::UTC, self.out) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(found),
        }
    }
}

/// The bar on standard error, if that is a terminal.
struct Progress {
    /// The bar; hidden where there is no terminal.
    bar: ProgressBar,
}

impl Progress {
    /// Shows the bar.
    fn start(context: &Context) -> Self {
        let is_shown = io::stderr().is_terminal() && !context.output.is_quiet;
        let target =
            if is_shown { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {elapsed} {pos} read ({per_sec}) {wide_msg}")
        {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Names the item that is read now.
    fn begin(&self, name: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(escape::terminal(name).into_owned());
        }
    }

    /// Counts one item.
    fn count(&self, totals: &ImportTotals) {
        self.bar.set_position(totals.files);
    }
}

/// Runs the command.
pub fn run(_context: &Context, _arguments: &ImportArguments, _out: &mut dyn Write) -> Result<Exit, Failure> {
    Err(Failure::run("not wired yet"))
}
