//! Writes a history: the header, then one line per event.

use std::io::{self, Write};

use super::line::to_line;
use super::{Event, Header};

/// Writes a history to `out`, which should be buffered. Nothing is on a disk before the caller has flushed
/// and synced it: [`Writer::finish`] gives `out` back for that.
pub struct Writer<W> {
    out: W,
    next: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a history with its header.
    pub fn begin(mut out: W, header: &Header) -> io::Result<Writer<W>> {
        serde_json::to_writer(&mut out, header)?;
        out.write_all(b"\n")?;
        Ok(Writer { out, next: 0 })
    }

    /// Appends an event and gives it the next index.
    pub fn append(&mut self, event: &mut Event) -> io::Result<()> {
        event.index = self.next;
        self.next += 1;
        let mut line = to_line(event)?;
        line.push(b'\n');
        self.out.write_all(&line)
    }

    /// Ends it; a history is whole without any mark.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
