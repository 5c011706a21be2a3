//! There and back in `serve`: answers the arrivals of probes whose route says so.
//!
//! Whether a mail may be answered was decided when it was read (`probe::reflect`), and stands in the store; here is only the
//! work. The answer goes to the address of the route's configuration, over the route's own sender, from the null
//! reverse-path, after its row was committed.

use std::sync::Arc;

use anyhow::Context;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock::{self, Timestamp};
use crate::config::settings::{RouteSettings, Settings};
use crate::daemon::dns::Dns;
use crate::daemon::options::{self, Towards};
use crate::dns::Resolve;
use crate::dns_health::gather::HttpsPolicies;
use crate::limits;
use crate::probe::compose::Profile;
use crate::probe::plan::{Planned, RoutePlan, plan_reply, route_number};
use crate::probe::reflect::route_back;
use crate::probe::token::{COUNTER_MAX, KeyRing, Reading};
use crate::smtp::submit::direct::sts::StsPolicies;
use crate::smtp::submit::direct::{DirectOptions, Means, deliver};
use crate::smtp::submit::{HandOver, Submission, SubmitOptions, submit};
use crate::store::{DueReflection, NewProbe, Store, StoreError, mailbox_eye};

/// What answering needs.
#[derive(Clone)]
pub struct Reflector {
    store: Store,
    keys: KeyRing,
    settings: Arc<Settings>,
    resolver: Arc<dyn Resolve>,
    policies: Arc<StsPolicies>,
}

impl std::fmt::Debug for Reflector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reflector")
    }
}

/// The numbers of the routes whose arrivals are answered.
pub fn routes(settings: &Settings) -> Vec<u16> {
    settings
        .routes
        .iter()
        .filter(|route| route.reflect.is_some())
        .map(|route| route_number(&route.name))
        .collect()
}

impl Reflector {
    /// One for a store and its settings.
    pub fn new(store: Store, keys: KeyRing, settings: Arc<Settings>, dns: &Dns) -> Self {
        let policies = Arc::new(StsPolicies::new(Arc::new(HttpsPolicies::public())));
        Self { store, keys, settings, resolver: Arc::clone(&dns.fresh), policies }
    }

    /// Answers again and again; ends only with its task.
    pub async fn keep(self) {
        let store = self.store.clone();
        match blocking(move || store.recover_reflections(clock::now())).await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "answers that were on their way at the last end are in doubt"),
            Err(error) => tracing::error!(%error, "answers of the last run cannot be looked at now"),
        }
        loop {
            if let Err(error) = self.round().await {
                tracing::error!(%error, "arrivals cannot be answered now");
            }
            tokio::time::sleep(limits::REFLECT_EVERY).await;
        }
    }

    /// Answers what is due, one after the other. Returns how many were handed over or tried.
    ///
    /// Errors: the store.
    pub async fn round(&self) -> anyhow::Result<usize> {
        if !self.settings.probes.enabled || self.is_stopped() {
            return Ok(0);
        }
        let store = self.store.clone();
        let due =
            blocking(move || store.reader()?.due_reflections(clock::now(), limits::REFLECT_AT_ONCE)).await?;
        let mut tried = 0;
        for one in due {
            if let Err(reason) = self.answer(&one).await? {
                tracing::warn!(probe = one.token, reason, "an arrival is not answered");
                let store = self.store.clone();
                blocking(move || store.decline_reflection(&one.token, &reason)).await?;
            } else {
                tried += 1;
            }
        }
        Ok(tried)
    }

    /// True while the file is there that stops all sending.
    fn is_stopped(&self) -> bool {
        self.settings.probes.kill_switch.as_ref().is_some_and(|file| file.exists())
    }

    /// Answers one arrival; the inner error says why it is not answered, now or ever.
    async fn answer(&self, due: &DueReflection) -> anyhow::Result<Result<(), String>> {
        let Some(route) = self.route_of(due) else {
            return Ok(Err("its route is not configured any more, or has no `reflect`".to_owned()));
        };
        if due.tries == 0
            && let Some(reason) = self.over_the_cap(due.route_number).await?
        {
            return Ok(Err(reason));
        }
        let now = clock::now();
        let planned = match self.plan(&route, due, now) {
            Ok(planned) => planned,
            Err(reason) => return Ok(Err(reason)),
        };
        let way = match self.way(&route, &planned).await {
            Ok(way) => way,
            Err(error) => {
                tracing::error!(
                    route = route.name,
                    error = format!("{error:#}"),
                    "its answers cannot be sent now"
                );
                let (store, token) = (self.store.clone(), due.token.clone());
                let (reason, again) = (format!("{error:#}"), now.after(limits::REFLECT_RETRY_FIRST));
                blocking(move || store.postpone_reflection(&token, &reason, again)).await?;
                return Ok(Ok(()));
            }
        };
        let reply = self.as_kept(&route, &planned, now);
        let (store, token) = (self.store.clone(), due.token.clone());
        if !blocking(move || store.begin_reflection(&token, reply)).await? {
            return Ok(Ok(()));
        }
        let hand_over = self.hand_over(&way, &planned).await;
        let (store, token, name) = (self.store.clone(), due.token.clone(), planned.texts.name().to_owned());
        blocking(move || store.finish_reflection(&token, &name, hand_over)).await?;
        Ok(Ok(()))
    }

    /// The route of a probe: by its name where the store knows the probe, else by its number.
    fn route_of(&self, due: &DueReflection) -> Option<RouteSettings> {
        let all = || self.settings.routes.iter().filter(|route| route.reflect.is_some());
        // A route for each MX host and family has the name of the configured one before a slash.
        let is_named = |route: &&RouteSettings| {
            due.route.as_deref().is_some_and(|name| name.split('/').next() == Some(route.name.as_str()))
        };
        let by_number = |route: &&RouteSettings| route_number(&route.name) == due.route_number;
        all().find(is_named).or_else(|| all().find(by_number)).cloned()
    }

    /// Why no more answers go out within this hour, if so.
    async fn over_the_cap(&self, route: u16) -> anyhow::Result<Option<String>> {
        let since = Timestamp::from_ms(clock::now().ms().saturating_sub(3_600_000));
        let store = self.store.clone();
        let (of_route, all) = blocking(move || store.reader()?.reflected_since(route, since)).await?;
        Ok(if of_route >= limits::REFLECT_ROUTE_HOUR {
            Some(format!("{of_route} arrivals of this route were answered within an hour"))
        } else if all >= limits::REFLECT_HOUR {
            Some(format!("{all} arrivals were answered within an hour"))
        } else {
            None
        })
    }

    /// The answer: a new one, or the one that was tried before, byte for byte.
    ///
    /// Errors: why there is none, in words.
    fn plan(&self, route: &RouteSettings, due: &DueReflection, now: Timestamp) -> Result<Planned, String> {
        let token_of = |name: &str| match self.keys.read_text(name) {
            Some(Reading::Valid { token, .. }) => Ok(token),
            _ => Err("the key of its token is gone".to_owned()),
        };
        let probe = token_of(&due.token)?;
        let (at, counter) = match &due.reply_token {
            Some(name) => token_of(name).map(|token| (token.made_at(), token.counter))?,
            None => (now, random_counter().map_err(|error| error.to_string())?),
        };
        let name = route_back(&route.name);
        let to = route.reflect.as_deref().unwrap_or_default();
        let plan = RoutePlan::new(&name, to, &route.from, Profile::Plain);
        plan_reply(&self.keys, &plan, &probe, at, counter).map_err(|error| error.to_string())
    }

    /// The answer as it is kept: a probe of a way of its own, looked for by our receiver if its domain is ours, else by the
    /// watcher of the route, if there is one. Nothing comes back to the null sender.
    fn as_kept(&self, route: &RouteSettings, planned: &Planned, now: Timestamp) -> NewProbe {
        let name = route_back(&route.name);
        let plan = RoutePlan::new(&name, "", &route.from, Profile::Plain);
        let mut kept = NewProbe::of(planned, &plan, now, route.lost_after);
        kept.has_bounce_path = false;
        if !self.is_taken_here(planned) {
            kept.eyes = route.watch.iter().map(|name| mailbox_eye(name)).collect();
        }
        kept
    }

    /// True if our own receiver takes mail for the domain of an answer.
    fn is_taken_here(&self, planned: &Planned) -> bool {
        let Some(domain) = planned.rcpt_to.domain_name() else { return false };
        let mut taken = self.settings.recipients.iter().filter_map(|entry| entry.address.domain_name());
        taken.any(|own| own == domain)
    }

    /// The way of an answer: that of the route's probes.
    ///
    /// Errors: a password that cannot be read.
    async fn way(&self, route: &RouteSettings, planned: &Planned) -> anyhow::Result<Way> {
        let own_name = self.settings.receiver.host_name.clone();
        if route.sender.is_direct() {
            let domain = planned.rcpt_to.domain_name();
            let towards = Towards {
                token: planned.texts.name(),
                only: None,
                is_own_domain: domain.as_ref().is_some_and(|domain| self.settings.is_own_domain(domain)),
                is_own_receiver: self.is_taken_here(planned),
                seed: u64::from(planned.token.counter),
            };
            let options = options::direct(&route.sender, own_name.as_deref(), towards)?;
            return Ok(Way::Direct(Box::new(options)));
        }
        let sender = route.sender.clone();
        // Reading a secret may run a command.
        let read = tokio::task::spawn_blocking(move || options::submit(&sender, own_name.as_deref())).await;
        Ok(Way::Server(Box::new(read.context("reading the password was cut off")??)))
    }

    /// Hands an answer over.
    async fn hand_over(&self, way: &Way, planned: &Planned) -> HandOver {
        let submission = Submission {
            mail_from: &planned.mail_from,
            rcpt_to: &planned.rcpt_to,
            message: &planned.message.bytes,
            needs_smtputf8: planned.message.needs_smtputf8,
        };
        match way {
            Way::Server(options) => submit(options, submission).await,
            Way::Direct(options) => {
                let means = Means { resolver: &*self.resolver, policies: Some(&self.policies) };
                deliver(options, means, submission).await
            }
        }
    }
}

/// By which way an answer goes.
enum Way {
    /// To the server of its sender.
    Server(Box<SubmitOptions>),
    /// To the MX hosts of its recipient.
    Direct(Box<DirectOptions>),
}

/// A number that tells answers of one second apart.
fn random_counter() -> anyhow::Result<u32> {
    let mut random = [0; 4];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| anyhow::anyhow!("no random numbers from the system"))?;
    Ok(u32::from_be_bytes(random) & COUNTER_MAX)
}

/// Waits for the store without stopping the sessions of the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await.context("the work was cut off")??)
}
