//! `db prune`, `db erase`, `db backup` and `db export`: keeping, giving back, handing on.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write};

use jiff::tz::TimeZone;

use crate::cli::args::{BackupArguments, EraseArguments, ExportArguments, FilterArguments, Format, View};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::{Question, read_domain};
use crate::config::places::places;
use crate::config::senders::senders;
use crate::daemon::keys;
use crate::mail::Address;
use crate::render::{Column, Head, Kind, Sheet, Show, Value, export};
use crate::store::{BackupReport, ErasePlan, EraseTarget, Pruned};

/// The columns of `db prune`.
pub static PRUNED: &[Column<Pruned>] = &[
    Column::new(
        "raws",
        "bytes of",
        Kind::Count("mails"),
        Show::Whole,
        "Mails whose bytes were removed.",
        |row| Value::Count(row.raws),
    ),
    Column::new(
        "pseudonyms",
        "hashed",
        Kind::Count("mails"),
        Show::Whole,
        "Mails whose local parts and subject were replaced by keyed hashes.",
        |row| Value::Count(row.pseudonyms),
    ),
    Column::new(
        "reports",
        "reports",
        Kind::Count("reports"),
        Show::Whole,
        "Reports whose rows were removed; their sums stay.",
        |row| Value::Count(row.reports),
    ),
    Column::new("records", "rows", Kind::Count("records"), Show::Whole, "Their rows.", |row| {
        Value::Count(row.records)
    }),
    Column::new(
        "other_reports",
        "other",
        Kind::Count("reports"),
        Show::Whole,
        "TLS reports, failure reports and complaints removed.",
        |row| Value::Count(row.other_reports),
    ),
    Column::new(
        "messages",
        "mails",
        Kind::Count("mails"),
        Show::Whole,
        "Mails of which nothing is kept any more.",
        |row| Value::Count(row.messages),
    ),
    Column::new("probes", "probes", Kind::Count("probes"), Show::Whole, "Probes.", |row| {
        Value::Count(row.probes)
    }),
    Column::new(
        "dns",
        "dns",
        Kind::Count("events"),
        Show::Whole,
        "What happened in DNS, and findings that are gone; what is known of each record stays.",
        |row| Value::Count(row.dns),
    ),
    Column::new(
        "returned_bytes",
        "bytes returned",
        Kind::Count("bytes"),
        Show::Whole,
        "By which the database file and its log became smaller.",
        |row| Value::Count(row.returned_bytes),
    ),
    Column::new(
        "is_postponed",
        "postponed",
        Kind::Flag,
        Show::Spare(1, 0),
        "True if bytes were kept because too many mails wait to be read.",
        |row| Value::Flag(row.is_postponed),
    ),
    Column::new(
        "lookups",
        "look-ups",
        Kind::Count("rows"),
        Show::Spare(2, 0),
        "Names, reporters and lists of results to which nothing refers any more.",
        |row| Value::Count(row.lookups),
    ),
];

/// What `db erase` found, and whether it is gone.
pub struct EraseRow {
    plan: ErasePlan,
    is_done: bool,
}

/// A length as a count.
fn len<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// The columns of `db erase`.
pub static ERASED: &[Column<EraseRow>] = &[
    Column::new(
        "messages",
        "mails",
        Kind::Count("mails"),
        Show::Whole,
        "Mails, each with everything read from it.",
        |row| Value::Count(len(&row.plan.messages)),
    ),
    Column::new(
        "raws",
        "bytes of",
        Kind::Count("mails"),
        Show::Whole,
        "Mails that also brought something for others, and reports that only name the mailbox: only their bytes go.",
        |row| Value::Count(len(&row.plan.bytes_of)),
    ),
    Column::new(
        "reports",
        "reports",
        Kind::Count("reports"),
        Show::Whole,
        "Aggregate reports in these.",
        |row| Value::Count(row.plan.reports),
    ),
    Column::new("records", "rows", Kind::Count("records"), Show::Whole, "Their rows.", |row| {
        Value::Count(row.plan.records)
    }),
    Column::new("tls_reports", "tls", Kind::Count("reports"), Show::Whole, "TLS reports in these.", |row| {
        Value::Count(row.plan.tls_reports)
    }),
    Column::new(
        "failure_reports",
        "failures",
        Kind::Count("reports"),
        Show::Whole,
        "Failure reports and complaints in these.",
        |row| Value::Count(row.plan.failure_reports),
    ),
    Column::new(
        "bounces",
        "bounces",
        Kind::Count("recipients"),
        Show::Whole,
        "Recipients of bounces and other notices in these.",
        |row| Value::Count(row.plan.bounces),
    ),
    Column::new(
        "texts",
        "texts",
        Kind::Count("rows"),
        Show::Whole,
        "Rows of others that name the mailbox: the name is replaced, the counts stay.",
        |row| Value::Count(row.plan.texts.len() as u64),
    ),
    Column::new("probes", "probes", Kind::Count("probes"), Show::Whole, "Probes.", |row| {
        Value::Count(len(&row.plan.probes))
    }),
    Column::new(
        "mailboxes",
        "accounts",
        Kind::Count("accounts"),
        Show::Whole,
        "Mailboxes elsewhere named like it: how far they were read is forgotten.",
        |row| Value::Count(len(&row.plan.mailboxes)),
    ),
    Column::new(
        "domains",
        "domains",
        Kind::List,
        Show::Cut(12),
        "Policy domains of which all reports and sums go.",
        |row| Value::list(&row.plan.domains),
    ),
    Column::new("is_done", "done", Kind::Flag, Show::Whole, "False for a dry run.", |row| {
        Value::Flag(row.is_done)
    }),
];

/// What `db backup` wrote.
pub struct BackupRow {
    file: String,
    report: BackupReport,
}

/// The columns of `db backup`.
pub static BACKUP: &[Column<BackupRow>] = &[
    Column::new("file", "file", Kind::Text, Show::Cut(20), "The copy.", |row| {
        Value::Text(Cow::Borrowed(&row.file))
    }),
    Column::new("bytes", "bytes", Kind::Count("bytes"), Show::Whole, "Its size.", |row| {
        Value::Count(row.report.bytes)
    }),
    Column::new(
        "absorbed",
        "absorbed",
        Kind::Count("mails"),
        Show::Whole,
        "Large mails moved from their files into the database first.",
        |row| Value::Count(row.report.absorbed),
    ),
    Column::new(
        "without_bytes",
        "without bytes",
        Kind::Count("mails"),
        Show::Whole,
        "Large mails that came so late that they stand in the copy without their bytes.",
        |row| Value::Count(row.report.without_bytes),
    ),
];

/// Removes what is older than the configuration says.
pub fn prune(context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let (settings, store) = context.open_store()?;
    let keys = keys::load_or_create(store.path())?;
    let pruned = [store.prune(&settings.retention.for_store(), &keys, context.now, &|| false)?];
    store.close();
    let head = Head { view: "prune", title: "Removed for its age", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, PRUNED, &pruned);
    if pruned.iter().any(|pruned| pruned.is_postponed) {
        sheet.notes.push("many mails wait to be read: their bytes are looked at the next time".to_owned());
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::Fine)
}

/// Looks up what belongs to a mailbox or a domain, and with `--yes` removes it.
pub fn erase(context: &Context, arguments: &EraseArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let target = match (&arguments.address, &arguments.domain) {
        (Some(text), _) => {
            let address = Address::parse(text).filter(|address| address.domain.is_some());
            EraseTarget::Address(address.ok_or_else(|| {
                Failure::usage(
                    format!("no mail address: {text:?}"),
                    "write an address such as jane@example.com",
                )
            })?)
        }
        (None, Some(text)) => EraseTarget::Domain(read_domain(text)?),
        (None, None) => {
            return Err(Failure::usage("whose data?", "write --address ADDRESS or --domain DOMAIN"));
        }
    };
    // Nothing is made where there is nothing.
    let path = context.open_reader()?;
    drop(path);
    let (_, store) = context.open_store()?;
    let keys = keys::load_or_create(store.path())?;
    let plan = store.reader()?.erase_plan(&target, &keys)?;
    if arguments.yes {
        store.erase(&plan)?;
    }
    store.close();
    let rows = [EraseRow { plan, is_done: arguments.yes }];
    let title = if arguments.yes { "Erased" } else { "Would be erased" };
    let head = Head { view: "erase", title, is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, ERASED, &rows);
    if !arguments.yes {
        sheet.notes.push(
            "nothing was removed; with --yes it is, for good. Backups are yours to look after".to_owned(),
        );
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::Fine)
}

/// Copies the store into one new file.
pub fn backup(context: &Context, arguments: &BackupArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    drop(context.open_reader()?);
    let (_, store) = context.open_store()?;
    let is_shown = std::io::stderr().is_terminal() && !context.output.is_quiet;
    let bar = indicatif::ProgressBar::hidden();
    if is_shown {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    let report = store.backup(&arguments.file, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    store.close();
    let late = report.without_bytes;
    let rows = [BackupRow { file: arguments.file.display().to_string(), report }];
    let head = Head { view: "backup", title: "Backup", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, BACKUP, &rows);
    sheet.notes.push("checked by integrity_check; the key file beside the database is not in it".to_owned());
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::findings_if(late > 0))
}

/// Writes every counted record, a line each.
pub fn export(context: &Context, arguments: &ExportArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let is_csv = match context.output.format {
        Format::Csv => true,
        Format::Ndjson | Format::Table => false,
        _ => {
            return Err(Failure::usage("--format: `db export` writes lines", "one of: ndjson, csv"));
        }
    };
    let filter = FilterArguments {
        domain: arguments.domain.clone(),
        since: arguments.since.clone(),
        until: arguments.until.clone(),
        trust: arguments.trust.clone(),
        limit: arguments.limit,
        ..FilterArguments::default()
    };
    let question = Question::of(context, View::Records, &filter)?;
    let settings = context.settings()?;
    let senders = senders(&settings)?;
    let (places, faults) = places(&settings);
    for fault in faults {
        tracing::warn!("{fault}");
    }
    let reader = context.open_reader()?;
    if is_csv {
        export::write_csv_names(out)?;
    }
    reader.export(&question.query, &senders, &places, |row| -> Result<(), Failure> {
        if is_csv {
            export::write_csv(row, out)?;
        } else {
            export::write_json(row, out)?;
        }
        Ok(())
    })?;
    out.flush()?;
    Ok(Exit::Fine)
}
