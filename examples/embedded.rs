//! A broker inside another program: one node, used through its Rust API and reachable over HTTP.
//!
//! ```sh
//! cargo run --example embedded
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it got")]

use ottla::broker::{Fetch, FetchFrom, Freshness, NewTopic, Produce};
use ottla::config::Config;
use ottla::server::Server;
use ottla::topic::{PartitionId, TopicName};
use raft::Acks;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;
use storage::batch::{Compression, Record, RecordBatch};
use tokio::time::{Instant, sleep};

/// What a broker alone inflates for us.
const INFLATED_BYTES_MAX: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let config = Config {
        data: data.path().to_owned(),
        http: "127.0.0.1:0".to_owned(),
        peer: "127.0.0.1:0".to_owned(),
        ..Config::default()
    };
    let server = Server::start(config).await?;
    let broker = server.broker();
    let deadline = Instant::now() + PATIENCE;
    while let Err(reasons) = broker.ready() {
        if Instant::now() >= deadline {
            return Err(format!("not ready: {}", reasons.join("; ")).into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    println!("one broker at http://{}", server.http_address());

    let topic = TopicName::new("notes")?;
    let new = NewTopic {
        name: topic.clone(),
        partitions: Some(1),
        replication_factor: Some(1),
        config: BTreeMap::new(),
        validate_only: false,
    };
    broker.create_topic(new, deadline).await?;

    let record = Record { value: Some("written in process".into()), ..Record::default() };
    let produced = broker
        .produce(Produce {
            topic: topic.clone(),
            partition: PartitionId(0),
            batch: RecordBatch::build(&[record], Compression::None),
            acks: Acks::Quorum,
            expected_end: None,
            deadline,
        })
        .await?;
    println!("appended at offset {} ({:?})", produced.base_offset, produced.durability);

    let fetched = broker
        .fetch(Fetch {
            topic,
            partition: PartitionId(0),
            from: FetchFrom::Earliest,
            bytes_max: INFLATED_BYTES_MAX,
            bytes_min: 1,
            wait: Duration::ZERO,
            freshness: Freshness::Linearizable,
        })
        .await?;
    for batch in &fetched.batches {
        for record in batch.records(INFLATED_BYTES_MAX)? {
            println!("read {}", String::from_utf8_lossy(&record.value.unwrap_or_default()));
        }
    }
    server.shutdown().await?;
    Ok(())
}
