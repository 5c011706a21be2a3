//! Which addresses are ours, what each is for, and what is refused at RCPT.
//!
//! Nothing here blocks: the receiver asks in the middle of a session.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
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
    keys: KeyRing,
    clock: Box<dyn Clock>,
    /// Tokens that did not verify, by client: start of the hour and count.
    forged: Mutex<HashMap<IpAddr, (Timestamp, usize)>>,
}

/// Clients whose forged tokens are counted at once; beyond that the oldest hour is forgotten.
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
        Self { exact, domains, probe_domains, keys, clock, forged: Mutex::default() }
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
            return Ok((*purpose, None));
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
        let Some(client) = client else { return Ok(()) };
        let now = self.clock.now();
        let mut forged = match self.forged.lock() {
            Ok(forged) => forged,
            // The map is only ever changed whole: a panic elsewhere leaves it sound.
            Err(poisoned) => poisoned.into_inner(),
        };
        if forged.len() >= FORGED_CLIENTS && !forged.contains_key(&client) {
            forged.retain(|_, (since, _)| now.ms_since(*since) < 3_600_000);
            if forged.len() >= FORGED_CLIENTS {
                forged.clear();
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

/// The refusal of an address at one of our domains that is nobody's.
fn unknown(address: &Address) -> Refusal {
    Refusal::new(550, "5.1.1", "No such address here", format!("unknown recipient: {address}"))
}
