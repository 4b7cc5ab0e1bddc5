//! Consumer groups on three brokers in one process: any of them does what it is asked.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod consumers;
mod http_cluster;

use consumers::{
    Client, Given, Member, at, commit, committed, create, deadline, group, joining, produce, topic,
    topics, values,
};
use futures::future::join_all;
use http_cluster::{Cluster, eventually};
use ottla::broker::{
    Broker, CommitOffsets, JoinGroup, NewOffset, OffsetReset, ResetOffsets, ResetTo, SeekTo,
};
use ottla::coordinator::{Committer, InstanceId, Subscription, TopicPartition, TopicPattern};
use ottla::error::ErrorKind;
use std::collections::BTreeSet;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(500);

fn all(name: &str, partitions: u32) -> BTreeSet<TopicPartition> {
    (0..partitions).map(|partition| at(name, partition)).collect()
}

/// The node that coordinates the group.
async fn coordinator(cluster: &Cluster, ask: usize, name: &str) -> usize {
    let view = cluster.broker(ask).describe_group(&group(name)).await.unwrap();
    usize::try_from(view.coordinator).unwrap() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_reads_through_any_node_and_goes_on_where_another_left() {
    let cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 2).await;
    for partition in 0..2 {
        produce(cluster.broker(1), &at("t", partition), &["a", "b"]).await;
    }
    let mut member = Member::join(cluster.broker(0), joining("g", topics(&["t"]))).await;
    let mut given = member.poll_for(3).await;
    // The next poll goes through another node.
    member.broker = cluster.broker(2).clone();
    given.extend(member.poll(Duration::ZERO).await);
    given.sort();
    let expected: Given = [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
        .map(|(partition, value)| (at("t", partition), value.to_owned()))
        .into();
    assert_eq!(given, expected);
    member.leave().await;
    produce(cluster.broker(1), &at("t", 1), &["c"]).await;
    let mut other = Member::join(cluster.broker(1), joining("g", topics(&["t"]))).await;
    assert_eq!(values(&other.poll_for(1).await), ["c"]);

    // Another group has everything of its own.
    let mut broadcast = Member::join(cluster.broker(1), joining("h", topics(&["t"]))).await;
    assert_eq!(broadcast.poll_for(5).await.len(), 5);
    let names: Vec<String> =
        cluster.broker(0).groups().await.unwrap().into_iter().map(|row| row.group).collect();
    assert_eq!(names, ["g", "h"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_the_partitions_and_a_silent_one_loses_its_own() {
    let cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 4).await;
    let mut one = Member::join(cluster.broker(0), joining("g", topics(&["t"]))).await;
    one.poll_until("one has all", |assigned| *assigned == all("t", 4)).await;
    let short =
        JoinGroup { session_timeout: Some(Duration::from_secs(2)), ..joining("g", topics(&["t"])) };
    let mut two = Member::join(cluster.broker(1), short).await;
    let half = |assigned: &BTreeSet<TopicPartition>| assigned.len() == 2;
    tokio::join!(one.poll_until("one has half", half), two.poll_until("two has half", half));
    let (ones, twos) = (one.assigned().await, two.assigned().await);
    assert!(ones.is_disjoint(&twos), "{ones:?} {twos:?}");
    assert_eq!(&ones | &twos, all("t", 4));
    // From now on nobody hears of two.
    one.poll_until("one has all again", |assigned| *assigned == all("t", 4)).await;
    let error = two.try_poll(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UnknownMember, "{error}");

    // Another subscription gives away what is not wanted any more.
    let (name, id) = (group("g"), one.id.clone());
    cluster.broker(2).subscribe(&name, &id, topics(&["none"]), deadline()).await.unwrap();
    one.poll_until("one has nothing", BTreeSet::is_empty).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_members_that_come_at_once_are_settled_soon() {
    const PARTITIONS: u32 = 20;
    let cluster = Cluster::start(1).await;
    let broker = cluster.broker(0);
    create(broker, "t", PARTITIONS).await;
    let join = joining("g", topics(&["t"]));
    let mut members: Vec<Client> =
        join_all((0..200).map(|_| Client::join(broker, join.clone()))).await;
    eventually("everybody has what it is to have", async || {
        join_all(members.iter_mut().map(Client::beat)).await;
        let view = broker.describe_group(&group("g")).await.unwrap();
        (view.state == "stable").then_some(())
    })
    .await;
    join_all(members.iter_mut().map(Client::beat)).await;
    let shares = members.iter().map(|member| member.allotment.assigned.clone());
    let given: Vec<TopicPartition> = shares.flatten().collect();
    assert_eq!(given.len(), all("t", PARTITIONS).len(), "nothing is given twice");
    assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), all("t", PARTITIONS));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_generation_is_fenced_and_partitions_move_through_nobodys_hands() {
    let cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 2).await;
    let broker = cluster.broker(1);
    let mut one = Client::join(broker, joining("g", topics(&["t"]))).await;
    one.beat_until("one has both", |told| told.assigned.len() == 2).await;
    let before = one.allotment.generation;
    let mut two = Client::join(broker, joining("g", topics(&["t"]))).await;

    // One is told what to give away, and has it until it says that it did.
    let told = eventually("one is told of the new generation", async || {
        let told = one.try_beat(Some(before)).await.unwrap();
        (told.generation > before).then_some(told)
    })
    .await;
    assert_eq!((told.assigned.len(), told.revoke.len()), (1, 1));
    let moves = told.revoke.first().unwrap().clone();
    two.beat().await;
    assert!(two.allotment.assigned.is_empty(), "{:?}", two.allotment);
    one.commit(before, &moves, 7).await.unwrap();
    let error = two.commit(two.allotment.generation, &moves, 9).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotOwner, "{error}");

    one.allotment = told;
    one.beat().await;
    two.beat_until("two has what one gave away", |told| told.assigned.contains(&moves)).await;
    let error = one.commit(before, &moves, 8).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::StaleGeneration, "{error}");
    let error = one.commit(one.allotment.generation, &moves, 8).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotOwner, "{error}");
    let error = one.try_beat(Some(before)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::StaleGeneration, "{error}");
    let error = commit(broker, &group("g"), Committer::Nobody, &moves, 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotOwner, "{error}");
    assert_eq!(committed(broker, "g").await[&("t".into(), moves.partition.0)], Some(7));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_release_in_time_is_expelled_or_made_to() {
    let cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 2).await;
    let broker = cluster.broker(2);
    let quick =
        |name: &str| JoinGroup { rebalance_timeout: Some(SOON), ..joining(name, topics(&["t"])) };
    let mut stubborn = Client::join(broker, quick("fetches")).await;
    stubborn.beat_until("it has both", |told| told.assigned.len() == 2).await;
    let old = stubborn.allotment.generation;
    let mut next = Client::join(broker, quick("fetches")).await;
    // It lives, and acknowledges nothing.
    let error =
        eventually("it is expelled", async || stubborn.try_beat(Some(old)).await.err()).await;
    assert_eq!(error.kind, ErrorKind::UnknownMember, "{error}");
    next.beat_until("the next has both", |told| told.assigned.len() == 2).await;

    let mut idle = Member::join(broker, quick("is-read-for")).await;
    idle.poll_until("it has both", |assigned| assigned.len() == 2).await;
    let mut next = Member::join(broker, quick("is-read-for")).await;
    next.poll_until("the next has one", |assigned| assigned.len() == 1).await;
    assert_eq!(idle.assigned().await.len(), 1, "it stays a member");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_member_comes_back_without_a_rebalance_and_fences_its_former_self() {
    let cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 2).await;
    let broker = cluster.broker(0);
    let join = JoinGroup {
        instance: Some(InstanceId::new("worker-1").unwrap()),
        ..joining("g", topics(&["t"]))
    };
    let mut before = Client::join(broker, join.clone()).await;
    before.beat_until("it has both", |told| told.assigned.len() == 2).await;
    let after = Client::join(cluster.broker(1), join).await;
    assert_eq!(after.allotment.assigned, before.allotment.assigned);
    assert_eq!(after.allotment.generation, before.allotment.generation);
    let error = before.try_beat(None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::FencedInstance, "{error}");
    let error = before.commit(before.allotment.generation, &at("t", 0), 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::FencedInstance, "{error}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_come_grow_and_go_are_noticed() {
    let cluster = Cluster::start(3).await;
    let broker = cluster.broker(0);
    create(broker, "logs-a", 1).await;
    let pattern = Subscription::Pattern(TopicPattern::new("logs-.*").unwrap());
    let mut member = Member::join(broker, joining("g", pattern)).await;
    member.poll_until("the topic that is there", |has| *has == all("logs-a", 1)).await;
    broker.add_partitions(&topic("logs-a"), 2, deadline()).await.unwrap();
    create(broker, "logs-b", 1).await;
    create(broker, "other", 1).await;
    let both = &all("logs-a", 2) | &all("logs-b", 1);
    member.poll_until("the new ones", |has| *has == both).await;
    produce(broker, &at("logs-a", 1), &["grown"]).await;
    produce(broker, &at("logs-b", 0), &["made"]).await;
    let mut given = member.poll_for(2).await;
    given.sort();
    assert_eq!(values(&given), ["grown", "made"]);
    // An empty poll says that they were received.
    member.poll(Duration::ZERO).await;
    eventually("they are committed", async || {
        member.poll(Duration::ZERO).await;
        (committed(broker, "g").await.len() == 2).then_some(())
    })
    .await;
    broker.delete_topic(&topic("logs-b"), deadline()).await.unwrap();
    member.poll_until("the deleted one is gone", |has| *has == all("logs-a", 2)).await;
    eventually("so is its offset", async || {
        let left = committed(broker, "g").await;
        (left.keys().collect::<Vec<_>>() == [&("logs-a".to_owned(), 1)]).then_some(())
    })
    .await;
    create(broker, "logs-b", 1).await;
    produce(broker, &at("logs-b", 0), &["made anew"]).await;
    assert_eq!(values(&member.poll_for(1).await), ["made anew"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_is_given_again() {
    let mut cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 1).await;
    produce(cluster.broker(0), &at("t", 0), &["a"]).await;
    let mut member = Member::join(cluster.broker(0), joining("g", topics(&["t"]))).await;
    assert_eq!(values(&member.poll_for(1).await), ["a"]);
    produce(cluster.broker(0), &at("t", 0), &["b"]).await;
    let before = member.received;
    assert_eq!(values(&member.poll_for(1).await), ["b"]);
    member.received = before;
    assert_eq!(values(&member.poll(Duration::ZERO).await), ["b"], "it says that b did not come");
    assert!(member.poll(Duration::ZERO).await.is_empty());

    // What the next leader does not know as received comes again, and nothing is left out.
    produce(cluster.broker(0), &at("t", 0), &["c"]).await;
    assert_eq!(values(&member.poll_for(1).await), ["c"]);
    produce(cluster.broker(0), &at("t", 0), &["d"]).await;
    let old = coordinator(&cluster, 0, "g").await;
    cluster.stop_node(old).await;
    member.broker = cluster.broker((old + 1) % 3).clone();
    let given = member.poll_for(2).await;
    let given = values(&given);
    assert!(given.ends_with(&["c", "d"]), "{given:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_latest_began_is_kept_when_the_coordinator_changes() {
    let mut cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 1).await;
    produce(cluster.broker(0), &at("t", 0), &["old"]).await;
    let join = JoinGroup {
        auto_commit: false,
        auto_offset_reset: OffsetReset::Latest,
        ..joining("g", topics(&["t"]))
    };
    let mut member = Member::join(cluster.broker(0), join).await;
    member.poll_until("it has the partition", |has| has.len() == 1).await;
    assert!(member.poll(Duration::ZERO).await.is_empty());
    let old = coordinator(&cluster, 0, "g").await;
    cluster.stop_node(old).await;
    let broker = cluster.broker((old + 1) % 3).clone();
    produce(&broker, &at("t", 0), &["new"]).await;
    member.broker = broker;
    assert_eq!(values(&member.poll_for(1).await), ["new"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commits_and_generations_outlive_the_coordinators_leader() {
    let mut cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 2).await;
    let join = joining("g", topics(&["t"]));
    let mut one = Client::join(cluster.broker(0), join.clone()).await;
    one.beat_until("one has both", |told| told.assigned.len() == 2).await;
    let old = coordinator(&cluster, 0, "g").await;
    let broker = cluster.broker((old + 1) % 3).clone();
    one.broker = broker.clone();
    let committer = Client {
        allotment: one.allotment.clone(),
        id: one.id.clone(),
        ..Client::join(&broker, joining("other", topics(&["t"]))).await
    };
    let committer = Client { group: group("g"), broker: broker.clone(), ..committer };
    let place = one.allotment.assigned.first().unwrap().clone();

    // In the middle of a rebalance, and of commits.
    let mut two = Client::join(&broker, join).await;
    let generation = one.allotment.generation;
    let commits = tokio::spawn(async move {
        for offset in 1..=30 {
            committer.commit(generation, &place, offset).await.unwrap();
        }
        place
    });
    cluster.stop_node(old).await;
    let place = commits.await.unwrap();
    assert_eq!(committed(&broker, "g").await[&("t".into(), place.partition.0)], Some(30));
    one.beat_until("one has its half", |told| told.assigned.len() == 1 && told.revoke.is_empty())
        .await;
    two.beat_until("two has the other", |told| told.assigned.len() == 1).await;
    assert!(one.allotment.assigned.is_disjoint(&two.allotment.assigned));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_outlives_a_restart_of_all_its_brokers() {
    let mut cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 2).await;
    produce(cluster.broker(0), &at("t", 0), &["a", "b"]).await;
    let mut member = Member::join(cluster.broker(0), joining("g", topics(&["t"]))).await;
    member.poll_for(2).await;
    let before = cluster.broker(0).describe_group(&group("g")).await.unwrap();
    commit(cluster.broker(0), &group("other"), Committer::Nobody, &at("t", 1), 0).await.unwrap();
    // A handle on a broker would keep its data directory.
    let Member { broker, group: name, id, received } = member;
    drop(broker);
    for node in 0..3 {
        cluster.stop_node(node).await;
    }
    for node in 0..3 {
        cluster.start_node(node).await;
    }
    let broker = cluster.broker(1).clone();
    let after = eventually("the group has a coordinator", async || {
        broker.describe_group(&group("g")).await.ok()
    })
    .await;
    assert_eq!((after.generation, after.members), (before.generation, before.members));
    assert_eq!(committed(&broker, "other").await[&("t".into(), 1)], Some(0));
    // The member goes on, from what is committed.
    let mut member = Member { broker: broker.clone(), group: name, id, received };
    produce(&broker, &at("t", 0), &["c"]).await;
    let given = eventually("the last record comes", async || {
        let given = member.try_poll(SOON).await.ok()?;
        given.iter().any(|(_, value)| value == "c").then_some(given)
    })
    .await;
    assert!(["a", "b", "c"].ends_with(&values(&given)), "{given:?}");
    cluster.stop().await;
}

/// The first indices of the segments of a node's log of a Raft group, in order.
fn segments(cluster: &Cluster, node: usize, raft_group: u64) -> Vec<u64> {
    let dir = cluster.data(node).join("segments").join(raft_group.to_string());
    let files = std::fs::read_dir(dir).into_iter().flatten();
    let first = |file: std::io::Result<std::fs::DirEntry>| {
        file.ok()?.path().file_stem()?.to_str()?.parse().ok()
    };
    let mut firsts: Vec<u64> = files.filter_map(first).collect();
    firsts.sort_unstable();
    firsts
}

/// Changes all it can of a topic, again and again: about 500 bytes of a command each time.
async fn alter_often(broker: &Broker, name: &str, times: u64) {
    for time in 1..=times {
        let number = (u64::MAX / 4 + time).to_string();
        let settings = [
            ("cleanup.policy", "compact,delete"),
            ("compression.type", "uncompressed"),
            ("delete.retention.ms", &number),
            ("flush.messages", "1000000000"),
            ("flush.ms", "3600000"),
            ("flush.policy", "always"),
            ("max.message.bytes", "8388608"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.cleanable.dirty.ratio", "0.5"),
            ("retention.bytes", &number),
            ("retention.ms", &number),
            ("segment.bytes", "1073741824"),
            ("segment.ms", &number),
        ];
        let changes = settings.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        broker.alter_topic(&topic(name), changes.into(), deadline()).await.unwrap();
    }
}

/// Commits the offsets to `last`, each with as much metadata as there may be.
async fn commit_often(broker: &Broker, name: &str, at: &TopicPartition, last: u64) {
    for offset in 1..=last {
        let (at, metadata) = (at.clone(), "m".repeat(4096));
        let offsets = vec![NewOffset { at, offset, metadata, leader_epoch: None }];
        let commit = CommitOffsets { group: group(name), by: Committer::Nobody, offsets };
        broker.commit_offsets(commit, deadline()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_of_commands_stay_short_and_who_was_away_goes_on_from_their_checkpoints() {
    /// The metadata and the only coordinator; between them is the topic's partition.
    const LOGS: [u64; 2] = [0, 2];
    const COMMITS: u64 = 100;
    const ALTERATIONS: u64 = 400;
    let mut cluster = Cluster::start_with(3, |config| {
        config.segment_bytes = 64 << 10;
        config.coordinators = 1;
    })
    .await;
    create(cluster.broker(0), "t", 1).await;
    let place = at("t", 0);
    commit(cluster.broker(0), &group("g"), Committer::Nobody, &place, 0).await.unwrap();
    let first = coordinator(&cluster, 0, "g").await;
    let away = (first + 1) % 3;
    for log in LOGS {
        assert_eq!(segments(&cluster, away, log), [0], "log {log} begins at its beginning");
    }
    cluster.stop_node(away).await;

    let broker = cluster.broker(first);
    tokio::join!(commit_often(broker, "g", &place, COMMITS), alter_often(broker, "t", ALTERATIONS));
    for (node, log) in
        [first, (first + 2) % 3].into_iter().flat_map(|node| LOGS.map(|log| (node, log)))
    {
        eventually("all but the last segments are gone", async || {
            let firsts = segments(&cluster, node, log);
            (firsts[0] > 0 && firsts.len() <= 3).then_some(())
        })
        .await;
    }

    cluster.start_node(away).await;
    for log in LOGS {
        eventually("the log of who was away begins anew", async || {
            (*segments(&cluster, away, log).first()? > 0).then_some(())
        })
        .await;
    }
    // All of it again from disk.
    for node in 0..3 {
        cluster.stop_node(node).await;
    }
    for node in 0..3 {
        cluster.start_node(node).await;
    }
    let number = (u64::MAX / 4 + ALTERATIONS).to_string();
    for node in 0..3 {
        let broker = cluster.broker(node);
        eventually("every node knows the last alteration", async || {
            let settings = broker.settings(&topic("t")).ok()?;
            settings.iter().find(|row| row.name == "retention.ms" && row.value == number)?;
            Some(())
        })
        .await;
    }
    // Who was away leads, sooner or later.
    loop {
        let leader = eventually("the group has a coordinator", async || {
            let view = cluster.broker(away).describe_group(&group("g")).await.ok()?;
            usize::try_from(view.coordinator - 1).ok()
        })
        .await;
        let rows = cluster.broker(away).committed_offsets(&group("g"), None).await.unwrap();
        assert_eq!(
            (rows[0].offset, rows[0].metadata.as_str()),
            (Some(COMMITS), "m".repeat(4096).as_str())
        );
        if leader == away {
            break;
        }
        cluster.stop_node(leader).await;
        cluster.start_node(leader).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_at_rest_is_listed_moved_and_deleted() {
    let cluster = Cluster::start(3).await;
    let broker = cluster.broker(0);
    create(broker, "t", 2).await;
    produce(broker, &at("t", 0), &["a", "b", "c", "d"]).await;
    commit(broker, &group("g"), Committer::Nobody, &at("t", 0), 3).await.unwrap();
    let view = cluster.broker(1).describe_group(&group("g")).await.unwrap();
    assert_eq!((view.state.as_str(), view.lag, view.offsets.len()), ("empty", 1, 1));
    assert_eq!((view.offsets[0].committed, view.offsets[0].log_end), (Some(3), Some(4)));

    let reset = |to, dry_run| ResetOffsets {
        group: group("g"),
        topics: vec![topic("t")],
        partitions: Vec::new(),
        to,
        dry_run,
    };
    for (to, expected) in [
        (ResetTo::Earliest, [0, 0]),
        (ResetTo::Latest, [4, 0]),
        (ResetTo::Offset(2), [2, 0]),
        (ResetTo::Shift(-2), [1, 0]),
        (ResetTo::Timestamp(0), [0, 0]),
        (ResetTo::Duration(Duration::ZERO), [4, 0]),
    ] {
        let rows = broker.reset_offsets(reset(to, true), deadline()).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.from).collect::<Vec<_>>(), [Some(3), None], "{to:?}");
        assert_eq!(rows.iter().map(|row| row.to).collect::<Vec<_>>(), expected, "{to:?}");
    }
    assert_eq!(committed(broker, "g").await.len(), 1, "a dry run changes nothing");
    broker.reset_offsets(reset(ResetTo::Offset(1), false), deadline()).await.unwrap();
    assert_eq!(committed(cluster.broker(2), "g").await[&("t".into(), 0)], Some(1));

    let mut member = Member::join(broker, joining("g", topics(&["t"]))).await;
    assert_eq!(values(&member.poll_for(3).await), ["b", "c", "d"]);
    let error = broker.reset_offsets(reset(ResetTo::Latest, false), deadline()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::GroupNotEmpty, "{error}");
    let error = broker.delete_group(&group("g"), deadline()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::GroupNotEmpty, "{error}");
    member.leave().await;
    broker.delete_offsets(&group("g"), vec![at("t", 1)], deadline()).await.unwrap();
    assert_eq!(committed(broker, "g").await.len(), 1);
    broker.delete_group(&group("g"), deadline()).await.unwrap();
    let error = broker.describe_group(&group("g")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UnknownGroup, "{error}");
    assert!(broker.groups().await.unwrap().is_empty());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_goes_where_it_is_sent_and_begins_anew_where_records_are_gone() {
    let cluster = Cluster::start(3).await;
    let broker = cluster.broker(0);
    create(broker, "t", 2).await;
    for partition in 0..2 {
        produce(broker, &at("t", partition), &["a", "b", "c"]).await;
    }
    // One partition, by hand.
    let manual = Subscription::Manual([at("t", 0)].into());
    let join = JoinGroup { auto_commit: false, ..joining("g", manual) };
    let mut member = Member::join(broker, join.clone()).await;
    assert_eq!(values(&member.poll_for(3).await), ["a", "b", "c"]);
    let id = member.id.clone();
    let seek = async |to: SeekTo| {
        broker.seek(&group("g"), &id, vec![(at("t", 0), to)]).await.unwrap();
        broker.positions(&group("g"), &id).await.unwrap()
    };
    assert_eq!(seek(SeekTo::End).await, [(at("t", 0), Some(3))]);
    assert_eq!(seek(SeekTo::Beginning).await, [(at("t", 0), Some(0))]);
    assert_eq!(seek(SeekTo::Timestamp(0)).await, [(at("t", 0), Some(0))]);
    assert_eq!(seek(SeekTo::Offset(2)).await, [(at("t", 0), Some(2))]);
    assert_eq!(values(&member.poll_for(1).await), ["c"]);
    assert!(committed(broker, "g").await.is_empty(), "nobody has committed");
    broker.commit_received(&group("g"), &member.id, deadline()).await.unwrap();
    assert_eq!(committed(broker, "g").await[&("t".into(), 0)], Some(3));
    let sent = vec![(at("t", 1), SeekTo::Beginning)];
    let error = broker.seek(&group("g"), &member.id, sent).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotOwner, "{error}");

    broker.trim(&topic("t"), at("t", 0).partition, 2, deadline()).await.unwrap();
    assert_eq!(seek(SeekTo::Offset(0)).await, [(at("t", 0), Some(0))]);
    assert_eq!(values(&member.poll_for(1).await), ["c"], "from the log start");
    let strict = JoinGroup {
        auto_offset_reset: OffsetReset::None,
        ..joining("strict", Subscription::Manual([at("t", 0)].into()))
    };
    let mut strict = Member::join(broker, strict).await;
    let error = eventually("it has nowhere to begin", async || {
        strict.try_poll(Duration::from_millis(100)).await.err()
    })
    .await;
    assert_eq!(error.kind, ErrorKind::OffsetOutOfRange, "{error}");
    cluster.stop().await;
}
