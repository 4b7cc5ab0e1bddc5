//! What a process has used, as the kernel counts it.

use std::time::Duration;

/// Ticks a second of the times in `/proc`: fixed by Linux's interface to programs.
const USER_HZ: u64 = 100;

/// User and system time of a process so far; of those that are gone, none.
pub fn cpu(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name may hold anything; what follows its last parenthesis are numbers.
    let Some((_, numbers)) = stat.rsplit_once(')') else { return Duration::ZERO };
    let ticks: u64 = numbers.split_whitespace().skip(11).take(2).map(number).sum();
    Duration::from_millis(ticks * 1000 / USER_HZ)
}

/// Bytes of memory that it has now.
pub fn resident_bytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).map_or(0, number) * 1024
}

/// How many threads it has now.
pub fn threads(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count)
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}
