//! To be filled: pipeline.
