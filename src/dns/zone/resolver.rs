//! A resolver over zones in memory, with failures where they are wanted.

use std::collections::HashMap;
use std::net::IpAddr;

use super::read::record_type;
use super::{Found, ZoneFault, Zones};
use crate::dns::{
    Answer, AskServer, AskingServer, Cause, DirectAnswer, Name, NotKnown, Outcome, Question, RecordType,
    Resolve, Resolving, Security,
};
use crate::limits;

/// Answers from zones, without a network.
///
/// A line of the text that begins with `;!` is for the resolver, all names absolute:
///
/// - `;! fail NAME TYPE CAUSE`: that question is not known; `*` for every type; CAUSE is a word of
///   [`Cause::as_str`].
/// - `;! security NAME WORD`: what DNSSEC says of this name and all below it, a word of [`Security::as_str`];
///   without it nothing is known.
/// - `;! server ADDRESS CAUSE`: the server of that address, asked directly, does not answer.
///
/// A name that no zone holds is not known ([`Cause::Refused`]).
#[derive(Debug, Clone, Default)]
pub struct ZoneResolver {
    /// The records.
    zones: Zones,
    /// Questions that fail; no type: every one of that name.
    failures: HashMap<(Name, Option<RecordType>), Cause>,
    /// What DNSSEC says, by name.
    security: HashMap<Name, Security>,
    /// Servers that are not like the others.
    servers: HashMap<IpAddr, Server>,
}

/// A server that is asked directly.
#[derive(Debug, Clone)]
enum Server {
    /// It does not answer.
    Failing(Cause),
    /// It has zones of its own.
    Holding(Box<ZoneResolver>),
}

impl ZoneResolver {
    /// Reads zones with their lines for the resolver. Errors: the first fault, with its line and field.
    pub fn parse(text: &str) -> Result<Self, ZoneFault> {
        let mut resolver = Self { zones: Zones::parse(text)?, ..Self::default() };
        for (index, content) in text.lines().enumerate() {
            if let Some(directive) = content.strip_prefix(";!") {
                resolver.direct(directive).map_err(|(field, reason)| ZoneFault {
                    line: index + 1,
                    field: field.to_owned(),
                    reason: reason.to_owned(),
                })?;
            }
        }
        Ok(resolver)
    }

    /// Takes in one line for the resolver; errors name the field.
    fn direct<'a>(&mut self, directive: &'a str) -> Result<(), (&'a str, &'static str)> {
        let mut words = directive.split_whitespace();
        let mut next = || words.next().ok_or(("", "a field is missing at the end"));
        let name = |word| Name::from_dotted(word).map_err(|_| (word, "not a name"));
        let cause = |word: &'a str| Cause::parse(word).ok_or((word, "not a cause of trouble"));
        match next()? {
            "fail" => {
                let name = name(next()?)?;
                let wanted = match next()? {
                    "*" => None,
                    word => Some(record_type(word).ok_or((word, "not a type"))?),
                };
                self.failures.insert((name, wanted), cause(next()?)?);
            }
            "security" => {
                let name = name(next()?)?;
                let word = next()?;
                let security = Security::parse(word).ok_or((word, "not a word of DNSSEC"))?;
                self.security.insert(name, security);
            }
            "server" => {
                let word = next()?;
                let address = word.parse().map_err(|_| (word, "not an address"))?;
                self.servers.insert(address, Server::Failing(cause(next()?)?));
            }
            word => return Err((word, "fail, security or server is expected")),
        }
        match words.next() {
            Some(word) => Err((word, "one field too many")),
            None => Ok(()),
        }
    }

    /// Lets a question fail; of every type if none is given.
    pub fn fail(&mut self, name: Name, record_type: Option<RecordType>, cause: Cause) {
        self.failures.insert((name, record_type), cause);
    }

    /// Gives the server of one address zones of its own, for whoever asks it directly.
    pub fn serve_at(&mut self, server: IpAddr, resolver: Self) {
        self.servers.insert(server, Server::Holding(Box::new(resolver)));
    }

    /// Its zones.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The cause with which a question fails.
    pub fn failure(&self, name: &Name, record_type: RecordType) -> Option<Cause> {
        let one = self.failures.get(&(name.clone(), Some(record_type)));
        one.or_else(|| self.failures.get(&(name.clone(), None))).copied()
    }

    /// What DNSSEC says of a name.
    fn security_of(&self, name: &Name) -> Security {
        let mut at = Some(name.clone());
        while let Some(name) = at {
            if let Some(security) = self.security.get(&name) {
                return *security;
            }
            at = name.parent();
        }
        Security::NotKnown
    }

    /// The answer, aliases followed.
    pub fn answer(&self, question: &Question) -> Answer {
        let mut aliases: Vec<Name> = Vec::new();
        let mut ttl: Option<u32> = None;
        let mut security = self.security_of(&question.name);
        let mut current = question.name.clone();
        let not_known =
            |cause, detail: String, aliases| Answer { aliases, ..Answer::not_known(cause, detail) };
        loop {
            if let Some(cause) = self.failure(&current, question.record_type) {
                return not_known(cause, format!("{current} fails as its zone file says"), aliases);
            }
            security = security.and(self.security_of(&current));
            if security == Security::Bogus {
                return not_known(Cause::Bogus, format!("{current} is bogus as its zone file says"), aliases);
            }
            let absence = || {
                let (_, soa) = self.zones.zone_of(&current)?;
                soa.map(|(ttl, soa)| *ttl.min(&soa.minimum))
            };
            let (outcome, held) = match self.zones.look(&current, question.record_type) {
                Found::Records(records) => {
                    let held = records.iter().map(|(ttl, _)| *ttl).min();
                    (Outcome::Records(records.into_iter().map(|(_, data)| data).collect()), held)
                }
                Found::NoType => (Outcome::NoType, absence()),
                Found::NoName => (Outcome::NoName, absence()),
                Found::NoZone => {
                    return not_known(Cause::Refused, format!("no zone holds {current}"), aliases);
                }
                Found::Delegated(cut) => {
                    let detail = format!("{cut} is delegated to servers that are not here");
                    return not_known(Cause::Lame, detail, aliases);
                }
                Found::Alias(held, target) => {
                    ttl = Some(ttl.map_or(held, |ttl| ttl.min(held)));
                    let is_loop = target == question.name || aliases.contains(&target);
                    aliases.push(target.clone());
                    if is_loop {
                        let detail = format!("{current} leads back to {target}");
                        return not_known(Cause::AliasLoop, detail, aliases);
                    }
                    if aliases.len() > limits::DNS_ALIASES {
                        let detail = format!("more than {} aliases in a row", limits::DNS_ALIASES);
                        return not_known(Cause::AliasChain, detail, aliases);
                    }
                    current = target;
                    continue;
                }
            };
            let ttl = match (ttl, held) {
                (Some(ttl), Some(held)) => Some(ttl.min(held)),
                (ttl, held) => ttl.or(held),
            };
            return Answer { outcome, aliases, ttl, security };
        }
    }

    /// What the server of an address says, asked directly.
    fn direct_answer(&self, server: IpAddr, question: &Question) -> DirectAnswer {
        match self.servers.get(&server) {
            Some(Server::Holding(resolver)) => return resolver.direct_answer(server, question),
            Some(Server::Failing(cause)) => {
                let detail = format!("{server} fails as the zone file says");
                let answer = Answer::not_known(*cause, detail);
                return DirectAnswer { answer, is_authoritative: false, offers_recursion: false, took_ms: 0 };
            }
            None => {}
        }
        let answer = self.answer(question);
        let is_elsewhere = answer.trouble().is_some_and(|NotKnown { cause, .. }| {
            matches!(cause, Cause::Refused | Cause::Lame | Cause::Timeout | Cause::ServerFailure)
        });
        DirectAnswer { answer, is_authoritative: !is_elsewhere, offers_recursion: false, took_ms: 0 }
    }
}

impl Resolve for ZoneResolver {
    fn resolve<'a>(&'a self, question: &'a Question) -> Resolving<'a> {
        Box::pin(std::future::ready(self.answer(question)))
    }
}

impl AskServer for ZoneResolver {
    fn ask_server<'a>(&'a self, server: IpAddr, question: &'a Question) -> AskingServer<'a> {
        Box::pin(std::future::ready(self.direct_answer(server, question)))
    }
}
