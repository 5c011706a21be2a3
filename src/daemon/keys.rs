//! The installation's secret: the key of its probe tokens, a file beside the database.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ring::rand::{SecureRandom, SystemRandom};

use crate::daemon::options;
use crate::probe::token::{KEY_BYTES, KeyRing};

/// Where the key of a database's probes is kept: `mailsonde.db` has `mailsonde.key`.
pub fn key_path(database: &Path) -> PathBuf {
    database.with_extension("key")
}

/// Reads the key beside a database, or makes one at the first start: 32 random bytes, mode 0600.
///
/// Two processes that start at once agree: who creates the file wins, the other reads it.
pub fn load_or_create(database: &Path) -> anyhow::Result<KeyRing> {
    let path = key_path(database);
    if let Some(ring) = load(&path)? {
        return Ok(ring);
    }
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| anyhow::anyhow!("no random numbers from the system"))?;
    // Written whole under another name first, so that nobody reads half a key.
    let folder = options::folder(&path);
    let draft = tempfile::Builder::new()
        .prefix(".mailsonde-key-")
        .make_in(folder, |path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))
        .with_context(|| format!("cannot write a key file in {}", folder.display()))?;
    let mut file = draft.as_file();
    file.write_all(&key).and_then(|()| file.sync_all()).context("cannot write the key file")?;
    match std::fs::hard_link(draft.path(), &path) {
        Ok(()) => {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .context("cannot sync the key's folder")?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
    load(&path)?.with_context(|| format!("{}: vanished while it was made", path.display()))
}

/// Reads the key beside a database; `None` if there is none yet.
///
/// Errors: a file that is no key file.
pub fn load_existing(database: &Path) -> anyhow::Result<Option<KeyRing>> {
    load(&key_path(database))
}

/// Reads a key file; `None` if there is none.
fn load(path: &Path) -> anyhow::Result<Option<KeyRing>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let ring = KeyRing::from_bytes(&bytes).with_context(|| {
                format!("{}: not a key file; restore it, or move it away to make a new key", path.display())
            })?;
            Ok(Some(ring))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::Timestamp;
    use crate::probe::token::{Kind, Reading};

    #[test]
    fn a_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let first = load_or_create(&database).unwrap();
        let token = first.mint(Kind::Probe, 1, Timestamp::from_seconds(1_772_323_200), 7);
        let text = first.texts(&token).unwrap().recipient;
        let again = load_or_create(&database).unwrap();
        assert!(matches!(again.read_text(&text), Some(Reading::Valid { .. })));
        let mode = std::fs::metadata(key_path(&database)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(key_path(&database), b"short").unwrap();
        let error = load_or_create(&database).unwrap_err();
        assert!(format!("{error:#}").contains("x.key"), "{error:#}");
    }
}
