//! How things are: asked of every broker at once, with a short deadline; who does not answer is told
//! as down, and what it leads as leaderless if nobody else does.

use super::Inner;
use super::membership::voters_wanted;
use super::route::Errand;
use super::views::{HealthView, PartitionView, SettingView, TopicView};
use super::wire::{Ask, GroupStatus, NodeStatus, Reply};
use crate::error::Error;
use crate::metadata::settings::{Setting, TABLE};
use crate::metadata::{Image, METADATA_GROUP, Placed, Settings};
use crate::topic::{PartitionId, TopicName};
use futures::future::join_all;
use raft::{Group, GroupId, NodeId, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long a broker may take to tell its status.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// What the brokers told.
struct Told {
    leaders: BTreeMap<GroupId, (NodeId, GroupStatus)>,
    silent: Vec<NodeId>,
    broken: Vec<(NodeId, GroupId, String)>,
}

impl Inner {
    /// How this broker and its replicas are.
    pub(super) async fn status(&self, groups: Option<&[GroupId]>) -> NodeStatus {
        let asked: Vec<Group> = match groups {
            Some(groups) => groups.iter().filter_map(|group| self.node.group(*group)).collect(),
            None => self.node.groups(),
        };
        let leading =
            asked.into_iter().filter(|group| matches!(group.role(), Role::Leading { .. }));
        let groups = join_all(leading.map(|group| self.group_status(group))).await;
        NodeStatus { groups, broken: self.node.broken() }
    }

    async fn group_status(&self, group: Group) -> GroupStatus {
        let watermark = group.watermark();
        let leading = matches!(group.role(), Role::Leading { .. });
        let followers = group.replicas().unwrap_or_default();
        let mut in_sync: Vec<NodeId> =
            followers.iter().filter(|follower| follower.in_sync).map(|f| f.node).collect();
        in_sync.push(self.node.id());
        in_sync.sort_unstable();
        let log = group.log().clone();
        // It asks the file system.
        let size = tokio::task::spawn_blocking(move || log.disk_bytes()).await;
        GroupStatus {
            group: group.id(),
            leading,
            term: watermark.term.get(),
            log_start: watermark.log_start.get(),
            high_watermark: watermark.high_watermark.get(),
            in_sync: if leading { in_sync } else { Vec::new() },
            size_bytes: size.map_or(0, |size| size.unwrap_or(0)),
        }
    }

    /// Asks every broker.
    async fn gather(&self, image: &Image, groups: Option<Vec<GroupId>>) -> Told {
        let errand = Errand {
            group: METADATA_GROUP,
            name: "the status".into(),
            candidates: Vec::new(),
            ask: Ask::Status { groups: groups.clone() },
            payload: None,
            deadline: Instant::now() + STATUS_PATIENCE,
        };
        let asked = image.brokers().map(|broker| broker.id).map(|broker| {
            let (errand, groups) = (&errand, &groups);
            async move {
                if broker == self.node.id() {
                    return (broker, Some(self.status(groups.as_deref()).await));
                }
                match self.ask(broker, errand).await {
                    Ok(Ok(Reply::Status(status))) => (broker, Some(status)),
                    Ok(_) | Err(_) => (broker, None),
                }
            }
        });
        let mut told = Told { leaders: BTreeMap::new(), silent: Vec::new(), broken: Vec::new() };
        for (broker, status) in join_all(asked).await {
            match status {
                Some(status) => told.note(broker, status),
                None => told.silent.push(broker),
            }
        }
        told
    }

    pub(super) async fn describe(&self, name: &TopicName) -> Result<TopicView, Error> {
        let image = self.image();
        let topic = image.topic(name)?;
        let groups = topic.partitions.iter().map(|placed| placed.group).collect();
        let told = self.gather(&image, Some(groups)).await;
        let numbered = (0..).zip(&topic.partitions);
        Ok(TopicView {
            name: name.to_string(),
            id: topic.id,
            replication_factor: topic.replication_factor(),
            partitions: numbered.map(|(number, placed)| told.partition(number, placed)).collect(),
            config: setting_views(&topic.settings),
        })
    }

    pub(super) async fn health(&self) -> HealthView {
        let image = self.image();
        let told = self.gather(&image, None).await;
        let broken: Vec<String> = told
            .broken
            .iter()
            .map(|(node, group, why)| format!("{} on node {node}: {why}", image.name_of(*group)))
            .collect();
        let (leaderless, under_replicated) = told.missing(&image);
        let controller = self.metadata.leader().map(|leader| leader.0);
        let mut reasons = Vec::new();
        let mut reason = |count: usize, what: &str| {
            if count > 0 {
                reasons.push(format!("{count} {what}"));
            }
        };
        reason(usize::from(controller.is_none()), "metadata group without a leader");
        reason(told.silent.len(), "nodes down");
        reason(leaderless.len(), "partitions without a leader");
        reason(under_replicated.len(), "partitions with replicas out of sync");
        reason(broken.len(), "replicas stopped");
        reasons.extend(self.not_whole(&image));
        reasons.extend(self.store.failure().map(|why| format!("the disk of this node: {why}")));
        HealthView {
            healthy: reasons.is_empty(),
            reasons,
            controller,
            nodes_down: told.silent.iter().map(|node| node.0).collect(),
            leaderless,
            under_replicated,
            broken,
        }
    }
}

impl Inner {
    /// What the cluster still lacks of what it is to be: nodes, and copies of its metadata.
    fn not_whole(&self, image: &Image) -> Vec<String> {
        let (voters, _) = self.metadata.members();
        let absent = self.absent(image);
        let mut lacks: Vec<String> =
            absent.iter().map(|node| format!("node {node} has not registered yet")).collect();
        let wanted = voters_wanted(image.brokers().count());
        if voters.len() < wanted {
            let have = voters.len();
            lacks.push(format!("the metadata has {have} voters, {wanted} are to come"));
        }
        lacks
    }

    /// Nodes that belong to the cluster and have not registered yet.
    pub(super) fn absent(&self, image: &Image) -> Vec<NodeId> {
        let (voters, _) = self.metadata.members();
        let expected: BTreeSet<NodeId> =
            self.founders.iter().chain(&voters).copied().chain([self.me.id]).collect();
        expected.into_iter().filter(|node| image.broker(*node).is_none()).collect()
    }
}

impl Told {
    fn note(&mut self, broker: NodeId, status: NodeStatus) {
        for group in status.groups.into_iter().filter(|group| group.leading) {
            // Two may think they lead; the newer term does.
            let newer =
                self.leaders.get(&group.group).is_none_or(|(_, other)| other.term < group.term);
            if newer {
                self.leaders.insert(group.group, (broker, group));
            }
        }
        let stopped = status.broken.into_iter().map(|(group, why)| (broker, group, why));
        self.broken.extend(stopped);
    }

    fn partition(&self, partition: u32, placed: &Placed) -> PartitionView {
        let replicas = placed.replicas.iter().map(|node| node.0).collect();
        let leader = self.leaders.get(&placed.group);
        let status = leader.map(|(_, status)| status);
        PartitionView {
            partition,
            leader: leader.map(|(node, _)| node.0),
            leader_epoch: status.map(|status| status.term),
            replicas,
            in_sync: status.map_or_else(Vec::new, |status| in_sync(placed, status)),
            log_start_offset: status.map(|status| status.log_start),
            high_watermark: status.map(|status| status.high_watermark),
            size_bytes: status.map(|status| status.size_bytes),
        }
    }

    /// The partitions and coordinators without a leader, and those with replicas out of sync.
    fn missing(&self, image: &Image) -> (Vec<String>, Vec<String>) {
        let (mut leaderless, mut under_replicated) = (Vec::new(), Vec::new());
        let partitions = image.topics().flat_map(|(name, topic)| {
            let numbered = (0..).map(PartitionId).zip(&topic.partitions);
            numbered.map(move |(partition, placed)| (format!("{name}-{partition}"), placed))
        });
        for (name, placed) in partitions.chain(image.coordinators()) {
            match self.leaders.get(&placed.group) {
                None => leaderless.push(name),
                Some((_, status)) if in_sync(placed, status).len() < placed.replicas.len() => {
                    under_replicated.push(name);
                }
                Some(_) => {}
            }
        }
        (leaderless, under_replicated)
    }
}

/// The replicas in sync, in the order of the placement.
fn in_sync(placed: &Placed, status: &GroupStatus) -> Vec<u64> {
    let told: BTreeSet<NodeId> = status.in_sync.iter().copied().collect();
    placed.replicas.iter().filter(|node| told.contains(node)).map(|node| node.0).collect()
}

/// Every setting of the table with its value.
pub(super) fn setting_views(settings: &Settings) -> Vec<SettingView> {
    let view = |setting: &'static Setting| SettingView {
        name: setting.name.into(),
        value: settings.value(setting).into(),
        default: setting.default.into(),
        is_default: settings.is_default(setting),
        documentation: setting.documentation.into(),
    };
    TABLE.iter().map(view).collect()
}
