//! The columns of `dns spf`: the tree that a record leads to, and the trace of one check.

mod trace;
mod tree;

use std::borrow::Cow;

pub use trace::{SPF_TRACE, SPF_TRACE_DRAWN, SPF_TRACE_TOTALS, TraceRow, TraceTotals, trace_rows};
pub use tree::{SPF_TREE, SPF_TREE_DRAWN, SPF_TREE_TOTALS, TreeFault, TreeRow, TreeTotals, tree_rows};

use crate::render::Value;

/// A list of texts as a cell.
fn texts(items: &[String]) -> Value<'_> {
    Value::List(items.iter().map(|item| Cow::Borrowed(item.as_str())).collect())
}

/// A number of octets.
fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A mend as the end of a sentence.
fn mend_text(mend: Option<&str>) -> String {
    match mend {
        None => String::new(),
        Some("") => "; mend: leave it out".to_owned(),
        Some(mend) => format!("; mend: {mend}"),
    }
}
