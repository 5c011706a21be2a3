//! Looking after the store: removing what is old, giving space back, erasing, copying.
//!
//! Everything works beside a running `serve`, in slices far below the time that a transaction may take: each is
//! found by a reader, without the lock, and looked at again under it.

mod backup;
mod dns;
mod erase;
mod erase_plan;
mod naming;
mod others;
mod prune;
mod rows;
mod space;
mod unused;

use std::time::Duration;

use super::writer::{Work, Writer};
use super::{Reader, StoreError};
use crate::clock;
use crate::probe::token::KeyRing;

pub use backup::BackupReport;
pub use erase::Erased;
pub use erase_plan::{ErasePlan, EraseTarget};
pub use naming::NamingText;
pub use prune::{Pruned, Retention};

pub(super) use backup::backup;
pub(super) use erase::erase;
pub(super) use erase_plan::plan as erase_plan;
pub(super) use prune::prune;

/// The part of a transaction's time that one slice takes: others share the transaction with it.
const SLICES_OF_TRANSACTION: u32 = 5;

/// Does `one` for the items in order until the time of a slice is over; returns how many are done.
fn slice<T>(
    work: &mut Work<'_>,
    items: &[T],
    mut one: impl FnMut(&mut Work<'_>, &T) -> Result<(), StoreError>,
) -> Result<usize, StoreError> {
    let (started, time) = (clock::instant(), slice_time(work));
    let mut done = 0;
    for item in items {
        one(work, item)?;
        done += 1;
        if started.elapsed() >= time {
            break;
        }
    }
    Ok(done)
}

/// All policy domains, in the order of their numbers.
fn domains(reader: &Reader) -> Result<Vec<i64>, StoreError> {
    const DOMAINS: &str = "SELECT domain_id FROM domain ORDER BY domain_id";
    let mut statement = reader.connection().prepare_cached(DOMAINS)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Goes through items that a reader found: `one` for each under the lock, a slice of time after the other.
///
/// Returns how many items were reached, and the sum of what `one` gave. The rest is left when `is_stopped`.
fn in_slices<T: Send + 'static>(
    writer: &Writer,
    mut found: Vec<T>,
    is_stopped: &dyn Fn() -> bool,
    one: impl Fn(&mut Work<'_>, &T) -> Result<u64, StoreError> + Clone + Send + 'static,
) -> Result<(u64, u64), StoreError> {
    let (mut reached, mut sum) = (0, 0);
    while !found.is_empty() && !is_stopped() {
        let (batch, one) = (std::mem::take(&mut found), one.clone());
        let (rest, done, given) = writer.run(move |work| {
            let mut given = 0;
            let done = slice(work, &batch, |work, item| {
                given += one(work, item)?;
                Ok(())
            })?;
            let rest: Vec<T> = batch.into_iter().skip(done).collect();
            Ok((rest, u64::try_from(done).unwrap_or(0), given))
        })?;
        found = rest;
        reached += done;
        sum += given;
    }
    Ok((reached, sum))
}

/// The time of one slice.
fn slice_time(work: &Work<'_>) -> Duration {
    work.options.transaction / SLICES_OF_TRANSACTION
}

/// An address whose local part is a pseudonym; nothing for one that is already, and for the null path.
fn address_pseudonym(keys: &KeyRing, address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    if is_pseudonym(local) || local.is_empty() {
        return None;
    }
    Some(format!("{}@{domain}", keys.pseudonym(&local.to_lowercase())))
}

/// True for what [`KeyRing::pseudonym`] writes.
fn is_pseudonym(text: &str) -> bool {
    text.strip_prefix('~')
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')))
}
