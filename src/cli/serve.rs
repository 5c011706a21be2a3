//! `serve`: receives until it is told to stop.

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::daemon::serve;

/// Runs the command.
pub fn run(context: &Context) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
    match &settings.file {
        Some(file) => tracing::info!(configuration = %file.display(), "settings"),
        None => tracing::info!("no configuration: loopback only, recipients at mailsonde.test"),
    }
    serve::serve(&settings)?;
    Ok(Exit::Fine)
}
