//! The arguments of `probe drill`.

use std::time::Duration;

use clap::Args;

/// `probe drill`.
#[derive(Debug, Clone, Args)]
pub struct ProbeDrillArguments {
    /// The route, as named in the configuration
    pub route: String,
    /// From one probe to the next, 2s at least
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "5s")]
    pub every: Duration,
    /// End after this long [default: when stopped; 2h at most]
    #[arg(long = "for", value_name = "DURATION", value_parser = super::duration)]
    pub for_: Option<Duration>,
    /// Wait at the end for probes that are under way, this long at most
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "1m")]
    pub wait: Duration,
    /// Send nothing: show the last drill of the route as it stands now
    #[arg(long, conflicts_with_all = ["every", "for_", "wait"])]
    pub last: bool,
    /// Zone of times in tables [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}
