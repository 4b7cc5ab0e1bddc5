//! One test a row of each of a group's decisions, and what a rebalance looks like from the outside.

use super::*;
use crate::coordinator::fixtures::{member, partitions, spec, topics, topics_wanted, tp};
use crate::coordinator::target::{self, Topics};

const AT: i64 = 1000;

fn instance(spec: MemberSpec, instance: &str) -> MemberSpec {
    MemberSpec { instance: Some(InstanceId::new(instance).unwrap()), ..spec }
}

fn again(spec: MemberSpec) -> MemberSpec {
    MemberSpec { attempt: Uuid::from_u128(spec.attempt.as_u128() + 1), ..spec }
}

/// Four partitions, revision 1.
fn four() -> Topics {
    topics(1, &[("t", 4)])
}

/// Computes and takes over the target that is due.
fn rebalance(group: &mut Group, topics: &Topics) {
    let target = target::due(group, topics).expect("a target is due");
    assert_eq!(group.assign(target), Ok(Applied::Done));
}

/// The member says the newest generation.
fn acknowledge(group: &mut Group, id: &str) -> Allotment {
    group.acknowledge(&member(id), group.generation()).unwrap()
}

/// `a` alone with all four partitions, in generation 1.
fn alone() -> Group {
    let mut group = Group::default();
    group.join(spec("a", &["t"]), AT).unwrap();
    rebalance(&mut group, &four());
    acknowledge(&mut group, "a");
    group
}

/// `a` owns all four, and the target of generation 2 gives two of them to `b`.
fn moving() -> Group {
    let mut group = alone();
    group.join(spec("b", &["t"]), AT).unwrap();
    rebalance(&mut group, &four());
    group
}

/// `a` and `b` own two each, in generation 2.
fn two() -> Group {
    let mut group = moving();
    acknowledge(&mut group, "a");
    acknowledge(&mut group, "b");
    group
}

fn kind<T: fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("it is refused").kind
}

fn owned(group: &Group, id: &str) -> Partitions {
    group.member(&member(id)).unwrap().owned().clone()
}

mod states {
    use super::*;

    #[test]
    fn a_group_without_members_is_empty() {
        assert_eq!(Group::default().state(), GroupState::Empty);
        let mut group = alone();
        group.leave(&member("a"), AT).unwrap();
        assert_eq!((group.state(), group.emptied_at_ms()), (GroupState::Empty, Some(AT)));
    }

    #[test]
    fn a_group_whose_members_changed_since_the_target_is_assigning() {
        let mut group = two();
        let changes: [fn(&mut Group); 3] = [
            |group| drop(group.join(spec("c", &["t"]), AT).unwrap()),
            |group| drop(group.subscribe(&member("a"), topics_wanted(&["u"])).unwrap()),
            |group| drop(group.leave(&member("b"), AT).unwrap()),
        ];
        for change in changes {
            change(&mut group);
            assert_eq!(group.state(), GroupState::Assigning);
            rebalance(&mut group, &four());
            assert_ne!(group.state(), GroupState::Assigning);
        }
    }

    #[test]
    fn a_group_is_stable_once_all_acknowledged_and_took_what_is_theirs() {
        let mut group = moving();
        assert_eq!(group.state(), GroupState::Reconciling);
        // `b` comes first and finds nothing free.
        acknowledge(&mut group, "b");
        acknowledge(&mut group, "a");
        assert_eq!(group.state(), GroupState::Reconciling);
        acknowledge(&mut group, "b");
        assert_eq!(group.state(), GroupState::Stable);
    }
}

mod a_rebalance {
    use super::*;

    #[test]
    fn moves_a_partition_only_through_nobodys_hands() {
        let mut group = moving();
        let Ok(Beat::Steady(before)) = group.beat(&member("a"), Some(1)) else { panic!() };
        assert_eq!((before.generation, before.epoch), (2, 1));
        assert_eq!((before.assigned.len(), before.revoke.len()), (2, 2));
        assert_eq!(acknowledge(&mut group, "b").awaited, before.revoke);

        let after = acknowledge(&mut group, "a");
        assert_eq!((after.epoch, &after.assigned), (2, &before.assigned));
        assert!(before.revoke.iter().all(|partition| group.owner(partition).is_none()));

        assert_eq!(acknowledge(&mut group, "b").assigned, before.revoke);
    }

    #[test]
    fn leaves_alone_what_does_not_move() {
        let mut group = moving();
        let stays = &owned(&group, "a") & group.member(&member("a")).unwrap().target();
        for id in ["b", "a", "b"] {
            acknowledge(&mut group, id);
            assert!(owned(&group, "a").is_superset(&stays));
        }
    }

    #[test]
    fn that_is_overtaken_by_another_takes_no_detour() {
        let mut group = moving();
        group.leave(&member("b"), AT).unwrap();
        rebalance(&mut group, &four());
        // `a` never acknowledged generation 2, and keeps what it was to give up in it.
        let Ok(Beat::Steady(allotment)) = group.beat(&member("a"), Some(1)) else { panic!() };
        assert_eq!((allotment.generation, allotment.assigned.len()), (3, 4));
        assert!(allotment.revoke.is_empty());
    }

    #[test]
    fn with_the_same_target_is_no_new_generation() {
        let mut group = Group::default();
        group.join(spec("a", &["none"]), AT).unwrap();
        rebalance(&mut group, &four());
        assert_eq!((group.generation(), group.state()), (0, GroupState::Stable));
    }

    #[test]
    fn follows_a_topic_made_anew_under_its_name() {
        let mut group = alone();
        let mut anew = topics(2, &[("t", 4)]);
        anew.shapes.values_mut().for_each(|shape| shape.id = Uuid::from_u128(99));
        rebalance(&mut group, &anew);
        assert_eq!(group.generation(), 2);
    }
}

mod a_target {
    use super::*;

    #[test]
    fn computed_before_a_change_is_stale() {
        let mut group = alone();
        group.join(spec("b", &["t"]), AT).unwrap();
        let target = target::due(&group, &four()).unwrap();
        group.join(spec("c", &["t"]), AT).unwrap();
        let before = group.clone();
        assert_eq!(group.assign(target), Ok(Applied::Stale));
        assert_eq!(group, before);
    }

    #[test]
    fn computed_before_a_static_member_was_succeeded_is_stale() {
        let mut group = alone();
        group.join(instance(spec("b", &["t"]), "i"), AT).unwrap();
        let target = target::due(&group, &four()).unwrap();
        group.join(again(instance(spec("b2", &["t"]), "i")), AT).unwrap();
        assert_eq!(group.assign(target), Ok(Applied::Stale));
        rebalance(&mut group, &four());
    }

    #[test]
    fn computed_from_older_metadata_is_stale() {
        let mut group = alone();
        let mut target = target::due(&group, &topics(2, &[("t", 5)])).unwrap();
        target.topics.revision = 0;
        assert_eq!(group.assign(target), Ok(Applied::Stale));
    }

    #[test]
    fn that_names_no_member_or_gives_twice_is_refused() {
        let mut group = alone();
        group.join(spec("b", &["t"]), AT).unwrap();
        let target = target::due(&group, &four()).unwrap();
        let before = group.clone();

        let mut stranger = target.clone();
        stranger.members.insert(member("x"), Share::default());
        assert_eq!(kind(group.assign(stranger)), ErrorKind::Internal);

        let mut twice = target;
        for share in twice.members.values_mut() {
            share.0.insert(tp("t", 0));
        }
        assert_eq!(kind(group.assign(twice)), ErrorKind::Internal);
        assert_eq!(group, before);
    }
}

mod a_join {
    use super::*;

    #[test]
    fn is_answered_without_partitions_until_a_target_is_there() {
        let mut group = two();
        let allotment = group.join(spec("c", &["t"]), AT).unwrap();
        let nothing = Partitions::new();
        assert_eq!((allotment.generation, allotment.epoch), (2, 2));
        assert_eq!(allotment.assigned, nothing);
    }

    #[test]
    fn repeated_by_the_same_attempt_is_answered_again() {
        let mut group = two();
        let before = group.clone();
        let allotment = group.join(spec("a", &["t"]), AT + 1).unwrap();
        assert_eq!(allotment.assigned, owned(&group, "a"));
        assert_eq!(group, before);
    }

    #[test]
    fn under_the_id_of_another_member_is_refused() {
        let mut group = two();
        let before = group.clone();
        let other = again(spec("a", &["t"]));
        assert_eq!(kind(group.join(other.clone(), AT)), ErrorKind::MemberExists);
        assert_eq!(kind(group.join(instance(other, "i"), AT)), ErrorKind::MemberExists);
        assert_eq!(group, before);
    }

    #[test]
    fn beyond_the_limit_is_refused_naming_it() {
        let mut group = Group::default();
        for number in 0..MEMBERS_MAX {
            group.join(spec(&format!("m{number}"), &["t"]), AT).unwrap();
        }
        let error = group.join(spec("x", &["t"]), AT).unwrap_err();
        assert_eq!(error.kind, ErrorKind::GroupFull);
        assert_eq!(error.message, "the group has 1000 members; the limit is 1000");
    }

    #[test]
    fn of_an_instance_takes_its_predecessors_place_without_a_rebalance() {
        let mut group = Group::default();
        group.join(instance(spec("a", &["t"]), "i"), AT).unwrap();
        rebalance(&mut group, &four());
        acknowledge(&mut group, "a");

        let allotment = group.join(again(instance(spec("a2", &["t"]), "i")), AT).unwrap();
        assert_eq!(allotment.assigned, partitions("t", 0..4));
        assert_eq!((group.state(), group.generation()), (GroupState::Stable, 1));
        assert_eq!(target::due(&group, &four()), None);
        assert!(group.owners().all(|(_, owner)| *owner == member("a2")));
        // The predecessor is told why.
        let error = group.beat(&member("a"), Some(1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::FencedInstance);
        assert_eq!(error.message, "member a: another took its place as i");
    }

    #[test]
    fn of_an_instance_under_the_same_id_takes_its_own_place() {
        let mut group = Group::default();
        group.join(instance(spec("a", &["t"]), "i"), AT).unwrap();
        rebalance(&mut group, &four());
        acknowledge(&mut group, "a");
        let allotment = group.join(again(instance(spec("a", &["t"]), "i")), AT).unwrap();
        assert_eq!(allotment.assigned.len(), 4);
        assert_eq!(group.state(), GroupState::Stable);
    }

    #[test]
    fn of_an_instance_that_wants_something_else_is_a_rebalance() {
        let mut group = Group::default();
        group.join(instance(spec("a", &["t"]), "i"), AT).unwrap();
        rebalance(&mut group, &four());
        group.join(again(instance(spec("a2", &["u"]), "i")), AT).unwrap();
        assert_eq!(group.state(), GroupState::Assigning);
    }

    #[test]
    fn of_an_instance_gives_up_what_its_predecessor_was_to() {
        let mut group = Group::default();
        group.join(instance(spec("a", &["t"]), "i"), AT).unwrap();
        rebalance(&mut group, &four());
        acknowledge(&mut group, "a");
        group.join(spec("b", &["t"]), AT).unwrap();
        rebalance(&mut group, &four());
        let allotment = group.join(again(instance(spec("a2", &["t"]), "i")), AT).unwrap();
        assert_eq!((allotment.epoch, allotment.assigned.len()), (2, 2));
        assert_eq!(acknowledge(&mut group, "b").assigned.len(), 2);
    }
}

mod a_heartbeat {
    use super::*;

    #[test]
    fn of_a_stranger_is_refused() {
        assert_eq!(kind(two().beat(&member("x"), None)), ErrorKind::UnknownMember);
    }

    #[test]
    fn without_a_generation_changes_nothing() {
        assert!(matches!(moving().beat(&member("a"), None), Ok(Beat::Steady(_))));
    }

    #[test]
    fn with_a_generation_before_the_acknowledged_or_after_the_newest_is_stale() {
        let error = two().beat(&member("a"), Some(1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::StaleGeneration);
        assert_eq!(error.message, "member a says generation 1; it acknowledged 2, the newest is 2");
        assert_eq!(kind(two().beat(&member("a"), Some(3))), ErrorKind::StaleGeneration);
    }

    #[test]
    fn with_an_older_generation_is_told_the_newest() {
        let Ok(Beat::Steady(allotment)) = moving().beat(&member("a"), Some(1)) else { panic!() };
        assert_eq!((allotment.generation, allotment.epoch), (2, 1));
    }

    #[test]
    fn with_the_newest_generation_acknowledges_it() {
        assert_eq!(moving().beat(&member("a"), Some(2)), Ok(Beat::Acknowledge));
    }

    #[test]
    fn with_the_newest_generation_takes_what_became_free() {
        let mut group = moving();
        acknowledge(&mut group, "b");
        // All is still with `a`.
        assert!(matches!(group.beat(&member("b"), Some(2)), Ok(Beat::Steady(_))));
        acknowledge(&mut group, "a");
        assert_eq!(group.beat(&member("b"), Some(2)), Ok(Beat::Acknowledge));
    }

    #[test]
    fn with_the_newest_generation_and_all_taken_changes_nothing() {
        assert!(matches!(two().beat(&member("a"), Some(2)), Ok(Beat::Steady(_))));
    }
}

mod an_acknowledgement {
    use super::*;

    #[test]
    fn of_a_stale_generation_is_refused() {
        let mut group = two();
        assert_eq!(kind(group.acknowledge(&member("a"), 1)), ErrorKind::StaleGeneration);
        assert_eq!(kind(group.acknowledge(&member("a"), 3)), ErrorKind::StaleGeneration);
        assert_eq!(group, two());
    }

    #[test]
    fn overtaken_by_a_target_changes_nothing_and_tells_it() {
        let mut group = moving();
        let allotment = group.acknowledge(&member("a"), 1).unwrap();
        assert_eq!((allotment.generation, allotment.epoch), (2, 1));
        assert_eq!(group, moving());
    }
}

mod a_revocation {
    use super::*;

    #[test]
    fn takes_what_is_to_be_given_up_and_leaves_the_epoch() {
        let mut group = moving();
        assert_eq!(group.revoke(&member("a"), 2), Applied::Done);
        let a = group.member(&member("a")).unwrap();
        assert_eq!((a.epoch(), a.owned()), (1, a.target()));
        // What it keeps it can still commit with what it knows.
        let by = Committer::Member { id: member("a"), generation: Some(1) };
        assert_eq!(group.check_commit(&by, a.owned().iter()), Ok(()));
        assert_eq!(acknowledge(&mut group, "b").assigned.len(), 2);
    }

    #[test]
    fn of_another_generation_or_member_is_stale() {
        let mut group = moving();
        assert_eq!(group.revoke(&member("a"), 1), Applied::Stale);
        assert_eq!(group.revoke(&member("x"), 2), Applied::Stale);
        assert_eq!(group, moving());
    }
}

mod an_expulsion {
    use super::*;

    #[test]
    fn frees_what_the_member_owned() {
        let mut group = two();
        let lost = owned(&group, "a");
        assert_eq!(group.expire(&member("a"), Uuid::from_u128(1), 2, AT), Applied::Done);
        assert!(lost.iter().all(|partition| group.owner(partition).is_none()));
        assert_eq!(kind(group.allotment(&member("a"))), ErrorKind::UnknownMember);
        rebalance(&mut group, &four());
        assert_eq!(acknowledge(&mut group, "b").assigned, partitions("t", 0..4));
    }

    #[test]
    fn of_one_that_joined_anew_or_acknowledged_since_is_stale() {
        let mut group = two();
        assert_eq!(group.expire(&member("a"), Uuid::from_u128(7), 2, AT), Applied::Stale);
        assert_eq!(group.expire(&member("a"), Uuid::from_u128(1), 1, AT), Applied::Stale);
        assert_eq!(group.expire(&member("x"), Uuid::from_u128(1), 2, AT), Applied::Stale);
        assert_eq!(group, two());
    }
}

mod a_commit {
    use super::*;

    fn by(id: &str, generation: Option<u32>) -> Committer {
        Committer::Member { id: member(id), generation }
    }

    #[test]
    fn of_a_member_is_for_what_it_owns() {
        let group = two();
        let (own, other) = (owned(&group, "a"), owned(&group, "b"));
        assert_eq!(group.check_commit(&by("a", Some(2)), own.iter()), Ok(()));
        assert_eq!(group.check_commit(&by("a", None), own.iter()), Ok(()));
        let error = group.check_commit(&by("a", Some(2)), other.iter()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotOwner);
        assert!(error.message.ends_with("belongs to member b"), "{error}");
        let error = group.check_commit(&by("a", Some(2)), [tp("u", 0)].iter()).unwrap_err();
        assert_eq!(error.message, "u-0 belongs to nobody");
    }

    #[test]
    fn of_a_member_is_good_until_it_gave_the_partition_up() {
        let mut group = moving();
        let all = partitions("t", 0..4);
        assert_eq!(group.check_commit(&by("a", Some(1)), all.iter()), Ok(()));
        assert_eq!(group.check_commit(&by("a", Some(2)), all.iter()), Ok(()));
        acknowledge(&mut group, "a");
        assert_eq!(kind(group.check_commit(&by("a", Some(2)), all.iter())), ErrorKind::NotOwner);
        let kept = owned(&group, "a");
        let stale = group.check_commit(&by("a", Some(1)), kept.iter());
        assert_eq!(kind(stale), ErrorKind::StaleGeneration);
    }

    #[test]
    fn of_a_stranger_is_refused() {
        let result = two().check_commit(&by("x", None), std::iter::empty());
        assert_eq!(kind(result), ErrorKind::UnknownMember);
    }

    #[test]
    fn of_nobody_is_for_what_nobody_owns() {
        let group = two();
        assert_eq!(group.check_commit(&Committer::Nobody, [tp("u", 0)].iter()), Ok(()));
        let result = group.check_commit(&Committer::Nobody, [tp("t", 0)].iter());
        assert_eq!(kind(result), ErrorKind::NotOwner);
    }

    #[test]
    fn of_an_operator_is_for_a_group_at_rest() {
        let result = two().check_commit(&Committer::Operator, std::iter::empty());
        assert_eq!(kind(result), ErrorKind::GroupNotEmpty);
        let empty = Group::default();
        assert_eq!(empty.check_commit(&Committer::Operator, [tp("t", 0)].iter()), Ok(()));
    }
}

mod claims_by_hand {
    use super::*;

    fn claiming(id: &str, claims: Partitions) -> MemberSpec {
        MemberSpec { subscription: Subscription::Manual(claims), ..spec(id, &[]) }
    }

    #[test]
    fn are_not_shared_out() {
        let mut group = Group::default();
        group.join(claiming("a", partitions("t", 1..2)), AT).unwrap();
        group.join(spec("b", &["t"]), AT).unwrap();
        rebalance(&mut group, &four());
        assert_eq!(acknowledge(&mut group, "a").assigned, partitions("t", 1..2));
        let rest = &partitions("t", 0..4) - &partitions("t", 1..2);
        assert_eq!(acknowledge(&mut group, "b").assigned, rest);
    }

    #[test]
    fn of_two_go_to_who_came_first_and_then_to_the_other() {
        let mut group = Group::default();
        group.join(claiming("z", partitions("t", 0..1)), AT).unwrap();
        group.join(claiming("a", partitions("t", 0..1)), AT + 1).unwrap();
        rebalance(&mut group, &four());
        assert_eq!(acknowledge(&mut group, "z").assigned.len(), 1);
        assert_eq!(acknowledge(&mut group, "a").assigned.len(), 0);
        group.leave(&member("z"), AT).unwrap();
        rebalance(&mut group, &four());
        assert_eq!(acknowledge(&mut group, "a").assigned.len(), 1);
    }

    #[test]
    fn of_what_does_not_exist_wait_for_it() {
        let mut group = Group::default();
        group.join(claiming("a", partitions("t", 3..5)), AT).unwrap();
        rebalance(&mut group, &four());
        assert_eq!(acknowledge(&mut group, "a").assigned, partitions("t", 3..4));
        rebalance(&mut group, &topics(2, &[("t", 5)]));
        assert_eq!(acknowledge(&mut group, "a").assigned, partitions("t", 3..5));
    }
}

mod a_target_is_due {
    use super::*;

    #[test]
    fn never_for_a_group_without_members() {
        assert_eq!(target::due(&Group::default(), &four()), None);
    }

    #[test]
    fn after_a_change_of_members_and_not_twice() {
        let mut group = alone();
        assert_eq!(target::due(&group, &four()), None);
        group.join(spec("b", &["t"]), AT).unwrap();
        rebalance(&mut group, &four());
        assert_eq!(target::due(&group, &four()), None);
    }

    #[test]
    fn when_a_wanted_topic_grows_or_goes() {
        let mut group = alone();
        rebalance(&mut group, &topics(2, &[("t", 6)]));
        assert_eq!(group.member(&member("a")).unwrap().target().len(), 6);
        rebalance(&mut group, &topics(3, &[("u", 1)]));
        assert_eq!(group.member(&member("a")).unwrap().target().len(), 0);
    }

    #[test]
    fn when_a_topic_is_made_that_a_pattern_matches() {
        let pattern = crate::coordinator::TopicPattern::new("t.*").unwrap();
        let subscription = Subscription::Pattern(pattern);
        let mut group = Group::default();
        group.join(MemberSpec { subscription, ..spec("a", &[]) }, AT).unwrap();
        rebalance(&mut group, &four());
        assert_eq!(target::due(&group, &topics(2, &[("t", 4), ("x", 4)])), None);
        rebalance(&mut group, &topics(3, &[("t", 4), ("t2", 2), ("x", 4)]));
        assert_eq!(group.member(&member("a")).unwrap().target().len(), 6);
    }

    #[test]
    fn not_from_older_metadata_than_the_present_one() {
        let mut group = alone();
        rebalance(&mut group, &topics(5, &[("t", 6)]));
        assert_eq!(target::due(&group, &topics(4, &[("t", 4)])), None);
    }

    #[test]
    fn by_the_assignor_that_was_voted_for() {
        let mut group = Group::default();
        for id in ["a", "b"] {
            let assignor = Some(Assignor::Range);
            group.join(MemberSpec { assignor, ..spec(id, &["t"]) }, AT).unwrap();
        }
        rebalance(&mut group, &four());
        assert_eq!(group.basis().map(|basis| basis.assignor), Some(Assignor::Range));
        let a = group.member(&member("a")).unwrap();
        assert_eq!(a.target(), &partitions("t", 0..2));
    }
}

#[test]
fn a_checkpoint_with_two_owners_of_a_partition_is_damaged() {
    let mut group = two();
    let stolen = owned(&group, "b");
    group.members.get_mut(&member("a")).unwrap().owned.extend(stolen);
    assert_eq!(group.restored().unwrap_err().kind(), io::ErrorKind::InvalidData);
}
