//! Hands a message to the MX hosts of the recipient's domain, as a mail server would.
//!
//! Who takes the mail is judged over answers of DNS (`direct/route.rs`, RFC 5321 §5.1, RFC 7505), and so is what DANE asks
//! of each host (RFC 7672); which policy of MTA-STS holds is in [`sts`] (RFC 8461). The hosts are then tried in order,
//! each address in a session of its own, until one takes the message or says that it never will:
//!
//! | what a host does | what follows |
//! | --- | --- |
//! | 2yz to the final dot | accepted |
//! | 5yz to EHLO, MAIL, RCPT, DATA or the dot | refused; no other host is asked |
//! | the connection is lost after the final dot | in doubt; no other host is asked, or there might be two copies |
//! | 4yz, no connection, silence, nonsense, 5yz instead of a greeting | the next address, then the next host |
//! | it cannot take such a message (SIZE, 8BITMIME, SMTPUTF8) | the next one |
//! | STARTTLS fails, and nothing demands TLS | the same address once more, in the clear |
//! | TLS is demanded, and fails, or the certificate is another one | the next one |
//!
//! If none takes it: deferred where one may take it later, refused where all said never.
//!
//! **DANE and MTA-STS.** A host with TLSA records that are signed all the way must show a matching certificate, whatever
//! the policy of MTA-STS says (RFC 8461 §2). Else an enforced policy must name the host, and its certificate must verify
//! for the host's name. In mode `testing` the same is only noted. Where neither asks for anything TLS is used if it is
//! offered, and the certificate is only noted. What was asked and what came of it stands in [`MxTried`].

mod route;
pub mod sts;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::dns::{Answers, Budget, Name, Resolve, settle};
use crate::dns_health::addresses::Reach;
use crate::dns_health::mta_sts::Mode;
use crate::limits;
use crate::smtp::submit::driver::{Aim, Guard, hand_over};
use crate::smtp::submit::{
    Cause, DsnRequest, Fault, HandOver, Outcome, Phase, Step, Submission, SubmitOptions, Timeouts, TlsMode,
    Verification, Verify,
};
use route::{Dane, MxHost, NoAddress, Route, Wish};
use sts::{Held, StsFound, StsPolicies};

// ---- What is asked ----

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The word in names of routes and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ipv4, Self::Ipv6].into_iter().find(|family| family.as_str() == text)
    }

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

/// How to hand over to MX hosts.
#[derive(Debug, Clone)]
pub struct DirectOptions {
    /// Our name in EHLO.
    pub helo: String,
    /// The port: 25, or another in tests.
    pub port: u16,
    /// Our address; absent: the system chooses.
    pub source_address: Option<IpAddr>,
    /// True if TLS is demanded of every host, whatever its domain asks; its certificate is only noted.
    pub requires_tls: bool,
    /// Against what certificates are verified, for MTA-STS and for the record.
    pub verify: Verify,
    /// True if DANE is honored.
    pub dane: bool,
    /// True if MTA-STS is honored; needs [`Means::policies`].
    pub mta_sts: bool,
    /// What we ask to be told of the delivery; absent: nothing.
    pub dsn: Option<DsnRequest>,
    /// Only this host and family, as one of the domain's [`routes_of`]; absent: all.
    pub only: Option<(Name, Family)>,
    /// Names of this host, to see that it is itself among the MX hosts (RFC 5321 §5.1). Empty where its own receiver is
    /// the destination.
    pub own_names: Vec<Name>,
    /// Its addresses, likewise.
    pub own_addresses: Vec<IpAddr>,
    /// Which addresses may be connected to on the word of the domain's DNS.
    pub reach: Reach,
    /// Chance: decides the order of hosts of equal preference.
    pub seed: u64,
    /// Waits of each session.
    pub timeouts: Timeouts,
}

/// Whom to ask.
#[derive(Clone, Copy)]
pub struct Means<'m> {
    /// DNS; what it says of DNSSEC decides on DANE.
    pub resolver: &'m dyn Resolve,
    /// Policies of MTA-STS; absent: none is fetched.
    pub policies: Option<&'m StsPolicies>,
}

// ---- What came of it ----

/// What DANE asked of a host, and what came of it (RFC 7672).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaneResult {
    /// Not asked for.
    NotAsked,
    /// Not known whether it asks for anything, and why: no proof by DNSSEC either way.
    NotKnown(String),
    /// It asks for nothing, and why.
    None(&'static str),
    /// The look-up fails below a signed address: the host was not used.
    Broken(String),
    /// It asks for TLS; the session did not come that far.
    Untested,
    /// Records that mail does not use: TLS with any certificate, which was there.
    Encrypted,
    /// The certificate matches.
    Matched,
    /// It does not, or there was no TLS: the host was not used.
    Failed(String),
}

impl fmt::Display for DaneResult {
    /// `matched`, `failed: …`, `none: …`, `not known: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked"),
            Self::NotKnown(why) => write!(f, "not known: {why}"),
            Self::None(why) => write!(f, "none: {why}"),
            Self::Broken(why) => write!(f, "broken: {why}"),
            Self::Untested => f.write_str("not tested"),
            Self::Encrypted => f.write_str("no usable record: TLS without proof"),
            Self::Matched => f.write_str("matched"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// How a host stands to the policy of MTA-STS (RFC 8461 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StsFit {
    /// The session did not come that far, or DANE decides.
    Untested(&'static str),
    /// The policy names it, and its certificate verifies.
    Fits,
    /// It does not, and why.
    Fails(String),
}

/// The policy of MTA-STS, and how a host stands to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StsResult {
    /// There is none that is known.
    Without(StsFound),
    /// There is one.
    With {
        /// `enforce` or `testing`.
        mode: Mode,
        /// The `id` of its record.
        id: String,
        /// How the host stands to it.
        fit: StsFit,
    },
}

impl fmt::Display for StsResult {
    /// `enforce, id 20260101: fits`, `none: no record`, `not known: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Without(found) => found.fmt(f),
            Self::With { mode, id, fit } => {
                write!(f, "{}, id {id}: ", mode.as_str())?;
                match fit {
                    StsFit::Untested(why) => write!(f, "not tested: {why}"),
                    StsFit::Fits => f.write_str("fits"),
                    StsFit::Fails(why) => write!(f, "fails: {why}"),
                }
            }
        }
    }
}

/// One MX host that was tried at one address, or passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxTried {
    /// Its name.
    pub host: String,
    /// Its preference; 0 where the domain has no MX record.
    pub preference: u16,
    /// The address tried; absent: it was passed over.
    pub address: Option<IpAddr>,
    /// The policy of MTA-STS and how the host stands to it.
    pub sts: StsResult,
    /// What DANE asked and what came of it.
    pub dane: DaneResult,
    /// Why the next one was tried, or would have been; absent: this one had the last word.
    pub fault: Option<String>,
}

/// One way to a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MxRoute {
    /// Preference of the host.
    pub preference: u16,
    /// The host.
    pub host: Name,
    /// The family of addresses.
    pub family: Family,
}

// ---- Routes ----

/// The ways to a domain, each host and family apart, most preferred first and equals by name.
///
/// Errors: no mail is taken there ([`Fault::NullMx`] and others), or it is not known who takes it ([`Fault::NotResolved`]).
pub async fn routes_of(domain: &Name, resolver: &dyn Resolve) -> Result<Vec<MxRoute>, Fault> {
    let wish = Wish { domain, seed: 0, own_names: &[], own_addresses: &[], with_dane: false };
    let route = ask(&wish, resolver).await?;
    let mut routes: Vec<MxRoute> = Vec::new();
    for host in route.hosts {
        for address in host.addresses.unwrap_or_default() {
            let family = Family::of(address);
            let route = MxRoute { preference: host.preference, host: host.name.clone(), family };
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
    }
    routes.sort();
    Ok(routes)
}

/// Asks DNS for the way.
async fn ask(wish: &Wish<'_>, resolver: &dyn Resolve) -> Result<Route, Fault> {
    let mut answers = Answers::new();
    let mut budget = Budget::new(limits::DIRECT_QUESTIONS, limits::DIRECT_DNS_TIME);
    settle(resolver, &mut answers, &mut budget, |answers| route::judge(wish, answers)).await
}

// ---- Delivery ----

/// Hands one message to the MX hosts of its recipient's domain; never fails, the record says how it went.
///
/// Every wait is bounded: [`limits::DIRECT_DNS_TIME`] for each look-up of DNS, the options' [`Timeouts`] for each session,
/// [`limits::DIRECT_ADDRESSES`] sessions, and none begins after [`limits::DIRECT_TIME`].
pub async fn deliver(options: &DirectOptions, means: Means<'_>, submission: Submission<'_>) -> HandOver {
    let started = clock::instant();
    let mut delivery = Delivery {
        options,
        submission,
        started,
        policy: StsFound::NotAsked,
        last: HandOver {
            started_at: clock::now(),
            ended_at: clock::now(),
            mx: Vec::new(),
            attempts: Vec::new(),
            peer: None,
            steps: Vec::new(),
            extensions: Vec::new(),
            tls: None,
            queue_id: None,
            outcome: Outcome::Deferred(Phase::Resolve, Cause::Fault(Fault::Closed)),
        },
        failures: Vec::new(),
        is_barred: false,
        sessions: 0,
        ended: None,
    };
    let outcome = delivery.run(means).await;
    let ended = delivery.ended.unwrap_or_else(|| clock::instant() - started);
    let mut record = delivery.last;
    record.outcome = outcome;
    record.ended_at = record.started_at.after(ended);
    record
}

/// A delivery under way.
struct Delivery<'d> {
    options: &'d DirectOptions,
    submission: Submission<'d>,
    started: Instant,
    /// The policy that holds.
    policy: StsFound,
    /// The record so far, with the session of the last host.
    last: HandOver,
    /// How the hosts so far failed.
    failures: Vec<Outcome>,
    /// True if a host was left out by what DANE or MTA-STS demand.
    is_barred: bool,
    /// Sessions so far.
    sessions: usize,
    /// When the outcome of the last one was known, from the beginning on: its goodbye does not count.
    ended: Option<Duration>,
}

/// What follows a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It is over.
    Done,
    /// The next address.
    On,
    /// The same address without TLS.
    InTheClear,
}

/// What follows how a session ended. `is_tls_free`: nothing demands TLS, and it was tried.
fn next(outcome: &Outcome, is_tls_free: bool) -> Next {
    match outcome {
        // No service here; another host may have it (RFC 5321 §3.1).
        Outcome::Refused(Phase::Banner, _) => Next::On,
        Outcome::Accepted(_) | Outcome::InDoubt(_) | Outcome::Refused(_, Cause::Reply(_)) => Next::Done,
        Outcome::Refused(_, Cause::Fault(fault)) => match fault {
            Fault::NoSmtpUtf8 | Fault::NoEightBit | Fault::TooLarge { .. } => Next::On,
            _ => Next::Done,
        },
        Outcome::Deferred(Phase::Tls, _) if is_tls_free => Next::InTheClear,
        Outcome::Deferred(..) => Next::On,
    }
}

/// The outcome of a delivery that nobody took: put off where one host may take it later.
fn of_failures(failures: Vec<Outcome>) -> Option<Outcome> {
    let deferred = failures.iter().rposition(|outcome| matches!(outcome, Outcome::Deferred(..)));
    let at = deferred.unwrap_or(failures.len().saturating_sub(1));
    failures.into_iter().nth(at)
}

impl Delivery<'_> {
    /// The whole way; gives the outcome.
    async fn run(&mut self, means: Means<'_>) -> Outcome {
        let to = self.submission.rcpt_to;
        let Some(domain) = to.domain_name().and_then(|domain| Name::from_dotted(domain.as_str()).ok()) else {
            let fault = Fault::NoRoute(format!("{to} has no domain with MX hosts"));
            return Outcome::Refused(Phase::Resolve, Cause::Fault(fault));
        };
        let began = clock::instant();
        let wish = Wish {
            domain: &domain,
            seed: self.options.seed,
            own_names: &self.options.own_names,
            own_addresses: &self.options.own_addresses,
            with_dane: self.options.dane,
        };
        let route = ask(&wish, means.resolver).await;
        self.step(Phase::Resolve, format!("MX {domain}"), began);
        let route = match route {
            Ok(route) => route,
            Err(fault @ Fault::NotResolved(_)) => {
                return Outcome::Deferred(Phase::Resolve, Cause::Fault(fault));
            }
            Err(fault) => return Outcome::Refused(Phase::Resolve, Cause::Fault(fault)),
        };
        if self.options.mta_sts
            && let Some(policies) = means.policies
        {
            let began = clock::instant();
            self.policy = policies.find(&domain, means.resolver).await;
            self.step(Phase::Policy, format!("MTA-STS {domain}: {}", self.policy), began);
        }
        if let Some((only, family)) = &self.options.only
            && !route.hosts.iter().any(|host| host.name == *only && has_family(host, *family))
        {
            let fault = format!("{only} is no MX host of {domain} with an address of {}", family.as_str());
            return Outcome::Refused(Phase::Resolve, Cause::Fault(Fault::NoRoute(fault)));
        }
        for host in &route.hosts {
            if self.options.only.as_ref().is_some_and(|(only, _)| *only != host.name) {
                continue;
            }
            if let Some(outcome) = self.try_host(host).await {
                return outcome;
            }
        }
        for (name, preference) in route.left_out {
            let why = "this host is preferred to it, or is it";
            self.pass_over(&name, preference, DaneResult::NotAsked, StsFit::Untested(why), why.to_owned());
        }
        match of_failures(std::mem::take(&mut self.failures)) {
            // What is barred now may be allowed later: then it is no refusal by all.
            Some(outcome) if !self.is_barred || matches!(outcome, Outcome::Deferred(..)) => return outcome,
            _ => {}
        }
        let told = self.last.mx.iter().filter_map(|mx| Some(format!("{}: {}", mx.host, mx.fault.as_ref()?)));
        let told: Vec<String> = told.collect();
        Outcome::Deferred(Phase::Resolve, Cause::Fault(Fault::Barred(told.join("; "))))
    }

    /// Tries the addresses of one host; gives the outcome if it had the last word.
    async fn try_host(&mut self, host: &MxHost) -> Option<Outcome> {
        let addresses = match &host.addresses {
            Ok(addresses) => addresses,
            Err(NoAddress::Absent(why)) => {
                let why = format!("MX target has no address: {why}");
                self.pass_over(
                    &host.name,
                    host.preference,
                    DaneResult::NotAsked,
                    StsFit::Untested("no address"),
                    why,
                );
                return None;
            }
            Err(NoAddress::NotKnown(why)) => {
                let fault = Fault::NotResolved(format!("address of {}: {why}", host.name));
                let text = fault.to_string();
                self.failures.push(Outcome::Deferred(Phase::Resolve, Cause::Fault(fault)));
                self.pass_over(
                    &host.name,
                    host.preference,
                    DaneResult::NotAsked,
                    StsFit::Untested("no address"),
                    text,
                );
                return None;
            }
        };
        if let Dane::Broken(why) = &host.dane {
            self.is_barred = true;
            let (dane, fit) = (DaneResult::Broken(why.clone()), StsFit::Untested("DANE decides"));
            self.pass_over(&host.name, host.preference, dane, fit, why.clone());
            return None;
        }
        let is_dane = matches!(host.dane, Dane::Records { .. });
        if let StsFound::Policy(held) = &self.policy
            && held.mode == Mode::Enforce
            && !is_dane
            && !held.policy.covers(&host.name)
        {
            self.is_barred = true;
            let why = "the policy of MTA-STS does not name this host";
            let dane = dane_so_far(&host.dane);
            self.pass_over(&host.name, host.preference, dane, StsFit::Fails(why.to_owned()), why.to_owned());
            return None;
        }
        for address in addresses {
            if self.options.only.as_ref().is_some_and(|(_, family)| *family != Family::of(*address)) {
                continue;
            }
            if let Some(why) = self.is_out_of_reach(*address) {
                let (dane, fit) = (dane_so_far(&host.dane), StsFit::Untested("not tried"));
                self.pass_over(&host.name, host.preference, dane, fit, format!("{address}: {why}"));
                continue;
            }
            if let Some(outcome) = self.try_address(host, *address).await {
                return Some(outcome);
            }
        }
        None
    }

    /// Why an address is not tried.
    fn is_out_of_reach(&self, address: IpAddr) -> Option<String> {
        if !self.options.reach.allows(address) {
            return Some("no public address".to_owned());
        }
        if let Some(source) = self.options.source_address
            && source.is_ipv4() != address.is_ipv4()
        {
            return Some(format!("not of the family of the source address {source}"));
        }
        if self.sessions >= limits::DIRECT_ADDRESSES {
            return Some(format!("{} addresses were tried", limits::DIRECT_ADDRESSES));
        }
        let late = clock::instant() - self.started > limits::DIRECT_TIME;
        late.then(|| format!("not tried after {} s", limits::DIRECT_TIME.as_secs()))
    }

    /// Tries one address; gives the outcome if it had the last word.
    async fn try_address(&mut self, host: &MxHost, address: IpAddr) -> Option<Outcome> {
        let held = match &self.policy {
            StsFound::Policy(held) => Some(held.clone()),
            _ => None,
        };
        let names: Vec<&str>;
        let (guard, server_name, is_demanded) = match (&host.dane, &held) {
            (Dane::Records { base, names: all, usable }, _) => {
                names = all.iter().map(Name::as_str).collect();
                let guard = if usable.is_empty() { Guard::None } else { Guard::Dane(usable, &names) };
                (guard, base, true)
            }
            (_, Some(held)) if held.mode == Mode::Enforce => (Guard::Verified, &host.name, true),
            _ => (Guard::None, &host.name, self.options.requires_tls),
        };
        let mut options = SubmitOptions {
            host: host.name.to_string(),
            port: self.options.port,
            helo: self.options.helo.clone(),
            tls: if is_demanded { TlsMode::Required } else { TlsMode::IfOffered },
            verify: self.options.verify.clone(),
            server_name: Some(server_name.to_string()),
            credentials: None,
            source_address: self.options.source_address,
            dsn: self.options.dsn.clone(),
            timeouts: self.options.timeouts,
        };
        let aim = Aim { address: SocketAddr::new(address, self.options.port), guard };
        loop {
            let began = clock::instant() - self.started;
            let session = hand_over(&options, Some(aim), self.submission).await;
            self.sessions += 1;
            let took = session.ended_at.ms_since(session.started_at);
            self.ended = Some(began + Duration::from_millis(u64::try_from(took).unwrap_or_default()));
            let what_follows = next(&session.outcome, options.tls == TlsMode::IfOffered);
            let fault = (what_follows != Next::Done).then(|| cause_of(&session.outcome));
            let tried = MxTried {
                host: host.name.to_string(),
                preference: host.preference,
                address: Some(address),
                sts: sts_of(&self.policy, held.as_ref(), host, &session),
                dane: dane_of(&host.dane, &session),
                fault,
            };
            let outcome = session.outcome.clone();
            self.take(session, tried);
            match what_follows {
                Next::Done => return Some(outcome),
                Next::On => {
                    self.failures.push(outcome);
                    return None;
                }
                Next::InTheClear => options.tls = TlsMode::None,
            }
        }
    }

    /// Adds a session to the record.
    fn take(&mut self, session: HandOver, tried: MxTried) {
        self.last.mx.push(tried);
        self.last.attempts.extend(session.attempts);
        self.last.steps.extend(session.steps);
        // Of the last session only; one without a connection tells nothing of a server.
        self.last.peer = session.peer;
        self.last.extensions = session.extensions;
        self.last.tls = session.tls;
        self.last.queue_id = session.queue_id;
    }

    /// Notes a host that is not tried.
    fn pass_over(&mut self, host: &Name, preference: u16, dane: DaneResult, fit: StsFit, why: String) {
        let sts = match &self.policy {
            StsFound::Policy(held) => StsResult::With { mode: held.mode, id: held.id.clone(), fit },
            other => StsResult::Without(other.clone()),
        };
        let host = host.to_string();
        self.last.mx.push(MxTried { host, preference, address: None, sts, dane, fault: Some(why) });
    }

    /// Notes a step that ends now.
    fn step(&mut self, phase: Phase, sent: String, began: Instant) {
        let took: Duration = clock::instant() - began;
        self.last.steps.push(Step { phase, sent: Some(sent), reply: None, took });
    }
}

/// True if a host has an address of a family.
fn has_family(host: &MxHost, family: Family) -> bool {
    host.addresses.as_ref().is_ok_and(|all| all.iter().any(|address| Family::of(*address) == family))
}

/// Why a session did not end well.
fn cause_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(reply) => reply.to_string(),
        Outcome::Refused(phase, cause) | Outcome::Deferred(phase, cause) => {
            format!("{}: {cause}", phase.as_str())
        }
        Outcome::InDoubt(fault) => fault.to_string(),
    }
}

/// What is known of DANE before a session.
fn dane_so_far(dane: &Dane) -> DaneResult {
    match dane {
        Dane::NotAsked => DaneResult::NotAsked,
        Dane::NotKnown(why) => DaneResult::NotKnown(why.clone()),
        Dane::None(why) => DaneResult::None(why),
        Dane::Broken(why) => DaneResult::Broken(why.clone()),
        Dane::Records { .. } => DaneResult::Untested,
    }
}

/// Why a session has no TLS as demanded, if that is why it ended.
fn tls_fault(session: &HandOver) -> Option<String> {
    match &session.outcome {
        Outcome::Deferred(Phase::StartTls | Phase::Tls, cause) => Some(cause.to_string()),
        _ => None,
    }
}

/// What came of DANE in a session.
fn dane_of(dane: &Dane, session: &HandOver) -> DaneResult {
    let Dane::Records { usable, .. } = dane else { return dane_so_far(dane) };
    match (tls_fault(session), &session.tls) {
        (Some(why), _) => DaneResult::Failed(why),
        (None, Some(_)) if usable.is_empty() => DaneResult::Encrypted,
        (None, Some(_)) => DaneResult::Matched,
        (None, None) => DaneResult::Untested,
    }
}

/// How a host stands to the policy after a session.
fn sts_of(policy: &StsFound, held: Option<&Held>, host: &MxHost, session: &HandOver) -> StsResult {
    let Some(held) = held else { return StsResult::Without(policy.clone()) };
    let fit = if matches!(host.dane, Dane::Records { .. }) {
        StsFit::Untested("DANE decides")
    } else if !held.policy.covers(&host.name) {
        StsFit::Fails("the policy does not name this host".to_owned())
    } else {
        match (&session.tls, tls_fault(session)) {
            (Some(facts), _) => match &facts.verification {
                Verification::Verified => StsFit::Fits,
                Verification::Failed(why) => StsFit::Fails(format!("certificate: {why}")),
                Verification::NotChecked => StsFit::Untested("the certificate was not verified"),
            },
            (None, Some(why)) => StsFit::Fails(why),
            (None, None) if session.steps.iter().any(|step| step.phase == Phase::Mail) => {
                StsFit::Fails("no TLS".to_owned())
            }
            (None, None) => StsFit::Untested("the session did not come that far"),
        }
    };
    StsResult::With { mode: held.mode, id: held.id.clone(), fit }
}

#[cfg(test)]
mod tests;
