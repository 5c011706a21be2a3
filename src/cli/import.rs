//! `import PATH…`: finds the mails and report files below the paths and reads them one after the other.
//!
//! What an item is, is decided by its content. A file or folder that cannot be read is named with its reason
//! and the import goes on. Memory: one item at a time, large ones stay on disk.

pub mod follow;
pub mod mbox;
pub mod rows;
pub mod tar;
pub mod walk;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};

use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;

use crate::classify::is_mail;
use crate::cli::args::{Format, ImportArguments};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::import::rows::{ImportRow, ImportTotals};
use crate::clock;
use crate::daemon::ingest::{self, Came, Import};
use crate::daemon::{keys, source_names};
use crate::limits;
use crate::probe::token::KeyRing;
use crate::render::{self, Head, Sheet, escape};
use crate::reports::sniff;
use crate::smtp::tls::KEY_FILE;
use crate::store::{Outcome, Store, StoreError};

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

/// An item that was read and whose commit may still be awaited.
#[derive(Debug)]
pub enum Pending {
    /// The result is known.
    Known(FileResult),
    /// The result comes when the store has committed it.
    Awaited {
        /// Where it comes.
        result: Receiver<Result<FileResult, StoreError>>,
        /// Bytes of the item, which wait in memory too.
        bytes: usize,
    },
}

/// Reads one item into the store. Errors end the import: the store itself failed.
pub type ReadItem<'r> = dyn FnMut(Item) -> Result<Pending, Failure> + 'r;

/// Items whose commit is awaited at once: enough for large commits, little memory.
const AWAITED_ITEMS: usize = 128;
/// Bytes of items whose commit is awaited at once.
const AWAITED_BYTES: usize = 8 * 1024 * 1024;

/// Walks the paths, reads every item, prints a line each in order and a total.
///
/// Findings if any item is unread. Errors: a store that fails, a writer that fails.
pub fn import(
    context: &Context,
    arguments: &ImportArguments,
    read: &mut ReadItem<'_>,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let progress = Progress::start(context);
    let mut printer = Printer {
        context,
        progress,
        out,
        rows: Vec::new(),
        totals: ImportTotals::default(),
        is_open: true,
        is_followed: arguments.follow,
    };
    let mut queue = Queue::default();
    if arguments.follow {
        follow::run(&arguments.paths, &mut |found| {
            match found {
                Some(found) => take(found, &mut queue, &mut printer, read)?,
                // Nothing more for now: what is awaited is printed.
                None => queue.drain(0, 0, &mut printer)?,
            }
            Ok(())
        })?;
    } else {
        for path in &arguments.paths {
            walk::each_item(path, &mut |found| take(found, &mut queue, &mut printer, read))?;
        }
    }
    queue.drain(0, 0, &mut printer)?;
    printer.finish()
}

/// Reads what was found and prints what is known by now.
fn take(
    found: walk::Found,
    queue: &mut Queue,
    printer: &mut Printer<'_>,
    read: &mut ReadItem<'_>,
) -> Result<(), Failure> {
    let (name, pending) = match found {
        walk::Found::Item(item) => {
            let name = item.name.clone();
            printer.progress.begin(&name);
            (name, read(item)?)
        }
        walk::Found::Unreadable { name, reason } => (name, Pending::Known(FileResult::unread(reason))),
    };
    queue.push(name, pending);
    queue.drain(AWAITED_ITEMS, AWAITED_BYTES, printer)
}

/// Results that come in the order of the items, whatever the store is waited for.
#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<(String, Pending)>,
    bytes: usize,
}

impl Queue {
    /// Adds an item.
    fn push(&mut self, name: String, pending: Pending) {
        if let Pending::Awaited { bytes, .. } = &pending {
            self.bytes += bytes;
        }
        self.items.push_back((name, pending));
    }

    /// Prints results from the front until few enough are awaited; those that are known at once.
    fn drain(&mut self, items: usize, bytes: usize, printer: &mut Printer<'_>) -> Result<(), Failure> {
        while let Some((_, pending)) = self.items.front() {
            let is_known = matches!(pending, Pending::Known(_));
            if !is_known && self.items.len() <= items && self.bytes <= bytes {
                break;
            }
            let Some((name, pending)) = self.items.pop_front() else { break };
            let result = match pending {
                Pending::Known(result) => result,
                Pending::Awaited { result, bytes } => {
                    self.bytes -= bytes;
                    result.recv().map_err(|_| Failure::run("the store ended before it answered"))??
                }
            };
            printer.add(name, result)?;
        }
        Ok(())
    }
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
    /// True if what comes later is read too.
    is_followed: bool,
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
        } else if self.is_followed {
            // Nobody waits for the end: a line each.
            let head = Head { view: "import", title: "Import", is_timeless: true, ..Head::default() };
            let rows = [row];
            let mut line = Vec::new();
            render::json::write_lines(&Sheet::of_rows(head, rows::COLUMNS, &rows), &mut line)?;
            self.print(String::from_utf8_lossy(&line).trim_end())
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
pub fn run(context: &Context, arguments: &ImportArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    if arguments.follow {
        if arguments.paths.iter().any(|path| path.as_os_str() == "-") {
            return Err(Failure::usage(
                "standard input has one end only",
                "name files and folders to follow",
            ));
        }
        if !matches!(context.output.format, Format::Table | Format::Ndjson) {
            let hint = "use `--format ndjson`, a line each";
            return Err(Failure::usage("--follow has no end after which this format could be printed", hint));
        }
    }
    let (_, store) = context.open_store()?;
    let keys = keys::load_or_create(store.path())?;
    let exit = import(context, arguments, &mut |item| read_item(&store, &keys, item), out);
    if arguments.resolve && exit.is_ok() {
        name_sources(context, &store)?;
    }
    store.close();
    exit
}

/// Looks up the names of sources until all are looked up, or the rounds are used up.
fn name_sources(context: &Context, store: &Store) -> Result<(), Failure> {
    let dns = context.dns()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    store.flush()?;
    runtime.block_on(async {
        for _ in 0..limits::SOURCE_NAME_ROUNDS {
            if source_names::round(store, &*dns.resolver, clock::Day(i32::MIN)).await? == 0 {
                break;
            }
        }
        Ok(())
    })
}

/// Reads one item and hands it to the store.
fn read_item(store: &Store, keys: &KeyRing, item: Item) -> Result<Pending, Failure> {
    let (bytes, is_packed) = match item.content {
        Content::Bytes(bytes) => (bytes, false),
        Content::File(path) if is_own(store.path(), &path) => {
            let reason = "a file of the store itself, passed over".to_owned();
            return Ok(Pending::Known(FileResult {
                kind: Some("other".to_owned()),
                status: "kept".to_owned(),
                reason: Some(reason),
                ..FileResult::default()
            }));
        }
        Content::File(path) => match read_file(&path) {
            Ok(read) => read,
            Err(reason) => return Ok(Pending::Known(FileResult::unread(reason))),
        },
        Content::Temporary(file) => match read_file(file.path()) {
            Ok(read) => read,
            Err(reason) => return Ok(Pending::Known(FileResult::unread(reason))),
        },
    };
    let size = bytes.len();
    let (sender, result) = mpsc::channel();
    // The name says what is kept.
    let name = if is_packed { format!("{}.gz", item.name) } else { item.name };
    let name = Some(name.as_str()).filter(|name| !is_mail(name, &bytes));
    let done = Box::new(move |imported: Result<Import, StoreError>| {
        // The receiver is gone only if the import was given up.
        let _ = sender.send(imported.map(file_result));
    });
    ingest::import(store, keys, Came::Import(name), bytes, clock::now(), done)?;
    Ok(Pending::Awaited { result, bytes: size })
}

/// True for the database, its logs and spool, and the keys beside it: `import .` in their folder must not put a
/// secret into a table.
fn is_own(database: &Path, path: &Path) -> bool {
    let (Ok(database), Ok(path)) = (database.canonicalize(), path.canonicalize()) else { return false };
    let begins_like =
        path.as_os_str().as_encoded_bytes().starts_with(database.as_os_str().as_encoded_bytes());
    let beside = [keys::key_path(&database), database.with_file_name(KEY_FILE)];
    begins_like || beside.contains(&path)
}

/// Reads a file whole, up to the cap; long plain XML and JSON is packed on the way, so that memory holds a thirtieth
/// of it: true then. Errors: the reason in words.
fn read_file(path: &Path) -> Result<(Vec<u8>, bool), String> {
    let words = |error: io::Error| error.to_string();
    let file = File::open(path).map_err(words)?;
    let mut bytes = Vec::new();
    let cap = limits::IMPORT_FILE_BYTES;
    let is_long = file.metadata().map_err(words)?.len() > limits::IMPORT_PLAIN_BYTES;
    (&file).take(sniff::SNIFF_BYTES as u64).read_to_end(&mut bytes).map_err(words)?;
    let is_plain = matches!(sniff::sniff(&bytes), sniff::Content::Xml | sniff::Content::TlsJson);
    if is_long && is_plain {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        // One byte more than may be unpacked: the reader then refuses it with the reason.
        let mut whole = bytes.as_slice().chain(file).take(limits::UNPACKED_BYTES + 1);
        io::copy(&mut whole, &mut packed).map_err(words)?;
        bytes = packed.finish().map_err(words)?;
    } else {
        file.take(cap + 1).read_to_end(&mut bytes).map_err(words)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > cap {
        return Err(format!("too large: over {} MiB", cap >> 20));
    }
    Ok((bytes, is_long && is_plain))
}

/// What is printed of an imported item.
fn file_result(imported: Import) -> FileResult {
    let mut result = FileResult {
        kind: Some(imported.kind.as_str().to_owned()),
        status: imported.finished.status.as_str().to_owned(),
        reason: imported.finished.reason,
        deviations: imported.deviations,
        ..FileResult::default()
    };
    for (outcome, (records, messages)) in imported.finished.reports.iter().zip(imported.sums) {
        if matches!(outcome, Outcome::Counted | Outcome::Conflicting { counts: true }) {
            result.reports += 1;
            result.records += records;
            result.messages += messages;
        }
    }
    result
}
