//! A program run to its end: how long it took, how much CPU time, how much memory.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mailsonde::clock;

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
}

/// Runs a program to its end and says what it took. CPU time is read before the process is reaped.
pub(crate) fn measure(program: &Path, arguments: &[&OsStr]) -> Result<Figure> {
    let began = clock::instant();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let id = child.id();
    let mut peak = 0.0_f64;
    let cpu_seconds = loop {
        peak = peak.max(peak_mib(id).unwrap_or(0.0));
        if has_ended(id)? {
            break cpu_seconds(id)?;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall_seconds = began.elapsed().as_secs_f64();
    let status = child.wait()?;
    if !status.success() {
        bail!("{} ended with {status}", program.display());
    }
    Ok(Figure { wall_seconds, cpu_seconds, peak_mib: peak })
}

/// The line of /proc about a process, behind its name, which may hold blanks.
fn stat(id: u32) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("stat")?;
    Ok(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

/// True if a child has ended and was not waited for yet.
fn has_ended(id: u32) -> Result<bool> {
    Ok(stat(id)?.first().is_some_and(|state| state == "Z"))
}

/// CPU seconds, user and system, of all threads. The clock of /proc has 100 ticks a second.
fn cpu_seconds(id: u32) -> Result<f64> {
    let fields = stat(id)?;
    let field = |at: usize| -> Result<f64> { Ok(fields.get(at).context("stat field")?.parse::<f64>()?) };
    Ok((field(11)? + field(12)?) / 100.0)
}

/// Largest resident size that a running process had, MiB.
fn peak_mib(id: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.split_ascii_whitespace().next().context("VmHWM")?.parse::<f64>()? / 1_024.0)
}
