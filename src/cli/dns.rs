//! `dns`: what DNS says of a domain's mail.

pub mod simulate;
pub mod spf;

use std::future::Future;
use std::io::Write;
use std::sync::Arc;

use crate::cli::args::{DnsArguments, DnsCommand};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};

use crate::dns::{Dnssec, HickoryResolver, Name, Options, Resolve, Servers, ZoneResolver};
use crate::limits;

/// Runs the command.
pub fn run(context: &Context, arguments: &DnsArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    match &arguments.command {
        DnsCommand::Simulate(simulate) => simulate::run(context, arguments, simulate, out),
        DnsCommand::Spf(spf) => spf::run(context, arguments, spf, out),
    }
}

/// Who answers: the zone file of the arguments, else the system's servers.
///
/// Errors: a zone file that cannot be read, no server.
pub fn resolver(arguments: &DnsArguments) -> Result<Arc<dyn Resolve>, Failure> {
    let Some(path) = &arguments.zone else {
        let options = Options {
            servers: Servers::System,
            tls: None,
            timeout: limits::DNS_TIMEOUT,
            attempts: limits::DNS_ATTEMPTS,
            dnssec: Dnssec::Off,
            in_flight: limits::DNS_IN_FLIGHT,
        };
        let resolver = HickoryResolver::new(&options)
            .map_err(|error| Failure::run(error).hint("--zone FILE answers from a zone file"))?;
        return Ok(Arc::new(resolver));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::run(format!("cannot read {}: {error}", path.display())))?;
    let zone =
        ZoneResolver::parse(&text).map_err(|fault| Failure::run(format!("{}: {fault}", path.display())))?;
    Ok(Arc::new(zone))
}

/// Runs what has to wait for answers.
pub fn wait<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(work))
}

/// A domain as a person wrote it.
pub fn read_name(text: &str) -> Result<Name, Failure> {
    let hint = "write it as example.com";
    let name = Name::from_person(text).map_err(|error| Failure::usage(format!("{text:?}: {error}"), hint))?;
    if name.is_root() || text.contains(['@', '/', ' ']) {
        return Err(Failure::usage(format!("no domain: {text:?}"), hint));
    }
    Ok(name)
}
