//! `assignment-mismatch` (L11): what a member holds in a generation is among what its coordinator means for it in
//! that generation. It may hold less: others may not have let go yet. Not judged where the coordinator does not
//! know the member, or no more: what was meant for it is given to others with the next generation.

use std::collections::HashMap;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Outcome};
use crate::index::{GroupAct, GroupBody, Index, OpId};

/// What the coordinator told: in which operation, and what is meant for each member.
type View<'a> = (OpId, &'a [(u32, Vec<Key>)]);

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let acts = || index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok);
    let mut meant: HashMap<(u32, u64), Vec<View<'_>>> = HashMap::new();
    for (generation, view) in acts().filter_map(view) {
        meant.entry(generation).or_default().push(view);
    }
    for act in acts() {
        let (GroupBody::Hold { generation: Some(generation), assigned }, Some(member)) =
            (&act.body, act.member)
        else {
            continue;
        };
        for (by, members) in meant.get(&(act.group, *generation)).into_iter().flatten() {
            let own = members.iter().find(|(name, _)| *name == member).map(|(_, keys)| keys);
            for key in assigned.iter().filter(|key| own.is_some_and(|own| !own.contains(key))) {
                let ops = [*by, act.op];
                found.add(index, Name::AssignmentMismatch, Some(*key), &Proof::ops(&ops), || {
                    let member = index.names.name(member);
                    format!(
                        "{member} holds it in generation {generation}, and it is not meant for it"
                    )
                });
            }
        }
    }
    found
}

fn view(act: &GroupAct) -> Option<((u32, u64), View<'_>)> {
    let GroupBody::View { generation: Some(generation), members, .. } = &act.body else {
        return None;
    };
    Some(((act.group, *generation), (act.op, members)))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::tale::{Tale, X, Y};

    #[test]
    fn a_member_may_not_hold_what_is_meant_for_another() {
        let tale =
            Tale::new().view(3, &[("a", &[X]), ("b", &[Y])], &[X, Y]).hold(0, "a", 3, &[X, Y]);
        assert_eq!(
            tale.found(check),
            ["assignment-mismatch 1: a holds it in generation 3, and it is not meant for it"]
        );
    }

    #[test]
    fn a_member_that_left_before_the_next_generation_held_what_it_held() {
        let tale = Tale::new().hold(0, "a", 3, &[X]).view(3, &[("b", &[Y])], &[X, Y]);
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn it_may_hold_less_and_in_an_older_generation_more() {
        let tale = Tale::new()
            .view(3, &[("a", &[X]), ("b", &[Y])], &[X, Y])
            .hold(0, "a", 3, &[])
            .hold(0, "a", 2, &[X, Y]);
        assert!(tale.found(check).is_empty());
    }
}
