//! Sends probes and records how far each came: one way for the command line and for the schedule.
//!
//! What a probe is made of follows from its token and its route, so that a retry is the same message, byte for byte: only
//! the hash of the first is kept, and a probe whose route was changed meanwhile is given up rather than sent otherwise.
//! Its row is committed before the first byte leaves; a retry begins only where the store says that the last attempt was
//! put off. So whatever ends in between, nothing is sent twice: an attempt without an outcome stays in doubt.

mod follow;
pub mod schedule;
mod series;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;

use crate::clock::{self, Instant, Timestamp};
use crate::config::SenderKind;
use crate::config::settings::{RouteSettings, Settings};
use crate::daemon::dns::Dns;
use crate::daemon::manners::{Manners, Wish};
use crate::daemon::options::{self, Towards};
use crate::daemon::probe_parts::Parts;
use crate::dns::{Name, Resolve};
use crate::dns_health::gather::HttpsPolicies;
use crate::limits;
use crate::mail::{Address, DomainName};
use crate::probe::compose::Profile;
use crate::probe::lifecycle::{Event, Expectation, Reason, What};
use crate::probe::manners::{Occasion, Refusal, Why};
use crate::probe::plan::{Planned, RoutePlan, plan_as};
use crate::probe::schedule::Because;
use crate::probe::token::{COUNTER_MAX, KeyRing, Kind, Reading};
use crate::smtp::submit::direct::sts::StsPolicies;
use crate::smtp::submit::direct::{DirectOptions, Family, Means, MxRoute, deliver, routes_of};
use crate::smtp::submit::reply::{Reply, ReplyClass, verdict_of};
use crate::smtp::submit::{HandOver, Submission, SubmitOptions, submit};
use crate::store::{DeferredProbe, NewProbe, ScheduleNote, Store, StoreError, mailbox_eye, sha256};

/// How long what was learned of a route's latency holds.
const LEARNED_HOLDS: Duration = Duration::from_secs(600);

/// What sending needs beside the route. Clones are the same.
#[derive(Clone)]
pub struct Sending {
    shared: Arc<Shared>,
}

/// What all clones share.
struct Shared {
    store: Store,
    keys: KeyRing,
    settings: Arc<Settings>,
    resolver: Arc<dyn Resolve>,
    policies: StsPolicies,
    manners: Manners,
    /// When a probe of a route is overdue, as learned, and when that was.
    overdue: Mutex<HashMap<String, (Instant, Duration)>>,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sending")
    }
}

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it is made of.
    pub profile: Profile,
    /// When the schedule meant it to be sent; absent: by hand.
    pub due_at: Option<Timestamp>,
    /// True for a quick one after a bad one.
    pub is_quick: bool,
    /// How long the expected is waited for, of what is made to be stopped; absent: as long as for others.
    pub within: Option<Duration>,
    /// Its kind, where it is another than its profile has: a drill.
    pub kind: Option<Kind>,
    /// The MX host and family that it goes to; absent: any.
    pub only: Option<(Name, Family)>,
    /// What the schedule keeps together with the probe.
    pub notes: Vec<ScheduleNote>,
}

impl Asked {
    /// A probe by hand.
    pub const fn by_hand(profile: Profile) -> Self {
        Self {
            profile,
            due_at: None,
            is_quick: false,
            within: None,
            kind: None,
            only: None,
            notes: Vec::new(),
        }
    }
}

/// A probe that was handed over, or was not.
#[derive(Debug)]
pub struct Sent {
    /// Its name: the token as it stands in the recipient.
    pub token: String,
    /// The recipient.
    pub to: Address,
    /// How it went.
    pub hand_over: HandOver,
    /// True if its refusal is what is wanted.
    pub is_to_be_stopped: bool,
    /// When its first attempt began.
    began_at: Timestamp,
    route: String,
    profile: Profile,
    sha256: [u8; 32],
}

/// A probe that was put off, and may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub token: String,
    /// Its route.
    pub route: String,
    /// What it is made of.
    pub profile: Profile,
    /// The domain of its recipient.
    pub destination: String,
    /// How many attempts there were.
    pub attempts: u32,
    /// When the first one began.
    pub sent_at: Timestamp,
    /// When the last one ended.
    pub last_at: Timestamp,
    /// When it is given up.
    pub lost_at: Timestamp,
    /// True if its destination said that it greylists.
    pub is_greylisted: bool,
    /// SHA-256 of its bytes.
    sha256: [u8; 32],
}

/// A probe that was not sent: nothing of it left.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct NotSent {
    /// Why.
    pub because: Because,
    /// In words.
    pub text: String,
    /// What to do about it.
    pub mend: Option<String>,
    /// When asking again may help; absent: not by itself.
    pub until: Option<Timestamp>,
}

impl NotSent {
    /// Something of ours does not work.
    fn fault(error: &anyhow::Error) -> Self {
        Self { because: Because::Fault, text: format!("{error:#}"), mend: None, until: None }
    }
}

impl From<Refusal> for NotSent {
    fn from(refusal: Refusal) -> Self {
        let because = match refusal.why {
            Why::KillSwitch | Why::Disabled => Because::Stopped,
            Why::Cap | Why::Interval => Because::Capped,
            _ => Because::NoLeave,
        };
        Self { because, text: refusal.text, mend: Some(refusal.mend), until: refusal.until }
    }
}

impl Sent {
    /// What is known of it as one that may be tried again.
    fn waiting(&self, route: &RouteSettings, before: Option<Waiting>, is_greylisted: bool) -> Waiting {
        let last_at = self.hand_over.ended_at;
        match before {
            Some(before) => Waiting {
                attempts: before.attempts.saturating_add(1),
                last_at,
                is_greylisted: before.is_greylisted || is_greylisted,
                ..before
            },
            None => Waiting {
                token: self.token.clone(),
                route: self.route.clone(),
                profile: self.profile,
                destination: domain_of(&self.to),
                attempts: 1,
                sent_at: self.began_at,
                last_at,
                lost_at: self.began_at.after(route.lost_after),
                is_greylisted,
                sha256: self.sha256,
            },
        }
    }
}

/// The name of a route, or of one of its ways where each MX host and family is a route of its own.
fn name_of(route: &RouteSettings, only: Option<&(Name, Family)>) -> String {
    match only {
        Some((host, family)) => format!("{}/{host}/{}", route.name, family.as_str()),
        None => route.name.clone(),
    }
}

/// The MX host and family at the end of such a name.
fn only_of(route: &RouteSettings, name: &str) -> Option<(Name, Family)> {
    let (host, family) = name.strip_prefix(&route.name)?.strip_prefix('/')?.rsplit_once('/')?;
    Some((Name::from_dotted(host).ok()?, Family::parse(family)?))
}

/// The domain of a recipient.
fn domain_of(address: &Address) -> String {
    address.domain.as_deref().unwrap_or_default().to_ascii_lowercase()
}

// ---- One probe ----

/// Sends a probe of `route`: its row is committed before the first byte leaves.
///
/// Errors: it may not be sent, by leave, caps or the kill switch; a route that makes no probe, a password that cannot be
/// read, the store. How the far end behaves is no error: it stands in the hand-over.
pub async fn send_probe(sending: &Sending, route: &RouteSettings, asked: Asked) -> Result<Sent, NotSent> {
    sending.may_send(route, &asked, clock::now()).await?;
    sending.send(route, asked).await.map_err(|error| NotSent::fault(&error))
}

/// Tries a probe again that was put off: the same bytes, envelope and address.
///
/// Errors: as [`send_probe`]; also where its route makes other bytes now, or somebody else has tried it meanwhile.
pub async fn send_again(
    sending: &Sending,
    route: &RouteSettings,
    waiting: &Waiting,
) -> Result<Sent, NotSent> {
    sending.shared.manners.stopped(clock::now())?;
    sending.again(route, waiting).await.map_err(|error| NotSent::fault(&error))
}

impl Sending {
    /// What sending needs, from the settings. `is_forced`: the look at ourselves stops nothing.
    pub fn new(store: Store, keys: KeyRing, settings: Arc<Settings>, dns: &Dns, is_forced: bool) -> Self {
        let policies = StsPolicies::new(Arc::new(HttpsPolicies::public()));
        let resolver = Arc::clone(&dns.fresh);
        let is_forced = is_forced || settings.probes.force;
        let manners = Manners::new(Arc::clone(&settings), &keys, Arc::clone(&dns.resolver), is_forced);
        let overdue = Mutex::default();
        Self { shared: Arc::new(Shared { store, keys, settings, resolver, policies, manners, overdue }) }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The plan of a probe, and as it is kept.
    ///
    /// Errors: a route that makes no such probe; a key or a template that cannot be read.
    async fn make(
        &self,
        route: &RouteSettings,
        name: &str,
        profile: Profile,
        kind: Option<Kind>,
        (at, counter): (Timestamp, u32),
    ) -> anyhow::Result<Made> {
        let parts = self.parts(route).await.with_context(|| format!("route `{}`", route.name))?;
        let plan_of = RoutePlan { name, ..parts.plan(route, profile) };
        let kind = kind.unwrap_or_else(|| profile.kind());
        let planned = plan_as(&self.shared.keys, kind, &plan_of, at, counter)
            .with_context(|| format!("route `{}`", route.name))?;
        let mut probe = NewProbe::of(&planned, &plan_of, at, route.lost_after);
        probe.expectation = profile.expectation();
        probe.is_dkim_signed = plan_of.dkim.is_some();
        Ok(Made { planned, probe })
    }

    /// What of a route's probes is the operator's own.
    ///
    /// Errors: some of it cannot be used.
    async fn parts(&self, route: &RouteSettings) -> anyhow::Result<Parts> {
        if route.dkim.is_none() && route.template.is_none() && route.attach.is_none() {
            return Ok(Parts::read(route)?);
        }
        // Reading a key may run a command.
        let route = route.clone();
        let read = move || Parts::read(&route);
        Ok(tokio::task::spawn_blocking(read).await.context("reading its parts was cut off")??)
    }

    /// The interval of a series that is kept for the one configured, and how long it begins at half its rate.
    fn pace(&self, route: &RouteSettings, every: Duration) -> (Duration, Duration) {
        let whose = self.shared.manners.whose(route);
        (whose.interval(every), whose.half_rate())
    }

    /// Asks whether a probe may be sent.
    async fn may_send(&self, route: &RouteSettings, asked: &Asked, at: Timestamp) -> Result<(), NotSent> {
        let occasion = match asked.due_at {
            None => Occasion::Hand,
            Some(_) if asked.is_quick => Occasion::Quick,
            Some(_) => Occasion::Schedule,
        };
        let host = asked.only.as_ref().map(|(host, _)| host.to_string());
        let wish = Wish { mx_host: host.as_deref(), ..Wish::new(route, asked.profile, occasion) };
        let told = self.shared.manners.may_send(&self.shared.store, &wish, at).await;
        told.map_err(|error| NotSent::fault(&error))?.map_err(NotSent::from)
    }

    /// Makes a probe and hands it over.
    async fn send(&self, route: &RouteSettings, asked: Asked) -> anyhow::Result<Sent> {
        let Shared { store, settings, .. } = &*self.shared;
        let mut random = [0; 4];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| anyhow::anyhow!("no random numbers from the system"))?;
        let counter = u32::from_be_bytes(random) & COUNTER_MAX;
        let at = clock::now();
        let name = name_of(route, asked.only.as_ref());
        let Made { planned, mut probe } =
            self.make(route, &name, asked.profile, asked.kind, (at, counter)).await?;
        let way = self.way(route, &planned, asked.only.clone()).await?;
        probe.planned_at = asked.due_at;
        probe.within = asked.within;
        probe.mx_host = asked.only.as_ref().map(|(host, _)| host.to_string());
        if let Some(watch) = &route.watch {
            probe.eyes = vec![mailbox_eye(watch)];
        }
        // A probe whose bounces nobody reads is not lost while they are not read.
        probe.eyes.extend(route.bounces.as_deref().map(mailbox_eye));
        probe.has_bounce_path = route.bounces.is_some()
            || planned.mail_from.address().is_some_and(|address| is_taken_here(settings, address));
        probe.overdue_after = self.overdue_after(route);
        probe.is_in_maintenance = settings.maintenance.iter().any(|window| window.covers(route, at));
        let is_to_be_stopped = is_to_be_stopped(asked.profile);
        let sha256 = probe.message_sha256;
        let (began_at, of_route) = (probe.sent_at, probe.route.clone());
        committed(|done| store.begin_probe_with(asked.notes, probe, done)).await?;
        let hand_over = self.hand_over(&way, &planned).await;
        let (name, record) = (planned.texts.name().to_owned(), hand_over.clone());
        committed(|done| store.finish_probe_then(&name, record, done)).await?;
        let (token, to, route) = (name, planned.rcpt_to, of_route);
        Ok(Sent { token, to, hand_over, is_to_be_stopped, began_at, route, profile: asked.profile, sha256 })
    }

    /// Makes a probe again from its token, and hands it over.
    async fn again(&self, route: &RouteSettings, waiting: &Waiting) -> anyhow::Result<Sent> {
        let Shared { store, keys, .. } = &*self.shared;
        let Some(Reading::Valid { token, .. }) = keys.read_text(&waiting.token) else {
            anyhow::bail!("its key is gone");
        };
        let when = (token.made_at(), token.counter);
        let Made { planned, .. } =
            self.make(route, &waiting.route, waiting.profile, Some(token.kind), when).await?;
        anyhow::ensure!(
            sha256(&planned.message.bytes) == waiting.sha256,
            "its route, or the program, makes another message now"
        );
        let way = self.way(route, &planned, only_of(route, &waiting.route)).await?;
        let (name, at) = (waiting.token.as_str(), clock::now());
        committed(|done| store.begin_retry(name, waiting.attempts, at, done)).await?;
        let hand_over = self.hand_over(&way, &planned).await;
        let record = hand_over.clone();
        committed(|done| store.finish_probe_then(name, record, done)).await?;
        Ok(Sent {
            token: waiting.token.clone(),
            to: planned.rcpt_to,
            hand_over,
            is_to_be_stopped: is_to_be_stopped(waiting.profile),
            began_at: waiting.sent_at,
            route: waiting.route.clone(),
            profile: waiting.profile,
            sha256: waiting.sha256,
        })
    }
}

// ---- The parts ----

/// A probe, and as it is kept.
struct Made {
    planned: Planned,
    probe: NewProbe,
}

/// By which way a probe goes.
enum Way {
    /// To the server of its sender.
    Server(Box<SubmitOptions>),
    /// To the MX hosts of its recipient.
    Direct(Box<DirectOptions>),
}

impl Sending {
    /// The way of a probe. A retry goes the same one: the same address of ours, the same order of hosts.
    ///
    /// Errors: a password that cannot be read.
    async fn way(
        &self,
        route: &RouteSettings,
        planned: &Planned,
        only: Option<(Name, Family)>,
    ) -> anyhow::Result<Way> {
        let settings = &self.shared.settings;
        let own_name = settings.receiver.host_name.as_deref();
        let token = planned.texts.name();
        if matches!(route.sender.kind, SenderKind::Direct { .. }) {
            let domain = planned.rcpt_to.domain_name();
            let towards = Towards {
                token,
                only,
                is_own_domain: domain.as_ref().is_some_and(|domain| settings.is_own_domain(domain)),
                is_own_receiver: is_taken_here(settings, &planned.rcpt_to),
                seed: u64::from(planned.token.counter),
            };
            return Ok(Way::Direct(Box::new(options::direct(&route.sender, own_name, towards)?)));
        }
        // Reading a secret may run a command.
        let (sender, own_name) = (route.sender.clone(), own_name.map(str::to_owned));
        let read = move || options::submit(&sender, own_name.as_deref());
        let mut submit = if route.sender.auth.is_some() {
            tokio::task::spawn_blocking(read).await.context("reading the password was cut off")??
        } else {
            read()?
        };
        submit.dsn = options::dsn(&route.sender, token);
        Ok(Way::Server(Box::new(submit)))
    }

    /// Hands a probe over.
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
                let means = Means { resolver: &*self.shared.resolver, policies: Some(&self.shared.policies) };
                deliver(options, means, submission).await
            }
        }
    }

    /// The MX hosts and families of a route's recipient, each a way of its own.
    ///
    /// Errors: in words, why they are not known, or that no mail is taken there.
    async fn ways_of(&self, route: &RouteSettings) -> Result<Vec<MxRoute>, String> {
        let domain = route.to.rsplit('@').next().unwrap_or_default();
        let domain = Name::from_dotted(domain).map_err(|error| error.to_string())?;
        routes_of(&domain, &*self.shared.resolver).await.map_err(|fault| fault.to_string())
    }

    /// When a probe of a route is overdue: as configured, else three times what nineteen of twenty took, once enough
    /// of them are known.
    fn overdue_after(&self, route: &RouteSettings) -> Duration {
        if let Some(configured) = route.overdue_after {
            return configured;
        }
        let now = clock::instant();
        let known = || self.shared.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, learned)) = known().get(&route.name)
            && now.saturating_duration_since(*at) < LEARNED_HOLDS
        {
            return *learned;
        }
        let (least, most) = limits::PROBE_OVERDUE_LEARNED;
        let learned = self.shared.store.reader().and_then(|reader| reader.probe_latency_p95(&route.name));
        let learned = match learned {
            Ok(p95) => p95.map_or(least, |p95| p95.saturating_mul(3).clamp(least, most)),
            Err(error) => {
                tracing::warn!(%error, route = %route.name, "how long its probes take cannot be read now");
                least
            }
        };
        known().insert(route.name.clone(), (now, learned));
        learned
    }

    /// The probes that were put off and may still be tried again, of whichever process.
    ///
    /// Errors: the store cannot be read.
    pub fn waiting(&self, now: Timestamp) -> anyhow::Result<Vec<Waiting>> {
        let longest = self.shared.settings.routes.iter().map(|route| route.lost_after).max();
        let longest = longest.unwrap_or(limits::PROBE_LOST_AFTER);
        let since = now.ms().saturating_sub(i64::try_from(longest.as_millis()).unwrap_or(i64::MAX));
        let deferred = self.shared.store.reader()?.deferred_probes(Timestamp::from_ms(since))?;
        Ok(deferred.into_iter().filter_map(Waiting::of).collect())
    }

    /// Notes that a probe is not tried again. Queued: nothing waits for it.
    fn give_up(&self, waiting: &Waiting, why: &str, now: Timestamp) {
        let reason = Reason {
            text: format!("given up after {} attempts: {why}", waiting.attempts),
            ..Reason::default()
        };
        let event = Event { at: now, what: What::GivenUp(reason) };
        let told = |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "that a probe was given up cannot be kept now");
            }
        };
        if let Err(error) = self.shared.store.note_probe_then(&waiting.token, event, told) {
            tracing::warn!(%error, "that a probe was given up cannot be kept now");
        }
    }
}

impl Waiting {
    /// The hash of its bytes (SHA-256): a retry has the same.
    pub const fn message_sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// A probe of the store; `None` for one that cannot be made again: another program made it.
    fn of(deferred: DeferredProbe) -> Option<Self> {
        let reply = Reply {
            code: deferred.reason.code.unwrap_or_default(),
            enhanced: deferred.reason.enhanced,
            lines: vec![deferred.reason.text],
            is_mixed: false,
        };
        Some(Self {
            profile: Profile::parse(&deferred.profile?).ok()?,
            sha256: deferred.message_sha256?,
            token: deferred.token,
            route: deferred.route,
            destination: deferred.destination.unwrap_or_default(),
            attempts: deferred.attempts,
            sent_at: deferred.sent_at,
            last_at: deferred.last_at,
            lost_at: deferred.sent_at.after(deferred.lost_after),
            is_greylisted: verdict_of(&reply) == ReplyClass::Greylisting,
        })
    }
}

/// True if a probe of this profile is made to be stopped: a refusal is what is wanted.
const fn is_to_be_stopped(profile: Profile) -> bool {
    matches!(
        profile.expectation(),
        Expectation::Stopped | Expectation::Bounces | Expectation::NotUnmarkedInInbox
    )
}

/// True if our own receiver takes mail for an address.
fn is_taken_here(settings: &Settings, address: &Address) -> bool {
    let Some(domain) = address.domain_name() else { return false };
    let is_of = |own: &Address| own.domain_name().is_some_and(|own: DomainName| own == domain);
    settings.recipients.iter().any(|recipient| is_of(&recipient.address))
}

/// Waits for a write that is queued, without a thread of its own.
async fn committed<T: Send + 'static>(
    queue: impl FnOnce(Box<dyn FnOnce(Result<T, StoreError>) + Send>) -> Result<(), StoreError>,
) -> Result<T, StoreError> {
    let (tell, told) = oneshot::channel();
    queue(Box::new(move |result| {
        // Whoever waited is gone: the write stands all the same.
        let _ = tell.send(result);
    }))?;
    told.await.map_err(|_| StoreError::Closed)?
}
