//! To be filled: store.
