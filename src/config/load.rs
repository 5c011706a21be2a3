//! Which file is read: the one named, else the first that exists of two places, else none.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::config::fault::Fault;
use crate::config::settings::Settings;
use crate::limits;
use crate::sources::PlacesFault;

/// The places that are looked at without `--config`, in order.
pub const PLACES: [&str; 2] = ["mailsonde.toml", "/etc/mailsonde/mailsonde.toml"];

/// Why there are no settings. All of them are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// The file is far too large for a configuration.
    #[error("configuration {0}: larger than 1 MiB; is it the right file?")]
    TooLarge(PathBuf),
    /// A file that tells countries or networks cannot be used.
    #[error("[sources] {key}: {path}: {cause}")]
    Places {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: PlacesFault,
    },
    /// The file has faults, each with its place.
    #[error("{} in the configuration", count(.0.len()))]
    Faults(Vec<Fault>),
}

/// `1 fault`, `2 faults`.
fn count(faults: usize) -> String {
    format!("{faults} fault{}", if faults == 1 { "" } else { "s" })
}

/// Reads the settings: `chosen`, else `./mailsonde.toml`, else `/etc/mailsonde/mailsonde.toml`, else the
/// defaults.
///
/// Errors: [`ConfigError`]; a file of the two places that exists and cannot be read is an error too.
pub fn load(chosen: Option<&Path>) -> Result<Settings, ConfigError> {
    if let Some(path) = chosen {
        return read(path);
    }
    for place in PLACES {
        let path = Path::new(place);
        match path.try_exists() {
            Ok(false) => {}
            Ok(true) => return read(path),
            Err(cause) => return Err(ConfigError::Unreadable { path: path.to_owned(), cause }),
        }
    }
    Ok(Settings::without_file())
}

/// Reads one file.
fn read(path: &Path) -> Result<Settings, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limits::CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > limits::CONFIG_BYTES) {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let head = String::from_utf8_lossy(error.as_bytes());
            let (line, column) = crate::config::fault::place(&head, valid);
            let message = "not UTF-8".to_owned();
            let hint = Some("save the file as UTF-8".to_owned());
            return Err(ConfigError::Faults(vec![Fault {
                file: path.to_owned(),
                line,
                column,
                message,
                hint,
            }]));
        }
    };
    Settings::parse(path, text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(ConfigError::Faults)
}
