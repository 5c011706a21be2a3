//! The resolvers over real sockets: what each misbehavior of a server becomes, and what is asked how often.

/// Every row of how a server can misbehave.
mod answers;

/// Bad input through the resolver and through whole checks of a domain.
mod hostile;

/// Signed zones on a real server.
mod signed;

/// Names of the sources of stored reports.
mod sources;
