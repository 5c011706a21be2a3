//! What a question covers.
