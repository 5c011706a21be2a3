//! The rows and totals of `import`.

use std::fmt::Write as _;

use crate::cli::import::FileResult;
use crate::render::{Column, Kind, Show, Value};

/// One item with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Its name.
    pub path: String,
    /// What became of it.
    pub result: FileResult,
}

/// The sums of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportTotals {
    /// Items.
    pub files: u64,
    /// Of these: read.
    pub read: u64,
    /// Of these: copies of what was read before.
    pub duplicate: u64,
    /// Of these: not readable.
    pub unread: u64,
    /// Of these: kept, without a report.
    pub kept: u64,
    /// Aggregate reports that count now.
    pub reports: u64,
    /// Records of them.
    pub records: u64,
    /// Messages of them.
    pub messages: u64,
}

/// The columns.
pub static COLUMNS: &[Column<ImportRow>] = &[
    Column::new(
        "path",
        "path",
        Kind::Text,
        Show::Cut(20),
        "The file; `FILE#3` is a mail of a mailbox, `FILE/NAME` an entry of an archive, `-` standard input.",
        |row| Value::text(Some(&row.path)),
    ),
    Column::new(
        "kind",
        "kind",
        Kind::Text,
        Show::Whole,
        "As in `messages`; null if it could not be told.",
        |row| Value::text(row.result.kind.as_deref()),
    ),
    Column::new(
        "status",
        "status",
        Kind::Text,
        Show::Whole,
        "`read`, `duplicate`, `unread` or `kept`.",
        |row| Value::text(Some(&row.result.status)),
    ),
    Column::new("reason", "reason", Kind::Text, Show::Spare(1, 16), "Why it has this status.", |row| {
        Value::text(row.result.reason.as_deref())
    }),
    Column::new(
        "deviations",
        "deviations",
        Kind::List,
        Show::Spare(2, 12),
        "Names of what differs from the standards.",
        |row| Value::list(&row.result.deviations),
    ),
    Column::new(
        "reports",
        "reports",
        Kind::Count("reports"),
        Show::Whole,
        "Aggregate reports in it that count now: 0 for a duplicate.",
        |row| Value::Count(row.result.reports),
    ),
    Column::new("records", "records", Kind::Count("records"), Show::Whole, "Records of them.", |row| {
        Value::Count(row.result.records)
    }),
    Column::new(
        "messages",
        "messages",
        Kind::Count("messages"),
        Show::Whole,
        "Messages of them, as reported.",
        |row| Value::Count(row.result.messages),
    ),
];

/// The totals.
pub static TOTALS: &[Column<ImportTotals>] = &[
    Column::total("files", Kind::Count("files"), "Rows.", |totals| Value::Count(totals.files)),
    Column::total("read", Kind::Count("files"), "Read.", |totals| Value::Count(totals.read)),
    Column::total("duplicate", Kind::Count("files"), "Copies of what was read before.", |totals| {
        Value::Count(totals.duplicate)
    }),
    Column::total("unread", Kind::Count("files"), "Not readable.", |totals| Value::Count(totals.unread)),
    Column::total("kept", Kind::Count("files"), "Mail and files that hold no report.", |totals| {
        Value::Count(totals.kept)
    }),
    Column::total("reports", Kind::Count("reports"), "Aggregate reports that count now.", |totals| {
        Value::Count(totals.reports)
    }),
    Column::total("records", Kind::Count("records"), "Records of them.", |totals| {
        Value::Count(totals.records)
    }),
    Column::total("messages", Kind::Count("messages"), "Messages of them, as reported.", |totals| {
        Value::Count(totals.messages)
    }),
];

impl ImportRow {
    /// The line for eyes, not yet escaped: `path: read aggregate, 1 report, 12 records, 903 messages`.
    pub fn line(&self) -> String {
        let FileResult { kind, status, reason, deviations, reports, records, messages } = &self.result;
        let mut line = format!("{}: {status}", self.path);
        if let Some(kind) = kind {
            let _ = write!(line, " {kind}");
        }
        if *reports > 0 {
            let _ = write!(
                line,
                ", {}, {}, {}",
                counted(*reports, "report"),
                counted(*records, "record"),
                counted(*messages, "message")
            );
        }
        if let Some(reason) = reason {
            let _ = write!(line, ": {reason}");
        }
        if !deviations.is_empty() {
            let _ = write!(line, " [{}]", deviations.join(", "));
        }
        line
    }
}

impl ImportTotals {
    /// Adds one item.
    pub fn add(&mut self, result: &FileResult) {
        self.files += 1;
        match result.status.as_str() {
            "read" => self.read += 1,
            "duplicate" => self.duplicate += 1,
            "unread" => self.unread += 1,
            _ => self.kept += 1,
        }
        self.reports = self.reports.saturating_add(result.reports);
        self.records = self.records.saturating_add(result.records);
        self.messages = self.messages.saturating_add(result.messages);
    }

    /// The line of the total.
    pub fn line(&self) -> String {
        format!(
            "total: {}: {} read, {} duplicate, {} unread, {} kept; {}, {}, {}",
            counted(self.files, "file"),
            self.read,
            self.duplicate,
            self.unread,
            self.kept,
            counted(self.reports, "report"),
            counted(self.records, "record"),
            counted(self.messages, "message")
        )
    }
}

/// `1 report`, `2 reports`.
fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
