//! The MX hosts of all domains of a run: each address is talked with once, and what all of them show together.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{self, Instant};
use crate::dns::Name;
use crate::dns_health::facts::{Dialogue, DialogueFault, Outlet, StartTls};
use crate::limits;
use crate::tls_client::Verification;

/// A dialogue on its way.
pub type Talking<'a> = Pin<Box<dyn Future<Output = Dialogue> + Send + 'a>>;

/// Whoever talks with a mail server: greeting, EHLO, STARTTLS, EHLO, QUIT, and never a recipient.
///
/// It never fails, bounds its own time, and keeps to addresses that may be connected to.
pub trait MxDialogue: Send + Sync {
    /// Talks with one address of an MX host; the certificate is verified for the host's name.
    fn talk<'a>(&'a self, host: &'a Name, address: IpAddr) -> Talking<'a>;

    /// What verifying a chain for another host's name gives now.
    fn verify(&self, host: &Name, chain: &[Vec<u8>]) -> Verification;
}

/// The MX hosts of a run, or of the life of `serve`.
///
/// Domains share hosts: what one address said is remembered. Only where its certificate is not valid for another
/// host's name is it asked again by that name, since it may have a certificate for each.
pub struct Exchangers {
    talker: Arc<dyn MxDialogue>,
    /// For how long a dialogue is not repeated; absent: for ever.
    keep: Option<Duration>,
    /// Dialogues that may still begin.
    places: Semaphore,
    /// By address; the inner lock is held while there is talk, so that nobody else calls the same address.
    known: Mutex<HashMap<IpAddr, Place>>,
    tally: Mutex<Tally>,
    is_paused: AtomicBool,
}

/// What one address said, by the names that it was asked by.
type Place = Arc<tokio::sync::Mutex<Vec<Held>>>;

/// A dialogue that is remembered.
struct Held {
    host: Name,
    at: Instant,
    dialogue: Dialogue,
}

/// Who was met and who was not.
#[derive(Default)]
struct Tally {
    /// When a host took or refused a connection last.
    met: Option<Instant>,
    /// Addresses that were silent, since when, and whether they timed out.
    silent: HashMap<IpAddr, (Instant, bool)>,
}

/// A lock; a panic elsewhere does not spoil values that are set in one go.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchangers {
    /// Hosts that are talked with through `talker`. `keep`: for how long what they said holds; absent: for as
    /// long as this value lives.
    pub fn new(talker: Arc<dyn MxDialogue>, keep: Option<Duration>) -> Self {
        Self {
            talker,
            keep,
            places: Semaphore::new(limits::DIALOGUES_AT_ONCE),
            known: Mutex::default(),
            tally: Mutex::default(),
            is_paused: AtomicBool::new(false),
        }
    }

    /// From now on nobody is called, or is again: what was said before still holds.
    pub fn pause(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// True if what was seen then still holds.
    fn is_fresh(&self, at: Instant) -> bool {
        self.keep.is_none_or(|keep| at.elapsed() < keep)
    }

    /// What an address of a host says, or said not long ago.
    pub async fn talk(&self, host: &Name, address: IpAddr) -> Dialogue {
        let place = self.place(address);
        let mut held = place.lock().await;
        held.retain(|held| self.is_fresh(held.at));
        if let Some(known) = held.iter().find(|held| held.host == *host) {
            return known.dialogue.clone();
        }
        if let Some(dialogue) = self.said_to_others(host, &held) {
            return dialogue;
        }
        if self.is_paused.load(Ordering::Relaxed) {
            return Dialogue { outcome: Err(DialogueFault::NoOwnName) };
        }
        if self.is_blocked() {
            return Dialogue { outcome: Err(DialogueFault::NotTried) };
        }
        // Closed never: the value lives as long as we do.
        let _permit = self.places.acquire().await;
        if self.is_blocked() {
            return Dialogue { outcome: Err(DialogueFault::NotTried) };
        }
        let dialogue = self.talker.talk(host, address).await;
        self.note(address, &dialogue);
        held.push(Held { host: host.clone(), at: clock::instant(), dialogue: dialogue.clone() });
        dialogue
    }

    /// The place of an address; old ones are given up when there are too many.
    fn place(&self, address: IpAddr) -> Place {
        let mut known = lock(&self.known);
        if known.len() >= limits::DIALOGUE_ADDRESSES && !known.contains_key(&address) {
            known.retain(|_, place| {
                // Whoever talks is not given up.
                place.try_lock().map_or(true, |held| held.iter().any(|held| self.is_fresh(held.at)))
            });
            let excess = (known.len() + 1).saturating_sub(limits::DIALOGUE_ADDRESSES);
            let some: Vec<IpAddr> = known
                .iter()
                .filter(|(_, place)| Arc::strong_count(place) == 1)
                .map(|(address, _)| *address)
                .take(excess)
                .collect();
            for address in some {
                known.remove(&address);
            }
        }
        Arc::clone(known.entry(address).or_default())
    }

    /// What an address said when it was asked by other names, if that tells all of this host too.
    fn said_to_others(&self, host: &Name, held: &[Held]) -> Option<Dialogue> {
        for other in held {
            let mut dialogue = other.dialogue.clone();
            let Ok(spoken) = &mut dialogue.outcome else { return Some(dialogue) };
            let StartTls::Done(seen) = &mut spoken.tls else { return Some(dialogue) };
            seen.verification = self.talker.verify(host, &seen.chain);
            if seen.verification == Verification::Verified {
                return Some(dialogue);
            }
        }
        if held.len() < limits::DIALOGUE_NAMES {
            return None;
        }
        let mut dialogue = held.first()?.dialogue.clone();
        if let Ok(spoken) = &mut dialogue.outcome
            && let StartTls::Done(seen) = &mut spoken.tls
        {
            // It may have a certificate for this name too; it was asked often enough.
            seen.verification = Verification::NotChecked;
        }
        Some(dialogue)
    }

    // ---- Our own port 25 ----

    /// Takes note of who was met.
    fn note(&self, address: IpAddr, dialogue: &Dialogue) {
        let mut tally = lock(&self.tally);
        match &dialogue.outcome {
            Err(DialogueFault::NotPublic | DialogueFault::NotTried | DialogueFault::NoOwnName) => {}
            Err(fault) if fault.is_silence() => {
                if tally.silent.len() < limits::DIALOGUE_ADDRESSES {
                    let is_timeout = matches!(fault, DialogueFault::ConnectTimeout(_));
                    tally.silent.insert(address, (clock::instant(), is_timeout));
                }
            }
            _ => {
                tally.met = Some(clock::instant());
                tally.silent.remove(&address);
            }
        }
    }

    /// What all dialogues together show of connections to port 25.
    pub fn outlet(&self) -> Outlet {
        let mut tally = lock(&self.tally);
        if tally.met.is_some_and(|at| self.is_fresh(at)) {
            return Outlet::Open;
        }
        tally.silent.retain(|_, (at, _)| self.is_fresh(*at));
        // A machine without IPv6 has no way to any of its networks, which says nothing of the port.
        let timed_out = tally.silent.iter().filter(|(_, (_, is_timeout))| *is_timeout);
        let networks: BTreeSet<u128> = timed_out.map(|(address, _)| network(*address)).collect();
        Outlet::Silent { addresses: tally.silent.len(), networks: networks.len() }
    }

    /// True if so many networks were silent that no more is tried.
    fn is_blocked(&self) -> bool {
        matches!(self.outlet(), Outlet::Silent { networks, .. } if networks >= limits::PORT_BLOCKED_NETWORKS)
    }

    /// True if what comes later changes nothing.
    pub fn is_decided(&self) -> bool {
        self.outlet() == Outlet::Open || self.is_blocked()
    }
}

/// The /16 or /32 of an address: what stands and falls together.
fn network(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits() >> 16),
        IpAddr::V6(address) => address.to_bits() >> 96 << 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_health::facts::{Spoken, TlsSeen};
    use crate::dns_health::sample::name;

    /// Answers as told by the address, and counts.
    struct Script {
        calls: Mutex<Vec<(Name, IpAddr)>>,
        outcome: fn(IpAddr) -> Result<Spoken, DialogueFault>,
        /// The names of its certificate.
        names: Vec<Name>,
    }

    impl Script {
        fn new(names: &[&str], outcome: fn(IpAddr) -> Result<Spoken, DialogueFault>) -> Arc<Self> {
            let names = names.iter().map(|text| name(text)).collect();
            Arc::new(Self { calls: Mutex::default(), outcome, names })
        }
    }

    impl MxDialogue for Script {
        fn talk<'a>(&'a self, host: &'a Name, address: IpAddr) -> Talking<'a> {
            lock(&self.calls).push((host.clone(), address));
            let outcome = (self.outcome)(address);
            Box::pin(async move {
                tokio::task::yield_now().await;
                Dialogue { outcome }
            })
        }

        fn verify(&self, host: &Name, _: &[Vec<u8>]) -> Verification {
            if self.names.contains(host) {
                Verification::Verified
            } else {
                Verification::Failed("wrong name".to_owned())
            }
        }
    }

    fn with_tls() -> Spoken {
        let tls = StartTls::Done(TlsSeen {
            version: "TLSv1.3".to_owned(),
            cipher: String::new(),
            chain: vec![vec![1]],
            verification: Verification::Verified,
            extensions: Vec::new(),
        });
        Spoken { greeting: "mx".to_owned(), extensions: Vec::new(), tls }
    }

    fn silent(_: IpAddr) -> Result<Spoken, DialogueFault> {
        Err(DialogueFault::ConnectTimeout(10))
    }

    fn verification(dialogue: &Dialogue) -> Option<&Verification> {
        match &dialogue.outcome.as_ref().ok()?.tls {
            StartTls::Done(seen) => Some(&seen.verification),
            _ => None,
        }
    }

    #[tokio::test]
    async fn an_address_is_called_once_and_by_a_few_names() {
        let script = Script::new(&["mx.a.example", "mx.b.example"], |_| Ok(with_tls()));
        let exchangers = Exchangers::new(Arc::<Script>::clone(&script), None);
        let address = "198.50.1.1".parse().unwrap();
        let (a, b) = (name("mx.a.example"), name("mx.b.example"));
        // Side by side, and by a second name that the certificate has too.
        let said = futures_util::future::join_all((0..20).map(|at| {
            let host = if at % 2 == 0 { &a } else { &b };
            exchangers.talk(host, address)
        }))
        .await;
        assert!(said.iter().all(|said| verification(said) == Some(&Verification::Verified)));
        assert_eq!(lock(&script.calls).len(), 1);
        // Names that it lacks: each is asked for, until it is enough.
        for at in 0..9 {
            let host = name(&format!("mx{at}.c.example"));
            let said = exchangers.talk(&host, address).await;
            let want = if at < limits::DIALOGUE_NAMES - 1 {
                Verification::Verified // The script's word for its own dialogue.
            } else {
                Verification::NotChecked
            };
            assert_eq!(verification(&said), Some(&want), "{host}");
        }
        assert_eq!(lock(&script.calls).len(), limits::DIALOGUE_NAMES);
    }

    #[tokio::test]
    async fn what_was_said_holds_for_a_while() {
        let script = Script::new(&[], silent);
        let address = "198.50.1.1".parse().unwrap();
        for (keep, want) in [(None, 1), (Some(Duration::from_secs(3_600)), 1), (Some(Duration::ZERO), 3)] {
            lock(&script.calls).clear();
            let exchangers = Exchangers::new(Arc::<Script>::clone(&script), keep);
            for host in ["mx.a.example", "mx.b.example", "mx.a.example"] {
                exchangers.talk(&name(host), address).await;
            }
            assert_eq!(lock(&script.calls).len(), want, "{keep:?}");
            // While our own name has no address nobody is called.
            exchangers.pause(true);
            let other = "198.50.2.1".parse().unwrap();
            let said = exchangers.talk(&name("mx.a.example"), other).await;
            assert_eq!(said.outcome, Err(DialogueFault::NoOwnName));
            assert_eq!(lock(&script.calls).len(), want, "{keep:?}");
        }
    }

    #[tokio::test]
    async fn many_silent_networks_end_the_trying() {
        let script = Script::new(&[], silent);
        let exchangers = Exchangers::new(Arc::<Script>::clone(&script), None);
        let host = name("mx.a.example");
        for at in 0..40_u8 {
            let said = exchangers.talk(&host, IpAddr::from([198, at, 1, 1])).await;
            assert!(said.outcome.is_err_and(|fault| fault.is_silence()));
            // Another address of the same network is no further proof.
            exchangers.talk(&host, IpAddr::from([198, at, 1, 2])).await;
        }
        let calls = lock(&script.calls).len();
        assert!(
            (limits::PORT_BLOCKED_NETWORKS..=limits::PORT_BLOCKED_NETWORKS * 2).contains(&calls),
            "{calls}"
        );
        assert!(exchangers.is_decided());
        let networks = limits::PORT_BLOCKED_NETWORKS;
        assert_eq!(exchangers.outlet(), Outlet::Silent { addresses: calls, networks });
    }

    #[tokio::test]
    async fn one_host_that_is_met_shows_that_the_port_is_open() {
        let script = Script::new(&[], |address| match address {
            IpAddr::V6(_) => Err(DialogueFault::Unreachable("no route".to_owned())),
            IpAddr::V4(address) if address.octets()[3] == 7 => Err(DialogueFault::ConnectionRefused),
            _ => Err(DialogueFault::ConnectTimeout(10)),
        });
        let exchangers = Exchangers::new(script, None);
        let host = name("mx.a.example");
        // No way to IPv6 is no word on the port, however many networks there are.
        for at in 0..50_u16 {
            exchangers.talk(&host, IpAddr::from([0x2a00, at, 0, 0, 0, 0, 0, 1])).await;
        }
        assert_eq!(exchangers.outlet(), Outlet::Silent { addresses: 50, networks: 0 });
        assert!(!exchangers.is_decided());
        exchangers.talk(&host, "198.50.1.1".parse().unwrap()).await;
        assert_eq!(exchangers.outlet(), Outlet::Silent { addresses: 51, networks: 1 });
        exchangers.talk(&host, "198.50.1.7".parse().unwrap()).await;
        assert_eq!(exchangers.outlet(), Outlet::Open);
    }
}
