//! Programs of the system that the harness calls: `ip`, `mount`, `losetup`, `strace`, …

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a program to its end and returns what it wrote; its own words are in the error if it failed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let told = |why: &str| io::Error::other(format!("{program} {}: {why}", arguments.join(" ")));
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| told(&error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(told(&format!("{} ({})", words.trim(), output.status)))
}

/// A path as an argument of a program.
pub(crate) fn argument(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other(format!("{} is not UTF-8", path.display())))
}

/// Where a program is, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    // An unprivileged shell's PATH often lacks the last two.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_told_in_its_own_words() {
        assert_eq!(run("sh", &["-c", "echo out"]).unwrap(), "out");
        let error = run("sh", &["-c", "echo no luck >&2; exit 3"]).unwrap_err().to_string();
        assert!(error.contains("no luck") && error.contains('3'), "{error}");
        assert!(find("sh").is_some() && find("no-such-program").is_none());
    }
}
