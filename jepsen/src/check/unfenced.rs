//! `unfenced` (L12): who was fenced is let do nothing any more.
//!
//! | protocol | an `ok` is wrong if, before it began, |
//! |---|---|
//! | both | the member itself had heard a newer generation than it says, and acknowledged it; or had left |
//! | eager | anybody had heard a newer generation |
//! | cooperative | it commits a partition that another held in a newer generation |

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{GroupProtocol, Key, Outcome};
use crate::index::{GroupAct, GroupBody, Index, OpId};

struct Known {
    /// By group and member: the generation the member has acknowledged.
    acknowledged: Floors<(u32, u32)>,
    /// By group.
    heard: Floors<u32>,
    /// By group, partition and member: the generation in which it was held.
    held: Floors<(u32, Key, u32)>,
    /// By group and member: 1 once it had left.
    left: Floors<(u32, u32)>,
    members: Vec<u32>,
}

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let known = known(index);
    for act in index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok) {
        if let Some((by, what)) = fenced(index, &known, act) {
            let ops = [by, act.op];
            found.add(index, Name::Unfenced, None, &Proof::ops(&ops), || what);
        }
    }
    found
}

fn known(index: &Index) -> Known {
    let mut known = Known {
        acknowledged: Floors::new(),
        heard: Floors::new(),
        held: Floors::new(),
        left: Floors::new(),
        members: Vec::new(),
    };
    for act in index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok) {
        let (Some(event), Some(member)) = (index.op(act.op).completed, act.member) else {
            continue;
        };
        known.members.push(member);
        let own = (act.group, member);
        if let Some(said) = act.said.filter(|_| matches!(act.body, GroupBody::Hold { .. })) {
            // A heartbeat that says a generation acknowledges it.
            known.acknowledged.tell(own, event, said, act.op);
        }
        match &act.body {
            GroupBody::Hold { generation: Some(generation), assigned } => {
                known.heard.tell(act.group, event, *generation, act.op);
                for key in assigned {
                    known.held.tell((act.group, *key, member), event, *generation, act.op);
                }
            }
            GroupBody::Leave => known.left.tell(own, event, 1, act.op),
            GroupBody::Hold { .. }
            | GroupBody::View { .. }
            | GroupBody::Commit { .. }
            | GroupBody::Committed { .. } => {}
        }
    }
    known.members.sort_unstable();
    known.members.dedup();
    Known {
        acknowledged: known.acknowledged.settle(),
        heard: known.heard.settle(),
        held: known.held.settle(),
        left: known.left.settle(),
        members: known.members,
    }
}

/// Why an act should have been refused, in words, and what proves it.
fn fenced(index: &Index, known: &Known, act: &GroupAct) -> Option<(OpId, String)> {
    let member = act.member?;
    let began = index.op(act.op).invoked;
    let name = |number| index.names.name(number);
    let word = match act.body {
        GroupBody::Commit { .. } => "commit",
        GroupBody::Hold { .. } => "heartbeat",
        GroupBody::Leave | GroupBody::View { .. } | GroupBody::Committed { .. } => return None,
    };
    let who = format!("{}'s {word}", name(member));
    // A join says no generation, and makes a member of one that had left.
    let said = act.said?;
    if let Some((_, by)) = known.left.before(&(act.group, member), began) {
        return Some((by, format!("{who} was taken after it had left")));
    }
    let newer = |floor: Option<(u64, OpId)>| floor.filter(|(generation, _)| *generation > said);
    if let Some((newest, by)) = newer(known.acknowledged.before(&(act.group, member), began)) {
        return Some((
            by,
            format!("{who} in generation {said} was taken after it had acknowledged {newest}"),
        ));
    }
    if index.header.group_protocol == GroupProtocol::Eager {
        let (newest, by) = newer(known.heard.before(&act.group, began))?;
        return Some((by, format!("{who} in generation {said} was taken in generation {newest}")));
    }
    let GroupBody::Commit { offsets, .. } = &act.body else { return None };
    for (key, _) in offsets {
        for other in known.members.iter().filter(|other| **other != member) {
            if let Some((newest, by)) = newer(known.held.before(&(act.group, *key, *other), began))
            {
                let other = name(*other);
                let what = format!(
                    "{who} of partition {key} in generation {said} was taken after {other} held it in {newest}"
                );
                return Some((by, what));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::GroupProtocol;
    use crate::history::Kind::{Fail, Ok};
    use crate::history::{Membership, Operation};
    use crate::model::tale::{Tale, X, Y};

    #[test]
    fn a_commit_of_what_another_holds_by_now_is_refused() {
        let tale = Tale::new().hold(0, "a", 3, &[X]).hold(1, "b", 4, &[X]);
        assert_eq!(
            tale.clone().commit(0, Ok, ("a", 3), &[(X, 7)]).found(check),
            ["unfenced: a's commit of partition 0 in generation 3 was taken after b held it in 4"]
        );
        assert!(tale.clone().commit(0, Fail, ("a", 3), &[(X, 7)]).found(check).is_empty());
        assert!(tale.commit(0, Ok, ("a", 3), &[(Y, 7)]).found(check).is_empty());
    }

    #[test]
    fn an_eager_group_refuses_every_old_generation() {
        let mut tale = Tale::new().hold(0, "a", 3, &[X]).hold(1, "b", 4, &[Y]);
        tale.header.group_protocol = GroupProtocol::Eager;
        assert_eq!(
            tale.commit(0, Ok, ("a", 3), &[(X, 7)]).found(check),
            ["unfenced: a's commit in generation 3 was taken in generation 4"]
        );
    }

    #[test]
    fn a_member_may_not_fall_back_behind_what_it_acknowledged() {
        let tale = Tale::new().hold(0, "a", 3, &[X]).hold(0, "a", 4, &[X]);
        assert_eq!(tale.commit(0, Ok, ("a", 3), &[(X, 7)]).found(check).len(), 1);
    }

    #[test]
    fn a_member_that_left_is_none() {
        let left = Membership { group: "g".into(), member: "a".into(), ..Membership::default() };
        let tale = Tale::new().hold(0, "a", 3, &[X]).op(0, Ok, Operation::Leave(left));
        assert_eq!(
            tale.commit(0, Ok, ("a", 3), &[(X, 7)]).found(check),
            ["unfenced: a's commit was taken after it had left"]
        );
    }

    #[test]
    fn an_old_owner_may_commit_until_there_is_a_new_one() {
        let tale = Tale::new().hold(0, "a", 3, &[X]).hold(1, "b", 4, &[Y]);
        assert!(tale.commit(0, Ok, ("a", 3), &[(X, 7)]).found(check).is_empty());
    }
}
