//! Names of the sources of stored reports: looked up beside everything else, kept in the store.
//!
//! Nothing waits for it: a report is read and shown whether its sources have names or not.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::authentication::reverse::{ReverseResult, reverse};
use crate::clock::{self, Day, Timestamp};
use crate::dns::{Answers, Budget, Resolve, settle};
use crate::limits;
use crate::store::{SourceName, Store, StoreError};

/// From the end of one round to the next.
const EVERY: Duration = Duration::from_secs(600);

/// Looks names up as long as it runs.
pub async fn keep(store: Store, resolver: std::sync::Arc<dyn Resolve>) {
    loop {
        let since = Day(clock::now().day().0.saturating_sub(limits::LEARNT_DAYS));
        match round(&store, &*resolver, since).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::debug!(count, "sources looked up");
                continue;
            }
            Err(error) => tracing::warn!(%error, "names of sources cannot be kept now"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks up the sources of reports of a day or later that have no name yet, or one that is over; at most
/// [`limits::SOURCE_NAMES_ROUND`]. Returns how many.
///
/// Errors: the store fails.
pub async fn round(store: &Store, resolver: &dyn Resolve, since: Day) -> Result<usize, StoreError> {
    let now = clock::now();
    let reading = store.clone();
    let wanted = move || reading.reader()?.sources_to_name(since, now, limits::SOURCE_NAMES_ROUND);
    let wanted = blocking(wanted).await?;
    if wanted.is_empty() {
        return Ok(0);
    }
    let names: Vec<SourceName> = futures_util::stream::iter(wanted)
        .map(|address| look_up(address, resolver, now))
        .buffer_unordered(limits::SOURCE_NAMES_AT_ONCE)
        .collect()
        .await;
    let count = names.len();
    let writing = store.clone();
    blocking(move || writing.note_source_names(names, now)).await?;
    Ok(count)
}

/// Runs what blocks in a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Closed),
    }
}

/// One source, within a budget of its own.
async fn look_up(address: IpAddr, resolver: &dyn Resolve, now: Timestamp) -> SourceName {
    let mut answers = Answers::new();
    let mut budget = Budget::new(limits::SOURCE_NAME_QUESTIONS, limits::SOURCE_NAME_TIMEOUT);
    let found = settle(resolver, &mut answers, &mut budget, |answers| reverse(address, answers)).await;
    let holds = match found.result {
        ReverseResult::TempError => limits::SOURCE_NAME_RETRY,
        _ => {
            let seconds = answers.iter().filter_map(|(_, answer)| answer.ttl).min().unwrap_or(0);
            let said = Duration::from_secs(u64::from(seconds));
            said.clamp(limits::SOURCE_NAME_LEAST, limits::SOURCE_NAME_MOST)
        }
    };
    SourceName {
        address,
        state: found.result.as_str(),
        name: found.confirmed().map(|name| name.as_str().to_owned()),
        until: now.after(holds),
    }
}
