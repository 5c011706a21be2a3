//! `dns`: what DNS says of a domain's mail.

pub mod check;
pub mod history;
pub mod simulate;
pub mod spf;
pub mod watch;

use std::future::Future;
use std::io::{BufRead as _, Write};
use std::path::Path;
use std::sync::Arc;

use crate::cli::args::{DnsArguments, DnsCommand};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};

use crate::config::dns::{DnsSource, ZoneSource};
use crate::daemon::dns::for_checks;
use crate::daemon::dns_means::Means;
use crate::daemon::options;
use crate::dns::{DirectServers, HickoryResolver, Name, Resolve};
use crate::limits;

/// Runs the command.
pub fn run(context: &Context, arguments: &DnsArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    match &arguments.command {
        DnsCommand::Simulate(simulate) => simulate::run(context, arguments, simulate, out),
        DnsCommand::Spf(spf) => spf::run(context, arguments, spf, out),
        DnsCommand::Check(check) => check::run(context, arguments, check, out),
        DnsCommand::History(history) => history::run(context, history, out),
        DnsCommand::Watch(watch) => watch::run(context, arguments, watch, out),
    }
}

/// Who answers: the zone file of the arguments, else the `[dns]` of the configuration.
///
/// Errors: wrong configuration, a zone file that cannot be read, no server.
pub fn resolver(context: &Context, arguments: &DnsArguments) -> Result<Arc<dyn Resolve>, Failure> {
    resolver_of(context, arguments.zone.as_deref())
}

/// Who answers: this zone file, else the `[dns]` of the configuration.
///
/// Errors: as [`resolver`].
pub fn resolver_of(context: &Context, zone: Option<&Path>) -> Result<Arc<dyn Resolve>, Failure> {
    resolver_for(context, zone, false)
}

/// The same; `is_check`: for health checks, which want to know what DNSSEC says.
fn resolver_for(context: &Context, zone: Option<&Path>, is_check: bool) -> Result<Arc<dyn Resolve>, Failure> {
    let mut settings = context.settings()?.dns;
    if let Some(path) = zone {
        if let Err(error) = std::fs::metadata(path) {
            return Err(Failure::run(format!("cannot read {}: {error}", path.display())));
        }
        settings.zone = Some(ZoneSource::File(path.to_owned()));
    }
    match settings.source()? {
        DnsSource::Zones(zones) => Ok(Arc::new(*zones)),
        DnsSource::Servers(options) => {
            let failed =
                |error| Failure::run(error).hint("`servers` in [dns] names some; --zone answers from a file");
            let resolver: Arc<dyn Resolve> = Arc::new(HickoryResolver::new(&options).map_err(failed)?);
            if is_check { for_checks(resolver, &options, &settings).map_err(failed) } else { Ok(resolver) }
        }
    }
}

/// Whom a check of domains that the user names asks: beside DNS the servers of policies and each name server, unless
/// answers come from a zone file or `is_only_dns`; with `is_smtp` the MX hosts too.
///
/// Errors: as of [`resolver`].
pub fn means(
    context: &Context,
    zone: Option<&Path>,
    is_only_dns: bool,
    is_smtp: bool,
) -> Result<Means, Failure> {
    let resolver = resolver_for(context, zone, true)?;
    let settings = context.settings()?;
    let has_zones = zone.is_some() || settings.dns.zone.is_some();
    let means = if has_zones || is_only_dns {
        Means::of_dns(resolver)
    } else {
        let (timeout, attempts) = (settings.dns.timeout, settings.dns.attempts);
        let servers = DirectServers { port: limits::DNS_PORT, timeout, attempts };
        Means::public(resolver, Arc::new(servers))
    };
    if !is_smtp {
        return Ok(means);
    }
    if has_zones {
        let hint = "leave out --zone, or `zone` in [dns]: hosts are called only where DNS itself names them";
        return Err(Failure::usage("--smtp: the answers come from a zone file", hint));
    }
    // A name that does not resolve would be turned away; our address is what stands in for it.
    let name = options::host_name(settings.receiver.host_name.as_deref());
    let is_known = wait(means.resolves(&name))?;
    if !is_known {
        context.output.remark(&format!("{name} has no address: MX hosts are greeted by our own address"));
    }
    Ok(means.with_dialogues(is_known.then_some(name), None))
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

/// The domains of the arguments, each once; `-` stands for standard input.
pub fn read_names(words: &[String]) -> Result<Vec<Name>, Failure> {
    let mut all: Vec<Name> = Vec::new();
    let mut add = |text: &str| -> Result<(), Failure> {
        let name = read_name(text)?;
        if !all.contains(&name) {
            all.push(name);
        }
        Ok(())
    };
    for word in words {
        if word != "-" {
            add(word)?;
            continue;
        }
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            let text = line.trim();
            if !text.is_empty() && !text.starts_with('#') {
                add(text)?;
            }
        }
    }
    if all.is_empty() {
        return Err(Failure::usage("no domain on standard input", "write one a line"));
    }
    Ok(all)
}
