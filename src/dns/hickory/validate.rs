//! DNSSEC validation by hickory's validator, over our own exchange.
//!
//! The upstream server's word (the AD bit) is never taken: signatures are asked for with "checking disabled"
//! (RFC 6840 §5.9) and verified from the trust anchor down.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer as _};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{self, RData, RecordType};

use super::exchange::Exchange;
use crate::clock::{self, Instant};
use crate::dns::{Cause, Name, NotKnown, Security};
use crate::limits;

/// What happens while one answer is validated; the validator itself keeps the causes to itself.
#[derive(Default)]
struct Scope {
    /// The answer to be validated, which is not asked for again.
    first: Option<DnsResponse>,
    /// Trouble with keys and delegations.
    troubles: Vec<NotKnown>,
    /// Questions asked for keys and delegations.
    asked: usize,
}

tokio::task_local! {
    /// The validation that runs in this task.
    static SCOPE: Arc<Mutex<Scope>>;
}

/// The validator and where it asks.
pub(super) struct Validator {
    /// Hickory's.
    handle: DnssecDnsHandle<Wire>,
    /// The names of the trust anchors.
    anchors: Vec<Name>,
    /// Whether signatures come through the server at all, and until when this is believed.
    passes: Mutex<Option<(bool, Instant)>>,
}

/// Hickory's way to ask, over ours.
#[derive(Clone)]
struct Wire {
    /// Servers.
    exchange: Arc<Exchange>,
    /// Keys and delegations, asked for with every name below them.
    kept: Arc<Mutex<HashMap<Query, (DnsResponse, Instant)>>>,
}

/// A lock; a panic elsewhere does not spoil values that are set in one go.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DnsHandle for Wire {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        let wire = self.clone();
        request.metadata.checking_disabled = true;
        request.metadata.authentic_data = false;
        Box::pin(stream::once(async move { wire.ask(&request).await }))
    }
}

impl Wire {
    /// Asks for what the validator wants; the answer under validation is at hand.
    async fn ask(&self, request: &Message) -> Result<DnsResponse, NetError> {
        let query = request.queries.first().cloned().unwrap_or_default();
        let scope = SCOPE.try_with(Arc::clone).unwrap_or_default();
        {
            let mut scope = lock(&scope);
            let is_first = scope.first.as_ref().is_some_and(|first| first.queries == request.queries);
            if let (true, Some(first)) = (is_first, scope.first.take()) {
                return Ok(first);
            }
            if let Some((response, until)) = lock(&self.kept).get(&query)
                && *until > clock::instant()
            {
                return Ok(response.clone());
            }
            scope.asked += 1;
            if scope.asked > limits::DNS_CHAIN_QUESTIONS {
                let detail = "too many keys and delegations on the way from the trust anchor".to_owned();
                scope.troubles.push(NotKnown { cause: Cause::Budget, detail });
                return Err(NetError::from("too many questions"));
            }
        }
        match self.exchange.ask(request).await {
            Ok(response) => {
                self.keep(query, &response);
                Ok(response)
            }
            Err(not_known) => {
                let text = not_known.detail.clone();
                lock(&scope).troubles.push(not_known);
                Err(NetError::from(text))
            }
        }
    }

    /// Keeps keys and delegations for as long as their TTL says.
    fn keep(&self, query: Query, response: &DnsResponse) {
        if !matches!(query.query_type(), RecordType::DS | RecordType::DNSKEY | RecordType::NS) {
            return;
        }
        let records = response.answers.iter().chain(&response.authorities);
        let seconds = records.map(|record| record.ttl).min().unwrap_or(0);
        let seconds = seconds.min(response.negative_ttl().unwrap_or(u32::MAX));
        let time = Duration::from_secs(u64::from(seconds)).min(limits::DNS_CHAIN_TTL_MOST);
        if time.is_zero() {
            return;
        }
        let now = clock::instant();
        let mut kept = lock(&self.kept);
        if kept.len() >= limits::DNS_CHAIN_ANSWERS {
            kept.retain(|_, (_, until)| *until > now);
        }
        if kept.len() >= limits::DNS_CHAIN_ANSWERS {
            kept.clear();
        }
        kept.insert(query, (response.clone(), now + time));
    }
}

impl Validator {
    /// `anchors`: the zones whose keys are trusted.
    pub(super) fn new(exchange: Arc<Exchange>, keys: TrustAnchors, anchors: Vec<Name>) -> Self {
        let wire = Wire { exchange, kept: Arc::default() };
        let handle = DnssecDnsHandle::with_trust_anchor(wire, Arc::new(keys));
        Self { handle, anchors, passes: Mutex::new(None) }
    }

    /// True if the name stands below a trust anchor: of all others nothing can be said.
    pub(super) fn covers(&self, name: &Name) -> bool {
        self.anchors.iter().any(|anchor| name.is_within(anchor))
    }

    /// Whether the server hands signatures on; many routers at home cut them out. Asked for once in a while.
    pub(super) async fn passes_signatures(&self, exchange: &Exchange) -> bool {
        let now = clock::instant();
        let known = *lock(&self.passes);
        if let Some((passes, until)) = known
            && until > now
        {
            return passes;
        }
        let mut passes = false;
        let mut is_answered = false;
        for anchor in &self.anchors {
            let Some(request) = super::request(anchor, crate::dns::RecordType::Dnskey, super::Asking::SIGNED)
            else {
                continue;
            };
            if let Ok(response) = exchange.ask(&request).await {
                is_answered = true;
                passes |= response.answers.iter().any(|record| record.record_type() == RecordType::RRSIG);
            }
        }
        let time = if is_answered { limits::DNS_CHAIN_TTL_MOST } else { limits::DNS_NOT_KNOWN_TTL };
        *lock(&self.passes) = Some((passes, now + time));
        passes
    }

    /// What DNSSEC says about an answer, and the answer with what was proven.
    ///
    /// Errors: "bogus", or why the proof could not be looked at.
    pub(super) async fn validate(
        &self,
        request: Message,
        response: DnsResponse,
    ) -> Result<(Message, Security), NotKnown> {
        let scope = Arc::new(Mutex::new(Scope { first: Some(response.clone()), ..Scope::default() }));
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        let queries = request.queries.clone();
        let send = self.handle.send(DnsRequest::new(request, options)).first_answer();
        let result = SCOPE.scope(Arc::clone(&scope), send).await;
        let security = match &result {
            Ok(message) => proven(message),
            Err(NetError::Dns(DnsError::Nsec { response, .. })) if is_proven_expansion(response) => {
                Security::Secure
            }
            Err(NetError::Dns(DnsError::Nsec { proof, .. })) => security(*proof),
            Err(NetError::Dns(DnsError::DnssecBogus)) => Security::Bogus,
            Err(error) => {
                let trouble = lock(&scope).troubles.pop();
                let detail = || format!("DNSSEC could not be validated: {error}");
                return Err(
                    trouble.unwrap_or_else(|| NotKnown { cause: Cause::ServerFailure, detail: detail() })
                );
            }
        };
        if security == Security::Bogus {
            // Keys that could not be fetched prove nothing.
            if let Some(trouble) = lock(&scope).troubles.pop() {
                let detail = format!("DNSSEC could not be validated: {}", trouble.detail);
                return Err(NotKnown { cause: trouble.cause, detail });
            }
            let asked = queries.first().map(|query| format!("{} {}", query.name(), query.query_type()));
            let detail = format!("DNSSEC: the signatures of {} prove nothing", asked.unwrap_or_default());
            return Err(NotKnown { cause: Cause::Bogus, detail });
        }
        let message = match result {
            Ok(message) => message.into_message(),
            Err(_) => response.into_message(),
        };
        Ok((message, security))
    }
}

/// True if an answer comes from a wildcard, its signatures are proven, and so is that no name stands nearer to the
/// one asked for (RFC 4035 §5.3.4).
///
/// hickory 0.26.3 takes such an answer for bogus where the NSEC record that proves it is the wildcard's own, as it
/// is in most zones. NSEC only: hickory judges NSEC3 rightly.
fn is_proven_expansion(message: &Message) -> bool {
    let Some(query) = message.queries.first() else {
        return false;
    };
    let is_answer = |record: &&rr::Record| record.record_type() != RecordType::RRSIG;
    let is_secure = message.answers.iter().filter(is_answer).all(|record| record.proof.is_secure());
    let has_answer = message.answers.iter().any(|record| {
        record.name == query.name && [query.query_type, RecordType::CNAME].contains(&record.record_type())
    });
    if !is_secure || !has_answer || message.metadata.response_code != ResponseCode::NoError {
        return false;
    }
    // Every expanded record: the name one label longer than the wildcard's parent must not exist.
    let mut expanded = message.answers.iter().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) if record.proof.is_secure() => {
            let labels = signature.input().num_labels;
            (labels < record.name.num_labels()).then(|| record.name.trim_to(usize::from(labels) + 1))
        }
        _ => None,
    });
    let is_absent = |name: &rr::Name| {
        message.authorities.iter().any(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::NSEC(nsec)) if record.proof.is_secure() => {
                let (owner, next, types) = (&record.name, nsec.next_domain_name(), nsec.type_set());
                let is_between = owner < name && (name < next || next <= owner);
                // What stands above a cut proves nothing about names below it (RFC 6840 §4.1).
                let is_cut = types.contains(RecordType::NS) && !types.contains(RecordType::SOA);
                let is_below_cut = owner.zone_of(name) && (is_cut || types.contains(RecordType::DNAME));
                is_between && !is_below_cut && !name.zone_of(next)
            }
            _ => false,
        })
    };
    let mut count = 0;
    expanded.all(|name| {
        count += 1;
        is_absent(&name)
    }) && count > 0
}

/// Our word for hickory's.
const fn security(proof: Proof) -> Security {
    match proof {
        Proof::Secure => Security::Secure,
        Proof::Insecure => Security::Insecure,
        Proof::Bogus => Security::Bogus,
        Proof::Indeterminate => Security::NotKnown,
    }
}

/// What a validated message is worth: the weakest of its records.
fn proven(message: &Message) -> Security {
    let is_positive = message.answers.iter().any(|record| record.record_type() != RecordType::RRSIG);
    let is_absence = !is_positive || message.metadata.response_code == ResponseCode::NXDomain;
    let answers = message.answers.iter();
    let mut proofs: Vec<Proof> = answers
        .filter(|record| record.record_type() != RecordType::RRSIG)
        .map(|record| record.proof)
        .collect();
    if is_absence {
        let denial = |record: &&rr::Record| {
            matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3 | RecordType::SOA)
        };
        let denials: Vec<Proof> =
            message.authorities.iter().filter(denial).map(|record| record.proof).collect();
        let has_proof = message.authorities.iter().any(|record| {
            matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3) && record.proof.is_secure()
        });
        // The validator lets absence without proof pass only below an unsigned delegation.
        proofs.extend(if has_proof { denials } else { vec![Proof::Insecure] });
    }
    let has = |proof: Proof| proofs.contains(&proof);
    if has(Proof::Bogus) {
        Security::Bogus
    } else if proofs.is_empty() || has(Proof::Indeterminate) {
        Security::NotKnown
    } else if has(Proof::Insecure) {
        Security::Insecure
    } else {
        Security::Secure
    }
}
