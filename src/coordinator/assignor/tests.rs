//! What holds for every assignor, and each one's own shape.

use super::*;
use crate::coordinator::fixtures::{member, partitions, topic, tp};
use proptest::prelude::*;

/// A demand with its parts.
#[derive(Debug, Clone, Default)]
struct Wants {
    members: BTreeMap<MemberId, BTreeSet<TopicName>>,
    topics: BTreeMap<TopicName, Vec<PartitionId>>,
    prior: BTreeMap<TopicPartition, MemberId>,
}

impl Wants {
    fn new(members: &[(&str, &[&str])], topics: &[(&str, u32)]) -> Self {
        let wanted = |names: &[&str]| names.iter().map(|name| topic(name)).collect();
        let numbers = |count| (0..count).map(PartitionId).collect();
        Self {
            members: members.iter().map(|(id, names)| (member(id), wanted(names))).collect(),
            topics: topics.iter().map(|(name, count)| (topic(name), numbers(*count))).collect(),
            prior: BTreeMap::new(),
        }
    }

    fn assign(&self, assignor: Assignor) -> Assignment {
        let Self { members, topics, prior } = self;
        assignor.assign(Demand { members, topics, prior })
    }

    /// The same with an assignment as what was before.
    fn after(&self, assignment: &Assignment) -> Self {
        let owners = assignment
            .iter()
            .flat_map(|(id, set)| set.iter().map(move |partition| (partition.clone(), id.clone())));
        Self { prior: owners.collect(), ..self.clone() }
    }

    /// How many partitions stay with who had them.
    fn kept(&self, assignment: &Assignment) -> usize {
        let is_kept = |(partition, id): (&TopicPartition, &MemberId)| {
            assignment.get(id).is_some_and(|set| set.contains(partition))
        };
        self.prior.iter().filter(|row| is_kept(*row)).count()
    }
}

/// `a: t-0 t-1, b: t-2`.
fn shown(assignment: &Assignment) -> String {
    let row = |(id, set): (&MemberId, &Partitions)| {
        let set: Vec<_> = set.iter().map(ToString::to_string).collect();
        format!("{id}: {}", set.join(" "))
    };
    assignment.iter().map(row).collect::<Vec<_>>().join(", ")
}

#[test]
fn range_cuts_topics_of_one_size_alike() {
    let wants = Wants::new(&[("a", &["t", "u"]), ("b", &["t", "u"])], &[("t", 3), ("u", 3)]);
    assert_eq!(shown(&wants.assign(Assignor::Range)), "a: t-0 t-1 u-0 u-1, b: t-2 u-2");
}

#[test]
fn round_robin_deals_over_the_topics() {
    let wants = Wants::new(&[("a", &["t", "u"]), ("b", &["t", "u"])], &[("t", 3), ("u", 3)]);
    assert_eq!(shown(&wants.assign(Assignor::RoundRobin)), "a: t-0 t-2 u-1, b: t-1 u-0 u-2");
}

#[test]
fn round_robin_passes_over_who_does_not_want_a_topic() {
    // The example of Kafka's RoundRobinAssignor.
    let wants = Wants::new(
        &[("c0", &["t0"]), ("c1", &["t0", "t1"]), ("c2", &["t0", "t1", "t2"])],
        &[("t0", 1), ("t1", 2), ("t2", 3)],
    );
    let shares = "c0: t0-0, c1: t1-0, c2: t1-1 t2-0 t2-1 t2-2";
    assert_eq!(shown(&wants.assign(Assignor::RoundRobin)), shares);
}

#[test]
fn sticky_is_evener_where_not_all_want_the_same() {
    let wants = Wants::new(
        &[("c0", &["t0"]), ("c1", &["t0", "t1"]), ("c2", &["t0", "t1", "t2"])],
        &[("t0", 1), ("t1", 2), ("t2", 3)],
    );
    let shares = "c0: t0-0, c1: t1-0 t1-1, c2: t2-0 t2-1 t2-2";
    assert_eq!(shown(&wants.assign(Assignor::Sticky)), shares);
}

#[test]
fn sticky_moves_only_the_share_of_a_member_that_comes() {
    let two = Wants::new(&[("a", &["t"]), ("b", &["t"])], &[("t", 6)]);
    let before = two.assign(Assignor::Sticky);
    let three =
        Wants::new(&[("a", &["t"]), ("b", &["t"]), ("c", &["t"])], &[("t", 6)]).after(&before);
    let after = three.assign(Assignor::Sticky);
    assert_eq!(three.kept(&after), 4);
    assert!(after.values().all(|set| set.len() == 2), "{}", shown(&after));
}

#[test]
fn sticky_moves_only_the_share_of_a_member_that_goes() {
    let three = Wants::new(&[("a", &["t"]), ("b", &["t"]), ("c", &["t"])], &[("t", 6)]);
    let before = three.assign(Assignor::Sticky);
    let two = Wants::new(&[("a", &["t"]), ("c", &["t"])], &[("t", 6)]).after(&before);
    let after = two.assign(Assignor::Sticky);
    assert_eq!(two.kept(&after), 4);
    assert!(after.values().all(|set| set.len() == 3), "{}", shown(&after));
}

#[test]
fn sticky_gives_new_partitions_to_who_has_least() {
    let mut wants = Wants::new(&[("a", &["t"]), ("b", &["t"])], &[("t", 4)]);
    wants.prior = partitions("t", 0..2).into_iter().map(|it| (it, member("a"))).collect();
    assert_eq!(shown(&wants.assign(Assignor::Sticky)), "a: t-0 t-1, b: t-2 t-3");
}

#[test]
fn what_a_member_no_longer_wants_is_not_kept() {
    let mut wants = Wants::new(&[("a", &["u"]), ("b", &["t"])], &[("t", 1), ("u", 1)]);
    wants.prior = BTreeMap::from([(tp("t", 0), member("a")), (tp("u", 0), member("gone"))]);
    assert_eq!(shown(&wants.assign(Assignor::Sticky)), "a: u-0, b: t-0");
}

#[test]
fn more_members_than_partitions_leaves_some_without() {
    for assignor in Assignor::ALL {
        let wants = Wants::new(&[("a", &["t"]), ("b", &["t"]), ("c", &["t"])], &[("t", 2)]);
        assert_eq!(shown(&wants.assign(*assignor)), "a: t-0, b: t-1, c: ", "{assignor}");
    }
}

#[test]
fn the_assignor_with_the_most_votes_is_elected() {
    use Assignor::{Range, RoundRobin, Sticky};
    let rows: &[(&[Assignor], Assignor)] = &[
        (&[], Sticky),
        (&[Range], Range),
        (&[Range, RoundRobin, Range], Range),
        (&[RoundRobin, Range], RoundRobin),
        (&[Range, Sticky], Sticky),
    ];
    for (votes, elected) in rows {
        assert_eq!(Assignor::elected(votes.iter().copied()), *elected, "{votes:?}");
    }
}

#[test]
fn an_assignor_is_found_by_its_name() {
    for assignor in Assignor::ALL {
        assert_eq!(assignor.name().parse::<Assignor>().unwrap(), *assignor);
    }
    let error = "cyclic".parse::<Assignor>().unwrap_err();
    assert_eq!(error.message, "no assignor \"cyclic\"; there are sticky, roundrobin, range");
}

/// As large as a group gets: what grows faster than its size would be felt here.
#[test]
fn a_thousand_members_and_ten_thousand_partitions_are_assigned() {
    let ids: Vec<String> = (0..1000).map(|number| format!("m{number:04}")).collect();
    let names: Vec<String> = (0..10).map(|number| format!("t{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let members: Vec<(&str, &[&str])> = ids.iter().map(|id| (id.as_str(), &*all)).collect();
    let topics: Vec<(&str, u32)> = all.iter().map(|name| (*name, 1000)).collect();
    let wants = Wants::new(&members, &topics);
    for assignor in Assignor::ALL {
        assert!(wants.assign(*assignor).values().all(|set| set.len() == 10), "{assignor}");
    }
    // One goes: its ten partitions move, no others.
    let mut wants = wants.after(&wants.assign(Assignor::Sticky));
    wants.members.pop_first();
    assert_eq!(wants.kept(&wants.assign(Assignor::Sticky)), 9990);

    // Each wants two of the topics, in a ring: ten classes that hand on to one another.
    for (place, wanted) in wants.members.values_mut().enumerate() {
        *wanted = [place % 10, (place + 1) % 10].iter().map(|at| topic(all[*at])).collect();
    }
    let ring = wants.assign(Assignor::Sticky);
    assert_eq!(ring.values().map(Partitions::len).sum::<usize>(), 10_000);
    assert_eq!(wants.uneven(&ring), None);
}

const NAMES: &[&str] = &["t", "u", "v", "w"];

fn wants() -> impl Strategy<Value = Wants> {
    let subscriptions =
        prop::collection::vec(prop::collection::vec(any::<bool>(), NAMES.len()), 1..8);
    let counts = prop::collection::vec(0..9_u32, NAMES.len());
    // A prior owner may be gone (8, 9).
    let prior = prop::collection::vec((0..NAMES.len(), 0..9_u32, 0..10_usize), 0..30);
    (subscriptions, counts, prior, any::<bool>()).prop_map(|(members, counts, prior, is_equal)| {
        let wanted = |flags: &Vec<bool>| {
            let chosen = NAMES.iter().zip(flags).filter(|(_, flag)| is_equal || **flag);
            chosen.map(|(name, _)| topic(name)).collect()
        };
        let members =
            members.iter().zip(0..).map(|(flags, id)| (member(&format!("m{id}")), wanted(flags)));
        let topics = NAMES.iter().zip(counts).filter(|(_, count)| *count > 0);
        let numbers = |count| (0..count).map(PartitionId).collect();
        Wants {
            members: members.collect(),
            topics: topics.map(|(name, count)| (topic(name), numbers(count))).collect(),
            prior: prior
                .into_iter()
                .map(|(name, number, id)| (tp(NAMES[name], number), member(&format!("m{id}"))))
                .collect(),
        }
    })
}

impl Wants {
    fn is_equal(&self) -> bool {
        self.members.values().all(|wanted| Some(wanted) == self.members.values().next())
    }

    /// The partitions that somebody wants.
    fn wanted(&self) -> Partitions {
        let wanted: BTreeSet<_> = self.members.values().flatten().collect();
        let of = |(name, numbers): (&TopicName, &Vec<PartitionId>)| {
            let name = name.clone();
            numbers.clone().into_iter().map(move |number| TopicPartition::new(name.clone(), number))
        };
        self.topics.iter().filter(|(name, _)| wanted.contains(name)).flat_map(of).collect()
    }
}

impl Wants {
    /// A partition that would make the counts more even with another member that wants it.
    fn uneven<'a>(&self, assignment: &'a Assignment) -> Option<&'a TopicPartition> {
        let mut least: BTreeMap<&TopicName, usize> = BTreeMap::new();
        for (id, wanted) in &self.members {
            for name in wanted {
                let count = least.entry(name).or_insert(usize::MAX);
                *count = assignment[id].len().min(*count);
            }
        }
        let mut held =
            assignment.values().flat_map(|set| set.iter().map(move |it| (it, set.len())));
        held.find(|(partition, count)| *count > least[&partition.topic] + 1).map(|it| it.0)
    }
}

fn differ_by_one_at_most(counts: impl Iterator<Item = usize> + Clone) -> bool {
    counts.clone().max().unwrap_or(0) - counts.min().unwrap_or(0) <= 1
}

proptest! {
    #[test]
    fn every_wanted_partition_goes_to_one_member_that_wants_it(wants in wants()) {
        for assignor in Assignor::ALL {
            let assignment = wants.assign(*assignor);
            prop_assert!(assignment.keys().eq(wants.members.keys()));
            let given: usize = assignment.values().map(Partitions::len).sum();
            let distinct: Partitions = assignment.values().flatten().cloned().collect();
            prop_assert_eq!(given, distinct.len(), "{}: {}", assignor, shown(&assignment));
            prop_assert_eq!(distinct, wants.wanted(), "{}", assignor);
            for (id, set) in &assignment {
                prop_assert!(set.iter().all(|it| wants.members[id].contains(&it.topic)));
            }
        }
    }

    #[test]
    fn members_that_want_the_same_get_the_same(wants in wants()) {
        prop_assume!(wants.is_equal());
        for assignor in [Assignor::Sticky, Assignor::RoundRobin] {
            let assignment = wants.assign(assignor);
            let counts = assignment.values().map(Partitions::len);
            prop_assert!(differ_by_one_at_most(counts), "{}: {}", assignor, shown(&assignment));
        }
    }

    #[test]
    fn range_is_even_topic_by_topic_and_contiguous(wants in wants()) {
        let assignment = wants.assign(Assignor::Range);
        for name in wants.topics.keys() {
            let subscribers = wants.members.iter().filter(|(_, wanted)| wanted.contains(name));
            let shares: Vec<Vec<u32>> = subscribers
                .map(|(id, _)| assignment[id].iter().filter(|it| it.topic == *name))
                .map(|share| share.map(|it| it.partition.0).collect())
                .collect();
            prop_assert!(differ_by_one_at_most(shares.iter().map(Vec::len)));
            let dealt: Vec<u32> = shares.concat();
            prop_assert!(dealt.is_sorted());
        }
    }

    #[test]
    fn no_move_would_make_sticky_more_even(wants in wants()) {
        let assignment = wants.assign(Assignor::Sticky);
        prop_assert_eq!(wants.uneven(&assignment), None, "{}", shown(&assignment));
    }

    #[test]
    fn sticky_keeps_all_that_the_balance_leaves(wants in wants()) {
        prop_assume!(wants.is_equal());
        let wanted = wants.wanted();
        let mut had: Vec<usize> = wants
            .members
            .keys()
            .map(|id| wants.prior.iter().filter(|(it, owner)| *owner == id && wanted.contains(it)).count())
            .collect();
        had.sort_unstable_by(|a, b| b.cmp(a));
        let (each, more) = (wanted.len() / had.len(), wanted.len() % had.len());
        let kept: usize = had
            .iter()
            .enumerate()
            .map(|(place, had)| (*had).min(each + usize::from(place < more)))
            .sum();
        let assignment = wants.assign(Assignor::Sticky);
        prop_assert_eq!(wants.kept(&assignment), kept, "{}", shown(&assignment));
    }

    #[test]
    fn an_assignment_made_from_its_own_result_is_the_same(wants in wants()) {
        for assignor in Assignor::ALL {
            let assignment = wants.assign(*assignor);
            prop_assert_eq!(wants.after(&assignment).assign(*assignor), assignment);
        }
    }
}
