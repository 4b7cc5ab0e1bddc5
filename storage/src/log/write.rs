//! Appends, truncations and purges: at once in memory, in order through the commit thread on disk.

use super::catalogue::Active;
use super::core::{Core, Inner};
use super::tail::Cached;
use super::terms::Terms;
use crate::backing::about;
use crate::batch;
use crate::commit::{Completion, Op, Step, Work};
use crate::engine::{Frame, SegmentId};
use crate::{Entry, EntryKind, Header, Index, Marker, Offset, Position};
use std::io;
use std::sync::{Arc, mpsc};

/// An entry with what its batch says of itself.
struct Summed {
    entry: Entry,
    payload_len: u32,
    record_count: u32,
    max_timestamp: i64,
}

impl Core {
    /// Appends; `done` is completed exactly once, also when this returns an error.
    pub(super) fn append(
        self: &Arc<Self>,
        entries: Vec<Entry>,
        done: Completion,
    ) -> io::Result<Vec<Header>> {
        let bytes = entries.iter().map(|entry| entry.payload.len()).sum();
        let refused = |error: io::Error, done: Completion| {
            let error = about(self.group(), &error);
            done.complete(Err(io::Error::new(error.kind(), error.to_string())));
            error
        };
        let summed = match sum_up(entries) {
            Ok(summed) => summed,
            Err(error) => return Err(refused(error, done)),
        };
        let _writer = self.lock_writer();
        if let Err(error) = self.check().and_then(|()| self.backing.queue.reserve(bytes)) {
            return Err(refused(error, done));
        }
        let (headers, work) = {
            let mut inner = self.lock();
            if let Some(first) = summed.first() {
                let index = first.entry.position.index;
                assert_eq!(index, inner.next(), "group {}: not the next index", self.group());
            }
            self.take(&mut inner, summed)
        };
        self.push(work, bytes, done);
        Ok(headers)
    }

    /// Takes entries into memory and says what to write.
    fn take(&self, inner: &mut Inner, summed: Vec<Summed>) -> (Vec<Header>, Work) {
        let mut headers = Vec::with_capacity(summed.len());
        let mut steps: Vec<Step> = Vec::new();
        let mut records = 0;
        let durable = inner.marks.durable().previous();
        for Summed { entry, payload_len, record_count, max_timestamp } in summed {
            let header = Header {
                position: entry.position,
                kind: entry.kind,
                base_offset: inner.next_offset,
                record_count,
                max_timestamp,
                payload_len,
            };
            let empties = is_trim_of_everything(&entry, inner.next_offset);
            if let Some(create) = self.roll(inner, &header, empties) {
                steps.push(create);
            }
            let first = inner.count_in(&header);
            let cached = Cached::new(header, entry.payload);
            let frame = Frame { header, payload: cached.payload.clone(), durable };
            inner.tail.push(cached);
            if let Some(Step::Write { frames, .. }) = steps.last_mut() {
                frames.push(frame);
            } else {
                let segment = SegmentId { group: self.group(), first };
                steps.push(Step::Write { segment, frames: vec![frame] });
            }
            records += u64::from(record_count);
            headers.push(header);
        }
        (headers, Work::Append { steps, policy: inner.policy, next: inner.next(), records })
    }

    /// Begins a segment where there is none, where the one that is there is over, or where it `empties` the
    /// log: then the records before it go with their segment, although nothing fills that any more.
    fn roll(&self, inner: &mut Inner, header: &Header, empties: bool) -> Option<Step> {
        let roll = inner.roll;
        let is_over = |active: &mut Active| {
            active.is_over_for(header, roll, self.backing.segment_bytes)
                || (empties && active.base_offset < header.base_offset)
        };
        let over = inner.catalogue.active.take_if(is_over);
        if inner.catalogue.active.is_some() {
            return None;
        }
        let seals = over.and_then(Active::seal);
        inner.catalogue.sealed.extend(seals.clone());
        let first = header.position.index;
        inner.catalogue.active = Some(Active::new(first, header.base_offset));
        let segment = SegmentId { group: self.group(), first };
        Some(Step::Create { segment, base_offset: header.base_offset, seals })
    }

    /// Ends the segment that takes entries; the next append begins one.
    pub(super) fn seal(self: &Arc<Self>) -> io::Result<()> {
        let writer = self.lock_writer();
        self.check()?;
        let sealed = {
            let mut inner = self.lock();
            let catalogue = &mut inner.catalogue;
            let Some(active) = catalogue.active.take_if(|active| active.end.is_some()) else {
                return Ok(());
            };
            let sealed = active.seal().expect("it has an end");
            catalogue.sealed.push_back(sealed.clone());
            sealed
        };
        let answer = self.push_and_wait(Work::Seal(sealed));
        drop(writer);
        answer()
    }

    pub(super) fn truncate_after(self: &Arc<Self>, last: Option<Index>) -> io::Result<()> {
        let _writer = self.lock_writer();
        self.check()?;
        let (begin, end) = {
            let inner = self.lock();
            (inner.begin(), inner.next())
        };
        let next = last.map_or(begin, Index::next);
        if next < begin {
            let why = format!("cannot truncate to {next}: the log begins at {begin}");
            return Err(about(self.group(), &io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        if next >= end {
            return Ok(());
        }
        // Everything goes if nothing above the purge point stays, also what a partial purge left.
        let last = next.previous().filter(|_| next > begin);
        let kept = last.map(|last| self.must_have(last)).transpose()?;
        let left = last.map(|last| self.recount(last)).transpose()?.flatten();
        let cut = {
            let mut inner = self.lock();
            let cut = inner.catalogue.truncate(last, left);
            inner.next_offset = kept.map_or(inner.begin_offset(), |kept| kept.next_offset());
            inner.last =
                kept.map(|kept| kept.position).or(inner.purged.map(|purged| purged.position));
            match last {
                Some(_) => inner.terms.truncate(next),
                None => inner.terms = Terms::default(),
            }
            inner.tail.truncate(next);
            inner.marks.truncate(next);
            inner.cursors.clear();
            inner.generation += 1;
            cut
        };
        self.push(Work::Cut { next, cut }, 0, Completion::nobody());
        Ok(())
    }

    /// What is left of the segment that holds `last` and more; nothing if `last` is its end.
    fn recount(&self, last: Index) -> io::Result<Option<Active>> {
        let (first, base_offset, begin) = {
            let inner = self.lock();
            let Some(first) = inner.catalogue.holding(last) else { return Ok(None) };
            let sealed = inner.catalogue.sealed.iter().find(|sealed| sealed.first == first);
            if sealed.is_some_and(|sealed| sealed.end.position.index == last) {
                return Ok(None);
            }
            let base_offset = match (sealed, &inner.catalogue.active) {
                (Some(sealed), _) => sealed.base_offset,
                (None, Some(active)) => active.base_offset,
                (None, None) => return Ok(None),
            };
            (first, base_offset, inner.begin())
        };
        let mut left = Active::new(first, base_offset);
        let mut next = first.max(begin);
        while next <= last {
            let some = self.headers(next..last.next(), RECOUNT_HEADERS)?;
            for entry in &some {
                left.push(&entry.header);
            }
            next = left.end.map_or(last.next(), |end| end.position.index.next());
        }
        Ok(Some(left))
    }

    pub(super) fn purge(self: &Arc<Self>, marker: Marker) -> io::Result<()> {
        let writer = self.lock_writer();
        self.check()?;
        let index = marker.position.index;
        if self.lock().purged.is_some_and(|purged| purged.position.index >= index) {
            return Ok(());
        }
        if let Some(header) = self.header(index)?
            && header.next_offset() != marker.next_offset
        {
            let why = format!(
                "cannot purge to {index}: the marker's next offset is {}, the log's is {}",
                marker.next_offset,
                header.next_offset()
            );
            return Err(about(self.group(), &io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        let remove = {
            let mut inner = self.lock();
            inner.purged = Some(marker);
            let first = marker.first_kept();
            if first >= inner.next() {
                inner.last = Some(marker.position);
                inner.next_offset = marker.next_offset;
                inner.tail.reset(first);
                inner.marks.restart(first);
            } else {
                inner.tail.evict(first);
            }
            inner.terms.purge(first);
            inner.cursors.clear();
            inner.generation += 1;
            inner.catalogue.purge(index)
        };
        let answer = self.push_and_wait(Work::Purge { marker, remove });
        drop(writer);
        answer()
    }

    /// Queues work that somebody waits for; the returned function waits.
    pub(crate) fn push_and_wait(
        self: &Arc<Self>,
        work: Work,
    ) -> impl FnOnce() -> io::Result<()> + use<> {
        let (tell, told) = mpsc::sync_channel(1);
        let done = Completion::new(Box::new(move |result| drop(tell.send(result))));
        self.push(work, 0, done);
        move || told.recv().expect("a completion is called exactly once")
    }

    pub(super) fn push(self: &Arc<Self>, work: Work, bytes: usize, done: Completion) {
        self.backing.queue.push(Op { log: Arc::clone(self), work, bytes, done });
    }

    /// The header of an entry that the log has to have.
    pub(super) fn must_have(&self, index: Index) -> io::Result<Header> {
        self.header(index)?.ok_or_else(|| {
            let why = format!("no entry at index {index}");
            about(self.group(), &io::Error::new(io::ErrorKind::NotFound, why))
        })
    }
}

/// Headers read at a time while a segment is counted again.
const RECOUNT_HEADERS: usize = 4096;

impl Inner {
    /// Counts the next entry in; returns its segment.
    fn count_in(&mut self, header: &Header) -> Index {
        let position: Position = header.position;
        self.last = Some(position);
        self.next_offset = header.next_offset();
        self.terms.push(position);
        let active = self.catalogue.active.as_mut().expect("the caller has begun a segment");
        active.push(header);
        active.first
    }
}

/// Whether an entry is a trim that leaves no record of a log that ends at `next_offset`. A function of
/// the log alone, so that every replica rolls at the same entry.
fn is_trim_of_everything(entry: &Entry, next_offset: Offset) -> bool {
    let to = || entry.payload.as_ref().try_into().map(u64::from_be_bytes).ok();
    entry.kind == EntryKind::Trim && to().is_some_and(|to| to >= next_offset.get())
}

/// Reads what the batches say of themselves, before anything changes.
fn sum_up(entries: Vec<Entry>) -> io::Result<Vec<Summed>> {
    let mut next: Option<Index> = None;
    let mut summed = Vec::with_capacity(entries.len());
    for entry in entries {
        let index = entry.position.index;
        let invalid = |why: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("entry {index}: {why}"))
        };
        if next.is_some_and(|next| next != index) {
            return Err(invalid("does not follow the entry before it".into()));
        }
        next = Some(index.next());
        let payload_len = u32::try_from(entry.payload.len())
            .map_err(|_too_long| invalid(format!("{} bytes of payload", entry.payload.len())))?;
        let (record_count, max_timestamp) = if entry.kind == EntryKind::Data {
            batch::summary(&entry.payload).map_err(|error| invalid(error.to_string()))?
        } else {
            (0, -1)
        };
        summed.push(Summed { entry, payload_len, record_count, max_timestamp });
    }
    Ok(summed)
}
