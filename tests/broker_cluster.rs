//! Three brokers in one process: they form a cluster, and any of them does what it is asked.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::{Cluster, DEADLINE, eventually};
use ottla::broker::{
    Created, Durability, Fetch, FetchFrom, Fetched, Freshness, NewTopic, Produce, Produced,
};
use ottla::config::{Bootstrap, Config, Engine};
use ottla::error::{Error, ErrorKind};
use ottla::server::Server;
use ottla::topic::{PartitionId, TopicName};
use raft::{Acks, Offset};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::batch::{Compression, Record, RecordBatch};
use tokio::time::{Instant, timeout};

const P0: PartitionId = PartitionId(0);

async fn three(engine: Engine) -> Cluster {
    Cluster::start_with(3, |config| config.engine = engine).await
}

fn deadline() -> Instant {
    Instant::now() + DEADLINE
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn new_topic(name: &str, partitions: u32, factor: u32) -> NewTopic {
    NewTopic {
        name: topic(name),
        partitions: Some(partitions),
        replication_factor: Some(factor),
        config: BTreeMap::new(),
        validate_only: false,
    }
}

fn batch(values: &[&str]) -> RecordBatch {
    let records: Vec<Record> = (1000..)
        .zip(values)
        .map(|(timestamp, value)| Record {
            timestamp,
            value: Some(value.as_bytes().to_vec().into()),
            ..Record::default()
        })
        .collect();
    RecordBatch::build(&records, Compression::None)
}

fn to(name: &str, partition: PartitionId, values: &[&str]) -> Produce {
    Produce {
        topic: topic(name),
        partition,
        batch: batch(values),
        acks: Acks::Quorum,
        expected_end: None,
        deadline: deadline(),
    }
}

fn from(name: &str, partition: PartitionId, from: FetchFrom) -> Fetch {
    Fetch {
        topic: topic(name),
        partition,
        from,
        bytes_max: 1 << 20,
        bytes_min: 0,
        wait: Duration::ZERO,
        freshness: Freshness::Linearizable,
    }
}

fn values(fetched: &Fetched) -> Vec<String> {
    let text = |record: Record| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    let records = fetched.batches.iter().flat_map(|batch| batch.records(1 << 20).unwrap());
    records.map(text).collect()
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind
}

#[tokio::test(flavor = "multi_thread")]
async fn any_broker_creates_produces_and_fetches() {
    for engine in [Engine::Segment, Engine::Sled] {
        let cluster = three(engine).await;
        let made = cluster.broker(1).create_topic(new_topic("t", 6, 3), deadline()).await.unwrap();
        assert!(matches!(&made, Created::New(summary) if summary.partitions == 6));
        for (at, broker) in cluster.running().enumerate() {
            let Produced { base_offset, durability, .. } =
                broker.produce(to("t", P0, &["a", "b"])).await.unwrap();
            assert_eq!(base_offset, 2 * at as u64);
            assert_eq!(durability, Durability::QuorumFsync);
        }
        for broker in cluster.running() {
            let fetched = broker.fetch(from("t", P0, FetchFrom::Earliest)).await.unwrap();
            assert_eq!(values(&fetched), ["a", "b", "a", "b", "a", "b"]);
            assert_eq!((fetched.tail.log_start, fetched.tail.high_watermark), (0, 6));
        }
        let view = cluster.broker(2).describe(&topic("t")).await.unwrap();
        let mut leaders: Vec<u64> =
            view.partitions.iter().filter_map(|partition| partition.leader).collect();
        leaders.sort_unstable();
        assert_eq!(leaders, [1, 1, 2, 2, 3, 3], "leaders are where they were placed");
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_known_everywhere_when_it_returns() {
    let cluster = Cluster::start(3).await;
    for round in 0..5 {
        let name = format!("t{round}");
        let at = round % 3;
        cluster.broker(at).create_topic(new_topic(&name, 3, 1), deadline()).await.unwrap();
        for broker in cluster.running() {
            broker.topic(&topic(&name)).unwrap();
            for partition in 0..3 {
                let produce =
                    Produce { deadline: deadline(), ..to(&name, PartitionId(partition), &["x"]) };
                broker.produce(produce).await.unwrap();
            }
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_again_is_the_same_topic_or_a_conflict() {
    let cluster = Cluster::start(3).await;
    let broker = cluster.broker(0);
    let Created::New(first) = broker.create_topic(new_topic("t", 2, 3), deadline()).await.unwrap()
    else {
        panic!("not new")
    };
    let again = cluster.broker(1).create_topic(new_topic("t", 2, 3), deadline()).await.unwrap();
    assert_eq!(again, Created::Existed(first));
    let other = broker.create_topic(new_topic("t", 3, 3), deadline()).await;
    assert_eq!(kind(other), ErrorKind::TopicExists);
    for (partitions, factor) in [(0, 3), (1001, 3), (1, 2), (1, 5)] {
        let bad = broker.create_topic(new_topic("bad", partitions, factor), deadline()).await;
        assert_eq!(kind(bad), ErrorKind::InvalidSettings, "{partitions} {factor}");
    }
    let checked = NewTopic { validate_only: true, ..new_topic("only-checked", 1, 3) };
    broker.create_topic(checked, deadline()).await.unwrap();
    assert_eq!(kind(broker.topic(&topic("only-checked"))), ErrorKind::UnknownTopic);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_begins_where_it_says() {
    let cluster = Cluster::start(3).await;
    let broker = cluster.broker(0);
    broker.create_topic(new_topic("t", 1, 3), deadline()).await.unwrap();
    for values in [["a", "b"], ["c", "d"]] {
        broker.produce(to("t", P0, &values)).await.unwrap();
    }
    for (at, expected) in [
        (FetchFrom::Earliest, 0),
        (FetchFrom::Offset(3), 3),
        (FetchFrom::Latest, 4),
        (FetchFrom::Last(1), 3),
        (FetchFrom::Last(100), 0),
        (FetchFrom::Timestamp(0), 0),
        (FetchFrom::Timestamp(1001), 1),
        (FetchFrom::Timestamp(9999), 4),
    ] {
        let fetched = broker.fetch(from("t", P0, at)).await.unwrap();
        assert_eq!(fetched.from, expected, "{at:?}");
    }
    let beyond = broker.fetch(from("t", P0, FetchFrom::Offset(5))).await.unwrap_err();
    assert_eq!((beyond.kind, beyond.range), (ErrorKind::OffsetOutOfRange, Some((0, 4))));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_returns_with_the_first_record() {
    let cluster = Cluster::start(3).await;
    cluster.broker(0).create_topic(new_topic("t", 1, 3), deadline()).await.unwrap();
    for waiting in 0..3 {
        let poll = Fetch {
            wait: Duration::from_secs(20),
            bytes_min: 1,
            ..from("t", P0, FetchFrom::Offset(waiting as u64))
        };
        let broker = cluster.broker(waiting).clone();
        let started = Instant::now();
        let polled = async { broker.fetch(poll).await };
        let produced = async { cluster.broker(0).produce(to("t", P0, &["x"])).await };
        let (polled, produced) = tokio::join!(polled, produced);
        assert_eq!(values(&polled.unwrap()), ["x"]);
        assert_eq!(produced.unwrap().base_offset, waiting as u64);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_append_tells_the_end() {
    let cluster = Cluster::start(3).await;
    let broker = cluster.broker(0);
    broker.create_topic(new_topic("t", 1, 3), deadline()).await.unwrap();
    let at = |end| Produce { expected_end: Some(Offset::new(end)), ..to("t", P0, &["x"]) };
    broker.produce(at(0)).await.unwrap();
    for broker in cluster.running() {
        let error = broker.produce(at(0)).await.unwrap_err();
        assert_eq!((error.kind, error.range), (ErrorKind::EndMoved, Some((0, 1))));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_beyond_the_topics_limit_is_refused_until_it_is_raised() {
    let cluster = Cluster::start(3).await;
    let mut small = new_topic("t", 1, 3);
    small.config.insert("max.message.bytes".into(), "1024".into());
    cluster.broker(0).create_topic(small, deadline()).await.unwrap();
    let large = "x".repeat(2000);
    for broker in cluster.running() {
        let refused = broker.produce(to("t", P0, &[&large])).await;
        assert_eq!(kind(refused), ErrorKind::RecordTooLarge);
    }
    let raise = BTreeMap::from([("max.message.bytes".to_owned(), None)]);
    cluster.broker(2).alter_topic(&topic("t"), raise, deadline()).await.unwrap();
    for broker in cluster.running() {
        broker.produce(to("t", P0, &[&large])).await.unwrap();
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_added_and_spread() {
    let cluster = Cluster::start(3).await;
    let broker = cluster.broker(1);
    broker.create_topic(new_topic("t", 1, 3), deadline()).await.unwrap();
    let grown = broker.add_partitions(&topic("t"), 6, deadline()).await.unwrap();
    assert_eq!(grown.partitions, 6);
    let view = broker.describe(&topic("t")).await.unwrap();
    let mut preferred: Vec<u64> = view.partitions.iter().map(|p| p.replicas[0]).collect();
    preferred.sort_unstable();
    assert_eq!(preferred, [1, 1, 2, 2, 3, 3]);
    broker.produce(to("t", PartitionId(5), &["x"])).await.unwrap();
    let fewer = broker.add_partitions(&topic("t"), 3, deadline()).await;
    assert_eq!(kind(fewer), ErrorKind::InvalidSettings);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_gone_everywhere_also_where_a_node_slept() {
    let mut cluster = Cluster::start(3).await;
    cluster.broker(0).create_topic(new_topic("t", 2, 3), deadline()).await.unwrap();
    cluster.broker(0).produce(to("t", P0, &["x"])).await.unwrap();
    cluster.stop_node(2).await;
    cluster.broker(0).delete_topic(&topic("t"), deadline()).await.unwrap();
    for broker in cluster.running() {
        assert_eq!(kind(broker.produce(to("t", P0, &["x"])).await), ErrorKind::UnknownTopic);
    }
    cluster.start_node(2).await;
    let slept = cluster.broker(2);
    eventually("the topic is gone", async || slept.topic(&topic("t")).is_err().then_some(())).await;
    let segments = cluster.configs[2].data.join("segments");
    eventually("its files are gone", async || {
        let left = std::fs::read_dir(&segments).unwrap().flatten().map(|entry| entry.file_name());
        (!left.into_iter().any(|name| name == "1" || name == "2")).then_some(())
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_leader_is_replaced_and_gets_its_place_back() {
    let mut cluster = Cluster::start(3).await;
    cluster.broker(0).create_topic(new_topic("t", 3, 3), deadline()).await.unwrap();
    cluster.stop_node(0).await;
    for partition in 0..3 {
        for at in [1, 2] {
            cluster.broker(at).produce(to("t", PartitionId(partition), &["x"])).await.unwrap();
        }
    }
    let health = cluster.broker(1).health().await;
    assert!(!health.healthy);
    assert_eq!(health.nodes_down, [1]);
    cluster.start_node(0).await;
    cluster.until_ready().await;
    eventually("leaders are back where they were placed", async || {
        let view = cluster.broker(1).describe(&topic("t")).await.ok()?;
        view.partitions.iter().all(|p| p.leader == p.replicas.first().copied()).then_some(())
    })
    .await;
    eventually("healthy", async || cluster.broker(0).health().await.healthy.then_some(())).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_restarts_without_its_founders_list() {
    let mut cluster = Cluster::start(3).await;
    cluster.broker(0).create_topic(new_topic("t", 3, 3), deadline()).await.unwrap();
    cluster.broker(0).produce(to("t", P0, &["kept"])).await.unwrap();
    let id = cluster.broker(0).cluster().cluster_id;
    for at in 0..3 {
        cluster.stop_node(at).await;
        cluster.configs[at].bootstrap = Bootstrap::Found(Vec::new());
    }
    for at in 0..3 {
        cluster.start_node(at).await;
    }
    cluster.until_ready().await;
    for broker in cluster.running() {
        assert_eq!(broker.cluster().cluster_id, id);
        let fetched = broker.fetch(from("t", P0, FetchFrom::Earliest)).await.unwrap();
        assert_eq!(values(&fetched), ["kept"]);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_is_joined_by_two_and_then_survives_losing_one() {
    let mut cluster = Cluster::prepare(3, |_| {});
    let first = cluster.configs[0].peer.clone();
    cluster.configs[0].bootstrap = Bootstrap::Found(Vec::new());
    for at in 1..3 {
        cluster.configs[at].bootstrap = Bootstrap::Join(vec![first.clone()]);
    }
    for at in 0..3 {
        cluster.start_node(at).await;
    }
    cluster.until_ready().await;
    cluster.broker(2).create_topic(new_topic("t", 3, 3), deadline()).await.unwrap();
    cluster.broker(1).produce(to("t", P0, &["x"])).await.unwrap();
    // Not before all three vote on the metadata can one be lost.
    eventually("healthy", async || cluster.broker(1).health().await.healthy.then_some(())).await;
    cluster.stop_node(0).await;
    cluster.broker(1).create_topic(new_topic("u", 1, 1), deadline()).await.unwrap();
    cluster.broker(2).produce(to("t", P0, &["y"])).await.unwrap();
    let fetched = cluster.broker(1).fetch(from("t", P0, FetchFrom::Earliest)).await.unwrap();
    assert_eq!(values(&fetched), ["x", "y"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_not_healthy_before_every_founder_has_registered() {
    let mut cluster = Cluster::prepare(3, |_| {});
    for at in 0..2 {
        cluster.start_node(at).await;
    }
    for at in 0..2 {
        eventually("two have registered", async || {
            (cluster.broker(at).cluster().brokers.len() == 2).then_some(())
        })
        .await;
        let health = cluster.broker(at).health().await;
        assert!(!health.healthy);
        let missing = "node 3 has not registered yet";
        assert!(health.reasons.iter().any(|reason| reason == missing), "{:?}", health.reasons);
    }
    cluster.start_node(2).await;
    cluster.until_ready().await;
    for broker in cluster.running() {
        eventually("healthy", async || broker.health().await.healthy.then_some(())).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_disk_under_a_used_id_is_refused_with_both_disks() {
    let mut cluster = Cluster::start(3).await;
    cluster.stop_node(2).await;
    std::fs::remove_dir_all(&cluster.configs[2].data).unwrap();
    cluster.start_node(2).await;
    let wiped = cluster.servers[2].as_ref().unwrap();
    let why = timeout(DEADLINE, wiped.failed()).await.unwrap();
    assert!(why.contains("node 3") && why.contains("disk"), "{why}");
    // The others go on: none of them took it for the node it was.
    cluster.broker(0).create_topic(new_topic("t", 1, 1), deadline()).await.unwrap();
    assert_eq!(cluster.broker(1).health().await.broken, [""; 0]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_serves_one_node_only() {
    let mut cluster = Cluster::start(1).await;
    cluster.stop_node(0).await;
    let other = Config {
        node_id: 9,
        bootstrap: Bootstrap::Found(Vec::new()),
        ..cluster.configs[0].clone()
    };
    let Err(error) = Server::start(other).await else { panic!("it started") };
    let error = error.to_string();
    assert!(error.contains("node 1") && error.contains("node 9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trimmed_records_are_out_of_range() {
    let cluster = Cluster::start(3).await;
    cluster.broker(0).create_topic(new_topic("t", 1, 3), deadline()).await.unwrap();
    cluster.broker(0).produce(to("t", P0, &["a", "b", "c"])).await.unwrap();
    for broker in cluster.running() {
        let tail = broker.trim(&topic("t"), P0, 2, deadline()).await.unwrap();
        assert_eq!((tail.log_start, tail.high_watermark), (2, 3));
        let below = broker.fetch(from("t", P0, FetchFrom::Offset(1))).await.unwrap_err();
        assert_eq!((below.kind, below.range), (ErrorKind::OffsetOutOfRange, Some((2, 3))));
    }
    // In a batch of which the first two are trimmed.
    for (timestamp, expected) in [(0, 2), (1001, 2), (1002, 2), (1003, 3)] {
        let at = FetchFrom::Timestamp(timestamp);
        let fetched = cluster.broker(0).fetch(from("t", P0, at)).await.unwrap();
        assert_eq!(fetched.from, expected, "the first record from {timestamp} on that is left");
    }
    // And one that is trimmed whole, but still on disk.
    cluster.broker(0).produce(to("t", P0, &["d"])).await.unwrap();
    cluster.broker(0).trim(&topic("t"), P0, 3, deadline()).await.unwrap();
    for timestamp in [0, 1000] {
        let at = FetchFrom::Timestamp(timestamp);
        let fetched = cluster.broker(0).fetch(from("t", P0, at)).await.unwrap();
        assert_eq!((fetched.from, values(&fetched)), (3, vec!["d".to_owned()]), "{timestamp}");
    }
    let beyond = cluster.broker(0).trim(&topic("t"), P0, 9, deadline()).await;
    assert_eq!(kind(beyond), ErrorKind::OffsetOutOfRange);
    cluster.stop().await;
}
