//! The command line as a contract: formats, layout, names, exit codes, faults in words.
// `cfg(test)` tells the lints that helpers between the tests are tests too.

/// Formats against golden files.
#[cfg(test)]
#[path = "cli/render.rs"]
mod render;

/// docs/json-output.md against the code.
#[cfg(test)]
#[path = "cli/documents.rs"]
mod documents;

/// The binary: help, wrong use, faults of the configuration, pipes, colour.
#[cfg(test)]
#[path = "cli/commands.rs"]
mod commands;
