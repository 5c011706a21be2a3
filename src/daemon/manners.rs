//! Gathers what `probe::manners` judges: DNS, the store, the file that stops everything, our own way out.
//!
//! One for a process, since the caps hold over all routes. What other processes sent is read from the store at every
//! question; what is granted here counts from then on, so that probes which leave side by side keep the caps too.

mod outlet;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Mutex as AsyncMutex;

use crate::authentication::dkim::SigningKey;
use crate::clock::{self, Instant, Timestamp};
use crate::config::{DkimSettings, RouteSettings, SenderKind, Settings};
use crate::dns::{Answers, Budget, Name, Resolve, settle};
use crate::limits;
use crate::mail::DomainName;
use crate::probe::KeyRing;
use crate::probe::compose::Profile;
use crate::probe::look::{Finding, Found, Key, Subject, look};
use crate::probe::manners::{Facts, Harm, Leave, Ledger, Occasion, Refusal, Whose, leave, may_send};
use crate::store::{Reader, Store};

/// A probe that somebody wants to send.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'w> {
    /// Its route.
    pub route: &'w RouteSettings,
    /// What it is made of.
    pub profile: Profile,
    /// Why it is sent.
    pub occasion: Occasion,
    /// What could be wrong about it.
    pub harm: Harm,
    /// The MX host that takes it, where that is known.
    pub mx_host: Option<&'w str>,
}

impl<'w> Wish<'w> {
    /// A probe to whatever MX host there is, with the harm that its profile has.
    pub const fn new(route: &'w RouteSettings, profile: Profile, occasion: Occasion) -> Self {
        Self { route, profile, occasion, harm: Harm::of(profile), mx_host: None }
    }
}

/// Who says whether a probe may be sent.
pub struct Manners {
    settings: Arc<Settings>,
    installation: String,
    resolver: Arc<dyn Resolve>,
    is_forced: bool,
    looks: Mutex<HashMap<String, SharedLook>>,
    state: Arc<Mutex<State>>,
}

/// What a look found, and when.
type Look = (Instant, Arc<[Finding]>);

/// A look of some routes; locked while it is made.
type SharedLook = Arc<AsyncMutex<Option<Look>>>;

/// What is remembered between questions.
struct State {
    /// How many went where.
    ledger: Ledger,
    /// The store, once it was asked.
    reader: Option<Reader>,
    /// The probes of the store that were noted.
    seen: HashSet<String>,
    /// The latest of them.
    newest: Option<Timestamp>,
    /// What was granted and is not in the store yet: route and time.
    granted: Vec<(String, Timestamp)>,
    /// When a scheduled probe of a route and a profile was granted last.
    scheduled: HashMap<(String, String), Timestamp>,
}

/// How far back rows of the store are read again: writers commit in another order than they take the time.
const OVERLAP: Duration = Duration::from_secs(10);
/// How long a grant waits for its row in the store; afterwards another row of the route is another probe.
const GRANT: Duration = Duration::from_secs(60);

impl std::fmt::Debug for Manners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manners").field("installation", &self.installation).finish_non_exhaustive()
    }
}

impl Manners {
    /// One for the settings, and for the key from which the id of the installation comes.
    ///
    /// `is_forced`: the look at ourselves stops nothing (`--force`, `[probes] force`).
    pub fn new(settings: Arc<Settings>, keys: &KeyRing, resolver: Arc<dyn Resolve>, is_forced: bool) -> Self {
        let probes = &settings.probes;
        let state = State {
            ledger: Ledger::new(probes.per_destination, probes.total),
            reader: None,
            seen: HashSet::new(),
            newest: None,
            granted: Vec::new(),
            scheduled: HashMap::new(),
        };
        Self {
            installation: keys.installation_id(),
            settings,
            resolver,
            is_forced,
            looks: Mutex::default(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The id of this installation.
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// Whose the system is to which a route leads.
    pub fn whose(&self, route: &RouteSettings) -> Whose {
        whose(&self.settings, route)
    }

    /// Says whether a probe may be sent now; what is granted counts for the caps from now on.
    ///
    /// Asks DNS only where leave or the look at ourselves needs it, each time within [`limits::PROBE_LOOK_TIME`].
    /// Errors: the store cannot be read. A refusal is no error: it is the inner result.
    pub async fn may_send(
        &self,
        store: &Store,
        wish: &Wish<'_>,
        now: Timestamp,
    ) -> anyhow::Result<Result<(), Refusal>> {
        let route = wish.route;
        let whose = self.whose(route);
        let domain = route.recipient_domain().context("the recipient has no domain")?;
        // What is refused by the settings alone asks nobody.
        let names = forged_names(route, wish.harm);
        let mut leaves = Vec::new();
        if wish.harm != Harm::None && route.allow_negative {
            let mut all = vec![domain.as_str().to_owned()];
            all.extend(names.iter().cloned());
            leaves = self.leaves(&all).await;
        }
        let unasked = Leave::NotKnown("not asked".to_owned());
        let leave_of =
            |name: &str| leaves.iter().find(|(known, _)| known == name).map_or(&unasked, |(_, leave)| leave);
        let names: Vec<(String, Leave)> =
            names.into_iter().map(|name| (name.clone(), leave_of(&name).clone())).collect();
        let consent = consent_of(&self.settings, route, &domain);
        let kill_switch = self.kill_switch();
        let profile = wish.profile.to_string();
        let facts = Facts {
            route: &route.name,
            profile: &profile,
            occasion: wish.occasion,
            is_enabled: self.settings.probes.enabled,
            kill_switch: kill_switch.as_deref(),
            whose,
            destination: domain.as_str(),
            consent: consent.as_deref(),
            harm: wish.harm,
            allows_negative: route.allow_negative,
            allows_via_account: route.allow_negative_via_account,
            is_via_account: route.sender.auth.is_some(),
            installation: &self.installation,
            leave: leave_of(domain.as_str()),
            names: &names,
            look: &[],
            is_forced: self.is_forced,
            last_sent: None,
            full: None,
        };
        if let Err(refusal) = may_send(&facts, now) {
            return Ok(Err(refusal));
        }
        let look = match wish.harm {
            // What bears a false name fails these points on purpose.
            Harm::Forged => Arc::from([]),
            _ if self.is_forced => Arc::from([]),
            _ => self.look(route).await,
        };
        let facts = Facts { look: &look, ..facts };
        let wish = Booking {
            route: route.name.clone(),
            profile: profile.clone(),
            domain: domain.as_str().to_owned(),
            host: wish.mx_host.map(str::to_owned),
            is_scheduled: wish.occasion == Occasion::Schedule,
        };
        self.book(store, wish, &facts, now).await
    }

    /// Judges with what the store says, and notes what is granted: both while nobody else does.
    async fn book(
        &self,
        store: &Store,
        booking: Booking,
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> anyhow::Result<Result<(), Refusal>> {
        let (state, store) = (Arc::clone(&self.state), store.clone());
        tokio::task::spawn_blocking(move || lock(&state).refresh(&store, now))
            .await
            .context("the look into the store was cut off")??;
        let mut state = lock(&self.state);
        let key = (booking.route, booking.profile);
        let last_sent = state.scheduled.get(&key).copied();
        let full = state.ledger.full(&booking.domain, booking.host.as_deref(), now);
        let judged = may_send(&Facts { last_sent, full: full.as_ref(), ..*facts }, now);
        if judged.is_ok() {
            state.ledger.note(&booking.domain, booking.host.as_deref(), now);
            state.granted.push((key.0.clone(), now));
            if booking.is_scheduled {
                state.scheduled.insert(key, now);
            }
        }
        Ok(judged)
    }

    /// Says whether the file that stops everything is there: for what was granted before and is tried again.
    ///
    /// Errors: [`Refusal`] while it is.
    pub fn stopped(&self, now: Timestamp) -> Result<(), Refusal> {
        self.kill_switch().map_or(Ok(()), |file| Err(Refusal::stopped(&file, now)))
    }

    /// The file that stops everything, where it is there. A file of which nobody can say stops too.
    fn kill_switch(&self) -> Option<String> {
        let file = self.settings.probes.kill_switch.as_ref()?;
        file.try_exists().unwrap_or(true).then(|| file.display().to_string())
    }

    /// The leave of some domains, asked side by side.
    pub async fn leaves(&self, domains: &[String]) -> Vec<(String, Leave)> {
        leaves(&*self.resolver, domains, &self.installation).await
    }

    /// What a route's sender looks like to receivers. Nothing where its mail stays on this machine.
    ///
    /// Routes that receivers cannot tell apart share one look, and who comes while it is made waits for it: a thousand
    /// routes to one domain knock at its doors once. It holds for a day, for an hour where something is not known, for
    /// five minutes where something is to be mended.
    pub async fn look(&self, route: &RouteSettings) -> Arc<[Finding]> {
        if self.whose(route) == Whose::Here {
            return Arc::from([]);
        }
        let place = Arc::clone(lock(&self.looks).entry(look_key(route)).or_default());
        let mut known = place.lock().await;
        if let Some((at, findings)) = &*known {
            let has = |found: Found| findings.iter().any(|finding| finding.found == found);
            let holds = match (has(Found::No), has(Found::NotKnown)) {
                (true, _) => limits::PROBE_LOOK_BAD_HOLDS,
                (false, true) => limits::PROBE_LOOK_OPEN_HOLDS,
                (false, false) => limits::PROBE_LOOK_HOLDS,
            };
            if clock::instant().saturating_duration_since(*at) < holds {
                return Arc::clone(findings);
            }
        }
        let findings: Arc<[Finding]> = look_at(&self.settings, route, &self.resolver).await.into();
        *known = Some((clock::instant(), Arc::clone(&findings)));
        findings
    }
}

/// What is noted of a probe that is granted.
struct Booking {
    route: String,
    profile: String,
    domain: String,
    host: Option<String>,
    is_scheduled: bool,
}

impl State {
    /// Notes what the store knows and we do not: what other processes sent, and what was sent before we began.
    fn refresh(&mut self, store: &Store, now: Timestamp) -> anyhow::Result<()> {
        let back = |at: Timestamp, by: Duration| {
            Timestamp::from_ms(at.ms().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
        };
        let begin = back(now, self.ledger.window());
        let from = self.newest.map_or(begin, |newest| back(newest.min(now), OVERLAP).max(begin));
        if self.reader.is_none() {
            self.reader = Some(store.reader()?);
        }
        let Some(reader) = &self.reader else { return Ok(()) };
        let rows = reader.probes_sent_since(from)?;
        self.granted.retain(|(_, at)| at.after(GRANT) > now);
        // Only what may come again has to be told apart.
        let mut seen = HashSet::new();
        for row in rows {
            self.newest = self.newest.max(Some(row.sent_at));
            if !self.seen.contains(&row.token) {
                let granted = self.granted.iter().position(|(route, _)| is_of(&row.route, route));
                match granted {
                    Some(index) => drop(self.granted.swap_remove(index)),
                    None => {
                        self.ledger.note(&row.destination, row.mx_host.as_deref(), row.sent_at);
                    }
                }
            }
            seen.insert(row.token);
        }
        self.seen = seen;
        Ok(())
    }
}

/// True if a stored name is that of a route, or of one of its ways (`hq/mx1.example.net/ipv4`).
fn is_of(name: &str, route: &str) -> bool {
    name.strip_prefix(route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A mutex whose holder panicked holds what it held before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose the system is to which a route leads. Mail stays here where the server is this machine and the recipient ours.
pub fn whose(settings: &Settings, route: &RouteSettings) -> Whose {
    let is_own = route.recipient_domain().is_some_and(|domain| settings.is_own_domain(&domain));
    let host = route.sender.host.as_str();
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match (is_own, is_here && route.sender.kind == SenderKind::Submission) {
        (true, true) => Whose::Here,
        (true, false) => Whose::Own,
        (false, _) => Whose::Foreign,
    }
}

/// Whose consent there is to send probes of a route.
pub fn consent_of(settings: &Settings, route: &RouteSettings, domain: &DomainName) -> Option<String> {
    let general = || settings.probes.consent.iter().find(|consent| domain.is_at_or_below(&consent.domain));
    route.consent.clone().or_else(|| general().map(|consent| consent.because.clone()))
}

/// What of a route receivers can see: routes with the same key look the same.
fn look_key(route: &RouteSettings) -> String {
    let mail_from = route.mail_from.as_ref().and_then(|template| domain_of(template));
    let dkim = route.dkim.as_ref().map_or("-", |dkim| dkim.name.as_str());
    let name =
        |domain: Option<DomainName>| domain.map_or_else(|| "-".to_owned(), |domain| domain.to_string());
    [
        route.sender.name.clone(),
        name(route.from.domain_name()),
        name(mail_from),
        dkim.to_owned(),
        name(route.recipient_domain()),
    ]
    .join(" ")
}

/// The domains whose leave a route needs: that of its recipients, and those whose names its forged probes bear, where
/// it has such probes.
pub fn leave_domains(settings: &Settings, route: &RouteSettings) -> Vec<String> {
    let mut all: Vec<String> =
        route.recipient_domain().map(|domain| domain.to_string()).into_iter().collect();
    for negative in settings.negatives.iter().filter(|negative| negative.route == route.name) {
        all.extend(forged_names(route, Harm::of(negative.profile)));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The domains whose names a message bears that did not send it: the author's and that of the reverse-path.
fn forged_names(route: &RouteSettings, harm: Harm) -> Vec<String> {
    if harm != Harm::Forged {
        return Vec::new();
    }
    let mail_from = route.mail_from.as_ref().and_then(|template| domain_of(template));
    let mut names: Vec<String> =
        [route.from.domain_name(), mail_from].into_iter().flatten().map(|name| name.to_string()).collect();
    names.dedup();
    names
}

/// The domain of an address or of a template of one.
fn domain_of(template: &str) -> Option<DomainName> {
    template.rsplit_once('@').and_then(|(_, domain)| DomainName::parse(domain))
}

/// The leave of some domains for an installation, asked side by side.
pub async fn leaves(resolver: &dyn Resolve, domains: &[String], installation: &str) -> Vec<(String, Leave)> {
    let mut answers = Answers::new();
    let mut budget = Budget::new(limits::PROBE_LOOK_QUESTIONS, limits::PROBE_LOOK_TIME);
    let named: Vec<(String, Option<Name>)> =
        domains.iter().map(|domain| (domain.clone(), Name::from_dotted(domain).ok())).collect();
    settle(resolver, &mut answers, &mut budget, |answers| {
        let mut lacking = Vec::new();
        let mut all = Vec::new();
        for (domain, name) in &named {
            let Some(name) = name else {
                all.push((domain.clone(), Leave::NotKnown(format!("{domain} is no domain name"))));
                continue;
            };
            match leave(name, installation, answers) {
                Ok(leave) => all.push((domain.clone(), leave)),
                Err(ask) => lacking.extend(ask.questions),
            }
        }
        if lacking.is_empty() { Ok(all) } else { Err(crate::dns::Ask { questions: lacking }) }
    })
    .await
}

/// Looks at the sender of a route.
async fn look_at(settings: &Settings, route: &RouteSettings, resolver: &Arc<dyn Resolve>) -> Vec<Finding> {
    let name = |domain: Option<DomainName>| domain.and_then(|domain| Name::from_dotted(domain.as_str()).ok());
    // Addresses of a route have domains: the configuration refuses others.
    let Some(from) = name(route.from.domain_name()) else { return Vec::new() };
    let mail_from = name(route.mail_from.as_ref().and_then(|template| domain_of(template)));
    let outlet = match route.sender.kind {
        SenderKind::Submission => None,
        SenderKind::Direct { .. } => Some(outlet::gather(settings, route, resolver).await),
    };
    let subject = Subject {
        sender: route.sender.name.clone(),
        route: route.name.clone(),
        mail_from: mail_from.unwrap_or_else(|| from.clone()),
        from,
        outlet,
        key: route.dkim.as_ref().map(key_of),
    };
    let mut answers = Answers::new();
    let mut budget = Budget::new(limits::PROBE_LOOK_QUESTIONS, limits::PROBE_LOOK_TIME);
    let now = clock::now();
    settle(&**resolver, &mut answers, &mut budget, |answers| look(&subject, answers, now)).await
}

/// The key of a route, with the record that it should have.
fn key_of(dkim: &DkimSettings) -> Key {
    let record = dkim
        .key
        .read_whole()
        .map_err(|error| format!("the key of [dkim.{}] cannot be had: {error}", dkim.name))
        .and_then(|pem| {
            SigningKey::from_pem(pem.reveal().as_bytes())
                .map(|key| key.record())
                .map_err(|error| format!("the key of [dkim.{}] cannot be used: {error}", dkim.name))
        });
    Key { domain: dkim.domain.to_string(), selector: dkim.selector.clone(), record }
}
