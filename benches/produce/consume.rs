//! Everything of a topic, read back as it is stored: offsets dense, each batch whole.

use crate::harness::Cluster;
use bytes::Bytes;
use std::time::Duration;
use storage::batch::RecordBatch;
use tokio::task::JoinSet;
use tokio::time::Instant;

const BATCHES: &str = "application/vnd.kafka.recordbatch.v2";

/// What was there.
#[derive(Default)]
pub struct Read {
    pub records: u64,
    pub bytes: u64,
    pub took: Duration,
}

/// Reads every partition, each from its own node in turn.
pub async fn all(cluster: &Cluster, topic: &str, partitions: u32) -> Read {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for partition in 0..partitions {
        let at = partition as usize % cluster.nodes.len();
        let url = cluster.url(at, &format!("/v1/topics/{topic}/partitions/{partition}/records"));
        tasks.spawn(partition_of(cluster.client.clone(), url));
    }
    let mut all = Read::default();
    while let Some(read) = tasks.join_next().await {
        let read = read.unwrap();
        all.records += read.records;
        all.bytes += read.bytes;
    }
    all.took = began.elapsed();
    all
}

async fn partition_of(client: reqwest::Client, url: String) -> Read {
    let mut read = Read::default();
    loop {
        let next = read.records;
        let request =
            client.get(format!("{url}?offset={next}&max_bytes=4194304&read=linearizable"));
        let answer = request.header("accept", BATCHES).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let end: u64 = answer.headers()["high-watermark"].to_str().unwrap().parse().unwrap();
        let page: Bytes = answer.bytes().await.unwrap();
        read.bytes += page.len() as u64;
        for batch in RecordBatch::split_stored(page).expect("what is stored is whole") {
            assert_eq!(batch.base_offset() as u64, read.records, "offsets are dense");
            read.records += u64::from(batch.record_count());
        }
        if read.records >= end {
            return read;
        }
    }
}
