//! What the fold over all groups adds to a single group: offsets, removal, and the bounds.

use super::super::limits::{MEMBERS_MAX, METADATA_BYTES_MAX};
use super::super::offsets::{self, CommitRule};
use super::super::target::{self, TopicShape};
use super::super::topic_partition::TopicPartition;
use super::*;
use crate::coordinator::fixtures::{group, join, member, partitions, spec, topics, tp};
use storage::Offset;
use uuid::Uuid;

const T: Uuid = Uuid::from_u128(0x0174);

fn row(partition: TopicPartition, offset: u64) -> OffsetCommit {
    OffsetCommit {
        partition,
        topic_id: T,
        offset: Offset::new(offset),
        leader_epoch: None,
        metadata: String::new(),
    }
}

fn commit(name: &str, rule: CommitRule, offsets: Vec<OffsetCommit>) -> Command {
    Command::Commit {
        group: group(name),
        by: Committer::Nobody,
        offsets,
        rule,
        metadata_revision: 1,
        at_ms: 70,
    }
}

fn explicit(name: &str, offsets: Vec<OffsetCommit>) -> Command {
    commit(name, CommitRule::Explicit, offsets)
}

fn stored(groups: &Groups, name: &str, partition: &TopicPartition) -> Option<u64> {
    groups.offsets(&group(name)).unwrap().get(partition).map(|stored| stored.offset.get())
}

/// `m` owns both partitions of `t`.
fn consuming() -> Groups {
    let mut groups = Groups::default();
    groups.apply(join("g", spec("m", &["t"]))).unwrap();
    let target = target::due(groups.group(&group("g")).unwrap(), &topics(1, &[("t", 2)])).unwrap();
    groups.apply(Command::Assign { group: group("g"), target }).unwrap();
    let acknowledge =
        Command::Acknowledge { group: group("g"), member: member("m"), generation: 1 };
    groups.apply(acknowledge).unwrap();
    groups
}

#[track_caller]
fn refused(groups: &mut Groups, command: Command) -> Error {
    let before = groups.clone();
    let error = groups.apply(command).unwrap_err();
    assert_eq!(*groups, before, "what is refused changes nothing");
    error
}

mod a_command_to_an_unknown_group {
    use super::*;

    #[test]
    fn is_refused_naming_it() {
        let (group, member) = (|| group("g"), || member("m"));
        let commands = [
            Command::Leave { group: group(), member: member(), at_ms: 0 },
            Command::Acknowledge { group: group(), member: member(), generation: 0 },
            Command::DeleteGroup { group: group() },
            Command::DeleteOffsets { group: group(), partitions: Partitions::new() },
            Command::Commit {
                group: group(),
                by: Committer::Member { id: member(), generation: None },
                offsets: vec![],
                rule: CommitRule::Forward,
                metadata_revision: 0,
                at_ms: 0,
            },
        ];
        for command in commands {
            let error = refused(&mut Groups::default(), command);
            assert_eq!((error.kind, &*error.message), (ErrorKind::UnknownGroup, "no group g"));
        }
    }

    #[test]
    fn is_stale_if_the_leader_decided_to_abandon_it() {
        let abandon = Command::Abandon { group: group("g"), idle_since_ms: 0 };
        assert_eq!(Groups::default().apply(abandon), Ok(Applied::Stale));
    }
}

mod offsets_are {
    use super::*;

    #[test]
    fn stored_by_nobody_in_a_group_that_is_made_for_it() {
        let mut groups = Groups::default();
        groups.apply(explicit("g", vec![row(tp("t", 1), 7)])).unwrap();
        assert_eq!(stored(&groups, "g", &tp("t", 1)), Some(7));
    }

    #[test]
    fn stored_all_or_none() {
        let mut groups = consuming();
        let rows = vec![row(tp("t", 0), 1), row(tp("u", 0), 1)];
        let command = Command::Commit {
            group: group("g"),
            by: Committer::Member { id: member("m"), generation: Some(1) },
            offsets: rows,
            rule: CommitRule::Explicit,
            metadata_revision: 1,
            at_ms: 0,
        };
        assert_eq!(refused(&mut groups, command).kind, ErrorKind::NotOwner);
    }

    #[test]
    fn moved_back_by_an_explicit_commit_alone() {
        let mut groups = Groups::default();
        groups.apply(explicit("g", vec![row(tp("t", 0), 9), row(tp("t", 1), 9)])).unwrap();
        let rows = vec![row(tp("t", 0), 8), row(tp("t", 1), 10)];
        groups.apply(commit("g", CommitRule::Forward, rows)).unwrap();
        assert_eq!(stored(&groups, "g", &tp("t", 0)), Some(9));
        assert_eq!(stored(&groups, "g", &tp("t", 1)), Some(10));
        groups.apply(explicit("g", vec![row(tp("t", 0), 8)])).unwrap();
        assert_eq!(stored(&groups, "g", &tp("t", 0)), Some(8));
    }

    #[test]
    fn not_compared_with_those_of_a_topic_of_the_same_name() {
        let mut groups = Groups::default();
        groups.apply(explicit("g", vec![row(tp("t", 0), 9)])).unwrap();
        let anew = OffsetCommit { topic_id: Uuid::from_u128(5), ..row(tp("t", 0), 1) };
        groups.apply(commit("g", CommitRule::Forward, vec![anew])).unwrap();
        assert_eq!(stored(&groups, "g", &tp("t", 0)), Some(1));
    }

    #[test]
    fn kept_when_their_member_goes() {
        let mut groups = consuming();
        let by = Committer::Member { id: member("m"), generation: Some(1) };
        let Command::Commit { group, offsets, rule, metadata_revision, at_ms, .. } =
            explicit("g", vec![row(tp("t", 0), 3)])
        else {
            panic!()
        };
        let command = Command::Commit { group, by, offsets, rule, metadata_revision, at_ms };
        groups.apply(command).unwrap();
        let (group, member) = (super::group("g"), member("m"));
        groups.apply(Command::Leave { group, member, at_ms: 0 }).unwrap();
        assert_eq!(stored(&groups, "g", &tp("t", 0)), Some(3));
    }

    #[test]
    fn deleted_unless_a_member_owns_the_partition() {
        let mut groups = consuming();
        let delete = |name: &str| Command::DeleteOffsets {
            group: group("g"),
            partitions: partitions(name, 0..1),
        };
        let error = refused(&mut groups, delete("t"));
        assert_eq!(error.kind, ErrorKind::GroupNotEmpty);
        assert_eq!(error.message, "t-0 belongs to member m");
        groups.apply(explicit("g", vec![row(tp("u", 0), 3)])).unwrap();
        groups.apply(delete("u")).unwrap();
        assert_eq!(stored(&groups, "g", &tp("u", 0)), None);
    }

    #[test]
    fn refused_with_too_much_metadata() {
        let metadata = "x".repeat(METADATA_BYTES_MAX + 1);
        let error = offsets::check(&[OffsetCommit { metadata, ..row(tp("t", 3), 0) }]).unwrap_err();
        assert_eq!(error.message, "t-3: metadata of 4097 bytes; the limit is 4096");
        let metadata = "x".repeat(METADATA_BYTES_MAX);
        let many = vec![OffsetCommit { metadata, ..row(tp("t", 3), 0) }; 1024];
        let error = offsets::check(&many).unwrap_err();
        assert!(error.message.ends_with("a commit has at most 4194304"), "{error}");
        assert_eq!(offsets::check(&many[..1000]), Ok(()));
    }
}

mod offsets_of_a_topic {
    use super::*;

    /// Offset 5 of `t-0`, stored at revision 1 of the metadata.
    fn one() -> Groups {
        let mut groups = Groups::default();
        groups.apply(explicit("g", vec![row(tp("t", 0), 5)])).unwrap();
        groups
    }

    fn with_id(revision: u64, id: Uuid) -> Topics {
        let mut topics = topics(revision, &[("t", 1)]);
        topics.shapes.values_mut().for_each(|shape| *shape = TopicShape { id, partitions: 1 });
        topics
    }

    #[test]
    fn that_exists_stay() {
        assert_eq!(one().orphans(&with_id(9, T)), []);
    }

    #[test]
    fn that_is_gone_or_made_anew_are_orphans_and_go() {
        for gone in [topics(1, &[]), with_id(1, Uuid::from_u128(5))] {
            let mut groups = one();
            let orphans = groups.orphans(&gone);
            let orphan = Orphan { group: group("g"), partition: tp("t", 0), topic_id: T };
            assert_eq!(orphans, [orphan]);
            groups.apply(Command::DropOffsets { orphans }).unwrap();
            assert_eq!(stored(&groups, "g", &tp("t", 0)), None);
        }
    }

    #[test]
    fn that_we_have_not_heard_of_yet_stay() {
        assert_eq!(one().orphans(&topics(0, &[])), []);
    }

    #[test]
    fn that_was_made_anew_since_the_leader_decided_stay() {
        let mut groups = one();
        let orphans = groups.orphans(&topics(1, &[]));
        let anew = OffsetCommit { topic_id: Uuid::from_u128(5), ..row(tp("t", 0), 1) };
        groups.apply(explicit("g", vec![anew])).unwrap();
        groups.apply(Command::DropOffsets { orphans }).unwrap();
        assert_eq!(stored(&groups, "g", &tp("t", 0)), Some(1));
    }
}

mod a_group {
    use super::*;

    #[test]
    fn with_members_is_not_deleted() {
        let error = refused(&mut consuming(), Command::DeleteGroup { group: group("g") });
        assert_eq!(error.kind, ErrorKind::GroupNotEmpty);
        assert_eq!(error.message, "the group has members: 1");
    }

    #[test]
    fn without_members_is_deleted_with_its_offsets() {
        let mut groups = Groups::default();
        groups.apply(explicit("g", vec![row(tp("t", 0), 1)])).unwrap();
        groups.apply(Command::DeleteGroup { group: group("g") }).unwrap();
        assert_eq!(groups, Groups::default());
    }

    #[test]
    fn that_nobody_used_for_long_is_abandoned() {
        let mut groups = consuming();
        assert_eq!(groups.abandoned(i64::MAX, 0), []);
        let (name, member) = (group("g"), member("m"));
        groups.apply(Command::Leave { group: name.clone(), member, at_ms: 50 }).unwrap();
        assert_eq!(groups.abandoned(149, 100), []);
        let decided = groups.abandoned(150, 100);
        assert_eq!(decided, [Command::Abandon { group: name.clone(), idle_since_ms: 50 }]);
        // A commit at 70 shows that it is used.
        let mut used = groups.clone();
        used.apply(explicit("g", vec![])).unwrap();
        assert_eq!(used.apply(decided[0].clone()), Ok(Applied::Stale));
        assert_eq!(groups.apply(decided[0].clone()), Ok(Applied::Done));
        assert!(groups.group(&name).is_err());
    }
}

mod beyond_the_limit {
    use super::*;

    #[test]
    fn of_groups_none_is_made() {
        let mut groups = Groups::default();
        for number in 0..GROUPS_MAX {
            groups.apply(explicit(&format!("g{number}"), vec![])).unwrap();
        }
        for command in [explicit("x", vec![]), join("x", spec("m", &["t"]))] {
            let error = refused(&mut groups, command);
            assert_eq!(error.kind, ErrorKind::GroupFull);
            assert_eq!(error.message, "the coordinator has 1000 groups; the limit is 1000");
        }
        groups.apply(explicit("g0", vec![])).unwrap();
    }

    #[test]
    fn of_offsets_none_is_stored() {
        let mut groups = Groups::default();
        let count = u32::try_from(OFFSETS_MAX).unwrap();
        let rows = partitions("t", 0..count).into_iter().map(|partition| row(partition, 0));
        groups.apply(explicit("g", rows.collect())).unwrap();
        let error = refused(&mut groups, explicit("h", vec![row(tp("t", 0), 0)]));
        assert_eq!(error.kind, ErrorKind::GroupFull);
        let why = "50001 committed offsets; a coordinator holds at most 50000";
        assert_eq!(error.message, why);
        groups.apply(explicit("g", vec![row(tp("t", 0), 1)])).unwrap();
    }

    #[test]
    fn of_bytes_nothing_grows_and_everything_shrinks() {
        let mut groups = Groups::default();
        let metadata = "x".repeat(METADATA_BYTES_MAX);
        let full = |number| {
            let row = OffsetCommit { metadata: metadata.clone(), ..row(tp("t", number), 0) };
            explicit("g", vec![row])
        };
        let refusal = (0..).find_map(|number| groups.apply(full(number)).err()).unwrap();
        assert_eq!(refusal.kind, ErrorKind::GroupFull);
        assert!(refusal.message.ends_with("the limit is 12582912"), "{refusal}");
        assert!(storage::codec::encode(&groups).len() <= STATE_BYTES_MAX);

        let error = refused(&mut groups, join("h", long_member()));
        assert_eq!(error.kind, ErrorKind::GroupFull);
        let partitions = partitions("t", 0..10);
        groups.apply(Command::DeleteOffsets { group: group("g"), partitions }).unwrap();
        groups.apply(join("h", long_member())).unwrap();
    }

    #[test]
    fn of_bytes_a_state_of_many_small_things_is_still_read_back() {
        // The codec's limit counts more than the bytes there are where numbers are small.
        let mut groups = Groups::default();
        let member = |number: usize| {
            let name = format!("g{}", number / MEMBERS_MAX);
            join(&name, spec(&format!("{number}"), &[]))
        };
        let refusal = (0..).find_map(|number| groups.apply(member(number)).err()).unwrap();
        assert!(refusal.message.ends_with("the limit is 12582912"), "{refusal}");
        assert_eq!(Groups::decode(&storage::codec::encode(&groups)).unwrap(), groups);
    }

    fn long_member() -> MemberSpec {
        let mut spec = spec("m", &["t"]);
        spec.settings.insert("k".into(), "v".repeat(4000));
        spec
    }
}
