//! What a process has used, as the kernel counts it (proc(5)). Of a process that is gone: nothing.

use std::fs;
use std::time::Duration;

/// Ticks a second of the times in `/proc`: fixed by Linux's interface to programs.
const USER_HZ: u64 = 100;

/// User and system time so far.
pub(super) fn cpu(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name may hold anything; what follows its last parenthesis are numbers.
    let Some((_, numbers)) = stat.rsplit_once(')') else { return Duration::ZERO };
    let ticks: u64 = numbers.split_whitespace().skip(11).take(2).map(number).sum();
    Duration::from_millis(ticks * 1000 / USER_HZ)
}

/// Bytes that it caused to be written to disks so far.
pub(super) fn written_bytes(id: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{id}/io")).unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).map_or(0, number)
}

/// Bytes of memory that it has now.
pub(super) fn resident_bytes(id: u32) -> u64 {
    status(id, "VmRSS:")
}

/// The most bytes of memory that it ever had.
pub(super) fn resident_bytes_max(id: u32) -> u64 {
    status(id, "VmHWM:")
}

/// How many threads it has now.
pub(super) fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count)
}

fn status(id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()).map_or(0, number) * 1024
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let id = std::process::id();
        // Not compared with one another: other tests of this process come and go between two looks.
        assert!(resident_bytes(id) > 0 && resident_bytes_max(id) > 0);
        assert!(threads(id) > 0);
        assert_eq!((cpu(u32::MAX), written_bytes(u32::MAX)), (Duration::ZERO, 0));
    }
}
