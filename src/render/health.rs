//! `dns check` for eyes: what is wrong first, each with what was seen, what to do and the record to publish; then
//! facts, and what nobody could say.

use std::fmt::Write as _;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

use crate::dns_health::class::Class;
use crate::dns_health::finding::{Finding, RecordToPublish, Severity};
use crate::dns_health::report::{Grade, Health};
use crate::limits;
use crate::render::escape::terminal;
use crate::render::table::{styled, wrap};

/// How it is printed.
#[derive(Debug, Clone, Copy)]
pub struct TextOptions {
    /// Cells of a line; absent: no limit. Records to publish are never broken: they are there to be copied.
    pub width: Option<u16>,
    /// True for colour.
    pub color: bool,
}

/// Codes that are named with one cause of what is not known.
const CODES: usize = 6;

/// Cells before the text of a part of a finding.
const LABEL: usize = 12;

/// Writes the report on one domain, with what its MX hosts said, a line each. Errors: those of the writer.
pub fn write(health: &Health, hosts: &[String], options: TextOptions, out: &mut dyn Write) -> io::Result<()> {
    let domain = terminal(health.domain.as_str());
    let grade = health.grade.map_or("not known", Grade::as_str);
    let code = match health.grade {
        Some(Grade::A) => "1;32",
        Some(Grade::B | Grade::C) => "1;33",
        Some(Grade::D | Grade::F) => "1;31",
        None => "1",
    };
    writeln!(out, "{}", styled(&format!("{domain}: grade {grade}"), code, options.color))?;
    paragraph("", &overview(health), options, out)?;
    let mut published = Vec::new();
    let (facts, wrong): (Vec<_>, Vec<_>) =
        health.findings.iter().partition(|finding| finding.severity == Severity::Info);
    for finding in wrong {
        writeln!(out)?;
        write_finding(finding, &mut published, options, out)?;
    }
    if !facts.is_empty() {
        writeln!(out, "\nfacts")?;
    }
    for finding in facts {
        let evidence = format!("{} {}: {}", finding.code.code, finding.subject, finding.evidence);
        paragraph("", &evidence, options, out)?;
    }
    if !hosts.is_empty() {
        writeln!(out, "\nwhat the MX hosts say")?;
    }
    for host in hosts {
        paragraph("", host, options, out)?;
    }
    write_not_known(health, options, out)
}

/// What the domain is, and how many checks ended how.
fn overview(health: &Health) -> String {
    let class = health.class.map_or("what it is for is not known", |class| match class {
        Class::SendsAndReceives => "sends and receives mail",
        Class::SendsOnly => "sends mail, takes none",
        Class::ReceivesOnly => "receives mail, sends none",
        Class::Parked => "a domain without mail",
        Class::MailHost => "a host, not a mail domain",
        Class::ReportTarget => "takes the reports of others",
    });
    let mut parts: Vec<String> = Vec::new();
    for severity in Severity::ALL {
        let count = health.findings.iter().filter(|finding| finding.severity == severity).count();
        let (one, many) = match severity {
            Severity::Critical => ("critical", "critical"),
            Severity::Error => ("error", "errors"),
            Severity::Warning => ("warning", "warnings"),
            Severity::Note => ("note", "notes"),
            Severity::Info => ("fact", "facts"),
        };
        if count > 0 {
            parts.push(format!("{count} {}", if count == 1 { one } else { many }));
        }
    }
    parts.push(format!("{} checks passed", health.count("pass")));
    let not_known = health.count("not-known");
    if not_known > 0 {
        parts.push(format!("{not_known} not known"));
    }
    format!("{class}; {}", parts.join(", "))
}

/// One domain in the overview of several.
#[derive(Debug, Clone)]
pub struct OverviewRow {
    domain: String,
    grade: &'static str,
    counts: [usize; 4],
    not_known: u64,
}

impl OverviewRow {
    /// Of a report.
    pub fn of(health: &Health) -> Self {
        let count = |severity| health.findings.iter().filter(|finding| finding.severity == severity).count();
        Self {
            domain: terminal(health.domain.as_str()).into_owned(),
            grade: health.grade.map_or("-", Grade::as_str),
            counts: [Severity::Critical, Severity::Error, Severity::Warning, Severity::Note].map(count),
            not_known: health.count("not-known"),
        }
    }
}

/// Writes a line for each of several domains. Errors: those of the writer.
pub fn write_overview(rows: &[OverviewRow], out: &mut dyn Write) -> io::Result<()> {
    let width = rows.iter().map(|row| row.domain.width()).chain([6]).max().unwrap_or(0);
    writeln!(out, "{:<width$}  grade  critical  errors  warnings  notes  not known", "domain")?;
    for row in rows {
        let [critical, errors, warnings, notes] = row.counts;
        let pad = " ".repeat(width.saturating_sub(row.domain.width()));
        writeln!(
            out,
            "{}{pad}  {:<5}  {critical:>8}  {errors:>6}  {warnings:>8}  {notes:>5}  {:>9}",
            row.domain, row.grade, row.not_known
        )?;
    }
    Ok(())
}

/// One finding.
fn write_finding<'h>(
    finding: &'h Finding,
    published: &mut Vec<(&'h RecordToPublish, &'static str)>,
    options: TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let severity = finding.severity.as_str();
    let style = match finding.severity {
        Severity::Critical | Severity::Error => "1;31",
        Severity::Warning => "1;33",
        Severity::Note | Severity::Info => "1",
    };
    let word = styled(&format!("{severity:<8}"), style, options.color);
    writeln!(out, "{word}  {}  {}", finding.code.code, terminal(&finding.subject))?;
    paragraph("", finding.code.about, options, out)?;
    paragraph("seen", &finding.evidence, options, out)?;
    paragraph("mend", &finding.mend, options, out)?;
    if let Some(record) = &finding.publish {
        let same = |other: &&RecordToPublish| {
            (&other.name, other.record_type, &other.value)
                == (&record.name, record.record_type, &record.value)
        };
        match published.iter().find(|(other, _)| same(other)) {
            Some((_, code)) => paragraph("publish", &format!("the same record as for {code}"), options, out)?,
            None => {
                published.push((record, finding.code.code));
                write_record(record, out)?;
            }
        }
    }
    paragraph("see", if finding.code.standard == "-" { "" } else { finding.code.standard }, options, out)
}

/// The records that go and the record that comes, as a zone file writes them.
fn write_record(record: &RecordToPublish, out: &mut dyn Write) -> io::Result<()> {
    let place = match &record.zone {
        Some(zone) => format!("in the zone {zone}, name {}:", record.relative_name()),
        None => "outside the domain's own zone:".to_owned(),
    };
    writeln!(out, "  {:<1$}{2}", "publish", LABEL - 2, terminal(&place))?;
    let name = record.name.to_string();
    let lines = record.old.iter().map(|old| ('-', old)).chain([('+', &record.value)]);
    for (sign, value) in lines {
        writeln!(out, "    {sign} {}. {} {}", terminal(&name), record.record_type, terminal(value))?;
    }
    Ok(())
}

/// What nobody could say, by cause.
fn write_not_known(health: &Health, options: TextOptions, out: &mut dyn Write) -> io::Result<()> {
    let causes = health.not_known();
    if !causes.is_empty() {
        writeln!(out, "\nnot known")?;
    }
    let more = causes.len().saturating_sub(limits::HEALTH_REASONS);
    for (why, codes) in causes.iter().take(limits::HEALTH_REASONS) {
        let mut told = codes.iter().take(CODES).copied().collect::<Vec<_>>().join(", ");
        if let Some(more) = codes.len().checked_sub(CODES).filter(|more| *more > 0) {
            // Writing to a string cannot fail.
            let _ = write!(told, " and {more} more");
        }
        paragraph("", &format!("{why}: {told}"), options, out)?;
    }
    if more > 0 {
        paragraph("", &format!("and {more} more reasons"), options, out)?;
    }
    Ok(())
}

/// A text beside its label, broken between words; nothing for an empty one.
fn paragraph(label: &str, text: &str, options: TextOptions, out: &mut dyn Write) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let indent = if label.is_empty() { 2 } else { LABEL };
    let room = options.width.map(|width| width.saturating_sub(u16::try_from(indent).unwrap_or(0)).max(20));
    for (at, line) in wrap(&terminal(text), room).iter().enumerate() {
        let label = if at == 0 && indent == LABEL { label } else { "" };
        // The first line of `wrap` begins at its margin, the others two cells to the right of it.
        let line = if indent == LABEL { line.trim_start() } else { line };
        writeln!(out, "  {label:<0$}{line}", indent - 2)?;
    }
    Ok(())
}
