//! Our own way out: from which addresses, under which name, and whether port 25 is open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::config::{RouteSettings, Settings};
use crate::daemon::options;
use crate::dns::{Answers, Ask, Budget, Name, Question, RecordType, Resolve, settle};
use crate::dns_health::addresses::special_use;
use crate::limits;
use crate::probe::look::{Found, Outlet};

/// Gathers it for a route that goes to the MX hosts of its recipient.
///
/// Our addresses are those that the system takes towards these hosts, which no packet is needed to know. An address that
/// is not on the public network is not the one that receivers see.
pub(super) async fn gather(
    settings: &Settings,
    route: &RouteSettings,
    resolver: &Arc<dyn Resolve>,
) -> Outlet {
    let sender = &route.sender;
    let own_name = settings.receiver.host_name.as_deref();
    let helo = options::host_name(sender.helo.as_deref().or(own_name));
    let domain = route.recipient_domain().and_then(|domain| Name::from_dotted(domain.as_str()).ok());
    let hosts = match &domain {
        Some(domain) => {
            let mut answers = Answers::new();
            let mut budget = Budget::new(limits::PROBE_LOOK_QUESTIONS, limits::PROBE_LOOK_TIME);
            settle(&**resolver, &mut answers, &mut budget, |answers| mx_addresses(domain, answers)).await
        }
        None => Vec::new(),
    };
    let far: Vec<IpAddr> = hosts.iter().map(|(_, address)| *address).collect();
    let mut addresses: Vec<IpAddr> = match sender.source_address {
        Some(address) => vec![address],
        None => far.iter().filter_map(|far| source_towards(*far)).collect(),
    };
    addresses.sort_unstable();
    addresses.dedup();
    // Networks of documentation are addresses like any other where somebody writes one down.
    let hidden = |address: &IpAddr| special_use(*address).filter(|used_for| *used_for != "documentation");
    let unseen: Vec<String> = addresses
        .iter()
        .filter_map(|address| hidden(address).map(|used_for| format!("{address} ({used_for})")))
        .collect();
    addresses.retain(|address| hidden(address).is_none());
    let unseen = match (addresses.is_empty(), unseen.is_empty()) {
        (false, _) => None,
        (true, false) => Some(format!("our address {} is not the one that receivers see", unseen.join(", "))),
        (true, true) => Some(format!(
            "from which address we reach the MX hosts of {} is not known",
            domain.as_ref().map_or("the recipient", |domain| domain.as_str())
        )),
    };
    let port25 = if settings.dns.zone.is_some() {
        (Found::NotKnown, "not tried: the answers come from a zone file".to_owned())
    } else {
        try_port(&hosts, sender.port, sender.source_address).await
    };
    Outlet { addresses, unseen, helo, port25 }
}

/// The hosts of a domain with their addresses: of its MX records in their order, else its own (RFC 5321 §5.1).
fn mx_addresses(domain: &Name, answers: &Answers) -> Result<Vec<(Name, IpAddr)>, Ask> {
    let answer = answers.get(domain, RecordType::Mx)?;
    let mut hosts: Vec<Name> = answer.exchangers().iter().map(|mx| mx.exchange.clone()).collect();
    // A null MX (RFC 7505): the domain takes no mail.
    hosts.retain(|host| !host.is_root());
    if answer.is_void() {
        hosts.push(domain.clone());
    }
    hosts.truncate(limits::PROBE_PORT25_ADDRESSES);
    let types = [RecordType::A, RecordType::Aaaa];
    let questions =
        hosts.iter().flat_map(|host| types.map(|record_type| Question::new(host.clone(), record_type)));
    answers.need(questions.collect::<Vec<_>>())?;
    let mut found = Vec::new();
    for host in hosts {
        for record_type in types {
            found.extend(answers.get(&host, record_type)?.addresses().map(|address| (host.clone(), address)));
        }
    }
    Ok(found)
}

/// The port towards which the way is asked for; nothing is sent to it.
const DISCARD: u16 = 9;

/// The address that the system takes towards another, if there is a way to it. Sends nothing.
fn source_towards(far: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if far.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(far, DISCARD)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// Whether any of some hosts takes a connection, tried side by side and closed at once.
///
/// Silence is not our fault for certain: the hosts may be down. Without a way to any of them it is.
async fn try_port(hosts: &[(Name, IpAddr)], port: u16, source: Option<IpAddr>) -> (Found, String) {
    let tried: Vec<&(Name, IpAddr)> = hosts.iter().take(limits::PROBE_PORT25_ADDRESSES).collect();
    if tried.is_empty() {
        return (Found::NotKnown, "not tried: no MX host is known".to_owned());
    }
    let outcomes = join_all(tried.iter().map(|(_, address)| try_one(*address, port, source))).await;
    if let Some(((host, address), _)) =
        tried.iter().zip(&outcomes).find(|(_, outcome)| matches!(outcome, Outcome::Open))
    {
        return (Found::Yes, format!("{host} ({address}) takes connections from here on port {port}"));
    }
    let reasons: Vec<String> = tried
        .iter()
        .zip(&outcomes)
        .map(|((host, address), outcome)| format!("{host} ({address}): {}", outcome.words()))
        .collect();
    let found = if outcomes.iter().all(|outcome| matches!(outcome, Outcome::NoWay(_))) {
        Found::No
    } else {
        Found::NotKnown
    };
    let seen = reasons.join("; ");
    let evidence = match found {
        Found::No => format!("no way out to port {port}: {seen}"),
        _ => format!("no MX host answers on port {port}; our own may be blocked, or they are down: {seen}"),
    };
    (found, evidence)
}

/// What came of one try.
enum Outcome {
    /// Connected.
    Open,
    /// Nobody answered in time.
    Silent,
    /// The host, or something on the way, said no.
    Refused(String),
    /// Our own machine has no way there, or forbids it.
    NoWay(String),
}

impl Outcome {
    /// In words.
    fn words(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Silent => format!("silent for {} s", limits::PROBE_PORT25_WAIT.as_secs()),
            Self::Refused(cause) | Self::NoWay(cause) => cause.clone(),
        }
    }
}

/// Tries one address.
async fn try_one(address: IpAddr, port: u16, source: Option<IpAddr>) -> Outcome {
    use std::io::ErrorKind;
    let connect = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(SocketAddr::new(address, port)).await
    };
    match timeout(limits::PROBE_PORT25_WAIT, connect).await {
        Err(_) => Outcome::Silent,
        Ok(Ok(_)) => Outcome::Open,
        Ok(Err(error)) => match error.kind() {
            ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
            | ErrorKind::AddrNotAvailable
            | ErrorKind::HostUnreachable => Outcome::NoWay(error.to_string()),
            _ => Outcome::Refused(error.to_string()),
        },
    }
}
