//! One event of a probe as a row.

use super::super::writer::Work;
use super::super::{MessageId, StoreError};
use crate::clock::Timestamp;
use crate::probe::lifecycle::{Event, MailPlace, Passage, Reason, Seen, What};

const INSERT: &str = "INSERT INTO probe_event (token, seq, at_ms, event, phase, code, enhanced, text,
    message_id, is_timed, until_ms, place, watcher, folder, not_before_ms, copy_of, is_marked, spf, dkim, dmarc, jump_ms)
    VALUES ($1, (SELECT COALESCE(MAX(seq) + 1, 0) FROM probe_event WHERE token = $1), $2, $3, $4, $5, $6, $7, $8, $9,
    $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ON CONFLICT DO NOTHING";
/// The events of one probe, as [`read_event`] reads them.
pub(in crate::store) const EVENTS: &str =
    "SELECT at_ms, event, phase, code, enhanced, text, message_id, is_timed, until_ms, place, watcher, folder,
    not_before_ms, copy_of, is_marked, spf, dkim, dmarc, jump_ms
    FROM probe_event WHERE token = $1 ORDER BY seq";

/// Adds one event.
pub(super) fn insert_event(work: &Work<'_>, token: &str, event: &Event) -> Result<(), StoreError> {
    let what = &event.what;
    let reason = what.reason();
    let nowhere = Seen::default();
    let (is_timed, seen) = match what {
        What::Arrived { is_timed, seen, .. } => (Some(*is_timed), seen),
        _ => (None, &nowhere),
    };
    let (place, watcher, folder) = match what {
        What::Arrived { seen, .. } => (Some(seen.place), seen.watcher.as_ref(), seen.folder.as_ref()),
        What::Moved { watcher, place, folder } => (Some(*place), Some(watcher), Some(folder)),
        What::Vanished { watcher } => (None, Some(watcher), None),
        _ => (None, None, None),
    };
    let until = if let What::Delayed { until, .. } = what { *until } else { None };
    let jump_ms = if let What::Clock { ms } = what { Some(*ms) } else { None };
    work.connection.prepare_cached(INSERT)?.execute(rusqlite::params![
        token,
        event.at.ms(),
        what.as_str(),
        reason.and_then(|reason| reason.phase.as_ref()),
        reason.and_then(|reason| reason.code),
        reason.and_then(|reason| reason.enhanced.as_ref()),
        reason.map(|reason| &reason.text),
        what.message().map(|message| message.0),
        is_timed,
        until.map(Timestamp::ms),
        place.map(MailPlace::as_str),
        watcher,
        folder,
        seen.not_before.map(Timestamp::ms),
        seen.copy_of,
        seen.is_marked,
        seen.spf,
        seen.dkim,
        seen.dmarc,
        jump_ms,
    ])?;
    Ok(())
}

/// Reads one event from the columns of [`EVENTS`].
pub(in crate::store) fn read_event(row: &rusqlite::Row<'_>) -> rusqlite::Result<Event> {
    let reason = || -> rusqlite::Result<Reason> {
        Ok(Reason {
            phase: row.get(2)?,
            code: row.get(3)?,
            enhanced: row.get(4)?,
            text: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
        })
    };
    let instant =
        |at: usize| -> rusqlite::Result<_> { Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_ms)) };
    let message = || -> rusqlite::Result<MessageId> { Ok(MessageId(row.get(6)?)) };
    let place = || -> rusqlite::Result<MailPlace> {
        let word: String = row.get(9)?;
        MailPlace::parse(&word).ok_or_else(|| unknown(9, "place", &word))
    };
    let text =
        |at: usize| -> rusqlite::Result<String> { Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default()) };
    let word: String = row.get(1)?;
    let what = match word.as_str() {
        "planned" => What::Planned,
        "sending" => What::Sending,
        "accepted" => What::Accepted(reason()?),
        "refused" => What::Refused(reason()?),
        "deferred" => What::Deferred(reason()?),
        "given_up" => What::GivenUp(reason()?),
        "in_doubt" => What::InDoubt(reason()?),
        "cancelled" => What::Cancelled(reason()?),
        "arrived" => What::Arrived {
            message: message()?,
            is_timed: row.get(7)?,
            seen: Seen {
                place: place()?,
                watcher: row.get(10)?,
                folder: row.get(11)?,
                not_before: instant(12)?,
                copy_of: row.get(13)?,
                is_marked: row.get(14)?,
                spf: row.get(15)?,
                dkim: row.get(16)?,
                dmarc: row.get(17)?,
            },
        },
        "replayed" => What::Replayed { message: message()? },
        "moved" => What::Moved { watcher: text(10)?, place: place()?, folder: text(11)? },
        "vanished" => What::Vanished { watcher: text(10)? },
        "bounced" => What::Bounced { message: message()?, reason: reason()? },
        "delayed" => What::Delayed { message: message()?, reason: reason()?, until: instant(8)? },
        "held" => What::Held { message: message()?, reason: reason()? },
        "relayed" => What::PassedOn { message: message()?, how: Passage::Relayed, reason: reason()? },
        "expanded" => What::PassedOn { message: message()?, how: Passage::Expanded, reason: reason()? },
        "delivered" => What::Delivered { message: message()?, reason: reason()? },
        "clock" => What::Clock { ms: row.get(18)? },
        other => return Err(unknown(1, "event", other)),
    };
    Ok(Event { at: Timestamp::from_ms(row.get(0)?), what })
}

/// A word that no version of ours wrote.
fn unknown(column: usize, what: &str, word: &str) -> rusqlite::Error {
    let text = format!("unknown {what} of a probe: {word}");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, text.into())
}
