//! The arguments of `setup` and of `check`.

use std::path::PathBuf;

use clap::Args;

/// `setup`.
#[derive(Debug, Clone, Args)]
pub struct SetupArguments {
    /// The domains of which reports are wanted [default: those of the configuration]
    pub domains: Vec<String>,
    /// Answer from this zone file instead of the network
    #[arg(long, value_name = "FILE")]
    pub zone: Option<PathBuf>,
    /// Ask for reports to this address [default: the first recipient for reports, and for TLS reports]
    #[arg(long, value_name = "ADDRESS")]
    pub rua: Option<String>,
    /// Ask for failure reports too, which hold the words of persons
    #[arg(long)]
    pub ruf: bool,
    /// One record that allows the reports about every domain, in the place of one for each
    #[arg(long)]
    pub wildcard: bool,
    /// An address at which this machine is reached from outside; may be repeated
    #[arg(long, value_name = "IP")]
    pub address: Vec<std::net::IpAddr>,
    /// Prove the chain instead: records, port 25, TLS, and a mail through a route that must arrive
    #[arg(long)]
    pub verify: bool,
    /// The route of that mail [default: the first of the configuration]
    #[arg(long, value_name = "NAME", requires = "verify")]
    pub route: Option<String>,
    /// How long that mail is waited for
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "2m")]
    pub wait: std::time::Duration,
    /// The port of our MX hosts, where it is not 25
    #[arg(long, value_name = "PORT", requires = "verify", default_value_t = 25)]
    pub port: u16,
}

/// `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// The domain, or a route of the configuration
    #[arg(value_name = "DOMAIN|ROUTE")]
    pub subject: String,
    /// Answer from this zone file instead of the network
    #[arg(long, value_name = "FILE")]
    pub zone: Option<PathBuf>,
    /// A DKIM selector to look at; may be repeated
    #[arg(long, value_name = "SELECTOR")]
    pub selector: Vec<String>,
    /// Ask DNS only: no policy is fetched by HTTPS, no name server is asked itself
    #[arg(long)]
    pub dns_only: bool,
    /// WARNING if a metric is out of this range; several with commas [default: warnings=0; of a route loss=1,spam=0]
    #[arg(short, long, value_name = "METRIC=RANGE", value_delimiter = ',')]
    pub warn: Vec<String>,
    /// CRITICAL if a metric is out of this range; several with commas [default: errors=0,criticals=0; of a route loss=5]
    #[arg(short, long, value_name = "METRIC=RANGE", value_delimiter = ',')]
    pub crit: Vec<String>,
    /// Stored reports or probes from: 2026-03-01, 30d, yesterday [default: 7d; of a route 1d]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}
