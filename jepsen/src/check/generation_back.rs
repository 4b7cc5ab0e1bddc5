//! `generation-back` (L11): a group's generation grows. The coordinator never tells a lower one than it told
//! before the question; a member never hears a lower one than it heard.

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::Outcome;
use crate::index::{GroupAct, GroupBody, Index};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut floors = Floors::<(u32, Option<u32>)>::new();
    let acts = || index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok);
    for act in acts() {
        if let (Some((scope, generation)), Some(event)) = (told(act), index.op(act.op).completed) {
            floors.tell(scope, event, generation, act.op);
            // What a member was told, the coordinator knows as well.
            floors.tell((act.group, None), event, generation, act.op);
        }
    }
    let floors = floors.settle();
    for act in acts() {
        let Some((scope, generation)) = told(act) else { continue };
        let before = floors.before(&scope, index.op(act.op).invoked);
        if let Some((floor, by)) = before.filter(|(floor, _)| *floor > generation) {
            let ops = [by, act.op];
            found.add(index, Name::GenerationBack, None, &Proof::ops(&ops), || {
                let group = index.names.name(act.group);
                format!("the generation of {group} was {floor}, then {generation}")
            });
        }
    }
    found
}

/// About whom an answer tells a generation: a member, or the whole group.
fn told(act: &GroupAct) -> Option<((u32, Option<u32>), u64)> {
    match &act.body {
        GroupBody::Hold { generation, .. } => Some(((act.group, act.member), (*generation)?)),
        GroupBody::View { generation, .. } => Some(((act.group, None), (*generation)?)),
        GroupBody::Leave | GroupBody::Commit { .. } | GroupBody::Committed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::tale::{Tale, X};

    #[test]
    fn the_coordinator_may_not_forget_a_generation() {
        let tale = Tale::new().hold(0, "a", 5, &[X]).view(4, &[("a", &[X])], &[X]);
        assert_eq!(tale.found(check), ["generation-back: the generation of g was 5, then 4"]);
    }

    #[test]
    fn a_member_may_lag_behind_others_but_not_behind_itself() {
        let tale = Tale::new().hold(0, "a", 5, &[]).hold(1, "b", 4, &[]);
        assert!(tale.found(check).is_empty());
        assert_eq!(tale.hold(0, "a", 4, &[]).found(check).len(), 1);
    }
}
