//! `dns spf`: the tree of a domain's record, or the trace of one check.

use std::io::Write;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::authentication::spf::tree::{Found, Tree, tree};
use crate::authentication::spf::{Identity, Input, SpfResult, Verdict, check};
use crate::cli::args::{DnsArguments, DnsSpfArguments, Format};
use crate::cli::context::Context;
use crate::cli::dns::{read_name, resolver, wait};
use crate::cli::exit::{Exit, Failure};
use crate::dns::{Answers, Budget, Name, settle};
use crate::limits;
use crate::render::spf::{
    SPF_TRACE, SPF_TRACE_DRAWN, SPF_TRACE_TOTALS, SPF_TREE, SPF_TREE_DRAWN, SPF_TREE_TOTALS, TraceTotals,
    TreeTotals, trace_rows, tree_rows,
};
use crate::render::{Head, Sheet};

/// How long the answers for one command are waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Faults below the tree; the formats for programs have all.
const FAULTS_SHOWN: usize = 20;

/// Runs the command.
pub fn run(
    context: &Context,
    group: &DnsArguments,
    arguments: &DnsSpfArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let domain = read_name(&arguments.domain)?;
    let resolver = resolver(context, group)?;
    let mut answers = Answers::new();
    let mut budget = Budget::new(limits::SPF_TREE_QUESTIONS, PATIENCE);
    let Some(ip) = arguments.ip else {
        let judged = wait(settle(&*resolver, &mut answers, &mut budget, |answers| tree(&domain, answers)))?;
        return show_tree(context, &domain, &judged, out);
    };
    let sender = sender(arguments.sender.as_deref(), &domain)?;
    let helo = arguments.helo.as_deref().unwrap_or(domain.as_str());
    let input = Input {
        ip,
        identity: Identity::MailFrom,
        mail_from: &sender,
        helo,
        receiver: "",
        now: context.now,
        void_limit: limits::SPF_VOIDS,
    };
    let verdict = wait(settle(&*resolver, &mut answers, &mut budget, |answers| check(&input, answers)))?;
    show_verdict(context, &domain, &verdict, out)
}

/// The sender of a check: a local part or an address of the domain.
fn sender(written: Option<&str>, domain: &Name) -> Result<String, Failure> {
    let Some(written) = written else { return Ok(format!("postmaster@{domain}")) };
    match written.rsplit_once('@') {
        None => Ok(format!("{written}@{domain}")),
        Some((_, other)) if Name::from_person(other).ok().as_ref() == Some(domain) => Ok(written.to_owned()),
        Some((_, other)) => Err(Failure::usage(
            format!("--sender is of another domain than {domain}"),
            format!("`mailsonde dns spf {other} --ip …` checks that one"),
        )),
    }
}

/// Prints a tree.
fn show_tree(context: &Context, domain: &Name, tree: &Tree, out: &mut dyn Write) -> Result<Exit, Failure> {
    if let Some(Found::NotKnown(why)) = tree.root().map(|root| &root.found) {
        let detail = if why.detail.is_empty() { String::new() } else { format!(", {}", why.detail) };
        return Err(Failure::run(format!("no answer for {domain} TXT: {}{detail}", why.cause.as_str()))
            .hint("the record is not known, which does not mean that there is none"));
    }
    let (rows, totals) = tree_rows(tree);
    let head = Head {
        view: "spf",
        title: "SPF",
        domain: Some(domain.to_string()),
        is_timeless: true,
        ..Head::default()
    };
    let is_drawn = is_drawn(context.output.format);
    let columns = if is_drawn { SPF_TREE_DRAWN } else { SPF_TREE };
    let mut sheet = Sheet::of_rows(head, columns, &rows);
    let is_known = tree.root().is_some_and(|root| root.record().is_some());
    if is_drawn {
        sheet.notes = summary(&totals, is_known);
    } else {
        sheet = sheet.with_totals(SPF_TREE_TOTALS, &totals);
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::findings_if(!is_known || !totals.faults.is_empty()))
}

/// True for the formats for eyes.
const fn is_drawn(format: Format) -> bool {
    matches!(format, Format::Table | Format::Markdown | Format::Html)
}

/// The sums of a tree in words.
fn summary(totals: &TreeTotals, is_known: bool) -> Vec<String> {
    if !is_known {
        return vec!["no SPF record: receivers find neither pass nor fail".to_owned()];
    }
    let bound = if totals.is_lower_bound { "at least " } else { "" };
    let mut lines = Vec::new();
    if let (Some(record), Some(octets)) = (&totals.record, totals.record_octets) {
        lines.push(format!("{record} ({octets} octets)"));
    }
    let lookups = if totals.lookups == u64::from(u32::MAX) {
        "without end".to_owned()
    } else {
        totals.lookups.to_string()
    };
    lines.push(format!(
        "longest way: {bound}{lookups} terms that query DNS ({} are allowed), of these with void answers {} for \
         IPv4 and {} for IPv6 clients ({} are allowed)",
        limits::SPF_LOOKUPS,
        totals.voids_four,
        totals.voids_six,
        limits::SPF_VOIDS
    ));
    let more = if totals.may_pass_more { " or more" } else { "" };
    lines.push(format!("IPv4 addresses that pass: {}{more}", totals.four_addresses));
    if totals.faults.is_empty() {
        lines.push("nothing gives permerror".to_owned());
    }
    lines.extend(totals.faults.iter().take(FAULTS_SHOWN).map(|fault| format!("permerror: {fault}")));
    if totals.faults.len() > FAULTS_SHOWN {
        lines.push(format!("and {} more; --format json shows all", totals.faults.len() - FAULTS_SHOWN));
    }
    lines
}

/// Prints a trace.
fn show_verdict(
    context: &Context,
    domain: &Name,
    verdict: &Verdict,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let (rows, totals) = trace_rows(verdict);
    let head = Head {
        view: "spf-check",
        title: "SPF check",
        domain: Some(domain.to_string()),
        is_timeless: true,
        ..Head::default()
    };
    let is_drawn = is_drawn(context.output.format);
    let mut sheet = Sheet::of_rows(head, if is_drawn { SPF_TRACE_DRAWN } else { SPF_TRACE }, &rows);
    if is_drawn {
        sheet.notes = outcome(&totals);
    } else {
        sheet = sheet.with_totals(SPF_TRACE_TOTALS, &totals);
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::findings_if(verdict.result != SpfResult::Pass))
}

/// The outcome of a check in words.
fn outcome(totals: &TraceTotals) -> Vec<String> {
    let why = match (&totals.mechanism, &totals.mechanism_domain, &totals.reason) {
        (Some(mechanism), Some(domain), _) => format!(" by `{mechanism}` in the record of {domain}"),
        (_, _, Some(reason)) => format!(": {reason}"),
        _ => String::new(),
    };
    let mut lines = vec![
        format!("{}{why}, for {} from {}", totals.result, totals.domain, totals.ip),
        format!(
            "terms that query DNS: {} of {}, with void answers: {} of {}",
            totals.lookups,
            limits::SPF_LOOKUPS,
            totals.voids,
            limits::SPF_VOIDS
        ),
    ];
    lines.extend(totals.explanation.iter().map(|text| format!("the domain explains: {text}")));
    lines
}
