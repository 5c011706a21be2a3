//! To be filled: probes.
