//! A secret: the configuration says where it is, never what it is.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use crate::limits;

/// Where a secret comes from. Printing it shows the place, never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a command prints.
    Command(Vec<String>),
}

/// A secret in memory: `Debug` and `Display` never show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

/// Why a secret cannot be had. All of them are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or holds something other than text.
    #[error("environment variable `{0}` is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("secret file {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// The command cannot be run or failed.
    #[error("secret command `{command}`: {cause}")]
    Command {
        /// The program.
        command: String,
        /// The cause.
        cause: String,
    },
    /// There is no text in the first line.
    #[error("{0} gives an empty secret")]
    Empty(String),
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(hidden)")
    }
}

impl SecretText {
    /// The secret itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    /// The place: `environment variable X`, `file /p`, `command c`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Command(words) => write!(f, "command `{}`", words.first().map_or("", String::as_str)),
        }
    }
}

impl Secret {
    /// Fetches the secret: the first line, without its line end. Blocks while a command runs, at most
    /// [`limits::SECRET_COMMAND_TIMEOUT`].
    ///
    /// Errors: [`SecretError`].
    pub fn read(&self) -> Result<SecretText, SecretError> {
        let text = self.read_head()?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(SecretText(line.to_owned()))
    }

    /// Fetches all lines of the secret, for keys in PEM form; at most [`limits::SECRET_BYTES`]. Blocks as
    /// [`Secret::read`] does.
    ///
    /// Errors: [`SecretError`].
    pub fn read_whole(&self) -> Result<SecretText, SecretError> {
        let text = self.read_head()?;
        if text.trim().is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(SecretText(text))
    }

    /// Fetches the text from its place.
    fn read_head(&self) -> Result<String, SecretError> {
        match self {
            Self::Env(name) => std::env::var(name).map_err(|_| SecretError::NotSet(name.clone())),
            Self::File(path) => {
                read_file(path).map_err(|cause| SecretError::File { path: path.clone(), cause })
            }
            Self::Command(words) => run(words),
        }
    }
}

/// Reads the head of a file, at most [`limits::SECRET_BYTES`].
fn read_file(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(limits::SECRET_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Runs a command without a shell and returns the head of what it prints.
fn run(words: &[String]) -> Result<String, SecretError> {
    let fault =
        |cause: String| SecretError::Command { command: words.first().cloned().unwrap_or_default(), cause };
    let [program, arguments @ ..] = words else { return Err(fault("no program".to_owned())) };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|cause| fault(cause.to_string()))?;
    let Some(stdout) = child.stdout.take() else { return Err(fault("no output".to_owned())) };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let result = stdout.take(limits::SECRET_BYTES).read_to_string(&mut text).map(|_| text);
        // Nobody listens any more if the time was up.
        let _ = sender.send(result);
    });
    let outcome = receiver.recv_timeout(limits::SECRET_COMMAND_TIMEOUT);
    if outcome.is_err() {
        // The command hangs: end it, so that it leaves no zombie; it may have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|cause| fault(cause.to_string()))?;
    let text = match outcome {
        Ok(text) => text.map_err(|cause| fault(cause.to_string()))?,
        Err(_) => {
            let seconds = limits::SECRET_COMMAND_TIMEOUT.as_secs();
            return Err(fault(format!("no answer in {seconds} s")));
        }
    };
    if !status.success() {
        return Err(fault(status.to_string()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_files_and_commands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hush\r\nsecond line\n").unwrap();
        let secret = Secret::File(path.clone()).read().unwrap();
        assert_eq!(secret.reveal(), "hush");
        assert!(!format!("{secret:?}").contains("hush"));
        let command = |words: &[&str]| Secret::Command(words.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(command(&["printf", "hush\\nmore"]).read().unwrap().reveal(), "hush");
        assert!(command(&["false"]).read().is_err());
        assert!(command(&["/nonexistent/program"]).read().is_err());
        assert!(Secret::File(folder.path().join("absent")).read().is_err());
        assert!(Secret::Env("MAILSONDE_TEST_NOT_SET".to_owned()).read().is_err());
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(Secret::File(path).read(), Err(SecretError::Empty(_))));
    }
}
