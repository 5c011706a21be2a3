//! The files of `[sources] country_database` and `network_database`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::config::load::ConfigError;
use crate::limits;
use crate::sources::{Places, PlacesFault, Question};

/// Reads the files that the settings name. One that cannot be used is left out, with the reason: answers go on without it.
pub fn places(settings: &Settings) -> (Places, Vec<String>) {
    let mut places = Places::default();
    let mut faults = Vec::new();
    for (path, question) in named(settings) {
        if let Err(error) = read(question, path).and_then(|bytes| add(&mut places, question, path, bytes)) {
            faults.push(format!("without it: {error}"));
        }
    }
    (places, faults)
}

/// Reads the files that the settings name, whole.
///
/// Errors: the first that cannot be read, is damaged anywhere, or answers another question.
pub fn check(settings: &Settings) -> Result<Places, ConfigError> {
    let mut places = Places::default();
    for (path, question) in named(settings) {
        add(&mut places, question, path, read(question, path)?)?;
        places.verify().map_err(|fault| ConfigError::Places {
            key: key_of(question),
            path: path.clone(),
            cause: fault,
        })?;
    }
    Ok(places)
}

/// The files, and what is asked of each.
fn named(settings: &Settings) -> impl Iterator<Item = (&PathBuf, Question)> {
    let country = settings.country_database.as_ref().map(|path| (path, Question::Country));
    country.into_iter().chain(settings.network_database.as_ref().map(|path| (path, Question::Network)))
}

/// The key in `[sources]`.
const fn key_of(question: Question) -> &'static str {
    match question {
        Question::Country => "country_database",
        Question::Network => "network_database",
    }
}

/// Takes a file into use.
fn add(places: &mut Places, question: Question, path: &Path, bytes: Vec<u8>) -> Result<(), ConfigError> {
    places.add(question, bytes).map_err(|fault| ConfigError::Places {
        key: key_of(question),
        path: path.to_owned(),
        cause: fault,
    })
}

/// The bytes of a file.
fn read(question: Question, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |cause: std::io::Error| ConfigError::Places {
        key: key_of(question),
        path: path.to_owned(),
        cause: PlacesFault::Damaged(cause.to_string()),
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(limits::PLACES_FILE_BYTES)).unwrap_or(0));
    file.take(limits::PLACES_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
