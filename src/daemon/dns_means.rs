//! Whom the health checks ask: DNS, and where the domain is one that the user named, whoever DNS names.

use std::sync::Arc;
use std::time::Duration;

use crate::dns::{AskServer, Name, Question, RecordType, Resolve};
use crate::dns_health::addresses::Reach;
use crate::dns_health::gather::{Authorities, Exchangers, HttpsPolicies, Tools};
use crate::smtp::mx_dialogue::MxTalker;

/// The means of a run of checks, or of the life of `serve`.
pub struct Means {
    /// DNS.
    resolver: Arc<dyn Resolve>,
    /// Policies of MTA-STS.
    policies: Option<HttpsPolicies>,
    /// Name servers.
    authorities: Option<Authorities>,
    /// MX hosts.
    exchangers: Option<Exchangers>,
}

impl Means {
    /// DNS and nobody else.
    pub fn of_dns(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, policies: None, authorities: None, exchangers: None }
    }

    /// DNS, the servers of policies, and each name server; all on the public network.
    pub fn public(resolver: Arc<dyn Resolve>, servers: Arc<dyn AskServer>) -> Self {
        Self {
            policies: Some(HttpsPolicies::public()),
            authorities: Some(Authorities::new(servers, Reach::Public)),
            ..Self::of_dns(resolver)
        }
    }

    /// The MX hosts too. `helo`: our name, if it resolves; `keep`: for how long what a host said holds, absent: for
    /// the whole run.
    pub fn with_dialogues(mut self, helo: Option<String>, keep: Option<Duration>) -> Self {
        self.exchangers = Some(Exchangers::new(Arc::new(MxTalker::public(helo)), keep));
        self
    }

    /// As the checks take them.
    pub fn tools(&self) -> Tools<'_> {
        let policies = self.policies.as_ref();
        Tools {
            resolver: &*self.resolver,
            policies: policies.map(|policies| policies as _),
            exchangers: self.exchangers.as_ref(),
            authorities: self.authorities.as_ref(),
        }
    }

    /// The MX hosts, if they are asked.
    pub const fn exchangers(&self) -> Option<&Exchangers> {
        self.exchangers.as_ref()
    }

    /// True if a name has an address: mail servers turn away who greets by one that has none (RFC 5321 §2.3.5).
    pub async fn resolves(&self, name: &str) -> bool {
        let Ok(name) = Name::from_dotted(name) else { return false };
        for record_type in [RecordType::A, RecordType::Aaaa] {
            let question = Question::new(name.clone(), record_type);
            if !self.resolver.resolve(&question).await.data().is_empty() {
                return true;
            }
        }
        false
    }
}
