//! Whose eyes were open when.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::super::StoreError;
use super::super::writer::{Work, Writer};
use super::{duration, ms};
use crate::clock::Timestamp;
use crate::probe::lifecycle::{Eye, Observed, Span};

const LAST: &str = "SELECT from_ms, to_ms, fault FROM eye WHERE name = $1 ORDER BY from_ms DESC LIMIT 1";
const EXTEND: &str = "UPDATE eye SET to_ms = $1, every_ms = $2 WHERE name = $3 AND from_ms = $4";
const INSERT: &str = "INSERT INTO eye (name, from_ms, to_ms, every_ms, fault) VALUES ($1, $2, $2, $3, $4)
    ON CONFLICT (name, from_ms) DO UPDATE SET fault = excluded.fault, every_ms = excluded.every_ms";
const OPEN: &str =
    "SELECT from_ms, to_ms, every_ms FROM eye WHERE name = $1 AND fault IS NULL AND to_ms >= $2
    ORDER BY from_ms";

const FORGET: &str =
    "DELETE FROM eye WHERE to_ms < $1 AND to_ms < (SELECT COALESCE(MIN(sent_at_ms), $1) FROM probe)";

/// Removes looks before `before`, UTC milliseconds, that no probe rests on.
pub(in crate::store) fn forget_eyes(work: &Work<'_>, before: i64) -> Result<(), StoreError> {
    work.connection.prepare_cached(FORGET)?.execute([before])?;
    Ok(())
}

/// Notes a look of an eye, or that it could not look and why; waits for the commit.
///
/// Looks of one kind at most [`Eye::patience`] apart extend one row.
pub(in crate::store) fn note_look(
    writer: &Writer,
    name: &str,
    at: Timestamp,
    every: Duration,
    fault: Option<&str>,
) -> Result<(), StoreError> {
    let (name, fault) = (name.to_owned(), fault.map(str::to_owned));
    writer.run(move |work| {
        let last: Option<(i64, i64, Option<String>)> = work
            .connection
            .prepare_cached(LAST)?
            .query_row([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some((from, to, before)) = last {
            let next = Timestamp::from_ms(to).after(Eye::patience(every));
            // A clock that was set back begins a row of its own.
            if before == fault && to <= at.ms() && at <= next {
                work.connection.prepare_cached(EXTEND)?.execute((at.ms(), ms(every), &name, from))?;
                return Ok(());
            }
        }
        work.connection.prepare_cached(INSERT)?.execute((&name, at.ms(), ms(every), &fault))?;
        Ok(())
    })
}

/// See [`crate::store::Reader::blind_because`].
pub(in crate::store) fn blind_because(
    connection: &Connection,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let fault = connection.prepare_cached(LAST)?.query_row([name], |row| row.get(2)).optional()?;
    Ok(fault.flatten())
}

/// The looks of the named eyes since `since`.
pub(in crate::store) fn observed(
    connection: &Connection,
    names: &[String],
    since: Timestamp,
) -> Result<Observed, StoreError> {
    let mut eyes = Vec::new();
    for name in names {
        let mut eye = Eye { name: name.clone(), every: Duration::ZERO, open: Vec::new() };
        let mut statement = connection.prepare_cached(OPEN)?;
        let mut rows = statement.query((name, since.ms()))?;
        while let Some(row) = rows.next()? {
            let (from, to) = (Timestamp::from_ms(row.get(0)?), Timestamp::from_ms(row.get(1)?));
            eye.open.push(Span { from, to });
            eye.every = duration(row.get(2)?);
        }
        eyes.push(eye);
    }
    Ok(Observed { eyes })
}
