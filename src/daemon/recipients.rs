//! Which addresses are ours, what each is for, and what is refused at RCPT.
//!
//! Nothing here blocks: the receiver asks in the middle of a session.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;

use crate::clock::{Clock, Timestamp};
use crate::limits;
use crate::mail::{Address, Purpose, Refusal};
use crate::probe::matching::{LocalPart, judge_local_part};
use crate::probe::token::KeyRing;

/// The recipient table of the receiver.
pub struct Recipients {
    /// Lower-case local part and domain to purpose.
    exact: HashMap<(String, String), Purpose>,
    /// Domains with at least one recipient, in lower case.
    domains: HashSet<String>,
    /// Domains with a probe recipient: the bare token is a local part there.
    probe_domains: HashSet<String>,
    /// Names of watched addresses, in lower case; empty: any is taken.
    watched: HashSet<String>,
    keys: KeyRing,
    clock: Box<dyn Clock>,
    /// Tokens that did not verify, by client: start of the hour and count.
    forged: Mutex<HashMap<IpAddr, (Timestamp, usize)>>,
}

/// Clients whose forged tokens are counted at once; those of past hours make room.
const FORGED_CLIENTS: usize = 10_000;

impl Recipients {
    /// Makes the table of exact addresses with their purpose.
    pub fn new(
        recipients: impl IntoIterator<Item = (Address, Purpose)>,
        keys: KeyRing,
        clock: Box<dyn Clock>,
    ) -> Self {
        let mut exact = HashMap::new();
        let mut domains = HashSet::new();
        let mut probe_domains = HashSet::new();
        for (address, purpose) in recipients {
            let Some(domain) = address.domain else { continue };
            let domain = domain.to_ascii_lowercase();
            if purpose == Purpose::Probe {
                probe_domains.insert(domain.clone());
            }
            domains.insert(domain.clone());
            exact.insert((address.local.to_lowercase(), domain), purpose);
        }
        let watched = HashSet::new();
        Self { exact, domains, probe_domains, watched, keys, clock, forged: Mutex::default() }
    }

    /// With these names of watched addresses, in lower case: at an address for `watch` no other is taken, and none
    /// without a name. Without any, all are.
    #[must_use]
    pub fn watching(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.watched = names.into_iter().collect();
        self
    }

    /// Says what an address is for.
    ///
    /// Exact address in any case; for `reports`, `probe`, `bounce` and `watch` also `+anything`; at a
    /// domain with a probe address also the bare token. `postmaster` is always ours (RFC 5321 §4.5.1).
    /// A token that does not verify is accepted and kept as forged or foreign, at most
    /// [`limits::FORGED_TOKENS_PER_CLIENT_HOUR`] an hour a client.
    ///
    /// Errors: 550 5.7.1 for a domain that is not ours (no relay) and for too many forged tokens,
    /// 550 5.1.1 for an address that is not ours.
    pub fn judge(&self, address: &Address, client: Option<IpAddr>) -> Result<Purpose, Refusal> {
        let (purpose, token) = self.look_up(address)?;
        if let Some(token) = token {
            self.judge_token(&token, client)?;
        }
        Ok(purpose)
    }

    /// As [`Self::judge`], without counting forged tokens.
    pub fn purpose(&self, address: &Address) -> Result<Purpose, Refusal> {
        self.look_up(address).map(|(purpose, _)| purpose)
    }

    /// The purpose of an address, and the part of it in which a token may stand.
    fn look_up(&self, address: &Address) -> Result<(Purpose, Option<String>), Refusal> {
        let Some(domain) = &address.domain else {
            return Ok((Purpose::Postmaster, None));
        };
        let domain = domain.to_ascii_lowercase();
        if !self.domains.contains(&domain) {
            return Err(Refusal::new(550, "5.7.1", "Relaying denied", format!("not our domain: {domain}")));
        }
        let local = address.local.to_lowercase();
        let key = (local, domain);
        if let Some(purpose) = self.exact.get(&key) {
            return match purpose {
                Purpose::Watch if !self.watched.is_empty() => Err(unknown(address)),
                _ => Ok((*purpose, None)),
            };
        }
        let (local, domain) = key;
        if local == "postmaster" {
            return Ok((Purpose::Postmaster, None));
        }
        if let Some((base, tag)) = local.split_once('+') {
            let base = (base.to_owned(), domain.clone());
            if let Some(purpose) = self.exact.get(&base) {
                return match purpose {
                    Purpose::Probe | Purpose::Bounce => Ok((*purpose, Some(tag.to_owned()))),
                    Purpose::Watch if !self.watched.is_empty() && !self.watched.contains(tag) => {
                        Err(unknown(address))
                    }
                    Purpose::Reports | Purpose::Watch => Ok((*purpose, None)),
                    _ => Err(unknown(address)),
                };
            }
        }
        if self.probe_domains.contains(&domain)
            && !matches!(judge_local_part(&self.keys, &local), LocalPart::NoToken)
        {
            return Ok((Purpose::Probe, Some(local)));
        }
        Err(unknown(address))
    }

    /// Takes a token that verifies, or text that is none; counts the others by client.
    fn judge_token(&self, text: &str, client: Option<IpAddr>) -> Result<(), Refusal> {
        let cause = match judge_local_part(&self.keys, text) {
            LocalPart::Valid { .. } | LocalPart::NoToken => return Ok(()),
            LocalPart::Forged => "forged",
            LocalPart::Foreign => "foreign",
        };
        let Some(client) = client.map(client_of) else { return Ok(()) };
        let now = self.clock.now();
        let mut forged = match self.forged.lock() {
            Ok(forged) => forged,
            // The map is only ever changed whole: a panic elsewhere leaves it sound.
            Err(poisoned) => poisoned.into_inner(),
        };
        if forged.len() >= FORGED_CLIENTS && !forged.contains_key(&client) {
            forged.retain(|_, (since, _)| now.ms_since(*since) < 3_600_000);
            // Still full: so many clients within an hour are one attacker. New ones are refused, so that
            // nobody gets a fresh allowance by filling the table.
            if forged.len() >= FORGED_CLIENTS {
                return Err(Refusal::new(
                    550,
                    "5.7.1",
                    "Token not valid here",
                    "too many clients with forged tokens",
                ));
            }
        }
        let (since, count) = forged.entry(client).or_insert((now, 0));
        if now.ms_since(*since) >= 3_600_000 {
            *since = now;
            *count = 0;
        }
        *count += 1;
        if *count > limits::FORGED_TOKENS_PER_CLIENT_HOUR {
            return Err(Refusal::new(
                550,
                "5.7.1",
                "Token not valid here",
                format!("too many {cause} tokens"),
            ));
        }
        Ok(())
    }
}

/// The client of an address: an IPv4 address, or an IPv6 /64, which is one customer's.
fn client_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        ip @ IpAddr::V4(_) => ip,
    }
}

/// The refusal of an address at one of our domains that is nobody's.
fn unknown(address: &Address) -> Refusal {
    Refusal::new(550, "5.1.1", "No such address here", format!("unknown recipient: {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;
    use crate::probe::token::{Kind, Reading};

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn recipients() -> Recipients {
        let address = |text: &str| Address::parse(text).unwrap();
        let table = [
            (address("dmarc@example.com"), Purpose::Reports),
            (address("probe@example.com"), Purpose::Probe),
            (address("ruf@example.net"), Purpose::Failures),
        ];
        Recipients::new(table, KeyRing::with_id(1, &[7; 32]).unwrap(), Box::new(FixedClock(NOW)))
    }

    #[test]
    fn addresses_and_their_purpose() {
        let recipients = recipients();
        let ring = KeyRing::with_id(1, &[7; 32]).unwrap();
        let token = ring.texts(&ring.mint(Kind::Probe, 1, NOW, 1)).unwrap().recipient;
        let cases = [
            ("dmarc@example.com".to_owned(), Ok(Purpose::Reports)),
            ("DMARC@Example.COM".to_owned(), Ok(Purpose::Reports)),
            ("dmarc+tag@example.com".to_owned(), Ok(Purpose::Reports)),
            ("ruf@example.net".to_owned(), Ok(Purpose::Failures)),
            // Only some purposes take a tag.
            ("ruf+tag@example.net".to_owned(), Err("5.1.1")),
            ("postmaster@example.net".to_owned(), Ok(Purpose::Postmaster)),
            (format!("probe+{token}@example.com"), Ok(Purpose::Probe)),
            (format!("{token}@example.com"), Ok(Purpose::Probe)),
            // No probe address at that domain.
            (format!("{token}@example.net"), Err("5.1.1")),
            ("nobody@example.com".to_owned(), Err("5.1.1")),
            ("dmarc@elsewhere.example".to_owned(), Err("5.7.1")),
        ];
        for (text, want) in cases {
            let got = recipients.judge(&Address::parse(&text).unwrap(), None);
            assert_eq!(got.map_err(|refusal| refusal.enhanced), want, "{text}");
        }
        let bare = Address { local: "Postmaster".to_owned(), domain: None };
        assert_eq!(recipients.judge(&bare, None), Ok(Purpose::Postmaster));
    }

    #[test]
    fn only_configured_names_are_watched() {
        let table = || {
            let address = |text: &str| Address::parse(text).unwrap();
            let table = [
                (address("watch@example.com"), Purpose::Watch),
                (address("dmarc@example.com"), Purpose::Reports),
            ];
            Recipients::new(table, KeyRing::with_id(1, &[7; 32]).unwrap(), Box::new(FixedClock(NOW)))
        };
        let judge = |recipients: &Recipients, text: &str| {
            let judged = recipients.judge(&Address::parse(text).unwrap(), None);
            judged.map_err(|refusal| (refusal.code, refusal.enhanced))
        };
        let unknown = Err((550, "5.1.1"));
        let some = table().watching(["newsletter".to_owned(), "backup".to_owned()]);
        for (text, want) in [
            ("watch+newsletter@example.com", Ok(Purpose::Watch)),
            ("WATCH+NewsLetter@Example.com", Ok(Purpose::Watch)),
            ("watch+backup@example.com", Ok(Purpose::Watch)),
            ("watch+other@example.com", unknown),
            ("watch+newsletter+x@example.com", unknown),
            ("watch+@example.com", unknown),
            ("watch@example.com", unknown),
            ("dmarc+other@example.com", Ok(Purpose::Reports)),
        ] {
            assert_eq!(judge(&some, text), want, "{text}");
        }
        // Nothing is configured: what comes is kept, as before.
        for text in ["watch@example.com", "watch+anything@example.com"] {
            assert_eq!(judge(&table(), text), Ok(Purpose::Watch), "{text}");
        }
    }

    #[test]
    fn forged_tokens_are_counted_by_network() {
        let recipients = recipients();
        let other = KeyRing::with_id(1, &[8; 32]).unwrap();
        let forged = other.texts(&other.mint(Kind::Probe, 1, NOW, 1)).unwrap().recipient;
        let ours = KeyRing::with_id(1, &[7; 32]).unwrap();
        assert!(matches!(ours.read_text(&forged), Some(Reading::Forged { .. })));
        let address = Address::parse(&format!("probe+{forged}@example.com")).unwrap();
        for host in 0..limits::FORGED_TOKENS_PER_CLIENT_HOUR {
            let client: IpAddr = format!("2001:db8:0:1::{host:x}").parse().unwrap();
            assert_eq!(recipients.judge(&address, Some(client)), Ok(Purpose::Probe), "{host}");
        }
        let same: IpAddr = "2001:db8:0:1:ffff::1".parse().unwrap();
        assert!(recipients.judge(&address, Some(same)).is_err(), "another host of the same /64");
        let another: IpAddr = "2001:db8:0:2::1".parse().unwrap();
        assert_eq!(recipients.judge(&address, Some(another)), Ok(Purpose::Probe));
        // Looking again counts nothing.
        assert_eq!(recipients.purpose(&address), Ok(Purpose::Probe));
    }
}
