//! To be filled: reports.
