//! What every command needs: the arguments that hold for all, the settings, the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::args::GlobalArguments;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::clock::{self, Timestamp};
use crate::config::{self, Settings};
use crate::daemon::dns::{self, Dns};
use crate::daemon::ingest::{Bell, Ingest};
use crate::daemon::keys;
use crate::limits;
use crate::store::{Reader, Store};

/// One run of the program.
#[derive(Debug)]
pub struct Context {
    /// The options of every command.
    pub global: GlobalArguments,
    /// How answers are printed.
    pub output: Output,
    /// When the command began.
    pub now: Timestamp,
    /// Settings in the place of those of a file: `demo` has its own.
    pub given: Option<Settings>,
}

impl Context {
    /// Begins a run.
    pub fn new(global: GlobalArguments) -> Self {
        let output = Output::of(&global);
        Self { global, output, now: clock::now(), given: None }
    }

    /// Writes the log to standard error: warnings (of a service also what happens), with `-v` what happens,
    /// with `-vv` everything, with `-q` errors only. RUST_LOG overrides.
    pub fn start_logging(&self, is_service: bool) {
        use tracing_subscriber::EnvFilter;
        let level = match (self.global.quiet, self.global.verbose) {
            (true, _) => "error",
            (false, 0) if is_service => "warn,mailsonde=info",
            (false, 0) => "warn",
            (false, 1) => "info,mailsonde=debug",
            (false, _) => "debug,mailsonde=trace",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        // A second call (several commands in one test process) keeps the first.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .with_target(false)
            .try_init();
    }

    /// The settings, with `--db` over the path of the store.
    ///
    /// Errors: wrong configuration.
    pub fn settings(&self) -> Result<Settings, Failure> {
        if let Some(settings) = &self.given {
            return Ok(settings.clone());
        }
        let mut settings = config::load(self.global.config.as_deref())?;
        if let Some(path) = &self.global.db {
            settings.store_path.clone_from(path);
        }
        Ok(settings)
    }

    /// Who answers questions of DNS, as `[dns]` says.
    ///
    /// Errors: wrong configuration.
    pub fn dns(&self) -> Result<Dns, Failure> {
        let settings = self.settings()?.dns;
        // Read by itself first: a fault of a file is wrong use.
        settings.source()?;
        Ok(dns::connect(&settings)?)
    }

    /// Opens the store for writing, makes it if there is none, and tells it the watched domains.
    ///
    /// Errors: wrong configuration, a store that cannot be opened.
    pub fn open_store(&self) -> Result<(Settings, Store), Failure> {
        let settings = self.settings()?;
        let store = Store::open(&settings.store_path, settings.store_options())?;
        store.set_watched(&settings.domains)?;
        Ok((settings, store))
    }

    /// Reads what is pending, here and now: a running `serve` may help or not. Returns the number of mails.
    ///
    /// Errors: a key file that cannot be read, a store that fails.
    pub fn read_pending(store: &Store) -> Result<u64, Failure> {
        let keys = keys::load_or_create(store.path())?;
        let ingest = Ingest::new(store.clone(), keys, Arc::new(Bell::default()));
        Ok(ingest.read_pending(&|| false)?)
    }

    /// Opens the store for reading.
    ///
    /// Errors: wrong configuration, no store, a store that cannot be opened.
    pub fn open_reader(&self) -> Result<Reader, Failure> {
        let path = self.settings()?.store_path;
        require_store(&path)?;
        match Reader::open(&path, limits::STORE_BUSY_TIMEOUT) {
            // Older: opened for writing it is upgraded.
            Err(crate::store::StoreError::TooOld { .. }) => {
                let (_, store) = self.open_store()?;
                Ok(store.reader()?)
            }
            other => Ok(other?),
        }
    }
}

/// Says in words that there is no store, where there is none.
fn require_store(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    let shown: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Err(Failure::run(format!("no database at {}", shown.display()))
        .hint("`mailsonde import PATH` or `mailsonde serve` makes one; --db names another")
        .hint("`mailsonde setup DOMAIN` prints the DNS records that bring reports here"))
}
