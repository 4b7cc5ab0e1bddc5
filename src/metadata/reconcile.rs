//! What a node has to do so that its groups are those the image gives it: a pure comparison.
//!
//! | on this node | in the image | do |
//! |---|---|---|
//! | not open | hosted here | open |
//! | open, kept otherwise | hosted here | tune its log |
//! | open or on disk | deleted | remove |
//! | on disk | not yet known (the image is still behind) | nothing |

use super::image::Image;
use super::settings::Tuning;
use raft::{GroupId, GroupSpec, NodeId};
use std::collections::BTreeMap;

/// A group's files on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// On disk, not open: left from before the start, or broken.
    Closed,
    /// Open, its log kept so.
    Open(Tuning),
    /// Could not be opened; an operator has to look.
    Broken,
}

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Groups to open.
    pub open: Vec<GroupSpec>,
    /// Groups to remove with their files.
    pub remove: Vec<GroupId>,
    /// Groups whose logs are to be kept otherwise.
    pub tune: Vec<(GroupId, Tuning)>,
}

impl Plan {
    /// Compares what `node` holds with what the image gives it. Coordinators' logs are kept as `commands`
    /// says.
    pub fn new(
        image: &Image,
        node: NodeId,
        held: &BTreeMap<GroupId, Held>,
        commands: Tuning,
    ) -> Self {
        let mut plan = Self::default();
        for (topic, placed) in image.hosted_by(node) {
            let tuning = topic.settings.tuning();
            match held.get(&placed.group) {
                None | Some(Held::Closed) => plan.open.push(GroupSpec {
                    id: placed.group,
                    voters: placed.replicas.clone(),
                    flush: tuning.flush,
                    roll: tuning.roll,
                }),
                Some(Held::Open(old)) if *old != tuning => plan.tune.push((placed.group, tuning)),
                Some(Held::Open(_) | Held::Broken) => {}
            }
        }
        for placed in image.coordinators_on(node) {
            match held.get(&placed.group) {
                None | Some(Held::Closed) => plan.open.push(GroupSpec {
                    id: placed.group,
                    voters: placed.replicas.clone(),
                    flush: commands.flush,
                    roll: commands.roll,
                }),
                Some(Held::Open(_) | Held::Broken) => {}
            }
        }
        plan.remove = held.keys().copied().filter(|group| image.is_deleted(*group)).collect();
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Command, Registration, Settings};
    use crate::topic::TopicName;
    use raft::{FlushPolicy, Roll};
    use uuid::Uuid;

    /// Groups 1 and 2 on nodes 1 and 2; group 3 on node 2; group 4 deleted.
    fn image() -> Image {
        let mut image = Image::default();
        for id in 1..=2 {
            let broker = Registration {
                id: NodeId(id),
                http: String::new(),
                peer: String::new(),
                rack: None,
                disk: Uuid::nil(),
            };
            image.apply(Command::Register(broker)).unwrap();
        }
        for (name, placement) in [
            ("a", vec![vec![NodeId(1), NodeId(2)]; 2]),
            ("b", vec![vec![NodeId(2)]]),
            ("gone", vec![vec![NodeId(1)]]),
        ] {
            let command = Command::CreateTopic {
                name: TopicName::new(name).unwrap(),
                id: Uuid::nil(),
                placed_at: image.revision(),
                placement,
                settings: BTreeMap::new(),
            };
            image.apply(command).unwrap();
        }
        let name = TopicName::new("gone").unwrap();
        image.apply(Command::DeleteTopic { name, id: Uuid::nil() }).unwrap();
        image
    }

    /// What the first node has to do.
    fn plan_of(image: &Image, held: &BTreeMap<GroupId, Held>) -> Plan {
        Plan::new(image, NodeId(1), held, Tuning::of_commands(64 << 10))
    }

    fn plan(held: &[(u64, Held)]) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
        let held = held.iter().map(|(id, held)| (GroupId::new(*id), *held)).collect();
        let plan = plan_of(&image(), &held);
        (
            plan.open.iter().map(|spec| spec.id.get()).collect(),
            plan.remove.iter().map(|id| id.get()).collect(),
            plan.tune.iter().map(|(id, _)| id.get()).collect(),
        )
    }

    #[test]
    fn hosted_groups_are_opened_with_all_their_replicas() {
        assert_eq!(plan(&[(1, Held::Closed)]), (vec![1, 2], vec![], vec![]));
        let spec = plan_of(&image(), &BTreeMap::new()).open.remove(0);
        assert_eq!(spec.voters, [NodeId(1), NodeId(2)]);
    }

    #[test]
    fn hosted_coordinators_are_opened_and_kept_as_logs_of_commands() {
        let mut image = image();
        let placement = vec![vec![NodeId(1)], vec![NodeId(2)]];
        let placed_at = image.revision();
        image.apply(Command::CreateCoordinators { placed_at, placement }).unwrap();
        let open = plan_of(&image, &BTreeMap::new()).open;
        let coordinator = open.last().unwrap();
        assert_eq!(
            (open.len(), coordinator.id, &coordinator.voters[..]),
            (3, GroupId::new(5), &[NodeId(1)][..])
        );
        let tuning = |spec: &GroupSpec| Tuning { flush: spec.flush, roll: spec.roll };
        assert_eq!(tuning(coordinator), Tuning::of_commands(64 << 10));
        let held = open.iter().map(|spec| (spec.id, Held::Open(tuning(spec)))).collect();
        assert!(plan_of(&image, &held).open.is_empty());
    }

    #[test]
    fn a_log_that_is_to_be_kept_otherwise_is_tuned() {
        let other = Tuning { flush: FlushPolicy::Os, ..usual() };
        let held = [(1, Held::Open(other)), (2, Held::Open(usual()))];
        assert_eq!(plan(&held), (vec![], vec![], vec![1]));
        let other = Tuning { roll: Roll { bytes: Some(1 << 20), ms: None }, ..usual() };
        let held = [(1, Held::Open(usual())), (2, Held::Open(other))];
        assert_eq!(plan(&held), (vec![], vec![], vec![2]));
    }

    /// How the logs of a topic without settings are kept.
    fn usual() -> Tuning {
        Settings::default().tuning()
    }

    #[test]
    fn a_log_that_is_kept_as_it_should_be_is_left_alone() {
        let held = [(1, Held::Open(usual())), (2, Held::Open(usual()))];
        assert_eq!(plan(&held), (vec![], vec![], vec![]));
    }

    #[test]
    fn a_deleted_group_is_removed_open_or_not() {
        for state in [Held::Closed, Held::Open(usual()), Held::Broken] {
            assert_eq!(plan(&[(4, state)]).1, [4]);
        }
    }

    #[test]
    fn a_group_the_image_does_not_know_yet_is_left_alone() {
        assert_eq!(plan(&[(5, Held::Closed)]), (vec![1, 2], vec![], vec![]));
    }

    #[test]
    fn the_metadata_group_is_never_removed() {
        assert_eq!(plan(&[(0, Held::Open(usual()))]).1, [0; 0]);
    }

    #[test]
    fn a_broken_group_waits_for_its_operator() {
        assert_eq!(plan(&[(1, Held::Broken), (2, Held::Broken)]), (vec![], vec![], vec![]));
    }
}
