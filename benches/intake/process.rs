//! What the system says of a process: CPU and memory.

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets this process and its children have as many files as the system allows: a session is one.
pub(crate) fn limit_of_files() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("limit of open files")
}

/// Ticks of a second in /proc: 100 on every Linux, whatever the kernel's own clock.
const TICKS: f64 = 100.0;

/// CPU seconds of a process, user and system, all threads, those that ended among them.
pub(crate) fn cpu_seconds(id: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name in parentheses may hold blanks.
    let (_, rest) = text.rsplit_once(')').context("stat")?;
    let field = |at: usize| -> Result<f64> {
        Ok(rest.split_ascii_whitespace().nth(at).context("stat field")?.parse::<f64>()?)
    };
    // Fields 14 and 15 of the line, 12 and 13 behind the name, in ticks.
    Ok((field(11)? + field(12)?) / TICKS)
}

/// Resident bytes of a process.
pub(crate) fn resident_bytes(id: u32) -> Result<u64> {
    status_bytes(id, "VmRSS:")
}

/// A line of what the system says of a process, bytes.
pub(crate) fn status_bytes(id: u32, name: &'static str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
    let kib: u64 = line.split_ascii_whitespace().next().context(name)?.parse()?;
    Ok(kib * 1_024)
}

/// The machine in a line.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores,{}", model.trim_start_matches(['\t', ':']))
}
