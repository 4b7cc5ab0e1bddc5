//! Streams a history with one line in memory.
//!
//! | the last line | tail |
//! |---|---|
//! | ends with a newline and is an event | [`Tail::Whole`] |
//! | has no newline, or is cut in the middle of its JSON | [`Tail::Torn`]: told, and left out |
//!
//! Anything wrong earlier is an error with its line number: such a file was not written by a [`Writer`].
//!
//! [`Writer`]: super::Writer

use std::io::{self, BufRead};

use super::line::from_line;
use super::{Event, Header};

/// The longest line that is read; a longer one is no history.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a history ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// With a whole line.
    #[default]
    Whole,
    /// In the middle of a line; the run was cut off while it wrote.
    Torn {
        /// How many bytes were left out.
        bytes: u64,
    },
}

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The file cannot be read.
    #[error("line {line}: {source}")]
    Io {
        /// Counted from 1.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A line before the last is no event.
    #[error("line {line}: {source}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The first line is of another format.
    #[error("this history has format {0}, and this program reads {max}", max = super::header::FORMAT)]
    Format(u32),
    /// Numbers or times that do not ascend.
    #[error("line {line}: event {index} at {time} ns follows event {last_index} at {last_time} ns")]
    Order {
        /// Counted from 1.
        line: u64,
        /// This event's number.
        index: u64,
        /// This event's time.
        time: u64,
        /// The number before.
        last_index: u64,
        /// The time before.
        last_time: u64,
    },
    /// A line beyond any reason.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    Long {
        /// Counted from 1.
        line: u64,
    },
}

/// An iterator over a history's events.
pub struct Reader<R> {
    input: R,
    header: Header,
    buffer: Vec<u8>,
    line: u64,
    last: Option<(u64, u64)>,
    tail: Tail,
    done: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub fn open(input: R) -> Result<Reader<R>, ReaderError> {
        let mut reader = Reader {
            input,
            header: Header::default(),
            buffer: Vec::new(),
            line: 0,
            last: None,
            tail: Tail::Whole,
            done: false,
        };
        reader.fill()?;
        reader.header = serde_json::from_slice(&reader.buffer)
            .map_err(|source| ReaderError::Line { line: 1, source })?;
        if reader.header.history != super::header::FORMAT {
            return Err(ReaderError::Format(reader.header.history));
        }
        Ok(reader)
    }

    /// What the first line said.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the history ended; `Whole` until the end has been read.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Reads one line into the buffer; false at the end.
    fn fill(&mut self) -> Result<bool, ReaderError> {
        self.buffer.clear();
        self.line += 1;
        let line = self.line;
        let read = io::Read::take(&mut self.input, LINE_BYTES_MAX)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| ReaderError::Io { line, source })?;
        if u64::try_from(read).is_ok_and(|read| read == LINE_BYTES_MAX) {
            return Err(ReaderError::Long { line });
        }
        Ok(read > 0)
    }

    fn torn(&mut self) -> Option<Result<Event, ReaderError>> {
        self.done = true;
        self.tail = Tail::Torn { bytes: u64::try_from(self.buffer.len()).unwrap_or(u64::MAX) };
        None
    }

    fn at_end(&mut self) -> bool {
        self.input.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, ReaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.fill() {
            Ok(true) => {}
            Ok(false) => {
                self.done = true;
                return None;
            }
            Err(error) => {
                self.done = true;
                return Some(Err(error));
            }
        }
        // Without its newline a line may be the beginning of a longer one that reads as well: `1` of `12`.
        if self.buffer.last() != Some(&b'\n') {
            return self.torn();
        }
        let parsed =
            std::str::from_utf8(&self.buffer).map_err(serde::de::Error::custom).and_then(from_line);
        let event = match parsed {
            Ok(event) => event,
            // A disk that lost power may leave a last line of the right length and the wrong bytes.
            Err(_) if self.at_end() => return self.torn(),
            Err(source) => {
                self.done = true;
                return Some(Err(ReaderError::Line { line: self.line, source }));
            }
        };
        let (line, index, time) = (self.line, event.index, event.time);
        let before = self.last.filter(|(last, at)| index <= *last || time < *at);
        if let Some((last_index, last_time)) = before {
            self.done = true;
            return Some(Err(ReaderError::Order { line, index, time, last_index, last_time }));
        }
        self.last = Some((event.index, event.time));
        Some(Ok(event))
    }
}
