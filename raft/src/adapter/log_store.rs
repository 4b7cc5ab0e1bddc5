//! `RaftLogStorage` over `storage::Log`.
//!
//! Order is the log's: appends, cuts and votes of a group go through one queue, so a vote is durable
//! only after every earlier append (a newer vote releases the older leader's pending answers). What
//! openraft reads to replicate has payloads and is bounded by bytes; what it reads to apply has headers
//! only.

use crate::adapter::config::{
    Data, Entry, LogId, Membership, Placed, Types, Vote, log_id, position,
};
use crate::adapter::replica::Replica;
use crate::adapter::ticket::{Place, Ticket};
use bytes::Bytes;
use futures::Stream;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds, RangeInclusive};
use std::sync::Arc;
use storage::{EntryKind, Index, Marker, StoredEntry, planted};
use tokio::sync::oneshot;

/// Payload bytes of one AppendEntries: openraft itself only counts entries. The first entry is sent
/// whatever its size.
const REPLICATION_BYTES_MAX: usize = 1 << 20;
/// Headers read at a time for apply.
const HEADERS_MAX: usize = 256;
/// A reader further behind than this is likely to read from disk: off the async threads with it.
const COLD_ENTRIES: u64 = 1024;

/// The log store; also a reader. Clones are the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    replica: Arc<Replica>,
}

impl LogStore {
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        Self { replica }
    }

    /// The entries of the range that exist, clamped to the log; of data only the batches' headers.
    fn headers(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let read =
                self.replica.log.headers(Index::new(next)..Index::new(range.end), HEADERS_MAX)?;
            let Some(last) = read.last() else { break };
            next = last.header.position.index.next().get();
            for stored in read {
                entries.push(from_stored(stored)?);
            }
        }
        Ok(entries)
    }

    /// The half-open range that openraft means, within what the log has.
    fn clamp(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let state = self.replica.log.state();
        let first = state.purged.map_or(0, |marker| marker.first_kept().get());
        let next = state.last.map_or(0, |last| last.index.next().get());
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        start.max(first)..end.min(next)
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.headers(self.clamp(&range))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.replica.log.vote()?.map(|bytes| storage::codec::decode(&bytes)).transpose()
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let log = self.replica.log.clone();
        let last = log.state().last.map_or(0, |last| last.index.get());
        let read = move || log.entries(Index::new(start)..Index::new(end), REPLICATION_BYTES_MAX);
        let stored =
            if last.saturating_sub(start) > COLD_ENTRIES { blocking(read).await? } else { read()? };
        stored.into_iter().map(from_stored).collect()
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let wanted = self.clamp(&range);
        let store = self.clone();
        let chunks = futures::stream::try_unfold(wanted, move |left| {
            let store = store.clone();
            async move {
                if left.is_empty() {
                    return Ok::<_, io::Error>(None);
                }
                let count = u64::try_from(HEADERS_MAX).expect("a small constant");
                let upto = left.end.min(left.start.saturating_add(count));
                let entries = store.headers(left.start..upto)?;
                Ok(Some((futures::stream::iter(entries.into_iter().map(Ok)), upto..left.end)))
            }
        });
        futures::TryStreamExt::try_flatten(chunks)
    }

    async fn get_key_log_ids(&mut self, range: RangeInclusive<LogId>) -> io::Result<Vec<LogId>> {
        Ok(last_of_each_term(&self.replica.log.terms(), *range.start(), *range.end()))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.replica.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(|marker| log_id(marker.position)),
            last_log_id: state.last.map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if planted!(VoteNotStored) {
            return Ok(());
        }
        let (saved, durable) = oneshot::channel();
        let done = Box::new(move |result| drop(saved.send(result)));
        self.replica.log.save_vote(storage::codec::encode(vote), done)?;
        durable.await.map_err(|_dropped| io::Error::other("the commit thread is gone"))?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.replica.log.save_committed(committed.as_ref().map(position))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        // The log answers only what it surely has: openraft would not start on a position beyond its last entry,
        // and would never let go of a wrong entry below it.
        Ok(self.replica.log.committed()?.map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = Vec::new();
        let mut tickets: Vec<(usize, Arc<Ticket>)> = Vec::new();
        for entry in entries {
            let (stored, ticket) = to_stored(entry);
            if let Some(ticket) = ticket {
                // Before the log is called: from here on it may be in the log.
                ticket.hand();
                tickets.push((batch.len(), ticket));
            }
            batch.push(stored);
        }
        if planted!(TruncateNothing) && tickets.is_empty() {
            let next = self.replica.log.state().last.map_or(Index::ZERO, |last| last.index.next());
            batch.retain(|entry| entry.position.index >= next);
        }
        let flushed: Vec<_> = tickets.iter().map(|(_, ticket)| Arc::clone(ticket)).collect();
        let done = Box::new(move |result: io::Result<()>| {
            if result.is_ok() {
                for ticket in &flushed {
                    ticket.flush();
                }
            }
            callback.io_completed(result);
        });
        let headers = self.replica.log.append(batch, done)?;
        for (at, ticket) in tickets {
            let header = headers.get(at).expect("the log gives one header per entry");
            ticket.place(Place { position: header.position, base_offset: header.base_offset });
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        if planted!(TruncateNothing) {
            return Ok(());
        }
        let log = self.replica.log.clone();
        blocking(move || log.truncate_after(last.map(|last| Index::new(last.index)))).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let replica = Arc::clone(&self.replica);
        blocking(move || purge(&replica, &upto)).await
    }
}

/// Purges up to a log id: what the log knows of its own entries, or the installed marker beyond them.
fn purge(replica: &Replica, upto: &LogId) -> io::Result<()> {
    let position = position(upto);
    let state = replica.log.state();
    if state.purged.is_some_and(|purged| purged.position.index >= position.index) {
        return Ok(());
    }
    let installed = replica.take_installed(position.index);
    let held = state.last.is_some_and(|last| last.index >= position.index);
    let next_offset = match installed {
        Some(marker) => marker.next_offset,
        None if held => replica.log.next_offset_after(position.index)?,
        None => state.next_offset,
    };
    replica.log.purge(Marker { position, next_offset })?;
    replica.log.drop_checkpoints_below(position.index)?;
    replica.purged(position.index);
    Ok(())
}

/// Runs disk work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The last log id of each term within `first..=last`: openraft's list of leaders.
fn last_of_each_term(terms: &[(storage::Term, Index)], first: LogId, last: LogId) -> Vec<LogId> {
    let mut ids: Vec<LogId> = terms
        .iter()
        .map(|(term, index)| LogId::new_term_index(term.get(), index.get()))
        .filter(|id| first.index <= id.index && id.index < last.index)
        .collect();
    ids.push(last);
    ids
}

/// What openraft hands over, as the log keeps it, and the proposal it came from.
pub(crate) fn to_stored(entry: Entry) -> (storage::Entry, Option<Arc<Ticket>>) {
    let position = position(&entry.log_id());
    let (kind, payload, ticket) = match entry.payload {
        EntryPayload::Blank => (EntryKind::Blank, Bytes::new(), None),
        EntryPayload::Normal(data) => (data.kind, data.payload, data.ticket),
        EntryPayload::Membership(membership) => {
            (EntryKind::Membership, storage::codec::encode(&membership).into(), None)
        }
    };
    (storage::Entry { position, kind, payload }, ticket)
}

/// An entry as the log gives it back.
fn from_stored(stored: StoredEntry) -> io::Result<Entry> {
    let StoredEntry { header, payload } = stored;
    let placed = Placed { base_offset: header.base_offset, record_count: header.record_count };
    from_parts(log_id(header.position), header.kind, payload, Some(placed))
}

/// An entry from its parts; a membership is decoded.
pub(crate) fn from_parts(
    log_id: LogId,
    kind: EntryKind,
    payload: Bytes,
    placed: Option<Placed>,
) -> io::Result<Entry> {
    let payload = match kind {
        EntryKind::Blank => EntryPayload::Blank,
        EntryKind::Membership => {
            EntryPayload::Membership(storage::codec::decode::<Membership>(&payload)?)
        }
        EntryKind::Data | EntryKind::Trim | EntryKind::Command => {
            EntryPayload::Normal(Data { kind, payload, placed, ticket: None })
        }
    };
    Ok(Entry { log_id, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Term;

    fn id(term: u64, index: u64) -> LogId {
        LogId::new_term_index(term, index)
    }

    fn terms(of: &[(u64, u64)]) -> Vec<(Term, Index)> {
        of.iter().map(|(term, index)| (Term::new(*term), Index::new(*index))).collect()
    }

    #[test]
    fn one_term_ends_at_the_last_entry() {
        assert_eq!(last_of_each_term(&terms(&[(1, 9)]), id(1, 2), id(1, 9)), [id(1, 9)]);
    }

    #[test]
    fn each_term_ends_where_it_ended() {
        let terms = terms(&[(0, 0), (1, 4), (3, 9)]);
        assert_eq!(last_of_each_term(&terms, id(0, 0), id(3, 9)), [id(0, 0), id(1, 4), id(3, 9)]);
    }

    #[test]
    fn terms_before_the_range_are_left_out() {
        let terms = terms(&[(0, 0), (1, 4), (3, 9)]);
        assert_eq!(last_of_each_term(&terms, id(1, 2), id(3, 9)), [id(1, 4), id(3, 9)]);
    }

    #[test]
    fn a_range_that_ends_within_a_term_ends_with_its_own_last() {
        let terms = terms(&[(0, 0), (1, 4), (3, 9)]);
        assert_eq!(last_of_each_term(&terms, id(0, 0), id(1, 3)), [id(0, 0), id(1, 3)]);
    }
}
