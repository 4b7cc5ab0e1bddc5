//! `unowned-partition` (L11): a group that its coordinator calls stable, and that has members, gives every
//! subscribed partition to one of them.

use std::collections::BTreeSet;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Outcome};
use crate::index::{GroupBody, Index};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for act in index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok) {
        let GroupBody::View { stable: true, members, subscribed, .. } = &act.body else { continue };
        if members.is_empty() {
            continue;
        }
        let owned: BTreeSet<Key> = members.iter().flat_map(|(_, keys)| keys).copied().collect();
        for key in subscribed.iter().filter(|key| !owned.contains(key)) {
            found.add(index, Name::UnownedPartition, Some(*key), &Proof::ops(&[act.op]), || {
                format!("{} is stable and gives it to nobody", index.names.name(act.group))
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::tale::{Tale, X, Y};

    #[test]
    fn a_stable_group_leaves_nothing_to_nobody() {
        let tale = Tale::new().view(3, &[("a", &[X])], &[X, Y]);
        assert_eq!(tale.found(check), ["unowned-partition 1: g is stable and gives it to nobody"]);
    }

    #[test]
    fn an_empty_group_may() {
        assert!(Tale::new().view(3, &[], &[X, Y]).found(check).is_empty());
        assert!(Tale::new().view(3, &[("a", &[X]), ("b", &[Y])], &[X, Y]).found(check).is_empty());
    }
}
