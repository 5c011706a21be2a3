//! Watched addresses in `serve`: which names are watched, and a look every half minute at what was expected of each.

use crate::clock::{self, Timestamp};
use crate::limits;
use crate::probe::watched::Watched;
use crate::store::{Store, StoreError, WatchedChange};

/// Judges all of them again and again; ends only with its task.
pub async fn keep(store: Store, watched: Vec<Watched>) {
    loop {
        let (store, watched) = (store.clone(), watched.clone());
        let round = tokio::task::spawn_blocking(move || round(&store, &watched, clock::now())).await;
        match round {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "watched addresses cannot be judged now"),
            Err(error) => tracing::error!(%error, "judging the watched addresses failed"),
        }
        tokio::time::sleep(limits::WATCHED_EVERY).await;
    }
}

/// Judges each once, and keeps and tells what changed.
///
/// Errors: those of the store.
pub fn round(store: &Store, watched: &[Watched], now: Timestamp) -> Result<(), StoreError> {
    let reader = store.reader()?;
    for one in watched {
        let (judged, since) = reader.judge_watched(one, now)?;
        for change in store.note_watched(&one.name, judged.episodes, since, now)? {
            match change {
                WatchedChange::Opened(episode) => {
                    tracing::warn!(
                        name = one.name,
                        wrong = episode.wrong.as_str(),
                        reason = episode.text,
                        "not as expected"
                    );
                }
                WatchedChange::Closed(episode) => {
                    tracing::info!(name = one.name, wrong = episode.wrong.as_str(), "as expected again");
                }
            }
        }
    }
    Ok(())
}
