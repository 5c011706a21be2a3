//! Mailboxes elsewhere: a real Dovecot, scripted servers for every fault, a token server.
// `cfg(test)` tells the lints that what stands between the tests is for tests too.

/// What breaks, and what must not be lost by it.
#[cfg(test)]
mod faults;

/// IMAP and POP3 against Dovecot.
#[cfg(test)]
mod dovecot;

/// Sign-in by OAuth 2.0.
#[cfg(test)]
mod oauth;

/// POP3 against scripted servers.
#[cfg(test)]
mod pop3;

/// Our own messages in somebody's mailbox, against Dovecot.
#[cfg(test)]
mod watch;

/// The same against scripted servers.
#[cfg(test)]
mod watch_script;

/// The same in a Maildir.
#[cfg(test)]
mod watch_maildir;

/// Bounces in the sending account's own mailbox.
#[cfg(test)]
mod bounces;

/// Folders that are followed.
#[cfg(test)]
mod follow;

/// Stores, options and mails.
#[cfg(test)]
mod make;

/// Scripted servers.
#[cfg(test)]
mod script;
