//! `dns simulate`: what other records would have done to the mail that stored reports tell of.

use std::io::Write;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::authentication::{dmarc, spf};
use crate::cli::args::{DnsArguments, DnsSimulateArguments};
use crate::cli::context::Context;
use crate::cli::dns::{read_name, resolver, wait};
use crate::cli::exit::{Exit, Failure};
use crate::cli::period;
use crate::cli::report::{read_domain, read_trust};
use crate::clock::Timestamp;
use crate::dns::{Answers, Budget, settle};
use crate::limits;
use crate::render::simulate::{SIMULATED, SIMULATED_TOTALS};
use crate::render::{Head, Sheet};
use crate::summary::simulate::{Candidate, simulate};
use crate::summary::{Answer, Query};

/// How long the answers are waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(
    context: &Context,
    group: &DnsArguments,
    arguments: &DnsSimulateArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let (spf, dmarc) = (arguments.spf.as_deref(), arguments.dmarc.as_deref());
    if spf.is_none() && dmarc.is_none() {
        return Err(Failure::usage(
            "no record to try",
            "give --spf 'v=spf1 …', --dmarc 'v=DMARC1; …', or both",
        ));
    }
    let candidate = Candidate {
        domain: read_name(&arguments.domain)?,
        spf: spf.map(str::to_owned),
        dmarc: dmarc.map(str::to_owned),
    };
    let mut notes = Vec::new();
    let has_spf_faults = spf.map_or(Ok(false), |text| faults_of_spf(text, &mut notes))?;
    let has_dmarc_faults = dmarc.map_or(Ok(false), |text| faults_of_dmarc(text, &mut notes))?;
    let (since, until) = (arguments.since.as_deref(), arguments.until.as_deref());
    // Reports belong to UTC days.
    let asked = period::whole_days(period::asked(since, until, &TimeZone::UTC, context.now)?);
    let query = Query {
        domain: Some(read_domain(&arguments.domain)?),
        period: asked.period,
        is_relative: asked.is_relative,
        trust: read_trust(arguments.trust.as_deref())?,
        ..Query::default()
    };
    let streams = context.open_reader()?.streams(&query)?;
    let resolver = resolver(context, group)?;
    let mut answers = Answers::new();
    let mut budget = Budget::new(limits::SPF_TREE_QUESTIONS, PATIENCE);
    let judge = |answers: &Answers| simulate(&streams.rows, &candidate, answers);
    let (mut rows, totals) = wait(settle(&*resolver, &mut answers, &mut budget, judge))?;
    if streams.cut > 0 {
        notes.push(format!("{} messages of small sources were not looked at", streams.cut));
    }
    notes.extend(streams.notes);
    let more = rows.len().saturating_sub(arguments.limit.unwrap_or(limits::ANSWER_ROWS));
    rows.truncate(rows.len() - more);
    let head = Head {
        view: "simulate",
        title: "DMARC with other records",
        domain: Some(candidate.domain.to_string()),
        since: query.period.since_ms.map(Timestamp::from_ms),
        until: query.period.until_ms.map(Timestamp::from_ms),
        ..Head::default()
    };
    let cut = u64::try_from(more).unwrap_or(u64::MAX);
    let answer =
        Answer { rows, totals, first: streams.first, last: streams.last, trust: streams.trust, cut, notes };
    let sheet = Sheet::of_answer(head, SIMULATED, SIMULATED_TOTALS, &answer);
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::findings_if(has_spf_faults || has_dmarc_faults || totals.lost > 0))
}

/// Says what is wrong with the SPF record to be tried; true if anything is.
fn faults_of_spf(text: &str, notes: &mut Vec<String>) -> Result<bool, Failure> {
    if !spf::is_spf(text.as_bytes()) {
        return Err(Failure::usage(
            format!("--spf: no SPF record: {text:?}"),
            "it begins with `v=spf1` and a space, such as 'v=spf1 mx -all'",
        ));
    }
    let record = spf::Record::parse(text.as_bytes().to_vec());
    for fault in &record.faults {
        let mend = match fault.mend.as_deref() {
            None => String::new(),
            Some("") => "; mend: leave it out".to_owned(),
            Some(mend) => format!("; mend: {mend}"),
        };
        let (column, what) = (fault.span.column(), fault.kind.sentence());
        notes.push(format!("--spf, column {column}: {what}, so permerror for every sender{mend}"));
    }
    Ok(!record.faults.is_empty())
}

/// Says what is odd about the DMARC record to be tried; true if it does not act as written.
fn faults_of_dmarc(text: &str, notes: &mut Vec<String>) -> Result<bool, Failure> {
    let record = dmarc::Record::parse(text.as_bytes()).ok_or_else(|| {
        Failure::usage(
            format!("--dmarc: no DMARC record: {text:?}"),
            "it begins with `v=DMARC1`, such as 'v=DMARC1; p=reject'",
        )
    })?;
    let told = |remark: &dmarc::Remark| {
        format!("--dmarc, `{}`: {}; in force: {}", remark.tag, remark.flaw.as_str(), remark.in_force)
    };
    notes.extend(record.remarks.iter().map(told));
    Ok(record.force() != dmarc::Force::AsPublished)
}
