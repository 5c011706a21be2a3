//! Exit codes, and errors as a user reads them: what, where, how to mend it.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::config::fault::nearest;
use crate::config::{ConfigError, Fault};
use crate::render::escape;
use crate::smtp::sink::SinkError;
use crate::store::StoreError;

/// How a command ended, if it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: nothing to complain of.
    Fine,
    /// 1: it ran and found something at or above the asked level.
    Findings,
    /// The exit code of a monitoring plug-in, which has a meaning of its own: of `check` alone.
    Plugin(u8),
}

impl Exit {
    /// Findings if `found`.
    pub const fn findings_if(found: bool) -> Self {
        if found { Self::Findings } else { Self::Fine }
    }
}

/// Why a command did not run.
#[derive(Debug)]
pub enum Failure {
    /// 2: the arguments make no sense.
    Usage(Problem),
    /// 2: the configuration has faults.
    Config(Vec<Fault>),
    /// 3: it could not run.
    Run(Problem),
    /// 0: whoever read the output closed it; nobody is there to be told.
    ClosedPipe,
}

/// One problem in words.
#[derive(Debug)]
pub struct Problem {
    /// What is wrong, with the file, field or value.
    pub message: String,
    /// How to mend it.
    pub hints: Vec<String>,
}

impl Failure {
    /// Wrong use.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage(Problem { message: message.into(), hints: vec![hint.into()] })
    }

    /// Could not run.
    pub fn run(message: impl Display) -> Self {
        Self::Run(Problem { message: message.to_string(), hints: Vec::new() })
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Usage(problem) | Self::Run(problem) = &mut self {
            problem.hints.push(hint.into());
        }
        self
    }

    /// The exit code.
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Run(_) => 3,
            Self::ClosedPipe => 0,
        }
    }

    /// The problem and its first hint in one line, for outputs that have only one.
    pub fn in_one_line(&self) -> String {
        let of = |message: &str, hint: Option<&str>| match hint {
            Some(hint) => format!("{message}; hint: {hint}"),
            None => message.to_owned(),
        };
        match self {
            Self::Usage(problem) | Self::Run(problem) => {
                of(&problem.message, problem.hints.first().map(String::as_str))
            }
            Self::Config(faults) => {
                faults.first().map_or_else(String::new, |fault| of(&fault.to_string(), fault.hint.as_deref()))
            }
            Self::ClosedPipe => "the output was closed".to_owned(),
        }
    }

    /// Writes `error:` and `hint:` lines.
    fn write(&self, err: &mut dyn Write) -> std::io::Result<()> {
        match self {
            Self::Usage(problem) | Self::Run(problem) => {
                write_problem(err, &problem.message, problem.hints.iter().map(String::as_str))
            }
            Self::Config(faults) => faults
                .iter()
                .try_for_each(|fault| write_problem(err, &fault.to_string(), fault.hint.as_deref())),
            Self::ClosedPipe => Ok(()),
        }
    }
}

/// Writes one problem: lines stay lines, everything else from outside is made harmless.
fn write_problem<'h>(
    err: &mut dyn Write,
    message: &str,
    hints: impl IntoIterator<Item = &'h str>,
) -> std::io::Result<()> {
    for (at, line) in message.lines().enumerate() {
        let start = if at == 0 { "error: " } else { "  " };
        writeln!(err, "{start}{}", escape::terminal(line))?;
    }
    hints.into_iter().try_for_each(|hint| writeln!(err, "hint: {}", escape::terminal(hint)))
}

/// Turns the end of a command into the exit code of the process and says on `err` why it failed.
pub fn conclude(outcome: Result<Exit, Failure>, err: &mut dyn Write) -> ExitCode {
    match outcome {
        Ok(Exit::Fine) => ExitCode::SUCCESS,
        Ok(Exit::Findings) => ExitCode::from(1),
        Ok(Exit::Plugin(code)) => ExitCode::from(code),
        Err(failure) => {
            // With standard error closed the code alone must do.
            let _ = failure.write(err);
            ExitCode::from(failure.code())
        }
    }
}

impl From<std::io::Error> for Failure {
    /// Only writes of answers are converted without a context of their own.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::run(format!("cannot write the answer: {error}"))
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Faults(faults) => Self::Config(faults),
            ConfigError::Places { .. } => Self::usage(
                error.to_string(),
                "a country file is GeoLite2-Country.mmdb, a network file GeoLite2-ASN.mmdb or the like; take the key out to go \
                 without",
            ),
            other => Self::usage(
                other.to_string(),
                "name another file with --config, or see `mailsonde config example`",
            ),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::run(error)
    }
}

impl From<anyhow::Error> for Failure {
    /// The chain of causes in one line, each said once, with a hint where one is known.
    fn from(error: anyhow::Error) -> Self {
        let cause = error.downcast_ref::<std::io::Error>();
        if cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe) {
            return Self::ClosedPipe;
        }
        let mut message = String::new();
        for cause in error.chain() {
            let text = cause.to_string();
            if message.is_empty() {
                message = text;
            } else if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
        }
        let failure = Self::run(message);
        match error.downcast_ref::<SinkError>() {
            Some(SinkError::Bind { source, .. }) => match source.kind() {
                ErrorKind::AddrInUse => {
                    failure.hint("another program listens there: stop it, or change the [[listener]]")
                }
                ErrorKind::PermissionDenied => failure.hint(
                    "ports below 1024 need a right: contrib/mailsonde.service gives it, or start as root with `user`",
                ),
                _ => failure.hint("change the `address` of the [[listener]]"),
            },
            _ => failure,
        }
    }
}

/// Wrong use: a word that is not in a list.
pub fn unknown_word<'w>(
    option: &str,
    text: &str,
    words: impl IntoIterator<Item = &'w str> + Clone,
) -> Failure {
    let all = words.clone().into_iter().collect::<Vec<_>>().join(", ");
    let hint = match nearest(text, words) {
        Some(near) => format!("did you mean `{near}`? One of: {all}"),
        None => format!("one of: {all}"),
    };
    Failure::usage(format!("{option}: no such word: {text:?}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_words() {
        let text = |failure: Failure| {
            let mut out = Vec::new();
            failure.write(&mut out).unwrap();
            (failure.code(), String::from_utf8(out).unwrap())
        };
        let usage = Failure::usage("no such column: \u{1b}[31m`x`", "one of: a, b");
        assert_eq!(text(usage), (2, "error: no such column: \\x1b[31m`x`\nhint: one of: a, b\n".to_owned()));
        let run = Failure::run("first\nsecond").hint("mend");
        assert_eq!(text(run), (3, "error: first\n  second\nhint: mend\n".to_owned()));
        let pipe = Failure::from(std::io::Error::from(ErrorKind::BrokenPipe));
        assert_eq!(text(pipe), (0, String::new()));
    }
}
