//! The calls of consumer groups by name.

use super::{Call, Client, Error};
use crate::coordinator::{Assignor, TopicPartition};
use crate::path::segment;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Partitions asked for in one request: they are named in its URL.
const NAMED_MAX: usize = 20;

/// A member to be, which fetches its records itself.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewMember {
    /// The topics it wants a share of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<BTreeSet<String>>,
    /// Or a share of every topic whose whole name matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_pattern: Option<String>,
    /// Its vote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor: Option<String>,
    /// How long it may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_timeout_ms: Option<u64>,
    /// How long it may keep what it is to give away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebalance_timeout_ms: Option<u64>,
    /// A name that stays over restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// What it calls itself.
    pub client_id: String,
}

/// What a member has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Share {
    /// The group's newest generation.
    pub generation: u32,
    /// What it may read.
    pub assigned: BTreeSet<TopicPartition>,
    /// What it is to stop reading.
    pub revoke: BTreeSet<TopicPartition>,
    /// What it is to have once others have let it go.
    pub awaited: BTreeSet<TopicPartition>,
}

/// A member that is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Joined {
    /// Its id.
    pub member_id: String,
    /// How often it should be heard.
    pub heartbeat_interval_ms: u64,
    /// What it has.
    #[serde(flatten)]
    pub share: Share,
}

/// A member's sign of life.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat<'a> {
    /// Its group.
    pub group: &'a str,
    /// The member.
    pub member: &'a str,
    /// What it acknowledges.
    pub generation: Option<u32>,
    /// How long the broker may wait with its answer if there are no news.
    pub wait: Duration,
}

/// How far a group has come in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// The partition.
    #[serde(flatten)]
    pub at: TopicPartition,
    /// The next offset to read.
    pub offset: u64,
    /// Whatever is to be found with it.
    pub metadata: String,
}

/// What a group has committed in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Committed {
    /// The partition.
    #[serde(flatten)]
    pub at: TopicPartition,
    /// The next offset to read; `None` if nothing was committed.
    pub offset: Option<u64>,
    /// What was stored with it.
    #[serde(default)]
    pub metadata: String,
}

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committer {
    /// The member.
    pub member: String,
    /// The generation that it has acknowledged.
    pub generation: Option<u32>,
}

impl Commit {
    /// Up to an offset, without metadata.
    pub fn new(at: TopicPartition, offset: u64) -> Self {
        Self { at, offset, metadata: String::new() }
    }
}

/// The name as the broker takes it.
pub(super) const fn assignor_name(assignor: Assignor) -> &'static str {
    match assignor {
        Assignor::Sticky => "sticky",
        Assignor::RoundRobin => "roundrobin",
        Assignor::Range => "range",
    }
}

fn group_path(group: &str, what: &str) -> String {
    format!("/v1/groups/{}{what}", segment(group))
}

fn member_path(group: &str, member: &str, what: &str) -> String {
    group_path(group, &format!("/members/{}{what}", segment(member)))
}

impl Client {
    /// Joins a group.
    pub async fn join_group(&self, group: &str, member: &NewMember) -> Result<Joined, Error> {
        #[derive(Serialize)]
        struct Joining<'a> {
            delivery: &'static str,
            #[serde(flatten)]
            member: &'a NewMember,
        }
        let joining = Joining { delivery: "client", member };
        // A member of which nobody knows is gone after its session: harmless.
        let call = Call::new(Method::POST, group_path(group, "/members")).repeatable();
        self.call(&call.json(&joining)).await?.json()
    }

    /// A sign of life; an answer that takes longer than `patience` is lost.
    pub async fn heartbeat(&self, sign: Heartbeat<'_>, patience: Duration) -> Result<Share, Error> {
        #[derive(Serialize)]
        struct Beat {
            #[serde(skip_serializing_if = "Option::is_none")]
            generation: Option<u32>,
            wait_ms: u128,
        }
        let Heartbeat { group, member, generation, wait } = sign;
        let beat = Beat { generation, wait_ms: wait.as_millis() };
        let call = Call::new(Method::POST, member_path(group, member, "/heartbeat")).repeatable();
        self.call_within(&call.json(&beat), patience).await?.json()
    }

    /// Leaves a group.
    pub async fn leave_group(&self, group: &str, member: &str) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, member_path(group, member, "")).repeatable();
        self.call(&call).await.map(drop)
    }

    /// Commits offsets, all or none; for a partition that a member has, only that member can.
    pub async fn commit(
        &self,
        group: &str,
        by: Option<&Committer>,
        offsets: &[Commit],
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            offsets: &'a [Commit],
            #[serde(skip_serializing_if = "Option::is_none")]
            member_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            generation: Option<u32>,
        }
        let body = Body {
            offsets,
            member_id: by.map(|by| by.member.as_str()),
            generation: by.and_then(|by| by.generation),
        };
        let call = Call::new(Method::PUT, group_path(group, "/offsets")).repeatable();
        self.call(&call.json(&body)).await.map(drop)
    }

    /// What a group has committed in these partitions.
    pub async fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Committed>, Error> {
        #[derive(Deserialize)]
        struct Body {
            offsets: Vec<Committed>,
        }
        let mut found = Vec::with_capacity(partitions.len());
        for some in partitions.chunks(NAMED_MAX) {
            let named: Vec<String> =
                some.iter().map(|at| format!("{}:{}", at.topic, at.partition)).collect();
            let named = format!("/offsets?partitions={}", named.join(","));
            let Body { offsets } =
                self.call(&Call::get(group_path(group, &named))).await?.json()?;
            found.extend(offsets);
        }
        Ok(found)
    }
}
