//! What a person sees while it runs: one line per strike, and a pulse.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use crate::recorder::Recorder;

/// Between two pulses.
pub(super) const PULSE: Duration = Duration::from_secs(10);

/// A line on standard error, which may be gone.
pub(super) fn say(recorder: &Recorder, line: impl Display) {
    let seconds = recorder.elapsed().as_secs();
    drop(writeln!(io::stderr(), "[{seconds:>5}s] {line}"));
}

/// How the clients do.
pub(super) fn pulse(recorder: &Recorder) {
    let tally = recorder.tally();
    let (ok, fail, unknown) = (tally.ok, tally.fail, tally.unknown);
    say(recorder, format_args!("sends: {ok} ok, {fail} not appended, {unknown} unknown"));
}
