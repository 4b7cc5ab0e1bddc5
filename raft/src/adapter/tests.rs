//! openraft's own store suite, over the house's log on both engines.
//!
//! The suite appends and applies with gaps (it begins at 1, it jumps from 3 to 100), which a core never
//! does and our log and machine refuse. So the suite talks to them through [`Gapless`], which fills a
//! gap with blank entries; everything else reaches them as it is.

use crate::NoCommands;
use crate::adapter::checkpoint::Checkpoint;
use crate::adapter::config::{Entry, LogId, StoredMembership, Types, Vote};
use crate::adapter::log_store::{LogStore, blocking};
use crate::adapter::machine::{Builder, StateMachine};
use crate::adapter::replica::Replica;
use futures::{Stream, TryStreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{EntryPayload, OptionalSend};
use std::io;
use std::sync::Arc;
use storage::disk::RealDisk;
use storage::{EngineKind, GroupId, Store, StoreOptions};
use tempfile::TempDir;

/// Ours, with gaps filled before they reach it.
struct Gapless<T>(T);

/// Blank entries between `last` and `first`, in `last`'s term.
fn fill(last: Option<LogId>, first: LogId) -> impl Iterator<Item = Entry> {
    let next = last.map_or(0, |last| last.index + 1);
    let term = last.unwrap_or(first).leader_id.term;
    (next..first.index).map(move |index| Entry {
        log_id: LogId::new_term_index(term, index),
        payload: EntryPayload::Blank,
    })
}

impl RaftLogStorage<Types> for Gapless<LogStore> {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        self.0.get_log_state().await
    }
    async fn get_log_reader(&mut self) -> LogStore {
        self.0.get_log_reader().await
    }
    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.0.save_vote(vote).await
    }
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.0.save_committed(committed).await
    }
    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.0.read_committed().await
    }
    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let last = self.0.get_log_state().await?.last_log_id;
        let filling: Vec<Entry> = fill(last, entries[0].log_id()).collect();
        if !filling.is_empty() {
            self.0.append(filling, IOFlushed::noop()).await?;
        }
        self.0.append(entries, callback).await
    }
    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.0.truncate_after(last).await
    }
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.0.purge(upto).await
    }
}

impl RaftStateMachine<Types> for Gapless<StateMachine> {
    type SnapshotData = Box<Checkpoint>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.0.applied_state().await
    }
    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let entries: Vec<EntryResponder<Types>> = entries.try_collect().await?;
        let (last, _) = self.0.applied_state().await?;
        let filling = fill(last, entries[0].0.log_id()).map(|entry| (entry, None));
        let all: Vec<_> = filling.chain(entries).map(Ok).collect();
        self.0.apply(futures::stream::iter(all)).await
    }
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        self.0.try_create_snapshot_builder(force).await
    }
    async fn get_snapshot_builder(&mut self) -> Builder {
        self.0.get_snapshot_builder().await
    }
    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: Box<Checkpoint>,
    ) -> io::Result<()> {
        self.0.install_snapshot(meta, snapshot).await
    }
    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<Types, Box<Checkpoint>>>> {
        self.0.get_current_snapshot().await
    }
}

/// Gives each case of the suite an empty log.
struct Fresh {
    engine: EngineKind,
}

/// Keeps a case's store open until the case ends.
struct Open {
    store: Store,
    _dir: TempDir,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.store.close().unwrap();
    }
}

type Built = (Open, Gapless<LogStore>, Gapless<StateMachine>);

impl StoreBuilder<Types, Gapless<LogStore>, Gapless<StateMachine>, Open> for Fresh {
    async fn build(&self) -> Result<Built, openraft::StorageError<Types>> {
        let engine = self.engine;
        let built = blocking(move || {
            let dir = tempfile::tempdir()?;
            let store = Store::open(StoreOptions {
                dir: dir.path().to_owned(),
                engine,
                disk: Arc::new(RealDisk),
                segment_bytes: 1 << 20,
                tail_cache_bytes: 1 << 20,
            })?;
            let replica = Arc::new(Replica::new(store.log(GroupId::new(1))?));
            let machine = StateMachine::recover(&replica, Box::new(NoCommands))?;
            let log_store = LogStore::new(replica);
            Ok((Open { store, _dir: dir }, Gapless(log_store), Gapless(machine)))
        });
        Ok(built.await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes_on_segments() {
    Suite::test_all(Fresh { engine: EngineKind::Segment }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes_on_sled() {
    Suite::test_all(Fresh { engine: EngineKind::Sled }).await.unwrap();
}
