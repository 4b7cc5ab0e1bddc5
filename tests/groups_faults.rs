//! Consumer groups on real processes, while members and coordinators fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::consumers::{Book, Member, Nodes, PATIENCE, Watcher, Wish};
use harness::load::{Ledger, Load};
use harness::{Cluster, Options, eventually};
use serde_json::json;
use std::sync::Arc;

const PARTITIONS: u32 = 6;
const TOPIC: &str = "work";
/// Its members fetch by themselves.
const FETCHERS: &str = "fetchers";
/// Its members are read for.
const POLLERS: &str = "pollers";

/// Which node coordinates the group.
async fn coordinator(cluster: &Cluster, group: &str) -> usize {
    let mut nodes = Nodes::of(cluster, 0);
    eventually("the group has a coordinator", async || {
        let view = nodes.get(&format!("/v1/groups/{group}")).await?;
        let id = view["coordinator"].as_u64()?;
        cluster.nodes.iter().position(|node| node.id == id)
    })
    .await
}

/// Waits until the group does not know the member any more.
async fn until_expelled(cluster: &Cluster, group: &str, member: &Member) {
    let id = member.id.borrow().clone();
    let mut nodes = Nodes::of(cluster, 0);
    eventually("the member is expelled", async || {
        let view = nodes.get(&format!("/v1/groups/{group}")).await?;
        let known = view["members"].as_array()?.iter().any(|row| row["member_id"] == id.as_str());
        (!known).then_some(())
    })
    .await;
}

/// Waits until both groups were given more.
async fn until_more(books: &[&Arc<Book>], more: usize) {
    let goals: Vec<usize> = books.iter().map(|book| book.given() + more).collect();
    eventually("both groups go on", async || {
        let all = books.iter().zip(&goals).all(|(book, goal)| book.given() >= *goal);
        all.then_some(())
    })
    .await;
}

/// Waits until a group was given everything, and compares it with what is in the log.
async fn check(cluster: &Cluster, ledger: &Ledger, book: &Arc<Book>) {
    for partition in 0..PARTITIONS {
        let log = cluster.read_all(0, TOPIC, partition).await;
        ledger.check(partition, &log);
        eventually("the group was given everything", async || {
            (book.values(partition.into()).len() >= log.len()).then_some(())
        })
        .await;
        let log: Vec<String> = log.into_iter().map(|(_, value)| value).collect();
        assert_eq!(book.values(partition.into()), log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_lose_nothing_while_members_and_coordinators_fail() {
    let options = Options::three("segment").with_flag("--coordinators", 4);
    let mut cluster = Cluster::start(options).await;
    // A producer does not wait for ever for a node that is stopped.
    cluster.client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, json!({})).await;
    let load = Load::start(&cluster, TOPIC, PARTITIONS);
    let (by_fetch, by_poll) = (Arc::<Book>::default(), Arc::<Book>::default());
    let fetcher = |cluster: &Cluster| Member::fetching(cluster, FETCHERS, TOPIC, &by_fetch);
    let poller = |cluster: &Cluster| Member::polling(cluster, POLLERS, TOPIC, &by_poll);
    let mut fetchers: Vec<Member> = (0..3).map(|_| fetcher(&cluster)).collect();
    let mut pollers: Vec<Member> = (0..2).map(|_| poller(&cluster)).collect();
    let watchers = [
        Watcher::start(&cluster, FETCHERS, Arc::clone(&by_fetch)),
        Watcher::start(&cluster, POLLERS, Arc::clone(&by_poll)),
    ];
    let books = [&by_fetch, &by_poll];
    until_more(&books, 200).await;

    // A member of each crashes, and another comes in its place.
    fetchers.remove(0).crash().await;
    pollers.remove(0).crash().await;
    until_more(&books, 100).await;
    fetchers.push(fetcher(&cluster));
    pollers.push(poller(&cluster));
    until_more(&books, 100).await;

    // A member of each stands still for longer than its session, and goes on where it stood.
    fetchers[0].wish(Wish::Pause);
    pollers[0].wish(Wish::Pause);
    until_expelled(&cluster, FETCHERS, &fetchers[0]).await;
    until_expelled(&cluster, POLLERS, &pollers[0]).await;
    until_more(&books, 100).await;
    fetchers[0].wish(Wish::Run);
    pollers[0].wish(Wish::Run);
    until_more(&books, 100).await;

    // The coordinator dies in the middle of commits, and of a rebalance.
    for group in [FETCHERS, POLLERS] {
        let leader = coordinator(&cluster, group).await;
        fetchers.push(fetcher(&cluster));
        fetchers.remove(0).leave().await;
        cluster.kill(leader);
        until_more(&books, 100).await;
        cluster.start_node(leader);
        cluster.until_healthy().await;
    }

    // It hangs, comes back, and thinks that it still is the one.
    let leader = coordinator(&cluster, FETCHERS).await;
    cluster.pause(leader).await;
    until_more(&books, 100).await;
    cluster.resume(leader);
    until_more(&books, 100).await;

    let ledger = load.stop().await;
    for book in books {
        check(&cluster, &ledger, book).await;
    }
    for member in fetchers.into_iter().chain(pollers) {
        member.leave().await;
    }
    for watcher in watchers {
        watcher.stop().await;
    }
    eprintln!(
        "{} records: fetchers were given {} again, and refused {} stale commits; pollers {} again",
        by_fetch.given(),
        by_fetch.repeated(),
        by_fetch.fenced(),
        by_poll.repeated(),
    );
}
