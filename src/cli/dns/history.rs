//! `dns history`: what happened to the records and findings of watched domains, or how they stood at a time.

use std::io::Write;

use crate::cli::args::DnsHistoryArguments;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::period;
use crate::cli::report::read_domain;
use crate::clock::Timestamp;
use crate::render::dns::{DNS_EVENTS, DNS_FINDINGS, DNS_RECORDS};
use crate::render::{Head, Sheet};
use crate::summary::{DnsEventRow, Query, differences};

/// Runs the command.
pub fn run(context: &Context, arguments: &DnsHistoryArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let zone = period::zone(arguments.tz.as_deref())?;
    let (since, until) = (arguments.since.as_deref(), arguments.until.as_deref());
    let asked = period::asked(since, until, &zone, context.now)?;
    let domain = arguments.domain.as_deref().map(read_domain).transpose()?;
    let head = Head {
        view: "dns-history",
        title: "What happened in DNS",
        domain: domain.as_ref().map(ToString::to_string),
        since: asked.period.since_ms.map(Timestamp::from_ms),
        until: asked.period.until_ms.map(Timestamp::from_ms),
        is_everything: since.is_none() && until.is_none(),
        is_timeless: false,
    };
    let query = Query { domain, period: asked.period, limit: arguments.limit, ..Query::default() };
    let reader = context.open_reader()?;
    let kept = context.settings()?.retention.dns_history;
    let first = Timestamp::from_ms(
        context.now.ms().saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)),
    );
    if let (true, Some(since)) = (arguments.diff, asked.period.since_ms.map(Timestamp::from_ms)) {
        let until = asked.period.until_ms.map(|end| Timestamp::from_ms(end.saturating_sub(1)));
        let until = until.filter(|until| *until < context.now);
        let rows: Vec<DnsEventRow> =
            differences(&reader.dns_records(&query, Some(since))?, &reader.dns_records(&query, until)?);
        let head = Head { title: "What is other in DNS", ..head };
        let mut sheet = Sheet::of_rows(head, DNS_EVENTS, &rows);
        sheet.notes.extend(too_old(since, first));
        context.output.print(&sheet, &zone, out)?;
        return Ok(Exit::Fine);
    }
    let is_snapshot = arguments.records || arguments.findings;
    let at = match (&arguments.at, is_snapshot) {
        (Some(at), _) => Some(period::instant("--at", at, &zone, context.now)?),
        (None, true) => Some(context.now),
        (None, false) => None,
    };
    let Some(at) = at else {
        let rows = reader.dns_events(&query)?;
        let mut sheet = Sheet::of_rows(head, DNS_EVENTS, &rows);
        if rows.is_empty() {
            sheet.notes.push(
                "no change yet; `serve` checks the domains of the configuration and of `domains add`, \
                 `--records` shows what is known of them"
                    .to_owned(),
            );
        }
        context.output.print(&sheet, &zone, out)?;
        return Ok(Exit::Fine);
    };
    let head = Head { since: None, until: Some(at), is_everything: false, ..head };
    if arguments.findings {
        let rows = reader.dns_findings(&query, at)?;
        let head = Head { view: "dns-findings", title: "What stood in DNS checks", ..head };
        context.output.print(&Sheet::of_rows(head, DNS_FINDINGS, &rows), &zone, out)?;
    } else {
        let before = (at.ms() < context.now.ms()).then_some(at);
        let rows = reader.dns_records(&query, before)?;
        let head = Head { view: "dns-records", title: "Records", ..head };
        let mut sheet = Sheet::of_rows(head, DNS_RECORDS, &rows);
        sheet.notes.extend(too_old(at, first));
        context.output.print(&sheet, &zone, out)?;
    }
    Ok(Exit::Fine)
}

/// Says that a time lies before what is kept.
fn too_old(at: Timestamp, first: Timestamp) -> Option<String> {
    let why = "what happened before may be removed (`dns_history` in [retention]): records of that time stand as of then";
    (at < first).then(|| format!("{}: {why}", first.day().iso()))
}
