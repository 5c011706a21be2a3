//! Once a day: what is older than it is to be kept is removed, beside everything else.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::probe::token::KeyRing;
use crate::store::{Retention, Store};

/// From the end of one round to the next.
const EVERY: Duration = Duration::from_secs(86_400);
/// The same after a round that found trouble or was postponed.
const AGAIN: Duration = Duration::from_secs(3_600);

/// The thread that prunes.
pub struct Upkeep {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Starts it: the first round begins at once.
    pub fn start(store: Store, keys: KeyRing, retention: Retention) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("upkeep".to_owned()).spawn(move || {
            let is_stopped = || *seen.0.lock().unwrap_or_else(PoisonError::into_inner);
            while !is_stopped() {
                let wait = round(&store, &keys, &retention, &is_stopped);
                let stopped = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                // Told to stop while it waits, or not: the loop looks again.
                drop(seen.1.wait_timeout_while(stopped, wait, |is_stopped| !*is_stopped));
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Asks it to end after the slice in hand.
    pub fn stop(&self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
    }

    /// Waits for its end; false if it ended by a fault.
    pub fn join(mut self) -> bool {
        self.stop();
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }
}

/// One round; returns the wait until the next one.
fn round(store: &Store, keys: &KeyRing, retention: &Retention, is_stopped: &dyn Fn() -> bool) -> Duration {
    match store.prune(retention, keys, clock::now(), is_stopped) {
        Ok(pruned) => {
            tracing::info!(
                raws = pruned.raws,
                pseudonyms = pruned.pseudonyms,
                reports = pruned.reports,
                records = pruned.records,
                other_reports = pruned.other_reports,
                messages = pruned.messages,
                probes = pruned.probes,
                lookups = pruned.lookups,
                dns = pruned.dns,
                returned_bytes = pruned.returned_bytes,
                "removed what is older than [retention] says"
            );
            if pruned.is_postponed { AGAIN } else { EVERY }
        }
        Err(error) => {
            tracing::error!(%error, "what is old cannot be removed now; trying again in an hour");
            AGAIN
        }
    }
}
