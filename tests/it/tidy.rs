//! To be filled: tidy.
