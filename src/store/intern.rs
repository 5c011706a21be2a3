//! Look-up numbers: names, reporters, lists of results; known ones are kept in memory.

/// Numbers known to be in the database. Emptied after a rollback and after another process wrote.
#[derive(Debug, Default)]
pub(super) struct Cache {}

impl Cache {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {}
}
