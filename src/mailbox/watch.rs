//! Looks through a mailbox again and again: told of new mail where the server can, else at an interval.

use std::future::Future;
use std::time::Duration;

use super::fault::Fault;
use super::imap::session::Session;
use super::keeper::Keeper;
use super::options::{Credentials, MailboxKind, MailboxOptions};
use super::pass::{Pass, pass, read_folders};
use crate::limits;

/// Gives what is needed to sign in, anew for each connection: passwords change and tokens end.
pub trait Credential: Send + Sync {
    /// The password or a token that is good now. Errors: [`Fault::Credentials`].
    fn credentials(&self) -> impl Future<Output = Result<Credentials, Fault>> + Send;

    /// The server refused what was given last.
    fn refused(&self) -> impl Future<Output = ()> + Send;
}

/// Watches until it is dropped, which is safe at any point. `told` hears of every pass.
///
/// A fault is followed by a wait that doubles, and that is longer where the operator must do something.
pub async fn watch<K: Keeper, C: Credential>(
    options: &MailboxOptions,
    credential: &C,
    keeper: &K,
    mut told: impl FnMut(&Pass, Result<(), &Fault>) + Send,
) {
    let mut failures = 0;
    loop {
        let result = round(options, credential, keeper, &mut told).await;
        let wait = match &result {
            Ok(()) => {
                failures = 0;
                options.poll
            }
            Err(Ended { fault, was_good }) => {
                failures = if *was_good { 1 } else { failures + 1 };
                if matches!(fault, Fault::SignIn(_)) {
                    credential.refused().await;
                }
                back_off(fault, failures)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// A connection that ended.
struct Ended {
    fault: Fault,
    /// True if a whole pass had gone well before.
    was_good: bool,
}

/// One connection: a pass, and where the server tells of new mail further ones.
async fn round<K: Keeper, C: Credential>(
    options: &MailboxOptions,
    credential: &C,
    keeper: &K,
    told: &mut (impl FnMut(&Pass, Result<(), &Fault>) + Send),
) -> Result<(), Ended> {
    let mut was_good = false;
    let result = connection(options, credential, keeper, told, &mut was_good).await;
    result.map_err(|fault| {
        told(&Pass::default(), Err(&fault));
        Ended { fault, was_good }
    })
}

/// See [`round`].
async fn connection<K: Keeper, C: Credential>(
    options: &MailboxOptions,
    credential: &C,
    keeper: &K,
    told: &mut (impl FnMut(&Pass, Result<(), &Fault>) + Send),
    was_good: &mut bool,
) -> Result<(), Fault> {
    let credentials = credential.credentials().await?;
    if options.kind != MailboxKind::Imap || !options.idle {
        let (done, result) = pass(options, &credentials, keeper).await;
        if !done.folders.is_empty() {
            told(&done, Ok(()));
        }
        return result;
    }
    let mut session = Session::open(options, &credentials).await?;
    loop {
        let mut done = Pass::default();
        let result = read_folders(&mut session, options, keeper, &mut done).await;
        if !done.folders.is_empty() {
            told(&done, Ok(()));
        }
        result?;
        *was_good = true;
        let Some(first) = options.folders.first().filter(|_| session.can("IDLE")) else {
            session.close().await;
            return Ok(());
        };
        // One connection is told of one folder: the others are looked at in the interval.
        if options.folders.len() > 1 && session.open_folder(first, false).await.is_err() {
            session.close().await;
            return Ok(());
        }
        let is_clean = done.folders.iter().all(|folder| folder.fault.is_none() && folder.waiting == 0);
        let longest =
            if options.folders.len() == 1 && is_clean { limits::MAILBOX_IDLE_TIMEOUT } else { options.poll };
        session.idle(longest).await?;
    }
}

/// The wait after so many failures in a row.
pub(super) fn back_off(fault: &Fault, failures: u32) -> Duration {
    let first = if fault.is_sign_in() { limits::MAILBOX_SIGN_IN_BACK_OFF } else { limits::MAILBOX_BACK_OFF };
    let doubled = first.saturating_mul(1_u32 << failures.saturating_sub(1).min(10));
    doubled.min(limits::MAILBOX_BACK_OFF_MOST.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_cap() {
        let fault = Fault::closed();
        let waits: Vec<u64> = [1, 2, 3, 9, 40].iter().map(|n| back_off(&fault, *n).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 900, 900]);
        let fault = Fault::SignIn("no".to_owned());
        assert_eq!(back_off(&fault, 1).as_secs(), 300);
        assert_eq!(back_off(&fault, 9).as_secs(), 900);
    }
}
