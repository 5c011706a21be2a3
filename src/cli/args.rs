//! The arguments: what may be written, with an example for every command.
//!
//! Nothing stands here that does not work.

mod probe;
mod report;
mod setup;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use probe::ProbeDrillArguments;
pub use report::{FilterArguments, ProbeViewArguments, ReportArguments, TraceArguments, View};
pub use setup::{CheckArguments, SetupArguments};

/// The examples of the program as a whole.
const EXAMPLES: &str = "\
Examples:
  mailsonde demo                                the product shown on this machine, no network
  mailsonde import ~/reports                    read report files and mails
  mailsonde report                              a line a domain
  mailsonde report sources --domain example.com --since 30d
  mailsonde serve                               receive reports and probes by SMTP

Exit codes: 0 fine, 1 findings, 2 wrong use or configuration, 3 could not run";

/// Sight for mail administrators: receives mail reports and probes over SMTP, answers with tables.
#[derive(Debug, Parser)]
#[command(name = "mailsonde", version, about, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command; they stand before or after it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArguments {
    /// Configuration file [without it: ./mailsonde.toml, /etc/mailsonde/mailsonde.toml, defaults]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database file, over the one of the configuration [without both: ./mailsonde.db]
    #[arg(long, global = true, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// How answers are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Colour in tables; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// Say more on standard error; twice: even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say less on standard error: errors only, no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For eyes.
    Table,
    /// One object (docs/json-output.md).
    Json,
    /// One object a row, a line each.
    Ndjson,
    /// One line a row, safe to open in a spreadsheet.
    Csv,
    /// For tickets and wikis.
    Markdown,
    /// A self-contained page.
    Html,
    /// Lines of a zone file, of `setup` only.
    Zone,
}

/// When tables are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive reports and probes by SMTP until stopped
    #[command(after_help = "\
Examples:
  mailsonde serve                                  loopback ports, ./mailsonde.db
  mailsonde --config /etc/mailsonde/mailsonde.toml serve

SIGTERM and SIGINT finish what is in flight. Sockets are taken from systemd if it hands any over.")]
    Serve(ServeArguments),
    /// Show the product on this machine: shipped mail by real SMTP, probes good and bad, tables
    #[command(after_help = "\
Examples:
  mailsonde demo
  mailsonde demo --keep                            stay up to be tried by hand")]
    Demo(DemoArguments),
    /// Read report files, mails, mailboxes and folders into the store
    #[command(after_help = "\
Examples:
  mailsonde import report.xml.gz mail.eml
  mailsonde import ~/Maildir /var/spool/reports    folders with everything below them
  mailsonde import - < mailbox.mbox
  mailsonde import reports.tar.gz --format json
  mailsonde import ~/Maildir --follow              go on with what comes, until stopped

What a file is, is decided by its content: .xml .gz .zip .json .eml .mbox .tar .tar.gz, Maildir.
Reading a file again changes no sum. Exit code 1 if any file could not be read.")]
    Import(ImportArguments),
    /// Print what is in the store
    #[command(after_help = "\
Examples:
  mailsonde report                                 a line a domain
  mailsonde report sources --domain example.com --since 30d
  mailsonde report summary --since 2026-03-01 --until 2026-03-31 --format csv
  mailsonde report messages --result unread --tz Europe/Berlin
  mailsonde report --since yesterday --fail-if 'dmarc_fail > 0'
  mailsonde report probes --by day --since 7d
  mailsonde report latency --by hour --tz Europe/Berlin
  mailsonde report messages --from '*@example.com' --to desk@example.net")]
    Report(Box<ReportArguments>),
    /// Send probes and see what became of them
    #[command(
        subcommand,
        after_help = "\
Examples:
  mailsonde probe send hq --wait 2m
  mailsonde probe list --since 1d
  mailsonde probe show mfhqmqy4gpvai5zhsjgf5fvtha754ibxs2"
    )]
    Probe(ProbeCommand),
    /// Read report mail from IMAP and POP3 accounts of the configuration
    #[command(
        subcommand,
        after_help = "\
Examples:
  mailsonde mailbox test reports                   sign in, look, read nothing
  mailsonde mailbox poll                           read what is new in every mailbox
  mailsonde mailbox login reports                  sign in by OAuth 2.0
  mailsonde mailbox list

`serve` reads all mailboxes of the configuration by itself."
    )]
    Mailbox(MailboxCommand),
    /// Look at one mail that came
    #[command(
        subcommand,
        after_help = "\
Examples:
  mailsonde messages show slxnlz9ryx5c
  mailsonde messages show slxnlz9ryx5c --raw > mail.eml"
    )]
    Messages(MessagesCommand),
    /// Watched domains: those whose reports count
    #[command(
        subcommand,
        after_help = "\
Examples:
  mailsonde domains add example.com example.net
  mailsonde domains list"
    )]
    Domains(DomainsCommand),
    /// Look after the store
    #[command(
        subcommand,
        after_help = "\
Examples:
  mailsonde db stats
  mailsonde db verify
  mailsonde db reprocess --status unread
  mailsonde db prune
  mailsonde db backup copy.db
  mailsonde db export --format csv > records.csv"
    )]
    Db(DbCommand),
    /// Ask DNS about a domain's mail
    #[command(after_help = "\
Examples:
  mailsonde dns spf example.com                    everything that the SPF record leads to
  mailsonde dns spf example.com --ip 192.0.2.1     what it says to a mail from there, and why
  mailsonde dns simulate example.com --spf 'v=spf1 mx -all' --since 30d")]
    Dns(DnsArguments),
    /// Print the DNS records that bring reports about a domain here, whole, and prove that they do
    #[command(after_help = "\
Examples:
  mailsonde setup example.com                      what to publish: their records with our address in them
  mailsonde setup example.com --format zone        the same as lines of a zone file
  mailsonde setup --ruf --address 203.0.113.25     the domains of the configuration, failure reports too
  mailsonde setup example.com --verify             is all of it in force, and does mail arrive?

What stands in DNS stays: tags, order, addresses of others. What DNS does not say is not known, and nothing is
proposed for it. Exit code 1 if anything is to be done, or with --verify if any step is not proven.")]
    Setup(SetupArguments),
    /// Say in one line how a domain or a route of probes does, for Nagios, Icinga, Checkmk and the like
    #[command(after_help = "\
Examples:
  mailsonde check example.com
  mailsonde check example.com --warn warnings=~: --crit failing_percent=20
  mailsonde check example.com --warn report_age_hours=48 --crit report_age_hours=96 --since 14d
  mailsonde check hq -w p95=120s,loss=1% -c p95=600s,loss=5% --since 1d

Exit codes here are those of plug-ins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. A threshold is METRIC=RANGE; a range is
10 (0 to 10), 10: (10 or more), ~:10 (10 or less), 10:20, or @10:20 (alarm inside). Metrics: criticals, errors,
warnings, not_known, failing_percent, messages, report_age_hours; of a route p50, p90, p95, p99 (seconds, or with ms, s, m,
h), loss (percent), spam, dup, unobserved (probes).")]
    Check(CheckArguments),
    /// Check the configuration, or print an example of one
    #[command(
        subcommand,
        after_help = "\
Examples:
  mailsonde config example > mailsonde.toml
  mailsonde --config mailsonde.toml config check"
    )]
    Config(ConfigCommand),
}

/// `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArguments {}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Stay up after the tables are printed, until stopped
    #[arg(long)]
    pub keep: bool,
}

/// `import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArguments {
    /// Files and folders; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Go on with files that come later, until stopped; each is read once it no longer grows
    #[arg(long)]
    pub follow: bool,
    /// Look up the names of the sources of all stored reports afterwards
    #[arg(long, conflicts_with = "follow")]
    pub resolve: bool,
}

/// `probe`.
#[derive(Debug, Subcommand)]
pub enum ProbeCommand {
    /// Send one probe over a route of the configuration
    #[command(after_help = "\
Examples:
  mailsonde probe send hq
  mailsonde probe send hq --wait 2m --format json
  mailsonde probe send hq --profile attach:5MiB --count 3 --wait

Exit code 0 if the probe was taken and, with --wait, became what it should; 1 if not; 2 if it may not be
sent as it is configured; 3 if it cannot be sent now.")]
    Send(ProbeSendArguments),
    /// Record a planned failover: send every few seconds until stopped, and tell what happened when
    #[command(after_help = "\
Examples:
  mailsonde probe drill hq                         until Ctrl-C
  mailsonde probe drill hq --every 2s --for 10m
  mailsonde probe drill hq --last                  the last one, as its probes stand now

Caps on what is sent hold: raise them for the drill in [probes]. Exit code 1 if a probe was not taken, delayed or lost.")]
    Drill(ProbeDrillArguments),
    /// The probes sent, the newest first
    #[command(after_help = "\
Examples:
  mailsonde probe list --since 1d
  mailsonde probe list --route hq --state lost --limit 20")]
    List(Box<ProbeListArguments>),
    /// Everything known of one probe
    #[command(after_help = "\
Examples:
  mailsonde probe show mfhqmqy4gpvai5zhsjgf5fvtha754ibxs2
  mailsonde probe show '<mfhqmqy4gpvai5zhsjgf5fvtha754ibxs2@probe.example.com>'
  mailsonde probe show 49WyBc05CF                    by the far end's queue id")]
    Show(ProbeShowArguments),
    /// The routes of the configuration, or what stands in their way
    #[command(after_help = "\
Examples:
  mailsonde probe routes
  mailsonde probe routes --check                   consent, leave, and what receivers see of us
  mailsonde probe routes hq --check --zone candidate.zone

Exit code 1 if --check finds what would stop a probe.")]
    Routes(ProbeRoutesArguments),
    /// What the schedule can detect, and the load that it makes
    #[command(after_help = "\
Examples:
  mailsonde probe plan
  mailsonde probe plan --loss 1% --within 1d       which interval shows such a loss

Exit code 1 if --loss is given and a route with an interval would miss it.")]
    Plan(ProbePlanArguments),
}

/// `probe routes`.
#[derive(Debug, Clone, Args)]
pub struct ProbeRoutesArguments {
    /// The routes [without any: all]
    #[arg(value_name = "ROUTE")]
    pub routes: Vec<String>,
    /// Ask DNS for leave and for what receivers see of us
    #[arg(long)]
    pub check: bool,
    /// Answer from this zone file instead of the network
    #[arg(long, value_name = "FILE", requires = "check")]
    pub zone: Option<PathBuf>,
}

/// `probe plan`.
#[derive(Debug, Clone, Args)]
pub struct ProbePlanArguments {
    /// The loss that is to show, such as 1%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub loss: Option<u32>,
    /// Within how long it is to show, such as 1h [default: 1d]
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "loss")]
    pub within: Option<std::time::Duration>,
}

/// `probe send`.
#[derive(Debug, Clone, Args)]
pub struct ProbeSendArguments {
    /// The route, as named in the configuration
    pub route: String,
    /// Wait for its arrival, this long at most: 30s, 2m [without a value: 2m]
    #[arg(long, value_name = "DURATION", value_parser = duration, num_args = 0..=1, default_missing_value = "2m")]
    pub wait: Option<std::time::Duration>,
    /// What it is made of, in place of the first profile of its route
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Send so many, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub count: u16,
    /// Send although the look at ourselves found what receivers take offence at
    #[arg(long)]
    pub force: bool,
}

/// `probe list`.
#[derive(Debug, Clone, Args)]
pub struct ProbeListArguments {
    /// The filters of all views.
    #[command(flatten)]
    pub filter: FilterArguments,
    /// Probes of this route
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// Probes in this state, as `lost` or `unobserved`
    #[arg(long, value_name = "STATE", conflicts_with = "result")]
    pub state: Option<String>,
}

/// `probe show`.
#[derive(Debug, Clone, Args)]
pub struct ProbeShowArguments {
    /// Its token, recipient, Message-ID, or queue id at the far end
    pub token: String,
}

/// `mailbox`.
#[derive(Debug, Subcommand)]
pub enum MailboxCommand {
    /// Sign in by OAuth 2.0; the tokens are kept beside the database
    #[command(after_help = "\
Examples:
  mailsonde mailbox login reports")]
    Login {
        /// The mailbox, as named in the configuration
        #[arg(value_name = "NAME")]
        mailbox: String,
    },
    /// Read what is new, once; exit code 1 if anything could not be read
    #[command(after_help = "\
Examples:
  mailsonde mailbox poll
  mailsonde mailbox poll reports --again           also what was given up before")]
    Poll(MailboxPollArguments),
    /// Connect, sign in and open each folder, without reading; exit code 1 if anything fails
    #[command(after_help = "\
Examples:
  mailsonde mailbox test
  mailsonde mailbox test reports --format json")]
    Test {
        /// The mailboxes [without any: all]
        #[arg(value_name = "NAME")]
        mailboxes: Vec<String>,
    },
    /// How far each folder was read, and what is still to be done in it
    #[command(after_help = "\
Examples:
  mailsonde mailbox list")]
    List,
}

/// `mailbox poll`.
#[derive(Debug, Clone, Args)]
pub struct MailboxPollArguments {
    /// The mailboxes [without any: all]
    #[arg(value_name = "NAME")]
    pub mailboxes: Vec<String>,
    /// Ask again for messages that were given up
    #[arg(long)]
    pub again: bool,
}

/// `dns`.
#[derive(Debug, Clone, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct DnsArguments {
    /// Answer from this zone file instead of the network
    #[arg(long, global = true, value_name = "FILE")]
    pub zone: Option<PathBuf>,
    /// The command.
    #[command(subcommand)]
    pub command: DnsCommand,
}

/// The commands of `dns`.
#[derive(Debug, Clone, Subcommand)]
pub enum DnsCommand {
    /// Draw all that a domain's SPF record leads to, or follow one check through it
    #[command(after_help = "\
Examples:
  mailsonde dns spf example.com
  mailsonde dns spf example.com --ip 192.0.2.1
  mailsonde dns spf example.com --ip 2001:db8::1 --sender news@example.com --helo mail.example.com
  mailsonde dns spf example.com --zone candidate.zone --format json

Exit code 1 if anything gives permerror or there is no record; with --ip if the result is not pass.")]
    Spf(DnsSpfArguments),
    /// Say what other records would have done to the mail that stored reports tell of
    #[command(after_help = "\
Examples:
  mailsonde dns simulate example.com --spf 'v=spf1 mx include:_spf.example.net -all' --since 30d
  mailsonde dns simulate example.com --dmarc 'v=DMARC1; p=reject' --since 30d
  mailsonde dns simulate example.com --spf 'v=spf1 mx -all' --dmarc 'v=DMARC1; p=reject; aspf=s' --format json

DKIM passes where the reports say so; SPF is checked anew with the records of now and with yours.
Exit code 1 if mail that passes DMARC now would fail, or the record has faults.")]
    Simulate(DnsSimulateArguments),
    /// Check all that a domain publishes for its mail: what is wrong, and how to mend it
    #[command(after_help = "\
Examples:
  mailsonde dns check example.com
  mailsonde dns check example.com --smtp
  mailsonde dns check example.com example.org --selector s1 --fail-on warning
  mailsonde dns check - --format ndjson < domains.txt
  mailsonde dns check example.com --zone candidate.zone

DKIM selectors are those given, and those of the store's reports. What nobody answers is not known, and lowers no
grade. Exit code 1 if anything at or above --fail-on was found.")]
    Check(DnsCheckArguments),
    /// Show what happened to the records and findings of watched domains, or how they stood
    #[command(after_help = "\
Examples:
  mailsonde dns history                            every change that a check of `serve` saw
  mailsonde dns history example.com --since 30d
  mailsonde dns history example.com --records      what is known of its records
  mailsonde dns history example.com --records --at 2026-03-01
  mailsonde dns history --findings                 what stands, and since when")]
    History(DnsHistoryArguments),
    /// Check domains again and again and print what changes
    #[command(after_help = "\
Examples:
  mailsonde dns watch example.com --every 1m       during a move, until interrupted
  mailsonde dns watch example.com example.org --rounds 10 --format ndjson

The first round is what later ones are compared with. No answer is no change: it is told when it lasts an hour.
Exit code 1 if anything changed.")]
    Watch(DnsWatchArguments),
}

/// `dns check`.
#[derive(Debug, Clone, Args)]
pub struct DnsCheckArguments {
    /// The domains; `-` reads them from standard input, one a line
    #[arg(required = true)]
    pub domains: Vec<String>,
    /// A DKIM selector to look at; may be repeated
    #[arg(long, value_name = "SELECTOR")]
    pub selector: Vec<String>,
    /// Talk with each MX host too: greeting, STARTTLS, certificate; nothing is sent
    #[arg(long)]
    pub smtp: bool,
    /// Ask DNS only: no policy is fetched by HTTPS, no name server is asked itself
    #[arg(long, conflicts_with = "smtp")]
    pub dns_only: bool,
    /// Exit with 1 if anything as bad as this was found: critical, error, warning, note, info
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    pub fail_on: String,
}

/// `dns history`.
#[derive(Debug, Clone, Args)]
pub struct DnsHistoryArguments {
    /// The watched domain and those below it [default: all]
    pub domain: Option<String>,
    /// Records as they stand
    #[arg(long, conflicts_with = "findings")]
    pub records: bool,
    /// Findings as they stand
    #[arg(long)]
    pub findings: bool,
    /// How they stood then: with --findings these, else records
    #[arg(long, value_name = "TIME", conflicts_with_all = ["since", "until"])]
    pub at: Option<String>,
    /// The records that are others now, or at --until, than they were at --since, without what happened between
    #[arg(long, requires = "since", conflicts_with_all = ["records", "findings", "at"])]
    pub diff: bool,
    /// Only what happened since then: 2026-03-01, 30d, 12h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only what happened until then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Zone of times in tables [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// `dns watch`.
#[derive(Debug, Clone, Args)]
pub struct DnsWatchArguments {
    /// The domains; `-` reads them from standard input, one a line
    #[arg(required = true)]
    pub domains: Vec<String>,
    /// Time between rounds
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub every: String,
    /// End after so many rounds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: Option<u64>,
    /// A DKIM selector to look at; may be repeated
    #[arg(long, value_name = "SELECTOR")]
    pub selector: Vec<String>,
}

/// `dns spf`.
#[derive(Debug, Clone, Args)]
pub struct DnsSpfArguments {
    /// The domain
    pub domain: String,
    /// Check a mail from this address
    #[arg(long, value_name = "IP")]
    pub ip: Option<std::net::IpAddr>,
    /// Its sender: a local part, or an address of the domain [default: postmaster]
    #[arg(long, value_name = "ADDRESS", requires = "ip")]
    pub sender: Option<String>,
    /// Its name in HELO, for macros [default: the domain]
    #[arg(long, value_name = "NAME", requires = "ip")]
    pub helo: Option<String>,
}

/// `dns simulate`.
#[derive(Debug, Clone, Args)]
pub struct DnsSimulateArguments {
    /// The domain whose record is to be another
    pub domain: String,
    /// The SPF record to try
    #[arg(long, value_name = "RECORD")]
    pub spf: Option<String>,
    /// The DMARC record to try
    #[arg(long, value_name = "RECORD")]
    pub dmarc: Option<String>,
    /// Reports from: 2026-03-01, 30d ago, today, yesterday
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// To, a day inclusive: as --since
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Reports that count: verified or all
    #[arg(long, value_name = "WORD")]
    pub trust: Option<String>,
    /// Most rows; totals are of all
    #[arg(long, value_name = "ROWS")]
    pub limit: Option<usize>,
}

/// `messages`.
#[derive(Debug, Subcommand)]
pub enum MessagesCommand {
    /// Facts, parts and text of one mail; nothing of it acts on the terminal
    #[command(after_help = "\
Examples:
  mailsonde messages show slxnlz9ryx5c
  mailsonde messages show slxnlz9ryx5c --headers
  mailsonde messages show slxnlz9ryx5c --raw > mail.eml
  mailsonde messages show slxnlz9ryx5c --part 2 > report.xml.gz

The id stands in the SMTP reply, in the log and in `report messages`.")]
    Show(MessageShowArguments),
}

/// `messages show`.
#[derive(Debug, Clone, Args)]
pub struct MessageShowArguments {
    /// The id of the mail
    pub id: String,
    /// Its bytes as received; escaped on a terminal
    #[arg(long, conflicts_with_all = ["text", "headers", "part"])]
    pub raw: bool,
    /// Its text for people alone
    #[arg(long, conflicts_with_all = ["headers", "part"])]
    pub text: bool,
    /// Its header fields alone, unfolded
    #[arg(long, conflicts_with = "part")]
    pub headers: bool,
    /// One part, decoded; escaped on a terminal
    #[arg(long, value_name = "N")]
    pub part: Option<usize>,
    /// Show in full what quotes somebody's mail (failure reports); each use is written down
    #[arg(long)]
    pub reveal: bool,
}

/// `domains`.
#[derive(Debug, Subcommand)]
pub enum DomainsCommand {
    /// Watch domains: their reports count from now on, also those that came before
    #[command(after_help = "\
Examples:
  mailsonde domains add example.com example.net")]
    Add {
        /// The domains
        #[arg(required = true, value_name = "DOMAIN")]
        domains: Vec<String>,
    },
    /// Watched domains, and others of which reports came
    #[command(after_help = "\
Examples:
  mailsonde domains list
  mailsonde domains list --format json")]
    List,
}

/// `db`.
#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Sizes and rows
    #[command(after_help = "\
Examples:
  mailsonde db stats
  mailsonde db stats --format json")]
    Stats,
    /// Recount every sum from the raw rows; exit code 1 if any differs
    #[command(after_help = "\
Examples:
  mailsonde db verify")]
    Verify,
    /// Read stored mails again with the present readers
    #[command(after_help = "\
Examples:
  mailsonde db reprocess                           everything
  mailsonde db reprocess --status unread           what could not be read
  mailsonde db reprocess --kind aggregate --since 30d")]
    Reprocess(ReprocessArguments),
    /// Remove what is older than the retention settings say, and give the space back
    #[command(after_help = "\
Examples:
  mailsonde db prune

A running `serve` does it once a day. The daily sums of reports stay for ever.")]
    Prune,
    /// Remove what belongs to a mailbox or a domain; without --yes only say what that is
    #[command(after_help = "\
Examples:
  mailsonde db erase --address jane@example.com
  mailsonde db erase --domain example.com --yes")]
    Erase(EraseArguments),
    /// Copy the whole store into one new file, also while it is in use
    #[command(after_help = "\
Examples:
  mailsonde db backup /var/backups/mailsonde-2026-03-01.db

Exit code 1 if a large mail that came meanwhile stands in the copy without its bytes.")]
    Backup(BackupArguments),
    /// Write every record of reports as JSON lines or CSV, under the names of parsedmarc
    #[command(after_help = "\
Examples:
  mailsonde db export > records.ndjson
  mailsonde db export --format csv --domain example.com --since 30d > records.csv")]
    Export(ExportArguments),
}

/// `db erase`.
#[derive(Debug, Clone, Args)]
pub struct EraseArguments {
    /// Mail from, to or naming this mailbox
    #[arg(long, value_name = "ADDRESS", conflicts_with = "domain", required_unless_present = "domain")]
    pub address: Option<String>,
    /// Reports for this domain and all below it with their sums, and mail from it
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// Remove it, for good
    #[arg(long)]
    pub yes: bool,
}

/// `db backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArguments {
    /// The new file
    pub file: PathBuf,
}

/// `db export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArguments {
    /// Reports for this domain and all below it
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    /// From: as in `report`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// To, a day inclusive: as in `report`
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Reports that count: verified or all
    #[arg(long, value_name = "WORD")]
    pub trust: Option<String>,
    /// Most records
    #[arg(long, value_name = "ROWS")]
    pub limit: Option<usize>,
}

/// `db reprocess`.
#[derive(Debug, Clone, Args)]
pub struct ReprocessArguments {
    /// Only mails with this status: read, duplicate, unread, kept
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only mails of this kind: aggregate, failure, tls, bounce, probe, reply, other
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only mails that came since then: as in `report`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only mails that came until then: as in `report`
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// List every fault with its line, or say what is in force
    #[command(after_help = "\
Examples:
  mailsonde config check
  mailsonde --config /etc/mailsonde/mailsonde.toml config check")]
    Check,
    /// Print a commented example
    #[command(after_help = "\
Examples:
  mailsonde config example > mailsonde.toml")]
    Example,
}

/// Reads a share in percent, in millionths.
fn percent(text: &str) -> Result<u32, String> {
    crate::config::file::parse_percent(text.trim_end_matches('%'))
        .filter(|share| (1..=1_000_000).contains(share))
        .ok_or_else(|| "write a share above 0 and at most 100, such as 1%".to_owned())
}

/// Reads a duration for clap.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::config::file::parse_duration(text)
        .ok_or_else(|| "write a number with s, m, h or d, such as 2m".to_owned())
}
