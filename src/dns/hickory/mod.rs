//! The resolver of the product: asks configured servers or the system's.
//!
//! Names are always absolute: no search domains, no hosts file. Aliases are followed here, so that a loop, a
//! chain without end and a target that does not exist are told from an absent record. Nothing is remembered
//! here; [`Cached`](super::Cached) does that.

mod direct;
mod exchange;
mod message;
mod validate;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::{Edns, Message, Query};
use hickory_resolver::proto::rr::RecordType as Wire;
use tokio::sync::Semaphore;

pub use direct::{AskServer, AskingServer, DirectAnswer, DirectServers};

use self::exchange::{Exchange, Tls};
use self::message::{Trail, to_wire, wire_type};
use self::validate::Validator;
use super::{Answer, Cause, Name, NotKnown, Question, RecordType, Resolve, Resolving, Security};
use crate::limits;
use crate::tls_client::{Client, Verify};

/// How a resolver asks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom.
    pub servers: Servers,
    /// DNS over TLS (RFC 7858), if wanted.
    pub tls: Option<TlsOptions>,
    /// For one server and one try.
    pub timeout: Duration,
    /// Rounds through the servers, at least one.
    pub attempts: u32,
    /// Whether answers are validated.
    pub dnssec: Dnssec,
    /// Questions under way at once.
    pub in_flight: usize,
}

/// The servers that a resolver asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// Those of `/etc/resolv.conf`, read when the resolver is made.
    System,
    /// These.
    Listed(Vec<SocketAddr>),
}

/// DNS over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The name in the servers' certificate.
    pub name: String,
    /// Against what it is verified.
    pub verify: Verify,
}

/// Validation by DNSSEC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dnssec {
    /// None: what DNSSEC says is not known.
    Off,
    /// From the root's keys, which are compiled in.
    Root,
    /// From these DNSKEY records, as in a zone file; of names outside their zones it is not known.
    Anchors(String),
}

/// No resolver, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolverError {
    /// The system's configuration cannot be read or names no server.
    #[error("the system's resolver configuration: {0}")]
    System(String),
    /// An empty list.
    #[error("no DNS server is configured")]
    NoServer,
    /// Roots or name for TLS.
    #[error("DNS over TLS: {0}")]
    Tls(String),
    /// Trust anchors that cannot be read.
    #[error("trust anchors: {0}")]
    Anchors(String),
}

/// A stub resolver over the servers of its [`Options`].
pub struct HickoryResolver {
    /// Sockets.
    exchange: Arc<Exchange>,
    /// DNSSEC, if wanted.
    validator: Option<Validator>,
    /// Places for questions under way.
    places: Semaphore,
}

/// The flags of a question.
#[derive(Debug, Clone, Copy)]
struct Asking {
    /// The server shall ask others.
    recursion: bool,
    /// Signatures shall come along, and the server shall not judge them.
    signatures: bool,
}

impl Asking {
    /// For a resolver.
    const PLAIN: Self = Self { recursion: true, signatures: false };
    /// For a resolver, to validate its answer.
    const SIGNED: Self = Self { recursion: true, signatures: true };
    /// For an authority.
    const DIRECT: Self = Self { recursion: false, signatures: false };
}

/// A question as a message; nothing if the name cannot be written.
fn request(name: &Name, record_type: RecordType, asking: Asking) -> Option<Message> {
    Some(request_of(to_wire(name)?, wire_type(record_type), asking))
}

/// The same in hickory's words.
fn request_of(name: hickory_resolver::proto::rr::Name, record_type: Wire, asking: Asking) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = asking.recursion;
    message.metadata.checking_disabled = asking.signatures;
    message.queries.push(Query::query(name, record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(limits::DNS_UDP_PAYLOAD);
    edns.set_dnssec_ok(asking.signatures);
    message.edns = Some(edns);
    message
}

/// The addresses of the system's servers.
fn system_servers(port: u16) -> Result<Vec<SocketAddr>, ResolverError> {
    let (config, _) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|error| ResolverError::System(error.to_string()))?;
    let mut servers = Vec::new();
    for server in config.name_servers() {
        let address = SocketAddr::new(server.ip, port);
        if !servers.contains(&address) {
            servers.push(address);
        }
    }
    if servers.is_empty() {
        return Err(ResolverError::System("it names no server".to_owned()));
    }
    Ok(servers)
}

impl HickoryResolver {
    /// Makes a resolver; asks nothing yet. Needs a tokio runtime only when it is asked.
    pub fn new(options: &Options) -> Result<Self, ResolverError> {
        let port = if options.tls.is_some() { limits::DNS_TLS_PORT } else { limits::DNS_PORT };
        let servers = match &options.servers {
            Servers::System => system_servers(port)?,
            Servers::Listed(servers) if servers.is_empty() => return Err(ResolverError::NoServer),
            Servers::Listed(servers) => servers.clone(),
        };
        let tls = match &options.tls {
            None => None,
            Some(tls) => {
                let client = Client::new(&tls.verify, true, &tls.name)
                    .map_err(|error| ResolverError::Tls(error.to_string()))?;
                Some(Tls { client, idle: Mutex::default() })
            }
        };
        let exchange = Arc::new(Exchange::new(servers, tls, options.timeout, options.attempts));
        let validator = match &options.dnssec {
            Dnssec::Off => None,
            Dnssec::Root => {
                Some(Validator::new(Arc::clone(&exchange), TrustAnchors::default(), vec![Name::root()]))
            }
            Dnssec::Anchors(text) => {
                let (keys, zones) = anchors(text)?;
                Some(Validator::new(Arc::clone(&exchange), keys, zones))
            }
        };
        Ok(Self { exchange, validator, places: Semaphore::new(options.in_flight.max(1)) })
    }

    /// Whether this resolver can say what DNSSEC says: it is asked to, and signatures come through its servers.
    pub async fn validates(&self) -> bool {
        match &self.validator {
            Some(validator) => validator.passes_signatures(&self.exchange).await,
            None => false,
        }
    }

    /// One message's answer, validated if wanted.
    async fn ask(&self, trail: &Trail, record_type: RecordType) -> Result<(Message, Security), NotKnown> {
        let bad_name =
            || NotKnown { cause: Cause::BadName, detail: "the name cannot be asked for".to_owned() };
        let validator = match &self.validator {
            Some(validator) if validator.covers(&trail.current) => {
                validator.passes_signatures(&self.exchange).await.then_some(validator)
            }
            _ => None,
        };
        let asking = if validator.is_some() { Asking::SIGNED } else { Asking::PLAIN };
        let request = request(&trail.current, record_type, asking).ok_or_else(bad_name)?;
        let response = self.exchange.ask(&request).await?;
        if let Some(validator) = validator
            && let Some(owner) = message::dname_owner(&response, &trail.current)
        {
            return self.ask_dname(&owner, &trail.current, validator).await;
        }
        match validator {
            Some(validator) if !is_lame(&response) => validator.validate(request, response).await,
            _ => Ok((response.into_message(), Security::NotKnown)),
        }
    }

    /// The DNAME record of a name, validated: the alias that a server makes of it has no signature (RFC 6672 §5.3.1),
    /// and the validator knows only what was asked for.
    async fn ask_dname(
        &self,
        owner: &Name,
        current: &Name,
        validator: &Validator,
    ) -> Result<(Message, Security), NotKnown> {
        let not_known =
            |detail: &str| NotKnown { cause: Cause::Malformed, detail: format!("{owner}: {detail}") };
        let request = to_wire(owner).map(|name| request_of(name, Wire::DNAME, Asking::SIGNED));
        let request = request.ok_or_else(|| not_known("the name cannot be asked for"))?;
        let mut response = self.exchange.ask(&request).await?;
        message::lower_dname(&mut response);
        if message::dname_owner(&response, current).is_none() {
            return Err(not_known("a record that moves names below it is there and not there"));
        }
        validator.validate(request, response).await
    }

    /// Follows aliases until there is an answer.
    async fn follow(&self, question: &Question) -> Answer {
        let mut trail = Trail::new(question);
        loop {
            match self.ask(&trail, question.record_type).await {
                Err(not_known) => return trail.not_known(not_known),
                Ok((message, security)) => {
                    if let Some(answer) = trail.take(&message, security) {
                        return answer;
                    }
                }
            }
        }
    }
}

/// True if a message is no answer at all but points elsewhere: there is nothing to validate.
fn is_lame(message: &Message) -> bool {
    message.answers.is_empty()
        && !message.metadata.authoritative
        && message.authorities.iter().any(|record| record.record_type() == Wire::NS)
        && !message.authorities.iter().any(|record| record.record_type() == Wire::SOA)
}

/// Reads trust anchors: DNSKEY records as in a zone file.
fn anchors(text: &str) -> Result<(TrustAnchors, Vec<Name>), ResolverError> {
    let keys: TrustAnchors =
        text.parse().map_err(|error| ResolverError::Anchors(format!("no DNSKEY records: {error}")))?;
    let mut zones = Vec::new();
    for line in text.lines() {
        let owner = line.split([' ', '\t', ';']).next().unwrap_or_default();
        if owner.is_empty() {
            continue;
        }
        let zone = Name::from_dotted(owner).map_err(|error| ResolverError::Anchors(error.to_string()))?;
        if !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    if zones.is_empty() {
        return Err(ResolverError::Anchors("no DNSKEY record".to_owned()));
    }
    Ok((keys, zones))
}

impl Resolve for HickoryResolver {
    fn resolve<'a>(&'a self, question: &'a Question) -> Resolving<'a> {
        Box::pin(async move {
            let work = async {
                match self.places.acquire().await {
                    Ok(_place) => self.follow(question).await,
                    Err(_) => Answer::not_known(Cause::Budget, "the resolver is closed"),
                }
            };
            tokio::time::timeout_at(exchange::question_deadline().into(), work).await.unwrap_or_else(|_| {
                let seconds = limits::DNS_QUESTION_TIMEOUT.as_secs();
                Answer::not_known(Cause::Timeout, format!("no answer within {seconds} s"))
            })
        })
    }
}
