//! The integration tests: the program as a user meets it, over loopback and temporary folders only.

#![expect(clippy::print_stderr, reason = "a skipped test says why")]

#[allow(dead_code, reason = "what the tests share; not every build of them uses every piece")]
mod support;

/// Benchmarks' and documents' claims that can be checked quickly; the house rules.
mod tidy;

/// What holds of every reader, whatever comes: the rules of the fuzz targets.
mod fuzz;

/// Reports in every wrapping: the third-party corpus, the vectors, the hostile set.
mod reports;

/// Reading what is pending: nothing blocks it.
mod ingest;

/// The sample mails, whole and damaged.
mod fixtures;

/// TLS reports.
mod tls_reports;

/// `dns check`, `dns watch`.
mod dns_commands;

/// Checks of watched domains by `serve`.
mod dns_hourly;

/// The third-party cases about DNS.
mod dns_cases;

/// What health checks gather beside DNS: policies by HTTPS, MX hosts, name servers.
mod health;

/// docs/health-checks.md, and the demonstration's zone.
mod health_checks;

/// Failure reports and other feedback.
mod failure_reports;

/// The receiver over real sockets: dialogues, limits, TLS, load.
mod smtp;

/// The store: schema, migrations, exact sums, many writers.
mod store;

/// Verification of what was received, with DNS that fails and comes back.
mod verification;

/// Forged reports, judged by a DNS server of ours.
mod forged;

/// Probes from composing to verdict.
mod probes;

/// Probes past real servers: Postfix, Exim, Dovecot, mailin-embedded.
#[cfg(test)]
mod far_ends;

/// Leave, caps and the look at ourselves.
mod manners;

/// Mailboxes elsewhere: IMAP, POP3, OAuth 2.0; folders that are followed.
mod mailbox;

/// The command line as a contract.
mod cli;

/// Mail in at the socket, rows out of the command line.
#[cfg(test)]
mod pipeline;

/// Bounces, delay warnings, automatic answers: the third-party collection, our fixtures, the cases.
mod bounces;

/// Third-party suites of the standards, with counts: SPF, DMARC, DKIM, ARC.
#[cfg(test)]
mod suites;

/// The resolvers against servers that misbehave, and against a real one with signed zones.
#[cfg(test)]
mod dns;

/// `setup` and its proof, `check` for monitoring, what an empty store says.
#[cfg(test)]
mod setup;

/// SPF: the third-party cases, `dns spf`.
#[cfg(test)]
mod spf;

/// Watched addresses: mail that cannot carry our token.
#[cfg(test)]
mod watched;

/// There and back: answers to arrivals.
#[cfg(test)]
mod reflect;

/// Probes and other mail by odd ways: forwarders, loops, automatic answers.
#[cfg(test)]
mod odd_ways;
