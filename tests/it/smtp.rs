//! The receiver over real sockets.
// `cfg(test)` tells the lints that helpers between the tests are tests too.

/// Trusted relays in front: PROXY, XFORWARD, `Received`.
#[cfg(test)]
mod relays;

/// A real Postfix in front.
#[cfg(test)]
mod relays_postfix;

/// Whole dialogues: the shipped transcripts and the session scripts of the third-party cases.
#[cfg(test)]
mod dialogues;

/// What ends data, in the clear and within TLS.
#[cfg(test)]
mod smuggling;

/// STARTTLS, certificates and broken handshakes.
#[cfg(test)]
mod tls;

/// Limits, deadlines and clients that misbehave.
#[cfg(test)]
mod limits;

/// Storage that refuses, sessions that panic, the stop.
#[cfg(test)]
mod lifecycle;

/// Another receiver beside ours.
#[cfg(test)]
mod peers;

/// Memory and file descriptors of a receiver of its own.
#[cfg(test)]
mod process;

/// What the log says, and what it does not.
#[cfg(test)]
mod log;
