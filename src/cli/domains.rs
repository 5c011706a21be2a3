//! `domains add` and `domains list`.

use std::borrow::Cow;
use std::io::Write;

use jiff::tz::TimeZone;

use crate::cli::args::DomainsCommand;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::read_domain;
use crate::mail::DomainName;
use crate::render::{Column, Head, Kind, Sheet, Show, Value, escape};

/// One domain of `domains list`.
pub struct ListedDomain {
    /// Its name; absent: all beyond the cap of names kept.
    pub domain: Option<String>,
    /// True if its reports count.
    pub watched: bool,
    /// Why; empty if it is not watched.
    pub by: Vec<&'static str>,
    /// Reports.
    pub reports: u64,
    /// Messages in them.
    pub messages: u64,
    /// TLS reports; absent where kinds are not told apart.
    pub tls_reports: Option<u64>,
    /// Failure reports and complaints; absent where kinds are not told apart.
    pub failure_reports: Option<u64>,
}

/// The columns of `domains list`.
pub static COLUMNS: &[Column<ListedDomain>] = &[
    Column::new(
        "domain",
        "domain",
        Kind::Text,
        Show::Cut(20),
        "The policy domain; null for all beyond the cap of names kept.",
        |row| Value::text(row.domain.as_deref()),
    ),
    Column::new("watched", "watched", Kind::Flag, Show::Whole, "True if its reports count.", |row| {
        Value::Flag(row.watched)
    }),
    Column::new(
        "watched_by",
        "by",
        Kind::List,
        Show::Whole,
        "`configuration`, `domains add`, `parent` (below a watched one), `default` (nothing is configured).",
        |row| Value::List(row.by.iter().map(|word| Cow::Borrowed(*word)).collect()),
    ),
    Column::new(
        "reports",
        "reports",
        Kind::Count("reports"),
        Show::Whole,
        "Aggregate reports; of a domain that is not watched, all reports.",
        |row| Value::Count(row.reports),
    ),
    Column::new(
        "messages",
        "messages",
        Kind::Count("messages"),
        Show::Whole,
        "Messages as reported.",
        |row| Value::Count(row.messages),
    ),
    Column::new(
        "tls_reports",
        "tls",
        Kind::Count("reports"),
        Show::Spare(1, 0),
        "TLS reports; null for a domain that is not watched.",
        |row| row.tls_reports.map_or(Value::Unknown, Value::Count),
    ),
    Column::new(
        "failure_reports",
        "failures",
        Kind::Count("reports"),
        Show::Spare(2, 0),
        "Failure reports and complaints; null for a domain that is not watched.",
        |row| row.failure_reports.map_or(Value::Unknown, Value::Count),
    ),
];

/// Runs the command.
pub fn run(context: &Context, command: &DomainsCommand, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        DomainsCommand::Add { domains } => add(context, domains, out),
        DomainsCommand::List => list(context, out),
    }
}

/// Watches domains and reads again what came for them before.
fn add(context: &Context, names: &[String], out: &mut dyn Write) -> Result<Exit, Failure> {
    let domains = names.iter().map(|name| read_domain(name)).collect::<Result<Vec<_>, Failure>>()?;
    let (_, store) = context.open_store()?;
    let mut pending = 0;
    for domain in &domains {
        let again = store.add_domain(domain)?;
        pending += again;
        writeln!(out, "{}: watched", escape::terminal(domain.as_str()))?;
    }
    if pending > 0 {
        let read = Context::read_pending(&store)?;
        writeln!(out, "{read} mails were read again")?;
    }
    store.close();
    out.flush()?;
    Ok(Exit::Fine)
}

/// Lists watched domains, then those that are not.
fn list(context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let watches_all = context.settings()?.domains.is_empty();
    let reader = context.open_reader()?;
    let known = reader.watched()?;
    let parents: Vec<DomainName> = known
        .iter()
        .filter(|domain| domain.is_configured || domain.is_added)
        .filter_map(|domain| DomainName::parse(&domain.name))
        .collect();
    let mut rows: Vec<ListedDomain> = known
        .into_iter()
        .map(|domain| {
            let name = DomainName::parse(&domain.name);
            let is_below =
                |parent: &DomainName| name.as_ref().is_some_and(|name| name.is_at_or_below(parent));
            let by: Vec<&'static str> = [
                (domain.is_configured, "configuration"),
                (domain.is_added, "domains add"),
                (!domain.is_configured && !domain.is_added && parents.iter().any(is_below), "parent"),
                (watches_all && !domain.is_added, "default"),
            ]
            .into_iter()
            .filter_map(|(is_so, word)| is_so.then_some(word))
            .collect();
            ListedDomain {
                domain: Some(domain.name),
                watched: !by.is_empty(),
                by,
                reports: domain.reports,
                messages: domain.messages,
                tls_reports: Some(domain.tls_reports),
                failure_reports: Some(domain.failure_reports),
            }
        })
        .collect();
    rows.extend(reader.unclaimed()?.into_iter().map(|domain| ListedDomain {
        domain: domain.domain,
        watched: false,
        by: Vec::new(),
        reports: domain.reports,
        messages: domain.messages,
        tls_reports: None,
        failure_reports: None,
    }));
    rows.sort_by_key(|row| !row.watched);
    let head = Head { view: "watched", title: "Domains", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, COLUMNS, &rows);
    if rows.iter().any(|row| !row.watched) {
        sheet.notes.push(
            "domains that are not watched are in no total; `mailsonde domains add NAME` watches".to_owned(),
        );
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::Fine)
}
