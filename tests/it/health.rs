//! What the health checks gather beside DNS, from servers on loopback: policies by HTTPS, MX hosts, name servers.

// `cfg(test)` tells the lints that helpers between the tests are tests too.

/// Policies of MTA-STS.
#[cfg(test)]
mod policies;

/// Dialogues with MX hosts.
#[cfg(test)]
mod dialogues;

/// Name servers asked one by one, and all of it together.
#[cfg(test)]
mod whole;
