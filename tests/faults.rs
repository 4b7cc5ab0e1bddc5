//! Real processes, real kills: no acknowledged record is ever lost, and writes resume.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::items_after_statements,
    clippy::needless_range_loop,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::load::Load;
use harness::{Cluster, Options, eventually, on_engines};
use serde_json::json;

const PARTITIONS: u32 = 4;

on_engines! {
    a_leader_killed_under_load_loses_no_acknowledged_record: segment sled;
    a_whole_cluster_killed_at_once_returns_with_every_acknowledged_record: segment sled;
    a_rolling_restart_goes_unnoticed: segment sled;
    a_node_that_was_down_catches_up_and_can_lead: segment sled;
    a_follower_behind_the_purge_point_catches_up_through_the_marker: segment sled;
    a_paused_leader_returns_and_tells_nothing_that_is_not_committed: segment sled;
    a_leader_without_followers_gives_no_definite_answer_it_cannot_know: segment;
    // sled gives space back to its own free list first, to the file system late.
    a_deleted_topic_returns_its_disk_space_on_every_node: segment;
    a_wiped_disk_under_a_used_node_id_is_refused_with_a_clear_message: segment sled;
    a_node_of_another_cluster_is_refused_with_a_clear_message: segment sled;
}

/// Reads every partition through every running node and compares with what was acknowledged.
async fn check(cluster: &Cluster, topic: &str, ledger: &harness::load::Ledger) {
    for partition in 0..PARTITIONS {
        let mut first = None;
        for at in (0..cluster.nodes.len()).filter(|at| cluster.runs(*at)) {
            let log = cluster.read_all(at, topic, partition).await;
            ledger.check(partition, &log);
            assert_eq!(first.get_or_insert_with(|| log.clone()), &log, "every node tells the same");
        }
    }
}

async fn a_leader_killed_under_load_loses_no_acknowledged_record(engine: &'static str) {
    let mut cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("kills", PARTITIONS, json!({})).await;
    let load = Load::start(&cluster, "kills", PARTITIONS);
    for partition in 0..3 {
        load.until_more(200).await;
        let leader = cluster.leader("kills", partition).await;
        cluster.kill(leader);
        load.until_more(200).await;
        cluster.start_node(leader);
        cluster.until_healthy().await;
    }
    let ledger = load.stop().await;
    check(&cluster, "kills", &ledger).await;
    eprintln!(
        "{engine}: {} records acknowledged over 3 leader kills, longest gap {:?}",
        ledger.acknowledged(),
        ledger.longest_gap()
    );
}

async fn a_whole_cluster_killed_at_once_returns_with_every_acknowledged_record(
    engine: &'static str,
) {
    let mut cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("all", PARTITIONS, json!({})).await;
    let load = Load::start(&cluster, "all", PARTITIONS);
    load.until_more(400).await;
    for at in 0..3 {
        cluster.kill(at);
    }
    for at in 0..3 {
        cluster.start_node(at);
    }
    cluster.until_healthy().await;
    load.until_more(100).await;
    let ledger = load.stop().await;
    check(&cluster, "all", &ledger).await;
}

async fn a_paused_leader_returns_and_tells_nothing_that_is_not_committed(engine: &'static str) {
    let cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("paused", PARTITIONS, json!({})).await;
    let load = Load::start(&cluster, "paused", PARTITIONS);
    load.until_more(100).await;
    let leader = cluster.leader("paused", 0).await;
    cluster.pause(leader).await;
    // Its partitions have another leader now: more than its two neighbours' own ones move on.
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    eventually("another node leads", async || {
        let view = cluster.get(others[0], "/v1/topics/paused").await?;
        let id = view["partitions"][0]["leader"].as_u64()?;
        (id != cluster.nodes[leader].id).then_some(())
    })
    .await;
    load.until_more(100).await;
    cluster.resume(leader);
    // At once, before it has heard that it was deposed.
    let path = "/v1/topics/paused/partitions/0/records?offset=earliest&max_bytes=4194304";
    let told = cluster.get(leader, path).await;
    load.until_more(100).await;
    let ledger = load.stop().await;
    cluster.until_healthy().await;
    check(&cluster, "paused", &ledger).await;
    if let Some(page) = told {
        let log = cluster.read_all(others[0], "paused", 0).await;
        for record in page["records"].as_array().unwrap() {
            let (offset, value) = &log[record["offset"].as_u64().unwrap() as usize];
            assert_eq!(record["value"], **value, "what was read at {offset} is still there");
        }
    }
}

async fn a_leader_without_followers_gives_no_definite_answer_it_cannot_know(engine: &'static str) {
    let cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("alone", 1, json!({})).await;
    let leader = cluster.leader("alone", 0).await;
    let path = |query: &str| {
        cluster.url(leader, &format!("/v1/topics/alone/partitions/0/records?{query}"))
    };
    let body = json!({"records": [{"value": "before"}]});
    let sent = cluster.client.post(path("")).json(&body).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    for at in (0..3).filter(|at| *at != leader) {
        cluster.pause(at).await;
    }
    // Beyond what it knows, at the end, or freshly: perhaps another leader knows more.
    for query in ["offset=7", "offset=latest", "offset=0&read=linearizable"] {
        let answer = cluster.client.get(path(query)).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status == 503 || status == 504, "{query}: {status}: {text}");
    }
    let body = json!({"records": [{"value": "after"}]});
    let sent = cluster.client.post(path("timeout_ms=2000")).json(&body).send().await.unwrap();
    let status = sent.status();
    let said: serde_json::Value = sent.json().await.unwrap();
    let outcome = said["outcome"].as_str().unwrap();
    assert!(
        matches!((status.as_u16(), outcome), (503, "not_appended") | (504, "unknown")),
        "{said}"
    );
    for at in (0..3).filter(|at| *at != leader) {
        cluster.resume(at);
    }
    cluster.until_healthy().await;
    let log = cluster.read_all(leader, "alone", 0).await;
    assert_eq!(log[0], (0, "before".to_owned()));
    if outcome == "not_appended" {
        assert_eq!(log.len(), 1, "what was said not to be appended is nowhere");
    }
}

async fn a_rolling_restart_goes_unnoticed(engine: &'static str) {
    let mut cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("rolling", PARTITIONS, json!({})).await;
    let load = Load::start(&cluster, "rolling", PARTITIONS);
    for at in 0..3 {
        load.until_more(100).await;
        cluster.terminate(at).await;
        load.until_more(100).await;
        cluster.start_node(at);
        cluster.until_healthy().await;
        cluster.until_in_sync("rolling").await;
    }
    let ledger = load.stop().await;
    check(&cluster, "rolling", &ledger).await;
    eprintln!("rolling restart: longest gap {:?}", ledger.longest_gap());
}

async fn a_node_that_was_down_catches_up_and_can_lead(engine: &'static str) {
    let mut cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("absent", PARTITIONS, json!({})).await;
    let load = Load::start(&cluster, "absent", PARTITIONS);
    load.until_more(100).await;
    cluster.kill(2);
    load.until_more(500).await;
    cluster.start_node(2);
    cluster.until_in_sync("absent").await;
    // Its word now counts: with another node gone, every acknowledged record needs it.
    cluster.kill(0);
    load.until_more(200).await;
    let ledger = load.stop().await;
    check(&cluster, "absent", &ledger).await;
}

async fn a_follower_behind_the_purge_point_catches_up_through_the_marker(engine: &'static str) {
    // Small segments, so that a trim really purges.
    let options = Options::three(engine).with_flag("--segment-bytes", 65_536);
    let mut cluster = Cluster::start(options).await;
    cluster.create_topic("purged", 1, json!({})).await;
    let filler = "x".repeat(1000);
    let write = async |cluster: &Cluster, count: usize| {
        let records: Vec<_> = (0..10).map(|_| json!({"value": filler})).collect();
        for _ in 0..count / 10 {
            eventually("a write goes through", async || {
                let answer = cluster
                    .client
                    .post(cluster.url(0, "/v1/topics/purged/partitions/0/records"))
                    .json(&json!({"records": records}))
                    .send()
                    .await
                    .unwrap();
                (answer.status() == 200).then_some(())
            })
            .await;
        }
    };
    write(&cluster, 50).await;
    cluster.kill(2);
    write(&cluster, 400).await;
    let answer = cluster
        .client
        .post(cluster.url(0, "/v1/topics/purged/partitions/0/trim"))
        .json(&json!({"offset": 300}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    write(&cluster, 50).await;
    cluster.start_node(2);
    cluster.until_in_sync("purged").await;
    cluster.kill(0);
    let log = cluster.read_all(2, "purged", 0).await;
    let offsets: Vec<u64> = log.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets.last(), Some(&499), "{}", cluster.logs());
    assert_eq!(offsets.first(), Some(&300));
    assert!(log.iter().all(|(_, value)| *value == filler));
    assert_eq!(log.len(), 200, "offsets are dense");
}

async fn a_deleted_topic_returns_its_disk_space_on_every_node(engine: &'static str) {
    let cluster = Cluster::start(Options::three(engine)).await;
    let before: Vec<u64> = (0..3).map(|at| cluster.disk_bytes(at)).collect();
    cluster.create_topic("heavy", 2, json!({})).await;
    let value = "y".repeat(100_000);
    let records: Vec<_> = (0..10).map(|_| json!({"value": value})).collect();
    for number in 0..40 {
        let path = format!("/v1/topics/heavy/partitions/{}/records", number % 2);
        let answer = cluster
            .client
            .post(cluster.url(0, &path))
            .json(&json!({"records": records}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    cluster.until_in_sync("heavy").await;
    const WRITTEN: u64 = 40_000_000;
    for at in 0..3 {
        assert!(cluster.disk_bytes(at) > before[at] + WRITTEN, "node {} wrote it", at + 1);
    }
    let deleted = cluster.client.delete(cluster.url(1, "/v1/topics/heavy")).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    for at in 0..3 {
        eventually("the space returns", async || {
            (cluster.disk_bytes(at) < before[at] + WRITTEN / 10).then_some(())
        })
        .await;
    }
}

async fn a_wiped_disk_under_a_used_node_id_is_refused_with_a_clear_message(engine: &'static str) {
    let mut cluster = Cluster::start(Options::three(engine)).await;
    cluster.kill(2);
    std::fs::remove_dir_all(&cluster.nodes[2].data).unwrap();
    cluster.start_node(2);
    let status = cluster.until_ended(2).await;
    let text = cluster.log_text(2);
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("node 3 is registered with disk"), "{text}");
    assert!(text.contains("give the wiped node a new id"), "{text}");
    let health = cluster.get(0, "/v1/cluster/health").await.unwrap();
    assert_eq!(health["healthy"], false, "a wiped node does not count");
    assert_eq!(health["nodes_down"], json!([3]));
}

async fn a_node_of_another_cluster_is_refused_with_a_clear_message(engine: &'static str) {
    let mut cluster = Cluster::start(Options::three(engine)).await;
    let stranger = Cluster::start(Options { nodes: 1, ..Options::three(engine) }).await;
    // The stranger's disk, started as a node that the cluster expects.
    drop_and_move(stranger, &mut cluster).await;
    let status = cluster.until_ended(2).await;
    let text = cluster.log_text(2);
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("node 1"), "it says whose the disk is: {text}");
}

/// Ends the stranger and starts the cluster's third node on the stranger's data.
async fn drop_and_move(mut stranger: Cluster, cluster: &mut Cluster) {
    stranger.terminate(0).await;
    cluster.kill(2);
    std::fs::remove_dir_all(&cluster.nodes[2].data).unwrap();
    std::fs::rename(&stranger.nodes[0].data, &cluster.nodes[2].data).unwrap();
    cluster.start_node(2);
}
