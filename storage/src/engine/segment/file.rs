//! A segment's open file, as readers on any thread see it.
//!
//! Appends never touch what the published extent covers, so reads need no lock against them. A cut
//! does: it waits for the reads that are under way, and later reads see the shorter extent.

use super::extent::Extent;
use super::frame::{BadHead, HEAD_BYTES, Head, Seed, in_memory, length};
use super::header::HEADER_BYTES;
use super::window::Window;
use crate::batch::HEADER_BYTES as BATCH_HEADER_BYTES;
use crate::disk::DiskFile;
use crate::engine::SegmentId;
use crate::{EntryKind, Index, StoredEntry, planted};
use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

/// Read at once while hopping from head to head.
const HOP_BYTES: usize = 64 << 10;
/// Read beyond the payload bytes asked for, so that heads between small payloads fit in.
const READ_SLACK_BYTES: u64 = 16 << 10;

pub(super) struct SegmentFile {
    pub(super) id: SegmentId,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) seed: Seed,
    extent: RwLock<Extent>,
    cutting: RwLock<()>,
    poisoned: AtomicBool,
}

impl SegmentFile {
    pub(super) fn new(
        id: SegmentId,
        path: PathBuf,
        file: Arc<dyn DiskFile>,
        seed: Seed,
        extent: Extent,
    ) -> Self {
        Self {
            id,
            path,
            file,
            seed,
            extent: RwLock::new(extent),
            cutting: RwLock::new(()),
            poisoned: AtomicBool::new(false),
        }
    }

    /// Looks at the extent, briefly.
    pub(super) fn with_extent<T>(&self, look: impl FnOnce(&Extent) -> T) -> T {
        look(&self.extent.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes a change of the extent.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Extent)) {
        change(&mut self.extent.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Keeps readers out for the time of a cut.
    pub(super) fn keep_readers_out(&self) -> RwLockWriteGuard<'_, ()> {
        self.cutting.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failed write or sync nobody knows what is on disk: no more of either until recovery.
    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    pub(super) fn check_health(&self) -> io::Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            let text = format!("{}: a write or sync failed; recover it first", self.path.display());
            return Err(io::Error::other(text));
        }
        Ok(())
    }

    /// `fdatasync`, never tried again after it failed.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.check_health()?;
        self.file.sync_data().inspect_err(|_| self.poison())
    }

    pub(super) fn read(&self, from: Index, bytes_max: usize) -> io::Result<Vec<StoredEntry>> {
        let _no_cut = self.cutting.read().unwrap_or_else(PoisonError::into_inner);
        let from = from.max(self.id.first);
        let Some(at) = self.locate(from)? else { return Ok(Vec::new()) };
        let end = self.with_extent(|extent| extent.end);
        let mut reading = Reading { at, next: from, left: bytes_max, entries: Vec::new() };
        while reading.at < end && self.read_chunk(&mut reading, end)? {}
        Ok(reading.entries)
    }

    /// Reads a piece of the file into one allocation and slices its payloads out. Whether to go on.
    fn read_chunk(&self, reading: &mut Reading, end: u64) -> io::Result<bool> {
        let rest = end - reading.at;
        let wanted = length(reading.left).saturating_add(READ_SLACK_BYTES);
        let mut chunk = self.bytes_at(reading.at, in_memory(rest.min(wanted)))?;
        let mut start = 0;
        while let Some(head_bytes) = chunk.get(start..start + HEAD_BYTES) {
            let head = self.expect_head(head_bytes, reading.at, reading.next)?;
            let payload_len = in_memory(u64::from(head.header.payload_len));
            if !reading.entries.is_empty() && payload_len > reading.left {
                return Ok(false);
            }
            if reading.at + head.frame_bytes() > end {
                return Err(self.bad(reading.at, "a frame longer than the segment"));
            }
            let payload_at = start + HEAD_BYTES;
            if payload_at + payload_len > chunk.len() {
                if start > 0 {
                    return Ok(true);
                }
                // A frame larger than what was asked for.
                chunk = self.bytes_at(reading.at, in_memory(head.frame_bytes()))?;
                if chunk.len() < payload_at + payload_len {
                    return Err(self.bad(reading.at, "the file ends within the frame"));
                }
                continue;
            }
            let payload = chunk.slice(payload_at..payload_at + payload_len);
            self.check_payload(&head, &payload, reading.at)?;
            reading.entries.push(StoredEntry { header: head.header, payload });
            reading.left = reading.left.saturating_sub(payload_len);
            reading.at += head.frame_bytes();
            reading.next = reading.next.next();
            start += in_memory(head.frame_bytes());
            if reading.left == 0 {
                return Ok(false);
            }
        }
        if start == 0 {
            return Err(self.bad(reading.at, "the file ends within the head"));
        }
        Ok(true)
    }

    pub(super) fn headers(&self, from: Index, count_max: usize) -> io::Result<Vec<StoredEntry>> {
        let _no_cut = self.cutting.read().unwrap_or_else(PoisonError::into_inner);
        let mut index = from.max(self.id.first);
        let Some(mut at) = self.locate(index)? else { return Ok(Vec::new()) };
        let end = self.with_extent(|extent| extent.end);
        let mut window = Window::new(&*self.file, HOP_BYTES);
        let mut entries = Vec::new();
        while at < end && entries.len() < count_max {
            let head = self.head_at(&mut window, at, index)?;
            let payload = match head.header.kind {
                EntryKind::Data => {
                    let len = in_memory(u64::from(head.header.payload_len)).min(BATCH_HEADER_BYTES);
                    Bytes::copy_from_slice(window.bytes(at + length(HEAD_BYTES), len)?)
                }
                EntryKind::Blank | EntryKind::Membership | EntryKind::Trim | EntryKind::Command => {
                    let len = in_memory(u64::from(head.header.payload_len));
                    let payload = window.bytes(at + length(HEAD_BYTES), len)?;
                    self.check_payload(&head, payload, at)?;
                    Bytes::copy_from_slice(payload)
                }
            };
            entries.push(StoredEntry { header: head.header, payload });
            at += head.frame_bytes();
            index = index.next();
        }
        Ok(entries)
    }

    /// The byte where an entry's frame begins; `None` if the segment does not have it.
    pub(super) fn locate(&self, index: Index) -> io::Result<Option<u64>> {
        let Some(row) = self.with_extent(|extent| extent.row(index)) else { return Ok(None) };
        let (mut at, mut here) = (row.at, row.index);
        let mut window = Window::new(&*self.file, HOP_BYTES);
        while here < index {
            at += self.head_at(&mut window, at, here)?.frame_bytes();
            here = here.next();
        }
        Ok(Some(at))
    }

    fn head_at(&self, window: &mut Window<'_>, at: u64, index: Index) -> io::Result<Head> {
        let bytes = window.bytes(at, HEAD_BYTES)?;
        if bytes.len() < HEAD_BYTES {
            return Err(self.bad(at, "the file ends within the head"));
        }
        self.expect_head(bytes, at, index)
    }

    fn expect_head(&self, bytes: &[u8], at: u64, index: Index) -> io::Result<Head> {
        match Head::decode(bytes, self.seed) {
            Ok(head) if head.header.position.index == index => Ok(head),
            Ok(head) => {
                let found = head.header.position.index;
                Err(self.bad(at, &format!("entry {found} where entry {index} should be")))
            }
            Err(BadHead::Crc | BadHead::Zero) => Err(self.bad(at, "crc")),
        }
    }

    fn check_payload(&self, head: &Head, payload: &[u8], at: u64) -> io::Result<()> {
        let whole = length(payload.len()) == u64::from(head.header.payload_len);
        let is_right =
            planted!(ChecksumUnchecked) || self.seed.checksum(payload) == head.payload_crc;
        if whole && is_right {
            return Ok(());
        }
        Err(self.bad(at, "crc"))
    }

    fn bytes_at(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; len];
        let read = self.file.read_at(at, &mut buffer)?;
        buffer.truncate(read);
        Ok(buffer.into())
    }

    pub(super) fn bad(&self, at: u64, why: &str) -> io::Error {
        let text = format!("{}: frame at byte {at}: {why}", self.path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

/// A read under way.
struct Reading {
    at: u64,
    next: Index,
    /// Payload bytes that may still be taken.
    left: usize,
    entries: Vec<StoredEntry>,
}

/// Hops over the heads of a file: the extent up to the first place that is not the next frame.
pub(super) fn hop(file: &dyn DiskFile, seed: Seed, first: Index) -> io::Result<Extent> {
    let len = file.len()?;
    let mut extent = Extent::empty(first);
    let mut window = Window::new(file, HOP_BYTES);
    while extent.end.max(HEADER_BYTES) + length(HEAD_BYTES) <= len {
        let bytes = window.bytes(extent.end, HEAD_BYTES)?;
        if bytes.len() < HEAD_BYTES {
            break;
        }
        match Head::decode(bytes, seed) {
            Ok(head) if head.header.position.index == extent.next => {
                if extent.end + head.frame_bytes() > len {
                    break;
                }
                extent.push(head.frame_bytes());
            }
            Ok(_) | Err(BadHead::Crc | BadHead::Zero) => break,
        }
    }
    Ok(extent)
}
