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
pub(crate) mod commands;

/// Reports made on the spot, answers as JSON.
#[cfg(test)]
#[path = "cli/data.rs"]
mod data;

/// Cases about answers: sums, days, percentages, names, layout.
#[cfg(test)]
#[path = "cli/cases.rs"]
mod cases;

/// Reading files of every kind.
#[cfg(test)]
#[path = "cli/import.rs"]
mod import;

/// Domains and the store.
#[cfg(test)]
#[path = "cli/store.rs"]
mod store;

/// Probes over a running `serve`.
#[cfg(test)]
#[path = "cli/probes.rs"]
mod probes;

/// README.md shows what is printed.
#[cfg(test)]
#[path = "cli/readme.rs"]
mod readme;

/// One mail that came, in every form.
#[cfg(test)]
#[path = "cli/messages.rs"]
mod messages;

/// Whose a source is.
#[cfg(test)]
#[path = "cli/sources.rs"]
mod sources;

/// Removing, erasing, copying, handing on.
#[cfg(test)]
#[path = "cli/upkeep.rs"]
mod upkeep;

/// Policies as published.
#[cfg(test)]
#[path = "cli/policies.rs"]
mod policies;

/// How far reports can be believed.
#[cfg(test)]
#[path = "cli/trust.rs"]
mod trust;
