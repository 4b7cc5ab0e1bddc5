//! Entries in sled: simple, slower, and slow to return space; for small clusters.
//!
//! A frame is cut into rows of at most 4 KiB (larger values would go to files that sled never syncs):
//!
//! ```text
//!   entries    group, index, 0      head: CRC-32C of head and payload, header, claim │ payload …
//!              group, index, 1..    … payload
//!   segments   group, first index   base offset
//! ```
//!
//! Segments are virtual: a segment's entries are those from its first index to the next segment's.
//! A replacement overwrites rows, entry by entry; the rows of one entry change together or not at all.
//! sled keeps the order of writes, so a power cut leaves a prefix of them; what is missing or damaged
//! below a claim of durability is corruption.

use super::{Engine, Frame, Known, NextFrames, RecoverError, SegmentId};
use crate::batch::{HEADER_BYTES as BATCH_HEADER_BYTES, stamped_head};
use crate::database::{Database, ROW_BYTES_MAX, from_sled};
use crate::{EntryKind, GroupId, Header, Index, Offset, Position, StoredEntry, Term};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes before the payload: crc, term, kind, base offset, count, timestamp, length, claim.
const HEAD_BYTES: usize = 4 + 8 + 1 + 8 + 4 + 8 + 4 + 8;
/// What a row holds beside its key.
const PIECE_BYTES: usize = ROW_BYTES_MAX - 64;
/// Rows that one batch takes, so that sled's batch stays small.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// The engine that keeps frames in sled.
pub struct SledEngine {
    entries: sled::Tree,
    segments: sled::Tree,
    known: Mutex<Segments>,
    /// Held while entries are replaced or removed: nothing is written of what is gone.
    replacing: Mutex<()>,
    database: Database,
}

/// What is known without reading.
#[derive(Default)]
struct Segments {
    base_offsets: BTreeMap<SegmentId, Offset>,
    /// Bytes of the rows of groups that somebody asked about.
    bytes: HashMap<GroupId, u64>,
}

/// A frame as it was found.
struct Found {
    header: Header,
    payload: Bytes,
    durable: Option<Index>,
}

impl SledEngine {
    /// Opens the engine under a directory of its own.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let database = Database::open(dir)?;
        let entries = database.tree("entries")?;
        let segments = database.tree("segments")?;
        let mut base_offsets = BTreeMap::new();
        for row in &segments {
            let (key, value) = row.map_err(|error| database.named(&from_sled(error)))?;
            let (Some(segment), Some(offset)) = (segment_of(&key), number(&value)) else {
                return Err(database.named(&damaged("a segment's row of a wrong length")));
            };
            base_offsets.insert(segment, Offset::new(offset));
        }
        let known = Mutex::new(Segments { base_offsets, bytes: HashMap::new() });
        Ok(Self { entries, segments, known, replacing: Mutex::new(()), database })
    }

    /// Runs `hook` after every barrier, before it is reported: a test's place to take the picture of
    /// the directory that a power cut would leave.
    #[doc(hidden)]
    pub fn after_flush(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.database.after_flush(Box::new(hook));
    }

    fn known(&self) -> MutexGuard<'_, Segments> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_replacing(&self) -> MutexGuard<'_, ()> {
        self.replacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Overwrites an entry whose frame is another now.
    fn replace_entry(&self, segment: SegmentId, frame: &Frame) -> io::Result<()> {
        let _nothing_goes = self.lock_replacing();
        let (group, index) = (segment.group, frame.header.position.index);
        if self.end(segment)?.is_some_and(|end| index >= end) {
            let why = format!("{}: entry {index} is not in it", place(segment));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let Some(former) = self.frame(group, index, Want::Payload)? else {
            return Err(damaged(format!("{}: entry {index} is missing", place(segment))));
        };
        let stored = stamped(frame);
        if former.header == frame.header && former.payload == stored {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        let (mut written, mut removed) = (0, 0);
        let rows = rows(group, frame);
        let beyond = key(group, index, u32::try_from(rows.len()).map_err(io::Error::other)?);
        for row in self.entries.range(key(group, index, 0)..key(group, index.next(), 0)) {
            let (key, value) = row.map_err(|error| self.failed(error))?;
            removed += row_bytes(&key, &value);
            if key.as_ref() >= beyond.as_slice() {
                batch.remove(key);
            }
        }
        for (key, value) in rows {
            written += row_bytes(&key, &value);
            batch.insert(&key, value);
        }
        self.apply(batch)?;
        if let Some(bytes) = self.known().bytes.get_mut(&group) {
            *bytes = (*bytes + written).saturating_sub(removed);
        }
        Ok(())
    }

    /// The index where the next segment begins, if there is one.
    fn end(&self, segment: SegmentId) -> io::Result<Option<Index>> {
        let known = self.known();
        if !known.base_offsets.contains_key(&segment) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{}: gone", place(segment)),
            ));
        }
        let after = SegmentId { group: segment.group, first: segment.first.next() };
        let later = known.base_offsets.range(after..).next();
        Ok(later.filter(|(later, _)| later.group == segment.group).map(|(later, _)| later.first))
    }

    /// Reads a frame; `None` if its first row is not there. Its rows are read one by one: where they do
    /// not fit together because the entry was replaced in between, it is read again.
    fn frame(&self, group: GroupId, index: Index, want: Want) -> io::Result<Option<Found>> {
        loop {
            let Some(row) = self.row(group, index, 0)? else { return Ok(None) };
            let error = match self.frame_of(group, index, &row, want) {
                Ok(found) => return Ok(Some(found)),
                Err(error) => error,
            };
            if self.row(group, index, 0)?.as_ref() == Some(&row) {
                return Err(error);
            }
        }
    }

    /// The frame that begins with this row.
    fn frame_of(
        &self,
        group: GroupId,
        index: Index,
        row: &sled::IVec,
        want: Want,
    ) -> io::Result<Found> {
        let at =
            |why: &str| damaged(format!("{}: {why}", place(SegmentId { group, first: index })));
        let (mut found, crc) = decode_head(index, row).ok_or_else(|| at("a head that is none"))?;
        let len = usize::try_from(found.header.payload_len).map_err(io::Error::other)?;
        if matches!(want, Want::Header) && found.header.kind == EntryKind::Data {
            // The first row is longer than a batch's header.
            let header = row.get(HEAD_BYTES..).unwrap_or_default();
            let header = header.get(..len.min(BATCH_HEADER_BYTES)).unwrap_or(header);
            found.payload = Bytes::copy_from_slice(header);
            return Ok(found);
        }
        let mut payload = BytesMut::with_capacity(len.min(VALUE_BYTES_SANE));
        payload.extend_from_slice(row.get(HEAD_BYTES..).unwrap_or_default());
        for number in 1.. {
            if payload.len() >= len {
                break;
            }
            let row = self.row(group, index, number)?.ok_or_else(|| at("a row is missing"))?;
            payload.extend_from_slice(&row);
        }
        if payload.len() != len {
            return Err(at("a payload of a wrong length"));
        }
        let payload = payload.freeze();
        if checksum(index, row.get(4..HEAD_BYTES).unwrap_or_default(), &[&payload]) != crc {
            return Err(at("its CRC-32C does not match"));
        }
        found.payload = payload;
        Ok(found)
    }

    fn row(&self, group: GroupId, index: Index, number: u32) -> io::Result<Option<sled::IVec>> {
        self.entries.get(key(group, index, number)).map_err(|error| self.failed(error))
    }

    /// Removes rows of a group whose index is in the range.
    fn remove_rows(&self, group: GroupId, from: Index, below: Option<Index>) -> io::Result<()> {
        let end = match below {
            Some(below) => key(group, below, 0).to_vec(),
            None => group.next().get().to_be_bytes().to_vec(),
        };
        let mut batch = sled::Batch::default();
        let mut gathered = 0;
        let mut removed = 0;
        for row in self.entries.range(key(group, from, 0).to_vec()..end) {
            let (key, value) = row.map_err(|error| self.failed(error))?;
            removed += row_bytes(&key, &value);
            gathered += key.len();
            batch.remove(key);
            if gathered > BATCH_BYTES_MAX {
                self.apply(std::mem::take(&mut batch))?;
                gathered = 0;
            }
        }
        self.apply(batch)?;
        if let Some(bytes) = self.known().bytes.get_mut(&group) {
            *bytes = bytes.saturating_sub(removed);
        }
        Ok(())
    }

    fn apply(&self, batch: sled::Batch) -> io::Result<()> {
        self.entries.apply_batch(batch).map_err(|error| self.failed(error))
    }

    fn forget(&self, segment: SegmentId) -> io::Result<()> {
        self.segments.remove(segment_key(segment)).map_err(|error| self.failed(error))?;
        self.known().base_offsets.remove(&segment);
        Ok(())
    }

    /// The first claim at or above `index` that a later frame makes, if any does.
    fn claim_after(
        &self,
        segment: SegmentId,
        index: Index,
        end: Option<Index>,
    ) -> io::Result<Option<Index>> {
        let below = end.unwrap_or(Index::new(u64::MAX));
        let range = key(segment.group, index.next(), 0)..key(segment.group, below, 0);
        for row in self.entries.range(range) {
            let (found_key, _) = row.map_err(|error| self.failed(error))?;
            let Some((later, 0)) = index_of(&found_key) else { continue };
            if let Ok(Some(found)) = self.frame(segment.group, later, Want::Payload)
                && found.durable.is_some_and(|durable| durable >= index)
            {
                return Ok(found.durable);
            }
        }
        Ok(None)
    }

    fn failed(&self, error: sled::Error) -> io::Error {
        self.database.named(&from_sled(error))
    }
}

/// What to read of a frame.
#[derive(Clone, Copy)]
enum Want {
    Payload,
    /// The payload only of non-data entries.
    Header,
}

impl Engine for SledEngine {
    fn segments(&self, group: GroupId) -> io::Result<Vec<SegmentId>> {
        let known = self.known();
        let first = SegmentId { group, first: Index::ZERO };
        let of_group = known.base_offsets.range(first..).map(|(segment, _)| *segment);
        Ok(of_group.take_while(|segment| segment.group == group).collect())
    }

    fn groups(&self) -> io::Result<Vec<GroupId>> {
        let mut groups: Vec<GroupId> =
            self.known().base_offsets.keys().map(|segment| segment.group).collect();
        groups.dedup();
        Ok(groups)
    }

    fn create(&self, segment: SegmentId, base_offset: Offset) -> io::Result<()> {
        let mut known = self.known();
        if known.base_offsets.contains_key(&segment) {
            let why = format!("{}: exists already", place(segment));
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        self.segments
            .insert(segment_key(segment), &base_offset.get().to_be_bytes())
            .map_err(|error| self.failed(error))?;
        known.base_offsets.insert(segment, base_offset);
        drop(known);
        self.database.durable_flush()
    }

    fn recover(&self, segment: SegmentId, known: Known) -> Result<Vec<Header>, RecoverError> {
        let end = self.end(segment)?;
        let mut headers = Vec::new();
        let mut expected = (segment.first, known.base_offset);
        loop {
            let (index, offset) = expected;
            if end.is_some_and(|end| index >= end) {
                return Ok(headers);
            }
            let why = match self.frame(segment.group, index, Want::Payload) {
                Ok(Some(found)) if found.header.base_offset == offset => {
                    expected = (index.next(), found.header.next_offset());
                    headers.push(found.header);
                    continue;
                }
                Ok(Some(found)) => {
                    format!("begins at offset {}, not {offset}", found.header.base_offset)
                }
                Ok(None) => "missing".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            let claim = match known.durable.filter(|durable| *durable >= index) {
                Some(durable) => Some(durable),
                None => self.claim_after(segment, index, end)?,
            };
            if let Some(durable) = claim {
                return Err(RecoverError::Corrupt {
                    place: format!("{}, entry {index}", place(segment)),
                    why: format!("{why}, but entries up to {durable} were durable"),
                });
            }
            self.remove_rows(segment.group, index, end)?;
            self.database.durable_flush()?;
            return Ok(headers);
        }
    }

    fn open_sealed(&self, segment: SegmentId, base_offset: Offset) -> Result<(), RecoverError> {
        let known = self.known();
        match known.base_offsets.get(&segment) {
            Some(found) if *found == base_offset => Ok(()),
            Some(found) => Err(RecoverError::Corrupt {
                place: place(segment),
                why: format!("begins at offset {found}, not {base_offset}"),
            }),
            None => {
                Err(RecoverError::Corrupt { place: place(segment), why: "is not there".into() })
            }
        }
    }

    fn write(&self, segment: SegmentId, frames: &[Frame]) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        let (mut gathered, mut written) = (0, 0);
        for frame in frames {
            for (key, value) in rows(segment.group, frame) {
                gathered += value.len();
                written += row_bytes(&key, &value);
                batch.insert(&key, value);
            }
            if gathered > BATCH_BYTES_MAX {
                self.apply(std::mem::take(&mut batch))?;
                gathered = 0;
            }
        }
        self.apply(batch)?;
        if let Some(bytes) = self.known().bytes.get_mut(&segment.group) {
            *bytes += written;
        }
        Ok(())
    }

    fn barrier(&self, _dirty: &[SegmentId]) -> io::Result<()> {
        self.database.durable_flush()
    }

    fn replace(&self, segment: SegmentId, frames: NextFrames<'_>) -> io::Result<()> {
        self.end(segment)?;
        loop {
            let some = frames()?;
            if some.is_empty() {
                return self.database.durable_flush();
            }
            for frame in &some {
                self.replace_entry(segment, frame)?;
            }
        }
    }

    fn cut(&self, segment: SegmentId, last: Option<Index>) -> io::Result<()> {
        let _no_replacement = self.lock_replacing();
        let from = last.map_or(segment.first, Index::next).max(segment.first);
        self.remove_rows(segment.group, from, self.end(segment)?)?;
        self.database.durable_flush()
    }

    fn remove(&self, segment: SegmentId) -> io::Result<()> {
        let _no_replacement = self.lock_replacing();
        // The rows first: a segment that is listed may be empty, one that is not may not have rows.
        self.remove_rows(segment.group, segment.first, self.end(segment)?)?;
        self.forget(segment)?;
        self.database.durable_flush()
    }

    fn remove_group(&self, group: GroupId) -> io::Result<()> {
        let _no_replacement = self.lock_replacing();
        self.remove_rows(group, Index::ZERO, None)?;
        for segment in self.segments(group)? {
            self.forget(segment)?;
        }
        self.known().bytes.remove(&group);
        self.database.durable_flush()
    }

    fn read(
        &self,
        segment: SegmentId,
        from: Index,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEntry>> {
        let end = self.end(segment)?;
        let mut entries: Vec<StoredEntry> = Vec::new();
        let mut bytes = 0_usize;
        let mut index = from;
        while end.is_none_or(|end| index < end) {
            // The length first: an entry beyond the limit is not read for nothing.
            let Some(row) = self.row(segment.group, index, 0)? else { break };
            let len = decode_head(index, &row).map_or(0, |(found, _)| found.header.payload_len);
            bytes = bytes.saturating_add(usize::try_from(len).map_err(io::Error::other)?);
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            let Some(found) = self.frame(segment.group, index, Want::Payload)? else { break };
            entries.push(StoredEntry { header: found.header, payload: found.payload });
            index = index.next();
        }
        Ok(entries)
    }

    fn headers(
        &self,
        segment: SegmentId,
        from: Index,
        count_max: usize,
    ) -> io::Result<Vec<StoredEntry>> {
        let end = self.end(segment)?;
        let mut entries = Vec::new();
        let mut index = from;
        while entries.len() < count_max.max(1) && end.is_none_or(|end| index < end) {
            let Some(found) = self.frame(segment.group, index, Want::Header)? else { break };
            entries.push(StoredEntry { header: found.header, payload: found.payload });
            index = index.next();
        }
        Ok(entries)
    }

    fn disk_bytes(&self, group: GroupId) -> io::Result<u64> {
        if let Some(bytes) = self.known().bytes.get(&group) {
            return Ok(*bytes);
        }
        let mut bytes = 0;
        for row in self.entries.scan_prefix(group.get().to_be_bytes()) {
            let (key, value) = row.map_err(|error| self.failed(error))?;
            bytes += row_bytes(&key, &value);
        }
        self.known().bytes.insert(group, bytes);
        Ok(bytes)
    }
}

/// What is reserved at once on the word of a length that no checksum has confirmed yet.
const VALUE_BYTES_SANE: usize = 16 << 20;

/// The beginning of a frame's payload as it is stored: stamped, if it is a batch.
fn head(frame: &Frame) -> Vec<u8> {
    let header = &frame.header;
    match header.kind {
        EntryKind::Data => {
            let base = header.base_offset.get().cast_signed();
            stamped_head(&frame.payload, base, header.leader_epoch()).to_vec()
        }
        EntryKind::Blank | EntryKind::Membership | EntryKind::Trim | EntryKind::Command => {
            Vec::new()
        }
    }
}

/// A frame's payload as it is stored.
fn stamped(frame: &Frame) -> Bytes {
    let head = head(frame);
    [&head, frame.payload.get(head.len()..).unwrap_or_default()].concat().into()
}

/// The rows of a frame.
fn rows(group: GroupId, frame: &Frame) -> Vec<([u8; KEY_BYTES], Vec<u8>)> {
    let header = &frame.header;
    let head = head(frame);
    let rest = frame.payload.get(head.len()..).unwrap_or_default();
    let mut fields = Vec::with_capacity(HEAD_BYTES);
    fields.put_u64(header.position.term.get());
    fields.put_u8(kind_byte(header.kind));
    fields.put_u64(header.base_offset.get());
    fields.put_u32(header.record_count);
    fields.put_i64(header.max_timestamp);
    fields.put_u32(header.payload_len);
    // One more than the claimed index: 0 claims nothing.
    fields.put_u64(frame.durable.map_or(0, |durable| durable.next().get()));
    let crc = checksum(header.position.index, &fields, &[&head, rest]);
    let crc = crc.to_be_bytes();
    let mut bytes = crc.chain(fields.as_slice()).chain(head.as_slice()).chain(rest);
    let mut rows = Vec::new();
    for number in 0.. {
        let mut row = vec![0; bytes.remaining().min(PIECE_BYTES)];
        bytes.copy_to_slice(&mut row);
        rows.push((key(group, header.position.index, number), row));
        if !bytes.has_remaining() {
            break;
        }
    }
    rows
}

/// A frame's header, claim and checksum; its payload is still to be read.
fn decode_head(index: Index, row: &[u8]) -> Option<(Found, u32)> {
    let mut fields = row.get(..HEAD_BYTES)?;
    let crc = fields.get_u32();
    let term = Term::new(fields.get_u64());
    let kind = kind_of(fields.get_u8())?;
    let header = Header {
        position: Position::new(term, index),
        kind,
        base_offset: Offset::new(fields.get_u64()),
        record_count: fields.get_u32(),
        max_timestamp: fields.get_i64(),
        payload_len: fields.get_u32(),
    };
    let durable = Index::new(fields.get_u64()).previous();
    Some((Found { header, payload: Bytes::new(), durable }, crc))
}

fn checksum(index: Index, fields: &[u8], payload: &[&[u8]]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&index.get().to_be_bytes()), fields);
    payload.iter().fold(crc, |crc, part| crc32c::crc32c_append(crc, part))
}

fn kind_byte(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Blank => 0,
        EntryKind::Membership => 1,
        EntryKind::Data => 2,
        EntryKind::Trim => 3,
        EntryKind::Command => 4,
    }
}

fn kind_of(byte: u8) -> Option<EntryKind> {
    let kinds = [
        EntryKind::Blank,
        EntryKind::Membership,
        EntryKind::Data,
        EntryKind::Trim,
        EntryKind::Command,
    ];
    kinds.into_iter().find(|kind| kind_byte(*kind) == byte)
}

const KEY_BYTES: usize = 8 + 8 + 4;

fn key(group: GroupId, index: Index, number: u32) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let mut place = key.as_mut_slice();
    place.put_u64(group.get());
    place.put_u64(index.get());
    place.put_u32(number);
    key
}

fn index_of(key: &[u8]) -> Option<(Index, u32)> {
    let mut place = key.get(8..KEY_BYTES)?;
    Some((Index::new(place.get_u64()), place.get_u32()))
}

fn segment_key(segment: SegmentId) -> [u8; 16] {
    let mut key = [0; 16];
    let mut place = key.as_mut_slice();
    place.put_u64(segment.group.get());
    place.put_u64(segment.first.get());
    key
}

fn segment_of(key: &[u8]) -> Option<SegmentId> {
    let (group, first) = key.split_at_checked(8)?;
    let group = GroupId::new(number(group)?);
    Some(SegmentId { group, first: Index::new(number(first)?) })
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn row_bytes(key: &[u8], value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}

fn place(segment: SegmentId) -> String {
    format!("group {}, segment {}", segment.group, segment.first)
}

fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
