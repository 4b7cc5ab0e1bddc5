//! Lines of a file or of standard input, without a copy where they lie whole in the buffer.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use std::path::Path;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Bytes read at once.
const BUFFER_BYTES: usize = 1024 * 1024;
/// A longer line is no line: no topic takes a record of this size.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A source of lines: [`Lines::fill`], then [`Lines::next`] until it gives nothing, and again.
pub(super) struct Lines {
    reader: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    /// The name, for messages.
    name: String,
    /// All bytes of a file.
    bytes: Option<u64>,
    /// The beginning of a line that goes on in the next read.
    begun: Vec<u8>,
    /// Bytes at the front of the buffer that were given out.
    given: usize,
    /// Whether `begun` was given out.
    begun_given: bool,
    number: u64,
    position: u64,
}

impl Lines {
    /// Of a file, or of standard input.
    pub(super) async fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::new(Box::new(tokio::io::stdin()), "standard input".to_owned(), None));
        };
        let failure = |error| Failure::file(path, &error);
        let file = File::open(path).await.map_err(failure)?;
        let metadata = file.metadata().await.map_err(failure)?;
        if metadata.is_dir() {
            return Err(Failure::new(Exit::Failed, format!("{}: is a directory", path.display())));
        }
        // A pipe or a device has no length.
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self::new(Box::new(file), path.display().to_string(), bytes))
    }

    fn new(source: Box<dyn AsyncRead + Send + Unpin>, name: String, bytes: Option<u64>) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, source),
            name,
            bytes,
            begun: Vec::new(),
            given: 0,
            begun_given: false,
            number: 0,
            position: 0,
        }
    }

    /// How many bytes there are in all, if it is a file.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Waits for bytes; `false` at the end. May be dropped and called again: nothing is lost.
    pub(super) async fn fill(&mut self) -> Result<bool, Failure> {
        match self.reader.fill_buf().await {
            Ok(bytes) => Ok(!bytes.is_empty()),
            Err(error) => Err(Failure::file(Path::new(&self.name), &error)),
        }
    }

    /// The next line that is whole, with its number from 1; takes everything else that was read.
    pub(super) fn next(&mut self) -> Option<(u64, &[u8])> {
        self.forget_given();
        let Some(end) = self.reader.buffer().iter().position(|&byte| byte == b'\n') else {
            let rest = self.reader.buffer().len();
            self.begin(rest);
            self.consume(rest);
            return None;
        };
        self.number += 1;
        self.given = end + 1;
        if self.begun.is_empty() {
            return Some((self.number, self.reader.buffer().get(..end)?));
        }
        self.begin(end);
        self.begun_given = true;
        Some((self.number, &self.begun))
    }

    /// At the end: the line that has no line end, if there is one.
    pub(super) fn last(&mut self) -> Option<(u64, &[u8])> {
        self.forget_given();
        if self.begun.is_empty() {
            return None;
        }
        self.number += 1;
        self.begun_given = true;
        Some((self.number, &self.begun))
    }

    /// A line beyond the limit is cut: it is refused by the broker anyway, and memory stays bounded.
    fn begin(&mut self, bytes: usize) {
        let room = LINE_BYTES_MAX.saturating_sub(self.begun.len());
        let part = self.reader.buffer().get(..bytes.min(room)).unwrap_or_default();
        self.begun.extend_from_slice(part);
    }

    fn forget_given(&mut self) {
        self.consume(self.given);
        self.given = 0;
        if std::mem::take(&mut self.begun_given) {
            self.begun.clear();
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.position += u64::try_from(bytes).expect("a usize has 64 bits at most");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(parts: &[&'static str]) -> Vec<(u64, String)> {
        let mut source = tokio_test_reader(parts);
        let mut lines = Vec::new();
        loop {
            let more = source.fill().await.unwrap();
            while let Some((number, line)) = source.next() {
                lines.push((number, String::from_utf8(line.to_vec()).unwrap()));
            }
            if !more {
                break;
            }
        }
        if let Some((number, line)) = source.last() {
            lines.push((number, String::from_utf8(line.to_vec()).unwrap()));
        }
        lines
    }

    /// A source that gives each part by a read of its own.
    fn tokio_test_reader(parts: &[&'static str]) -> Lines {
        let parts: Vec<_> =
            parts.iter().map(|&part| std::io::Result::Ok(part.as_bytes())).collect();
        let reader = tokio_util::io::StreamReader::new(futures::stream::iter(parts));
        Lines::new(Box::new(reader), "test".to_owned(), None)
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_were_read() {
        let expected =
            [(1, "one".to_owned()), (2, String::new()), (3, "two".to_owned()), (4, "x".to_owned())];
        for parts in [
            &["one\n\ntwo\nx\n"][..],
            &["one\n\ntwo\nx"],
            &["o", "ne", "\n", "\ntw", "o\nx"],
            &["one\n", "\n", "two\n", "x", "\n"],
        ] {
            assert_eq!(all(parts).await, expected, "{parts:?}");
        }
        assert_eq!(all(&[]).await, []);
    }
}
