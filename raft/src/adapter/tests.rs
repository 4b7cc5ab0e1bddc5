//! openraft's own store suite, over the house's log on both engines.

use crate::NoCommands;
use crate::adapter::config::Types;
use crate::adapter::log_store::{LogStore, blocking};
use crate::adapter::machine::StateMachine;
use crate::adapter::replica::Replica;
use openraft::testing::log::{StoreBuilder, Suite};
use std::io;
use std::sync::Arc;
use storage::disk::RealDisk;
use storage::{EngineKind, GroupId, Store, StoreOptions};
use tempfile::TempDir;

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

impl StoreBuilder<Types, LogStore, StateMachine, Open> for Fresh {
    async fn build(&self) -> Result<(Open, LogStore, StateMachine), openraft::StorageError<Types>> {
        let engine = self.engine;
        let opened: io::Result<_> = blocking(move || {
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
            Ok((Open { store, _dir: dir }, LogStore::new(replica), machine))
        })
        .await;
        Ok(opened.unwrap())
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
