//! A DNS server on loopback, UDP and TCP (or TLS) on one port, with wire code of its own: it answers from zones
//! and misbehaves on demand. Dropping it stops it.
//!
//! ```text
//! let server = DnsServer::start("example.test. A 192.0.2.1");
//! server.behave("example.test", Some(1), Behavior::Code(2, None));
//! let resolver = server.resolver();
//! assert_eq!(server.log().len(), 1);
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailsonde::dns::{
    Dnssec, Found, HickoryResolver, Name, Options, RecordData, RecordType, Servers, TlsOptions, ZoneResolver,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;

/// What a server does with a question.
#[derive(Clone)]
pub(crate) enum Behavior {
    /// Answers from its zones.
    Zone,
    /// Answers from other zones.
    Other(Arc<ZoneResolver>),
    /// Answers with a code, and a reason (RFC 8914) if given.
    Code(u8, Option<(u16, &'static str)>),
    /// Does not answer.
    Silent,
    /// Answers from its zones after a while.
    Slow(Duration),
    /// Refers to the root: NOERROR without answer, without AA, an NS record upwards.
    Lame,
    /// Answers with the flag TC over UDP, whole over TCP.
    Truncated,
    /// The same, and closes TCP connections at once.
    TruncatedOnly,
    /// Answers with a header and the question, then garbage that claims to be a record.
    Malformed,
    /// Answers with one TXT record without any octet.
    EmptyText,
    /// Sends an answer with a wrong id, one to another question, then the right one.
    Spoofed,
    /// Answers FORMERR if asked with EDNS.
    NoEdns,
    /// NOERROR with nothing at all, as some forwarders make it.
    Bare,
    /// These records, whatever was asked: owner (the name asked for if absent), type, data.
    Records(Vec<(Option<Name>, u16, Vec<u8>)>),
    /// These, one after the other, again and again.
    InTurn(Vec<Behavior>),
}

/// One question as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Whose records.
    pub(crate) name: Name,
    /// The type's number.
    pub(crate) number: u16,
    /// It came over a connection.
    pub(crate) over_tcp: bool,
    /// Flag RD.
    pub(crate) wants_recursion: bool,
}

impl Asked {
    /// `name type`, for lists in assertions.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.name, self.number)
    }
}

/// What can be changed while it runs.
struct Script {
    resolver: ZoneResolver,
    behaviors: HashMap<(Name, Option<u16>), Behavior>,
    general: Behavior,
    turns: HashMap<(Name, u16), usize>,
    log: Vec<Asked>,
    connections: usize,
    delay: Duration,
    is_authority: bool,
    follows_aliases: bool,
    rotates: bool,
}

/// The server.
pub(crate) struct DnsServer {
    /// Where it listens, UDP and TCP.
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl DnsServer {
    /// Serves the zones of a text on a free port of 127.0.0.1.
    pub(crate) fn start(zones: &str) -> Self {
        Self::serve(zones, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), None)
    }

    /// The same at an address: a second server beside a first one, on its port.
    pub(crate) fn start_at(zones: &str, address: SocketAddr) -> Self {
        Self::serve(zones, address, None)
    }

    /// The same over TLS only.
    pub(crate) fn start_tls(zones: &str, tls: Arc<rustls::ServerConfig>) -> Self {
        Self::serve(zones, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), Some(tls))
    }

    fn serve(zones: &str, address: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let script = Arc::new(Mutex::new(Script {
            resolver: ZoneResolver::parse(zones).unwrap(),
            behaviors: HashMap::new(),
            general: Behavior::Zone,
            turns: HashMap::new(),
            log: Vec::new(),
            connections: 0,
            delay: Duration::ZERO,
            is_authority: false,
            follows_aliases: true,
            rotates: false,
        }));
        let (udp, tcp) = bind(address);
        let address = tcp.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&script);
        // A thread of its own: it also serves programs and tests without a runtime.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let udp = Arc::new(UdpSocket::from_std(udp).unwrap());
                let tcp = TcpListener::from_std(tcp).unwrap();
                tokio::select! {
                    () = datagrams(udp, Arc::clone(&shared)), if tls.is_none() => {}
                    () = connections(tcp, shared, tls.clone()) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, script, stop: Some(stop), thread: Some(thread) }
    }

    /// What it does with questions for a name, of one type by its number, or of all.
    pub(crate) fn behave(&self, name: &str, number: Option<u16>, behavior: Behavior) {
        let name = Name::from_dotted(name).unwrap();
        self.script.lock().unwrap().behaviors.insert((name, number), behavior);
    }

    /// What it does with all other questions.
    pub(crate) fn behave_generally(&self, behavior: Behavior) {
        self.script.lock().unwrap().general = behavior;
    }

    /// Every answer is this late.
    pub(crate) fn delay(&self, delay: Duration) {
        self.script.lock().unwrap().delay = delay;
    }

    /// It is an authority (AA, no recursion) instead of a resolver.
    pub(crate) fn be_authority(&self) {
        self.script.lock().unwrap().is_authority = true;
    }

    /// It answers with the first alias alone.
    pub(crate) fn do_not_follow_aliases(&self) {
        self.script.lock().unwrap().follows_aliases = false;
    }

    /// The order of records changes with each answer.
    pub(crate) fn rotate(&self) {
        self.script.lock().unwrap().rotates = true;
    }

    /// Other zones from now on.
    pub(crate) fn publish(&self, zones: &str) {
        self.script.lock().unwrap().resolver = ZoneResolver::parse(zones).unwrap();
    }

    /// The questions so far, in order.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.script.lock().unwrap().log.clone()
    }

    /// Connections taken so far.
    pub(crate) fn connections(&self) -> usize {
        self.script.lock().unwrap().connections
    }

    /// Empties the log.
    pub(crate) fn clear_log(&self) {
        self.script.lock().unwrap().log.clear();
    }

    /// Options of a resolver that asks this server and has little patience.
    pub(crate) fn options(&self) -> Options {
        Options {
            servers: Servers::Listed(vec![self.address]),
            tls: None,
            timeout: Duration::from_secs(5),
            attempts: 1,
            dnssec: Dnssec::Off,
            in_flight: 100,
        }
    }

    /// A resolver that asks this server.
    pub(crate) fn resolver(&self) -> HickoryResolver {
        HickoryResolver::new(&self.options()).unwrap()
    }

    /// The same over TLS.
    pub(crate) fn options_tls(&self, tls: TlsOptions) -> Options {
        Options { tls: Some(tls), ..self.options() }
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One port for both, whatever the system gives.
fn bind(address: SocketAddr) -> (std::net::UdpSocket, std::net::TcpListener) {
    for _ in 0..50 {
        let tcp = std::net::TcpListener::bind(address).unwrap();
        let Ok(udp) = std::net::UdpSocket::bind(tcp.local_addr().unwrap()) else { continue };
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        return (udp, tcp);
    }
    panic!("no port is free for both UDP and TCP");
}

async fn datagrams(socket: Arc<UdpSocket>, script: Arc<Mutex<Script>>) {
    let mut buffer = vec![0; 65_535];
    loop {
        let Ok((count, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(query) = Query::read(&buffer[..count], false) else { continue };
        let reaction = react(&script, &query);
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            if !reaction.delay.is_zero() {
                tokio::time::sleep(reaction.delay).await;
            }
            for message in reaction.messages {
                let _ = socket.send_to(&message, peer).await;
            }
        });
    }
}

async fn connections(
    listener: TcpListener,
    script: Arc<Mutex<Script>>,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    let acceptor = tls.map(tokio_rustls::TlsAcceptor::from);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        script.lock().unwrap().connections += 1;
        let script = Arc::clone(&script);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, &script).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => connection(stream, &script).await,
                    Err(_) => None,
                },
            }
        });
    }
}

async fn connection(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &Mutex<Script>) -> Option<()> {
    loop {
        let mut question = vec![0; usize::from(stream.read_u16().await.ok()?)];
        stream.read_exact(&mut question).await.ok()?;
        let reaction = react(script, &Query::read(&question, true)?);
        if reaction.closes {
            return None;
        }
        if !reaction.delay.is_zero() {
            tokio::time::sleep(reaction.delay).await;
        }
        for message in reaction.messages {
            stream.write_u16(u16::try_from(message.len()).unwrap()).await.ok()?;
            stream.write_all(&message).await.ok()?;
        }
        stream.flush().await.ok()?;
    }
}

/// What goes back.
struct Reaction {
    messages: Vec<Vec<u8>>,
    delay: Duration,
    closes: bool,
}

/// Logs the question and decides.
fn react(script: &Mutex<Script>, query: &Query) -> Reaction {
    let mut script = script.lock().unwrap();
    script.log.push(Asked {
        name: query.name.clone(),
        number: query.number,
        over_tcp: query.over_tcp,
        wants_recursion: query.wants_recursion,
    });
    let one = script.behaviors.get(&(query.name.clone(), Some(query.number)));
    let mut behavior =
        one.or_else(|| script.behaviors.get(&(query.name.clone(), None))).unwrap_or(&script.general).clone();
    if let Behavior::InTurn(all) = behavior {
        let turn = script.turns.entry((query.name.clone(), query.number)).or_default();
        behavior = all[*turn % all.len()].clone();
        *turn += 1;
    }
    let mut reaction = Reaction { messages: Vec::new(), delay: script.delay, closes: false };
    let mut message = Message::to(query, &script);
    let resolver = match &behavior {
        Behavior::Other(resolver) => Arc::clone(resolver),
        _ => Arc::new(script.resolver.clone()),
    };
    match behavior {
        Behavior::Code(code, reason) => {
            message.code = code;
            message.reason = reason;
        }
        Behavior::Silent => return Reaction { messages: Vec::new(), ..reaction },
        Behavior::Slow(delay) => {
            reaction.delay += delay;
            message.fill(query, &resolver, &script);
        }
        Behavior::Lame => {
            message.is_authority = false;
            message.authorities.push((
                Name::root(),
                2,
                3_600,
                name_octets(&Name::from_dotted("a.root.test").unwrap()),
            ));
        }
        Behavior::Truncated | Behavior::TruncatedOnly if !query.over_tcp => message.is_truncated = true,
        Behavior::TruncatedOnly => reaction.closes = true,
        Behavior::Malformed => {
            let mut octets = message.write(query, usize::MAX);
            octets.truncate(query.question_end);
            octets[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
            octets.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0xff, 0xff, 1]);
            reaction.messages.push(octets);
            return reaction;
        }
        Behavior::EmptyText => message.answers.push((query.name.clone(), 16, 60, Vec::new())),
        Behavior::Spoofed => {
            message.fill(query, &resolver, &script);
            let right = message.write(query, usize::MAX);
            let mut wrong_id = right.clone();
            wrong_id[0] ^= 0xff;
            let mut wrong_question = right.clone();
            wrong_question[13] ^= 1;
            reaction.messages.extend([wrong_id, wrong_question, right]);
            return reaction;
        }
        Behavior::NoEdns if query.payload.is_some() => {
            message.code = 1;
            message.has_edns = false;
        }
        Behavior::Zone | Behavior::Other(_) | Behavior::Truncated | Behavior::NoEdns => {
            message.fill(query, &resolver, &script);
        }
        Behavior::Bare => {}
        Behavior::Records(records) => {
            for (owner, number, data) in records {
                let owner = owner.unwrap_or_else(|| query.name.clone());
                message.answers.push((owner, number, 60, data));
            }
        }
        Behavior::InTurn(_) => panic!("turns within turns"),
    }
    if script.rotates && !message.answers.is_empty() {
        let count = script.log.len() % message.answers.len();
        message.answers.rotate_left(count);
    }
    let most = if query.over_tcp { usize::MAX } else { usize::from(query.payload.unwrap_or(512)) };
    reaction.messages.push(message.write(query, most));
    reaction
}

/// A question from the wire.
struct Query {
    id: [u8; 2],
    name: Name,
    number: u16,
    /// The question section as it came.
    question: Vec<u8>,
    question_end: usize,
    wants_recursion: bool,
    /// What EDNS allows, if it is there.
    payload: Option<u16>,
    over_tcp: bool,
}

impl Query {
    fn read(octets: &[u8], over_tcp: bool) -> Option<Self> {
        let header = octets.get(..12)?;
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*octets.get(at)?);
            if length == 0 {
                break;
            }
            labels.push(octets.get(at + 1..at + 1 + length)?);
            at += 1 + length;
        }
        let number = u16::from_be_bytes([*octets.get(at + 1)?, *octets.get(at + 2)?]);
        let end = at + 5;
        // The OPT record, if any, follows the question: a root name, type 41, payload as its class.
        let payload = match octets.get(end..end + 5) {
            Some([0, 0, 41, high, low]) => Some(u16::from_be_bytes([*high, *low]).max(512)),
            _ => None,
        };
        Some(Self {
            id: [header[0], header[1]],
            name: Name::from_labels(labels).ok()?,
            number,
            question: octets.get(12..end)?.to_vec(),
            question_end: end,
            wants_recursion: header[2] & 1 != 0,
            payload,
            over_tcp,
        })
    }
}

/// A record for the wire: owner, type, TTL, data.
type Raw = (Name, u16, u32, Vec<u8>);

/// An answer to be written.
struct Message {
    code: u8,
    reason: Option<(u16, &'static str)>,
    is_authority: bool,
    offers_recursion: bool,
    is_truncated: bool,
    has_edns: bool,
    answers: Vec<Raw>,
    authorities: Vec<Raw>,
}

impl Message {
    fn to(query: &Query, script: &Script) -> Self {
        Self {
            code: 0,
            reason: None,
            is_authority: script.is_authority,
            offers_recursion: !script.is_authority,
            is_truncated: false,
            has_edns: query.payload.is_some(),
            answers: Vec::new(),
            authorities: Vec::new(),
        }
    }

    /// Answers from zones.
    fn fill(&mut self, query: &Query, resolver: &ZoneResolver, script: &Script) {
        const ALL: [(u16, RecordType); 14] = [
            (1, RecordType::A),
            (2, RecordType::Ns),
            (5, RecordType::Cname),
            (6, RecordType::Soa),
            (12, RecordType::Ptr),
            (15, RecordType::Mx),
            (16, RecordType::Txt),
            (28, RecordType::Aaaa),
            (33, RecordType::Srv),
            (43, RecordType::Ds),
            (48, RecordType::Dnskey),
            (52, RecordType::Tlsa),
            (99, RecordType::Spf),
            (257, RecordType::Caa),
        ];
        let Some((_, wanted)) = ALL.into_iter().find(|(number, _)| *number == query.number) else {
            return;
        };
        let zones = resolver.zones();
        let mut current = query.name.clone();
        let mut seen = Vec::new();
        loop {
            if let Some(cause) = resolver.failure(&current, wanted) {
                self.code = if cause == mailsonde::dns::Cause::Refused { 5 } else { 2 };
                return;
            }
            match zones.look(&current, wanted) {
                Found::Records(records) => {
                    let records = records.iter();
                    self.answers.extend(
                        records.map(|(ttl, data)| (current.clone(), query.number, *ttl, data_octets(data))),
                    );
                    return;
                }
                Found::Alias(ttl, target) => {
                    self.answers.push((current.clone(), 5, ttl, name_octets(&target)));
                    if !script.follows_aliases || seen.contains(&target) {
                        return;
                    }
                    seen.push(target.clone());
                    current = target;
                    continue;
                }
                Found::NoType => {}
                Found::NoName => self.code = 3,
                Found::NoZone if self.answers.is_empty() => {
                    self.code = 5;
                    return;
                }
                Found::NoZone => return,
                Found::Delegated(cut) => {
                    self.is_authority = false;
                    let octets = name_octets(&Name::from_dotted("ns.elsewhere.test").unwrap());
                    self.authorities.push((cut, 2, 3_600, octets));
                    return;
                }
            }
            if let Some((top, Some((ttl, soa)))) = zones.zone_of(&current) {
                let octets = data_octets(&RecordData::Soa(soa.clone()));
                self.authorities.push((top.clone(), 6, *ttl, octets));
            }
            return;
        }
    }

    /// The octets; with TC and without records if they do not fit.
    fn write(&self, query: &Query, most: usize) -> Vec<u8> {
        let whole = self.octets(query, self.is_truncated);
        if whole.len() <= most && !self.is_truncated {
            return whole;
        }
        let empty = Self { answers: Vec::new(), authorities: Vec::new(), ..*self };
        empty.octets(query, true)
    }

    fn octets(&self, query: &Query, is_truncated: bool) -> Vec<u8> {
        let flags = [
            0x80 | u8::from(self.is_authority) << 2
                | u8::from(is_truncated) << 1
                | u8::from(query.wants_recursion),
            u8::from(self.offers_recursion) << 7 | self.code,
        ];
        let mut octets = query.id.to_vec();
        octets.extend(flags);
        let counts = [1, self.answers.len(), self.authorities.len(), usize::from(self.has_edns)];
        for count in counts {
            octets.extend(u16::try_from(count).unwrap().to_be_bytes());
        }
        octets.extend(&query.question);
        for (owner, number, ttl, data) in self.answers.iter().chain(&self.authorities) {
            if *owner == query.name {
                octets.extend([0xc0, 12]);
            } else {
                octets.extend(name_octets(owner));
            }
            octets.extend(number.to_be_bytes());
            octets.extend([0, 1]);
            octets.extend(ttl.to_be_bytes());
            octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            octets.extend(data);
        }
        if self.has_edns {
            let mut options = Vec::new();
            if let Some((number, text)) = self.reason {
                options.extend(15_u16.to_be_bytes());
                options.extend(u16::try_from(2 + text.len()).unwrap().to_be_bytes());
                options.extend(number.to_be_bytes());
                options.extend(text.as_bytes());
            }
            octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
            octets.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
            octets.extend(options);
        }
        octets
    }
}

/// A name on the wire, not compressed.
pub(crate) fn name_octets(name: &Name) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.wire_labels() {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label);
    }
    octets.push(0);
    octets
}

/// Data on the wire.
fn data_octets(data: &RecordData) -> Vec<u8> {
    let mut octets = Vec::new();
    match data {
        RecordData::A(address) => octets.extend(address.octets()),
        RecordData::Aaaa(address) => octets.extend(address.octets()),
        RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => octets = name_octets(name),
        RecordData::Mx(mx) => {
            octets.extend(mx.preference.to_be_bytes());
            octets.extend(name_octets(&mx.exchange));
        }
        RecordData::Txt(strings) => {
            for string in strings {
                octets.push(u8::try_from(string.len()).unwrap());
                octets.extend(string);
            }
        }
        RecordData::Soa(soa) => {
            octets.extend(name_octets(&soa.mname));
            octets.extend(name_octets(&soa.rname));
            for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                octets.extend(number.to_be_bytes());
            }
        }
        RecordData::Tlsa(tlsa) => {
            octets.extend([tlsa.usage, tlsa.selector, tlsa.matching]);
            octets.extend(&tlsa.data);
        }
        RecordData::Caa(caa) => {
            octets.extend([u8::from(caa.is_critical) << 7, u8::try_from(caa.tag.len()).unwrap()]);
            octets.extend(caa.tag.as_bytes());
            octets.extend(&caa.value);
        }
        RecordData::Srv(srv) => {
            for number in [srv.priority, srv.weight, srv.port] {
                octets.extend(number.to_be_bytes());
            }
            octets.extend(name_octets(&srv.target));
        }
        RecordData::Other(other) => octets.clone_from(other),
    }
    octets
}
