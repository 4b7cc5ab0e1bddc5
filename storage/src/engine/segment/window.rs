//! Reads a file forward through a buffer, so that small frames cost no system call each and large
//! payloads that are skipped are not read.

use super::frame::{in_memory, length};
use crate::disk::DiskFile;
use std::io;

/// What is read where the last request did not continue the one before.
const SKIPPING_BYTES: usize = 4 << 10;

pub(super) struct Window<'a> {
    file: &'a dyn DiskFile,
    /// What is read at once.
    ahead: usize,
    at: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn DiskFile, ahead: usize) -> Self {
        Self { file, ahead, at: 0, bytes: Vec::new() }
    }

    /// The bytes from `at` on, `len` of them; fewer at the end of the file.
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let end = self.at + length(self.bytes.len());
        if at < self.at || at + length(len) > end {
            let skips = !self.bytes.is_empty() && at > end;
            let wanted = len.max(if skips { SKIPPING_BYTES } else { self.ahead });
            self.bytes.resize(wanted, 0);
            let read = self.file.read_at(at, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.at = at;
        }
        let start = in_memory(at - self.at);
        let stop = self.bytes.len().min(start + len);
        Ok(self.bytes.get(start..stop).unwrap_or_default())
    }
}
