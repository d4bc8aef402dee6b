//! What a process has spent and holds, as the kernel counts it: other programs on the machine do
//! not.

use std::fs;

/// Processor time of this process and all its threads, in seconds; NaN where it cannot be read
/// (only Linux tells).
pub(crate) fn cpu_seconds() -> f64 {
    // Nanoseconds of every thread that is alive.
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    let sum = nanoseconds.sum::<f64>();
    if sum > 0.0 { 1e-9 * sum } else { f64::NAN }
}

/// Memory in use (`VmRSS`) or the most so far (`VmHWM`), in MB; NaN where it cannot be read.
pub(crate) fn memory_mb(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0 / 1e6)
}
