//! The arguments of `report`: views and filters.

use clap::{Args, ValueEnum};

/// `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    /// Which view
    #[arg(value_enum, default_value_t = View::Summary, value_name = "VIEW")]
    pub view: View,
    /// The filters.
    #[command(flatten)]
    pub filter: FilterArguments,
    /// The filters of `messages`.
    #[command(flatten)]
    pub trace: TraceArguments,
    /// The filters of views of probes.
    #[command(flatten)]
    pub probes: ProbeViewArguments,
    /// Show persons in `failures` as they are; each use is written down
    #[arg(long)]
    pub reveal: bool,
    /// Exit code 1 if this holds of the totals, such as 'dmarc_fail > 0'; may be given several times
    #[arg(long, value_name = "EXPRESSION")]
    pub fail_if: Vec<String>,
}

/// The views of `report`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// A line a policy domain.
    Summary,
    /// A line a source address.
    Sources,
    /// A line a policy domain and author domain.
    Domains,
    /// A line a reporter.
    Reporters,
    /// A line a policy of a domain as published, with what changed.
    Policies,
    /// A line a record of a report.
    Records,
    /// A line a failure report about one message; persons are hidden.
    Failures,
    /// A line a source, signer and campaign of which people complained.
    Complaints,
    /// A line a day, domain, policy type and cause of TLS reports.
    Tls,
    /// A line a day, outcome, status, class, host and recipient domain of bounces.
    Bounces,
    /// A line a recipient of a bounce.
    BounceList,
    /// A line a day, author domain and result of DMARC of received mails.
    Authentication,
    /// A line a received mail.
    Messages,
    /// A line a route of probes, or a part of it (--by): each state, availability, spam.
    Probes,
    /// A line a route, or a part of it (--by): how long its probes took.
    Latency,
    /// A line a route and MX host: error budget, last good probe, longest gap and outage.
    Continuity,
    /// A line a probe.
    ProbeList,
    /// A line a watched address: mail without a token, and whether it is as expected.
    Watched,
}

/// Filters and order of an answer.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct FilterArguments {
    /// This domain and all below it
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    /// From: 2026-03-01, an RFC 3339 time, 30d or 12h ago, today, yesterday
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// To, a day inclusive: as --since
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// One source or peer address
    #[arg(long, visible_alias = "ip", value_name = "IP")]
    pub source: Option<String>,
    /// Reporters with this in their name
    #[arg(long, value_name = "TEXT")]
    pub reporter: Option<String>,
    /// pass or fail of DMARC; a kind or status of messages; a state of probes; a policy type or cause of TLS;
    /// a type, failure or delivery result of failure reports; an outcome, status, class or reason of bounces
    #[arg(long, value_name = "WORD")]
    pub result: Option<String>,
    /// Reports that count: verified or all; of messages, which mails
    #[arg(long, value_name = "WORD")]
    pub trust: Option<String>,
    /// Zone of mails and probes in tables; days of reports are UTC
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Most rows; totals are of all
    #[arg(long, value_name = "ROWS")]
    pub limit: Option<usize>,
    /// Column to sort by, as named in JSON; with - before it the largest first
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub sort: Option<String>,
}

/// Filters of `report messages` alone: what a message trace asks for.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters of messages")]
pub struct TraceArguments {
    /// Reverse-path or author; * stands for anything, as in *@example.com; <> is the null reverse-path
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// A recipient; * stands for anything
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// The Message-ID field, with or without < >
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
    /// aggregate, failure, tls, bounce, probe, reply or other
    #[arg(long, value_name = "WORD")]
    pub kind: Option<String>,
    /// pending, read, duplicate, unread or kept
    #[arg(long, value_name = "WORD")]
    pub state: Option<String>,
    /// All mails about the same probe, thread or bounce as this mail, token or Message-ID
    #[arg(long, value_name = "ID")]
    pub related: Option<String>,
}

/// Filters of views of probes alone.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters of probes")]
pub struct ProbeViewArguments {
    /// Parts of a route in `probes` and `latency`: route, day, hour (of the week), mx, mx-domain, destination, profile
    #[arg(long, value_name = "WORD")]
    pub by: Option<String>,
    /// One route, with its MX hosts where each is a route of its own
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
}
