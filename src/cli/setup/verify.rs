//! `setup --verify`: step by step, is everything in force that a report needs to come here?

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::expect::FIRST_REPORTS;
use crate::cli::args::{Format, SetupArguments};
use crate::cli::context::Context;
use crate::cli::dns::wait;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::clock;
use crate::config::{RouteSettings, Settings};
use crate::daemon::probe::{Asked, Sending, send_probe};
use crate::daemon::{dns, keys, options};
use crate::dns::{Answers, Name, Question, RecordType, Resolve};
use crate::dns_health::addresses::Reach;
use crate::dns_health::facts::StartTls;
use crate::dns_health::gather::MxDialogue as _;
use crate::dns_health::setup::{Item, Kind as RecordKind, State, Wishes};
use crate::mail::DomainName;
use crate::probe::lifecycle::State as ProbeState;
use crate::render::{Column, Head, Kind, Sheet, Show, Value, escape};
use crate::smtp::mx_dialogue::{MxTalker, Waits};
use crate::summary::Query;
use crate::tls_client::{Verification, Verify};

/// How a step came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// It is as it must be.
    Yes,
    /// It is not.
    No,
    /// Nobody can say.
    NotKnown,
}

impl Proof {
    /// The word in views and JSON.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::NotKnown => "not-known",
        }
    }
}

/// One step of the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is asked.
    name: &'static str,
    /// Of which name, host or route.
    subject: String,
    /// The answer.
    proof: Proof,
    /// What was seen.
    evidence: String,
    /// What to do; absent where nothing is to be done.
    mend: Option<String>,
}

impl Step {
    /// A step that is as it must be.
    fn yes(step: &'static str, subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { name: step, subject: subject.into(), proof: Proof::Yes, evidence: evidence.into(), mend: None }
    }

    /// One that is not.
    fn no(
        step: &'static str,
        subject: impl Into<String>,
        evidence: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { proof: Proof::No, mend: Some(mend.into()), ..Self::yes(step, subject, evidence) }
    }

    /// One of which nobody can say.
    fn not_known(
        step: &'static str,
        subject: impl Into<String>,
        evidence: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { proof: Proof::NotKnown, ..Self::no(step, subject, evidence, mend) }
    }
}

/// A row a step.
pub static VERIFIED: &[Column<Step>] = &[
    Column::new("proof", "proven", Kind::Text, Show::Whole, "`yes`, `no` or `not-known`.", |row| {
        Value::text(Some(row.proof.as_str()))
    }),
    Column::new(
        "step",
        "step",
        Kind::Text,
        Show::Whole,
        "A record (`dmarc`, `authorization`, `tls-rpt`, `mx`, `address`), `connect`, `starttls`, `certificate`, `hand-over` or `arrival`.",
        |row| Value::text(Some(row.name)),
    ),
    Column::new("subject", "of", Kind::Text, Show::Cut(20), "The name, host or route.", |row| {
        Value::text(Some(&row.subject))
    }),
    Column::new("evidence", "seen", Kind::Text, Show::Cut(24), "What was seen.", |row| {
        Value::text(Some(&row.evidence))
    }),
    Column::new("mend", "mend", Kind::Text, Show::Cut(24), "What to do; null: nothing.", |row| {
        row.mend.as_ref().map_or(Value::Unknown, |mend| Value::Text(Cow::Borrowed(mend)))
    }),
];

/// How many steps came out how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proven {
    yes: u64,
    no: u64,
    not_known: u64,
}

/// The totals.
pub static VERIFY_TOTALS: &[Column<Proven>] = &[
    Column::total("yes", Kind::Count("steps"), "Steps that are proven.", |totals| Value::Count(totals.yes)),
    Column::total("no", Kind::Count("steps"), "Steps that are not as they must be.", |totals| {
        Value::Count(totals.no)
    }),
    Column::total("not_known", Kind::Count("steps"), "Steps of which nobody can say.", |totals| {
        Value::Count(totals.not_known)
    }),
];

/// Runs every step and prints them. Findings unless each is proven.
pub(super) fn run(
    context: &Context,
    settings: &Settings,
    arguments: &SetupArguments,
    wishes: &Wishes,
    resolver: &Arc<dyn Resolve>,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    if context.output.format == Format::Zone {
        return Err(Failure::usage(
            "--format zone: --verify has no records to print",
            "leave one of them out",
        ));
    }
    let route = route(settings, arguments, wishes)?;
    let (items, answers) = super::items(wishes, resolver)?;
    let mut steps: Vec<Step> = items.iter().filter_map(record).collect();
    if wishes.own_domains.is_empty() {
        let evidence = "no [[recipient]] takes the reports: they go to a mailbox elsewhere";
        let mend = "`mailsonde mailbox test` proves that it can be read";
        steps.push(Step::not_known("connect", "-", evidence, mend));
    } else {
        steps.extend(wait(connections(settings, arguments.port, wishes, &answers))?);
        steps.extend(mail(context, settings, route, arguments.wait)?);
    }
    let mut totals = Proven::default();
    for step in &steps {
        *match step.proof {
            Proof::Yes => &mut totals.yes,
            Proof::No => &mut totals.no,
            Proof::NotKnown => &mut totals.not_known,
        } += 1;
    }
    let notes = reports_so_far(context, wishes);
    if context.output.format == Format::Table {
        write_text(&steps, &totals, out)?;
        for note in &notes {
            context.output.remark(note);
        }
    } else {
        let head =
            Head { view: "setup-verify", title: "The way of a report", is_timeless: true, ..Head::default() };
        let mut sheet = Sheet::of_rows(head, VERIFIED, &steps).with_totals(VERIFY_TOTALS, &totals);
        sheet.notes = notes;
        context.output.print(&sheet, &TimeZone::UTC, out)?;
    }
    Ok(Exit::findings_if(totals.no + totals.not_known > 0))
}

/// The steps for eyes.
fn write_text(steps: &[Step], totals: &Proven, out: &mut dyn Write) -> std::io::Result<()> {
    for step in steps {
        let proof = step.proof.as_str();
        writeln!(out, "{proof:<10} {:<14} {}", step.name, escape::terminal(&step.subject))?;
        writeln!(out, "           {}", escape::terminal(&step.evidence))?;
        if let Some(mend) = &step.mend {
            writeln!(out, "           mend: {}", escape::terminal(mend))?;
        }
    }
    let Proven { yes, no, not_known } = totals;
    writeln!(out, "\n{} steps: {yes} proven, {no} not so, {not_known} not known", steps.len())?;
    out.flush()
}

/// What a record proves; nothing for those on which no report depends.
fn record(item: &Item) -> Option<Step> {
    if item.kind == RecordKind::Spf {
        return None;
    }
    let (step, subject) = (item.kind.as_str(), item.name.to_string());
    let there: Vec<String> =
        item.old.iter().map(|old| format!("{} {}", old.record_type, old.value)).collect();
    let there = if there.is_empty() { "nothing is published".to_owned() } else { there.join(" | ") };
    Some(match (&item.state, &item.new) {
        (State::InPlace, _) => Step::yes(step, subject, there),
        (State::NotNeeded(reason), _) => Step::yes(step, subject, format!("not needed: {reason}")),
        (State::NotKnown(cause, detail), _) => {
            let evidence = format!("DNS does not say: {cause} {detail}");
            Step::not_known(
                step,
                subject,
                evidence.trim_end(),
                "ask again; if it lasts, mend the name servers",
            )
        }
        (State::ByHand(reason), _) => Step::no(step, subject, there, reason.clone()),
        (State::Add | State::Change, Some(new)) => {
            let mend = format!("publish {} {} {new}", item.name, item.record_type);
            Step::no(step, subject, there, mend)
        }
        (State::Add | State::Change, None) => Step::no(step, subject, there, "publish the record"),
    })
}

/// Talks with each address of each MX host of our own domains, as a sender of reports would.
async fn connections(settings: &Settings, port: u16, wishes: &Wishes, answers: &Answers) -> Vec<Step> {
    let known =
        |name: &Name, record_type: RecordType| answers.find(&Question::new(name.clone(), record_type));
    let mut hosts: Vec<Name> = Vec::new();
    for domain in &wishes.own_domains {
        for mx in known(domain, RecordType::Mx).map(|answer| answer.exchangers()).unwrap_or_default() {
            if !mx.exchange.is_root() && !hosts.contains(&mx.exchange) {
                hosts.push(mx.exchange.clone());
            }
        }
    }
    let talker = MxTalker {
        helo: Some(options::host_name(settings.receiver.host_name.as_deref())),
        verify: Verify::System,
        // Our own hosts, which may be behind the same router or on this machine.
        reach: Reach::Any,
        port,
        waits: Waits::STANDARD,
    };
    let mut steps = Vec::new();
    for host in &hosts {
        let addresses: Vec<IpAddr> = [RecordType::A, RecordType::Aaaa]
            .into_iter()
            .filter_map(|record_type| known(host, record_type))
            .flat_map(crate::dns::Answer::addresses)
            .collect();
        for address in addresses {
            steps.extend(connection(&talker, host, address).await);
        }
    }
    if steps.is_empty() {
        let mend = "publish the MX and the address first";
        steps.push(Step::not_known("connect", "-", "no MX host with a known address", mend));
    }
    steps
}

/// Talks with one address.
async fn connection(talker: &MxTalker, host: &Name, address: IpAddr) -> Vec<Step> {
    let port = talker.port;
    let subject = format!("{host} [{address}]:{port}");
    let spoken = match talker.talk(host, address).await.outcome {
        Ok(spoken) => spoken,
        Err(fault) => {
            let mend = format!(
                "is `mailsonde serve` running, does a [[listener]] stand on port {port}, and does the firewall let \
                 port {port} in? If this machine cannot reach itself by that address, try from another"
            );
            return vec![Step::no("connect", subject, fault.to_string(), mend)];
        }
    };
    let mut steps = vec![Step::yes("connect", subject.clone(), format!("220 {}", spoken.greeting))];
    match spoken.tls {
        StartTls::NotOffered => steps.push(Step::no(
            "starttls",
            subject,
            "not offered: reports come in the clear, and senders that insist on TLS do not come",
            "`tls = \"starttls\"` in the [[listener]]",
        )),
        StartTls::Refused(reply) => {
            steps.push(Step::no("starttls", subject, reply, "look into the log of `mailsonde serve`"));
        }
        StartTls::Failed(why) => {
            steps.push(Step::no(
                "starttls",
                subject,
                why,
                "`mailsonde config check` looks at the certificate",
            ));
        }
        StartTls::Done(seen) => {
            steps.push(Step::yes("starttls", subject.clone(), format!("{} {}", seen.version, seen.cipher)));
            steps.push(match seen.verification {
                Verification::Verified => Step::yes("certificate", subject, format!("valid for {host}")),
                Verification::Failed(why) => Step::not_known(
                    "certificate",
                    subject,
                    format!("{why}; senders that do not insist (most) come all the same"),
                    format!("a certificate for {host} by a public authority, under [tls]"),
                ),
                Verification::NotChecked => Step::not_known(
                    "certificate",
                    subject,
                    "not checked",
                    "ask again on a machine with authorities",
                ),
            });
        }
    }
    steps
}

// ---- A mail through a route ----

/// The route of the mail; nothing without one in the configuration.
fn route<'s>(
    settings: &'s Settings,
    arguments: &SetupArguments,
    wishes: &Wishes,
) -> Result<Option<&'s RouteSettings>, Failure> {
    if let Some(name) = &arguments.route {
        let names = settings.routes.iter().map(|route| route.name.as_str());
        return settings.route(name).map(Some).ok_or_else(|| unknown_word("--route", name, names));
    }
    let leads_here = |route: &&RouteSettings| {
        let domain = route.to.rsplit_once('@').and_then(|(_, domain)| Name::from_dotted(domain).ok());
        domain.is_some_and(|domain| wishes.own_domains.contains(&domain))
    };
    Ok(settings.routes.iter().find(leads_here).or_else(|| settings.routes.first()))
}

/// Sends a mail through the route and waits until the store has its arrival.
fn mail(
    context: &Context,
    settings: &Settings,
    route: Option<&RouteSettings>,
    longest: Duration,
) -> Result<Vec<Step>, Failure> {
    let Some(route) = route else {
        let evidence = "not done: the configuration has no route";
        let mend = "add a [sender.NAME] with your relay and a [route.NAME] (`mailsonde config example`): a mail that \
                    comes from outside is the only proof that others reach this machine";
        return Ok(vec![Step::not_known("hand-over", "-", evidence, mend)]);
    };
    if !settings.store_path.exists() {
        let evidence = format!("not done: no database at {}", settings.store_path.display());
        let mend = "start `mailsonde serve` first: it takes the mail and keeps it there";
        return Ok(vec![Step::not_known("hand-over", &route.name, evidence, mend)]);
    }
    let (_, store) = context.open_store()?;
    let keys = keys::load_or_create(store.path())?;
    let sending =
        Sending::new(store.clone(), keys, Arc::new(settings.clone()), &dns::connect(&settings.dns)?, false);
    let asked = Asked::by_hand(route.profile());
    let sent = wait(send_probe(&sending, route, asked))?.map_err(Failure::run)?;
    let by = format!("route {} by {}", route.name, route.sender.target());
    let reader = store.reader()?;
    let deadline = clock::instant() + longest;
    let (verdict, is_over) = loop {
        let verdict = reader.probe(&sent.token, clock::now())?.verdict;
        let is_over = clock::instant() >= deadline;
        if !verdict.state.is_open() || is_over {
            break (verdict, is_over);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    store.close();
    let reason = verdict.reason.clone().unwrap_or_else(|| verdict.state.as_str().to_owned());
    let taken = || Step::yes("hand-over", by.clone(), format!("taken for {}", sent.to));
    let show = format!("`mailsonde probe show {}` tells what became of it", sent.token);
    Ok(match verdict.state {
        ProbeState::Arrived | ProbeState::Late => {
            let took =
                verdict.latency.map_or_else(String::new, |latency| format!(" after {} ms", latency.ms));
            vec![taken(), Step::yes("arrival", sent.to.to_string(), format!("arrived{took}"))]
        }
        ProbeState::Refused | ProbeState::Deferred => {
            vec![Step::no(
                "hand-over",
                by,
                reason,
                format!("mend the [sender.{}]; {show}", route.sender.name),
            )]
        }
        ProbeState::Sending | ProbeState::InDoubt => vec![Step::not_known("hand-over", by, reason, show)],
        ProbeState::Bounced | ProbeState::Lost => {
            vec![taken(), Step::no("arrival", sent.to.to_string(), reason, show)]
        }
        _ => {
            let waited = if is_over { format!("not within {} s", longest.as_secs()) } else { reason };
            let mend = format!(
                "is `mailsonde serve` running with this database? The relay may still hold the mail: {show}; --wait \
                 waits longer"
            );
            vec![taken(), Step::not_known("arrival", sent.to.to_string(), waited, mend)]
        }
    })
}

// ---- Reports ----

/// For each domain the reports so far, or when the first may be expected.
fn reports_so_far(context: &Context, wishes: &Wishes) -> Vec<String> {
    let mut lines = Vec::new();
    let reader = context.open_reader().ok();
    let mut is_waiting = false;
    for domain in &wishes.domains {
        let query = Query { domain: DomainName::parse(domain.as_str()), ..Query::default() };
        let answer = reader.as_ref().and_then(|reader| reader.summary(&query).ok());
        match answer.filter(|answer| answer.totals.sums.reports > 0) {
            Some(answer) => {
                let last = answer
                    .last
                    .map_or_else(String::new, |last| format!(", the last up to {}", last.rfc3339()));
                lines.push(format!("{domain}: {} reports so far{last}", answer.totals.sums.reports));
            }
            None => {
                is_waiting = true;
                lines.push(format!("{domain}: no DMARC report yet"));
            }
        }
    }
    if is_waiting {
        lines.extend(FIRST_REPORTS.iter().map(|line| (*line).to_owned()));
    }
    lines
}
