//! The file with the tokens of one mailbox: beside the database, mode 0600, replaced whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{OAuthError, Tokens};
use crate::clock::Timestamp;
use crate::limits;

/// Where the tokens of a mailbox are kept.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file of a mailbox beside a database: `mailsonde.db` has `mailsonde.NAME.token`.
    pub fn beside(database: &Path, mailbox: &str) -> Self {
        Self { path: database.with_extension(format!("{mailbox}.token")) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the tokens; `None` if there are none yet.
    pub fn load(&self) -> Result<Option<Tokens>, OAuthError> {
        let mut text = String::new();
        match File::open(&self.path) {
            Ok(file) => file.take(limits::OAUTH_ANSWER_BYTES).read_to_string(&mut text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(&error)),
        }
        .map_err(|error| self.fault(&error))?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|_| self.fault(&"not a token file; remove it and sign in again"))?;
        let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Some(Tokens {
            access_token: field("access_token").unwrap_or_default(),
            expires_at: Timestamp::from_seconds(value.get("expires_at").and_then(Value::as_i64).unwrap_or(0)),
            refresh_token: field("refresh_token"),
        }))
    }

    /// Writes the tokens whole or not at all.
    pub fn save(&self, tokens: &Tokens) -> Result<(), OAuthError> {
        let value = json!({
            "access_token": tokens.access_token,
            "expires_at": tokens.expires_at.seconds(),
            "refresh_token": tokens.refresh_token,
        });
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let written = || -> io::Result<()> {
            let draft = tempfile::Builder::new().prefix(".mailsonde-token-").make_in(folder, |path| {
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
            })?;
            draft.as_file().write_all(format!("{value}\n").as_bytes())?;
            draft.as_file().sync_all()?;
            draft.persist(&self.path)?;
            File::open(folder)?.sync_all()
        };
        written().map_err(|error| self.fault(&error))
    }

    /// An error of this file.
    fn fault(&self, cause: &dyn std::fmt::Display) -> OAuthError {
        OAuthError::File { path: self.path.display().to_string(), cause: cause.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn tokens_are_kept_privately() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::beside(&folder.path().join("m.db"), "a.b");
        assert_eq!(file.load().unwrap(), None);
        let tokens = Tokens {
            access_token: "secret-a".to_owned(),
            expires_at: Timestamp::from_seconds(1_800_000_000),
            refresh_token: Some("secret-r".to_owned()),
        };
        file.save(&tokens).unwrap();
        file.save(&tokens).unwrap();
        assert_eq!(file.load().unwrap(), Some(tokens.clone()));
        assert_eq!(std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!format!("{tokens:?}").contains("secret"));
        std::fs::write(file.path(), "junk").unwrap();
        assert!(file.load().unwrap_err().to_string().contains("sign in again"));
    }
}
