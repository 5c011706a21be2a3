//! A DNS server on loopback, UDP and TCP on one port, that answers from zones in memory, each answer late by the
//! same time. It is a process of its own, so that neither its CPU time nor its memory is in the figures.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use mailsonde::dns::{Found, Name, RecordData, RecordType, ZoneResolver};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// The types that it knows, with their numbers.
const TYPES: [(u16, RecordType); 10] = [
    (1, RecordType::A),
    (2, RecordType::Ns),
    (5, RecordType::Cname),
    (6, RecordType::Soa),
    (12, RecordType::Ptr),
    (15, RecordType::Mx),
    (16, RecordType::Txt),
    (28, RecordType::Aaaa),
    (52, RecordType::Tlsa),
    (257, RecordType::Caa),
];

/// Serves zones until it is killed; prints its address first.
pub(crate) fn serve(zones: &str, delay: Duration) -> Result<()> {
    let zones = Arc::new(ZoneResolver::parse(zones).map_err(|fault| anyhow::anyhow!("{fault:?}"))?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tcp = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = tcp.local_addr()?;
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let udp = Arc::new(UdpSocket::from_std(socket.into())?);
        println!("{address}");
        tokio::spawn(connections(tcp, Arc::clone(&zones), delay));
        let mut buffer = vec![0; 4_096];
        loop {
            let Ok((count, peer)) = udp.recv_from(&mut buffer).await else { continue };
            let Some(answer) = buffer.get(..count).and_then(|query| answer(query, &zones, false)) else {
                continue;
            };
            let udp = Arc::clone(&udp);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                // Who does not wait any more misses nothing.
                let _ = udp.send_to(&answer, peer).await;
            });
        }
    })
}

/// Takes connections.
async fn connections(listener: TcpListener, zones: Arc<ZoneResolver>, delay: Duration) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&zones), delay));
        }
    }
}

/// Answers on one connection to its end.
async fn connection(mut stream: TcpStream, zones: Arc<ZoneResolver>, delay: Duration) -> Option<()> {
    loop {
        let mut query = vec![0; usize::from(stream.read_u16().await.ok()?)];
        stream.read_exact(&mut query).await.ok()?;
        let answer = answer(&query, &zones, true)?;
        tokio::time::sleep(delay).await;
        stream.write_u16(u16::try_from(answer.len()).ok()?).await.ok()?;
        stream.write_all(&answer).await.ok()?;
    }
}

/// The answer of a resolver: aliases followed, the SOA beside what is absent; TC if it does not fit.
fn answer(query: &[u8], zones: &ZoneResolver, over_tcp: bool) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(query.get(at + 1..at + 1 + length)?);
        at += 1 + length;
    }
    let number = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    let question = query.get(12..at + 5)?;
    let most = match query.get(at + 5..at + 10) {
        _ if over_tcp => usize::MAX,
        Some([0, 0, 41, high, low]) => usize::from(u16::from_be_bytes([*high, *low]).max(512)),
        _ => 512,
    };
    let has_edns = query.get(at + 5..at + 8) == Some(&[0, 0, 41]);
    let mut records: Vec<(Name, u16, u32, Vec<u8>)> = Vec::new();
    let mut code = 0;
    let mut answers = 0_u16;
    let mut current = Name::from_labels(labels).ok()?;
    let known = TYPES.into_iter().find(|(known, _)| *known == number).map(|(_, known)| known);
    for _ in 0..8 {
        match known.map_or(Found::NoType, |known| zones.zones().look(&current, known)) {
            Found::Records(found) => {
                for (ttl, data) in found {
                    records.push((current.clone(), number, ttl, octets_of(&data)?));
                    answers += 1;
                }
                break;
            }
            Found::Alias(ttl, target) => {
                records.push((current, 5, ttl, name_octets(&target)));
                answers += 1;
                current = target;
                continue;
            }
            Found::NoName | Found::NoZone | Found::Delegated(_) => code = 3,
            Found::NoType => {}
        }
        if let Some((top, Some((ttl, soa)))) = zones.zones().zone_of(&current) {
            records.push((top.clone(), 6, *ttl, octets_of(&RecordData::Soa(soa.clone()))?));
        }
        break;
    }
    let authorities = u16::try_from(records.len()).ok()? - answers;
    let write = |is_cut: bool| {
        let mut out = query.get(..2)?.to_vec();
        out.extend([0x81 | u8::from(is_cut) << 1, 0x80 | code]);
        let (answers, authorities) = if is_cut { (0, 0) } else { (answers, authorities) };
        for count in [1, answers, authorities, u16::from(has_edns)] {
            out.extend(count.to_be_bytes());
        }
        out.extend(question);
        for (owner, number, ttl, data) in records.iter().filter(|_| !is_cut) {
            out.extend(name_octets(owner));
            out.extend(number.to_be_bytes());
            out.extend([0, 1]);
            out.extend(ttl.to_be_bytes());
            out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            out.extend(data);
        }
        if has_edns {
            out.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        }
        Some(out)
    };
    let whole = write(false)?;
    if whole.len() <= most { Some(whole) } else { write(true) }
}

/// A name on the wire, not compressed.
fn name_octets(name: &Name) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.wire_labels() {
        octets.push(u8::try_from(label.len()).unwrap_or(0));
        octets.extend(label);
    }
    octets.push(0);
    octets
}

/// Data on the wire; nothing for types that the benchmark's zones do not have.
fn octets_of(data: &RecordData) -> Option<Vec<u8>> {
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
                octets.push(u8::try_from(string.len()).ok()?);
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
        RecordData::Caa(caa) => {
            octets.extend([u8::from(caa.is_critical) << 7, u8::try_from(caa.tag.len()).ok()?]);
            octets.extend(caa.tag.as_bytes());
            octets.extend(&caa.value);
        }
        _ => return None,
    }
    Some(octets)
}
