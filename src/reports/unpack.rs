//! Archives and compressed streams to documents, within a budget.

/// Why something that looks like a report could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnreadableKind {
    /// A compressed stream or archive ends early.
    Truncated,
    /// A checksum, length or structure is wrong.
    Corrupt,
    /// A cap was reached.
    TooLarge,
    /// A format that is not read, by name.
    Unsupported,
    /// Markup or values that no record can be trusted in.
    Malformed,
    /// A document type declaration with an internal subset.
    Forbidden,
    /// Nothing in it.
    Empty,
    /// A report that needs a value that is absent.
    Incomplete,
}

/// Something that looks like a report and could not be read: kept, listed, never counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The class.
    pub kind: UnreadableKind,
    /// The reason in words for the operator, for example `gzip stream ends early (truncated)`.
    pub reason: String,
    /// Where: part and entry names, for example `report.zip/a.xml`.
    pub place: String,
}
