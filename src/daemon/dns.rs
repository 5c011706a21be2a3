//! From `[dns]` to who answers.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context as _;

use crate::config::{DnsSettings, DnsSource};
use crate::dns::{
    Answer, AskServer, AskingServer, Cached, Cause, Confirmed, DirectAnswer, DirectServers, Dnssec,
    HickoryResolver, Options, Question, Resolve, ResolverError, Resolving,
};
use crate::limits;

/// Who answers questions, and who asks one server.
#[derive(Clone)]
pub struct Dns {
    /// Answers questions, and remembers the answers.
    pub resolver: Arc<dyn Resolve>,
    /// The same without a memory, for health checks, which want to see changes; it says what DNSSEC says unless the
    /// settings forbid it.
    pub fresh: Arc<dyn Resolve>,
    /// Asks one server directly.
    pub servers: Arc<dyn AskServer>,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dns")
    }
}

/// Makes them; asks nothing yet. Must not need a runtime: questions do.
///
/// A machine without a resolver is no error: everything is then not known, with that reason. Errors: a file of
/// `[dns]` that cannot be read or has faults, roots or trust anchors that are none.
pub fn connect(settings: &DnsSettings) -> anyhow::Result<Dns> {
    let options = match settings.source().context("[dns]")? {
        DnsSource::Zones(zones) => {
            let zones = Arc::new(*zones);
            return Ok(Dns {
                resolver: Arc::<crate::dns::ZoneResolver>::clone(&zones),
                fresh: Arc::<crate::dns::ZoneResolver>::clone(&zones),
                servers: zones,
            });
        }
        DnsSource::Servers(options) => options,
    };
    let servers =
        DirectServers { port: limits::DNS_PORT, timeout: options.timeout, attempts: options.attempts };
    let fresh: Arc<dyn Resolve> = match HickoryResolver::new(&options) {
        Ok(resolver) => Arc::new(resolver),
        Err(ResolverError::System(reason)) => {
            tracing::warn!(%reason, "no DNS: what it would say is not known");
            let nobody = Arc::new(Nobody { reason });
            return Ok(Dns {
                resolver: Arc::<Nobody>::clone(&nobody),
                fresh: Arc::<Nobody>::clone(&nobody),
                servers: nobody,
            });
        }
        Err(error) => return Err(error).context("[dns]"),
    };
    let resolver = Arc::new(Cached::new(Arc::clone(&fresh), settings.cache_size()));
    let fresh = for_checks(fresh, &options, settings).context("[dns]")?;
    Ok(Dns { resolver, fresh, servers: Arc::new(servers) })
}

/// The resolver of health checks: over `plain`, which asks the same servers, it says what DNSSEC says where nothing
/// is set about it.
///
/// Errors: no validator can be made.
pub fn for_checks(
    plain: Arc<dyn Resolve>,
    options: &Options,
    settings: &DnsSettings,
) -> Result<Arc<dyn Resolve>, ResolverError> {
    if !settings.checks_want_dnssec {
        return Ok(plain);
    }
    let options = Options { dnssec: Dnssec::Root, ..options.clone() };
    let validating = Arc::new(HickoryResolver::new(&options)?);
    Ok(Arc::new(Confirmed::new(validating, plain)))
}

/// Answers nothing, and says why.
struct Nobody {
    reason: String,
}

impl Nobody {
    /// The answer to everything.
    fn answer(&self) -> Answer {
        Answer::not_known(Cause::Unreachable, format!("no resolver: {}", self.reason))
    }
}

impl Resolve for Nobody {
    fn resolve<'a>(&'a self, _question: &'a Question) -> Resolving<'a> {
        Box::pin(std::future::ready(self.answer()))
    }
}

impl AskServer for Nobody {
    fn ask_server<'a>(&'a self, _server: IpAddr, _question: &'a Question) -> AskingServer<'a> {
        let answer = self.answer();
        let said = DirectAnswer { answer, is_authoritative: false, offers_recursion: false, took_ms: 0 };
        Box::pin(std::future::ready(said))
    }
}
