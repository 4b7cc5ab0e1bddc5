//! Random walks over everything that can happen to a group, against what must hold at every step.

use super::fixtures::{group, join, member, spec, topics, topics_wanted, tp};
use super::target::{self, Topics};
use super::{
    Applied, Beat, Command, CommitRule, Committer, Group, GroupState, Groups, InstanceId, MemberId,
    OffsetCommit, Partitions, Target, TopicPartition,
};
use crate::error::Error;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::Offset;
use uuid::Uuid;

const MEMBERS: usize = 5;
const NAMES: &[&str] = &["t", "u"];

/// What happens; members are numbered, and so are the names' first letters.
#[derive(Debug, Clone)]
enum Step {
    Join {
        member: usize,
        wants: usize,
        is_static: bool,
    },
    Leave {
        member: usize,
    },
    Expire {
        member: usize,
    },
    Subscribe {
        member: usize,
        wants: usize,
    },
    /// The leader computes what is due.
    Compute,
    /// What was computed is applied, however old it is.
    Assign,
    /// A heartbeat with a generation that is so much behind the newest.
    Beat {
        member: usize,
        behind: u32,
    },
    Revoke {
        member: usize,
    },
    Commit {
        member: Option<usize>,
        behind: Option<u32>,
        name: usize,
        number: u32,
        offset: u64,
        is_forward: bool,
    },
    Topic {
        name: usize,
        partitions: u32,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    let wants = 0..NAMES.len() + 1;
    let commit = (
        prop::option::weighted(0.8, 0..MEMBERS),
        prop::option::of(0..3_u32),
        0..NAMES.len(),
        0..4_u32,
        0..10_u64,
        any::<bool>(),
    );
    prop_oneof![
        4 => (member.clone(), wants.clone(), any::<bool>())
            .prop_map(|(member, wants, is_static)| Step::Join { member, wants, is_static }),
        1 => member.clone().prop_map(|member| Step::Leave { member }),
        1 => member.clone().prop_map(|member| Step::Expire { member }),
        1 => (member.clone(), wants).prop_map(|(member, wants)| Step::Subscribe { member, wants }),
        4 => Just(Step::Compute),
        4 => Just(Step::Assign),
        12 => (member.clone(), prop_oneof![4 => Just(0), 1 => 1..3_u32])
            .prop_map(|(member, behind)| Step::Beat { member, behind }),
        1 => member.prop_map(|member| Step::Revoke { member }),
        6 => commit.prop_map(|(member, behind, name, number, offset, is_forward)| Step::Commit {
            member, behind, name, number, offset, is_forward
        }),
        1 => (0..NAMES.len(), 0..5_u32)
            .prop_map(|(name, partitions)| Step::Topic { name, partitions }),
        1 => Just(Step::Restart),
    ]
}

/// The groups, a replica that sees the encoded commands only, and what is outside.
struct Walk {
    groups: Groups,
    replica: Groups,
    counts: BTreeMap<&'static str, u32>,
    revision: u64,
    attempts: u128,
    computed: Option<Target>,
    /// What a correct coordinator has stored.
    offsets: BTreeMap<TopicPartition, u64>,
}

impl Walk {
    fn new() -> Self {
        Self {
            groups: Groups::default(),
            replica: Groups::default(),
            counts: BTreeMap::from([("t", 4), ("u", 2)]),
            revision: 1,
            attempts: 0,
            computed: None,
            offsets: BTreeMap::new(),
        }
    }

    fn topics(&self) -> Topics {
        let counts: Vec<_> = self.counts.iter().map(|(name, count)| (*name, *count)).collect();
        topics(self.revision, &counts)
    }

    fn group(&self) -> Arc<Group> {
        self.groups.group(&group("g")).map(Arc::clone).unwrap_or_default()
    }

    /// Applies a command on both replicas; a refused one changes nothing.
    fn apply(&mut self, command: &Command) -> Result<Applied, Error> {
        let before = self.groups.clone();
        let answer = self.groups.apply(command.clone());
        let bytes = storage::codec::encode(command);
        assert_eq!(self.replica.apply(storage::codec::decode(&bytes).unwrap()), answer);
        assert_eq!(self.replica, self.groups);
        if matches!(answer, Err(_) | Ok(Applied::Stale)) {
            assert_eq!(self.groups, before, "{command:?} was refused with {answer:?}");
        }
        answer
    }

    fn take(&mut self, step: &Step) {
        let at_ms = 1;
        match *step {
            Step::Join { member, wants, is_static } => self.join(member, wants, is_static),
            Step::Leave { member } => {
                drop(self.apply(&Command::Leave { group: group("g"), member: id(member), at_ms }));
            }
            Step::Expire { member } => {
                if let Ok(there) = self.group().member(&id(member)) {
                    let (attempt, epoch) = (there.spec().attempt, there.epoch());
                    let (group, member) = (group("g"), id(member));
                    let expire = Command::Expire { group, member, attempt, epoch, at_ms };
                    assert_eq!(self.apply(&expire), Ok(Applied::Done));
                }
            }
            Step::Subscribe { member, wants } => {
                let (group, member, subscription) = (group("g"), id(member), wanted(wants));
                drop(self.apply(&Command::Subscribe { group, member, subscription }));
            }
            Step::Compute => self.computed = target::due(&self.group(), &self.topics()),
            Step::Assign => {
                if let Some(target) = self.computed.clone() {
                    self.apply(&Command::Assign { group: group("g"), target })
                        .expect("a computed target is taken over or stale");
                }
            }
            Step::Beat { member, behind } => self.beat(&id(member), behind),
            Step::Revoke { member } => {
                let generation = self.group().generation();
                let (group, member) = (group("g"), id(member));
                drop(self.apply(&Command::Revoke { group, member, generation }));
            }
            Step::Commit { .. } => self.commit(step),
            Step::Topic { name, partitions } => {
                self.revision += 1;
                if partitions == 0 {
                    self.counts.remove(NAMES[name]);
                } else {
                    let count = self.counts.entry(NAMES[name]).or_default();
                    *count = partitions.max(*count);
                }
            }
            Step::Restart => {
                let bytes = storage::codec::encode(&self.groups);
                assert!(bytes.len() <= self.groups.encoded_bytes_max());
                let restored = Groups::decode(&bytes).unwrap();
                assert_eq!(restored, self.groups, "checkpoint and restore are the identity");
                self.groups = restored;
            }
        }
    }

    fn join(&mut self, number: usize, wants: usize, is_static: bool) {
        self.attempts += 1;
        let mut joining = spec(id(number).as_str(), &[]);
        joining.subscription = wanted(wants);
        joining.attempt = Uuid::from_u128(self.attempts);
        // Two members share an instance, so that one takes the other's place.
        joining.instance = is_static.then(|| InstanceId::new(&format!("i{}", number / 2)).unwrap());
        drop(self.apply(&join("g", joining)));
    }

    fn beat(&mut self, member: &MemberId, behind: u32) {
        let before = self.group();
        let Some(generation) = before.generation().checked_sub(behind) else { return };
        match before.beat(member, Some(generation)) {
            Err(_) => assert!(
                before.member(member).is_err()
                    || generation < before.member(member).unwrap().epoch()
            ),
            Ok(Beat::Steady(allotment)) => assert_eq!(Ok(allotment), before.allotment(member)),
            Ok(Beat::Acknowledge) => {
                let (group, id) = (group("g"), member.clone());
                let answer = self.apply(&Command::Acknowledge { group, member: id, generation });
                let Ok(Applied::Acknowledged(allotment)) = answer else { panic!("{answer:?}") };
                assert!(allotment.revoke.is_empty());
                // What does not move is never let go of.
                let was = before.member(member).unwrap();
                assert!(allotment.assigned.is_superset(&(was.owned() & was.target())));
            }
        }
    }

    /// A commit is taken exactly if its rules say so, and stores exactly what they say.
    fn commit(&mut self, step: &Step) {
        let Step::Commit { member, behind, name, number, offset, is_forward } = *step else {
            return;
        };
        let before = self.group();
        let generation = behind.and_then(|behind| before.generation().checked_sub(behind));
        let partition = tp(NAMES[name], number);
        let owner = before.owner(&partition);
        let may = match member.map(id) {
            None => owner.is_none(),
            Some(id) => before.member(&id).is_ok_and(|it| {
                owner == Some(&id) && generation.is_none_or(|said| said >= it.epoch())
            }),
        };
        let by = member
            .map_or(Committer::Nobody, |number| Committer::Member { id: id(number), generation });
        let command = Command::Commit {
            group: group("g"),
            by,
            offsets: vec![OffsetCommit {
                partition: partition.clone(),
                topic_id: Uuid::nil(),
                offset: Offset::new(offset),
                leader_epoch: None,
                metadata: "m".repeat(usize::try_from(offset).unwrap()),
            }],
            rule: if is_forward { CommitRule::Forward } else { CommitRule::Explicit },
            metadata_revision: self.revision,
            at_ms: 1,
        };
        assert_eq!(self.apply(&command).is_ok(), may, "{step:?}");
        if may {
            let stored = self.offsets.entry(partition).or_insert(offset);
            *stored = if is_forward { offset.max(*stored) } else { offset };
        }
    }

    /// What must hold at any time.
    fn check(&self) {
        let group = self.group();
        let mut owned = 0;
        let mut targets = BTreeSet::new();
        for (id, member) in group.members() {
            assert!(member.epoch() <= group.generation());
            assert!(member.owned().iter().all(|it| group.owner(it) == Some(id)));
            assert!(member.target().iter().all(|it| targets.insert(it.clone())), "two targets");
            assert!(member.epoch() < group.generation() || !member.has_to_release());
            owned += member.owned().len();
        }
        assert_eq!(owned, group.owners().len(), "every owned partition has one owner");
        let offsets: BTreeMap<_, _> = self
            .groups
            .offsets(&super::fixtures::group("g"))
            .into_iter()
            .flat_map(super::Offsets::iter)
            .map(|(partition, stored)| (partition.clone(), stored.offset.get()))
            .collect();
        assert_eq!(offsets, self.offsets, "offsets change by commits alone");
    }

    /// When nothing more happens and everybody beats, everybody gets its own, and nothing is left over.
    fn settle(&mut self) {
        for step in [Step::Compute, Step::Assign] {
            self.take(&step);
        }
        for _round in 0..2 {
            for member in 0..MEMBERS {
                self.take(&Step::Beat { member, behind: 0 });
            }
        }
        let group = self.group();
        let topics = self.topics();
        assert_eq!(target::due(&group, &topics), None);
        assert!(matches!(group.state(), GroupState::Stable | GroupState::Empty), "{group:?}");
        let mut wanted = Partitions::new();
        for (_, member) in group.members() {
            let super::Subscription::Topics(names) = &member.spec().subscription else { continue };
            for name in names {
                let count = topics.shapes.get(name).map_or(0, |shape| shape.partitions);
                wanted.extend((0..count).map(|number| tp(name.as_str(), number)));
            }
        }
        let owned: Partitions = group.owners().map(|(partition, _)| partition.clone()).collect();
        assert_eq!(owned, wanted);
    }
}

fn id(number: usize) -> MemberId {
    member(&format!("m{number}"))
}

fn wanted(wants: usize) -> super::Subscription {
    topics_wanted(NAMES.get(wants).map_or(NAMES, std::slice::from_ref))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_partition_has_one_owner_and_only_that_one_commits(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut walk = Walk::new();
        for step in &steps {
            walk.take(step);
            walk.check();
        }
        walk.settle();
        walk.check();
    }
}
