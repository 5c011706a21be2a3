//! Probes from composing to verdict: the sender against servers that behave in every way.
// `cfg(test)` tells the lints that helpers between the tests are tests too.

/// A server that does what its script says.
#[cfg(test)]
pub(crate) mod scripted;

/// Handing over, phase by phase.
#[cfg(test)]
mod submit;

/// Direct to the MX hosts of a domain: order, null MX, MTA-STS, DANE.
#[cfg(test)]
mod direct;

/// The schedule at work.
#[cfg(test)]
mod scheduled;

/// Verdicts in the store, and what changes them.
#[cfg(test)]
mod life;

/// Direct to MX hosts with the program itself.
#[cfg(test)]
mod through;

/// Probes in the store.
#[cfg(test)]
mod stored;

/// From the sender to our receiver and back to the verdict.
#[cfg(test)]
mod whole_way;

/// What filters are tested with stands in no file of ours.
#[cfg(test)]
mod harmless;

/// The answers about probes.
#[cfg(test)]
mod views;
