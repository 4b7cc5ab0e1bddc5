//! What members of consumer groups say: one request, one outcome, like everything else.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Client, Failure, as_read, refused, unsent};
use crate::cluster::words;
use crate::history::{GroupView, Key};

/// What a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The group's newest generation.
    pub generation: u64,
    /// What the member may read.
    pub assigned: Vec<Key>,
}

#[derive(Deserialize)]
struct Place {
    topic: String,
    partition: u32,
}

#[derive(Deserialize)]
struct ShareBody {
    generation: u64,
    assigned: Vec<Place>,
}

#[derive(Deserialize)]
struct CommittedBody {
    offsets: Vec<CommittedRow>,
}

#[derive(Deserialize)]
struct CommittedRow {
    topic: String,
    partition: u32,
    offset: Option<u64>,
}

#[derive(Deserialize)]
struct GroupBody {
    state: String,
    generation: u64,
    members: Vec<MemberBody>,
}

#[derive(Deserialize)]
struct MemberBody {
    member_id: String,
    target: Vec<Place>,
}

impl Client {
    fn keys_of(&self, places: Vec<Place>) -> Vec<Key> {
        let ours = places.into_iter().filter(|place| place.topic == self.topic);
        ours.map(|place| Key(place.partition)).collect()
    }

    fn share(&self, body: ShareBody) -> Share {
        Share { generation: body.generation, assigned: self.keys_of(body.assigned) }
    }

    pub(super) fn timed(&self, path: &str) -> String {
        format!("{path}?timeout_ms={}", self.patience.as_millis())
    }

    /// A member comes, under an id of its own choice; it fetches by itself.
    pub async fn join(
        &self,
        node: u8,
        group: &str,
        member: &str,
        timeout: Duration,
    ) -> Result<Share, Failure> {
        let ms = timeout.as_millis();
        let wish = json!({
            "topics": [self.topic],
            "member_id": member,
            "delivery": "client",
            "auto_commit": false,
            "session_timeout_ms": ms,
            "rebalance_timeout_ms": ms,
        });
        let path = self.timed(&format!("groups/{group}/members"));
        let request = self.at(Method::POST, node, &path).json(&wish);
        let body: ShareBody = told(said(request, StatusCode::CREATED).await?).await?;
        Ok(self.share(body))
    }

    /// A sign of life that acknowledges a generation.
    pub async fn heartbeat(
        &self,
        node: u8,
        group: &str,
        member: &str,
        generation: u64,
    ) -> Result<Share, Failure> {
        let path = self.timed(&format!("groups/{group}/members/{member}/heartbeat"));
        let request = self.at(Method::POST, node, &path).json(&json!({"generation": generation}));
        let body: ShareBody = told(said(request, StatusCode::OK).await?).await?;
        Ok(self.share(body))
    }

    /// A member goes.
    pub async fn leave(&self, node: u8, group: &str, member: &str) -> Result<(), Failure> {
        let path = self.timed(&format!("groups/{group}/members/{member}"));
        said(self.at(Method::DELETE, node, &path), StatusCode::NO_CONTENT).await.map(drop)
    }

    /// A member commits, in a generation that it has acknowledged.
    pub async fn commit(
        &self,
        node: u8,
        group: &str,
        (member, generation): (&str, u64),
        offsets: &BTreeMap<Key, u64>,
    ) -> Result<(), Failure> {
        let row = |(key, offset): (&Key, &u64)| json!({"topic": self.topic, "partition": key.0, "offset": offset});
        let rows: Vec<Value> = offsets.iter().map(row).collect();
        let commit = json!({"offsets": rows, "member_id": member, "generation": generation});
        let path = self.timed(&format!("groups/{group}/offsets"));
        let request = self.at(Method::PUT, node, &path).json(&commit);
        said(request, StatusCode::NO_CONTENT).await.map(drop)
    }

    /// What a group has committed of these partitions.
    pub async fn committed(
        &self,
        node: u8,
        group: &str,
        keys: &[Key],
    ) -> Result<BTreeMap<Key, Option<u64>>, Failure> {
        let which: Vec<String> =
            keys.iter().map(|key| format!("{}:{}", self.topic, key.0)).collect();
        let path = self.timed(&format!("groups/{group}/offsets"));
        let path = format!("{path}&partitions={}", which.join(","));
        let answer = self.at(Method::GET, node, &path).send().await;
        let answer = answer.map_err(|error| Failure::Fail(words(&error)))?;
        if answer.status() != StatusCode::OK {
            return Err(as_read(refused(answer).await));
        }
        let body: CommittedBody = told(answer).await.map_err(as_read)?;
        let ours = body.offsets.into_iter().filter(|row| row.topic == self.topic);
        Ok(ours.map(|row| (Key(row.partition), row.offset)).collect())
    }

    /// A group as its coordinator sees it; all of its members want all of `keys`.
    pub async fn describe_group(
        &self,
        node: u8,
        group: &str,
        keys: &[Key],
    ) -> Result<GroupView, Failure> {
        let answer = self.at(Method::GET, node, &format!("groups/{group}")).send().await;
        let answer = answer.map_err(|error| Failure::Fail(words(&error)))?;
        if answer.status() != StatusCode::OK {
            return Err(as_read(refused(answer).await));
        }
        let body: GroupBody = told(answer).await.map_err(as_read)?;
        let members = body.members.into_iter();
        Ok(GroupView {
            group: group.to_owned(),
            generation: Some(body.generation),
            stable: body.state == "stable",
            members: members.map(|one| (one.member_id, self.keys_of(one.target))).collect(),
            subscribed: keys.to_vec(),
        })
    }
}

/// Sends something that changes the group.
async fn said(request: RequestBuilder, good: StatusCode) -> Result<Response, Failure> {
    let answer = request.send().await.map_err(|error| unsent(&error))?;
    if answer.status() == good { Ok(answer) } else { Err(refused(answer).await) }
}

async fn told<T: DeserializeOwned>(answer: Response) -> Result<T, Failure> {
    answer.json().await.map_err(|error| Failure::Info(words(&error)))
}
