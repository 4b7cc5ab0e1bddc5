//! `two-owners` (L11): in one generation of a group a partition has one owner: what members are granted, and what
//! the coordinator means for them.

use std::collections::HashMap;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Outcome};
use crate::index::{GroupBody, Index, OpId};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut owners: HashMap<(u32, u64, Key), (u32, OpId)> = HashMap::new();
    for act in index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok) {
        let (generation, owned): (_, Vec<(u32, &[Key])>) = match (&act.body, act.member) {
            (GroupBody::Hold { generation, assigned }, Some(member)) => {
                (*generation, vec![(member, assigned)])
            }
            (GroupBody::View { generation, members, .. }, _) => {
                let owned = members.iter().map(|(member, keys)| (*member, keys.as_slice()));
                (*generation, owned.collect())
            }
            _ => continue,
        };
        let Some(generation) = generation else { continue };
        for (member, key) in
            owned.iter().flat_map(|(member, keys)| keys.iter().map(move |key| (member, key)))
        {
            let (holder, by) =
                *owners.entry((act.group, generation, *key)).or_insert((*member, act.op));
            if holder != *member {
                let ops = [by, act.op];
                found.add(index, Name::TwoOwners, Some(*key), &Proof::ops(&ops), || {
                    let name = |member| index.names.name(member);
                    let group = name(act.group);
                    let (one, other) = (name(holder), name(*member));
                    format!("generation {generation} of {group} gives it to {one} and to {other}")
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::tale::{Tale, X, Y};

    #[test]
    fn two_members_may_not_own_one_partition_in_one_generation() {
        let tale = Tale::new().hold(0, "a", 3, &[X]).hold(1, "b", 3, &[X, Y]);
        assert_eq!(tale.found(check), ["two-owners 0: generation 3 of g gives it to a and to b"]);
    }

    #[test]
    fn the_coordinator_may_not_mean_it_for_two_either() {
        let tale = Tale::new().view(3, &[("a", &[X]), ("b", &[X])], &[X]);
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn in_another_generation_another_may() {
        let tale = Tale::new().hold(0, "a", 3, &[X]).hold(1, "b", 4, &[X]).hold(0, "a", 4, &[Y]);
        assert!(tale.found(check).is_empty());
    }
}
