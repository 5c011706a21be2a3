//! `db stats`, `db verify` and `db reprocess`; the others stand in `upkeep`.

use std::borrow::Cow;
use std::io::Write;

use jiff::tz::TimeZone;

use crate::classify::MessageKind;
use crate::cli::args::{DbCommand, ReprocessArguments};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::cli::report::KINDS;
use crate::cli::{period, upkeep};
use crate::render::{Column, Head, Kind, Sheet, Show, Value};
use crate::store::{MessageStatus, ReprocessFilter, StoreStats, TableStats, Verification};

/// The columns of `db stats`.
pub static STATS: &[Column<TableStats>] = &[
    Column::new("table", "table", Kind::Text, Show::Whole, "The table.", |row| {
        Value::Text(Cow::Borrowed(&row.name))
    }),
    Column::new("rows", "rows", Kind::Count("rows"), Show::Whole, "Its rows.", |row| Value::Count(row.rows)),
];

/// The columns of `db verify`.
pub static DIFFERENCES: &[Column<String>] = &[Column::new(
    "difference",
    "difference",
    Kind::Text,
    Show::Cut(20),
    "What was found and what it should be.",
    |row| Value::Text(Cow::Borrowed(row)),
)];

/// The totals of `db stats`.
pub static STATS_TOTALS: &[Column<StoreStats>] = &[
    Column::total("schema_version", Kind::Count("version"), "The version of the schema.", |stats| {
        Value::Integer(stats.schema_version)
    }),
    Column::total("database_bytes", Kind::Count("bytes"), "The database file.", |stats| {
        Value::Count(stats.database_bytes)
    }),
    Column::total("wal_bytes", Kind::Count("bytes"), "Its write-ahead log.", |stats| {
        Value::Count(stats.wal_bytes)
    }),
    Column::total("spool_bytes", Kind::Count("bytes"), "Mails in spool files beside it.", |stats| {
        Value::Count(stats.spool_bytes)
    }),
    Column::total("free_bytes", Kind::Count("bytes"), "Of the database file: free for new rows.", |stats| {
        Value::Count(stats.free_bytes)
    }),
];

/// The totals of `db verify`.
pub static VERIFY_TOTALS: &[Column<Verification>] = &[
    Column::total("reports", Kind::Count("reports"), "Reports looked at.", |found| {
        Value::Count(found.reports)
    }),
    Column::total("records", Kind::Count("records"), "Records looked at.", |found| {
        Value::Count(found.records)
    }),
    Column::total("rollup_rows", Kind::Count("rows"), "Rows of roll-ups compared.", |found| {
        Value::Count(found.rollup_rows)
    }),
    Column::total("probes", Kind::Count("probes"), "Probes judged anew.", |found| Value::Count(found.probes)),
    Column::total("differences", Kind::Count("differences"), "Differences found.", |found| {
        Value::Count(u64::try_from(found.differences.len()).unwrap_or(u64::MAX))
    }),
];

/// Runs the command.
pub fn run(context: &Context, command: &DbCommand, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        DbCommand::Stats => stats(context, out),
        DbCommand::Verify => verify(context, out),
        DbCommand::Reprocess(arguments) => reprocess(context, arguments, out),
        DbCommand::Prune => upkeep::prune(context, out),
        DbCommand::Erase(arguments) => upkeep::erase(context, arguments, out),
        DbCommand::Backup(arguments) => upkeep::backup(context, arguments, out),
        DbCommand::Export(arguments) => upkeep::export(context, arguments, out),
    }
}

/// Sizes and rows.
fn stats(context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let stats = context.open_reader()?.stats()?;
    let head = Head { view: "stats", title: "Store", is_timeless: true, ..Head::default() };
    let sheet = Sheet::of_rows(head, STATS, &stats.tables).with_totals(STATS_TOTALS, &stats);
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::Fine)
}

/// Recounts everything.
fn verify(context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let found = context.open_reader()?.verify()?;
    let head =
        Head { view: "verify", title: "Recount from the raw rows", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, DIFFERENCES, &found.differences).with_totals(VERIFY_TOTALS, &found);
    if found.differences.is_empty() {
        sheet.notes.push("every sum agrees with the raw rows".to_owned());
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::findings_if(!found.differences.is_empty()))
}

/// Makes mails pending and reads them.
fn reprocess(
    context: &Context,
    arguments: &ReprocessArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let (since, until) = (arguments.since.as_deref(), arguments.until.as_deref());
    let asked = period::asked(since, until, &TimeZone::UTC, context.now)?;
    let status = arguments.status.as_deref().map(|text| {
        let words = || MessageStatus::ALL.iter().map(|status| status.as_str());
        MessageStatus::parse(text).ok_or_else(|| unknown_word("--status", text, words()))
    });
    let kind = arguments.kind.as_deref().map(|text| {
        let words = || KINDS.iter().map(|kind| kind.as_str());
        MessageKind::parse(text).ok_or_else(|| unknown_word("--kind", text, words()))
    });
    let filter = ReprocessFilter {
        ids: None,
        status: status.transpose()?,
        kind: kind.transpose()?,
        older_than_parser: None,
        since_ms: asked.period.since_ms,
        until_ms: asked.period.until_ms,
    };
    let (_, store) = context.open_store()?;
    let marked = store.reprocess(&filter)?;
    let read = Context::read_pending(&store)?;
    store.close();
    writeln!(out, "{marked} mails to be read again, {read} read")?;
    out.flush()?;
    Ok(Exit::Fine)
}
