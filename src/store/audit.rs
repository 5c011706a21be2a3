//! Who saw what is usually hidden.

use super::StoreError;
use super::writer::Writer;

const INSERT: &str = "INSERT INTO audit (audit_id, at_ms, what, who, detail) VALUES ($1, $2, $3, $4, $5)";

/// See [`super::Store::audit`].
pub(super) fn write(writer: &Writer, what: &'static str, who: &str, detail: &str) -> Result<(), StoreError> {
    let (who, detail) = (who.to_owned(), detail.to_owned());
    writer.run(move |work| {
        let id = work.ids.next(work.now);
        let row = (id, work.now.ms(), what, &who, &detail);
        work.connection.prepare_cached(INSERT)?.execute(row)?;
        Ok(())
    })
}
