//! `report VIEW`: the answers of the store.

pub(in crate::cli) mod probes;
pub(in crate::cli) mod reveal;

use std::io::Write;

use jiff::tz::TimeZone;

use crate::classify::MessageKind;
use crate::cli::args::{FilterArguments, Format, ReportArguments, TraceArguments, View};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::cli::fail_if::FailIf;
use crate::cli::period;
use crate::cli::setup::expect::with_nothing_stored;
use crate::clock::Timestamp;
use crate::config::fault::nearest;
use crate::config::places::places;
use crate::mail::DomainName;
use crate::probe::lifecycle::State;
use crate::probe::watched::WatchedState;
use crate::render::{Column, Head, Sheet, escape, policies, views};
use crate::store::MessageStatus;
use crate::summary::{AddressPattern, Answer, Query, Trace, Trust, TrustAsked};

/// Runs the command.
pub fn run(context: &Context, arguments: &ReportArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let conditions =
        arguments.fail_if.iter().map(|text| FailIf::parse(text)).collect::<Result<Vec<_>, Failure>>()?;
    let mut question = Question::of(context, arguments.view, &arguments.filter)?;
    question.query.trace = read_trace(arguments.view, &arguments.trace)?;
    let by = probes::read(arguments.view, &arguments.probes, &mut question)?;
    if arguments.reveal && arguments.view != View::Failures {
        return Err(Failure::usage(
            format!("--reveal: `{}` hides nothing", arguments.view.name()),
            "mailsonde report failures --reveal",
        ));
    }
    let reader = context.open_reader()?;
    let query = &question.query;
    let is_empty = reader.is_empty()?;
    let guide = if is_empty { with_nothing_stored(&context.settings()?) } else { Vec::new() };
    let print = Printer { context, question: &question, conditions: &conditions, guide: &guide };
    match arguments.view {
        View::Summary => print.answer(&reader.summary(query)?, views::SUMMARY, views::SUMMARY_TOTALS, out),
        View::Sources => {
            let senders = crate::config::senders::senders(&context.settings()?)?;
            let (places, faults) = places(&context.settings()?);
            let mut answer = reader.sources_by(query, &senders, &places)?;
            answer.notes.extend(faults);
            print.answer(&answer, views::SOURCES, views::SUMS, out)
        }
        View::Policies => {
            print.answer(&reader.policies(query)?, policies::POLICIES, policies::POLICY_TOTALS, out)
        }
        View::Domains => print.answer(&reader.domains(query)?, views::DOMAINS, views::SUMS, out),
        View::Reporters => print.answer(&reader.reporters(query)?, views::REPORTERS, views::SUMS, out),
        View::Records => print.answer(&reader.records(query)?, views::RECORDS, views::RECORD_TOTALS, out),
        View::Failures => {
            let mut answer = reader.failures(query)?;
            if arguments.reveal {
                reveal::persons(context, &reader, &question, &mut answer.rows)?;
            }
            print.answer(&answer, views::FAILURES, views::FAILURE_TOTALS, out)
        }
        View::Complaints => {
            print.answer(&reader.complaints(query)?, views::COMPLAINTS, views::COMPLAINT_TOTALS, out)
        }
        View::Bounces => print.answer(&reader.bounces(query)?, views::BOUNCES, views::BOUNCE_TOTALS, out),
        View::BounceList => {
            print.answer(&reader.bounce_list(query)?, views::BOUNCE_LIST, views::BOUNCE_TOTALS, out)
        }
        View::Tls => print.answer(&reader.tls(query)?, views::TLS, views::TLS_TOTALS, out),
        View::Authentication => print.answer(
            &reader.authentication(query)?,
            views::AUTHENTICATION,
            views::AUTHENTICATION_TOTALS,
            out,
        ),
        View::Messages => {
            print.answer(&reader.messages(query)?, views::MESSAGES_RECEIVED, views::MESSAGE_TOTALS, out)
        }
        View::ProbeList => {
            print.answer(&reader.probes(query, context.now)?, views::PROBES, views::PROBE_TOTALS, out)
        }
        View::Watched => {
            let watched = context.settings()?.watched.clone();
            let mut answer = reader.watched_mail(query, &watched, context.now)?;
            if watched.is_empty() {
                answer.notes.push("no [[watched]] in the configuration".to_owned());
            }
            print.answer(&answer, views::WATCHED, views::WATCHED_TOTALS, out)
        }
        View::Probes | View::Latency | View::Continuity => {
            let settings = context.settings()?;
            probes::with_means(&settings, &question, (by, context.now), |means| match arguments.view {
                View::Latency => {
                    print.answer(&reader.latency(query, means)?, views::LATENCY, views::LATENCY_TOTALS, out)
                }
                View::Continuity => {
                    let answer = reader.continuity(query, means)?;
                    print.answer(&answer, views::CONTINUITY, views::CONTINUITY_TOTALS, out)
                }
                _ => {
                    let answer = reader.probe_groups(query, means)?;
                    print.answer(&answer, views::PROBE_GROUPS, views::PROBE_COUNTS, out)
                }
            })
        }
    }
}

/// A question with what its head shows.
pub struct Question {
    /// The question for the store.
    pub query: Query,
    /// The zone of instants.
    pub zone: TimeZone,
    /// The head of the answer.
    pub head: Head,
}

impl Question {
    /// Reads the filters of a view.
    ///
    /// Errors: wrong use, naming the option and what may stand there.
    pub fn of(context: &Context, view: View, filter: &FilterArguments) -> Result<Self, Failure> {
        let zone = period::zone(filter.tz.as_deref())?;
        let (since, until) = (filter.since.as_deref(), filter.until.as_deref());
        // Reports belong to UTC days, whatever the zone; mails and probes are instants.
        let asked = if view.is_of_instants() {
            period::asked(since, until, &zone, context.now)?
        } else {
            period::whole_days(period::asked(since, until, &TimeZone::UTC, context.now)?)
        };
        let domain = filter.domain.as_deref().map(read_domain).transpose()?;
        let source = filter.source.as_deref().map(read_source).transpose()?;
        if let Some(sort) = &filter.sort {
            check_sort(view, sort)?;
        }
        if let Some(result) = &filter.result {
            check_result(view, result)?;
        }
        for (option, is_given) in [("--source", source.is_some()), ("--result", filter.result.is_some())] {
            if view == View::Policies && is_given {
                return Err(Failure::usage(
                    format!("{option}: policies have none"),
                    "filters of policies: --domain, --since, --until, --reporter",
                ));
            }
        }
        if filter.trust.is_some()
            && (view.is_of_probes()
                || matches!(view, View::Bounces | View::BounceList | View::Authentication | View::Watched))
        {
            return Err(Failure::usage(
                format!("--trust: `{}` counts no reports", view.name()),
                "views of reports and `messages` take it",
            ));
        }
        for (option, is_given) in [("--source", source.is_some()), ("--reporter", filter.reporter.is_some())]
        {
            let filters = match view {
                _ if view.is_of_probes() => {
                    "--domain (of the recipient), --route, --since, --until, --result"
                }
                View::Bounces | View::BounceList if option == "--source" => {
                    "--domain (of the recipient), --since, --until, --reporter, --result"
                }
                View::Authentication => "--domain, --since, --until, --result",
                View::Watched => "--since, --until, --result",
                View::Tls if option == "--source" => "--domain, --since, --until, --reporter, --result",
                _ => continue,
            };
            if is_given {
                let name = view.name();
                return Err(Failure::usage(
                    format!("{option}: `{name}` has none"),
                    format!("filters of `{name}`: {filters}"),
                ));
            }
        }
        if view == View::Watched && domain.is_some() {
            return Err(Failure::usage(
                "--domain: `watched-mail` has none",
                "filters of `report watched`: --since, --until, --result",
            ));
        }
        let head = Head {
            view: view.name(),
            title: view.title(),
            domain: domain.as_ref().map(ToString::to_string),
            since: asked.period.since_ms.map(Timestamp::from_ms),
            until: asked.period.until_ms.map(Timestamp::from_ms),
            ..Head::default()
        };
        let query = Query {
            route: None,
            domain,
            period: asked.period,
            is_relative: asked.is_relative,
            source,
            reporter: filter.reporter.clone(),
            result: filter.result.clone(),
            trust: read_trust(filter.trust.as_deref())?,
            trace: Trace::default(),
            limit: filter.limit,
            sort: filter.sort.clone(),
        };
        Ok(Self { query, zone, head })
    }
}

/// Reads the name after `--domain`.
pub fn read_domain(text: &str) -> Result<DomainName, Failure> {
    DomainName::parse(text).ok_or_else(|| {
        Failure::usage(format!("no domain name: {text:?}"), "write a name such as example.com")
    })
}

/// Reads the word after `--trust`.
pub fn read_trust(word: Option<&str>) -> Result<TrustAsked, Failure> {
    let Some(word) = word else { return Ok(TrustAsked::default()) };
    TrustAsked::parse(word)
        .ok_or_else(|| unknown_word("--trust", word, TrustAsked::ALL.map(TrustAsked::as_str).to_vec()))
}

/// Reads the filters of `messages`.
///
/// Errors: one of them with another view, an address that can be none, an unknown word.
fn read_trace(view: View, arguments: &TraceArguments) -> Result<Trace, Failure> {
    let TraceArguments { from, to, message_id, kind, state, related } = arguments;
    let given = [
        ("--from", from),
        ("--to", to),
        ("--message-id", message_id),
        ("--kind", kind),
        ("--state", state),
        ("--related", related),
    ];
    if view != View::Messages
        && let Some((option, _)) = given.iter().find(|(_, value)| value.is_some())
    {
        return Err(Failure::usage(
            format!("{option}: `{}` has none", view.name()),
            "it is a filter of `mailsonde report messages`",
        ));
    }
    let pattern = |option: &str, text: &Option<String>| -> Result<Option<AddressPattern>, Failure> {
        let read = |text: &String| {
            AddressPattern::parse(text).ok_or_else(|| {
                Failure::usage(
                    format!("{option}: no address: {text:?}"),
                    "write anna@example.com, *@example.com or *@*.example.com",
                )
            })
        };
        text.as_ref().map(read).transpose()
    };
    if let Some(word) = kind
        && !KINDS.iter().any(|kind| kind.as_str() == word)
    {
        return Err(unknown_word("--kind", word, KINDS.map(MessageKind::as_str)));
    }
    if let Some(word) = state
        && MessageStatus::parse(word).is_none()
    {
        return Err(unknown_word("--state", word, MessageStatus::ALL.map(MessageStatus::as_str)));
    }
    Ok(Trace {
        from: pattern("--from", from)?,
        to: pattern("--to", to)?,
        message_id: message_id.clone(),
        kind: kind.clone(),
        status: state.clone(),
        related: related.clone(),
    })
}

/// Reads the address after `--source`.
fn read_source(text: &str) -> Result<String, Failure> {
    let ip = text.trim().trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    ip.map(|ip| ip.to_canonical().to_string()).map_err(|_| {
        Failure::usage(
            format!("--source: no IP address: {text:?}"),
            "write an address such as 192.0.2.1 or 2001:db8::1",
        )
    })
}

/// Every kind of message, for hints.
pub const KINDS: [MessageKind; 7] = [
    MessageKind::Aggregate,
    MessageKind::Failure,
    MessageKind::Tls,
    MessageKind::Bounce,
    MessageKind::Probe,
    MessageKind::Reply,
    MessageKind::Other,
];

/// Refuses a word after `--result` that nothing in the view can be.
fn check_result(view: View, result: &str) -> Result<(), Failure> {
    let words: Vec<&str> = match view {
        View::Messages => MessageStatus::ALL
            .iter()
            .map(|status| status.as_str())
            .chain(KINDS.iter().map(|kind| kind.as_str()))
            .chain(Trust::ALL.iter().map(|trust| trust.as_str()).filter(|word| *word != "pending"))
            .chain(["untrusted"])
            .collect(),
        // Reporters invent words: any may be asked for.
        View::Tls | View::Failures | View::Complaints | View::Bounces | View::BounceList => return Ok(()),
        View::Authentication => {
            vec!["pass", "fail", "none", "temperror", "permerror", "not-known", "waiting"]
        }
        View::Probes | View::Latency | View::Continuity | View::ProbeList => {
            State::ALL.iter().map(|state| state.as_str()).collect()
        }
        View::Watched => WatchedState::ALL.iter().map(|state| state.as_str()).collect(),
        _ => vec!["pass", "fail"],
    };
    if words.contains(&result) { Ok(()) } else { Err(unknown_word("--result", result, words)) }
}

/// Refuses a column that the view does not have.
fn check_sort(view: View, sort: &str) -> Result<(), Failure> {
    let name = sort.strip_prefix(['-', '+']).unwrap_or(sort);
    let names = view.column_names();
    if names.contains(&name) {
        return Ok(());
    }
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Columns here: {}", names.join(", ")),
        None => format!("columns here: {}", names.join(", ")),
    };
    Err(Failure::usage(format!("--sort: no column {name:?} in `{}`", view.name()), hint))
}

impl View {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Sources => "sources",
            Self::Domains => "domains",
            Self::Policies => "policies",
            Self::Reporters => "reporters",
            Self::Records => "records",
            Self::Failures => "failures",
            Self::Complaints => "complaints",
            Self::Bounces => "bounces",
            Self::BounceList => "bounce-list",
            Self::Tls => "tls",
            Self::Authentication => "authentication",
            Self::Messages => "messages",
            Self::Probes => "probes",
            Self::Latency => "latency",
            Self::Continuity => "continuity",
            Self::ProbeList => "probe-list",
            // `watched` is the list of domains.
            Self::Watched => "watched-mail",
        }
    }

    /// The title of its table.
    const fn title(self) -> &'static str {
        match self {
            Self::Summary => "DMARC by policy domain",
            Self::Sources => "DMARC by source",
            Self::Domains => "DMARC by author domain",
            Self::Policies => "Policies as published",
            Self::Reporters => "DMARC by reporter",
            Self::Records => "Records of aggregate reports",
            Self::Failures => "Failure reports",
            Self::Complaints => "Complaints",
            Self::Bounces => "Bounces and other notices",
            Self::BounceList => "Bounces by recipient",
            Self::Tls => "SMTP TLS reports",
            Self::Authentication => "Authentication of mails received",
            Self::Messages => "Mails received",
            Self::Probes => "Probes by route",
            Self::Latency => "Latency of probes",
            Self::Continuity => "Continuity of routes",
            Self::ProbeList => "Probes",
            Self::Watched => "Watched addresses",
        }
    }

    /// True for mails, bounces and probes, which have an instant instead of days.
    const fn is_of_instants(self) -> bool {
        self.is_of_probes()
            || matches!(
                self,
                Self::Messages | Self::Bounces | Self::BounceList | Self::Authentication | Self::Watched
            )
    }

    /// True for views of probes.
    const fn is_of_probes(self) -> bool {
        matches!(self, Self::Probes | Self::Latency | Self::Continuity | Self::ProbeList)
    }

    /// The names of its columns.
    fn column_names(self) -> Vec<&'static str> {
        fn names<R>(columns: &'static [Column<R>]) -> Vec<&'static str> {
            columns.iter().map(|column| column.spec.name).collect()
        }
        match self {
            Self::Summary => names(views::SUMMARY),
            Self::Sources => names(views::SOURCES),
            Self::Domains => names(views::DOMAINS),
            Self::Policies => names(policies::POLICIES),
            Self::Reporters => names(views::REPORTERS),
            Self::Records => names(views::RECORDS),
            Self::Failures => names(views::FAILURES),
            Self::Complaints => names(views::COMPLAINTS),
            Self::Bounces => names(views::BOUNCES),
            Self::BounceList => names(views::BOUNCE_LIST),
            Self::Tls => names(views::TLS),
            Self::Authentication => names(views::AUTHENTICATION),
            Self::Messages => names(views::MESSAGES_RECEIVED),
            Self::Probes => names(views::PROBE_GROUPS),
            Self::Latency => names(views::LATENCY),
            Self::Continuity => names(views::CONTINUITY),
            Self::ProbeList => names(views::PROBES),
            Self::Watched => names(views::WATCHED),
        }
    }
}

/// Prints answers and judges them.
pub struct Printer<'p> {
    /// The run.
    pub context: &'p Context,
    /// The question.
    pub question: &'p Question,
    /// The conditions of `--fail-if`.
    pub conditions: &'p [FailIf],
    /// What to do where nothing is stored at all: in the place of a table, beside other formats.
    pub guide: &'p [String],
}

impl Printer<'_> {
    /// Prints one answer; findings if any condition holds of its totals.
    pub fn answer<R, T>(
        &self,
        answer: &Answer<R, T>,
        columns: &'static [Column<R>],
        totals: &'static [Column<T>],
        out: &mut dyn Write,
    ) -> Result<Exit, Failure> {
        let sheet = Sheet::of_answer(self.question.head.clone(), columns, totals, answer);
        let mut found = false;
        for condition in self.conditions {
            found |= condition.holds(&sheet)?;
        }
        let output = &self.context.output;
        let is_for_eyes = output.format == Format::Table;
        let printed = if is_for_eyes && !self.guide.is_empty() {
            let mut lines = self.guide.iter().map(|line| escape::terminal(line));
            lines.try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush())
        } else {
            output.print(&sheet, &self.question.zone, out)
        };
        if !is_for_eyes {
            self.guide.iter().for_each(|line| output.remark(line));
        }
        match printed {
            // Whoever reads has seen enough: the answer to --fail-if stays.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
        Ok(Exit::findings_if(found))
    }
}
